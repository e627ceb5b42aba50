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
    int64_t *by_rank; /* what the table is about, of each rank */
} Line;

static bool equal(const char *a, const char *b) { return a == b || (a && b && !strcmp(a, b)); }

static void collect(Line *table, int *n, const Line *one) {
    int k = 0;
    while (k < *n && !(equal(table[k].a, one->a) && equal(table[k].b, one->b) && table[k].line == one->line)) k++;
    Line *t = &table[k];
    if (k == *n) t->a = one->a, t->b = one->b, t->line = one->line, ++*n;
    t->calls += one->calls;
    t->own += one->own;
    t->whole += one->whole;
    for (int p = 0; p < deq_ranks_count(); p++) t->by_rank[p] += one->by_rank[p];
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

#define DIFFER 1.1 /* the slowest rank over the mean, from where it is told */

/* "  [rank 1 4.0310 s, mean 3.2200 s]", where the ranks differ. */
static const char *differ(const int64_t *by_rank, char *out, size_t size) {
    const int ranks = deq_ranks_count();
    double mean = 0;
    int slowest = 0;
    for (int p = 0; p < ranks; p++) {
        mean += (double)by_rank[p] / ranks;
        if (by_rank[p] > by_rank[slowest]) slowest = p;
    }
    *out = 0;
    if ((double)by_rank[slowest] > DIFFER * mean)
        snprintf(out, size, "  [rank %d %.4f s, mean %.4f s]", slowest, 1e-9 * (double)by_rank[slowest], 1e-9 * mean);
    return out;
}

static void print_table(deq_reporter *r, const char *title, Line *table, int n, double total, const char *main,
                        const char *text) {
    deq_report(r, "\n%s", title);
    qsort(table, (size_t)n, sizeof *table, by_own);
    for (int k = 0; k < n && k < SHOWN; k++) {
        const Line *t = &table[k];
        char place[160] = "", words[72] = "", ranks[80];
        if (t->line) snprintf(place, sizeof place, "%s:%lld", t->b ? t->b : "", (long long)t->line);
        if (t->line && equal(t->b, main)) line_text(text, t->line, words, sizeof words);
        deq_report(r, "%6.1f%% %10.4f s %10lld x %10.2f us  %s%s%s  %s%s", 100 * (double)t->own / total,
                   1e-9 * (double)t->own, (long long)t->calls, 1e-3 * (double)t->own / (double)t->calls,
                   t->a ? t->a : "", t->a && *place ? "  " : "", place, words, differ(t->by_rank, ranks, sizeof ranks));
    }
}

static void print_solves(deq_reporter *r, Line *table, int n, double total) {
    if (n) deq_report(r, "\nby fixed point: in all, of that in the routines of the model, in the solver itself");
    qsort(table, (size_t)n, sizeof *table, by_whole);
    for (int k = 0; k < n && k < SHOWN; k++) {
        const Line *t = &table[k];
        char ranks[80];
        deq_report(r, "%6.1f%% %10.4f s  routines %10.4f s  solver %10.4f s (%.0f%%) %8lld x  %s%s",
                   100 * (double)t->whole / total, 1e-9 * (double)t->whole, 1e-9 * (double)(t->whole - t->own),
                   1e-9 * (double)t->own, 100 * (double)t->own / (double)t->whole, (long long)t->calls, t->a,
                   differ(t->by_rank, ranks, sizeof ranks));
    }
}

/* ---- the sites of all ranks ---- */
/* Sites that do the same in the same routine for the same line, with their sums over the ranks. */
typedef struct Total {
    deq_profile_site sum; /* its texts live as long as the report */
    int64_t *own, *whole; /* of each rank */
} Total;

typedef struct Report {
    Total *totals;
    int count;
    json_t *told; /* by rank: a list of sites */
    int64_t *numbers;
} Report;

static json_t *own_sites(void) {
    json_t *list = json_array();
    for (const deq_profile_site *s = atomic_load(&ran); s; s = s->next) {
        json_array_append_new(list, json_pack("[s, s, s?, I, I, I, I]", s->routine, s->operations, s->file,
                                              (json_int_t)s->line, (json_int_t)s->calls, (json_int_t)s->nanoseconds,
                                              (json_int_t)s->own));
    }
    return list;
}

static int64_t number_of(const json_t *site, size_t i) { return json_integer_value(json_array_get(site, i)); }
static const char *text_of(const json_t *site, size_t i) { return json_string_value(json_array_get(site, i)); }

static void add_site(Report *out, const json_t *site, int rank) {
    const int64_t line = number_of(site, 3);
    const char *routine = text_of(site, 0), *operations = text_of(site, 1), *file = text_of(site, 2);
    int k = 0;
    for (; k < out->count; k++) {
        const Total *t = &out->totals[k];
        if (t->sum.line == line && equal(t->sum.routine, routine) && equal(t->sum.operations, operations) &&
            equal(t->sum.file, file))
            break;
    }
    Total *t = &out->totals[k];
    if (k == out->count) {
        t->sum.routine = routine, t->sum.operations = operations, t->sum.file = file, t->sum.line = line;
        t->own = out->numbers + (int64_t)2 * k * deq_ranks_count(), t->whole = t->own + deq_ranks_count();
        out->count++;
    }
    t->sum.calls += number_of(site, 4);
    t->whole[rank] += number_of(site, 5), t->sum.nanoseconds += number_of(site, 5);
    t->own[rank] += number_of(site, 6), t->sum.own += number_of(site, 6);
}

/* A meeting of all ranks.  False: out of memory, and there is nothing to report. */
static bool gather_sites(Report *out) {
    json_t *mine = own_sites();
    char *text = json_dumps(mine, JSON_COMPACT), *all = NULL;
    int64_t *at = NULL;
    size_t most = 0;
    json_decref(mine);
    *out = (Report){.told = json_array()};
    all = deq_ranks_gather(text ? text : "[]", text ? (int64_t)strlen(text) : 2, &at);
    for (int p = 0; all && p < deq_ranks_count(); p++) {
        json_t *theirs = json_loadb(all + at[p], (size_t)(at[p + 1] - at[p]), 0, NULL);
        most += json_array_size(theirs);
        json_array_append_new(out->told, theirs ? theirs : json_array());
    }
    out->totals = calloc(most + 1, sizeof *out->totals);
    out->numbers = calloc(2 * (most + 1) * (size_t)deq_ranks_count(), sizeof *out->numbers);
    size_t i, rank;
    json_t *site, *theirs;
    if (out->totals && out->numbers)
        json_array_foreach(out->told, rank, theirs) json_array_foreach(theirs, i, site) add_site(out, site, (int)rank);
    free(text);
    free(all);
    free(at);
    return out->totals && out->numbers;
}

static void free_sites(Report *report) {
    free(report->totals);
    free(report->numbers);
    json_decref(report->told);
}

static json_t *by_rank_json(const int64_t *by_rank) {
    json_t *list = json_array();
    for (int p = 0; p < deq_ranks_count(); p++) json_array_append_new(list, json_real(1e-9 * (double)by_rank[p]));
    return list;
}

static void report_site(deq_reporter *r, const Total *t) {
    const deq_profile_site *s = &t->sum;
    json_t *members =
        json_pack("{s:s, s:s, s:I, s:f, s:f}", "routine", s->routine, "operations", s->operations, "calls",
                  (json_int_t)s->calls, "seconds", 1e-9 * (double)s->nanoseconds, "own", 1e-9 * (double)s->own);
    if (s->file) {
        json_object_set_new(members, "file", json_string(s->file));
        json_object_set_new(members, "line", json_integer(s->line));
    }
    if (deq_ranks_count() > 1) json_object_set_new(members, "own_by_rank", by_rank_json(t->own));
    deq_report_event(r, "profile", members);
}

static void report_total(deq_reporter *r, const Report *report, double total, double calls) {
    const int ranks = deq_ranks_count();
    int64_t *own = calloc((size_t)ranks, sizeof *own);
    char of[32] = "", differences[80];
    for (int k = 0; own && k < report->count; k++)
        for (int p = 0; p < ranks; p++) own[p] += report->totals[k].own[p];
    if (ranks > 1) snprintf(of, sizeof of, " of %d ranks", ranks);
    deq_report(
        r, "\nprofile: %.3f s of all threads%s in compiled code and solvers; the timers took %.1f%% more, taken off%s",
        1e-9 * total, of, 100 * calls * (double)pair_cost / total,
        own ? differ(own, differences, sizeof differences) : "");
    json_t *members = json_pack("{s:f, s:f, s:i}", "seconds", 1e-9 * total, "timers", 1e-9 * calls * (double)pair_cost,
                                "sites", report->count);
    if (ranks > 1 && own) json_object_set_new(members, "by_rank", by_rank_json(own));
    deq_report_event(r, "profiled", members);
    free(own);
}

void deq_profile_report(deq_reporter *r, const char *main, const char *text) {
    Report report;
    double total = 0, calls = 0;
    const bool gathered = gather_sites(&report);
    const int count = report.count, ranks = deq_ranks_count();
    for (int k = 0; k < count; k++) {
        total += (double)report.totals[k].sum.own;
        calls += (double)report.totals[k].sum.calls;
        report_site(r, &report.totals[k]);
    }
    const size_t lines_most = 4 * (size_t)count + 4;
    Line *tables = calloc(lines_most, sizeof *tables);
    int64_t *numbers = calloc(lines_most * (size_t)ranks, sizeof *numbers);
    if (gathered && count && tables && numbers && total > 0) {
        for (size_t k = 0; k < lines_most; k++) tables[k].by_rank = numbers + k * (size_t)ranks;
        Line *solves = tables, *routines = solves + count, *operations = routines + count, *lines = operations + count;
        int n[4] = {0};
        for (int k = 0; k < count; k++) {
            const Total *t = &report.totals[k];
            const deq_profile_site *s = &t->sum;
            Line one = {s->operations, NULL, 0, s->calls, s->own, s->nanoseconds, t->whole};
            if (is_solve(s->operations)) collect(solves, &n[0], &one);
            if (!is_solve(s->operations)) one.a = s->routine; /* the solver's own time is no routine's */
            one.by_rank = t->own;
            collect(routines, &n[1], &one);
            one = (Line){s->operations, s->file, s->line, s->calls, s->own, s->nanoseconds, t->own};
            collect(operations, &n[2], &one);
            one.a = NULL;
            if (s->line) collect(lines, &n[3], &one);
        }
        report_total(r, &report, total, calls);
        print_solves(r, solves, n[0], total);
        print_table(r, "by routine: own time, pieces timed, each", routines, n[1], total, main, text);
        print_table(r, "by operation", operations, n[2], total, main, text);
        print_table(r, "by line", lines, n[3], total, main, text);
    } else
        deq_report(r, "profile: no compiled code ran");
    free(numbers);
    free(tables);
    free_sites(&report);
}
