/* bench_scaling.c - deq bench --scaling: what a net costs against the examples of a call, the steps of a solve, the
 * threads and, where nets of the script are one layer in several sizes, that size.  Each line of points gets the
 * exponent that fits it, and its largest jump: where the cost grows by more than that power between neighbours.
 * Writes scaling.csv, scaling.gp and scaling.png. */
#define _GNU_SOURCE
#include "bench_scaling.h"
#include "output.h"
#include "parallel.h"
#include "plot.h"
#include "seal.h"
#include "signals.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Calls of over so many seconds end a line: the next point would take as long again, or four times. */
#define LONGEST 1.0
#define SOLVE "broyden(tol: 0, max: 18, return: last)"

static const struct {
    const char *name, *label;
} axes[] = {{"size", "size of the layer"},
            {"batch", "examples of a call"},
            {"steps", "steps of a solve"},
            {"threads", "threads"}};
enum { SIZE, BATCH, STEPS, THREADS, AXES };

static bool add_point(ScalingLine *line, double x, double seconds, deq_error *e) {
    if (line->n == MOST_POINTS) return deq_fail(e, DEQ_SETTING, "more than %d points of '%s'", MOST_POINTS, line->name);
    int at = line->n++;
    for (; at > 0 && line->x[at - 1] > x; at--) line->x[at] = line->x[at - 1], line->y[at] = line->y[at - 1];
    line->x[at] = x;
    line->y[at] = seconds;
    return true;
}

static ScalingLine *find_line(Scaling *s, int axis, const char *name, deq_error *e) {
    for (int i = 0; i < s->n; i++)
        if (s->lines[i].axis == axis && !strcmp(s->lines[i].name, name)) return &s->lines[i];
    ScalingLine *grown = realloc(s->lines, ((size_t)s->n + 1) * sizeof *grown);
    if (!grown) {
        deq_fail(e, DEQ_MEMORY, "out of memory for the points of a benchmark");
        return NULL;
    }
    s->lines = grown;
    s->lines[s->n] = (ScalingLine){.axis = axis};
    snprintf(s->lines[s->n].name, sizeof s->lines[s->n].name, "%s", name);
    return &s->lines[s->n++];
}

/* --- what is measured --- */

/* 'Cell_64' is the layer Cell in size 64.  False: the net's name ends with no number. */
static bool size_of(const char *net, int *length, double *size) {
    size_t at = strlen(net);
    while (at > 0 && isdigit((unsigned char)net[at - 1])) at--;
    if (at < 2 || !net[at] || net[at - 1] != '_') return false;
    *length = (int)at - 1;
    *size = strtod(net + at, NULL);
    return *size > 0;
}

/* Works of which the cost is drawn: a prediction of 18 steps, and the script's own step of training. */
typedef struct Work {
    const char *name;
    BenchWork *call;
    const void *what;
} Work;

static bool measure_point(Bench *b, Scaling *s, int axis, const char *work, double x, BenchWork *call, const void *what,
                          bool *longest) {
    char name[sizeof s->lines->name];
    double seconds;
    snprintf(name, sizeof name, "%s: %s", b->net->name, work);
    if (!bench_time(b, call, what, &seconds)) return false;
    if (deq_interrupted()) return deq_fail(b->e, DEQ_INTERRUPTED, "stopped while timing '%s'", name);
    ScalingLine *line = find_line(s, axis, name, b->e);
    *longest = seconds > LONGEST;
    return line && add_point(line, x, seconds, b->e);
}

static bool measure_batches(Bench *b, Scaling *s, const Work *work) {
    const int64_t whole = b->batch;
    bool ok = true, longest = false;
    for (int64_t n = 1; ok && !longest; n = 2 * n < whole ? 2 * n : whole) {
        b->batch = n;
        ok = measure_point(b, s, BATCH, work->name, (double)n, work->call, work->what, &longest);
        if (n == whole) break;
    }
    b->batch = whole;
    return ok;
}

