/* routines.c - Model to routines: the order of the passes, and the routines that see the whole net. */
#include "routines.h"
#include "adjoint.h"
#include "draft.h"
#include "extend.h"

typedef struct Maker {
    Unit *unit;
    const Model *model;
    Stage *stage;
    Graph *rows; /* outputs: the net's output, losses, metrics, fixed points */
    Graph **bodies;
    FixedLayout *fixed;
    FixedSignature *signatures; /* shared: whether trained shared values get cotangents through it */
    HandGraph *hands;
    Shape **extra; /* by fixed point: captured for gradients by hand */
    uint32_t *nextra;
    bool *given;     /* by fixed point: its first state is among them, */
    uint32_t *start; /* at this number of the rest record's values */
} Maker;

static uint64_t value_bytes(const Maker *m, Shape shape) {
    return align_bytes(shape_count(shape) * m->unit->layout.real_bytes);
}

/* The model's graph with origins on its inputs, hoisted and split: m->rows, m->bodies, m->stage. */
static void prepare_graphs(Maker *m) {
    const Model *model = m->model;
    Arena *a = m->unit->arena;
    uint32_t n = 1 + model->nlosses + model->nmetrics + model->nfixed;
    for (uint32_t k = 0; k < model->nhands; k++) n += 2 * model->hands[k].nitems;
    for (uint32_t k = 0; k < model->nfixed; k++) n += model->fixed[k].starts ? model->fixed[k].nstate : 0;
    NodeId *roots = arena_alloc(a, n * sizeof *roots);
    uint32_t *start_of =
        arena_alloc(a, n * sizeof *start_of); /* by root: 1 + the fixed point whose first state it is */
    n = 0;
    uint32_t first_hand, *nstate = arena_alloc(a, (model->nfixed + 1) * sizeof *nstate);
    roots[n++] = model->output;
    for (uint32_t k = 0; k < model->nlosses; k++) roots[n++] = model->losses[k].node;
    for (uint32_t k = 0; k < model->nmetrics; k++) roots[n++] = model->metrics[k].node;
    for (uint32_t k = 0; k < model->nfixed; k++) {
        roots[n++] = model->fixed[k].fixed_node;
        m->bodies[k] = model->fixed[k].body;
        nstate[k] = model->fixed[k].nstate;
    }
    const uint32_t first_start = n;
    for (uint32_t k = 0; k < model->nfixed; k++)
        for (uint32_t i = 0; model->fixed[k].starts && i < nstate[k]; i++)
            start_of[n] = k + 1, roots[n++] = model->fixed[k].starts[i];
    const bool given = n > first_start;
    first_hand = n;
    for (uint32_t k = 0; k < model->nhands; k++)
        for (uint32_t i = 0; i < model->hands[k].nitems; i++) {
            const HandCotangent *c = &model->hands[k].items[i];
            roots[n++] = c->value;
            if (c->parameter < 0) roots[n++] = c->input;
        }
    NodeId *map = graph_map(a, model->graph);
    Graph *g = simplify(a, model->graph, roots, n, true, map);
    if (!model->nhands && !model->nmaps) { /* what is written by hand names states as [C, H, W] */
        NodeId *moved = graph_map(a, g);
        g = channels_last(a, g, m->bodies, model->nfixed, start_of, moved);
        for (NodeId id = 0; id < model->graph->nnodes; id++)
            if (map[id] != NODE_NONE) map[id] = moved[map[id]];
    }
    for (uint32_t k = 0; k < model->nparameters; k++)
        origin_set(g, map[model->parameters[k].node], (Origin){PLACE_SHARED, k, 0});
    origin_set(g, map[model->x], (Origin){PLACE_ARG, 0, 0});
    if (model->y != NODE_NONE) origin_set(g, map[model->y], (Origin){PLACE_ARG, 1, 0});
    g = hoist(a, g, m->bodies, nstate, model->nfixed);
    if (given) {
        g = extend_starts(a, model, g, first_start);
        first_hand = first_start;
    }
    if (model->nhands) g = hand_split(a, model, g, first_hand, m->hands);
    m->stage = stage_new(a, m->unit->layout, model);
    NodeId *smap = graph_map(a, g);
    for (NodeId id = 0; id < g->nnodes; id++) {
        const Node *node = graph_node(g, id);
        if (node->op != OP_fixed) continue;
        uint32_t index = (uint32_t)node->attr.fixed.index, rest = 0;
        Graph *body = m->bodies[index];
        for (uint32_t k = 0; k < nstate[index]; k++) origin_set(body, body->inputs[k], (Origin){PLACE_ARG, 0, k});
        m->given[index] = model->fixed[index].starts != NULL;
        uint32_t captured = body->ninputs - nstate[index], *rests = arena_alloc(a, (node->nargs + 1) * sizeof *rests);
        m->extra[index] = arena_alloc(a, (node->nargs + 1) * sizeof **m->extra);
        for (uint32_t k = 0; k < node->nargs; k++) {
            NodeId arg = graph_arg(g, id, k), in = k < captured ? body->inputs[nstate[index] + k] : NODE_NONE;
            rests[k] = rest;
            if (k == captured && m->given[index]) m->start[index] = rest;
            if (graph_node(g, arg)->batched) {
                if (k < captured)
                    origin_set(body, in, (Origin){PLACE_REST, rest, 0});
                else
                    m->extra[index][m->nextra[index]++] = graph_node(g, arg)->shape;
                rest++;
                continue;
            }
            uint32_t value = stage_value(m->stage, stage_copy(m->stage, g, arg, smap));
            origin_set(body, in, (Origin){PLACE_SHARED, value, 0});
            m->signatures[index].shared = m->signatures[index].shared || m->stage->values[value].trained;
        }
        Shape *states = arena_alloc(a, nstate[index] * sizeof *states);
        for (uint32_t k = 0; k < nstate[index]; k++) states[k] = graph_node(body, body->inputs[k])->shape;
        for (uint32_t k = 0; k < model->nhands; k++)
            if (model->hands[k].fixed == index) m->hands[k].rest = rests;
        m->signatures[index].nstate = nstate[index];
        m->signatures[index].states = states;
    }
    for (uint32_t k = 0; k < model->nhands; k++)
        for (uint32_t i = 0; i < model->hands[k].nitems; i++) {
            HandTarget *t = &m->hands[k].targets[i];
            bool *shared = &m->signatures[model->hands[k].fixed].shared;
            if (t->shared != NODE_NONE) {
                t->shared_value = stage_value(m->stage, stage_copy(m->stage, g, t->shared, smap));
                *shared = *shared || m->stage->values[t->shared_value].trained;
            }
            *shared = *shared || model->hands[k].items[i].parameter >= 0;
        }
    m->rows = stage_split(m->stage, g, false);
    for (NodeId id = 0; id < m->rows->nnodes; id++) {
        const Node *n = graph_node(m->rows, id);
        if (n->op == OP_in_training && n->attr.training.statistic)
            m->stage->values[n->attr.training.statistic - 1].statistic = true;
    }
}

