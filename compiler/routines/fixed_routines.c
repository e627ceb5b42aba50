/* fixed_routines.c - from a hoisted fixed body to f, lin, jvp, the VJPs of fixed.def, and the VJP of the JVP.
 *
 * One graph holds z' = f(z, rest, shared), its tangent J dz, and the cotangents of z, rest and shared for a cotangent
 * u. What depends on neither u nor dz is computed by lin; the cut between the two (tape.c) is the tape, one for all. */
#include "maker.h"

static NodeId zeros(Graph *g, Shape shape) {
    NodeId zero = graph_constant(g, 0);
    return graph_op_shaped(g, OP_broadcast, &zero, 1, NULL, shape, true, (Range){0});
}

/* A copy of the body, ready for differentiation: f at z, a cotangent u and a tangent dz of every state. */
typedef struct Body {
    NodeId *map, *wrt, *ct, *f, *t, *u, *dz; /* wrt: the inputs that have cotangents; ct, t: room for what is derived */
    uint32_t nwrt;
} Body;

static Body copy_body(Arena *a, Graph *g, const Stage *s, const Graph *body, uint32_t nstate, uint32_t cotangent,
                      uint32_t tangent) {
    Body b = {.map = graph_map(a, body),
              .wrt = arena_alloc(a, (body->ninputs + 1) * sizeof *b.wrt),
              .ct = arena_alloc(a, (body->ninputs + 1) * sizeof *b.ct),
              .f = arena_alloc(a, nstate * sizeof *b.f),
              .t = arena_alloc(a, nstate * sizeof *b.t),
              .u = arena_alloc(a, nstate * sizeof *b.u),
              .dz = arena_alloc(a, nstate * sizeof *b.dz)};
    for (uint32_t k = 0; k < body->ninputs; k++) {
        Origin o;
        NodeId in = graph_copy(g, body, body->inputs[k], b.map);
        if (!origin_get(g, in, &o)) ICE("%s: input %u has no origin", body->name, k);
        if (o.place != PLACE_SHARED || s->values[o.index].trained) b.wrt[b.nwrt++] = in;
    }
    for (uint32_t k = 0; k < nstate; k++) {
        b.f[k] = graph_batch(g, graph_copy(g, body, body->outputs[k], b.map), (Range){0});
        Shape shape = graph_node(g, b.f[k])->shape;
        b.u[k] = origin_input(g, (Origin){PLACE_ARG, cotangent, k}, shape, true, "u", (Range){0});
        b.dz[k] = origin_input(g, (Origin){PLACE_ARG, tangent, k}, shape, true, "dz", (Range){0});
    }
    return b;
}

static Whole *whole_graph(Arena *a, const Stage *s, const Graph *body, uint32_t nstate, const Split *split) {
    Whole *w = arena_alloc(a, sizeof *w);
    Graph *g = graph_new(a, body->name);
    Body b = copy_body(a, g, s, body, nstate, ORIGIN_COTANGENT, ORIGIN_TANGENT);
    NodeId *map = b.map, *wrt = b.wrt, *ct = b.ct, *f = b.f, *t = b.t, *u = b.u;
    uint32_t nwrt = b.nwrt;
    w->rest = arena_alloc(a, (body->ninputs + 1) * sizeof *w->rest);
    w->shared = arena_alloc(a, (body->ninputs + 1) * sizeof *w->shared);
    linearise(g, f, nstate, wrt, b.dz, nstate, t);
    reverse(g, f, u, nstate, wrt, nwrt, NULL, ct, NULL, NULL);
    w->nstate = nstate;
    w->f = g->noutputs;
    for (uint32_t k = 0; k < nstate; k++) graph_output(g, f[k]);
    w->jvp = g->noutputs;
    for (uint32_t k = 0; k < nstate; k++)
        graph_output(g, t[k] == NODE_NONE ? zeros(g, graph_node(g, f[k])->shape) : t[k]);
    w->vjp_z = g->noutputs;
    for (uint32_t k = 0; k < nstate; k++)
        graph_output(g, ct[k] == NODE_NONE ? zeros(g, graph_node(g, f[k])->shape) : ct[k]);
    for (int shared = 0; shared < 2; shared++) {
        *(shared ? &w->vjp_shared : &w->vjp_rest) = g->noutputs;
        for (uint32_t k = nstate; k < nwrt; k++) {
            Origin o;
            origin_get(g, wrt[k], &o);
            if (ct[k] == NODE_NONE || (o.place == PLACE_SHARED) != shared) continue;
            graph_output(g, ct[k]);
            if (shared)
                w->shared[w->nshared++] = o.index;
            else
                w->rest[w->nrest++] = o.index;
        }
    }
    w->diagonal = g->noutputs;
    for (uint32_t k = 0; !split->why && k < nstate; k++) {
        NodeId inner = graph_copy(g, body, split->inner[k], map), d;
        Shape shape = graph_node(g, u[k])->shape;
        NodeId along = graph_reshape(g, u[k], graph_node(g, inner)->shape, (Range){0});
        linearise(g, &f[k], 1, &inner, &along, 1, &d);
        graph_output(g, d == NODE_NONE ? zeros(g, shape) : d);
    }
    w->graph = simplify(a, g, NULL, 0, false, NULL);
    return w;
}

