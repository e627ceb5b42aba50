/* profile.c - timers of compiled code, and their report.
 *
 * Code compiled for `deq profile` calls deq_profile_enter and deq_profile_leave around every group of operations and
 * around every solve.  Each thread keeps the pieces that are open, so that a solve's own time is what the routines it
 * calls did not take.  A pair of calls takes some tens of nanoseconds, which are measured and taken off. */
#include "profile.h"
#include "deq_runtime.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEEPEST 64 /* pieces within pieces: an attack queries a routine that solves; more are counted, not timed */
#define PAIRS 4096 /* of calls, to see what one takes */
#define SHOWN 16   /* rows of a table */

typedef struct Open {
    int64_t start, inside; /* inside: of pieces that began and ended in this one */
} Open;

static _Thread_local Open open_pieces[DEEPEST];
static _Thread_local int depth;
static _Atomic(deq_profile_site *) ran;
static int64_t pair_cost; /* nanoseconds that a pair adds to the piece around it */
static pthread_once_t calibrated = PTHREAD_ONCE_INIT;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void add(int64_t *to, int64_t value) { __atomic_fetch_add(to, value, __ATOMIC_RELAXED); }

static void leave(deq_profile_site *site, bool listed) {
    if (--depth >= DEEPEST) return;
    const Open *mine = &open_pieces[depth];
    int64_t elapsed = now() - mine->start, own = elapsed - mine->inside;
    if (__atomic_fetch_add(&site->calls, 1, __ATOMIC_RELAXED) == 0 && listed) {
        deq_profile_site *first = atomic_load(&ran);
        do site->next = first;
        while (!atomic_compare_exchange_weak(&ran, &first, site));
    }
    add(&site->nanoseconds, elapsed);
    add(&site->own, own > 0 ? own : 0);
    if (depth > 0 && depth <= DEEPEST) open_pieces[depth - 1].inside += elapsed + pair_cost;
}

static void enter(void) {
    if (depth < DEEPEST) open_pieces[depth] = (Open){now(), 0};
    depth++;
}

/* What a pair adds to the time of the piece around it, beyond the time that it measures itself. */
static void calibrate(void) {
    deq_profile_site outer = {0}, inner = {0};
    for (int round = 0; round < 2; round++) { /* the first one warms up */
        outer = inner = (deq_profile_site){0};
        enter();
        for (int i = 0; i < PAIRS; i++) {
            enter();
            leave(&inner, false);
        }
        leave(&outer, false);
    }
    pair_cost = outer.own / PAIRS;
}

void deq_profile_enter(void *site) {
    (void)site;
    if (depth == 0) pthread_once(&calibrated, calibrate);
    enter();
}

void deq_profile_leave(void *site) { leave(site, true); }

/* ---- the report ---- */

typedef struct Line { /* of a table: sites that share a key */
    const char *a, *b;
    int64_t line, calls, own, whole;
} Line;

static bool equal(const char *a, const char *b) { return a == b || (a && b && !strcmp(a, b)); }

static void collect(Line *table, int *n, const Line *one) {
    int k = 0;
    while (k < *n && !(equal(table[k].a, one->a) && equal(table[k].b, one->b) && table[k].line == one->line)) k++;
    if (k == *n) table[(*n)++] = (Line){one->a, one->b, one->line, 0, 0, 0};
    table[k].calls += one->calls;
    table[k].own += one->own;
    table[k].whole += one->whole;
}

static int by_own(const void *a, const void *b) {
    const Line *x = a, *y = b;
    return (y->own > x->own) - (y->own < x->own);
}

static int by_whole(const void *a, const void *b) {
    const Line *x = a, *y = b;
    return (y->whole > x->whole) - (y->whole < x->whole);
}

/* The words of a line of text, one space apart, cut to what a terminal shows. */
static void line_text(const char *text, int64_t line, char *out, size_t size) {
    size_t n = 0;
    while (text && line > 1) {
        text = strchr(text, '\n');
        if (text) text++;
        line--;
    }
    for (const char *c = text ? text : ""; *c && *c != '\n' && n + 1 < size; c++)
        if (*c != ' ' || (n && out[n - 1] != ' ')) out[n++] = *c;
    out[n] = 0;
}

static bool is_solve(const char *operations) {
    static const char *const words[] = {"solve ", "linear solve ", "gradient "};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strncmp(operations, words[i], strlen(words[i]))) return true;
    return false;
}

