/* Gradients written by hand, compiled and run: they equal the derived one, whatever they use of their layer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compiled_net.h"

#define MOST 4096

/* Both gradients of the projection loss at n random examples from number `first` on. */
static bool gradients(CompiledNet *f, int64_t first, int64_t n, double *parameters, double *inputs,
                      deq_results *results, deq_error *e) {
    static double x[MOST], y[MOST], dx[MOST];
    assert_true((first + n) * (f->inputs + f->outputs) < MOST);
    uint64_t state = 11;
    for (int64_t k = 0; k < (first + n) * f->inputs; k++) net_put(f, x, k, random_real(&state));
    for (int64_t k = 0; k < (first + n) * f->outputs; k++) {
        state = (uint64_t)k * 977 + 5;
        random_real(&state);
        net_put(f, y, k, random_real(&state));
    }
    deq_dense dense = {(char *)x + first * f->inputs * f->real, (char *)y + first * f->outputs * f->real, f->inputs,
                       f->outputs};
    deq_source source = deq_dense_source(&dense);
    int64_t *index = deq_index_range(n);
    bool ok = deq_engine_gradient(f->engine, &source, index, n, "projection", NULL, NULL, 0, 0, results, e);
    free(index);
    for (int64_t k = 0; ok && parameters && k < f->elements; k++)
        parameters[k] = net_get(f, deq_engine_gradients(f->engine), k) * (double)n;
    if (!ok || !inputs) return ok;
    ok = deq_engine_input_gradient(f->engine, n, dense.x, dense.y, "projection", dx, results, e);
    for (int64_t k = 0; ok && k < n * f->inputs; k++) inputs[k] = net_get(f, dx, k);
    return ok;
}

static double difference(const double *a, const double *b, int64_t n) {
    double worst = 0, largest = 1e-300;
    for (int64_t k = 0; k < n; k++) {
        worst = fmax(worst, fabs(a[k] - b[k]));
        largest = fmax(largest, fabs(b[k]));
        if (!isfinite(a[k])) return INFINITY;
    }
    return worst / largest;
}

/* `mode` against the implicit gradient, both as far as doubles go. */
static void agrees(const char *path, const char *net, const char *mode, double bound) {
    CompiledNet f;
    deq_error e = {0};
    deq_results results = {0};
    static double derived[2 * MOST], written[2 * MOST];
    net_open(&f, path, net, true, 1, 0, 0.3);
    assert_true(f.elements < MOST);
    net_set(&f, "forward.tol", "1e-14");
    net_set(&f, "forward.max", "500");
    const char *modes[] = {"implicit(gmres(tol: 1e-15, max: 200))", mode};
    double *out[] = {derived, written};
    for (int k = 0; k < 2; k++) {
        net_set(&f, "gradient", modes[k]);
        if (!gradients(&f, 0, 9, out[k], out[k] + f.elements, &results, &e)) fail_msg("%s", e.text);
    }
    double norm = 0;
    for (int64_t k = 0; k < f.elements; k++) norm = fmax(norm, fabs(derived[k]));
    assert_true(norm > 1e-3);
    double p = difference(written, derived, f.elements),
           x = difference(written + f.elements, derived + f.elements, 9 * f.inputs);
    if (p > bound || x > bound) fail_msg("%s of %s: parameters differ by %g, inputs by %g", mode, net, p, x);
    net_close(&f);
}

static char written_path[256];

