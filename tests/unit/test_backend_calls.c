/* Solves, queries, random draws, loops and the module's tables: generated code against the interpreter. */
#include "backend_support.h"

static const Range nowhere = {0};
static const int64_t batches[] = {1, 2, 13, 15, 33};
static Shape dims1(uint32_t a) { return (Shape){1, {a}}; }

/* ---- fakes of the runtime: each result depends on everything the call was given ---- */
static int64_t solves, gradients, last_want_gradient, last_want_parameters;
static const deq_fixed *last_fixed;

/* z[component][e] = 0.5 + sum over the record's elements of rest, plus e; all as float (the tests' working type). */
static void fake_solve(uint64_t rest_bytes, uint64_t state_bytes, int64_t n, const char *rest, char *z) {
    for (int64_t i = 0; i < n; i++) {
        const float *r = (const float *)(rest + i * (int64_t)rest_bytes);
        float *out = (float *)(z + i * (int64_t)state_bytes);
        for (uint64_t e = 0; e < state_bytes / 4; e++)
            out[e] = 0.5f + 0.25f * r[e % (rest_bytes / 4)] + 0.01f * (float)e;
    }
}

static void fake_gradient(uint64_t rest_bytes, uint64_t state_bytes, int64_t n, const char *rest, char *drest,
                          const char *u) {
    for (int64_t i = 0; i < n; i++) {
        const float *r = (const float *)(rest + i * (int64_t)rest_bytes),
                    *g = (const float *)(u + i * (int64_t)state_bytes);
        float *out = (float *)(drest + i * (int64_t)rest_bytes);
        for (uint64_t e = 0; e < rest_bytes / 4; e++) out[e] = r[e] * 2 + g[e % (state_bytes / 4)];
    }
}

void deq_fixed_solve(void *frame, void *fixed, int64_t n, void *rest, void *z, int64_t want_gradient, void *cotangent) {
    (void)cotangent;
    const deq_fixed *f = fixed;
    (void)frame;
    solves++;
    last_want_gradient = want_gradient;
    last_fixed = f;
    assert_int_equal((uintptr_t)rest % 64, 0);
    assert_int_equal((uintptr_t)z % 64, 0);
    fake_solve((uint64_t)f->rest_bytes, (uint64_t)f->state_bytes, n, rest, z);
}
void deq_fixed_gradient(void *frame, void *fixed, int64_t n, void *rest, void *drest, void *u,
                        int64_t want_parameters) {
    const deq_fixed *f = fixed;
    (void)frame;
    gradients++;
    last_want_parameters = want_parameters;
    fake_gradient((uint64_t)f->rest_bytes, (uint64_t)f->state_bytes, n, rest, drest, u);
}
void deq_batch_sum(void *frame, void *sum, int64_t count) { (void)frame, (void)sum, (void)count; }
void deq_meet(void *frame) { (void)frame; }
void deq_linear_solve(void *frame, void *fixed, int64_t n, void *rest, void *u) {
    (void)frame, (void)fixed, (void)n, (void)rest, (void)u;
    fail_msg("no gradients by hand here");
}
static int64_t queries, query_gradients;
/* Every query says what it has asked, with its gradient where there is one, and then with its output: 64-byte rows. */
void deq_query_f32(void *frame, int64_t n, void *value, int64_t count, int64_t value_stride, void *gradient,
                   int64_t stride, void *output, int64_t outputs, int64_t output_stride) {
    (void)frame;
    queries += n;
    if (value) assert_true(count > 0 && value_stride >= count * (int64_t)sizeof(float) && value_stride % 64 == 0);
    if (!gradient) return;
    query_gradients += n;
    assert_true((uintptr_t)gradient % 64 == 0 && stride > 0 && stride % 64 == 0);
    assert_true(output && outputs > 0 && output_stride >= outputs * (int64_t)sizeof(float) && output_stride % 64 == 0);
}
void deq_query_f64(void *frame, int64_t n, void *value, int64_t count, int64_t value_stride, void *gradient,
                   int64_t stride, void *output, int64_t outputs, int64_t output_stride) {
    (void)frame, (void)n, (void)value, (void)count, (void)value_stride, (void)gradient, (void)stride;
    (void)output, (void)outputs, (void)output_stride;
    fail_msg("single precision only");
}
void deq_counted_f32(void *frame, int64_t n, void *value, void *gradient, int64_t stride) {
    (void)frame, (void)n, (void)value, (void)gradient, (void)stride;
    fail_msg("no objectives here");
}
void deq_counted_f64(void *frame, int64_t n, void *value, void *gradient, int64_t stride) {
    deq_counted_f32(frame, n, value, gradient, stride);
}
void deq_random_f32(void *frame, void *out, int64_t stride, int64_t count, int64_t n, int64_t kind, int64_t site,
                    int64_t iteration) {
    (void)frame;
    for (int64_t i = 0; i < n; i++) {
        double draws[4096];
        keyed_draws(NULL, kind, site, i, iteration, (uint64_t)count, draws);
        for (int64_t k = 0; k < count; k++) ((float *)((char *)out + i * stride))[k] = (float)draws[k];
        for (int64_t k = count; k < stride / 4 && k % 16; k++) ((float *)((char *)out + i * stride))[k] = NAN;
    }
}
void deq_random_f64(void *frame, void *out, int64_t stride, int64_t count, int64_t n, int64_t kind, int64_t site,
                    int64_t iteration) {
    (void)frame, (void)out, (void)stride, (void)count, (void)n, (void)kind, (void)site, (void)iteration;
    fail_msg("single precision only");
}
void deq_product_f32(void *a, void *b, void *c, int64_t m, int64_t n, int64_t k, int64_t ta, int64_t tb) {
    (void)a, (void)b, (void)c, (void)m, (void)n, (void)k, (void)ta, (void)tb;
    fail_msg("no shared products here");
}
void deq_product_f64(void *a, void *b, void *c, int64_t m, int64_t n, int64_t k, int64_t ta, int64_t tb) {
    deq_product_f32(a, b, c, m, n, k, ta, tb);
}

