/* bound_text.c - a bound that depends on other settings, radius: f32 in 0..(if p == inf then 1 else inf), as a text that
 * the runtime reads again when `--set` changes them: operations behind what they work on, $p inf == 1 inf if.  Functions
 * in it are written out. */
#include "elaborate.h"
#include "constant.h"
#include <string.h>

/* Whether the runtime computes it. */
static bool is_computed(const char *name, uint32_t operands) {
    double ignored;
    return deq_constant(name, (int)operands, 1, 1, &ignored);
}

typedef struct Names { /* what a bound may depend on: settings, or the parameters of a function that it calls */
    const Ast *list;
    const char *const *texts; /* of the parameters' arguments; NULL: settings */
} Names;

static const Ast *name_in(const Ast *e, const Names *names, uint32_t *at) {
    for (uint32_t k = 0; e->kind == AST_NAME && k < names->list->nkids; k++)
        if (e->ref == names->list->kids[k]) return *at = k, e;
    return NULL;
}

static bool mentions(const Ast *e, const Names *names) {
    uint32_t at;
    if (!e) return false;
    if (name_in(e, names, &at)) return true;
    for (uint32_t k = 0; k < e->nkids; k++)
        if (mentions(e->kids[k], names)) return true;
    return false;
}

/* Whether something in the body of a function is of its own module. */
static bool names_others(const Ast *e, const Names *names) {
    uint32_t at;
    if (!e || name_in(e, names, &at)) return false;
    if (e->kind == AST_NAME && e->ref && e->ref->kind != AST_FN) return true;
    for (uint32_t k = 0; k < e->nkids; k++)
        if (names_others(e->kids[k], names)) return true;
    return false;
}

static const char *text_of(Scope *s, const Ast *e, const Names *names);

/* A function whose body is an expression is written out. */
static const char *function_text_of(Scope *s, const Ast *call, const Ast *fn, const Names *names) {
    const Ast *params = AST_SLOT(AST_SLOT(fn, FN, inputs), PARAMS, inputs), *body = AST_SLOT(fn, FN, body);
    const char **texts = arena_alloc(s->elab->arena, (params->nkids + 1) * sizeof *texts);
    const Names inner = {params, texts};
    if (AST_SLOT(AST_SLOT(fn, FN, inputs), PARAMS, state) || body->kind == AST_LIST || names_others(body, &inner))
        return NULL;
    for (uint32_t k = 0; k < params->nkids; k++) {
        const Ast *arg = ast_argument(AST_SLOT(call, CALL, inputs), params, k);
        const Ast *value = arg ? AST_SLOT(arg, ARG, value) : AST_SLOT(params->kids[k], BINDING, fallback);
        if (!value || !(texts[k] = text_of(s, value, names))) return NULL;
    }
    return text_of(s, body, &inner);
}

static const char *call_text(Scope *s, const Ast *e, const Names *names) {
    const Ast *callee = AST_SLOT(e, CALL, callee), *args = AST_SLOT(e, CALL, inputs);
    if (callee->ref && callee->ref->kind == AST_FN && !AST_SLOT(e, CALL, state))
        return function_text_of(s, e, callee->ref, names);
    if (callee->kind != AST_NAME || callee->ref || AST_SLOT(e, CALL, state) || !is_computed(callee->name, args->nkids))
        return NULL;
    const char *out = "";
    for (uint32_t k = 0; k < args->nkids; k++) {
        const char *arg =
            args->kids[k]->kind == AST_ARG ? text_of(s, AST_SLOT(args->kids[k], ARG, value), names) : NULL;
        if (!arg) return NULL;
        out = arena_printf(s->elab->arena, "%s%s ", out, arg);
    }
    return arena_printf(s->elab->arena, "%s%s", out, callee->name);
}

/* NULL: something in it that the runtime does not compute. */
static const char *text_of(Scope *s, const Ast *e, const Names *names) {
    Arena *a = s->elab->arena;
    uint32_t at;
    if (name_in(e, names, &at)) return names->texts ? names->texts[at] : arena_printf(a, "$%s", e->name);
    if (!mentions(e, names)) {
        double x;
        return eval_number(s, e, &x) ? arena_printf(a, "%.17g", x) : NULL;
    }
    const char *x, *y, *z;
    switch (e->kind) {
    case AST_IF:
        x = text_of(s, AST_SLOT(e, IF, condition), names);
        y = text_of(s, AST_SLOT(e, IF, yes), names);
        z = text_of(s, AST_SLOT(e, IF, no), names);
        return x && y && z ? arena_printf(a, "%s %s %s if", x, y, z) : NULL;
    case AST_UNARY:
        x = text_of(s, AST_SLOT(e, UNARY, operand), names);
        return !x                            ? NULL
               : strcmp(e->name, "-") == 0   ? arena_printf(a, "0 %s -", x)
               : strcmp(e->name, "not") == 0 ? arena_printf(a, "%s 0 ==", x)
                                             : NULL;
    case AST_BINARY:
        x = text_of(s, AST_SLOT(e, BINARY, left), names);
        y = text_of(s, AST_SLOT(e, BINARY, right), names);
        return x && y && is_computed(e->name, 2) ? arena_printf(a, "%s %s %s", x, y, e->name) : NULL;
    case AST_CALL: return call_text(s, e, names);
    default: return NULL;
    }
}

const char *bound_text(Scope *settings, const Ast *bound, const Ast *list) {
    const Names names = {list, NULL};
    return list && mentions(bound, &names) ? text_of(settings, bound, &names) : NULL;
}

const char *bound_where(Scope *settings, const Ast *bound, const Ast *list, const char *text) {
    double x;
    uint32_t at;
    if (!bound || !list) return text;
    if (name_in(bound, &(Names){list, NULL}, &at)) {
        const char *this = eval_number(settings, bound, &x)
                               ? arena_printf(settings->elab->arena, "%s is %g", bound->name, x)
                               : bound->name;
        return strstr(text, this)
                   ? text
                   : arena_printf(settings->elab->arena, "%s%s%s", text, *text ? " and " : ", where ", this);
    }
    for (uint32_t k = 0; k < bound->nkids; k++) text = bound_where(settings, bound->kids[k], list, text);
    return text;
}
