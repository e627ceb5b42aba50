/* linearise.c - tangents: jvp_<op> for every row of ops.def.
 *
 * Names in formulas: y the node, a b c its arguments, ta tb tc their tangents. */
#include "adjoint.h"
#include "conv.h"
#include "fold.h"

typedef struct Primal {
    Graph *g;
    NodeId y;
    const NodeId *a; /* arguments */
    const NodeId *t; /* their tangents, NODE_NONE for zero; at least one is there */
    uint32_t n;
    Op op;
    Attr attr;
    Shape shape;
    bool batched;
    Range loc;
} Primal;

static NodeId op1(const Primal *p, Op op, NodeId a) { return graph_unary(p->g, op, a, p->loc); }
static NodeId op2(const Primal *p, Op op, NodeId a, NodeId b) { return graph_binary(p->g, op, a, b, p->loc); }
static NodeId number(const Primal *p, double v) { return graph_constant(p->g, v); }

/* factor * t, zero staying zero */
static NodeId scaled(const Primal *p, NodeId factor, NodeId t) {
    return t == NODE_NONE ? NODE_NONE : op2(p, OP_mul, t, factor);
}

static NodeId summed(const Primal *p, NodeId s, NodeId t) {
    if (s == NODE_NONE) return t;
    return t == NODE_NONE ? s : op2(p, OP_add, s, t);
}

static NodeId zeros_like(const Primal *p, NodeId a) {
    const Node *n = graph_node(p->g, a);
    NodeId zero = number(p, 0);
    return graph_op_shaped(p->g, OP_broadcast, &zero, 1, NULL, n->shape, n->batched, p->loc);
}

static NodeId or_zeros(const Primal *p, uint32_t k) { return p->t[k] == NODE_NONE ? zeros_like(p, p->a[k]) : p->t[k]; }

/* The same op on the tangent of its one argument. */
static NodeId same_op(const Primal *p) {
    bool raised = p->batched && !graph_node(p->g, p->a[0])->batched;
    return graph_op_shaped(p->g, p->op, p->t, 1, &p->attr, p->shape, raised, p->loc);
}

#define ZERO(name)                                                                                                     \
    static NodeId jvp_##name(const Primal *p) {                                                                        \
        (void)p;                                                                                                       \
        return NODE_NONE;                                                                                              \
    }
ZERO(input)
ZERO(constant)
ZERO(iota)
ZERO(random)
ZERO(sign)
ZERO(step)
ZERO(floor)
ZERO(round)
ZERO(not )
ZERO(stop_gradient)
ZERO(lt)
ZERO(le)
ZERO(eq)
ZERO(and)
ZERO(or)
ZERO(argmax)
#define SAME_OP(name)                                                                                                  \
    static NodeId jvp_##name(const Primal *p) { return same_op(p); }
SAME_OP(neg)
SAME_OP(reshape)
SAME_OP(broadcast)
SAME_OP(transpose)
SAME_OP(slice)
SAME_OP(pad)
SAME_OP(reduce_sum)
SAME_OP(pack)
SAME_OP(pack_conv)
SAME_OP(batch_sum)
SAME_OP(window_sum)
SAME_OP(window_spread)
/* y = F(a): ty = FACTOR ta */
#define FACTOR(name, factor)                                                                                           \
    static NodeId jvp_##name(const Primal *p) {                                                                        \
        NodeId a = p->a[0], y = p->y;                                                                                  \
        (void)a, (void)y;                                                                                              \
        return scaled(p, factor, p->t[0]);                                                                             \
    }
FACTOR(abs, op1(p, OP_sign, a))
FACTOR(exp, y)
FACTOR(expm1, op1(p, OP_exp, a))
FACTOR(log, op2(p, OP_div, number(p, 1), a))
FACTOR(log1p, op2(p, OP_div, number(p, 1), op2(p, OP_add, a, number(p, 1))))
FACTOR(sin, op1(p, OP_cos, a))
FACTOR(cos, op1(p, OP_neg, op1(p, OP_sin, a)))
FACTOR(tanh, op2(p, OP_sub, number(p, 1), op2(p, OP_mul, y, y)))
FACTOR(sigmoid, op2(p, OP_mul, y, op2(p, OP_sub, number(p, 1), y)))
FACTOR(softplus, op1(p, OP_sigmoid, a))
FACTOR(relu, op1(p, OP_step, a))

