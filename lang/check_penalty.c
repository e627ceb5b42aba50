/* check_penalty.c - `penalty:` of a fixed point, a net or a training run against penalties.def: one penalty, a list of
 * different ones, none, or the variable of a sweep over them. */
#include "checker.h"
#include <string.h>

static const char *penalty_path(const Ast *e, char *buffer, size_t size) {
    const Ast *callee = e->kind == AST_CALL ? SLOT(e, CALL, callee) : e;
    if (callee->kind != AST_NAME || callee->ref) return NULL;
    return ast_path(callee, buffer, size) ? buffer : NULL;
}

bool spells_penalty(const Ast *e) {
    char buffer[256];
    const char *path = penalty_path(e, buffer, sizeof buffer);
    return path && (penalty_find(path) || (e->kind == AST_NAME && same(path, "none")));
}

static bool unknown_penalty(Checker *c, Ast *e, const char *path) {
    const char *names[16], *list = "";
    uint32_t n = 0;
    for (; penalty_at(n) && n < 15; n++) {
        names[n] = penalty_at(n);
        list = arena_printf(c->arena, "%s%s(..), ", list, names[n]);
    }
    Diagnostic *d =
        diag_report(c->diags, DIAG_E0418, e->range, path ? "'%s' is not a penalty" : "this is not a penalty", path);
    const char *near = path ? diag_nearest(path, names, n) : NULL;
    if (path && penalty_find(path))
        diag_help(d, "write its arguments, or none: %s()", path);
    else if (near)
        diag_help(d, "did you mean '%s(..)'?", near);
    else
        diag_help(d, "penalties: %snone, or a list of different ones", list);
    fail(e);
    return false;
}

static bool check_one(Checker *c, Ast *e) {
    char buffer[256];
    const char *names[32], *path = penalty_path(e, buffer, sizeof buffer);
    uint32_t n = 0;
    bool good = true;
    if (!path || !penalty_find(path) || e->kind != AST_CALL) return unknown_penalty(c, e, path);
    path = arena_strdup(c->arena, path);
    for (; penalty_argument_at(path, n) && n < 32; n++) names[n] = penalty_argument_at(path, n)->number.name;
    Ast *args = SLOT(e, CALL, inputs);
    for (uint32_t i = 0; i < args->nkids; i++) {
        Ast *arg = args->kids[i];
        if (arg->kind != AST_ARG) return false;
        const ModeArgument *a = arg->name ? penalty_argument(path, arg->name) : NULL;
        if (arg->name && repeated_argument(c, args, i, path)) {
            good = false;
        } else if (!a) {
            unknown_argument(c, arg, path, names, n);
            good = false;
        } else {
            const char *what = arena_printf(c->arena, "%s' of '%s", arg->name, path);
            good = check_mode_argument(c, SLOT(arg, ARG, value), a, what) && good;
        }
    }
    e->type = good ? &type_penalty : &type_error;
    return good;
}

bool check_penalty(Checker *c, Ast *e) {
    if (e->kind == AST_ERROR) return false;
    if (e->kind == AST_NAME && !e->ref && same(e->name, "none")) {
        e->type = &type_penalty;
        return true;
    }
    if (e->kind == AST_NAME && e->ref) { /* a sweep over penalties */
        if (check_expr(c, e)->kind == TYPE_PENALTY) return true;
        return e->type->kind == TYPE_ERROR ? false : unknown_penalty(c, e, e->name);
    }
    if (e->kind != AST_ARRAY) return check_one(c, e);
    bool good = e->nkids > 0;
    if (!good) unknown_penalty(c, e, NULL);
    for (uint32_t i = 0; i < e->nkids; i++) {
        char mine[256], other[256];
        good = check_one(c, e->kids[i]) && good;
        for (uint32_t k = 0; good && k < i; k++) {
            if (!same(penalty_path(e->kids[i], mine, sizeof mine), penalty_path(e->kids[k], other, sizeof other)))
                continue;
            diag_note(diag_report(c->diags, DIAG_E0406, e->kids[i]->range, "the penalty '%s' is given twice", mine),
                      e->kids[k]->range, "first given here");
            good = false;
        }
    }
    e->type = good ? &type_penalty : &type_error;
    return good;
}

bool check_penalty_option(Checker *c, Ast *value, const char *option) {
    const char *dot = strchr(option, '.');
    const char *kind = dot ? arena_strndup(c->arena, option, (size_t)(dot - option)) : NULL;
    const ModeArgument *a = NULL;
    for (uint32_t i = 0; !a && penalty_at(i); i++)
        if (!kind || same(kind, penalty_at(i))) a = penalty_argument(penalty_at(i), dot ? dot + 1 : option);
    return a && (check_mode_argument(c, value, a, option), true);
}
