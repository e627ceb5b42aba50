/* winograd_transform.c - pixels, products and cotangents of tiles to and from Winograd's points, as functions whose
 * arguments are the sizes: one each for all shapes.  Pixels outside the image are read as zeros and results outside it
 * are discarded, so no copy with a border is made. */
#include "lower_winograd.h"
#include <stdio.h>

/* ---- along one axis ---- */
static uint32_t results_of(bool whole) { return whole ? WINOGRAD_TILE : WINOGRAD_TILE - 2; }
static uint32_t taps_of(bool whole) { return whole ? WINOGRAD_TAPS : WINOGRAD_SHORT; }

/* B' applied to neighbouring pixels of a whole or a short tile: as many transformed ones.  Those of short tiles are
 * scaled so that they go with the weights of whole ones. */
static void transform_pixels(Emit *e, bool whole, const Value *d, Value *v) {
    const double a = WINOGRAD_FIRST, b = WINOGRAD_SECOND, aa = a * a, bb = b * b;
#define TIMES(number, x, y) emit_fma(e, emit_splat_constant(e, number), x, y)
    if (!whole) {
        Value scaled = emit_mul(e, emit_splat_constant(e, aa - bb), d[2]);
        v[0] = TIMES(aa * bb, d[0], emit_mul(e, emit_splat_constant(e, -bb), d[2]));
        v[1] = TIMES((aa - bb) * a, d[1], scaled);
        v[2] = TIMES((bb - aa) * a, d[1], scaled);
        v[3] = TIMES(-aa, d[1], d[3]);
        return;
    }
    v[0] = TIMES(aa * bb, d[0], TIMES(-(aa + bb), d[2], d[4]));
    v[3] = TIMES(aa * bb, d[1], TIMES(-(aa + bb), d[3], d[5]));
    for (uint32_t k = 0; k < 2; k++) { /* even and odd part of the polynomials of a pair of points */
        double point = k ? b : a, square = k ? aa : bb;
        Value even = TIMES(-square, d[2], d[4]), odd = TIMES(-square, d[1], d[3]);
        v[1 + 3 * k] = TIMES(point, odd, even);
        v[2 + 3 * k] = TIMES(-point, odd, even);
    }
}

/* A' applied to the products. */
static void transform_products(Emit *e, bool whole, const Value *v, Value *y) {
    const double a = WINOGRAD_FIRST, b = WINOGRAD_SECOND;
    Value sum = emit_add(e, v[1], v[2]), difference = emit_sub(e, v[1], v[2]);
    y[0] = emit_add(e, v[0], sum);
    if (!whole) {
        y[1] = TIMES(a, difference, v[3]);
        return;
    }
    Value sum_b = emit_add(e, v[4], v[5]), difference_b = emit_sub(e, v[4], v[5]);
    y[0] = emit_add(e, y[0], sum_b);
    y[1] = TIMES(a, difference, emit_mul(e, emit_splat_constant(e, b), difference_b));
    y[2] = TIMES(a * a, sum, emit_mul(e, emit_splat_constant(e, b * b), sum_b));
    y[3] = TIMES(a * a * a, difference, TIMES(b * b * b, difference_b, v[3]));
}

/* A applied to the cotangents of results. */
static void transform_cotangents(Emit *e, bool whole, const Value *y, Value *v) {
    const double a = WINOGRAD_FIRST, b = WINOGRAD_SECOND;
    v[0] = y[0];
    v[3] = y[whole ? 3 : 1];
    for (uint32_t k = 0; k < (whole ? 2 : 1); k++) {
        double point = k ? b : a;
        Value even = whole ? TIMES(point * point, y[2], y[0]) : y[0];
        Value odd = whole ? TIMES(point * point, y[3], y[1]) : y[1];
        v[1 + 3 * k] = TIMES(point, odd, even);
        v[2 + 3 * k] = TIMES(-point, odd, even);
    }
}

/* G' applied to the transformed taps. */
static void transform_taps(Emit *e, const Value *u, Value *w) {
    double g[SIDE][3];
    winograd_weights(g);
    for (uint32_t i = 0; i < 3; i++) { /* the points of a pair differ in the sign of their odd powers */
        Value first = i == 1 ? emit_sub(e, u[1], u[2]) : emit_add(e, u[1], u[2]);
        Value second = i == 1 ? emit_sub(e, u[4], u[5]) : emit_add(e, u[4], u[5]);
        w[i] = emit_mul(e, emit_splat_constant(e, g[1][i]), first);
        w[i] = TIMES(g[4][i], second, w[i]);
    }
    w[0] = TIMES(g[0][0], u[0], w[0]);
    w[2] = emit_add(e, w[2], u[3]);
}
#undef TIMES

