/* hoist.c - what the state does not touch leaves the fixed body; sums are regrouped so that more of them does. */
#include "passes.h"
#include "fold.h"

typedef struct Hoist {
    Graph *outer, *body, *out; /* outer graph; old body (may grow by regrouped sums); new body */
    NodeId *to_outer;          /* old body -> outer, for what the state does not touch */
    uint32_t to_outer_cap;
    NodeId *to_out; /* old body -> new body */
    bool *touched;  /* by the state; nodes that existed at the start */
    uint32_t *uses, old_nodes;
    NodeId *captured, *captured_input; /* outer node, and its input in the new body */
    uint32_t ncaptured, captured_cap, input_cap;
} Hoist;

static bool is_touched(const Hoist *h, NodeId id) { return id < h->old_nodes && h->touched[id]; }

/* The outer graph's node in the new body: constants are repeated, reshapes and broadcasts too, the rest is captured. */
static NodeId capture(Hoist *h, NodeId outer) {
    double v;
    Node n = *graph_node(h->outer, outer);
    if (fold_value(h->outer, outer, &v) || n.op == OP_iota) {
        NodeId *map = graph_map(h->out->arena, h->outer);
        return graph_copy(h->out, h->outer, outer, map);
    }
    if (n.op == OP_reshape || n.op == OP_broadcast) {
        NodeId from = graph_arg(h->outer, outer, 0);
        bool raised = n.batched && !graph_node(h->outer, from)->batched;
        NodeId inner = capture(h, from);
        return graph_op_shaped(h->out, n.op, &inner, 1, NULL, n.shape, raised, n.loc);
    }
    for (uint32_t k = 0; k < h->ncaptured; k++)
        if (h->captured[k] == outer) return h->captured_input[k];
    const char *name = n.op == OP_input ? n.attr.name : arena_printf(h->out->arena, "captured%u", h->ncaptured);
    NodeId in = graph_input(h->out, n.shape, n.batched, name, n.loc);
    uint32_t count = h->ncaptured;
    *ARENA_PUSH(h->out->arena, h->captured_input, count, h->input_cap) = in;
    *ARENA_PUSH(h->out->arena, h->captured, h->ncaptured, h->captured_cap) = outer;
    return in;
}

static NodeId untouched(Hoist *h, NodeId id) {
    if (h->body->nnodes > h->to_outer_cap) { /* regrouping added nodes */
        NodeId *grown = arena_alloc(h->out->arena, 2 * h->body->nnodes * sizeof *grown);
        for (uint32_t k = 0; k < 2 * h->body->nnodes; k++) grown[k] = k < h->to_outer_cap ? h->to_outer[k] : NODE_NONE;
        h->to_outer = grown;
        h->to_outer_cap = 2 * h->body->nnodes;
    }
    return capture(h, graph_copy(h->outer, h->body, id, h->to_outer));
}

static NodeId argument(Hoist *h, NodeId id) { return is_touched(h, id) ? h->to_out[id] : untouched(h, id); }

typedef struct Terms {
    NodeId ids[256];
    bool minus[256];
    uint32_t n;
} Terms;

static void collect_terms(const Hoist *h, NodeId id, bool minus, bool root, Terms *t) {
    const Node *n = graph_node(h->body, id);
    bool inside = is_touched(h, id) && (n->op == OP_add || n->op == OP_sub) && (root || h->uses[id] == 1);
    if (!inside || t->n > 200) {
        t->ids[t->n] = id;
        t->minus[t->n++] = minus;
        return;
    }
    collect_terms(h, graph_arg(h->body, id, 0), minus, false, t);
    collect_terms(h, graph_arg(h->body, id, 1), n->op == OP_sub ? !minus : minus, false, t);
}

static NodeId plus(Graph *g, NodeId s, NodeId t, bool minus, Range loc) {
    if (s == NODE_NONE) return minus ? graph_unary(g, OP_neg, t, loc) : t;
    return graph_binary(g, minus ? OP_sub : OP_add, s, t, loc);
}

/* (f(z) + x) + b = f(z) + (x + b): the second sum is hoisted whole.  NODE_NONE when there is nothing to gain. */
static NodeId regrouped(Hoist *h, NodeId id) {
    Node n = *graph_node(h->body, id);
    Terms t = {.n = 0};
    double v;
    uint32_t free_terms = 0, constants = 0;
    if (n.op != OP_add && n.op != OP_sub) return NODE_NONE;
    collect_terms(h, id, false, true, &t);
    for (uint32_t k = 0; k < t.n; k++) {
        free_terms += !is_touched(h, t.ids[k]);
        constants += !is_touched(h, t.ids[k]) && fold_value(h->body, t.ids[k], &v);
    }
    if (free_terms < 2 || constants == free_terms) return NODE_NONE;
    NodeId sum = NODE_NONE, rest = NODE_NONE;
    for (int pass = 0; pass < 2; pass++) /* terms with a plus first: no needless negation */
        for (uint32_t k = 0; k < t.n; k++) {
            if (t.minus[k] != pass) continue;
            if (is_touched(h, t.ids[k]))
                sum = plus(h->out, sum, h->to_out[t.ids[k]], pass, n.loc);
            else
                rest = plus(h->body, rest, t.ids[k], pass, n.loc);
        }
    return plus(h->out, sum, untouched(h, rest), false, n.loc);
}

