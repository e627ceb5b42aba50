/* measure_gradients.c - gradients of the loss in the inputs under two modes, beside each other: cosine and relative error,
 * example by example. */
#include "measure.h"
#include "ranks.h"
#include "reals.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Gradients { /* of n examples */
    void *of, *to;         /* dense rows */
    double *loss;
    float *steps, *residual;
    int32_t *prediction, *label;
    deq_row_counts *counts, *more; /* of each of the two */
} Gradients;

static bool make(Gradients *g, int64_t n, size_t input) {
    const size_t count = (size_t)n;
    *g = (Gradients){malloc(count * input),
                     malloc(count * input),
                     malloc(count * sizeof *g->loss),
                     calloc(2 * count, sizeof *g->steps),
                     NULL,
                     malloc(2 * count * sizeof *g->prediction),
                     NULL,
                     calloc(2 * count, sizeof *g->counts),
                     NULL};
    if (!g->of || !g->to || !g->loss || !g->steps || !g->prediction || !g->counts) return false;
    g->residual = g->steps + n;
    g->label = g->prediction + n;
    g->more = g->counts + n;
    return true;
}

static void drop(Gradients *g) {
    free(g->of);
    free(g->to);
    free(g->loss);
    free(g->steps);
    free(g->prediction);
    free(g->counts);
}

/* A gradient that was left out, since it was not finite, or cut by on_fail, was not made. */
static bool is_made(const deq_row_counts *c) { return !c->left_out && !c->cut; }

/* Two zeros are the same; a zero has no direction, and nothing is near it.  NaN where one of the two is not finite. */
static double compared(const Gradients *g, int bits, int64_t elements, int64_t i, bool cosine) {
    double aa = 0, bb = 0, ab = 0, difference = 0;
    for (int64_t k = i * elements; k < (i + 1) * elements; k++) {
        const double a = deq_real_get(bits, g->of, k), b = deq_real_get(bits, g->to, k);
        aa += a * a, bb += b * b, ab += a * b;
        difference += (a - b) * (a - b);
    }
    if (!isfinite(aa) || !isfinite(bb)) return NAN;
    if (aa == 0 && bb == 0) return cosine ? 1 : 0;
    if (cosine) return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
    return sqrt(difference / bb);
}

static bool gradient(const deq_measuring *m, const char *mode, const int64_t *index, int64_t n, void *dx,
                     deq_results *results, deq_error *e) {
    return deq_engine_set(m->engine, "gradient", mode, e) &&
           deq_engine_input_gradients(m->engine, &m->source, index, n, m->value->loss, dx, results, e);
}

bool deq_measure_gradients(const deq_measuring *m, const int64_t *index, int64_t n, deq_record *out, deq_error *e) {
    const size_t input = deq_engine_input_bytes(m->engine);
    const int bits = (int)m->app->module->real_bits;
    const int64_t elements = (int64_t)input / (bits / 8);
    const bool cosine = !strcmp(m->value->metric, "cosine");
    const uint32_t token = deq_engine_save_settings(m->engine);
    Gradients g = {0};
    bool ok =
        make(&g, n, input) || deq_fail(e, DEQ_MEMORY, "out of memory for the gradients of %lld examples", (long long)n);
    deq_results first = {.loss = g.loss,
                         .steps = g.steps,
                         .residual = g.residual,
                         .prediction = g.prediction,
                         .label = g.label,
                         .counts = g.counts},
                second = {.counts = g.more};
    ok = ok && gradient(m, m->value->compared.of, index, n, g.of, &first, e) &&
         gradient(m, m->value->compared.to, index, n, g.to, &second, e);
    for (int64_t i = 0; ok && i < n; i++) {
        const deq_row_counts *a = &g.counts[i], *b = &g.more[i];
        deq_record r = deq_record_empty(index[i]);
        r.metric = is_made(a) && is_made(b) ? compared(&g, bits, elements, i, cosine) : NAN;
        r.loss = g.loss[i];
        r.label = g.label[i];
        r.prediction = g.prediction[i];
        r.evaluations = a->evaluations + b->evaluations;
        r.products = a->products + b->products;
        r.processor_seconds = a->seconds + b->seconds;
        if (a->solves) {
            r.steps = g.steps[i];
            r.residual = g.residual[i];
            r.reason = a->reason;
            r.solves = a->solves;
            r.unconverged = a->unconverged;
        }
        out[i] = r;
    }
    deq_engine_restore_settings(m->engine, token);
    if (ok && m->finished) m->finished(m->context, out, n, deq_ranks_first());
    drop(&g);
    return ok;
}
