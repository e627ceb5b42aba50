/* builtin.c - the built-in functions of lang/builtin.def, as graph nodes. */
#include "elaborate.h"
#include "conv.h"
#include "tables.h"
#include <math.h>
#include <string.h>

typedef struct In { /* one call: its arguments, matched by the names of the row */
    Scope *s;
    const Ast *call;
    Args args;
    Value v[6];
    bool given[6];
    Range at;
} In;

static Graph *graph(const In *in) { return in->s->build->graph; }
static Value node(const In *in, NodeId n) { return value_node(in->s->build, n); }
static NodeId one(const In *in, uint32_t k) { return node_of(in->s, in->v[k], in->at); }
static Shape shape(const In *in, NodeId n) { return graph_node(graph(in), n)->shape; }
static NodeId op1(const In *in, Op op, NodeId a) { return graph_unary(graph(in), op, a, in->at); }
static NodeId op2(const In *in, Op op, NodeId a, NodeId b) { return graph_binary(graph(in), op, a, b, in->at); }

/* ---- axes ---- */
/* Mask of `axes:` (a list of numbers, or one), all axes when left out; false after an error. */
static bool axes_mask(const In *in, uint32_t k, uint32_t rank, uint32_t *mask) {
    *mask = (1u << rank) - 1;
    if (!in->given[k]) return true;
    Value v = in->v[k], single = v;
    if (v.kind == VALUE_NUMBER) v = value_tuple(in->s->elab->arena, &single, 1);
    *mask = 0;
    for (uint32_t i = 0; v.kind == VALUE_TUPLE && i < v.nitems; i++) {
        double x = v.items[i].number;
        if (v.items[i].kind != VALUE_NUMBER || x < 0 || x >= rank || x != floor(x)) {
            elab_error(in->s, DIAG_E0319, in->at, "axes are whole numbers from 0 to %d here", (int)rank - 1);
            return false;
        }
        *mask |= 1u << (uint32_t)x;
    }
    if (v.kind == VALUE_TUPLE && *mask) return true;
    elab_error(in->s, DIAG_E0319, in->at, "axes: [0, 1] names the axes to reduce");
    return false;
}

static double axes_count(Shape s, uint32_t mask) {
    double n = 1;
    for (uint32_t k = 0; k < s.rank; k++)
        if (mask >> k & 1) n *= s.dims[k];
    return n;
}

/* Reduced value with its axes back at size 1, so that it broadcasts against what it was reduced from. */
static NodeId reduce_keep(const In *in, Op op, NodeId a, uint32_t mask) {
    Shape s = shape(in, a);
    NodeId r = graph_reduce(graph(in), op, a, mask, in->at);
    for (uint32_t k = 0; k < s.rank; k++)
        if (mask >> k & 1) s.dims[k] = 1;
    return graph_reshape(graph(in), r, s, in->at);
}

/* The maximum over the mask, kept axes at size 1; it carries no derivative where the result does not depend on it. */
static NodeId shift_of(const In *in, NodeId a, uint32_t mask) {
    return op1(in, OP_stop_gradient, reduce_keep(in, OP_reduce_max, a, mask));
}

/* log(sum(exp(a))) over the mask, kept axes at size 1. */
static NodeId logsumexp_keep(const In *in, NodeId a, uint32_t mask) {
    NodeId m = shift_of(in, a, mask);
    NodeId sum = reduce_keep(in, OP_reduce_sum, op1(in, OP_exp, op2(in, OP_sub, a, m)), mask);
    return op2(in, OP_add, m, op1(in, OP_log, sum));
}

static NodeId drop_axes(const In *in, NodeId kept, uint32_t mask) {
    Shape s = shape(in, kept), out = {0};
    for (uint32_t k = 0; k < s.rank; k++)
        if (!(mask >> k & 1)) out.dims[out.rank++] = s.dims[k];
    return graph_reshape(graph(in), kept, out, in->at);
}

/* The power of two by which the squares of a are scaled, from their plain sum: 1 unless that sum is near the ends of the
 * range of f32 or, in f64, of its own.  The outer bounds are 0 and infinite in f32, so that nothing lies beyond them. */
