/* Every row of ops.def on random shapes: shape rule, JVP against central differences, dot-product test of the
 * transpose, and the derivative of the derivative; and the values of elementwise ops on numbers. */
#include "graph_numbers.h"
#include "conv.h"
#include "fold.h"
#include "op_value.h"
#include "tables.h"
#include <float.h>

typedef struct Case {
    Arena *arena;
    Graph *g;
    Shape expected;
    double low, high; /* range of the inputs */
} Case;

static Shape random_shape(uint32_t low_rank, uint32_t high_rank) {
    Shape s = {.rank = rng_int(low_rank, high_rank)};
    for (uint32_t k = 0; k < s.rank; k++) s.dims[k] = rng_int(1, 4);
    return s;
}

static NodeId new_input(Case *c, Shape s, bool batched) {
    return graph_input(c->g, s, batched, arena_printf(c->arena, "x%u", c->g->ninputs), (Range){0});
}

/* The op on random inputs; NODE_NONE for calls. */
static NodeId build_case(Case *c, Op op) {
    Graph *g = c->g;
    Range nowhere = {0};
    Shape s = random_shape(0, 4);
    Attr attr = {0};
    int64_t *axes = attr.transpose.axes;
    NodeId a[3];
    c->low = -1.4, c->high = 1.4;
    if (op == OP_log || op == OP_sqrt || op == OP_pow || op == OP_div) c->low = 0.3;
    if (op == OP_log1p) c->low = -0.6;
    switch (op_class(op)) {
    case CLASS_ELEMENTWISE: {
        uint32_t n = (uint32_t)op_arity(op), first = rng_int(0, n - 1);
        c->expected = s;
        for (uint32_t k = 0; k < n; k++) {
            Shape t = s;
            if (k != first && coin_flip()) t = shape_scalar();
            for (uint32_t d = 0; k != first && d < t.rank; d++)
                if (coin_flip()) t.dims[d] = 1;
            a[k] = new_input(c, t, coin_flip());
        }
        if (op == OP_select || op == OP_not) a[0] = graph_unary(g, OP_step, a[0], nowhere);
        return graph_op(g, op, a, n, NULL, nowhere);
    }
    default: break;
    }
    switch (op) {
    case OP_constant: c->expected = shape_scalar(); return graph_constant(g, 0.75);
    case OP_iota:
        c->expected = random_shape(1, 1);
        return graph_op_shaped(g, op, NULL, 0, NULL, c->expected, false, nowhere);
    case OP_random:
        c->expected = s;
        attr.random.normal = coin_flip();
        attr.random.site = 5;
        return graph_op_shaped(g, op, NULL, 0, &attr, s, true, nowhere);
    case OP_input: c->expected = s; return new_input(c, s, coin_flip());
    case OP_reshape: {
        a[0] = new_input(c, s, coin_flip());
        Shape t = {2, {1, (uint32_t)shape_count(s)}};
        c->expected = t;
        return graph_reshape(g, a[0], t, nowhere);
    }
    case OP_broadcast: {
        Shape t = s;
        if (coin_flip()) t = shape_scalar();
        for (uint32_t d = 0; d < t.rank; d++)
            if (coin_flip()) t.dims[d] = 1;
        c->expected = s;
        a[0] = new_input(c, t, coin_flip());
        return graph_op_shaped(g, op, a, 1, NULL, s, coin_flip(), nowhere);
    }
    case OP_transpose:
        for (uint32_t k = 0; k < s.rank; k++) axes[k] = k;
        for (uint32_t k = s.rank; k > 1; k--) {
            uint32_t j = rng_int(0, k - 1);
            int64_t swap = axes[j];
            axes[j] = axes[k - 1];
            axes[k - 1] = swap;
        }
        c->expected.rank = s.rank;
        for (uint32_t k = 0; k < s.rank; k++) c->expected.dims[k] = s.dims[axes[k]];
        a[0] = new_input(c, s, coin_flip());
        return graph_op(g, op, a, 1, &attr, nowhere);
    case OP_slice:
    case OP_pad:
        c->expected = s;
        for (uint32_t k = 0; k < s.rank; k++) {
            uint32_t first = op == OP_slice ? rng_int(0, s.dims[k] - 1) : rng_int(0, 2);
            uint32_t second = op == OP_slice ? rng_int(1, s.dims[k] - first) : rng_int(0, 2);
            (op == OP_slice ? attr.slice.start : attr.pad.before)[k] = first;
            (op == OP_slice ? attr.slice.size : attr.pad.after)[k] = second;
            c->expected.dims[k] = op == OP_slice ? second : s.dims[k] + first + second;
        }
        a[0] = new_input(c, s, coin_flip());
        return graph_op(g, op, a, 1, &attr, nowhere);
    case OP_concat:
        s = random_shape(1, 4);
        attr.concat.axis = rng_int(0, s.rank - 1);
        c->expected = s;
        c->expected.dims[attr.concat.axis] = 0;
        for (uint32_t k = 0; k < 3; k++) {
            Shape t = s;
            t.dims[attr.concat.axis] = rng_int(1, 3);
            c->expected.dims[attr.concat.axis] += t.dims[attr.concat.axis];
            a[k] = new_input(c, t, coin_flip());
        }
        return graph_op(g, op, a, 3, &attr, nowhere);
    case OP_window_sum:
    case OP_window_spread: {
        Shape large = {3, {rng_int(1, 3), rng_int(1, 6), rng_int(1, 6)}}, small;
        attr.window.axis = rng_int(0, 1);
        small = large;
        for (int k = 0; k < 2; k++) {
            uint32_t axis = (uint32_t)attr.window.axis + (uint32_t)k;
            attr.window.size[k] = rng_int(1, large.dims[axis] < 3 ? large.dims[axis] : 3);
            attr.window.apart[k] = rng_int(1, 3);
            small.dims[axis] = (uint32_t)((large.dims[axis] - attr.window.size[k]) / attr.window.apart[k] + 1);
        }
        c->expected = op == OP_window_sum ? small : large;
        a[0] = new_input(c, op == OP_window_sum ? large : small, coin_flip());
        if (op == OP_window_sum) return graph_op(g, op, a, 1, &attr, nowhere);
        return graph_op_shaped(g, op, a, 1, &attr, large, false, nowhere);
    }
    case OP_reduce_sum:
    case OP_reduce_max:
        attr.reduce.axes = rng_int(0, (1u << s.rank) - 1);
        for (uint32_t k = 0; k < s.rank; k++)
            if (!(attr.reduce.axes >> k & 1)) c->expected.dims[c->expected.rank++] = s.dims[k];
        a[0] = new_input(c, s, coin_flip());
        return graph_op(g, op, a, 1, &attr, nowhere);
    case OP_argmax: a[0] = new_input(c, random_shape(1, 1), coin_flip()); return graph_unary(g, op, a[0], nowhere);
    case OP_matmul: {
        uint32_t m = rng_int(1, 4), k = rng_int(1, 4), n = rng_int(1, 4), ra = rng_int(1, 2), rb = rng_int(1, 2);
        bool ta = ra == 2 && coin_flip(), tb = rb == 2 && coin_flip();
        Shape x = ra == 1 ? (Shape){1, {k}} : ta ? (Shape){2, {k, m}} : (Shape){2, {m, k}};
        Shape y = rb == 1 ? (Shape){1, {k}} : tb ? (Shape){2, {n, k}} : (Shape){2, {k, n}};
        if (ra == 2) c->expected.dims[c->expected.rank++] = m;
        if (rb == 2) c->expected.dims[c->expected.rank++] = n;
        a[0] = new_input(c, x, coin_flip());
        a[1] = new_input(c, y, coin_flip());
        return graph_matmul(g, a[0], a[1], ta, tb, nowhere);
    }
    case OP_outer:
    case OP_batch_outer:
        a[0] = new_input(c, random_shape(1, 1), coin_flip());
        a[1] = new_input(c, random_shape(1, 1), coin_flip());
        c->expected = (Shape){2, {graph_node(g, a[0])->shape.dims[0], graph_node(g, a[1])->shape.dims[0]}};
        return graph_binary(g, op, a[0], a[1], nowhere);
    case OP_pack:
        a[0] = new_input(c, random_shape(2, 2), false);
        attr.pack.transposed = coin_flip();
        c->expected = graph_node(g, a[0])->shape;
        if (attr.pack.transposed) c->expected = (Shape){2, {c->expected.dims[1], c->expected.dims[0]}};
        return graph_op(g, op, a, 1, &attr, nowhere);
    case OP_conv:
    case OP_conv_input:
    case OP_conv_weight:
    case OP_batch_conv_weight: {
        ConvShape g1 = {.rows = rng_int(1, 3),
                        .columns = rng_int(1, 3),
                        .stride = rng_int(1, 2),
                        .padding = rng_int(0, 2),
                        .groups = rng_int(1, 2),
                        .dilation = rng_int(1, 2)};
        g1.channels = g1.groups * rng_int(1, 2), g1.filters = g1.groups * rng_int(1, 2);
        g1.height = rng_int(5, 6), g1.width = rng_int(5, 6);
        attr.conv.stride = g1.stride, attr.conv.padding = g1.padding, attr.conv.groups = g1.groups;
        attr.conv.dilation = g1.dilation, attr.conv.last = coin_flip();
        g1.out_height = (g1.height + 2 * g1.padding - g1.dilation * (g1.rows - 1) - 1) / g1.stride + 1;
        g1.out_width = (g1.width + 2 * g1.padding - g1.dilation * (g1.columns - 1) - 1) / g1.stride + 1;
        Shape x = conv_image(&attr, g1.channels, g1.height, g1.width), w = conv_weights(&attr, &g1);
        Shape y = conv_image(&attr, g1.filters, g1.out_height, g1.out_width);
        if (op == OP_conv_input) attr.conv.height = g1.height, attr.conv.width = g1.width;
        if (op == OP_conv_weight || op == OP_batch_conv_weight)
            attr.conv.height = g1.rows, attr.conv.width = g1.columns;
        a[0] = new_input(c, op == OP_conv_input ? y : x, coin_flip());
        a[1] = new_input(c, op == OP_conv || op == OP_conv_input ? w : y, coin_flip());
        c->expected = op == OP_conv ? y : op == OP_conv_input ? x : w;
        return graph_op(g, op, a, 2, &attr, nowhere);
    }
    case OP_pack_conv:
        a[0] = new_input(c, (Shape){4, {rng_int(1, 2), rng_int(1, 2), rng_int(1, 3), 2 * rng_int(1, 3)}}, false);
        attr.pack_conv.adjoint = coin_flip(), attr.pack_conv.groups = rng_int(1, 2);
        c->expected = graph_node(g, a[0])->shape;
        return graph_op(g, op, a, 1, &attr, nowhere);
    case OP_batch_sum:
        a[0] = new_input(c, s, coin_flip());
        c->expected = s;
        return graph_unary(g, op, a[0], nowhere);
    default: /* calls compute nothing by themselves: test_routines.c differentiates through them */
        if (op_class(op) != CLASS_CALL) fail_msg("'%s' has no case here", op_name(op));
        return NODE_NONE;
    }
}

