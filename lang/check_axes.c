/* check_axes.c - axes of an experiment's values: reductions over them, picks, comparisons of sweeps' values, and places in
 * a table. */
#include "checker.h"
#include "labels.h"
#include <math.h>
#include <string.h>

/* "its axes are 'mode' and 'seed'" */
static void help_axes(Checker *c, Diagnostic *d, const char *of, AxisSet axes) {
    if (axes)
        diag_help(d, "the axes of %s: %s", of, axes_text(c->arena, c->axes, axes));
    else
        diag_help(d, "%s mentions no sweep: it is one number", of);
}

const char *text_of_value(Checker *c, const Ast *e) {
    const Range r = e->range;
    return e->kind == AST_NAME ? arena_printf(c->arena, "'%s'", e->name)
                               : arena_printf(c->arena, "'%.*s'", (int)(r.end - r.start > 40 ? 40 : r.end - r.start),
                                              r.source->text + r.start);
}

/* The axes at `over:`, of a value that has them; 0: reported. */
static AxisSet over_axes(Checker *c, Ast *over, const Ast *value) {
    const bool many = over->kind == AST_ARRAY || over->kind == AST_TUPLE;
    const AxisSet has = axes_shown(c->axes, value);
    AxisSet all = 0;
    bool good = !many || over->nkids;
    if (!good) diag_report(c->diags, DIAG_E0532, over->range, "'over' takes sweeps of the experiment: here is none");
    for (uint32_t i = 0; i < (many ? over->nkids : 1); i++) {
        Ast *e = many ? over->kids[i] : over;
        const AxisSet axes = axes_named(c->axes, e);
        if (e->kind == AST_ERROR || (e->kind == AST_NAME && !e->ref && !axes)) return 0;
        e->type = &type_word;
        if (axes & all) {
            diag_report(c->diags, DIAG_E0532, e->range, "%s stands twice in 'over'",
                        axes_text(c->arena, c->axes, axes & all));
            good = false;
            continue;
        }
        if (axes && !(axes & ~has)) {
            all |= axes;
            continue;
        }
        Diagnostic *d = axes ? diag_report(c->diags, DIAG_E0532, e->range, "%s has no axis %s", text_of_value(c, value),
                                           axes_text(c->arena, c->axes, axes & ~has))
                             : diag_report(c->diags, DIAG_E0532, e->range, "'over' takes sweeps of the experiment");
        help_axes(c, d, text_of_value(c, value), has);
        good = false;
    }
    return good ? all : 0;
}

static const Type *wrong_value(Checker *c, const Ast *value, const Reduction *r, const char *takes) {
    if (value->type->kind != TYPE_ERROR)
        diag_help(diag_report(c->diags, DIAG_E0536, value->range, "'%s' with 'over:' takes %s, this is %s", r->name,
                              takes, type_text(c->arena, value->type)),
                  "%s: %s", r->name, r->doc);
    return &type_error;
}

