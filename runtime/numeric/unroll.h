/* unroll.h - cotangents through steps that were made: what the modes that take them so share. */
#ifndef DEQ_NUMERIC_UNROLL_H
#define DEQ_NUMERIC_UNROLL_H
#include "mode.h"

typedef struct unrolled_steps {
    real *u, *v, *out, *state;
    bool *bad, *skip; /* by row, by position */
    int64_t *example; /* by position */
} unrolled_steps;

unrolled_steps NAME(unroll_take)(const deq_fixed *fixed, deq_space *space, int64_t n);
size_t NAME(unroll_bytes)(const deq_fixed *fixed, int64_t n);
/* u = the cotangent; what is not finite, or is not to be used, is marked as bad; drest = 0. */
void NAME(unroll_load)(const deq_frame *frame, const deq_fixed *fixed, int64_t n, unrolled_steps *b);

/* Modes that differentiate `count` steps made after the solver's state, which is a constant. */
void NAME(solve_after)(forward *c, int count, double damping, bool undamped_first);
void NAME(gradient_after)(const deq_frame *frame, const deq_fixed *fixed, int64_t n, double damping,
                          bool undamped_first);
#endif
