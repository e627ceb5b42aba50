/* test_spectral.c - spectra of known Jacobians in both precisions, at the level of a block and of a net. */
#include "cells_both.h"
#include "engine_internal.h"
#include "random.h"
#include "spectral.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define ROWS 3

/* Spectra of z -> W z at ROWS states (all have the same J). */
static void spectra(int bits, int d, const double *W, bool with_jvp, const deq_spectrum_options *options,
                    deq_spectrum *out) {
    deq_fixed fixed = bits == 32 ? *cell_describe_f32(d) : *cell_describe_f64(d);
    const deq_fixed *list[1] = {&fixed};
    if (!with_jvp) fixed.jvp = NULL;
    record_f32 single = {.kind = CELL_LINEAR, .d = d};
    record_f64 wide = {.kind = CELL_LINEAR, .d = d};
    for (int i = 0; i < d * d; i++) single.W[i] = (float)W[i], wide.W[i] = W[i];
    deq_worker *worker = deq_worker_new(bits, 8, list, 1);
    deq_fixed_settings settings = {.forward = {.kind = DEQ_SOLVER_picard, .max = 1, .damping = 1},
                                   .gradient = {.kind = DEQ_MODE_jfb}};
    const deq_fixed_settings *all[1] = {&settings};
    deq_error e = {0};
    if (!deq_worker_plan(worker, all, 1, false, &e)) fail_msg("%s", e.text);
    size_t bytes = (size_t)(ROWS * fixed.state_bytes);
    char *rest = deq_memory_new(bytes), *z = deq_memory_new(bytes);
    memset(rest, 0, bytes);
    memset(z, 0, bytes);
    deq_frame frame = {.shared = bits == 32 ? (void *)&single : (void *)&wide, .host = worker};
    assert_true(
        (bits == 32 ? deq_spectrum_f32 : deq_spectrum_f64)(worker, &frame, &fixed, ROWS, rest, z, options, out));
    free(rest);
    free(z);
    deq_worker_free(worker);
}

static void close_to(double have, double want, double tolerance) {
    if (!(fabs(have - want) <= tolerance * fmax(1, fabs(want)))) fail_msg("%.12g instead of %.12g", have, want);
}

static void expect(int d, const double *W, double radius, double norm2, double frobenius) {
    for (int bits = 32; bits <= 64; bits += 32) {
        deq_spectrum s[ROWS];
        double tolerance = bits == 32 ? 2e-5 : 1e-9;
        spectra(bits, d, W, true, &(deq_spectrum_options){.samples = 4000}, s);
        for (int i = 0; i < ROWS; i++) {
            close_to(s[i].radius, radius, tolerance);
            close_to(s[i].norm2, norm2, 1e-3);
            close_to(s[i].frobenius, frobenius, 0.05);
        }
    }
}

/* A complex pair: a power iteration on this never settles. */
static void test_rotation(void **state) {
    (void)state;
    const double angle = 1.0, r = 1.07;
    double W[4] = {r * cos(angle), -r * sin(angle), r * sin(angle), r * cos(angle)};
    expect(2, W, r, r, r * sqrt(2));
    double three[9] = {0, -0.9, 0, 0.9, 0, 0, 0, 0, 0.8}; /* the pair is larger than the real eigenvalue */
    expect(3, three, 0.9, 0.9, sqrt(2 * 0.81 + 0.64));
}

static void test_normal_and_not(void **state) {
    (void)state;
    double diagonal[16] = {0};
    for (int i = 0; i < 4; i++) diagonal[i * 5] = (i + 1) * (i % 2 ? -0.25 : 0.2);
    expect(4, diagonal, 1.0, 1.0, sqrt(1 + 0.36 + 0.25 + 0.04));
    double shear[4] = {0.5, 10, 0, 0.25}; /* radius 0.5, norm 10: what grows before it shrinks */
    double trace = 0.25 + 100 + 0.0625, det = 0.125;
    expect(2, shear, 0.5, sqrt((trace + sqrt(trace * trace - 4 * det * det)) / 2), sqrt(trace));
}

/* Start vectors die at once, or after a few steps. */
static void test_breakdown(void **state) {
    (void)state;
    double zero[9] = {0}, one[9] = {0}, nilpotent[9] = {0, 1, 0, 0, 0, 1, 0, 0, 0};
    expect(3, zero, 0, 0, 0);
    one[4] = -0.7; /* rank one */
    expect(3, one, 0.7, 0.7, 0.7);
    deq_spectrum s[ROWS];
    spectra(64, 3, nilpotent, true, NULL, s);
    assert_true(s[0].radius < 1e-4);
    close_to(s[0].norm2, 1, 1e-3);
}

static void test_not_finite(void **state) {
    (void)state;
    double W[4] = {0.5, NAN, 0, 0.5};
    deq_spectrum s[ROWS];
    spectra(64, 2, W, true, NULL, s);
    assert_true(isnan(s[0].radius));
    double fine[4] = {0.5, 0, 0, 0.5};
    spectra(64, 2, fine, false, NULL, s);
    close_to(s[0].radius, 0.5, 1e-12);
    assert_true(isnan(s[0].norm2)); /* needs NAME_jvp */
}

/* A random matrix: few Arnoldi steps come near, all of them are exact, and the change says which it was. */
static void test_steps(void **state) {
    (void)state;
    enum { D = 24 };
    double W[D * D], h[D * D], work[D * D + 3 * D];
    for (int i = 0; i < D * D; i++) W[i] = deq_normal(3, (uint64_t)i) / sqrt(D);
    deq_spectrum all[ROWS], few[ROWS];
    spectra(64, D, W, true, NULL, all);
    spectra(64, D, W, true, &(deq_spectrum_options){.steps = 12}, few);
    assert_true(few[0].radius < all[0].radius * 1.1 && few[0].radius > all[0].radius * 0.8);
    assert_true(few[0].radius_change >= 0 && few[0].radius_change < 0.5);
    for (int i = 1; i < ROWS; i++) close_to(all[i].radius, all[0].radius, 1e-8);
    /* The same from a Hessenberg matrix with a known pair: companion of x^3 - x^2 ... with roots 0.5, +-2i. */
    memset(h, 0, sizeof h);
    const double c[3] = {0.5, -4, 2}; /* (x - 0.5)(x^2 + 4) = x^3 - 0.5 x^2 + 4 x - 2 */
    for (int i = 0; i < 3; i++) h[i * 3] = c[i];
    h[1] = h[1 * 3 + 2] = 1;
    close_to(deq_hessenberg_radius(h, 3, 3, work), 2, 1e-12);
    assert_true(deq_hessenberg_radius(h, 0, 3, work) == 0);
}

static void test_quantiles(void **state) {
    (void)state;
    deq_spectrum s[4] = {{.radius = 3}, {.radius = NAN}, {.radius = 1}, {.radius = 2}};
    deq_quantiles q = deq_quantiles_of(s, 4, sizeof s[0], offsetof(deq_spectrum, radius));
    close_to(q.median, 2, 0);
    close_to(q.most, 3, 0);
    q = deq_quantiles_of(s, 3, sizeof s[0], offsetof(deq_spectrum, radius));
    close_to(q.median, 2, 0);
    assert_true(isnan(deq_quantiles_of(s + 1, 1, sizeof s[0], offsetof(deq_spectrum, radius)).median));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rotation),   cmocka_unit_test(test_normal_and_not), cmocka_unit_test(test_breakdown),
        cmocka_unit_test(test_not_finite), cmocka_unit_test(test_steps),          cmocka_unit_test(test_quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
