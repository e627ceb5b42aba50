/* test_corner_gradients.c - derivatives at the edges of functions against differences there, as `deq gradcheck` takes
 * them: of a parameter and of the input, of the function alone, as the map of a fixed point in several modes, and after
 * one; f64 beside differences, f32 beside f64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compiled_net.h"

#define MOST 4
typedef struct Corner {
    const char *of; /* an expression of the vector v; numbers of about 1, for a fixed point has one norm */
    int inputs, outputs;
    double v[MOST];
    double scale; /* of a difference: a thousandth of it */
} Corner;

/* Where the two sides have slopes of their own, the convention is their mean, which a central difference gives. */
static const Corner corners[] = {
    {"norm(v) * ones([1])", 2, 1, {0, 0}, 1},
    {"1e30 * norm(v) * ones([1])", 2, 1, {3e-30, -4e-30}, 1e-30},
    {"1e-30 * norm(v) * ones([1])", 2, 1, {3e30, -4e30}, 1e30},
    {"norm(1e30 * v) * ones([1])", 2, 1, {3e-30, 4e-30}, 1e-30},
    {"v / norm(v)", 2, 2, {3e-30, 4e-30}, 1e-30},
    {"v / (norm(v) + 0.25)", 2, 2, {0, 0}, 0.001},
    {"norm(v - v) * ones([1]) + v[0..1]", 2, 1, {1, 2}, 1},
    {"1e15 * sqrt(v)", 2, 2, {1e-30, 4e-30}, 1e-30},
    {"1e-15 * sqrt(v)", 2, 2, {1e30, 4e30}, 1e30},
    {"0.01 * log(v)", 2, 2, {1e-30, 1e-37}, 1e-37},
    {"0.01 * log(v)", 2, 2, {1e30, 1e37}, 1e30},
    {"1e6 * log1p(v)", 2, 2, {1e-6, -1e-6}, 1e-6},
    {"1e6 * expm1(v)", 2, 2, {1e-6, -1e-6}, 1e-6},
    {"v ** 2", 2, 2, {0, -3}, 1},
    {"v ** 3", 2, 2, {0, -2}, 0.01},
    {"v ** 0", 2, 2, {0, -2}, 1},
    {"v ** 1", 2, 2, {0, -2}, 1},
    {"abs(v) ** 2.5", 2, 2, {0, -2}, 1e-3},
    {"v[0..1] ** v[1..2]", 2, 1, {2, 0}, 1},
    {"abs(v)", 2, 2, {0, -2}, 1},
    {"max(v, 0)", 2, 2, {0, 2}, 1},
    {"min(v, 1)", 2, 2, {1, 2}, 1},
    {"max(v[0..2], v[2..4])", 4, 2, {1, 2, 1, 5}, 1},
    {"if v > 0 then log(v) else 0 * v", 2, 2, {-1, 2}, 0.1},
    {"if v > 0 then sqrt(v) else -v", 2, 2, {-4, 4}, 0.1},
    {"if v > 0.5 then 1 / v else v", 2, 2, {0, 2}, 0.1},
    {"if v > 0.5 then (if v > 1 then v ** 0.5 else log(v - 1)) else v ** 2", 2, 2, {-2, 2}, 0.1},
    {"if sum(v * v) > 1 then v / sqrt(sum(v * v)) else v", 2, 2, {0, 0}, 0.1},
    {"if norm(v) > 1 then v / norm(v) else v", 2, 2, {0, 0}, 0.1},
    {"if v < 50 then exp(v) else 0.001 * v", 2, 2, {1000, 0}, 0.1},
    {"if sum(v) > 1 then (v / sum(v)) @ ones([2, 2]) else v", 2, 2, {0, 0}, 0.1},
    {"softmax(1e6 + v)", 3, 3, {0, 1, -1}, 1},
    {"log_softmax(v - 1e6)", 3, 3, {0, 1, 2}, 1},
    {"(logsumexp(v + 1e6) - 1e6) * ones([1])", 3, 1, {0, 2, 1}, 1},
    {"softmax(v)", 2, 2, {800, -800}, 1},
    {"cross_entropy(1e6 + v, argmax(v)) * ones([1])", 3, 1, {1, 2, 0}, 1},
    {"cross_entropy(v - 1e6, argmax(v - 1e6)) * ones([1])", 3, 1, {1, 2, 0}, 1},
    {"0.001 * cross_entropy(1000 * v, argmax(-v)) * ones([1])", 3, 1, {1, 2, 0}, 0.1},
    {"tanh(v)", 2, 2, {50, -50}, 1},
    {"sigmoid(v)", 2, 2, {200, -200}, 1},
    {"softplus(v)", 2, 2, {10, -200}, 1},
};
#define CORNERS (sizeof corners / sizeof *corners)

