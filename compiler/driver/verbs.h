/* verbs.h - one function a verb: does the work, returns the exit code.
 * Files: verbs_gradient.c, verbs_language.c, verbs_program.c,
 * verbs_summary.c. */
#ifndef DEQ_COMPILER_VERBS_H
#define DEQ_COMPILER_VERBS_H
#include "cli.h"
#include <stddef.h>

#define VERB(id, name, arguments, summary, help) int verb_##id(const Cli *cli);
#define FLAG(id, name, key, argument, verbs, doc)
#include "cli.def"
#undef VERB
#undef FLAG

struct Compilation;
/* compile_load, with the files of --link: 0, or an exit code after a message. */
int load_linked(const Cli *cli, struct Compilation *c);
const char *bytes_text(char *buffer, size_t size, double n); /* "240 kB" */
void print_summary(const struct Compilation *c);             /* of a compilation up to its routines */
#endif
