/* target.h - what is known about the processor: vector width, register tile, LLVM target machine. */
#ifndef DEQ_BACKEND_TARGET_H
#define DEQ_BACKEND_TARGET_H
#include "backend.h"
#include <llvm-c/TargetMachine.h>

typedef struct TargetShape {
    char *cpu, *features;  /* malloc'ed, as LLVM wants them */
    char *triple;          /* likewise */
    bool foreign;          /* of another architecture than this machine's: code to be written, not run */
    uint32_t vector_bytes; /* of a full vector */
    uint32_t tile_rows;    /* rows of the product kernel's register tile: tile_rows x 2 vectors of accumulators */
} TargetShape;

void target_initialise(void);         /* registers LLVM's native target; idempotent */
void target_initialise_foreign(void); /* all those that target_shape knows */
/* Resolves "native" or a CPU name.  False and *error (malloc'ed) for an unknown one. */
bool target_shape(const char *cpu, TargetShape *out, char **error);
void target_shape_free(TargetShape *shape);
/* needs: the target is registered. */
LLVMTargetMachineRef target_machine(const TargetShape *shape, int optimise, char **error);
bool target_layout(const char *cpu, uint32_t real_bytes, Layout *out, char **error);
const char *target_name(const char *cpu);
#endif
