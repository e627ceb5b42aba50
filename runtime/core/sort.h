/* sort.h - numbers in ascending order; none of them is NaN.  File: sort.c. */
#ifndef DEQ_RUNTIME_SORT_H
#define DEQ_RUNTIME_SORT_H
#include <stddef.h>

void deq_sort(double *values, size_t n);
#endif
