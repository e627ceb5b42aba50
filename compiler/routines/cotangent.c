/* cotangent.c - NAME_LOSS_cotangent: dloss/dz of a fixed point's state through the net that follows it, as a routine of
 * the state alone, so that the runtime can ask for it at any state.  NAME_LOSS_correction: with the loss itself, its
 * gradient in all that the net reads after the state, and a factor.
 *
 * What the net computes on the way from the state to the loss is repeated in the routine; the batched values that this
 * needs and that do not depend on the state (the target, skip connections, draws) are passed in the rest record.
 *
 * NAME_LOSS_training is the same for the gradient of a training step, where statistics of the batch stand on the way:
 * its rows are the examples of the batch, so that their states couple as in the net. */
#include "adjoint.h"
#include "draft.h"

typedef struct Reach { /* from one fixed point to one loss, in training or outside it */
    bool *varying;     /* depends on the state */
    bool *needed;      /* the loss depends on it */
    bool *coupled;     /* depends on a sum over the batch */
} Reach;

static Reach reach(Arena *a, const Graph *rows, uint32_t index, NodeId loss) {
    Reach r = {arena_alloc(a, rows->nnodes + 1), arena_alloc(a, rows->nnodes + 1), arena_alloc(a, rows->nnodes + 1)};
    for (NodeId id = 0; id < rows->nnodes; id++) {
        const Node *n = graph_node(rows, id);
        r.varying[id] = n->op == OP_fixed_state && graph_node(rows, graph_arg(rows, id, 0))->attr.fixed.index == index;
        r.coupled[id] = n->op == OP_batch_sum;
        for (uint32_t k = 0; k < n->nargs; k++) {
            r.varying[id] = r.varying[id] || r.varying[graph_arg(rows, id, k)];
            r.coupled[id] = r.coupled[id] || r.coupled[graph_arg(rows, id, k)];
        }
    }
    r.needed[loss] = true;
    for (NodeId id = loss + 1; id-- > 0;)
        for (uint32_t k = 0; r.needed[id] && k < rows->nodes[id].nargs; k++) r.needed[graph_arg(rows, id, k)] = true;
    return r;
}

/* The routine can make it from shared values and constants, or as a view of something smaller. */
static bool at_hand(const Graph *rows, const Reach *r, NodeId id, NodeId *below) {
    const Node *n = graph_node(rows, id);
    *below = NODE_NONE;
    if (!n->batched) return !r->coupled[id];
    if (n->op == OP_broadcast || n->op == OP_reshape) *below = graph_arg(rows, id, 0);
    return *below != NODE_NONE;
}

static void take(Arena *a, const Graph *rows, const Reach *r, NodeId id, FixedCotangent *c, uint32_t *cap) {
    NodeId below;
    if (at_hand(rows, r, id, &below)) {
        if (below != NODE_NONE) take(a, rows, r, below, c, cap);
        return;
    }
    for (uint32_t k = 0; k < c->n; k++)
        if (c->values[k] == id) return;
    *ARENA_PUSH(a, c->values, c->n, *cap) = id;
}

static bool trains(const Loss *l) { return !l->objective || l->trains; }

