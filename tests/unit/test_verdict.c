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
        r.distance_inf = r.reach_inf = 0.1F;
        r.queries = r.gradients = r.attack_solves = r.adjoint_solves = 10;
        records[i] = r;
    }
}

static deq_verdict judged(void) { return deq_judge(&(deq_judged){records, clean, N, 32, NULL, false}); }

/* The verdict is the one of this check, and no other check says anything. */
static void only(deq_check check, deq_verdict_level level, double number) {
    deq_verdict v = judged();
    assert_int_equal(v.level, level);
    for (deq_check k = 0; k < DEQ_CHECKS; k++) assert_int_equal(v.levels[k], k == check ? level : DEQ_RELIABLE);
    assert_true(fabs(v.numbers[check] - number) < 1e-12);
}

static void test_healthy(void **state) {
    (void)state;
    healthy();
    deq_verdict v = judged();
    assert_int_equal(v.level, DEQ_RELIABLE);
    char *text = deq_verdict_text(&v);
    json_t *members = json_object();
    deq_verdict_members(&v, members);
    assert_string_equal(text, "reliable");
    assert_int_equal(json_array_size(json_object_get(members, "reasons")), 0);
    json_decref(members);
    free(text);
}

/* Where nothing says what is right, no example has lost its gradient for a good reason, and none is gained. */
static void test_untold(void **state) {
    (void)state;
    healthy();
    for (int i = 0; i < N; i++) records[i].prediction = DEQ_PREDICTION_NONE;
    assert_int_equal(judged().level, DEQ_RELIABLE);
    assert_true(judged().numbers[DEQ_CHECK_above_clean] < 0);
    assert_string_equal(deq_record_outcome(&records[0]), "unlabelled");
    for (int i = 0; i < N; i++) records[i].zero_gradients = 10;
    only(DEQ_CHECK_zero_gradients, DEQ_MASKED, 1);
    for (int i = 0; i < N; i++) records[i].prediction = DEQ_PREDICTION_OTHER; /* all of them are wrong */
    assert_int_equal(judged().level, DEQ_RELIABLE);
    assert_string_equal(deq_record_outcome(&records[0]), "wrong");
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
    only(DEQ_CHECK_unconverged, DEQ_SUSPECT, 0.6); /* the gradients of few steps can be right */
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
    deq_verdict f64 = deq_judge(&(deq_judged){records, clean, N, 64, NULL, false}); /* 1e-9 is no floor there */
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
    v = deq_judge(&(deq_judged){records, NULL, N, 32, NULL, false});
    assert_true(v.level == DEQ_RELIABLE && isnan(v.numbers[DEQ_CHECK_above_clean]));
}

static void test_unmoved(void **state) {
    (void)state;
    healthy();
    for (int i = 0; i < 400; i++) records[i].distance_inf = 0; /* joined attacks found nothing worse elsewhere */
    assert_int_equal(judged().level, DEQ_RELIABLE);
    for (int i = 0; i < 400; i++) records[i].reach_inf = 0;
    only(DEQ_CHECK_unmoved, DEQ_SUSPECT, 0.4);
}

static void test_unasked(void **state) {
    (void)state;
    healthy();
    for (int i = 0; i < 400; i++) {
        deq_record *r = &records[i];
        r->gradients = r->attack_solves = r->adjoint_solves = 0;
    }
    assert_int_equal(judged().level, DEQ_RELIABLE); /* it reads outputs, as a random search does */
    for (int i = 0; i < 400; i++) records[i].queries = 0;
    only(DEQ_CHECK_unasked, DEQ_SUSPECT, 0.4);
    for (int i = 0; i < 400; i++) records[i].prediction = 0; /* wrong without an attack: nothing is claimed */
    assert_int_equal(judged().level, DEQ_RELIABLE);
}

/* ---- an audit: a sample of every fifth example, attacked again ---- */
#define SAMPLE 200
static deq_audit *audit;

static deq_record *sampled(const deq_record *from) {
    deq_record *out = malloc(SAMPLE * sizeof *out);
    assert_non_null(out);
    for (int i = 0; i < SAMPLE; i++) out[i] = from[audit->rows[i]];
    return out;
}

static void audited(void) {
    healthy();
    deq_audit_free(audit);
    audit = calloc(1, sizeof *audit);
    assert_non_null(audit);
    *audit = (deq_audit){.n = SAMPLE, .rows = malloc(SAMPLE * sizeof *audit->rows), .classes = 10};
    for (int i = 0; i < SAMPLE; i++) audit->rows[i] = 5 * i;
}

