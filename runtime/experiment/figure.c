/* figure.c - see figure.h: the marks of a figure, gathered from its arrays, and its files. */
#define _GNU_SOURCE
#include "figure.h"
#include "examples.h"
#include "experiment.h"
#include "result_files.h"
#include "plot.h"
#include "seal.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- marks ---- */
static const deq_mark no_mark = {.value = NAN, .low = NAN, .high = NAN};

/* What a band shows of n values; NaN is none. */
static void spread(const deq_figure_spec *s, const double *values, int n, deq_mark *out) {
    const double mean = deq_reduce(DEQ_REDUCE_mean, 0, values, n);
    switch (s->band) {
    case DEQ_BAND_quantiles:
        out->value = deq_reduce(DEQ_REDUCE_quantile, 0.5, values, n);
        out->low = deq_reduce(DEQ_REDUCE_quantile, s->low, values, n);
        out->high = deq_reduce(DEQ_REDUCE_quantile, s->high, values, n);
        break;
    case DEQ_BAND_range:
        out->value = mean;
        out->low = deq_reduce(DEQ_REDUCE_min, 0, values, n);
        out->high = deq_reduce(DEQ_REDUCE_max, 0, values, n);
        break;
    default: {
        const double width = deq_reduce(DEQ_REDUCE_std, 0, values, n);
        out->value = mean;
        out->low = mean - width;
        out->high = mean + width;
    }
    }
}

static const deq_cell *made(const deq_arrays *g, int array, const int *at) {
    const deq_cell *c = deq_arrays_cell(g, array, at);
    return c->done && !isnan(c->value) ? c : NULL;
}

/* Whether the band goes over seeds for this value. */
static bool has_samples(const deq_arrays *g, const deq_figure_spec *s, int array) {
    const deq_array_spec *a = &g->x->arrays[array];
    for (int k = 0; k < a->naxes; k++)
        for (int i = 0; i < s->nsamples; i++)
            if (a->axes[k] == s->samples[i]) return true;
    return false;
}

static bool over_seeds(deq_arrays *g, const deq_figure_spec *s, int array, int *at, deq_mark *out) {
    const int n = deq_axes_count(g->x, s->samples, s->nsamples);
    double *values = malloc((size_t)(n + 1) * sizeof *values);
    for (int k = 0; values && k < n; k++) {
        deq_axes_place(g->x, s->samples, s->nsamples, k, at);
        const deq_cell *c = made(g, array, at);
        values[k] = c ? c->value : NAN;
        if (c && c->verdict.level > out->verdict.level) out->verdict = c->verdict;
    }
    if (values) spread(s, values, n, out);
    for (int k = 0; k < s->nsamples; k++) at[s->samples[k]] = 0;
    free(values);
    return values != NULL;
}

static bool over_examples(deq_arrays *g, const deq_figure_spec *s, int array, const int *at, deq_mark *out) {
    deq_sampled of;
    double *values = deq_arrays_examples(g, array, at, &of);
    if (values && of.n <= INT_MAX) spread(s, values, (int)of.n, out);
    free(values);
    return of.n >= 0;
}

static bool measure(deq_arrays *g, const deq_figure_spec *s, int array, int *at, deq_mark *out) {
    *out = no_mark;
    const bool sampled = s->band == DEQ_BAND_std || s->band == DEQ_BAND_range || s->band == DEQ_BAND_quantiles;
    if (sampled && has_samples(g, s, array)) return over_seeds(g, s, array, at, out);
    const deq_cell *c = made(g, array, at);
    if (!c) return true;
    *out = (deq_mark){c->value, NAN, NAN, c->verdict, c->evaluation};
    if (sampled) return over_examples(g, s, array, at, out);
    if (s->band == DEQ_BAND_interval) out->low = c->interval.low, out->high = c->interval.high;
    return true;
}

bool deq_figure_has(const deq_figure *f, int line, int point) {
    if (f->lines.absent[line] || f->points.absent[point]) return false;
    for (int v = 0; v < f->spec->nvalues; v++)
        if (!isnan(deq_figure_mark(f, v, line, point)->value)) return true;
    return false;
}

/* Of a mark over seeds, those of each. */
static bool find_sources(deq_arrays *g, const deq_figure_spec *s, int *at, deq_sources *out) {
    const int n = deq_axes_count(g->x, s->samples, s->nsamples);
    deq_sources_list *list = deq_sources_begin();
    for (int k = 0; list && k < n; k++) {
        deq_axes_place(g->x, s->samples, s->nsamples, k, at);
        for (int v = 0; v < s->nvalues; v++) deq_sources_add(list, g, s->values[v].value, at);
        if (s->x.value >= 0) deq_sources_add(list, g, s->x.value, at);
    }
    for (int k = 0; k < s->nsamples; k++) at[s->samples[k]] = 0;
    return deq_sources_end(list, out);
}

