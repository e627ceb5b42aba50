/* test_solver_options.c - Anderson by QR, its delay, restart and alternation; line searches; Newton-Krylov. */
#include "cell_bench.h"

static void record(bench *b, recording *r, const char *forward) {
    r->b = b;
    r->count = 0;
    bench_set(b, forward, "jfb");
    bench_plan(b);
    b->worker->request.stream = listen_to;
    b->worker->request.stream_context = r;
    bench_solve_rows(b, 0, b->n, false);
}

/* ---- Anderson ---- */

/* Anderson as its definition has it: the weights minimise norm(sum w g)^2 + ridge sum w^2 norm(g)^2, sum w = 1, found
 * from the conditions of a minimum.  z[n] is state n + 1. */
static void anderson_by_definition(const bench *b, int32_t row, int memory, int delay, int restart, int every,
                                   double ridge, double damping, int steps, double z[][CELL_MOST]) {
    static double x[64][CELL_MOST], g[64][CELL_MOST];
    int d = b->d;
    memset(x, 0, sizeof x);
    for (int n = 0; n < steps; n++) {
        double f[CELL_MOST];
        cell_apply(b, row, x[n], f);
        for (int k = 0; k < d; k++) g[n][k] = f[k] - x[n][k], z[n][k] = x[n][k] + damping * g[n][k];
        int step = n + 1, first = step <= delay ? step : delay + 1;
        if (step > delay && restart > 0) first += (step - first) / restart * restart;
        if (step - memory + 1 > first) first = step - memory + 1;
        if (step <= delay || (step - delay) % every) first = step;
        int m = step - first + 1;
        double a[4 * CELL_MOST * CELL_MOST] = {0}, w[2 * CELL_MOST] = {0}; /* [G 1; 1' 0] [w; l] = [0; 1] */
        for (int i = 0; i < m; i++)
            for (int j = 0; j < m; j++) {
                double dot = 0;
                for (int k = 0; k < d; k++) dot += g[first - 1 + i][k] * g[first - 1 + j][k];
                a[i * (m + 1) + j] = i == j ? dot * (1 + ridge) : dot;
            }
        for (int i = 0; i < m; i++) a[i * (m + 1) + m] = a[m * (m + 1) + i] = 1;
        w[m] = 1;
        dense_solve(m + 1, a, w);
        for (int k = 0; k < d; k++) x[n + 1][k] = 0;
        for (int i = 0; i < m; i++)
            for (int k = 0; k < d; k++) x[n + 1][k] += w[i] * z[first - 1 + i][k];
    }
}

static void test_anderson_is_its_definition(void **state) {
    (void)state;
    static const struct {
        int memory, delay, restart, every;
        double ridge, damping;
    } cases[] = {{5, 0, 0, 1, 1e-4, 1},   {5, 0, 0, 1, 1e-6, 1},   {5, 0, 0, 1, 1e-2, 0.6}, {5, 0, 0, 1, 1, 1},
                 {3, 0, 0, 1, 1e-3, 0.8}, {1, 0, 0, 1, 1e-4, 0.7}, {4, 3, 0, 1, 1e-4, 1},   {4, 0, 5, 1, 1e-4, 1},
                 {4, 2, 3, 1, 1e-4, 0.9}, {5, 0, 0, 3, 1e-4, 1},   {6, 1, 7, 2, 1e-4, 1}};
    static const char *const squares[] = {"gram", "qr"};
    for (size_t s = 0; s < sizeof cases / sizeof *cases; s++)
        for (int q = 0; q < 2; q++)
            for (int32_t row = 0; row < 3; row++) {
                bench b = bench_new(64, CELL_TANH, 12, 3, 1.4);
                static double want[64][CELL_MOST];
                static recording r;
                char text[256];
                r.row = row;
                snprintf(text, sizeof text,
                         "anderson(tol: 0, max: 12, least_squares: %s, memory: %d, delay: %d, restart: %d, every: %d, "
                         "ridge: %g, damping: %g)",
                         squares[q], cases[s].memory, cases[s].delay, cases[s].restart, cases[s].every, cases[s].ridge,
                         cases[s].damping);
                record(&b, &r, text);
                anderson_by_definition(&b, row, cases[s].memory, cases[s].delay, cases[s].restart, cases[s].every,
                                       cases[s].ridge, cases[s].damping, 12, want);
                assert_int_equal(r.count, 12);
                for (int n = 0; n < 12; n++)
                    for (int k = 0; k < b.d; k++)
                        if (!(fabs(r.z[n][k] - want[n][k]) < 1e-7 * (1 + fabs(want[n][k]))))
                            fail_msg("%s: state %d, element %d: %.12g, not %.12g", text, n + 1, k, r.z[n][k],
                                     want[n][k]);
                bench_free(&b);
            }
}

