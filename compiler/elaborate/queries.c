/* queries.c - queries of a net: shared where they ask at one point, and the closure conversion of objectives. */
#include "queries.h"
#include "adjoint.h"
#include "passes.h"
#include <string.h>

typedef struct Site {     /* of logits(e) in an objective */
    NodeId point, output; /* of the collector's graph; an input */
    NodeId gradient;      /* the input that stands for the objective's gradient at the point; NODE_NONE */
    bool moves;           /* the point depends on the arguments */
} Site;

struct Collector {
    Build *build;
    Site *sites;
    uint32_t n, cap;
};

/* ---- plain queries ---- */

/* The point as a batched node of the graph being built. */
static NodeId point_node(Scope *s, const Queries *q, Value v, Range at) {
    NodeId n = node_of(s, value_fit(s, v, q->net->input, at, "the point"), at);
    return n == NODE_NONE ? n : graph_batch(s->build->graph, n, at);
}

static Point *find_point(const Queries *q, const Build *b, NodeId at, bool loss) {
    for (uint32_t k = 0; k < q->n; k++)
        if (q->points[k].build == b && q->points[k].at == at &&
            (!loss || (q->points[k].loss && q->loss && strcmp(q->points[k].loss, q->loss) == 0)))
            return &q->points[k];
    return NULL;
}

static Point *new_point(Scope *s, Queries *q, NodeId at, const char *routine, int gives, Range range) {
    Attr attr = {.name = routine};
    NodeId query = graph_op(s->build->graph, OP_query, &at, 1, &attr, range);
    Point *p = ARENA_PUSH(s->elab->arena, q->points, q->n, q->cap);
    *p = (Point){s->build, at, query, gives == POINT_OUTPUT ? NULL : q->loss, gives};
    return p;
}

static const char *routine_of(const Queries *q, const char *ending) {
    Arena *a = q->machine->elab->arena;
    const char *net = q->net->model->name;
    const char *which = q->in_batch ? IN_BATCH : "";
    return q->loss ? arena_printf(a, "%s_%s_%s%s", net, q->loss, ending, which)
                   : arena_printf(a, "%s_predict%s", net, which);
}

static Value result_of(Scope *s, NodeId query, int argument, Shape shape, Range at) {
    return value_node(s->build, graph_op_shaped(s->build->graph, OP_query_result, &query, 1,
                                                &(Attr){.result.argument = argument}, shape, true, at));
}

static Value output_at(Scope *s, Queries *q, NodeId point, Range at) {
    Point *p = find_point(q, s->build, point, false);
    if (!p) p = new_point(s, q, point, routine_of(q, "loss"), q->loss ? POINT_LOSS : POINT_OUTPUT, at);
    return result_of(s, p->query, 2, value_shape(q->net->output), at);
}

/* In an objective: the output as an input, one for each point. */
static Value site_at(Scope *s, const Queries *q, NodeId point, Range at) {
    Collector *c = q->collecting;
    for (uint32_t k = 0; k < c->n; k++)
        if (c->sites[k].point == point) return value_node(c->build, c->sites[k].output);
    NodeId output = graph_input(c->build->graph, value_shape(q->net->output), true, "output", at);
    *ARENA_PUSH(s->elab->arena, c->sites, c->n, c->cap) = (Site){point, output, NODE_NONE, false};
    return value_node(c->build, output);
}

static Value logits_at(Scope *s, Queries *q, Value point, Range at) {
    NodeId n = point_node(s, q, point, at);
    if (n == NODE_NONE) return (Value){0};
    return q->collecting ? site_at(s, q, n, at) : output_at(s, q, n, at);
}

Value query_logits(Scope *s, Queries *q, const Ast *point, Range at) { return logits_at(s, q, eval(s, point), at); }

Value query_wrong(Scope *s, Queries *q, const Ast *point, Range at) {
    Value z = query_logits(s, q, point, at);
    if (z.kind == VALUE_NONE) return z;
    if (q->net->target.classes && value_shape(z).rank != 1)
        return elab_error(s, DIAG_E0505, at,
                          "'wrong' compares the largest output with the label: the output of '%s' is %s, and no vector",
                          q->net->model->name, shape_text(s->elab->arena, value_shape(z)));
    if (!q->net->target.classes)
        return elab_error(s, DIAG_E0505, at, "'wrong' compares labels: the target of '%s' is none",
                          q->net->model->name);
    Graph *g = s->build->graph;
    NodeId y = build_import(s->build, q->y), best = graph_op(g, OP_argmax, &z.node, 1, &(Attr){.reduce.axes = 1}, at),
           same = graph_binary(g, OP_eq, best, y, at);
    return value_node(s->build, graph_unary(g, OP_not, same, at));
}

