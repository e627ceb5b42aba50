/* axis_places.c - places on the axes of an experiment: cells, names, labels, and which are not there. */
#define _GNU_SOURCE
#include "arrays.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int deq_axes_count(const deq_experiment_spec *x, const int *axes, int naxes) {
    int n = 1;
    for (int k = 0; k < naxes; k++) n *= x->axes[axes[k]].nvalues;
    return n;
}

int deq_axes_cell(const deq_experiment_spec *x, const int *axes, int naxes, const int *at) {
    int cell = 0;
    for (int k = 0; k < naxes; k++) cell = cell * x->axes[axes[k]].nvalues + at[axes[k]];
    return cell;
}

void deq_axes_place(const deq_experiment_spec *x, const int *axes, int naxes, int cell, int *at) {
    for (int k = naxes; k-- > 0;) {
        at[axes[k]] = cell % x->axes[axes[k]].nvalues;
        cell /= x->axes[axes[k]].nvalues;
    }
}

static bool has_axis(const int *axes, int naxes, int axis) {
    for (int k = 0; k < naxes; k++)
        if (axes[k] == axis) return true;
    return false;
}

/* A family and its member stand side by side. */
static bool is_pair(const deq_experiment_spec *x, const int *axes, int naxes, int k) {
    return x->axes[axes[k]].nmembers && k + 1 < naxes && axes[k + 1] == axes[k] + 1;
}

static int axes_name(const deq_experiment_spec *x, const int *axes, int naxes, int k, FILE *out) {
    const char *name = x->axes[axes[k]].name, *end = strrchr(name, '.');
    const bool pair = is_pair(x, axes, naxes, k);
    fprintf(out, "%.*s", (int)(pair && end ? (size_t)(end - name) : strlen(name)), name);
    return pair ? 2 : 1;
}

int deq_axes_family(const deq_experiment_spec *x, int array, int axis) {
    const deq_array_spec *a = &x->arrays[array];
    int family = -1;
    if (axis == 0 || !x->axes[axis - 1].nmembers) return -1;
    for (int i = 0; i < a->npicks; i++) {
        const deq_pick_spec *p = &a->picks[i];
        if (p->axis == axis - 1 && (p->at >= 0 || p->nkeep == 1)) return p->at >= 0 ? p->at : p->keep[0];
    }
    for (int i = 0; i < a->ninputs; i++) {
        const deq_array_spec *input = &x->arrays[a->inputs[i]];
        const int own = deq_axes_family(x, a->inputs[i], axis);
        if (!has_axis(input->axes, input->naxes, axis)) continue;
        if (own < 0 || (family >= 0 && own != family)) return -1;
        family = own;
    }
    return family;
}

int deq_axes_named_by(const deq_experiment_spec *x, const deq_column_spec *shown, int nshown, int axis) {
    int array = -1, family = -1;
    for (int c = 0; c < nshown; c++) {
        const int value = shown[c].value, own = deq_axes_family(x, value, axis);
        if (!has_axis(x->arrays[value].axes, x->arrays[value].naxes, axis)) continue;
        if (own < 0 || (family >= 0 && own != family)) return -1;
        array = value, family = own;
    }
    return array;
}

int deq_axes_value(const deq_experiment_spec *x, int array, const int *axes, int naxes, int k, const int *at,
                   FILE *out) {
    const deq_axis_spec *axis = &x->axes[axes[k]];
    const int place = at[axes[k]], family = array < 0 ? -1 : deq_axes_family(x, array, axes[k]);
    const deq_axis_spec *of = family < 0 ? NULL : &x->axes[axes[k] - 1];
    fputs(of && place < of->nmembers[family] ? of->members[family][place] : axis->values[place], out);
    if (!is_pair(x, axes, naxes, k)) return 1;
    const int member = at[axes[k + 1]];
    if (member < axis->nmembers[place] && strcmp(axis->members[place][member], axis->values[place]))
        fprintf(out, " (%s)", axis->members[place][member]);
    return 2;
}

