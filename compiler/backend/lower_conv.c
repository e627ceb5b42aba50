/* lower_conv.c - convolutions and their adjoints for one row: loops over the definition, for every case that has no
 * kernel (weights of the example's own, tangents of weights).  The terms of a sum are added in the order of the loops.
 */
#include "lower.h"
#include "conv.h"

typedef struct Terms {
    Emit *e;
    ConvShape c;
    bool last, packed, adjoint;
    Value group, filter, channel, row, column; /* filter and channel count within their group */
} Terms;

static Value times_plus(Emit *e, Value a, uint64_t n, Value b) { return emit_index_add(e, emit_index_mul(e, a, n), b); }

static Value image_place(const Terms *t, Value channel, uint32_t channels, Value i, uint32_t height, Value j,
                         uint32_t width) {
    Value at = t->last ? times_plus(t->e, i, width, j) : times_plus(t->e, channel, height, i);
    return t->last ? times_plus(t->e, at, channels, channel) : times_plus(t->e, at, width, j);
}

static Value x_place(const Terms *t, Value u, Value v) {
    Value channel = times_plus(t->e, t->group, t->c.channels / t->c.groups, t->channel);
    return image_place(t, channel, t->c.channels, u, t->c.height, v, t->c.width);
}

static Value y_place(const Terms *t, Value i, Value j) {
    Value filter = times_plus(t->e, t->group, t->c.filters / t->c.groups, t->filter);
    return image_place(t, filter, t->c.filters, i, t->c.out_height, j, t->c.out_width);
}

static Value w_place(const Terms *t) {
    Emit *e = t->e;
    uint32_t filters = t->c.filters / t->c.groups, channels = t->c.channels / t->c.groups;
    Value tap = times_plus(e, t->row, t->c.columns, t->column);
    if (!t->packed) {
        Value o = times_plus(e, t->group, filters, t->filter);
        if (t->last) return times_plus(e, times_plus(e, tap, channels, t->channel), t->c.filters, o);
        Value at = times_plus(e, o, channels, t->channel);
        return times_plus(e, at, (uint64_t)t->c.rows * t->c.columns, tap);
    }
    Value n = t->adjoint ? t->channel : t->filter, inner = t->adjoint ? t->filter : t->channel;
    uint32_t columns = t->adjoint ? channels : filters, inners = t->adjoint ? filters : channels;
    Value panel = LLVMBuildUDiv(e->builder, n, emit_i64(e, e->panel), "");
    Value lane = LLVMBuildURem(e->builder, n, emit_i64(e, e->panel), "");
    Value at = times_plus(e, t->group, (columns + e->panel - 1) / e->panel, panel);
    at = times_plus(e, at, (uint64_t)t->c.rows * t->c.columns, tap);
    return times_plus(e, times_plus(e, at, inners, inner), e->panel, lane);
}

/* base[place(i, j)] where 0 <= i < height and 0 <= j < width (and `also`), else zero. */
static Value inside(const Terms *t, bool of_x, Value base, Value i, Value j, Value also) {
    Emit *e = t->e;
    Value zero = emit_i64(e, 0), height = emit_i64(e, of_x ? t->c.height : t->c.out_height),
          width = emit_i64(e, of_x ? t->c.width : t->c.out_width);
    Value in = LLVMBuildAnd(e->builder, LLVMBuildICmp(e->builder, LLVMIntULT, i, height, ""),
                            LLVMBuildICmp(e->builder, LLVMIntULT, j, width, ""), ""); /* unsigned: not below 0 either */
    if (also) in = LLVMBuildAnd(e->builder, in, also, "");
    i = LLVMBuildSelect(e->builder, in, i, zero, "");
    j = LLVMBuildSelect(e->builder, in, j, zero, "");
    Value v = emit_load(e, emit_element(e, base, of_x ? x_place(t, i, j) : y_place(t, i, j)));
    return emit_select(e, in, v, emit_real(e, 0));
}