static void test_every_anderson_reaches_the_fixed_point(void **state) {
    (void)state;
    static const char *const forward[] = {"anderson(least_squares: qr, %s)",
                                          "anderson(least_squares: qr, ridge: 0, %s)",
                                          "anderson(least_squares: qr, ridge: 0, memory: 20, %s)",
                                          "anderson(least_squares: qr, memory: 1, %s)",
                                          "anderson(least_squares: qr, memory: 2, damping: 0.7, %s)",
                                          "anderson(delay: 4, %s)",
                                          "anderson(least_squares: qr, delay: 4, restart: 9, %s)",
                                          "anderson(restart: 6, %s)",
                                          "anderson(every: 5, %s)",
                                          "anderson(every: 10, memory: 8, %s)",
                                          "anderson(every: 3, least_squares: qr, %s)",
                                          "broyden(line_search: armijo, %s)",
                                          "broyden(line_search: armijo, memory: 4, step: 0.9, %s)",
                                          "adjoint_broyden(%s)",
                                          "adjoint_broyden(memory: 5, %s)",
                                          "newton_krylov(%s)",
                                          "newton_krylov(line_search: none, %s)",
                                          "newton_krylov(krylov: 4, %s)",
                                          "newton_krylov(forcing: 0.01, %s)"};
    for (int bits = 32; bits <= 64; bits += 32)
        for (size_t s = 0; s < sizeof forward / sizeof *forward; s++) {
            bench b = bench_new(bits, CELL_TANH, 20, 13, 0.9);
            char text[160];
            double tol = bits == 32 ? 1e-5 : 1e-11;
            snprintf(text, sizeof text, forward[s], bits == 32 ? "tol: 1e-5, max: 300" : "tol: 1e-11, max: 300");
            bench_solve(&b, text, "jfb", false);
            if (b.worker->forward.unconverged) fail_msg("%s: %d", text, (int)b.worker->forward.unconverged);
            for (int64_t row = 0; row < b.n; row++) {
                if (!(residual_of(&b, row) <= 2 * tol))
                    fail_msg("%s, row %d: %g", text, (int)row, residual_of(&b, row));
                assert_true(b.worker->residual[row] <= (float)tol);
            }
            bench_free(&b);
        }
}

/* Of states that all but depend on each other the Gram matrix knows no more than the square root of what rounding
 * leaves; the factorisation goes on to the floor. */
static void test_qr_is_as_accurate_as_rounding_allows(void **state) {
    (void)state;
    bench b = bench_new(64, CELL_LINEAR, 3, 2, 0);
    static const double decay[] = {0.9, 0.99, 0.999};
    for (int k = 0; k < 3; k++) set_weight(&b, k, k, decay[k]);
    bench_solve(&b, "anderson(least_squares: qr, memory: 10, ridge: 0, tol: 1e-13, max: 60, stop: absolute)", "jfb",
                false);
    assert_int_equal(b.worker->forward.unconverged, 0);
    for (int row = 0; row < 2; row++)
        for (int k = 0; k < 3; k++) {
            double want = get(&b, b.rest, row, k) / (1 - decay[k]);
            assert_true(fabs(get(&b, b.z, row, k) - want) < 1e-8 * fabs(want));
        }
    bench_free(&b);
}

