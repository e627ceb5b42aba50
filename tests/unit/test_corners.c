/* test_corners.c - values and derivatives where functions have edges, as compiled code gives them, in both precisions:
 * PyTorch's conventions, with the side of an `if` that is not taken left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compiled_net.h"
#include <float.h>

#define MOST 4
typedef struct Corner {
    const char *of; /* an expression of the vector v */
    int inputs, outputs;
    double v[MOST], y[MOST], slope[MOST]; /* slope: of the sum of the results */
} Corner;

#define P 0.26894142136999512 /* softmax of (0, 1) */
#define LN2 0.69314718055994531

static const Corner corners[] = {
    {"softmax(v)", 2, 2, {1e6, 1e6 + 1}, {P, 1 - P}, {0, 0}},
    {"softmax(v)[0] * ones([1])", 2, 1, {1e6, 1e6 + 1}, {P}, {P * (1 - P), -P *(1 - P)}},
    {"log_softmax(v)", 2, 2, {-1e6, -1e6 + 1}, {-1.3132616875182228, -0.3132616875182228}, {1 - 2 * P, 2 * P - 1}},
    {"logsumexp(v) * ones([1])", 2, 1, {0, -INFINITY}, {0}, {1, 0}},
    {"norm(v) * ones([1])", 2, 1, {0, 0}, {0}, {0, 0}},
    {"norm(v) * ones([1])", 2, 1, {3, -4}, {5}, {0.6, -0.8}},
    {"norm(v) * ones([1])", 2, 1, {3e-30, -4e-30}, {5e-30}, {0.6, -0.8}},
    {"norm(v) * ones([1])", 2, 1, {3e30, -4e30}, {5e30}, {0.6, -0.8}},
    {"norm(v) * ones([1])", 2, 1, {3e-14, 4e-14}, {5e-14}, {0.6, 0.8}},
    {"norm(v) * ones([1])", 2, 1, {3e18, 4e18}, {5e18}, {0.6, 0.8}},
    {"norm(v) * ones([1])", 2, 1, {3e-200, -4e-200}, {5e-200}, {0.6, -0.8}},
    {"norm(v) * ones([1])", 2, 1, {3e200, -4e200}, {5e200}, {0.6, -0.8}},
    {"norm(reshape(v, [2, 2]), axes: [1])", 4, 2, {3e-30, 4e-30, 3e30, 4e30}, {5e-30, 5e30}, {0.6, 0.8, 0.6, 0.8}},
    {"norm(reshape(v, [2, 2]), axes: [0])", 4, 2, {3e-30, 3e30, 4e-30, 4e30}, {5e-30, 5e30}, {0.6, 0.6, 0.8, 0.8}},
    {"v / norm(v)", 2, 2, {3e-30, 4e-30}, {0.6, 0.8}, {3.2e28, -2.4e28}},
    {"v / norm(v)", 2, 2, {3e-200, 4e-200}, {0.6, 0.8}, {3.2e198, -2.4e198}},
    {"v / (norm(v) + 0.25)", 2, 2, {0, 0}, {0, 0}, {4, 4}},
    {"if v > 0 then log(v) else 0", 3, 3, {0, -1, 2}, {0, 0, LN2}, {0, 0, 0.5}},
    {"if v > 0 then 3 * log(v) * log(v) else v", 2, 2, {0, 2}, {0, 3 * LN2 *LN2}, {1, 3 * LN2}},
    {"if v > 0 then sqrt(v) / v else 0", 2, 2, {0, 4}, {0, 0.5}, {0, -0.0625}},
    {"if v <= 0 then 0 else 1 / v ** 1.5", 2, 2, {0, 4}, {0, 0.125}, {0, -0.046875}},
    {"if v < 50 then exp(v) else v", 2, 2, {1000, 0}, {1000, 1}, {1, 1}},
    {"if norm(v) > 0 then v / norm(v) else v", 2, 2, {0, 0}, {0, 0}, {1, 1}},
    {"if sum(v * v) > 0 then v / sqrt(sum(v * v)) else 0 * v", 2, 2, {0, 0}, {0, 0}, {0, 0}},
    {"if v > 1 then (if v > 2 then v else log(v - 1)) else -v", 3, 3, {1, 2, 3}, {-1, 0, 3}, {-1, 1, 1}},
    {"(if sum(v) < 0 then sum(v / (v - v)) else norm(v)) * ones([1])", 2, 1, {3, 4}, {5}, {0.6, 0.8}},
    {"(if v > 0 then log(v) else 0) + (if v > 0.5 then log(v) else v)", 3, 3, {0, 1, 4}, {0, 0, 4 * LN2}, {1, 2, 0.5}},
    {"twice(v)", 3, 3, {0, 1, 4}, {0, 0, 4 * LN2}, {1, 2, 0.5}},
    {"if sum(v) > 0 then v / sum(v) else v", 2, 2, {0, 0}, {0, 0}, {1, 1}},
    {"if sum(v) > 0 then (v / sum(v)) @ ones([2, 2]) else v", 2, 2, {0, 0}, {0, 0}, {1, 1}},
    {"if v[0] > 0 then concat(log(v[0..1]), v[1..2] / v[0..1]) else v", 2, 2, {0, 3}, {0, 3}, {1, 1}},
    {"if v[0] > 0 then flatten(reshape(1 / v, [2, 1])') else v", 2, 2, {0, 3}, {0, 3}, {1, 1}},
    {"if norm(reshape(v, [2, 2]), axes: [1]) > 0 then sum(reshape(v, [2, 2]) / reshape(norm(reshape(v, [2, 2]), axes: "
     "[1]), [2, 1]), axes: [1]) else sum(reshape(v, [2, 2]), axes: [1])",
     4,
     2,
     {0, 0, 3, 4},
     {0, 1.4},
     {1, 1, 0.032, -0.024}},
    {"if v[0] > 0 then flatten(average_pool(reshape(log(v), [1, 2, 2]), 2)) else v[1..2]",
     4,
     1,
     {0, 3, 1, 1},
     {3},
     {0, 1, 0, 0}},
    {"max(log(v), -5)", 2, 2, {0, 1}, {-5, 0}, {0, 1}},
    {"sqrt(v)", 2, 2, {0, 4}, {0, 2}, {INFINITY, 0.25}},
    {"log(v)", 2, 2, {0, 2}, {-INFINITY, LN2}, {INFINITY, 0.5}},
    {"log1p(v)", 2, 2, {-1, 1e-12}, {-INFINITY, 9.99999999999500e-13}, {INFINITY, 0.999999999999}},
    {"abs(v)", 3, 3, {0, -2, 2}, {0, 2, 2}, {0, -1, 1}},
    {"relu(v)", 3, 3, {0, -2, 2}, {0, 0, 2}, {0, 0, 1}},
    {"max(v, 0)", 3, 3, {0, -2, 2}, {0, 0, 2}, {0.5, 0, 1}},
    {"min(v, 1)", 3, 3, {1, -2, 2}, {1, -2, 1}, {0.5, 1, 0}},
    {"max(v[0..2], v[2..4])", 4, 2, {1, 2, 1, 5}, {1, 5}, {0.5, 0, 0.5, 1}},
    {"max(v) * ones([1])", 3, 1, {3, 3, 1}, {3}, {0.5, 0.5, 0}},
    {"clamp(v, -1, 1)", 4, 4, {-1, 1, 0.5, 2}, {-1, 1, 0.5, 1}, {1, 1, 1, 0}},
    {"v ** 0.5", 2, 2, {0, 4}, {0, 2}, {INFINITY, 0.25}},
    {"v ** 2", 2, 2, {0, -3}, {0, 9}, {0, -6}},
    {"v ** 1.5", 2, 2, {0, 4}, {0, 8}, {0, 3}},
    {"v[0..2] ** v[2..4]", 4, 2, {0, 0, 0, 2}, {1, 0}, {0, 0, 0, 0}},
    {"v[0..2] ** v[2..4]", 4, 2, {2, -2, 3, 2}, {8, 4}, {12, -4, 8 * LN2, NAN}},
    {"expm1(v)", 3, 3, {1e-14, -1e-14, -800}, {1e-14, -1e-14, -1}, {1, 1, 0}},
    {"elu(v)", 3, 3, {-1e-14, 2, -LN2}, {-1e-14, 2, -0.5}, {1, 1, 0.5}},
};
#define CORNERS (sizeof corners / sizeof *corners)

