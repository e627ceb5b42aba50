/* certify.c - what the form of L in z = prox(L z + c) proves: L as a sum of products of matrices.
 *
 * A row vector v goes through a word of matrices, v M1 M2 .. Mk, with a number before it.  In the symmetric part of L a
 * word and its transpose count alike, so that B - B' cancels; a word N N' is positive semidefinite, so that -A'A only
 * adds to the margin.  What is left counts with bounds of its matrices' norms, which are known where a matrix is
 * divided by its own norm. */
#include "elaborate.h"
#include "fold.h"
#include "split.h"
#include <math.h>
#include <string.h>

enum { MOST_TERMS = 256, MOST_FACTORS = 8 };

typedef struct Factor {
    const Graph *g;
    NodeId node;
    bool transposed;
} Factor;

typedef struct Term {
    double number;
    uint32_t n;
    Factor factors[MOST_FACTORS];
} Term;

typedef struct Sum {
    Term *terms;
    uint32_t n, cap;
} Sum;

typedef struct Form {
    Arena *arena;
    const Graph *body, *outer;
    NodeId fixed; /* its node in `outer`, whose arguments the body captures */
    uint32_t nstate;
    bool *touched; /* by the state: nodes of the body */
    bool unknown;
    uint32_t depth;
} Form;

static Sum unknown(Form *f) {
    f->unknown = true;
    return (Sum){0};
}

static void add(Form *f, Sum *to, const Sum *from, double number) {
    for (uint32_t k = 0; k < from->n && !f->unknown; k++) {
        if (to->n == MOST_TERMS) f->unknown = true;
        Term t = from->terms[k];
        t.number *= number;
        *ARENA_PUSH(f->arena, to->terms, to->n, to->cap) = t;
    }
}

static Sum product(Form *f, const Sum *a, const Sum *b) {
    Sum s = {0};
    for (uint32_t i = 0; i < a->n && !f->unknown; i++)
        for (uint32_t j = 0; j < b->n && !f->unknown; j++) {
            Term t = a->terms[i];
            const Term *u = &b->terms[j];
            if (t.n + u->n > MOST_FACTORS || s.n == MOST_TERMS) return unknown(f);
            for (uint32_t k = 0; k < u->n; k++) t.factors[t.n++] = u->factors[k];
            t.number *= u->number;
            *ARENA_PUSH(f->arena, s.terms, s.n, s.cap) = t;
        }
    return s;
}

/* The number that the node multiplies its other argument with: c x, x c, x / c, -x.  False: it does not. */
static bool scales(const Graph *g, NodeId id, double *number, NodeId *rest) {
    const Node *n = graph_node(g, id);
    if (n->op == OP_neg) return *number = -1, *rest = graph_arg(g, id, 0), true;
    if (n->op != OP_mul && n->op != OP_div) return false;
    for (uint32_t k = 0; k < 2; k++)
        if ((n->op == OP_mul || k == 1) && fold_value(g, graph_arg(g, id, k), number)) {
            if (n->op == OP_div) *number = 1 / *number;
            *rest = graph_arg(g, id, 1 - k);
            return isfinite(*number) && shape_equal(graph_node(g, *rest)->shape, n->shape);
        }
    return false;
}

static Sum matrix(Form *f, const Graph *g, NodeId id, bool transposed) {
    const Node *n = graph_node(g, id);
    Sum s = {0};
    double number;
    NodeId rest;
    if (f->unknown || n->shape.rank != 2 || f->depth > 100) return unknown(f);
    f->depth++;
    for (uint32_t k = f->nstate; g == f->body && n->op == OP_input && k < g->ninputs; k++)
        if (g->inputs[k] == id) {
            s = matrix(f, f->outer, graph_arg(f->outer, f->fixed, k - f->nstate), transposed);
            f->depth--;
            return s;
        }
    if (n->op == OP_transpose) {
        s = matrix(f, g, graph_arg(g, id, 0), !transposed);
    } else if (scales(g, id, &number, &rest)) {
        Sum x = matrix(f, g, rest, transposed);
        add(f, &s, &x, number);
    } else if (n->op == OP_add || n->op == OP_sub) {
        Sum x = matrix(f, g, graph_arg(g, id, 0), transposed), y = matrix(f, g, graph_arg(g, id, 1), transposed);
        add(f, &s, &x, 1);
        add(f, &s, &y, n->op == OP_sub ? -1 : 1);
    } else if (n->op == OP_matmul && graph_node(g, graph_arg(g, id, 0))->shape.rank == 2 &&
               graph_node(g, graph_arg(g, id, 1))->shape.rank == 2) {
        Sum x = matrix(f, g, graph_arg(g, id, 0), (n->attr.matmul.transpose_a != 0) != transposed),
            y = matrix(f, g, graph_arg(g, id, 1), (n->attr.matmul.transpose_b != 0) != transposed);
        s = transposed ? product(f, &y, &x) : product(f, &x, &y);
    } else {
        Term t = {.number = 1, .n = 1, .factors = {{g, id, transposed}}};
        *ARENA_PUSH(f->arena, s.terms, s.n, s.cap) = t;
    }
    f->depth--;
    return s;
}

