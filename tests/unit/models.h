/* models.h - small nets built by hand, and a plain evaluation of their losses to compare routines with. */
#ifndef DEQ_TESTS_MODELS_H
#define DEQ_TESTS_MODELS_H
#include "graph_numbers.h"

#define ROWS 3
static const Range nowhere = {0};

typedef struct Net {
    Arena *arena;
    Model model;
    Graph *g;
    double **parameters; /* values, by model parameter */
    double *x, *y;
} Net;

static inline Shape dims1(uint32_t a) { return (Shape){1, {a}}; }
static inline Shape dims2(uint32_t a, uint32_t b) { return (Shape){2, {a, b}}; }
static inline NodeId add(Graph *g, NodeId a, NodeId b) { return graph_binary(g, OP_add, a, b, nowhere); }
static inline NodeId mul(Graph *g, NodeId a, NodeId b) { return graph_binary(g, OP_mul, a, b, nowhere); }
static inline NodeId product(Graph *g, NodeId a, NodeId b) { return graph_matmul(g, a, b, false, false, nowhere); }
static inline NodeId tanh_of(Graph *g, NodeId a) { return graph_unary(g, OP_tanh, a, nowhere); }

static inline NodeId parameter(Net *net, const char *path, Shape shape, double scale, bool trained) {
    Model *m = &net->model;
    NodeId node = graph_input(net->g, shape, false, path, nowhere);
    m->parameters[m->nparameters] = (Parameter){path, shape, node, "zeros", trained, nowhere};
    net->parameters[m->nparameters++] = random_values(net->arena, shape_count(shape), -scale, scale);
    return node;
}

static inline Net *net_new(const char *name, Shape x, uint64_t seed) {
    Arena *a = arena_new();
    Net *net = arena_alloc(a, sizeof *net);
    rng_state = seed;
    net->arena = a;
    net->g = graph_new(a, name);
    net->model = (Model){.arena = a, .name = name, .graph = net->g, .penalised = true, .corrections = true};
    net->model.parameters = arena_alloc(a, 32 * sizeof(Parameter));
    net->model.fixed = arena_alloc(a, 4 * sizeof(FixedPoint));
    net->model.losses = arena_alloc(a, 2 * sizeof(Loss));
    net->model.metrics = arena_alloc(a, 2 * sizeof(Loss));
    net->parameters = arena_alloc(a, 32 * sizeof(double *));
    net->model.x = graph_input(net->g, x, true, "x", nowhere);
    net->model.y = graph_input(net->g, shape_scalar(), true, "y", nowhere);
    net->x = random_values(a, ROWS * shape_count(x), -1, 1);
    net->y = arena_alloc(a, ROWS * sizeof(double));
    for (int k = 0; k < ROWS; k++) net->y[k] = k;
    return net;
}

/* A body's inputs stand for the captured nodes in order; states[k] are added first by the caller. */
static inline NodeId capture_input(Net *net, Graph *body, NodeId node) {
    const Node *n = graph_node(net->g, node);
    return graph_input(body, n->shape, n->batched, n->attr.name ? n->attr.name : "captured", nowhere);
}

/* Adds the fixed point; returns its node. */
static inline NodeId add_fixed(Net *net, const char *name, Graph *body, uint32_t nstate, const NodeId *captured,
                               uint32_t n) {
    Model *m = &net->model;
    NodeId node = graph_op(net->g, OP_fixed, captured, n, &(Attr){.fixed.index = m->nfixed}, nowhere);
    m->fixed[m->nfixed++] =
        (FixedPoint){.name = name, .path = name, .body = body, .nstate = nstate, .fixed_node = node};
    return node;
}

static inline NodeId fixed_state(Net *net, NodeId fixed, uint32_t k, Shape shape) {
    return graph_op_shaped(net->g, OP_fixed_state, &fixed, 1, &(Attr){.state.component = k}, shape, true, nowhere);
}

