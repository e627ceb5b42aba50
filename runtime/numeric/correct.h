/* correct.h - fixed-point correction: the loss at states that a forward solve passes, added to what is differentiated
 * while the solver runs, without keeping the states. */
#ifndef DEQ_NUMERIC_CORRECT_H
#define DEQ_NUMERIC_CORRECT_H
#include "solve.h"

typedef struct correct {
    const deq_penalty *penalty;
    double weight;           /* of this training step; not 0 */
    deq_routine_fn *routine; /* NAME_LOSS_correction */
    deq_frame frame;         /* with drest and accum */
    deq_kept *kept;
    const bool *cut;     /* by row: nothing flows through these examples; NULL none */
    real *a, *b, *c, *v; /* by position */
    char *loss;          /* by position, DEQ_ALIGN apart */
    char *tapes;
    int64_t stride; /* of the tapes of one step */
    bool *bad;      /* by position */
} correct;

/* Takes its buffers from the space. */
void NAME(correct_open)(correct *c, const deq_fixed *fixed, deq_space *space, int64_t n);
/* State `step` of the running examples; before they are compacted. */
void NAME(correct_state)(problem *p, int step, const real *z);
#endif
