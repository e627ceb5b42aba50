/* backend.h - routines to native code: the only door to LLVM.
 *
 * The back end is a module (libdeq_backend.so) that the driver loads on first use.  It links to nothing of the program:
 * the runtime's functions are handed in.  This header is what both sides know of each other; it declares no function. */
#ifndef DEQ_COMPILER_BACKEND_H
#define DEQ_COMPILER_BACKEND_H
#include "routine.h"
#include "deq_runtime.h"

typedef struct BackendOptions {
    const char *cpu;        /* "native" or an LLVM CPU name such as "x86-64-v3" */
    int optimise;           /* 0..3 */
    const char *math;       /* "inline" (default) or "libm" */
    bool emit_ll, emit_asm; /* also produce these texts (ll: before optimisation) */
    bool profile;           /* timers around operations (deq_profile_site) */
    bool single;            /* one object, to be written to a file; large units take longer then */
    bool foreign;           /* `cpu` may be of another architecture: the code is for reading, or linked there */
} BackendOptions;

#define BACKEND_MODULES 8

typedef struct Object { /* relocatable, malloc'ed */
    void *bytes;
    size_t size;
} Object;

typedef struct BackendResult {
    Object objects[BACKEND_MODULES]; /* to be linked together */
    uint32_t nobjects;
    char *ll, *assembly;              /* malloc'ed, when asked for */
    char *error;                      /* malloc'ed; NULL on success */
    uint64_t *row_bytes, *base_bytes; /* scratch of each routine of the unit, malloc'ed */
} BackendResult;

typedef struct Backend {
    /* Vector width and panel for a CPU; real_bytes 4 or 8.  False and *error when the CPU is unknown. */
    bool (*layout)(const char *cpu, uint32_t real_bytes, Layout *out, char **error);
    /* Name and features of the CPU that "native" means here, for cache keys and reports. */
    const char *(*target)(const char *cpu);
    bool (*compile)(const Unit *unit, const BackendOptions *options, BackendResult *out);
    /* Loads objects into this process (LLJIT).  Runtime symbols come from abi.def.  NULL and *error on failure. */
    const deq_module *(*load)(const Object *objects, uint32_t nobjects, char **error);
} Backend;

typedef struct BackendSymbol {
    const char *name; /* of abi.def */
    void *address;
} BackendSymbol;

/* The one symbol that the module exports: a function of this type called backend_entry. */
typedef const Backend *BackendEntry(const BackendSymbol *symbols, uint32_t nsymbols);
#endif
