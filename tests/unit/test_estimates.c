/* test_estimates.c - gradients from the forward solve's inverse estimate (SHINE, OPA) and from the joint iteration of
 * state and adjoint. */
#include "mode_bench.h"

/* ---- SHINE and the joint iteration ---- */

static void test_shine(void **state) {
    (void)state;
    bench b = mode_bench_new(64, CELL_TANH, 30, 6, 1.5);
    find_exact(&b);
    double cosine, before, error = 0;
    bench_run(&b, "broyden(tol: 1e-6, max: 60)", "jfb");
    double jfb = distance(&b, NULL);
    bench_run(&b, "broyden(tol: 1e-6, max: 60)", "shine(fallback: none)");
    before = distance(&b, &cosine);
    assert_true(cosine > 0.8);
    assert_true(before < 1.2 * jfb);
    for (int refine = 4; refine <= 64; refine *= 2) {
        bench_runf(&b, "broyden(tol: 1e-12, max: 100)", "shine(refine: %d)", refine);
        error = distance(&b, NULL);
        assert_true(error < before || error < 1e-10);
        before = error;
    }
    assert_true(error < 1e-9);
    /* Every example falls back when nothing is plausible, and says so. */
    bench c = mode_bench_new(64, CELL_TANH, 30, 6, 6);
    bench_run(&c, "broyden(tol: 0, max: 12)", "shine(ratio: 1)");
    int64_t fell = c.worker->adjoint.unconverged;
    assert_true(fell > 0);
    bench_run(&c, "broyden(tol: 0, max: 12)", "shine(ratio: 1e9)");
    assert_int_equal(c.worker->adjoint.unconverged, 0);
    bench_free(&b), bench_free(&c);
}

/* -B'g with the dense B after N steps, at the state the solver returned. */
static void test_shine_applies_the_forward_estimate(void **state) {
    (void)state;
    for (int N = 1; N <= 9; N += 2) {
        bench b = mode_bench_new(64, CELL_TANH, 12, 4, 1.2);
        char forward[64];
        snprintf(forward, sizeof forward, "broyden(tol: 0, max: %d, return: last)", N);
        bench_run(&b, forward, "shine(fallback: none)");
        for (int64_t row = 0; row < b.n; row++) {
            int d = b.d;
            double B[CELL_MOST][CELL_MOST] = {{0}}, z[CELL_MOST] = {0}, g[CELL_MOST], f[CELL_MOST], L[CELL_MOST];
            double D[CELL_MOST + 32], J[CELL_MOST * CELL_MOST];
            for (int i = 0; i < d; i++) B[i][i] = -1;
            apply(&b, row, z, f, NULL, NULL);
            for (int i = 0; i < d; i++) g[i] = f[i] - z[i];
            for (int n = 0; n < N; n++) {
                double s[CELL_MOST] = {0}, y[CELL_MOST], By[CELL_MOST] = {0}, sB[CELL_MOST] = {0}, den = 0;
                for (int i = 0; i < d; i++)
                    for (int k = 0; k < d; k++) s[i] -= B[i][k] * g[k];
                for (int i = 0; i < d; i++) z[i] += s[i];
                apply(&b, row, z, f, NULL, NULL);
                for (int i = 0; i < d; i++) y[i] = f[i] - z[i] - g[i], g[i] = f[i] - z[i];
                for (int i = 0; i < d; i++)
                    for (int k = 0; k < d; k++) By[i] += B[i][k] * y[k], sB[k] += s[i] * B[i][k];
                for (int i = 0; i < d; i++) den += s[i] * By[i];
                for (int i = 0; i < d; i++)
                    for (int k = 0; k < d; k++) B[i][k] += (s[i] - By[i]) / den * sB[k];
            }
            loss_slope(row, f, d, L); /* the mode attaches to f(z) */
            apply(&b, row, z, f, J, D);
            for (int i = 0; i < d; i++) {
                double u = 0;
                for (int k = 0; k < d; k++) u -= B[k][i] * L[k];
                assert_true(fabs(D[i] * u - get(&b, b.drest, row, i)) < 1e-9);
            }
        }
        bench_free(&b);
    }
}

