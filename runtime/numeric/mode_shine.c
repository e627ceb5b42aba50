/* mode_shine.c - the forward solver's inverse estimate, transposed, in the place of (I - J')^-1 (SHINE). */
#include "cotangents.h"
#include "mode.h"
#include <math.h>
#include <string.h>

HOT static double row_norm(const vec *x, int64_t n) { return sqrt((double)row_dot(x, x, n)); }

/* norm(h + g - u) / norm(h + g), h = J'u */
HOT static double residual_of(const vec *h, const vec *g, const vec *u, int64_t n) {
    ACCUMULATORS(a);
    ACCUMULATORS(b);
    ROW_LOOP(n, const vec image = h[k] + g[k]; const vec t = image - u[k]; a[lane] += t * t; b[lane] += image * image;);
    return sqrt((double)total4(a)) / (sqrt((double)total4(b)) + 1e-9);
}

/* The steps after the estimate: Broyden's on the adjoint, all of them, the best kept. */
static deq_solver refinement(const deq_mode *mode) {
    deq_solver o = mode->adjoint;
    o.kind = DEQ_SOLVER_broyden;
    o.tol = 0;
    o.step = 1;
    o.max = mode->refine;
    o.memory = 0;
    o.absolute = o.last = false;
    return o;
}

static deq_needs needs(const deq_fixed *fixed, const deq_fixed_settings *s, int64_t n) {
    const deq_solver refine = refinement(&s->gradient);
    deq_needs needs = {.solver = NAME(cotangents_bytes)(fixed, n),
                       .directions = deq_history_capacity(&s->forward, true)};
    if (s->gradient.refine) needs.solver += NAME(solver_bytes)(fixed, &refine, true, n);
    return needs;
}

/* The solver's directions stay. */
static void solve(forward *c) {
    c->problem.history = &c->kept->history;
    c->problem.cotangent = c->cotangent;
    NAME(forward_attach)(c);
}

/* result = -B'g, or g where that is implausible. */
static void apply_inverse(const deq_frame *frame, const deq_fixed *fixed, int64_t n, cotangents *b) {
    const deq_kept *kept = &((deq_worker *)frame->host)->kept[fixed->index];
    const deq_history *h = &kept->history;
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    memcpy(b->result, b->u, (size_t)(n * fixed->state_bytes));
    for (int64_t row = 0; row < n; row++) {
        vec *u = (vec *)b->result + row * vectors;
        const vec *g = (const vec *)b->u + row * vectors;
        NAME(history_transposed)(u, h, row, (real)kept->damping, vectors);
        double norm = row_norm(u, vectors);
        b->fell[row] = !isfinite(norm) || (kept->mode.fallback == 0 && norm > kept->mode.ratio * row_norm(g, vectors));
        if (b->fell[row]) memcpy(u, g, (size_t)fixed->state_bytes);
    }
}

static void gradient(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    deq_worker *worker = frame->host;
    deq_kept *kept = &worker->kept[fixed->index];
    deq_space space = {worker->solver, 0};
    cotangents b = NAME(cotangents_take)(fixed, &space, n);
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    NAME(cotangents_load)(frame, fixed, n, &b);
    apply_inverse(frame, fixed, n, &b);
    deq_frame inner = NAME(cotangents_frame)(frame, fixed, b.v, b.out);
    if (kept->mode.refine > 0) {
        deq_solver options = refinement(&kept->mode);
        memcpy(b.v, b.result, (size_t)(n * fixed->state_bytes));
        NAME(solve_adjoint)
        (worker, frame, fixed, &options, kept, n, b.u, b.scale, b.v, &kept->history, b.result, space);
        NAME(cotangents_unload)(frame, fixed, n, &b, b.result);
        NAME(call_good)(frame->accum ? fixed->vjp_rest : fixed->vjp_x, &inner, fixed, n, b.bad);
        return;
    }
    NAME(cotangents_unload)(frame, fixed, n, &b, b.result);
    NAME(call_good)(frame->accum ? fixed->vjp_all : fixed->vjp_zx, &inner, fixed, n, b.bad);
    for (int64_t row = 0; row < n; row++) { /* records stand in the order of the rows */
        if (b.bad[row]) continue;
        const vec *g = (const vec *)frame->arg1 + row * vectors, *u = (const vec *)b.v + row * vectors;
        double residual = residual_of((const vec *)b.out + row * vectors, g, u, vectors);
        deq_reason reason = b.fell[row] ? DEQ_REASON_fallback : DEQ_REASON_max_steps;
        int64_t example = frame->example ? frame->example[row] : row;
        if (NAME(cotangents_cut)(worker, fixed, row)) residual = 0; /* g = 0 */
        deq_worker_record(worker, fixed, true, row, example, 0, residual, reason, b.fell[row]);
        if (b.fell[row]) deq_worker_stop(worker, fixed, true, example, 0, residual, reason);
    }
}

const mode_routines NAME(mode_shine) = {.needs = needs, .solve = solve, .gradient = gradient};
