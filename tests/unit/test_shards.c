/* test_shards.c - the sum of a gradient's shards: one order for each number of them, whoever adds them and when. */
#include "engine_shards.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define COUNT 256
#define BYTES (COUNT * (int64_t)sizeof(float))

/* Of sizes so different that every order of adding rounds in its own way. */
static float value_of(int shard, int k) {
    const unsigned mixed = (unsigned)(shard * 2654435761u + (unsigned)k * 40503u);
    return (float)(int)(mixed >> 8) * (shard % 3 ? 1e-3f : 1e3f);
}

static void fill(float *vector, int shard) {
    for (int k = 0; k < COUNT; k++) vector[k] += value_of(shard, k);
}

static float by_hand(int from, int to, int k) {
    if (to - from == 1) return value_of(from, k);
    const int half = from + (to - from) / 2;
    return by_hand(from, half, k) + by_hand(half, to, k);
}

static void open_engine(deq_engine *g) {
    *g = (deq_engine){.real_bits = 32, .real_bytes = 4, .accum_bytes = BYTES, .name = "Net"};
    pthread_mutex_init(&g->shards_lock, NULL);
}

static void close_engine(deq_engine *g) {
    deq_error e = {0};
    assert_true(engine_shards_begin(g, 0, &e)); /* nothing is lost */
    assert_int_equal(g->nvectors, g->vectors_made);
    for (int i = 0; i < g->nvectors; i++) free(g->vectors[i]);
    pthread_mutex_destroy(&g->shards_lock);
}

/* Shards from .. to - 1, made in an order of their own. */
static void make(deq_engine *g, int shards, int from, int to, int order) {
    const int n = to - from;
    for (int i = 0; i < n; i++) { /* forwards, backwards, from the middle on, odd ones first */
        const int odd = i < n / 2 ? 2 * i + 1 : 2 * (i - n / 2);
        const int at = from + (order == 0 ? i : order == 1 ? n - 1 - i : order == 2 ? (i + n / 2) % n : odd);
        char *vector = engine_shards_take(g);
        assert_non_null(vector);
        fill((float *)vector, at);
        engine_shards_done(g, shards, at, vector);
    }
}

static void sum(void **rows, int count, float *out) { deq_sum_f32(out, rows, count, 0, COUNT, 1); }

static void test_order(void **state) {
    (void)state;
    for (int shards = 1; shards <= DEQ_SHARDS; shards++)
        for (int order = 0; order < 4; order++) {
            deq_engine g;
            deq_error e = {0};
            _Alignas(64) float out[COUNT];
            open_engine(&g);
            assert_true(engine_shards_begin(&g, 1, &e));
            make(&g, shards, 0, shards, order);
            const int left = engine_shards_left(shards, 0, shards, NULL);
            assert_int_equal(left, shards > DEQ_SHARDS_APART ? 1 : shards);
            sum((void **)g.shards, left, out);
            for (int k = 0; k < COUNT; k++) {
                float want = value_of(0, k);
                for (int s = 1; s < shards; s++) want += value_of(s, k);
                assert_true(out[k] == (shards > DEQ_SHARDS_APART ? by_hand(0, shards, k) : want));
            }
            if (order == 0 && shards > DEQ_SHARDS_APART) assert_true(g.vectors_made <= 7); /* of up to 64 */
            close_engine(&g);
        }
}

/* Each rank adds what it can of its run; the rest is folded. */
static void test_ranks(void **state) {
    (void)state;
    static const int counts[] = {1, 2, 3, 4, 5, 8, 16, 70};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (int shards = 1; shards <= DEQ_SHARDS; shards++) {
            const int ranks = counts[c];
            deq_engine g[70];
            engine_node nodes[DEQ_SHARDS];
            void *rows[DEQ_SHARDS];
            _Alignas(64) float out[COUNT];
            int all = 0;
            for (int p = 0; p < ranks; p++) {
                const int from = shards * p / ranks, to = shards * (p + 1) / ranks;
                open_engine(&g[p]);
                make(&g[p], shards, from, to, p % 2);
                const int here = engine_shards_left(shards, from, to, nodes + all);
                for (int i = 0; i < here; i++) rows[all + i] = g[p].shards[nodes[all + i].from];
                for (int i = 0; i < here; i++) assert_non_null(rows[all + i]);
                all += here;
            }
            sum(rows, engine_shards_fold(&g[0], rows, nodes, shards, COUNT), out);
            for (int k = 0; k < COUNT; k++) {
                float want = value_of(0, k);
                for (int s = 1; s < shards; s++) want += value_of(s, k);
                assert_true(out[k] == (shards > DEQ_SHARDS_APART ? by_hand(0, shards, k) : want));
            }
            for (int p = 0; p < ranks; p++) close_engine(&g[p]);
        }
}

/* ---- threads ---- */
typedef struct job {
    deq_engine *engine;
    int shards;
} job;

static void task(void *context, int worker, int64_t s) {
    const job *j = context;
    (void)worker;
    char *vector = engine_shards_take(j->engine);
    fill((float *)vector, (int)s);
    engine_shards_done(j->engine, j->shards, (int)s, vector);
}

static void test_threads(void **state) {
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        deq_pool *pool = deq_pool_new(threads);
        deq_engine g;
        deq_error e = {0};
        open_engine(&g);
        for (int round = 0; round < 200; round++) {
            job j = {&g, 9 + round % (DEQ_SHARDS - 8)};
            assert_true(engine_shards_begin(&g, threads, &e));
            deq_pool_run(pool, j.shards, task, &j);
            for (int k = 0; k < COUNT; k++) assert_true(((float *)g.shards[0])[k] == by_hand(0, j.shards, k));
        }
        assert_true(g.vectors_made <= 7 * (threads + 1)); /* the halves beside those that are being made */
        close_engine(&g);
        deq_pool_free(pool);
    }
}

/* How many there are: as blocks, but no more than are worth their sums. */
static void test_count(void **state) {
    (void)state;
    deq_engine g = {.accum_bytes = 1000, .solve_bytes = 100};
    assert_int_equal(engine_shards_of(&g, 1000, 5), 5);
    assert_int_equal(engine_shards_of(&g, 1000, 300), 64);
    assert_int_equal(engine_shards_of(&g, 200, 300), 20);
    assert_int_equal(engine_shards_of(&g, 10, 300), 8);
    g.accum_bytes = 0;
    assert_int_equal(engine_shards_of(&g, 10, 300), 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_ranks),
                                       cmocka_unit_test(test_threads), cmocka_unit_test(test_count)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
