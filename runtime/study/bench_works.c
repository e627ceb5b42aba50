/* bench_works.c - the work of the literature: solves, gradients, training steps and attacks with forced step counts, so
 * that every implementation does the same; and what a training step needs of memory. */
#define _GNU_SOURCE
#include "bench.h"
#include "signals.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const solves[] = {"broyden", "anderson", "picard"};
static const int solve_steps[] = {8, 18, 50};

bool bench_set_work(Bench *b, const char *forward, const char *gradient) {
    deq_error ignored = {0};
    char path[256];
    for (int i = 0; i < b->net->nfixed; i++) {
        snprintf(path, sizeof path, "%s%sforward", b->net->fixed[i].path, *b->net->fixed[i].path ? "." : "");
        if (!deq_engine_set(b->engine, path, forward, &ignored)) return false;
    }
    return !gradient || deq_engine_set(b->engine, "gradient", gradient, &ignored);
}

static void solve_name(char name[200], size_t solver, size_t steps) {
    snprintf(name, 200, "predict, %s %d", solves[solver], solve_steps[steps]);
}

static bool solves_selected(const Bench *b) {
    char name[200];
    bool any = false;
    for (size_t s = 0; s < sizeof solves / sizeof solves[0]; s++)
        for (size_t k = 0; k < sizeof solve_steps / sizeof solve_steps[0]; k++) {
            solve_name(name, s, k);
            any = any || bench_selected(b->app->options, name);
        }
    return any;
}

/* A solve takes at least what one of a single step takes (which has the injection, the head and all that stands around),
 * and f for every evaluation that it makes more: those of its steps, of Broyden's last state, of the finish. */
bool bench_solves(Bench *b) {
    char name[200], forward[200];
    double one = 0, few = 0;
    bool bounded = b->net->nfixed == 1, ok = true;
    if (!solves_selected(b)) return true; /* the yardstick takes time too */
    if (bounded)
        ok = bench_set_work(b, "picard(tol: 0, max: 1, return: last)", NULL) &&
             bench_time(b, bench_call_forward, NULL, &one);
    few = b->evaluations;
    for (size_t s = 0; s < sizeof solves / sizeof solves[0]; s++)
        for (size_t k = 0; ok && k < sizeof solve_steps / sizeof solve_steps[0]; k++) {
            int steps = solve_steps[k];
            snprintf(forward, sizeof forward, "%s(tol: 0, max: %d, return: last)", solves[s], steps);
            solve_name(name, s, k);
            if (!bench_set_work(b, forward, NULL) || !bench_selected(b->app->options, name)) continue;
            ok = bench_call_forward(b, NULL);
            double bound = bounded ? one + (b->evaluations - few) * b->f : 0;
            ok = ok && bench_measure(b, name, bound, bench_call_forward, NULL);
        }
    return ok;
}

/* f counts linearisations too; rest: passes that give parameters their cotangents. */
static const struct {
    const char *name, *forward, *gradient;
    int f, vjp_z, rest;
} works[] = {
    {"exact 18/20", "broyden(tol: 0, max: 18, return: last)", "implicit(broyden(tol: 0, max: 20, return: last))", 20,
     20, 1},
    {"exact 8/7", "broyden(tol: 0, max: 8, return: last)", "implicit(broyden(tol: 0, max: 7, return: last))", 10, 7, 1},
    {"phantom 8+5", "broyden(tol: 0, max: 8, return: last)", "phantom.unroll(steps: 5, damping: 0.5)", 14, 4, 5},
    {"simultaneous ensemble 8", "broyden(tol: 0, max: 8, return: last)",
     "simultaneous(states: 1..9, beta: 0.5, combine: mean)", 9, 8, 8},
    {"unrolled ensemble 8 x 5", "broyden(tol: 0, max: 8, return: last)", "unrolled(from: 1..9, steps: 5, damping: 0.5)",
     41, 32, 40},
};
/* The least of all gradients, on which the bounds of the others stand: f, a linearisation, no vjp_z, one rest. */
static const char *const least[] = {"picard(tol: 0, max: 1, return: last)", "jfb()"};

