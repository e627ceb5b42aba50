/* lines.c - see lines.h.  A line of a table is a place on the axes that make rows or are joined.  It names the nets and
 * journals of all that was made at that place, or that its columns rest on. */
#define _GNU_SOURCE
#include "lines.h"
#include "experiment.h"
#include "result_files.h"
#include "seal.h"
#include "table.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Column { /* of the table: a value, at a place of the sweeps that it is spread over */
    const deq_column_spec *spec;
    int place; /* among the cells of spec->by */
    char *title, *under;
} Column;

typedef struct Lines {
    deq_arrays *g;
    const deq_table_spec *spec;
    int *axes, naxes; /* of the lines: rows as they are written, and what is joined */
    char **names;     /* of what is shown of them: a family and its member are one */
    int *starts, nnames;
    int *rows;
    Column *parts;
    deq_table_column *columns;
    int ncolumns;
    deq_table_cell *cells;
    int ncells;
    int *places; /* of every line, by column: the cell of its value */
} Lines;

static bool is_line_axis(const deq_table_spec *t, int axis) {
    for (int r = 0; r < t->nrows; r++)
        for (int k = 0; k < t->rows[r].naxes; k++)
            if (t->rows[r].axes[k] == axis) return true;
    for (int k = 0; k < t->njoin; k++)
        if (t->join[k] == axis) return true;
    return false;
}

/* "pgd, ready": the place on the axes that a column is spread over. */
static char *place_text(const Lines *l, const deq_column_spec *c, const int *at) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f) return NULL;
    for (int k = 0; k < c->nby;) {
        fputs(k ? ", " : "", f);
        k += deq_axes_value(l->g->x, c->value, c->by, c->nby, k, at, f);
    }
    fclose(f);
    return text;
}

/* What the places of a choice are called. */
static const char *const *names_of(const deq_experiment_spec *x, const deq_column_spec *c) {
    const int family = deq_axes_family(x, c->value, c->names);
    return (const char *const *)(family < 0 ? x->axes[c->names].values : x->axes[c->names - 1].members[family]);
}

static bool add_columns(Lines *l, const deq_column_spec *c, int *at) {
    const deq_experiment_spec *x = l->g->x;
    const int n = deq_axes_count(x, c->by, c->nby);
    for (int place = 0; place < n; place++) {
        deq_axes_place(x, c->by, c->nby, place, at);
        if (deq_axes_absent(x, c->by, c->nby, at) || deq_arrays_left_out(x, c->value, c->by, c->nby, at)) continue;
        Column *part = &l->parts[l->ncolumns];
        *part = (Column){.spec = c, .place = place, .under = c->nby ? place_text(l, c, at) : NULL};
        if (c->nby && (!part->under || asprintf(&part->title, "%s (%s)", c->title, part->under) < 0)) return false;
        l->columns[l->ncolumns++] = (deq_table_column){.title = c->nby ? part->title : c->title,
                                                       .percent = c->percent,
                                                       .names = c->verdict      ? deq_verdict_words
                                                                : c->names >= 0 ? names_of(x, c)
                                                                                : NULL,
                                                       .ordered = c->verdict,
                                                       .value = c->nby ? c->title : NULL,
                                                       .under = part->under};
    }
    return true;
}

static void add_axis(Lines *l, int axis) {
    for (int k = 0; k < l->naxes; k++)
        if (l->axes[k] == axis) return;
    l->axes[l->naxes++] = axis;
}

static bool lines_open(Lines *l, deq_arrays *g, const deq_table_spec *t, int *at) {
    const deq_experiment_spec *x = g->x;
    *l = (Lines){.g = g, .spec = t};
    size_t most = 1;
    for (int c = 0; c < t->ncolumns; c++) most += (size_t)deq_axes_count(x, t->columns[c].by, t->columns[c].nby);
    l->axes = calloc((size_t)x->naxes + 1, sizeof *l->axes);
    l->names = calloc((size_t)x->naxes + 1, sizeof *l->names);
    l->starts = calloc((size_t)x->naxes + 1, sizeof *l->starts);
    l->rows = calloc((size_t)t->nrows + 1, sizeof *l->rows);
    l->columns = calloc(most, sizeof *l->columns);
    l->parts = calloc(most, sizeof *l->parts);
    if (!l->axes || !l->names || !l->starts || !l->rows || !l->columns || !l->parts) return false;
    for (int r = 0; r < t->nrows; r++) /* the first of the rows turns slowest */
        for (int k = 0; k < t->rows[r].naxes; k++) add_axis(l, t->rows[r].axes[k]);
    for (int k = 0; k < t->njoin; k++) add_axis(l, t->join[k]);
    for (int k = 0, used = 1; k < l->naxes; k += used) {
        l->starts[l->nnames] = k;
        if (!(l->names[l->nnames++] = deq_axes_text(l->g->x, -1, l->axes, l->naxes, k, NULL, &used))) return false;
    }
    for (int r = 0; r < t->nrows; r++)
        for (int k = 0; k < l->nnames; k++)
            if (l->axes[l->starts[k]] == t->rows[r].axes[0]) l->rows[r] = k;
    for (int c = 0; c < t->ncolumns; c++)
        if (!add_columns(l, &t->columns[c], at)) return false;
    const size_t lines = (size_t)deq_axes_count(x, l->axes, l->naxes);
    l->cells = calloc(lines + 1, sizeof *l->cells);
    l->places = calloc(lines * (size_t)l->ncolumns + 1, sizeof *l->places);
    return l->cells && l->places;
}

