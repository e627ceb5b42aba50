/* plan.c - treatments, levels, groups: when every node is computed.  Where it stands: plan_memory.c. */
#include "planner.h"
#include "conv.h"
#include <string.h>

uint64_t plan_stored_count(const PlanUnit *u, const Node *n) {
    ConvPacking packing;
    if (conv_packing(n, &packing)) return conv_packed_count(&packing, u->panel);
    if (n->op == OP_pack || (n->op == OP_input && n->attr.input.packed))
        return (n->shape.dims[1] + u->panel - 1) / u->panel * u->panel * n->shape.dims[0];
    return count_of(n);
}

#define LONGEST_PERIOD 4096 /* elements: longer rows are worth a loop of their own */

uint64_t plan_repeated(const Graph *g, const StepPlan *s, NodeId id) {
    const Node *n = &g->nodes[id];
    if (n->op != OP_broadcast || count_of(n) == 1) return 0;
    const Node *from = &g->nodes[graph_arg(g, id, 0)];
    if (count_of(&g->nodes[s->nodes[graph_arg(g, id, 0)].canonical]) == 1) return 1;
    bool inside = false; /* among the axes that repeat as a whole */
    for (uint32_t k = 0; k < from->shape.rank; k++) {
        if (from->shape.dims[k] != n->shape.dims[k] && inside) return 0;
        inside = inside || from->shape.dims[k] > 1;
    }
    uint64_t period = count_of(from);
    return period == count_of(n) || period > LONGEST_PERIOD ? 0 : period;
}

uint64_t plan_reduced(const Graph *g, NodeId id) {
    const Node *n = &g->nodes[id], *x = &g->nodes[graph_arg(g, id, 0)];
    uint64_t period = 1;
    for (uint32_t k = 0; k < x->shape.rank; k++) {
        if (x->shape.dims[k] == 1) continue;
        if (!(n->attr.reduce.axes >> k & 1))
            period *= x->shape.dims[k];
        else if (period > 1)
            return 0;
    }
    return period > 1 && (period == count_of(x) || period > LONGEST_PERIOD) ? 0 : period;
}

bool plan_splat(const Graph *g, const StepPlan *s, NodeId id) { return plan_repeated(g, s, id) > 0; }

bool plan_inline(const Graph *g, const StepPlan *s, NodeId id) {
    Op op = g->nodes[id].op;
    return op == OP_constant || op == OP_iota || plan_splat(g, s, id);
}

/* ---- treatments ---- */
static bool is_alias(const Planner *p, NodeId id) {
    const Node *n = node(p, id);
    if (n->op == OP_reshape || n->op == OP_stop_gradient) return true;
    return n->op == OP_broadcast && count_of(n) == count_of(node(p, argument(p, id, 0)));
}

static const OpClass classes[] = {
#define OP(name, arity, class, shape, linear, cost, view, doc) CLASS_##class,
#include "ops.def"
#undef OP
};