void cotangent_plan(Arena *a, const Graph *rows, const Model *model, uint32_t index, uint32_t real_bytes,
                    FixedLayout *l) {
    l->ncotangents = model->nlosses;
    l->cotangents = arena_alloc(a, (model->nlosses + 1) * sizeof *l->cotangents);
    for (uint32_t k = 0; k < model->nlosses; k++) {
        NodeId loss = rows->outputs[1 + k];
        FixedCotangent *c = &l->cotangents[k];
        Reach r = reach(a, rows, index, loss);
        uint64_t bytes = 0;
        uint32_t cap = 0;
        bool coupled = false;
        for (NodeId id = 0; id < rows->nnodes; id++)
            if (r.varying[id] && r.needed[id] && rows->nodes[id].op == OP_fixed)
                l->downstream = model->fixed[rows->nodes[id].attr.fixed.index].name;
        if (l->downstream || !r.varying[loss]) continue;
        for (NodeId id = 0; id < rows->nnodes; id++) {
            const Node *n = graph_node(rows, id);
            if (!r.varying[id] || !r.needed[id] || n->op == OP_fixed_state) continue;
            coupled = coupled || n->op == OP_in_training;
            for (uint32_t j = 0; j < n->nargs; j++)
                if (!r.varying[graph_arg(rows, id, j)]) take(a, rows, &r, graph_arg(rows, id, j), c, &cap);
        }
        c->routine = arena_printf(a, "%s_%s_cotangent", model->fixed[index].name, model->losses[k].name);
        if (coupled && trains(&model->losses[k]))
            c->training = arena_printf(a, "%s_%s_training", model->fixed[index].name, model->losses[k].name);
        if (model->corrections && trains(&model->losses[k]))
            c->correction = arena_printf(a, "%s_%s_correction", model->fixed[index].name, model->losses[k].name);
        c->offsets = arena_alloc(a, (c->n + 1) * sizeof *c->offsets);
        for (uint32_t v = 0; v < c->n; v++) {
            c->offsets[v] = bytes;
            bytes += align_bytes(shape_count(graph_node(rows, c->values[v])->shape) * real_bytes);
        }
        if (bytes > l->extra_bytes) l->extra_bytes = bytes;
    }
}

typedef enum Kind { OUTSIDE, TRAINING, CORRECTION } Kind; /* a correction is part of training */

static const char *name_of(const FixedCotangent *c, Kind kind) {
    return kind == OUTSIDE ? c->routine : kind == TRAINING ? c->training : c->correction;
}

