/* check_function.c - functions as values: the types of parameters that are functions, what is passed for them, their
 * calls.
 *
 * A function type is of tensors, and so is first-order: what is passed is known where the call is compiled, and written
 * out there.  Sizes that nothing around the type declares are its own: they are found anew at every call. */
#include "checker.h"

static bool mentions(const Type *t, const Ast *size) {
    bool found = t->kind == TYPE_TENSOR && t->classes && size_mentions(t->classes, size);
    for (uint32_t i = 0; t->kind == TYPE_TENSOR && i < t->rank; i++) found = found || size_mentions(t->dims[i], size);
    for (uint32_t i = 0; i < t->nitems; i++) found = found || mentions(t->items[i], size);
    return found;
}

static bool is_passed(const Type *t) {
    bool good = t->kind == TYPE_TENSOR || t->kind == TYPE_TUPLE;
    for (uint32_t i = 0; good && i < t->nitems; i++) good = is_passed(t->items[i]);
    return good;
}

const Type *check_function_type(Checker *c, Ast *type, bool state) {
    if (type->type) return type->type;
    Ast *inputs = SLOT(type, FN_TYPE, inputs), *result = SLOT(type, FN_TYPE, result), *own = SLOT(type, FN_TYPE, sizes);
    const uint32_t n = inputs->nkids;
    const Type **items = arena_alloc(c->arena, sizeof *items * (n + 1));
    SizeBinding *sizes = arena_alloc(c->arena, sizeof *sizes * ((own ? own->nkids : 0) + 1));
    bool good = true;
    for (uint32_t i = 0; own && i < own->nkids; i++) {
        own->kids[i]->type = &type_int;
        sizes[i] = (SizeBinding){.var = own->kids[i]};
    }
    for (uint32_t i = 0; i <= n; i++) {
        Ast *item = i < n ? inputs->kids[i] : result;
        items[i] = check_type(c, item);
        if (items[i]->kind == TYPE_ERROR || is_passed(items[i])) {
            good = good && items[i]->kind != TYPE_ERROR;
            continue;
        }
        diag_report(c->diags, DIAG_E0328, item->range, "functions that are passed take and give tensors, not %s",
                    type_text(c->arena, items[i]));
        good = false;
    }
    for (uint32_t k = 0; good && own && k < own->nkids; k++) {
        bool determined = false;
        for (uint32_t i = 0; i < n; i++) determined = determined || mentions(items[i], own->kids[k]);
        if (determined) continue;
        diag_report(c->diags, DIAG_E0311, own->kids[k]->range,
                    "size '%s' of the result stands in no input of this function type", own->kids[k]->name);
        good = false;
    }
    if (good && state) {
        diag_help(diag_report(c->diags, DIAG_E0328, type->range, "what stands before ';' is no function"),
                  "a function is a setting: it stands behind ';'");
        good = false;
    }
    if (!good) return type->type = &type_error;
    Type *t = (Type *)type_of_items(c->arena, TYPE_FN, n + 1, items);
    t->bound = sizes, t->nbound = own ? own->nkids : 0;
    return type->type = t;
}

/* Whether a function from `inputs` to `result`, whose sizes are those of b, is one of type `want`. */
static bool suits(Checker *c, const Type *const *inputs, const Type *result, SizeBinding *b, uint32_t nb,
                  const Type *want) {
    const uint32_t n = want->nitems - 1;
    for (uint32_t i = 0; i < n; i++) unify(c->arena, inputs[i], want->items[i], b, nb);
    for (uint32_t i = 0; i < n; i++)
        if (!type_equal(type_substitute(c->arena, inputs[i], b, nb), want->items[i])) return false;
    return type_equal(type_substitute(c->arena, result, b, nb), want->items[n]);
}

/* A function of scalars maps over tensors of one shape. */
static bool suits_elementwise(Checker *c, const Signature *s, const Type *want) {
    bool good = s->nparams >= want->nitems - 1 && fn_is_elementwise(c, s->decl);
    for (uint32_t i = 0; good && i < want->nitems; i++)
        good = want->items[i]->kind == TYPE_TENSOR && want->items[i]->elem == ELEM_REAL &&
               type_same_shape(want->items[i], want->items[0]);
    return good;
}

static bool another_type(Checker *c, Ast *e, const Type *want, DiagCode code, const char *what, const char *have,
                         const char *help) {
    Diagnostic *d = diag_report(c->diags, code, e->range, "%s is %s, not %s", what, type_text(c->arena, want), have);
    if (help) diag_help(d, "it is %s", help);
    fail(e);
    return false;
}

