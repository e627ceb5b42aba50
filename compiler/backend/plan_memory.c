/* plan_memory.c - where values stand: buffers, records of calls, outputs in place, live ranges. */
#include "conv_plan.h"
#include "planner.h"

/* ---- buffers and slots ---- */
uint32_t plan_new_buffer(Planner *p, Scope scope, uint64_t bytes, uint32_t level) {
    bytes = padded(bytes);
    if (scope != SCOPE_ONCE && bytes && bytes % 4096 == 0) bytes += DEQ_ALIGN; /* else all rows fall on one cache set */
    *ARENA_PUSH(p->arena, p->s->buffers, p->s->nbuffers, p->s->buffers_cap) =
        (Buffer){.scope = scope, .bytes = bytes, .first = NONE, .level = level};
    return p->s->nbuffers - 1;
}

uint32_t plan_new_record(Planner *p, uint64_t stride) {
    uint32_t b = plan_new_buffer(p, SCOPE_ROWS, 0, 0);
    p->s->buffers[b].bytes = stride;
    return b;
}

static Slot buffer_slot(const Planner *p, uint32_t buffer, uint64_t offset) {
    const Buffer *b = &p->s->buffers[buffer];
    return (Slot){SLOT_BUFFER, buffer, offset, b->scope == SCOPE_ONCE ? 0 : b->bytes};
}

static void touch(Planner *p, uint32_t buffer, uint32_t when) {
    Buffer *b = &p->s->buffers[buffer];
    if (b->first == NONE || when < b->first) b->first = when;
    if (b->last < when) b->last = when;
}

Slot plan_binding_slot(const Planner *p, const Binding *b, bool batched) {
    const Routine *r = p->r;
    switch (b->place) {
    case PLACE_SHARED: return (Slot){SLOT_SHARED, 0, b->offset, 0};
    case PLACE_ACCUM: return (Slot){SLOT_ACCUM, 0, b->offset, 0};
    case PLACE_REST: return (Slot){SLOT_REST, 0, b->offset, r->rest_bytes};
    case PLACE_DREST: return (Slot){SLOT_DREST, 0, b->offset, r->rest_bytes};
    case PLACE_TAPE: return (Slot){SLOT_TAPE, 0, b->offset, r->tape_bytes};
    case PLACE_ARG: return (Slot){SLOT_ARG, b->index, b->offset, r->rows && batched ? r->arg_bytes[b->index] : 0};
    case PLACE_SCALAR: return (Slot){SLOT_SCALAR, b->index, 0, 0};
    case PLACE_BLOCK: { /* buffers 0 .. nblocks-1 of every step are the routine's own */
        return (Slot){SLOT_BUFFER, b->index, b->offset, p->s->buffers[b->index].bytes};
    }
    }
    ICE("%s: a binding has no place", r->name);
}

static bool overlaps(Slot a, uint64_t a_bytes, Slot b, uint64_t b_bytes) {
    return a.base == b.base && a.index == b.index && a.offset < b.offset + b_bytes && b.offset < a.offset + a_bytes;
}

/* The binding's value goes to `to`, from the node's own group if it can. */
static void place_store(Planner *p, NodeId id, Slot to, bool add, bool batched, uint32_t level) {
    NodePlan *x = info(p, id);
    Store store = {.node = id, .to = to, .add = add};
    uint32_t group = x->group;
    if (!(treatment_in_cluster(x->treatment) && same_part(p->s->groups[group], p->s->groups[group]->level, batched))) {
        uint32_t at = x->available > level ? x->available : level;
        NodeId source = id;
        if (plan_splat(p->g, p->s, id)) source = argument(p, id, 0);
        uint32_t bound = plan_bound_after(p, source, source == id, at, batched);
        group = plan_find_cluster(p, bound, at, batched, count_of(node(p, id)), x->component);
        if (x->treatment != TREAT_INLINE && x->treatment != TREAT_INPUT) x->memory = true;
        if (source != id) info(p, source)->memory = true;
    }
    Group *g = p->s->groups[group];
    *ARENA_PUSH(p->arena, g->stores, g->nstores, g->stores_cap) = store;
}

