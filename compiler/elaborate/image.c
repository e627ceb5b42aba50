/* image.c - pooling and resizing of images [C, H, W], composed of windows, slices and products. */
#include "elaborate.h"
#include <math.h>

static NodeId op2(Graph *g, Op op, NodeId a, NodeId b, Range at) { return graph_binary(g, op, a, b, at); }

static NodeId padded_image(Graph *g, NodeId x, uint32_t padding, Range at) {
    Attr pad = {.pad = {.before = {0, padding, padding}, .after = {0, padding, padding}}};
    return graph_op(g, OP_pad, &x, 1, &pad, at);
}

/* The elements at (row, column) of every window: a strided slice, as windows of one element. */
static NodeId window_element(Graph *g, NodeId x, uint32_t row, uint32_t column, uint32_t rows, uint32_t columns,
                             uint32_t stride, Range at) {
    Shape s = graph_node(g, x)->shape;
    uint32_t height = (rows - 1) * stride + 1, width = (columns - 1) * stride + 1;
    Attr slice = {.slice = {.start = {0, row, column}, .size = {s.dims[0], height, width}}};
    Attr window = {.window = {.size = {1, 1}, .apart = {stride, stride}, .axis = 1}};
    NodeId part = graph_op(g, OP_slice, &x, 1, &slice, at);
    return graph_op(g, OP_window_sum, &part, 1, &window, at);
}

/* Padding never wins: it counts as -inf.  On ties the derivative goes to the first element in row-major order, as the
 * elementwise maximum gives it to its left argument. */
static NodeId largest(Graph *g, NodeId x, const Pool *p, uint32_t rows, uint32_t columns, Range at) {
    if (p->padding) {
        NodeId one = graph_broadcast(g, graph_constant(g, 1), graph_node(g, x)->shape, at);
        NodeId inside = padded_image(g, one, p->padding, at), lowest = graph_constant(g, -INFINITY);
        x = graph_op(g, OP_select, (NodeId[]){inside, padded_image(g, x, p->padding, at), lowest}, 3, NULL, at);
    }
    NodeId best = NODE_NONE;
    for (uint32_t k = 0; k < p->kernel * p->kernel; k++) {
        NodeId e = window_element(g, x, k / p->kernel, k % p->kernel, rows, columns, p->stride, at);
        best = best == NODE_NONE ? e : op2(g, OP_max, best, e, at);
    }
    return best;
}

NodeId image_pool(Graph *g, NodeId x, const Pool *p, Range at) {
    Shape s = graph_node(g, x)->shape;
    uint32_t rows = (s.dims[1] + 2 * p->padding - p->kernel) / p->stride + 1;
    uint32_t columns = (s.dims[2] + 2 * p->padding - p->kernel) / p->stride + 1;
    if (p->largest) return largest(g, x, p, rows, columns, at);
    if (p->padding) x = padded_image(g, x, p->padding, at);
    Attr window = {.window = {.size = {p->kernel, p->kernel}, .apart = {p->stride, p->stride}, .axis = 1}};
    NodeId sum = graph_op(g, OP_window_sum, &x, 1, &window, at);
    return op2(g, OP_mul, sum, graph_constant(g, 1.0 / ((double)p->kernel * p->kernel)), at);
}

NodeId image_upsample(Graph *g, NodeId x, uint32_t factor, Range at) {
    Shape s = graph_node(g, x)->shape;
    s.dims[1] *= factor, s.dims[2] *= factor;
    Attr window = {.window = {.size = {factor, factor}, .apart = {factor, factor}, .axis = 1}};
    return graph_op_shaped(g, OP_window_spread, &x, 1, &window, s, false, at);
}

/* [to, from]: row i weighs the two elements around (i + 0.5) from / to - 0.5, clamped to the image. */
static NodeId interpolation(Graph *g, uint32_t from, uint32_t to, Range at) {
    NodeId i = graph_op_shaped(g, OP_iota, NULL, 0, NULL, shape_of(1, &to), false, at);
    NodeId j = graph_op_shaped(g, OP_iota, NULL, 0, NULL, shape_of(1, &from), false, at);
    double scale = (double)from / to;
    NodeId place = op2(g, OP_mul, i, graph_constant(g, scale), at);
    place = op2(g, OP_add, place, graph_constant(g, 0.5 * scale - 0.5), at);
    place = op2(g, OP_max, place, graph_constant(g, 0), at);
    place = op2(g, OP_min, place, graph_constant(g, from - 1), at);
    Shape full = shape_of(2, (uint32_t[]){to, from});
    place = graph_broadcast(g, graph_reshape(g, place, shape_of(2, (uint32_t[]){to, 1}), at), full, at);
    j = graph_broadcast(g, graph_reshape(g, j, shape_of(2, (uint32_t[]){1, from}), at), full, at);
    NodeId distance = graph_unary(g, OP_abs, op2(g, OP_sub, place, j, at), at);
    return graph_unary(g, OP_relu, op2(g, OP_sub, graph_constant(g, 1), distance, at), at);
}

/* The last axis interpolated to `to` elements. */
static NodeId along_last(Graph *g, NodeId x, uint32_t to, Range at) {
    Shape s = graph_node(g, x)->shape;
    uint32_t from = s.dims[2];
    if (from == to) return x;
    NodeId rows = graph_reshape(g, x, shape_of(2, (uint32_t[]){s.dims[0] * s.dims[1], from}), at);
    NodeId y = graph_matmul(g, rows, interpolation(g, from, to, at), false, true, at);
    return graph_reshape(g, y, shape_of(3, (uint32_t[]){s.dims[0], s.dims[1], to}), at);
}

NodeId image_bilinear(Graph *g, NodeId x, uint32_t height, uint32_t width, Range at) {
    Attr exchanged = {.transpose.axes = {0, 2, 1}};
    x = along_last(g, x, width, at);
    if (graph_node(g, x)->shape.dims[1] == height) return x;
    x = graph_op(g, OP_transpose, &x, 1, &exchanged, at);
    x = along_last(g, x, height, at);
    return graph_op(g, OP_transpose, &x, 1, &exchanged, at);
}
