/* check_expr.c - types of expressions: names, operators, indexing, members. */
#include "checker.h"
#include "labels.h"
#include <math.h>
#include <string.h>

static bool is_tensor(const Type *t) { return t->kind == TYPE_TENSOR; }

/* ---- operators ---- */

static const Type *check_matmul(Checker *c, Ast *e) {
    Ast *l = SLOT(e, BINARY, left), *r = SLOT(e, BINARY, right);
    const Type *x = check_expr(c, l), *y = check_expr(c, r);
    if (x->kind == TYPE_ERROR || y->kind == TYPE_ERROR) return &type_error;
    Ast *operands[2] = {l, r};
    for (int i = 0; i < 2; i++)
        if (!is_tensor(operands[i]->type) || !type_is_real(operands[i]->type) || type_is_scalar(operands[i]->type)) {
            Diagnostic *d =
                diag_report(c->diags, DIAG_E0307, place(e), "'@' needs vectors or matrices, its %s side is %s",
                            i ? "right" : "left", type_text(c->arena, operands[i]->type));
            if (type_is_scalar(operands[i]->type)) diag_help(d, "'*' multiplies by a scalar");
            return &type_error;
        }
    if (x->elem != y->elem) {
        diag_report(c->diags, DIAG_E0322, place(e), "'@' mixes f32 and f64");
        return &type_error;
    }
    const Type *t = binary_matmul(c->arena, x, y);
    if (t) return t;
    const char *reason = x->pack || y->pack ? "the axes of one side are not known here"
                         : x->rank > 2 || y->rank > 2
                             ? "'@' takes vectors and matrices"
                             : arena_printf(c->arena, "%s and %s must be equal",
                                            size_text(c->arena, x->dims[x->rank - 1]), size_text(c->arena, y->dims[0]));
    Diagnostic *d = diag_report(c->diags, DIAG_E0312, place(e), "shapes do not agree in '@': %s @ %s: %s",
                                type_text(c->arena, x), type_text(c->arena, y), reason);
    diag_mark(d, e->range, NULL);
    note_sizes(c, d, x, y);
    if (!help_param(c, d, l, r, true)) help_product(c, d, l, r);
    return &type_error;
}

static bool is_label(const Type *t) { return is_tensor(t) && t->elem == ELEM_LABEL && t->rank == 0; }

static const Type *check_comparison(Checker *c, Ast *e) {
    Ast *operands[2] = {SLOT(e, BINARY, left), SLOT(e, BINARY, right)};
    const Type *x = check_expr(c, operands[0]), *y = check_expr(c, operands[1]);
    bool equality = same(e->name, "==") || same(e->name, "!=");
    if (x->kind == TYPE_ERROR || y->kind == TYPE_ERROR) return &type_error;
    if (equality && is_label(x) && is_label(y)) {
        if (size_equal(x->classes, y->classes)) return &type_bool;
        diag_report(c->diags, DIAG_E0312, place(e), "'%s' compares %s with %s", e->name, type_text(c->arena, x),
                    type_text(c->arena, y));
        return &type_error;
    }
    if (equality && is_tensor(x) && is_tensor(y) && x->elem == ELEM_LABEL && y->elem == ELEM_INT && type_is_scalar(y))
        return &type_bool;
    const Type *t = join(c, e, e->name, operands, 2);
    if (t->kind == TYPE_FLEX) {
        diag_report(c->diags, DIAG_E0324, e->range, "the shape of this comparison is not determined");
        return &type_error;
    }
    return t->kind == TYPE_ERROR ? t : t->kind == TYPE_NUMBER ? &type_bool : type_with_elem(c->arena, t, ELEM_BOOL);
}

static bool needs_truth(Checker *c, Ast *e, DiagCode code, const char *what) {
    const Type *t = check_expr(c, e);
    if (t->kind == TYPE_ERROR) return false;
    if (is_tensor(t) && t->elem == ELEM_BOOL) return true;
    Diagnostic *d =
        diag_report(c->diags, code, e->range, "%s must be a truth value, this is %s", what, type_text(c->arena, t));
    if (type_is_real(t)) diag_help(d, "compare it: x > 0");
    return false;
}

