/* Generated code against the interpreter: every op, odd shapes, ragged batches, every place. */
#include "backend_check.h"

static const Range nowhere = {0};
static Shape dims1(uint32_t a) { return (Shape){1, {a}}; }
static Shape dims2(uint32_t a, uint32_t b) { return (Shape){2, {a, b}}; }
static Shape dims3(uint32_t a, uint32_t b, uint32_t c) { return (Shape){3, {a, b, c}}; }
static NodeId input(Graph *g, Shape s, bool batched) { return graph_input(g, s, batched, "in", nowhere); }

static const uint32_t sizes[] = {1, 5, 10, 17, 64, 100};

/* ---- elementwise ---- */
static void element_unit(uint32_t real_bytes) {
    Arena *a = arena_new();
    Unit *positive = unit_new(a, real_bytes, "native"), *any = unit_new(a, real_bytes, "native");
    for (int op = 0; op < OP_COUNT; op++) {
        if (op_class(op) != CLASS_ELEMENTWISE || op == OP_stop_gradient) continue;
        for (uint32_t k = 0; k < 3; k++) {
            Graph *g = graph_new(a, op_name(op));
            Shape s = dims1(sizes[rng_int(0, 5)]);
            NodeId args[3], y;
            for (int j = 0; j < op_arity(op); j++)
                args[j] =
                    input(g, rng_int(0, 3) == 0 ? shape_scalar() : s, j == (int)k % op_arity(op) || rng_int(0, 1));
            y = graph_op(g, op, args, (uint32_t)op_arity(op), NULL, nowhere);
            graph_output(g, y);
            bool batched = graph_node(g, y)->batched,
                 wants_positive = op == OP_log || op == OP_sqrt || op == OP_pow || op == OP_div;
            if (batched) unit_add(wants_positive ? positive : any, g, (Placement){.rest = k == 1, .in_place = k == 2});
        }
    }
    check_unit(any, "native", -0.9, 2, tolerance_of(any) * 4);
    check_unit(positive, "native", 0.3, 2, tolerance_of(positive) * 4);
    arena_free(a);
}

static void elementwise(void **state) {
    (void)state;
    rng_state = 1;
    element_unit(4);
    element_unit(8);
}

/* ---- chains: several clusters, reductions and repeated elements ---- */
static Graph *softmax_like(Arena *a, uint32_t n) {
    Graph *g = graph_new(a, "softmax");
    NodeId x = input(g, dims1(n), true), bias = input(g, dims1(n), false), label = input(g, shape_scalar(), true);
    NodeId z = graph_binary(g, OP_add, x, bias, nowhere);
    NodeId top = graph_reduce(g, OP_reduce_max, z, 1, nowhere);
    NodeId e = graph_unary(g, OP_exp, graph_binary(g, OP_sub, z, top, nowhere), nowhere);
    NodeId total = graph_reduce(g, OP_reduce_sum, e, 1, nowhere), p = graph_binary(g, OP_div, e, total, nowhere);
    NodeId iota = graph_op_shaped(g, OP_iota, NULL, 0, NULL, dims1(n), false, nowhere);
    NodeId hot = graph_binary(g, OP_eq, iota, graph_unary(g, OP_floor, label, nowhere), nowhere);
    NodeId d = graph_binary(g, OP_sub, p, hot, nowhere);
    graph_output(g, p);
    graph_output(g, d);
    graph_output(g, graph_unary(g, OP_log, total, nowhere));
    graph_output(g, graph_op(g, OP_batch_sum, &d, 1, NULL, nowhere));
    graph_output(g, graph_op(g, OP_argmax, &z, 1, NULL, nowhere));
    return g;
}

static void chains(void **state) {
    (void)state;
    for (uint32_t real = 4; real <= 8; real += 4) {
        Arena *a = arena_new();
        Unit *u = unit_new(a, real, "native");
        for (size_t k = 0; k < 6; k++) unit_add(u, softmax_like(a, sizes[k]), (Placement){.rest = k % 2});
        check_unit(u, "native", -1, 4, tolerance_of(u) * 5);
        arena_free(a);
    }
}

