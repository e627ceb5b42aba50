/* test_modes.c - every gradient mode on the tanh cell, against dense linear algebra, differences, and each other. */
#include "mode_bench.h"
#include "hand.h"

/* ---- one linearisation, and steps after the state ---- */

static void test_one_step_is_jfb(void **state) {
    (void)state;
    static const char *const modes[] = {"phantom.unroll(steps: 1, damping: 1)", "phantom.neumann(steps: 1, damping: 1)",
                                        "phantom.unroll(steps: 0001, damping: 1, undamped_first: false)"};
    for (int bits = 32; bits <= 64; bits += 32)
        for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
            bench b = mode_bench_new(bits, CELL_TANH, 20, 7, 1.1), c = mode_bench_new(bits, CELL_TANH, 20, 7, 1.1);
            bench_run(&b, "broyden(tol: 1e-3)", "jfb");
            bench_run(&c, "broyden(tol: 1e-3)", modes[m]);
            assert_memory_equal(b.z, c.z, (size_t)(7 * b.stride));
            assert_memory_equal(b.drest, c.drest, (size_t)(7 * b.stride));
            assert_memory_equal(b.accum, c.accum, (size_t)(b.d * b.d) * (size_t)bits / 8);
            bench_free(&b), bench_free(&c);
        }
}

static void test_unroll_is_neumann_at_the_fixed_point(void **state) {
    (void)state;
    bench b = mode_bench_new(64, CELL_TANH, 30, 6, 1.4), c = mode_bench_new(64, CELL_TANH, 30, 6, 1.4);
    find_exact(&b);
    double before = 2, error = 0;
    for (int k = 1; k <= 256; k *= 4) {
        for (double damping = 0.5; damping <= 1; damping += 0.5) {
            bench_runf(&b, TIGHT, "phantom.unroll(steps: %d, damping: %g)", k, damping);
            bench_runf(&c, TIGHT, "phantom.neumann(steps: %d, damping: %g)", k, damping);
            assert_true(difference(&b, b.drest, c.drest) < 1e-12);
            for (int i = 0; i < b.d * b.d; i++)
                assert_true(fabs(weight_gradient(&b, i) - weight_gradient(&c, i)) < 1e-11);
        }
        error = distance(&b, NULL);
        assert_true(error < before || error < 1e-13); /* falls with k until rounding is all that is left */
        before = error;
    }
    assert_true(error < 1e-11); /* both reach the implicit gradient */
    bench_free(&b), bench_free(&c);
}

/* One more, undamped step is f applied before the damped ones. */
static void test_undamped_first(void **state) {
    (void)state;
    bench b = mode_bench_new(64, CELL_TANH, 12, 3, 1.2);
    bench_run(&b, "picard(tol: 0, max: 2)", "phantom.unroll(steps: 2, damping: 0.4, undamped_first: true)");
    const double h = 1e-6, shares[] = {1, 0.4, 0.4};
    for (int64_t row = 0; row < b.n; row++) {
        double start[CELL_MOST] = {0}, f[CELL_MOST];
        for (int t = 0; t < 2; t++) apply(&b, row, start, f, NULL, NULL), memcpy(start, f, sizeof f);
        for (int k = 0; k < b.d; k++) {
            double value[2], kept = get(&b, b.rest, row, k);
            for (int side = 0; side < 2; side++) {
                double z[CELL_MOST];
                memcpy(z, start, sizeof z);
                put(&b, b.rest, row, k, kept + (side ? h : -h));
                for (int t = 0; t < 3; t++) {
                    apply(&b, row, z, f, NULL, NULL);
                    for (int i = 0; i < b.d; i++) z[i] = (1 - shares[t]) * z[i] + shares[t] * f[i];
                }
                value[side] = loss_of(row, z, b.d);
            }
            put(&b, b.rest, row, k, kept);
            assert_true(fabs((value[1] - value[0]) / (2 * h) - get(&b, b.drest, row, k)) < 1e-7);
        }
    }
    bench_free(&b);
}

