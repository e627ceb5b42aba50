/* Resampled means: paired, the same each time, and as many as the grid of a paper needs. */
#include "arrays.h"
#include "random.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { EXAMPLES = 2000, CELLS = 60 };

static deq_sampled make(double share, int group, bool whole) {
    deq_sampled s = {.values = malloc(EXAMPLES * sizeof(double)), .share = whole, .n = EXAMPLES, .group = group};
    for (int i = 0; i < EXAMPLES; i++) {
        const double u = deq_uniform(7, (uint64_t)i);
        s.values[i] = whole ? u < share : share * u;
    }
    return s;
}

/* With so many groups of that many examples. */
static void open(deq_arrays *g, int groups) {
    *g = (deq_arrays){.groups = calloc((size_t)groups, sizeof *g->groups), .ngroups = groups};
    for (int i = 0; i < groups; i++) g->groups[i].to = EXAMPLES;
}

static void drop(deq_sampled *s) { free(s->values), free(s->means); }

static void means(void **state) {
    (void)state;
    deq_arrays g;
    open(&g, 2);
    deq_sampled a = make(0.6, 0, true), b = make(0.5, 0, true), real = make(1, 0, false), other = make(0.6, 1, true);
    double mean = 0, spread = 0, paired = 0, share = 0;
    for (int i = 0; i < EXAMPLES; i++) share += a.values[i] / EXAMPLES;
    for (int r = 0; r < DEQ_CLAIM_RESAMPLES; r++) {
        const double x = deq_resampled_mean(&g, &a, r), y = deq_resampled_mean(&g, &b, r);
        assert_true(x >= y); /* the same examples are drawn, and b is right only where a is */
        mean += x / DEQ_CLAIM_RESAMPLES;
        spread += (x - share) * (x - share) / DEQ_CLAIM_RESAMPLES;
        paired += fabs(deq_resampled_mean(&g, &other, r) - x) / DEQ_CLAIM_RESAMPLES;
    }
    assert_true(fabs(mean - 0.6) < 0.02);
    assert_true(fabs(sqrt(spread) - sqrt(share * (1 - share) / EXAMPLES)) < 0.001);
    assert_true(paired > 0.005); /* another group draws others */
    const double first = deq_resampled_mean(&g, &a, 17), last = deq_resampled_mean(&g, &a, DEQ_CLAIM_RESAMPLES - 1);
    deq_resamples_free(&g);
    open(&g, 1);
    deq_sampled again = make(0.6, 0, true);
    assert_true(deq_resampled_mean(&g, &again, DEQ_CLAIM_RESAMPLES - 1) == last); /* whatever was asked for before */
    assert_true(deq_resampled_mean(&g, &again, 17) == first);
    const double of_real = deq_resampled_mean(&g, &real, 3);
    assert_true(of_real > 0.4 && of_real < 0.6);
    deq_resamples_free(&g);
    drop(&a), drop(&b), drop(&real), drop(&other), drop(&again);
}

/* Slices that overlap are drawn as parts of what they are of: what they have in common goes up and down in both. */
static void overlap(void **state) {
    (void)state;
    deq_arrays g;
    open(&g, 2);
    deq_sampled all = make(0.6, 0, true), a = make(0.6, 0, true), b = make(0.6, 0, true), apart = make(0.6, 1, true);
    a.n = b.n = EXAMPLES / 2;
    b.from = EXAMPLES / 8;
    memmove(b.values, b.values + b.from, (size_t)b.n * sizeof *b.values);
    double centre[3] = {0}, shared = 0, own = 0, spread[3] = {0};
    for (int pass = 0; pass < 2; pass++)
        for (int r = 0; r < DEQ_RESAMPLES; r++) {
            const double m[3] = {deq_resampled_mean(&g, &a, r), deq_resampled_mean(&g, &b, r),
                                 deq_resampled_mean(&g, &apart, r)};
            for (int k = 0; k < 3; k++)
                if (pass)
                    spread[k] += (m[k] - centre[k]) * (m[k] - centre[k]) / DEQ_RESAMPLES;
                else
                    centre[k] += m[k] / DEQ_RESAMPLES;
            if (!pass) continue;
            shared += (m[0] - centre[0]) * (m[1] - centre[1]) / DEQ_RESAMPLES;
            own += (m[0] - centre[0]) * (m[2] - centre[2]) / DEQ_RESAMPLES;
        }
    /* three quarters of each are in the other */
    const double together = shared / sqrt(spread[0] * spread[1]), alone = own / sqrt(spread[0] * spread[2]);
    assert_true(together > 0.65 && together < 0.85);
    assert_true(fabs(alone) < 0.15);
    assert_true(fabs(sqrt(spread[0]) - sqrt(0.24 / a.n)) < 0.001);
    /* as the mean over what was drawn of it: the two halves make up the whole */
    deq_sampled rest = make(0.6, 0, true);
    rest.n = EXAMPLES / 2, rest.from = EXAMPLES / 2;
    memmove(rest.values, rest.values + rest.from, (size_t)rest.n * sizeof *rest.values);
    const double whole = deq_resampled_mean(&g, &all, 5), one = deq_resampled_mean(&g, &a, 5),
                 two = deq_resampled_mean(&g, &rest, 5);
    assert_true((whole - one) * (whole - two) <= 0);
    deq_resamples_free(&g);
    drop(&all), drop(&a), drop(&b), drop(&apart), drop(&rest);
}

