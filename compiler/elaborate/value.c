/* value.c - values, environments, and numbers as text. */
#include "value.h"
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