static void test_exact_modes_agree(void **state) {
    (void)state;
    static const char *const modes[] = {"implicit(gmres(tol: 1e-13, max: 60))",
                                        "implicit(bicgstab(tol: 1e-13, max: 60))",
                                        "implicit(lu())",
                                        "implicit(picard(tol: 1e-13, max: 400))",
                                        "implicit(anderson(tol: 1e-13, max: 200))",
                                        "implicit(broyden(tol: 1e-13, max: 100))",
                                        "implicit(neumann(tol: 1e-13, max: 400))",
                                        "backprop",
                                        "backprop(checkpoint: 1)",
                                        "backprop(checkpoint: 7)",
                                        "backprop(checkpoint: 4000)"};
    bench b = mode_bench_new(64, CELL_TANH, 30, 6, 1.4);
    find_exact(&b);
    double first[CELL_MOST * CELL_MOST];
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        bench_run(&b, "picard(tol: 1e-14, max: 400)", modes[m]);
        if (!(distance(&b, NULL) < 1e-10)) fail_msg("%s: %g", modes[m], distance(&b, NULL));
        for (int i = 0; i < b.d * b.d; i++) {
            if (m == 0) first[i] = weight_gradient(&b, i);
            assert_true(fabs(weight_gradient(&b, i) - first[i]) < 1e-9);
        }
        assert_int_equal(b.worker->adjoint.unconverged, 0);
    }
    bench_free(&b);
}

/* No contraction: series diverge, linear algebra does not. */
static void test_linear_solvers_beyond_contractions(void **state) {
    (void)state;
    for (int bits = 32; bits <= 64; bits += 32) {
        double tol = bits == 32 ? 1e-4 : 1e-10;
        double gain = bits == 32 ? 2.5 : 4;
        bench b = mode_bench_new(64, CELL_TANH, 23, 5, gain), s = mode_bench_new(32, CELL_TANH, 23, 5, gain);
        bench *now = bits == 32 ? &s : &b;
        static const char *const modes[] = {"implicit(lu)", "implicit(bicgstab(tol: %g, max: 200))",
                                            "implicit(gmres(tol: %g, max: 200))"};
        for (int m = 0; m < 3; m++) {
            char text[96];
            snprintf(text, sizeof text, modes[m], tol / 100);
            bench_run(now, bits == 32 ? "broyden(tol: 1e-5, max: 200)" : "broyden(tol: 1e-13, max: 200)", text);
            assert_int_equal(now->worker->forward.unconverged, 0);
            assert_int_equal(now->worker->adjoint.diverged, 0);
            for (int64_t row = 0; row < 5; row++) {
                double z[CELL_MOST], want[CELL_MOST], norm = 0, apart = 0;
                for (int k = 0; k < b.d; k++) z[k] = get(now, now->z, row, k);
                exact_at(&b, row, z, want);
                for (int k = 0; k < b.d; k++)
                    apart += pow(want[k] - get(now, now->drest, row, k), 2), norm += want[k] * want[k];
                if (!(sqrt(apart / norm) < (bits == 32 ? 2e-2 : 1e-7)))
                    fail_msg("%d bits, %s, row %d: %g", bits, text, (int)row, sqrt(apart / norm));
            }
        }
        bench_free(&b), bench_free(&s);
    }
}

/* (I - J') u = g without a solution: J = I. */
static void test_singular_adjoint_is_named(void **state) {
    (void)state;
    bench b = mode_bench_new(64, CELL_LINEAR, 4, 2, 0);
    for (int k = 0; k < 4; k++) ((record_f64 *)b.shared)->W[k * 4 + k] = 1;
    static const char *const adjoint[] = {"lu", "bicgstab", "gmres"};
    for (int m = 0; m < 3; m++) {
        bench_runf(&b, "picard(tol: 0, max: 1)", "implicit(%s)", adjoint[m]);
        assert_int_equal(b.worker->adjoint.unconverged, 2);
        assert_true(b.worker->adjoint.worst_residual >= 0.49);
        for (int64_t row = 0; row < 2; row++)
            for (int k = 0; k < 4; k++) assert_true(isfinite(get(&b, b.drest, row, k)));
    }
    bench_free(&b);
}

/* ---- the simultaneous adjoint ---- */

