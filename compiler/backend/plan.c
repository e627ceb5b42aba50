/* plan.c - see plan.h. */
#include "plan.h"
#include <string.h>

#define NONE UINT32_MAX

static uint64_t count_of(const Node *n) {
    uint64_t c = 1;
    for (uint32_t k = 0; k < n->shape.rank; k++) c *= n->shape.dims[k];
    return c;
}

uint64_t plan_stored_count(const PlanUnit *u, const Node *n) {
    if (n->op == OP_pack || (n->op == OP_input && n->attr.i[2]))
        return (n->shape.dims[1] + u->panel - 1) / u->panel * u->panel * n->shape.dims[0];
    return count_of(n);
}

typedef struct Planner {
    PlanUnit *unit;
    Arena *arena;
    const Routine *r;
    RoutinePlan *routine;
    StepPlan *s;
    const Graph *g;
    NodeId **users; /* of every canonical node: canonical live nodes, with repeats */
    uint32_t *nusers, *users_cap;
} Planner;

static const Node *node(const Planner *p, NodeId id) { return &p->g->nodes[id]; }
static NodePlan *info(const Planner *p, NodeId id) { return &p->s->nodes[id]; }
static NodeId canonical(const Planner *p, NodeId id) { return p->s->nodes[id].canonical; }
static NodeId argument(const Planner *p, NodeId id, uint32_t k) { return canonical(p, graph_arg(p->g, id, k)); }

static bool splat(const Graph *g, const StepPlan *s, NodeId id) { /* repeats one element */
    const Node *n = &g->nodes[id];
    return n->op == OP_broadcast && count_of(n) > 1 &&
           count_of(&g->nodes[s->nodes[graph_arg(g, id, 0)].canonical]) == 1;
}

bool plan_inline(const Graph *g, const StepPlan *s, NodeId id) {
    Op op = g->nodes[id].op;
    return op == OP_constant || op == OP_iota || splat(g, s, id);
}

/* ---- treatments ---- */
static bool is_alias(const Planner *p, NodeId id) {
    const Node *n = node(p, id);
    if (n->op == OP_reshape || n->op == OP_stop_gradient) return true;
    return n->op == OP_broadcast && count_of(n) == count_of(node(p, argument(p, id, 0)));
}

static Treatment treatment(const Planner *p, NodeId id) {
    const Node *n = node(p, id);
    if (plan_inline(p->g, p->s, id)) return TREAT_INLINE;
    switch (n->op) {
    case OP_input: return TREAT_INPUT;
    case OP_reduce_sum:
    case OP_reduce_max: {
        const Node *x = node(p, graph_arg(p->g, id, 0));
        for (uint32_t k = 0; k < x->shape.rank; k++)
            if (x->shape.dims[k] > 1 && !(n->attr.i[0] >> k & 1)) return TREAT_ROW;
        return TREAT_REDUCE;
    }
    case OP_matmul: {
        const Node *a = node(p, argument(p, id, 0)), *b = node(p, argument(p, id, 1));
        uint64_t columns = n->shape.rank ? n->shape.dims[n->shape.rank - 1] : 1;
        if (n->attr.i[2]) return TREAT_PRODUCT;
        /* a row-major matrix serves the kernel as it stands when its rows are made of whole panels */
        if (n->batched && a->batched && !b->batched && n->shape.rank == 1 &&
            graph_node(p->g, graph_arg(p->g, id, 0))->shape.rank == 1 &&
            graph_node(p->g, graph_arg(p->g, id, 1))->shape.rank == 2 && !n->attr.i[1] && columns % p->unit->panel == 0)
            return TREAT_PRODUCT;
        return TREAT_ROW;
    }
    case OP_batch_sum: return TREAT_SUM;
    case OP_batch_outer:
    case OP_random:
    case OP_fixed:
    case OP_fixed_gradient:
    case OP_query: return TREAT_BLOCK;
    case OP_fixed_state:
    case OP_fixed_cotangent:
    case OP_query_result: return TREAT_VIEW;
    case OP_slice:
    case OP_pad:
    case OP_concat:
    case OP_transpose:
    case OP_broadcast:
    case OP_argmax:
    case OP_outer:
    case OP_pack: return TREAT_ROW;
    default: return TREAT_ELEMENT;
    }
}

