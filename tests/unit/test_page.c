/* test_page.c - the page of a run: what its parts write, and that the whole refuses what was changed. */
#include "page.h"
#include "output.h"
#include "seal.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static char *written;
static size_t size;
static FILE *begin(void) { return open_memstream(&written, &size); }

/* What was written contains `text`; the sink is closed first. */
static bool has(const char *text) { return strstr(written, text) != NULL; }

static void text_has_no_meaning_of_its_own(void **state) {
    (void)state;
    FILE *f = begin();
    page_text(f, "a < b && \"c\" > 'd'");
    fclose(f);
    assert_string_equal(written, "a &lt; b &amp;&amp; &quot;c&quot; &gt; 'd'");
    free(written);
}

/* The vectors of RFC 4648, section 10. */
static void pictures_are_base64(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"f", "Zg=="},        {"fo", "Zm8="},        {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char path[] = "/tmp/deq-page-XXXXXX", wanted[80];
        const int fd = mkstemp(path);
        assert_true(fd >= 0 && write(fd, pairs[i][0], i + 1) == (ssize_t)i + 1);
        close(fd);
        FILE *f = begin();
        page_picture(f, path, "a<b");
        fclose(f);
        snprintf(wanted, sizeof wanted, "base64,%s\"", pairs[i][1]);
        assert_true(has(wanted));
        assert_true(has("alt=\"a&lt;b\""));
        free(written);
        unlink(path);
    }
    FILE *f = begin();
    page_picture(f, "/no/such/picture", "none");
    fclose(f);
    assert_string_equal(written, "");
    free(written);
}

static void markdown_becomes_html(void **state) {
    (void)state;
    FILE *f = begin();
    page_markdown(f, "# title\n\n| a | b<c |\n|--:|:--|\n| 1 |  |\n| 2 | x |\n\nwords\nmore\n\n- one\n- two");
    fclose(f);
    assert_string_equal(written,
                        "<h2>title</h2>\n"
                        "<div class=\"wide\"><table>\n<thead><tr><th>a</th><th>b&lt;c</th></tr></thead><tbody>\n"
                        "<tr><td>1</td><td></td></tr>\n<tr><td>2</td><td>x</td></tr>\n</tbody></table></div>\n"
                        "<p>words\nmore\n</p>\n<ul>\n<li>one</li>\n<li>two</li>\n</ul>\n");
    free(written);
}

static void bars_of_a_text_end_no_cell(void **state) {
    (void)state;
    FILE *f = begin();
    page_markdown(f, "| a \\| b | c |\n|--|--|\n| \\|\\| | x\\y |\n");
    fclose(f);
    assert_true(has("<tr><th>a | b</th><th>c</th></tr>"));
    assert_true(has("<tr><td>||</td><td>x\\y</td></tr>"));
    free(written);
}

static const PageFigure figure = {.caption = "c",
                                  .x = "n",
                                  .x_title = "n",
                                  .y_title = "v",
                                  .low = "low",
                                  .high = "high",
                                  .lines = {{"values", "v"}, {"nobody", "none"}}};

/* The first row stands at the left end, the last at the right, and the axis holds the band. */
static void lines_go_from_end_to_end(void **state) {
    (void)state;
    json_t *rows = json_pack("[{s:i,s:f,s:f,s:f},{s:i},{s:i,s:f,s:f,s:f}]", "n", 0, "v", 0.0, "low", -1.0, "high", 1.0,
                             "n", 1, "n", 10, "v", 1.0, "low", 0.0, "high", 2.0);
    FILE *f = begin();
    page_figure(f, &figure, rows);
    fclose(f);
    assert_true(has("cx=\"58.0\" cy=\"180.7\"")); /* (0, 0) of 0..10, -1..2 in 58..508, 256..30 */
    assert_true(has("cx=\"508.0\" cy=\"105.3\""));
    assert_true(has("M508.0") || has("M 508.0")); /* a missing row breaks the line */
    assert_true(has("class=\"band\""));
    assert_true(has(">values<"));
    assert_false(has("nobody"));
    free(written);
    json_decref(rows);
}

static void nothing_is_drawn_of_nothing(void **state) {
    (void)state;
    json_t *rows = json_pack("[{s:i},{s:i,s:n}]", "n", 0, "n", 1, "v");
    FILE *f = begin();
    page_figure(f, &figure, rows);
    fclose(f);
    assert_string_equal(written, "");
    free(written);
    json_decref(rows);
}