const Type *check_over(Checker *c, const ReductionCall *call, const Ast *e) {
    const Reduction *r = call->row;
    if (!c->axes) {
        diag_report(c->diags, DIAG_E0532, call->over->range,
                    "'over:' takes away sweeps of an experiment: there is none here");
        return &type_error;
    }
    if (!call->value || call->more || (r->kind == REDUCE_SHARE) != (call->number != NULL)) {
        diag_help(diag_report(c->diags, DIAG_E0303, e->range, "'%s' takes %s", r->name,
                              r->kind == REDUCE_SHARE ? "a value, a share and 'over:'" : "a value and 'over:'"),
                  r->kind == REDUCE_SHARE ? "quantile(v, 0.9, over: s)" : "%s(v, over: s)", r->name);
        return &type_error;
    }
    const Type *t = check_expr(c, call->value);
    if (t->kind == TYPE_ERROR) return t;
    const AxisSet over = over_axes(c, call->over, call->value);
    if (!over) return &type_error;
    if (call->number && !check_range(c, call->number, "share' of 'quantile", 0, 1, false)) return &type_error;
    switch (r->kind) {
    case REDUCE_NUMBER:
    case REDUCE_SHARE: return type_is_number(t) ? &type_real : wrong_value(c, call->value, r, "numbers");
    case REDUCE_RANKS:
        if (!type_is_number(t)) return wrong_value(c, call->value, r, "numbers");
        if (__builtin_popcount(over) == 1 && type_is_number(c->axes->axis[__builtin_ctz(over)].sweep->type))
            return &type_real;
        diag_report(c->diags, DIAG_E0532, call->over->range, "'%s' goes over one sweep, of numbers", r->name);
        return &type_error;
    case REDUCE_TRUTH: return type_is_condition(t) ? t : wrong_value(c, call->value, r, "conditions");
    case REDUCE_RECORDS: /* a computation of evaluations has their type too */
        return t == &type_evaluation &&
                       (call->value->kind == AST_NAME || call->value->kind == AST_CALL || item_experiment(call->value))
                   ? &type_real
                   : wrong_value(c, call->value, r, "evaluations");
    case REDUCE_CHOICE:
        if (!type_is_number(t)) return wrong_value(c, call->value, r, "numbers");
        if (__builtin_popcount(over) == 1) return c->axes->axis[__builtin_ctz(over)].sweep->type;
        diag_report(c->diags, DIAG_E0532, call->over->range, "'%s' chooses among the values of one sweep", r->name);
        return &type_error;
    }
    return &type_error;
}

/* ---- picks ---- */
static const char *labels_text(Checker *c, const Ast *sweep) {
    const Ast *values = SLOT(sweep, SWEEP, values);
    const char *text = "";
    for (uint32_t k = 0; values->kind == AST_ARRAY && k < values->nkids; k++) {
        const char *label = label_of(values->kids[k]);
        if (label) text = arena_printf(c->arena, "%s%s%s", text, *text ? ", " : "", label);
    }
    return text;
}

static void unknown_label(Checker *c, const Ast *sweep, const Ast *label) {
    const char *known = labels_text(c, sweep);
    Diagnostic *d = diag_report(c->diags, DIAG_E0533, label->range, "'%s' has no element called %s", sweep->name,
                                text_of_value(c, label));
    const Ast *values = SLOT(sweep, SWEEP, values);
    if (*known)
        diag_help(d, "its labels: %s", known);
    else if (values->kind == AST_BINARY)
        diag_help(d, "it goes over %s", range_text(c->arena, values->range));
    else
        diag_help(d, "give its elements labels: sweep %s in [name: .., other: ..]", sweep->name);
}

/* One value of a pick: a label, or an expression whose value is one of the sweep's. */
static bool check_picked(Checker *c, const Ast *sweep, Ast *value) {
    value->type = &type_word;
    if (label_place(sweep, value) >= 0 || value->kind == AST_ERROR) return value->kind != AST_ERROR;
    if (value->kind == AST_NAME && !value->ref) return unknown_label(c, sweep, value), false;
    if (sweep_of_value(c->axes->items, value) == sweep) return check_expr(c, value)->kind != TYPE_ERROR;
    unknown_label(c, sweep, value);
    return false;
}

