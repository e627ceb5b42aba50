/* draft.c - from a graph with destinations to a bound routine: the passes of level DRAFT. */
#include "maker.h"
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

static bool is_read(const Graph *g, NodeId id) {
    for (NodeId user = id + 1; user < g->nnodes; user++)
        for (uint32_t k = 0; k < g->nodes[user].nargs; k++)
            if (graph_arg(g, user, k) == id) return true;
    return false;
}

/* A value of the whole batch as a sum over the rows of its parts: each row adds its share. */
static NodeId shared_out(Graph *g, NodeId value) {
    const Range at = graph_node(g, value)->loc;
    NodeId one = graph_batch(g, graph_constant(g, 1), at), count = graph_unary(g, OP_batch_sum, one, at);
    NodeId share = graph_binary(g, OP_div, value, count, at);
    return graph_unary(g, OP_batch_sum, graph_batch(g, share, at), at);
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
    if (!sum && !d->coupled && !d->scaled)
        ICE("%s: %s reaches ACCUM, not a sum over examples", d->name, op_name(n->op));
    if (d->coupled && (!sum || is_read(g, out.node))) out.node = shared_out(g, out.node);
    if (minus) out.node = negated(g, out.node);
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

/* ---- the passes ---- */

/* ensures: the graph's outputs are the draft's destinations, in their order; effects count as outputs.  changes:
 * nothing else. */
void pass_draft(Finish *f) {
    f->graph = f->draft->graph;
    for (uint32_t k = 0; k < f->draft->nouts; k++) graph_output(f->graph, f->draft->outs[k].node);
}

/* needs: nothing of it packed.  ensures: outputs as before.  changes: the graph. */
void pass_tidy(Finish *f) { f->graph = simplify(f->unit->arena, f->graph, NULL, 0, false, NULL); }

/* ensures, in routines of rows: an output to ACCUM is one sum over examples.  changes: destinations, and the graph's
 * outputs with them. */
void pass_sums(Finish *f) {
    Draft *d = f->draft;
    if (!d->rows) return;
    const Destination *old = d->outs;
    uint32_t nold = d->nouts;
    d->outs = NULL;
    d->nouts = d->cap = 0;
    for (uint32_t k = 0; k < nold; k++) {
        Destination out = old[k];
        out.node = f->graph->outputs[k];
        if (!out.effect && out.place == PLACE_ACCUM)
            split_sum(d, f->graph, out, false);
        else
            *ARENA_PUSH(f->unit->arena, d->outs, d->nouts, d->cap) = out;
    }
    NodeId *roots = arena_alloc(f->unit->arena, (d->nouts + 1) * sizeof *roots);
    for (uint32_t k = 0; k < d->nouts; k++) roots[k] = d->outs[k].node;
    f->graph = simplify(f->unit->arena, f->graph, roots, d->nouts, false, NULL);
}

/* needs: inputs with their origins.  ensures: weights of vector products and of convolutions are read packed.  changes:
 * the graph, and the stage by what is read of it. */
void pass_pack(Finish *f) {
    if (f->draft->rows) f->graph = stage_split(f->stage, f->graph, true);
}

/* changes: the graph: what packing has left behind. */
void pass_clean(Finish *f) {
    if (f->draft->rows) f->graph = simplify(f->unit->arena, f->graph, NULL, 0, false, NULL);
}

static Step *bound_step(const Draft *d, Stage *s, Graph *g) {
    Arena *a = g->arena;
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
    return step;
}

void draft_finish(Draft *d, Unit *unit, Stage *s, FixedLayout *fixed, uint32_t nfixed) {
    Arena *a = unit->arena;
    Finish f = {d, unit, s, NULL};
    passes_finish(&f);
    const Graph *g = f.graph;
    Routine *r = arena_alloc(a, sizeof *r);
    *r = (Routine){
        .name = d->name, .rows = d->rows, .coupled = d->coupled, .steps = bound_step(d, s, f.graph), .nsteps = 1};
    for (int k = 0; k < 8; k++) r->arg_bytes[k] = d->arg_bytes[k];
    if (d->plan) r->rest_bytes = d->plan->layout->rest_bytes, r->tape_bytes = d->plan->layout->tape_bytes;
    for (NodeId id = 0; id < g->nnodes; id++)
        if (g->nodes[id].op == OP_fixed || g->nodes[id].op == OP_solve) r->fixed = fixed, r->nfixed = nfixed;
    *ARENA_PUSH(a, unit->routines, unit->nroutines, unit->routines_cap) = r;
}
