/* eval.h - deq eval: what a compiled net makes of some inputs. */
#ifndef DEQ_RUNTIME_EVAL_H
#define DEQ_RUNTIME_EVAL_H
#include "deq_runtime.h"
#include <stdbool.h>
#include <stdio.h>

typedef struct deq_eval {
    const char *text;  /* the expression, for what is printed */
    const char *net;   /* a net or training run of the module */
    const char *fixed; /* path of a fixed point, whose value is wanted; NULL: the net's output, or a gradient */
    const char *loss;  /* the gradient of this one in each input; NULL: none */
    /* The inputs: examples from .. to - 1 of a split (to -1: one), or `random` many, or those of a file. */
    const char *data;
    bool test;
    int64_t from, to, random;
    const char *file;
    const char *checkpoint; /* parameters; NULL: initial ones, drawn with `seed` */
    uint64_t seed;
    int threads;
    const char *output; /* .npz: arrays value and input; NULL: none */
    bool json;
} deq_eval;

/* Prints the value with its shape; an exit code (app.h). */
int deq_app_eval(const deq_module *module, const deq_eval *what);
/* The same of a number. */
int deq_app_eval_number(const char *text, double value, bool json);
#endif
