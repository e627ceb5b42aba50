/* Winograd's convolutions against the interpreter's direct ones, and how much more they round: shapes around the tiles,
 * slices and vectors, both directions, vectors of 64 and 32 bytes. */
#include "backend_check.h"
#include "winograd.h"

static const Range nowhere = {0};

typedef struct Case {
    uint32_t channels, filters, height, width, padding;
} Case;

static const Case cases[] = {
    {16, 16, 4, 4, 1},   {32, 32, 14, 14, 1}, {64, 64, 7, 7, 1},   {24, 40, 9, 6, 1},   {3, 5, 3, 3, 0},
    {17, 31, 5, 12, 2},  {1, 1, 1, 1, 1},     {8, 70, 3, 15, 0},   {40, 24, 33, 30, 1}, {32, 24, 20, 17, 1},
    {80, 16, 12, 12, 1}, {8, 8, 2, 9, 1},     {140, 264, 4, 4, 1}, /* its weights are packed past the caches */
};

static NodeId convolution(Graph *g, Op op, const Case *c, bool winograd, NodeId image, NodeId w) {
    NodeId packed = graph_op(g, OP_pack_conv, &w, 1, &(Attr){.pack_conv = {op == OP_conv_input, 1, winograd}}, nowhere);
    Attr attr = {0};
    attr.conv.stride = attr.conv.groups = attr.conv.dilation = attr.conv.last = 1;
    attr.conv.padding = c->padding, attr.conv.packed = winograd ? CONV_WINOGRAD : CONV_DIRECT;
    if (op == OP_conv_input) attr.conv.height = c->height, attr.conv.width = c->width;
    return graph_op(g, op, (NodeId[]){image, packed}, 2, &attr, nowhere);
}

static Shape image_of(const Case *c, bool result) {
    uint32_t more = result ? 2 * c->padding - 2 : 0;
    return (Shape){3, {c->height + more, c->width + more, result ? c->filters : c->channels}};
}

static Routine *add_case(Unit *u, const Case *c, Op op, bool winograd, bool rest) {
    Graph *g = graph_new(u->arena, op == OP_conv ? "winograd" : "winograd_input");
    NodeId image = graph_input(g, image_of(c, op == OP_conv_input), true, "image", nowhere);
    NodeId w = graph_input(g, (Shape){4, {3, 3, c->channels, c->filters}}, false, "w", nowhere);
    graph_output(g, convolution(g, op, c, winograd, image, w));
    return unit_add(u, g, (Placement){.rest = rest});
}

static void add_weight_case(Unit *u, const Case *c, Op op, bool rest) {
    Graph *g = graph_new(u->arena, "winograd_weight");
    NodeId x = graph_input(g, image_of(c, false), true, "x", nowhere);
    NodeId ct = graph_input(g, image_of(c, true), true, "u", nowhere);
    Attr attr = {.conv = {.stride = 1, .padding = c->padding, .groups = 1, .dilation = 1, .last = 1}};
    attr.conv.height = attr.conv.width = 3;
    graph_output(g, graph_op(g, op, (NodeId[]){x, ct}, 2, &attr, nowhere));
    unit_add(u, g, (Placement){.rest = rest});
}

/* Adjoints in the weights; which of them are Winograd's is for the back end to say. */
static void add_weight_cases(Unit *u) {
    static const Case all[] = {
        {32, 32, 14, 14, 1}, {24, 40, 15, 13, 2},   {17, 33, 2, 60, 1}, {40, 16, 34, 30, 0},
        {24, 84, 13, 18, 1}, {144, 200, 12, 12, 1}, /* filters and channels are summed in parts; pixels are kept, or not */
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        for (int batch = 0; batch < 2; batch++)
            add_weight_case(u, &all[k], batch ? OP_batch_conv_weight : OP_conv_weight, k & 1);
}

static void equal_on(const char *cpu) {
    Arena *a = arena_new();
    Unit *u = unit_new(a, 4, cpu);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        add_case(u, &cases[k], OP_conv, true, k & 1);
        add_case(u, &cases[k], OP_conv_input, true, k & 1);
        for (int adjoint = 0; adjoint < 2; adjoint++) {
            Graph *g = graph_new(a, "pack_conv");
            NodeId w = graph_input(g, (Shape){4, {3, 3, cases[k].channels, cases[k].filters}}, false, "w", nowhere);
            graph_output(g, graph_op(g, OP_pack_conv, &w, 1, &(Attr){.pack_conv = {adjoint, 1, 1}}, nowhere));
            unit_add(u, g, (Placement){.no_rows = true});
        }
    }
    add_weight_cases(u);
    check_batches(u, cpu, -1, 1, tolerance_of(u), (const int64_t[]){1, 3}, 2);
    arena_free(a);
}

