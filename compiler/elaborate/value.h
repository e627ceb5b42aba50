/* value.h - what an expression is while elaborating: a number known now, a node of a graph, or a thing to call.
 *
 * Numbers stay numbers until they meet a node, so that everything known at compile time is folded before the graph.
 * A `flex` value (zeros, uniform(lo, hi), and arithmetic of them with scalars) has no shape of its own: it is kept as
 * its expression and evaluated when the place it is used in gives the shape. */
#ifndef DEQ_COMPILER_VALUE_H
#define DEQ_COMPILER_VALUE_H
#include "graph.h"
#include "module.h"

typedef struct Scope Scope; /* elaborate.h */
typedef struct Build Build;
typedef struct Value Value;
typedef struct EnvBinding Env; /* innermost first; NULL is empty */

typedef enum ValueKind {
    VALUE_NONE,    /* a mistake was reported; absorbs */
    VALUE_NUMBER,  /* number */
    VALUE_NODE,    /* build, node; classes > 0: a label below it */
    VALUE_FLEX,    /* ast, scope: shaped where it is used */
    VALUE_TUPLE,   /* items; also what [a, b] makes */
    VALUE_RANGE,   /* number .. limit */
    VALUE_FN,      /* ast (FN), module; scope: the scope it closes over, NULL for a declaration; given: its settings */
    VALUE_BUILTIN, /* ast (NAME): a function of the language */
    VALUE_LAYER,   /* instance */
    VALUE_RATE,    /* ast (SCHEDULE_DEF), module, items: its arguments; called with t */
    VALUE_STATES,  /* the solver's states number .. limit - 1, in a defence; limit 0: all of them */
    VALUE_AST,     /* ast, scope: a name that stands for an expression (sweep variables, experiment names) */
} ValueKind;

typedef struct Instance { /* a layer with its given sizes and settings: what `use` makes */
    const Ast *layer;
    const Module *module;
    const char *path; /* prefix of its parameters; "" for the net itself */
    Env *sizes;       /* the given sizes */
    Env *settings;    /* inputs given at `use`: Conv[3, 8](kernel: 3) */
    const char *name; /* identifier with the sizes: "Tanh_6_4" */
} Instance;

typedef struct Known {
    bool yes;
    double number;
} Known;

struct Value {
    ValueKind kind;
    double number, limit;
    Build *build;
    NodeId node;
    uint32_t classes;
    const Ast *ast;
    const Module *module;
    const Scope *scope;
    const Env *given;
    bool transposed; /* FN: the transposed linear map, in gradients by hand */
    const Instance *instance;
    const Value *items;
    uint32_t nitems;
    Known *known; /* AST: its number once it has been looked at, however often it is mentioned; NULL: not kept */
};

struct EnvBinding {
    const char *name;
    Value value;
    Env *next;
};

static inline bool value_is_function(const Value *v) { return v->kind == VALUE_FN || v->kind == VALUE_BUILTIN; }
Value value_number(double x);
Value value_node(Build *b, NodeId node);
Value value_tuple(Arena *a, const Value *items, uint32_t n);
/* The binding of `name`, or NULL. */
const Value *env_find(const Env *env, const char *name);
Env *env_bind(Arena *a, Env *env, const char *name, Value value);
/* Whether two functions are the same one, with settings of the same names; `numbers`: and the same numbers. */
bool same_function(const Value *a, const Value *b, bool numbers);
/* Whether two environments bind the same names, in order, to values of the same kinds; `numbers`: and to the same values.
 * The settings of a function among them are compared always: these are compiled into whatever calls it. */
bool same_env(const Env *a, const Env *b, bool numbers);
/* "kl() of std.losses", "huber(delta=0.1 ) of .."; of functions that no attack or layer around closes over. */
const char *function_text(Arena *a, const Value *f);
/* The shortest decimal text that reads back as x: "0.1", "40", "inf". */
const char *number_text(Arena *a, double x);
/* A C identifier from a path or any text: '.' and other characters become '_'. */
const char *identifier(Arena *a, const char *text);
#endif
