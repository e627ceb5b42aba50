/* fixed_point.c - a fixed point: its body becomes a graph of its own, closed over what it captures. */
#include "elaborate.h"
#include "families.h"
#include <math.h>
#include <string.h>

typedef struct Places { /* of the settings' values */
    Range forward, gradient, certify;
} Places;

/* `start: EXPRESSION`: one value for each component, made before the iteration begins. */
static bool read_start(Scope *s, const Ast *value, FixedPoint *f, const Shape *shapes) {
    const bool tuple = value->kind == AST_TUPLE && f->nstate > 1;
    f->starts = arena_alloc(s->elab->arena, f->nstate * sizeof *f->starts);
    for (uint32_t k = 0; k < f->nstate; k++) {
        const Ast *part = tuple ? value->kids[k] : value;
        Value v = value_fit(s, eval(s, part), shapes[k], part->range, "the start");
        NodeId node = node_of(s, v, part->range);
        if (node == NODE_NONE) return false;
        f->starts[k] = graph_batch(s->build->graph, node, part->range);
    }
    f->start = "given";
    return true;
}

static bool is_word(const Ast *value, const char *word) {
    return value->kind == AST_NAME && strcmp(value->name, word) == 0;
}

static const char **setting_slot(FixedPoint *f, deq_fixed_key key) {
    const char **slots[DEQ_FIXED_KEYS] = {
#define FIXED_SETTING(key, kind, words, fallback, doc) &f->key,
#include "fixed_settings.def"
    };
    return slots[key];
}

static bool read_setting(Scope *s, const Ast *item, FixedPoint *f, const Shape *shapes, Places *places) {
    const Ast *key = AST_SLOT(item, SETTING, key), *value = AST_SLOT(item, SETTING, value);
    if (key->kind != AST_NAME || !value)
        return elab_error(s, DIAG_E0405, item->range, "this is not a setting of a fixed point"), false;
    if (strcmp(key->name, "certify") == 0) {
        const Ast *callee = value->kind == AST_CALL ? AST_SLOT(value, CALL, callee) : NULL;
        const Ast *args = callee ? AST_SLOT(value, CALL, inputs) : NULL;
        if (!args || args->nkids != 1 || callee->kind != AST_NAME)
            return elab_error(s, DIAG_E0504, value->range, "this is not a value of 'certify'"), false;
        f->certificate = (Certificate){callee->name, 0, NAN};
        places->certify = value->range;
        return eval_number(s, AST_SLOT(args->kids[0], ARG, value), &f->certificate.claimed);
    }
    const char *rest;
    int which = deq_fixed_key_find(key->name, &rest);
    if (which == DEQ_FIXED_KEY_start && !is_word(value, "zeros") && !is_word(value, "previous"))
        return read_start(s, value, f, shapes);
    if (which < 0)
        return elab_error(s, DIAG_E0490, item->range, "'%s' of a fixed point is not available in this version",
                          key->name),
               false;
    const char **slot = setting_slot(f, (deq_fixed_key)which);
    *slot = setting_text(s, key->name, value);
    if (!*slot) return false;
    if (which == DEQ_FIXED_KEY_forward) places->forward = value->range;
    if (which == DEQ_FIXED_KEY_gradient) places->gradient = value->range;
    return which != DEQ_FIXED_KEY_penalty || model_penalty(s, s->net->model, *slot, value->range);
}

static bool add_state(Scope *s, Scope *inner, const Ast *list, FixedPoint *f, Shape *shapes) {
    for (uint32_t k = 0; k < list->nkids; k++) {
        const Ast *b = list->kids[k];
        uint32_t classes;
        if (!eval_type(s, AST_SLOT(b, BINDING, type), &shapes[k], &classes)) return false;
        f->state_names[k] = b->name;
        scope_bind(inner, b->name,
                   value_node(inner->build, graph_input(inner->build->graph, shapes[k], true, b->name, b->range)));
    }
    return true;
}

