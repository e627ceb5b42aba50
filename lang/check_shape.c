/* check_shape.c - values adapt to their place, operands broadcast, and what is said when they do not. */
#include "checker.h"
#include <float.h>
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

#define LARGEST_INT 9007199254740992.0 /* 2^53: every whole number up to here is a double */

/* A finite number that an element of this type cannot hold. */
static bool too_large(double v, Elem elem) { return elem != ELEM_F64 && isfinite(v) && fabs(v) > (double)FLT_MAX; }

bool fits(Checker *c, Ast *e, const Type *want) {
    const Type *have = e->type;
    if (have->kind == TYPE_ERROR || want->kind == TYPE_ERROR) return true;
    if (want->kind == TYPE_SCHEDULE) return have->kind == TYPE_SCHEDULE || type_is_number(have);
    if (want->kind == TYPE_NUMBER) return type_is_number(have);
    if (want->kind == TYPE_TENSOR && have->kind == TYPE_FLEX && (want->elem == ELEM_REAL || want->elem == ELEM_F64)) {
        settle(e, want);
        return true;
    }
    if (want->kind == TYPE_TENSOR && type_is_scalar(want) && have->kind == TYPE_NUMBER) {
        double v;
        bool known = constant_of(c, e, &v);
        if (want->elem == ELEM_INT) return !known || (v == floor(v) && fabs(v) <= LARGEST_INT);
        return want->elem != ELEM_BOOL && !(known && too_large(v, want->elem));
    }
    if (want->kind == TYPE_TENSOR && type_is_scalar(want) && want->elem == ELEM_REAL && type_is_scalar(have) &&
        have->kind == TYPE_TENSOR && have->elem == ELEM_INT)
        return true;
    if (want->kind == TYPE_TUPLE && have->kind == TYPE_TUPLE && e->kind == AST_TUPLE && e->nkids == want->nitems) {
        for (uint32_t i = 0; i < e->nkids; i++)
            if (!fits(c, e->kids[i], want->items[i])) return false;
        return true;
    }
    if (want->kind == TYPE_TENSOR && want->elem == ELEM_LABEL && want->rank == 0) { /* a label that a number names */
        double v;
        int64_t classes;
        if (have->kind == TYPE_TENSOR && have->rank == 0 && have->elem == ELEM_INT) return true;
        if (have->kind == TYPE_NUMBER)
            return !constant_of(c, e, &v) ||
                   (v >= 0 && v == floor(v) && (!size_number(want->classes, &classes) || v < (double)classes));
    }
    return type_equal(have, want);
}

static void help_large(Checker *c, Diagnostic *d, const Ast *e, const Type *want) {
    double v;
    if (e->type->kind != TYPE_NUMBER || !constant_of(c, e, &v) || want->kind != TYPE_TENSOR) return;
    if (want->elem == ELEM_INT && v == floor(v)) diag_help(d, "a whole number is at most 2^53");
    if (want->elem == ELEM_REAL && too_large(v, ELEM_REAL)) diag_help(d, "the largest f32 is 3.4e38");
}

/* What is said of a value of the wrong type: a number is named itself. */
const char *value_text(Checker *c, const Ast *e) {
    double v;
    if (e->type->kind != TYPE_NUMBER || !constant_of(c, e, &v)) return type_text(c->arena, e->type);
    return isnan(v) ? "nan" : arena_printf(c->arena, "%.10g", v); /* that of 0 / 0 has a sign */
}

bool check_against(Checker *c, Ast *e, const Type *want, DiagCode code, const char *what) {
    if (type_is_function(want)) return check_function(c, e, want, code, what);
    if (want->kind == TYPE_ERROR && e->kind == AST_NAME) return fail(e), false; /* of a name there is no more to say */
    check_expr(c, e);
    if (fits(c, e, want)) return e->type->kind != TYPE_ERROR;
    Diagnostic *d =
        diag_report(c->diags, code, e->range, "%s is %s, not %s", what, type_text(c->arena, want), value_text(c, e));
    help_large(c, d, e, want);
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
    if (a->pack != b->pack || a->rank != b->rank) return false;
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
    Type *t = (Type *)type_tensor(arena, ELEM_REAL, a->rank, dims);
    t->pack = a->pack;
    *joined = t;
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
            if (p->number != q->number) continue; /* a size and a pack */
            diag_note(d, (Range){NULL, 0, 0}, "%s and %s are independent sizes of %s%s", p->name, q->name,
                      c->decl->name ? c->decl->name : "this declaration", known_values(c, p, q));
            return;
        }
}

