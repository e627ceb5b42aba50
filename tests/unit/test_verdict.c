/* test_verdict.c - the verdict on made-up records: every check alone, at its thresholds, and what is said of them. */
#include "verdict.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define N 1000

static deq_record records[N], clean[N];

/* A healthy evaluation: 60 % right before the attack, 40 % after it, every gradient and solve as it should be. */
static void healthy(void) {
    for (int i = 0; i < N; i++) {
        deq_record r = deq_record_empty(i);
        r.label = 1;
        r.prediction = i < 600;
        clean[i] = r;
        r.prediction = i < 400;
        r.loss = i < 400 ? 0.3 : 1.4;
        r.margin = i < 400 ? 1.1 : -1.1;
        r.distance_inf = 0.1F;
        r.queries = r.gradients = r.attack_solves = r.adjoint_solves = 10;
        records[i] = r;
    }
}

static deq_verdict judged(void) { return deq_judge(&(deq_judged){records, clean, N, 32}); }

/* The verdict is the one of this check, and no other check says anything. */
static void only(deq_check check, deq_verdict_level level, double number) {
    deq_verdict v = judged();
    assert_int_equal(v.level, level);
    for (deq_check k = 0; k < DEQ_CHECKS; k++)
        assert_int_equal(deq_check_level(&v, k), k == check ? level : DEQ_RELIABLE);
    assert_true(fabs(v.numbers[check] - number) < 1e-12);
}

static void test_healthy(void **state) {
    (void)state;
    healthy();
    deq_verdict v = judged();
    assert_int_equal(v.level, DEQ_RELIABLE);
    char *text = deq_verdict_text(&v);
    json_t *reasons = deq_verdict_json(&v);
    assert_string_equal(text, "reliable");
    assert_int_equal(json_array_size(reasons), 0);
    json_decref(reasons);
    free(text);
}

static void test_zero_gradients(void **state) {
    (void)state;
    healthy();
    for (int i = 0; i < 5; i++) records[i].zero_gradients = 5; /* half of them */
    only(DEQ_CHECK_zero_gradients, DEQ_RELIABLE, 0.005);
    records[5].zero_gradients = 5;
    only(DEQ_CHECK_zero_gradients, DEQ_SUSPECT, 0.006);
    for (int i = 0; i < 51; i++) records[i].zero_gradients = 6, records[i].lost_gradients = 4;
    only(DEQ_CHECK_zero_gradients, DEQ_MASKED, 0.051);
    for (int i = 0; i < 51; i++) records[i].zero_gradients = 4, records[i].lost_gradients = 0;
    only(DEQ_CHECK_zero_gradients, DEQ_RELIABLE, 0);
    for (int i = 400; i < N; i++) records[i].zero_gradients = 10; /* of examples that the attack won */
    only(DEQ_CHECK_zero_gradients, DEQ_RELIABLE, 0);
}

static void test_lost_gradients(void **state) {
    (void)state;
    healthy();
    for (int i = 0; i < 400; i++) records[i].lost_gradients = 10, records[i].zero_gradients = i % 2 ? 10 : 0;
    only(DEQ_CHECK_lost_gradients, DEQ_MASKED, 0.4);
    deq_verdict v = judged();
    char *text = deq_verdict_text(&v);
    assert_string_equal(text, "masked: 40% of the examples are right, but at least half of their gradients were not "
                              "finite, or cut to zero by on_fail");
    free(text);
}

static void test_solves(void **state) {
    (void)state;
    healthy();
    for (int i = 0; i < 10; i++) records[i].attack_unconverged = 10;
    only(DEQ_CHECK_unconverged, DEQ_RELIABLE, 0.01);
    records[10].attack_unconverged = 1;
    only(DEQ_CHECK_unconverged, DEQ_SUSPECT, 0.0101);
    for (int i = 0; i < N; i++) records[i].attack_unconverged = 6;
    only(DEQ_CHECK_unconverged, DEQ_MASKED, 0.6);
    healthy();
    for (int i = 0; i < N; i++) records[i].adjoint_unconverged = 5;
    only(DEQ_CHECK_adjoints_unconverged, DEQ_SUSPECT, 0.5);
    for (int i = 0; i < N; i++) records[i].adjoint_solves = 0, records[i].adjoint_unconverged = 0;
    deq_verdict v = judged(); /* an attack without adjoints: nothing to count, nothing to say */
    assert_true(v.level == DEQ_RELIABLE && isnan(v.numbers[DEQ_CHECK_adjoints_unconverged]));
}

