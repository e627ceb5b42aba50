#include "dense.h"
#include <stdlib.h>
#include <string.h>

int64_t deq_target_elements(const deq_target *target) { return target->labels ? 1 : target->shape.elements; }

static void copy_rows(const void *from, int64_t elements, const int64_t *index, int64_t n, int64_t real, void *to,
                      int64_t row_bytes) {
    int64_t used = elements * real;
    for (int64_t i = 0; i < n; i++) {
        char *row = (char *)to + i * row_bytes;
        memcpy(row, (const char *)from + index[i] * used, (size_t)used);
        memset(row + used, 0, (size_t)(row_bytes - used));
    }
}

static void gather(void *context, const int64_t *index, int64_t n, int real_bits, void *x, int64_t input_bytes, void *y,
                   int64_t target_bytes) {
    const deq_dense *d = context;
    copy_rows(d->x, d->inputs, index, n, real_bits / 8, x, input_bytes);
    if (!y) return;
    if (d->y)
        copy_rows(d->y, d->targets, index, n, real_bits / 8, y, target_bytes);
    else
        memset(y, 0, (size_t)(n * target_bytes));
}

deq_source deq_dense_source(deq_dense *dense) { return (deq_source){dense, gather}; }

int64_t *deq_index_range(int64_t n) {
    int64_t *index = malloc((size_t)(n ? n : 1) * sizeof *index);
    for (int64_t i = 0; index && i < n; i++) index[i] = i;
    return index;
}
