/* What a training step takes on several machines: the bytes of a reduction by their own count, the times by hand. */
#include "predict.h"
#include "engine.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

/* Every number of every shard reaches the rank that adds it, and every sum all others, whatever the ranks. */
static void test_traffic(void **state) {
    static const int64_t sizes[] = {64, 6400, 1000001, 44389752};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int shards = 1; shards <= DEQ_SHARDS; shards++)
            for (int ranks = 1; ranks <= 16; ranks++) {
                int64_t exchanged = 0, fetched = 0, gathered = 0;
                for (int r = 0; r < ranks; r++) {
                    const deq_traffic t = deq_reduction_traffic(sizes[s], shards, ranks, r);
                    assert_true(t.exchanged >= 0 && t.fetched >= 0 && t.gathered >= 0);
                    exchanged += t.exchanged, fetched += t.fetched, gathered += t.gathered;
                }
                assert_int_equal(exchanged, fetched);
                assert_int_equal(gathered, (ranks - 1) * sizes[s]);
                assert_true(exchanged <= shards * sizes[s]);
            }
    const deq_traffic two = deq_reduction_traffic(6400, 8, 2, 1); /* four shards of half the vector; half the sum */
    assert_int_equal(two.exchanged, 4 * 3200);
    assert_int_equal(two.fetched, 4 * 3200);
    assert_int_equal(two.gathered, 3200);
    const deq_traffic halves = deq_reduction_traffic(6400, 64, 2, 1); /* of more than eight, half of them is one sum */
    assert_int_equal(halves.exchanged, 3200);
    assert_int_equal(deq_reduction_traffic(10240, 64, 16, 3).fetched, 15 * 640);
    const deq_traffic alone = deq_reduction_traffic(6400, 8, 1, 0);
    assert_int_equal(alone.exchanged + alone.fetched + alone.gathered, 0);
}

static const deq_network slow = {.latency = 0.01, .bandwidth = 1000};

static void test_step(void **state) {
    (void)state;
    const deq_step_cost c = {.batch = 32,
                             .accumulate = 1,
                             .attack = 3,
                             .gradient = 1,
                             .update = 0.5,
                             .blocks = 8,
                             .shards = 8,
                             .gradient_bytes = 6400,
                             .told_bytes = 984};
    const deq_step_prediction one = deq_predict_step(&c, &slow, 1, 1), all = deq_predict_step(&c, &slow, 1, 16),
                              two = deq_predict_step(&c, &slow, 2, 3), many = deq_predict_step(&c, &slow, 16, 1);
    assert_float_equal(one.step, 32 * 4 + 0.5, 1e-9);
    assert_float_equal(one.ideal, one.step, 1e-9);
    assert_int_equal(one.busy, 1);
    assert_float_equal(all.compute, 4 * 4, 1e-9); /* eight shards of four examples */
    assert_float_equal(all.ideal, 32 * 4 / 16.0 + 0.5, 1e-9);
    assert_int_equal(all.busy, 8);
    assert_float_equal(two.compute, 2 * 4 * 4, 1e-9); /* four shards on three threads: two rounds */
    assert_int_equal(two.reduced, 5 * 3200);
    assert_float_equal(two.reduction, 2 * 0.01 + 5 * 3200 / 1000.0, 1e-9);
    assert_float_equal(two.meetings, 0.01 + (8 + 492) / 1000.0, 1e-9); /* what each says is known before, by its size */
    assert_float_equal(two.step, two.compute + two.update + two.reduction + two.meetings, 1e-9);
    assert_float_equal(many.compute, 4 * 4, 1e-9); /* half of them have no shard */
    assert_int_equal(many.busy, 8);
}

/* Three batches a step: everything but the optimiser's step thrice. */
static void test_accumulate(void **state) {
    (void)state;
    deq_step_cost c = {.batch = 8,
                       .accumulate = 1,
                       .gradient = 1,
                       .update = 7,
                       .blocks = 8,
                       .shards = 8,
                       .gradient_bytes = 640,
                       .told_bytes = 80};
    const deq_step_prediction one = deq_predict_step(&c, &slow, 4, 1);
    c.accumulate = 3;
    const deq_step_prediction three = deq_predict_step(&c, &slow, 4, 1);
    assert_float_equal(three.step - 7, 3 * (one.step - 7), 1e-9);
    assert_int_equal(three.reduced, 3 * one.reduced);
}

