/* value.c - a C program that uses a library of tests/programs/carried.deq: what the net predicts is its value, the state
 * that NET_solve hands out and that losses are taken at.  usage: value CHECKPOINT IMAGES LABELS [PATH VALUE].  With PATH, a
 * setting that is made before the checkpoint is loaded.  Prints prediction, loss and margin of each example as
 * `deq journal --csv` prints them. */
#include "Net.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 200 };
#define HOLD(condition) (void)((condition) || (fprintf(stderr, "line %d: %s\n", __LINE__, Net_error(net)), exit(1), 0))

static float x[MOST * NET_INPUT], y[MOST * NET_OUTPUT], state[MOST * NET_OUTPUT];
static int64_t labels[MOST];
static double losses[MOST], beside[MOST];
static float d[MOST * NET_INPUT];

/* Unsigned bytes after `header` others; how many rows there are. */
static int read_bytes(const char *path, long header, int row, unsigned char *to) {
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, header, SEEK_SET)) exit(2);
    const int n = (int)fread(to, (size_t)row, MOST, f);
    fclose(f);
    return n;
}

int main(int argc, char **argv) {
    static unsigned char pixels[MOST * NET_INPUT], classes[MOST];
    if (argc < 4) return 2;
    const int n = read_bytes(argv[2], 16, NET_INPUT, pixels);
    if (n < 1 || read_bytes(argv[3], 8, 1, classes) != n) return 2;
    for (int i = 0; i < n * NET_INPUT; i++) x[i] = (float)pixels[i] / 255.0f;
    for (int i = 0; i < n; i++) labels[i] = classes[i];

    Net_ctx *net = Net_new(&(deq_library_options){.threads = 1});
    HOLD(net != NULL);
    if (argc > 5) HOLD(Net_set(net, argv[4], argv[5]) == 0);
    HOLD(Net_load(net, argv[1]) == 0);
    HOLD(Net_forward(net, n, x, y, NULL) == 0);
    HOLD(Net_solve(net, n, x, "body", 1, 1, NULL, NULL, state, NULL, NULL) == 0);
    HOLD(memcmp(y, state, (size_t)n * NET_OUTPUT * sizeof *y) == 0); /* this net's output is its state */
    HOLD(Net_gradient_labels(net, n, x, labels, NULL, losses, NULL, NULL, NULL) == 0);
    HOLD(Net_gradient_labels(net, n, x, labels, NULL, beside, d, NULL, NULL) == 0);
    HOLD(memcmp(losses, beside, (size_t)n * sizeof *losses) == 0); /* whether a gradient is asked for or not */
    for (int i = 0; i < n; i++) {
        const float *row = y + i * NET_OUTPUT;
        int best = 0, other = labels[i] == 0;
        for (int k = 1; k < NET_OUTPUT; k++) {
            if (row[k] > row[best]) best = k;
            if (k != labels[i] && row[k] > row[other]) other = k;
        }
        printf("%d,%.17g,%.17g\n", best, losses[i], (double)row[labels[i]] - (double)row[other]);
    }
    Net_free(net);
    return 0;
}
