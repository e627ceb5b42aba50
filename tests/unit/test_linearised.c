/* Broyden's last evaluation is made with the linearisation from which the gradient starts.  A chain of solvers does not
 * do so, and is what it is compared with: here the second solver has nothing to do. */
#include "mode_bench.h"

static const char *const gradients[] = {"phantom.unroll(steps: 3, undamped_first: true)", "phantom.neumann(steps: 3)",
                                        "jfb", "implicit(gmres(tol: 1e-4))", "shine"};
#define GRADIENTS (sizeof gradients / sizeof *gradients)
#define CHAINED (GRADIENTS - 1) /* shine takes no chain */

static void expect_same(const bench *a, const bench *b, int64_t row, const char *what) {
    for (int k = 0; k < a->d; k++) {
        if (get(a, a->z, row, k) != get(b, b->z, row, k)) fail_msg("%s: row %d has another state", what, (int)row);
        if (get(a, a->drest, row, k) != get(b, b->drest, row, k))
            fail_msg("%s: row %d has another gradient", what, (int)row);
    }
}

static void run_counted(bench *b, const char *forward, const char *gradient) {
    cell_evaluations = cell_linearised = 0;
    bench_run(b, forward, gradient);
}

/* The same bits, for one evaluation less of each row that returns its last state. */
static void test_saves_an_evaluation(void **state) {
    (void)state;
    int64_t some = 0, all = 0;
    for (size_t g = 0; g < CHAINED; g++)
        for (int gain = 1; gain <= 5; gain++) {
            bench a = mode_bench_new(32, CELL_TANH, 16, BLOCK, 0.6 * gain),
                  b = mode_bench_new(32, CELL_TANH, 16, BLOCK, 0.6 * gain);
            run_counted(&b, "broyden(tol: 0, max: 5) else picard", gradients[g]);
            const int64_t evaluations = cell_evaluations, linearised = cell_linearised;
            run_counted(&a, "broyden(tol: 0, max: 5)", gradients[g]);
            for (int64_t row = 0; row < BLOCK; row++) expect_same(&a, &b, row, gradients[g]);
            for (int i = 0; i < a.d * a.d; i++) assert_true(weight_gradient(&a, i) == weight_gradient(&b, i));
            const int64_t saved = evaluations + linearised - cell_evaluations - cell_linearised;
            assert_in_range(saved, 0, BLOCK);
            assert_int_equal(cell_linearised, linearised + BLOCK - saved);
            some += saved > 0 && saved < BLOCK, all += saved == BLOCK;
            bench_free(&a), bench_free(&b);
        }
    assert_true(some > 0 && all > 0);
}

/* Rows that end earlier leave their places to others, whose records come back to their own rows. */
static void test_any_company(void **state) {
    (void)state;
    int64_t mixed = 0;
    for (size_t g = 0; g < GRADIENTS; g++)
        for (int max = 4; max < 8; max++) {
            char forward[64];
            snprintf(forward, sizeof forward, "broyden(tol: 3e-3, max: %d)", max);
            bench a = mode_bench_new(32, CELL_TANH, 16, BLOCK, 1), b = mode_bench_new(32, CELL_TANH, 16, BLOCK, 1);
            bench_run(&a, forward, gradients[g]);
            mixed += a.worker->forward.unconverged > 0 && a.worker->forward.unconverged < BLOCK;
            bench_set(&b, forward, gradients[g]);
            bench_plan(&b);
            for (int64_t row = 0; row < BLOCK; row++) bench_rows(&b, row, 1);
            for (int64_t row = 0; row < BLOCK; row++) expect_same(&a, &b, row, gradients[g]);
            bench_free(&a), bench_free(&b);
        }
    assert_true(mixed > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_saves_an_evaluation), cmocka_unit_test(test_any_company)};
    return cmocka_run_group_tests_name("linearised", tests, NULL, NULL);
}
