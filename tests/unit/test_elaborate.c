/* The elaborator: values of expressions against numbers, parameters and sharing, fixed points, sizes, graph text. */
#include "elaborate_support.h"
#include "tables.h"

/* ---- values: a layer of one expression in x: f32[4] = [1, -2, 0.5, 3] and w: f32[2, 4], run by the interpreter ----
 */
static const double x_value[4] = {1, -2, 0.5, 3};

static void expect(const char *type, const char *body, uint32_t n, const double *expected) {
    char text[2048];
    snprintf(text, sizeof text,
             "fn shift(v: f32[N], by: f32 = 1) -> f32[N] = v + by\n"
             "fn halves[K](v: f32[2 * K]) -> (f32[K], f32[K]) = (v[0..K], v[K..2 * K])\n"
             "const TWO = 2\n"
             "layer L(x: f32[4]) -> %s {\n  %s\n}\n",
             type, body);
    Parsed p = parse_checked(text);
    Elab *e = elaborate_text(&p, "L");
    const Model *m = e->nets[0]->model;
    const double *inputs[8];
    double y[16] = {0};
    for (uint32_t k = 0; k < m->graph->ninputs; k++) inputs[k] = m->graph->inputs[k] == m->x ? x_value : y;
    double **values = interpret_graph(p.arena, m->graph, 1, inputs, NULL);
    assert_int_equal(shape_count(graph_node(m->graph, m->output)->shape), n);
    for (uint32_t k = 0; k < n; k++) assert_close(body, values[m->output][k], expected[k]);
    parsed_free(&p);
}
#define EXPECT(type, body, ...)                                                                                        \
    expect(type, body, sizeof((double[]){__VA_ARGS__}) / sizeof(double), (double[]){__VA_ARGS__})

