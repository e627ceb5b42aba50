/* answers.h - one function a method of lsp.def, and what they share.
 *
 * A request's function gives the result, or NULL: null, or an error where *why has a code.  A notice has no answer; what
 * is wrong with it is passed over.  Files: answer_actions.c, answer_completion.c, answer_definition.c, answer_format.c,
 * answer_hints.c, answer_hover.c, answer_rename.c, answer_signature.c, answer_symbols.c, answer_tokens.c,
 * context.c, diagnostics.c, lifecycle.c, server.c, sync.c. */
#ifndef DEQ_COMPILER_ANSWERS_H
#define DEQ_COMPILER_ANSWERS_H
#include "document.h"
#include "server.h"
#include "tables.h"

enum { /* of JSON-RPC and of the protocol */
       REFUSED_PARSE = -32700,
       REFUSED_REQUEST = -32600,
       REFUSED_METHOD = -32601,
       REFUSED_PARAMETERS = -32602,
       REFUSED_EARLY = -32002,
       REFUSED_FAILED = -32803
};
typedef struct Refusal {
    int code; /* 0: none */
    char text[512];
} Refusal;

#define REQUEST(id, method, capability, doc) json_t *answer_##id(Server *s, const json_t *params, Refusal *why);
#define NOTICE(id, method, doc) void notice_##id(Server *s, const json_t *params);
#define TOKEN(id, name)
#include "lsp.def"
#undef REQUEST
#undef NOTICE
#undef TOKEN

/* Always NULL. */
json_t *refuse(Refusal *why, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The open document that the parameters name; NULL: refused. */
Document *document_asked(Server *s, const json_t *params, Refusal *why);
/* And the place in it, as an offset of its text. */
Document *place_asked(Server *s, const json_t *params, Refusal *why, uint32_t *offset);

/* ---- diagnostics.c ---- */
void publish(Server *s, Document *d);

/* ---- answer_actions.c ---- */
/* An edit that imports the name of the module. */
json_t *import_edit(Arena *arena, const Analysis *a, const char *module, const char *name);

/* ---- answer_definition.c ---- */
typedef struct Found { /* a name, in the text as it is or in the last that parsed */
    const Analysis *from;
    const Mention *mention;
} Found;
/* The name at the place; false: there is none. */
bool name_at(Document *d, uint32_t offset, Found *out);
/* The range in the text as it is; of the last that parsed it has moved with the edits since. */
json_t *document_range(Document *d, const Analysis *from, Range r);
/* {"uri": .., "range": ..} of what a program of the document has; NULL: no client can open it. */
json_t *location(const Documents *all, Document *d, const Analysis *from, Range r);
/* Whether they are one, perhaps as two programs have read it. */
bool same_declaration(const Ast *x, const Ast *y);
/* Locations of every mention in the open scripts and in the files that they import. */
json_t *references(Server *s, Document *d, const Found *found, bool declaration);
/* The module that the node, an IMPORT of `m`, has loaded; NULL: none. */
const Module *imported_by(const Module *m, const Ast *import);

/* ---- answer_signature.c ---- */
const char *shown_signature(Arena *a, const Ast *decl); /* "fn f(x: f32[N]) -> f32[N]" */

/* ---- context.c: what a place in a text calls for, from the text alone: it need not parse ---- */
typedef struct Context {
    uint32_t word;      /* where the word at the place begins */
    bool silent;        /* in a comment, a string or a number */
    const char *import; /* in the brackets of `import MODULE (`: the module; "": in the path of an import */
    const char *path;   /* the dotted names before a '.', "net.body"; NULL: there is no dot */
    const char *callee; /* what stands before the innermost '(' that is open, in this statement; NULL */
    uint32_t argument;  /* how many commas stand behind that '(' */
    const char *named;  /* the name of the argument that is being written, as in f(a: ; NULL */
    const char *key;    /* the setting whose value is being written; NULL */
    bool begins;        /* a statement begins here */
    bool type;          /* a type follows */
} Context;
Context context_at(Arena *a, const Source *s, uint32_t offset);
/* The block of settings.def around the place: "train", "fixed", "net_with"; "": a body without settings; NULL: none. */
const char *block_at(const Document *d, uint32_t offset);
/* What the dotted name stands for at the place. */
const Ast *declaration_at(Arena *a, Document *d, uint32_t offset, const char *path, const Analysis **from);
/* The rows that a setting of this kind takes; NULL: it takes none. */
const deq_family *family_of(Kind kind);
/* The row of any family with the name: solvers, modes, finishes, penalties, readers ..; NULL. */
const deq_row *language_row(const char *name, const deq_family **family);
/* "tol: 0.0001, the relative residual that ends it", a line for each argument, as Markdown. */
const char *row_help(Arena *a, const deq_family *f, const deq_row *row);
#endif
