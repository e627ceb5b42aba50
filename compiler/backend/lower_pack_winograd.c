/* lower_pack_winograd.c - pack_conv in Winograd's form: G g G' of every channel and filter, rounded once.
 *
 * What is done for a vector of filters is a function of the module, one for all shapes: it is long, and nets have many
 * shapes. */
#include "lower_winograd.h"

/* Packed weights of so many bytes are in no near cache any more when they are read. */
#define PAST_CACHES ((uint64_t)4 << 20)

/* Of each tap, that are transformed before they are written past the caches: all taps stay in the nearest cache. */
#define TOGETHER_BYTES 512

static uint64_t vector_bytes(const Emit *e) { return (uint64_t)e->lanes * e->real_bytes; }
static uint64_t panel_bytes(const Emit *e) { return (uint64_t)e->panel * e->real_bytes; }
static uint32_t line_lanes(const Emit *e) { return LINE_BYTES / e->real_bytes; }
static uint32_t line_vectors(const Emit *e) { return line_lanes(e) / e->lanes; }

/* ---- functions of the module; distances in bytes ---- */
enum { P_FROM, P_TO, P_FROM_TAP, P_TO_TAP, P_COUNT }; /* untransformed weights, transformed; from tap to tap of each */

/* Made when it is first asked for. */
static Value function_of(Emit *e, const char *name, void (*body)(Emit *e, const Value *p)) {
    Aside aside;
    Value f = emit_aside(e, name, e->none, (LLVMTypeRef[]){e->ptr, e->ptr, e->i64, e->i64}, P_COUNT, &aside),
          p[P_COUNT];
    if (!aside.made) return f;
    for (uint32_t k = 0; k < P_COUNT; k++) p[k] = LLVMGetParam(f, k);
    body(e, p);
    LLVMBuildRetVoid(e->builder);
    emit_aside_end(e, &aside);
    return f;
}

static Value constant_like(Value like, double value) {
    LLVMTypeRef type = LLVMTypeOf(like);
    if (LLVMGetTypeKind(type) != LLVMVectorTypeKind) return LLVMConstReal(type, value);
    Value all[64];
    const uint32_t n = LLVMGetVectorSize(type);
    for (uint32_t k = 0; k < n; k++) all[k] = LLVMConstReal(LLVMGetElementType(type), value);
    return LLVMConstVector(all, n);
}

/* A row of G times w.  Rows of opposite points begin with the same sum, which is computed once. */
static Value combination(Emit *e, const double g[3], const Value w[3]) {
    Value sum = NULL;
    for (uint32_t k = 0; k < 3; k++) {
        const uint32_t at = (uint32_t[]){0, 2, 1}[k];
        if (g[at] == 0) continue;
        Value factor = constant_like(w[at], g[at]);
        sum = sum ? emit_fma(e, factor, w[at], sum) : LLVMBuildFMul(e->builder, factor, w[at], "");
    }
    return sum;
}

/* G g G' of so many filters side by side, in double precision. */
static void transform(Emit *e, Value from, Value from_tap, Value to, Value to_tap, uint32_t filters) {
    LLVMTypeRef wide = LLVMDoubleTypeInContext(e->context), narrow = e->real;
    if (filters > 1) wide = LLVMVectorType(wide, filters), narrow = LLVMVectorType(narrow, filters);
    double g[SIDE][3];
    winograd_weights(g);
    Value w[3][3]; /* [column][row] */
    for (uint32_t k = 0; k < 9; k++) {
        Value v = LLVMBuildLoad2(e->builder, narrow, emit_offset(e, from, emit_index_mul(e, from_tap, k)), "");
        LLVMSetAlignment(v, e->real_bytes);
        w[k % 3][k / 3] = LLVMBuildFPExt(e->builder, v, wide, "");
    }
    for (uint32_t i = 0; i < SIDE; i++) {
        Value row[3];
        for (uint32_t b = 0; b < 3; b++) row[b] = combination(e, g[i], w[b]);
        for (uint32_t j = 0; j < SIDE; j++) {
            Value u = LLVMBuildFPTrunc(e->builder, combination(e, g[j], row), narrow, "");
            emit_store_vector(e, u, emit_offset(e, to, emit_index_mul(e, to_tap, i * SIDE + j)), e->real_bytes);
        }
    }
}

