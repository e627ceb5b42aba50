/* Random graphs, compiled and interpreted: whatever the planner decides about loops, registers and buffers, values
 * stay. */
#include "backend_check.h"

static const Range nowhere = {0};

static NodeId *pool;
static uint32_t npool, pool_cap;

static Shape vector_of(uint32_t n) { return (Shape){1, {n}}; }
static NodeId any(const Graph *g) {
    (void)g;
    return pool[rng_int(0, npool - 1)];
}

static NodeId any_of_rank(const Graph *g, uint32_t rank) {
    for (int tries = 0; tries < 50; tries++) {
        NodeId id = any(g);
        if (graph_node(g, id)->shape.rank == rank) return id;
    }
    return NODE_NONE;
}

/* Keeps magnitudes near one. */
static NodeId tamed(Graph *g, NodeId x) { return graph_unary(g, OP_tanh, x, nowhere); }

static NodeId random_node(Graph *g) {
    static const Op unary[] = {OP_neg, OP_abs, OP_sigmoid, OP_tanh, OP_relu, OP_softplus, OP_exp, OP_stop_gradient};
    static const Op binary[] = {OP_add, OP_sub, OP_mul, OP_max, OP_min};
    NodeId x = any(g), y;
    Shape s = graph_node(g, x)->shape;
    switch (rng_int(0, 13)) {
    case 0:
    case 1: return graph_unary(g, unary[rng_int(0, 7)], tamed(g, x), nowhere);
    case 2:
    case 3:
    case 4:
        for (int tries = 0; tries < 30; tries++) {
            y = any(g);
            if (shape_equal(graph_node(g, y)->shape, s) || graph_node(g, y)->shape.rank == 0)
                return graph_binary(g, binary[rng_int(0, 4)], x, y, nowhere);
        }
        return NODE_NONE;
    case 5:
        return s.rank ? graph_reduce(g, rng_int(0, 1) ? OP_reduce_sum : OP_reduce_max, tamed(g, x), (1u << s.rank) - 1,
                                     nowhere)
                      : NODE_NONE;
    case 6:
        return s.rank ? tamed(g, graph_reduce(g, OP_reduce_sum, x, rng_int(1, (1u << s.rank) - 1), nowhere))
                      : NODE_NONE;
    case 7: { /* product with a packed matrix */
        if (s.rank != 1) return NODE_NONE;
        NodeId w = graph_input(g, (Shape){2, {s.dims[0], rng_int(1, 40)}}, false, "w", nowhere);
        g->nodes[w].attr.input.packed = INPUT_MATRIX;
        return tamed(g, graph_op(g, OP_matmul, (NodeId[]){x, w}, 2, &(Attr){.matmul.packed = 1}, nowhere));
    }
    case 8: {
        NodeId m = any_of_rank(g, 2), v = any_of_rank(g, 1);
        if (m == NODE_NONE || v == NODE_NONE || graph_node(g, m)->shape.dims[0] != graph_node(g, v)->shape.dims[0])
            return NODE_NONE;
        return tamed(g, graph_matmul(g, v, m, false, false, nowhere));
    }
    case 9: {
        NodeId a = any_of_rank(g, 1), b = any_of_rank(g, 1);
        if (a == NODE_NONE || b == NODE_NONE) return NODE_NONE;
        return graph_op(g, OP_outer, (NodeId[]){a, b}, 2, NULL, nowhere);
    }
    case 10:
        if (s.rank != 2) return NODE_NONE;
        if (rng_int(0, 1)) return graph_op(g, OP_transpose, &x, 1, &(Attr){.transpose.axes = {1, 0}}, nowhere);
        return graph_reshape(g, x, vector_of((uint32_t)shape_count(s)), nowhere);
    case 11: {
        if (s.rank != 1) return NODE_NONE;
        uint32_t start = rng_int(0, s.dims[0] - 1), size = rng_int(1, s.dims[0] - start);
        if (rng_int(0, 1)) return graph_op(g, OP_slice, &x, 1, &(Attr){.slice = {{start}, {size}}}, nowhere);
        return graph_op(g, OP_pad, &x, 1, &(Attr){.pad = {{rng_int(0, 3)}, {rng_int(0, 9)}}}, nowhere);
    }
    case 12: { /* rows or columns repeated, iota, a constant */
        if (s.rank != 1) return graph_constant(g, rng_uniform(-1, 1));
        NodeId row = graph_reshape(g, x, (Shape){2, {1, s.dims[0]}}, nowhere);
        if (rng_int(0, 1)) return graph_broadcast(g, row, (Shape){2, {rng_int(1, 4), s.dims[0]}}, nowhere);
        NodeId iota = graph_op_shaped(g, OP_iota, NULL, 0, NULL, s, false, nowhere);
        return graph_binary(g, OP_mul, x, graph_unary(g, OP_sigmoid, iota, nowhere), nowhere);
    }
    default:
        if (rng_int(0, 2) == 0)
            return graph_op_shaped(g, OP_random, NULL, 0, &(Attr){.random = {rng_int(0, 1), rng_int(0, 99)}},
                                   vector_of(rng_int(1, 20)), true, nowhere);
        if (rng_int(0, 1)) return tamed(g, graph_op(g, OP_batch_sum, &x, 1, NULL, nowhere));
        NodeId a = any_of_rank(g, 1), b = any_of_rank(g, 1);
        if (a == NODE_NONE || b == NODE_NONE) return NODE_NONE;
        return graph_op(g, OP_batch_outer, (NodeId[]){a, b}, 2, NULL, nowhere);
    }
}

