/* table.h - an experiment's results as Markdown (for reading), CSV (raw, one line a cell) and JSON (with
 * every check of every verdict).  Files: table.c, table_json.c, table_latex.c. */
#ifndef DEQ_RUNTIME_TABLE_H
#define DEQ_RUNTIME_TABLE_H
#include "interval.h"
#include "sources.h"
#include "verdict.h"
#include <stdio.h>

typedef struct deq_table_cell {     /* one line: a place on the axes of the table */
    const char *const *coordinates; /* by axis */
    const double *values;           /* one per column of the table, in its order */
    const deq_interval *intervals;  /* of them; NaN: none */
    deq_sources rests;              /* what it rests on */
    char *const *attacks;           /* one per column: what it is under, by name; NULL: no attack */
    const deq_verdict *verdicts;    /* one per column; DEQ_UNJUDGED where it is no evaluation under an attack */
    const bool *bold;               /* one per column; NULL: none */
    const deq_evaluation *const *evaluations; /* one per column: that it is; NULL: it is computed */
    int row;                                  /* cells of one row have the same: their place on the axes of the rows */
    const bool *repeats; /* one per column: a cell before it in the row has this value, which counts once; NULL: none */
} deq_table_cell;

typedef struct deq_table_column {
    const char *title;
    bool percent;
    int64_t examples;          /* it was measured on; 0: it is no mean over examples */
    const char *const *names;  /* what its numbers, positions from 0, stand for; NULL: they are numbers */
    bool ordered;              /* a later one is worse: of several runs the worst is shown */
    const char *value, *under; /* of a value that is spread over sweeps: its title and the place; NULL: it is not */
} deq_table_column;

typedef struct deq_table {
    const char *name, *experiment;
    const char *const *axes; /* names: those that make rows, and those whose values are joined */
    int naxes;
    const int *rows; /* the axes that make rows */
    int nrows;
    const deq_table_column *columns;
    int ncolumns;
    bool mean_std;
    const deq_table_cell *cells;
    int ncells;
} deq_table;

/* Cells of the same row are averaged, but for those that repeat; with `mean_std` the deviation over them is given.  A row
 * of a single cell has the interval of each value behind it.  Under the table: the verdicts on its accuracies under attack
 * (verdict.h). */
void deq_table_markdown(FILE *out, const deq_table *t);
#define DEQ_TABLE_TEXT 128
/* What a row, named by its first cell, shows in a column. */
void deq_table_text(const deq_table *t, int cell, int column, char out[DEQ_TABLE_TEXT]);
/* Whether what it shows is bold: that of every cell of the row. */
bool deq_table_bold(const deq_table *t, int cell, int column);
bool deq_table_first(const deq_table *t, int cell); /* whether it is the first of its row */
void deq_table_csv(FILE *out, const deq_table *t);
/* For \\usepackage{booktabs}; values that are spread over sweeps have a head of two lines. */
void deq_table_latex(FILE *out, const deq_table *t);
/* {table, experiment, cells: [{coordinates, values: [{title, value, low, high, attack, journal, slice, verdict,
 * reasons, checks, audited}]}]}, sealed (seal.h) for the file `path`; free() it.  NULL: out of memory. */
char *deq_table_json(const deq_table *t, const char *path);
#endif
