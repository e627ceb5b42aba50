/* test_solvers.c - solvers and gradient modes on cells whose answers are known, in both precisions. */
#include "cell_bench.h"

/* ---- forward solvers ---- */

static void test_solvers_reach_the_fixed_point(void **state) {
    (void)state;
    static const char *const forward[] = {"picard(%s)",
                                          "picard(damping: 0.8, %s)",
                                          "anderson(%s)",
                                          "anderson(damping: 0.7, memory: 3, %s)",
                                          "anderson(memory: 1, %s)",
                                          "broyden(%s)",
                                          "broyden(step: 0.8, %s)",
                                          "broyden(memory: 4, %s)"};
    static const cell_kind kinds[] = {CELL_LINEAR, CELL_TANH};
    for (int bits = 32; bits <= 64; bits += 32)
        for (size_t s = 0; s < sizeof forward / sizeof *forward; s++)
            for (int kind = 0; kind < 2; kind++) {
                bench b = bench_new(bits, kinds[kind], 20, 13, 0.9);
                char text[128];
                double tol = bits == 32 ? 1e-5 : 1e-11;
                snprintf(text, sizeof text, forward[s], bits == 32 ? "tol: 1e-5, max: 200" : "tol: 1e-11, max: 200");
                bench_solve(&b, text, "jfb", false);
                assert_int_equal(b.worker->forward.solves, 13);
                assert_int_equal(b.worker->forward.unconverged, 0);
                for (int64_t row = 0; row < b.n; row++) {
                    if (!(residual_of(&b, row) <= 2 * tol))
                        fail_msg("%s, row %d: %g", text, (int)row, residual_of(&b, row));
                    assert_true(b.worker->residual[row] <= (float)tol);
                    if (kinds[kind] != CELL_LINEAR) continue;
                    double a[CELL_MOST * CELL_MOST], x[CELL_MOST];
                    for (int i = 0; i < b.d; i++) {
                        for (int k = 0; k < b.d; k++) a[i * b.d + k] = (i == k) - weight(&b, i, k);
                        x[i] = get(&b, b.rest, row, i);
                    }
                    dense_solve(b.d, a, x);
                    for (int i = 0; i < b.d; i++)
                        assert_true(fabs(x[i] - get(&b, b.z, row, i)) < 60 * tol * (1 + fabs(x[i])));
                }
                bench_free(&b);
            }
}

static void test_counts(void **state) {
    (void)state;
    bench b = bench_new(32, CELL_TANH, 20, 5, 0.9);
    static const struct {
        const char *forward;
        int64_t evaluations;
    } cases[] = {{"picard(tol: 0, max: 7)", 7}, {"anderson(tol: 0, max: 7)", 7}, {"broyden(tol: 0, max: 7)", 8}};
    for (int i = 0; i < 3; i++) {
        cell_evaluations = 0;
        bench_solve(&b, cases[i].forward, "jfb", false);
        assert_int_equal(cell_evaluations, 5 * cases[i].evaluations);
        assert_true(b.worker->forward.steps == 5 * 7);
        assert_int_equal(b.worker->forward.unconverged, 0); /* tol 0 asks for all steps */
    }
    static const struct {
        const char *adjoint;
        int64_t products;
    } adjoints[] = {{"picard(tol: 0, max: 7)", 6},
                    {"anderson(tol: 0, max: 7)", 6},
                    {"broyden(tol: 0, max: 7)", 7},
                    {"neumann(tol: 0, max: 7)", 7},
                    {"gmres(tol: 0, max: 7)", 7}};
    for (int i = 0; i < 5; i++) {
        char mode[96];
        snprintf(mode, sizeof mode, "implicit(%s)", adjoints[i].adjoint);
        bench_solve(&b, "broyden", mode, true);
        cell_products = 0;
        bench_gradient_rows(&b, 0, b.n);
        assert_int_equal(cell_products, 5 * adjoints[i].products);
        assert_true(b.worker->adjoint.steps == 5 * 7);
    }
    bench_free(&b);
}