static void values_of_expressions(void **state) {
    (void)state;
    double lse = log(exp(1) + exp(-2) + exp(0.5) + exp(3));
    EXPECT("f32[4]", "return 2 * x - 1", 1, -5, 0, 5);
    EXPECT("f32[4]", "return x / TWO ** 2", 0.25, -0.5, 0.125, 0.75);
    EXPECT("f32[4]", "return x ** 2", 1, 4, 0.25, 9);
    EXPECT("f32[4]", "return -x", -1, 2, -0.5, -3);
    EXPECT("f32[4]", "return if x > 0 then x else 0.1 * x", 1, -0.2, 0.5, 3);
    EXPECT("f32[4]", "return if 1 + 1 == 2 then x else 0 * x", 1, -2, 0.5, 3);
    EXPECT("f32[4]", "return if x >= 1 and not (x == 3) then x else 0 * x", 1, 0, 0, 0);
    EXPECT("f32[4]", "return if x != 1 or x < 0 then 1 + 0 * x else 0 * x", 0, 1, 1, 1);
    EXPECT("f32[4]", "return x |> shift |> shift(by: 2)", 4, 1, 3.5, 6);
    EXPECT("f32[4]", "return shift(x, 10)", 11, 8, 10.5, 13);
    EXPECT("f32[4]", "fn twice(v: f32[4]) -> f32[4] = v + x\n  return twice(twice(x))", 3, -6, 1.5, 9);
    EXPECT("f32[4]", "fn ramp(a: f32, b: f32 = 2) -> f32 = max(a, 0) + b\n  return ramp(x, mean(x)) + ramp(x)", 4.625,
           2.625, 3.625, 8.625);
    EXPECT("f32[2]", "let (a, b) = halves(x)\n  return a - b", 0.5, -5);
    EXPECT("f32[4]", "let p = x\n  for i in 1..3 {\n    let q = p * x\n    p = q + i\n  }\n  return p", 4, -8, 2.625,
           32);
    EXPECT("f32[4]", "let p = x\n  for i in 0..2 {\n    for k in [1, 0.5] {\n      p = k * p\n    }\n  }\n  return p",
           0.25, -0.5, 0.125, 0.75);
    EXPECT("f32", "return sum(x)", 2.5);
    EXPECT("f32", "return mean(x)", 0.625);
    EXPECT("f32", "return max(x)", 3);
    EXPECT("f32", "return min(x)", -2);
    EXPECT("f32[4]", "return max(x, 0.75)", 1, 0.75, 0.75, 3);
    EXPECT("f32[4]", "return clamp(x, -1, 1)", 1, -1, 0.5, 1);
    EXPECT("f32", "return norm(x)", sqrt(1 + 4 + 0.25 + 9));
    EXPECT("f32", "return norm(1e-37 * x) / 1e-37", sqrt(1 + 4 + 0.25 + 9));
    EXPECT("f32", "return norm(1e37 * x) / 1e37", sqrt(1 + 4 + 0.25 + 9));
    EXPECT("f32", "return logsumexp(x)", lse);
    EXPECT("f32", "return logsumexp(1000 * x)", 3000);
    EXPECT("f32[4]", "return log_softmax(x)", 1 - lse, -2 - lse, 0.5 - lse, 3 - lse);
    EXPECT("f32[4]", "return softmax(x)", exp(1 - lse), exp(-2 - lse), exp(0.5 - lse), exp(3 - lse));
    EXPECT("f32", "return dot(x, x)", 14.25);
    EXPECT("f32", "return x @ x", 14.25);
    EXPECT("f32[4]", "return one_hot(argmax(x))", 0, 0, 0, 1);
    EXPECT("f32[2, 2]", "return reshape(x, [2, 2])'", 1, 0.5, -2, 3);
    EXPECT("f32[2]", "return sum(reshape(x, [2, 2]), axes: [0])", 1.5, 1);
    EXPECT("f32[2]", "return mean(reshape(x, [2, 2]), axes: [1])", -0.5, 1.75);
    EXPECT("f32[2]", "return reshape(x, [2, 2])[1]", 0.5, 3);
    EXPECT("f32", "return reshape(x, [2, 2])[1, 0]", 0.5);
    EXPECT("f32[2, 1]", "return reshape(x, [2, 2])[0..2, 1..2]", -2, 3);
    EXPECT("f32[2]", "return x[1..3]", -2, 0.5);
    EXPECT("f32[6]", "return concat(x, x[0..2])", 1, -2, 0.5, 3, 1, -2);
    EXPECT("f32[5]", "return pad(x[0..2], [1, 2])", 0, 1, -2, 0, 0);
    EXPECT("f32[2, 2]", "return outer(x[0..2], x[2..4])", 0.5, 3, -1, -6);
    EXPECT("f32[2]", "let m = reshape(x, [2, 2])\n  return x[0..2] @ m", 1 - 1, -2 - 6);
    EXPECT("f32[2]", "let m = reshape(x, [2, 2])\n  return m @ x[0..2]", 1 + 4, 0.5 - 6);
    EXPECT("f32[2]", "let m = reshape(x, [2, 2])\n  return x[0..2] @ m'", 1 + 4, 0.5 - 6);
    EXPECT("f32[2, 2]", "let m = reshape(x, [2, 2])\n  return m' @ m", 1 + 0.25, -2 + 1.5, -2 + 1.5, 4 + 9);
    EXPECT("f32[4]", "let h: f32[4] = zeros\n  return x + h", 1, -2, 0.5, 3);
    EXPECT("f32[4]", "return x + ones([4])", 2, -1, 1.5, 4);
    EXPECT("f32[4]", "return x * pi / pi", 1, -2, 0.5, 3);
    EXPECT("f32[4]", "return relu(x) + sigmoid(0 * x) + tanh(0 * x) + floor(x) + abs(x) + sign(x)", 4.5, -0.5, 2.5,
           10.5);
    EXPECT("f32[4]", "return exp(log(abs(x))) + sqrt(x * x) + log1p(0 * x) + softplus(0 * x) - log(2)", 2, 4, 1, 6);
    EXPECT("f32[4]", "return cos(0 * x) + sin(0 * x) + stop_gradient(x)", 2, -1, 1.5, 4);
}

