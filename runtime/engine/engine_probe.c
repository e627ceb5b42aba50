/* engine_probe.c - calls that look: residual traces, how solves end, spectra, margins, outputs and gradients of rows. */
#include "engine_run.h"
#include "signals.h"
#include "spectral.h"
#include <math.h>
#include <string.h>

/* They may take long, and nothing of them is kept. */
static bool go_on(void *context, int64_t done, int64_t total) {
    (void)context, (void)done, (void)total;
    return !deq_interrupted();
}

typedef struct trace {
    float *residuals;
    int steps;
} trace;

/* The first fixed point's residuals. */
static void record_trace(void *context, const deq_states *s) {
    const run_place *place = context;
    const trace *t = place->run->listener;
    if (s->fixed->index != 0 || s->step > t->steps) return;
    for (int64_t i = 0; i < s->n; i++)
        t->residuals[(place->from + s->rows[i]) * t->steps + s->step - 1] = (float)s->residual[i];
}

/* The examples of a solve are those of its block, in order. */
static void record_spectrum(void *context, const deq_frame *frame, const deq_fixed *fixed, int64_t n, void *rest,
                            const void *z) {
    const run_place *place = context;
    deq_worker *worker = frame->host;
    deq_spectrum *out = (deq_spectrum *)place->run->listener + fixed->index * place->run->n + place->from;
    if (!(worker->real_bits == 32 ? deq_spectrum_f32 : deq_spectrum_f64)(worker, frame, fixed, n, rest, z, NULL, out))
        deq_fail(&worker->error, DEQ_MEMORY, "the vectors of a spectrum of fixed point %s", fixed->name);
}

bool deq_engine_residual_trace(deq_engine *g, const deq_source *source, const int64_t *index, int64_t n, int max,
                               float *out, deq_error *e) {
    trace t = {out, max};
    run r = {.engine = g,
             .purpose = PREDICT,
             .source = source,
             .index = index,
             .n = n,
             .progress = go_on,
             .stream = record_trace,
             .listener = &t};
    for (int64_t i = 0; i < n * max; i++) out[i] = NAN;
    return engine_execute(&r, NULL, NULL, NULL, e);
}

bool deq_engine_solves(deq_engine *g, const deq_source *source, const int64_t *index, int64_t n, const char *loss,
                       deq_solve_record *forward, deq_solve_record *adjoint, deq_error *e) {
    run r = {.engine = g, .purpose = INPUT_GRADIENT, .source = source, .index = index, .n = n, .progress = go_on};
    r.records[0] = forward;
    r.records[1] = adjoint;
    memset(forward, 0, (size_t)(g->nfixed * n) * sizeof *forward);
    memset(adjoint, 0, (size_t)(g->nfixed * n) * sizeof *adjoint);
    return engine_execute(&r, loss, NULL, NULL, e);
}

bool deq_engine_spectrum(deq_engine *g, const deq_source *source, const int64_t *index, int64_t n, deq_spectrum *out,
                         deq_error *e) {
    run r = {.engine = g,
             .purpose = PREDICT,
             .source = source,
             .index = index,
             .n = n,
             .progress = go_on,
             .solved = record_spectrum,
             .listener = out};
    for (int64_t i = 0; i < g->nfixed * n; i++) out[i] = (deq_spectrum){NAN, NAN, NAN, NAN, NAN};
    return engine_execute(&r, NULL, NULL, NULL, e);
}

bool deq_engine_margin(deq_engine *g, int fixed, double *margin, deq_error *e) {
    const deq_fixed *f = g->descriptors[fixed];
    const deq_fixed_settings *settings[1] = {g->settings};
    deq_worker *worker = g->workers[0].solver;
    deq_frame frame = {.shared = g->shared, .host = worker};
    *margin = NAN;
    if (!f->linear || !f->shared_linear || f->dimension > DEQ_RESOLVENT_MOST) return true;
    return deq_worker_plan(worker, settings, 1, false, e) && deq_resolvent_margin(worker, &frame, f, margin, e);
}

/* ---- dense rows ---- */

bool deq_engine_forward(deq_engine *g, int64_t n, const void *x, void *output, deq_results *results, deq_error *e) {
    return engine_predict(g, n, x, output, NULL, results, e);
}

bool deq_engine_input_gradient(deq_engine *g, int64_t n, const void *x, const void *y, const char *loss, void *dx,
                               deq_results *results, deq_error *e) {
    if (!loss || !y) return deq_fail(e, DEQ_MODULE, "an input gradient needs a loss and its targets");
    const engine_loss *l = engine_find_loss(g, loss, e);
    if (!l) return false;
    engine_dense rows = {x, y, g->input_count * g->real_bytes, l->target_count * g->real_bytes};
    deq_source source = {&rows, engine_gather_dense};
    return deq_engine_input_gradients(g, &source, NULL, n, loss, dx, results, e);
}

bool deq_engine_input_gradients(deq_engine *g, const deq_source *source, const int64_t *index, int64_t n,
                                const char *loss, void *dx, deq_results *results, deq_error *e) {
    run r = {.engine = g,
             .purpose = dx ? INPUT_GRADIENT : LOSS,
             .source = source,
             .index = index,
             .n = n,
             .dealt = g->dealt,
             .results = results,
             .dense_dx = dx};
    return engine_execute(&r, loss, NULL, NULL, e);
}
