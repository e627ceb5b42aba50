/* tanh.c - the implicit gradient of z = tanh(z W + x U + b), twice.
 *
 * With s = 1 - z * z the Jacobian of the cell is J = diag(s) W'.  The cotangent u of the state solves u = J'u + d_z;
 * then v = s * u is the cotangent of the sum inside tanh, and every parameter's follows from v by the product rule. */
#include "gradients.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>

#if DEQ_REAL_BITS == 64
#define REAL_EPSILON DBL_EPSILON
#else
#define REAL_EPSILON FLT_EPSILON
#endif

static void outer(deq_real *out, const deq_real *a, int64_t m, const double *b, int64_t n) {
    for (int64_t i = 0; out && i < m; i++)
        for (int64_t k = 0; k < n; k++) out[i * n + k] = (deq_real)(a[i] * b[k]);
}

/* d_W, d_U, d_b and d_x from v. */
#define DELIVER(a, v)                                                                                                  \
    do {                                                                                                               \
        outer((a)->d_W, (a)->z, (a)->H, v, (a)->H);                                                                    \
        outer((a)->d_U, (a)->x, (a)->I, v, (a)->H);                                                                    \
        for (int64_t k_ = 0; (a)->d_b && k_ < (a)->H; k_++) (a)->d_b[k_] = (deq_real)v[k_];                            \
        for (int64_t i_ = 0; i_ < (a)->I; i_++) {                                                                      \
            double sum_ = 0;                                                                                           \
            for (int64_t k_ = 0; k_ < (a)->H; k_++) sum_ += (double)(a)->U[i_ * (a)->H + k_] * v[k_];                  \
            (a)->d_x[i_] = (deq_real)sum_;                                                                             \
        }                                                                                                              \
    } while (0)

/* A u = rhs in place of rhs, by elimination with partial pivoting; false when A is singular. */
static int solve(double *A, double *rhs, int64_t n) {
    for (int64_t c = 0; c < n; c++) {
        int64_t pivot = c;
        for (int64_t r = c + 1; r < n; r++)
            if (fabs(A[r * n + c]) > fabs(A[pivot * n + c])) pivot = r;
        if (A[pivot * n + c] == 0) return 0;
        for (int64_t k = 0; k < n; k++) {
            double t = A[c * n + k];
            A[c * n + k] = A[pivot * n + k];
            A[pivot * n + k] = t;
        }
        double t = rhs[c];
        rhs[c] = rhs[pivot];
        rhs[pivot] = t;
        for (int64_t r = c + 1; r < n; r++) {
            double factor = A[r * n + c] / A[c * n + c];
            for (int64_t k = c; k < n; k++) A[r * n + k] -= factor * A[c * n + k];
            rhs[r] -= factor * rhs[c];
        }
    }
    for (int64_t r = n; r-- > 0;) {
        for (int64_t k = r + 1; k < n; k++) rhs[r] -= A[r * n + k] * rhs[k];
        rhs[r] /= A[r * n + r];
    }
    return 1;
}

DEQ_GRADIENT(tanh_factored) {
    int64_t n = a->H;
    double *A = calloc((size_t)(n * n + n), sizeof *A), *u = A + n * n;
    if (!A) return 1;
    for (int64_t j = 0; j < n; j++) { /* I - J' */
        u[j] = a->d_z[j];
        for (int64_t i = 0; i < n; i++)
            A[j * n + i] = (i == j) - (double)a->W[j * n + i] * (1 - (double)a->z[i] * a->z[i]);
    }
    int solved = solve(A, u, n);
    for (int64_t i = 0; i < n; i++) u[i] *= 1 - (double)a->z[i] * a->z[i];
    DELIVER(a, u);
    free(A);
    return !solved;
}

/* u = d_z + J'd_z + J'J'd_z + .., until a term no longer matters. */
DEQ_GRADIENT(tanh_series) {
    enum { MOST = 500 };
    int64_t n = a->H, step = 0;
    double *u = malloc((size_t)n * (sizeof *u + 2 * sizeof(deq_real)));
    deq_real *term = (deq_real *)(u + n), *next = term + n;
    if (!u) return 1;
    for (int64_t i = 0; i < n; i++) u[i] = term[i] = a->d_z[i];
    double left = 1;
    while (left > REAL_EPSILON / 8 && step < MOST) {
        double sum = 0, change = 0;
        a->call.transposed(&a->call, term, next);
        for (int64_t i = 0; i < n; i++) {
            term[i] = next[i];
            u[i] += term[i];
            sum += u[i] * u[i];
            change += (double)term[i] * term[i];
        }
        left = sum > 0 ? sqrt(change / sum) : 0;
        step++;
    }
    *a->call.steps = step;
    *a->call.residual = left;
    for (int64_t i = 0; i < n; i++) u[i] *= 1 - (double)a->z[i] * a->z[i];
    DELIVER(a, u);
    free(u);
    return step == MOST;
}
