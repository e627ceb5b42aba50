/* anderson_qr.c - Anderson's weights by a QR factorisation of the residuals' differences that is updated from step to
 * step (Walker and Ni 2011): a new column is made orthogonal by Gram-Schmidt, twice; the oldest is taken out by Givens
 * rotations.  Unlike the Gram matrix, R has the condition of the differences themselves and not its square. */
#include "anderson.h"
#include <math.h>
#include <string.h>

#define CONDITION_MOST (1 / (64 * (double)REAL_EPSILON))

HOT static void difference(vec *out, const vec *newer, const vec *older, int64_t n) {
    ROW_LOOP(n, out[k] = newer[k] - older[k];);
}

/* v loses its parts along the columns, which are added to h. */
HOT static void orthogonalise(vec *v, const vec *q, int count, int64_t n, double *h) {
    for (int k = 0; k < count; k++) {
        const real dot = row_dot(v, q + k * n, n);
        h[k] += (double)dot;
        row_axpy(v, -dot, q + k * n, n);
    }
}

HOT static void rotate(vec *a, vec *b, real c, real s, int64_t n) {
    ROW_LOOP(n, const vec x = a[k]; const vec y = b[k]; a[k] = c * x + s * y; b[k] = c * y - s * x;);
}

HOT static double norm(const vec *x, int64_t n) { return sqrt((double)row_dot(x, x, n)); }
HOT static double dot(const vec *x, const vec *y, int64_t n) { return (double)row_dot(x, y, n); }
HOT static void scale(vec *x, real c, int64_t n) { row_scale(x, c, x, n); }

/* Without its first column R has one element below the diagonal in each column: rotations bring it back. */
static void drop_oldest(factorisation *s, int64_t n) {
    const int left = --*s->count, most = s->most;
    for (int k = 0; k < left; k++) memcpy(s->r + k * most, s->r + (k + 1) * most, (size_t)(k + 2) * sizeof *s->r);
    for (int i = 0; i < left; i++) {
        double *column = s->r + i * most, length = hypot(column[i], column[i + 1]);
        if (length == 0) continue;
        const double c = column[i] / length, d = column[i + 1] / length;
        column[i] = length;
        for (int k = i + 1; k < left; k++) {
            double *other = s->r + k * most, x = other[i], y = other[i + 1];
            other[i] = c * x + d * y;
            other[i + 1] = c * y - d * x;
        }
        rotate(s->q + i * n, s->q + (i + 1) * n, (real)c, (real)d, n);
    }
}

/* Frobenius norms of R and its inverse, multiplied; infinity when R is singular. */
static double condition(const factorisation *s) {
    const int count = *s->count, most = s->most;
    double all = 0, inverse = 0, x[ANDERSON_MOST];
    for (int k = 0; k < count; k++) {
        if (s->r[k * most + k] == 0) return INFINITY;
        for (int i = 0; i <= k; i++) all += s->r[k * most + i] * s->r[k * most + i];
        for (int i = k; i >= 0; i--) { /* column k of the inverse */
            x[i] = i == k;
            for (int j = i + 1; j <= k; j++) x[i] -= s->r[j * most + i] * x[j];
            x[i] /= s->r[i * most + i];
            inverse += x[i] * x[i];
        }
    }
    return sqrt(all) * sqrt(inverse);
}

void NAME(factor_add)(factorisation *s, const vec *newer, const vec *older, int64_t n) {
    if (s->most == 0) return;
    if (*s->count == s->most) drop_oldest(s, n);
    const int at = (*s->count)++;
    vec *column = s->q + at * n;
    double *h = s->r + at * s->most;
    memset(h, 0, (size_t)(at + 1) * sizeof *h);
    difference(column, newer, older, n);
    const bool noise = norm(column, n) <= 64 * (double)REAL_EPSILON * norm(newer, n);
    orthogonalise(column, s->q, at, n, h);
    orthogonalise(column, s->q, at, n, h);
    h[at] = norm(column, n);
    const double inverse = 1 / h[at];
    if (!noise && h[at] > 0 && isfinite((real)inverse))
        scale(column, (real)inverse, n);
    else
        h[at] = 0;
    while (*s->count > 0 && !(condition(s) <= CONDITION_MOST)) drop_oldest(s, n);
}

bool NAME(factor_weights)(const factorisation *s, const vec *newest, const double *squares, double ridge, int64_t n,
                          double *w) {
    const int count = *s->count;
    double a[ANDERSON_MOST][ANDERSON_MOST], y[ANDERSON_MOST];
    for (int i = 0; i < count; i++) {
        y[i] = dot(s->q + i * n, newest, n);
        for (int k = i; k < count; k++) a[i][k] = s->r[k * s->most + i];
    }
    /* With w_0 = y_0, w_i = y_i - y_(i-1), w_count = 1 - y_(count-1) each term of the ridge is one more row. */
    for (int i = 0; i <= count && count > 0 && ridge > 0; i++) {
        double row[ANDERSON_MOST] = {0}, right = i == count ? sqrt(ridge * squares[i]) : 0;
        if (i > 0) row[i - 1] = (i == count ? 1 : -1) * sqrt(ridge * squares[i]);
        if (i < count) row[i] = sqrt(ridge * squares[i]);
        for (int j = i > 0 ? i - 1 : 0; j < count; j++) {
            const double length = hypot(a[j][j], row[j]);
            if (length == 0 || row[j] == 0) continue;
            const double c = a[j][j] / length, d = row[j] / length, t = y[j];
            for (int k = j; k < count; k++) {
                const double x = a[j][k];
                a[j][k] = c * x + d * row[k];
                row[k] = c * row[k] - d * x;
            }
            y[j] = c * t + d * right;
            right = c * right - d * t;
        }
    }
    bool good = true;
    for (int i = count - 1; i >= 0; i--) {
        for (int k = i + 1; k < count; k++) y[i] -= a[i][k] * y[k];
        y[i] /= a[i][i];
        good = good && isfinite(y[i]);
    }
    for (int i = 0; i <= count; i++) w[i] = (i < count ? y[i] : 1) - (i > 0 ? y[i - 1] : 0);
    return good;
}
