/* channels_last.c - images become [H, W, C] inside, whatever the script says.
 *
 * Scripts write images as [C, H, W] and weights as [O, C, rows, columns], and so do checkpoints; kernels want the
 * channels of a pixel and the filters of a tap side by side.  Every value of rank 3 has up to
 * two forms here, made when asked for: convolutions and windows are built channels last, what is elementwise follows
 * its arguments, a broadcast is made in the form that its reader wants, and a permutation stands only where the forms
 * meet (the net's input, flatten, parameters of rank 3).  States, first states and captured values of a fixed point
 * with images are channels last from end to end.  Runs before differentiation, so that derivatives, tapes and records
 * follow. */
#include "passes.h"
#include "conv.h"
#include "fold.h"

typedef struct Forms {
    const Graph *g;
    Graph *out;
    NodeId *first, *last; /* by node of g: as written; channels last (rank 3 only).  NODE_NONE while not made */
    bool *either;         /* rank 3, and made of broadcasts only: both forms cost the same */
    const bool *images;   /* by fixed point: its body is channels last */
} Forms;

static NodeId form_of(Forms *f, NodeId id, bool last);

static bool is_image(const Graph *g, NodeId id) { return g->nodes[id].shape.rank == 3; }

static Shape last_shape(Shape s) { return (Shape){3, {s.dims[1], s.dims[2], s.dims[0]}}; }

/* To the other form; a reshape when no two elements change their order. */
static NodeId exchanged(Graph *g, NodeId id, bool to_last, Range loc) {
    Shape s = graph_node(g, id)->shape;
    Shape to = to_last ? last_shape(s) : (Shape){3, {s.dims[2], s.dims[0], s.dims[1]}};
    uint32_t channels = to_last ? s.dims[0] : s.dims[2];
    if (channels == 1 || shape_count(s) == channels) return graph_reshape(g, id, to, loc);
    Attr axes = {.transpose.axes = {to_last ? 1 : 2, to_last ? 2 : 0, to_last ? 0 : 1}};
    return graph_op(g, OP_transpose, &id, 1, &axes, loc);
}

/* The node on arguments in the given form; for ops that work in either. */
static NodeId rebuilt(Forms *f, NodeId id, bool last) {
    Node n = f->g->nodes[id];
    const NodeId *args = f->g->args + n.args;
    NodeId *mapped = arena_alloc(f->out->arena, (n.nargs + 1) * sizeof *mapped);
    for (uint32_t k = 0; k < n.nargs; k++) mapped[k] = form_of(f, args[k], last && is_image(f->g, args[k]));
    bool raised = n.batched && !graph_batched(f->g, n.op, args, n.nargs);
    Shape shape = last && n.shape.rank == 3 ? last_shape(n.shape) : n.shape;
    return graph_op_shaped(f->out, n.op, mapped, n.nargs, &n.attr, shape, raised, n.loc);
}

static NodeId form_of(Forms *f, NodeId id, bool last) {
    NodeId *made = last ? f->last : f->first;
    if (made[id] != NODE_NONE) return made[id];
    const Node *n = &f->g->nodes[id];
    if (f->either[id]) {
        const Node *from = n->nargs ? graph_node(f->g, graph_arg(f->g, id, 0)) : NULL;
        if (n->op == OP_reshape && from->shape.rank != 3) /* [C] as [C, 1, 1] */
            return made[id] = graph_reshape(f->out, form_of(f, graph_arg(f->g, id, 0), false),
                                            last ? last_shape(n->shape) : n->shape, n->loc);
        return made[id] = rebuilt(f, id, last);
    }
    NodeId other = (last ? f->first : f->last)[id];
    if (other == NODE_NONE) ICE("%s: node %u is read before it is built", f->g->name, id);
    return made[id] = exchanged(f->out, other, last, n->loc);
}

