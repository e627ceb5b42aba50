/* test_report.c - what `deq report` says of runs that went wrong: every pathology, word for word, and silence
 * otherwise. */
#include "study.h"
#include "diagnosis.h"
#include "output.h"
#include "seal.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* One fixed point; ' stands for ". */
static json_t *solves(const char *forward, const char *gradient, const char *forward_solves, const char *adjoint_solves,
                      const char *radius, const char *norm2) {
    char text[4096];
    snprintf(
        text, sizeof text,
        "{'model': 'm', 'net': 'Net', 'real': 'f32', 'examples': 100, 'data': 'd.test[0..100]', 'fixed': [{'path': "
        "'body', 'dimension': 8, 'forward': '%s', 'gradient': '%s', 'forward_solves': %s, 'adjoint_solves': %s, "
        "'spectrum': {'examples': 16, 'radius': %s, 'norm2': %s}}]}",
        forward, gradient, forward_solves, adjoint_solves, radius, norm2);
    for (char *c = text; *c; c++)
        if (*c == '\'') *c = '"';
    json_error_t error;
    json_t *o = json_loads(text, 0, &error);
    if (!o) fail_msg("%s: %s", error.text, text);
    return o;
}

static void says(json_t *o, const char *log, const char *want) {
    char *have = NULL, copy[4096];
    size_t size;
    snprintf(copy, sizeof copy, "%s", log ? log : "null");
    for (char *c = copy; *c; c++)
        if (*c == '\'') *c = '"';
    json_t *rows = log ? json_loads(copy, 0, NULL) : NULL;
    FILE *f = open_memstream(&have, &size);
    int n = deq_diagnosis_sentences(f, o, rows), lines = 0;
    fclose(f);
    for (const char *c = have; *c; c++) lines += *c == '\n';
    assert_string_equal(have, want);
    assert_int_equal(n, lines);
    free(have);
    json_decref(o);
    json_decref(rows);
}

#define FINE "{'count': 100, 'steps': [9, 12], 'residual': [5e-5, 9e-5], 'failed': 0, 'reasons': {'converged': 1}}"
#define ANDERSON "anderson(tol: 1e-4, max: 40)"
#define GMRES "implicit(gmres(tol: 1e-4, max: 30))"

static void test_lost(void **state) {
    (void)state;
    json_t *o = solves(ANDERSON, "jfb()", FINE, "null", "[0.2, 0.25]", "[0.3, 0.4]");
    json_object_set_new(json_array_get(json_object_get(o, "fixed"), 0), "lost_gradients", json_real(0.01));
    says(o, NULL,
         "- body: 1% of the gradients were not finite, and were left out. Look for a square root or logarithm of 0, or "
         "numbers beyond what f32 holds, behind the fixed point or in it.\n");
}

static void test_nothing(void **state) {
    (void)state;
    says(solves(ANDERSON, GMRES, FINE, FINE, "[0.6, 0.7]", "[0.8, 0.9]"), NULL, "");
    says(solves(ANDERSON, "jfb()", FINE, "null", "[0.2, 0.25]", "[0.3, 0.4]"),
         "[{'epoch': 1, 'loss': 2.0, 'steps': 8}, {'epoch': 2, 'loss': 1.0, 'steps': 9}]", "");
}