/* The same iteration with the dense matrix B of Eq. 8, whose secant condition is checked at every step. */
static void test_broyden_is_equation_8(void **state) {
    (void)state;
    for (double alpha = 1; alpha > 0.5; alpha -= 0.3) {
        bench b = bench_new(64, CELL_TANH, 12, 6, 1.6);
        recording r = {.b = &b, .row = 3};
        char text[64];
        snprintf(text, sizeof text, "broyden(tol: 0, max: 10, step: %g)", alpha);
        bench_set(&b, text, "jfb");
        bench_plan(&b);
        b.worker->request.stream = listen_to;
        b.worker->request.stream_context = &r;
        bench_solve_rows(&b, 0, b.n, false);
        assert_int_equal(r.count, 10);
        int d = b.d;
        double B[CELL_MOST][CELL_MOST] = {{0}}, z[CELL_MOST] = {0}, g[CELL_MOST], f[CELL_MOST];
        for (int i = 0; i < d; i++) B[i][i] = -1;
        cell_apply(&b, r.row, z, f);
        for (int i = 0; i < d; i++) g[i] = f[i] - z[i];
        for (int n = 0; n < 10; n++) {
            double s[CELL_MOST] = {0}, y[CELL_MOST], By[CELL_MOST] = {0}, sB[CELL_MOST] = {0}, den = 0;
            for (int i = 0; i < d; i++)
                for (int k = 0; k < d; k++) s[i] -= alpha * B[i][k] * g[k];
            for (int i = 0; i < d; i++) z[i] += s[i];
            for (int i = 0; i < d; i++) assert_true(fabs(z[i] - r.z[n][i]) < 1e-12 * (1 + fabs(z[i])) * (n + 1));
            if (n == 0 && alpha == 1)
                for (int i = 0; i < d; i++) assert_true(r.z[0][i] == f[i]); /* B_0 = -I: z_1 = f(0) */
            cell_apply(&b, r.row, z, f);
            for (int i = 0; i < d; i++) y[i] = f[i] - z[i] - g[i], g[i] = f[i] - z[i];
            for (int i = 0; i < d; i++)
                for (int k = 0; k < d; k++) By[i] += B[i][k] * y[k], sB[k] += s[i] * B[i][k];
            for (int i = 0; i < d; i++) den += s[i] * By[i];
            for (int i = 0; i < d; i++)
                for (int k = 0; k < d; k++) B[i][k] += (s[i] - By[i]) / den * sB[k];
            for (int i = 0; i < d; i++) {
                double secant = 0;
                for (int k = 0; k < d; k++) secant += B[i][k] * y[k];
                assert_true(fabs(secant - s[i]) < 1e-12);
            }
        }
        bench_free(&b);
    }
}

static void test_broyden_ends_within_2d_steps_on_linear(void **state) {
    (void)state;
    for (int d = 1; d <= 9; d++) {
        bench b = bench_new(64, CELL_LINEAR, d, 4, 3.0); /* not a contraction */
        bench_solve(&b, "broyden(tol: 1e-9, max: 40)", "jfb", false);
        assert_int_equal(b.worker->forward.unconverged, 0);
        for (int i = 0; i < 4; i++) assert_true(b.worker->steps[i] <= (float)(2 * d + 1));
        bench_free(&b);
    }
}

static void test_kinsol_example(void **state) {
    (void)state;
    static const char *const forward[] = {"picard(tol: 1e-12, max: 100)", "anderson(tol: 1e-12, memory: 2, max: 100)",
                                          "broyden(tol: 1e-12, max: 100)"};
    for (int i = 0; i < 3; i++) {
        bench b = bench_new(64, CELL_KINSOL, 3, 1, 0);
        bench_solve(&b, forward[i], "jfb", false);
        assert_true(fabs(get(&b, b.z, 0, 0) - 0.5) < 1e-10);
        assert_true(fabs(get(&b, b.z, 0, 1) - 1) < 1e-10);
        assert_true(fabs(get(&b, b.z, 0, 2) + 3.14159265358979323846 / 6) < 1e-10);
        bench_free(&b);
    }
}

/* A rotation neither contracts nor grows: the plain iteration circles, Anderson's Gram matrix is singular from step 3.
 */
static void test_rotation_under_anderson(void **state) {
    (void)state;
    for (int bits = 32; bits <= 64; bits += 32) {
        bench b = bench_new(bits, CELL_LINEAR, 2, 3, 0);
        set_weight(&b, 0, 0, cos(2)), set_weight(&b, 0, 1, -sin(2)), set_weight(&b, 1, 0, sin(2)),
            set_weight(&b, 1, 1, cos(2));
        bench_solve(&b, "picard(tol: 1e-5, max: 50)", "jfb", false);
        assert_int_equal(b.worker->forward.unconverged, 3);
        bench_solve(&b, "anderson(memory: 10, ridge: 0, tol: 1e-5, max: 50)", "jfb", false);
        assert_int_equal(b.worker->forward.unconverged, 0);
        for (int i = 0; i < 3; i++) assert_true(b.worker->steps[i] <= 6);
        bench_solve(&b, "anderson(memory: 10, ridge: 0, tol: 0, max: 50)", "jfb", false); /* far past convergence */
        for (int i = 0; i < 3; i++) assert_true(residual_of(&b, i) < 1e-5);
        bench_free(&b);
    }
}

/* ---- freezing, reasons, the returned state ---- */

