/* mode_implicit.c - implicit differentiation: u = J'u + g at the returned state, by the mode's adjoint solver. */
#include "cotangents.h"
#include "mode.h"

static deq_needs needs(const deq_fixed *fixed, const deq_fixed_settings *s, int64_t n) {
    return (deq_needs){.solver =
                           NAME(cotangents_bytes)(fixed, n) + NAME(solver_bytes)(fixed, &s->gradient.adjoint, true, n)};
}

static void gradient(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    deq_worker *worker = frame->host;
    deq_kept *kept = &worker->kept[fixed->index];
    deq_space space = {worker->solver, 0};
    cotangents b = NAME(cotangents_take)(fixed, &space, n);
    NAME(cotangents_load)(frame, fixed, n, &b);
    NAME(solve_adjoint)
    (worker, frame, fixed, &kept->mode.adjoint, kept, n, b.u, b.scale, NULL, NULL, b.result, space);
    /* Tape records moved while examples were frozen; their cotangents follow. */
    NAME(cotangents_unload)(frame, fixed, n, &b, b.result);
    deq_frame inner = NAME(cotangents_frame)(frame, fixed, b.v, b.out);
    NAME(call_good)(frame->accum ? fixed->vjp_rest : fixed->vjp_x, &inner, fixed, n, b.bad);
}

const mode_routines NAME(mode_implicit) = {.needs = needs, .solve = NAME(forward_attach), .gradient = gradient};
