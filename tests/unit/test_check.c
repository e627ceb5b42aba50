/* Programs that must be accepted, the types they get, and that one mistake gives one message. */
#include "lang_support.h"
#include "check.h"
#include "type.h"

static Parsed checked(const char *text) {
    Parsed p = parse_text(text);
    program_resolve(p.program);
    program_check(p.program);
    return p;
}

static void accept(const char *text) {
    Parsed p = checked(text);
    if (diags_errors(p.diags)) fail_msg("%s\n%s", text, messages(&p));
    parsed_free(&p);
}

/* Exactly one error, with this text. */
static void reject(const char *text, const char *message) {
    Parsed p = checked(text);
    char *all = messages(&p);
    if (diags_errors(p.diags) != 1) fail_msg("%u errors\n%s\n%s", diags_errors(p.diags), text, all);
    assert_contains(all, message);
    parsed_free(&p);
}

/* ---- whole files: the standard library and the examples ---- */
static void accept_file(const char *path) {
    Arena *a = arena_new();
    Diags *ds = diags_new(a);
    Program *p = program_load(a, ds, path, NULL, 0);
    program_resolve(p);
    program_check(p);
    char *plain = CAPTURE(a, out, diags_print(ds, out, false));
    if (diags_errors(ds) || strstr(plain, "warning[")) fail_msg("%s\n%s", path, plain);
    arena_free(a);
}

static void files(void **state) {
    (void)state;
    assert_true(each_deq(DEQ_SOURCE_DIR "/stdlib", accept_file) >= 9);
    assert_true(each_deq(DEQ_SOURCE_DIR "/examples", accept_file) >= 2);
}

/* ---- the programs of the language's description, with what this version has ---- */
#define TANH                                                                                                           \
    "layer Tanh[I, H](x: f32[I]) -> f32[H] {\n"                                                                        \
    "  param W: f32[H, H] = normal(std: 0.5 / sqrt(H))\n"                                                              \
    "  param U: f32[I, H] = glorot()\n"                                                                                \
    "  param b: f32[H]    = zeros()\n"                                                                                 \
    "  fixed point z: f32[H] {\n"                                                                                      \
    "    z = tanh(z @ W + x @ U + b)\n"                                                                                \
    "    start:    zeros\n"                                                                                            \
    "    forward:  anderson(memory: 5, tol: 1e-4, max: 40)\n"                                                          \
    "    gradient: implicit(gmres(tol: 1e-4, max: 30))\n"                                                              \
    "  }\n"                                                                                                            \
    "  return z\n"                                                                                                     \
    "}\n"

static void quickstart(void **state) {
    (void)state;
    accept("import std.layers (Dense)\n"
           "import std.losses (cross_entropy)\n"
           "import std.data (fashion_mnist)\n"
           "import std.optimisers (adam)\n" TANH "layer Net(image: f32[1, 28, 28]) -> f32[10] {\n"
           "  use body = Tanh[784, 128]\n"
           "  use head = Dense[128, 10]\n"
           "  return image |> flatten |> body |> head\n"
           "}\n"
           "data fashion: (f32[1, 28, 28], label[10]) = fashion_mnist()\n"
           "train net = Net on fashion.train {\n"
           "  loss:     cross_entropy\n"
           "  optimise: adam(rate: 1e-3)\n"
           "  batch:    128\n"
           "  epochs:   5\n"
           "  seed:     0\n"
           "}\n"
           "test \"gradients agree with finite differences\" {\n"
           "  check: gradcheck(Tanh[6, 4], directions: 8, tol: 1e-3)\n"
           "}\n");
}

static void monotone(void **state) {
    (void)state;
    accept("layer Monotone[I, H](x: f32[I], margin: f32 = 1.0) -> f32[H] {\n"
           "  param A: f32[H, H] = normal(std: 1 / sqrt(H))\n"
           "  param B: f32[H, H] = normal(std: 1 / sqrt(H))\n"
           "  param U: f32[I, H] = glorot()\n"
           "  param b: f32[H]    = zeros()\n"
           "  fn W(v: f32[H]) -> f32[H] = (1 - margin) * v - (v @ A') @ A + v @ B - v @ B'\n"
           "  fixed point z: f32[H] {\n"
           "    z = relu(W(z) + x @ U + b)\n"
           "    forward:  picard(damping: 0.5, tol: 1e-5, max: 50)\n"
           "    gradient: implicit(gmres(tol: 1e-5, max: 50))\n"
           "  }\n"
           "  return z\n"
           "}\n"
           "gradient paper of Monotone by hand {\n"
           "  let s = if z > 0 then 1 else 0\n"
           "  fn K(v: f32[H]) -> f32[H] = v - transpose(W)(s * v)\n"
           "  let u = s * solve(K, d(z), gmres(tol: 1e-6, max: 50))\n"
           "  d(U) = outer(x, u)\n"
           "  d(b) = u\n"
           "  d(x) = u @ U'\n"
           "  (d(A), d(B)) = vjp(W, z, u)\n"
           "}\n"
           "check {\n"
           "  compare: gradients(Monotone[16, 12]) {\n"
           "    modes:     [implicit(), paper, jfb(), phantom.unroll(steps: 5, damping: 0.5)]\n"
           "    reference: finite_difference(directions: 16)\n"
           "  }\n"
           "}\n");
}