static double **perturbed(Arena *a, const Graph *g, int64_t n, double *const *x, double *const *t, uint32_t count,
                          double h) {
    const double **in = arena_alloc(a, (g->ninputs + 1) * sizeof *in);
    for (uint32_t k = 0; k < g->ninputs; k++) {
        uint64_t size = value_count(g, g->inputs[k], n);
        double *v = arena_alloc(a, size * sizeof *v + 8);
        for (uint64_t e = 0; e < size; e++) v[e] = x[k][e] + (k < count ? h * t[k][e] : 0);
        in[k] = v;
    }
    return interpret_graph(a, g, n, in, &test_calls);
}

static void check_case(Op op, uint64_t seed) {
    rng_state = seed;
    Case c = {.arena = arena_new()};
    Arena *a = c.arena;
    c.g = graph_new(a, op_name(op));
    Graph *g = c.g;
    NodeId y = build_case(&c, op);
    int64_t n = rng_int(1, 3);
    if (y == NODE_NONE) {
        arena_free(a);
        skip();
    }
    graph_verify(g);
    assert_true(shape_equal(graph_node(g, y)->shape, c.expected));
    if (op_class(op) == CLASS_BATCH) assert_false(graph_node(g, y)->batched);

    /* inputs 0..m-1 are x, m..2m-1 their tangents, 2m the cotangent of y */
    uint32_t m = g->ninputs;
    NodeId *tin = arena_alloc(a, (m + 1) * sizeof *tin), *x_nodes = arena_alloc(a, (m + 1) * sizeof *x_nodes);
    for (uint32_t k = 0; k < m; k++) x_nodes[k] = g->inputs[k];
    for (uint32_t k = 0; k < m; k++)
        tin[k] = graph_input(g, g->nodes[x_nodes[k]].shape, g->nodes[x_nodes[k]].batched, "t", (Range){0});
    NodeId u = graph_input(g, g->nodes[y].shape, g->nodes[y].batched, "u", (Range){0}), ty;
    NodeId *ct = arena_alloc(a, (m + 1) * sizeof *ct);
    linearise(g, &y, 1, x_nodes, tin, m, &ty);
    for (uint32_t k = 0; k < m; k++) ct[k] = NODE_NONE;
    if (ty != NODE_NONE) transpose(g, &ty, &u, 1, tin, m, ct);
    graph_verify(g);

    double **x = arena_alloc(a, (g->ninputs + 1) * sizeof *x), **t = arena_alloc(a, (m + 1) * sizeof *t);
    for (uint32_t k = 0; k < g->ninputs; k++) {
        uint64_t size = value_count(g, g->inputs[k], n);
        x[k] = k < m ? random_values(a, size, c.low, c.high) : random_values(a, size, -1, 1);
    }
    for (uint32_t k = 0; k < m; k++) t[k] = x[m + k];
    const double h = 1e-5;
    double **at = perturbed(a, g, n, x, t, 0, 0), **up = perturbed(a, g, n, x, t, m, h);
    double **down = perturbed(a, g, n, x, t, m, -h);
    uint64_t size = value_count(g, y, n);
    if (op == OP_stop_gradient) assert_int_equal(ty, NODE_NONE); /* zero by definition, not by slope */
    for (uint64_t e = 0; e < size && op != OP_stop_gradient; e++) {
        double slope = (up[y][e] - down[y][e]) / (2 * h);
        assert_close(ty == NODE_NONE ? 0 : at[ty][e], slope, 1e-6);
    }
    if (ty != NODE_NONE) {
        double left = dot(at[u], at[ty], size), right = 0;
        for (uint32_t k = 0; k < m; k++)
            if (ct[k] != NODE_NONE) right += dot(at[ct[k]], at[tin[k]], value_count(g, tin[k], n));
        assert_close(left, right, 1e-12);
    }
    /* The cotangents are functions of x again: their tangents. */
    for (uint32_t k = 0; k < m; k++) {
        NodeId second;
        if (ct[k] == NODE_NONE) continue;
        assert_true(shape_equal(graph_node(g, ct[k])->shape, graph_node(g, x_nodes[k])->shape));
        assert_int_equal(graph_node(g, ct[k])->batched, graph_node(g, x_nodes[k])->batched);
        linearise(g, &ct[k], 1, x_nodes, tin, m, &second);
        graph_verify(g);
        double **again = perturbed(a, g, n, x, t, 0, 0);
        for (uint64_t e = 0; e < value_count(g, ct[k], n); e++)
            assert_close(second == NODE_NONE ? 0 : again[second][e], (up[ct[k]][e] - down[ct[k]][e]) / (2 * h), 1e-6);
    }
    /* Reverse mode over the tangent, w'J(x)t with t held constant: against the slope of w'J(x)t along v. */
    if (ty != NODE_NONE) {
        NodeId w = graph_input(g, g->nodes[ty].shape, g->nodes[ty].batched, "w", (Range){0});
        NodeId *second = arena_alloc(a, (m + 1) * sizeof *second);
        reverse(g, &ty, &w, 1, x_nodes, m, NULL, second, NULL, NULL);
        graph_verify(g);
        double **with = arena_alloc(a, (g->ninputs + 1) * sizeof *with), **v = arena_alloc(a, (m + 1) * sizeof *v);
        for (uint32_t k = 0; k < g->ninputs; k++) {
            with[k] = k < 2 * m + 1 ? x[k] : random_values(a, value_count(g, g->inputs[k], n), -1, 1);
            if (k < m) v[k] = random_values(a, value_count(g, x_nodes[k], n), -1, 1);
        }
        double **here = perturbed(a, g, n, with, v, 0, 0), **more = perturbed(a, g, n, with, v, m, h),
               **less = perturbed(a, g, n, with, v, m, -h), slope = 0, along = 0;
        for (uint64_t e = 0; e < value_count(g, ty, n); e++)
            slope += here[w][e] * (more[ty][e] - less[ty][e]) / (2 * h);
        for (uint32_t k = 0; k < m; k++)
            if (second[k] != NODE_NONE) along += dot(here[second[k]], v[k], value_count(g, x_nodes[k], n));
        assert_close(along, slope, 1e-6);
    }
    arena_free(a);
}