static void native(void **state) {
    (void)state;
    equal_on("native");
}

/* An image has the bits in a call of several that it has alone. */
static void check_alone(const Unit *u, uint32_t routine, int64_t images) {
    const Routine *r = u->routines[routine];
    Loaded loaded = unit_load(u, "native", "inline");
    Memory all = memory_new(r, &u->layout, images, -1, 1);
    memory_run(&loaded, routine, &all, images);
    for (int64_t i = 0; i < images; i++) {
        Memory one = all;
        one.frame.arg0 = (char *)all.frame.arg0 + i * (int64_t)r->arg_bytes[0];
        one.frame.arg1 = guarded(r->arg_bytes[1]);
        memory_run(&loaded, routine, &one, 1);
        assert_memory_equal(one.frame.arg1, (char *)all.frame.arg1 + i * (int64_t)r->arg_bytes[1], r->arg_bytes[1]);
        unguarded(one.frame.arg1, r->arg_bytes[1]);
    }
    memory_release(&all);
}

static void several_of(const Case *c, bool rest, bool all, int64_t images) {
    const ConvShape shape = {.channels = c->channels, .filters = c->filters};
    assert_true(winograd_images(&shape, c->height, c->width, WINOGRAD_ENOUGH) > 1);
    Arena *a = arena_new();
    Unit *u = unit_new(a, 4, "native");
    add_case(u, c, OP_conv, true, rest);
    if (all) {
        add_case(u, c, OP_conv_input, true, rest);
        add_weight_case(u, c, OP_batch_conv_weight, rest);
        add_weight_case(u, c, OP_conv_weight, rest);
    }
    check_batches(u, "native", -1, 1, tolerance_of(u), &images, 1);
    if (!rest) check_alone(u, 0, images);
    if (!rest && all) check_alone(u, 1, images);
    arena_free(a);
}

/* Heavy weights are read once for several images: for eight of 4 x 4 and the one that is left, for four of 8 x 8 and the
 * one; not where images are read through an index. */
static void several(void **state) {
    (void)state;
    several_of(&(Case){120, 124, 4, 4, 1}, false, true, 9);
    several_of(&(Case){120, 124, 8, 8, 1}, false, false, 5);
    several_of(&(Case){120, 124, 4, 4, 1}, true, false, 2);
}

/* Less its mean's tanh, over its mean square. */
static NodeId normalised(Graph *g, NodeId x) {
    const NodeId scale = graph_constant(g, 1e-3);
    NodeId mean = graph_binary(g, OP_mul, graph_reduce(g, OP_reduce_sum, x, 7, nowhere), scale, nowhere);
    NodeId c = graph_binary(g, OP_sub, x, graph_op(g, OP_tanh, &mean, 1, NULL, nowhere), nowhere);
    NodeId squares = graph_reduce(g, OP_reduce_sum, graph_binary(g, OP_mul, c, c, nowhere), 7, nowhere);
    return graph_binary(g, OP_div, c, graph_binary(g, OP_mul, squares, scale, nowhere), nowhere);
}

/* What stands between two such convolutions goes image by image: some values are read by one run of groups only, some
 * before the first convolution and after the last, some end where larger ones begin. */
