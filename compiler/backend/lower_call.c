/* lower_call.c - block operations that call out: solves, queries of a model, random draws. */
#include "lower.h"

static Value record(Lower *l, uint32_t buffer) {
    return lower_slot_all(l, (Slot){SLOT_BUFFER, buffer, 0, l->step->buffers[buffer].bytes});
}

Value lower_random(const Site *s) {
    Lower *l = s->l;
    Emit *e = l->e;
    Slot slot = l->step->nodes[s->id].slot;
    Value args[8] = {l->frame,
                     lower_slot_all(l, slot),
                     emit_i64(e, slot.stride),
                     emit_i64(e, lower_count(s->node->shape)),
                     l->n,
                     emit_i64(e, (uint64_t)s->node->attr.random.normal),
                     emit_i64(e, (uint64_t)s->node->attr.random.site),
                     l->iteration};
    emit_call(e, lower_runtime(e, e->real_bytes == 4 ? "deq_random_f32" : "deq_random_f64"), args, 8);
    return NULL;
}

Value lower_fixed(const Site *s) {
    Lower *l = s->l;
    Emit *e = l->e;
    const CallPlan *c = &l->step->calls[s->id];
    const FixedLayout *f = &l->routine->routine->fixed[s->node->attr.fixed.index];
    int64_t loss = s->node->attr.fixed.loss - 1;
    const char *cotangent = !c->want_gradient || loss < 0  ? NULL
                            : s->node->attr.fixed.training ? f->cotangents[loss].training
                                                           : f->cotangents[loss].routine;
    Value args[7] = {l->frame,
                     lower_fixed_descriptor(e, f->name),
                     l->n,
                     record(l, c->rest),
                     record(l, c->z),
                     emit_i64(e, c->want_gradient),
                     cotangent ? lower_routine(e, plan_find(l->unit, cotangent)) : LLVMConstNull(e->ptr)};
    emit_call(e, lower_runtime(e, "deq_fixed_solve"), args, 7);
    return NULL;
}

Value lower_fixed_gradient(const Site *s) {
    Lower *l = s->l;
    Emit *e = l->e;
    const CallPlan *c = &l->step->calls[s->id];
    const Node *fixed = lower_node_of(l, lower_argument(l, s->id, 0));
    const FixedLayout *f = &l->routine->routine->fixed[fixed->attr.fixed.index];
    Value args[7] = {l->frame,
                     lower_fixed_descriptor(e, f->name),
                     l->n,
                     record(l, c->rest),
                     record(l, c->drest),
                     record(l, c->u),
                     emit_i64(e, s->node->attr.gradient.shared != 0)};
    emit_call(e, lower_runtime(e, "deq_fixed_gradient"), args, 7);
    return NULL;
}

Value lower_solve(const Site *s) {
    Lower *l = s->l;
    Emit *e = l->e;
    const CallPlan *c = &l->step->calls[s->id];
    const FixedLayout *f = &l->routine->routine->fixed[s->node->attr.solve.map];
    Value args[5] = {l->frame, lower_fixed_descriptor(e, f->name), l->n, record(l, c->rest), record(l, c->u)};
    emit_call(e, lower_runtime(e, "deq_linear_solve"), args, 5);
    return NULL;
}

Value lower_fence(const Site *s) { ICE("%s: a fence was not taken away", s->l->routine->routine->name); }
Value lower_in_training(const Site *s) { ICE("%s: in_training was not resolved", s->l->routine->routine->name); }

static void set_field(Emit *e, Value frame, uint32_t field, Value v) {
    LLVMBuildStore(e->builder, v, emit_offset_constant(e, frame, 8 * field));
}

/* A copy of the frame for a routine that this one calls; its scratch stands behind what is in use. */
static Value inner_frame(Lower *l) {
    Emit *e = l->e;
    Value inner = emit_alloca(e, e->i64, emit_i32(e, FRAME_COUNT), 16);
    LLVMBuildMemCpy(e->builder, inner, 16, l->frame, 8, emit_i64(e, 8 * FRAME_COUNT));
    set_field(e, inner, FRAME_accum, LLVMConstNull(e->ptr));
    set_field(e, inner, FRAME_scratch,
              emit_offset(e, l->row_region, emit_index_mul(e, l->rows, l->routine->row_bytes)));
    return inner;
}

