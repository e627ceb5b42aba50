/* test_finish.c - the value of a fixed point (`finish:`): one state, whoever asks and whether or not a gradient is asked
 * beside it; the published branches; what the modes differentiate there. */
#include "mode_bench.h"

static void finish(bench *b, const char *text) {
    deq_error e = {0};
    if (!deq_finish_parse(text, &b->settings.finish, &e)) fail_msg("%s", e.text);
}

static const char *const modes[] = {"implicit(lu())",
                                    "phantom.unroll(steps: 5, damping: 0.5)",
                                    "phantom.unroll(steps: 3, damping: 0.7, undamped_first: true)",
                                    "phantom.unroll(steps: 9, damping: 1)",
                                    "phantom.neumann(steps: 4, damping: 0.5)",
                                    "jfb()",
                                    "simultaneous(states: 4)",
                                    "simultaneous(states: 1..5, combine: sum)",
                                    "unrolled(from: 2)",
                                    "unrolled(from: 1..4, steps: 2, damping: 1, undamped_first: true)",
                                    "shine()",
                                    "augmented(steps: 8)"};
#define MODES (sizeof modes / sizeof *modes)

/* The state after the steps of a finish, by the definition. */
static void steps_after(const bench *b, int64_t row, double *z, int steps, double damping, bool undamped_first) {
    for (int t = 0; t < steps + undamped_first; t++) {
        double f[CELL_MOST], share = t == 0 && undamped_first ? 1 : damping;
        cell_apply(b, row, z, f);
        for (int k = 0; k < b->d; k++) z[k] = (1 - share) * z[k] + share * f[k];
    }
}

static void row_of(const bench *b, const void *base, int64_t row, double *z) {
    memset(z, 0, CELL_MOST * sizeof *z);
    for (int k = 0; k < b->d; k++) z[k] = get(b, base, row, k);
}

/* ---- which state ---- */

static void test_published_branches(void **state) {
    (void)state;
    static const struct {
        const char *gradient, *finish; /* finish NULL: by the mode */
        int steps;
        double damping;
        bool undamped_first;
    } branches[] = {
        {"implicit(lu())", NULL, 1, 1, false},
        {"shine()", NULL, 1, 1, false},
        {"jfb()", NULL, 1, 1, false},
        {"phantom.neumann(steps: 9, damping: 0.5)", NULL, 1, 1, false},
        {"phantom.unroll(steps: 5, damping: 0.5, undamped_first: true)", NULL, 5, 0.5, true},
        {"phantom.unroll(steps: 3, damping: 0.7)", NULL, 3, 0.7, false},
        {"simultaneous(states: 3)", NULL, 0, 1, false},
        {"unrolled(from: 2)", NULL, 0, 1, false},
        {"augmented(steps: 3)", NULL, 0, 1, false},
        {"implicit(lu())", "none", 0, 1, false},
        {"implicit(lu())", "apply(steps: 4, damping: 0.3)", 4, 0.3, false},
        {"phantom.unroll(steps: 5, damping: 0.5)", "apply()", 1, 1, false},
        {"phantom.unroll(steps: 5, damping: 0.5)", "apply(steps: 9, damping: 0.5)", 9, 0.5, false},
    };
    for (size_t k = 0; k < sizeof branches / sizeof *branches; k++) {
        bench raw = mode_bench_new(64, CELL_TANH, 20, 7, 2.2), b = mode_bench_new(64, CELL_TANH, 20, 7, 2.2);
        finish(&raw, "none");
        finish(&b, branches[k].finish ? branches[k].finish : "trained");
        bench_solve(&raw, "broyden(tol: 0, max: 5)", "implicit(lu())", false);
        bench_solve(&b, "broyden(tol: 0, max: 5)", branches[k].gradient, false);
        for (int64_t row = 0; row < 7; row++) {
            double z[CELL_MOST];
            row_of(&raw, raw.z, row, z);
            steps_after(&b, row, z, branches[k].steps, branches[k].damping, branches[k].undamped_first);
            for (int i = 0; i < 20; i++) assert_true(fabs(z[i] - get(&b, b.z, row, i)) < 1e-14);
        }
        bench_free(&raw), bench_free(&b);
    }
}