static void runs(void **state) {
    (void)state;
    const Case small = {124, 124, 4, 4, 1}, large = {124, 124, 8, 8, 1};
    const Attr twice = {.window = {{2, 2}, {2, 2}, 0}};
    Arena *a = arena_new();
    Unit *u = unit_new(a, 4, "native");
    Graph *g = graph_new(a, "runs");
    NodeId x = graph_input(g, image_of(&small, false), true, "x", nowhere);
    NodeId w = graph_input(g, (Shape){4, {3, 3, 124, 124}}, false, "w", nowhere);
    NodeId y = normalised(g, convolution(g, OP_conv, &small, true, x, w));
    NodeId up = y;
    for (uint32_t k = 0; k < 2; k++) {
        if (k)
            up =
                graph_op(g, OP_window_sum, (NodeId[]){graph_op(g, OP_tanh, &up, 1, NULL, nowhere)}, 1, &twice, nowhere);
        up = graph_op_shaped(g, OP_window_spread, &up, 1, &twice, image_of(&large, false), true, nowhere);
    }
    NodeId z = normalised(g, convolution(g, OP_conv, &large, true, up, w));
    NodeId down = graph_op(g, OP_window_sum, &z, 1, &twice, nowhere);
    graph_output(g, normalised(g, graph_binary(g, OP_mul, down, y, nowhere)));
    graph_output(g, graph_reduce(g, OP_reduce_sum, z, 3, nowhere));
    unit_add(u, g, (Placement){0});
    check_batches(u, "native", -1, 1, tolerance_of(u), (const int64_t[]){1, 9}, 2);
    check_alone(u, 0, 9);
    arena_free(a);
}

static void avx2(void **state) {
    (void)state;
    equal_on("x86-64-v3");
}

/* ---- rounding: |error| against the largest sum of |x| |w| of the result's tile ---- */
/* The largest share of what the result's tile adds up that the convolution is wrong by. */
static double worst_share(const Case *c, bool winograd, double low, double high) {
    Arena *a = arena_new();
    Unit *u = unit_new(a, 4, "native");
    const Routine *r = add_case(u, c, OP_conv, winograd, false);
    Loaded loaded = unit_load(u, "native", "inline");
    rng_state = 77;
    Memory m = memory_new(r, &u->layout, 1, low, high);
    memory_run(&loaded, 0, &m, 1);
    const float *x = m.frame.arg0, *w = m.frame.shared, *y = m.frame.arg1;
    Shape out = image_of(c, true);
    const uint32_t tile = WINOGRAD_TILE;
    double worst = 0;
    for (uint32_t o = 0; o < c->filters; o++)
        for (uint32_t i = 0; i < out.dims[0]; i += tile)
            for (uint32_t j = 0; j < out.dims[1]; j += tile) {
                double error = 0, most = 0;
                for (uint32_t k = 0; k < tile * tile; k++) {
                    uint32_t v = i + k / tile, h = j + k % tile;
                    double sum = 0, size = 0;
                    if (v >= out.dims[0] || h >= out.dims[1]) continue;
                    for (uint32_t tap = 0; tap < 9; tap++) {
                        int64_t p = (int64_t)v + tap / 3 - c->padding, q = (int64_t)h + tap % 3 - c->padding;
                        if (p < 0 || q < 0 || p >= c->height || q >= c->width) continue;
                        for (uint32_t n = 0; n < c->channels; n++) {
                            double term = (double)x[(p * c->width + q) * c->channels + n] *
                                          (double)w[((uint64_t)tap * c->channels + n) * c->filters + o];
                            sum += term, size += fabs(term);
                        }
                    }
                    error = fmax(error, fabs(y[((uint64_t)v * out.dims[1] + h) * c->filters + o] - sum));
                    most = fmax(most, size);
                }
                worst = fmax(worst, error / most);
            }
    memory_release(&m);
    arena_free(a);
    return worst;
}

/* The bound that compiler/README.md states: 2^-20 of the largest sum. */
static void rounding(void **state) {
    (void)state;
    static const Case shapes[] = {{16, 16, 14, 14, 1}, {32, 32, 14, 14, 1}, {64, 64, 7, 7, 1}, {256, 32, 8, 8, 1}};
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
        for (int positive = 0; positive < 2; positive++) {
            double low = positive ? 0 : -1, share = worst_share(&shapes[k], true, low, 1);
            print_message("%u channels: %.2g, direct %.2g\n", shapes[k].channels, share,
                          worst_share(&shapes[k], false, low, 1));
            assert_true(share < 0x1p-20);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(native), cmocka_unit_test(several), cmocka_unit_test(runs),
                                       cmocka_unit_test(avx2), cmocka_unit_test(rounding)};
    return cmocka_run_group_tests_name("backend_winograd", tests, NULL, NULL);
}
