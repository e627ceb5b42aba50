/* net.c - a layer with all its sizes becomes a Model: its parameters, its output, a scalar for every loss and metric.
 */
#include "adjoint.h"
#include "fold.h"
#include "passes.h"
#include "queries.h"
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
    elab_reserve(e, m->name, (const char *const[]){"prepare", "predict", "finish", "statistics", NULL});
    net->root = build_new(a, m->name, NULL);
    m->graph = net->root->graph;
    m->x = graph_input(m->graph, input, true, "x", binding->range);
    m->y = NODE_NONE;
    e->evaluations = 0;

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

static Value net_y(Net *net) {
    Model *m = net->model;
    if (m->y == NODE_NONE)
        m->y = graph_input(m->graph, net->target.classes ? shape_scalar() : net->target.shape, true, "y", (Range){0});
    Value v = value_node(net->root, m->y);
    v.classes = net->target.classes;
    return v;
}

/* Whether the derivative of the loss in the net's output is more than zero everywhere. */
static bool has_gradient(Elab *e, const Model *m, NodeId loss) {
    Graph *g = graph_new(e->arena, "loss");
    const Node *output = graph_node(m->graph, m->output);
    NodeId *map = graph_map(e->arena, m->graph), tangent, out;
    NodeId in = map[m->output] = graph_input(g, output->shape, output->batched, "output", output->loc);
    NodeId value = graph_copy(g, m->graph, loss, map);
    tangent = graph_input(g, output->shape, output->batched, "tangent", output->loc);
    linearise(g, &value, 1, &in, &tangent, 1, &out);
    return out != NODE_NONE;
}

static void add_loss(Elab *e, Net *net, Loss loss, const char *key, const LossUse *use) {
    uint32_t k = net->model->nlosses, j = k;
    *ARENA_PUSH(e->arena, net->model->losses, net->model->nlosses, net->nlosses_cap) = loss;
    *ARENA_PUSH(e->arena, net->loss_keys, k, net->loss_keys_cap) = key;
    *ARENA_PUSH(e->arena, net->loss_uses, j, net->loss_uses_cap) = *use;
}

/* The name, with a number where a loss of the list has it. */
static const char *free_loss_name(const Loss *list, uint32_t n, Arena *a, const char *name) {
    size_t length = strlen(name);
    int same = 0;
    for (uint32_t k = 0; k < n; k++)
        same += strcmp(list[k].name, name) == 0 ||
                (strncmp(list[k].name, name, length) == 0 && list[k].name[length] == '_');
    return same ? arena_printf(a, "%s_%d", name, same + 1) : name;
}

/* Settings of a loss in brackets, smoothed_cross_entropy(amount: 0.2), become arguments after those given. */
static Value loss_call(Scope *s, const LossUse *l, const Value *given, uint32_t n) {
    Arena *a = s->elab->arena;
    Args all = {.at = l->at};
    for (uint32_t k = 0; k < n; k++) *ARENA_PUSH(a, all.items, all.n, all.cap) = (Arg){.at = l->at, .value = given[k]};
    for (uint32_t k = 0; k < l->settings.n; k++) {
        Arg arg = l->settings.items[k];
        arg.used = false;
        *ARENA_PUSH(a, all.items, all.n, all.cap) = arg;
    }
    return call_fn(s, &(Value){.kind = VALUE_FN, .ast = l->fn, .module = l->owner}, NULL, all);
}

Value loss_value(Scope *s, const LossUse *l, Value output, Value target) {
    return loss_call(s, l, (const Value[]){output, target}, 2);
}

static bool has_pair(const Net *net, const char *name) {
    for (uint32_t k = 0; k < net->npairs; k++)
        if (strcmp(net->pairs[k].name, name) == 0) return true;
    return false;
}

/* Numbers among the settings that a loss is given as data: its real ones.  Others decide what the loss is. */
static bool is_data(const LossUse *use, const Arg *setting) {
    const Ast *params = AST_SLOT(use->fn, FN, inputs);
    for (int part = 0; part < 2; part++) {
        const Ast *list = part ? AST_SLOT(params, PARAMS, inputs) : AST_SLOT(params, PARAMS, state);
        for (uint32_t k = 0; list && k < list->nkids; k++) {
            const Ast *type = AST_SLOT(list->kids[k], BINDING, type);
            if (strcmp(list->kids[k]->name, setting->name) == 0)
                return setting->value.kind == VALUE_NUMBER && type->kind == AST_TYPE && strcmp(type->name, "f32") == 0;
        }
    }
    return false;
}