static NodeId if_true(const Primal *p, NodeId truth, NodeId a, NodeId b) {
    return graph_op(p->g, OP_select, (NodeId[]){truth, a, b}, 3, NULL, p->loc);
}

static NodeId jvp_sqrt(const Primal *p) {
    NodeId slope = op2(p, OP_div, number(p, 0.5), p->y);
    if (p->attr.edge.even) slope = if_true(p, op1(p, OP_step, p->y), slope, number(p, 0));
    return scaled(p, slope, p->t[0]);
}

static NodeId jvp_add(const Primal *p) { return summed(p, p->t[0], p->t[1]); }

static NodeId jvp_sub(const Primal *p) {
    if (p->t[1] == NODE_NONE) return p->t[0];
    if (p->t[0] == NODE_NONE) return op1(p, OP_neg, p->t[1]);
    return op2(p, OP_sub, p->t[0], p->t[1]);
}

static NodeId jvp_mul(const Primal *p) { return summed(p, scaled(p, p->a[1], p->t[0]), scaled(p, p->a[0], p->t[1])); }

/* y = a / b: (ta - y tb) / b; for 1 / b: -y y tb, which needs nothing but y */
static NodeId jvp_div(const Primal *p) {
    double v;
    if (fold_value(p->g, p->a[0], &v) && v == 1)
        return op1(p, OP_neg, op2(p, OP_mul, op2(p, OP_mul, p->t[1], p->y), p->y)); /* y y may be infinite */
    NodeId n = p->t[1] == NODE_NONE ? NODE_NONE : op1(p, OP_neg, op2(p, OP_mul, p->t[1], p->y));
    return op2(p, OP_div, summed(p, p->t[0], n), p->a[1]);
}

/* y = a ** b: b a**(b-1) ta + y log(a) tb; the first is 0 where b is, the second where a is 0 and b is not negative */
static NodeId jvp_pow(const Primal *p) {
    NodeId a = p->a[0], b = p->a[1], da = NODE_NONE, db = NODE_NONE;
    NodeId zero = number(p, 0);
    if (p->t[0] != NODE_NONE) {
        da = op2(p, OP_mul, b, op2(p, OP_pow, a, op2(p, OP_sub, b, number(p, 1))));
        double known;
        if (!fold_value(p->g, b, &known)) da = if_true(p, op2(p, OP_eq, b, zero), zero, da);
    }
    if (p->t[1] != NODE_NONE) {
        NodeId edge = op2(p, OP_and, op2(p, OP_eq, a, zero), op2(p, OP_le, zero, b));
        db = if_true(p, edge, zero, op2(p, OP_mul, p->y, op1(p, OP_log, a)));
    }
    return summed(p, scaled(p, da, p->t[0]), scaled(p, db, p->t[1]));
}

static NodeId chosen(const Primal *p, NodeId truth, uint32_t a, uint32_t b) {
    return if_true(p, truth, or_zeros(p, a), or_zeros(p, b));
}

/* max or min: whether the result is the first argument, the second, or both.  Each contributes under one mask. */
static NodeId extreme(const Primal *p, NodeId first, NodeId second) {
    if (!p->attr.edge.even) return chosen(p, first, 0, 1);
    NodeId share = if_true(p, op2(p, OP_eq, p->a[0], p->a[1]), number(p, 0.5), number(p, 1));
    NodeId ta = scaled(p, share, p->t[0]), tb = scaled(p, share, p->t[1]), zero = number(p, 0);
    return summed(p, ta == NODE_NONE ? ta : if_true(p, first, ta, zero),
                  tb == NODE_NONE ? tb : if_true(p, second, tb, zero));
}

static NodeId jvp_max(const Primal *p) {
    return extreme(p, op2(p, OP_le, p->a[1], p->a[0]), op2(p, OP_le, p->a[0], p->a[1]));
}
static NodeId jvp_min(const Primal *p) {
    return extreme(p, op2(p, OP_le, p->a[0], p->a[1]), op2(p, OP_le, p->a[1], p->a[0]));
}

static NodeId jvp_select(const Primal *p) {
    return p->t[1] == NODE_NONE && p->t[2] == NODE_NONE ? NODE_NONE : chosen(p, p->a[0], 1, 2);
}

static NodeId jvp_concat(const Primal *p) {
    NodeId *t = arena_alloc(p->g->arena, p->n * sizeof *t);
    for (uint32_t k = 0; k < p->n; k++) t[k] = or_zeros(p, k);
    return graph_op(p->g, OP_concat, t, p->n, &p->attr, p->loc);
}