/* With an engine of so many threads in place of the bench's own. */
static bool measure_threads(Bench *b, Scaling *s, const Work *work, const deq_train_spec *train) {
    bool ok = true, longest = false;
    for (int t = 1; ok && t <= b->threads; t = 2 * t < b->threads || t == b->threads ? 2 * t : b->threads) {
        Bench with = *b;
        with.threads = t;
        with.engine = deq_engine_new(b->app->module, b->net, &(deq_engine_options){.threads = t}, b->e);
        ok = with.engine && deq_engine_init(with.engine, 0, b->e) &&
             (!train || deq_engine_optimiser(with.engine, train->optimiser.states, b->e));
        if (ok) deq_engine_prepare(with.engine);
        ok = ok && (train || bench_set_work(&with, SOLVE, NULL)) &&
             measure_point(&with, s, THREADS, work->name, t, work->call, work->what, &longest);
        if (with.engine) deq_engine_free(with.engine);
    }
    return ok;
}

static bool measure_steps(Bench *b, Scaling *s, const char *solver) {
    bool ok = true, longest = false;
    for (int n = 4; ok && !longest && n <= 256; n *= 2) {
        char forward[100];
        snprintf(forward, sizeof forward, "%s(tol: 0, max: %d, return: last)", solver, n);
        ok = !bench_set_work(b, forward, NULL) ||
             measure_point(b, s, STEPS, solver, n, bench_call_forward, NULL, &longest);
    }
    return ok;
}

bool bench_scaling(Bench *b, Scaling *s) {
    const deq_manifest *m = b->app->manifest;
    static const char *const solvers[] = {"broyden", "anderson"};
    double size, scalars[2 + DEQ_MOST_SCALARS] = {1, 1000};
    int length;
    bool ok = true;
    if (!b->net->nfixed) return true;
    if (b->net->nfixed == 1 && size_of(b->net->name, &length, &size)) {
        char name[sizeof s->lines->name];
        snprintf(name, sizeof name, "%.*s: f", length, b->net->name);
        ScalingLine *line = find_line(s, SIZE, name, b->e);
        ok = line && add_point(line, size, b->f, b->e);
        if (!ok || line->n > 1) return ok; /* the other axes: in the first size */
    }
    const Work predict = {"predict, broyden 18", bench_call_forward, NULL};
    uint32_t token = deq_engine_save_settings(b->engine);
    for (int i = 0; ok && i < m->ntrains; i++) {
        const deq_train_spec *t = &m->trains[i];
        if (!bench_trains(b, t) || !t->optimiser.routine) continue;
        for (int k = 0; k < t->optimiser.nscalars; k++) scalars[2 + k] = t->optimiser.scalars[k].value;
        const BenchStep step = {t, scalars, NULL};
        const Work training = {"training step", bench_call_step, &step};
        ok = deq_engine_optimiser(b->engine, t->optimiser.states, b->e) && measure_batches(b, s, &training) &&
             measure_threads(b, s, &training, t);
        break; /* other runs on the same net cost the same, but for their losses */
    }
    ok = ok && bench_set_work(b, SOLVE, NULL) && measure_batches(b, s, &predict) &&
         measure_threads(b, s, &predict, NULL);
    for (size_t k = 0; ok && k < sizeof solvers / sizeof *solvers; k++) ok = measure_steps(b, s, solvers[k]);
    deq_engine_restore_settings(b->engine, token);
    return ok;
}

/* --- what it shows --- */

/* Least squares in logarithms. */
static double exponent_of(const ScalingLine *line) {
    double x = 0, y = 0, xx = 0, xy = 0;
    for (int i = 0; i < line->n; i++) x += log(line->x[i]) / line->n, y += log(line->y[i]) / line->n;
    for (int i = 0; i < line->n; i++) {
        const double d = log(line->x[i]) - x;
        xx += d * d;
        xy += d * (log(line->y[i]) - y);
    }
    return xy / xx;
}

/* The point after which the cost grows most beyond that power, and how many times: a cliff is far above 1. */
static int jump_of(const ScalingLine *line, double exponent, double *times) {
    int at = 0;
    *times = 0;
    for (int i = 0; i + 1 < line->n; i++) {
        const double q = line->y[i + 1] / line->y[i] / pow(line->x[i + 1] / line->x[i], exponent);
        if (q > *times) *times = q, at = i;
    }
    return at;
}

static bool drawn(const ScalingLine *line) { return line->n >= 2; }