static Draft *model_draft(const Maker *m, const char *name) {
    Draft *d = draft_new(m->unit->arena, name, true);
    const Model *model = m->model;
    d->arg_bytes[0] = value_bytes(m, graph_node(model->graph, model->x)->shape);
    return d;
}

static void finish(const Maker *m, Draft *d) { draft_finish(d, m->unit, m->stage, m->fixed, m->model->nfixed); }

static void make_predict(const Maker *m) {
    Draft *d = model_draft(m, arena_printf(m->unit->arena, "%s_predict", m->model->name));
    NodeId output = graph_copy(d->graph, m->rows, m->rows->outputs[0], graph_map(m->unit->arena, m->rows));
    d->arg_bytes[2] = value_bytes(m, graph_node(d->graph, output)->shape);
    draft_output(d, output, PLACE_ARG, 2, 0);
    finish(m, d);
}

typedef enum LossRoutine { LOSS_VALUE, LOSS_INPUT, LOSS_PARAMETERS } LossRoutine;

/* Reverse mode from each example's own loss, to x or to the trained shared values. */
static void add_gradient(const Maker *m, Draft *d, NodeId loss, LossRoutine which) {
    Arena *a = m->unit->arena;
    Graph *g = d->graph;
    uint32_t nwrt = 0, neffects = 0;
    NodeId *wrt = arena_alloc(a, (g->ninputs + 1) * sizeof *wrt), *effects = NULL;
    FixedSignature *signatures = arena_alloc(a, (m->model->nfixed + 1) * sizeof *signatures);
    Shape x_shape = graph_node(m->model->graph, m->model->x)->shape;
    Origin o;
    for (uint32_t k = 0; k < m->model->nfixed; k++) {
        signatures[k] = m->signatures[k];
        signatures[k].shared = signatures[k].shared && which == LOSS_PARAMETERS;
        signatures[k].after = m->model->corrections && which == LOSS_PARAMETERS;
    }
    for (uint32_t k = 0; k < g->ninputs; k++) {
        if (!origin_get(g, g->inputs[k], &o)) continue;
        bool wanted = which == LOSS_INPUT ? o.place == PLACE_ARG && o.index == 0
                                          : o.place == PLACE_SHARED && m->stage->values[o.index].trained;
        if (wanted) wrt[nwrt++] = g->inputs[k];
    }
    NodeId *ct = arena_alloc(a, (nwrt + 1) * sizeof *ct), one = graph_batch(g, graph_constant(g, 1), (Range){0});
    reverse(g, &loss, &one, 1, wrt, nwrt, signatures, ct, &effects, &neffects);
    for (uint32_t k = 0; k < neffects; k++) draft_effect(d, effects[k]);
    if (which == LOSS_INPUT) {
        NodeId zero = graph_constant(g, 0), dx = nwrt ? ct[0] : NODE_NONE;
        if (dx == NODE_NONE) dx = graph_op_shaped(g, OP_broadcast, &zero, 1, NULL, x_shape, true, (Range){0});
        d->arg_bytes[4] = value_bytes(m, x_shape);
        draft_output(d, dx, PLACE_ARG, 4, 0);
        return;
    }
    for (uint32_t k = 0; k < nwrt; k++) {
        origin_get(g, wrt[k], &o);
        if (ct[k] != NODE_NONE) draft_output(d, ct[k], PLACE_ACCUM, o.index, 0);
    }
}

