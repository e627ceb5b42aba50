/* test_attack_geometry.c - attacks on linear classifiers, where geometry says what can be reached and what cannot:
 * exact counts of robust images of Fashion-MNIST, distances to the boundary with the box [0, 1] and without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compiled_net.h"
#include "dataset.h"

enum { ELEMENTS = 784, CLASSES = 10, IMAGES = 60, SOME = 6 };

static const char program[] =
    "import std.data (fashion_mnist)\n"
    "import std.losses (cross_entropy, margin_to)\n"
    "import std.metrics (accuracy)\n"
    "import std.attacks (apgd_t, cw_l2, deepfool, fab, fab_t, kl_pgd, pgd, pgd_l1, square, square_l2)\n"
    "import std.optimisers (adam)\n\n"
    "layer Net(image: f32[1, 28, 28]) -> f32[10] {\n"
    "  param W: f32[784, 10] = normal()\n"
    "  param b: f32[10] = normal()\n"
    "  return flatten(image) @ W + b\n}\n\n"
    "data d: (f32[1, 28, 28], label[10]) = fashion_mnist()\n\n"
    "train net = Net on d.train { loss: cross_entropy; optimise: adam(rate: 1e-3); epochs: 1 }\n"
    "experiment e {\n"
    "  sweep t in 0..10\n"
    "  let linf = accuracy(net, d.test under pgd(radius: 0.1, step: 0.2, iterations: 2)\n"
    "    with { loss: margin_to(target: t) })\n"
    "  let l2 = accuracy(net, d.test under pgd(radius: 1.5, step: 0.1, iterations: 100, p: 2)\n"
    "    with { loss: margin_to(target: t) })\n"
    "  let l1 = accuracy(net, d.test under pgd_l1(radius: 15, step: 0.4, iterations: 250)\n"
    "    with { loss: margin_to(target: t) })\n"
    "  let l1_start = accuracy(net, d.test under pgd_l1(radius: 15, step: 1.5e-5, iterations: 1))\n"
    "  let l1_all = accuracy(net, d.test under pgd_l1(radius: 15, step: 196, iterations: 1, start: 0, top: 1)\n"
    "    with { loss: margin_to(target: t) })\n"
    "  let l1_one = accuracy(net, d.test under pgd_l1(radius: 15, step: 0.9, iterations: 1, start: 0, top: 0)\n"
    "    with { loss: margin_to(target: t) })\n"
    "  let apgd_inf = accuracy(net, d.test under apgd_t(radius: 0.1, iterations: 20))\n"
    "  let fab_inf = accuracy(net, d.test under fab_t(iterations: 30))\n"
    "  let fab_2 = accuracy(net, d.test under fab_t(iterations: 30, p: 2))\n"
    "  let all_inf = accuracy(net, d.test under fab(iterations: 25))\n"
    "  let all_2 = accuracy(net, d.test under fab(iterations: 25, p: 2))\n"
    "  let blobs = accuracy(net, d.test under square_l2(radius: 1.5, queries: 400))\n"
    "  let squares = accuracy(net, d.test under square(radius: 0.1, queries: 300))\n"
    "  let cw = accuracy(net, d.test under cw_l2(iterations: 500, searches: 6, first: 0.1))\n"
    "  let fool_inf = accuracy(net, d.test under deepfool(iterations: 2))\n"
    "  let fool_2 = accuracy(net, d.test under deepfool(iterations: 2, p: 2))\n"
    "  let away = accuracy(net, d.test under kl_pgd(radius: 0.1, step: 0.02, iterations: 1))\n"
    "  table \"t\" { rows: t; columns: [linf, l2, l1, l1_start, l1_all, l1_one, apgd_inf, fab_inf, fab_2, all_inf, "
    "all_2, squares, blobs, cw, "
    "fool_inf, fool_2, away] "
    "}\n}\n";

typedef struct Linear {
    CompiledNet net;
    const deq_manifest *manifest;
    deq_dataset *data;
    deq_source source;
    double W[ELEMENTS][CLASSES], b[CLASSES];
    double x[IMAGES][ELEMENTS], z[IMAGES][CLASSES], label[IMAGES];
    deq_dense rows;
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
    for (int block = 0; block < 16; block++) {
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

static void scores(Linear *l) {
    for (int n = 0; n < IMAGES; n++) {
        l->y[n] = (int)l->label[n];
        for (int c = 0; c < CLASSES; c++) {
            l->z[n][c] = l->b[c];
            for (int k = 0; k < ELEMENTS; k++) l->z[n][c] += l->x[n][k] * l->W[k][c];
        }
    }
}

static void give(Linear *l) {
    double *parameters = deq_engine_parameters(l->net.engine);
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(l->net.net, "parameters"), i, item) {
        const bool matrix = json_count(json_object_get(item, "shape")) != CLASSES;
        memcpy(parameters + json_integer_value(json_object_get(item, "offset")) / 8, matrix ? l->W[0] : l->b,
               matrix ? sizeof l->W : sizeof l->b);
    }
    deq_engine_prepare(l->net.engine);
}

/* The images at a quarter of their contrast, around grey, with scores that are a quarter: changes within reach stay
 * far from 0 and 1. */
