/* vector.h - loops over whole rows.  `n` counts vectors of 64 bytes; four accumulators, added in a fixed order. */
#ifndef DEQ_NUMERIC_VECTOR_H
#define DEQ_NUMERIC_VECTOR_H
#include "real.h"

typedef real vec_half __attribute__((vector_size(32)));
typedef real vec_quarter __attribute__((vector_size(16)));

INLINE real vec_total(const vec *v) {
#if DEQ_REAL == 32
    vec_half h = __builtin_shufflevector(*v, *v, 0, 1, 2, 3, 4, 5, 6, 7) +
                 __builtin_shufflevector(*v, *v, 8, 9, 10, 11, 12, 13, 14, 15);
    vec_quarter q = __builtin_shufflevector(h, h, 0, 1, 2, 3) + __builtin_shufflevector(h, h, 4, 5, 6, 7);
    return (q[0] + q[2]) + (q[1] + q[3]);
#else
    vec_half h = __builtin_shufflevector(*v, *v, 0, 1, 2, 3) + __builtin_shufflevector(*v, *v, 4, 5, 6, 7);
    vec_quarter q = __builtin_shufflevector(h, h, 0, 1) + __builtin_shufflevector(h, h, 2, 3);
    return q[0] + q[1];
#endif
}

/* Runs `body` for k = 0 .. n-1, where `lane` 0..3 names the accumulator: k mod 4. */
#define ROW_LOOP(n, body)                                                                                              \
    do {                                                                                                               \
        int64_t k_ = 0;                                                                                                \
        for (; k_ + 4 <= (n); k_ += 4) {                                                                               \
            {                                                                                                          \
                const int64_t k = k_;                                                                                  \
                enum { lane = 0 };                                                                                     \
                body                                                                                                   \
            }                                                                                                          \
            {                                                                                                          \
                const int64_t k = k_ + 1;                                                                              \
                enum { lane = 1 };                                                                                     \
                body                                                                                                   \
            }                                                                                                          \
            {                                                                                                          \
                const int64_t k = k_ + 2;                                                                              \
                enum { lane = 2 };                                                                                     \
                body                                                                                                   \
            }                                                                                                          \
            {                                                                                                          \
                const int64_t k = k_ + 3;                                                                              \
                enum { lane = 3 };                                                                                     \
                body                                                                                                   \
            }                                                                                                          \
        }                                                                                                              \
        for (; k_ < (n); k_++) {                                                                                       \
            const int64_t k = k_;                                                                                      \
            enum { lane = 0 };                                                                                         \
            body                                                                                                       \
        }                                                                                                              \
    } while (0)

#define ACCUMULATORS(name) vec name[4] = {{0}, {0}, {0}, {0}}
INLINE real total4(const vec a[4]) {
    vec sum = (a[0] + a[1]) + (a[2] + a[3]);
    return vec_total(&sum);
}

INLINE real row_dot(const vec *x, const vec *y, int64_t n) {
    ACCUMULATORS(a);
    ROW_LOOP(n, a[lane] += x[k] * y[k];);
    return total4(a);
}

/* w += c x, then the dot product of w and y: one pass over w. */
INLINE real row_axpy_dot(vec *w, real c, const vec *x, const vec *y, int64_t n) {
    ACCUMULATORS(a);
    ROW_LOOP(n, const vec t = w[k] + c * x[k]; w[k] = t; a[lane] += t * y[k];);
    return total4(a);
}

INLINE void row_axpy(vec *w, real c, const vec *x, int64_t n) { ROW_LOOP(n, w[k] += c * x[k];); }

INLINE void row_scale(vec *out, real c, const vec *x, int64_t n) { ROW_LOOP(n, out[k] = c * x[k];); }

INLINE void row_copy(vec *out, const vec *x, int64_t n) { ROW_LOOP(n, out[k] = x[k];); }

/* w = f + g - z (g NULL: none; f becomes f + g); sums[0] = norm(w)^2, sums[1] = norm(f + g)^2. */
INLINE void row_residual(vec *w, vec *f, const vec *g, const vec *z, int64_t n, double sums[2]) {
    ACCUMULATORS(a);
    ACCUMULATORS(b);
    if (g)
        ROW_LOOP(n, const vec h = f[k] + g[k]; const vec t = h - z[k]; f[k] = h; w[k] = t; a[lane] += t * t;
                 b[lane] += h * h;);
    else
        ROW_LOOP(n, const vec h = f[k]; const vec t = h - z[k]; w[k] = t; a[lane] += t * t; b[lane] += h * h;);
    sums[0] = (double)total4(a);
    sums[1] = (double)total4(b);
}
#endif
