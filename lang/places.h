/* places.h - what stands where in a module: its names in the order of the text, and what is around a place.
 *
 * Needs a module that program_resolve has seen; it may hold errors.  Ensures: mentions lie in the text of the module, in
 * order, and no two of them begin at the same place. */
#ifndef DEQ_LANG_PLACES_H
#define DEQ_LANG_PLACES_H
#include "module.h"

typedef struct Mention {
    Range at;        /* of the name alone */
    const Ast *node; /* the NAME, MEMBER, ARG or declaration that it belongs to */
    const Ast *decl; /* what it refers to; the node that declares it itself; NULL: the language's own, or unknown */
    bool declares;
} Mention;

typedef struct Places {
    const Mention *mentions;
    uint32_t n;
} Places;

Places places_of(Arena *a, const Module *m);
/* The name at the offset or directly before it; NULL: there is none. */
const Mention *places_at(const Places *p, uint32_t offset);
/* The nodes around the offset, the unit first; at most `most`, the innermost then left out.  A block that is never closed
 * reaches to the end of the text.  Returns how many. */
uint32_t places_around(const Module *m, uint32_t offset, const Ast **nodes, uint32_t most);

typedef struct Visible {
    const char *name;
    const Ast *decl; /* NULL: a reader of std.data, or the module is missing */
} Visible;
/* The names known at the offset, innermost first, each once: what is declared above it in the bodies around, the inputs
 * and sizes of the declarations around, and the names of the module.  *n of them, in the arena. */
const Visible *places_visible(Arena *a, const Module *m, uint32_t offset, uint32_t *n);
/* The bits of the place, CTX_ of tables.h, in which builtins are known. */
unsigned places_context(const Module *m, uint32_t offset);
/* The range of the name that the node declares, or that a node mentions. */
Range places_name(const Ast *node);
#endif
