/* check_size.c - expressions as sizes and constants, types as written, matching of sizes. */
#include "checker.h"
#include "constant.h"
#include "foreign.h"
#include <math.h>
#include <string.h>

static const Size *not_a_size(Checker *c, Ast *e, bool report) {
    if (report && !(e->type && e->type->kind == TYPE_ERROR)) {
        Diagnostic *d = diag_report(c->diags, DIAG_E0309, e->range, "this is not a size");
        diag_help(d, "sizes are size parameters, constants, int arguments, and + - * / floor() of them");
        e->type = &type_error;
    }
    return NULL;
}

static const Size *size_of_name(Checker *c, Ast *e, bool report) {
    const Ast *r = e->ref;
    if (!r) {
        if (builtin_find(e->name, c->context)) return not_a_size(c, e, report);
        return NULL; /* resolve has reported it */
    }
    if (r->kind == AST_SIZE_PARAM && r->number != 0) {
        if (report)
            diag_help(diag_report(c->diags, DIAG_E0327, e->range, "'%s' is a pack of axes, not one size", e->name),
                      "all of them are written ..%s", e->name);
        e->type = &type_error;
        return NULL;
    }
    if (r->kind == AST_SIZE_PARAM || (r->kind == AST_FOR && r->type == &type_int)) return size_variable(c->arena, r);
    if (r->kind == AST_BINDING && r->type && type_equal(r->type, &type_int) && r->type->kind != TYPE_ERROR)
        return size_variable(c->arena, r);
    if (r->kind == AST_CONST) {
        double v;
        const Size *size;
        checker_constant(c, r, &v, &size);
        if (!size && r->type && r->type->kind == TYPE_ERROR) return NULL;
        return size ? size : not_a_size(c, e, report);
    }
    if (r->type && r->type->kind == TYPE_ERROR) return NULL;
    /* a number of a sweep: the compiler sees each */
    const bool number = r->type && (type_equal(r->type, &type_int) || type_equal(r->type, &type_number));
    if (r->kind == AST_SWEEP && number) return size_variable(c->arena, r);
    return not_a_size(c, e, report);
}

const Size *size_of(Checker *c, Ast *e, bool report) {
    Arena *a = c->arena;
    const Size *x, *y, *s = NULL;
    switch (e->kind) {
    case AST_NUMBER:
        if (e->number != floor(e->number) || fabs(e->number) > 1e15) return not_a_size(c, e, report);
        s = size_constant(a, (int64_t)e->number);
        break;
    case AST_NAME: s = size_of_name(c, e, report); break;
    case AST_UNARY:
        x = size_of(c, SLOT(e, UNARY, operand), report);
        if (x && !same(e->name, "-")) return not_a_size(c, e, report);
        s = x ? size_subtract(a, size_constant(a, 0), x) : NULL;
        break;
    case AST_BINARY:
        if (!same(e->name, "+") && !same(e->name, "-") && !same(e->name, "*") && !same(e->name, "/"))
            return not_a_size(c, e, report);
        x = size_of(c, SLOT(e, BINARY, left), report);
        y = size_of(c, SLOT(e, BINARY, right), report);
        if (!x || !y) return NULL;
        s = same(e->name, "+")   ? size_add(a, x, y)
            : same(e->name, "-") ? size_subtract(a, x, y)
            : same(e->name, "*") ? size_multiply(a, x, y)
                                 : size_divide(a, x, y);
        break;
    case AST_CALL: {
        Ast *callee = SLOT(e, CALL, callee), *args = SLOT(e, CALL, inputs);
        if (callee->kind != AST_NAME || callee->ref || !same(callee->name, "floor") || args->nkids != 1)
            return not_a_size(c, e, report);
        x = size_of(c, SLOT(args->kids[0], ARG, value), report);
        s = x ? size_floor(a, x) : NULL;
        break;
    }
    case AST_ERROR: return NULL;
    default: return not_a_size(c, e, report);
    }
    if (!s) return NULL;
    if (!size_valid(s)) {
        if (report) diag_report(c->diags, DIAG_E0309, e->range, "this size divides by zero or is too large");
        return NULL;
    }
    e->type = &type_int;
    return s;
}

