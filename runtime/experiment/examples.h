/* examples.h - what a value of an experiment is for each example: what bands over examples are drawn from. */
#ifndef DEQ_RUNTIME_EXAMPLES_H
#define DEQ_RUNTIME_EXAMPLES_H
#include "arrays.h"

/* The cell has been made.  Numbers in the order of the data, free() them; `of` says of how many examples, and which.
 * NULL with of->n 0 where there is no number for each example, or values of different examples stand in one expression;
 * NULL with of->n -1: out of memory. */
double *deq_arrays_examples(deq_arrays *g, int array, const int *at, deq_sampled *of);
#endif
