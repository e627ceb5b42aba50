/* lower_pack_winograd.c - pack_conv in Winograd's form: G g G' of every channel and filter, rounded once.
 *
 * What is done for a vector of filters is a function of the module, one for all shapes: it is long, and nets have many
 * shapes. */
#include "lower_winograd.h"

/* Packed weights of so many bytes are in no near cache any more when they are read. */
#define PAST_CACHES ((uint64_t)4 << 20)

static uint64_t vector_bytes(const Emit *e) { return (uint64_t)e->lanes * e->real_bytes; }

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

static Value constant_like(LLVMTypeRef type, double value) {
    if (LLVMGetTypeKind(type) != LLVMVectorTypeKind) return LLVMConstReal(type, value);
    Value all[64];
    const uint32_t n = LLVMGetVectorSize(type);
    for (uint32_t k = 0; k < n; k++) all[k] = LLVMConstReal(LLVMGetElementType(type), value);
    return LLVMConstVector(all, n);
}

typedef enum Written {
    ONE,    /* a number */
    VECTOR, /* a vector of numbers */
    PAST    /* the same, past the caches */
} Written;

static void store_vector(Emit *e, Value v, Value to, Written how) {
    if (how == PAST)
        emit_store_past(e, v, to);
    else
        emit_store_vector(e, v, to, e->real_bytes);
}

/* G g G' of one filter, or of a vector of them, in double precision. */
static void transform(Emit *e, const Value *p, Written how) {
    const bool vector = how != ONE;
    LLVMTypeRef wide = LLVMDoubleTypeInContext(e->context);
    if (vector) wide = LLVMVectorType(wide, e->lanes);
    double g[SIDE][3];
    winograd_weights(g);
    Value w[3][3], half[SIDE][3], zero = constant_like(wide, 0), to = p[P_TO];
    for (uint32_t k = 0; k < 9; k++) {
        Value at = emit_offset(e, p[P_FROM], emit_index_mul(e, p[P_FROM_TAP], k));
        Value v = vector ? emit_load_vector(e, at, e->real_bytes) : emit_load(e, at);
        w[k / 3][k % 3] = LLVMBuildFPExt(e->builder, v, wide, "");
    }
    for (uint32_t i = 0; i < SIDE; i++) {
        for (uint32_t b = 0; b < 3; b++) {
            half[i][b] = zero;
            for (uint32_t a = 0; a < 3; a++)
                if (g[i][a] != 0) half[i][b] = emit_fma(e, constant_like(wide, g[i][a]), w[a][b], half[i][b]);
        }
    }
    for (uint32_t i = 0; i < SIDE; i++) {
        for (uint32_t j = 0; j < SIDE; j++) {
            Value u = zero;
            for (uint32_t b = 0; b < 3; b++)
                if (g[j][b] != 0) u = emit_fma(e, constant_like(wide, g[j][b]), half[i][b], u);
            u = LLVMBuildFPTrunc(e->builder, u, vector ? e->vector : e->real, "");
            if (vector)
                store_vector(e, u, to, how);
            else
                emit_store(e, u, to);
            to = emit_offset(e, to, p[P_TO_TAP]);
        }
    }
}

static void transform_one(Emit *e, const Value *p) { transform(e, p, ONE); }
static void transform_vector(Emit *e, const Value *p) { transform(e, p, VECTOR); }
static void transform_past(Emit *e, const Value *p) { transform(e, p, PAST); }

/* Of every tap a square of vectors, which is transposed; its vectors go to the rows of a panel. */
static void transpose_squares(Emit *e, const Value *p, Written how) {
    Value v[64];
    Loop tap;
    loop_count(&tap, e, SIDE * SIDE);
    Value from = emit_offset(e, p[P_FROM], emit_index_mul_value(e, tap.index, p[P_FROM_TAP]));
    Value to = emit_offset(e, p[P_TO], emit_index_mul_value(e, tap.index, p[P_TO_TAP]));
    for (uint32_t i = 0; i < e->lanes; i++)
        v[i] = emit_load_vector(e, emit_offset_constant(e, from, i * vector_bytes(e)), e->real_bytes);
    lower_transpose_square(e, v);
    for (uint32_t i = 0; i < e->lanes; i++)
        store_vector(e, v[i], emit_offset_constant(e, to, (uint64_t)i * e->panel * e->real_bytes), how);
    loop_end(&tap);
}

static void squares(Emit *e, const Value *p) { transpose_squares(e, p, VECTOR); }
static void squares_past(Emit *e, const Value *p) { transpose_squares(e, p, PAST); }

