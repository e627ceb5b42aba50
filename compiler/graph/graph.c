/* graph.c - the builder: shape rules, hash-consing, broadcasts.  Identities and constant folding are in fold.c. */
#include "graph.h"
#include "conv.h"
#include "fold.h"
#include <string.h>

/* How many numbers an op with that view carries. */
static const size_t view_sizes[] = {
    [VIEW_none] = 0,
#define VIEW(view) [VIEW_##view] = sizeof(struct view##_attributes),
#include "attributes.def"
};

static const struct OpInfo {
    const char *name;
    int arity;
    OpClass class;
    int linear;
    unsigned cost;
    View view;
} op_infos[] = {
#define OP(name, arity, class, shape, linear, cost, view, doc) {#name, arity, CLASS_##class, linear, cost, VIEW_##view},
#include "ops.def"
#undef OP
};

const char *op_name(Op op) { return op_infos[op].name; }

Op op_named(const char *name) {
    Op op = 0;
    while (op < OP_COUNT && strcmp(op_infos[op].name, name) != 0) op++;
    return op;
}

OpClass op_class(Op op) { return op_infos[op].class; }
int op_arity(Op op) { return op_infos[op].arity; }
int op_linear_mask(Op op) { return op_infos[op].linear == 255 ? -1 : op_infos[op].linear; }
unsigned op_cost(Op op) { return op_infos[op].cost; }
View op_view(Op op) { return op_infos[op].view; }

/* ---- shapes ---- */
Shape shape_scalar(void) { return (Shape){0}; }

Shape shape_of(uint32_t rank, const uint32_t *dims) {
    if (rank > MAX_RANK) ICE("rank %u is above %d", rank, MAX_RANK);
    Shape s = {.rank = rank};
    for (uint32_t k = 0; k < rank; k++) s.dims[k] = dims[k];
    return s;
}

uint64_t shape_count(Shape s) {
    uint64_t n = 1;
    for (uint32_t k = 0; k < s.rank; k++) n *= s.dims[k];
    return n;
}

bool shape_equal(Shape a, Shape b) {
    if (a.rank != b.rank) return false;
    for (uint32_t k = 0; k < a.rank; k++)
        if (a.dims[k] != b.dims[k]) return false;
    return true;
}

/* ---- shape rules: the reason why not, or NULL and *out ---- */
typedef struct Site {
    const Graph *g;
    Op op;
    const NodeId *args;
    uint32_t nargs;
    const Attr *attr;
    const Shape *given; /* for rules that take the shape from outside; NULL when there is none */
} Site;

static Shape arg_shape(const Site *s, uint32_t k) { return s->g->nodes[s->args[k]].shape; }

static const char *shape_ATTR(const Site *s, Shape *out) {
    if (s->op == OP_constant || s->op == OP_query) return *out = shape_scalar(), NULL; /* a query is a token */
    if (!s->given) return "its shape must be given (graph_op_shaped)";
    if (s->op == OP_iota && s->given->rank != 1) return "iota makes a vector";
    if (s->op == OP_reshape && shape_count(*s->given) != shape_count(arg_shape(s, 0)))
        return "reshape must keep the number of elements";
    *out = *s->given;
    return NULL;
}

static const char *shape_SAME(const Site *s, Shape *out) {
    for (uint32_t k = 1; k < s->nargs; k++)
        if (!shape_equal(arg_shape(s, 0), arg_shape(s, k))) return "arguments must have equal dims";
    *out = arg_shape(s, 0);
    return NULL;
}

static const char *shape_BROADCAST(const Site *s, Shape *out) {
    if (!s->given) return "its shape must be given (graph_op_shaped)";
    Shape a = arg_shape(s, 0);
    if (a.rank != 0) {
        if (a.rank != s->given->rank) return "broadcast keeps the rank or starts from a scalar";
        for (uint32_t k = 0; k < a.rank; k++)
            if (a.dims[k] != s->given->dims[k] && a.dims[k] != 1) return "only axes of size 1 are repeated";
    }
    *out = *s->given;
    return NULL;
}

