/* constant.h - an operator or a function of numbers that are known (constants.def).  File: constant.c. */
#ifndef DEQ_RUNTIME_CONSTANT_H
#define DEQ_RUNTIME_CONSTANT_H
#include <stdbool.h>

/* False: there is no such one of so many operands, 1 or 2. */
bool deq_constant(const char *name, int operands, double x, double y, double *value);
#endif
