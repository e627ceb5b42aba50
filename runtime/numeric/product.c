/* product.c - dense products of shared values, by OpenBLAS. */
#include "blas.h"
#include "real.h"
#include "deq_runtime.h"
#include <cblas.h>
#include <string.h>

/* Where the machine has no OpenBLAS. */
static void plain(const real *a, const real *b, real *c, int64_t m, int64_t n, int64_t k, bool ta, bool tb) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            real sum = 0;
            for (int64_t l = 0; l < k; l++) sum += a[ta ? l * m + i : i * k + l] * b[tb ? j * k + l : l * n + j];
            c[i * n + j] = sum;
        }
}

void NAME(deq_product)(void *a, void *b, void *c, int64_t m, int64_t n, int64_t k, int64_t transpose_a,
                       int64_t transpose_b) {
    if (m == 0 || n == 0) return;
    if (k == 0) {
        memset(c, 0, (size_t)(m * n) * sizeof(real));
        return;
    }
    if (!deq_blas_ready()) {
        plain(a, b, c, m, n, k, transpose_a != 0, transpose_b != 0);
        return;
    }
    CBLAS_TRANSPOSE ta = transpose_a ? CblasTrans : CblasNoTrans, tb = transpose_b ? CblasTrans : CblasNoTrans;
    blasint lda = (blasint)(transpose_a ? m : k), ldb = (blasint)(transpose_b ? k : n);
#if DEQ_REAL == 32
    DEQ_BLAS(cblas_sgemm)
    (CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)k, 1, a, lda, b, ldb, 0, c, (blasint)n);
#else
    DEQ_BLAS(cblas_dgemm)
    (CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)k, 1, a, lda, b, ldb, 0, c, (blasint)n);
#endif
}