static const char *shape_PERMUTE(const Site *s, Shape *out) {
    Shape a = arg_shape(s, 0);
    unsigned seen = 0;
    out->rank = a.rank;
    for (uint32_t k = 0; k < a.rank; k++) {
        int64_t from = s->attr->transpose.axes[k];
        if (from < 0 || from >= a.rank || (seen >> from & 1)) return "its axes are not a permutation";
        seen |= 1u << from;
        out->dims[k] = a.dims[from];
    }
    return NULL;
}

static const char *shape_SLICE(const Site *s, Shape *out) {
    *out = arg_shape(s, 0);
    for (uint32_t k = 0; k < out->rank; k++) {
        int64_t start = s->attr->slice.start[k], size = s->attr->slice.size[k];
        if (start < 0 || size < 1 || start + size > out->dims[k]) return "the slice lies outside the value";
        out->dims[k] = (uint32_t)size;
    }
    return NULL;
}

static const char *shape_PAD(const Site *s, Shape *out) {
    *out = arg_shape(s, 0);
    for (uint32_t k = 0; k < out->rank; k++) {
        int64_t before = s->attr->pad.before[k], after = s->attr->pad.after[k];
        if (before < 0 || after < 0) return "padding is negative";
        out->dims[k] += (uint32_t)(before + after);
    }
    return NULL;
}

static const char *shape_WINDOW(const Site *s, Shape *out) {
    *out = arg_shape(s, 0);
    int64_t axis = s->attr->window.axis;
    if (out->rank != 3 || axis < 0 || axis > 1) return "windows are of images";
    for (int k = 0; k < 2; k++) {
        int64_t size = s->attr->window.size[k], apart = s->attr->window.apart[k];
        if (size < 1 || apart < 1) return "windows have a size and a distance";
        if (size > out->dims[axis + k]) return "the window is larger than the image";
        out->dims[axis + k] = (uint32_t)((out->dims[axis + k] - size) / apart + 1);
    }
    return NULL;
}

static const char *shape_SPREAD(const Site *s, Shape *out) {
    if (!s->given) return "its shape must be given (graph_op_shaped)";
    Shape a = arg_shape(s, 0);
    int64_t axis = s->attr->window.axis;
    if (a.rank != 3 || s->given->rank != 3 || axis < 0 || axis > 1) return "windows are of images";
    for (uint32_t k = 0; k < 3; k++) {
        int64_t j = k - axis, dim = s->given->dims[k];
        if (j < 0 || j > 1) {
            if (dim != a.dims[k]) return "channels are kept";
            continue;
        }
        int64_t size = s->attr->window.size[j], apart = s->attr->window.apart[j];
        if (size < 1 || apart < 1 || size > dim || (dim - size) / apart + 1 != a.dims[k])
            return "its dims have other windows";
    }
    *out = *s->given;
    return NULL;
}

static const char *shape_CONCAT(const Site *s, Shape *out) {
    if (s->nargs == 0) return "nothing to concatenate";
    *out = arg_shape(s, 0);
    int64_t axis = s->attr->concat.axis;
    if (axis < 0 || axis >= out->rank) return "there is no such axis";
    for (uint32_t k = 1; k < s->nargs; k++) {
        Shape a = arg_shape(s, k);
        if (a.rank != out->rank) return "arguments must have equal ranks";
        for (uint32_t d = 0; d < a.rank; d++)
            if (d != axis && a.dims[d] != out->dims[d]) return "arguments must agree in the other axes";
        out->dims[axis] += a.dims[axis];
    }
    return NULL;
}

static const char *shape_REDUCE(const Site *s, Shape *out) {
    Shape a = arg_shape(s, 0);
    uint64_t mask = (uint64_t)s->attr->reduce.axes;
    if (mask >> a.rank) return "the mask names an axis that is not there";
    if (s->op == OP_argmax && (a.rank != 1 || mask != 1)) return "argmax takes a vector";
    out->rank = 0;
    for (uint32_t k = 0; k < a.rank; k++)
        if (!(mask >> k & 1)) out->dims[out->rank++] = a.dims[k];
    return NULL;
}

