/* test_defences.c - defences: weights from their bodies, their text in the runtime, and the sums made while solving. */
#include "cells_both.h"
#include "elaborate_support.h"
#include "random.h"
#include "memory.h"
#include "numeric.h"
#include "worker_plan.h"

/* ---- bodies to weights ---- */
static void expect_weights(const char *body, const char *instance, const char *expected) {
    char text[1024];
    snprintf(text, sizeof text,
             "import std.defences (early_state, ensemble, ensemble_with_final)\n"
             "fn blend(a: f32, b: f32, t: f32) -> f32 = t * a + (1 - t) * b\n"
             "const LATE = 8\n"
             "defence d(a: int = 2, w: f32 = 0.25, flip: bool = false) { %s }\n"
             "defence e = %s\n",
             body, instance);
    Parsed p = parse_checked(text);
    Elab *e = elaborate_text(&p, NULL);
    Scope s = scope_of_module(e, p.program->main);
    const char *found = defence_text(&s, AST_SLOT(module_find(p.program->main, "e", NULL), DEFENCE, value));
    if (!found) fail_msg("%s: %s", body, messages(&p));
    assert_string_equal(found, expected);
    deq_defence defence;
    deq_error error = {0};
    char back[DEQ_DEFENCE_TEXT];
    if (!deq_defence_parse(found, &defence, &error)) fail_msg("%s", error.text);
    deq_defence_print(&defence, back, sizeof back);
    deq_defence again;
    assert_true(deq_defence_parse(back, &again, &error));
    assert_memory_equal(&again, &defence, sizeof again);
    parsed_free(&p);
}

static void weights_of_bodies(void **state) {
    (void)state;
    expect_weights("return states[a]", "early_state(at: 5)", "states[5]");
    expect_weights("return states[a]", "ensemble()", "mean(states)");
    expect_weights("return states[a]", "d", "states[2]");
    expect_weights("return states[a]", "d(7)", "states[7]");
    expect_weights("return mean(states[a..LATE])", "d(a: 3)", "mean(states[3..8])");
    expect_weights("return states[a..LATE] |> mean", "d(a: 7)", "states[7]");
    expect_weights("return w * states[1] + (1 - w) * mean(states)", "d", "0.25 * states[1] + 0.75 * mean(states)");
    expect_weights("return -(states[a + 1] - 2 * states[4] / 4)", "d(a: 1)", "-1 * states[2] + 0.5 * states[4]");
    expect_weights("let z = states[1] + states[2]\n let two = 2\n return (z + z - states[2]) / two", "d",
                   "states[1] + 0.5 * states[2]");
    expect_weights("return blend(states[1], mean(states), w)", "d(w: 0.5)", "0.5 * states[1] + 0.5 * mean(states)");
    expect_weights("return if flip then states[1] else states[a]", "d(flip: true)", "states[1]");
    expect_weights("return if flip then states[1] else states[a]", "d", "states[2]");
    expect_weights("return states[3] + 0 * states[9]", "d", "states[3]");
    expect_weights("return w * final + (1 - w) * states[a]", "d", "0.25 * final + 0.75 * states[2]");
    expect_weights("let kept = final\n return 2 * kept - final", "d", "none"); /* the value alone */
    expect_weights("return final / 2", "d", "0.5 * final");
    expect_weights("return final", "ensemble_with_final(steps: 3)", "0.25 * final + 0.75 * mean(states[1..4])");
}

