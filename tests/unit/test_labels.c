/* test_labels.c - labels as values: ranked lists with ties, what they pick and its derivative, against the same in C;
 * compiled in both precisions and interpreted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "compiled_net.h"
#include "elaborate_support.h"

enum { MOST = 10 };

/* Of K classes: the labels in their order as numbers, the ratio of differences of logits for the first and the last
 * label (of 2 classes without what the third is for), and what a label picks of two axes. */
static const char *program_of(char *text, size_t size, int k) {
    size_t at = (size_t)snprintf(text, size,
                                 "fn number(y: label[K]) -> f32 = dot(one_hot(y), indices(one_hot(y), axis: 0))\n"
                                 "fn ratio(z: f32[K], y: label[K]) -> f32 {\n"
                                 "  let o = ranked(z)\n"
                                 "  let other = if o[0] == y then o[1] else o[0]\n"
                                 "  return (z[other] - z[y]) / (z[o[0]] - z[o[%d]] + 1e-12)\n"
                                 "}\n"
                                 "layer Labels(z: f32[%d]) -> f32[%d] {\n"
                                 "  let o = ranked(z)\n"
                                 "  let later = o[1..%d]\n"
                                 "  let wide = outer(z, z)\n"
                                 "  let last = later[%d]\n"
                                 "  return concat(",
                                 k == 2 ? 1 : 2, k, k + 3, k, k - 2);
    for (int i = 0; i < k; i++) at += (size_t)snprintf(text + at, size - at, "number(o[%d]) * ones([1]), ", i);
    snprintf(text + at, size - at,
             "ratio(z, o[0]) * ones([1]), ratio(z, last) * ones([1]), (wide[o[1], o[0]] + wide[last][1] + "
             "(if last != later[0] then 1 else 0)) * ones([1]))\n}\n"
             "test \"labels\" { check: gradcheck(Labels, directions: 1, tol: 1) }\n");
    return text;
}

static void order(const double *z, int k, int *o) {
    for (int i = 0; i < k; i++) {
        int before = 0;
        for (int j = 0; j < k; j++) before += z[j] > z[i] || (z[j] == z[i] && j < i);
        o[before] = i;
    }
}

static void expected(const double *z, int k, double *y, double slope[2][MOST]) {
    int o[MOST] = {0};
    order(z, k, o);
    memset(slope, 0, 2 * sizeof slope[0]);
    for (int i = 0; i < k; i++) y[i] = o[i];
    const double below = z[o[0]] - z[o[k == 2 ? 1 : 2]] + 1e-12;
    for (int part = 0; part < 2; part++) {
        const int label = part ? o[k - 1] : o[0], other = o[0] == label ? o[1] : o[0];
        y[k + part] = (z[other] - z[label]) / below;
        slope[part][other] += 1 / below;
        slope[part][label] -= 1 / below;
        slope[part][o[0]] -= y[k + part] / below;
        slope[part][o[k == 2 ? 1 : 2]] += y[k + part] / below;
    }
    y[k + 2] = z[o[1]] * z[o[0]] + z[o[k - 1]] * z[1] + (k > 2);
}

static const double rows[][MOST] = {
    {1, -2, 0.5, 3, 0.25, -1, 2, 7, -4, 0.125}, {3, 2, 1, 0, -1, -2, -3, -4, -5, -6},
    {-3, -3, 5, 5, 5, 1, 1, 0, 0, -3}, /* equal ones: the lower label first */
    {-1, 4, 4, 4, 2, 2, 2, 2, 2, -1},           {0.5, -INFINITY, 2, 1, -INFINITY, 3, 4, 5, 6, 7},
};

static void near(const char *what, int k, int row, int i, double found, double right, double tolerance) {
    const bool same =
        isnan(right) ? isnan(found) : found == right || fabs(found - right) <= tolerance * (1 + fabs(right));
    if (!same) fail_msg("%s, %d classes, row %d, result %d: %.17g, not %.17g", what, k, row, i, found, right);
}

static void interpreted(const char *text, int k) {
    Parsed p = parse_checked(text);
    Elab *e = elaborate_text(&p, "Labels");
    const Model *m = e->nets[0]->model;
    for (int row = 0; row < (int)(sizeof rows / sizeof *rows); row++) {
        const double *inputs[8];
        double unread[MOST + 3] = {0}, right[MOST + 3], slope[2][MOST];
        for (uint32_t i = 0; i < m->graph->ninputs; i++) inputs[i] = m->graph->inputs[i] == m->x ? rows[row] : unread;
        double **values = interpret_graph(p.arena, m->graph, 1, inputs, NULL);
        expected(rows[row], k, right, slope);
        for (int i = 0; i < k + 3; i++) near("interpreted", k, row, i, values[m->output][i], right[i], 1e-12);
    }
    parsed_free(&p);
}

