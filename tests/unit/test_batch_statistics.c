/* test_batch_statistics.c - attacks in training on nets with statistics of the batch: with `batch_statistics: train` they
 * see those of the batch, with `eval` those that are kept.  Both against closed forms, for any threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compiled_net.h"
#include "manifest.h"

enum { EXAMPLES = 67, INPUTS = 3, OUTPUTS = 2 };

/* z = (x - m) W, m the mean over the batch or what is kept of it; what is dropped in training is not dropped in attacks. */
static const char program[] = "import std.data (npz)\n"
                              "import std.losses (mean_squared_error)\n"
                              "import std.optimisers (sgd)\n\n"
                              "layer Net(x: f32[3]) -> f32[2] {\n"
                              "  param W: f32[3, 2] = normal()\n"
                              "  buffer kept: f32[3] = zeros()\n"
                              "  return ((x - statistic(x, kept, momentum: 0.1)) * dropout([3], 0.4)) @ W\n}\n\n"
                              "data d: (f32[3], f32[2]) = npz(\"d.npz\", images: \"x\", labels: \"y\", test_images: "
                              "\"x\", test_labels: \"y\")\n\n"
                              "attack climb(x: f32[..S], y: label[K]; step: f32, times: int) {\n"
                              "  state a = x\n"
                              "  repeat times { a = a + step * gradient(loss, at: a) }\n"
                              "  return a\n}\n\n"
                              "attack away(x: f32[..S], y: label[K]; step: f32) {\n"
                              "  let clean = logits(x)\n"
                              "  fn product(v: f32[..S]) -> f32 = dot(logits(v), clean)\n"
                              "  return x + step * gradient(product, at: x) + 0.01 * loss(x)\n}\n\n"
                              "train climbs = Net on d.train {\n"
                              "  loss: mean_squared_error; optimise: sgd(rate: 0.1); epochs: 1; batch: 67\n"
                              "  attack: climb(step: 0.3, times: 3); batch_statistics: train\n}\n"
                              "train runs = Net on d.train {\n"
                              "  loss: mean_squared_error; optimise: sgd(rate: 0.1); epochs: 1; batch: 67\n"
                              "  attack: away(step: 0.3); batch_statistics: train\n}\n"
                              "train stays = Net on d.train {\n"
                              "  loss: mean_squared_error; optimise: sgd(rate: 0.1); epochs: 1; batch: 67\n"
                              "  attack: away(step: 0.3); batch_statistics: eval\n}\n";

typedef struct Case {
    double W[INPUTS][OUTPUTS], kept[INPUTS];
    double x[EXAMPLES][INPUTS], y[EXAMPLES][OUTPUTS], z[EXAMPLES][OUTPUTS];
} Case;

static void open_net(CompiledNet *net, Case *c, int threads) {
    const char *path = net_program(program);
    CompileOptions o = {.path = path, .f64 = true, .optimise = 1, .last = STAGE_compile};
    net_open_with(net, &o, "Net", threads, 4, 0.7);
    unlink(path);
    const double *parameters = deq_engine_parameters(net->engine);
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(net->net, "parameters"), i, item) {
        const double *from = parameters + json_integer_value(json_object_get(item, "offset")) / 8;
        const bool matrix = json_count(json_object_get(item, "shape")) == INPUTS * OUTPUTS;
        memcpy(matrix ? (void *)c->W : (void *)c->kept, from, matrix ? sizeof c->W : sizeof c->kept);
    }
    uint64_t state = 11;
    for (int n = 0; n < EXAMPLES; n++) {
        for (int k = 0; k < INPUTS; k++) c->x[n][k] = random_real(&state) + 0.5 * k;
        for (int k = 0; k < OUTPUTS; k++) c->y[n][k] = random_real(&state);
    }
}

static void attack(CompiledNet *net, const char *train, Case *c, double (*out)[INPUTS], bool in_batch) {
    deq_error e = {0};
    const deq_manifest *m = net_manifest(net->c.module, &e);
    const deq_attack_spec *spec = NULL;
    for (int k = 0; m && k < m->ntrains; k++)
        if (!strcmp(m->trains[k].name, train)) spec = m->trains[k].attack;
    if (!spec) fail_msg("no attack of %s: %s", train, e.text);
    if (in_batch) assert_non_null(spec->in_batch);
    double scalars[8], loss[EXAMPLES];
    for (int k = 0; k < spec->nscalars; k++) scalars[k] = spec->scalars[k].value;
    const deq_attack a = {
        .routine = in_batch ? spec->in_batch : spec->routine, .scalars = scalars, .in_batch = in_batch};
    deq_dense rows = {c->x, c->y, INPUTS, OUTPUTS};
    const deq_source source = deq_dense_source(&rows);
    deq_results r = {.loss = loss, .inputs = out};
    int64_t index[EXAMPLES];
    for (int n = 0; n < EXAMPLES; n++) index[n] = n;
    if (!deq_engine_gradient(net->engine, &source, index, EXAMPLES, "mean_squared_error", NULL, &a, 3, 0, &r, &e))
        fail_msg("%s: %s", train, e.text);
    int64_t meetings, bytes;
    assert_true(deq_engine_parts(net->engine, EXAMPLES, &meetings, &bytes) > 1 && (!in_batch || meetings > 0));
}