char *deq_axes_text(const deq_experiment_spec *x, int array, const int *axes, int naxes, int k, const int *at,
                    int *used) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f) return NULL;
    *used = at ? deq_axes_value(x, array, axes, naxes, k, at, f) : axes_name(x, axes, naxes, k, f);
    fclose(f);
    return text;
}

char *deq_axes_label(const deq_experiment_spec *x, int array, const int *axes, int naxes, const int *at,
                     const char *name) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) return NULL;
    fputs(name, f);
    for (int k = 0; k < naxes;) {
        fputs(k ? ", " : " (", f);
        axes_name(x, axes, naxes, k, f);
        fputs(" = ", f);
        k += deq_axes_value(x, array, axes, naxes, k, at, f);
    }
    if (naxes) fputc(')', f);
    fclose(f);
    return text;
}

/* What decides which values the axis has is among the axes. */
static bool is_given(const deq_axis_spec *axis, const int *axes, int naxes) {
    for (int i = 0; i < axis->ngiven; i++)
        if (!has_axis(axes, naxes, axis->given[i])) return false;
    return axis->ngiven > 0;
}

bool deq_axes_absent(const deq_experiment_spec *x, const int *axes, int naxes, const int *at) {
    for (int k = 0; k < naxes; k++) {
        const deq_axis_spec *axis = &x->axes[axes[k]];
        const int place = at[axes[k]];
        const int member = axis->nmembers && has_axis(axes, naxes, axes[k] + 1) ? at[axes[k] + 1] : -1;
        if (member >= 0 && member >= axis->nmembers[place]) return true;
        if (!is_given(axis, axes, naxes)) continue;
        const int present = axis->present[deq_axes_cell(x, axis->given, axis->ngiven, at)][place];
        if (member >= 0 ? member >= present : !axis->nmembers && !present) return true;
    }
    return false;
}

const deq_train_spec *deq_axes_train(const deq_manifest *m, const deq_experiment_spec *x, const char *name,
                                     const int *at) {
    for (int i = 0; i < x->narrays; i++) {
        const deq_array_spec *t = &x->arrays[i];
        if (t->kind == DEQ_ARRAY_train && !strcmp(t->name, name))
            return &t->trains[deq_axes_cell(x, t->cells, t->ncells, at)];
    }
    return deq_manifest_train(m, name, NULL);
}

static int without(int *axes, int naxes, int axis) {
    int n = 0;
    for (int k = 0; k < naxes; k++)
        if (axes[k] != axis) axes[n++] = axes[k];
    return n;
}

bool deq_arrays_left_out(const deq_experiment_spec *x, int array, const int *axes, int naxes, const int *at) {
    const deq_array_spec *a = &x->arrays[array];
    int kept = naxes, *own = malloc((size_t)(naxes + 1) * sizeof *own); /* the axes that mean the same below it */
    bool out = false;
    if (!own) return false;
    memcpy(own, axes, (size_t)naxes * sizeof *own);
    for (int i = 0; i < a->npicks && !out; i++) {
        const deq_pick_spec *p = &a->picks[i];
        out = p->nkeep && has_axis(own, kept, p->axis);
        for (int k = 0; k < p->nkeep; k++) out = out && p->keep[k] != at[p->axis];
        if (!p->nkeep) kept = without(own, kept, p->axis);
    }
    for (int k = 0; k < a->nover; k++) kept = without(own, kept, a->over[k]);
    const bool passes = a->kind == DEQ_ARRAY_pick || a->kind == DEQ_ARRAY_expression || a->kind == DEQ_ARRAY_reduce ||
                        a->kind == DEQ_ARRAY_chosen || a->kind == DEQ_ARRAY_statistic || a->kind == DEQ_ARRAY_verdict;
    for (int i = 0; passes && i < a->ninputs && !out; i++) out = deq_arrays_left_out(x, a->inputs[i], own, kept, at);
    free(own);
    return out;
}
