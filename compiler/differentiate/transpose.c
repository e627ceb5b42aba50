/* transpose.c - cotangents of linear graphs: transpose_<op> for every op that is linear in some argument.
 *
 * A rule gives the contribution to argument k of a node whose cotangent is ct. */
#include "adjoint.h"
#include "conv.h"
#include "fold.h"

typedef struct Linear {
    Graph *g;
    Op op;
    const NodeId *a;
    uint32_t k; /* the argument asked for */
    NodeId ct;
    Shape shape, ashape; /* of the node and of argument k */
    Attr attr;
    Range loc;
} Linear;

static NodeId op1(const Linear *l, Op op, NodeId a) { return graph_unary(l->g, op, a, l->loc); }
static NodeId op2(const Linear *l, Op op, NodeId a, NodeId b) { return graph_binary(l->g, op, a, b, l->loc); }
static NodeId other(const Linear *l) { return l->a[1 - l->k]; }

/* ---- cotangents that an `if` masks ----
 * The side that is not taken has the cotangent 0, and its slopes may be infinite or NaN: 0 times them must be 0.  So
 * the mask stays outside of what follows: f(select(c, v, 0)) becomes select(c, f(v), 0). */
#define MASKS 4 /* nested, that are looked through */

typedef struct Mask {
    NodeId condition, value;
    uint32_t side; /* 1: where the condition holds; 2: where it does not; 0: no mask */
} Mask;

static Mask mask_of(const Graph *g, NodeId ct) {
    const Node *n = graph_node(g, ct);
    double v;
    for (uint32_t side = 1; n->op == OP_select && side <= 2; side++)
        if (fold_value(g, graph_arg(g, ct, 3 - side), &v) && v == 0)
            return (Mask){graph_arg(g, ct, 0), graph_arg(g, ct, side), side};
    return (Mask){NODE_NONE, ct, 0};
}

/* The same where the condition is one number for all elements: m.condition becomes that scalar. */
static Mask whole_mask(const Graph *g, NodeId ct) {
    Mask m = mask_of(g, ct);
    while (m.side && graph_node(g, m.condition)->shape.rank &&
           (graph_node(g, m.condition)->op == OP_broadcast || graph_node(g, m.condition)->op == OP_reshape))
        m.condition = graph_arg(g, m.condition, 0);
    return m.side && graph_node(g, m.condition)->shape.rank == 0 ? m : (Mask){NODE_NONE, ct, 0};
}

static NodeId masked(Graph *g, Mask m, NodeId value, Range loc) {
    NodeId args[3] = {m.condition, graph_constant(g, 0), graph_constant(g, 0)};
    args[m.side] = value;
    return graph_op(g, OP_select, args, 3, NULL, loc);
}

/* A sum of cotangents under masks of their own: each part is taken on its own, so that no mask is lost. */
static bool masked_sum(const Graph *g, NodeId ct, int depth) {
    if (graph_node(g, ct)->op != OP_add || depth == MASKS) return false;
    for (uint32_t k = 0; k < 2; k++)
        if (!mask_of(g, graph_arg(g, ct, k)).side && !masked_sum(g, graph_arg(g, ct, k), depth + 1)) return false;
    return true;
}

/* Values that an op repeats or moves about without computing with them: the mask is moved in the same way. */
static NodeId moved(const Linear *l, NodeId (*rule)(const Linear *), int depth) {
    if (masked_sum(l->g, l->ct, depth)) {
        Linear a = *l, b = *l;
        a.ct = graph_arg(l->g, l->ct, 0), b.ct = graph_arg(l->g, l->ct, 1);
        return op2(l, OP_add, moved(&a, rule, depth + 1), moved(&b, rule, depth + 1));
    }
    Mask m = mask_of(l->g, l->ct), whole = whole_mask(l->g, l->ct);
    if (!m.side || depth == MASKS) return rule(l);
    Linear inner = *l;
    inner.ct = m.condition;
    m.condition = whole.side ? whole.condition : rule(&inner);
    inner.ct = m.value;
    return masked(l->g, m, moved(&inner, rule, depth + 1), l->loc);
}

/* op(ct), or op(ct, by), elementwise. */
static NodeId mapped(const Linear *l, Op op, NodeId ct, NodeId by, int depth) {
    if (masked_sum(l->g, ct, depth)) {
        NodeId a = graph_arg(l->g, ct, 0), b = graph_arg(l->g, ct, 1);
        return op2(l, OP_add, mapped(l, op, a, by, depth + 1), mapped(l, op, b, by, depth + 1));
    }
    Mask m = mask_of(l->g, ct);
    if (m.side && depth < MASKS) return masked(l->g, m, mapped(l, op, m.value, by, depth + 1), l->loc);
    return by == NODE_NONE ? op1(l, op, ct) : op2(l, op, ct, by);
}