/* ---- layout and partial reductions ---- */
static void layout_ops(void **state) {
    (void)state;
    for (uint32_t real = 4; real <= 8; real += 4) {
        for (int batched = 1; batched >= 0; batched--) {
            Arena *a = arena_new();
            Unit *u = unit_new(a, real, "native");
            Placement where = {.no_rows = !batched};
            for (uint32_t round = 0; round < 3; round++) {
                where.rest = batched && round == 1;
                uint32_t p = rng_int(1, 6), q = rng_int(1, 9), r = rng_int(1, 5);
                Graph *g = graph_new(a, "layout");
                NodeId x = input(g, dims3(p, q, r), batched), y = input(g, dims3(p, 2, r), batched), v[2] = {x, y};
                graph_output(g, graph_op(g, OP_transpose, &x, 1, &(Attr){.transpose.axes = {2, 0, 1}}, nowhere));
                graph_output(g, graph_op(g, OP_slice, &x, 1,
                                         &(Attr){.slice = {{p / 2, q / 3, 0}, {p - p / 2, (q + 1) / 2, r}}}, nowhere));
                graph_output(g, graph_op(g, OP_concat, v, 2, &(Attr){.concat.axis = 1}, nowhere));
                graph_output(g, graph_op(g, OP_pad, &y, 1, &(Attr){.pad = {{1, 0, 3}, {0, 2, 1}}}, nowhere));
                unit_add(u, g, where);
                g = graph_new(a, "windows");
                x = input(g, dims3(p, q, r), batched);
                for (int64_t first = 0; first < 2; first++) {
                    Attr w = {.window = {{first ? (q + 1) / 2 : 1, first ? (r + 1) / 2 : q}, {2, 1 + round}, first}};
                    NodeId sum = graph_op(g, OP_window_sum, &x, 1, &w, nowhere);
                    graph_output(g, sum);
                    graph_output(g, graph_op_shaped(g, OP_window_spread, &sum, 1, &w, dims3(p, q, r), false, nowhere));
                }
                unit_add(u, g, where);
                g = graph_new(a, "reduce");
                x = input(g, dims3(p, q, r), batched);
                for (uint32_t mask = 1; mask < 7; mask += 2)
                    graph_output(g, graph_reduce(g, mask == 3 ? OP_reduce_max : OP_reduce_sum, x, mask, nowhere));
                NodeId row = graph_reshape(g, graph_reduce(g, OP_reduce_sum, x, 2, nowhere), dims3(p, 1, r), nowhere);
                graph_output(g, graph_binary(g, OP_sub, x, graph_broadcast(g, row, dims3(p, q, r), nowhere), nowhere));
                unit_add(u, g, where);
                g = graph_new(a, "outer");
                NodeId w[2] = {input(g, dims1(q), batched), input(g, dims1(p), false)};
                graph_output(g, graph_op(g, OP_outer, w, 2, NULL, nowhere));
                unit_add(u, g, where);
            }
            check_unit(u, "native", -1, 1, tolerance_of(u) * 4);
            arena_free(a);
        }
    }
}

/* Transposes that go by squares, with what is left over on each side; sums over the last axes that are long, whole
 * vectors and not, in one, two and three blocks of blocks. */
