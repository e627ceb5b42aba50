/* journal.c - the records of a library made by `deq build --lib tiny.deq`: those of an evaluation by `deq run`, as CSV.
 * usage: journal CHECKPOINT IMAGES LABELS SEED, files of make_idx. */
#include "Net.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 200 };
#define HOLD(condition) (void)((condition) || (fprintf(stderr, "line %d: %s\n", __LINE__, Net_error(net)), exit(1), 0))

static float x[N * NET_INPUT], attacked[N * NET_INPUT], output[N * NET_OUTPUT];
static int64_t labels[N];
static Net_record records[N], again[N];

static int read_file(const char *path, long head, unsigned char *out, size_t n) {
    FILE *f = fopen(path, "rb");
    const int ok = f && fseek(f, head, SEEK_SET) == 0 && fread(out, 1, n, f) == n;
    if (f) fclose(f);
    return ok;
}

/* Of the examples as they are, and at the inputs that NET_attack makes, the records say what the net does there. */
static void check_against_forward(Net_ctx *net, uint64_t seed) {
    double losses[N];
    static Net_example examples[N];
    HOLD(Net_attack_labels(net, "exact", N, x, labels, seed, attacked, NULL) == 0);
    for (int k = 0; k < 2; k++) {
        const float *inputs = k ? attacked : x;
        HOLD(Net_journal_labels(net, k ? "exact" : NULL, N, x, labels, seed, records) == 0);
        HOLD(Net_forward(net, N, inputs, output, NULL) == 0);
        HOLD(Net_gradient_labels(net, N, inputs, labels, NULL, losses, NULL, NULL, NULL) == 0);
        HOLD(Net_solve(net, N, inputs, NULL, 1, 1, NULL, NULL, NULL, examples, NULL) == 0);
        for (int i = 0; i < N; i++) {
            const Net_record *r = &records[i];
            const float *logits = output + i * NET_OUTPUT;
            int best = 0;
            for (int c = 1; c < NET_OUTPUT; c++)
                if (logits[c] > logits[best]) best = c;
            HOLD(r->id == i && r->label == labels[i] && r->prediction == best);
            HOLD(r->metric == (best == labels[i]) && fabs(r->loss - losses[i]) <= 1e-6 * fmax(1, losses[i]));
            HOLD(r->steps == (float)examples[i].steps && (r->reason == DEQ_RECORD_converged) == examples[i].converged);
            HOLD(r->queries == (k ? 5 : 0) && r->gradients == r->queries && r->attack_solves == r->queries);
            HOLD(k ? r->distance_inf > 0 && r->distance_inf < 0.0201F : isnan(r->distance_inf));
            HOLD(r->seconds > 0);
        }
    }
}

static void check_refused(Net_ctx *net) {
    memset(again, 7, sizeof again);
    records[0] = again[0];
    HOLD(Net_journal_labels(net, NULL, 0, NULL, NULL, 0, NULL) == 0);
    HOLD(Net_journal_labels(net, "exact", 1, NULL, labels, 0, records) == -943);
    HOLD(Net_journal_labels(net, "exact", 1, x, NULL, 0, records) == -943);
    HOLD(Net_journal_labels(net, "exact", 1, x, labels, 0, NULL) == -943);
    HOLD(Net_journal_labels(net, "exact", -1, x, labels, 0, records) == -943);
    HOLD(Net_journal_labels(net, "strong", 1, x, labels, 0, records) == -901);
    HOLD(Net_journal_labels(net, NULL, 1, x, (const int64_t[]){4}, 0, records) == -804);
    HOLD(Net_journal_labels(NULL, NULL, 1, x, labels, 0, records) == -943);
    HOLD(memcmp(records, again, sizeof *records) == 0);
}

int main(int argc, char **argv) {
    static unsigned char pixels[N * NET_INPUT], classes[N];
    if (argc != 5 || !read_file(argv[2], 16, pixels, sizeof pixels) || !read_file(argv[3], 8, classes, sizeof classes))
        return 64;
    const uint64_t seed = strtoull(argv[4], NULL, 10);
    Net_ctx *net = Net_new(NULL);
    if (!net || Net_load(net, argv[1])) return fprintf(stderr, "%s\n", Net_error(net)), 1;
    for (int i = 0; i < N * NET_INPUT; i++) x[i] = (float)pixels[i] / 255;
    for (int i = 0; i < N; i++) labels[i] = classes[i];
    check_against_forward(net, seed);
    printf("id,label,prediction,metric,steps,queries,attack_solves,adjoint_solves\n");
    for (int i = 0; i < N; i++)
        printf("%lld,%d,%d,%g,%g,%d,%d,%d\n", (long long)records[i].id, records[i].label, records[i].prediction,
               records[i].metric, (double)records[i].steps, records[i].queries, records[i].attack_solves,
               records[i].adjoint_solves);
    check_refused(net);
    Net_free(net);
    return 0;
}
