/* hand.c - gradients written by hand: the equations of the block become nodes of the model's graph.
 *
 * d(z) is an `input` of that graph; the values of d(p) are kept in the model and become routines of their own
 * (hand_routines.c).  A fn given to transpose, vjp or solve is traced into a graph of its own, closed over what it
 * captures, differentiated there and put back. */
#include "adjoint.h"
#include "elaborate.h"
#include "families.h"
#include "fold.h"
#include "extern.h"
#include <string.h>

typedef struct Block { /* one gradient of one layer call */
    const Ast *gradient, *states;
    const char *path; /* of the layer's instance */
    const Env *inputs;
    HandGradient hand;
    uint32_t items_cap;
} Block;

/* ---- maps: a fn of one tensor as a graph ---- */
typedef struct Map {
    Build *build;
    NodeId in, out;
} Map;

static bool trace(Scope *s, const Value *fn, Shape shape, Range at, Map *m) {
    Arena *a = s->elab->arena;
    m->build = build_new(a, fn->ast->name, s->build);
    m->in = graph_input(m->build->graph, shape, true, "v", at);
    Scope inner = *s;
    inner.build = m->build;
    inner.flex = NULL;
    Args args = {.at = at};
    *ARENA_PUSH(a, args.items, args.n, args.cap) = (Arg){.at = at, .value = value_node(m->build, m->in)};
    Value v = call_fn(&inner, fn, NULL, args);
    m->out = node_of(&inner, v, at);
    if (m->out == NODE_NONE) return false;
    m->out = graph_batch(m->build->graph, m->out, at);
    return true;
}

/* The map's node in the graph of `s`, with values of that graph for two of its inputs. */
static NodeId placed(Scope *s, const Map *m, NodeId node, NodeId in, NodeId value, NodeId ct, NodeId cotangent) {
    NodeId *map = graph_map(s->elab->arena, m->build->graph);
    for (uint32_t k = 0; k < m->build->ncaptured; k++) map[m->build->inside[k]] = m->build->outside[k];
    if (in != NODE_NONE) map[in] = value;
    if (ct != NODE_NONE) map[ct] = cotangent;
    return graph_copy(s->build->graph, m->build->graph, node, map);
}

static bool is_zero(const Graph *g, NodeId id) {
    double v;
    return fold_value(g, id, &v) && v == 0;
}

/* The operation through which the map is not linear, NULL when it is. */
static const char *not_linear(Arena *a, const Map *m) {
    const Graph *g = m->build->graph;
    bool *varies = arena_alloc(a, g->nnodes + 1), *needed = arena_alloc(a, g->nnodes + 1);
    varies[m->in] = needed[m->out] = true;
    for (NodeId id = 0; id < g->nnodes; id++)
        for (uint32_t k = 0; k < g->nodes[id].nargs; k++) varies[id] = varies[id] || varies[graph_arg(g, id, k)];
    for (NodeId id = g->nnodes; id-- > 0;)
        for (uint32_t k = 0; needed[id] && k < g->nodes[id].nargs; k++) needed[graph_arg(g, id, k)] = true;
    if (!varies[m->out] && !is_zero(g, m->out)) return "a value that does not depend on it";
    for (NodeId id = 0; id < g->nnodes; id++) {
        const Node *n = graph_node(g, id);
        if (!varies[id] || !needed[id] || id == m->in) continue;
        int mask = op_linear_mask(n->op);
        uint32_t varying = 0;
        bool sums = n->op == OP_add || n->op == OP_sub || n->op == OP_concat || n->op == OP_select;
        for (uint32_t k = 0; k < n->nargs; k++) {
            NodeId arg = graph_arg(g, id, k);
            bool linear = mask < 0 || (mask >> k & 1);
            varying += varies[arg];
            if (varies[arg] && !linear) return op_name(n->op);
            if (sums && linear && !varies[arg] && !is_zero(g, arg)) return "adding a value that does not depend on it";
        }
        if (varying > 1 && !sums) return "a product with itself";
    }
    return NULL;
}