static void report_line(deq_app *app, const ScalingLine *line) {
    double jump;
    const double exponent = exponent_of(line);
    const int at = jump_of(line, exponent, &jump);
    json_t *points = json_array();
    for (int i = 0; i < line->n; i++) json_array_append_new(points, json_pack("[f, f]", line->x[i], line->y[i]));
    deq_report(&app->reporter, "  %-8s %-38s %5g .. %-5g %9.3f .. %-9.3f %6.2f %10.2f times, %g to %g",
               axes[line->axis].name, line->name, line->x[0], line->x[line->n - 1], 1e3 * line->y[0],
               1e3 * line->y[line->n - 1], exponent, jump, line->x[at], line->x[at + 1]);
    deq_report_event(&app->reporter, "bench_scaling",
                     json_pack("{s:s, s:s, s:o, s:f, s:f, s:f, s:f}", "axis", axes[line->axis].name, "name", line->name,
                               "points", points, "exponent", exponent, "jump", jump, "from", line->x[at], "to",
                               line->x[at + 1]));
}

static void write_csv(FILE *f, const Scaling *s) {
    fputs("axis,line,at,seconds\n", f);
    for (int i = 0; i < s->n; i++)
        for (int k = 0; k < s->lines[i].n; k++)
            fprintf(f, "%s,\"%s\",%.9g,%.6g\n", axes[s->lines[i].axis].name, s->lines[i].name, s->lines[i].x[k],
                    s->lines[i].y[k]);
}

/* The numbers stand in the script.  Both axes are logarithmic, so that a power is a straight line. */
static void write_plot(FILE *f, const Scaling *s) {
    static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"};
    for (int i = 0; i < s->n; i++) {
        if (!drawn(&s->lines[i])) continue;
        fprintf(f, "$line%d << EOD\n", i);
        for (int k = 0; k < s->lines[i].n; k++) fprintf(f, "%.9g,%.6g\n", s->lines[i].x[k], 1e3 * s->lines[i].y[k]);
        fputs("EOD\n", f);
    }
    fputs("set logscale xy\nset multiplot layout 2,2\nset key below left Left reverse maxcols 1\nset ylabel 'ms'\n", f);
    for (int axis = 0; axis < AXES; axis++) {
        int shown = 0;
        for (int i = 0; i < s->n; i++) {
            const ScalingLine *line = &s->lines[i];
            if (line->axis != axis || !drawn(line)) continue;
            if (!shown) fprintf(f, "set logscale x 2\nset xlabel '%s'\nplot ", axes[axis].label);
            fprintf(f, "%s$line%d using 1:2 with linespoints lc rgb '%s' lw 2 pt %d ps 0.7 title '%s: exponent %.2f'",
                    shown ? ", \\\n     " : "", i, colours[shown % 6], 4 + shown % 10, line->name, exponent_of(line));
            shown++;
        }
        fputc('\n', f);
    }
    fputs("unset multiplot\n", f);
}

bool bench_scaling_write(deq_app *app, const Scaling *s, deq_error *e) {
    char *csv = NULL, *text = NULL;
    size_t csv_size = 0, size = 0;
    FILE *f = open_memstream(&csv, &csv_size), *g = open_memstream(&text, &size);
    if (!f || !g) {
        if (f) fclose(f);
        if (g) fclose(g);
        free(csv);
        free(text);
        return deq_fail(e, DEQ_MEMORY, "out of memory for a picture");
    }
    deq_report(&app->reporter, "  %-8s %-38s %14s %22s %6s   %s", "axis", "cost of", "at", "ms", "power",
               "largest jump beyond it");
    for (int i = 0; i < s->n; i++)
        if (drawn(&s->lines[i])) report_line(app, &s->lines[i]);
    write_csv(f, s);
    deq_plot_begin(g, "deq bench --scaling", "scaling", "", "1200,900", 11);
    write_plot(g, s);
    fclose(f);
    fclose(g);
    char *path = deq_app_file(app, "scaling", ".csv"),
         *sealed = path && csv ? deq_seal_csv(csv, path, &csv_size) : NULL;
    bool ok =
        sealed ? deq_output_write(path, sealed, csv_size, e) && deq_plot_draw(app, "scaling", "", text, size, false, e)
               : deq_fail(e, DEQ_MEMORY, "out of memory for a table");
    if (ok) deq_report(&app->reporter, "written: %s", path);
    free(path);
    free(sealed);
    free(csv);
    free(text);
    return ok;
}
