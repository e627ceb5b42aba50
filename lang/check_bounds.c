/* check_bounds.c - the values that a parameter says have a meaning: radius: f32 in 0..1, iterations: int in 1..inf, or
 * some alone: p: f32 in [2, inf].
 *
 * Both ends belong to the bounds of a number; those of an int are half open, as ranges are everywhere.  An infinite end
 * says that every number is good, however large.  Infinity itself is none, unless it is the default (no limit at all).
 * Bounds of an attack's setting may depend on its other settings, radius: f32 in 0..(if p == inf then 1 else inf); where
 * one of those is swept, the elaborator looks.  `unbounded: true` at an attack lifts the upper ends. */
#include "checker.h"
#include <math.h>
#include <string.h>

static bool is_whole(const Ast *param) { return param->type && type_equal(param->type, &type_int); }

static bool bounds_of(Checker *c, const Ast *param, double *low, double *high) {
    const Ast *range = SLOT(param, BINDING, bounds);
    return range && range->kind == AST_BINARY && same(range->name, "..") &&
           constant_of(c, SLOT(range, BINARY, left), low) && constant_of(c, SLOT(range, BINARY, right), high);
}

/* The numbers of a list, all known here. */
static bool choices_of(Checker *c, const Ast *param) {
    const Ast *list = SLOT(param, BINDING, bounds);
    double v;
    for (uint32_t i = 0; i < list->nkids; i++)
        if (!constant_of(c, list->kids[i], &v) || isnan(v)) return false;
    return list->nkids > 0;
}

static bool mentions(const Ast *e, const Ast *param) {
    if (e && e->kind == AST_NAME && e->ref == param) return true;
    for (uint32_t i = 0; e && i < e->nkids; i++)
        if (mentions(e->kids[i], param)) return true;
    return false;
}

/* The input and the target are no settings: another example is another x. */
static bool mentions_example(const Ast *e) {
    const Ast *r = e && e->kind == AST_NAME ? e->ref : NULL;
    if (r && r->kind == AST_BINDING && r->type && (!type_is_scalar(r->type) || r->type->elem == ELEM_LABEL))
        return true;
    for (uint32_t i = 0; e && i < e->nkids; i++)
        if (mentions_example(e->kids[i])) return true;
    return false;
}

/* Of an attack: each end a number that depends on its settings, known wherever the attack is named. */
static bool depends_on_settings(Checker *c, Ast *range) {
    if (!c->decl || c->decl->kind != AST_ATTACK_DEF || mentions_example(range) || range->kind != AST_BINARY ||
        !same(range->name, ".."))
        return false;
    return type_is_number(check_expr(c, range->kids[0])) && type_is_number(check_expr(c, range->kids[1]));
}

static bool is_wrong(const Ast *e) { return e && e->type && e->type->kind == TYPE_ERROR; }

void check_bounds_declared(Checker *c, const Ast *param) {
    Ast *range = SLOT(param, BINDING, bounds);
    double low, high;
    if (!range || range->kind == AST_ERROR || param->type->kind == TYPE_ERROR) return;
    if (param->type->kind != TYPE_SCHEDULE && !type_is_number(param->type))
        diag_report(c->diags, DIAG_E0301, range->range, "only a number has bounds, '%s' is %s", param->name,
                    type_text(c->arena, param->type));
    else if (mentions(range, param))
        diag_report(c->diags, DIAG_E0321, range->range, "the bounds of '%s' depend on '%s' itself", param->name,
                    param->name);
    else if (!bounds_of(c, param, &low, &high) && depends_on_settings(c, range))
        range->type = &type_range;
    else if (range->kind == AST_BINARY && (is_wrong(range->kids[0]) || is_wrong(range->kids[1])))
        range->type = &type_error; /* an end is told already */
    else if (range->kind == AST_ARRAY && choices_of(c, param))
        range->type = &type_range;
    else if (!bounds_of(c, param, &low, &high))
        diag_help(diag_report(c->diags, DIAG_E0321, range->range,
                              "the bounds of '%s' are two numbers that are known here, or a list of them", param->name),
                  "%s: f32 in 0..1, 0..inf or [2, inf]", param->name);
    else if (!(low < high))
        diag_report(c->diags, DIAG_E0314, range->range, "no value lies in the bounds of '%s'", param->name);
    else
        range->type = &type_range;
}

/* What the value has to be, when it is none of the list's; NULL: it is one. */
static const char *other_choices(Checker *c, const Ast *param, double v) {
    const Ast *list = SLOT(param, BINDING, bounds);
    const char *text = "is one of";
    for (uint32_t i = 0; i < list->nkids; i++) {
        double one = NAN;
        if (constant_of(c, list->kids[i], &one) && one == v) return NULL;
        text = arena_printf(c->arena, "%s%s %g", text, i ? "," : "", one);
    }
    return text;
}

/* The same for two ends. */
static const char *other_side(Checker *c, const Ast *param, double v) {
    double low, high;
    if (!bounds_of(c, param, &low, &high)) return NULL;
    if (isnan(low) || isnan(high)) return NULL; /* the elaborator says where */
    if (c->unbounded) high = INFINITY;
    double last = is_whole(param) ? high - 1 : high;
    if (v >= low && v <= last && (isfinite(v) || ast_is_infinity(SLOT(param, BINDING, fallback)))) return NULL;
    if (isinf(v) && (v < 0 ? isinf(low) : isinf(high))) return "is a finite number";
    if (isinf(high)) return arena_printf(c->arena, "is at least %g", low);
    if (isinf(low)) return arena_printf(c->arena, "is at most %g", last);
    return arena_printf(c->arena, "lies between %g and %g", low, last);
}

static bool check_number(Checker *c, const Ast *param, const Ast *at, double v, const char *owner) {
    const bool list = SLOT(param, BINDING, bounds)->kind == AST_ARRAY;
    const char *wanted = (list ? other_choices : other_side)(c, param, v);
    if (!wanted) return true;
    const char *found = isnan(v) ? "not a number" : arena_printf(c->arena, "%g", v);
    Diagnostic *d =
        diag_report(c->diags, DIAG_E0412, at->range, "'%s' of '%s' %s, this is %s", param->name, owner, wanted, found);
    diag_note(d, place(param), "'%s' is declared here", param->name);
    return false;
}

/* The value may be a sweep's variable: then each of its values counts. */
bool check_bounds(Checker *c, const Ast *param, const Ast *value, const char *owner) {
    const Ast *sweep = value->kind == AST_NAME && value->ref && value->ref->kind == AST_SWEEP ? value->ref : NULL;
    const Ast *list = sweep ? SLOT(sweep, SWEEP, values) : NULL;
    double v;
    bool good = true;
    if (!SLOT(param, BINDING, bounds) || is_wrong(SLOT(param, BINDING, bounds))) return true;
    if (list && list->kind == AST_ARRAY)
        for (uint32_t i = 0; i < list->nkids; i++) good = check_bounds(c, param, list->kids[i], owner) && good;
    else if (list && list->kind == AST_BINARY && same(list->name, ".."))
        good = check_bounds(c, param, SLOT(list, BINARY, left), owner); /* the rest rises from there */
    else if (constant_of(c, value, &v))
        good = check_number(c, param, value, v, owner);
    return good;
}
