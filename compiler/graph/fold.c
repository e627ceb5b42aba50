/* fold.c - constant folding and algebraic identities of the builder. */
#include "fold.h"
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
    case OP_argmax: attr->i[0] = 1; break;
    case OP_matmul:
        if (nargs != 2) break;
        for (int k = 0; k < 2; k++) {
            if (is_op(g, args[k], OP_transpose) && g->nodes[args[k]].shape.rank == 2 &&
                g->nodes[args[k]].attr.i[0] == 1 && !attr->i[2]) {
                args[k] = graph_arg(g, args[k], 0);
                attr->i[k] = !attr->i[k];
            }
            if (g->nodes[args[k]].shape.rank == 1) attr->i[k] = 0;
        }
        if (g->nodes[args[0]].shape.rank == 2 && g->nodes[args[1]].shape.rank == 1) {
            swap_args(args); /* M v = v M' */
            attr->i[1] = !attr->i[0];
            attr->i[0] = 0;
        }
        attr->i[0] = !!attr->i[0], attr->i[1] = !!attr->i[1];
        break;
    default: break;
    }
}

/* Value of an elementwise op on numbers. */
static bool evaluate(Op op, const double *x, double *y) {
    switch (op) {
    case OP_neg: *y = -x[0]; break;
    case OP_abs: *y = fabs(x[0]); break;
    case OP_sign: *y = (x[0] > 0) - (x[0] < 0); break;
    case OP_step: *y = x[0] > 0; break;
    case OP_floor: *y = floor(x[0]); break;
    case OP_not: *y = 1 - x[0]; break;
    case OP_exp: *y = exp(x[0]); break;
    case OP_log: *y = log(x[0]); break;
    case OP_log1p: *y = log1p(x[0]); break;
    case OP_sqrt: *y = sqrt(x[0]); break;
    case OP_sin: *y = sin(x[0]); break;
    case OP_cos: *y = cos(x[0]); break;
    case OP_tanh: *y = tanh(x[0]); break;
    case OP_sigmoid: *y = 1 / (1 + exp(-x[0])); break;
    case OP_softplus: *y = fmax(x[0], 0) + log1p(exp(-fabs(x[0]))); break;
    case OP_relu: *y = x[0] > 0 ? x[0] : 0; break;
    case OP_stop_gradient: *y = x[0]; break;
    case OP_add: *y = x[0] + x[1]; break;
    case OP_sub: *y = x[0] - x[1]; break;
    case OP_mul: *y = x[0] * x[1]; break;
    case OP_div: *y = x[0] / x[1]; break;
    case OP_pow: *y = pow(x[0], x[1]); break;
    case OP_max: *y = x[0] >= x[1] ? x[0] : x[1]; break;
    case OP_min: *y = x[0] <= x[1] ? x[0] : x[1]; break;
    case OP_lt: *y = x[0] < x[1]; break;
    case OP_le: *y = x[0] <= x[1]; break;
    case OP_eq: *y = x[0] == x[1]; break;
    case OP_and: *y = x[0] != 0 && x[1] != 0; break;
    case OP_or: *y = x[0] != 0 || x[1] != 0; break;
    case OP_select: *y = x[0] != 0 ? x[1] : x[2]; break;
    default: return false;
    }
    return isfinite(*y); /* log(0) and the like are left to run: the program shows where they arise */
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
        for (uint32_t k = 0; k < as.rank; k++) identity = identity && attr->i[k] == k;
        if (identity) return a;
        if (fold_value(g, a, &v)) return graph_constant(g, v);
        if (n->op == OP_transpose) {
            Attr both = {0};
            for (uint32_t k = 0; k < as.rank; k++) both.i[k] = n->attr.i[attr->i[k]];
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
        bool unit = attr->i[0] == 1 && attr->i[1] == 1 && attr->i[2] == 1 && attr->i[3] == 1;
        if (unit) return a;
        if (!fold_value(g, a, &v)) return NODE_NONE;
        if (op == OP_window_sum) return graph_constant(g, v * (double)(attr->i[0] * attr->i[1]));
        bool tiled = v == 0; /* every element lies in exactly one window */
        for (int k = 0; !tiled && k < 2; k++)
            if (attr->i[k] != attr->i[2 + k] || shape.dims[attr->i[4] + k] % attr->i[k]) return NODE_NONE;
        return graph_constant(g, v);
    }
    default: return NODE_NONE;
    }
}

static NodeId fold_reduce(Graph *g, Op op, NodeId a, const Attr *attr, Shape shape, bool batched, Range loc) {
    Shape as = g->nodes[a].shape;
    double v;
    if (op == OP_argmax) return NODE_NONE;
    if (attr->i[0] == 0) return a;
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
    if (all && evaluate(op, x, &y)) return graph_constant(g, y);
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
