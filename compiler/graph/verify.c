/* verify.c - the invariants of a graph; cheap enough to run after every pass. */
#include "conv.h"
#include <stdlib.h>

static _Noreturn void broken(const Graph *g, NodeId id, const char *why) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (f) {
        graph_print_node(g, id, f);
        fclose(f);
    }
    ICE("graph %s: %s: %s", g->name, why, text ? text : "");
}

static bool flags_are_flags(const Node *n) {
    bool ok = true;
    switch (op_view(n->op)) {
    case VIEW_none: break;
#define VIEW(view)                                                                                                     \
    case VIEW_##view: {                                                                                                \
        const struct view##_attributes *v = &n->attr.view;                                                             \
        (void)v;
#define FLAG(name, doc) ok = ok && (v->name == 0 || v->name == 1);
#define END(view)                                                                                                      \
    break;                                                                                                             \
    }
#include "attributes.def"
    }
    return ok;
}

static void verify_numbers(const Graph *g, NodeId id) {
    const Node *n = &g->nodes[id];
    Attr own = attr_of(n->op, &n->attr);
    if (!attr_equal(&own, &n->attr)) broken(g, id, "it carries a number of another operation");
    if (!flags_are_flags(n)) broken(g, id, "a flag is neither 0 nor 1");
}

static void verify_call(const Graph *g, NodeId id) {
    const Node *n = &g->nodes[id];
    Op first = n->nargs ? g->nodes[g->args[n->args]].op : OP_COUNT;
    bool ok = true;
    switch (n->op) {
    case OP_fixed_state:
    case OP_fixed_gradient: ok = first == OP_fixed; break;
    case OP_fixed_cotangent: ok = first == OP_fixed_gradient; break;
    case OP_query_result: ok = first == OP_query; break;
    case OP_objective_result: ok = first == OP_objective; break;
    case OP_query: ok = n->attr.name != NULL && n->nargs > 0; break;
    default: break;
    }
    if (!ok) broken(g, id, "a call's result is read from something else");
    for (uint32_t k = 0; k < n->nargs; k++) {
        Op a = g->nodes[g->args[n->args + k]].op;
        bool token = a == OP_fixed || a == OP_fixed_gradient || a == OP_query || a == OP_objective;
        bool reader = k == 0 && (n->op == OP_fixed_state || n->op == OP_fixed_gradient || n->op == OP_fixed_cotangent ||
                                 n->op == OP_query_result || n->op == OP_objective_result);
        if (token && !reader) broken(g, id, "a call is used as a value");
    }
}

void graph_verify(const Graph *g) {
    uint32_t ninputs = 0;
    for (NodeId id = 0; id < g->nnodes; id++) {
        const Node *n = &g->nodes[id];
        if (n->op >= OP_COUNT) ICE("graph %s: node %u has no op", g->name, id);
        if (n->nargs && n->args + n->nargs > g->nargs)
            ICE("graph %s: node %u: arguments outside the pool", g->name, id);
        const NodeId *args = g->args + n->args;
        for (uint32_t k = 0; k < n->nargs; k++)
            if (args[k] >= id) broken(g, id, "an argument comes later");
        verify_numbers(g, id);
        Shape shape;
        const char *why = graph_shape(g, n->op, args, n->nargs, &n->attr, &n->shape, &shape);
        if (why) broken(g, id, why);
        if (!shape_equal(shape, n->shape)) broken(g, id, "the shape is not what the rule says");
        bool batched = graph_batched(g, n->op, args, n->nargs);
        bool may_raise = n->op == OP_input || n->op == OP_broadcast;
        if (n->batched != batched && !(may_raise && n->batched))
            broken(g, id, "batched where it should not be, or not");
        if (n->op == OP_pack && n->batched) broken(g, id, "a batched value is packed");
        if (n->op == OP_matmul && n->attr.matmul.packed) {
            const Node *b = &g->nodes[args[1]];
            if (b->batched || !(b->op == OP_pack || (b->op == OP_input && b->attr.input.packed)))
                broken(g, id, "the second argument is not packed");
        }
        if (n->op == OP_pack_conv && (n->batched || n->attr.pack_conv.groups < 1 || n->shape.rank != 4 ||
                                      n->shape.dims[3] % n->attr.pack_conv.groups))
            broken(g, id, "these are no weights to pack");
        if ((n->op == OP_conv || n->op == OP_conv_input) && n->attr.conv.packed) {
            ConvPacking p;
            const Node *w = &g->nodes[args[1]];
            if (!conv_packing(w, &p) || p.adjoint != (n->op == OP_conv_input) || p.groups != n->attr.conv.groups ||
                p.winograd != (n->attr.conv.packed == CONV_WINOGRAD))
                broken(g, id, "the weights are not packed for it");
        }
        verify_call(g, id);
        ninputs += n->op == OP_input;
    }
    if (ninputs != g->ninputs) ICE("graph %s: %u inputs listed, %u there", g->name, g->ninputs, ninputs);
    for (uint32_t k = 0; k < g->ninputs; k++)
        if (g->inputs[k] >= g->nnodes || g->nodes[g->inputs[k]].op != OP_input)
            ICE("graph %s: input %u is none", g->name, k);
    for (uint32_t k = 0; k < g->noutputs; k++)
        if (g->outputs[k] >= g->nnodes) ICE("graph %s: output %u is none", g->name, k);
}
