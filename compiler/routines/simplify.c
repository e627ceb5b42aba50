/* simplify.c - rewrites that need no use counts, and dead code elimination by copying from the roots.
 *
 * Sums over examples move outwards (a linear op of a batch_sum becomes the batch_sum of the op), so that contributions
 * to shared cotangents end in batch_sum or batch_outer and nothing follows them. */
#include "passes.h"
#include "fold.h"
#include <math.h>
#include <string.h>

typedef struct New { /* the node about to be built */
    Graph *g;
    Op op;
    const NodeId *a;
    uint32_t n;
    Attr attr;
    Shape shape;
    bool raised;
    Range loc;
} New;

static NodeId rewrite(const New *w);
static NodeId rules(const New *w);

/* The rules once more on a node that the builder has made, perhaps of another op than asked for. */
static NodeId settled(Graph *g, NodeId id) {
    Node n = *graph_node(g, id);
    if (n.nargs == 0 || op_class(n.op) == CLASS_CALL) return id;
    NodeId *args = arena_copy(g->arena, g->args + n.args, n.nargs * sizeof *args);
    bool raised = n.batched && !graph_batched(g, n.op, args, n.nargs);
    NodeId r = rules(&(New){g, n.op, args, n.nargs, n.attr, n.shape, raised, n.loc});
    return r != NODE_NONE && shape_equal(graph_node(g, r)->shape, n.shape) ? r : id;
}

static NodeId make(const New *w, Op op, const NodeId *args, uint32_t n, const Attr *attr) {
    New v = {w->g, op, args, n, attr ? *attr : (Attr){0}, {0}, false, w->loc};
    if (op_class(op) == CLASS_ELEMENTWISE) /* the builder inserts broadcasts */
        return settled(w->g, graph_op(w->g, op, args, n, attr, w->loc));
    const char *why = graph_shape(w->g, op, args, n, &v.attr, NULL, &v.shape);
    if (why) ICE("simplify: %s: %s", op_name(op), why);
    return rewrite(&v);
}

static NodeId make1(const New *w, Op op, NodeId a, const Attr *attr) { return make(w, op, &a, 1, attr); }
static NodeId make2(const New *w, Op op, NodeId a, NodeId b) { return make(w, op, (NodeId[]){a, b}, 2, NULL); }
static bool is(const New *w, uint32_t k, Op op) { return graph_node(w->g, w->a[k])->op == op; }
static bool is_op_at(const New *w, NodeId id, Op op) { return graph_node(w->g, id)->op == op; }
static NodeId sub(const New *w, uint32_t k, uint32_t j) { return graph_arg(w->g, w->a[k], j); }

static NodeId rewrite_pow(const New *w) {
    double p;
    if (!fold_value(w->g, w->a[1], &p)) return NODE_NONE;
    NodeId x = w->a[0];
    if (p == 0.5) return make1(w, OP_sqrt, x, NULL);
    if (p < 0 && (p == -0.5 || (p == floor(p) && p >= -8))) {
        New inverse = *w;
        inverse.a = (NodeId[]){x, graph_constant(w->g, -p)};
        NodeId d = p == -1 ? x : rewrite_pow(&inverse);
        return make2(w, OP_div, graph_constant(w->g, 1), d);
    }
    if (p != floor(p) || p < 2 || p > 8) return NODE_NONE;
    NodeId result = NODE_NONE;
    for (unsigned n = (unsigned)p; n; n >>= 1) {
        if (n & 1) result = result == NODE_NONE ? x : make2(w, OP_mul, result, x);
        if (n > 1) x = make2(w, OP_mul, x, x);
    }
    return result;
}

