/* The builder: sharing, folding, broadcasts, copying, text; the verifier's refusals; simplify and hoist on small
 * graphs. */
#include "graph_numbers.h"
#include "passes.h"
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const Range nowhere = {0};
static Arena *arena;
static Graph *g;

static int setup(void **state) {
    (void)state;
    arena = arena_new();
    g = graph_new(arena, "test");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

static NodeId input(uint32_t rank, uint32_t a, uint32_t b, bool batched) {
    return graph_input(g, (Shape){rank, {a, b}}, batched, "v", nowhere);
}

static NodeId number(double v) { return graph_constant(g, v); }
static NodeId two(Op op, NodeId a, NodeId b) { return graph_binary(g, op, a, b, nowhere); }
static NodeId one(Op op, NodeId a) { return graph_unary(g, op, a, nowhere); }

static char *text_of(const Graph *graph) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    graph_print(graph, f);
    fclose(f);
    char *kept = arena_strdup(arena, text);
    free(text);
    return kept;
}

static void test_sharing(void **state) {
    (void)state;
    NodeId x = input(1, 4, 0, true), y = input(1, 4, 0, true);
    assert_int_not_equal(x, y); /* inputs are never one */
    assert_int_equal(one(OP_tanh, x), one(OP_tanh, x));
    assert_int_equal(two(OP_add, x, y), two(OP_add, y, x));
    assert_int_not_equal(two(OP_sub, x, y), two(OP_sub, y, x));
    assert_int_equal(number(0.5), number(0.5));
    assert_int_not_equal(number(0.0), number(-0.0));
    Attr site[2] = {{.random.site = 1}, {.random.site = 2}};
    Shape s = {1, {4}};
    NodeId r1 = graph_op_shaped(g, OP_random, NULL, 0, &site[0], s, true, nowhere);
    assert_int_not_equal(r1, graph_op_shaped(g, OP_random, NULL, 0, &site[1], s, true, nowhere));
    assert_true(graph_node(g, r1)->batched);
    Attr query[2] = {{.name = "a_loss"}, {.name = "b_loss"}};
    assert_int_not_equal(graph_op(g, OP_query, &x, 1, &query[0], nowhere),
                         graph_op(g, OP_query, &x, 1, &query[1], nowhere));
    for (int k = 0; k < 2000; k++) two(OP_add, x, number(k + 0.5)); /* past the table's first sizes */
    uint32_t before = g->nnodes;
    for (int k = 0; k < 2000; k++) two(OP_add, x, number(k + 0.5));
    assert_int_equal(g->nnodes, before);
    graph_verify(g);
}