static void fade(Linear *l) {
    for (int n = 0; n < IMAGES; n++)
        for (int k = 0; k < ELEMENTS; k++) l->x[n][k] = 0.375 + 0.25 * l->x[n][k];
    l->rows = (deq_dense){l->x, l->label, ELEMENTS, 1};
    l->source = deq_dense_source(&l->rows);
    for (int c = 0; c < CLASSES; c++) {
        l->b[c] *= 0.25;
        for (int k = 0; k < ELEMENTS; k++) l->b[c] -= 0.375 * l->W[k][c];
    }
    give(l);
    scores(l);
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
    give(l);
    gather(&l->source, 0, IMAGES, l->x[0], l->label);
    scores(l);
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
    double moved[3][IMAGES], inputs[IMAGES][ELEMENTS];
} Outcome;

static void attack_some(Linear *l, const char *name, int cell, int count, Outcome *out) {
    const deq_experiment_spec *x = &l->manifest->experiments[0];
    const deq_attack_spec *spec = NULL;
    for (int k = 0; k < x->narrays; k++) /* one that no sweep changes has one cell */
        if (!strcmp(x->arrays[k].name, name)) spec = x->arrays[k].values[cell % x->arrays[k].nspecs].attack;
    if (!spec) fail_msg("there is no evaluation %s", name);
    double scalars[32];
    int64_t index[IMAGES];
    assert_true(spec->nscalars <= 32);
    for (int k = 0; k < spec->nscalars; k++) scalars[k] = spec->scalars[k].value;
    for (int k = 0; k < IMAGES; k++) index[k] = k;
    deq_error e = {0};
    deq_attack a = {.routine = spec->routine, .scalars = scalars};
    deq_results r = {.prediction = out->prediction,
                     .distance = {out->moved[0], out->moved[1], out->moved[2]},
                     .inputs = out->inputs};
    must(deq_engine_evaluate(l->net.engine, &l->source, index, count, "cross_entropy", NULL, &a, 0, NULL, NULL, &r, &e),
         name, &e);
}

static void attack(Linear *l, const char *name, int cell, Outcome *out) { attack_some(l, name, cell, IMAGES, out); }

/* The largest rise of class c over the label's with changes of sum `reach` in [0, 1]: elements are filled in the order of
 * their weights. */
static double filled(const Linear *l, int n, int c, double reach) {
    bool done[ELEMENTS] = {false};
    double gain = 0;
    for (double left = reach; left > 0;) {
        int best = -1;
        double most = 0, room = 0;
        for (int k = 0; k < ELEMENTS; k++) {
            const double w = l->W[k][c] - l->W[k][l->y[n]], r = w > 0 ? 1 - l->x[n][k] : l->x[n][k];
            if (!done[k] && r > 0 && fabs(w) > most) best = k, most = fabs(w), room = r;
        }
        if (best < 0) break;
        done[best] = true;
        gain += most * fmin(room, left);
        left -= room;
    }
    return gain;
}

/* How far the element may go towards class c. */
static double room_of(const Linear *l, int n, int c, int k, double *w) {
    *w = l->W[k][c] - l->W[k][l->y[n]];
    return *w > 0 ? 1 - l->x[n][k] : l->x[n][k];
}

/* A step along all elements, cut back to the ball and the box: by the same amount everywhere, and to where the box ends. */
static void check_projection(Linear *l, double radius) {
    static Outcome o;
    attack(l, "l1_all", 3, &o);
    for (int n = 0; n < IMAGES; n++) {
        double low = 0, high = 0.25, w;
        if (l->y[n] == 3) continue;
        for (int turn = 0; turn < 200; turn++) {
            const double cut = 0.5 * (low + high);
            double sum = 0;
            for (int k = 0; k < ELEMENTS; k++) sum += fmax(fmin(0.25, room_of(l, n, 3, k, &w)) - cut, 0) * (w != 0);
            *(sum > radius ? &low : &high) = cut;
        }
        for (int k = 0; k < ELEMENTS; k++) {
            const double room = room_of(l, n, 3, k, &w),
                         want = copysign(fmax(fmin(0.25, room) - high, 0) * (w != 0), w);
            if (!(fabs(o.inputs[n][k] - l->x[n][k] - want) < 1e-5))
                fail_msg("image %d: element %d moves by %.9g, not by %.9g", n, k, o.inputs[n][k] - l->x[n][k], want);
        }
        assert_true(fabs(o.moved[2][n] - radius) < 2e-6 * radius);
    }
}