static void interpret_solve(void *user, const FixedLayout *f, int64_t n, void *rest, void *z, bool want_gradient) {
    (void)user, (void)want_gradient;
    fake_solve(f->rest_bytes, f->state_bytes, n, rest, z);
}
static void interpret_gradient(void *user, const FixedLayout *f, int64_t n, void *rest, void *drest, void *u,
                               bool want_parameters) {
    (void)user, (void)want_parameters;
    fake_gradient(f->rest_bytes, f->state_bytes, n, rest, drest, u);
}

/* ---- fixed points ---- */
static FixedLayout layout = {.name = "Net_body",
                             .index = 3,
                             .state_bytes = 192,
                             .dimension = 27,
                             .rest_bytes = 192,
                             .tape_bytes = 64,
                             .state_offsets = (uint64_t[]){0, 64},
                             .nstate = 2,
                             .rest_offsets = (uint64_t[]){64, UINT64_MAX, 0},
                             .nrest = 3};

/* Two components of 10 and 17; captured: x (10), a shared vector, and a function of x (17 elements). */
static Graph *solve_graph(Arena *a, bool gradient, bool parameters) {
    Graph *g = graph_new(a, "solve");
    NodeId x = graph_input(g, dims1(10), true, "x", nowhere), w = graph_input(g, dims1(17), false, "w", nowhere);
    NodeId second = graph_binary(g, OP_mul, w, graph_reduce(g, OP_reduce_sum, x, 1, nowhere), nowhere);
    NodeId captured[3] = {second, w, graph_unary(g, OP_tanh, x, nowhere)};
    NodeId fixed = graph_op(g, OP_fixed, captured, 3, &(Attr){.fixed.index = 0}, nowhere);
    NodeId z0 = graph_op_shaped(g, OP_fixed_state, &fixed, 1, &(Attr){.state.component = 0}, dims1(10), true, nowhere);
    NodeId z1 = graph_op_shaped(g, OP_fixed_state, &fixed, 1, &(Attr){.state.component = 1}, dims1(17), true, nowhere);
    graph_output(g, z0);
    graph_output(g, graph_binary(g, OP_add, z1, second, nowhere));
    if (gradient) {
        NodeId zero = graph_broadcast(g, graph_constant(g, 0.125), dims1(17), nowhere);
        NodeId args[3] = {fixed, graph_binary(g, OP_mul, z0, x, nowhere), zero};
        NodeId d = graph_op(g, OP_fixed_gradient, args, 3, &(Attr){.gradient = {0, parameters}}, nowhere);
        NodeId d2 =
            graph_op_shaped(g, OP_fixed_cotangent, &d, 1, &(Attr){.cotangent.captured = 2}, dims1(10), true, nowhere);
        NodeId d0 =
            graph_op_shaped(g, OP_fixed_cotangent, &d, 1, &(Attr){.cotangent.captured = 0}, dims1(17), true, nowhere);
        graph_output(g, graph_binary(g, OP_add, d2, x, nowhere));
        graph_output(g, graph_op(g, OP_batch_sum, &d0, 1, NULL, nowhere));
    }
    return g;
}

