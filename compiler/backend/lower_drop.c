/* lower_drop.c - loops that examples leave one by one.
 *
 * The examples that are left stand in the first rows of everything that the routine holds by row: its buffers, its
 * arguments, and what the runtime knows of each example.  Those that leave go behind them (deq_rows_drop), and stand
 * there as they were until the routine ends, when all go back to their rows. */
#include "lower.h"

static Value block(Lower *l, uint64_t offset) {
    return emit_offset(l->e, l->row_region, emit_index_mul(l->e, l->rows, offset));
}

static void hold(Lower *l, Value address, uint64_t stride) {
    Emit *e = l->e;
    LLVMBuildStore(e->builder, address, emit_offset_constant(e, l->held, 16 * l->nheld));
    LLVMBuildStore(e->builder, emit_i64(e, stride), emit_offset_constant(e, l->held, 16 * l->nheld + 8));
    l->nheld++;
}

void lower_drop_begin(Lower *l) {
    Emit *e = l->e;
    const Routine *r = l->routine->routine;
    const Value order = block(l, l->routine->order_offset);
    l->held = emit_alloca(e, e->i64, emit_i32(e, 2 * (r->nblocks + 9)), 16);
    hold(l, order, DEQ_ALIGN);
    for (uint32_t k = 0; k < r->nblocks; k++)
        hold(l, block(l, l->routine->block_offsets[k]), padded((uint64_t)r->block_counts[k] * e->real_bytes));
    for (uint32_t k = 0; k < 8; k++)
        if (r->arg_bytes[k]) hold(l, l->fields[FRAME_arg0 + k], r->arg_bytes[k]);
    emit_call(e, lower_runtime(e, "deq_rows_begin"), (Value[]){order, l->n}, 2);
}

void lower_drop(Lower *l, const Step *s, Value kept, LLVMBasicBlockRef end) {
    Emit *e = l->e;
    const uint64_t stride = padded((uint64_t)l->routine->routine->block_counts[s->flags] * e->real_bytes);
    Value args[6] = {l->frame,
                     kept,
                     block(l, l->routine->block_offsets[s->flags]),
                     emit_i64(e, stride),
                     l->held,
                     emit_i64(e, l->nheld)};
    emit_call(e, lower_runtime(e, e->real_bytes == 4 ? "deq_rows_drop_f32" : "deq_rows_drop_f64"), args, 6);
    l->n = LLVMBuildLoad2(e->builder, e->i64, kept, "left");
    LLVMBasicBlockRef more = emit_block(e, "more");
    LLVMBuildCondBr(e->builder, LLVMBuildICmp(e->builder, LLVMIntSGT, l->n, emit_i64(e, 0), ""), more, end);
    emit_at(e, more);
}

void lower_drop_end(Lower *l) {
    Emit *e = l->e;
    Value args[5] = {l->frame, l->rows, block(l, l->routine->order_offset), l->held, emit_i64(e, l->nheld)};
    emit_call(e, lower_runtime(e, "deq_rows_restore"), args, 5);
}
