/* test_partners.c - parts of a coupled batch that share a thread make their calls in pairs, and those on two threads share
 * a call of both: the bits of the gradient are those of parts that are called apart, in every mode, for any threads and
 * sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compiled_net.h"
#include "engine_internal.h"
#include "manifest.h"
#include "partners.h"

enum { MOST = 32, INPUTS = 3 * 4 * 4, OUTPUTS = 4 };

#define BEFORE                                                                                                         \
    "import std.data (npz)\n"                                                                                          \
    "import std.layers (BatchNorm)\n"                                                                                  \
    "import std.losses (mean_squared_error)\n"                                                                         \
    "import std.optimisers (sgd)\n\n"                                                                                  \
    "layer Net(x: f32[3, 4, 4]) -> f32[4] {\n"                                                                         \
    "  param A: f32[128, 3, 3, 3] = normal()\n"                                                                        \
    "  param B: f32[128, 128, 3, 3] = normal()\n"                                                                      \
    "  param C: f32[128, 4] = normal()\n"                                                                              \
    "  use norm = BatchNorm[128]\n"                                                                                    \
    "  let u = norm(conv(x, A, padding: 1))\n"
#define AFTER                                                                                                          \
    "    forward: broyden(tol: 1e-3, max: 9)\n"                                                                        \
    "    gradient: implicit()\n"                                                                                       \
    "  }\n"                                                                                                            \
    "  return mean(z, axes: [1, 2]) @ C\n}\n\n"                                                                        \
    "data d: (f32[3, 4, 4], f32[4]) = npz(\"d.npz\", images: \"x\", labels: \"y\", "                                   \
    "test_images: \"x\", test_labels: \"y\")\n\n"                                                                      \
    "attack climb(x: f32[..S], y: label[K]; step: f32, times: int) {\n"                                                \
    "  state a = x\n"                                                                                                  \
    "  repeat times { a = a + step * gradient(loss, at: a) }\n"                                                        \
    "  return a\n}\n\n"                                                                                                \
    "train net = Net on d.train {\n"                                                                                   \
    "  loss: mean_squared_error; optimise: sgd(rate: 0.1); epochs: 1; batch: 8\n"                                      \
    "  attack: climb(step: 100000, times: 3)\n}\n"

/* 590 KB of weights, and statistics of the batch before the fixed point. */
static const char program[] = BEFORE "  fixed point z: f32[128, 4, 4] {\n"
                                     "    z = tanh(conv(z, B, padding: 1) + u)\n" AFTER;

/* Two branches of as many, which read one another at their ends: a call of both parts is worth two threads. */
static const char branches[] = BEFORE "  param D: f32[128, 128, 3, 3] = normal()\n"
                                      "  fixed point (z: f32[128, 4, 4], w: f32[128, 4, 4]) {\n"
                                      "    let a = tanh(conv(z, B, padding: 1) + u)\n"
                                      "    let b = tanh(conv(w, D, padding: 1) - u)\n"
                                      "    z = tanh(0.7 * a + 0.3 * b)\n"
                                      "    w = tanh(0.6 * b - 0.2 * a)\n" AFTER;

static const char *const modes[] = {"implicit()",
                                    "implicit(broyden(tol: 1e-2, max: 20))",
                                    "phantom.unroll(steps: 3, damping: 0.5)",
                                    "phantom.neumann(steps: 3, damping: 0.5)",
                                    "jfb()",
                                    "shine()"};

static void open_net(CompiledNet *net, const char *text, bool f64, int threads) {
    const char *path = net_program(text);
    CompileOptions o = {.path = path, .f64 = f64, .optimise = 1, .last = STAGE_compile};
    net_open_with(net, &o, "Net", threads, 10, 0.02);
    unlink(path);
    size_t i;
    json_t *item; /* attacks read what is kept of the norm: its variance is 1, not any number */
    json_array_foreach(json_object_get(net->net, "parameters"), i, item) {
        const int64_t at = json_integer_value(json_object_get(item, "offset")) / net->real;
        if (!strstr(json_string_value(json_object_get(item, "path")), "variance")) continue;
        for (int k = 0; k < 128; k++) net_put(net, deq_engine_parameters(net->engine), at + k, 1);
    }
    deq_engine_prepare(net->engine);
}

/* One gradient, at attacked inputs or at these. */
static void call(CompiledNet *net, const deq_source *source, const int64_t *index, int64_t n, bool attacked,
                 deq_results *r) {
    deq_error e = {0};
    const deq_manifest *m = net_manifest(net->c.module, &e);
    if (!m) fail_msg("%s", e.text);
    const deq_attack_spec *spec = m->trains[0].attack;
    double scalars[4];
    for (int k = 0; k < spec->nscalars; k++) scalars[k] = spec->scalars[k].value;
    const deq_attack climb = {.routine = spec->routine, .scalars = scalars};
    if (!deq_engine_gradient(net->engine, source, index, n, "mean_squared_error", NULL, attacked ? &climb : NULL, 3, 0,
                             r, &e))
        fail_msg("%s", e.text);
}