/* ---- one form of weights ---- */
typedef struct Transformed {
    Emit *e;
    const ConvPacking *p;
    Value from, to; /* weights, packed weights */
    uint32_t channels, filters;
    Value kept; /* of the adjoint: by tap a square of vectors, a channel each */
    bool past;  /* packed weights are written past the caches */
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
static void transform_filters(const Transformed *t, Written how, Value channel, Value filter, Value to,
                              uint64_t apart) {
    Emit *e = t->e;
    const uint64_t tap = (uint64_t)t->channels * t->filters * e->real_bytes;
    Value from = emit_element(e, t->from, emit_index_add(e, emit_index_mul(e, channel, t->filters), filter));
    if (t->p->adjoint) from = emit_offset_constant(e, from, 8 * tap); /* its taps stand the other way round */
    Value f = how == PAST     ? function_of(e, "winograd_pack_past", transform_past)
              : how == VECTOR ? function_of(e, "winograd_pack", transform_vector)
                              : function_of(e, "winograd_pack_one", transform_one);
    emit_call(e, f, (Value[]){from, to, emit_i64(e, t->p->adjoint ? -tap : tap), emit_i64(e, apart)}, P_COUNT);
}

/* Of the adjoint, a vector of filters of `some` channels from `first` on, which are neighbours there: through `kept`, whose
 * squares are transposed, so that whole vectors are written. */
static void transform_square(const Transformed *t, Value first, Value filter, uint32_t some) {
    Emit *e = t->e;
    const uint64_t square = e->lanes * vector_bytes(e);
    Loop channel;
    if (some < e->lanes) lower_zero(e, t->kept, SIDE * SIDE * square);
    loop_count(&channel, e, some);
    transform_filters(t, VECTOR, emit_index_add(e, first, channel.index), filter,
                      emit_offset(e, t->kept, emit_index_mul(e, channel.index, vector_bytes(e))), square);
    loop_end(&channel);
    Value args[P_COUNT] = {t->kept, packed_place(t, first, filter), emit_i64(e, square), emit_i64(e, packed_apart(t))};
    emit_call(e,
              t->past ? function_of(e, "winograd_pack_squares_past", squares_past)
                      : function_of(e, "winograd_pack_squares", squares),
              args, P_COUNT);
}

/* Of all rows of a panel, `across` vectors of columns from `first` on: they are neighbours, as are rows.  Of the adjoint,
 * whose columns are channels, only `some` of the last vector. */
static void transform_columns(const Transformed *t, Value first, uint32_t across, uint32_t some) {
    Emit *e = t->e;
    const uint32_t rows = t->p->adjoint ? t->filters / e->lanes : t->channels;
    Loop row, vector;
    if (rows == 0) return;
    loop_count(&row, e, rows);
    loop_count(&vector, e, across);
    Value at = emit_index_add(e, first, emit_index_mul(e, vector.index, e->lanes));
    if (t->p->adjoint)
        transform_square(t, at, emit_index_mul(e, row.index, e->lanes), some);
    else
        transform_filters(t, t->past ? PAST : VECTOR, row.index, at, packed_place(t, row.index, at), packed_apart(t));
    loop_end(&vector);
    loop_end(&row);
}

static void transform_weights(Transformed *t) {
    Emit *e = t->e;
    const uint64_t count = conv_packed_count(t->p, e->panel);
    const uint32_t columns = t->p->adjoint ? t->channels : t->filters, whole = columns / e->panel;
    const uint32_t left = columns % e->panel, rest = t->filters % e->lanes;
    Loop panel, channel, filter;
    if (left)
        lower_zero(e, t->to, padded(count * e->real_bytes));
    else
        emit_zero_padding(e, t->to, count);
    t->past = count * e->real_bytes >= PAST_CACHES;
    if (whole) {
        loop_count(&panel, e, whole);
        transform_columns(t, emit_index_mul(e, panel.index, e->panel), e->panel / e->lanes, e->lanes);
        loop_end(&panel);
    }
    if (left >= e->lanes) transform_columns(t, emit_i64(e, whole * e->panel), left / e->lanes, e->lanes);
    if (t->p->adjoint && left % e->lanes)
        transform_columns(t, emit_i64(e, columns - left % e->lanes), 1, left % e->lanes);
    if (t->past) emit_past_end(e);
    if (!rest) return;
    loop_count(&channel, e, t->channels);
    loop_count(&filter, e, rest);
    Value at = emit_index_add(e, filter.index, emit_i64(e, t->filters - rest));
    transform_filters(t, ONE, channel.index, at, packed_place(t, channel.index, at), packed_apart(t));
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
    if (p->adjoint) t.kept = emit_alloca(e, e->vector, emit_i32(e, SIDE * SIDE * e->lanes), DEQ_ALIGN);
    transform_weights(&t);
}
