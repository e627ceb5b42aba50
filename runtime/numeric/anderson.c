/* anderson.c - Anderson acceleration: the next point mixes the last `memory` ones with weights that minimise
 *     norm(sum w_i g_i)^2 + ridge sum w_i^2 norm(g_i)^2,   sum w_i = 1,   g_i = h(x_i) - x_i,
 *     x <- sum w_i (x_i + damping g_i).
 * The ridge is relative to each diagonal entry of the Gram matrix, so neither the scale of the state nor old, large
 * residuals drown the new ones.
 *
 * The weights come from the Gram matrix of the residuals (`weights` below), whose condition is the square of theirs, or
 * from a QR factorisation (anderson_qr.c).  Where neither gives finite ones the step is a plain one.
 *
 * N steps cost N evaluations.  State n is x + damping g of the n-th evaluated point, whose residual is known. */
#include "anderson.h"
#include <math.h>
#include <string.h>

#define MOST ANDERSON_MOST

#define ROWS "anderson_rows.h"
#include "each_width.h"

/* Weights of the `count` newest points, the newest in slot `newest` of `memory`, from the Gram matrix of their
 * residuals; those of the other slots below `held` are zero.
 *
 * With A = gram + ridge diag(gram) and w_new = 1 - sum w_i, the other weights minimise a form in the differences
 * g_i - g_new, whose matrix is M_ij = A_ij - A_i,new - A_j,new + A_new,new.  It is factorised as L D L' from the newest
 * point to the oldest; a difference that depends on newer ones, to what rounding can tell, is left out. */
static void weights(const double *gram, int memory, int held, int count, int newest, double ridge, real *out) {
    double l[MOST][MOST], inverse[MOST], y[MOST], total = 0, toward[MOST];
    const double more = 1 + ridge, corner = gram[newest * memory + newest] * more;
    int used[MOST], n = 0;
    for (int i = 0; i < held; i++) out[i] = 0;
    for (int back = 1, i = newest; back < count; back++) {
        i = i == 0 ? memory - 1 : i - 1;
        const double *row = gram + i * memory, own = row[i] * more, across = row[newest];
        const double square = own - 2 * across + corner;
        double pivot = square, right = corner - across, v[MOST];
        for (int k = 0; k < n; k++) {
            v[k] = row[used[k]] - across - toward[k] + corner;
            for (int m = 0; m < k; m++) v[k] -= v[m] * l[k][m];
            l[n][k] = v[k] * inverse[k];
            pivot -= v[k] * l[n][k];
            right -= l[n][k] * y[k];
        }
        if (!(pivot > 32 * REAL_EPSILON * (square + own + corner))) continue;
        inverse[n] = 1 / pivot;
        y[n] = right;
        toward[n] = across;
        used[n++] = i;
    }
    for (int i = n - 1; i >= 0; i--) {
        y[i] *= inverse[i];
        for (int k = i + 1; k < n; k++) y[i] -= l[k][i] * y[k];
        out[used[i]] = (real)y[i];
        total += y[i];
    }
    out[newest] = (real)(1 - total);
}

/* The first step whose point is mixed at `step`. */
static int oldest(const deq_solver *o, int memory, int step) {
    if (step <= o->delay) return step;
    int first = o->delay + 1;
    if (o->restart > 0) first += (step - first) / o->restart * o->restart;
    return step - memory + 1 > first ? step - memory + 1 : first;
}

/* Weights by the factorisation, which takes the newest point in, for slots below `held`; false: a plain step. */
static bool qr_weights(factorisation *s, const vec *residuals, const double *squares, int memory, int held, bool first,
                       int newest, double ridge, int64_t n, real *out) {
    double w[MOST], square[MOST];
    if (first)
        *s->count = 0;
    else
        NAME(factor_add)
    (s, residuals + newest * n, residuals + (newest == 0 ? memory - 1 : newest - 1) * n, n);
    const int count = *s->count;
    for (int i = 0; i <= count; i++) square[i] = squares[(newest - count + i + memory) % memory];
    if (!NAME(factor_weights)(s, residuals + newest * n, square, ridge, n, w)) return false;
    for (int i = 0; i < held; i++) out[i] = 0;
    for (int i = 0; i <= count; i++) out[(newest - count + i + memory) % memory] = (real)w[i];
    return true;
}