static void multiscale(void **state) {
    (void)state;
    accept("import std.layers (Dense)\n"
           "import std.losses (cross_entropy)\n"
           "import std.attacks (pgd)\n"
           "import std.optimisers (adam)\n"
           "import std.schedules (cosine)\n"
           "const S = 28\n"
           "layer Block[C; N](z: f32[N]; x: f32[N]) -> f32[N] {\n"
           "  param gain: f32[C] = ones()\n"
           "  param W: f32[C] = zeros()\n"
           "  let h = z * sum(gain) |> relu\n"
           "  return relu(h * sum(W) + x + z)\n"
           "}\n"
           "layer Mdeq[C1 = 24, C2 = 12](image: f32[1, S, S]) -> f32[10] {\n"
           "  use stem = Dense[S * S, C1]\n"
           "  use b1   = Block[C1]\n"
           "  use b2   = Block[C2]\n"
           "  use down = Dense[C1, C2]\n"
           "  use up   = Dense[C2, C1]\n"
           "  use head = Dense[C1 + C2, 10]\n"
           "  let x = image |> flatten |> stem\n"
           "  fixed point (z1: f32[C1], z2: f32[C2]) {\n"
           "    let h1 = b1(z1; x)\n"
           "    let h2 = b2(z2; zeros)\n"
           "    z1 = tanh(h1 + up(h2))\n"
           "    z2 = tanh(h2 + down(h1))\n"
           "    forward:  broyden(memory: 8, tol: 1e-3, stop: relative, max: 18, return: best)\n"
           "    gradient: phantom.unroll(steps: 5, damping: 0.5)\n"
           "    on_fail:  keep_best\n"
           "  }\n"
           "  return concat(z1, z2) |> head\n"
           "}\n"
           "data d: (f32[1, S, S], label[10]) = fashion_mnist()\n"
           "attack linf = pgd(radius: 8 / 255, step: 2 / 255, iterations: 10)\n"
           "attack white_box = pgd(radius: 8 / 255, step: 2 / 255, iterations: 10) with {\n"
           "  gradient: implicit(gmres(tol: 1e-3))\n"
           "}\n"
           "experiment robustness {\n"
           "  sweep mode in [implicit(gmres(max: 20)), phantom.unroll(steps: 5, damping: 0.5), jfb()]\n"
           "  sweep seed in 0..2\n"
           "  train m = Mdeq on d.train {\n"
           "    loss:     cross_entropy\n"
           "    optimise: adam(rate: cosine(from: 1e-3))\n"
           "    gradient: mode\n"
           "    attack:   linf\n"
           "    epochs:   20\n"
           "    batch:    96\n"
           "    seed:     seed\n"
           "    validate: d.test[0..500]\n"
           "  }\n"
           "  let clean  = accuracy(m, d.test)\n"
           "  let robust = accuracy(m, d.test under white_box)\n"
           "  let tight = accuracy(m with { forward.tol: 1e-5; gradient: jfb() }, d.test under white_box)\n"
           "  table \"results/robustness\" {\n"
           "    rows:    mode\n"
           "    columns: [clean, robust, tight, clean - robust, m.fixed.steps, robust.residual]\n"
           "    cells:   mean_std(seed)\n"
           "  }\n"
           "}\n");
}