/* Why two shapes do not join: "H and I must be equal". */
static const char *shape_reason(Checker *c, const Type *a, const Type *b) {
    if (a->pack != b->pack || (a->pack && a->rank != b->rank))
        return "how many axes a pack stands for is not known here";
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
    for (uint32_t i = 0; i < n; i++) {
        double v;
        if (f64 || operands[i]->type->kind != TYPE_NUMBER || !constant_of(c, operands[i], &v)) continue;
        if (!too_large(v, ELEM_REAL)) continue;
        diag_help(diag_report(c->diags, DIAG_E0301, operands[i]->range, "%g does not fit into f32", v),
                  "the largest f32 is 3.4e38");
        return false;
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

bool help_param(Checker *c, Diagnostic *d, const Ast *left, const Ast *right, bool matmul) {
    const Ast *p = NULL;
    if (right->kind == AST_NAME && right->ref && right->ref->kind == AST_PARAM)
        p = fitting_param(c, right, left->type, matmul, true);
    if (!p && left->kind == AST_NAME && left->ref && left->ref->kind == AST_PARAM)
        p = fitting_param(c, left, right->type, matmul, false);
    if (p) diag_help(d, "did you mean '%s' (%s)?", p->name, type_text(c->arena, p->type));
    return p != NULL;
}

/* The source of an operand, or its type where that is long. */
static const char *operand_text(Checker *c, const Ast *e) {
    Range r = e->range;
    uint32_t n = r.end - r.start;
    bool plain = e->kind == AST_NAME || e->kind == AST_CALL || e->kind == AST_INDEX || e->kind == AST_TRANSPOSE;
    if (!r.source || n > 40 || memchr(r.source->text + r.start, '\n', n)) return type_text(c->arena, e->type);
    return arena_printf(c->arena, plain ? "%.*s" : "(%.*s)", (int)n, r.source->text + r.start);
}

static const Type *transposed(Checker *c, const Type *t) {
    return type_has_rank(t, 2) ? type_tensor(c->arena, t->elem, 2, (const Size *[]){t->dims[1], t->dims[0]}) : t;
}

bool help_product(Checker *c, Diagnostic *d, const Ast *x, const Ast *y) {
    const Ast *sides[2][2] = {{x, y}, {y, x}};
    const Type *t;
    if (x->type->kind != TYPE_TENSOR || y->type->kind != TYPE_TENSOR) return false;
    for (int i = 0; i < 2; i++) {
        const Ast *l = sides[i][0], *r = sides[i][1];
        if (!(t = binary_matmul(c->arena, l->type, r->type))) continue;
        diag_help(d, "did you mean the matrix product %s @ %s (%s)?", operand_text(c, l), operand_text(c, r),
                  type_text(c->arena, t));
        return true;
    }
    if (y->type->rank == 2 && (t = binary_matmul(c->arena, x->type, transposed(c, y->type)))) {
        diag_help(d, "did you mean the matrix product %s @ %s' (%s)?", operand_text(c, x), operand_text(c, y),
                  type_text(c->arena, t));
        return true;
    }
    return false;
}

const Type *report_shapes(Checker *c, Ast *at, const char *op, const Ast *x, const Ast *y) {
    const char *texts =
        arena_printf(c->arena, "%s %s %s", type_text(c->arena, x->type), op, type_text(c->arena, y->type));
    bool word = op[0] >= 'a' && op[0] <= 'z';
    if (word) texts = arena_printf(c->arena, "%s and %s", type_text(c->arena, x->type), type_text(c->arena, y->type));
    Diagnostic *d = diag_report(c->diags, DIAG_E0312, place(at), "shapes do not agree in '%s': %s: %s", op, texts,
                                shape_reason(c, x->type, y->type));
    diag_mark(d, at->range, NULL);
    note_sizes(c, d, x->type, y->type);
    if (!same(op, "*") || !help_product(c, d, x, y)) help_param(c, d, x, y, false);
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

/* ---- products ---- */

const Type *binary_matmul(Arena *a, const Type *x, const Type *y) {
    if (x->pack || y->pack || x->rank < 1 || x->rank > 2 || y->rank < 1 || y->rank > 2 ||
        !size_equal(x->dims[x->rank - 1], y->dims[0]))
        return NULL;
    const Size *dims[2];
    uint32_t n = 0;
    if (x->rank == 2) dims[n++] = x->dims[0];
    if (y->rank == 2) dims[n++] = y->dims[1];
    return type_tensor(a, x->elem, n, dims);
}