static const Type *check_logic(Checker *c, Ast *e) {
    Ast *l = SLOT(e, BINARY, left), *r = SLOT(e, BINARY, right);
    const char *what = arena_printf(c->arena, "an operand of '%s'", e->name);
    bool good = needs_truth(c, l, DIAG_E0307, what);
    good = needs_truth(c, r, DIAG_E0307, what) && good;
    const Type *t;
    if (!good) return &type_error;
    if (!shapes_join(l->type, r->type, c->arena, &t)) return report_shapes(c, e, e->name, l, r);
    return type_with_elem(c->arena, t, ELEM_BOOL);
}

static const Type *check_range_expr(Checker *c, Ast *e) {
    bool good = true;
    for (uint32_t i = 0; i < 2; i++) {
        const Type *t = check_expr(c, e->kids[i]);
        if (t->kind == TYPE_ERROR) {
            good = false;
        } else if (!fits(c, e->kids[i], &type_int)) {
            diag_report(c->diags, DIAG_E0301, e->kids[i]->range, "a bound of '..' is a whole number up to 2^53, not %s",
                        value_text(c, e->kids[i]));
            good = false;
        }
    }
    return good ? &type_range : &type_error;
}

static const Type *check_binary(Checker *c, Ast *e) {
    const char *op = e->name;
    Ast *operands[2] = {SLOT(e, BINARY, left), SLOT(e, BINARY, right)};
    if (same(op, "|>")) {
        Ast *right = operands[1];
        const deq_row *transform = transform_of(right);
        if (transform) return check_transform(c, e, transform);
        if (right->kind == AST_CALL) {
            right->type = check_call(c, e, SLOT(right, CALL, callee), right, operands[0]);
            return right->type;
        }
        return check_call(c, e, right, NULL, operands[0]);
    }
    if (same(op, "@")) return check_matmul(c, e);
    if (same(op, "and") || same(op, "or")) return check_logic(c, e);
    if (same(op, "..")) return check_range_expr(c, e);
    if (same(op, "else")) {
        if (!is_chain(e)) {
            diag_help(diag_report(c->diags, DIAG_E0417, e->range, "'else' stands between solvers, or in an 'if'"),
                      "forward: anderson() else broyden()");
            return &type_error;
        }
        return check_chain(c, e, ANY_USE) ? &type_solver : &type_error;
    }
    if (same(op, "by")) {
        diag_report(c->diags, DIAG_E0516, place(e),
                    "'by' spreads a column of a table over a sweep: it stands in 'columns'");
        return &type_error;
    }
    const Type *chosen = strchr("=!<>", op[0]) ? check_label_compared(c, e) : NULL;
    if (chosen) return chosen;
    if (strchr("=!<>", op[0])) return check_comparison(c, e);
    check_expr(c, operands[0]);
    check_expr(c, operands[1]);
    const Type *t = join(c, e, op, operands, 2);
    return same(op, "/") && is_tensor(t) && t->elem == ELEM_INT ? type_with_elem(c->arena, t, ELEM_REAL) : t;
}

static const Type *check_unary(Checker *c, Ast *e) {
    Ast *operand = SLOT(e, UNARY, operand);
    if (same(e->name, "not"))
        return needs_truth(c, operand, DIAG_E0307, "the operand of 'not'") ? operand->type : &type_error;
    check_expr(c, operand);
    return join(c, e, e->name, &operand, 1);
}

