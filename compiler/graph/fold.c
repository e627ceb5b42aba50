/* fold.c - constant folding and algebraic identities of the builder. */
#include "fold.h"
#include "op_value.h"
#include <math.h>
#include <string.h>

bool fold_value(const Graph *g, NodeId id, double *value) {
    const Node *n = &g->nodes[id];
    while (n->op == OP_broadcast || n->op == OP_reshape) n = &g->nodes[g->args[n->args]];
    if (n->op != OP_constant) return false;
    *value = n->attr.value;
    return true;
}

static bool is_value(const Graph *g, NodeId id, double value) {
    double v;
    return fold_value(g, id, &v) && v == value;
}

static bool is_op(const Graph *g, NodeId id, Op op) { return g->nodes[id].op == op; }

static void swap_args(NodeId *args) {
    NodeId a = args[0];
    args[0] = args[1];
    args[1] = a;
}

/* An operand of matmul: a transpose becomes its flag, which vectors do not have. */
static void canonical_operand(const Graph *g, NodeId *arg, int64_t *transposed, bool packed) {
    const Node *n = &g->nodes[*arg];
    if (n->op == OP_transpose && n->shape.rank == 2 && n->attr.transpose.axes[0] == 1 && !packed) {
        *arg = graph_arg(g, *arg, 0);
        *transposed = !*transposed;
    }
    *transposed = g->nodes[*arg].shape.rank != 1 && *transposed;
}

void fold_canonical(Graph *g, Op op, NodeId *args, uint32_t nargs, Attr *attr) {
    double v;
    switch (op) {
    case OP_add:
    case OP_mul:
    case OP_eq:
    case OP_and:
    case OP_or: { /* constants last, else by age; max and min keep their order, it decides ties of the derivative */
        bool c0 = fold_value(g, args[0], &v), c1 = fold_value(g, args[1], &v);
        if (c0 != c1 ? c0 : args[0] > args[1]) swap_args(args);
        break;
    }
    case OP_argmax: attr->reduce.axes = 1; break;
    case OP_matmul:
        if (nargs != 2) break;
        canonical_operand(g, &args[0], &attr->matmul.transpose_a, attr->matmul.packed);
        canonical_operand(g, &args[1], &attr->matmul.transpose_b, attr->matmul.packed);
        if (g->nodes[args[0]].shape.rank == 2 && g->nodes[args[1]].shape.rank == 1) {
            swap_args(args); /* M v = v M' */
            attr->matmul.transpose_b = !attr->matmul.transpose_a;
            attr->matmul.transpose_a = 0;
        }
        break;
    default: break;
    }
}

static NodeId fold_layout(Graph *g, Op op, const NodeId *args, const Attr *attr, Shape shape, bool batched, Range loc) {
    NodeId a = args[0];
    const Node *n = &g->nodes[a];
    Shape as = n->shape;
    bool aligned = n->batched == batched;
    switch (op) {
    case OP_reshape: {
        double v;
        if (shape_equal(as, shape) && aligned) return a;
        if (fold_value(g, a, &v)) return graph_constant(g, v);
        if (n->op == OP_reshape)
            return graph_op_shaped(g, OP_reshape, (NodeId[]){graph_arg(g, a, 0)}, 1, NULL, shape, batched, loc);
        if (n->op == OP_broadcast && g->nodes[graph_arg(g, a, 0)].shape.rank == 0) return graph_arg(g, a, 0);
        return NODE_NONE;
    }
    case OP_broadcast: {
        if (shape_equal(as, shape) && aligned) return a;
        if (n->op == OP_broadcast) {
            NodeId from = graph_arg(g, a, 0);
            return graph_op_shaped(g, OP_broadcast, &from, 1, NULL, shape, batched, loc);
        }
        if (n->op == OP_reshape && g->nodes[graph_arg(g, a, 0)].shape.rank == 0) {
            NodeId from = graph_arg(g, a, 0);
            return graph_op_shaped(g, OP_broadcast, &from, 1, NULL, shape, batched, loc);
        }
        return NODE_NONE;
    }
    case OP_transpose: {
        bool identity = true;
        double v;
        for (uint32_t k = 0; k < as.rank; k++) identity = identity && attr->transpose.axes[k] == k;
        if (identity) return a;
        if (fold_value(g, a, &v)) return graph_constant(g, v);
        if (n->op == OP_transpose) {
            Attr both = {0};
            for (uint32_t k = 0; k < as.rank; k++)
                both.transpose.axes[k] = n->attr.transpose.axes[attr->transpose.axes[k]];
            return graph_op(g, OP_transpose, (NodeId[]){graph_arg(g, a, 0)}, 1, &both, loc);
        }
        return NODE_NONE;
    }
    case OP_slice: {
        double v;
        if (shape_equal(as, shape)) return a;
        if (fold_value(g, a, &v)) return graph_constant(g, v);
        return NODE_NONE;
    }
    case OP_pad: return shape_equal(as, shape) ? a : NODE_NONE;
    case OP_window_sum:
    case OP_window_spread: {
        double v;
        const int64_t *size = attr->window.size, *apart = attr->window.apart;
        bool unit = size[0] == 1 && size[1] == 1 && apart[0] == 1 && apart[1] == 1;
        if (unit) return a;
        if (!fold_value(g, a, &v)) return NODE_NONE;
        if (op == OP_window_sum) return graph_constant(g, v * (double)(size[0] * size[1]));
        bool tiled = v == 0; /* every element lies in exactly one window */
        for (int k = 0; !tiled && k < 2; k++)
            if (size[k] != apart[k] || shape.dims[attr->window.axis + k] % size[k]) return NODE_NONE;
        return graph_constant(g, v);
    }
    default: return NODE_NONE;
    }
}