/* op(broadcast(a), broadcast(b), 2) = broadcast(op(a, b, 2)) where a and b have the same dims */
static NodeId rewrite_broadcasts(const New *w) {
    Shape from = {0};
    bool any = false;
    NodeId args[3];
    double v;
    for (uint32_t k = 0; k < w->n; k++) {
        if (fold_value(w->g, w->a[k], &v)) {
            args[k] = graph_constant(w->g, v);
            continue;
        }
        if (!is(w, k, OP_broadcast)) return NODE_NONE;
        args[k] = sub(w, k, 0);
        Shape s = graph_node(w->g, args[k])->shape;
        if (shape_equal(s, graph_node(w->g, w->a[k])->shape)) return NODE_NONE; /* raised to batched only */
        if (any && !shape_equal(s, from)) return NODE_NONE;
        from = s;
        any = true;
    }
    if (!any) return NODE_NONE;
    NodeId small = graph_op(w->g, w->op, args, w->n, &w->attr, w->loc);
    bool batched = graph_batched(w->g, w->op, w->a, w->n);
    return graph_op_shaped(w->g, OP_broadcast, &small, 1, NULL, w->shape, batched, w->loc);
}

/* sum(x * broadcast(s)) = sum(x) * s where the sum runs over repeated axes only */
static NodeId rewrite_sum_of_scaled(const New *w) {
    if (!is(w, 0, OP_mul)) return NODE_NONE;
    for (uint32_t k = 0; k < 2; k++) {
        NodeId b = sub(w, 0, k);
        const Node *n = graph_node(w->g, b);
        if (n->op != OP_broadcast) continue;
        NodeId source = graph_arg(w->g, b, 0);
        Shape from = graph_node(w->g, source)->shape;
        bool repeated = true;
        for (uint32_t d = 0; d < n->shape.rank; d++)
            if ((w->attr.reduce.axes >> d & 1) && from.rank != 0 && from.dims[d] == n->shape.dims[d]) repeated = false;
        if (!repeated) continue;
        if (from.rank != 0) { /* drop the reduced axes, all of size 1 */
            Shape kept = {0};
            for (uint32_t d = 0; d < from.rank; d++)
                if (!(w->attr.reduce.axes >> d & 1)) kept.dims[kept.rank++] = from.dims[d];
            source = graph_reshape(w->g, source, kept, w->loc);
            source = graph_broadcast(w->g, source, w->shape, w->loc);
        }
        return make2(w, OP_mul, make1(w, OP_reduce_sum, sub(w, 0, 1 - k), &w->attr), source);
    }
    return NODE_NONE;
}

/* sum(x - mean(x)) = 0: what is left of a layer norm's mean in its derivative */
static bool is_sum_of_centred(const New *w) {
    if (!is(w, 0, OP_sub) || !is_op_at(w, sub(w, 0, 1), OP_broadcast)) return false;
    NodeId x = sub(w, 0, 0), from = graph_arg(w->g, sub(w, 0, 1), 0), mean = from;
    Shape kept = graph_node(w->g, x)->shape;
    uint64_t n = shape_count(kept) / shape_count(w->shape);
    for (uint32_t d = 0; d < kept.rank; d++)
        if (w->attr.reduce.axes >> d & 1) kept.dims[d] = 1;
    if (w->shape.rank != 0 && !shape_equal(graph_node(w->g, from)->shape, kept)) return false;
    while (is_op_at(w, mean, OP_reshape)) mean = graph_arg(w->g, mean, 0);
    double scale;
    if (!is_op_at(w, mean, OP_mul) || !fold_value(w->g, graph_arg(w->g, mean, 1), &scale)) return false;
    NodeId total = graph_arg(w->g, mean, 0);
    while (is_op_at(w, total, OP_reshape)) total = graph_arg(w->g, total, 0);
    return is_op_at(w, total, OP_reduce_sum) && graph_arg(w->g, total, 0) == x &&
           graph_node(w->g, total)->attr.reduce.axes == w->attr.reduce.axes && fabs(scale * (double)n - 1) < 1e-12;
}

/* sum(a x + b y) = a sum(x) + b sum(y) for repeated a and b: the sums no longer wait for a and b */
static NodeId rewrite_sum_of_sums(const New *w) {
    if (!is(w, 0, OP_add) && !is(w, 0, OP_sub)) return NODE_NONE;
    NodeId parts[2];
    for (uint32_t k = 0; k < 2; k++) {
        New part = *w;
        part.a = (NodeId[]){sub(w, 0, k)};
        parts[k] = rewrite_sum_of_scaled(&part);
        if (parts[k] == NODE_NONE) return NODE_NONE;
    }
    return make2(w, graph_node(w->g, w->a[0])->op, parts[0], parts[1]);
}

