/* test_record.c - intervals against published values, records and journals: what is read back, damage, other keys. */
#include "deq_types.h"
#include "interval.h"
#include "journal.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/deq-record-XXXXXX", path[64];
static const char *const key = "00112233445566778899aabbccddeeff", *const other = "ffeeddccbbaa99887766554433221100";

/* ---- rows ---- */
/* Libraries for C hand records over as they are: a program that knows another row would read wrong numbers. */
static void test_abi(void **state) {
    (void)state;
    static const char *const rows[] = {
        [1] =
            "I64 id, I32 label, I32 prediction, F64 metric, F64 loss, F64 margin, F32 steps, F32 residual, I32 reason, "
            "I32 solves, I32 unconverged, F64 clean_metric, F64 clean_loss, F32 distance_inf, F32 distance_2, "
            "I32 attack, I32 queries, I32 gradients, I32 zero_gradients, I32 lost_gradients, I32 undefined_values, "
            "I32 attack_solves, I32 attack_unconverged, I32 attack_diverged, I32 adjoint_solves, "
            "I32 adjoint_unconverged, F32 seconds, I32 evaluations, I32 products, F32 processor_seconds, "
            "F32 reach_inf, F32 reach_2, ",
        [2] =
            "I64 id, I32 label, I32 prediction, F64 metric, F64 loss, F64 margin, F32 steps, F32 residual, I32 reason, "
            "I32 solves, I32 unconverged, F64 clean_metric, F64 clean_loss, F32 distance_inf, F32 distance_2, "
            "I32 attack, I32 queries, I32 gradients, I32 zero_gradients, I32 lost_gradients, I32 undefined_values, "
            "I32 attack_solves, I32 attack_unconverged, I32 attack_diverged, I32 adjoint_solves, "
            "I32 adjoint_unconverged, F32 seconds, I32 evaluations, I32 products, F32 processor_seconds, "
            "F32 reach_inf, F32 reach_2, F32 distance_1, F32 reach_1, "}; /* by DEQ_LIBRARY_ABI; another row needs another number, and a line here */
    static const char row[] =
#define FIELD(name, type, empty, doc) #type " " #name ", "
#include "record.def"
#undef FIELD
        ;
    assert_int_equal(DEQ_LIBRARY_ABI + 1, sizeof rows / sizeof *rows);
    assert_string_equal(row, rows[DEQ_LIBRARY_ABI]);
}

/* ---- intervals ---- */
static void test_wilson(void **state) {
    (void)state;
    /* Newcombe 1998, Table I, method 3 (score without continuity correction). */
    static const struct {
        int64_t successes, n;
        double low, high;
    } published[] = {
        {81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0.0000, 0.1611}, {1, 29, 0.0061, 0.1718}};
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        deq_interval w = deq_wilson(published[i].successes, published[i].n);
        assert_true(fabs(w.low - published[i].low) < 6e-5 && fabs(w.high - published[i].high) < 6e-5);
    }
    deq_interval all = deq_wilson(1000, 1000);
    assert_true(all.high == 1 && all.low < 1 && all.low > 0.99);
    assert_true(isnan(deq_wilson(0, 0).value) && isnan(deq_wilson(3, 2).low));
}

static void test_times_to_decide(void **state) {
    (void)state;
    const double z = 1.959963984540054;
    assert_true(fabs(deq_times_to_decide(0.841344746068543) - z * z) < 1e-9);     /* one standard error on one side */
    assert_true(fabs(deq_times_to_decide(0.022750131948179) - 1) < 1e-12);        /* two: decided */
    assert_true(fabs(deq_times_to_decide(0.308537538725987) - 4 * z * z) < 1e-9); /* half of one on the other */
    assert_true(deq_times_to_decide(0.975) == 1 && deq_times_to_decide(0) == 1 && deq_times_to_decide(1) == 1);
    assert_true(isinf(deq_times_to_decide(0.5)) && deq_times_to_decide(0.0251) < 1.01);
}

/* Resamples without a value are left out while they cannot matter. */
static void test_percentiles(void **state) {
    (void)state;
    double values[1000];
    for (int undefined = 0; undefined <= 26; undefined += 13) {
        for (int r = 0; r < 1000; r++) values[r] = r % 38 == 5 && r / 38 < undefined ? NAN : r / 1000.0;
        const deq_interval i = deq_percentiles(0.5, values, 1000);
        assert_true(undefined > 25 ? isnan(i.low) && isnan(i.high)
                                   : fabs(i.low - 0.025) < 2e-3 && fabs(i.high - 0.975) < 2e-3);
        assert_true(i.value == 0.5);
    }
    for (int r = 0; r < 1000; r++) values[r] = r ? 0 : INFINITY;
    assert_true(isnan(deq_percentiles(0, values, 1000).low));
}

