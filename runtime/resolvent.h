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

/* Makes what the `count` arrays of settings (by index) ask for and forgets the rest.
 * needs: a planned worker, whose scratch is used; frame->shared prepared.  Fails with DEQ_MEMORY. */
bool deq_resolvents_update(deq_resolvents *r, const deq_worker *worker, const deq_frame *frame,
                           const deq_fixed_settings *const *settings, int count, deq_error *e);
const deq_resolvent *deq_resolvents_find(const deq_resolvents *r, const deq_fixed *fixed, double step, bool transposed);
/* The parameters have changed, or the engine ends. */
void deq_resolvents_clear(deq_resolvents *r);

/* Least eigenvalue of the symmetric part of I - L: how strongly monotone it is.
 * needs: fixed->linear and shared_linear, at most DEQ_RESOLVENT_MOST elements; worker and frame as above. */
bool deq_resolvent_margin(const deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, double *margin,
                          deq_error *e);

/* ---- numeric/resolvent.c: the n elements of a state stand at place[0 .. n) of its row ---- */
/* out[j * n + k] = element k of L e_j; false when memory is short. */
bool deq_linear_matrix_f32(const deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed,
                           const int64_t *place, int64_t n, double *out);
bool deq_linear_matrix_f64(const deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed,
                           const int64_t *place, int64_t n, double *out);
#endif