/* Of a net, the way from the vector to the results. */
static const struct {
    const char *name, *body;
    const char *gradients[5];
} nets[] = {
    {"Alone", "  return all(x + p)\n", {NULL}},
    {"Map",
     "  let v = x + p\n  fixed point z: f32[%d] {\n    z = 0.5 * z + 0.5 * all(v)\n"
     "    forward: picard(tol: 0, max: 60, return: last)\n    gradient: implicit()\n  }\n  return z\n",
     {"implicit(picard(tol: 0, max: 60))", "implicit(gmres(tol: 1e-13, max: 30))",
      "phantom.unroll(steps: 60, damping: 1)", "phantom.neumann(steps: 60, damping: 1)", "backprop()"}},
    {"After", /* moved by a fixed point, in units of each corner's scale */
     "  fixed point z: f32[%d] {\n    z = 0.5 * z + 0.5 * p\n"
     "    forward: picard(tol: 0, max: 60, return: last)\n    gradient: implicit()\n  }\n  return all(x + scaled(z))\n",
     {"implicit(picard(tol: 0, max: 60))", "backprop()"}},
};

static int inputs, outputs;

static const char *program(size_t net) {
    static char text[1 << 15]; /* of the whole program */
    char results[4096] = "", scaled[4096] = "";
    size_t at = (size_t)snprintf(text, sizeof text, "import std.losses (cross_entropy)\n");
    inputs = outputs = 0;
    for (size_t k = 0; k < CORNERS; k++) {
        const Corner *c = &corners[k];
        at += (size_t)snprintf(text + at, sizeof text - at, "fn f%d(v: f32[%d]) -> f32[%d] = %s\n", (int)k, c->inputs,
                               c->outputs, c->of);
        size_t length = strlen(results);
        snprintf(results + length, sizeof results - length, "%sf%d(v[%d..%d])", k ? ", " : "", (int)k, inputs,
                 inputs + c->inputs);
        length = strlen(scaled);
        snprintf(scaled + length, sizeof scaled - length, "%s%g * z[%d..%d]", k ? ", " : "", c->scale, inputs,
                 inputs + c->inputs);
        inputs += c->inputs;
        outputs += c->outputs;
    }
    at +=
        (size_t)snprintf(text + at, sizeof text - at,
                         "fn all(v: f32[%d]) -> f32[%d] = concat(%s)\nfn scaled(z: f32[%d]) -> f32[%d] = concat(%s)\n",
                         inputs, outputs, results, inputs, inputs, scaled);
    char body[1024];
    snprintf(body, sizeof body, nets[net].body, net == 1 ? outputs : inputs);
    snprintf(text + at, sizeof text - at,
             "layer %s(x: f32[%d]) -> f32[%d] {\n  param p: f32[%d] = zeros()\n%s}\n"
             "test \"edges\" { check: gradcheck(%s, directions: 1, tol: 1) }\n",
             nets[net].name, inputs, outputs, inputs, body, nets[net].name);
    return net_program(text);
}

/* In which the corner is moved. */
static double unit(size_t net, bool of_parameter, const Corner *c) { return net == 2 && of_parameter ? 1 : c->scale; }

/* out[k]: the sum of each corner's results, differentiated by its k-th input: of x or of p. */
static void differences(CompiledNet *f, double *x, size_t net, bool of_parameter, double *out) {
    double *y = calloc((size_t)f->outputs, sizeof *y);
    double *values = of_parameter ? deq_engine_parameters(f->engine) : x;
    deq_error e = {0};
    for (size_t k = 0, in = 0, first = 0; k < CORNERS;
         in += (size_t)corners[k].inputs, first += (size_t)corners[k].outputs, k++)
        for (size_t i = in; i < in + (size_t)corners[k].inputs; i++) {
            const double kept = values[i], h = 1e-3 * unit(net, of_parameter, &corners[k]);
            double side[2] = {0, 0};
            for (int s = 0; s < 2; s++) {
                values[i] = kept + (s ? h : -h);
                if (of_parameter) deq_engine_prepare(f->engine);
                if (!deq_engine_forward(f->engine, 1, x, y, NULL, &e)) fail_msg("%s", e.text);
                for (size_t o = first; o < first + (size_t)corners[k].outputs; o++) side[s] += y[o];
            }
            values[i] = kept;
            out[i] = (side[1] - side[0]) / (2 * h);
        }
    if (of_parameter) deq_engine_prepare(f->engine);
    free(y);
}

static void gradients(CompiledNet *f, const void *x, bool of_parameter, void *out) {
    void *ones = calloc((size_t)f->outputs, 8);
    const int64_t index[1] = {0};
    deq_results r = {0};
    deq_error e = {0};
    for (int64_t k = 0; k < f->outputs; k++) net_put(f, ones, k, 1);
    deq_dense dense = {(void *)x, ones, f->inputs, f->outputs};
    deq_source source = deq_dense_source(&dense);
    if (!(of_parameter ? deq_engine_gradient(f->engine, &source, index, 1, "projection", NULL, NULL, 0, 0, &r, &e)
                       : deq_engine_input_gradient(f->engine, 1, x, ones, "projection", out, &r, &e)))
        fail_msg("%s", e.text);
    if (of_parameter) memcpy(out, deq_engine_gradients(f->engine), (size_t)(f->inputs * f->real));
    free(ones);
}

