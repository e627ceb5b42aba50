/* expression.c - evaluating an expression: numbers stay numbers, everything else becomes nodes of the scope's graph. */
#include "elaborate.h"
#include "items.h"
#include "op_value.h"
#include "settings_value.h"
#include "type.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_DEPTH = 3000,        /* of nested evaluations: bounds the stack; the checker has refused recursion */
    MAX_EVALUATIONS = 500000 /* of a net or a cell: the largest net of the library takes 5,000 */
};
static const double MAX_ELEMENTS = 4294967296.0;

/* ---- builds and nodes ---- */
Build *build_new(Arena *a, const char *name, Build *outer) {
    Build *b = arena_alloc(a, sizeof *b);
    b->graph = graph_new(a, name);
    b->outer = outer;
    return b;
}

NodeId build_import(Build *b, Value v) {
    if (v.build == b) return v.node;
    const Node *n = graph_node(v.build->graph, v.node);
    if (n->op == OP_constant) return graph_constant(b->graph, n->attr.value);
    if (b->import) return b->import(b, v);
    if (!b->outer)
        ICE("a value of graph %s is used in %s, which is not inside it", v.build->graph->name, b->graph->name);
    NodeId outside = build_import(b->outer, v);
    for (uint32_t k = 0; k < b->ncaptured; k++)
        if (b->outside[k] == outside) return b->inside[k];
    const Node *o = graph_node(b->outer->graph, outside);
    const char *name = o->op == OP_input ? o->attr.name : arena_printf(b->graph->arena, "outer%u", b->ncaptured);
    NodeId inside = graph_input(b->graph, o->shape, o->batched, name, o->loc);
    uint32_t n_ = b->ncaptured;
    *ARENA_PUSH(b->graph->arena, b->outside, n_, b->outside_cap) = outside;
    *ARENA_PUSH(b->graph->arena, b->inside, b->ncaptured, b->inside_cap) = inside;
    return inside;
}

const Node *value_get(Value v) { return graph_node(v.build->graph, v.node); }

Shape value_shape(Value v) { return v.kind == VALUE_NODE ? value_get(v)->shape : shape_scalar(); }

const char *shape_text(Arena *a, Shape s) {
    char *text = arena_strdup(a, "f32");
    for (uint32_t k = 0; k < s.rank; k++) text = arena_printf(a, "%s%s%u", text, k ? ", " : "[", s.dims[k]);
    return s.rank ? arena_printf(a, "%s]", text) : text;
}

NodeId node_of(Scope *s, Value v, Range at) {
    switch (v.kind) {
    case VALUE_NONE: return NODE_NONE;
    case VALUE_NUMBER: return graph_constant(s->build->graph, v.number);
    case VALUE_NODE: return build_import(s->build, v);
    case VALUE_FLEX: elab_error(s, DIAG_E0324, at, "nothing here says which shape this value has"); return NODE_NONE;
    default: elab_error(s, DIAG_E0307, at, "a number or tensor is needed here"); return NODE_NONE;
    }
}

Value value_flex(Scope *s, const Ast *e) {
    Scope *copy = arena_copy(s->elab->arena, s, sizeof *s);
    return (Value){.kind = VALUE_FLEX, .ast = e, .scope = copy};
}

/* Evaluates a flex value in the graph of `s`, at the given shape. */
static Value flex_shape(Scope *s, Value v, Shape shape) {
    Scope inner = *v.scope;
    inner.build = s->build;
    inner.frame = s->frame;
    return eval_shaped(&inner, v.ast, shape);
}