/* Eq. 7-11 with the dense B; `transposed` as Eq. 10 needs it.  dc of state N (lag or lead); the error of u_N. */
static double dense_simultaneous(const bench *b, int64_t row, int N, double alpha, double beta, bool transposed,
                                 bool lead, double *dc) {
    int d = b->d;
    double B[CELL_MOST][CELL_MOST] = {{0}}, z[CELL_MOST] = {0}, u[CELL_MOST] = {0}, f[CELL_MOST], g[CELL_MOST];
    double J[CELL_MOST * CELL_MOST], D[CELL_MOST + 32], L[CELL_MOST], v[CELL_MOST];
    for (int i = 0; i < d; i++) B[i][i] = -1;
    for (int n = 0;; n++) {
        apply(b, row, z, f, J, D);
        loss_slope(row, z, d, L);
        for (int i = 0; i < d; i++) {
            g[i] = f[i] - z[i];
            v[i] = L[i] - u[i];
            for (int k = 0; k < d; k++) v[i] += J[k * d + i] * u[k];
        }
        if (n == N && !lead) break;
        double s[CELL_MOST] = {0}, y[CELL_MOST], By[CELL_MOST] = {0}, sB[CELL_MOST] = {0}, den = 0;
        for (int i = 0; i < d; i++)
            for (int k = 0; k < d; k++) u[i] -= beta * (transposed ? B[k][i] : B[i][k]) * v[k];
        if (n == N) break;
        for (int i = 0; i < d; i++)
            for (int k = 0; k < d; k++) s[i] -= alpha * B[i][k] * g[k];
        for (int i = 0; i < d; i++) z[i] += s[i];
        apply(b, row, z, f, NULL, NULL);
        for (int i = 0; i < d; i++) y[i] = f[i] - z[i] - g[i];
        for (int i = 0; i < d; i++)
            for (int k = 0; k < d; k++) By[i] += B[i][k] * y[k], sB[k] += s[i] * B[i][k];
        for (int i = 0; i < d; i++) den += s[i] * By[i];
        double size = 0;
        for (int i = 0; i < d; i++) size += s[i] * s[i];
        for (int i = 0; i < d; i++)
            for (int k = 0; size > 1e-28 && k < d; k++) B[i][k] += (s[i] - By[i]) / den * sB[k];
    }
    double norm = 0, apart = 0, star[CELL_MOST];
    for (int k = 0; k < d; k++) dc[k] = D[k] * u[k];
    exact_at(b, row, z, star);
    for (int k = 0; k < d; k++) apart += pow(dc[k] - star[k], 2), norm += star[k] * star[k];
    return sqrt(apart / norm);
}

static void test_simultaneous_is_the_papers_recursion(void **state) {
    (void)state;
    for (int lead = 0; lead < 2; lead++)
        for (double alpha = 1; alpha > 0.5; alpha -= 0.3)
            for (int N = 1; N <= 8; N++) {
                bench b = mode_bench_new(64, CELL_TANH, 20, 4, 1.5);
                char forward[96];
                /* the last state may be the last step, and need not be */
                snprintf(forward, sizeof forward, "broyden(tol: 1e-2, step: %g, max: %d)", alpha, N % 2 ? N : 40);
                bench_runf(&b, forward, "simultaneous(states: %d, beta: 0.5, pair: %s)", N, lead ? "lead" : "lag");
                for (int64_t row = 0; row < b.n; row++) {
                    double dc[CELL_MOST];
                    dense_simultaneous(&b, row, N, alpha, 0.5, true, lead, dc);
                    for (int k = 0; k < b.d; k++)
                        if (!(fabs(dc[k] - get(&b, b.drest, row, k)) < 1e-10))
                            fail_msg("state %d, %s, step %g: %g, expected %g", N, lead ? "lead" : "lag", alpha,
                                     get(&b, b.drest, row, k), dc[k]);
                }
                bench_free(&b);
            }
}

static void test_simultaneous_converges(void **state) {
    (void)state;
    bench b = mode_bench_new(64, CELL_TANH, 30, 6, 1.5);
    find_exact(&b);
    for (double beta = 0.25; beta <= 1; beta *= 2) {
        double before = 1e9;
        for (int N = 8; N <= 128; N *= 2) {
            bench_runf(&b, "broyden(tol: 1e-3, max: 128)", "simultaneous(states: %d, beta: %g)", N, beta);
            double error = distance(&b, NULL);
            if (!(error < before || error < 1e-12)) fail_msg("beta %g, state %d: %g after %g", beta, N, error, before);
            before = error;
        }
        if (!(before < (beta < 0.5 ? 1e-5 : 1e-9))) fail_msg("beta %g: %g", beta, before);
        assert_int_equal(b.worker->adjoint.unconverged, 0);
    }
    bench_free(&b);
    /* At N = 120 the transposed recursion has converged, the untransposed one has blown up. */
    bench c = mode_bench_new(64, CELL_TANH, 30, 6, 2);
    find_exact(&c);
    double dc[CELL_MOST], right = 0, wrong = 0;
    for (int64_t row = 0; row < c.n; row++) {
        right = fmax(right, dense_simultaneous(&c, row, 120, 1, 0.5, true, false, dc));
        wrong = fmax(wrong, dense_simultaneous(&c, row, 120, 1, 0.5, false, false, dc));
    }
    bench_run(&c, "broyden(tol: 1e-3, max: 120)", "simultaneous(states: 120)");
    assert_true(distance(&c, NULL) < 1e-10);
    assert_true(right < 1e-10);
    assert_true(wrong > 1e3);
    bench_free(&c);
}

