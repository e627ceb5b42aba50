/* pipeline.h - a checked program to everything the back end compiles: routines and manifest. */
#ifndef DEQ_COMPILER_PIPELINE_H
#define DEQ_COMPILER_PIPELINE_H
#include "elaborate.h"

typedef struct PipelineOptions {
    Layout layout;
    const char *name;      /* stem of the script: manifest "name" */
    const char *target;    /* CPU the object is compiled for: manifest "target" */
    const char *options;   /* text of the options that change the object: part of the manifest's "hash" */
    bool tests;            /* elaborate only what `test` blocks need (deq test); else everything but them */
    bool nets;             /* with tests: also a gradcheck of every net that is trained (deq gradcheck) */
    const char *only_test; /* with tests: the one of this name; NULL: all */
    bool checks;           /* without tests: also what `check` blocks need (deq compare) */
    /* deq build -N, bench -N: only this layer, alone as a net; with sizes, L[3], it is that of the check which stands last
     * in the program.  NULL: what the script runs. */
    const char *only;
    const struct PassWatch *watch; /* graphs after a pass are shown (pass_list.h); NULL: none */
    bool audit; /* what audits attack with, for every evaluation under an attack, not only where `audit: true` stands */
    bool penalties, corrections; /* routines for `penalty: jacobian(..)` and the like (correction(..)) in every net */
    const char *const *asked;    /* of --set: see asked.h, NULL at the end */
    bool cotangents;             /* those that carry any cotangent of its output back, in every net: NET_objective_* */
} PipelineOptions;

/* Elaborates every net, attack, optimiser, training run, experiment and test that will run, and writes the manifest.
 * needs: p resolved and checked without errors.  NULL after reporting to p->diags (sizes that do not divide, ...). */
Unit *pipeline_build(Program *p, const PipelineOptions *options);

/* The number that an expression of the main module, resolved and checked, stands for.  False after reporting. */
bool pipeline_number(Program *p, const Ast *expression, double *out);

/* ---- the elaborated program, before its routines ---- */
typedef struct Elaborated {
    Elab *elab;
    json_t *manifest; /* all but the nets, whose layout only model_routines knows */
} Elaborated;
/* Elaborates what runs and what is tested, without routines: finds the mistakes that depend on sizes, in milliseconds.
 */
bool pipeline_check(Program *p);
/* The same; the nets made so far are in out->elab, also after an error. */
bool pipeline_look(Program *p, Elaborated *out);
enum { ELAB_RUN = 1, ELAB_TESTS = 2, ELAB_NETS = 4, ELAB_CHECKS = 8 };
typedef struct Parts {        /* of the main module: what is elaborated */
    unsigned kinds;           /* ELAB_ */
    const char *only;         /* a layer, alone as a net; NULL */
    const char *only_test;    /* of the tests the one of this name; NULL: all */
    bool audit;               /* of PipelineOptions */
    const char *const *asked; /* of PipelineOptions */
    bool cotangents;          /* every net is differentiated in any function of its output */
} Parts;
/* Elaborates what the chosen parts of the main module need.  False when an error was reported. */
bool elaborate(Arena *a, Program *program, uint32_t real_bytes, Parts parts, Elaborated *out);
#endif