static void texts(void **state) {
    (void)state;
    deq_error e = {0};
    deq_defence d;
    char text[DEQ_DEFENCE_TEXT];
    assert_true(deq_defence_parse("0.5 * mean(states) + -1e-05 * mean(states[2..5]) + states[7]", &d, &e));
    assert_true(d.given && d.all == 0.5 && d.nterms == 2);
    assert_int_equal(deq_defence_last(&d), 7);
    assert_close("named", deq_defence_weight(&d, 4), -1e-05 / 3);
    assert_close("past", deq_defence_weight(&d, 5), 0);
    assert_close("after 3", deq_defence_weight_after(&d, 3), 1 - 1e-05 / 3);
    assert_close("after 0", deq_defence_weight_after(&d, 0), 1 - 1e-05);
    assert_close("after 7", deq_defence_weight_after(&d, 7), 0);
    deq_defence_print(&d, text, sizeof text);
    assert_string_equal(text, "0.5 * mean(states) + -1e-05 * mean(states[2..5]) + states[7]");
    assert_true(deq_defence_parse("none", &d, &e) && !d.given);
    deq_defence_print(&d, text, sizeof text);
    assert_string_equal(text, "none");
    assert_true(deq_defence_parse("final", &d, &e) && !d.given);
    assert_true(deq_defence_parse("0.5 * final + 0.5 * states[2]", &d, &e) && d.given && d.value == 0.5 &&
                d.nterms == 1);
    deq_defence_print(&d, text, sizeof text);
    assert_string_equal(text, "0.5 * final + 0.5 * states[2]");
    static const char *const bad[] = {"",
                                      "final[2]",
                                      "mean(final)",
                                      "states",
                                      "states[0]",
                                      "states[-1]",
                                      "states[2",
                                      "states[2]]",
                                      "states[2] + ",
                                      "2 states[2]",
                                      "x * states[2]",
                                      "nan * states[2]",
                                      "mean(states[3..3])",
                                      "mean(states[0..3])",
                                      "states[200000]",
                                      "mean(states) - states[2]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        deq_error f = {0};
        if (deq_defence_parse(bad[i], &d, &f)) fail_msg("`%s` was accepted", bad[i]);
        assert_int_equal(f.failure, DEQ_SETTING);
    }
}

/* ---- sums of states ---- */
enum { D = 5, ROWS = 6, STEPS = 30, MOST = 64 };

typedef struct Bench {
    int bits;
    int64_t stride;
    const deq_fixed *fixed;
    deq_worker *worker;
    deq_fixed_settings settings;
    deq_defence defence;
    deq_frame frame;
    char *shared, *rest, *z;
    double states[MOST + 1][ROWS][D]; /* as streamed */
    int made[ROWS];
} Bench;

static double get(const Bench *b, const void *base, int64_t row, int k) {
    const char *at = (const char *)base + row * b->stride;
    return b->bits == 32 ? (double)((const float *)at)[k] : ((const double *)at)[k];
}

static void put(const Bench *b, void *base, int64_t row, int k, double value) {
    char *at = (char *)base + row * b->stride;
    if (b->bits == 32)
        ((float *)at)[k] = (float)value;
    else
        ((double *)at)[k] = value;
}

static void listen(void *context, const deq_states *s) {
    Bench *b = context;
    for (int64_t i = 0; i < s->n && s->step <= MOST; i++) {
        for (int k = 0; k < D; k++) b->states[s->step][s->rows[i]][k] = get(b, s->z, i, k);
        b->made[s->rows[i]] = s->step;
    }
}

/* z = W z + c or tanh of it, row i's c drawn and grown so that rows stop at different steps. */
static Bench *bench_new(int bits, cell_kind kind) {
    Bench *b = calloc(1, sizeof *b);
    b->bits = bits;
    b->stride = bits == 32 ? cell_bytes_f32(D) : cell_bytes_f64(D);
    b->fixed = bits == 32 ? cell_describe_f32(D) : cell_describe_f64(D);
    b->shared = deq_memory_new(sizeof(record_f64));
    memset(b->shared, 0, sizeof(record_f64));
    if (bits == 32)
        ((record_f32 *)b->shared)->kind = kind, ((record_f32 *)b->shared)->d = D;
    else
        ((record_f64 *)b->shared)->kind = kind, ((record_f64 *)b->shared)->d = D;
    for (int i = 0; i < D * D; i++) {
        double w = 0.6 / sqrt(D) * deq_normal(7, (uint64_t)i);
        if (bits == 32)
            ((record_f32 *)b->shared)->W[i] = (float)w;
        else
            ((record_f64 *)b->shared)->W[i] = w;
    }
    size_t rows = (size_t)(ROWS * b->stride);
    b->rest = memset(deq_memory_new(rows), 0, rows);
    b->z = memset(deq_memory_new(rows), 0, rows);
    for (int i = 0; i < ROWS * D; i++) put(b, b->rest, i / D, i % D, deq_normal(8, (uint64_t)i) * pow(4, i / D - 3));
    return b;
}

static void bench_free(Bench *b) {
    deq_worker_free(b->worker);
    free(b->shared), free(b->rest), free(b->z), free(b);
}

static const char *finish = "none"; /* of the solves to come */
static const char *mode = "jfb";
static bool knows;