static double work_bound(const Bench *b, size_t work, double one, bool parameters) {
    if (b->net->nfixed != 1) return 0;
    double rest = parameters ? b->vjp_rest * (works[work].rest - 1) : 0;
    return one + (works[work].f - 2) * b->f + works[work].vjp_z * b->vjp_z + rest;
}

/* Every attack of the script's evaluations on this net, once. */
static bool bench_attacks(Bench *b, const char *work) {
    const deq_manifest *m = b->app->manifest;
    char name[200];
    bool ok = true;
    for (int i = 0; i < m->nexperiments && ok; i++)
        for (int k = 0; k < m->experiments[i].narrays && ok; k++) {
            const deq_value_spec *v = m->experiments[i].arrays[k].values;
            if (!v || !v->attack || v->attack->gradient) continue;
            deq_train_spec as = {.attack = v->attack, .loss = v->loss};
            snprintf(name, sizeof name, "attack %s, %s", v->attack->name, work);
            ok = bench_measure(b, name, 0, bench_call_attack, &as);
        }
    return ok;
}

typedef void WorkName(char name[200], const void *of, size_t work);

static void input_name(char name[200], const void *loss, size_t work) {
    snprintf(name, 200, "%s: input gradient, %s", (const char *)loss, works[work].name);
}
static void step_name(char name[200], const void *train, size_t work) {
    snprintf(name, 200, "train %s: step, %s", ((const deq_train_spec *)train)->name, works[work].name);
}

/* Any row of these names is wanted: else its yardstick would be measured for nothing. */
static bool works_selected(const Bench *b, WorkName *name_of, const void *of) {
    char name[200];
    for (size_t w = 0; w < sizeof works / sizeof works[0]; w++) {
        name_of(name, of, w);
        if (bench_selected(b->app->options, name)) return true;
    }
    return false;
}

static bool bench_input_works(Bench *b, const char *loss) {
    char name[200];
    double one;
    if (!works_selected(b, input_name, loss)) return true;
    if (!bench_set_work(b, least[0], least[1]) || !bench_time(b, bench_call_input, loss, &one)) return false;
    for (size_t w = 0; w < sizeof works / sizeof works[0]; w++) {
        input_name(name, loss, w);
        if (bench_set_work(b, works[w].forward, works[w].gradient) &&
            !bench_measure(b, name, work_bound(b, w, one, false), bench_call_input, loss))
            return false;
    }
    return true;
}

static bool bench_step_works(Bench *b, const deq_train_spec *t) {
    char name[200];
    double one, scalars[2 + DEQ_MOST_SCALARS] = {1, 1000};
    if (!bench_trains(b, t) || !t->optimiser.routine || !works_selected(b, step_name, t)) return true;
    for (int k = 0; k < t->optimiser.nscalars; k++) scalars[2 + k] = t->optimiser.scalars[k].value;
    BenchStep step = {t, scalars, NULL};
    if (!bench_set_work(b, least[0], least[1]) || !deq_engine_optimiser(b->engine, t->optimiser.states, b->e) ||
        !bench_time(b, bench_call_step, &step, &one))
        return false;
    for (size_t w = 0; w < sizeof works / sizeof works[0]; w++) {
        step_name(name, t, w);
        if (bench_set_work(b, works[w].forward, works[w].gradient) &&
            !bench_measure(b, name, work_bound(b, w, one, true), bench_call_step, &step))
            return false;
    }
    return true;
}

bool bench_works(Bench *b) {
    const deq_manifest *m = b->app->manifest;
    for (int i = 0; i < b->net->nlosses; i++)
        if (!bench_input_works(b, b->net->losses[i].name)) return false;
    for (int i = 0; i < m->ntrains; i++)
        if (!bench_step_works(b, &m->trains[i])) return false;
    for (size_t w = 0; w < sizeof works / sizeof works[0]; w++)
        if (bench_set_work(b, works[w].forward, works[w].gradient) && !bench_attacks(b, works[w].name)) return false;
    return true;
}

/* --- memory --- */

/* What a process that measured tells the one that waits for it. */
typedef struct Growth {
    bool ok, known;
    int64_t bytes, planned;
    deq_error error;
} Growth;

