/* split.c - recognises z = prox(L z + c), and takes it apart.
 *
 * Values are free of the state, affine in it, or neither.  Between a component's next state and the affine value below
 * it stand elementwise ops; intervals of value and slope, carried through them, tell whether the whole is a prox. */
#include "split.h"
#include "adjoint.h"
#include "fold.h"
#include "op_value.h"
#include <math.h>

typedef enum Kind { KIND_FREE, KIND_AFFINE, KIND_OTHER } Kind;

typedef struct Curve {  /* of an elementwise function of the inner value */
    double low, high;   /* its values */
    double least, most; /* its slope */
    bool known, projection;
} Curve;

typedef struct Finder {
    Arena *arena;
    const Graph *g;
    Kind *kind;
    NodeId leaf;
    Curve *curves;
    NodeId *leaves;
    uint32_t nleaves, cap;
    bool *seen;
    const char *why;
    Range where;
    uint32_t depth, budget; /* of recursion; steps left to value_at */
} Finder;

#define DEEPEST 2000

static void refuse(Finder *f, NodeId at, const char *why) {
    if (f->why) return;
    f->why = why;
    f->where = graph_node(f->g, at)->loc;
}

/* ---- affine values ---- */
static Kind kind_of(const Finder *f, NodeId id) {
    const Node *n = graph_node(f->g, id);
    int mask = op_linear_mask(n->op);
    uint32_t touched = 0, which = 0;
    for (uint32_t k = 0; k < n->nargs; k++) {
        Kind a = f->kind[graph_arg(f->g, id, k)];
        if (a == KIND_OTHER) return KIND_OTHER;
        if (a == KIND_AFFINE) touched++, which = k;
    }
    if (touched == 0) return KIND_FREE;
    if (n->op == OP_add || n->op == OP_sub || n->op == OP_concat) return KIND_AFFINE;
    if (n->op == OP_select) return f->kind[graph_arg(f->g, id, 0)] == KIND_FREE ? KIND_AFFINE : KIND_OTHER;
    return touched == 1 && (mask < 0 || (mask >> which & 1)) ? KIND_AFFINE : KIND_OTHER;
}

/* ---- the activation ---- */
static const Curve everything = {-INFINITY, INFINITY, 1, 1, true, true};

static Curve scaled(Curve a, double k) {
    Curve c = {a.low * k, a.high * k, a.least * k, a.most * k, true, false};
    if (k < 0) c = (Curve){a.high * k, a.low * k, a.most * k, a.least * k, true, false};
    return c;
}

/* g(a) for a g that rises with a slope from least to most where a lies */
static Curve through(Curve a, double low, double high, double least, double most) {
    double p[4] = {a.least * least, a.least * most, a.most * least, a.most * most};
    Curve c = {low, high, p[0], p[0], true, false};
    for (int k = 1; k < 4; k++) {
        c.least = fmin(c.least, p[k]);
        c.most = fmax(c.most, p[k]);
    }
    return c;
}

/* One of the two, whichever: their hull. */
static Curve either(Curve a, Curve b) {
    return (Curve){fmin(a.low, b.low), fmax(a.high, b.high), fmin(a.least, b.least), fmax(a.most, b.most), true, false};
}

/* The value of an elementwise function of the inner value at t; NaN where it is not known. */
static double value_at(Finder *f, NodeId id, double t) {
    const Node *n = graph_node(f->g, id);
    double a[3] = {0, 0, 0};
    if (f->budget == 0) return NAN;
    f->budget--;
    if (id == f->leaf) return t;
    if (f->kind[id] == KIND_FREE) return fold_value(f->g, id, &a[0]) ? a[0] : NAN;
    for (uint32_t k = 0; k < n->nargs && k < 3; k++) a[k] = value_at(f, graph_arg(f->g, id, k), t);
    if (n->op == OP_reshape) return a[0];
    return op_class(n->op) == CLASS_ELEMENTWISE ? op_value(n->op, a) : NAN;
}

static Curve curve_of(Finder *f, NodeId id);

/* if t > k then a else b, where both meet at k: a joined curve is as steep as its parts */
static Curve joined(Finder *f, NodeId id) {
    NodeId condition = graph_arg(f->g, id, 0), a = graph_arg(f->g, id, 1), b = graph_arg(f->g, id, 2);
    const Node *n = graph_node(f->g, condition);
    double k = NAN;
    f->budget = DEEPEST;
    for (uint32_t i = 0; (n->op == OP_lt || n->op == OP_le) && i < 2; i++)
        if (graph_arg(f->g, condition, i) == f->leaf) fold_value(f->g, graph_arg(f->g, condition, 1 - i), &k);
    if (n->op == OP_step && graph_arg(f->g, condition, 0) == f->leaf) k = 0;
    if (!(fabs(value_at(f, a, k) - value_at(f, b, k)) <= 1e-12 * (1 + fabs(k)))) {
        refuse(f, id, "the two sides of its 'if' need not meet");
        return (Curve){0};
    }
    return either(curve_of(f, a), curve_of(f, b));
}

