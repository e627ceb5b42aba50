/* test_chains.c - chains of solvers: what the first leaves unsolved goes on with the next, example by example. */
#include "cell_bench.h"

static deq_solve_record records[2][BLOCK];

static void solve_recorded(bench *b, const char *forward, const char *gradient, bool want) {
    bench_set(b, forward, gradient);
    bench_plan(b);
    memset(records, 0, sizeof records);
    b->worker->request.records[0] = records[0];
    b->worker->request.records[1] = records[1];
    bench_solve_rows(b, 0, b->n, want);
}

static void test_only_the_unsolved_go_on(void **state) {
    (void)state;
    static const char *const solvers[] = {
        "picard(tol: 1e-3, max: %d)", "anderson(tol: 1e-4, max: %d)", "anderson(least_squares: qr, tol: 1e-4, max: %d)",
        "broyden(memory: 2, tol: 1e-4, max: %d)", "newton_krylov(tol: 1e-4, max: %d)"};
    for (int bits = 32; bits <= 64; bits += 32)
        for (size_t s = 0; s < sizeof solvers / sizeof *solvers; s++) {
            bench b = bench_new(bits, CELL_TANH, 20, 13, 1.1), alone = bench_new(bits, CELL_TANH, 20, 13, 1.1);
            deq_solve_record before[BLOCK];
            char text[160], first[96];
            for (int max = 1; max < 30; max++) { /* which some examples reach, and some do not */
                snprintf(first, sizeof first, solvers[s], max);
                solve_recorded(&alone, first, "jfb", false);
                if (alone.worker->forward.unconverged < 7) break;
            }
            memcpy(before, records[0], sizeof before);
            snprintf(text, sizeof text, "%s else broyden(tol: 1e-5, max: 60)", first);
            solve_recorded(&b, text, "jfb", false);
            assert_int_equal(b.worker->forward.unconverged, 0);
            int64_t later = 0;
            for (int row = 0; row < 13; row++) {
                const deq_solve_record *now = &records[0][row];
                assert_true(now->solver == before[row].failed && !now->failed);
                later += before[row].failed;
                if (before[row].failed) {
                    assert_true(now->steps > before[row].steps && now->residual <= 1e-5f);
                    continue;
                }
                assert_true(now->steps == before[row].steps && now->residual == before[row].residual);
                for (int k = 0; k < 20; k++) assert_true(get(&b, b.z, row, k) == get(&alone, alone.z, row, k));
            }
            if (later == 0 || later == 13) fail_msg("%d bits, %s: %d", bits, first, (int)later);
            assert_int_equal(b.worker->forward.later, later);
            bench_set(&alone, text, "jfb"); /* the same bits in any company */
            bench_plan(&alone);
            for (int row = 0; row < 13; row++) bench_solve_rows(&alone, row, 1, false);
            assert_memory_equal(b.z, alone.z, (size_t)(13 * b.stride));
            bench_free(&b), bench_free(&alone);
        }
}

/* States count on: the second solver's first state follows the last of the first. */
static void test_states_count_on(void **state) {
    (void)state;
    for (int32_t row = 0; row < 7; row++) {
        bench b = bench_new(64, CELL_TANH, 20, 7, 1.1), c = bench_new(64, CELL_TANH, 20, 7, 1.1);
        static recording r, first;
        r = (recording){.b = &b, .row = row};
        first = (recording){.b = &c, .row = row};
        bench_set(&b, "picard(tol: 1e-4, max: 9) else anderson(tol: 1e-9, max: 40)", "jfb");
        bench_plan(&b);
        b.worker->request.stream = listen_to; /* which asserts that no number is left out */
        b.worker->request.stream_context = &r;
        bench_solve_rows(&b, 0, b.n, false);
        bench_set(&c, "picard(tol: 1e-4, max: 9)", "jfb");
        bench_plan(&c);
        c.worker->request.stream = listen_to;
        c.worker->request.stream_context = &first;
        bench_solve_rows(&c, 0, c.n, false);
        assert_true(r.count == (int)b.worker->steps[row]);
        assert_true(r.count >= first.count);
        for (int n = 0; n < first.count; n++) assert_memory_equal(r.z[n], first.z[n], sizeof r.z[n]);
        if (r.count > first.count) { /* Anderson's first state is f of where Picard's iteration ended */
            double f[CELL_MOST], z[CELL_MOST] = {0};
            for (int k = 0; k < 20; k++) z[k] = get(&c, c.z, row, k);
            cell_apply(&b, row, z, f);
            for (int k = 0; k < 20; k++) assert_true(fabs(r.z[first.count][k] - f[k]) < 1e-15);
        }
        bench_free(&b), bench_free(&c);
    }
}