/* Picard has no inverse estimate, and is what backprop needs. */
static void test_by_default_backprop_has_no_finish(void **state) {
    (void)state;
    bench raw = mode_bench_new(64, CELL_TANH, 20, 7, 2.2), b = mode_bench_new(64, CELL_TANH, 20, 7, 2.2);
    finish(&raw, "none");
    bench_solve(&raw, "picard(tol: 0, max: 5)", "jfb()", false);
    bench_solve(&b, "picard(tol: 0, max: 5)", "backprop()", false);
    assert_memory_equal(raw.z, b.z, (size_t)(7 * b.stride));
    bench_free(&raw), bench_free(&b);
}

/* The same bits for every mode, alone and beside its gradient, where rows converge at different steps and some do not. */
static void test_one_value(void **state) {
    (void)state;
    static const char *const forwards[] = {"broyden(tol: 0, max: 5)", "broyden(tol: 1e-2, max: 9)",
                                           "broyden(tol: 1e-2, max: 7, return: last)",
                                           "broyden(tol: 1e-2, max: 9, line_search: armijo)"};
    static const char *const finishes[] = {"none", "apply()", "apply(steps: 3, damping: 0.7, undamped_first: true)",
                                           "apply(steps: 2, damping: 0.5, always: true)"};
    for (int bits = 32; bits <= 64; bits += 32)
        for (size_t f = 0; f < sizeof forwards / sizeof *forwards; f++)
            for (size_t k = 0; k < sizeof finishes / sizeof *finishes; k++) {
                bench first = mode_bench_new(bits, CELL_TANH, 12, 9, 2.4);
                finish(&first, finishes[k]);
                bench_solve(&first, forwards[f], modes[0], false);
                for (size_t m = 0; m < MODES; m++) {
                    bench b = mode_bench_new(bits, CELL_TANH, 12, 9, 2.4);
                    finish(&b, finishes[k]);
                    bench_solve(&b, forwards[f], modes[m], false);
                    assert_memory_equal(b.z, first.z, (size_t)(9 * b.stride));
                    bench_run(&b, forwards[f], modes[m]);
                    if (memcmp(b.z, first.z, (size_t)(9 * b.stride)))
                        fail_msg("%d bits, %s, finish: %s, beside %s", bits, forwards[f], finishes[k], modes[m]);
                    bench_free(&b);
                }
                bench_free(&first);
            }
}

/* Gradients at states that a solve would not reach make it go on, but not for its value. */
static void test_later_states_change_no_value(void **state) {
    (void)state;
    static const char *const forwards[] = {"broyden(tol: 1e-2, max: 30)",
                                           "broyden(tol: 1e-2, max: 30, memory: 3)",
                                           "anderson(tol: 1e-2, max: 40, damping: 0.8)",
                                           "picard(tol: 1e-2, max: 40)",
                                           "newton_krylov(tol: 1e-2, max: 30)",
                                           "adjoint_broyden(tol: 1e-2, max: 30)",
                                           "picard(tol: 1e-6, max: 20) else broyden(tol: 1e-2, max: 9)"};
    for (size_t f = 0; f < sizeof forwards / sizeof *forwards; f++) {
        bench a = mode_bench_new(64, CELL_TANH, 12, 9, 1.2), b = mode_bench_new(64, CELL_TANH, 12, 9, 1.2);
        bench_solve(&a, forwards[f], "unrolled(from: 14..19, steps: 2)", false);
        bench_run(&b, forwards[f], "unrolled(from: 14..19, steps: 2)");
        if (memcmp(a.z, b.z, (size_t)(9 * a.stride))) fail_msg("%s", forwards[f]);
        bench_free(&a), bench_free(&b);
    }
}

/* ---- who makes the steps ---- */

