/* lower_conv_kernel.c - convolutions that are channels last: a register-tiled kernel, and the loops around it.
 *
 * The kernel keeps m pixels x 2 vectors of output columns in registers and runs over the taps and the inner axis with
 * one broadcast of the image for each pixel.  Every sum adds its terms in one order (tap after tap, channel after
 * channel; for weights pixel after pixel within a segment, segment after segment, example after example), so that no bits
 * depend on the division into tiles. */
#include "conv_plan.h"
#include "lower.h"
#include <stdio.h>

enum {
    C_A,
    C_A_ROW,
    C_A_Q,
    C_A_X,
    C_A_Y,
    C_B,
    C_B_Q,
    C_B_X,
    C_B_Y,
    C_C,
    C_C_ROW,
    C_NQ,
    C_NX,
    C_NY,
    C_INITIAL,
    C_COUNT
};

/* How one kernel is called: distances in bytes.  `live` lanes of the last vector belong to c, 0 all. */
typedef struct Tile {
    uint32_t m, vectors, live;
    Value args[C_COUNT];
} Tile;

static Value rows_of_c(Emit *e, const Tile *t, Value *sums, Value mask, bool store) {
    Value c = LLVMGetParam(e->function, C_C), c_row = LLVMGetParam(e->function, C_C_ROW);
    for (uint32_t i = 0; i < t->m; i++) {
        for (uint32_t v = 0; v < t->vectors; v++) {
            Value at = emit_offset_constant(e, c, (uint64_t)v * e->lanes * e->real_bytes);
            Value *sum = &sums[i * t->vectors + v], part = v + 1 == t->vectors ? mask : NULL;
            if (store && part)
                emit_store_masked(e, *sum, at, part);
            else if (store)
                emit_store_vector(e, *sum, at, e->real_bytes);
            else
                *sum = part ? emit_load_masked(e, at, part) : emit_load_vector(e, at, e->real_bytes);
        }
        c = emit_offset(e, c, c_row);
    }
    return c;
}

/* Sums and the two pointers, carried around a loop. */
static void carry_all(Loop *l, Value *values, uint32_t n) {
    for (uint32_t k = 0; k < n; k++) values[k] = loop_carry(l, values[k]);
}

static void next_all(Loop *l, const Value *values, uint32_t n) {
    for (uint32_t k = 0; k < n; k++) loop_next(l, k, values[k]);
    loop_end(l);
}

static void results_of(const Loop *l, Value *values, uint32_t n) {
    for (uint32_t k = 0; k < n; k++) values[k] = loop_result(l, k);
}

/* Adds c to the sums where C_INITIAL says so: not before, so that a sum of many segments and examples errs by the
 * roundings of its longest segment and of as many additions as there are segments. */
static void add_c(Emit *e, const Tile *t, Value *sum, Value mask) {
    LLVMBasicBlockRef before = emit_here(e), add = emit_block(e, "add"), end = emit_block(e, "end");
    const uint32_t n = t->m * t->vectors;
    Value old[LOOP_VALUES];
    LLVMBuildCondBr(e->builder, LLVMGetParam(e->function, C_INITIAL), add, end);
    emit_at(e, add);
    rows_of_c(e, t, old, mask, false);
    for (uint32_t i = 0; i < n; i++) old[i] = emit_add(e, old[i], sum[i]);
    LLVMBuildBr(e->builder, end);
    emit_at(e, end);
    for (uint32_t i = 0; i < n; i++) {
        Value phi = LLVMBuildPhi(e->builder, e->vector, "");
        LLVMAddIncoming(phi, (Value[]){sum[i], old[i]}, (LLVMBasicBlockRef[]){before, add}, 2);
        sum[i] = phi;
    }
}

