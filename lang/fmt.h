/* fmt.h - one layout for every program.
 *
 * Keeps what the author chose (line breaks inside a statement, blank lines, short blocks on one line) and settles the
 * rest: two spaces of indentation, spaces around operators, at most one blank line, values of neighbouring settings and
 * '=' of neighbouring params and uses in a column.  Comments stay where they are. */
#ifndef DEQ_LANG_FMT_H
#define DEQ_LANG_FMT_H
#include "ast.h"

/* Needs: `unit` is the tree of `s`.  Writes the formatted text to `out`; false, with nothing written, when the tree has
 * an ERROR.  Ensures: the same tokens and comments in the same order, and formatting the result changes nothing. */
bool format_module(const Source *s, const Ast *unit, FILE *out);
#endif