static void transform_one(Emit *e, const Value *p) { transform(e, p[P_FROM], p[P_FROM_TAP], p[P_TO], p[P_TO_TAP], 1); }

/* A vector of filters, as many at a time as it has doubles: more would not stay in the registers. */
static void transform_vector(Emit *e, const Value *p) {
    const uint32_t some = (uint32_t)vector_bytes(e) / 8;
    Loop loop;
    loop_begin(&loop, e, emit_i64(e, 0), emit_i64(e, e->lanes), emit_i64(e, some), false);
    transform(e, emit_element(e, p[P_FROM], loop.index), p[P_FROM_TAP], emit_element(e, p[P_TO], loop.index),
              p[P_TO_TAP], some);
    loop_end(&loop);
}

/* What was transformed, and lies together in each tap, past the caches. */
static void copy_past(Emit *e, const Value *p) {
    Loop tap, line;
    loop_count(&tap, e, SIDE * SIDE);
    Value from = emit_offset(e, p[P_FROM], emit_index_mul_value(e, tap.index, p[P_FROM_TAP]));
    Value to = emit_offset(e, p[P_TO], emit_index_mul_value(e, tap.index, p[P_TO_TAP]));
    loop_begin(&line, e, emit_i64(e, 0), p[P_FROM_TAP], emit_i64(e, LINE_BYTES), false);
    Value v = LLVMBuildLoad2(e->builder, LLVMVectorType(e->real, line_lanes(e)), emit_offset(e, from, line.index), "");
    LLVMSetAlignment(v, LINE_BYTES);
    emit_store_past(e, v, emit_offset(e, to, line.index));
    loop_end(&line);
    loop_end(&tap);
}

/* Two vectors as one of twice the numbers. */
static Value joined(Emit *e, Value low, Value high) {
    Value all[64];
    for (uint32_t k = 0; k < 2 * e->lanes; k++) all[k] = emit_i32(e, k);
    return LLVMBuildShuffleVector(e->builder, low, high, LLVMConstVector(all, 2 * e->lanes), "");
}

/* Of every tap a square of vectors, or as many as a line has vectors, each of which is transposed; its vectors go to the
 * rows of a panel, those of several squares side by side. */
static void transpose_squares(Emit *e, const Value *p, bool past) {
    const uint32_t side_by_side = past ? line_vectors(e) : 1;
    Value v[2][64];
    Loop tap;
    loop_count(&tap, e, SIDE * SIDE);
    Value from = emit_offset(e, p[P_FROM], emit_index_mul_value(e, tap.index, p[P_FROM_TAP]));
    Value to = emit_offset(e, p[P_TO], emit_index_mul_value(e, tap.index, p[P_TO_TAP]));
    for (uint32_t k = 0; k < side_by_side; k++) {
        for (uint32_t i = 0; i < e->lanes; i++, from = emit_offset_constant(e, from, vector_bytes(e)))
            v[k][i] = emit_load_vector(e, from, e->real_bytes);
        lower_transpose_square(e, v[k]);
    }
    for (uint32_t i = 0; i < e->lanes; i++) {
        Value at = emit_offset_constant(e, to, i * panel_bytes(e));
        if (past)
            emit_store_past(e, side_by_side == 2 ? joined(e, v[0][i], v[1][i]) : v[0][i], at);
        else
            emit_store_vector(e, v[0][i], at, e->real_bytes);
    }
    loop_end(&tap);
}

static void squares(Emit *e, const Value *p) { transpose_squares(e, p, false); }
static void squares_past(Emit *e, const Value *p) { transpose_squares(e, p, true); }

