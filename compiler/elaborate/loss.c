/* loss.c - losses and metrics of a net: a scalar of its Model for each, routines of two outputs, the caller's objective. */
#include "adjoint.h"
#include "fold.h"
#include "queries.h"
#include <string.h>

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

/* Its routines; gives its number among the model's. */
static uint32_t add_loss(Elab *e, Net *net, Loss loss, const char *key) {
    uint32_t k = net->model->nlosses;
    *ARENA_PUSH(e->arena, net->model->losses, net->model->nlosses, net->nlosses_cap) = loss;
    *ARENA_PUSH(e->arena, net->loss_keys, k, net->loss_keys_cap) = key;
    return k - 1;
}

static bool has_metric(const Net *net, const char *name) {
    for (uint32_t k = 0; k < net->model->nmetrics; k++)
        if (strcmp(net->model->metrics[k].name, name) == 0) return true;
    return false;
}

static bool has_loss(const Net *net, const char *name) {
    for (uint32_t k = 0; k < net->model->nlosses; k++)
        if (strcmp(net->model->losses[k].name, name) == 0) return true;
    for (uint32_t k = 0; k < net->npairs; k++)
        if (strcmp(net->pairs[k].name, name) == 0) return true;
    for (uint32_t k = 0; k < net->nuses; k++)
        if (strcmp(net->uses[k].name, name) == 0) return true;
    return false;
}

