/* defended.c - the weighted sum of states that a defence reads predictions off, made while the solver makes them: one
 * row an example for the named states, one for the mean of all, however many there are.  The value, where it is read too,
 * comes to them when the solve is over. */
#include "solve.h"

void problem_defend(problem *p, int step, const real *z) {
    const deq_defence *d = p->defence;
    const double here = deq_defence_weight(d, step), later = deq_defence_weight_after(d, step);
    for (int64_t i = 0; i < p->active; i++) {
        const int32_t row = p->rows[i];
        vec *named = row_of(p, p->named, row), *sum = row_of(p, p->sum, row), *result = row_of(p, p->result, row);
        const bool ended = p->ended[i] != DEQ_RUNNING;
        /* Where the solve diverged the state may not be finite: the best one, which is the result, counts instead. */
        const vec *state = p->ended[i] == DEQ_REASON_diverged ? result : row_of(p, z, i);
        const real w = (real)(ended ? here + later : here);
        if (w != 0) row_axpy(named, w, state, p->vectors);
        if (d->all != 0) row_axpy(sum, 1, state, p->vectors);
        if (!ended) continue;
        if (d->all != 0) row_axpy(named, (real)(d->all / step), sum, p->vectors);
        if (d->value == 0) row_copy(result, named, p->vectors);
    }
}

void problem_defend_value(const problem *p, const deq_defence *d, real *value) {
    for (int64_t row = 0; row < p->n; row++) {
        vec *named = row_of(p, p->named, row);
        row_axpy(named, (real)d->value, row_of(p, value, row), p->vectors);
        row_copy(row_of(p, value, row), named, p->vectors);
    }
}
