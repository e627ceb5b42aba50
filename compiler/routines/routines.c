/* routines.c - the routines that see the whole net, and what the manifest is told of all of them. */
#include "routines.h"
#include "maker.h"

static uint64_t value_bytes(const Maker *m, Shape shape) {
    return align_bytes(shape_count(shape) * m->unit->layout.real_bytes);
}

static Draft *model_draft(const Maker *m, const char *name) {
    Draft *d = draft_new(m->unit->arena, name, true);
    const Model *model = m->model;
    d->arg_bytes[0] = value_bytes(m, graph_node(model->graph, model->x)->shape);
    return d;
}

static void finish(const Maker *m, Draft *d) { draft_finish(d, m->unit, m->stage, m->fixed, m->model->nfixed); }

/* Statistics are those of the batch, of which the rows may be a part; nothing is dropped. */
static void in_batch(Draft *d) {
    d->graph->form = FORM_STATISTICS;
    d->coupled = true;
}

/* changes: the stage, by what is read of it; so do the passes below. */
static void make_predict(const Maker *m, const char *ending) {
    Draft *d = model_draft(m, arena_printf(m->unit->arena, "%s_predict%s", m->model->name, ending));
    if (*ending) in_batch(d);
    NodeId output = graph_copy(d->graph, m->graph, m->graph->outputs[0], graph_map(m->unit->arena, m->graph));
    d->arg_bytes[2] = value_bytes(m, graph_node(d->graph, output)->shape);
    draft_output(d, output, PLACE_ARG, 2, 0);
    finish(m, d);
}

void pass_predict(Maker *m) {
    make_predict(m, "");
    if (m->model->in_batch) make_predict(m, IN_BATCH);
}

typedef enum LossRoutine { LOSS_VALUE, LOSS_INPUT, LOSS_PARAMETERS, LOSS_VJP, LOSS_REPLAY } LossRoutine;

static bool in_training(LossRoutine which) { return which == LOSS_PARAMETERS || which == LOSS_REPLAY; }

/* Reverse mode from each example's own loss: to x, to the trained shared values, or to both. */
static void add_gradient(const Maker *m, Draft *d, NodeId loss, LossRoutine which) {
    Arena *a = m->unit->arena;
    const bool input = which == LOSS_INPUT || which >= LOSS_VJP, shared = which >= LOSS_PARAMETERS;
    Graph *g = d->graph;
    uint32_t nwrt = 0, neffects = 0;
    NodeId *wrt = arena_alloc(a, (g->ninputs + 1) * sizeof *wrt), *effects = NULL;
    FixedSignature *signatures = arena_alloc(a, (m->model->nfixed + 1) * sizeof *signatures);
    Shape x_shape = graph_node(m->model->graph, m->model->x)->shape;
    Origin o;
    for (uint32_t k = 0; k < m->model->nfixed; k++) {
        signatures[k] = m->signatures[k];
        signatures[k].shared = signatures[k].shared && shared;
        signatures[k].after = m->model->corrections && in_training(which);
    }
    for (uint32_t k = 0; k < g->ninputs; k++) {
        if (!origin_get(g, g->inputs[k], &o)) continue;
        bool wanted = (input && o.place == PLACE_ARG && o.index == 0) ||
                      (shared && o.place == PLACE_SHARED && m->stage->values[o.index].trained);
        if (wanted) wrt[nwrt++] = g->inputs[k];
    }
    NodeId *ct = arena_alloc(a, (nwrt + 1) * sizeof *ct), one = graph_batch(g, graph_constant(g, 1), (Range){0});
    reverse(g, &loss, &one, 1, wrt, nwrt, signatures, ct, &effects, &neffects);
    for (uint32_t k = 0; k < neffects; k++) draft_effect(d, effects[k]);
    if (input) {
        NodeId zero = graph_constant(g, 0), dx = NODE_NONE;
        for (uint32_t k = 0; k < nwrt; k++)
            if (origin_get(g, wrt[k], &o) && o.place == PLACE_ARG) dx = ct[k];
        if (dx == NODE_NONE) dx = graph_op_shaped(g, OP_broadcast, &zero, 1, NULL, x_shape, true, (Range){0});
        d->arg_bytes[4] = value_bytes(m, x_shape);
        draft_output(d, dx, PLACE_ARG, 4, 0);
    }
    for (uint32_t k = 0; k < nwrt; k++) {
        origin_get(g, wrt[k], &o);
        if (ct[k] != NODE_NONE && o.place == PLACE_SHARED) draft_output(d, ct[k], PLACE_ACCUM, o.index, 0);
    }
}