/* One net of them all: each takes its part of the input. */
static const char *program(void) {
    static char text[1 << 14];
    char results[2048] = "";
    size_t at = (size_t)snprintf(text, sizeof text,
                                 "import std.activations (elu)\n\n"
                                 "fn twice(v: f32[N]) -> f32[N] {\n  let r = log(v)\n"
                                 "  return (if v > 0 then r else 0) + (if v > 0.5 then r else v)\n}\n");
    int inputs = 0, outputs = 0;
    for (size_t k = 0; k < CORNERS; k++) {
        const Corner *c = &corners[k];
        at += (size_t)snprintf(text + at, sizeof text - at, "fn f%d(v: f32[%d]) -> f32[%d] = %s\n", (int)k, c->inputs,
                               c->outputs, c->of);
        size_t length = strlen(results);
        snprintf(results + length, sizeof results - length, "%sf%d(x[%d..%d])", k ? ", " : "", (int)k, inputs,
                 inputs + c->inputs);
        inputs += c->inputs;
        outputs += c->outputs;
    }
    snprintf(text + at, sizeof text - at,
             "layer Edges(x: f32[%d]) -> f32[%d] {\n  return concat(%s)\n}\n"
             "test \"edges\" { check: gradcheck(Edges, directions: 1, tol: 1) }\n",
             inputs, outputs, results);
    return net_program(text);
}