static const Type *check_if(Checker *c, Ast *e) {
    Ast *condition = SLOT(e, IF, condition), *arms[2] = {SLOT(e, IF, yes), SLOT(e, IF, no)};
    bool good = needs_truth(c, condition, DIAG_E0308, "the condition of 'if'");
    const Type *x = check_expr(c, arms[0]), *y = check_expr(c, arms[1]), *t, *joined;
    if (x->kind == TYPE_ERROR || y->kind == TYPE_ERROR) return &type_error;
    if (x->kind == TYPE_ATTACK && y->kind == TYPE_ATTACK) { /* one of two attacks, by the settings of one of others */
        if (type_is_scalar(condition->type)) return good ? x : &type_error;
        diag_report(c->diags, DIAG_E0308, condition->range, "a setting decides between attacks, not %s",
                    type_text(c->arena, condition->type));
        return &type_error;
    }
    if (is_label(x) && is_label(y)) {
        if (size_equal(x->classes, y->classes) && type_is_scalar(condition->type)) return good ? x : &type_error;
        diag_report(c->diags, DIAG_E0312, place(e), "'if' chooses between %s and %s by %s", type_text(c->arena, x),
                    type_text(c->arena, y), type_text(c->arena, condition->type));
        return &type_error;
    }
    bool truth = is_tensor(x) && x->elem == ELEM_BOOL && is_tensor(y) && y->elem == ELEM_BOOL;
    if (truth) {
        if (!shapes_join(x, y, c->arena, &t)) return report_shapes(c, e, "if", arms[0], arms[1]);
    } else {
        t = join(c, e, "if", arms, 2);
    }
    if (!good || t->kind == TYPE_ERROR) return &type_error;
    if (t->kind == TYPE_FLEX) {
        if (type_is_scalar(condition->type)) return t;
        t = type_with_elem(c->arena, condition->type, ELEM_REAL);
        settle(arms[0], t), settle(arms[1], t);
        return t;
    }
    if (t->kind == TYPE_NUMBER) t = &type_real;
    if (!shapes_join(t, condition->type, c->arena, &joined)) {
        arms[0]->type = t;
        return report_shapes(c, e, "if", condition, arms[0]);
    }
    return type_with_elem(c->arena, joined, truth ? ELEM_BOOL : t->elem);
}

/* ---- names, indices, members ---- */

static const Type *check_name(Checker *c, Ast *e) {
    const Ast *r = e->ref;
    if (!r) {
        const Builtin *b = builtin_find(e->name, c->context);
        if (!b && mode_find(e->name)) return check_mode(c, e, NULL) ? &type_mode : &type_error;
        if (!b && solver_find(e->name)) return check_solver(c, e, ANY_USE) ? &type_solver : &type_error;
        if (!b && reader_find(e->name)) {
            diag_report(c->diags, DIAG_E0508, e->range, "'%s' is a reader: it stands in data d: (type, type) = %s()",
                        e->name, e->name);
            return &type_error;
        }
        if (!b || (b->rule == RULE_VALUE_NUMBER)) return b ? &type_number : &type_error;
        if (builtin_is_value(b)) return machine_value(c, b->rule);
        if (b->rule == RULE_FILL || (b->rule == RULE_INIT && c->context == CTX_INIT)) return &type_flex;
        diag_report(c->diags, DIAG_E0301, e->range, "'%s' is a function: %s", e->name, b->signature);
        return &type_error;
    }
    switch (r->kind) {
    case AST_SIZE_PARAM: return &type_int;
    case AST_IMPORT: {
        Type *t = arena_alloc(c->arena, sizeof *t);
        t->kind = TYPE_MODULE, t->decl = r;
        return t;
    }
    case AST_LAYER: return check_instance(c, e);
    case AST_ATTACK_DEF:
    case AST_DEFENCE_DEF:
    case AST_OPTIMISER_DEF:
    case AST_SCHEDULE_DEF: return check_instance_call(c, e, r, NULL);
    case AST_CONST:
    case AST_DATA:
    case AST_TRAIN:
    case AST_ATTACK:
    case AST_DEFENCE:
    case AST_OPTIMISER:
    case AST_SCHEDULE:
    case AST_EXPERIMENT:
    case AST_FN: checker_ensure(c, r); break;
    default: break;
    }
    if (r->kind == AST_GRADIENT) return &type_mode;
    if (r->kind == AST_FN || r->kind == AST_EXPERIMENT) {
        Type *t = arena_alloc(c->arena, sizeof *t);
        t->kind = TYPE_FN, t->decl = r;
        return t;
    }
    return r->type ? r->type : &type_error;
}