/* ---- one form of weights ---- */
typedef struct Transformed {
    Emit *e;
    const ConvPacking *p;
    Value from, to; /* weights, packed weights */
    uint32_t channels, filters;
    Value
        kept; /* by tap: of the adjoint a square of vectors, a channel each, or a line of squares; else rows of a panel */
} Transformed;

/* Where tap 0 of a channel and filter stands; the taps are packed_apart from each other. */
static Value packed_place(const Transformed *t, Value channel, Value filter) {
    Emit *e = t->e;
    const ConvPacking *p = t->p;
    Value column = p->adjoint ? channel : filter, inner = p->adjoint ? filter : channel;
    Value panel = LLVMBuildUDiv(e->builder, column, emit_i64(e, e->panel), "");
    Value lane = LLVMBuildURem(e->builder, column, emit_i64(e, e->panel), "");
    Value at = emit_index_add(e, emit_index_mul(e, panel, p->inner), inner);
    return emit_element(e, t->to, emit_index_add(e, emit_index_mul(e, at, e->panel), lane));
}

static uint64_t packed_apart(const Transformed *t) { return winograd_tap_bytes(t->e, t->p->columns, t->p->inner); }

/* One filter, or a vector of them, of a channel: to `to` and what follows it at distances of `apart`. */
static void transform_filters(const Transformed *t, bool vector, Value channel, Value filter, Value to,
                              uint64_t apart) {
    Emit *e = t->e;
    const uint64_t tap = (uint64_t)t->channels * t->filters * e->real_bytes;
    Value from = emit_element(e, t->from, emit_index_add(e, emit_index_mul(e, channel, t->filters), filter));
    if (t->p->adjoint) from = emit_offset_constant(e, from, 8 * tap); /* its taps stand the other way round */
    Value f =
        vector ? function_of(e, "winograd_pack", transform_vector) : function_of(e, "winograd_pack_one", transform_one);
    emit_call(e, f, (Value[]){from, to, emit_i64(e, t->p->adjoint ? -tap : tap), emit_i64(e, apart)}, P_COUNT);
}

/* Of the adjoint, a vector of filters of `some` channels from `first` on, which are neighbours there: through `kept`, whose
 * squares are transposed, so that whole vectors or lines are written. */
static void transform_squares(const Transformed *t, Value first, Value filter, uint32_t some, bool past) {
    Emit *e = t->e;
    const uint64_t square = e->lanes * vector_bytes(e), kept = past ? line_vectors(e) * square : square;
    Loop channel;
    if (some * vector_bytes(e) < kept) lower_zero(e, t->kept, SIDE * SIDE * kept);
    loop_count(&channel, e, some);
    transform_filters(t, true, emit_index_add(e, first, channel.index), filter,
                      emit_offset(e, t->kept, emit_index_mul(e, channel.index, vector_bytes(e))), kept);
    loop_end(&channel);
    Value args[P_COUNT] = {t->kept, packed_place(t, first, filter), emit_i64(e, kept), emit_i64(e, packed_apart(t))};
    emit_call(e,
              past ? function_of(e, "winograd_pack_squares_past", squares_past)
                   : function_of(e, "winograd_pack_squares", squares),
              args, P_COUNT);
}

/* Of the panel that begins at filter `first`, `rows` of its rows. */
static void transform_rows(const Transformed *t, Value first, Value row, uint32_t rows) {
    Emit *e = t->e;
    const uint64_t kept = rows * panel_bytes(e);
    Loop channel, vector;
    loop_count(&channel, e, rows);
    loop_count(&vector, e, e->panel / e->lanes);
    Value to = emit_offset(e, t->kept, emit_index_mul(e, channel.index, panel_bytes(e)));
    transform_filters(t, true, emit_index_add(e, row, channel.index),
                      emit_index_add(e, first, emit_index_mul(e, vector.index, e->lanes)),
                      emit_offset(e, to, emit_index_mul(e, vector.index, vector_bytes(e))), kept);
    loop_end(&vector);
    loop_end(&channel);
    emit_call(e, function_of(e, "winograd_pack_past", copy_past),
              (Value[]){t->kept, packed_place(t, row, first), emit_i64(e, kept), emit_i64(e, packed_apart(t))},
              P_COUNT);
}

