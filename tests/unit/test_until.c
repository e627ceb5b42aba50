/* test_until.c - loops that examples leave one by one: the same as a loop that goes on and changes nothing, whatever the
 * blocks and threads; and nothing is asked about an example that has left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compiled_net.h"

enum { N = 37, D = 6, K = 4 };

/* The net's state goes on from that of the query before, if `start` says so. */
static const char net[] = "import std.losses (cross_entropy)\n"
                          "import std.optimisers (sgd)\n"
                          "import std.data (idx)\n"
                          "layer Net(x: f32[1, 1, 6]) -> f32[4] {\n"
                          "  param W: f32[5, 5] = normal()\n"
                          "  param U: f32[6, 5] = normal()\n"
                          "  param V: f32[5, 4] = normal()\n"
                          "  let u = flatten(x) @ U\n"
                          "  fixed point z: f32[5] {\n"
                          "    z = tanh(0.3 * (z @ W) + u)\n"
                          "    start: %s\n"
                          "    forward: picard(max: 9, tol: 1e-3)\n"
                          "    gradient: phantom.unroll(steps: 3, damping: 0.5)\n"
                          "  }\n"
                          "  return z @ V\n"
                          "}\n"
                          "data d: (f32[1, 1, 6], label[4]) = idx(\"a\", \"b\")\n"
                          "attack walk(x: f32[..S], y: label[K]; step: f32, iterations: int) {\n"
                          "  state a = x\n"
                          "  state turns = 0.0\n%s"
                          "  return a + 0 * turns\n"
                          "}\n"
                          "train m = Net on d.train {\n"
                          "  loss: cross_entropy; optimise: sgd(rate: 0); epochs: 1\n"
                          "  attack: walk(step: 0.1, iterations: 5)\n"
                          "}\n";

static const char leaving[] = "  for t in ranked(logits(x))[1..4] until wrong(a) {\n"
                              "    state b = x\n"
                              "    repeat iterations until wrong(b) or turns > 7 {\n"
                              "      let g = gradient(loss, at: b)\n"
                              "      b = b + step * sign(g) + uniform(-0.1, 0.1)\n"
                              "      turns = turns + 1\n"
                              "    }\n"
                              "    a = b + (if t == y then 0.5 else 0)\n"
                              "  }\n";

static const char staying[] = "  for t in ranked(logits(x))[1..4] {\n"
                              "    state b = x\n"
                              "    let over = wrong(a)\n"
                              "    repeat iterations {\n"
                              "      let stop = over or wrong(b) or turns > 7\n"
                              "      let g = gradient(loss, at: b)\n"
                              "      b = if stop then b else b + step * sign(g) + uniform(-0.1, 0.1)\n"
                              "      turns = if stop then turns else turns + 1\n"
                              "    }\n"
                              "    a = if over then a else b + (if t == y then 0.5 else 0)\n"
                              "  }\n";

typedef struct Found {
    double inputs[N * D];
    int32_t clean[N], prediction[N];
    deq_row_counts attack[N];
} Found;

static void attacked(const char *start, const char *body, bool f64, int threads, int block, Found *out) {
    char text[4096];
    snprintf(text, sizeof text, net, start, body);
    const char *path = net_program(text);
    CompiledNet f;
    CompileOptions o = {.path = path, .f64 = f64, .optimise = 1, .last = STAGE_compile};
    net_open_with(&f, &o, "Net", threads, block, 1.0);
    unlink(path);
    double x[N * D], y[N], inputs[N * D];
    int64_t index[N];
    uint64_t random = 5;
    for (int k = 0; k < N * D; k++) net_put(&f, x, k, random_real(&random));
    for (int k = 0; k < N; k++) net_put(&f, y, k, k * 7 % K), index[k] = k;
    deq_dense rows = {x, y, D, 1};
    deq_source source = deq_dense_source(&rows);
    deq_error e = {0};
    deq_attack attack = {.routine = "Net_cross_entropy_walk", .scalars = (double[]){0.1, 5, 3}};
    deq_results plain = {.prediction = out->clean},
                results = {.prediction = out->prediction, .inputs = inputs, .attack = out->attack};
    if (!deq_engine_evaluate(f.engine, &source, index, N, "cross_entropy", NULL, NULL, 1, NULL, NULL, &plain, &e) ||
        !deq_engine_evaluate(f.engine, &source, index, N, "cross_entropy", NULL, &attack, 1, NULL, NULL, &results, &e))
        fail_msg("%s", e.text);
    for (int k = 0; k < N * D; k++) out->inputs[k] = net_get(&f, inputs, k);
    net_close(&f);
}

static void same(const char *what, const Found *a, const Found *b, bool queries) {
    for (int k = 0; k < N * D; k++)
        if (a->inputs[k] != b->inputs[k])
            fail_msg("%s: element %d of example %d is %.9g, not %.9g", what, k % D, k / D, b->inputs[k], a->inputs[k]);
    for (int k = 0; k < N; k++) {
        assert_int_equal(a->prediction[k], b->prediction[k]);
        deq_row_counts one = a->attack[k], other = b->attack[k];
        one.seconds = other.seconds = 0; /* all but the time is the same */
        if (queries) assert_memory_equal(&one, &other, sizeof one);
    }
}

static void an_example_leaves(void **state) {
    (void)state;
    static Found gone, stayed;
    for (int f64 = 0; f64 < 2; f64++) {
        attacked("zeros", leaving, f64, 1, 8, &gone);
        attacked("zeros", staying, f64, 1, 8, &stayed);
        same("leaving and staying", &stayed, &gone, false);
    }
    int at_once = 0, late = 0;
    for (int k = 0; k < N; k++) {
        const deq_row_counts *c = &gone.attack[k];
        assert_true(c->queries <= stayed.attack[k].queries);
        late += c->queries > 6;
        if (gone.clean[k] == k * 7 % K) continue;
        at_once++;
        assert_int_equal(c->queries, 2); /* logits(x), and wrong(a) before the first turn */
        assert_int_equal(c->gradients, 0);
    }
    assert_true(at_once > 5 && late > 5);
}

/* Whoever else is in the block, and whose states were in the row before. */
static void blocks_and_threads(void **state) {
    (void)state;
    static Found one, other;
    static const int blocks[] = {2, 8, 37};
    attacked("previous", leaving, false, 1, 1, &one);
    for (size_t k = 0; k < sizeof blocks / sizeof *blocks; k++) {
        attacked("previous", leaving, false, k == 1 ? 2 : 1, blocks[k], &other);
        same("blocks", &one, &other, true);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_example_leaves),
        cmocka_unit_test(blocks_and_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
