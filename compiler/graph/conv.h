/* conv.h - the geometry of convolutions and their two adjoints, from attributes and shapes.
 *
 * y[o, i, j] = sum over c, a, b of w[o, c, a, b] x[g + c, i * stride - padding + a * dilation, and j likewise with b],
 * where g is the first channel of o's group.  Images are [C, H, W] and weights [O, C / groups, rows, columns], or with
 * attr.conv.last [H, W, C] and [rows, columns, C / groups, O]. */
#ifndef DEQ_COMPILER_CONV_H
#define DEQ_COMPILER_CONV_H
#include "graph.h"
#include "winograd.h"

/* Other values of `packed` than 0: of an input that holds packed weights, and of a convolution that reads them. */
enum { INPUT_MATRIX = 1, INPUT_WEIGHTS };
enum { CONV_DIRECT = 1, CONV_WINOGRAD };

typedef struct ConvShape {
    uint32_t channels, height, width;        /* of x */
    uint32_t filters, out_height, out_width; /* of y */
    uint32_t rows, columns;                  /* of w */
    uint32_t stride, padding, groups, dilation;
} ConvShape;

static inline Shape conv_image(const Attr *attr, uint32_t channels, uint32_t height, uint32_t width) {
    return attr->conv.last ? (Shape){3, {height, width, channels}} : (Shape){3, {channels, height, width}};
}

static inline Shape conv_weights(const Attr *attr, const ConvShape *c) {
    uint32_t channels = c->channels / c->groups;
    return attr->conv.last ? (Shape){4, {c->rows, c->columns, channels, c->filters}}
                           : (Shape){4, {c->filters, channels, c->rows, c->columns}};
}

static inline bool conv_same(Shape a, Shape b) {
    return a.rank == 3 && b.rank == 3 && a.dims[0] == b.dims[0] && a.dims[1] == b.dims[1] && a.dims[2] == b.dims[2];
}

/* NULL and *c, or why a (x; for conv_input y) and b (w; for conv_weight y) do not go together. */
static inline const char *conv_shape(Op op, const Attr *attr, Shape a, Shape b, ConvShape *c) {
    const struct conv_attributes *how = &attr->conv;
    uint32_t c0 = how->last ? 2 : 0, h0 = how->last ? 0 : 1; /* axes of channel and height */
    if (how->stride < 1 || how->groups < 1 || how->dilation < 1 || how->padding < 0)
        return "stride, groups and dilation are at least 1, padding at least 0";
    *c = (ConvShape){.stride = (uint32_t)how->stride,
                     .padding = (uint32_t)how->padding,
                     .groups = (uint32_t)how->groups,
                     .dilation = (uint32_t)how->dilation};
    if (a.rank != 3) return "an image has three axes";
    if (op == OP_conv || op == OP_conv_input) {
        if (b.rank != 4) return "weights have four axes";
        bool last = how->last;
        c->filters = b.dims[last ? 3 : 0];
        c->channels = b.dims[last ? 2 : 1] * c->groups;
        c->rows = b.dims[last ? 0 : 2], c->columns = b.dims[last ? 1 : 3];
    } else {
        if (b.rank != 3) return "an image has three axes";
        if (how->height < 1 || how->width < 1) return "a kernel has no size";
        c->filters = b.dims[c0];
        c->channels = a.dims[c0];
        c->rows = (uint32_t)how->height, c->columns = (uint32_t)how->width;
    }
    if (op == OP_conv_input) {
        if (how->height < 1 || how->width < 1) return "the image has no size";
        c->height = (uint32_t)how->height, c->width = (uint32_t)how->width;
    } else {
        c->height = a.dims[h0], c->width = a.dims[h0 + 1];
    }
    if (c->channels % c->groups || c->filters % c->groups) return "the number of groups does not divide the channels";
    uint64_t rows = (uint64_t)(c->rows - 1) * c->dilation + 1, columns = (uint64_t)(c->columns - 1) * c->dilation + 1;
    uint64_t height = (uint64_t)c->height + 2 * (uint64_t)c->padding,
             width = (uint64_t)c->width + 2 * (uint64_t)c->padding;
    if (rows > height || columns > width) return "the kernel is larger than the padded image";
    c->out_height = (uint32_t)((height - rows) / c->stride + 1);
    c->out_width = (uint32_t)((width - columns) / c->stride + 1);
    Shape x = conv_image(attr, c->channels, c->height, c->width);
    Shape y = conv_image(attr, c->filters, c->out_height, c->out_width);
    if (op != OP_conv_input && !conv_same(a, x)) return "the weights are for another number of channels";
    if (op == OP_conv_input && !conv_same(a, y)) return "the cotangent does not have the dims of the result";
    if ((op == OP_conv_weight || op == OP_batch_conv_weight) && !conv_same(b, y))
        return "the cotangent does not have the dims of the result";
    return NULL;
}
/* Whether Winograd's algorithm can run it: single precision, and vectors with masked reads. */
static inline bool winograd_applies(const ConvShape *c, uint32_t real_bytes, uint32_t panel) {
    return c->rows == 3 && c->columns == 3 && c->stride == 1 && c->dilation == 1 && c->groups == 1 && real_bytes == 4 &&
           panel >= 16;
}

