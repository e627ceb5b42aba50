/* check_experiment.c - experiments, tables, tests and checks. */
#include "checker.h"
#include "labels.h"
#include <string.h>

/* ---- experiments ---- */

/* One kind of value that can be swept over. */
static bool is_sweepable(const Type *item) {
    return item && (type_is_scalar(item) || item->kind == TYPE_MODE || item->kind == TYPE_SOLVER ||
                    item->kind == TYPE_ATTACK || item->kind == TYPE_OPTIMISER || item->kind == TYPE_SCHEDULE ||
                    item->kind == TYPE_DEFENCE || item->kind == TYPE_PENALTY || item->kind == TYPE_FINISH ||
                    item->kind == TYPE_WEIGHTS || item->kind == TYPE_FN || item->kind == TYPE_RECORD ||
                    item->kind == TYPE_LAYER || item->kind == TYPE_EXAMPLES || item->kind == TYPE_DATASET);
}

/* Joins the type of an element with that of those before it; false: reported. */
static bool join_item(Checker *c, Ast *element, const Type *t, const Type **item) {
    if (t->kind == TYPE_ERROR) return false;
    if (!*item || ((*item)->kind == TYPE_NUMBER && t->kind == TYPE_TENSOR && type_is_scalar(t))) return *item = t, true;
    if ((*item)->kind == TYPE_FN && t->kind == TYPE_FN) return true;       /* several losses */
    if ((*item)->kind == TYPE_LAYER && t->kind == TYPE_LAYER) return true; /* several nets: check_train looks at each */
    if ((*item)->kind == TYPE_NET && t->kind == TYPE_NET) return true;     /* check_sweep refuses them all at once */
    if (fits(c, element, *item)) return true;
    diag_report(c->diags, DIAG_E0301, element->range, "an element of this list is %s, those before it are %s",
                type_text(c->arena, t), type_text(c->arena, *item));
    return false;
}

/* Elements with labels, and lists in the list: the type of one value; NULL: reported. */
static const Type *check_elements(Checker *c, Ast *values) {
    const Type *item = NULL;
    bool good = true;
    for (uint32_t i = 0; i < values->nkids; i++) {
        Ast *element = values->kids[i], *value = (Ast *)element_value(element);
        element->type = &type_word;
        for (uint32_t k = 0; element->kind == AST_ARG && k < i; k++)
            if (label_of(values->kids[k]) && same(label_of(values->kids[k]), element->name)) {
                diag_note(
                    diag_report(c->diags, DIAG_E0202, place(element), "two elements are called '%s'", element->name),
                    place(values->kids[k]), "the first is here");
                good = false;
            }
        if (says_none(value)) continue; /* of whatever kind the others are */
        if (!is_family(element)) {
            const Type *partial = check_partial(c, value);
            good = join_item(c, value, partial ? partial : check_expr(c, value), &item) && good;
            continue;
        }
        const Type *list = check_expr(c, value);
        if (list->kind != TYPE_ERROR && !list->nitems)
            diag_report(c->diags, DIAG_E0515, value->range, "a family has elements"), good = false;
        if (list->kind == TYPE_ERROR) good = false;
        if (list->kind != TYPE_ERROR && list->nitems)
            good = join_item(c, value->kind == AST_EACH ? SLOT(value, EACH, item) : value->kids[0], list->items[0],
                             &item) &&
                   good;
    }
    for (uint32_t i = 0; good && item && i < values->nkids; i++)
        if (says_none(element_value(values->kids[i]))) ((Ast *)element_value(values->kids[i]))->type = item;
    return good ? item : NULL;
}

/* Labels, families or `none` among the elements: what is no list elsewhere. */
static bool is_of_sweep(const Ast *values) {
    for (uint32_t i = 0; values->kind == AST_ARRAY && i < values->nkids; i++)
        if (values->kids[i]->kind == AST_ARG || is_family(values->kids[i]) || says_none(values->kids[i])) return true;
    return false;
}