static void test_forward(void **state) {
    (void)state;
    const char *stopped = "{'count': 100, 'steps': [40, 40], 'residual': [3e-3, 0.1], 'failed': 0.37, 'reasons': "
                          "{'converged': 0.63, 'max_steps': 0.37}}";
    says(solves(ANDERSON, GMRES, stopped, FINE, "[0.6, 0.7]", "[0.8, 0.9]"), NULL,
         "- body: 37% of forward solves hit max: 40 (median residual 3.0e-03, tol 0.0001). Raise max to 80, or accept "
         "tol: 1e-01.\n");
    says(solves("picard(tol: 1e-4, max: 40)", GMRES, stopped, FINE, "[0.9, 0.93]", "[1, 1]"), NULL,
         "- body: 37% of forward solves hit max: 40 (median residual 3.0e-03, tol 0.0001). At spectral radius 0.93 a "
         "plain "
         "iteration needs about 127 steps for this tol: use anderson() or broyden(), or raise max.\n");
    says(solves(ANDERSON, GMRES, stopped, FINE, "[0.98, 1.07]", "[1.2, 1.3]"), NULL,
         "- body: 37% of forward solves hit max: 40 (median residual 3.0e-03, tol 0.0001). At spectral radius 1.07 a "
         "plain "
         "iteration diverges: use broyden() or anderson(memory: 10), and bring the radius down with `penalty: "
         "jacobian(weight: 0.4)`, smaller initial weights, weight_norm or LayerNorm.\n"
         "- body: the spectral radius of J at the equilibria is 0.98 in the median and reaches 1.07: these equilibria "
         "repel a plain iteration, and the gradient grows without bound as it nears a singular I - J. "
         "Train with `penalty: jacobian(weight: 0.4)`.\n");
    says(
        solves("picard(tol: 1e-4, max: 40)", GMRES,
               "{'count': 10, 'steps': [9, 12], 'residual': [5e-5, 9e-5], 'failed': 0.1, 'reasons': {'converged': 0.9, "
               "'diverged': 0.1}}",
               FINE, "[0.6, 0.7]", "[0.8, 0.9]"),
        NULL,
        "- body: 10% of forward solves diverged (their residual grew beyond `growth`, NaN or infinity). Try "
        "picard(damping: 0.5) or anderson(), smaller initial weights, or a bounded cell (tanh, LayerNorm).\n");
    says(
        solves("anderson(tol: 1e-9, max: 40)", GMRES,
               "{'count': 10, 'steps': [19, 22], 'residual': [1e-7, 2e-7], 'failed': 1, 'reasons': {'stagnated': 1}}",
               FINE, "[0.6, 0.7]", "[0.8, 0.9]"),
        NULL,
        "- body: 100% of forward solves stagnated at residuals up to 2.0e-07, as far as f32 goes: tol: 1e-09 cannot be "
        "reached. Raise tol to 8e-07, or compile with --precision f64.\n");
    says(solves("anderson(tol: 1e-4, max: 10)", GMRES, FINE, FINE, "[0.6, 0.7]", "[0.8, 0.9]"), NULL,
         "- body: forward solves take 9 of at most 10 steps: little is left for harder examples. Raise max.\n");
    /* tol: 0 asks for all steps */
    says(solves("anderson(tol: 0, max: 40)", GMRES, stopped, FINE, "[0.6, 0.7]", "[0.8, 0.9]"), NULL, "");
}

static void test_adjoint(void **state) {
    (void)state;
    const char *stopped = "{'count': 100, 'steps': [22, 30], 'residual': [8e-5, 0.2], 'failed': 0.12, 'reasons': "
                          "{'converged': 0.88, 'max_steps': 0.12}}";
    says(solves(ANDERSON, "implicit(neumann(tol: 1e-4, max: 30))", FINE, stopped, "[0.9, 1.07]", "[1, 1.1]"), NULL,
         "- body: 12% of backward solves hit max: 30 (median residual 8.0e-05). Raise max, use gmres, or use "
         "phantom.unroll; at radius 1.07 the Neumann series diverges.\n"
         "- body: the spectral radius of J at the equilibria is 0.90 in the median and reaches 1.07: these equilibria "
         "repel a plain iteration, and the gradient grows without bound as it nears a singular I - J. "
         "Train with `penalty: jacobian(weight: 0.4)`.\n");
    says(solves(ANDERSON, GMRES, FINE, stopped, "[0.6, 0.7]", "[1, 1]"), NULL,
         "- body: 12% of backward solves hit max: 30 (median residual 8.0e-05). Raise max, loosen tol, or use "
         "phantom.unroll.\n");
    says(solves(ANDERSON, "implicit(neumann(tol: 1e-4, max: 30))", FINE,
                "{'count': 4, 'steps': [9, 9], 'residual': [8, 9], 'failed': 0.5, 'reasons': {'diverged': 0.5}}",
                "[0.6, 0.7]", "[1, 1]"),
         NULL,
         "- body: 50% of backward solves diverged. Use implicit(gmres()), which does not need the series to "
         "converge.\n");
}

static void test_modes_and_spectrum(void **state) {
    (void)state;
    says(solves(ANDERSON, "phantom.unroll(steps: 5, damping: 0.5)", FINE, "null", "[0.8, 0.9]", "[1, 1]"), NULL,
         "- body: phantom.unroll(steps: 5, damping: 0.5) leaves 59% of the slowest part of the adjoint out at spectral "
         "radius 0.80. For a tenth use phantom.unroll(steps: 22, damping: 0.5), or implicit(gmres()).\n");
    says(solves(ANDERSON, "jfb()", FINE, "null", "[0.5, 0.6]", "[1, 1]"), NULL,
         "- body: jfb() leaves 50% of the slowest part of the adjoint out at spectral radius 0.50. For a tenth use "
         "phantom.unroll(steps: 4, damping: 1), or implicit(gmres()).\n");
    says(solves(ANDERSON, GMRES, FINE, FINE, "[0.9, 0.98]", "[1, 1]"), NULL,
         "- body: the spectral radius of J reaches 0.980: errors shrink by 2.0% a plain step, a gain of 50 in the "
         "gradient. Watch it with `spectrum: 16` in train; `penalty: jacobian(weight: 0.1)` brings it down.\n");
    says(solves(ANDERSON, GMRES, FINE, FINE, "[0.5, 0.5]", "[7, 9]"), NULL,
         "- body: norm(J) is 7.0 where its spectral radius is 0.50: J is far from normal, so residuals may grow for "
         "many "
         "steps before they shrink. Give anderson more memory, and do not judge by the first residuals; `penalty: "
         "spectral(weight: 0.1)` lowers the norm itself.\n");
    says(solves(ANDERSON, GMRES, FINE, FINE, "[null, null]", "[null, null]"), NULL, ""); /* not measured */
}