static void compiled(const char *path, int k, int bits) {
    CompiledNet f;
    deq_error e = {0};
    double x[MOST], y[MOST + 3], u[MOST + 3], dx[MOST], right[MOST + 3], slope[2][MOST];
    const char *what = bits == 32 ? "single" : "double";
    net_open(&f, path, "Labels", bits == 64, 1, 0, 0);
    assert_int_equal(f.outputs, k + 3);
    for (int row = 0; row < (int)(sizeof rows / sizeof *rows); row++) {
        const double tolerance = bits == 32 ? 2e-6 : 1e-13;
        for (int i = 0; i < k; i++) net_put(&f, x, i, rows[row][i]);
        expected(rows[row], k, right, slope);
        if (!deq_engine_forward(f.engine, 1, x, y, NULL, &e)) fail_msg("%s", e.text);
        const bool flat = rows[row][(int)right[0]] == rows[row][(int)right[k == 2 ? 1 : 2]]; /* divided by 1e-12 */
        for (int i = 0; i < k + 3; i++) {
            if (bits == 32 && flat && (i == k || i == k + 1)) continue;
            near(what, k, row, i, net_get(&f, y, i), right[i], tolerance);
        }
        for (int part = 0; part < 2 && !flat; part++) {
            for (int i = 0; i < k + 3; i++) net_put(&f, u, i, i == k + part);
            if (!deq_engine_input_gradient(f.engine, 1, x, u, "projection", dx, NULL, &e)) fail_msg("%s", e.text);
            for (int i = 0; i < k && isfinite(right[k] + right[k + 1]); i++)
                near("derivative", k, row, i, net_get(&f, dx, i), slope[part][i], tolerance);
        }
    }
    net_close(&f);
}

static void ranks_and_picks(void **state) {
    (void)state;
    static const int classes[] = {2, 3, 4, 10};
    for (size_t c = 0; c < sizeof classes / sizeof *classes; c++) {
        char text[4096];
        const char *path = net_program(program_of(text, sizeof text, classes[c]));
        interpreted(text, classes[c]);
        for (int bits = classes[c] == 10 ? 32 : 64; bits <= 64; bits += 32) compiled(path, classes[c], bits);
        unlink(path);
    }
}

/* Along the last axis, from the smallest; a cotangent goes back to the element that went there, the earlier of two. */
static void sorted_lines(void **state) {
    (void)state;
    static const double x[10] = {3, -1, 3, 0.5, -1, 0, INFINITY, 2, -2, 2},
                        y[10] = {-1, -1, 0.5, 3, 3, -2, 0, 2, 2, INFINITY}, to[10] = {3, 0, 4, 2, 1, 6, 9, 7, 5, 8};
    const char *path = net_program("layer Sorted(z: f32[2, 5]) -> f32[10] { return flatten(sort(z)) }\n"
                                   "test \"sort\" { check: gradcheck(Sorted, directions: 1, tol: 1) }\n");
    for (int bits = 32; bits <= 64; bits += 32) {
        CompiledNet f;
        deq_error e = {0};
        double in[10], out[10], u[10], dx[10];
        net_open(&f, path, "Sorted", bits == 64, 1, 0, 0);
        for (int i = 0; i < 10; i++) net_put(&f, in, i, x[i]), net_put(&f, u, i, i + 1);
        if (!deq_engine_forward(f.engine, 1, in, out, NULL, &e) ||
            !deq_engine_input_gradient(f.engine, 1, in, u, "projection", dx, NULL, &e))
            fail_msg("%s", e.text);
        for (int i = 0; i < 10; i++) {
            assert_true(net_get(&f, out, i) == y[i]);
            assert_true(net_get(&f, dx, i) == to[i] + 1);
        }
        net_close(&f);
    }
    unlink(path);
}

/* An order of what is no number is none. */
static void nan_is_no_label(void **state) {
    (void)state;
    char text[4096];
    const char *path = net_program(program_of(text, sizeof text, 4));
    CompiledNet f;
    deq_error e = {0};
    double x[4] = {1, NAN, 2, 3}, y[7];
    net_open(&f, path, "Labels", true, 1, 0, 0);
    if (!deq_engine_forward(f.engine, 1, x, y, NULL, &e)) fail_msg("%s", e.text);
    for (int i = 0; i < 4; i++) assert_true(y[i] == 0); /* nothing is picked */
    net_close(&f);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_and_picks),
        cmocka_unit_test(sorted_lines),
        cmocka_unit_test(nan_is_no_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