/* ---- the transforms ---- */
typedef struct Transform {
    Emit *e;
    bool tall, wide; /* whole tiles, down and across; else short ones */
    Value p[T_COUNT];
    Loop down, across, vectors;
    Value row[SIDE], inside[SIDE]; /* addresses of the tile's rows; whether its columns are in the image */
    Value taps, mask[SIDE];        /* the tile's first tap; lanes of its columns */
} Transform;

static Value below(Emit *e, Value i, Value size) { return LLVMBuildICmp(e->builder, LLVMIntULT, i, size, ""); }

/* Opens the loops over tiles and vectors of channels, for tiles of down x across pixels. */
static void transform_begin(Transform *t, uint32_t down, uint32_t across) {
    Emit *e = t->e;
    Value zero = emit_i64(e, 0), one = emit_i64(e, 1), *p = t->p;
    for (uint32_t k = 0; k < T_COUNT; k++) p[k] = LLVMGetParam(e->function, k);
    loop_begin(&t->down, e, zero, p[T_ROWS], one, false);
    Value taps = loop_carry(&t->down, p[T_TAPS]);
    loop_begin(&t->across, e, zero, p[T_COLUMNS], one, false);
    t->taps = loop_carry(&t->across, taps);
    Value y = emit_index_add(e, emit_index_mul(e, t->down.index, WINOGRAD_TILE), p[T_TOP]);
    Value x = emit_index_add(e, emit_index_mul(e, t->across.index, WINOGRAD_TILE), p[T_LEFT]);
    for (uint32_t k = 0; k < down; k++) {
        Value at = emit_index_add(e, y, emit_i64(e, k));
        Value place = emit_index_add(e, emit_index_mul_value(e, at, p[T_WIDTH]), x);
        Value here = emit_offset(e, p[T_IMAGE], emit_index_mul_value(e, place, p[T_PIXEL]));
        t->row[k] = LLVMBuildSelect(e->builder, below(e, at, p[T_HEIGHT]), here, p[T_OUTSIDE], "");
    }
    for (uint32_t k = 0; k < across; k++) t->inside[k] = below(e, emit_index_add(e, x, emit_i64(e, k)), p[T_WIDTH]);
    loop_begin(&t->vectors, e, zero, p[T_CHANNELS], emit_i64(e, e->lanes), false);
    Value left =
        LLVMBuildTrunc(e->builder, LLVMBuildNSWSub(e->builder, p[T_CHANNELS], t->vectors.index, ""), e->i32, "");
    Value lanes = LLVMBuildICmp(e->builder, LLVMIntULT, emit_lane_indices(e), emit_splat(e, left), "");
    for (uint32_t k = 0; k < across; k++) t->mask[k] = LLVMBuildAnd(e->builder, lanes, emit_splat(e, t->inside[k]), "");
}

static void transform_end(Transform *t) {
    Emit *e = t->e;
    loop_end(&t->vectors);
    Value next = emit_offset(e, t->taps, t->p[T_TILE]);
    loop_next(&t->across, 0, next);
    loop_end(&t->across);
    loop_next(&t->down, 0, loop_result(&t->across, 0));
    loop_end(&t->down);
    LLVMBuildRetVoid(e->builder);
}

static Value pixel_address(const Transform *t, uint32_t i, uint32_t j) {
    Emit *e = t->e;
    Value at = emit_offset(e, t->row[i], emit_index_mul(e, t->p[T_PIXEL], j));
    return emit_element(e, at, t->vectors.index);
}

/* Address of tap (i, 0); the others of its row follow at distances of T_TAP. */
static Value tap_row(const Transform *t, uint32_t i) {
    Emit *e = t->e;
    return emit_element(e, emit_offset(e, t->taps, emit_index_mul(e, t->p[T_TAP], (uint64_t)i * SIDE)),
                        t->vectors.index);
}

/* Pixels, or cotangents, to their taps. */
static void to_taps(Transform *t, bool pixels) {
    Emit *e = t->e;
    uint32_t ndown = taps_of(t->tall), nacross = taps_of(t->wide), down = pixels ? ndown : results_of(t->tall),
             across = pixels ? nacross : results_of(t->wide);
    void (*along)(Emit * e, bool whole, const Value *d, Value *v) = pixels ? transform_pixels : transform_cotangents;
    Value half[SIDE][SIDE], d[SIDE], v[SIDE];
    transform_begin(t, down, across);
    for (uint32_t j = 0; j < across; j++) {
        for (uint32_t i = 0; i < down; i++) d[i] = emit_load_masked(e, pixel_address(t, i, j), t->mask[j]);
        along(e, t->tall, d, v);
        for (uint32_t i = 0; i < ndown; i++) half[i][j] = v[i];
    }
    for (uint32_t i = 0; i < ndown; i++) {
        Value at = tap_row(t, i);
        along(e, t->wide, half[i], v);
        for (uint32_t j = 0; j < nacross; j++) {
            emit_store_vector(e, v[j], at, e->lanes * e->real_bytes);
            at = emit_offset(e, at, t->p[T_TAP]);
        }
    }
    transform_end(t);
}