static void test_identities(void **state) {
    (void)state;
    NodeId x = input(2, 2, 3, true), w = input(2, 2, 3, false), c = number(3);
    assert_int_equal(two(OP_add, x, number(0)), x);
    assert_int_equal(two(OP_mul, x, number(1)), x);
    assert_int_equal(two(OP_div, x, number(1)), x);
    assert_int_equal(two(OP_pow, x, number(1)), x);
    assert_int_equal(two(OP_sub, x, number(0)), x);
    assert_int_equal(one(OP_neg, one(OP_neg, x)), x);
    assert_int_equal(two(OP_sub, number(0), x), one(OP_neg, x));
    assert_int_equal(two(OP_add, x, one(OP_neg, w)), two(OP_sub, x, w));
    assert_int_equal(two(OP_mul, x, number(-1)), one(OP_neg, x));
    assert_int_equal(two(OP_mul, two(OP_mul, x, c), number(2)), two(OP_mul, x, number(6)));
    NodeId zero = two(OP_mul, x, number(0)); /* zero, but of x's dims and one per example */
    assert_true(shape_equal(graph_node(g, zero)->shape, graph_node(g, x)->shape));
    assert_true(graph_node(g, zero)->batched);
    assert_int_equal(one(OP_exp, number(0)), number(1));
    assert_int_equal(two(OP_max, number(2), c), c);
    assert_int_equal(graph_node(g, one(OP_log, number(0)))->op, OP_log); /* not folded: the run shows where it arises */
    Shape flat = {1, {6}}, tall = {2, {3, 2}};
    assert_int_equal(graph_reshape(g, graph_reshape(g, x, flat, nowhere), graph_node(g, x)->shape, nowhere), x);
    assert_int_equal(graph_reshape(g, graph_reshape(g, x, flat, nowhere), tall, nowhere),
                     graph_reshape(g, x, tall, nowhere));
    Attr swap = {.transpose.axes = {1, 0}};
    NodeId t = graph_op(g, OP_transpose, &w, 1, &swap, nowhere);
    assert_int_equal(graph_op(g, OP_transpose, &t, 1, &swap, nowhere), w);
    NodeId v = input(1, 3, 0, true);
    assert_int_equal(graph_matmul(g, v, t, false, false, nowhere), graph_matmul(g, v, w, false, true, nowhere));
    assert_int_equal(graph_matmul(g, w, v, false, false, nowhere), graph_matmul(g, v, w, false, true, nowhere));
    assert_int_equal(graph_reduce(g, OP_reduce_sum, x, 0, nowhere), x);
    double value;
    NodeId total = graph_reduce(g, OP_reduce_sum, graph_broadcast(g, c, (Shape){1, {5}}, nowhere), 1, nowhere);
    assert_int_equal(graph_node(g, total)->op, OP_constant);
    value = graph_node(g, total)->attr.value;
    assert_true(value == 15);
    graph_verify(g);
}

static void test_broadcasts(void **state) {
    (void)state;
    NodeId x = input(2, 2, 3, true), row = input(2, 1, 3, false), s = input(0, 0, 0, false);
    NodeId y = two(OP_add, two(OP_add, x, row), s);
    assert_true(shape_equal(graph_node(g, y)->shape, (Shape){2, {2, 3}}));
    assert_true(graph_node(g, y)->batched);
    NodeId column = input(2, 2, 1, false);
    assert_true(shape_equal(graph_node(g, two(OP_mul, row, column))->shape, (Shape){2, {2, 3}}));
    assert_false(graph_node(g, two(OP_mul, row, column))->batched);
    NodeId raised = graph_batch(g, row, nowhere);
    assert_true(graph_node(g, raised)->batched);
    assert_int_equal(graph_batch(g, raised, nowhere), raised);
    assert_false(graph_node(g, one(OP_batch_sum, row))->batched); /* n times row: raised first */
    graph_verify(g);
}

static void test_copy(void **state) {
    (void)state;
    NodeId x = input(1, 3, 0, true), w = input(2, 3, 3, false), deep = x;
    for (int k = 0; k < 20000; k++) deep = two(OP_add, one(OP_tanh, deep), x); /* deeper than any stack frame count */
    NodeId y = graph_matmul(g, deep, w, false, false, nowhere);
    Graph *h = graph_new(arena, "copy");
    NodeId *map = graph_map(arena, g), copy = graph_copy(h, g, y, map);
    graph_output(h, copy);
    graph_verify(h);
    assert_int_equal(h->ninputs, 2);
    assert_int_equal(h->nnodes, g->nnodes);
    assert_int_equal(graph_copy(h, g, y, map), copy);
}

static void test_text(void **state) {
    (void)state;
    NodeId x = input(1, 3, 0, true), w = input(2, 3, 2, false);
    NodeId y = graph_matmul(g, one(OP_tanh, x), w, false, false, nowhere);
    graph_output(g, two(OP_mul, y, number(0.1)));
    assert_string_equal(text_of(g), "graph test {\n"
                                    "  %0 = input \"v\" : batched [3]\n"
                                    "  %1 = input \"v\" : [3,2]\n"
                                    "  %2 = tanh %0 : batched [3]\n"
                                    "  %3 = matmul %2, %1 : batched [2]\n"
                                    "  %4 = constant 0.1 : []\n"
                                    "  %5 = broadcast %4 : [2]\n"
                                    "  %6 = mul %3, %5 : batched [2]\n"
                                    "  output %6\n"
                                    "}\n");
}