/* Made of broadcasts, constants and vectors only. */
static bool costs_the_same(const Forms *f, NodeId id) {
    const Node *n = &f->g->nodes[id];
    if (n->shape.rank != 3) return false;
    if (n->op == OP_reshape) {
        bool flat = shape_count(n->shape) == n->shape.dims[0];
        NodeId from = graph_arg(f->g, id, 0);
        return flat && (!is_image(f->g, from) || f->either[from]);
    }
    if (n->op == OP_broadcast) {
        NodeId from = graph_arg(f->g, id, 0);
        return !is_image(f->g, from) || f->either[from];
    }
    if (op_class(n->op) != CLASS_ELEMENTWISE) return false;
    for (uint32_t k = 0; k < n->nargs; k++)
        if (is_image(f->g, graph_arg(f->g, id, k)) && !f->either[graph_arg(f->g, id, k)]) return false;
    return true;
}

static bool any_last(const Forms *f, NodeId id) {
    const Node *n = &f->g->nodes[id];
    for (uint32_t k = 0; k < n->nargs; k++) {
        NodeId a = graph_arg(f->g, id, k);
        if (is_image(f->g, a) && !f->either[a] && f->last[a] != NODE_NONE) return true;
    }
    return false;
}

static NodeId moved(Graph *g, NodeId w, Attr axes, Range loc) { return graph_op(g, OP_transpose, &w, 1, &axes, loc); }

/* Sums along axes of an image that is channels last. */
static NodeId reduced(Forms *f, NodeId id) {
    Node n = f->g->nodes[id];
    NodeId x = form_of(f, graph_arg(f->g, id, 0), true);
    int64_t mask = n.attr.reduce.axes;
    Attr attr = {.reduce.axes = (mask & 1) << 2 | (mask >> 1 & 1) | (mask >> 1 & 2)};
    NodeId y = graph_op(f->out, n.op, &x, 1, &attr, n.loc);
    if (n.shape.rank == 2 && !(mask & 1)) /* a spatial axis and the channels are left, in the other order */
        return graph_op(f->out, OP_transpose, &y, 1, &(Attr){.transpose.axes = {1, 0}}, n.loc);
    return graph_reshape(f->out, y, n.shape, n.loc);
}

/* Numbers that come by axis. */
static void move_axes(int64_t *by_axis) {
    int64_t first = by_axis[0];
    by_axis[0] = by_axis[1], by_axis[1] = by_axis[2], by_axis[2] = first;
}

static void convert(Forms *f, NodeId id) {
    Node n = f->g->nodes[id];
    const NodeId *args = f->g->args + n.args;
    NodeId mapped[2], x;
    switch (n.op) {
    case OP_conv:
    case OP_conv_input:
    case OP_conv_weight:
    case OP_batch_conv_weight:
        for (uint32_t k = 0; k < 2; k++) mapped[k] = form_of(f, args[k], is_image(f->g, args[k]));
        if (!is_image(f->g, args[1]))
            mapped[1] = moved(f->out, mapped[1], (Attr){.transpose.axes = {2, 3, 1, 0}}, n.loc);
        n.attr.conv.last = 1;
        x = graph_op(f->out, n.op, mapped, 2, &n.attr, n.loc);
        if (n.shape.rank == 3)
            f->last[id] = x;
        else
            f->first[id] = moved(f->out, x, (Attr){.transpose.axes = {3, 2, 0, 1}}, n.loc);
        return;
    case OP_window_sum:
    case OP_window_spread:
        x = form_of(f, args[0], true);
        n.attr.window.axis = 0;
        f->last[id] = graph_op_shaped(f->out, n.op, &x, 1, &n.attr, last_shape(n.shape), false, n.loc);
        return;
    case OP_fixed: {
        NodeId *all = arena_alloc(f->out->arena, (n.nargs + 1) * sizeof *all);
        for (uint32_t k = 0; k < n.nargs; k++)
            all[k] = form_of(f, args[k], f->images[n.attr.fixed.index] && is_image(f->g, args[k]));
        f->first[id] = graph_op(f->out, n.op, all, n.nargs, &n.attr, n.loc);
        return;
    }
    case OP_fixed_state: {
        bool last = is_image(f->g, id) && f->images[f->g->nodes[args[0]].attr.fixed.index];
        x = form_of(f, args[0], false);
        (last ? f->last : f->first)[id] =
            graph_op_shaped(f->out, n.op, &x, 1, &n.attr, last ? last_shape(n.shape) : n.shape, true, n.loc);
        return;
    }
    default: break;
    }
    if (any_last(f, id)) {
        bool image = n.shape.rank == 3;
        switch (n.op) {
        case OP_slice:
        case OP_pad:
            x = form_of(f, args[0], true);
            move_axes(n.op == OP_slice ? n.attr.slice.start : n.attr.pad.before);
            move_axes(n.op == OP_slice ? n.attr.slice.size : n.attr.pad.after);
            f->last[id] = graph_op(f->out, n.op, &x, 1, &n.attr, n.loc);
            return;
        case OP_concat: {
            NodeId *all = arena_alloc(f->out->arena, n.nargs * sizeof *all);
            for (uint32_t k = 0; k < n.nargs; k++) all[k] = form_of(f, args[k], true);
            n.attr.concat.axis = (n.attr.concat.axis + 2) % 3;
            f->last[id] = graph_op(f->out, n.op, all, n.nargs, &n.attr, n.loc);
            return;
        }
        case OP_reduce_sum:
        case OP_reduce_max: f->first[id] = reduced(f, id); return;
        case OP_broadcast:
        case OP_batch_sum: f->last[id] = rebuilt(f, id, true); return;
        default:
            if (image && op_class(n.op) == CLASS_ELEMENTWISE) {
                f->last[id] = rebuilt(f, id, true);
                return;
            }
        }
    }
    f->first[id] = rebuilt(f, id, false);
}

