/* lu.c - dense LU on (I - J') u = g, for small states: the matrix is made by one product with J' for each element of a
 * state row, its factors by LAPACK.  One step; the residual is that of the solution.  A singular matrix ends the solve
 * by breakdown, with u = g. */
#include "blas.h"
#include "solve.h"
#include <cblas.h>
#include <math.h>
#include <string.h>

#define MATRIX_BYTES ((int64_t)32 << 20) /* of the matrices held at once */

typedef void gesv(const blasint *n, const blasint *columns, real *a, const blasint *lda, blasint *pivots, real *b,
                  const blasint *ldb, blasint *info);
#if DEQ_REAL == 32
gesv sgesv_;
#else
gesv dgesv_;
#endif

/* Where the machine has no LAPACK: elimination with row pivoting; a is column-major. */
static bool plain(int64_t n, real *a, real *b) {
    for (int64_t i = 0; i < n; i++) {
        int64_t pivot = i;
        for (int64_t r = i + 1; r < n; r++)
            if (fabs((double)a[i * n + r]) > fabs((double)a[i * n + pivot])) pivot = r;
        if (a[i * n + pivot] == 0) return false;
        for (int64_t c = 0; c < n; c++) {
            real t = a[c * n + i];
            a[c * n + i] = a[c * n + pivot], a[c * n + pivot] = t;
        }
        real t = b[i];
        b[i] = b[pivot], b[pivot] = t;
        for (int64_t r = i + 1; r < n; r++) a[i * n + r] /= a[i * n + i], b[r] -= a[i * n + r] * b[i];
        for (int64_t c = i + 1; c < n; c++)
            for (int64_t r = i + 1; r < n; r++) a[c * n + r] -= a[i * n + r] * a[c * n + i];
    }
    for (int64_t i = n - 1; i >= 0; i--) {
        for (int64_t k = i + 1; k < n; k++) b[i] -= a[k * n + i] * b[k];
        b[i] /= a[i * n + i];
    }
    return true;
}

/* b becomes the solution; false when the matrix is singular. */
static bool factor_and_solve(int64_t n, real *a, real *b, blasint *pivots) {
    if (!deq_blas_ready()) return plain(n, a, b);
    blasint order = (blasint)n, one = 1, info = 0;
#if DEQ_REAL == 32
    DEQ_BLAS(sgesv_)(&order, &one, a, &order, pivots, b, &order, &info);
#else
    DEQ_BLAS(dgesv_)(&order, &one, a, &order, pivots, b, &order, &info);
#endif
    return info == 0;
}

/* norm(h + g - u) and norm(h + g), h = J'u */
HOT static void residual(vec *w, vec *h, const vec *g, const vec *u, int64_t n, double sums[2]) {
    row_residual(w, h, g, u, n, sums);
}

void NAME(solve_lu)(problem *p, deq_space *space) {
    int64_t order = p->vectors * LANES, each = order * order, held = MATRIX_BYTES / (each * (int64_t)sizeof(real));
    held = held < 1 ? 1 : held > p->n ? p->n : held;
    real *in = take_rows(p, space, p->n), *out = take_rows(p, space, p->n);
    real *matrices = deq_space_take(space, (size_t)(held * each) * sizeof(real));
    blasint *pivots = deq_space_take(space, (size_t)order * sizeof *pivots);
    if (!space->base) return;
    size_t row_bytes = (size_t)p->vectors * sizeof(vec);
    for (int64_t from = 0; from < p->active; from += held) {
        int64_t count = from + held < p->active ? held : p->active - from;
        deq_frame f = p->frame;
        f.tape = (char *)f.tape + from * p->fixed->tape_bytes;
        f.rows = p->rows + from;
        f.example = p->ident ? p->example + from : NULL;
        f.arg0 = in;
        f.arg1 = out;
        memset(in, 0, (size_t)count * row_bytes);
        for (int64_t j = 0; j < order; j++) { /* column j: e_j - J'e_j */
            for (int64_t i = 0; i < count; i++) {
                if (j > 0) in[i * order + j - 1] = 0;
                in[i * order + j] = 1;
            }
            deq_count_products(&f, count);
            p->fixed->vjp_z(&f, count);
            for (int64_t i = 0; i < count; i++) {
                real *column = matrices + i * each + j * order;
                for (int64_t k = 0; k < order; k++) column[k] = (k == j ? 1 : 0) - out[i * order + k];
            }
        }
        for (int64_t i = 0; i < count; i++) {
            int32_t row = p->rows[from + i];
            real *u = (real *)row_of(p, p->result, row);
            memcpy(u, row_of(p, p->rhs, row), row_bytes);
            if (!factor_and_solve(order, matrices + i * each, u, pivots)) p->ended[from + i] = DEQ_REASON_breakdown;
        }
    }
    for (int64_t i = 0; i < p->active; i++) memcpy(row_of(p, in, i), row_of(p, p->result, p->rows[i]), row_bytes);
    problem_apply(p, in, out, 1);
    for (int64_t i = 0; i < p->active; i++) {
        int32_t row = p->rows[i];
        progress *q = &p->progress[row];
        bool singular = p->ended[i] == DEQ_REASON_breakdown;
        vec *u = row_of(p, in, i), *h = row_of(p, out, i);
        double sums[2];
        residual(h, h, rhs_of(p, i), u, p->vectors, sums);
        problem_judge(p, i, 1, true, sqrt(sums[0]), sqrt(sums[1]));
        if (q->reason == DEQ_RUNNING) q->reason = p->options->tol > 0 ? DEQ_REASON_stagnated : DEQ_REASON_max_steps;
        if (singular) q->reason = DEQ_REASON_breakdown;
        if (singular || q->reason == DEQ_REASON_diverged) memcpy(row_of(p, p->result, row), rhs_of(p, i), row_bytes);
    }
    p->active = 0;
}