/* What a slice or pad of a matrix does along one of its axes. */
static Attr along_axis(const New *w, uint32_t k) {
    if (w->op == OP_slice) return (Attr){.slice = {.start = {w->attr.slice.start[k]}, .size = {w->attr.slice.size[k]}}};
    return (Attr){.pad = {.before = {w->attr.pad.before[k]}, .after = {w->attr.pad.after[k]}}};
}

/* Linear ops of outer products and of their sums over examples act on the two vectors. */
static NodeId rewrite_outer(const New *w) {
    const Node *n = graph_node(w->g, w->a[0]);
    Op op = n->op;
    NodeId a = sub(w, 0, 0), b = sub(w, 0, 1);
    switch (w->op) {
    case OP_neg: return make2(w, op, make1(w, OP_neg, a, NULL), b);
    case OP_transpose: return make2(w, op, b, a);
    case OP_mul: {
        double v;
        if (!fold_value(w->g, w->a[1], &v)) return NODE_NONE;
        return make2(w, op, make2(w, OP_mul, a, graph_constant(w->g, v)), b);
    }
    case OP_slice:
    case OP_pad: {
        Attr ia = along_axis(w, 0), ib = along_axis(w, 1);
        return make2(w, op, make1(w, w->op, a, &ia), make1(w, w->op, b, &ib));
    }
    case OP_reduce_sum: {
        Attr all = {.reduce.axes = 1};
        NodeId sa = w->attr.reduce.axes & 1 ? make1(w, OP_reduce_sum, a, &all) : a;
        NodeId sb = w->attr.reduce.axes & 2 ? make1(w, OP_reduce_sum, b, &all) : b;
        NodeId product = make2(w, OP_mul, sa, sb);
        return op == OP_outer ? product : make1(w, OP_batch_sum, product, NULL);
    }
    default: return NODE_NONE;
    }
}

/* -w(x, u) = w(-x, u), and the same for a constant factor: sums over examples stay outermost. */
static NodeId rewrite_conv_weight(const New *w) {
    const Node *n = graph_node(w->g, w->a[0]);
    Op op = n->op;
    Attr attr = n->attr;
    NodeId x = sub(w, 0, 0), u = sub(w, 0, 1);
    double v;
    if (w->op == OP_neg) return make(w, op, (NodeId[]){make1(w, OP_neg, x, NULL), u}, 2, &attr);
    if (w->op != OP_mul || !fold_value(w->g, w->a[1], &v)) return NODE_NONE;
    NodeId scaled = make2(w, OP_mul, u, graph_constant(w->g, v));
    return make(w, op, (NodeId[]){x, scaled}, 2, &attr);
}

/* Unbatched, and known before any sum over examples. */
static bool is_plain(const Graph *g, NodeId id) {
    const Node *n = graph_node(g, id);
    while (n->op == OP_broadcast || n->op == OP_reshape) n = graph_node(g, g->args[n->args]);
    return !n->batched && (n->op == OP_constant || n->op == OP_input || n->op == OP_iota);
}

static NodeId rewrite_batch_sum(const New *w) { /* w->a[0] is a batch_sum */
    NodeId x = sub(w, 0, 0);
    switch (w->op) {
    case OP_neg: return make1(w, OP_batch_sum, make1(w, OP_neg, x, NULL), NULL);
    case OP_transpose:
    case OP_slice:
    case OP_pad:
    case OP_reduce_sum: return make1(w, OP_batch_sum, make1(w, w->op, x, &w->attr), NULL);
    case OP_reshape: return make1(w, OP_batch_sum, graph_reshape(w->g, x, w->shape, w->loc), NULL);
    case OP_broadcast:
        if (w->raised) return NODE_NONE;
        return make1(w, OP_batch_sum, graph_broadcast(w->g, x, w->shape, w->loc), NULL);
    case OP_mul:
    case OP_div:
        if (!is_plain(w->g, w->a[1])) return NODE_NONE;
        return make1(w, OP_batch_sum, make2(w, w->op, x, w->a[1]), NULL);
    default: return NODE_NONE;
    }
}