/* Solves rows from .. from + n; `defence` NULL: none. */
static void solve(Bench *b, const char *forward, const char *defence, int64_t from, int64_t n, bool gradient) {
    deq_error e = {0};
    const deq_fixed_settings *settings[1] = {&b->settings};
    if (!deq_solver_parse(forward, false, &b->settings.forward, &e) ||
        !deq_mode_parse(mode, &b->settings.gradient, &e) || !deq_finish_parse(finish, &b->settings.finish, &e) ||
        !deq_defence_parse(defence ? defence : "none", &b->defence, &e))
        fail_msg("%s", e.text);
    deq_worker_free(b->worker);
    b->worker = deq_worker_new(b->bits, ROWS, &b->fixed, 1);
    if (!deq_worker_plan(b->worker, settings, 1, defence != NULL, &e)) fail_msg("%s", e.text);
    b->worker->request.defence = defence ? &b->defence : NULL;
    b->worker->request.knows = knows;
    b->worker->request.stream = listen;
    b->worker->request.stream_context = b;
    memset(b->made, 0, sizeof b->made);
    b->frame = (deq_frame){.shared = b->shared, .host = b->worker};
    deq_fixed_solve(&b->frame, (void *)b->fixed, n, b->rest + from * b->stride, b->z + from * b->stride, gradient,
                    NULL);
}

static const char *const solvers[] = {"picard",   "picard(damping: 0.7",
                                      "anderson", "anderson(memory: 3, damping: 0.8",
                                      "broyden",  "broyden(memory: 2, step: 0.9"};
enum { SOLVERS = sizeof solvers / sizeof *solvers };

/* The solver's text with its tol and max. */
static const char *with(int solver, double tol, int max) {
    static char text[128];
    const char *open = strchr(solvers[solver], '(') ? ", " : "(";
    snprintf(text, sizeof text, "%s%stol: %g, max: %d)", solvers[solver], open, tol, max);
    return text;
}

/* Results against the states streamed without a defence: sum of w[n] z_n, with steps after `made` counted as it. */
static void expect_sum(const Bench *b, const Bench *free_run, const double *w, int last, const char *what) {
    for (int row = 0; row < ROWS; row++)
        for (int k = 0; k < D; k++) {
            double sum = 0, scale = 1e-30;
            for (int n = 1; n <= last; n++) {
                int m = n < free_run->made[row] ? n : free_run->made[row];
                sum += w[n] * free_run->states[m][row][k];
                scale = fmax(scale, fabs(free_run->states[m][row][k]));
            }
            double found = get(b, b->z, row, k), most = (b->bits == 32 ? 2e-6 : 1e-14) * scale;
            if (!(fabs(found - sum) <= most)) fail_msg("%s row %d: %.17g, expected %.17g", what, row, found, sum);
        }
}

/* Linear and known: z_n = (1 - 2^-n) 2c for z <- z/2 + c. */
static void known_states(void **state) {
    (void)state;
    Bench *b = bench_new(64, CELL_LINEAR);
    for (int i = 0; i < D * D; i++) ((record_f64 *)b->shared)->W[i] = i % (D + 1) == 0 ? 0.5 : 0;
    for (int n = 1; n <= 6; n++) {
        char text[32];
        snprintf(text, sizeof text, "states[%d]", n);
        solve(b, "picard(tol: 1e-3, max: 40)", text, 0, ROWS, false);
        for (int i = 0; i < ROWS * D; i++)
            assert_close(text, get(b, b->z, i / D, i % D), (2 - pow(0.5, n - 1)) * get(b, b->rest, i / D, i % D));
    }
    solve(b, "picard(tol: 0, max: 4)", "mean(states)", 0, ROWS, false);
    for (int i = 0; i < ROWS * D; i++) /* 1, 1.5, 1.75, 1.875 */
        assert_close("mean", get(b, b->z, i / D, i % D), 1.53125 * get(b, b->rest, i / D, i % D));
    bench_free(b);
}

