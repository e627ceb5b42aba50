/* lines.c - see lines.h.  A line of a table is a place on the axes that make rows or are joined.  It names the nets and
 * journals of all that was made at that place, or that its columns rest on. */
#define _GNU_SOURCE
#include "lines.h"
#include "experiment.h"
#include "output.h"
#include "seal.h"
#include "table.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Lines {
    deq_arrays *g;
    const deq_table_spec *spec;
    int *axes, naxes; /* of the lines, ascending: rows and what is joined */
    const char **names;
    int *rows;
    deq_table_column *columns;
    deq_table_cell *cells;
    int ncells;
} Lines;

static bool is_line_axis(const deq_table_spec *t, int axis) {
    for (int r = 0; r < t->nrows; r++)
        for (int k = 0; k < t->rows[r].naxes; k++)
            if (t->rows[r].axes[k] == axis) return true;
    for (int k = 0; k < t->njoin; k++)
        if (t->join[k] == axis) return true;
    return false;
}

static bool lines_open(Lines *l, deq_arrays *g, const deq_table_spec *t) {
    const deq_experiment_spec *x = g->x;
    *l = (Lines){.g = g, .spec = t};
    l->axes = calloc((size_t)x->naxes + 1, sizeof *l->axes);
    l->names = calloc((size_t)x->naxes + 1, sizeof *l->names);
    l->rows = calloc((size_t)t->nrows + 1, sizeof *l->rows);
    l->columns = calloc((size_t)t->ncolumns + 1, sizeof *l->columns);
    if (!l->axes || !l->names || !l->rows || !l->columns) return false;
    for (int k = 0; k < x->naxes; k++)
        if (is_line_axis(t, k)) l->names[l->naxes] = x->axes[k].name, l->axes[l->naxes++] = k;
    for (int r = 0; r < t->nrows; r++)
        for (int k = 0; k < l->naxes; k++)
            if (l->axes[k] == t->rows[r].axes[0]) l->rows[r] = k;
    for (int c = 0; c < t->ncolumns; c++)
        l->columns[c] = (deq_table_column){
            t->columns[c].title, t->columns[c].percent, 0,
            t->columns[c].names < 0 ? NULL : (const char *const *)x->axes[t->columns[c].names].values};
    l->ncells = deq_axes_count(x, l->axes, l->naxes);
    l->cells = calloc((size_t)l->ncells + 1, sizeof *l->cells);
    return l->cells;
}

static void lines_close(Lines *l) {
    for (int i = 0; l->cells && i < l->ncells; i++) {
        deq_table_cell *c = &l->cells[i];
        for (int k = 0; c->attacks && k < l->spec->ncolumns; k++) free(c->attacks[k]);
        free((void *)c->attacks);
        free((void *)c->coordinates);
        free((void *)c->values);
        free((void *)c->intervals);
        free((void *)c->verdicts);
        free((void *)c->seeds);
        free((void *)c->nets);
        free((void *)c->journals);
    }
    free(l->cells);
    free(l->axes);
    free(l->names);
    free(l->rows);
    free(l->columns);
}

/* ---- what a line rests on ---- */
/* Whether the line's place decides the place on all axes of the array. */
static bool is_decided(const Lines *l, const deq_array_spec *a) {
    for (int k = 0; k < a->naxes; k++)
        if (!is_line_axis(l->spec, a->axes[k])) return false;
    return true;
}

typedef struct Sources {
    FILE *seeds, *nets, *journals;
    const deq_model **models;
    const deq_cell **evaluations;
    int nmodels, nevaluations, models_cap, evaluations_cap;
    deq_table_cell *out;
    bool failed;
} Sources;

static bool known(const void ***list, int *n, int *cap, const void *item, bool *failed) {
    for (int i = 0; i < *n; i++)
        if ((*list)[i] == item) return true;
    if (*n == *cap) {
        const int more = *cap ? 2 * *cap : 32;
        const void **grown = realloc((void *)*list, (size_t)more * sizeof *grown);
        if (!grown) return *failed = true;
        *list = grown;
        *cap = more;
    }
    (*list)[(*n)++] = item;
    return false;
}

static void add_source(Sources *s, const deq_cell *c) {
    if (known((const void ***)&s->evaluations, &s->nevaluations, &s->evaluations_cap, c, &s->failed)) return;
    fprintf(s->journals, "%s%s", ftell(s->journals) ? ";" : "", c->evaluation->key);
    s->out->seconds += c->evaluation->seconds;
    s->out->undefined += c->evaluation->undefined;
    if (known((const void ***)&s->models, &s->nmodels, &s->models_cap, c->model, &s->failed)) return;
    fprintf(s->seeds, "%s%llu", ftell(s->seeds) ? ";" : "", (unsigned long long)c->model->spec->seed);
    fprintf(s->nets, "%s%s", ftell(s->nets) ? ";" : "", c->model->key);
    s->out->train_seconds += c->model->seconds;
}

static void add_sources(const Lines *l, Sources *s, int array, const int *at) {
    const deq_experiment_spec *x = l->g->x;
    const deq_array_spec *a = &x->arrays[array];
    if (a->kind == DEQ_ARRAY_evaluate) add_source(s, deq_arrays_cell(l->g, array, at));
    if (a->kind != DEQ_ARRAY_reduce) {
        for (int i = 0; i < a->ninputs; i++) add_sources(l, s, a->inputs[i], at);
        return;
    }
    int *inner = malloc((size_t)(x->naxes + 1) * sizeof *inner);
    if (!inner) s->failed = true;
    if (inner) memcpy(inner, at, (size_t)x->naxes * sizeof *inner);
    for (int part = 0; inner && part < deq_axes_count(x, a->over, a->nover); part++) {
        deq_axes_place(x, a->over, a->nover, part, inner);
        add_sources(l, s, a->inputs[0], inner);
    }
    free(inner);
}