static NodeId norm_scale(const In *in, NodeId squares) {
    static const struct {
        bool above;
        int bound, scale; /* exponents of two */
    } ends[] = {{false, -90, -75}, {true, 120, 75}, {false, -900, -560}, {true, 900, 560}};
    Graph *g = graph(in);
    NodeId scale = graph_constant(g, 1);
    for (size_t k = 0; k < sizeof ends / sizeof *ends; k++) {
        NodeId bound = graph_constant(g, ldexp(1, ends[k].bound)), other = graph_constant(g, ldexp(1, ends[k].scale));
        NodeId beyond = ends[k].above ? op2(in, OP_lt, bound, squares) : op2(in, OP_lt, squares, bound);
        scale = graph_op(g, OP_select, (NodeId[]){beyond, other, scale}, 3, NULL, in->at);
    }
    return scale;
}

/* sqrt(sum(a a)) as c sqrt(sum((a / c)(a / c))): no square is too large or too small.  c is a power of two, and 1 for the
 * usual numbers, so nothing is rounded by it.  It carries no derivative: the result does not depend on it.  The square root
 * is the one whose derivative at 0 is 0. */
static NodeId euclidean(const In *in, NodeId a, uint32_t mask) {
    Graph *g = graph(in);
    NodeId plain = reduce_keep(in, OP_reduce_sum, op2(in, OP_mul, a, a), mask);
    NodeId scale = norm_scale(in, op1(in, OP_stop_gradient, plain));
    NodeId scaled = op2(in, OP_mul, a, op2(in, OP_div, graph_constant(g, 1), scale));
    NodeId squares = reduce_keep(in, OP_reduce_sum, op2(in, OP_mul, scaled, scaled), mask);
    NodeId root = graph_op(g, OP_sqrt, &squares, 1, &(Attr){.edge.even = 1}, in->at);
    return drop_axes(in, op2(in, OP_mul, scale, root), mask);
}

static Value reduce(const In *in, const char *name) {
    NodeId a = one(in, 0);
    if (a == NODE_NONE) return (Value){0};
    Shape s = shape(in, a);
    uint32_t mask;
    uint32_t axes = strcmp(name, "max") == 0 || strcmp(name, "min") == 0 ? 2 : 1;
    if (s.rank == 0 && !in->given[axes]) {
        if (strcmp(name, "norm") == 0) return node(in, op1(in, OP_abs, a));
        return node(in, a);
    }
    if (!axes_mask(in, axes, s.rank, &mask)) return (Value){0};
    Graph *g = graph(in);
    if (strcmp(name, "sum") == 0) return node(in, graph_reduce(g, OP_reduce_sum, a, mask, in->at));
    if (strcmp(name, "max") == 0) return node(in, graph_reduce(g, OP_reduce_max, a, mask, in->at));
    if (strcmp(name, "min") == 0)
        return node(in, op1(in, OP_neg, graph_reduce(g, OP_reduce_max, op1(in, OP_neg, a), mask, in->at)));
    if (strcmp(name, "logsumexp") == 0) return node(in, drop_axes(in, logsumexp_keep(in, a, mask), mask));
    if (strcmp(name, "norm") == 0) return node(in, euclidean(in, a, mask));
    NodeId sum = graph_reduce(g, OP_reduce_sum, a, mask, in->at);
    return node(in, op2(in, OP_mul, sum, graph_constant(g, 1 / axes_count(s, mask))));
}

/* ---- the functions ---- */
/* Builtins that are an operation of the same name on every element; OP_COUNT for any other. */
static Op unary_op(const char *name) {
    for (const Builtin *b = builtin_table; b->name; b++) {
        if (strcmp(b->name, name) != 0 || b->rule != RULE_ELEMENTWISE || b->nargs != 1) continue;
        Op op = op_named(name);
        if (op == OP_COUNT) ICE("the builtin '%s' is no operation", name);
        return op;
    }
    return OP_COUNT;
}