/* Statistics of the batch: attacks go block by block.  A meeting costs one message, and two where a rank has no part. */
static void test_coupled(void **state) {
    (void)state;
    deq_step_cost c = {.batch = 32,
                       .accumulate = 1,
                       .attack = 3,
                       .gradient = 1,
                       .blocks = 16,
                       .gradient_bytes = 6400,
                       .told_bytes = 984,
                       .coupled = true,
                       .shards = 8,
                       .attacked_bytes = 2000};
    const deq_step_prediction none = deq_predict_step(&c, &slow, 2, 8);
    assert_float_equal(none.compute, 2 * 3 + 4 * 1, 1e-9);
    assert_int_equal(none.busy, 16);
    c.paired = 0.5; /* of eight parts, four on each of two ranks: in pairs where they share a thread */
    assert_float_equal(deq_predict_step(&c, &slow, 2, 2).compute, 4 * 2 * 3 + 2 * 4 * 0.5, 1e-9);
    assert_float_equal(deq_predict_step(&c, &slow, 2, 8).compute, none.compute, 1e-9);
    c.paired = 0;
    c.meetings = 10, c.meeting_bytes = 500;
    const deq_step_prediction ten = deq_predict_step(&c, &slow, 2, 8);
    assert_float_equal(ten.meetings - none.meetings, 10 * 0.01 + 4 * 500 / 1000.0, 1e-9);
    assert_float_equal(deq_predict_step(&c, &slow, 16, 1).meetings - deq_predict_step(&c, &slow, 8, 1).meetings,
                       10 * (0.01 + 15 * 0.008) + 0.01 + (15 - 7) * (500 + 8 + 8) / 1000.0 +
                           (15 * 984 / 16.0 - 7 * 984 / 8.0 + 15 * 2000 - 7 * 2000) / 1000.0,
                       1e-9);
    c.attacked_bytes = 32769; /* too many to send for nothing: the rest comes after */
    const double once = 0.01 + (8 + 2000) / 1000.0, twice = 2 * 0.01 + (8 + 32769 / 2.0) / 1000.0;
    assert_float_equal(deq_predict_step(&c, &slow, 2, 8).meetings - ten.meetings, twice - once, 1e-9);
    assert_float_equal(deq_predict_step(&c, &slow, 1, 16).meetings, 0, 0);
    c.small_blocks = true, c.attack_block = 5; /* an example for each core, and no more */
    const deq_step_prediction small = deq_predict_step(&c, &slow, 8, 8), few = deq_predict_step(&c, &slow, 1, 4);
    assert_float_equal(small.compute, 1 * 3 + 5 + 4 * 1, 1e-9);
    assert_int_equal(small.busy, 32);
    assert_float_equal(few.compute, 4 * (2 * 3 + 5) + 2 * 4 * 1, 1e-9);
    const deq_step_prediction even = deq_predict_step(&c, &slow, 1, 12); /* as many blocks for each core: 24 for 16 */
    assert_float_equal(even.compute, 2 * (2 * 3 + 5) + 1 * 4 * 1, 1e-9);
}

static void test_network(void **state) {
    (void)state;
    deq_network n;
    deq_error e = {0};
    assert_true(deq_network_of("10GbE", &n, &e) && n.bandwidth > 1.1e9 && n.bandwidth < 1.25e9);
    assert_true(deq_network_of("2e-3,1e6", &n, &e));
    assert_float_equal(n.latency, 2e-3, 0);
    assert_float_equal(n.bandwidth, 1e6, 0);
    static const char *const bad[] = {"", "10gbe", "1", "1,", ",1", "1,0", "-1,5", "1,2,3", "1,2s"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        e = (deq_error){0};
        assert_false(deq_network_of(bad[i], &n, &e));
        assert_int_equal(e.failure, DEQ_SETTING);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_traffic), cmocka_unit_test(test_step),
                                       cmocka_unit_test(test_accumulate), cmocka_unit_test(test_coupled),
                                       cmocka_unit_test(test_network)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