/* One index of a tensor: a whole number or a range of them; *length is NULL when the axis goes away. */
static bool check_index_item(Checker *c, Ast *index, const Size *dim, const Size **length) {
    int64_t i, n;
    *length = NULL;
    if (index->kind == AST_BINARY && same(index->name, "..")) {
        const Size *from = size_of(c, SLOT(index, BINARY, left), true),
                   *to = size_of(c, SLOT(index, BINARY, right), true);
        if (!from || !to) return false;
        index->type = &type_range;
        *length = size_subtract(c->arena, to, from);
        int64_t a, b;
        bool known = size_number(*length, &n);
        if ((known && n < 1) || (size_number(from, &a) && a < 0) ||
            (size_number(to, &b) && size_number(dim, &i) && b > i)) {
            diag_report(c->diags, DIAG_E0314, index->range, "slice %s..%s does not fit an axis of size %s",
                        size_text(c->arena, from), size_text(c->arena, to), size_text(c->arena, dim));
            return false;
        }
        return true;
    }
    bool value =
        index->kind == AST_NAME || index->kind == AST_CALL || index->kind == AST_INDEX || index->kind == AST_IF;
    const Type *t = value ? check_expr(c, index) : NULL;
    if (t && is_label(t)) {
        if (size_equal(t->classes, dim)) return true;
        diag_report(c->diags, DIAG_E0314, index->range, "%s does not index an axis of size %s", type_text(c->arena, t),
                    size_text(c->arena, dim));
        return false;
    }
    const Size *s = t && t->kind == TYPE_ERROR ? NULL : size_of(c, index, true);
    if (!s) return false;
    if (size_number(s, &i) && (i < 0 || (size_number(dim, &n) && i >= n))) {
        Diagnostic *d = diag_report(c->diags, DIAG_E0314, index->range, "index %lld does not fit an axis of size %s",
                                    (long long)i, size_text(c->arena, dim));
        if (i < 0) diag_help(d, "indices count from 0; the last one of an axis of size N is N - 1");
        return false;
    }
    return true;
}

static const Type *index_tensor(Checker *c, Ast *e, const Type *base) {
    Ast *list = SLOT(e, INDEX, indices);
    uint32_t known = base->pack ? base->pack - 1 : base->rank;
    if (type_is_scalar(base) || is_label(base) || list->nkids > known) {
        diag_report(c->diags, DIAG_E0314, list->range.source ? list->range : e->range, "%s has %s to index",
                    type_text(c->arena, base),
                    base->pack && !known ? "no axes known here" : arena_printf(c->arena, "only %u axes", known));
        return &type_error;
    }
    const Size *dims[8];
    uint32_t n = 0, pack = 0;
    bool good = true;
    for (uint32_t i = 0; i < base->rank; i++) {
        const Size *length = base->dims[i];
        if (i < list->nkids) good = check_index_item(c, list->kids[i], base->dims[i], &length) && good;
        if (length) dims[n++] = length;
        if (i + 1 == base->pack) pack = n;
    }
    if (!good) return &type_error;
    Type *t = (Type *)type_tensor(c->arena, base->elem, n, dims);
    t->pack = pack, t->classes = base->classes;
    return t;
}

#define LAST_EXAMPLE 1e12 /* as `examples:` in settings.def */