/* All right, or all wrong: what is computed from it has the width of its own interval, and no share of the same examples is
 * above one that is right wherever it is. */
static void unanimous(void **state) {
    (void)state;
    deq_arrays g;
    open(&g, 1);
    deq_sampled right = make(1, 0, true), wrong = make(0, 0, true), most = make(1, 0, true), real = make(0, 0, false);
    most.values[100] = 0;
    double down[DEQ_CLAIM_RESAMPLES], up[DEQ_CLAIM_RESAMPLES];
    for (int r = 0; r < DEQ_CLAIM_RESAMPLES; r++) {
        const double x = deq_resampled_mean(&g, &right, r), y = deq_resampled_mean(&g, &wrong, r);
        assert_true(deq_resampled_mean(&g, &most, r) <= x);
        assert_true(x == 1 || y == 0);                      /* not both too low, or both too high */
        assert_true(deq_resampled_mean(&g, &real, r) == 0); /* a loss of 0 is no share */
        down[r] = x - 1, up[r] = 1 - (1 - y);
    }
    const deq_interval below = deq_percentiles(0, down, DEQ_CLAIM_RESAMPLES),
                       above = deq_percentiles(0, up, DEQ_CLAIM_RESAMPLES);
    assert_true(fabs(below.low - (deq_wilson(EXAMPLES, EXAMPLES).low - 1)) < 2e-4 && below.high == 0);
    assert_true(fabs(above.high - deq_wilson(0, EXAMPLES).high) < 2e-4 && above.low == 0);
    deq_resamples_free(&g);
    drop(&right), drop(&wrong), drop(&most), drop(&real);
}

/* 10,000 resamples of 60 cells. */
static void grid(void **state) {
    (void)state;
    deq_arrays g;
    open(&g, 1);
    double sum = 0;
    for (int k = 0; k < CELLS; k++) {
        deq_sampled s = make(0.3 + 0.005 * k, 0, true);
        sum += deq_resampled_mean(&g, &s, DEQ_CLAIM_RESAMPLES - 1);
        drop(&s);
    }
    assert_true(sum > 0);
    deq_resamples_free(&g);
}

static void seeds(void **state) {
    (void)state;
    int counts[3] = {0};
    for (int r = 0; r < 3000; r++) {
        counts[deq_resampled_seed(0, r, 1, 3)]++;
        assert_int_equal(deq_resampled_seed(0, r, 2, 3), deq_resampled_seed(0, r, 2, 3));
    }
    for (int k = 0; k < 3; k++) assert_true(counts[k] > 850 && counts[k] < 1150);
}

static void ranks(void **state) {
    (void)state;
    const double x[] = {1, 2, 3, 4, 5}, falls[] = {9, 7, 5, 2, 1}, ties[] = {1, 2, 2, 4, 4},
                 holes[] = {1, NAN, 3, NAN, 2};
    assert_true(deq_rank_correlation(x, x, 5) == 1);
    assert_true(deq_rank_correlation(x, falls, 5) == -1);
    assert_true(fabs(deq_rank_correlation(x, ties, 5) - 0.948683298) < 1e-9); /* scipy.stats.spearmanr */
    assert_true(fabs(deq_rank_correlation(x, holes, 5) - 0.5) < 1e-12);
    assert_true(isnan(deq_rank_correlation(x, (const double[]){2, 2, 2, 2, 2}, 5)));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(means),   cmocka_unit_test(grid),  cmocka_unit_test(seeds),
                                       cmocka_unit_test(overlap), cmocka_unit_test(ranks), cmocka_unit_test(unanimous)};
    return cmocka_run_group_tests_name("resample", tests, NULL, NULL);
}