/* Place along an axis of x that output place i and tap a read. */
static Value read_at(const Terms *t, Value i, Value tap) {
    Value at = times_plus(t->e, i, t->c.stride, emit_index_mul(t->e, tap, t->c.dilation));
    return LLVMBuildNSWSub(t->e->builder, at, emit_i64(t->e, t->c.padding), "");
}

/* The output place whose tap a reads place u of x; *exact tells whether there is one. */
static Value written_at(const Terms *t, Value u, Value tap, Value *exact) {
    Emit *e = t->e;
    Value at = emit_index_add(e, u, emit_i64(e, t->c.padding));
    at = LLVMBuildNSWSub(e->builder, at, emit_index_mul(e, tap, t->c.dilation), "");
    Value stride = emit_i64(e, t->c.stride);
    *exact = LLVMBuildICmp(e->builder, LLVMIntEQ, LLVMBuildSRem(e->builder, at, stride, ""), emit_i64(e, 0), "");
    return LLVMBuildSDiv(e->builder, at, stride, "");
}

typedef struct Sum { /* y[..] = a sum over three or two inner loops */
    Loop outer[5], inner[3];
    Value acc;
} Sum;

static void sum_begin(Sum *s, Emit *e, const uint32_t *dims, uint32_t n) {
    for (uint32_t k = 0; k < n; k++) loop_count(&s->inner[k], e, dims[k]);
}

static Terms terms_of(const Site *s) {
    Terms t = {.e = s->l->e,
               .last = s->node->attr.conv.last,
               .packed = s->node->attr.conv.packed,
               .adjoint = s->node->op == OP_conv_input};
    const char *why = conv_shape(s->node->op, &s->node->attr, lower_argument_shape(s->l, s->id, 0),
                                 lower_argument_shape(s->l, s->id, 1), &t.c);
    if (why) ICE("%s: %s", s->l->routine->routine->name, why);
    return t;
}

/* y[g, o, i, j] (conv) or x[g, c, u, v] (conv_input). */
static Value lower_image(const Site *s) {
    Emit *e = s->l->e;
    Terms t = terms_of(s);
    const ConvShape *c = &t.c;
    bool forward = !t.adjoint;
    Value image = lower_argument_row(s, 0), w = lower_argument_row(s, 1), y = lower_result_row(s);
    emit_zero_padding(e, y, lower_count(s->node->shape));
    Value acc = emit_alloca(e, e->real, emit_i32(e, 1), e->real_bytes); /* becomes a register */
    uint32_t filters = c->filters / c->groups, channels = c->channels / c->groups;
    Loop group, column, i, j;
    Sum sum;
    loop_count(&group, e, c->groups);
    loop_count(&column, e, forward ? filters : channels);
    loop_count(&i, e, forward ? c->out_height : c->height);
    loop_count(&j, e, forward ? c->out_width : c->width);
    emit_store(e, emit_real(e, 0), acc);
    sum_begin(&sum, e, (uint32_t[]){forward ? channels : filters, c->rows, c->columns}, 3);
    t.group = group.index;
    t.filter = forward ? column.index : sum.inner[0].index;
    t.channel = forward ? sum.inner[0].index : column.index;
    t.row = sum.inner[1].index, t.column = sum.inner[2].index;
    Value v;
    if (forward) {
        v = inside(&t, true, image, read_at(&t, i.index, t.row), read_at(&t, j.index, t.column), NULL);
    } else {
        Value exact_i, exact_j, a = written_at(&t, i.index, t.row, &exact_i),
                                b = written_at(&t, j.index, t.column, &exact_j);
        v = inside(&t, false, image, a, b, LLVMBuildAnd(e->builder, exact_i, exact_j, ""));
    }
    emit_store(e, emit_fma(e, v, emit_load(e, emit_element(e, w, w_place(&t))), emit_load(e, acc)), acc);
    for (uint32_t k = 3; k-- > 0;) loop_end(&sum.inner[k]);
    Value to = forward ? y_place(&t, i.index, j.index) : x_place(&t, i.index, j.index);
    emit_store(e, emit_load(e, acc), emit_element(e, y, to));
    loop_end(&j);
    loop_end(&i);
    loop_end(&column);
    loop_end(&group);
    return NULL;
}