/* The numbers of operations are printed by name; those that an operation does not have make no difference. */
static void test_numbers(void **state) {
    (void)state;
    NodeId x = input(2, 3, 4, true);
    NodeId y = graph_op(g, OP_slice, &x, 1, &(Attr){.slice = {.start = {0, 1}, .size = {3, 2}}}, nowhere);
    y = graph_op(g, OP_transpose, &y, 1, &(Attr){.transpose.axes = {1, 0}}, nowhere);
    y = graph_reduce(g, OP_reduce_sum, y, 1u << 1, nowhere);
    y = graph_op(g, OP_concat, (NodeId[]){y, y}, 2, &(Attr){.concat.axis = 0}, nowhere);
    graph_output(g, y);
    assert_string_equal(text_of(g), "graph test {\n"
                                    "  %0 = input \"v\" : batched [3,4]\n"
                                    "  %1 = slice %0 start=0,1 size=3,2 : batched [3,2]\n"
                                    "  %2 = transpose %1 axes=1,0 : batched [2,3]\n"
                                    "  %3 = reduce_sum %2 axes=1 : batched [2]\n"
                                    "  %4 = concat %3, %3 axis=0 : batched [4]\n"
                                    "  output %4\n"
                                    "}\n");
    assert_int_equal(graph_op(g, OP_tanh, &y, 1, &(Attr){.conv.stride = 2}, nowhere), one(OP_tanh, y));
    assert_int_equal(graph_op(g, OP_concat, (NodeId[]){graph_arg(g, y, 0), graph_arg(g, y, 1)}, 2,
                              &(Attr){.slice.start = {0, 7}}, nowhere),
                     y);
    graph_verify(g);
}

/* What the text says when printed after simplification. */
static void assert_simplified(NodeId root, const char *expected) {
    graph_output(g, root);
    assert_string_equal(text_of(simplify(arena, g, NULL, 0, false, NULL)), expected);
}

static void test_simplify_powers(void **state) {
    (void)state;
    NodeId x = input(0, 0, 0, true);
    NodeId y = two(OP_add, two(OP_pow, x, number(3)), two(OP_div, two(OP_pow, x, number(-0.5)), number(4)));
    assert_simplified(y, "graph test {\n"
                         "  %0 = input \"v\" : batched []\n"
                         "  %1 = sqrt %0 : batched []\n"
                         "  %2 = constant 1 : []\n"
                         "  %3 = div %2, %1 : batched []\n"
                         "  %4 = constant 0.25 : []\n"
                         "  %5 = mul %3, %4 : batched []\n"
                         "  %6 = mul %0, %0 : batched []\n"
                         "  %7 = mul %0, %6 : batched []\n"
                         "  %8 = add %5, %7 : batched []\n"
                         "  output %8\n"
                         "}\n");
}

static void test_simplify_sums(void **state) {
    (void)state;
    NodeId a = input(1, 3, 0, true), b = input(1, 2, 0, true);
    NodeId total = one(OP_batch_sum, two(OP_outer, a, b));
    NodeId y = one(OP_neg, graph_op(g, OP_transpose, &total, 1, &(Attr){.transpose.axes = {1, 0}}, nowhere));
    assert_simplified(y, "graph test {\n"
                         "  %0 = input \"v\" : batched [3]\n"
                         "  %1 = input \"v\" : batched [2]\n"
                         "  %2 = neg %1 : batched [2]\n"
                         "  %3 = batch_outer %2, %0 : [2,3]\n"
                         "  output %3\n"
                         "}\n");
}

