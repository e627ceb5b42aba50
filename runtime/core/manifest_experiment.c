/* manifest_experiment.c - experiments: axes, arrays over them, tables, figures, claims. */
#include "manifest_reader.h"
#include <limits.h>
#include <string.h>

static const char *const kind_names[] = {
#define ARRAY(kind, doc) #kind,
#include "arrays.def"
#undef ARRAY
};
static const char *const reduction_names[] = {
#define REDUCTION(name, kind, doc) #name,
#include "reductions.def"
#undef REDUCTION
};
static const char *const figure_names[] = {
#define FIGURE(kind, several, doc) #kind,
#include "figures.def"
};
static const char *const band_names[] = {
#define BAND(word, samples, doc) #word,
#include "figures.def"
};

static int position(const char *const *names, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], name)) return i;
    return -1;
}

/* Whole numbers from 0 on, below `limit`. */
static int *places(manifest_reader *r, const json_t *list, int limit, int *count) {
    *count = (int)json_array_size(list);
    int *out = manifest_make(r, (size_t)*count, sizeof *out);
    for (int i = 0; out && i < *count; i++) {
        const json_int_t k = json_integer_value(json_array_get(list, (size_t)i));
        if (k < 0 || k >= limit) manifest_missing(r, "axes", "position in");
        out[i] = k < 0 || k >= limit ? 0 : (int)k;
    }
    return out;
}

static int array_named(manifest_reader *r, const deq_experiment_spec *x, int before, const char *name) {
    for (int i = 0; i < before; i++)
        if (!strcmp(x->arrays[i].name, name)) return i;
    deq_fail(r->e, DEQ_MODULE, "manifest: the experiment '%s' uses '%s', which is not above it", x->name, name);
    return 0;
}

/* Cells of some axes; -1 and an error where there are too many. */
static int cells_of(manifest_reader *r, const deq_experiment_spec *x, const int *axes, int naxes) {
    int64_t n = 1;
    for (int i = 0; i < naxes; i++) n *= x->axes[axes[i]].nvalues;
    if (n > 0 && n <= INT_MAX / 2) return (int)n;
    manifest_missing(r, "axes", "number of cells in");
    return -1;
}

static void check_specs(manifest_reader *r, const deq_experiment_spec *x, const deq_array_spec *a, int count) {
    if (cells_of(r, x, a->cells, a->ncells) != count) manifest_missing(r, "cells", "specification for every cell in");
}

static void read_values(manifest_reader *r, const json_t *o, deq_array_spec *a) {
    const json_t *v = manifest_list(r, o, "cells", &a->nspecs);
    a->values = manifest_make(r, (size_t)a->nspecs, sizeof *a->values);
    for (int i = 0; a->values && i < a->nspecs; i++) {
        const json_t *cell = json_array_get(v, (size_t)i);
        if (json_is_object(cell)) manifest_value(r, cell, &a->values[i]); /* null: there is no such cell */
    }
}

static void read_numbers(manifest_reader *r, const json_t *o, deq_array_spec *a) {
    const json_t *v = manifest_list(r, o, "numbers", &a->nspecs);
    a->numbers = manifest_make(r, (size_t)a->nspecs, sizeof *a->numbers);
    for (int i = 0; a->numbers && i < a->nspecs; i++) a->numbers[i] = json_number_value(json_array_get(v, (size_t)i));
}

/* The array that it is of. */
static void read_of(manifest_reader *r, const json_t *o, const deq_experiment_spec *x, int at, deq_array_spec *a) {
    a->ninputs = 1;
    a->inputs = manifest_make(r, 1, sizeof *a->inputs);
    if (a->inputs) a->inputs[0] = array_named(r, x, at, manifest_text(r, o, "of"));
}