/* An early state is z_n to the bit, for a tolerance reached before it too; the solver makes no more steps. */
static void early_state_is_the_state(void **state) {
    (void)state;
    for (int bits = 32; bits <= 64; bits += 32)
        for (int s = 0; s < SOLVERS; s++) {
            Bench *plain = bench_new(bits, CELL_TANH), *b = bench_new(bits, CELL_TANH);
            solve(plain, with(s, 0, STEPS), NULL, 0, ROWS, false);
            static const int at[] = {1, 2, 3, 7, 12};
            for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
                char text[32];
                snprintf(text, sizeof text, "states[%d]", at[i]);
                solve(b, with(s, 0.2, STEPS), text, 0, ROWS, false);
                for (int row = 0; row < ROWS; row++) {
                    for (int k = 0; k < D; k++)
                        if (get(b, b->z, row, k) != plain->states[at[i]][row][k])
                            fail_msg("%s, %s, row %d: %.17g, expected %.17g", solvers[s], text, row,
                                     get(b, b->z, row, k), plain->states[at[i]][row][k]);
                    assert_int_equal(b->worker->steps[row], at[i]);
                }
                assert_int_equal(b->worker->forward.unconverged, 0); /* it was not asked to converge */
            }
            bench_free(plain), bench_free(b);
        }
}

/* The mean is over the states that each example makes; named states are made before an example may stop. */
static void means_of_states(void **state) {
    (void)state;
    for (int bits = 32; bits <= 64; bits += 32)
        for (int s = 0; s < SOLVERS; s++) {
            Bench *plain = bench_new(bits, CELL_TANH), *b = bench_new(bits, CELL_TANH);
            double w[MOST + 1];
            solve(plain, with(s, 1e-2, STEPS), NULL, 0, ROWS, false);
            solve(b, with(s, 1e-2, STEPS), "mean(states)", 0, ROWS, false);
            int fewest = STEPS, most = 0;
            for (int row = 0; row < ROWS; row++) {
                assert_int_equal(b->made[row], plain->made[row]);
                if (plain->made[row] < fewest) fewest = plain->made[row];
                if (plain->made[row] > most) most = plain->made[row];
                for (int k = 0; k < D; k++) {
                    double sum = 0;
                    for (int n = 1; n <= plain->made[row]; n++) sum += plain->states[n][row][k];
                    double mean = sum / plain->made[row], found = get(b, b->z, row, k);
                    if (!(fabs(found - mean) <= (bits == 32 ? 2e-6 : 1e-14)))
                        fail_msg("%s row %d: %.17g, expected %.17g", solvers[s], row, found, mean);
                }
            }
            assert_true(fewest < most); /* the rows do stop at different steps */

            solve(plain, with(s, 0, STEPS), NULL, 0, ROWS, false);
            for (int n = 1; n <= STEPS; n++) w[n] = (n >= 2 && n < 6) / 4.0;
            solve(b, with(s, 1e-2, STEPS), "mean(states[2..6])", 0, ROWS, false);
            expect_sum(b, plain, w, STEPS, solvers[s]);
            for (int n = 1; n <= STEPS; n++) w[n] = -0.5 * (n == 1) + 1.5 * (n == 8);
            solve(b, with(s, 1e-2, STEPS), "-0.5 * states[1] + 1.5 * states[8]", 0, ROWS, false);
            expect_sum(b, plain, w, STEPS, solvers[s]);
            for (int n = 1; n <= STEPS; n++) w[n] = 0.5 / STEPS + 0.5 * (n == 3);
            solve(b, with(s, 0, STEPS), "0.5 * mean(states) + 0.5 * states[3]", 0, ROWS, false);
            expect_sum(b, plain, w, STEPS, solvers[s]);

            /* With both, the steps named are made whatever the tolerance, and the mean stops with the example. */
            solve(b, with(s, 0.9, STEPS), "0.5 * mean(states) + 0.5 * states[4]", 0, ROWS, false);
            for (int row = 0; row < ROWS; row++) assert_true(b->made[row] >= 4 && b->made[row] < STEPS);
            bench_free(plain), bench_free(b);
        }
}

