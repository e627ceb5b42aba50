/* rows.c - examples change rows: those that have left a loop go behind those that run, and back when the routine ends.
 *
 * What belongs to an example moves with it: the routine's own rows, its identity, and what the worker keeps by row. */
#include "deq_runtime.h"
#include "worker.h"
#include <string.h>

typedef struct Held { /* of a table: what a routine holds by row */
    char *base;
    int64_t stride;
} Held;

static void swap(char *a, char *b, int64_t bytes) {
    enum { PIECE = 64 }; /* of a constant size: copied by vector registers */
    char kept[PIECE], other[PIECE];
    int64_t at = 0;
    for (; at + PIECE <= bytes; at += PIECE) {
        memcpy(kept, a + at, PIECE);
        memcpy(other, b + at, PIECE);
        memcpy(a + at, other, PIECE);
        memcpy(b + at, kept, PIECE);
    }
    memcpy(kept, a + at, (size_t)(bytes - at));
    memcpy(a + at, b + at, (size_t)(bytes - at));
    memcpy(b + at, kept, (size_t)(bytes - at));
}

static void swap_in(void *base, int64_t stride, int64_t a, int64_t b) {
    if (base) swap((char *)base + a * stride, (char *)base + b * stride, stride);
}

static void swap_worker(deq_worker *w, int64_t a, int64_t b) {
    swap_in(w->steps, sizeof *w->steps, a, b);
    swap_in(w->residual, sizeof *w->residual, a, b);
    swap_in(w->counts, sizeof *w->counts, a, b);
    for (int i = 0; i < w->fixed_count; i++) {
        const deq_visits *v = &w->visits[i];
        const int64_t bytes = w->fixed[i]->state_bytes;
        if (v->states) swap_in(v->states, bytes, a, b), swap_in(v->visitor, sizeof *v->visitor, a, b);
        if (v->joint) swap_in(v->joint, 2 * bytes, a, b), swap_in(v->carrier, sizeof *v->carrier, a, b);
    }
}

static void swap_rows(const deq_frame *f, const Held *table, int64_t count, int64_t a, int64_t b) {
    for (int64_t k = 0; k < count; k++) swap_in(table[k].base, table[k].stride, a, b);
    swap_in((void *)f->example, sizeof *f->example, a, b);
    if (f->host) swap_worker(f->host, a, b);
}

void deq_rows_begin(void *order, int64_t n) {
    for (int64_t i = 0; i < n; i++) *(int64_t *)((char *)order + i * DEQ_ALIGN) = i;
}

static void drop(const deq_frame *f, int64_t *kept, const char *flags, int64_t stride, int64_t real, const Held *table,
                 int64_t count) {
    for (int64_t i = *kept - 1; i >= 0; i--) {
        const char *flag = flags + i * stride;
        const bool done = real == 4 ? *(const float *)flag != 0 : *(const double *)flag != 0;
        if (done && i < --*kept) swap_rows(f, table, count, i, *kept);
    }
}

void deq_rows_drop_f32(void *frame, void *kept, void *flags, int64_t stride, void *table, int64_t count) {
    drop(frame, kept, flags, stride, 4, table, count);
}

void deq_rows_drop_f64(void *frame, void *kept, void *flags, int64_t stride, void *table, int64_t count) {
    drop(frame, kept, flags, stride, 8, table, count);
}

void deq_rows_restore(void *frame, int64_t n, void *order, void *table, int64_t count) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t at = *(int64_t *)((char *)order + i * DEQ_ALIGN); at != i;
             at = *(int64_t *)((char *)order + i * DEQ_ALIGN))
            swap_rows(frame, table, count, i, at);
}
