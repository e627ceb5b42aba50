/* query.c - what an attack asks of its net, counted by example: queries, gradients, and gradients that say nothing. */
#include "solve.h"

/* Whether all elements are zero, and whether all are finite. */
HOT static void look(const real *row, int64_t count, bool *zero, bool *finite) {
    real sum = 0, largest = 0;
    for (int64_t k = 0; k < count; k++) {
        const real size = row[k] < 0 ? -row[k] : row[k];
        sum += size * 0; /* NaN as soon as one element is infinite or NaN */
        largest = size > largest ? size : largest;
    }
    *finite = sum == 0;
    *zero = *finite && largest == 0;
}

void NAME(deq_query)(void *frame, int64_t n, void *gradient, int64_t stride) {
    deq_worker *worker = ((deq_frame *)frame)->host;
    for (int64_t i = 0; i < n; i++) {
        deq_row_counts *c = &worker->counts[i];
        bool zero, finite;
        c->queries++;
        if (!gradient) continue;
        look((const real *)((const char *)gradient + i * stride), stride / (int64_t)sizeof(real), &zero, &finite);
        c->gradients++;
        c->zero += zero;
        c->lost += !finite;
    }
}