/* A function of the script, with settings or without. */
static bool check_fn_value(Checker *c, Ast *e, const Ast *fn, const Ast *call, const Type *want, DiagCode code,
                           const char *what) {
    checker_ensure(c, fn);
    const Signature *s = checker_signature(c, fn);
    const uint32_t n = want->nitems - 1;
    if (s->broken) return fail(e), false;
    if (fn_runs(fn)) {
        diag_report(c->diags, DIAG_E0328, e->range, "'%s' has states or loops that run: it is not passed", fn->name);
        return fail(e), false;
    }
    bool fits = s->nstate ? s->nstate == n : s->nparams >= n;
    for (uint32_t i = n; fits && !call && i < s->nparams; i++) fits = SLOT(s->params[i], BINDING, fallback) != NULL;
    const char *have = arena_printf(c->arena, "function '%s'", fn->name);
    if (!fits) return another_type(c, e, want, code, what, have, signature_text(c, s));
    CallParameter params[64];
    Ast *values[64];
    for (uint32_t i = n; i < s->nparams; i++)
        params[i - n] = (CallParameter){s->params[i]->name,
                                        SLOT(s->params[i], BINDING, fallback) ? NEED_OPTIONAL : NEED_REQUIRED, false};
    if (!match_arguments(c, fn->name, signature_text(c, s), call, NULL, e->range, params, s->nparams - n, values, NULL,
                         NULL))
        return fail(e), false;
    SizeBinding *b = arena_alloc(c->arena, sizeof *b * (s->nsizes + s->nparams + 1));
    const uint32_t nb = signature_bindings(c, s, b);
    const Type **inputs = arena_alloc(c->arena, sizeof *inputs * (n + 1));
    for (uint32_t i = 0; i < n; i++) {
        inputs[i] = s->params[i]->type;
        if (!type_is_function(inputs[i])) unify(c->arena, inputs[i], want->items[i], b, nb);
    }
    bool good = true;
    for (uint32_t i = n; i < s->nparams; i++) {
        Ast *value = values[i - n], *fallback = SLOT(s->params[i], BINDING, fallback);
        SizeBinding *slot = (SizeBinding *)binding_of(b, nb, s->params[i]);
        if (value)
            good = check_against(c, value, type_substitute(c->arena, s->params[i]->type, b, nb), DIAG_E0301,
                                 arena_printf(c->arena, "'%s' of '%s'", s->params[i]->name, fn->name)) &&
                   check_bounds(c, s->params[i], value, fn->name) && good;
        if (slot && (value || fallback)) {
            const Size *size = size_of(c, value ? value : fallback, false);
            slot->value = size && !value ? size_substitute(c->arena, size, b, nb) : size;
        }
    }
    if (!good) return fail(e), false;
    if (!suits(c, inputs, s->result, b, nb, want) && !suits_elementwise(c, s, want))
        return another_type(c, e, want, code, what, have, signature_text(c, s));
    e->type = want;
    return true;
}

/* A function of the language, as if it were called with such inputs. */
static bool check_builtin_value(Checker *c, Ast *e, const Builtin *b, const Type *want, DiagCode code,
                                const char *what) {
    const uint32_t n = want->nitems - 1;
    Ast *call = ast_new(c->arena, AST_CALL, e->range, 3), *list = ast_new(c->arena, AST_LIST, e->range, n);
    SLOT(call, CALL, callee) = arena_copy(c->arena, e, sizeof *e);
    SLOT(call, CALL, inputs) = list;
    for (uint32_t i = 0; i < n; i++) {
        Ast *input = ast_new(c->arena, AST_NAME, e->range, 0), *name = ast_new(c->arena, AST_NAME, e->range, 0);
        input->type = want->items[i];
        name->name = input->name = "input", name->ref = input;
        list->kids[i] = ast_new(c->arena, AST_ARG, e->range, 1);
        SLOT(list->kids[i], ARG, value) = name;
    }
    const Type *result = check_builtin(c, call, b, call, NULL);
    if (result->kind == TYPE_ERROR) return fail(e), false;
    if (!type_equal(result, want->items[n]))
        return another_type(c, e, want, code, what,
                            arena_printf(c->arena, "a function that gives %s", type_text(c->arena, result)),
                            b->signature);
    e->type = want;
    return true;
}

static bool only_named(const Ast *call) {
    const Ast *list = SLOT(call, CALL, inputs);
    for (uint32_t i = 0; i < list->nkids; i++)
        if (list->kids[i]->kind != AST_ARG || !list->kids[i]->name) return false;
    return !SLOT(call, CALL, state);
}