static bool is_choice(const Checker *c, const Ast *item) {
    for (uint32_t k = c->axes->nsweeps; k < c->axes->n; k++)
        if (c->axes->axis[k].choice == item) return true;
    return false;
}

/* The first part of it that an experiment finds out: an evaluation, or what is made of one; NULL: there is none.
 * `chosen`: names of choices count as well: which of the sweep's values it is. */
static const Ast *found_out(Checker *c, const Ast *e, signed char *lets, bool chosen) {
    ReductionCall call;
    if (!e) return NULL;
    if (e->type == &type_evaluation || reduction_of(e, &call) || is_pick(e)) return e;
    if (e->kind == AST_MEMBER && SLOT(e, MEMBER, base)->type &&
        (SLOT(e, MEMBER, base)->type == &type_evaluation || SLOT(e, MEMBER, base)->type->kind == TYPE_STATISTICS))
        return e;
    if (e->kind == AST_NAME && e->ref && e->ref->kind == AST_NAME && c->axes)
        for (uint32_t k = 0; k < c->axes->items->nkids; k++) {
            const Ast *item = c->axes->items->kids[k];
            if (item->kind != AST_LET || !item_declares(item, e->ref)) continue;
            if (!chosen && is_choice(c, item)) return NULL;
            if (!lets[k]) { /* -1 meanwhile: a let that means itself has been reported */
                lets[k] = -1;
                lets[k] = found_out(c, SLOT(item, LET, value), lets, chosen) ? 1 : -1;
            }
            return lets[k] > 0 ? e : NULL;
        }
    for (uint32_t k = 0; k < e->nkids; k++) {
        const Ast *found = found_out(c, e->kids[k], lets, chosen);
        if (found) return found;
    }
    return NULL;
}

/* It mentions a sweep or a net, of this or another experiment, or a let of this one. */
static bool is_of_grid(const Ast *e) {
    const bool item = e->kind == AST_NAME || item_experiment(e);
    if (item && e->ref && (e->ref->kind == AST_SWEEP || e->ref->kind == AST_TRAIN)) return true;
    if (e->kind == AST_NAME && e->ref && e->ref->kind == AST_NAME) return true;
    for (uint32_t k = 0; k < e->nkids; k++)
        if (e->kids[k] && is_of_grid(e->kids[k])) return true;
    return false;
}

/* By item: 1 found out, -1 not, 0 not looked at yet. */
static signed char *fresh_lets(Checker *c) {
    const size_t nitems = c->axes->items->nkids + 1;
    return memset(arena_alloc(c->arena, nitems), 0, nitems);
}

/* What nets and attacks are made with is known before anything runs. */
static void check_known(Checker *c, const Ast *e, signed char *lets) {
    const Ast *found = e ? found_out(c, e, lets, false) : NULL;
    if (found)
        diag_help(
            diag_report(c->diags, DIAG_E0534, found->range,
                        "this is known only when the experiment runs; what a net, an attack or a sweep is made with "
                        "must be known before"),
            "a choice can stand here, one of a sweep's values: let best = argmax(robust, over: n)");
}

/* accuracy(net, d.test); max(clean, robust) has the same type. */
static bool takes_a_net(const Ast *call) {
    const Ast *inputs = SLOT(call, CALL, inputs);
    for (uint32_t k = 0; k < inputs->nkids; k++) {
        const Ast *value = SLOT(inputs->kids[k], ARG, value);
        if (value && value->type && value->type->kind == TYPE_NET) return true;
    }
    return false;
}

/* In it, the nets and examples of every evaluation. */
static void check_evaluations(Checker *c, const Ast *e, signed char *lets) {
    if (!e) return;
    if (e->kind == AST_CALL && e->type == &type_evaluation && takes_a_net(e)) {
        check_known(c, SLOT(e, CALL, inputs), lets);
        return;
    }
    for (uint32_t k = 0; k < e->nkids; k++) check_evaluations(c, e->kids[k], lets);
}