static void what_is_not_above_zero_has_no_logarithm(void **state) {
    (void)state;
    PageFigure logarithmic = figure;
    logarithmic.logarithmic = true;
    logarithmic.low = logarithmic.high = NULL;
    json_t *rows = json_pack("[{s:i,s:f},{s:i,s:f},{s:i,s:f}]", "n", 1, "v", 1e-3, "n", 2, "v", 0.0, "n", 3, "v", 1.0);
    FILE *f = begin();
    page_figure(f, &logarithmic, rows);
    fclose(f);
    assert_true(has("cy=\"256.0\"") && has("cy=\"30.0\""));
    assert_false(has("nan") || has("inf"));
    free(written);
    json_decref(rows);
}

/* Constant, huge and single numbers have axes of finite length. */
static void axes_fit_any_numbers(void **state) {
    (void)state;
    static const double values[][2] = {{1, 1}, {0, 0}, {1e30, -1e30}, {1e-30, 2e-30}, {-7, -7.001}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        json_t *rows =
            json_pack("[{s:i,s:f},{s:i,s:f}]", "n", 1, "v", values[i][0], "n", i % 2 ? 1 : 2, "v", values[i][1]);
        FILE *f = begin();
        page_figure(f, &figure, rows);
        fclose(f);
        assert_true(size < 20000);
        assert_false(has("nan\"") || has("inf\""));
        free(written);
        json_decref(rows);
    }
}

static void verdicts_show_their_checks(void **state) {
    (void)state;
    json_t *table =
        json_pack("{s:[{s:{s:s},s:[{s:s,s:f},{s:s,s:f,s:f,s:f,s:s,s:s,s:[{s:s}],s:[{s:s,s:s,s:f}]}]}]}", "cells",
                  "coordinates", "mode", "jfb()", "values", "title", "clean", "value", 0.9, "title", "robust", "value",
                  0.5, "low", 0.4, "high", 0.6, "attack", "pgd", "verdict", "masked", "reasons", "text", "it hides",
                  "checks", "check", "lost_gradients", "level", "masked", "number", 0.41);
    FILE *f = begin();
    assert_non_null(table);
    page_verdicts(f, json_object_get(table, "cells"));
    fclose(f);
    assert_true(has("mode = jfb()") && has("0.5 [0.4, 0.6]") && has("verdict masked\">masked</span> it hides"));
    assert_true(has("<tr class=\"masked\"><td>lost_gradients</td><td>0.41</td></tr>"));
    assert_false(has("clean"));
    free(written);
    json_decref(table);
}

static void write_sealed(const char *folder, const char *name, json_t *object) {
    char *path = deq_path_join(folder, name, NULL), *text = deq_seal_json(object, path);
    assert_true(deq_output_write(path, text, strlen(text), &(deq_error){0}));
    free(text);
    free(path);
    json_decref(object);
}

static void a_page_is_of_a_run_that_was_left_alone(void **state) {
    (void)state;
    char folder[] = "/tmp/deq-page-XXXXXX", path[100];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/report.html", folder);
    assert_int_equal(deq_app_page(folder, NULL, true), 3); /* no run was here */
    write_sealed(folder, "settings.json", json_pack("{s:s,s:s,s:s}", "script", "a.deq", "date", "d", "cpu", "c"));
    assert_int_equal(deq_app_page(folder, NULL, true), 0);
    assert_int_equal(deq_app_page(folder, NULL, true), 0); /* its own page is replaced */
    assert_true(deq_output_write(path, "mine", 4, &(deq_error){0}));
    assert_int_equal(deq_app_page(folder, NULL, true), 3); /* a file of the user's is not */
    unlink(path);
    write_sealed(folder, "t-table.json", json_pack("{s:s,s:[]}", "table", "t", "cells"));
    assert_int_equal(deq_app_page(folder, NULL, true), 0);
    unlink(path);
    char *other = deq_path_join(folder, "u-table.json", NULL), *table = deq_path_join(folder, "t-table.json", NULL);
    assert_int_equal(rename(table, other), 0); /* under another name */
    assert_int_equal(deq_app_page(folder, NULL, true), 3);
    assert_int_equal(access(path, F_OK), -1);
    unlink(other);
    free(other);
    free(table);
    snprintf(path, sizeof path, "%s/settings.json", folder);
    unlink(path);
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(text_has_no_meaning_of_its_own),
                                       cmocka_unit_test(pictures_are_base64),
                                       cmocka_unit_test(markdown_becomes_html),
                                       cmocka_unit_test(bars_of_a_text_end_no_cell),
                                       cmocka_unit_test(lines_go_from_end_to_end),
                                       cmocka_unit_test(nothing_is_drawn_of_nothing),
                                       cmocka_unit_test(what_is_not_above_zero_has_no_logarithm),
                                       cmocka_unit_test(axes_fit_any_numbers),
                                       cmocka_unit_test(verdicts_show_their_checks),
                                       cmocka_unit_test(a_page_is_of_a_run_that_was_left_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
