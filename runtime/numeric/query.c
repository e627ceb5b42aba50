/* query.c - what an attack asks of its net, counted by example: queries, gradients, what of it says nothing. */
#include "solve.h"
#include <math.h>

/* Rows of gradients are rarely zero: the first element that is not ends the search. */
static bool row_zero(const real *row, int64_t count) {
    for (int64_t k = 0; k < count; k++)
        if (row[k] != 0) return false;
    return true;
}

static bool all_finite(const real *row, int64_t count) {
    for (int64_t k = 0; k < count; k++)
        if (!isfinite(row[k])) return false;
    return true;
}

/* An objective may be flat where another class is ahead already: the attack has nothing left to do there.  Outputs that
 * are equal, or no numbers, are not wrong. */
static bool wrong(const real *output, int64_t outputs, int32_t label) {
    for (int64_t k = 0; label > 0 && label <= outputs && k < outputs; k++)
        if (output[k] > output[label - 1]) return true;
    return false;
}

void NAME(deq_query)(void *frame, int64_t n, void *value, int64_t count, int64_t value_stride, void *gradient,
                     int64_t stride, void *output, int64_t outputs, int64_t output_stride) {
    deq_worker *worker = ((deq_frame *)frame)->host;
    for (int64_t i = 0; i < n; i++) {
        deq_row_counts *c = &worker->counts[i];
        c->queries++;
        c->undefined += value && !all_finite((const real *)((const char *)value + i * value_stride), count);
        if (!gradient) continue;
        const char *row = (const char *)gradient + i * stride;
        c->gradients++;
        c->zero += row_zero((const real *)row, stride / (int64_t)sizeof(real)) &&
                   (c->cut || !wrong((const real *)((const char *)output + i * output_stride), outputs, c->label));
        c->told = c->cut || !NAME(row_finite)((const vec *)row, stride / (int64_t)sizeof(vec));
        c->lost += c->told;
        c->cut = false;
    }
}

void NAME(deq_counted)(void *frame, int64_t n, void *value, void *gradient, int64_t stride) {
    deq_worker *worker = ((deq_frame *)frame)->host;
    for (int64_t i = 0; i < n; i++) {
        deq_row_counts *c = &worker->counts[i];
        const char *row = (const char *)gradient + i * stride;
        const bool finite = NAME(row_finite)((const vec *)row, stride / (int64_t)sizeof(vec));
        if (value) {
            c->gradients++;
            c->zero += row_zero((const real *)row, stride / (int64_t)sizeof(real));
            c->undefined += !isfinite(*(const real *)((const char *)value + i * DEQ_ALIGN));
        }
        c->lost += !finite && (value || !c->told);
        c->told = !finite;
    }
}
