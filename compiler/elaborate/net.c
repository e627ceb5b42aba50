/* net.c - a layer with all its sizes becomes a Model: its parameters and its output. */
#include "elaborate.h"
#include "passes.h"
#include <stdlib.h>
#include <string.h>

static bool same_target(Target a, Target b) { return a.classes == b.classes && shape_equal(a.shape, b.shape); }

/* The one input without default, which the data fills; NULL after an error. */
static const Ast *net_input(Scope *s, const Instance *i, Range at) {
    const Ast *params = AST_SLOT(i->layer, LAYER, inputs), *found = NULL;
    uint32_t n = 0;
    for (int part = 0; params && part < 2; part++) {
        const Ast *list = part ? AST_SLOT(params, PARAMS, inputs) : AST_SLOT(params, PARAMS, state);
        for (uint32_t k = 0; list && k < list->nkids; k++) {
            const Ast *b = list->kids[k];
            if (AST_SLOT(b, BINDING, fallback) || env_find(i->settings, b->name)) continue;
            found = b;
            n++;
        }
    }
    if (n == 1) return found;
    elab_error(s, DIAG_E0517, at, "'%s' has %u inputs without default: a net on its own has one", i->layer->name, n);
    return NULL;
}

Net *net_find(Scope *s, const Instance *instance, Shape input, Target target, Range at) {
    Elab *e = s->elab;
    Arena *a = e->arena;
    const Ast *binding = net_input(s, instance, at);
    if (!binding) return NULL;
    if (input.rank == UINT32_MAX) { /* no data says it: the declared type does */
        Scope inner = scope_of_module(e, instance->module);
        inner.env = instance->sizes;
        inner.frame = s->frame;
        uint32_t classes;
        if (!eval_type(&inner, AST_SLOT(binding, BINDING, type), &input, &classes)) return NULL;
    }
    for (uint32_t k = 0; k < e->nnets; k++) {
        Net *n = e->nets[k];
        if (n->instance->layer == instance->layer && same_env(n->instance->sizes, instance->sizes, true) &&
            same_env(n->instance->settings, instance->settings, true) && shape_equal(n->input, input) &&
            (same_target(n->target, target) || target.shape.rank == UINT32_MAX))
            return n->output.kind == VALUE_NONE ? NULL : n;
    }
    Net *net = arena_alloc(a, sizeof *net);
    *ARENA_PUSH(a, e->nets, e->nnets, e->nets_cap) = net;
    Instance *own = arena_copy(a, instance, sizeof *own);
    own->path = "";
    net->instance = own;
    net->input = input;
    net->model = arena_alloc(a, sizeof *net->model);
    Model *m = net->model;
    m->arena = a;
    m->name = elab_name(e, instance->name);
    elab_reserve(e, m->name,
                 (const char *const[]){"prepare", "predict", "finish", "statistics", "predict" IN_BATCH, NULL});
    net->root = build_new(a, m->name, NULL);
    m->graph = net->root->graph;
    m->x = graph_input(m->graph, input, true, "x", binding->range);
    m->y = NODE_NONE;
    eval_anew(e);

    Scope inner = *s;
    inner.build = net->root;
    inner.net = net;
    inner.env = NULL;
    Args args = {.at = at};
    *ARENA_PUSH(a, args.items, args.n, args.cap) =
        (Arg){.name = binding->name, .at = at, .value = value_node(net->root, m->x)};
    Value out = call_layer(&inner, own, args);
    m->output = node_of(&inner, out, at);
    if (m->output == NODE_NONE) return NULL;
    m->output = graph_unary(m->graph, OP_fence, m->output, at);
    net->output = value_node(net->root, m->output);
    net->target = target;
    if (target.shape.rank == UINT32_MAX) net->target = (Target){.shape = graph_node(m->graph, m->output)->shape};
    return net;
}

Value net_parameter(Scope *s, const Ast *p, bool trained) {
    Net *net = s->net;
    if (!net) return elab_error(s, DIAG_E0318, p->range, "parameters belong to a layer");
    Arena *a = s->elab->arena;
    Model *m = net->model;
    const char *path = *s->path ? arena_printf(a, "%s.%s", s->path, p->name) : p->name;
    Shape shape;
    uint32_t classes;
    if (!eval_type(s, trained ? AST_SLOT(p, PARAM, type) : AST_SLOT(p, BUFFER, type), &shape, &classes))
        return (Value){0};
    for (uint32_t k = 0; k < m->nparameters; k++) { /* a layer called again shares what its `use` made */
        if (strcmp(m->parameters[k].path, path) != 0) continue;
        if (shape_equal(m->parameters[k].shape, shape)) return value_node(net->root, m->parameters[k].node);
        return elab_error(s, DIAG_E0312, p->range, "'%s' is shared by two calls and would need two shapes: %s and %s",
                          path, shape_text(a, m->parameters[k].shape), shape_text(a, shape));
    }
    Parameter q = {.path = path, .shape = shape, .trained = trained, .loc = p->range};
    q.init = initialiser_text(s, trained ? AST_SLOT(p, PARAM, value) : AST_SLOT(p, BUFFER, value));
    if (!q.init) return (Value){0};
    q.node = graph_input(m->graph, shape, false, path, p->range);
    *ARENA_PUSH(a, m->parameters, m->nparameters, net->nparameters_cap) = q;
    return value_node(net->root, q.node);
}