static bool check_linear(Scope *s, const Map *m, const Value *fn, Range at, const char *what) {
    const char *why = not_linear(s->elab->arena, m);
    if (!why) return true;
    elab_error_help(s, DIAG_E0455, at, "what it captures is constant; only its argument must enter linearly",
                    "'%s' needs a linear fn: '%s' is not linear in its argument (%s)", what, fn->ast->name, why);
    return false;
}

/* Cotangents of the map's argument (wrt NULL) or of captured nodes of the outer graph, in the graph of `s`; where the
 * map is linear and `place` NODE_NONE.  NODE_NONE: zero. */
static void pull_back(Scope *s, const Map *m, NodeId place, NodeId cotangent, const NodeId *wrt, uint32_t n, Range at,
                      NodeId *out) {
    Graph *g = m->build->graph;
    Arena *a = s->elab->arena;
    NodeId ct = graph_input(g, graph_node(g, m->out)->shape, true, "cotangent", at);
    NodeId *inside = arena_alloc(a, (n + 1) * sizeof *inside), *found = arena_alloc(a, (n + 1) * sizeof *found);
    uint32_t *which = arena_alloc(a, (n + 1) * sizeof *which), nfound = 0;
    for (uint32_t k = 0; k < n; k++) {
        out[k] = NODE_NONE;
        for (uint32_t i = 0; wrt && i < m->build->ncaptured; i++)
            if (m->build->outside[i] == wrt[k]) inside[nfound] = m->build->inside[i], which[nfound++] = k;
        if (!wrt) inside[nfound] = m->in, which[nfound++] = k;
    }
    reverse(g, &m->out, &ct, 1, inside, nfound, NULL, found, NULL, NULL);
    cotangent = graph_batch(s->build->graph, cotangent, at);
    if (place != NODE_NONE) place = graph_batch(s->build->graph, place, at);
    for (uint32_t k = 0; k < nfound; k++)
        if (found[k] != NODE_NONE)
            out[which[k]] = placed(s, m, found[k], place == NODE_NONE ? NODE_NONE : m->in, place, ct, cotangent);
}

/* The shape of the fn's argument: as declared, or when its sizes are its own that of `other`. */
static bool argument_shape(const Value *fn, Scope *s, Shape other, Shape *out) {
    *out = other;
    if (AST_SLOT(fn->ast, FN, sizes)) return true;
    Scope inner = fn->scope ? *fn->scope : scope_of_module(s->elab, fn->module);
    const Ast *list = AST_SLOT(AST_SLOT(fn->ast, FN, inputs), PARAMS, inputs);
    uint32_t classes;
    return eval_type(&inner, AST_SLOT(list->kids[0], BINDING, type), out, &classes);
}

static NodeId or_zero(Scope *s, NodeId node, Shape shape, Range at) {
    if (node != NODE_NONE) return node;
    NodeId zero = graph_constant(s->build->graph, 0);
    return graph_op_shaped(s->build->graph, OP_broadcast, &zero, 1, NULL, shape, true, at);
}

/* ---- transpose, vjp, solve, d ---- */
static const Ast *argument(const Ast *call, const char *name, uint32_t position) {
    const Ast *list = AST_SLOT(call, CALL, inputs);
    for (uint32_t k = 0; k < list->nkids; k++)
        if (list->kids[k]->name && strcmp(list->kids[k]->name, name) == 0) return AST_SLOT(list->kids[k], ARG, value);
    return position < list->nkids && !list->kids[position]->name ? AST_SLOT(list->kids[position], ARG, value) : NULL;
}

static bool map_argument(Scope *s, const Ast *call, Value *fn) {
    const Ast *e = argument(call, "fn", 0);
    if (!e) return false;
    *fn = eval(s, e);
    return fn->kind == VALUE_FN && !fn->transposed;
}