/* The attack's loss is a function of one output. */
static bool has_loss(Scope *s, const Queries *q, Range at) {
    if (q->loss || q->use) return true;
    elab_error_help(s, DIAG_E0506, at, "say which loss the attack asks for: pgd(..) with { loss: cross_entropy }",
                    "the loss of this training compares clean and attacked outputs, and is none of one output");
    return false;
}

Value query_loss(Scope *s, Queries *q, const Ast *point, Range at) {
    if (!has_loss(s, q, at)) return (Value){0};
    NodeId n = point_node(s, q, eval(s, point), point->range);
    if (n == NODE_NONE) return (Value){0};
    const bool own = q->loss && !q->collecting;
    const Point *p = own ? find_point(q, s->build, n, true) : NULL;
    if (own && !p && !find_point(q, s->build, n, false)) p = new_point(s, q, n, routine_of(q, "loss"), POINT_LOSS, at);
    if (p) return result_of(s, p->query, 3, shape_scalar(), at);
    return loss_value(s, q->use, q->collecting ? site_at(s, q, n, at) : output_at(s, q, n, at), q->y);
}

/* The gradient of a loss that has its own routine. */
static Value own_gradient(Scope *s, Queries *q, const Ast *point, Range at) {
    NodeId n = point_node(s, q, eval(s, point), point->range);
    if (n == NODE_NONE) return (Value){0};
    Point *p = find_point(q, s->build, n, true);
    if (!p) p = new_point(s, q, n, routine_of(q, "input"), POINT_GRADIENT, at);
    p->gives = POINT_GRADIENT; /* the routine with the gradient gives output and loss as well */
    s->build->graph->nodes[p->query].attr.name = routine_of(q, "input");
    q->differentiates = true;
    return result_of(s, p->query, 4, q->net->input, at);
}

/* ---- objectives ---- */

/* By node of g: it depends on one of the `n` nodes `from`; an output that stands for a site depends on its point. */
static bool *dependent(const Graph *g, const Collector *c, const NodeId *from, uint32_t n) {
    bool *yes = arena_alloc(g->arena, g->nnodes + 1);
    for (uint32_t k = 0; k < n; k++) yes[from[k]] = true;
    for (NodeId id = 0; id < g->nnodes; id++) {
        for (uint32_t k = 0; k < g->nodes[id].nargs; k++) yes[id] = yes[id] || yes[graph_arg(g, id, k)];
        for (uint32_t k = 0; c && k < c->n; k++)
            if (c->sites[k].output == id) yes[id] = yes[c->sites[k].point];
    }
    return yes;
}

typedef struct Cut { /* from the collector's graph to an objective's */
    const Graph *from;
    Graph *to;
    const bool *varies;  /* depends on the output */
    const Record *given; /* just these are captured; NULL: what does not vary */
    NodeId *map;
    NodeId *captured, *inputs; /* nodes of `from`, and the inputs that stand for them */
    uint32_t n, captured_cap, inputs_cap;
} Cut;

/* Not repeated in the objective. */
static bool is_captured(const Cut *c, NodeId id) {
    Op op = graph_node(c->from, id)->op;
    for (uint32_t k = 0; c->given && k < c->given->n; k++)
        if (c->given->values[k] == id) return true;
    return !c->given && !c->varies[id] && op != OP_broadcast && op != OP_reshape && op != OP_constant && op != OP_iota;
}

