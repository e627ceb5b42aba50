/* check_expr.c - types of expressions: names, operators, broadcasting, indexing, members. */
#include "checker.h"
#include <math.h>
#include <string.h>

/* ---- adapting a value to the type its place needs ---- */

void settle(Ast *e, const Type *t) {
    if (!e || !e->type || (e->type->kind != TYPE_FLEX && e->type->kind != TYPE_NUMBER)) return;
    bool was_flex = e->type->kind == TYPE_FLEX;
    if (was_flex) e->type = t;
    if (!was_flex) return;
    switch (e->kind) {
    case AST_UNARY: settle(SLOT(e, UNARY, operand), t); break;
    case AST_BINARY:
        settle(SLOT(e, BINARY, left), t);
        settle(SLOT(e, BINARY, right), t);
        break;
    case AST_IF:
        settle(SLOT(e, IF, yes), t);
        settle(SLOT(e, IF, no), t);
        break;
    case AST_CALL: {
        const Ast *args = SLOT(e, CALL, inputs);
        for (uint32_t i = 0; i < args->nkids; i++)
            if (args->kids[i]->kind == AST_ARG) settle(SLOT(args->kids[i], ARG, value), t);
        break;
    }
    default: break;
    }
}

bool fits(Checker *c, Ast *e, const Type *want) {
    const Type *have = e->type;
    if (have->kind == TYPE_ERROR || want->kind == TYPE_ERROR) return true;
    if (want->kind == TYPE_SCHEDULE)
        return have->kind == TYPE_SCHEDULE || (type_is_scalar(have) && have->elem != ELEM_BOOL);
    if (want->kind == TYPE_NUMBER)
        return have->kind == TYPE_NUMBER || (type_is_scalar(have) && have->elem != ELEM_BOOL);
    if (want->kind == TYPE_TENSOR && have->kind == TYPE_FLEX && (want->elem == ELEM_REAL || want->elem == ELEM_F64)) {
        settle(e, want);
        return true;
    }
    if (want->kind == TYPE_TENSOR && type_is_scalar(want) && have->kind == TYPE_NUMBER) {
        double v;
        return want->elem != ELEM_BOOL && (want->elem != ELEM_INT || !constant_of(c, e, &v) || v == floor(v));
    }
    if (want->kind == TYPE_TENSOR && type_is_scalar(want) && want->elem == ELEM_REAL && type_is_scalar(have) &&
        have->kind == TYPE_TENSOR && have->elem == ELEM_INT)
        return true;
    if (want->kind == TYPE_TUPLE && have->kind == TYPE_TUPLE && e->kind == AST_TUPLE && e->nkids == want->nitems) {
        for (uint32_t i = 0; i < e->nkids; i++)
            if (!fits(c, e->kids[i], want->items[i])) return false;
        return true;
    }
    return type_equal(have, want);
}

bool check_against(Checker *c, Ast *e, const Type *want, DiagCode code, const char *what) {
    check_expr(c, e);
    if (fits(c, e, want)) return e->type->kind != TYPE_ERROR;
    Diagnostic *d = diag_report(c->diags, code, e->range, "%s is %s, not %s", what, type_text(c->arena, want),
                                type_text(c->arena, e->type));
    if (e->type->kind == TYPE_TENSOR && want->kind == TYPE_TENSOR) note_sizes(c, d, want, e->type);
    fail(e);
    return false;
}

/* ---- broadcasting ---- */

bool shapes_join(const Type *a, const Type *b, Arena *arena, const Type **joined) {
    *joined = a;
    if (type_is_scalar(b)) return true;
    *joined = b;
    if (type_is_scalar(a)) return true;
    if (type_same_shape(a, b)) return true;
    if (a->opaque || b->opaque || a->rank != b->rank) return false;
    const Size **dims = arena_alloc(arena, sizeof *dims * (a->rank + 1));
    for (uint32_t i = 0; i < a->rank; i++) {
        int64_t x, y;
        if (size_equal(a->dims[i], b->dims[i]) || (size_number(b->dims[i], &y) && y == 1))
            dims[i] = a->dims[i];
        else if (size_number(a->dims[i], &x) && x == 1)
            dims[i] = b->dims[i];
        else
            return false;
    }
    *joined = type_tensor(arena, ELEM_REAL, a->rank, dims);
    return true;
}

