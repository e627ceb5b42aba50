/* lower_conv_winograd.c - 3 x 3 convolutions and their adjoints in Winograd's form (compiler/winograd.h).
 *
 * A slice of tiles at a time: pixels are transformed (V = B' d B, by channel), for each of the 6 x 6 taps the tiles are
 * the rows of a product with the transformed weights of the tap, and the products are transformed back (y = A' M A, by
 * filter).  A tile's bits depend on its pixels only. */
#include "lower_winograd.h"
#include <stdio.h>

/* ---- slices and taps ---- */
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

/* Pixels or cotangents at `image` to their tiles, or products to the result there; `behind` the first tiles, in bytes,
 * stand those of this image. */
static void transform_image(const Slice *s, WinogradKind kind, Value image, Value behind) {
    const WinogradPlan *p = s->p;
    Emit *e = s->e;
    bool pixels = kind == WINOGRAD_PIXELS;
    int64_t before = pixels ? p->before : 0;
    for (int part = 0; part < 4; part++) {
        bool tall = part < 2, wide = part % 2 == 0;
        if (!tiles_of(s, tall, wide)) continue;
        Value row = tall ? s->first : emit_i64(e, p->rows);
        Value top = emit_index_mul(e, row, WINOGRAD_TILE);
        int64_t left = (wide ? 0 : (int64_t)p->columns * WINOGRAD_TILE) - before;
        uint64_t tile = pixels ? p->v_tile : p->m_tile, at = first_tile(s, tall, wide) * tile;
        Value taps = emit_offset_constant(e, s->args[W_WORK], (pixels ? p->v : p->products) + at);
        Value args[T_COUNT] = {image,
                               emit_offset_constant(e, s->args[W_WORK], kind == WINOGRAD_PRODUCTS ? p->discard : 0),
                               behind ? emit_offset(e, taps, behind) : taps,
                               emit_i64(e, pixels ? p->height : p->out_height),
                               emit_i64(e, pixels ? p->width : p->out_width),
                               emit_i64(e, pixels ? p->channels : p->filters),
                               LLVMBuildNSWSub(e->builder, top, emit_i64(e, (uint64_t)before), ""),
                               emit_i64(e, (uint64_t)left),
                               emit_i64(e, tall ? s->rows : 1),
                               emit_i64(e, wide ? p->columns : 1),
                               emit_i64(e, tile),
                               emit_i64(e, pixels ? p->v_tap : p->m_tap)};
        emit_call(e, winograd_transform(e, kind, tall, wide), args, T_COUNT);
    }
}

void winograd_transform_slice(const Slice *s, WinogradKind kind) {
    const WinogradPlan *p = s->p;
    Emit *e = s->e;
    bool pixels = kind == WINOGRAD_PIXELS;
    Value image = s->args[pixels ? W_IMAGE : W_RESULT];
    if (p->images == 1) {
        transform_image(s, kind, image, NULL);
        return;
    }
    Loop images;
    loop_begin(&images, e, emit_i64(e, 0), s->args[W_IMAGES], emit_i64(e, 1), false);
    Value row = s->args[pixels ? W_IMAGE_ROW : W_RESULT_ROW];
    transform_image(s, kind, emit_offset(e, image, emit_index_mul_value(e, images.index, row)),
                    emit_index_mul(e, images.index, tiles_of(s, true, true) * (pixels ? p->v_tile : p->m_tile)));
    loop_end(&images);
}

typedef void Multiply(const Slice *s, Value tap, uint64_t first, uint64_t tiles);

/* Taps (down, across) and the following, `ndown` rows of `nacross`. */
static void some_taps(const Slice *s, Multiply *multiply, uint32_t down, uint32_t ndown, uint32_t across,
                      uint32_t nacross, uint64_t first, uint64_t tiles) {
    Emit *e = s->e;
    if (!tiles) return;
    Loop rows, columns;
    loop_count(&rows, e, ndown);
    loop_count(&columns, e, nacross);
    Value tap = emit_index_add(e, emit_index_mul(e, rows.index, SIDE), columns.index);
    multiply(s, emit_index_add(e, tap, emit_i64(e, down * SIDE + across)), first, tiles);
    loop_end(&columns);
    loop_end(&rows);
}

void winograd_taps(const Slice *s, Multiply *multiply) {
    const uint32_t all = WINOGRAD_SHORT, more = WINOGRAD_TAPS - WINOGRAD_SHORT;
    uint64_t column = tiles_of(s, true, false), whole = tiles_of(s, true, true), row = tiles_of(s, false, true),
             corner = tiles_of(s, false, false);
    if (column + row + corner == 0) {
        some_taps(s, multiply, 0, SIDE, 0, SIDE, 0, whole);
        return;
    }
    some_taps(s, multiply, 0, all, 0, all, 0, column + whole + row + corner);
    some_taps(s, multiply, 0, all, all, more, column, whole + row);
    some_taps(s, multiply, all, more, 0, all, 0, column + whole);
    some_taps(s, multiply, all, more, all, more, column, whole);
}

