/* check_finish.c - `finish:` of a fixed point or a net against finishes.def: a row of it, or the variable of a sweep. */
#include "checker.h"
#include <string.h>

static const deq_row *finish_row(const Ast *e) {
    const Ast *callee = e->kind == AST_CALL ? SLOT(e, CALL, callee) : e;
    if (callee->kind != AST_NAME || callee->ref) return NULL;
    return finish_find(callee->name);
}

/* Does the row take arguments, and so brackets? */
static bool is_called(const deq_row *row) { return deq_argument_at(&deq_finish_family, row, 0, 0) != NULL; }

bool spells_finish(const Ast *e) {
    const deq_row *row = finish_row(e);
    return row && e->kind == AST_CALL && is_called(row);
}

static void unknown_finish(Checker *c, Ast *e) {
    const Ast *callee = e->kind == AST_CALL ? SLOT(e, CALL, callee) : e;
    const deq_row *row = finish_row(e);
    if (!row) {
        unknown_row(c, e, &deq_finish_family, 0, callee->kind == AST_NAME ? callee->name : NULL, DIAG_E0416);
        return;
    }
    e->type = &type_error;
    Diagnostic *d = diag_report(c->diags, DIAG_E0416, e->range, "'%s' %s", row->name,
                                is_called(row) ? "is written with its arguments, or none" : "takes no arguments");
    diag_help(d, is_called(row) ? "finish: %s()" : "finish: %s", row->name);
}

bool check_finish(Checker *c, Ast *e) {
    const deq_row *row = finish_row(e);
    if (e->kind == AST_ERROR) return false;
    if (e->kind == AST_NAME && e->ref) { /* a sweep over finishes */
        if (check_expr(c, e)->kind == TYPE_FINISH) return true;
        if (e->type->kind != TYPE_ERROR) unknown_finish(c, e);
        return false;
    }
    if (!row || is_called(row) != (e->kind == AST_CALL)) {
        unknown_finish(c, e);
        return false;
    }
    const bool good = e->kind == AST_NAME || check_arguments(c, e, &deq_finish_family, row, 0);
    e->type = good ? &type_finish : &type_error;
    return good;
}