Value lower_conv(const Site *s) {
    if (!s->node->attr.conv.packed) return lower_image(s);
    if (s->node->attr.conv.packed == CONV_WINOGRAD)
        lower_conv_winograd(s);
    else
        lower_conv_packed(s);
    return NULL;
}

Value lower_conv_input(const Site *s) { return lower_conv(s); }

/* y += the sum over the image of x times u, line by line: long sums of short ones round less. */
static void weight_row(const Site *s, Value x, Value u, Value y) {
    Emit *e = s->l->e;
    Terms t = terms_of(s);
    const ConvShape *c = &t.c;
    Value acc = emit_alloca(e, e->real, emit_i32(e, 1), e->real_bytes);
    Loop loops[5];
    Sum sum;
    const uint32_t dims[5] = {c->groups, c->filters / c->groups, c->channels / c->groups, c->rows, c->columns};
    for (uint32_t k = 0; k < 5; k++) loop_count(&loops[k], e, dims[k]);
    t.group = loops[0].index, t.filter = loops[1].index, t.channel = loops[2].index;
    t.row = loops[3].index, t.column = loops[4].index;
    Value to = emit_element(e, y, w_place(&t));
    loop_count(&sum.inner[0], e, c->out_height);
    emit_store(e, emit_real(e, 0), acc);
    loop_count(&sum.inner[1], e, c->out_width);
    Value i = sum.inner[0].index, j = sum.inner[1].index;
    Value v = inside(&t, true, x, read_at(&t, i, t.row), read_at(&t, j, t.column), NULL);
    emit_store(e, emit_fma(e, v, emit_load(e, emit_element(e, u, y_place(&t, i, j))), emit_load(e, acc)), acc);
    loop_end(&sum.inner[1]);
    emit_store(e, emit_add(e, emit_load(e, to), emit_load(e, acc)), to);
    loop_end(&sum.inner[0]);
    for (uint32_t k = 5; k-- > 0;) loop_end(&loops[k]);
}

Value lower_conv_weight(const Site *s) {
    Value x = lower_argument_row(s, 0), u = lower_argument_row(s, 1), y = lower_result_row(s);
    lower_zero(s->l->e, y, padded(lower_count(s->node->shape) * s->l->e->real_bytes));
    if (s->node->attr.conv.last)
        lower_conv_weights(s, x, u, y);
    else
        weight_row(s, x, u, y);
    return NULL;
}

Value lower_batch_conv_weight(const Site *s) {
    Lower *l = s->l;
    Emit *e = l->e;
    Value y = lower_slot(l, l->step->nodes[s->id].slot, NULL);
    if (l->step->nodes[s->id].together) { /* all images of the tile */
        lower_conv_weights(s, lower_argument_row(s, 0), lower_argument_row(s, 1), y);
        return NULL;
    }
    Loop rows;
    loop_begin(&rows, e, emit_i64(e, 0), l->tile_rows, emit_i64(e, 1), false);
    Site at = *s;
    at.row = rows.index;
    Value x = lower_argument_row(&at, 0), u = lower_argument_row(&at, 1);
    if (s->node->attr.conv.last)
        lower_conv_weights(&at, x, u, y);
    else
        weight_row(&at, x, u, y);
    loop_end(&rows);
    return NULL;
}

/* ---- pack_conv ---- */
/* Channels and filters from..to-1 of every group, a vector of filters at a time or a number. */
typedef struct Part {
    uint64_t channels, channels_end, filters, filters_end;
    bool vectors;
} Part;

static void taps_begin(Terms *t, Loop loops[3]) {
    const uint32_t dims[3] = {t->c.groups, t->c.rows, t->c.columns};
    for (uint32_t k = 0; k < 3; k++) loop_count(&loops[k], t->e, dims[k]);
    t->group = loops[0].index, t->row = loops[1].index, t->column = loops[2].index;
}