/* The gradient's bytes, and what is known of the solves. */
static void differentiate(CompiledNet *net, const char *mode, int64_t n, bool attacked, char *out, deq_results *r) {
    static float x[MOST][INPUTS], y[MOST][OUTPUTS];
    uint64_t state = 5;
    int64_t index[MOST];
    for (int i = 0; i < MOST; i++) {
        index[i] = i;
        for (int k = 0; k < INPUTS; k++) x[i][k] = (float)(random_real(&state) * (i % 3 ? 1 : 30)); /* not all alike */
        for (int k = 0; k < OUTPUTS; k++) y[i][k] = (float)random_real(&state);
    }
    deq_error e = {0};
    if (!deq_engine_set(net->engine, "gradient", mode, &e)) fail_msg("%s: %s", mode, e.text);
    deq_dense rows = {x, y, INPUTS, OUTPUTS};
    const deq_source source = deq_dense_source(&rows);
    call(net, &source, index, n, attacked, r);
    memcpy(out, deq_engine_gradients(net->engine), (size_t)(net->elements * net->real));
}

/* Whether a call of both has been made since the last time. */
static bool met(deq_engine *g) {
    bool *copied = g->partners[0] ? &g->partners[0]->copied[g->partners[0]->rows[0]] : NULL, now = copied && *copied;
    if (copied) *copied = false;
    return now;
}

/* Whether two threads have shared a call since the last time. */
static bool shared_call(deq_engine *g) { return g->partners[0] && atomic_exchange(&g->partners[0]->meeting.rounds, 0); }

static void check_bits(const char *text, bool halves) {
    /* two, three and four parts of four examples or five; four of eight, which call alone */
    static const int64_t sizes[] = {8, 9, 14, 19, 32};
    CompiledNet net[3];
    for (int k = 0; k < 3; k++) open_net(&net[k], text, false, k + 1);
    const size_t bytes = (size_t)(net[0].elements * net[0].real);
    char *want = malloc(bytes), *found = malloc(bytes);
    assert_true(want && found && net[0].engine->heavy && net[0].engine->images);
    assert_int_equal(net[0].engine->descriptors[0]->halves, halves);
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            const int64_t n = sizes[i];
            deq_results apart = {0};
            deq_engine_apart(net[0].engine, true);
            differentiate(&net[0], modes[m], n, false, want, &apart);
            assert_false(met(net[0].engine));
            deq_engine_apart(net[0].engine, false);
            for (int k = 0; k < 3; k++) {
                deq_results r = {0};
                const bool pairs = deq_engine_in_pairs(net[k].engine, n);
                const bool shared = halves && n < 32 && n / 4 <= k + 1;
                assert_int_equal(pairs, n < 32 && n / 4 >= 2 * (k + 1));
                differentiate(&net[k], modes[m], n, false, found, &r);
                if (memcmp(found, want, bytes)) fail_msg("%s, %d examples, %d threads", modes[m], (int)n, k + 1);
                assert_memory_equal(&r.forward, &apart.forward, sizeof r.forward);
                assert_memory_equal(&r.adjoint, &apart.adjoint, sizeof r.adjoint);
                assert_int_equal(met(net[k].engine), pairs || shared);
                assert_int_equal(shared_call(net[k].engine), shared);
            }
        }
    free(want);
    free(found);
    for (int k = 0; k < 3; k++) net_close(&net[k]);
}

static void test_bits(void **state) {
    (void)state;
    check_bits(program, false);
}

static void test_halves(void **state) {
    (void)state;
    check_bits(branches, true);
}

/* An attack on a batch of as many parts as threads is made in these parts, which share its calls: the attacked inputs and
 * the gradient are those of one thread. */
static void test_attacks(void **state) {
    (void)state;
    static const int64_t sizes[] = {8, 9, 14};
    CompiledNet net[3];
    for (int k = 0; k < 3; k++) open_net(&net[k], branches, false, k + 1);
    const size_t bytes = (size_t)(net[0].elements * net[0].real);
    char *want = malloc(bytes), *found = malloc(bytes);
    assert_true(want && found);
    deq_engine_apart(net[0].engine, true);
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            static float moved[MOST][INPUTS], again[MOST][INPUTS];
            CompiledNet *other = &net[sizes[i] / 4 - 1];
            const size_t all = (size_t)sizes[i] * sizeof moved[0];
            deq_results one = {.inputs = moved}, r = {.inputs = again}, plain = {0};
            differentiate(&net[0], modes[m], sizes[i], true, want, &one);
            differentiate(other, modes[m], sizes[i], false, found, &plain);
            atomic_uint *rounds = &other->engine->partners[0]->meeting.rounds;
            const unsigned few = atomic_exchange(rounds, 0);
            differentiate(other, modes[m], sizes[i], true, found, &r);
            const unsigned many = atomic_exchange(rounds, 0);
            if (memcmp(moved, again, all) || memcmp(found, want, bytes)) fail_msg("%s, %d", modes[m], (int)sizes[i]);
            assert_true(few > 0 && many > 2 * few); /* its three gradients, and that of the parameters */
        }
    free(want);
    free(found);
    for (int k = 0; k < 3; k++) net_close(&net[k]);
}

