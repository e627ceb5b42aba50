/* verdicts.c - see verdicts.h. */
#define _GNU_SOURCE
#include "verdicts.h"
#include "result_files.h"
#include "seal.h"
#include "sources.h"
#include <stdlib.h>
#include <string.h>

/* Shown as it is by a table or a figure, whose file has its verdicts. */
static bool is_shown(const deq_experiment_spec *x, int array) {
    for (int t = 0; t < x->ntables; t++)
        for (int c = 0; c < x->tables[t].ncolumns; c++)
            if (x->tables[t].columns[c].value == array) return true;
    for (int f = 0; f < x->nfigures; f++)
        for (int v = 0; v < x->figures[f].nvalues; v++)
            if (x->figures[f].values[v].value == array && !x->figures[f].nsamples) return true;
    return false;
}

/* {mode: "jfb()", seed: "0"}; a family and its member are one. */
static json_t *coordinates_json(const deq_experiment_spec *x, const deq_array_spec *a, const int *at) {
    json_t *out = json_object();
    for (int k = 0, used = 1; k < a->naxes; k += used) {
        char *name = deq_axes_text(x, -1, a->axes, a->naxes, k, NULL, &used),
             *value = deq_axes_text(x, -1, a->axes, a->naxes, k, at, &used);
        if (name && value) json_object_set_new(out, name, json_string(value));
        free(name);
        free(value);
    }
    return out;
}

static json_t *cell_json(const deq_arrays *g, const deq_array_spec *a, const deq_cell *c, const int *at) {
    char *attack = deq_attack_text(c->evaluation);
    json_t *value =
        json_pack("{s:s, s:o, s:o, s:o, s:s*}", "title", a->name, "value", deq_json_number(c->value), "low",
                  deq_json_number(c->interval.low), "high", deq_json_number(c->interval.high), "attack", attack);
    free(attack);
    deq_evaluation_members(c->evaluation, value);
    deq_verdict_members(&c->verdict, value);
    return json_pack("{s:o, s:[o]}", "coordinates", coordinates_json(g->x, a, at), "values", value);
}

/* Appends the cells of the array; whether one of them is judged. */
static bool add_cells(deq_arrays *g, int array, int *at, json_t *cells) {
    const deq_array_spec *a = &g->x->arrays[array];
    bool some = false;
    for (int k = 0; k < deq_axes_count(g->x, a->axes, a->naxes); k++) {
        deq_axes_place(g->x, a->axes, a->naxes, k, at);
        const deq_cell *c = deq_arrays_cell(g, array, at);
        if (!c->done || !c->evaluation || !c->verdict.level) continue;
        some = true;
        if (cells) json_array_append_new(cells, cell_json(g, a, c, at));
    }
    memset(at, 0, (size_t)g->x->naxes * sizeof *at);
    return some;
}

bool deq_verdicts_write(deq_arrays *g, deq_error *e) {
    int *at = calloc((size_t)g->x->naxes + 1, sizeof *at);
    json_t *cells = json_array();
    char *name = NULL;
    bool some = false;
    for (int i = 0; at && i < g->x->narrays; i++)
        if (g->x->arrays[i].kind == DEQ_ARRAY_evaluate)
            some = add_cells(g, i, at, is_shown(g->x, i) ? NULL : cells) || some;
    json_t *all = json_pack("{s:s, s:O}", "experiment", g->x->name, "cells", cells);
    char *stem = asprintf(&name, "%s-verdicts", g->x->name) < 0 ? NULL : deq_path_component(name),
         *path = stem ? deq_app_file(g->app, stem, ".json") : NULL,
         *text = path && all ? deq_seal_json(all, path) : NULL;
    const deq_output_text one[] = {{path, text, text ? strlen(text) : 0}};
    const bool ok = text && at ? !some || deq_result_files_write(g->app, one, 1, e)
                               : deq_fail(e, DEQ_MEMORY, "out of memory for the verdicts of '%s'", g->x->name);
    json_decref(all);
    json_decref(cells);
    free(text);
    free(path);
    free(stem);
    free(name);
    free(at);
    return ok;
}