/* Cross-entropy of `output` and the label, and the accuracy metric. */
static inline void add_loss(Net *net, NodeId output) {
    Graph *g = net->g;
    Model *m = &net->model;
    uint32_t classes = graph_node(g, output)->shape.dims[0];
    NodeId top = graph_unary(g, OP_stop_gradient, graph_reduce(g, OP_reduce_max, output, 1, nowhere), nowhere);
    NodeId shifted = graph_binary(g, OP_sub, output, top, nowhere);
    NodeId total = graph_reduce(g, OP_reduce_sum, graph_unary(g, OP_exp, shifted, nowhere), 1, nowhere);
    NodeId index = graph_op_shaped(g, OP_iota, NULL, 0, NULL, dims1(classes), false, nowhere);
    NodeId hit = graph_binary(g, OP_eq, index, m->y, nowhere);
    NodeId own = graph_reduce(g, OP_reduce_sum, mul(g, shifted, hit), 1, nowhere);
    m->output = output;
    m->losses[0] = (Loss){.name = "cross_entropy",
                          .node = graph_binary(g, OP_sub, graph_unary(g, OP_log, total, nowhere), own, nowhere)};
    m->nlosses = 1;
    m->metrics[0] = (Loss){.name = "accuracy",
                           .node = graph_binary(g, OP_eq, graph_unary(g, OP_argmax, output, nowhere), m->y, nowhere)};
    m->nmetrics = 1;
}

/* z = tanh(z W + x U + b); output z V + c. */
static inline Net *tanh_net(void) {
    Net *net = net_new("Tanh", dims1(3), 11);
    Graph *g = net->g, *f = graph_new(net->arena, "Tanh_body");
    NodeId W = parameter(net, "W", dims2(5, 5), 0.25, true), U = parameter(net, "U", dims2(3, 5), 1, true);
    NodeId b = parameter(net, "b", dims1(5), 0.5, true), V = parameter(net, "V", dims2(5, 4), 1, true);
    NodeId c = parameter(net, "c", dims1(4), 0.5, true);
    NodeId captured[] = {net->model.x, W, U, b};
    NodeId z = graph_input(f, dims1(5), true, "z", nowhere), in[4];
    for (int k = 0; k < 4; k++) in[k] = capture_input(net, f, captured[k]);
    graph_output(f, tanh_of(f, add(f, add(f, product(f, z, in[1]), product(f, in[0], in[2])), in[3])));
    NodeId solved = fixed_state(net, add_fixed(net, "Tanh_fixed", f, 1, captured, 4), 0, dims1(5));
    add_loss(net, add(g, product(g, solved, V), c));
    return net;
}

/* (v - mean) / sqrt(variance + eps) * gain + shift, along a vector. */
static inline NodeId layer_norm(Graph *g, NodeId v, NodeId gain, NodeId shift) {
    NodeId n = graph_constant(g, graph_node(g, v)->shape.dims[0]);
    NodeId mean = graph_binary(g, OP_div, graph_reduce(g, OP_reduce_sum, v, 1, nowhere), n, nowhere);
    NodeId d = graph_binary(g, OP_sub, v, mean, nowhere);
    NodeId square = graph_binary(g, OP_pow, d, graph_constant(g, 2), nowhere);
    NodeId variance = graph_binary(g, OP_div, graph_reduce(g, OP_reduce_sum, square, 1, nowhere), n, nowhere);
    NodeId deviation = graph_unary(g, OP_sqrt, add(g, variance, graph_constant(g, 1e-2)), nowhere);
    return add(g, mul(g, graph_binary(g, OP_div, d, deviation, nowhere), gain), shift);
}

/* z = layer_norm(relu(z W / |W| s + x U)) gain + shift: weight norm is a derived shared value.  A buffer scales x. */
static inline Net *norm_net(void) {
    Net *net = net_new("Norm", dims1(4), 23);
    Graph *g = net->g, *f = graph_new(net->arena, "Norm_body");
    NodeId W = parameter(net, "W", dims2(6, 6), 1, true), U = parameter(net, "U", dims2(4, 6), 1, true);
    NodeId buffer = parameter(net, "scale", dims1(4), 2, false);
    NodeId gain = parameter(net, "gain", dims1(6), 0.6, true), shift = parameter(net, "shift", dims1(6), 0.5, true);
    NodeId V = parameter(net, "V", dims2(6, 4), 1, true);
    NodeId captured[] = {net->model.x, W, U, buffer, gain, shift};
    NodeId z = graph_input(f, dims1(6), true, "z", nowhere), in[6];
    for (int k = 0; k < 6; k++) in[k] = capture_input(net, f, captured[k]);
    NodeId length = graph_unary(f, OP_sqrt, graph_reduce(f, OP_reduce_sum, mul(f, in[1], in[1]), 3, nowhere), nowhere);
    NodeId normed = graph_binary(f, OP_div, in[1], mul(f, length, graph_constant(f, 1.3)), nowhere);
    NodeId injected = product(f, mul(f, in[0], in[3]), in[2]);
    NodeId inner = graph_unary(f, OP_relu, add(f, product(f, z, normed), injected), nowhere);
    graph_output(f, layer_norm(f, inner, in[4], in[5]));
    NodeId solved = fixed_state(net, add_fixed(net, "Norm_fixed", f, 1, captured, 6), 0, dims1(6));
    add_loss(net, product(g, solved, V));
    return net;
}

