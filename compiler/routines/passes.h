/* passes.h - from graphs to the graphs of routines: simplify, hoist, split off the shared stage, cut the tape.
 *
 * A pass reads one graph and builds another; inputs carry an origin (below) that every copy keeps, so that bindings are
 * read off the final graph.
 * Files: simplify.c, channels_last.c, hoist.c, stage.c, pack.c, tape.c. */
#ifndef DEQ_COMPILER_PASSES_H
#define DEQ_COMPILER_PASSES_H
#include "routine.h"

/* ---- origins: where an input comes from; kept in the numbers of `input` nodes ---- */
typedef struct Origin {
    Place place;
    uint32_t index;     /* SHARED, ACCUM: shared value; REST: captured value; TAPE: tape value; ARG: argument */
    uint32_t component; /* ARG of a fixed point: state component */
} Origin;

void origin_set(Graph *g, NodeId input, Origin origin);
bool origin_get(const Graph *g, NodeId node, Origin *origin); /* false: not an input, or none set */
/* The input of that origin, made on first use. */
NodeId origin_input(Graph *g, Origin origin, Shape shape, bool batched, const char *name, Range loc);

/* ---- simplify.c ---- */
/* Rewrites g from the roots (its outputs when NULL): constant divisions and powers, products of sums over examples,
 * broadcasts moved behind elementwise ops; drops what the roots do not need.
 * ensures: outputs are the roots in order; with keep_inputs every input is kept, in order; map[id of g] (may be NULL)
 * is the new id or NODE_NONE. */
Graph *simplify(Arena *a, const Graph *g, const NodeId *roots, uint32_t nroots, bool keep_inputs, NodeId *map);

/* ---- channels_last.c ---- */
/* Images become [H, W, C] where there are convolutions or windows: in g, and in the bodies with their states and
 * captured values.  needs: nothing is differentiated yet; no gradients by hand.  ensures: the result has g's inputs and
 * outputs as they were, except first states, which are laid out as the states; map[id of g] is the node as written in
 * the result (NODE_NONE: it exists channels last only).  starts: by output, 1 + the fixed point whose first state it
 * is, 0 for the others. */
Graph *channels_last(Arena *a, const Graph *g, Graph **bodies, uint32_t nfixed, const uint32_t *starts, NodeId *map);

/* ---- hoist.c ---- */
/* Moves what does not depend on the state out of fixed bodies.
 * needs: bodies[k] belongs to the `fixed` nodes of index k; its inputs are nstate[k] states, then the captured
 * values.  ensures: the result has g's outputs; bodies[k] is replaced, its captured values are just the cut: no
 * constants, no reshapes or broadcasts of something smaller, nothing unused. */
Graph *hoist(Arena *a, const Graph *g, Graph **bodies, const uint32_t *nstate, uint32_t nfixed);

/* ---- stage.c: values shared by all examples, computed once per parameter update ---- */
typedef struct SharedValue {
    NodeId node; /* in stage->graph */
    const char *what;
    int64_t parameter;     /* index in the model, -1: derived */
    bool trained;          /* depends on a trained parameter */
    uint64_t bytes;        /* padded */
    int64_t offset, accum; /* slots, -1 while unused */
    bool statistic;        /* a buffer that follows a statistic of the batch, found in its accum slot */
} SharedValue;

typedef struct Stage {
    Arena *arena;
    Layout layout;
    Graph *graph; /* inputs: the model's parameters, in order; every node unbatched */
    SharedValue *values;
    uint32_t nvalues, cap;
    uint64_t parameter_bytes, shared_bytes, accum_bytes;
} Stage;

Stage *stage_new(Arena *a, Layout layout, const Model *model); /* value k is parameter k */
uint32_t stage_value(Stage *s, NodeId node);                   /* of a node of stage->graph */
uint64_t stage_offset(Stage *s, uint32_t value);               /* in `shared`, allocated on first use */
uint64_t stage_accum(Stage *s, uint32_t value);                /* in `accum`, the same */
/* The value of a node of stage->graph in a graph of rows: constants, reshapes and broadcasts are repeated, the rest is
 * an input of origin SHARED. */
NodeId stage_read(Stage *s, Graph *rows, NodeId node);
/* Moves computations on shared values only to the stage, and the unbatched arguments of `fixed` nodes away (bodies read
 * them as shared inputs).  With pack: weights of vector products are read packed.
 * needs: unbatched inputs have origin SHARED (or ACCUM, which stay). */
Graph *stage_split(Stage *s, const Graph *g, bool pack);
/* The stage's node for a static node of g (only shared inputs and constants below it); smap as for graph_copy. */
NodeId stage_copy(Stage *s, const Graph *g, NodeId node, NodeId *smap);

/* ---- pack.c ---- */
uint64_t pack_bytes(Layout layout, Shape matrix); /* of a packed [k, n] matrix */
/* vector `a` times the stage's matrix b (transposed first with `transpose`), as a product with packed weights. */
NodeId pack_matmul(Stage *s, Graph *rows, NodeId a, NodeId b, bool transpose, Range loc);

/* The convolution or adjoint `n` of image `a` with the stage's weights w, packed. */
NodeId pack_conv(Stage *s, Graph *rows, const Node *n, NodeId a, NodeId w);

/* ---- tape.c ---- */
/* Chooses what a linearisation keeps: the smallest set of values from which everything that does not depend on
 * `varying` inputs can be had for the nodes that do, without repeating an expensive op. varying[id], free[id]: by node
 * of g; free values are at hand without the tape.  Returns the stored nodes, ascending. */
NodeId *tape_cut(Arena *a, const Graph *g, const bool *varying, const bool *at_hand, uint32_t real_bytes, uint32_t *n);

static inline uint64_t align_bytes(uint64_t bytes) { return (bytes + 63) / 64 * 64; }
#endif