/* Copies what varies; the rest is captured, as something small where it is a view of it. */
static NodeId cut_copy(Cut *c, NodeId id) {
    if (c->map[id] != NODE_NONE) return c->map[id];
    Node n = *graph_node(c->from, id);
    if (is_captured(c, id)) {
        NodeId in = graph_input(c->to, n.shape, true, n.attr.name ? n.attr.name : "captured", n.loc);
        uint32_t k = c->n;
        *ARENA_PUSH(c->to->arena, c->captured, k, c->captured_cap) = id;
        *ARENA_PUSH(c->to->arena, c->inputs, c->n, c->inputs_cap) = in;
        return c->map[id] = in;
    }
    NodeId *args = arena_alloc(c->to->arena, (n.nargs + 1) * sizeof *args);
    for (uint32_t k = 0; k < n.nargs; k++) args[k] = cut_copy(c, graph_arg(c->from, id, k));
    bool raised = n.batched && !graph_batched(c->to, n.op, args, n.nargs);
    return c->map[id] = graph_op_shaped(c->to, n.op, args, n.nargs, &n.attr, n.shape, raised, n.loc);
}

static NodeId zeros(Graph *g, Shape shape, Range at) {
    NodeId zero = graph_constant(g, 0);
    return graph_op_shaped(g, OP_broadcast, &zero, 1, NULL, shape, true, at);
}

static uint64_t row_bytes(const Elab *e, Shape s) {
    return (shape_count(s) * e->real_bytes + DEQ_ALIGN - 1) / DEQ_ALIGN * DEQ_ALIGN;
}

/* The same text under another name is the same routine. */
static const char *objective_name(Elab *e, const char *prefix, Routine *r, const char **hash) {
    r->name = "objective";
    *hash = routine_hash(e, r);
    for (uint32_t k = 0; k < e->nobjectives; k++)
        if (strcmp(e->objectives[k].hash, *hash) == 0) return e->objectives[k].name;
    r->name = elab_name(e, arena_printf(e->arena, "%s_objective", prefix));
    *ARENA_PUSH(e->arena, e->objectives, e->nobjectives, e->objectives_cap) = (struct Objective){r->name, *hash};
    *ARENA_PUSH(e->arena, e->routines, e->nroutines, e->routines_cap) = r;
    return r->name;
}

const char *objective_routine(Elab *e, const char *prefix, const Graph *g, NodeId value, NodeId output, Record *record,
                              const char **hash) {
    Arena *a = e->arena;
    Shape shape = graph_node(g, output)->shape;
    Cut cut = {.from = g, .to = graph_new(a, "objective"), .varies = dependent(g, NULL, &output, 1)};
    if (record->n) cut.given = record;
    Graph *o = cut.to;
    cut.map = graph_map(a, g);
    NodeId in = cut.map[output] = graph_input(o, shape, true, "output", graph_node(g, output)->loc), ct;
    NodeId roots[2] = {cut_copy(&cut, value)}, one = graph_batch(o, graph_constant(o, 1), (Range){0});
    reverse(o, roots, &one, 1, &in, 1, NULL, &ct, NULL, NULL);
    if (ct == NODE_NONE && !record->n) return NULL;
    if (ct == NODE_NONE)
        ct = zeros(o, shape, (Range){0}); /* of a loss of two outputs, in the one that it holds constant */
    roots[1] = graph_batch(o, ct, (Range){0});
    NodeId *map = graph_map(a, o);
    Graph *t = simplify(a, o, roots, 2, false, map);
    Routine *r = arena_alloc(a, sizeof *r);
    Step *step = arena_alloc(a, sizeof *step);
    *step = (Step){.kind = STEP_GRAPH, .graph = t};
    *r = (Routine){.rows = true, .steps = step, .nsteps = 1, .objective = true};
    step->in = arena_alloc(a, (cut.n + 1) * sizeof *step->in);
    step->out = arena_alloc(a, 2 * sizeof *step->out);
    if (map[in] != NODE_NONE) step->in[step->nin++] = (Binding){map[in], PLACE_ARG, OBJECTIVE_OUTPUT, 0};
    const bool given = record->n > 0; /* its layout */
    for (uint32_t k = 0; k < record->n; k++) r->rest_bytes += row_bytes(e, graph_node(g, record->values[k])->shape);
    for (uint32_t k = 0; k < cut.n; k++) {
        if (map[cut.inputs[k]] == NODE_NONE) continue;
        uint64_t offset = 0;
        uint32_t at = 0;
        for (; at < record->n && record->values[at] != cut.captured[k]; at++)
            offset += row_bytes(e, graph_node(g, record->values[at])->shape);
        if (given && at == record->n) ICE("%s: an objective reads what its record has not", prefix);
        step->in[step->nin++] = (Binding){map[cut.inputs[k]], PLACE_REST, 0, offset};
        if (given) continue;
        r->rest_bytes += row_bytes(e, graph_node(g, cut.captured[k])->shape);
        *ARENA_PUSH(a, record->values, record->n, record->cap) = cut.captured[k];
    }
    step->out[step->nout++] = (Binding){t->outputs[0], PLACE_ARG, OBJECTIVE_VALUE, 0};
    step->out[step->nout++] = (Binding){t->outputs[1], PLACE_ARG, OBJECTIVE_DERIVATIVE, 0};
    r->arg_bytes[OBJECTIVE_OUTPUT] = r->arg_bytes[OBJECTIVE_DERIVATIVE] = row_bytes(e, shape);
    r->arg_bytes[OBJECTIVE_VALUE] = row_bytes(e, shape_scalar());
    graph_verify(t);
    return objective_name(e, prefix, r, hash);
}