/* `final` is what the solve gives without a defence, to the bit, also where named states make it go on. */
static void final_is_the_value(void **state) {
    (void)state;
    static const char *const finishes[] = {"none", "apply()", "apply(steps: 2, damping: 0.5)",
                                           "apply(steps: 2, damping: 0.5, always: true)"};
    static const double tolerances[] = {0, 1e-2, 0.3};
    for (int bits = 32; bits <= 64; bits += 32)
        for (int s = 0; s < SOLVERS; s++)
            for (int k = 0; k < 4 * 3; k++) {
                Bench *plain = bench_new(bits, CELL_TANH), *states = bench_new(bits, CELL_TANH),
                      *b = bench_new(bits, CELL_TANH);
                char value[ROWS * 128] = {0};
                const double tol = tolerances[k % 3], tiny = bits == 32 ? 4e-6 : 1e-14;
                const size_t bytes = (size_t)(ROWS * b->stride);
                solve(states, with(s, 0, STEPS), NULL, 0, ROWS, false);
                finish = finishes[k / 3];
                solve(plain, with(s, tol, 12), NULL, 0, ROWS, false);
                assert_true(bytes <= sizeof value);
                memcpy(value, plain->z, bytes);
                const int64_t unconverged = plain->worker->forward.unconverged;
                solve(b, with(s, tol, 12), "final + 0 * states[9]", 0, ROWS, false);
                if (memcmp(b->z, value, bytes)) fail_msg("%s, tol %g, %s: another value", solvers[s], tol, finish);
                assert_int_equal(b->worker->forward.unconverged, unconverged);
                for (int row = 0; row < ROWS; row++) assert_true(b->made[row] >= 9);
                solve(b, with(s, tol, 12), "0.25 * final + 0.5 * states[9] + 0.25 * mean(states)", 0, ROWS, false);
                for (int row = 0; row < ROWS; row++)
                    for (int i = 0; i < D; i++) {
                        double sum = 0, scale = 1;
                        for (int n = 1; n <= b->made[row]; n++) sum += states->states[n][row][i] / b->made[row];
                        for (int n = 1; n <= b->made[row]; n++) scale = fmax(scale, fabs(states->states[n][row][i]));
                        sum = 0.25 * sum + 0.5 * states->states[9][row][i] + 0.25 * get(b, value, row, i);
                        if (!(fabs(get(b, b->z, row, i) - sum) <= tiny * scale))
                            fail_msg("%s, tol %g, %s, row %d: %.17g, expected %.17g", solvers[s], tol, finish, row,
                                     get(b, b->z, row, i), sum);
                    }
                finish = "none";
                bench_free(plain), bench_free(states), bench_free(b);
            }
}

/* Through a chain the value is the last solver's, while the states are the first one's. */
static void final_of_a_chain(void **state) {
    (void)state;
    static const char *const chain = "picard(tol: 1e-6, max: 3) else anderson(tol: 1e-6, max: 30)";
    Bench *plain = bench_new(64, CELL_TANH), *b = bench_new(64, CELL_TANH), *first = bench_new(64, CELL_TANH);
    solve(plain, chain, NULL, 0, ROWS, false);
    solve(first, "picard(tol: 0, max: 3)", NULL, 0, ROWS, false);
    solve(b, chain, "final + 0 * states[2]", 0, ROWS, false);
    assert_memory_equal(b->z, plain->z, (size_t)(ROWS * b->stride));
    solve(b, chain, "0.5 * final + 0.5 * states[2]", 0, ROWS, false);
    for (int row = 0; row < ROWS; row++)
        for (int k = 0; k < D; k++)
            assert_close("chain", get(b, b->z, row, k),
                         0.5 * get(b, plain->z, row, k) + 0.5 * first->states[2][row][k]);
    bench_free(plain), bench_free(b), bench_free(first);
}

/* States after the last one count as the last one. */
static void ended_examples_clamp(void **state) {
    (void)state;
    for (int s = 0; s < SOLVERS; s++) {
        Bench *plain = bench_new(64, CELL_TANH), *b = bench_new(64, CELL_TANH);
        double w[MOST + 1];
        solve(plain, with(s, 0, 4), NULL, 0, ROWS, false);
        for (int n = 1; n <= 9; n++) w[n] = (n >= 3 && n < 8) / 5.0 + (n == 9);
        solve(b, with(s, 1e-2, 4), "mean(states[3..8]) + states[9]", 0, ROWS, false);
        for (int row = 0; row < ROWS; row++) assert_int_equal(b->made[row], 4);
        expect_sum(b, plain, w, 9, solvers[s]);
        bench_free(plain), bench_free(b);
    }
}

