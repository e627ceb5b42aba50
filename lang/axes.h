/* axes.h - which sweeps a value of an experiment mentions, through names: its axes.
 *
 * needs: a resolved experiment.  Sweeps are numbered in the order of the script.  A `let` mentions what its expression
 * does; a training run what its settings do; the variable of a sweep its own axis and what the values of the sweep
 * mention.  `over: s` takes an axis away.
 *
 * A choice is a `let` whose value is one of a sweep's: argmax(v, over: s).  Where a setting is such a name, each value of
 * the sweep makes another net or attack, and which is meant is known when the choice is made.  So choices have axes of
 * their own, which are numbered after those of the sweeps; they are hidden: the value has the axes of the choice.
 *
 * Sweeps of another experiment whose values it names are axes as well, in front of its own: table2.source. */
#ifndef DEQ_LANG_AXES_H
#define DEQ_LANG_AXES_H
#include "items.h"

enum { MOST_AXES = 32 }; /* sweeps and choices of an experiment */

typedef uint32_t AxisSet; /* bit k: axis k */

enum { MOST_CELLS = 100000 }; /* of one array of an experiment, and values of one sweep */

typedef enum AxisPart {
    AXIS_WHOLE,  /* of a sweep over a plain list */
    AXIS_FAMILY, /* of one whose list has lists in it: which of them, */
    AXIS_MEMBER, /* and which of its elements */
} AxisPart;

typedef struct Axis {
    const char *name;
    const Ast *sweep; /* whose values it goes through */
    AxisPart part;
    const Ast *choice; /* the LET that chooses one of them; NULL: the sweep's own axis */
} Axis;

typedef struct Axes {
    const Ast *items; /* of the experiment, and of others that it names (items.h) */
    const Ast *const *owners;
    Axis axis[MOST_AXES];
    uint32_t n, nsweeps;
    AxisSet *shown, *hidden; /* of each item */
    AxisSet *named;          /* likewise those of the names in it, without what the lists of these sweeps mention */
    bool full;               /* there were more than MOST_AXES */
} Axes;

#define AXIS(k) ((AxisSet)1 << (k))

void axes_find(Arena *a, const Ast *experiment, Axes *out);
/* Axes that the value of the expression has; of `hidden`, the choices that settings in it wait for. */
AxisSet axes_shown(const Axes *x, const Ast *e);
AxisSet axes_hidden(const Axes *x, const Ast *e);
/* The axes that the name of a sweep, or s.family or s.member, stands for; of a list, those of all.  0: none. */
AxisSet axes_named(const Axes *x, const Ast *e);
/* Those that a pick, s: label, takes away; the members of a family that is picked stay. */
AxisSet axes_picked(const Axes *x, const Ast *pick);
/* Those that decide the seed of a training run of the experiment: sweeps that its `seed:` names, also through a `let`, and
 * sweeps over records with several seeds that it takes in.  Not those that decide how many seeds there are, 0..n. */
AxisSet axes_of_seeds(const Axes *x);
const char *axes_text(Arena *a, const Axes *x, AxisSet set); /* "'mode' and 'seed'" */

/* ---- reductions: min(v, over: s), mean(v, over: [s, t]) ---- */
typedef enum ReductionKind {
    REDUCE_NUMBER,
    REDUCE_SHARE,
    REDUCE_RANKS,
    REDUCE_CHOICE,
    REDUCE_TRUTH,
    REDUCE_RECORDS
} ReductionKind;

typedef struct Reduction { /* reductions.def */
    const char *name;
    ReductionKind kind;
    const char *doc;
} Reduction;
/* The row where `call` is one with `over:`, else NULL, with its parts: what is given beside them has no place. */
typedef struct ReductionCall {
    const Reduction *row;
    Ast *value, *number, *over;
    const Ast *more; /* an argument too many */
} ReductionCall;
bool reduction_of(const Ast *call, ReductionCall *out);
#endif
