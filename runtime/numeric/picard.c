/* picard.c - z <- (1 - damping) z + damping h(z).  N steps cost N evaluations; the residual known of state n is the one
 * of state n-1, from which it was made. */
#include "solve.h"
#include <math.h>
#include <string.h>

#define ROWS "picard_rows.h"
#include "each_width.h"

void NAME(solve_picard)(problem *p, deq_space *space) {
    real *z = take_rows(p, space, p->n), *f = take_rows(p, space, p->n);
    if (!space->base) return;
    size_t row_bytes = (size_t)p->vectors * sizeof(vec);
    NAME(problem_start)(p, z);
    for (int step = 1; p->active > 0; step++) {
        problem_apply(p, z, f, step - 1);
        for (int64_t i = 0; i < p->active; i++) {
            double sums[2];
            vec *from = row_of(p, z, i), *to = row_of(p, f, i);
            FOR_WIDTH(advance)(to, rhs_of(p, i), from, (real)p->options->damping, p->vectors, sums);
            int32_t row = p->rows[i];
            progress *q = &p->progress[row];
            if (!problem_judge(p, i, step, true, sqrt(sums[0]), sqrt(sums[1])) && q->lowest_step == step - 1 &&
                !q->saved) {
                memcpy(row_of(p, p->best, row), from, row_bytes);
                q->saved = true;
            }
            if (p->ended[i] == DEQ_RUNNING) continue;
            if (returns_last(p, q, step))
                memcpy(row_of(p, p->result, row), to, row_bytes);
            else
                NAME(problem_return_best)(p, row);
        }
        problem_stream(p, step, f);
        problem_compact(p, f);
        real *swap = z;
        z = f;
        f = swap;
    }
}
