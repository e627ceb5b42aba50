/* lower.c - the skeleton of a routine: frame, steps, levels, tiles; and where values stand. */
#include "lower.h"
#include <string.h>

Value lower_node(const Site *s) {
    static LowerFn *const rules[] = {
#define OP(name, arity, class, shape, linear, cost, view, doc) lower_##name,
#include "ops.def"
#undef OP
    };
    return rules[s->node->op](s);
}

const char *lower_op_name(Op op) {
    static const char *const names[] = {
#define OP(name, arity, class, shape, linear, cost, view, doc) #name,
#include "ops.def"
#undef OP
    };
    return names[op];
}

/* ---- addresses ---- */
static Value region_of(Lower *l, const Buffer *b) {
    switch (b->scope) {
    case SCOPE_ONCE: return emit_offset_constant(l->e, l->once_region, b->offset);
    case SCOPE_TILE: return emit_offset_constant(l->e, l->tile_region, b->offset);
    case SCOPE_ROWS: return emit_offset(l->e, l->row_region, emit_index_mul(l->e, l->rows, b->offset));
    }
    return NULL;
}

static Value slot_base(Lower *l, Slot slot) {
    switch (slot.base) {
    case SLOT_SHARED: return l->fields[FRAME_shared];
    case SLOT_ACCUM: return l->fields[FRAME_accum];
    case SLOT_REST: return l->fields[FRAME_rest];
    case SLOT_DREST: return l->fields[FRAME_drest];
    case SLOT_TAPE: return l->fields[FRAME_tape];
    case SLOT_ARG: return l->fields[FRAME_arg0 + slot.index];
    case SLOT_SCALAR:
    case SLOT_BUFFER: return region_of(l, &l->step->buffers[slot.index]);
    case SLOT_NONE: break;
    }
    ICE("%s: a value without storage is read", l->routine->routine->name);
}

/* Record of row i: rows[i], or i itself when there is no index. */
static Value record_of(Lower *l, Value i) {
    Emit *e = l->e;
    Value rows = l->fields[FRAME_rows], at = LLVMBuildInBoundsGEP2(e->builder, e->i32, rows, &i, 1, "");
    LLVMBuildStore(e->builder, LLVMBuildTrunc(e->builder, i, e->i32, ""), l->record_slot);
    at = LLVMBuildSelect(e->builder, LLVMBuildIsNull(e->builder, rows, ""), l->record_slot, at, "");
    return LLVMBuildSExt(e->builder, LLVMBuildLoad2(e->builder, e->i32, at, ""), e->i64, "record");
}

Value lower_slot(Lower *l, Slot slot, Value row) {
    Emit *e = l->e;
    if (l->form) return lower_operand(l, slot);
    Value base = slot_base(l, slot);
    if (slot.base == SLOT_SCALAR) return base;
    base = emit_offset_constant(e, base, slot.offset);
    if (slot.stride == 0) return base;
    const Buffer *b = slot.base == SLOT_BUFFER ? &l->step->buffers[slot.index] : NULL;
    const bool tile = b && b->scope == SCOPE_TILE;
    if (tile && b->alone) return base;
    Value i = tile ? row : emit_index_add(e, l->tile_start, row);
    if (slot.base == SLOT_REST || slot.base == SLOT_DREST) i = l->record ? l->record : record_of(l, i);
    return emit_offset(e, base, emit_index_mul(e, i, slot.stride));
}

Value lower_slot_all(Lower *l, Slot slot) {
    if (slot.base == SLOT_REST || slot.base == SLOT_DREST) ICE("%s: rows through an index", l->routine->routine->name);
    Value base = slot_base(l, slot);
    return slot.base == SLOT_SCALAR ? base : emit_offset_constant(l->e, base, slot.offset);
}

Value lower_argument_row(const Site *s, uint32_t k) {
    return lower_slot(s->l, s->l->step->nodes[lower_argument(s->l, s->id, k)].slot, s->row);
}