static void lines_close(Lines *l) {
    for (int i = 0; l->cells && i < l->ncells; i++) {
        deq_table_cell *c = &l->cells[i];
        for (int k = 0; c->attacks && k < l->ncolumns; k++) free(c->attacks[k]);
        for (int k = 0; c->coordinates && k < l->nnames; k++) free((void *)(uintptr_t)c->coordinates[k]);
        free((void *)c->attacks);
        free((void *)c->coordinates);
        free((void *)c->values);
        free((void *)c->intervals);
        free((void *)c->verdicts);
        free((void *)c->bold);
        free((void *)c->evaluations);
        free((void *)c->repeats);
        deq_sources_free(&c->rests);
    }
    for (int k = 0; l->names && k < l->nnames; k++) free(l->names[k]);
    for (int k = 0; l->parts && k < l->ncolumns; k++) free(l->parts[k].title), free(l->parts[k].under);
    free(l->cells);
    free(l->places);
    free(l->axes);
    free(l->names);
    free(l->starts);
    free(l->rows);
    free(l->columns);
    free(l->parts);
}

/* ---- what a line rests on ---- */
/* Whether the line's place decides the place on all axes of the array. */
static bool is_decided(const Lines *l, const deq_array_spec *a) {
    for (int k = 0; k < a->naxes; k++)
        if (!is_line_axis(l->spec, a->axes[k])) return false;
    return true;
}

/* The column's place in the line: nothing that another column has left in `at` may stay. */
static void go_to(const Lines *l, int line, const Column *part, int *at) {
    memset(at, 0, (size_t)l->g->x->naxes * sizeof *at);
    deq_axes_place(l->g->x, l->axes, l->naxes, line, at);
    if (part) deq_axes_place(l->g->x, part->spec->by, part->spec->nby, part->place, at);
}

static bool find_sources(const Lines *l, int line, int *at, deq_table_cell *out) {
    deq_arrays *g = l->g;
    deq_sources_list *s = deq_sources_begin();
    go_to(l, line, NULL, at);
    for (int i = 0; s && i < g->x->narrays; i++)
        if (g->x->arrays[i].kind == DEQ_ARRAY_evaluate && is_decided(l, &g->x->arrays[i])) deq_sources_add(s, g, i, at);
    for (int c = 0; s && c < l->ncolumns; c++) {
        go_to(l, line, &l->parts[c], at);
        deq_sources_add(s, g, l->parts[c].spec->value, at);
    }
    return deq_sources_end(s, &out->rests);
}

/* ---- lines ---- */
/* The value equals what `bold:` says of it there. */
static bool is_bold(const Lines *l, int array, const int *at, double value) {
    for (int i = 0; i < l->spec->nbold; i++) {
        const deq_array_spec *b = &l->g->x->arrays[l->spec->bold[i]];
        if (b->ninputs && b->inputs[0] == array && deq_arrays_cell(l->g, l->spec->bold[i], at)->value == value)
            return true;
    }
    return false;
}

/* The place on the axes that make rows; a family and its member are one. */
static int row_of(const Lines *l, const int *at) {
    int row = 0;
    for (int r = 0; r < l->spec->nrows; r++) {
        const int first = l->rows[r], end = first + 1 < l->nnames ? l->starts[first + 1] : l->naxes;
        for (int k = l->starts[first]; k < end; k++) row = row * l->g->x->axes[l->axes[k]].nvalues + at[l->axes[k]];
    }
    return row;
}

/* Picks leave out the line in every column. */
static bool is_left_out(const Lines *l, const int *at) {
    for (int c = 0; c < l->spec->ncolumns; c++)
        if (!deq_arrays_left_out(l->g->x, l->spec->columns[c].value, l->axes, l->naxes, at)) return false;
    return l->spec->ncolumns > 0;
}

/* The column has the same cell of its value in a line before this one, of the same row. */
static bool is_repeated(const Lines *l, int line, int column) {
    const int own = l->places[line * l->ncolumns + column];
    for (int k = 0; k < line; k++)
        if (l->cells[k].row == l->cells[line].row && l->places[k * l->ncolumns + column] == own) return true;
    return false;
}

