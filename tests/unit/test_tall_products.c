/* test_tall_products.c - dense layers whose weights leave the second-level cache, or whose rows leave the first-level one:
 * tall tiles, weights in stretches, at odd sizes and around the thresholds; against the interpreter. */
#include "backend_check.h"

static const Range nowhere = {0};
static Shape dims1(uint32_t a) { return (Shape){1, {a}}; }
static Shape dims2(uint32_t a, uint32_t b) { return (Shape){2, {a, b}}; }
static NodeId input(Graph *g, Shape s, bool batched) { return graph_input(g, s, batched, "in", nowhere); }

/* Rows of more than 8 kB against weights that outweigh them, and shorter ones against weights of a little less and a
 * little more than 2 MB; the last panel is whole, of a vector, or less.  Records,
 * which are read through an index, come in one tile of 64 rows at most. */
static void tall_products_on(const char *cpu, bool rest) {
    static const uint32_t shapes[][2] = {{2049, 2176}, {100, 2065}, {700, 748}, {700, 750}, {700, 2085}};
    const int64_t rows[] = {1, 15, rest ? 64 : 67};
    Arena *a = arena_new();
    Unit *u = unit_new(a, 4, cpu);
    for (size_t s = rest ? 4 : 0; s < (rest ? 5 : 4); s++) {
        const uint32_t k = shapes[s][0], n = shapes[s][1];
        Graph *g = graph_new(a, "tall");
        NodeId x = input(g, dims1(k), true), b = input(g, dims1(n), false), w = input(g, dims2(k, n), false);
        g->nodes[w].attr.input.packed = INPUT_MATRIX;
        NodeId y = graph_op(g, OP_matmul, (NodeId[]){x, w}, 2, &(Attr){.matmul.packed = 1}, nowhere);
        graph_output(g, graph_unary(g, OP_relu, graph_binary(g, OP_add, y, b, nowhere), nowhere));
        graph_output(g, graph_op(g, OP_batch_sum, &y, 1, NULL, nowhere));
        unit_add(u, g, (Placement){.rest = rest});
    }
    check_batches(u, cpu, -1, 1, tolerance_of(u) * 40, rows, sizeof rows / sizeof *rows);
    arena_free(a);
}

static void tall_products(void **state) {
    (void)state;
    for (int rest = 0; rest < 2; rest++) {
        tall_products_on("native", rest);
        tall_products_on("x86-64-v3", rest);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(tall_products)};
    return cmocka_run_group_tests_name("tall products", tests, NULL, NULL);
}