static void fixed_points(void **state) {
    (void)state;
    Arena *a = arena_new();
    Unit *u = unit_new(a, 4, "native");
    Graph *f = graph_new(a, "f");
    NodeId z = graph_input(f, dims1(27), true, "z", nowhere);
    graph_output(f, graph_unary(f, OP_tanh, z, nowhere));
    for (int k = 0; k < 3; k++) {
        Routine *r = unit_add(u, solve_graph(a, k > 0, k == 2), (Placement){.rest = false});
        r->fixed = &layout;
        r->nfixed = 1;
    }
    unit_add(u, f, (Placement){0})->name = "Net_body_f";
    *ARENA_PUSH(a, u->fixed, u->nfixed, u->fixed_cap) = &layout;
    u->manifest = "{\"what\": \"test\"}";
    Loaded l = unit_load(u, "native", "inline");
    InterpretCalls calls = test_calls;
    calls.solve = interpret_solve;
    calls.gradient = interpret_gradient;
    for (uint32_t k = 0; k < 3; k++)
        for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
            solves = gradients = 0;
            Memory m = compare_routine(&l, k, batches[b], -1, 1, 1e-5, &calls);
            memory_release(&m);
            assert_int_equal(solves, 1);
            assert_int_equal(gradients, k > 0);
            assert_int_equal(last_want_gradient, k > 0);
            if (k > 0) assert_int_equal(last_want_parameters, k == 2);
        }
    assert_int_equal(l.module->fixed_count, 1);
    const deq_fixed *d = l.module->fixed[0];
    assert_ptr_equal(d, last_fixed);
    assert_string_equal(d->name, "Net_body");
    assert_int_equal(d->index, 3);
    assert_int_equal(d->state_bytes, 192);
    assert_int_equal(d->dimension, 27);
    assert_int_equal(d->tape_bytes, 64);
    assert_ptr_equal(d->f, l.module->routines[3].function);
    assert_null(d->lin);
    assert_int_equal(d->f_row_bytes, l.module->routines[3].row_bytes);
    assert_string_equal(l.module->manifest, u->manifest);
    assert_int_equal(l.module->manifest_length, strlen(u->manifest));
    arena_free(a);
}

/* ---- an attack: init, then a loop of queries and random draws on its own row buffers ---- */
#define WIDTH 21

/* x, y -> output 2x, loss sum(x) y, gradient y x + tanh(scratch-needing product) */
static Routine *model_routine(Unit *u, Arena *a) {
    Graph *g = graph_new(a, "Net_xent");
    NodeId x = graph_input(g, dims1(WIDTH), true, "x", nowhere), y = graph_input(g, shape_scalar(), true, "y", nowhere);
    NodeId w = graph_input(g, (Shape){2, {WIDTH, WIDTH}}, false, "w", nowhere);
    g->nodes[w].attr.input.packed = INPUT_MATRIX;
    NodeId p = graph_op(g, OP_matmul, (NodeId[]){x, w}, 2, &(Attr){.matmul.packed = 1}, nowhere);
    NodeId q = graph_op(g, OP_matmul, (NodeId[]){graph_unary(g, OP_tanh, p, nowhere), w}, 2,
                        &(Attr){.matmul.packed = 1}, nowhere);
    graph_output(g, graph_binary(g, OP_add, x, x, nowhere));
    graph_output(g, graph_binary(g, OP_mul, graph_reduce(g, OP_reduce_sum, x, 1, nowhere), y, nowhere));
    graph_output(g, graph_binary(g, OP_add, graph_binary(g, OP_mul, x, y, nowhere), q, nowhere));
    Routine *r = unit_add(u, g, (Placement){0});
    r->name = "Net_xent_input";
    return r;
}

typedef struct Attack {
    Unit *unit;
    Routine *model;
    const Memory *memory; /* of the attack under comparison: y and the shared values */
} Attack;