static void large_layouts(void **state) {
    (void)state;
    static const uint32_t lengths[]
                                 [2] = {{4, 64}, {37, 9}, {260, 33}, {1100, 37}},
                        orders[][3] = {{2, 0, 1}, {2, 1, 0}, {1, 0, 2}, {0, 2, 1}},
                        /* to the layout of convolutions and back; all turned round, which no squares do; and others */
        kernels[][4] = {{2, 3, 1, 0}, {3, 2, 0, 1}, {3, 2, 1, 0}, {1, 3, 0, 2}, {0, 3, 1, 2}};
    for (uint32_t real = 4; real <= 8; real += 4) {
        Arena *a = arena_new();
        Unit *u = unit_new(a, real, "native");
        for (int batched = 0; batched < 2; batched++) {
            Graph *g = graph_new(a, "transposes");
            NodeId x = input(g, dims3(40, 19, 32), batched);
            for (size_t k = 0; k < sizeof orders / sizeof *orders; k++) {
                const uint32_t *o = orders[k];
                graph_output(g,
                             graph_op(g, OP_transpose, &x, 1, &(Attr){.transpose.axes = {o[0], o[1], o[2]}}, nowhere));
            }
            unit_add(u, g, (Placement){.no_rows = !batched});
            g = graph_new(a, "transposes of kernels");
            x = input(g, (Shape){4, {33, 20, 3, 5}}, batched);
            for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++) {
                const uint32_t *o = kernels[k];
                x = graph_op(g, OP_transpose, &x, 1, &(Attr){.transpose.axes = {o[0], o[1], o[2], o[3]}}, nowhere);
                graph_output(g, x);
            }
            unit_add(u, g, (Placement){.no_rows = !batched});
            g = graph_new(a, "broadcasts");
            x = input(g, dims3(5, 1, 1), batched);
            NodeId y = input(g, dims3(1, 7, 1), batched), z = input(g, dims3(1, 7, 9), batched);
            for (size_t k = 0; k < 3; k++)
                graph_output(g, graph_broadcast(g, (NodeId[]){x, y, z}[k], dims3(5, 7, 9), nowhere));
            unit_add(u, g, (Placement){.no_rows = !batched});
            for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
                g = graph_new(a, "long sums");
                x = input(g, dims3(3, lengths[k][0], lengths[k][1]), batched);
                graph_output(g, graph_reduce(g, OP_reduce_sum, x, 6, nowhere));
                unit_add(u, g, (Placement){.no_rows = !batched});
            }
        }
        static const int64_t few[] = {1, 3};
        check_batches(u, "native", -1, 1, tolerance_of(u) * 4, few, sizeof few / sizeof *few);
        arena_free(a);
    }
}

/* Values of one number a channel, repeated with every pixel, and sums over the pixels: channels that are whole vectors
 * and that are not, alone and together, stored, added and read again. */
static void images_on(const char *cpu) {
    static const uint32_t shapes[][3] = {{7, 7, 12},  {14, 14, 32}, {3, 5, 24}, {2, 3, 64},  {4, 4, 16}, {7, 7, 1},
                                         {1, 9, 100}, {5, 3, 7},    {2, 2, 17}, {3, 1, 192}, {6, 2, 8},  {1, 2, 3}};
    for (uint32_t real = 4; real <= 8; real += 4) {
        Arena *a = arena_new();
        Unit *u = unit_new(a, real, cpu);
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
            uint32_t h = shapes[k][0], w = shapes[k][1], c = shapes[k][2];
            Shape image = dims3(h, w, c), flat = dims3(1, 1, c);
            for (int rest = 0; rest < 2; rest++) {
                Graph *g = graph_new(a, "norm");
                NodeId x = input(g, image, true), gain = input(g, dims1(c), false), bias = input(g, dims1(c), true);
                NodeId mean = graph_binary(g, OP_mul, graph_reduce(g, OP_reduce_sum, x, 3, nowhere),
                                           graph_constant(g, 1.0 / (h * w)), nowhere);
                NodeId centred = graph_binary(g, OP_sub, x, graph_reshape(g, mean, flat, nowhere), nowhere);
                NodeId squares = graph_binary(g, OP_mul, centred, centred, nowhere);
                NodeId scaled = graph_binary(g, OP_mul, centred, graph_reshape(g, gain, flat, nowhere), nowhere);
                graph_output(g, graph_binary(g, OP_add, scaled, graph_reshape(g, bias, flat, nowhere), nowhere));
                graph_output(g, graph_reduce(g, OP_reduce_sum, squares, 3, nowhere));
                graph_output(g, graph_reduce(g, OP_reduce_max, centred, 3, nowhere));
                if (rest) graph_output(g, graph_reduce(g, OP_reduce_sum, squares, 7, nowhere));
                if (rest) graph_output(g, mean);
                unit_add(u, g, (Placement){.rest = rest});
                g = graph_new(a, "columns"); /* two periods in one loop, a repeated value in memory */
                x = input(g, image, true), gain = input(g, dims3(1, w, c), false), bias = input(g, flat, true);
                NodeId y = graph_binary(g, OP_add, graph_binary(g, OP_mul, x, gain, nowhere), bias, nowhere);
                graph_output(g, graph_reduce(g, OP_reduce_sum, y, 3, nowhere));
                graph_output(g, graph_reduce(g, OP_reduce_sum, y, 1, nowhere));
                graph_output(g, graph_broadcast(g, bias, image, nowhere));
                unit_add(u, g, (Placement){.rest = rest});
            }
        }
        check_unit(u, cpu, -1, 1, tolerance_of(u) * 10);
        arena_free(a);
    }
}