/* A value below 1 keeps its digits as well. */
static bool agree(double found, double right, double tolerance) {
    if (isnan(right)) return isnan(found);
    return found == right || fabs(found - right) <= tolerance * (right == 0 ? 1 : fabs(right));
}

/* Whether the inputs are numbers of f32 too. */
static bool has_f32(const Corner *c) {
    for (int i = 0; i < c->inputs; i++)
        if (isfinite(c->v[i]) && (fabs(c->v[i]) > FLT_MAX || (c->v[i] != 0 && fabs(c->v[i]) < FLT_MIN))) return false;
    return true;
}

static void test_edges(void **state) {
    (void)state;
    const char *path = program();
    for (int bits = 32; bits <= 64; bits += 32) {
        CompiledNet f;
        deq_error e = {0};
        net_open(&f, path, "Edges", bits == 64, 1, 0, 0);
        void *x = calloc((size_t)f.inputs, 8), *y = calloc((size_t)f.outputs, 8), *ones = calloc((size_t)f.outputs, 8),
             *dx = calloc((size_t)f.inputs, 8);
        for (size_t k = 0, at = 0; k < CORNERS; at += (size_t)corners[k++].inputs)
            for (int i = 0; i < corners[k].inputs; i++) net_put(&f, x, (int64_t)at + i, corners[k].v[i]);
        for (int64_t k = 0; k < f.outputs; k++) net_put(&f, ones, k, 1);
        if (!deq_engine_forward(f.engine, 1, x, y, NULL, &e) ||
            !deq_engine_input_gradient(f.engine, 1, x, ones, "projection", dx, NULL, &e))
            fail_msg("%s", e.text);
        const double tolerance = bits == 32 ? 2e-6 : 1e-13;
        int64_t in = 0, out = 0;
        for (size_t k = 0; k < CORNERS; k++) {
            const Corner *c = &corners[k];
            if (bits == 32 && !has_f32(c)) {
                in += c->inputs, out += c->outputs;
                continue;
            }
            for (int i = 0; i < c->outputs; i++, out++)
                if (!agree(net_get(&f, y, out), c->y[i], tolerance))
                    fail_msg("f%d: %s [%d] is %.17g, not %.17g", bits, c->of, i, net_get(&f, y, out), c->y[i]);
            for (int i = 0; i < c->inputs; i++, in++)
                if (!agree(net_get(&f, dx, in), c->slope[i], tolerance))
                    fail_msg("f%d: the derivative of %s by v[%d] is %.17g, not %.17g", bits, c->of, i,
                             net_get(&f, dx, in), c->slope[i]);
        }
        free(x), free(y), free(ones), free(dx);
        net_close(&f);
    }
    unlink(path);
}