static void test_log(void **state) {
    (void)state;
    says(
        solves(ANDERSON, GMRES, FINE, FINE, "[0.6, 0.7]", "[0.8, 0.9]"),
        "[{'epoch': 1, 'loss': 1.0, 'steps': 8, 'radius': 0.4}, {'epoch': 2, 'loss': 1.2, 'steps': 17, 'radius': "
        "0.97}]",
        "- training: forward solves took 17.0 steps in the last epoch and 8.0 in the first: the cell loses contraction "
        "while it trains. `penalty: jacobian(weight: 0.1)`, a lower rate or weight decay slow that.\n"
        "- training: the spectral radius rose from 0.40 to 0.97 in 2 epochs. Bound it: `penalty: "
        "jacobian(weight: 0.1)`, weight_norm, LayerNorm, weight decay.\n"
        "- training: the training loss did not fall: 1 in the first epoch, 1.2 in the last. Lower the rate, or check "
        "that "
        "the gradient is right with deq gradcheck.\n");
}

/* With a penalty already there the advice is its weight. */
static void test_penalised(void **state) {
    (void)state;
    json_t *o = solves(ANDERSON, GMRES, FINE, FINE, "[0.9, 0.98]", "[1, 1]");
    json_object_set_new(json_array_get(json_object_get(o, "fixed"), 0), "penalty",
                        json_string("jacobian(weight: 0.1)"));
    says(
        o,
        "[{'epoch': 1, 'loss': 2.0, 'steps': 8, 'radius': 0.4, 'penalty': 0.1}, {'epoch': 2, 'loss': 0.5, 'steps': 17, "
        "'radius': 0.97, 'penalty': 0.7}]",
        "- body: the spectral radius of J reaches 0.980: errors shrink by 2.0% a plain step, a gain of 50 in the "
        "gradient. Watch it with `spectrum: 16` in train; a larger weight of the penalty brings it down.\n"
        "- training: forward solves took 17.0 steps in the last epoch and 8.0 in the first: the cell loses contraction "
        "while it trains. A larger weight of the penalty, a lower rate or weight decay slow that.\n"
        "- training: the spectral radius rose from 0.40 to 0.97 in 2 epochs. Bound it: a larger weight of the penalty, "
        "weight_norm, LayerNorm, weight decay.\n"
        "- training: the penalty is 0.7 in the last epoch, the loss 0.5: the net is trained for its Jacobian more than "
        "for its task. Lower the weight, or take the penalty in some steps only (frequency: 0.1).\n");
}

static void prints(void (*print)(FILE *, const json_t *), const char *rows, const char *want) {
    char *have = NULL;
    size_t size;
    json_t *list = json_loads(rows, 0, NULL);
    assert_non_null(list);
    FILE *f = open_memstream(&have, &size);
    print(f, list);
    fclose(f);
    assert_string_equal(have, want);
    free(have);
    json_decref(list);
}

static void test_epochs_and_curve(void **state) {
    (void)state;
    prints(deq_diagnosis_epochs, "[]", "");
    prints(deq_diagnosis_epochs,
           "[{\"epoch\": 1, \"loss\": 1.5, \"steps\": 8, \"residual\": 1e-5}, {\"epoch\": 2, \"loss\": 0.5, "
           "\"steps\": 9, \"residual\": 2e-5, \"radius\": 0.5, \"norm2\": 1.25, \"frobenius\": 2, \"penalty\": 0.01}]",
           "\n| epoch | loss | penalty | steps | residual | radius of J | norm 2 | norm F |\n"
           "|--:|--:|--:|--:|--:|--:|--:|--:|\n"
           "| 1 | 1.5 | - | 8.0 | 1.0e-05 | - | - | - |\n"
           "| 2 | 0.5 | 0.01 | 9.0 | 2.0e-05 | 0.500 | 1.25 | 2.00 |\n");
    char many[4096] = "[";
    for (int k = 1; k <= 30; k++) sprintf(many + strlen(many), "%s{\"epoch\": %d, \"loss\": 1}", k > 1 ? "," : "", k);
    strcat(many, "]");
    json_t *list = json_loads(many, 0, NULL);
    char *have = NULL;
    size_t size;
    FILE *f = open_memstream(&have, &size);
    deq_diagnosis_epochs(f, list);
    fclose(f);
    int lines = 0;
    for (const char *c = have; *c; c++) lines += *c == '\n';
    assert_int_equal(lines, 3 + 12);
    assert_non_null(strstr(have, "\n| 1 |"));
    assert_non_null(strstr(have, "\n| 30 |"));
    free(have);
    json_decref(list);
    prints(deq_diagnosis_curve, "[]", "");
    prints(deq_diagnosis_curve,
           "[{\"median\": 1, \"running\": 1}, {\"median\": 0.5, \"running\": 1}, {\"median\": 0.25, \"running\": "
           "1}, {\"running\": 0}]",
           "\nResidual of the first fixed point after n iterations, median: 1: 1.0e+00, 2: 5.0e-01, 3: 2.5e-01.\n");
}