static void check_what_is_known(Checker *c, const Ast *items) {
    signed char *lets = fresh_lets(c);
    for (uint32_t k = 0; k < items->nkids; k++) {
        const Ast *item = items->kids[k];
        if (item->kind == AST_TRAIN || (item->kind == AST_SWEEP && item->type && item->type->kind != TYPE_ERROR))
            check_known(c, item, lets);
        else
            check_evaluations(c, item, lets);
    }
}

/* The bounds are numbers that the script, its sweeps and its nets' settings decide: the whole grid is known before it
 * runs. */
static bool is_known_before(Checker *c, const Ast *range) {
    const Ast *found = c->axes ? found_out(c, range, fresh_lets(c), true) : NULL;
    if (found) {
        diag_help(
            diag_report(c->diags, DIAG_E0534, found->range,
                        "how long this list is, must be known before anything runs; this is found out on the way"),
            "sweep over all values that there may be, and pick: v[n: exit]");
        return false;
    }
    if (c->axes && range->kind == AST_BINARY && range->type && is_of_grid(range)) return true;
    diag_report(c->diags, DIAG_E0515, range->range, "the bounds of a sweep's range are numbers known at compile time");
    return false;
}

void check_sweep(Checker *c, Ast *s) {
    Ast *values = SLOT(s, SWEEP, values);
    s->type = &type_error;
    if (!values) return;
    double from, to;
    const Type *t = NULL;
    if (is_of_sweep(values)) {
        const Type *one = check_elements(c, values);
        t = one ? type_of_items(c->arena, TYPE_LIST, 1, &one) : &type_error;
        values->type = t;
    } else {
        t = check_expr(c, values);
    }
    if (t->kind == TYPE_ERROR) return;
    if (t->kind == TYPE_RANGE) {
        bool known = values->kind == AST_BINARY && constant_of(c, SLOT(values, BINARY, left), &from) &&
                     constant_of(c, SLOT(values, BINARY, right), &to);
        if (known && to <= from)
            diag_report(c->diags, DIAG_E0515, values->range, "this range is empty");
        else if (known && to - from > MOST_CELLS)
            diag_report(c->diags, DIAG_E0601, values->range, "this list has more than %d values", MOST_CELLS);
        else if (known || is_known_before(c, values))
            s->type = &type_int;
        return;
    }
    const Type *item = t->kind == TYPE_LIST && t->nitems ? t->items[0] : NULL;
    if (item && item->kind == TYPE_NET) {
        diag_help(
            diag_report(c->diags, DIAG_E0515, values->range, "a sweep does not go over trained nets"),
            "sweep over what they differ in, and train in the experiment: sweep model in [mlp: Mlp[8], cnn: Cnn], "
            "train net = model on ..");
        return;
    }
    if (!is_sweepable(item)) {
        diag_help(diag_report(c->diags, DIAG_E0515, values->range, "there is nothing to sweep over: this is %s",
                              type_text(c->arena, t)),
                  "sweep seed in 0..3, sweep mode in [implicit(), jfb()]");
        return;
    }
    s->type = item;
}

static void check_experiment_let(Checker *c, Ast *let) {
    check_let(c, let);
    Ast *pattern = SLOT(let, LET, pattern), *value = SLOT(let, LET, value);
    if (!pattern || !value || !pattern->type || pattern->type->kind == TYPE_ERROR) return;
    if (pattern->type->kind == TYPE_TUPLE || pattern->type->kind == TYPE_STATISTICS) {
        diag_report(c->diags, DIAG_E0516, value->range, "a value of an experiment is a number, not %s",
                    type_text(c->arena, pattern->type));
        pattern->type = &type_error;
    }
}

static void check_table(Checker *c, Ast *table);

/* A claim is about training in general: its seeds are averaged, and drawn anew in each resample. */
static void check_open_seeds(Checker *c, Ast *claim) {
    Ast *condition = SLOT(claim, CLAIM, condition);
    const AxisSet seeds = axes_of_seeds(c->axes) & axes_shown(c->axes, condition);
    if (!seeds) return;
    const char *name = c->axes->axis[__builtin_ctz(seeds)].name;
    diag_help(
        diag_report(c->diags, DIAG_E0538, condition->range, "this changes with '%s', the seed of a training run", name),
        "take it away where the value is named: mean(robust, over: %s)", name);
}

