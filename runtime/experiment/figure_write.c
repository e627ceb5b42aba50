/* figure_write.c - the numbers of a figure as CSV and JSON, and what is said of it in words. */
#include "figure.h"
#include "seal.h"
#include "training_log.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool has_interval(const deq_mark *marks, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isnan(marks[i].low)) return true;
    return false;
}

static size_t cells_of(const deq_figure *f) { return (size_t)f->lines.n * (size_t)f->points.n; }

static bool is_judged(const deq_figure *f, int value) {
    const deq_mark *marks = deq_figure_mark(f, value, 0, 0);
    for (size_t i = 0; i < cells_of(f); i++)
        if (marks[i].verdict.level) return true;
    return false;
}

/* Where the x axis is a value; the place of a sweep stands among the coordinates. */
static bool has_x(const deq_figure *f) { return f->spec->x.value >= 0 && !deq_figure_of_sweep(f); }

static void put_titles(FILE *out, const char *title, bool interval, bool judged) {
    fputc(',', out);
    deq_csv_text(out, title);
    if (interval) {
        fputc(',', out), deq_csv_title(out, title, " low");
        fputc(',', out), deq_csv_title(out, title, " high");
    }
    if (judged) fputc(',', out), deq_csv_title(out, title, " verdict");
}

static void put_number(FILE *out, double v) {
    fputc(',', out);
    if (!isnan(v)) fprintf(out, "%.9g", v);
}

static void put_mark(FILE *out, const deq_mark *m, bool interval, bool judged) {
    put_number(out, m->value);
    if (interval) put_number(out, m->low), put_number(out, m->high);
    if (judged) fprintf(out, ",%s", deq_verdict_name(m->verdict.level));
}

static void put_texts(FILE *out, const deq_figure_names *n, char *const *texts, bool *first) {
    for (int c = 0; c < n->ncolumns; c++) {
        if (!*first) fputc(',', out);
        *first = false;
        deq_csv_text(out, texts[c]);
    }
}

static const deq_sources *rests_of(const deq_figure *f, int line, int point) {
    return &f->rests[line * f->points.n + point];
}

/* Whether a net is behind some of its numbers. */
static bool has_sources(const deq_figure *f) {
    for (size_t i = 0; i < cells_of(f); i++)
        if (f->rests[i].nets && *f->rests[i].nets) return true;
    return false;
}

static bool is_attacked(const deq_figure *f, int value) {
    const deq_mark *marks = deq_figure_mark(f, value, 0, 0);
    for (size_t i = 0; i < cells_of(f); i++)
        if (marks[i].evaluation && marks[i].evaluation->attacked) return true;
    return false;
}

/* Behind the numbers, what they rest on: as in the CSV of a table. */
static void put_more_titles(FILE *out, const deq_figure *f) {
    const deq_column_spec *values = f->spec->values;
    if (has_sources(f)) fputs("," DEQ_SOURCES_TITLES, out);
    for (int v = 0; v < f->spec->nvalues; v++)
        if (is_attacked(f, v)) fputc(',', out), deq_csv_title(out, values[v].title, " attack");
    for (int v = 0; v < f->spec->nvalues; v++) {
        if (!is_judged(f, v)) continue;
        fputc(',', out), deq_csv_title(out, values[v].title, " reasons");
        fputc(',', out), deq_csv_title(out, values[v].title, " checks");
    }
}

static void put_more(FILE *out, const deq_figure *f, int line, int point) {
    if (has_sources(f)) fputc(',', out), deq_sources_csv(out, rests_of(f, line, point));
    for (int v = 0; v < f->spec->nvalues; v++) {
        if (!is_attacked(f, v)) continue;
        char *attack = deq_attack_text(deq_figure_mark(f, v, line, point)->evaluation);
        fputc(',', out), deq_csv_text(out, attack ? attack : "");
        free(attack);
    }
    for (int v = 0; v < f->spec->nvalues; v++)
        if (is_judged(f, v)) fputc(',', out), deq_verdict_csv(out, &deq_figure_mark(f, v, line, point)->verdict);
}

void deq_figure_csv(FILE *out, const deq_figure *f) {
    const deq_figure_spec *s = f->spec;
    const size_t n = cells_of(f);
    bool first = true;
    put_texts(out, &f->lines, f->lines.columns, &first);
    put_texts(out, &f->points, f->points.columns, &first);
    if (has_x(f)) put_titles(out, s->x.title, has_interval(f->x, n), false);
    for (int v = 0; v < s->nvalues; v++)
        put_titles(out, s->values[v].title, has_interval(deq_figure_mark(f, v, 0, 0), n), is_judged(f, v));
    put_more_titles(out, f);
    fputc('\n', out);
    for (int line = 0; line < f->lines.n; line++)
        for (int point = 0; point < f->points.n; point++) {
            if (!deq_figure_has(f, line, point)) continue;
            first = true;
            put_texts(out, &f->lines, f->lines.texts[line], &first);
            put_texts(out, &f->points, f->points.texts[point], &first);
            if (has_x(f)) put_mark(out, deq_figure_x(f, line, point), has_interval(f->x, n), false);
            for (int v = 0; v < s->nvalues; v++)
                put_mark(out, deq_figure_mark(f, v, line, point), has_interval(deq_figure_mark(f, v, 0, 0), n),
                         is_judged(f, v));
            put_more(out, f, line, point);
            fputc('\n', out);
        }
}