void winograd_slices(Slice *s, void (*run)(const Slice *s)) {
    Emit *e = s->e;
    const WinogradPlan *p = s->p;
    uint32_t full = p->slice ? (p->rows - p->short_row) / p->slice : 0; /* the short row is not alone in the last */
    s->rows = p->slice;
    s->last = false;
    if (full) {
        Loop slices;
        loop_count(&slices, e, full);
        s->first = emit_index_mul(e, slices.index, p->slice);
        run(s);
        loop_end(&slices);
    }
    s->first = emit_i64(e, (uint64_t)full * p->slice);
    s->rows = p->rows - full * p->slice;
    s->last = true;
    if (s->rows || p->short_row) run(s);
}

Value winograd_workspace(const Site *s) {
    uint32_t buffer = s->l->step->groups[s->l->step->nodes[s->id].group]->workspace;
    return lower_slot(s->l, (Slot){SLOT_BUFFER, buffer, 0, 0}, s->row);
}

Value winograd_function(Emit *e, const WinogradPlan *p, const char *what, void (*body)(Slice *s)) {
    char name[128];
    snprintf(name, sizeof name, "%s_%ux%ux%u_%ux%ux%u_%d", what, p->height, p->width, p->channels, p->out_height,
             p->out_width, p->filters, (int)p->before);
    Value f = LLVMGetNamedFunction(e->module, name), outer = e->function;
    if (f) return f;
    LLVMBasicBlockRef here = emit_here(e);
    const uint32_t count = p->images > 1 ? W_COUNT : W_ONE_IMAGE;
    LLVMTypeRef params[W_COUNT];
    for (uint32_t k = 0; k < W_COUNT; k++) params[k] = k < W_ONE_IMAGE ? e->ptr : e->i64;
    f = emit_function(e, name, e->none, params, count);
    LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, e->noinline);
    Slice s = {.e = e, .p = p};
    for (uint32_t k = 0; k < count; k++) s.args[k] = LLVMGetParam(f, k);
    body(&s);
    LLVMBuildRetVoid(e->builder);
    e->function = outer;
    emit_at(e, here);
    return f;
}

/* Distance of the images of a tile, in bytes. */
static Value distance(const Site *s, NodeId id) { return emit_i64(s->l->e, s->l->step->nodes[id].slot.stride); }

void winograd_call(const Site *s, const WinogradPlan *p, Value f, Value args[W_ONE_IMAGE], NodeId image,
                   NodeId result) {
    Lower *l = s->l;
    Emit *e = l->e;
    if (p->images == 1) {
        emit_call(e, f, args, W_ONE_IMAGE);
        return;
    }
    const Value one = emit_i64(e, 1), none = emit_i64(e, 0);
    Value all[W_COUNT] = {args[W_IMAGE], args[W_WEIGHTS], args[W_RESULT], args[W_WORK], one, none, none};
    if (!l->step->nodes[s->id].together) {
        emit_call(e, f, all, W_COUNT);
        return;
    }
    all[W_IMAGE_ROW] = distance(s, image);
    all[W_RESULT_ROW] = distance(s, result);
    Loop some;
    loop_begin(&some, e, none, l->tile_rows, emit_i64(e, p->images), false);
    all[W_IMAGE] = emit_offset(e, args[W_IMAGE], emit_index_mul_value(e, some.index, all[W_IMAGE_ROW]));
    all[W_RESULT] = emit_offset(e, args[W_RESULT], emit_index_mul_value(e, some.index, all[W_RESULT_ROW]));
    Value left = LLVMBuildNSWSub(e->builder, l->tile_rows, some.index, "");
    all[W_IMAGES] = emit_index_min(e, left, emit_i64(e, p->images));
    emit_call(e, f, all, W_COUNT);
    loop_end(&some);
}

/* Bytes of a panel of transformed weights, and of all panels of a tap, which lie side by side (conv.h). */
static uint64_t panel_bytes(const Emit *e, uint64_t inner) { return inner * e->panel * e->real_bytes; }
static uint64_t tap_bytes(const Emit *e, uint64_t columns, uint64_t inner) {
    return (columns + e->panel - 1) / e->panel * panel_bytes(e, inner);
}

