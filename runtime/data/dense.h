/* dense.h - examples in memory, rows without padding, as a source for the engine: library calls, gradcheck, benchmarks.
 */
#ifndef DEQ_RUNTIME_DENSE_H
#define DEQ_RUNTIME_DENSE_H
#include "engine.h"
#include "manifest.h"

typedef struct deq_dense {
    const void *x, *y;       /* of the module's reals; y NULL: no targets */
    int64_t inputs, targets; /* elements of a row */
} deq_dense;

int64_t deq_target_elements(const deq_target *target); /* 1 for a label */
deq_source deq_dense_source(deq_dense *dense);
/* 0 .. n-1; free() it. */
int64_t *deq_index_range(int64_t n);
#endif
