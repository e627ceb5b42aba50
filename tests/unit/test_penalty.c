/* Penalties on compiled nets in f64: their values against dense Jacobians, their gradients against finite differences
 * with the random vectors held, the schedule, and independence of batch, block and threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compile.h"
#include "net_spec.h"
#include "dense.h"
#include "engine.h"
#include "spectral.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 4096
#define EXAMPLES 3
#define SEED 3

static Compilation compiled[2]; /* of f32 and f64, made when first asked for */

typedef struct Fixture {
    json_t *manifest, *net;
    deq_engine *engine;
    int64_t inputs, outputs, elements, real;
    double *parameters; /* of f64 nets */
} Fixture;

static double random_real(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) / 9007199254740992.0 * 2 - 1;
}

static int64_t count(const json_t *dims) {
    int64_t n = 1;
    size_t i;
    json_t *d;
    json_array_foreach(dims, i, d) n *= json_integer_value(d);
    return n;
}

static int64_t offset_of(const Fixture *f, const char *path) {
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(f->net, "parameters"), i,
                       item) if (!strcmp(json_string_value(json_object_get(item, "path")),
                                         path)) return json_integer_value(json_object_get(item, "offset")) /
        f->real;
    fail_msg("no parameter %s", path);
    return 0;
}

static void draw_parameters(Fixture *f, uint64_t seed) {
    uint64_t state = seed;
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(f->net, "parameters"), i, item) {
        int64_t at = json_integer_value(json_object_get(item, "offset")) / f->real;
        for (int64_t k = at; k < at + count(json_object_get(item, "shape")); k++)
            if (f->real == 8)
                f->parameters[k] = 0.4 * random_real(&state);
            else
                ((float *)f->parameters)[k] = (float)(0.4 * random_real(&state));
    }
    deq_engine_prepare(f->engine);
}

static void open_net(Fixture *f, const char *net, bool f64, int threads, int block) {
    memset(f, 0, sizeof *f);
    CompileOptions o = {.path = DEQ_SOURCE_DIR "/tests/unit/penalty.deq",
                        .f64 = f64,
                        .tests = true,
                        .penalties = true,
                        .optimise = 1,
                        .last = STAGE_compile};
    Compilation *c = &compiled[f64];
    if (!c->module) {
        int code = compile(&o, c);
        if (code) diags_print(c->diags, stderr, false);
        assert_int_equal(code, 0);
        assert_int_equal(compile_load(c), 0);
    }
    f->manifest = json_loads(c->module->manifest, 0, NULL);
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(f->manifest, "nets"), i,
                       item) if (!strcmp(json_string_value(json_object_get(item, "name")), net)) f->net = item;
    if (!f->net) fail_msg("there is no net %s", net);
    deq_error e = {0};
    const deq_manifest *read = net_manifest(c->module, &e);
    if (!read) fail_msg("%s", e.text);
    f->engine = deq_engine_new(c->module, deq_manifest_net(read, net),
                               &(deq_engine_options){.threads = threads, .block = block}, &e);
    if (!f->engine) fail_msg("%s", e.text);
    f->real = f64 ? 8 : 4;
    f->inputs = count(json_object_get(f->net, "input"));
    f->outputs = count(json_object_get(f->net, "output"));
    f->elements = json_integer_value(json_object_get(f->net, "parameter_bytes")) / f->real;
    f->parameters = deq_engine_parameters(f->engine);
    draw_parameters(f, 7);
}

static void close_net(Fixture *f) {
    deq_engine_free(f->engine);
    json_decref(f->manifest);
}

static void set(Fixture *f, const char *path, const char *value) {
    deq_error e = {0};
    if (!deq_engine_set(f->engine, path, value, &e)) fail_msg("%s=%s: %s", path, value, e.text);
}

static void tighten(Fixture *f) {
    set(f, "forward", "picard(tol: 1e-15, max: 400, return: last)");
    set(f, "gradient", "implicit(gmres(tol: 1e-15, max: 200))");
}

