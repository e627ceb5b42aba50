/* resolver.h - what the files of the resolver share; private to them: resolve.c, resolve_expr.c, resolve_setting.c,
 * resolve_sizes.c, scope.c, module_names.c. */
#ifndef DEQ_LANG_RESOLVER_H
#define DEQ_LANG_RESOLVER_H
#include "check.h"
#include "foreign.h"
#include "tables.h"

typedef struct Entry {
    const char *name;
    const Ast *decl; /* NULL: a reader of std.data */
    Range at;
    bool used, report_unused;
    bool told;         /* that the language uses the name too */
    const Ast *import; /* the IMPORT it came by, or NULL */
} Entry;

typedef struct Scope Scope;
struct Scope {
    Scope *up;
    Entry *entries;
    uint32_t n, cap;
    uint32_t *slots, nslots; /* by hash of the name: index + 1 into entries */
    const Ast *later;        /* LIST whose further declarations are not visible yet, or NULL */
};

typedef struct Resolver {
    Program *program;
    Arena *arena;
    Diags *diags;
    const Module *module;
    Scope *top, *scope; /* names of the module; innermost local scope, NULL outside declarations */
    unsigned context;
    const Ast *decl; /* the declaration of the module being resolved */
} Resolver;

Entry *scope_find(Scope *s, const char *name);
void scope_add(Arena *a, Scope *s, Entry entry);
Entry *find_local(Resolver *r, const char *name); /* in the local scopes, innermost first */
/* What a call of the name means: a value of that name is passed over, so that `let d = ..` leaves d(z) what it is. */
Entry *find_called(Resolver *r, const char *name);
Range name_place(const Ast *node); /* the name's range, else the whole */
/* A local name; reports one that is there already or hides another. */
void declare(Resolver *r, const char *name, const Ast *decl, Range at);
/* The left side of an equation, which is no declaration: known from there on so that one slip is one error. */
void declare_equation(Resolver *r, const Ast *target);
/* Whether the rest of a body around declares the name; *at is where. */
bool declares_later(const Scope *s, const char *name, Range *at);
void scope_push(Resolver *r, const Ast *later);
void scope_pop(Resolver *r); /* reports what was never used */
/* Reports a name nobody declares, with the help that comes nearest: declared later, known elsewhere, in the standard
 * library under this name, or spelled almost so. */
void report_unknown(Resolver *r, const Ast *name, const char *what);
/* Sizes in the types of a layer's inputs and result that it does not declare: SIZE_PARAMs made for them. */
void report_sizes(Resolver *r, const Ast *layer, Ast *const *sizes, uint32_t n);
/* ---- resolve_expr.c ---- */
/* Finds what the name means here, also beyond the local scopes; true with *decl (NULL: built in) when it is known. */
bool lookup_name(Resolver *r, const char *name, const Ast **decl);
void resolve_expr(Resolver *r, Ast *e); /* may be NULL */
/* Values of arguments; `words`: of a row of the language's tables, whose words are the checker's. */
void resolve_args(Resolver *r, Ast *list, bool words);
/* a() else b(): as settings' values, whose words and callees are the checker's.  False: it is no chain. */
bool resolve_chain(Resolver *r, Ast *value);
/* Dims of types are expressions; the name of a type is the checker's. */
void resolve_type(Resolver *r, Ast *type);
/* ---- resolve_setting.c ---- */
/* Settings of a block of settings.def; "": any key may stand in it. */
void resolve_settings(Resolver *r, Ast *list, const char *block);
void resolve_setting(Resolver *r, Ast *setting, const char *block);
/* A setting names a row of the language's tables, whatever the module declares; where that could be meant, it is said. */
void say_which(Resolver *r, const Ast *value);
/* ---- resolve_sizes.c ---- */
/* `fn silu(x: f32[N])` is short for `fn silu[; N](x: f32[N])`: N is declared by its bare use as a dim of an input, and
 * a pack by ..S.  `declared`: the SIZES that the declaration writes, to which packs are added; NULL: none. */
Ast *resolve_implied_sizes(Resolver *r, const Ast *fn, Ast *declared);
/* Sizes in a function type that nothing around it declares are its own, and may differ from call to call: declares
 * them. */
void resolve_function_sizes(Resolver *r, Ast *type);
/* layer F(x: f32[N]): unlike those of a fn, the sizes of a layer are declared.  One error for all that are not. */
void resolve_layer_sizes(Resolver *r, Ast *layer);
/* An attack in its old form, where x and y were built in: the line that declares them, and no other error. */
void resolve_example(Resolver *r, const Ast *attack);
void report_foreign(Resolver *r, Ast *member, const Foreign *module); /* torch.relu: `module` is the row of torch */

/* ---- module_names.c ---- */
const Ast *module_names_find(const Module *m, const char *name); /* the declaration; NULL: none, or no module */
const char *module_names_nearest(Arena *a, const Module *m, const char *name);
void declare_top(Resolver *r, const char *name, const Ast *decl, Range at, const Ast *import);
void declare_import(Resolver *r, const Module *m, Ast *import); /* m: the module, NULL when it is missing */
/* Gives `e`, table2.robust, the item of the experiment as its `ref`. */
void resolve_item_of(Resolver *r, const Ast *experiment, Ast *e);
#endif