Value lower_result_row(const Site *s) { return lower_slot(s->l, s->l->step->nodes[s->id].slot, s->row); }

void lower_zero(Emit *e, Value address, uint64_t bytes) {
    LLVMBuildMemSet(e->builder, address, LLVMConstNull(e->i8), emit_i64(e, bytes), DEQ_ALIGN);
}

/* ---- groups ---- */
bool lower_in_pieces(const Lower *l, NodeId id) {
    return l->piece && lower_node_of(l, id)->op == OP_pack &&
           l->step->nodes[lower_argument(l, id, 0)].treatment == TREAT_INPUT;
}

void lower_group_body(Lower *l, const Group *g) {
    if (g->cluster) {
        lower_cluster(l, g);
        return;
    }
    NodeId id = g->members[0];
    const NodePlan *x = &l->step->nodes[id];
    Site site = {.l = l, .id = id, .node = lower_node_of(l, id), .row = emit_i64(l->e, 0)};
    if (x->slot.base == SLOT_NONE) ICE("%s: %s has no storage", l->routine->routine->name, "a node");
    if (x->treatment != TREAT_ROW || !g->batched || x->together) {
        lower_node(&site);
        return;
    }
    Loop rows;
    loop_begin(&rows, l->e, emit_i64(l->e, 0), l->tile_rows, emit_i64(l->e, 1), false);
    site.row = rows.index;
    lower_node(&site);
    loop_end(&rows);
}

static void lower_whole_group(Lower *l, const Group *g) {
    if (lower_has_form(l, g))
        lower_form(l, g);
    else if (l->image)
        ICE("%s: a group of a run has no form", l->routine->routine->name);
    else
        lower_group_body(l, g);
}

/* What the pieces of a routine do not share belongs to one of them: to the first, or to the owner's. */
static void lower_group(Lower *l, const Group *g) {
    if (g->nmembers == 0 && g->nstores == 0) return;
    Value site = lower_profile_group(l, g);
    if (!l->piece || (!g->cluster && lower_in_pieces(l, g->members[0]))) {
        lower_whole_group(l, g);
        lower_profile_end(l, site);
        return;
    }
    Emit *e = l->e;
    LLVMBasicBlockRef mine = emit_block(e, "mine"), after = emit_block(e, "after");
    Value owner = LLVMBuildURem(e->builder, emit_i64(e, g->owner), l->pieces, "owner");
    LLVMBuildCondBr(e->builder, LLVMBuildICmp(e->builder, LLVMIntEQ, l->piece, owner, ""), mine, after);
    emit_at(e, mine);
    lower_whole_group(l, g);
    LLVMBuildBr(e->builder, after);
    emit_at(e, after);
    lower_profile_end(l, site);
}

/* What every function of a routine begins with: the frame's fields and the regions of its scratch. */
static void enter(Lower *l) {
    static const char *const names[] = {
#define FRAME(field, type, doc) #field,
#include "frame.def"
#undef FRAME
    };
    Emit *e = l->e;
    for (uint32_t k = 0; k < FRAME_COUNT; k++) {
        bool word = k == FRAME_seed || k == FRAME_step || k == FRAME_half;
        l->fields[k] =
            LLVMBuildLoad2(e->builder, word ? e->i64 : e->ptr, emit_offset_constant(e, l->frame, 8 * k), names[k]);
    }
    l->tile_region = l->fields[FRAME_scratch];
    l->once_region = emit_offset_constant(e, l->tile_region, l->routine->tile_bytes);
    l->row_region = emit_offset_constant(e, l->once_region, l->routine->once_bytes);
    l->record_slot = emit_alloca(e, e->i32, emit_i32(e, 1), 4);
}

/* Groups of a function of their own: LLVM takes time that grows faster than the function, and with a loop around them
 * faster still. */
#define PART_GROUPS 12
#define LOOP_GROUPS 4