Value value_fit(Scope *s, Value v, Shape shape, Range at, const char *what) {
    if (v.kind == VALUE_NONE) return v;
    if (v.kind == VALUE_FLEX) v = flex_shape(s, v, shape);
    if (v.kind == VALUE_NUMBER && shape.rank == 0) return v;
    if (v.kind == VALUE_TUPLE || v.kind == VALUE_NONE)
        return v.kind == VALUE_NONE ? v : elab_error(s, DIAG_E0301, at, "%s is a tuple", what);
    NodeId n = node_of(s, v, at);
    if (n == NODE_NONE) return (Value){0};
    Shape have = graph_node(s->build->graph, n)->shape;
    if (shape_equal(have, shape)) {
        Value r = value_node(s->build, n);
        r.classes = v.classes;
        return r;
    }
    if (v.kind == VALUE_NUMBER) return value_node(s->build, graph_broadcast(s->build->graph, n, shape, at));
    return elab_error(s, DIAG_E0312, at, "%s is %s, needed is %s", what, shape_text(s->elab->arena, have),
                      shape_text(s->elab->arena, shape));
}

Value eval_shaped(Scope *s, const Ast *e, Shape shape) {
    Scope inner = *s;
    inner.flex = &shape;
    Value v = eval(&inner, e);
    if (v.kind == VALUE_NONE) return v;
    if (v.kind == VALUE_FLEX) v = flex_shape(s, v, shape);
    NodeId n = node_of(s, v, e->range);
    if (n == NODE_NONE) return (Value){0};
    Value r = value_node(s->build, graph_node(s->build->graph, n)->shape.rank == 0
                                       ? graph_broadcast(s->build->graph, n, shape, e->range)
                                       : n);
    return value_fit(s, r, shape, e->range, "the value");
}

/* ---- names ---- */
const Value *scope_value(const Scope *s, const Ast *e) {
    if (e->kind == AST_NAME) return env_find(s->env, e->name);
    return item_experiment(e) && e->ref ? env_find(s->env, item_path(s->elab->arena, e)) : NULL;
}

const Ast *resolve_ast(Scope *s, const Ast *e, Scope *out) {
    *out = *s;
    for (int k = 0; k < MAX_DEPTH; k++) {
        const Value *v = scope_value(out, e);
        const Ast *d = e->kind == AST_NAME || e->kind == AST_MEMBER || e->kind == AST_WRITTEN ? e->ref : NULL;
        if (v && v->kind == VALUE_AST) {
            e = v->ast;
            if (v->scope) *out = *v->scope;
        } else if (!v && d && d->kind == AST_CONST) {
            *out = scope_of_module(s->elab, program_owner(s->elab->program, d));
            e = e->kind == AST_WRITTEN ? AST_SLOT(e, WRITTEN, value) : AST_SLOT(d, CONST, value);
        } else {
            break;
        }
        out->build = s->build;
        out->frame = s->frame; /* frames live on the stack of their call */
    }
    return e;
}

bool is_none(Scope *s, const Ast *e) {
    Scope from;
    const Ast *value = resolve_ast(s, e, &from);
    return value->kind == AST_NAME && strcmp(value->name, "none") == 0 && !env_find(from.env, "none") &&
           !module_find(from.module, "none", NULL);
}

static const Ast *sweep_value(void *data, const Ast *name) {
    const Value *v = env_find(((const Scope *)data)->env, name->name);
    return v && v->kind == VALUE_AST ? v->ast : NULL;
}

const Ast *scope_settings(Scope *s, const Ast *list) {
    RecordReader r = {.arena = s->elab->arena, .meaning = sweep_value, .data = s, .left = UINT32_MAX, .written = true};
    return settings_flatten(&r, (Ast *)list);
}

static Value eval_declared(Scope *s, const Ast *e, const char *name) {
    const Module *owner = NULL;
    const Ast *d = module_find(s->module, name, &owner);
    if (!d) return elab_error(s, DIAG_E0201, e->range, "'%s' is not known here", name);
    switch (d->kind) {
    case AST_CONST: {
        Scope inner = scope_of_module(s->elab, owner);
        inner.build = s->build;
        inner.frame = s->frame;
        return eval(&inner, AST_SLOT(d, CONST, value));
    }
    case AST_FN: return (Value){.kind = VALUE_FN, .ast = d, .module = owner};
    default: return (Value){.kind = VALUE_AST, .ast = d, .module = owner};
    }
}

