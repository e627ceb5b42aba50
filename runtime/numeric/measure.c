/* measure.c - the residual of the state that is read.
 *
 * Some solvers know of the state they return only the residual of the one before it (SOLVER_LAGS), and a defence reads
 * a state that no solver has seen.  Where predictions are judged by their residual, one more evaluation says it. */
#include "solve.h"
#include <math.h>

HOT static void differences(const vec *f, const vec *z, int64_t n, double sums[2]) { row_differences(f, z, n, sums); }

static bool lags(deq_solver_kind kind) {
    static const int uses[] = {
#define SOLVER(name, uses, doc) uses,
#include "solvers.def"
    };
    return uses[kind] & SOLVER_LAGS;
}

static bool is_unknown(const problem *p, int64_t row, const bool *moved) {
    return p->named || moved[row] || lags(deq_solver_link(p->options, p->progress[row].solver).kind);
}

void problem_measure(problem *p, deq_space *space, const real *value, const bool *moved) {
    real *images = take_rows(p, space, p->n);
    if (!space->base) return;
    bool wanted = false;
    for (int64_t row = 0; row < p->n; row++) wanted = wanted || is_unknown(p, row, moved);
    if (!wanted) return;
    deq_frame frame = p->frame;
    frame.arg0 = (void *)value;
    frame.arg1 = images;
    frame.rows = p->worker->identity;
    frame.example = p->ident;
    deq_evaluate(p->fixed, &frame, p->n);
    for (int64_t row = 0; row < p->n; row++) {
        double sums[2];
        progress *q = &p->progress[row];
        if (!is_unknown(p, row, moved)) continue;
        differences(row_of(p, images, row), row_of(p, value, row), p->vectors, sums);
        const bool absolute = deq_solver_link(p->options, q->solver).absolute;
        q->residual = q->lowest = absolute ? sqrt(sums[0]) : sqrt(sums[0]) / (sqrt(sums[1]) + 1e-9);
    }
}