/* Far beyond the end of the solve states are equal but for rounding, of which B must learn nothing. */
static void test_simultaneous_stays_converged(void **state) {
    (void)state;
    double most = 0;
    for (int d = 6; d <= 30; d += 2) {
        bench b = mode_bench_new(64, CELL_TANH, d, 6, 0.5);
        find_exact(&b);
        for (int N = 100; N <= 400; N += 100) {
            bench_runf(&b, "broyden(tol: 1e-14, max: 400)", "simultaneous(states: %d, beta: 0.9)", N);
            most = fmax(most, distance(&b, NULL));
        }
        bench_free(&b);
    }
    if (!(most < 1e-9)) fail_msg("the adjoint state moved away by %g", most);
}

static void sum_states(bench *b, const char *forward, const char *mode, int first, int limit, const double *weights,
                       double *sums) {
    memset(sums, 0, BLOCK * CELL_MOST * sizeof *sums);
    for (int n = first; n < limit; n++) {
        char text[128];
        snprintf(text, sizeof text, mode, n);
        bench_run(b, forward, text);
        for (int64_t row = 0; row < b->n; row++)
            for (int k = 0; k < b->d; k++) sums[row * CELL_MOST + k] += weights[n - first] * get(b, b->drest, row, k);
    }
}

static void expect_rows(const bench *b, const double *want, double tolerance, const char *what) {
    for (int64_t row = 0; row < b->n; row++)
        for (int k = 0; k < b->d; k++)
            if (!(fabs(want[row * CELL_MOST + k] - get(b, b->drest, row, k)) < tolerance))
                fail_msg("%s: %.12g, expected %.12g", what, get(b, b->drest, row, k), want[row * CELL_MOST + k]);
}

/* One pass over the solve gives what one solve for each state gives, in the gradient of W as well. */
static void test_ensembles(void **state) {
    (void)state;
    static const struct {
        const char *one, *all;
        double weights[4];
    } cases[] = {
        {"simultaneous(states: %d)", "simultaneous(states: 2..6)", {.25, .25, .25, .25}},
        {"simultaneous(states: %d, pair: lead)", "simultaneous(states: 2..6, pair: lead)", {.25, .25, .25, .25}},
        {"simultaneous(states: %d)", "simultaneous(states: 2..6, combine: sum)", {1, 1, 1, 1}},
        {"simultaneous(states: %d)", "simultaneous(states: 2..6, combine: last)", {0, 0, 0, 1}},
        {"unrolled(from: %d, steps: 3)", "unrolled(from: 2..6, steps: 3)", {.25, .25, .25, .25}},
        {"unrolled(from: %d, damping: 1)", "unrolled(from: 2..6, weights: cumulative, damping: 1)", {.4, .3, .2, .1}}};
    for (size_t s = 0; s < sizeof cases / sizeof *cases; s++) {
        bench b = mode_bench_new(64, CELL_TANH, 20, 5, 1.4);
        double sums[BLOCK * CELL_MOST], weights[CELL_MOST * CELL_MOST] = {0};
        for (int n = 2; n < 6; n++) {
            bench_runf(&b, "broyden(max: 9)", cases[s].one, n);
            for (int i = 0; i < b.d * b.d; i++) weights[i] += cases[s].weights[n - 2] * weight_gradient(&b, i);
        }
        sum_states(&b, "broyden(max: 9)", cases[s].one, 2, 6, cases[s].weights, sums);
        cell_evaluations = 0;
        bench_run(&b, "broyden(max: 9)", cases[s].all);
        expect_rows(&b, sums, 1e-11, cases[s].all);
        for (int i = 0; i < b.d * b.d; i++) assert_true(fabs(weights[i] - weight_gradient(&b, i)) < 1e-10);
        bench_free(&b);
    }
}

/* ---- steps from states on the way ---- */

/* Broyden evaluates f at every state: the steps from there start with that evaluation, linearised, not with another. */
static void test_unrolled_shares_evaluations(void **state) {
    (void)state;
    bench b = mode_bench_new(64, CELL_TANH, 10, 4, 1.3);
    cell_evaluations = 0;
    bench_run(&b, "broyden(tol: 0, max: 8)", "unrolled(from: 1..9, steps: 5)");
    assert_int_equal(cell_evaluations, b.n); /* at z_0 */
    cell_evaluations = 0;
    bench_run(&b, "broyden(tol: 0, max: 8)", "unrolled(from: 3..5, steps: 5)");
    assert_int_equal(cell_evaluations, 7 * b.n); /* not at z_3 and z_4 */
    bench_free(&b);
}