static const Type *check_index(Checker *c, Ast *e) {
    Ast *base = SLOT(e, INDEX, base), *list = SLOT(e, INDEX, indices);
    if (is_pick(e)) return check_picks(c, e);
    if (base->ref && base->ref->kind == AST_LAYER) return check_instance(c, e);
    const Type *t = check_expr(c, base);
    if (t->kind == TYPE_ERROR) return t;
    if (t->kind == TYPE_TENSOR) return index_tensor(c, e, t);
    if (t == &type_log && list->nkids == 1 && c->axes) { /* net.log[epoch] */
        const Type *index = check_expr(c, list->kids[0]);
        if (index->kind == TYPE_ERROR || fits(c, list->kids[0], &type_int))
            return index->kind == TYPE_ERROR ? index : t;
    }
    if ((t->kind == TYPE_STATES || t->kind == TYPE_EXAMPLES) && list->nkids == 1) {
        const Type *index = check_expr(c, list->kids[0]);
        if (index->kind == TYPE_ERROR) return index;
        bool range = index->kind == TYPE_RANGE;
        double from = 0, to;
        Ast *item = list->kids[0];
        bool known =
            range ? constant_of(c, SLOT(item, BINARY, left), &from) && constant_of(c, SLOT(item, BINARY, right), &to)
                  : constant_of(c, item, &from);
        if (known && t->kind == TYPE_STATES && from < 1) {
            diag_help(diag_report(c->diags, DIAG_E0314, item->range, "states count from 1"),
                      "states[1] is the state after the first step; the start, z_0, is none");
            return &type_error;
        }
        if (known && ((t->kind == TYPE_EXAMPLES && from > LAST_EXAMPLE) || (range && to > LAST_EXAMPLE))) {
            diag_report(c->diags, DIAG_E0314, item->range, "there are no sets of so many examples: at most %.0f",
                        LAST_EXAMPLE);
            return &type_error;
        }
        if (known && (from < 0 || (range && to <= from))) {
            diag_report(c->diags, DIAG_E0314, item->range, "%s",
                        range ? "this slice is empty or starts below 0" : "the index is negative");
            return &type_error;
        }
        if (range) return t;
        if (t->kind == TYPE_STATES && fits(c, item, &type_int)) return t->items[0];
    }
    if (t->kind == TYPE_DATASET)
        diag_help(diag_report(c->diags, DIAG_E0314, e->range, "a dataset cannot be sliced, its splits can"),
                  "d.train[0..1000]");
    else if (t->kind == TYPE_EXAMPLES)
        diag_help(diag_report(c->diags, DIAG_E0314, e->range, "%s cannot be indexed like this", type_text(c->arena, t)),
                  "a part of them is a slice with numbers known before anything runs, one of them too: d.test[3..4]");
    else
        diag_report(c->diags, DIAG_E0314, e->range, "%s cannot be indexed like this", type_text(c->arena, t));
    return &type_error;
}

static const Type *check_transpose(Checker *c, Ast *e) {
    const Type *t = check_expr(c, SLOT(e, TRANSPOSE, base));
    if (t->kind == TYPE_ERROR) return t;
    if (!type_has_rank(t, 2)) {
        diag_report(c->diags, DIAG_E0307, e->range, "' transposes a matrix, this is %s", type_text(c->arena, t));
        return &type_error;
    }
    const Size *dims[2] = {t->dims[1], t->dims[0]};
    return type_tensor(c->arena, t->elem, 2, dims);
}

/* table2.robust */
static const Type *check_item_of(Checker *c, Ast *e, const Ast *experiment) {
    if (!e->ref) return &type_error;
    checker_ensure(c, experiment);
    const Type *t = e->ref->type ? e->ref->type : &type_error;
    const bool may = type_is_scalar(t) || t->kind == TYPE_NET || t->kind == TYPE_VERDICT ||
                     (c->axes && sweep_of_value(c->axes->items, e));
    if (t->kind == TYPE_ERROR) return t;
    if (!c->axes)
        diag_report(c->diags, DIAG_E0537, place(e), "a value of the experiment '%s' is known in experiments only",
                    experiment->name);
    else if (!may)
        diag_report(c->diags, DIAG_E0537, place(e), "'%s' of '%s' is %s: it is no number and stays in its experiment",
                    e->name, experiment->name, type_text(c->arena, t));
    else
        return t;
    return &type_error;
}

static const Type *check_member(Checker *c, Ast *e) {
    const Ast *experiment = item_experiment(e);
    if (experiment) return check_item_of(c, e, experiment);
    if (e->ref) {
        Ast name = *e; /* blocks.Res is the name Res of another module */
        name.kind = AST_NAME, name.nkids = 0, name.kids = NULL;
        return e->ref->kind == AST_LAYER ? check_instance(c, e) : check_name(c, &name);
    }
    if (spells_mode(e)) {
        check_mode(c, e, NULL);
        return &type_mode;
    }
    const Type *base = check_expr(c, SLOT(e, MEMBER, base));
    if (base->kind == TYPE_ERROR || base->kind == TYPE_MODULE) return &type_error;
    return check_pipeline_member(c, e, base);
}