static void choose_tape(Arena *a, Whole *w, uint32_t real_bytes) {
    const Graph *g = w->graph;
    bool *varying = arena_alloc(a, g->nnodes + 1), *at_hand = arena_alloc(a, g->nnodes + 1);
    for (NodeId id = 0; id < g->nnodes; id++) {
        const Node *n = graph_node(g, id);
        Origin o;
        if (origin_get(g, id, &o)) {
            varying[id] = o.place == PLACE_ARG && o.index >= ORIGIN_COTANGENT;
            at_hand[id] = o.place == PLACE_SHARED || o.place == PLACE_REST;
            continue;
        }
        for (uint32_t k = 0; k < n->nargs; k++) varying[id] = varying[id] || varying[graph_arg(g, id, k)];
        /* Computed from shared values only: the stage takes it over.  Constants and their broadcasts too. */
        at_hand[id] = !varying[id] && n->op != OP_random;
        for (uint32_t k = 0; k < n->nargs; k++) {
            NodeId arg = graph_arg(g, id, k);
            at_hand[id] =
                at_hand[id] && at_hand[arg] && (!g->nodes[arg].batched || n->op == OP_reshape || n->op == OP_broadcast);
        }
    }
    w->stored = tape_cut(a, g, varying, at_hand, real_bytes, &w->nstored);
}

static uint64_t *layout_tape(Arena *a, const Whole *w, uint32_t real_bytes, uint64_t *total) {
    uint64_t *offsets = arena_alloc(a, (w->nstored + 1) * sizeof *offsets);
    for (uint32_t k = 0; k < w->nstored; k++) {
        offsets[k] = *total;
        *total += align_bytes(shape_count(graph_node(w->graph, w->stored[k])->shape) * real_bytes);
    }
    return offsets;
}

static void layout_records(Arena *a, const Graph *body, uint32_t nstate, const Shape *extra, uint32_t nextra,
                           uint32_t real_bytes, FixedLayout *l) {
    l->nstate = nstate;
    l->state_offsets = arena_alloc(a, nstate * sizeof *l->state_offsets);
    l->state_shapes = arena_alloc(a, nstate * sizeof *l->state_shapes);
    l->rest_offsets = arena_alloc(a, (body->ninputs + nextra + 1) * sizeof *l->rest_offsets);
    for (uint32_t k = 0; k < body->ninputs; k++) {
        Origin o;
        uint64_t count = shape_count(graph_node(body, body->inputs[k])->shape), bytes = align_bytes(count * real_bytes);
        if (k < nstate) {
            l->state_offsets[k] = l->state_bytes;
            l->state_shapes[k] = graph_node(body, body->inputs[k])->shape;
            l->state_bytes += bytes;
            l->dimension += count;
        } else if (origin_get(body, body->inputs[k], &o) && o.place == PLACE_REST) {
            l->rest_offsets[l->nrest++] = l->rest_bytes;
            l->rest_bytes += bytes;
        }
    }
    for (uint32_t k = 0; k < nextra; k++) {
        l->rest_offsets[l->nrest++] = l->rest_bytes;
        l->rest_bytes += align_bytes(shape_count(extra[k]) * real_bytes);
    }
    for (uint32_t k = 0; k < l->ncotangents; k++)
        for (uint32_t v = 0; v < l->cotangents[k].n; v++) l->cotangents[k].offsets[v] += l->rest_bytes;
    l->rest_bytes += l->extra_bytes;
}

