/* mode_augmented.c - Eq. 12 of Yang et al. 2022 (JIIO) for state and adjoint:
 *     z <- (1 - a) z + a f(z),   u <- (1 - b) u + b (J(z)'u + dL/dz),   from z = u = 0, J and dL/dz at the old z.
 *
 * Its third block, the input, is an attack's own loop: x <- project(x + alpha (df/dx)'u).  With carry and one step the
 * state and the adjoint go on from where they were at the input before, so that the attack's iterations are those of
 * the joint map on (z, u, x), each block damped on its own (Remark 4.2).  All steps are made, so that a result depends
 * on its example alone; an example whose iterates stop being finite keeps its last finite ones.
 *
 * The joint state is no prediction: the net goes on with the value, for which the forward solver runs as for every other
 * mode.  Under `judge: surrogate` it goes on with the joint state, and the forward solver does nothing. */
#include "cotangents.h"
#include "mode.h"
#include <math.h>
#include <string.h>

typedef struct buffers {
    real *z, *f, *h, *g;
    double *state_error, *adjoint_error;
    int *steps;
} buffers;

static buffers take_buffers(const deq_fixed *fixed, deq_space *space, int64_t n) {
    size_t bytes = (size_t)n * (size_t)fixed->state_bytes;
    buffers b;
    b.z = deq_space_take(space, bytes);
    b.f = deq_space_take(space, bytes);
    b.h = deq_space_take(space, bytes);
    b.g = deq_space_take(space, bytes);
    b.state_error = deq_space_take(space, (size_t)n * sizeof(double));
    b.adjoint_error = deq_space_take(space, (size_t)n * sizeof(double));
    b.steps = deq_space_take(space, (size_t)n * sizeof *b.steps);
    return b;
}

static size_t joint_bytes(const deq_fixed *fixed, int64_t n) {
    deq_space space = {NULL, 0};
    take_buffers(fixed, &space, n);
    return space.used;
}

/* norm(h - z) / norm(h) with h = f, or f + g. */
HOT static double relative(const vec *z, const vec *f, const vec *g, int64_t n) {
    ACCUMULATORS(a);
    ACCUMULATORS(b);
    if (g)
        ROW_LOOP(n, const vec h = f[k] + g[k]; const vec t = h - z[k]; a[lane] += t * t; b[lane] += h * h;);
    else
        ROW_LOOP(n, const vec t = f[k] - z[k]; a[lane] += t * t; b[lane] += f[k] * f[k];);
    return sqrt((double)total4(a)) / (sqrt((double)total4(b)) + 1e-9);
}

HOT static void move(vec *z, const vec *f, const vec *g, real share, int64_t n) {
    const real keep = 1 - share;
    if (g)
        ROW_LOOP(n, z[k] = keep * z[k] + share * (f[k] + g[k]););
    else
        ROW_LOOP(n, z[k] = keep * z[k] + share * f[k];);
}

/* Residuals at the iterates (u NULL: of the state only); false when something is not finite. */
static bool look_at(const buffers *b, const vec *z, const vec *u, int64_t row, int64_t vectors) {
    const vec *f = (const vec *)b->f + row * vectors, *h = (const vec *)b->h + row * vectors,
              *g = (const vec *)b->g + row * vectors;
    b->state_error[row] = relative(z, f, NULL, vectors);
    b->adjoint_error[row] = u ? relative(u, h, g, vectors) : 0;
    return isfinite(b->state_error[row]) && isfinite(b->adjoint_error[row]);
}

static void record_one(deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, int64_t row, bool adjoint,
                       int steps, double residual) {
    deq_kept *kept = &worker->kept[fixed->index];
    const double tol = worker->request.settings[fixed->index].forward.tol;
    const int64_t example = frame->example ? frame->example[row] : row;
    const deq_reason reason = kept->bad[row]              ? DEQ_REASON_diverged
                              : tol > 0 && residual > tol ? DEQ_REASON_max_steps
                                                          : DEQ_REASON_converged;
    const bool failed = reason != DEQ_REASON_converged;
    deq_worker_record(worker, fixed, adjoint, row, example, steps, residual, reason, failed);
    if (failed) deq_worker_stop(worker, fixed, adjoint, example, steps, residual, reason);
}

/* Without a forward solve the joint state is the state that is reported; beside one, a part of the adjoint's solve. */
static void record(const forward *c, int64_t row, const buffers *b) {
    deq_kept *kept = c->kept;
    const double state = b->state_error[row], adjoint = b->adjoint_error[row], tol = c->settings->forward.tol;
    kept->failed[row] = (!c->surrogate && kept->failed[row]) || kept->bad[row] || (tol > 0 && state > tol);
    if (c->surrogate) record_one(c->worker, &c->frame, c->fixed, row, false, b->steps[row], state);
    record_one(c->worker, &c->frame, c->fixed, row, true, b->steps[row],
               c->surrogate || adjoint > state ? adjoint : state);
}