static Value eval_name(Scope *s, const Ast *e) {
    const Value *v = env_find(s->env, e->name);
    if (v) {
        if (v->kind != VALUE_AST || !v->ast) return *v;
        if (v->known && v->known->yes) return value_number(v->known->number);
        Scope inner;
        const Ast *ast = resolve_ast(s, e, &inner);
        if (ast == e) return *v;
        inner.build = s->build;
        const Value found = eval(&inner, ast);
        if (v->known && found.kind == VALUE_NUMBER) *v->known = (Known){true, found.number};
        return found;
    }
    if (module_find(s->module, e->name, NULL)) return eval_declared(s, e, e->name);
    if (e->type && e->type->kind == TYPE_FN && !e->ref) return (Value){.kind = VALUE_BUILTIN, .ast = e};
    Value out;
    if (builtin_value(s, e->name, e, &out)) return out;
    return eval_declared(s, e, e->name);
}

/* ---- arithmetic ---- */
static bool all_numbers(const Value *args, uint32_t n, double *x) {
    for (uint32_t k = 0; k < n; k++) {
        if (args[k].kind != VALUE_NUMBER) return false;
        x[k] = args[k].number;
    }
    return true;
}

/* Elementwise op on values: keeps numbers numbers and flex values flex, checks shapes. */
Value elementwise(Scope *s, Op op, const Value *args, uint32_t n, Range at, const Ast *whole) {
    return elementwise_with(s, op, args, n, NULL, at, whole);
}

Value elementwise_with(Scope *s, Op op, const Value *args, uint32_t n, const Attr *attr, Range at, const Ast *whole) {
    Shape shape = shape_scalar();
    bool flex = false;
    NodeId ids[3];
    double x[3];
    if (all_numbers(args, n, x)) return value_number(op_value(op, x));
    for (uint32_t k = 0; k < n; k++) {
        if (args[k].kind == VALUE_NONE) return args[k];
        flex |= args[k].kind == VALUE_FLEX;
        Shape a = value_shape(args[k]);
        if (a.rank == 0) continue;
        if (shape.rank == 0) shape = a;
        bool fits = a.rank == shape.rank;
        for (uint32_t d = 0; fits && d < a.rank; d++) {
            if (shape.dims[d] == 1) shape.dims[d] = a.dims[d];
            fits = a.dims[d] == shape.dims[d] || a.dims[d] == 1;
        }
        if (!fits) {
            Arena *ar = s->elab->arena;
            return elab_error(s, DIAG_E0312, at, "%s and %s do not go together", shape_text(ar, value_shape(args[0])),
                              shape_text(ar, a));
        }
    }
    if (flex && shape.rank == 0 && s->flex) shape = *s->flex;
    if (flex && shape.rank == 0 && !s->flex) {
        if (whole) return value_flex(s, whole);
        return elab_error(s, DIAG_E0324, at, "nothing here says which shape this value has");
    }
    for (uint32_t k = 0; k < n; k++) {
        Value v = args[k].kind == VALUE_FLEX ? flex_shape(s, args[k], shape) : args[k];
        ids[k] = node_of(s, v, at);
        if (ids[k] == NODE_NONE) return (Value){0};
    }
    return value_node(s->build, graph_op(s->build->graph, op, ids, n, attr, at));
}