static void images(void **state) {
    (void)state;
    images_on("native");
    images_on("x86-64-v3");
    images_on("x86-64");
}

/* ---- products ---- */
static NodeId packed_input(Graph *g, uint32_t k, uint32_t n) {
    NodeId id = input(g, dims2(k, n), false);
    g->nodes[id].attr.input.packed = INPUT_MATRIX;
    return id;
}

static NodeId packed_product(Graph *g, NodeId x, NodeId w) {
    return graph_op(g, OP_matmul, (NodeId[]){x, w}, 2, &(Attr){.matmul.packed = 1}, nowhere);
}

static void products_on(const char *cpu) {
    static const uint32_t shapes[][2] = {{1, 1},     {5, 10},   {784, 17},  {17, 64},
                                         {128, 128}, {33, 100}, {1024, 20}, {7, 48}};
    for (uint32_t real = 4; real <= 8; real += 4) {
        Arena *a = arena_new();
        Unit *u = unit_new(a, real, cpu);
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            uint32_t k = shapes[s][0], n = shapes[s][1];
            for (int rest = 0; rest < 2; rest++) {
                Graph *g = graph_new(a, "product");
                NodeId x = input(g, dims1(k), true), w = packed_input(g, k, n), b = input(g, dims1(n), false);
                NodeId y = packed_product(g, x, w);
                graph_output(g, graph_unary(g, OP_tanh, graph_binary(g, OP_add, y, b, nowhere), nowhere));
                if (rest) graph_output(g, y);
                unit_add(u, g, (Placement){.rest = rest});
            }
            Graph *g = graph_new(a, "two");
            NodeId x = input(g, dims1(k), true), w = packed_input(g, k, n), v = packed_input(g, n, k);
            NodeId h = graph_unary(g, OP_relu, packed_product(g, x, w), nowhere);
            graph_output(g, graph_binary(g, OP_add, x, packed_product(g, h, v), nowhere));
            unit_add(u, g, (Placement){.in_place = true});
            g = graph_new(a, "direct");
            x = input(g, dims1(k), true);
            graph_output(g, packed_product(g, x, packed_input(g, k, n)));
            unit_add(u, g, (Placement){0});
            g = graph_new(a, "general");
            x = input(g, dims1(k), true);
            graph_output(g, graph_matmul(g, x, input(g, dims2(k, n), false), false, false, nowhere));
            graph_output(g, graph_matmul(g, x, input(g, dims2(n, k), false), false, true, nowhere));
            unit_add(u, g, (Placement){0});
        }
        for (int round = 0; round < 8; round++) { /* whole and partial panels, whole and partial blocks */
            Graph *g = graph_new(a, "pack");
            NodeId x = input(g, dims2(rng_int(30, 100), rng_int(30, 100)), false);
            for (int transposed = 0; transposed < 2; transposed++)
                graph_output(g, graph_op(g, OP_pack, &x, 1, &(Attr){.pack.transposed = transposed}, nowhere));
            unit_add(u, g, (Placement){.no_rows = true});
        }
        for (int round = 0; round < 12; round++) { /* matrices, all orientations, one or both sides batched */
            uint32_t m = rng_int(1, 20), k = rng_int(1, 9), n = rng_int(1, 40);
            bool ta = round & 1, tb = round & 2;
            Graph *g = graph_new(a, "matrices");
            NodeId x = input(g, ta ? dims2(k, m) : dims2(m, k), round % 3 != 0),
                   y = input(g, tb ? dims2(n, k) : dims2(k, n), round % 3 != 1);
            graph_output(g, graph_matmul(g, x, y, ta, tb, nowhere));
            unit_add(u, g, (Placement){0});
            g = graph_new(a, "dot");
            x = input(g, dims1(m), true);
            graph_output(g, graph_matmul(g, x, input(g, dims1(m), round & 1), false, false, nowhere));
            unit_add(u, g, (Placement){0});
            g = graph_new(a, "shared");
            x = input(g, ta ? dims2(k, m) : dims2(m, k), false), y = input(g, tb ? dims2(n, k) : dims2(k, n), false);
            graph_output(g, graph_matmul(g, x, y, ta, tb, nowhere));
            graph_output(g, graph_op(g, OP_pack, &x, 1, &(Attr){.pack.transposed = round & 1}, nowhere));
            graph_output(g, graph_op(g, OP_pack, &y, 1, &(Attr){.pack.transposed = round & 1}, nowhere));
            unit_add(u, g, (Placement){.no_rows = true});
        }
        check_unit(u, cpu, -1, 1, tolerance_of(u) * 20);
        arena_free(a);
    }
}