static Graph *random_graph(Arena *a, uint32_t number) {
    Graph *g = graph_new(a, arena_printf(a, "random%u", number));
    uint32_t n = rng_int(1, 24), m = rng_int(1, 6);
    Shape shapes[] = {vector_of(n), vector_of(m), shape_scalar(), {2, {m, n}}};
    pool = NULL;
    npool = pool_cap = 0;
    for (uint32_t k = 0; k < 4; k++)
        *ARENA_PUSH(a, pool, npool, pool_cap) = graph_input(g, shapes[k == 3 ? 0 : k], k != 1, "x", nowhere);
    *ARENA_PUSH(a, pool, npool, pool_cap) = graph_input(g, shapes[3], rng_int(0, 1), "m", nowhere);
    for (uint32_t k = 0, want = rng_int(3, 40); k < want; k++) {
        NodeId id = random_node(g);
        if (id == NODE_NONE || shape_count(graph_node(g, id)->shape) > 2000) continue;
        *ARENA_PUSH(a, pool, npool, pool_cap) = id;
    }
    bool chosen[4096] = {false};
    uint32_t batched_inputs = 0, batched = 0;
    for (uint32_t k = 0; k < g->ninputs; k++) batched_inputs += graph_node(g, g->inputs[k])->batched;
    for (uint32_t k = 0, want = rng_int(1, 4); k < want; k++) {
        NodeId id = pool[rng_int(npool / 2, npool - 1)];
        bool is_batched = graph_node(g, id)->batched;
        if (chosen[id] || (is_batched && batched_inputs + batched == 8)) continue;
        chosen[id] = true;
        batched += is_batched;
        graph_output(g, id);
    }
    return g;
}

static void graphs(uint32_t real_bytes, const char *cpu, uint64_t seed, uint32_t units, double tolerance) {
    for (uint32_t round = 0; round < units; round++) {
        Arena *a = arena_new();
        Unit *u = unit_new(a, real_bytes, cpu);
        rng_state = seed + round;
        for (uint32_t k = 0; k < 10; k++) {
            Graph *g = random_graph(a, k);
            if (g->noutputs == 0) continue;
            graph_verify(g);
            unit_add(u, g, (Placement){.rest = rng_int(0, 2) == 0, .in_place = rng_int(0, 1)});
        }
        static const int64_t ragged[] = {1, 3, 14, 31};
        check_batches(u, cpu, -1, 1, tolerance, ragged, sizeof ragged / sizeof *ragged);
        arena_free(a);
    }
}

static uint32_t rounds(void) { /* more of them: DEQ_RANDOM_UNITS=1000 */
    const char *given = getenv("DEQ_RANDOM_UNITS");
    return given ? (uint32_t)atoi(given) : 12;
}

static void in_double(void **state) {
    (void)state;
    graphs(8, "native", 100, rounds(), 1e-9);
}

static void in_single(void **state) {
    (void)state;
    graphs(4, "native", 50000, rounds(), 2e-3);
    graphs(4, "x86-64", 90000, rounds() / 4 + 1, 2e-3);
    graphs(4, "x86-64-v3", 130000, rounds() / 4 + 1, 2e-3);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_double), cmocka_unit_test(in_single)};
    return cmocka_run_group_tests_name("backend_random", tests, NULL, NULL);
}
