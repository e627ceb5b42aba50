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

void winograd_transform_slice(const Slice *s, WinogradKind kind) {
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
        Value args[T_COUNT] = {s->args[pixels ? W_IMAGE : W_RESULT],
                               emit_offset_constant(e, s->args[W_WORK], kind == WINOGRAD_PRODUCTS ? p->discard : 0),
                               emit_offset_constant(e, s->args[W_WORK], (pixels ? p->v : p->products) + at),
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
    f = emit_function(e, name, e->none, (LLVMTypeRef[]){e->ptr, e->ptr, e->ptr, e->ptr}, W_COUNT);
    LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, e->noinline);
    Slice s = {.e = e, .p = p};
    for (uint32_t k = 0; k < W_COUNT; k++) s.args[k] = LLVMGetParam(f, k);
    body(&s);
    LLVMBuildRetVoid(e->builder);
    e->function = outer;
    emit_at(e, here);
    return f;
}

/* ---- conv and conv_input ---- */
static void multiply_pixels(const Slice *s, Value tap, uint64_t first, uint64_t tiles) {
    const WinogradPlan *p = s->p;
    Emit *e = s->e;
    uint64_t tap_bytes = (uint64_t)p->channels * e->panel * e->real_bytes;
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
}

static void convolve_slice(const Slice *s) {
    winograd_transform_slice(s, WINOGRAD_PIXELS);
    winograd_taps(s, multiply_pixels);
    winograd_transform_slice(s, WINOGRAD_PRODUCTS);
}

static void convolve(Slice *s) {
    const WinogradPlan *p = s->p;
    emit_zero_padding(s->e, s->args[W_RESULT], (uint64_t)p->out_height * p->out_width * p->filters);
    lower_zero(s->e, s->args[W_WORK], p->discard);
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
    Value args[W_COUNT] = {lower_argument_row(s, 0), lower_argument_row(s, 1), lower_result_row(s),
                           winograd_workspace(s)};
    emit_call(e, winograd_function(e, &p, "winograd", convolve), args, W_COUNT);
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
