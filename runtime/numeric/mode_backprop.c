/* mode_backprop.c - plain backpropagation through all that makes the value: the solver's own steps up to the state that
 * it returns, with or without checkpoints, and the steps of `finish` after it.  Where a defence is read, through all that
 * makes the states that it reads. */
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
    const deq_finish finish = deq_finish_of(s);
    const int after = deq_finish_steps(&finish);
    return (deq_needs){.steps = steps + after,
                       .tapes = (every > 0 && every < steps ? every : steps) + after,
                       .states = every > 0 ? (steps - 1) / every + 1 : 0,
                       .solver = NAME(unroll_bytes)(fixed, n) + (size_t)(n * (fixed->state_bytes + DEQ_ALIGN))};
}

/* The tape of a step of the finish: behind those of the solver. */
static char *tape_after(const deq_kept *kept, int most, int t) {
    const int every = kept->mode.checkpoint;
    return kept->tape + ((every > 0 && every < most ? every : most) + t) * kept->tape_stride;
}

/* The steps of `finish`, linearised, each with the rows that make it; in the places behind those of the solver. */
static void finish_steps(forward *c) {
    deq_kept *kept = c->kept;
    const int64_t vectors = c->fixed->state_bytes / (int64_t)sizeof(vec), block = c->worker->block;
    const int most = c->settings->forward.max;
    deq_space space = c->space;
    real *in = deq_space_take(&space, (size_t)(c->n * c->fixed->state_bytes));
    real *out = deq_space_take(&space, (size_t)(c->n * c->fixed->state_bytes));
    int64_t *example = deq_space_take(&space, (size_t)c->n * sizeof *example);
    for (int t = 0; t < deq_finish_steps(&c->finish.settings); t++) {
        int32_t *rows = kept->rows + (most + t) * block;
        int64_t count = 0;
        for (int64_t row = 0; row < c->n; row++) {
            if (!c->finish.due[row]) continue;
            row_copy((vec *)in + count * vectors, (const vec *)c->z + row * vectors, vectors);
            if (c->frame.example) example[count] = c->frame.example[row];
            rows[count++] = (int32_t)row;
        }
        kept->active[most + t] = count;
        if (count == 0) continue;
        deq_frame f = c->frame;
        f.rows = rows;
        f.example = c->frame.example ? example : NULL;
        f.tape = tape_after(kept, most, t);
        f.arg0 = in;
        f.arg1 = out;
        deq_linearise(c->fixed, &f, count);
        const real share = (real)deq_finish_share(&c->finish.settings, t);
        for (int64_t i = 0; i < count; i++) {
            vec *z = (vec *)c->z + rows[i] * vectors, *next = (vec *)out + i * vectors;
            if (NAME(damped_step)(next, z, next, share, vectors))
                row_copy(z, next, vectors);
            else
                kept->bad[rows[i]] = true;
        }
    }
}

/* kept->made: the steps behind each state that the solver returns. */
static void solve(forward *c) {
    const deq_defence *d = c->problem.defence;
    if (d && d->value != 0) c->finish.settings = c->given;
    c->problem.tapes = c->kept;
    NAME(forward_run)(c, c->z);
    for (int64_t row = 0; row < c->n; row++) {
        const progress *q = &c->problem.progress[row];
        c->kept->bad[row] = q->reason == DEQ_REASON_diverged;
        c->kept->made[row] = returns_last(&c->problem, q, q->steps) ? q->steps
                             : q->lowest_step > 0                   ? q->lowest_step
                                                                    : 0;
        /* a defence may have made the solver go on after that */
        if (d && q->reason == DEQ_REASON_converged && q->lowest_step > 0) c->kept->made[row] = q->lowest_step;
    }
    finish_steps(c);
    if (d && d->value != 0) problem_defend_value(&c->problem, d, c->z);
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
        deq_linearise(fixed, &f, kept->active[t]);
        for (int64_t i = 0; i < kept->active[t]; i++)
            damp((vec *)b->state + rows[i] * vectors, (vec *)b->out + i * vectors, (real)kept->damping, vectors);
    }
}

