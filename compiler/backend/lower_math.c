/* lower_math.c - transcendental functions as vector code.  Coefficients and error bounds: math.def. */
#include "lower.h"
#include <stdio.h>
#include <string.h>

static Value whole(Emit *e, const char *name, Value x) { return emit_intrinsic(e, name, e->vector, &x, 1); }

/* Calls a scalar function of libm for every lane. */
static Value each_lane(Emit *e, const char *name, Value a, Value b) {
    char symbol[32];
    snprintf(symbol, sizeof symbol, "%s%s", name, e->real_bytes == 4 ? "f" : "");
    Value f = emit_declare(e, symbol, e->real, (LLVMTypeRef[]){e->real, e->real}, b ? 2 : 1),
          y = LLVMGetPoison(e->vector);
    for (uint32_t k = 0; k < e->lanes; k++) {
        Value args[2] = {LLVMBuildExtractElement(e->builder, a, emit_i32(e, k), ""), NULL};
        if (b) args[1] = LLVMBuildExtractElement(e->builder, b, emit_i32(e, k), "");
        y = LLVMBuildInsertElement(e->builder, y, emit_call(e, f, args, b ? 2 : 1), emit_i32(e, k), "");
    }
    return y;
}

Value math_exp(Emit *e, Value x) { return each_lane(e, "exp", x, NULL); }
Value math_log(Emit *e, Value x) { return each_lane(e, "log", x, NULL); }
Value math_log1p(Emit *e, Value x) { return each_lane(e, "log1p", x, NULL); }
Value math_sin(Emit *e, Value x) { return each_lane(e, "sin", x, NULL); }
Value math_cos(Emit *e, Value x) { return each_lane(e, "cos", x, NULL); }
Value math_tanh(Emit *e, Value x) { return each_lane(e, "tanh", x, NULL); }
Value math_pow(Emit *e, Value a, Value b) { return each_lane(e, "pow", a, b); }

Value math_sigmoid(Emit *e, Value x) {
    Value t = math_exp(e, LLVMBuildFNeg(e->builder, whole(e, "llvm.fabs", x), "")), one = emit_splat_constant(e, 1);
    Value y = emit_div(e, one, emit_add(e, one, t)); /* of |x|; exact to the last bits on both sides of zero */
    return emit_select(e, emit_compare(e, LLVMRealOLT, x, emit_splat_constant(e, 0)), emit_mul(e, t, y), y);
}

Value math_softplus(Emit *e, Value x) {
    Value zero = emit_splat_constant(e, 0), t = math_exp(e, LLVMBuildFNeg(e->builder, whole(e, "llvm.fabs", x), ""));
    Value positive = emit_select(e, emit_compare(e, LLVMRealOLT, x, zero), zero, x); /* NaN stays */
    return emit_add(e, positive, math_log1p(e, t));
}