/* What all logits have in common loses nothing; a logit of -inf is a class that cannot be. */
static void test_losses(void **state) {
    (void)state;
    static const char text[] =
        "import std.losses (cross_entropy, smoothed_cross_entropy)\n"
        "import std.optimisers (sgd)\n"
        "import std.data (idx)\n"
        "layer Same(x: f32[1, 1, 3]) -> f32[3] { return flatten(x) }\n"
        "data d: (f32[1, 1, 3], label[3]) = idx(\"a\", \"b\")\n"
        "train one = Same on d.train { loss: cross_entropy; optimise: sgd(rate: 0); epochs: 1 }\n"
        "train two = Same on d.train { loss: smoothed_cross_entropy; optimise: sgd(rate: 0); "
        "epochs: 1 }\n";
    static const struct {
        const char *loss;
        double x[3], value, slope[3];
    } cases[] = {
        {"cross_entropy", {1e6, 1e6, 1e6}, 1.0986122886681098, {-2.0 / 3, 1.0 / 3, 1.0 / 3}},
        {"cross_entropy", {-1e6, -1e6 + 1, -INFINITY}, 1.3132616875182228, {P - 1, 1 - P, 0}},
        {"cross_entropy", {0, 2e5, 0}, 2e5, {-1, 1, 0}},
        {"smoothed_cross_entropy", {1e6, 1e6, 1e6}, 1.0986122886681098, {-0.6, 0.3, 0.3}},
    };
    const char *path = net_program(text);
    for (int bits = 32; bits <= 64; bits += 32) {
        CompiledNet f;
        CompileOptions o = {.path = path, .f64 = bits == 64, .optimise = 2, .last = STAGE_compile};
        net_open_with(&f, &o, "Same", 1, 0, 0);
        for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
            double x[3], y[1], dx[3], loss;
            deq_error e = {0};
            deq_results results = {.loss = &loss};
            for (int i = 0; i < 3; i++) net_put(&f, x, i, cases[k].x[i]);
            net_put(&f, y, 0, 0);
            if (!deq_engine_input_gradient(f.engine, 1, x, y, cases[k].loss, dx, &results, &e)) fail_msg("%s", e.text);
            const double tolerance = bits == 32 ? 2e-6 : 1e-13;
            if (!agree(loss, cases[k].value, tolerance))
                fail_msg("f%d, case %d: %.17g, not %.17g", bits, (int)k, loss, cases[k].value);
            for (int i = 0; i < 3; i++)
                if (!agree(net_get(&f, dx, i), cases[k].slope[i], tolerance))
                    fail_msg("f%d, case %d: slope %d is %.17g, not %.17g", bits, (int)k, i, net_get(&f, dx, i),
                             cases[k].slope[i]);
        }
        net_close(&f);
    }
    unlink(path);
}