/* The OBJECTIVE of a site: its number + 1; 0: the value changes with the output in jumps only. */
static uint32_t objective_of(Scope *s, Queries *q, const Graph *g, NodeId value, NodeId output, Record *record) {
    Arena *a = s->elab->arena;
    const char *hash, *name = objective_routine(s->elab, q->machine->name, g, value, output, record, &hash);
    if (!name) return 0;
    q->hash = q->hash ? arena_printf(a, "%s %s", q->hash, hash) : hash;
    for (uint32_t k = 0; k < q->nobjectives; k++)
        if (strcmp(q->objectives[k], name) == 0) return k + 1;
    *ARENA_PUSH(a, q->objectives, q->nobjectives, q->objectives_cap) = name;
    return q->nobjectives;
}

typedef struct Emission { /* from the collector's graph to the attack's */
    Scope *s;
    Queries *q;
    const Collector *c;
    const Graph *g;
    NodeId *map;
    Range at;
} Emission;

/* The node in the attack's graph; an output that it reads and that is not there yet is asked for by itself. */
static NodeId emit_node(Emission *m, NodeId id) {
    bool *needed = arena_alloc(m->g->arena, m->g->nnodes + 1);
    needed[id] = true;
    for (NodeId k = id + 1; k-- > 0;)
        for (uint32_t j = 0; needed[k] && m->map[k] == NODE_NONE && j < m->g->nodes[k].nargs; j++)
            needed[graph_arg(m->g, k, j)] = true;
    for (uint32_t k = 0; k < m->c->n; k++) {
        const Site *site = &m->c->sites[k];
        if (!needed[site->output] || m->map[site->output] != NODE_NONE) continue;
        NodeId point = graph_batch(m->s->build->graph, emit_node(m, site->point), m->at);
        m->map[site->output] = output_at(m->s, m->q, point, m->at).node;
    }
    return graph_copy(m->s->build->graph, m->g, id, m->map);
}

/* Asks for a site's output and gradient. */
static void emit_site(Emission *m, const Site *site, uint32_t objective, const Record *record) {
    Graph *g = m->s->build->graph;
    Arena *a = m->s->elab->arena;
    Queries *q = m->q;
    NodeId *args = arena_alloc(a, (record->n + 1) * sizeof *args);
    args[0] = graph_batch(g, emit_node(m, site->point), m->at);
    for (uint32_t k = 0; k < record->n; k++) args[k + 1] = graph_batch(g, emit_node(m, record->values[k]), m->at);
    Attr attr = {.name =
                     arena_printf(a, "%s_%s_input%s", q->net->model->name,
                                  net_objective(q->net, m->s->elab, OBJECTIVE_ATTACKS), q->in_batch ? IN_BATCH : ""),
                 .query.objective = objective};
    NodeId query = graph_op(g, OP_query, args, record->n + 1, &attr, m->at);
    *ARENA_PUSH(a, q->points, q->n, q->cap) = (Point){m->s->build, args[0], query, NULL, POINT_OBJECTIVE};
    Shape output = graph_node(m->g, site->output)->shape;
    if (m->map[site->output] == NODE_NONE) m->map[site->output] = result_of(m->s, query, 2, output, m->at).node;
    m->map[site->gradient] = result_of(m->s, query, 4, q->net->input, m->at).node;
    q->differentiates = true;
}

/* The gradient, which is counted there; value: the objective's, which no query has counted, or NODE_NONE.  What a query
 * gives is counted by it. */
