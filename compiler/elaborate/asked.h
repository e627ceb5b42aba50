/* asked.h - settings of attacks that --set asks for and that have to be known while a script is compiled, since others are
 * computed from them: the settings of an attack made of others, and those that rounds of a loop are computed from. */
#ifndef DEQ_COMPILER_ASKED_H
#define DEQ_COMPILER_ASKED_H
#include "elaborate.h"

/* Those of the assignments PATH=VALUE, and those of constants (program_replace), NULL at the end.  needs: p resolved. */
const char *const *asked_settings(const Program *p, const char *const *set, int n);
/* The paths of settings of attacks made of others, NULL at the end: no attack of the manifest has them. */
const char *const *asked_paths(const Program *p);
/* The value that e->asked has for a setting of the attack that is declared as this call; false: none. */
bool asked_value(const Elab *e, const Ast *call, const char *setting, double *value);
#endif
