/* bound_text.c - a bound that depends on other settings, radius: f32 in 0..(if p == inf then 1 else inf), as a text that
 * the runtime reads again when `--set` changes them: operations behind what they work on, $p inf == 1 inf if. */
#include "elaborate.h"
#include "constant.h"
#include <string.h>

/* Whether the runtime computes it. */
static bool is_computed(const char *name, uint32_t operands) {
    double ignored;
    return deq_constant(name, (int)operands, 1, 1, &ignored);
}

static bool is_setting(const Ast *e, const Ast *list) {
    for (uint32_t k = 0; e->kind == AST_NAME && k < list->nkids; k++)
        if (e->ref == list->kids[k]) return true;
    return false;
}

static bool mentions(const Ast *e, const Ast *list) {
    if (!e) return false;
    if (is_setting(e, list)) return true;
    for (uint32_t k = 0; k < e->nkids; k++)
        if (mentions(e->kids[k], list)) return true;
    return false;
}

static const char *text_of(Scope *s, const Ast *e, const Ast *list);

static const char *call_text(Scope *s, const Ast *e, const Ast *list) {
    const Ast *callee = AST_SLOT(e, CALL, callee), *args = AST_SLOT(e, CALL, inputs);
    if (callee->kind != AST_NAME || callee->ref || AST_SLOT(e, CALL, state) || !is_computed(callee->name, args->nkids))
        return NULL;
    const char *out = "";
    for (uint32_t k = 0; k < args->nkids; k++) {
        const char *arg = args->kids[k]->kind == AST_ARG ? text_of(s, AST_SLOT(args->kids[k], ARG, value), list) : NULL;
        if (!arg) return NULL;
        out = arena_printf(s->elab->arena, "%s%s ", out, arg);
    }
    return arena_printf(s->elab->arena, "%s%s", out, callee->name);
}

/* NULL: something in it that the runtime does not compute. */
static const char *text_of(Scope *s, const Ast *e, const Ast *list) {
    Arena *a = s->elab->arena;
    if (is_setting(e, list)) return arena_printf(a, "$%s", e->name);
    if (!mentions(e, list)) {
        double x;
        return eval_number(s, e, &x) ? arena_printf(a, "%.17g", x) : NULL;
    }
    const char *x, *y, *z;
    switch (e->kind) {
    case AST_IF:
        x = text_of(s, AST_SLOT(e, IF, condition), list);
        y = text_of(s, AST_SLOT(e, IF, yes), list);
        z = text_of(s, AST_SLOT(e, IF, no), list);
        return x && y && z ? arena_printf(a, "%s %s %s if", x, y, z) : NULL;
    case AST_UNARY:
        x = text_of(s, AST_SLOT(e, UNARY, operand), list);
        return !x                            ? NULL
               : strcmp(e->name, "-") == 0   ? arena_printf(a, "0 %s -", x)
               : strcmp(e->name, "not") == 0 ? arena_printf(a, "%s 0 ==", x)
                                             : NULL;
    case AST_BINARY:
        x = text_of(s, AST_SLOT(e, BINARY, left), list);
        y = text_of(s, AST_SLOT(e, BINARY, right), list);
        return x && y && is_computed(e->name, 2) ? arena_printf(a, "%s %s %s", x, y, e->name) : NULL;
    case AST_CALL: return call_text(s, e, list);
    default: return NULL;
    }
}

const char *bound_text(Scope *settings, const Ast *bound, const Ast *list) {
    return list && mentions(bound, list) ? text_of(settings, bound, list) : NULL;
}

const char *bound_where(Scope *settings, const Ast *bound, const Ast *list, const char *text) {
    double x;
    if (!bound || !list) return text;
    if (is_setting(bound, list)) {
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
