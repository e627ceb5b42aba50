/* lower_math.c - transcendental functions as vector code.  Coefficients and error bounds: math.def.
 *
 * Every function returns NaN for NaN and saturates as the true one does.  Conversions to integers go through bits,
 * never through instructions that are undefined out of range. */
#include "lower.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum Polynomial { POLY_exp, POLY_log, POLY_tanh_p, POLY_tanh_q, POLY_sin, POLY_cos };
static const struct {
    enum Polynomial group;
    double value;
} coefficients[] = {
#define COEFFICIENT(group, value) {POLY_##group, value},
#include "math.def"
};

/* By Horner's rule, the highest power first. */
static Value polynomial(Emit *e, enum Polynomial group, Value x) {
    Value y = NULL;
    for (size_t k = 0; k < sizeof coefficients / sizeof *coefficients; k++) {
        if (coefficients[k].group != group) continue;
        Value c = emit_splat_constant(e, coefficients[k].value);
        y = y ? emit_fma(e, y, x, c) : c;
    }
    return y;
}

static Value number(Emit *e, double v) { return emit_splat_constant(e, v); }
static Value whole(Emit *e, const char *name, Value x) { return emit_intrinsic(e, name, e->vector, &x, 1); }
static Value absolute(Emit *e, Value x) { return whole(e, "llvm.fabs", x); }
static Value negated(Emit *e, Value x) { return LLVMBuildFNeg(e->builder, x, ""); }
static Value less(Emit *e, Value a, Value b) { return emit_compare(e, LLVMRealOLT, a, b); }

/* NaN passes. */
static Value clamped(Emit *e, Value x, double low, double high) {
    x = emit_select(e, less(e, x, number(e, low)), number(e, low), x);
    return emit_select(e, less(e, number(e, high), x), number(e, high), x);
}

static Value integers(Emit *e, uint32_t v) {
    Value all[64];
    for (uint32_t k = 0; k < e->lanes; k++) all[k] = emit_i32(e, v);
    return LLVMConstVector(all, e->lanes);
}

static Value bits_of(Emit *e, Value x) { return LLVMBuildBitCast(e->builder, x, e->index_vector, ""); }
static Value from_bits(Emit *e, Value x) { return LLVMBuildBitCast(e->builder, x, e->vector, ""); }
static Value int_add(Emit *e, Value a, Value b) { return LLVMBuildAdd(e->builder, a, b, ""); }

/* 2^n for n in [-126, 127], by its bits. */
static Value power_of_two(Emit *e, Value n) {
    return from_bits(e, LLVMBuildShl(e->builder, int_add(e, n, integers(e, 127)), integers(e, 23), ""));
}

static bool inlined(const Emit *e) { return e->real_bytes == 4 && !e->libm; }

/* Calls a scalar function of libm for every lane, in one shared loop: spelled out, sixteen calls in the middle of a
 * cluster would cost more to compile than everything around them. */
static Value each_lane(Emit *e, const char *name, Value a, Value b) {
    char symbol[32], shared[32];
    uint32_t nargs = b ? 2 : 1;
    snprintf(symbol, sizeof symbol, "%s%s", name, e->real_bytes == 4 ? "f" : "");
    snprintf(shared, sizeof shared, "lanes_%s", name);
    Aside aside;
    Value f = emit_aside(e, shared, e->vector, (LLVMTypeRef[]){e->vector, e->vector}, nargs, &aside), memory[3];
    if (aside.made) {
        for (uint32_t k = 0; k < 3; k++) memory[k] = emit_alloca(e, e->vector, emit_i32(e, 1), DEQ_ALIGN);
        for (uint32_t k = 0; k < nargs; k++) emit_store_vector(e, LLVMGetParam(f, k), memory[k], DEQ_ALIGN);
        Loop lanes;
        loop_count(&lanes, e, e->lanes);
        Value x[2];
        for (uint32_t k = 0; k < nargs; k++) x[k] = emit_load(e, emit_element(e, memory[k], lanes.index));
        Value scalar = emit_declare(e, symbol, e->real, (LLVMTypeRef[]){e->real, e->real}, nargs);
        emit_store(e, emit_call(e, scalar, x, nargs), emit_element(e, memory[2], lanes.index));
        loop_end(&lanes);
        LLVMBuildRet(e->builder, emit_load_vector(e, memory[2], DEQ_ALIGN));
        emit_aside_end(e, &aside);
    }
    return emit_call(e, f, (Value[]){a, b}, nargs);
}

#define LN2_HIGH 0.693359375 /* 10 bits: products with exponents are exact */
#define LN2_LOW -2.12194440e-4