static void check_claim(Checker *c, Ast *claim) {
    Ast *condition = SLOT(claim, CLAIM, condition);
    if (!condition || condition->kind == AST_ERROR) return;
    const Type *t = check_expr(c, condition);
    if (t->kind == TYPE_ERROR) return;
    if (type_is_condition(t)) {
        check_open_seeds(c, claim);
        return;
    }
    diag_help(diag_report(c->diags, DIAG_E0308, condition->range, "a claim is a condition, this is %s",
                          type_text(c->arena, t)),
              "claim \"the ensemble withstands more\": robust[defence: ensemble] > robust[defence: final]");
}

static void check_item(Checker *c, Ast *s) {
    switch (s->kind) {
    case AST_SWEEP: check_sweep(c, s); break;
    case AST_TRAIN: checker_ensure(c, s); break;
    case AST_LET: check_experiment_let(c, s); break;
    case AST_TABLE: check_table(c, s); break;
    case AST_FIGURE: check_figure(c, s); break;
    case AST_CLAIM: check_claim(c, s); break;
    case AST_ERROR: break;
    default: diag_report(c->diags, DIAG_E0514, s->range, "%s is not allowed in an experiment", a_statement(c, s->kind));
    }
}

void check_experiment(Checker *c, Ast *d) {
    Ast *items = SLOT(d, EXPERIMENT, items);
    Axes axes;
    if (!items) return;
    axes_find(c->arena, d, &axes);
    if (axes.full)
        diag_report(c->diags, DIAG_E0515, place(d), "an experiment has at most %d sweeps and choices", MOST_AXES);
    c->axes = &axes;
    check_settings(c, items, "experiment", "an experiment", d->range, DIAG_E0501, check_item);
    check_files(c, items);
    check_what_is_known(c, items);
    c->axes = NULL;
}

/* ---- tables ---- */

static void check_sweep_name(Checker *c, Ast *e, const char *key) {
    if ((e->kind == AST_NAME || item_experiment(e)) && e->ref && e->ref->kind == AST_SWEEP) {
        if (item_experiment(e)) checker_ensure(c, item_experiment(e));
        e->type = e->ref->type ? e->ref->type : &type_error;
        return;
    }
    if (e->kind == AST_MEMBER && axes_named(c->axes, e)) {
        e->type = &type_word;
        return;
    }
    if (e->kind == AST_ERROR || ((e->kind == AST_NAME || item_experiment(e)) && !e->ref)) return;
    diag_report(c->diags, DIAG_E0516, e->range, "'%s' takes the variable of a sweep", key);
}

void check_sweep_names(Checker *c, Ast *value, const char *key) {
    if (value->kind != AST_ARRAY && value->kind != AST_TUPLE) {
        check_sweep_name(c, value, key);
        return;
    }
    for (uint32_t i = 0; i < value->nkids; i++) check_sweep_name(c, value->kids[i], key);
}

static void check_columns(Checker *c, Ast *value) {
    if (value->kind != AST_ARRAY || value->nkids == 0) {
        diag_report(c->diags, DIAG_E0516, value->range, "'columns' is a list of values: [clean, robust]");
        return;
    }
    for (uint32_t i = 0; i < value->nkids; i++) {
        Ast *column = value->kids[i];
        if (column->kind == AST_BINARY && same(column->name, "by")) {
            check_sweep_names(c, SLOT(column, BINARY, right), "by");
            column->type = &type_word;
            column = SLOT(column, BINARY, left);
        }
        if (column->kind == AST_ARG) {
            diag_help(diag_report(c->diags, DIAG_E0516, place(column), "a column has no name of its own"),
                      "it is called as its value is: let %s = .. before the table", column->name);
            column->type = &type_error;
            continue;
        }
        const Type *t = check_expr(c, column);
        if (t->kind == TYPE_ERROR || type_is_number(t) || t->kind == TYPE_VERDICT ||
            sweep_of_value(c->axes->items, column))
            continue;
        Diagnostic *d = diag_report(c->diags, DIAG_E0516, column->range,
                                    "a column shows one number for each cell, this is %s", type_text(c->arena, t));
        if (t->kind == TYPE_STATISTICS) diag_help(d, "its members are %s", members_text(c, t));
    }
}