static void test_saturated(void **state) {
    (void)state;
    healthy();
    for (int i = 0; i < 300; i++) records[i].loss = 0, records[i].margin = 5000;
    only(DEQ_CHECK_saturated, DEQ_MASKED, 0.3);
    for (int i = 0; i < 300; i++) records[i].margin = 5; /* close outputs: another loss than the logarithm */
    only(DEQ_CHECK_saturated, DEQ_RELIABLE, 0);
    for (int i = 0; i < 300; i++) records[i].margin = INFINITY;
    only(DEQ_CHECK_saturated, DEQ_RELIABLE, 0);
    healthy();
    for (int i = 0; i < 20; i++) records[i].loss = 1e-9, records[i].margin = 20.7;
    only(DEQ_CHECK_saturated, DEQ_SUSPECT, 0.02);
    deq_verdict f64 = deq_judge(&(deq_judged){records, clean, N, 64}); /* 1e-9 is no floor there */
    assert_int_equal(f64.level, DEQ_RELIABLE);
}

static void test_undefined(void **state) {
    (void)state;
    healthy();
    records[700].prediction = -1;
    only(DEQ_CHECK_undefined, DEQ_SUSPECT, 0.001);
    for (int i = 700; i < 801; i++) records[i].prediction = -1;
    only(DEQ_CHECK_undefined, DEQ_MASKED, 0.101);
}

static void test_above_clean(void **state) {
    (void)state;
    healthy();
    for (int i = 0; i < 615; i++) records[i].prediction = i >= 10;
    assert_int_equal(judged().level, DEQ_RELIABLE); /* 15 gained and 10 lost: within the interval */
    for (int i = 0; i < 700; i++) records[i].prediction = 1;
    deq_verdict v = judged();
    assert_int_equal(v.level, DEQ_MASKED);
    assert_true(v.numbers[DEQ_CHECK_above_clean] > 0.07 && v.numbers[DEQ_CHECK_above_clean] < 0.1);
    v = deq_judge(&(deq_judged){records, NULL, N, 32});
    assert_true(v.level == DEQ_RELIABLE && isnan(v.numbers[DEQ_CHECK_above_clean]));
}

static void test_unmoved(void **state) {
    (void)state;
    healthy();
    for (int i = 0; i < 400; i++) records[i].distance_inf = 0;
    only(DEQ_CHECK_unmoved, DEQ_SUSPECT, 0.4);
}

/* Several reasons: the worst decides, all are told, with their numbers. */
static void test_reasons(void **state) {
    (void)state;
    healthy();
    for (int i = 0; i < 60; i++) records[i].zero_gradients = 10, records[i].distance_inf = 0;
    deq_verdict v = judged();
    assert_int_equal(v.level, DEQ_MASKED);
    char *text = deq_verdict_text(&v);
    assert_string_equal(text, "masked: 6% of the examples are right, but at least half of their gradients were exactly "
                              "zero; 6% of the examples are right at an input that the attack did not change");
    free(text);
    json_t *reasons = deq_verdict_json(&v), *last = json_array_get(reasons, 1);
    assert_int_equal(json_array_size(reasons), 2);
    assert_string_equal(json_string_value(json_object_get(last, "check")), "unmoved");
    assert_string_equal(json_string_value(json_object_get(last, "level")), "suspect");
    assert_true(fabs(json_real_value(json_object_get(last, "number")) - 0.06) < 1e-12);
    json_decref(reasons);
}

/* No row says masked before it says suspect, and every name is its own. */
static void test_rows(void **state) {
    (void)state;
    const double NEVER = INFINITY;
#define CHECK(id, suspect, masked, scale, text, doc)                                                                   \
    assert_true((suspect) >= 0 && (masked) >= (suspect) && *doc);                                                      \
    assert_string_equal(deq_check_name(DEQ_CHECK_##id), #id);
#include "verdict.def"
#undef CHECK
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_healthy),        cmocka_unit_test(test_zero_gradients),
                                       cmocka_unit_test(test_lost_gradients), cmocka_unit_test(test_solves),
                                       cmocka_unit_test(test_saturated),      cmocka_unit_test(test_undefined),
                                       cmocka_unit_test(test_above_clean),    cmocka_unit_test(test_unmoved),
                                       cmocka_unit_test(test_reasons),        cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