/* ---- values of numbers ---- */
static const double corners[] = {0,    -0.0,  1,    -1,    0.3,   -0.7,   2,     -3,     5e-324,   -5e-324,   1e-310,
                                 1e-8, -1e-8, 36.8, -37.1, 709.9, -745.2, 1e300, -1e300, INFINITY, -INFINITY, NAN};
enum { NCORNERS = sizeof corners / sizeof *corners, NRANDOM = 2000 };

/* The same number: of zeros also the sign, of others up to the rounding of two formulas. */
static bool same_number(double x, double y) {
    if (isnan(x) || isnan(y)) return isnan(x) && isnan(y);
    if (x == y) return x != 0 || signbit(x) == signbit(y);
    return fabs(x - y) <= 4 * DBL_EPSILON * fabs(y) + 4 * 5e-324;
}

/* All pairs or triples of corners, then random arguments. */
static double **arguments_of(Arena *a, uint32_t nargs, uint64_t *n) {
    double **x = arena_alloc(a, 3 * sizeof *x);
    uint64_t pairs = 1;
    for (uint32_t k = 0; k < nargs; k++) pairs *= NCORNERS;
    *n = pairs + NRANDOM;
    for (uint32_t k = 0; k < nargs; k++) x[k] = random_values(a, *n, -4, 4);
    for (uint64_t r = 0; r < pairs; r++)
        for (uint64_t k = 0, at = r; k < nargs; k++, at /= NCORNERS) x[k][r] = corners[at % NCORNERS];
    return x;
}

