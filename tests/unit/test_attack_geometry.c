/* test_attack_geometry.c - attacks on linear classifiers, where geometry says what can be reached and what cannot:
 * exact counts of robust images of Fashion-MNIST, with the box [0, 1]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compiled_net.h"
#include "dataset.h"

enum { ELEMENTS = 784, CLASSES = 10, IMAGES = 200 };

static const char program[] =
    "import std.data (fashion_mnist)\n"
    "import std.losses (cross_entropy)\n"
    "import std.metrics (accuracy)\n"
    "import std.attacks (pgd)\n"
    "import std.optimisers (adam)\n\n"
    "layer Net(image: f32[1, 28, 28]) -> f32[10] {\n"
    "  param W: f32[784, 10] = normal()\n"
    "  param b: f32[10] = normal()\n"
    "  return flatten(image) @ W + b\n}\n\n"
    "data d: (f32[1, 28, 28], label[10]) = fashion_mnist()\n\n"
    "fn toward(z: f32[K], y: label[K]; target: label[K]) -> f32 = dot(z, one_hot(target)) - dot(z, one_hot(y))\n\n"
    "train net = Net on d.train { loss: cross_entropy; optimise: adam(rate: 1e-3); epochs: 1 }\n"
    "experiment e {\n"
    "  sweep t in 0..10\n"
    "  let linf = accuracy(net, d.test under pgd(radius: 0.1, step: 0.2, iterations: 2) with { loss: toward(target: "
    "t) })\n"
    "  let l2 = accuracy(net, d.test under pgd(radius: 1.5, step: 0.1, iterations: 100, p: 2) with { loss: "
    "toward(target: t) })\n"
    "  table \"t\" { rows: t; columns: [linf, l2] }\n}\n";

typedef struct Linear {
    CompiledNet net;
    const deq_manifest *manifest;
    deq_dataset *data;
    deq_source source;
    double W[ELEMENTS][CLASSES], b[CLASSES];
    double x[IMAGES][ELEMENTS], z[IMAGES][CLASSES];
    int y[IMAGES];
} Linear;

static void must(bool ok, const char *what, const deq_error *e) {
    if (!ok) fail_msg("%s: %s", what, e->text);
}

static void gather(const deq_source *s, int64_t from, int64_t n, double *x, double *y) {
    int64_t index[IMAGES];
    assert_true(n <= IMAGES);
    for (int64_t k = 0; k < n; k++) index[k] = from + k;
    s->gather(s->context, index, n, 64, x, ELEMENTS * sizeof(double), y, sizeof(double));
}

/* The classifier of the nearest mean: z_c = 2 m_c.x - m_c.m_c. */
static void set_means(Linear *l, const deq_source *train) {
    double(*mean)[ELEMENTS] = calloc(CLASSES, sizeof *mean);
    double x[IMAGES][ELEMENTS], y[IMAGES];
    int count[CLASSES] = {0};
    for (int block = 0; block < 5; block++) {
        gather(train, block * IMAGES, IMAGES, x[0], y);
        for (int i = 0; i < IMAGES; i++) {
            count[(int)y[i]]++;
            for (int k = 0; k < ELEMENTS; k++) mean[(int)y[i]][k] += x[i][k];
        }
    }
    for (int c = 0; c < CLASSES; c++)
        for (int k = 0; k < ELEMENTS; k++) {
            const double m = mean[c][k] / count[c];
            l->W[k][c] = 2 * m;
            l->b[c] -= m * m;
        }
    free(mean);
}

static void open_linear(Linear *l) {
    deq_error e = {0};
    memset(l, 0, sizeof *l);
    const char *path = net_program(program);
    CompileOptions o = {.path = path, .f64 = true, .optimise = 1, .last = STAGE_compile};
    net_open_with(&l->net, &o, "Net", 2, 16, 0.3);
    unlink(path);
    l->manifest = net_manifest(l->net.c.module, &e);
    assert_non_null(l->manifest);
    l->data = deq_dataset_new(&l->manifest->data[0], NULL, &e);
    must(l->data && deq_dataset_check(l->data, false, &e) && deq_dataset_check(l->data, true, &e) &&
             deq_dataset_load(l->data, false, &e) && deq_dataset_load(l->data, true, &e),
         "data", &e);
    const deq_source train = deq_dataset_source(l->data, false);
    l->source = deq_dataset_source(l->data, true);
    set_means(l, &train);
    double *parameters = deq_engine_parameters(l->net.engine), y[IMAGES];
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(l->net.net, "parameters"), i, item) {
        const bool matrix = json_count(json_object_get(item, "shape")) != CLASSES;
        memcpy(parameters + json_integer_value(json_object_get(item, "offset")) / 8, matrix ? l->W[0] : l->b,
               matrix ? sizeof l->W : sizeof l->b);
    }
    deq_engine_prepare(l->net.engine);
    gather(&l->source, 0, IMAGES, l->x[0], y);
    for (int n = 0; n < IMAGES; n++) {
        l->y[n] = (int)y[n];
        for (int c = 0; c < CLASSES; c++) {
            l->z[n][c] = l->b[c];
            for (int k = 0; k < ELEMENTS; k++) l->z[n][c] += l->x[n][k] * l->W[k][c];
        }
    }
}

