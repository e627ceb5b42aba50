/* attacks.c - attacks as members of the manifest: the nets that they ask, and those that are made of others. */
#include "declarations.h"
#include "items.h"
#include "tables.h"
#include <math.h>
#include <string.h>

json_t *pipe_attack(const AttackUse *use) {
    json_t *j = json_pack("{s:s, s:s, s:s, s:o, s:s}", "name", use->name, "definition", use->definition, "routine",
                          use->routine, "scalars", pipe_scalars(&use->scalars), "hash", use->hash);
    json_object_set_new(j, "gradient", use->gradient ? json_string(use->gradient) : json_null());
    if (use->judge && strcmp(use->judge, "surrogate") == 0) json_object_set_new(j, "surrogate", json_true());
    if (!use->differentiates) json_object_set_new(j, "differentiates", json_false());
    if (use->allow_masking) json_object_set_new(j, "allow_masking", json_true());
    return j;
}

/* ---- attacks on another net ---- */
const Ast *pipe_train_declaration(Scope *s, const Ast *e) {
    Scope from;
    e = resolve_ast(s, e, &from);
    char path[512];
    const Ast *d = e->kind == AST_TRAIN             ? e
                   : item_experiment(e)             ? e->ref
                   : ast_path(e, path, sizeof path) ? module_find(from.module, path, NULL)
                                                    : NULL;
    return d && d->kind == AST_TRAIN ? d : NULL;
}

const TrainUse *pipe_find_train(Pipe *p, Scope *s, const Ast *e) {
    const Ast *d = pipe_train_declaration(s, e);
    const TrainUse *own = d && p->in_cell ? p->in_cell(p->cell, d, NULL) : NULL;
    if (own) return own;
    for (uint32_t k = p->nuses; d && k-- > 0;)
        if (p->uses[k]->ast == d && !p->uses[k]->in_cell) return p->uses[k];
    return d ? pipe_train_of_module(p, d) : NULL;
}

static const char *target_text(Arena *a, const Target *t) {
    return t->classes ? arena_printf(a, "label[%u]", t->classes) : shape_text(a, t->shape);
}

static bool has_defence(const json_t *overrides) {
    for (size_t k = 0; k < json_array_size(overrides); k++)
        if (strcmp(json_string_value(json_array_get(json_array_get(overrides, k), 0)), "defence") == 0) return true;
    return false;
}

/* The net that an attack asks in place of the evaluated one, with the settings that it has there. */
static const TrainUse *attacked_net(Pipe *p, Scope *s, const Ast *given, const Net *net, json_t *overrides) {
    Scope from;
    const Ast *model = resolve_ast(s, given, &from), *with = NULL;
    if (model->kind == AST_WITH) with = AST_SLOT(model, WITH, settings), model = AST_SLOT(model, WITH, base);
    const TrainUse *train = pipe_find_train(p, &from, model);
    if (!train) {
        const Ast *d = pipe_train_declaration(&from, model);
        if (!d)
            elab_error(s, DIAG_E0504, given->range, "'against' is a trained net");
        else if (!diags_errors(s->elab->diags)) /* else its own error is told */
            elab_error(s, DIAG_E0205, given->range,
                       "'%s' is not trained yet where this attack is used: 'against' names a net trained above",
                       d->name);
        return NULL;
    }
    if (!shape_equal(train->net->input, net->input))
        return elab_error(s, DIAG_E0505, given->range, "'%s' takes inputs %s, the evaluated net '%s' takes %s",
                          train->name, shape_text(s->elab->arena, train->net->input), net->model->name,
                          shape_text(s->elab->arena, net->input)),
               NULL;
    if (train->net->target.classes != net->target.classes || !shape_equal(train->net->target.shape, net->target.shape))
        return elab_error(s, DIAG_E0505, given->range, "'%s' has the targets %s, the evaluated net '%s' has %s",
                          train->name, target_text(s->elab->arena, &train->net->target), net->model->name,
                          target_text(s->elab->arena, &net->target)),
               NULL;
    if (with && !pipe_overrides(&from, with, train->net, overrides)) return NULL;
    return train;
}

/* An attack on the net that it asks in place of the evaluated one, with the settings `overrides` there. */
static json_t *attack_on_other(Pipe *p, Scope *s, const Ast *given, const AttackSettings *around, Scope *from,
                               const Ast *against, const Net *net, bool margin, json_t *overrides) {
    AttackUse use;
    const TrainUse *other = attacked_net(p, from, against, net, overrides);
    if (!other) return NULL;
    const char *loss = margin ? pipe_margin(p->elab, other->net) : other->loss;
    if (!attack_use(s, given, around, other->net, loss, false, &use)) return NULL;
    if (use.judge && strcmp(use.judge, "surrogate") == 0 && has_defence(overrides))
        return elab_error_help(
                   from, DIAG_E0504, against->range, "without 'judge', losses are those of the defence's prediction",
                   "'judge: surrogate' takes losses at the states of the gradient mode, and a defence reads "
                   "others: an attack has one of the two"),
               NULL;
    json_t *j = pipe_attack(&use);
    json_object_set_new(j, "against", json_pack("{s:s, s:O}", "model", other->name, "settings", overrides));
    return j;
}