static void test_alone_and_together_same_bits(void **state) {
    (void)state;
    static const char *const forward[] = {"picard(tol: 1e-3)", "anderson(tol: 1e-4)",
                                          "anderson(damping: 0.6, tol: 1e-3)", "broyden(tol: 1e-5)",
                                          "broyden(memory: 3, step: 0.9, tol: 1e-4)"};
    static const char *const gradient[] = {"implicit(gmres(tol: 1e-4))", "implicit(broyden(tol: 1e-4))",
                                           "implicit(anderson(tol: 1e-3))", "implicit(picard(tol: 1e-3))",
                                           "implicit(neumann(tol: 1e-3))"};
    for (int bits = 32; bits <= 64; bits += 32)
        for (int s = 0; s < 5; s++) {
            bench b = bench_new(bits, CELL_TANH, 20, 13, 1.1), c = bench_new(bits, CELL_TANH, 20, 13, 1.1);
            bench_solve(&b, forward[s], gradient[s], true);
            int different = 0;
            for (int i = 1; i < 13; i++) different += b.worker->steps[i] != b.worker->steps[0];
            assert_true(different > 0); /* some froze before others */
            bench_gradient_rows(&b, 0, 13);
            assert_true(b.worker->adjoint.steps > 0);
            bench_set(&c, forward[s], gradient[s]);
            bench_plan(&c);
            for (int i = 0; i < 13; i++) {
                bench_solve_rows(&c, i, 1, true);
                bench_gradient_rows(&c, i, 1);
            }
            assert_memory_equal(b.z, c.z, (size_t)(13 * b.stride));
            assert_memory_equal(b.drest, c.drest, (size_t)(13 * b.stride));
            assert_true(b.worker->forward.steps == c.worker->forward.steps);
            assert_true(b.worker->adjoint.steps == c.worker->adjoint.steps);
            for (int k = 0; k < b.d * b.d; k++) /* sums over examples: in another order */
                assert_true(fabs(get(&b, b.accum, 0, k) - get(&c, c.accum, 0, k)) <
                            1e-3 * (1 + fabs(get(&c, c.accum, 0, k))));
            bench_free(&b), bench_free(&c);
        }
}

static void test_best_state_is_returned(void **state) {
    (void)state;
    static const char *const forward[] = {
        "picard(tol: 0, max: 9, return: %s)", "anderson(tol: 0, memory: 2, max: 12, return: %s)",
        "anderson(tol: 0, memory: 3, damping: 1.5, max: 12, return: %s)", "broyden(tol: 0, max: 9, return: %s)"};
    for (int s = 0; s < 4; s++)
        for (int row = 0; row < 5; row++) {
            bench b = bench_new(64, CELL_TANH, 10, 5, 4.5); /* residuals go up and down */
            recording r = {.b = &b, .row = row};
            char text[96];
            snprintf(text, sizeof text, forward[s], "best");
            bench_set(&b, text, "jfb");
            bench_plan(&b);
            b.worker->request.stream = listen_to;
            b.worker->request.stream_context = &r;
            bench_solve_rows(&b, 0, b.n, false);
            int best = 0;
            for (int n = 1; n < r.count; n++)
                if (r.residual[n] < r.residual[best]) best = n;
            for (int k = 0; k < b.d; k++) assert_true(get(&b, b.z, row, k) == r.z[best][k]);
            assert_true(b.worker->residual[row] == (float)r.residual[best]);
            snprintf(text, sizeof text, forward[s], "last");
            bench_solve(&b, text, "jfb", false);
            for (int k = 0; k < b.d; k++) assert_true(get(&b, b.z, row, k) == r.z[r.count - 1][k]);
            bench_free(&b);
        }
}

static void test_listening_changes_nothing(void **state) {
    (void)state;
    static const char *const forward[] = {"picard(damping: 0.7)", "anderson(damping: 0.7)", "broyden"};
    for (int s = 0; s < 3; s++) {
        bench b = bench_new(32, CELL_TANH, 20, 13, 1.1), c = bench_new(32, CELL_TANH, 20, 13, 1.1);
        recording r = {.b = &c, .row = 12};
        bench_solve(&b, forward[s], "jfb", false);
        bench_set(&c, forward[s], "jfb");
        bench_plan(&c);
        c.worker->request.stream = listen_to;
        c.worker->request.stream_context = &r;
        bench_solve_rows(&c, 0, 13, false);
        assert_memory_equal(b.z, c.z, (size_t)(13 * b.stride));
        assert_true(r.count == (int)b.worker->steps[12]);
        for (int k = 0; k < b.d; k++) assert_true(r.z[r.count - 1][k] == get(&c, c.z, 12, k));
        bench_free(&b), bench_free(&c);
    }
}