static void interpret_query(void *user, const char *routine, int64_t n, const double *x, double *const out[5]) {
    Attack *attack = user;
    const Layout *l = &attack->unit->layout;
    assert_string_equal(routine, "Net_xent_input");
    Arena *a = arena_new();
    Routine *r = attack->model;
    deq_frame f = attack->memory->frame;
    void **args = &f.arg0;
    for (int k = 0; k < 5; k++)
        if (k != 1) args[k] = arena_alloc(a, r->arg_bytes[k] * (uint64_t)n + 64);
    for (int64_t i = 0; i < n; i++)
        for (uint64_t e = 0; e < WIDTH; e++)
            put_real(l, (char *)args[0] + i * (int64_t)r->arg_bytes[0], e, x[i * WIDTH + (int64_t)e]);
    interpret_routine(a, r, l, &f, n, &test_calls);
    for (int k = 2; k < 5; k++) {
        uint64_t count = k == 3 ? 1 : WIDTH;
        for (int64_t i = 0; out[k] && i < n; i++)
            for (uint64_t e = 0; e < count; e++)
                out[k][(uint64_t)i * count + e] = get_real(l, (char *)args[k] + i * (int64_t)r->arg_bytes[k], e);
    }
    arena_free(a);
}

static Step graph_step(Arena *a, Graph *g, Binding *in, uint32_t nin, Binding *out, uint32_t nout) {
    Step s = {.kind = STEP_GRAPH, .graph = g, .nin = nin, .nout = nout};
    s.in = arena_copy(a, in, nin * sizeof *in);
    s.out = arena_copy(a, out, nout * sizeof *out);
    return s;
}