static void mark_live(Planner *p, NodeId root) {
    NodeId *stack = NULL;
    uint32_t n = 0, cap = 0;
    *ARENA_PUSH(p->arena, stack, n, cap) = root;
    while (n > 0) {
        NodeId id = canonical(p, stack[--n]);
        if (info(p, id)->treatment != TREAT_DEAD) continue;
        info(p, id)->treatment = treatment(p, id);
        for (uint32_t k = 0; k < node(p, id)->nargs; k++) *ARENA_PUSH(p->arena, stack, n, cap) = graph_arg(p->g, id, k);
    }
}

/* Clusters recompute inline arguments: what they depend on is the repeated element. */
static NodeId dependence(const Planner *p, NodeId user, uint32_t k, bool *through_splat) {
    NodeId a = argument(p, user, k);
    *through_splat = false;
    if (!treatment_in_cluster(info(p, user)->treatment) || !plan_inline(p->g, p->s, a)) return a;
    if (!splat(p->g, p->s, a)) return NODE_NONE;
    *through_splat = true;
    NodeId source = argument(p, a, 0);
    return node(p, source)->op == OP_constant ? NODE_NONE : source;
}

/* ---- levels ---- */
static void find_levels(Planner *p) {
    uint32_t top = 0;
    for (NodeId id = 0; id < p->g->nnodes; id++) {
        NodePlan *x = info(p, id);
        if (x->treatment == TREAT_DEAD || x->treatment == TREAT_ALIAS) continue;
        for (uint32_t k = 0; k < node(p, id)->nargs; k++) {
            uint32_t from = info(p, argument(p, id, k))->available;
            if (from > x->level) x->level = from;
        }
        x->available = x->level + (x->treatment == TREAT_SUM || x->treatment == TREAT_BLOCK);
        if (x->available > top) top = x->available;
    }
    p->s->nlevels = top + 2; /* deferred outputs may need one more */
    p->s->levels = arena_alloc(p->arena, p->s->nlevels * sizeof *p->s->levels);
}

/* ---- groups ---- */
static uint32_t new_group(Planner *p, uint32_t level, bool batched, uint64_t count) {
    Group *g = arena_alloc(p->arena, sizeof *g);
    *g = (Group){.cluster = count > 0, .batched = batched, .level = level, .count = count, .workspace = NONE};
    LevelPlan *l = &p->s->levels[level];
    if (batched)
        *ARENA_PUSH(p->arena, l->tile, l->ntile, l->tile_cap) = g;
    else
        *ARENA_PUSH(p->arena, l->once, l->nonce, l->once_cap) = g;
    *ARENA_PUSH(p->arena, p->s->groups, p->s->ngroups, p->s->groups_cap) = g;
    return p->s->ngroups - 1; /* ids grow in creation order, and so does the order of running within a part */
}

static bool same_part(const Group *g, uint32_t level, bool batched) {
    return g->level == level && g->batched == batched;
}

/* The first group from `bound` on that is a cluster of `count` elements in the part, or a new one. */
static uint32_t find_cluster(Planner *p, uint32_t bound, uint32_t level, bool batched, uint64_t count) {
    for (uint32_t k = bound; k < p->s->ngroups; k++) {
        const Group *g = p->s->groups[k];
        if (g->cluster && !g->final && g->count == count && same_part(g, level, batched)) return k;
    }
    return new_group(p, level, batched, count);
}