/* [a, b, c] or one number as dims. */
static bool dims_of(const In *in, uint32_t k, Shape *out) {
    Value v = in->v[k], single = v;
    if (v.kind == VALUE_NUMBER) v = value_tuple(in->s->elab->arena, &single, 1);
    *out = shape_scalar();
    if (v.kind != VALUE_TUPLE || v.nitems > MAX_RANK) {
        elab_error(in->s, DIAG_E0309, in->at, "dims are a list of sizes such as [8, 4]");
        return false;
    }
    for (uint32_t i = 0; i < v.nitems; i++) {
        double x = v.items[i].number;
        if (v.items[i].kind != VALUE_NUMBER || !(x >= 1) || x != floor(x) || x > 2147483647.0) {
            elab_error(in->s, DIAG_E0310, in->at, "dims are positive whole numbers");
            return false;
        }
        out->dims[out->rank++] = (uint32_t)x;
    }
    return true;
}

static Value concat(const In *in) {
    NodeId parts[64];
    uint32_t n = 0;
    double axis = 0;
    for (uint32_t k = 0; k < in->args.n; k++) {
        const Arg *a = &in->args.items[k];
        if (a->name && strcmp(a->name, "axis") == 0) {
            axis = a->value.number;
            continue;
        }
        if (n == 64) return elab_error(in->s, DIAG_E0601, in->at, "concat joins at most 64 parts");
        if ((parts[n++] = node_of(in->s, a->value, a->at)) == NODE_NONE) return (Value){0};
    }
    if (n == 0) return elab_error(in->s, DIAG_E0303, in->at, "concat needs something to join");
    Shape s = shape(in, parts[0]);
    if (axis < 0 || axis >= s.rank || axis != floor(axis))
        return elab_error(in->s, DIAG_E0319, in->at, "there is no such axis to join along");
    for (uint32_t k = 1; k < n; k++) {
        Shape o = shape(in, parts[k]);
        bool fits = o.rank == s.rank;
        for (uint32_t d = 0; fits && d < s.rank; d++) fits = d == (uint32_t)axis || o.dims[d] == s.dims[d];
        if (!fits)
            return elab_error(in->s, DIAG_E0312, in->at, "%s cannot be joined with %s along axis %d",
                              shape_text(in->s->elab->arena, o), shape_text(in->s->elab->arena, s), (int)axis);
    }
    return node(in, graph_op(graph(in), OP_concat, parts, n, &(Attr){.concat.axis = (int64_t)axis}, in->at));
}

static Value pad(const In *in) {
    NodeId a = one(in, 0);
    if (a == NODE_NONE) return (Value){0};
    Shape s = shape(in, a);
    Attr attr = {0};
    if (in->v[1].kind != VALUE_TUPLE || in->v[1].nitems != 2 * s.rank)
        return elab_error(in->s, DIAG_E0309, in->at, "pad takes a pair of widths for each of the %u axes", s.rank);
    for (uint32_t k = 0; k < 2 * s.rank; k++) {
        double x = in->v[1].items[k].number;
        if (in->v[1].items[k].kind != VALUE_NUMBER || x < 0 || x != floor(x) || x > 1e6)
            return elab_error(in->s, DIAG_E0309, in->at, "widths are whole numbers from 0");
        (k % 2 ? attr.pad.after : attr.pad.before)[k / 2] = (int64_t)x;
    }
    return node(in, graph_op(graph(in), OP_pad, &a, 1, &attr, in->at));
}

static Value conv(const In *in) {
    NodeId a[2] = {one(in, 0), one(in, 1)};
    if (a[0] == NODE_NONE || a[1] == NODE_NONE) return (Value){0};
    Attr attr = {0};
    struct conv_attributes *how = &attr.conv;
    const struct {
        const char *name;
        int64_t *number;
        double least;
    } numbers[] = {{"stride", &how->stride, 1},
                   {"padding", &how->padding, 0},
                   {"groups", &how->groups, 1},
                   {"dilation", &how->dilation, 1}};
    for (uint32_t k = 0; k < 4; k++) {
        double least = numbers[k].least, x = in->given[2 + k] ? in->v[2 + k].number : least;
        if ((in->given[2 + k] && in->v[2 + k].kind != VALUE_NUMBER) || x < least || x != floor(x) || x > 1e6)
            return elab_error(in->s, DIAG_E0326, in->at, "'%s' of a convolution is a whole number from %d",
                              numbers[k].name, (int)least);
        *numbers[k].number = (int64_t)x;
    }
    ConvShape c;
    Arena *ar = in->s->elab->arena;
    Shape x = shape(in, a[0]), w = shape(in, a[1]);
    const char *why = conv_shape(OP_conv, &attr, x, w, &c);
    if (why)
        return elab_error(in->s, DIAG_E0326, in->at,
                          "%s: image %s, weights %s, stride %d, padding %d, groups %d, dilation %d", why,
                          shape_text(ar, x), shape_text(ar, w), (int)how->stride, (int)how->padding, (int)how->groups,
                          (int)how->dilation);
    return node(in, graph_op(graph(in), OP_conv, a, 2, &attr, in->at));
}

