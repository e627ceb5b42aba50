/* broyden.c - good Broyden from B_0 = -I (Yang et al. 2022, Eq. 7-8), in Kelley's form, which keeps one vector a step.
 *
 * With g = h(z) - z, directions d_n = -B_n g_n and steps s_n = alpha d_n, the update of Eq. 8 is
 *     B_{n+1} = (I + p_n d_n') B_n,   p_n = (d_{n+1} - (1 - alpha) d_n) / d_n'd_n,
 * so that w = -B_n g comes from w = g by running once through the directions,
 *     w <- w + (d_{k+1} - (1 - alpha) d_k) (d_k'w / d_k'd_k),   k = 0 .. n-1,
 * and with c = d_n'w / d_n'd_n the next direction is d_{n+1} = (w - (1 - alpha) c d_n) / (1 - c).
 * 1 - c is the denominator of Eq. 8 over d_n'd_n; where it vanishes the update is skipped: its factor becomes I.
 *
 * N steps cost N + 1 evaluations: the last gives the residual of z_N.  When `memory` directions are kept and full, the
 * oldest factor is dropped. */
#include "solve.h"
#include <math.h>
#include <string.h>

typedef struct history { /* of one example */
    const vec *rows;     /* directions */
    const real *inverse; /* 1 / d'd of each; 0: its factor is left out */
    int oldest, count, capacity;
} history;

HOT static void residual(vec *w, vec *f, const vec *g, const vec *z, int64_t n, double sums[2]) {
    row_residual(w, f, g, z, n, sums);
}

/* w: h(z) - z on entry, the next direction on return; next = z + alpha d.  Returns d'd.  *skip: leave the last factor
 * out. */
INLINE real advance_body(const history *old, vec *w, const vec *z, vec *next, real alpha, const int64_t n, bool *skip) {
    const real rest = 1 - alpha;
    *skip = false;
    real scale = 1, back = 0;
    const vec *d = w;
    if (old->count > 0) {
        int at = old->oldest;
        d = old->rows + at * n;
        real t = row_dot(d, w, n);
        for (int k = 1; k < old->count; k++) {
            const real c = t * old->inverse[at];
            const vec *before = d;
            at = at + 1 == old->capacity ? 0 : at + 1;
            d = old->rows + at * n;
            if (rest != 0) row_axpy(w, -rest * c, before, n);
            ACCUMULATORS(a);
            ROW_LOOP(n, const vec x = d[k]; const vec s = w[k] + c * x; w[k] = s; a[lane] += s * x;);
            t = total4(a);
        }
        const real c = t * old->inverse[at], left = 1 - c;
        *skip = !(left > 64 * REAL_EPSILON || left < -64 * REAL_EPSILON);
        if (!*skip) {
            scale = 1 / left;
            back = -rest * c * scale;
        }
    }
    ACCUMULATORS(a);
    if (back != 0)
        ROW_LOOP(n, w[k] = w[k] * scale + back * d[k];);
    else if (scale != 1)
        ROW_LOOP(n, w[k] *= scale;);
    ROW_LOOP(n, const vec s = w[k]; next[k] = z[k] + alpha * s; a[lane] += s * s;);
    return total4(a);
}

HOT static real advance(const history *old, vec *w, const vec *z, vec *next, real alpha, int64_t n, bool *skip) {
    return advance_body(old, w, z, next, alpha, n, skip);
}

void NAME(solve_broyden)(problem *p, deq_space *space) {
    const deq_solver *o = p->options;
    int capacity =
        o->memory > 0 && o->memory < o->max ? o->memory + 1 : o->max; /* one more: the direction in the making */
    real *z = take_rows(p, space, p->n), *next = take_rows(p, space, p->n), *f = take_rows(p, space, p->n);
    real *directions = take_rows(p, space, p->n * (capacity + 1)); /* and one row for the last residual */
    real *inverse = deq_space_take(space, (size_t)p->n * (size_t)capacity * sizeof(real));
    if (!space->base) return;
    size_t row_bytes = (size_t)p->vectors * sizeof(vec);
    memset(z, 0, (size_t)p->n * row_bytes);
    for (int step = 0; p->active > 0; step++) {
        problem_apply(p, z, f, step);
        int slot = step % capacity, count = step < capacity ? step : capacity - 1;
        bool end = step >= o->max;
        for (int64_t i = 0; i < p->active; i++) {
            double sums[2];
            bool skip;
            int32_t row = p->rows[i];
            progress *q = &p->progress[row];
            vec *mine = row_of(p, directions, row * (int64_t)(capacity + 1));
            real *inverses = inverse + row * (int64_t)capacity;
            vec *w = mine + (end ? capacity : slot) * p->vectors;
            const vec *state = row_of(p, z, i);
            residual(w, row_of(p, f, i), rhs_of(p, i), state, p->vectors, sums);
            if (!problem_judge(p, i, step, step > 0, sqrt(sums[0]), sqrt(sums[1])) && step > 1 &&
                q->lowest_step == step - 1 && !q->saved) {
                memcpy(row_of(p, p->best, row), row_of(p, next, p->previous[i]), row_bytes);
                q->saved = true;
            }
            if (p->ended[i] != DEQ_RUNNING) {
                if (returns_last(p, q, step) || (step == 0 && q->reason == DEQ_REASON_converged))
                    memcpy(row_of(p, p->result, row), state, row_bytes);
                else
                    NAME(problem_return_best)(p, row);
                continue;
            }
            history old = {mine, inverses, (slot + capacity - count) % capacity, count, capacity};
            real squared = advance(&old, w, state, row_of(p, next, i), (real)o->step, p->vectors, &skip);
            if (skip) inverses[(slot + capacity - 1) % capacity] = 0;
            real one_over = 1 / squared;
            inverses[slot] = squared > 0 && isfinite(one_over) ? one_over : 0;
            p->previous[i] = (int32_t)i;
        }
        problem_stream(p, step, z);
        problem_compact(p, next);
        real *swap = z;
        z = next;
        next = swap;
    }
}
