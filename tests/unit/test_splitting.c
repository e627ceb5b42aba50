/* Splitting solvers on compiled nets: the same equilibria and gradients as the other solvers, the same bits for every
 * block and thread, named failures; and what the compiler recognises as prox(L z + c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compiled_net.h"
#include "resolvent.h"

#define MONOTONE(activation)                                                                                           \
    "import std.activations (leaky_relu, elu, hard_sigmoid)\n"                                                         \
    "layer Monotone[I, H](x: f32[I], margin: f32 = 0.5) -> f32[H] {\n"                                                 \
    "  param A: f32[H, H] = normal(std: 0.5)\n  param B: f32[H, H] = normal(std: 0.5)\n"                               \
    "  param U: f32[I, H] = glorot()\n  param b: f32[H] = zeros()\n"                                                   \
    "  fn W(v: f32[H]) -> f32[H] = (1 - margin) * v - (v @ A') @ A + v @ B - v @ B'\n"                                 \
    "  fixed point z: f32[H] { z = " activation "(W(z) + x @ U + b) }\n  return z\n}\n"                                \
    "test \"t\" { check: gradcheck(Monotone[9, 21], directions: 1, tol: 1) }\n"

#define N 70

static double worst_of(const double *a, const double *b, int64_t n) {
    double worst = 0;
    for (int64_t k = 0; k < n; k++) worst = isfinite(a[k]) ? fmax(worst, fabs(a[k] - b[k])) : INFINITY;
    return worst;
}

static double *forward(CompiledNet *f, const char *solver, deq_results *results) {
    deq_error e = {0};
    void *x = net_rows(f, N, f->inputs, 5), *y = calloc((size_t)(N * f->outputs), (size_t)f->real);
    double *out = calloc((size_t)(N * f->outputs), sizeof *out);
    net_set(f, "forward", solver);
    if (!deq_engine_forward(f->engine, N, x, y, results, &e)) fail_msg("%s: %s", solver, e.text);
    for (int64_t k = 0; k < N * f->outputs; k++) out[k] = net_get(f, y, k);
    free(x);
    free(y);
    return out;
}

static void equilibria_of(const char *program, double bound) {
    static const char *const solvers[] = {
        "peaceman_rachford(step: 1.0, tol: 1e-15, max: 2000)", "peaceman_rachford(step: 0.3, tol: 1e-15, max: 2000)",
        "peaceman_rachford(step: 2.5, tol: 1e-15, max: 2000)", "douglas_rachford(step: 0.8, tol: 1e-15, max: 2000)",
        "forward_backward(step: 0.15, tol: 1e-15, max: 4000)", "broyden(tol: 1e-15, max: 300)"};
    CompiledNet f;
    deq_results results = {0};
    net_open(&f, net_program(program), "Monotone_9_21", true, 1, 0, 0.4);
    double *tight = forward(&f, "anderson(damping: 0.4, memory: 12, tol: 1e-15, max: 2000)", &results);
    for (size_t s = 0; s < sizeof solvers / sizeof *solvers; s++) {
        double *z = forward(&f, solvers[s], &results);
        double worst = worst_of(z, tight, N * f.outputs);
        if (!(worst <= bound)) fail_msg("%s: %g from the others", solvers[s], worst);
        if (results.forward.diverged) fail_msg("%s: %d diverged", solvers[s], (int)results.forward.diverged);
        free(z);
    }
    free(tight);
    net_close(&f);
}

/* Of every kind of prox: a projection, and others whose prox changes with the step. */
static void equilibria(void **state) {
    (void)state;
    equilibria_of(MONOTONE("relu"), 1e-12);
    equilibria_of(MONOTONE("tanh"), 1e-12);
    equilibria_of(MONOTONE("leaky_relu"), 1e-12);
    equilibria_of(MONOTONE("elu"), 1e-12);
    equilibria_of(MONOTONE("hard_sigmoid"), 1e-12);
    equilibria_of(MONOTONE("softplus"), 1e-12);
}