static void test_converged_rows_are_skipped(void **state) {
    (void)state;
    bench raw = mode_bench_new(64, CELL_TANH, 12, 9, 2.4), b = mode_bench_new(64, CELL_TANH, 12, 9, 2.4);
    bench always = mode_bench_new(64, CELL_TANH, 12, 9, 2.4);
    const char *forward = "broyden(tol: 1e-2, max: 9)";
    finish(&raw, "none"), finish(&b, "apply(steps: 2)"), finish(&always, "apply(steps: 2, always: true)");
    bench_solve(&raw, forward, "jfb()", false);
    bench_solve(&b, forward, "jfb()", false);
    bench_solve(&always, forward, "jfb()", false);
    int skipped = 0, made = 0;
    for (int64_t row = 0; row < 9; row++) {
        const size_t at = (size_t)(row * b.stride), bytes = (size_t)b.stride;
        const bool same = !memcmp((char *)b.z + at, (char *)raw.z + at, bytes);
        assert_int_equal(same, residual_of(&raw, row) <= 1e-2);
        assert_true(!memcmp((char *)always.z + at, (char *)b.z + at, bytes) != same);
        skipped += same, made += !same;
    }
    assert_true(skipped > 0 && made > 0);
    bench_free(&raw), bench_free(&b), bench_free(&always);
}

static void test_rows_do_not_depend_on_their_block(void **state) {
    (void)state;
    for (int want = 0; want <= 1; want++) {
        bench b = mode_bench_new(32, CELL_TANH, 12, 9, 2.4), c = mode_bench_new(32, CELL_TANH, 12, 9, 2.4);
        finish(&b, "apply(steps: 3, damping: 0.5)"), finish(&c, "apply(steps: 3, damping: 0.5)");
        bench_solve(&b, "anderson(tol: 1e-2, max: 6)", "jfb()", want);
        bench_set(&c, "anderson(tol: 1e-2, max: 6)", "jfb()");
        bench_plan(&c);
        for (int64_t from = 0; from < 9; from += 2) bench_solve_rows(&c, from, from + 2 < 9 ? 2 : 1, want);
        assert_memory_equal(b.z, c.z, (size_t)(9 * b.stride));
        bench_free(&b), bench_free(&c);
    }
}

/* Broyden's method has evaluated f at its last state, or the best one, and keeps it. */
static void test_apply_is_free_after_broyden(void **state) {
    (void)state;
    static const char *const forwards[] = {"broyden(tol: 0, max: 6, return: last)", "broyden(tol: 0, max: 6)"};
    for (size_t f = 0; f < 2; f++) {
        int64_t cost[3];
        static const char *const finishes[] = {"none", "apply()", "apply(steps: 2)"};
        for (int k = 0; k < 3; k++) {
            bench b = mode_bench_new(64, CELL_TANH, 12, 9, 3);
            finish(&b, finishes[k]);
            bench_set(&b, forwards[f], "jfb()");
            bench_plan(&b);
            cell_evaluations = 0;
            bench_solve_rows(&b, 0, 9, false);
            cost[k] = cell_evaluations;
            bench_free(&b);
        }
        assert_int_equal(cost[0], 9 * 7);
        assert_int_equal(cost[1], cost[0]);
        assert_int_equal(cost[2], cost[0] + 9);
    }
}

/* f that goes straight into the result is the same value as the step made from the state. */
static void test_results_written_directly(void **state) {
    (void)state;
    static const char *const finishes[] = {"apply()", "apply(always: true)",
                                           "apply(steps: 3, damping: 0.5, undamped_first: true)"};
    static const char *const forwards[] = {"broyden(tol: 1e-2, max: 9)", "broyden(tol: 0, max: 6, return: last)",
                                           "broyden(tol: 1e-2, max: 30, growth: 2)"};
    for (int k = 0; k < 9; k++)
        for (int bits = 32; bits <= 64; bits += 32) {
            bench b = mode_bench_new(bits, CELL_TANH, 12, 9, 2.4), c = mode_bench_new(bits, CELL_TANH, 12, 9, 2.4);
            finish(&b, finishes[k / 3]), finish(&c, finishes[k / 3]);
            bench_solve(&b, forwards[k % 3], "jfb()", false);
            bench_run(&c, forwards[k % 3], "phantom.neumann(steps: 2)"); /* beside a gradient the state is kept */
            assert_memory_equal(b.z, c.z, (size_t)(9 * b.stride));
            bench_free(&b), bench_free(&c);
        }
}