static void close_linear(Linear *l) {
    deq_dataset_free(l->data);
    net_close(&l->net);
}

/* ---- geometry ---- */

/* How far the score of class c over the label's can rise within `reach` of image n: in every element and [0, 1], or by
 * the multiplier of the l2 problem. */
static double moved(const Linear *l, int n, int c, double reach, bool l2, double *length) {
    double gain = 0, sum = 0;
    for (int k = 0; k < ELEMENTS; k++) {
        const double w = l->W[k][c] - l->W[k][l->y[n]], room = w > 0 ? 1 - l->x[n][k] : l->x[n][k];
        const double d = fmin(l2 ? reach * fabs(w) : reach, room);
        if (w == 0) continue;
        gain += fabs(w) * d;
        sum += d * d;
    }
    if (length) *length = sqrt(sum);
    return gain;
}

/* The least change of image n, in the norm, that makes class c win over the label; infinity where none does. */
static double distance(const Linear *l, int n, int c, bool l2) {
    const double gap = l->z[n][l->y[n]] - l->z[n][c];
    double low = 0, high = 1e6, length = 0;
    if (gap <= 0) return 0;
    if (moved(l, n, c, high, l2, NULL) < gap) return INFINITY;
    for (int k = 0; k < 200; k++) {
        const double middle = 0.5 * (low + high);
        *(moved(l, n, c, middle, l2, NULL) < gap ? &low : &high) = middle;
    }
    moved(l, n, c, high, l2, &length);
    return l2 ? length : high;
}

static double nearest(const Linear *l, int n, bool l2) {
    double least = INFINITY;
    for (int c = 0; c < CLASSES; c++)
        if (c != l->y[n]) least = fmin(least, distance(l, n, c, l2));
    return least;
}

/* ---- attacks ---- */

typedef struct Outcome {
    int32_t prediction[IMAGES];
    double moved[2][IMAGES], inputs[IMAGES][ELEMENTS];
} Outcome;

static void attack(Linear *l, const char *name, int cell, Outcome *out) {
    const deq_cell_spec *c = &l->manifest->experiments[0].cells[cell];
    const deq_attack_spec *spec = NULL;
    for (int k = 0; k < c->nvalues; k++)
        if (!strcmp(c->values[k].name, name)) spec = c->values[k].attack;
    if (!spec) fail_msg("there is no evaluation %s", name);
    double scalars[32];
    int64_t index[IMAGES];
    assert_true(spec->nscalars <= 32);
    for (int k = 0; k < spec->nscalars; k++) scalars[k] = spec->scalars[k].value;
    for (int k = 0; k < IMAGES; k++) index[k] = k;
    deq_error e = {0};
    deq_attack a = {.routine = spec->routine, .scalars = scalars};
    deq_results r = {.prediction = out->prediction, .distance = {out->moved[0], out->moved[1]}, .inputs = out->inputs};
    must(
        deq_engine_evaluate(l->net.engine, &l->source, index, IMAGES, "cross_entropy", NULL, &a, 0, NULL, NULL, &r, &e),
        name, &e);
}

/* An attack that is best at every target leaves right what geometry says, no more and no fewer. */
static void test_exact_counts(void **state) {
    Linear *l = *state;
    static Outcome o;
    for (int l2 = 0; l2 < 2; l2++) {
        const double radius = l2 ? 1.5 : 0.1;
        bool lost[IMAGES] = {false};
        int right = 0, exact = 0, clean = 0;
        for (int t = 0; t < CLASSES; t++) {
            attack(l, l2 ? "l2" : "linf", t, &o);
            for (int n = 0; n < IMAGES; n++) {
                lost[n] = lost[n] || o.prediction[n] != l->y[n];
                assert_true(o.moved[l2][n] <= radius + 1e-12);
            }
        }
        for (int n = 0; n < IMAGES; n++) {
            const double d = nearest(l, n, l2);
            clean += d > 0;
            exact += d > radius;
            right += !lost[n];
            if (fabs(d - radius) > 1e-3 * radius && lost[n] != (d <= radius))
                fail_msg("image %d in l%s: at distance %g of %g it is %s", n, l2 ? "2" : "inf", d, radius,
                         lost[n] ? "lost" : "right");
        }
        print_message("l%s: %d clean, %d robust, %d right\n", l2 ? "2" : "inf", clean, exact, right);
        assert_true(clean > exact + 20 && exact > 10); /* the radius decides something */
        if (!l2) assert_int_equal(right, exact);
    }
}

static int set_up(void **state) {
    static Linear l;
    *state = &l;
    open_linear(&l);
    return 0;
}

static int tear_down(void **state) {
    close_linear(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exact_counts)};
    if (access("/usr/share/datasets/fashion-mnist", R_OK) != 0) return 0; /* the package is not installed */
    return cmocka_run_group_tests_name("geometry", tests, set_up, tear_down);
}
