#include "rank_costs.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Shares of the time over the ranks: the mean, the largest and whose it is. */
typedef struct Share {
    double mean, most;
    int rank;
} Share;

static void share_of(Share *s, double part, double whole, int rank) {
    const double value = whole > 0 ? part / whole : 0;
    s->mean += value / deq_ranks_count();
    if (rank == 0 || value > s->most) s->most = value, s->rank = rank;
}

#define DIFFER 0.005 /* shares that print as two numbers */

static void print_share(char *out, size_t size, const char *what, const Share *s) {
    const int n = snprintf(out, size, "%.1f %% %s", 100 * s->mean, what);
    if (s->most - s->mean > DIFFER && n > 0 && (size_t)n < size)
        snprintf(out + n, size - (size_t)n, " (rank %d: %.1f %%)", s->rank, 100 * s->most);
}

static json_t *share_json(const Share *s) {
    return json_pack("{s:f, s:f, s:i}", "mean", s->mean, "most", s->most, "rank", s->rank);
}

void deq_report_ranks(deq_reporter *r, const char *name, const deq_ranks_cost *own, double examples) {
    const int count = deq_ranks_count();
    int64_t *at = NULL;
    char reductions[100], waits[100], rate[120] = "";
    Share reducing = {0}, waiting = {0};
    double most = 0, carried = 0, reduced = 0;
    if (count < 2) return;
    char *all = deq_ranks_gather(own, sizeof *own, &at);
    for (int p = 0; all && p < count; p++) {
        deq_ranks_cost c;
        memcpy(&c, all + at[p], sizeof c);
        share_of(&reducing, c.reducing, c.seconds, p);
        share_of(&waiting, c.waiting, c.seconds, p);
        most = fmax(most, c.seconds);
        carried = fmax(carried, c.carried);
        reduced = fmax(reduced, c.reduced);
    }
    free(all);
    free(at);
    const double each = most > 0 ? examples / most : 0;
    if (examples > 0) snprintf(rate, sizeof rate, "%.1f examples/s in all, %.1f a rank, ", each, each / count);
    print_share(reductions, sizeof reductions, "of the time in reductions", &reducing);
    print_share(waits, sizeof waits, "waiting", &waiting);
    deq_report(r, "%s%sranks: %d, %s%s, %s, %.0f kB sent by a rank", name ? name : "", name ? ": " : "", count, rate,
               reductions, waits, carried / 1000);
    json_t *members =
        json_pack("{s:i, s:f, s:o, s:o, s:I, s:I}", "count", count, "seconds", most, "reducing", share_json(&reducing),
                  "waiting", share_json(&waiting), "reduced", (json_int_t)reduced, "bytes", (json_int_t)carried);
    if (name) json_object_set_new(members, "name", json_string(name));
    if (examples > 0) json_object_set_new(members, "examples_per_second", json_real(each));
    deq_report_event(r, "ranks", members);
}