static bool has_images(const Graph *g) {
    for (NodeId id = 0; id < g->nnodes; id++) {
        Op op = g->nodes[id].op;
        if (op == OP_conv || op == OP_conv_input || op == OP_window_sum || op == OP_window_spread) return true;
    }
    return false;
}

/* inputs_last: its inputs and outputs of rank 3 are channels last too; starts: as for channels_last, or NULL. */
static Graph *converted(Arena *a, const Graph *g, bool inputs_last, const bool *images, const uint32_t *starts,
                        NodeId *map) {
    Forms f = {g, graph_new(a, g->name), graph_map(a, g), graph_map(a, g), arena_alloc(a, g->nnodes + 1), images};
    for (uint32_t k = 0; k < g->ninputs; k++) {
        NodeId id = g->inputs[k];
        Node n = g->nodes[id];
        bool last = inputs_last && n.shape.rank == 3;
        NodeId in = graph_input(f.out, last ? last_shape(n.shape) : n.shape, n.batched, n.attr.name, n.loc);
        f.out->nodes[in].attr = n.attr;
        (last ? f.last : f.first)[id] = in;
    }
    for (NodeId id = 0; id < g->nnodes; id++) {
        if (g->nodes[id].op == OP_input) continue;
        f.either[id] = costs_the_same(&f, id);
        if (!f.either[id]) convert(&f, id);
    }
    for (uint32_t k = 0; k < g->noutputs; k++) {
        NodeId id = g->outputs[k];
        bool last = inputs_last || (starts && starts[k] && images[starts[k] - 1]);
        graph_output(f.out, form_of(&f, id, last && is_image(g, id)));
    }
    for (NodeId id = 0; map && id < g->nnodes; id++) map[id] = f.first[id];
    return f.out;
}

Graph *channels_last(Arena *a, const Graph *g, Graph **bodies, uint32_t nfixed, const uint32_t *starts, NodeId *map) {
    bool *images = arena_alloc(a, nfixed + 1), any = has_images(g);
    for (uint32_t k = 0; k < nfixed; k++) any = (images[k] = has_images(bodies[k])) || any;
    for (NodeId id = 0; id < g->nnodes; id++) map[id] = id;
    if (!any) return (Graph *)g;
    for (uint32_t k = 0; k < nfixed; k++)
        if (images[k]) bodies[k] = converted(a, bodies[k], true, images, NULL, NULL);
    return converted(a, g, false, images, starts, map);
}
