/* stage.c - the shared stage: values that do not depend on the example, and their slots in `shared` and `accum`. */
#include "passes.h"
#include "conv.h"
#include "fold.h"
#include "deq_runtime.h"

/* ---- origins ---- */
void origin_set(Graph *g, NodeId input, Origin o) {
    struct input_attributes *in = &g->nodes[input].attr.input;
    in->place = 1 + (int64_t)o.place;
    in->index = o.index;
    in->component = o.component;
}

bool origin_get(const Graph *g, NodeId node, Origin *o) {
    const Node *n = graph_node(g, node);
    const struct input_attributes *in = &n->attr.input;
    if (n->op != OP_input || in->place == 0) return false;
    *o = (Origin){(Place)(in->place - 1), (uint32_t)in->index, (uint32_t)in->component};
    return true;
}

NodeId origin_input(Graph *g, Origin want, Shape shape, bool batched, const char *name, Range loc) {
    Origin o;
    for (uint32_t k = 0; k < g->ninputs; k++)
        if (origin_get(g, g->inputs[k], &o) && o.place == want.place && o.index == want.index &&
            o.component == want.component)
            return g->inputs[k];
    NodeId in = graph_input(g, shape, batched, name, loc);
    origin_set(g, in, want);
    return in;
}

/* ---- values and slots ---- */
static uint64_t value_bytes(const Stage *s, NodeId node) {
    const Node *n = graph_node(s->graph, node);
    ConvPacking packing;
    if (conv_packing(n, &packing))
        return align_bytes(conv_packed_count(&packing, s->layout.panel) * s->layout.real_bytes);
    return align_bytes(n->op == OP_pack ? pack_bytes(s->layout, n->shape)
                                        : shape_count(n->shape) * s->layout.real_bytes);
}

Stage *stage_new(Arena *a, Layout layout, const Model *model) {
    Stage *s = arena_alloc(a, sizeof *s);
    s->arena = a;
    s->layout = layout;
    s->graph = graph_new(a, arena_printf(a, "%s_prepare", model->name));
    for (uint32_t k = 0; k < model->nparameters; k++) {
        const Parameter *p = &model->parameters[k];
        NodeId in = graph_input(s->graph, p->shape, false, p->path, p->loc);
        origin_set(s->graph, in, (Origin){PLACE_SHARED, k, 0});
        *ARENA_PUSH(a, s->values, s->nvalues, s->cap) =
            (SharedValue){in, p->path, k, p->trained, value_bytes(s, in), -1, -1, false};
    }
    for (int trained = 1; trained >= 0; trained--) { /* the parameter vector first, then the buffers */
        for (uint32_t k = 0; k < model->nparameters; k++) {
            if (model->parameters[k].trained != trained) continue;
            s->values[k].offset = (int64_t)s->shared_bytes;
            if (trained) s->values[k].accum = (int64_t)s->shared_bytes;
            s->shared_bytes += s->values[k].bytes;
        }
        if (!trained) break;
        uint64_t chunk = (uint64_t)DEQ_CHUNK * layout.real_bytes;
        s->shared_bytes = (s->shared_bytes + chunk - 1) / chunk * chunk;
        s->parameter_bytes = s->accum_bytes = s->shared_bytes;
    }
    return s;
}

static bool depends_on_trained(const Stage *s, NodeId node) {
    bool *trained = arena_alloc(s->arena, node + 1);
    for (NodeId id = 0; id <= node; id++) {
        Origin o;
        if (origin_get(s->graph, id, &o)) trained[id] = s->values[o.index].trained;
        for (uint32_t k = 0; k < s->graph->nodes[id].nargs; k++)
            trained[id] = trained[id] || trained[graph_arg(s->graph, id, k)];
    }
    return trained[node];
}

uint32_t stage_value(Stage *s, NodeId node) {
    for (uint32_t k = 0; k < s->nvalues; k++)
        if (s->values[k].node == node) return k;
    const Node *n = graph_node(s->graph, node);
    bool packed = n->op == OP_pack || n->op == OP_pack_conv;
    bool other = n->op == OP_pack ? n->attr.pack.transposed : packed && n->attr.pack_conv.adjoint;
    const char *what =
        packed ? arena_printf(s->arena, "packed%s %%%u", other ? " transposed" : "", graph_arg(s->graph, node, 0))
               : arena_printf(s->arena, "derived %%%u", node);
    if (packed) {
        NodeId from = graph_arg(s->graph, node, 0);
        if (graph_node(s->graph, from)->op == OP_input)
            what = arena_printf(s->arena, "packed%s %s", other ? " transposed" : "",
                                graph_node(s->graph, from)->attr.name);
    }
    *ARENA_PUSH(s->arena, s->values, s->nvalues, s->cap) =
        (SharedValue){node, what, -1, depends_on_trained(s, node), value_bytes(s, node), -1, -1, false};
    return s->nvalues - 1;
}

uint64_t stage_offset(Stage *s, uint32_t value) {
    SharedValue *v = &s->values[value];
    if (v->offset < 0) {
        v->offset = (int64_t)s->shared_bytes;
        s->shared_bytes += v->bytes;
    }
    return (uint64_t)v->offset;
}

uint64_t stage_accum(Stage *s, uint32_t value) {
    SharedValue *v = &s->values[value];
    if (v->accum < 0) {
        if (v->parameter >= 0 && !v->statistic) ICE("%s is not trained", v->what);
        v->accum = (int64_t)s->accum_bytes;
        s->accum_bytes += v->bytes;
    }
    return (uint64_t)v->accum;
}