Value hand_transposed(Scope *s, const Value *fn, const Ast *call) {
    const Ast *list = AST_SLOT(call, CALL, inputs);
    if (list->nkids != 1) return elab_error(s, DIAG_E0303, call->range, "a transposed fn takes one argument");
    NodeId y = node_of(s, eval(s, AST_SLOT(list->kids[0], ARG, value)), call->range), out;
    Shape shape;
    Map m;
    if (y == NODE_NONE) return (Value){0};
    Shape given = graph_node(s->build->graph, y)->shape;
    if (!argument_shape(fn, s, given, &shape) || !trace(s, fn, shape, call->range, &m)) return (Value){0};
    if (!check_linear(s, &m, fn, call->range, "transpose")) return (Value){0};
    Shape result = graph_node(m.build->graph, m.out)->shape;
    if (!shape_equal(result, given))
        return elab_error(s, DIAG_E0312, call->range, "the transpose of '%s' takes %s, not %s", fn->ast->name,
                          shape_text(s->elab->arena, result), shape_text(s->elab->arena, given));
    pull_back(s, &m, NODE_NONE, y, NULL, 1, call->range, &out);
    return value_node(s->build, or_zero(s, out, shape, call->range));
}

/* Place and cotangent of vjp(fn, at, cotangent), and the fn traced at shapes that fit them. */
static bool read_vjp(Scope *s, const Ast *call, Map *m, NodeId *place, NodeId *cotangent) {
    Value fn;
    const Ast *at = argument(call, "at", 1), *ct = argument(call, "cotangent", 2);
    if (!map_argument(s, call, &fn) || !at || !ct) {
        elab_error(s, DIAG_E0307, call->range, "vjp(fn, at, cotangent) needs a fn of one tensor");
        return false;
    }
    *place = node_of(s, eval(s, at), at->range);
    if (*place == NODE_NONE || !trace(s, &fn, graph_node(s->build->graph, *place)->shape, call->range, m)) return false;
    Shape shape = graph_node(m->build->graph, m->out)->shape;
    *cotangent = node_of(s, value_fit(s, eval(s, ct), shape, ct->range, "the cotangent"), ct->range);
    return *cotangent != NODE_NONE;
}

static Value vjp(Scope *s, const Ast *call) {
    Map m;
    NodeId place, cotangent, out;
    if (!read_vjp(s, call, &m, &place, &cotangent)) return (Value){0};
    pull_back(s, &m, place, cotangent, NULL, 1, call->range, &out);
    return value_node(s->build, or_zero(s, out, graph_node(s->build->graph, place)->shape, call->range));
}