/* The node's loop: batched values are computed row by row. */
static bool runs_batched(const Planner *p, NodeId id) {
    return info(p, id)->treatment == TREAT_SUM || node(p, id)->batched;
}

/* The earliest group at which a cluster reading `d` may run; in its own group when it can stay in a register. */
static uint32_t bound_after(const Planner *p, NodeId d, bool register_use, uint32_t level, bool batched) {
    const NodePlan *x = info(p, d);
    if (x->group == NONE || !same_part(p->s->groups[x->group], level, batched)) return 0;
    return x->group + !(register_use && x->treatment == TREAT_ELEMENT);
}

static void add_member(Planner *p, uint32_t group, NodeId id) {
    Group *g = p->s->groups[group];
    *ARENA_PUSH(p->arena, g->members, g->nmembers, g->members_cap) = id;
    info(p, id)->group = group;
}

/* Elements the cluster of a member iterates over. */
static uint64_t cluster_count(const Planner *p, NodeId id) {
    return info(p, id)->treatment == TREAT_REDUCE ? count_of(node(p, argument(p, id, 0))) : count_of(node(p, id));
}

static void place_node(Planner *p, NodeId id) {
    NodePlan *x = info(p, id);
    bool batched = runs_batched(p, id), through_splat;
    switch (x->treatment) {
    case TREAT_INLINE:
    case TREAT_ELEMENT:
    case TREAT_REDUCE: {
        uint32_t bound = 0, nargs = node(p, id)->nargs;
        for (uint32_t k = 0; k < nargs; k++) {
            NodeId d = x->treatment == TREAT_INLINE ? argument(p, id, k) : dependence(p, id, k, &through_splat);
            if (d == NODE_NONE) continue;
            uint32_t b = bound_after(p, d, x->treatment != TREAT_INLINE && !through_splat, x->level, batched);
            if (b > bound) bound = b;
        }
        add_member(p, find_cluster(p, bound, x->level, batched, cluster_count(p, id)), id);
        break;
    }
    case TREAT_PRODUCT:
    case TREAT_ROW:
    case TREAT_SUM: add_member(p, new_group(p, x->level, batched, 0), id); break;
    case TREAT_BLOCK: {
        LevelPlan *l = &p->s->levels[x->level];
        *ARENA_PUSH(p->arena, l->block, l->nblock, l->block_cap) = id;
        break;
    }
    default: break;
    }
    if (x->treatment == TREAT_PRODUCT && batched) p->s->levels[x->level].products = true;
}

/* Moves members towards their only readers: what is used by one later cluster stays in its registers. */
static void sink_members(Planner *p) {
    for (NodeId id = p->g->nnodes; id-- > 0;) {
        NodePlan *x = info(p, id);
        if (x->treatment != TREAT_ELEMENT || p->nusers[id] == 0) continue;
        uint32_t target = NONE;
        bool movable = true, through_splat;
        for (uint32_t k = 0; k < p->nusers[id] && movable; k++) {
            const NodePlan *u = info(p, p->users[id][k]);
            movable =
                treatment_in_cluster(u->treatment) && u->group > x->group && (target == NONE || target == u->group);
            target = u->group;
            for (uint32_t a = 0; a < node(p, p->users[id][k])->nargs && movable; a++)
                movable = dependence(p, p->users[id][k], a, &through_splat) != id || !through_splat;
        }
        if (!movable || target == NONE) continue;
        Group *from = p->s->groups[x->group], *to = p->s->groups[target];
        if (!same_part(to, from->level, from->batched) || to->count != from->count) continue;
        for (uint32_t k = 0; k < node(p, id)->nargs && movable; k++) { /* arguments must not start needing memory */
            NodeId d = dependence(p, id, k, &through_splat);
            if (d == NODE_NONE || through_splat || info(p, d)->group != x->group) continue;
            for (uint32_t u = 0; u < p->nusers[d]; u++) movable = movable && p->users[d][u] == id;
        }
        if (!movable) continue;
        uint32_t at = 0;
        while (from->members[at] != id) at++;
        memmove(from->members + at, from->members + at + 1, (from->nmembers - at - 1) * sizeof *from->members);
        from->nmembers--;
        add_member(p, target, id);
        for (uint32_t k = to->nmembers - 1; k > 0 && to->members[k - 1] > to->members[k];
             k--) { /* members in id order */
            NodeId swap = to->members[k];
            to->members[k] = to->members[k - 1];
            to->members[k - 1] = swap;
        }
    }
}