static bool find_sources(const Lines *l, const int *at, deq_table_cell *out) {
    char *texts[3] = {NULL};
    size_t size[3];
    Sources s = {.seeds = open_memstream(&texts[0], &size[0]),
                 .nets = open_memstream(&texts[1], &size[1]),
                 .journals = open_memstream(&texts[2], &size[2]),
                 .out = out};
    s.failed = !s.seeds || !s.nets || !s.journals;
    for (int i = 0; !s.failed && i < l->g->x->narrays; i++)
        if (l->g->x->arrays[i].kind == DEQ_ARRAY_evaluate && is_decided(l, &l->g->x->arrays[i]))
            add_sources(l, &s, i, at);
    for (int c = 0; !s.failed && c < l->spec->ncolumns; c++) add_sources(l, &s, l->spec->columns[c].value, at);
    if (s.seeds) fclose(s.seeds);
    if (s.nets) fclose(s.nets);
    if (s.journals) fclose(s.journals);
    out->seeds = texts[0];
    out->nets = texts[1];
    out->journals = texts[2];
    free((void *)s.models);
    free((void *)s.evaluations);
    return !s.failed;
}

/* What the table says of the attack; NULL: none. */
static char *attack_text(const deq_evaluation *v) {
    char *text = NULL;
    if (!v || !v->attacked) return NULL;
    return asprintf(&text, "%s%s%s", v->attacked, v->trained ? "; trained against " : "",
                    v->trained ? v->trained : "") < 0
               ? NULL
               : text;
}

/* ---- lines ---- */
static bool make_line(Lines *l, int cell, int *at) {
    const deq_experiment_spec *x = l->g->x;
    const size_t n = (size_t)l->spec->ncolumns + 1;
    deq_table_cell *out = &l->cells[cell];
    const char **coordinates = calloc((size_t)l->naxes + 1, sizeof *coordinates);
    double *values = calloc(n, sizeof *values);
    deq_interval *intervals = calloc(n, sizeof *intervals);
    deq_verdict *verdicts = calloc(n, sizeof *verdicts);
    char **attacks = calloc(n, sizeof *attacks);
    *out = (deq_table_cell){
        .coordinates = coordinates, .values = values, .intervals = intervals, .attacks = attacks, .verdicts = verdicts};
    if (!coordinates || !values || !intervals || !verdicts || !attacks) return false;
    deq_axes_place(x, l->axes, l->naxes, cell, at);
    for (int k = 0; k < l->naxes; k++) coordinates[k] = x->axes[l->axes[k]].values[at[l->axes[k]]];
    for (int c = 0; c < l->spec->ncolumns; c++) {
        const deq_cell *of = deq_arrays_cell(l->g, l->spec->columns[c].value, at);
        values[c] = of->value;
        intervals[c] = of->interval;
        verdicts[c] = of->verdict;
        attacks[c] = attack_text(of->evaluation);
        if (l->columns[c].examples < of->examples) l->columns[c].examples = of->examples;
    }
    return find_sources(l, at, out);
}

static bool write_files(const Lines *l, const deq_table *t, deq_error *e) {
    deq_app *app = l->g->app;
    char *name = deq_experiment_file(app, l->g->x, t->name, true), *stem = name ? deq_path_component(name) : NULL;
    char *markdown = stem ? deq_app_file(app, stem, ".md") : NULL, *csv = stem ? deq_app_file(app, stem, ".csv") : NULL,
         *json = stem ? deq_app_file(app, stem, "-table.json") : NULL, *checks = json ? deq_table_json(t, json) : NULL,
         *text = NULL, *values = NULL, *sealed = NULL;
    size_t size = 0, values_size = 0;
    FILE *f = open_memstream(&text, &size), *g = open_memstream(&values, &values_size);
    bool ok = markdown && csv && json && checks && f && g;
    if (f) deq_table_markdown(f, t), fclose(f);
    if (g) deq_table_csv(g, t), fclose(g);
    if (ok) sealed = deq_seal_csv(values, csv, &values_size);
    ok = sealed || deq_fail(e, DEQ_MEMORY, "out of memory for the table");
    const deq_output_text all[] = {
        {markdown, text, size}, {csv, sealed, values_size}, {json, checks, checks ? strlen(checks) : 0}};
    ok = ok && deq_output_write_all(all, 3, e);
    if (ok) {
        deq_report(&app->reporter, "\n%s", text);
        deq_report_event(&app->reporter, "table",
                         json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", t->name, "markdown", markdown, "csv", csv,
                                   "json", json, "text", text));
    }
    free(name);
    free(stem);
    free(markdown);
    free(json);
    free(checks);
    free(csv);
    free(text);
    free(values);
    free(sealed);
    return ok;
}

bool deq_lines_write(deq_arrays *g, const deq_table_spec *spec, deq_error *e) {
    Lines l;
    int *at = calloc((size_t)g->x->naxes + 1, sizeof *at);
    bool ok = lines_open(&l, g, spec) && at;
    for (int i = 0; ok && i < l.ncells; i++) ok = make_line(&l, i, at);
    if (!ok) deq_fail(e, DEQ_MEMORY, "out of memory for the table '%s'", spec->name);
    const deq_table t = {spec->name, g->x->name,     l.names,        l.naxes, l.rows,  spec->nrows,
                         l.columns,  spec->ncolumns, spec->mean_std, l.cells, l.ncells};
    ok = ok && write_files(&l, &t, e);
    lines_close(&l);
    free(at);
    return ok;
}