/* The last level in which the node is read; a block operation reads after the tiles. */
static uint32_t last_read(const Planner *p, NodeId id) {
    uint32_t last = 0;
    for (uint32_t k = 0; k < p->nusers[id]; k++) {
        const NodePlan *u = info(p, p->users[id][k]);
        uint32_t at = u->level + (u->treatment == TREAT_BLOCK);
        if (at > last) last = at;
        if (u->treatment == TREAT_INLINE) { /* read again wherever the broadcast is used */
            uint32_t through = last_read(p, p->users[id][k]);
            if (through > last) last = through;
        }
    }
    return last;
}

/* Every reader of the input is an elementwise member of the cluster, at the same element: overwriting is safe there. */
static bool read_only_by(const Planner *p, NodeId input, uint32_t group) {
    bool through_splat;
    for (uint32_t k = 0; k < p->nusers[input]; k++) {
        NodeId u = p->users[input][k];
        if (info(p, u)->treatment != TREAT_ELEMENT || info(p, u)->group != group) return false;
        for (uint32_t a = 0; a < node(p, u)->nargs; a++)
            if (plan_dependence(p, u, a, &through_splat) == input && through_splat) return false;
    }
    return true;
}

static bool is_add(Place place) { return place == PLACE_ACCUM || place == PLACE_DREST; }
static bool is_shared(Place place) { return place == PLACE_SHARED || place == PLACE_ACCUM; }

void plan_output(Planner *p, const Binding *b) {
    NodeId id = canonical(p, b->node);
    NodePlan *x = info(p, id);
    const Node *n = node(p, id);
    bool batched = p->r->rows && !is_shared(b->place), hazard = false, safe = true;
    Slot to = plan_binding_slot(p, b, batched);
    uint64_t bytes = padded(plan_stored_count(p->unit, n) * p->unit->real_bytes);
    uint32_t level = x->available;
    if (n->batched && !batched) ICE("%s: a batched value goes to a shared place", p->r->name);
    for (uint32_t k = 0; k < p->s->step->nin; k++) {
        const Binding *in = &p->s->step->in[k];
        NodeId input = canonical(p, in->node);
        const Node *m = node(p, input);
        uint64_t size = padded(plan_stored_count(p->unit, m) * p->unit->real_bytes);
        Slot from = plan_binding_slot(p, in, m->batched);
        if (info(p, input)->treatment != TREAT_INPUT || !overlaps(to, bytes, from, size)) continue;
        hazard = true;
        safe = safe && x->treatment == TREAT_ELEMENT && from.offset == to.offset && read_only_by(p, input, x->group) &&
               same_part(p->s->groups[x->group], x->level, batched);
        for (uint32_t o = 0; o < p->s->step->nout; o++) /* the input is itself an output: another reader */
            safe = safe && canonical(p, p->s->step->out[o].node) != input;
        uint32_t last = last_read(p, input);
        if (last > level) level = last;
    }
    if (hazard && !safe) { /* after all other groups of the part, from a copy where the source is itself overwritten */
        Store store = {.node = id, .to = to, .add = is_add(b->place)};
        if (x->treatment == TREAT_INPUT) {
            uint32_t copy = plan_new_buffer(p, batched ? SCOPE_ROWS : SCOPE_ONCE, count_of(n) * p->unit->real_bytes, 0);
            place_store(p, id, buffer_slot(p, copy, 0), false, batched, 0);
            store.source = buffer_slot(p, copy, 0);
            store.has_source = true;
            if (batched) touch(p, copy, 0), touch(p, copy, level);
        } else if (x->treatment != TREAT_INLINE) {
            x->memory = true;
        } else if (plan_splat(p->g, p->s, id)) {
            info(p, argument(p, id, 0))->memory = true;
        }
        uint32_t last = plan_new_group(p, level, batched, count_of(n), x->component); /* may move the array */
        Group *g = p->s->groups[last];
        g->final = true;
        *ARENA_PUSH(p->arena, g->stores, g->nstores, g->stores_cap) = store;
        return;
    }
    bool once_node = !n->batched;
    bool own = !is_add(b->place) && x->slot.base == SLOT_NONE && once_node == !batched &&
               x->treatment != TREAT_INLINE && x->treatment != TREAT_INPUT && x->treatment != TREAT_VIEW &&
               x->treatment != TREAT_SUM && x->treatment != TREAT_BLOCK && to.base != SLOT_REST;
    if (own) {
        x->slot = to; /* computed in place, and read from there */
        x->memory = true;
        return;
    }
    if (b->place == PLACE_ACCUM && (x->treatment == TREAT_SUM || n->op == OP_batch_outer) && p->nusers[id] == 0) {
        uint32_t uses = 0;
        for (uint32_t o = 0; o < p->s->step->nout; o++) uses += canonical(p, p->s->step->out[o].node) == id;
        if (uses == 1) {
            x->slot = to;
            x->sum_direct = true;
            return;
        }
    }
    if (x->treatment == TREAT_BLOCK) x->memory = true;
    place_store(p, id, to, is_add(b->place), batched, level);
}