static Value solve(Scope *s, const Ast *call) {
    Elab *e = s->elab;
    const Block *b = s->host_data;
    const Ast *rhs = argument(call, "rhs", 1), *solver = argument(call, "solver", 2);
    LinearMap map = {.loc = call->range};
    Value fn;
    Map m;
    if (!map_argument(s, call, &fn) || !rhs || !solver)
        return elab_error(s, DIAG_E0307, call->range, "solve(fn, rhs, SOLVER) needs a fn of one tensor");
    Net *net = s->net;
    if (s->build != net->root)
        return elab_error(s, DIAG_E0456, call->range,
                          "'solve' inside a fn that is itself transposed, solved or differentiated");
    NodeId right = node_of(s, eval(s, rhs), rhs->range);
    map.solver = chain_text(s, solver, SOLVER_ADJOINT);
    if (right == NODE_NONE || !map.solver) return (Value){0};
    right = graph_batch(s->build->graph, right, rhs->range);
    Shape shape = graph_node(s->build->graph, right)->shape, wanted;
    if (!argument_shape(&fn, s, shape, &wanted) || !trace(s, &fn, wanted, call->range, &m)) return (Value){0};
    Shape result = graph_node(m.build->graph, m.out)->shape;
    if (!shape_equal(wanted, result) || !shape_equal(result, shape))
        return elab_error(s, DIAG_E0312, call->range, "solve needs a square map: '%s' takes %s to %s, b is %s",
                          fn.ast->name, shape_text(e->arena, wanted), shape_text(e->arena, result),
                          shape_text(e->arena, shape));
    if (!check_linear(s, &m, &fn, call->range, "solve")) return (Value){0};
    Build *body = m.build;
    map.body = graph_new(e->arena, body->graph->name);
    NodeId *to = graph_map(e->arena, body->graph), *args = arena_alloc(e->arena, (body->ncaptured + 1) * sizeof *args);
    to[m.in] = graph_input(map.body, shape, true, "v", call->range);
    args[0] = right;
    for (uint32_t k = 0; k < body->ncaptured; k++) {
        graph_copy(map.body, body->graph, body->inside[k], to);
        args[1 + k] = body->outside[k];
    }
    graph_output(map.body, graph_copy(map.body, body->graph, m.out, to));
    map.name = elab_name(e, arena_printf(e->arena, "%s_solve", b->hand.routine));
    Model *model = net->model;
    NodeId u =
        graph_op(s->build->graph, OP_solve, args, 1 + body->ncaptured, &(Attr){.solve.map = model->nmaps}, call->range);
    *ARENA_PUSH(e->arena, model->maps, model->nmaps, net->nmaps_cap) = map;
    return value_node(s->build, u);
}

static Value incoming(Scope *s, const Ast *call) {
    const Block *b = s->host_data;
    const Ast *z = argument(call, "of", 0);
    for (uint32_t k = 0; z && z->kind == AST_NAME && k < b->states->nkids; k++)
        if (strcmp(z->name, b->states->kids[k]->name) == 0) return value_node(s->net->root, b->hand.incoming[k]);
    return elab_error(s, DIAG_E0453, call->range, "only the state of a fixed point has an incoming cotangent");
}

static bool host(Scope *s, const Ast *call, const char *name, Value *out) {
    if (strcmp(name, "d") == 0) return *out = incoming(s, call), true;
    if (strcmp(name, "vjp") == 0) return *out = vjp(s, call), true;
    if (strcmp(name, "solve") == 0) return *out = solve(s, call), true;
    if (strcmp(name, "transpose") != 0 || !map_argument(s, call, out)) return false;
    out->transposed = true;
    return true;
}

/* ---- definitions ---- */
static Shape shape_at(const Scope *s, NodeId node) { return graph_node(s->net->model->graph, node)->shape; }

/* The p of d(p): a parameter, or an input of the layer.  False after an error; *ignored: a number, which has none. */
static bool read_target(Scope *s, Block *b, const Ast *target, HandCotangent *out, Shape *shape, bool *ignored) {
    const Ast *p = argument(target, "of", 0);
    const Model *m = s->net->model;
    const char *path = *b->path ? arena_printf(s->elab->arena, "%s.%s", b->path, p->name) : p->name;
    *out = (HandCotangent){-1, NODE_NONE, NODE_NONE};
    *ignored = false;
    const Value *v = env_find(b->inputs, p->name);
    if (v) {
        *ignored = v->kind != VALUE_NODE || value_get(*v)->op == OP_constant;
        if (v->kind == VALUE_NODE) out->input = build_import(s->net->root, *v), *shape = shape_at(s, out->input);
        return true;
    }
    for (uint32_t k = 0; k < m->nparameters; k++)
        if (strcmp(m->parameters[k].path, path) == 0) {
            out->parameter = k;
            *shape = m->parameters[k].shape;
            return true;
        }
    elab_error(s, DIAG_E0453, target->range, "there is no cotangent d(%s) to define", p->name);
    return false;
}

