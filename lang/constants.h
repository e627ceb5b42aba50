/* constants.h - constants that are no numbers: lists, solvers, gradient modes, attacks, layers, losses and the like. */
#ifndef DEQ_LANG_CONSTANTS_H
#define DEQ_LANG_CONSTANTS_H
#include "module.h"

/* Whether the value of the CONST is written out where it is named.  Needs: resolved. */
bool constant_written_out(const Ast *constant);
/* Writes them out in all modules: what follows meets the values alone.  Reports constants that mean themselves.
 * Needs: resolved. */
void constants_write_out(Program *p);
#endif
