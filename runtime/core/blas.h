/* blas.h - OpenBLAS and its LAPACK, loaded when first needed.
 *
 * Loading it with the program costs 10 ms (40 MB), half of what `deq check` may take, and most
 * programs need it never or once.  Prototypes come from <cblas.h> as usual; only the call is spelled differently:
 *   DEQ_BLAS(cblas_sgemm)(CblasRowMajor, ...)
 * Needs: deq_blas_ready() returned true.  BLAS runs on one thread: the callers are worker threads. */
#ifndef DEQ_RUNTIME_BLAS_H
#define DEQ_RUNTIME_BLAS_H
#include <stdbool.h>

bool deq_blas_ready(void);               /* loads libopenblas once; false when the machine has none */
void *deq_blas_symbol(const char *name); /* looked up once per call site by DEQ_BLAS; aborts when OpenBLAS lacks it */

#define DEQ_BLAS(function)                                                                                             \
    (*({                                                                                                               \
        static __typeof__(&function) loaded_;                                                                          \
        __typeof__(&function) now_ = __atomic_load_n(&loaded_, __ATOMIC_RELAXED);                                      \
        if (!now_) {                                                                                                   \
            *(void **)&now_ = deq_blas_symbol(#function);                                                              \
            __atomic_store_n(&loaded_, now_, __ATOMIC_RELAXED);                                                        \
        }                                                                                                              \
        now_;                                                                                                          \
    }))
#endif
