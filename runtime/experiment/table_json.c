/* table_json.c - an experiment's table as JSON: what the CSV has, and every check of every verdict with its number. */
#include "table.h"
#include "seal.h"
#include "training_log.h"
#include <math.h>
#include <stdlib.h>

/* What a column's value is called; NULL: it is a number. */
static const char *name_of(const deq_table_column *c, double value) {
    return c->names && !isnan(value) ? c->names[(int)value] : NULL;
}

/* A choice among numbers is the number chosen; among other values it has a name only. */
static double number_of(const deq_table_column *c, double value) {
    const char *name = c->ordered ? NULL : name_of(c, value);
    char *end = NULL;
    const double number = name ? strtod(name, &end) : value;
    return !name || (end != name && !*end) ? number : NAN;
}

static json_t *json_cell(const deq_table *t, const deq_table_cell *cell) {
    json_t *where = json_object(), *values = json_array();
    for (int s = 0; s < t->naxes; s++) json_object_set_new(where, t->axes[s], json_string(cell->coordinates[s]));
    for (int c = 0; c < t->ncolumns; c++) {
        const deq_verdict *v = &cell->verdicts[c];
        json_t *o =
            json_pack("{s:s, s:o, s:o, s:o}", "title", t->columns[c].title, "value",
                      deq_json_number(number_of(&t->columns[c], cell->values[c])), "low",
                      deq_json_number(cell->intervals[c].low), "high", deq_json_number(cell->intervals[c].high));
        const char *name = name_of(&t->columns[c], cell->values[c]);
        if (name) json_object_set_new(o, "name", json_string(name));
        if (cell->attacks[c]) json_object_set_new(o, "attack", json_string(cell->attacks[c]));
        if (cell->evaluations[c]) deq_evaluation_members(cell->evaluations[c], o);
        if (v->level) deq_verdict_members(v, o);
        json_array_append_new(values, o);
    }
    return json_pack("{s:o, s:o}", "coordinates", where, "values", values);
}

char *deq_table_json(const deq_table *t, const char *path) {
    json_t *list = json_array();
    for (int i = 0; i < t->ncells; i++) json_array_append_new(list, json_cell(t, &t->cells[i]));
    json_t *o = json_pack("{s:s, s:s, s:o}", "table", t->name, "experiment", t->experiment, "cells", list);
    char *text = o ? deq_seal_json(o, path) : NULL;
    json_decref(o);
    return text;
}