static Value matmul(Scope *s, const Ast *e, Value a, bool ta, Value b, bool tb) {
    Range at = e->name_range.source ? e->name_range : e->range;
    if (a.kind == VALUE_NONE || b.kind == VALUE_NONE) return (Value){0};
    NodeId x = node_of(s, a, at), y = node_of(s, b, at);
    if (x == NODE_NONE || y == NODE_NONE) return (Value){0};
    Graph *g = s->build->graph;
    Shape sx = graph_node(g, x)->shape, sy = graph_node(g, y)->shape;
    if (sx.rank < 1 || sx.rank > 2 || sy.rank < 1 || sy.rank > 2)
        return elab_error(s, DIAG_E0312, at, "'@' takes vectors and matrices, not %s @ %s",
                          shape_text(s->elab->arena, sx), shape_text(s->elab->arena, sy));
    if (sx.rank == 1) ta = false;
    if (sy.rank == 1) tb = false;
    if (sx.rank == 2 && sy.rank == 1) { /* a matrix times a column is the column's row times the transposed matrix */
        NodeId swap = x;
        Shape shape = sx;
        x = y, y = swap, sx = sy, sy = shape;
        tb = !ta, ta = false;
    }
    uint32_t inner_x = sx.rank == 1 || ta ? sx.dims[0] : sx.dims[1];
    uint32_t inner_y = sy.rank == 2 && tb ? sy.dims[1] : sy.dims[0];
    if (inner_x != inner_y)
        return elab_error(s, DIAG_E0312, at, "%s @ %s: the inner sizes %u and %u differ",
                          shape_text(s->elab->arena, sx), shape_text(s->elab->arena, sy), inner_x, inner_y);
    return value_node(s->build, graph_matmul(g, x, y, ta, tb, at));
}

static Value eval_matmul(Scope *s, const Ast *e) {
    const Ast *l = AST_SLOT(e, BINARY, left), *r = AST_SLOT(e, BINARY, right);
    bool ta = l->kind == AST_TRANSPOSE, tb = r->kind == AST_TRANSPOSE;
    Value a = eval(s, ta ? AST_SLOT(l, TRANSPOSE, base) : l), b = eval(s, tb ? AST_SLOT(r, TRANSPOSE, base) : r);
    return matmul(s, e, a, ta, b, tb);
}

static Value eval_pipe(Scope *s, const Ast *e) {
    const Ast *right = AST_SLOT(e, BINARY, right), *left = AST_SLOT(e, BINARY, left);
    Value v = eval(s, left);
    if (v.kind == VALUE_NONE) return v;
    return call(s, right, &v, left->range);
}

static Value eval_binary(Scope *s, const Ast *e) {
    const char *op = e->name;
    Range at = e->name_range.source ? e->name_range : e->range;
    if (strcmp(op, "|>") == 0) return eval_pipe(s, e);
    if (strcmp(op, "@") == 0) return eval_matmul(s, e);
    Value a = eval(s, AST_SLOT(e, BINARY, left)), b = eval(s, AST_SLOT(e, BINARY, right));
    if (a.kind == VALUE_NONE || b.kind == VALUE_NONE) return (Value){0};
    if (a.kind == VALUE_NUMBER && b.kind == VALUE_NUMBER) {
        if (strcmp(op, "..") == 0) return (Value){.kind = VALUE_RANGE, .number = a.number, .limit = b.number};
    }
    static const struct {
        const char *spelling;
        Op op;
        bool swap, negate;
    } table[] = {
        {"+", OP_add, 0, 0}, {"-", OP_sub, 0, 0},   {"*", OP_mul, 0, 0}, {"/", OP_div, 0, 0}, {"**", OP_pow, 0, 0},
        {"<", OP_lt, 0, 0},  {">", OP_lt, 1, 0},    {"<=", OP_le, 0, 0}, {">=", OP_le, 1, 0}, {"==", OP_eq, 0, 0},
        {"!=", OP_eq, 0, 1}, {"and", OP_and, 0, 0}, {"or", OP_or, 0, 0},
    };
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        if (strcmp(table[k].spelling, op) != 0) continue;
        Value args[2] = {table[k].swap ? b : a, table[k].swap ? a : b};
        Value r = elementwise(s, table[k].op, args, 2, at, e);
        return table[k].negate ? elementwise(s, OP_not, &r, 1, at, NULL) : r;
    }
    return elab_error(s, DIAG_E0307, at, "'%s' does not apply here", op);
}

static Value eval_unary(Scope *s, const Ast *e) {
    Value v = eval(s, AST_SLOT(e, UNARY, operand));
    bool negate = strcmp(e->name, "-") == 0;
    return elementwise(s, negate ? OP_neg : OP_not, &v, 1, e->range, e);
}

