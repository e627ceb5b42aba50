/* graph.h - the intermediate form: an SSA graph for ONE example, every dim an integer, no names, no control flow.
 *
 * A pass reads one graph and builds another through the builder, which folds constants, shares common subexpressions,
 * infers shapes and inserts broadcasts.  An argument's id is always smaller than its user's: order is topological.
 * Files: graph.c (the builder), print.c (text), verify.c (invariants). */
#ifndef DEQ_COMPILER_GRAPH_H
#define DEQ_COMPILER_GRAPH_H
#include "source.h"
#include <stdio.h>

typedef enum Op {
#define OP(name, arity, class, shape, linear, cost, view, doc) OP_##name,
#include "ops.def"
#undef OP
    OP_COUNT
} Op;

typedef enum OpClass {
    CLASS_LEAF,
    CLASS_ELEMENTWISE,
    CLASS_LAYOUT,
    CLASS_REDUCE,
    CLASS_PRODUCT,
    CLASS_BATCH,
    CLASS_CALL
} OpClass;

/* The results of an `objective` node, and the ARG numbers of its routine. */
enum { OBJECTIVE_OUTPUT, OBJECTIVE_VALUE, OBJECTIVE_DERIVATIVE };

typedef uint32_t NodeId;
#define NODE_NONE UINT32_MAX
#define MAX_RANK 6

typedef struct Shape {
    uint32_t rank, dims[MAX_RANK];
} Shape;

/* The numbers an op carries, by name: attr.slice.start[k].  Which op has which, and what they mean: attributes.def.
 * `numbers` is for what treats them all alike; the builder zeroes those that the op does not have. */
typedef struct Attr {
    double value;
    union {
        int64_t numbers[2 * MAX_RANK];
#define VIEW(view) struct view##_attributes {
#define NUMBER(name, usual, doc) int64_t name;
#define FLAG(name, doc) int64_t name;
#define PAIR(name, doc) int64_t name[2];
#define AXES(name, doc) int64_t name[MAX_RANK];
#define MASK(name, doc) int64_t name;
#define NOTE(name, doc) int64_t name;
#define END(view)                                                                                                      \
    }                                                                                                                  \
    view;
#include "attributes.def"
    };
    const char *name; /* interned by the graph's arena: compared by text */
} Attr;

/* Which of the numbers an op has. */
typedef enum View {
    VIEW_none,
#define VIEW(view) VIEW_##view,
#include "attributes.def"
} View;

typedef struct Node {
    Op op;
    bool batched;         /* one value per example; else shared by all */
    uint32_t nargs, args; /* arguments: graph->args[args .. args + nargs) */
    Shape shape;
    Attr attr;
    Range loc; /* the source text it came from; copied by every pass */
} Node;

/* Which argument of `in_training` nodes copies into a graph take.  FORM_STATISTICS: the first of statistics of the batch
 * alone. */
typedef enum GraphForm { FORM_BOTH, FORM_EVALUATION, FORM_TRAINING, FORM_STATISTICS } GraphForm;

typedef struct Graph {
    Arena *arena;
    const char *name;
    Node *nodes;
    uint32_t nnodes, cap;
    NodeId *args;
    uint32_t nargs, args_cap;
    NodeId *inputs, *outputs; /* in declaration order */
    uint32_t ninputs, inputs_cap, noutputs, outputs_cap;
    void *sharing; /* the builder's hash table */
    GraphForm form;
} Graph;

/* ---- building ---- */
Graph *graph_new(Arena *a, const char *name);
Shape shape_scalar(void);
Shape shape_of(uint32_t rank, const uint32_t *dims);
uint64_t shape_count(Shape s); /* elements; 1 for a scalar */
bool shape_equal(Shape a, Shape b);
NodeId graph_input(Graph *g, Shape shape, bool batched, const char *name, Range loc);
NodeId graph_constant(Graph *g, double value); /* unbatched scalar */
/* Adds an op, or returns an existing equal or folded node.  Elementwise arguments may differ by scalars and size-1
 * axes: broadcasts are inserted.  Shapes must fit: the checker has made sure, anything else is an ICE. */
NodeId graph_op(Graph *g, Op op, const NodeId *args, uint32_t nargs, const Attr *attr, Range loc);
/* For ops whose shape is not implied by arguments (reshape, broadcast, iota, random, fixed_state, fixed_cotangent,
 * query_result).  `batched` raises an unbatched value to one copy per example (broadcast only). */
NodeId graph_op_shaped(Graph *g, Op op, const NodeId *args, uint32_t nargs, const Attr *attr, Shape shape, bool batched,
                       Range loc);
void graph_output(Graph *g, NodeId node);
/* Shorthands used everywhere. */
NodeId graph_unary(Graph *g, Op op, NodeId a, Range loc);
NodeId graph_binary(Graph *g, Op op, NodeId a, NodeId b, Range loc);
NodeId graph_matmul(Graph *g, NodeId a, NodeId b, bool transpose_a, bool transpose_b, Range loc);
NodeId graph_reduce(Graph *g, Op op, NodeId a, uint32_t axes_mask, Range loc);
NodeId graph_reshape(Graph *g, NodeId a, Shape shape, Range loc);
NodeId graph_broadcast(Graph *g, NodeId a, Shape shape, Range loc);
NodeId graph_batch(Graph *g, NodeId a, Range loc); /* a itself when batched, else its broadcast to every example */
/* ---- reading ---- */
static inline const Node *graph_node(const Graph *g, NodeId id) { return &g->nodes[id]; }
static inline NodeId graph_arg(const Graph *g, NodeId id, uint32_t k) { return g->args[g->nodes[id].args + k]; }
const char *op_name(Op op);
Op op_named(const char *name); /* OP_COUNT: there is none */
OpClass op_class(Op op);
int op_arity(Op op);       /* -1: variadic */
int op_linear_mask(Op op); /* -1: every argument */
unsigned op_cost(Op op);
View op_view(Op op);
Attr attr_of(Op op, const Attr *given); /* `given` (NULL: none), with zeros for numbers that the op does not have */
bool attr_equal(const Attr *a, const Attr *b);
/* The rules the builder and the verifier share: NULL and *out, or why the arguments do not fit.  `given` is for ops
 * whose shape comes from outside, NULL when there is none. */
const char *graph_shape(const Graph *g, Op op, const NodeId *args, uint32_t nargs, const Attr *attr, const Shape *given,
                        Shape *out);
bool graph_batched(const Graph *g, Op op, const NodeId *args, uint32_t nargs); /* as its arguments imply */
/* Copies `node` and what it depends on from src into dst; map[src id] = dst id, NODE_NONE where not yet copied.
 * An input that is not mapped becomes an input of dst; of an `in_training` node the argument that the form of dst
 * names. */
NodeId graph_copy(Graph *dst, const Graph *src, NodeId node, NodeId *map);
NodeId *graph_map(Arena *a, const Graph *src); /* a map for graph_copy with nothing copied */
/* Structure, shapes, batching and op invariants; ICE with the node's text when broken.  Runs after every pass in debug.
 */
void graph_verify(const Graph *g);
void graph_print_node(const Graph *g, NodeId id, FILE *out); /* its line of the text form */
/* Text form, one node a line: `%3 = tanh %2 : batched [128]`; stable across runs, used by golden files and --emit=ir.
 */
void graph_print(const Graph *g, FILE *out);
#endif
