/* lower_conv_winograd.c - 3 x 3 convolutions and their adjoints in Winograd's form (compiler/winograd.h).
 *
 * A slice of tiles at a time: pixels are transformed (V = B' d B, by channel), for each of the n x n taps the tiles are
 * the rows of a product with the transformed weights of the tap, and the products are transformed back (y = A' M A, by
 * filter).  The transforms are one function each for all shapes, whose arguments are the sizes.  Pixels outside the
 * image are read as zeros and results outside it are discarded, so no copy with a border is made.  A tile's bits depend
 * on its pixels only. */
#include "compiler/winograd.h"
#include "conv_plan.h"
#include "lower.h"
#include <stdio.h>

#define SIDE WINOGRAD_SIDE

/* ---- along one axis ---- */
/* B' applied to n values that are one place apart. */
static void pixels_in(Emit *e, uint32_t m, const Value *d, Value *v) {
    if (m == 2) {
        v[0] = emit_sub(e, d[2], d[0]);
        v[1] = emit_add(e, d[2], d[1]);
        v[2] = emit_sub(e, d[2], d[1]);
        v[3] = emit_sub(e, d[3], d[1]);
        return;
    }
    const double a = WINOGRAD_FIRST, b = WINOGRAD_SECOND;
    Value product = emit_splat_constant(e, a * a * b * b), sum = emit_splat_constant(e, -(a * a + b * b));
    v[0] = emit_fma(e, product, d[0], emit_fma(e, sum, d[2], d[4]));
    v[5] = emit_fma(e, product, d[1], emit_fma(e, sum, d[3], d[5]));
    for (uint32_t k = 0; k < 2; k++) { /* even and odd part of the polynomials of a pair of points */
        double point = k ? b : a, other = k ? a : b;
        Value square = emit_splat_constant(e, -other * other);
        Value even = emit_fma(e, square, d[2], d[4]), odd = emit_fma(e, square, d[1], d[3]);
        v[1 + 2 * k] = emit_fma(e, emit_splat_constant(e, point), odd, even);
        v[2 + 2 * k] = emit_fma(e, emit_splat_constant(e, -point), odd, even);
    }
}

/* A' applied to n products. */
static void results_out(Emit *e, uint32_t m, const Value *v, Value *y) {
    Value sum = emit_add(e, v[1], v[2]), difference = emit_sub(e, v[1], v[2]);
    if (m == 2) {
        y[0] = emit_add(e, v[0], sum);
        y[1] = emit_add(e, difference, v[3]);
        return;
    }
    const double a = WINOGRAD_FIRST, b = WINOGRAD_SECOND;
    Value sum_b = emit_add(e, v[3], v[4]), difference_b = emit_sub(e, v[3], v[4]);
    y[0] = emit_add(e, emit_add(e, v[0], sum), sum_b);
    for (uint32_t k = 1; k < 4; k++) { /* times the points to the power of k */
        double pa = k == 1 ? a : k == 2 ? a * a : a * a * a, pb = k == 1 ? b : k == 2 ? b * b : b * b * b;
        Value first = k == 2 ? sum : difference, second = k == 2 ? sum_b : difference_b;
        Value times = emit_splat_constant(e, pb);
        y[k] = k == 3 ? emit_fma(e, times, second, v[5]) : emit_mul(e, times, second);
        y[k] = emit_fma(e, emit_splat_constant(e, pa), first, y[k]);
    }
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
    uint32_t m;
    Value p[T_COUNT];
    Loop down, across, vectors;
    Value row[SIDE], inside[SIDE]; /* addresses of the tile's rows; whether its columns are in the image */
    Value pixel, taps, mask[SIDE]; /* bytes of a pixel; the tile's first tap; lanes of its columns */
} Transform;

static Value below(Emit *e, Value i, Value size) { return LLVMBuildICmp(e->builder, LLVMIntULT, i, size, ""); }