static NodeId fold_reduce(Graph *g, Op op, NodeId a, const Attr *attr, Shape shape, bool batched, Range loc) {
    Shape as = g->nodes[a].shape;
    double v;
    if (op == OP_argmax) return NODE_NONE;
    if (attr->reduce.axes == 0) return a;
    uint64_t reduced = shape_count(as) / shape_count(shape);
    if (fold_value(g, a, &v)) return graph_constant(g, op == OP_reduce_sum ? v * (double)reduced : v);
    if (reduced == 1) return graph_op_shaped(g, OP_reshape, &a, 1, NULL, shape, batched, loc);
    return NODE_NONE;
}

static NodeId fold_elementwise(Graph *g, Op op, const NodeId *args, uint32_t nargs, Range loc) {
    double x[3] = {0}, y;
    bool known[3] = {false};
    bool all = true;
    for (uint32_t k = 0; k < nargs; k++) {
        known[k] = fold_value(g, args[k], &x[k]);
        all = all && known[k];
    }
    if (all && isfinite(y = op_value(op, x))) /* log(0) and the like are left to run: there the program shows them */
        return graph_constant(g, y);
    NodeId a = args[0], b = nargs > 1 ? args[1] : NODE_NONE;
    switch (op) {
    case OP_neg:
        if (is_op(g, a, OP_neg)) return graph_arg(g, a, 0);
        if (is_op(g, a, OP_sub)) return graph_binary(g, OP_sub, graph_arg(g, a, 1), graph_arg(g, a, 0), loc);
        break;
    case OP_add:
        if (is_value(g, b, 0)) return a;
        if (a == b) return graph_binary(g, OP_mul, a, graph_constant(g, 2), loc);
        if (is_op(g, b, OP_neg)) return graph_binary(g, OP_sub, a, graph_arg(g, b, 0), loc);
        if (is_op(g, a, OP_neg)) return graph_binary(g, OP_sub, b, graph_arg(g, a, 0), loc);
        break;
    case OP_sub:
        if (is_value(g, b, 0)) return a;
        if (is_value(g, a, 0)) return graph_unary(g, OP_neg, b, loc);
        if (is_op(g, b, OP_neg)) return graph_binary(g, OP_add, a, graph_arg(g, b, 0), loc);
        break;
    case OP_mul:
        if (is_value(g, b, 0)) return b;
        if (is_value(g, b, 1)) return a;
        if (is_value(g, b, -1)) return graph_unary(g, OP_neg, a, loc);
        if (known[1]) {
            double inner;
            if (is_op(g, a, OP_mul) && fold_value(g, graph_arg(g, a, 1), &inner))
                return graph_binary(g, OP_mul, graph_arg(g, a, 0), graph_constant(g, inner * x[1]), loc);
            if (is_op(g, a, OP_neg)) return graph_binary(g, OP_mul, graph_arg(g, a, 0), graph_constant(g, -x[1]), loc);
        } else {
            bool na = is_op(g, a, OP_neg), nb = is_op(g, b, OP_neg);
            if (na || nb) {
                NodeId p = graph_binary(g, OP_mul, na ? graph_arg(g, a, 0) : a, nb ? graph_arg(g, b, 0) : b, loc);
                return na && nb ? p : graph_unary(g, OP_neg, p, loc);
            }
        }
        break;
    case OP_div:
        if (is_value(g, b, 1)) return a;
        if (is_value(g, a, 0)) return a;
        break;
    case OP_pow:
        if (is_value(g, b, 1)) return a;
        if (is_value(g, b, 0)) return graph_constant(g, 1);
        break;
    case OP_max:
    case OP_min:
        if (a == b) return a;
        break;
    case OP_select:
        if (known[0]) return args[x[0] != 0 ? 1 : 2];
        if (args[1] == args[2]) return args[1];
        break;
    default: break;
    }
    return NODE_NONE;
}

NodeId fold_node(Graph *g, Op op, const NodeId *args, uint32_t nargs, const Attr *attr, Shape shape, bool batched,
                 Range loc) {
    switch (op_class(op)) {
    case CLASS_ELEMENTWISE: return fold_elementwise(g, op, args, nargs, loc);
    case CLASS_LAYOUT:
        if (op == OP_concat) return nargs == 1 ? args[0] : NODE_NONE;
        return fold_layout(g, op, args, attr, shape, batched, loc);
    case CLASS_REDUCE: return fold_reduce(g, op, args[0], attr, shape, batched, loc);
    case CLASS_PRODUCT:
        if (nargs > 1 && (is_value(g, args[0], 0) || is_value(g, args[1], 0))) return graph_constant(g, 0);
        return NODE_NONE;
    case CLASS_BATCH:
        if (is_value(g, args[0], 0) || (nargs > 1 && is_value(g, args[1], 0))) return graph_constant(g, 0);
        return NODE_NONE;
    default: return NODE_NONE;
    }
}