/* Mean loss plus mean penalty over examples first .. first + n - 1 of a fixed stream, keyed by (SEED, example, step);
 * the gradient is left in the engine.  `penalties` by example may be NULL. */
static double objective(Fixture *f, int64_t first, int64_t n, uint64_t step, double loss_share, double *penalties) {
    static double x[MOST], y[MOST];
    double loss[64], penalty[64], correction[64] = {0}, sum = 0;
    deq_error e = {0};
    assert_true(n <= 64 && (first + n) * (f->inputs + f->outputs) < MOST);
    uint64_t state[2] = {11, 12};
    for (int which = 0; which < 2; which++)
        for (int64_t k = 0; k < (first + n) * (which ? f->outputs : f->inputs); k++) {
            double v = random_real(&state[which]) * (which ? loss_share : 1), *to = which ? y : x;
            if (f->real == 8)
                to[k] = v;
            else
                ((float *)to)[k] = (float)v;
        }
    deq_dense dense = {x, y, f->inputs, f->outputs};
    deq_source source = deq_dense_source(&dense);
    int64_t index[64];
    for (int64_t k = 0; k < n; k++) index[k] = first + k;
    deq_results r = {.loss = loss, .penalty = penalty, .correction = correction};
    if (!deq_engine_gradient(f->engine, &source, index, n, "projection", NULL, NULL, SEED, step, &r, &e))
        fail_msg("%s", e.text);
    for (int64_t k = 0; k < n; k++) sum += (loss[k] + penalty[k] + correction[k]) / (double)n;
    for (int64_t k = 0; penalties && k < n; k++) penalties[k] = penalty[k] + correction[k];
    return sum;
}

/* The gradient of `objective` against central differences; returns the largest slope seen. */
static double check_gradient(Fixture *f, double loss_share, double tolerance) {
    static double gradient[MOST];
    double largest = 0;
    objective(f, 0, EXAMPLES, 2, loss_share, NULL);
    memcpy(gradient, deq_engine_gradients(f->engine), (size_t)f->elements * sizeof *gradient);
    for (int64_t k = 0; k < f->elements; k++) {
        const double h = 1e-5, kept = f->parameters[k];
        if (kept == 0) continue; /* padding */
        f->parameters[k] = kept + h;
        deq_engine_prepare(f->engine);
        double up = objective(f, 0, EXAMPLES, 2, loss_share, NULL);
        f->parameters[k] = kept - h;
        deq_engine_prepare(f->engine);
        double down = objective(f, 0, EXAMPLES, 2, loss_share, NULL);
        f->parameters[k] = kept;
        double slope = (up - down) / (2 * h);
        if (!(fabs(slope - gradient[k]) <= tolerance * fmax(1, fabs(slope))))
            fail_msg("parameter element %lld: %.12g, differences say %.12g", (long long)k, gradient[k], slope);
        largest = fmax(largest, fabs(slope));
    }
    deq_engine_prepare(f->engine);
    return largest;
}

/* ---- gradients ---- */

static const char *const nets[] = {"Cell_6_5", "Two_4_3", "Chain"};

/* Parameters at which every example's largest singular value stands alone, so that the power iteration gets there. */
static void separate(Fixture *f) {
    double some[EXAMPLES], all[EXAMPLES];
    bool good = false;
    for (uint64_t seed = 7; seed < 60 && !good; seed++) {
        good = true;
        draw_parameters(f, seed);
        set(f, "penalty", "spectral(iterations: 150)");
        objective(f, 0, EXAMPLES, 2, 1, some);
        set(f, "penalty", "spectral(iterations: 300)");
        objective(f, 0, EXAMPLES, 2, 1, all);
        for (int i = 0; i < EXAMPLES; i++) good = good && fabs(some[i] - all[i]) < 1e-15;
    }
    assert_true(good);
}

static void check_penalty(const char *penalty, bool norm, double tolerance) {
    for (size_t k = 0; k < sizeof nets / sizeof *nets; k++) {
        Fixture f;
        open_net(&f, nets[k], true, 1, 0);
        tighten(&f);
        if (norm) separate(&f);
        set(&f, "penalty", penalty);
        for (int share = 0; share < 2; share++) /* 0: the penalty alone */
            assert_true(check_gradient(&f, share, tolerance) > 1e-3);
        close_net(&f);
    }
}

