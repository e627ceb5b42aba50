/* net_passes.c - the passes of level NET: the model's graph with origins on its inputs, hoisted and split by stage. */
#include "extend.h"
#include "maker.h"

/* The graph with other outputs: nodes are not copied. */
static Graph *with_outputs(Arena *a, const Graph *g) {
    Graph *view = arena_copy(a, g, sizeof *g);
    view->outputs = NULL;
    view->noutputs = view->outputs_cap = 0;
    return view;
}

/* ensures: graph's outputs as maker.h lists them; bodies, nstate, start_of, first_start, first_hand.  changes: no node.
 */
void pass_roots(Maker *m) {
    const Model *model = m->model;
    Arena *a = m->unit->arena;
    Graph *g = m->graph = with_outputs(a, model->graph);
    graph_output(g, model->output);
    for (uint32_t k = 0; k < model->nlosses; k++) graph_output(g, model->losses[k].node);
    for (uint32_t k = 0; k < model->nmetrics; k++) graph_output(g, model->metrics[k].node);
    for (uint32_t k = 0; k < model->nfixed; k++) {
        graph_output(g, model->fixed[k].fixed_node);
        m->bodies[k] = model->fixed[k].body;
        m->nstate[k] = model->fixed[k].nstate;
    }
    m->first_start = g->noutputs;
    for (uint32_t k = 0; k < model->nfixed; k++)
        for (uint32_t i = 0; model->fixed[k].starts && i < m->nstate[k]; i++)
            graph_output(g, model->fixed[k].starts[i]);
    m->first_hand = g->noutputs;
    for (uint32_t k = 0; k < model->nhands; k++)
        for (uint32_t i = 0; i < model->hands[k].nitems; i++) {
            const HandCotangent *c = &model->hands[k].items[i];
            graph_output(g, c->value);
            if (c->parameter < 0) graph_output(g, c->input);
        }
    uint32_t out = m->first_start;
    m->start_of = arena_alloc(a, (g->noutputs + 1) * sizeof *m->start_of);
    for (uint32_t k = 0; k < model->nfixed; k++)
        for (uint32_t i = 0; model->fixed[k].starts && i < m->nstate[k]; i++) m->start_of[out++] = k + 1;
}

/* ensures: every input is kept, in order; map leads from the model's nodes to the graph's.  changes: the net's graph;
 * bodies are simplified when they are hoisted. */
void pass_simplify(Maker *m) {
    Arena *a = m->unit->arena;
    m->map = graph_map(a, m->model->graph);
    m->graph = simplify(a, m->graph, NULL, 0, true, m->map);
}

/* needs: nothing is differentiated.  ensures: inputs and outputs as written, but first states as the states are.
 * changes: the net's graph and the bodies where there are images; nothing in nets with gradients by hand, which name
 * states as [C, H, W]. */
void pass_channels_last(Maker *m) {
    if (m->model->nhands || m->model->nmaps) return;
    NodeId *moved = graph_map(m->unit->arena, m->graph);
    m->graph = channels_last(m->unit->arena, m->graph, m->bodies, m->model->nfixed, m->start_of, moved);
    for (NodeId id = 0; id < m->model->graph->nnodes; id++)
        if (m->map[id] != NODE_NONE) m->map[id] = moved[m->map[id]];
}

/* needs: map.  ensures: every input of the net but d(z) of gradients by hand has its origin.  changes: origins only. */
void pass_places(Maker *m) {
    const Model *model = m->model;
    for (uint32_t k = 0; k < model->nparameters; k++)
        origin_set(m->graph, m->map[model->parameters[k].node], (Origin){PLACE_SHARED, k, 0});
    origin_set(m->graph, m->map[model->x], (Origin){PLACE_ARG, 0, 0});
    if (model->y != NODE_NONE) origin_set(m->graph, m->map[model->y], (Origin){PLACE_ARG, 1, 0});
    for (uint32_t k = 0; k < model->nlosses; k++)
        for (uint32_t i = 0; i < model->losses[k].nsettings; i++)
            origin_set(m->graph, m->map[model->losses[k].settings[i]], (Origin){PLACE_SCALAR, i, k});
}

/* ensures: what bodies capture is just the cut.  changes: the net's graph and the bodies. */
void pass_hoist(Maker *m) { m->graph = hoist(m->unit->arena, m->graph, m->bodies, m->nstate, m->model->nfixed); }