/* Rounding errors of long sums do not add up: the mean of a million 0.1 is 0.1, along any axes. */
static void test_long_sums(void **state) {
    (void)state;
    static const char text[] =
        "layer Long(x: f32[1000000]) -> f32[12] {\n"
        "  return concat(mean(x) * ones([1]), norm(x) * ones([1]), max(x) * ones([1]),\n"
        "    mean(reshape(x, [250000, 4]), axes: [0]), mean(reshape(x, [1000, 1000])[0..500]) * ones([1]),\n"
        "    mean(reshape(x, [4, 250000]), axes: [1]))\n}\n"
        "test \"long\" { check: gradcheck(Long, directions: 1, tol: 1) }\n";
    const char *path = net_program(text);
    for (int bits = 32; bits <= 64; bits += 32) {
        CompiledNet f;
        deq_error e = {0};
        double y[12];
        net_open(&f, path, "Long", bits == 64, 1, 1, 0);
        void *x = malloc((size_t)f.inputs * 8);
        for (int64_t k = 0; k < f.inputs; k++) net_put(&f, x, k, 0.1);
        if (!deq_engine_forward(f.engine, 1, x, y, NULL, &e)) fail_msg("%s", e.text);
        for (int64_t k = 0; k < f.outputs; k++)
            if (!agree(net_get(&f, y, k), k == 1 ? 100 : 0.1, bits == 32 ? 1e-6 : 1e-13))
                fail_msg("f%d, result %d: %.9g", bits, (int)k, net_get(&f, y, k));
        free(x);
        net_close(&f);
    }
    unlink(path);
}

/* The gradient of a weight of a convolution is a sum over pixels, however many: in every form of the kernels. */
static void test_long_images(void **state) {
    (void)state;
    /* segments and a rest; a pixel's term is rounded 1024 times within its segment, then once for each segment */
    enum { SIDE_LENGTH = 515, ROUNDINGS = 1024 + SIDE_LENGTH * SIDE_LENGTH / 1024 + 1 };
    static const char text[] =
        "layer Image(x: f32[1, 515, 515]) -> f32[4] {\n  param a: f32[1, 1, 1, 1] = ones()\n"
        "  param b: f32[3, 1, 3, 3] = ones()\n  param c: f32[2, 1, 3, 3] = ones()\n  param d: f32[8, 8, 3, 3] = "
        "ones()\n"
        "  let two = concat(x, x)\n  let four = concat(two, two)\n  let eight = concat(four, four)\n"
        "  return concat(concat(sum(conv(x, a)) * ones([1]), sum(conv(x, b, padding: 1)) * ones([1])),\n"
        "    concat(sum(conv(two, c, groups: 2, stride: 2, padding: 1)) * ones([1]),\n"
        "      sum(conv(eight, d, padding: 1)) * ones([1])))\n}\n"
        "test \"image\" { check: gradcheck(Image, directions: 1, tol: 1) }\n";
    const char *path = net_program(text);
    for (int bits = 32; bits <= 64; bits += 32) {
        CompiledNet f;
        deq_error e = {0};
        net_open(&f, path, "Image", bits == 64, 1, 0, 0);
        const int64_t count = SIDE_LENGTH * SIDE_LENGTH, index[1] = {0};
        void *x = malloc((size_t)count * 8), *y = malloc(4 * 8);
        for (int64_t k = 0; k < count; k++) net_put(&f, x, k, 0.1);
        for (int k = 0; k < 4; k++) net_put(&f, y, k, 1);
        deq_dense dense = {x, y, count, 4};
        deq_source source = deq_dense_source(&dense);
        deq_results results = {0};
        if (!deq_engine_gradient(f.engine, &source, index, 1, "projection", NULL, NULL, 0, 0, &results, &e))
            fail_msg("%s", e.text);
        const void *gradients = deq_engine_gradients(f.engine);
        for (int p = 0; p < 4; p++) {
            const json_t *of = json_array_get(json_object_get(f.net, "parameters"), (size_t)p);
            const int64_t at = json_integer_value(json_object_get(of, "offset")) / f.real,
                          elements = json_count(json_object_get(of, "shape"));
            const int side = p ? 3 : 1;
            for (int64_t k = 0; k < elements; k++) {
                const int64_t row = k / side % side, column = k % side,
                              n = p == 2 ? (SIDE_LENGTH + 1) / 2 : SIDE_LENGTH;
                const int64_t rows = n - (p && row != 1), columns = n - (p && column != 1);
                const double found = net_get(&f, gradients, at + k);
                if (!agree(found, 0.1 * (double)(rows * columns), bits == 32 ? ROUNDINGS * 0x1p-24 : 1e-12))
                    fail_msg("f%d, %s[%d]: %.9g, not %.9g", bits, json_string_value(json_object_get(of, "path")),
                             (int)k, found, 0.1 * (double)(rows * columns));
            }
        }
        free(x);
        free(y);
        net_close(&f);
    }
    unlink(path);
}

