/* cotangents.h - cotangents through one linearisation at the returned state: what the modes that take them so share.
 *
 * The problem u = J'u + g is linear: a power of two brings each g near norm 1, where tolerances and f32 squares are at
 * home, and back. */
#ifndef DEQ_NUMERIC_COTANGENTS_H
#define DEQ_NUMERIC_COTANGENTS_H
#include "solve.h"

typedef struct cotangents {
    real *u, *v, *out, *result;
    double *scale;
    bool *bad, *fell; /* bad: by position */
} cotangents;

cotangents NAME(cotangents_take)(const deq_fixed *fixed, deq_space *space, int64_t n);
size_t NAME(cotangents_bytes)(const deq_fixed *fixed, int64_t n);
/* Under on_fail: zero_gradient nothing flows through an example that did not converge. */
bool NAME(cotangents_cut)(const deq_worker *worker, const deq_fixed *fixed, int64_t row);
/* u = g / scale, zero where nothing is to flow; drest = 0. */
void NAME(cotangents_load)(const deq_frame *frame, const deq_fixed *fixed, int64_t n, cotangents *b);
/* v = scale * from, in the order of the tape records; marks as bad, and records, what is not finite. */
void NAME(cotangents_unload)(const deq_frame *frame, const deq_fixed *fixed, int64_t n, cotangents *b,
                             const real *from);
/* The frame of a routine on the kept linearisation. */
deq_frame NAME(cotangents_frame)(const deq_frame *frame, const deq_fixed *fixed, void *in, void *out);
#endif
