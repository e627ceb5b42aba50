/* moving_average.c - the average of a run's parameters over its steps. */
#include "moving_average.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool deq_moving_average_begin(deq_moving_average *a, deq_average how, const void *parameters, int64_t bytes,
                              int real_bits) {
    *a = (deq_moving_average){0};
    if (how.kind == DEQ_AVERAGE_none) return true;
    *a = (deq_moving_average){how, real_bits, bytes, malloc((size_t)bytes)};
    if (a->values) memcpy(a->values, parameters, (size_t)bytes);
    return a->values != NULL;
}

void deq_moving_average_step(deq_moving_average *a, const void *parameters, int64_t step) {
    if (!a->values) return;
    const double t = (double)step, early = (1 + t) / (10 + t);
    const double d = a->how.warmup ? fmin(a->how.decay, early) : a->how.decay;
    const int64_t n = a->bytes / (a->real_bits / 8);
    if (a->real_bits == 32) {
        float *to = a->values;
        const float *w = parameters;
        for (int64_t i = 0; i < n; i++) to[i] = (float)(d * (double)to[i] + (1 - d) * (double)w[i]);
    } else {
        double *to = a->values;
        const double *w = parameters;
        for (int64_t i = 0; i < n; i++) to[i] = d * to[i] + (1 - d) * w[i];
    }
}

bool deq_moving_average_exchange(deq_moving_average *a, void *parameters) {
    char *x = a->values, *y = parameters, piece[4096];
    if (!x) return false;
    for (int64_t at = 0; at < a->bytes; at += (int64_t)sizeof piece) {
        const size_t n = (size_t)(a->bytes - at < (int64_t)sizeof piece ? a->bytes - at : (int64_t)sizeof piece);
        memcpy(piece, x + at, n);
        memcpy(x + at, y + at, n);
        memcpy(y + at, piece, n);
    }
    return true;
}

void deq_moving_average_drop(deq_moving_average *a) {
    free(a->values);
    *a = (deq_moving_average){0};
}
