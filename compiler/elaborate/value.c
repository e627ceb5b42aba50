/* value.c - values, environments, functions as values, and numbers as text. */
#include "elaborate.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Value value_number(double x) { return (Value){.kind = VALUE_NUMBER, .number = x}; }

Value value_node(Build *b, NodeId node) { return (Value){.kind = VALUE_NODE, .build = b, .node = node}; }

Value value_tuple(Arena *a, const Value *items, uint32_t n) {
    return (Value){.kind = VALUE_TUPLE, .items = n ? arena_copy(a, items, n * sizeof *items) : NULL, .nitems = n};
}

const Value *env_find(const Env *env, const char *name) {
    for (; env; env = env->next)
        if (strcmp(env->name, name) == 0) return &env->value;
    return NULL;
}

Env *env_bind(Arena *a, Env *env, const char *name, Value value) {
    Env *b = arena_alloc(a, sizeof *b);
    b->name = name;
    b->value = value;
    b->next = env;
    return b;
}

const char *function_text(Arena *a, const Value *f) {
    const char *text = arena_printf(a, "%s(", f->ast->name);
    for (const Env *x = f->given; x; x = x->next)
        text =
            arena_printf(a, "%s%s=%s ", text, x->name,
                         value_is_function(&x->value) ? function_text(a, &x->value) : number_text(a, x->value.number));
    return arena_printf(a, "%s) of %s", text, f->module ? f->module->path : "the language");
}

bool same_function(const Value *a, const Value *b, bool numbers) {
    if (a->kind != b->kind) return false;
    if (a->kind == VALUE_BUILTIN) return strcmp(a->ast->name, b->ast->name) == 0;
    return a->ast == b->ast && a->scope == b->scope && same_env(a->given, b->given, numbers);
}

static bool same_value(const Value *a, const Value *b);

/* Whether the same is written, of names that mean the same where each stands. */
static bool same_written(const Ast *a, const Scope *in_a, const Ast *b, const Scope *in_b) {
    if (!a || !b) return a == b;
    if (a->kind != b->kind || a->number != b->number || a->nkids != b->nkids ||
        (a->name == NULL) != (b->name == NULL) || (a->name && strcmp(a->name, b->name) != 0))
        return false;
    const Value *x = scope_value(in_a, a), *y = scope_value(in_b, b);
    if (x && y && x->kind == VALUE_AST && y->kind == VALUE_AST)
        return same_written(x->ast, x->scope ? x->scope : in_a, y->ast, y->scope ? y->scope : in_b);
    if (x || y) return x && y && same_value(x, y);
    if (a->ref != b->ref) return false;
    for (uint32_t k = 0; k < a->nkids; k++)
        if (!same_written(a->kids[k], in_a, b->kids[k], in_b)) return false;
    return true;
}

static bool same_value(const Value *a, const Value *b) {
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case VALUE_NUMBER: return a->number == b->number;
    case VALUE_FN:
    case VALUE_BUILTIN: return same_function(a, b, true);
    case VALUE_FLEX: return same_written(a->ast, a->scope, b->ast, b->scope);
    case VALUE_NODE: return a->build == b->build && a->node == b->node;
    default: return a->ast == b->ast && a->scope == b->scope && a->items == b->items;
    }
}

bool same_env(const Env *a, const Env *b, bool numbers) {
    for (; a && b; a = a->next, b = b->next) {
        const Value *x = &a->value, *y = &b->value;
        if (strcmp(a->name, b->name) != 0 || x->kind != y->kind) return false;
        if ((numbers || value_is_function(x)) && !same_value(x, y)) return false;
    }
    return !a && !b;
}

const char *number_text(Arena *a, double x) {
    if (isinf(x)) return x > 0 ? "inf" : "-inf";
    if (isnan(x)) return "nan";
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    if (strchr(text, 'e') && fabs(x) >= 1 && fabs(x) < 1e15 && x == floor(x)) snprintf(text, sizeof text, "%.0f", x);
    return arena_strdup(a, text);
}

const char *identifier(Arena *a, const char *text) {
    char *out = arena_printf(a, "%s%s", isdigit((unsigned char)*text) || !*text ? "n" : "", text);
    for (char *c = out; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_') *c = '_';
    return out;
}