/* What a value that is affine in the state does to it. */
static Sum vector(Form *f, NodeId id) {
    const Graph *g = f->body;
    const Node *n = graph_node(g, id);
    Sum s = {0};
    double number;
    NodeId rest;
    if (!f->touched[id]) return s;
    if (f->unknown || f->depth > 1000) return unknown(f);
    f->depth++;
    if (n->op == OP_input) {
        *ARENA_PUSH(f->arena, s.terms, s.n, s.cap) = (Term){.number = 1};
    } else if (scales(g, id, &number, &rest)) {
        Sum x = vector(f, rest);
        add(f, &s, &x, number);
    } else if (n->op == OP_add || n->op == OP_sub) {
        Sum x = vector(f, graph_arg(g, id, 0)), y = vector(f, graph_arg(g, id, 1));
        add(f, &s, &x, 1);
        add(f, &s, &y, n->op == OP_sub ? -1 : 1);
    } else if (n->op == OP_matmul && f->touched[graph_arg(g, id, 0)] && !f->touched[graph_arg(g, id, 1)] &&
               graph_node(g, graph_arg(g, id, 0))->shape.rank == 1) {
        Sum x = vector(f, graph_arg(g, id, 0)), m = matrix(f, g, graph_arg(g, id, 1), n->attr.matmul.transpose_b != 0);
        s = product(f, &x, &m);
    } else {
        s = unknown(f);
    }
    f->depth--;
    return s;
}

static bool factor_equal(Factor a, Factor b, bool flip) {
    return a.g == b.g && a.node == b.node && a.transposed == (b.transposed != flip);
}

/* b is the word a, or with `flip` its transpose. */
static bool word_equal(const Term *a, const Term *b, bool flip) {
    if (a->n != b->n) return false;
    for (uint32_t k = 0; k < a->n; k++)
        if (!factor_equal(a->factors[k], b->factors[flip ? b->n - 1 - k : k], flip)) return false;
    return true;
}

/* What the node repeats, or has in another shape. */
static NodeId repeated(const Graph *g, NodeId id) {
    while (graph_node(g, id)->op == OP_broadcast || graph_node(g, id)->op == OP_reshape) id = graph_arg(g, id, 0);
    return id;
}

/* d where the node repeats 1 / d. */
static bool reciprocal(const Graph *g, NodeId id, NodeId *d) {
    const Node *n = graph_node(g, id = repeated(g, id));
    double one;
    if (n->op != OP_div || !fold_value(g, graph_arg(g, id, 0), &one) || one != 1) return false;
    return *d = repeated(g, graph_arg(g, id, 1)), true;
}

/* X / c for the scale c that the builtin `norm` takes. */
static bool is_scaled(const Graph *g, NodeId id, NodeId x, NodeId scale) {
    const Node *n = graph_node(g, id);
    NodeId divisor;
    for (uint32_t k = 0; n->op == OP_mul && k < 2; k++)
        if (graph_arg(g, id, k) == x && reciprocal(g, graph_arg(g, id, 1 - k), &divisor)) return divisor == scale;
    return n->op == OP_div && graph_arg(g, id, 0) == x && repeated(g, graph_arg(g, id, 1)) == scale;
}

/* norm(X) = c sqrt(sum((X / c)(X / c))), perhaps with a number added that is not negative, or raised to one. */
static bool is_norm_of(const Graph *g, NodeId id, NodeId x) {
    const Node *n = graph_node(g, id = repeated(g, id));
    double number;
    if (n->op == OP_add || n->op == OP_max)
        for (uint32_t k = 0; k < 2; k++)
            if (fold_value(g, graph_arg(g, id, k), &number))
                return (number >= 0 || n->op == OP_max) && is_norm_of(g, graph_arg(g, id, 1 - k), x);
    for (uint32_t k = 0; n->op == OP_mul && k < 2; k++) {
        NodeId scale = repeated(g, graph_arg(g, id, k)), root = repeated(g, graph_arg(g, id, 1 - k));
        if (graph_node(g, root)->op != OP_sqrt) continue;
        NodeId sum = repeated(g, graph_arg(g, root, 0));
        if (graph_node(g, sum)->op != OP_reduce_sum || graph_node(g, sum)->shape.rank != 0) continue;
        NodeId square = graph_arg(g, sum, 0), part = graph_arg(g, square, 0);
        if (graph_node(g, square)->op == OP_mul && graph_arg(g, square, 1) == part) return is_scaled(g, part, x, scale);
    }
    return false;
}

/* A bound of the spectral norm: of c X / norm(X), which simplify writes as products too; infinite where none is known.
 */