static bool is_vjp(const Ast *value) {
    const Ast *callee = value->kind == AST_CALL ? AST_SLOT(value, CALL, callee) : NULL;
    return callee && callee->kind == AST_NAME && strcmp(callee->name, "vjp") == 0;
}

static bool define(Scope *s, Block *b, const Ast *equation) {
    Arena *a = s->elab->arena;
    const Ast *target = AST_SLOT(equation, EQUATION, target), *value = AST_SLOT(equation, EQUATION, value);
    const Ast *one[1] = {target}, *const *targets = one;
    uint32_t n = 1;
    if (target->kind == AST_TUPLE || target->kind == AST_LIST)
        targets = (const Ast *const *)target->kids, n = target->nkids;
    HandCotangent *items = arena_alloc(a, n * sizeof *items);
    Shape *shapes = arena_alloc(a, n * sizeof *shapes);
    bool *ignored = arena_alloc(a, n);
    NodeId *wrt = arena_alloc(a, n * sizeof *wrt), *ct = arena_alloc(a, n * sizeof *ct);
    for (uint32_t k = 0; k < n; k++) {
        if (!read_target(s, b, targets[k], &items[k], &shapes[k], &ignored[k])) return false;
        int64_t q = items[k].parameter;
        wrt[k] = q >= 0 ? s->net->model->parameters[q].node : items[k].input;
    }
    if (is_vjp(value)) { /* of what the fn captures */
        Map m;
        NodeId place, cotangent;
        if (!read_vjp(s, value, &m, &place, &cotangent)) return false;
        pull_back(s, &m, place, cotangent, wrt, n, value->range, ct);
        for (uint32_t k = 0; k < n; k++) items[k].value = or_zero(s, ct[k], shapes[k], value->range);
    } else {
        Value v = eval(s, value);
        if (v.kind == VALUE_NONE) return false;
        if (n > 1 && (v.kind != VALUE_TUPLE || v.nitems != n)) {
            elab_error(s, DIAG_E0315, value->range, "this needs a tuple of %u values", n);
            return false;
        }
        for (uint32_t k = 0; k < n; k++) {
            Value item = n > 1 ? v.items[k] : v;
            if (ignored[k]) continue;
            item = value_fit(s, item, shapes[k], value->range, "the cotangent");
            items[k].value = node_of(s, item, value->range);
            if (items[k].value == NODE_NONE) return false;
            items[k].value = graph_batch(s->build->graph, items[k].value, value->range);
        }
    }
    for (uint32_t k = 0; k < n; k++)
        if (!ignored[k]) *ARENA_PUSH(a, b->hand.items, b->hand.nitems, b->items_cap) = items[k];
    return true;
}

/* A trained parameter that reaches the fixed point but has no d(p): it belongs to a layer this one uses. */
static bool is_complete(Scope *s, const Block *b) {
    const Model *m = s->net->model;
    const Graph *g = m->graph;
    NodeId fixed = m->fixed[b->hand.fixed].fixed_node;
    bool *reached = arena_alloc(s->elab->arena, fixed + 1), *stop = arena_alloc(s->elab->arena, fixed + 1);
    for (const Env *e = b->inputs; e; e = e->next)
        if (e->value.kind == VALUE_NODE && e->value.build == s->net->root && e->value.node < fixed)
            stop[e->value.node] = true;
    reached[fixed] = true;
    for (NodeId id = fixed + 1; id-- > 0;)
        for (uint32_t k = 0; reached[id] && !stop[id] && k < g->nodes[id].nargs; k++)
            reached[graph_arg(g, id, k)] = true;
    for (uint32_t k = 0; k < m->nparameters; k++) {
        const Parameter *p = &m->parameters[k];
        bool defined = !p->trained || p->node > fixed || !reached[p->node] || stop[p->node];
        for (uint32_t i = 0; i < b->hand.nitems; i++) defined = defined || b->hand.items[i].parameter == k;
        if (defined) continue;
        elab_error_help(s, DIAG_E0450, b->gradient->name_range,
                        "write the inner layer's params into this one, or use a derived mode",
                        "'%s' of a layer used inside has no cotangent in this gradient", p->path);
        return false;
    }
    return true;
}