static double *gradient(CompiledNet *f, const char *mode, deq_results *results) {
    deq_error e = {0};
    void *x = net_rows(f, N, f->inputs, 5), *y = net_rows(f, N, f->outputs, 9),
         *dx = calloc((size_t)(N * f->inputs), (size_t)f->real);
    double *out = calloc((size_t)(f->elements + N * f->inputs), sizeof *out);
    deq_dense dense = {x, y, f->inputs, f->outputs};
    deq_source source = deq_dense_source(&dense);
    int64_t *index = deq_index_range(N);
    net_set(f, "gradient", mode);
    if (!deq_engine_gradient(f->engine, &source, index, N, "projection", NULL, NULL, 0, 0, results, &e) ||
        !deq_engine_input_gradient(f->engine, N, x, y, "projection", dx, results, &e))
        fail_msg("%s: %s", mode, e.text);
    for (int64_t k = 0; k < f->elements; k++) out[k] = net_get(f, deq_engine_gradients(f->engine), k);
    for (int64_t k = 0; k < N * f->inputs; k++) out[f->elements + k] = net_get(f, dx, k);
    free(index);
    free(x);
    free(y);
    free(dx);
    return out;
}

static void adjoints_of(const char *program) {
    static const char *const modes[] = {"implicit(lu(tol: 1e-14))",
                                        "implicit(peaceman_rachford(step: 1.0, tol: 1e-15, max: 2000))",
                                        "implicit(peaceman_rachford(step: 0.4, tol: 1e-15, max: 2000))",
                                        "implicit(douglas_rachford(step: 2, tol: 1e-15, max: 2000))",
                                        "implicit(forward_backward(step: 0.15, tol: 1e-15, max: 4000))"};
    CompiledNet f;
    deq_results results = {0};
    net_open(&f, net_program(program), "Monotone_9_21", true, 1, 0, 0.4);
    net_set(&f, "forward", "peaceman_rachford(step: 1.0, tol: 1e-15, max: 2000)");
    double *tight = gradient(&f, "implicit(gmres(tol: 1e-15, max: 100))", &results);
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        double *g = gradient(&f, modes[m], &results);
        double worst = worst_of(g, tight, f.elements + N * f.inputs);
        if (!(worst <= 1e-12)) fail_msg("%s: %g from gmres", modes[m], worst);
        if (!(results.adjoint.worst_residual < 1e-12))
            fail_msg("%s: residual %g", modes[m], results.adjoint.worst_residual);
        free(g);
    }
    free(tight);
    net_close(&f);
}

static void adjoints(void **state) {
    (void)state;
    adjoints_of(MONOTONE("relu"));
    adjoints_of(MONOTONE("tanh"));
    adjoints_of(MONOTONE("elu"));
}

/* Bit for bit, in single precision; prox of another step iterates. */
static void same_bits(void **state) {
    (void)state;
    static const int threads[] = {1, 2, 1, 2}, blocks[] = {0, 0, 1, 7};
    static const char *const settings[][2] = {
        {"peaceman_rachford(step: 0.6)", "implicit(peaceman_rachford(step: 1.5))"},
        {"forward_backward(step: 0.1, max: 200)", "implicit(forward_backward(step: 0.1, max: 200))"}};
    for (int s = 0; s < 2; s++) {
        double *z0 = NULL, *g0 = NULL;
        for (int k = 0; k < 4; k++) {
            CompiledNet f;
            deq_results results = {0};
            net_open(&f, net_program(MONOTONE("tanh")), "Monotone_9_21", false, threads[k], blocks[k], 0.4);
            net_set(&f, "gradient", settings[s][1]);
            double *z = forward(&f, settings[s][0], &results), *g = gradient(&f, settings[s][1], &results);
            int64_t inputs = N * f.inputs; /* sums over examples depend on the block */
            if (z0) {
                assert_memory_equal(z, z0, (size_t)(N * f.outputs) * sizeof *z);
                assert_memory_equal(g + f.elements, g0 + f.elements, (size_t)inputs * sizeof *g);
                if (blocks[k] == 0) assert_memory_equal(g, g0, (size_t)f.elements * sizeof *g);
                free(z);
                free(g);
            } else {
                z0 = z, g0 = g;
            }
            net_close(&f);
        }
        free(z0);
        free(g0);
    }
}