/* e^r - 1 for the r nearest to 0 that is x less a multiple k of ln 2. */
static Value reduced_exp(Emit *e, Value x, Value *k) {
    const double shift = 12582912; /* 1.5 * 2^23: adding it rounds to an integer, which its low bits hold */
    Value t = emit_fma(e, x, number(e, 1.44269504088896341), number(e, shift));
    Value n = emit_sub(e, t, number(e, shift));
    Value r = emit_fma(e, n, number(e, -LN2_HIGH), x);
    r = emit_fma(e, n, number(e, -LN2_LOW), r);
    *k = LLVMBuildSub(e->builder, bits_of(e, t), integers(e, 0x4B400000), "");
    return emit_fma(e, polynomial(e, POLY_exp, r), emit_mul(e, r, r), r);
}

Value math_exp(Emit *e, Value x) {
    if (!inlined(e)) return each_lane(e, "exp", x, NULL);
    Value k, y = reduced_exp(e, clamped(e, x, -104, 89), &k);
    y = emit_add(e, y, number(e, 1));
    /* in two factors, so that 2^128 and subnormal results come out right */
    Value half = LLVMBuildAShr(e->builder, k, integers(e, 1), "");
    y = emit_mul(e, y, power_of_two(e, half));
    return emit_mul(e, y, power_of_two(e, LLVMBuildSub(e->builder, k, half, "")));
}

Value math_expm1(Emit *e, Value x) {
    if (!inlined(e)) return each_lane(e, "expm1", x, NULL);
    Value k, y = reduced_exp(e, clamped(e, x, -87, 89), &k), scale = power_of_two(e, k);
    y = emit_fma(e, y, scale, emit_sub(e, scale, number(e, 1)));
    return emit_select(e, less(e, number(e, 17), x), math_exp(e, x), y);
}

Value math_log(Emit *e, Value x) {
    if (!inlined(e)) return each_lane(e, "log", x, NULL);
    Value small = less(e, x, number(e, 1.17549435e-38)); /* subnormal: scaled by 2^23 */
    Value scaled = emit_select(e, small, emit_mul(e, x, number(e, 8388608)), x);
    Value bits = bits_of(e, scaled);
    Value exponent =
        LLVMBuildSub(e->builder, LLVMBuildLShr(e->builder, bits, integers(e, 23), ""), integers(e, 126), "");
    exponent =
        LLVMBuildSub(e->builder, exponent, LLVMBuildSelect(e->builder, small, integers(e, 23), integers(e, 0), ""), "");
    bits = LLVMBuildAnd(e->builder, bits, integers(e, 0x007FFFFF), "");
    Value m = from_bits(e, LLVMBuildOr(e->builder, bits, integers(e, 0x3F000000), "")); /* [1/2, 1) */
    Value low = less(e, m, number(e, 0.707106781186547524));
    Value n = LLVMBuildSIToFP(e->builder, exponent, e->vector, "");
    n = emit_select(e, low, emit_sub(e, n, number(e, 1)), n);
    m = emit_sub(e, emit_select(e, low, emit_add(e, m, m), m), number(e, 1));
    Value z = emit_mul(e, m, m);
    Value y = emit_mul(e, emit_mul(e, polynomial(e, POLY_log, m), m), z);
    y = emit_fma(e, n, number(e, LN2_LOW), y);
    y = emit_fma(e, z, number(e, -0.5), y);
    y = emit_fma(e, n, number(e, LN2_HIGH), emit_add(e, m, y));
    Value special = emit_select(e, emit_compare(e, LLVMRealOEQ, x, number(e, 0)), number(e, -INFINITY), number(e, NAN));
    y = emit_select(e, emit_compare(e, LLVMRealOGT, x, number(e, 0)), y, special);
    return emit_select(e, emit_compare(e, LLVMRealOEQ, x, number(e, INFINITY)), x, y);
}

Value math_log1p(Emit *e, Value x) {
    if (!inlined(e)) return each_lane(e, "log1p", x, NULL);
    Value one = number(e, 1), u = emit_add(e, one, x), lost = emit_sub(e, x, emit_sub(e, u, one));
    Value finite = LLVMBuildAnd(e->builder, less(e, number(e, 0), u), less(e, u, number(e, INFINITY)), "");
    Value correction = emit_select(e, finite, emit_div(e, lost, u), number(e, 0));
    return emit_add(e, math_log(e, u), correction);
}

Value math_tanh(Emit *e, Value x) {
    if (!inlined(e)) return each_lane(e, "tanh", x, NULL);
    Value at = clamped(e, x, -11, 11), z = emit_mul(e, at, at); /* there the quotient is well above 1 */
    Value y = emit_mul(e, at, emit_div(e, polynomial(e, POLY_tanh_p, z), polynomial(e, POLY_tanh_q, z)));
    return clamped(e, y, -1, 1);
}

