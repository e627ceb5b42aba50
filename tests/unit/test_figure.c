/* test_figure.c - axes fit any numbers with round ticks; the CSV and the script of a figure say what its marks are. */
#define _GNU_SOURCE
#include "figure.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- axes ---- */
static deq_figure_scale scale_of(const double *values, int n, bool percent, bool logarithmic, deq_zero zero) {
    deq_figure_scale s = deq_scale_begin(percent, logarithmic);
    for (int i = 0; i < n; i++) deq_scale_take(&s, values[i]);
    deq_scale_end(&s, zero);
    return s;
}

static void axes_fit_any_numbers(void **state) {
    (void)state;
    srand(1);
    for (int round = 0; round < 4000; round++) {
        const int n = 1 + rand() % 5, power = rand() % 40 - 20;
        const bool logarithmic = round % 3 == 0, percent = round % 5 == 0;
        double values[5];
        for (int i = 0; i < n; i++) values[i] = (rand() % 2001 - (logarithmic ? 50 : 1000)) * pow(10, power) / 1000;
        const deq_figure_scale s = scale_of(values, n, percent, logarithmic, (deq_zero)(round % 3));
        assert_true(s.low < s.high && isfinite(s.low) && isfinite(s.high));
        assert_true(s.nticks >= 1 && s.nticks <= 24);
        for (int i = 0; i < n; i++) {
            const double at = deq_scale_drawn(&s, values[i]);
            assert_true(at >= s.low - 1e-9 * fabs(s.low) && at <= s.high + 1e-9 * fabs(s.high));
        }
        if (s.logarithmic && s.below) /* "≤ 0" is not written over the lowest tick */
            assert_true(log(s.ticks[0] / s.low) >= 0.099 * log(s.high / s.low));
        for (int k = 0; k < s.nticks; k++) {
            assert_true(s.ticks[k] >= s.low - 1e-9 * (s.high - s.low) &&
                        s.ticks[k] <= s.high + 1e-9 * (s.high - s.low));
            if (k && s.ticks[k] <= s.ticks[k - 1])
                fail_msg("round %d: tick %g after %g in %g .. %g of %d", round, s.ticks[k], s.ticks[k - 1], s.low,
                         s.high, s.logarithmic);
        }
    }
}

static void zero_is_kept_shown_or_passed(void **state) {
    (void)state;
    const double values[] = {0.2, 0.9};
    assert_true(scale_of(values, 2, false, false, DEQ_ZERO_SHOWN).low == 0);
    assert_true(scale_of(values, 2, false, false, DEQ_ZERO_KEPT).low > 0.1);
    const double near[] = {0.001, 0.9};
    assert_true(scale_of(near, 2, false, false, DEQ_ZERO_KEPT).low == 0);
    assert_true(scale_of(near, 2, false, false, DEQ_ZERO_FREE).low < 0);
    const double all[] = {0.5, 1};
    assert_true(scale_of(all, 2, true, false, DEQ_ZERO_KEPT).high == 100); /* no more than all */
    const double whole[] = {1, 2};
    const deq_figure_scale s = scale_of(whole, 2, false, false, DEQ_ZERO_KEPT);
    for (int k = 0; k < s.nticks; k++) assert_true(s.ticks[k] == floor(s.ticks[k]));
}

static char *printed(const deq_figure_scale *s) {
    static char text[2000];
    memset(text, 0, sizeof text);
    FILE *f = fmemopen(text, sizeof text, "w");
    deq_scale_print(f, s, "y");
    fclose(f);
    return text;
}

static void what_is_not_above_zero_stands_at_the_low_end(void **state) {
    (void)state;
    const double values[] = {0, -3, 1e-8, 1};
    const deq_figure_scale s = scale_of(values, 4, false, true, DEQ_ZERO_KEPT);
    assert_true(s.low > 0 && s.low < 1e-8 && s.below);
    assert_true(deq_scale_drawn(&s, 0) == s.low && deq_scale_drawn(&s, -3) == s.low && deq_scale_drawn(&s, 1) == 1);
    assert_non_null(strstr(printed(&s), "'≤ 0'"));
    assert_non_null(strstr(printed(&s), "'10^{-8}' 1e-08"));
    const double negative[] = {-3, -1, 0}; /* nothing has a logarithm: the axis is linear */
    const deq_figure_scale linear = scale_of(negative, 3, false, true, DEQ_ZERO_KEPT);
    assert_false(linear.logarithmic);
    assert_null(strstr(printed(&linear), "logscale"));
    assert_true(linear.low < -3 && linear.high >= 0);
}

