/* test_parallel.c - every task runs once, whatever the threads; the pool is reused and freed; teams meet. */
#include "parallel.h"
#include "team.h"
#include <stdatomic.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define TASKS 1000

typedef struct tally {
    atomic_int runs[TASKS];
    atomic_int wrong_worker;
    int threads;
} tally;

static void count_task(void *context, int worker, int64_t task) {
    tally *t = context;
    atomic_fetch_add(&t->runs[task], 1);
    if (worker < 0 || worker >= t->threads) atomic_fetch_add(&t->wrong_worker, 1);
}

static void test_every_task_once(void **state) {
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        static tally t;
        deq_pool *pool = deq_pool_new(threads);
        assert_non_null(pool);
        t = (tally){.threads = deq_pool_threads(pool)};
        assert_int_equal(t.threads, threads);
        for (int round = 1; round <= 200; round++) {
            int64_t count = round % 7 == 0 ? 0 : round % 5 == 0 ? 1 : TASKS;
            for (int i = 0; i < TASKS; i++) atomic_store(&t.runs[i], 0);
            deq_pool_run(pool, count, count_task, &t);
            for (int i = 0; i < TASKS; i++) assert_int_equal(atomic_load(&t.runs[i]), i < count);
        }
        assert_int_equal(atomic_load(&t.wrong_worker), 0);
        deq_pool_free(pool);
    }
}

#define MOST_MEMBERS 8
#define VALUES 37

typedef struct meeting {
    deq_team *team;
    float f[MOST_MEMBERS][VALUES];
    double d[MOST_MEMBERS][VALUES];
    atomic_int running, most, runs[MOST_MEMBERS];
} meeting;

static float value_of(int member, int k) {
    return 1 / (1 + (float)member * 0.37f + (float)k * (float)(1 + member % 3));
}

/* Sums twice: what the first gave goes into the second. */
static void meet(void *context, int worker, int64_t member) {
    meeting *m = context;
    const int now = atomic_fetch_add(&m->running, 1) + 1;
    int most = atomic_load(&m->most);
    while (now > most && !atomic_compare_exchange_weak(&m->most, &most, now)) {}
    atomic_fetch_add(&m->runs[member], worker == member);
    for (int k = 0; k < VALUES; k++) m->d[member][k] = (double)(m->f[member][k] = value_of((int)member, k));
    atomic_fetch_sub(&m->running, 1);
    deq_team_sum(m->team, (int)member, m->f[member], VALUES, 32);
    for (int k = 0; k < VALUES; k++) m->d[member][k] += (double)m->f[member][k];
    deq_team_sum(m->team, (int)member, m->d[member], VALUES, 64);
}

static void test_a_team_sums_in_the_order_of_its_members(void **state) {
    (void)state;
    for (int members = 1; members <= MOST_MEMBERS; members += members < 3 ? 1 : 5)
        for (int threads = 1; threads <= 4; threads++) {
            static meeting m;
            deq_team *team = deq_team_new(members, threads);
            assert_non_null(team);
            assert_int_equal(deq_team_members(team), members);
            m = (meeting){.team = team};
            for (int round = 1; round <= 20; round++) {
                deq_team_run(team, meet, &m);
                for (int k = 0; k < VALUES; k++) {
                    float f = value_of(0, k);
                    for (int i = 1; i < members; i++) f += value_of(i, k);
                    double d = (double)value_of(0, k) + (double)f;
                    for (int i = 1; i < members; i++) d += (double)value_of(i, k) + (double)f;
                    for (int i = 0; i < members; i++) assert_true(m.f[i][k] == f && m.d[i][k] == d);
                }
                for (int i = 0; i < members; i++) assert_int_equal(atomic_load(&m.runs[i]), round);
            }
            assert_true(atomic_load(&m.most) <= threads);
            deq_team_free(team);
        }
}

/* ---- partners ---- */
typedef struct visit { /* a request */
    int member, together;
} visit;

typedef struct joining {
    deq_team *team;
    int turns[MOST_MEMBERS];
    bool meets; /* members sum between turns */
    atomic_int alone, joined, wrong, served[MOST_MEMBERS];
} joining;

