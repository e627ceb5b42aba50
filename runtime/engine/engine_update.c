/* engine_update.c - optimiser steps: the parameter vector in rows of DEQ_CHUNK elements, spread over the threads. */
#include "engine_step.h"
#include <stdlib.h>
#include <string.h>

#define ROWS 16       /* rows of one task */
#define MOST_STATES 6 /* arg2 .. arg7 */

bool deq_engine_optimiser(deq_engine *g, int states, deq_error *e) {
    if (states < 0 || states > MOST_STATES)
        return deq_fail(e, DEQ_MODULE, "an optimiser with %d vectors of state: at most %d are possible", states,
                        MOST_STATES);
    size_t bytes = (size_t)states * (size_t)g->parameter_bytes;
    if (states != g->state_count || !g->states) {
        free(g->states);
        g->state_count = 0;
        g->states = deq_memory_new(bytes);
        if (!g->states) return deq_fail(e, DEQ_MEMORY, "%zu bytes for the optimiser of net %s", bytes, g->name);
        g->state_count = states;
    }
    memset(g->states, 0, bytes);
    return true;
}

void *deq_engine_optimiser_states(deq_engine *g, int64_t *bytes) {
    *bytes = g->state_count * g->parameter_bytes;
    return g->states;
}

typedef struct update {
    deq_engine *engine;
    const deq_routine *routine;
    const double *scalars;
    int64_t rows;
} update;

static void update_task(void *context, int worker, int64_t task) {
    const update *u = context;
    deq_engine *g = u->engine;
    int64_t from = task * ROWS, n = u->rows - from < ROWS ? u->rows - from : ROWS,
            at = from * DEQ_CHUNK * g->real_bytes;
    deq_frame frame = {.shared = g->shared,
                       .scratch = g->workers[worker].scratch,
                       .scalars = u->scalars,
                       .host = g->workers[worker].solver,
                       .arg0 = g->shared + at,
                       .arg1 = g->gradients + at};
    void **arguments[] = {&frame.arg2, &frame.arg3, &frame.arg4, &frame.arg5, &frame.arg6, &frame.arg7};
    for (int i = 0; i < g->state_count; i++) *arguments[i] = g->states + i * g->parameter_bytes + at;
    u->routine->function(&frame, n);
}

bool deq_engine_update(deq_engine *g, const char *routine, int states, const double *scalars, deq_error *e) {
    update u = {g, engine_routine(g, routine), scalars, g->parameter_bytes / (DEQ_CHUNK * g->real_bytes)};
    if (!u.routine) return deq_fail(e, DEQ_MODULE, "the compiled object has no optimiser %s", routine);
    if ((!g->states || states != g->state_count) && !deq_engine_optimiser(g, states, e)) return false;
    if (!engine_scratch(g, u.routine->base_bytes + ROWS * u.routine->row_bytes, e)) return false;
    engine_rates_begin(g);
    deq_pool_run(g->pool, (u.rows + ROWS - 1) / ROWS, update_task, &u);
    engine_rates_end(g);
    engine_statistics(g);
    deq_engine_prepare(g);
    return true;
}

typedef struct check {
    const deq_engine *engine;
    _Atomic bool failed;
} check;

static void check_task(void *context, int worker, int64_t task) {
    (void)worker;
    check *c = context;
    const deq_engine *g = c->engine;
    const int64_t most = (int64_t)ROWS * DEQ_CHUNK * g->real_bytes, from = task * most,
                  left = g->parameter_bytes - from;
    if (!(g->real_bits == 32 ? deq_finite_f32 : deq_finite_f64)(g->shared + from, left < most ? left : most))
        c->failed = true;
}

bool deq_engine_finite(deq_engine *g) {
    check c = {.engine = g};
    const int64_t rows = g->parameter_bytes / (DEQ_CHUNK * g->real_bytes);
    deq_pool_run(g->pool, (rows + ROWS - 1) / ROWS, check_task, &c);
    return !c.failed;
}

void engine_statistics(deq_engine *g) {
    if (!g->statistics) return;
    deq_frame frame = {
        .shared = g->shared, .accum = g->gradients, .scratch = g->workers[0].scratch, .host = g->workers[0].solver};
    g->statistics->function(&frame, 1);
}

/* ---- states held constant ---- */

bool deq_engine_hold(deq_engine *g, int64_t count, deq_error *e) {
    for (int i = 0; g->held && i < g->nfixed; i++) {
        free(g->held[i].states);
        free(g->held[i].taken);
    }
    free(g->held);
    g->held = NULL;
    if (count < 1) return true;
    g->held = calloc((size_t)g->nfixed + 1, sizeof *g->held);
    for (int i = 0; g->held && i < g->nfixed; i++) {
        deq_held *h = &g->held[i];
        h->states = deq_memory_new((size_t)(count * g->descriptors[i]->state_bytes));
        h->taken = calloc((size_t)count, sizeof *h->taken);
        if (h->states && h->taken)
            h->count = count;
        else
            return deq_fail(e, DEQ_MEMORY, "the states of %lld examples of net %s", (long long)count, g->name);
    }
    return g->held || deq_fail(e, DEQ_MEMORY, "the states of %lld examples", (long long)count);
}

/* ---- start: previous ---- */

bool deq_engine_remember(deq_engine *g, int64_t first, int64_t count, deq_error *e) {
    int64_t bytes = 0;
    free(g->previous);
    g->previous = NULL;
    for (int i = 0; i < g->nfixed; i++)
        if (g->settings[i].start == DEQ_START_PREVIOUS) bytes += count * g->descriptors[i]->state_bytes;
    g->first_visited = first;
    g->visited = count;
    g->previous_bytes = bytes;
    if (!bytes) return true;
    g->previous = deq_memory_new((size_t)bytes);
    if (!g->previous)
        return deq_fail(e, DEQ_MEMORY, "%lld bytes for the last states of %lld examples (`start: previous`)",
                        (long long)bytes, (long long)count);
    memset(g->previous, 0xff, (size_t)bytes); /* NaN */
    return true;
}

void *deq_engine_previous(deq_engine *g, int64_t *bytes) {
    *bytes = g->previous_bytes;
    return g->previous;
}