static void few_values_have_ticks_of_their_own(void **state) {
    (void)state;
    const double few[] = {1, 4, 9, 4, 1}, many[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 50}, logs[] = {10, 100, 1000};
    deq_figure_scale s = scale_of(few, 5, false, false, DEQ_ZERO_FREE);
    deq_scale_ticks(&s, few, 5);
    assert_int_equal(s.nticks, 3);
    assert_true(s.ticks[0] == 1 && s.ticks[1] == 4 && s.ticks[2] == 9);
    s = scale_of(many, 11, false, false, DEQ_ZERO_FREE);
    deq_scale_ticks(&s, many, 11);
    assert_true(s.nticks <= 8 && s.ticks[0] == 0 && s.ticks[1] == 10);
    s = scale_of(logs, 3, false, true, DEQ_ZERO_FREE);
    deq_scale_ticks(&s, logs, 3);
    assert_int_equal(s.nticks, 3);
}

/* ---- a figure ---- */
enum { LINES = 2, POINTS = 3 };

static deq_figure_names names_of(const char *column, const char *const *labels, int n) {
    deq_figure_names names = {calloc(1, sizeof(char *)),          1,
                              calloc((size_t)n, sizeof(char **)), calloc((size_t)n, sizeof(char *)),
                              calloc((size_t)n, sizeof(bool)),    n};
    names.columns[0] = strdup(column);
    for (int k = 0; k < n; k++) {
        names.texts[k] = calloc(1, sizeof(char *));
        names.texts[k][0] = strdup(labels[k]);
        names.labels[k] = strdup(labels[k]);
    }
    return names;
}

static void names_free(deq_figure_names *n) {
    for (int k = 0; k < n->n; k++) {
        free(n->texts[k][0]);
        free(n->texts[k]);
        free(n->labels[k]);
    }
    free(n->columns[0]);
    free(n->columns);
    free(n->texts);
    free(n->labels);
    free(n->absent);
}

/* Robust accuracies of two configs at three places, one of which does not exist, and one of which is masked. */
static void with_figure(deq_figure_kind kind, void (*look)(const deq_figure *f)) {
    deq_column_spec value = {.title = "robust, \"all\"", .percent = true};
    const deq_figure_spec spec = {.name = "it's", .kind = kind, .values = &value, .nvalues = 1, .x = {.value = -1}};
    static const char *const configs[] = {"short", "long"}, *const places[] = {"a, b", "two", "three"};
    deq_mark x[LINES * POINTS], marks[LINES * POINTS];
    deq_sources rests[LINES * POINTS] = {{0}};
    char attack[] = "pgd", seed[] = "0", net[] = "k0", journal[] = "r0";
    const deq_evaluation evaluation = {.attacked = attack};
    for (int i = 0; i < LINES * POINTS; i++) {
        x[i] = (deq_mark){.value = i % POINTS, .low = NAN, .high = NAN};
        marks[i] =
            (deq_mark){.value = 0.1 * i, .low = 0.1 * i - 0.05, .high = 0.1 * i + 0.05, .evaluation = &evaluation};
        marks[i].verdict.level = DEQ_RELIABLE;
        for (deq_check k = 0; k < DEQ_CHECKS; k++) marks[i].verdict.numbers[k] = NAN;
        rests[i] = (deq_sources){seed, net, journal, 1.5, 0.25, 0};
    }
    marks[2] = (deq_mark){.value = NAN, .low = NAN, .high = NAN};
    marks[4].verdict.level = marks[4].verdict.levels[DEQ_CHECK_uncut] = DEQ_MASKED;
    marks[4].verdict.numbers[DEQ_CHECK_uncut] = 0.2;
    deq_figure f = {&spec, "e", names_of("config", configs, LINES), names_of("place", places, POINTS), x, marks, rests};
    look(&f);
    names_free(&f.lines);
    names_free(&f.points);
}

static char *captured(const deq_figure *f, void (*print)(FILE *out, const deq_figure *f)) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    print(out, f);
    fclose(out);
    return text;
}