static void test_rotations(void **state) {
    (void)state;
    static const char *const forward[] = {"anderson(memory: 10, ridge: 0, tol: 1e-5, max: %d)",
                                          "anderson(memory: 10, ridge: 0, least_squares: qr, tol: 1e-5, max: %d)",
                                          "newton_krylov(tol: 1e-5, max: %d)",
                                          "broyden(line_search: armijo, tol: 1e-5, max: %d)"};
    for (int bits = 32; bits <= 64; bits += 32)
        for (int turn = 1; turn <= 7; turn++)
            for (int s = 0; s < 4; s++) {
                bench b = bench_new(bits, CELL_LINEAR, 2, 3, 0);
                double angle = turn * 3.14159265358979323846 / 4; /* the last but one is a rotation by 3/2 pi */
                set_weight(&b, 0, 0, cos(angle)), set_weight(&b, 0, 1, -sin(angle));
                set_weight(&b, 1, 0, sin(angle)), set_weight(&b, 1, 1, cos(angle));
                char text[128];
                snprintf(text, sizeof text, forward[s], 50);
                bench_solve(&b, text, "jfb", false);
                if (b.worker->forward.unconverged) fail_msg("%s, turn %d", text, turn);
                for (int i = 0; i < 3; i++) assert_true(b.worker->steps[i] <= 9 && residual_of(&b, i) < 3e-5);
                if (s < 2) { /* far past convergence, where the system is singular */
                    snprintf(text, sizeof text, forward[s], 60);
                    bench_set(&b, text, "jfb");
                    b.settings.forward.tol = 0;
                    bench_plan(&b);
                    bench_solve_rows(&b, 0, b.n, false);
                    assert_int_equal(b.worker->forward.diverged, 0);
                    for (int i = 0; i < 3; i++) assert_true(residual_of(&b, i) < 1e-5);
                }
                bench_free(&b);
            }
}

/* Points that do not move: every difference is zero, every matrix singular. */
static void test_singular_systems_end_with_a_reason(void **state) {
    (void)state;
    static const char *const forward[] = {
        "anderson(ridge: 0, tol: 0, max: 30)", "anderson(ridge: 0, least_squares: qr, tol: 0, max: 30)",
        "broyden(tol: 0, max: 30)", "broyden(line_search: armijo, tol: 0, max: 30)", "newton_krylov(tol: 0, max: 30)"};
    for (int bits = 32; bits <= 64; bits += 32)
        for (int s = 0; s < 5; s++) {
            bench b = bench_new(bits, CELL_LINEAR, 4, 3, 0); /* W = 0: the first step is exact */
            bench_solve(&b, forward[s], "jfb", false);
            assert_int_equal(b.worker->forward.diverged, 0);
            for (int i = 0; i < 12; i++) assert_true(get(&b, b.z, i / 4, i % 4) == get(&b, b.rest, i / 4, i % 4));
            for (int k = 0; k < 4; k++) set_weight(&b, k, k, 1); /* W = I: z = z + c has no solution, I - J is 0 */
            bench_solve(&b, forward[s], "jfb", false);
            for (int i = 0; i < 12; i++) assert_true(isfinite(get(&b, b.z, i / 4, i % 4)));
            bench_set(&b, forward[s], "jfb");
            b.settings.forward.tol = 1e-6;
            b.settings.forward.absolute = true; /* the relative residual falls as z goes to infinity */
            bench_plan(&b);
            bench_solve_rows(&b, 0, b.n, false);
            if (b.worker->forward.unconverged != 3)
                fail_msg("%d bits, %s: converged to %g", bits, forward[s], get(&b, b.z, 0, 0));
            for (int i = 0; i < 12; i++) assert_true(isfinite(get(&b, b.z, i / 4, i % 4)));
            bench_free(&b);
        }
}

/* ---- line search ---- */

