/* extend.c - copies of a net's graph whose `fixed` nodes have further arguments. */
#include "extend.h"

NodeId extend_copy(Arena *a, const Graph *g, const Extras *extras, Graph *dst, NodeId root, NodeId *map) {
    NodeId *stack = NULL;
    uint32_t n = 0, cap = 0;
    *ARENA_PUSH(a, stack, n, cap) = root;
    while (n) {
        NodeId id = stack[n - 1];
        const Node *node = graph_node(g, id);
        const Extras *e = node->op == OP_fixed ? &extras[node->attr.fixed.index] : NULL;
        uint32_t nargs = node->nargs + (e ? e->n : 0);
        bool ready = true;
        NodeId *args = arena_alloc(a, (nargs + 1) * sizeof *args);
        for (uint32_t k = 0; k < nargs && map[id] == NODE_NONE; k++) {
            NodeId from = k < node->nargs ? graph_arg(g, id, k) : e->nodes[k - node->nargs];
            args[k] = map[from];
            if (args[k] == NODE_NONE) *ARENA_PUSH(a, stack, n, cap) = from, ready = false;
        }
        if (!ready) continue;
        n--;
        if (map[id] != NODE_NONE) continue;
        if (!e) {
            graph_copy(dst, g, id, map);
            continue;
        }
        for (uint32_t k = 0; k < e->n; k++)
            if (e->stop[k])
                args[node->nargs + k] = graph_unary(dst, OP_stop_gradient, args[node->nargs + k], node->loc);
        map[id] = graph_op(dst, OP_fixed, args, nargs, &node->attr, node->loc);
    }
    return map[root];
}

Graph *extend_starts(Arena *a, const Model *model, const Graph *g, uint32_t first) {
    Extras *extras = arena_alloc(a, (model->nfixed + 1) * sizeof *extras);
    uint32_t out = first;
    for (uint32_t k = 0; k < model->nfixed; k++) {
        const FixedPoint *f = &model->fixed[k];
        for (uint32_t i = 0; f->starts && i < f->nstate; i++) {
            uint32_t n = extras[k].n;
            *ARENA_PUSH(a, extras[k].stop, n, extras[k].stop_cap) = true;
            *ARENA_PUSH(a, extras[k].nodes, extras[k].n, extras[k].cap) = g->outputs[out++];
        }
    }
    Graph *dst = graph_new(a, g->name);
    NodeId *map = graph_map(a, g);
    for (uint32_t k = 0; k < g->ninputs; k++) graph_copy(dst, g, g->inputs[k], map);
    for (uint32_t k = 0; k < g->noutputs; k++)
        if (k < first || k >= out) graph_output(dst, extend_copy(a, g, extras, dst, g->outputs[k], map));
    return dst;
}
