/* lower_cluster.c - a cluster: one loop over the vectors of a row, everything between in registers.
 *
 * Vectors are always whole: rows are padded, reading past the last element is allowed and what is read there is
 * ignored; stores and reductions mask it. */
#include "lower.h"
#include <math.h>

typedef struct Cluster {
    Lower *l;
    const Group *g;
    Value row;
    Value *address; /* by node: of its row, for values in memory */
    Value *element; /* by node: the one element of a value that is repeated, as a vector */
    Value *value;   /* by node: the vector of this round */
    Value column;   /* round */
    Value mask;     /* NULL: all lanes hold elements */
} Cluster;

static bool member_value(const Cluster *c, NodeId id) {
    const NodePlan *x = &c->l->step->nodes[id];
    return x->treatment == TREAT_ELEMENT && x->group != UINT32_MAX && c->l->step->groups[x->group] == c->g;
}

static bool member_reduction(const Cluster *c, NodeId id) {
    const NodePlan *x = &c->l->step->nodes[id];
    return x->treatment == TREAT_REDUCE && c->l->step->groups[x->group] == c->g;
}

static bool is_inline(const Cluster *c, NodeId id) { return plan_inline(c->l->step->step->graph, c->l->step, id); }

/* Emits addresses and repeated elements; `hoisted` for what is the same in all rows. */
static void prepare(Cluster *c, NodeId id, bool hoisted) {
    Lower *l = c->l;
    const Node *n = lower_node_of(l, id);
    if (member_value(c, id) || c->address[id] || c->element[id]) return;
    NodeId held = is_inline(c, id) && n->op == OP_broadcast ? lower_argument(l, id, 0) : id;
    if (is_inline(c, id) && n->op != OP_broadcast) return;
    if (lower_node_of(l, held)->op == OP_constant) return;
    Slot slot = l->step->nodes[held].slot;
    if (hoisted != (slot.stride == 0)) return;
    Value at = lower_slot(l, slot, c->row);
    if (held != id)
        c->element[id] = emit_splat(l->e, emit_load(l->e, at));
    else
        c->address[id] = at;
}

static void prepare_all(Cluster *c, bool hoisted) {
    for (uint32_t k = 0; k < c->g->nmembers; k++) {
        NodeId id = c->g->members[k];
        if (is_inline(c, id))
            prepare(c, id, hoisted);
        else
            for (uint32_t a = 0; a < lower_node_of(c->l, id)->nargs; a++)
                prepare(c, lower_argument(c->l, id, a), hoisted);
    }
    for (uint32_t k = 0; k < c->g->nstores; k++)
        if (!c->g->stores[k].has_source && !member_reduction(c, c->g->stores[k].node))
            prepare(c, c->g->stores[k].node, hoisted);
}

static Value vector_at(Cluster *c, Value base) {
    Emit *e = c->l->e;
    return emit_offset(e, base, emit_index_mul(e, c->column, e->lanes * e->real_bytes));
}

/* The node's vector in this round. */
static Value operand(Cluster *c, NodeId id) {
    Emit *e = c->l->e;
    const Node *n = lower_node_of(c->l, id);
    if (c->value[id]) return c->value[id];
    if (c->element[id]) return c->element[id];
    if (n->op == OP_constant) return emit_splat_constant(e, n->attr.value);
    if (is_inline(c, id) && n->op == OP_broadcast)
        return emit_splat_constant(e, lower_node_of(c->l, lower_argument(c->l, id, 0))->attr.value);
    if (n->op == OP_iota) {
        Value first = LLVMBuildTrunc(e->builder, emit_index_mul(e, c->column, e->lanes), e->i32, "");
        Value lanes = LLVMBuildAdd(e->builder, emit_splat(e, first), emit_lane_indices(e), "");
        return c->value[id] = LLVMBuildSIToFP(e->builder, lanes, e->vector, "");
    }
    return c->value[id] = emit_load_vector(e, vector_at(c, c->address[id]), e->lanes * e->real_bytes);
}

static Value masked(Cluster *c, Value v, double otherwise) {
    return c->mask ? emit_select(c->l->e, c->mask, v, emit_splat_constant(c->l->e, otherwise)) : v;
}

static void store(Cluster *c, Value v, Value address, bool add) {
    Emit *e = c->l->e;
    uint32_t align = e->lanes * e->real_bytes;
    Value at = vector_at(c, address);
    v = masked(c, v, 0);
    if (add) v = emit_add(e, emit_load_vector(e, at, align), v);
    emit_store_vector(e, v, at, align);
}

/* ---- reductions: one accumulator a lane, then a tree over the lanes; the order never depends on the batch ---- */
static Value combine(Emit *e, Op op, Value a, Value b) {
    if (op == OP_reduce_sum) return emit_add(e, a, b);
    Value larger = emit_compare(e, LLVMRealOGT, b, a), nan = emit_compare(e, LLVMRealUNO, b, b);
    return emit_select(e, LLVMBuildOr(e->builder, larger, nan, ""), b, a);
}

static Value across_lanes(Emit *e, Op op, Value v) {
    for (uint32_t width = e->lanes / 2; width > 0; width /= 2) {
        Value low[64], high[64];
        for (uint32_t k = 0; k < width; k++) low[k] = emit_i32(e, k), high[k] = emit_i32(e, k + width);
        Value poison = LLVMGetPoison(LLVMTypeOf(v));
        Value a = LLVMBuildShuffleVector(e->builder, v, poison, LLVMConstVector(low, width), "");
        Value b = LLVMBuildShuffleVector(e->builder, v, poison, LLVMConstVector(high, width), "");
        v = combine(e, op, a, b);
    }
    return LLVMBuildExtractElement(e->builder, v, emit_i32(e, 0), "");
}

