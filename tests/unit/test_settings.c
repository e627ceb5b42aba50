/* test_settings.c - solver and mode texts: defaults, ranges, canonical print, refusals; initialisers. */
#include "init.h"
#include "settings.h"
#include "tables.h"
#include <math.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_defaults(void **state) {
    (void)state;
    deq_error e = {0};
    deq_solver s;
    assert_true(deq_solver_parse("anderson", false, &s, &e));
    assert_true(s.kind == DEQ_SOLVER_anderson && s.memory == 5 && s.damping == 1 && s.ridge == 1e-4);
    assert_true(s.tol == 1e-4 && s.max == 40 && !s.absolute && !s.last);
    assert_true(deq_solver_parse("broyden()", true, &s, &e));
    assert_true(s.step == 1 && s.memory == 0);
    deq_mode m;
    assert_true(deq_mode_parse("phantom.unroll", &m, &e));
    assert_true(m.kind == DEQ_MODE_phantom && m.steps == 5 && m.damping == 0.5);
    assert_int_equal(e.failure, DEQ_OK);
}

/* What modes.def says of modes, as the runtime and the checker read it. */
static void test_traits_of_modes(void **state) {
    (void)state;
    static const struct {
        const char *text, *argument;
        int traits;
    } modes[] = {{"implicit", NULL, TRAIT_EXACT | TRAIT_ADJOINT},
                 {"simultaneous", "states", TRAIT_LOSS},
                 {"unrolled", "from", TRAIT_LOSS},
                 {"augmented", "steps", TRAIT_LOSS | TRAIT_JOINT},
                 {"phantom.unroll", NULL, TRAIT_AFTER | TRAIT_SERIES},
                 {"backprop", NULL, TRAIT_EXACT | TRAIT_UNROLLS}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        deq_error e = {0};
        deq_mode m;
        if (!deq_mode_parse(modes[i].text, &m, &e)) fail_msg("%s", e.text);
        const char *argument = deq_mode_state_argument(&m);
        assert_true(argument == modes[i].argument || (argument && !strcmp(argument, modes[i].argument)));
        for (int trait = 1; trait <= TRAIT_STOPS; trait *= 2)
            assert_int_equal(deq_mode_has(&m, trait), (modes[i].traits & trait) != 0);
    }
    for (uint32_t i = 0; mode_at(i); i++) /* a message says why the mode needs that solver */
        if ((strcmp(mode_at(i)->forward, "any") == 0) != (mode_why(mode_at(i)) == NULL))
            fail_msg("%s: modes.def needs MODE_WHY where `forward` is not \"any\", and only there", mode_at(i)->name);
}

static void test_texts_round_trip(void **state) {
    (void)state;
    static const char *const texts[][2] = {
        {"picard( damping : 0.5 )",
         "picard(damping: 0.5, tol: 0.0001, max: 40, growth: 1e+12, stop: relative, return: best)"},
        {"broyden(step: 0.9, tol: 0, max: 8, growth: 1e3, return: last, stop: absolute)",
         "broyden(step: 0.9, memory: 0, tol: 0, max: 8, growth: 1000, line_search: none, stop: absolute, return: "
         "last)"},
        {"anderson(ridge:1e-5,return: last)", "anderson(memory: 5, damping: 1, ridge: 1e-05, delay: 0, restart: 0, "
                                              "every: 1, tol: 0.0001, max: 40, growth: 1e+12, "
                                              "least_squares: gram, stop: relative, return: last)"},
        {"anderson(least_squares: qr, memory: 9, delay: 2, restart: 12, every: 3)",
         "anderson(memory: 9, damping: 1, ridge: 0.0001, delay: 2, restart: 12, every: 3, tol: 0.0001, max: 40, "
         "growth: 1e+12, "
         "least_squares: qr, stop: relative, return: best)"},
        {"broyden(line_search: armijo)", "broyden(step: 1, memory: 0, tol: 0.0001, max: 40, growth: 1e+12, "
                                         "line_search: armijo, stop: relative, return: best)"},
        {"adjoint_broyden(opa: 2)", "adjoint_broyden(step: 1, memory: 0, opa: 2, tol: 0.0001, max: 40, growth: 1e+12, "
                                    "stop: relative, return: best)"},
        {"newton_krylov(krylov: 12)",
         "newton_krylov(krylov: 12, forcing: 0, tol: 0.0001, max: 40, growth: 1e+12, line_search: "
         "armijo, stop: relative, return: best)"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        deq_error e = {0};
        deq_solver s, again;
        char out[256], twice[256];
        if (!deq_solver_parse(texts[i][0], false, &s, &e)) fail_msg("%s", e.text);
        deq_solver_print(&s, out, sizeof out);
        assert_string_equal(out, texts[i][1]);
        assert_true(deq_solver_parse(out, false, &again, &e));
        deq_solver_print(&again, twice, sizeof twice);
        assert_string_equal(out, twice);
    }
    static const char *const modes[] = {
        "implicit(gmres(tol: 1e-06, max: 30, growth: 1e+12, stop: relative, return: best))",
        "jfb()",
        "backprop(checkpoint: 0)",
        "phantom.unroll(steps: 9, damping: 0.3333333333333333, undamped_first: true)",
        "phantom.neumann(steps: 5, damping: 0.5)",
        "simultaneous(states: 1..9, beta: 0.5, pair: lead, combine: last)",
        "simultaneous(states: 3, beta: 1, pair: lag, combine: sum)",
        "unrolled(from: 2..7, steps: 5, damping: 0.5, undamped_first: true, weights: cumulative)",
        "shine(refine: 3, fallback: none, ratio: 2.5)",
        "augmented(steps: 80, damping: 0.8, adjoint_damping: 0.6, carry: false)"};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        deq_error e = {0};
        deq_mode m;
        char out[512];
        if (!deq_mode_parse(modes[i], &m, &e)) fail_msg("%s", e.text);
        deq_mode_print(&m, out, sizeof out);
        assert_string_equal(out, modes[i]);
    }
}