static const char *shape_MATMUL(const Site *s, Shape *out) {
    Shape a = arg_shape(s, 0), b = arg_shape(s, 1);
    bool ta = s->attr->matmul.transpose_a, tb = s->attr->matmul.transpose_b;
    if (a.rank < 1 || a.rank > 2 || b.rank < 1 || b.rank > 2) return "matmul takes vectors and matrices";
    if ((a.rank == 1 && ta) || (b.rank == 1 && tb)) return "a vector has no transpose";
    if (a.rank == 2 && b.rank == 1) return "matrix times vector is written vector times transposed matrix";
    if (s->attr->matmul.packed && (ta || tb || a.rank != 1 || b.rank != 2)) return "only vector times packed matrix";
    uint32_t ka = a.rank == 1 ? a.dims[0] : a.dims[!ta], kb = b.dims[b.rank == 2 && tb];
    if (ka != kb) return "inner dims differ";
    if (a.rank == 2) out->dims[out->rank++] = a.dims[ta];
    if (b.rank == 2) out->dims[out->rank++] = b.dims[!tb];
    return NULL;
}

static const char *shape_OUTER(const Site *s, Shape *out) {
    if (arg_shape(s, 0).rank != 1 || arg_shape(s, 1).rank != 1) return "outer takes two vectors";
    *out = (Shape){2, {arg_shape(s, 0).dims[0], arg_shape(s, 1).dims[0]}};
    return NULL;
}

static const char *shape_PACK(const Site *s, Shape *out) {
    Shape a = arg_shape(s, 0);
    if (a.rank != 2) return "pack takes a matrix";
    bool transposed = s->attr->pack.transposed;
    *out = (Shape){2, {a.dims[transposed], a.dims[!transposed]}};
    return NULL;
}

static const char *shape_CONV(const Site *s, Shape *out) {
    ConvShape c;
    const char *why = conv_shape(s->op, s->attr, arg_shape(s, 0), arg_shape(s, 1), &c);
    if (why) return why;
    if (s->op == OP_conv)
        *out = conv_image(s->attr, c.filters, c.out_height, c.out_width);
    else if (s->op == OP_conv_input)
        *out = conv_image(s->attr, c.channels, c.height, c.width);
    else
        *out = conv_weights(s->attr, &c);
    return NULL;
}

static const char *shape_FIXED(const Site *s, Shape *out) {
    (void)s;
    *out = shape_scalar(); /* a token: only its results read it */
    return NULL;
}

static const char *shape_STATE(const Site *s, Shape *out) {
    if (!s->given) return "its shape must be given (graph_op_shaped)";
    if (s->g->nodes[s->args[0]].op != OP_fixed) return "its argument must be a `fixed` node";
    *out = *s->given;
    return NULL;
}

static const char *shape_FIRST(const Site *s, Shape *out) {
    if (s->nargs == 0) return "its first argument is missing";
    *out = arg_shape(s, 0);
    return NULL;
}

const char *graph_shape(const Graph *g, Op op, const NodeId *args, uint32_t nargs, const Attr *attr, const Shape *given,
                        Shape *out) {
    static const char *(*const rules[])(const Site *, Shape *) = {
#define OP(name, arity, class, shape, linear, cost, view, doc) shape_##shape,
#include "ops.def"
#undef OP
    };
    int arity = op_arity(op);
    if (arity >= 0 && (uint32_t)arity != nargs) return "wrong number of arguments";
    *out = shape_scalar();
    const char *why = rules[op](&(Site){g, op, args, nargs, attr, given}, out);
    if (why) return why;
    for (uint32_t k = 0; k < out->rank; k++)
        if (out->dims[k] == 0) return "a dim is zero";
    return NULL;
}

bool graph_batched(const Graph *g, Op op, const NodeId *args, uint32_t nargs) {
    if (op_class(op) == CLASS_BATCH) return false;
    if (op == OP_random || op == OP_fixed || op == OP_fixed_gradient || op == OP_query || op == OP_objective ||
        op == OP_counted || op == OP_solve)
        return true;
    for (uint32_t k = 0; k < nargs; k++)
        if (g->nodes[args[k]].batched) return true;
    return false;
}

/* ---- sharing: open addressing from (op, arguments, attr, shape, batched) to the node ---- */
typedef struct Sharing {
    uint32_t *slots, size, used; /* slots hold id + 1; 0 is free */
} Sharing;

