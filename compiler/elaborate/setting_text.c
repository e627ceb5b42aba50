/* setting_text.c - settings and initialisers as canonical text: every argument evaluated, words kept as they are. */
#include "elaborate.h"
#include <math.h>
#include <string.h>

/* Initialisers: their arguments in order, for those given by position. */
enum { MOST_ARGUMENTS = 3 };
static const struct Initialiser {
    const char *name, *args[MOST_ARGUMENTS];
} initialisers[] = {
    {"normal", {"std"}},     {"uniform", {"low", "high", "bound"}},
    {"glorot", {0}},         {"he", {"scale"}},
    {"zeros", {0}},          {"ones", {0}},
    {"constant", {"value"}}, {"identity", {"scale"}},
};

static bool is_name(const char *name) {
    return strcmp(name, "implicit") == 0 || strcmp(name, "jfb") == 0 || strcmp(name, "backprop") == 0;
}

static const char *argument_text(Scope *s, const Ast *list) {
    Arena *a = s->elab->arena;
    const char *text = "";
    for (uint32_t k = 0; list && k < list->nkids; k++) {
        const Ast *arg = list->kids[k];
        const char *name = arg->name;
        const Ast *given = AST_SLOT(arg, ARG, value);
        bool word = name && given->kind == AST_NAME && is_name(given->name) && !env_find(s->env, given->name);
        const char *value = word ? given->name : setting_text(s, given); /* fallback: jfb is no mode */
        if (!value) return NULL;
        text = arena_printf(a, "%s%s%s%s%s", text, k ? ", " : "", name ? name : "", name ? ": " : "", value);
    }
    return text;
}

const char *setting_text(Scope *s, const Ast *value) {
    Scope from;
    const Ast *e = resolve_ast(s, value, &from);
    s = &from;
    Arena *a = s->elab->arena;
    char path[512];
    if (e->kind == AST_CALL && ast_path(AST_SLOT(e, CALL, callee), path, sizeof path)) {
        Value unused;
        const Ast *d = module_find(s->module, path, NULL);
        bool computes = (d && d->kind == AST_FN) || strcmp(path, "sqrt") == 0 || strcmp(path, "floor") == 0 ||
                        strcmp(path, "max") == 0 || strcmp(path, "min") == 0 || strcmp(path, "exp") == 0 ||
                        strcmp(path, "log") == 0 || strcmp(path, "abs") == 0;
        (void)unused;
        if (!computes) {
            const Ast *list = AST_SLOT(e, CALL, inputs);
            if (strcmp(path, "implicit") == 0 && list->nkids == 0) return "implicit(gmres(tol: 0.0001, max: 30))";
            const char *args = argument_text(s, list);
            return args ? arena_printf(a, "%s(%s)", path, args) : NULL;
        }
    }
    if (e->kind == AST_NAME || e->kind == AST_MEMBER) { /* a word, or a mode without its brackets */
        const Value *v = e->kind == AST_NAME ? env_find(s->env, e->name) : NULL;
        const Ast *d = e->kind == AST_NAME && !v ? module_find(s->module, e->name, NULL) : NULL;
        bool number = v || (d && d->kind == AST_CONST) ||
                      (e->kind == AST_NAME && (strcmp(e->name, "pi") == 0 || strcmp(e->name, "inf") == 0));
        if (!number && ast_path(e, path, sizeof path)) {
            if (strcmp(path, "implicit") == 0) return "implicit(gmres(tol: 0.0001, max: 30))";
            return is_name(path) ? arena_printf(a, "%s()", path) : arena_strdup(a, path);
        }
    }
    if (e->kind == AST_BINARY && strcmp(e->name, "else") == 0) { /* a chain of solvers */
        const char *first = setting_text(s, AST_SLOT(e, BINARY, left)),
                   *then = setting_text(s, AST_SLOT(e, BINARY, right));
        return first && then ? arena_printf(a, "%s else %s", first, then) : NULL;
    }
    if (e->kind == AST_BINARY && strcmp(e->name, "..") == 0) { /* states: 1..9 */
        double first, limit;
        if (!eval_number(s, AST_SLOT(e, BINARY, left), &first) || !eval_number(s, AST_SLOT(e, BINARY, right), &limit))
            return NULL;
        return arena_printf(a, "%s..%s", number_text(a, first), number_text(a, limit));
    }
    if (e->kind == AST_ARRAY) { /* several penalties */
        const char *list = "";
        for (uint32_t k = 0; k < e->nkids; k++) {
            const char *item = setting_text(s, e->kids[k]);
            if (!item) return NULL;
            list = arena_printf(a, "%s%s%s", list, k ? ", " : "", item);
        }
        return arena_printf(a, "[%s]", list);
    }
    if (e->kind == AST_BOOL) return e->number != 0 ? "true" : "false";
    if (e->kind == AST_STRING) return arena_strdup(a, e->name);
    double x;
    if (!eval_number(s, e, &x)) return NULL;
    return number_text(a, x);
}

