/* test_objectives.c - the routines that carry any cotangent of a net's output back, in every gradient mode, against a
 * loss that is this very product; losses of clean and attacked outputs against the published formulas and differences. */
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
/* As published: of states that have not converged, so that only their own loss has the same gradient. */
static const ModeRow ensembles[] = {{"simultaneous(states: 1..9, beta: 0.5)", "broyden"},
                                    {"simultaneous(states: 2..6, combine: sum)", "broyden"},
                                    {"unrolled(from: 1..9, steps: 5, damping: 0.5)", "any"}};

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

/* From kept solves, and without the parameters: the same bits. */
static void check_kept(CompiledNet *f, const double *x, const double *u, const double *dx, const double *summed) {
    deq_error e = {0};
    double output[EXAMPLES * 4], *own = calloc((size_t)(EXAMPLES * f->inputs), sizeof *own);
    const size_t input = (size_t)(EXAMPLES * f->inputs) * sizeof *own;
    deq_kept_states *kept = deq_engine_keep(f->engine, EXAMPLES, x, output, NULL, &e);
    must(kept && own, "keep", &e);
    for (int parameters = 0; parameters < 2; parameters++) {
        must(deq_engine_vjp(f->engine, EXAMPLES, x, kept, u, own, parameters, NULL, &e), "kept", &e);
        assert_memory_equal(own, dx, input);
    }
    assert_memory_equal(deq_engine_gradients(f->engine), summed, (size_t)f->elements * sizeof *summed);
    must(deq_engine_vjp(f->engine, EXAMPLES, x, NULL, u, own, false, NULL, &e), "alone", &e);
    assert_memory_equal(own, dx, input);
    deq_kept_states_free(kept);
    free(own);
}

static void open_with_cotangents(CompiledNet *f, const char *text) {
    const char *path = net_program(text);
    CompileOptions o = {
        .path = path, .f64 = true, .tests = true, .cotangents = true, .optimise = 1, .last = STAGE_compile};
    net_open_with(f, &o, "Net", 2, 2, 0.3);
    unlink(path);
}

