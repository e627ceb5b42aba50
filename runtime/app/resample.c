/* resample.c - examples drawn with replacement, the same for all values of the same examples: differences, minima and
 * choices of several are thereby paired.  Draws depend on the group and the number of examples only. */
#include "arrays.h"
#include "random.h"
#include <math.h>
#include <stdlib.h>

struct deq_resamples {
    struct deq_resamples *next;
    int group;
    int64_t n;
    uint16_t *counts; /* how often each example was drawn, by resample */
};

static deq_resamples *draws_of(deq_arrays *g, const deq_sampled *s) {
    for (deq_resamples *r = g->resamples; r; r = r->next)
        if (r->group == s->group && r->n == s->n) return r;
    deq_resamples *r = calloc(1, sizeof *r);
    uint16_t *counts = calloc((size_t)s->n * DEQ_RESAMPLES, sizeof *counts);
    if (!r || !counts) return free(r), free(counts), NULL;
    for (int k = 0; k < DEQ_RESAMPLES; k++) {
        const uint64_t stream = deq_key_mix((uint64_t)s->group, (uint64_t)k);
        uint16_t *own = counts + (int64_t)k * s->n;
        for (int64_t i = 0; i < s->n; i++) {
            const int64_t drawn = (int64_t)(deq_uniform(stream, (uint64_t)i) * (double)s->n);
            uint16_t *count = &own[drawn < s->n ? drawn : s->n - 1];
            *count = (uint16_t)(*count + (*count < UINT16_MAX));
        }
    }
    *r = (deq_resamples){g->resamples, s->group, s->n, counts};
    return g->resamples = r;
}

double deq_resampled_mean(deq_arrays *g, deq_sampled *s, int resample) {
    if (!s->means) {
        const deq_resamples *r = draws_of(g, s);
        s->means = r ? malloc(DEQ_RESAMPLES * sizeof *s->means) : NULL;
        for (int k = 0; s->means && k < DEQ_RESAMPLES; k++) {
            const uint16_t *counts = r->counts + (int64_t)k * s->n;
            double sum = 0;
            for (int64_t i = 0; i < s->n; i++) sum += counts[i] ? counts[i] * s->values[i] : 0;
            s->means[k] = sum / (double)s->n;
        }
    }
    return s->means ? s->means[resample] : NAN;
}

void deq_resamples_free(deq_resamples *r) {
    while (r) {
        deq_resamples *next = r->next;
        free(r->counts);
        free(r);
        r = next;
    }
}
