/* deq_types.h - what crosses the interface of a compiled net: options, and what is told of solves.  The header that
 * `deq build --lib` writes holds this text; a program may include the headers of several nets. */
#ifndef DEQ_TYPES_H
#define DEQ_TYPES_H
#include <stdint.h>

#define DEQ_LIBRARY_ABI 2 /* of these types and of the functions beside them */

#define DEQ_MOST_THREADS 1024

typedef struct deq_library_options {
    int threads; /* worker threads, of which the caller's is one; 1: only that; 0: one for each core; the most: 1024 */
    uint64_t seed; /* of the initial parameters */
} deq_library_options;

typedef struct deq_status { /* of the fixed-point solves of one call */
    int64_t solves, unconverged, diverged;
    double mean_steps, mean_residual, worst_residual;
    int64_t worst_example; /* position in the call; -1 none */
    int64_t adjoint_solves;
    int64_t adjoint_unconverged; /* or gradients that were not finite, and left out: whichever are more */
    double adjoint_mean_steps, adjoint_worst_residual;
} deq_status;

typedef struct deq_example { /* of one example's solve of one fixed point */
    int64_t steps;           /* evaluations of the equation */
    double residual;         /* of the state that the net goes on with, as the solver's `stop` measures it */
    int32_t converged;       /* 1: the residual is within the tolerance; 0: it is not */
    int32_t diverged;        /* 1: the solver gave the example up */
} deq_example;
#endif