/* ---- parameters ---- */
/* What is known before any input, on numbers, against the same on elements of x. */
static void numbers_as_elements(void **state) {
    (void)state;
    static const char *const spellings[] = {"+", "-", "*", "/", "**"}, *const compared[] = {"<",  ">",  "<=",
                                                                                            ">=", "==", "!="},
                             *const functions[] = {"max(%s, %s)", "min(%s, %s)", "clamp(%s, 1.0, %s)"};
    char body[256], on_numbers[100], on_elements[100];
    for (const Builtin *b = builtin_table; b->name; b++) {
        if (b->rule != RULE_ELEMENTWISE || b->nargs != 1) continue;
        snprintf(body, sizeof body, "return %s(0.5) - %s(x[2])", b->name, b->name);
        EXPECT("f32", body, 0);
    }
    for (size_t k = 0; k < sizeof spellings / sizeof *spellings; k++) {
        snprintf(body, sizeof body, "return (0.5 %s 3.0) - (x[2] %s x[3])", spellings[k], spellings[k]);
        EXPECT("f32", body, 0);
    }
    for (size_t k = 0; k < sizeof compared / sizeof *compared; k++) {
        snprintf(body, sizeof body, "return (if 0.5 %s 3.0 then 1.0 else 0.0) - (if x[2] %s x[3] then 1.0 else 0.0)",
                 compared[k], compared[k]);
        EXPECT("f32", body, 0);
    }
    for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
        snprintf(on_numbers, sizeof on_numbers, functions[k], "0.5", "3.0");
        snprintf(on_elements, sizeof on_elements, functions[k], "x[2]", "x[3]");
        snprintf(body, sizeof body, "return %s - %s", on_numbers, on_elements);
        EXPECT("f32", body, 0);
    }
}

static void parameters_by_path(void **state) {
    (void)state;
    Parsed p = parse_checked("import std.layers (Dense)\n"
                             "layer Twice[H](x: f32[H]) -> f32[H] {\n"
                             "  use a = Dense[H, H]\n"
                             "  return a(a(x))\n"
                             "}\n"
                             "layer L(x: f32[6]) -> f32[3] {\n"
                             "  use first = Twice[6]\n"
                             "  use second = Twice[6]\n"
                             "  param V: f32[6, 3] = normal(std: 0.5 / sqrt(4))\n"
                             "  buffer shift: f32[3] = constant(6 / 4)\n"
                             "  return second(first(x)) @ V + shift\n"
                             "}\n");
    const Model *m = elaborate_text(&p, "L")->nets[0]->model;
    static const struct {
        const char *path, *init;
        bool trained;
    } expected[] = {{"V", "normal(std: 0.25)", true}, {"shift", "constant(value: 1.5)", false},
                    {"first.a.W", "glorot()", true},  {"first.a.b", "zeros()", true},
                    {"second.a.W", "glorot()", true}, {"second.a.b", "zeros()", true}};
    assert_int_equal(m->nparameters, 6); /* calling `a` twice makes nothing new */
    for (uint32_t k = 0; k < 6; k++) {
        assert_string_equal(m->parameters[k].path, expected[k].path);
        assert_string_equal(m->parameters[k].init, expected[k].init);
        assert_int_equal(m->parameters[k].trained, expected[k].trained);
    }
    assert_string_equal(m->name, "L");
    parsed_free(&p);
}

/* ---- fixed points ---- */
static void fixed_point_captures(void **state) {
    (void)state;
    Parsed p = parse_checked("layer Pair[I, H = 4](x: f32[I], scale: f32 = 0.5) -> f32[H + H / 2] {\n"
                             "  param W: f32[H, H] = normal(std: 0.1)\n"
                             "  param U: f32[I, H] = glorot()\n"
                             "  let u = x @ U\n"
                             "  let s = 2 * scale\n"
                             "  fixed point (a: f32[H], b: f32[H / 2]) {\n"
                             "    let h = a @ W\n"
                             "    b = tanh(b + a[0..H / 2])\n"
                             "    a = s * tanh(h + u)\n"
                             "    forward: broyden(memory: H, tol: scale / 1000)\n"
                             "    gradient: jfb()\n"
                             "    on_fail: stop\n"
                             "  }\n"
                             "  return concat(a, b)\n"
                             "}\n"
                             "layer L(x: f32[6]) -> f32[6] {\n"
                             "  use body = Pair[6](scale: 0.25)\n"
                             "  return body(x)\n"
                             "}\n");
    const Model *m = elaborate_text(&p, "L")->nets[0]->model;
    assert_int_equal(m->nfixed, 1);
    const FixedPoint *f = &m->fixed[0];
    assert_string_equal(f->name, "L_body");
    assert_string_equal(f->path, "body");
    assert_string_equal(f->forward, "broyden(memory: 4, tol: 0.00025)");
    assert_string_equal(f->gradient, "jfb()");
    assert_string_equal(f->start, "zeros");
    assert_string_equal(f->on_fail, "stop");
    assert_int_equal(f->nstate, 2);
    assert_string_equal(f->state_names[1], "b");
    assert_int_equal(f->body->ninputs,
                     4); /* a, b, W, u: what is captured, in the order of the `fixed` node's arguments */
    assert_int_equal(f->body->noutputs, 2);
    const Node *fixed = graph_node(m->graph, f->fixed_node);
    assert_int_equal(fixed->op, OP_fixed);
    assert_int_equal(fixed->nargs, 2);
    for (uint32_t k = 0; k < 2; k++) {
        const Node *outside = graph_node(m->graph, graph_arg(m->graph, f->fixed_node, k));
        const Node *inside = graph_node(f->body, f->body->inputs[2 + k]);
        assert_true(shape_equal(outside->shape, inside->shape));
        assert_int_equal(outside->batched, inside->batched);
    }
    double a[4] = {0.1, 0.2, 0.3, 0.4}, b[2] = {0.5, -0.5}, W[16] = {0}, u[4] = {1, 2, 3, 4};
    for (int k = 0; k < 4; k++) W[5 * k] = 2;
    double **v = interpret_graph(p.arena, f->body, 1, (const double *[]){a, b, W, u}, NULL);
    for (int k = 0; k < 4; k++) assert_close("a", v[f->body->outputs[0]][k], 0.5 * tanh(2 * a[k] + u[k]));
    for (int k = 0; k < 2; k++) assert_close("b", v[f->body->outputs[1]][k], tanh(b[k] + a[k])); /* the old a */
    parsed_free(&p);
}