static void read_picks(manifest_reader *r, const json_t *o, const deq_experiment_spec *x, int at, deq_array_spec *a) {
    const json_t *v = manifest_list(r, o, "picks", &a->npicks);
    a->picks = manifest_make(r, (size_t)a->npicks, sizeof *a->picks);
    for (int i = 0; a->picks && i < a->npicks; i++) {
        const json_t *p = json_array_get(v, (size_t)i);
        const char *choice = manifest_text_or_null(p, "choice");
        const int axis = (int)manifest_integer(r, p, "axis");
        if (axis < 0 || axis >= x->naxes) {
            manifest_missing(r, "axis", "position in");
            return;
        }
        const int n = x->axes[axis].nvalues;
        a->picks[i] = (deq_pick_spec){axis, (int)manifest_integer_or(p, "at", -1),
                                      choice ? array_named(r, x, at, choice) : -1, NULL, 0};
        if (a->picks[i].at >= n) manifest_missing(r, "at", "place in");
        a->picks[i].keep = places(r, json_object_get(p, "keep"), n, &a->picks[i].nkeep);
    }
}

static void read_members(manifest_reader *r, const json_t *o, deq_axis_spec *axis) {
    const json_t *v = json_object_get(o, "members");
    if (!v) return;
    axis->members = manifest_make(r, (size_t)axis->nvalues, sizeof *axis->members);
    axis->nmembers = manifest_make(r, (size_t)axis->nvalues, sizeof *axis->nmembers);
    for (int i = 0; axis->members && axis->nmembers && i < axis->nvalues; i++) {
        const json_t *family = json_array_get(v, (size_t)i);
        axis->nmembers[i] = (int)json_array_size(family);
        axis->members[i] = manifest_make(r, (size_t)axis->nmembers[i], sizeof *axis->members[i]);
        for (int k = 0; axis->members[i] && k < axis->nmembers[i]; k++) {
            const char *text = json_string_value(json_array_get(family, (size_t)k));
            axis->members[i][k] = text ? text : "";
        }
    }
}

/* Of a ragged axis; those that decide stand before it. */
static void read_given(manifest_reader *r, const json_t *o, deq_experiment_spec *x, int at) {
    deq_axis_spec *axis = &x->axes[at];
    axis->given = places(r, json_object_get(o, "given"), at ? at : 1, &axis->ngiven);
    if (!axis->ngiven) return;
    const int n = cells_of(r, x, axis->given, axis->ngiven);
    const json_t *v = json_object_get(o, "present");
    if (n < 0 || (int)json_array_size(v) != n) {
        manifest_missing(r, "present", "list for every cell in");
        axis->ngiven = 0;
        return;
    }
    axis->present = manifest_make(r, (size_t)n, sizeof *axis->present);
    for (int c = 0; axis->present && c < n; c++) {
        const json_t *own = json_array_get(v, (size_t)c);
        axis->present[c] = manifest_make(r, (size_t)axis->nvalues, sizeof *axis->present[c]);
        for (size_t i = 0; axis->present[c] && i < json_array_size(own); i++) {
            const int64_t number = json_integer_value(json_array_get(own, i));
            if (axis->members && i < (size_t)axis->nvalues)
                axis->present[c][i] = (int)number;
            else if (!axis->members && number >= 0 && number < axis->nvalues)
                axis->present[c][number] = 1;
            else
                manifest_missing(r, "present", "place in");
        }
    }
}

static void read_alone(manifest_reader *r, const json_t *o, const deq_experiment_spec *x, deq_array_spec *a) {
    const json_t *v = manifest_optional_list(o, "alone", &a->nalone);
    a->alone = manifest_make(r, (size_t)a->nalone, sizeof *a->alone);
    for (int i = 0; a->alone && i < a->nalone; i++) {
        const json_t *one = json_array_get(v, (size_t)i);
        const int axis = (int)manifest_integer(r, one, "axis");
        if (axis < 0 || axis >= x->naxes) manifest_missing(r, "axis", "position in");
        a->alone[i] = (deq_alone_spec){axis < 0 || axis >= x->naxes ? 0 : axis,
                                       json_is_true(json_object_get(one, "attack")), manifest_text(r, one, "key")};
    }
}

