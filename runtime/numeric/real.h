/* real.h - the working type of a file that is compiled twice, and the names of its functions: NAME(f) is f_f32 or
 * f_f64. */
#ifndef DEQ_NUMERIC_REAL_H
#define DEQ_NUMERIC_REAL_H
#include "hot.h"
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

/* Sums keep a fixed order of fixed accumulators, so the HOT bodies of AVX2 and AVX-512 give the same bits. */
#endif
