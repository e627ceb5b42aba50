/* conv_plan.c - see conv_plan.h. */
#include "conv_plan.h"
#include "deq_runtime.h"

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/* Least and largest place along one axis of y that the adjoint reads: places with u + padding - tap * dilation on the
 * stride. */
static void adjoint_range(const ConvShape *c, uint32_t size, uint32_t taps, int64_t *least, int64_t *most) {
    *least = 0, *most = 0;
    for (uint32_t tap = 0; tap < taps; tap++) {
        int64_t shift = (int64_t)c->padding - (int64_t)tap * c->dilation;
        int64_t low = -floor_div(-shift, c->stride), high = floor_div((int64_t)size - 1 + shift, c->stride);
        if (low > high) continue;
        if (low < *least) *least = low;
        if (high > *most) *most = high;
    }
}

ConvBorder conv_border(Op op, const ConvShape *c) {
    ConvBorder b = {0};
    if (op == OP_conv_input) {
        int64_t least, most;
        adjoint_range(c, c->height, c->rows, &least, &most);
        b.top = (uint32_t)-least;
        b.height = b.top + (most >= c->out_height ? (uint32_t)most + 1 : c->out_height);
        adjoint_range(c, c->width, c->columns, &least, &most);
        b.left = (uint32_t)-least;
        b.width = b.left + (most >= c->out_width ? (uint32_t)most + 1 : c->out_width);
        b.needed = b.height != c->out_height || b.width != c->out_width;
        return b;
    }
    uint32_t height = (c->out_height - 1) * c->stride + (c->rows - 1) * c->dilation + 1;
    uint32_t width = (c->out_width - 1) * c->stride + (c->columns - 1) * c->dilation + 1;
    b.top = b.left = c->padding;
    b.height = height > c->height + c->padding ? height : c->height + c->padding;
    b.width = width > c->width + c->padding ? width : c->width + c->padding;
    b.needed = b.height != c->height || b.width != c->width;
    return b;
}

uint64_t conv_border_count(Op op, const ConvShape *c) {
    ConvBorder b = conv_border(op, c);
    return (uint64_t)b.height * b.width * (op == OP_conv_input ? c->filters : c->channels);
}

uint32_t conv_phases(Op op, const ConvShape *c) { return op == OP_conv_input ? c->stride * c->stride : 1; }

typedef struct AxisTaps {     /* of one axis of an adjoint's phase */
    uint64_t first, apart, n; /* taps */
    int64_t place;            /* in y, of the phase's first pixel under the first tap */
    int64_t step;             /* in y, from tap to tap */
} AxisTaps;

static bool axis_taps(const ConvShape *c, uint32_t phase, uint32_t taps, AxisTaps *t) {
    *t = (AxisTaps){0};
    for (uint32_t tap = 0; tap < taps; tap++) {
        int64_t at = (int64_t)phase + c->padding - (int64_t)tap * c->dilation;
        if (at % c->stride) continue;
        if (t->n == 0) t->first = tap, t->place = at / c->stride;
        if (t->n == 1) t->apart = tap - t->first, t->step = at / c->stride - t->place;
        t->n++;
    }
    return t->n > 0;
}

