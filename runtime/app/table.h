/* table.h - an experiment's results as Markdown (for reading), CSV (raw, one line a cell) and JSON (with
 * every check of every verdict).  Files: table.c, table_json.c. */
#ifndef DEQ_RUNTIME_TABLE_H
#define DEQ_RUNTIME_TABLE_H
#include "interval.h"
#include "manifest.h"
#include "verdict.h"
#include <stdio.h>

typedef struct deq_table_cell {    /* of one cell of the experiment */
    const double *values;          /* one per column of the table, in its order */
    const deq_interval *intervals; /* of them; NaN: none */
    const char *seeds, *nets;      /* "0" or "0;1": of the models it used; their keys, likewise */
    const char *journals;          /* keys of its evaluations, in the order of the script */
    double train_seconds, seconds; /* training of its models; evaluations */
    int64_t undefined;             /* predictions of its evaluations with a NaN */
    char *const *attacks;          /* one per column: what it is under, by name; NULL: no attack */
    const deq_verdict *verdicts;   /* one per column; DEQ_UNJUDGED where it is no evaluation under an attack */
} deq_table_cell;

/* Cells with equal row coordinates are averaged; with `mean_std` the deviation over them is given.  `examples`: how
 * many each column was measured on (0: not a mean over examples).  A row of a single cell has the interval of each value
 * behind it.  Under the table: the verdicts on its accuracies under attack (verdict.h). */
void deq_table_markdown(FILE *out, const deq_experiment_spec *x, const deq_table_cell *cells, const int64_t *examples);
void deq_table_csv(FILE *out, const deq_experiment_spec *x, const deq_table_cell *cells);
/* {table, experiment, cells: [{coordinates, values: [{title, value, low, high, attack, verdict, reasons, checks,
 * audited}]}]}, sealed (seal.h) for the file `path`; free() it.  NULL: out of memory. */
char *deq_table_json(const deq_experiment_spec *x, const deq_table_cell *cells, const char *path);
#endif