static Curve free_curve(const Finder *f, NodeId id) {
    Curve c = {-INFINITY, INFINITY, 0, 0, true, false};
    double v;
    if (fold_value(f->g, id, &v)) c.low = c.high = v;
    return c;
}

static Curve elementwise(Finder *f, NodeId id, Curve a, Curve b) {
    const Node *n = graph_node(f->g, id);
    bool constant = n->nargs == 2 && f->kind[graph_arg(f->g, id, 1)] == KIND_FREE;
    Curve c;
    switch (n->op) {
    case OP_reshape: return a;
    case OP_neg: return scaled(a, -1);
    case OP_add: return (Curve){a.low + b.low, a.high + b.high, a.least + b.least, a.most + b.most, true, false};
    case OP_sub: return (Curve){a.low - b.high, a.high - b.low, a.least - b.most, a.most - b.least, true, false};
    case OP_mul:
    case OP_div:
        if (!constant && n->op == OP_mul && f->kind[graph_arg(f->g, id, 0)] == KIND_FREE) {
            c = a, a = b, b = c;
            constant = true;
        }
        if (constant && b.low == b.high && isfinite(b.low) && (n->op == OP_mul || b.low != 0))
            return scaled(a, n->op == OP_mul ? b.low : 1 / b.low);
        break;
    case OP_max:
    case OP_min:
        c = either(a, b);
        if (n->op == OP_max)
            c.low = fmax(a.low, b.low);
        else
            c.high = fmin(a.high, b.high);
        c.projection = (a.projection && b.most == 0 && b.least == 0) || (b.projection && a.most == 0 && a.least == 0);
        return c;
    case OP_relu:
        if (a.low >= 0) return a;
        c = either(a, (Curve){0, 0, 0, 0, true, false});
        c.low = 0;
        c.projection = a.projection;
        return c;
    case OP_abs:
        if (a.low >= 0) return a;
        if (a.high <= 0) return scaled(a, -1);
        return through(a, 0, fmax(-a.low, a.high), -1, 1);
    case OP_tanh: return through(a, op_value(OP_tanh, &a.low), op_value(OP_tanh, &a.high), 0, 1);
    case OP_sigmoid: return through(a, op_value(OP_sigmoid, &a.low), op_value(OP_sigmoid, &a.high), 0, 0.25);
    case OP_softplus: return through(a, 0, INFINITY, 0, 1);
    case OP_exp: {
        double low = op_value(OP_exp, &a.low), high = op_value(OP_exp, &a.high);
        if (isfinite(high)) return through(a, low, high, low, high);
        break;
    }
    case OP_expm1: {
        double slopes[2] = {op_value(OP_exp, &a.low), op_value(OP_exp, &a.high)};
        if (isfinite(slopes[1]))
            return through(a, op_value(OP_expm1, &a.low), op_value(OP_expm1, &a.high), slopes[0], slopes[1]);
        break;
    }
    default: break;
    }
    refuse(f, id,
           arena_printf(f->arena,
                        "'%s' of a value that depends on the state is neither linear nor known to rise with a "
                        "slope of at most 1",
                        op_name(n->op)));
    return (Curve){0};
}

static Curve curve_of(Finder *f, NodeId id) {
    const Node *n = graph_node(f->g, id);
    if (id == f->leaf) return everything;
    if (f->kind[id] == KIND_FREE) return free_curve(f, id);
    if (f->curves[id].known) return f->curves[id];
    Curve a = {0}, b = {0}, c = {0};
    if (n->op == OP_select) {
        c = joined(f, id);
    } else if (op_class(n->op) == CLASS_ELEMENTWISE || n->op == OP_reshape) {
        a = curve_of(f, graph_arg(f->g, id, 0));
        if (n->nargs > 1) b = curve_of(f, graph_arg(f->g, id, 1));
        c = elementwise(f, id, a, b);
    }
    c.known = true;
    return f->curves[id] = c;
}