/* Plain iteration diverges where the margin is large; splitting does not care. */
static void large_margin(void **state) {
    (void)state;
    CompiledNet f;
    deq_results results = {0};
    net_open(&f,
             net_program("layer Wide[H](x: f32[H]) -> f32[H] {\n  param A: f32[H, H] = normal(std: 1)\n"
                         "  fixed point z: f32[H] { z = relu(-19 * z - (z @ A') @ A + x) }\n  return z\n}\n"
                         "test \"t\" { check: gradcheck(Wide[12], directions: 1, tol: 1) }\n"),
             "Wide_12", false, 1, 0, 1);
    free(forward(&f, "picard(max: 50)", &results));
    assert_int_equal(results.forward.unconverged, N);
    free(forward(&f, "peaceman_rachford(step: 0.05, tol: 1e-5, max: 200)", &results));
    assert_int_equal(results.forward.unconverged, 0);
    net_close(&f);
}

/* L = diag(c) with c_0 = 2, or nearly 2: I + step (I - L) has no inverse at step 1, or none that floats hold. */
static void singular(void **state) {
    (void)state;
    CompiledNet f;
    deq_results results = {0};
    deq_error e = {0};
    net_open(&f,
             net_program("layer Double[H](x: f32[H]) -> f32[H] {\n  param c: f32[H] = zeros()\n"
                         "  fixed point z: f32[H] { z = clamp(z * c + x, 0, 1)\n finish: none }\n  return z\n}\n"
                         "test \"t\" { check: gradcheck(Double[5], directions: 1, tol: 1) }\n"),
             "Double_5", false, 1, 0, 0.5);
    static const double first[] = {2, 2.00001};
    for (int s = 0; s < 2; s++) {
        net_put(&f, deq_engine_parameters(f.engine), 0, first[s]);
        deq_engine_prepare(f.engine);
        double *z = forward(&f, s ? "douglas_rachford(step: 1)" : "peaceman_rachford(step: 1)", &results);
        assert_int_equal(results.forward.unconverged, N);
        for (int64_t k = 0; k < N * f.outputs; k++) assert_true(z[k] == 0);
        free(z);
        free(forward(&f, "peaceman_rachford(step: 1.5, max: 3)", &results)); /* another step has one */
        assert_true(results.forward.worst_residual < 1e9);
    }
    net_set(&f, "forward", "picard()");
    double *g = gradient(&f, "implicit(peaceman_rachford())", &results);
    assert_int_equal(results.adjoint.unconverged, N);
    for (int64_t k = 0; k < f.elements; k++) assert_true(isfinite(g[k]));
    free(g);
    net_set(&f, "forward", "peaceman_rachford(step: 1)");
    net_set(&f, "on_fail", "stop");
    void *x = net_rows(&f, N, f.inputs, 5), *y = calloc((size_t)(N * f.outputs), (size_t)f.real);
    assert_false(deq_engine_forward(f.engine, N, x, y, &results, &e));
    assert_int_equal(e.failure, DEQ_NOT_CONVERGED);
    assert_non_null(strstr(e.text, "singular"));
    free(x);
    free(y);
    net_close(&f);
}

static void refused_settings(void **state) {
    (void)state;
    CompiledNet f;
    deq_error e = {0};
    net_open(&f,
             net_program("layer Deep[H](x: f32[H]) -> f32[H] {\n  param A: f32[H, H] = normal(std: 1)\n"
                         "  fixed point z: f32[H] { z = tanh(tanh(z @ A) @ A + x) }\n  return z\n}\n"
                         "test \"t\" { check: gradcheck(Deep[5], directions: 1, tol: 1) }\n"),
             "Deep_5", false, 1, 0, 0.1);
    assert_false(deq_engine_set(f.engine, "forward", "peaceman_rachford(step: 0)", &e));
    assert_int_equal(e.failure, DEQ_SETTING);
    net_set(&f, "forward", "peaceman_rachford()");
    e = (deq_error){0};
    assert_false(deq_engine_check_settings(f.engine, NULL, &e));
    assert_non_null(strstr(e.text, "needs z = prox(L z + c): 'matmul'"));
    net_set(&f, "forward", "anderson()");
    net_set(&f, "gradient", "implicit(forward_backward())");
    e = (deq_error){0};
    assert_false(deq_engine_check_settings(f.engine, NULL, &e));
    net_close(&f);
}