static void read_array(manifest_reader *r, const json_t *o, deq_experiment_spec *x, int at) {
    deq_array_spec *a = &x->arrays[at];
    r->where = "array";
    a->name = manifest_text(r, o, "name");
    const char *kind = manifest_text(r, o, "kind"), *what;
    const int found = position(kind_names, DEQ_ARRAY_KINDS, kind);
    a->kind = found < 0 ? DEQ_ARRAY_train : (deq_array_kind)found;
    if (found < 0) deq_fail(r->e, DEQ_MODULE, "manifest: '%s' is of the unknown kind '%s'", a->name, kind);
    a->axes = places(r, json_object_get(o, "axes"), x->naxes, &a->naxes);
    int nwaits;
    const int *waits = places(r, json_object_get(o, "waits"), x->naxes, &nwaits);
    a->cells = manifest_make(r, (size_t)(a->naxes + nwaits), sizeof *a->cells);
    for (int k = 0; a->cells && k < x->naxes; k++) { /* in order */
        bool has = false;
        for (int i = 0; i < a->naxes; i++) has |= a->axes[i] == k;
        for (int i = 0; i < nwaits; i++) has |= waits[i] == k;
        if (has) a->cells[a->ncells++] = k;
    }
    read_alone(r, o, x, a);
    const json_t *v;
    switch (a->kind) {
    case DEQ_ARRAY_train:
        a->trains = manifest_trains(r, o, &a->nspecs);
        for (int i = 0; a->trains && i < a->nspecs; i++) manifest_start(r, &a->trains[i], x->arrays, at);
        break;
    case DEQ_ARRAY_evaluate: read_values(r, o, a); break;
    case DEQ_ARRAY_coordinate: read_numbers(r, o, a); break;
    case DEQ_ARRAY_pick:
        read_of(r, o, x, at, a);
        read_picks(r, o, x, at, a);
        return;
    case DEQ_ARRAY_verdict: read_of(r, o, x, at, a); return;
    case DEQ_ARRAY_chosen:
        read_of(r, o, x, at, a);
        read_numbers(r, o, a);
        return;
    case DEQ_ARRAY_log:
        a->what = manifest_text(r, o, "what");
        a->train = manifest_text(r, o, "train");
        a->inputs = manifest_make(r, 1, sizeof *a->inputs);
        a->ninputs = a->inputs && manifest_text_or_null(o, "epoch");
        if (a->ninputs) a->inputs[0] = array_named(r, x, at, manifest_text(r, o, "epoch"));
        return;
    case DEQ_ARRAY_statistic:
        read_of(r, o, x, at, a);
        a->what = manifest_text(r, o, "what");
        return;
    case DEQ_ARRAY_expression:
        a->routine = manifest_text(r, o, "routine");
        v = manifest_list(r, o, "inputs", &a->ninputs);
        a->inputs = manifest_make(r, (size_t)a->ninputs, sizeof *a->inputs);
        for (int i = 0; a->inputs && i < a->ninputs; i++) {
            const char *name = json_string_value(json_array_get(v, (size_t)i));
            a->inputs[i] = array_named(r, x, at, name ? name : "");
        }
        return;
    case DEQ_ARRAY_reduce:
        read_of(r, o, x, at, a);
        what = manifest_text(r, o, "what");
        a->reduction = (deq_reduction)position(reduction_names, DEQ_REDUCTIONS, what);
        if ((int)a->reduction < 0) deq_fail(r->e, DEQ_MODULE, "manifest: there is no reduction '%s'", what);
        a->over = places(r, json_object_get(o, "over"), x->naxes, &a->nover);
        a->share = json_number_value(json_object_get(o, "share"));
        if (a->reduction != DEQ_REDUCE_spearman) return;
        read_numbers(r, o, a);
        if (a->nover != 1 || a->nspecs != x->axes[a->over[0]].nvalues)
            manifest_missing(r, "numbers", "number of values in");
        return;
    case DEQ_ARRAY_KINDS: return;
    }
    check_specs(r, x, a, a->nspecs);
}

