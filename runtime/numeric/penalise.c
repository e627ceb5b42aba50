/* penalise.c - terms of the training loss at the equilibria of a block: their values, and their gradients by the
 * reverse of the tangent program (NAME_vjp_jvp).
 *
 * Both are of the form norm(J'u)^2 with u held constant: d norm(J'u)^2 = 2 d(u'J w) at w = J'u, again with w held
 * constant.  What depends on the parameters goes to accum at once; the cotangents of the state and of the rest record
 * wait in `kept` until the gradient of the loss passes the fixed point. */
#include "solve.h"
#include <math.h>
#include <string.h>

HOT static double row_square(const vec *x, int64_t n) { return (double)row_dot(x, x, n); }
HOT static void scaled(vec *out, const vec *x, real c, int64_t n) { row_scale(out, c, x, n); }
HOT static void added(vec *out, const vec *x, int64_t n) { row_axpy(out, 1, x, n); }

typedef struct buffers {
    real *u, *w, *out;
    char *tape;
    double *value; /* by row, of one penalty */
    bool *bad;     /* by row: left out */
} buffers;

static buffers take_buffers(const deq_fixed *fixed, deq_space *space, int64_t n) {
    size_t bytes = (size_t)n * (size_t)fixed->state_bytes;
    buffers b;
    b.u = deq_space_take(space, bytes);
    b.w = deq_space_take(space, bytes);
    b.out = deq_space_take(space, bytes);
    b.tape = deq_space_take(space, (size_t)(n * fixed->tape_bytes) + DEQ_ALIGN);
    b.value = deq_space_take(space, (size_t)n * sizeof *b.value);
    b.bad = deq_space_take(space, (size_t)n * sizeof *b.bad);
    return b;
}

size_t NAME(deq_penalty_bytes)(const deq_fixed *fixed, const deq_penalties *p, int64_t n) {
    deq_space space = {NULL, 0};
    if (deq_penalties_given(p)) take_buffers(fixed, &space, n);
    return space.used;
}

typedef struct term {
    deq_frame frame; /* of the routines: rest, rows, tape, scratch */
    deq_worker *worker;
    const deq_fixed *fixed;
    deq_kept *kept;
    const deq_penalty *penalty;
    int64_t n, vectors;
    const void *z;
    void *accum;
    buffers b;
} term;

static vec *at(const term *t, const real *rows, int64_t i) { return (vec *)rows + i * t->vectors; }

static void apply(term *t, deq_routine_fn *routine, const void *in, void *out) {
    deq_frame f = t->frame;
    f.arg0 = (void *)in;
    f.arg1 = out;
    routine(&f, t->n);
}

static void draw(const term *t, deq_penalty_kind kind, int sample) {
    int64_t stride = t->fixed->state_bytes;
    NAME(deq_random)
    ((void *)&t->frame, t->b.u, stride, stride / (int64_t)sizeof(real), t->n, 1, deq_penalty_site(kind, t->fixed->name),
     sample);
}

/* Rows of length 1; one that vanishes stays zero. */
static void normalise(const term *t, real *rows) {
    for (int64_t i = 0; i < t->n; i++) {
        double norm = sqrt(row_square(at(t, rows, i), t->vectors));
        if (norm > 0) scaled(at(t, rows, i), at(t, rows, i), (real)(1 / norm), t->vectors);
    }
}

/* Adds factor * norm(w)^2 at w = J'u to the values, and its gradient to where it belongs; u is overwritten. */
static void square(term *t, double factor) {
    apply(t, t->fixed->vjp_z, t->b.u, t->b.w);
    for (int64_t i = 0; i < t->n; i++) {
        double value = factor * row_square(at(t, t->b.w, i), t->vectors);
        if (!t->b.bad[i] && !isfinite(value)) {
            t->b.bad[i] = true;
            deq_worker_left_out(t->worker, t->fixed, i, t->frame.example ? t->frame.example[i] : i);
        }
        if (t->b.bad[i]) continue;
        t->b.value[i] += value;
        scaled(at(t, t->b.u, i), at(t, t->b.u, i), (real)(2 * factor), t->vectors);
    }
    for (int64_t from = 0, to; from < t->n; from = to + 1) { /* runs of good rows */
        for (to = from; to < t->n && !t->b.bad[to];) to++;
        if (to == from) continue;
        deq_frame f = t->frame;
        f.rows += from;
        f.drest = t->kept->added_drest;
        f.accum = t->accum;
        f.arg0 = (char *)t->z + from * t->fixed->state_bytes;
        f.arg1 = at(t, t->b.u, from);
        f.arg2 = at(t, t->b.w, from);
        f.arg3 = at(t, t->b.out, from);
        t->fixed->vjp_jvp(&f, to - from);
        for (int64_t i = from; i < to && !t->penalty->detach; i++)
            added(at(t, t->kept->added_u, i), at(t, t->b.out, i), t->vectors);
    }
}

