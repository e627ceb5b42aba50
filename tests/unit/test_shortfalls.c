/* test_shortfalls.c - what fell short in many runs of a grid is said once in full and once in all. */
#include "shortfalls.h"
#include <math.h>
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

static void one(deq_shortfalls *all, deq_reporter *r, const char *name, const char *label, const char *when,
                double share, const char *what) {
    deq_told t = {0};
    deq_told_add(&t, share, "%s", what);
    deq_told_say(&t, all, r, name, label, when);
}

static void grid(deq_shortfalls *all, deq_reporter *r) {
    one(all, r, "robust", "robust of net (seed = 0)", "", 0.25, FORWARD "; used");
    one(all, r, "robust", "robust of net (seed = 1)", "", 0.5, FORWARD " (mean residual 2)");
    one(all, r, "robust", "robust of net (seed = 2)", "", 0.125, FORWARD);
    one(all, r, "clean", "clean of net (seed = 0)", "in the last epoch ", 0.0625, FORWARD);
}

static void once_for_all_runs(void **state) {
    (void)state;
    assert_string_equal(written(grid, false),
                        "run: warning[W0912]: robust of net (seed = 0): 25% of " FORWARD "; used\n"
                        "run: warning[W0912]: clean of net (seed = 0): in the last epoch 6.25% of " FORWARD "\n"
                        "run: warning[W0912]: robust, 3 runs: up to 50% of " FORWARD "\n");
}

/* What concerns few comes last, in one line, whatever was found first; what concerns nobody is not told. */
static void few(deq_shortfalls *all, deq_reporter *r) {
    for (int run = 0; run < 2; run++) {
        deq_told t = {0};
        deq_told_add(&t, 0.0015, "the %s", FORWARD);
        deq_told_add(&t, 0.0018, "the attack's %s", FORWARD);
        deq_told_add(&t, 0.5, "half");
        deq_told_add(&t, 0, "none");
        deq_told_add(&t, NAN, "nothing was counted");
        deq_told_add(&t, 1, "all");
        deq_told_say(&t, all, r, "net", "net", "in the last epoch ");
        assert_int_equal(t.n, 0);
    }
}

static void few_do_not_drown_many(void **state) {
    (void)state;
    assert_string_equal(written(few, false),
                        "run: warning[W0912]: net: in the last epoch 100% of all\n"
                        "run: warning[W0912]: net: in the last epoch 50% of half\n"
                        "run: warning[W0912]: net: in the last epoch a few: 0.18% of the attack's " FORWARD
                        "; 0.15% of the " FORWARD "\n"
                        "run: warning[W0912]: net, 2 runs: in the last epoch up to 100% of all\n"
                        "run: warning[W0912]: net, 2 runs: in the last epoch up to 50% of half\n");
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(once_for_all_runs), cmocka_unit_test(few_do_not_drown_many),
                                       cmocka_unit_test(every_run_as_json)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