static void test_bad_texts_are_refused(void **state) {
    (void)state;
    static const char *const solvers[] = {"",
                                          "newton",
                                          "gmres",
                                          "picard(",
                                          "picard)",
                                          "picard(damping)",
                                          "picard(damping: )",
                                          "picard(damping: x)",
                                          "picard(damping: 3)",
                                          "picard(memory: 3)",
                                          "anderson(memory: 2.5)",
                                          "anderson(memory: 65)",
                                          "picard(tol: nan)",
                                          "picard(tol: inf)",
                                          "picard(tol: -1)",
                                          "picard(max: 0)",
                                          "picard(stop: never)",
                                          "picard() x",
                                          "picard(tol: 1,)",
                                          "picard(: 1)",
                                          "anderson(least_squares: cholesky)",
                                          "anderson(every: 0)",
                                          "broyden(line_search: true)",
                                          "picard(line_search: armijo)",
                                          "newton_krylov(forcing: 1)",
                                          "anderson(keep: last)", /* a script says return */
                                          "picard(tol: 1e-4)(max: 3)"};
    for (size_t i = 0; i < sizeof solvers / sizeof *solvers; i++) {
        deq_error e = {0};
        deq_solver s;
        if (deq_solver_parse(solvers[i], false, &s, &e)) fail_msg("`%s` was accepted", solvers[i]);
        assert_int_equal(e.failure, DEQ_SETTING);
        assert_true(strlen(e.text) > 0);
    }
    static const char *const modes[] = {"shine(refine: many)",
                                        "simultaneous(states: 0..4)",
                                        "simultaneous(states: 4..4)",
                                        "simultaneous(states: 1.5)",
                                        "simultaneous(pair: lagging)",
                                        "unrolled(from: 3..)",
                                        "unrolled(states: 3)",
                                        "phantom.unroll(undamped_first: 1)",
                                        "implicit(newton)",
                                        "implicit(broyden(line_search: armijo))",
                                        "implicit(newton_krylov())",
                                        "implicit(gmres, gmres(tol: x))",
                                        "jfb(steps: 1)",
                                        "phantom.unroll(steps: 0)",
                                        "phantom.unroll(5)",
                                        "phantom",
                                        "implicit(gmres(tol: 1e-4)"};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        deq_error e = {0};
        deq_mode m;
        if (deq_mode_parse(modes[i], &m, &e)) fail_msg("`%s` was accepted", modes[i]);
        assert_int_equal(e.failure, DEQ_SETTING);
    }
}