/* The sum over what a broadcast repeats; a condition that is repeated with it stays outside as well. */
static NodeId summed_over(const Linear *l, NodeId ct, uint32_t mask, int depth) {
    if (masked_sum(l->g, ct, depth)) {
        NodeId a = graph_arg(l->g, ct, 0), b = graph_arg(l->g, ct, 1);
        return op2(l, OP_add, summed_over(l, a, mask, depth + 1), summed_over(l, b, mask, depth + 1));
    }
    Mask m = mask_of(l->g, ct), whole = whole_mask(l->g, ct);
    if (whole.side && depth < MASKS) return masked(l->g, whole, summed_over(l, whole.value, mask, depth + 1), l->loc);
    NodeId c = m.side ? m.condition : ct;
    const Node *n = graph_node(l->g, c);
    if (m.side && depth < MASKS && n->op == OP_broadcast &&
        shape_equal(graph_node(l->g, graph_arg(l->g, c, 0))->shape, l->ashape)) {
        m.condition = graph_arg(l->g, c, 0);
        return masked(l->g, m, summed_over(l, m.value, mask, depth + 1), l->loc);
    }
    NodeId s = graph_reduce(l->g, OP_reduce_sum, ct, mask, l->loc);
    return graph_reshape(l->g, s, l->ashape, l->loc);
}

static NodeId transpose_neg(const Linear *l) { return mapped(l, OP_neg, l->ct, NODE_NONE, 0); }

static NodeId transpose_add(const Linear *l) { return l->ct; }

static NodeId transpose_sub(const Linear *l) { return l->k == 0 ? l->ct : transpose_neg(l); }

static NodeId transpose_mul(const Linear *l) { return mapped(l, OP_mul, l->ct, other(l), 0); }

static NodeId transpose_div(const Linear *l) { return mapped(l, OP_div, l->ct, l->a[1], 0); }

static NodeId transpose_select(const Linear *l) {
    NodeId zero = graph_constant(l->g, 0);
    NodeId args[3] = {l->a[0], l->k == 1 ? l->ct : zero, l->k == 2 ? l->ct : zero};
    return graph_op(l->g, OP_select, args, 3, NULL, l->loc);
}

static NodeId move_reshape(const Linear *l) { return graph_reshape(l->g, l->ct, l->ashape, l->loc); }
static NodeId transpose_reshape(const Linear *l) { return moved(l, move_reshape, 0); }

static NodeId transpose_broadcast(const Linear *l) {
    uint32_t mask = 0;
    for (uint32_t k = 0; k < l->shape.rank; k++)
        if (l->ashape.rank == 0 || l->ashape.dims[k] != l->shape.dims[k]) mask |= 1u << k;
    return summed_over(l, l->ct, mask, 0);
}

static NodeId move_transpose(const Linear *l) {
    Attr inverse = {0};
    for (uint32_t k = 0; k < l->shape.rank; k++) inverse.transpose.axes[l->attr.transpose.axes[k]] = k;
    return graph_op(l->g, OP_transpose, &l->ct, 1, &inverse, l->loc);
}

static NodeId transpose_transpose(const Linear *l) { return moved(l, move_transpose, 0); }

static NodeId move_slice(const Linear *l) {
    Attr pad = {0};
    for (uint32_t k = 0; k < l->shape.rank; k++) {
        int64_t start = l->attr.slice.start[k];
        pad.pad.before[k] = start;
        pad.pad.after[k] = l->ashape.dims[k] - start - l->attr.slice.size[k];
    }
    return graph_op(l->g, OP_pad, &l->ct, 1, &pad, l->loc);
}

static NodeId transpose_slice(const Linear *l) { return moved(l, move_slice, 0); }

static NodeId move_pad(const Linear *l) {
    Attr slice = {0};
    for (uint32_t k = 0; k < l->shape.rank; k++) {
        slice.slice.start[k] = l->attr.pad.before[k];
        slice.slice.size[k] = l->ashape.dims[k];
    }
    return graph_op(l->g, OP_slice, &l->ct, 1, &slice, l->loc);
}

static NodeId transpose_pad(const Linear *l) { return moved(l, move_pad, 0); }

static NodeId transpose_window_sum(const Linear *l) {
    return graph_op_shaped(l->g, OP_window_spread, &l->ct, 1, &l->attr, l->ashape, false, l->loc);
}