static Ast *find_use(const Ast *node, const Ast *layer) {
    if (!node) return NULL;
    if (node->kind == AST_INDEX && SLOT(node, INDEX, base)->ref == layer) return (Ast *)node;
    for (uint32_t i = 0; i < node->nkids; i++) {
        Ast *found = find_use(node->kids[i], layer);
        if (found) return found;
    }
    return NULL;
}

/* "; here H = 128, I = 784 (used by Net, line 22)" for a layer used somewhere with numbers, else "". */
static const char *known_values(Checker *c, const Ast *p, const Ast *q) {
    for (uint32_t m = c->program->nmodules; m-- > 0;)
        for (uint32_t i = 0; i < c->program->modules[m]->unit->nkids; i++) {
            const Ast *d = c->program->modules[m]->unit->kids[i];
            Ast *use = d == c->decl ? NULL : find_use(d, c->decl);
            const Ast *sizes = c->decl->kind == AST_LAYER ? SLOT(c->decl, LAYER, sizes) : NULL;
            const Ast *given = sizes ? SLOT(sizes, SIZES, given) : NULL,
                      *values = use ? SLOT(use, INDEX, indices) : NULL;
            const char *text = "";
            int64_t v;
            for (uint32_t k = 0; use && given && k < given->nkids && k < values->nkids; k++) {
                const Size *s = size_of(c, values->kids[k], false);
                if ((given->kids[k] == p || given->kids[k] == q) && s && size_number(s, &v))
                    text = arena_printf(c->arena, "%s%s%s = %lld", text, *text ? ", " : "", given->kids[k]->name,
                                        (long long)v);
            }
            if (*text && d->name)
                return arena_printf(c->arena, "; here %s (used by %s, line %u)", text, d->name,
                                    source_position(use->range.source, use->range.start).line);
        }
    return "";
}

void note_sizes(Checker *c, Diagnostic *d, const Type *a, const Type *b) {
    for (uint32_t i = 0; i < a->rank; i++)
        for (uint32_t k = 0; k < b->rank; k++) {
            const Ast *p = size_as_variable(a->dims[i]), *q = size_as_variable(b->dims[k]);
            if (!p || !q || p == q || p->kind != AST_SIZE_PARAM || q->kind != AST_SIZE_PARAM || !c->decl) continue;
            diag_note(d, (Range){NULL, 0, 0}, "%s and %s are independent sizes of %s%s", p->name, q->name,
                      c->decl->name ? c->decl->name : "this declaration", known_values(c, p, q));
            return;
        }
}

/* Why two shapes do not join: "H and I must be equal". */
static const char *shape_reason(Checker *c, const Type *a, const Type *b) {
    if (a->opaque || b->opaque) return "one has the shape of the example, whose axes are not known here";
    if (a->rank != b->rank) return arena_printf(c->arena, "%u and %u axes", a->rank, b->rank);
    for (uint32_t i = 0; i < a->rank; i++)
        if (!size_equal(a->dims[i], b->dims[i]))
            return arena_printf(c->arena, "%s and %s must be equal", size_text(c->arena, a->dims[i]),
                                size_text(c->arena, b->dims[i]));
    return "";
}

/* ---- elementwise ---- */

static bool is_tensor(const Type *t) { return t->kind == TYPE_TENSOR; }

