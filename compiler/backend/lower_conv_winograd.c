/* lower_conv_winograd.c - 3 x 3 convolutions and their adjoints in Winograd's form (compiler/winograd.h).
 *
 * A slice of tiles at a time: pixels are transformed (V = B' d B, by channel), for each of the 6 x 6 taps the tiles are
 * the rows of a product with the transformed weights of the tap, and the products are transformed back (y = A' M A, by
 * filter).  The transforms are one function each for all shapes, whose arguments are the sizes.  Pixels outside the
 * image are read as zeros and results outside it are discarded, so no copy with a border is made.  A tile's bits depend
 * on its pixels only. */
#include "compiler/winograd.h"
#include "conv_plan.h"
#include "lower.h"
#include <stdio.h>

#define SIDE WINOGRAD_TAPS

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
#undef TIMES
}

/* ---- the transforms ---- */
enum {
    T_IMAGE,
    T_ZEROS,
    T_TAPS,
    T_HEIGHT,
    T_WIDTH,
    T_CHANNELS,
    T_TOP,
    T_LEFT,
    T_ROWS,
    T_COLUMNS,
    T_TILE,
    T_TAP,
    T_COUNT
};

typedef struct Transform {
    Emit *e;
    bool tall, wide; /* whole tiles, down and across; else short ones */
    Value p[T_COUNT];
    Loop down, across, vectors;
    Value row[SIDE], inside[SIDE]; /* addresses of the tile's rows; whether its columns are in the image */
    Value pixel, taps, mask[SIDE]; /* bytes of a pixel; the tile's first tap; lanes of its columns */
} Transform;

static Value below(Emit *e, Value i, Value size) { return LLVMBuildICmp(e->builder, LLVMIntULT, i, size, ""); }

