/* ride.h - gradients at the states a forward solve passes, gathered while it runs and without keeping the states.
 *
 * simultaneous (Eq. 7-11): the adjoint iterate u_n goes along with Broyden's z_n and uses its B_n, transposed.
 * unrolled (Eq. 13-16): k damped steps from each requested state, and back. */
#ifndef DEQ_NUMERIC_RIDE_H
#define DEQ_NUMERIC_RIDE_H
#include "solve.h"

typedef struct ride {
    deq_mode_kind kind;
    const deq_mode *mode;
    int first, last;           /* states whose gradients are wanted */
    deq_routine_fn *cotangent; /* NAME_LOSS_cotangent */
    deq_frame frame;           /* with drest and accum */
    deq_kept *kept;
    const bool *cut; /* by row: nothing flows through these examples; NULL none */
    real *u;         /* simultaneous: by row */
    real *a, *b, *c; /* by position */
    double *residual;
    bool *lost; /* by row: its gradient is not finite from some state on */
    bool *bad;  /* by position */
    int *steps; /* by row: states passed */
    /* unrolled: f at the state, by position, linearised in the first tape; NULL: the solver does not evaluate there */
    const real *image;
} ride;

/* Takes its buffers from the space and, unless that only measures, starts at zero. */
void NAME(ride_open)(ride *r, const deq_fixed *fixed, deq_space *space, int64_t n);
/* simultaneous: state `step` with B's directions, of which the newest is in `slot`; before examples are compacted. */
void NAME(ride_along)(problem *p, int step, const real *z, const deq_history *directions, int slot, int factors);
/* unrolled: state `step`. */
void NAME(ride_state)(problem *p, int step, const real *z);
/* Records how the examples' gradients ended. */
void NAME(ride_report)(const problem *p);
#endif