/* NAME_vjp_jvp: the gradient of u'J(z)w in z, in the captured and in the shared values: reverse mode over the tangent
 * program.  It evaluates the body again at z, so no tape holds what only it needs. */
static void make_vjp_jvp(Unit *unit, Stage *s, const Graph *body, uint32_t nstate, const FixedPlan *plan,
                         const char *name) {
    Arena *a = unit->arena;
    Draft *d = draft_new(a, name, true);
    Graph *g = d->graph;
    Body b = copy_body(a, g, s, body, nstate, 1, 2);
    NodeId *wrt = b.wrt, *ct = b.ct, *f = b.f, *t = b.t, *u = b.u;
    uint32_t nwrt = b.nwrt, nout = 0;
    Origin o;
    d->plan = plan;
    for (int k = 0; k < 4; k++) d->arg_bytes[k] = plan->layout->state_bytes;
    linearise(g, f, nstate, wrt, b.dz, nstate, t);
    for (uint32_t k = 0; k < nwrt; k++) ct[k] = NODE_NONE;
    for (uint32_t k = 0; k < nstate; k++) /* components that no state enters have no tangent */
        if (t[k] != NODE_NONE) t[nout] = t[k], u[nout++] = u[k];
    if (nout) reverse(g, t, u, nout, wrt, nwrt, NULL, ct, NULL, NULL);
    for (uint32_t k = 0; k < nwrt; k++) {
        origin_get(g, wrt[k], &o);
        if (k < nstate)
            draft_output(d, ct[k] == NODE_NONE ? zeros(g, graph_node(g, f[k])->shape) : ct[k], PLACE_ARG, 3,
                         plan->layout->state_offsets[k]);
        else if (ct[k] != NODE_NONE && o.place == PLACE_SHARED)
            draft_output(d, ct[k], PLACE_ACCUM, o.index, 0);
        else if (ct[k] != NODE_NONE)
            draft_output(d, ct[k], PLACE_DREST, 0, plan->layout->rest_offsets[o.index]);
    }
    draft_finish(d, unit, s, NULL, 0);
}

typedef enum Wanted {
    WANT_F = 1,
    WANT_TAPE = 2,
    WANT_JVP = 4,
    WANT_Z = 8,
    WANT_REST = 16,
    WANT_SHARED = 32,
    WANT_DIAGONAL = 64
} Wanted;