/* ---- buffers and slots ---- */
static uint32_t new_buffer(Planner *p, Scope scope, uint64_t bytes, uint32_t level) {
    bytes = padded(bytes);
    if (scope != SCOPE_ONCE && bytes && bytes % 4096 == 0) bytes += DEQ_ALIGN; /* else all rows fall on one cache set */
    *ARENA_PUSH(p->arena, p->s->buffers, p->s->nbuffers, p->s->buffers_cap) =
        (Buffer){.scope = scope, .bytes = bytes, .first = NONE, .level = level};
    return p->s->nbuffers - 1;
}

/* Row buffers of a stride that others prescribe. */
static uint32_t new_record(Planner *p, uint64_t stride) {
    uint32_t b = new_buffer(p, SCOPE_ROWS, 0, 0);
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

static Slot binding_slot(const Planner *p, const Binding *b, bool batched) {
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
        if (splat(p->g, p->s, id)) source = argument(p, id, 0);
        uint32_t bound = bound_after(p, source, source == id, at, batched);
        group = find_cluster(p, bound, at, batched, count_of(node(p, id)));
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
            if (dependence(p, u, a, &through_splat) == input && through_splat) return false;
    }
    return true;
}

static bool is_add(Place place) { return place == PLACE_ACCUM || place == PLACE_DREST; }
static bool is_shared(Place place) { return place == PLACE_SHARED || place == PLACE_ACCUM; }

