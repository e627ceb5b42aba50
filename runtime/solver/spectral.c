/* spectral.c - eigenvalues of small Hessenberg matrices by LAPACK's QR algorithm, and medians over examples. */
#include "spectral.h"
#include "blas.h"
#include "sort.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Lengths of the character arguments follow the others, as gfortran passes them. */
extern void dhseqr_(const char *job, const char *compz, const int *n, const int *low, const int *high, double *h,
                    const int *ldh, double *re, double *im, double *z, const int *ldz, double *work, const int *lwork,
                    int *info, size_t, size_t);

double deq_hessenberg_radius(const double *h, int n, int ld, double *work) {
    if (n < 1) return 0;
    double *copy = work, *re = work + n * n, *im = re + n, *space = im + n, unused = 0, radius = 0;
    for (int column = 0; column < n; column++)
        for (int row = 0; row < n; row++) {
            double v = row <= column + 1 ? h[row + column * ld] : 0;
            if (!isfinite(v)) return NAN;
            copy[row + column * n] = v;
        }
    if (!deq_blas_ready()) return NAN;
    int low = 1, info = 0, one = 1;
    DEQ_BLAS(dhseqr_)("E", "N", &n, &low, &n, copy, &n, re, im, &unused, &one, space, &n, &info, 1, 1);
    if (info) return NAN;
    for (int i = 0; i < n; i++) radius = fmax(radius, hypot(re[i], im[i]));
    return radius;
}

deq_quantiles deq_quantiles_of(const void *records, int64_t n, size_t stride, size_t offset) {
    deq_quantiles q = {NAN, NAN};
    double *values = malloc((size_t)(n > 0 ? n : 1) * sizeof *values);
    int64_t count = 0;
    for (int64_t i = 0; values && i < n; i++) {
        double v;
        memcpy(&v, (const char *)records + (size_t)i * stride + offset, sizeof v);
        if (isfinite(v)) values[count++] = v;
    }
    if (count) {
        deq_sort(values, (size_t)count);
        q.median = count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
        q.most = values[count - 1];
    }
    free(values);
    return q;
}
