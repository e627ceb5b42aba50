/* check_with.c - overrides of a net's or an attack's settings, net with { body.forward.tol: 1e-6 }, and whether the
 * solvers of a net serve a gradient mode that is set from outside. */
#include "checker.h"
#include <string.h>

typedef struct Override {
    Ast *value;          /* a gradient mode */
    const char *path;    /* "body." or NULL: every fixed point */
    const char *forward; /* the solver an override of the same block gives, or NULL */
    bool served;         /* a gradient by hand: of one of these fixed points */
} Override;

/* A mode set for a net must be served by the forward solver of each of its fixed points. */
static void mode_at_fixed(Checker *c, const Ast *fixed, const char *path, void *data) {
    Override *o = data;
    if (o->value->type->kind == TYPE_ERROR || (o->path && !same(o->path, path))) return;
    if (gradient_by_hand(o->value))
        o->served = o->served || gradient_is_of(o->value->ref, fixed);
    else if (!check_mode(c, o->value, o->forward ? o->forward : forward_of(fixed, "anderson")) ||
             (!o->forward && !check_states_reached(c, o->value, forward_value(fixed))))
        fail(o->value);
}

void check_mode_for(Checker *c, Ast *value, const Type *layer, const char *path, const char *forward) {
    Override o = {value, path, forward, false};
    const Ast *sweep = value->kind == AST_NAME && value->ref && value->ref->kind == AST_SWEEP ? value->ref : NULL;
    Ast *list = sweep ? SLOT(sweep, SWEEP, values) : NULL;
    if (!check_mode(c, value, NULL) || !layer) return;
    if (!layer_has_fixed(c, layer->decl)) {
        diag_report(c->diags, DIAG_E0513, value->range, "'%s' has no fixed point whose gradient could be set",
                    layer->decl->name);
        return;
    }
    if (!list) {
        each_fixed(c, layer->decl, "", mode_at_fixed, &o);
        if (gradient_by_hand(value) && !o.served && value->type->kind != TYPE_ERROR)
            diag_note(diag_report(c->diags, DIAG_E0457, value->range, "'%s' is a gradient of another layer than %s",
                                  value->name, path ? "this path leads to" : "those of the net with a fixed point"),
                      place(value->ref), "declared here");
    } else if (list->kind == AST_ARRAY) { /* whichever value the sweep has */
        for (uint32_t i = 0; i < list->nkids; i++)
            if (list->kids[i]->type && list->kids[i]->type->kind == TYPE_MODE)
                check_mode_for(c, list->kids[i], layer, path, forward);
    }
}

/* An attack differentiates the net by its own mode: what that needs of the net's solvers. */
void check_attack_mode(Checker *c, const Ast *attack, const Type *layer) {
    if (attack->kind == AST_NAME && attack->ref && attack->ref->kind == AST_ATTACK)
        attack = SLOT(attack->ref, ATTACK, value);
    if (attack && attack->kind == AST_IF) {
        check_attack_mode(c, SLOT(attack, IF, yes), layer);
        check_attack_mode(c, SLOT(attack, IF, no), layer);
        return;
    }
    if (attack && attack->kind == AST_CALL && SLOT(attack, CALL, callee)->kind == AST_NAME &&
        !SLOT(attack, CALL, callee)->ref) { /* sequence(..) and the like */
        const Ast *parts = SLOT(attack, CALL, inputs);
        for (uint32_t i = 0; i < parts->nkids; i++)
            if (parts->kids[i]->kind == AST_ARG) check_attack_mode(c, SLOT(parts->kids[i], ARG, value), layer);
        return;
    }
    const Ast *callee = attack && attack->kind == AST_CALL ? SLOT(attack, CALL, callee) : NULL;
    if (callee && callee->ref && ast_attack_of_others(callee->ref)) {
        check_attack_mode(c, SLOT(callee->ref, ATTACK_DEF, body), layer);
        return;
    }
    Ast *list = attack && attack->kind == AST_WITH ? SLOT(attack, WITH, settings) : NULL;
    for (uint32_t k = 0, n = list ? settings_variants(c, list) : 0; k < n; k++) {
        Ast *mode = ast_setting_value(settings_variant(c, list, k), "gradient");
        Ast *against = ast_setting_value(settings_variant(c, list, k), "against");
        const Type *asked = layer; /* whose gradient it is */
        if (against && against->type && against->type->kind == TYPE_NET) {
            if (overrides_forward(c, against)) continue;
            asked = against->type->items[0];
        }
        if (mode && layer_has_fixed(c, asked->decl) && check_mode(c, mode, NULL))
            check_mode_for(c, mode, asked, NULL, NULL);
    }
}

/* Does `net with { .. }` give its fixed points another solver? */
bool overrides_forward(Checker *c, const Ast *net) {
    const Ast *list = net->kind == AST_WITH ? settings_variant(c, SLOT(net, WITH, settings), 0) : NULL;
    char path[512];
    for (uint32_t i = 0; list && i < list->nkids; i++)
        if (list->kids[i]->kind == AST_SETTING && ast_path(SLOT(list->kids[i], SETTING, key), path, sizeof path) &&
            strstr(path, "forward"))
            return true;
    return false;
}