/* Two fixed points: the first has a tuple state (p, q), the second captures p.  S is read by both and by the head. */
static inline Net *chain_net(void) {
    Net *net = net_new("Chain", dims1(3), 37);
    Graph *g = net->g, *f = graph_new(net->arena, "Chain_first"), *h = graph_new(net->arena, "Chain_second");
    NodeId S = parameter(net, "S", dims2(4, 4), 0.2, true), A = parameter(net, "A", dims2(3, 4), 0.8, true);
    NodeId B = parameter(net, "B", dims2(2, 4), 0.4, true), s = parameter(net, "s", shape_scalar(), 0.7, true);
    NodeId one[] = {net->model.x, S, A, B, s}, in[5];
    NodeId p = graph_input(f, dims1(4), true, "p", nowhere), q = graph_input(f, dims1(2), true, "q", nowhere);
    for (int k = 0; k < 5; k++) in[k] = capture_input(net, f, one[k]);
    NodeId mixed = add(f, add(f, product(f, p, in[1]), product(f, q, in[3])), product(f, in[0], in[2]));
    graph_output(f, tanh_of(f, mixed));
    NodeId back = graph_matmul(f, p, in[3], false, true, nowhere);
    graph_output(f,
                 graph_unary(f, OP_sigmoid, mul(f, add(f, back, q), mul(f, in[4], graph_constant(f, 0.5))), nowhere));
    NodeId first = add_fixed(net, "Chain_first", f, 2, one, 5);
    NodeId ps = fixed_state(net, first, 0, dims1(4)), two[] = {ps, S};
    NodeId r = graph_input(h, dims1(4), true, "r", nowhere);
    NodeId c0 = capture_input(net, h, two[0]), c1 = capture_input(net, h, two[1]);
    graph_output(h, tanh_of(h, add(h, graph_matmul(h, r, c1, false, true, nowhere), mul(h, c0, c0))));
    NodeId second = fixed_state(net, add_fixed(net, "Chain_second", h, 1, two, 2), 0, dims1(4));
    add_loss(net, add(g, product(g, second, S), mul(g, ps, s)));
    return net;
}

/* State [2, 3]: z = tanh(z W + (x * r) U + r), r a row repeated over the rows and read twice; products of matrices, of
 * batched with shared and of batched with batched; slices, concatenation, a select, a parameter in two fixed positions.
 */
