/* Transformations of examples: what they do to an image, and that a draw depends on seed, epoch and example only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "transform.h"

enum { PLANES = 2, ROWS = 5, COLUMNS = 4, COUNT = PLANES * ROWS * COLUMNS, ROW = 48 };
static const deq_shape shape = {3, {PLANES, ROWS, COLUMNS}, COUNT};
static const deq_data_spec data = {.name = "d", .input = {3, {PLANES, ROWS, COLUMNS}, COUNT}};

/* Example i: every element tells where it was, from 1. */
static void numbers(void *context, const int64_t *index, int64_t n, int real_bits, void *x, int64_t input_bytes,
                    void *y, int64_t target_bytes) {
    (void)context, (void)y, (void)target_bytes;
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < ROW; k++) {
            double v = k < COUNT ? k + 1 + 100 * (double)index[i] : 0;
            char *row = (char *)x + i * input_bytes;
            if (real_bits == 32)
                ((float *)row)[k] = (float)v;
            else
                ((double *)row)[k] = v;
        }
}

static const deq_source plain = {NULL, numbers};

static deq_slice slice_of(deq_transform *list, int n) {
    return (deq_slice){.data = &data, .to = -1, .transforms = list, .ntransforms = n};
}

static deq_transform named(const char *name, const char *argument, double value) {
    deq_transform t;
    deq_error e = {0};
    json_t *given = argument ? json_pack("{s:f}", argument, value) : NULL;
    assert_true(deq_transform_find(name, given, &t, &e));
    json_decref(given);
    return t;
}

static void take(const deq_augmented *a, int64_t example, float out[ROW]) {
    deq_source s = deq_augmented_source(a);
    s.gather(s.context, &example, 1, 32, out, ROW * 4, NULL, 0);
}

/* Element (plane, row, column) of example 0, or 0 outside. */
static float original(int plane, int row, int column) {
    bool in = row >= 0 && row < ROWS && column >= 0 && column < COLUMNS;
    return in ? (float)((plane * ROWS + row) * COLUMNS + column + 1) : 0;
}

static void test_flip(void **state) {
    (void)state;
    deq_transform t = named("flip", NULL, 0);
    int flipped = 0;
    for (uint64_t key = 0; key < 1000; key++) {
        float x[COUNT];
        for (int i = 0; i < COUNT; i++) x[i] = (float)i + 1;
        deq_transform_row(&t, key, &shape, 4, x);
        bool turned = x[0] != 1;
        for (int i = 0; i < COUNT; i++) {
            int column = i % COLUMNS, row = i / COLUMNS % ROWS, plane = i / COLUMNS / ROWS;
            assert_true(x[i] == original(plane, row, turned ? COLUMNS - 1 - column : column));
        }
        flipped += turned;
    }
    assert_true(flipped > 440 && flipped < 560);
}

static void test_crop(void **state) {
    (void)state;
    int pads[] = {1, 3, 9}; /* 9: also windows without any of the image */
    for (size_t p = 0; p < 3; p++) {
        int pad = pads[p], seen[19][19] = {{0}}, ways = 0;
        deq_transform t = named("crop", "pad", pad);
        for (uint64_t key = 0; key < 4000; key++) {
            double x[COUNT];
            for (int i = 0; i < COUNT; i++) x[i] = i + 1;
            deq_transform_row(&t, key, &shape, 8, x);
            bool found = false;
            for (int down = -pad; down <= pad && !found; down++)
                for (int right = -pad; right <= pad && !found; right++) {
                    bool same = true;
                    for (int i = 0; i < COUNT && same; i++)
                        same =
                            (float)x[i] == original(i / COLUMNS / ROWS, i / COLUMNS % ROWS + down, i % COLUMNS + right);
                    if (same) found = true, ways += !seen[down + 9][right + 9]++;
                }
            assert_true(found);
        }
        int visible = pad < COLUMNS ? (2 * pad + 1) * (2 * pad + 1) : (2 * ROWS - 1) * (2 * COLUMNS - 1) + 1;
        assert_int_equal(ways, visible);
    }
}

static void test_erase(void **state) {
    (void)state;
    deq_transform t = named("erase", "size", 2);
    int corner = 0;
    for (uint64_t key = 0; key < 1000; key++) {
        float x[COUNT];
        int zeros[PLANES] = {0};
        for (int i = 0; i < COUNT; i++) x[i] = (float)i + 1;
        deq_transform_row(&t, key, &shape, 4, x);
        for (int i = 0; i < COUNT; i++) {
            zeros[i / COLUMNS / ROWS] += x[i] == 0;
            assert_true(x[i] == 0 || x[i] == (float)i + 1);
        }
        assert_true(zeros[0] == zeros[1] && (zeros[0] == 4 || zeros[0] == 2 || zeros[0] == 1));
        corner += zeros[0] == 1;
    }
    assert_true(corner > 20 && corner < 90); /* one of the 20 centres */
}

static void test_draws(void **state) {
    (void)state;
    deq_transform list[] = {named("flip", NULL, 0), named("crop", "pad", 2)};
    deq_slice both = slice_of(list, 2), flip = slice_of(list, 1), crop = slice_of(list + 1, 1),
              none = slice_of(list, 0);
    float x[ROW], y[ROW], rows[3][ROW];
    int changed = 0, other_epoch = 0, other_seed = 0;
    for (int64_t i = 0; i < 200; i++) {
        deq_augmented a = {plain, &both, 7, 3}, later = {plain, &both, 7, 4}, seeded = {plain, &both, 8, 3};
        take(&a, i, x);
        take(&a, i, y);
        assert_memory_equal(x, y, sizeof x);
        /* whatever batch it is in */
        deq_source s = deq_augmented_source(&a);
        s.gather(s.context, (int64_t[]){i + 5, i, 0}, 3, 32, rows, sizeof rows[0], NULL, 0);
        assert_memory_equal(x, rows[1], sizeof x);
        assert_true(x[COUNT] == 0 && x[ROW - 1] == 0);
        take(&later, i, y);
        other_epoch += memcmp(x, y, sizeof x) != 0;
        take(&seeded, i, y);
        other_seed += memcmp(x, y, sizeof x) != 0;
        deq_augmented unchanged = {plain, &none, 7, 3};
        take(&unchanged, i, y);
        changed += memcmp(x, y, sizeof x) != 0;
        /* crop after flip draws as crop alone does */
        deq_augmented flips = {plain, &flip, 7, 3},
                      crops = {{&flips, deq_augmented_source(&flips).gather}, &crop, 7, 3};
        take(&crops, i, y);
        assert_memory_equal(x, y, sizeof x);
    }
    assert_true(changed > 180 && other_epoch > 180 && other_seed > 180);
    deq_error e = {0};
    assert_false(deq_transform_find("rotate", NULL, list, &e));
    assert_int_equal(e.failure, DEQ_MODULE);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_flip), cmocka_unit_test(test_crop),
                                       cmocka_unit_test(test_erase), cmocka_unit_test(test_draws)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
