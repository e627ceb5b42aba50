/* hand_gradient.h - runs a gradient written by hand (hand.h) at the states that a solve has kept. */
#ifndef DEQ_RUNTIME_HAND_GRADIENT_H
#define DEQ_RUNTIME_HAND_GRADIENT_H
#include "deq_runtime.h"

/* The mode of the fixed point is one; frame as for NAME_implicit (fixed.def). */
void deq_gradient_hand(const deq_frame *frame, const deq_fixed *fixed, int64_t n);
#endif