static Value one_hot(const In *in) {
    uint32_t k = in->v[0].classes;
    NodeId y = one(in, 0);
    if (y == NODE_NONE) return (Value){0};
    if (k == 0) return elab_error(in->s, DIAG_E0301, in->at, "one_hot takes a label");
    Shape s = shape_of(1, &k);
    NodeId index = graph_op_shaped(graph(in), OP_iota, NULL, 0, NULL, s, false, in->at);
    return node(in, op2(in, OP_eq, index, y));
}

/* ranked, sort */
static Value ordered(const In *in, bool labels) {
    NodeId a = one(in, 0);
    if (a == NODE_NONE) return (Value){0};
    const Shape s = shape(in, a);
    if (s.rank == 0 || s.rank == MAX_RANK)
        return elab_error(in->s, DIAG_E0319, in->at, "an order needs a last axis, and one less than %d", MAX_RANK);
    if (s.dims[s.rank - 1] > MOST_ORDERED)
        return elab_error(in->s, DIAG_E0601, in->at, "an order of %u elements: at most %d are put in order",
                          s.dims[s.rank - 1], MOST_ORDERED);
    Value v = node(in, (labels ? order_ranked : order_sorted)(graph(in), a, in->at));
    v.classes = labels ? s.dims[0] : 0;
    return v;
}

static Value places(const In *in) {
    NodeId x = one(in, 0);
    if (x == NODE_NONE) return (Value){0};
    Shape s = shape(in, x), line = s;
    double axis = in->v[1].number;
    if (in->v[1].kind != VALUE_NUMBER || axis < 0 || axis >= s.rank || axis != floor(axis))
        return elab_error(in->s, DIAG_E0319, in->at, "there is no such axis");
    for (uint32_t k = 0; k < s.rank; k++) line.dims[k] = k == (uint32_t)axis ? s.dims[k] : 1;
    NodeId iota =
        graph_op_shaped(graph(in), OP_iota, NULL, 0, NULL, shape_of(1, &s.dims[(uint32_t)axis]), false, in->at);
    return node(in, graph_broadcast(graph(in), graph_reshape(graph(in), iota, line, in->at), s, in->at));
}

static Value vectors(const In *in, bool outer) {
    NodeId a = one(in, 0), b = one(in, 1);
    if (a == NODE_NONE || b == NODE_NONE) return (Value){0};
    Shape sa = shape(in, a), sb = shape(in, b);
    Arena *ar = in->s->elab->arena;
    if (outer) {
        if (sa.rank == 1 && sb.rank == 1) return node(in, op2(in, OP_outer, a, b));
        return elab_error(in->s, DIAG_E0312, in->at, "outer takes two vectors, not %s and %s", shape_text(ar, sa),
                          shape_text(ar, sb));
    }
    if (!shape_equal(sa, sb))
        return elab_error(in->s, DIAG_E0312, in->at, "dot takes two tensors of one shape, not %s and %s",
                          shape_text(ar, sa), shape_text(ar, sb));
    if (sa.rank == 0) return node(in, op2(in, OP_mul, a, b));
    return node(in, graph_reduce(graph(in), OP_reduce_sum, op2(in, OP_mul, a, b), (1u << sa.rank) - 1, in->at));
}

