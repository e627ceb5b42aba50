/* eval.h - deq eval: what a compiled net makes of some inputs. */
#ifndef DEQ_RUNTIME_EVAL_H
#define DEQ_RUNTIME_EVAL_H
#include "app.h"
#include <stdio.h>

typedef enum deq_eval_kind {
    DEQ_EVAL_output,
    DEQ_EVAL_value, /* of a fixed point */
    DEQ_EVAL_states,
    DEQ_EVAL_residuals,
    DEQ_EVAL_loss,
    DEQ_EVAL_gradient
} deq_eval_kind;

typedef struct deq_eval {
    deq_eval_kind what;
    const char *text;  /* the expression, for what is printed */
    const char *net;   /* a net or training run of the module */
    const char *fixed; /* path of a fixed point; NULL: the first, where one is asked for */
    const char *loss;
    int first, last; /* of the states */
    /* The inputs: examples from .. to - 1 of a split (to -1: one), or `random` many, or those of a file, which may have
     * arrays input and target. */
    const char *data;
    bool test;
    int64_t from, to, random;
    const char *file;
    const char *checkpoint; /* parameters; NULL: those that the cache has of the training run, or initial ones */
    deq_app_options run;    /* set, seed, threads, fresh, json */
    const char *output;     /* .npz: arrays value and input; NULL: none */
} deq_eval;

/* Prints the value with its shape; an exit code (app.h). */
int deq_app_eval(const deq_module *module, const deq_eval *what);
/* The same of a number. */
int deq_app_eval_number(const char *text, double value, bool json);
#endif
