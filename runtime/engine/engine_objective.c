/* engine_objective.c - gradients of functions of the output that are not the loss: the net's vector-Jacobian product. */
#include "engine_run.h"
#include <stdlib.h>
#include <string.h>

/* ---- dense rows as a source ---- */

static void copy_rows(char *to, int64_t stride, const char *from, int64_t bytes, const int64_t *index, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        memcpy(to + i * stride, from + (index ? index[i] : i) * bytes, (size_t)bytes);
        memset(to + i * stride + bytes, 0, (size_t)((bytes + DEQ_ALIGN - 1) / DEQ_ALIGN * DEQ_ALIGN - bytes));
    }
}

void engine_gather_dense(void *context, const int64_t *index, int64_t n, int real_bits, void *x, int64_t input_bytes,
                         void *y, int64_t target_bytes) {
    (void)real_bits;
    const engine_dense *d = context;
    copy_rows(x, input_bytes, d->x, d->input, index, n);
    if (y && d->y) copy_rows(y, target_bytes, d->y, d->target, index, n);
}

/* ---- cotangents given from outside ---- */

/* The function dot(record, output): its derivative is the record.  frame->rest: an engine_given. */
static void given(const deq_frame *frame, int64_t n) {
    const engine_given *g = frame->rest;
    const int64_t count = g->stride / g->real_bytes;
    const int bits = 8 * (int)g->real_bytes;
    for (int64_t i = 0; i < n; i++) {
        const char *record = g->records + (frame->rows ? frame->rows[i] : i) * g->stride;
        const char *output = (char *)frame->arg0 + i * g->stride;
        char *to = (char *)frame->arg1 + i * DEQ_ALIGN;
        double value = 0;
        for (int64_t k = 0; k < count; k++) value += deq_real_get(bits, record, k) * deq_real_get(bits, output, k);
        memset(to, 0, DEQ_ALIGN);
        deq_real_put(bits, to, 0, value);
        memcpy((char *)frame->arg2 + i * g->stride, record, (size_t)g->stride);
    }
}

engine_given engine_objective_ask(const engine_objective *o, const deq_engine *g, int64_t from, deq_frame *frame) {
    frame->objective = o->function ? o->function : given;
    frame->record = o->records + from * o->stride;
    return (engine_given){o->records + from * o->stride, o->stride, g->real_bytes};
}

bool deq_engine_vjp(deq_engine *g, int64_t n, const void *x, const deq_kept_states *kept, const void *cotangent,
                    void *dx, bool parameters, deq_results *results, deq_error *e) {
    engine_dense rows = {x, NULL, g->input_count * g->real_bytes, 0};
    deq_source source = {&rows, engine_gather_dense};
    engine_objective objective = {NULL, NULL, g->output_bytes};
    if (n < 1) return deq_fail(e, DEQ_SETTING, "net %s was called with no examples", g->name);
    objective.records = deq_memory_new((size_t)(n * g->output_bytes));
    if (!objective.records) return deq_fail(e, DEQ_MEMORY, "the cotangents of %lld examples", (long long)n);
    copy_rows(objective.records, g->output_bytes, cotangent, g->output_count * g->real_bytes, NULL, n);
    run r = {.engine = g,
             .purpose = parameters ? BOTH_GRADIENTS : INPUT_GRADIENT,
             .source = &source,
             .n = n,
             .results = results,
             .objective = &objective,
             .summed = true,
             .kept = kept ? kept->known : NULL,
             .dense_dx = dx};
    const bool good = engine_execute(&r, NULL, NULL, NULL, e);
    free(objective.records);
    return good;
}