/* Where f is not finite after the solve the value is the state, with a gradient and without. */
static void test_steps_that_are_not_finite(void **state) {
    (void)state;
    for (int want = 0; want <= 1; want++) {
        bench b = mode_bench_new(64, CELL_SQUARE, 1, 1, 1);
        put(&b, b.rest, 0, 0, 9);
        finish(&b, "apply(steps: 30)");
        bench_solve(&b, "picard(tol: 0, max: 3)", "jfb()", want);
        assert_true(isfinite(get(&b, b.z, 0, 0)));
        bench_free(&b);
    }
}

/* ---- gradients at the value ---- */

/* Linearised where f was applied last; the loss gradient is that of the value. */
static void test_implicit_at_the_value(void **state) {
    (void)state;
    static const struct {
        const char *finish;
        int before, last; /* steps before the linearisation, and whether there is one after it */
        double damping;
    } cases[] = {{"none", 0, 0, 1}, {"apply()", 0, 1, 1}, {"apply(steps: 4, damping: 0.6)", 3, 1, 0.6}};
    for (size_t k = 0; k < 3; k++) {
        bench raw = mode_bench_new(64, CELL_TANH, 20, 5, 1.6), b = mode_bench_new(64, CELL_TANH, 20, 5, 1.6);
        finish(&raw, "none"), finish(&b, cases[k].finish);
        bench_solve(&raw, "broyden(tol: 0, max: 3)", "jfb()", false);
        bench_run(&b, "broyden(tol: 0, max: 3)", "implicit(lu())");
        for (int64_t row = 0; row < 5; row++) {
            double z[CELL_MOST], value[CELL_MOST], f[CELL_MOST], g[CELL_MOST];
            double J[CELL_MOST * CELL_MOST], D[CELL_MOST + 32], a[CELL_MOST * CELL_MOST];
            row_of(&raw, raw.z, row, z);
            steps_after(&b, row, z, cases[k].before, cases[k].damping, false);
            memcpy(value, z, sizeof z);
            steps_after(&b, row, value, cases[k].last, cases[k].damping, false);
            apply(&b, row, z, f, J, D);
            loss_slope(row, value, 20, g);
            for (int i = 0; i < 20; i++)
                for (int j = 0; j < 20; j++) a[i * 20 + j] = (i == j) - J[j * 20 + i];
            dense_solve(20, a, g);
            for (int i = 0; i < 20; i++) assert_true(fabs(D[i] * g[i] - get(&b, b.drest, row, i)) < 1e-11);
        }
        bench_free(&raw), bench_free(&b);
    }
}

/* One mode written as another, to the bit. */
static void test_identities_at_the_value(void **state) {
    (void)state;
    static const char *const finishes[] = {"none", "apply()", "apply(always: true)", "apply(steps: 3, damping: 0.5)"};
    static const char *const same[] = {"phantom.neumann(steps: 1, damping: 1)", "phantom.unroll(steps: 1, damping: 1)"};
    for (int bits = 32; bits <= 64; bits += 32)
        for (size_t k = 0; k < 4; k++)
            for (int m = 0; m < (k < 3 ? 2 : 1); m++) { /* phantom.unroll starts from the solver's state */
                bench b = mode_bench_new(bits, CELL_TANH, 20, 7, 2.2), c = mode_bench_new(bits, CELL_TANH, 20, 7, 2.2);
                finish(&b, finishes[k]), finish(&c, finishes[k]);
                bench_run(&b, "broyden(tol: 1e-2, max: 6)", "jfb()");
                bench_run(&c, "broyden(tol: 1e-2, max: 6)", same[m]);
                assert_memory_equal(b.z, c.z, (size_t)(7 * b.stride));
                assert_memory_equal(b.drest, c.drest, (size_t)(7 * b.stride));
                assert_memory_equal(b.accum, c.accum, (size_t)(b.d * b.d * bits / 8));
                bench_free(&b), bench_free(&c);
            }
}

/* In the limit, or at the same states: a long Neumann sum is the exact adjoint at the base of the value, and damped steps
 * from z_N are those of phantom.unroll, whose loss gradient is at the value they end in. */
