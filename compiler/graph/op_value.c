/* op_value.c - the values of elementwise operations, from the table of operations. */
#include "op_value.h"
#include <math.h>

#define OP(name, arity, class, shape, linear, cost, view, doc)
#define ELEMENTWISE(name, arity, linear, cost, value, doc)                                                             \
    static double value_##name(double a, double b, double c) {                                                         \
        (void)a, (void)b, (void)c;                                                                                     \
        return value;                                                                                                  \
    }
#define ELEMENTWISE_WITH(name, arity, linear, cost, view, value, doc) ELEMENTWISE(name, arity, linear, cost, value, doc)
#include "ops.def"
#undef OP

/* A row of this class that gives no value has no value_<name>: it does not compile. */
#define VALUE_LEAF(name) NULL
#define VALUE_ELEMENTWISE(name) value_##name
#define VALUE_LAYOUT(name) NULL
#define VALUE_REDUCE(name) NULL
#define VALUE_PRODUCT(name) NULL
#define VALUE_BATCH(name) NULL
#define VALUE_CALL(name) NULL
static double (*const values[])(double, double, double) = {
#define OP(name, arity, class, shape, linear, cost, view, doc) [OP_##name] = VALUE_##class(name),
#include "ops.def"
#undef OP
};

double op_value(Op op, const double *args) {
    if (!values[op]) ICE("%s has no value on numbers", op_name(op));
    int n = op_arity(op);
    return values[op](args[0], n > 1 ? args[1] : 0, n > 2 ? args[2] : 0);
}