static void test_jacobian(void **state) {
    (void)state;
    check_penalty("jacobian(weight: 3)", false, 2e-8);
    check_penalty("jacobian(weight: 2, samples: 3)", false, 2e-8);
    Fixture f;
    open_net(&f, "Image", true, 1, 0);
    tighten(&f);
    set(&f, "penalty", "jacobian(weight: 30)");
    assert_true(check_gradient(&f, 1, 5e-7) > 1e-3);
    close_net(&f);
}

/* With the power iteration converged the vector's own derivative is zero. */
static void test_spectral(void **state) {
    (void)state;
    check_penalty("spectral(weight: 2, iterations: 300)", true, 2e-8);
}

static void test_several(void **state) {
    (void)state;
    check_penalty("[jacobian(weight: 3, samples: 2), spectral(weight: 1, iterations: 300)]", true, 2e-8);
}

/* Modes that differentiate what is computed pass a penalty's cotangent on like the loss's. */
static void test_backprop(void **state) {
    (void)state;
    Fixture f;
    open_net(&f, "Chain", true, 1, 0);
    set(&f, "forward", "picard(tol: 0, max: 25, return: last)");
    set(&f, "gradient", "backprop()");
    set(&f, "penalty", "jacobian(weight: 3)");
    assert_true(check_gradient(&f, 1, 2e-8) > 1e-3);
    close_net(&f);
}

/* ---- values ---- */

/* J of example `row` at its equilibrium in Cell[6, 5]: J_ij = (1 - z_i^2) W_ji. */
static void dense_jacobian(Fixture *f, int64_t row, double J[25]) {
    static double x[MOST];
    double z[EXAMPLES * 5];
    deq_error e = {0};
    uint64_t state = 11;
    for (int64_t k = 0; k < EXAMPLES * f->inputs; k++) x[k] = random_real(&state);
    if (!deq_engine_forward(f->engine, EXAMPLES, x, z, NULL, &e)) fail_msg("%s", e.text);
    const double *W = f->parameters + offset_of(f, "W");
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) J[i * 5 + j] = (1 - z[row * 5 + i] * z[row * 5 + i]) * W[j * 5 + i];
}

/* Largest eigenvalue of J'J by Jacobi rotations. */
static double largest_eigenvalue(const double J[25]) {
    double A[5][5];
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) {
            A[i][j] = 0;
            for (int k = 0; k < 5; k++) A[i][j] += J[k * 5 + i] * J[k * 5 + j];
        }
    for (int sweep = 0; sweep < 60; sweep++)
        for (int p = 0; p < 5; p++)
            for (int q = p + 1; q < 5; q++) {
                if (fabs(A[p][q]) < 1e-300) continue;
                double angle = 0.5 * atan2(2 * A[p][q], A[q][q] - A[p][p]), c = cos(angle), s = sin(angle);
                for (int k = 0; k < 5; k++) {
                    double a = A[k][p], b = A[k][q];
                    A[k][p] = c * a - s * b, A[k][q] = s * a + c * b;
                }
                for (int k = 0; k < 5; k++) {
                    double a = A[p][k], b = A[q][k];
                    A[p][k] = c * a - s * b, A[q][k] = s * a + c * b;
                }
            }
    double largest = 0;
    for (int k = 0; k < 5; k++) largest = fmax(largest, A[k][k]);
    return largest;
}