/* Bytes of transformed weights that leave a second-level cache before they are read again.  A net that has them has a
 * quarter as many bytes of parameters: the engine's HEAVY_IMAGES, which gives its blocks several images. */
#define WINOGRAD_HEAVY (2u << 20)
#define WINOGRAD_HEAVIEST                                                                                              \
    (64u << 20)            /* and of those that would take too much memory: they are not transformed for it */
#define WINOGRAD_ENOUGH 14 /* tiles that are worth reading the weights */
#define MOST_IMAGES 8      /* in one call */

/* How many images at most go through a convolution in Winograd's form in one call, for about `enough` tiles: heavy
 * weights are read once for all of them.  Images are of height x width results. */
static inline uint32_t winograd_images(const ConvShape *c, uint32_t height, uint32_t width, uint32_t enough) {
    uint64_t bytes = (uint64_t)WINOGRAD_TAPS * WINOGRAD_TAPS * c->channels * c->filters * 4;
    uint32_t tiles = winograd_tiles(height) * winograd_tiles(width);
    if (bytes <= WINOGRAD_HEAVY || bytes > WINOGRAD_HEAVIEST || tiles >= enough) return 1;
    if (winograd_short(height) || winograd_short(width))
        return 1; /* tiles of several kinds, in an order of their own */
    uint32_t images = (enough + tiles - 1) / tiles;
    return images < MOST_IMAGES ? images : MOST_IMAGES;
}

/* ---- packed weights, of convolutions that are channels last: for each group, panels of `panel` columns, each
 * [rows][columns][inner][panel], zero-filled.  The convolution's columns are the filters and its inner axis the
 * channels; its adjoint's the other way round.  Winograd's have 6 x 6 transformed taps (winograd.h) for rows x columns,
 * the adjoint's of the taps in reverse, and each tap has its panels side by side, [6][6][panels][inner][panel]: they are
 * read tap by tap, from the first byte to the last. ---- */
typedef struct ConvPacking {
    uint32_t groups, columns, inner, taps;
    bool adjoint, winograd;
} ConvPacking;

/* Of a pack_conv node, or of an input that holds what such a node made; false for any other. */
static inline bool conv_packing(const Node *n, ConvPacking *p) {
    struct pack_conv_attributes how = n->attr.pack_conv;
    if (n->op == OP_input)
        how = (struct pack_conv_attributes){n->attr.input.adjoint, n->attr.input.groups, n->attr.input.winograd};
    if (n->op != OP_pack_conv && !(n->op == OP_input && n->attr.input.packed == INPUT_WEIGHTS)) return false;
    uint32_t groups = (uint32_t)how.groups, filters = n->shape.dims[3] / groups, channels = n->shape.dims[2];
    *p = (ConvPacking){.groups = groups,
                       .columns = how.adjoint ? channels : filters,
                       .inner = how.adjoint ? filters : channels,
                       .taps = how.winograd ? WINOGRAD_TAPS * WINOGRAD_TAPS : n->shape.dims[0] * n->shape.dims[1],
                       .adjoint = how.adjoint,
                       .winograd = how.winograd};
    return true;
}

static inline uint64_t conv_panels(const ConvPacking *p, uint32_t panel) { return (p->columns + panel - 1) / panel; }

static inline uint64_t conv_packed_count(const ConvPacking *p, uint32_t panel) {
    return p->groups * conv_panels(p, panel) * p->taps * p->inner * panel;
}

/* Where element k of the weights [rows, columns, C / groups, O] stands; of transformed ones, [6, 6, C, O]. */
static inline uint64_t conv_packed_place(const ConvPacking *p, uint32_t panel, uint64_t k) {
    uint64_t filters = p->adjoint ? p->inner : p->columns, channels = p->adjoint ? p->columns : p->inner;
    uint64_t o = k % (filters * p->groups), c = k / (filters * p->groups) % channels;
    uint64_t tap = k / (filters * p->groups) / channels, group = o / filters;
    uint64_t n = p->adjoint ? c : o % filters, inner = p->adjoint ? o % filters : c;
    uint64_t at = p->winograd ? tap * conv_panels(p, panel) + n / panel
                              : (group * conv_panels(p, panel) + n / panel) * p->taps + tap;
    return (at * p->inner + inner) * panel + n % panel;
}
#endif