/* The affine values that the component's next state is an elementwise function of. */
static void find_leaves(Finder *f, NodeId id) {
    const Node *n = graph_node(f->g, id);
    if (f->seen[id] || f->kind[id] == KIND_FREE) return;
    if (f->depth > DEEPEST) {
        refuse(f, id, "its activation is too deep");
        return;
    }
    f->seen[id] = true;
    if (f->kind[id] == KIND_AFFINE) {
        *ARENA_PUSH(f->arena, f->leaves, f->nleaves, f->cap) = id;
        return;
    }
    if (op_class(n->op) != CLASS_ELEMENTWISE && n->op != OP_reshape) {
        refuse(f, id,
               arena_printf(f->arena, "'%s' comes after something that is not linear in the state", op_name(n->op)));
        return;
    }
    f->depth++;
    for (uint32_t k = 0; k < n->nargs; k++) find_leaves(f, graph_arg(f->g, id, k));
    f->depth--;
}

/* The one argument that depends on the state of an elementwise op which is affine; NODE_NONE. */
static NodeId below(const Finder *f, NodeId id) {
    const Node *n = graph_node(f->g, id);
    NodeId only = NODE_NONE;
    if (op_class(n->op) != CLASS_ELEMENTWISE && n->op != OP_reshape) return NODE_NONE;
    for (uint32_t k = 0; k < n->nargs; k++) {
        NodeId a = graph_arg(f->g, id, k);
        if (f->kind[a] == KIND_FREE) continue;
        if (only != NODE_NONE) return NODE_NONE;
        only = a;
    }
    return only;
}

/* In max(t, t / 10) both sides are functions of t: goes down from the later leaf until they meet. */
static bool one_leaf(Finder *f, NodeId output) {
    for (uint32_t steps = 0; f->nleaves > 1; steps++) {
        uint32_t last = 0;
        for (uint32_t k = 1; k < f->nleaves; k++)
            if (f->leaves[k] > f->leaves[last]) last = k;
        NodeId next = below(f, f->leaves[last]);
        if (next == NODE_NONE || steps == DEEPEST) {
            refuse(f, output, "the state enters in two places, of which only one is inside the activation");
            return false;
        }
        bool there = false;
        for (uint32_t k = 0; k < f->nleaves; k++) there = there || f->leaves[k] == next;
        f->leaves[last] = there ? f->leaves[--f->nleaves] : next;
    }
    f->leaf = f->leaves[0];
    return true;
}

/* Whether L v reads values of the example. */
static bool linear_is_shared(Arena *a, const Graph *body, uint32_t nstate, const NodeId *inner) {
    Graph *g = graph_new(a, body->name);
    NodeId *map = graph_map(a, body), *z = arena_alloc(a, nstate * sizeof *z),
           *dz = arena_alloc(a, nstate * sizeof *dz), *t = arena_alloc(a, nstate * sizeof *t),
           *v = arena_alloc(a, nstate * sizeof *v);
    for (uint32_t k = 0; k < body->ninputs; k++) graph_copy(g, body, body->inputs[k], map);
    for (uint32_t k = 0; k < nstate; k++) {
        z[k] = map[body->inputs[k]];
        t[k] = graph_copy(g, body, inner[k], map);
        dz[k] = graph_input(g, graph_node(g, z[k])->shape, true, "v", (Range){0});
    }
    linearise(g, t, nstate, z, dz, nstate, v);
    bool *needed = arena_alloc(a, g->nnodes + 1);
    for (uint32_t k = 0; k < nstate; k++)
        if (v[k] != NODE_NONE) needed[v[k]] = true;
    for (NodeId id = g->nnodes; id-- > 0;) {
        const Node *n = graph_node(g, id);
        bool tangent = false;
        for (uint32_t k = 0; k < nstate; k++) tangent = tangent || id == dz[k];
        if (needed[id] && !tangent && n->nargs == 0 && n->batched) return false;
        for (uint32_t k = 0; needed[id] && k < n->nargs; k++) needed[graph_arg(g, id, k)] = true;
    }
    return true;
}