static bool gather(deq_arrays *g, deq_figure *f, int *at) {
    const deq_figure_spec *s = f->spec;
    const deq_experiment_spec *x = g->x;
    if (!deq_names_open(&f->lines, x, s, s->by, s->nby, true, at) ||
        !deq_names_open(&f->points, x, s, s->along, s->nalong, false, at))
        return false;
    const size_t n = (size_t)f->lines.n * (size_t)f->points.n;
    f->x = calloc(n + 1, sizeof *f->x);
    f->marks = calloc((size_t)s->nvalues * n + 1, sizeof *f->marks);
    f->rests = calloc(n + 1, sizeof *f->rests);
    bool ok = f->x && f->marks && f->rests;
    memset(at, 0, (size_t)x->naxes * sizeof *at);
    for (int line = 0; ok && line < f->lines.n; line++)
        for (int point = 0; ok && point < f->points.n; point++) {
            const bool absent = f->lines.absent[line] || f->points.absent[point];
            deq_axes_place(x, s->by, s->nby, line, at);
            deq_axes_place(x, s->along, s->nalong, point, at);
            *deq_figure_x(f, line, point) = no_mark;
            if (!absent) deq_figure_x(f, line, point)->value = point;
            if (!absent && s->x.value >= 0) ok = measure(g, s, s->x.value, at, deq_figure_x(f, line, point));
            for (int v = 0; ok && v < s->nvalues; v++) {
                deq_mark *mark = deq_figure_mark(f, v, line, point);
                *mark = no_mark;
                if (!absent) ok = measure(g, s, s->values[v].value, at, mark);
            }
            ok = ok && (absent || find_sources(g, s, at, &f->rests[line * f->points.n + point]));
        }
    return ok;
}

/* Places and lines of which nothing was measured, as of a pick of some values, take no room. */
static void leave_out_empty(deq_figure *f) {
    for (int line = 0; line < f->lines.n; line++) {
        bool some = false;
        for (int point = 0; point < f->points.n && !some; point++) some = deq_figure_has(f, line, point);
        f->lines.absent[line] = f->lines.absent[line] || !some;
    }
    for (int point = 0; point < f->points.n; point++) {
        bool some = false;
        for (int line = 0; line < f->lines.n && !some; line++) some = deq_figure_has(f, line, point);
        f->points.absent[point] = f->points.absent[point] || !some;
    }
}

/* ---- files ---- */
static const char *const formats[] = {"png", "svg", "pdf"};
#define NFORMATS 3

static void report(deq_app *app, const deq_figure *f, const char *stem, const char *csv, const char *json, bool drawn) {
    char *doubt = NULL;
    size_t size;
    FILE *d = open_memstream(&doubt, &size);
    if (d) deq_figure_doubt(d, f), fclose(d);
    deq_report(&app->reporter, "figure %s: %s/%s.%s", f->spec->name, app->results, stem,
               drawn ? "png, .svg, .pdf, .csv" : "csv");
    if (doubt && *doubt) deq_report(&app->reporter, "%s", doubt);
    json_t *pictures = json_array();
    for (int i = 0; drawn && i < NFORMATS; i++)
        json_array_append_new(pictures, json_sprintf("%s/%s.%s", app->results, stem, formats[i]));
    deq_report_event(&app->reporter, "figure",
                     json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", f->spec->name, "experiment", f->experiment, "csv",
                               csv, "json", json, "pictures", pictures));
    free(doubt);
}

static bool write_files(deq_arrays *g, const deq_figure *f, deq_error *e) {
    deq_app *app = g->app;
    char *name = deq_experiment_file(app, g->x, f->spec->name, true), *stem = name ? deq_path_component(name) : NULL,
         *csv = stem ? deq_app_file(app, stem, ".csv") : NULL,
         *json = stem ? deq_app_file(app, stem, "-figure.json") : NULL,
         *numbers = json ? deq_figure_json(f, json) : NULL, *values = NULL, *script = NULL, *sealed = NULL;
    size_t values_size = 0, script_size = 0;
    FILE *v = open_memstream(&values, &values_size), *s = open_memstream(&script, &script_size);
    bool ok = csv && numbers && v && s, drawn = false;
    if (v) deq_figure_csv(v, f), fclose(v);
    ok = ok && deq_figure_plot(s, f, stem);
    if (s) fclose(s);
    if (ok) sealed = deq_seal_csv(values, csv, &values_size);
    ok = sealed || deq_fail(e, DEQ_MEMORY, "out of memory for the figure '%s'", f->spec->name);
    const deq_output_text all[] = {{csv, sealed, values_size}, {json, numbers, numbers ? strlen(numbers) : 0}};
    ok = ok && deq_result_files_write(app, all, 2, e) &&
         deq_plot_draw_as(app, stem, "", formats, NFORMATS, script, script_size, true, &drawn, e);
    if (ok) report(app, f, stem, csv, json, drawn);
    free(name);
    free(stem);
    free(csv);
    free(json);
    free(numbers);
    free(values);
    free(script);
    free(sealed);
    return ok;
}

bool deq_figure_write(deq_arrays *g, const deq_figure_spec *spec, deq_error *e) {
    deq_figure f = {.spec = spec, .experiment = g->x->name};
    int *at = calloc((size_t)g->x->naxes + 1, sizeof *at);
    bool ok = (at && gather(g, &f, at) && !g->starved) ||
              deq_fail(e, DEQ_MEMORY, "out of memory for the figure '%s'", spec->name);
    if (ok) leave_out_empty(&f);
    ok = ok && write_files(g, &f, e);
    for (int i = 0; f.rests && i < f.lines.n * f.points.n; i++) deq_sources_free(&f.rests[i]);
    free(f.rests);
    deq_names_close(&f.lines);
    deq_names_close(&f.points);
    free(f.x);
    free(f.marks);
    free(at);
    return ok;
}