static void place_output(Planner *p, const Binding *b) {
    NodeId id = canonical(p, b->node);
    NodePlan *x = info(p, id);
    const Node *n = node(p, id);
    bool batched = p->r->rows && !is_shared(b->place), hazard = false, safe = true;
    Slot to = binding_slot(p, b, batched);
    uint64_t bytes = padded(plan_stored_count(p->unit, n) * p->unit->real_bytes);
    uint32_t level = x->available;
    if (n->batched && !batched) ICE("%s: a batched value goes to a shared place", p->r->name);
    for (uint32_t k = 0; k < p->s->step->nin; k++) {
        const Binding *in = &p->s->step->in[k];
        NodeId input = canonical(p, in->node);
        const Node *m = node(p, input);
        uint64_t size = padded(plan_stored_count(p->unit, m) * p->unit->real_bytes);
        Slot from = binding_slot(p, in, m->batched);
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
            uint32_t copy = new_buffer(p, batched ? SCOPE_ROWS : SCOPE_ONCE, count_of(n) * p->unit->real_bytes, 0);
            place_store(p, id, buffer_slot(p, copy, 0), false, batched, 0);
            store.source = buffer_slot(p, copy, 0);
            store.has_source = true;
            touch(p, copy, 0);
            touch(p, copy, level);
        } else if (x->treatment != TREAT_INLINE) {
            x->memory = true;
        } else if (splat(p->g, p->s, id)) {
            info(p, argument(p, id, 0))->memory = true;
        }
        Group *g = p->s->groups[new_group(p, level, batched, count_of(n))];
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
static void plan_call(Planner *p, NodeId id) {
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
            c->operand[k] = new_buffer(p, SCOPE_ROWS, count_of(node(p, a)) * p->unit->real_bytes, 0);
            place_store(p, a, buffer_slot(p, c->operand[k], 0), false, true, x->level);
            touch(p, c->operand[k], x->level);
        }
        break;
    case OP_fixed: {
        if ((uint64_t)n->attr.i[0] >= p->r->nfixed)
            ICE("%s: there is no fixed point %d", p->r->name, (int)n->attr.i[0]);
        const FixedLayout *f = &p->r->fixed[n->attr.i[0]];
        c->rest = new_record(p, f->rest_bytes);
        c->z = new_record(p, f->state_bytes);
        touch(p, c->rest, x->level);
        touch(p, c->z, x->level);
        for (uint32_t k = 0; k < n->nargs; k++) {
            if (k >= f->nrest) ICE("%s: %s captures more than its layout says", p->r->name, f->name);
            if (f->rest_offsets[k] == UINT64_MAX) continue;
            NodeId a = argument(p, id, k);
            place_store(p, a, buffer_slot(p, c->rest, f->rest_offsets[k]), false, true, 0);
            touch(p, c->rest, info(p, a)->available);
        }
        for (NodeId u = id + 1; u < p->g->nnodes; u++)
            if (info(p, u)->treatment == TREAT_BLOCK && node(p, u)->op == OP_fixed_gradient && argument(p, u, 0) == id)
                c->want_gradient = true;
        break;
    }
    case OP_fixed_gradient: {
        NodeId fixed = argument(p, id, 0);
        const FixedLayout *f = &p->r->fixed[node(p, fixed)->attr.i[0]];
        c->rest = p->s->calls[fixed].rest;
        c->u = new_record(p, f->state_bytes);
        c->drest = new_record(p, f->rest_bytes);
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
    case OP_query: {
        c->callee = plan_find(p->unit, n->attr.name);
        if (!c->callee) ICE("%s: queries the unknown routine '%s'", p->r->name, n->attr.name);
        const Routine *callee = c->callee->routine;
        for (uint32_t k = 2; k <= 4; k++) {
            if (!callee->arg_bytes[k]) continue;
            c->results[k] = new_record(p, callee->arg_bytes[k]);
            touch(p, c->results[k], x->level);
        }
        NodeId a = argument(p, id, 0);
        c->z = new_record(p, callee->arg_bytes[0]);
        place_store(p, a, buffer_slot(p, c->z, 0), false, true, 0);
        touch(p, c->z, info(p, a)->available);
        touch(p, c->z, x->level);
        break;
    }
    default: ICE("%s is no block operation", "node");
    }
}

static void plan_view(Planner *p, NodeId id) {
    const Node *n = node(p, id);
    NodeId owner = argument(p, id, 0);
    const CallPlan *c = &p->s->calls[owner];
    uint64_t k = (uint64_t)n->attr.i[0];
    switch (n->op) {
    case OP_fixed_state:
        info(p, id)->slot = buffer_slot(p, c->z, p->r->fixed[node(p, owner)->attr.i[0]].state_offsets[k]);
        break;
    case OP_fixed_cotangent: {
        const FixedLayout *f = &p->r->fixed[node(p, owner)->attr.i[0]];
        if (f->rest_offsets[k] == UINT64_MAX) ICE("%s: captured value %d of %s is shared", p->r->name, (int)k, f->name);
        info(p, id)->slot = buffer_slot(p, c->drest, f->rest_offsets[k]);
        break;
    }
    default: info(p, id)->slot = buffer_slot(p, c->results[k], 0); break;
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
            NodeId d = x->treatment == TREAT_INLINE ? argument(p, id, k) : dependence(p, id, k, &through_splat);
            if (d == NODE_NONE) continue;
            NodePlan *y = info(p, d);
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

/* Inline nodes that something other than a cluster reads stand in memory too. */
static bool inline_needs_memory(const Planner *p, NodeId id) {
    for (uint32_t k = 0; k < p->nusers[id]; k++) {
        NodeId u = p->users[id][k];
        Treatment t = info(p, u)->treatment;
        if (treatment_in_cluster(t)) continue;
        if (t == TREAT_INLINE && node(p, id)->op == OP_constant) continue;
        if (t == TREAT_BLOCK && node(p, u)->op != OP_batch_outer) continue; /* copied into a record by a cluster */
        return true;
    }
    return false;
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
            bool reads = stored == id || (splat(p->g, p->s, stored) && argument(p, stored, 0) == id);
            if (reads && !g->stores[s].has_source && g->position > last) last = g->position;
        }
    }
    return last;
}