static void test_modes_meet_at_the_value(void **state) {
    (void)state;
    static const struct {
        const char *finish, *one, *other;
    } pairs[] = {
        {"none", "implicit(lu())", "phantom.neumann(steps: 300, damping: 1)"},
        {"apply()", "implicit(lu())", "phantom.neumann(steps: 300, damping: 1)"},
        {"apply(steps: 3, damping: 0.5)", "implicit(lu())", "phantom.neumann(steps: 600, damping: 0.5)"},
        {"apply()", "implicit(lu())", "implicit(gmres(tol: 1e-14, max: 40))"},
        {"trained", "phantom.unroll(steps: 4, damping: 0.5)", "unrolled(from: 5, steps: 4, damping: 0.5)"},
        {"apply(steps: 3, damping: 1)", "phantom.unroll(steps: 3, damping: 1)",
         "unrolled(from: 5, steps: 3, damping: 1)"},
    };
    for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++) {
        bench b = mode_bench_new(64, CELL_TANH, 12, 5, 0.8), c = mode_bench_new(64, CELL_TANH, 12, 5, 0.8);
        finish(&b, pairs[k].finish), finish(&c, pairs[k].finish);
        bench_run(&b, "broyden(tol: 0, max: 5, return: last)", pairs[k].one);
        bench_run(&c, "broyden(tol: 0, max: 5, return: last)", pairs[k].other);
        double largest = 0;
        for (int64_t row = 0; row < 5; row++)
            for (int i = 0; i < 12; i++) {
                const double g = get(&b, b.drest, row, i);
                largest = fmax(largest, fabs(g));
                if (!(fabs(g - get(&c, c.drest, row, i)) <= 1e-12))
                    fail_msg("finish: %s, %s and %s: %.17g, %.17g", pairs[k].finish, pairs[k].one, pairs[k].other, g,
                             get(&c, c.drest, row, i));
            }
        assert_true(largest > 1e-3);
        bench_free(&b), bench_free(&c);
    }
}

/* Through everything that makes the value: differences of the loss of whole solves. */
static void test_backprop_goes_through_the_finish(void **state) {
    (void)state;
    static const char *const finishes[] = {"none", "apply()", "apply(steps: 3, damping: 0.6, undamped_first: true)"};
    static const char *const gradients[] = {"backprop()", "backprop(checkpoint: 2)"};
    static const char *const forwards[] = {"picard(tol: 0, max: 5, damping: 0.7)", "picard(tol: 3e-2, max: 6)"};
    for (int k = 0; k < 12; k++) {
        bench b = mode_bench_new(64, CELL_TANH, 6, 3, 1.8), c = mode_bench_new(64, CELL_TANH, 6, 3, 1.8);
        const char *forward = forwards[k / 6], *gradient = gradients[k / 3 % 2];
        finish(&b, finishes[k % 3]), finish(&c, finishes[k % 3]);
        bench_run(&b, forward, gradient);
        bench_set(&c, forward, gradient);
        bench_plan(&c);
        for (int64_t row = 0; row < 3; row++)
            for (int i = 0; i < 6; i++) {
                double value[2], z[CELL_MOST], kept = get(&c, c.rest, row, i);
                for (int side = 0; side < 2; side++) {
                    put(&c, c.rest, row, i, kept + (side ? 1e-6 : -1e-6));
                    bench_solve_rows(&c, 0, 3, false);
                    row_of(&c, c.z, row, z);
                    value[side] = loss_of(row, z, 6);
                }
                put(&c, c.rest, row, i, kept);
                if (!(fabs((value[1] - value[0]) / 2e-6 - get(&b, b.drest, row, i)) < 1e-7))
                    fail_msg("%s, %s, finish: %s", forward, gradient, finishes[k % 3]);
            }
        bench_free(&b), bench_free(&c);
    }
}

/* ---- judge: surrogate ---- */

static void bench_judge(bench *b, const char *forward, const char *gradient, bool want) {
    bench_set(b, forward, gradient);
    bench_plan(b);
    b->worker->request.surrogate = true;
    if (want)
        bench_rows(b, 0, b->n);
    else
        bench_solve_rows(b, 0, b->n, false);
}