Split split_recognise(Arena *a, const Graph *body, uint32_t nstate) {
    Finder f = {.arena = a, .g = body};
    Split s = {.projection = true, .inner = arena_alloc(a, nstate * sizeof *s.inner)};
    f.kind = arena_alloc(a, (body->nnodes + 1) * sizeof *f.kind);
    for (uint32_t k = 0; k < nstate; k++) f.kind[body->inputs[k]] = KIND_AFFINE;
    for (NodeId id = 0; id < body->nnodes; id++)
        if (f.kind[id] == KIND_FREE) f.kind[id] = kind_of(&f, id);
    for (uint32_t k = 0; k < nstate && !f.why; k++) {
        NodeId output = body->outputs[k];
        f.curves = arena_alloc(a, (body->nnodes + 1) * sizeof *f.curves);
        f.seen = arena_alloc(a, body->nnodes + 1);
        f.nleaves = 0;
        f.leaf = output; /* where nothing depends on the state, L is 0 */
        find_leaves(&f, output);
        if (f.why || (f.nleaves && !one_leaf(&f, output))) break;
        s.inner[k] = f.leaf;
        Curve c = curve_of(&f, output);
        if (f.why) break;
        if (!(c.least >= 0))
            refuse(&f, output, "its activation can fall, so that it is no proximal operator");
        else if (!(c.most <= 1 + 1e-12))
            refuse(
                &f, output,
                arena_printf(a, "the slope of its activation reaches %g: a proximal operator's is at most 1", c.most));
        s.projection = s.projection && c.projection;
        s.slope = fmax(s.slope, c.most);
        if (shape_count(graph_node(body, f.leaf)->shape) != shape_count(graph_node(body, body->inputs[k])->shape))
            refuse(&f, output, "its activation repeats elements");
    }
    s.why = f.why;
    s.where = f.where;
    if (!s.why) s.shared = linear_is_shared(a, body, nstate, s.inner);
    return s;
}

/* ---- taking it apart ---- */
static NodeId filled(Graph *g, Shape shape, double value) {
    NodeId v = graph_constant(g, value);
    return graph_op_shaped(g, OP_broadcast, &v, 1, NULL, shape, true, (Range){0});
}

static void put(Graph *g, NodeId node, Shape shape) {
    if (node == NODE_NONE) node = filled(g, shape, 0);
    graph_output(g, graph_batch(g, graph_reshape(g, node, shape, (Range){0}), (Range){0}));
}

SplitParts *split_parts(Arena *a, const Graph *body, uint32_t nstate, const Split *s) {
    SplitParts *p = arena_alloc(a, sizeof *p);
    Graph *g = graph_new(a, body->name);
    NodeId *map = graph_map(a, body), *at_zero = graph_map(a, body), *z = arena_alloc(a, nstate * sizeof *z),
           *v = arena_alloc(a, nstate * sizeof *v), *vt = arena_alloc(a, nstate * sizeof *vt),
           *t = arena_alloc(a, nstate * sizeof *t), *out = arena_alloc(a, nstate * sizeof *out);
    Shape *shapes = arena_alloc(a, nstate * sizeof *shapes);
    for (uint32_t k = 0; k < body->ninputs; k++) at_zero[body->inputs[k]] = graph_copy(g, body, body->inputs[k], map);
    for (uint32_t k = 0; k < nstate; k++) {
        z[k] = map[body->inputs[k]];
        shapes[k] = graph_node(g, z[k])->shape;
        at_zero[body->inputs[k]] = filled(g, shapes[k], 0);
        v[k] = origin_input(g, (Origin){PLACE_ARG, ORIGIN_COTANGENT, k}, shapes[k], true, "v", (Range){0});
        t[k] = graph_batch(g, graph_copy(g, body, s->inner[k], map), (Range){0});
        vt[k] = graph_reshape(g, v[k], graph_node(g, t[k])->shape, (Range){0});
    }
    linearise(g, t, nstate, z, v, nstate, out);
    p->linear = g->noutputs;
    for (uint32_t k = 0; k < nstate; k++) put(g, out[k], shapes[k]);
    reverse(g, t, vt, nstate, z, nstate, NULL, out, NULL, NULL);
    p->transposed = g->noutputs;
    for (uint32_t k = 0; k < nstate; k++) put(g, out[k], shapes[k]);
    p->constant = g->noutputs;
    for (uint32_t k = 0; k < nstate; k++) put(g, graph_copy(g, body, s->inner[k], at_zero), shapes[k]);
    NodeId *prox = arena_alloc(a, nstate * sizeof *prox), *slope = arena_alloc(a, nstate * sizeof *slope);
    for (uint32_t k = 0; k < nstate; k++) {
        NodeId *from = graph_map(a, body);
        for (uint32_t i = 0; i < body->ninputs; i++) from[body->inputs[i]] = map[body->inputs[i]];
        from[s->inner[k]] = vt[k];
        prox[k] = graph_copy(g, body, body->outputs[k], from);
        NodeId ones = filled(g, graph_node(g, vt[k])->shape, 1);
        linearise(g, &prox[k], 1, &vt[k], &ones, 1, &slope[k]);
    }
    p->prox = g->noutputs;
    for (uint32_t k = 0; k < nstate; k++) put(g, prox[k], shapes[k]);
    p->slope = g->noutputs;
    for (uint32_t k = 0; k < nstate; k++) put(g, slope[k], shapes[k]);
    p->graph = simplify(a, g, NULL, 0, false, NULL);
    return p;
}