/* Opens the loops over tiles and vectors of channels, for tiles of `side` pixels one every m. */
static void transform_begin(Transform *t, uint32_t side) {
    Emit *e = t->e;
    Value zero = emit_i64(e, 0), one = emit_i64(e, 1), *p = t->p;
    for (uint32_t k = 0; k < T_COUNT; k++) p[k] = LLVMGetParam(e->function, k);
    t->pixel = emit_index_mul(e, p[T_CHANNELS], e->real_bytes);
    loop_begin(&t->down, e, zero, p[T_ROWS], one, false);
    Value taps = loop_carry(&t->down, p[T_TAPS]);
    loop_begin(&t->across, e, zero, p[T_COLUMNS], one, false);
    t->taps = loop_carry(&t->across, taps);
    Value y = emit_index_add(e, emit_index_mul(e, t->down.index, t->m), p[T_TOP]);
    Value x = emit_index_add(e, emit_index_mul(e, t->across.index, t->m), p[T_LEFT]);
    for (uint32_t k = 0; k < side; k++) {
        Value at = emit_index_add(e, y, emit_i64(e, k));
        Value place = emit_index_add(e, emit_index_mul_value(e, at, p[T_WIDTH]), x);
        Value here = emit_offset(e, p[T_IMAGE], emit_index_mul_value(e, place, t->pixel));
        t->row[k] = LLVMBuildSelect(e->builder, below(e, at, p[T_HEIGHT]), here, p[T_ZEROS], "");
        t->inside[k] = below(e, emit_index_add(e, x, emit_i64(e, k)), p[T_WIDTH]);
    }
    loop_begin(&t->vectors, e, zero, p[T_CHANNELS], emit_i64(e, e->lanes), false);
    Value left =
        LLVMBuildTrunc(e->builder, LLVMBuildNSWSub(e->builder, p[T_CHANNELS], t->vectors.index, ""), e->i32, "");
    Value lanes = LLVMBuildICmp(e->builder, LLVMIntULT, emit_lane_indices(e), emit_splat(e, left), "");
    for (uint32_t k = 0; k < side; k++) t->mask[k] = LLVMBuildAnd(e->builder, lanes, emit_splat(e, t->inside[k]), "");
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

static void input_body(Transform *t) {
    Emit *e = t->e;
    uint32_t n = t->m + 2, vector = e->lanes * e->real_bytes;
    Value half[SIDE][SIDE], d[SIDE], v[SIDE];
    transform_begin(t, n);
    for (uint32_t j = 0; j < n; j++) {
        for (uint32_t i = 0; i < n; i++) d[i] = emit_load_masked(e, pixel_address(t, i, j), t->mask[j]);
        pixels_in(e, t->m, d, v);
        for (uint32_t i = 0; i < n; i++) half[i][j] = v[i];
    }
    Value at = emit_element(e, t->taps, t->vectors.index);
    for (uint32_t i = 0; i < n; i++) {
        pixels_in(e, t->m, half[i], v);
        for (uint32_t j = 0; j < n; j++) {
            emit_store_vector(e, v[j], at, vector);
            at = emit_offset(e, at, t->p[T_TAP]);
        }
    }
    transform_end(t);
}

static void output_body(Transform *t) {
    Emit *e = t->e;
    uint32_t n = t->m + 2, vector = e->lanes * e->real_bytes;
    Value half[SIDE][SIDE], d[SIDE], v[SIDE];
    transform_begin(t, t->m);
    Value column = emit_element(e, t->taps, t->vectors.index), row = emit_index_mul(e, t->p[T_TAP], n);
    for (uint32_t j = 0; j < n; j++) {
        Value at = column;
        for (uint32_t i = 0; i < n; i++) {
            d[i] = emit_load_vector(e, at, vector);
            at = emit_offset(e, at, row);
        }
        column = emit_offset(e, column, t->p[T_TAP]);
        results_out(e, t->m, d, v);
        for (uint32_t i = 0; i < t->m; i++) half[i][j] = v[i];
    }
    for (uint32_t i = 0; i < t->m; i++) {
        results_out(e, t->m, half[i], v);
        for (uint32_t j = 0; j < t->m; j++) emit_store_masked(e, v[j], pixel_address(t, i, j), t->mask[j]);
    }
    transform_end(t);
}

static Value transform(Emit *e, uint32_t m, bool input) {
    char name[64];
    snprintf(name, sizeof name, "winograd_%s_%u", input ? "pixels" : "results", m);
    Value f = LLVMGetNamedFunction(e->module, name), outer = e->function;
    if (f) return f;
    LLVMBasicBlockRef here = emit_here(e);
    LLVMTypeRef params[T_COUNT];
    for (uint32_t k = 0; k < T_COUNT; k++) params[k] = k <= T_TAPS ? e->ptr : e->i64;
    f = emit_function(e, name, e->none, params, T_COUNT);
    LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, e->noinline);
    Transform t = {.e = e, .m = m};
    if (input)
        input_body(&t);
    else
        output_body(&t);
    e->function = outer;
    emit_at(e, here);
    return f;
}