bool conv_phase(Op op, const ConvShape *c, uint32_t panel, uint32_t k, ConvPhase *out) {
    ConvBorder b = conv_border(op, c);
    uint64_t channels = c->channels, filters = c->filters, inner;
    if (op == OP_conv) {
        inner = channels / c->groups;
        uint64_t row = b.width * channels;
        *out = (ConvPhase){.lines = c->out_height,
                           .pixels = c->out_width,
                           .a_line = c->stride * row,
                           .a_pixel = c->stride * channels,
                           .c_line = c->out_width * filters,
                           .c_pixel = filters,
                           .ny = c->rows,
                           .nx = c->columns,
                           .nq = inner,
                           .a_y = (int64_t)(c->dilation * row),
                           .a_x = (int64_t)(c->dilation * channels),
                           .b_x = (int64_t)(inner * panel)};
        out->b_y = (int64_t)c->columns * out->b_x;
        if (c->groups == 1 && c->dilation == 1) { /* the taps of a row stand side by side */
            out->nq *= out->nx;
            out->nx = 1;
        }
        if (c->rows == 1 && out->nx == 1 && out->a_line == out->pixels * out->a_pixel) { /* all pixels are one line */
            out->pixels *= out->lines;
            out->lines = 1;
        }
        return true;
    }
    uint32_t py = k / c->stride, px = k % c->stride;
    AxisTaps y, x;
    inner = filters / c->groups;
    if (py >= c->height || px >= c->width || !axis_taps(c, py, c->rows, &y) || !axis_taps(c, px, c->columns, &x))
        return false;
    uint64_t row = b.width * filters;
    *out = (ConvPhase){.lines = (c->height - py + c->stride - 1) / c->stride,
                       .pixels = (c->width - px + c->stride - 1) / c->stride,
                       .a = (uint64_t)(y.place + b.top) * row + (uint64_t)(x.place + b.left) * filters,
                       .a_line = row,
                       .a_pixel = filters,
                       .b = (y.first * c->columns + x.first) * inner * panel,
                       .c = ((uint64_t)py * c->width + px) * channels,
                       .c_line = (uint64_t)c->stride * c->width * channels,
                       .c_pixel = c->stride * channels,
                       .ny = y.n,
                       .nx = x.n,
                       .nq = inner,
                       .a_y = y.step * (int64_t)row,
                       .a_x = x.step * (int64_t)filters,
                       .b_y = (int64_t)(y.apart * c->columns * inner * panel),
                       .b_x = (int64_t)(x.apart * inner * panel)};
    if (out->ny == 1 && out->nx == 1 && out->a_line == out->pixels * out->a_pixel &&
        out->c_line == out->pixels * out->c_pixel) {
        out->pixels *= out->lines;
        out->lines = 1;
    }
    return true;
}

/* ---- Winograd ---- */
#define SLICE_BYTES (256u << 10) /* transformed pixels and products of a slice: they stay in the second-level cache */
#define SLICE_TILES WINOGRAD_ENOUGH /* fewer tiles would read the weights more often */

static uint64_t whole(uint64_t n, uint64_t unit) { return (n + unit - 1) / unit * unit; }
static uint64_t aligned(uint64_t bytes) { return whole(bytes, DEQ_ALIGN); }

/* Neighbours do not fall on one set of the first-level cache. */
static uint64_t scattered(uint64_t bytes) { return bytes % 1024 ? bytes : bytes + DEQ_ALIGN; }

/* Sizes and tiles. */
static WinogradPlan sizes_of(Op op, const ConvShape *c) {
    bool adjoint = op == OP_conv_input;
    WinogradPlan p = {.channels = adjoint ? c->filters : c->channels,
                      .height = adjoint ? c->out_height : c->height,
                      .width = adjoint ? c->out_width : c->width,
                      .filters = adjoint ? c->channels : c->filters,
                      .out_height = adjoint ? c->height : c->out_height,
                      .out_width = adjoint ? c->width : c->out_width,
                      .before = adjoint ? 2 - (int64_t)c->padding : c->padding};
    p.short_row = winograd_short(p.out_height);
    p.short_column = winograd_short(p.out_width);
    p.rows = winograd_tiles(p.out_height) - p.short_row;
    p.columns = winograd_tiles(p.out_width) - p.short_column;
    return p;
}

/* Tiles of a call. */
static uint64_t tiles_together(const WinogradPlan *p) {
    return (uint64_t)(p->slice + p->short_row) * (p->columns + p->short_column) * p->images;
}

/* Places of what so many channels' pixels and so many filters' products take. */
static void lay_out(WinogradPlan *p, uint32_t channels, uint32_t filters, uint32_t real_bytes, uint32_t panel) {
    uint64_t taps = WINOGRAD_TAPS * WINOGRAD_TAPS, tiles = tiles_together(p);
    p->v_tile = aligned((uint64_t)channels * real_bytes);
    p->m_tile = whole(filters, panel) * real_bytes;
    p->v_tap = scattered(tiles * p->v_tile);
    p->m_tap = scattered(tiles * p->m_tile);
    uint64_t pixels = (uint64_t)WINOGRAD_TAPS * p->channels, results = (uint64_t)WINOGRAD_TILE * p->filters;
    p->discard = aligned((pixels > results ? pixels : results) * real_bytes);
    p->v = p->discard + aligned(results * real_bytes);
    p->products = p->v + taps * p->v_tap;
    p->bytes = p->products + taps * p->m_tap;
}