static void test_values(void **state) {
    (void)state;
    Fixture f;
    double J[25], estimate[EXAMPLES] = {0}, once[EXAMPLES], norm[EXAMPLES];
    open_net(&f, "Cell_6_5", true, 1, 0);
    tighten(&f);
    separate(&f);
    set(&f, "penalty", "jacobian(weight: 5, samples: 1000)"); /* weight d: norm_F(J)^2 itself */
    for (uint64_t step = 1; step <= 20; step++) {
        objective(&f, 0, EXAMPLES, step, 1, once);
        for (int i = 0; i < EXAMPLES; i++) estimate[i] += once[i] / 20;
    }
    set(&f, "penalty", "spectral(weight: 1, iterations: 300)");
    objective(&f, 0, EXAMPLES, 1, 1, norm);
    for (int i = 0; i < EXAMPLES; i++) {
        double exact = 0;
        dense_jacobian(&f, i, J);
        for (int k = 0; k < 25; k++) exact += J[k] * J[k];
        /* 20000 samples: the deviation of one is at most sqrt(2) exact */
        if (!(fabs(estimate[i] - exact) < 4 * sqrt(2.0 / 20000) * exact))
            fail_msg("example %d: %.6g, norm_F^2 is %.6g", i, estimate[i], exact);
        if (!(fabs(norm[i] - largest_eigenvalue(J)) < 1e-9))
            fail_msg("example %d: %.12g, norm_2^2 is %.12g", i, norm[i], largest_eigenvalue(J));
    }
    set(&f, "penalty", "spectral(weight: 1, iterations: 3)"); /* a Rayleigh quotient is never too large */
    objective(&f, 0, EXAMPLES, 1, 1, once);
    for (int i = 0; i < EXAMPLES; i++) assert_true(once[i] > 0.5 * norm[i] && once[i] <= norm[i] * (1 + 1e-12));
    close_net(&f);
}

/* detach: the gradient of the term alone at a constant state, which the test evaluates by itself. */
static double detached_value(Fixture *f, const double *z, const double *noise) {
    static double x[MOST];
    const double *W = f->parameters + offset_of(f, "W"), *U = f->parameters + offset_of(f, "U"),
                 *b = f->parameters + offset_of(f, "b");
    uint64_t state = 11;
    double total = 0;
    for (int64_t k = 0; k < EXAMPLES * f->inputs; k++) x[k] = random_real(&state);
    for (int row = 0; row < EXAMPLES; row++) {
        double D[5], w[5] = {0};
        for (int i = 0; i < 5; i++) {
            double a = b[i];
            for (int j = 0; j < 5; j++) a += z[row * 5 + j] * W[j * 5 + i];
            for (int j = 0; j < 6; j++) a += x[row * 6 + j] * U[j * 5 + i];
            D[i] = 1 - tanh(a) * tanh(a);
        }
        for (int j = 0; j < 5; j++) {
            for (int i = 0; i < 5; i++) w[j] += W[j * 5 + i] * D[i] * noise[row * 8 + i];
            total += 2.0 / 5 * w[j] * w[j] / EXAMPLES;
        }
    }
    return total;
}

static void test_detach(void **state) {
    (void)state;
    Fixture f;
    static double gradient[MOST], x[MOST];
    double z[EXAMPLES * 5], noise[EXAMPLES * 8], worst = 0;
    deq_error e = {0};
    open_net(&f, "Cell_6_5", true, 1, 0);
    tighten(&f);
    set(&f, "penalty", "jacobian(weight: 2, detach: true)");
    uint64_t draw = 11;
    for (int64_t k = 0; k < EXAMPLES * f.inputs; k++) x[k] = random_real(&draw);
    if (!deq_engine_forward(f.engine, EXAMPLES, x, z, NULL, &e)) fail_msg("%s", e.text);
    int64_t example[EXAMPLES] = {0, 1, 2};
    deq_frame frame = {.example = example, .seed = SEED, .step = 2};
    deq_random_f64(&frame, noise, 64, 8, EXAMPLES, 1, deq_penalty_site(DEQ_PENALTY_jacobian, "Cell_6_5_z"), 0);
    double penalties[EXAMPLES], sum = 0;
    objective(&f, 0, EXAMPLES, 2, 0, penalties); /* loss 0: the penalty alone */
    for (int i = 0; i < EXAMPLES; i++) sum += penalties[i] / EXAMPLES;
    assert_true(fabs(sum - detached_value(&f, z, noise)) < 1e-12);
    memcpy(gradient, deq_engine_gradients(f.engine), (size_t)f.elements * sizeof *gradient);
    for (int64_t k = 0; k < f.elements; k++) {
        const double h = 1e-5, kept = f.parameters[k];
        if (kept == 0) continue;
        f.parameters[k] = kept + h;
        double up = detached_value(&f, z, noise);
        f.parameters[k] = kept - h;
        double down = detached_value(&f, z, noise);
        f.parameters[k] = kept;
        assert_true(fabs((up - down) / (2 * h) - gradient[k]) < 1e-8);
    }
    set(&f, "penalty.detach", "false");
    objective(&f, 0, EXAMPLES, 2, 0, NULL);
    for (int64_t k = 0; k < f.elements; k++)
        worst = fmax(worst, fabs(gradient[k] - ((double *)deq_engine_gradients(f.engine))[k]));
    assert_true(worst > 1e-3); /* the state does matter here */
    close_net(&f);
}