static void check_bold(Checker *c, Ast *value) {
    const bool many = value->kind == AST_ARRAY;
    for (uint32_t i = 0; i < (many ? value->nkids : 1); i++) {
        Ast *e = many ? value->kids[i] : value;
        const Type *t = check_expr(c, e);
        if (t->kind != TYPE_ERROR && !type_is_number(t))
            diag_report(c->diags, DIAG_E0516, e->range, "bold takes numbers, min(v, over: s), this is %s",
                        type_text(c->arena, t));
    }
}

static void check_cells(Checker *c, Ast *value) {
    const Ast *callee = value->kind == AST_CALL ? SLOT(value, CALL, callee) : NULL;
    if (!callee || callee->kind != AST_NAME || !(same(callee->name, "mean_std") || same(callee->name, "mean"))) {
        diag_report(c->diags, DIAG_E0516, value->range,
                    "'cells' is mean_std(v) or mean(v), where v is the variable of a sweep");
        return;
    }
    Ast *args = SLOT(value, CALL, inputs);
    for (uint32_t i = 0; i < args->nkids; i++)
        if (args->kids[i]->kind == AST_ARG) check_sweep_name(c, SLOT(args->kids[i], ARG, value), "cells");
}

/* `placed` with the axes of the names, each of which has one place in a table. */
static AxisSet take_places(Checker *c, const Ast *names, AxisSet placed) {
    const bool many = names && (names->kind == AST_ARRAY || names->kind == AST_TUPLE);
    for (uint32_t i = 0; names && i < (many ? names->nkids : 1); i++) {
        const Ast *e = many ? names->kids[i] : names;
        const AxisSet axes = axes_named(c->axes, e), twice = axes & placed;
        if (twice)
            diag_report(c->diags, DIAG_E0516, e->range, "%s has two places in this table",
                        axes_text(c->arena, c->axes, twice));
        placed |= axes;
    }
    return placed;
}

/* Rows, what is joined, and for each column what it is spread over. */
static void check_table_places(Checker *c, const Ast *list) {
    const Ast *columns = ast_setting_value(list, "columns"), *cells = ast_setting_value(list, "cells"),
              *args = cells && cells->kind == AST_CALL ? SLOT(cells, CALL, inputs) : NULL;
    AxisSet lines = take_places(c, ast_setting_value(list, "rows"), 0);
    for (uint32_t i = 0; args && i < args->nkids; i++)
        if (args->kids[i]->kind == AST_ARG) lines = take_places(c, SLOT(args->kids[i], ARG, value), lines);
    for (uint32_t i = 0; columns && columns->kind == AST_ARRAY && i < columns->nkids; i++) {
        const Ast *column = columns->kids[i];
        if (column->kind != AST_BINARY || !same(column->name, "by")) continue;
        const Ast *value = SLOT(column, BINARY, left), *by = SLOT(column, BINARY, right);
        const AxisSet none = (take_places(c, by, lines) & ~lines) & ~axes_shown(c->axes, value);
        if (none)
            diag_report(c->diags, DIAG_E0532, by->range, "'%s' does not change with %s",
                        range_text(c->arena, value->range), axes_text(c->arena, c->axes, none));
    }
}

static void check_table(Checker *c, Ast *table) {
    Ast *list = SLOT(table, TABLE, settings);
    if (!list) return;
    check_settings(c, list, "table", "a table", table->range, DIAG_E0501, NULL);
    for (uint32_t i = 0; i < list->nkids; i++) {
        const Ast *s = list->kids[i];
        const Ast *path = s->kind == AST_SETTING ? SLOT(s, SETTING, key) : NULL;
        const char *key = path ? path->name : NULL;
        Ast *value = s->kind == AST_SETTING ? SLOT(s, SETTING, value) : NULL;
        if (!value || value->kind == AST_ERROR || path->kind != AST_NAME) continue; /* a longer path is told above */
        if (same(key, "rows"))
            check_sweep_names(c, value, "rows");
        else if (same(key, "columns"))
            check_columns(c, value);
        else if (same(key, "bold"))
            check_bold(c, value);
        else if (same(key, "cells"))
            check_cells(c, value);
    }
    check_table_axes(c, list);
    check_table_places(c, list);
}

