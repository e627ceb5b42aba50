/* lower_conv_winograd.c - 3 x 3 convolutions and their adjoints in Winograd's form (winograd.h).
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
    const Part *some = pixels ? &s->channels : &s->filters;
    image = emit_element(e, image, some->first);
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
                               emit_i64(e, (uint64_t)(pixels ? p->channels : p->filters) * e->real_bytes),
                               emit_i64(e, some->count),
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
    const uint32_t count = p->images > 1 ? W_COUNT : W_ONE_IMAGE;
    LLVMTypeRef params[W_COUNT];
    Aside aside;
    for (uint32_t k = 0; k < W_COUNT; k++) params[k] = k < W_ONE_IMAGE ? e->ptr : e->i64;
    Value f = emit_aside(e, name, e->none, params, count, &aside);
    if (!aside.made) return f;
    const Value none = emit_i64(e, 0);
    Slice s = {.e = e, .p = p, .channels = {none, p->channels}, .filters = {none, p->filters}};
    for (uint32_t k = 0; k < count; k++) s.args[k] = LLVMGetParam(f, k);
    body(&s);
    LLVMBuildRetVoid(e->builder);
    emit_aside_end(e, &aside);
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

static uint64_t panel_bytes(const Emit *e, uint64_t inner) { return inner * e->panel * e->real_bytes; }
uint64_t winograd_tap_bytes(const Emit *e, uint64_t columns, uint64_t inner) {
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
        .b = emit_offset(e, s->args[W_WEIGHTS], emit_index_mul(e, tap, winograd_tap_bytes(e, p->filters, p->channels))),
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