/* ---- fixed-point correction ---- */

/* After many steps from any state the loss is that of the equilibrium, and so is its gradient: differences say it. */
static void test_correction(void **state) {
    (void)state;
    static const char *const gradients[] = {"implicit(gmres(tol: 1e-15, max: 200))", "backprop()",
                                            "unrolled(from: 3, steps: 90, damping: 1)"};
    for (int k = 0; k < 3; k++) {
        Fixture f;
        open_net(&f, "Skip", true, 1, 0);
        set(&f, "forward", "picard(tol: 0, max: 90, return: last)");
        set(&f, "gradient", gradients[k]);
        set(&f, "penalty", "correction(weight: 2, states: 2..6, weights: linear, steps: 90)");
        assert_true(check_gradient(&f, 1, 2e-8) > 1e-2);
        set(&f, "penalty", "[correction(weight: 2, states: 2..6, steps: 90), jacobian(weight: 3, detach: false)]");
        if (k < 2) assert_true(check_gradient(&f, 1, 2e-8) > 1e-2); /* unrolled carries the loss only */
        close_net(&f);
    }
}

/* Values: sum of w loss at each state; with many steps every one is the loss at the equilibrium. */
static void test_correction_values(void **state) {
    (void)state;
    static const struct {
        const char *weights;
        double sum;
    } cases[] = {{"exponential", 0.8 + 0.64 + 0.512}, {"linear", 0.25 + 0.5 + 0.75}, {"constant", 3}};
    double x[EXAMPLES * 4], y[EXAMPLES * 3], loss[EXAMPLES], penalty[EXAMPLES], correction[EXAMPLES], early[EXAMPLES];
    Fixture f;
    deq_error e = {0};
    uint64_t draw = 5;
    open_net(&f, "Skip", true, 1, 0);
    set(&f, "forward", "picard(tol: 0, max: 90, return: last)");
    for (int i = 0; i < EXAMPLES * 4; i++) x[i] = random_real(&draw);
    for (int i = 0; i < EXAMPLES * 3; i++) y[i] = random_real(&draw);
    deq_dense dense = {x, y, 4, 3};
    deq_source source = deq_dense_source(&dense);
    int64_t index[EXAMPLES] = {0, 1, 2};
    deq_results r = {.loss = loss, .penalty = penalty, .correction = correction};
    for (int k = 0; k < 3; k++) {
        char text[200];
        snprintf(text, sizeof text, "correction(weight: 0.5, states: 2..5, weights: %s, steps: 90)", cases[k].weights);
        set(&f, "penalty", text);
        if (!deq_engine_gradient(f.engine, &source, index, EXAMPLES, "projection", NULL, NULL, SEED, 1, &r, &e))
            fail_msg("%s", e.text);
        for (int i = 0; i < EXAMPLES; i++) {
            assert_true(fabs(correction[i] - 0.5 * cases[k].sum * loss[i]) < 1e-12);
            assert_true(penalty[i] == 0);
        }
    }
    /* One step from state n is state n + 1 of the plain iteration: the loss after n + 1 steps. */
    set(&f, "penalty", "correction(states: 3, weights: constant)");
    deq_engine_gradient(f.engine, &source, index, EXAMPLES, "projection", NULL, NULL, SEED, 1, &r, &e);
    memcpy(early, correction, sizeof early);
    set(&f, "forward.max", "5"); /* implicit hands f(z_5) on: six applications */
    set(&f, "penalty", "none");
    set(&f, "forward.max", "3");
    deq_engine_gradient(f.engine, &source, index, EXAMPLES, "projection", NULL, NULL, SEED, 1, &r, &e);
    for (int i = 0; i < EXAMPLES; i++) assert_true(fabs(early[i] - loss[i]) < 1e-14);
    close_net(&f);
}

