/* reals.h - one element of an array of a module's reals, whose precision is known only when it runs. */
#ifndef DEQ_RUNTIME_REALS_H
#define DEQ_RUNTIME_REALS_H
#include <stdint.h>

/* needs: real_bits is 32 or 64. */
static inline double deq_real_get(int real_bits, const void *reals, int64_t k) {
    return real_bits == 64 ? ((const double *)reals)[k] : (double)((const float *)reals)[k];
}
static inline void deq_real_put(int real_bits, void *reals, int64_t k, double value) {
    if (real_bits == 64)
        ((double *)reals)[k] = value;
    else
        ((float *)reals)[k] = (float)value;
}
#endif