static inline Net *matrix_net(void) {
    Net *net = net_new("Matrix", dims1(6), 51);
    Graph *g = net->g, *f = graph_new(net->arena, "Matrix_body");
    NodeId W = parameter(net, "W", dims2(3, 3), 0.25, true), U = parameter(net, "U", dims2(3, 3), 0.8, true);
    NodeId r = parameter(net, "r", dims2(1, 3), 0.9, true);
    NodeId captured[] = {net->model.x, W, U, r};
    NodeId z = graph_input(f, dims2(2, 3), true, "z", nowhere), in[4];
    for (int k = 0; k < 4; k++) in[k] = capture_input(net, f, captured[k]);
    NodeId row = graph_broadcast(f, in[3], dims2(2, 3), nowhere);
    NodeId scaled = mul(f, graph_reshape(f, in[0], dims2(2, 3), nowhere), row);
    NodeId gated = mul(f, z, graph_broadcast(f, in[3], dims2(2, 3), nowhere));
    NodeId inner =
        add(f, add(f, product(f, z, in[1]), mul(f, gated, graph_constant(f, 0.2))), product(f, scaled, in[2]));
    graph_output(f, tanh_of(f, graph_binary(f, OP_sub, inner, row, nowhere)));
    NodeId s = fixed_state(net, add_fixed(net, "Matrix_fixed", f, 1, captured, 4), 0, dims2(2, 3));
    NodeId square = graph_matmul(g, s, s, true, false, nowhere); /* [3, 3], batched with batched */
    NodeId left = graph_op(g, OP_slice, &square, 1, &(Attr){.slice.size = {2, 3}}, nowhere);
    NodeId kept = graph_op(g, OP_select, (NodeId[]){graph_unary(g, OP_step, left, nowhere), left, s}, 3, NULL, nowhere);
    NodeId both =
        graph_op(g, OP_concat, (NodeId[]){kept, graph_broadcast(g, r, dims2(2, 3), nowhere)}, 2, &(Attr){0}, nowhere);
    add_loss(net, graph_reduce(g, OP_reduce_sum, mul(g, both, graph_binary(g, OP_div, both, mul(g, r, r), nowhere)), 2,
                               nowhere));
    return net;
}

/* One random op of the pool's values, kept bounded; every kind of use of shared and batched values can come up. */
static inline NodeId random_value(Graph *g, const NodeId *pool, uint32_t n) {
    NodeId a = pool[rng_int(0, n - 1)], b = pool[rng_int(0, n - 1)];
    Shape s = graph_node(g, a)->shape, t = graph_node(g, b)->shape;
    switch (rng_int(0, 11)) {
    case 0: return tanh_of(g, a);
    case 1: return graph_unary(g, OP_sigmoid, a, nowhere);
    case 2: /* norm-like: a / sqrt(1 + sum a^2) */
        a = tanh_of(g, a);
        b = graph_reduce(g, OP_reduce_sum, mul(g, a, a), (1u << s.rank) - 1, nowhere);
        return graph_binary(g, OP_div, a, graph_unary(g, OP_sqrt, add(g, b, graph_constant(g, 1)), nowhere), nowhere);
    case 3:
        if (s.rank == 0) return graph_broadcast(g, a, dims1(3), nowhere);
        return graph_reduce(g, OP_reduce_sum, a, rng_int(1, (1u << s.rank) - 1), nowhere);
    case 4:
        if (s.rank != 2) return graph_reshape(g, a, dims2(1, (uint32_t)shape_count(s)), nowhere);
        return graph_op(g, OP_transpose, &a, 1, &(Attr){.transpose.axes = {1, 0}}, nowhere);
    case 5: return graph_reshape(g, a, dims1((uint32_t)shape_count(s)), nowhere);
    case 6:
        if (s.rank != 1 || s.dims[0] < 3) return a;
        return graph_op(g, OP_slice, &a, 1, &(Attr){.slice = {{rng_int(0, s.dims[0] - 3)}, {3}}}, nowhere);
    case 7:
        if (s.rank != 1 || t.rank != 1 || s.dims[0] + t.dims[0] > 8) return a;
        return graph_op(g, OP_concat, (NodeId[]){a, b}, 2, &(Attr){0}, nowhere);
    case 8:
    case 9:
        if (s.rank == 0 || t.rank == 0) return mul(g, a, b);
        if (s.dims[s.rank - 1] == t.dims[0]) return product(g, a, b);
        if (t.rank == 2 && s.dims[s.rank - 1] == t.dims[1]) return graph_matmul(g, a, b, false, true, nowhere);
        if (s.rank == 1 && t.rank == 1) return graph_binary(g, OP_outer, a, b, nowhere);
        return a;
    default:
        if (s.rank != 0 && t.rank != 0 && !shape_equal(s, t)) return a;
        if (coin_flip()) return graph_binary(g, coin_flip() ? OP_add : OP_sub, a, b, nowhere);
        return mul(g, a, b);
    }
}