static deq_verdict judged_audit(void) { return deq_judge(&(deq_judged){records, clean, N, 32, audit, false}); }

/* The way finds `lost` examples more, which were right, and misses `gained` that the attack has. */
static deq_verdict_level found(deq_reattack way, deq_check check, int lost, int gained) {
    audited();
    deq_record *r = audit->again[way] = sampled(records);
    for (int i = 0; i < lost; i++) r[i].prediction = 0; /* 80 of the sample are right */
    for (int i = 0; i < gained; i++) r[SAMPLE - 1 - i].prediction = 1;
    deq_verdict v = judged_audit();
    assert_int_equal(v.audited, SAMPLE);
    assert_false(isnan(v.numbers[check]));
    for (deq_check k = 0; k < DEQ_CHECKS; k++)
        if (k != check) assert_int_equal(v.levels[k], DEQ_RELIABLE);
    assert_int_equal(v.level, v.levels[check]);
    return v.level;
}

/* Every check that compares in pairs: within the interval, beyond it, far beyond it. */
static void test_reattacks(void **state) {
    (void)state;
    static const struct {
        deq_reattack way;
        deq_check check;
        deq_verdict_level five, sixteen, fifty;
    } rows[] = {{DEQ_REATTACK_uncut, DEQ_CHECK_uncut, DEQ_RELIABLE, DEQ_SUSPECT, DEQ_MASKED},
                {DEQ_REATTACK_converged, DEQ_CHECK_converged, DEQ_RELIABLE, DEQ_SUSPECT, DEQ_MASKED},
                {DEQ_REATTACK_implicit, DEQ_CHECK_implicit, DEQ_RELIABLE, DEQ_SUSPECT, DEQ_MASKED},
                {DEQ_REATTACK_phantom, DEQ_CHECK_phantom, DEQ_RELIABLE, DEQ_SUSPECT, DEQ_MASKED},
                {DEQ_REATTACK_jfb, DEQ_CHECK_jfb, DEQ_RELIABLE, DEQ_SUSPECT, DEQ_MASKED},
                {DEQ_REATTACK_defended, DEQ_CHECK_defended, DEQ_RELIABLE, DEQ_SUSPECT, DEQ_MASKED},
                {DEQ_REATTACK_margin, DEQ_CHECK_margin, DEQ_RELIABLE, DEQ_SUSPECT, DEQ_SUSPECT},
                {DEQ_REATTACK_longer, DEQ_CHECK_longer, DEQ_RELIABLE, DEQ_SUSPECT, DEQ_SUSPECT}};
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        assert_int_equal(found(rows[k].way, rows[k].check, 5, 0), rows[k].five);
        assert_int_equal(found(rows[k].way, rows[k].check, 16, 2), rows[k].sixteen);
        assert_int_equal(found(rows[k].way, rows[k].check, 16, 16), DEQ_RELIABLE); /* another one, not a better one */
        assert_int_equal(found(rows[k].way, rows[k].check, 50, 2), rows[k].fifty);
    }
    assert_int_equal(found(DEQ_REATTACK_converged, DEQ_CHECK_converged, 70, 0), DEQ_MASKED);
    assert_int_equal(found(DEQ_REATTACK_noise, DEQ_CHECK_noise, 20, 25), DEQ_RELIABLE);
    assert_int_equal(found(DEQ_REATTACK_noise, DEQ_CHECK_noise, 40, 2), DEQ_MASKED);
    assert_int_equal(found(DEQ_REATTACK_search, DEQ_CHECK_search, 3, 0), DEQ_RELIABLE);
    assert_int_equal(found(DEQ_REATTACK_search, DEQ_CHECK_search, 8, 100),
                     DEQ_SUSPECT); /* what it misses says nothing */
    assert_int_equal(found(DEQ_REATTACK_search, DEQ_CHECK_search, 30, 0), DEQ_MASKED);
}

/* 10 classes: chance is 20 of 200. */
static void test_unbounded(void **state) {
    (void)state;
    assert_int_equal(found(DEQ_REATTACK_unbounded, DEQ_CHECK_unbounded, 80, 25), DEQ_RELIABLE);
    assert_int_equal(found(DEQ_REATTACK_unbounded, DEQ_CHECK_unbounded, 80, 60), DEQ_SUSPECT);
    assert_int_equal(found(DEQ_REATTACK_unbounded, DEQ_CHECK_unbounded, 0, 0), DEQ_MASKED);
}