/* ---- conv and conv_input ---- */
static void multiply_pixels(const Slice *s, Value tap, uint64_t first, uint64_t tiles) {
    const WinogradPlan *p = s->p;
    Emit *e = s->e;
    Value v = emit_offset_constant(e, s->args[W_WORK], p->v + first * p->v_tile);
    Value products = emit_offset_constant(e, s->args[W_WORK], p->products + first * p->m_tile);
    Product product = {
        .a = emit_offset(e, v, emit_index_mul(e, tap, p->v_tap)),
        .a_row = emit_i64(e, p->v_tile),
        .a_step = emit_i64(e, e->real_bytes),
        .b = emit_offset(e, s->args[W_WEIGHTS], emit_index_mul(e, tap, tap_bytes(e, p->filters, p->channels))),
        .b_panel = emit_i64(e, panel_bytes(e, p->channels)),
        .b_step = emit_i64(e, (uint64_t)e->panel * e->real_bytes),
        .c = emit_offset(e, products, emit_index_mul(e, tap, p->m_tap)),
        .c_row = emit_i64(e, p->m_tile),
        .k = emit_i64(e, p->channels),
        .columns = p->filters};
    if (p->images == 1)
        product_tiles(e, product, tiles);
    else
        product_all(e, product, emit_index_mul(e, s->args[W_IMAGES], tiles));
}

static void convolve_slice(const Slice *s) {
    winograd_transform_slice(s, WINOGRAD_PIXELS);
    winograd_taps(s, multiply_pixels);
    winograd_transform_slice(s, WINOGRAD_PRODUCTS);
}

static void convolve(Slice *s) {
    const WinogradPlan *p = s->p;
    Emit *e = s->e;
    Loop images;
    Value result = s->args[W_RESULT];
    if (p->images > 1) {
        loop_begin(&images, e, emit_i64(e, 0), s->args[W_IMAGES], emit_i64(e, 1), false);
        result = emit_offset(e, result, emit_index_mul_value(e, images.index, s->args[W_RESULT_ROW]));
    }
    emit_zero_padding(e, result, (uint64_t)p->out_height * p->out_width * p->filters);
    if (p->images > 1) loop_end(&images);
    lower_zero(e, s->args[W_WORK], p->discard);
    winograd_slices(s, convolve_slice);
}

void lower_conv_winograd(const Site *s) {
    Lower *l = s->l;
    Emit *e = l->e;
    ConvShape c;
    const char *why = conv_shape(s->node->op, &s->node->attr, lower_argument_shape(l, s->id, 0),
                                 lower_argument_shape(l, s->id, 1), &c);
    if (why) ICE("%s: %s", l->routine->routine->name, why);
    WinogradPlan p = winograd_plan(s->node->op, &c, e->real_bytes, e->panel);
    Value args[W_ONE_IMAGE] = {lower_argument_row(s, 0), lower_argument_row(s, 1), lower_result_row(s),
                               winograd_workspace(s)};
    winograd_call(s, &p, winograd_function(e, &p, "winograd", convolve), args, lower_argument(l, s->id, 0), s->id);
}

/* ---- pack_conv: G g G' of every channel and filter, rounded once ---- */
typedef struct Transformed {
    Emit *e;
    const ConvPacking *p;
    Value from, to; /* weights, packed weights */
    uint32_t channels, filters;
    LLVMTypeRef wide; /* what is computed with: doubles of one filter, or of a vector of them */
    Value kept;       /* of the adjoint: by tap a square of vectors, a channel each */
} Transformed;

static uint64_t vector_bytes(const Emit *e) { return (uint64_t)e->lanes * e->real_bytes; }

static Value constant_like(LLVMTypeRef type, double value) {
    if (LLVMGetTypeKind(type) != LLVMVectorTypeKind) return LLVMConstReal(type, value);
    Value all[64];
    const uint32_t n = LLVMGetVectorSize(type);
    for (uint32_t k = 0; k < n; k++) all[k] = LLVMConstReal(LLVMGetElementType(type), value);
    return LLVMConstVector(all, n);
}

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

static uint64_t packed_apart(const Transformed *t) { return tap_bytes(t->e, t->p->columns, t->p->inner); }

