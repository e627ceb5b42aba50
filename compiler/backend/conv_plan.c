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
#define SUM_BYTES (512u << 10) /* of the adjoint in the weights: sums that stay in a cache until they are transformed */
#define SUM_CHANNELS 12        /* whole tiles of the product kernels */
#define SUMMED_TILES 32        /* of the adjoint in the weights: fewer would write and read its sums more often */

static uint64_t aligned(uint64_t bytes) { return (bytes + DEQ_ALIGN - 1) / DEQ_ALIGN * DEQ_ALIGN; }

/* Neighbours do not fall on one set of the first-level cache. */
static uint64_t scattered(uint64_t bytes) { return bytes % 1024 ? bytes : bytes + DEQ_ALIGN; }

/* For about `enough` tiles in a call. */
static WinogradPlan plan_tiles(Op op, const ConvShape *c, uint32_t real_bytes, uint32_t panel, uint32_t enough) {
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
    p.v_tile = aligned((uint64_t)p.channels * real_bytes);
    p.m_tile = (uint64_t)(p.filters + panel - 1) / panel * panel * real_bytes;
    uint64_t taps = WINOGRAD_TAPS * WINOGRAD_TAPS, across = p.columns + p.short_column,
             row = taps * (p.v_tile + p.m_tile) * across;
    p.slice = p.rows ? 1 : 0;
    while (p.slice < p.rows && ((p.slice + 1) * row <= SLICE_BYTES || p.slice * across < SLICE_TILES)) p.slice++;
    p.images = p.slice == p.rows ? winograd_images(c, p.out_height, p.out_width, enough) : 1;
    uint64_t tiles = (p.slice + p.short_row) * across * p.images;
    p.v_tap = scattered(tiles * p.v_tile);
    p.m_tap = scattered(tiles * p.m_tile);
    uint64_t pixels = (uint64_t)WINOGRAD_TAPS * p.channels, results = (uint64_t)WINOGRAD_TILE * p.filters;
    p.discard = aligned((pixels > results ? pixels : results) * real_bytes);
    p.v = p.discard + aligned(results * real_bytes);
    p.products = p.v + taps * p.v_tap;
    p.bytes = p.products + taps * p.m_tap;
    return p;
}

WinogradPlan winograd_plan(Op op, const ConvShape *c, uint32_t real_bytes, uint32_t panel) {
    return plan_tiles(op, c, real_bytes, panel, SLICE_TILES);
}

bool winograd_weight_plan(const ConvShape *c, uint32_t real_bytes, uint32_t panel, WinogradPlan *out) {
    if (!winograd_applies(c, real_bytes, panel)) return false;
    WinogradPlan p = plan_tiles(OP_conv, c, real_bytes, panel, SUMMED_TILES);
    uint64_t taps = WINOGRAD_TAPS * WINOGRAD_TAPS, lanes = panel / 2;
    p.some = p.channels;
    if (p.rows && p.columns && p.slice == p.rows) {
        const uint64_t fit = SUM_BYTES / (taps * p.m_tile) / SUM_CHANNELS * SUM_CHANNELS;
        const uint64_t some = fit > SUM_CHANNELS ? fit : SUM_CHANNELS;
        if (some < p.some) p.some = (uint32_t)some;
    }
    p.w_tap = scattered(p.some * p.m_tile);
    p.weights = p.bytes;
    p.bytes += taps * p.w_tap;
    *out = p;
    /* cycles, roughly: multiply-adds; sums stored, read and transformed; pixels and cotangents transformed */
    double vectors = (double)((c->filters + lanes - 1) / lanes),
           of_pixels = (double)((c->channels + lanes - 1) / lanes);
    double tiles = (double)winograd_tiles(c->out_height) * winograd_tiles(c->out_width) * p.images;
    double products = winograd_axis(c->out_height) * winograd_axis(c->out_width) * p.images * c->channels * vectors;
    double direct = 9.0 * c->out_height * c->out_width * p.images * c->channels * vectors;
    double transforms = (double)taps * (7 * c->channels * vectors + 6 * tiles * (of_pixels + vectors));
    return 1.1 * products + transforms < 1.1 * direct;
}
