/* real.h - the working type of a file that is compiled twice, and the names of its functions: NAME(f) is f_f32 or
 * f_f64. */
#ifndef DEQ_NUMERIC_REAL_H
#define DEQ_NUMERIC_REAL_H
#include <float.h>
#include <stdint.h>

#if DEQ_REAL == 32
typedef float real;
#define NAME(f) f##_f32
#define REAL_EPSILON FLT_EPSILON
#elif DEQ_REAL == 64
typedef double real;
#define NAME(f) f##_f64
#define REAL_EPSILON DBL_EPSILON
#else
#error "compile with -DDEQ_REAL=32 or -DDEQ_REAL=64"
#endif

/* Rows are padded with zeros to DEQ_ALIGN bytes, so that loops run over whole vectors and have no tails. */
typedef real vec __attribute__((vector_size(64), may_alias));
#define LANES ((int)(sizeof(vec) / sizeof(real)))

/* One body, compiled for the vector width of the machine it runs on.  Sums keep a fixed order of fixed accumulators, so
 * AVX2 and AVX-512 give the same bits.  Sanitizers start after the resolvers of such functions run, hence not there. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&               \
    !defined(__SANITIZE_THREAD__)
#define HOT __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), noinline))
#else
#define HOT
#endif
#define INLINE static inline __attribute__((always_inline))
#endif