/* ---- calls ---- */

/* The objective of a query and the record of what it captures, laid out as objective_offset says. */
static void plan_objective_of(Planner *p, NodeId id) {
    const Node *n = node(p, id);
    CallPlan *c = &p->s->calls[id];
    if (!n->attr.query.objective) return;
    if ((uint64_t)n->attr.query.objective > p->r->nobjectives)
        ICE("%s: there is no objective %d", p->r->name, (int)n->attr.query.objective);
    const char *name = p->r->objectives[n->attr.query.objective - 1];
    c->objective = plan_find(p->unit, name);
    if (!c->objective || !c->objective->routine->objective) ICE("%s: '%s' is no objective", p->r->name, name);
    if (n->nargs == 1) return;
    c->rest = plan_new_record(p, c->objective->routine->rest_bytes);
    touch(p, c->rest, info(p, id)->level);
    uint64_t offset = 0;
    for (uint32_t k = 1; k < n->nargs; k++) {
        NodeId a = argument(p, id, k);
        place_store(p, a, buffer_slot(p, c->rest, offset), false, true, 0);
        touch(p, c->rest, info(p, a)->available);
        offset += padded(count_of(node(p, a)) * p->unit->real_bytes);
    }
}

void plan_call(Planner *p, NodeId id) {
    const Node *n = node(p, id);
    NodePlan *x = info(p, id);
    CallPlan *c = &p->s->calls[id];
    switch (n->op) {
    case OP_random: x->memory = true; break;
    case OP_batch_outer: /* its operands are rows at a constant distance */
        for (uint32_t k = 0; k < 2; k++) {
            NodeId a = argument(p, id, k);
            c->operand[k] = NONE;
            if (info(p, a)->slot.base != SLOT_REST && info(p, a)->slot.base != SLOT_DREST) continue;
            c->operand[k] = plan_new_buffer(p, SCOPE_ROWS, count_of(node(p, a)) * p->unit->real_bytes, 0);
            place_store(p, a, buffer_slot(p, c->operand[k], 0), false, true, x->level);
            touch(p, c->operand[k], x->level);
        }
        break;
    case OP_fixed: {
        if ((uint64_t)n->attr.fixed.index >= p->r->nfixed)
            ICE("%s: there is no fixed point %d", p->r->name, (int)n->attr.fixed.index);
        const FixedLayout *f = &p->r->fixed[n->attr.fixed.index];
        c->rest = plan_new_record(p, f->rest_bytes);
        c->z = plan_new_record(p, f->state_bytes);
        touch(p, c->rest, x->level);
        touch(p, c->z, x->level);
        for (uint32_t k = 0; k < n->nargs; k++) {
            uint32_t captured = n->nargs - (uint32_t)n->attr.fixed.extra;
            if (captured > f->nrest) ICE("%s: %s captures more than its layout says", p->r->name, f->name);
            uint64_t offset =
                k < captured ? f->rest_offsets[k] : f->cotangents[n->attr.fixed.loss - 1].offsets[k - captured];
            if (offset == UINT64_MAX) continue;
            NodeId a = argument(p, id, k);
            place_store(p, a, buffer_slot(p, c->rest, offset), false, true, 0);
            touch(p, c->rest, info(p, a)->available);
        }
        for (NodeId u = id + 1; u < p->g->nnodes; u++)
            if (info(p, u)->treatment == TREAT_BLOCK && node(p, u)->op == OP_fixed_gradient && argument(p, u, 0) == id)
                c->want_gradient = true;
        break;
    }
    case OP_fixed_gradient: {
        NodeId fixed = argument(p, id, 0);
        const FixedLayout *f = &p->r->fixed[node(p, fixed)->attr.fixed.index];
        c->rest = p->s->calls[fixed].rest;
        c->u = plan_new_record(p, f->state_bytes);
        c->drest = plan_new_record(p, f->rest_bytes);
        touch(p, c->rest, x->level);
        touch(p, c->u, x->level);
        touch(p, c->drest, x->level);
        for (uint32_t k = 1; k < n->nargs; k++) {
            NodeId a = argument(p, id, k);
            if (k > f->nstate) ICE("%s: %s has fewer components than cotangents", p->r->name, f->name);
            place_store(p, a, buffer_slot(p, c->u, f->state_offsets[k - 1]), false, true, 0);
            touch(p, c->u, info(p, a)->available);
        }
        break;
    }
    case OP_solve: { /* the right side's record becomes the solution's */
        uint64_t map = (uint64_t)n->attr.solve.map;
        if (map >= p->r->nfixed) ICE("%s: there is no linear map %d", p->r->name, (int)map);
        const FixedLayout *f = &p->r->fixed[map];
        c->rest = plan_new_record(p, f->rest_bytes);
        c->u = plan_new_record(p, f->state_bytes);
        touch(p, c->rest, x->level);
        touch(p, c->u, x->level);
        for (uint32_t k = 0; k < n->nargs; k++) {
            if (k > f->nrest) ICE("%s: %s captures more than its layout says", p->r->name, f->name);
            NodeId a = argument(p, id, k);
            uint32_t to = k ? c->rest : c->u;
            place_store(p, a, buffer_slot(p, to, k ? f->rest_offsets[k - 1] : 0), false, true, 0);
            touch(p, to, info(p, a)->available);
        }
        x->slot = buffer_slot(p, c->u, 0);
        break;
    }
    case OP_query: {
        c->callee = plan_find(p->unit, n->attr.name);
        if (!c->callee) ICE("%s: queries the unknown routine '%s'", p->r->name, n->attr.name);
        const Routine *callee = c->callee->routine;
        for (uint32_t k = 2; k <= 4; k++) {
            if (!callee->arg_bytes[k]) continue;
            c->results[k] = plan_new_record(p, callee->arg_bytes[k]);
            touch(p, c->results[k], x->level);
        }
        NodeId a = argument(p, id, 0);
        c->z = plan_new_record(p, callee->arg_bytes[0]);
        place_store(p, a, buffer_slot(p, c->z, 0), false, true, 0);
        touch(p, c->z, info(p, a)->available);
        touch(p, c->z, x->level);
        plan_objective_of(p, id);
        break;
    }
    case OP_counted:
        c->u = plan_new_record(p, padded(count_of(n) * p->unit->real_bytes));
        c->z = plan_new_record(p, padded(p->unit->real_bytes));
        for (uint32_t k = 0; k < n->nargs; k++) {
            NodeId a = argument(p, id, k);
            const uint32_t to = k ? c->z : c->u;
            place_store(p, a, buffer_slot(p, to, 0), false, true, 0);
            touch(p, to, info(p, a)->available);
            touch(p, to, x->level);
        }
        x->slot = buffer_slot(p, c->u, 0);
        break;
    case OP_objective: {
        NodeId a = argument(p, id, 0);
        uint64_t output = padded(count_of(node(p, a)) * p->unit->real_bytes);
        c->z = plan_new_record(p, output);
        c->results[OBJECTIVE_VALUE] = plan_new_record(p, padded(p->unit->real_bytes));
        c->results[OBJECTIVE_DERIVATIVE] = plan_new_record(p, output);
        place_store(p, a, buffer_slot(p, c->z, 0), false, true, 0);
        touch(p, c->z, info(p, a)->available);
        touch(p, c->z, x->level);
        for (uint32_t k = OBJECTIVE_VALUE; k <= OBJECTIVE_DERIVATIVE; k++) touch(p, c->results[k], x->level);
        break;
    }
    default: ICE("%s is no block operation", "node");
    }
}