static Value eval_if(Scope *s, const Ast *e) {
    const Ast *yes = AST_SLOT(e, IF, yes), *no = AST_SLOT(e, IF, no);
    Value c = eval(s, AST_SLOT(e, IF, condition));
    if (c.kind == VALUE_NONE) return c;
    if (c.kind == VALUE_NUMBER) return eval(s, c.number != 0 ? yes : no);
    Value a = eval(s, yes), b = eval(s, no);
    if (a.kind == VALUE_TUPLE && b.kind == VALUE_TUPLE && a.nitems == b.nitems) {
        Value *items = arena_alloc(s->elab->arena, a.nitems * sizeof *items);
        for (uint32_t k = 0; k < a.nitems; k++)
            items[k] = elementwise(s, OP_select, (Value[]){c, a.items[k], b.items[k]}, 3, e->range, NULL);
        return value_tuple(s->elab->arena, items, a.nitems);
    }
    Value r = elementwise(s, OP_select, (Value[]){c, a, b}, 3, e->range, e);
    if (r.kind == VALUE_NODE && a.classes == b.classes) r.classes = a.classes;
    return r;
}

static Value eval_transpose(Scope *s, const Ast *e) {
    Value v = eval(s, AST_SLOT(e, TRANSPOSE, base));
    if (v.kind == VALUE_NONE || value_shape(v).rank == 1) return v;
    NodeId n = node_of(s, v, e->range);
    if (n == NODE_NONE) return (Value){0};
    if (value_shape(v).rank != 2)
        return elab_error(s, DIAG_E0307, e->range, "only a matrix is transposed by ', not %s",
                          shape_text(s->elab->arena, value_shape(v)));
    return value_node(s->build,
                      graph_op(s->build->graph, OP_transpose, &n, 1, &(Attr){.transpose.axes = {1, 0}}, e->range));
}

/* Along axis k only the element that a label names, the axis kept at size 1. */
static NodeId pick(Scope *s, NodeId n, uint32_t k, Value label, Range at) {
    Graph *g = s->build->graph;
    Shape shape = graph_node(g, n)->shape, line = shape;
    for (uint32_t d = 0; d < shape.rank; d++) line.dims[d] = d == k ? shape.dims[d] : 1;
    NodeId iota = graph_op_shaped(g, OP_iota, NULL, 0, NULL, shape_of(1, &shape.dims[k]), false, at);
    Value place = value_node(s->build, graph_reshape(g, iota, line, at));
    Value here = elementwise(s, OP_eq, (Value[]){place, label}, 2, at, NULL);
    Value only = elementwise(s, OP_select, (Value[]){here, value_node(s->build, n), value_number(0)}, 3, at, NULL);
    NodeId left = node_of(s, only, at);
    if (left == NODE_NONE) return left;
    shape.dims[k] = 1;
    return graph_reshape(g, graph_reduce(g, OP_reduce_sum, left, 1u << k, at), shape, at);
}