/* Peaceman-Rachford's equilibrium and gradient are Broyden's and GMRES's. */
static void expect_agreement(CompiledNet *f, double step) {
    deq_results results = {0};
    char solver[96], mode[128];
    snprintf(solver, sizeof solver, "peaceman_rachford(step: %g, tol: 1e-15, max: 500)", step);
    snprintf(mode, sizeof mode, "implicit(%s)", solver);
    double *tight = forward(f, "broyden(tol: 1e-15, max: 200)", &results), *z = forward(f, solver, &results);
    assert_true(worst_of(z, tight, N * f->outputs) < 1e-12);
    double *g0 = gradient(f, "implicit(gmres(tol: 1e-15, max: 100))", &results), *g = gradient(f, mode, &results);
    assert_true(worst_of(g, g0, f->elements + N * f->inputs) < 1e-12);
    free(tight), free(z), free(g0), free(g);
}

/* Two states of different shapes, whose rows are padded between them. */
static void two_states(void **state) {
    (void)state;
    CompiledNet f;
    net_open(&f,
             net_program("layer Two[H](x: f32[H]) -> f32[H + 3] {\n  param A: f32[H, 3] = normal(std: 1)\n"
                         "  param d: f32[3] = zeros()\n"
                         "  fixed point (a: f32[H], b: f32[1, 3]) {\n"
                         "    a = relu(0.2 * a + flatten(b) @ A' + x)\n"
                         "    b = tanh(0.1 * b - reshape(a @ A, [1, 3]) + reshape(d, [1, 3]))\n  }\n"
                         "  return concat(a, flatten(b))\n}\n"
                         "test \"t\" { check: gradcheck(Two[5], directions: 1, tol: 1) }\n"),
             "Two_5", true, 1, 0, 0.7);
    expect_agreement(&f, 0.7);
    net_close(&f);
}

/* L is any composition of linear operations: a convolution, what it is resized to, a slice. */
static void convolution(void **state) {
    (void)state;
    CompiledNet f;
    net_open(
        &f,
        net_program("layer Conv(x: f32[2, 4, 5]) -> f32[2, 4, 5] {\n  param K: f32[2, 2, 3, 3] = normal(std: 0.2)\n"
                    "  fixed point z: f32[2, 4, 5] {\n"
                    "    let turned = concat(z[1..2], z[0..1])\n"
                    "    z = relu(conv(z, K, padding: 1) - 1.5 * z - 0.2 * turned + x)\n  }\n  return z\n}\n"
                    "test \"t\" { check: gradcheck(Conv, directions: 1, tol: 1) }\n"),
        "Conv", true, 1, 0, 0.2);
    expect_agreement(&f, 0.5);
    net_close(&f);
}

/* What splitting cannot solve, another solver goes on with. */
static void chains(void **state) {
    (void)state;
    CompiledNet f;
    deq_results results = {0};
    net_open(&f, net_program(MONOTONE("tanh")), "Monotone_9_21", true, 1, 0, 0.4);
    double *tight = forward(&f, "peaceman_rachford(tol: 1e-15, max: 2000)", &results),
           *z = forward(&f,
                        "forward_backward(step: 0.1, max: 3) else peaceman_rachford(step: 0.6, tol: 1e-15, max: 2000)",
                        &results);
    assert_true(worst_of(z, tight, N * f.outputs) < 1e-12);
    double *g0 = gradient(&f, "implicit(gmres(tol: 1e-15, max: 100))", &results),
           *g =
               gradient(&f, "implicit(douglas_rachford(max: 4) else peaceman_rachford(step: 2, tol: 1e-15, max: 2000))",
                        &results);
    assert_true(worst_of(g, g0, f.elements + N * f.inputs) < 1e-12);
    free(tight), free(z), free(g0), free(g);
    net_close(&f);
}