static void attacks(void **state) {
    (void)state;
    Arena *a = arena_new();
    Unit *u = unit_new(a, 4, "native");
    Routine *model = model_routine(u, a);
    Routine *r = arena_alloc(a, sizeof *r);
    *r = (Routine){.name = "attack", .rows = true, .nsteps = 3, .nblocks = 2, .block_counts = (uint32_t[]){WIDTH, 1}};
    r->steps = arena_alloc(a, 3 * sizeof *r->steps);
    for (int k = 0; k < 3; k++) r->arg_bytes[k] = k == 1 ? 64 : padded64(WIDTH * 4);
    /* start: candidate = x + eps * draw, best = 0 */
    Graph *g = graph_new(a, "start");
    NodeId x = graph_input(g, dims1(WIDTH), true, "x", nowhere),
           eps = graph_input(g, shape_scalar(), false, "eps", nowhere);
    NodeId draw = graph_op_shaped(g, OP_random, NULL, 0, &(Attr){.random.site = 5}, dims1(WIDTH), true, nowhere);
    NodeId start = graph_binary(g, OP_add, x, graph_binary(g, OP_mul, draw, eps, nowhere), nowhere);
    NodeId zero = graph_batch(g, graph_constant(g, 0), nowhere);
    r->steps[0] = graph_step(a, g, (Binding[]){{x, PLACE_ARG, 0, 0}, {eps, PLACE_SCALAR, 2, 0}}, 2,
                             (Binding[]){{start, PLACE_BLOCK, 0, 0}, {zero, PLACE_BLOCK, 1, 0}}, 2);
    /* loop, twice nested: candidate += eps * sign(gradient) * draw; best = max(best, loss), all from old values */
    Graph *b = graph_new(a, "body");
    NodeId c = graph_input(b, dims1(WIDTH), true, "candidate", nowhere),
           best = graph_input(b, shape_scalar(), true, "best", nowhere);
    NodeId step = graph_input(b, shape_scalar(), false, "eps", nowhere);
    NodeId query = graph_op(b, OP_query, &c, 1, &(Attr){.name = "Net_xent_input"}, nowhere);
    NodeId loss =
        graph_op_shaped(b, OP_query_result, &query, 1, &(Attr){.result.argument = 3}, shape_scalar(), true, nowhere);
    NodeId gradient =
        graph_op_shaped(b, OP_query_result, &query, 1, &(Attr){.result.argument = 4}, dims1(WIDTH), true, nowhere);
    NodeId noise = graph_op_shaped(b, OP_random, NULL, 0, &(Attr){.random = {1, 6}}, dims1(WIDTH), true, nowhere);
    NodeId move = graph_binary(b, OP_mul, graph_unary(b, OP_sign, gradient, nowhere),
                               graph_binary(b, OP_mul, noise, step, nowhere), nowhere);
    NodeId next = graph_binary(b, OP_add, c, move, nowhere);
    NodeId larger =
        graph_binary(b, OP_max, best,
                     graph_binary(b, OP_add, loss, graph_reduce(b, OP_reduce_sum, c, 1, nowhere), nowhere), nowhere);
    Step *inner = arena_alloc(a, sizeof *inner), *outer = arena_alloc(a, sizeof *outer);
    *inner =
        graph_step(a, b, (Binding[]){{c, PLACE_BLOCK, 0, 0}, {best, PLACE_BLOCK, 1, 0}, {step, PLACE_SCALAR, 2, 0}}, 3,
                   (Binding[]){{next, PLACE_BLOCK, 0, 0}, {larger, PLACE_BLOCK, 1, 0}}, 2);
    *outer = (Step){.kind = STEP_LOOP, .trip_scalar = 0, .body = inner, .nbody = 1};
    r->steps[1] = (Step){.kind = STEP_LOOP, .trip_scalar = 1, .body = outer, .nbody = 1};
    Graph *end = graph_new(a, "end");
    NodeId last = graph_input(end, dims1(WIDTH), true, "candidate", nowhere),
           top = graph_input(end, shape_scalar(), true, "best", nowhere);
    NodeId result = graph_binary(end, OP_add, last, top, nowhere);
    r->steps[2] = graph_step(a, end, (Binding[]){{last, PLACE_BLOCK, 0, 0}, {top, PLACE_BLOCK, 1, 0}}, 2,
                             (Binding[]){{result, PLACE_ARG, 2, 0}}, 1);
    *ARENA_PUSH(a, u->routines, u->nroutines, u->routines_cap) = r;
    Loaded l = unit_load(u, "native", "inline");
    for (size_t k = 0; k < sizeof batches / sizeof *batches; k++) {
        int64_t n = batches[k];
        Memory inputs = memory_new(model, &u->layout, n, -1, 1);
        double scalars[3] = {2.4, 3, 0.1};
        Attack attack = {u, model, &inputs};
        InterpretCalls calls = test_calls;
        calls.user = &attack;
        calls.query = interpret_query;
        Memory m = inputs, expected;
        m.frame.arg2 = guarded(r->arg_bytes[2] * (uint64_t)n);
        m.frame.scalars = scalars;
        queries = query_gradients = 0;
        expected = m;
        expected.frame.arg2 = guarded(r->arg_bytes[2] * (uint64_t)n);
        Arena *scratch = arena_new();
        interpret_routine(scratch, r, &u->layout, &expected.frame, n, &calls);
        arena_free(scratch);
        memory_run(&l, 1, &m, n);
        assert_true(queries == 2 * 3 * n && query_gradients == queries); /* round(2.4) times 3 rounds */
        for (int64_t i = 0; i < n; i++)
            for (uint64_t e = 0; e < WIDTH; e++) {
                uint64_t at = (uint64_t)i * r->arg_bytes[2];
                assert_close(get_real(&u->layout, (char *)m.frame.arg2 + at, e),
                             get_real(&u->layout, (char *)expected.frame.arg2 + at, e), 1e-4);
            }
    }
    arena_free(a);
}

/* ---- every output from the inputs' old values: a swap through two row buffers, an overwritten operand of a product
 * ---- */