static void test_divergence_is_a_reason(void **state) {
    (void)state;
    static const char *const forward[] = {"picard(max: 100)", "picard(max: 100, return: last)",
                                          "anderson(memory: 1, max: 100)"};
    for (int bits = 32; bits <= 64; bits += 32)
        for (int s = 0; s < 3; s++) {
            bench b = bench_new(bits, CELL_SQUARE, 3, 4, 0);
            for (int i = 0; i < 12; i++)
                put(&b, b.rest, i / 3, i % 3, i / 3 == 2 ? 5 : 0.1); /* row 2 has no fixed point */
            bench_solve(&b, forward[s], "jfb", true);
            assert_int_equal(b.worker->forward.unconverged, 1);
            assert_int_equal(b.worker->forward.diverged, 1);
            assert_int_equal(b.worker->forward.worst_example, 1002);
            for (int i = 0; i < 12; i++) assert_true(isfinite(get(&b, b.z, i / 3, i % 3)));
            bench_free(&b);
        }
}

/* z = gain z + c, whose relative residual falls while the state runs away. */
static bench growing_bench(int bits, double gain) {
    bench b = bench_new(bits, CELL_LINEAR, 2, 3, 0);
    for (int i = 0; i < 2; i++) set_weight(&b, i, i, gain);
    for (int i = 0; i < 6; i++) put(&b, b.rest, i / 2, i % 2, 1 + 0.1 * i);
    return b;
}

static double length_of(const bench *b, const void *base, int64_t row) {
    double sum = 0;
    for (int k = 0; k < b->d; k++) sum += get(b, base, row, k) * get(b, base, row, k);
    return sqrt(sum);
}

static void test_a_growing_state_is_no_convergence(void **state) {
    (void)state;
    static const char *const forward[] = {"picard(%s)", "anderson(memory: 1, %s)", "picard(damping: 0.5, %s)",
                                          "broyden(%s)",
                                          "picard(max: 5) else picard(max: 7) else anderson(max: 5) else picard(%s)"};
    for (int bits = 32; bits <= 64; bits += 32)
        for (int s = 0; s < 5; s++)
            for (double gain = 1; gain <= 3; gain += 2) {
                if (s >= 3 && gain > 1) continue; /* Broyden finds the root of z = 3z + c */
                char text[120];
                bench b = growing_bench(bits, gain);
                snprintf(text, sizeof text, forward[s], "tol: 0.05, max: 60");
                bench_solve(&b, text, "jfb", false);
                assert_int_equal(b.worker->forward.unconverged, 3);
                for (int row = 0; row < 3; row++) /* the best state is one near the start */
                    assert_true(length_of(&b, b.z, row) <= 3 * length_of(&b, b.rest, row));
                bench_free(&b);
            }
    bench b = growing_bench(64, 1);
    bench_solve(&b, "picard(tol: 0.05, max: 60, return: last)", "jfb", false);
    assert_true(length_of(&b, b.z, 0) > 59 * length_of(&b, b.rest, 0));
    bench_free(&b);
    b = growing_bench(64, 0.99); /* grows to 100 times its first image, and converges */
    bench_solve(&b, "picard(tol: 1e-5, max: 2000)", "jfb", false);
    assert_int_equal(b.worker->forward.unconverged, 0);
    bench_free(&b);
}

/* norm(f(z_n) - z_n) is 3^n times the first. */
static void test_growth_is_a_setting(void **state) {
    (void)state;
    for (int bits = 32; bits <= 64; bits += 32) {
        bench b = growing_bench(bits, 3);
        static const struct {
            const char *forward;
            int steps;
            bool diverged;
        } cases[] = {{"picard(max: 35, growth: 1e3)", 8, true},
                     {"picard(max: 35)", 27, true},
                     {"picard(max: 35, growth: 1e100)", 35, false},
                     {"picard(max: 35, tol: 0, growth: 1)", 35, false}}; /* tol 0 asks for all steps */
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            bench_solve(&b, cases[i].forward, "jfb", false);
            assert_int_equal(b.worker->forward.diverged, cases[i].diverged ? 3 : 0);
            for (int row = 0; row < 3; row++) assert_int_equal((int)b.worker->steps[row], cases[i].steps);
        }
        bench_free(&b);
    }
}