static void test_correction_refused(void **state) {
    (void)state;
    static const struct {
        const char *net, *path, *value, *want;
    } cases[] = {{"Skip", "penalty", "correction(states: 1..60)", "reads state 59"},
                 {"Skip", "gradient", "augmented()", "augmented makes no states"},
                 {"Chain", "first.penalty", "correction()", "reads its state"}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        Fixture f;
        deq_error e = {0};
        open_net(&f, cases[k].net, true, 1, 0);
        set(&f, cases[k].path, cases[k].value);
        assert_false(deq_engine_check_settings(f.engine, NULL, &e));
        if (!strstr(e.text, cases[k].want)) fail_msg("%s", e.text);
        close_net(&f);
    }
    Fixture f; /* the script asks for no correction of this net */
    deq_error e = {0};
    double loss[1], penalty[1], x[6] = {0}, y[5] = {0};
    int64_t index[1] = {0};
    open_net(&f, "Cell_6_5", true, 1, 0);
    set(&f, "penalty", "correction()");
    deq_dense dense = {x, y, 6, 5};
    deq_source source = deq_dense_source(&dense);
    deq_results r = {.loss = loss, .penalty = penalty};
    assert_false(deq_engine_gradient(f.engine, &source, index, 1, "projection", NULL, NULL, SEED, 1, &r, &e));
    if (!strstr(e.text, "without the routine of a correction")) fail_msg("%s", e.text);
    close_net(&f);
}

/* ---- who sees them, and when ---- */

static void test_only_when_wanted(void **state) {
    (void)state;
    Fixture f;
    static double with[MOST], without[MOST];
    double penalties[EXAMPLES];
    open_net(&f, "Cell_6_5", true, 1, 0); /* its own: jacobian(weight: 0.5) */
    tighten(&f);
    objective(&f, 0, EXAMPLES, 2, 1, penalties);
    memcpy(with, deq_engine_gradients(f.engine), (size_t)f.elements * sizeof *with);
    assert_true(penalties[0] > 0);
    set(&f, "penalty.weight", "0");
    objective(&f, 0, EXAMPLES, 2, 1, penalties);
    memcpy(without, deq_engine_gradients(f.engine), (size_t)f.elements * sizeof *without);
    assert_true(penalties[0] == 0);
    assert_memory_not_equal(with, without, (size_t)f.elements * sizeof *with);
    set(&f, "penalty", "none");
    objective(&f, 0, EXAMPLES, 2, 1, penalties);
    assert_memory_equal(without, deq_engine_gradients(f.engine), (size_t)f.elements * sizeof *with);
    close_net(&f);
}