/* ---- JSON ---- */
static json_t *mark_json(const char *title, const deq_mark *m) {
    json_t *o = json_pack("{s:s, s:o, s:o, s:o}", "title", title, "value", deq_json_number(m->value), "low",
                          deq_json_number(m->low), "high", deq_json_number(m->high));
    char *attack = deq_attack_text(m->evaluation);
    if (attack) json_object_set_new(o, "attack", json_string(attack));
    if (m->evaluation) deq_evaluation_members(m->evaluation, o);
    if (m->verdict.level) deq_verdict_members(&m->verdict, o);
    free(attack);
    return o;
}

static void add_coordinates(json_t *to, const deq_figure_names *n, int place) {
    for (int c = 0; c < n->ncolumns; c++) json_object_set_new(to, n->columns[c], json_string(n->texts[place][c]));
}

static json_t *point_json(const deq_figure *f, int line, int point) {
    const deq_figure_spec *s = f->spec;
    json_t *where = json_object(), *values = json_array();
    add_coordinates(where, &f->lines, line);
    add_coordinates(where, &f->points, point);
    for (int v = 0; v < s->nvalues; v++)
        json_array_append_new(values, mark_json(s->values[v].title, deq_figure_mark(f, v, line, point)));
    json_t *o = json_pack("{s:o, s:o}", "coordinates", where, "values", values);
    if (has_x(f)) json_object_set_new(o, "x", mark_json(s->x.title, deq_figure_x(f, line, point)));
    return o;
}

/* What bands or whiskers show, in words for a caption. */
static void put_caption(FILE *out, const deq_figure *f) {
    const deq_figure_spec *s = f->spec;
    const bool lines = s->kind == DEQ_FIGURE_lines;
    const char *what = lines ? "bands" : "whiskers", *over = s->nsamples ? "seeds" : "examples";
    bool interval = false;
    for (int v = 0; v < s->nvalues && !interval; v++) interval = has_interval(deq_figure_mark(f, v, 0, 0), cells_of(f));
    if (s->kind == DEQ_FIGURE_heat) {
        fputs("intervals are in the CSV file", out);
        return;
    }
    switch (s->band) {
    case DEQ_BAND_quantiles: fprintf(out, "median over %s; %s: quantiles %g to %g", over, what, s->low, s->high); break;
    case DEQ_BAND_std: fprintf(out, "mean over %s; %s: one standard deviation", over, what); break;
    case DEQ_BAND_range: fprintf(out, "mean over %s; %s: least to largest", over, what); break;
    default:
        if (interval && s->band == DEQ_BAND_interval) fprintf(out, "%s: intervals of 95 %%", what);
    }
}

char *deq_figure_json(const deq_figure *f, const char *path) {
    json_t *points = json_array();
    char *caption = NULL;
    size_t size;
    FILE *c = open_memstream(&caption, &size);
    if (c) put_caption(c, f), fclose(c);
    for (int line = 0; line < f->lines.n; line++)
        for (int point = 0; point < f->points.n; point++)
            if (deq_figure_has(f, line, point)) json_array_append_new(points, point_json(f, line, point));
    json_t *o = json_pack("{s:s, s:s, s:s, s:o}", "figure", f->spec->name, "experiment", f->experiment, "caption",
                          caption ? caption : "", "points", points);
    char *text = o && caption ? deq_seal_json(o, path) : NULL;
    json_decref(o);
    free(caption);
    return text;
}

/* ---- words ---- */
void deq_figure_doubt(FILE *out, const deq_figure *f) {
    int judged = 0, count[DEQ_MASKED + 1] = {0};
    for (size_t i = 0; i < cells_of(f) * (size_t)f->spec->nvalues; i++)
        if (f->marks[i].verdict.level) judged++, count[f->marks[i].verdict.level]++;
    for (deq_verdict_level level = DEQ_MASKED; level > DEQ_RELIABLE; level--) {
        if (!count[level]) continue;
        fprintf(out, "%d of %d accuracies under attack %s %s", count[level], judged, count[level] == 1 ? "is" : "are",
                deq_verdict_name(level));
        return;
    }
}
