/* test_engine.c - the engine on a net written by hand: z = tanh(W z + x), loss = norm(z - y)^2 / 2. */
#include "cells_both.h"
#include "engine_internal.h"
#include "random.h"
#include "spectral.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define NET_SIZE 10
static _Atomic int attack_mode; /* gradient mode seen by the attack */
static _Atomic uint64_t attack_step;
static _Atomic bool attack_defended, attack_heard;

#define REAL float
#define T(name) name##_f32
#define BITS 32
#include "net.h"
#undef REAL
#undef T
#undef BITS
#define REAL double
#define T(name) name##_f64
#define BITS 64
#include "net.h"

#include "net_spec.h"

static const char *const manifest =
    "{ 'name': 'Net', 'input': [2, 5], 'output': [10], 'target': { 'shape': [10] },"
    "  'parameters': [ { 'path': 'body.W', 'shape': [10, 10], 'offset': 0, 'trained': true, 'init': 'normal(std: "
    "0.15)' } ],"
    "  'parameter_bytes': %d, 'shared_bytes': %d, 'accum_bytes': %d,"
    "  'prepare': 'Net_prepare', 'finish': null, 'predict': 'Net_predict',"
    "  'fixed': [ { 'name': 'Test_cell', 'path': 'body', 'forward': '%s', 'gradient': 'implicit(gmres(tol: 1e-9))',"
    "               'start': 'zeros', 'on_fail': 'warn' } ],"
    "  'losses': [ { 'name': 'square', 'loss': 'Net_square_loss', 'input': 'Net_square_input',"
    "                'parameters': 'Net_square_parameters' } ],"
    "  'metrics': [ { 'name': 'near', 'routine': 'Net_metric_near' } ] }";

static deq_engine *engine_open_in(const deq_module *module, int bits, int threads, int block, const char *forward,
                                  deq_error *e) {
    int chunk = DEQ_CHUNK * bits / 8;
    int shared = (int)(bits == 32 ? sizeof(record_f32) : sizeof(record_f64)) / 8 * 8;
    char text[2048];
    snprintf(text, sizeof text, manifest, chunk, shared + 64, chunk, forward);
    for (char *at = text; *at; at++)
        if (*at == '\'') *at = '"';
    json_error_t error;
    json_t *net = json_loads(text, 0, &error);
    if (!net) fail_msg("%s", error.text);
    deq_engine_options options = {.threads = threads, .block = block};
    const deq_net_spec *spec = net_spec(module, net, e);
    deq_engine *g = spec ? deq_engine_new(module, spec, &options, e) : NULL;
    json_decref(net);
    return g;
}

static deq_engine *engine_open(int bits, int threads, int block, const char *forward, deq_error *e) {
    return engine_open_in(bits == 32 ? net_module_f32() : net_module_f64(), bits, threads, block, forward, e);
}

static deq_engine *engine_new(int bits, int threads, int block) {
    deq_error e = {0};
    deq_engine *g = engine_open(bits, threads, block, bits == 32 ? "broyden(tol: 1e-5)" : "broyden(tol: 1e-11)", &e);
    if (!g) fail_msg("%s", e.text);
    if (!deq_engine_init(g, 3, &e)) fail_msg("%s", e.text);
    return g;
}

/* Example i: draws keyed by i. */
static void gather(void *context, const int64_t *index, int64_t n, int bits, void *x, int64_t xb, void *y, int64_t yb) {
    (void)context;
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < 16; k++) {
            double a = k < NET_SIZE ? deq_normal(5, (uint64_t)(index[i] * 64 + k)) : 0;
            double b = k < NET_SIZE ? deq_uniform(6, (uint64_t)(index[i] * 64 + k)) : 0;
            if (bits == 32)
                ((float *)((char *)x + i * xb))[k] = (float)a;
            else
                ((double *)((char *)x + i * xb))[k] = a;
            if (!y) continue;
            if (bits == 32)
                ((float *)((char *)y + i * yb))[k] = (float)b;
            else
                ((double *)((char *)y + i * yb))[k] = b;
        }
}
static const deq_source source = {NULL, gather};

#define N 150
typedef struct outcome {
    double loss[N], metric[N];
    int32_t prediction[N];
    float steps[N], residual[N];
    deq_results results;
    char gradient[DEQ_CHUNK * 8];
} outcome;

