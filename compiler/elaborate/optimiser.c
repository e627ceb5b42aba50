/* optimiser.c - an optimiser with its schedules becomes one routine over chunks of the parameter vector. */
#include "machine.h"
#include <math.h>
#include <string.h>

static bool optimiser_host(Scope *s, const Ast *call, const char *name, Value *out) {
    if (strcmp(name, "d") != 0 || call->kind != AST_CALL) return false;
    const Ast *inputs = AST_SLOT(call, CALL, inputs),
              *of = inputs->nkids == 1 ? AST_SLOT(inputs->kids[0], ARG, value) : NULL;
    if (!of || of->kind != AST_NAME || strcmp(of->name, "w") != 0)
        return *out = elab_error(s, DIAG_E0303, call->range, "in an optimiser, d(w) is the gradient"), true;
    *out = *(const Value *)s->host_data;
    return true;
}

static bool has_type(const Ast *binding, const char *name) {
    const Ast *type = AST_SLOT(binding, BINDING, type);
    return type && type->kind == AST_TYPE && strcmp(type->name, name) == 0;
}

static void add_scalar(Elab *e, Scalars *s, const char *name, double value, bool whole) {
    *ARENA_PUSH(e->arena, s->items, s->n, s->cap) = (struct Scalar){.name = name, .value = value, .whole = whole};
}

typedef struct Chosen { /* the schedule given for a parameter: a definition with numbers, or (NULL) one number */
    const Ast *definition;
    const Module *module;
    uint32_t first, n; /* its scalars */
} Chosen;

static bool choose_schedule(Scope *from, const Ast *given, Value evaluated, const char *param, Chosen *c,
                            Scalars *out) {
    Elab *e = from->elab;
    *c = (Chosen){.first = out->n, .n = 1};
    const char *name = NULL;
    Scope inner;
    const Ast *call = NULL, *d = given ? instance_definition(from, given, AST_SCHEDULE, AST_SCHEDULE_DEF, &inner,
                                                             &c->module, &name, &call)
                                       : NULL;
    if (!d || d->kind != AST_SCHEDULE_DEF) {
        double x = evaluated.number;
        if (given && !eval_number(from, given, &x)) return false;
        if (given && isnan(x))
            return elab_error(from, DIAG_E0412, given->range, "'%s' is not a number: this is NaN", param), false;
        add_scalar(e, out, param, x, false);
        return true;
    }
    Env *numbers = NULL;
    Scalars own = {0};
    if (!instance_numbers(&inner, call, AST_SLOT(d, SCHEDULE_DEF, inputs), c->module, d->name, false, &numbers, &own))
        return false;
    c->definition = d;
    c->n = own.n;
    for (uint32_t k = 0; k < own.n; k++)
        add_scalar(e, out, arena_printf(e->arena, "%s.%s", param, own.items[k].name), own.items[k].value,
                   own.items[k].whole);
    return true;
}

typedef struct Optimiser {
    const char *key;
    Routine *routine; /* NULL: could not be made */
    const char *hash;
    uint32_t states;
} Optimiser;

static bool run_body(Scope *s, Machine *m, const Ast *body, uint32_t *states) {
    for (uint32_t k = 0; k < body->nkids; k++) {
        const Ast *item = body->kids[k];
        if (statement(s, item)) continue;
        if (item->kind == AST_STATE) {
            const Ast *first = AST_SLOT(item, STATE, value);
            bool zero = (first->kind == AST_NAME && strcmp(first->name, "zeros") == 0) ||
                        (first->kind == AST_NUMBER && first->number == 0);
            if (!zero)
                return elab_error(s, DIAG_E0490, first->range,
                                  "states of an optimiser start from zeros in this version"),
                       false;
            if (*states == 6) return elab_error(s, DIAG_E0601, item->range, "an optimiser has at most 6 states"), false;
            machine_add_cell(m, s, item->name, machine_leaf(m, PLACE_ARG, 2 + (*states)++, m->row, true, item->name));
        } else if (item->kind == AST_EQUATION) {
            if (!machine_assign(m, s, item)) return false;
        } else
            return elab_error(s, DIAG_E0318, item->range, "a %s cannot stand in an optimiser",
                              ast_kind_name(item->kind)),
                   false;
    }
    machine_settle(m, s);
    return true;
}

/* The routine sees a chunk of the parameters at a time: a sum over its elements would be one over the chunk. */
static bool goes_by_element(Scope *s, const Graph *g, const char *name) {
    for (NodeId id = 0; id < g->nnodes; id++) {
        const Node *n = graph_node(g, id);
        const OpClass class = op_class(n->op);
        if (class == CLASS_LEAF || class == CLASS_ELEMENTWISE || class == CLASS_LAYOUT) continue;
        for (uint32_t k = 0; k < n->nargs; k++) {
            if (!graph_node(g, graph_arg(g, id, k))->shape.rank) continue;
            elab_error_help(s, DIAG_E0519, n->loc,
                            "clip: norm(1.0) among the settings of a train limits the gradient's length",
                            "the optimiser '%s' goes element by element: no sum is over all parameters", name);
            return false;
        }
    }
    return true;
}