/* The sizes of a function type's own, for one use of it. */
static SizeBinding *own_sizes(Checker *c, const Type *f) {
    SizeBinding *b = arena_alloc(c->arena, sizeof *b * (f->nbound + 1));
    for (uint32_t i = 0; i < f->nbound; i++) b[i].var = f->bound[i].var;
    return b;
}

bool check_function(Checker *c, Ast *e, const Type *want, DiagCode code, const char *what) {
    const Ast *call = e->kind == AST_CALL && only_named(e) ? e : NULL;
    Ast *base = call ? SLOT(e, CALL, callee) : e;
    const bool named = base->kind == AST_NAME || base->kind == AST_MEMBER;
    const Ast *r = named ? base->ref : NULL;
    Ast *list = r && r->kind == AST_SWEEP && !call ? SLOT(r, SWEEP, values) : NULL;
    if (r && r->kind == AST_FN) return check_fn_value(c, e, r, call, want, code, what);
    if (list && list->kind == AST_ARRAY && r->type && r->type->kind == TYPE_FN) { /* whichever it is */
        bool good = true;
        uint32_t n = 0;
        sweep_element(list, 0, &n);
        for (uint32_t i = 0; i < n; i++)
            good = check_function(c, sweep_element(list, i, &(uint32_t){0}), want, code, what) && good;
        e->type = r->type;
        return good;
    }
    if (r && r->type && type_is_function(r->type) && !call) { /* a parameter handed on */
        const Type *have = r->type;
        SizeBinding *b = own_sizes(c, have);
        if (have->nitems != want->nitems ||
            !suits(c, have->items, have->items[have->nitems - 1], b, have->nbound, want))
            return another_type(c, e, want, code, what, type_text(c->arena, have), NULL);
        e->type = want;
        return true;
    }
    const Builtin *b = named && !r && !call ? builtin_find(base->name, c->context) : NULL;
    if (b && b->contexts == CTX_ANY && !builtin_is_value(b)) return check_builtin_value(c, e, b, want, code, what);
    if (check_expr(c, e)->kind == TYPE_ERROR) return false;
    return another_type(c, e, want, code, what, value_text(c, e), NULL);
}

const Type *call_function(Checker *c, Ast *e, const Type *f, const char *name, Ast *call, Ast *piped) {
    const uint32_t n = f->nitems - 1;
    CallParameter params[64];
    Ast *values[64];
    bool good = n <= 64;
    for (uint32_t i = 0; good && i < n; i++)
        params[i] = (CallParameter){arena_printf(c->arena, "input %u", i + 1), NEED_REQUIRED, false};
    const char *takes = arena_printf(c->arena, "%s: %s", name, type_text(c->arena, f));
    if (!good || !match_arguments(c, name, takes, call, piped, call ? place(SLOT(call, CALL, callee)) : e->range,
                                  params, n, values, NULL, NULL))
        return &type_error;
    SizeBinding *b = own_sizes(c, f);
    for (uint32_t i = 0; i < n; i++) good = check_expr(c, values[i])->kind != TYPE_ERROR && good;
    for (int number = 0; good && number < 2; number++) /* a number is as many axes as nothing else says: none */
        for (uint32_t i = 0; i < n; i++)
            if ((values[i]->type->kind == TYPE_NUMBER) == (number == 1))
                unify(c->arena, f->items[i], values[i]->type, b, f->nbound);
    for (uint32_t i = 0; good && i < n; i++) {
        const Type *want = type_substitute(c->arena, f->items[i], b, f->nbound);
        const char *what = arena_printf(c->arena, "input %u of '%s'", i + 1, name);
        bool open = false;
        for (uint32_t k = 0; k < f->nbound; k++) open = open || (!b[k].value && mentions(want, b[k].var));
        if (open && values[i]->type->kind == TYPE_FLEX) {
            diag_report(c->diags, DIAG_E0324, values[i]->range, "the shape of %s is not determined", what);
            good = false;
            continue;
        }
        if (fits(c, values[i], want)) continue;
        const bool shapes =
            want->kind == TYPE_TENSOR && values[i]->type->kind == TYPE_TENSOR && want->elem == values[i]->type->elem;
        diag_report(c->diags, shapes ? DIAG_E0312 : DIAG_E0301, values[i]->range, "%s is %s, not %s", what,
                    type_text(c->arena, want), value_text(c, values[i]));
        good = false;
    }
    return good ? type_substitute(c->arena, f->items[n], b, f->nbound) : &type_error;
}