/* Nodes of the net that a buffer follows, by buffer; a layer called twice has several. */
static uint32_t statistic_uses(const Maker *m, int64_t parameter) {
    uint32_t n = 0;
    for (NodeId id = 0; id < m->rows->nnodes; id++)
        n += m->rows->nodes[id].op == OP_in_training && m->rows->nodes[id].attr.training.statistic == parameter + 1;
    return n;
}

/* The batch's statistics go to ACCUM: times the number of examples, by which the engine divides. */
static void add_statistics(const Maker *m, Draft *d, NodeId *map) {
    Graph *g = d->graph;
    for (NodeId id = 0; id < m->rows->nnodes; id++) {
        Node n = *graph_node(m->rows, id);
        if (n.op != OP_in_training || n.attr.training.statistic == 0) continue;
        uint32_t buffer = (uint32_t)n.attr.training.statistic - 1;
        NodeId one = graph_batch(g, graph_constant(g, 1.0 / statistic_uses(m, buffer)), n.loc);
        NodeId count = graph_unary(g, OP_batch_sum, one, n.loc);
        NodeId value = graph_copy(g, m->rows, graph_arg(m->rows, id, 0), map);
        draft_output(d, graph_binary(g, OP_mul, value, count, n.loc), PLACE_ACCUM, buffer, 0);
    }
}

static void make_loss(const Maker *m, uint32_t index, LossRoutine which) {
    static const char *const suffix[] = {"loss", "input", "parameters"};
    const Model *model = m->model;
    Arena *a = m->unit->arena;
    Draft *d = model_draft(m, arena_printf(a, "%s_%s_%s", model->name, model->losses[index].name, suffix[which]));
    NodeId *map = graph_map(a, m->rows);
    if (which == LOSS_PARAMETERS) d->graph->form = FORM_TRAINING, d->whole_batch = model->coupled;
    if (which != LOSS_VALUE) cotangent_attach(d->graph, m->rows, index, m->fixed, map);
    NodeId output = graph_copy(d->graph, m->rows, m->rows->outputs[0], map);
    NodeId loss = graph_copy(d->graph, m->rows, m->rows->outputs[1 + index], map);
    if (model->y != NODE_NONE) d->arg_bytes[1] = value_bytes(m, graph_node(model->graph, model->y)->shape);
    d->arg_bytes[2] = value_bytes(m, graph_node(d->graph, output)->shape);
    d->arg_bytes[3] = value_bytes(m, shape_scalar());
    draft_output(d, output, PLACE_ARG, 2, 0);
    draft_output(d, loss, PLACE_ARG, 3, 0);
    if (which == LOSS_PARAMETERS && model->coupled) add_statistics(m, d, map);
    if (which != LOSS_VALUE) add_gradient(m, d, loss, which);
    finish(m, d);
}

static void make_metric(const Maker *m, uint32_t index) {
    const Model *model = m->model;
    Arena *a = m->unit->arena;
    Draft *d = draft_new(a, arena_printf(a, "%s_metric_%s", model->name, model->metrics[index].name), true);
    const Node *output = graph_node(m->rows, m->rows->outputs[0]);
    NodeId *map = graph_map(a, m->rows);
    map[m->rows->outputs[0]] =
        origin_input(d->graph, (Origin){PLACE_ARG, 0, 0}, output->shape, true, "output", output->loc);
    NodeId metric = graph_copy(d->graph, m->rows, m->rows->outputs[1 + model->nlosses + index], map);
    for (uint32_t k = 0; k < m->rows->ninputs; k++) {
        Origin o;
        NodeId in = m->rows->inputs[k];
        if (map[in] != NODE_NONE && in != m->rows->outputs[0] && origin_get(m->rows, in, &o) && o.place == PLACE_ARG &&
            o.index == 0)
            ICE("metric %s reads more than the output and the label", model->metrics[index].name);
    }
    d->arg_bytes[0] = value_bytes(m, output->shape);
    if (model->y != NODE_NONE) d->arg_bytes[1] = value_bytes(m, graph_node(model->graph, model->y)->shape);
    d->arg_bytes[2] = value_bytes(m, shape_scalar());
    draft_output(d, metric, PLACE_ARG, 2, 0);
    finish(m, d);
}