static void make_routine(Unit *unit, Stage *s, const Whole *w, const FixedPlan *plan, const char *name,
                         unsigned wanted) {
    Draft *d = draft_new(unit->arena, name, true);
    NodeId *map = graph_map(unit->arena, w->graph);
    const Graph *g = w->graph;
    d->plan = plan;
    d->arg_bytes[0] = plan->layout->state_bytes;
    if (wanted & (WANT_F | WANT_JVP | WANT_Z | WANT_DIAGONAL)) d->arg_bytes[1] = plan->layout->state_bytes;
    for (uint32_t k = 0; !(wanted & (WANT_F | WANT_TAPE)) && k < w->nstored; k++)
        map[w->stored[k]] = origin_input(d->graph, (Origin){PLACE_TAPE, k, 0}, graph_node(g, w->stored[k])->shape, true,
                                         arena_printf(unit->arena, "tape%u", k), graph_node(g, w->stored[k])->loc);
    static const struct {
        unsigned wanted;
        size_t first;
    } states[] = {{WANT_F, offsetof(Whole, f)},
                  {WANT_JVP, offsetof(Whole, jvp)},
                  {WANT_Z, offsetof(Whole, vjp_z)},
                  {WANT_DIAGONAL, offsetof(Whole, diagonal)}};
    for (int j = 0; j < 4; j++)
        for (uint32_t k = 0; (wanted & states[j].wanted) && k < w->nstate; k++) {
            uint32_t first = *(const uint32_t *)((const char *)w + states[j].first);
            draft_output(d, graph_copy(d->graph, g, g->outputs[first + k], map), PLACE_ARG, 1,
                         plan->layout->state_offsets[k]);
        }
    for (uint32_t k = 0; (wanted & WANT_REST) && k < w->nrest; k++)
        draft_output(d, graph_copy(d->graph, g, g->outputs[w->vjp_rest + k], map), PLACE_DREST, 0,
                     plan->layout->rest_offsets[w->rest[k]]);
    for (uint32_t k = 0; (wanted & WANT_SHARED) && k < w->nshared; k++)
        draft_output(d, graph_copy(d->graph, g, g->outputs[w->vjp_shared + k], map), PLACE_ACCUM, w->shared[k], 0);
    for (uint32_t k = 0; (wanted & WANT_TAPE) && k < w->nstored; k++)
        draft_output(d, graph_copy(d->graph, g, w->stored[k], map), PLACE_TAPE, 0, plan->tape_offsets[k]);
    Origin o;
    for (uint32_t k = 0; !(wanted & (WANT_F | WANT_TAPE)) && k < d->graph->ninputs; k++)
        if (origin_get(d->graph, d->graph->inputs[k], &o) && o.place == PLACE_ARG && o.index < ORIGIN_COTANGENT)
            ICE("%s reads the state, not the tape", name);
    draft_finish(d, unit, s, NULL, 0);
}

/* Of z = prox(L z + c): routines of one argument, which write arg1. */
static void split_routines(Unit *unit, Stage *s, const Graph *body, const FixedPlan *plan, const Split *split) {
    const SplitParts *p = split_parts(unit->arena, body, plan->layout->nstate, split);
    const struct {
        const char *suffix;
        uint32_t first;
    } routines[] = {{"linear", p->linear},
                    {"transposed", p->transposed},
                    {"constant", p->constant},
                    {"prox", p->prox},
                    {"slope", p->slope}};
    for (size_t j = 0; j < sizeof routines / sizeof *routines; j++) {
        if (split->projection && routines[j].first == p->slope) continue; /* only other proxes change with the step */
        Draft *d =
            draft_new(unit->arena, arena_printf(unit->arena, "%s_%s", plan->layout->name, routines[j].suffix), true);
        NodeId *map = graph_map(unit->arena, p->graph);
        d->plan = plan;
        d->arg_bytes[0] = d->arg_bytes[1] = plan->layout->state_bytes;
        for (uint32_t k = 0; k < plan->layout->nstate; k++)
            draft_output(d, graph_copy(d->graph, p->graph, p->graph->outputs[routines[j].first + k], map), PLACE_ARG, 1,
                         plan->layout->state_offsets[k]);
        draft_finish(d, unit, s, NULL, 0);
    }
}

/* ---- the passes ---- */

/* needs: graph and bodies with their places.
 * ensures: every layout's cotangents, extra_bytes and downstream.  changes: no graph. */
void pass_cotangents(Maker *m) {
    for (uint32_t k = 0; k < m->model->nfixed; k++)
        cotangent_plan(m->unit->arena, m->graph, m->model, k, m->unit->layout.real_bytes, &m->fixed[k]);
}

/* needs: cotangents planned, as they end the rest record.
 * ensures: the layouts are complete but for the tape; work[k].split.  changes: no graph. */