static void test_divergence_is_caught(void **state) {
    (void)state;
    for (int bits = 32; bits <= 64; bits += 32) {
        bench b = bench_new(bits, CELL_LINEAR, 6, 4, 3.0); /* not a contraction */
        solve_recorded(&b, "picard(max: 200) else picard(damping: 2) else newton_krylov(tol: 1e-5)", "jfb", false);
        assert_int_equal(b.worker->forward.unconverged, 0);
        for (int row = 0; row < 4; row++) assert_true(records[0][row].solver == 2 && residual_of(&b, row) < 2e-5);
        bench_free(&b);
        b = bench_new(bits, CELL_NAN, 3, 4, 0); /* nobody solves it: a named end, and nothing that is not finite */
        for (int i = 0; i < 12; i++) put(&b, b.rest, i / 3, i % 3, i / 3 == 1 ? -1 : 1);
        solve_recorded(&b, "picard() else anderson() else newton_krylov()", "jfb", false);
        assert_int_equal(b.worker->forward.unconverged, 1);
        assert_true(records[0][1].failed && records[0][1].reason == DEQ_REASON_diverged);
        for (int i = 0; i < 12; i++) assert_true(isfinite(get(&b, b.z, i / 3, i % 3)));
        bench_free(&b);
    }
}

/* Where all fail the best state of them all is returned. */
static void test_the_best_of_all_is_returned(void **state) {
    (void)state;
    bench b = bench_new(64, CELL_LINEAR, 12, 5, 3), c = bench_new(64, CELL_LINEAR, 12, 5, 3);
    solve_recorded(&c, "newton_krylov(tol: 1e-13, max: 2, krylov: 6)", "jfb", false);
    deq_solve_record alone[BLOCK];
    memcpy(alone, records[0], sizeof alone);
    solve_recorded(&b, "newton_krylov(tol: 1e-13, max: 2, krylov: 6) else picard(tol: 1e-13, max: 3)", "jfb", false);
    assert_int_equal(b.worker->forward.unconverged, 5);
    int kept = 0;
    for (int row = 0; row < 5; row++) {
        assert_true(records[0][row].residual <= alone[row].residual);
        kept += records[0][row].solver == 0;
        assert_true(records[0][row].steps == 5);
    }
    assert_true(kept > 0);
    bench_free(&b), bench_free(&c);
}

