/* draft.c - from a graph with destinations to a bound routine. */
#include "draft.h"
#include "fold.h"

Draft *draft_new(Arena *a, const char *name, bool rows) {
    Draft *d = arena_alloc(a, sizeof *d);
    d->name = name;
    d->rows = rows;
    d->graph = graph_new(a, name);
    d->graph->form = FORM_EVALUATION;
    return d;
}

void draft_output(Draft *d, NodeId node, Place place, uint32_t index, uint64_t offset) {
    bool row = d->rows && place != PLACE_SHARED && place != PLACE_ACCUM;
    if (row) node = graph_batch(d->graph, node, d->graph->nodes[node].loc);
    *ARENA_PUSH(d->graph->arena, d->outs, d->nouts, d->cap) = (Destination){node, place, index, offset, false};
}

void draft_effect(Draft *d, NodeId node) {
    *ARENA_PUSH(d->graph->arena, d->outs, d->nouts, d->cap) = (Destination){.node = node, .effect = true};
}

static NodeId negated(Graph *g, NodeId node) {
    Node n = *graph_node(g, node);
    if (op_class(n.op) != CLASS_BATCH) return graph_unary(g, OP_neg, node, n.loc);
    NodeId a = graph_unary(g, OP_neg, graph_arg(g, node, 0), n.loc);
    if (n.op == OP_batch_sum) return graph_unary(g, OP_batch_sum, a, n.loc);
    return graph_op(g, n.op, (NodeId[]){a, graph_arg(g, node, 1)}, 2, &n.attr, n.loc);
}

/* ACCUM adds: a sum becomes several outputs, so that each is one sum over examples; a reshape changes no storage. */
static void split_sum(Draft *d, Graph *g, Destination out, bool minus) {
    const Node *n = graph_node(g, out.node);
    double v;
    if (fold_value(g, out.node, &v) && v == 0) return;
    Destination a = out, b = out;
    if (n->op == OP_add || n->op == OP_sub || n->op == OP_neg || n->op == OP_reshape) {
        bool flip = n->op == OP_neg ? !minus : minus;
        a.node = graph_arg(g, out.node, 0);
        if (n->nargs > 1) b.node = graph_arg(g, out.node, 1);
        bool second = n->nargs > 1, flip_b = n->op == OP_sub ? !minus : minus;
        split_sum(d, g, a, flip);
        if (second) split_sum(d, g, b, flip_b);
        return;
    }
    bool sum = op_class(n->op) == CLASS_BATCH;
    if (!sum && !d->whole_batch) ICE("%s: %s reaches ACCUM, not a sum over examples", d->name, op_name(n->op));
    if (minus) out.node = sum ? negated(g, out.node) : graph_unary(g, OP_neg, out.node, n->loc);
    *ARENA_PUSH(g->arena, d->outs, d->nouts, d->cap) = out;
}

static Binding bind_input(const Draft *d, Stage *s, const Graph *g, NodeId in) {
    Origin o;
    const FixedPlan *p = d->plan;
    if (!origin_get(g, in, &o)) ICE("%s: input %s comes from nowhere", d->name, g->nodes[in].attr.name);
    Binding b = {in, o.place, 0, 0};
    switch (o.place) {
    case PLACE_SHARED: b.offset = stage_offset(s, o.index); break;
    case PLACE_ACCUM: b.offset = stage_accum(s, o.index); break;
    case PLACE_REST: b.offset = p->layout->rest_offsets[o.index]; break;
    case PLACE_SCALAR: b.index = o.index; break;
    case PLACE_TAPE: b.offset = p->tape_offsets[o.index]; break;
    case PLACE_ARG:
        b.index = o.index >= ORIGIN_COTANGENT ? 0 : o.index;
        b.offset = p ? p->layout->state_offsets[o.component] : 0;
        break;
    default: ICE("%s: input %s has no such origin here", d->name, g->nodes[in].attr.name);
    }
    return b;
}

void draft_finish(Draft *d, Unit *unit, Stage *s, FixedLayout *fixed, uint32_t nfixed) {
    Arena *a = unit->arena;
    NodeId *roots = arena_alloc(a, (d->nouts + 1) * sizeof *roots);
    for (uint32_t k = 0; k < d->nouts; k++) roots[k] = d->outs[k].node;
    Graph *g = simplify(a, d->graph, roots, d->nouts, false, NULL);
    if (d->rows) {
        Destination *old = d->outs;
        uint32_t nold = d->nouts;
        d->outs = NULL;
        d->nouts = d->cap = 0;
        for (uint32_t k = 0; k < nold; k++) {
            old[k].node = g->outputs[k];
            if (!old[k].effect && old[k].place == PLACE_ACCUM)
                split_sum(d, g, old[k], false);
            else
                *ARENA_PUSH(a, d->outs, d->nouts, d->cap) = old[k];
        }
        roots = arena_alloc(a, (d->nouts + 1) * sizeof *roots);
        for (uint32_t k = 0; k < d->nouts; k++) roots[k] = d->outs[k].node;
        g = stage_split(s, simplify(a, g, roots, d->nouts, false, NULL), true);
        g = simplify(a, g, NULL, 0, false, NULL);
    }
    Step *step = arena_alloc(a, sizeof *step);
    step->kind = STEP_GRAPH;
    step->graph = g;
    step->in = arena_alloc(a, (g->ninputs + 1) * sizeof *step->in);
    step->out = arena_alloc(a, (d->nouts + 1) * sizeof *step->out);
    for (uint32_t k = 0; k < g->ninputs; k++) step->in[step->nin++] = bind_input(d, s, g, g->inputs[k]);
    for (uint32_t k = 0; k < d->nouts; k++) {
        Destination o = d->outs[k];
        if (o.effect) continue;
        if (o.place == PLACE_SHARED) o.offset = stage_offset(s, o.index);
        if (o.place == PLACE_ACCUM) o.offset = stage_accum(s, o.index);
        step->out[step->nout++] = (Binding){g->outputs[k], o.place, o.place == PLACE_ARG ? o.index : 0, o.offset};
    }
    Routine *r = arena_alloc(a, sizeof *r);
    *r = (Routine){.name = d->name, .rows = d->rows, .steps = step, .nsteps = 1};
    for (int k = 0; k < 8; k++) r->arg_bytes[k] = d->arg_bytes[k];
    if (d->plan) r->rest_bytes = d->plan->layout->rest_bytes, r->tape_bytes = d->plan->layout->tape_bytes;
    for (NodeId id = 0; id < g->nnodes; id++)
        if (g->nodes[id].op == OP_fixed || g->nodes[id].op == OP_solve) r->fixed = fixed, r->nfixed = nfixed;
    *ARENA_PUSH(a, unit->routines, unit->nroutines, unit->routines_cap) = r;
}