static deq_column_spec read_column(manifest_reader *r, const json_t *o, const deq_experiment_spec *x) {
    const char *format = manifest_text_or_null(o, "format");
    deq_column_spec c = {.title = manifest_text(r, o, "title"),
                         .value = array_named(r, x, x->narrays, manifest_text(r, o, "value")),
                         .percent = format && !strcmp(format, "percent"),
                         .names = (int)manifest_integer_or(o, "names", -1),
                         .verdict = format && !strcmp(format, "verdict")};
    c.by = places(r, json_object_get(o, "by"), x->naxes, &c.nby);
    if (c.names >= x->naxes) manifest_missing(r, "names", "axis in");
    return c;
}

static void read_table(manifest_reader *r, const json_t *o, const deq_experiment_spec *x, deq_table_spec *t) {
    r->where = "table";
    t->name = manifest_text(r, o, "name");
    const json_t *v = manifest_list(r, o, "rows", &t->nrows);
    t->rows = manifest_make(r, (size_t)t->nrows, sizeof *t->rows);
    for (int i = 0; t->rows && i < t->nrows; i++)
        t->rows[i].axes = places(r, json_array_get(v, (size_t)i), x->naxes, &t->rows[i].naxes);
    v = manifest_list(r, o, "columns", &t->ncolumns);
    t->columns = manifest_make(r, (size_t)t->ncolumns, sizeof *t->columns);
    for (int i = 0; t->columns && i < t->ncolumns; i++) t->columns[i] = read_column(r, json_array_get(v, (size_t)i), x);
    v = manifest_optional_list(o, "bold", &t->nbold);
    t->bold = manifest_make(r, (size_t)t->nbold, sizeof *t->bold);
    for (int i = 0; t->bold && i < t->nbold; i++) {
        const char *name = json_string_value(json_array_get(v, (size_t)i));
        t->bold[i] = array_named(r, x, x->narrays, name ? name : "");
    }
    t->join = places(r, json_object_get(o, "join"), x->naxes, &t->njoin);
    const char *cells = manifest_text_or_null(o, "cells");
    t->mean_std = cells && !strcmp(cells, "mean_std");
}

static int word_at(manifest_reader *r, const json_t *o, const char *key, const char *const *names, int n) {
    const int at = position(names, n, manifest_text(r, o, key));
    if (at < 0) manifest_missing(r, key, "known word in");
    return at < 0 ? 0 : at;
}

static void read_figure(manifest_reader *r, const json_t *o, const deq_experiment_spec *x, deq_figure_spec *f) {
    r->where = "figure";
    const json_t *along = json_object_get(o, "x"), *v = manifest_list(r, o, "values", &f->nvalues);
    f->name = manifest_text(r, o, "name");
    f->kind = (deq_figure_kind)word_at(r, o, "kind", figure_names, DEQ_FIGURES);
    f->values = manifest_make(r, (size_t)f->nvalues, sizeof *f->values);
    for (int i = 0; f->values && i < f->nvalues; i++) f->values[i] = read_column(r, json_array_get(v, (size_t)i), x);
    f->x.value = -1;
    if (along) f->x = read_column(r, along, x);
    f->along = places(r, json_object_get(o, "along"), x->naxes, &f->nalong);
    f->by = places(r, json_object_get(o, "by"), x->naxes, &f->nby);
    f->samples = places(r, json_object_get(o, "samples"), x->naxes, &f->nsamples);
    f->band = (deq_band)word_at(r, o, "band", band_names, DEQ_BANDS);
    f->low = json_number_value(json_object_get(o, "low"));
    f->high = json_number_value(json_object_get(o, "high"));
    f->logarithmic = manifest_flag(o, "logarithmic");
    f->x_logarithmic = manifest_flag(o, "x_logarithmic");
    f->label = manifest_text_or_null(o, "label");
    f->x_label = manifest_text_or_null(o, "x_label");
}