/* States of 1e24 are finite in f32, their squares are not: every step is made, and no residual is 0 by inf under it. */
static void test_squares_beyond_f32(void **state) {
    (void)state;
    static const char *const all_steps[] = {"picard(tol: 0, max: 9, return: last)",
                                            "picard(tol: 0, max: 9, damping: 0.9, return: last)",
                                            "anderson(tol: 0, max: 9, memory: 1, return: last)"};
    for (int s = 0; s < 3; s++) {
        bench b = growing_bench(32, 1000);
        bench_solve(&b, all_steps[s], "jfb", false);
        assert_int_equal(b.worker->forward.diverged, 0);
        for (int row = 0; row < 3; row++) {
            assert_int_equal((int)b.worker->steps[row], 9);
            assert_true(fabs(b.worker->residual[row] - 0.999) < 1e-4); /* of z = 1000 z + c */
            assert_true(length_of(&b, b.z, row) > 1e23 && length_of(&b, b.z, row) < 1e25);
        }
        bench_free(&b);
    }
    static const char *const solvers[] = {
        "picard",          "picard(damping: 0.7, %s)",       "anderson", "broyden", "newton_krylov",
        "adjoint_broyden", "anderson(least_squares: qr, %s)"};
    for (int s = 0; s < 7; s++) {
        char text[120];
        bench b = growing_bench(32, 0.5);
        for (int i = 0; i < 6; i++) put(&b, b.rest, i / 2, i % 2, 1e20 * (1 + 0.1 * i));
        snprintf(text, sizeof text, strchr(solvers[s], '%') ? solvers[s] : "%s(tol: 1e-4, max: 60)",
                 strchr(solvers[s], '%') ? "tol: 1e-4, max: 60" : solvers[s]);
        bench_solve(&b, text, "jfb", false);
        const bool plain =
            s < 3 || s == 6; /* the others need products of such states: they may fail, and then say so */
        if (plain) assert_int_equal(b.worker->forward.unconverged, 0);
        for (int row = 0; row < 3 && !b.worker->forward.unconverged; row++) assert_true(residual_of(&b, row) < 2e-4);
        bench_free(&b);
    }
}

/* Where predictions are judged by it, the residual is that of the state handed on, for every solver. */
static void test_the_residual_is_that_of_the_state(void **state) {
    (void)state;
    static const char *const forward[] = {"picard(%s)",
                                          "picard(damping: 0.7, %s)",
                                          "anderson(%s)",
                                          "anderson(damping: 0.7, %s)",
                                          "broyden(%s)",
                                          "broyden(line_search: armijo, %s)",
                                          "newton_krylov(%s)",
                                          "adjoint_broyden(%s)",
                                          "picard(max: 2, tol: 1e-9) else broyden(%s)",
                                          "broyden(max: 2, tol: 1e-9) else anderson(%s)"};
    static const char *const ends[] = {"tol: 0, max: 4, return: last", "tol: 0, max: 5", "tol: 1e-2, max: 30"};
    for (int bits = 32; bits <= 64; bits += 32)
        for (size_t s = 0; s < sizeof forward / sizeof *forward; s++)
            for (size_t e = 0; e < sizeof ends / sizeof *ends; e++) {
                char text[128];
                snprintf(text, sizeof text, forward[s], ends[e]);
                for (int absolute = 0; absolute < 2; absolute++) {
                    bench b = bench_new(bits, CELL_TANH, 20, 7, 1.1);
                    bench_set(&b, text, "jfb");
                    b.settings.forward.absolute = b.settings.forward.then[0].absolute = absolute;
                    bench_plan(&b);
                    b.worker->request.measures = true;
                    bench_solve_rows(&b, 0, b.n, false);
                    for (int64_t row = 0; row < b.n; row++) {
                        const double found = (double)b.worker->residual[row], right = residual_by(&b, row, absolute);
                        if (fabs(found - right) > (bits == 32 ? 3e-6 : 1e-7) + 1e-6 * right)
                            fail_msg("%s, row %d: %.9g, not %.9g", text, (int)row, found, right);
                    }
                    bench_free(&b);
                }
            }
}

static void test_nan_stays_with_its_example(void **state) {
    (void)state;
    static const char *const forward[] = {"picard", "anderson", "broyden"};
    for (int bits = 32; bits <= 64; bits += 32)
        for (int s = 0; s < 3; s++) {
            bench b = bench_new(bits, CELL_NAN, 3, 4, 0);
            for (int i = 0; i < 12; i++)
                put(&b, b.rest, i / 3, i % 3, i / 3 == 1 ? -1 : 1); /* f(0) is finite, f(z_1) not */
            bench_solve(&b, forward[s], "jfb", false);
            assert_int_equal(b.worker->forward.diverged, 1);
            assert_int_equal(b.worker->forward.unconverged, 1);
            for (int i = 0; i < 12; i++) /* z_1 = f(0) is the last finite state; it was not certified under Broyden */
                if (i / 3 != 1)
                    assert_true(fabs(get(&b, b.z, i / 3, i % 3) - 2) < 1e-3);
                else
                    assert_true(get(&b, b.z, 1, i % 3) == (s == 2 ? 0 : -1));
            bench_free(&b);
        }
}