static void test_paired(void **state) {
    (void)state;
    /* The formula of Agresti and Min 2005 by hand: half an example more in each cell. */
    deq_interval d = deq_paired_difference(59, 6, 595);
    double n = 597, centre = (59.0 - 6.0) / n, half = 1.959963984540054 * sqrt(66 - 53.0 * 53.0 / n) / n;
    assert_true(fabs(d.value - 53.0 / 595) < 1e-15 && fabs(d.low - (centre - half)) < 1e-15);
    assert_true(fabs(d.high - (centre + half)) < 1e-15);
    deq_interval same = deq_paired_difference(0, 0, 100);
    assert_true(same.value == 0 && same.low < 0 && same.high > 0); /* never of width 0 */
    deq_interval reversed = deq_paired_difference(6, 59, 595);
    assert_true(fabs(reversed.low + d.high) < 1e-15 && fabs(reversed.high + d.low) < 1e-15);
}

static void test_bootstrap(void **state) {
    (void)state;
    double values[400], mean = 0, square = 0;
    for (int i = 0; i < 400; i++) {
        values[i] = (i * 37 % 400) / 400.0;
        mean += values[i] / 400;
    }
    for (int i = 0; i < 400; i++) square += (values[i] - mean) * (values[i] - mean) / 400;
    deq_interval b = deq_mean_interval(values, 400, 7, false), again = deq_mean_interval(values, 400, 7, false);
    double half = 1.96 * sqrt(square / 400);
    assert_true(fabs(b.value - mean) < 1e-12 && !memcmp(&b, &again, sizeof b));
    assert_true(fabs(b.low - (mean - half)) < 0.15 * half && fabs(b.high - (mean + half)) < 0.15 * half);
    /* zeros of a metric that could be anything are no share of none: their mean is 0 without doubt */
    for (int i = 0; i < 400; i++) values[i] = 0;
    b = deq_mean_interval(values, 400, 7, false);
    assert_true(b.value == 0 && b.low == 0 && b.high == 0);
    b = deq_mean_interval(values, 400, 7, true);
    assert_true(b.value == 0 && b.low == 0 && b.high > 0.005 && b.high < 0.02);
    values[3] = NAN;
    assert_true(isnan(deq_mean_interval(values, 400, 7, false).value));
}

/* ---- journals ---- */
static deq_record example(int64_t id, double loss) {
    deq_record r = deq_record_empty(id);
    r.loss = loss;
    r.label = (int32_t)(id % 10);
    return r;
}

static deq_journal *opened(const char *with, deq_error *e) {
    json_t *about = json_pack("{s:s}", "net", "net");
    deq_journal *j = deq_journal_open(path, with, about, e);
    json_decref(about);
    return j;
}

static void append(deq_journal *j, int64_t from, int64_t n) {
    deq_error e = {0};
    deq_record *r = malloc((size_t)n * sizeof *r);
    for (int64_t i = 0; i < n; i++) r[i] = example(from + i, (double)(from + i) / 8);
    assert_true(deq_journal_append(j, r, n, &e));
    free(r);
}

/* A journal of examples 100 .. 399 in three chunks. */
static void three_chunks(void) {
    deq_error e = {0};
    unlink(path);
    deq_journal *j = opened(key, &e);
    assert_non_null(j);
    for (int k = 3; k > 0; k--) append(j, 100 * k, 100); /* in any order */
    deq_journal_close(j);
}

static void test_read_back(void **state) {
    (void)state;
    deq_error e = {0};
    three_chunks();
    deq_journal *j = deq_journal_read(path, &e);
    assert_non_null(j);
    assert_int_equal(deq_journal_count(j), 300);
    assert_int_equal(deq_journal_damaged(j), 0);
    assert_string_equal(deq_journal_key(j), key);
    assert_string_equal(json_string_value(json_object_get(deq_journal_about(j), "net")), "net");
    assert_null(deq_journal_find(j, 99));
    assert_null(deq_journal_find(j, 400));
    for (int64_t i = 0; i < 300; i++) {
        const deq_record *r = deq_journal_at(j, i);
        assert_true(r->id == 100 + i && r == deq_journal_find(j, r->id) && r->loss == (double)r->id / 8);
    }
    assert_false(deq_journal_append(j, deq_journal_at(j, 0), 1, &e)); /* read only */
    deq_journal_close(j);
    j = opened(key, &(deq_error){0}); /* later records take the place of earlier ones */
    deq_record again = example(150, 9);
    assert_true(deq_journal_append(j, &again, 1, &(deq_error){0}));
    assert_int_equal(deq_journal_count(j), 300);
    assert_true(deq_journal_find(j, 150)->loss == 9);
    deq_journal_close(j);
}

static long size_of_file(void) {
    FILE *f = fopen(path, "rb");
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    fclose(f);
    return size;
}