void NAME(solve_anderson)(problem *p, deq_space *space) {
    const deq_solver *o = p->options;
    int memory = o->memory < o->max ? o->memory : o->max;
    const bool qr = o->least_squares == DEQ_QR;
    const int columns = memory - 1;
    real *x = take_rows(p, space, p->n), *f = take_rows(p, space, p->n);
    real *images = take_rows(p, space, p->n * memory), *residuals = take_rows(p, space, p->n * memory);
    double *grams = deq_space_take(space, qr ? 0 : (size_t)(p->n * memory * memory) * sizeof(double));
    real *q = take_rows(p, space, qr ? p->n * columns : 0);
    double *factors = deq_space_take(space, qr ? (size_t)(p->n * (columns + 1) * (columns + 1)) * sizeof(double) : 0);
    double *squares = deq_space_take(space, qr ? (size_t)(p->n * memory) * sizeof(double) : 0);
    int *counts = deq_space_take(space, qr ? (size_t)p->n * sizeof(int) : 0);
    if (!space->base) return;
    const real rest = (real)(1 - o->damping), one = 1;
    int64_t n = p->vectors;
    NAME(problem_start)(p, x);
    for (int step = 1; p->active > 0; step++) {
        problem_apply(p, x, f, step - 1);
        const int slot = (step - 1) % memory, held = step < memory ? step : memory, first = oldest(o, memory, step);
        const bool mixes = step > o->delay && (step - o->delay) % o->every == 0;
        for (int64_t i = 0; i < p->active; i++) {
            double sums[2], products[MOST];
            real w[MOST];
            int32_t row = p->rows[i];
            progress *progress = &p->progress[row];
            vec *image = row_of(p, images, row * (int64_t)memory), *g = row_of(p, residuals, row * (int64_t)memory);
            if (progress->lowest_step > 0 && progress->lowest_step == step - memory &&
                !progress->saved) { /* about to be overwritten */
                FOR_WIDTH(mix)(row_of(p, p->best, row), image + slot * n, g + slot * n, &one, 1, rest, n);
                progress->saved = true;
            }
            vec *point = row_of(p, x, i), *h = row_of(p, f, i);
            FOR_WIDTH(residual)(g + slot * n, image + slot * n, h, rhs_of(p, i), point, n, sums);
            problem_judge(p, i, step, true, sqrt(sums[0]), sqrt(sums[1]));
            if (rest != 0 && problem_streams(p)) FOR_WIDTH(mix)(h, image + slot * n, g + slot * n, &one, 1, rest, n);
            if (p->ended[i] != DEQ_RUNNING) {
                int from = returns_last(p, progress, step)                 ? slot
                           : progress->lowest_step > 0 && !progress->saved ? (progress->lowest_step - 1) % memory
                                                                           : -1;
                if (from >= 0)
                    FOR_WIDTH(mix)(row_of(p, p->result, row), image + from * n, g + from * n, &one, 1, rest, n);
                else
                    NAME(problem_return_best)(p, row);
                continue;
            }
            bool good = true;
            if (qr) {
                factorisation s = {row_of(p, q, row * (int64_t)columns),
                                   factors + (int64_t)row * (columns + 1) * (columns + 1), columns, &counts[row]};
                squares[row * (int64_t)memory + slot] = sums[0];
                good = qr_weights(&s, g, squares + row * (int64_t)memory, memory, held, first == step, slot, o->ridge,
                                  n, w);
            } else {
                double *gram = grams + (int64_t)row * memory * memory;
                FOR_WIDTH(dots)(g + slot * n, g, held, n, products);
                products[slot] = sums[0];
                for (int k = 0; k < held; k++) gram[slot * memory + k] = gram[k * memory + slot] = products[k];
                if (mixes) weights(gram, memory, held, step - first + 1, slot, o->ridge, w);
                for (int k = 0; k < held && mixes; k++) good = good && isfinite(w[k]);
            }
            if (mixes && good)
                FOR_WIDTH(mix)(point, image, g, w, held, rest, n);
            else
                FOR_WIDTH(mix)(point, image + slot * n, g + slot * n, &one, 1, rest, n);
        }
        problem_stream(p, step, f);
        problem_compact(p, x);
    }
}