static void test_tighter(void **state) {
    (void)state;
    audited();
    audit->clean = sampled(clean);
    audit->again[DEQ_REATTACK_tighter] = sampled(clean);
    assert_int_equal(judged_audit().level, DEQ_RELIABLE);
    for (int i = 0; i < 12; i++) audit->again[DEQ_REATTACK_tighter][10 * i].prediction ^= 1; /* right or wrong */
    deq_verdict v = judged_audit();
    assert_int_equal(v.levels[DEQ_CHECK_tighter], DEQ_SUSPECT);
    assert_int_equal(v.level, DEQ_SUSPECT);
    assert_true(v.numbers[DEQ_CHECK_tighter] > 0.02 && v.numbers[DEQ_CHECK_tighter] < 0.06);
}

/* Solves that fall short and losses that saturate are weighed by what they change. */
static void test_weighed(void **state) {
    (void)state;
    audited();
    for (int i = 0; i < N; i++) records[i].attack_unconverged = records[i].adjoint_unconverged = 10;
    assert_int_equal(judged_audit().level, DEQ_SUSPECT); /* nothing was measured */
    audit->again[DEQ_REATTACK_converged] = sampled(records);
    deq_verdict v = judged_audit();
    assert_int_equal(v.level, DEQ_RELIABLE);
    assert_true(v.numbers[DEQ_CHECK_unconverged] == 1); /* and is still told */
    audited();
    for (int i = 0; i < 300; i++) records[i].loss = 0, records[i].margin = 5000;
    assert_int_equal(judged_audit().level, DEQ_MASKED);
    audit->again[DEQ_REATTACK_margin] = sampled(records);
    assert_int_equal(judged_audit().level, DEQ_RELIABLE);
    for (int i = 0; i < 40; i++) audit->again[DEQ_REATTACK_margin][i].prediction = 0;
    assert_int_equal(judged_audit().levels[DEQ_CHECK_saturated], DEQ_MASKED);
    for (int i = 20; i < 300; i++) records[i].loss = 0.3; /* few saturate, but the margin changes much */
    assert_int_equal(judged_audit().levels[DEQ_CHECK_saturated], DEQ_MASKED);
    for (int i = 0; i < 20; i++) records[i].loss = 0.3; /* none: the attack is another one, nothing is hidden */
    assert_int_equal(judged_audit().level, DEQ_SUSPECT);
}

static double draw(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) / 9007199254740992.0;
}

/* Nine ways; each changes `share` of the examples, to right as often as from it, but one loses `dropped` more. */
static deq_verdict_level audited_by_chance(uint64_t *state, double share, int dropped) {
    static const deq_reattack ways[] = {DEQ_REATTACK_uncut,   DEQ_REATTACK_converged, DEQ_REATTACK_implicit,
                                        DEQ_REATTACK_phantom, DEQ_REATTACK_jfb,       DEQ_REATTACK_margin,
                                        DEQ_REATTACK_longer,  DEQ_REATTACK_noise,     DEQ_REATTACK_search};
    audited();
    for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
        deq_record *r = audit->again[ways[k]] = sampled(records);
        for (int i = 0; i < SAMPLE && ways[k] != DEQ_REATTACK_search; i++)
            if (draw(state) < share) r[i].prediction = draw(state) < 0.4;
        for (int i = 0; i < dropped && ways[k] == DEQ_REATTACK_jfb; i++) r[i].prediction = 0;
    }
    return judged_audit().level;
}

/* An audit looks at much: what chance finds in one of its ways is told in one audit out of twenty at the most; what is
 * hidden is found. */