static void test_schedule(void **state) {
    (void)state;
    deq_penalties p;
    deq_error e = {0};
    assert_true(deq_penalties_parse(
        "[jacobian(weight: 0.4, frequency: 0.25, increment: 0.1, every: 100, until: 4000), spectral(weight: 2)]", &p,
        &e));
    int taken = 0, agree = 0, other = 0;
    for (uint64_t step = 1; step <= 4000; step++) {
        double w = deq_penalty_weight(&p, DEQ_PENALTY_jacobian, 5, step, "Net_body");
        taken += w > 0;
        if (w > 0 && !(fabs(w - (0.4 + 0.1 * (double)((step - 1) / 100))) < 1e-12))
            fail_msg("step %llu: %g", (unsigned long long)step, w);
        agree += (w > 0) == (deq_penalty_weight(&p, DEQ_PENALTY_jacobian, 6, step, "Net_body") > 0);
        other += (w > 0) == (deq_penalty_weight(&p, DEQ_PENALTY_jacobian, 5, step, "Net_head") > 0);
        assert_true(deq_penalty_weight(&p, DEQ_PENALTY_spectral, 5, step, "Net_body") == 2);
    }
    assert_true(taken > 850 && taken < 1150);
    assert_true(agree < 3000 && other < 3000); /* another seed, another fixed point: other steps */
    assert_true(deq_penalty_weight(&p, DEQ_PENALTY_jacobian, 5, 4001, "Net_body") == 0);
    deq_penalties back;
    char text[DEQ_PENALTIES_TEXT];
    deq_penalties_print(&p, text, sizeof text);
    assert_true(deq_penalties_parse(text, &back, &e));
    assert_memory_equal(&p, &back, sizeof p);
    static const char *const bad[] = {"jacobain()",
                                      "jacobian(wait: 1)",
                                      "jacobian(weight: -1)",
                                      "jacobian(samples: 1.5)",
                                      "jacobian(detach: yes)",
                                      "[jacobian(), jacobian()]",
                                      "spectral(samples: 2)",
                                      "jacobian(0.4)"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) assert_false(deq_penalties_parse(bad[k], &back, &e));
    assert_false(deq_penalties_set(&p, "weight", "1", &e)); /* of which? */
    assert_true(deq_penalties_set(&p, "spectral.weight", "7", &e) && p.kinds[DEQ_PENALTY_spectral].weight == 7);
    assert_true(deq_penalties_parse("none", &p, &e) && !deq_penalties_given(&p));
    assert_false(deq_penalties_set(&p, "jacobian.weight", "7", &e));
}

static void test_refused(void **state) {
    (void)state;
    Fixture f;
    deq_error e = {0};
    open_net(&f, "Cell_6_5", true, 1, 0);
    set(&f, "gradient", "unrolled(from: 1..3)");
    set(&f, "penalty", "jacobian()");
    assert_false(deq_engine_check_settings(f.engine, NULL, &e));
    assert_non_null(strstr(e.text, "detach: true"));
    set(&f, "penalty.detach", "true");
    e = (deq_error){0};
    assert_true(deq_engine_check_settings(f.engine, NULL, &e));
    close_net(&f);
}

/* A batch of n is n batches of one, two threads are one, bit for bit in f32. */
static void same_bits(const char *net, const char *penalty) {
    Fixture one, many;
    double a[40], b[40], rows[40];
    open_net(&one, net, false, 1, 8);
    open_net(&many, net, false, 2, 8);
    set(&one, "penalty", penalty);
    set(&many, "penalty", penalty);
    objective(&one, 0, 40, 9, 1, a);
    objective(&many, 0, 40, 9, 1, b);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_equal(deq_engine_gradients(one.engine), deq_engine_gradients(many.engine),
                        (size_t)(one.elements * 4));
    close_net(&one);
    open_net(&one, net, false, 1, 0);
    set(&one, "penalty", penalty);
    for (int64_t k = 0; k < 40; k++) objective(&one, k, 1, 9, 1, &rows[k]);
    assert_memory_equal(a, rows, sizeof a);
    assert_true(a[0] > 0 && a[0] != a[1]);
    close_net(&one);
    close_net(&many);
}

static void test_bits(void **state) {
    (void)state;
    same_bits("Chain", "[jacobian(samples: 2), spectral(iterations: 4)]");
    same_bits("Skip", "[jacobian(samples: 2), correction(states: 2..6, steps: 2)]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jacobian),
        cmocka_unit_test(test_spectral),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_backprop),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_detach),
        cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_only_when_wanted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_correction),
        cmocka_unit_test(test_correction_values),
        cmocka_unit_test(test_correction_refused),
    };
    int failed = cmocka_run_group_tests_name("penalty", tests, NULL, NULL);
    for (int k = 0; k < 2; k++)
        if (compiled[k].module) compile_free(&compiled[k]);
    return failed;
}
