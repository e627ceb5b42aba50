/* draft.h - a routine being made: one graph whose outputs know where they go.
 * Files: draft.c; fixed_routines.c, cotangent.c and hand_routines.c, which draft routines of their own. */
#ifndef DEQ_COMPILER_DRAFT_H
#define DEQ_COMPILER_DRAFT_H
#include "passes.h"
#include "routines.h"

typedef struct Destination {
    NodeId node;
    Place place;
    uint32_t index;  /* ARG: argument; SHARED, ACCUM: shared value */
    uint64_t offset; /* ARG, DREST, TAPE */
    bool effect;     /* no place: the node is kept for what it does */
} Destination;

typedef struct FixedPlan { /* record layouts of one fixed point */
    FixedLayout *layout;
    uint64_t *tape_offsets;
} FixedPlan;

typedef struct Draft {
    const char *name;
    bool rows;
    Graph *graph;
    Destination *outs;
    uint32_t nouts, cap;
    uint64_t arg_bytes[8];
    bool coupled;          /* reads sums over the whole batch */
    bool scaled;           /* what reaches ACCUM may be a sum over the rows, times what is the same for all of them */
    const FixedPlan *plan; /* of the fixed point the routine belongs to, NULL for the others */
} Draft;

Draft *draft_new(Arena *a, const char *name, bool rows);
void draft_output(Draft *d, NodeId node, Place place, uint32_t index, uint64_t offset);
void draft_effect(Draft *d, NodeId node);
/* Simplifies, packs weights (routines of rows), splits sums into ACCUM, binds inputs by their origin, adds to the unit.
 */
void draft_finish(Draft *d, Unit *unit, Stage *s, FixedLayout *fixed, uint32_t nfixed);

/* ---- cotangent.c: gradients of losses at states that the solver passes on its way ---- */
/* What each loss reads of the net beside the state of fixed point `index`: layout->cotangents (offsets count from 0),
 * extra_bytes, downstream.  needs: rows with outputs as in routines.c. */
void cotangent_plan(Arena *a, const Graph *rows, const Model *model, uint32_t index, uint32_t real_bytes,
                    FixedLayout *layout);
/* NAME_LOSS_cotangent of every loss that has one.  needs: the layout complete. */
void cotangent_routines(Unit *unit, Stage *s, const Graph *rows, const Model *model, uint32_t index,
                        FixedLayout *layout);
/* Copies the fixed points of `rows` into dst for a routine that differentiates a loss: with what its cotangent routines
 * read. */
void cotangent_attach(Graph *dst, const Graph *rows, uint32_t loss, const FixedLayout *layouts, NodeId *map);

#define ORIGIN_COTANGENT 8 /* ARG indices that stand for arg0 of the linear routines */
#define ORIGIN_TANGENT 9

/* ---- hand_routines.c ---- */
typedef struct HandTarget { /* where a cotangent goes */
    NodeId value;           /* in the block's graph */
    uint32_t argument;      /* of the extended `fixed` node; UINT32_MAX: shared */
    NodeId shared;          /* an input of the layer that is a shared value, in the outer graph; NODE_NONE */
    uint32_t shared_value;  /* its number in the stage */
} HandTarget;

typedef struct HandGraph { /* a gradient by hand, cut off from the model's graph */
    uint32_t index;        /* in model->hands */
    Graph *graph;          /* inputs: states, cotangents of states, captured values, shared values */
    HandTarget *targets;   /* as hand->items */
    NodeId *captured;      /* inputs of `graph` for arguments of the `fixed` node: */
    uint32_t *argument;
    uint32_t ncaptured, captured_cap, argument_cap;
    const uint32_t *rest; /* by argument of the `fixed` node: its number in the rest record */
} HandGraph;

/* The graph with extended `fixed` nodes, and the blocks' graphs.  needs: outputs of g from `first` on are the values of
 * all gradients by hand, each followed by the layer's input it belongs to, if any; the `fixed` nodes stand before them.
 * ensures: the result's outputs are those before `first`. */
Graph *hand_split(Arena *a, const Model *model, const Graph *g, uint32_t first, HandGraph *hands);
/* Where the arguments of a gradient in C are: it has no routines of its own.  By field. */
FieldPlace *hand_places(Arena *a, Stage *s, const Model *model, const HandGraph *h, const FixedLayout *fixed);
/* HAND_input and HAND_parameters: arg0 state, arg1 its cotangent, rest; drest +=, and accum += for the latter.  And the
 * routine of every linear map they solve with (maps by index). */
void hand_routines(Unit *unit, Stage *s, const Model *model, const HandGraph *h, FixedLayout *fixed, FixedLayout *maps);
#endif