void model_penalty(Model *m, const char *text) {
    if (strstr(text, "correction(")) m->corrections = true;
    if (strstr(text, "jacobian(") || strstr(text, "spectral(")) m->penalised = true;
}

/* One argument of an initialiser, evaluated: finite, and not negative where it is a width. */
static bool initialiser_number(Scope *s, const Ast *value, const char *name, const char *of, double *x) {
    Scope from;
    const Ast *e = resolve_ast(s, value, &from);
    if (!eval_number(&from, e, x)) return false;
    bool width = strcmp(name, "std") == 0 || strcmp(name, "bound") == 0 || strcmp(of, "he") == 0;
    if (!isfinite(*x))
        return elab_error(s, DIAG_E0412, value->range, "'%s' of '%s' is a finite number, not %g", name, of, *x), false;
    if (width && *x < 0)
        return elab_error(s, DIAG_E0412, value->range, "'%s' of '%s' is not below 0, this is %g", name, of, *x), false;
    return true;
}

static const char *initialiser_call(Scope *s, const Ast *e, const struct Initialiser *init) {
    Arena *a = s->elab->arena;
    const Ast *list = e->kind == AST_CALL ? AST_SLOT(e, CALL, inputs) : NULL;
    double x[MOST_ARGUMENTS];
    bool given[MOST_ARGUMENTS] = {false};
    for (uint32_t k = 0; list && k < list->nkids; k++) {
        const Ast *arg = list->kids[k];
        for (uint32_t i = 0; i < MOST_ARGUMENTS && init->args[i]; i++) {
            if (arg->name ? strcmp(arg->name, init->args[i]) != 0 : i != k) continue;
            given[i] = true;
            if (!initialiser_number(s, AST_SLOT(arg, ARG, value), init->args[i], init->name, &x[i])) return NULL;
        }
    }
    if (given[2]) { /* uniform(bound: b) */
        given[0] = given[1] = true;
        x[0] = -x[2], x[1] = x[2];
    }
    if (given[0] && given[1] && x[0] > x[1])
        return elab_error(s, DIAG_E0412, e->range, "'low' of '%s' is above 'high': %g and %g", init->name, x[0], x[1]),
               NULL;
    const char *text = "";
    for (uint32_t i = 0; i < 2; i++)
        if (given[i])
            text = arena_printf(a, "%s%s%s: %s", text, *text ? ", " : "", init->args[i], number_text(a, x[i]));
    return arena_printf(a, "%s(%s)", init->name, text);
}

const char *initialiser_text(Scope *s, const Ast *e) {
    const Ast *callee = e->kind == AST_CALL ? AST_SLOT(e, CALL, callee) : e;
    for (size_t k = 0; callee->kind == AST_NAME && k < sizeof initialisers / sizeof *initialisers; k++)
        if (strcmp(initialisers[k].name, callee->name) == 0) return initialiser_call(s, e, &initialisers[k]);
    double x;
    if (!initialiser_number(s, e, "value", "constant", &x)) return NULL;
    return arena_printf(s->elab->arena, "constant(value: %s)", number_text(s->elab->arena, x));
}
