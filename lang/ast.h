/* ast.h - the syntax tree.  Nodes are immutable after parsing but for `ref` (resolve), `type` (check), and the names of
 * constants whose values are written out (constants.h).
 *
 * Slots are reached by name: AST_SLOT(node, FN, body) is node->kids[1+..]; see ast.def for what each slot holds. */
#ifndef DEQ_LANG_AST_H
#define DEQ_LANG_AST_H
#include "source.h"
#include <stdio.h>

typedef enum AstKind {
#define NODE(kind, printed, doc) AST_##kind,
#define SLOT(kind, index, name)
#include "ast.def"
#undef NODE
#undef SLOT
    AST_COUNT
} AstKind;

enum AstSlot {
#define NODE(kind, printed, doc)
#define SLOT(kind, index, name) AST_##kind##_##name = index,
#include "ast.def"
#undef NODE
#undef SLOT
    AST_SLOT_END
};

enum { AST_MAX_DEPTH = 1000 };

typedef struct Type Type; /* type.h */
typedef struct Ast Ast;
struct Ast {
    AstKind kind;
    uint32_t nkids;
    uint32_t depth;   /* nodes on the longest path down, at most AST_MAX_DEPTH: passes may recurse */
    Range range;      /* the whole construct */
    Range name_range; /* the declared or called name, operator or setting key: where a caret goes */
    const char *name; /* see ast.def; NULL where unused */
    const char *doc;  /* text of the /// lines before a declaration, without the slashes; or NULL */
    double number;    /* a NUMBER's value; see ast.def */
    Ast **kids;
    const Ast *ref;        /* resolve: the declaration a NAME, MEMBER or TYPE refers to; NULL for builtins */
    const Type *type;      /* check: the type of an expression */
    const Ast *stands_for; /* resolve: the name of a constant whose value was written out here (constants.h) */
};

#define AST_SLOT(node, kind, slot) ((node)->kids[AST_##kind##_##slot])

const char *ast_kind_name(AstKind kind); /* "fixed point" */
Ast *ast_new(Arena *a, AstKind kind, Range range, uint32_t nkids);
void ast_print(const Ast *unit, FILE *out); /* --emit=ast: one node a line, indented, slots named */
bool ast_declares(const Ast *d);            /* it gives a name to the top level of a module */
Ast *ast_params(const Ast *d);              /* PARAMS of what can be called or instantiated; NULL: it takes none */
bool ast_path(const Ast *node, char *buffer, size_t size); /* NAME or MEMBER chain as "a.b.c"; false if it is none */
/* The SETTING of a block that has the key, and its value; NULL: there is none.  `list` may be NULL. */
Ast *ast_setting(const Ast *list, const char *key);
Ast *ast_setting_value(const Ast *list, const char *key);
/* attack a(settings) = an expression of attacks */
static inline bool ast_attack_of_others(const Ast *d) {
    return d->kind == AST_ATTACK_DEF && AST_SLOT(d, ATTACK_DEF, body) &&
           AST_SLOT(d, ATTACK_DEF, body)->kind != AST_LIST;
}
bool ast_is_infinity(const Ast *node); /* `inf`; false for NULL */
/* The ARG of a call that is for the parameter i of a LIST of BINDING, by name or by place; NULL: it has its default. */
const Ast *ast_argument(const Ast *args, const Ast *params, uint32_t i);
#endif
