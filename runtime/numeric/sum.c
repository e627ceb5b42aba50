/* sum.c - sums of the shards' gradients. */
#include "numeric.h"
#include "vector.h"

/* Elements from .. to of out = scale * (parts[0] + parts[1] + ...), added in this order. */
HOT void NAME(deq_sum)(void *out, void *const *parts, int count, int64_t from, int64_t to, double scale) {
    const int64_t whole = from + (to - from) / LANES * LANES;
    for (int64_t i = from; i < whole; i += LANES) { /* `from` is a multiple of whole vectors */
        vec sum = *(const vec *)((const real *)parts[0] + i);
        for (int s = 1; s < count; s++) sum += *(const vec *)((const real *)parts[s] + i);
        *(vec *)((real *)out + i) = (real)scale * sum;
    }
    for (int64_t i = whole; i < to; i++) {
        real sum = ((const real *)parts[0])[i];
        for (int s = 1; s < count; s++) sum += ((const real *)parts[s])[i];
        ((real *)out)[i] = (real)scale * sum;
    }
}
