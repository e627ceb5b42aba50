/* dense_solve.h - the reference solution of small linear systems. */
#ifndef DEQ_TEST_DENSE_SOLVE_H
#define DEQ_TEST_DENSE_SOLVE_H
#include <math.h>

/* Solves a x = b (d x d, row-major) by Gauss with pivoting; both are overwritten. */
static inline void dense_solve(int d, double *a, double *x) {
    for (int i = 0; i < d; i++) {
        int pivot = i;
        for (int r = i + 1; r < d; r++)
            if (fabs(a[r * d + i]) > fabs(a[pivot * d + i])) pivot = r;
        for (int k = 0; k < d; k++) {
            double t = a[i * d + k];
            a[i * d + k] = a[pivot * d + k], a[pivot * d + k] = t;
        }
        double t = x[i];
        x[i] = x[pivot], x[pivot] = t;
        for (int r = i + 1; r < d; r++) {
            double c = a[r * d + i] / a[i * d + i];
            for (int k = i; k < d; k++) a[r * d + k] -= c * a[i * d + k];
            x[r] -= c * x[i];
        }
    }
    for (int i = d - 1; i >= 0; i--) {
        for (int k = i + 1; k < d; k++) x[i] -= a[i * d + k] * x[k];
        x[i] /= a[i * d + i];
    }
}
#endif