/* A solve that diverges leaves its best state in the place of the states it did not reach, and others alone. */
static void divergence_stays_finite(void **state) {
    (void)state;
    for (int s = 0; s < SOLVERS; s++) {
        Bench *plain = bench_new(64, CELL_NAN), *b = bench_new(64, CELL_NAN);
        for (int row = 0; row < ROWS; row++)
            for (int k = 0; k < D; k++) put(b, b->rest, row, k, row == 2 ? -1 : 1 + row);
        memcpy(plain->rest, b->rest, (size_t)(ROWS * b->stride));
        solve(plain, with(s, 0, 6), NULL, 0, ROWS, false);
        solve(b, with(s, 0, 6), "states[6]", 0, ROWS, false);
        assert_int_equal(b->worker->forward.diverged, 1);
        for (int row = 0; row < ROWS; row++)
            for (int k = 0; k < D; k++) {
                double found = get(b, b->z, row, k);
                assert_true(isfinite(found));
                assert_true(found == (row == 2 ? get(plain, plain->z, row, k) : plain->states[6][row][k]));
            }
        solve(b, with(s, 0, 6), "mean(states)", 0, ROWS, false);
        for (int k = 0; k < D; k++) assert_true(isfinite(get(b, b->z, 2, k)));
        bench_free(plain), bench_free(b);
    }
}

/* A row alone, and a solve for a gradient, know nothing of the others and of the defence. */
static void alone_and_with_gradient(void **state) {
    (void)state;
    for (int s = 0; s < SOLVERS; s++) {
        Bench *plain = bench_new(32, CELL_TANH), *b = bench_new(32, CELL_TANH);
        size_t bytes = (size_t)(ROWS * b->stride);
        solve(plain, with(s, 1e-3, STEPS), "mean(states) + states[5]", 0, ROWS, false);
        for (int row = 0; row < ROWS; row++) solve(b, with(s, 1e-3, STEPS), "mean(states) + states[5]", row, 1, false);
        assert_memory_equal(b->z, plain->z, bytes);
        solve(plain, with(s, 1e-3, STEPS), NULL, 0, ROWS, true);
        solve(b, with(s, 1e-3, STEPS), "mean(states) + states[5]", 0, ROWS, true);
        assert_memory_equal(b->z, plain->z, bytes);
        bench_free(plain), bench_free(b);
    }
}

/* A gradient of what the defence reads goes on with just what a prediction reads, in every mode that keeps states. */
static void known_to_the_attack(void **state) {
    (void)state;
    static const char *const modes[] = {"jfb", "phantom.unroll(steps: 2)", "implicit(gmres)", "backprop",
                                        "backprop(checkpoint: 3)"};
    static const char *const defences[] = {"states[3]", "mean(states)", "0.5 * final + 0.5 * mean(states[2..5])"};
    static const char *const finishes[] = {"none", "apply(steps: 2, damping: 0.5)"};
    for (int s = 0; s < SOLVERS; s++)
        for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
            for (size_t d = 0; d < sizeof defences / sizeof *defences; d++)
                for (size_t f = 0; f < sizeof finishes / sizeof *finishes; f++) {
                    if (strstr(modes[m], "backprop") && strncmp(solvers[s], "picard", 6)) continue;
                    Bench *plain = bench_new(32, CELL_TANH), *b = bench_new(32, CELL_TANH);
                    mode = modes[m], finish = finishes[f];
                    solve(plain, with(s, 1e-3, STEPS), defences[d], 0, ROWS, false);
                    knows = true;
                    solve(b, with(s, 1e-3, STEPS), defences[d], 0, ROWS, true);
                    knows = false, mode = "jfb", finish = "none";
                    for (int64_t k = 0; k < ROWS * b->stride / (int64_t)sizeof(float); k++) {
                        const double x = ((const float *)plain->z)[k], y = ((const float *)b->z)[k];
                        if (!(fabs(x - y) <= 1e-5 * fmax(1, fabs(x))))
                            fail_msg("%s, %s, %s: %g instead of %g", solvers[s], modes[m], defences[d], y, x);
                    }
                    bench_free(plain), bench_free(b);
                }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_of_bodies),
        cmocka_unit_test(texts),
        cmocka_unit_test(known_states),
        cmocka_unit_test(early_state_is_the_state),
        cmocka_unit_test(means_of_states),
        cmocka_unit_test(final_is_the_value),
        cmocka_unit_test(final_of_a_chain),
        cmocka_unit_test(ended_examples_clamp),
        cmocka_unit_test(divergence_stays_finite),
        cmocka_unit_test(alone_and_with_gradient),
        cmocka_unit_test(known_to_the_attack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