/* The gradient of a parameter is a mean over examples, however many. */
static void test_long_batches(void **state) {
    (void)state;
    enum { EXAMPLES = 300000 };
    static const char text[] =
        "layer Scale(x: f32[3]) -> f32[3] {\n  param s: f32[3] = ones()\n  param W: f32[3, 3] = ones()\n"
        "  return s * x + x @ W\n}\n"
        "test \"scale\" { check: gradcheck(Scale, directions: 1, tol: 1) }\n";
    const char *path = net_program(text);
    for (int bits = 32; bits <= 64; bits += 32) {
        CompiledNet f;
        deq_error e = {0};
        net_open(&f, path, "Scale", bits == 64, 2, 0, 0);
        int64_t *index = malloc(EXAMPLES * sizeof *index);
        void *x = malloc((size_t)EXAMPLES * 3 * 8), *y = malloc((size_t)EXAMPLES * 3 * 8);
        for (int64_t k = 0; k < EXAMPLES * 3; k++) net_put(&f, x, k, 0.1), net_put(&f, y, k, 1);
        for (int64_t k = 0; k < EXAMPLES; k++) index[k] = k;
        deq_dense dense = {x, y, 3, 3};
        deq_source source = deq_dense_source(&dense);
        deq_results results = {0};
        if (!deq_engine_gradient(f.engine, &source, index, EXAMPLES, "projection", NULL, NULL, 0, 0, &results, &e))
            fail_msg("%s", e.text);
        for (int k = 0; k < 12; k++) { /* s, and W after it at the next 64 bytes */
            const double found = net_get(&f, deq_engine_gradients(f.engine), k < 3 ? k : 64 / f.real + k - 3);
            if (!agree(found, 0.1, bits == 32 ? 2e-6 : 1e-13)) fail_msg("f%d, element %d: %.9g", bits, k, found);
        }
        free(index), free(x), free(y);
        net_close(&f);
    }
    unlink(path);
}