/* The function is the caller's: frame->objective, on its record, row by row as this routine's records are. */
Value lower_objective(const Site *s) {
    Lower *l = s->l;
    Emit *e = l->e;
    const CallPlan *c = &l->step->calls[s->id];
    Value inner = inner_frame(l);
    set_field(e, inner, FRAME_arg0 + OBJECTIVE_OUTPUT, record(l, c->z));
    for (uint32_t k = OBJECTIVE_VALUE; k <= OBJECTIVE_DERIVATIVE; k++)
        set_field(e, inner, FRAME_arg0 + k, record(l, c->results[k]));
    set_field(e, inner, FRAME_rest, l->fields[FRAME_record]);
    LLVMTypeRef type = LLVMFunctionType(e->none, (LLVMTypeRef[]){e->ptr, e->i64}, 2, false);
    LLVMBuildCall2(e->builder, type, l->fields[FRAME_objective], (Value[]){inner, l->n}, 2, "");
    return NULL;
}

/* Elements of the output of query `id`, if it is read. */
static uint64_t output_count(const Lower *l, NodeId id) {
    const Graph *g = l->step->step->graph;
    for (NodeId k = id + 1; k < g->nnodes; k++)
        if (g->nodes[k].op == OP_query_result && graph_arg(g, k, 0) == id && g->nodes[k].attr.result.argument == 2)
            return lower_count(g->nodes[k].shape);
    return 0;
}

/* Elements of the output that the routine of a query gives. */
static uint64_t outputs_of(const Routine *r) {
    for (uint32_t k = 0; k < r->nsteps; k++)
        for (uint32_t j = 0; j < r->steps[k].nout; j++) {
            const Binding *b = &r->steps[k].out[j];
            if (b->place == PLACE_ARG && b->index == 2)
                return lower_count(graph_node(r->steps[k].graph, b->node)->shape);
        }
    return 0;
}

Value lower_query(const Site *s) {
    Lower *l = s->l;
    Emit *e = l->e;
    const CallPlan *c = &l->step->calls[s->id];
    Value inner = inner_frame(l);
    set_field(e, inner, FRAME_arg0, record(l, c->z));
    for (uint32_t k = 2; k <= 4; k++)
        if (c->callee->routine->arg_bytes[k]) set_field(e, inner, FRAME_arg0 + k, record(l, c->results[k]));
    if (c->objective) {
        set_field(e, inner, FRAME_objective, lower_routine(e, c->objective));
        set_field(e, inner, FRAME_record, s->node->nargs > 1 ? record(l, c->rest) : LLVMConstNull(e->ptr));
    }
    emit_call(e, lower_routine(e, c->callee), (Value[]){inner, l->n}, 2);
    const uint64_t *bytes = c->callee->routine->arg_bytes;
    const uint32_t answer = bytes[3] ? 3 : 2; /* the loss or objective, or else the output */
    const uint64_t count = bytes[3] ? 1 : output_count(l, s->id);
    Value counted[10] = {l->frame,
                         l->n,
                         count ? record(l, c->results[answer]) : LLVMConstNull(e->ptr),
                         emit_i64(e, count),
                         emit_i64(e, bytes[answer]),
                         bytes[4] ? record(l, c->results[4]) : LLVMConstNull(e->ptr),
                         emit_i64(e, bytes[4]),
                         bytes[4] ? record(l, c->results[2]) : LLVMConstNull(e->ptr),
                         emit_i64(e, outputs_of(c->callee->routine)),
                         emit_i64(e, bytes[2])};
    emit_call(e, lower_runtime(e, e->real_bytes == 4 ? "deq_query_f32" : "deq_query_f64"), counted, 10);
    return NULL;
}

Value lower_counted(const Site *s) {
    Lower *l = s->l;
    Emit *e = l->e;
    const CallPlan *c = &l->step->calls[s->id];
    Value args[5] = {l->frame, l->n, s->node->nargs > 1 ? record(l, c->z) : LLVMConstNull(e->ptr), record(l, c->u),
                     emit_i64(e, l->step->buffers[c->u].bytes)};
    emit_call(e, lower_runtime(e, e->real_bytes == 4 ? "deq_counted_f32" : "deq_counted_f64"), args, 5);
    return NULL;
}