void plan_view(Planner *p, NodeId id) {
    const Node *n = node(p, id);
    NodeId owner = argument(p, id, 0);
    const CallPlan *c = &p->s->calls[owner];
    switch (n->op) {
    case OP_fixed_state: {
        const FixedLayout *f = &p->r->fixed[node(p, owner)->attr.fixed.index];
        info(p, id)->slot = buffer_slot(p, c->z, f->state_offsets[n->attr.state.component]);
        break;
    }
    case OP_fixed_cotangent: {
        const FixedLayout *f = &p->r->fixed[node(p, owner)->attr.gradient.index];
        const Node *fixed = node(p, argument(p, owner, 0));
        uint32_t captured = fixed->nargs - (uint32_t)fixed->attr.fixed.extra, k = (uint32_t)n->attr.cotangent.captured;
        uint64_t offset =
            k < captured ? f->rest_offsets[k] : f->cotangents[fixed->attr.fixed.loss - 1].offsets[k - captured];
        if (offset == UINT64_MAX) ICE("%s: captured value %d of %s is shared", p->r->name, (int)k, f->name);
        info(p, id)->slot = buffer_slot(p, c->drest, offset);
        break;
    }
    default: info(p, id)->slot = buffer_slot(p, c->results[n->attr.result.argument], 0); break;
    }
}