/* Losses and metrics read the output as it is handed on, however it was made and whatever they make of it. */
static void test_cut_at_the_output(void **state) {
    (void)state;
    static const char text[] =
        "import std.optimisers (sgd)\n"
        "import std.data (npz)\n"
        "layer Image(x: f32[1, 4, 4]) -> f32[2, 4, 4] {\n"
        "  param w: f32[2, 1, 3, 3] = normal()\n"
        "  param v: f32[2, 2, 3, 3] = normal(std: 0.1)\n"
        "  let u = conv(x, w, padding: 1)\n"
        "  fixed point z: f32[2, 4, 4] { z = tanh(conv(z, v, padding: 1) + u) }\n"
        "  return z\n}\n"
        "layer Flat(x: f32[1, 4, 4]) -> f32[16] {\n"
        "  param w: f32[4, 4] = normal(std: 0.1)\n"
        "  fixed point z: f32[4, 4] { z = tanh(w @ z + reshape(x, [4, 4])) }\n"
        "  return flatten(z)\n}\n"
        "layer Negated(x: f32[1, 4, 4]) -> f32[4] {\n"
        "  param w: f32[4, 16] = normal()\n"
        "  let gap = w - reshape(x, [1, 16])\n"
        "  return -sum(gap * gap, axes: [1])\n}\n"
        "layer Spread(x: f32[1, 4, 4]) -> f32[6] {\n"
        "  param b: f32 = ones()\n"
        "  return mean(x) * b * ones([6])\n}\n"
        "fn image(o: f32[C, H, W], y: label[2]) -> f32 = mean(reshape(o, [C, H * W])[0] * 3 + max(-o))\n"
        "fn flat(o: f32[N], y: label[2]) -> f32 = sum(reshape(o, [N / 2, 2])[0]) - mean(-o)\n"
        "data d: (f32[1, 4, 4], label[2]) = npz(\"d.npz\", images: \"x\", labels: \"y\")\n"
        "train a = Image on d.train { loss: image; optimise: sgd(rate: 0); epochs: 1 }\n"
        "train b = Flat on d.train { loss: flat; optimise: sgd(rate: 0); epochs: 1 }\n"
        "train c = Negated on d.train { loss: flat; optimise: sgd(rate: 0); epochs: 1 }\n"
        "train e = Spread on d.train { loss: flat; optimise: sgd(rate: 0); epochs: 1 }\n"
        "experiment one {\n"
        "  let p = image(a, d.train)\n  let q = flat(b, d.train)\n  let r = flat(c, d.train)\n"
        "  let s = flat(e, d.train)\n"
        "  table \"one\" { columns: [p, q, r, s] }\n}\n";
    static const char *const nets[] = {"Image", "Flat", "Negated", "Spread"};
    enum { N = 3 };
    const char *path = net_program(text);
    for (int k = 0; k < 4; k++) {
        CompiledNet f;
        CompileOptions o = {.path = path, .f64 = true, .optimise = 2, .last = STAGE_compile};
        net_open_with(&f, &o, nets[k], 1, 0, 0.3);
        double *x = net_rows(&f, N, f.inputs, 3), *out = net_rows(&f, N, f.outputs, 0), y[N] = {0}, loss[N], metric[N];
        int64_t index[N] = {0, 1, 2};
        deq_dense dense = {x, y, f.inputs, 1};
        deq_source source = deq_dense_source(&dense);
        deq_results results = {.loss = loss, .metric = metric};
        deq_error e = {0};
        const char *name = k ? "flat" : "image";
        if (!deq_engine_forward(f.engine, N, x, out, NULL, &e) ||
            !deq_engine_evaluate(f.engine, &source, index, N, name, name, NULL, 0, NULL, NULL, &results, &e))
            fail_msg("%s: %s", nets[k], e.text);
        for (int i = 0; i < N; i++) {
            const double *row = out + i * f.outputs;
            double right = 0, least = row[0];
            for (int64_t j = 0; j < f.outputs; j++) least = fmin(least, row[j]);
            if (k == 0)
                for (int j = 0; j < 16; j++) right += row[j] * 3 / 16 - least / 16;
            else
                right = row[0] + row[1];
            for (int64_t j = 0; k > 0 && j < f.outputs; j++) right += row[j] / (double)f.outputs;
            if (!agree(metric[i], right, 1e-12) || !agree(loss[i], right, 1e-12))
                fail_msg("%s, row %d: metric %.17g and loss %.17g, not %.17g", nets[k], i, metric[i], loss[i], right);
        }
        free(x), free(out);
        net_close(&f);
    }
    unlink(path);
}

/* The spectral norm of n rows. */
static double norm2(const double *a, int n) {
    double v[96], u[96], size = 0;
    for (int k = 0; k < n; k++) v[k] = 1 + k % 3;
    for (int round = 0; round < 3000; round++) {
        double sum = 0;
        for (int i = 0; i < n; i++) {
            u[i] = 0;
            for (int k = 0; k < n; k++) u[i] += a[i * n + k] * v[k];
        }
        for (int k = 0; k < n; k++) {
            v[k] = 0;
            for (int i = 0; i < n; i++) v[k] += u[i] * a[i * n + k];
            sum += v[k] * v[k];
        }
        size = sqrt(sqrt(sum)); /* norm(A'A v), v of norm 1, is the norm squared */
        for (int k = 0; k < n; k++) v[k] /= sqrt(sum);
    }
    return size;
}

