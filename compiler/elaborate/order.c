/* order.c - the order of elements along the last axis: ranked labels, sorted values.
 *
 * Every element is compared with every other of its line: its place is the number of those before it.  What goes to a
 * place is picked by a select, so that values, derivatives and infinities are exact.  Where an element of a line is NaN
 * there is no order, and all that would follow from it is NaN. */
#include "elaborate.h"
#include <math.h>

typedef struct Line { /* n elements along the last axis */
    Graph *g;
    NodeId x;
    Shape shape, down, along; /* [.., n], [.., n, 1], [.., 1, n] */
    NodeId i, j;              /* places down and along */
    Range at;
} Line;

static Line line_of(Graph *g, NodeId x, Range at) {
    Line l = {.g = g, .x = x, .shape = graph_node(g, x)->shape, .at = at};
    Shape ones[2] = {{0}, {0}};
    const uint32_t r = l.shape.rank, n = l.shape.dims[r - 1];
    l.down = l.along = l.shape;
    l.down.rank = l.along.rank = ones[0].rank = ones[1].rank = r + 1;
    for (uint32_t k = 0; k < r + 1; k++) ones[0].dims[k] = ones[1].dims[k] = 1;
    l.down.dims[r] = l.along.dims[r - 1] = 1;
    l.along.dims[r] = ones[0].dims[r - 1] = ones[1].dims[r] = n;
    NodeId iota = graph_op_shaped(g, OP_iota, NULL, 0, NULL, shape_of(1, &n), false, at);
    l.i = graph_reshape(g, iota, ones[0], at);
    l.j = graph_reshape(g, iota, ones[1], at);
    return l;
}

static NodeId over_along(const Line *l, NodeId n) {
    return graph_reduce(l->g, OP_reduce_sum, n, 1u << l->shape.rank, l->at);
}

/* The place of every element, the largest first if they fall, else the smallest; of equal ones the earlier first. */
static NodeId places(const Line *l, bool falling) {
    Graph *g = l->g;
    NodeId mine = graph_reshape(g, l->x, l->down, l->at), other = graph_reshape(g, l->x, l->along, l->at);
    NodeId before = falling ? graph_binary(g, OP_lt, mine, other, l->at) : graph_binary(g, OP_lt, other, mine, l->at);
    NodeId equal = graph_binary(g, OP_eq, mine, other, l->at), left = graph_binary(g, OP_lt, l->j, l->i, l->at);
    NodeId earlier = graph_binary(g, OP_and, equal, left, l->at);
    return over_along(l, graph_binary(g, OP_or, before, earlier, l->at));
}

/* At every place the value of the element that goes there: `along` holds the values. */
static NodeId placed(const Line *l, NodeId place, NodeId along) {
    Graph *g = l->g;
    NodeId here = graph_binary(g, OP_eq, graph_reshape(g, place, l->along, l->at), l->i, l->at);
    NodeId only = graph_op(g, OP_select, (NodeId[]){here, along, graph_constant(g, 0)}, 3, NULL, l->at);
    NodeId found = over_along(l, only), known = graph_binary(g, OP_eq, l->x, l->x, l->at);
    Shape kept = l->shape;
    kept.dims[kept.rank - 1] = 1;
    NodeId unknown = graph_reduce(g, OP_reduce_max, graph_unary(g, OP_not, known, l->at), 1u << (kept.rank - 1), l->at);
    unknown = graph_reshape(g, unknown, kept, l->at);
    return graph_op(g, OP_select, (NodeId[]){unknown, graph_constant(g, NAN), found}, 3, NULL, l->at);
}

NodeId order_ranked(Graph *g, NodeId x, Range at) {
    const Line l = line_of(g, x, at);
    return placed(&l, places(&l, true), l.j);
}

NodeId order_sorted(Graph *g, NodeId x, Range at) {
    const Line l = line_of(g, x, at);
    return placed(&l, places(&l, false), graph_reshape(g, x, l.along, at));
}