/* A file in the working folder, removed by the test's end. */
static const char *program(const char *text) {
    snprintf(written_path, sizeof written_path, "/tmp/test_hand_%d.deq", (int)getpid());
    FILE *f = fopen(written_path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return written_path;
}

#define TIGHT "(gmres(tol: 1e-15, max: 200))"

static void test_examples(void **state) {
    (void)state;
    agrees(DEQ_SOURCE_DIR "/examples/gradients.deq", "Tanh_6_5", "paper" TIGHT, 1e-12);
    agrees(DEQ_SOURCE_DIR "/examples/gradients.deq", "Tanh_6_5", "paper(anderson(tol: 1e-14, max: 200))", 1e-11);
    agrees(DEQ_SOURCE_DIR "/examples/monotone.deq", "Monotone_8_6", "paper" TIGHT, 1e-10);
}

/* Lets before and after the fixed point, an input used inside and outside, a parameter that only a let reads, a
 * setting, and an input of the layer that is a parameter of the net. */
static const char everything[] = "layer Cell[I, H](x: f32[I], y: f32[H], scale: f32 = 0.5) -> f32[H] {\n"
                                 "  param W: f32[H, H] = normal(std: 0.1)\n"
                                 "  param U: f32[I, H] = glorot()\n"
                                 "  param c: f32[H] = zeros()\n"
                                 "  let h = x @ U\n"
                                 "  fn M(v: f32[H]) -> f32[H] = scale * (v @ W)\n"
                                 "  fixed point z: f32[H] { z = tanh(M(z) + h + y * y * c) }\n"
                                 "  let twice = 2 * z\n"
                                 "  return twice + y\n"
                                 "}\n"
                                 "gradient full of Cell by hand {\n"
                                 "  let s = 1 - twice * twice / 4\n"
                                 "  fn K(v: f32[H]) -> f32[H] = v - transpose(M)(s * v)\n"
                                 "  let u = s * solve(K, d(z), gmres())\n"
                                 "  fn C(v: f32[H]) -> f32[H] = v * y * y * c\n"
                                 "  d(W) = vjp(M, z, u)\n"
                                 "  d(U) = outer(x, u)\n"
                                 "  (d(c), d(y)) = vjp(C, 1 + 0 * z, u)\n"
                                 "  fn E(v: f32[I]) -> f32[H] = v @ U\n"
                                 "  let dx = vjp(E, x, u)\n  d(x) = dx\n"
                                 "}\n"
                                 "layer Chain(x: f32[7]) -> f32[5] {\n"
                                 "  param shared: f32[5] = normal(std: 1)\n"
                                 "  use first  = Cell[7, 5]\n"
                                 "  use second = Cell[5, 5](scale: 0.3)\n"
                                 "  let a = first(x, shared)\n"
                                 "  return second(a, tanh(a) * 2) + second(a, shared * shared)\n"
                                 "}\n"
                                 "test \"t\" { check: gradcheck(Chain) }\n";

static void test_whole_layer(void **state) {
    (void)state;
    agrees(program(everything), "Chain", "full" TIGHT, 1e-11);
    remove(written_path);
}

/* Two states of different shape; the second is a function of the first, so that the system is solved block by block. */
static const char two_states[] = "layer Pair[I](x: f32[I]) -> f32[5] {\n"
                                 "  param A: f32[3, 3] = normal(std: 0.1)\n"
                                 "  param U: f32[I, 3] = glorot()\n"
                                 "  param V: f32[3, 2] = glorot()\n"
                                 "  fixed point (a: f32[3], b: f32[2]) {\n"
                                 "    a = tanh(a @ A + x @ U)\n"
                                 "    b = 0.5 * b + a @ V\n"
                                 "  }\n"
                                 "  return concat(a, b)\n"
                                 "}\n"
                                 "gradient paper of Pair by hand {\n"
                                 "  let w = 2 * d(b)\n"
                                 "  let s = 1 - a * a\n"
                                 "  fn K(v: f32[3]) -> f32[3] = v - (s * v) @ A'\n"
                                 "  let u = s * solve(K, d(a) + w @ V', gmres())\n"
                                 "  d(V) = outer(a, w)\n"
                                 "  d(A) = outer(a, u)\n"
                                 "  d(U) = outer(x, u)\n"
                                 "  d(x) = u @ U'\n"
                                 "}\n"
                                 "test \"t\" { check: gradcheck(Pair[4]) }\n";

static void test_two_states(void **state) {
    (void)state;
    agrees(program(two_states), "Pair_4", "paper" TIGHT, 1e-11);
    remove(written_path);
}

static void test_statuses(void **state) {
    (void)state;
    CompiledNet f;
    deq_error e = {0};
    deq_results r = {0};
    net_open(&f, DEQ_SOURCE_DIR "/examples/gradients.deq", "Tanh_6_5", true, 1, 0, 0.3);
    net_set(&f, "gradient", "paper");
    assert_true(gradients(&f, 0, 9, NULL, NULL, &r, &e));
    assert_int_equal(r.adjoint.solves, 9);
    assert_int_equal(r.adjoint.unconverged, 0);
    net_set(&f, "gradient.adjoint.tol", "1e-12");
    net_set(&f, "gradient.adjoint.max", "1");
    assert_true(gradients(&f, 0, 9, NULL, NULL, &r, &e));
    assert_int_equal(r.adjoint.unconverged, 9);
    assert_true(r.adjoint.worst_residual > 1e-12);
    net_set(&f, "on_fail", "stop");
    assert_false(gradients(&f, 0, 9, NULL, NULL, &r, &e));
    assert_int_equal(e.failure, DEQ_NOT_CONVERGED);
    assert_non_null(strstr(e.text, "a solve of the gradient by hand of fixed point Tanh_6_5_z did not converge"));
    net_set(&f, "gradient", "neumann"); /* solves nothing */
    e = (deq_error){0};
    assert_true(gradients(&f, 0, 9, NULL, NULL, &r, &e));
    assert_int_equal(r.adjoint.solves, 0);
    net_close(&f);
}

static void test_settings(void **state) {
    (void)state;
    CompiledNet f;
    net_open(&f, DEQ_SOURCE_DIR "/examples/gradients.deq", "Tanh_6_5", true, 1, 0, 0.3);
    static const struct {
        const char *path, *value, *why;
    } wrong[] = {
        {"gradient", "papers", "'papers' is not a gradient mode"},
        {"gradient", "paper(gmres(), 3)", "takes one argument, the solver of its solves"},
        {"gradient", "paper(cholesky())", "'cholesky' is not a solver; solvers: picard()"},
        {"gradient", "neumann(gmres())", "takes no arguments"},
    };
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        deq_error e = {0};
        if (deq_engine_set(f.engine, wrong[k].path, wrong[k].value, &e)) fail_msg("%s is accepted", wrong[k].value);
        if (!strstr(e.text, wrong[k].why)) fail_msg("%s", e.text);
    }
    deq_error e = {0};
    net_set(&f, "gradient", "neumann");
    assert_false(deq_engine_set(f.engine, "gradient.adjoint.tol", "1e-3", &e));
    assert_non_null(strstr(e.text, "`neumann` has no adjoint solver"));
    json_t *all = json_object();
    net_set(&f, "gradient", "paper");
    net_set(&f, "gradient.adjoint.tol", "1e-9");
    deq_engine_settings(f.engine, all);
    const char *text = json_string_value(json_object_get(all, "gradient"));
    assert_non_null(text);
    assert_int_equal(strncmp(text, "paper(gmres(tol: 1e-09, max: 30", 31), 0);
    net_set(&f, "gradient", text); /* reads back */
    json_decref(all);
    net_close(&f);
}