/* A sum over examples, or built from such by additions. */
static bool is_batch_total(const Graph *g, NodeId id) {
    const Node *n = graph_node(g, id);
    if (n->op == OP_add || n->op == OP_sub)
        return is_batch_total(g, graph_arg(g, id, 0)) && is_batch_total(g, graph_arg(g, id, 1));
    return op_class(n->op) == CLASS_BATCH || (n->op == OP_reshape && is_batch_total(g, graph_arg(g, id, 0)));
}

/* op(a + b) = op(a) + op(b) for linear ops of such sums, which then move inside each. */
static NodeId rewrite_batch_totals(const New *w) {
    bool scaling = (w->op == OP_mul || w->op == OP_div) && is_plain(w->g, w->a[1]);
    bool layout = w->op == OP_transpose || w->op == OP_slice || w->op == OP_pad || w->op == OP_reshape ||
                  (w->op == OP_broadcast && !w->raised);
    if ((!scaling && !layout && w->op != OP_reduce_sum) || !is_batch_total(w->g, w->a[0])) return NODE_NONE;
    NodeId parts[2];
    for (uint32_t k = 0; k < 2; k++) {
        New part = *w;
        part.a = (NodeId[]){sub(w, 0, k), w->n > 1 ? w->a[1] : 0};
        parts[k] = rewrite(&part);
    }
    return make2(w, graph_node(w->g, w->a[0])->op, parts[0], parts[1]);
}

static NodeId rewrite_div(const New *w) {
    double v;
    NodeId one = graph_constant(w->g, 1);
    if (fold_value(w->g, w->a[1], &v))
        return v != 0 && isfinite(1 / v) ? make2(w, OP_mul, w->a[0], graph_constant(w->g, 1 / v)) : NODE_NONE;
    if (fold_value(w->g, w->a[0], &v) && v != 1)
        return make2(w, OP_mul, make2(w, OP_div, one, w->a[1]), graph_constant(w->g, v));
    if (is(w, 1, OP_broadcast) && !fold_value(w->g, w->a[0], &v)) { /* one division instead of many */
        NodeId s = sub(w, 1, 0);
        if (shape_count(graph_node(w->g, s)->shape) < shape_count(w->shape))
            return make2(w, OP_mul, w->a[0], make2(w, OP_div, one, s));
    }
    return NODE_NONE;
}

static NodeId rules(const New *w) {
    NodeId r = NODE_NONE;
    if (w->n == 0) return NODE_NONE;
    if (op_class(w->op) == CLASS_ELEMENTWISE) r = rewrite_broadcasts(w);
    if (r != NODE_NONE) return r;
    if (w->op == OP_pow) return rewrite_pow(w);
    if (w->op == OP_div) r = rewrite_div(w);
    if (w->op == OP_reduce_sum && is(w, 0, OP_neg) && w->g->nodes[w->a[0]].batched)
        return make1(w, OP_neg, make1(w, OP_reduce_sum, sub(w, 0, 0), &w->attr), NULL);
    if (w->op == OP_reduce_sum) {
        if (is_sum_of_centred(w)) {
            NodeId zero = graph_constant(w->g, 0);
            bool batched = graph_node(w->g, w->a[0])->batched;
            return graph_op_shaped(w->g, OP_broadcast, &zero, 1, NULL, w->shape, batched, w->loc);
        }
        r = rewrite_sum_of_scaled(w);
        if (r == NODE_NONE) r = rewrite_sum_of_sums(w);
    }
    if (r == NODE_NONE && w->op == OP_batch_sum && is(w, 0, OP_outer))
        r = make2(w, OP_batch_outer, sub(w, 0, 0), sub(w, 0, 1));
    if (r == NODE_NONE && w->op == OP_batch_sum && is(w, 0, OP_conv_weight)) {
        Attr attr = graph_node(w->g, w->a[0])->attr;
        r = make(w, OP_batch_conv_weight, (NodeId[]){sub(w, 0, 0), sub(w, 0, 1)}, 2, &attr);
    }
    if (r == NODE_NONE && (is(w, 0, OP_conv_weight) || is(w, 0, OP_batch_conv_weight))) r = rewrite_conv_weight(w);
    if (r == NODE_NONE && (is(w, 0, OP_outer) || is(w, 0, OP_batch_outer))) r = rewrite_outer(w);
    if (r == NODE_NONE && is(w, 0, OP_batch_sum)) r = rewrite_batch_sum(w);
    if (r == NODE_NONE && (is(w, 0, OP_add) || is(w, 0, OP_sub))) r = rewrite_batch_totals(w);
    return r;
}