static Value softmax(const In *in, bool logarithm) {
    NodeId a = one(in, 0);
    if (a == NODE_NONE) return (Value){0};
    Shape s = shape(in, a);
    if (s.rank == 0) return elab_error(in->s, DIAG_E0319, in->at, "softmax needs an axis");
    const uint32_t last = 1u << (s.rank - 1);
    NodeId shifted = op2(in, OP_sub, a, shift_of(in, a, last)),
           e = op1(in, OP_exp, shifted); /* an offset is gone here */
    NodeId sum = reduce_keep(in, OP_reduce_sum, e, last);
    return node(in, logarithm ? op2(in, OP_sub, shifted, op1(in, OP_log, sum)) : op2(in, OP_div, e, sum));
}

static Value fill(const In *in, double x) {
    Shape s;
    if (in->given[0]) {
        if (!dims_of(in, 0, &s)) return (Value){0};
    } else if (in->s->flex)
        s = *in->s->flex;
    else
        return value_flex(in->s, in->call);
    return node(in, graph_broadcast(graph(in), graph_constant(graph(in), x), s, in->at));
}

/* ---- images ---- */
/* A whole number from `least`; `fallback` when it was left out; UINT32_MAX after an error. */
static uint32_t whole(const In *in, uint32_t k, uint32_t least, uint32_t fallback) {
    if (!in->given[k]) return fallback;
    double x = in->v[k].number;
    if (in->v[k].kind == VALUE_NUMBER && x >= least && x == floor(x) && x < 1e6) return (uint32_t)x;
    elab_error(in->s, DIAG_E0309, in->at, "a whole number from %u is needed here", least);
    return UINT32_MAX;
}

static bool pool_fits(const In *in, Shape s, const Pool *p) {
    for (uint32_t k = 1; k < 3; k++) {
        const char *text = shape_text(in->s->elab->arena, s);
        if (p->kernel > s.dims[k] + 2 * p->padding)
            elab_error(in->s, DIAG_E0330, in->at, "windows of %u do not fit into %s padded by %u", p->kernel, text,
                       p->padding);
        else if (2 * p->padding > p->kernel)
            elab_error(in->s, DIAG_E0330, in->at, "padding of %u is more than half a window of %u", p->padding,
                       p->kernel);
        else if (!in->given[2] && !p->padding && s.dims[k] % p->kernel)
            elab_error(in->s, DIAG_E0330, in->at, "windows of %u do not tile %s", p->kernel, text);
        else
            continue;
        return false;
    }
    return true;
}

static Value image(const In *in, const char *name) {
    NodeId x = one(in, 0);
    if (x == NODE_NONE) return (Value){0};
    Shape s = shape(in, x), to;
    if (s.rank != 3)
        return elab_error(in->s, DIAG_E0312, in->at, "'%s' takes an image [C, H, W], not %s", name,
                          shape_text(in->s->elab->arena, s));
    if (strcmp(name, "bilinear") == 0) {
        if (!dims_of(in, 1, &to)) return (Value){0};
        if (to.rank != 2) return elab_error(in->s, DIAG_E0309, in->at, "bilinear takes the new height and width");
        return node(in, image_bilinear(graph(in), x, to.dims[0], to.dims[1], in->at));
    }
    uint32_t size = whole(in, 1, 1, 1);
    if (size == UINT32_MAX) return (Value){0};
    if (strcmp(name, "upsample") == 0) return node(in, image_upsample(graph(in), x, size, in->at));
    Pool p = {size, whole(in, 2, 1, size), whole(in, 3, 0, 0), *name == 'm'};
    if (p.stride == UINT32_MAX || p.padding == UINT32_MAX || !pool_fits(in, s, &p)) return (Value){0};
    return node(in, image_pool(graph(in), x, &p, in->at));
}

/* ---- what differs in training ---- */
static Value training(const In *in, const char *name) {
    uint32_t k = *name == 's' ? 2 : 1;
    if (!in->s->net) return elab_error(in->s, DIAG_E0302, in->at, "'%s' stands in a layer", name);
    if (in->given[k] && in->v[k].kind != VALUE_NUMBER)
        return elab_error(in->s, DIAG_E0321, in->at, "a number known at compile time is needed here");
    double number = in->given[k] ? in->v[k].number : 0.1;
    if (*name == 's') return training_statistic(in->s, in->v[0], in->v[1], number, in->at);
    Shape dims;
    return dims_of(in, 0, &dims) ? training_dropout(in->s, dims, number, in->at) : (Value){0};
}

