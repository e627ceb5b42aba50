/* module.h - modules: the main file, files it imports, and the standard library embedded in the binary.
 *
 * module_load parses the file and, transitively, what it imports.  `std.x` is embedded (DEQ_STDLIB=dir overrides it
 * for development); other modules are looked up beside the importing file, then in the -I folders.  Cycles and
 * missing modules are diagnosed at the import.
 * Files: module.c, hash.c (program_hash), replaced.c (program_replace). */
#ifndef DEQ_LANG_MODULE_H
#define DEQ_LANG_MODULE_H
#include "ast.h"
#include "diag.h"

typedef struct Module Module;
struct Module {
    const char *path; /* dotted path, or the file's path for the main module */
    Source *source;
    Ast *unit;        /* AST_UNIT; never NULL; with an AST_ERROR kid if anything could not be read */
    Module **imports; /* parallel to the IMPORT declarations, in order; NULL where loading failed */
    uint32_t nimports;
    struct Written *written; /* declarations of others that constants named, where their values are written out here */
    uint32_t nwritten, written_cap;
};
/* What such a name is in the module: "setup.at", whether the module knows `setup` or not. */
typedef struct Written {
    const char *name;
    const Ast *decl;
    const Module *owner;
} Written;

typedef struct Program { /* everything loaded for one compilation */
    Arena *arena;
    Diags *diags;
    Module *main;
    Module **modules; /* imports before importers; main last */
    uint32_t nmodules;
    const char **missing; /* files that imports were looked for in and that are not there, or could not be read */
    uint32_t nmissing;
    const char *const *replaced; /* assignments that program_replace has followed, NULL at the end; NULL: none */
} Program;

/* Loads `path` and its imports.  Never returns NULL; look at diags_errors(). */
Program *program_load(Arena *a, Diags *ds, const char *path, const char *const *include_dirs, uint32_t ninclude);
/* The same with declarations added after the file's own (`deq gradcheck FILE LAYER`); NULL: none. */
Program *program_load_with(Arena *a, Diags *ds, const char *path, const char *const *include_dirs, uint32_t ninclude,
                           const char *added);
/* Loads `path` and its imports as a client has them open: a module whose file is among the texts is read from there,
 * `path` itself always.  Paths are real ones (realpath) where the file exists. */
typedef struct OpenText {
    const char *path, *text;
} OpenText;
Program *program_load_open(Arena *a, Diags *ds, const char *path, const OpenText *open, uint32_t nopen,
                           const char *const *include_dirs, uint32_t ninclude);
/* One file alone, its imports left alone: for the formatter.  Never NULL. */
Module *module_parse(Arena *a, Diags *ds, const char *path);
/* A text in memory (an embedded module, tests, fuzzing), refused like a file when it is not UTF-8. */
Program *program_load_text(Arena *a, Diags *ds, const char *path, const char *text);
/* Loads a module of the standard library that the program needs and does not import.  Before program_resolve. */
void program_require(Program *p, const char *path);
/* Does an experiment of the main module have the setting `audit`? */
bool program_audits(const Program *p);
/* Constants get the values of the assignments NAME=VALUE, MODULE.NAME=VALUE: of the main module, or of one that is loaded
 * and not the standard library's, by the last word of its path.  What names no constant is left to others.  Reports
 * values that do not parse.  Before program_resolve; program_hash knows nothing of it. */
void program_replace(Program *p, const char *const *set, int n);
/* What program_replace could be asked for, NULL at the end. */
const char *const *program_constants(const Program *p);
/* The declaration visible under `name` at the top level of `m`: its own or one imported by name; *owner (may be NULL)
 * receives the module that declares it.  NULL if there is none.  "blocks.Res" follows an alias; "blocks" alone is the
 * IMPORT itself.  A module imported without names is known by `as`, or by the last word of its path. */
const Ast *module_find(const Module *m, const char *name, const Module **owner);
/* The last word of a module's path, "layers" of "std.layers": what it is called without an alias. */
const char *module_word(const char *path);
/* What a module is called in names of its nets and constants, setup.net: the last word of its path; the whole path where
 * another one that the script loads, and that is no part of the program, ends alike. */
const char *module_called(const Program *p, const Module *m);
/* The module that has the declaration at its top level; NULL: none. */
const Module *program_owner(const Program *p, const Ast *decl);
/* Text of an embedded module ("std.layers"), NULL if there is none. */
const char *stdlib_text(const char *path);
/* The path of the i-th module of the library, NULL past the end; and what they declare, one call for each name, which is
 * in the arena. */
const char *stdlib_path(uint32_t i);
void stdlib_each(Arena *a, void (*visit)(void *data, const char *path, const char *name), void *data);
/* The module of the standard library that declares the name, or with `loosely` one that differs from it in capitals and
 * underscores only; *found is that name.  NULL: none. */
const char *stdlib_module_of(Arena *a, const char *name, bool loosely, const char **found);
/* XXH3 (32 hex digits) of the token streams of all modules: comments and layout do not change it. */
const char *program_hash(const Program *p);
#endif
