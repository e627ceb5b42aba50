/* defended.c - the weighted sum of states that a defence reads predictions off, made while the solver makes them: one
 * row an example for the named states, one for the mean of all, however many there are. */
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
        row_copy(result, named, p->vectors);
        if (d->all != 0) row_axpy(result, (real)(d->all / step), sum, p->vectors);
    }
}
