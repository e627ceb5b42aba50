/* experiment_parts.h - an experiment while it is written out: a list of arrays, each over its own axes (lang/axes.h).
 *
 * Training runs and evaluations have a specification for each cell of their axes; what is computed from them has one for
 * all.  The runtime evaluates them where they are asked for, each cell once.
 * Files: experiment.c (items, cells), experiment_axes.c (values of sweeps), experiment_value.c (what the values are),
 * experiment_evaluation.c, experiment_alone.c (sweeps of one value), experiment_table.c, experiment_figure.c (what is shown),
 * experiment_claim.c. */
#ifndef DEQ_COMPILER_EXPERIMENT_PARTS_H
#define DEQ_COMPILER_EXPERIMENT_PARTS_H
#include "axes.h"
#include "declarations.h"

typedef struct ArrayNode {
    const char *name, *kind;
    const Ast *item;       /* the LET or TRAIN whose value it is; NULL: it is a part of one */
    AxisSet shown;         /* its axes */
    AxisSet cells;         /* these and the choices that it waits for: what its specifications go over */
    const Ast *train;      /* of a training run; of an evaluation, the run whose net it is of */
    const TrainUse **uses; /* of a training run: by cell */
    bool plain;            /* an evaluation without attack and overrides */
    bool percent;
    bool verdict; /* its numbers are positions in verdicts.def */
    int chosen;   /* 1 + the axis of which it holds positions, argmax(v, over: s); 0: it is numbers */
} ArrayNode;

typedef struct Element { /* a value of a sweep */
    const Ast *ast;
    const Scope *scope; /* where its names are known; NULL: where the sweep stands */
    const char *label;
} Element;

typedef struct Elements {
    Element *items;
    uint32_t n, cap;
} Elements;

/* Where a list mentions sweeps above it, or what it is made of does, its values differ in their cells: `given`. */
typedef struct AxisValues {
    Elements all;  /* of an axis of families, the families; of their members, as many as the largest has */
    AxisSet given; /* 0: there is one cell */
    Elements
        *cells; /* of a plain axis: by cell of `given`, parallel to `all`; without `ast` where there is no such value */
    Elements **families; /* of an axis of families: by cell, the members of each */
    bool ragged;         /* not every cell has every value */
} AxisValues;

typedef struct Experiment {
    Pipe *pipe;
    const Ast *ast, *items;
    Axes axes;
    AxisValues *values; /* by axis */
    uint32_t *at;       /* by axis: the cell whose settings are read */
    uint32_t item;      /* being written out: what stands above it is known */
    signed char *runs;  /* by item, of a let: whether experiment_runs; 0: not known yet */
    bool audit;
    json_t *arrays;
    ArrayNode *nodes;
    uint32_t nnodes, nodes_cap;
} Experiment;

/* ---- experiment.c ---- */
/* The scope of the item in the cell `at`: sweeps, choices, lets and training runs above it. */
Scope experiment_scope(const Experiment *x);
const ArrayNode *experiment_array(const Experiment *x, const char *name);   /* NULL: there is none */
const json_t *experiment_array_json(const Experiment *x, const char *name); /* what was appended under the name */
/* The array of the item that `e` names, robust or table2.robust; NULL: it names none that has been made. */
const ArrayNode *experiment_item(const Experiment *x, const Ast *e);
/* The name under which the value of another experiment is known, table2.robust; the text of what stands there, for one
 * that has no name.  In the experiment itself as they are. */
const char *experiment_name(const Experiment *x, const char *name);
const char *experiment_text(const Experiment *x, Range at);
/* Whether attacks of the experiment whose item is written out may be masked: as it says, or --set for it. */
bool experiment_masks(const Experiment *x);
/* Appends the array; `members` are those of its kind.  Returns its name. */
const char *experiment_add(Experiment *x, ArrayNode node, json_t *members);
/* What `each` gives in every cell of the axes, the last axis fastest, null where there is no such cell; NULL when one has
 * failed. */
json_t *experiment_cells(Experiment *x, AxisSet axes, json_t *(*each)(Experiment *x, void *context), void *context,
                         Range at);
uint32_t experiment_count(const Experiment *x, AxisSet axes);      /* MOST_CELLS + 1: or more */
void experiment_place(Experiment *x, AxisSet axes, uint32_t cell); /* puts `at` there, 0 on all other axes */
uint32_t experiment_cell(const Experiment *x, AxisSet axes);       /* number of the cell `at` among those of the axes */
/* Whether a setting can take the choices among `axes`; false: reported. */
bool experiment_takes(Experiment *x, AxisSet axes, Range at);
json_t *axes_json(AxisSet set); /* positions, ascending */
/* ---- experiment_axes.c ---- */
/* Finds the values of the axes of the sweep that is being written out, and of choices of them; false after an error. */
bool experiment_expand(Experiment *x, const Ast *sweep);
/* The value of the sweep that the axis begins, in the cell `at`; NULL: the axis has none, or the cell does not exist. */
const Element *experiment_element(const Experiment *x, uint32_t axis);
/* There is no such cell of the axes: a family has no such member, or a list is shorter there. */
bool experiment_absent(const Experiment *x, AxisSet axes);
json_t *experiment_axis_json(const Experiment *x, uint32_t axis);
/* ---- experiment_value.c ---- */
/* Adds what `e` is and what it needs, under `name` (NULL: one is made); returns the name, NULL after an error. */
const char *experiment_value(Experiment *x, const Ast *e, const char *name);
/* The same, where a choice is the number that it stands for. */
const char *experiment_number(Experiment *x, const Ast *e);
/* Whether something in it is known only when the experiment runs. */
bool experiment_runs(Experiment *x, Scope *s, const Ast *e);
/* ---- experiment_evaluation.c ---- */
bool experiment_attacked(const Experiment *x, const char *name); /* the array rests on an evaluation under an attack */
/* Whether cells of the evaluation that differ in the axes `over` alone are of the same examples; false: reported. */
bool experiment_one_set(Experiment *x, const char *evaluation, AxisSet over, Range at);
/* The training run in the cell that is read, of an Experiment: Pipe's in_cell. */
const TrainUse *experiment_train(void *cell, const Ast *train, const char *name);
bool experiment_is_evaluation(Scope *s, const Ast *e); /* accuracy(net, d.test) */
const char *experiment_evaluation(Experiment *x, const Ast *e, const char *name);
/* ---- experiment_alone.c ---- */
/* The settings in a TRAIN or an evaluation over these cells that sweeps of one value give: MANIFEST.md, "alone". */
json_t *experiment_alone(Experiment *x, AxisSet cells, const Ast *e);
/* ---- experiment_table.c ---- */
json_t *experiment_table(Experiment *x, const Ast *table);
/* ---- experiment_figure.c ---- */
json_t *experiment_figure(Experiment *x, const Ast *figure);
/* ---- experiment_claim.c ---- */
json_t *experiment_claim(Experiment *x, const Ast *claim);
#endif