/* A loss of clean and attacked outputs becomes two objectives: of each output, on the other one, the target and its
 * settings, so that trainings that differ in those share them. */
static const char *pair_loss(Scope *s, Net *net, const LossUse *use, const char *key, const char *base) {
    Elab *e = s->elab;
    Arena *a = e->arena;
    for (uint32_t k = 0; k < net->npairs; k++)
        if (strcmp(net->pairs[k].key, key) == 0) return net->pairs[k].name;
    Build *b = build_new(a, base, NULL);
    Scope inner = *s;
    inner.build = b;
    inner.net = NULL;
    NodeId in[3];
    Value values[3];
    for (uint32_t k = 0; k < 3; k++) {
        Shape shape = k < 2 ? value_shape(net->output) : net->target.classes ? shape_scalar() : net->target.shape;
        in[k] = graph_input(b->graph, shape, true, k == 0 ? "clean" : k == 1 ? "attacked" : "y", use->at);
        values[k] = value_node(b, in[k]);
    }
    values[2].classes = net->target.classes;
    LossUse own = *use;
    const uint32_t n = use->settings.n;
    NodeId *given[2] = {arena_alloc(a, (n + 2) * sizeof **given), arena_alloc(a, (n + 2) * sizeof **given)};
    double *settings = arena_alloc(a, (n + 1) * sizeof *settings);
    const char *text = "";
    uint32_t nsettings = 0;
    own.settings.items = arena_alloc(a, (n + 1) * sizeof *own.settings.items);
    for (uint32_t k = 0; k < n; k++) {
        Arg *arg = &own.settings.items[k];
        *arg = use->settings.items[k];
        if (!is_data(use, arg)) continue;
        NodeId node = graph_input(b->graph, shape_scalar(), true, arg->name, use->at);
        text = arena_printf(a, "%s %s", text, number_text(a, arg->value.number));
        settings[nsettings] = arg->value.number;
        given[0][2 + nsettings] = given[1][2 + nsettings] = node;
        nsettings++;
        arg->value = value_node(b, node);
    }
    NodeId loss = node_of(&inner, loss_call(&inner, &own, values, 3), use->at);
    if (loss == NODE_NONE) return NULL;
    if (graph_node(b->graph, loss)->shape.rank != 0)
        return elab_error(s, DIAG_E0506, use->at, "'%s' must give one number for each example", base), NULL;
    loss = graph_batch(b->graph, loss, use->at);
    const char *name = free_loss_name(net->model->losses, net->model->nlosses, a, identifier(a, base));
    for (uint32_t k = 2; has_pair(net, name); k++) name = arena_printf(a, "%s_%u", identifier(a, base), k);
    given[0][0] = in[1], given[1][0] = in[0];
    given[0][1] = given[1][1] = in[2];
    Record clean = {given[0], 2 + nsettings, 2 + nsettings}, attacked = {given[1], 2 + nsettings, 2 + nsettings};
    const char *prefix = arena_printf(a, "%s_%s", net->model->name, name), *hash[2];
    PairLoss pair = {.name = name, .key = key, .settings = settings, .nsettings = nsettings};
    pair.clean = objective_routine(e, arena_printf(a, "%s_clean", prefix), b->graph, loss, in[0], &clean, &hash[0]);
    pair.attacked =
        objective_routine(e, arena_printf(a, "%s_attacked", prefix), b->graph, loss, in[1], &attacked, &hash[1]);
    pair.hash = arena_printf(a, "%s %s%s", hash[0], hash[1], text);
    net_objective(net, e, OBJECTIVE_TRAINS);
    *ARENA_PUSH(a, net->pairs, net->npairs, net->pairs_cap) = pair;
    return name;
}

/* How many of its parameters the machine supplies; the checker has the same rule. */
static uint32_t supplied(const Ast *fn, const Args *settings) {
    const Ast *params = fn ? AST_SLOT(fn, FN, inputs) : NULL;
    const Ast *state = params ? AST_SLOT(params, PARAMS, state) : NULL,
              *list = params ? AST_SLOT(params, PARAMS, inputs) : NULL;
    if (state) return state->nkids;
    uint32_t n = 0;
    for (; list && n < list->nkids && !AST_SLOT(list->kids[n], BINDING, fallback); n++)
        for (uint32_t k = 0; k < settings->n; k++)
            if (settings->items[k].name && strcmp(settings->items[k].name, list->kids[n]->name) == 0) return n;
    return n;
}