void manifest_experiment(manifest_reader *r, const json_t *o, deq_experiment_spec *x) {
    r->where = "experiment";
    x->name = manifest_text(r, o, "name");
    x->line = (int)manifest_integer_or(o, "line", 0);
    x->audit = json_is_true(json_object_get(o, "audit"));
    const json_t *v = manifest_list(r, o, "axes", &x->naxes);
    x->axes = manifest_make(r, (size_t)x->naxes, sizeof *x->axes);
    for (int i = 0; x->axes && i < x->naxes; i++) {
        const json_t *s = json_array_get(v, (size_t)i);
        x->axes[i].name = manifest_text(r, s, "name");
        x->axes[i].values = manifest_texts(r, s, "values", &x->axes[i].nvalues);
        x->axes[i].choice = -1;
        x->axes[i].seed = json_is_true(json_object_get(s, "seed"));
        read_members(r, s, &x->axes[i]);
        read_given(r, s, x, i);
    }
    const json_t *arrays = manifest_list(r, o, "arrays", &x->narrays), *tables;
    x->arrays = manifest_make(r, (size_t)x->narrays, sizeof *x->arrays);
    for (int i = 0; x->axes && x->arrays && i < x->narrays; i++) read_array(r, json_array_get(arrays, (size_t)i), x, i);
    for (int i = 0; x->axes && x->arrays && i < x->naxes; i++) {
        const char *choice = manifest_text_or_null(json_array_get(v, (size_t)i), "choice");
        if (choice) x->axes[i].choice = array_named(r, x, x->narrays, choice);
    }
    tables = manifest_list(r, o, "tables", &x->ntables);
    x->tables = manifest_make(r, (size_t)x->ntables, sizeof *x->tables);
    for (int i = 0; x->arrays && x->tables && i < x->ntables; i++)
        read_table(r, json_array_get(tables, (size_t)i), x, &x->tables[i]);
    const json_t *figures = manifest_optional_list(o, "figures", &x->nfigures);
    x->figures = manifest_make(r, (size_t)x->nfigures, sizeof *x->figures);
    for (int i = 0; x->arrays && x->figures && i < x->nfigures; i++)
        read_figure(r, json_array_get(figures, (size_t)i), x, &x->figures[i]);
    const json_t *claims = manifest_optional_list(o, "claims", &x->nclaims);
    x->claims = manifest_make(r, (size_t)x->nclaims, sizeof *x->claims);
    for (int i = 0; x->arrays && x->claims && i < x->nclaims; i++) {
        const json_t *c = json_array_get(claims, (size_t)i);
        const char *value = manifest_text_or_null(c, "value"), *format = manifest_text_or_null(c, "format");
        r->where = "claim";
        x->claims[i] = (deq_claim_spec){.text = manifest_text(r, c, "text"),
                                        .line = (int)manifest_integer_or(c, "line", 0),
                                        .condition = array_named(r, x, x->narrays, manifest_text(r, c, "condition")),
                                        .value = value ? array_named(r, x, x->narrays, value) : -1,
                                        .percent = format && !strcmp(format, "percent")};
    }
}

bool deq_each_train(deq_manifest *m, bool (*visit)(deq_train_spec *, void *), void *context) {
    for (int i = 0; i < m->ntrains; i++)
        if (!visit(&m->trains[i], context)) return false;
    for (int i = 0; i < m->nexperiments; i++)
        for (int k = 0; k < m->experiments[i].narrays; k++) {
            const deq_array_spec *a = &m->experiments[i].arrays[k];
            for (int c = 0; a->trains && c < a->nspecs; c++)
                if (a->trains[c].name && !visit(&a->trains[c], context)) return false;
        }
    return true;
}

bool deq_each_value(deq_manifest *m, bool (*visit)(deq_value_spec *, void *), void *context) {
    for (int i = 0; i < m->nexperiments; i++)
        for (int k = 0; k < m->experiments[i].narrays; k++) {
            const deq_array_spec *a = &m->experiments[i].arrays[k];
            for (int c = 0; a->values && c < a->nspecs; c++)
                if (a->values[c].name && !visit(&a->values[c], context)) return false;
        }
    return true;
}
