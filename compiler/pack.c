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

NodeId pack_conv(Stage *s, Graph *rows, const Node *n, NodeId a, NodeId w) {
    Attr how = {.i = {n->op == OP_conv_input, n->attr.i[CONV_GROUPS]}}, attr = n->attr;
    NodeId packed = graph_op(s->graph, OP_pack_conv, &w, 1, &how, n->loc);
    attr.i[CONV_PACKED] = 1;
    return graph_op(rows, n->op, (NodeId[]){a, stage_read(s, rows, packed)}, 2, &attr, n->loc);
}
