/* test_starts.c - first states: where the example's last solve ended, or given in the rest record. */
#include "cell_bench.h"

static const char *const forward[] = {"picard(tol: 1e-6, max: 100)",
                                      "anderson(tol: 1e-6)",
                                      "anderson(least_squares: qr, tol: 1e-6)",
                                      "broyden(tol: 1e-6)",
                                      "newton_krylov(tol: 1e-6)",
                                      "adjoint_broyden(tol: 1e-6)",
                                      "broyden(memory: 3, line_search: armijo, tol: 1e-6)",
                                      "anderson(tol: 1e-6, max: 3) else broyden(tol: 1e-6)"};
#define SOLVERS (sizeof forward / sizeof *forward)

static void test_previous(void **state) {
    (void)state;
    for (int bits = 32; bits <= 64; bits += 32)
        for (size_t s = 0; s < SOLVERS; s++) {
            bench b = bench_new(bits, CELL_TANH, 20, 9, 1.1);
            b.settings.start = DEQ_START_PREVIOUS;
            bench_set(&b, forward[s], "implicit(gmres(tol: 1e-5))");
            bench_plan(&b);
            bench_solve_rows(&b, 0, 9, false);
            assert_int_equal(b.worker->forward.unconverged, 0);
            double first = b.worker->forward.steps;
            deq_statistics_clear(&b.worker->forward);
            bench_solve_rows(&b, 0, 9, false); /* nothing has changed */
            assert_int_equal(b.worker->forward.unconverged, 0);
            assert_true(b.worker->forward.steps <= 9 && first > 3 * 9);
            for (int i = 0; i < 9 * 20; i++) /* a little has */
                put(&b, b.rest, i / 20, i % 20, get(&b, b.rest, i / 20, i % 20) + 1e-3);
            deq_statistics_clear(&b.worker->forward);
            bench_solve_rows(&b, 0, 9, true);
            double warm = b.worker->forward.steps;
            assert_int_equal(b.worker->forward.unconverged, 0);
            for (int64_t row = 0; row < 9; row++) assert_true(residual_of(&b, row) < 3e-6);
            deq_worker_forget(b.worker);
            deq_statistics_clear(&b.worker->forward);
            bench_solve_rows(&b, 0, 9, false);
            assert_true(warm < b.worker->forward.steps);
            /* Another example in the same row starts from zero: the bits are those of a solve that never saw one. */
            bench c = bench_new(bits, CELL_TANH, 20, 9, 1.1);
            memcpy(c.rest, b.rest, (size_t)(9 * b.stride));
            bench_solve(&c, forward[s], "implicit(gmres(tol: 1e-5))", false);
            for (int i = 0; i < BLOCK; i++) b.example[i] += 500;
            bench_solve_rows(&b, 0, 9, false);
            assert_memory_equal(b.z, c.z, (size_t)(9 * b.stride));
            bench_free(&b), bench_free(&c);
        }
}

static void test_diverged_states_are_forgotten(void **state) {
    (void)state;
    bench b = bench_new(64, CELL_SQUARE, 3, 4, 0);
    for (int i = 0; i < 12; i++) put(&b, b.rest, i / 3, i % 3, i / 3 == 2 ? 5 : 0.1);
    b.settings.start = DEQ_START_PREVIOUS;
    bench_set(&b, "picard(max: 100)", "jfb");
    bench_plan(&b);
    bench_solve_rows(&b, 0, 4, false);
    assert_int_equal(b.worker->forward.diverged, 1);
    for (int row = 0; row < 4; row++) assert_true((b.worker->visits[0].visitor[row] < 0) == (row == 2));
    bench_free(&b);
}

/* Modes that solve twice, or ride along, start both times at the same state. */
static void test_previous_in_every_mode(void **state) {
    (void)state;
    static const char *const modes[] = {"jfb", "phantom.unroll(steps: 3)", "phantom.neumann(steps: 3)",
                                        "shine(refine: 2)", "implicit(lu)"};
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        bench b = bench_new(64, CELL_TANH, 12, 5, 1.1), c = bench_new(64, CELL_TANH, 12, 5, 1.1);
        bench_solve(&b, "broyden(tol: 1e-12, max: 80)", modes[m], true);
        bench_gradient_rows(&b, 0, 5);
        c.settings.start = DEQ_START_PREVIOUS;
        bench_set(&c, "broyden(tol: 1e-12, max: 80)", modes[m]);
        bench_plan(&c);
        bench_solve_rows(&c, 0, 5, true);
        bench_gradient_rows(&c, 0, 5);
        assert_memory_equal(b.drest, c.drest, (size_t)(5 * b.stride)); /* the first visit starts from zero */
        for (int i = 0; i < 60; i++) put(&c, c.rest, i / 12, i % 12, get(&c, c.rest, i / 12, i % 12) + 0.01);
        bench_solve_rows(&c, 0, 5, false);
        memcpy(c.rest, b.rest, (size_t)(5 * b.stride));
        bench_solve_rows(&c, 0, 5, true);
        bench_gradient_rows(&c, 0, 5);
        for (int i = 0; i < 60 && m != 3; i++) /* shine has another estimate of the inverse */
            assert_true(fabs(get(&b, b.drest, i / 12, i % 12) - get(&c, c.drest, i / 12, i % 12)) < 1e-9);
        bench_free(&b), bench_free(&c);
    }
}

static void test_given(void **state) {
    (void)state;
    for (int bits = 32; bits <= 64; bits += 32) {
        bench b = bench_new(bits, CELL_TANH, 20, 7, 1.1);
        deq_fixed *fixed = (deq_fixed *)b.fixed;
        static recording r;
        r = (recording){.b = &b, .row = 4};
        fixed->start_offset = 0; /* z_0 = c, which is all that the rest record holds */
        b.settings.start = DEQ_START_GIVEN;
        bench_set(&b, "picard(tol: 1e-6)", "jfb");
        bench_plan(&b);
        b.worker->request.stream = listen_to;
        b.worker->request.stream_context = &r;
        bench_solve_rows(&b, 0, 7, false);
        double c[CELL_MOST] = {0}, f[CELL_MOST];
        for (int k = 0; k < 20; k++) c[k] = get(&b, b.rest, 4, k);
        cell_apply(&b, 4, c, f);
        for (int k = 0; k < 20; k++) assert_true(r.z[0][k] == f[k]); /* state 1 is f of the start, which is no state */
        deq_error e = {0};
        fixed->start_offset = -1;
        assert_false(deq_fixed_check(&b.settings, b.fixed, &e));
        assert_int_equal(e.failure, DEQ_SETTING);
        bench_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_previous),
        cmocka_unit_test(test_diverged_states_are_forgotten),
        cmocka_unit_test(test_previous_in_every_mode),
        cmocka_unit_test(test_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