static void assign_slots(Planner *p) {
    for (NodeId id = 0; id < p->g->nnodes; id++) {
        NodePlan *x = info(p, id);
        const Node *n = node(p, id);
        if (x->treatment == TREAT_DEAD || x->treatment == TREAT_ALIAS) continue;
        if (x->treatment == TREAT_VIEW) { /* the record lives as long as its views are read */
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
            buffer = new_buffer(p, SCOPE_ONCE, bytes, 0);
        } else if (crosses_levels(p, id, &last) || n->op == OP_random) {
            buffer = new_buffer(p, SCOPE_ROWS, bytes, 0);
            touch(p, buffer, x->level);
            touch(p, buffer, last);
        } else {
            buffer = new_buffer(p, SCOPE_TILE, bytes, x->level);
            touch(p, buffer, p->s->groups[x->group]->position);
            touch(p, buffer, last_group(p, id));
        }
        x->slot = buffer_slot(p, buffer, 0);
    }
    for (uint32_t k = 0; k < p->s->ngroups; k++) {
        Group *g = p->s->groups[k];
        if (g->cluster || !g->batched || info(p, g->members[0])->treatment != TREAT_PRODUCT) continue;
        NodeId a = argument(p, g->members[0], 0);
        Slot from = info(p, a)->slot;
        if (from.base == SLOT_REST || from.base == SLOT_DREST || (from.stride && from.stride % 4096 == 0)) {
            g->workspace = new_buffer(p, SCOPE_TILE, count_of(node(p, a)) * p->unit->real_bytes, g->level);
            touch(p, g->workspace, g->position);
        }
    }
}

/* First fit: a buffer takes the lowest offset free during its whole life. */
static uint64_t allocate(Buffer *buffers, uint32_t n, Scope scope, uint32_t level, uint64_t rows, uint64_t start) {
    uint64_t high = start;
    for (uint32_t k = 0; k < n; k++) {
        Buffer *b = &buffers[k];
        if (b->scope != scope || (scope == SCOPE_TILE && b->level != level)) continue;
        uint64_t at = start;
        for (bool moved = true; moved;) {
            moved = false;
            for (uint32_t j = 0; j < k; j++) {
                const Buffer *o = &buffers[j];
                if (o->scope != scope || (scope == SCOPE_TILE && o->level != level)) continue;
                if (scope != SCOPE_ONCE && (o->last < b->first || b->last < o->first)) continue;
                if (at < o->offset + o->bytes * rows && o->offset < at + b->bytes * rows) {
                    at = o->offset + o->bytes * rows;
                    moved = true;
                }
            }
        }
        b->offset = at;
        if (at + b->bytes * rows > high) high = at + b->bytes * rows;
    }
    return high;
}

static void number_groups(Planner *p) {
    uint32_t position = 0;
    for (uint32_t k = 0; k < p->s->nlevels; k++) {
        LevelPlan *l = &p->s->levels[k];
        for (int final = 0; final < 2; final++)
            for (uint32_t j = 0; j < l->nonce; j++)
                if (l->once[j]->final == final) l->once[j]->position = position++;
        for (int final = 0; final < 2; final++)
            for (uint32_t j = 0; j < l->ntile; j++)
                if (l->tile[j]->final == final) l->tile[j]->position = position++;
    }
}

