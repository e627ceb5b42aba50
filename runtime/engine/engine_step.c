/* engine_step.c - what becomes of a gradient between the batch that it was made of and the optimiser's step: sums over
 * several batches, clipping; and of the step itself: factors by parameter, of which 0 is frozen.
 *
 * One thread sums in the order of the parameters, so that no number of threads changes a bit. */
#include "engine_step.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double at(const deq_engine *g, const char *v, int64_t k) { return deq_real_get(g->real_bits, v, k); }
static void put(const deq_engine *g, char *v, int64_t k, double x) { deq_real_put(g->real_bits, v, k, x); }

bool deq_engine_gather(deq_engine *g, double share, bool first, bool last, deq_error *e) {
    const int64_t n = g->parameter_bytes / g->real_bytes;
    if (!g->gathered && !(g->gathered = malloc((size_t)n * sizeof *g->gathered)))
        return deq_fail(e, DEQ_MEMORY, "the gradients of several batches of net %s", g->name);
    for (int64_t k = 0; k < n; k++) {
        const double term = share * at(g, g->gradients, k);
        g->gathered[k] = first ? term : g->gathered[k] + term;
    }
    if (!last) {
        engine_statistics(g);
        if (g->statistics) deq_engine_prepare(g); /* an attack on the next batch reads them */
        return true;
    }
    for (int64_t k = 0; k < n; k++) put(g, g->gradients, k, g->gathered[k]);
    return true;
}

/* ---- factors by parameter ---- */

bool deq_engine_rates(deq_engine *g, const double *rates, deq_error *e) {
    const size_t n = (size_t)g->net->nparameters;
    free(g->rates);
    free(g->before);
    g->rates = NULL;
    g->before = NULL;
    if (!rates) return true;
    g->rates = malloc((n + 1) * sizeof *g->rates);
    g->before = deq_memory_new((size_t)g->parameter_bytes);
    if (!g->rates || !g->before)
        return deq_fail(e, DEQ_MEMORY, "%lld bytes for the rates of net %s", (long long)g->parameter_bytes, g->name);
    memcpy(g->rates, rates, n * sizeof *g->rates);
    return true;
}

/* The next parameter whose steps have another factor than 1; NULL: there is none. */
static const deq_parameter *next_rated(const deq_engine *g, int *i, double *rate) {
    for (; g->rates && *i < g->net->nparameters; (*i)++) {
        const deq_parameter *p = &g->net->parameters[*i];
        if (!p->trained || g->rates[*i] == 1) continue;
        *rate = g->rates[(*i)++];
        return p;
    }
    return NULL;
}

void engine_rates_begin(const deq_engine *g) {
    double rate;
    int i = 0;
    for (const deq_parameter *p; (p = next_rated(g, &i, &rate));)
        memcpy(g->before + p->offset, g->shared + p->offset, (size_t)(p->shape.elements * g->real_bytes));
}

void engine_rates_end(const deq_engine *g) {
    double rate;
    int i = 0;
    for (const deq_parameter *p; (p = next_rated(g, &i, &rate));) {
        char *now = g->shared + p->offset;
        const char *was = g->before + p->offset;
        if (rate == 0)
            memcpy(now, was, (size_t)(p->shape.elements * g->real_bytes));
        else
            for (int64_t k = 0; k < p->shape.elements; k++)
                put(g, now, k, at(g, was, k) + rate * (at(g, now, k) - at(g, was, k)));
    }
}

/* ---- clipping ---- */

static double norm(const deq_engine *g) {
    double sum = 0;
    for (int i = 0; i < g->net->nparameters; i++) {
        const deq_parameter *p = &g->net->parameters[i];
        const char *v = g->gradients + p->offset;
        double own = 0; /* of the parameter: errors do not grow with the size of the net */
        for (int64_t k = 0; p->trained && k < p->shape.elements; k++) own += at(g, v, k) * at(g, v, k);
        sum += own;
    }
    return sqrt(sum);
}

static bool scale_to(const deq_engine *g, double length, double most) {
    if (!(length > most)) return false;
    for (int i = 0; i < g->net->nparameters; i++) {
        const deq_parameter *p = &g->net->parameters[i];
        char *v = g->gradients + p->offset;
        for (int64_t k = 0; p->trained && k < p->shape.elements; k++) put(g, v, k, at(g, v, k) * (most / length));
    }
    return true;
}

static bool cut_to(const deq_engine *g, double most) {
    bool any = false;
    for (int i = 0; i < g->net->nparameters; i++) {
        const deq_parameter *p = &g->net->parameters[i];
        char *v = g->gradients + p->offset;
        for (int64_t k = 0; p->trained && k < p->shape.elements; k++) {
            const double x = at(g, v, k);
            if (fabs(x) <= most || isnan(x)) continue;
            put(g, v, k, copysign(most, x));
            any = true;
        }
    }
    return any;
}

double deq_engine_clip(deq_engine *g, const deq_clip *clip, bool *clipped) {
    double rate;
    int i = 0;
    for (const deq_parameter *p; (p = next_rated(g, &i, &rate));) /* what is frozen has no part in the norm */
        if (rate == 0) memset(g->gradients + p->offset, 0, (size_t)(p->shape.elements * g->real_bytes));
    *clipped = false;
    if (clip->kind == DEQ_CLIP_none) return NAN;
    const double length = norm(g);
    *clipped = clip->kind == DEQ_CLIP_norm ? scale_to(g, length, clip->most) : cut_to(g, clip->most);
    return length;
}
