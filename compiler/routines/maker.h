/* maker.h - a net on its way from its model to its routines: what the passes of passes.def read and change.
 *
 * Files: pass_list.c, and for the passes net_passes.c, fixed_routines.c, routines.c and draft.c. */
#ifndef DEQ_COMPILER_MAKER_H
#define DEQ_COMPILER_MAKER_H
#include "adjoint.h"
#include "draft.h"
#include "pass_list.h"
#include "split.h"

/* f, its tangent and its cotangents in one graph: every routine of a fixed point is a part of it. */
typedef struct Whole {
    Graph *graph; /* outputs: f, jvp, cotangents of states, of captured values, of shared values (those that exist) */
    uint32_t nstate, nrest, nshared;
    uint32_t f, jvp, vjp_z, vjp_rest, vjp_shared; /* first output of each */
    uint32_t diagonal;                            /* of z = prox(L z + c): the derivative of prox, times u */
    uint32_t *rest, *shared;                      /* captured value, shared value of each such output */
    NodeId *stored;                               /* the tape */
    uint32_t nstored;
} Whole;

typedef struct FixedWork { /* a fixed point of the net */
    Shape *extra;          /* captured beyond the body's values: for gradients by hand, first states */
    uint32_t nextra;
    bool given;     /* its first state is among them, */
    uint32_t start; /* at this number of the rest record's values */
    Split split;
    Whole *whole;
    FixedPlan plan;
} FixedWork;

typedef struct Maker {
    Unit *unit;
    const Model *model;
    Graph *graph;       /* of the net.  Outputs: its output, losses, metrics, fixed points; up to `starts` and `hands`
                           also first states, and the values of gradients by hand with the inputs they belong to */
    uint32_t *start_of; /* by output: 1 + the fixed point whose first state it is */
    uint32_t first_start, first_hand; /* outputs */
    NodeId *map;                      /* by node of the model's graph: its node in `graph`, up to `places` */
    Graph **bodies;                   /* by fixed point */
    uint32_t *nstate;
    FixedWork *work;
    FixedLayout *fixed;
    FixedSignature *signatures; /* shared: whether trained shared values get cotangents through it */
    HandGraph *hands;
    FieldPlace **places; /* by gradient by hand: of those in C; NULL for the others */
    Stage *stage;        /* NULL before `captures` */
    bool has_finish, has_statistics;
} Maker;

/* A routine on its way from a draft to the unit: what the passes of level DRAFT read and change. */
typedef struct Finish {
    Draft *draft;
    Unit *unit;
    Stage *stage;
    Graph *graph;
} Finish;

#define PASS(name, level, needs, doc) PASS_FUNCTION_##level(name)
#define PASS_FUNCTION_NET(name) void pass_##name(Maker *m);
#define PASS_FUNCTION_FIXED(name) void pass_##name(Maker *m);
#define PASS_FUNCTION_MAKE(name) void pass_##name(Maker *m);
#define PASS_FUNCTION_DRAFT(name) void pass_##name(Finish *f);
#include "passes.def"
#undef PASS

/* All passes on the net, from `roots` to `prepare`.  needs: unit, model and the arrays of m. */
void passes_run(Maker *m);
/* All passes of level DRAFT on a routine. */
void passes_finish(Finish *f);
#endif
