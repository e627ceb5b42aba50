/* training.c - what a net computes in training only: statistics of the batch, dropout masks.  Both become `in_training`
 * nodes, whose first argument NET_LOSS_parameters takes, every other routine the second. */
#include "elaborate.h"
#include <string.h>
#include <xxhash.h>

static Value in_training(Scope *s, NodeId training, NodeId otherwise, const Attr *attr, Range at) {
    s->net->model->training = true;
    NodeId args[2] = {training, otherwise};
    return value_node(s->build, graph_op(s->build->graph, OP_in_training, args, 2, attr, at));
}

/* The mean over the examples of the batch: a sum over examples, divided by the sum of ones. */
static NodeId batch_mean(Graph *g, NodeId x, Range at) {
    NodeId one = graph_batch(g, graph_constant(g, 1), at), count = graph_unary(g, OP_batch_sum, one, at);
    return graph_binary(g, OP_div, graph_unary(g, OP_batch_sum, x, at), count, at);
}

Value training_statistic(Scope *s, Value x, Value buffer, double momentum, Range at) {
    if (s->in_fixed)
        return elab_error(s, DIAG_E0440, at, "a statistic of the batch couples examples inside a fixed point");
    NodeId value = node_of(s, x, at), old = node_of(s, buffer, at);
    if (value == NODE_NONE || old == NODE_NONE) return (Value){0};
    Graph *g = s->build->graph;
    Model *m = s->net->model;
    uint32_t k = 0;
    while (k < m->nparameters && (m->parameters[k].node != old || m->parameters[k].trained)) k++;
    if (k == m->nparameters) return elab_error(s, DIAG_E0325, at, "a statistic is kept in a buffer of the layer");
    if (!shape_equal(graph_node(g, value)->shape, graph_node(g, old)->shape))
        return elab_error(s, DIAG_E0312, at, "a statistic of %s is kept in a buffer %s",
                          shape_text(s->elab->arena, graph_node(g, value)->shape),
                          shape_text(s->elab->arena, graph_node(g, old)->shape));
    if (!(momentum > 0 && momentum <= 1))
        return elab_error(s, DIAG_E0309, at, "momentum is a number above 0, at most 1");
    m->coupled = true;
    return in_training(s, batch_mean(g, value, at), old,
                       &(Attr){.value = momentum, .training.statistic = 1 + (int64_t)k}, at);
}

static uint32_t calls_before(const Ast *e, const char *name, Range at) {
    if (!e) return 0;
    bool is = e->kind == AST_CALL && AST_SLOT(e, CALL, callee)->kind == AST_NAME &&
              strcmp(AST_SLOT(e, CALL, callee)->name, name) == 0 && e->range.start < at.start;
    uint32_t n = is;
    for (uint32_t k = 0; k < e->nkids; k++) n += calls_before(e->kids[k], name, at);
    return n;
}

/* A mask is told from the others of its layer instance by the number of its `dropout(..)` in the layer's declaration:
 * text elsewhere changes nothing, and a layer that is called twice has one mask. */
static const char *mask_key(const Scope *s, Range at) {
    const Ast *unit = s->module->unit, *layer = NULL;
    for (uint32_t k = 0; k < unit->nkids; k++) {
        const Ast *d = unit->kids[k];
        if (d->range.source == at.source && d->range.start <= at.start && at.end <= d->range.end) layer = d;
    }
    return arena_printf(s->elab->arena, "dropout %s %u", s->path, calls_before(layer, "dropout", at));
}

Value training_dropout(Scope *s, Shape dims, double rate, Range at) {
    if (!(rate >= 0 && rate < 1)) return elab_error(s, DIAG_E0309, at, "a dropout rate is a number from 0, below 1");
    Graph *g = s->build->graph;
    NodeId one = graph_broadcast(g, graph_constant(g, 1), dims, at);
    if (rate == 0) return value_node(s->build, one);
    const char *key = mask_key(s, at);
    Attr draw = {.random.site = (int64_t)(XXH3_64bits(key, strlen(key)) >> 1)};
    NodeId u = graph_op_shaped(g, OP_random, NULL, 0, &draw, dims, true, at);
    NodeId dropped = graph_binary(g, OP_lt, u, graph_constant(g, rate), at);
    NodeId mask = graph_op(g, OP_select, (NodeId[]){dropped, graph_constant(g, 0), graph_constant(g, 1 / (1 - rate))},
                           3, NULL, at);
    return in_training(s, mask, one, NULL, at);
}