/* ---- memory ---- */
static void find_memory(Planner *p) {
    bool through_splat;
    for (NodeId id = 0; id < p->g->nnodes; id++) {
        const NodePlan *x = info(p, id);
        if (x->treatment == TREAT_DEAD || x->treatment == TREAT_ALIAS) continue;
        if (x->treatment == TREAT_INLINE && x->group == NONE) {
            /* its element is read by the clusters that use it: see the users' own dependences */
            continue;
        }
        for (uint32_t k = 0; k < node(p, id)->nargs; k++) {
            NodeId d = x->treatment == TREAT_INLINE ? argument(p, id, k) : plan_dependence(p, id, k, &through_splat);
            if (d == NODE_NONE) continue;
            NodePlan *y = info(p, d);
            if (y->treatment == TREAT_INLINE && y->group == NONE) continue; /* a store into a record makes it */
            bool held = treatment_in_cluster(x->treatment) && !through_splat && y->treatment == TREAT_ELEMENT &&
                        y->group == x->group;
            if (!held) y->memory = true;
        }
    }
    for (uint32_t k = 0; k < p->s->ngroups; k++) { /* a store of a member of another cluster reads memory */
        const Group *g = p->s->groups[k];
        for (uint32_t s = 0; s < g->nstores; s++) {
            NodePlan *y = info(p, g->stores[s].node);
            if (!g->stores[s].has_source && treatment_in_cluster(y->treatment) && y->group != k) y->memory = true;
        }
    }
}

/* Does anything outside the tile loop of its level read the node's rows? */
static bool crosses_levels(const Planner *p, NodeId id, uint32_t *last) {
    const NodePlan *x = info(p, id);
    bool crosses = x->available > x->level;
    *last = x->level > x->available ? x->level : x->available;
    for (uint32_t k = 0; k < p->nusers[id]; k++) {
        NodeId u = p->users[id][k];
        const NodePlan *y = info(p, u);
        if (y->level != x->level || (y->treatment == TREAT_BLOCK && node(p, u)->op == OP_batch_outer)) crosses = true;
        if (y->level > *last) *last = y->level;
        if (y->treatment == TREAT_INLINE) {
            uint32_t through;
            if (crosses_levels(p, u, &through)) crosses = true;
            if (through > *last) *last = through;
        }
    }
    for (uint32_t k = 0; k < p->s->ngroups; k++) {
        const Group *g = p->s->groups[k];
        for (uint32_t s = 0; s < g->nstores; s++) {
            if (g->stores[s].node != id || g->stores[s].has_source) continue;
            if (g->level != x->level) crosses = true;
            if (g->level > *last) *last = g->level;
        }
    }
    return crosses;
}

/* The last group of the level that reads the node. */
static uint32_t last_group(const Planner *p, NodeId id) {
    uint32_t last = p->s->groups[info(p, id)->group]->position;
    for (uint32_t k = 0; k < p->nusers[id]; k++) {
        const NodePlan *u = info(p, p->users[id][k]);
        if (u->treatment == TREAT_INLINE) {
            for (uint32_t j = 0; j < p->nusers[p->users[id][k]]; j++) {
                const NodePlan *v = info(p, p->users[p->users[id][k]][j]);
                if (v->group != NONE && p->s->groups[v->group]->position > last)
                    last = p->s->groups[v->group]->position;
            }
        }
        if (u->group != NONE && p->s->groups[u->group]->position > last) last = p->s->groups[u->group]->position;
    }
    for (uint32_t k = 0; k < p->s->ngroups; k++) {
        const Group *g = p->s->groups[k];
        for (uint32_t s = 0; s < g->nstores; s++) {
            NodeId stored = g->stores[s].node;
            bool reads = stored == id || (plan_splat(p->g, p->s, stored) && argument(p, stored, 0) == id);
            if (reads && !g->stores[s].has_source && g->position > last) last = g->position;
        }
    }
    return last;
}

