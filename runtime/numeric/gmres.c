/* gmres.c - GMRES (Saad and Schultz 1986) on (I - J') u = g for each example: Arnoldi by modified Gram-Schmidt, Givens
 * rotations, no restart.  N steps cost N products with J'.  The residual is norm(g - (I - J')u) / norm(g).
 *
 * The space of directions holds min(max, dimension) vectors; when it is used up, or the next direction vanishes before
 * the residual does, the solve ends by breakdown with the best u of that space. */
#include "solve.h"
#include <math.h>
#include <string.h>

typedef struct krylov { /* of one example */
    vec *basis;
    double *r;             /* triangular factor by columns: column k from k (k + 1) / 2 */
    double *cosine, *sine; /* rotations */
    double *rhs;           /* rotated right-hand side */
} krylov;

#define ROWS "gmres_rows.h"
#include "each_width.h"

/* u = basis y with r y = rhs over the first `count` directions. */
static void finish(const problem *p, const krylov *s, int count, real *y, vec *u) {
    for (int i = count - 1; i >= 0; i--) {
        double sum = s->rhs[i];
        for (int k = i + 1; k < count; k++) sum -= s->r[k * (k + 1) / 2 + i] * (double)y[k];
        double pivot = s->r[i * (i + 1) / 2 + i];
        y[i] = pivot != 0 ? (real)(sum / pivot) : 0;
    }
    FOR_WIDTH(combine)(u, s->basis, y, count, p->vectors);
}

/* Takes column k of the Hessenberg matrix into the factorisation; returns the norm of the residual. */
static double rotate(krylov *s, int k, double below) {
    double *h = s->r + k * (k + 1) / 2;
    for (int j = 0; j < k; j++) {
        double a = h[j], b = h[j + 1];
        h[j] = s->cosine[j] * a + s->sine[j] * b;
        h[j + 1] = s->cosine[j] * b - s->sine[j] * a;
    }
    double length = hypot(h[k], below);
    s->cosine[k] = length > 0 ? h[k] / length : 0; /* a column that vanishes reduces nothing */
    s->sine[k] = length > 0 ? below / length : 1;
    h[k] = length;
    s->rhs[k + 1] = -s->sine[k] * s->rhs[k];
    s->rhs[k] *= s->cosine[k];
    return fabs(s->rhs[k + 1]);
}

void NAME(solve_gmres)(problem *p, deq_space *space) {
    const deq_solver *o = p->options;
    int most = o->max < p->fixed->dimension ? o->max : (int)p->fixed->dimension;
    int64_t doubles = (int64_t)most * (most + 1) / 2 + 3 * (int64_t)most + 1;
    real *v = take_rows(p, space, p->n), *t = take_rows(p, space, p->n);
    real *bases = take_rows(p, space, p->n * (most + 1));
    double *small = deq_space_take(space, (size_t)(p->n * doubles) * sizeof(double));
    real *y = deq_space_take(space, (size_t)most * sizeof(real));
    if (!space->base) return;
    int64_t n = p->vectors;
    size_t row_bytes = (size_t)n * sizeof(vec);
#define KRYLOV(row)                                                                                                    \
    {                                                                                                                  \
        row_of(p, bases, (row) * (int64_t)(most + 1)), small + (row)*doubles,                                          \
            small + (row)*doubles + (int64_t)most *(most + 1) / 2,                                                     \
            small + (row)*doubles + (int64_t)most *(most + 1) / 2 + most,                                              \
            small + (row)*doubles + (int64_t)most *(most + 1) / 2 + 2 * (int64_t)most                                  \
    }
    for (int64_t i = 0; i < p->active; i++) {
        int32_t row = p->rows[i];
        krylov s = KRYLOV(row);
        double length = FOR_WIDTH(norm)(rhs_of(p, i), n);
        s.rhs[0] = length;
        p->progress[row].first = length;
        if (length > 0 && isfinite(length)) {
            FOR_WIDTH(scale)(s.basis, row_of(p, v, i), rhs_of(p, i), (real)(1 / length), n);
            continue;
        }
        /* g = 0 gives u = 0; a g that is not finite is handed on. */
        p->progress[row].reason = p->ended[i] = length == 0 ? DEQ_REASON_converged : DEQ_REASON_diverged;
        p->progress[row].residual = length;
        memcpy(row_of(p, p->result, row), rhs_of(p, i), row_bytes);
    }
    problem_compact(p, v);
    for (int step = 1; p->active > 0; step++) {
        problem_apply(p, v, t, step);
        for (int64_t i = 0; i < p->active; i++) {
            int32_t row = p->rows[i];
            krylov s = KRYLOV(row);
            int k = step - 1;
            vec *w = s.basis + step * n;
            double below =
                FOR_WIDTH(orthogonalise)(w, row_of(p, t, i), row_of(p, v, i), s.basis, step, n, s.r + k * (k + 1) / 2);
            double length = p->progress[row].first, left = rotate(&s, k, below);
            problem_judge(p, i, step, true, left, o->absolute ? 0 : length);
            progress *q = &p->progress[row];
            if (p->ended[i] == DEQ_RUNNING && (step == most || below <= REAL_EPSILON * length * 1e-3 || below == 0))
                q->reason = p->ended[i] =
                    q->residual <= 64 * REAL_EPSILON ? DEQ_REASON_converged : DEQ_REASON_breakdown;
            if (p->ended[i] != DEQ_RUNNING) {
                /* A column that is not finite is left out. */
                finish(p, &s, isfinite(left) ? step : step - 1, y, row_of(p, p->result, row));
                if (!isfinite(left) && step == 1) memcpy(row_of(p, p->result, row), row_of(p, p->rhs, row), row_bytes);
                continue;
            }
            FOR_WIDTH(scale)(w, row_of(p, v, i), w, (real)(1 / below), n);
        }
        problem_compact(p, v);
    }
#undef KRYLOV
}