/* -H'dL/dz with the dense H of adjoint Broyden, with and without updates along H'dL/dz. */
static void test_adjoint_broyden_is_its_definition(void **state) {
    (void)state;
    for (int opa = 0; opa <= 3; opa++)
        for (int N = 1; N <= 8; N += 3) {
            bench b = mode_bench_new(64, CELL_TANH, 12, 4, 1.2);
            char forward[96];
            snprintf(forward, sizeof forward, "adjoint_broyden(tol: 0, max: %d, opa: %d, return: last)", N, opa);
            bench_run(&b, forward, "shine(fallback: none)");
            for (int64_t row = 0; row < b.n; row++) {
                int d = b.d;
                double H[CELL_MOST][CELL_MOST] = {{0}}, z[CELL_MOST] = {0}, g[CELL_MOST], f[CELL_MOST], L[CELL_MOST];
                double D[CELL_MOST + 32], J[CELL_MOST * CELL_MOST], s[CELL_MOST];
                for (int i = 0; i < d; i++) H[i][i] = -1;
                for (int n = 0; n <= N; n++) {
                    apply(&b, row, z, f, J, D);
                    for (int i = 0; i < d; i++) g[i] = f[i] - z[i];
                    for (int extra = 0; n > 0 && extra < (opa && (n % opa == 0 || n == N) ? 2 : 1); extra++) {
                        double q[CELL_MOST], p[CELL_MOST] = {0}, Hs[CELL_MOST] = {0}, ps = 0;
                        memcpy(s, g, sizeof s);
                        if (extra) {
                            loss_slope(row, z, d, L);
                            memset(s, 0, sizeof s);
                            for (int i = 0; i < d; i++)
                                for (int k = 0; k < d; k++) s[i] += H[k][i] * L[k];
                        }
                        for (int i = 0; i < d; i++) {
                            q[i] = -s[i];
                            for (int k = 0; k < d; k++) q[i] += J[k * d + i] * s[k];
                        }
                        for (int i = 0; i < d; i++)
                            for (int k = 0; k < d; k++) p[i] += H[k][i] * q[k], Hs[i] += H[i][k] * s[k];
                        for (int i = 0; i < d; i++) ps += p[i] * s[i];
                        for (int i = 0; i < d; i++)
                            for (int k = 0; k < d; k++) H[i][k] -= Hs[i] * (p[k] - s[k]) / ps;
                        for (int i = 0; i < d; i++) { /* s'H^-1 = s'J_g, which is H'J_g's = s */
                            double left = 0;
                            for (int k = 0; k < d; k++) left += H[k][i] * q[k];
                            assert_true(fabs(left - s[i]) < 1e-11);
                        }
                    }
                    for (int i = 0; i < d && n < N; i++)
                        for (int k = 0; k < d; k++) z[i] -= H[i][k] * g[k];
                }
                loss_slope(row, f, d, L); /* the mode attaches to f(z) */
                apply(&b, row, z, f, J, D);
                for (int i = 0; i < d; i++) {
                    double u = 0;
                    for (int k = 0; k < d; k++) u -= H[k][i] * L[k];
                    assert_true(fabs(D[i] * u - get(&b, b.drest, row, i)) < 1e-9);
                }
            }
            bench_free(&b);
        }
}

/* Ramzi et al. on OPA: with the extra updates -H'dL/dz goes to the exact adjoint; without it need not. */
static void test_opa_converges(void **state) {
    (void)state;
    bench b = mode_bench_new(64, CELL_TANH, 30, 6, 1.5);
    find_exact(&b);
    bench_run(&b, "broyden(tol: 0, max: 30)", "shine(fallback: none)");
    const double plain = distance(&b, NULL);
    double before = 1e9, error = 0;
    for (double tol = 1e-1; tol > 1e-11; tol *= 1e-3) {
        char forward[64];
        snprintf(forward, sizeof forward, "adjoint_broyden(tol: %g, max: 80, opa: 1)", tol);
        bench_run(&b, forward, "shine(fallback: none)");
        error = distance(&b, NULL);
        if (!(error < before)) fail_msg("tol %g: %g after %g", tol, error, before);
        before = error;
    }
    if (!(error < 1e-6 && plain > 1e-2)) fail_msg("%g with OPA, %g without", error, plain);
    bench_run(&b, "adjoint_broyden(tol: 1e-6, max: 60)", "shine(refine: 20)"); /* Broyden's steps from that estimate */
    assert_true(distance(&b, NULL) < 1e-4);
    bench_free(&b);
}