/* Nodes of the net that a buffer follows, by buffer; a layer called twice has several. */
static uint32_t statistic_uses(const Maker *m, int64_t parameter) {
    uint32_t n = 0;
    for (NodeId id = 0; id < m->graph->nnodes; id++)
        n += m->graph->nodes[id].op == OP_in_training && m->graph->nodes[id].attr.training.statistic == parameter + 1;
    return n;
}

/* The batch's statistics go to ACCUM: once for each example, by whose number the engine divides; of a net that is passed
 * twice a share each time. */
static void add_statistics(const Maker *m, Draft *d, NodeId *map, double share) {
    Graph *g = d->graph;
    for (NodeId id = 0; id < m->graph->nnodes; id++) {
        Node n = *graph_node(m->graph, id);
        if (n.op != OP_in_training || n.attr.training.statistic == 0) continue;
        uint32_t buffer = (uint32_t)n.attr.training.statistic - 1;
        NodeId value = graph_copy(g, m->graph, graph_arg(m->graph, id, 0), map);
        value = graph_binary(g, OP_mul, value, graph_constant(g, share / statistic_uses(m, buffer)), n.loc);
        NodeId sum = graph_unary(g, OP_batch_sum, graph_batch(g, value, n.loc), n.loc);
        draft_output(d, sum, PLACE_ACCUM, buffer, 0);
    }
}

/* Settings are the same for every example: scalars of the routine, spread over its rows. */
static void bind_settings(const Maker *m, uint32_t loss, Graph *g, NodeId *map) {
    Origin o;
    for (uint32_t k = 0; k < m->graph->ninputs; k++) {
        const NodeId in = m->graph->inputs[k];
        const Node *n = graph_node(m->graph, in);
        if (!origin_get(m->graph, in, &o) || o.place != PLACE_SCALAR || o.component != loss) continue;
        o.component = 0;
        map[in] = graph_batch(g, origin_input(g, o, n->shape, false, n->attr.name, n->loc), n->loc);
    }
}

static void make_loss(const Maker *m, uint32_t index, LossRoutine which, const char *ending) {
    static const char *const suffix[] = {"loss", "input", "parameters", "vjp", "replay"};
    const Model *model = m->model;
    Arena *a = m->unit->arena;
    Draft *d =
        model_draft(m, arena_printf(a, "%s_%s_%s%s", model->name, model->losses[index].name, suffix[which], ending));
    NodeId *map = graph_map(a, m->graph);
    if (in_training(which)) d->graph->form = FORM_TRAINING, d->coupled = model->coupled;
    if (*ending) in_batch(d);
    d->scaled = which == LOSS_VJP && model->coupled; /* kept statistics are parameters, and no stage is in between */
    bind_settings(m, index, d->graph, map);
    if (which != LOSS_VALUE) cotangent_attach(d->graph, m->graph, index, m->fixed, map);
    NodeId output = graph_copy(d->graph, m->graph, m->graph->outputs[0], map);
    NodeId loss = graph_copy(d->graph, m->graph, m->graph->outputs[1 + index], map);
    if (model->y != NODE_NONE) d->arg_bytes[1] = value_bytes(m, graph_node(model->graph, model->y)->shape);
    d->arg_bytes[2] = value_bytes(m, graph_node(d->graph, output)->shape);
    d->arg_bytes[3] = value_bytes(m, shape_scalar());
    draft_output(d, output, PLACE_ARG, 2, 0);
    draft_output(d, loss, PLACE_ARG, 3, 0);
    /* Functions of two outputs take two passes, whose mean the buffers follow. */
    if (in_training(which) && model->coupled) add_statistics(m, d, map, model->losses[index].objective ? 0.5 : 1);
    if (which != LOSS_VALUE) add_gradient(m, d, loss, which);
    finish(m, d);
}

static bool is_asked_for(const Loss *l, LossRoutine which) {
    if (which == LOSS_REPLAY) return l->replays;
    if (!l->objective) return which != LOSS_VJP;
    return which == LOSS_INPUT || (which == LOSS_PARAMETERS && l->trains) || (which == LOSS_VJP && l->outside);
}

void pass_losses(Maker *m) {
    for (uint32_t k = 0; k < m->model->nlosses; k++)
        for (int which = LOSS_VALUE; which <= LOSS_REPLAY; which++)
            if (is_asked_for(&m->model->losses[k], (LossRoutine)which)) {
                make_loss(m, k, (LossRoutine)which, "");
                if (m->model->in_batch && which <= LOSS_INPUT) make_loss(m, k, (LossRoutine)which, IN_BATCH);
            }
}