static NodeId rewrite(const New *w) {
    NodeId r = rules(w);
    if (r != NODE_NONE && shape_equal(graph_node(w->g, r)->shape, w->shape)) return r;
    NodeId id = graph_op_shaped(w->g, w->op, w->a, w->n, &w->attr, w->shape, w->raised, w->loc);
    return graph_node(w->g, id)->op == w->op ? id : settled(w->g, id);
}

static bool *needed_by(Arena *a, const Graph *g, const NodeId *roots, uint32_t nroots) {
    bool *needed = arena_alloc(a, g->nnodes + 1);
    for (uint32_t k = 0; k < nroots; k++) needed[roots[k]] = true;
    for (NodeId id = g->nnodes; id-- > 0;)
        for (uint32_t k = 0; needed[id] && k < g->nodes[id].nargs; k++) needed[graph_arg(g, id, k)] = true;
    return needed;
}

/* Rewriting leaves nodes behind that nothing reads any more: copies what the outputs need. */
static Graph *without_dead(Arena *a, const Graph *g, bool keep_inputs, NodeId *map) {
    Graph *out = graph_new(a, g->name);
    bool *needed = needed_by(a, g, g->outputs, g->noutputs);
    for (NodeId id = 0; id < g->nnodes; id++) map[id] = NODE_NONE;
    for (uint32_t k = 0; keep_inputs && k < g->ninputs; k++) graph_copy(out, g, g->inputs[k], map);
    for (NodeId id = 0; id < g->nnodes; id++)
        if (needed[id]) graph_copy(out, g, id, map);
    for (uint32_t k = 0; k < g->noutputs; k++) graph_output(out, map[g->outputs[k]]);
    return out;
}

Graph *simplify(Arena *a, const Graph *g, const NodeId *roots, uint32_t nroots, bool keep_inputs, NodeId *given_map) {
    Graph *out = graph_new(a, g->name);
    NodeId *map = given_map ? given_map : arena_alloc(a, (g->nnodes + 1) * sizeof *map);
    if (!roots) roots = g->outputs, nroots = g->noutputs;
    bool *needed = needed_by(a, g, roots, nroots);
    for (NodeId id = 0; id < g->nnodes; id++) map[id] = NODE_NONE;
    for (uint32_t k = 0; keep_inputs && k < g->ninputs; k++) graph_copy(out, g, g->inputs[k], map);
    for (NodeId id = 0; id < g->nnodes; id++) {
        if (!needed[id] || map[id] != NODE_NONE) continue;
        const Node *n = graph_node(g, id);
        if (n->nargs == 0) {
            graph_copy(out, g, id, map);
            continue;
        }
        NodeId *args = arena_alloc(a, n->nargs * sizeof *args);
        for (uint32_t k = 0; k < n->nargs; k++) args[k] = map[graph_arg(g, id, k)];
        bool raised = n->batched && !graph_batched(g, n->op, g->args + n->args, n->nargs);
        map[id] = rewrite(&(New){out, n->op, args, n->nargs, n->attr, n->shape, raised, n->loc});
    }
    for (uint32_t k = 0; k < nroots; k++) graph_output(out, map[roots[k]]);
    NodeId *swept = arena_alloc(a, (out->nnodes + 1) * sizeof *swept);
    Graph *clean = without_dead(a, out, keep_inputs, swept);
    for (NodeId id = 0; id < g->nnodes; id++)
        if (map[id] != NODE_NONE) map[id] = swept[map[id]];
    return clean;
}