/* The name, with a number where a loss, or a metric, of the net has it. */
static const char *free_name(const Net *net, bool metric, Arena *a, const char *base) {
    const char *name = base = identifier(a, base);
    for (uint32_t k = 2; (metric ? has_metric : has_loss)(net, name); k++) name = arena_printf(a, "%s_%u", base, k);
    return name;
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

bool loss_setting_is_data(const LossUse *use, const Arg *setting) {
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

typedef struct Data { /* settings of a loss that are data */
    NodeId *nodes;    /* inputs of the graph being built */
    double *numbers;
    uint32_t n;
} Data;

/* `own` is the use with inputs of the graph in the place of numbers that are data. */
static Data data_settings(Build *b, const LossUse *use, LossUse *own) {
    Arena *a = b->graph->arena;
    const uint32_t n = use->settings.n;
    Data d = {arena_alloc(a, (n + 1) * sizeof *d.nodes), arena_alloc(a, (n + 1) * sizeof *d.numbers), 0};
    *own = *use;
    own->settings.items = arena_alloc(a, (n + 1) * sizeof *own->settings.items);
    for (uint32_t k = 0; k < n; k++) {
        Arg *arg = &own->settings.items[k];
        *arg = use->settings.items[k];
        if (!loss_setting_is_data(use, arg)) continue;
        d.numbers[d.n] = arg->value.number;
        d.nodes[d.n] = graph_input(b->graph, shape_scalar(), true, arg->name, use->at);
        arg->value = value_node(b, d.nodes[d.n++]);
    }
    return d;
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
    LossUse own;
    const Data data = data_settings(b, use, &own);
    NodeId loss = node_of(&inner, loss_call(&inner, &own, values, 3), use->at);
    if (loss == NODE_NONE) return NULL;
    if (graph_node(b->graph, loss)->shape.rank != 0)
        return elab_error(s, DIAG_E0506, use->at, "'%s' must give one number for each example", base), NULL;
    loss = graph_batch(b->graph, loss, use->at);
    const char *name = free_name(net, false, a, base), *text = "";
    Record records[2];
    for (uint32_t k = 0; k < 2; k++) {
        NodeId *given = arena_alloc(a, (data.n + 2) * sizeof *given);
        given[0] = in[1 - k];
        given[1] = in[2];
        memcpy(given + 2, data.nodes, data.n * sizeof *given);
        records[k] = (Record){given, 2 + data.n, 2 + data.n};
    }
    for (uint32_t k = 0; k < data.n; k++) text = arena_printf(a, "%s %s", text, number_text(a, data.numbers[k]));
    const char *prefix = arena_printf(a, "%s_%s", net->model->name, name), *hash[2];
    PairLoss pair = {.name = name, .key = key, .settings = data.numbers, .nsettings = data.n};
    pair.clean =
        objective_routine(e, arena_printf(a, "%s_clean", prefix), b->graph, loss, in[0], &records[0], &hash[0]);
    pair.attacked =
        objective_routine(e, arena_printf(a, "%s_attacked", prefix), b->graph, loss, in[1], &records[1], &hash[1]);
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
    if (passed && passed->kind == VALUE_FN && passed->scope) {
        elab_error_help(s, DIAG_E0506, given->range,
                        "declare it outside the attack; what it captures becomes settings: kl_from(clean: clean)",
                        "'%s' is a local fn: it may capture what a loss does not have", callee->name);
        return false;
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

/* What tells the use from others: the function, and its settings by name.  `routines`: what tells its routines from
 * others', which is not settings that are data. */
static const char *use_key(Arena *a, const LossUse *use, bool routines) {
    const char *key = use->fn ? use->fn->name : "accuracy";
    for (uint32_t k = 0; k < use->settings.n; k++) {
        const Arg *arg = &use->settings.items[k];
        const char *value = value_is_function(&arg->value)               ? function_text(a, &arg->value)
                            : routines && loss_setting_is_data(use, arg) ? "data"
                                                                         : number_text(a, arg->value.number);
        key = arena_printf(a, "%s %s=%s", key, arg->name, value);
    }
    return arena_printf(a, "%s %s", key, use->owner ? use->owner->path : "");
}

/* The scalar that the function is at the net's output; NODE_NONE after an error. */
static NodeId scalar_of(Scope *s, Net *net, const LossUse *use) {
    Graph *g = net->model->graph;
    Value v;
    if (use->fn)
        v = loss_value(s, use, net->output, net_y(net));
    else {
        if (!net->target.classes || value_shape(net->output).rank != 1)
            return elab_error(s, DIAG_E0506, use->at, "accuracy needs a vector of outputs and a label"), NODE_NONE;
        NodeId best = graph_op(g, OP_argmax, &net->model->output, 1, &(Attr){.reduce.axes = 1}, use->at);
        v = value_node(net->root, graph_binary(g, OP_eq, best, net_y(net).node, use->at));
    }
    NodeId node = node_of(s, v, use->at);
    if (node == NODE_NONE || (graph_node(g, node)->shape.rank == 0 && graph_node(g, node)->batched)) return node;
    elab_error(s, DIAG_E0506, use->at,
               graph_node(g, node)->shape.rank == 0
                   ? "'%s' is the same for every example: it depends neither on their inputs nor on their targets"
                   : "'%s' must give one number for each example",
               use->fn ? use->fn->name : "accuracy");
    return NODE_NONE;
}

static const char *metric_of(Scope *s, Net *net, const LossUse *use) {
    Arena *a = s->elab->arena;
    Model *m = net->model;
    const char *key = use_key(a, use, false);
    for (uint32_t k = 0; k < m->nmetrics; k++)
        if (strcmp(net->metric_keys[k], key) == 0) return m->metrics[k].name;
    const char *name = free_name(net, true, a, use->fn ? use->fn->name : "accuracy");
    NodeId node = scalar_of(s, net, use);
    if (node == NODE_NONE) return NULL;
    uint32_t k = m->nmetrics;
    *ARENA_PUSH(a, m->metrics, m->nmetrics, net->nmetrics_cap) =
        (Loss){.name = name, .node = node, .share = is_truth(m->graph, node, 32)};
    *ARENA_PUSH(a, net->metric_keys, k, net->metric_keys_cap) = key;
    return name;
}

/* The model's loss for the use, by number; UINT32_MAX after an error. */
static uint32_t routines_of(Scope *s, Net *net, const LossUse *use, const char *name) {
    Elab *e = s->elab;
    Model *m = net->model;
    const char *key = use_key(e->arena, use, true);
    for (uint32_t k = 0; k < m->nlosses; k++)
        if (strcmp(net->loss_keys[k], key) == 0) return k;
    elab_reserve(
        e, arena_printf(e->arena, "%s_%s", m->name, name),
        (const char *const[]){"loss", "input", "parameters", "replay", "loss" IN_BATCH, "input" IN_BATCH, NULL});
    LossUse own;
    const Data data = data_settings(net->root, use, &own);
    NodeId node = scalar_of(s, net, &own);
    if (node == NODE_NONE) return UINT32_MAX;
    if (has_gradient(e, m, node))
        return add_loss(e, net, (Loss){.name = name, .node = node, .settings = data.nodes, .nsettings = data.n}, key);
    elab_error_help(s, DIAG_E0506, use->at,
                    "train with a loss that changes with the output, such as cross_entropy, and measure this one",
                    "'%s' has no gradient: it changes with the net's output only in jumps", use->fn->name);
    return UINT32_MAX;
}

const char *net_loss(Scope *s, Net *net, const Ast *given, bool metric) {
    Arena *a = s->elab->arena;
    Scope from;
    LossOfNet own = {0};
    LossUse *use = &own.use;
    if (!read_loss(s, given, metric, net->root, &from, use)) return NULL;
    own.settings = arena_alloc(a, (use->settings.n + 1) * sizeof *own.settings);
    for (uint32_t k = 0; k < use->settings.n; k++) {
        const Arg *arg = &use->settings.items[k];
        if (arg->value.kind != VALUE_NUMBER && !value_is_function(&arg->value))
            return elab_error(s, DIAG_E0506, arg->at,
                              "the other arguments of a loss are numbers and functions, given by name"),
                   NULL;
        if (!metric && loss_setting_is_data(use, arg)) own.settings[own.nsettings++] = arg->value.number;
    }
    Scope inner = from;
    inner.net = NULL;
    if (metric) return metric_of(&inner, net, use);
    own.key = use_key(a, use, false);
    if (supplied(use->fn, &use->settings) == 3) return pair_loss(&from, net, use, own.key, use->fn->name);
    for (uint32_t k = 0; k < net->nuses; k++)
        if (strcmp(net->uses[k].key, own.key) == 0) return net->uses[k].name;
    own.name = free_name(net, false, a, use->fn->name);
    own.loss = routines_of(&inner, net, use, own.name);
    if (own.loss == UINT32_MAX) return NULL;
    *ARENA_PUSH(a, net->uses, net->nuses, net->uses_cap) = own;
    return own.name;
}

const LossOfNet *net_loss_called(const Net *net, const char *name) {
    for (uint32_t k = 0; k < net->nuses; k++)
        if (strcmp(net->uses[k].name, name) == 0) return &net->uses[k];
    return NULL;
}

const char *net_projection_loss(Net *net, Elab *e) {
    Model *m = net->model;
    for (uint32_t k = 0; k < m->nlosses; k++)
        if (strcmp(m->losses[k].name, "projection") == 0) return "projection";
    net_y(net);
    NodeId product = graph_binary(m->graph, OP_mul, m->output, m->y, (Range){0});
    uint32_t mask = (1u << graph_node(m->graph, product)->shape.rank) - 1;
    NodeId node = mask ? graph_reduce(m->graph, OP_reduce_sum, product, mask, (Range){0}) : product;
    const uint32_t loss = add_loss(e, net, (Loss){.name = "projection", .node = node}, "projection");
    *ARENA_PUSH(e->arena, net->uses, net->nuses, net->uses_cap) =
        (LossOfNet){.name = "projection", .key = "projection", .loss = loss};
    return "projection";
}

const char *net_objective(Net *net, Elab *e, ObjectiveUse use) {
    Model *m = net->model;
    const bool trains = use == OBJECTIVE_TRAINS, outside = use == OBJECTIVE_OUTSIDE;
    for (uint32_t k = 0; k < m->nlosses; k++) {
        Loss *l = &m->losses[k];
        if (l->objective) return l->trains |= trains, l->outside |= outside, l->name;
    }
    const char *name = free_name(net, false, e->arena, "objective");
    elab_reserve(e, arena_printf(e->arena, "%s_%s", m->name, name),
                 (const char *const[]){"input", "parameters", "vjp", "input" IN_BATCH, NULL});
    NodeId objective = graph_unary(m->graph, OP_objective, m->output, (Range){0});
    NodeId value = graph_op_shaped(m->graph, OP_objective_result, &objective, 1,
                                   &(Attr){.result.argument = OBJECTIVE_VALUE}, shape_scalar(), true, (Range){0});
    add_loss(e, net, (Loss){.name = name, .node = value, .objective = true, .trains = trains, .outside = outside},
             "objective of the caller");
    return name;
}