/* The function and its settings: numbers, by name.  `from`: where they are evaluated; fn NULL: the built-in accuracy. */
static bool read_loss(Scope *s, const Ast *given, bool metric, Build *build, Scope *from, LossUse *out) {
    const Ast *expr = resolve_ast(s, given, from);
    const Ast *callee = expr->kind == AST_CALL ? AST_SLOT(expr, CALL, callee) : expr;
    callee = resolve_ast(from, callee, from);
    char path[512];
    *out = (LossUse){.at = given->range, .settings.at = given->range};
    out->fn = ast_path(callee, path, sizeof path) ? module_find(from->module, path, &out->owner) : NULL;
    const Value *passed = callee->kind == AST_NAME ? env_find(from->env, callee->name) : NULL;
    if (passed && passed->kind == VALUE_FN && !passed->scope) { /* a parameter of an attack made of others */
        out->fn = passed->ast, out->owner = passed->module;
        for (const Env *x = passed->given; x; x = x->next)
            *ARENA_PUSH(s->elab->arena, out->settings.items, out->settings.n, out->settings.cap) =
                (Arg){.name = x->name, .at = given->range, .value = x->value};
    }
    const bool accuracy = !out->fn && callee->kind == AST_NAME && strcmp(callee->name, "accuracy") == 0 && metric;
    if (!accuracy && (!out->fn || out->fn->kind != AST_FN))
        return elab_error(s, DIAG_E0506, given->range, "a function of output and target is needed here"), false;
    from->build = build;
    if (expr->kind == AST_CALL) out->settings = call_args(from, expr, NULL, expr->range);
    for (uint32_t k = 0; k < out->settings.n; k++) {
        const Arg *arg = &out->settings.items[k];
        if (arg->value.kind == VALUE_NONE) return false;
        if (!arg->name ||
            (arg->value.kind != VALUE_NUMBER && arg->value.kind != VALUE_NODE && !value_is_function(&arg->value)))
            return elab_error(s, DIAG_E0506, arg->at,
                              "the other arguments of a loss are numbers and functions, given by name"),
                   false;
    }
    return true;
}

bool loss_read(Scope *s, const Ast *given, LossUse *out) {
    Scope from;
    return read_loss(s, given, false, s->build, &from, out);
}

/* Whether the node is 0 or 1 by its form, whatever the numbers are. */
static bool is_truth(const Graph *g, NodeId id, int depth) {
    const Node *n = graph_node(g, id);
    double v;
    if (fold_value(g, id, &v)) return v == 0 || v == 1;
    if (depth == 0) return false;
    switch (n->op) {
    case OP_lt:
    case OP_le:
    case OP_eq:
    case OP_and:
    case OP_or:
    case OP_step: return true;
    case OP_not:
    case OP_reshape:
    case OP_broadcast:
    case OP_stop_gradient: return is_truth(g, graph_arg(g, id, 0), depth - 1);
    case OP_mul:
    case OP_max:
    case OP_min: return is_truth(g, graph_arg(g, id, 0), depth - 1) && is_truth(g, graph_arg(g, id, 1), depth - 1);
    case OP_select: return is_truth(g, graph_arg(g, id, 1), depth - 1) && is_truth(g, graph_arg(g, id, 2), depth - 1);
    default: return false;
    }
}

