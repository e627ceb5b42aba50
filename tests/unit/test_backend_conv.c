/* The compiled convolution and its adjoints against the interpreter: shapes around the register tile, strides, groups,
 * dilations, both layouts, packed and plain weights, three vector widths. */
#include "backend_check.h"

static const Range nowhere = {0};

static NodeId input(Graph *g, Shape s, bool batched) {
    return graph_input(g, s, batched, arena_printf(g->arena, "x%u", g->ninputs), nowhere);
}

typedef struct Case {
    uint32_t channels, filters, height, width, rows, columns, stride, padding, groups, dilation;
} Case;

static const Case cases[] = {
    {1, 1, 1, 1, 1, 1, 1, 0, 1, 1},    {3, 5, 6, 7, 3, 3, 1, 1, 1, 1},    {1, 33, 9, 14, 3, 3, 1, 1, 1, 1},
    {16, 16, 5, 14, 3, 3, 1, 1, 1, 1}, {32, 40, 4, 15, 3, 3, 1, 1, 1, 1}, {7, 20, 8, 8, 1, 1, 1, 0, 1, 1},
    {9, 24, 7, 7, 3, 3, 2, 1, 1, 1},   {8, 12, 9, 6, 2, 3, 2, 0, 1, 1},   {6, 10, 11, 12, 5, 3, 3, 2, 2, 1},
    {8, 8, 10, 10, 3, 3, 1, 2, 1, 2},  {4, 8, 9, 9, 3, 3, 2, 2, 4, 2},    {17, 31, 3, 29, 3, 3, 1, 1, 1, 1},
    {2, 3, 4, 4, 1, 1, 2, 0, 1, 1},    {64, 72, 2, 3, 3, 1, 1, 1, 1, 1},  {120, 80, 4, 5, 3, 3, 2, 1, 2, 1},
};

static NodeId packed_weights(Graph *g, Shape w, bool adjoint, uint32_t groups) {
    NodeId id = input(g, w, false);
    g->nodes[id].attr.input = (struct input_attributes){.packed = INPUT_WEIGHTS, .adjoint = adjoint, .groups = groups};
    return id;
}

static NodeId convolution(Graph *g, Op op, const Case *c, bool last, bool packed, NodeId a, NodeId b) {
    Attr attr = {0};
    attr.conv.stride = c->stride, attr.conv.padding = c->padding, attr.conv.groups = c->groups;
    attr.conv.dilation = c->dilation, attr.conv.last = last, attr.conv.packed = packed;
    if (op == OP_conv_input) attr.conv.height = c->height, attr.conv.width = c->width;
    if (op == OP_conv_weight || op == OP_batch_conv_weight) attr.conv.height = c->rows, attr.conv.width = c->columns;
    return graph_op(g, op, (NodeId[]){a, b}, 2, &attr, nowhere);
}

static void add_case(Unit *u, const Case *c, bool last, bool packed, bool rest) {
    Arena *a = u->arena;
    Attr layout = {0};
    layout.conv.last = last;
    ConvShape s = {
        .filters = c->filters, .channels = c->channels, .rows = c->rows, .columns = c->columns, .groups = c->groups};
    Shape x = conv_image(&layout, c->channels, c->height, c->width), w = conv_weights(&layout, &s);
    Shape y =
        conv_image(&layout, c->filters, (c->height + 2 * c->padding - c->dilation * (c->rows - 1) - 1) / c->stride + 1,
                   (c->width + 2 * c->padding - c->dilation * (c->columns - 1) - 1) / c->stride + 1);
    Placement where = {.rest = rest};
    Graph *g = graph_new(a, "conv");
    NodeId image = input(g, x, true), weights = packed ? packed_weights(g, w, false, c->groups) : input(g, w, false);
    NodeId out = convolution(g, OP_conv, c, last, packed, image, weights);
    graph_output(g, out);
    graph_output(g, graph_unary(g, OP_relu, out, nowhere));
    unit_add(u, g, where);
    g = graph_new(a, "conv_input");
    image = input(g, y, true), weights = packed ? packed_weights(g, w, true, c->groups) : input(g, w, false);
    graph_output(g, convolution(g, OP_conv_input, c, last, packed, graph_unary(g, OP_tanh, image, nowhere), weights));
    unit_add(u, g, where);
    if (packed) return;
    g = graph_new(a, "conv_weight");
    graph_output(g, convolution(g, OP_conv_weight, c, last, false, input(g, x, true), input(g, y, true)));
    unit_add(u, g, where);
    for (int kind = 0; kind < 3; kind++) {
        g = graph_new(a, "batch_conv_weight");
        image = input(g, x, true);
        NodeId ct = input(g, y, true);
        if (kind == 1) image = graph_unary(g, OP_tanh, image, nowhere), ct = graph_binary(g, OP_mul, ct, ct, nowhere);
        NodeId sum = convolution(g, OP_batch_conv_weight, c, last, false, image, ct);
        graph_output(g, kind == 2 ? graph_unary(g, OP_neg, sum, nowhere) : sum);
        unit_add(u, g, where);
    }
}

static void convolutions_on(const char *cpu) {
    for (uint32_t real = 4; real <= 8; real += 4)
        for (int last = strcmp(cpu, "native") != 0; last < 2; last++) {
            Arena *a = arena_new();
            Unit *u = unit_new(a, real, cpu);
            for (size_t k = 0; k < sizeof cases / sizeof *cases; k += strcmp(cpu, "native") ? 3 : 1) {
                add_case(u, &cases[k], last, false, k & 1);
                if (!last) continue; /* only channels last has kernels */
                add_case(u, &cases[k], last, true, !(k & 1));
                Graph *g = graph_new(a, "pack_conv");
                ConvShape s = {.filters = cases[k].filters,
                               .channels = cases[k].channels,
                               .rows = cases[k].rows,
                               .columns = cases[k].columns,
                               .groups = cases[k].groups};
                NodeId w = input(g, conv_weights(&(Attr){.conv.last = 1}, &s), false);
                for (int adjoint = 0; adjoint < 2; adjoint++)
                    graph_output(g, graph_op(g, OP_pack_conv, &w, 1,
                                             &(Attr){.pack_conv = {adjoint, cases[k].groups, 0}}, nowhere));
                unit_add(u, g, (Placement){.no_rows = true});
            }
            check_batches(u, cpu, -1, 1, tolerance_of(u) * 40, (const int64_t[]){1, 3}, 2);
            arena_free(a);
        }
}

/* Vector widths of 64, 32 and 16 bytes; the last without fused multiply-add. */
static void native(void **state) {
    (void)state;
    convolutions_on("native");
}

static void avx2(void **state) {
    (void)state;
    convolutions_on("x86-64-v3");
}

static void sse(void **state) {
    (void)state;
    convolutions_on("x86-64");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(native), cmocka_unit_test(avx2), cmocka_unit_test(sse)};
    return cmocka_run_group_tests_name("backend_conv", tests, NULL, NULL);
}