static uint64_t mix(uint64_t h, uint64_t v) {
    h = (h ^ v) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}

static uint64_t node_hash(const Graph *g, const Node *n) {
    uint64_t h = mix(n->op, n->batched), bits;
    for (uint32_t k = 0; k < n->nargs; k++) h = mix(h, g->args[n->args + k]);
    h = mix(h, n->shape.rank);
    for (uint32_t k = 0; k < n->shape.rank; k++) h = mix(h, n->shape.dims[k]);
    memcpy(&bits, &n->attr.value, sizeof bits);
    h = mix(h, bits);
    for (int k = 0; k < 2 * MAX_RANK; k++) h = mix(h, (uint64_t)n->attr.numbers[k]);
    for (const char *c = n->attr.name; c && *c; c++) h = mix(h, (unsigned char)*c);
    return h;
}

bool attr_equal(const Attr *a, const Attr *b) {
    /* By bits: -0 and 0 are different constants.  NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
    return memcmp(&a->value, &b->value, sizeof a->value) == 0 &&
           memcmp(a->numbers, b->numbers, sizeof a->numbers) == 0 &&
           (a->name == b->name || (a->name && b->name && strcmp(a->name, b->name) == 0));
}

static bool node_equal(const Graph *g, const Node *a, const Node *b) {
    return a->op == b->op && a->batched == b->batched && a->nargs == b->nargs && shape_equal(a->shape, b->shape) &&
           (a->nargs == 0 || memcmp(g->args + a->args, g->args + b->args, a->nargs * sizeof(NodeId)) == 0) &&
           attr_equal(&a->attr, &b->attr);
}

static uint32_t *sharing_find(const Graph *g, const Sharing *s, const Node *n) {
    uint32_t at = (uint32_t)node_hash(g, n) & (s->size - 1);
    while (s->slots[at] && !node_equal(g, &g->nodes[s->slots[at] - 1], n)) at = (at + 1) & (s->size - 1);
    return &s->slots[at];
}

static void sharing_grow(Graph *g, Sharing *s) {
    Sharing old = *s;
    s->size = old.size ? 2 * old.size : 256;
    s->slots = arena_alloc(g->arena, s->size * sizeof *s->slots);
    for (uint32_t k = 0; k < old.size; k++)
        if (old.slots[k]) *sharing_find(g, s, &g->nodes[old.slots[k] - 1]) = old.slots[k];
}

/* Adds the node as it is, or finds its equal.  Inputs are never shared. */
static NodeId node_add(Graph *g, Node n, const NodeId *args) {
    NodeId copy[64], *kept = n.nargs <= 64 ? copy : arena_alloc(g->arena, n.nargs * sizeof *kept);
    if (n.nargs) memcpy(kept, args, n.nargs * sizeof *kept); /* args may point into g->args, which moves */
    uint32_t pool = g->nargs;
    n.args = pool;
    for (uint32_t k = 0; k < n.nargs; k++) *ARENA_PUSH(g->arena, g->args, g->nargs, g->args_cap) = kept[k];
    Sharing *s = g->sharing;
    uint32_t *slot = NULL;
    if (n.op != OP_input) {
        if (4 * (s->used + 1) > 3 * s->size) sharing_grow(g, s);
        slot = sharing_find(g, s, &n);
        if (*slot) {
            g->nargs = pool;
            return *slot - 1;
        }
        *slot = g->nnodes + 1;
        s->used++;
    }
    if (n.attr.name) n.attr.name = arena_strdup(g->arena, n.attr.name);
    *ARENA_PUSH(g->arena, g->nodes, g->nnodes, g->cap) = n;
    return g->nnodes - 1;
}

/* ---- building ---- */
Graph *graph_new(Arena *a, const char *name) {
    Graph *g = arena_alloc(a, sizeof *g);
    g->arena = a;
    g->name = arena_strdup(a, name);
    g->sharing = arena_alloc(a, sizeof(Sharing));
    g->args_cap = 16; /* never NULL: `args + 0` of a null pointer is undefined */
    g->args = arena_alloc(a, g->args_cap * sizeof *g->args);
    return g;
}

NodeId graph_input(Graph *g, Shape shape, bool batched, const char *name, Range loc) {
    Node n = {.op = OP_input, .batched = batched, .shape = shape, .attr.name = name, .loc = loc};
    NodeId id = node_add(g, n, NULL);
    *ARENA_PUSH(g->arena, g->inputs, g->ninputs, g->inputs_cap) = id;
    return id;
}

NodeId graph_constant(Graph *g, double value) {
    return node_add(g, (Node){.op = OP_constant, .attr.value = value}, NULL);
}

void graph_output(Graph *g, NodeId node) { *ARENA_PUSH(g->arena, g->outputs, g->noutputs, g->outputs_cap) = node; }

/* The dims that all elementwise arguments broadcast to. */
static Shape joined_shape(const Graph *g, Op op, const NodeId *args, uint32_t nargs) {
    Shape s = shape_scalar();
    for (uint32_t k = 0; k < nargs; k++) {
        Shape a = g->nodes[args[k]].shape;
        if (a.rank == 0) continue;
        if (s.rank == 0) s = a;
        if (a.rank != s.rank) ICE("%s in %s: ranks %u and %u", op_name(op), g->name, s.rank, a.rank);
        for (uint32_t d = 0; d < a.rank; d++) {
            if (s.dims[d] == 1) s.dims[d] = a.dims[d];
            if (a.dims[d] != 1 && a.dims[d] != s.dims[d])
                ICE("%s in %s: sizes %u and %u of axis %u", op_name(op), g->name, s.dims[d], a.dims[d], d);
        }
    }
    return s;
}

Attr attr_of(Op op, const Attr *given) {
    Attr attr;
    memset(&attr, 0, sizeof attr);
    if (!given) return attr;
    attr.value = given->value, attr.name = given->name;
    memcpy(attr.numbers, given->numbers, view_sizes[op_view(op)]);
    return attr;
}

static NodeId add_op(Graph *g, Op op, const NodeId *given_args, uint32_t nargs, const Attr *given_attr,
                     const Shape *given, bool batched, Range loc) {
    Attr attr = attr_of(op, given_attr);
    NodeId small[64], *args = nargs <= 64 ? small : arena_alloc(g->arena, nargs * sizeof *args);
    if (nargs) memcpy(args, given_args, nargs * sizeof *args);
    for (uint32_t k = 0; k < nargs; k++)
        if (args[k] >= g->nnodes) ICE("%s in %s: argument %u is not a node", op_name(op), g->name, k);
    if (op_class(op) == CLASS_ELEMENTWISE && nargs > 1) {
        Shape s = joined_shape(g, op, args, nargs);
        for (uint32_t k = 0; k < nargs; k++) args[k] = graph_broadcast(g, args[k], s, loc);
    }
    if (op_class(op) == CLASS_BATCH) /* an unbatched value counts once for every example */
        for (uint32_t k = 0; k < nargs; k++) args[k] = graph_batch(g, args[k], loc);
    fold_canonical(g, op, args, nargs, &attr);
    Shape shape;
    const char *why = graph_shape(g, op, args, nargs, &attr, given, &shape);
    if (why) ICE("%s in %s: %s", op_name(op), g->name, why);
    batched = batched || graph_batched(g, op, args, nargs);
    if (op_class(op) == CLASS_BATCH) batched = false;
    NodeId folded = fold_node(g, op, args, nargs, &attr, shape, batched, loc);
    if (folded != NODE_NONE) {
        const Node *f = &g->nodes[folded];
        if (shape_equal(f->shape, shape) && f->batched == batched) return folded;
        /* folding may forget that a value is batched or larger: the broadcast says it again */
        return graph_op_shaped(g, OP_broadcast, &folded, 1, NULL, shape, batched, loc);
    }
    return node_add(g, (Node){.op = op, .batched = batched, .nargs = nargs, .shape = shape, .attr = attr, .loc = loc},
                    args);
}

NodeId graph_op(Graph *g, Op op, const NodeId *args, uint32_t nargs, const Attr *attr, Range loc) {
    return add_op(g, op, args, nargs, attr, NULL, false, loc);
}

NodeId graph_op_shaped(Graph *g, Op op, const NodeId *args, uint32_t nargs, const Attr *attr, Shape shape, bool batched,
                       Range loc) {
    if (op == OP_input) ICE("inputs are made by graph_input");
    return add_op(g, op, args, nargs, attr, &shape, batched, loc);
}

NodeId graph_unary(Graph *g, Op op, NodeId a, Range loc) { return graph_op(g, op, &a, 1, NULL, loc); }

NodeId graph_binary(Graph *g, Op op, NodeId a, NodeId b, Range loc) {
    return graph_op(g, op, (NodeId[]){a, b}, 2, NULL, loc);
}

NodeId graph_matmul(Graph *g, NodeId a, NodeId b, bool transpose_a, bool transpose_b, Range loc) {
    return graph_op(g, OP_matmul, (NodeId[]){a, b}, 2, &(Attr){.matmul = {transpose_a, transpose_b, 0}}, loc);
}

NodeId graph_reduce(Graph *g, Op op, NodeId a, uint32_t axes_mask, Range loc) {
    return graph_op(g, op, &a, 1, &(Attr){.reduce.axes = axes_mask}, loc);
}

NodeId graph_reshape(Graph *g, NodeId a, Shape shape, Range loc) {
    if (shape_equal(g->nodes[a].shape, shape)) return a;
    return graph_op_shaped(g, OP_reshape, &a, 1, NULL, shape, false, loc);
}

NodeId graph_broadcast(Graph *g, NodeId a, Shape shape, Range loc) {
    if (shape_equal(g->nodes[a].shape, shape)) return a;
    return graph_op_shaped(g, OP_broadcast, &a, 1, NULL, shape, false, loc);
}

NodeId graph_batch(Graph *g, NodeId a, Range loc) {
    if (g->nodes[a].batched) return a;
    return graph_op_shaped(g, OP_broadcast, &a, 1, NULL, g->nodes[a].shape, true, loc);
}

NodeId graph_copy(Graph *dst, const Graph *src, NodeId node, NodeId *map) {
    if (map[node] != NODE_NONE) return map[node];
    NodeId *stack = NULL;
    uint32_t n = 0, cap = 0;
    *ARENA_PUSH(dst->arena, stack, n, cap) = node;
    while (n) {
        NodeId id = stack[n - 1];
        const Node *s = &src->nodes[id];
        bool ready = true, chosen = (s->op == OP_in_training || s->op == OP_fence) && dst->form != FORM_BOTH;
        uint32_t first =
            chosen && s->op == OP_in_training &&
            (dst->form == FORM_EVALUATION || (dst->form == FORM_STATISTICS && s->attr.training.statistic == 0));
        uint32_t end = chosen ? first + 1 : s->nargs;
        for (uint32_t k = first; k < end && map[id] == NODE_NONE; k++) {
            NodeId a = src->args[s->args + k];
            if (map[a] == NODE_NONE) *ARENA_PUSH(dst->arena, stack, n, cap) = a, ready = false;
        }
        if (!ready) continue;
        n--;
        if (map[id] != NODE_NONE) continue;
        if (chosen) {
            map[id] = map[src->args[s->args + first]];
            if (s->batched) map[id] = graph_batch(dst, map[id], s->loc);
            continue;
        }
        if (s->op == OP_input) {
            map[id] = graph_input(dst, s->shape, s->batched, s->attr.name, s->loc);
            dst->nodes[map[id]].attr = s->attr;
            continue;
        }
        NodeId small[64], *args = s->nargs <= 64 ? small : arena_alloc(dst->arena, s->nargs * sizeof *args);
        for (uint32_t k = 0; k < s->nargs; k++) args[k] = map[src->args[s->args + k]];
        bool raised = s->batched && !graph_batched(src, s->op, src->args + s->args, s->nargs);
        map[id] = graph_op_shaped(dst, s->op, args, s->nargs, &s->attr, s->shape, raised, s->loc);
    }
    return map[node];
}

NodeId *graph_map(Arena *a, const Graph *src) {
    NodeId *map = arena_alloc(a, (src->nnodes + 1) * sizeof *map);
    for (uint32_t k = 0; k < src->nnodes; k++) map[k] = NODE_NONE;
    return map;
}
