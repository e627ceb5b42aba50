/* newton_krylov.c - inexact Newton (Dembo, Eisenstat and Steihaug 1982): (I - J) d = g, g = f(z) - z, is solved by
 * GMRES on products J v as far as a forcing term asks, then z <- z + d, shortened by the line search.
 *
 * The forcing term is fixed or Eisenstat and Walker's second choice: 0.9 (norm(g_n) / norm(g_(n-1)))^2, kept from
 * falling faster than its own square and from solving beyond what `tol` needs.
 *
 * State n is z_n, whose own residual is known: N steps cost N + 1 linearisations, the products, and one evaluation for
 * each trial of the line search.  Where no trial lowers the residual the solve ends by `line_search`. */
#include "solve.h"
#include <math.h>
#include <string.h>

#define FORCING_FIRST 0.5
#define FORCING_MOST 0.9

HOT static void residual(vec *g, vec *f, const vec *z, int64_t n, double sums[2]) {
    row_residual(g, f, (const vec *)0, z, n, sums);
}

HOT static void step_by(vec *z, const vec *d, int64_t n) { row_axpy(z, 1, d, n); }

typedef struct newton {
    real *z, *f, *g, *d; /* z, f by position; g, d by row */
    double *forcing, *last;
    deq_kept tape;
    deq_fixed linear; /* the fixed point's products J v where GMRES looks for J'v */
    deq_solver krylov;
    line_search search;
} newton;

/* Linearises at the running examples' states. */
static void linearise(problem *p, newton *s) {
    deq_frame f = p->frame;
    f.arg0 = s->z;
    f.arg1 = s->f;
    f.rows = p->rows;
    f.example = p->ident ? p->example : NULL;
    f.tape = s->tape.tape;
    deq_linearise(p->fixed, &f, p->active);
}

/* How far to solve at position i, whose residual has the norm `now` and is `error` as `stop` measures it. */
static double forcing_of(const problem *p, const newton *s, int32_t row, double now, double error, int step) {
    const deq_solver *o = p->options;
    if (o->forcing > 0) return o->forcing;
    const double before = s->forcing[row];
    double eta = FORCING_FIRST;
    if (step > 0) {
        eta = 0.9 * (now / s->last[row]) * (now / s->last[row]);
        if (0.9 * before * before > 0.1) eta = fmax(eta, 0.9 * before * before);
    }
    if (o->tol > 0) eta = fmax(eta, 0.5 * o->tol / error);
    return fmin(fmax(eta, 16 * (double)REAL_EPSILON), FORCING_MOST);
}

/* The directions of the examples that still run; the others' tape records go to the end. */
static void directions(problem *p, newton *s, deq_space inside) {
    problem inner = {.worker = p->worker,
                     .fixed = &s->linear,
                     .options = &s->krylov,
                     .adjoint = true,
                     .quiet = true,
                     .frame = p->frame,
                     .tapes = &s->tape,
                     .rhs = s->g,
                     .tolerance = s->forcing,
                     .result = s->d};
    inner.frame.tape = s->tape.tape;
    inner.frame.example = NULL;
    NAME(problem_open)(&inner, &inside, p->n, p->rows);
    inner.active = p->active;
    memcpy(inner.ended, p->ended, (size_t)p->active * sizeof *p->ended);
    NAME(solve_gmres)(&inner, &inside);
}

static void end_with(problem *p, int64_t i, deq_reason reason) {
    const int32_t row = p->rows[i];
    p->progress[row].reason = p->ended[i] = reason;
    NAME(problem_return_best)(p, row);
}

void NAME(solve_newton_krylov)(problem *p, deq_space *space) {
    const deq_solver *o = p->options;
    newton s = {.linear = *p->fixed, .krylov = *o};
    s.linear.vjp_z = p->fixed->jvp;
    s.krylov.kind = DEQ_SOLVER_gmres;
    s.krylov.max = o->krylov;
    s.krylov.absolute = s.krylov.last = false;
    s.z = take_rows(p, space, p->n), s.f = take_rows(p, space, p->n);
    s.g = take_rows(p, space, p->n), s.d = take_rows(p, space, p->n);
    s.forcing = deq_space_take(space, (size_t)p->n * sizeof *s.forcing);
    s.last = deq_space_take(space, (size_t)p->n * sizeof *s.last);
    s.tape.tape = deq_space_take(space, (size_t)(p->n * p->fixed->tape_bytes) + DEQ_ALIGN);
    NAME(line_search_open)(&s.search, p, space);
    if (!space->base) {
        problem inner = {.fixed = &s.linear, .options = &s.krylov, .adjoint = true};
        NAME(problem_open)(&inner, space, p->n, NULL);
        NAME(solve_gmres)(&inner, space);
        return;
    }
    const size_t row_bytes = (size_t)p->vectors * sizeof(vec);
    NAME(problem_start)(p, s.z);
    for (int step = 0; p->active > 0; step++) {
        linearise(p, &s);
        if (step > 0 && o->line_search == DEQ_ARMIJO) {
            bool shortened = false;
            NAME(line_search_run)(&s.search, p, s.z, s.f, s.d, 1, 0);
            for (int64_t i = 0; i < p->active; i++) shortened = shortened || s.search.taken[p->rows[i]] != 1;
            if (shortened) linearise(p, &s);
        }
        for (int64_t i = 0; i < p->active; i++) {
            double sums[2];
            const int32_t row = p->rows[i];
            progress *q = &p->progress[row];
            const vec *z = row_of(p, s.z, i);
            residual(row_of(p, s.g, row), row_of(p, s.f, i), z, p->vectors, sums);
            const double now = sqrt(sums[0]);
            if (problem_judge(p, i, step, step > 0, now, sqrt(sums[1]))) {
                memcpy(row_of(p, p->best, row), z, row_bytes);
                q->saved = true;
            }
            if (p->ended[i] != DEQ_RUNNING) {
                if (returns_last(p, q, step) || (step == 0 && q->reason == DEQ_REASON_converged))
                    memcpy(row_of(p, p->result, row), z, row_bytes);
                else
                    NAME(problem_return_best)(p, row);
                continue;
            }
            if (step > 0 && s.search.stuck[row] && o->tol > 0) {
                const deq_reason reason =
                    q->residual < 64 * (double)REAL_EPSILON ? DEQ_REASON_stagnated : DEQ_REASON_line_search;
                if (step >= p->least) {
                    end_with(p, i, reason);
                    continue;
                }
                if (p->early) NAME(early_note)(p, i, reason);
            }
            s.forcing[row] = forcing_of(p, &s, row, now, q->residual, step);
            s.search.before[row] = s.last[row] = now;
            s.search.taken[row] = 1;
        }
        directions(p, &s, *space);
        for (int64_t i = 0; i < p->active; i++)
            if (p->ended[i] == DEQ_RUNNING && !NAME(row_finite)(row_of(p, s.d, p->rows[i]), p->vectors))
                end_with(p, i, DEQ_REASON_breakdown);
        problem_stream(p, step, s.z);
        problem_compact(p, s.z);
        for (int64_t i = 0; i < p->active; i++) step_by(row_of(p, s.z, i), row_of(p, s.d, p->rows[i]), p->vectors);
    }
}