/* Whether the node runs in Winograd's form.  ensures: otherwise plan->bytes is what its bordered image takes, if any. */
static bool conv_plan(const Planner *p, NodeId id, WinogradPlan *plan) {
    const Node *n = node(p, id);
    ConvShape c;
    bool image = n->op == OP_conv || n->op == OP_conv_input,
         weight = n->op == OP_conv_weight || n->op == OP_batch_conv_weight;
    *plan = (WinogradPlan){.images = 1};
    if ((!image && !weight) || !n->attr.conv.last || (image && !n->attr.conv.packed)) return false;
    if (conv_shape(n->op, &n->attr, node(p, graph_arg(p->g, id, 0))->shape, node(p, graph_arg(p->g, id, 1))->shape, &c))
        return false; /* the verifier has refused it */
    Op op = weight ? OP_conv : n->op;
    if (image && n->attr.conv.packed == CONV_WINOGRAD) {
        *plan = winograd_plan(op, &c, p->unit->real_bytes, p->unit->panel);
        return true;
    }
    if (weight && winograd_weight_plan(&c, p->unit->real_bytes, p->unit->panel, plan)) return true;
    plan->bytes = conv_border(op, &c).needed ? conv_border_count(op, &c) * p->unit->real_bytes : 0;
    return false;
}

uint64_t plan_conv_workspace(const Planner *p, NodeId id) {
    WinogradPlan plan;
    conv_plan(p, id, &plan);
    return plan.bytes;
}

uint32_t plan_conv_images(const Planner *p, NodeId id) {
    WinogradPlan plan;
    if (node(p, id)->op == OP_conv_weight) return 1; /* the images' cotangents of the weights are not added */
    return conv_plan(p, id, &plan) ? plan.images : 1;
}

/* Images at constant distances: of what is read through an index each is found for itself. */
static bool at_constant_distance(const Planner *p, NodeId id) {
    const SlotBase base = info(p, id)->slot.base;
    return base != SLOT_REST && base != SLOT_DREST;
}

static bool runs_together(const Planner *p, const Group *g) {
    if (g->cluster || !g->batched || !g->nmembers || p->s->levels[g->level].images == 1) return false;
    const NodeId id = g->members[0];
    bool constant = plan_conv_images(p, id) > 1 && at_constant_distance(p, id);
    for (uint32_t k = 0; k < node(p, id)->nargs; k++)
        constant = constant && at_constant_distance(p, argument(p, id, k));
    return constant;
}

/* Are all nodes of a routine in pieces read within groups, whose order is known? */
static bool all_in_groups(const Planner *p) {
    bool all = p->r->pieces;
    for (NodeId id = 0; id < p->g->nnodes; id++) {
        const Treatment t = info(p, id)->treatment;
        all = all && t != TREAT_BLOCK && t != TREAT_SUM && t != TREAT_VIEW;
    }
    return all;
}

static void assign_slots(Planner *p) {
    const bool in_groups = all_in_groups(p);
    for (NodeId id = 0; id < p->g->nnodes; id++) {
        NodePlan *x = info(p, id);
        const Node *n = node(p, id);
        if (x->treatment == TREAT_DEAD || x->treatment == TREAT_ALIAS) continue;
        if (x->treatment == TREAT_VIEW || n->op == OP_solve) { /* the record lives as long as its views are read */
            uint32_t last;
            crosses_levels(p, id, &last);
            touch(p, x->slot.index, last);
            continue;
        }
        bool sum = x->treatment == TREAT_SUM || n->op == OP_batch_outer;
        if (sum && x->slot.base == SLOT_NONE) x->memory = true;
        if (!x->memory || x->slot.base != SLOT_NONE || x->treatment == TREAT_INPUT) continue;
        if (x->treatment == TREAT_BLOCK && n->op != OP_random && n->op != OP_batch_outer) continue;
        uint64_t bytes = plan_stored_count(p->unit, n) * p->unit->real_bytes;
        uint32_t last, buffer;
        if (!n->batched) {
            buffer = plan_new_buffer(p, SCOPE_ONCE, bytes, 0);
            if (in_groups && x->group != NONE) {
                touch(p, buffer, p->s->groups[x->group]->position);
                touch(p, buffer, last_group(p, id));
            }
        } else if (crosses_levels(p, id, &last) || n->op == OP_random) {
            buffer = plan_new_buffer(p, SCOPE_ROWS, bytes, 0);
            touch(p, buffer, x->level);
            touch(p, buffer, last);
        } else {
            buffer = plan_new_buffer(p, SCOPE_TILE, bytes, x->level);
            touch(p, buffer, p->s->groups[x->group]->position);
            touch(p, buffer, last_group(p, id));
        }
        x->slot = buffer_slot(p, buffer, 0);
    }
    for (uint32_t k = 0; k < p->s->ngroups; k++) {
        Group *g = p->s->groups[k];
        if (!g->cluster && plan_conv_workspace(p, g->members[0])) {
            g->workspace = plan_new_buffer(p, g->batched ? SCOPE_TILE : SCOPE_ONCE,
                                           plan_conv_workspace(p, g->members[0]), g->level);
            p->s->buffers[g->workspace].alone = true;
            touch(p, g->workspace, g->position);
            continue;
        }
        if (g->cluster || !g->batched || info(p, g->members[0])->treatment != TREAT_PRODUCT) continue;
        NodeId a = argument(p, g->members[0], 0);
        Slot from = info(p, a)->slot;
        if (from.base == SLOT_REST || from.base == SLOT_DREST || (from.stride && from.stride % 4096 == 0)) {
            g->workspace = plan_new_buffer(p, SCOPE_TILE, count_of(node(p, a)) * p->unit->real_bytes, g->level);
            touch(p, g->workspace, g->position);
        }
    }
}