static void kernel_body(Emit *e, const Tile *t) {
    Value p[C_COUNT], mask = NULL, sum[LOOP_VALUES];
    for (uint32_t k = 0; k < C_COUNT; k++) p[k] = LLVMGetParam(e->function, k);
    uint32_t n = t->m * t->vectors, vector = e->lanes * e->real_bytes;
    if (t->live) mask = emit_lane_mask(e, t->live);
    for (uint32_t i = 0; i < n; i++) sum[i] = LLVMConstNull(e->vector);
    Loop y, x, q;
    Value one = emit_i64(e, 1), none = emit_i64(e, 0);
    loop_begin(&y, e, none, p[C_NY], one, false);
    carry_all(&y, sum, n);
    Value ay = loop_carry(&y, p[C_A]), by = loop_carry(&y, p[C_B]);
    loop_begin(&x, e, none, p[C_NX], one, false);
    carry_all(&x, sum, n);
    Value ax = loop_carry(&x, ay), bx = loop_carry(&x, by);
    loop_begin(&q, e, none, p[C_NQ], one, false);
    carry_all(&q, sum, n);
    Value ap = loop_carry(&q, ax), bp = loop_carry(&q, bx), at = ap, b[2];
    for (uint32_t v = 0; v < t->vectors; v++) {
        Value from = emit_offset_constant(e, bp, v * vector);
        bool part = mask && v + 1 == t->vectors;
        b[v] = part ? emit_load_masked(e, from, mask) : emit_load_vector(e, from, e->real_bytes);
    }
    for (uint32_t i = 0; i < t->m; i++) {
        Value a = emit_splat(e, emit_load(e, at));
        at = emit_offset(e, at, p[C_A_ROW]);
        for (uint32_t v = 0; v < t->vectors; v++)
            sum[i * t->vectors + v] = emit_fma(e, a, b[v], sum[i * t->vectors + v]);
    }
    loop_next(&q, n, emit_offset(e, ap, p[C_A_Q]));
    loop_next(&q, n + 1, emit_offset(e, bp, p[C_B_Q]));
    next_all(&q, sum, n);
    results_of(&q, sum, n);
    loop_next(&x, n, emit_offset(e, ax, p[C_A_X]));
    loop_next(&x, n + 1, emit_offset(e, bx, p[C_B_X]));
    next_all(&x, sum, n);
    results_of(&x, sum, n);
    loop_next(&y, n, emit_offset(e, ay, p[C_A_Y]));
    loop_next(&y, n + 1, emit_offset(e, by, p[C_B_Y]));
    next_all(&y, sum, n);
    results_of(&y, sum, n);
    add_c(e, t, sum, mask);
    rows_of_c(e, t, sum, mask, true);
    LLVMBuildRetVoid(e->builder);
}

static Value kernel(Emit *e, const Tile *t) {
    char name[64];
    snprintf(name, sizeof name, "conv_%ux%u_%u", t->m, t->vectors, t->live);
    LLVMTypeRef params[C_COUNT];
    Aside aside;
    for (uint32_t k = 0; k < C_COUNT; k++) params[k] = k == C_A || k == C_B || k == C_C ? e->ptr : e->i64;
    params[C_INITIAL] = e->i1;
    Value f = emit_aside(e, name, e->none, params, C_COUNT, &aside);
    if (!aside.made) return f;
    kernel_body(e, t);
    emit_aside_end(e, &aside);
    return f;
}

static Value bytes(Emit *e, int64_t elements) { return emit_i64(e, (uint64_t)(elements * (int64_t)e->real_bytes)); }

/* `rows` rows of c in tiles whose sizes differ by one at most; a and c are those of the first row. */
static void row_tiles(Emit *e, Tile t, uint64_t rows, uint64_t a_row, uint64_t c_row) {
    uint64_t tiles = (rows + e->tile_rows - 1) / e->tile_rows, small = rows / tiles, large = rows % tiles;
    t.args[C_A_ROW] = bytes(e, (int64_t)a_row);
    t.args[C_C_ROW] = bytes(e, (int64_t)c_row);
    Value a = t.args[C_A], c = t.args[C_C];
    for (int kind = 0; kind < 2; kind++) { /* the larger ones first */
        uint64_t n = kind ? tiles - large : large, first = kind ? large * (small + 1) : 0;
        t.m = (uint32_t)(kind ? small : small + 1);
        if (n == 0) continue;
        Value f = kernel(e, &t);
        Loop loop;
        loop_count(&loop, e, n);
        Value row = emit_index_add(e, emit_index_mul(e, loop.index, t.m), emit_i64(e, first));
        t.args[C_A] = emit_offset(e, a, emit_index_mul(e, row, a_row * e->real_bytes));
        t.args[C_C] = emit_offset(e, c, emit_index_mul(e, row, c_row * e->real_bytes));
        emit_call(e, f, t.args, C_COUNT);
        loop_end(&loop);
    }
}