/* The element type of an elementwise result: REAL, F64 or INT; reports what does not mix. */
static bool join_elems(Checker *c, Ast *at, const char *op, Ast **operands, uint32_t n, Elem *elem) {
    bool real = false, f64 = false, whole = false;
    for (uint32_t i = 0; i < n; i++) {
        const Type *t = operands[i]->type;
        double v;
        if (t->kind == TYPE_NUMBER) {
            real = real || (constant_of(c, operands[i], &v) && v != floor(v));
        } else if (t->kind == TYPE_FLEX) {
            continue;
        } else if (!is_tensor(t) || t->elem == ELEM_BOOL || t->elem == ELEM_LABEL) {
            Diagnostic *d = diag_report(c->diags, DIAG_E0307, operands[i]->range, "'%s' needs numbers, this is %s", op,
                                        type_text(c->arena, t));
            if (is_tensor(t) && t->elem == ELEM_LABEL)
                diag_help(d, "one_hot(y) is a vector of numbers");
            else if (is_tensor(t) && t->elem == ELEM_BOOL)
                diag_help(d, "if c then 1 else 0");
            else if (t->kind == TYPE_LAYER || t->kind == TYPE_FN)
                diag_help(d, "call it with its arguments");
            return false;
        } else {
            real = real || t->elem == ELEM_REAL;
            f64 = f64 || t->elem == ELEM_F64;
            whole = whole || t->elem == ELEM_INT;
        }
    }
    bool fixed_real = false;
    for (uint32_t i = 0; i < n; i++)
        fixed_real = fixed_real || (is_tensor(operands[i]->type) && operands[i]->type->elem == ELEM_REAL);
    if (f64 && fixed_real) {
        diag_report(c->diags, DIAG_E0322, place(at), "'%s' mixes f32 and f64", op);
        return false;
    }
    *elem = f64 ? ELEM_F64 : real || !whole ? ELEM_REAL : ELEM_INT;
    return true;
}

/* A PARAM of the declaration around that could stand for `wrong` in an operation with `other`, or NULL. */
static const Ast *fitting_param(Checker *c, const Ast *wrong, const Type *other, bool matmul, bool right) {
    const Ast *body = c->decl && c->decl->kind == AST_LAYER ? SLOT(c->decl, LAYER, body) : NULL;
    for (uint32_t i = 0; body && i < body->nkids; i++) {
        const Ast *p = body->kids[i];
        const Type *joined;
        if (p->kind != AST_PARAM || !p->type || p->type->kind != TYPE_TENSOR || p == wrong->ref) continue;
        if (wrong->type->rank != p->type->rank) continue;
        if (matmul ? (right ? binary_matmul(c->arena, other, p->type) : binary_matmul(c->arena, p->type, other)) != NULL
                   : shapes_join(p->type, other, c->arena, &joined))
            return p;
    }
    return NULL;
}

static void help_param(Checker *c, Diagnostic *d, const Ast *left, const Ast *right, bool matmul) {
    const Ast *p = NULL;
    if (right->kind == AST_NAME && right->ref && right->ref->kind == AST_PARAM)
        p = fitting_param(c, right, left->type, matmul, true);
    if (!p && left->kind == AST_NAME && left->ref && left->ref->kind == AST_PARAM)
        p = fitting_param(c, left, right->type, matmul, false);
    if (p) diag_help(d, "did you mean '%s' (%s)?", p->name, type_text(c->arena, p->type));
}

static const Type *report_shapes(Checker *c, Ast *at, const char *op, const Ast *x, const Ast *y) {
    const char *texts =
        arena_printf(c->arena, "%s %s %s", type_text(c->arena, x->type), op, type_text(c->arena, y->type));
    bool word = op[0] >= 'a' && op[0] <= 'z';
    if (word) texts = arena_printf(c->arena, "%s and %s", type_text(c->arena, x->type), type_text(c->arena, y->type));
    Diagnostic *d = diag_report(c->diags, DIAG_E0312, place(at), "shapes do not agree in '%s': %s: %s", op, texts,
                                shape_reason(c, x->type, y->type));
    diag_mark(d, at->range, NULL);
    note_sizes(c, d, x->type, y->type);
    help_param(c, d, x, y, false);
    return &type_error;
}