/* Back through the steps of the finish: u becomes the cotangent of the solver's states. */
static void gradient_after(const deq_frame *frame, const deq_fixed *fixed, const deq_fixed_settings *s,
                           const unrolled_steps *b) {
    deq_worker *worker = frame->host;
    deq_kept *kept = &worker->kept[fixed->index];
    const int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec), block = worker->block;
    const deq_finish finish = deq_finish_of(s);
    const int most = s->forward.max;
    deq_frame inner = *frame;
    inner.example = NULL;
    inner.arg0 = b->v;
    inner.arg1 = b->out;
    for (int t = deq_finish_steps(&finish) - 1; t >= 0; t--) {
        const real share = (real)deq_finish_share(&finish, t);
        const int32_t *rows = kept->rows + (most + t) * block;
        const int64_t count = kept->active[most + t];
        for (int64_t i = 0; i < count; i++) {
            b->skip[i] = b->bad[rows[i]];
            scaled((vec *)b->v + i * vectors, (vec *)b->u + rows[i] * vectors, share, vectors);
        }
        inner.rows = rows;
        inner.tape = tape_after(kept, most, t);
        NAME(call_good)(frame->accum ? fixed->vjp_all : fixed->vjp_zx, &inner, fixed, count, b->skip);
        for (int64_t i = 0; i < count; i++)
            if (!b->skip[i]) step_back((vec *)b->u + rows[i] * vectors, (vec *)b->out + i * vectors, share, vectors);
    }
}

/* What a defence reads, as the loop over the steps goes back through them. */
typedef struct reading {
    const deq_defence *defence; /* NULL: the value, which is u */
    const vec *g;               /* the cotangent of what is read */
    vec *value;                 /* the part of it that is the value's, at the solver's state */
    int32_t *last;              /* by row: the last state; 0: it has not been met */
} reading;

HOT static void add(vec *sum, real share, const vec *g, int64_t n) { row_axpy(sum, share, g, n); }

/* The cotangent of the value goes through the steps of the finish and waits; u begins anew. */
static void begin_reading(const deq_frame *frame, const deq_fixed *fixed, int64_t n, const unrolled_steps *b,
                          reading *r) {
    deq_worker *worker = frame->host;
    const size_t bytes = (size_t)(n * fixed->state_bytes);
    const int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    r->defence = worker->request.defence;
    r->g = frame->arg1;
    memset(r->last, 0, (size_t)n * sizeof *r->last);
    for (int64_t row = 0; row < n; row++)
        scaled((vec *)b->u + row * vectors, r->g + row * vectors, (real)r->defence->value, vectors);
    if (r->defence->value != 0) gradient_after(frame, fixed, &worker->request.settings[fixed->index], b);
    memcpy(r->value, b->u, bytes);
    memset(b->u, 0, bytes);
}

/* u of this row becomes the whole cotangent of state `step`. */
static void read_state(reading *r, const deq_kept *kept, int64_t row, int step, vec *u, int64_t vectors) {
    const deq_defence *d = r->defence;
    const bool ends = r->last[row] == 0;
    if (ends) r->last[row] = step;
    const double share = deq_defence_weight(d, step) + (ends ? deq_defence_weight_after(d, step) : 0);
    add(u, (real)(share + d->all / r->last[row]), r->g + row * vectors, vectors);
    if (d->value != 0 && step == kept->made[row]) add(u, 1, r->value + row * vectors, vectors);
}

/* Examples ended at different steps: each step has its own rows. */
static void gradient(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    deq_worker *worker = frame->host;
    deq_kept *kept = &worker->kept[fixed->index];
    deq_space space = {worker->solver, 0};
    unrolled_steps b = NAME(unroll_take)(fixed, &space, n);
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec), block = worker->block;
    int every = kept->mode.checkpoint > 0 ? kept->mode.checkpoint : kept->steps;
    reading reads = {.defence = NULL};
    NAME(unroll_load)(frame, fixed, n, &b);
    if (worker->request.defence && worker->request.knows) {
        reads.value = deq_space_take(&space, (size_t)(n * fixed->state_bytes));
        reads.last = deq_space_take(&space, (size_t)n * sizeof *reads.last);
        begin_reading(frame, fixed, n, &b, &reads);
    } else {
        gradient_after(frame, fixed, &worker->request.settings[fixed->index], &b);
    }
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
                b.skip[i] = b.bad[rows[i]] || (!reads.defence && t >= kept->made[rows[i]]);
                if (reads.defence && !b.skip[i])
                    read_state(&reads, kept, rows[i], t + 1, (vec *)b.u + rows[i] * vectors, vectors);
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