/* ---- the image with its border ---- */
static Value workspace(const Site *s) {
    Lower *l = s->l;
    uint32_t buffer = l->step->groups[l->step->nodes[s->id].group]->workspace;
    return lower_slot(l, (Slot){SLOT_BUFFER, buffer, 0, 0}, s->row);
}

static Value bordered(const Site *s, Op op, const ConvShape *c, Value image) {
    Emit *e = s->l->e;
    ConvBorder b = conv_border(op, c);
    if (!b.needed) return image;
    uint64_t height = op == OP_conv_input ? c->out_height : c->height;
    uint64_t width = op == OP_conv_input ? c->out_width : c->width;
    uint64_t pixel = (op == OP_conv_input ? c->filters : c->channels) * (uint64_t)e->real_bytes, row = b.width * pixel;
    Value to = workspace(s), zero = LLVMConstNull(e->i8);
    uint64_t left = b.left * pixel, middle = width * pixel, right = row - left - middle,
             below = b.height - b.top - height;
    if (b.top) LLVMBuildMemSet(e->builder, to, zero, emit_i64(e, b.top * row), e->real_bytes);
    Loop rows;
    loop_count(&rows, e, height);
    Value at = emit_offset(e, to, emit_index_add(e, emit_index_mul(e, rows.index, row), emit_i64(e, b.top * row)));
    Value from = emit_offset(e, image, emit_index_mul(e, rows.index, middle));
    if (left) LLVMBuildMemSet(e->builder, at, zero, emit_i64(e, left), e->real_bytes);
    LLVMBuildMemCpy(e->builder, emit_offset_constant(e, at, left), e->real_bytes, from, e->real_bytes,
                    emit_i64(e, middle));
    if (right)
        LLVMBuildMemSet(e->builder, emit_offset_constant(e, at, left + middle), zero, emit_i64(e, right),
                        e->real_bytes);
    loop_end(&rows);
    if (below)
        LLVMBuildMemSet(e->builder, emit_offset_constant(e, to, (b.top + height) * row), zero, emit_i64(e, below * row),
                        e->real_bytes);
    return to;
}

static ConvShape shape_of_site(const Site *s) {
    ConvShape c;
    const char *why = conv_shape(s->node->op, &s->node->attr, lower_argument_shape(s->l, s->id, 0),
                                 lower_argument_shape(s->l, s->id, 1), &c);
    if (why) ICE("%s: %s", s->l->routine->routine->name, why);
    return c;
}

/* Vectors and live lanes of a panel of `columns` columns. */
static Tile tile_of(const Emit *e, uint64_t columns) {
    Tile t = {.vectors = columns > e->lanes ? 2 : 1};
    t.live = (uint32_t)(columns % e->lanes);
    return t;
}

/* ---- conv and conv_input ---- */
static void panel_lines(Emit *e, Tile t, const ConvPhase *p, Value a, Value b, Value c) {
    Loop lines;
    loop_count(&lines, e, p->lines);
    t.args[C_A_Q] = bytes(e, 1);
    t.args[C_A_X] = bytes(e, p->a_x);
    t.args[C_A_Y] = bytes(e, p->a_y);
    t.args[C_B] = emit_offset(e, b, bytes(e, (int64_t)p->b));
    t.args[C_B_Q] = bytes(e, e->panel);
    t.args[C_B_X] = bytes(e, p->b_x);
    t.args[C_B_Y] = bytes(e, p->b_y);
    t.args[C_NQ] = emit_i64(e, p->nq);
    t.args[C_NX] = emit_i64(e, p->nx);
    t.args[C_NY] = emit_i64(e, p->ny);
    t.args[C_INITIAL] = LLVMConstInt(e->i1, 0, false);
    t.args[C_A] = emit_offset(e, emit_offset(e, a, bytes(e, (int64_t)p->a)),
                              emit_index_mul(e, lines.index, p->a_line * e->real_bytes));
    t.args[C_C] = emit_offset(e, emit_offset(e, c, bytes(e, (int64_t)p->c)),
                              emit_index_mul(e, lines.index, p->c_line * e->real_bytes));
    row_tiles(e, t, p->pixels, p->a_pixel, p->c_pixel);
    loop_end(&lines);
}