static void outcome_init(outcome *o) {
    memset(o, 0, sizeof *o);
    o->results = (deq_results){
        .loss = o->loss, .metric = o->metric, .prediction = o->prediction, .steps = o->steps, .residual = o->residual};
}

static const double scalars[] = {0.05};
static const deq_attack attack = {.routine = "Net_square_push", .scalars = scalars, .gradient = "jfb"};

static void run_all(deq_engine *g, bool attacked, outcome *o) {
    deq_error e = {0};
    int64_t index[N];
    for (int i = 0; i < N; i++) index[i] = (i * 37) % 1000;
    outcome_init(o);
    if (!deq_engine_evaluate(g, &source, index, N, "square", "near", attacked ? &attack : NULL, 1, NULL, NULL,
                             &o->results, &e))
        fail_msg("%s", e.text);
    if (!deq_engine_gradient(g, &source, index, N, "square", NULL, attacked ? &attack : NULL, 1, 9, &o->results, &e))
        fail_msg("%s", e.text);
    memcpy(o->gradient, deq_engine_gradients(g), (size_t)g->parameter_bytes);
}

static void test_threads_do_not_change_bits(void **state) {
    (void)state;
    static outcome one, more;
    for (int bits = 32; bits <= 64; bits += 32)
        for (int attacked = 0; attacked < 2; attacked++) {
            deq_engine *g = engine_new(bits, 1, 16);
            run_all(g, attacked, &one);
            for (int threads = 2; threads <= 3; threads++) {
                deq_engine *h = engine_new(bits, threads, 16);
                run_all(h, attacked, &more);
                more.results.loss = one.results.loss, more.results.metric = one.results.metric;
                more.results.prediction = one.results.prediction, more.results.steps = one.results.steps;
                more.results.residual = one.results.residual;
                assert_memory_equal(&one, &more, sizeof one);
                deq_engine_free(h);
            }
            deq_engine_free(g);
        }
}

static void test_blocks_do_not_change_examples(void **state) {
    (void)state;
    static outcome one, other;
    deq_engine *g = engine_new(32, 2, 64), *h = engine_new(32, 2, 7);
    run_all(g, true, &one);
    run_all(h, true, &other);
    assert_memory_equal(one.loss, other.loss, sizeof one.loss);
    assert_memory_equal(one.metric, other.metric, sizeof one.metric);
    assert_memory_equal(one.prediction, other.prediction, sizeof one.prediction);
    assert_memory_equal(one.steps, other.steps, sizeof one.steps);
    assert_memory_equal(one.residual, other.residual, sizeof one.residual);
    for (int i = 0; i < NET_SIZE * NET_SIZE; i++) {
        float a = ((float *)one.gradient)[i], b = ((float *)other.gradient)[i];
        assert_true(fabsf(a - b) < 1e-5f * (1 + fabsf(a)));
    }
    deq_engine_free(g), deq_engine_free(h);
}

static double mean_loss(deq_engine *g, int n) {
    static outcome o;
    deq_error e = {0};
    int64_t index[N];
    double sum = 0;
    for (int i = 0; i < n; i++) index[i] = i;
    outcome_init(&o);
    assert_true(deq_engine_evaluate(g, &source, index, n, "square", NULL, NULL, 1, NULL, NULL, &o.results, &e));
    for (int i = 0; i < n; i++) sum += o.loss[i];
    return sum / n;
}

static void test_gradient_is_the_derivative_of_the_mean_loss(void **state) {
    (void)state;
    deq_engine *g = engine_new(64, 2, 8);
    deq_error e = {0};
    int64_t index[40];
    for (int i = 0; i < 40; i++) index[i] = i;
    assert_true(deq_engine_gradient(g, &source, index, 40, "square", NULL, NULL, 1, 0, NULL, &e));
    double *w = deq_engine_parameters(g), gradient[NET_SIZE * NET_SIZE];
    memcpy(gradient, deq_engine_gradients(g), sizeof gradient);
    for (int i = 0; i < NET_SIZE * NET_SIZE; i += 7) {
        double kept = w[i], h = 1e-5;
        w[i] = kept + h;
        double up = mean_loss(g, 40);
        w[i] = kept - h;
        double down = mean_loss(g, 40);
        w[i] = kept;
        assert_true(fabs((up - down) / (2 * h) - gradient[i]) < 1e-7 * (1 + fabs(gradient[i])));
    }
    deq_engine_free(g);
}

