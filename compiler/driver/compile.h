/* compile.h - the pipeline as a list of calls: text to a loaded module, stage by stage. */
#ifndef DEQ_COMPILER_COMPILE_H
#define DEQ_COMPILER_COMPILE_H
#include "backend_load.h"
#include "cache.h"
#include "module.h"
#include "stages.h"

typedef struct CompileOptions {
    const char *path;
    const char *const *include;
    uint32_t ninclude;
    const char *target_cpu; /* NULL: native */
    const char *math;       /* NULL: inline */
    int optimise;
    bool profile;                             /* timers around operations */
    bool f64, tests, nets, checks, use_cache; /* tests, nets, checks, only, only_test: see PipelineOptions */
    const char *only, *only_test;
    const char *added; /* declarations after the file's own; NULL: none */
    size_t asked; /* where in them the text begins that the command line has, on a line of its own: errors tell of it */
    bool emit_ll, emit_asm;
    bool single, foreign; /* see BackendOptions */
    Stage last;           /* stop after this stage */
    /* Called with the manifest when it is known and code generation is still to come; NULL: nobody. */
    void (*elaborated)(void *context, const char *manifest);
    void *context;
    const struct PassWatch *watch;      /* graphs after a pass are shown (pass_list.h); NULL: none */
    bool penalties, corrections, audit; /* what --set and --audit ask for: see PipelineOptions */
    bool cotangents;                    /* see PipelineOptions */
    const char *const *set;             /* of the command line: see asked.h */
    int nset;
} CompileOptions;

typedef struct Compilation {
    Arena *arena;
    Diags *diags;
    Program *program;
    Unit *unit;               /* from STAGE_routines on, unless the module came from the cache */
    BackendResult result;     /* from STAGE_compile on, unless the module came from the cache */
    const deq_module *module; /* compile_load */
    bool warm;                /* the module came from the cache */
    Cache cache;
} Compilation;

/* Runs the stages up to options->last.  0, or the exit code of the stage that failed (diagnostics in c->diags; a back
 * end failure is printed).  With use_cache and last == STAGE_compile a cached module ends the work after STAGE_check. */
int compile(const CompileOptions *options, Compilation *c);
/* Loads the compiled object into this process.  Needs compile() to have returned 0 with last == STAGE_compile. */
int compile_load(Compilation *c);
void compile_free(Compilation *c);
#endif