void lower_conv_packed(const Site *s) {
    Emit *e = s->l->e;
    ConvShape c = shape_of_site(s);
    Op op = s->node->op;
    bool forward = op == OP_conv, all = true;
    Value y = lower_result_row(s), a = bordered(s, op, &c, lower_argument_row(s, 0)), b = lower_argument_row(s, 1);
    uint64_t columns = (forward ? c.filters : c.channels) / c.groups,
             inner = (forward ? c.channels : c.filters) / c.groups;
    uint64_t full = columns / e->panel, rest = columns % e->panel,
             panel = (uint64_t)c.rows * c.columns * inner * e->panel;
    ConvPhase phase;
    for (uint32_t k = 0; k < conv_phases(op, &c); k++) all = all && conv_phase(op, &c, e->panel, k, &phase);
    if (all)
        emit_zero_padding(e, y, lower_count(s->node->shape));
    else /* some pixels get no terms */
        lower_zero(e, y, padded(lower_count(s->node->shape) * e->real_bytes));
    Loop groups, panels;
    loop_count(&groups, e, c.groups);
    a = emit_offset(e, a, emit_index_mul(e, groups.index, inner * e->real_bytes));
    b = emit_offset(e, b, emit_index_mul(e, groups.index, (full + (rest > 0)) * panel * e->real_bytes));
    y = emit_offset(e, y, emit_index_mul(e, groups.index, columns * e->real_bytes));
    if (full) {
        loop_count(&panels, e, full);
        Value bp = emit_offset(e, b, emit_index_mul(e, panels.index, panel * e->real_bytes));
        Value yp = emit_offset(e, y, emit_index_mul(e, panels.index, (uint64_t)e->panel * e->real_bytes));
        for (uint32_t k = 0; k < conv_phases(op, &c); k++)
            if (conv_phase(op, &c, e->panel, k, &phase)) panel_lines(e, tile_of(e, e->panel), &phase, a, bp, yp);
        loop_end(&panels);
    }
    if (rest) {
        Value bp = emit_offset_constant(e, b, full * panel * e->real_bytes);
        Value yp = emit_offset_constant(e, y, full * e->panel * e->real_bytes);
        for (uint32_t k = 0; k < conv_phases(op, &c); k++)
            if (conv_phase(op, &c, e->panel, k, &phase)) panel_lines(e, tile_of(e, rest), &phase, a, bp, yp);
    }
    loop_end(&groups);
}

/* Steps of a sum over pixels in segments: the kernel's innermost count, or the lines of `width` pixels around it. */
#define SEGMENT 1024 /* pixels */
typedef struct Segments {
    uint64_t count, each; /* of steps: all, of one segment */
    bool lines;
    int64_t a_step, b_step; /* elements */
} Segments;

static void add_segment(Emit *e, Tile t, const Segments *s, uint64_t steps, Value first, uint64_t rows,
                        uint64_t c_row) {
    t.args[s->lines ? C_NX : C_NQ] = emit_i64(e, steps);
    t.args[C_A] = emit_offset(e, t.args[C_A], emit_index_mul(e, first, (uint64_t)s->a_step * e->real_bytes));
    t.args[C_B] = emit_offset(e, t.args[C_B], emit_index_mul(e, first, (uint64_t)s->b_step * e->real_bytes));
    row_tiles(e, t, rows, 1, c_row);
}

static void add_segments(Emit *e, const Tile *t, const Segments *s, uint64_t rows, uint64_t c_row) {
    uint64_t whole = s->count / s->each, rest = s->count % s->each;
    if (whole) {
        Loop loop;
        loop_count(&loop, e, whole);
        add_segment(e, *t, s, s->each, emit_index_mul(e, loop.index, s->each), rows, c_row);
        loop_end(&loop);
    }
    if (rest) add_segment(e, *t, s, rest, emit_i64(e, whole * s->each), rows, c_row);
}