/* What is a prox, and what is not. */
static void recognition(void **state) {
    (void)state;
    static const struct {
        const char *equation, *why; /* NULL: recognised */
        bool shared, projection;
    } cases[] = {
        {"relu(z @ W + x)", NULL, true, true},
        {"clamp(0.5 * (x - z @ W), -1, 2)", NULL, true, true},
        {"z @ W + x", NULL, true, true},
        {"max(z @ W + x, x)", NULL, true, true},
        {"x + 0 * z", NULL, true, true},
        {"tanh(relu(z @ W) + 1)", NULL, true, false},
        {"0.5 * softplus(reshape(W @ z, [5]) - x) + x", NULL, true, false},
        {"if z @ W > 1 then z @ W else 0.1 * (z @ W) + 0.9", NULL, true, false},
        {"relu(x * (z @ W))", NULL, false, true},
        {"if z @ W > 1 then z @ W else 0.1 * (z @ W)", "need not meet", false, false},
        {"relu(z @ W) + relu(z)", "in two places", false, false},
        {"0 - relu(z @ W + x)", "can fall", false, false},
        {"2 * sigmoid(8 * z) + x", NULL, true, false},
        {"1.5 * tanh(z @ W + x)", "reaches 1.5", false, false},
        {"relu((z @ W) * z)", "in two places", false, false},
        {"relu((z @ W) * (z @ W))", "'mul'", false, false},
        {"softmax(z @ W)", "'", false, false},
        {"relu(z / (1 + norm(z)))", "'", false, false},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char text[1024];
        CompiledNet f;
        snprintf(text, sizeof text,
                 "layer Cell(x: f32[5]) -> f32[5] {\n  param W: f32[5, 5] = normal(std: 0.1)\n"
                 "  fixed point z: f32[5] { z = %s }\n  return z\n}\n"
                 "test \"t\" { check: gradcheck(Cell, directions: 1, tol: 1) }\n",
                 cases[k].equation);
        net_open(&f, net_program(text), "Cell", true, 1, 0, 0.1);
        const deq_fixed *d = f.c.module->fixed[0];
        if ((cases[k].why == NULL) != (d->linear != NULL) || (d->linear != NULL) == (d->unsplit != NULL))
            fail_msg("%s: %s", cases[k].equation, d->unsplit ? d->unsplit : "is recognised");
        if (cases[k].why && !strstr(d->unsplit, cases[k].why)) fail_msg("%s: %s", cases[k].equation, d->unsplit);
        if (!cases[k].why && (d->shared_linear != cases[k].shared || (d->slope == NULL) != cases[k].projection))
            fail_msg("%s: shared %d, projection %d", cases[k].equation, (int)d->shared_linear, d->slope == NULL);
        net_close(&f);
    }
}

/* What the form proves agrees with the matrix: the margin is never less, and is met where A is 0. */
static void margins(void **state) {
    (void)state;
    static const struct {
        const char *equation;
        double proved;
    } cases[] = {{"relu(0.3 * z - (z @ A') @ A + z @ B - z @ B' + x)", 0.7},
                 {"tanh(z @ (B - B') - 2 * z - z @ (A' @ A) + x)", 3},
                 {"relu(z @ (0.25 * B / (norm(B) + 0.001)) - (A @ z) @ A + x)", 0.75},
                 {"relu(z @ U + x)", 0.8}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char text[1024];
        CompiledNet f;
        deq_error e = {0};
        double margin;
        snprintf(text, sizeof text,
                 "layer Cell(x: f32[5]) -> f32[5] {\n  param A: f32[5, 5] = normal(std: 0.1)\n"
                 "  param B: f32[5, 5] = normal(std: 0.1)\n  let U = 0.2 * (B / max(norm(B), 1)) - A @ A'\n"
                 "  fixed point z: f32[5] {\n    z = %s\n    certify: monotone(0.1)\n  }\n  return z\n}\n"
                 "test \"t\" { check: gradcheck(Cell, directions: 1, tol: 1) }\n",
                 cases[k].equation);
        net_open(&f, net_program(text), "Cell", true, 1, 0, 2);
        const json_t *fixed = json_array_get(json_object_get(f.net, "fixed"), 0),
                     *proved = json_object_get(json_object_get(fixed, "certificate"), "proved");
        if (!json_is_number(proved)) fail_msg("%s: not proved", cases[k].equation);
        assert_true(fabs(json_number_value(proved) - cases[k].proved) < 1e-12);
        assert_true(deq_engine_margin(f.engine, 0, &margin, &e));
        if (!(margin >= cases[k].proved - 1e-12)) fail_msg("%s: the margin is %g", cases[k].equation, margin);
        net_close(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equilibria),   cmocka_unit_test(adjoints),    cmocka_unit_test(same_bits),
        cmocka_unit_test(large_margin), cmocka_unit_test(singular),    cmocka_unit_test(refused_settings),
        cmocka_unit_test(two_states),   cmocka_unit_test(convolution), cmocka_unit_test(chains),
        cmocka_unit_test(recognition),  cmocka_unit_test(margins),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(net_program(""));
    return failed;
}