/* A function of a bound, whose body is an expression: 0..widest(p). */
static bool constant_function(Checker *c, const Ast *call, const Ast *fn, double *v) {
    enum { MOST = 8, MOST_CALLS = 1000 };
    const Ast *params = SLOT(SLOT(fn, FN, inputs), PARAMS, inputs), *args = SLOT(call, CALL, inputs);
    Ast *settings[MOST], *values[MOST];
    GivenNumber numbers[MOST] = {0};
    const Given *outer = c->given;
    if (SLOT(SLOT(fn, FN, inputs), PARAMS, state) || SLOT(fn, FN, body)->kind == AST_LIST || params->nkids > MOST ||
        ++*outer->calls > MOST_CALLS)
        return false;
    for (uint32_t i = 0; i < params->nkids; i++) {
        const Ast *arg = ast_argument(args, params, i);
        settings[i] = params->kids[i];
        values[i] = arg ? SLOT(arg, ARG, value) : NULL;
    }
    const Given given = {settings, values, params->nkids, outer, numbers, outer->calls};
    c->given = &given;
    const bool known = constant_of(c, SLOT(fn, FN, body), v);
    c->given = outer;
    return known;
}

static bool constant_call(Checker *c, const Ast *e, double *v) {
    const Ast *callee = SLOT(e, CALL, callee), *args = SLOT(e, CALL, inputs);
    double x[2] = {0, 0};
    if (c->given && callee->ref && callee->ref->kind == AST_FN && !SLOT(e, CALL, state))
        return constant_function(c, e, callee->ref, v);
    if (callee->kind != AST_NAME || callee->ref || SLOT(e, CALL, state) || args->nkids < 1 || args->nkids > 2)
        return false;
    for (uint32_t i = 0; i < args->nkids; i++)
        if (args->kids[i]->kind != AST_ARG || !constant_of(c, SLOT(args->kids[i], ARG, value), &x[i])) return false;
    return deq_constant(callee->name, (int)args->nkids, x[0], x[1], v);
}

/* A setting at the call whose bounds are looked at. */
static bool constant_setting(Checker *c, const Ast *name, double *v) {
    const Given *given = c->given;
    for (uint32_t i = 0; given && i < given->n; i++) {
        GivenNumber *n = &given->numbers[i];
        if (name->ref != given->settings[i]) continue;
        if (n->state != GIVEN_OPEN) return *v = n->value, n->state == GIVEN_KNOWN;
        const Ast *value = given->values[i] ? given->values[i] : SLOT(given->settings[i], BINDING, fallback);
        c->given = given->outer;
        const bool known = value && constant_of(c, value, v);
        c->given = given;
        *n = (GivenNumber){known ? GIVEN_KNOWN : GIVEN_UNKNOWN, known ? *v : 0};
        return known;
    }
    return false;
}

bool constant_of(Checker *c, const Ast *e, double *v) {
    double x, y;
    switch (e->kind) {
    case AST_NUMBER: *v = e->number; return true;
    case AST_NAME:
        if (e->ref && e->ref->kind == AST_CONST) {
            const Size *size;
            return checker_constant(c, e->ref, v, &size);
        }
        if (!e->ref && (same(e->name, "pi") || same(e->name, "inf"))) {
            *v = same(e->name, "pi") ? 3.14159265358979323846 : (double)INFINITY;
            return true;
        }
        return constant_setting(c, e, v);
    case AST_BOOL: *v = e->number; return true;
    case AST_IF:
        return constant_of(c, SLOT(e, IF, condition), &x) &&
               constant_of(c, x != 0 ? SLOT(e, IF, yes) : SLOT(e, IF, no), v);
    case AST_UNARY:
        if (!same(e->name, "-") || !constant_of(c, SLOT(e, UNARY, operand), &x)) return false;
        *v = -x;
        return true;
    case AST_BINARY:
        if (!constant_of(c, SLOT(e, BINARY, left), &x) || !constant_of(c, SLOT(e, BINARY, right), &y)) return false;
        return deq_constant(e->name, 2, x, y, v);
    case AST_CALL: return constant_call(c, e, v);
    default: return false;
    }
}