static void serve(void *context, void *const *requests, int n) {
    joining *j = context;
    atomic_fetch_add(n == 2 ? &j->joined : &j->alone, 1);
    for (int i = 0; i < n; i++) {
        visit *v = requests[i];
        v->together = n;
        atomic_fetch_add(&j->served[v->member], 1);
        atomic_fetch_add(&j->wrong, n == 2 && (v->member & 1) != i);
    }
}

static void bring(void *context, int worker, int64_t member) {
    (void)worker;
    joining *j = context;
    for (int turn = 0; turn < j->turns[member]; turn++) {
        visit v = {(int)member, 0};
        deq_team_bring(j->team, (int)member, &v, serve, j);
        atomic_fetch_add(&j->wrong, v.together == 0); /* nobody has seen to it */
        double one = 1;
        if (j->meets && turn % 3 == 2 && turn < 9) deq_team_sum(j->team, (int)member, &one, 1, 64);
    }
}

/* Every request is served once; with one thread those of partners come together, as far as both have any. */
static void test_partners(void **state) {
    (void)state;
    for (int members = 1; members <= MOST_MEMBERS; members++)
        for (int threads = 1; threads <= 3; threads++)
            for (int k = 0; k < 4; k++) {
                static joining j;
                deq_team *team = deq_team_new(members, threads);
                assert_non_null(team);
                assert_int_equal(deq_team_pairs(team, members), members >= 2 * (threads < members ? threads : members));
                j = (joining){.team = team, .meets = k % 2};
                int all = 0, pairs = 0;
                for (int m = 0; m < members; m++) all += j.turns[m] = k < 2 ? 12 : 9 + m % 2 * 20;
                for (int m = 0; m + 1 < members; m += 2) pairs += j.turns[m];
                for (int round = 1; round <= 5; round++) {
                    deq_team_run(team, bring, &j);
                    for (int m = 0; m < members; m++) assert_int_equal(atomic_load(&j.served[m]), round * j.turns[m]);
                    const int joined = atomic_load(&j.joined), alone = atomic_load(&j.alone);
                    assert_int_equal(2 * joined + alone, round * all);
                    assert_int_equal(atomic_load(&j.wrong), 0);
                    if (threads == 1 && !j.meets) assert_int_equal(joined, round * pairs);
                    if (threads == 1 && members > 1) assert_true(joined > 0);
                }
                deq_team_free(team);
            }
}

static bool never(void *const *requests) {
    (void)requests;
    return false;
}

/* Member 1 lets the other go on until all its requests have been served. */
static void pass_by(void *context, int worker, int64_t member) {
    (void)worker;
    joining *j = context;
    visit v = {(int)member, 0};
    void *both[2];
    if (member == 1) {
        deq_team_pass(j->team, 1);
        while (atomic_load(&j->served[0]) < j->turns[0]) sched_yield();
        return;
    }
    for (int turn = 0; turn < j->turns[0]; turn++)
        if (turn % 2)
            deq_team_bring(j->team, 0, &v, serve, j);
        else if (!deq_team_face(j->team, 0, &v, never, both))
            serve(j, (void *[]){&v}, 1);
}

static void test_nobody_waits_for_who_has_passed(void **state) {
    (void)state;
    static joining j;
    deq_team *team = deq_team_new(2, 2);
    assert_non_null(team);
    for (int round = 0; round < 20; round++) {
        j = (joining){.team = team, .turns = {6}};
        deq_team_run(team, pass_by, &j);
        assert_int_equal(atomic_load(&j.alone), 6);
        assert_int_equal(atomic_load(&j.joined), 0);
    }
    deq_team_free(team);
}

static void test_default_is_the_number_of_cores(void **state) {
    (void)state;
    deq_pool *pool = deq_pool_new(0);
    assert_true(deq_pool_threads(pool) >= 1);
    deq_pool_free(pool);
    deq_pool_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_task_once), cmocka_unit_test(test_a_team_sums_in_the_order_of_its_members),
        cmocka_unit_test(test_partners), cmocka_unit_test(test_nobody_waits_for_who_has_passed),
        cmocka_unit_test(test_default_is_the_number_of_cores)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