/* Bytes of a line of /proc/self/status, "VmRSS:" or "VmHWM:"; -1 where the system does not say. */
static int64_t resident(const char *field) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long long kilobytes = -1;
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, field, strlen(field))) sscanf(line + strlen(field), "%lld", &kilobytes);
    if (file) fclose(file);
    return kilobytes < 0 ? -1 : 1024 * (int64_t)kilobytes;
}

/* The peak is what is resident now. */
static bool forget_peak(void) {
    FILE *file = fopen("/proc/self/clear_refs", "w");
    bool ok = file && fputs("5", file) >= 0;
    return file && fclose(file) == 0 && ok;
}

/* Everything that training needs beside the data counts: parameters, gradients, the optimiser's state, workspaces. */
static bool grow(Bench *b, const deq_train_spec *t, size_t work, Growth *out) {
    double scalars[2 + DEQ_MOST_SCALARS] = {1, 1000};
    for (int k = 0; k < t->optimiser.nscalars; k++) scalars[2 + k] = t->optimiser.scalars[k].value;
    BenchStep step = {t, scalars, NULL};
    if (!bench_data(b, b->batch)) return false;
    int64_t before = resident("VmRSS:");
    if (before < 0 || !forget_peak()) return true;
    if (!deq_app_apply_settings(b->app, b->e)) return false;
    b->engine = deq_app_engine(b->app, b->net, b->e);
    if (!b->engine || !deq_engine_init(b->engine, 0, b->e)) return false;
    if (!bench_set_work(b, works[work].forward, works[work].gradient)) return true;
    if (!deq_engine_optimiser(b->engine, t->optimiser.states, b->e) || !bench_call_step(b, &step) ||
        !bench_call_step(b, &step))
        return false;
    out->known = true;
    out->bytes = resident("VmHWM:") - before;
    out->planned = deq_engine_memory(b->engine);
    return true;
}

static bool measure_growth(Bench *b, const deq_train_spec *t, size_t work, const char *name) {
    Growth g = {0};
    int ends[2];
    fflush(NULL);
    if (pipe(ends)) return deq_fail(b->e, DEQ_MEMORY, "no pipe for the measurement of memory");
    pid_t child = fork();
    if (child == 0) {
        g.ok = grow(b, t, work, &g);
        g.error = *b->e;
        _exit(write(ends[1], &g, sizeof g) != (ssize_t)sizeof g);
    }
    close(ends[1]);
    size_t got = 0;
    for (ssize_t n; child > 0 && got < sizeof g && (n = read(ends[0], (char *)&g + got, sizeof g - got)) != 0;)
        if (n > 0)
            got += (size_t)n;
        else if (errno != EINTR)
            break;
    close(ends[0]);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    if (deq_interrupted()) return deq_fail(b->e, DEQ_INTERRUPTED, "stopped while measuring '%s'", name);
    if (got < sizeof g) return deq_fail(b->e, DEQ_MEMORY, "the measurement of '%s' ended early", name);
    if (!g.ok) return deq_fail(b->e, g.error.failure, "%s", g.error.text);
    if (!g.known) return true;
    deq_report(&b->app->reporter, "  %-46s %5lld examples: peak grows by %.1f MB, %.1f MB planned", name,
               (long long)b->batch, 1e-6 * (double)g.bytes, 1e-6 * (double)g.planned);
    deq_report_event(&b->app->reporter, "bench_memory",
                     json_pack("{s:s, s:s, s:I, s:I, s:I}", "net", b->net->name, "name", name, "examples",
                               (json_int_t)b->batch, "growth", (json_int_t)g.bytes, "planned", (json_int_t)g.planned));
    return true;
}

bool bench_memory(Bench *b) {
    const deq_manifest *m = b->app->manifest;
    char name[200];
    for (int i = 0; i < m->ntrains; i++) {
        const deq_train_spec *t = &m->trains[i];
        if (!bench_trains(b, t) || !t->optimiser.routine) continue;
        for (size_t w = 0; w < sizeof works / sizeof works[0]; w++) {
            snprintf(name, sizeof name, "train %s: memory, %s", t->name, works[w].name);
            if (bench_selected(b->app->options, name) && !measure_growth(b, t, w, name)) return false;
        }
    }
    return true;
}
