/* neumann.c - u = g + J'g + J'J'g + ...  N steps cost N products with J'. */
#include "solve.h"
#include <math.h>
#include <string.h>

HOT static void norms(const vec *u, const vec *t, int64_t n, double sums[2]) {
    ACCUMULATORS(a);
    ACCUMULATORS(b);
    ROW_LOOP(n, const vec h = u[k] + t[k]; a[lane] += t[k] * t[k]; b[lane] += h * h;);
    sums[0] = (double)total4(a);
    sums[1] = (double)total4(b);
}

HOT static void add(vec *u, const vec *t, int64_t n) { ROW_LOOP(n, u[k] += t[k];); }

void NAME(solve_neumann)(problem *p, deq_space *space) {
    real *t = take_rows(p, space, p->n), *next = take_rows(p, space, p->n), *u = take_rows(p, space, p->n);
    if (!space->base) return;
    size_t row_bytes = (size_t)p->vectors * sizeof(vec);
    for (int64_t i = 0; i < p->active; i++) memcpy(row_of(p, t, i), rhs_of(p, i), row_bytes);
    memcpy(u, p->rhs, (size_t)p->n * row_bytes); /* by row, as the sums stay where they are */
    for (int step = 1; p->active > 0; step++) {
        problem_apply(p, t, next, step);
        for (int64_t i = 0; i < p->active; i++) {
            double sums[2];
            int32_t row = p->rows[i];
            progress *q = &p->progress[row];
            vec *sum = row_of(p, u, row), *term = row_of(p, next, i);
            norms(sum, term, p->vectors, sums); /* the term is the residual of the sum before it */
            if (!problem_judge(p, i, step, true, sqrt(sums[0]), sqrt(sums[1])) && q->lowest_step == step - 1 &&
                !q->saved) {
                memcpy(row_of(p, p->best, row), sum, row_bytes);
                q->saved = true;
            }
            add(sum, term, p->vectors);
            if (p->ended[i] == DEQ_RUNNING) continue;
            if (returns_last(p, q, step))
                memcpy(row_of(p, p->result, row), sum, row_bytes);
            else
                NAME(problem_return_best)(p, row);
        }
        problem_compact(p, next);
        real *swap = t;
        t = next;
        next = swap;
    }
}
