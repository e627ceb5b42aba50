/* finish.h - from the solver's state to the value of a fixed point: steps z <- (1 - share) z + share f(z).
 *
 * Whether an example makes them depends on its own solve alone, never on who asks or on the other examples. */
#ifndef DEQ_NUMERIC_FINISH_H
#define DEQ_NUMERIC_FINISH_H
#include "solve.h"

/* Takes its buffers from the space. */
void NAME(images_open)(images *m, const deq_fixed *fixed, deq_space *space, int64_t n);

typedef struct finish {
    deq_finish settings; /* never `trained` */
    bool *due;           /* by row: its steps are made */
} finish;

/* Notes which rows make the steps; `held`: there was no solve, and all of them do. */
void NAME(finish_begin)(finish *f, const problem *p, bool held);
/* Steps from .. from+count-1 of the rows that make them, in place.  `known` (NULL: nothing) may give f(z) of the first
 * step.  Where f is not finite a row stays what it is.  The space gives working memory. */
void NAME(finish_run)(const finish *f, const deq_frame *frame, const deq_fixed *fixed, int64_t n, int from, int count,
                      real *z, const images *known, deq_space space);
size_t NAME(finish_bytes)(const deq_fixed *fixed, int64_t n);
#endif