/* ---- conv and conv_input ---- */
typedef struct Operands {
    const WinogradPlan *p;
    Value image, weights, result, work;
} Operands;

/* `rows` rows of tiles from row `first` on. */
static void slice(Emit *e, const Operands *o, Value first, uint32_t rows) {
    const WinogradPlan *p = o->p;
    uint64_t tap_bytes = (uint64_t)p->channels * e->panel * e->real_bytes;
    Value top = emit_index_mul(e, first, p->m), v = emit_offset_constant(e, o->work, p->v),
          products = emit_offset_constant(e, o->work, p->products), count = emit_i64(e, rows),
          columns = emit_i64(e, p->columns), before = emit_i64(e, (uint64_t)p->before);
    emit_call(e, transform(e, p->m, true),
              (Value[]){o->image, emit_offset_constant(e, o->work, p->zeros), v, emit_i64(e, p->height),
                        emit_i64(e, p->width), emit_i64(e, p->channels), LLVMBuildNSWSub(e->builder, top, before, ""),
                        emit_i64(e, (uint64_t)-p->before), count, columns, emit_i64(e, p->v_tile),
                        emit_i64(e, p->v_tap)},
              T_COUNT);
    Loop taps;
    loop_count(&taps, e, (uint64_t)p->n * p->n);
    Product product = {.a = emit_offset(e, v, emit_index_mul(e, taps.index, p->v_tap)),
                       .a_row = emit_i64(e, p->v_tile),
                       .a_step = emit_i64(e, e->real_bytes),
                       .b = emit_offset(e, o->weights, emit_index_mul(e, taps.index, tap_bytes)),
                       .b_panel = emit_i64(e, p->n * p->n * tap_bytes),
                       .b_step = emit_i64(e, (uint64_t)e->panel * e->real_bytes),
                       .c = emit_offset(e, products, emit_index_mul(e, taps.index, p->m_tap)),
                       .c_row = emit_i64(e, p->m_tile),
                       .k = emit_i64(e, p->channels),
                       .columns = p->filters};
    product_tiles(e, product, (uint64_t)rows * p->columns);
    loop_end(&taps);
    emit_call(e, transform(e, p->m, false),
              (Value[]){o->result, emit_offset_constant(e, o->work, p->discard), products, emit_i64(e, p->out_height),
                        emit_i64(e, p->out_width), emit_i64(e, p->filters), top, emit_i64(e, 0), count, columns,
                        emit_i64(e, p->m_tile), emit_i64(e, p->m_tap)},
              T_COUNT);
}

void lower_conv_winograd(const Site *s) {
    Lower *l = s->l;
    Emit *e = l->e;
    ConvShape c;
    const char *why = conv_shape(s->node->op, &s->node->attr, lower_argument_shape(l, s->id, 0),
                                 lower_argument_shape(l, s->id, 1), &c);
    if (why) ICE("%s: %s", l->routine->routine->name, why);
    WinogradPlan p = winograd_plan(s->node->op, &c, (uint32_t)s->node->attr.i[CONV_PACKED], e->real_bytes, e->panel);
    uint32_t buffer = l->step->groups[l->step->nodes[s->id].group]->workspace;
    Operands o = {.p = &p,
                  .image = lower_argument_row(s, 0),
                  .weights = lower_argument_row(s, 1),
                  .result = lower_result_row(s),
                  .work = lower_slot(l, (Slot){SLOT_BUFFER, buffer, 0, 0}, s->row)};
    emit_zero_padding(e, o.result, lower_count(s->node->shape));
    lower_zero(e, emit_offset_constant(e, o.work, p.zeros), p.discard - p.zeros);
    uint32_t whole = p.rows / p.slice, rest = p.rows % p.slice;
    if (whole) {
        Loop slices;
        loop_count(&slices, e, whole);
        slice(e, &o, emit_index_mul(e, slices.index, p.slice), p.slice);
        loop_end(&slices);
    }
    if (rest) slice(e, &o, emit_i64(e, (uint64_t)whole * p.slice), rest);
}

/* ---- pack_conv: G g G' of every channel and filter, rounded once ---- */
void lower_pack_winograd(const Site *s, const ConvPacking *p) {
    Emit *e = s->l->e;
    LLVMTypeRef wide = LLVMDoubleTypeInContext(e->context);
    uint32_t n = p->tile + 2, channels = s->node->shape.dims[2], filters = s->node->shape.dims[3];
    double g[SIDE][3];
    winograd_weights(p->tile, g);
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