static void overwriting(void **state) {
    (void)state;
    Arena *a = arena_new();
    Unit *u = unit_new(a, 4, "native");
    Graph *g = graph_new(a, "swap");
    NodeId x = graph_input(g, dims1(19), true, "x", nowhere), y = graph_input(g, dims1(19), true, "y", nowhere);
    graph_output(g, y);
    graph_output(g, x);
    unit_add(u, g, (Placement){.in_place = true});
    g = graph_new(a, "fold");
    x = graph_input(g, dims1(32), true, "x", nowhere);
    NodeId w = graph_input(g, (Shape){2, {32, 32}}, false, "w", nowhere);
    g->nodes[w].attr.input.packed = INPUT_MATRIX;
    NodeId p = graph_op(g, OP_matmul, (NodeId[]){x, w}, 2, &(Attr){.matmul.packed = 1}, nowhere);
    NodeId moved = graph_binary(g, OP_add, x, graph_reduce(g, OP_reduce_sum, p, 1, nowhere), nowhere);
    graph_output(g, moved);
    graph_output(g, graph_op(g, OP_batch_sum, &x, 1, NULL, nowhere));
    graph_output(g, graph_op(g, OP_batch_outer, (NodeId[]){x, p}, 2, NULL, nowhere));
    graph_output(g, p);
    unit_add(u, g, (Placement){.in_place = true});
    g = graph_new(a, "adam");
    x = graph_input(g, dims1(1024), true, "w", nowhere);
    NodeId m = graph_input(g, dims1(1024), true, "m", nowhere), d = graph_input(g, dims1(1024), true, "dw", nowhere);
    NodeId half = graph_constant(g, 0.5),
           m2 = graph_binary(g, OP_add, graph_binary(g, OP_mul, m, half, nowhere), d, nowhere);
    graph_output(g, graph_binary(g, OP_sub, x, graph_binary(g, OP_mul, m2, half, nowhere), nowhere));
    graph_output(g, m2);
    unit_add(u, g, (Placement){.in_place = true});
    Loaded l = unit_load(u, "native", "inline");
    for (uint32_t k = 0; k < u->nroutines; k++)
        for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
            Memory mem = compare_routine(&l, k, batches[b], -1, 1, 1e-4, NULL);
            memory_release(&mem);
        }
    assert_int_equal(l.module->routines[2].row_bytes, 0); /* an optimiser's step needs no copies */
    assert_int_equal(l.module->routines[2].base_bytes, 0);
    arena_free(a);
}

/* ---- a row's bits do not depend on the batch around it, on any CPU level ---- */
static void independent_rows(void **state) {
    (void)state;
    static const char *const cpus[] = {"native", "x86-64-v3", "x86-64"};
    for (int c = 0; c < 3; c++) {
        Arena *a = arena_new();
        Unit *u = unit_new(a, 4, cpus[c]);
        Graph *g = graph_new(a, "cell");
        NodeId x = graph_input(g, dims1(100), true, "x", nowhere),
               w = graph_input(g, (Shape){2, {100, 100}}, false, "w", nowhere);
        g->nodes[w].attr.input.packed = INPUT_MATRIX;
        NodeId p = graph_op(g, OP_matmul, (NodeId[]){x, w}, 2, &(Attr){.matmul.packed = 1}, nowhere);
        NodeId y = graph_unary(g, OP_tanh, graph_binary(g, OP_add, p, x, nowhere), nowhere);
        graph_output(g, y);
        graph_output(g, graph_reduce(g, OP_reduce_sum, graph_binary(g, OP_mul, y, y, nowhere), 1, nowhere));
        Routine *r = unit_add(u, g, (Placement){0});
        Loaded l = unit_load(u, cpus[c], "inline");
        Memory all = compare_routine(&l, 0, 47, -1, 1, 1e-4, NULL);
        for (int64_t n = 1; n <= 33; n += 4) {
            for (int64_t first = 0; first + n <= 47; first += 7) {
                Memory part = all;
                part.frame.arg0 = (char *)all.frame.arg0 + first * (int64_t)r->arg_bytes[0];
                part.frame.arg1 = guarded((uint64_t)n * r->arg_bytes[1]);
                part.frame.arg2 = guarded((uint64_t)n * r->arg_bytes[2]);
                memory_run(&l, 0, &part, n);
                assert_memory_equal(part.frame.arg1, (char *)all.frame.arg1 + first * (int64_t)r->arg_bytes[1],
                                    (size_t)n * r->arg_bytes[1]);
                assert_memory_equal(part.frame.arg2, (char *)all.frame.arg2 + first * (int64_t)r->arg_bytes[2],
                                    (size_t)n * r->arg_bytes[2]);
            }
        }
        arena_free(a);
    }
}

static void errors(void **state) {
    (void)state;
    Layout layout_out;
    char *error = NULL;
    assert_false(backend()->layout("pentium-pro-max", 4, &layout_out, &error));
    assert_non_null(strstr(error, "pentium-pro-max"));
    free(error);
    error = NULL;
    char text[] = "no object";
    assert_null(backend()->load(&(Object){text, 9}, 1, &error));
    assert_non_null(error);
    free(error);
    assert_true(strlen(backend()->target("native")) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(fixed_points), cmocka_unit_test(attacks),
                                       cmocka_unit_test(overwriting), cmocka_unit_test(independent_rows),
                                       cmocka_unit_test(errors)};
    return cmocka_run_group_tests_name("backend_calls", tests, NULL, NULL);
}