const Type *check_picks(Checker *c, Ast *e) {
    Ast *base = SLOT(e, INDEX, base), *list = SLOT(e, INDEX, indices);
    if (!c->axes) {
        diag_report(c->diags, DIAG_E0532, e->range,
                    "'v[s: label]' picks a value of an experiment's sweep: there is none here");
        return &type_error;
    }
    const Type *t = check_expr(c, base);
    const AxisSet has = axes_shown(c->axes, base);
    bool good = t->kind != TYPE_ERROR;
    for (uint32_t i = 0; i < list->nkids; i++) {
        Ast *pick = list->kids[i], *value = pick->kind == AST_ARG ? SLOT(pick, ARG, value) : NULL;
        if (!value || !pick->ref) {
            diag_help(value && pick->name ? diag_report(c->diags, DIAG_E0532, place(pick),
                                                        "'%s' is no sweep of the experiment", pick->name)
                                          : diag_report(c->diags, DIAG_E0532, place(pick),
                                                        "a pick names a sweep of the experiment and its label"),
                      "v[mode: jfb]");
            good = false;
            continue;
        }
        if (value->kind == AST_ARRAY && !value->nkids) {
            diag_report(c->diags, DIAG_E0533, value->range, "this pick keeps no value of '%s'", pick->name);
            good = false;
        }
        pick->type = &type_word;
        if (!(axes_named(c->axes, pick) & has)) {
            if (t->kind != TYPE_ERROR)
                help_axes(c,
                          diag_report(c->diags, DIAG_E0532, place(pick), "%s has no axis '%s'", text_of_value(c, base),
                                      pick->name),
                          text_of_value(c, base), has);
            good = false;
            continue;
        }
        for (uint32_t k = 0; value->kind == AST_ARRAY && k < value->nkids; k++)
            good = check_picked(c, pick->ref, value->kids[k]) && good;
        if (value->kind == AST_ARRAY)
            value->type = &type_word;
        else
            good = check_picked(c, pick->ref, value) && good;
    }
    return good ? t : &type_error;
}

/* Whether the sweep may have this number among its values: not all of them are always known here. */
static bool may_have(Checker *c, const Ast *sweep, double number) {
    const Ast *values = SLOT(sweep, SWEEP, values);
    double from, to, own;
    if (values->kind == AST_BINARY)
        return !constant_of(c, SLOT(values, BINARY, left), &from) ||
               !constant_of(c, SLOT(values, BINARY, right), &to) ||
               (number >= from && number < to && number == floor(number));
    bool found = values->kind != AST_ARRAY;
    for (uint32_t k = 0; !found && k < values->nkids; k++)
        found = is_family(values->kids[k]) || !constant_of(c, element_value(values->kids[k]), &own) || own == number;
    return found;
}

/* choice == 20 of a sweep over 1..9 would never be true: a slip, as a label that is misspelt is.  false: reported. */
static bool check_number_compared(Checker *c, const Ast *e) {
    const Ast *items = c->axes->items;
    for (int side = 0; side < 2 && (same(e->name, "==") || same(e->name, "!=")); side++) {
        const Ast *sweep = sweep_of_value(items, e->kids[side]), *other = e->kids[1 - side];
        double number;
        if (!sweep || !sweep->type || !type_is_number(sweep->type) || sweep_of_value(items, other) ||
            !constant_of(c, other, &number) || may_have(c, sweep, number))
            continue;
        diag_report(c->diags, DIAG_E0533, other->range, "'%s' has no value %s", sweep->name, text_of_value(c, other));
        return false;
    }
    return true;
}

/* A comparison of values of sweeps that are no numbers: these have no order, and are equal to values of the same sweep only.
 * NULL: neither side is one. */
static const Type *check_choices(Checker *c, Ast *e) {
    const Ast *sweeps[2] = {sweep_of_value(c->axes->items, e->kids[0]), sweep_of_value(c->axes->items, e->kids[1])};
    const Ast *sweep = sweeps[0] ? sweeps[0] : sweeps[1];
    if (!check_number_compared(c, e)) return &type_error;
    if (!sweep || !sweep->type || type_is_number(sweep->type) || sweep->type->kind == TYPE_ERROR) return NULL;
    if (sweeps[0] == sweeps[1] && strchr("=!", e->name[0])) {
        const Type *left = check_expr(c, e->kids[0]), *right = check_expr(c, e->kids[1]);
        return left->kind == TYPE_ERROR || right->kind == TYPE_ERROR ? &type_error : &type_bool;
    }
    Diagnostic *d = sweeps[0] && sweeps[1] && sweeps[0] != sweeps[1]
                        ? diag_report(c->diags, DIAG_E0535, place(e), "a value of '%s' is none of '%s'",
                                      sweeps[0]->name, sweeps[1]->name)
                    : strchr("=!", e->name[0])
                        ? diag_report(c->diags, DIAG_E0535, e->kids[sweeps[0] ? 1 : 0]->range,
                                      "this is no value of '%s'", sweep->name)
                        : diag_report(c->diags, DIAG_E0535, place(e), "values of '%s' have no order", sweep->name);
    const char *known = labels_text(c, sweep);
    if (*known) diag_help(d, "compare with one of its labels: %s", known);
    return &type_error;
}

