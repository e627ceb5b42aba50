/* foreign.h - what users of other languages write, and what stands for it here; the rows of foreign.def.
 *
 * Needs nothing.  Ensures: lookups return rows of a static table, NULL where there is none. */
#ifndef DEQ_LANG_FOREIGN_H
#define DEQ_LANG_FOREIGN_H
#include "diag.h"

typedef enum ForeignPlace {
    FOREIGN_NAME,
    FOREIGN_MODULE,
    FOREIGN_MEMBER,
    FOREIGN_TYPE,
    FOREIGN_STATEMENT,
    FOREIGN_KEY,
} ForeignPlace;

typedef struct Foreign {
    ForeignPlace place;
    const char *spelling;
    const char *ours; /* what to write instead, or "" */
    const char *note; /* a sentence about it, or "" */
} Foreign;

extern const Foreign *const foreign_table; /* the last row has no spelling */
const Foreign *foreign_find(ForeignPlace place, const char *spelling);

/* The row as help lines, "write CODE" and its note; `value` stands for each _ in the code. */
void foreign_help(Diagnostic *d, Arena *a, const Foreign *row, const char *value);

/* Whether two names differ at most in capitals and underscores: LogSoftmax, log_softmax. */
bool foreign_same(const char *left, const char *right);

/* Of the keys that exist: the one that `name` is called elsewhere, or the nearest spelling; "did you mean ..?" as a
 * help line.  False, and no line, when there is none. */
bool foreign_help_key(Diagnostic *d, const char *name, const char *const *keys, uint32_t n);
#endif
