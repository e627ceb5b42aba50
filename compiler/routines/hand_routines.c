/* hand_routines.c - gradients written by hand: from values in the model's graph to routines of their fixed point.
 *
 * What the state and d(z) do not touch stays outside: batched values become further captured values of the `fixed`
 * node, so that they stand in its rest record and so that cotangents of the layer's inputs return through its drest
 * record. The generated cotangents of those values are zero, and so are the others' when the gradient by hand runs. */
#include "draft.h"
#include "extend.h"
#include "fold.h"

typedef struct Split {
    Arena *arena;
    const Model *model;
    const Graph *g;
    bool *row; /* one value per example, not just a repeated shared one */
    Extras *extras;
} Split;

static void find_rows(Split *p) {
    const Graph *g = p->g;
    p->row = arena_alloc(p->arena, g->nnodes + 1);
    for (NodeId id = 0; id < g->nnodes; id++) {
        const Node *n = graph_node(g, id);
        p->row[id] = n->batched && (n->nargs == 0 || op_class(n->op) == CLASS_CALL) && n->op != OP_constant;
        for (uint32_t k = 0; k < n->nargs; k++) p->row[id] = p->row[id] || (n->batched && p->row[graph_arg(g, id, k)]);
    }
}

static uint32_t position_of(const Graph *g, NodeId input) {
    for (uint32_t k = 0; k < g->ninputs; k++)
        if (g->inputs[k] == input) return k;
    ICE("%s: node %u is no input", g->name, input);
}

/* Argument number of the value in the extended `fixed` node. */
static uint32_t captured_at(Split *p, NodeId fixed, uint32_t index, NodeId node, bool stop) {
    const Node *n = graph_node(p->g, fixed);
    Extras *e = &p->extras[index];
    for (uint32_t k = 0; k < n->nargs; k++)
        if (graph_arg(p->g, fixed, k) == node) return k;
    for (uint32_t k = 0; k < e->n; k++)
        if (e->nodes[k] == node && (!e->stop[k] || stop)) return n->nargs + k;
    uint32_t count = e->n;
    *ARENA_PUSH(p->arena, e->stop, count, e->stop_cap) = stop;
    *ARENA_PUSH(p->arena, e->nodes, e->n, e->cap) = node;
    return n->nargs + e->n - 1;
}

static void capture(Split *p, HandGraph *h, NodeId fixed, NodeId *map, NodeId node) {
    const Node *n = graph_node(p->g, node);
    uint32_t k = h->ncaptured;
    map[node] = graph_input(h->graph, n->shape, true, arena_printf(p->arena, "captured%u", h->ncaptured), n->loc);
    *ARENA_PUSH(p->arena, h->captured, h->ncaptured, h->captured_cap) = map[node];
    *ARENA_PUSH(p->arena, h->argument, k, h->argument_cap) =
        captured_at(p, fixed, p->model->hands[h->index].fixed, node, true);
}

/* The block's own graph: `first` is the output of g that holds its first value. */
static void split_hand(Split *p, HandGraph *h, NodeId fixed, uint32_t first) {
    const Graph *g = p->g;
    Arena *a = p->arena;
    const HandGradient *hand = &p->model->hands[h->index];
    const FixedPoint *f = &p->model->fixed[hand->fixed];
    bool *inside = arena_alloc(a, g->nnodes + 1), *seen = arena_alloc(a, g->nnodes + 1);
    NodeId *map = graph_map(a, g), *stack = NULL;
    uint32_t n = 0, cap = 0;
    h->graph = graph_new(a, hand->routine);
    h->targets = arena_alloc(a, (hand->nitems + 1) * sizeof *h->targets);
    for (uint32_t k = 0; k < f->nstate; k++) {
        NodeId in = g->inputs[position_of(p->model->graph, hand->incoming[k])];
        inside[in] = true;
        map[in] = origin_input(h->graph, (Origin){PLACE_ARG, 1, k}, graph_node(g, in)->shape, true, "d", hand->loc);
    }
    for (NodeId id = 0; id < g->nnodes; id++) {
        const Node *node = graph_node(g, id);
        if (node->op == OP_fixed_state && graph_arg(g, id, 0) == fixed) {
            uint32_t k = (uint32_t)node->attr.state.component;
            inside[id] = true;
            map[id] =
                origin_input(h->graph, (Origin){PLACE_ARG, 0, k}, node->shape, true, f->state_names[k], node->loc);
        }
        for (uint32_t k = 0; k < node->nargs; k++) inside[id] = inside[id] || inside[graph_arg(g, id, k)];
    }
    uint32_t out = first;
    for (uint32_t k = 0; k < hand->nitems; k++) { /* cotangents of inputs first: their slots must take them */
        NodeId value = g->outputs[out++], input = hand->items[k].parameter < 0 ? g->outputs[out++] : NODE_NONE;
        *ARENA_PUSH(a, stack, n, cap) = value;
        h->targets[k] = (HandTarget){.value = value, .shared = NODE_NONE, .argument = UINT32_MAX};
        if (input == NODE_NONE) continue;
        if (p->row[input])
            h->targets[k].argument = captured_at(p, fixed, hand->fixed, input, false);
        else
            h->targets[k].shared = input;
    }
    while (n) {
        NodeId id = stack[--n];
        if (seen[id] || map[id] != NODE_NONE) continue;
        seen[id] = true;
        if (p->row[id] && !inside[id] && graph_node(g, id)->op != OP_broadcast) {
            capture(p, h, fixed, map, id);
            continue;
        }
        for (uint32_t k = 0; k < graph_node(g, id)->nargs; k++) *ARENA_PUSH(a, stack, n, cap) = graph_arg(g, id, k);
    }
    for (uint32_t k = 0; k < hand->nitems; k++) h->targets[k].value = graph_copy(h->graph, g, h->targets[k].value, map);
}

