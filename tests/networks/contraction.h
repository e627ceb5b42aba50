/* contraction.h - makes the cells of std.mdeq and std.conv_deq contractions: what a branch adds to the sums before the
 * last normalisation is then mostly offsets of the channels, and little that depends on the state.  (Scaling weights
 * would do nothing: the normalisations undo it.) */
#ifndef DEQ_TESTS_CONTRACTION_H
#define DEQ_TESTS_CONTRACTION_H
#include "probe.h"
#include "random.h"
#include <string.h>

static inline bool contraction_ends(const char *text, const char *tail) {
    size_t n = strlen(text), m = strlen(tail);
    return n >= m && !strcmp(text + n - m, tail);
}

/* `share`: of a branch's variation in the next state; the parameters under `cell`, in f64. */
static inline void contract(deq_probe *p, const char *cell, double share) {
    double *values = deq_engine_parameters(p->engine);
    for (int i = 0; i < p->ngroups; i++) {
        const deq_group *g = &p->groups[i];
        bool gain = contraction_ends(g->name, ".norm.gain") || contraction_ends(g->name, ".norm3.gain");
        bool bias = contraction_ends(g->name, ".norm.bias") || contraction_ends(g->name, ".norm3.bias");
        /* channels that relu leaves without variation would be blown up */
        bool shift = contraction_ends(g->name, ".norm2.bias");
        if (g->input || strncmp(g->name, cell, strlen(cell)) != 0 || !(gain || bias || shift)) continue;
        for (int64_t k = 0; k < g->count; k++) {
            double *v = &values[g->first + k];
            *v = gain ? share * *v : bias ? deq_normal(deq_key_text(29, g->name), (uint64_t)k) : 1 + *v;
        }
    }
    deq_engine_prepare(p->engine);
}
#endif