/* The reduced value y, repeated along the reduced axes to the dims of a. */
static NodeId unreduced(const Primal *p, NodeId y) {
    Shape full = graph_node(p->g, p->a[0])->shape, kept = full;
    for (uint32_t k = 0; k < kept.rank; k++)
        if (p->attr.reduce.axes >> k & 1) kept.dims[k] = 1;
    return graph_broadcast(p->g, graph_reshape(p->g, y, kept, p->loc), full, p->loc);
}

/* y = max(a): the mean of ta over the elements equal to y */
static NodeId jvp_reduce_max(const Primal *p) {
    NodeId hit = op2(p, OP_eq, p->a[0], unreduced(p, p->y));
    uint32_t mask = (uint32_t)p->attr.reduce.axes;
    NodeId count = graph_reduce(p->g, OP_reduce_sum, hit, mask, p->loc);
    return op2(p, OP_div, graph_reduce(p->g, OP_reduce_sum, op2(p, OP_mul, p->t[0], hit), mask, p->loc), count);
}

static NodeId bilinear(const Primal *p) {
    NodeId s = NODE_NONE;
    for (uint32_t k = 0; k < 2; k++) {
        if (p->t[k] == NODE_NONE) continue;
        NodeId args[2] = {p->a[0], p->a[1]};
        args[k] = p->t[k];
        s = summed(p, s, graph_op(p->g, p->op, args, 2, &p->attr, p->loc));
    }
    return s;
}

static NodeId jvp_matmul(const Primal *p) {
    if (p->attr.matmul.packed) ICE("%s: linearised after packing", p->g->name);
    return bilinear(p);
}
static NodeId jvp_outer(const Primal *p) { return bilinear(p); }
static NodeId jvp_batch_outer(const Primal *p) { return bilinear(p); }
static NodeId jvp_conv(const Primal *p) {
    if (p->attr.conv.packed) ICE("%s: linearised after packing", p->g->name);
    return bilinear(p);
}
static NodeId jvp_conv_input(const Primal *p) { return jvp_conv(p); }
static NodeId jvp_conv_weight(const Primal *p) { return bilinear(p); }
static NodeId jvp_batch_conv_weight(const Primal *p) { return bilinear(p); }

static NodeId not_here(const Primal *p) { ICE("%s: %s cannot be differentiated here", p->g->name, op_name(p->op)); }
static NodeId jvp_fixed(const Primal *p) { return not_here(p); }
static NodeId jvp_fixed_state(const Primal *p) { return not_here(p); }
static NodeId jvp_fixed_gradient(const Primal *p) { return not_here(p); }
static NodeId jvp_fixed_cotangent(const Primal *p) { return not_here(p); }
static NodeId jvp_in_training(const Primal *p) { return not_here(p); }
static NodeId jvp_fence(const Primal *p) { return not_here(p); }
static NodeId jvp_solve(const Primal *p) { return not_here(p); }
static NodeId jvp_query(const Primal *p) { return not_here(p); }
static NodeId jvp_counted(const Primal *p) { return not_here(p); }
static NodeId jvp_query_result(const Primal *p) { return not_here(p); }
/* A token has no tangent: it hands on that of the output to its results. */
static NodeId jvp_objective(const Primal *p) { return p->t[0]; }
static NodeId jvp_objective_result(const Primal *p) {
    if (p->attr.result.argument != OBJECTIVE_VALUE) return not_here(p);
    Shape s = p->g->nodes[p->t[0]].shape;
    NodeId d = graph_op_shaped(p->g, OP_objective_result, p->a, 1, &(Attr){.result.argument = OBJECTIVE_DERIVATIVE}, s,
                               true, p->loc);
    NodeId product = op2(p, OP_mul, d, p->t[0]);
    return s.rank ? graph_reduce(p->g, OP_reduce_sum, product, (1u << s.rank) - 1, p->loc) : product;
}

static NodeId (*const rules[])(const Primal *) = {
#define OP(name, arity, class, shape, linear, cost, view, doc) jvp_##name,
#include "ops.def"
#undef OP
};