/* Of `rows` rows of a tile or region. */
static uint64_t bytes_of(const Buffer *b, uint64_t rows) { return b->alone ? b->bytes : b->bytes * rows; }

/* First fit: a buffer takes the lowest offset free during its whole life.  The buffers before `from` are left alone. */
static uint64_t allocate(StepPlan *s, uint32_t from, Scope scope, uint32_t level, uint64_t rows, uint64_t start) {
    uint64_t high = start;
    for (uint32_t k = from; k < s->nbuffers; k++) {
        Buffer *b = &s->buffers[k];
        if (b->scope != scope || (scope == SCOPE_TILE && b->level != level)) continue;
        uint64_t at = start;
        for (bool moved = true; moved;) {
            moved = false;
            for (uint32_t j = from; j < k; j++) {
                const Buffer *o = &s->buffers[j];
                if (o->scope != scope || (scope == SCOPE_TILE && o->level != level)) continue;
                if (!plan_at_once(s, o, b)) continue;
                if (at < o->offset + bytes_of(o, rows) && o->offset < at + bytes_of(b, rows)) {
                    at = o->offset + bytes_of(o, rows);
                    moved = true;
                }
            }
        }
        b->offset = at;
        if (at + bytes_of(b, rows) > high) high = at + bytes_of(b, rows);
    }
    return high;
}

void plan_storage(Planner *p) {
    StepPlan *s = p->s;
    RoutinePlan *routine = p->routine;
    find_memory(p);
    assign_slots(p);
    for (uint32_t k = 0; k < s->ngroups; k++)
        if (runs_together(p, s->groups[k])) info(p, s->groups[k]->members[0])->together = true;
    plan_runs(p);
    plan_lifetimes(p);
    uint64_t tile = 0;
    for (uint32_t k = 0; k < s->nlevels; k++) {
        const LevelPlan *level = &s->levels[k];
        uint64_t rows = level->tall ? TALL_ROWS : level->products ? p->unit->tile_rows : level->images;
        uint64_t high = allocate(s, 0, SCOPE_TILE, k, rows, 0);
        if (high > tile) tile = high;
    }
    if (tile > routine->tile_bytes) routine->tile_bytes = tile;
    for (uint32_t k = 0; k < s->nbuffers; k++) {
        Buffer *b = &s->buffers[k];
        if (b->scope == SCOPE_ONCE && (!p->r->pieces || b->first == NONE)) b->first = 0, b->last = NONE;
    }
    uint64_t once = allocate(s, 0, SCOPE_ONCE, 0, 1, 0);
    if (once > routine->once_bytes) routine->once_bytes = once;
    uint64_t blocks = 0;
    for (uint32_t k = 0; k < p->r->nblocks; k++) blocks += s->buffers[k].bytes;
    uint64_t rows = allocate(s, p->r->nblocks, SCOPE_ROWS, 0, 1, blocks);
    if (rows > routine->row_bytes) routine->row_bytes = rows;
}
