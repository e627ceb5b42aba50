/* verbs.h - one function a verb: does the work, returns the exit code.
 * Files: verbs.c, verbs_build.c, verbs_emit.c, verbs_eval.c, verbs_gradient.c, verbs_import.c, verbs_language.c,
 * verbs_program.c, verbs_summary.c, serve.c. */
#ifndef DEQ_COMPILER_VERBS_H
#define DEQ_COMPILER_VERBS_H
#include "cli.h"
#include "compile.h"
#include "error.h"
#include <stddef.h>

#define VERB(id, name, arguments, summary, help) int verb_##id(const Cli *cli);
#define FLAG(id, name, key, argument, verbs, doc)
#include "cli.def"
#undef VERB
#undef FLAG

/* ---- verbs.c ---- */
int verb_do(const Cli *cli); /* the verb of the command line, and what it printed handed over */
/* What the command line says about compiling the first file, up to stage `last`. */
CompileOptions verb_options(const Cli *cli, Stage last);
Stage verb_last_stage(const Cli *cli, Stage fallback); /* of --stop-after */
/* Diagnostics to standard error, or as JSON to standard output. */
void verb_diagnostics(const Cli *cli, const Compilation *c);
/* Loads the object into this process, with the gradients in C that it needs: compile_load, with the files of --link.
 * 0, or an exit code after a message. */
int load_linked(const Cli *cli, Compilation *c);
int verb_failed(const deq_error *e);                             /* says what is wrong, with its code; the exit code */
int write_file(const char *path, const char *text, size_t size); /* 0, or an exit code after a message */

/* ---- verbs_build.c ---- */
/* Whether the script that the options name trains `net`, which then has the script's losses and settings; otherwise the
 * layer is compiled alone. */
bool trains_net(const CompileOptions *options, const char *net);

/* ---- verbs_emit.c ---- */
int verb_emit(const Cli *cli); /* in the place of a verb that --emit stops */

/* ---- verbs_summary.c ---- */
const char *bytes_text(char *buffer, size_t size, double n); /* "240 kB" */
void print_summary(const Compilation *c);                    /* of a compilation up to its routines */
#endif
