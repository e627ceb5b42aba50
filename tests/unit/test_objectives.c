/* test_objectives.c - the routines that carry any cotangent of a net's output back, in every gradient mode, against a
 * loss that is this very product. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compiled_net.h"
#include "mode_texts.h"

#define EXAMPLES 5
#define TOLERANCE 1e-13 /* of the largest element: the same sums, one of them through a routine that is called */

static const char program[] = "layer Net(x: f32[6]) -> f32[4] {\n"
                              "  param W: f32[5, 5] = normal()\n"
                              "  param U: f32[6, 5] = normal()\n"
                              "  param V: f32[5, 4] = normal()\n"
                              "  param S: f32[6, 4] = normal()\n"
                              "  fixed point z: f32[5] { z = tanh(z @ W + x @ U) }\n"
                              "  return tanh(z @ V) + x @ S\n}\n\n"
                              "test \"1\" { check: gradcheck(Net, directions: 1, tol: 1) }\n";

typedef struct ModeRow {
    const char *text, *forward;
} ModeRow;
static const ModeRow modes[] = {
#define MODE(id, spelling, traits, forward, doc) {LIBRARY_##id, forward},
#include "modes.def"
};

static void must(bool ok, const char *what, const deq_error *e) {
    if (!ok) fail_msg("%s: %s", what, e->text);
}

static void set_mode(CompiledNet *f, const ModeRow *mode) {
    deq_error e = {0};
    const char *forward = !strcmp(mode->forward, "any") ? "broyden" : mode->forward;
    char text[96];
    snprintf(text, sizeof text, "%.*s(tol: 1e-14, max: 150)", (int)strcspn(forward, "|"), forward);
    must(deq_engine_set(f->engine, "gradient", "jfb()", &e), text, &e); /* it fits every solver */
    must(deq_engine_set(f->engine, "forward", text, &e), text, &e);
    must(deq_engine_set(f->engine, "gradient", mode->text, &e), mode->text, &e);
}

static void same(const char *mode, const char *what, const double *a, const double *b, int64_t n) {
    double size = 0;
    for (int64_t k = 0; k < n; k++) size = fmax(size, fabs(b[k]));
    assert_true(size > 1e-3);
    for (int64_t k = 0; k < n; k++)
        if (!(fabs(a[k] - b[k]) <= TOLERANCE * size))
            fail_msg("%s, %s: element %d is %.17g, not %.17g", mode, what, (int)k, a[k], b[k]);
}

static void test_cotangents(void **state) {
    (void)state;
    CompiledNet f;
    const char *path = net_program(program);
    CompileOptions o = {
        .path = path, .f64 = true, .tests = true, .cotangents = true, .optimise = 1, .last = STAGE_compile};
    net_open_with(&f, &o, "Net", 2, 2, 0.3);
    unlink(path);
    deq_error e = {0};
    uint64_t random = 3;
    double x[EXAMPLES * 6], u[EXAMPLES * 4], dx[EXAMPLES * 6], expected[EXAMPLES * 6];
    double *summed = calloc((size_t)f.elements, sizeof *summed);
    assert_non_null(summed);
    for (int k = 0; k < EXAMPLES * 6; k++) x[k] = random_real(&random);
    for (int k = 0; k < EXAMPLES * 4; k++) u[k] = random_real(&random);
    deq_dense rows = {x, u, 6, 4};
    deq_source source = deq_dense_source(&rows);
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        const char *mode = modes[m].text;
        set_mode(&f, &modes[m]);
        must(deq_engine_vjp(f.engine, EXAMPLES, x, u, dx, true, NULL, &e), mode, &e);
        memcpy(summed, deq_engine_gradients(f.engine), (size_t)f.elements * sizeof *summed);
        must(deq_engine_input_gradient(f.engine, EXAMPLES, x, u, "projection", expected, NULL, &e), mode, &e);
        same(mode, "inputs", dx, expected, EXAMPLES * 6);
        must(deq_engine_gradient(f.engine, &source, NULL, EXAMPLES, "projection", NULL, NULL, 0, 0, NULL, &e), mode,
             &e);
        double *mean = deq_engine_gradients(f.engine);
        for (int64_t k = 0; k < f.elements; k++) mean[k] *= EXAMPLES;
        same(mode, "parameters", summed, mean, f.elements);
    }
    free(summed);
    net_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cotangents)};
    return cmocka_run_group_tests_name("objectives", tests, NULL, NULL);
}
