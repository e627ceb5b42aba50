/* product.c - dense products of shared values, by OpenBLAS. */
#include "real.h"
#include "deq_runtime.h"
#include <cblas.h>
#include <pthread.h>
#include <string.h>

/* Threads of the runtime call this; BLAS threads beneath them would only compete. */
static void one_thread(void) { openblas_set_num_threads(1); }

void NAME(deq_product)(void *a, void *b, void *c, int64_t m, int64_t n, int64_t k, int64_t transpose_a,
                       int64_t transpose_b) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, one_thread);
    if (m == 0 || n == 0) return;
    if (k == 0) {
        memset(c, 0, (size_t)(m * n) * sizeof(real));
        return;
    }
    CBLAS_TRANSPOSE ta = transpose_a ? CblasTrans : CblasNoTrans, tb = transpose_b ? CblasTrans : CblasNoTrans;
    blasint lda = (blasint)(transpose_a ? m : k), ldb = (blasint)(transpose_b ? k : n);
#if DEQ_REAL == 32
    cblas_sgemm(CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)k, 1, a, lda, b, ldb, 0, c, (blasint)n);
#else
    cblas_dgemm(CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)k, 1, a, lda, b, ldb, 0, c, (blasint)n);
#endif
}