/* Killed while writing the last chunk, at any of its bytes: the chunks before it are whole, and writing goes on. */
static void test_torn(void **state) {
    (void)state;
    three_chunks();
    long whole = size_of_file(), chunk = (long)(100 * sizeof(deq_record) + 16);
    for (long cut = 1; cut < chunk; cut += 997) {
        deq_error e = {0};
        three_chunks();
        assert_int_equal(truncate(path, whole - cut), 0);
        deq_journal *j = opened(key, &e);
        assert_non_null(j);
        assert_int_equal(deq_journal_count(j), 200);
        append(j, 100, 100);
        deq_journal_close(j);
        assert_int_equal(size_of_file(), whole);
        j = deq_journal_read(path, &e);
        assert_int_equal(deq_journal_count(j), 300);
        assert_int_equal(deq_journal_damaged(j), 0);
        deq_journal_close(j);
    }
}

/* A byte changed anywhere in the chunks loses one chunk, and it is noticed. */
static void test_damage(void **state) {
    (void)state;
    three_chunks();
    long whole = size_of_file(), chunk = (long)(100 * sizeof(deq_record) + 16);
    for (long at = whole - 3 * chunk; at < whole; at += 613) {
        deq_error e = {0};
        three_chunks();
        FILE *f = fopen(path, "r+b");
        fseek(f, at, SEEK_SET);
        int byte = fgetc(f);
        fseek(f, at, SEEK_SET);
        fputc(byte ^ 0x55, f);
        fclose(f);
        deq_journal *j = opened(key, &e);
        assert_non_null(j);
        assert_int_equal(deq_journal_count(j), 200);
        assert_int_equal(deq_journal_damaged(j), 1);
        for (int64_t i = 0; i < 200; i++)
            assert_true(deq_journal_at(j, i)->loss == (double)deq_journal_at(j, i)->id / 8);
        deq_journal_close(j);
    }
}

static void test_other_key(void **state) {
    (void)state;
    deq_error e = {0};
    three_chunks();
    assert_null(opened(other, &e));
    assert_int_equal(e.failure, DEQ_JOURNAL);
    assert_non_null(strstr(e.text, key));
    /* The header of another key before the same chunks: their checksums are of this one. */
    FILE *f = fopen(path, "r+b");
    char line[4096];
    assert_non_null(fgets(line, sizeof line, f));
    char *at = strstr(line, key);
    fseek(f, at - line, SEEK_SET);
    fputs(other, f);
    fclose(f);
    deq_journal *j = opened(other, &(deq_error){0});
    assert_non_null(j);
    assert_int_equal(deq_journal_count(j), 0);
    deq_journal_close(j);
    f = fopen(path, "wb");
    fputs("not a journal\n", f);
    fclose(f);
    assert_null(deq_journal_read(path, &(deq_error){0}));
    j = opened(key, &(deq_error){0}); /* of another format: begun anew */
    assert_int_equal(deq_journal_count(j), 0);
    deq_journal_close(j);
}

/* The memory of an index depends on how many ids there are; they come back in order. */
static void test_large_ids(void **state) {
    (void)state;
    enum { MANY = 3000 };
    deq_error e = {0};
    unlink(path);
    deq_journal *j = opened(key, &e);
    for (int64_t i = 0; i < MANY; i++) {
        deq_record r = example((INT64_MAX - i * 7919 * 1000003) & INT64_MAX, (double)i);
        assert_true(deq_journal_append(j, &r, 1, &e));
    }
    deq_journal_close(j);
    j = deq_journal_read(path, &e);
    assert_non_null(j);
    assert_int_equal(deq_journal_count(j), MANY);
    for (int64_t i = 1; i < MANY; i++) assert_true(deq_journal_at(j, i)->id > deq_journal_at(j, i - 1)->id);
    for (int64_t i = 0; i < MANY; i++)
        assert_true(deq_journal_find(j, (INT64_MAX - i * 7919 * 1000003) & INT64_MAX)->loss == (double)i);
    assert_null(deq_journal_find(j, 1));
    deq_journal_close(j);
}

static void test_fields(void **state) {
    (void)state;
    int count;
    const deq_record_field *f = deq_record_fields(&count);
    deq_record r = example(7, 0.5);
    assert_true(deq_record_value(&r, &f[deq_record_field_named("id")]) == 7);
    assert_true(deq_record_value(&r, &f[deq_record_field_named("loss")]) == 0.5);
    assert_int_equal(deq_record_field_named("weight"), -1);
    json_t *o = deq_record_json(&r);
    assert_int_equal((int)json_object_size(o), count);
    assert_true(json_is_null(json_object_get(o, "margin")));
    json_decref(o);
}

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/a.journal", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_abi),       cmocka_unit_test(test_wilson),      cmocka_unit_test(test_times_to_decide),
        cmocka_unit_test(test_paired),    cmocka_unit_test(test_percentiles), cmocka_unit_test(test_bootstrap),
        cmocka_unit_test(test_read_back), cmocka_unit_test(test_torn),        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_other_key), cmocka_unit_test(test_large_ids),   cmocka_unit_test(test_fields)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