static void test_unrolled_is_a_derivative(void **state) {
    (void)state;
    static const struct {
        const char *forward;
        int plain; /* of that many plain steps, the state; 0: another solver */
    } cases[] = {{"picard(tol: 1e-1, max: 20)", 3}, {"anderson(max: 12)", 0}, {"anderson(max: 12, damping: 0.7)", 0}};
    for (size_t s = 0; s < sizeof cases / sizeof *cases; s++) {
        bench b = mode_bench_new(64, CELL_TANH, 10, 4, 1.3);
        bench_run(&b, cases[s].forward, "unrolled(from: 3, steps: 4, damping: 0.6)");
        for (int64_t row = 0; row < b.n && cases[s].plain; row++) {
            double start[CELL_MOST] = {0}, f[CELL_MOST];
            for (int t = 0; t < cases[s].plain; t++) apply(&b, row, start, f, NULL, NULL), memcpy(start, f, sizeof f);
            for (int k = 0; k < b.d; k++) {
                double value[2], kept = get(&b, b.rest, row, k);
                for (int side = 0; side < 2; side++) {
                    double z[CELL_MOST];
                    memcpy(z, start, sizeof z);
                    put(&b, b.rest, row, k, kept + (side ? 1e-6 : -1e-6));
                    for (int t = 0; t < 4; t++) {
                        apply(&b, row, z, f, NULL, NULL);
                        for (int i = 0; i < b.d; i++) z[i] = 0.4 * z[i] + 0.6 * f[i];
                    }
                    value[side] = loss_of(row, z, b.d);
                }
                put(&b, b.rest, row, k, kept);
                assert_true(fabs((value[1] - value[0]) / 2e-6 - get(&b, b.drest, row, k)) < 1e-7);
            }
        }
        /* From any state the steps lead to the equilibrium, and the gradient to the implicit one. */
        find_exact(&b);
        for (int n = 1; n <= 7; n += 3) {
            double before = 1e9;
            for (int k = 1; k <= 256; k *= 4) {
                bench_runf(&b, cases[s].forward, "unrolled(from: %d, steps: %d, damping: 0.7)", n, k);
                double error = distance(&b, NULL);
                assert_true(error < before || error < 1e-11);
                before = error;
            }
            assert_true(before < 1e-11);
        }
        /* From a state the published code steps once undamped, then k times. */
        bench_run(&b, cases[s].forward, "unrolled(from: 2, steps: 3, damping: 1, undamped_first: true)");
        double more[BLOCK * CELL_MOST];
        for (int64_t row = 0; row < b.n; row++)
            for (int k = 0; k < b.d; k++) more[row * CELL_MOST + k] = get(&b, b.drest, row, k);
        bench_run(&b, cases[s].forward, "unrolled(from: 2, steps: 4, damping: 1)");
        expect_rows(&b, more, 1e-13, "an undamped step before three");
        bench_run(&b, cases[s].forward, "unrolled(from: 2, steps: 3, damping: 0.5, undamped_first: true)");
        for (int64_t row = 0; row < b.n && cases[s].plain; row++) {
            double z[CELL_MOST] = {0}, f[CELL_MOST], J[4][CELL_MOST * CELL_MOST], D[4][CELL_MOST + 32], g[CELL_MOST];
            const double share[] = {1, 0.5, 0.5, 0.5};
            double want[CELL_MOST] = {0};
            for (int t = 0; t < 2; t++) apply(&b, row, z, f, NULL, NULL), memcpy(z, f, sizeof f);
            for (int t = 0; t < 4; t++) {
                apply(&b, row, z, f, J[t], D[t]);
                for (int i = 0; i < b.d; i++) z[i] += share[t] * (f[i] - z[i]);
            }
            loss_slope(row, z, b.d, g);
            for (int t = 3; t >= 0; t--) {
                double before[CELL_MOST] = {0};
                for (int i = 0; i < b.d; i++) {
                    want[i] += share[t] * D[t][i] * g[i];
                    before[i] = (1 - share[t]) * g[i];
                    for (int k = 0; k < b.d; k++) before[i] += share[t] * J[t][k * b.d + i] * g[k];
                }
                memcpy(g, before, sizeof g);
            }
            for (int k = 0; k < b.d; k++) assert_true(fabs(want[k] - get(&b, b.drest, row, k)) < 1e-12);
        }
        bench_free(&b);
    }
}