static void from_taps(Transform *t) {
    Emit *e = t->e;
    uint32_t down = taps_of(t->tall), across = taps_of(t->wide);
    Value half[SIDE][SIDE], at[SIDE], d[SIDE], v[SIDE];
    transform_begin(t, results_of(t->tall), results_of(t->wide));
    for (uint32_t i = 0; i < down; i++) at[i] = tap_row(t, i);
    for (uint32_t j = 0; j < across; j++) {
        for (uint32_t i = 0; i < down; i++) {
            d[i] = emit_load_vector(e, at[i], e->lanes * e->real_bytes);
            at[i] = emit_offset(e, at[i], t->p[T_TAP]);
        }
        transform_products(e, t->tall, d, v);
        for (uint32_t i = 0; i < results_of(t->tall); i++) half[i][j] = v[i];
    }
    for (uint32_t i = 0; i < results_of(t->tall); i++) {
        transform_products(e, t->wide, half[i], v);
        for (uint32_t j = 0; j < results_of(t->wide); j++)
            emit_store_masked(e, v[j], pixel_address(t, i, j), t->mask[j]);
    }
    transform_end(t);
}

Value winograd_transform(Emit *e, WinogradKind kind, bool tall, bool wide) {
    static const char *const names[] = {"pixels", "products", "cotangents"};
    char name[64];
    snprintf(name, sizeof name, "winograd_%s_%ux%u", names[kind], results_of(tall), results_of(wide));
    LLVMTypeRef params[T_COUNT];
    Aside aside;
    for (uint32_t k = 0; k < T_COUNT; k++) params[k] = k <= T_TAPS ? e->ptr : e->i64;
    Value f = emit_aside(e, name, e->none, params, T_COUNT, &aside);
    if (!aside.made) return f;
    Transform t = {.e = e, .tall = tall, .wide = wide};
    if (kind == WINOGRAD_PRODUCTS)
        from_taps(&t);
    else
        to_taps(&t, kind == WINOGRAD_PIXELS);
    emit_aside_end(e, &aside);
    return f;
}

/* ---- weights' cotangents ---- */
static void weights_body(Emit *e) {
    Value p[U_COUNT], half[3][SIDE], u[SIDE], w[3];
    for (uint32_t k = 0; k < U_COUNT; k++) p[k] = LLVMGetParam(e->function, k);
    Loop rows, columns;
    loop_begin(&rows, e, emit_i64(e, 0), p[U_ROWS], emit_i64(e, 1), false);
    loop_begin(&columns, e, emit_i64(e, 0), p[U_COLUMNS], emit_i64(e, e->lanes), false);
    Value left = LLVMBuildTrunc(e->builder, LLVMBuildNSWSub(e->builder, p[U_COLUMNS], columns.index, ""), e->i32, "");
    Value mask = LLVMBuildICmp(e->builder, LLVMIntULT, emit_lane_indices(e), emit_splat(e, left), "");
    Value at = emit_element(e, emit_offset(e, p[U_TAPS], emit_index_mul_value(e, rows.index, p[U_ROW])), columns.index);
    Value to = emit_offset(e, p[U_WEIGHTS], emit_index_mul_value(e, rows.index, p[U_TO_ROW]));
    to = emit_element(e, to, columns.index);
    for (uint32_t j = 0; j < SIDE; j++) {
        for (uint32_t i = 0; i < SIDE; i++) {
            Value from = emit_offset(e, at, emit_index_mul(e, p[U_TAP], (uint64_t)i * SIDE + j));
            u[i] = emit_load_vector(e, from, e->lanes * e->real_bytes);
        }
        transform_taps(e, u, w);
        for (uint32_t i = 0; i < 3; i++) half[i][j] = w[i];
    }
    for (uint32_t i = 0; i < 3; i++) {
        transform_taps(e, half[i], w);
        for (uint32_t j = 0; j < 3; j++) {
            emit_store_masked(e, emit_add(e, emit_load_masked(e, to, mask), w[j]), to, mask);
            to = emit_offset(e, to, p[U_TO_TAP]);
        }
    }
    loop_end(&columns);
    loop_end(&rows);
    LLVMBuildRetVoid(e->builder);
}

Value winograd_transform_weights(Emit *e) {
    LLVMTypeRef params[U_COUNT];
    Aside aside;
    for (uint32_t k = 0; k < U_COUNT; k++) params[k] = k <= U_WEIGHTS ? e->ptr : e->i64;
    Value f = emit_aside(e, "winograd_weights", e->none, params, U_COUNT, &aside);
    if (!aside.made) return f;
    weights_body(e);
    emit_aside_end(e, &aside);
    return f;
}