bool check_positive(Checker *c, Ast *at, const Size *s) {
    int64_t num, den;
    if (!size_rational(s, &num, &den) || (den == 1 && num >= 1)) return true;
    diag_report(c->diags, DIAG_E0310, at->range, "a size must be a positive whole number, this is %s",
                size_text(c->arena, s));
    return false;
}

static const Type *scalar_type(const char *name) {
    return same(name, "f32")        ? &type_real
           : same(name, "f64")      ? &type_f64
           : same(name, "int")      ? &type_int
           : same(name, "bool")     ? &type_bool
           : same(name, "schedule") ? &type_schedule
                                    : NULL;
}

static const Type *unknown_type(Checker *c, Ast *type) {
    static const char *const names[] = {"f32", "f64", "int", "bool", "label", "schedule"};
    Diagnostic *d = diag_report(c->diags, DIAG_E0207, place(type), "unknown type '%s'", type->name ? type->name : "?");
    const char *near = type->name ? diag_nearest(type->name, names, 6) : NULL;
    const Foreign *row = type->name ? foreign_find(FOREIGN_TYPE, type->name) : NULL;
    if (row)
        foreign_help(d, c->arena, row, NULL);
    else if (near)
        diag_meant(d, near, "");
    else
        diag_help(d, "types are f32, f64, int, bool, label[K], schedule");
    return type->type = &type_error;
}

/* One dim, or a pack of them: then *pack is 1 + its place. */
const Size *check_dim(Checker *c, Ast *dim, uint32_t place, uint32_t *pack) {
    if (dim->kind != AST_SPREAD) {
        const Size *s = size_of(c, dim, true);
        return s && check_positive(c, dim, s) ? s : NULL;
    }
    Ast *name = SLOT(dim, SPREAD, value);
    const Ast *r = name->kind == AST_NAME ? name->ref : NULL;
    if (name->kind == AST_NAME && !r && !builtin_find(name->name, c->context))
        return NULL; /* resolve has reported it */
    if (!r || r->kind != AST_SIZE_PARAM || r->number == 0) {
        diag_help(diag_report(c->diags, DIAG_E0327, dim->range, "'..' stands before a pack of axes here"),
                  "a pack is declared in the type of an input: x: f32[..S]");
        return NULL;
    }
    if (*pack) {
        diag_help(diag_report(c->diags, DIAG_E0327, dim->range, "a shape has one pack of axes, this is a second one"),
                  "where one ends and the other begins could not be told");
        return NULL;
    }
    *pack = place + 1;
    dim->type = name->type = &type_int;
    return size_variable(c->arena, r);
}

const Type *check_type(Checker *c, Ast *type) {
    if (!type || type->kind == AST_ERROR) return &type_error;
    if (type->type) return type->type;
    if (type->kind == AST_TUPLE_TYPE) {
        const Type **items = arena_alloc(c->arena, sizeof *items * (type->nkids + 1));
        for (uint32_t i = 0; i < type->nkids; i++)
            if ((items[i] = check_type(c, type->kids[i]))->kind == TYPE_ERROR) type->type = &type_error;
        return type->type ? type->type : (type->type = type_of_items(c->arena, TYPE_TUPLE, type->nkids, items));
    }
    if (type->kind == AST_FN_TYPE) {
        diag_help(diag_report(c->diags, DIAG_E0328, type->range, "a function is no value that could stand here"),
                  "function types are those of the parameters of functions, layers and attacks");
        return type->type = &type_error;
    }
    const Ast *dims = SLOT(type, TYPE, dims);
    bool label = same(type->name, "label");
    const Type *scalar = scalar_type(type->name);
    if (!label && !scalar) return unknown_type(c, type);
    if (!dims && !label) return type->type = scalar;
    const Size **sizes = arena_alloc(c->arena, sizeof *sizes * ((dims ? dims->nkids : 0) + 1));
    bool good = true;
    uint32_t pack = 0;
    for (uint32_t i = 0; dims && i < dims->nkids; i++)
        good = (sizes[i] = check_dim(c, dims->kids[i], i, &pack)) && good;
    if (!good) return type->type = &type_error;
    if (label) {
        if (!dims || dims->nkids != 1 || pack) {
            diag_report(c->diags, DIAG_E0207, type->range, "label needs its number of classes: label[10]");
            return type->type = &type_error;
        }
        return type->type = type_label(c->arena, sizes[0]);
    }
    if (scalar->kind != TYPE_TENSOR || dims->nkids > 6) {
        diag_report(c->diags, DIAG_E0207, type->range,
                    scalar->kind != TYPE_TENSOR ? "'%s' takes no sizes" : "'%s' has more than 6 axes", type->name);
        return type->type = &type_error;
    }
    Type *t = (Type *)type_tensor(c->arena, scalar->elem, dims->nkids, sizes);
    t->pack = pack;
    return type->type = t;
}

