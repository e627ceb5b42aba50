/* pack.c - weights of vector products are laid out once, for the product kernel, in both directions if both are needed.
 */
#include "passes.h"

uint64_t pack_bytes(Layout layout, Shape matrix) {
    uint64_t panels = (matrix.dims[1] + layout.panel - 1) / layout.panel;
    return panels * layout.panel * matrix.dims[0] * layout.real_bytes;
}

NodeId pack_matmul(Stage *s, Graph *rows, NodeId a, NodeId b, bool transpose, Range loc) {
    NodeId packed = graph_op(s->graph, OP_pack, &b, 1, &(Attr){.i = {transpose}}, loc);
    return graph_op(rows, OP_matmul, (NodeId[]){a, stage_read(s, rows, packed)}, 2, &(Attr){.i = {0, 0, 1}}, loc);
}