const Type *join(Checker *c, Ast *at, const char *op, Ast **operands, uint32_t n) {
    const Type *shape = NULL;
    Ast *shaped = NULL;
    bool flex = false, all_numbers = true;
    Elem elem;
    for (uint32_t i = 0; i < n; i++) {
        if (operands[i]->type->kind == TYPE_ERROR) return &type_error;
        all_numbers = all_numbers && operands[i]->type->kind == TYPE_NUMBER;
        flex = flex || operands[i]->type->kind == TYPE_FLEX;
    }
    if (all_numbers) return &type_number;
    if (!join_elems(c, at, op, operands, n, &elem)) return &type_error;
    for (uint32_t i = 0; i < n; i++) {
        const Type *t = operands[i]->type;
        if (!is_tensor(t)) continue;
        if (shape && !shapes_join(shape, t, c->arena, &shape)) return report_shapes(c, at, op, shaped, operands[i]);
        if (!shape || type_is_scalar(shape) || !type_is_scalar(t)) shaped = operands[i];
        shape = shape ? shape : t;
    }
    if (flex && (!shape || type_is_scalar(shape))) return &type_flex;
    shape = shape ? type_with_elem(c->arena, shape, elem) : &type_real;
    for (uint32_t i = 0; i < n; i++) settle(operands[i], shape);
    return shape;
}

/* ---- operators ---- */

const Type *binary_matmul(Arena *a, const Type *x, const Type *y) {
    if (x->opaque || y->opaque || x->rank < 1 || x->rank > 2 || y->rank < 1 || y->rank > 2 ||
        !size_equal(x->dims[x->rank - 1], y->dims[0]))
        return NULL;
    const Size *dims[2];
    uint32_t n = 0;
    if (x->rank == 2) dims[n++] = x->dims[0];
    if (y->rank == 2) dims[n++] = y->dims[1];
    return type_tensor(a, x->elem, n, dims);
}

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
    const char *reason = x->opaque || y->opaque ? "the axes of one side are not known here"
                         : x->rank > 2 || y->rank > 2
                             ? "'@' takes vectors and matrices"
                             : arena_printf(c->arena, "%s and %s must be equal",
                                            size_text(c->arena, x->dims[x->rank - 1]), size_text(c->arena, y->dims[0]));
    Diagnostic *d = diag_report(c->diags, DIAG_E0312, place(e), "shapes do not agree in '@': %s @ %s: %s",
                                type_text(c->arena, x), type_text(c->arena, y), reason);
    diag_mark(d, e->range, NULL);
    note_sizes(c, d, x, y);
    help_param(c, d, l, r, true);
    return &type_error;
}

static const Type *check_comparison(Checker *c, Ast *e) {
    Ast *operands[2] = {SLOT(e, BINARY, left), SLOT(e, BINARY, right)};
    const Type *x = check_expr(c, operands[0]), *y = check_expr(c, operands[1]);
    bool equality = same(e->name, "==") || same(e->name, "!=");
    if (x->kind == TYPE_ERROR || y->kind == TYPE_ERROR) return &type_error;
    if (equality && is_tensor(x) && is_tensor(y) && x->elem == ELEM_LABEL && y->elem == ELEM_LABEL) {
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
            diag_report(c->diags, DIAG_E0301, e->kids[i]->range, "a bound of '..' is a whole number, not %s",
                        type_text(c->arena, t));
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
        if (right->kind == AST_CALL) {
            right->type = check_call(c, e, SLOT(right, CALL, callee), right, operands[0]);
            return right->type;
        }
        return check_call(c, e, right, NULL, operands[0]);
    }
    if (same(op, "@")) return check_matmul(c, e);
    if (same(op, "and") || same(op, "or")) return check_logic(c, e);
    if (same(op, "..")) return check_range_expr(c, e);
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
        if (!b && solver_find(e->name)) return check_solver(c, e, false) ? &type_solver : &type_error;
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
    case AST_GRADIENT:
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
    const Size *s = size_of(c, index, true);
    if (!s) return false;
    if (size_number(s, &i) && (i < 0 || (size_number(dim, &n) && i >= n))) {
        diag_report(c->diags, DIAG_E0314, index->range, "index %lld does not fit an axis of size %s", (long long)i,
                    size_text(c->arena, dim));
        return false;
    }
    return true;
}