/* ---- constructs ---- */
static void functions(void **state) {
    (void)state;
    accept("fn silu(x: f32[N]) -> f32[N] = x * sigmoid(x)\n" /* N declared by its use */
           "fn leak(x: f32, slope: f32 = 0.01) -> f32 = if x > 0 then x else slope * x\n"
           "fn maps(x: f32[3, 4]) -> f32[3, 4] = leak(x) + leak(x, slope: 0.2)\n" /* scalars map over tensors */
           "fn halves[K](v: f32[2 * K]) -> (f32[K], f32[K]) = (v[0..K], v[K..2 * K])\n"
           "fn joined(v: f32[8]) -> f32[4] {\n"
           "  let (a, b) = halves(v)\n"
           "  return a - b\n"
           "}\n"
           "fn first(x: f32[N], y: label[N]) -> bool = argmax(x) == y\n"
           "fn widths[N](x: f32[N]) -> f32 = sum(x) / N + sqrt(2 * N)\n"
           "fn powers(x: f32[4]) -> f32[4] {\n"
           "  let p = x\n"
           "  for i in 0..3 {\n"
           "    let q = p * x\n"
           "    p = q + i\n"
           "  }\n"
           "  return p\n"
           "}\n");
    accept("fn column(x: f32[3], y: f32[1, 4]) -> f32[3, 4] = reshape(x, [3, 1]) * y\n"
           "fn picks(x: f32[3, 4]) -> f32[2] = x[1, 0..2]\n"
           "fn chain(x: f32[2, 3]) -> f32[3] = x |> sum(axes: [0]) |> softmax |> clamp(0, 1)\n"
           "fn grow[N](x: f32[N]) -> f32[N + 3] = pad(concat(x, zeros([1])), [1, 1])\n"
           "fn choose(x: f32[4], y: f32[4]) -> f32[4] = if x > y and not (x == 0) then max(x, y) else min(x, 0)\n"
           "fn gram[M, N](x: f32[M, N]) -> f32[N, N] = x' @ x\n");
}

static void machines(void **state) {
    (void)state;
    accept("attack spsa(x: f32[..S], y: label[K]; radius: f32, n: int, flip: bool = false) {\n"
           "  state a = clamp(x + uniform(-radius, radius), 0, 1)\n"
           "  state best = -inf\n"
           "  for i in 0..n {\n"
           "    let g = gradient(loss, at: a)\n"
           "    let u: f32 = uniform(0, 1)\n"
           "    let better = loss(a) > best\n"
           "    best = if better then loss(a) else best\n"
           "    a = if flip and argmax(logits(a)) == y then a + u * sign(g) / (i + 1) else a + normal(0.1) / norm(g)\n"
           "  }\n"
           "  return a + 0 * dot(logits(a), one_hot(y))\n"
           "}\n"
           "optimiser descend(rate: schedule, decay: f32 = 0) {\n"
           "  state m = zeros\n"
           "  let g = d(w) + decay * w\n"
           "  m = 0.9 * m + g\n"
           "  w = w - rate(t) * m / (1 - 0.9 ** t) * steps\n"
           "}\n"
           "schedule falling(from: f32) { return from * cos(pi * t / steps) }\n"
           "schedule slow = falling(from: 0.1)\n"
           "optimiser fast = descend(rate: slow)\n"
           "optimiser plain = descend(rate: 1 / 10, decay: 1e-4)\n"
           "defence late(at: int) { return (mean(states) + mean(states[1..at]) + states[at]) / 3 }\n"
           "defence fifth = late(at: 5)\n"
           "attack weak = spsa(0.1, n: 3)\n");
}

static void order_does_not_matter(void **state) {
    (void)state;
    accept("layer Outer(x: f32[N0]) -> f32[N0] {\n"
           "  use inner = Inner[N0]\n"
           "  return inner(x) * twice(1)\n"
           "}\n"
           "fn twice(x: f32) -> f32 = x + x\n"
           "layer Inner[N](x: f32[N]) -> f32[N] { return tanh(x) }\n"
           "const N0 = 2 * N1\n"
           "const N1 = 3\n");
}

static void tuple_states(void **state) {
    (void)state;
    accept("layer Two[H](x: f32[H]) -> f32[H + H / 2] {\n"
           "  fixed point (a: f32[H], b: f32[H / 2]) {\n"
           "    b = tanh(b + a[0..H / 2])\n"
           "    a = tanh(0.5 * a + x)\n"
           "  }\n"
           "  return concat(a, b)\n"
           "}\n"
           "layer Net(x: f32[6]) -> f32[9] {\n"
           "  use two = Two[6]\n"
           "  return two(x)\n"
           "}\n");
}

/* ---- types are on the tree ---- */
static const Ast *find(const Ast *node, AstKind kind, const char *name) {
    if (!node) return NULL;
    if (node->kind == kind && node->name && !strcmp(node->name, name)) return node;
    for (uint32_t i = 0; i < node->nkids; i++) {
        const Ast *found = find(node->kids[i], kind, name);
        if (found) return found;
    }
    return NULL;
}

