/* resolvents.h - makes the inverses that splitting solvers multiply with (resolvent.h), and the margin of I - L. */
#ifndef DEQ_RUNTIME_RESOLVENTS_H
#define DEQ_RUNTIME_RESOLVENTS_H
#include "error.h"
#include "resolvent.h"

/* Makes what the `count` arrays of settings (by index) ask for and forgets the rest.
 * needs: a planned worker, whose scratch is used; frame->shared prepared.  Fails with DEQ_MEMORY. */
bool deq_resolvents_update(deq_resolvents *r, const deq_worker *worker, const deq_frame *frame,
                           const deq_fixed_settings *const *settings, int count, deq_error *e);
/* Least eigenvalue of the symmetric part of I - L: how strongly monotone it is.
 * needs: fixed->linear and shared_linear, at most DEQ_RESOLVENT_MOST elements; worker and frame as above. */
bool deq_resolvent_margin(const deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, double *margin,
                          deq_error *e);
#endif
