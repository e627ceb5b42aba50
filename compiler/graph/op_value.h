/* op_value.h - what elementwise operations make of numbers: the one place that knows, apart from generated code.
 *
 * The formulas are the `value` column of ops.def.  Folding, the elaborator's arithmetic and split_recognise use them;
 * tests/unit/test_ops.c holds them against the reference interpreter of tests/. */
#ifndef DEQ_COMPILER_OP_VALUE_H
#define DEQ_COMPILER_OP_VALUE_H
#include "graph.h"

/* needs: an elementwise op and as many arguments as its arity; anything else is an ICE. */
double op_value(Op op, const double *args);
#endif
