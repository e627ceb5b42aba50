/* lower_element.c - lower_<op> of the elementwise operations and the leaves: vectors in, vector out. */
#include "lower.h"

#define ELEMENT(name, expression)                                                                                      \
    Value lower_##name(const Site *s) {                                                                                \
        Emit *e = s->l->e;                                                                                             \
        Value a = s->x[0], b = s->x[1], c = s->x[2];                                                                   \
        (void)e, (void)a, (void)b, (void)c;                                                                            \
        return expression;                                                                                             \
    }
#define ZERO emit_splat_constant(e, 0)
#define ONE emit_splat_constant(e, 1)
#define COMPARE(p, x, y) emit_compare(e, LLVMReal##p, x, y)
#define TRUTH(condition) emit_truth(e, condition, e->vector)
#define NONZERO(x) COMPARE(UNE, x, ZERO)

static Value unary_intrinsic(Emit *e, const char *name, Value x) { return emit_intrinsic(e, name, e->vector, &x, 1); }

ELEMENT(neg, LLVMBuildFNeg(e->builder, a, ""))
ELEMENT(abs, unary_intrinsic(e, "llvm.fabs", a))
ELEMENT(sign, emit_sub(e, TRUTH(COMPARE(OGT, a, ZERO)), TRUTH(COMPARE(OLT, a, ZERO))))
ELEMENT(step, TRUTH(COMPARE(OGT, a, ZERO)))
ELEMENT(floor, unary_intrinsic(e, "llvm.floor", a))
ELEMENT(round, unary_intrinsic(e, "llvm.nearbyint", a))
ELEMENT(not, emit_sub(e, ONE, a))
ELEMENT(exp, math_exp(e, a))
ELEMENT(log, math_log(e, a))
ELEMENT(expm1, math_expm1(e, a))
ELEMENT(log1p, math_log1p(e, a))
ELEMENT(sqrt, unary_intrinsic(e, "llvm.sqrt", a))
ELEMENT(sin, math_sin(e, a))
ELEMENT(cos, math_cos(e, a))
ELEMENT(tanh, math_tanh(e, a))
ELEMENT(sigmoid, math_sigmoid(e, a))
ELEMENT(softplus, math_softplus(e, a))
ELEMENT(relu, emit_select(e, COMPARE(OGT, ZERO, a), ZERO, a)) /* NaN stays NaN */
ELEMENT(stop_gradient, a)
ELEMENT(add, emit_add(e, a, b))
ELEMENT(sub, emit_sub(e, a, b))
ELEMENT(mul, emit_mul(e, a, b))
ELEMENT(div, emit_div(e, a, b))
ELEMENT(pow, math_pow(e, a, b))
ELEMENT(max, emit_select(e, COMPARE(OGE, a, b), a, b))
ELEMENT(min, emit_select(e, COMPARE(OLE, a, b), a, b))
ELEMENT(lt, TRUTH(COMPARE(OLT, a, b)))
ELEMENT(le, TRUTH(COMPARE(OLE, a, b)))
ELEMENT(eq, TRUTH(COMPARE(OEQ, a, b)))
ELEMENT(and, TRUTH(LLVMBuildAnd(e->builder, NONZERO(a), NONZERO(b), "")))
ELEMENT(or, TRUTH(LLVMBuildOr(e->builder, NONZERO(a), NONZERO(b), "")))
ELEMENT(select, emit_select(e, NONZERO(a), b, c))

/* Leaves and views have no code of their own: clusters read their storage or recompute them. */
#define NO_CODE(op)                                                                                                    \
    Value lower_##op(const Site *s) { ICE("%s: " #op " is not an operation", s->l->routine->routine->name); }
NO_CODE(input)
NO_CODE(constant)
NO_CODE(iota)
NO_CODE(reshape)
NO_CODE(fixed_state)
NO_CODE(fixed_cotangent)
NO_CODE(query_result)
NO_CODE(objective_result)