static NodeId transpose_window_spread(const Linear *l) {
    return graph_op(l->g, OP_window_sum, &l->ct, 1, &l->attr, l->loc);
}

static NodeId move_concat(const Linear *l) {
    Attr slice = {0};
    for (uint32_t k = 0; k < l->shape.rank; k++) slice.slice.size[k] = l->ashape.dims[k];
    int64_t axis = l->attr.concat.axis;
    for (uint32_t k = 0; k < l->k; k++) slice.slice.start[axis] += l->g->nodes[l->a[k]].shape.dims[axis];
    return graph_op(l->g, OP_slice, &l->ct, 1, &slice, l->loc);
}

static NodeId transpose_concat(const Linear *l) { return moved(l, move_concat, 0); }

static NodeId move_reduce_sum(const Linear *l) {
    Shape kept = l->ashape;
    for (uint32_t k = 0; k < kept.rank; k++)
        if (l->attr.reduce.axes >> k & 1) kept.dims[k] = 1;
    return graph_broadcast(l->g, graph_reshape(l->g, l->ct, kept, l->loc), l->ashape, l->loc);
}

static NodeId transpose_reduce_sum(const Linear *l) { return moved(l, move_reduce_sum, 0); }

static NodeId transpose_matmul(const Linear *l) {
    Graph *g = l->g;
    NodeId a = l->a[0], b = l->a[1], ct = l->ct;
    bool ta = l->attr.matmul.transpose_a, tb = l->attr.matmul.transpose_b;
    if (l->attr.matmul.packed) ICE("%s: transposed after packing", g->name);
    uint32_t ra = g->nodes[a].shape.rank, rb = g->nodes[b].shape.rank;
    if (ra == 1 && rb == 1) return op2(l, OP_mul, other(l), ct); /* dot product: ct is a scalar */
    if (ra == 1) {
        if (l->k == 0) return graph_matmul(g, ct, b, false, !tb, l->loc);
        return tb ? op2(l, OP_outer, ct, a) : op2(l, OP_outer, a, ct);
    }
    if (l->k == 0) return ta ? graph_matmul(g, b, ct, tb, true, l->loc) : graph_matmul(g, ct, b, false, !tb, l->loc);
    return tb ? graph_matmul(g, ct, a, true, ta, l->loc) : graph_matmul(g, a, ct, !ta, false, l->loc);
}

/* y[i,j] = a[i] b[j]: da = ct b, db = a ct */
static NodeId transpose_outer(const Linear *l) { return graph_matmul(l->g, other(l), l->ct, false, l->k == 0, l->loc); }

static NodeId transpose_batch_outer(const Linear *l) { return transpose_outer(l); }

/* conv, conv_input and conv_weight of one convolution are each other's adjoints: <y, conv(x, w)> = <conv_input(y, w),
 * x> = <conv_weight(x, y), w>. */
static NodeId conv_adjoint(const Linear *l, Op op, NodeId a, NodeId b, uint32_t height, uint32_t width) {
    Attr attr = l->attr;
    if (attr.conv.packed) ICE("%s: transposed after packing", l->g->name);
    attr.conv.height = height, attr.conv.width = width;
    return graph_op(l->g, op, (NodeId[]){a, b}, 2, &attr, l->loc);
}

static ConvShape conv_of(const Linear *l, Op op) {
    ConvShape c;
    conv_shape(op, &l->attr, graph_node(l->g, l->a[0])->shape, graph_node(l->g, l->a[1])->shape, &c);
    return c;
}

static NodeId transpose_conv(const Linear *l) {
    ConvShape c = conv_of(l, OP_conv);
    if (l->k == 0) return conv_adjoint(l, OP_conv_input, l->ct, l->a[1], c.height, c.width);
    return conv_adjoint(l, OP_conv_weight, l->a[0], l->ct, c.rows, c.columns);
}

static NodeId transpose_conv_input(const Linear *l) {
    ConvShape c = conv_of(l, OP_conv_input);
    if (l->k == 0) return conv_adjoint(l, OP_conv, l->ct, l->a[1], 0, 0);
    return conv_adjoint(l, OP_conv_weight, l->ct, l->a[0], c.rows, c.columns);
}

static NodeId transpose_conv_weight(const Linear *l) {
    ConvShape c = conv_of(l, OP_conv_weight);
    if (l->k == 0) return conv_adjoint(l, OP_conv_input, l->a[1], l->ct, c.height, c.width);
    return conv_adjoint(l, OP_conv, l->a[0], l->ct, 0, 0);
}