Graph *hand_split(Arena *a, const Model *model, const Graph *g, uint32_t first, HandGraph *hands) {
    Split p = {a, model, g, NULL, arena_alloc(a, (model->nfixed + 1) * sizeof *p.extras)};
    uint32_t out = first;
    find_rows(&p);
    for (uint32_t k = 0; k < model->nhands; k++) {
        const HandGradient *hand = &model->hands[k];
        hands[k].index = k;
        split_hand(&p, &hands[k], g->outputs[first - model->nfixed + hand->fixed], out);
        for (uint32_t i = 0; i < hand->nitems; i++) out += hand->items[i].parameter < 0 ? 2 : 1;
    }
    Graph *dst = graph_new(a, g->name);
    NodeId *map = graph_map(a, g);
    for (uint32_t k = 0; k < g->ninputs; k++) graph_copy(dst, g, g->inputs[k], map);
    for (uint32_t k = 0; k < first; k++) graph_output(dst, extend_copy(a, g, p.extras, dst, g->outputs[k], map));
    for (uint32_t k = 0; k < model->nhands; k++)
        for (uint32_t i = 0; i < model->hands[k].nitems; i++)
            if (hands[k].targets[i].shared != NODE_NONE)
                hands[k].targets[i].shared = extend_copy(a, g, p.extras, dst, hands[k].targets[i].shared, map);
    return dst;
}

/* ---- routines ---- */

/* MAP_vjp_z: u - K u, so that the solvers of u = J'u + b solve K u = b. */
static void make_map(Unit *unit, Stage *s, const LinearMap *map, const Graph *g, NodeId node, FixedLayout *l) {
    Arena *a = unit->arena;
    Draft *d = draft_new(a, arena_printf(a, "%s_vjp_z", map->name), true);
    const Graph *body = map->body;
    NodeId *to = graph_map(a, body), *smap = graph_map(a, g);
    Shape shape = graph_node(body, body->inputs[0])->shape;
    uint32_t real = unit->layout.real_bytes;
    l->name = map->name;
    l->nstate = 1;
    l->dimension = shape_count(shape);
    l->state_bytes = align_bytes(l->dimension * real);
    l->state_offsets = arena_alloc(a, sizeof *l->state_offsets);
    l->rest_offsets = arena_alloc(a, (body->ninputs + 1) * sizeof *l->rest_offsets);
    NodeId v = to[body->inputs[0]] =
        origin_input(d->graph, (Origin){PLACE_ARG, ORIGIN_COTANGENT, 0}, shape, true, "v", map->loc);
    for (uint32_t k = 1; k < body->ninputs; k++) {
        NodeId arg = graph_arg(g, node, k), in = body->inputs[k];
        const Node *n = graph_node(g, arg);
        const char *name = graph_node(body, in)->attr.name;
        double value;
        if (n->batched) {
            to[in] = origin_input(d->graph, (Origin){PLACE_REST, l->nrest, 0}, n->shape, true, name, n->loc);
            l->rest_offsets[l->nrest++] = l->rest_bytes;
            l->rest_bytes += align_bytes(shape_count(n->shape) * real);
        } else if (fold_value(g, arg, &value)) {
            to[in] = graph_broadcast(d->graph, graph_constant(d->graph, value), n->shape, n->loc);
        } else {
            to[in] = stage_read(s, d->graph, stage_copy(s, g, arg, smap));
        }
    }
    NodeId k = graph_copy(d->graph, body, body->outputs[0], to);
    const Node *n = graph_node(d->graph, k);
    bool minus = n->op == OP_sub && graph_arg(d->graph, k, 0) == v; /* K v = v - t */
    NodeId out = minus ? graph_arg(d->graph, k, 1) : graph_binary(d->graph, OP_sub, v, k, map->loc);
    FixedPlan *plan = arena_alloc(a, sizeof *plan);
    plan->layout = l;
    d->plan = plan;
    d->arg_bytes[0] = d->arg_bytes[1] = l->state_bytes;
    draft_output(d, out, PLACE_ARG, 1, 0);
    draft_finish(d, unit, s, NULL, 0);
    *ARENA_PUSH(a, unit->fixed, unit->nfixed, unit->fixed_cap) = l;
}