static const Type *index_tensor(Checker *c, Ast *e, const Type *base) {
    Ast *list = SLOT(e, INDEX, indices);
    if (type_is_scalar(base) || base->elem == ELEM_LABEL || base->opaque || list->nkids > base->rank) {
        diag_report(c->diags, DIAG_E0314, list->range.source ? list->range : e->range, "%s has %s to index",
                    type_text(c->arena, base),
                    base->opaque ? "no axes known here" : arena_printf(c->arena, "only %u axes", base->rank));
        return &type_error;
    }
    const Size *dims[8];
    uint32_t n = 0;
    bool good = true;
    for (uint32_t i = 0; i < base->rank; i++) {
        const Size *length = base->dims[i];
        if (i < list->nkids) good = check_index_item(c, list->kids[i], base->dims[i], &length) && good;
        if (length) dims[n++] = length;
    }
    return good ? type_tensor(c->arena, base->elem, n, dims) : &type_error;
}

static const Type *check_index(Checker *c, Ast *e) {
    Ast *base = SLOT(e, INDEX, base), *list = SLOT(e, INDEX, indices);
    if (base->ref && base->ref->kind == AST_LAYER) return check_instance(c, e);
    const Type *t = check_expr(c, base);
    if (t->kind == TYPE_ERROR) return t;
    if (t->kind == TYPE_TENSOR) return index_tensor(c, e, t);
    if ((t->kind == TYPE_STATES || t->kind == TYPE_EXAMPLES) && list->nkids == 1) {
        const Type *index = check_expr(c, list->kids[0]);
        if (index->kind == TYPE_ERROR) return index;
        bool range = index->kind == TYPE_RANGE;
        double from = 0, to;
        Ast *item = list->kids[0];
        bool known =
            range ? constant_of(c, SLOT(item, BINARY, left), &from) && constant_of(c, SLOT(item, BINARY, right), &to)
                  : constant_of(c, item, &from);
        if (known && (from < 0 || (range && to <= from))) {
            diag_report(c->diags, DIAG_E0314, item->range, "%s",
                        range ? "this slice is empty or starts below 0" : "the index is negative");
            return &type_error;
        }
        if (range) return t;
        if (t->kind == TYPE_STATES && fits(c, item, &type_int)) return t->items[0];
    }
    if (t->kind == TYPE_DATASET)
        diag_help(diag_report(c->diags, DIAG_E0314, e->range, "a dataset is sliced by its splits"), "d.train[0..1000]");
    else
        diag_report(c->diags, DIAG_E0314, e->range, "%s cannot be indexed like this", type_text(c->arena, t));
    return &type_error;
}

static const Type *check_transpose(Checker *c, Ast *e) {
    const Type *t = check_expr(c, SLOT(e, TRANSPOSE, base));
    if (t->kind == TYPE_ERROR) return t;
    if (!is_tensor(t) || t->rank != 2) {
        diag_report(c->diags, DIAG_E0307, e->range, "' transposes a matrix, this is %s", type_text(c->arena, t));
        return &type_error;
    }
    const Size *dims[2] = {t->dims[1], t->dims[0]};
    return type_tensor(c->arena, t->elem, 2, dims);
}

static const Type *check_member(Checker *c, Ast *e) {
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
        const Type *t = check_expr(c, e->kids[i]);
        if (t->kind == TYPE_ERROR) return t;
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
        check_solver(c, e, false);
        return &type_solver;
    }
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
    default: break;
    }
    return e->type = t;
}