/* ---- splitting ---- */
static bool is_view(Op op) { return op == OP_reshape || op == OP_broadcast; }

NodeId stage_read(Stage *s, Graph *rows, NodeId node) {
    double v;
    Node n = *graph_node(s->graph, node);
    if (fold_value(s->graph, node, &v) || n.op == OP_iota)
        return graph_copy(rows, s->graph, node, graph_map(s->arena, s->graph));
    if (is_view(n.op)) {
        NodeId from = stage_read(s, rows, graph_arg(s->graph, node, 0));
        return graph_op_shaped(rows, n.op, &from, 1, NULL, n.shape, false, n.loc);
    }
    uint32_t value = stage_value(s, node);
    const char *name = n.op == OP_input ? n.attr.name : s->values[value].what;
    NodeId in = origin_input(rows, (Origin){PLACE_SHARED, value, 0}, n.shape, false, name, n.loc);
    struct input_attributes *how = &rows->nodes[in].attr.input;
    how->packed = n.op == OP_pack ? INPUT_MATRIX : n.op == OP_pack_conv ? INPUT_WEIGHTS : 0;
    if (n.op == OP_pack_conv) {
        how->adjoint = n.attr.pack_conv.adjoint;
        how->groups = n.attr.pack_conv.groups;
        how->winograd = n.attr.pack_conv.winograd;
    }
    return in;
}

NodeId stage_copy(Stage *s, const Graph *g, NodeId node, NodeId *smap) {
    Origin o;
    for (uint32_t k = 0; k < g->ninputs; k++)
        if (!g->nodes[g->inputs[k]].batched && origin_get(g, g->inputs[k], &o) && o.place == PLACE_SHARED)
            smap[g->inputs[k]] = s->values[o.index].node;
    return graph_copy(s->graph, g, node, smap);
}

typedef struct Split {
    Stage *s;
    const Graph *g;
    Graph *out;
    NodeId *map, *smap;
    bool *shared; /* computed from shared inputs and constants only */
} Split;

static NodeId split_read(Split *p, NodeId id) {
    if (p->map[id] == NODE_NONE) {
        if (!p->shared[id]) ICE("%s: node %u is read before it is built", p->g->name, id);
        p->map[id] = stage_read(p->s, p->out, stage_copy(p->s, p->g, id, p->smap));
    }
    return p->map[id];
}

static NodeId split_node(Split *p, NodeId id, bool pack) {
    Node n = *graph_node(p->g, id);
    const NodeId *args = p->g->args + n.args;
    if (n.op == OP_input) return graph_copy(p->out, p->g, id, p->map);
    if (pack && n.op == OP_matmul && !n.attr.matmul.packed) {
        const Node *a = graph_node(p->g, args[0]), *b = graph_node(p->g, args[1]);
        if (a->batched && a->shape.rank == 1 && b->shape.rank == 2 && p->shared[args[1]])
            return pack_matmul(p->s, p->out, split_read(p, args[0]), stage_copy(p->s, p->g, args[1], p->smap),
                               n.attr.matmul.transpose_b, n.loc);
    }
    if (pack && (n.op == OP_conv || n.op == OP_conv_input) && n.attr.conv.last && graph_node(p->g, args[0])->batched &&
        p->shared[args[1]])
        return pack_conv(p->s, p->out, &n, split_read(p, args[0]), stage_copy(p->s, p->g, args[1], p->smap));
    NodeId *mapped = arena_alloc(p->s->arena, (n.nargs + 1) * sizeof *mapped);
    uint32_t nargs = 0;
    for (uint32_t k = 0; k < n.nargs; k++)
        if ((n.op != OP_fixed && n.op != OP_solve) || graph_node(p->g, args[k])->batched)
            mapped[nargs++] = split_read(p, args[k]);
    bool raised = n.batched && !graph_batched(p->g, n.op, args, n.nargs);
    return graph_op_shaped(p->out, n.op, mapped, nargs, &n.attr, n.shape, raised, n.loc);
}

Graph *stage_split(Stage *s, const Graph *g, bool pack) {
    Split p = {s, g, graph_new(s->arena, g->name), graph_map(s->arena, g), graph_map(s->arena, g), NULL};
    bool *needed = arena_alloc(s->arena, g->nnodes + 1);
    Origin o;
    p.shared = arena_alloc(s->arena, g->nnodes + 1);
    for (NodeId id = 0; id < g->nnodes; id++) {
        const Node *n = graph_node(g, id);
        p.shared[id] = !n->batched && op_class(n->op) != CLASS_BATCH;
        if (n->op == OP_input) p.shared[id] = origin_get(g, id, &o) && o.place == PLACE_SHARED && !n->attr.input.packed;
        for (uint32_t k = 0; k < n->nargs; k++) p.shared[id] = p.shared[id] && p.shared[graph_arg(g, id, k)];
    }
    for (uint32_t k = 0; k < g->noutputs; k++) needed[g->outputs[k]] = true;
    for (NodeId id = g->nnodes; id-- > 0;)
        for (uint32_t k = 0; needed[id] && !p.shared[id] && k < g->nodes[id].nargs; k++)
            needed[graph_arg(g, id, k)] = true;
    for (NodeId id = 0; id < g->nnodes; id++)
        if (needed[id] && !p.shared[id] && p.map[id] == NODE_NONE) p.map[id] = split_node(&p, id, pack);
    for (uint32_t k = 0; k < g->noutputs; k++) graph_output(p.out, split_read(&p, g->outputs[k]));
    return p.out;
}