static NodeId counted(Graph *g, NodeId gradient, NodeId value, Range at) {
    NodeId args[2] = {graph_batch(g, gradient, at)};
    if (value == NODE_NONE && graph_node(g, gradient)->op == OP_query_result) return gradient;
    if (value != NODE_NONE) args[1] = graph_batch(g, value, at);
    return graph_op(g, OP_counted, args, value == NODE_NONE ? 1 : 2, NULL, at);
}

/* The gradient of `value`, a node of the collector's graph, in its inputs v, whose values in the attack are e. */
static bool differentiate(Scope *s, Queries *q, Collector *c, NodeId value, const NodeId *v, const NodeId *e,
                          uint32_t n, Range at, NodeId *out) {
    Arena *a = s->elab->arena;
    Graph *g = c->build->graph;
    const bool *moves = dependent(g, c, v, n);
    if (!moves[value]) return elab_error(s, DIAG_E0518, at, "this objective does not depend on the point"), false;
    NodeId *ends = arena_alloc(a, (c->n + 1) * sizeof *ends), *seeds = arena_alloc(a, (c->n + 1) * sizeof *seeds);
    NodeId *ct = arena_alloc(a, (n + 1) * sizeof *ct);
    Record *records = arena_alloc(a, (c->n + 1) * sizeof *records);
    uint32_t nends = 0;
    uint32_t *objective = arena_alloc(a, (c->n + 1) * sizeof *objective);
    ends[nends] = value;
    seeds[nends++] = graph_batch(g, graph_constant(g, 1), at);
    for (uint32_t k = 0; k < c->n; k++) {
        Site *site = &c->sites[k];
        site->moves = moves[site->point];
        if (site->moves) objective[k] = objective_of(s, q, g, value, site->output, &records[k]);
    }
    for (uint32_t k = 0; k < c->n; k++) {
        if (!objective[k]) continue;
        ends[nends] = c->sites[k].point;
        seeds[nends++] = c->sites[k].gradient = graph_input(g, q->net->input, true, "gradient", at);
    }
    reverse(g, ends, seeds, nends, v, n, NULL, ct, NULL, NULL);
    bool any = false;
    for (uint32_t k = 0; k < n; k++) any = any || ct[k] != NODE_NONE;
    if (!any) return elab_error(s, DIAG_E0518, at, "this objective changes with the point only in jumps"), false;
    Emission m = {s, q, c, g, graph_map(a, g), at};
    for (uint32_t k = 0; k < n; k++) m.map[v[k]] = e[k];
    for (uint32_t k = 0; k < c->build->ncaptured; k++) m.map[c->build->inside[k]] = c->build->outside[k];
    bool asks = false;
    for (uint32_t k = 0; k < c->n; k++)
        if (objective[k]) emit_site(&m, &c->sites[k], objective[k], &records[k]), asks = true;
    NodeId unasked = asks ? NODE_NONE : emit_node(&m, value);
    for (uint32_t k = 0; k < n; k++) {
        Shape shape = graph_node(g, v[k])->shape;
        if (ct[k] == NODE_NONE) {
            out[k] = zeros(s->build->graph, shape, at);
            continue;
        }
        out[k] = counted(s->build->graph, emit_node(&m, ct[k]), unasked, at);
        unasked = NODE_NONE;
    }
    return true;
}

/* What stands behind `at:`, as nodes of the attack's graph. */
static bool arguments(Scope *s, const Queries *q, Value at, const Ast *ast, NodeId *e, uint32_t n) {
    for (uint32_t k = 0; k < n; k++) {
        Value v = at.kind == VALUE_TUPLE ? at.items[k] : at;
        if (v.kind == VALUE_NONE) return false;
        if (v.kind == VALUE_FLEX) v = value_fit(s, v, q->net->input, ast->range, "the point");
        if (v.classes)
            return elab_error(s, DIAG_E0518, ast->range,
                              "a label is no argument that an objective is differentiated in"),
                   false;
        e[k] = node_of(s, v, ast->range);
        if (e[k] == NODE_NONE) return false;
        e[k] = graph_batch(s->build->graph, e[k], ast->range);
    }
    return true;
}