static void finish_reduction(Cluster *c, NodeId id, Value lanes) {
    Lower *l = c->l;
    const NodePlan *x = &l->step->nodes[id];
    Value v = across_lanes(l->e, lower_node_of(l, id)->op, lanes);
    if (x->memory && x->slot.base != SLOT_NONE) emit_store_single(l->e, v, lower_slot(l, x->slot, c->row), false);
    for (uint32_t k = 0; k < c->g->nstores; k++) {
        const Store *s = &c->g->stores[k];
        if (s->node == id && !s->has_source) emit_store_single(l->e, v, lower_slot(l, s->to, c->row), s->add);
    }
}

static void lower_members(Cluster *c, Loop *columns) {
    Lower *l = c->l;
    uint32_t carried = 0;
    for (uint32_t k = 0; k < c->g->nmembers; k++) {
        NodeId id = c->g->members[k];
        const Node *n = lower_node_of(l, id);
        if (l->step->nodes[id].treatment == TREAT_REDUCE) {
            Value v = masked(c, operand(c, lower_argument(l, id, 0)), n->op == OP_reduce_sum ? 0 : -INFINITY);
            loop_next(columns, carried, combine(l->e, n->op, columns->phi[carried], v));
            carried++;
        } else if (is_inline(c, id)) {
            c->value[id] = operand(c, id);
        } else {
            Site s = {.l = l, .id = id, .node = n, .row = c->row};
            for (uint32_t a = 0; a < n->nargs; a++) s.x[a] = operand(c, lower_argument(l, id, a));
            c->value[id] = lower_node(&s);
        }
    }
}

static void lower_row(Cluster *c) {
    Lower *l = c->l;
    Emit *e = l->e;
    const Group *g = c->g;
    uint32_t vector = e->lanes * e->real_bytes, nodes = l->step->step->graph->nnodes;
    uint64_t bytes = g->count * e->real_bytes, rounds = padded(bytes) / vector;
    prepare_all(c, false);
    Value *own = arena_alloc(e->arena, (g->nmembers + 1) * sizeof *own),
          *to = arena_alloc(e->arena, (g->nstores + 1) * sizeof *to);
    Value *from = arena_alloc(e->arena, (g->nstores + 1) * sizeof *from);
    for (uint32_t k = 0; k < g->nmembers; k++) {
        const NodePlan *x = &l->step->nodes[g->members[k]];
        if (x->treatment != TREAT_REDUCE && x->memory && x->slot.base != SLOT_NONE)
            own[k] = lower_slot(l, x->slot, c->row);
    }
    for (uint32_t k = 0; k < g->nstores; k++) {
        if (member_reduction(c, g->stores[k].node) && !g->stores[k].has_source) continue;
        to[k] = lower_slot(l, g->stores[k].to, c->row);
        if (g->stores[k].has_source) from[k] = lower_slot(l, g->stores[k].source, c->row);
    }
    Loop columns;
    loop_count(&columns, e, rounds);
    for (uint32_t k = 0; k < g->nmembers; k++) {
        NodeId id = g->members[k];
        if (l->step->nodes[id].treatment != TREAT_REDUCE) continue;
        loop_carry(&columns, emit_splat_constant(e, lower_node_of(l, id)->op == OP_reduce_sum ? 0 : -INFINITY));
    }
    c->column = columns.index;
    c->mask = NULL;
    if (bytes % DEQ_ALIGN && rounds == 1) {
        c->mask = emit_lane_mask(e, (uint32_t)g->count);
    } else if (bytes % DEQ_ALIGN) {
        Value first = LLVMBuildTrunc(e->builder, emit_index_mul(e, c->column, e->lanes), e->i32, "");
        Value at = LLVMBuildAdd(e->builder, emit_splat(e, first), emit_lane_indices(e), "");
        c->mask = LLVMBuildICmp(e->builder, LLVMIntULT, at, emit_splat(e, emit_i32(e, (uint32_t)g->count)), "");
    }
    lower_members(c, &columns);
    for (uint32_t k = 0; k < g->nstores; k++)
        if (to[k] && !from[k]) operand(c, g->stores[k].node); /* read everything before anything is written */
    for (uint32_t k = 0; k < g->nmembers; k++)
        if (own[k]) store(c, c->value[g->members[k]], own[k], false);
    for (uint32_t k = 0; k < g->nstores; k++) {
        if (!to[k]) continue;
        Value v = from[k] ? emit_load_vector(e, vector_at(c, from[k]), vector) : operand(c, g->stores[k].node);
        store(c, v, to[k], g->stores[k].add);
    }
    for (uint32_t k = 0; k < nodes; k++) c->value[k] = NULL;
    loop_end(&columns);
    for (uint32_t k = 0, carried = 0; k < g->nmembers; k++)
        if (l->step->nodes[g->members[k]].treatment == TREAT_REDUCE)
            finish_reduction(c, g->members[k], loop_result(&columns, carried++));
}

void lower_cluster(Lower *l, const Group *g) {
    Emit *e = l->e;
    uint32_t nodes = l->step->step->graph->nnodes;
    Cluster c = {.l = l, .g = g, .row = emit_i64(e, 0)};
    c.address = arena_alloc(e->arena, 3 * nodes * sizeof *c.address);
    c.element = c.address + nodes;
    c.value = c.element + nodes;
    prepare_all(&c, true);
    if (!g->batched) {
        lower_row(&c);
        return;
    }
    Loop rows;
    loop_begin(&rows, e, c.row, l->tile_rows, emit_i64(e, 1), false);
    c.row = rows.index;
    lower_row(&c);
    loop_end(&rows);
}