static void test_cotangents(void **state) {
    (void)state;
    CompiledNet f;
    open_with_cotangents(&f, program);
    deq_error e = {0};
    uint64_t random = 3;
    double x[EXAMPLES * 6], u[EXAMPLES * 4], dx[EXAMPLES * 6], expected[EXAMPLES * 6];
    double *summed = calloc((size_t)f.elements, sizeof *summed);
    assert_non_null(summed);
    for (int k = 0; k < EXAMPLES * 6; k++) x[k] = random_real(&random);
    for (int k = 0; k < EXAMPLES * 4; k++) u[k] = random_real(&random);
    deq_dense rows = {x, u, 6, 4};
    deq_source source = deq_dense_source(&rows);
    const size_t nmodes = sizeof modes / sizeof *modes, all = nmodes + sizeof ensembles / sizeof *ensembles;
    for (size_t m = 0; m < all; m++) {
        const ModeRow *row = m < nmodes ? &modes[m] : &ensembles[m - nmodes];
        const char *mode = row->text;
        set_mode(&f, row);
        must(deq_engine_vjp(f.engine, EXAMPLES, x, NULL, u, dx, true, NULL, &e), mode, &e);
        memcpy(summed, deq_engine_gradients(f.engine), (size_t)f.elements * sizeof *summed);
        check_kept(&f, x, u, dx, summed);
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

/* ---- nets that compute something else in training ---- */

static const char predicted[] = "import std.layers (BatchNorm, ChannelDropout)\n\n"
                                "layer Body(v: f32[18]) -> f32[5] {\n"
                                "  param W: f32[5, 5] = normal()\n"
                                "  param U: f32[18, 5] = normal()\n"
                                "  fixed point z: f32[5] { z = tanh(z @ W + v @ U) }\n"
                                "  return z\n}\n\n"
                                "layer Net(x: f32[2, 3, 3]) -> f32[4] {\n"
                                "  param V: f32[5, 4] = normal()\n"
                                "  use norm = BatchNorm[2]\n"
                                "  use drop = ChannelDropout[2]\n"
                                "  use body = Body\n"
                                "  let v = flatten(drop(norm(x)))\n"
                                "  return (body(v) + body(0.5 * v)) @ V\n}\n\n"
                                "test \"1\" { check: gradcheck(Net, directions: 1, tol: 1) }\n";

static double projected(CompiledNet *f, const double *x, const double *u) {
    deq_error e = {0};
    double output[EXAMPLES * 4], sum = 0;
    must(deq_engine_forward(f->engine, EXAMPLES, x, output, NULL, &e), "forward", &e);
    for (int k = 0; k < EXAMPLES * 4; k++) sum += output[k] * u[k];
    return sum;
}

/* The product is that of the prediction: kept statistics, no dropout; a layer called twice has two solves. */
static void test_predicted(void **state) {
    (void)state;
    enum { INPUTS = EXAMPLES * 18 };
    CompiledNet f;
    open_with_cotangents(&f, predicted);
    deq_error e = {0};
    uint64_t random = 3;
    double x[INPUTS], u[EXAMPLES * 4], dx[INPUTS], to_x[INPUTS], *parameters = deq_engine_parameters(f.engine);
    double *dp = calloc((size_t)f.elements, sizeof *dp), *to = calloc((size_t)f.elements, sizeof *to);
    assert_true(dp && to);
    size_t i;
    json_t *p;
    json_array_foreach(json_object_get(f.net, "parameters"), i, p) {
        const int64_t at = json_integer_value(json_object_get(p, "offset")) / f.real;
        for (int64_t k = 0; k < json_count(json_object_get(p, "shape")); k++)
            if (json_is_true(json_object_get(p, "trained")))
                to[at + k] = random_real(&random);
            else
                parameters[at + k] = 0.6 + 0.3 * random_real(&random); /* a variance */
    }
    deq_engine_prepare(f.engine);
    for (int k = 0; k < INPUTS; k++) x[k] = random_real(&random), to_x[k] = random_real(&random);
    for (int k = 0; k < EXAMPLES * 4; k++) u[k] = random_real(&random);
    set_mode(&f, &modes[0]);
    must(deq_engine_vjp(f.engine, EXAMPLES, x, NULL, u, dx, true, NULL, &e), "vjp", &e);
    memcpy(dp, deq_engine_gradients(f.engine), (size_t)f.elements * sizeof *dp);
    check_kept(&f, x, u, dx, dp);
    double own = 0, slope = 0;
    for (int k = 0; k < INPUTS; k++) own += dx[k] * to_x[k];
    for (int64_t k = 0; k < f.elements; k++) own += dp[k] * to[k];
    for (int side = 1; side >= -1; side -= 2) {
        const double h = side * 1e-5;
        for (int k = 0; k < INPUTS; k++) x[k] += h * to_x[k];
        for (int64_t k = 0; k < f.elements; k++) parameters[k] += h * to[k];
        deq_engine_prepare(f.engine);
        slope += side * projected(&f, x, u) / 2e-5;
        for (int k = 0; k < INPUTS; k++) x[k] -= h * to_x[k];
        for (int64_t k = 0; k < f.elements; k++) parameters[k] -= h * to[k];
    }
    if (!(fabs(own - slope) <= 1e-8 * (1 + fabs(slope))))
        fail_msg("the slope is %.12g, by differences %.12g", own, slope);
    free(dp), free(to);
    net_close(&f);
}

/* ---- losses of clean and attacked outputs ---- */

static const char pairs[] =
    "import std.data (fashion_mnist)\n"
    "import std.losses (mart, trades)\n"
    "import std.attacks (noise)\n"
    "import std.optimisers (adam)\n\n"
    "layer Net(image: f32[1, 28, 28]) -> f32[10] {\n"
    "  param W: f32[5, 5] = normal()\n"
    "  param U: f32[784, 5] = normal()\n"
    "  param V: f32[5, 10] = normal()\n"
    "  let x = flatten(image)\n"
    "  fixed point z: f32[5] { z = tanh(z @ W + 0.1 * (x @ U)) }\n"
    "  return 3 * (z @ V)\n}\n\n"
    "data d: (f32[1, 28, 28], label[10]) = fashion_mnist()\n"
    "train a = Net on d.train {\n"
    "  loss: trades(beta: 3); optimise: adam(rate: 1e-3); attack: noise(radius: 0.3); epochs: 1\n}\n"
    "train b = Net on d.train {\n"
    "  loss: mart; optimise: adam(rate: 1e-3); attack: noise(radius: 0.3); epochs: 1\n}\n";

static double log_softmax(const double *z, int k) {
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < 10; i++) most = fmax(most, z[i]);
    for (int i = 0; i < 10; i++) sum += exp(z[i] - most);
    return z[k] - most - log(sum);
}

/* As published (method section of ../shared/paper/attacks.md, 1.4 and 1.5). */
static double published(bool mart, const double *clean, const double *attacked, int y) {
    double divergence = 0, wrong = 0;
    for (int k = 0; k < 10; k++) {
        divergence += exp(log_softmax(clean, k)) * (log_softmax(clean, k) - log_softmax(attacked, k));
        if (k != y) wrong = fmax(wrong, exp(log_softmax(attacked, k)));
    }
    if (!mart) return -log_softmax(clean, y) + 3 * divergence;
    return -log_softmax(attacked, y) - log(1.0001 - wrong + 1e-12) +
           6 * divergence * (1.0000001 - exp(log_softmax(clean, y)));
}

/* The generated derivatives in either output, and the value, at random outputs. */
static void check_objective(const deq_module *m, const char *name, bool mart, bool clean) {
    const deq_routine *routine = NULL;
    for (int64_t k = 0; k < m->routine_count; k++)
        if (!strcmp(m->routines[k].name, name)) routine = &m->routines[k];
    if (!routine) fail_msg("there is no routine %s", name);
    _Alignas(64) double own[16] = {0}, record[16 + 8 + 8] = {0}, value[8], slope[16];
    char *scratch = aligned_alloc(64, (size_t)(routine->base_bytes + routine->row_bytes + 64) / 64 * 64);
    assert_non_null(scratch);
    uint64_t random = 11;
    for (int trial = 0; trial < 20; trial++) {
        for (int k = 0; k < 10; k++) own[k] = 4 * random_real(&random), record[k] = 4 * random_real(&random);
        record[16] = trial % 10;
        record[24] = 3; /* beta of trades: that of mart is its default, and no data */
        deq_frame frame = {.scratch = scratch, .rest = record, .arg0 = own, .arg1 = value, .arg2 = slope};
        routine->function(&frame, 1);
        const double *z = clean ? own : record, *other = clean ? record : own;
        const double expected = published(mart, z, other, trial % 10);
        if (!(fabs(value[0] - expected) <= 1e-12 * (1 + fabs(expected))))
            fail_msg("%s is %.17g, not %.17g", name, value[0], expected);
        for (int k = 0; k < 10; k++) {
            const double at = own[k], step = 1e-5;
            own[k] = at + step;
            double above = published(mart, z, other, trial % 10);
            own[k] = at - step;
            double below = published(mart, z, other, trial % 10);
            own[k] = at;
            if (!(fabs(slope[k] - (above - below) / (2 * step)) <= 1e-9 * (1 + fabs(expected))))
                fail_msg("%s: the derivative in output %d is %.12g, by differences %.12g", name, k, slope[k],
                         (above - below) / (2 * step));
        }
    }
    free(scratch);
}

/* The gradient in the parameters goes through both outputs: against differences of the loss, in every mode. */
static void check_training(CompiledNet *f, const deq_train_spec *t) {
    deq_error e = {0};
    uint64_t random = 5;
    double x[3 * 784], y[3] = {2, 7, 0}, losses[3];
    for (int k = 0; k < 3 * 784; k++) x[k] = 0.5 + 0.5 * random_real(&random);
    deq_dense rows = {x, y, 784, 1};
    deq_source source = deq_dense_source(&rows);
    deq_attack attack = {.routine = t->attack->routine, .scalars = (const double[]){0.3}};
    double *direction = calloc((size_t)f->elements, sizeof *direction),
           *kept = calloc((size_t)f->elements, sizeof *kept);
    double *parameters = deq_engine_parameters(f->engine), slope = 0;
    assert_true(direction && kept);
    memcpy(kept, parameters, (size_t)f->elements * sizeof *kept);
    for (int64_t k = 0; k < f->elements; k++) direction[k] = random_real(&random);
    set_mode(f, &modes[0]);
    for (int side = 1; side >= -1; side -= 2) {
        for (int64_t k = 0; k < f->elements; k++) parameters[k] = kept[k] + side * 1e-5 * direction[k];
        deq_engine_prepare(f->engine);
        deq_results r = {.loss = losses};
        must(deq_engine_evaluate(f->engine, &source, NULL, 3, t->loss, NULL, &attack, 9, NULL, NULL, &r, &e), t->loss,
             &e);
        for (int k = 0; k < 3; k++) slope += side * losses[k] / 3 / 2e-5;
    }
    memcpy(parameters, kept, (size_t)f->elements * sizeof *kept);
    deq_engine_prepare(f->engine);
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        if (m == DEQ_MODE_jfb) continue; /* one step, and so another gradient */
        set_mode(f, &modes[m]);
        must(deq_engine_gradient(f->engine, &source, NULL, 3, t->loss, NULL, &attack, 9, 0, NULL, &e), modes[m].text,
             &e);
        const double *gradient = deq_engine_gradients(f->engine);
        double own = 0, size = 0;
        for (int64_t k = 0; k < f->elements; k++) own += gradient[k] * direction[k], size += fabs(gradient[k]);
        if (!(fabs(own - slope) <= 1e-9 * (1 + size)))
            fail_msg("%s, %s: the slope is %.12g, by differences %.12g", t->loss, modes[m].text, own, slope);
    }
    free(direction), free(kept);
}

