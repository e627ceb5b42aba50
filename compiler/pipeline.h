/* pipeline.h - a checked program to everything the back end compiles: routines and manifest. */
#ifndef DEQ_COMPILER_PIPELINE_H
#define DEQ_COMPILER_PIPELINE_H
#include "lang/module.h"
#include "routine.h"

typedef struct PipelineOptions {
    Layout layout;
    const char *name;      /* stem of the script: manifest "name" */
    const char *target;    /* CPU the object is compiled for: manifest "target" */
    const char *options;   /* text of the options that change the object: part of the manifest's "hash" */
    bool tests;            /* elaborate only what `test` blocks need (deq test); else everything but them */
    bool nets;             /* with tests: also a gradcheck of every net that is trained (deq gradcheck) */
    const char *only_test; /* with tests: the one of this name; NULL: all */
    bool checks;           /* without tests: also what `check` blocks need (deq compare) */
    const char *only; /* deq build --lib NET, bench: elaborate this layer alone as a net; NULL: what the script runs */
    bool penalties, corrections; /* routines for `penalty: jacobian(..)` and the like (correction(..)) in every net */
} PipelineOptions;

/* Elaborates every net, attack, optimiser, training run, experiment and test that will run, and writes the manifest.
 * needs: p resolved and checked without errors.  NULL after reporting to p->diags (sizes that do not divide, ...). */
Unit *pipeline_build(Program *p, const PipelineOptions *options);
/* Elaborates what runs and what is tested, without routines: finds the mistakes that depend on sizes, in milliseconds.
 */
bool pipeline_check(Program *p);

#endif