static Value eval_index(Scope *s, const Ast *e) {
    const Ast *indices = AST_SLOT(e, INDEX, indices);
    Value v = eval(s, AST_SLOT(e, INDEX, base));
    if (v.kind == VALUE_NONE) return v;
    Arena *a = s->elab->arena;
    if (v.kind == VALUE_STATES) return defence_index(s, v, e);
    if (v.kind == VALUE_TUPLE) {
        double at;
        if (indices->nkids != 1 || !eval_number(s, indices->kids[0], &at)) return (Value){0};
        if (at < 0 || at >= v.nitems || at != floor(at))
            return elab_error(s, DIAG_E0314, indices->range, "index %s of a list of %u", number_text(a, at), v.nitems);
        return v.items[(uint32_t)at];
    }
    NodeId n = node_of(s, v, e->range);
    if (n == NODE_NONE) return (Value){0};
    Shape from = graph_node(s->build->graph, n)->shape, kept = {0};
    if (indices->nkids > from.rank)
        return elab_error(s, DIAG_E0314, e->range, "%u indices for %s", indices->nkids, shape_text(a, from));
    Attr attr = {0};
    for (uint32_t k = 0; k < from.rank; k++) {
        attr.slice.size[k] = from.dims[k];
        bool drop = false;
        if (k < indices->nkids) {
            Value i = eval(s, indices->kids[k]);
            if (i.kind == VALUE_NONE) return i;
            if (i.kind == VALUE_NODE && i.classes) {
                if (i.classes != from.dims[k])
                    return elab_error(s, DIAG_E0314, indices->kids[k]->range,
                                      "a label of %u classes does not index an axis of size %u", i.classes,
                                      from.dims[k]);
                n = pick(s, n, k, i, e->range);
                if (n == NODE_NONE) return (Value){0};
                i = value_number(0), from.dims[k] = 1;
            }
            if (i.kind != VALUE_NUMBER && i.kind != VALUE_RANGE)
                return elab_error(s, DIAG_E0314, indices->kids[k]->range, "an index must be known at compile time");
            drop = i.kind == VALUE_NUMBER;
            double low = i.number, high = drop ? low + 1 : i.limit;
            if (low < 0 || high > from.dims[k] || low >= high || low != floor(low) || high != floor(high))
                return elab_error(s, DIAG_E0314, indices->kids[k]->range,
                                  "%s lies outside of axis %u, which has %u elements",
                                  drop ? arena_printf(a, "index %s", number_text(a, low))
                                       : arena_printf(a, "slice %s..%s", number_text(a, low), number_text(a, high)),
                                  k, from.dims[k]);
            attr.slice.start[k] = (int64_t)low;
            attr.slice.size[k] = (int64_t)(high - low);
        }
        if (!drop) kept.dims[kept.rank++] = (uint32_t)attr.slice.size[k];
    }
    Graph *g = s->build->graph;
    NodeId part = graph_op(g, OP_slice, &n, 1, &attr, e->range);
    Value found = value_node(s->build, graph_reshape(g, part, kept, e->range));
    found.classes = v.classes;
    return found;
}

static Value eval_member(Scope *s, const Ast *e) {
    char path[512];
    Scope from;
    const Ast *element = item_experiment(e) ? resolve_ast(s, e, &from) : e;
    if (element != e) return eval(&from, element);
    if (ast_path(e, path, sizeof path) && module_find(s->module, path, NULL)) return eval_declared(s, e, path);
    const char *text = s->elab->net_setting(s, e, NULL);
    return text ? value_number(strtod(text, NULL)) : (Value){0};
}

static Value eval_items(Scope *s, const Ast *e) {
    Value *items = NULL;
    uint32_t n = 0, cap = 0;
    for (uint32_t k = 0; k < e->nkids; k++) {
        bool spread = e->kids[k]->kind == AST_SPREAD;
        Value v = eval(s, spread ? AST_SLOT(e->kids[k], SPREAD, value) : e->kids[k]);
        if (v.kind == VALUE_NONE) return v;
        if (spread && v.kind != VALUE_TUPLE)
            return elab_error(s, DIAG_E0301, e->kids[k]->range, "'..' stands before a list or a pack of axes");
        for (uint32_t i = 0; i < (spread ? v.nitems : 1); i++)
            *ARENA_PUSH(s->elab->arena, items, n, cap) = spread ? v.items[i] : v;
    }
    return value_tuple(s->elab->arena, items, n);
}

bool eval_allowed(Scope *s, Range at) {
    if (s->elab->evaluations <= MAX_EVALUATIONS && ++s->elab->evaluations > MAX_EVALUATIONS)
        elab_error(s, DIAG_E0601, at,
                   "too large: with every call and every 'for' written out there are more than %d operations",
                   MAX_EVALUATIONS);
    return s->elab->evaluations <= MAX_EVALUATIONS;
}