static uint32_t end_of_run(Group **groups, uint32_t k, uint32_t n) {
    uint32_t end = k + 1;
    while (groups[k]->run != UINT32_MAX && end < n && groups[end]->run == groups[k]->run) end++;
    return end;
}

static void begin_image(Lower *l, Loop *images) {
    loop_begin(images, l->e, emit_i64(l->e, 0), l->tile_rows, emit_i64(l->e, 1), false);
    l->image = images->index;
}

static void end_image(Lower *l, Loop *images) {
    loop_end(images);
    l->image = NULL;
}

/* The groups here, run by run; within a run that is begun, as they stand. */
static void lower_groups(Lower *l, Group **groups, uint32_t n) {
    for (uint32_t k = 0, end; k < n; k = end) {
        end = end_of_run(groups, k, n);
        const bool begins = groups[k]->run != UINT32_MAX && !l->image;
        Loop images;
        if (begins) begin_image(l, &images);
        for (uint32_t j = k; j < end; j++) lower_group(l, groups[j]);
        if (begins) end_image(l, &images);
    }
}

/* The groups in a function of their own, called here. */
static void lower_apart(Lower *l, Group **groups, uint32_t n) {
    Emit *e = l->e;
    Value nothing = emit_i64(e, 0), args[9] = {l->frame,
                                               l->n,
                                               l->tile_start ? l->tile_start : nothing,
                                               l->tile_rows ? l->tile_rows : nothing,
                                               l->iteration,
                                               l->pieces ? l->pieces : nothing,
                                               l->piece ? l->piece : nothing,
                                               l->rows,
                                               l->image ? l->image : nothing};
    LLVMTypeRef params[9] = {e->ptr, e->i64, e->i64, e->i64, e->i64, e->i64, e->i64, e->i64, e->i64};
    Value outer = e->function;
    LLVMBasicBlockRef here = emit_here(e);
    Lower inner = *l;
    Value f = emit_function(e, arena_printf(e->arena, "%s_part%u", l->routine->routine->name, (*l->nparts)++), e->none,
                            params, 9);
    LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, e->noinline);
    inner.frame = LLVMGetParam(f, 0);
    inner.n = LLVMGetParam(f, 1);
    inner.rows = LLVMGetParam(f, 7);
    if (l->tile_start) inner.tile_start = LLVMGetParam(f, 2);
    if (l->tile_rows && !LLVMIsConstant(l->tile_rows)) inner.tile_rows = LLVMGetParam(f, 3);
    inner.iteration = LLVMGetParam(f, 4);
    if (l->pieces) inner.pieces = LLVMGetParam(f, 5), inner.piece = LLVMGetParam(f, 6);
    if (l->image) inner.image = LLVMGetParam(f, 8);
    enter(&inner);
    if (l->record) inner.record = record_of(&inner, inner.tile_start);
    lower_groups(&inner, groups, n);
    LLVMBuildRetVoid(e->builder);
    e->function = outer;
    emit_at(e, here);
    emit_call(e, f, args, 9);
}

/* In functions of a dozen groups.  A run is one's, but a long one is its loop here around several. */
static void lower_parts(Lower *l, Group **groups, uint32_t n) {
    for (uint32_t k = 0, end; k < n; k = end) {
        end = end_of_run(groups, k, n);
        if (end - k > PART_GROUPS) {
            Loop images;
            begin_image(l, &images);
            for (uint32_t j = k; j < end; j += PART_GROUPS)
                lower_apart(l, groups + j, end - j < PART_GROUPS ? end - j : PART_GROUPS);
            end_image(l, &images);
            continue;
        }
        for (uint32_t next; end < n && (next = end_of_run(groups, end, n)) - k <= PART_GROUPS;) end = next;
        lower_apart(l, groups + k, end - k);
    }
}