void pass_records(Maker *m) {
    for (uint32_t k = 0; k < m->model->nfixed; k++) {
        const FixedPoint *fixed = &m->model->fixed[k];
        FixedLayout *l = &m->fixed[k];
        FixedWork *w = &m->work[k];
        l->name = fixed->name;
        l->index = k;
        layout_records(m->unit->arena, m->bodies[k], fixed->nstate, w->extra, w->nextra, m->unit->layout.real_bytes, l);
        l->given = w->given;
        if (w->given) l->start_offset = l->rest_offsets[w->start];
        w->split = split_recognise(m->unit->arena, m->bodies[k], fixed->nstate);
        l->splits = !w->split.why;
        l->shared_linear = w->split.shared;
        l->projection = w->split.projection;
        l->unsplit = w->split.why;
    }
}

/* needs: origins on all inputs of the bodies; their splits.  ensures: work[k].whole.  changes: no other graph. */
void pass_differentiate(Maker *m) {
    for (uint32_t k = 0; k < m->model->nfixed; k++)
        m->work[k].whole = whole_graph(m->unit->arena, m->stage, m->bodies[k], m->nstate[k], &m->work[k].split);
}

/* ensures: the whole graphs' `stored`, with their place in the tape record.  changes: no graph. */
void pass_tape(Maker *m) {
    uint32_t real = m->unit->layout.real_bytes;
    for (uint32_t k = 0; k < m->model->nfixed; k++) {
        FixedLayout *l = &m->fixed[k];
        choose_tape(m->unit->arena, m->work[k].whole, real);
        m->work[k].plan = (FixedPlan){l, layout_tape(m->unit->arena, m->work[k].whole, real, &l->tape_bytes)};
    }
}

static void fixed_routines(Maker *m, uint32_t index) {
    static const struct {
        const char *suffix;
        unsigned wanted;
    } routines[] = {
        {"f", WANT_F},
        {"lin", WANT_F | WANT_TAPE},
        {"jvp", WANT_JVP},
        {"vjp_z", WANT_Z},
        {"vjp_x", WANT_REST},
        {"vjp_rest", WANT_REST | WANT_SHARED},
        {"vjp_zx", WANT_Z | WANT_REST},
        {"vjp_all", WANT_Z | WANT_REST | WANT_SHARED},
        {"diagonal", WANT_DIAGONAL},
    };
    Unit *unit = m->unit;
    const FixedWork *w = &m->work[index];
    const char *name = m->model->fixed[index].name;
    for (size_t k = 0; k < sizeof routines / sizeof *routines; k++)
        if (routines[k].wanted != WANT_DIAGONAL || !w->split.why) {
            const unsigned wanted = routines[k].wanted;
            make_routine(unit, m->stage, w->whole, &w->plan,
                         arena_printf(unit->arena, "%s_%s", name, routines[k].suffix), wanted);
            const bool of_inputs = wanted == WANT_Z || wanted == (WANT_Z | WANT_REST);
            unit->routines[unit->nroutines - 1]->halves = of_inputs || !(wanted & ~(WANT_F | WANT_TAPE));
        }
    if (m->model->penalised)
        make_vjp_jvp(unit, m->stage, m->bodies[index], m->nstate[index], &w->plan,
                     arena_printf(unit->arena, "%s_vjp_jvp", name));
    if (!w->split.why) split_routines(unit, m->stage, m->bodies[index], &w->plan, &w->split);
    *ARENA_PUSH(unit->arena, unit->fixed, unit->nfixed, unit->fixed_cap) = &m->fixed[index];
}

/* needs: the tape.  ensures: the routines of fixed.def, and NAME_LOSS_cotangent and its kin, of every fixed point.
 * changes: the stage, by what these routines read of it. */
void pass_fixed(Maker *m) {
    for (uint32_t k = 0; k < m->model->nfixed; k++) {
        fixed_routines(m, k);
        cotangent_routines(m->unit, m->stage, m->graph, m->model, k, &m->fixed[k]);
    }
}
