/* syntax.h - private to lang/: scanner, layout and parser, and what the formatter and the hash need of them.
 *
 * Three layers: lex.l cuts raw tokens; layout.c drops comments, ends statements at line ends, matches brackets and
 * closes forgotten ones; parse.y builds the tree with build.c.  Locations are byte offsets into the source. */
#ifndef DEQ_LANG_SYNTAX_H
#define DEQ_LANG_SYNTAX_H
#include "ast.h"
#include "diag.h"

enum { MAX_NESTING = 200, MAX_SYNTAX_ERRORS = 100 };

typedef struct Loc {
    uint32_t start, end;
} Loc;

typedef struct Bracket {
    char kind;       /* ( [ { */
    bool reported;   /* an error inside makes a missing partner no news */
    uint32_t at;     /* offset */
    uint32_t indent; /* of the line it stands on */
} Bracket;

typedef struct DocBlock {
    uint32_t start, end; /* consecutive lines of /// */
    uint32_t next;       /* start of the token they stand before */
} DocBlock;

typedef struct Parser {
    Arena *arena;
    Diags *diags; /* NULL: silent, for the formatter and the hash */
    const Source *source;
    Ast *unit;
    /* raw tokens */
    void *flex;
    uint32_t pos; /* where flex stands */
    int raw;
    Loc raw_at;
    bool held;       /* `raw` is to be looked at again */
    bool raw_first;  /* it is the first token on its line */
    bool line_start; /* nothing but white space since the last newline */
    uint32_t line_begin, indent;
    /* layout */
    Bracket brackets[MAX_NESTING];
    uint32_t nbrackets;
    int last, before_last; /* tokens handed to the parser */
    uint32_t last_end, before_last_end;
    uint32_t continued_until; /* the text up to here is known to continue the statement */
    bool closing;             /* forgotten brackets are being closed */
    bool synthetic;           /* the last token is not in the text */
    bool recovering;          /* no SEP inside braces deeper than recover_braces until one was given */
    uint32_t recover_braces;
    uint32_t odd_open, odd_close; /* the first '}' that is indented unlike the line of its '{'; 0 if none */
    bool unbalanced;              /* a '{' has no partner: what stands in which body is a guess */
    bool stop;                    /* give up: too deep or too many errors */
    uint32_t errors;
    uint32_t muted_until; /* a bad character or string makes a syntax error up to here no news */
    DocBlock doc;         /* waiting for its token; end == 0 if none */
    DocBlock *docs;
    uint32_t ndocs, docs_cap;
    DocBlock module_doc;
} Parser;

/* Raw kinds beside the parser's tokens. */
enum { RAW_NEWLINE = -2, RAW_COMMENT = -3, RAW_DOC = -4 };
int deq_raw(void *flex); /* lex.l; sets raw_at */

void scan_begin(Parser *ps, Arena *a, Diags *ds, const Source *s);
int scan_next(Parser *ps, Loc *at); /* the next token after layout; T_END at the end and for ever after */
void scan_end(Parser *ps);
void scan_syntax_error(Parser *ps, int token); /* the parser refused `token`: choose where to go on */
bool scan_is_reserved(int token);              /* let, if, ...: a word that cannot be a name */
const char *scan_doc_text(Parser *ps, DocBlock block);

Range syntax_range(const Parser *ps, Loc at);
/* E0102, E0103: also mutes syntax errors on the rest of the line.  NULL when the parser is silent or has stopped. */
Diagnostic *syntax_error(Parser *ps, DiagCode code, Loc at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Parses `s`; never NULL: what could not be parsed is an AST_ERROR. */
Ast *parse_source(Arena *a, Diags *ds, const Source *s);

/* ---- build.c: nodes from grammar actions ---- */
Ast *build(Parser *ps, AstKind kind, Loc at, Loc point, const char *name, uint32_t n, Ast *const *kids);
#define BUILD(kind, at, point, name, ...)                                                                              \
    build(ps, AST_##kind, at, point, name, sizeof((Ast *[]){__VA_ARGS__}) / sizeof(Ast *), (Ast *[]){__VA_ARGS__})
void build_set(Parser *ps, Ast *node, uint32_t slot, Ast *kid); /* keeps depth right */
Ast *build_leaf(Parser *ps, AstKind kind, Loc at);              /* NAME, NUMBER, STRING, BOOL, ERROR from the text */
Ast *build_list(Parser *ps, Loc at, Ast *first);                /* LIST of `first`, or empty */
Ast *build_append(Parser *ps, Ast *list, Ast *item, Loc at);
Ast *build_operator(Parser *ps, Ast *left, Loc op, Ast *right, Loc at);
Ast *build_named(Parser *ps, AstKind kind, Loc at, const Ast *name, uint32_t n, Ast *const *kids);
#define BUILD_NAMED(kind, at, name, ...)                                                                               \
    build_named(ps, AST_##kind, at, name, sizeof((Ast *[]){__VA_ARGS__}) / sizeof(Ast *), (Ast *[]){__VA_ARGS__})
Ast *build_document(Parser *ps, Ast *node);          /* attaches the /// lines that end before it */
Ast *build_target(Parser *ps, Ast *target);          /* checks the left side of an equation */
Ast *build_key(Parser *ps, Ast *key);                /* checks the left side of a setting */
const char *build_path(Parser *ps, const Ast *path); /* "a.b.c" in the arena */
/* Reports statements in bodies they cannot stand in, and missing returns, below `node`. */
void build_check_bodies(Parser *ps, Ast *node);
#endif