/* The order of method.md 1.2: JFB is the crudest, more and better steps come nearer. */
static void test_order_of_the_modes(void **state) {
    (void)state;
    bench b = mode_bench_new(64, CELL_TANH, 30, 8, 1.5);
    find_exact(&b);
    static const char *const modes[] = {"jfb", "phantom.unroll(steps: 5, damping: 0.5)",
                                        "phantom.unroll(steps: 9, damping: 0.5)",
                                        "phantom.unroll(steps: 9, damping: 1)"};
    double before = 0, cosine;
    for (int m = 0; m < 4; m++) {
        bench_run(&b, TIGHT, modes[m]);
        distance(&b, &cosine);
        if (!(cosine > before)) fail_msg("%s: cosine %g after %g", modes[m], cosine, before);
        if (m == 0) assert_true(cosine > 0.6 && cosine < 0.97);
        if (m > 0) assert_true(cosine > 0.98);
        before = cosine;
    }
    bench_free(&b);
}

/* ---- what holds of every mode ---- */

static const struct {
    const char *forward, *gradient;
} every_mode[] = {{"broyden(tol: 1e-4, max: 30)", "implicit(gmres(tol: 1e-4))"},
                  {"broyden(tol: 1e-4, max: 30)", "implicit(bicgstab(tol: 1e-4))"},
                  {"broyden(tol: 1e-4, max: 30)", "implicit(lu)"},
                  {"anderson(tol: 1e-4, max: 30)", "phantom.unroll(steps: 4, undamped_first: true)"},
                  {"anderson(tol: 1e-4, max: 30)", "phantom.neumann(steps: 4)"},
                  {"anderson(tol: 1e-4, max: 30)", "jfb"},
                  {"broyden(tol: 1e-2, max: 30)", "simultaneous(states: 2..9)"},
                  {"broyden(tol: 1e-2, max: 30, memory: 4)", "simultaneous(states: 2..9, pair: lead)"},
                  {"anderson(tol: 1e-2, max: 30, damping: 0.9)", "unrolled(from: 1..5, steps: 3)"},
                  {"broyden(tol: 1e-2, max: 30)", "unrolled(from: 2..4, steps: 2, undamped_first: true)"},
                  {"broyden(tol: 1e-4, max: 30)", "shine"},
                  {"broyden(tol: 1e-4, max: 30, memory: 5)", "shine(refine: 3)"},
                  {"picard", "augmented(steps: 20)"},
                  {"picard(tol: 1e-2, max: 30)", "backprop"},
                  {"picard(tol: 1e-2, max: 30)", "backprop(checkpoint: 3)"}};
#define EVERY (sizeof every_mode / sizeof *every_mode)

/* By row: every f and every product with J or J' once, and nothing else: not the cotangent of the loss, which
 * simultaneous, unrolled, augmented and OPA's updates ask for on the way. */
static void expect_counts(const bench *b, const char *what) {
    int64_t evaluations = 0, products = 0;
    for (int64_t row = 0; row < BLOCK; row++) {
        evaluations += b->worker->counts[row].evaluations;
        products += b->worker->counts[row].products;
    }
    const int64_t made = cell_evaluations + cell_linearised;
    if (evaluations != made || evaluations != b->worker->forward.evaluations)
        fail_msg("%s: %d evaluations of f are counted, %d are made", what, (int)evaluations, (int)made);
    if (products != cell_products + cell_others)
        fail_msg("%s: %d products are counted, %d are made", what, (int)products, (int)(cell_products + cell_others));
}

static void test_costs_are_counted(void **state) {
    (void)state;
    static const struct {
        const char *forward, *gradient;
    } more[] = {{"newton_krylov(tol: 1e-4, max: 9)", "implicit(neumann(max: 5))"},
                {"adjoint_broyden(tol: 1e-4, max: 30)", "shine"},
                {"adjoint_broyden(tol: 1e-4, max: 30, opa: 2)", "shine"},
                {"picard", "augmented(steps: 4)"}};
    for (size_t m = 0; m < EVERY + sizeof more / sizeof *more; m++) {
        const char *forward = m < EVERY ? every_mode[m].forward : more[m - EVERY].forward;
        const char *gradient = m < EVERY ? every_mode[m].gradient : more[m - EVERY].gradient;
        bench b = mode_bench_new(64, CELL_TANH, 12, 5, 1.1);
        cell_evaluations = cell_linearised = cell_products = cell_others = 0;
        bench_run(&b, forward, gradient);
        expect_counts(&b, gradient);
        bench_free(&b);
    }
}