/* ---- tests and checks ---- */

static void inexact_mode(Checker *c, const Ast *fixed, const char *path, void *data) {
    const Ast *items = SLOT(fixed, FIXED, items);
    (void)path;
    for (uint32_t i = 0; items && i < items->nkids; i++) {
        const Ast *s = items->kids[i];
        char buffer[256];
        if (s->kind != AST_SETTING || !same(SLOT(s, SETTING, key)->name, "gradient")) continue;
        const Ast *value = SLOT(s, SETTING, value),
                  *callee = value && value->kind == AST_CALL ? SLOT(value, CALL, callee) : NULL;
        const Mode *m = callee && ast_path(callee, buffer, sizeof buffer) ? mode_find(buffer) : NULL;
        if (m && !m->exact)
            diag_note(diag_report(c->diags, DIAG_W0421, ((const Ast *)data)->range,
                                  "'gradient: %s(..)' is not the exact gradient: gradcheck reports the cosine "
                                  "between them, and does not pass or fail",
                                  m->name),
                      s->range, "set here");
    }
}

const Type *check_gradcheck(Checker *c, Ast *e, const Builtin *b, Ast **args) {
    bool good = true;
    if (b->rule == RULE_FINITE_DIFFERENCE)
        return !args[0] || check_range(c, args[0], "directions", 1, 100000, true) ? &type_check : &type_error;
    Ast *layer = args[0];
    const Type *t = check_expr(c, layer);
    if (b->rule == RULE_GRADIENTS && t->kind == TYPE_NET) return &type_check; /* a trained net, on its own data */
    if (t->kind != TYPE_ERROR && t->kind != TYPE_LAYER) {
        diag_help(diag_report(c->diags, DIAG_E0517, layer->range, "'%s' takes a layer with its sizes, this is %s",
                              b->name, type_text(c->arena, t)),
                  "%s(Tanh[6, 4])", b->name);
        t = &type_error;
    }
    if (b->rule == RULE_GRADCHECK && args[1]) good = check_range(c, args[1], "directions", 1, 100000, true) && good;
    if (b->rule == RULE_GRADCHECK && args[2]) good = check_range(c, args[2], "tol", 0, 1, false) && good;
    if (t->kind == TYPE_ERROR) return t;
    const Signature *s = checker_signature(c, t->decl);
    for (uint32_t i = s->ngiven; i < s->nsizes; i++) {
        diag_report(c->diags, DIAG_E0517, layer->range,
                    "size '%s' of '%s' is inferred from its inputs, and here it has none", s->sizes[i]->name,
                    t->decl->name);
        return &type_error;
    }
    if (!input_of_numbers(c, layer->range, s)) return &type_error;
    check_concrete(c, t, layer->range);
    if (b->rule == RULE_GRADCHECK && layer->kind != AST_WITH) each_fixed(c, t->decl, "", inexact_mode, e);
    return good ? &type_check : &type_error;
}

static void check_test_item(Checker *c, Ast *s) {
    if (s->kind == AST_LET)
        check_let(c, s);
    else if (s->kind != AST_ERROR)
        diag_report(c->diags, DIAG_E0514, s->range, "%s is not allowed in %s", a_statement(c, s->kind),
                    c->decl->kind == AST_TEST ? "a test" : "a check");
}

void check_test(Checker *c, Ast *d) {
    bool test = d->kind == AST_TEST;
    Ast *items = test ? SLOT(d, TEST, items) : SLOT(d, CHECK, items);
    if (items)
        check_settings(c, items, test ? "test" : "check", test ? "a test" : "a check", d->range, DIAG_E0501,
                       check_test_item);
}
