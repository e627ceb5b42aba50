/* The vector functions of single precision against libm in double precision: the bounds of math.def. */
#include "backend_support.h"

static const Range nowhere = {0};
#define COUNT 4096

typedef struct Function {
    const char *name;
    double ulp, low, high;
} Function;
static const Function functions[] = {
#define MATH(name, ulp, low, high, doc) {#name, ulp, low, high},
#include "math.def"
};
#define NFUNCTIONS (sizeof functions / sizeof *functions)

static Op math_op(const char *name) {
    Op op = op_named(name);
    if (op == OP_COUNT) fail_msg("no op %s", name);
    return op;
}

static double truth(Op op, double x) {
    switch (op) {
    case OP_exp: return exp(x);
    case OP_log: return log(x);
    case OP_expm1: return expm1(x);
    case OP_log1p: return log1p(x);
    case OP_tanh: return tanh(x);
    case OP_sigmoid: return 1 / (1 + exp(-x));
    case OP_softplus: return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
    case OP_sin: return sin(x);
    default: return cos(x);
    }
}

static Loaded load_functions(Arena *a, const char *cpu, uint32_t real, const char *math) {
    Unit *u = unit_new(a, real, cpu);
    for (size_t k = 0; k < NFUNCTIONS; k++) {
        Graph *g = graph_new(a, functions[k].name);
        NodeId x = graph_input(g, (Shape){1, {COUNT}}, true, "x", nowhere);
        graph_output(g, graph_unary(g, math_op(functions[k].name), x, nowhere));
        unit_add(u, g, (Placement){0});
    }
    return unit_load(u, cpu, math);
}

static void evaluate(const Loaded *l, size_t k, const float *x, float *y) {
    static float in[COUNT] __attribute__((aligned(64))), out[COUNT] __attribute__((aligned(64))),
        scratch[COUNT] __attribute__((aligned(64)));
    assert_true((size_t)(l->module->routines[k].base_bytes + l->module->routines[k].row_bytes) <= sizeof scratch);
    memcpy(in, x, sizeof in);
    deq_frame frame = {.arg0 = in, .arg1 = out, .scratch = scratch};
    l->module->routines[k].function(&frame, 1);
    memcpy(y, out, sizeof out);
}

static double ulps(float y, double true_value) {
    float t = (float)true_value;
    if (isnan(t) || isinf(t)) return (isnan(t) && isnan(y)) || t == y ? 0 : INFINITY;
    double unit = fabs((double)nextafterf(fabsf(t), INFINITY) - fabs((double)t));
    return fabs((double)y - true_value) / unit;
}

static void accuracy_on(const char *cpu) {
    Arena *a = arena_new();
    Loaded l = load_functions(a, cpu, 4, "inline");
    for (size_t k = 0; k < NFUNCTIONS; k++) {
        const Function *f = &functions[k];
        Op op = math_op(f->name);
        double worst = 0, at = 0;
        for (int round = 0; round < 500; round++) {
            float x[COUNT], y[COUNT];
            for (int i = 0; i < COUNT; i++) { /* half spread evenly, half over all magnitudes */
                double v = f->low + (f->high - f->low) * rng_uniform(0, 1);
                if (round % 2) v = (i % 2 ? -1 : 1) * exp(rng_uniform(log(1e-30), log(fmax(fabs(f->low), f->high))));
                if (v < f->low) v = f->low;
                x[i] = (float)(v > f->high ? f->high : v);
            }
            evaluate(&l, k, x, y);
            for (int i = 0; i < COUNT; i++) {
                double t = truth(op, (double)x[i]), e = ulps(y[i], t);
                /* the reduced argument is rounded: near the zeros of sine and cosine the error is absolute */
                if ((op == OP_sin || op == OP_cos) && fabs(t) < 0.01) continue;
                if (e > worst) worst = e, at = (double)x[i];
            }
        }
        print_message("%s %s: %.2f ulp at %.9g\n", cpu, f->name, worst, at);
        assert_true(worst <= f->ulp);
    }
    arena_free(a);
}

static void accuracy(void **state) {
    (void)state;
    accuracy_on("native");
    accuracy_on("x86-64"); /* no fused multiply-add */
}

static void special_values(void **state) {
    (void)state;
    static const float x[] = {0,    -0.0f,  INFINITY, -INFINITY, NAN,    1,      -1, 200,
                              -200, 1e-45f, -1e-45f,  3e38f,     -3e38f, 1e-38f, 89, -104};
    static const char *const cpus[] = {"native", "x86-64"};
    for (int c = 0; c < 2; c++) {
        Arena *a = arena_new();
        Loaded l = load_functions(a, cpus[c], 4, "inline");
        for (size_t k = 0; k < NFUNCTIONS; k++) {
            Op op = math_op(functions[k].name);
            float in[COUNT], out[COUNT];
            for (int i = 0; i < COUNT; i++) in[i] = x[i % 16];
            evaluate(&l, k, in, out);
            for (int i = 0; i < 16; i++) {
                double t = truth(op, (double)x[i]);
                if (ulps(out[i], t) > functions[k].ulp)
                    fail_msg("%s(%g) is %g, not %g", functions[k].name, x[i], out[i], t);
                if (op == OP_tanh)
                    assert_int_equal(signbit(out[i]) != 0, isnan(x[i]) ? signbit(out[i]) != 0 : signbit(x[i]) != 0);
                if (op == OP_tanh && fabsf(x[i]) > 20)
                    if (fabsf(out[i]) != 1) fail_msg("%s: tanh(%g) is %.9g", cpus[c], (double)x[i], (double)out[i]);
            }
        }
        arena_free(a);
    }
}

/* --math=libm gives what libm gives. */
static void library(void **state) {
    (void)state;
    Arena *a = arena_new();
    Loaded l = load_functions(a, "native", 4, "libm");
    float x[COUNT], y[COUNT];
    for (int i = 0; i < COUNT; i++) x[i] = (float)rng_uniform(0.1, 3);
    for (size_t k = 0; k < NFUNCTIONS; k++) {
        Op op = math_op(functions[k].name);
        if (op == OP_sigmoid || op == OP_softplus) continue;
        evaluate(&l, k, x, y);
        for (int i = 0; i < COUNT; i++) {
            float t = op == OP_exp     ? expf(x[i])
                      : op == OP_log   ? logf(x[i])
                      : op == OP_log1p ? log1pf(x[i])
                      : op == OP_expm1 ? expm1f(x[i])
                      : op == OP_tanh  ? tanhf(x[i])
                      : op == OP_sin   ? sinf(x[i])
                                       : cosf(x[i]);
            assert_true(y[i] == t);
        }
    }
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(accuracy), cmocka_unit_test(special_values),
                                       cmocka_unit_test(library)};
    return cmocka_run_group_tests_name("backend_math", tests, NULL, NULL);
}