/* A gradient in C: what it asks of its fixed point is counted like what a mode of ours asks. */
#define ASKED_F 2
#define ASKED_J 3
#define ASKED_T 4
static int asks(const void *of) {
    const deq_gradient_call *call = of;
    double z[CELL_MOST] = {0.25}, out[CELL_MOST];
    for (int k = 0; k < ASKED_F; k++) call->f(call, z, out);
    for (int k = 0; k < ASKED_J; k++) call->jacobian(call, z, out);
    for (int k = 0; k < ASKED_T; k++) call->transposed(call, z, out);
    return 0;
}

static void test_a_gradient_in_c_is_counted(void **state) {
    (void)state;
    static const deq_gradient_definition definition = {
        .abi = DEQ_GRADIENT_ABI, .real_bits = 64, .signature = "state z[4]", .function = asks};
    static const deq_extern_field field = {.name = "z", .place = DEQ_AT_STATE, .elements = 4, .accum = -1};
    static const deq_hand hand = {
        .name = "asks",
        .in_c = {
            .name = "asks", .symbol = "asks", .definition = &definition, .fields = &field, .nfields = 1, .nwords = 2}};
    bench b = mode_bench_new(64, CELL_TANH, 4, 3, 1.1);
    bench_set(&b, "picard(tol: 0, max: 5)", "jfb");
    b.settings.gradient = (deq_mode){.kind = DEQ_MODE_hand, .hand = &hand};
    bench_plan(&b);
    cell_evaluations = cell_linearised = cell_products = cell_others = 0;
    bench_rows(&b, 0, b.n);
    assert_int_equal(b.worker->error.failure, DEQ_OK);
    expect_counts(&b, "a gradient in C");
    for (int64_t row = 0; row < b.n; row++) assert_int_equal(b.worker->counts[row].products, ASKED_J + ASKED_T);
    bench_free(&b);
}

static void test_batches_change_no_bit(void **state) {
    (void)state;
    for (size_t m = 0; m < EVERY; m++) {
        bench b = mode_bench_new(32, CELL_TANH, 21, BLOCK, 1.1), c = mode_bench_new(32, CELL_TANH, 21, BLOCK, 1.1);
        bench_run(&b, every_mode[m].forward, every_mode[m].gradient);
        bench_set(&c, every_mode[m].forward, every_mode[m].gradient);
        bench_plan(&c);
        for (int64_t row = 0; row < BLOCK; row++) bench_rows(&c, row, 1);
        for (int64_t row = 0; row < BLOCK; row++)
            for (int k = 0; k < b.d; k++) {
                if (get(&b, b.z, row, k) != get(&c, c.z, row, k))
                    fail_msg("%s: row %d has another state", every_mode[m].gradient, (int)row);
                if (get(&b, b.drest, row, k) != get(&c, c.drest, row, k))
                    fail_msg("%s: row %d has another gradient", every_mode[m].gradient, (int)row);
            }
        bench_free(&b), bench_free(&c);
    }
}

/* Some examples diverge or become NaN: the others are as without them, nothing is NaN, and the failure is counted. */
static void test_failures_are_named(void **state) {
    (void)state;
    static const cell_kind kinds[] = {CELL_SQUARE, CELL_NAN};
    for (size_t m = 0; m < EVERY; m++)
        for (int kind = 0; kind < 2; kind++)
            for (int cut = 0; cut < 2; cut++) {
                bench b = mode_bench_new(64, kinds[kind], 3, 5, 0), c = mode_bench_new(64, kinds[kind], 3, 3, 0);
                b.settings.on_fail = c.settings.on_fail = cut ? DEQ_ZERO_GRADIENT : DEQ_WARN;
                for (int64_t row = 0; row < 5; row++)
                    for (int k = 0; k < 3; k++) {
                        bool fails = row >= 3;
                        double value = fails ? (kind == 0 ? 3 : -1) : 0.1 + 0.03 * (double)row + 0.01 * k;
                        put(&b, b.rest, row, k, value);
                        if (!fails) put(&c, c.rest, row, k, value);
                    }
                bench_run(&b, every_mode[m].forward, every_mode[m].gradient);
                bench_run(&c, every_mode[m].forward, every_mode[m].gradient);
                if (b.worker->forward.unconverged < 2)
                    fail_msg("%s, cell %d: the failure is not counted", every_mode[m].gradient, kind);
                for (int64_t row = 0; row < 5; row++)
                    for (int k = 0; k < 3; k++) {
                        if (!isfinite(get(&b, b.drest, row, k)) || !isfinite(get(&b, b.z, row, k)))
                            fail_msg("%s, cell %d: row %d is not finite", every_mode[m].gradient, kind, (int)row);
                        if (row < 3 && get(&b, b.drest, row, k) != get(&c, c.drest, row, k))
                            fail_msg("%s, cell %d: row %d is another one's victim", every_mode[m].gradient, kind,
                                     (int)row);
                        if (row >= 3 && cut && get(&b, b.drest, row, k) != 0)
                            fail_msg("%s, cell %d: row %d is not cut", every_mode[m].gradient, kind, (int)row);
                    }
                for (int i = 0; i < 9; i++)
                    if (!isfinite(weight_gradient(&b, i)))
                        fail_msg("%s, cell %d: the gradient of W is not finite", every_mode[m].gradient, kind);
                bench_free(&b), bench_free(&c);
            }
}