/* Cotangents of derived shared values, summed in ACCUM, go back to the parameters. */
static bool make_finish(const Maker *m) {
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
    if (n == 0) return false;
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
    return true;
}

static bool make_statistics(const Maker *m) {
    Arena *a = m->unit->arena;
    Draft *d = draft_new(a, arena_printf(a, "%s_statistics", m->model->name), false);
    Graph *g = d->graph;
    bool *done = arena_alloc(a, m->model->nparameters + 1);
    for (NodeId id = 0; id < m->rows->nnodes; id++) {
        Node n = *graph_node(m->rows, id);
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
    if (d->nouts == 0) return false;
    finish(m, d);
    return true;
}

static void make_prepare(const Maker *m) {
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

ModelRoutines *model_routines(Unit *unit, const Model *model) {
    Arena *a = unit->arena;
    Maker maker = {.unit = unit, .model = model}, *m = &maker;
    m->bodies = arena_alloc(a, (model->nfixed + 1) * sizeof *m->bodies);
    m->fixed = arena_alloc(a, (model->nfixed + 1) * sizeof *m->fixed);
    m->signatures = arena_alloc(a, (model->nfixed + 1) * sizeof *m->signatures);
    m->hands = arena_alloc(a, (model->nhands + 1) * sizeof *m->hands);
    m->extra = arena_alloc(a, (model->nfixed + 1) * sizeof *m->extra);
    m->nextra = arena_alloc(a, (model->nfixed + 1) * sizeof *m->nextra);
    m->given = arena_alloc(a, (model->nfixed + 1) * sizeof *m->given);
    m->start = arena_alloc(a, (model->nfixed + 1) * sizeof *m->start);
    prepare_graphs(m);
    for (uint32_t k = 0; k < model->nfixed; k++) {
        cotangent_plan(a, m->rows, model, k, unit->layout.real_bytes, &m->fixed[k]);
        fixed_routines(unit, m->stage, &model->fixed[k], m->bodies[k], m->extra[k], m->nextra[k], k, model->penalised,
                       &m->fixed[k]);
        m->fixed[k].given = m->given[k];
        if (m->given[k]) m->fixed[k].start_offset = m->fixed[k].rest_offsets[m->start[k]];
        cotangent_routines(unit, m->stage, m->rows, model, k, &m->fixed[k]);
    }
    FixedLayout *maps = arena_alloc(a, (model->nmaps + 1) * sizeof *maps);
    FieldPlace **places = arena_alloc(a, (model->nhands + 1) * sizeof *places);
    for (uint32_t k = 0; k < model->nhands; k++)
        if (model->hands[k].symbol)
            places[k] = hand_places(a, m->stage, model, &m->hands[k], m->fixed);
        else
            hand_routines(unit, m->stage, model, &m->hands[k], m->fixed, maps);
    make_predict(m);
    for (uint32_t k = 0; k < model->nlosses; k++)
        for (int which = LOSS_VALUE; which <= LOSS_PARAMETERS; which++) make_loss(m, k, (LossRoutine)which);
    for (uint32_t k = 0; k < model->nmetrics; k++) make_metric(m, k);
    ModelRoutines *r = arena_alloc(a, sizeof *r);
    r->has_finish = make_finish(m);
    r->has_statistics = make_statistics(m);
    make_prepare(m); /* last: by now every slot that is read has a place */
    Stage *s = m->stage;
    r->parameter_bytes = s->parameter_bytes;
    r->shared_bytes = s->shared_bytes;
    r->accum_bytes = s->accum_bytes;
    r->parameter_offsets = arena_alloc(a, (model->nparameters + 1) * sizeof *r->parameter_offsets);
    for (uint32_t k = 0; k < model->nparameters; k++) r->parameter_offsets[k] = (uint64_t)s->values[k].offset;
    r->fixed = m->fixed;
    r->hands = places;
    r->nfixed = model->nfixed;
    r->slots = arena_alloc(a, (s->nvalues + 1) * sizeof *r->slots);
    for (uint32_t k = 0; k < s->nvalues; k++)
        if (s->values[k].offset >= 0)
            r->slots[r->nslots++] =
                (SharedSlot){s->values[k].what, (uint64_t)s->values[k].offset, s->values[k].bytes, s->values[k].accum};
    return r;
}
