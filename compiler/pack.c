/* pack.c - weights of vector products are laid out once, for the product kernel, in both directions if both are needed.
 */
#include "passes.h"
#include "conv.h"

uint64_t pack_bytes(Layout layout, Shape matrix) {
    uint64_t panels = (matrix.dims[1] + layout.panel - 1) / layout.panel;
    return panels * layout.panel * matrix.dims[0] * layout.real_bytes;
}

NodeId pack_matmul(Stage *s, Graph *rows, NodeId a, NodeId b, bool transpose, Range loc) {
    NodeId packed = graph_op(s->graph, OP_pack, &b, 1, &(Attr){.i = {transpose}}, loc);
    return graph_op(rows, OP_matmul, (NodeId[]){a, stage_read(s, rows, packed)}, 2, &(Attr){.i = {0, 0, 1}}, loc);
}

/* Cycles, roughly, of a convolution without groups whose vectors have half a panel's lanes. */
static double direct_cost(const ConvShape *c, uint64_t results, uint64_t inner, uint64_t vectors) {
    return 1.08 * (double)(c->rows * c->columns * results * inner * vectors);
}

#define LEAST_TILES 7 /* a product of fewer rows waits for its weights */

static double winograd_cost(uint64_t m, uint64_t height, uint64_t width, uint64_t inner, uint64_t vectors,
                            uint64_t inner_vectors) {
    uint64_t tiles = ((height + m - 1) / m) * ((width + m - 1) / m), n = m + 2;
    double product = 1.12 * (double)(n * n * (tiles < LEAST_TILES ? LEAST_TILES : tiles) * inner * vectors);
    return product + (double)(tiles * n * n * (6 * inner_vectors + 7 * vectors));
}

/* The form in which the convolution or adjoint reads its weights: 1 as they are, 2 or 4 for Winograd's tiles of that
 * side.  Double precision stays direct, and so do targets whose vectors have no masked reads. */
static int64_t packed_form(const Stage *s, const ConvShape *c, bool adjoint) {
    if (c->rows != 3 || c->columns != 3 || c->stride != 1 || c->dilation != 1 || c->groups != 1 ||
        s->layout.real_bytes != 4 || s->layout.panel < 16)
        return 1;
    uint64_t height = adjoint ? c->height : c->out_height, width = adjoint ? c->width : c->out_width;
    uint64_t columns = adjoint ? c->channels : c->filters, inner = adjoint ? c->filters : c->channels;
    uint64_t lanes = s->layout.panel / 2, vectors = (columns + lanes - 1) / lanes,
             of_inner = (inner + lanes - 1) / lanes;
    double best = direct_cost(c, height * width, inner, vectors);
    int64_t form = 1;
    for (int64_t m = 2; m <= 4; m += 2) {
        double cost = winograd_cost((uint64_t)m, height, width, inner, vectors, of_inner);
        if (cost < best) best = cost, form = m;
    }
    return form;
}

NodeId pack_conv(Stage *s, Graph *rows, const Node *n, NodeId a, NodeId w) {
    ConvShape c;
    const char *why = conv_shape(n->op, &n->attr, graph_node(rows, a)->shape, graph_node(s->graph, w)->shape, &c);
    if (why) ICE("%s: %s", rows->name, why);
    int64_t form = packed_form(s, &c, n->op == OP_conv_input);
    Attr how = {.i = {n->op == OP_conv_input, n->attr.i[CONV_GROUPS], form > 1 ? form : 0}}, attr = n->attr;
    NodeId packed = graph_op(s->graph, OP_pack_conv, &w, 1, &how, n->loc);
    attr.i[CONV_PACKED] = form;
    return graph_op(rows, n->op, (NodeId[]){a, stage_read(s, rows, packed)}, 2, &attr, n->loc);
}