const Ast *used_layer(const Ast *layer, const char *name) {
    const Ast *body = SLOT(layer, LAYER, body);
    for (uint32_t i = 0; body && i < body->nkids; i++)
        if (body->kids[i]->kind == AST_USE && same(body->kids[i]->name, name) && body->kids[i]->type &&
            body->kids[i]->type->kind == TYPE_LAYER)
            return body->kids[i]->type->decl;
    return NULL;
}

/* A fixed point of the layer itself: the one whose first state is called `state`, or with NULL the first. */
static const Ast *own_fixed(const Ast *layer, const char *state) {
    const Ast *body = SLOT(layer, LAYER, body);
    for (uint32_t i = 0; body && i < body->nkids; i++) {
        const Ast *list = body->kids[i]->kind == AST_FIXED ? SLOT(body->kids[i], FIXED, state) : NULL;
        if (list && (!state || (list->nkids && same(list->kids[0]->name, state)))) return body->kids[i];
    }
    return NULL;
}

static void first_fixed(Checker *c, const Ast *fixed, const char *path, void *data) {
    const Ast **found = data;
    (void)c, (void)path;
    if (!*found) *found = fixed;
}

static void bad_path(Checker *c, const Ast *key, const char *message, const Ast *layer) {
    const char *list = "";
    const Ast *body = layer ? SLOT(layer, LAYER, body) : NULL;
    for (uint32_t i = 0; body && i < body->nkids; i++)
        if (body->kids[i]->kind == AST_USE)
            list = arena_printf(c->arena, "%s%s'%s'", list, *list ? ", " : "", body->kids[i]->name);
    Diagnostic *d = diag_report(c->diags, DIAG_E0513, key->range, "%s", message);
    if (*list)
        diag_help(d, "'%s' uses %s; settings are forward, gradient, finish, penalty, on_fail", layer->name, list);
    else
        diag_help(d, "settings are forward, gradient, finish, penalty, on_fail: body.forward.tol: 1e-6");
}

static const char *solver_name(const Ast *value) {
    if (value && is_chain(value)) return "a chain of solvers";
    const Ast *callee = value && value->kind == AST_CALL ? SLOT(value, CALL, callee) : NULL;
    return callee && callee->kind == AST_NAME ? callee->name : NULL;
}

static void check_override_option(Checker *c, const Ast *key, Ast *value, const char *setting, const char *option,
                                  const char *solver, const Ast *chain) {
    if (same(setting, "forward")) {
        const deq_argument *a = solver ? solver_argument(solver, option) : solver_argument(NULL, option);
        const Ast *link;
        for (uint32_t i = 0; chain && !a && (link = chain_link(chain, i)); i++) {
            const char *name = solver_name(link); /* an argument of any of them */
            if (name && (a = solver_argument(name, option))) solver = name;
        }
        if (a)
            check_argument_value(c, value, a,
                                 arena_printf(c->arena, "%s' of '%s", option, solver ? solver : "the solver"));
        else
            bad_path(c, key,
                     arena_printf(c->arena, "'%s' has no argument '%s'", solver ? solver : "the solver", option), NULL);
        return;
    }
    if (same(setting, "penalty")) {
        if (!check_penalty_option(c, value, option))
            bad_path(c, key, arena_printf(c->arena, "no penalty has an argument '%s'", option), NULL);
        return;
    }
    if (same(setting, "finish")) {
        const deq_argument *a = deq_argument_find(&deq_finish_family, NULL, deq_part_of(option));
        if (a)
            check_argument_value(c, value, a, option);
        else
            bad_path(c, key, arena_printf(c->arena, "'finish' has no argument '%s'", option), NULL);
        return;
    }
    const char *adjoint = strncmp(option, "adjoint.", 8) == 0 ? option + 8 : NULL;
    deq_argument widest; /* which solver or mode it is of is known when it runs */
    if (deq_argument_widest(adjoint ? &deq_solver_family : &deq_mode_family, adjoint ? SOLVER_ADJOINT : 0,
                            deq_part_of(adjoint ? adjoint : option), &widest))
        check_argument_value(c, value, &widest, option);
    else
        bad_path(c, key, arena_printf(c->arena, "no gradient mode has an argument '%s'", option), NULL);
}