const SizeBinding *binding_of(const SizeBinding *b, uint32_t n, const Ast *var) {
    for (uint32_t i = 0; i < n; i++)
        if (b[i].var == var) return &b[i];
    return NULL;
}

/* The only variable of `s` listed in `b` without a value, or NULL if there is none or more than one. */
static SizeBinding *single_unknown(const Size *s, SizeBinding *b, uint32_t n) {
    SizeBinding *found = NULL;
    for (uint32_t i = 0; i < n; i++)
        if (!b[i].value && size_mentions(s, b[i].var)) {
            if (found) return NULL;
            found = &b[i];
        }
    return found;
}

static bool unify_size(Arena *a, const Size *pattern, const Size *actual, SizeBinding *b, uint32_t n, bool solve) {
    SizeBinding *unknown = single_unknown(pattern, b, n);
    if (!unknown || (!solve && size_as_variable(pattern) != unknown->var)) return false;
    unknown->value = size_solve(a, size_substitute(a, pattern, b, n), actual, unknown->var);
    return unknown->value != NULL;
}

/* Whether the axes of `actual` can be those of `pattern`: as many, or its pack takes the others. */
static bool aligned(const Type *pattern, const Type *actual) {
    if (pattern->kind != TYPE_TENSOR) return true;
    if (!pattern->pack) return pattern->rank == actual->rank && !actual->pack;
    if (actual->rank + 1 < pattern->rank) return false;
    return !actual->pack ||
           (actual->pack >= pattern->pack && actual->rank - actual->pack >= pattern->rank - pattern->pack);
}

static bool unify_pack(Arena *a, const Type *pattern, const Type *actual, SizeBinding *b, uint32_t n) {
    uint32_t first = pattern->pack - 1, taken = actual->rank + 1 - pattern->rank;
    const Ast *var = size_as_variable(pattern->dims[first]);
    for (uint32_t i = 0; i < n; i++) {
        if (b[i].var != var || b[i].value) continue;
        Type *axes = (Type *)type_tensor(a, ELEM_REAL, taken, taken ? actual->dims + first : NULL);
        axes->pack = actual->pack ? actual->pack - first : 0;
        b[i].value = pattern->dims[first], b[i].axes = axes;
        return true;
    }
    return false;
}

static bool unify_pass(Arena *a, const Type *pattern, const Type *actual, SizeBinding *b, uint32_t n, bool solve) {
    bool progress = false;
    if (pattern->kind != actual->kind || !aligned(pattern, actual)) return false;
    uint32_t pack = pattern->pack ? pattern->pack - 1 : UINT32_MAX;
    for (uint32_t i = 0; pattern->kind == TYPE_TENSOR && i < pattern->rank; i++)
        progress =
            (i == pack ? unify_pack(a, pattern, actual, b, n)
                       : unify_size(a, pattern->dims[i],
                                    actual->dims[i > pack ? actual->rank - (pattern->rank - i) : i], b, n, solve)) ||
            progress;
    if (pattern->classes && actual->classes)
        progress = unify_size(a, pattern->classes, actual->classes, b, n, solve) || progress;
    for (uint32_t i = 0; pattern->kind == TYPE_TUPLE && i < pattern->nitems && i < actual->nitems; i++)
        progress = unify_pass(a, pattern->items[i], actual->items[i], b, n, solve) || progress;
    return progress;
}

void unify(Arena *a, const Type *pattern, const Type *actual, SizeBinding *b, uint32_t n) {
    if (pattern->pack && actual->kind == TYPE_NUMBER) actual = &type_real;
    unify_pass(a, pattern, actual, b, n, false);
    while (unify_pass(a, pattern, actual, b, n, true))
        ;
}
