/* ride.h - gradients at the states a forward solve passes, gathered while it runs and without keeping the states. */
#ifndef DEQ_NUMERIC_RIDE_H
#define DEQ_NUMERIC_RIDE_H
#include "solve.h"

typedef struct ride {
    /* State `step` with Broyden's directions, of which the newest is in `slot`; before examples are compacted.  NULL. */
    void (*along)(problem *p, int step, const real *z, const deq_history *directions, int slot, int factors);
    /* State `step` of any solver; NULL. */
    void (*at_state)(problem *p, int step, const real *z);
    const deq_mode *mode;
    int first, last;           /* states whose gradients are wanted */
    deq_routine_fn *cotangent; /* NAME_LOSS_cotangent */
    deq_frame frame;           /* with drest and accum */
    deq_kept *kept;
    const bool *cut; /* by row: nothing flows through these examples; NULL none */
    real *u;         /* the adjoint that goes along, by row */
    real *a, *b, *c; /* by position */
    double *residual;
    bool *lost;   /* by row: its gradient is not finite from some state on */
    bool *bad;    /* by position */
    bool judges;  /* the state at which the gradient is taken is wanted, */
    bool looks;   /* and no gradient */
    real *judged; /* by row: that state, the weighted mean of several */
    int *seen;    /* by row: the last state in it */
    int *steps;   /* by row: states passed */
    /* f at the state, by position, linearised in the first tape; NULL: the solver does not evaluate there */
    const real *image;
} ride;

/* Takes its buffers from the space and, unless that only measures, starts at zero. */
void NAME(ride_open)(ride *r, const deq_fixed *fixed, deq_space *space, int64_t n);
/* Readies examples for the routines at the linearisation of this state. */
deq_frame NAME(ride_frame)(const problem *p, const ride *r);
void NAME(ride_mark)(const problem *p, ride *r);
/* The states z of this step, by position, have this share in `judged`. */
void NAME(ride_judge)(const problem *p, int step, const real *z, double share);
/* What was judged becomes the value z, where all its states are there. */
void NAME(ride_value)(const ride *r, const deq_fixed *fixed, int64_t n, real *z);
/* Records how the examples' gradients ended. */
void NAME(ride_report)(const problem *p);
/* The gradient of a mode that rides: drest is what was gathered while the state was solved for. */
void NAME(ride_gathered)(const deq_frame *frame, const deq_fixed *fixed, int64_t n);
#endif