/* ---- steps ---- */
static void plan_graph(PlanUnit *unit, RoutinePlan *routine, const Step *step, StepPlan *s) {
    Planner planner = {
        .unit = unit, .arena = unit->arena, .r = routine->routine, .routine = routine, .s = s, .g = step->graph};
    Planner *p = &planner;
    uint32_t n = p->g->nnodes;
    s->step = step;
    s->nodes = arena_alloc(p->arena, (n + 1) * sizeof *s->nodes);
    s->calls = arena_alloc(p->arena, (n + 1) * sizeof *s->calls);
    p->users = arena_alloc(p->arena, (n + 1) * sizeof *p->users);
    p->nusers = arena_alloc(p->arena, (n + 1) * sizeof *p->nusers);
    p->users_cap = arena_alloc(p->arena, (n + 1) * sizeof *p->users_cap);
    for (uint32_t k = 0; k < p->r->nblocks; k++) {
        uint32_t b = new_record(p, padded((uint64_t)p->r->block_counts[k] * unit->real_bytes));
        s->buffers[b].offset = routine->block_offsets[k];
    }
    for (NodeId id = 0; id < n; id++) {
        s->nodes[id].canonical = id;
        s->nodes[id].group = NONE;
        if (is_alias(p, id)) s->nodes[id].canonical = argument(p, id, 0);
    }
    for (uint32_t k = 0; k < step->nout; k++) mark_live(p, step->out[k].node);
    for (NodeId id = 0; id < n; id++) /* adds to the parameters' cotangents on its own */
        if (p->g->nodes[id].op == OP_fixed_gradient && p->g->nodes[id].attr.i[1]) mark_live(p, id);
    for (NodeId id = 0; id < n; id++) {
        if (info(p, id)->treatment == TREAT_DEAD) {
            if (canonical(p, id) != id) info(p, id)->treatment = TREAT_ALIAS;
            continue;
        }
        for (uint32_t k = 0; k < node(p, id)->nargs; k++) {
            NodeId a = argument(p, id, k);
            *ARENA_PUSH(p->arena, p->users[a], p->nusers[a], p->users_cap[a]) = id;
        }
    }
    for (uint32_t k = 0; k < step->nin; k++) {
        NodePlan *x = info(p, step->in[k].node);
        if (x->treatment == TREAT_INPUT) x->slot = binding_slot(p, &step->in[k], node(p, step->in[k].node)->batched);
    }
    for (NodeId id = 0; id < n; id++) {
        NodePlan *x = info(p, id);
        if (x->treatment == TREAT_INPUT && x->slot.base == SLOT_NONE)
            ICE("%s: input %s is bound to no place", p->r->name, node(p, id)->attr.name ? node(p, id)->attr.name : "?");
        if (x->slot.base == SLOT_SCALAR) {
            uint32_t b = new_buffer(p, SCOPE_ONCE, unit->real_bytes, 0);
            x->slot = (Slot){SLOT_SCALAR, b, x->slot.index, 0}; /* index: its buffer; offset: which scalar */
        }
    }
    find_levels(p);
    for (NodeId id = 0; id < n; id++) {
        if (info(p, id)->treatment == TREAT_INLINE && !inline_needs_memory(p, id)) continue;
        if (info(p, id)->treatment == TREAT_INLINE) info(p, id)->memory = true;
        place_node(p, id);
    }
    sink_members(p);
    for (NodeId id = 0; id < n; id++)
        if (info(p, id)->treatment == TREAT_BLOCK) plan_call(p, id);
    for (NodeId id = 0; id < n; id++)
        if (info(p, id)->treatment == TREAT_VIEW) plan_view(p, id);
    for (uint32_t k = 0; k < step->nout; k++) place_output(p, &step->out[k]);
    find_memory(p);
    number_groups(p);
    assign_slots(p);
    uint64_t tile = 0;
    for (uint32_t k = 0; k < s->nlevels; k++) {
        uint64_t high =
            allocate(s->buffers, s->nbuffers, SCOPE_TILE, k, s->levels[k].products ? unit->tile_rows : 1, 0);
        if (high > tile) tile = high;
    }
    if (tile > routine->tile_bytes) routine->tile_bytes = tile;
    uint64_t once = allocate(s->buffers, s->nbuffers, SCOPE_ONCE, 0, 1, 0);
    if (once > routine->once_bytes) routine->once_bytes = once;
    uint64_t blocks = 0;
    for (uint32_t k = 0; k < p->r->nblocks; k++) blocks += s->buffers[k].bytes;
    uint64_t rows = allocate(s->buffers + p->r->nblocks, s->nbuffers - p->r->nblocks, SCOPE_ROWS, 0, 1, blocks);
    if (rows > routine->row_bytes) routine->row_bytes = rows;
    for (NodeId id = 0; id < n; id++) {
        const RoutinePlan *callee = s->calls[id].callee;
        if (!callee) continue;
        if (plan_row_bytes(callee) > routine->callee_row_bytes) routine->callee_row_bytes = plan_row_bytes(callee);
        if (plan_base_bytes(callee) > routine->callee_base_bytes) routine->callee_base_bytes = plan_base_bytes(callee);
    }
}