/* A solved fixed point: its state tangents become placeholders that the transposition turns into a gradient call. */
static void linearise_fixed(Graph *g, NodeId id, NodeId *tangent, Calls *calls) {
    Node n = g->nodes[id];
    if (!calls || !calls->fixed) ICE("%s: a fixed point where none is expected", g->name);
    uint32_t index = (uint32_t)n.attr.fixed.index;
    const FixedSignature *f = &calls->fixed[index];
    bool active = f->shared;
    /* The others only tell NAME_LOSS_cotangent where it stands, unless a correction has cotangents for them. */
    uint32_t captured = n.nargs - (f->after ? 0 : (uint32_t)n.attr.fixed.extra);
    for (uint32_t k = 0; k < captured; k++) active = active || tangent[g->args[n.args + k]] != NODE_NONE;
    if (!active) return;
    LinearCall c = {id, index, f->nstate, arena_alloc(g->arena, f->nstate * sizeof(NodeId)),
                    arena_alloc(g->arena, (n.nargs + 1) * sizeof(NodeId))};
    for (uint32_t k = 0; k < n.nargs; k++) {
        NodeId a = g->args[n.args + k];
        c.arguments[k] = k < captured && g->nodes[a].batched ? tangent[a] : NODE_NONE;
    }
    for (uint32_t k = 0; k < f->nstate; k++) c.states[k] = graph_input(g, f->states[k], true, "state_tangent", n.loc);
    *ARENA_PUSH(g->arena, calls->calls, calls->n, calls->cap) = c;
}

static NodeId state_tangent(const Graph *g, NodeId id, const Calls *calls) {
    const Node *n = graph_node(g, id);
    for (uint32_t k = 0; calls && k < calls->n; k++)
        if (calls->calls[k].node == g->args[n->args]) return calls->calls[k].states[n->attr.state.component];
    return NODE_NONE;
}

void linearise_with(Graph *g, const NodeId *outputs, uint32_t noutputs, const NodeId *wrt, const NodeId *tangents,
                    uint32_t nwrt, Calls *calls, NodeId *out) {
    uint32_t limit = g->nnodes;
    NodeId *tangent = arena_alloc(g->arena, (limit + 1) * sizeof *tangent);
    bool *needed = arena_alloc(g->arena, limit + 1), *given = arena_alloc(g->arena, limit + 1);
    for (uint32_t k = 0; k < limit; k++) tangent[k] = NODE_NONE;
    for (uint32_t k = 0; k < nwrt; k++) {
        if (tangents[k] != NODE_NONE && !shape_equal(g->nodes[wrt[k]].shape, g->nodes[tangents[k]].shape))
            ICE("%s: a tangent has other dims than its value", g->name);
        tangent[wrt[k]] = tangents[k];
        given[wrt[k]] = true;
    }
    for (uint32_t k = 0; k < noutputs; k++) needed[outputs[k]] = true;
    for (uint32_t id = limit; id-- > 0;)
        for (uint32_t k = 0; needed[id] && k < g->nodes[id].nargs; k++) needed[graph_arg(g, id, k)] = true;
    for (NodeId id = 0; id < limit; id++) {
        if (!needed[id] || given[id]) continue;
        Node n = g->nodes[id];
        if (n.op == OP_fixed) linearise_fixed(g, id, tangent, calls);
        if (n.op == OP_fixed_state) tangent[id] = state_tangent(g, id, calls);
        if (n.op == OP_fixed || n.op == OP_fixed_state || n.nargs == 0) continue;
        NodeId *a = arena_alloc(g->arena, 2 * n.nargs * sizeof *a), *t = a + n.nargs;
        bool active = false;
        for (uint32_t k = 0; k < n.nargs; k++) {
            a[k] = g->args[n.args + k];
            t[k] = tangent[a[k]];
            active = active || t[k] != NODE_NONE;
        }
        if (!active) continue;
        NodeId ty = rules[n.op](&(Primal){g, id, a, t, n.nargs, n.op, n.attr, n.shape, n.batched, n.loc});
        /* A tangent is batched when its value is: sums over examples then happen where a value stops being shared. */
        if (ty != NODE_NONE && n.batched) ty = graph_batch(g, ty, n.loc);
        tangent[id] = ty;
    }
    for (uint32_t k = 0; k < noutputs; k++) out[k] = tangent[outputs[k]];
}

void linearise(Graph *g, const NodeId *outputs, uint32_t noutputs, const NodeId *wrt, const NodeId *tangents,
               uint32_t nwrt, NodeId *out) {
    linearise_with(g, outputs, noutputs, wrt, tangents, nwrt, NULL, out);
}
