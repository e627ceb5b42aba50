/* figure.h - a figure of an experiment, from its arrays to files: NAME.csv and NAME-figure.json with the numbers drawn,
 * NAME.gp for gnuplot, and what that draws: NAME.png, .svg, .pdf.
 *
 * Lines (for `heat`: rows) are places on the axes at `by`, points places on those at `x`: a mark for each value, line and
 * point.  Files: figure.c (the marks), figure_names.c (what places are called), figure_write.c (CSV, JSON), figure_scale.c
 * (ends and ticks of an axis), figure_plot.c, figure_heat.c (gnuplot). */
#ifndef DEQ_RUNTIME_FIGURE_H
#define DEQ_RUNTIME_FIGURE_H
#include "sources.h"
#include <string.h>

typedef struct deq_mark {
    double value, low, high; /* NaN: there is none */
    deq_verdict verdict;
    const deq_evaluation *evaluation; /* that it is, for its attack; NULL: it is computed, or a number of seeds */
} deq_mark;

typedef struct deq_figure_names { /* of the places on some axes; a family and its member are one column */
    char **columns;               /* what the axes are called */
    int ncolumns;
    char ***texts; /* of a place, by column */
    char **labels; /* the same in one text */
    bool *absent;  /* there is no such place */
    int n;
} deq_figure_names;

typedef struct deq_figure {
    const deq_figure_spec *spec;
    const char *experiment;
    deq_figure_names lines, points;
    deq_mark *x;        /* of a line's point: the number along the x axis; its place without one */
    deq_mark *marks;    /* of a value, line and point, the last fastest */
    deq_sources *rests; /* of a line and point: what its marks rest on */
} deq_figure;

static inline deq_mark *deq_figure_x(const deq_figure *f, int line, int point) {
    return &f->x[line * f->points.n + point];
}
static inline deq_mark *deq_figure_mark(const deq_figure *f, int value, int line, int point) {
    return &f->marks[(value * f->lines.n + line) * f->points.n + point];
}
/* Whether the values are shown in percent: all of them are shares. */
static inline bool deq_figure_percent(const deq_figure *f) {
    for (int v = 0; v < f->spec->nvalues; v++)
        if (!f->spec->values[v].percent) return false;
    return true;
}
/* Whether the numbers along the x axis are those of the sweep there. */
static inline bool deq_figure_of_sweep(const deq_figure *f) {
    return f->spec->x.value >= 0 && f->points.ncolumns == 1 && !strcmp(f->points.columns[0], f->spec->x.title);
}
/* Whether there is anything to show of the line there. */
bool deq_figure_has(const deq_figure *f, int line, int point);
/* needs: every cell of its values has been made. */
bool deq_figure_write(deq_arrays *g, const deq_figure_spec *spec, deq_error *e);

/* ---- figure_names.c ---- */
/* Of the places of the figure on these axes; `told`: a bare number says what it is of, "seed = 1".  `at`: room for a
 * place.  False: out of memory; closed in either case. */
bool deq_names_open(deq_figure_names *n, const deq_experiment_spec *x, const deq_figure_spec *of, const int *axes,
                    int naxes, bool told, int *at);
void deq_names_close(deq_figure_names *n);
/* Of each place, its number among those that exist, and how many these are; free() it.  NULL: out of memory. */
int *deq_names_places(const deq_figure_names *n, int *count);
int deq_names_longest(const deq_figure_names *n); /* letters, of those that exist; at least 1 */
/* "set xtics (..)" with the names at their places; `slope` in degrees, 0: level. */
void deq_names_ticks(FILE *out, const deq_figure_names *n, const int *places, char axis, int slope);

/* ---- figure_write.c ---- */
void deq_figure_csv(FILE *out, const deq_figure *f);
/* {figure, experiment, caption, points: [{coordinates, x, values: [{title, value, low, high, attack, journal, slice,
 * verdict, reasons, checks, audited}]}]},
 * sealed for the file `path`; free() it.  NULL: out of memory. */
char *deq_figure_json(const deq_figure *f, const char *path);

/* ---- figure_scale.c ---- */
#define DEQ_MOST_TICKS 64
typedef struct deq_figure_scale {
    bool percent, logarithmic;
    bool broken;        /* some are no whole numbers */
    bool below;         /* below: some values are not above 0, and drawn at the low end */
    double least, most; /* of what is drawn; on a logarithmic one, of what is above 0 */
    double all_least, all_most;
    double low, high; /* ends of the axis, as drawn: percent are multiplied by 100 */
    double ticks[DEQ_MOST_TICKS];
    int nticks;
} deq_figure_scale;

deq_figure_scale deq_scale_begin(bool percent, bool logarithmic);
void deq_scale_take(deq_figure_scale *s, double v); /* NaN and infinite ones are left out */
/* What 0 is to an axis: nothing; an end that it does not pass; an end that it has, as of bars. */
typedef enum deq_zero { DEQ_ZERO_FREE, DEQ_ZERO_KEPT, DEQ_ZERO_SHOWN } deq_zero;
/* Ends and ticks. */
void deq_scale_end(deq_figure_scale *s, deq_zero zero);
/* Ticks at these values themselves, where they are few and apart; else at whole numbers, where they all are. */
void deq_scale_ticks(deq_figure_scale *s, const double *values, int n);
double deq_scale_drawn(const deq_figure_scale *s, double v); /* as written for gnuplot */
int deq_scale_width(const deq_figure_scale *s);              /* letters of the longest tick */
/* "set ytics (..)" of the axis `name`: x, y, cb; with its range. */
void deq_scale_print(FILE *out, const deq_figure_scale *s, const char *name);

/* ---- figure_plot.c, figure_heat.c ---- */
/* The script for gnuplot, which draws STEM.png.  False: out of memory. */
bool deq_figure_plot(FILE *out, const deq_figure *f, const char *stem);
bool deq_figure_heat(FILE *out, const deq_figure *f, const char *stem); /* of `heat` */
typedef struct deq_canvas {                                             /* points of 1/72 inch */
    double width, height, left, right, top, bottom;
} deq_canvas;
/* Terminal, fonts and margins. */
void deq_figure_begin(FILE *out, const deq_figure *f, const char *stem, const deq_canvas *c);
/* The title of an axis, smaller or cut where it does not fit its room. */
void deq_figure_title_at(FILE *out, const deq_canvas *c, const char *text, double x, double y, double room,
                         bool rotated);
void deq_figure_columns(FILE *out, const deq_figure_names *n); /* what the axes are called */
/* 'it''s': a text in gnuplot's single quotes. */
void deq_plot_text(FILE *out, const char *text);
/* What the axis is called: the label given, else what is along it, "robust (%)". */
void deq_figure_title(FILE *out, const deq_figure *f, bool x);
/* What stands where nothing was measured. */
#define DEQ_NO_VALUES "set label 'no values' at graph 0.5,0.5 center\n"
/* Letters as people count them. */
int deq_text_width(const char *text);
/* "2 of 12 accuracies under attack are masked", where some are not reliable. */
void deq_figure_doubt(FILE *out, const deq_figure *f);
#endif