static bool make_line(Lines *l, int cell, int *at) {
    const deq_experiment_spec *x = l->g->x;
    go_to(l, cell, NULL, at);
    if (deq_axes_absent(x, l->axes, l->naxes, at) || is_left_out(l, at)) return true;
    const size_t n = (size_t)l->ncolumns + 1;
    const int line = l->ncells++;
    deq_table_cell *out = &l->cells[line];
    const char **coordinates = calloc((size_t)l->nnames + 1, sizeof *coordinates);
    double *values = calloc(n, sizeof *values);
    deq_interval *intervals = calloc(n, sizeof *intervals);
    deq_verdict *verdicts = calloc(n, sizeof *verdicts);
    char **attacks = calloc(n, sizeof *attacks);
    bool *bold = calloc(n, sizeof *bold);
    const deq_evaluation **evaluations = calloc(n, sizeof(deq_evaluation *));
    bool *repeats = calloc(n, sizeof *repeats);
    *out = (deq_table_cell){.row = row_of(l, at),
                            .coordinates = coordinates,
                            .repeats = repeats,
                            .values = values,
                            .intervals = intervals,
                            .attacks = attacks,
                            .verdicts = verdicts,
                            .bold = bold,
                            .evaluations = evaluations};
    if (!coordinates || !values || !intervals || !verdicts || !attacks || !bold || !evaluations || !repeats)
        return false;
    for (int k = 0, used; k < l->nnames; k++)
        if (!(coordinates[k] = deq_axes_text(
                  l->g->x, deq_axes_named_by(x, l->spec->columns, l->spec->ncolumns, l->axes[l->starts[k]]), l->axes,
                  l->naxes, l->starts[k], at, &used)))
            return false;
    for (int c = 0; c < l->ncolumns; c++) {
        const deq_column_spec *spec = l->parts[c].spec;
        const deq_array_spec *array = &x->arrays[spec->value];
        go_to(l, cell, &l->parts[c], at);
        const deq_cell *of = deq_arrays_cell(l->g, spec->value, at);
        l->places[line * l->ncolumns + c] = deq_axes_cell(x, array->axes, array->naxes, at);
        repeats[c] = is_repeated(l, line, c);
        values[c] = of->value;
        intervals[c] = of->interval;
        verdicts[c] = of->verdict;
        attacks[c] = deq_attack_text(of->evaluation);
        evaluations[c] = of->evaluation;
        bold[c] = is_bold(l, spec->value, at, of->value);
        if (l->columns[c].examples < of->examples) l->columns[c].examples = of->examples;
    }
    return find_sources(l, cell, at, out);
}

static bool write_files(const Lines *l, const deq_table *t, deq_error *e) {
    deq_app *app = l->g->app;
    char *name = deq_experiment_file(app, l->g->x, t->name, true), *stem = name ? deq_path_component(name) : NULL;
    char *markdown = stem ? deq_app_file(app, stem, ".md") : NULL, *csv = stem ? deq_app_file(app, stem, ".csv") : NULL,
         *json = stem ? deq_app_file(app, stem, "-table.json") : NULL, *checks = json ? deq_table_json(t, json) : NULL,
         *latex = stem ? deq_app_file(app, stem, ".tex") : NULL, *text = NULL, *values = NULL, *tex = NULL,
         *sealed = NULL;
    size_t size = 0, values_size = 0, tex_size = 0;
    FILE *f = open_memstream(&text, &size), *g = open_memstream(&values, &values_size),
         *h = open_memstream(&tex, &tex_size);
    bool ok = markdown && csv && json && latex && checks && f && g && h;
    if (f) deq_table_markdown(f, t), fclose(f);
    if (g) deq_table_csv(g, t), fclose(g);
    if (h) deq_table_latex(h, t), fclose(h);
    if (ok) sealed = deq_seal_csv(values, csv, &values_size);
    ok = sealed || deq_fail(e, DEQ_MEMORY, "out of memory for the table");
    const deq_output_text all[] = {{markdown, text, size},
                                   {csv, sealed, values_size},
                                   {json, checks, checks ? strlen(checks) : 0},
                                   {latex, tex, tex_size}};
    ok = ok && deq_result_files_write(app, all, 4, e);
    if (ok) {
        deq_report(&app->reporter, "\n%s", text);
        deq_report_event(&app->reporter, "table",
                         json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name", t->name, "markdown", markdown, "csv", csv,
                                   "json", json, "latex", latex, "text", text));
    }
    free(name);
    free(stem);
    free(markdown);
    free(json);
    free(checks);
    free(csv);
    free(latex);
    free(text);
    free(tex);
    free(values);
    free(sealed);
    return ok;
}

bool deq_lines_write(deq_arrays *g, const deq_table_spec *spec, deq_error *e) {
    Lines l = {0};
    int *at = calloc((size_t)g->x->naxes + 1, sizeof *at);
    bool ok = at && lines_open(&l, g, spec, at);
    const int n = ok ? deq_axes_count(g->x, l.axes, l.naxes) : 0;
    for (int i = 0; ok && i < n; i++) ok = make_line(&l, i, at);
    if (!ok) deq_fail(e, DEQ_MEMORY, "out of memory for the table '%s'", spec->name);
    const deq_table t = {.name = spec->name,
                         .experiment = g->x->name,
                         .axes = (const char *const *)l.names,
                         .naxes = l.nnames,
                         .rows = l.rows,
                         .nrows = spec->nrows,
                         .columns = l.columns,
                         .ncolumns = l.ncolumns,
                         .mean_std = spec->mean_std,
                         .cells = l.cells,
                         .ncells = l.ncells};
    ok = ok && write_files(&l, &t, e);
    lines_close(&l);
    free(at);
    return ok;
}
