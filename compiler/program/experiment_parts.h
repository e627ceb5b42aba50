/* experiment_parts.h - an experiment while it is written out: a list of arrays, each over its own axes (lang/axes.h).
 *
 * Training runs and evaluations have a specification for each cell of their axes; what is computed from them has one for
 * all.  The runtime evaluates them where they are asked for, each cell once.
 * Files: experiment.c (items, cells), experiment_value.c (what the values are), experiment_table.c (what is shown). */
#ifndef DEQ_COMPILER_EXPERIMENT_PARTS_H
#define DEQ_COMPILER_EXPERIMENT_PARTS_H
#include "axes.h"
#include "declarations.h"

enum { MOST_CELLS = 100000 }; /* of one array */

typedef struct ArrayNode {
    const char *name, *kind;
    AxisSet shown;         /* its axes */
    AxisSet cells;         /* these and the choices that it waits for: what its specifications go over */
    const Ast *train;      /* of a training run; of an evaluation, the run whose net it is of */
    const TrainUse **uses; /* of a training run: by cell */
    bool plain;            /* an evaluation without attack and overrides */
    bool percent;
    int chosen; /* 1 + the axis of which it holds positions, argmax(v, over: s); 0: it is numbers */
} ArrayNode;

typedef struct AxisValues {
    const Ast **items;
    uint32_t n;
} AxisValues;

typedef struct Experiment {
    Pipe *pipe;
    const Ast *ast, *items;
    Axes axes;
    AxisValues *values; /* by axis */
    uint32_t *at;       /* by axis: the cell whose settings are read */
    uint32_t item;      /* being written out: what stands above it is known */
    bool audit, allow_masking;
    json_t *arrays;
    ArrayNode *nodes;
    uint32_t nnodes, nodes_cap, hidden;
} Experiment;

/* ---- experiment.c ---- */
/* The scope of the item in the cell `at`: sweeps, choices, lets and training runs above it. */
Scope experiment_scope(const Experiment *x);
const ArrayNode *experiment_array(const Experiment *x, const char *name); /* NULL: there is none */
/* Appends the array; `members` are those of its kind.  Returns its name. */
const char *experiment_add(Experiment *x, ArrayNode node, json_t *members);
/* Calls `each` in every cell of the axes, the last axis fastest; false when one has failed. */
bool experiment_cells(Experiment *x, AxisSet axes, bool (*each)(Experiment *x, void *context), void *context, Range at);
uint32_t experiment_cell(const Experiment *x, AxisSet axes); /* number of the cell `at` among those of the axes */
json_t *axes_json(AxisSet set);                              /* positions, ascending */
const Ast *experiment_setting(const Ast *list, const char *key);
/* ---- experiment_value.c ---- */
/* Adds what `e` is and what it needs, under `name` (NULL: one is made); returns the name, NULL after an error. */
const char *experiment_value(Experiment *x, const Ast *e, const char *name);
/* Whether something in it is known only when the experiment runs. */
bool experiment_runs(Experiment *x, Scope *s, const Ast *e);
/* ---- experiment_table.c ---- */
json_t *experiment_table(Experiment *x, const Ast *table);
#endif