WinogradPlan winograd_plan(Op op, const ConvShape *c, uint32_t real_bytes, uint32_t panel) {
    WinogradPlan p = sizes_of(op, c);
    uint64_t taps = WINOGRAD_TAPS * WINOGRAD_TAPS, across = p.columns + p.short_column,
             tile = aligned((uint64_t)p.channels * real_bytes) + whole(p.filters, panel) * real_bytes;
    p.slice = p.rows ? 1 : 0;
    while (p.slice < p.rows && ((p.slice + 1) * taps * tile * across <= SLICE_BYTES || p.slice * across < SLICE_TILES))
        p.slice++;
    p.images = p.slice == p.rows ? winograd_images(c, p.out_height, p.out_width, SLICE_TILES) : 1;
    lay_out(&p, p.channels, p.filters, real_bytes, panel);
    return p;
}

/* ---- the adjoint in the weights ---- */
#define SUMMED_TILES 32 /* fewer would transform the sums, and read and write the weights' cotangent, more often */
/* What is transformed of one side, and the sums of some channels and filters, stay in the second-level cache. */
#define SIDE_BYTES (320u << 10)
#define SUM_BYTES (160u << 10)

/* At most `most` of n, in equal parts of whole `unit`s. */
static uint32_t divided(uint32_t n, uint64_t most, uint32_t unit) {
    uint64_t units = most / unit ? most / unit : 1, parts = (n + units * unit - 1) / (units * unit);
    uint64_t each = whole((n + parts - 1) / parts, unit);
    return each < n ? (uint32_t)each : n;
}

bool winograd_weight_plan(const ConvShape *c, uint32_t real_bytes, uint32_t panel, WinogradPlan *out) {
    if (!winograd_applies(c, real_bytes, panel)) return false;
    WinogradPlan p = sizes_of(OP_conv, c);
    const uint64_t taps = WINOGRAD_TAPS * WINOGRAD_TAPS, across = p.columns + p.short_column;
    const uint32_t lanes = panel / 2;
    p.slice = p.rows ? 1 : 0;
    while (p.slice < p.rows && p.slice * across < SUMMED_TILES) p.slice++;
    p.images = p.slice == p.rows ? winograd_images(c, p.out_height, p.out_width, SUMMED_TILES) : 1;
    const uint64_t each = taps * tiles_together(&p) * real_bytes, sum = taps * real_bytes; /* bytes, of a channel */
    p.kept = p.channels * each <= SIDE_BYTES;
    const uint64_t transformed = (p.kept ? SIDE_BYTES / 2 : SIDE_BYTES) / each, summed = SUM_BYTES / (sum * lanes);
    p.some_filters = divided(p.filters, transformed < summed ? transformed : summed, panel);
    p.some_channels = divided(p.channels, SUM_BYTES / (sum * whole(p.some_filters, panel)), lanes);
    lay_out(&p, p.kept ? p.channels : p.some_channels, p.some_filters, real_bytes, panel);
    p.w_tap = scattered(p.some_channels * p.m_tile);
    p.weights = p.bytes;
    p.bytes += taps * p.w_tap;
    *out = p;
    /* cycles, roughly: multiply-adds; of every slice, sums stored, read and transformed; pixels, of every part of the
     * filters unless they are kept, and cotangents transformed */
    double slices = p.slice ? (p.rows + p.slice - 1) / p.slice : 1;
    double parts = p.kept ? 1 : (p.filters + p.some_filters - 1) / p.some_filters;
    double vectors = (double)((c->filters + lanes - 1) / lanes),
           of_pixels = parts * ((c->channels + lanes - 1) / lanes);
    double tiles = (double)winograd_tiles(c->out_height) * winograd_tiles(c->out_width) * p.images;
    double products = winograd_axis(c->out_height) * winograd_axis(c->out_width) * p.images * c->channels * vectors;
    double direct = 9.0 * c->out_height * c->out_width * p.images * c->channels * vectors;
    double transforms = (double)taps * (7 * slices * c->channels * vectors + 6 * tiles * (of_pixels + vectors));
    return 1.1 * products + transforms < 1.1 * direct;
}
