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

void NAME(forward_start)(forward *c, real *result) {
    const int64_t *example = c->problem.ident;
    if (c->problem.defence)
        NAME(forward_defended)(c, result);
    else if (take_held(c->worker, c->fixed, example, c->n, (char *)result)) {
        memset(c->kept->failed, 0, (size_t)c->n * sizeof *c->kept->failed);
        c->problem.n = c->n;
        c->problem.images = NULL;
        c->space = (deq_space){c->worker->solver, 0};
        NAME(finish_begin)(&c->finish, &c->problem, true);
    } else {
        NAME(forward_run)(c, result);
        hold(c->worker, c->fixed, example, c->n, (const char *)result);
    }
}

/* How many of the mode's first steps are all those of the finish; -1: it makes others. */
static int shared_steps(const deq_finish *f, int count, double damping, bool undamped_first) {
    const int steps = deq_finish_steps(f);
    if (steps > count) return -1;
    for (int t = 0; t < steps; t++)
        if (deq_finish_share(f, t) != (t == 0 && undamped_first ? 1 : damping)) return -1;
    return steps;
}

/* value = c->z of the rows that make the finish's steps. */
static void take_value(const forward *c, real *value) {
    const size_t bytes = (size_t)c->fixed->state_bytes;
    for (int64_t row = 0; row < c->n; row++)
        if (c->finish.due[row])
            memcpy((char *)value + (size_t)row * bytes, (const char *)c->z + (size_t)row * bytes, bytes);
}

void NAME(solve_after)(forward *c, int count, double damping, bool undamped_first) {
    const size_t bytes = (size_t)(c->n * c->fixed->state_bytes);
    const int shared = shared_steps(&c->finish.settings, count, damping, undamped_first);
    NAME(forward_record)(c);
    NAME(forward_start)(c, c->kept->z);
    real *value = deq_space_take(&c->space, bytes);
    memcpy(value, c->kept->z, bytes);
    if (shared < 0) NAME(forward_finish)(c, value);
    if (shared > 0) {
        NAME(forward_linearise)(c, 0, shared, damping, undamped_first);
        take_value(c, value);
        if (shared < count) memcpy(c->kept->z, c->z, bytes);
    }
    if (shared < count)
        NAME(forward_linearise)(c, shared > 0 ? shared : 0, count - (shared > 0 ? shared : 0), damping, undamped_first);
    if (!c->surrogate) memcpy(c->z, value, bytes);
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