/* Each step is a share 1, 1/2, 1/4, .. of -B_n g_n, and the dense B keeps the secant condition. */
static void test_broyden_with_line_search_is_equation_8(void **state) {
    (void)state;
    int shortened = 0;
    for (int32_t row = 0; row < 6; row++) {
        bench b = bench_new(64, CELL_TANH, 12, 6, 4.0);
        static recording r;
        r.row = row;
        record(&b, &r, "broyden(tol: 0, max: 12, line_search: armijo)");
        int d = b.d;
        double B[CELL_MOST][CELL_MOST] = {{0}}, z[CELL_MOST] = {0}, g[CELL_MOST], f[CELL_MOST];
        for (int i = 0; i < d; i++) B[i][i] = -1;
        cell_apply(&b, row, z, f);
        for (int i = 0; i < d; i++) g[i] = f[i] - z[i];
        for (int n = 0; n < 12; n++) {
            double s[CELL_MOST] = {0}, y[CELL_MOST], By[CELL_MOST] = {0}, sB[CELL_MOST] = {0}, den = 0, up = 0,
                   down = 0, before = 0, after = 0;
            for (int i = 0; i < d; i++)
                for (int k = 0; k < d; k++) s[i] -= B[i][k] * g[k];
            for (int i = 0; i < d; i++) up += (r.z[n][i] - z[i]) * s[i], down += s[i] * s[i];
            double alpha = exp2(round(log2(up / down))), size = 0;
            assert_true(alpha <= 1 && alpha >= 1.0 / 1024);
            for (int i = 0; i < d; i++) s[i] *= alpha, size += fabs(s[i]);
            for (int i = 0; i < d; i++) assert_true(fabs(z[i] + s[i] - r.z[n][i]) < 1e-9 * (1 + size));
            memcpy(z, r.z[n], sizeof z); /* what follows is not to add up */
            cell_apply(&b, row, z, f);
            for (int i = 0; i < d; i++) before += g[i] * g[i];
            for (int i = 0; i < d; i++) y[i] = f[i] - z[i] - g[i], g[i] = f[i] - z[i];
            for (int i = 0; i < d; i++) after += g[i] * g[i];
            shortened += alpha < 1;
            if (alpha < 1 && alpha > 1.0 / 512) assert_true(after < before);
            for (int i = 0; i < d; i++)
                for (int k = 0; k < d; k++) By[i] += B[i][k] * y[k], sB[k] += s[i] * B[i][k];
            for (int i = 0; i < d; i++) den += s[i] * By[i];
            for (int i = 0; i < d; i++)
                for (int k = 0; k < d; k++) B[i][k] += (s[i] - By[i]) / den * sB[k];
            for (int i = 0; i < d; i++) {
                double secant = 0;
                for (int k = 0; k < d; k++) secant += B[i][k] * y[k];
                assert_true(fabs(secant - s[i]) < 1e-12 * (1 + size));
            }
        }
        bench_free(&b);
    }
    assert_true(shortened > 3);
}

/* ---- Newton-Krylov ---- */

static void test_newton_is_quadratic(void **state) {
    (void)state;
    bench b = bench_new(64, CELL_TANH, 12, 4, 1.2);
    static recording r;
    r.row = 2;
    record(&b, &r, "newton_krylov(tol: 0, max: 9, krylov: 12, forcing: 1e-12, line_search: none)");
    for (int n = 1; n < 9; n++) /* once small, residuals square */
        if (r.residual[n - 1] < 1e-2 && r.residual[n - 1] > 1e-7)
            assert_true(r.residual[n] < 30 * r.residual[n - 1] * r.residual[n - 1]);
    assert_true(r.residual[8] < 1e-14);
    bench_free(&b);
    for (int d = 1; d <= 9; d++) { /* linear, far from a contraction: one step */
        b = bench_new(64, CELL_LINEAR, d, 4, 3.0);
        bench_solve(&b, "newton_krylov(tol: 1e-9, forcing: 1e-13, max: 5)", "jfb", false);
        assert_int_equal(b.worker->forward.unconverged, 0);
        for (int i = 0; i < 4; i++) assert_true(b.worker->steps[i] <= 1);
        bench_free(&b);
    }
}

/* Eisenstat and Walker's terms: fewer products than exact solves, and not many more steps. */
static void test_newton_saves_products(void **state) {
    (void)state;
    bench b = bench_new(64, CELL_TANH, 20, 6, 1.2);
    bench_solve(&b, "newton_krylov(tol: 1e-10, forcing: 1e-10)", "jfb", false);
    double exact = b.worker->forward.steps;
    bench_solve(&b, "newton_krylov(tol: 1e-10)", "jfb", false);
    assert_int_equal(b.worker->forward.unconverged, 0);
    assert_true(b.worker->forward.steps >= exact && b.worker->forward.steps <= 3 * exact);
    bench_free(&b);
}