/* v == masked; NULL: neither side is a verdict. */
static const Type *check_verdicts(Checker *c, Ast *e) {
    const Ast *word;
    int at;
    const Ast *value = verdict_compared(c->axes->items, e, &word, &at);
    if (!value) return NULL;
    const Type *t = check_expr(c, (Ast *)value);
    if (t->kind != TYPE_ERROR && t->kind != TYPE_VERDICT) return NULL;
    const bool other = at < 0 && is_verdict(c->axes->items, word);
    if (other) {
        if (check_expr(c, (Ast *)word)->kind == TYPE_ERROR) return &type_error;
    } else {
        ((Ast *)word)->type = &type_word;
    }
    if (t->kind == TYPE_ERROR) return t;
    if ((other || at >= 0) && strchr("=!", e->name[0])) return &type_bool;
    diag_help(other || at >= 0
                  ? diag_report(c->diags, DIAG_E0535, place(e), "verdicts have no order")
                  : diag_report(c->diags, DIAG_E0535, word->range, "%s is no verdict", text_of_value(c, word)),
              "compare with '==' or '!=': reliable, suspect, masked");
    return &type_error;
}

const Type *check_label_compared(Checker *c, Ast *e) {
    const Ast *sweep;
    int at;
    if (!c->axes) return NULL;
    const Type *verdicts = check_verdicts(c, e);
    if (verdicts) return verdicts;
    const Ast *value = label_compared(c->axes->items, e, &sweep, &at);
    if (!value) return check_choices(c, e);
    Ast *label = e->kids[e->kids[0] == value ? 1 : 0];
    label->type = &type_word;
    if (check_expr(c, (Ast *)value)->kind == TYPE_ERROR) return &type_error;
    if (at >= 0) return &type_bool;
    unknown_label(c, sweep, label);
    return &type_error;
}

/* The axes that the names at `rows` and `cells` stand for. */
static AxisSet placed(Checker *c, const Ast *value) {
    const Ast *inputs = value && value->kind == AST_CALL ? SLOT(value, CALL, inputs) : NULL;
    AxisSet set = inputs ? 0 : axes_named(c->axes, value);
    for (uint32_t i = 0; inputs && i < inputs->nkids; i++)
        if (inputs->kids[i]->kind == AST_ARG) set |= axes_named(c->axes, SLOT(inputs->kids[i], ARG, value));
    return set;
}

void check_table_axes(Checker *c, const Ast *settings) {
    const Ast *rows = ast_setting_value(settings, "rows"), *columns = ast_setting_value(settings, "columns");
    const AxisSet joined = placed(c, ast_setting_value(settings, "cells")), has = placed(c, rows) | joined;
    for (uint32_t i = 0; rows && columns && columns->kind == AST_ARRAY && i < columns->nkids; i++) {
        const Ast *column = columns->kids[i];
        const bool spread = column->kind == AST_BINARY && same(column->name, "by");
        const AxisSet by = spread ? axes_named(c->axes, SLOT(column, BINARY, right)) : 0;
        if (spread) column = SLOT(column, BINARY, left);
        if (!column->type || column->type->kind == TYPE_ERROR) continue;
        const AxisSet open = axes_shown(c->axes, column) & ~has & ~by;
        if (!open) continue;
        const char *name = c->axes->axis[__builtin_ctz(open)].name;
        Diagnostic *d =
            diag_report(c->diags, DIAG_E0531, column->range, "%s changes with %s, which has no place in this table",
                        text_of_value(c, column), axes_text(c->arena, c->axes, open));
        diag_help(
            d,
            joined
                ? "add it to 'rows', spread it: '.. by %s', or take it away: mean(.., over: %s)"
                : "add it to 'rows', spread it: '.. by %s', join it: 'cells: mean_std(%s)', or take it away: 'over:'",
            name, name);
    }
}