static void test_update_descends(void **state) {
    (void)state;
    deq_engine *g = engine_new(32, 2, 16);
    deq_error e = {0};
    int64_t index[40], bytes;
    double before = mean_loss(g, 40), rate[] = {1, 1, 0.05};
    for (int i = 0; i < 40; i++) index[i] = i;
    assert_true(deq_engine_optimiser(g, 1, &e));
    for (int t = 0; t < 20; t++) {
        assert_true(deq_engine_gradient(g, &source, index, 40, "square", NULL, NULL, 1, (uint64_t)t, NULL, &e));
        assert_true(deq_engine_update(g, "momentum_update", 1, rate, &e));
    }
    assert_true(mean_loss(g, 40) < 0.8 * before);
    float *velocity = deq_engine_optimiser_states(g, &bytes);
    assert_int_equal(bytes, DEQ_CHUNK * 4);
    assert_true(velocity[0] != 0 && velocity[NET_SIZE * NET_SIZE] == 0);
    assert_false(deq_engine_update(g, "other_update", 1, rate, &e));
    assert_int_equal(e.failure, DEQ_MODULE);
    deq_engine_free(g);
}

/* Wherever it stands, in a vector of several tasks whose last one is short. */
static void test_what_is_not_finite_is_found(void **state) {
    (void)state;
    enum { COUNT = 37 * DEQ_CHUNK };
    deq_engine *g = engine_new(32, 2, 16);
    float *many = deq_memory_new(COUNT * sizeof *many), bad[] = {NAN, INFINITY, -INFINITY};
    char *own = g->shared;
    const int64_t own_bytes = g->parameter_bytes;
    assert_true(deq_engine_finite(g));
    ((float *)own)[DEQ_CHUNK - 1] = NAN;
    assert_false(deq_engine_finite(g));
    assert_non_null(many);
    for (int k = 0; k < COUNT; k++) many[k] = k % 2 ? 3e38f : -3e38f;
    g->shared = (char *)many, g->parameter_bytes = COUNT * (int64_t)sizeof *many;
    assert_true(deq_engine_finite(g));
    for (int k = COUNT - 1; k >= 0; k -= 731) {
        const float was = many[k];
        many[k] = bad[k % 3];
        assert_false(deq_engine_finite(g));
        many[k] = was;
    }
    g->shared = own, g->parameter_bytes = own_bytes;
    free(many);
    deq_engine_free(g);
}

static void test_attack_has_its_own_mode(void **state) {
    (void)state;
    static outcome clean, attacked;
    deq_engine *g = engine_new(64, 1, 16);
    run_all(g, false, &clean);
    run_all(g, true, &attacked);
    assert_int_equal(attack_mode, DEQ_MODE_jfb);
    assert_int_equal(attack_step, 9); /* of the gradient call, the later one */
    assert_int_equal(g->settings[0].gradient.kind, DEQ_MODE_implicit);
    int higher = 0;
    for (int i = 0; i < N; i++) higher += attacked.loss[i] > clean.loss[i];
    assert_true(higher > N * 9 / 10);
    assert_int_equal(attacked.results.forward.solves, N); /* of the result, not of the search */
    assert_int_equal(attacked.results.adjoint.solves, N); /* jfb makes no adjoint solve */
    deq_attack own = {.routine = "Net_square_push", .scalars = scalars};
    deq_error e = {0};
    int64_t index[1] = {0};
    assert_true(deq_engine_evaluate(g, &source, index, 1, "square", NULL, &own, 1, NULL, NULL, NULL, &e));
    assert_int_equal(attack_mode, DEQ_MODE_implicit);
    assert_int_equal(attack_step, 0);
    deq_engine_free(g);
}

typedef struct Told {
    int times[N];
    const char *dense; /* the results' inputs */
    size_t input;
} Told;

static void on_finished(void *context, int64_t from, int64_t n, const void *inputs, size_t apart, bool here) {
    assert_true(here);
    Told *told = context;
    for (int64_t i = from; i < from + n; i++) {
        told->times[i]++;
        assert_memory_equal((const char *)inputs + (size_t)(i - from) * apart, told->dense + (size_t)i * told->input,
                            told->input);
    }
}