bool optimiser_use(Scope *s, const Ast *given, OptimiserUse *out) {
    Elab *e = s->elab;
    Arena *a = e->arena;
    *out = (OptimiserUse){0};
    Scope from;
    const Module *owner = NULL;
    const char *instance = NULL;
    const Ast *call = NULL,
              *d = instance_definition(s, given, AST_OPTIMISER, AST_OPTIMISER_DEF, &from, &owner, &instance, &call);
    if (!d || d->kind != AST_OPTIMISER_DEF)
        return elab_error(s, DIAG_E0504, given->range, "an optimiser is needed here, such as adam(rate: 1e-3)"), false;

    /* Arguments: numbers become scalars, schedules scalars of their own. */
    const Ast *params = AST_SLOT(d, OPTIMISER_DEF, inputs), *list = params ? AST_SLOT(params, PARAMS, inputs) : NULL;
    uint32_t n = list ? list->nkids : 0;
    Chosen *chosen = arena_alloc(a, (n + 1) * sizeof *chosen);
    Args args = {.at = call->range};
    if (call->kind == AST_CALL) {
        const Ast *inputs = AST_SLOT(call, CALL, inputs);
        for (uint32_t k = 0; k < inputs->nkids; k++)
            *ARENA_PUSH(a, args.items, args.n, args.cap) = (Arg){.name = inputs->kids[k]->name,
                                                                 .ast = AST_SLOT(inputs->kids[k], ARG, value),
                                                                 .at = inputs->kids[k]->range};
    }
    const char *key = arena_printf(a, "%s %s", owner->path, d->name), *symbol = d->name;
    Scope defaults = scope_of_module(e, owner);
    for (uint32_t k = 0; k < n; k++) {
        const Ast *b = list->kids[k], *fallback = AST_SLOT(b, BINDING, fallback);
        Arg *arg = args_take(&args, b->name, true);
        if (!arg && !fallback)
            return elab_error(s, DIAG_E0303, call->range, "'%s' needs its argument '%s'", d->name, b->name), false;
        Scope *where = arg ? &from : &defaults;
        const Ast *value = arg ? arg->ast : fallback;
        chosen[k] = (Chosen){.first = out->scalars.n, .n = 1};
        if (has_type(b, "schedule")) {
            if (!choose_schedule(where, value, (Value){0}, b->name, &chosen[k], &out->scalars)) return false;
            bool number = !chosen[k].definition && out->scalars.n > chosen[k].first;
            if (number && !scalar_bound(where, &out->scalars.items[out->scalars.n - 1], b, &defaults, NULL,
                                        value->range, d->name))
                return false;
        } else {
            double x;
            if (!eval_number(where, value, &x)) return false;
            bool whole = has_type(b, "int");
            if (whole && x != floor(x))
                return elab_error(where, DIAG_E0301, value->range, "'%s' is a whole number", b->name), false;
            if (isnan(x))
                return elab_error(where, DIAG_E0412, value->range, "'%s' of '%s' is not a number: this is NaN", b->name,
                                  d->name),
                       false;
            scope_bind(&defaults, b->name, value_number(x));
            add_scalar(e, &out->scalars, b->name, x, whole);
            if (!scalar_bound(where, &out->scalars.items[out->scalars.n - 1], b, &defaults, NULL, value->range,
                              d->name))
                return false;
        }
        if (chosen[k].definition) {
            key = arena_printf(a, "%s %s:%s.%s", key, b->name, chosen[k].module->path, chosen[k].definition->name);
            symbol = arena_printf(a, "%s_%s", symbol, chosen[k].definition->name);
        }
    }
    if (!args_all_used(s, &args, d->name)) return false;
    out->name = d->name;
    for (uint32_t k = 0; k < e->noptimisers; k++) {
        const Optimiser *o = e->optimisers[k];
        if (strcmp(o->key, key) != 0) continue;
        if (!o->routine) return false;
        out->routine = o->routine->name, out->hash = o->hash, out->states = o->states;
        return true;
    }
    Optimiser *o = arena_alloc(a, sizeof *o);
    o->key = key;
    *ARENA_PUSH(a, e->optimisers, e->noptimisers, e->optimisers_cap) = o;

    symbol = elab_name(e, arena_printf(a, "%s_update", symbol));
    Machine *m = machine_new(e, symbol, shape_of(1, (uint32_t[]){DEQ_CHUNK}));
    Scope inner = scope_of_module(e, owner);
    inner.build = machine_build(m);
    inner.host = optimiser_host;
    Value dw = machine_leaf(m, PLACE_ARG, 1, m->row, true, "dw");
    inner.host_data = &dw;
    machine_add_cell(m, &inner, "w", machine_leaf(m, PLACE_ARG, 0, m->row, true, "w"));
    scope_bind(&inner, "t", machine_leaf(m, PLACE_SCALAR, 0, shape_scalar(), false, "t"));
    scope_bind(&inner, "steps", machine_leaf(m, PLACE_SCALAR, 1, shape_scalar(), false, "steps"));
    for (uint32_t k = 0; k < n; k++) {
        Value *items = arena_alloc(a, (chosen[k].n + 1) * sizeof *items);
        for (uint32_t i = 0; i < chosen[k].n; i++)
            items[i] = machine_leaf(m, PLACE_SCALAR, 2 + chosen[k].first + i, shape_scalar(), false,
                                    out->scalars.items[chosen[k].first + i].name);
        Value rate = {.kind = VALUE_RATE,
                      .ast = chosen[k].definition,
                      .module = chosen[k].module,
                      .items = items,
                      .nitems = chosen[k].n};
        scope_bind(&inner, list->kids[k]->name, has_type(list->kids[k], "schedule") ? rate : items[0]);
    }
    if (!run_body(&inner, m, AST_SLOT(d, OPTIMISER_DEF, body), &out->states) ||
        !goes_by_element(&inner, inner.build->graph, d->name))
        return false;
    Routine *r = machine_finish(m, symbol, true);
    for (uint32_t k = 0; k < 2 + out->states; k++) r->arg_bytes[k] = machine_row_bytes(m, m->row);
    o->hash = out->hash = routine_hash(e, r);
    o->states = out->states;
    o->routine = r;
    out->routine = r->name;
    return true;
}