/* The solve does not stop before the last state asked for, and stops after it as without the mode. */
static void test_states_are_reached(void **state) {
    (void)state;
    bench b = mode_bench_new(64, CELL_TANH, 10, 4, 0.5);
    bench_run(&b, "broyden(tol: 1e-1, max: 30)", "simultaneous(states: 6)");
    for (int i = 0; i < 4; i++) assert_true(b.worker->steps[i] == 6);
    assert_int_equal(b.worker->forward.unconverged, 0);
    assert_int_equal(b.worker->adjoint.solves, 4);
    assert_true(b.worker->adjoint.steps == 24);
    bench_run(&b, "anderson(tol: 1e-1, max: 30)", "unrolled(from: 2..8)");
    for (int i = 0; i < 4; i++) assert_true(b.worker->steps[i] == 7);
    bench_free(&b);
}

static void test_settings_that_do_not_fit(void **state) {
    (void)state;
    static const char *const bad[][3] = {
        {"anderson", "simultaneous(states: 2)", "needs the forward solver broyden, which is anderson"},
        {"picard", "shine", "needs the forward solver broyden"},
        {"broyden", "backprop(checkpoint: 2)", "needs the forward solver picard"},
        {"broyden(max: 8)", "simultaneous(states: 1..10)", "asks for state 9, but `forward: broyden` makes at most 8"},
        {"picard(max: 3)", "unrolled(from: 4)", "asks for state 4"}};
    bench b = mode_bench_new(64, CELL_TANH, 4, 1, 0.5);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        deq_error e = {0};
        assert_false(bench_try(&b, bad[i][0], bad[i][1], &e));
        assert_int_equal(e.failure, DEQ_SETTING);
        if (!strstr(e.text, bad[i][2])) fail_msg("%s", e.text);
    }
    deq_fixed first = *b.fixed;
    first.downstream = "Net_second";
    b.fixed = &first;
    static const char *const modes[] = {"simultaneous(states: 2)", "unrolled(from: 2)", "augmented"};
    for (int i = 0; i < 3; i++) {
        deq_error e = {0};
        assert_false(bench_try(&b, "broyden", modes[i], &e));
        if (!strstr(e.text, "Net_second reads its state")) fail_msg("%s", e.text);
    }
    bench_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_step_is_jfb),
        cmocka_unit_test(test_unroll_is_neumann_at_the_fixed_point),
        cmocka_unit_test(test_undamped_first),
        cmocka_unit_test(test_exact_modes_agree),
        cmocka_unit_test(test_linear_solvers_beyond_contractions),
        cmocka_unit_test(test_singular_adjoint_is_named),
        cmocka_unit_test(test_simultaneous_is_the_papers_recursion),
        cmocka_unit_test(test_simultaneous_converges),
        cmocka_unit_test(test_simultaneous_stays_converged),
        cmocka_unit_test(test_ensembles),
        cmocka_unit_test(test_unrolled_is_a_derivative),
        cmocka_unit_test(test_unrolled_shares_evaluations),
        cmocka_unit_test(test_order_of_the_modes),
        cmocka_unit_test(test_costs_are_counted),
        cmocka_unit_test(test_a_gradient_in_c_is_counted),
        cmocka_unit_test(test_batches_change_no_bit),
        cmocka_unit_test(test_failures_are_named),
        cmocka_unit_test(test_states_are_reached),
        cmocka_unit_test(test_settings_that_do_not_fit),
    };
    return cmocka_run_group_tests_name("modes", tests, NULL, NULL);
}