static NodeId transpose_batch_conv_weight(const Linear *l) { return transpose_conv_weight(l); }

static NodeId transpose_pack_conv(const Linear *l) { return l->ct; }

static NodeId transpose_pack(const Linear *l) {
    if (!l->attr.pack.transposed) return l->ct;
    return graph_op(l->g, OP_transpose, &l->ct, 1, &(Attr){.transpose.axes = {1, 0}}, l->loc);
}

static NodeId transpose_batch_sum(const Linear *l) { return graph_batch(l->g, l->ct, l->loc); }

/* Only rows with a linear mask have a rule: LINEAR_0 drops the others, any other mask needs transpose_<name>. */
#define RULE(name, linear) RULE_(name, linear)
#define RULE_(name, linear) RULE_##linear(name)
#define RULE_0(name) NULL
#define RULE_1(name) transpose_##name
#define RULE_3(name) transpose_##name
#define RULE_6(name) transpose_##name
#define RULE_255(name) transpose_##name
static NodeId (*const rules[])(const Linear *) = {
#define OP(name, arity, class, shape, linear, cost, view, doc) [OP_##name] = RULE(name, linear),
#include "ops.def"
#undef OP
};

/* A product or a window, whose factors may be infinite where its cotangent is masked for the whole example.  The mask
 * stays outside; where a product is summed over the batch it goes into the other factor instead, so that sum and product
 * can still be made together. */
static NodeId masked_whole(const Linear *l, int depth) {
    Graph *g = l->g;
    Mask m = whole_mask(g, l->ct);
    if (!m.side || depth == MASKS) return rules[l->op](l);
    Linear inner = *l;
    if (graph_node(g, l->ct)->batched && !graph_node(g, l->a[l->k])->batched) {
        NodeId a[2] = {l->a[0], l->a[1]};
        a[1 - l->k] = masked(g, m, other(l), l->loc);
        inner.a = a;
        return rules[l->op](&inner);
    }
    inner.ct = m.value;
    return masked(g, m, masked_whole(&inner, depth + 1), l->loc);
}

static NodeId contribution(const Linear *l) {
    bool window = l->op == OP_window_sum || l->op == OP_window_spread;
    return window || (op_class(l->op) == CLASS_PRODUCT && l->op != OP_pack && l->op != OP_pack_conv)
               ? masked_whole(l, 0)
               : rules[l->op](l);
}

/* ---- the sweep ---- */
typedef struct Sweep {
    Graph *g;
    NodeId *ct; /* cotangent so far, by linear node */
} Sweep;

/* Two cotangents under one mask stay under it. */
static NodeId sum_of(Graph *g, NodeId a, NodeId b, Range loc) {
    Mask m = mask_of(g, a), n = mask_of(g, b);
    if (!m.side || m.side != n.side || m.condition != n.condition) return graph_binary(g, OP_add, a, b, loc);
    return masked(g, m, sum_of(g, m.value, n.value, loc), loc);
}

static void contribute(Sweep *s, NodeId to, NodeId ct, Range loc) {
    if (to == NODE_NONE) return;
    if (s->g->nodes[to].batched)
        ct = graph_batch(s->g, ct, loc);
    else if (s->g->nodes[ct].batched)
        ct = graph_unary(s->g, OP_batch_sum, ct, loc);
    s->ct[to] = s->ct[to] == NODE_NONE ? ct : sum_of(s->g, s->ct[to], ct, loc);
}

/* All cotangents of the states are known: call the gradient, hand its results to the captured values. */
static void transpose_call(Sweep *s, const LinearCall *c, Calls *calls) {
    Graph *g = s->g;
    Node n = g->nodes[c->node];
    const FixedSignature *f = &calls->fixed[c->index];
    NodeId *args = arena_alloc(g->arena, (1 + c->nstate) * sizeof *args), zero = graph_constant(g, 0);
    bool any = false;
    args[0] = c->node;
    for (uint32_t k = 0; k < c->nstate; k++) {
        NodeId ct = s->ct[c->states[k]];
        any = any || ct != NODE_NONE;
        args[1 + k] =
            ct != NODE_NONE ? ct : graph_op_shaped(g, OP_broadcast, &zero, 1, NULL, f->states[k], true, n.loc);
    }
    if (!any) return;
    NodeId call =
        graph_op(g, OP_fixed_gradient, args, 1 + c->nstate, &(Attr){.gradient = {c->index, f->shared}}, n.loc);
    if (f->shared) *ARENA_PUSH(g->arena, calls->effects, calls->neffects, calls->effects_cap) = call;
    for (uint32_t k = 0; k < n.nargs; k++) {
        if (c->arguments[k] == NODE_NONE) continue;
        Shape shape = g->nodes[g->args[n.args + k]].shape;
        NodeId ct =
            graph_op_shaped(g, OP_fixed_cotangent, &call, 1, &(Attr){.cotangent.captured = k}, shape, true, n.loc);
        contribute(s, c->arguments[k], ct, n.loc);
    }
}