/* sum(s (x - mean x) + t y), s and t scalars: the mean's part is zero, and the sum is taken before the scaling. */
static void test_simplify_centred(void **state) {
    (void)state;
    NodeId x = input(1, 4, 0, true), y = input(1, 4, 0, true), s = input(0, 0, 0, true), t = input(0, 0, 0, true);
    NodeId mean = two(OP_div, graph_reduce(g, OP_reduce_sum, x, 1, nowhere), number(4));
    NodeId sum = two(OP_add, two(OP_mul, two(OP_sub, x, mean), s), two(OP_mul, y, t));
    assert_simplified(graph_reduce(g, OP_reduce_sum, sum, 1, nowhere), "graph test {\n"
                                                                       "  %0 = input \"v\" : batched [4]\n"
                                                                       "  %1 = input \"v\" : batched []\n"
                                                                       "  %2 = reduce_sum %0 axes=0 : batched []\n"
                                                                       "  %3 = mul %1, %2 : batched []\n"
                                                                       "  output %3\n"
                                                                       "}\n");
}

/* Simplification keeps values: random expressions before and after. */
static void test_simplify_keeps_values(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        static const Op unary[] = {OP_neg, OP_tanh, OP_relu, OP_sigmoid, OP_step}, binary[] = {OP_add, OP_sub, OP_mul};
        rng_state = seed;
        g = graph_new(arena, "random");
        NodeId pool[40];
        uint32_t n = 0;
        pool[n++] = input(2, 2, 3, true), pool[n++] = input(2, 1, 3, false), pool[n++] = input(2, 2, 1, true);
        pool[n++] = input(0, 0, 0, false), pool[n++] = number(2), pool[n++] = number(0);
        while (n < 30) {
            NodeId a = pool[rng_int(0, n - 1)], b = pool[rng_int(0, n - 1)];
            Shape s = graph_node(g, a)->shape;
            switch (rng_int(0, 5)) {
            case 0: pool[n++] = one(unary[rng_int(0, 4)], a); break;
            case 1: pool[n++] = two(OP_div, a, number(rng_int(2, 4))); break;
            case 2:
                pool[n++] =
                    two(OP_pow, two(OP_add, two(OP_mul, a, a), number(1)), number((double)rng_int(0, 6) / 2 - 1));
                break;
            case 3:
                if (s.rank != 2) break;
                a = graph_reduce(g, OP_reduce_sum, a, 2, nowhere);
                pool[n++] = graph_reshape(g, a, (Shape){2, {s.dims[0], 1}}, nowhere);
                break;
            case 4: /* only sums over examples mix with unbatched values */
                if (graph_node(g, a)->batched) pool[n++] = one(OP_batch_sum, a);
                break;
            default: pool[n++] = two(binary[rng_int(0, 2)], a, b);
            }
        }
        for (uint32_t k = 6; k < n; k++) graph_output(g, pool[k]);
        Graph *h = simplify(arena, g, NULL, 0, true, NULL);
        const double *in[4];
        for (uint32_t k = 0; k < 4; k++) in[k] = random_values(arena, value_count(g, g->inputs[k], 3), -1, 1);
        double **before = interpret_graph(arena, g, 3, in, &test_calls),
               **after = interpret_graph(arena, h, 3, in, &test_calls);
        for (uint32_t k = 0; k < g->noutputs; k++)
            for (uint64_t e = 0; e < value_count(g, g->outputs[k], 3); e++) {
                double x = before[g->outputs[k]][e], y = after[h->outputs[k]][e];
                if (fabs(x) < 1e8) assert_close(x, y, 1e-9);
            }
    }
}

/* Expects the internal error's exit code 70. */
static void assert_ice(void (*broken)(void)) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr)) _exit(1);
        broken();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 70);
}