const char *net_loss(Scope *s, Net *net, const Ast *given, bool metric) {
    Elab *e = s->elab;
    Arena *a = e->arena;
    Model *m = net->model;
    Scope from;
    LossUse use;
    if (!read_loss(s, given, metric, net->root, &from, &use)) return NULL;
    const Ast *fn = use.fn;
    const Module *owner = use.owner;
    const Args args = use.settings;
    const bool builtin_accuracy = !fn;
    const char *base = builtin_accuracy ? "accuracy" : fn->name, *key = base;
    for (uint32_t k = 0; k < args.n; k++) {
        if (value_is_function(&args.items[k].value)) {
            key = arena_printf(a, "%s %s=%s", key, args.items[k].name, function_text(a, &args.items[k].value));
            continue;
        }
        if (args.items[k].value.kind != VALUE_NUMBER) {
            elab_error(s, DIAG_E0506, args.items[k].at,
                       "the other arguments of a loss are numbers and functions, given by name");
            return NULL;
        }
        key = arena_printf(a, "%s %s=%s", key, args.items[k].name, number_text(a, args.items[k].value.number));
    }
    key = arena_printf(a, "%s %s", key, owner ? owner->path : "");
    Loss *list = metric ? m->metrics : m->losses;
    uint32_t n = metric ? m->nmetrics : m->nlosses;
    const char **keys = metric ? net->metric_keys : net->loss_keys;
    if (!metric && supplied(fn, &args) == 3) return pair_loss(&from, net, &use, key, base);
    for (uint32_t k = 0; k < n; k++)
        if (strcmp(keys[k], key) == 0) return list[k].name;
    const char *name = free_loss_name(list, n, a, identifier(a, base));
    if (!metric)
        elab_reserve(e, arena_printf(a, "%s_%s", m->name, name),
                     (const char *const[]){"loss", "input", "parameters", "replay", NULL});

    Scope inner = from;
    inner.net = NULL;
    Value v;
    if (builtin_accuracy) {
        if (!net->target.classes || value_shape(net->output).rank != 1) {
            elab_error(s, DIAG_E0506, given->range, "accuracy needs a vector of outputs and a label");
            return NULL;
        }
        NodeId best = graph_op(m->graph, OP_argmax, &m->output, 1, &(Attr){.reduce.axes = 1}, given->range);
        v = value_node(net->root, graph_binary(m->graph, OP_eq, best, net_y(net).node, given->range));
    } else
        v = loss_value(&inner, &use, net->output, net_y(net));
    NodeId node = node_of(&inner, v, given->range);
    if (node == NODE_NONE) return NULL;
    if (graph_node(m->graph, node)->shape.rank != 0 || !graph_node(m->graph, node)->batched) {
        elab_error(s, DIAG_E0506, given->range, "'%s' must give one number for each example", base);
        return NULL;
    }
    if (!metric && !has_gradient(e, m, node)) {
        elab_error_help(s, DIAG_E0506, given->range,
                        "train with a loss that changes with the output, such as cross_entropy, and measure this one",
                        "'%s' has no gradient: it changes with the net's output only in jumps", base);
        return NULL;
    }
    if (metric)
        *ARENA_PUSH(a, m->metrics, m->nmetrics, net->nmetrics_cap) =
            (Loss){.name = name, .node = node, .share = is_truth(m->graph, node, 32)};
    else
        add_loss(e, net, (Loss){.name = name, .node = node}, key, &use);
    uint32_t k = n;
    if (metric) *ARENA_PUSH(a, net->metric_keys, k, net->metric_keys_cap) = key;
    return name;
}

const LossUse *net_loss_use(const Net *net, const char *name) {
    for (uint32_t k = 0; k < net->model->nlosses; k++)
        if (strcmp(net->model->losses[k].name, name) == 0) return &net->loss_uses[k];
    return NULL; /* of two outputs */
}

const char *net_projection_loss(Net *net, Elab *e) {
    Model *m = net->model;
    for (uint32_t k = 0; k < m->nlosses; k++)
        if (strcmp(m->losses[k].name, "projection") == 0) return "projection";
    net_y(net);
    NodeId product = graph_binary(m->graph, OP_mul, m->output, m->y, (Range){0});
    uint32_t mask = (1u << graph_node(m->graph, product)->shape.rank) - 1;
    NodeId node = mask ? graph_reduce(m->graph, OP_reduce_sum, product, mask, (Range){0}) : product;
    add_loss(e, net, (Loss){.name = "projection", .node = node}, "projection", &(LossUse){0});
    return "projection";
}

const char *net_objective(Net *net, Elab *e, ObjectiveUse use) {
    Model *m = net->model;
    const bool trains = use == OBJECTIVE_TRAINS, outside = use == OBJECTIVE_OUTSIDE;
    for (uint32_t k = 0; k < m->nlosses; k++) {
        Loss *l = &m->losses[k];
        if (l->objective) return l->trains |= trains, l->outside |= outside, l->name;
    }
    const char *name = free_loss_name(m->losses, m->nlosses, e->arena, "objective");
    elab_reserve(e, arena_printf(e->arena, "%s_%s", m->name, name),
                 (const char *const[]){"input", "parameters", "vjp", NULL});
    NodeId objective = graph_unary(m->graph, OP_objective, m->output, (Range){0});
    NodeId value = graph_op_shaped(m->graph, OP_objective_result, &objective, 1,
                                   &(Attr){.result.argument = OBJECTIVE_VALUE}, shape_scalar(), true, (Range){0});
    add_loss(e, net, (Loss){.name = name, .node = value, .objective = true, .trains = trains, .outside = outside},
             "objective of the caller", &(LossUse){0});
    return name;
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
