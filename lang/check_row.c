/* check_row.c - settings that are a row of a table, with its arguments in brackets or without any: `finish:`, `clip:`,
 * `average:`. */
#include "checker.h"
#include <string.h>

static const deq_row *row_of(const Ast *e, const deq_family *f) {
    const Ast *callee = e->kind == AST_CALL ? SLOT(e, CALL, callee) : e;
    if (callee->kind != AST_NAME || callee->ref) return NULL;
    return deq_row_find(f, deq_part_of(callee->name));
}

/* Does the row take arguments, and so brackets? */
static bool is_called(const deq_family *f, const deq_row *row) { return deq_argument_at(f, row, 0, 0) != NULL; }

bool spells_finish(const Ast *e) {
    const deq_row *row = row_of(e, &deq_finish_family);
    return row && e->kind == AST_CALL && is_called(&deq_finish_family, row);
}

static void unknown(Checker *c, Ast *e, const deq_family *f, const char *key) {
    const Ast *callee = e->kind == AST_CALL ? SLOT(e, CALL, callee) : e;
    const deq_row *row = row_of(e, f);
    if (!row) {
        unknown_row(c, e, f, 0, callee->kind == AST_NAME ? callee->name : NULL, DIAG_E0416);
        return;
    }
    e->type = &type_error;
    Diagnostic *d = diag_report(c->diags, DIAG_E0416, e->range, "'%s' %s", row->name,
                                is_called(f, row) ? "is written with its arguments, or none" : "takes no arguments");
    diag_help(d, is_called(f, row) ? "%s: %s()" : "%s: %s", key, row->name);
}

bool check_row(Checker *c, Ast *e, const deq_family *f, const Type *type, const char *key) {
    const deq_row *row = row_of(e, f);
    if (e->kind == AST_ERROR) return false;
    if ((e->kind == AST_NAME && e->ref) || names_net_setting(e, key)) { /* a sweep over them, or what a net has */
        if (check_expr(c, e)->kind == type->kind && type != &type_word) return true;
        if (e->type->kind != TYPE_ERROR) unknown(c, e, f, key);
        return false;
    }
    if (!row || is_called(f, row) != (e->kind == AST_CALL)) {
        unknown(c, e, f, key);
        return false;
    }
    const bool good = e->kind == AST_NAME || check_arguments(c, e, f, row, 0);
    e->type = good ? type : &type_error;
    return good;
}

bool check_finish(Checker *c, Ast *e) { return check_row(c, e, &deq_finish_family, &type_finish, "finish"); }