static double norm_bound(Factor x) {
    double bound = 1, number;
    NodeId id = x.node, divisor = NODE_NONE, next, rest;
    for (int k = 0; k < 16; k++, id = next) {
        const Node *n = graph_node(x.g, id);
        if (scales(x.g, id, &number, &next))
            bound *= fabs(number);
        else if (n->op == OP_div && divisor == NODE_NONE)
            next = graph_arg(x.g, id, 0), divisor = graph_arg(x.g, id, 1);
        else if (n->op == OP_mul && divisor == NODE_NONE && reciprocal(x.g, graph_arg(x.g, id, 1), &rest))
            next = graph_arg(x.g, id, 0), divisor = rest;
        else if (n->op == OP_mul && divisor == NODE_NONE && reciprocal(x.g, graph_arg(x.g, id, 0), &rest))
            next = graph_arg(x.g, id, 1), divisor = rest;
        else
            return divisor != NODE_NONE && is_norm_of(x.g, divisor, id) ? bound : INFINITY;
    }
    return INFINITY;
}

static double word_bound(const Term *t) {
    double bound = 1;
    for (uint32_t k = 0; k < t->n; k++) bound *= norm_bound(t->factors[k]);
    return bound;
}

/* Adds up equal words; with `transposed` also those whose transposes are equal. */
static void collect(Sum *s, bool transposed) {
    uint32_t kept = 0;
    for (uint32_t k = 0; k < s->n; k++) {
        uint32_t j = 0;
        while (j < kept && !word_equal(&s->terms[j], &s->terms[k], false) &&
               !(transposed && word_equal(&s->terms[j], &s->terms[k], true)))
            j++;
        if (j < kept)
            s->terms[j].number += s->terms[k].number;
        else
            s->terms[kept++] = s->terms[k];
    }
    s->n = kept;
}

static bool linear_form(Arena *a, const FixedPoint *p, const Graph *outer, const Graph *body, const Split *split,
                        Sum *out) {
    Form f = {.arena = a, .body = body, .outer = outer, .fixed = p->fixed_node, .nstate = p->nstate};
    if (p->nstate != 1) return false;
    f.touched = arena_alloc(a, body->nnodes + 1);
    f.touched[body->inputs[0]] = true;
    for (NodeId id = 0; id < body->nnodes; id++)
        for (uint32_t k = 0; k < graph_node(body, id)->nargs; k++)
            f.touched[id] = f.touched[id] || f.touched[graph_arg(body, id, k)];
    *out = vector(&f, split->inner[0]);
    return !f.unknown;
}

/* m with x'(I - L)x >= m x'x; -infinity where the form tells none. */
static double margin_of(Sum *l) {
    double margin = 1;
    collect(l, true);
    for (uint32_t k = 0; k < l->n; k++) {
        const Term *t = &l->terms[k];
        if (t->number == 0) continue;
        if (t->n == 0) {
            margin -= t->number;
            continue;
        }
        bool square = t->n % 2 == 0 && word_equal(t, t, true);
        if (square && t->number < 0) continue;
        margin -= fabs(t->number) * word_bound(t);
    }
    return margin;
}

/* A bound of the norm of L; infinite where none is known. */
static double norm_of(Sum *l) {
    double norm = 0;
    collect(l, false);
    for (uint32_t k = 0; k < l->n; k++)
        if (l->terms[k].number != 0) norm += fabs(l->terms[k].number) * word_bound(&l->terms[k]);
    return norm;
}

bool certify(Scope *s, FixedPoint *f, Range at) {
    Arena *a = s->elab->arena;
    const Certificate *c = &f->certificate;
    bool monotone = strcmp(c->kind, "monotone") == 0;
    Graph *body = simplify(a, f->body, NULL, 0, true, NULL);
    Split split = split_recognise(a, body, f->nstate);
    Sum l;
    if (split.why && monotone) {
        elab_error_note(s, DIAG_E0432, at, split.where, split.why,
                        "'monotone' is a property of L in z = prox(L z + c), which the fixed point '%s' is not",
                        f->state_names[0]);
        return false;
    }
    bool known = !split.why && linear_form(a, f, s->build->graph, body, &split, &l);
    double value = !known ? NAN : monotone ? margin_of(&l) : split.slope * norm_of(&l);
    if (!isfinite(value)) {
        Diagnostic *d =
            diag_report(s->elab->diags, DIAG_W0422, at, "the form of the equation does not prove '%s'", c->kind);
        diag_help(d, "'deq report' measures it on the trained net");
        return true;
    }
    double slack = 1e-9 * (1 + fabs(c->claimed));
    f->certificate.proved = value;
    if (monotone ? value >= c->claimed - slack : value <= c->claimed + slack) return true;
    if (monotone)
        elab_error_help(s, DIAG_E0433, at, "(1 - m) v - (v @ A') @ A + v @ B - v @ B' has a margin of m",
                        "the form of L proves a margin of %g, not %g", value, c->claimed);
    else
        elab_error_help(s, DIAG_E0433, at, "divide matrices by their norms: W / (norm(W) + 1e-6)",
                        "the form of the equation proves a contraction by %g, not %g", value, c->claimed);
    return false;
}
