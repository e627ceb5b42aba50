/* resample.c - examples drawn with replacement, the same for all values of the same examples: differences, minima and
 * choices of several are thereby paired.  Slices that overlap are parts of what is drawn for them together, and an example
 * that several have is drawn as often for each.  Draws depend on the group and the number of its examples only. */
#include "arrays.h"
#include "random.h"
#include <math.h>
#include <stdlib.h>

struct deq_resamples { /* of some examples, DEQ_RESAMPLES at a time */
    struct deq_resamples *next;
    int group, block;
    int64_t n;               /* examples of the group */
    uint8_t *counts;         /* how often each example was drawn, by resample */
    double z[DEQ_RESAMPLES]; /* standard normal: within_wilson */
};

/* A count above 255 does not occur: among so many draws it has a chance below 1e-300. */
static bool draw(deq_resamples *r) {
    double *draws = malloc((size_t)r->n * sizeof *draws);
    if (!draws) return false;
    deq_stream(deq_key_text((uint64_t)r->group, "unseen examples"), (uint64_t)(r->block * DEQ_RESAMPLES), DEQ_RESAMPLES,
               true, r->z);
    for (int k = 0; k < DEQ_RESAMPLES; k++) {
        uint8_t *own = r->counts + (int64_t)k * r->n;
        deq_stream(deq_key_mix((uint64_t)r->group, (uint64_t)(r->block * DEQ_RESAMPLES + k)), 0, r->n, false, draws);
        for (int64_t i = 0; i < r->n; i++) {
            const int64_t drawn = (int64_t)(draws[i] * (double)r->n);
            uint8_t *count = &own[drawn < r->n ? drawn : r->n - 1];
            *count = (uint8_t)(*count + (*count < UINT8_MAX));
        }
    }
    free(draws);
    return true;
}

static const deq_resamples *draws_of(deq_arrays *g, const deq_sampled *s, int block) {
    for (deq_resamples *r = g->resamples; r; r = r->next)
        if (r->group == s->group && r->block == block) return r;
    const int64_t n = g->groups[s->group].to - g->groups[s->group].from;
    deq_resamples *r = calloc(1, sizeof *r);
    uint8_t *counts = calloc((size_t)n * DEQ_RESAMPLES + 1, sizeof *counts);
    if (r) *r = (deq_resamples){.next = g->resamples, .group = s->group, .block = block, .n = n, .counts = counts};
    if (!r || !counts || !draw(r)) return free(r), free(counts), NULL;
    return g->resamples = r;
}

/* 255 where the value is 1; NULL: some are neither 0 nor 1. */
static uint8_t *ones_of(const deq_sampled *s) {
    uint8_t *ones = malloc((size_t)s->n + 1);
    for (int64_t i = 0; ones && i < s->n; i++) {
        if (s->values[i] != 0 && s->values[i] != 1) return free(ones), NULL;
        ones[i] = s->values[i] == 1 ? 255 : 0;
    }
    return ones;
}

static double sum_of_ones(const uint8_t *counts, const uint8_t *ones, int64_t n) {
    int64_t sum = 0;
    for (int64_t from = 0; from < n; from += 1 << 16) { /* pieces whose sum fits 32 bits */
        const int64_t to = from + (1 << 16) < n ? from + (1 << 16) : n;
        uint32_t part = 0;
        for (int64_t i = from; i < to; i++) part += counts[i] & ones[i];
        sum += part;
    }
    return (double)sum;
}

static double sum_of(const uint8_t *counts, const double *values, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += counts[i] ? counts[i] * values[i] : 0;
    return sum;
}

static int64_t drawn_of(const uint8_t *counts, int64_t n) {
    int64_t drawn = 0;
    for (int64_t i = 0; i < n; i++) drawn += counts[i];
    return drawn;
}

