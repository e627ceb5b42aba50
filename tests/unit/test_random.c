/* test_random.c - Philox against its published answers; draws of generated code; products. */
#include "deq_runtime.h"
#include "random.h"
#include <math.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* kat_vectors of Random123, philox4x32 with 10 rounds. */
static void test_philox_known_answers(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], answer[4];
    } cases[] = {{{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
                 {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                  {0xffffffff, 0xffffffff},
                  {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
                 {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                  {0xa4093822, 0x299f31d0},
                  {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}};
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        deq_philox(cases[i].counter, cases[i].key, out);
        assert_memory_equal(out, cases[i].answer, sizeof out);
    }
}

#define COUNT 100
#define ROWS 50

typedef struct draws {
    _Alignas(64) float f[ROWS][112];
    _Alignas(64) double d[ROWS][104];
} draws;

static void draw(draws *out, uint64_t seed, uint64_t step, int64_t first, int64_t n, int64_t kind, int64_t site,
                 int64_t iteration) {
    int64_t example[ROWS];
    for (int i = 0; i < ROWS; i++) example[i] = first + i;
    deq_frame frame = {.example = example, .seed = seed, .step = step};
    memset(out, 0xff, sizeof *out);
    deq_random_f32(&frame, out->f, sizeof out->f[0], COUNT, n, kind, site, iteration);
    deq_random_f64(&frame, out->d, sizeof out->d[0], COUNT, n, kind, site, iteration);
}

static void test_draws_are_keyed(void **state) {
    (void)state;
    static draws a, b;
    draw(&a, 1, 2, 10, 4, 0, 3, 5);
    draw(&b, 1, 2, 12, 1, 0, 3, 5); /* the same example, alone */
    assert_memory_equal(a.f[2], b.f[0], COUNT * sizeof(float));
    assert_memory_equal(a.d[2], b.d[0], COUNT * sizeof(double));
    for (int k = COUNT; k < 112; k++) assert_true(a.f[0][k] == 0); /* padding */
    for (int k = COUNT; k < 104; k++) assert_true(a.d[0][k] == 0);
    static const int64_t other[][5] = {
        {2, 2, 10, 3, 5}, {1, 3, 10, 3, 5}, {1, 2, 11, 3, 5}, {1, 2, 10, 4, 5}, {1, 2, 10, 3, 6}};
    for (int i = 0; i < 5; i++) {
        draw(&b, (uint64_t)other[i][0], (uint64_t)other[i][1], other[i][2], 1, 0, other[i][3], other[i][4]);
        int equal = 0;
        for (int k = 0; k < COUNT; k++) equal += a.f[0][k] == b.f[0][k];
        assert_true(equal < 3);
    }
}

static void test_draws_have_their_moments(void **state) {
    (void)state;
    static draws a;
    for (int kind = 0; kind < 2; kind++) {
        draw(&a, 9, 1, 0, ROWS, kind, 0, 0);
        double sums[4] = {0}, n = ROWS * COUNT;
        for (int i = 0; i < ROWS; i++)
            for (int k = 0; k < COUNT; k++) {
                sums[0] += (double)a.f[i][k], sums[1] += (double)a.f[i][k] * (double)a.f[i][k];
                sums[2] += a.d[i][k], sums[3] += a.d[i][k] * a.d[i][k];
                if (kind == 0) assert_true(a.f[i][k] >= 0 && a.f[i][k] < 1 && a.d[i][k] >= 0 && a.d[i][k] < 1);
            }
        double mean = kind ? 0 : 0.5, square = kind ? 1 : 1.0 / 3;
        assert_true(fabs(sums[0] / n - mean) < 0.03 && fabs(sums[2] / n - mean) < 0.03);
        assert_true(fabs(sums[1] / n - square) < 0.05 && fabs(sums[3] / n - square) < 0.05);
    }
}

/* The words of block `block` of a row, from the published algorithm. */
static void words_of(uint64_t seed, uint64_t site, uint64_t step, uint32_t block, uint32_t iteration, uint64_t example,
                     uint32_t words[4]) {
    const uint64_t key = deq_key_mix(deq_key_mix(seed, site), step);
    const uint32_t counter[4] = {block, iteration, (uint32_t)example, (uint32_t)(example >> 32)};
    deq_philox(counter, (const uint32_t[]){(uint32_t)key, (uint32_t)(key >> 32)}, words);
}

static double unit53(const uint32_t *w) { return (double)(((uint64_t)w[0] << 21) ^ (w[1] >> 11)) * 0x1p-53; }

/* Uniform numbers are the words; normal ones Box and Muller's of the C library in long double, to rounding.  Rows of
 * other lengths give the same numbers: their blocks share lanes otherwise. */
static void test_draws_are_those_of_the_words(void **state) {
    (void)state;
    static draws uniform, normal;
    static _Alignas(64) float few[ROWS][16];
    int64_t example[ROWS];
    const uint64_t far = (uint64_t)5 << 33;
    draw(&uniform, 7, 8, (int64_t)far, ROWS, 0, 9, 3);
    draw(&normal, 7, 8, (int64_t)far, ROWS, 1, 9, 3);
    for (int i = 0; i < ROWS; i++) example[i] = (int64_t)far + i;
    deq_random_f32(&(deq_frame){.example = example, .seed = 7, .step = 8}, few, sizeof few[0], 5, ROWS, 1, 9, 3);
    for (int row = 0; row < ROWS; row++) {
        for (int k = 0; k < COUNT; k += 2) {
            uint32_t w[4];
            words_of(7, 9, 8, (uint32_t)k / 4, 3, far + (uint64_t)row, w);
            const double u = (double)(w[k % 4] >> 8) * 0x1p-24, t = (double)(w[k % 4 + 1] >> 8) * 0x1p-24;
            assert_true((double)uniform.f[row][k] == u && (double)uniform.f[row][k + 1] == t);
            const long double radius = sqrtl(-2 * logl(1 - (long double)u)), angle = 2 * acosl(-1) * (long double)t;
            const double pair[2] = {(double)(radius * cosl(angle)), (double)(radius * sinl(angle))};
            for (int j = 0; j < 2; j++)
                assert_true(fabs((double)normal.f[row][k + j] - pair[j]) <= fabs(pair[j]) * 0x1.001p-24);
        }
        for (int k = 0; k < COUNT; k += 2) {
            uint32_t w[4];
            words_of(7, 9, 8, (uint32_t)k / 2, 3, far + (uint64_t)row, w);
            const double u = unit53(w), t = unit53(w + 2);
            assert_true(uniform.d[row][k] == u && uniform.d[row][k + 1] == t);
            const long double radius = sqrtl(-2 * logl(1 - (long double)u)), angle = 2 * acosl(-1) * (long double)t;
            const long double pair[2] = {radius * cosl(angle), radius * sinl(angle)};
            for (int j = 0; j < 2; j++)
                assert_true(fabsl((long double)normal.d[row][k + j] - pair[j]) <= fabsl(pair[j]) * 0x1p-50L);
        }
        assert_memory_equal(few[row], normal.f[row], 5 * sizeof(float));
        for (int k = 5; k < 16; k++) assert_true(few[row][k] == 0);
    }
}

/* The bits of every processor: a hash of what AVX-512, AVX2 and the base machine have drawn. */
static void test_draws_have_the_bits_of_every_processor(void **state) {
    (void)state;
    static draws a;
    uint64_t hash = 0;
    draw(&a, 11, 1, 0, ROWS, 1, 2, 3);
    for (int row = 0; row < ROWS; row++)
        for (int k = 0; k < COUNT; k++) {
            uint64_t bits;
            memcpy(&bits, &a.d[row][k], sizeof bits);
            hash = deq_key_mix(hash, bits);
        }
    assert_int_equal(hash, 0x2d7d127ea074c722);
}

static void test_streams_are_their_elements(void **state) {
    (void)state;
    double many[150];
    for (int normal = 0; normal < 2; normal++) {
        deq_stream(3, UINT32_MAX - 70, 150, normal, many);
        for (int i = 0; i < 150; i++) {
            const uint64_t index = (uint64_t)UINT32_MAX - 70 + (uint64_t)i;
            assert_true(many[i] == (normal ? deq_normal : deq_uniform)(3, index));
        }
    }
}

static void test_permutation(void **state) {
    (void)state;
    int64_t a[100], b[100], seen[100] = {0}, moved = 0;
    deq_permutation(3, 100, a);
    deq_permutation(3, 100, b);
    assert_memory_equal(a, b, sizeof a);
    deq_permutation(4, 100, b);
    assert_true(memcmp(a, b, sizeof a) != 0);
    for (int i = 0; i < 100; i++) seen[a[i]]++, moved += a[i] != i;
    for (int i = 0; i < 100; i++) assert_int_equal(seen[i], 1);
    assert_true(moved > 80);
}

static void test_products(void **state) {
    (void)state;
    enum { M = 3, N = 5, K = 4 };
    float fa[M * K], fb[K * N], fc[M * N];
    double a[M * K], b[K * N], c[M * N];
    for (int ta = 0; ta < 2; ta++)
        for (int tb = 0; tb < 2; tb++) {
            for (int i = 0; i < M * K; i++) fa[i] = (float)(a[i] = deq_normal(1, (uint64_t)i));
            for (int i = 0; i < K * N; i++) fb[i] = (float)(b[i] = deq_normal(2, (uint64_t)i));
            deq_product_f32(fa, fb, fc, M, N, K, ta, tb);
            deq_product_f64(a, b, c, M, N, K, ta, tb);
            for (int i = 0; i < M; i++)
                for (int k = 0; k < N; k++) {
                    double sum = 0;
                    for (int j = 0; j < K; j++)
                        sum += (ta ? a[j * M + i] : a[i * K + j]) * (tb ? b[k * K + j] : b[j * N + k]);
                    assert_true(fabs(sum - c[i * N + k]) < 1e-12);
                    assert_true(fabs(sum - (double)fc[i * N + k]) < 1e-5);
                }
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox_known_answers),
        cmocka_unit_test(test_draws_are_keyed),
        cmocka_unit_test(test_draws_have_their_moments),
        cmocka_unit_test(test_draws_are_those_of_the_words),
        cmocka_unit_test(test_draws_have_the_bits_of_every_processor),
        cmocka_unit_test(test_streams_are_their_elements),
        cmocka_unit_test(test_permutation),
        cmocka_unit_test(test_products),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
