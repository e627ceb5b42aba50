/* parallel.c - the thread pool: a generation number wakes the workers, a counter hands out tasks.
 *
 * A training step of a small net is four runs of the pool of some tens of microseconds, and waking a thread takes as
 * long as one of them.  So threads look for work, and for its end, for a moment before they sleep. */
#define _GNU_SOURCE
#include "parallel.h"
#include "ranks.h"
#include "signals.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

struct deq_pool {
    int threads; /* including the caller's */
    pthread_t *handles;
    pthread_mutex_t lock;
    pthread_cond_t start, end;
    bool spins;                   /* every thread may have a processor of its own */
    _Atomic(uint64_t) generation; /* written under lock, as `stop`, before which the fields below are */
    atomic_int running;           /* workers that have not yet finished this generation */
    atomic_bool stop;
    deq_task *task;
    void *context;
    int64_t count;
    atomic_llong next;
};

#define SPINS 600 /* about twenty microseconds */

static void pause_a_moment(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

typedef struct start_record {
    deq_pool *pool;
    int worker;
} start_record;

static void take_tasks(deq_pool *pool, int worker) {
    for (;;) {
        int64_t task = atomic_fetch_add(&pool->next, 1);
        if (task >= pool->count) return;
        pool->task(pool->context, worker, task);
    }
}

static void *worker_main(void *argument) {
    start_record *record = argument;
    deq_pool *pool = record->pool;
    int worker = record->worker;
    free(record);
    uint64_t seen = 0;
    for (;;) {
        for (int i = 0; pool->spins && i < SPINS && pool->generation == seen && !pool->stop; i++) pause_a_moment();
        pthread_mutex_lock(&pool->lock);
        while (pool->generation == seen && !pool->stop) pthread_cond_wait(&pool->start, &pool->lock);
        seen = pool->generation;
        pthread_mutex_unlock(&pool->lock);
        if (pool->stop) return NULL;
        take_tasks(pool, worker);
        if (atomic_fetch_sub(&pool->running, 1) > 1) continue;
        pthread_mutex_lock(&pool->lock); /* else the caller could look, and then sleep through the signal */
        pthread_cond_signal(&pool->end);
        pthread_mutex_unlock(&pool->lock);
    }
}

int deq_threads(int threads) {
    if (threads <= 0) {
        const int all = (int)sysconf(_SC_NPROCESSORS_ONLN);
        cpu_set_t set;
        const int own = sched_getaffinity(0, sizeof set, &set) ? all : CPU_COUNT(&set);
        threads = own < all ? own : all / deq_ranks_neighbours(); /* mpirun may have given each rank its own */
    }
    return threads < 1 ? 1 : threads;
}

deq_pool *deq_pool_new(int threads) {
    threads = deq_threads(threads);
    deq_pool *pool = calloc(1, sizeof *pool);
    if (!pool) return NULL;
    pool->handles = calloc((size_t)threads, sizeof *pool->handles);
    if (!pool->handles) {
        free(pool);
        return NULL;
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->start, NULL);
    pthread_cond_init(&pool->end, NULL);
    sigset_t before;
    deq_signals_withhold(&before);
    pool->threads = 1;
    pool->spins = threads <= sysconf(_SC_NPROCESSORS_ONLN);
    for (int i = 1; i < threads; i++) {
        start_record *record = malloc(sizeof *record);
        if (!record) break;
        *record = (start_record){pool, i};
        if (pthread_create(&pool->handles[i], NULL, worker_main, record)) {
            free(record);
            break;
        }
        pool->threads++;
    }
    deq_signals_give_back(&before);
    return pool;
}

void deq_pool_free(deq_pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 1; i < pool->threads; i++) pthread_join(pool->handles[i], NULL);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->start);
    pthread_cond_destroy(&pool->end);
    free(pool->handles);
    free(pool);
}

int deq_pool_threads(const deq_pool *pool) { return pool->threads; }

void deq_pool_run(deq_pool *pool, int64_t count, deq_task *task, void *context) {
    if (pool->threads == 1 || count <= 1) {
        for (int64_t i = 0; i < count; i++) task(context, 0, i);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->task = task;
    pool->context = context;
    pool->count = count;
    pool->running = pool->threads - 1;
    atomic_store(&pool->next, 0);
    pool->generation++;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);
    take_tasks(pool, 0);
    for (int i = 0; pool->spins && i < SPINS && pool->running > 0; i++) pause_a_moment();
    pthread_mutex_lock(&pool->lock);
    while (pool->running > 0) pthread_cond_wait(&pool->end, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}
