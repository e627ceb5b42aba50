/* bicgstab.c - BiCGStab (van der Vorst 1992) on (I - J') u = g for each example.  A step costs two products with J' and
 * the memory does not grow with them.  The residual is norm(g - (I - J')u) / norm(g), as the recursion carries it.
 *
 * A vanishing product of the recursion ends the solve by breakdown, with the best u so far. */
#include "solve.h"
#include <math.h>
#include <string.h>

typedef struct scalars { /* of one example */
    double rho, alpha, omega;
    bool broke;
} scalars;

HOT static double dot(const vec *x, const vec *y, int64_t n) { return (double)row_dot(x, y, n); }

/* d = in = r + beta (d - omega v) */
HOT static void direct(vec *d, vec *in, const vec *r, const vec *v, real beta, real omega, int64_t n) {
    ROW_LOOP(n, const vec t = r[k] + beta * (d[k] - omega * v[k]); d[k] = t; in[k] = t;);
}

/* v = d - J'd; returns shadow . v */
HOT static double image(vec *v, const vec *d, const vec *product, const vec *shadow, int64_t n) {
    ACCUMULATORS(a);
    ROW_LOOP(n, const vec t = d[k] - product[k]; v[k] = t; a[lane] += t * shadow[k];);
    return (double)total4(a);
}

HOT static void halfway(vec *r, vec *in, const vec *v, real alpha, int64_t n) {
    ROW_LOOP(n, const vec t = r[k] - alpha * v[k]; r[k] = t; in[k] = t;);
}

/* t = s - J's, which replaces the product; sums[0] = t . s, sums[1] = t . t */
HOT static void second_image(vec *product, const vec *s, int64_t n, double sums[2]) {
    ACCUMULATORS(a);
    ACCUMULATORS(b);
    ROW_LOOP(n, const vec t = s[k] - product[k]; product[k] = t; a[lane] += t * s[k]; b[lane] += t * t;);
    sums[0] = (double)total4(a);
    sums[1] = (double)total4(b);
}

/* r becomes s - omega t; its norm. */
HOT static double remainder_of(vec *r, const vec *t, real omega, int64_t n) {
    ACCUMULATORS(a);
    ROW_LOOP(n, const vec s = r[k] - omega * t[k]; r[k] = s; a[lane] += s * s;);
    return sqrt((double)total4(a));
}

/* u += alpha d + omega s, s standing in `in` */
HOT static void move(vec *u, const vec *d, const vec *in, real alpha, real omega, int64_t n) {
    ROW_LOOP(n, u[k] += alpha * d[k] + omega * in[k];);
}

static bool usable(double x) { return x != 0 && isfinite(x); }

/* Breakdown: the state of the last step, or the best one. */
static void give_up(problem *p, int64_t i, const vec *u) {
    int32_t row = p->rows[i];
    progress *q = &p->progress[row];
    if (q->lowest_step < 0) q->residual = p->options->absolute ? q->first * p->scale[row] : 1; /* still at u = 0 */
    q->reason = p->ended[i] =
        q->lowest_step > 0 && q->residual <= 64 * REAL_EPSILON ? DEQ_REASON_converged : DEQ_REASON_breakdown;
    if (q->lowest_step > 0 && !q->saved)
        memcpy(row_of(p, p->result, row), u, (size_t)p->vectors * sizeof(vec));
    else
        NAME(problem_return_best)(p, row);
}

void NAME(solve_bicgstab)(problem *p, deq_space *space) {
    const deq_solver *o = p->options;
    real *in = take_rows(p, space, p->n), *out = take_rows(p, space, p->n);
    real *u = take_rows(p, space, p->n), *r = take_rows(p, space, p->n), *d = take_rows(p, space, p->n),
         *v = take_rows(p, space, p->n);
    scalars *all = deq_space_take(space, (size_t)p->n * sizeof *all);
    if (!space->base) return;
    int64_t n = p->vectors;
    size_t row_bytes = (size_t)n * sizeof(vec), bytes = (size_t)p->n * row_bytes;
    memcpy(r, p->rhs, bytes);
    memset(u, 0, bytes), memset(d, 0, bytes), memset(v, 0, bytes);
    for (int64_t i = 0; i < p->active; i++) {
        int32_t row = p->rows[i];
        double length = sqrt(dot(rhs_of(p, i), rhs_of(p, i), n));
        all[row] = (scalars){1, 1, 1, false};
        p->progress[row].first = length;
        if (length > 0 && isfinite(length)) continue;
        /* g = 0 gives u = 0; a g that is not finite is handed on. */
        p->progress[row].reason = p->ended[i] = length == 0 ? DEQ_REASON_converged : DEQ_REASON_diverged;
        p->progress[row].residual = length;
        memcpy(row_of(p, p->result, row), rhs_of(p, i), row_bytes);
    }
    problem_compact(p, in);
    for (int step = 1; p->active > 0; step++) {
        for (int64_t i = 0; i < p->active; i++) {
            int32_t row = p->rows[i];
            scalars *s = &all[row];
            double rho = dot(rhs_of(p, i), row_of(p, r, row), n), beta = rho / s->rho * (s->alpha / s->omega);
            s->broke = !usable(rho) || !isfinite(beta);
            s->rho = rho;
            direct(row_of(p, d, row), row_of(p, in, i), row_of(p, r, row), row_of(p, v, row), s->broke ? 0 : (real)beta,
                   (real)s->omega, n);
        }
        problem_apply(p, in, out, step);
        for (int64_t i = 0; i < p->active; i++) {
            int32_t row = p->rows[i];
            scalars *s = &all[row];
            double below = image(row_of(p, v, row), row_of(p, d, row), row_of(p, out, i), rhs_of(p, i), n);
            s->alpha = s->rho / below;
            s->broke = s->broke || !usable(below) || !isfinite(s->alpha);
            if (s->broke) s->alpha = 0;
            halfway(row_of(p, r, row), row_of(p, in, i), row_of(p, v, row), (real)s->alpha, n);
        }
        problem_apply(p, in, out, step);
        for (int64_t i = 0; i < p->active; i++) {
            int32_t row = p->rows[i];
            scalars *s = &all[row];
            progress *q = &p->progress[row];
            vec *mine = row_of(p, u, row);
            double sums[2];
            if (s->broke) {
                give_up(p, i, mine);
                continue;
            }
            second_image(row_of(p, out, i), row_of(p, in, i), n, sums);
            s->omega = sums[1] > 0 ? sums[0] / sums[1] : 0; /* 0: s vanished, and u is the solution */
            double left = remainder_of(row_of(p, r, row), row_of(p, out, i), (real)s->omega, n);
            if (!problem_judge(p, i, step, true, left, o->absolute ? 0 : q->first) && q->lowest_step == step - 1 &&
                !q->saved && step > 1) {
                memcpy(row_of(p, p->best, row), mine, row_bytes);
                q->saved = true;
            }
            move(mine, row_of(p, d, row), row_of(p, in, i), (real)s->alpha, (real)s->omega, n);
            if (p->ended[i] == DEQ_RUNNING && s->omega == 0) {
                give_up(p, i, mine);
                continue;
            }
            if (p->ended[i] == DEQ_RUNNING) continue;
            if (returns_last(p, q, step))
                memcpy(row_of(p, p->result, row), mine, row_bytes);
            else
                NAME(problem_return_best)(p, row);
        }
        problem_compact(p, in);
    }
}