static void lower_part(Lower *l, const LevelPlan *level, Group **groups, uint32_t n) {
    Group **order = arena_alloc(l->e->arena, (n + 1) * sizeof *order);
    uint32_t count = 0;
    for (int final = 0; final < 2; final++)
        for (uint32_t k = 0; k < n; k++)
            if (groups[k]->final == final && (groups[k]->nmembers || groups[k]->nstores)) order[count++] = groups[k];
    if (count > (l->tile_rows && level->wide ? LOOP_GROUPS : 3 * PART_GROUPS))
        lower_parts(l, order, count);
    else
        lower_groups(l, order, count);
}

/* A thread that shares the call runs the groups of its half, and meets the other after each phase: another tile takes
 * the memory of the one before. */
static void lower_halves(Lower *l, const LevelPlan *level) {
    Emit *e = l->e;
    Value alone = LLVMBuildIsNull(e->builder, l->fields[FRAME_meeting], "alone");
    for (uint32_t k = 0, next; k < level->ntile; k = next) {
        const uint32_t owner = level->tile[k]->owner;
        for (next = k; next < level->ntile && level->tile[next]->owner == owner;) next++;
        const bool last = next == level->ntile || level->tile[next]->owner / 2 != owner / 2; /* of its phase */
        Value mine = LLVMBuildICmp(e->builder, LLVMIntEQ, l->fields[FRAME_half], emit_i64(e, owner % 2), "");
        LLVMBasicBlockRef run = emit_block(e, "half"), after = emit_block(e, "after");
        LLVMBuildCondBr(e->builder, LLVMBuildOr(e->builder, alone, mine, ""), run, after);
        emit_at(e, run);
        lower_part(l, level, level->tile + k, next - k);
        LLVMBuildBr(e->builder, after);
        emit_at(e, after);
        if (last) emit_call(e, lower_runtime(e, "deq_meet"), &l->frame, 1);
    }
}

static bool any_work(Group **groups, uint32_t n) {
    for (uint32_t k = 0; k < n; k++)
        if (groups[k]->nmembers || groups[k]->nstores) return true;
    return false;
}

/* Sums over examples that are not added to their place directly start from zero. */
static void zero_sum(Lower *l, NodeId id) {
    const NodePlan *x = &l->step->nodes[id];
    const Node *node = lower_node_of(l, id);
    if (x->sum_direct) return;
    lower_zero(l->e, lower_slot(l, x->slot, NULL), padded(lower_count(node->shape) * l->e->real_bytes));
}

static void lower_tiles(Lower *l, const LevelPlan *level) {
    Emit *e = l->e;
    Value zero = emit_i64(e, 0), one = emit_i64(e, 1);
    Loop loop;
    if (!level->products && level->images == 1) {
        loop_begin(&loop, e, zero, l->n, one, false);
        l->tile_start = loop.index;
        l->tile_rows = one;
        l->record = record_of(l, loop.index); /* once for all groups */
    } else {
        loop_begin(&loop, e, zero, l->n, one, false);
        l->tile_start = loop.index;
        Value left = LLVMBuildNSWSub(e->builder, l->n, loop.index, "");
        l->tile_rows = loop.step = level->tall       ? emit_index_min(e, left, emit_i64(e, TALL_ROWS))
                                   : level->products ? product_rows(e, left)
                                                     : emit_index_min(e, left, emit_i64(e, level->images));
    }
    if (l->routine->halves)
        lower_halves(l, level);
    else
        lower_part(l, level, level->tile, level->ntile);
    loop_end(&loop);
    l->tile_start = l->tile_rows = l->record = NULL;
}

/* Sums over examples that the graph reads become those of the whole batch, where the rows are a part of it. */
static void complete_sum(Lower *l, NodeId id) {
    const NodePlan *x = &l->step->nodes[id];
    if (!l->routine->routine->coupled || !x->sum_read) return;
    Value count = emit_i64(l->e, lower_count(lower_node_of(l, id)->shape));
    emit_call(l->e, lower_runtime(l->e, "deq_batch_sum"), (Value[]){l->frame, lower_slot(l, x->slot, NULL), count}, 3);
}

