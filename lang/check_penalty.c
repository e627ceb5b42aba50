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
    unknown_row(c, e, &deq_penalty_family, 0, path, DIAG_E0418);
    return false;
}

static bool check_one(Checker *c, Ast *e) {
    char buffer[256];
    const char *path = penalty_path(e, buffer, sizeof buffer);
    const deq_row *row = penalty_find(path);
    if (!row || e->kind != AST_CALL) return unknown_penalty(c, e, path);
    bool good = check_arguments(c, e, &deq_penalty_family, row, 0);
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
    const deq_row *row = penalty_find(kind);
    const deq_argument *a = NULL;
    if (!kind || row) a = deq_argument_find(&deq_penalty_family, row, deq_part_of(dot ? dot + 1 : option));
    return a && (check_argument_value(c, value, a, option), true);
}