/* Opens the loops over tiles and vectors of channels, for tiles of down x across pixels. */
static void transform_begin(Transform *t, uint32_t down, uint32_t across) {
    Emit *e = t->e;
    Value zero = emit_i64(e, 0), one = emit_i64(e, 1), *p = t->p;
    for (uint32_t k = 0; k < T_COUNT; k++) p[k] = LLVMGetParam(e->function, k);
    t->pixel = emit_index_mul(e, p[T_CHANNELS], e->real_bytes);
    loop_begin(&t->down, e, zero, p[T_ROWS], one, false);
    Value taps = loop_carry(&t->down, p[T_TAPS]);
    loop_begin(&t->across, e, zero, p[T_COLUMNS], one, false);
    t->taps = loop_carry(&t->across, taps);
    Value y = emit_index_add(e, emit_index_mul(e, t->down.index, WINOGRAD_TILE), p[T_TOP]);
    Value x = emit_index_add(e, emit_index_mul(e, t->across.index, WINOGRAD_TILE), p[T_LEFT]);
    for (uint32_t k = 0; k < down; k++) {
        Value at = emit_index_add(e, y, emit_i64(e, k));
        Value place = emit_index_add(e, emit_index_mul_value(e, at, p[T_WIDTH]), x);
        Value here = emit_offset(e, p[T_IMAGE], emit_index_mul_value(e, place, t->pixel));
        t->row[k] = LLVMBuildSelect(e->builder, below(e, at, p[T_HEIGHT]), here, p[T_ZEROS], "");
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
    Value at = emit_offset(e, t->row[i], emit_index_mul(e, t->pixel, j));
    return emit_element(e, at, t->vectors.index);
}

/* Address of tap (i, 0); the others of its row follow at distances of T_TAP. */
static Value tap_row(const Transform *t, uint32_t i) {
    Emit *e = t->e;
    return emit_element(e, emit_offset(e, t->taps, emit_index_mul(e, t->p[T_TAP], (uint64_t)i * SIDE)),
                        t->vectors.index);
}

static void pixels_body(Transform *t) {
    Emit *e = t->e;
    uint32_t down = taps_of(t->tall), across = taps_of(t->wide);
    Value half[SIDE][SIDE], d[SIDE], v[SIDE];
    transform_begin(t, down, across);
    for (uint32_t j = 0; j < across; j++) {
        for (uint32_t i = 0; i < down; i++) d[i] = emit_load_masked(e, pixel_address(t, i, j), t->mask[j]);
        transform_pixels(e, t->tall, d, v);
        for (uint32_t i = 0; i < down; i++) half[i][j] = v[i];
    }
    for (uint32_t i = 0; i < down; i++) {
        Value at = tap_row(t, i);
        transform_pixels(e, t->wide, half[i], v);
        for (uint32_t j = 0; j < across; j++) {
            emit_store_vector(e, v[j], at, e->lanes * e->real_bytes);
            at = emit_offset(e, at, t->p[T_TAP]);
        }
    }
    transform_end(t);
}

static void products_body(Transform *t) {
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

static Value transform(Emit *e, bool pixels, bool tall, bool wide) {
    char name[64];
    snprintf(name, sizeof name, "winograd_%s_%ux%u", pixels ? "pixels" : "products", results_of(tall),
             results_of(wide));
    Value f = LLVMGetNamedFunction(e->module, name), outer = e->function;
    if (f) return f;
    LLVMBasicBlockRef here = emit_here(e);
    LLVMTypeRef params[T_COUNT];
    for (uint32_t k = 0; k < T_COUNT; k++) params[k] = k <= T_TAPS ? e->ptr : e->i64;
    f = emit_function(e, name, e->none, params, T_COUNT);
    LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, e->noinline);
    Transform t = {.e = e, .tall = tall, .wide = wide};
    if (pixels)
        pixels_body(&t);
    else
        products_body(&t);
    e->function = outer;
    emit_at(e, here);
    return f;
}

/* ---- conv and conv_input ---- */
enum { W_IMAGE, W_WEIGHTS, W_RESULT, W_WORK, W_COUNT };

typedef struct Slice {
    Emit *e;
    const WinogradPlan *p;
    Value args[W_COUNT], first; /* first row of tiles */
    uint32_t rows;              /* of whole tiles */
    bool last;                  /* with the row of short tiles, if there is one */
} Slice;

/* Tiles stand in the order: of the short column, whole ones, of the short row, the corner.  So those that have a tap
 * stand side by side, whether it is one of whole tiles only, down or across. */
static uint64_t tiles_of(const Slice *s, bool tall, bool wide) {
    const WinogradPlan *p = s->p;
    uint64_t rows = tall ? s->rows : s->last && p->short_row;
    return rows * (wide ? p->columns : p->short_column);
}

static uint64_t first_tile(const Slice *s, bool tall, bool wide) {
    uint64_t before = 0;
    if (tall && !wide) return 0;
    before += tiles_of(s, true, false);
    if (tall) return before;
    before += tiles_of(s, true, true);
    return wide ? before : before + tiles_of(s, false, true);
}

/* All pixels or all products of a slice. */
static void transform_slice(const Slice *s, bool pixels) {
    const WinogradPlan *p = s->p;
    Emit *e = s->e;
    int64_t before = pixels ? p->before : 0;
    for (int kind = 0; kind < 4; kind++) {
        bool tall = kind < 2, wide = kind % 2 == 0;
        if (!tiles_of(s, tall, wide)) continue;
        Value row = tall ? s->first : emit_i64(e, p->rows);
        Value top =
            LLVMBuildNSWSub(e->builder, emit_index_mul(e, row, WINOGRAD_TILE), emit_i64(e, (uint64_t)before), "");
        int64_t left = (wide ? 0 : (int64_t)p->columns * WINOGRAD_TILE) - before;
        uint64_t tile = pixels ? p->v_tile : p->m_tile, at = first_tile(s, tall, wide) * tile;
        Value args[T_COUNT] = {s->args[pixels ? W_IMAGE : W_RESULT],
                               emit_offset_constant(e, s->args[W_WORK], pixels ? 0 : p->discard),
                               emit_offset_constant(e, s->args[W_WORK], (pixels ? p->v : p->products) + at),
                               emit_i64(e, pixels ? p->height : p->out_height),
                               emit_i64(e, pixels ? p->width : p->out_width),
                               emit_i64(e, pixels ? p->channels : p->filters),
                               top,
                               emit_i64(e, (uint64_t)left),
                               emit_i64(e, tall ? s->rows : 1),
                               emit_i64(e, wide ? p->columns : 1),
                               emit_i64(e, tile),
                               emit_i64(e, pixels ? p->v_tap : p->m_tap)};
        emit_call(e, transform(e, pixels, tall, wide), args, T_COUNT);
    }
}

/* Products of taps (down, across) and the following: `ndown` rows of `nacross`, of `tiles` tiles from `first` on. */
static void multiply(const Slice *s, uint32_t down, uint32_t ndown, uint32_t across, uint32_t nacross, uint64_t first,
                     uint64_t tiles) {
    const WinogradPlan *p = s->p;
    Emit *e = s->e;
    uint64_t tap_bytes = (uint64_t)p->channels * e->panel * e->real_bytes;
    if (!tiles) return;
    Loop rows, columns;
    loop_count(&rows, e, ndown);
    loop_count(&columns, e, nacross);
    Value tap = emit_index_add(e, emit_index_mul(e, rows.index, SIDE), columns.index);
    tap = emit_index_add(e, tap, emit_i64(e, down * SIDE + across));
    Value v = emit_offset_constant(e, s->args[W_WORK], p->v + first * p->v_tile);
    Value products = emit_offset_constant(e, s->args[W_WORK], p->products + first * p->m_tile);
    Product product = {.a = emit_offset(e, v, emit_index_mul(e, tap, p->v_tap)),
                       .a_row = emit_i64(e, p->v_tile),
                       .a_step = emit_i64(e, e->real_bytes),
                       .b = emit_offset(e, s->args[W_WEIGHTS], emit_index_mul(e, tap, tap_bytes)),
                       .b_panel = emit_i64(e, SIDE * SIDE * tap_bytes),
                       .b_step = emit_i64(e, (uint64_t)e->panel * e->real_bytes),
                       .c = emit_offset(e, products, emit_index_mul(e, tap, p->m_tap)),
                       .c_row = emit_i64(e, p->m_tile),
                       .k = emit_i64(e, p->channels),
                       .columns = p->filters};
    product_tiles(e, product, tiles);
    loop_end(&columns);
    loop_end(&rows);
}

static void run_slice(const Slice *s) {
    const uint32_t all = WINOGRAD_SHORT, more = WINOGRAD_TAPS - WINOGRAD_SHORT;
    uint64_t column = tiles_of(s, true, false), whole = tiles_of(s, true, true), row = tiles_of(s, false, true),
             corner = tiles_of(s, false, false);
    transform_slice(s, true);
    if (column + row + corner == 0) {
        multiply(s, 0, SIDE, 0, SIDE, 0, whole);
    } else {
        multiply(s, 0, all, 0, all, 0, column + whole + row + corner);
        multiply(s, 0, all, all, more, column, whole + row);
        multiply(s, all, more, 0, all, 0, column + whole);
        multiply(s, all, more, all, more, column, whole);
    }
    transform_slice(s, false);
}

/* The whole of one shape and direction: image, weights, result, workspace. */
static Value convolution(Emit *e, const WinogradPlan *p) {
    char name[128];
    snprintf(name, sizeof name, "winograd_%ux%ux%u_%ux%ux%u_%d", p->height, p->width, p->channels, p->out_height,
             p->out_width, p->filters, (int)p->before);
    Value f = LLVMGetNamedFunction(e->module, name), outer = e->function;
    if (f) return f;
    LLVMBasicBlockRef here = emit_here(e);
    f = emit_function(e, name, e->none, (LLVMTypeRef[]){e->ptr, e->ptr, e->ptr, e->ptr}, W_COUNT);
    LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, e->noinline);
    Slice s = {.e = e, .p = p, .rows = p->slice};
    for (uint32_t k = 0; k < W_COUNT; k++) s.args[k] = LLVMGetParam(f, k);
    emit_zero_padding(e, s.args[W_RESULT], (uint64_t)p->out_height * p->out_width * p->filters);
    lower_zero(e, s.args[W_WORK], p->discard);
    uint32_t full =
        p->slice ? (p->rows - p->short_row) / p->slice : 0; /* the short row is not alone in the last slice */
    if (full) {
        Loop slices;
        loop_count(&slices, e, full);
        s.first = emit_index_mul(e, slices.index, p->slice);
        run_slice(&s);
        loop_end(&slices);
    }
    s.first = emit_i64(e, (uint64_t)full * p->slice);
    s.rows = p->rows - full * p->slice;
    s.last = true;
    if (s.rows || p->short_row) run_slice(&s);
    LLVMBuildRetVoid(e->builder);
    e->function = outer;
    emit_at(e, here);
    return f;
}