static void jacobian(term *t, double weight) {
    int samples = t->penalty->samples;
    for (int s = 0; s < samples; s++) {
        draw(t, DEQ_PENALTY_jacobian, s);
        square(t, weight / ((double)t->fixed->dimension * samples));
    }
}

static void spectral(term *t, double weight) {
    draw(t, DEQ_PENALTY_spectral, 0);
    for (int k = 0; k < t->penalty->iterations; k++) {
        apply(t, t->fixed->vjp_z, t->b.u, t->b.w);
        normalise(t, t->b.w);
        apply(t, t->fixed->jvp, t->b.w, t->b.u);
        normalise(t, t->b.u);
    }
    square(t, weight);
}

void NAME(deq_penalise)(deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, int64_t n, void *rest,
                        const void *z) {
    static void (*const terms[DEQ_PENALTIES])(term *, double) = {
        [DEQ_PENALTY_jacobian] = jacobian, [DEQ_PENALTY_spectral] = spectral};
    const deq_fixed_settings *s = &worker->request.settings[fixed->index];
    deq_kept *kept = &worker->kept[fixed->index];
    deq_space space = {worker->solver, 0};
    bool linearised = false;
    term t = {*frame,
              worker,
              fixed,
              kept,
              NULL,
              n,
              fixed->state_bytes / (int64_t)sizeof(vec),
              z,
              frame->accum,
              take_buffers(fixed, &space, n)};
    t.frame.rest = rest;
    t.frame.drest = t.frame.accum = NULL;
    t.frame.rows = worker->identity;
    t.frame.tape = t.b.tape;
    t.frame.scratch = worker->scratch;
    for (int kind = 0; kind < DEQ_PENALTIES; kind++) {
        if (!terms[kind]) continue; /* the correction was made while the solver ran */
        double weight =
            deq_penalty_weight(&s->penalties, (deq_penalty_kind)kind, frame->seed, frame->step, fixed->name);
        if (weight == 0) continue;
        if (!linearised) {
            apply(&t, fixed->lin, z, t.b.out);
            NAME(deq_added_open)(fixed, kept, n);
            linearised = true;
        }
        t.penalty = &s->penalties.kinds[kind];
        for (int64_t i = 0; i < n; i++) {
            t.b.value[i] = 0;
            t.b.bad[i] = kept->bad[i] || (s->on_fail == DEQ_ZERO_GRADIENT && kept->failed[i]);
        }
        terms[kind](&t, weight);
        for (int64_t i = 0; i < n; i++) worker->request.penalty[i] += t.b.value[i];
    }
}

void NAME(deq_added_open)(const deq_fixed *fixed, deq_kept *kept, int64_t n) {
    if (kept->added) return;
    memset(kept->added_u, 0, (size_t)(n * fixed->state_bytes));
    memset(kept->added_drest, 0, (size_t)(n * fixed->rest_bytes));
    kept->added = true;
}

void *NAME(deq_penalty_cotangent)(const deq_fixed *fixed, deq_kept *kept, int64_t n, const void *u) {
    added((vec *)kept->added_u, u, n * fixed->state_bytes / (int64_t)sizeof(vec));
    return kept->added_u;
}

void NAME(deq_penalty_rest)(const deq_fixed *fixed, const deq_kept *kept, int64_t n, void *drest) {
    added(drest, (const vec *)kept->added_drest, n * fixed->rest_bytes / (int64_t)sizeof(vec));
}
