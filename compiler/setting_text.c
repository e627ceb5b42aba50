/* setting_text.c - settings and initialisers as canonical text: every argument evaluated, words kept as they are. */
#include "elaborate.h"
#include <string.h>

/* Initialisers: their arguments in order, for those given by position. */
static const struct {
    const char *name, *args[2];
} initialisers[] = {
    {"normal", {"std"}}, {"uniform", {"low", "high"}}, {"glorot", {0}},         {"he", {0}}, {"zeros", {0}},
    {"ones", {0}},       {"constant", {"value"}},      {"identity", {"scale"}},
};

static bool is_name(const char *name) {
    return strcmp(name, "implicit") == 0 || strcmp(name, "jfb") == 0 || strcmp(name, "backprop") == 0;
}

static const char *argument_text(Scope *s, const Ast *list, const char *const *names, uint32_t nnames) {
    Arena *a = s->elab->arena;
    const char *text = "";
    uint32_t position = 0;
    for (uint32_t k = 0; list && k < list->nkids; k++) {
        const Ast *arg = list->kids[k];
        const char *name = arg->name;
        if (!name && names && position < nnames) name = names[position];
        position++;
        const char *value = setting_text(s, AST_SLOT(arg, ARG, value));
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
            const char *args = argument_text(s, list, NULL, 0);
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
    if (e->kind == AST_BOOL) return e->number != 0 ? "true" : "false";
    if (e->kind == AST_STRING) return arena_strdup(a, e->name);
    double x;
    if (!eval_number(s, e, &x)) return NULL;
    return number_text(a, x);
}

const char *initialiser_text(Scope *s, const Ast *e) {
    Arena *a = s->elab->arena;
    const Ast *callee = e->kind == AST_CALL ? AST_SLOT(e, CALL, callee) : e;
    for (size_t k = 0; callee->kind == AST_NAME && k < sizeof initialisers / sizeof *initialisers; k++) {
        if (strcmp(initialisers[k].name, callee->name) != 0) continue;
        const char *const *names = initialisers[k].args;
        const char *args = argument_text(s, e->kind == AST_CALL ? AST_SLOT(e, CALL, inputs) : NULL, names,
                                         names[0] ? names[1] ? 2 : 1 : 0);
        return args ? arena_printf(a, "%s(%s)", callee->name, args) : NULL;
    }
    double x;
    return eval_number(s, e, &x) ? arena_printf(a, "constant(value: %s)", number_text(a, x)) : NULL;
}