static void make_metric(const Maker *m, uint32_t index) {
    const Model *model = m->model;
    Arena *a = m->unit->arena;
    Draft *d = draft_new(a, arena_printf(a, "%s_metric_%s", model->name, model->metrics[index].name), true);
    const Node *output = graph_node(m->graph, m->graph->outputs[0]);
    NodeId *map = graph_map(a, m->graph);
    map[m->graph->outputs[0]] =
        origin_input(d->graph, (Origin){PLACE_ARG, 0, 0}, output->shape, true, "output", output->loc);
    NodeId metric = graph_copy(d->graph, m->graph, m->graph->outputs[1 + model->nlosses + index], map);
    for (uint32_t k = 0; k < m->graph->ninputs; k++) {
        Origin o;
        NodeId in = m->graph->inputs[k];
        if (map[in] != NODE_NONE && in != m->graph->outputs[0] && origin_get(m->graph, in, &o) &&
            o.place == PLACE_ARG && o.index == 0)
            ICE("metric %s reads more than the output and the label", model->metrics[index].name);
    }
    d->arg_bytes[0] = value_bytes(m, output->shape);
    if (model->y != NODE_NONE) d->arg_bytes[1] = value_bytes(m, graph_node(model->graph, model->y)->shape);
    d->arg_bytes[2] = value_bytes(m, shape_scalar());
    draft_output(d, metric, PLACE_ARG, 2, 0);
    finish(m, d);
}

void pass_metrics(Maker *m) {
    for (uint32_t k = 0; k < m->model->nmetrics; k++) make_metric(m, k);
}

/* needs: the fixed points' layouts complete.  ensures: places of the arguments of gradients in C. */
void pass_by_hand(Maker *m) {
    const Model *model = m->model;
    FixedLayout *maps = arena_alloc(m->unit->arena, (model->nmaps + 1) * sizeof *maps);
    for (uint32_t k = 0; k < model->nhands; k++)
        if (model->hands[k].symbol)
            m->places[k] = hand_places(m->unit->arena, m->stage, model, &m->hands[k], m->fixed);
        else
            hand_routines(m->unit, m->stage, model, &m->hands[k], m->fixed, maps);
}

/* needs: every gradient is made, so that all derived values with cotangents have a slot in ACCUM.
 * ensures: has_finish. */
void pass_finish(Maker *m) {
    Stage *s = m->stage;
    Arena *a = m->unit->arena;
    Draft *d = draft_new(a, arena_printf(a, "%s_finish", m->model->name), false);
    Graph *g = graph_new(a, d->name);
    NodeId *map = graph_map(a, s->graph), *outputs = arena_alloc(a, (s->nvalues + 1) * sizeof *outputs);
    NodeId *seeds = arena_alloc(a, (s->nvalues + 1) * sizeof *seeds),
           *wrt = arena_alloc(a, (s->nvalues + 1) * sizeof *wrt);
    uint32_t n = 0, nwrt = 0, *parameter = arena_alloc(a, (s->nvalues + 1) * sizeof *parameter);
    for (uint32_t k = 0; k < s->nvalues; k++) {
        const SharedValue *v = &s->values[k];
        if (v->parameter >= 0 && v->trained) {
            parameter[nwrt] = k;
            wrt[nwrt++] = graph_copy(g, s->graph, v->node, map);
        }
        if (v->parameter >= 0 || v->accum < 0) continue;
        outputs[n] = graph_copy(g, s->graph, v->node, map);
        seeds[n++] = origin_input(g, (Origin){PLACE_ACCUM, k, 0}, graph_node(s->graph, v->node)->shape, false,
                                  arena_printf(a, "d %s", v->what), (Range){0});
    }
    if (n == 0) return;
    NodeId *ct = arena_alloc(a, (nwrt + 1) * sizeof *ct);
    reverse(g, outputs, seeds, n, wrt, nwrt, NULL, ct, NULL, NULL);
    NodeId *copied = graph_map(a, g);
    for (uint32_t k = 0; k < s->nvalues; k++) { /* what `prepare` has left in shared is read, not computed again */
        const SharedValue *v = &s->values[k];
        const Node *node = graph_node(s->graph, v->node);
        if (v->parameter >= 0 || v->offset < 0 || node->op == OP_pack || node->op == OP_pack_conv ||
            map[v->node] == NODE_NONE)
            continue;
        copied[map[v->node]] =
            origin_input(d->graph, (Origin){PLACE_SHARED, k, 0}, node->shape, false, v->what, node->loc);
    }
    for (uint32_t k = 0; k < nwrt; k++)
        if (ct[k] != NODE_NONE) draft_output(d, graph_copy(d->graph, g, ct[k], copied), PLACE_ACCUM, parameter[k], 0);
    finish(m, d);
    m->unit->routines[m->unit->nroutines - 1]->pieces = true;
    m->has_finish = true;
}

