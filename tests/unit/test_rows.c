/* test_rows.c - passes over rows, compiled for vectors of each width: the same sums in the same order, bit for bit, as a
 * loop over elements makes; at lengths with and without a rest. */
#define DEQ_REAL 32
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>
#include "random.h"
#define ROWS "unit/rows_under_test.h"
#include "each_width.h"

#define MOST 11     /* 64 bytes each */
#define ELEMENTS 16 /* of 64 bytes */
#define PARTS (4 * ELEMENTS)

static float product_sum(float a, float b, float sum, bool fused) {
    volatile float product = a * b; /* rounded */
    return fused ? fmaf(a, b, sum) : product + sum;
}

/* w += c x; the dot product of w and y, as vector.h says. */
static float expected(float *w, float c, const float *x, const float *y, int64_t n, bool fused) {
    float part[PARTS] = {0}, all[ELEMENTS];
    for (int64_t k = 0; k < n; k++)
        for (int e = 0; e < ELEMENTS; e++) {
            const int64_t at = k * ELEMENTS + e;
            float *sum = &part[(k < n / 4 * 4 ? k % 4 : 0) * ELEMENTS + e];
            w[at] = product_sum(c, x[at], w[at], fused);
            *sum = product_sum(w[at], y[at], *sum, fused);
        }
    for (int e = 0; e < ELEMENTS; e++)
        all[e] = (part[e] + part[ELEMENTS + e]) + (part[2 * ELEMENTS + e] + part[3 * ELEMENTS + e]);
    for (int left = ELEMENTS / 2; left > 0; left /= 2)
        for (int e = 0; e < left; e++) all[e] += all[left + e];
    return all[0];
}

typedef float pass(void *w, float c, const void *x, const void *y, int64_t n);

static void check(pass *run, bool fused) {
    _Alignas(64) static float w[MOST * ELEMENTS], x[MOST * ELEMENTS], y[MOST * ELEMENTS], want[MOST * ELEMENTS];
    for (int64_t n = 1; n <= MOST; n++) {
        for (int64_t k = 0; k < n * ELEMENTS; k++) {
            want[k] = w[k] = (float)deq_normal(1, (uint64_t)k);
            x[k] = (float)deq_normal(2, (uint64_t)k), y[k] = (float)deq_normal(3, (uint64_t)k);
        }
        const float sum = expected(want, 0.3f, x, y, n, fused), got = run(w, 0.3f, x, y, n);
        assert_memory_equal(&got, &sum, sizeof sum);
        assert_memory_equal(w, want, (size_t)(n * ELEMENTS) * sizeof *w);
    }
}

/* Whether the compiler has fused the products of this build with their sums: not in all builds (sanitizers, no -O). */
static bool fuses(pass *run) {
    _Alignas(64) static float w[ELEMENTS], x[ELEMENTS], y[ELEMENTS];
    const float c = 1 + 0x1p-12f; /* its square is not a float */
    for (int e = 0; e < ELEMENTS; e++) w[e] = -1, x[e] = c, y[e] = 0;
    run(w, c, x, y, 1);
    return w[0] != 0x1p-11f;
}

static void test_every_width_has_the_same_bits(void **state) {
    (void)state;
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
    if (__builtin_cpu_supports("x86-64-v3")) {
        const bool fused = fuses(axpy_dot_32);
        check(axpy_dot_32, fused);
        if (__builtin_cpu_supports("x86-64-v4")) check(axpy_dot_64, fused);
    }
#endif
    check(axpy_dot_16, fuses(axpy_dot_16)); /* no fused operations on x86-64: other bits */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_width_has_the_same_bits)};
    return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