/* Against `right`, where a number of another size than the difference's own rounding is an error. */
static void compare(const CompiledNet *f, size_t net, const char *mode, bool of_parameter, const void *found,
                    const double *right, double tolerance) {
    for (size_t k = 0, i = 0; k < CORNERS; k++)
        for (int j = 0; j < corners[k].inputs; j++, i++) {
            const double g = net_get(f, found, (int64_t)i);
            double most =
                1e-3 / unit(net, of_parameter, &corners[k]); /* of a result of size 1 over the corner's scale */
            for (int o = 0; o < corners[k].inputs; o++) most = fmax(most, fabs(right[i - (size_t)j + (size_t)o]));
            if (!(fabs(g - right[i]) <= tolerance * most))
                fail_msg("f%d, %s, %s: the derivative of %s by %s[%d] is %.17g, not %.17g", (int)(8 * f->real),
                         nets[net].name, mode, corners[k].of, of_parameter ? "p" : "x", j, g, right[i]);
        }
}

static void test_corners(void **state) {
    (void)state;
    program(0);
    double *right = calloc((size_t)(2 * 3 * inputs), sizeof *right), *x = calloc((size_t)inputs, sizeof *x);
    float *x32 = calloc((size_t)inputs, sizeof *x32);
    void *found = calloc((size_t)inputs, 8);
    for (size_t k = 0, at = 0; k < CORNERS; k++)
        for (int i = 0; i < corners[k].inputs; i++, at++) x[at] = corners[k].v[i], x32[at] = (float)x[at];
    for (int bits = 64; bits >= 32; bits -= 32)
        for (size_t net = 0; net < 3; net++) {
            CompiledNet f;
            CompileOptions o = {
                .path = program(net), .f64 = bits == 64, .tests = true, .optimise = 0, .last = STAGE_compile};
            net_open_with(&f, &o, nets[net].name, 1, 1, 0);
            double *of_net = right + 2 * net * (size_t)inputs;
            for (int p = 0; p < 2 && bits == 64; p++) differences(&f, x, net, p, of_net + p * inputs);
            for (size_t m = 0; m == 0 || (m < 5 && nets[net].gradients[m]); m++) {
                if (nets[net].gradients[m]) net_set(&f, "gradient", nets[net].gradients[m]);
                for (int p = 0; p < 2; p++) {
                    gradients(&f, bits == 64 ? (void *)x : (void *)x32, p, found);
                    compare(&f, net, nets[net].gradients[m] ? nets[net].gradients[m] : "", p, found,
                            of_net + p * inputs, bits == 64 ? 1e-5 : 3e-5);
                }
            }
            net_close(&f);
            unlink(o.path);
        }
    free(right), free(x), free(x32), free(found);
}

/* Cotangents whose squares are no numbers of f32, up or down. */
static void test_sizes_of_cotangents(void **state) {
    (void)state;
    static const char *const modes[] = {"implicit(lu())",
                                        "implicit(gmres(tol: 1e-6, max: 30))",
                                        "implicit(broyden(tol: 1e-6, max: 60))",
                                        "implicit(anderson(tol: 1e-6, max: 60))",
                                        "implicit(bicgstab(tol: 1e-6, max: 60))",
                                        "implicit(picard(tol: 1e-7, max: 60))",
                                        "implicit(neumann(tol: 1e-7, max: 60))",
                                        "phantom.unroll(steps: 60, damping: 1)",
                                        "phantom.neumann(steps: 60, damping: 1)",
                                        "backprop()"};
    static const char *const sizes[] = {"1e-30", "1e-19", "1", "1e19", "1e25", "1e34"};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        char text[512];
        snprintf(
            text, sizeof text,
            "layer Large(x: f32[3]) -> f32[3] {\n  param p: f32[3] = zeros()\n  fixed point z: f32[3] {\n"
            "    z = 0.5 * z + 0.5 * (x + p)\n    forward: picard(tol: 0, max: 40)\n    gradient: implicit()\n  }\n"
            "  return %s * z\n}\ntest \"large\" { check: gradcheck(Large, directions: 1, tol: 1) }\n",
            sizes[k]);
        const char *path = net_program(text);
        CompiledNet f;
        net_open(&f, path, "Large", false, 1, 1, 0);
        const float x[3] = {1, -2, 3};
        for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
            net_set(&f, "gradient", modes[m]);
            for (int p = 0; p < 2; p++) {
                float found[3];
                gradients(&f, x, p, found);
                for (int i = 0; i < 3; i++)
                    if (!(fabs(found[i] / strtod(sizes[k], NULL) - 1) < 2e-5))
                        fail_msg("%s: the derivative of %s * %s[%d] is %g", modes[m], sizes[k], p ? "p" : "x", i,
                                 (double)found[i]);
            }
        }
        net_close(&f);
        unlink(path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_corners), cmocka_unit_test(test_sizes_of_cotangents)};
    return cmocka_run_group_tests_name("corner gradients", tests, NULL, NULL);
}