static Value objective_gradient(Scope *s, Queries *q, const Value *f, const Ast *point, Range at) {
    Arena *a = s->elab->arena;
    Value given = eval(s, point);
    const bool tuple = given.kind == VALUE_TUPLE;
    const uint32_t n = tuple ? given.nitems : 1;
    NodeId *e = arena_alloc(a, (n + 1) * sizeof *e), *v = arena_alloc(a, (n + 1) * sizeof *v);
    NodeId *ct = arena_alloc(a, (n + 1) * sizeof *ct);
    if (given.kind == VALUE_NONE || !arguments(s, q, given, point, e, n)) return (Value){0};
    Collector c = {.build = build_new(a, "objective", s->build)};
    Args args = {.at = at};
    for (uint32_t k = 0; k < n; k++) {
        v[k] = graph_input(c.build->graph, graph_node(s->build->graph, e[k])->shape, true, "v", at);
        *ARENA_PUSH(a, args.items, args.n, args.cap) = (Arg){.at = at, .value = value_node(c.build, v[k])};
    }
    Scope inner = *s;
    inner.build = c.build;
    q->collecting = &c;
    Value out = f ? call_fn(&inner, f, NULL, args)
                  : loss_value(&inner, q->use, logits_at(&inner, q, args.items[0].value, at), q->y);
    q->collecting = NULL;
    NodeId value = out.kind == VALUE_NONE ? NODE_NONE : node_of(&inner, out, at);
    if (value == NODE_NONE) return (Value){0};
    if (graph_node(c.build->graph, value)->shape.rank != 0)
        return elab_error(s, DIAG_E0518, at, "an objective gives one number, this one %s",
                          shape_text(a, graph_node(c.build->graph, value)->shape));
    value = graph_batch(c.build->graph, value, at);
    if (!differentiate(s, q, &c, value, v, e, n, at, ct)) return (Value){0};
    if (!tuple) return value_node(s->build, ct[0]);
    Value *items = arena_alloc(a, n * sizeof *items);
    for (uint32_t k = 0; k < n; k++) items[k] = value_node(s->build, ct[k]);
    return value_tuple(a, items, n);
}

Value query_gradient(Scope *s, Queries *q, const Ast *f, const Ast *point, Range at) {
    if (q->collecting) return elab_error(s, DIAG_E0518, at, "an objective cannot ask for a gradient itself");
    const bool loss = f->kind == AST_NAME && strcmp(f->name, "loss") == 0 && !env_find(s->env, "loss");
    if (loss && !has_loss(s, q, at)) return (Value){0};
    if (loss) return q->loss ? own_gradient(s, q, point, at) : objective_gradient(s, q, NULL, point, at);
    Value v = eval(s, f);
    if (v.kind == VALUE_NONE) return v;
    if (v.kind != VALUE_FN || v.transposed)
        return elab_error(s, DIAG_E0518, f->range, "gradients are of `loss` or of a local fn to one number");
    return objective_gradient(s, q, &v, point, at);
}

/* ---- sharing ---- */

/* Nothing but outputs is read of query `id`. */
static bool output_only(const Graph *g, NodeId id) {
    for (NodeId k = id + 1; k < g->nnodes; k++)
        if (g->nodes[k].op == OP_query_result && graph_arg(g, k, 0) == id && g->nodes[k].attr.result.argument != 2)
            return false;
    return true;
}

Graph *queries_shared(Arena *a, const Graph *g, const NodeId *roots, uint32_t nroots, NodeId *map) {
    Graph *out = graph_new(a, g->name);
    for (uint32_t k = 0; k < g->ninputs; k++) graph_copy(out, g, g->inputs[k], map);
    for (NodeId id = 0; id < g->nnodes; id++) {
        if (g->nodes[id].op != OP_query || map[id] != NODE_NONE || !output_only(g, id)) continue;
        const bool *after = dependent(g, NULL, &id, 1);
        for (NodeId k = 0; k < g->nnodes; k++) {
            const Node *n = graph_node(g, k);
            if (k == id || n->op != OP_query || after[k] || graph_arg(g, k, 0) != graph_arg(g, id, 0)) continue;
            if (output_only(g, k) && k > id) continue;
            map[id] = graph_copy(out, g, k, map);
            break;
        }
    }
    for (uint32_t k = 0; k < nroots; k++) graph_output(out, graph_copy(out, g, roots[k], map));
    return out;
}