/* What the roots compute, without what only others ask for. */
static void print_reached(const Elab *e, const Model *m, const NodeId *roots, uint32_t nroots, NodeId *map, FILE *f) {
    graph_print(simplify(e->arena, m->graph, roots, nroots, false, map), f);
}

/* Everything but the metrics, each of which has its own text, and objectives: they are whatever attacks ask for, and the
 * attacks' hashes hold them.  So one more column of a table, or one more attack, does not make a trained net another. */
static void print_net(const Elab *e, const Net *net, FILE *f) {
    const Model *m = net->model;
    NodeId *roots = NULL, *map = graph_map(e->arena, m->graph);
    uint32_t n = 0, cap = 0;
    *ARENA_PUSH(e->arena, roots, n, cap) = m->output;
    for (uint32_t k = 0; k < m->nfixed; k++)
        for (uint32_t i = 0; m->fixed[k].starts && i < m->fixed[k].nstate; i++)
            *ARENA_PUSH(e->arena, roots, n, cap) = m->fixed[k].starts[i];
    for (uint32_t k = 0; k < m->nhands; k++)
        for (uint32_t i = 0; !m->hands[k].symbol && i < m->hands[k].nitems; i++)
            *ARENA_PUSH(e->arena, roots, n, cap) = m->hands[k].items[i].value;
    for (uint32_t k = 0; k < m->nlosses; k++)
        if (!m->losses[k].objective) *ARENA_PUSH(e->arena, roots, n, cap) = m->losses[k].node;
    fprintf(f, "%s %u\n", m->name, e->real_bytes);
    print_reached(e, m, roots, n, map, f);
    for (uint32_t k = 0; k < m->nparameters; k++)
        fprintf(f, "%s %s %s %u\n", m->parameters[k].path, shape_text(e->arena, m->parameters[k].shape),
                m->parameters[k].init, map[m->parameters[k].node]);
    for (uint32_t k = 0; k < m->nfixed; k++) {
        const FixedPoint *p = &m->fixed[k];
        graph_print(p->body, f);
        fprintf(f, "%s %s %s %s %s\n", p->path, p->forward, p->gradient, p->start, p->on_fail);
    }
    for (uint32_t k = 0; k < m->nmaps; k++) { /* K of solve(K, ..) */
        graph_print(m->maps[k].body, f);
        fprintf(f, "%s\n", m->maps[k].solver);
    }
    for (uint32_t k = 0; k < m->nhands; k++) { /* which of the graph's values is which cotangent */
        const HandGradient *h = &m->hands[k];
        fprintf(f, "gradient %s %u %s\n", h->name, h->fixed, h->symbol ? h->signature : "");
        for (uint32_t i = 0; i < h->nitems; i++)
            fprintf(f, "%d %u %u\n", (int)h->items[i].parameter,
                    h->items[i].parameter < 0 ? map[h->items[i].input] : NODE_NONE, map[h->items[i].value]);
    }
    for (uint32_t k = 0; k < m->nlosses; k++)
        if (!m->losses[k].objective) fprintf(f, "loss %s %u\n", m->losses[k].name, map[m->losses[k].node]);
    for (uint32_t k = 0; k < net->nuses; k++)
        for (uint32_t i = 0; i < net->uses[k].nsettings; i++)
            fprintf(f, "setting %s %s\n", net->uses[k].name, number_text(e->arena, net->uses[k].settings[i]));
    for (uint32_t k = 0; k < net->npairs; k++) fprintf(f, "pair %s %s\n", net->pairs[k].name, net->pairs[k].hash);
}

static const char *hash_of_text(Elab *e, FILE *f, char **text, const size_t *size) {
    fclose(f);
    const char *hash = text_hash(e->arena, *text, *size);
    free(*text);
    return hash;
}

void net_finish(Elab *e, Net *net) {
    Model *m = net->model;
    if (net->output.kind == VALUE_NONE) return;
    graph_verify(m->graph);
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) ICE("no memory for the hash of %s", m->name);
    print_net(e, net, f);
    net->hash = hash_of_text(e, f, &text, &size);
    for (uint32_t k = 0; k < m->nmetrics; k++) {
        if (!(f = open_memstream(&text, &size))) ICE("no memory for the hash of %s", m->name);
        fprintf(f, "metric %s\n", m->metrics[k].name);
        print_reached(e, m, &m->metrics[k].node, 1, NULL, f);
        m->metrics[k].hash = hash_of_text(e, f, &text, &size);
    }
}