/* One filter, or a vector of them, of a channel: to `to` and what follows it at distances of `apart`. */
static void transform_filters(const Transformed *t, Value channel, Value filter, Value to, uint64_t apart) {
    Emit *e = t->e;
    const bool vector = LLVMGetTypeKind(t->wide) == LLVMVectorTypeKind;
    double g[SIDE][3];
    winograd_weights(g);
    Value w[3][3], half[SIDE][3], zero = constant_like(t->wide, 0);
    Value from = emit_element(e, t->from, emit_index_add(e, emit_index_mul(e, channel, t->filters), filter));
    for (uint32_t k = 0; k < 9; k++) {
        uint32_t tap = t->p->adjoint ? 8 - k : k;
        Value at = emit_offset_constant(e, from, (uint64_t)tap * t->channels * t->filters * e->real_bytes);
        Value v = vector ? emit_load_vector(e, at, e->real_bytes) : emit_load(e, at);
        w[k / 3][k % 3] = LLVMBuildFPExt(e->builder, v, t->wide, "");
    }
    for (uint32_t i = 0; i < SIDE; i++) {
        for (uint32_t b = 0; b < 3; b++) {
            half[i][b] = zero;
            for (uint32_t a = 0; a < 3; a++)
                if (g[i][a] != 0) half[i][b] = emit_fma(e, constant_like(t->wide, g[i][a]), w[a][b], half[i][b]);
        }
    }
    for (uint32_t i = 0; i < SIDE; i++) {
        for (uint32_t j = 0; j < SIDE; j++) {
            Value u = zero;
            for (uint32_t b = 0; b < 3; b++)
                if (g[j][b] != 0) u = emit_fma(e, constant_like(t->wide, g[j][b]), half[i][b], u);
            u = LLVMBuildFPTrunc(e->builder, u, vector ? e->vector : e->real, "");
            Value at = emit_offset_constant(e, to, (i * SIDE + j) * apart);
            if (vector)
                emit_store_vector(e, u, at, e->real_bytes);
            else
                emit_store(e, u, at);
        }
    }
}

/* Of the adjoint, a vector of filters of `some` channels from `first` on, which are neighbours there: through `kept`, whose
 * squares are transposed, so that whole vectors are written. */
static void transform_square(const Transformed *t, Value first, Value filter, uint32_t some) {
    Emit *e = t->e;
    const uint64_t square = e->lanes * vector_bytes(e);
    Loop channel, tap;
    Value v[64];
    if (some < e->lanes) lower_zero(e, t->kept, SIDE * SIDE * square);
    loop_count(&channel, e, some);
    transform_filters(t, emit_index_add(e, first, channel.index), filter,
                      emit_offset(e, t->kept, emit_index_mul(e, channel.index, vector_bytes(e))), square);
    loop_end(&channel);
    Value at = packed_place(t, first, filter);
    loop_count(&tap, e, SIDE * SIDE);
    Value from = emit_offset(e, t->kept, emit_index_mul(e, tap.index, square));
    Value to = emit_offset(e, at, emit_index_mul(e, tap.index, packed_apart(t)));
    for (uint32_t i = 0; i < e->lanes; i++)
        v[i] = emit_load_vector(e, emit_offset_constant(e, from, i * vector_bytes(e)), e->real_bytes);
    lower_transpose_square(e, v);
    for (uint32_t i = 0; i < e->lanes; i++)
        emit_store_vector(e, v[i], emit_offset_constant(e, to, (uint64_t)i * e->panel * e->real_bytes), e->real_bytes);
    loop_end(&tap);
}

/* Vectors of filters of the channel `first`; of the adjoint, of `some` channels from there on. */
static void transform_vectors(Transformed *t, Value first, uint32_t some) {
    Emit *e = t->e;
    Loop filter;
    t->wide = LLVMVectorType(LLVMDoubleTypeInContext(e->context), e->lanes);
    loop_count(&filter, e, t->filters / e->lanes);
    Value at = emit_index_mul(e, filter.index, e->lanes);
    if (t->p->adjoint)
        transform_square(t, first, at, some);
    else
        transform_filters(t, first, at, packed_place(t, first, at), packed_apart(t));
    loop_end(&filter);
}

static void transform_weights(Transformed *t) {
    Emit *e = t->e;
    const uint64_t count = conv_packed_count(t->p, e->panel);
    const uint32_t rest = t->filters % e->lanes, step = t->p->adjoint ? e->lanes : 1;
    if (t->p->columns % e->panel)
        lower_zero(e, t->to, padded(count * e->real_bytes));
    else
        emit_zero_padding(e, t->to, count);
    Loop channel, filter;
    if (t->filters >= e->lanes && t->channels >= step) {
        loop_count(&channel, e, t->channels / step);
        transform_vectors(t, emit_index_mul(e, channel.index, step), step);
        loop_end(&channel);
    }
    if (t->filters >= e->lanes && t->channels % step)
        transform_vectors(t, emit_i64(e, t->channels - t->channels % step), t->channels % step);
    if (!rest) return;
    t->wide = LLVMDoubleTypeInContext(e->context);
    loop_count(&channel, e, t->channels);
    loop_count(&filter, e, rest);
    Value at = emit_index_add(e, filter.index, emit_i64(e, t->filters - rest));
    transform_filters(t, channel.index, at, packed_place(t, channel.index, at), packed_apart(t));
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