static void look_at_csv(const deq_figure *f) {
    char *text = captured(f, deq_figure_csv);
    assert_string_equal(
        text, "config,place,\"robust, \"\"all\"\"\",\"robust, \"\"all\"\" low\",\"robust, \"\"all\"\" high\",\"robust, "
              "\"\"all\"\" verdict\",seeds,nets,journals,undefined predictions,train seconds,evaluation "
              "seconds,\"robust, \"\"all\"\" attack\",\"robust, \"\"all\"\" reasons\",\"robust, \"\"all\"\" checks\"\n"
              "short,\"a, b\",0,-0.05,0.05,reliable,0,k0,r0,0,1.500,0.250,pgd,,\n"
              "short,two,0.1,0.05,0.15,reliable,0,k0,r0,0,1.500,0.250,pgd,,\n"
              "long,\"a, b\",0.3,0.25,0.35,reliable,0,k0,r0,0,1.500,0.250,pgd,,\n"
              "long,two,0.4,0.35,0.45,masked,0,k0,r0,0,1.500,0.250,pgd,\"with gradients that on_fail does "
              "not cut, the attack lowers it by 20 points or more\",uncut 0.2\n"
              "long,three,0.5,0.45,0.55,reliable,0,k0,r0,0,1.500,0.250,pgd,,\n");
    free(text);
}

static void print_script(FILE *out, const deq_figure *f) { assert_true(deq_figure_plot(out, f, "stem")); }

static void look_at_script(const deq_figure *f) {
    char *text = captured(f, print_script);
    assert_non_null(strstr(text, "output = 'stem.' . format"));
    assert_non_null(strstr(text, "'1 of 5 accuracies under attack is masked'"));
    assert_non_null(strstr(text, "'robust, \"all\" (%)'"));
    assert_non_null(strstr(text, "'a, b' 0"));
    if (f->spec->kind == DEQ_FIGURE_heat) {
        assert_non_null(strstr(text, "$missing << EOD\n-9 -9\n2 0\nEOD"));
        assert_non_null(strstr(text, "set label '40.0' at 1,1"));
    } else {
        assert_non_null(strstr(text, "$s1 << EOD\n"));
        assert_non_null(strstr(text, " 40 35 45 NaN NaN\n"));
        assert_non_null(strstr(text, "set label 'long' at screen"));
    }
    free(text);
}

static void the_numbers_are_those_of_the_marks(void **state) {
    (void)state;
    with_figure(DEQ_FIGURE_lines, look_at_csv);
    with_figure(DEQ_FIGURE_heat, look_at_csv);
}

static void the_script_holds_the_numbers_and_what_is_masked(void **state) {
    (void)state;
    for (int kind = 0; kind < DEQ_FIGURES; kind++)
        if (kind != DEQ_FIGURE_scatter) with_figure((deq_figure_kind)kind, look_at_script);
}

/* Nothing was measured: a frame of one cell that says so, with ends that gnuplot can draw. */
static void a_figure_of_nothing_says_so(void **state) {
    (void)state;
    deq_column_spec value = {.title = "robust"};
    deq_figure_spec spec = {.name = "none", .values = &value, .nvalues = 1, .x = {.value = -1}};
    static const char *const places[] = {"one", "two"};
    deq_mark none[4];
    for (int i = 0; i < 4; i++) none[i] = (deq_mark){.value = NAN, .low = NAN, .high = NAN};
    for (int kind = 0; kind < DEQ_FIGURES; kind++) {
        spec.kind = (deq_figure_kind)kind;
        deq_sources rests[4] = {{0}};
        deq_figure f = {&spec, "e", names_of("line", places, 2), names_of("place", places, 2), none, none, rests};
        f.lines.absent[0] = f.lines.absent[1] = f.points.absent[0] = f.points.absent[1] = true;
        char *text = captured(&f, print_script);
        assert_non_null(strstr(text, "'no values'"));
        assert_null(strstr(text, "inf"));
        assert_null(strstr(text, "nan"));
        if (kind == DEQ_FIGURE_heat) assert_non_null(strstr(text, "set xrange [-0.5:0.5]\nset yrange [0.5:-0.5]\n"));
        free(text);
        names_free(&f.lines);
        names_free(&f.points);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(axes_fit_any_numbers),
        cmocka_unit_test(zero_is_kept_shown_or_passed),
        cmocka_unit_test(what_is_not_above_zero_stands_at_the_low_end),
        cmocka_unit_test(few_values_have_ticks_of_their_own),
        cmocka_unit_test(the_numbers_are_those_of_the_marks),
        cmocka_unit_test(the_script_holds_the_numbers_and_what_is_masked),
        cmocka_unit_test(a_figure_of_nothing_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