static void make_routine(Unit *unit, Stage *s, const Graph *rows, NodeId loss, uint32_t index, const FixedCotangent *c,
                         FixedLayout *l, Kind kind) {
    Arena *a = unit->arena;
    Draft *d = draft_new(a, name_of(c, kind), true);
    Graph *g = d->graph;
    const bool correction = kind == CORRECTION;
    if (kind != OUTSIDE && c->training) g->form = FORM_TRAINING, d->coupled = true;
    FixedLayout *records = arena_alloc(a, sizeof *records); /* REST k: the loss's own values */
    *records = *l;
    records->rest_offsets = c->offsets;
    FixedPlan *plan = arena_alloc(a, sizeof *plan);
    *plan = (FixedPlan){records, NULL};
    d->plan = plan;
    d->arg_bytes[0] = d->arg_bytes[1] = l->state_bytes;
    NodeId *map = graph_map(a, rows), *states = arena_alloc(a, l->nstate * sizeof *states);
    NodeId *ct = arena_alloc(a, l->nstate * sizeof *ct), one = graph_batch(g, graph_constant(g, 1), (Range){0});
    for (uint32_t k = 0; k < l->nstate; k++) states[k] = NODE_NONE;
    for (NodeId id = 0; id < rows->nnodes; id++) {
        const Node *n = graph_node(rows, id);
        if (n->op != OP_fixed_state || graph_node(rows, graph_arg(rows, id, 0))->attr.fixed.index != index) continue;
        uint32_t k = (uint32_t)n->attr.state.component;
        map[id] = states[k] = origin_input(g, (Origin){PLACE_ARG, 0, k}, n->shape, true, "z", n->loc);
    }
    for (uint32_t k = 0; k < c->n; k++) {
        const Node *n = graph_node(rows, c->values[k]);
        map[c->values[k]] = origin_input(g, (Origin){PLACE_REST, k, 0}, n->shape, true,
                                         n->attr.name ? n->attr.name : arena_printf(a, "value%u", k), n->loc);
    }
    NodeId out = graph_copy(g, rows, loss, map), *wrt = arena_alloc(a, (g->ninputs + l->nstate) * sizeof *wrt);
    uint32_t nwrt = 0, nstates;
    for (uint32_t k = 0; k < l->nstate; k++)
        if (states[k] != NODE_NONE) wrt[nwrt++] = states[k];
    nstates = nwrt;
    if (correction) {
        for (uint32_t k = 0; k < g->ninputs; k++) { /* what the loss reads beside the state */
            Origin o;
            if (origin_get(g, g->inputs[k], &o) &&
                (o.place == PLACE_REST || (o.place == PLACE_SHARED && s->values[o.index].trained)))
                wrt[nwrt++] = g->inputs[k];
        }
        ct = arena_alloc(a, (nwrt + l->nstate) * sizeof *ct);
        one = graph_batch(g, origin_input(g, (Origin){PLACE_SCALAR, 0, 0}, shape_scalar(), false, "w", (Range){0}),
                          (Range){0});
        d->arg_bytes[2] = align_bytes(unit->layout.real_bytes);
        draft_output(d, graph_binary(g, OP_mul, out, one, (Range){0}), PLACE_ARG, 2, 0);
    }
    reverse(g, &out, &one, 1, wrt, nwrt, NULL, ct, NULL, NULL);
    for (uint32_t k = nstates; k < nwrt; k++) {
        Origin o;
        if (ct[k] == NODE_NONE || !origin_get(g, wrt[k], &o)) continue;
        if (o.place == PLACE_SHARED)
            draft_output(d, ct[k], PLACE_ACCUM, o.index, 0);
        else
            draft_output(d, ct[k], PLACE_DREST, 0, c->offsets[o.index]);
    }
    for (uint32_t k = 0, used = 0; k < l->nstate; k++) {
        bool read = states[k] != NODE_NONE;
        NodeId cotangent = read ? ct[used++] : NODE_NONE;
        if (cotangent == NODE_NONE) {
            NodeId zero = graph_constant(g, 0);
            cotangent = graph_op_shaped(g, OP_broadcast, &zero, 1, NULL, l->state_shapes[k], true, (Range){0});
        }
        draft_output(d, cotangent, PLACE_ARG, 1, l->state_offsets[k]);
    }
    draft_finish(d, unit, s, NULL, 0);
}

void cotangent_routines(Unit *unit, Stage *s, const Graph *rows, const Model *model, uint32_t index, FixedLayout *l) {
    for (uint32_t k = 0; k < model->nlosses; k++)
        for (Kind kind = OUTSIDE; kind <= CORRECTION; kind++)
            if (name_of(&l->cotangents[k], kind))
                make_routine(unit, s, rows, rows->outputs[1 + k], index, &l->cotangents[k], l, kind);
}

void cotangent_attach(Graph *dst, const Graph *rows, uint32_t loss, const FixedLayout *layouts, NodeId *map) {
    for (NodeId id = 0; id < rows->nnodes; id++) {
        Node n = *graph_node(rows, id);
        if (n.op != OP_fixed) continue;
        const FixedCotangent *c = &layouts[n.attr.fixed.index].cotangents[loss];
        if (!c->routine) continue;
        NodeId *args = arena_alloc(dst->arena, (n.nargs + c->n + 1) * sizeof *args);
        for (uint32_t k = 0; k < n.nargs; k++) args[k] = graph_copy(dst, rows, graph_arg(rows, id, k), map);
        for (uint32_t k = 0; k < c->n; k++)
            args[n.nargs + k] = graph_batch(dst, graph_copy(dst, rows, c->values[k], map), n.loc);
        Attr attr = n.attr;
        attr.fixed.loss = loss + 1;
        attr.fixed.extra = c->n;
        attr.fixed.training = dst->form == FORM_TRAINING && c->training;
        map[id] = graph_op_shaped(dst, OP_fixed, args, n.nargs + c->n, &attr, n.shape, true, n.loc);
    }
}