/* A step of a single element goes on to the next where [0, 1] ends: it raises the score as much as any step of its sum. */
static void check_one(Linear *l) {
    static Outcome o;
    attack(l, "l1_one", 3, &o);
    for (int n = 0; n < IMAGES; n++) {
        double gain = 0, w;
        for (int k = 0; k < ELEMENTS; k++) {
            room_of(l, n, 3, k, &w);
            gain += (o.inputs[n][k] - l->x[n][k]) * w;
        }
        const double most = filled(l, n, 3, 0.9);
        if (l->y[n] != 3 && !(fabs(o.moved[2][n] - 0.9) < 1e-9 && gain > 0.998 * most && gain <= most * (1 + 1e-9)))
            fail_msg("image %d: moved by %.12g, which gains %.9g of %.9g", n, o.moved[2][n], gain, most);
    }
}

/* pgd_l1, whose steps go along few elements, ends within 2 % of the point of the ball and the box that geometry
 * gives, and leaves right what cannot be reached. */
static void test_l1(void **state) {
    Linear *l = *state;
    static Outcome o;
    const double radius = 15;
    bool lost[IMAGES] = {false};
    double reached[IMAGES] = {0}, worst = 1;
    int right = 0, exact = 0, clean = 0;
    for (int t = 0; t < CLASSES; t++) {
        attack(l, "l1", t, &o);
        for (int n = 0; n < IMAGES; n++) {
            double gain = 0, w;
            for (int k = 0; k < ELEMENTS; k++) {
                room_of(l, n, t, k, &w);
                gain += (o.inputs[n][k] - l->x[n][k]) * w;
                assert_true(o.inputs[n][k] >= 0 && o.inputs[n][k] <= 1);
            }
            assert_true(o.moved[2][n] <= radius * (1 + 1e-12));
            lost[n] = lost[n] || o.prediction[n] != l->y[n];
            if (t == l->y[n]) continue;
            const double most = filled(l, n, t, radius);
            reached[n] = fmax(reached[n], most / (l->z[n][l->y[n]] - l->z[n][t]));
            assert_true(gain <= most * (1 + 1e-9));
            worst = fmin(worst, gain / most);
        }
    }
    for (int n = 0; n < IMAGES; n++) {
        right += !lost[n];
        const bool clear = nearest(l, n, false) > 0;
        exact += clear && reached[n] < 1;
        clean += clear;
        if (clear && fabs(reached[n] - 1) > 0.02 && lost[n] != (reached[n] >= 1))
            fail_msg("image %d: %g of what it takes is within reach, and it is %s", n, reached[n],
                     lost[n] ? "lost" : "right");
    }
    assert_true(worst > 0.98 && clean > exact + 5 && exact > 10 && abs(right - exact) <= 1);
    attack(l, "l1_start", 0, &o);
    for (int n = 0; n < IMAGES; n++) assert_true(fabs(o.moved[2][n] - radius) < 1e-4 * radius);
    check_projection(l, radius);
    check_one(l);
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
        assert_true(clean > exact + 5 && exact > 10); /* the radius decides something */
        if (!l2) assert_int_equal(right, exact);
    }
}

/* apgd_t goes towards every class that wins: on linear nets it leaves exactly what cannot be reached. */
static void test_targets(void **state) {
    Linear *l = *state;
    static Outcome o;
    int right = 0, exact = 0;
    attack(l, "apgd_inf", 0, &o);
    for (int n = 0; n < IMAGES; n++) {
        exact += nearest(l, n, false) > 0.1;
        right += o.prediction[n] == l->y[n];
        assert_true(o.moved[0][n] <= 0.1 + 1e-12);
    }
    assert_int_equal(right, exact);
}