static void fixed_point_names(void **state) {
    (void)state;
    Parsed p = parse_checked("layer Two(x: f32[4]) -> f32[4] {\n"
                             "  fixed point a: f32[4] { a = tanh(a / 2 + x) }\n"
                             "  fixed point b: f32[4] { b = tanh(b / 2 + a) }\n"
                             "  return b\n"
                             "}\n"
                             "layer L(x: f32[4]) -> f32[4] {\n"
                             "  use inner = Two\n"
                             "  let h = inner(x)\n"
                             "  fixed point z: f32[4] { z = tanh(z / 2 + h) }\n"
                             "  return z\n"
                             "}\n");
    const Model *m = elaborate_text(&p, "L")->nets[0]->model;
    assert_int_equal(m->nfixed, 3);
    static const char *const names[] = {"L_inner_a", "L_inner_b", "L_z"}, *const paths[] = {"inner.a", "inner.b", ""};
    for (int k = 0; k < 3; k++) {
        assert_string_equal(m->fixed[k].name, names[k]);
        assert_string_equal(m->fixed[k].path, paths[k]);
    }
    assert_string_equal(m->fixed[0].forward, "anderson(memory: 5, tol: 0.0001, max: 40)");
    assert_string_equal(m->fixed[0].gradient, "implicit(gmres(tol: 0.0001, max: 30))");
    parsed_free(&p);
}

/* ---- mistakes that only sizes show ---- */
static void expect_mistake(const char *code, const char *text) {
    Parsed p = parse_text(text);
    if (diags_errors(p.diags) == 0 && program_resolve(p.program) && program_check(p.program))
        assert_false(pipeline_check(p.program));
    assert_contains(messages(&p), code);
    parsed_free(&p);
}

static void mistakes_of_sizes(void **state) {
    (void)state;
    const char *half = "layer Half[H](x: f32[H]) -> f32[H / 2] { return x[0..H / 2] }\n";
    char text[1024];
    snprintf(text, sizeof text, "%stest \"t\" { check: gradcheck(Half[7]) }\n", half);
    expect_mistake("E0310", text);
    expect_mistake("E0601", "layer Big[H](x: f32[H]) -> f32[H] { param W: f32[H, H] = zeros()\n return x @ W }\n"
                            "test \"t\" { check: gradcheck(Big[1000000]) }\n");
    expect_mistake("E0490", "layer P(x: f32[4]) -> f32[4] { return x + across_batch(x) }\n"
                            "test \"t\" { check: gradcheck(P) }\n");
    /* the same layer with a size that divides */
    snprintf(text, sizeof text, "%stest \"t\" { check: gradcheck(Half[8]) }\n", half);
    Parsed p = parse_checked(text);
    assert_true(pipeline_check(p.program));
    parsed_free(&p);
}