static const Type *check_array(Checker *c, Ast *e) {
    const Type *item = NULL;
    for (uint32_t i = 0; i < e->nkids; i++) {
        if (e->kids[i]->kind == AST_ARG) {
            diag_help(diag_report(c->diags, DIAG_E0533, place(e->kids[i]),
                                  "'%s:' is no label: this is no list of a sweep", e->kids[i]->name),
                      "sweep mode in [exact: implicit(), fast: jfb()]");
            return &type_error;
        }
        const Type *t = check_partial(c, e->kids[i]);
        if (!t) t = check_expr(c, e->kids[i]);
        if (t->kind == TYPE_ERROR) return t;
        if (item && item->kind == TYPE_FN && t->kind == TYPE_FN) continue; /* several losses */
        if (item && item->kind == TYPE_NET && t->kind == TYPE_NET) continue;
        if (!item || (item->kind == TYPE_NUMBER && t->kind == TYPE_TENSOR && type_is_scalar(t)))
            item = t;
        else if (!fits(c, e->kids[i], item)) {
            diag_report(c->diags, DIAG_E0301, e->kids[i]->range,
                        "an element of this list is %s, those before it are %s", type_text(c->arena, t),
                        type_text(c->arena, item));
            return &type_error;
        }
    }
    return type_of_items(c->arena, TYPE_LIST, item ? 1 : 0, &item);
}

/* [f(n) for n in A] */
static const Type *check_each(Checker *c, Ast *e) {
    Ast *variables = SLOT(e, EACH, variables);
    for (uint32_t i = 0; i < variables->nkids; i++) check_sweep(c, variables->kids[i]);
    const Type *item = check_expr(c, SLOT(e, EACH, item));
    return item->kind == TYPE_ERROR ? item : type_of_items(c->arena, TYPE_LIST, 1, &item);
}

static uint32_t leaves(const Type *t) {
    uint32_t n = t->kind != TYPE_TUPLE;
    for (uint32_t i = 0; t->kind == TYPE_TUPLE && i < t->nitems; i++) n += leaves(t->items[i]);
    return n;
}

static const Type *check_tuple(Checker *c, Ast *e) {
    const Type **items = arena_alloc(c->arena, sizeof *items * (e->nkids + 1));
    bool good = true;
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->nkids; i++) {
        good = (items[i] = check_expr(c, e->kids[i]))->kind != TYPE_ERROR && good;
        n += leaves(items[i]);
    }
    if (n > 256) {
        diag_report(c->diags, DIAG_E0315, e->range, "a tuple has at most 256 components, this one %u", n);
        return &type_error;
    }
    return good ? type_of_items(c->arena, TYPE_TUPLE, e->nkids, items) : &type_error;
}

static const Type *check_call_expr(Checker *c, Ast *e) {
    if (spells_mode(e)) {
        check_mode(c, e, NULL);
        return &type_mode;
    }
    if (spells_solver(e)) {
        check_solver(c, e, ANY_USE);
        return &type_solver;
    }
    if (spells_penalty(e)) return check_penalty(c, e) ? &type_penalty : &type_error;
    if (spells_finish(e)) return check_finish(c, e) ? &type_finish : &type_error;
    GradientsCompared gradients;
    if (c->context & CTX_PIPELINE && gradients_compared(e, &gradients)) return check_gradients(c, e, &gradients);
    return check_call(c, e, SLOT(e, CALL, callee), e, NULL);
}

const Type *check_expr(Checker *c, Ast *e) {
    const Type *t = &type_error;
    switch (e->kind) {
    case AST_NAME: t = check_name(c, e); break;
    case AST_NUMBER: t = &type_number; break;
    case AST_STRING: t = &type_string; break;
    case AST_BOOL: t = &type_bool; break;
    case AST_TUPLE: t = check_tuple(c, e); break;
    case AST_ARRAY: t = check_array(c, e); break;
    case AST_CALL: t = check_call_expr(c, e); break;
    case AST_INDEX: t = check_index(c, e); break;
    case AST_MEMBER: t = check_member(c, e); break;
    case AST_TRANSPOSE: t = check_transpose(c, e); break;
    case AST_UNARY: t = check_unary(c, e); break;
    case AST_BINARY: t = check_binary(c, e); break;
    case AST_IF: t = check_if(c, e); break;
    case AST_WITH: t = check_with(c, e); break;
    case AST_UNDER: t = check_under(c, e); break;
    case AST_RECORD: t = check_record(c, e); break;
    case AST_EACH: t = check_each(c, e); break;
    case AST_SPREAD: t = unavailable(c, e->range, "'..' among the items of a list"); break;
    default: break;
    }
    return e->type = t;
}