/* Both from e^-|x|, which never overflows, so the small side keeps its relative precision. */
Value math_sigmoid(Emit *e, Value x) {
    Value t = math_exp(e, negated(e, absolute(e, x))), one = number(e, 1), zero = number(e, 0);
    Value numerator = emit_select(e, less(e, x, zero), t, one);
    return emit_div(e, numerator, emit_add(e, one, t));
}

Value math_softplus(Emit *e, Value x) {
    Value zero = number(e, 0), t = math_exp(e, negated(e, absolute(e, x)));
    Value positive = emit_select(e, less(e, x, zero), zero, x);
    return emit_add(e, positive, math_log1p(e, t));
}

#define CIRCULAR_LIMIT 1e6 /* up to there multiples of the first part of pi/2 are exact without a fused product too */

/* `near` where every lane of x is within the limit, else what libm says of all lanes: further out the two parts of pi/2
 * are too short. */
static Value beyond_limit(Emit *e, const char *name, Value x, Value near) {
    Value far = emit_compare(e, LLVMRealOGT, absolute(e, x), number(e, CIRCULAR_LIMIT));
    LLVMBasicBlockRef before = emit_here(e), library = emit_block(e, "far"), after = emit_block(e, "circular");
    LLVMTypeRef bits = LLVMIntTypeInContext(e->context, e->lanes);
    Value any = LLVMBuildICmp(e->builder, LLVMIntNE, LLVMBuildBitCast(e->builder, far, bits, ""),
                              LLVMConstInt(bits, 0, false), "");
    LLVMBuildCondBr(e->builder, any, library, after);
    emit_at(e, library);
    Value exact = each_lane(e, name, x, NULL);
    LLVMBuildBr(e->builder, after);
    emit_at(e, after);
    Value y = LLVMBuildPhi(e->builder, e->vector, "");
    LLVMAddIncoming(y, (Value[]){near, exact}, (LLVMBasicBlockRef[]){before, library}, 2);
    return y;
}

/* sin(x + quarter * pi/2) within the limit. */
static Value circular(Emit *e, Value x, uint32_t quarter) {
    const double shift = 6755399441055744.0; /* 1.5 * 2^52 */
    LLVMTypeRef f64 = LLVMDoubleTypeInContext(e->context), wide = LLVMVectorType(f64, e->lanes);
    LLVMTypeRef i64s = LLVMVectorType(e->i64, e->lanes);
    Value all[64];
#define WIDE(v)                                                                                                        \
    ({                                                                                                                 \
        for (uint32_t k = 0; k < e->lanes; k++) all[k] = LLVMConstReal(f64, v);                                        \
        LLVMConstVector(all, e->lanes);                                                                                \
    })
    Value xd = LLVMBuildFPExt(e->builder, x, wide, "");
    Value t = emit_fma(e, xd, WIDE(0.636619772367581343), WIDE(shift)), n = emit_sub(e, t, WIDE(shift));
    Value rd = emit_fma(e, n, WIDE(-1.57079632673412561417), xd); /* pi/2 in two parts, the first of 33 bits */
    rd = emit_fma(e, n, WIDE(-6.07710050650619224932e-11), rd);
#undef WIDE
    Value q = LLVMBuildTrunc(e->builder, LLVMBuildBitCast(e->builder, t, i64s, ""), e->index_vector, "");
    if (quarter) q = int_add(e, q, integers(e, quarter));
    Value r = LLVMBuildFPTrunc(e->builder, rd, e->vector, ""), z = emit_mul(e, r, r);
    Value s = emit_fma(e, emit_mul(e, polynomial(e, POLY_sin, z), z), r, r);
    Value c = emit_fma(e, z, number(e, -0.5), number(e, 1));
    c = emit_fma(e, emit_mul(e, polynomial(e, POLY_cos, z), z), z, c);
    Value odd =
        LLVMBuildICmp(e->builder, LLVMIntNE, LLVMBuildAnd(e->builder, q, integers(e, 1), ""), integers(e, 0), "");
    Value y = emit_select(e, odd, c, s);
    Value sign = LLVMBuildShl(e->builder, LLVMBuildAnd(e->builder, q, integers(e, 2), ""), integers(e, 30), "");
    return from_bits(e, LLVMBuildXor(e->builder, bits_of(e, y), sign, ""));
}

Value math_sin(Emit *e, Value x) {
    return inlined(e) ? beyond_limit(e, "sin", x, circular(e, x, 0)) : each_lane(e, "sin", x, NULL);
}
Value math_cos(Emit *e, Value x) {
    return inlined(e) ? beyond_limit(e, "cos", x, circular(e, x, 1)) : each_lane(e, "cos", x, NULL);
}
Value math_pow(Emit *e, Value a, Value b) { return each_lane(e, "pow", a, b); }
