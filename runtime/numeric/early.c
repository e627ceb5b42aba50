/* early.c - examples that have ended while a gradient asks for later states.
 *
 * A gradient at the states z_first .. z_last makes the solver go on to z_last.  What the net reads must not depend on
 * that, so where an example would have ended, its result is kept. */
#include "solve.h"
#include <string.h>

void NAME(early_open)(early *e, const deq_fixed *fixed, deq_space *space, int64_t n) {
    e->result = deq_space_take(space, (size_t)(n * fixed->state_bytes));
    e->progress = deq_space_take(space, (size_t)n * sizeof *e->progress);
    e->when = deq_space_take(space, (size_t)n * sizeof *e->when);
    for (int64_t row = 0; space->base && row < n; row++) e->when[row] = EARLY_NOT;
}

void NAME(early_note)(problem *p, int64_t i, deq_reason reason) {
    early *e = p->early;
    const int32_t row = p->rows[i];
    if (e->when[row] != EARLY_NOT) return;
    e->when[row] = EARLY_NOW;
    e->progress[row] = p->progress[row];
    e->progress[row].reason = reason;
}

void NAME(early_keep)(problem *p, int step, const real *z) {
    early *e = p->early;
    for (int64_t i = 0; i < p->active; i++) {
        const int32_t row = p->rows[i];
        if (e->when[row] != EARLY_NOW) continue;
        const progress *q = &e->progress[row];
        const bool last = returns_last(p, q, step) || q->lowest_step < 0 || !p->progress[row].saved;
        row_copy(row_of(p, e->result, row), last ? row_of(p, z, i) : row_of(p, p->best, row), p->vectors);
        e->when[row] = EARLY_KEPT;
    }
}

void NAME(early_restore)(problem *p, int64_t count) {
    const early *e = p->early;
    for (int64_t i = 0; i < count; i++) {
        const int32_t row = p->rows[i];
        if (e->when[row] != EARLY_KEPT) continue;
        row_copy(row_of(p, p->result, row), row_of(p, e->result, row), p->vectors);
        const int steps = p->progress[row].steps; /* what was made is what is counted */
        p->progress[row] = e->progress[row];
        p->progress[row].steps = steps;
        if (p->images) p->images->known[row] = IMAGE_UNKNOWN;
    }
}