/* (I - J')^-1 u by chains: tape records follow the examples that go on. */
static void test_adjoint_chains(void **state) {
    (void)state;
    static const char *const chains[] = {
        "implicit(picard(tol: 1e-9, max: 5) else gmres(tol: 1e-12, max: 40))",
        "implicit(gmres(tol: 1e-9, max: 3) else bicgstab(tol: 1e-9, max: 3) else lu(tol: 1e-9))",
        "implicit(neumann(tol: 1e-4, max: 5) else broyden(tol: 1e-12, max: 60))",
        "implicit(anderson(tol: 1e-4, max: 4) else picard(tol: 1e-12, max: 300))"};
    for (size_t s = 0; s < 4; s++) {
        bench b = bench_new(64, CELL_TANH, 16, 9, 0.9), c = bench_new(64, CELL_TANH, 16, 9, 0.9);
        solve_recorded(&b, "broyden(tol: 1e-13, max: 100)", chains[s], true);
        bench_gradient_rows(&b, 0, 9);
        assert_int_equal(b.worker->adjoint.unconverged, 0);
        if (b.worker->adjoint.later == 0) fail_msg("%s", chains[s]);
        solve_recorded(&c, "broyden(tol: 1e-13, max: 100)", "implicit(lu)", true);
        bench_gradient_rows(&c, 0, 9);
        for (int i = 0; i < 9 * 16; i++)
            assert_true(fabs(get(&b, b.drest, i / 16, i % 16) - get(&c, c.drest, i / 16, i % 16)) < 2e-3);
        bench_free(&b), bench_free(&c);
    }
    bench b = bench_new(32, CELL_TANH, 16, 9, 0.9), c = bench_new(32, CELL_TANH, 16, 9, 0.9);
    solve_recorded(&b, "broyden(tol: 1e-6, max: 100)", chains[2], true);
    bench_gradient_rows(&b, 0, 9);
    bench_set(&c, "broyden(tol: 1e-6, max: 100)", chains[2]);
    bench_plan(&c);
    for (int i = 0; i < 9; i++) bench_solve_rows(&c, i, 1, true), bench_gradient_rows(&c, i, 1);
    assert_memory_equal(b.drest, c.drest, (size_t)(9 * b.stride));
    bench_free(&b), bench_free(&c);
}

static void test_texts(void **state) {
    (void)state;
    deq_error e = {0};
    deq_solver s, again;
    char out[DEQ_SETTING_TEXT], twice[DEQ_SETTING_TEXT];
    assert_true(deq_solver_parse("anderson(tol: 1e-3)else broyden else picard( damping: 0.5 )", false, &s, &e));
    assert_int_equal(s.links, 2);
    assert_true(s.kind == DEQ_SOLVER_anderson && s.tol == 1e-3);
    assert_true(deq_solver_link(&s, 1).kind == DEQ_SOLVER_broyden && deq_solver_link(&s, 2).damping == 0.5);
    deq_solver_print(&s, out, sizeof out);
    assert_true(deq_solver_parse(out, false, &again, &e));
    deq_solver_print(&again, twice, sizeof twice);
    assert_string_equal(out, twice);
    static const char *const bad[] = {
        "anderson() else",         "else broyden()",
        "anderson() else gmres()", "anderson() else picard(memory: 2)",
        "anderson() broyden()",    "picard else picard else picard else picard else picard"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        deq_error f = {0};
        if (deq_solver_parse(bad[i], false, &s, &f)) fail_msg("`%s` was accepted", bad[i]);
        assert_int_equal(f.failure, DEQ_SETTING);
    }
    deq_fixed_settings f = {0};
    assert_true(deq_fixed_set(&f, "forward", "anderson() else broyden()", &e));
    assert_true(deq_fixed_set(&f, "forward.tol", "1e-7", &e)); /* of both */
    assert_true(f.forward.tol == 1e-7 && deq_solver_link(&f.forward, 1).tol == 1e-7);
    assert_true(deq_fixed_set(&f, "forward.step", "0.5", &e)); /* of the one that has it */
    assert_true(deq_solver_link(&f.forward, 1).step == 0.5);
    assert_false(deq_fixed_set(&f, "forward.krylov", "5", &e));
    bench b = bench_new(64, CELL_TANH, 4, 1, 0.9); /* modes that need one solver's state */
    static const char *const modes[] = {"shine()", "simultaneous(states: 1..3)", "backprop()"};
    for (int i = 0; i < 3; i++) {
        deq_error g = {0};
        assert_true(deq_fixed_set(&f, "gradient", modes[i], &g));
        assert_false(deq_fixed_check(&f, b.fixed, &g));
        assert_non_null(strstr(g.text, "chain"));
    }
    bench_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_unsolved_go_on), cmocka_unit_test(test_states_count_on),
        cmocka_unit_test(test_divergence_is_caught),    cmocka_unit_test(test_the_best_of_all_is_returned),
        cmocka_unit_test(test_adjoint_chains),          cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
