/* pass_list.h - the passes from a model to its routines as a list, and a look at the graphs after one of them.
 *
 * The list is passes.def.  Every pass is run by passes_run or, on a routine, by draft_finish; after each of them every
 * graph that it works on is verified. */
#ifndef DEQ_COMPILER_PASS_LIST_H
#define DEQ_COMPILER_PASS_LIST_H
#include <stdint.h>
#include <stdio.h>

typedef enum GraphPass {
#define PASS(name, level, needs, doc) GRAPH_PASS_##name,
#include "passes.def"
#undef PASS
    GRAPH_PASSES
} GraphPass;

typedef enum PassLevel { PASS_NET, PASS_FIXED, PASS_MAKE, PASS_DRAFT } PassLevel;

typedef struct PassInfo {
    const char *name, *doc;
    PassLevel level;
    uint32_t needs; /* bit k: pass k has run before */
} PassInfo;

extern const PassInfo graph_passes[GRAPH_PASSES];

/* Asked for with --emit=ir:PASS: the graphs after that pass, of every net or routine. */
typedef struct PassWatch {
    GraphPass after;
    FILE *out;
} PassWatch;

#endif