static void transform_panel_past(const Transformed *t, Value first) {
    Emit *e = t->e;
    const uint32_t rows = TOGETHER_BYTES / (uint32_t)panel_bytes(e), whole = t->channels / rows,
                   rest = t->channels % rows;
    if (whole) {
        Loop some;
        loop_count(&some, e, whole);
        transform_rows(t, first, emit_index_mul(e, some.index, rows), rows);
        loop_end(&some);
    }
    if (rest) transform_rows(t, first, emit_i64(e, t->channels - rest), rest);
}

/* Of all rows of a panel, `count` columns from `first` on, whole vectors or lines of them: they are neighbours, as are
 * rows.  Of the adjoint, whose columns are channels, also a part of a vector. */
static void transform_columns(const Transformed *t, Value first, uint32_t count, bool past) {
    Emit *e = t->e;
    const uint32_t rows = t->p->adjoint ? t->filters / e->lanes : t->channels, most = past ? line_lanes(e) : e->lanes,
                   some = count < most ? count : most;
    Loop row, across;
    if (rows == 0) return;
    if (past && !t->p->adjoint) {
        transform_panel_past(t, first);
        return;
    }
    loop_count(&row, e, rows);
    loop_count(&across, e, count / some);
    Value at = emit_index_add(e, first, emit_index_mul(e, across.index, some));
    if (t->p->adjoint)
        transform_squares(t, at, emit_index_mul(e, row.index, e->lanes), some, past);
    else
        transform_filters(t, true, row.index, at, packed_place(t, row.index, at), packed_apart(t));
    loop_end(&across);
    loop_end(&row);
}

static void transform_weights(const Transformed *t, uint64_t count, bool past) {
    Emit *e = t->e;
    const uint32_t columns = t->p->adjoint ? t->channels : t->filters, whole = columns / e->panel;
    const uint32_t left = columns % e->panel, part = left % e->lanes, rest = t->filters % e->lanes;
    Loop panel, channel, filter;
    if (left)
        lower_zero(e, t->to, padded(count * e->real_bytes));
    else
        emit_zero_padding(e, t->to, count);
    if (whole) {
        loop_count(&panel, e, whole);
        transform_columns(t, emit_index_mul(e, panel.index, e->panel), e->panel, past);
        loop_end(&panel);
    }
    if (past) emit_past_end(e);
    if (left > part) transform_columns(t, emit_i64(e, whole * e->panel), left - part, false);
    if (t->p->adjoint && part) transform_columns(t, emit_i64(e, columns - part), part, false);
    if (!rest) return;
    loop_count(&channel, e, t->channels);
    loop_count(&filter, e, rest);
    Value at = emit_index_add(e, filter.index, emit_i64(e, t->filters - rest));
    transform_filters(t, false, channel.index, at, packed_place(t, channel.index, at), packed_apart(t));
    loop_end(&filter);
    loop_end(&channel);
}

void lower_pack_winograd(const Site *s, const ConvPacking *p) {
    Emit *e = s->l->e;
    Transformed t = {.e = e,
                     .p = p,
                     .from = lower_argument_row(s, 0),
                     .to = lower_result_row(s),
                     .channels = s->node->shape.dims[2],
                     .filters = s->node->shape.dims[3]};
    const uint64_t count = conv_packed_count(p, e->panel);
    const bool past = count * e->real_bytes >= PAST_CACHES && panel_bytes(e) % LINE_BYTES == 0;
    const uint64_t squares = past ? line_vectors(e) : 1, kept = p->adjoint ? squares * e->lanes * vector_bytes(e)
                                                                : past     ? TOGETHER_BYTES
                                                                           : 0;
    if (kept) t.kept = emit_alloca(e, e->i8, emit_i32(e, SIDE * SIDE * (uint32_t)kept), DEQ_ALIGN);
    transform_weights(&t, count, past);
}