/* One attack as JSON: on `net`, or on the net that it asks in its place.  `margin`: on the margin of that net. */
static json_t *one_attack(Pipe *p, Scope *s, const Ast *given, const AttackSettings *around, Net *net, const char *loss,
                          bool margin) {
    AttackUse use;
    const Ast *against = NULL;
    Scope from;
    if (!attack_against(s, given, around, &against, &from)) return NULL;
    if (!against) return attack_use(s, given, around, net, loss, false, &use) ? pipe_attack(&use) : NULL;
    json_t *overrides = json_array(), *j = attack_on_other(p, s, given, around, &from, against, net, margin, overrides);
    json_decref(overrides);
    return j;
}

/* ---- attacks one after the other ---- */
typedef struct Chain {
    Pipe *pipe;
    Net *net;
    const char *loss;
    bool margin;
    json_t **items;
    uint32_t n, cap;
} Chain;

const Ast *pipe_combination(Scope *s, const Ast *e, Scope *from, const char **word, const char **name,
                            AttackSettings *with) {
    *from = *s;
    for (int k = 0; k < 64; k++) {
        e = resolve_ast(from, e, from);
        if (e->kind == AST_IF) {
            if (!(e = attack_chosen(from, e))) return NULL; /* attack_use reports it again, and is heard once */
            continue;
        }
        if (e->kind == AST_WITH) {
            e = attack_with(from, e, with);
            continue;
        }
        const Ast *callee = e->kind == AST_CALL ? AST_SLOT(e, CALL, callee) : NULL;
        const Module *owner = NULL;
        char path[512];
        if (callee && callee->kind == AST_NAME && !module_find(from->module, callee->name, NULL)) {
            const Builtin *joins = builtin_find(callee->name, CTX_PIPELINE);
            if (builtin_joins_attacks(joins)) return *word = joins->name, e;
        }
        bool ok;
        const Ast *others = attack_others(from, e, name, with, &ok);
        if (others) {
            e = others;
            continue;
        }
        const Ast *d = ok && ast_path(e, path, sizeof path) ? module_find(from->module, path, &owner) : NULL;
        if (!d || d->kind != AST_ATTACK) return NULL;
        if (!*name) *name = d->name;
        Scope next = scope_of_module(s->elab, owner);
        next.frame = s->frame;
        *from = next;
        e = d->kids[0];
    }
    return NULL;
}

static bool add_attacks(Scope *s, const Ast *given, const AttackSettings *around, bool all, uint32_t depth,
                        Chain *out) {
    Arena *a = s->elab->arena;
    Scope from;
    const char *word = NULL, *name = NULL;
    AttackSettings with = {0};
    for (uint32_t k = 0; around && k < around->n; k++) *ARENA_PUSH(a, with.items, with.n, with.cap) = around->items[k];
    with.level = around ? around->level + 1 : 0;
    const Ast *call = depth < 32 ? pipe_combination(s, given, &from, &word, &name, &with) : NULL;
    if (!call) {
        json_t *j = one_attack(out->pipe, s, given, around, out->net, out->loss, out->margin);
        if (!j) return false;
        if (all) json_object_set_new(j, "all", json_true());
        *ARENA_PUSH(a, out->items, out->n, out->cap) = j;
        return true;
    }
    const Ast *parts = AST_SLOT(call, CALL, inputs);
    bool again = strcmp(word, "restarts") == 0;
    double count = 1;
    for (uint32_t k = 0; again && k < parts->nkids; k++)
        if ((parts->kids[k]->name ? strcmp(parts->kids[k]->name, "count") == 0 : k == 1) &&
            !eval_number(&from, AST_SLOT(parts->kids[k], ARG, value), &count))
            return false;
    if (!(count >= 1 && count <= 1000) || count != floor(count))
        return elab_error(s, DIAG_E0412, call->range, "'count' of 'restarts' is a whole number from 1 to 1000"), false;
    uint32_t first = out->n;
    for (uint32_t k = 0; k < parts->nkids; k++) {
        const Ast *part = parts->kids[k];
        if (again && (part->name ? strcmp(part->name, "attack") != 0 : k != 0)) continue;
        if (!add_attacks(&from, AST_SLOT(part, ARG, value), &with, strcmp(word, "worst_of") == 0, depth + 1, out))
            return false;
    }
    for (uint32_t r = 1, n = out->n - first; r < (uint32_t)count; r++)
        for (uint32_t k = 0; k < n; k++) {
            json_t *copy = json_deep_copy(out->items[first + k]);
            json_object_set_new(copy, "restart", json_integer(r));
            *ARENA_PUSH(a, out->items, out->n, out->cap) = copy;
        }
    return true;
}

json_t *pipe_attacks(Pipe *p, Scope *s, const Ast *given, Net *net, const char *loss, bool margin) {
    Chain chain = {.pipe = p, .net = net, .loss = loss, .margin = margin};
    Scope from;
    const char *word = NULL, *name = NULL;
    bool joined = pipe_combination(s, given, &from, &word, &name, &(AttackSettings){0}) != NULL;
    if (!add_attacks(s, given, NULL, false, 0, &chain)) return NULL;
    if (chain.n == 0) return elab_error(s, DIAG_E0504, given->range, "an attack is needed here"), NULL;
    for (uint32_t k = chain.n - 1; k > 0; k--) json_object_set_new(chain.items[k - 1], "next", chain.items[k]);
    if (joined)
        json_object_set_new(chain.items[0], "joined",
                            json_string(name ? name : range_text(s->elab->arena, given->range)));
    return chain.items[0];
}