/* Takes the iterates that the same examples' last solves left, or leaves them for the next. */
static void exchange(deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, int64_t n, real *z, real *u,
                     bool leave) {
    deq_visits *v = &worker->visits[fixed->index];
    const size_t bytes = (size_t)fixed->state_bytes;
    for (int64_t row = 0; row < n; row++) {
        char *joint = v->joint + 2 * (size_t)row * bytes;
        const int64_t identity = frame->example ? frame->example[row] : row;
        char *state = (char *)z + (size_t)row * bytes, *adjoint = (char *)u + (size_t)row * bytes;
        if (leave) {
            v->carrier[row] = worker->kept[fixed->index].bad[row] ? -1 : identity;
            memcpy(joint, state, bytes);
            memcpy(joint + bytes, adjoint, bytes);
        } else if (v->carrier[row] == identity) {
            memcpy(state, joint, bytes);
            memcpy(adjoint, joint + bytes, bytes);
        }
    }
}

static deq_needs needs(const deq_fixed *fixed, const deq_fixed_settings *s, int64_t n) {
    const size_t joint = joint_bytes(fixed, n), back = NAME(cotangents_bytes)(fixed, n);
    return (deq_needs){.solver = joint > back ? joint : back, .joint = s->gradient.carry};
}

/* h = J'u and g = dL/dz, at the linearisation of z. */
static void product_and_gradient(const forward *c, deq_frame *f, const buffers *b, real *z, real *u) {
    f->arg0 = u;
    f->arg1 = b->h;
    NAME(call_good)(c->fixed->vjp_z, f, c->fixed, c->n, c->kept->bad);
    f->arg0 = z;
    f->arg1 = b->g;
    NAME(call_cotangent)(c->cotangent, f, c->fixed, c->n, c->kept->bad);
}

static void iterate(forward *c, bool looks) {
    deq_worker *worker = c->worker;
    const deq_frame *frame = &c->frame;
    const deq_fixed *fixed = c->fixed;
    const int64_t n = c->n;
    deq_kept *kept = c->kept;
    const deq_mode *m = &kept->mode;
    deq_space space = {worker->solver, 0};
    buffers b = take_buffers(fixed, &space, n);
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    size_t bytes = (size_t)(n * fixed->state_bytes);
    real *z = c->surrogate ? c->z : b.z, *u = kept->z;
    deq_frame f = *frame;
    memset(z, 0, bytes);
    memset(u, 0, bytes);
    if (m->carry) exchange(worker, frame, fixed, n, z, u, false);
    memset(b.steps, 0, (size_t)n * sizeof *b.steps);
    memcpy(kept->rows, worker->identity, (size_t)n * sizeof *kept->rows);
    f.rows = worker->identity;
    f.tape = kept->tape;
    for (int step = 0;; step++) { /* the last round looks only, and leaves the tape of the last state */
        if (looks && step == m->steps) break;
        f.arg0 = z;
        f.arg1 = b.f;
        deq_linearise(fixed, &f, n);
        if (!looks) product_and_gradient(c, &f, &b, z, u);
        for (int64_t row = 0; row < n; row++) {
            vec *state = (vec *)z + row * vectors, *adjoint = (vec *)u + row * vectors;
            if (kept->bad[row]) continue;
            if (!look_at(&b, state, looks ? NULL : adjoint, row, vectors)) {
                kept->bad[row] = true;
                continue;
            }
            if (step == m->steps) continue;
            b.steps[row] = step + 1;
            move(state, (vec *)b.f + row * vectors, NULL, (real)m->damping, vectors);
            if (!looks)
                move(adjoint, (vec *)b.h + row * vectors, (vec *)b.g + row * vectors, (real)m->adjoint_damping,
                     vectors);
        }
        if (step == m->steps) break;
    }
    if (looks) return;
    if (m->carry) exchange(worker, frame, fixed, n, z, u, true);
    for (int64_t row = 0; row < n; row++) record(c, row, &b);
}

static void solve(forward *c) {
    if (!c->surrogate) NAME(forward_value)(c);
    iterate(c, false);
}

static void look(forward *c) { iterate(c, true); }

static void gradient(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    deq_worker *worker = frame->host;
    deq_kept *kept = &worker->kept[fixed->index];
    deq_space space = {worker->solver, 0};
    cotangents b = NAME(cotangents_take)(fixed, &space, n);
    memset(frame->drest, 0, (size_t)n * (size_t)fixed->rest_bytes);
    for (int64_t row = 0; row < n; row++) b.bad[row] = NAME(cotangents_cut)(worker, fixed, row);
    deq_frame inner = NAME(cotangents_frame)(frame, fixed, kept->z, b.out);
    NAME(call_good)(frame->accum ? fixed->vjp_rest : fixed->vjp_x, &inner, fixed, n, b.bad);
}

const mode_routines NAME(mode_augmented) = {.needs = needs, .solve = solve, .look = look, .gradient = gradient};
