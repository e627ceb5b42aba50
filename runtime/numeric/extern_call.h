/* extern_call.h - a gradient written in C, run (include/deq_gradient.h). */
#ifndef DEQ_NUMERIC_EXTERN_CALL_H
#define DEQ_NUMERIC_EXTERN_CALL_H
#include "extern_gradient.h"
#include "solve.h"

size_t NAME(extern_bytes)(const deq_fixed *fixed, const deq_extern *x);
/* At the states in arg0, from the cotangents in arg1, one example after the other. */
void NAME(extern_gradient)(const deq_frame *frame, const deq_fixed *fixed, int64_t n);
#endif