static void test_table(void **state) {
    (void)state;
    json_t *o = solves(ANDERSON, GMRES, FINE, "null", "[0.6, 0.71]", "[0.8, 0.9]");
    char *have = NULL;
    size_t size;
    FILE *f = open_memstream(&have, &size);
    deq_diagnosis_table(f, o);
    fclose(f);
    assert_non_null(
        strstr(have, "| body | 9 / 12 | 5.0e-05 / 9.0e-05 | 0% | 0.600 / 0.710 | 0.80 / 0.90 | - | - | - | - |\n"));
    assert_null(strstr(have, "estimate")); /* how far the radius was off is not known here */
    free(have);
    json_object_set_new(json_object_get(json_array_get(json_object_get(o, "fixed"), 0), "spectrum"), "radius_change",
                        json_real(0.002));
    f = open_memstream(&have, &size);
    deq_diagnosis_table(f, o);
    fclose(f);
    assert_non_null(strstr(have, "moved it by 2e-03 of itself (median). Norm 2 is a lower bound, by power iteration; "
                                 "norm F is an estimate, from random vectors.\n"));
    free(have);
    json_decref(o);
}

/* Folders that are no results: an exit code, never a crash. */
static void test_folders(void **state) {
    (void)state;
    char folder[] = "/tmp/deq-test-report-XXXXXX";
    assert_non_null(mkdtemp(folder));
    deq_app_options options = {.quiet = true};
    deq_error e = {0};
    assert_int_equal(deq_app_report("/no/such/folder", &options), 3);
    assert_int_equal(deq_app_report(folder, &options), 3);
    char *path = deq_path_join(folder, "net-solves.json", NULL), *log = deq_path_join(folder, "net-log.csv", NULL);
    assert_true(deq_output_write(path, "{\"fixed\": 3", 11, &e));
    assert_int_equal(deq_app_report(folder, &options), 3);
    json_t *o = solves(ANDERSON, GMRES, FINE, FINE, "[0.6, 0.7]", "[0.8, 0.9]");
    size_t size;
    char *text = deq_seal_json(o, path), *rows = deq_seal_csv("epoch,loss\n1,2\n,\n,,,,\nx", log, &size);
    assert_true(deq_output_write(path, text, strlen(text), &e));
    assert_true(deq_output_write(log, rows, size, &e));
    assert_int_equal(deq_app_report(folder, &options), 0);
    assert_true(deq_output_write(log, rows, size - 2, &e)); /* not as it was written */
    assert_int_equal(deq_app_report(folder, &options), 3);
    unlink(path);
    unlink(log);
    rmdir(folder);
    free(path);
    free(log);
    free(text);
    free(rows);
    json_decref(o);
}

static void test_chain(void **state) {
    (void)state;
    static const char some[] = "{'count': 100, 'steps': [9, 12], 'residual': [5e-5, 9e-5], 'failed': 0, 'later': 0.4, "
                               "'reasons': {'converged': 1}}";
    says(solves(ANDERSON " else broyden()", "implicit(neumann(max: 10) else gmres())", some, some, "[0.6, 0.7]",
                "[0.8, 0.9]"),
         NULL,
         "- body: 40% of forward solves were left unsolved by anderson and answered by a later solver of the chain. "
         "Where that many are, put the later one first: what the first does for them is lost.\n"
         "- body: 40% of backward solves were left unsolved by neumann and answered by a later solver of the chain. "
         "Where that many are, put the later one first: what the first does for them is lost.\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lost),      cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_chain),     cmocka_unit_test(test_forward),
        cmocka_unit_test(test_adjoint),   cmocka_unit_test(test_modes_and_spectrum),
        cmocka_unit_test(test_log),       cmocka_unit_test(test_table),
        cmocka_unit_test(test_penalised), cmocka_unit_test(test_epochs_and_curve),
        cmocka_unit_test(test_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
