/* examples.h - what a value of an experiment is for each example: what bands over examples are drawn from. */
#ifndef DEQ_RUNTIME_EXAMPLES_H
#define DEQ_RUNTIME_EXAMPLES_H
#include "arrays.h"

/* The cell has been made.  *n numbers in the order of the data, free() them; NULL with *n 0 where there is no number for each
 * example, or values of different examples stand in one expression; NULL with *n -1: out of memory. */
double *deq_arrays_examples(deq_arrays *g, int array, const int *at, int64_t *n);
#endif