/* needs: NET_LOSS_parameters is made.  ensures: has_statistics. */
void pass_statistics(Maker *m) {
    Arena *a = m->unit->arena;
    Draft *d = draft_new(a, arena_printf(a, "%s_statistics", m->model->name), false);
    Graph *g = d->graph;
    bool *done = arena_alloc(a, m->model->nparameters + 1);
    for (NodeId id = 0; id < m->graph->nnodes; id++) {
        Node n = *graph_node(m->graph, id);
        if (n.op != OP_in_training || n.attr.training.statistic == 0 || done[n.attr.training.statistic - 1]) continue;
        uint32_t k = (uint32_t)n.attr.training.statistic - 1;
        const Parameter *p = &m->model->parameters[k];
        NodeId old = origin_input(g, (Origin){PLACE_SHARED, k, 0}, p->shape, false, p->path, n.loc);
        NodeId now = origin_input(g, (Origin){PLACE_ACCUM, k, 0}, p->shape, false, "statistic", n.loc);
        NodeId step =
            graph_binary(g, OP_mul, graph_binary(g, OP_sub, now, old, n.loc), graph_constant(g, n.attr.value), n.loc);
        draft_output(d, graph_binary(g, OP_add, old, step, n.loc), PLACE_SHARED, k, 0);
        done[k] = true;
    }
    if (d->nouts == 0) return;
    finish(m, d);
    m->has_statistics = true;
}

/* needs: every other routine is made: by now every slot that is read has a place. */
void pass_prepare(Maker *m) {
    Stage *s = m->stage;
    Arena *a = m->unit->arena;
    Draft *d = draft_new(a, arena_printf(a, "%s_prepare", m->model->name), false);
    NodeId *map = graph_map(a, s->graph);
    for (uint32_t k = 0; k < s->nvalues; k++)
        if (s->values[k].parameter < 0 && s->values[k].offset >= 0)
            draft_output(d, graph_copy(d->graph, s->graph, s->values[k].node, map), PLACE_SHARED, k, 0);
    finish(m, d);
    m->unit->routines[m->unit->nroutines - 1]->pieces = true;
}

/* Where everything stands, for the manifest. */
static ModelRoutines *described(const Maker *m) {
    Arena *a = m->unit->arena;
    const Stage *s = m->stage;
    ModelRoutines *r = arena_alloc(a, sizeof *r);
    *r = (ModelRoutines){.parameter_bytes = s->parameter_bytes,
                         .shared_bytes = s->shared_bytes,
                         .accum_bytes = s->accum_bytes,
                         .fixed = m->fixed,
                         .nfixed = m->model->nfixed,
                         .hands = m->places,
                         .has_finish = m->has_finish,
                         .has_statistics = m->has_statistics};
    r->parameter_offsets = arena_alloc(a, (m->model->nparameters + 1) * sizeof *r->parameter_offsets);
    for (uint32_t k = 0; k < m->model->nparameters; k++) r->parameter_offsets[k] = (uint64_t)s->values[k].offset;
    r->slots = arena_alloc(a, (s->nvalues + 1) * sizeof *r->slots);
    for (uint32_t k = 0; k < s->nvalues; k++)
        if (s->values[k].offset >= 0)
            r->slots[r->nslots++] =
                (SharedSlot){s->values[k].what, (uint64_t)s->values[k].offset, s->values[k].bytes, s->values[k].accum};
    return r;
}

ModelRoutines *model_routines(Unit *unit, const Model *model) {
    Arena *a = unit->arena;
    Maker m = {.unit = unit, .model = model};
    m.bodies = arena_alloc(a, (model->nfixed + 1) * sizeof *m.bodies);
    m.nstate = arena_alloc(a, (model->nfixed + 1) * sizeof *m.nstate);
    m.work = arena_alloc(a, (model->nfixed + 1) * sizeof *m.work);
    m.fixed = arena_alloc(a, (model->nfixed + 1) * sizeof *m.fixed);
    m.signatures = arena_alloc(a, (model->nfixed + 1) * sizeof *m.signatures);
    m.hands = arena_alloc(a, (model->nhands + 1) * sizeof *m.hands);
    m.places = arena_alloc(a, (model->nhands + 1) * sizeof *m.places);
    passes_run(&m);
    return described(&m);
}
