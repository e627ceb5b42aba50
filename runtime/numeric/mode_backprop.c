/* mode_backprop.c - plain backpropagation through the solver's own steps, with or without checkpoints. */
#include "unroll.h"
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

static deq_needs needs(const deq_fixed *fixed, const deq_fixed_settings *s, int64_t n) {
    const int steps = s->forward.max, every = s->gradient.checkpoint;
    return (deq_needs){.steps = steps,
                       .tapes = every > 0 && every < steps ? every : steps,
                       .states = every > 0 ? (steps - 1) / every + 1 : 0,
                       .solver = NAME(unroll_bytes)(fixed, n)};
}

/* The derivative of the last state is what it computes. */
static void solve(forward *c) {
    c->problem.keep_last = true;
    c->options.last = 1;
    c->problem.tapes = c->kept;
    NAME(forward_run)(c, c->z);
    for (int64_t row = 0; row < c->n; row++) c->kept->bad[row] = c->problem.progress[row].reason == DEQ_REASON_diverged;
}

/* Linearises steps from .. to again, whose first state was kept. */
static void linearise_again(const deq_frame *frame, const deq_fixed *fixed, deq_kept *kept, int64_t block, int from,
                            int to, int every, const unrolled_steps *b) {
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
static void gradient(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    deq_worker *worker = frame->host;
    deq_kept *kept = &worker->kept[fixed->index];
    deq_space space = {worker->solver, 0};
    unrolled_steps b = NAME(unroll_take)(fixed, &space, n);
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec), block = worker->block;
    int every = kept->mode.checkpoint > 0 ? kept->mode.checkpoint : kept->steps;
    NAME(unroll_load)(frame, fixed, n, &b);
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

const mode_routines NAME(mode_backprop) = {.needs = needs, .solve = solve, .gradient = gradient};
