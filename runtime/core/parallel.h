/* parallel.h - a fixed set of threads that take numbered tasks from a counter.
 *
 * Which worker runs a task is not determined, so whatever a task computes must depend on its number only. */
#ifndef DEQ_RUNTIME_PARALLEL_H
#define DEQ_RUNTIME_PARALLEL_H
#include <stdint.h>

typedef struct deq_pool deq_pool;

/* Task number `task`, on worker 0 .. threads-1; worker 0 is the thread that called deq_pool_run. */
typedef void deq_task(void *context, int worker, int64_t task);

/* The threads that a pool of so many has: <= 0 asks for one for each core; ranks on one machine share its cores. */
int deq_threads(int threads);
/* threads <= 0: one for each core.  NULL when memory is short; fewer threads when the system refuses some. */
deq_pool *deq_pool_new(int threads);
void deq_pool_free(deq_pool *pool);
int deq_pool_threads(const deq_pool *pool);
/* Runs tasks 0 .. count-1, started in this order, and returns when all have ended.  Not reentrant. */
void deq_pool_run(deq_pool *pool, int64_t count, deq_task *task, void *context);
#endif
