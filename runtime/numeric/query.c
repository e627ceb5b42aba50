/* query.c - what an attack asks of its net, counted by example: queries, gradients, and gradients that say nothing. */
#include "solve.h"

/* Rows of gradients are rarely zero: the first element that is not ends the search. */
static bool row_zero(const real *row, int64_t count) {
    for (int64_t k = 0; k < count; k++)
        if (row[k] != 0) return false;
    return true;
}

void NAME(deq_query)(void *frame, int64_t n, void *gradient, int64_t stride) {
    deq_worker *worker = ((deq_frame *)frame)->host;
    for (int64_t i = 0; i < n; i++) {
        deq_row_counts *c = &worker->counts[i];
        c->queries++;
        if (!gradient) continue;
        const char *row = (const char *)gradient + i * stride;
        c->gradients++;
        c->zero += row_zero((const real *)row, stride / (int64_t)sizeof(real));
        c->lost += c->cut || !NAME(row_finite)((const vec *)row, stride / (int64_t)sizeof(vec));
        c->cut = false;
    }
}
