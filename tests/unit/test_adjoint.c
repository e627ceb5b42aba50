/* Reverse mode on whole graphs: gradients of a small network, its Hessian, shared values, effects of fixed points. */
#include "graph_numbers.h"
#include "passes.h"

static const Range nowhere = {0};

typedef struct Network { /* loss = sum over examples of sum(softplus(tanh(x W + b) W') * x) */
    Arena *arena;
    Graph *g;
    NodeId x, W, b, loss;
} Network;

static Network network(void) {
    Network n = {.arena = arena_new()};
    n.g = graph_new(n.arena, "network");
    Graph *g = n.g;
    n.x = graph_input(g, (Shape){1, {3}}, true, "x", nowhere);
    n.W = graph_input(g, (Shape){2, {3, 4}}, false, "W", nowhere);
    n.b = graph_input(g, (Shape){1, {4}}, false, "b", nowhere);
    NodeId h = graph_unary(
        g, OP_tanh, graph_binary(g, OP_add, graph_matmul(g, n.x, n.W, false, false, nowhere), n.b, nowhere), nowhere);
    NodeId o = graph_unary(g, OP_softplus, graph_matmul(g, h, n.W, false, true, nowhere), nowhere);
    n.loss = graph_reduce(g, OP_reduce_sum, graph_binary(g, OP_mul, o, n.x, nowhere), 1, nowhere);
    return n;
}

#define ROWS 4

static double **values(const Network *n, double *const *in) {
    return interpret_graph(n->arena, n->g, ROWS, (const double *const *)in, &test_calls);
}

static double total(const Network *n, double *const *in) {
    double **v = values(n, in), sum = 0;
    for (int k = 0; k < ROWS; k++) sum += v[n->loss][k];
    return sum;
}

/* W is read twice: its cotangent is the sum of both, over all examples. */
static void test_gradient(void **state) {
    (void)state;
    rng_state = 3;
    Network n = network();
    NodeId wrt[3] = {n.x, n.W, n.b}, ct[3], one = graph_batch(n.g, graph_constant(n.g, 1), nowhere);
    reverse(n.g, &n.loss, &one, 1, wrt, 3, NULL, ct, NULL, NULL);
    graph_verify(n.g);
    double *in[16];
    for (uint32_t k = 0; k < n.g->ninputs; k++)
        in[k] = random_values(n.arena, value_count(n.g, n.g->inputs[k], ROWS), -1, 1);
    double **v = values(&n, in);
    for (int k = 0; k < 3; k++)
        for (uint64_t e = 0; e < value_count(n.g, wrt[k], ROWS); e++) {
            const double h = 1e-5, kept = in[k][e];
            in[k][e] = kept + h;
            double up = total(&n, in);
            in[k][e] = kept - h;
            double down = total(&n, in);
            in[k][e] = kept;
            assert_close(v[ct[k]][e], (up - down) / (2 * h), 1e-8);
        }
    arena_free(n.arena);
}

/* Reverse over reverse: <v, H u> == <u, H v>, and H v is the derivative of the gradient along v. */
static void test_hessian(void **state) {
    (void)state;
    rng_state = 5;
    Network n = network();
    Graph *g = n.g;
    NodeId gradient, Hv, Hu, one = graph_batch(g, graph_constant(g, 1), nowhere);
    reverse(g, &n.loss, &one, 1, &n.W, 1, NULL, &gradient, NULL, NULL);
    NodeId v = graph_input(g, g->nodes[n.W].shape, false, "v", nowhere);
    NodeId u = graph_input(g, g->nodes[n.W].shape, false, "u", nowhere);
    reverse(g, &gradient, &v, 1, &n.W, 1, NULL, &Hv, NULL, NULL);
    reverse(g, &gradient, &u, 1, &n.W, 1, NULL, &Hu, NULL, NULL);
    graph_verify(g);
    double *in[32];
    uint32_t at_v = 0, at_W = 1;
    for (uint32_t k = 0; k < g->ninputs; k++) {
        in[k] = random_values(n.arena, value_count(g, g->inputs[k], ROWS), -1, 1);
        if (g->inputs[k] == v) at_v = k;
    }
    double **at = values(&n, in), *W = in[at_W], up[12], down[12];
    assert_close(dot(at[u], at[Hv], 12), dot(at[v], at[Hu], 12), 1e-12);
    assert_true(fabs(dot(at[u], at[Hv], 12)) > 1e-3);
    const double h = 1e-5;
    for (int e = 0; e < 12; e++) W[e] += h * in[at_v][e];
    memcpy(up, values(&n, in)[gradient], sizeof up);
    for (int e = 0; e < 12; e++) W[e] -= 2 * h * in[at_v][e];
    memcpy(down, values(&n, in)[gradient], sizeof down);
    for (int e = 0; e < 12; e++) assert_close(at[Hv][e], (up[e] - down[e]) / (2 * h), 1e-7);
    arena_free(n.arena);
}