/* FAB's point lies on the far side of the nearest boundary, hardly further than the boundary itself. */
static void check_fab(Linear *l, bool box, const char *const names[2]) {
    static Outcome o;
    for (int l2 = 0; l2 < 2; l2++) {
        int attacked = 0;
        double worst = 1;
        attack(l, names[l2], 0, &o);
        for (int n = 0; n < IMAGES; n++) {
            const double d = nearest(l, n, l2);
            if (d == 0) { /* wrong already: it stays what it is */
                assert_true(o.moved[0][n] == 0);
                continue;
            }
            attacked++;
            assert_int_not_equal(o.prediction[n], l->y[n]);
            for (int k = 0; k < ELEMENTS; k++) assert_true(o.inputs[n][k] >= 0 && o.inputs[n][k] <= 1);
            if (!(o.moved[l2][n] >= d * (1 - 1e-9) && o.moved[l2][n] <= 1.02 * d))
                fail_msg("image %d in l%s: the boundary is at %g, FAB's point at %g", n, l2 ? "2" : "inf", d,
                         o.moved[l2][n]);
            worst = fmax(worst, o.moved[l2][n] / d);
            for (int c = 0; !box && c < CLASSES; c++) { /* without the box: the gap in units of the dual norm */
                double gap = l->z[n][l->y[n]] - l->z[n][c], dual = 0;
                for (int k = 0; k < ELEMENTS; k++) {
                    const double w = l->W[k][c] - l->W[k][l->y[n]];
                    dual += l2 ? w * w : fabs(w);
                }
                if (c != l->y[n]) assert_true(d <= gap / (l2 ? sqrt(dual) : dual) * (1 + 1e-9));
            }
        }
        assert_true(attacked > 20 && worst < 1.02);
    }
}

static const char *const one_by_one[2] = {"fab_inf", "fab_2"}, *const together[2] = {"all_inf", "all_2"};

static void test_fab(void **state) {
    check_fab(*state, true, one_by_one); /* fab itself chooses the boundary without a look at the box, as published */
}

/* What lies well within reach is fooled by a few squares, and nothing beyond. */
static void test_square(void **state) {
    Linear *l = *state;
    static Outcome o;
    for (int l2 = 0; l2 < 2; l2++) {
        const double radius = l2 ? 1.5 : 0.1;
        int fooled = 0, within = 0;
        attack(l, l2 ? "blobs" : "squares", 0, &o);
        for (int n = 0; n < IMAGES; n++) {
            const double d = nearest(l, n, l2);
            const bool lost = o.prediction[n] != l->y[n];
            assert_true(o.moved[l2][n] <= radius * (1 + 1e-12));
            if (d > radius && lost) fail_msg("image %d is beyond reach at %g, and fooled", n, d);
            if (d < 0.2 * radius && !lost) fail_msg("image %d is within reach at %g, and right", n, d);
            fooled += lost && d > 0;
            within += d > 0 && d <= radius;
        }
        print_message("Square fools %d of %d within reach\n", fooled, within);
        assert_true(4 * fooled >= within);
    }
}

/* Carlini and Wagner's search ends just beyond the boundary to the class that wins. */
static void check_cw(Linear *l) {
    static Outcome o;
    attack_some(l, "cw", 0, SOME, &o);
    for (int n = 0; n < SOME; n++) {
        const double d = distance(l, n, o.prediction[n], true);
        if (nearest(l, n, true) == 0) continue;
        assert_int_not_equal(o.prediction[n], l->y[n]);
        if (!(o.moved[1][n] >= d * (1 - 1e-9) && o.moved[1][n] <= 1.02 * d))
            fail_msg("image %d: the boundary is at %g, C&W's point at %g", n, d, o.moved[1][n]);
    }
}

/* One step of DeepFool is exact on a linear net without the box; it goes 2 % beyond. */
static void check_deepfool(const Linear *l) {
    static Outcome o;
    for (int l2 = 0; l2 < 2; l2++) {
        attack((Linear *)l, l2 ? "fool_2" : "fool_inf", 0, &o);
        for (int n = 0; n < IMAGES; n++)
            if (!(fabs(o.moved[l2][n] - 1.02 * nearest(l, n, l2)) <= 1e-9))
                fail_msg("image %d in l%s: DeepFool moves by %.12g, the distance is %.12g", n, l2 ? "2" : "inf",
                         o.moved[l2][n], nearest(l, n, l2));
    }
}

/* The divergence from the clean output has no slope at the example: the start leaves it, and the step follows. */
static void test_divergence(void **state) {
    Linear *l = *state;
    static Outcome o;
    attack(l, "away", 0, &o);
    for (int n = 0; n < IMAGES; n++) assert_true(o.moved[0][n] > 0.019 && o.moved[0][n] < 0.026);
}

static void test_without_box(void **state) {
    Linear *l = *state;
    fade(l);
    check_fab(l, false, one_by_one);
    check_fab(l, false, together);
    check_deepfool(l);
    check_cw(l);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exact_counts), cmocka_unit_test(test_l1),
                                       cmocka_unit_test(test_targets),      cmocka_unit_test(test_fab),
                                       cmocka_unit_test(test_square),       cmocka_unit_test(test_divergence),
                                       cmocka_unit_test(test_without_box)};
    if (access("/usr/share/datasets/fashion-mnist", R_OK) != 0) return 0; /* the package is not installed */
    return cmocka_run_group_tests_name("geometry", tests, set_up, tear_down);
}