/* Where nearly all of n examples agree, resamples do too, and say nothing of those that were not drawn: a share of 1 would
 * have no width.  Each resample of a group has a standard normal number z, and no share in it is above n / (n + z^2) where
 * z > 0, or below z^2 / (n + z^2) where z < 0.  These are Wilson's bounds, so that a share that is 1 or 0 keeps its own
 * interval in all that is computed from it.  Of shares of the same examples the least stays the least. */
static double within_wilson(double share, double z, int64_t n) {
    const double beyond = z * z / ((double)n + z * z);
    return z > 0 ? fmin(share, 1 - beyond) : fmax(share, beyond);
}

double deq_resampled_mean(deq_arrays *g, deq_sampled *s, int resample) {
    while (resample >= s->nmeans) {
        const deq_resamples *r = draws_of(g, s, s->nmeans / DEQ_RESAMPLES);
        double *grown = r ? realloc(s->means, (size_t)(s->nmeans + DEQ_RESAMPLES) * sizeof *grown) : NULL;
        if (!grown) return g->starved = true, NAN;
        s->means = grown;
        uint8_t *ones = ones_of(s);
        for (int k = 0; k < DEQ_RESAMPLES; k++) {
            const uint8_t *counts = r->counts + (int64_t)k * r->n + s->from;
            const int64_t drawn = s->n == r->n ? s->n : drawn_of(counts, s->n);
            const double sum = ones ? sum_of_ones(counts, ones, s->n) : sum_of(counts, s->values, s->n);
            const double mean = drawn ? sum / (double)drawn : NAN;
            s->means[s->nmeans + k] = s->share && drawn ? within_wilson(mean, r->z[k], s->n) : mean;
        }
        s->nmeans += DEQ_RESAMPLES;
        free(ones);
    }
    return s->means[resample];
}

int deq_resampled_seed(int axis, int resample, int at, int n) {
    const uint64_t key = deq_key_mix(deq_key_text((uint64_t)axis, "seeds"), (uint64_t)resample);
    const int drawn = (int)(deq_uniform(key, (uint64_t)at) * n);
    return drawn < n ? drawn : n - 1;
}

/* ---- groups ---- */
/* Widens the group by the slices of its split that the experiment evaluates on and that have an example of it; whether some
 * did. */
static bool widen(deq_arrays *g, deq_drawn *group, deq_error *e) {
    bool wider = false;
    for (int i = 0; i < g->x->narrays; i++)
        for (int k = 0; g->x->arrays[i].values && k < g->x->arrays[i].nspecs; k++) {
            const deq_value_spec *v = &g->x->arrays[i].values[k];
            int64_t from, to;
            if (!v->name || v->data.data != group->data || v->data.test != group->test) continue; /* or no such cell */
            deq_dataset *data = deq_app_data(g->app, v->data.data, e);
            if (!data || !deq_dataset_slice(data, &v->data, &from, &to, e)) return false;
            if (to <= group->from || group->to <= from || (group->from <= from && to <= group->to)) continue;
            if (from < group->from) group->from = from;
            if (to > group->to) group->to = to;
            wider = true;
        }
    return wider;
}

int deq_resamples_group(deq_arrays *g, const deq_slice *slice, deq_error *e) {
    for (int i = 0; i < g->ngroups; i++) {
        const deq_drawn *group = &g->groups[i];
        if (group->data == slice->data && group->test == slice->test && group->from <= slice->from &&
            slice->to <= group->to)
            return i;
    }
    deq_drawn *grown = realloc(g->groups, (size_t)(g->ngroups + 1) * sizeof *grown),
              group = {slice->data, slice->test, slice->from, slice->to};
    if (!grown) return deq_fail(e, DEQ_MEMORY, "out of memory for resamples"), -1;
    g->groups = grown;
    while (widen(g, &group, e)) continue;
    if (e->failure != DEQ_OK) return -1;
    g->groups[g->ngroups] = group;
    return g->ngroups++;
}

void deq_resamples_free(deq_arrays *g) {
    deq_resamples *r = g->resamples;
    free(g->groups);
    while (r) {
        deq_resamples *next = r->next;
        free(r->counts);
        free(r);
        r = next;
    }
}