static void wrong_dims(void) { two(OP_add, input(1, 3, 0, true), input(1, 4, 0, true)); }
static void wrong_product(void) { graph_matmul(g, input(1, 3, 0, true), input(2, 4, 4, false), false, false, nowhere); }
static void later_argument(void) {
    NodeId y = one(OP_tanh, input(1, 3, 0, true));
    g->args[g->nodes[y].args] = y;
    graph_verify(g);
}
static void wrong_shape(void) {
    NodeId y = one(OP_tanh, input(1, 3, 0, true));
    g->nodes[y].shape.dims[0] = 4;
    graph_verify(g);
}
static void wrong_batching(void) {
    NodeId y = one(OP_tanh, input(1, 3, 0, true));
    g->nodes[y].batched = false;
    graph_verify(g);
}
static void token_as_value(void) {
    NodeId x = input(0, 0, 0, true), f = graph_op(g, OP_fixed, &x, 1, &(Attr){0}, nowhere);
    one(OP_tanh, f);
    graph_verify(g);
}
static void unpacked(void) {
    NodeId args[2] = {input(1, 3, 0, true), input(2, 3, 3, false)};
    graph_op(g, OP_matmul, args, 2, &(Attr){.matmul.packed = 1}, nowhere);
    graph_verify(g);
}

static void number_of_another_op(void) {
    NodeId y = one(OP_tanh, input(1, 3, 0, true));
    g->nodes[y].attr.concat.axis = 1;
    graph_verify(g);
}
static void flag_of_two(void) {
    NodeId y = graph_matmul(g, input(1, 3, 0, true), input(2, 3, 3, false), false, false, nowhere);
    g->nodes[y].attr.matmul.transpose_b = 2;
    graph_verify(g);
}

static void test_refusals(void **state) {
    (void)state;
    void (*const broken[])(void) = {wrong_dims,     wrong_product, later_argument,       wrong_shape, wrong_batching,
                                    token_as_value, unpacked,      number_of_another_op, flag_of_two};
    for (size_t k = 0; k < sizeof broken / sizeof *broken; k++) assert_ice(broken[k]);
}

/* z tanh'd after (z W + x) + (y - 1): x + y - 1 is one captured value. */
static void test_hoist_regroups(void **state) {
    (void)state;
    Graph *outer = g, *body = graph_new(arena, "body");
    Shape v = {1, {3}};
    NodeId x = graph_input(outer, v, true, "x", nowhere), y = graph_input(outer, v, false, "y", nowhere);
    NodeId W = graph_input(outer, (Shape){2, {3, 3}}, false, "W", nowhere),
           unused = graph_input(outer, v, true, "u", nowhere);
    NodeId z = graph_input(body, v, true, "z", nowhere), bx = graph_input(body, v, true, "x", nowhere);
    NodeId by = graph_input(body, v, false, "y", nowhere),
           bW = graph_input(body, (Shape){2, {3, 3}}, false, "W", nowhere);
    graph_input(body, v, true, "u", nowhere);
    NodeId zW = graph_matmul(body, z, bW, false, false, nowhere);
    NodeId sum = graph_binary(body, OP_add, graph_binary(body, OP_add, zW, bx, nowhere),
                              graph_binary(body, OP_sub, by, graph_constant(body, 1), nowhere), nowhere);
    graph_output(body, graph_unary(body, OP_tanh, sum, nowhere));
    NodeId args[] = {x, y, W, unused}, fixed = graph_op(outer, OP_fixed, args, 4, &(Attr){0}, nowhere);
    graph_output(outer, graph_op_shaped(outer, OP_fixed_state, &fixed, 1, &(Attr){0}, v, true, nowhere));
    uint32_t nstate = 1;
    Graph *hoisted = hoist(arena, outer, &body, &nstate, 1);
    assert_int_equal(body->ninputs, 3); /* z, W, x + y - 1 */
    assert_int_equal(body->nnodes, 6);
    for (NodeId id = 0; id < hoisted->nnodes; id++)
        if (hoisted->nodes[id].op == OP_fixed) assert_int_equal(hoisted->nodes[id].nargs, 2);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sharing),
        TEST(test_identities),
        TEST(test_broadcasts),
        TEST(test_copy),
        TEST(test_text),
        TEST(test_numbers),
        TEST(test_simplify_powers),
        TEST(test_simplify_sums),
        TEST(test_simplify_centred),
        TEST(test_simplify_keeps_values),
        TEST(test_refusals),
        TEST(test_hoist_regroups),
    };
    return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