void eval_anew(Elab *e) { e->evaluations = 0; }

Value eval(Scope *s, const Ast *e) {
    if (!e || !eval_allowed(s, e->range)) return (Value){0};
    if (++s->elab->depth > MAX_DEPTH) {
        s->elab->depth--;
        return elab_error(s, DIAG_E0601, e->range, "functions and layers are nested too deep here");
    }
    Value v;
    switch (e->kind) {
    case AST_NAME: v = eval_name(s, e); break;
    case AST_NUMBER:
    case AST_BOOL: v = value_number(e->number); break;
    case AST_BINARY: v = eval_binary(s, e); break;
    case AST_UNARY: v = eval_unary(s, e); break;
    case AST_IF: v = eval_if(s, e); break;
    case AST_CALL: v = call(s, e, NULL, e->range); break;
    case AST_TRANSPOSE: v = eval_transpose(s, e); break;
    case AST_INDEX: v = eval_index(s, e); break;
    case AST_MEMBER: v = eval_member(s, e); break;
    case AST_TUPLE:
    case AST_ARRAY: v = eval_items(s, e); break;
    case AST_ERROR: v = (Value){0}; break;
    case AST_WRITTEN: {
        Scope from;
        const Ast *written = resolve_ast(s, e, &from);
        v = eval(&from, written);
        break;
    }
    default: v = elab_error(s, DIAG_E0307, e->range, "a %s has no value here", ast_kind_name(e->kind));
    }
    s->elab->depth--;
    return v;
}

bool eval_number(Scope *s, const Ast *e, double *out) {
    Value v = eval(s, e);
    *out = v.number;
    if (v.kind == VALUE_NUMBER) return true;
    if (v.kind == VALUE_NODE && value_get(v)->op == OP_constant) return *out = value_get(v)->attr.value, true;
    if (v.kind != VALUE_NONE) elab_error(s, DIAG_E0321, e->range, "this number must be known at compile time");
    return false;
}

bool eval_size(Scope *s, const Ast *e, uint32_t *out) {
    double x;
    if (!eval_number(s, e, &x)) return false;
    if (!(x >= 1) || x != floor(x) || x >= MAX_ELEMENTS) {
        elab_error(s, DIAG_E0310, e->range, "this size is %s: sizes are positive whole numbers",
                   number_text(s->elab->arena, x));
        return false;
    }
    *out = (uint32_t)x;
    return true;
}

bool statement(Scope *s, const Ast *stmt) {
    if (stmt->kind == AST_FN) {
        const Scope *closure = s->live == s ? s : arena_copy(s->elab->arena, s, sizeof *s);
        scope_bind(s, stmt->name, (Value){.kind = VALUE_FN, .ast = stmt, .module = s->module, .scope = closure});
        return true;
    }
    if (stmt->kind == AST_ERROR) return true;
    if (stmt->kind != AST_LET) return false;
    const Ast *pattern = AST_SLOT(stmt, LET, pattern), *type = AST_SLOT(stmt, LET, type),
              *value = AST_SLOT(stmt, LET, value);
    Value v = eval(s, value);
    if (type && type->kind == AST_TYPE && (v.kind == VALUE_FLEX || v.kind == VALUE_NODE)) {
        Shape shape;
        uint32_t classes = 0;
        if (!eval_type(s, type, &shape, &classes))
            v = (Value){0};
        else if (!classes)
            v = value_fit(s, v, shape, value->range, "the value");
    }
    if (pattern->kind == AST_NAME) {
        scope_bind(s, pattern->name, v);
        return true;
    }
    bool fits = v.kind == VALUE_TUPLE && v.nitems == pattern->nkids;
    if (!fits && v.kind != VALUE_NONE)
        elab_error(s, DIAG_E0315, pattern->range, "this needs a tuple of %u values", pattern->nkids);
    for (uint32_t k = 0; k < pattern->nkids; k++) scope_bind(s, pattern->kids[k]->name, fits ? v.items[k] : (Value){0});
    return true;
}