static const struct {
    const char *name, *args[6];
} rows[] = {
    /* argument names, as in lang/builtin.def */
    {"max", {"a", "b", "axes"}},
    {"min", {"a", "b", "axes"}},
    {"sum", {"x", "axes"}},
    {"mean", {"x", "axes"}},
    {"norm", {"x", "axes"}},
    {"logsumexp", {"x", "axes"}},
    {"clamp", {"x", "low", "high"}},
    {"softmax", {"x"}},
    {"log_softmax", {"x"}},
    {"argmax", {"x"}},
    {"ranked", {"x"}},
    {"sort", {"x"}},
    {"indices", {"x", "axis"}},
    {"one_hot", {"y"}},
    {"dot", {"a", "b"}},
    {"outer", {"a", "b"}},
    {"flatten", {"x"}},
    {"reshape", {"x", "dims"}},
    {"concat", {0}},
    {"pad", {"x", "widths"}},
    {"average_pool", {"x", "kernel", "stride", "padding"}},
    {"max_pool", {"x", "kernel", "stride", "padding"}},
    {"upsample", {"x", "factor"}},
    {"bilinear", {"x", "dims"}},
    {"conv", {"x", "w", "stride", "padding", "groups", "dilation"}},
    {"statistic", {"x", "buffer", "momentum"}},
    {"dropout", {"dims", "rate"}},
    {"zeros", {"dims"}},
    {"ones", {"dims"}},
};

static Value apply(const In *in, const char *name) {
    Graph *g = graph(in);
    if (strcmp(name, "concat") == 0) return concat(in);
    if (strcmp(name, "zeros") == 0 || strcmp(name, "ones") == 0) return fill(in, *name == 'o');
    if (strcmp(name, "clamp") == 0) {
        Value low = elementwise(in->s, OP_max, in->v, 2, in->at, NULL);
        return elementwise(in->s, OP_min, (Value[]){low, in->v[2]}, 2, in->at, NULL);
    }
    bool max = strcmp(name, "max") == 0;
    if (max || strcmp(name, "min") == 0) {
        if (!in->given[1]) return in->v[0].kind == VALUE_NUMBER ? in->v[0] : reduce(in, name);
        return elementwise_with(in->s, max ? OP_max : OP_min, in->v, 2, &(Attr){.edge.even = 1}, in->at, in->call);
    }
    if (in->v[0].kind == VALUE_STATES && strcmp(name, "mean") == 0) return defence_mean(in->s, in->v[0], in->at);
    if (strcmp(name, "sum") == 0 || strcmp(name, "mean") == 0 || strcmp(name, "norm") == 0 ||
        strcmp(name, "logsumexp") == 0)
        return reduce(in, name);
    if (strcmp(name, "softmax") == 0 || strcmp(name, "log_softmax") == 0) return softmax(in, *name == 'l');
    if (strcmp(name, "one_hot") == 0) return one_hot(in);
    if (strcmp(name, "ranked") == 0 || strcmp(name, "sort") == 0) return ordered(in, *name == 'r');
    if (strcmp(name, "indices") == 0) return places(in);
    if (strcmp(name, "dot") == 0 || strcmp(name, "outer") == 0) return vectors(in, *name == 'o');
    if (strcmp(name, "pad") == 0) return pad(in);
    if (strcmp(name, "statistic") == 0 || strcmp(name, "dropout") == 0) return training(in, name);
    if (strstr(name, "_pool") || strcmp(name, "upsample") == 0 || strcmp(name, "bilinear") == 0) return image(in, name);
    if (strcmp(name, "conv") == 0) return conv(in);
    NodeId a = one(in, 0);
    if (a == NODE_NONE) return (Value){0};
    Shape s = shape(in, a);
    if (strcmp(name, "argmax") == 0) {
        if (s.rank != 1)
            return elab_error(in->s, DIAG_E0312, in->at, "argmax takes a vector, not %s",
                              shape_text(in->s->elab->arena, s));
        Value v = node(in, graph_op(g, OP_argmax, &a, 1, &(Attr){.reduce.axes = 1}, in->at));
        v.classes = s.dims[0];
        return v;
    }
    if (strcmp(name, "flatten") == 0)
        return node(in, graph_reshape(g, a, shape_of(1, (uint32_t[]){(uint32_t)shape_count(s)}), in->at));
    Shape to;
    if (!dims_of(in, 1, &to)) return (Value){0};
    if (shape_count(to) != shape_count(s))
        return elab_error(in->s, DIAG_E0312, in->at, "reshape of %s to %s: the numbers of elements differ",
                          shape_text(in->s->elab->arena, s), shape_text(in->s->elab->arena, to));
    return node(in, graph_reshape(g, a, to, in->at));
}

