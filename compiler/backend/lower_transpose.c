/* lower_transpose.c - transposes in registers: squares of as many vectors as a vector has lanes. */
#include "lower.h"

/* Exchanges halves, then quarters, and so on. */
void lower_transpose_square(Emit *e, Value *rows) {
    Value keep[64], take[64];
    for (uint32_t w = e->lanes / 2; w > 0; w /= 2) {
        for (uint32_t lane = 0; lane < e->lanes; lane++) {
            keep[lane] = emit_i32(e, lane & w ? e->lanes + (lane ^ w) : lane);
            take[lane] = emit_i32(e, lane & w ? e->lanes + lane : lane | w);
        }
        Value low = LLVMConstVector(keep, e->lanes), high = LLVMConstVector(take, e->lanes);
        for (uint32_t i = 0; i < e->lanes; i++) {
            if (i & w) continue;
            Value a = rows[i], b = rows[i | w];
            rows[i] = LLVMBuildShuffleVector(e->builder, a, b, low, "");
            rows[i | w] = LLVMBuildShuffleVector(e->builder, a, b, high, "");
        }
    }
}

enum { /* arguments; distances in bytes */
       S_RUNS,
       S_OTHER,
       S_COUNT, /* of runs, in whole squares */
       S_RUN,   /* elements of a run, likewise */
       S_APART, /* from run to run */
       S_INNER, /* elements of a run that follow each other at S_STEP on the other side */
       S_STEP,
       S_JUMP, /* from the last of those to the next one */
       S_ALL
};

/* One square: of runs n.. on, the elements at.. on, which stand at other[..] on the other side. */
static void move_square(Emit *e, const Value *p, Value n, Value at, const Value *other, bool read) {
    Value v[64], runs[64], beside[64];
    Value row = emit_offset(e, p[S_RUNS], emit_index_mul(e, at, e->real_bytes));
    for (uint32_t k = 0; k < e->lanes; k++) {
        Value run = emit_index_add(e, n, emit_i64(e, k));
        runs[k] = emit_offset(e, row, emit_index_mul_value(e, run, p[S_APART]));
        beside[k] = emit_element(e, emit_offset(e, p[S_OTHER], other[k]), n);
    }
    for (uint32_t k = 0; k < e->lanes; k++) v[k] = emit_load_vector(e, read ? runs[k] : beside[k], e->real_bytes);
    lower_transpose_square(e, v);
    for (uint32_t k = 0; k < e->lanes; k++) emit_store_vector(e, v[k], read ? beside[k] : runs[k], e->real_bytes);
}

static void move_squares(Emit *e, const Value *p, bool read) {
    Value zero = emit_i64(e, 0), one = emit_i64(e, 1), lanes = emit_i64(e, e->lanes), other[64];
    Loop n, at;
    loop_begin(&n, e, zero, p[S_COUNT], lanes, false);
    loop_begin(&at, e, zero, p[S_RUN], lanes, false);
    Value place = loop_carry(&at, zero), inner = loop_carry(&at, zero);
    for (uint32_t k = 0; k < e->lanes; k++) {
        other[k] = place;
        inner = emit_index_add(e, inner, one);
        Value last = LLVMBuildICmp(e->builder, LLVMIntEQ, inner, p[S_INNER], "");
        place = emit_index_add(e, place, emit_select(e, last, p[S_JUMP], p[S_STEP]));
        inner = emit_select(e, last, zero, inner);
    }
    move_square(e, p, n.index, at.index, other, read);
    loop_next(&at, 0, place);
    loop_next(&at, 1, inner);
    loop_end(&at);
    loop_end(&n);
}

void lower_squares(Emit *e, const Squares *s) {
    const uint64_t count = s->count / e->lanes * e->lanes, run = s->run / e->lanes * e->lanes;
    LLVMTypeRef types[S_ALL] = {e->ptr, e->ptr, e->i64, e->i64, e->i64, e->i64, e->i64, e->i64};
    Value args[S_ALL] = {s->runs,
                         s->other,
                         emit_i64(e, count),
                         emit_i64(e, run),
                         emit_i64(e, s->apart),
                         emit_i64(e, s->inner),
                         emit_i64(e, s->step),
                         emit_i64(e, s->outer_step - (s->inner - 1) * s->step)},
          p[S_ALL];
    Aside aside;
    if (count == 0 || run == 0) return;
    Value f = emit_aside(e, s->read ? "squares_of_runs" : "squares_to_runs", e->none, types, S_ALL, &aside);
    if (aside.made) {
        for (uint32_t k = 0; k < S_ALL; k++) p[k] = LLVMGetParam(f, k);
        move_squares(e, p, s->read);
        LLVMBuildRetVoid(e->builder);
        emit_aside_end(e, &aside);
    }
    emit_call(e, f, args, S_ALL);
}