/* An attack whose inputs are known is not run, and what comes after it is the same, bit for bit. */
static void test_known_attack(void **state) {
    (void)state;
    static double loss[2][N], distance[2][3][N];
    static Told told[2];
    deq_engine *g = engine_new(64, 1, 16);
    int64_t index[N];
    for (int i = 0; i < N; i++) index[i] = (i * 7 + 3) % N;
    char *inputs[2] = {calloc(N, deq_engine_input_bytes(g)), calloc(N, deq_engine_input_bytes(g))};
    deq_attack a = attack;
    for (int k = 0; k < 2; k++) {
        deq_error e = {0};
        deq_results r = {.loss = loss[k],
                         .distance = {distance[k][0], distance[k][1], distance[k][2]},
                         .inputs = inputs[k],
                         .finished = on_finished,
                         .finished_context = &told[k]};
        told[k] = (Told){.dense = inputs[k], .input = deq_engine_input_bytes(g)};
        attack_mode = -1;
        assert_true(deq_engine_evaluate(g, &source, index, N, "square", NULL, &a, 1, NULL, NULL, &r, &e));
        assert_true((attack_mode < 0) == (k == 1)); /* whether it was run */
        a.known = inputs[0];
    }
    assert_memory_equal(loss[0], loss[1], sizeof loss[0]);
    assert_memory_equal(distance[0], distance[1], sizeof distance[0]);
    assert_memory_equal(inputs[0], inputs[1], N * deq_engine_input_bytes(g));
    for (int i = 0; i < N; i++) assert_true(told[0].times[i] == 1 && told[1].times[i] == 1 && distance[0][0][i] > 0);
    free(inputs[0]);
    free(inputs[1]);
    deq_engine_free(g);
}