static void test_paths(void **state) {
    (void)state;
    deq_error e = {0};
    deq_fixed_settings s = {0};
    assert_true(deq_fixed_set(&s, "forward", "picard", &e));
    assert_true(deq_fixed_set(&s, "forward.tol", "1e-6", &e));
    assert_true(deq_fixed_set(&s, "forward.return", "last", &e));
    assert_true(deq_fixed_set(&s, "gradient", "implicit(broyden)", &e));
    assert_true(deq_fixed_set(&s, "gradient.adjoint.max", "7", &e));
    assert_true(deq_fixed_set(&s, "on_fail", "zero_gradient", &e));
    assert_true(s.forward.tol == 1e-6 && s.forward.last && s.gradient.adjoint.max == 7 &&
                s.on_fail == DEQ_ZERO_GRADIENT);
    assert_true(deq_fixed_set(&s, "gradient.adjoint", "gmres", &e));
    assert_true(s.gradient.adjoint.kind == DEQ_SOLVER_gmres);
    static const char *const bad[][2] = {
        {"forward.memory", "3"}, {"forward.", "3"}, {"gradient.steps", "3"}, {"gradient.adjoint.step", "1"},
        {"on_fail", "panic"},    {"start", "ones"}, {"backward", "picard"},  {"gradient.adjoint", "jfb"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        deq_error f = {0};
        if (deq_fixed_set(&s, bad[i][0], bad[i][1], &f)) fail_msg("`%s` was accepted", bad[i][0]);
        assert_int_equal(f.failure, DEQ_SETTING);
    }
    assert_true(deq_fixed_set(&s, "gradient", "jfb", &e));
    assert_false(deq_fixed_set(&s, "gradient.adjoint.tol", "1", &e));
}

static void moments(const double *x, int n, double *mean, double *deviation) {
    double a = 0, b = 0;
    for (int i = 0; i < n; i++) a += x[i], b += x[i] * x[i];
    *mean = a / n;
    *deviation = sqrt(b / n - a / n * a / n);
}

static void test_initialisers(void **state) {
    (void)state;
    static double x[6000], again[6000];
    static float y[6000];
    const int64_t shape[] = {60, 100}, kernels[] = {100, 10, 3, 2}; /* [out, in, rows, columns] */
    double mean, deviation;
    deq_error e = {0};
    assert_true(deq_initialise("normal(std: 0.1)", shape, 2, 1, "a.W", 64, x, &e));
    moments(x, 6000, &mean, &deviation);
    assert_true(fabs(mean) < 0.005 && fabs(deviation - 0.1) < 0.004);
    assert_true(deq_initialise("normal(std: 0.1)", shape, 2, 1, "a.W", 32, y, &e));
    for (int i = 0; i < 6000; i++) assert_true(y[i] == (float)x[i]); /* both precisions start alike */
    assert_true(deq_initialise("normal(std: 0.1)", shape, 2, 1, "b.W", 64, again, &e));
    assert_true(memcmp(x, again, sizeof x) != 0);
    assert_true(deq_initialise("normal(std: 0.1)", shape, 2, 2, "a.W", 64, again, &e));
    assert_true(memcmp(x, again, sizeof x) != 0);
    assert_true(deq_initialise("uniform(low: -1, high: 3)", shape, 2, 1, "a.W", 64, x, &e));
    moments(x, 6000, &mean, &deviation);
    assert_true(fabs(mean - 1) < 0.06 && fabs(deviation - 4 / sqrt(12)) < 0.03);
    assert_true(deq_initialise("glorot()", shape, 2, 1, "a.W", 64, x, &e));
    moments(x, 6000, &mean, &deviation);
    assert_true(fabs(deviation - sqrt(2.0 / 160)) < 0.003);
    assert_true(deq_initialise("he()", kernels, 4, 1, "a.W", 64, x, &e));
    moments(x, 6000, &mean, &deviation);
    assert_true(fabs(deviation - sqrt(2.0 / 60)) < 0.006);
    assert_true(deq_initialise("he(scale: 0.25)", kernels, 4, 1, "a.W", 64, again, &e));
    for (int i = 0; i < 6000; i++) assert_true(again[i] == 0.25 * x[i]);
    assert_true(deq_initialise("identity()", shape, 2, 1, "a.W", 64, x, &e));
    for (int i = 0; i < 6000; i++) assert_true(x[i] == (i / 100 == i % 100));
    assert_true(deq_initialise("constant(value: 2.5)", shape, 2, 1, "a.W", 64, x, &e));
    assert_true(x[0] == 2.5 && x[5999] == 2.5);
    assert_true(deq_initialise("ones()", shape, 1, 1, "a.b", 64, x, &e) && x[59] == 1 && x[60] == 2.5);
    assert_true(deq_initialise("zeros()", shape, 2, 1, "a.W", 64, x, &e) && x[0] == 0);
    assert_int_equal(e.failure, DEQ_OK);
    static const char *const bad[] = {"normal(sdt: 1)", "orthogonal()", "constant()", "uniform(low: 0)",
                                      "normal(std: a)"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        deq_error f = {0};
        assert_false(deq_initialise(bad[i], shape, 2, 1, "a.W", 64, x, &f));
        assert_int_equal(f.failure, DEQ_SETTING);
    }
    assert_false(deq_initialise("identity()", shape, 1, 1, "a.b", 64, x, &e));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_traits_of_modes),
        cmocka_unit_test(test_texts_round_trip),
        cmocka_unit_test(test_bad_texts_are_refused),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_initialisers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
