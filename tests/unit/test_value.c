/* test_value.c - who measures a net measures its value: the loss that `deq gradcheck` takes differences of, and what
 * `deq bench` counts for a prediction, for every finish, gradient mode and kind of forward solve. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compiled_net.h"
#include "probe.h"

enum { EXAMPLES = 3, CLASSES = 4, STEPS = 3 };

static const char text[] =
    "import std.layers (Dense)\nimport std.losses (cross_entropy)\nimport std.optimisers (sgd)\n"
    "import std.data (idx)\n"
    "layer Net(x: f32[1, 2, 4]) -> f32[4] {\n  param W: f32[12, 12] = normal(std: 0.5)\n  use inject = Dense[8, 12]\n"
    "  use head = Dense[12, 4]\n  let u = x |> flatten |> inject\n"
    "  fixed point z: f32[12] {\n    z = tanh(z @ W + u)\n    forward: picard(tol: 0, max: 3)\n"
    "    gradient: jfb()\n  }\n  return head(z)\n}\n"
    "data d: (f32[1, 2, 4], label[4]) = idx(\"a\", \"b\")\n"
    "train one = Net on d.train { loss: cross_entropy; optimise: sgd(rate: 0); epochs: 1 }\n";

/* What a prediction costs beside the solver's own evaluations; after Broyden f of the last state is known. */
static const struct {
    const char *finish;
    int steps, after_broyden;
} finishes[] = {{"none", 0, 0},
                {"apply()", 1, 0},
                {"apply(always: true)", 1, 0},
                {"apply(steps: 3, damping: 0.5)", 3, 2},
                {"apply(steps: 5, damping: 0.7, undamped_first: true)", 6, 5}};
static const struct {
    const char *solver;
    int evaluations;
} forwards[] = {
    {"picard(tol: 0, max: 3)", STEPS}, {"anderson(tol: 0, max: 3)", STEPS}, {"broyden(tol: 0, max: 3)", STEPS + 1}};
static const char *const modes[] = {"implicit(gmres())",
                                    "phantom.unroll(steps: 4, damping: 0.5)",
                                    "phantom.neumann(steps: 4)",
                                    "jfb()",
                                    "simultaneous(states: 1..3)",
                                    "unrolled(from: 2)",
                                    "backprop()",
                                    "shine()",
                                    "augmented(steps: 4)"};
#define COUNT(list) (sizeof list / sizeof *(list))

static double cross_entropy(const CompiledNet *f, const void *output, const void *target) {
    double sum = 0;
    for (int64_t row = 0; row < EXAMPLES; row++) {
        double most = -INFINITY, all = 0;
        for (int k = 0; k < CLASSES; k++) most = fmax(most, net_get(f, output, row * CLASSES + k));
        for (int k = 0; k < CLASSES; k++) all += exp(net_get(f, output, row * CLASSES + k) - most);
        sum += log(all) + most - net_get(f, output, row * CLASSES + (int64_t)net_get(f, target, row));
    }
    return sum / EXAMPLES;
}

/* Does the mode run after this solver? */
static bool fits(size_t mode, size_t forward) {
    static const char *const of_broyden[] = {"simultaneous", "unrolled", "shine"};
    for (size_t k = 0; k < COUNT(of_broyden); k++)
        if (!strncmp(modes[mode], of_broyden[k], strlen(of_broyden[k]))) return forward == 2;
    return strcmp(modes[mode], "backprop()") || forward == 0;
}

static void agree(double found, double right, int bits, const char *what, const char *forward, const char *mode,
                  const char *finish) {
    if (!(fabs(found - right) <= (bits == 32 ? 2e-6 : 1e-14) * fmax(1, fabs(right))))
        fail_msg("f%d, %s, %s, finish: %s: %s is %.17g, not %.17g", bits, forward, mode, finish, what, found, right);
}

static void check(const CompiledNet *f, deq_probe *p, size_t forward, size_t mode, size_t finish) {
    const int bits = (int)(8 * f->real);
    const char *solver = forwards[forward].solver, *gradient = modes[mode], *value = finishes[finish].finish;
    double outputs[EXAMPLES * CLASSES], loss, gradients[4096];
    deq_results r = {0};
    deq_error e = {0};
    if (!deq_probe_set(p, "", "gradient", "jfb()", &e) || !deq_probe_set(p, "", "forward", solver, &e) ||
        !deq_probe_set(p, "", "gradient", gradient, &e) || !deq_probe_set(p, "", "finish", value, &e) ||
        !deq_engine_forward(p->engine, EXAMPLES, p->x, outputs, &r, &e))
        fail_msg("%s, %s, finish: %s: %s", solver, gradient, value, e.text);
    const double right = cross_entropy(f, outputs, p->y);

    /* what `deq bench` prints beside "predict": evaluations of f */
    const int extra = forward == 2 ? finishes[finish].after_broyden : finishes[finish].steps;
    assert_int_equal(r.forward.evaluations, EXAMPLES * (forwards[forward].evaluations + extra));

    /* without a gradient; beside that of the input, whose states stay the same; beside that of the parameters */
    for (int way = 0; way < 3; way++) {
        static const char *const ways[] = {"the loss", "the loss beside the input's gradient", "the training's loss"};
        p->steps = way == 1;
        p->training = way == 2;
        if (!deq_probe_hold(p, &e) || !deq_probe_loss(p, &loss, &e)) fail_msg("%s", e.text);
        agree(loss, right, bits, ways[way], solver, gradient, value);
        if (way == 1) { /* from the states that are held */
            if (!deq_probe_loss(p, &loss, &e)) fail_msg("%s", e.text);
            agree(loss, right, bits, "the loss at held states", solver, gradient, value);
        }
        if (way == 0) {
            assert_int_equal(p->last.forward.evaluations, r.forward.evaluations);
            assert_true(p->length <= (int64_t)COUNT(gradients));
            if (!deq_probe_gradient(p, gradients, &e)) fail_msg("%s", e.text);
        }
    }
    p->steps = p->training = false;
    if (!deq_probe_hold(p, &e)) fail_msg("%s", e.text);
}

static void test_value(void **state) {
    (void)state;
    const char *path = net_program(text);
    for (int bits = 32; bits <= 64; bits += 32) {
        CompiledNet f;
        CompileOptions o = {.path = path, .f64 = bits == 64, .optimise = 2, .last = STAGE_compile};
        net_open_with(&f, &o, "Net", 1, 0, 0.7);
        deq_error e = {0};
        const deq_net_spec *spec = deq_manifest_net(net_manifest(f.c.module, &e), "Net");
        deq_probe p;
        if (!deq_probe_open(&p, f.c.module, spec, "cross_entropy", EXAMPLES, 1, 0, &e) || !deq_probe_random(&p, 1, &e))
            fail_msg("%s", e.text);
        for (size_t forward = 0; forward < COUNT(forwards); forward++)
            for (size_t mode = 0; mode < COUNT(modes); mode++)
                for (size_t finish = 0; fits(mode, forward) && finish < COUNT(finishes); finish++)
                    check(&f, &p, forward, mode, finish);
        deq_probe_close(&p);
        net_close(&f);
    }
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_value)};
    return cmocka_run_group_tests_name("value", tests, NULL, NULL);
}