static void test_settings(void **state) {
    (void)state;
    deq_engine *g = engine_new(32, 1, 16);
    deq_error e = {0};
    uint32_t token = deq_engine_save_settings(g), inner;
    assert_true(deq_engine_set(g, "body.forward.tol", "1e-2", &e));
    assert_true(deq_engine_set(g, "gradient", "phantom.unroll(steps: 3)", &e));
    inner = deq_engine_save_settings(g);
    assert_true(deq_engine_set(g, "gradient.damping", "0.25", &e));
    assert_true(deq_engine_set(g, "body.on_fail", "keep_best", &e));
    json_t *out = json_object();
    deq_engine_settings(g, out);
    assert_string_equal(json_string_value(json_object_get(out, "body.gradient")),
                        "phantom.unroll(steps: 3, damping: 0.25, undamped_first: false)");
    assert_string_equal(json_string_value(json_object_get(out, "body.on_fail")), "keep_best");
    assert_string_equal(json_string_value(json_object_get(out, "body.forward")),
                        "broyden(step: 1, memory: 0, tol: 0.01, max: 40, growth: 1e+12, line_search: none, stop: "
                        "relative, return: best)");
    json_decref(out);
    deq_engine_restore_settings(g, inner);
    assert_true(g->settings[0].gradient.damping == 0.5);
    assert_true(g->settings[0].forward.tol == 1e-2);
    deq_engine_restore_settings(g, token);
    assert_true(g->settings[0].forward.tol == 1e-5);
    static const char *const bad[][2] = {{"body.forward.tool", "1"}, {"head.forward.tol", "1"}, {"tol", "1"},
                                         {"body.forward.tol", "-1"}, {"gradient", "shines"},    {"body", "1"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        deq_error f = {0};
        assert_false(deq_engine_set(g, bad[i][0], bad[i][1], &f));
        assert_int_equal(f.failure, DEQ_SETTING);
        assert_true(g->settings[0].forward.tol == 1e-5 && g->settings[0].gradient.kind == DEQ_MODE_implicit);
    }
    assert_int_equal(e.failure, DEQ_OK);
    deq_engine_free(g);
}

/* Predictions are read off the defence's states; attacks, gradients and the trace are those of the undefended net. */
static void test_defence_is_of_predictions(void **state) {
    (void)state;
    static outcome plain, stopped, defended, attacked;
    static float trace[2][3 * 40];
    deq_engine *g = engine_new(64, 2, 16);
    deq_error e = {0};
    int64_t index[N];
    for (int i = 0; i < N; i++) index[i] = i;
    uint32_t token = deq_engine_save_settings(g);
    run_all(g, true, &plain);
    assert_true(deq_engine_residual_trace(g, &source, index, 3, 40, trace[0], &e));

    assert_true(deq_engine_set(g, "defence", "states[2]", &e));
    outcome_init(&attacked);
    assert_true(
        deq_engine_evaluate(g, &source, index, N, "square", "near", &attack, 1, NULL, NULL, &attacked.results, &e));
    assert_false(attack_defended);
    assert_true(deq_engine_residual_trace(g, &source, index, 3, 40, trace[1], &e));
    assert_memory_equal(trace[0], trace[1], sizeof trace[0]);
    run_all(g, true, &stopped); /* ends with a gradient */
    assert_memory_equal(stopped.gradient, plain.gradient, sizeof plain.gradient);
    json_t *out = json_object();
    deq_engine_settings(g, out);
    assert_string_equal(json_string_value(json_object_get(out, "defence")), "states[2]");
    json_decref(out);

    /* The same steps without a defence. */
    deq_engine_restore_settings(g, token);
    out = json_object();
    deq_engine_settings(g, out);
    assert_null(json_object_get(out, "defence"));
    json_decref(out);
    assert_true(deq_engine_set(g, "body.forward", "broyden(tol: 0, max: 2, return: last)", &e));
    assert_true(deq_engine_set(g, "body.finish", "none", &e));
    outcome_init(&stopped);
    assert_true(deq_engine_evaluate(g, &source, index, N, "square", "near", NULL, 1, NULL, NULL, &stopped.results, &e));
    int differ = 0;
    outcome_init(&defended);
    assert_true(deq_engine_set(g, "body.forward", "broyden(tol: 1e-11)", &e));
    assert_true(deq_engine_set(g, "defence", "states[2]", &e));
    assert_true(
        deq_engine_evaluate(g, &source, index, N, "square", "near", NULL, 1, NULL, NULL, &defended.results, &e));
    for (int i = 0; i < N; i++) {
        assert_true(defended.loss[i] == stopped.loss[i] && defended.steps[i] == 2);
        differ += attacked.loss[i] > defended.loss[i];
    }
    assert_true(differ > N * 8 / 10); /* the attack works on the defended net as well */
    deq_error f = {0};
    assert_false(deq_engine_set(g, "defence", "states[0]", &f));
    assert_int_equal(f.failure, DEQ_SETTING);
    assert_int_equal(g->defence.terms[0].from, 2);
    deq_engine_free(g);
}

/* Listeners, records, penalties and held states are of one call's main part: neither its attack nor the next call has
 * them. */
static void test_a_request_is_of_one_call(void **state) {
    (void)state;
    static float trace[2][N * 12];
    static deq_solve_record records[4][N];
    static double penalty[N];
    int64_t index[N];
    deq_error e = {0};
    deq_engine *g = engine_new(32, 1, 16);
    deq_results results = {.penalty = penalty};
    for (int i = 0; i < N; i++) index[i] = i;
    assert_true(deq_engine_set(g, "gradient", "jfb", &e) && deq_engine_hold(g, N, &e));
    assert_true(deq_engine_residual_trace(g, &source, index, N, 12, trace[0], &e));
    assert_true(deq_engine_solves(g, &source, index, N, "square", records[0], records[1], &e));
    assert_true(deq_engine_gradient(g, &source, index, N, "square", NULL, NULL, 1, 0, &results, &e));
    memcpy(trace[1], trace[0], sizeof trace[0]);
    memcpy(records[2], records[0], 2 * sizeof records[0]);
    attack_heard = true;
    assert_true(deq_engine_gradient(g, &source, index, N, "square", NULL, &attack, 1, 0, &results, &e));
    assert_false(attack_heard);
    attack_heard = true;
    assert_true(deq_engine_evaluate(g, &source, index, N, "square", NULL, &attack, 1, NULL, NULL, NULL, &e));
    assert_false(attack_heard);
    assert_memory_equal(trace[1], trace[0], sizeof trace[0]);
    assert_memory_equal(records[2], records[0], 2 * sizeof records[0]);
    deq_engine_free(g);
}

static void test_stop_names_the_same_example_for_any_threads(void **state) {
    (void)state;
    char texts[6][1024];
    int64_t index[N];
    for (int i = 0; i < N; i++) index[i] = i;
    for (int threads = 1; threads <= 3; threads++) {
        deq_engine *g = engine_new(32, threads, 8);
        deq_error e = {0}, f = {0};
        assert_true(deq_engine_set(g, "body.on_fail", "stop", &e));
        assert_true(deq_engine_set(g, "body.forward", "picard(tol: 1e-3, max: 9)", &e));
        assert_false(deq_engine_evaluate(g, &source, index, N, "square", NULL, NULL, 1, NULL, NULL, NULL, &e));
        assert_int_equal(e.failure, DEQ_NOT_CONVERGED);
        assert_false(deq_engine_gradient(g, &source, index, N, "square", NULL, NULL, 1, 0, NULL, &f));
        strcpy(texts[threads - 1], e.text);
        strcpy(texts[threads + 2], f.text);
        deq_engine_free(g);
    }
    for (int i = 1; i < 6; i++) assert_string_equal(texts[i], texts[0]);
}

static bool stop_soon(void *context, int64_t done, int64_t total) {
    assert_int_equal(total, N);
    *(int64_t *)context = done;
    return done < 20;
}

static void test_progress_may_stop(void **state) {
    (void)state;
    deq_engine *g = engine_new(32, 1, 8);
    deq_error e = {0};
    int64_t index[N], done = 0;
    for (int i = 0; i < N; i++) index[i] = i;
    assert_false(deq_engine_evaluate(g, &source, index, N, NULL, NULL, NULL, 1, stop_soon, &done, NULL, &e));
    assert_int_equal(e.failure, DEQ_INTERRUPTED);
    assert_true(done >= 20 && done < 40);
    deq_engine_free(g);
}

static void test_residual_trace(void **state) {
    (void)state;
    static outcome o;
    static float trace[N * 12];
    deq_engine *g = engine_new(32, 2, 16);
    deq_error e = {0};
    int64_t index[N];
    for (int i = 0; i < N; i++) index[i] = (i * 37) % 1000;
    run_all(g, false, &o);
    assert_true(deq_engine_residual_trace(g, &source, index, N, 12, trace, &e));
    for (int i = 0; i < N; i++) {
        int steps = (int)o.steps[i];
        assert_true(steps > 1 && steps <= 12);
        assert_true(trace[i * 12 + steps - 1] == o.residual[i]);
        for (int k = 0; k < 12; k++) assert_true(isnan(trace[i * 12 + k]) == (k >= steps));
    }
    deq_engine_free(g);
}

static void test_single_calls(void **state) {
    (void)state;
    deq_engine *g = engine_new(64, 2, 4);
    deq_error e = {0};
    double x[9 * NET_SIZE], y[9 * NET_SIZE], output[9 * NET_SIZE], dx[9 * NET_SIZE], up[9], down[9];
    for (int i = 0; i < 9 * NET_SIZE; i++) x[i] = deq_normal(1, (uint64_t)i), y[i] = deq_uniform(2, (uint64_t)i);
    assert_true(deq_engine_forward(g, 9, x, output, NULL, &e));
    assert_true(deq_engine_input_gradient(g, 9, x, y, "square", dx, NULL, &e));
    for (int i = 0; i < 9; i++) {
        double square = 0;
        for (int k = 0; k < NET_SIZE; k++)
            square +=
                (output[i * NET_SIZE + k] - y[i * NET_SIZE + k]) * (output[i * NET_SIZE + k] - y[i * NET_SIZE + k]) / 2;
        deq_results results = {.loss = up};
        assert_true(deq_engine_input_gradient(g, 9, x, y, "square", NULL, &results, &e));
        assert_true(fabs(up[i] - square) < 1e-12);
    }
    for (int k = 0; k < NET_SIZE; k++) {
        deq_results a = {.loss = up}, b = {.loss = down};
        for (int i = 0; i < 9; i++) x[i * NET_SIZE + k] += 1e-5;
        assert_true(deq_engine_input_gradient(g, 9, x, y, "square", NULL, &a, &e));
        for (int i = 0; i < 9; i++) x[i * NET_SIZE + k] -= 2e-5;
        assert_true(deq_engine_input_gradient(g, 9, x, y, "square", NULL, &b, &e));
        for (int i = 0; i < 9; i++) x[i * NET_SIZE + k] += 1e-5;
        for (int i = 0; i < 9; i++) assert_true(fabs((up[i] - down[i]) / 2e-5 - dx[i * NET_SIZE + k]) < 1e-7);
    }
    assert_false(deq_engine_input_gradient(g, 9, x, y, "other", dx, NULL, &e));
    assert_int_equal(e.failure, DEQ_MODULE);
    deq_engine_free(g);
}

static void test_bad_modules_are_refused(void **state) {
    (void)state;
    deq_error e = {0};
    assert_null(engine_open(32, 1, 0, "newton", &e));
    assert_int_equal(e.failure, DEQ_SETTING);
    e = (deq_error){0};
    deq_module module = *net_module_f32();
    module.abi_version++;
    json_t *net = json_pack("{s:s}", "name", "Net");
    assert_null(net_spec(net_module_f32(), net, &e));
    assert_int_equal(e.failure, DEQ_MODULE);
    json_decref(net);
    e = (deq_error){0};
    assert_null(engine_open_in(&module, 32, 1, 0, "broyden(tol: 1e-5)", &e));
    assert_int_equal(e.failure, DEQ_MODULE);
    assert_non_null(strstr(e.text, "interface version"));
}

static void test_memory_and_block(void **state) {
    (void)state;
    deq_engine *g = engine_new(32, 1, 0), *h = engine_new(32, 2, 0);
    assert_true(deq_engine_block(g) >= 8 && deq_engine_block(g) <= 64);
    assert_int_equal(deq_engine_block(g), deq_engine_block(h));
    assert_true(deq_engine_memory(g) > 4 * DEQ_CHUNK * 2 && deq_engine_memory(h) > deq_engine_memory(g));
    int64_t planned = deq_engine_memory(g), index[1] = {0};
    deq_error e = {0};
    assert_true(deq_engine_evaluate(g, &source, index, 1, "square", NULL, NULL, 0, NULL, NULL, NULL, &e));
    assert_int_equal(deq_engine_memory(g), planned); /* known before the run */
    deq_engine_free(g), deq_engine_free(h);
}

static void test_solves_and_spectrum(void **state) {
    (void)state;
    int64_t index[N];
    for (int i = 0; i < N; i++) index[i] = 3 * i;
    for (int bits = 32; bits <= 64; bits += 32) {
        static deq_solve_record forward[2][N], adjoint[2][N];
        static deq_spectrum spectra[2][N];
        for (int threads = 1; threads <= 2; threads++) {
            deq_error e = {0};
            deq_engine *g = engine_new(bits, threads, 16);
            if (!deq_engine_solves(g, &source, index, N, "square", forward[threads - 1], adjoint[threads - 1], &e) ||
                !deq_engine_spectrum(g, &source, index, N, spectra[threads - 1], &e))
                fail_msg("%s", e.text);
            deq_engine_free(g);
        }
        assert_memory_equal(forward[0], forward[1], sizeof forward[0]);
        assert_memory_equal(adjoint[0], adjoint[1], sizeof adjoint[0]);
        double apart = 0;
        for (int i = 0; i < N; i++) {
            const deq_spectrum *s = &spectra[0][i];
            assert_true(forward[0][i].solved && forward[0][i].steps >= 1 && !forward[0][i].failed);
            assert_true(adjoint[0][i].solved && forward[0][i].reason == DEQ_REASON_converged);
            assert_true(s->residual <= (bits == 32 ? 2e-5 : 2e-11));
            assert_true(s->radius > 0 && s->radius <= s->norm2 * 1.0001 && s->norm2 <= s->frobenius * 1.5);
            assert_true(fabs(s->radius - spectra[1][i].radius) <= 1e-3 * s->radius);
            apart = fmax(apart, fabs(s->radius - spectra[0][0].radius));
        }
        assert_true(apart > 1e-3); /* each example has its own J */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_do_not_change_bits),
        cmocka_unit_test(test_blocks_do_not_change_examples),
        cmocka_unit_test(test_gradient_is_the_derivative_of_the_mean_loss),
        cmocka_unit_test(test_update_descends),
        cmocka_unit_test(test_what_is_not_finite_is_found),
        cmocka_unit_test(test_attack_has_its_own_mode),
        cmocka_unit_test(test_known_attack),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_defence_is_of_predictions),
        cmocka_unit_test(test_stop_names_the_same_example_for_any_threads),
        cmocka_unit_test(test_progress_may_stop),
        cmocka_unit_test(test_residual_trace),
        cmocka_unit_test(test_a_request_is_of_one_call),
        cmocka_unit_test(test_single_calls),
        cmocka_unit_test(test_bad_modules_are_refused),
        cmocka_unit_test(test_solves_and_spectrum),
        cmocka_unit_test(test_memory_and_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