/* d(z) of every component of the state, as inputs of the model's graph. */
static void take_incoming(Scope *s, Block *b) {
    Arena *a = s->elab->arena;
    Model *m = s->net->model;
    const FixedPoint *f = &m->fixed[b->hand.fixed];
    b->hand.incoming = arena_alloc(a, f->nstate * sizeof *b->hand.incoming);
    for (uint32_t k = 0; k < f->nstate; k++)
        b->hand.incoming[k] =
            graph_input(m->graph, graph_node(f->body, f->body->inputs[k])->shape, true,
                        arena_printf(a, "d(%s) of %s", f->state_names[k], b->hand.name), b->gradient->range);
}

static bool gradient(Scope *s, Block *b) {
    Arena *a = s->elab->arena;
    Model *m = s->net->model;
    take_incoming(s, b);
    const Ast *body = AST_SLOT(b->gradient, GRADIENT, body);
    b->hand.first_map = m->nmaps;
    for (uint32_t k = 0; k < body->nkids; k++) {
        if (statement(s, body->kids[k])) continue;
        if (body->kids[k]->kind != AST_EQUATION)
            return elab_error(s, DIAG_E0318, body->kids[k]->range, "this does not belong here"), false;
        if (!define(s, b, body->kids[k])) return false;
    }
    b->hand.nmaps = m->nmaps - b->hand.first_map;
    if (!is_complete(s, b)) return false;
    *ARENA_PUSH(a, m->hands, m->nhands, s->net->nhands_cap) = b->hand;
    return true;
}

/* A gradient in C: its cotangents are zeros here, and its arguments are listed for the manifest. */
static bool gradient_in_c(Scope *s, Block *b, const ExternGradient *g) {
    Arena *a = s->elab->arena;
    Model *m = s->net->model;
    const FixedPoint *f = &m->fixed[b->hand.fixed];
    uint32_t states = 0;
    b->hand.symbol = g->symbol;
    b->hand.signature = g->signature;
    b->hand.fields = arena_alloc(a, (g->nfields + 1) * sizeof *b->hand.fields);
    b->hand.nfields = g->nfields;
    take_incoming(s, b);
    for (uint32_t k = 0; k < g->nfields; k++) {
        const ExternField *field = &g->fields[k];
        HandField *out = &b->hand.fields[k];
        out->name = field->name;
        const Value *v = field->kind == EXTERN_SIZE ? env_find(s->env, field->name) : env_find(b->inputs, field->name);
        const char *path = *b->path ? arena_printf(a, "%s.%s", b->path, field->name) : field->name;
        HandCotangent item = {-1, NODE_NONE, NODE_NONE};
        switch (field->kind) {
        case EXTERN_SIZE:
        case EXTERN_NUMBER:
            out->kind = field->kind == EXTERN_SIZE ? FIELD_SIZE : FIELD_NUMBER;
            if (!v || v->kind != VALUE_NUMBER) {
                elab_error(s, DIAG_E0490, b->gradient->name_range,
                           "'%s' of '%s' is not a number known here; a gradient in C cannot take it in this version",
                           field->name, b->hand.name);
                return false;
            }
            out->number = v->number;
            continue;
        case EXTERN_STATE:
            out->kind = FIELD_STATE;
            out->index = states;
            out->elements = shape_count(graph_node(f->body, f->body->inputs[states++])->shape);
            continue;
        case EXTERN_BUFFER:
        case EXTERN_PARAM:
            for (uint32_t q = 0; q < m->nparameters; q++)
                if (strcmp(m->parameters[q].path, path) == 0) item.parameter = q;
            if (item.parameter < 0) ICE("no parameter %s", path);
            out->elements = shape_count(m->parameters[item.parameter].shape);
            out->index = (uint32_t)item.parameter;
            out->kind = FIELD_BUFFER;
            if (field->kind == EXTERN_BUFFER) continue;
            item.value = or_zero(s, NODE_NONE, m->parameters[item.parameter].shape, b->gradient->range);
            break;
        case EXTERN_INPUT:
            if (!v || v->kind != VALUE_NODE || value_get(*v)->op == OP_constant) {
                elab_error(s, DIAG_E0490, b->gradient->name_range,
                           "input '%s' of '%s' is a constant here; a gradient in C cannot take it in this version",
                           field->name, b->hand.name);
                return false;
            }
            item.input = build_import(s->net->root, *v);
            out->elements = shape_count(shape_at(s, item.input));
            item.value = or_zero(s, NODE_NONE, shape_at(s, item.input), b->gradient->range);
            break;
        }
        out->kind = FIELD_ITEM;
        out->index = b->hand.nitems;
        *ARENA_PUSH(a, b->hand.items, b->hand.nitems, b->items_cap) = item;
    }
    b->hand.first_map = m->nmaps;
    if (!is_complete(s, b)) return false;
    *ARENA_PUSH(a, m->hands, m->nhands, s->net->nhands_cap) = b->hand;
    return true;
}