/* A bound is a bound, and close. */
static void test_spectral_bound(void **state) {
    (void)state;
    enum { N = 96 };
    static const char text[] = "import std.layers (SpectralLinear)\n"
                               "layer Clipped(x: f32[96]) -> f32[96] {\n"
                               "  use s = SpectralLinear[96, 96](most: 0.95)\n  return s(x)\n}\n"
                               "test \"clipped\" { check: gradcheck(Clipped, directions: 1, tol: 1) }\n";
    const char *path = net_program(text);
    for (int bits = 32; bits <= 64; bits += 32)
        for (int spread = 0; spread < 2; spread++) { /* near singular values, and one far above the others */
            CompiledNet f;
            deq_error e = {0};
            net_open(&f, path, "Clipped", bits == 64, 1, 0, 0.7);
            for (int k = 0; spread && k < N * N; k++)
                net_put(&f, deq_engine_parameters(f.engine), k,
                        0.01 * net_get(&f, deq_engine_parameters(f.engine), k) + 0.05 * (1 + k / N % 2) * (1 + k % 3));
            deq_engine_prepare(f.engine);
            void *x = calloc(N * N, 8), *y = calloc(N * N, 8);
            double rows[N * N];
            for (int k = 0; k < N; k++) net_put(&f, x, k * (N + 1), 1);
            if (!deq_engine_forward(f.engine, N, x, y, NULL, &e)) fail_msg("%s", e.text);
            for (int k = 0; k < N * N; k++) rows[k] = net_get(&f, y, k);
            const double norm = norm2(rows, N);
            if (!(norm <= 0.95 && norm >= 0.93)) fail_msg("f%d: norm %.9g", bits, norm);
            free(x), free(y);
            net_close(&f);
        }
    unlink(path);
}

/* A prediction with a NaN is no label: wrong, and known as what it is. */
static void test_no_prediction(void **state) {
    (void)state;
    static const char text[] =
        "import std.losses (cross_entropy)\n"
        "import std.metrics (accuracy)\n"
        "import std.data (npz)\n"
        "import std.optimisers (sgd)\n"
        "layer Poles(x: f32[3]) -> f32[3] { return x + 1e-9 * log(x[2]) }\n"
        "fn share(o: f32[K], y: label[K]) -> f32 = accuracy(o, y)\n"
        "data d: (f32[3], label[3]) = npz(\"d.npz\", images: \"x\", labels: \"y\")\n"
        "train net = Poles on d.train { loss: cross_entropy; optimise: sgd(rate: 0); epochs: 1 }\n"
        "experiment e {\n  let a = share(net, d.train)\n  table \"e\" { columns: [a] }\n}\n";
    static const double rows[4][3] = {{2, 1, 1}, {2, 1, -1}, {1, 2, 1}, {-1, -2, -1}};
    static const int32_t predictions[4] = {0, -1, 1, -1};
    const char *path = net_program(text);
    for (int bits = 32; bits <= 64; bits += 32) {
        CompiledNet f;
        CompileOptions o = {.path = path, .f64 = bits == 64, .optimise = 2, .last = STAGE_compile};
        net_open_with(&f, &o, "Poles", 1, 0, 0);
        double x[12], y[4] = {0}, metric[4];
        int32_t prediction[4], label[4];
        int64_t index[4] = {0, 1, 2, 3};
        for (int k = 0; k < 12; k++) net_put(&f, x, k, rows[k / 3][k % 3]);
        deq_dense dense = {x, y, 3, 1};
        deq_source source = deq_dense_source(&dense);
        deq_results results = {.metric = metric, .prediction = prediction, .label = label};
        deq_error e = {0};
        if (!deq_engine_evaluate(f.engine, &source, index, 4, NULL, "share", NULL, 0, NULL, NULL, &results, &e))
            fail_msg("%s", e.text);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(prediction[i], predictions[i]);
            assert_true(metric[i] == (i == 0) && (prediction[i] == label[i]) == (i == 0));
        }
        net_close(&f);
    }
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_edges),         cmocka_unit_test(test_losses),
                                       cmocka_unit_test(test_long_sums),     cmocka_unit_test(test_long_batches),
                                       cmocka_unit_test(test_long_images),   cmocka_unit_test(test_cut_at_the_output),
                                       cmocka_unit_test(test_no_prediction), cmocka_unit_test(test_spectral_bound)};
    return cmocka_run_group_tests_name("corners", tests, NULL, NULL);
}