/* The surrogate's state is one as well, alone and beside its gradient. */
static void test_surrogates(void **state) {
    (void)state;
    for (size_t m = 0; m < MODES; m++) {
        bench alone = mode_bench_new(64, CELL_TANH, 12, 9, 2.4), beside = mode_bench_new(64, CELL_TANH, 12, 9, 2.4);
        bench_judge(&alone, "broyden(tol: 1e-2, max: 9)", modes[m], false);
        bench_judge(&beside, "broyden(tol: 1e-2, max: 9)", modes[m], true);
        if (!(difference(&alone, alone.z, beside.z) < 1e-14)) fail_msg("%s", modes[m]);
        bench_free(&alone), bench_free(&beside);
    }
}

/* Steps after z_n, and the mean of them over several n. */
static void test_surrogate_of_unrolled(void **state) {
    (void)state;
    bench b = mode_bench_new(64, CELL_TANH, 12, 3, 2.4), c = mode_bench_new(64, CELL_TANH, 12, 3, 2.4);
    double want[3][CELL_MOST] = {{0}};
    for (int n = 1; n <= 3; n++) {
        char forward[64];
        snprintf(forward, sizeof forward, "broyden(tol: 0, max: %d, return: last)", n);
        finish(&c, "none");
        bench_solve(&c, forward, "jfb()", false);
        for (int64_t row = 0; row < 3; row++) {
            double z[CELL_MOST];
            row_of(&c, c.z, row, z);
            steps_after(&c, row, z, 4, 0.5, false);
            for (int k = 0; k < 12; k++) want[row][k] += z[k] / 3;
        }
    }
    bench_judge(&b, "broyden(tol: 0, max: 5)", "unrolled(from: 1..4, steps: 4, damping: 0.5)", false);
    for (int64_t row = 0; row < 3; row++)
        for (int k = 0; k < 12; k++) assert_true(fabs(want[row][k] - get(&b, b.z, row, k)) < 1e-14);
    bench_free(&b), bench_free(&c);
}

/* ---- texts ---- */

static void test_texts(void **state) {
    (void)state;
    static const char *const good[][2] = {
        {"none", "none"},
        {"trained", "trained"},
        {"apply", "apply(steps: 1, damping: 1, undamped_first: false, always: false)"},
        {"apply(damping: 0.5, always: true, steps: 5)",
         "apply(steps: 5, damping: 0.5, undamped_first: false, always: true)"}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        deq_finish f;
        deq_error e = {0};
        char text[DEQ_SETTING_TEXT];
        assert_true(deq_finish_parse(good[i][0], &f, &e));
        deq_finish_print(&f, text, sizeof text);
        assert_string_equal(text, good[i][1]);
    }
    static const char *const bad[] = {
        "appply", "apply(steps: 0)", "apply(damping: 0)", "apply(step: 1)", "none(steps: 1)", "apply(always: 2)", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        deq_finish f;
        deq_error e = {0};
        assert_false(deq_finish_parse(bad[i], &f, &e));
        assert_true(*e.text);
    }
    deq_fixed_settings s = {0};
    deq_error e = {0};
    assert_true(deq_fixed_defaults(&s, &e));
    assert_true(deq_fixed_set(&s, "finish.steps", "3", &e)); /* of the default */
    assert_int_equal(s.finish.steps, 3);
    assert_true(deq_fixed_set(&s, "finish", "none", &e));
    assert_false(deq_fixed_set(&s, "finish.steps", "3", &e));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_branches),
        cmocka_unit_test(test_by_default_backprop_has_no_finish),
        cmocka_unit_test(test_one_value),
        cmocka_unit_test(test_later_states_change_no_value),
        cmocka_unit_test(test_converged_rows_are_skipped),
        cmocka_unit_test(test_rows_do_not_depend_on_their_block),
        cmocka_unit_test(test_apply_is_free_after_broyden),
        cmocka_unit_test(test_results_written_directly),
        cmocka_unit_test(test_steps_that_are_not_finite),
        cmocka_unit_test(test_implicit_at_the_value),
        cmocka_unit_test(test_identities_at_the_value),
        cmocka_unit_test(test_modes_meet_at_the_value),
        cmocka_unit_test(test_backprop_goes_through_the_finish),
        cmocka_unit_test(test_surrogates),
        cmocka_unit_test(test_surrogate_of_unrolled),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