static void test_pairs(void **state) {
    (void)state;
    CompiledNet f;
    const char *path = net_program(pairs);
    CompileOptions o = {.path = path, .f64 = true, .optimise = 1, .last = STAGE_compile};
    net_open_with(&f, &o, "Net", 1, 2, 0.3);
    unlink(path);
    deq_error e = {0};
    const deq_manifest *m = net_manifest(f.c.module, &e);
    must(m && m->ntrains == 2, "manifest", &e);
    for (int k = 0; k < 2; k++) {
        const deq_loss_spec *l = NULL;
        for (int i = 0; i < m->nets[0].nlosses; i++)
            if (!strcmp(m->nets[0].losses[i].name, m->trains[k].loss)) l = &m->nets[0].losses[i];
        assert_non_null(l);
        check_objective(f.c.module, l->clean, k == 1, true);
        check_objective(f.c.module, l->attacked, k == 1, false);
        check_training(&f, &m->trains[k]);
    }
    net_close(&f);
}

/* ---- gradients of objectives in attacks ---- */

static const char objectives[] =
    "import std.data (idx)\n"
    "import std.losses (cross_entropy, margin)\n"
    "import std.attacks (bim)\n"
    "import std.metrics (accuracy)\n"
    "import std.optimisers (adam)\n\n"
    "layer Net(x: f32[6]) -> f32[4] {\n"
    "  param W: f32[5, 5] = normal()\n"
    "  param U: f32[6, 5] = normal()\n"
    "  param V: f32[5, 4] = normal()\n"
    "  fixed point z: f32[5] { z = tanh(z @ W + x @ U) }\n"
    "  return 3 * (z @ V)\n}\n\n"
    "attack slope(x: f32[..S], y: label[K]; weight: f32) {\n"
    "  let clean = logits(x)\n"
    "  state far = 2.0\n"
    "  fn near(v: f32[..S]) -> f32 =\n"
    "    dot(tanh(logits(v)), clean) + weight * loss(far * v) * norm(v) + sum(v * x) * logits(v)[1]\n"
    "  return gradient(near, at: 0.5 * x)\n}\n\n"
    "attack height(x: f32[..S], y: label[K]; weight: f32, t: f32) {\n"
    "  let clean = logits(x)\n"
    "  fn near(v: f32[..S]) -> f32 =\n"
    "    dot(tanh(logits(v)), clean) + weight * loss(2 * v) * norm(v) + sum(v * x) * logits(v)[1]\n"
    "  return 0 * x + near((0.5 + t) * x)\n}\n\n"
    "attack through(x: f32[..S], y: label[K]; radius: f32, rounds: int) {\n"
    "  state a = x\n"
    "  let first = bim(x, y; radius: radius, step: 0.1, iterations: rounds)\n"
    "  repeat 2 {\n"
    "    let kept = a\n"
    "    a = bim(x, y; radius: radius, step: 0.1, iterations: 3) with { loss: margin }\n"
    "    let unused = kept + first\n"
    "  }\n"
    "  return a + 0 * first\n}\n\n"
    "data d: (f32[6], label[4]) = idx(\"a\", \"b\")\n"
    "train net = Net on d.train { loss: cross_entropy; optimise: adam(rate: 1e-3); epochs: 1 }\n"
    "experiment e {\n"
    "  let a = accuracy(net, d.train under slope(weight: 0.7))\n"
    "  let b = accuracy(net, d.train under height(weight: 0.7, t: 0.5))\n"
    "  let c = accuracy(net, d.train under through(radius: 0.3, rounds: 2))\n"
    "  let d1 = accuracy(net, d.train under (bim(radius: 0.3, step: 0.1, iterations: 3) with { loss: margin }))\n"
    "  table \"t\" { columns: [a, b, c, d1] }\n}\n";