static void test_augmented(void **state) {
    (void)state;
    bench b = mode_bench_new(64, CELL_TANH, 30, 6, 1.4);
    find_exact(&b);
    double before = 1e9;
    for (int steps = 5; steps <= 640; steps *= 2) {
        bench_runf(&b, "anderson(tol: 1e-9)", "augmented(steps: %d)", steps);
        double error = distance(&b, NULL);
        assert_true(error < before || error < 1e-11);
        before = error;
    }
    assert_true(before < 1e-11);
    assert_int_equal(b.worker->forward.unconverged + b.worker->adjoint.unconverged, 0);
    bench_run(&b, "anderson(tol: 1e-9)", "augmented(steps: 5)"); /* not there yet, and counted as such */
    assert_int_equal(b.worker->forward.unconverged, 0);          /* the value's own solve */
    assert_int_equal(b.worker->adjoint.unconverged, b.n);
    bench_free(&b);
}

/* The joint iteration goes on where it was: k times one step are k steps, bit for bit, and another example starts anew.
 */
static void test_augmented_carries_on(void **state) {
    (void)state;
    for (int bits = 32; bits <= 64; bits += 32) {
        bench b = mode_bench_new(bits, CELL_TANH, 30, 6, 1.4), c = mode_bench_new(bits, CELL_TANH, 30, 6, 1.4);
        bench_run(&b, "anderson", "augmented(steps: 12)");
        bench_set(&c, "anderson", "augmented(steps: 4, carry: true)");
        bench_plan(&c);
        for (int turn = 0; turn < 3; turn++) bench_rows(&c, 0, c.n);
        assert_memory_equal(b.z, c.z, (size_t)(b.n * b.stride));
        assert_memory_equal(b.drest, c.drest, (size_t)(b.n * b.stride));
        bench_run(&b, "anderson", "augmented(steps: 4)");
        for (int i = 0; i < BLOCK; i++) c.example[i] += 100;
        bench_rows(&c, 0, c.n);
        assert_memory_equal(b.drest, c.drest, (size_t)(b.n * b.stride));
        bench_free(&b), bench_free(&c);
    }
}

/* Eq. 12 on (z, u, x): an input that ascends by its gradient after each joint step arrives where the input's gradient
 * at the equilibrium is the exact one. */
static void test_augmented_with_an_input_that_moves(void **state) {
    (void)state;
    bench b = mode_bench_new(64, CELL_TANH, 30, 6, 1.2);
    bench_set(&b, "anderson", "augmented(steps: 1, carry: true)");
    bench_plan(&b);
    for (int step = 0; step < 300; step++) {
        bench_rows(&b, 0, b.n);
        double alpha = step < 100 ? 0.05 : 0; /* the input moves, then stays */
        for (int64_t row = 0; row < b.n; row++)
            for (int k = 0; k < b.d; k++)
                put(&b, b.rest, row, k, get(&b, b.rest, row, k) + alpha * get(&b, b.drest, row, k));
    }
    find_exact(&b); /* of the inputs where they are now */
    assert_true(distance(&b, NULL) < 1e-9);
    bench_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shine),
        cmocka_unit_test(test_shine_applies_the_forward_estimate),
        cmocka_unit_test(test_adjoint_broyden_is_its_definition),
        cmocka_unit_test(test_opa_converges),
        cmocka_unit_test(test_augmented),
        cmocka_unit_test(test_augmented_carries_on),
        cmocka_unit_test(test_augmented_with_an_input_that_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