static Treatment treatment(const Planner *p, NodeId id) {
    const Node *n = node(p, id);
    if (plan_inline(p->g, p->s, id)) return TREAT_INLINE;
    switch (n->op) {
    case OP_input: return TREAT_INPUT;
    case OP_reduce_sum:
    case OP_reduce_max: return plan_reduced(p->g, id) ? TREAT_REDUCE : TREAT_ROW;
    case OP_matmul: {
        const Node *a = node(p, argument(p, id, 0)), *b = node(p, argument(p, id, 1));
        uint64_t columns = n->shape.rank ? n->shape.dims[n->shape.rank - 1] : 1;
        if (n->attr.matmul.packed) return TREAT_PRODUCT;
        /* a row-major matrix serves the kernel as it stands when its rows are made of whole panels */
        if (n->batched && a->batched && !b->batched && n->shape.rank == 1 &&
            graph_node(p->g, graph_arg(p->g, id, 0))->shape.rank == 1 &&
            graph_node(p->g, graph_arg(p->g, id, 1))->shape.rank == 2 && !n->attr.matmul.transpose_b &&
            columns % p->unit->panel == 0)
            return TREAT_PRODUCT;
        return TREAT_ROW;
    }
    case OP_fence:
    case OP_in_training: ICE("%s: in_training was not resolved", p->r->name);
    case OP_batch_sum:
    case OP_batch_conv_weight: return TREAT_SUM;
    case OP_batch_outer:
    case OP_random:
    case OP_fixed:
    case OP_fixed_gradient:
    case OP_solve:
    case OP_objective:
    case OP_counted:
    case OP_query: return TREAT_BLOCK;
    case OP_fixed_state:
    case OP_fixed_cotangent:
    case OP_objective_result:
    case OP_query_result: return TREAT_VIEW;
    case OP_slice:
    case OP_pad:
    case OP_concat:
    case OP_window_sum:
    case OP_window_spread:
    case OP_transpose:
    case OP_broadcast:
    case OP_argmax:
    case OP_outer:
    case OP_pack:
    case OP_conv:
    case OP_conv_input:
    case OP_conv_weight:
    case OP_pack_conv: return TREAT_ROW;
    default:
        if (classes[n->op] != CLASS_ELEMENTWISE && !is_alias(p, id))
            ICE("%s: operation %d has no treatment", p->r->name, n->op);
        return TREAT_ELEMENT;
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

NodeId plan_dependence(const Planner *p, NodeId user, uint32_t k, bool *through_splat) {
    NodeId a = argument(p, user, k);
    *through_splat = false;
    if (!treatment_in_cluster(info(p, user)->treatment) || !plan_inline(p->g, p->s, a)) return a;
    if (!plan_splat(p->g, p->s, a)) return NODE_NONE;
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

#define WIDE_ROW (8u << 10) /* bytes: a few rows of more than this leave the first-level cache */

/* Weights of more bytes do not stay in a second-level cache with what is multiplied by them. */
#define HEAVY_WEIGHTS (2u << 20)

/* The node's loop: batched values are computed row by row. */
static bool runs_batched(const Planner *p, NodeId id) {
    return info(p, id)->treatment == TREAT_SUM || node(p, id)->batched;
}

/* Wide rows: images, one at a time, or a few where convolutions have heavy weights.  But where products have weights that
 * outweigh a tall tile (dense layers), as many as there are, since reading the weights is what costs: those that leave
 * the cache, and all of wide rows. */
static void find_wide_levels(Planner *p) {
    typedef struct Size {
        uint64_t row, weights; /* bytes: of the widest value, of the largest product's weights */
        uint32_t images;       /* that share a convolution's weights */
    } Size;
    Size *sizes = arena_alloc(p->arena, p->s->nlevels * sizeof *sizes);
    for (NodeId id = 0; id < p->g->nnodes; id++) {
        const NodePlan *x = info(p, id);
        const Node *n = node(p, id);
        if (x->treatment == TREAT_DEAD || x->treatment == TREAT_ALIAS || x->treatment == TREAT_INPUT) continue;
        Size *size = &sizes[x->level];
        if (runs_batched(p, id) && plan_conv_images(p, id) > size->images) size->images = plan_conv_images(p, id);
        if (!n->batched) continue;
        uint64_t row = count_of(n) * p->unit->real_bytes, work = plan_conv_workspace(p, id);
        if (work > row) row = work;
        if (row > size->row) size->row = row;
        if (x->treatment != TREAT_PRODUCT) continue;
        uint64_t weights = count_of(node(p, argument(p, id, 0))) * count_of(n) * p->unit->real_bytes;
        if (weights > size->weights) size->weights = weights;
    }
    for (uint32_t k = 0; k < p->s->nlevels; k++) {
        LevelPlan *l = &p->s->levels[k];
        l->wide = sizes[k].row > WIDE_ROW;
        l->tall = (l->wide || sizes[k].weights > HEAVY_WEIGHTS) && sizes[k].weights >= TALL_ROWS * sizes[k].row;
        l->images = l->wide && !l->tall && sizes[k].images > 1 ? sizes[k].images : 1;
    }
}

/* ---- groups ---- */
uint32_t plan_new_group(Planner *p, uint32_t level, bool batched, uint64_t count, NodeId component) {
    Group *g = arena_alloc(p->arena, sizeof *g);
    *g = (Group){.cluster = count > 0,
                 .batched = batched,
                 .level = level,
                 .component = component,
                 .count = count,
                 .workspace = NONE,
                 .run = NONE,
                 .form = NONE};
    LevelPlan *l = &p->s->levels[level];
    if (batched)
        *ARENA_PUSH(p->arena, l->tile, l->ntile, l->tile_cap) = g;
    else
        *ARENA_PUSH(p->arena, l->once, l->nonce, l->once_cap) = g;
    *ARENA_PUSH(p->arena, p->s->groups, p->s->ngroups, p->s->groups_cap) = g;
    return p->s->ngroups - 1; /* ids grow in creation order, and so does the order of running within a part */
}

uint32_t plan_find_cluster(Planner *p, uint32_t bound, uint32_t level, bool batched, uint64_t count, NodeId component) {
    for (uint32_t k = bound; k < p->s->ngroups; k++) {
        const Group *g = p->s->groups[k];
        if (g->cluster && !g->final && g->count == count && g->component == component && same_part(g, level, batched))
            return k;
    }
    return plan_new_group(p, level, batched, count, component);
}

uint32_t plan_bound_after(const Planner *p, NodeId d, bool register_use, uint32_t level, bool batched) {
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
            NodeId d = x->treatment == TREAT_INLINE ? argument(p, id, k) : plan_dependence(p, id, k, &through_splat);
            if (d == NODE_NONE) continue;
            uint32_t b = plan_bound_after(p, d, x->treatment != TREAT_INLINE && !through_splat, x->level, batched);
            if (b > bound) bound = b;
        }
        add_member(p, plan_find_cluster(p, bound, x->level, batched, cluster_count(p, id), x->component), id);
        break;
    }
    case TREAT_PRODUCT:
    case TREAT_ROW:
    case TREAT_SUM: add_member(p, plan_new_group(p, x->level, batched, 0, x->component), id); break;
    case TREAT_BLOCK: {
        LevelPlan *l = &p->s->levels[x->level];
        *ARENA_PUSH(p->arena, l->block, l->nblock, l->block_cap) = id;
        break;
    }
    default: break;
    }
    LevelPlan *level = &p->s->levels[x->level];
    if (x->treatment == TREAT_PRODUCT && batched && (level->tall || !level->wide)) level->products = true;
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
                movable = plan_dependence(p, p->users[id][k], a, &through_splat) != id || !through_splat;
        }
        if (!movable || target == NONE) continue;
        Group *from = p->s->groups[x->group], *to = p->s->groups[target];
        if (!same_part(to, from->level, from->batched) || to->count != from->count || to->component != from->component)
            continue;
        for (uint32_t k = 0; k < node(p, id)->nargs && movable; k++) { /* arguments must not start needing memory */
            NodeId d = plan_dependence(p, id, k, &through_splat);
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

/* ---- steps ---- */
/* Inline nodes that something other than a cluster reads stand in memory too. */
bool plan_inline_held(const Planner *p, NodeId id) {
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

static void add_callee(RoutinePlan *routine, const RoutinePlan *callee) {
    if (!callee) return;
    if (plan_row_bytes(callee) > routine->callee_row_bytes) routine->callee_row_bytes = plan_row_bytes(callee);
    if (plan_base_bytes(callee) > routine->callee_base_bytes) routine->callee_base_bytes = plan_base_bytes(callee);
}

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
        uint32_t b = plan_new_record(p, padded((uint64_t)p->r->block_counts[k] * unit->real_bytes));
        s->buffers[b].offset = routine->block_offsets[k];
    }
    for (NodeId id = 0; id < n; id++) {
        s->nodes[id].canonical = id;
        s->nodes[id].group = NONE;
        if (is_alias(p, id)) s->nodes[id].canonical = argument(p, id, 0);
    }
    for (uint32_t k = 0; k < step->nout; k++) mark_live(p, step->out[k].node);
    for (NodeId id = 0; id < n; id++) /* adds to the parameters' cotangents on its own */
        if (p->g->nodes[id].op == OP_fixed_gradient && p->g->nodes[id].attr.gradient.shared) mark_live(p, id);
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
    for (NodeId id = 0; id < n; id++) info(p, id)->sum_read = p->nusers[id] > 0;
    for (uint32_t k = 0; k < step->nin; k++) {
        NodePlan *x = info(p, step->in[k].node);
        if (x->treatment == TREAT_INPUT)
            x->slot = plan_binding_slot(p, &step->in[k], node(p, step->in[k].node)->batched);
    }
    for (NodeId id = 0; id < n; id++) {
        NodePlan *x = info(p, id);
        if (x->treatment == TREAT_INPUT && x->slot.base == SLOT_NONE)
            ICE("%s: input %s is bound to no place", p->r->name, node(p, id)->attr.name ? node(p, id)->attr.name : "?");
        if (x->slot.base == SLOT_SCALAR) {
            uint32_t b = plan_new_buffer(p, SCOPE_ONCE, unit->real_bytes, 0);
            x->slot = (Slot){SLOT_SCALAR, b, x->slot.index, 0}; /* index: its buffer; offset: which scalar */
        }
    }
    plan_components(p);
    find_levels(p);
    find_wide_levels(p);
    plan_halves(p);
    for (NodeId id = 0; id < n; id++) {
        if (info(p, id)->treatment == TREAT_INLINE && !plan_inline_held(p, id)) continue;
        if (info(p, id)->treatment == TREAT_INLINE) info(p, id)->memory = true;
        place_node(p, id);
    }
    sink_members(p);
    for (NodeId id = 0; id < n; id++)
        if (info(p, id)->treatment == TREAT_BLOCK) plan_call(p, id);
    for (NodeId id = 0; id < n; id++)
        if (info(p, id)->treatment == TREAT_VIEW) plan_view(p, id);
    for (uint32_t k = 0; k < step->nout; k++) plan_output(p, &step->out[k]);
    plan_owners(p);
    plan_half_owners(p);
    number_groups(p);
    plan_storage(p);
    for (NodeId id = 0; id < n; id++) {
        add_callee(routine, s->calls[id].callee);
        for (uint32_t k = 0; node(p, id)->op == OP_objective && k < unit->unit->nroutines;
             k++) /* which, the caller knows */
            if (unit->unit->routines[k]->objective) add_callee(routine, plan_find(unit, unit->unit->routines[k]->name));
    }
}

static void plan_steps(PlanUnit *unit, RoutinePlan *routine, const Step *steps, uint32_t n, StepPlan *out) {
    for (uint32_t k = 0; k < n; k++) {
        if (steps[k].kind == STEP_GRAPH) {
            plan_graph(unit, routine, &steps[k], &out[k]);
            continue;
        }
        out[k].step = &steps[k];
        if (steps[k].kind == STEP_DROP) {
            routine->drops = true;
            continue;
        }
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
    p->order_offset = p->row_bytes;
    if (p->drops) p->row_bytes += DEQ_ALIGN;
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
    *u = (PlanUnit){.arena = a, .unit = unit, .real_bytes = real_bytes, .tile_rows = tile_rows, .panel = panel};
    u->routines = arena_alloc(a, (unit->nroutines + 1) * sizeof *u->routines);
    for (uint32_t k = 0; k < unit->nroutines; k++) u->routines[k].routine = unit->routines[k];
    for (uint32_t k = 0; k < unit->nroutines; k++) plan_routine(u, &u->routines[k]);
    plan_forms(u);
    return u;
}
