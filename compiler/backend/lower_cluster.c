/* lower_cluster.c - a cluster: one loop over the vectors of a row, everything between in registers.
 *
 * Vectors are always whole: rows are padded, reading past the last element is allowed and what is read there is
 * ignored; stores and reductions mask it.
 *
 * Images are rows of pixels, and a value of one number a channel repeats with every pixel: its vector is read again at
 * the place modulo the channels.  A sum over the pixels keeps one sum a channel; where the channels of a few pixels are
 * whole vectors, the loop takes so many vectors a round, and these sums stay in registers. */
#include "lower.h"
#include <math.h>

#define MOST_UNROLLED 8 /* vectors a round */
#define MOST_SUMS 24    /* of them in registers */
#define MOST_PERIODS 8
#define LONG_SUM 256 /* additions to one lane, from which a sum is made in blocks */

typedef struct Cluster {
    Lower *l;
    const Group *g;
    Value row;
    Value *address;          /* by node: of its row, for values in memory; of what a repeated row is read from */
    Value *element;          /* by node: the one element of a value that is repeated, as a vector */
    Value *value;            /* by node: the vector of this round */
    Value column;            /* round */
    Value mask;              /* NULL: all lanes hold elements */
    uint32_t unrolled, part; /* vectors a round, and which of them it is */
    /* places modulo a period, in elements, that go around the loop when there is no unrolling */
    uint64_t periods[MOST_PERIODS];
    Value places[MOST_PERIODS];
    uint32_t nperiods, first_place;
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

/* Elements after which a repeated value repeats: 1 for a single element. */
static uint64_t period_of(const Cluster *c, NodeId id) {
    return plan_repeated(c->l->step->step->graph, c->l->step, id);
}

/* A row of `period` elements so that whole vectors can be read at any place of it: itself when vectors never cross its
 * end, else a copy with its beginning once more behind it. */
static Value repeated_row(Cluster *c, Value from, uint64_t period) {
    Emit *e = c->l->e;
    if (period % e->lanes == 0) return from;
    Value copy = emit_alloca(e, e->real, emit_i32(e, (uint32_t)period + e->lanes), DEQ_ALIGN);
    Loop all;
    loop_count(&all, e, period);
    emit_store(e, emit_load(e, emit_element(e, from, all.index)), emit_element(e, copy, all.index));
    loop_end(&all);
    loop_count(&all, e, e->lanes);
    Value behind = emit_index_add(e, all.index, emit_i64(e, period));
    emit_store(e, emit_load(e, emit_element(e, copy, all.index)), emit_element(e, copy, behind));
    loop_end(&all);
    return copy;
}

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
    if (held != id && period_of(c, id) > 1)
        c->address[id] = repeated_row(c, at, period_of(c, id));
    else if (held != id)
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

/* Place of this round's vector modulo the period, in elements. */
static Value place_in(const Cluster *c, uint64_t period) {
    Emit *e = c->l->e;
    if (c->unrolled > 1) return emit_i64(e, (uint64_t)c->part * e->lanes % period);
    for (uint32_t k = 0; k < c->nperiods; k++)
        if (c->periods[k] == period) return c->places[k];
    ICE("%s: a value repeats that was not planned to", c->l->routine->routine->name);
}

/* The node's vector in this round. */
static Value operand(Cluster *c, NodeId id) {
    Emit *e = c->l->e;
    const Node *n = lower_node_of(c->l, id);
    if (c->value[id]) return c->value[id];
    if (c->element[id]) return c->element[id];
    if (is_inline(c, id) && n->op == OP_broadcast && period_of(c, id) > 1) {
        uint64_t period = period_of(c, id);
        uint32_t align = period % e->lanes ? e->real_bytes : e->lanes * e->real_bytes;
        return c->value[id] = emit_load_vector(e, emit_element(e, c->address[id], place_in(c, period)), align);
    }
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
Value lower_combine(Emit *e, Op op, Value a, Value b) {
    if (op == OP_reduce_sum) return emit_add(e, a, b);
    Value larger = emit_compare(e, LLVMRealOGT, b, a), nan = emit_compare(e, LLVMRealUNO, b, b);
    return emit_select(e, LLVMBuildOr(e->builder, larger, nan, ""), b, a);
}

Value lower_across_lanes(Emit *e, Op op, Value v) {
    for (uint32_t width = e->lanes / 2; width > 0; width /= 2) {
        Value low[64], high[64];
        for (uint32_t k = 0; k < width; k++) low[k] = emit_i32(e, k), high[k] = emit_i32(e, k + width);
        Value poison = LLVMGetPoison(LLVMTypeOf(v));
        Value a = LLVMBuildShuffleVector(e->builder, v, poison, LLVMConstVector(low, width), "");
        Value b = LLVMBuildShuffleVector(e->builder, v, poison, LLVMConstVector(high, width), "");
        v = lower_combine(e, op, a, b);
    }
    return LLVMBuildExtractElement(e->builder, v, emit_i32(e, 0), "");
}

/* Puts the P sums of a reduction that keeps the channels where they are read.  `sums` holds them several times over,
 * `length` elements, to be combined. */
static void finish_columns(Cluster *c, NodeId id, Value sums, uint64_t length) {
    Lower *l = c->l;
    Emit *e = l->e;
    const NodePlan *x = &l->step->nodes[id];
    Op op = lower_node_of(l, id)->op;
    uint64_t period = plan_reduced(l->step->step->graph, id), bytes = padded(period * e->real_bytes);
    uint32_t vector = e->lanes * e->real_bytes;
    Value result = sums;
    if (length != period || period * e->real_bytes != bytes) {
        result = emit_alloca(e, e->i8, emit_i32(e, (uint32_t)bytes), DEQ_ALIGN);
        lower_zero(e, result, bytes);
        Loop each;
        loop_count(&each, e, period);
        Value v = emit_load(e, emit_element(e, sums, each.index));
        for (uint64_t k = period; k < length; k += period) {
            Value more = emit_index_add(e, each.index, emit_i64(e, k));
            v = lower_combine(e, op, v, emit_load(e, emit_element(e, sums, more)));
        }
        emit_store(e, v, emit_element(e, result, each.index));
        loop_end(&each);
    }
    for (uint32_t k = 0; k <= c->g->nstores; k++) {
        const Store *s = k < c->g->nstores ? &c->g->stores[k] : NULL;
        if (s ? s->node != id || s->has_source : !x->memory || x->slot.base == SLOT_NONE) continue;
        Value to = lower_slot(l, s ? s->to : x->slot, c->row);
        Loop vectors;
        loop_count(&vectors, e, bytes / vector);
        Value offset = emit_index_mul(e, vectors.index, vector), at = emit_offset(e, to, offset);
        Value v = emit_load_vector(e, emit_offset(e, result, offset), vector);
        if (s && s->add) v = emit_add(e, emit_load_vector(e, at, vector), v);
        emit_store_vector(e, v, at, vector);
        loop_end(&vectors);
    }
}

static void finish_reduction(Cluster *c, NodeId id, Value lanes) {
    Lower *l = c->l;
    const NodePlan *x = &l->step->nodes[id];
    Value v = lower_across_lanes(l->e, lower_node_of(l, id)->op, lanes);
    if (x->memory && x->slot.base != SLOT_NONE) emit_store_single(l->e, v, lower_slot(l, x->slot, c->row), false);
    for (uint32_t k = 0; k < c->g->nstores; k++) {
        const Store *s = &c->g->stores[k];
        if (s->node == id && !s->has_source) emit_store_single(l->e, v, lower_slot(l, s->to, c->row), s->add);
    }
}

/* ---- how the loop runs ---- */
static uint64_t common_multiple(uint64_t a, uint64_t b) {
    uint64_t x = a, y = b;
    while (y) {
        uint64_t r = x % y;
        x = y, y = r;
    }
    return a / x * b;
}

static void add_period(Cluster *c, uint64_t period) {
    for (uint32_t k = 0; k < c->nperiods; k++)
        if (c->periods[k] == period) return;
    if (c->nperiods == MOST_PERIODS) ICE("%s: values of too many periods meet", c->l->routine->routine->name);
    c->periods[c->nperiods++] = period;
}

/* Length of a reduction's sums in memory: whole vectors of whole pixels. */
static uint64_t sums_length(const Cluster *c, uint64_t period) { return common_multiple(period, c->l->e->lanes); }

/* Finds the periods of the cluster, and how many vectors make a round. */
static void plan_loop(Cluster *c, uint64_t rounds) {
    Lower *l = c->l;
    const Graph *g = l->step->step->graph;
    uint64_t whole = 1; /* vectors after which all places repeat */
    uint32_t sums = 0;
    bool padding = c->g->count * l->e->real_bytes % DEQ_ALIGN != 0;
    c->nperiods = 0;
    for (uint32_t k = 0; k < c->g->nmembers + c->g->nstores; k++) {
        bool member = k < c->g->nmembers;
        NodeId id = member ? c->g->members[k] : c->g->stores[k - c->g->nmembers].node;
        const Node *n = lower_node_of(l, id);
        bool reduction = l->step->nodes[id].treatment == TREAT_REDUCE;
        for (uint32_t a = 0; a <= n->nargs; a++) { /* its arguments, then itself */
            NodeId x = a < n->nargs ? lower_argument(l, id, a) : id;
            uint64_t period = member || x == id ? plan_repeated(g, l->step, x) : 0;
            if (x == id && reduction && member) period = plan_reduced(g, id);
            if (period <= 1) continue;
            uint64_t length = sums_length(c, period);
            if (x == id && reduction) sums += (uint32_t)(length / l->e->lanes);
            whole = common_multiple(whole, length / l->e->lanes);
            add_period(c, x == id && reduction ? length : period);
        }
    }
    c->unrolled = 1;
    if (whole > 1 && whole <= MOST_UNROLLED && sums <= MOST_SUMS && rounds % whole == 0 && !padding)
        c->unrolled = (uint32_t)whole;
}

typedef struct Sums { /* of one reduction */
    uint64_t period, length;
    uint32_t first;   /* value carried around the loop; one a vector of `length` when unrolled */
    Value memory;     /* else */
    Value block, all; /* of a long sum, in memory: of the blocks of this block of blocks, and of all of those before */
} Sums;

static uint32_t carried_vectors(const Cluster *c, const Sums *s) { return (uint32_t)(s->length / c->l->e->lanes); }

/* `count` vectors of zeros, or of -inf. */
static Value start_in_memory(Cluster *c, Op op, uint64_t count) {
    Emit *e = c->l->e;
    Value at = emit_alloca(e, e->real, emit_i32(e, (uint32_t)count * e->lanes), DEQ_ALIGN);
    Value start = emit_splat_constant(e, op == OP_reduce_sum ? 0 : -INFINITY);
    Loop clear;
    loop_count(&clear, e, count);
    emit_store_vector(e, start, emit_element(e, at, emit_index_mul(e, clear.index, e->lanes)),
                      e->lanes * e->real_bytes);
    loop_end(&clear);
    return at;
}

/* What stands before the loop. */
static Sums sums_plan(Cluster *c, NodeId id, uint64_t rounds) {
    Lower *l = c->l;
    Emit *e = l->e;
    Op op = lower_node_of(l, id)->op;
    Sums s = {.period = plan_reduced(l->step->step->graph, id)};
    s.length = s.period > 1 ? sums_length(c, s.period) : e->lanes;
    const uint32_t vectors = carried_vectors(c, &s);
    if (s.period > 1 && c->unrolled == 1) s.memory = start_in_memory(c, op, vectors);
    if (op == OP_reduce_sum && rounds / vectors >= LONG_SUM) {
        s.block = start_in_memory(c, op, vectors);
        s.all = start_in_memory(c, op, vectors);
    }
    return s;
}

static void sums_begin(Cluster *c, NodeId id, Sums *s, Loop *columns) {
    Emit *e = c->l->e;
    Value start = emit_splat_constant(e, lower_node_of(c->l, id)->op == OP_reduce_sum ? 0 : -INFINITY);
    s->first = columns->nvalues;
    for (uint32_t k = 0; !s->memory && k < carried_vectors(c, s); k++) loop_carry(columns, start);
}

/* ---- long sums: sums of blocks, and sums of those ----
 * One sum of n elements a lane errs by n roundings, and always to the same side where the elements are equal.  These
 * err by about 2 BLOCK + n / BLOCK / BLOCK. */
#define BLOCK 64 /* additions to a lane; a power of two */

/* to += from, from = 0: `count` vectors. */
static void lift(Emit *e, Value from, Value to, uint32_t count) {
    const uint32_t align = e->lanes * e->real_bytes;
    Loop all;
    loop_count(&all, e, count);
    Value offset = emit_index_mul(e, all.index, align), low = emit_offset(e, from, offset),
          high = emit_offset(e, to, offset);
    emit_store_vector(e, emit_add(e, emit_load_vector(e, high, align), emit_load_vector(e, low, align)), high, align);
    emit_store_vector(e, emit_splat_constant(e, 0), low, align);
    loop_end(&all);
}

static Value *carried_sum(const Sums *s, Loop *columns, uint32_t v) { return &columns->next[s->first + v]; }

/* The sums of a block that is complete join those of the blocks before it. */
static void lift_block(Cluster *c, const Sums *s, Loop *columns) {
    Emit *e = c->l->e;
    const uint32_t align = e->lanes * e->real_bytes;
    if (s->memory) {
        lift(e, s->memory, s->block, carried_vectors(c, s));
        return;
    }
    for (uint32_t v = 0; v < carried_vectors(c, s); v++) {
        Value at = emit_offset_constant(e, s->block, (uint64_t)v * align);
        emit_store_vector(e, emit_add(e, emit_load_vector(e, at, align), *carried_sum(s, columns, v)), at, align);
    }
}

/* Whether the round is the last of `length`, a power of two. */
static Value is_last_of(Emit *e, Value round, uint64_t length) {
    Value low = LLVMBuildAnd(e->builder, round, emit_i64(e, length - 1), "");
    return LLVMBuildICmp(e->builder, LLVMIntEQ, low, emit_i64(e, length - 1), "");
}

/* At the end of a round. */
static void lift_sums(Cluster *c, const Sums *sums, uint32_t count, Loop *columns) {
    Emit *e = c->l->e;
    uint64_t length = BLOCK;
    bool any = false;
    for (uint32_t k = 0; k < count; k++) {
        any = any || sums[k].block;
        while (sums[k].block && sums[k].memory && length < (uint64_t)BLOCK * carried_vectors(c, &sums[k])) length *= 2;
    }
    if (!any) return;
    LLVMBasicBlockRef before = emit_here(e), block = emit_block(e, "block"), blocks = emit_block(e, "blocks"),
                      lifted = emit_block(e, "lifted"), after = emit_block(e, "after");
    LLVMBuildCondBr(e->builder, is_last_of(e, columns->index, length), block, after);
    emit_at(e, block);
    for (uint32_t k = 0; k < count; k++)
        if (sums[k].block) lift_block(c, &sums[k], columns);
    LLVMBuildCondBr(e->builder, is_last_of(e, columns->index, length * BLOCK), blocks, lifted);
    emit_at(e, blocks);
    for (uint32_t k = 0; k < count; k++)
        if (sums[k].block) lift(e, sums[k].block, sums[k].all, carried_vectors(c, &sums[k]));
    LLVMBuildBr(e->builder, lifted);
    emit_at(e, lifted);
    LLVMBuildBr(e->builder, after);
    emit_at(e, after);
    for (uint32_t k = 0; k < count; k++)
        for (uint32_t v = 0; sums[k].block && !sums[k].memory && v < carried_vectors(c, &sums[k]); v++) {
            Value *sum = carried_sum(&sums[k], columns, v), rest = LLVMBuildPhi(e->builder, e->vector, "");
            Value zero = emit_splat_constant(e, 0);
            LLVMAddIncoming(rest, (Value[]){*sum, zero}, (LLVMBasicBlockRef[]){before, lifted}, 2);
            *sum = rest;
        }
}

/* After the loop: vector v of a sum in registers. */
static Value sum_of(Cluster *c, const Sums *s, const Loop *columns, uint32_t v) {
    Emit *e = c->l->e;
    const uint32_t align = e->lanes * e->real_bytes;
    Value sum = loop_result(columns, s->first + v);
    if (!s->block) return sum;
    sum = emit_add(e, emit_load_vector(e, emit_offset_constant(e, s->block, (uint64_t)v * align), align), sum);
    return emit_add(e, emit_load_vector(e, emit_offset_constant(e, s->all, (uint64_t)v * align), align), sum);
}

static void lower_members(Cluster *c, Loop *columns, Sums *sums) {
    Lower *l = c->l;
    Emit *e = l->e;
    uint32_t reductions = 0;
    for (uint32_t k = 0; k < c->g->nmembers; k++) {
        NodeId id = c->g->members[k];
        const Node *n = lower_node_of(l, id);
        if (l->step->nodes[id].treatment == TREAT_REDUCE) {
            Sums *s = &sums[reductions++];
            Value v = masked(c, operand(c, lower_argument(l, id, 0)), n->op == OP_reduce_sum ? 0 : -INFINITY);
            if (s->memory) {
                Value at = emit_element(e, s->memory, place_in(c, s->length));
                uint32_t align = e->lanes * e->real_bytes;
                emit_store_vector(e, lower_combine(e, n->op, emit_load_vector(e, at, align), v), at, align);
                continue;
            }
            uint32_t carried = s->first + c->part % carried_vectors(c, s);
            Value before = columns->next[carried] ? columns->next[carried] : columns->phi[carried];
            loop_next(columns, carried, lower_combine(e, n->op, before, v));
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
    uint32_t vector = e->lanes * e->real_bytes, nodes = l->step->step->graph->nnodes, reductions = 0;
    uint64_t bytes = g->count * e->real_bytes, rounds = padded(bytes) / vector;
    prepare_all(c, false);
    Value *own = arena_alloc(e->arena, (g->nmembers + 1) * sizeof *own),
          *to = arena_alloc(e->arena, (g->nstores + 1) * sizeof *to);
    Value *from = arena_alloc(e->arena, (g->nstores + 1) * sizeof *from);
    Sums *sums = arena_alloc(e->arena, (g->nmembers + 1) * sizeof *sums);
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
    plan_loop(c, rounds);
    for (uint32_t k = 0; k < g->nmembers; k++)
        if (l->step->nodes[g->members[k]].treatment == TREAT_REDUCE)
            sums[reductions++] = sums_plan(c, g->members[k], rounds);
    Loop columns;
    loop_count(&columns, e, rounds / c->unrolled);
    for (uint32_t k = 0, r = 0; k < g->nmembers; k++)
        if (l->step->nodes[g->members[k]].treatment == TREAT_REDUCE) sums_begin(c, g->members[k], &sums[r++], &columns);
    c->first_place = columns.nvalues;
    if (c->unrolled == 1)
        for (uint32_t k = 0; k < c->nperiods; k++) c->places[k] = loop_carry(&columns, emit_i64(e, 0));
    for (c->part = 0; c->part < c->unrolled; c->part++) {
        c->column = emit_index_add(e, emit_index_mul(e, columns.index, c->unrolled), emit_i64(e, c->part));
        c->mask = NULL;
        if (bytes % DEQ_ALIGN && rounds == 1) {
            c->mask = emit_lane_mask(e, (uint32_t)g->count);
        } else if (bytes % DEQ_ALIGN) {
            Value first = LLVMBuildTrunc(e->builder, emit_index_mul(e, c->column, e->lanes), e->i32, "");
            Value at = LLVMBuildAdd(e->builder, emit_splat(e, first), emit_lane_indices(e), "");
            c->mask = LLVMBuildICmp(e->builder, LLVMIntULT, at, emit_splat(e, emit_i32(e, (uint32_t)g->count)), "");
        }
        lower_members(c, &columns, sums);
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
    }
    lift_sums(c, sums, reductions, &columns);
    if (c->unrolled == 1)
        for (uint32_t k = 0; k < c->nperiods; k++) { /* the next place: one vector on, less the period */
            Value next = emit_index_add(e, c->places[k], emit_i64(e, e->lanes % c->periods[k]));
            Value period = emit_i64(e, c->periods[k]);
            Value over = LLVMBuildICmp(e->builder, LLVMIntUGE, next, period, "");
            next = LLVMBuildSelect(e->builder, over, LLVMBuildNSWSub(e->builder, next, period, ""), next, "");
            loop_next(&columns, c->first_place + k, next);
        }
    loop_end(&columns);
    for (uint32_t k = 0, r = 0; k < g->nmembers; k++) {
        NodeId id = g->members[k];
        if (l->step->nodes[id].treatment != TREAT_REDUCE) continue;
        const Sums *s = &sums[r++];
        if (s->period <= 1) {
            finish_reduction(c, id, sum_of(c, s, &columns, 0));
            continue;
        }
        Value memory = s->memory;
        if (memory && s->block) {
            lift(e, memory, s->block, carried_vectors(c, s));
            lift(e, s->block, s->all, carried_vectors(c, s));
            memory = s->all;
        } else if (!memory) {
            memory = emit_alloca(e, e->real, emit_i32(e, (uint32_t)s->length), DEQ_ALIGN);
            for (uint32_t v = 0; v < carried_vectors(c, s); v++)
                emit_store_vector(e, sum_of(c, s, &columns, v), emit_offset_constant(e, memory, (uint64_t)v * vector),
                                  vector);
        }
        finish_columns(c, id, memory, s->length);
    }
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