static void test_many_ways(void **state) {
    (void)state;
    enum { AUDITS = 2000 };
    uint64_t random = 11;
    for (double share = 0.05; share < 0.7; share *= 3) {
        int suspect = 0, caught = 0, masked = 0;
        for (int k = 0; k < AUDITS; k++) {
            suspect += audited_by_chance(&random, share, 0) > DEQ_RELIABLE;
            caught += k % 10 == 0 && audited_by_chance(&random, 0.02, 16) > DEQ_RELIABLE;
            masked += k % 10 == 0 && audited_by_chance(&random, 0.02, 40) == DEQ_MASKED;
        }
        if (suspect > 0.05 * AUDITS) fail_msg("%d of %d audits of a clean net call it suspect", suspect, AUDITS);
        assert_true(caught >= 0.9 * AUDITS / 10 && masked >= 0.99 * AUDITS / 10);
    }
    /* the same change in one way alone, among one and among nine */
    assert_int_equal(found(DEQ_REATTACK_jfb, DEQ_CHECK_jfb, 7, 0), DEQ_SUSPECT);
    assert_int_equal(audited_by_chance(&random, 0, 8), DEQ_RELIABLE);
    assert_int_equal(audited_by_chance(&random, 0, 9), DEQ_SUSPECT);
    assert_int_equal(audited_by_chance(&random, 0, 21), DEQ_SUSPECT);
    assert_int_equal(audited_by_chance(&random, 0, 22), DEQ_MASKED);
}

/* What was left at the first half is judged by that half alone. */
static void test_half(void **state) {
    (void)state;
    audited();
    deq_record *r = audit->again[DEQ_REATTACK_jfb] = sampled(records);
    for (int i = 40; i < 80; i++) r[i].prediction = 0; /* 80 of the sample are right */
    assert_int_equal(judged_audit().levels[DEQ_CHECK_jfb], DEQ_MASKED);
    audit->made[DEQ_REATTACK_jfb] = 40;
    deq_verdict v = judged_audit();
    assert_int_equal(v.levels[DEQ_CHECK_jfb], DEQ_RELIABLE);
    assert_true(v.numbers[DEQ_CHECK_jfb] <= 0);
}

/* What was not made has no number; what would be the same attack has found nothing. */
static void test_not_made(void **state) {
    (void)state;
    audited();
    audit->same[DEQ_REATTACK_implicit] = true;
    deq_verdict v = judged_audit();
    assert_true(v.numbers[DEQ_CHECK_implicit] == 0 && isnan(v.numbers[DEQ_CHECK_phantom]));
    json_t *members = json_object();
    deq_verdict_members(&v, members);
    json_t *checks = json_object_get(members, "checks");
    size_t counted = 0;
    for (deq_check k = 0; k < DEQ_CHECKS; k++) counted += !isnan(v.numbers[k]);
    assert_int_equal(json_array_size(checks), counted);
    json_decref(members);
    deq_audit_free(audit);
    audit = NULL;
}

/* Several reasons: the worst decides, all are told, with their numbers. */
static void test_reasons(void **state) {
    (void)state;
    healthy();
    for (int i = 0; i < 60; i++) records[i].zero_gradients = 10, records[i].reach_inf = 0;
    deq_verdict v = judged();
    assert_int_equal(v.level, DEQ_MASKED);
    char *text = deq_verdict_text(&v);
    assert_string_equal(text, "masked: 6% of the examples are right, but at least half of their gradients were exactly "
                              "zero; 6% of the examples are right, and the attack did not change them");
    free(text);
    json_t *members = json_object();
    deq_verdict_members(&v, members);
    json_t *reasons = json_object_get(members, "reasons"), *last = json_array_get(reasons, 1);
    assert_int_equal(json_array_size(reasons), 2);
    assert_string_equal(json_string_value(json_object_get(last, "check")), "unmoved");
    assert_string_equal(json_string_value(json_object_get(last, "level")), "suspect");
    assert_true(fabs(json_real_value(json_object_get(last, "number")) - 0.06) < 1e-12);
    json_decref(members);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_healthy),        cmocka_unit_test(test_untold),
                                       cmocka_unit_test(test_zero_gradients), cmocka_unit_test(test_lost_gradients),
                                       cmocka_unit_test(test_solves),         cmocka_unit_test(test_saturated),
                                       cmocka_unit_test(test_undefined),      cmocka_unit_test(test_above_clean),
                                       cmocka_unit_test(test_unmoved),        cmocka_unit_test(test_unasked),
                                       cmocka_unit_test(test_reasons),        cmocka_unit_test(test_rows),
                                       cmocka_unit_test(test_reattacks),      cmocka_unit_test(test_many_ways),
                                       cmocka_unit_test(test_half),           cmocka_unit_test(test_unbounded),
                                       cmocka_unit_test(test_tighter),        cmocka_unit_test(test_weighed),
                                       cmocka_unit_test(test_not_made)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