static void transpose_with(Graph *g, const NodeId *tangent_outputs, const NodeId *cotangents, uint32_t noutputs,
                           const NodeId *tangent_inputs, uint32_t ninputs, Calls *calls, NodeId *out) {
    uint32_t limit = g->nnodes;
    Sweep s = {g, arena_alloc(g->arena, (limit + 1) * sizeof(NodeId))};
    bool *linear = arena_alloc(g->arena, limit + 1);
    for (uint32_t k = 0; k < limit; k++) s.ct[k] = NODE_NONE;
    for (uint32_t k = 0; k < ninputs; k++) linear[tangent_inputs[k]] = true;
    for (uint32_t c = 0; calls && c < calls->n; c++)
        for (uint32_t k = 0; k < calls->calls[c].nstate; k++) linear[calls->calls[c].states[k]] = true;
    for (NodeId id = 0; id < limit; id++)
        for (uint32_t k = 0; k < g->nodes[id].nargs; k++) linear[id] = linear[id] || linear[graph_arg(g, id, k)];
    for (uint32_t k = 0; k < noutputs; k++)
        if (tangent_outputs[k] != NODE_NONE && cotangents[k] != NODE_NONE && linear[tangent_outputs[k]])
            contribute(&s, tangent_outputs[k], cotangents[k], g->nodes[tangent_outputs[k]].loc);
    uint32_t pending = calls ? calls->n : 0;
    for (NodeId id = limit; id-- > 0;) {
        while (pending && calls->calls[pending - 1].states[0] == id)
            transpose_call(&s, &calls->calls[--pending], calls);
        if (s.ct[id] == NODE_NONE || g->nodes[id].op == OP_input) continue;
        Node n = g->nodes[id];
        NodeId *a = arena_alloc(g->arena, n.nargs * sizeof *a);
        uint32_t varying = 0;
        for (uint32_t k = 0; k < n.nargs; k++) {
            a[k] = g->args[n.args + k];
            varying += linear[a[k]];
        }
        int mask = op_linear_mask(n.op);
        bool additive = n.op == OP_add || n.op == OP_sub || n.op == OP_concat || n.op == OP_select;
        if (varying > 1 && !additive) ICE("%s: %s of two tangents", g->name, op_name(n.op));
        for (uint32_t k = 0; k < n.nargs; k++) {
            if (!linear[a[k]]) continue;
            if (mask >= 0 && !(mask >> k & 1)) ICE("%s: %s of a tangent is not linear", g->name, op_name(n.op));
            Linear l = {g, n.op, a, k, s.ct[id], n.shape, g->nodes[a[k]].shape, n.attr, n.loc};
            contribute(&s, a[k], contribution(&l), n.loc);
        }
    }
    for (uint32_t k = 0; k < ninputs; k++) out[k] = s.ct[tangent_inputs[k]];
}

void transpose(Graph *g, const NodeId *tangent_outputs, const NodeId *cotangents, uint32_t noutputs,
               const NodeId *tangent_inputs, uint32_t ninputs, NodeId *out) {
    transpose_with(g, tangent_outputs, cotangents, noutputs, tangent_inputs, ninputs, NULL, out);
}

void reverse(Graph *g, const NodeId *outputs, const NodeId *cotangents, uint32_t noutputs, const NodeId *wrt,
             uint32_t nwrt, const FixedSignature *fixed, NodeId *out, NodeId **effects, uint32_t *neffects) {
    Calls calls = {.fixed = fixed};
    NodeId *tin = arena_alloc(g->arena, (nwrt + 1) * sizeof *tin),
           *tout = arena_alloc(g->arena, (noutputs + 1) * sizeof *tout);
    for (uint32_t k = 0; k < nwrt; k++) {
        Node n = g->nodes[wrt[k]];
        tin[k] = graph_input(g, n.shape, n.batched, "tangent", n.loc);
    }
    linearise_with(g, outputs, noutputs, wrt, tin, nwrt, &calls, tout);
    transpose_with(g, tout, cotangents, noutputs, tin, nwrt, &calls, out);
    if (effects) *effects = calls.effects, *neffects = calls.neffects;
}