/* The gradient of eight examples, three steps from the start and two back, in double precision; and how far an attack
 * moves them. */
static double *steps_of(CompiledNet *net, bool f64, double *moved) {
    open_net(net, branches, f64, 2);
    net_set(net, "forward", "picard(tol: 0, max: 3)");
    net_set(net, "gradient", "phantom.unroll(steps: 2, damping: 0.5)");
    void *x = net_rows(net, 8, INPUTS, 3), *y = net_rows(net, 8, OUTPUTS, 4);
    deq_dense rows = {x, y, INPUTS, OUTPUTS};
    const deq_source source = deq_dense_source(&rows);
    const int64_t index[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    void *inputs = net_rows(net, 8, INPUTS, 3);
    deq_results r = {.inputs = inputs}, none = {0};
    call(net, &source, index, 8, true, &r);
    for (int64_t k = 0; k < 8 * INPUTS; k++) moved[k] = net_get(net, inputs, k) - net_get(net, x, k);
    free(inputs);
    call(net, &source, index, 8, false, &none);
    double *g = malloc((size_t)net->elements * sizeof *g);
    assert_non_null(g);
    for (int64_t k = 0; k < net->elements; k++) g[k] = net_get(net, deq_engine_gradients(net->engine), k);
    free(x);
    free(y);
    return g;
}

/* In double precision these routines are not in halves: other code, in another order and other memory. */
static void test_right(void **state) {
    (void)state;
    CompiledNet single, twice;
    static double moved[2][8 * INPUTS];
    double *found = steps_of(&single, false, moved[0]), *want = steps_of(&twice, true, moved[1]);
    assert_int_equal(single.engine->descriptors[0]->halves, 1);
    assert_int_equal(twice.engine->descriptors[0]->halves, 0);
    size_t i, compared = 0;
    json_t *item;
    json_array_foreach(json_object_get(single.net, "parameters"), i, item) {
        const int64_t at = json_integer_value(json_object_get(item, "offset")) / single.real;
        const int64_t from =
            json_integer_value(json_object_get(json_array_get(json_object_get(twice.net, "parameters"), i), "offset")) /
            twice.real;
        if (at >= single.elements) continue; /* statistics, which have no gradient */
        double off = 0, size = 0;
        for (int64_t k = 0; k < json_count(json_object_get(item, "shape")); k++) {
            off += (found[at + k] - want[from + k]) * (found[at + k] - want[from + k]);
            size += want[from + k] * want[from + k];
        }
        if (!(off <= 1e-10 * size)) fail_msg("parameter %d: %g off", (int)i, sqrt(off / size));
        compared++;
    }
    assert_int_equal(compared, 6); /* A, B, C, D, and the norm's two */
    double off = 0, size = 0;
    for (int k = 0; k < 8 * INPUTS; k++) {
        off += (moved[0][k] - moved[1][k]) * (moved[0][k] - moved[1][k]);
        size += moved[1][k] * moved[1][k];
    }
    if (!(size > 0 && off <= 1e-10 * size)) fail_msg("the attack: %g off of %g", sqrt(off / size), sqrt(size));
    free(found);
    free(want);
    net_close(&single);
    net_close(&twice);
}

/* Parts of up to eight images, where four of them come out at least, or 16 larger ones; else of four. */
static void test_parts(void **state) {
    (void)state;
    static const struct {
        int64_t n;
        int parts;
    } cases[] = {{1, 1},  {7, 1},  {8, 2},  {15, 3},  {24, 6},   {25, 4},
                 {32, 4}, {33, 5}, {64, 8}, {96, 12}, {128, 16}, {1000, 16}};
    CompiledNet net;
    open_net(&net, program, false, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(deq_engine_shards(net.engine, cases[i].n), cases[i].parts);
    net_close(&net);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bits), cmocka_unit_test(test_halves),
                                       cmocka_unit_test(test_attacks), cmocka_unit_test(test_right),
                                       cmocka_unit_test(test_parts)};
    return cmocka_run_group_tests_name("partners", tests, NULL, NULL);
}