/* needs: hoisted, so that arguments of `fixed` nodes beyond the body's values are not taken for captured ones.
 * ensures: first states are the first extra arguments of their `fixed` nodes, and no outputs any more. */
void pass_starts(Maker *m) {
    if (m->first_hand == m->first_start) return;
    m->graph = extend_starts(m->unit->arena, m->model, m->graph, m->first_start);
    m->first_hand = m->first_start;
}

/* ensures: hands[k].graph; the net's outputs are its output, losses, metrics and fixed points.  changes: the net's
 * graph. */
void pass_hands(Maker *m) {
    if (m->model->nhands) m->graph = hand_split(m->unit->arena, m->model, m->graph, m->first_hand, m->hands);
}

/* Gives the captured values of one `fixed` node their place. */
static void capture(Maker *m, NodeId id, NodeId *smap) {
    const Node *node = graph_node(m->graph, id);
    uint32_t index = (uint32_t)node->attr.fixed.index, nstate = m->nstate[index], rest = 0;
    Arena *a = m->unit->arena;
    Graph *body = m->bodies[index];
    FixedWork *w = &m->work[index];
    for (uint32_t k = 0; k < nstate; k++) origin_set(body, body->inputs[k], (Origin){PLACE_ARG, 0, k});
    w->given = m->model->fixed[index].starts != NULL;
    uint32_t captured = body->ninputs - nstate, *rests = arena_alloc(a, (node->nargs + 1) * sizeof *rests);
    w->extra = arena_alloc(a, (node->nargs + 1) * sizeof *w->extra);
    for (uint32_t k = 0; k < node->nargs; k++) {
        NodeId arg = graph_arg(m->graph, id, k), in = k < captured ? body->inputs[nstate + k] : NODE_NONE;
        rests[k] = rest;
        if (k == captured && w->given) w->start = rest;
        if (graph_node(m->graph, arg)->batched) {
            if (k < captured)
                origin_set(body, in, (Origin){PLACE_REST, rest, 0});
            else
                w->extra[w->nextra++] = graph_node(m->graph, arg)->shape;
            rest++;
            continue;
        }
        uint32_t value = stage_value(m->stage, stage_copy(m->stage, m->graph, arg, smap));
        origin_set(body, in, (Origin){PLACE_SHARED, value, 0});
        m->signatures[index].shared = m->signatures[index].shared || m->stage->values[value].trained;
    }
    Shape *states = arena_alloc(a, nstate * sizeof *states);
    for (uint32_t k = 0; k < nstate; k++) states[k] = graph_node(body, body->inputs[k])->shape;
    for (uint32_t k = 0; k < m->model->nhands; k++)
        if (m->model->hands[k].fixed == index) m->hands[k].rest = rests;
    m->signatures[index].nstate = nstate;
    m->signatures[index].states = states;
}

/* needs: origins on the net's inputs.  ensures: every input of a body has its origin; signatures, extra, hands' rest;
 * the stage begins with the parameters.  changes: origins in the bodies, and the stage. */
void pass_captures(Maker *m) {
    const Model *model = m->model;
    m->stage = stage_new(m->unit->arena, m->unit->layout, model);
    NodeId *smap = graph_map(m->unit->arena, m->graph);
    for (NodeId id = 0; id < m->graph->nnodes; id++)
        if (graph_node(m->graph, id)->op == OP_fixed) capture(m, id, smap);
    for (uint32_t k = 0; k < model->nhands; k++)
        for (uint32_t i = 0; i < model->hands[k].nitems; i++) {
            HandTarget *t = &m->hands[k].targets[i];
            bool *shared = &m->signatures[model->hands[k].fixed].shared;
            if (t->shared != NODE_NONE) {
                t->shared_value = stage_value(m->stage, stage_copy(m->stage, m->graph, t->shared, smap));
                *shared = *shared || m->stage->values[t->shared_value].trained;
            }
            *shared = *shared || model->hands[k].items[i].parameter >= 0;
        }
}

/* ensures: unbatched nodes of the net are inputs, constants, iota, and views of them; `fixed` nodes have batched
 * arguments only; buffers that follow a statistic are marked.  changes: the net's graph and the stage. */
void pass_stage(Maker *m) {
    m->graph = stage_split(m->stage, m->graph, false);
    for (NodeId id = 0; id < m->graph->nnodes; id++) {
        const Node *n = graph_node(m->graph, id);
        if (n->op == OP_in_training && n->attr.training.statistic)
            m->stage->values[n->attr.training.statistic - 1].statistic = true;
    }
}
