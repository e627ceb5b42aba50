/* worker_plan.h - makes room for a worker's solves.
 *
 * needs: the descriptors of the net's fixed points, and every settings a call may run under.
 * ensures: solving allocates nothing. */
#ifndef DEQ_RUNTIME_WORKER_PLAN_H
#define DEQ_RUNTIME_WORKER_PLAN_H
#include "error.h"
#include "worker.h"

/* Makes room for solves under any of `count` arrays of settings (each by index), `defended`: with a defence as well.
 * The request becomes the first of them and nothing else.
 * Fails with DEQ_SETTING when a mode does not fit its solver, with DEQ_MEMORY. */
bool deq_worker_plan(deq_worker *worker, const deq_fixed_settings *const *settings, int count, bool defended,
                     deq_error *e);
/* Bytes that planning for these settings takes. */
size_t deq_worker_bytes(const deq_worker *worker, const deq_fixed_settings *const *settings, int count, bool defended);
#endif
