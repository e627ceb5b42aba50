/* plan.h - decides, before anything is emitted, in which loop every node of a routine is computed and where it stands.
 *
 * A step's graph is cut into LEVELS.  A level first computes its unbatched nodes (`once`), then loops over tiles of a
 * few rows, in which all its batched nodes are computed while the tile's data is in the first-level cache, and ends
 * with its block operations, which need every row at once (solves, queries, random draws, sums of outer products).
 * Values used within a level live in tile buffers; values crossing levels in row buffers; unbatched ones in `once`
 * buffers.
 *
 * Within a part of a level, nodes are collected in GROUPS, run in order: a CLUSTER is one loop over the elements of a
 * row holding elementwise operations of equal count, kept in registers, with full reductions and stores at their end;
 * any other group is one operation.
 *
 * Files: plan.c (this), plan_form.c (groups of equal form), plan_pieces.c (routines in pieces), plan_halves.c (routines
 * in halves), plan_runs.c (images one by one). */
#ifndef DEQ_BACKEND_PLAN_H
#define DEQ_BACKEND_PLAN_H
#include "emit.h"

typedef enum SlotBase {
    SLOT_NONE, /* not in memory */
    SLOT_SHARED,
    SLOT_ACCUM,
    SLOT_REST,  /* rows are found through frame->rows */
    SLOT_DREST, /* likewise */
    SLOT_TAPE,
    SLOT_ARG,    /* index: which */
    SLOT_SCALAR, /* index into frame->scalars; copied to a `once` buffer before the step */
    SLOT_BUFFER  /* index into the plan's buffers */
} SlotBase;

typedef struct Slot {
    SlotBase base;
    uint32_t index;
    uint64_t offset, stride; /* bytes; stride 0: the same for every row */
} Slot;

typedef enum Scope { SCOPE_ONCE, SCOPE_TILE, SCOPE_ROWS } Scope;

typedef struct Buffer {
    Scope scope;
    uint64_t bytes; /* ONCE: all; TILE, ROWS: of one row */
    /* Live range: groups' positions for TILE, and for ONCE of a routine in pieces; levels for ROWS. */
    uint32_t first, last;
    uint32_t level;  /* TILE: its level */
    bool alone;      /* TILE: the rows of a tile use it one after another, or together: there is one for all */
    uint64_t offset; /* in its region; ROWS: times n */
} Buffer;

typedef enum Treatment {
    TREAT_DEAD,
    TREAT_ALIAS,   /* the same bytes as another node */
    TREAT_INPUT,   /* bound to a place */
    TREAT_INLINE,  /* constants, iota, broadcasts of one element or row: recomputed by each cluster that uses them */
    TREAT_ELEMENT, /* member of a cluster */
    TREAT_REDUCE,  /* sum or maximum of a whole row, or along its leading axes: member of a cluster */
    TREAT_PRODUCT, /* vector times shared matrix, a whole tile at once */
    TREAT_ROW,     /* any other operation, row by row */
    TREAT_SUM,     /* batch_sum: adds its tile; complete at the next level */
    TREAT_BLOCK,   /* after the tiles of its level; its result belongs to the next level */
    TREAT_VIEW     /* part of a block operation's result */
} Treatment;

typedef struct Group Group;

typedef struct Store {
    NodeId node;
    bool has_source; /* read from `source` instead of the node's own slot */
    Slot source, to;
    bool add;
} Store;

struct Group {
    bool cluster, batched, final; /* final: overwrites an input, so it runs after all other groups of its part */
    uint32_t level, position;     /* position: order among all groups of the step */
    uint32_t run;                 /* of images that go one by one (plan_runs.c); UINT32_MAX none */
    uint32_t owner;   /* of a routine in pieces: modulo their number, the piece that it belongs to; in halves: of 2 */
    NodeId component; /* likewise: that of its nodes */
    uint64_t count;   /* elements of a cluster */
    NodeId *members;
    uint32_t nmembers, members_cap;
    Store *stores;
    uint32_t nstores, stores_cap;
    uint32_t workspace; /* buffer: a product's copy of its left operand; UINT32_MAX none */
    uint32_t form;      /* UINT32_MAX none: rows come in tiles of several */
    Slot *operands;     /* where its values stand, in the order of its form */
    uint32_t noperands;
};

typedef struct NodePlan {
    Treatment treatment;
    NodeId canonical;          /* of an ALIAS: the node whose bytes it shows; else itself */
    uint32_t level, available; /* computed in, usable from */
    uint32_t group;            /* UINT32_MAX none */
    NodeId component;          /* of a routine in pieces or halves: what one piece, or thread, computes; else 0 */
    uint32_t owner;            /* in halves: 2 phase + half (plan_halves.c) */
    bool memory;               /* somebody reads it from memory */
    bool sum_direct;           /* SUM, batch_outer: adds straight to its ACCUM place */
    bool sum_read;             /* the same: the graph goes on with it */
    bool together;             /* a convolution that takes several images of a tile in one call */
    Slot slot;
} NodePlan;