static void print_table(deq_reporter *r, const char *title, Line *table, int n, double total, const char *main,
                        const char *text) {
    deq_report(r, "\n%s", title);
    qsort(table, (size_t)n, sizeof *table, by_own);
    for (int k = 0; k < n && k < SHOWN; k++) {
        const Line *t = &table[k];
        char place[160] = "", words[72] = "";
        if (t->line) snprintf(place, sizeof place, "%s:%lld", t->b ? t->b : "", (long long)t->line);
        if (t->line && equal(t->b, main)) line_text(text, t->line, words, sizeof words);
        deq_report(r, "%6.1f%% %10.4f s %10lld x %10.2f us  %s%s%s  %s", 100 * (double)t->own / total,
                   1e-9 * (double)t->own, (long long)t->calls, 1e-3 * (double)t->own / (double)t->calls,
                   t->a ? t->a : "", t->a && *place ? "  " : "", place, words);
    }
}

static void print_solves(deq_reporter *r, Line *table, int n, double total) {
    if (n) deq_report(r, "\nby fixed point: in all, of that in the routines of the model, in the solver itself");
    qsort(table, (size_t)n, sizeof *table, by_whole);
    for (int k = 0; k < n && k < SHOWN; k++) {
        const Line *t = &table[k];
        deq_report(r, "%6.1f%% %10.4f s  routines %10.4f s  solver %10.4f s (%.0f%%) %8lld x  %s",
                   100 * (double)t->whole / total, 1e-9 * (double)t->whole, 1e-9 * (double)(t->whole - t->own),
                   1e-9 * (double)t->own, 100 * (double)t->own / (double)t->whole, (long long)t->calls, t->a);
    }
}

static void report_site(deq_reporter *r, const deq_profile_site *s) {
    json_t *members =
        json_pack("{s:s, s:s, s:I, s:f, s:f}", "routine", s->routine, "operations", s->operations, "calls",
                  (json_int_t)s->calls, "seconds", 1e-9 * (double)s->nanoseconds, "own", 1e-9 * (double)s->own);
    if (s->file) {
        json_object_set_new(members, "file", json_string(s->file));
        json_object_set_new(members, "line", json_integer(s->line));
    }
    deq_report_event(r, "profile", members);
}

void deq_profile_report(deq_reporter *r, const char *main, const char *text) {
    int count = 0;
    double total = 0, calls = 0;
    for (const deq_profile_site *s = atomic_load(&ran); s; s = s->next) {
        count++;
        total += (double)s->own;
        calls += (double)s->calls;
        report_site(r, s);
    }
    Line *tables = calloc(4 * (size_t)count + 4, sizeof *tables);
    if (!count || !tables || total <= 0) {
        deq_report(r, "profile: no compiled code ran");
        free(tables);
        return;
    }
    Line *solves = tables, *routines = solves + count, *operations = routines + count, *lines = operations + count;
    int n[4] = {0};
    for (const deq_profile_site *s = atomic_load(&ran); s; s = s->next) {
        Line one = {s->operations, NULL, 0, s->calls, s->own, s->nanoseconds};
        if (is_solve(s->operations)) collect(solves, &n[0], &one);
        if (!is_solve(s->operations)) one.a = s->routine; /* the solver's own time is no routine's */
        collect(routines, &n[1], &one);
        one = (Line){s->operations, s->file, s->line, s->calls, s->own, s->nanoseconds};
        collect(operations, &n[2], &one);
        one.a = NULL;
        if (s->line) collect(lines, &n[3], &one);
    }
    deq_report(r,
               "\nprofile: %.3f s of all threads in compiled code and solvers; the timers took %.1f%% more, taken off",
               1e-9 * total, 100 * calls * (double)pair_cost / total);
    print_solves(r, solves, n[0], total);
    print_table(r, "by routine: own time, pieces timed, each", routines, n[1], total, main, text);
    print_table(r, "by operation", operations, n[2], total, main, text);
    print_table(r, "by line", lines, n[3], total, main, text);
    deq_report_event(r, "profiled",
                     json_pack("{s:f, s:f, s:I}", "seconds", 1e-9 * total, "timers", 1e-9 * calls * (double)pair_cost,
                               "sites", (json_int_t)count));
    free(tables);
}