static void check_override(Checker *c, Ast *s, const Type *layer, bool trained, const char *forward) {
    char buffer[512];
    Ast *key = SLOT(s, SETTING, key), *value = SLOT(s, SETTING, value);
    if (!value || !ast_path(key, buffer, sizeof buffer)) {
        bad_path(c, key, "this is not a path to a setting", layer->decl);
        return;
    }
    const Ast *at = layer->decl, *next;
    const char *rest = arena_strdup(c->arena, buffer), *path = "";
    for (;;) { /* down the `use` names */
        const char *dot = strchr(rest, '.');
        const char *name = dot ? arena_strndup(c->arena, rest, (size_t)(dot - rest)) : rest;
        if (!dot || !(next = used_layer(at, name))) break;
        at = next, rest = dot + 1;
        path = arena_printf(c->arena, "%s%s.", path, name);
    }
    const char *dot = strchr(rest, '.');
    const Ast *named = dot ? own_fixed(at, arena_strndup(c->arena, rest, (size_t)(dot - rest))) : NULL;
    if (named) rest = dot + 1, dot = strchr(rest, '.'); /* of several fixed points in a layer: body.z.forward */
    const char *option = dot ? dot + 1 : NULL;
    const char *setting = dot ? arena_strndup(c->arena, rest, (size_t)(dot - rest)) : rest;
    if (same(setting, "defence") && !*path && !option) {
        check_setting(c, s, setting_find("net_with", "defence"));
        const Ast *any = NULL;
        each_fixed(c, at, "", first_fixed, &any);
        if (!any)
            bad_path(c, key, arena_printf(c->arena, "'%s' has no fixed point, whose states a defence reads", at->name),
                     at);
        else if (!trained)
            diag_help(
                diag_report(c->diags, DIAG_E0514, key->range, "a defence belongs to the evaluation of a trained net"),
                "accuracy(m with { defence: .. }, d.test)");
        return;
    }
    const Setting *row = setting_find("net_with", setting);
    if (row && row->kind == KIND_PENALTY && trained) {
        diag_help(diag_report(c->diags, DIAG_E0514, key->range, "a penalty belongs to the training of a net"),
                  "penalty: in the settings of 'train', or train m = Net with { penalty: .. } on d.train");
        return;
    }
    if (!row || same(setting, "defence") || (option && same(setting, "on_fail"))) {
        bad_path(c, key, arena_printf(c->arena, "'%s' leads to no setting", buffer), at);
        return;
    }
    const Ast *fixed = named ? named : own_fixed(at, NULL);
    if (!*path && !fixed) each_fixed(c, at, "", first_fixed, &fixed);
    if (!fixed) {
        bad_path(c, key,
                 arena_printf(c->arena, "'%s' has no fixed point",
                              *path ? arena_strndup(c->arena, path, strlen(path) - 1) : at->name),
                 at);
        return;
    }
    if (option)
        check_override_option(c, key, value, setting, option, forward ? forward : forward_of(fixed, "anderson"),
                              forward ? NULL : forward_value(fixed));
    else if (row->kind == KIND_MODE)
        check_mode_for(c, value, layer, *path ? path : NULL, forward);
    else
        check_setting(c, s, row);
}

static bool check_attack_settings(Checker *c, const Ast *e, Ast *list) {
    check_settings(c, list, "attack_with", "an attack", e->range, DIAG_E0501, NULL);
    Ast *loss = ast_setting_value(list, "loss");
    return !loss || loss->kind == AST_ERROR || check_loss(c, loss, NULL, NULL, false, false);
}

/* Of a layer's net, or of a trained one. */
static void check_overrides(Checker *c, Ast *list, const Type *layer, bool trained) {
    for (uint32_t i = 0; i < list->nkids; i++) {
        Ast *s = list->kids[i];
        const uint32_t before = diags_count(c->diags);
        if (s->kind != AST_SETTING) {
            if (s->kind != AST_ERROR)
                diag_report(c->diags, DIAG_E0514, s->range, "%s is not allowed in 'with'", a_statement(c, s->kind));
            continue;
        }
        if (check_set_once(c, list, i))
            check_override(c, s, layer, trained, solver_name(ast_setting_value(list, "forward")));
        note_record(c, before, s);
    }
}

const Type *check_with(Checker *c, Ast *e) {
    Ast *base = SLOT(e, WITH, base), *list = SLOT(e, WITH, settings);
    const uint32_t variants = settings_variants(c, list);
    const Ast *lifted = ast_setting_value(settings_variant(c, list, 0), "unbounded");
    const bool outer = c->unbounded;
    c->unbounded = outer || (lifted && lifted->kind == AST_BOOL && lifted->number != 0);
    const Type *t = check_expr(c, base);
    c->unbounded = outer;
    const Type *layer = t->kind == TYPE_LAYER ? t : t->kind == TYPE_NET ? t->items[0] : NULL;
    if (t->kind == TYPE_ERROR) return t;
    const Ast *made = base->kind == AST_CALL ? SLOT(base, CALL, callee) : NULL;
    const bool step = c->context == CTX_ATTACK && made && made->type && made->type->kind == TYPE_ATTACK;
    if (!variants) return &type_error;
    if (t->kind == TYPE_ATTACK || step) {
        for (uint32_t k = 0; k < variants; k++)
            if (!check_attack_settings(c, e, settings_variant(c, list, k))) return &type_error;
        return t;
    }
    if (!layer) {
        Diagnostic *d =
            diag_report(c->diags, DIAG_E0504, base->range, "'with' overrides settings of a net or an attack, not of %s",
                        type_text(c->arena, t));
        if (base->kind == AST_UNDER) diag_help(d, "d.test under (pgd(..) with { gradient: .. })");
        return &type_error;
    }
    for (uint32_t k = 0; k < variants; k++)
        check_overrides(c, settings_variant(c, list, k), layer, t->kind == TYPE_NET);
    return t;
}