static void outer_sums_on(const char *cpu) {
    static const uint32_t shapes[][2] = {{1, 1},     {5, 10},   {784, 17}, {17, 64},
                                         {128, 128}, {33, 100}, {100, 20}, {7, 48}};
    for (uint32_t real = 4; real <= 8; real += 4) {
        Arena *a = arena_new();
        Unit *u = unit_new(a, real, cpu);
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            uint32_t k = shapes[s][0], n = shapes[s][1];
            for (int kind = 0; kind < 3; kind++) {
                Graph *g = graph_new(a, "outer_sum");
                NodeId x = input(g, dims1(k), true), d = input(g, dims1(n), true), v[2];
                v[0] = kind == 1 ? graph_unary(g, OP_tanh, x, nowhere) : x;
                v[1] = kind == 1 ? graph_binary(g, OP_mul, d, d, nowhere) : d;
                NodeId sum = graph_op(g, OP_batch_outer, v, 2, NULL, nowhere);
                graph_output(g, kind == 2 ? graph_unary(g, OP_neg, sum, nowhere) : sum);
                graph_output(g, graph_op(g, OP_batch_sum, &v[1], 1, NULL, nowhere));
                if (kind == 1) graph_output(g, v[1]);
                unit_add(u, g, (Placement){.rest = kind == 2});
            }
        }
        check_unit(u, cpu, -1, 1, tolerance_of(u) * 40);
        arena_free(a);
    }
}

/* Vector widths of 64, 32 and 16 bytes; the last without fused multiply-add. */
static void products(void **state) {
    (void)state;
    products_on("native");
    products_on("x86-64-v3");
    products_on("x86-64");
}

static void outer_sums(void **state) {
    (void)state;
    outer_sums_on("native");
    outer_sums_on("x86-64-v3");
    outer_sums_on("x86-64");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elementwise),   cmocka_unit_test(chains), cmocka_unit_test(layout_ops),
        cmocka_unit_test(large_layouts), cmocka_unit_test(images), cmocka_unit_test(products),
        cmocka_unit_test(outer_sums),
    };
    return cmocka_run_group_tests_name("backend", tests, NULL, NULL);
}
