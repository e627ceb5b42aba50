/* engine_states.c - the states that a solver makes and the one that the net goes on with, as dense rows. */
#include "engine_run.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a state without padding. */
static int64_t dense_bytes(const run *r, const deq_fixed *fixed) { return fixed->dimension * r->engine->real_bytes; }

static void copy_state(const run *r, const deq_fixed *fixed, const char *from, char *to) {
    for (int64_t c = 0; c < fixed->components; c++) {
        const int64_t bytes = fixed->counts[c] * r->engine->real_bytes;
        memcpy(to, from, (size_t)bytes);
        to += bytes;
        from += (bytes + DEQ_ALIGN - 1) / DEQ_ALIGN * DEQ_ALIGN;
    }
}

/* States from this one on: those that the solve still makes overwrite it. */
static void hear_state(void *context, const deq_states *s) {
    const run_place *place = context;
    const run *r = place->run;
    const deq_state_rows *out = r->listener;
    const int64_t bytes = dense_bytes(r, s->fixed), count = out->last - out->first + 1;
    if (s->fixed->index != out->fixed || s->step > out->last) return;
    const int64_t at = s->step < out->first ? 0 : s->step - out->first;
    for (int64_t i = 0; i < s->n; i++) {
        const int64_t row = (place->from + s->rows[i]) * count;
        if (out->residuals && s->step >= out->first) out->residuals[row + at] = (float)s->residual[i];
        char *states = out->states ? (char *)out->states + row * bytes : NULL;
        if (!states) continue;
        copy_state(r, s->fixed, (const char *)s->z + i * s->fixed->state_bytes, states + at * bytes);
        for (int64_t k = at + 1; k < count; k++) memcpy(states + k * bytes, states + at * bytes, (size_t)bytes);
    }
}

static void hear_solved(void *context, const deq_frame *frame, const deq_fixed *fixed, int64_t n, void *rest,
                        const void *z) {
    (void)frame;
    (void)rest;
    const run_place *place = context;
    const run *r = place->run;
    const deq_state_rows *out = r->listener;
    const int64_t bytes = dense_bytes(r, fixed);
    if (fixed->index != out->fixed || !out->equilibrium) return;
    for (int64_t i = 0; i < n; i++)
        copy_state(r, fixed, (const char *)z + i * fixed->state_bytes,
                   (char *)out->equilibrium + (place->from + i) * bytes);
}

bool deq_engine_states(deq_engine *g, const deq_source *source, int64_t n, const deq_state_rows *out,
                       deq_results *results, deq_error *e) {
    const bool every = out->states || out->residuals;
    run r = {.engine = g,
             .purpose = PREDICT,
             .source = source,
             .n = n,
             .results = results,
             .stream = every ? hear_state : NULL,
             .solved = hear_solved,
             .listener = (void *)out};
    r.records[0] = out->records;
    if (out->records) memset(out->records, 0, (size_t)(g->nfixed * n) * sizeof *out->records);
    const int64_t count = every ? n * (out->last - out->first + 1) : 0;
    for (int64_t i = 0; out->residuals && i < count; i++) out->residuals[i] = NAN;
    if (out->states) memset(out->states, 0, (size_t)(count * dense_bytes(&r, g->descriptors[out->fixed])));
    return engine_execute(&r, NULL, NULL, NULL, e);
}

/* ---- kept solves ---- */

void deq_kept_states_free(deq_kept_states *k) {
    for (int i = 0; k && i < k->count; i++) {
        free(k->known[i].states);
        free(k->known[i].ends);
    }
    free(k);
}

static deq_kept_states *kept_new(const deq_engine *g, int64_t n, deq_error *e) {
    deq_kept_states *k = calloc(1, sizeof *k + (size_t)g->nfixed * sizeof *k->known);
    bool good = k != NULL;
    for (int i = 0; good && i < g->nfixed; i++) {
        k->count = i + 1;
        k->known[i].states = deq_memory_new((size_t)(n * g->descriptors[i]->state_bytes));
        k->known[i].ends = calloc((size_t)n, sizeof *k->known[i].ends);
        good = k->known[i].states && k->known[i].ends;
    }
    if (good) return k;
    deq_kept_states_free(k);
    return deq_fail(e, DEQ_MEMORY, "the states of %lld examples of net %s", (long long)n, g->name), NULL;
}

deq_kept_states *deq_engine_keep(deq_engine *g, int64_t n, const void *x, void *output, deq_results *results,
                                 deq_error *e) {
    deq_kept_states *k = kept_new(g, n, e);
    if (!k) return NULL;
    if (engine_predict(g, n, x, output, k->known, results, e)) return k;
    deq_kept_states_free(k);
    return NULL;
}