static bool is_of(const Module *module, const Ast *gradient, const Ast *layer) {
    char path[512];
    return gradient->kind == AST_GRADIENT && AST_SLOT(gradient, GRADIENT, target) &&
           ast_path(AST_SLOT(gradient, GRADIENT, target), path, sizeof path) &&
           module_find(module, path, NULL) == layer;
}

bool hand_gradients(Scope *s, const Ast *layer, const Env *inputs, uint32_t first) {
    const Ast *body = AST_SLOT(layer, LAYER, body), *fixed = NULL;
    const Program *program = s->elab->program;
    const Model *m = s->net->model;
    uint32_t index = UINT32_MAX;
    bool good = true;
    for (uint32_t k = 0; k < body->nkids; k++)
        if (body->kids[k]->kind == AST_FIXED) fixed = body->kids[k];
    for (uint32_t k = first; fixed && k < m->nfixed; k++)
        if (m->fixed[k].loc.source == fixed->range.source && m->fixed[k].loc.start == fixed->range.start) index = k;
    for (uint32_t i = 0; index != UINT32_MAX && i < program->nmodules; i++) {
        const Module *module = program->modules[i];
        for (uint32_t k = 0; k < module->unit->nkids; k++) {
            const Ast *g = module->unit->kids[k];
            if (!is_of(module, g, layer)) continue;
            if (s->fixed_points > 1)
                return elab_error(s, DIAG_E0490, g->name_range,
                                  "a gradient by hand of a layer with %u fixed points is not available in this version",
                                  s->fixed_points),
                       false;
            Block b = {.gradient = g, .states = AST_SLOT(fixed, FIXED, state), .path = s->path, .inputs = inputs};
            b.hand = (HandGradient){.name = g->name,
                                    .fixed = index,
                                    .loc = g->range,
                                    .approximate = AST_SLOT(g, GRADIENT, approximate) != NULL};
            b.hand.routine = elab_name(s->elab, arena_printf(s->elab->arena, "%s_%s", m->fixed[index].name, g->name));
            Frame frame = {arena_printf(s->elab->arena, "in gradient '%s', of a layer used here", g->name),
                           s->frame ? s->frame->at : g->range, s->frame ? s->frame->up : NULL};
            Scope inner = *s;
            inner.module = module;
            inner.host = host;
            inner.host_data = &b;
            inner.frame = &frame;
            ExternGradient in_c;
            if (extern_gradient(s->elab->arena, g, &in_c))
                good = gradient_in_c(&inner, &b, &in_c) && good;
            else
                good = gradient(&inner, &b) && good;
        }
    }
    return good;
}