static void lower_level(Lower *l, const LevelPlan *level) {
    lower_part(l, level, level->once, level->nonce);
    for (uint32_t k = 0; k < level->ntile; k++) {
        const Group *g = level->tile[k];
        if (!g->cluster && g->nmembers && l->step->nodes[g->members[0]].treatment == TREAT_SUM)
            zero_sum(l, g->members[0]);
    }
    if (any_work(level->tile, level->ntile)) lower_tiles(l, level);
    for (uint32_t k = 0; k < level->nblock; k++) {
        NodeId id = level->block[k];
        if (lower_node_of(l, id)->op == OP_batch_outer) zero_sum(l, id);
        Value site = lower_profile_block(l, id);
        lower_node(&(Site){.l = l, .id = id, .node = lower_node_of(l, id), .row = emit_i64(l->e, 0)});
        lower_profile_end(l, site);
        if (lower_node_of(l, id)->op == OP_batch_outer) complete_sum(l, id);
    }
    for (uint32_t k = 0; k < level->ntile; k++) {
        const Group *g = level->tile[k];
        if (!g->cluster && g->nmembers && l->step->nodes[g->members[0]].treatment == TREAT_SUM)
            complete_sum(l, g->members[0]);
    }
}

/* ---- steps ---- */
static void lower_graph_step(Lower *l, StepPlan *s) {
    Emit *e = l->e;
    l->step = s;
    for (NodeId id = 0; id < s->step->graph->nnodes; id++) { /* scalars become values of the working type */
        Slot slot = s->nodes[id].slot;
        if (s->nodes[id].treatment != TREAT_INPUT || slot.base != SLOT_SCALAR) continue;
        LLVMTypeRef f64 = LLVMDoubleTypeInContext(e->context);
        Value v =
            LLVMBuildLoad2(e->builder, f64, emit_offset_constant(e, l->fields[FRAME_scalars], 8 * slot.offset), "");
        if (e->real_bytes == 4) v = LLVMBuildFPTrunc(e->builder, v, e->real, "");
        emit_store_single(e, v, lower_slot(l, slot, NULL), false);
    }
    for (uint32_t k = 0; k < s->nlevels; k++) lower_level(l, &s->levels[k]);
}

/* Whether examples leave this loop before its last round. */
static bool drops(const Step *loop) {
    for (uint32_t k = 0; k < loop->nbody; k++)
        if (loop->body[k].kind == STEP_DROP) return true;
    return false;
}

typedef struct Around { /* the loop around some steps */
    Value kept;         /* where the number of its examples stands */
    LLVMBasicBlockRef end;
} Around;

static void lower_steps(Lower *l, StepPlan *steps, uint32_t n, const Around *around);

static void lower_loop(Lower *l, StepPlan *s) {
    Emit *e = l->e;
    LLVMTypeRef f64 = LLVMDoubleTypeInContext(e->context);
    Value at = emit_offset_constant(e, l->fields[FRAME_scalars], 8 * (uint64_t)s->step->trip_scalar);
    Value trips = LLVMBuildLoad2(e->builder, f64, at, "");
    trips = emit_intrinsic(e, "llvm.round", f64, &trips, 1);
    unsigned id = LLVMLookupIntrinsicID("llvm.fptosi.sat", strlen("llvm.fptosi.sat")); /* NaN gives 0 */
    Value convert = LLVMGetIntrinsicDeclaration(e->module, id, (LLVMTypeRef[]){e->i64, f64}, 2);
    trips = emit_call(e, convert, &trips, 1);
    const Value iteration = l->iteration, all = l->n;
    Around inside = {NULL, NULL};
    if (drops(s->step)) {
        inside.kept = emit_alloca(e, e->i64, emit_i32(e, 1), 8);
        LLVMBuildStore(e->builder, all, inside.kept);
    }
    Loop loop;
    loop_begin(&loop, e, emit_i64(e, 0), trips, emit_i64(e, 1), true);
    inside.end = loop.after;
    if (inside.kept) l->n = LLVMBuildLoad2(e->builder, e->i64, inside.kept, "left");
    l->iteration =
        emit_index_add(e, emit_index_mul(e, iteration, 65536), emit_index_add(e, loop.index, emit_i64(e, 1)));
    lower_steps(l, s->body, s->step->nbody, &inside);
    loop_end(&loop);
    l->iteration = iteration;
    l->n = all;
}

