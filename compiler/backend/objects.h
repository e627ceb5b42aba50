/* objects.h - a unit as LLVM modules, each in its own context, compiled side by side.
 *
 * Routines are divided among the modules by size.  Functions that several modules made alike (kernels) stay in
 * one of them.  The division depends on the unit only, not on the machine. */
#ifndef DEQ_BACKEND_MODULE_H
#define DEQ_BACKEND_MODULE_H
#include "lower.h"
#include "backend.h"

typedef struct Module {
    const PlanUnit *plan;
    const BackendOptions *options;
    const TargetShape *shape;
    uint32_t index, count;
    Arena *arena;
    Emit *e;
    LLVMTargetMachineRef machine;
    char *diagnostic; /* of LLVM, malloc'ed */
    /* results, malloc'ed */
    Object object;
    char *ll, *assembly, *error;
} Module;

/* Compiles `count` modules; each ends with an object or an error. */
void modules_compile(Module *modules, uint32_t count);
void module_free(Module *m); /* but for its results */
#endif
