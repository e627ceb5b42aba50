/* test_losses.c - losses of labels against their formulas, in double precision: three, four and ten classes, ties, the
 * label in every rank; gradients against differences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compiled_net.h"

enum { ROWS = 64, MOST = 10 };

static const char program[] =
    "import std.data (idx)\n"
    "import std.losses (dlr, dlr_to, margin, margin_to)\n"
    "import std.optimisers (adam)\n\n"
    "layer Two(x: f32[2]) -> f32[2] { param s: f32[2] = ones()\n return s * x }\n"
    "layer Three(x: f32[3]) -> f32[3] { param s: f32[3] = ones()\n return s * x }\n"
    "layer Four(x: f32[4]) -> f32[4] { param s: f32[4] = ones()\n return s * x }\n"
    "layer Ten(x: f32[10]) -> f32[10] { param s: f32[10] = ones()\n return s * x }\n"
    "data d2: (f32[2], label[2]) = idx(\"a\", \"b\")\n"
    "data d3: (f32[3], label[3]) = idx(\"a\", \"b\")\n"
    "data d4: (f32[4], label[4]) = idx(\"a\", \"b\")\n"
    "data d10: (f32[10], label[10]) = idx(\"a\", \"b\")\n"
    "train a2 = Two on d2.train { loss: margin; optimise: adam(rate: 1e-3); epochs: 1 }\n"
    "train b2 = Two on d2.train { loss: dlr_to(target: 1); optimise: adam(rate: 1e-3); epochs: 1 }\n"
    "train a3 = Three on d3.train { loss: dlr; optimise: adam(rate: 1e-3); epochs: 1 }\n"
    "train b3 = Three on d3.train { loss: dlr_to(target: 1); optimise: adam(rate: 1e-3); epochs: 1 }\n"
    "train a4 = Four on d4.train { loss: dlr; optimise: adam(rate: 1e-3); epochs: 1 }\n"
    "train b4 = Four on d4.train { loss: dlr_to(target: 1); optimise: adam(rate: 1e-3); epochs: 1 }\n"
    "train a10 = Ten on d10.train { loss: dlr; optimise: adam(rate: 1e-3); epochs: 1 }\n"
    "train b10 = Ten on d10.train { loss: dlr_to(target: 1); optimise: adam(rate: 1e-3); epochs: 1 }\n"
    "train c10 = Ten on d10.train { loss: margin; optimise: adam(rate: 1e-3); epochs: 1 }\n"
    "train e10 = Ten on d10.train { loss: margin_to(target: 1); optimise: adam(rate: 1e-3); epochs: 1 }\n";

static int falling(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static double margin_of(const double *z, int k, int y) {
    double other = -INFINITY;
    for (int i = 0; i < k; i++)
        if (i != y) other = fmax(other, z[i]);
    return other - z[y];
}

static double formula(const char *loss, const double *z, int k, int y) {
    double sorted[MOST];
    memcpy(sorted, z, (size_t)k * sizeof *z);
    qsort(sorted, (size_t)k, sizeof *sorted, falling);
    if (!strcmp(loss, "margin")) return margin_of(z, k, y);
    if (!strcmp(loss, "margin_to")) return z[1] - z[y];
    if (!strcmp(loss, "dlr")) return margin_of(z, k, y) / (sorted[0] - sorted[2] + 1e-12);
    const double unit = k == 2 ? 1 : k == 3 ? sorted[0] - sorted[2] : sorted[0] - 0.5 * (sorted[2] + sorted[3]);
    return (z[1] - z[y]) / (unit + 1e-12);
}

static void check(const CompileOptions *o, const char *net, int k, const char *loss) {
    CompiledNet f;
    deq_error e = {0};
    net_open_with(&f, o, net, 1, 16, 0.3);
    double *s = deq_engine_parameters(f.engine), x[ROWS * MOST], y[ROWS], value[ROWS], slope[ROWS * MOST];
    uint64_t random = 5;
    for (int i = 0; i < k; i++) s[i] = 1;
    deq_engine_prepare(f.engine);
    const bool ties = !strcmp(loss, "margin") || !strcmp(loss, "margin_to") || k > 3;
    for (int n = 0; n < ROWS; n++) {
        y[n] = n % k;
        for (int i = 0; i < k; i++) x[n * k + i] = 3 * random_real(&random) * (n < 8 ? 1e6 : 1);
        if (ties && n >= 48) x[n * k + (n + 1) % k] = x[n * k + n % k]; /* the label's equal */
    }
    deq_dense rows = {x, y, k, 1};
    deq_source source = deq_dense_source(&rows);
    deq_results r = {.loss = value};
    if (!deq_engine_evaluate(f.engine, &source, NULL, ROWS, loss, NULL, NULL, 0, NULL, NULL, &r, &e) ||
        !deq_engine_input_gradient(f.engine, ROWS, x, y, loss, slope, NULL, &e))
        fail_msg("%s: %s", loss, e.text);
    for (int n = 0; n < ROWS; n++) {
        const double expected = formula(loss, x + n * k, k, n % k);
        if (!(fabs(value[n] - expected) <= 1e-12 * (1 + fabs(expected))))
            fail_msg("%s of %d classes, row %d: %.17g, by the formula %.17g", loss, k, n, value[n], expected);
        for (int i = 0; n >= 8 && n < 48 && i < k; i++) {
            double *at = &x[n * k + i];
            const double kept = *at;
            *at = kept + 1e-6;
            double by = formula(loss, x + n * k, k, n % k);
            *at = kept - 1e-6;
            by = (by - formula(loss, x + n * k, k, n % k)) / 2e-6;
            *at = kept;
            if (!(fabs(slope[n * k + i] - by) <= 1e-7 * (1 + fabs(by)))) /* no logits are that near to each other */
                fail_msg("%s of %d classes, row %d: the slope is %.12g, by differences %.12g", loss, k, n,
                         slope[n * k + i], by);
        }
    }
    net_close(&f);
}

static void test_losses(void **state) {
    (void)state;
    const char *path = net_program(program);
    const CompileOptions o = {.path = path, .f64 = true, .optimise = 1, .last = STAGE_compile};
    check(&o, "Two", 2, "margin");
    check(&o, "Two", 2, "dlr_to");
    check(&o, "Three", 3, "dlr");
    check(&o, "Three", 3, "dlr_to");
    check(&o, "Four", 4, "dlr");
    check(&o, "Four", 4, "dlr_to");
    check(&o, "Ten", 10, "dlr");
    check(&o, "Ten", 10, "dlr_to");
    check(&o, "Ten", 10, "margin");
    check(&o, "Ten", 10, "margin_to");
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_losses)};
    return cmocka_run_group_tests_name("losses", tests, NULL, NULL);
}
