/* resolvent.h - the inverses of I + step (I - L) for fixed points z = prox(L z + c): what the splitting solvers
 * multiply with, and the margin of I - L.
 *
 * One engine's inverses are shared by its workers: made before a call, when the settings ask for them and parameters
 * have changed since, and read only while the call runs. */
#ifndef DEQ_RUNTIME_RESOLVENT_H
#define DEQ_RUNTIME_RESOLVENT_H
#include "worker.h"

typedef struct deq_resolvent {
    const deq_fixed *fixed;
    double step;
    bool transposed; /* of L', for the adjoint */
    bool singular;   /* or not finite, or too near to it for the working precision */
    void *matrix;    /* a state row for each element of one: what that element of the right side adds to the solution */
} deq_resolvent;

typedef struct deq_resolvents {
    deq_resolvent *items;
    int count;
} deq_resolvents;

const deq_resolvent *deq_resolvents_find(const deq_resolvents *r, const deq_fixed *fixed, double step, bool transposed);
/* The parameters have changed, or the engine ends. */
void deq_resolvents_clear(deq_resolvents *r);
#endif