/* op_value is what the interpreter says, and folding constants gives it where it is finite. */
static void check_value(Op op) {
    Arena *a = arena_new();
    Graph *g = graph_new(a, op_name(op)), *constants = graph_new(a, "constants");
    uint32_t nargs = (uint32_t)op_arity(op);
    uint64_t n;
    double **x = arguments_of(a, nargs, &n);
    NodeId args[3], folded[3];
    for (uint32_t k = 0; k < nargs; k++) args[k] = graph_input(g, shape_scalar(), true, "x", (Range){0});
    NodeId y = graph_op(g, op, args, nargs, NULL, (Range){0});
    double **values = interpret_graph(a, g, (int64_t)n, (const double *const *)x, &test_calls);
    for (uint64_t r = 0; r < n; r++) {
        double at[3] = {0}, known = 0;
        for (uint32_t k = 0; k < nargs; k++) {
            at[k] = x[k][r];
            folded[k] = graph_constant(constants, at[k]);
        }
        double v = op_value(op, at);
        if (!same_number(v, values[y][r]))
            fail_msg("%s of %a, %a, %a is %a, to the interpreter %a", op_name(op), at[0], at[1], at[2], v,
                     values[y][r]);
        if (!isfinite(v)) continue;
        assert_true(fold_value(constants, graph_op(constants, op, folded, nargs, NULL, (Range){0}), &known));
        assert_true(known == v);
    }
    arena_free(a);
}

static void test_values(void **state) {
    (void)state;
    rng_state = 77;
    for (Op op = 0; op < OP_COUNT; op++)
        if (op_class(op) == CLASS_ELEMENTWISE) check_value(op);
}

/* An elementwise function of one argument in the language is the operation of its name. */
static void test_elementwise_builtins(void **state) {
    (void)state;
    for (const Builtin *b = builtin_table; b->name; b++) {
        if (b->rule != RULE_ELEMENTWISE || b->nargs != 1) continue;
        Op op = op_named(b->name);
        if (op == OP_COUNT) fail_msg("the builtin '%s' is no operation", b->name);
        assert_int_equal(op_class(op), CLASS_ELEMENTWISE);
        assert_int_equal(op_arity(op), 1);
    }
}

#define OP(name, arity, class, shape, linear, cost, view, doc)                                                         \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        for (uint64_t seed = 1; seed <= 40; seed++) check_case(OP_##name, seed * 7919);                                \
    }
#include "ops.def"
#undef OP

int main(void) {
    const struct CMUnitTest tests[] = {
#define OP(name, arity, class, shape, linear, cost, view, doc) cmocka_unit_test(test_##name),
#include "ops.def"
#undef OP
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_elementwise_builtins),
    };
    return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
