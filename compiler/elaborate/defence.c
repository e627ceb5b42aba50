/* defence.c - a defence's body as weights over the solver's states, in the runtime's words (runtime/defence.h).
 *
 * The body is elaborated like any other: each state it reads, each mean of states, and the value, becomes an input of a small
 * graph, named by its text.  The result is then followed back to these inputs, multiplying by the numbers on the way.
 */
#include "elaborate.h"
#include <math.h>
#include <string.h>

enum { LAST_STATE = 100000, MOST_TERMS = 32 }; /* as in the runtime */

/* The states of one example: a shape of its own, so that what is no weighted sum (their norm, an element) shows. */
static Shape state_shape(void) { return shape_of(1, (uint32_t[]){2}); }

static Value read_states(Scope *s, const char *text, Range at) {
    return value_node(s->build, graph_input(s->build->graph, state_shape(), true, text, at));
}

static Value not_states(Scope *s, Range at, double first) {
    Arena *a = s->elab->arena;
    const char *help = "states[1] is the state after the first step; the start, z_0, is none";
    if (first < 1)
        return elab_error_help(s, DIAG_E0314, at, help, "there is no state %s: states count from 1",
                               number_text(a, first));
    return elab_error(s, DIAG_E0314, at, "states are counted by whole numbers up to %s, in ranges that are not empty",
                      number_text(a, LAST_STATE));
}

Value defence_index(Scope *s, Value states, const Ast *e) {
    const Ast *indices = AST_SLOT(e, INDEX, indices);
    if (states.limit > 0 || indices->nkids != 1)
        return elab_error(s, DIAG_E0314, e->range, "states are read as states[n] or states[a..b]");
    Value i = eval(s, indices->kids[0]);
    if (i.kind == VALUE_NONE) return i;
    Range at = indices->kids[0]->range;
    bool range = i.kind == VALUE_RANGE;
    if (!range && i.kind != VALUE_NUMBER)
        return elab_error(s, DIAG_E0314, at, "a state's number must be known at compile time");
    double from = i.number, to = range ? i.limit : from + 1;
    if (!(from >= 1 && from == floor(from) && to == floor(to) && to > from && to <= LAST_STATE + 1))
        return not_states(s, at, from);
    if (range) return (Value){.kind = VALUE_STATES, .number = from, .limit = to};
    return read_states(s, arena_printf(s->elab->arena, "states[%d]", (int)from), e->range);
}

Value defence_mean(Scope *s, Value states, Range at) {
    Arena *a = s->elab->arena;
    if (states.limit == 0) return read_states(s, "mean(states)", at);
    int from = (int)states.number, to = (int)states.limit;
    return read_states(
        s, to == from + 1 ? arena_printf(a, "states[%d]", from) : arena_printf(a, "mean(states[%d..%d])", from, to),
        at);
}

/* ---- the weights ---- */
typedef struct Terms {
    const char *states[MOST_TERMS];
    double weights[MOST_TERMS];
    uint32_t n;
} Terms;

static bool known(const Graph *g, NodeId id, double *value) {
    while (graph_node(g, id)->op == OP_broadcast || graph_node(g, id)->op == OP_reshape) id = graph_arg(g, id, 0);
    *value = graph_node(g, id)->attr.value;
    return graph_node(g, id)->op == OP_constant;
}

static bool add_term(Terms *t, const char *states, double weight) {
    uint32_t k = 0;
    while (k < t->n && strcmp(t->states[k], states) != 0) k++;
    if (k == MOST_TERMS) return false;
    if (k == t->n) {
        t->states[k] = states;
        t->weights[t->n++] = 0;
    }
    t->weights[k] += weight;
    return true;
}

static bool refuse(const Scope *s, Range at, const char *what) {
    elab_error_help(s, DIAG_E0520, at,
                    "a defence adds states, means of states and final, multiplied or divided by numbers: "
                    "(states[4] + mean(states)) / 2",
                    "%s", what);
    return false;
}