static void test_on_fail(void **state) {
    (void)state;
    bench b = bench_new(64, CELL_TANH, 20, 5, 0.9);
    b.settings.on_fail = DEQ_STOP;
    bench_solve(&b, "picard(tol: 1e-9, max: 3)", "implicit(gmres(max: 40))", true);
    assert_int_equal(b.worker->error.failure, DEQ_NOT_CONVERGED);
    assert_non_null(strstr(b.worker->error.text, "Test_cell"));
    assert_non_null(strstr(b.worker->error.text, "max_steps"));
    char worst[40];
    snprintf(worst, sizeof worst, "example %d", (int)b.worker->forward.worst_example);
    assert_non_null(strstr(b.worker->error.text, worst));
    /* Rows 1 .. 4 get harder inputs, so a middle tolerance splits them; the cotangent of the failed is cut. */
    b.settings.on_fail = DEQ_ZERO_GRADIENT;
    bench_solve(&b, "picard(tol: 0.02, max: 4)", "implicit(gmres(max: 40))", true);
    int64_t failed = b.worker->forward.unconverged;
    assert_true(failed > 0 && failed < 5);
    bench_gradient_rows(&b, 0, 5);
    for (int row = 0; row < 5; row++) {
        double sum = 0;
        for (int k = 0; k < 20; k++) sum += fabs(get(&b, b.drest, row, k));
        assert_true((sum == 0) == b.worker->kept[0].failed[row]);
        failed -= sum == 0;
    }
    assert_int_equal(failed, 0);
    bench_free(&b);
}

static void test_stagnation_at_the_rounding_floor(void **state) {
    (void)state;
    bench b = bench_new(32, CELL_TANH, 20, 3, 0.9);
    bench_solve(&b, "anderson(tol: 1e-14, max: 5000)", "jfb", false);
    assert_int_equal(b.worker->forward.diverged, 0);
    for (int i = 0; i < 3; i++) assert_true(b.worker->steps[i] < 200 && residual_of(&b, i) < 1e-5);
    bench_free(&b);
}

/* ---- gradients ---- */

/* (I - J')^-1 u through c, at the state in z (a state after the solve: J is taken where the mode took it). */
static void dense_gradient(const bench *b, int64_t row, const double *z, double *out) {
    double J[CELL_MOST * CELL_MOST], D[CELL_MOST], to[CELL_MOST + 32], a[CELL_MOST * CELL_MOST];
    record_f64 s = {.kind = CELL_TANH, .d = b->d};
    double c[CELL_MOST];
    for (int i = 0; i < b->d * b->d; i++) s.W[i] = weight(b, i / b->d, i % b->d);
    for (int i = 0; i < b->d; i++) c[i] = get(b, b->rest, row, i);
    cell_f64(&s, z, c, to, J, D);
    for (int i = 0; i < b->d; i++) {
        for (int k = 0; k < b->d; k++) a[i * b->d + k] = (i == k) - J[k * b->d + i];
        out[i] = get(b, b->u, row, i);
    }
    dense_solve(b->d, a, out);
    for (int i = 0; i < b->d; i++) out[i] *= D[i];
}

static void test_implicit_is_the_dense_solve(void **state) {
    (void)state;
    static const char *const adjoint[] = {
        "picard", "anderson", "anderson(damping: 0.9, memory: 8)", "broyden", "broyden(step: 0.9)", "gmres", "neumann"};
    for (int bits = 32; bits <= 64; bits += 32)
        for (int s = 0; s < 7; s++) {
            bench b = bench_new(bits, CELL_TANH, 16, 7, 0.9);
            double tol = bits == 32 ? 2e-6 : 1e-12;
            bench_set(&b, "broyden(max: 200)", "jfb");
            b.settings.forward.tol = tol;
            b.settings.gradient.kind = DEQ_MODE_implicit;
            deq_error e = {0};
            assert_true(deq_solver_parse(adjoint[s], true, &b.settings.gradient.adjoint, &e));
            b.settings.gradient.adjoint.tol = tol;
            b.settings.gradient.adjoint.max = 300;
            bench_plan(&b);
            bench_solve_rows(&b, 0, b.n, true);
            bench_gradient_rows(&b, 0, b.n);
            assert_int_equal(b.worker->adjoint.unconverged, 0);
            double sums[CELL_MOST] = {0};
            for (int64_t row = 0; row < b.n; row++) {
                double z[CELL_MOST] = {0}, want[CELL_MOST];
                for (int k = 0; k < b.d; k++) z[k] = get(&b, b.z, row, k);
                dense_gradient(&b, row, z, want);
                for (int k = 0; k < b.d; k++) {
                    double got = get(&b, b.drest, row, k);
                    if (!(fabs(got - want[k]) < 100 * tol * (1 + fabs(want[k]))))
                        fail_msg("%d bits, %s, row %d: %.12g, expected %.12g", bits, adjoint[s], (int)row, got,
                                 want[k]);
                    sums[k] += want[k] * z[0];
                }
            }
            for (int k = 0; k < b.d; k++) { /* dW[k][0] = sum over examples of dc[k] z[0] */
                double got = bits == 32 ? (double)((float *)b.accum)[k * b.d] : ((double *)b.accum)[k * b.d];
                assert_true(fabs(got - sums[k]) < 1000 * tol * (1 + fabs(sums[k])));
            }
            bench_free(&b);
        }
}

