/* stages.h - the compiler's stages, and what --emit shows of them: stages.def as types.
 * Files: cli.c. */
#ifndef DEQ_COMPILER_STAGES_H
#define DEQ_COMPILER_STAGES_H

typedef enum Stage {
#define STAGE(name) STAGE_##name,
#define EMIT(name, stage, doc)
#include "stages.def"
#undef STAGE
#undef EMIT
    STAGES
} Stage;

typedef enum Emit {
    EMIT_NOTHING,
#define STAGE(name)
#define EMIT(name, stage, doc) EMIT_##name,
#include "stages.def"
#undef STAGE
#undef EMIT
    EMITS
} Emit;

extern const Stage emit_stages[EMITS]; /* the stage that has made it */
#endif
