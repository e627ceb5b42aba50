/* test_shortfalls.c - what fell short in many runs of a grid is said once in full and once in all. */
#include "shortfalls.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FORWARD "forward solves stopped short"

/* What `say` writes to standard error. */
static const char *written(void (*say)(deq_shortfalls *, deq_reporter *), bool json) {
    static char text[4096];
    deq_shortfalls all = {0};
    deq_reporter r = {.json = json};
    const int descriptor = json ? STDOUT_FILENO : STDERR_FILENO;
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    const int kept = dup(descriptor);
    dup2(fileno(file), descriptor);
    say(&all, &r);
    deq_shortfalls_end(&all, &r);
    fflush(stdout);
    dup2(kept, descriptor);
    close(kept);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    assert_null(all.list);
    return text;
}

static void grid(deq_shortfalls *all, deq_reporter *r) {
    deq_shortfall_tell(all, r, "robust", "robust of net (seed = 0)", "", 0.25, FORWARD "; used");
    assert_true(deq_shortfall_first(all, r, "robust"));
    deq_shortfall_tell(all, r, "robust", "robust of net (seed = 1)", "", 0.5, FORWARD " (mean residual 2)");
    assert_true(deq_shortfall_first(all, r, "robust") == r->json);
    deq_shortfall_tell(all, r, "robust", "robust of net (seed = 2)", "", 0.125, FORWARD);
    deq_shortfall_tell(all, r, "clean", "clean of net (seed = 0)", "in the last epoch ", 0.0625, FORWARD);
}

static void once_for_all_runs(void **state) {
    (void)state;
    assert_string_equal(written(grid, false),
                        "run: warning[W0912]: robust of net (seed = 0): 25% of " FORWARD "; used\n"
                        "run: warning[W0912]: clean of net (seed = 0): in the last epoch 6.25% of " FORWARD "\n"
                        "run: warning[W0912]: robust, 3 runs: up to 50% of " FORWARD "\n");
}

/* Machines read every run. */
static void every_run_as_json(void **state) {
    (void)state;
    const char *text = written(grid, true);
    int lines = 0;
    for (const char *p = text; (p = strchr(p, '\n')); p++) lines++;
    assert_int_equal(lines, 4);
    assert_non_null(strstr(text, "robust of net (seed = 2): 12.5% of " FORWARD));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(once_for_all_runs), cmocka_unit_test(every_run_as_json)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