bool fixed_point(Scope *s, const Ast *fixed) {
    Elab *e = s->elab;
    Arena *a = e->arena;
    Net *net = s->net;
    if (!net) return elab_error(s, DIAG_E0318, fixed->range, "a fixed point stands in a layer"), false;
    if (s->in_fixed)
        return elab_error(s, DIAG_E0441, fixed->range,
                          "a fixed point inside the body of another is not available in this version"),
               false;
    const Ast *states = AST_SLOT(fixed, FIXED, state), *items = AST_SLOT(fixed, FIXED, items);
    Model *m = net->model;
    const char *state = states->kids[0]->name, *path = s->path;
    if (s->fixed_points > 1) path = *path ? arena_printf(a, "%s.%s", path, state) : state;
    FixedPoint f = {.path = path, .loc = fixed->range, .nstate = states->nkids};
    for (int k = 0; k < DEQ_FIXED_KEYS; k++) *setting_slot(&f, (deq_fixed_key)k) = deq_fixed_table[k].fallback;
    f.name = elab_name(e, arena_printf(a, "%s_%s", m->name, *path ? path : state));
    elab_reserve(e, f.name,
                 (const char *const[]){"f", "lin", "jvp", "vjp_z", "vjp_x", "vjp_rest", "vjp_zx", "vjp_all", "vjp_jvp",
                                       "linear", "transposed", "constant", "prox", "slope", "diagonal", "fixed", NULL});
    f.state_names = arena_alloc(a, f.nstate * sizeof *f.state_names);
    Shape *shapes = arena_alloc(a, f.nstate * sizeof *shapes);
    NodeId *next = arena_alloc(a, f.nstate * sizeof *next);

    Places places = {fixed->range, fixed->range, fixed->range};
    Scope inner = *s;
    inner.build = build_new(a, f.name, s->build);
    inner.in_fixed = true;
    f.body = inner.build->graph;
    if (!add_state(s, &inner, states, &f, shapes)) return false;
    for (uint32_t k = 0; k < f.nstate; k++) next[k] = NODE_NONE;
    for (uint32_t k = 0; k < items->nkids; k++) {
        const Ast *item = items->kids[k];
        if (statement(&inner, item)) continue;
        if (item->kind == AST_FOR) {
            Value none = {0};
            if (run_for(&inner, item, &none)) return false;
            continue;
        }
        if (item->kind == AST_SETTING) {
            if (!read_setting(s, item, &f, shapes, &places)) return false;
            continue;
        }
        const Ast *target = item->kind == AST_EQUATION ? AST_SLOT(item, EQUATION, target) : NULL;
        uint32_t i = 0;
        while (target && target->kind == AST_NAME && i < f.nstate && strcmp(target->name, f.state_names[i]) != 0) i++;
        if (!target || target->kind != AST_NAME || i == f.nstate)
            return elab_error(s, DIAG_E0403, item->range, "this does not define a state of the fixed point"), false;
        Value v = eval(&inner, AST_SLOT(item, EQUATION, value));
        v = value_fit(&inner, v, shapes[i], AST_SLOT(item, EQUATION, value)->range, "the new state");
        next[i] = node_of(&inner, v, item->range);
        if (next[i] == NODE_NONE) return false;
    }
    for (uint32_t k = 0; k < f.nstate; k++) {
        if (next[k] == NODE_NONE)
            return elab_error(s, DIAG_E0401, fixed->range, "state '%s' has no equation", f.state_names[k]), false;
        graph_output(f.body, next[k]);
    }
    graph_verify(f.body);
    if (!setting_fits(s, &f, "forward", f.forward, places.forward) ||
        !setting_fits(s, &f, "gradient", f.gradient, places.gradient))
        return false;

    Graph *g = s->build->graph;
    Build *b = inner.build;
    Attr attr = {.fixed.index = m->nfixed};
    f.fixed_node = graph_op_shaped(g, OP_fixed, b->outside, b->ncaptured, &attr, shape_scalar(), true, fixed->range);
    if (f.certificate.kind && !certify(s, &f, places.certify)) return false;
    for (uint32_t k = 0; k < f.nstate; k++)
        scope_bind(s, f.state_names[k],
                   value_node(s->build, graph_op_shaped(g, OP_fixed_state, &f.fixed_node, 1,
                                                        &(Attr){.state.component = k}, shapes[k], true, fixed->range)));
    *ARENA_PUSH(a, m->fixed, m->nfixed, net->nfixed_cap) = f;
    return true;
}