static void plan_steps(PlanUnit *unit, RoutinePlan *routine, const Step *steps, uint32_t n, StepPlan *out) {
    for (uint32_t k = 0; k < n; k++) {
        if (steps[k].kind == STEP_GRAPH) {
            plan_graph(unit, routine, &steps[k], &out[k]);
            continue;
        }
        out[k].step = &steps[k];
        out[k].body = arena_alloc(unit->arena, (steps[k].nbody + 1) * sizeof *out[k].body);
        plan_steps(unit, routine, steps[k].body, steps[k].nbody, out[k].body);
    }
}

static void plan_routine(PlanUnit *unit, RoutinePlan *p) {
    const Routine *r = p->routine;
    if (p->steps) return;
    if (p->planning) ICE("%s queries itself", r->name);
    p->planning = true;
    p->block_offsets = arena_alloc(unit->arena, (r->nblocks + 1) * sizeof *p->block_offsets);
    for (uint32_t k = 0; k < r->nblocks; k++) {
        p->block_offsets[k] = p->row_bytes;
        p->row_bytes += padded((uint64_t)r->block_counts[k] * unit->real_bytes);
    }
    StepPlan *steps = arena_alloc(unit->arena, (r->nsteps + 1) * sizeof *steps);
    plan_steps(unit, p, r->steps, r->nsteps, steps);
    p->steps = steps;
    p->planning = false;
}

const RoutinePlan *plan_find(const PlanUnit *u, const char *routine) {
    for (uint32_t k = 0; k < u->unit->nroutines; k++) {
        if (strcmp(u->unit->routines[k]->name, routine) != 0) continue;
        plan_routine((PlanUnit *)u, &u->routines[k]);
        return &u->routines[k];
    }
    return NULL;
}

uint64_t plan_row_bytes(const RoutinePlan *p) { return p->row_bytes + p->callee_row_bytes; }
uint64_t plan_base_bytes(const RoutinePlan *p) { return p->tile_bytes + p->once_bytes + p->callee_base_bytes; }

PlanUnit *plan_unit(Arena *a, const Unit *unit, uint32_t real_bytes, uint32_t tile_rows, uint32_t panel) {
    PlanUnit *u = arena_alloc(a, sizeof *u);
    *u = (PlanUnit){a, unit, real_bytes, tile_rows, panel, arena_alloc(a, (unit->nroutines + 1) * sizeof(RoutinePlan))};
    for (uint32_t k = 0; k < unit->nroutines; k++) u->routines[k].routine = unit->routines[k];
    for (uint32_t k = 0; k < unit->nroutines; k++) plan_routine(u, &u->routines[k]);
    return u;
}
