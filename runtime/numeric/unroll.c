/* unroll.c - see unroll.h. */
#include "unroll.h"
#include <string.h>

unrolled_steps NAME(unroll_take)(const deq_fixed *fixed, deq_space *space, int64_t n) {
    size_t bytes = (size_t)n * (size_t)fixed->state_bytes;
    unrolled_steps b;
    b.u = deq_space_take(space, bytes);
    b.v = deq_space_take(space, bytes);
    b.out = deq_space_take(space, bytes);
    b.state = deq_space_take(space, bytes);
    b.bad = deq_space_take(space, (size_t)n * sizeof *b.bad);
    b.skip = deq_space_take(space, (size_t)n * sizeof *b.skip);
    b.example = deq_space_take(space, (size_t)n * sizeof *b.example);
    return b;
}

size_t NAME(unroll_bytes)(const deq_fixed *fixed, int64_t n) {
    deq_space space = {NULL, 0};
    NAME(unroll_take)(fixed, &space, n);
    return space.used;
}

void NAME(unroll_load)(const deq_frame *frame, const deq_fixed *fixed, int64_t n, unrolled_steps *b) {
    deq_worker *worker = frame->host;
    const deq_kept *kept = &worker->kept[fixed->index];
    bool cut = worker->request.settings[fixed->index].on_fail == DEQ_ZERO_GRADIENT;
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    memcpy(b->u, frame->arg1, (size_t)(n * fixed->state_bytes));
    for (int64_t row = 0; row < n; row++) {
        bool skip = cut && kept->failed[row];
        b->bad[row] = skip || kept->bad[row] || !NAME(row_finite)((vec *)b->u + row * vectors, vectors);
        if (b->bad[row] && !skip) deq_worker_left_out(worker, fixed, row, frame->example ? frame->example[row] : row);
    }
    memset(frame->drest, 0, (size_t)n * (size_t)fixed->rest_bytes);
}

/* deq_engine_hold: the states of all n examples, if each was left somewhere before. */
static bool take_held(const deq_worker *worker, const deq_fixed *fixed, const int64_t *example, int64_t n, char *z) {
    const deq_held *h = worker->request.held ? &worker->request.held[fixed->index] : NULL;
    const size_t bytes = (size_t)fixed->state_bytes;
    for (int64_t row = 0; row < n; row++) {
        const int64_t at = example ? example[row] : row;
        if (!h || at < 0 || at >= h->count || !h->taken[at]) return false;
        memcpy(z + (size_t)row * bytes, h->states + (size_t)at * bytes, bytes);
    }
    return true;
}

static void hold(const deq_worker *worker, const deq_fixed *fixed, const int64_t *example, int64_t n, const char *z) {
    deq_held *h = worker->request.held ? &worker->request.held[fixed->index] : NULL;
    const size_t bytes = (size_t)fixed->state_bytes;
    for (int64_t row = 0; h && row < n; row++) {
        const int64_t at = example ? example[row] : row;
        if (at < 0 || at >= h->count) continue;
        memcpy(h->states + (size_t)at * bytes, z + (size_t)row * bytes, bytes);
        h->taken[at] = true;
    }
}

void NAME(solve_after)(forward *c, int count, double damping, bool undamped_first) {
    const int64_t *example = c->problem.ident;
    if (take_held(c->worker, c->fixed, example, c->n, c->kept->z)) {
        memset(c->kept->failed, 0, (size_t)c->n * sizeof *c->kept->failed);
    } else {
        NAME(forward_run)(c, c->kept->z);
        hold(c->worker, c->fixed, example, c->n, c->kept->z);
    }
    NAME(forward_linearise)(c, count, damping, undamped_first);
}

void NAME(gradient_after)(const deq_frame *frame, const deq_fixed *fixed, int64_t n, double damping,
                          bool undamped_first) {
    deq_worker *worker = frame->host;
    deq_kept *kept = &worker->kept[fixed->index];
    deq_space space = {worker->solver, 0};
    unrolled_steps b = NAME(unroll_take)(fixed, &space, n);
    deq_frame inner = *frame;
    NAME(unroll_load)(frame, fixed, n, &b);
    inner.rows = kept->rows;
    inner.example = NULL;
    NAME(steps_back)
    (&inner, fixed, n, kept->steps, damping, undamped_first, kept->tape, kept->tape_stride, b.u, b.v, b.out, b.bad);
}