static void lower_steps(Lower *l, StepPlan *steps, uint32_t n, const Around *around) {
    for (uint32_t k = 0; k < n; k++) switch (steps[k].step->kind) {
        case STEP_GRAPH: lower_graph_step(l, &steps[k]); break;
        case STEP_LOOP: lower_loop(l, &steps[k]); break;
        case STEP_DROP: lower_drop(l, steps[k].step, around->kept, around->end); break;
        }
}

Value lower_routine(Emit *e, const RoutinePlan *p) {
    return emit_declare(e, p->routine->name, e->none, (LLVMTypeRef[]){e->ptr, e->i64}, 2);
}

static void define_routine(Emit *e, const PlanUnit *unit, RoutinePlan *p) {
    uint32_t nparts = 0;
    Lower lower = {.e = e, .unit = unit, .routine = p, .nparts = &nparts}, *l = &lower;
    LLVMBasicBlockRef body, out = NULL;
    e->function = lower_routine(e, p);
    if (!LLVMIsDeclaration(e->function)) ICE("two routines are named '%s'", p->routine->name);
    LLVMSetLinkage(e->function, LLVMInternalLinkage);
    LLVMAddAttributeAtIndex(e->function, LLVMAttributeFunctionIndex, e->noinline);
    emit_at(e, LLVMAppendBasicBlockInContext(e->context, e->function, "entry"));
    l->frame = LLVMGetParam(e->function, 0);
    l->n = l->rows = LLVMGetParam(e->function, 1);
    LLVMSetValueName2(l->frame, "frame", 5);
    LLVMSetValueName2(l->n, "n", 1);
    if (p->routine->rows) {
        body = emit_block(e, "rows");
        out = emit_block(e, "return");
        LLVMBuildCondBr(e->builder, LLVMBuildICmp(e->builder, LLVMIntSGT, l->n, emit_i64(e, 0), ""), body, out);
        emit_at(e, body);
    }
    enter(l);
    l->iteration = emit_i64(e, 0);
    if (p->routine->pieces) {
        Value seed = l->fields[FRAME_seed], whole = LLVMBuildIsNull(e->builder, seed, "");
        l->pieces = LLVMBuildSelect(e->builder, whole, emit_i64(e, 1), seed, "pieces");
        l->piece = LLVMBuildSelect(e->builder, whole, emit_i64(e, 0), l->fields[FRAME_step], "piece");
    }
    if (p->drops) lower_drop_begin(l);
    lower_steps(l, p->steps, p->routine->nsteps, NULL);
    if (p->drops) lower_drop_end(l);
    if (out) {
        LLVMBuildBr(e->builder, out);
        emit_at(e, out);
    }
    LLVMBuildRetVoid(e->builder);
}

void lower_unit(Emit *e, const PlanUnit *unit, uint32_t module) {
    for (uint32_t k = 0; k < unit->unit->nroutines; k++)
        if (unit->routines[k].module == module) define_routine(e, unit, &unit->routines[k]);
    for (uint32_t k = 0; k < unit->nforms; k++)
        if (unit->forms[k].module == module && plan_form_is_function(&unit->forms[k]))
            lower_form_function(e, unit, &unit->forms[k]);
}
