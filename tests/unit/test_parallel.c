/* test_parallel.c - every task runs once, whatever the threads; the pool is reused and freed. */
#include "parallel.h"
#include <stdatomic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define TASKS 1000

typedef struct tally {
    atomic_int runs[TASKS];
    atomic_int wrong_worker;
    int threads;
} tally;

static void count_task(void *context, int worker, int64_t task) {
    tally *t = context;
    atomic_fetch_add(&t->runs[task], 1);
    if (worker < 0 || worker >= t->threads) atomic_fetch_add(&t->wrong_worker, 1);
}

static void test_every_task_once(void **state) {
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        static tally t;
        deq_pool *pool = deq_pool_new(threads);
        assert_non_null(pool);
        t = (tally){.threads = deq_pool_threads(pool)};
        assert_int_equal(t.threads, threads);
        for (int round = 1; round <= 200; round++) {
            int64_t count = round % 7 == 0 ? 0 : round % 5 == 0 ? 1 : TASKS;
            for (int i = 0; i < TASKS; i++) atomic_store(&t.runs[i], 0);
            deq_pool_run(pool, count, count_task, &t);
            for (int i = 0; i < TASKS; i++) assert_int_equal(atomic_load(&t.runs[i]), i < count);
        }
        assert_int_equal(atomic_load(&t.wrong_worker), 0);
        deq_pool_free(pool);
    }
}

static void test_default_is_the_number_of_cores(void **state) {
    (void)state;
    deq_pool *pool = deq_pool_new(0);
    assert_true(deq_pool_threads(pool) >= 1);
    deq_pool_free(pool);
    deq_pool_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_task_once),
                                       cmocka_unit_test(test_default_is_the_number_of_cores)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