/* z = z^2 + c has no real solution for c > 1/4, and I - J is singular at 1/2: no NaN, a named end. */
static void test_newton_without_a_solution(void **state) {
    (void)state;
    for (int bits = 32; bits <= 64; bits += 32) {
        bench b = bench_new(bits, CELL_SQUARE, 3, 4, 0);
        for (int i = 0; i < 12; i++) put(&b, b.rest, i / 3, i % 3, i / 3 == 2 ? 5 : 0.1);
        deq_solve_record records[BLOCK] = {{0}};
        bench_set(&b, "newton_krylov(max: 200)", "jfb");
        bench_plan(&b);
        b.worker->request.records[0] = records;
        bench_solve_rows(&b, 0, b.n, false);
        assert_int_equal(b.worker->forward.unconverged, 1);
        assert_true(records[2].reason == DEQ_REASON_line_search);
        for (int i = 0; i < 12; i++) assert_true(isfinite(get(&b, b.z, i / 3, i % 3)));
        for (int i = 0; i < 3; i++) assert_true(fabs(get(&b, b.z, 0, i) - (0.5 - sqrt(0.15))) < 1e-4);
        bench_free(&b);
    }
}

/* ---- all of them ---- */

/* Without `memory` 512 updates are kept, and a solve's memory stops growing; whatever is kept, any number of examples
 * side by side gives the same bits. */
static void test_broyden_keeps_as_many_as_512(void **state) {
    (void)state;
    size_t memory[3];
    static const char *const forward[] = {"broyden(tol: 0, max: 560, return: last)",
                                          "broyden(tol: 0, max: 560, memory: 512, return: last)",
                                          "broyden(tol: 0, max: 600, return: last)"};
    bench b[3];
    for (int s = 0; s < 3; s++) {
        b[s] = bench_new(64, CELL_TANH, 30, 7, 12); /* far from a contraction: it moves on to the end */
        bench_solve(&b[s], forward[s], "jfb", false);
        memory[s] = b[s].worker->memory_bytes;
    }
    assert_memory_equal(b[0].z, b[1].z, (size_t)(7 * b[0].stride));
    assert_memory_not_equal(b[0].z, b[2].z, (size_t)(7 * b[0].stride));
    assert_true(memory[0] == memory[1] && memory[0] == memory[2]);
    for (int64_t n = 1; n <= 5; n++) { /* rows 0 .. n-1 alone */
        bench few = bench_new(64, CELL_TANH, 30, 7, 12);
        bench_set(&few, forward[0], "jfb");
        bench_plan(&few);
        bench_solve_rows(&few, 0, n, false);
        assert_memory_equal(few.z, b[0].z, (size_t)(n * few.stride));
        bench_free(&few);
    }
    for (int s = 0; s < 3; s++) bench_free(&b[s]);
}

static const char *const every_solver[] = {"picard(%s)",
                                           "picard(damping: 0.7, %s)",
                                           "anderson(%s)",
                                           "anderson(least_squares: qr, %s)",
                                           "anderson(delay: 2, restart: 4, every: 2, damping: 0.8, %s)",
                                           "broyden(%s)",
                                           "broyden(memory: 3, step: 0.9, %s)",
                                           "broyden(line_search: armijo, %s)",
                                           "adjoint_broyden(%s)",
                                           "adjoint_broyden(memory: 4, step: 0.9, opa: 0, %s)",
                                           "newton_krylov(%s)",
                                           "newton_krylov(line_search: none, krylov: 3, %s)"};
#define SOLVERS (sizeof every_solver / sizeof *every_solver)

/* Equal bits alone and in company; what listens changes nothing; state n is what max: n returns. */
static void test_states_are_what_a_shorter_solve_returns(void **state) {
    (void)state;
    for (int bits = 32; bits <= 64; bits += 32)
        for (size_t s = 0; s < SOLVERS; s++) {
            bench b = bench_new(bits, CELL_TANH, 20, 7, 1.2), alone = bench_new(bits, CELL_TANH, 20, 7, 1.2);
            static recording r;
            char text[128];
            r.row = 5;
            snprintf(text, sizeof text, every_solver[s], "tol: 0, max: 7, return: last");
            record(&b, &r, text);
            assert_int_equal(r.count, 7); /* z_1 .. z_7: z_0 is not a state */
            for (int n = 1; n <= 7; n++) {
                char until[64];
                snprintf(until, sizeof until, "tol: 0, max: %d, return: last", n);
                snprintf(text, sizeof text, every_solver[s], until);
                bench_set(&alone, text, "jfb");
                bench_plan(&alone);
                bench_solve_rows(&alone, 5, 1, false);
                for (int k = 0; k < b.d; k++)
                    if (get(&alone, alone.z, 5, k) != r.z[n - 1][k])
                        fail_msg("%d bits, %s: state %d is not what the solve returns", bits, text, n);
                assert_true(alone.worker->steps[0] == n);
            }
            bench_free(&b), bench_free(&alone);
        }
}