static Graph *hoist_body(Graph *outer, const Graph *old, uint32_t nstate, const NodeId *args, uint32_t nargs,
                         NodeId **captured, uint32_t *ncaptured) {
    Arena *a = outer->arena;
    Graph *body = simplify(a, old, NULL, 0, true, NULL);
    if (body->ninputs != nstate + nargs)
        ICE("%s: %u inputs for %u states and %u captured values", old->name, body->ninputs, nstate, nargs);
    Hoist h = {.outer = outer,
               .body = body,
               .out = graph_new(a, old->name),
               .to_outer = graph_map(a, body),
               .to_outer_cap = body->nnodes,
               .to_out = graph_map(a, body),
               .old_nodes = body->nnodes};
    h.touched = arena_alloc(a, body->nnodes + 1);
    h.uses = arena_alloc(a, (body->nnodes + 1) * sizeof *h.uses);
    for (uint32_t k = 0; k < nstate; k++) {
        const Node *n = graph_node(body, body->inputs[k]);
        h.touched[body->inputs[k]] = true;
        h.to_out[body->inputs[k]] = graph_input(h.out, n->shape, true, n->attr.name, n->loc);
    }
    for (uint32_t k = 0; k < nargs; k++) h.to_outer[body->inputs[nstate + k]] = args[k];
    for (NodeId id = 0; id < h.old_nodes; id++)
        for (uint32_t k = 0; k < body->nodes[id].nargs; k++) {
            h.touched[id] = h.touched[id] || h.touched[graph_arg(body, id, k)];
            h.uses[graph_arg(body, id, k)]++;
        }
    for (uint32_t k = 0; k < body->noutputs; k++) h.uses[body->outputs[k]]++;
    for (NodeId id = 0; id < h.old_nodes; id++) {
        if (!h.touched[id] || h.to_out[id] != NODE_NONE) continue;
        h.to_out[id] = regrouped(&h, id);
        if (h.to_out[id] != NODE_NONE) continue;
        Node n = *graph_node(body, id);
        NodeId *mapped = arena_alloc(a, n.nargs * sizeof *mapped);
        for (uint32_t k = 0; k < n.nargs; k++) mapped[k] = argument(&h, graph_arg(body, id, k));
        h.to_out[id] = graph_op_shaped(h.out, n.op, mapped, n.nargs, &n.attr, n.shape, false, n.loc);
    }
    for (uint32_t k = 0; k < body->noutputs; k++) graph_output(h.out, argument(&h, body->outputs[k]));
    *captured = h.captured;
    *ncaptured = h.ncaptured;
    return h.out;
}

/* Regrouping leaves partial sums behind, and what only they used: drops both. */
static Graph *prune(Arena *a, const Graph *body, uint32_t nstate, NodeId *captured, uint32_t *ncaptured) {
    NodeId *map = graph_map(a, body);
    Graph *used = simplify(a, body, NULL, 0, false, map), *out = graph_new(a, body->name);
    NodeId *again = graph_map(a, used), *from = arena_alloc(a, (used->nnodes + 1) * sizeof *from);
    uint32_t kept = 0;
    for (uint32_t k = 0; k < body->ninputs; k++) {
        const Node *n = graph_node(body, body->inputs[k]);
        NodeId in = map[body->inputs[k]];
        if (k >= nstate && in == NODE_NONE) continue;
        NodeId fresh = graph_input(out, n->shape, n->batched, n->attr.name, n->loc);
        out->nodes[fresh].attr = n->attr;
        if (in != NODE_NONE) again[in] = fresh;
        if (k >= nstate) captured[kept++] = captured[k - nstate];
    }
    for (uint32_t k = 0; k < used->noutputs; k++) graph_output(out, graph_copy(out, used, used->outputs[k], again));
    *ncaptured = kept;
    return out;
}

Graph *hoist(Arena *a, const Graph *g, Graph **bodies, const uint32_t *nstate, uint32_t nfixed) {
    Graph *out = graph_new(a, g->name);
    NodeId *map = graph_map(a, g);
    for (uint32_t k = 0; k < g->ninputs; k++) graph_copy(out, g, g->inputs[k], map);
    for (NodeId id = 0; id < g->nnodes; id++) {
        Node n = *graph_node(g, id);
        if (n.op != OP_fixed) {
            graph_copy(out, g, id, map);
            continue;
        }
        uint32_t index = (uint32_t)n.attr.fixed.index, ncaptured;
        if (index >= nfixed) ICE("%s: there is no fixed point %u", g->name, index);
        NodeId *args = arena_alloc(a, (n.nargs + 1) * sizeof *args), *captured;
        for (uint32_t k = 0; k < n.nargs; k++) args[k] = map[graph_arg(g, id, k)];
        Graph *body = hoist_body(out, bodies[index], nstate[index], args, n.nargs, &captured, &ncaptured);
        bodies[index] = prune(a, body, nstate[index], captured, &ncaptured);
        map[id] = graph_op(out, OP_fixed, captured, ncaptured, &n.attr, n.loc);
    }
    for (uint32_t k = 0; k < g->noutputs; k++) graph_output(out, map[g->outputs[k]]);
    return out;
}