typedef struct CallPlan { /* buffers of a CLASS_CALL or random node, by node id */
    uint32_t rest, z, u, drest;
    uint32_t operand[2]; /* batch_outer: row buffers its operands were copied to, UINT32_MAX none */
    /* counted: u the gradient, z the objective's value */
    uint32_t results[5]; /* query: rows of output 2, loss 3, gradient 4; objective: of value 1, derivative 2 */
    bool want_gradient;
    const struct RoutinePlan *callee, *objective; /* of a query */
} CallPlan;

#define TALL_ROWS 64 /* as many as a block of examples has */

typedef struct LevelPlan {
    Group **once, **tile;
    uint32_t nonce, ntile, once_cap, tile_cap;
    NodeId *block;
    uint32_t nblock, block_cap;
    bool products;   /* tiles of several rows */
    bool wide;       /* rows too large for tiles of several */
    bool tall;       /* tiles of up to TALL_ROWS rows: weights that outweigh these are read once a tile */
    uint32_t images; /* rows of a tile of wide rows: one, or as many as share the weights of its convolutions */
} LevelPlan;

typedef struct StepPlan {
    const Step *step;
    struct StepPlan *body; /* STEP_LOOP */
    NodePlan *nodes;
    CallPlan *calls;
    Group **groups;
    uint32_t ngroups, groups_cap;
    LevelPlan *levels;
    uint32_t nlevels;
    Buffer *buffers;
    uint32_t nbuffers, buffers_cap;
    uint32_t *owners; /* of a routine in halves: by position, that of the group; else NULL */
} StepPlan;

typedef struct RoutinePlan {
    const Routine *routine;
    StepPlan *steps;
    uint64_t tile_bytes, once_bytes; /* the fixed part of scratch: tile region, then once region */
    uint64_t row_bytes;              /* per row: PLACE_BLOCK buffers, then row buffers */
    uint64_t *block_offsets;
    bool drops;                                   /* a loop of it drops examples; then, per row: */
    uint64_t order_offset;                        /* of the row that the example had at first */
    uint64_t callee_row_bytes, callee_base_bytes; /* the most that queried routines need */
    bool halves;                                  /* two threads may share a call (plan_halves.c) */
    bool planning;
    uint32_t module; /* the LLVM module that has its code */
} RoutinePlan;

/* Groups that need the same code for other addresses.  Whatever the lowering of a group reads must be part of the
 * words that plan_form.c writes about it. */
typedef struct Form {
    const uint64_t *words;
    uint32_t nwords, uses;
    bool wide;       /* of images: a call costs nothing beside it */
    uint32_t module; /* the LLVM module that has its function */
    RoutinePlan *routine;
    StepPlan *step;
    const Group *group; /* the first one */
} Form;

/* Groups of a form that stands alone are emitted where they stand. */
static inline bool plan_form_is_function(const Form *f) { return f->uses > 1 || f->wide; }

typedef struct PlanUnit {
    Arena *arena;
    const Unit *unit;
    uint32_t real_bytes, tile_rows, panel;
    RoutinePlan *routines; /* as unit->routines */
    Form *forms;
    uint32_t nforms, forms_cap;
    uint32_t nmodules;
} PlanUnit;

/* Plans every routine of the unit.  needs: verified graphs. */
PlanUnit *plan_unit(Arena *a, const Unit *unit, uint32_t real_bytes, uint32_t tile_rows, uint32_t panel);
/* Divides the routines and forms among at most so many modules of LLVM: as many as their code is worth. */
void plan_modules(PlanUnit *u, uint32_t most);
uint64_t plan_row_bytes(const RoutinePlan *p); /* scratch with what its queries need */
uint64_t plan_base_bytes(const RoutinePlan *p);
const RoutinePlan *plan_find(const PlanUnit *u, const char *routine);

static inline uint64_t padded(uint64_t bytes) { return (bytes + DEQ_ALIGN - 1) / DEQ_ALIGN * DEQ_ALIGN; }
static inline bool plan_same_slot(Slot a, Slot b) {
    return a.base == b.base && a.index == b.index && a.offset == b.offset && a.stride == b.stride;
}
static inline bool treatment_in_cluster(Treatment t) { return t == TREAT_ELEMENT || t == TREAT_REDUCE; }
/* Elements after which a broadcast repeats: 1 for one element, more for a row along leading axes (the channels of an
 * image's pixels); 0: it is no broadcast of that kind. */
uint64_t plan_repeated(const Graph *g, const StepPlan *s, NodeId id);
/* Elements a reduction leaves: 1 when it is of the whole row, more when it is along leading axes; 0: of another kind.
 */
uint64_t plan_reduced(const Graph *g, NodeId id);
/* Is `id` recomputed by clusters: constant, iota, or broadcast of one element or row?  (Also when it is in memory for
 * others.)
 */
bool plan_inline(const Graph *g, const StepPlan *s, NodeId id);
/* Elements its storage holds: shape_count, but for packed matrices. */
uint64_t plan_stored_count(const PlanUnit *u, const Node *n);
#endif