/* ---- conv_weight: w[y, x, channel, filter] += sum over pixels of a[pixel, y, x, channel] u[pixel, filter] ---- */
void lower_conv_weights(const Site *s, Value x, Value u, Value w) {
    Emit *e = s->l->e;
    ConvShape c = shape_of_site(s);
    WinogradPlan winograd;
    if (winograd_weight_plan(&c, e->real_bytes, e->panel, &winograd)) {
        lower_conv_winograd_weights(s, &winograd, x, u, w);
        return;
    }
    ConvBorder border = conv_border(OP_conv, &c);
    uint64_t channels = c.channels / c.groups, filters = c.filters / c.groups, width = e->real_bytes;
    bool joined = c.groups == 1 && c.dilation == 1; /* the taps of a row stand side by side */
    uint64_t full = filters / e->panel, rest = filters % e->panel, a_line = (uint64_t)border.width * c.channels;
    Value a = bordered(s, OP_conv, &c, x);
    Loop groups, ky, kx, panels;
    loop_count(&groups, e, c.groups);
    a = emit_offset(e, a, emit_index_mul(e, groups.index, channels * width));
    u = emit_offset(e, u, emit_index_mul(e, groups.index, filters * width));
    w = emit_offset(e, w, emit_index_mul(e, groups.index, filters * width));
    loop_count(&ky, e, c.rows);
    loop_count(&kx, e, joined ? 1 : c.columns);
    a = emit_offset(e, a, emit_index_mul(e, ky.index, c.dilation * a_line * width));
    a = emit_offset(e, a, emit_index_mul(e, kx.index, (uint64_t)c.dilation * c.channels * width));
    Value tap = emit_index_add(e, emit_index_mul(e, ky.index, c.columns), kx.index);
    w = emit_offset(e, w, emit_index_mul(e, tap, channels * c.filters * width));
    bool one_line = c.out_height > 1 && c.stride * a_line == (uint64_t)c.out_width * c.stride * c.channels;
    for (int tail = 0; tail < 2; tail++) {
        if (tail ? !rest : !full) continue;
        Value first = emit_i64(e, full * e->panel);
        if (!tail) {
            loop_count(&panels, e, full);
            first = emit_index_mul(e, panels.index, e->panel);
        }
        Tile t = tile_of(e, tail ? rest : e->panel);
        t.args[C_A] = a;
        t.args[C_A_Q] = bytes(e, (int64_t)c.stride * c.channels);
        t.args[C_A_X] = bytes(e, (int64_t)(c.stride * a_line));
        t.args[C_A_Y] = emit_i64(e, 0);
        t.args[C_B] = emit_element(e, u, first);
        t.args[C_B_Q] = bytes(e, c.filters);
        t.args[C_B_X] = bytes(e, (int64_t)c.out_width * c.filters);
        t.args[C_B_Y] = emit_i64(e, 0);
        t.args[C_C] = emit_element(e, w, first);
        t.args[C_NQ] = emit_i64(e, one_line ? (uint64_t)c.out_width * c.out_height : c.out_width);
        t.args[C_NX] = emit_i64(e, one_line ? 1 : c.out_height);
        t.args[C_NY] = emit_i64(e, 1);
        t.args[C_INITIAL] = LLVMConstInt(e->i1, 1, false);
        Segments segments = {.lines = !one_line};
        segments.count = one_line ? (uint64_t)c.out_width * c.out_height : c.out_height;
        segments.each = one_line ? SEGMENT : SEGMENT / c.out_width ? SEGMENT / c.out_width : 1;
        segments.a_step = (int64_t)c.stride * (one_line ? c.channels : a_line);
        segments.b_step = (int64_t)(one_line ? c.filters : (uint64_t)c.out_width * c.filters);
        add_segments(e, &t, &segments, joined ? c.columns * channels : channels, c.filters);
        if (!tail) loop_end(&panels);
    }
    loop_end(&kx);
    loop_end(&ky);
    loop_end(&groups);
}