/* Outputs at x under the mean over the batch, or what is kept of it. */
static void outputs(Case *c, double (*x)[INPUTS], bool in_batch) {
    double m[INPUTS] = {0};
    for (int n = 0; n < EXAMPLES; n++)
        for (int k = 0; k < INPUTS; k++) m[k] += x[n][k] / EXAMPLES;
    for (int n = 0; n < EXAMPLES; n++)
        for (int j = 0; j < OUTPUTS; j++) {
            c->z[n][j] = 0;
            for (int k = 0; k < INPUTS; k++) c->z[n][j] += (x[n][k] - (in_batch ? m[k] : c->kept[k])) * c->W[k][j];
        }
}

/* The gradient in the inputs of a sum over the batch whose derivatives in the outputs are r. */
static void carry_back(const Case *c, double (*r)[OUTPUTS], bool in_batch, double (*g)[INPUTS]) {
    double mean[OUTPUTS] = {0};
    for (int n = 0; in_batch && n < EXAMPLES; n++)
        for (int j = 0; j < OUTPUTS; j++) mean[j] += r[n][j] / EXAMPLES;
    for (int n = 0; n < EXAMPLES; n++)
        for (int k = 0; k < INPUTS; k++) {
            g[n][k] = 0;
            for (int j = 0; j < OUTPUTS; j++) g[n][k] += (r[n][j] - mean[j]) * c->W[k][j];
        }
}

static void by_hand(Case *c, bool climbs, bool in_batch, double (*out)[INPUTS]) {
    static double r[EXAMPLES][OUTPUTS], g[EXAMPLES][INPUTS];
    memcpy(out, c->x, sizeof c->x);
    for (int turn = 0; turn < (climbs ? 3 : 1); turn++) {
        outputs(c, out, in_batch);
        for (int n = 0; n < EXAMPLES; n++)
            for (int j = 0; j < OUTPUTS; j++) r[n][j] = climbs ? c->z[n][j] - c->y[n][j] : c->z[n][j];
        carry_back(c, r, in_batch, g);
        for (int n = 0; n < EXAMPLES; n++) {
            double loss = 0;
            for (int j = 0; j < OUTPUTS; j++) loss += (c->z[n][j] - c->y[n][j]) * (c->z[n][j] - c->y[n][j]) / OUTPUTS;
            for (int k = 0; k < INPUTS; k++) out[n][k] += 0.3 * g[n][k] + (climbs ? 0 : 0.01 * loss);
        }
    }
}

static void test_closed_forms(void **state) {
    (void)state;
    static Case c;
    static double found[EXAMPLES][INPUTS], want[EXAMPLES][INPUTS], other[EXAMPLES][INPUTS];
    CompiledNet net;
    open_net(&net, &c, 1);
    static const struct {
        const char *train;
        bool climbs, in_batch;
    } cases[] = {{"climbs", true, true}, {"climbs", true, false}, {"runs", false, true}, {"stays", false, false}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        double apart = 0;
        attack(&net, cases[k].train, &c, found, cases[k].in_batch);
        by_hand(&c, cases[k].climbs, cases[k].in_batch, want);
        by_hand(&c, cases[k].climbs, !cases[k].in_batch, other);
        for (int n = 0; n < EXAMPLES; n++)
            for (int j = 0; j < INPUTS; j++) {
                if (!(fabs(found[n][j] - want[n][j]) < 1e-11))
                    fail_msg("case %zu, example %d: %.14g, by hand %.14g", k, n, found[n][j], want[n][j]);
                apart = fmax(apart, fabs(found[n][j] - other[n][j]));
            }
        assert_true(apart > 0.05); /* the two differ */
    }
    net_close(&net);
}

static void test_threads(void **state) {
    (void)state;
    static Case c;
    static double found[3][EXAMPLES][INPUTS];
    for (int k = 0; k < 3; k++) {
        CompiledNet net;
        open_net(&net, &c, 1 + 2 * k);
        attack(&net, "climbs", &c, found[k], true);
        net_close(&net);
        assert_memory_equal(found[k], found[0], sizeof found[0]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_closed_forms), cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests_name("batch statistics", tests, NULL, NULL);
}
