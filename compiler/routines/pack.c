/* pack.c - weights of vector products are laid out once, for the product kernel, in both directions if both are needed.
 */
#include "passes.h"
#include "conv.h"

uint64_t pack_bytes(Layout layout, Shape matrix) {
    uint64_t panels = (matrix.dims[1] + layout.panel - 1) / layout.panel;
    return panels * layout.panel * matrix.dims[0] * layout.real_bytes;
}

NodeId pack_matmul(Stage *s, Graph *rows, NodeId a, NodeId b, bool transpose, Range loc) {
    NodeId packed = graph_op(s->graph, OP_pack, &b, 1, &(Attr){.pack.transposed = transpose}, loc);
    return graph_op(rows, OP_matmul, (NodeId[]){a, stage_read(s, rows, packed)}, 2, &(Attr){.matmul.packed = 1}, loc);
}

/* Cycles, roughly, of a convolution without groups whose vectors have half a panel's lanes. */
static double direct_cost(const ConvShape *c, uint64_t results, uint64_t inner, uint64_t vectors) {
    return 1.08 * (double)(c->rows * c->columns * results * inner * vectors);
}

#define LEAST_TILES 7 /* a product of fewer rows waits for its weights */

/* Of `images` images in one call. */
static double winograd_cost(uint32_t height, uint32_t width, uint32_t images, uint64_t inner, uint64_t vectors,
                            uint64_t inner_vectors) {
    uint64_t tiles = (uint64_t)winograd_tiles(height) * winograd_tiles(width) * images,
             taps = WINOGRAD_TAPS * WINOGRAD_TAPS;
    double rows = winograd_axis(height) * winograd_axis(width) * images;
    if (tiles < LEAST_TILES) rows = (double)(LEAST_TILES * taps);
    return 1.08 * rows * (double)(inner * vectors) + (double)(tiles * taps * (6 * inner_vectors + 7 * vectors));
}

/* Whether the convolution or adjoint reads its weights transformed for Winograd's algorithm, which is decided here and
 * nowhere else.  Double precision stays direct, and so do targets whose vectors have no masked reads. */
static bool wins_winograd(const Stage *s, const ConvShape *c, bool adjoint) {
    if (!winograd_applies(c, s->layout.real_bytes, s->layout.panel)) return false;
    uint32_t height = adjoint ? c->height : c->out_height, width = adjoint ? c->width : c->out_width;
    uint64_t columns = adjoint ? c->channels : c->filters, inner = adjoint ? c->filters : c->channels;
    uint64_t lanes = s->layout.panel / 2, vectors = (columns + lanes - 1) / lanes,
             of_inner = (inner + lanes - 1) / lanes;
    uint32_t images = winograd_images(c, height, width, WINOGRAD_ENOUGH);
    return winograd_cost(height, width, images, inner, vectors, of_inner) <
           images * direct_cost(c, (uint64_t)height * width, inner, vectors);
}

NodeId pack_conv(Stage *s, Graph *rows, const Node *n, NodeId a, NodeId w) {
    ConvShape c;
    const char *why = conv_shape(n->op, &n->attr, graph_node(rows, a)->shape, graph_node(s->graph, w)->shape, &c);
    if (why) ICE("%s: %s", rows->name, why);
    bool adjoint = n->op == OP_conv_input, winograd = wins_winograd(s, &c, adjoint);
    Attr how = {.pack_conv = {adjoint, n->attr.conv.groups, winograd}}, attr = n->attr;
    NodeId packed = graph_op(s->graph, OP_pack_conv, &w, 1, &how, n->loc);
    attr.conv.packed = winograd ? CONV_WINOGRAD : CONV_DIRECT;
    return graph_op(rows, n->op, (NodeId[]){a, stage_read(s, rows, packed)}, 2, &attr, n->loc);
}