void lower_conv_winograd(const Site *s) {
    Lower *l = s->l;
    Emit *e = l->e;
    ConvShape c;
    const char *why = conv_shape(s->node->op, &s->node->attr, lower_argument_shape(l, s->id, 0),
                                 lower_argument_shape(l, s->id, 1), &c);
    if (why) ICE("%s: %s", l->routine->routine->name, why);
    WinogradPlan p = winograd_plan(s->node->op, &c, e->real_bytes, e->panel);
    uint32_t buffer = l->step->groups[l->step->nodes[s->id].group]->workspace;
    Value args[W_COUNT] = {lower_argument_row(s, 0), lower_argument_row(s, 1), lower_result_row(s),
                           lower_slot(l, (Slot){SLOT_BUFFER, buffer, 0, 0}, s->row)};
    emit_call(e, convolution(e, &p), args, W_COUNT);
}

/* ---- pack_conv: G g G' of every channel and filter, rounded once ---- */
void lower_pack_winograd(const Site *s, const ConvPacking *p) {
    Emit *e = s->l->e;
    LLVMTypeRef wide = LLVMDoubleTypeInContext(e->context);
    uint32_t n = SIDE, channels = s->node->shape.dims[2], filters = s->node->shape.dims[3];
    double g[SIDE][3];
    winograd_weights(g);
    Value x = lower_argument_row(s, 0), y = lower_result_row(s), w[3][3], half[SIDE][3];
    lower_zero(e, y, padded(conv_packed_count(p, e->panel) * e->real_bytes));
    Loop channel, filter;
    loop_count(&channel, e, channels);
    loop_count(&filter, e, filters);
    Value from = emit_element(e, x, emit_index_add(e, emit_index_mul(e, channel.index, filters), filter.index));
    for (uint32_t k = 0; k < 9; k++) {
        uint32_t tap = p->adjoint ? 8 - k : k;
        Value v = emit_load(e, emit_offset_constant(e, from, (uint64_t)tap * channels * filters * e->real_bytes));
        w[k / 3][k % 3] = LLVMBuildFPExt(e->builder, v, wide, "");
    }
    Value column = p->adjoint ? channel.index : filter.index, inner = p->adjoint ? filter.index : channel.index;
    Value panel = LLVMBuildUDiv(e->builder, column, emit_i64(e, e->panel), "");
    Value lane = LLVMBuildURem(e->builder, column, emit_i64(e, e->panel), "");
    Value at = emit_index_add(e, emit_index_mul(e, panel, (uint64_t)p->taps * p->inner), inner);
    at = emit_element(e, y, emit_index_add(e, emit_index_mul(e, at, e->panel), lane));
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t b = 0; b < 3; b++) {
            half[i][b] = LLVMConstReal(wide, 0);
            for (uint32_t a = 0; a < 3; a++)
                if (g[i][a] != 0) half[i][b] = emit_fma(e, LLVMConstReal(wide, g[i][a]), w[a][b], half[i][b]);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < n; j++) {
            Value u = LLVMConstReal(wide, 0);
            for (uint32_t b = 0; b < 3; b++)
                if (g[j][b] != 0) u = emit_fma(e, LLVMConstReal(wide, g[j][b]), half[i][b], u);
            Value to = emit_offset_constant(e, at, (uint64_t)(i * n + j) * p->inner * e->panel * e->real_bytes);
            emit_store(e, LLVMBuildFPTrunc(e->builder, u, e->real, ""), to);
        }
    }
    loop_end(&filter);
    loop_end(&channel);
}