/* A cotangent that is the same for all examples still counts once for each. */
static void test_shared_counts_every_example(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = graph_new(a, "bias");
    NodeId x = graph_input(g, (Shape){0}, true, "x", nowhere), b = graph_input(g, (Shape){0}, false, "b", nowhere), ct;
    NodeId y = graph_binary(g, OP_add, x, b, nowhere), one = graph_constant(g, 1);
    reverse(g, &y, &one, 1, &b, 1, NULL, &ct, NULL, NULL);
    double values_x[ROWS] = {1, 2, 3, 4}, zero = 0;
    const double *in[] = {values_x, &zero, &zero};
    assert_true(interpret_graph(a, g, ROWS, in, NULL)[ct][0] == ROWS);
    arena_free(a);
}

/* A fixed point: one gradient call, cotangents of active captured values only, an effect when shared values want it. */
static void test_fixed_calls(void **state) {
    (void)state;
    for (int shared = 0; shared < 2; shared++)
        for (int active = 0; active < 2; active++) {
            Arena *a = arena_new();
            Graph *g = graph_new(a, "outer");
            Shape s = {1, {3}}, states[] = {s, {1, {2}}};
            NodeId x = graph_input(g, s, true, "x", nowhere), y = graph_input(g, s, true, "y", nowhere);
            NodeId args[] = {graph_unary(g, OP_exp, x, nowhere), y}, *effects = NULL, ct;
            NodeId f = graph_op(g, OP_fixed, args, 2, &(Attr){0}, nowhere);
            NodeId z = graph_op_shaped(g, OP_fixed_state, &f, 1, &(Attr){0}, s, true, nowhere);
            NodeId loss = graph_reduce(g, OP_reduce_sum, graph_binary(g, OP_mul, z, z, nowhere), 1, nowhere);
            NodeId one = graph_batch(g, graph_constant(g, 1), nowhere);
            FixedSignature signature = {2, states, shared, false};
            uint32_t neffects = 0, calls = 0, cotangents = 0;
            reverse(g, &loss, &one, 1, &x, active, &signature, &ct, &effects, &neffects);
            graph_verify(g);
            for (NodeId id = 0; id < g->nnodes; id++) {
                const Node *n = graph_node(g, id);
                calls += n->op == OP_fixed_gradient;
                cotangents += n->op == OP_fixed_cotangent;
                if (n->op == OP_fixed_gradient) {
                    assert_int_equal(n->nargs, 3); /* both states, though only the first is read */
                    assert_int_equal(n->attr.gradient.shared, shared);
                }
                if (n->op == OP_fixed_cotangent) assert_int_equal(n->attr.cotangent.captured, 0); /* not of y */
            }
            assert_int_equal(calls, shared || active);
            assert_int_equal(cotangents, active);
            assert_int_equal(neffects, shared);
            if (active) assert_int_equal(graph_node(g, ct)->op, OP_mul); /* exp(x) times the cotangent */
            arena_free(a);
        }
}

/* The cut: exp is never repeated, x is stored once although two values could be had from it, what is at hand is not. */
static void test_tape_cut(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = graph_new(a, "cut");
    Shape s = {1, {16}};
    NodeId z = graph_input(g, s, true, "z", nowhere), c = graph_input(g, s, true, "c", nowhere);
    NodeId u = graph_input(g, s, true, "u", nowhere);
    NodeId twice = graph_binary(g, OP_mul, z, z, nowhere), shifted = graph_binary(g, OP_add, z, c, nowhere);
    NodeId e = graph_unary(g, OP_exp, z, nowhere), e1 = graph_binary(g, OP_add, e, graph_constant(g, 1), nowhere);
    NodeId scalar = graph_reduce(g, OP_reduce_sum, z, 1, nowhere);
    NodeId y = graph_binary(g, OP_mul, u, twice, nowhere);
    y = graph_binary(g, OP_mul, y, shifted, nowhere);
    y = graph_binary(g, OP_mul, y, e1, nowhere);
    y = graph_binary(g, OP_mul, y, c, nowhere);
    y = graph_binary(g, OP_mul, y, graph_broadcast(g, scalar, s, nowhere), nowhere);
    bool *varying = arena_alloc(a, g->nnodes), *at_hand = arena_alloc(a, g->nnodes);
    varying[u] = at_hand[c] = true;
    for (NodeId id = 0; id < g->nnodes; id++) {
        at_hand[id] = at_hand[id] || graph_node(g, id)->op == OP_constant;
        if (graph_node(g, id)->op == OP_broadcast) at_hand[id] = at_hand[graph_arg(g, id, 0)];
        for (uint32_t k = 0; k < graph_node(g, id)->nargs; k++)
            varying[id] = varying[id] || varying[graph_arg(g, id, k)];
    }
    uint32_t n = 0;
    NodeId *stored = tape_cut(a, g, varying, at_hand, 4, &n);
    assert_int_equal(n, 3);
    assert_int_equal(stored[0], z);      /* serves z * z and z + c */
    assert_int_equal(stored[1], e1);     /* nearest the reader: one sum less to repeat */
    assert_int_equal(stored[2], scalar); /* not its broadcast */
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradient),
        cmocka_unit_test(test_hessian),
        cmocka_unit_test(test_shared_counts_every_example),
        cmocka_unit_test(test_fixed_calls),
        cmocka_unit_test(test_tape_cut),
    };
    return cmocka_run_group_tests_name("adjoint", tests, NULL, NULL);
}
