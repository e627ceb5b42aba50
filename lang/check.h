/* check.h - resolve and check: after both succeed every name has a declaration, every expression a type, and the
 * elaborator may assume a well-formed program (sizes that depend on instantiation aside).
 * Files: resolve.c, check.c. */
#ifndef DEQ_LANG_CHECK_H
#define DEQ_LANG_CHECK_H
#include "module.h"

bool program_resolve(Program *p); /* needs: parsed.  ensures: ref of every name set, or an error reported */
bool program_check(Program *p);   /* needs: resolved. ensures: shapes, types, settings, modes, batch rules hold */
#endif