/* A batch of n is n batches of one, bit for bit in f32, and threads change nothing. */
static void test_bits(void **state) {
    (void)state;
    CompiledNet one, many;
    static double a[MOST], b[MOST], rows[MOST];
    deq_error e = {0};
    deq_results r = {0};
    const char *path = DEQ_SOURCE_DIR "/examples/gradients.deq";
    net_open(&one, path, "Tanh_6_5", false, 1, 0, 0.3);
    net_open(&many, path, "Tanh_6_5", false, 2, 8, 0.3);
    net_set(&one, "gradient", "paper");
    net_set(&many, "gradient", "paper");
    assert_true(gradients(&one, 0, 40, NULL, a, &r, &e));
    assert_true(gradients(&many, 0, 40, NULL, b, &r, &e));
    assert_memory_equal(a, b, 40 * 6 * sizeof *a);
    for (int64_t k = 0; k < 40; k++) assert_true(gradients(&one, k, 1, NULL, rows + 6 * k, &r, &e));
    assert_memory_equal(a, rows, 40 * 6 * sizeof *a);
    net_close(&one);
    net_open(&one, path, "Tanh_6_5", false, 1, 8, 0.3);
    net_set(&one, "gradient", "paper");
    assert_true(gradients(&one, 0, 40, a, NULL, &r, &e));
    assert_true(gradients(&many, 0, 40, b, NULL, &r, &e));
    assert_memory_equal(a, b, (size_t)one.elements * sizeof *a);
    net_close(&one);
    net_close(&many);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples), cmocka_unit_test(test_whole_layer), cmocka_unit_test(test_two_states),
        cmocka_unit_test(test_statuses), cmocka_unit_test(test_settings),    cmocka_unit_test(test_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