static void test_nan_stays_with_its_example(void **state) {
    (void)state;
    for (int bits = 32; bits <= 64; bits += 32)
        for (size_t s = 0; s < SOLVERS; s++) {
            bench b = bench_new(bits, CELL_NAN, 3, 4, 0);
            char text[128];
            for (int i = 0; i < 12; i++) put(&b, b.rest, i / 3, i % 3, i / 3 == 1 ? -1 : 1);
            snprintf(text, sizeof text, every_solver[s], "max: 90");
            bench_solve(&b, text, "jfb", false);
            assert_int_equal(b.worker->forward.unconverged, 1);
            assert_int_equal(b.worker->forward.diverged, 1);
            for (int i = 0; i < 12; i++)
                if (i / 3 != 1)
                    assert_true(fabs(get(&b, b.z, i / 3, i % 3) - 2) < 1e-3);
                else
                    assert_true(isfinite(get(&b, b.z, 1, i % 3)));
            bench_free(&b);
        }
}

static void test_known_problems(void **state) {
    (void)state;
    for (size_t s = 0; s < SOLVERS; s++) {
        char text[128];
        snprintf(text, sizeof text, every_solver[s], "tol: 1e-12, max: 200");
        bench b = bench_new(64, CELL_KINSOL, 3, 1, 0); /* kinAnalytic_fp.c */
        bench_solve(&b, text, "jfb", false);
        if (b.worker->forward.unconverged)
            fail_msg("%s: %g after %g steps", text, (double)b.worker->residual[0], b.worker->forward.steps);
        assert_true(fabs(get(&b, b.z, 0, 0) - 0.5) < 1e-10);
        assert_true(fabs(get(&b, b.z, 0, 1) - 1) < 1e-10);
        assert_true(fabs(get(&b, b.z, 0, 2) + 3.14159265358979323846 / 6) < 1e-10);
        bench_free(&b);
        b = bench_new(64, CELL_COSINE, 2, 1, 0); /* jaxopt: cos(x) + theta at theta = (0, pi / 2) */
        put(&b, b.rest, 0, 0, 0), put(&b, b.rest, 0, 1, 3.14159265358979323846 / 2);
        bench_solve(&b, text, "jfb", false);
        if (s == 0) { /* the slope at pi / 2 is -1, on which the plain iteration makes next to no way */
            assert_int_equal(b.worker->forward.unconverged, 1);
            bench_free(&b);
            continue;
        }
        if (b.worker->forward.unconverged) fail_msg("%s", text);
        assert_true(fabs(get(&b, b.z, 0, 0) - 0.7390851332151607) < 1e-10);
        assert_true(fabs(get(&b, b.z, 0, 1) - 3.14159265358979323846 / 2) < 1e-10);
        bench_free(&b);
        b = bench_new(64, CELL_LINEAR, 1, 1, 0); /* x / 2 + 1 / 2 */
        set_weight(&b, 0, 0, 0.5), put(&b, b.rest, 0, 0, 0.5);
        bench_solve(&b, text, "jfb", false);
        assert_int_equal(b.worker->forward.unconverged, 0);
        assert_true(fabs(get(&b, b.z, 0, 0) - 1) < 1e-11);
        bench_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_anderson_is_its_definition),
        cmocka_unit_test(test_every_anderson_reaches_the_fixed_point),
        cmocka_unit_test(test_qr_is_as_accurate_as_rounding_allows),
        cmocka_unit_test(test_rotations),
        cmocka_unit_test(test_singular_systems_end_with_a_reason),
        cmocka_unit_test(test_broyden_with_line_search_is_equation_8),
        cmocka_unit_test(test_newton_is_quadratic),
        cmocka_unit_test(test_newton_saves_products),
        cmocka_unit_test(test_newton_without_a_solution),
        cmocka_unit_test(test_broyden_keeps_as_many_as_512),
        cmocka_unit_test(test_states_are_what_a_shorter_solve_returns),
        cmocka_unit_test(test_nan_stays_with_its_example),
        cmocka_unit_test(test_known_problems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