static void test_cosine_derivative(void **state) {
    (void)state;
    bench b = bench_new(64, CELL_COSINE, 1, 4, 0);
    for (int i = 0; i < 4; i++) put(&b, b.rest, i, 0, 0.1 * i), put(&b, b.u, i, 0, 1);
    bench_solve(&b, "broyden(tol: 1e-13, max: 60)", "implicit(gmres(tol: 1e-13))", true);
    bench_gradient_rows(&b, 0, 4);
    assert_true(fabs(get(&b, b.z, 0, 0) - 0.7390851332151607) < 1e-12);
    for (int i = 0; i < 4; i++) assert_true(fabs(get(&b, b.drest, i, 0) - 1 / (1 + sin(get(&b, b.z, i, 0)))) < 1e-11);
    bench_free(&b);
}

static void test_jfb_is_one_plain_phantom_step(void **state) {
    (void)state;
    for (int bits = 32; bits <= 64; bits += 32) {
        bench b = bench_new(bits, CELL_TANH, 20, 7, 1.1), c = bench_new(bits, CELL_TANH, 20, 7, 1.1);
        bench_solve(&b, "broyden(tol: 1e-3)", "jfb", true);
        bench_gradient_rows(&b, 0, 7);
        bench_solve(&c, "broyden(tol: 1e-3)", "phantom.unroll(steps: 1, damping: 1)", true);
        bench_gradient_rows(&c, 0, 7);
        assert_memory_equal(b.z, c.z, (size_t)(7 * b.stride));
        assert_memory_equal(b.drest, c.drest, (size_t)(7 * b.stride));
        assert_memory_equal(b.accum, c.accum, (size_t)(b.d * b.d) * (size_t)bits / 8);
        bench_free(&b), bench_free(&c);
    }
}

/* u . z_k after k damped steps from `start` under input c + h direction. */
static double unrolled(const bench *b, int64_t row, const double *start, int steps, double damping, int which,
                       double h) {
    double z[CELL_MOST] = {0}, f[CELL_MOST], sum = 0;
    bench c = *b;
    put(&c, c.rest, row, which, get(b, b->rest, row, which) + h);
    memcpy(z, start, sizeof z);
    for (int t = 0; t < steps; t++) {
        cell_apply(&c, row, z, f);
        for (int k = 0; k < b->d; k++) z[k] = (1 - damping) * z[k] + damping * f[k];
    }
    put(&c, c.rest, row, which, get(b, b->rest, row, which) - h);
    for (int k = 0; k < b->d; k++) sum += get(b, b->u, row, k) * z[k];
    return sum;
}

static void test_unrolled_modes_are_derivatives_of_what_they_compute(void **state) {
    (void)state;
    static const struct {
        const char *forward, *gradient;
        bool from_zero;
        int steps;
        double damping;
    } cases[] = {{"broyden(tol: 0, max: 3)", "phantom.unroll(steps: 5, damping: 0.5)", false, 5, 0.5},
                 {"broyden(tol: 0, max: 3)", "phantom.unroll(steps: 3, damping: 1)", false, 3, 1},
                 {"picard(tol: 0, max: 6)", "backprop", true, 6, 1},
                 {"picard(tol: 0, max: 6, damping: 0.7)", "backprop", true, 6, 0.7},
                 {"picard(tol: 0.05, max: 30)", "backprop", true, -1, 1}}; /* examples end at different steps */
    for (int s = 0; s < 5; s++) {
        bench b = bench_new(64, CELL_TANH, 8, 6, 1.1);
        bench_solve(&b, cases[s].forward, "jfb", false);
        double start[6][CELL_MOST] = {{0}};
        for (int row = 0; row < 6; row++)
            for (int k = 0; k < b.d && !cases[s].from_zero; k++) start[row][k] = get(&b, b.z, row, k);
        b.settings.finish.kind = DEQ_FINISH_trained; /* the mode's own steps make the value */
        bench_solve(&b, cases[s].forward, cases[s].gradient, true);
        bench_gradient_rows(&b, 0, 6);
        for (int row = 0; row < 6; row++) {
            int steps = cases[s].steps < 0 ? (int)b.worker->steps[row] : cases[s].steps;
            double value = 0;
            for (int k = 0; k < b.d; k++) value += get(&b, b.u, row, k) * get(&b, b.z, row, k);
            assert_true(fabs(value - unrolled(&b, row, start[row], steps, cases[s].damping, 0, 0)) < 1e-12);
            for (int k = 0; k < b.d; k++) {
                double up = unrolled(&b, row, start[row], steps, cases[s].damping, k, 1e-5);
                double down = unrolled(&b, row, start[row], steps, cases[s].damping, k, -1e-5);
                assert_true(fabs((up - down) / 2e-5 - get(&b, b.drest, row, k)) < 1e-8);
            }
        }
        bench_free(&b);
    }
}

