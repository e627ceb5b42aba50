/* lower_form.c - the groups of a form are calls of one function, whose arguments are the addresses of their operands.
 *
 * LLVM's time grows with the code, in places faster; so functions are small, and there is one where nets repeat
 * themselves.  A group whose form nobody shares is emitted where it stands, unless it is of images. */
#include "lower.h"

bool lower_has_form(const Lower *l, const Group *g) {
    return g->form != UINT32_MAX && plan_form_is_function(&l->unit->forms[g->form]);
}

Value lower_operand(const Lower *l, Slot slot) {
    for (uint32_t k = 0; k < l->form->noperands; k++)
        if (plan_same_slot(l->form->operands[k], slot)) return l->operands[k];
    ICE("%s: a group reads or writes what its form does not mention", l->routine->routine->name);
}

/* The arguments of the function: where the operands stand, and in a routine of pieces which piece it is. */
static uint32_t count_of_arguments(const Form *f) {
    return f->group->noperands + (f->routine->routine->pieces ? 2 : 0);
}

static Value declare(Emit *e, const PlanUnit *unit, const Form *f) {
    const Group *g = f->group;
    const char *what = g->cluster ? "cluster" : lower_op_name(graph_node(f->step->step->graph, g->members[0])->op);
    uint32_t n = count_of_arguments(f);
    LLVMTypeRef *params = arena_alloc(e->arena, (n + 1) * sizeof *params);
    for (uint32_t k = 0; k < n; k++) params[k] = k < g->noperands ? e->ptr : e->i64;
    const char *name = arena_printf(e->arena, "form_%s_%u", what, (uint32_t)(f - unit->forms));
    return emit_declare(e, name, e->none, params, n);
}

void lower_form_function(Emit *e, const PlanUnit *unit, const Form *f) {
    const Group *g = f->group;
    e->function = declare(e, unit, f);
    LLVMSetLinkage(e->function, LLVMInternalLinkage);
    LLVMAddAttributeAtIndex(e->function, LLVMAttributeFunctionIndex, e->noinline);
    emit_at(e, LLVMAppendBasicBlockInContext(e->context, e->function, "entry"));
    Lower l = {.e = e, .unit = unit, .routine = f->routine, .step = f->step, .form = g};
    Value *operands = arena_alloc(e->arena, (g->noperands + 1) * sizeof *operands);
    for (uint32_t k = 0; k < g->noperands; k++) operands[k] = LLVMGetParam(e->function, k);
    l.operands = operands;
    if (f->routine->routine->pieces) {
        l.pieces = LLVMGetParam(e->function, g->noperands);
        l.piece = LLVMGetParam(e->function, g->noperands + 1);
    }
    l.tile_start = emit_i64(e, 0);
    l.tile_rows = emit_i64(e, 1);
    lower_group_body(&l, g);
    LLVMBuildRetVoid(e->builder);
}

void lower_form(Lower *l, const Group *g) {
    Emit *e = l->e;
    const Form *f = &l->unit->forms[g->form];
    uint32_t n = count_of_arguments(f);
    Value *args = arena_alloc(e->arena, (n + 1) * sizeof *args), row = l->image ? l->image : emit_i64(e, 0);
    for (uint32_t k = 0; k < g->noperands; k++) args[k] = lower_slot(l, g->operands[k], row);
    if (l->routine->routine->pieces) {
        args[g->noperands] = l->pieces;
        args[g->noperands + 1] = l->piece;
    }
    emit_call(e, declare(e, l->unit, f), args, n);
}
