/* unroll.c - cotangents through steps that were made: phantom and Jacobian-free (the steps after the state), plain
 * backpropagation through the solver's own, with or without checkpoints. */
#include "solve.h"
#include <string.h>

HOT static void scaled(vec *out, const vec *x, real c, int64_t n) { row_scale(out, c, x, n); }

/* u <- (1 - damping) u + out, the cotangent of the state before. */
HOT static void step_back(vec *u, const vec *out, real damping, int64_t n) {
    const real keep = 1 - damping;
    ROW_LOOP(n, u[k] = keep * u[k] + out[k];);
}

HOT static void damp(vec *z, const vec *f, real damping, int64_t n) {
    const real keep = 1 - damping;
    if (damping == 1)
        row_copy(z, f, n);
    else
        ROW_LOOP(n, z[k] = keep * z[k] + damping * f[k];);
}

typedef struct buffers {
    real *u, *v, *out, *state;
    bool *bad, *skip; /* by row, by position */
    int64_t *example; /* by position */
} buffers;

static buffers take_buffers(const deq_fixed *fixed, deq_space *space, int64_t n) {
    size_t bytes = (size_t)n * (size_t)fixed->state_bytes;
    buffers b;
    b.u = deq_space_take(space, bytes);
    b.v = deq_space_take(space, bytes);
    b.out = deq_space_take(space, bytes);
    b.state = deq_space_take(space, bytes);
    b.bad = deq_space_take(space, (size_t)n * sizeof *b.bad);
    b.skip = deq_space_take(space, (size_t)n * sizeof *b.skip);
    b.example = deq_space_take(space, (size_t)n * sizeof *b.example);
    return b;
}

/* u = the cotangent; what is not finite, or is not to be used, is marked as bad. */
static void load(const deq_frame *frame, const deq_fixed *fixed, int64_t n, buffers *b) {
    deq_worker *worker = frame->host;
    const deq_kept *kept = &worker->kept[fixed->index];
    bool cut = worker->settings[fixed->index].on_fail == DEQ_ZERO_GRADIENT;
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    memcpy(b->u, frame->arg1, (size_t)(n * fixed->state_bytes));
    for (int64_t row = 0; row < n; row++) {
        bool skip = cut && kept->failed[row];
        b->bad[row] = skip || kept->bad[row] || !NAME(row_finite)((vec *)b->u + row * vectors, vectors);
        if (b->bad[row] && !skip) NAME(record_lost)(worker, fixed, row, frame->example, kept->steps);
    }
    memset(frame->drest, 0, (size_t)n * (size_t)fixed->rest_bytes);
}

void NAME(deq_gradient_steps)(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    deq_worker *worker = frame->host;
    deq_kept *kept = &worker->kept[fixed->index];
    deq_space space = {worker->solver, 0};
    buffers b = take_buffers(fixed, &space, n);
    bool phantom = kept->mode.kind == DEQ_MODE_phantom;
    deq_frame inner = *frame;
    load(frame, fixed, n, &b);
    inner.rows = kept->rows;
    inner.example = NULL;
    NAME(steps_back)
    (&inner, fixed, n, kept->steps, phantom ? kept->mode.damping : 1, phantom && kept->mode.undamped_first, kept->tape,
     kept->tape_stride, b.u, b.v, b.out, b.bad);
}

/* Linearises steps from .. to again, whose first state was kept. */
static void linearise_again(const deq_frame *frame, const deq_fixed *fixed, deq_kept *kept, int64_t block, int from,
                            int to, int every, const buffers *b) {
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    const vec *first = (const vec *)(kept->states + from / every * block * fixed->state_bytes);
    size_t bytes = (size_t)fixed->state_bytes;
    deq_frame f = *frame;
    for (int64_t i = 0; i < kept->active[from]; i++)
        memcpy((vec *)b->state + kept->rows[from * block + i] * vectors, first + i * vectors, bytes);
    f.arg0 = b->v;
    f.arg1 = b->out;
    for (int t = from; t < to; t++) {
        const int32_t *rows = kept->rows + t * block;
        for (int64_t i = 0; i < kept->active[t]; i++) {
            memcpy((vec *)b->v + i * vectors, (vec *)b->state + rows[i] * vectors, bytes);
            if (frame->example) b->example[i] = frame->example[rows[i]];
        }
        f.example = frame->example ? b->example : NULL;
        f.tape = kept->tape + (t - from) * kept->tape_stride;
        f.rows = rows;
        fixed->lin(&f, kept->active[t]);
        for (int64_t i = 0; i < kept->active[t]; i++)
            damp((vec *)b->state + rows[i] * vectors, (vec *)b->out + i * vectors, (real)kept->damping, vectors);
    }
}

/* Examples ended at different steps: each step has its own rows. */
void NAME(deq_gradient_backprop)(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    deq_worker *worker = frame->host;
    deq_kept *kept = &worker->kept[fixed->index];
    deq_space space = {worker->solver, 0};
    buffers b = take_buffers(fixed, &space, n);
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec), block = worker->block;
    int every = kept->mode.checkpoint > 0 ? kept->mode.checkpoint : kept->steps;
    load(frame, fixed, n, &b);
    deq_frame inner = *frame;
    inner.example = NULL;
    real damping = (real)kept->damping;
    for (int from = (kept->steps - 1) / every * every; from >= 0; from -= every) {
        int to = from + every < kept->steps ? from + every : kept->steps;
        if (kept->mode.checkpoint > 0) linearise_again(frame, fixed, kept, block, from, to, every, &b);
        for (int t = to - 1; t >= from; t--) {
            const int32_t *rows = kept->rows + t * block;
            int64_t active = kept->active[t];
            for (int64_t i = 0; i < active; i++) {
                b.skip[i] = b.bad[rows[i]];
                scaled((vec *)b.v + i * vectors, (vec *)b.u + rows[i] * vectors, damping, vectors);
            }
            inner.tape = kept->tape + (t - from) * kept->tape_stride;
            inner.rows = rows;
            inner.arg0 = b.v;
            inner.arg1 = b.out;
            if (t == 0) {
                NAME(call_good)(frame->accum ? fixed->vjp_rest : fixed->vjp_x, &inner, fixed, active, b.skip);
                break;
            }
            NAME(call_good)(frame->accum ? fixed->vjp_all : fixed->vjp_zx, &inner, fixed, active, b.skip);
            for (int64_t i = 0; i < active; i++)
                if (!b.skip[i]) step_back((vec *)b.u + rows[i] * vectors, (vec *)b.out + i * vectors, damping, vectors);
        }
    }
}