/* Random uses of parameters and x in a body and after it; the state enters the sum that tanh contracts. */
static inline Net *random_net(uint64_t seed) {
    Net *net = net_new("Random", dims1(3), seed);
    Graph *g = net->g, *f = graph_new(net->arena, "Random_body");
    static const Shape shapes[] = {{0, {0}}, {1, {3}}, {2, {3, 3}}, {2, {1, 3}}, {2, {2, 3}}};
    static const char *const paths[] = {"p0", "p1", "p2", "p3", "p4"};
    NodeId captured[6] = {net->model.x}, pool[64], outer[64];
    for (int k = 0; k < 5; k++) captured[1 + k] = parameter(net, paths[k], shapes[k], 0.8, true);
    NodeId z = graph_input(f, dims1(3), true, "z", nowhere);
    uint32_t n = 0, m = 0;
    for (int k = 0; k < 6; k++) outer[m++] = captured[k], pool[n++] = capture_input(net, f, captured[k]);
    while (n < 12) pool[n] = random_value(f, pool, n), n++;
    pool[n++] = z;
    NodeId sum = NODE_NONE;
    while (n < 28) {
        pool[n] = random_value(f, pool, n);
        Shape s = graph_node(f, pool[n])->shape;
        if (s.rank <= 1 && (s.rank == 0 || s.dims[0] == 3)) {
            NodeId bounded = tanh_of(f, mul(f, pool[n], graph_constant(f, 0.1)));
            sum = sum == NODE_NONE ? bounded : add(f, sum, bounded);
        }
        n++;
    }
    NodeId next = tanh_of(f, mul(f, sum == NODE_NONE ? z : add(f, sum, z), graph_constant(f, 0.3)));
    graph_output(f, next);
    outer[m++] = fixed_state(net, add_fixed(net, "Random_fixed", f, 1, captured, 6), 0, dims1(3));
    NodeId head = outer[m - 1];
    while (m < 20) {
        outer[m] = random_value(g, outer, m);
        Shape s = graph_node(g, outer[m])->shape;
        if (s.rank == 0 || (s.rank == 1 && s.dims[0] == 3)) head = add(g, head, tanh_of(g, outer[m]));
        m++;
    }
    add_loss(net, head);
    return net;
}

/* ---- the oracle: the model's graph itself, fixed points by many plain iterations ---- */
static inline void oracle_call(void *user, const Graph *g, NodeId id, int64_t n, double *const *values) {
    Net *net = user;
    const Node *node = graph_node(g, id);
    if (node->op != OP_fixed_state) return;
    const Node *fixed = graph_node(g, graph_arg(g, id, 0));
    const FixedPoint *f = &net->model.fixed[fixed->attr.fixed.index];
    const double **in = arena_alloc(net->arena, f->body->ninputs * sizeof *in);
    double *state[4];
    for (uint32_t k = 0; k < f->nstate; k++)
        in[k] = state[k] = arena_alloc(net->arena, value_count(f->body, f->body->inputs[k], n) * sizeof(double));
    for (uint32_t k = 0; k < fixed->nargs; k++) in[f->nstate + k] = values[g->args[fixed->args + k]];
    for (int step = 0; step < 120; step++) {
        double **v = interpret_graph(net->arena, f->body, n, in, &test_calls);
        for (uint32_t k = 0; k < f->nstate; k++)
            memcpy(state[k], v[f->body->outputs[k]], value_count(f->body, f->body->inputs[k], n) * sizeof(double));
    }
    memcpy(values[id], state[node->attr.state.component], value_count(g, id, n) * sizeof(double));
}

/* Values of every node of the model's graph at the net's parameters, x and y. */
static inline double **oracle_values(Net *net) {
    InterpretCalls calls = {.user = net, .random = keyed_draws, .call = oracle_call};
    const Graph *g = net->g;
    const double **in = arena_alloc(net->arena, g->ninputs * sizeof *in);
    for (uint32_t k = 0; k < g->ninputs; k++) {
        if (g->inputs[k] == net->model.x) in[k] = net->x;
        if (g->inputs[k] == net->model.y) in[k] = net->y;
        for (uint32_t p = 0; p < net->model.nparameters; p++)
            if (net->model.parameters[p].node == g->inputs[k]) in[k] = net->parameters[p];
    }
    return interpret_graph(net->arena, g, ROWS, in, &calls);
}

static inline double oracle_loss(Net *net) { /* summed over examples */
    double **v = oracle_values(net), total = 0;
    for (int k = 0; k < ROWS; k++) total += v[net->model.losses[0].node][k];
    return total;
}
#endif