/* Where the attack leads: EXAMPLES rows of 6. */
static void lead(CompiledNet *f, const deq_source *source, const char *routine, const double *scalars, double *out) {
    deq_error e = {0};
    int64_t index[EXAMPLES];
    for (int k = 0; k < EXAMPLES; k++) index[k] = k;
    deq_attack attack = {.routine = routine, .scalars = scalars};
    deq_results r = {.inputs = out};
    must(deq_engine_evaluate(f->engine, source, index, EXAMPLES, "cross_entropy", NULL, &attack, 0, NULL, NULL, &r, &e),
         routine, &e);
}

/* Two points, the outputs at one of them in the objective of the other, captured values, and v itself. */
static void test_attacks(void **state) {
    (void)state;
    CompiledNet f;
    const char *path = net_program(objectives);
    CompileOptions o = {.path = path, .f64 = true, .optimise = 1, .last = STAGE_compile};
    net_open_with(&f, &o, "Net", 2, 2, 0.3);
    unlink(path);
    uint64_t random = 3;
    double x[EXAMPLES * 6], y[EXAMPLES] = {0, 1, 2, 3, 1}, slope[EXAMPLES * 6], above[EXAMPLES * 6],
                            below[EXAMPLES * 6];
    for (int k = 0; k < EXAMPLES * 6; k++) x[k] = random_real(&random);
    deq_dense rows = {x, y, 6, 1};
    deq_source source = deq_dense_source(&rows);
    const double step = 1e-5;
    set_mode(&f, &modes[0]);
    lead(&f, &source, "Net_cross_entropy_height", (const double[]){0.7, step}, above);
    lead(&f, &source, "Net_cross_entropy_height", (const double[]){0.7, -step}, below);
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        if (m == DEQ_MODE_jfb) continue;
        set_mode(&f, &modes[m]);
        lead(&f, &source, "Net_cross_entropy_slope", (const double[]){0.7}, slope);
        for (int k = 0; k < EXAMPLES; k++) {
            double own = 0, difference = (above[6 * k] - below[6 * k]) / (2 * step);
            for (int i = 0; i < 6; i++) own += slope[6 * k + i] * x[6 * k + i];
            if (!(fabs(own - difference) <= 1e-8 * (1 + fabs(difference))))
                fail_msg("%s, example %d: the slope is %.12g, by differences %.12g", modes[m].text, k, own, difference);
        }
    }
    /* An attack as a step of another, with a loss of its own, is that attack. */
    lead(&f, &source, "Net_cross_entropy_through", (const double[]){0.3, 2, 2, 3}, above);
    lead(&f, &source, "Net_margin_bim", (const double[]){0.3, 0.1, 3, INFINITY}, below);
    assert_memory_equal(above, below, sizeof above);
    /* bim stays in [0, 1]: from an element outside it comes to the nearest end. */
    for (int k = 0; k < EXAMPLES * 6; k++)
        assert_true(fabs(above[k] - fmin(fmax(x[k], 0), 1)) <= 0.3 + 1e-12 && above[k] >= 0 && above[k] <= 1);
    net_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cotangents), cmocka_unit_test(test_predicted),
                                       cmocka_unit_test(test_pairs), cmocka_unit_test(test_attacks)};
    return cmocka_run_group_tests_name("objectives", tests, NULL, NULL);
}