static void test_backprop_of_a_converged_iteration_is_implicit(void **state) {
    (void)state;
    bench b = bench_new(64, CELL_TANH, 12, 5, 0.9), c = bench_new(64, CELL_TANH, 12, 5, 0.9);
    bench_solve(&b, "picard(tol: 1e-14, max: 200)", "backprop", true);
    bench_gradient_rows(&b, 0, 5);
    bench_solve(&c, "broyden(tol: 1e-14, max: 200)", "implicit(gmres(tol: 1e-14, max: 40))", true);
    bench_gradient_rows(&c, 0, 5);
    for (int i = 0; i < 60; i++)
        assert_true(fabs(get(&b, b.drest, i / 12, i % 12) - get(&c, c.drest, i / 12, i % 12)) < 1e-10);
    bench_free(&b), bench_free(&c);
}

/* The adjoint is linear: neither tiny nor huge cotangents, nor their squares, are lost in f32. */
static void test_gradient_scales_with_its_cotangent(void **state) {
    (void)state;
    static const char *const adjoint[] = {"implicit(picard)", "implicit(anderson)", "implicit(broyden)",
                                          "implicit(gmres)", "implicit(neumann)"};
    for (int s = 0; s < 5; s++) {
        bench b = bench_new(32, CELL_TANH, 16, 3, 0.9), c = bench_new(32, CELL_TANH, 16, 3, 0.9);
        for (int k = 0; k < 16; k++) { /* row 0 as it is, row 1 tiny, row 2 zero */
            put(&c, c.u, 0, k, get(&b, b.u, 0, k));
            put(&c, c.u, 1, k, get(&b, b.u, 1, k) * 0x1p-90);
            put(&c, c.u, 2, k, 0);
        }
        bench_solve(&b, "broyden", adjoint[s], true);
        bench_gradient_rows(&b, 0, 3);
        bench_solve(&c, "broyden", adjoint[s], true);
        bench_gradient_rows(&c, 0, 3);
        for (int k = 0; k < 16; k++) {
            assert_true(get(&c, c.drest, 0, k) == get(&b, b.drest, 0, k));
            assert_true(get(&c, c.drest, 1, k) == get(&b, b.drest, 1, k) * 0x1p-90);
            assert_true(get(&c, c.drest, 2, k) == 0);
        }
        assert_int_equal(c.worker->adjoint.unconverged, 0);
        bench_free(&b), bench_free(&c);
    }
}

static void test_backprop_needs_picard(void **state) {
    (void)state;
    bench b = bench_new(32, CELL_TANH, 4, 1, 0.9);
    bench_set(&b, "broyden", "backprop");
    const deq_fixed_settings *settings[1] = {&b.settings};
    deq_error e = {0};
    b.worker = deq_worker_new(32, BLOCK, &b.fixed, 1);
    assert_false(deq_worker_plan(b.worker, settings, 1, false, &e));
    assert_int_equal(e.failure, DEQ_SETTING);
    bench_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_solvers_reach_the_fixed_point),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_broyden_is_equation_8),
        cmocka_unit_test(test_broyden_ends_within_2d_steps_on_linear),
        cmocka_unit_test(test_kinsol_example),
        cmocka_unit_test(test_rotation_under_anderson),
        cmocka_unit_test(test_alone_and_together_same_bits),
        cmocka_unit_test(test_best_state_is_returned),
        cmocka_unit_test(test_listening_changes_nothing),
        cmocka_unit_test(test_divergence_is_a_reason),
        cmocka_unit_test(test_a_growing_state_is_no_convergence),
        cmocka_unit_test(test_growth_is_a_setting),
        cmocka_unit_test(test_squares_beyond_f32),
        cmocka_unit_test(test_the_residual_is_that_of_the_state),
        cmocka_unit_test(test_nan_stays_with_its_example),
        cmocka_unit_test(test_on_fail),
        cmocka_unit_test(test_stagnation_at_the_rounding_floor),
        cmocka_unit_test(test_implicit_is_the_dense_solve),
        cmocka_unit_test(test_cosine_derivative),
        cmocka_unit_test(test_jfb_is_one_plain_phantom_step),
        cmocka_unit_test(test_unrolled_modes_are_derivatives_of_what_they_compute),
        cmocka_unit_test(test_backprop_of_a_converged_iteration_is_implicit),
        cmocka_unit_test(test_gradient_scales_with_its_cotangent),
        cmocka_unit_test(test_backprop_needs_picard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
