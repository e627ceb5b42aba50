/* linear_matrix.c - the matrix of L: one application to each unit vector, a block of them at a time. */
#include "memory.h"
#include "numeric.h"
#include "real.h"
#include <stdlib.h>
#include <string.h>

bool NAME(deq_linear_matrix)(const deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed,
                             const int64_t *place, int64_t n, double *out) {
    int64_t stride = fixed->state_bytes / (int64_t)sizeof(real), block = worker->block;
    real *rows = deq_memory_new((size_t)(2 * block * fixed->state_bytes)), *images = rows + block * stride;
    if (!rows) return false;
    deq_frame f = *frame;
    f.rows = worker->identity; /* L is shared: no record of an example is read */
    f.scratch = worker->scratch;
    f.arg0 = rows;
    f.arg1 = images;
    for (int64_t from = 0; from < n; from += block) {
        int64_t count = from + block < n ? block : n - from;
        memset(rows, 0, (size_t)(count * fixed->state_bytes));
        for (int64_t i = 0; i < count; i++) rows[i * stride + place[from + i]] = 1;
        fixed->linear(&f, count);
        for (int64_t i = 0; i < count; i++)
            for (int64_t k = 0; k < n; k++) out[(from + i) * n + k] = (double)images[i * stride + place[k]];
    }
    free(rows);
    return true;
}