static void names_stay_unique(void **state) {
    (void)state;
    Parsed p = parse_checked("layer L[H](x: f32[H]) -> f32[H] { return tanh(x) }\n"
                             "test \"a\" { check: gradcheck(L[3]) }\n"
                             "test \"b\" { check: gradcheck(L[4]) }\n"
                             "test \"c\" { check: gradcheck(L[3], directions: 2) }\n");
    Elab *e = elaborate_text(&p, NULL);
    assert_int_equal(e->nnets, 2);
    assert_string_equal(e->nets[0]->model->name, "L_3");
    assert_string_equal(e->nets[1]->model->name, "L_4");
    assert_string_not_equal(e->nets[0]->hash, e->nets[1]->hash);
    parsed_free(&p);
}

/* ---- the whole of tests/golden/elaborate.deq as text: elaborate.ir (DEQ_BLESS=1 rewrites it) ---- */
static void print_model(const Model *m, FILE *out) {
    fprintf(out, "model %s: x %%%u, y %%%u, output %%%u\n", m->name, m->x, m->y, m->output);
    for (uint32_t k = 0; k < m->nparameters; k++) {
        const Parameter *q = &m->parameters[k];
        fprintf(out, "%s %s: %%%u = %s\n", q->trained ? "param" : "buffer", q->path, q->node, q->init);
    }
    for (uint32_t k = 0; k < m->nlosses; k++) fprintf(out, "loss %s: %%%u\n", m->losses[k].name, m->losses[k].node);
    for (uint32_t k = 0; k < m->nmetrics; k++)
        fprintf(out, "metric %s: %%%u\n", m->metrics[k].name, m->metrics[k].node);
    graph_print(m->graph, out);
    for (uint32_t k = 0; k < m->nfixed; k++) {
        const FixedPoint *f = &m->fixed[k];
        fprintf(out, "fixed point %s at '%s': forward %s, gradient %s, start %s, on_fail %s\n", f->name, f->path,
                f->forward, f->gradient, f->start, f->on_fail);
        graph_print(f->body, out);
    }
}

static void graphs_as_text(void **state) {
    (void)state;
    const char *path = DEQ_SOURCE_DIR "/tests/golden/elaborate.ir";
    Arena *a = arena_new();
    Parsed p = parse_checked(read_whole(a, DEQ_SOURCE_DIR "/tests/golden/elaborate.deq"));
    const Elab *e = elaborate_text(&p, NULL);
    char *found = CAPTURE(a, out, {
        for (uint32_t k = 0; k < e->nnets; k++) print_model(e->nets[k]->model, out);
        for (uint32_t k = 0; k < e->nroutines; k++) routine_print(e->routines[k], out);
    });
    if (getenv("DEQ_BLESS")) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        fputs(found, f);
        fclose(f);
    }
    const char *expected = read_whole(a, path);
    if (!expected) fail_msg("%s is missing; DEQ_BLESS=1 writes it", path);
    if (strcmp(found, expected) != 0) {
        size_t at = 0;
        while (found[at] == expected[at]) at++;
        while (at > 0 && found[at - 1] != '\n') at--;
        fail_msg("%s differs (DEQ_BLESS=1 rewrites it):\nexpected %.200s\nfound    %.200s", path, expected + at,
                 found + at);
    }
    parsed_free(&p);
    arena_free(a);
}

static void numbers_as_text(void **state) {
    (void)state;
    Arena *a = arena_new();
    static const struct {
        double x;
        const char *text;
    } cases[] = {{40, "40"},
                 {0.1, "0.1"},
                 {1e-4, "0.0001"},
                 {1e-6, "1e-06"},
                 {100000, "100000"},
                 {-2.5, "-2.5"},
                 {1.0 / 3, "0.3333333333333333"},
                 {INFINITY, "inf"},
                 {8.0 / 255, "0.03137254901960784"}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        assert_string_equal(number_text(a, cases[k].x), cases[k].text);
        assert_true(strtod(cases[k].text, NULL) == cases[k].x);
    }
    assert_string_equal(identifier(a, "inner.a"), "inner_a");
    assert_string_equal(identifier(a, "3d"), "n3d");
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_expressions), cmocka_unit_test(numbers_as_elements),
        cmocka_unit_test(parameters_by_path),    cmocka_unit_test(fixed_point_captures),
        cmocka_unit_test(fixed_point_names),     cmocka_unit_test(mistakes_of_sizes),
        cmocka_unit_test(names_stay_unique),     cmocka_unit_test(graphs_as_text),
        cmocka_unit_test(numbers_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