static void taps_end(Loop loops[3]) {
    for (uint32_t k = 3; k-- > 0;) loop_end(&loops[k]);
}

static Value pack_place(Terms *t, Value base, bool packed) {
    t->packed = packed;
    return emit_element(t->e, base, w_place(t));
}

static void pack_part(Terms *t, Value x, Value y, Part p) {
    Emit *e = t->e;
    Loop taps[3], channel, filter;
    if (p.channels == p.channels_end || p.filters == p.filters_end) return;
    taps_begin(t, taps);
    loop_begin(&channel, e, emit_i64(e, p.channels), emit_i64(e, p.channels_end), emit_i64(e, 1), false);
    loop_begin(&filter, e, emit_i64(e, p.filters), emit_i64(e, p.filters_end), emit_i64(e, p.vectors ? e->lanes : 1),
               false);
    t->channel = channel.index, t->filter = filter.index;
    Value from = pack_place(t, x, false), to = pack_place(t, y, true);
    if (p.vectors)
        emit_store_vector(e, emit_load_vector(e, from, e->real_bytes), to, e->real_bytes);
    else
        emit_store(e, emit_load(e, from), to);
    loop_end(&filter);
    loop_end(&channel);
    taps_end(taps);
}

/* Of the adjoint, whose channels lie side by side, panel by panel: what whole squares of channels and filters hold. */
static void pack_squares(Terms *t, Value x, Value y, uint64_t channels, uint64_t filters) {
    Emit *e = t->e;
    Loop taps[3], panel;
    Squares q = {.read = true,
                 .run = filters,
                 .apart = (uint64_t)t->c.filters * e->real_bytes,
                 .inner = filters,
                 .step = (uint64_t)e->panel * e->real_bytes};
    for (int rest = 0; rest < 2; rest++) {
        const uint64_t whole = channels / e->panel;
        q.count = rest ? channels % e->panel : e->panel;
        if (rest ? q.count < e->lanes : whole == 0) continue;
        taps_begin(t, taps);
        loop_begin(&panel, e, emit_i64(e, rest ? whole : 0), emit_i64(e, whole + rest), emit_i64(e, 1), false);
        t->channel = emit_index_mul(e, panel.index, e->panel), t->filter = emit_i64(e, 0);
        q.runs = pack_place(t, x, false), q.other = pack_place(t, y, true);
        lower_squares(e, &q);
        loop_end(&panel);
        taps_end(taps);
    }
}

Value lower_pack_conv(const Site *s) {
    Emit *e = s->l->e;
    ConvPacking p;
    if (!conv_packing(s->node, &p)) ICE("%s: these are no weights to pack", s->l->routine->routine->name);
    if (p.winograd) {
        lower_pack_winograd(s, &p);
        return NULL;
    }
    const uint32_t *d = s->node->shape.dims;
    const uint64_t channels = d[2], filters = d[3] / p.groups, count = conv_packed_count(&p, e->panel);
    Terms t = {.e = e,
               .last = true,
               .adjoint = p.adjoint,
               .c = {.rows = d[0], .columns = d[1], .channels = d[2] * p.groups, .filters = d[3], .groups = p.groups}};
    Value x = lower_argument_row(s, 0), y = lower_result_row(s);
    if ((p.adjoint ? channels : filters) % e->panel)
        lower_zero(e, y, padded(count * e->real_bytes));
    else
        emit_zero_padding(e, y, count);
    const uint64_t f = filters / e->lanes * e->lanes, c = p.adjoint ? channels / e->lanes * e->lanes : channels;
    if (p.adjoint)
        pack_squares(&t, x, y, channels, filters);
    else
        pack_part(&t, x, y, (Part){0, c, 0, f, true});
    pack_part(&t, x, y, (Part){0, c, f, filters, false});
    pack_part(&t, x, y, (Part){c, channels, 0, filters, false});
    return NULL;
}