static void make_hand(Unit *unit, Stage *s, const HandGradient *hand, const HandGraph *h, const FixedPlan *plan,
                      FixedLayout *maps, uint32_t nmaps, bool parameters) {
    Arena *a = unit->arena;
    const FixedLayout *l = plan->layout;
    Draft *d = draft_new(a, arena_printf(a, "%s_%s", hand->routine, parameters ? "parameters" : "input"), true);
    NodeId *map = graph_map(a, h->graph);
    d->plan = plan;
    d->arg_bytes[0] = d->arg_bytes[1] = l->state_bytes;
    for (uint32_t k = 0; k < hand->nitems; k++) {
        const HandTarget *t = &h->targets[k];
        int64_t shared = hand->items[k].parameter;
        if (t->shared != NODE_NONE) shared = t->shared_value;
        if (t->argument != UINT32_MAX) {
            draft_output(d, graph_copy(d->graph, h->graph, t->value, map), PLACE_DREST, 0,
                         l->rest_offsets[h->rest[t->argument]]);
        } else if (parameters && shared >= 0 && s->values[shared].trained) {
            NodeId value = graph_copy(d->graph, h->graph, t->value, map);
            if (graph_node(d->graph, value)->batched)
                value = graph_unary(d->graph, OP_batch_sum, value, graph_node(d->graph, value)->loc);
            draft_output(d, value, PLACE_ACCUM, (uint32_t)shared, 0);
        }
    }
    draft_finish(d, unit, s, maps, nmaps);
}

FieldPlace *hand_places(Arena *a, Stage *s, const Model *model, const HandGraph *h, const FixedLayout *fixed) {
    const HandGradient *hand = &model->hands[h->index];
    const FixedLayout *l = &fixed[hand->fixed];
    FieldPlace *places = arena_alloc(a, (hand->nfields + 1) * sizeof *places);
    for (uint32_t k = 0; k < hand->nfields; k++) {
        const HandField *f = &hand->fields[k];
        const HandTarget *t = f->kind == FIELD_ITEM ? &h->targets[f->index] : NULL;
        FieldPlace *p = &places[k];
        p->accum = -1;
        if (f->kind == FIELD_STATE) {
            *p = (FieldPlace){"state", (int64_t)l->state_offsets[f->index], -1};
        } else if (t && t->argument != UINT32_MAX) {
            *p = (FieldPlace){"rest", (int64_t)l->rest_offsets[h->rest[t->argument]], -1};
        } else if (t || f->kind == FIELD_BUFFER) {
            int64_t q = t ? hand->items[f->index].parameter : (int64_t)f->index;
            uint32_t value = t && t->shared != NODE_NONE ? t->shared_value : (uint32_t)q;
            *p = (FieldPlace){"shared", (int64_t)stage_offset(s, value),
                              s->values[value].trained ? (int64_t)stage_accum(s, value) : -1};
        }
    }
    return places;
}

void hand_routines(Unit *unit, Stage *s, const Model *model, const HandGraph *h, FixedLayout *fixed,
                   FixedLayout *maps) {
    const HandGradient *hand = &model->hands[h->index];
    FixedPlan plan = {&fixed[hand->fixed], NULL}, *kept = arena_copy(unit->arena, &plan, sizeof plan);
    for (uint32_t k = 0; k < h->ncaptured; k++)
        origin_set(h->graph, h->captured[k], (Origin){PLACE_REST, h->rest[h->argument[k]], 0});
    for (NodeId id = 0; id < h->graph->nnodes; id++) {
        const Node *n = graph_node(h->graph, id);
        if (n->op != OP_solve) continue;
        FixedLayout *l = &maps[n->attr.solve.map];
        if (l->name) continue; /* made */
        l->index = hand->fixed;
        make_map(unit, s, &model->maps[n->attr.solve.map], h->graph, id, l);
    }
    for (int parameters = 0; parameters < 2; parameters++)
        make_hand(unit, s, hand, h, kept, maps, model->nmaps, parameters);
}