/* Arguments come before the node that uses them, so one pass from the result down meets every use of a node first. */
static bool weigh(const Scope *s, const Graph *g, NodeId root, Range whole, Terms *out) {
    double *share = arena_alloc(s->elab->arena, (root + 1) * sizeof *share), value;
    memset(share, 0, (root + 1) * sizeof *share);
    share[root] = 1;
    for (NodeId id = root + 1; id-- > 0;) {
        const Node *n = graph_node(g, id);
        Range at = n->loc.source ? n->loc : whole;
        NodeId a = n->nargs > 0 ? graph_arg(g, id, 0) : NODE_NONE, b = n->nargs > 1 ? graph_arg(g, id, 1) : NODE_NONE;
        double w = share[id];
        if (w == 0) continue;
        if (!isfinite(w)) return refuse(s, at, "a weight of this sum is not a finite number");
        if (known(g, id, &value)) {
            if (value != 0) return refuse(s, at, "a number is added to the states");
            continue;
        }
        switch (n->op) {
        case OP_input:
            if (!add_term(out, n->attr.name, w)) {
                elab_error(s, DIAG_E0601, whole, "a defence reads at most %d states and means of states", MOST_TERMS);
                return false;
            }
            break;
        case OP_add: share[a] += w, share[b] += w; break;
        case OP_sub: share[a] += w, share[b] -= w; break;
        case OP_neg: share[a] -= w; break;
        case OP_broadcast: share[a] += w; break;
        case OP_mul:
            if (known(g, b, &value))
                share[a] += w * value;
            else if (known(g, a, &value))
                share[b] += w * value;
            else
                return refuse(s, at, "states are multiplied with each other");
            break;
        case OP_div:
            if (!known(g, b, &value)) return refuse(s, at, "a defence cannot divide by a state");
            share[a] += w / value;
            break;
        default: return refuse(s, at, "this is not a weighted sum of the solver's states");
        }
    }
    return true;
}

static const char *terms_text(Arena *a, const Terms *t) {
    const char *text = "";
    for (uint32_t k = t->n; k-- > 0;) { /* in the order in which the body reads them */
        if (t->weights[k] == 0) continue;
        const char *weight = t->weights[k] == 1 ? "" : arena_printf(a, "%s * ", number_text(a, t->weights[k]));
        text = arena_printf(a, "%s%s%s%s", text, *text ? " + " : "", weight, t->states[k]);
    }
    return text;
}

const char *defence_text(Scope *s, const Ast *given) {
    Scope from;
    const Module *owner = NULL;
    const char *name = NULL;
    const Ast *call = NULL;
    if (is_none(s, given)) return "none";
    const Ast *d = instance_definition(s, given, AST_DEFENCE, AST_DEFENCE_DEF, &from, &owner, &name, &call);
    if (!d || d->kind != AST_DEFENCE_DEF)
        return elab_error(s, DIAG_E0504, given->range, "a defence is needed here"), NULL;
    Env *numbers = NULL;
    Scalars unused = {0};
    if (!instance_numbers(&from, call, AST_SLOT(d, DEFENCE_DEF, inputs), owner, d->name, false, &numbers, &unused))
        return NULL;
    Scope inner = scope_of_module(s->elab, owner);
    Frame frame = {arena_printf(s->elab->arena, "'%s' is used here", name ? name : d->name), given->range, s->frame};
    inner.frame = &frame;
    inner.env = numbers;
    inner.build = build_new(s->elab->arena, d->name, NULL);
    scope_bind(&inner, "states", (Value){.kind = VALUE_STATES});
    scope_bind(&inner, "final", read_states(&inner, "final", d->name_range));
    const Ast *body = AST_SLOT(d, DEFENCE_DEF, body);
    for (uint32_t k = 0; k < body->nkids; k++) {
        const Ast *item = body->kids[k];
        if (statement(&inner, item)) continue;
        if (item->kind != AST_RETURN)
            return elab_error(&inner, DIAG_E0318, item->range, "a %s cannot stand in a defence",
                              ast_kind_name(item->kind)),
                   NULL;
        const Ast *result = AST_SLOT(item, RETURN, value);
        Value v = eval_shaped(&inner, result, state_shape());
        Terms terms = {0};
        if (v.kind != VALUE_NODE || !weigh(&inner, inner.build->graph, v.node, result->range, &terms)) return NULL;
        const char *text = terms_text(s->elab->arena, &terms);
        if (!*text) return refuse(&inner, result->range, "this reads no state"), NULL;
        return strcmp(text, "final") ? text : "none"; /* the value alone: no defence */
    }
    return elab_error(&inner, DIAG_E0511, d->name_range, "defence '%s' does not return", d->name), NULL;
}

bool defence_check(Scope *s, const Ast *declaration) {
    if (declaration->kind == AST_DEFENCE) return defence_text(s, AST_SLOT(declaration, DEFENCE, value)) != NULL;
    const Ast *params = AST_SLOT(declaration, DEFENCE_DEF, inputs),
              *list = params ? AST_SLOT(params, PARAMS, inputs) : NULL;
    for (uint32_t k = 0; list && k < list->nkids; k++)
        if (!AST_SLOT(list->kids[k], BINDING, fallback)) return true;
    Ast name = {.kind = AST_NAME, .name = declaration->name, .range = declaration->name_range};
    return defence_text(s, arena_copy(s->elab->arena, &name, sizeof name)) != NULL;
}
