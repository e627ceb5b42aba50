/* figure_names.c - what places on the axes of a figure are called, and where those that exist stand. */
#define _GNU_SOURCE
#include "figure.h"
#include <ctype.h>
#include <stdlib.h>

/* "early, pgd"; a bare number says what it is of: "seed = 1". */
static char *label_of(const deq_figure_names *names, int place, bool told) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f) return NULL;
    for (int c = 0; c < names->ncolumns; c++) {
        const char *own = names->texts[place][c];
        fputs(c ? ", " : "", f);
        if (told && !isalpha((unsigned char)*own)) fprintf(f, "%s = ", names->columns[c]);
        fputs(own, f);
    }
    fclose(f);
    return text;
}

bool deq_names_open(deq_figure_names *n, const deq_experiment_spec *x, const deq_figure_spec *of, const int *axes,
                    int naxes, bool told, int *at) {
    n->n = deq_axes_count(x, axes, naxes);
    n->columns = calloc((size_t)naxes + 1, sizeof *n->columns);
    n->texts = calloc((size_t)n->n + 1, sizeof *n->texts);
    n->labels = calloc((size_t)n->n + 1, sizeof *n->labels);
    n->absent = calloc((size_t)n->n + 1, sizeof *n->absent);
    if (!n->columns || !n->texts || !n->labels || !n->absent) return false;
    int *starts = calloc((size_t)naxes + 1, sizeof *starts);
    bool ok = starts;
    for (int k = 0, used = 1; ok && k < naxes; k += used) {
        starts[n->ncolumns] = k;
        ok = (n->columns[n->ncolumns++] = deq_axes_text(x, -1, axes, naxes, k, NULL, &used));
    }
    for (int place = 0; ok && place < n->n; place++) {
        deq_axes_place(x, axes, naxes, place, at);
        n->absent[place] = deq_axes_absent(x, axes, naxes, at);
        ok = (n->texts[place] = calloc((size_t)n->ncolumns + 1, sizeof **n->texts));
        for (int c = 0; ok && c < n->ncolumns && !n->absent[place]; c++)
            ok = (n->texts[place][c] = deq_axes_text(x, deq_axes_named_by(x, of->values, of->nvalues, axes[starts[c]]),
                                                     axes, naxes, starts[c], at, &(int){0}));
        if (ok && !n->absent[place]) ok = (n->labels[place] = label_of(n, place, told));
    }
    free(starts);
    return ok;
}

void deq_names_close(deq_figure_names *n) {
    for (int c = 0; n->columns && c < n->ncolumns; c++) free(n->columns[c]);
    for (int place = 0; place < n->n; place++) {
        for (int c = 0; n->texts && n->texts[place] && c < n->ncolumns; c++) free(n->texts[place][c]);
        if (n->texts) free(n->texts[place]);
        if (n->labels) free(n->labels[place]);
    }
    free(n->columns);
    free(n->texts);
    free(n->labels);
    free(n->absent);
}

int *deq_names_places(const deq_figure_names *n, int *count) {
    int *at = calloc((size_t)n->n + 1, sizeof *at);
    *count = 0;
    for (int k = 0; at && k < n->n; k++)
        if (!n->absent[k]) at[k] = (*count)++;
    return at;
}

int deq_names_longest(const deq_figure_names *n) {
    int most = 1;
    for (int k = 0; k < n->n; k++)
        if (!n->absent[k] && deq_text_width(n->labels[k]) > most) most = deq_text_width(n->labels[k]);
    return most;
}

void deq_names_ticks(FILE *out, const deq_figure_names *n, const int *places, char axis, int slope) {
    fprintf(out, "set %ctics scale 0 noenhanced", axis);
    if (slope) fprintf(out, " rotate by %d right offset 0.4,0.1", slope);
    fputs(" (", out);
    const char *between = "";
    for (int k = 0; k < n->n; k++) {
        if (n->absent[k]) continue;
        fputs(between, out);
        deq_plot_text(out, n->labels[k]);
        fprintf(out, " %d", places[k]);
        between = ", ";
    }
    fputs(")\n", out);
}
