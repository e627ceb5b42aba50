/* check_argument.c - values of settings and of the arguments of solvers, gradient modes and penalties, by their types.
 * The runtime refuses the texts of --set with the same words (runtime/arguments). */
#include "checker.h"
#include "foreign.h"
#include <math.h>
#include <string.h>

static Diagnostic *complain(Checker *c, DiagCode code, Range at, const deq_complaint *why) {
    Diagnostic *d = diag_report(c->diags, code, at, "%s", why->text);
    if (*why->help) diag_help(d, "%s", why->help);
    return d;
}

void check_words(Checker *c, Ast *value, const char *alternatives, const char *what) {
    deq_complaint why;
    int place;
    deq_part word = value->kind == AST_NAME ? deq_part_of(value->name) : (deq_part){"", 0};
    if (deq_word_fits(alternatives, what, word, &place, &why)) {
        value->type = &type_word;
        return;
    }
    complain(c, DIAG_E0416, value->range, &why);
    fail(value);
}

static bool check_number(Checker *c, Ast *value, const deq_argument *a, const char *what) {
    double v;
    deq_complaint why;
    const bool whole = a->type == DEQ_WHOLE;
    const Type *t = check_expr(c, value);
    if (t->kind == TYPE_ERROR) return false;
    if (!type_is_number(t) || (whole && t->kind == TYPE_TENSOR && t->elem != ELEM_INT)) {
        diag_report(c->diags, DIAG_E0504, value->range, "'%s' is a %s, not %s", what, whole ? "whole number" : "number",
                    type_text(c->arena, t));
        fail(value);
        return false;
    }
    if (!constant_of(c, value, &v) || deq_number_fits(a, what, v, &why)) return true;
    complain(c, DIAG_E0412, value->range, &why);
    fail(value);
    return false;
}

bool check_range(Checker *c, Ast *value, const char *what, double low, double high, bool whole) {
    const deq_argument a = {.type = whole ? DEQ_WHOLE : DEQ_NUMBER, .low = low, .high = high};
    return check_number(c, value, &a, what);
}

/* States of the solver: 3, or 1..9, which is 1 to 8. */
static bool check_states(Checker *c, Ast *value, const char *what) {
    if (value->kind != AST_BINARY || !same(value->name, "..")) return check_range(c, value, what, 1, 1e6, true);
    double first, limit;
    deq_complaint why;
    if (check_expr(c, value)->kind == TYPE_ERROR) return false;
    if (!constant_of(c, SLOT(value, BINARY, left), &first) || !constant_of(c, SLOT(value, BINARY, right), &limit))
        return true;
    if (deq_states_fit(what, first, limit, &why)) return true;
    complain(c, DIAG_E0412, value->range, &why);
    fail(value);
    return false;
}

bool check_argument_value(Checker *c, Ast *value, const deq_argument *a, const char *what) {
    switch (a->type) {
    case DEQ_NUMBER:
    case DEQ_WHOLE: return check_number(c, value, a, what);
    case DEQ_STATES: return check_states(c, value, what);
    case DEQ_WORD: check_words(c, value, a->words, what); return value->type->kind != TYPE_ERROR;
    case DEQ_TEXT: return check_against(c, value, &type_string, DIAG_E0301, arena_printf(c->arena, "'%s'", what));
    case DEQ_NESTED: return check_chain(c, value, FOR_ADJOINT);
    case DEQ_FLAG:
        if (value->kind == AST_BOOL) return check_expr(c, value)->kind != TYPE_ERROR;
        if (value->kind != AST_ERROR) diag_report(c->diags, DIAG_E0504, value->range, "'%s' is true or false", what);
        fail(value);
        return false;
    }
    return false;
}

static bool repeated_argument(Checker *c, const Ast *list, uint32_t i, const char *owner) {
    for (uint32_t k = 0; k < i; k++)
        if (same(list->kids[k]->name, list->kids[i]->name)) {
            diag_report(c->diags, DIAG_E0305, list->kids[i]->range, "'%s' gets '%s' twice", owner, list->kids[i]->name);
            return true;
        }
    return false;
}

/* implicit(gmres()), norm(1.0): the first argument of a row may stand without its name. */
static deq_part argument_name(const deq_family *f, const deq_row *row, const Ast *list, uint32_t i) {
    const char *given = list->kids[i]->name;
    return deq_argument_named(f, row, given ? deq_part_of(given) : (deq_part){"", 0}, (int)i);
}

static void no_argument(Checker *c, const Ast *arg, const deq_family *f, const deq_row *row, int uses,
                        const deq_complaint *why) {
    const char *names[32];
    const deq_argument *a;
    uint32_t n = 0;
    const bool known = arg->name && deq_argument_find(f, row, deq_part_of(arg->name)); /* but of no use here */
    while (n < 32 && (a = deq_argument_at(f, row, uses, (int)n))) names[n++] = a->name;
    Diagnostic *d =
        diag_report(c->diags, known ? DIAG_E0413 : DIAG_E0411, arg->name ? place(arg) : arg->range, "%s", why->text);
    if (!known && arg->name && foreign_help_key(d, arg->name, names, n)) return;
    if (*why->help) diag_help(d, "%s", why->help);
}

bool check_arguments(Checker *c, Ast *call, const deq_family *f, const deq_row *row, int uses) {
    bool good = true;
    Ast *list = SLOT(call, CALL, inputs);
    for (uint32_t i = 0; i < list->nkids; i++) {
        Ast *arg = list->kids[i];
        deq_complaint why;
        if (arg->kind != AST_ARG) return false;
        deq_part name = argument_name(f, row, list, i);
        if (arg->name && repeated_argument(c, list, i, row->name)) {
            good = false;
        } else if (!deq_argument_known(f, row, uses, name, &why)) {
            no_argument(c, arg, f, row, uses, &why);
            good = false;
        } else {
            const deq_argument *a = deq_argument_find(f, row, name);
            const char *what = arena_printf(c->arena, "%s' of '%s", a->name, row->name);
            good = check_argument_value(c, SLOT(arg, ARG, value), a, what) && good;
        }
    }
    return good;
}

Diagnostic *unknown_row(Checker *c, Ast *e, const deq_family *f, int uses, const char *path, DiagCode code) {
    deq_complaint why;
    const deq_row *row = path ? deq_row_find(f, deq_part_of(path)) : NULL;
    fail(e);
    if (!row) {
        deq_row_known(f, path ? deq_part_of(path) : (deq_part){"", 0}, uses, &why);
        return complain(c, code, e->range, &why);
    }
    Diagnostic *d = diag_report(c->diags, code, e->range, "'%s' is not %s", path, f->what);
    diag_help(d, "write its arguments, or none: %s()", path);
    return d;
}