bool builtin_call(Scope *s, const char *name, const Ast *call, const Value *piped, Range piped_at, Value *out) {
    if (!s->build) s->build = build_new(s->elab->arena, "number", NULL); /* of a setting, a bound or a size */
    In in = {.s = s, .call = call, .at = call->range};
    Op op = unary_op(name);
    if (op != OP_COUNT) {
        in.args = call_args(s, call, piped, piped_at);
        if (in.args.n != 1) return *out = elab_error(s, DIAG_E0303, call->range, "'%s' takes one argument", name), true;
        *out = elementwise(s, op, &in.args.items[0].value, 1, call->range, piped ? NULL : call);
        return true;
    }
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        if (strcmp(rows[k].name, name) != 0) continue;
        in.args = call_args(s, call, piped, piped_at);
        *out = (Value){0};
        for (uint32_t i = 0; i < in.args.n; i++)
            if (in.args.items[i].value.kind == VALUE_NONE) return true;
        if (strcmp(name, "concat") != 0) {
            for (uint32_t i = 0; i < 6 && rows[k].args[i]; i++) {
                bool named_only = strcmp(rows[k].args[i], "axes") == 0 && (rows[k].args[1][0] == 'b');
                Arg *a = NULL;
                if (!named_only)
                    a = args_take(&in.args, rows[k].args[i], true);
                else
                    for (uint32_t j = 0; j < in.args.n; j++)
                        if (in.args.items[j].name && strcmp(in.args.items[j].name, "axes") == 0)
                            a = &in.args.items[j], a->used = true;
                in.given[i] = a != NULL;
                if (a) in.v[i] = a->value;
                bool optional = strcmp(rows[k].args[i], "axes") == 0 || strcmp(rows[k].args[i], "stride") == 0 ||
                                strcmp(rows[k].args[i], "padding") == 0 || strcmp(rows[k].args[i], "momentum") == 0 ||
                                *name == 'z' || strcmp(name, "ones") == 0 || (i >= 2 && strcmp(name, "conv") == 0) ||
                                (i == 1 && rows[k].args[2] && strcmp(rows[k].args[2], "axes") == 0);
                if (!a && !optional)
                    return elab_error(s, DIAG_E0303, call->range, "'%s' needs its argument '%s'", name,
                                      rows[k].args[i]),
                           true;
            }
            if (!args_all_used(s, &in.args, name)) return true;
        }
        *out = apply(&in, name);
        return true;
    }
    static const char *const later[] = {"across_batch", "batch_norm", "transpose", "vjp", "solve"};
    for (size_t k = 0; k < sizeof later / sizeof *later; k++)
        if (strcmp(later[k], name) == 0)
            return *out = elab_error(s, DIAG_E0490, call->range, "'%s' is not available in this version", name), true;
    return false;
}

bool builtin_value(Scope *s, const char *name, const Ast *e, Value *out) {
    if (strcmp(name, "pi") == 0)
        *out = value_number(3.14159265358979323846);
    else if (strcmp(name, "inf") == 0)
        *out = value_number(INFINITY);
    else if (strcmp(name, "zeros") == 0 || strcmp(name, "ones") == 0)
        *out = s->flex ? value_node(s->build,
                                    graph_broadcast(s->build->graph, graph_constant(s->build->graph, *name == 'o'),
                                                    *s->flex, e->range))
                       : value_flex(s, e);
    else
        return false;
    return true;
}