static void tree_is_typed(void **state) {
    (void)state;
    Parsed p = checked(TANH "layer Net(x: f32[8]) -> f32[4] {\n"
                            "  use body = Tanh[8, 4]\n"
                            "  return 2 * body(x)\n"
                            "}\n"
                            "attack a(x: f32[..S], y: label[K]; r: f32) { return x + uniform(-r, r) }\n");
    assert_int_equal(diags_errors(p.diags), 0);
    const Ast *w = find(p.unit, AST_PARAM, "W"), *use = find(p.unit, AST_USE, "body"),
              *mul = find(p.unit, AST_BINARY, "*");
    assert_string_equal(type_text(p.arena, w->type), "f32[H, H]");
    assert_int_equal(use->type->kind, TYPE_LAYER);
    assert_string_equal(use->type->decl->name, "Tanh");
    assert_string_equal(type_text(p.arena, mul->type), "f32[4]");
    const Ast *at = find(p.unit, AST_BINARY, "@");
    assert_ptr_equal(AST_SLOT(at, BINARY, right)->ref, w);
    /* a draw has the shape of what it is added to */
    const Ast *add = find(p.unit->kids[2], AST_BINARY, "+");
    assert_string_equal(type_text(p.arena, AST_SLOT(add, BINARY, right)->type), "f32[..S]");
    parsed_free(&p);
}

/* ---- one mistake, one message ---- */
static void no_cascades(void **state) {
    (void)state;
    reject("fn f(x: f32[4]) -> f32[4] {\n"
           "  let a = x + nothing\n"
           "  let b = a @ a\n"
           "  let (c, e) = b\n"
           "  return tanh(c + e) + a + b\n"
           "}\n",
           "unknown name 'nothing'");
    reject("layer L(x: f32[4]) -> f32[4] {\n"
           "  param W: f32[4, N] = glorot()\n"
           "  fixed point z: f32[4] {\n"
           "    z = tanh(z @ W + x)\n"
           "  }\n"
           "  return z @ W\n"
           "}\n"
           "layer M(x: f32[4]) -> f32[4] { use a = L\n return a(a(x)) }\n",
           "unknown name 'N'");
    reject("data d: (f32[4], label[2]) = idx(\"a\")\n" /* the labels are missing; d stays usable */
           "layer L(x: f32[4]) -> f32[2] { return x[0..2] }\n"
           "optimiser o(rate: f32) { w = w - rate * d(w) }\n"
           "experiment e {\n"
           "  train m = L on d.train { loss: fitting; optimise: o(rate: 0.1); epochs: 1 }\n"
           "}\n"
           "fn fitting(a: f32[N], y: label[N]) -> f32 = sum(a) + 0 * sum(one_hot(y))\n",
           "'idx' needs 'labels'");
}

static void helps(void **state) {
    (void)state;
    reject(TANH "layer Net(x: f32[784]) -> f32[128] {\n"
                "  use body = Tanh[784, 128]\n"
                "  return body(x) @ body\n"
                "}\n",
           "'@' needs vectors or matrices, its right side is layer 'Tanh'");
    Parsed p = checked("layer Tanh[I, H](x: f32[I]) -> f32[H] {\n"
                       "  param W: f32[H, H] = normal(std: 0.1)\n"
                       "  param U: f32[I, H] = glorot()\n"
                       "  fixed point z: f32[H] { z = tanh(z @ U + x @ U) + 0 * sum(W) }\n"
                       "  return z\n"
                       "}\n"
                       "layer Net(x: f32[784]) -> f32[128] {\n"
                       "  use body = Tanh[784, 128]\n"
                       "  return body(x)\n"
                       "}\n");
    char *all = messages(&p);
    assert_contains(all, "error[E0312]: shapes do not agree in '@': f32[H] @ f32[I, H]: H and I must be equal");
    assert_contains(all, "note: H and I are independent sizes of Tanh; here I = 784, H = 128 (used by Net, line 8)");
    assert_contains(all, "help: did you mean 'W' (f32[H, H])?");
    parsed_free(&p);
    reject("fn f(x: f32[4]) -> f32[4] = x @ Dense\n", "help: import std.layers (Dense)");
    reject("fn f(x: f32[4], scale: f32) -> f32[4] = x * scael\n", "help: did you mean 'scale' (f32)?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files),
        cmocka_unit_test(quickstart),
        cmocka_unit_test(monotone),
        cmocka_unit_test(multiscale),
        cmocka_unit_test(functions),
        cmocka_unit_test(machines),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(tuple_states),
        cmocka_unit_test(tree_is_typed),
        cmocka_unit_test(no_cascades),
        cmocka_unit_test(helps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
