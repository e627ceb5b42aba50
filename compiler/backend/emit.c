/* emit.c - see emit.h. */
#include "emit.h"
#include <string.h>

static LLVMAttributeRef enum_attribute(LLVMContextRef c, const char *name, uint64_t value) {
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    if (!kind) ICE("LLVM knows no attribute '%s'", name); /* it would be ignored silently */
    return LLVMCreateEnumAttribute(c, kind, value);
}

Emit *emit_new(Arena *a, const TargetShape *shape, uint32_t real_bytes, bool libm, const char *module_name) {
    Emit *e = arena_alloc(a, sizeof *e);
    e->arena = a;
    e->context = LLVMContextCreate();
    e->module = LLVMModuleCreateWithNameInContext(module_name, e->context);
    e->builder = LLVMCreateBuilderInContext(e->context);
    e->none = LLVMVoidTypeInContext(e->context);
    e->i1 = LLVMInt1TypeInContext(e->context);
    e->i8 = LLVMInt8TypeInContext(e->context);
    e->i32 = LLVMInt32TypeInContext(e->context);
    e->i64 = LLVMInt64TypeInContext(e->context);
    e->ptr = LLVMPointerTypeInContext(e->context, 0);
    e->real = real_bytes == 4 ? LLVMFloatTypeInContext(e->context) : LLVMDoubleTypeInContext(e->context);
    e->real_bytes = real_bytes;
    e->lanes = shape->vector_bytes / real_bytes;
    e->panel = 2 * e->lanes;
    e->tile_rows = shape->tile_rows;
    e->vector = LLVMVectorType(e->real, e->lanes);
    e->index_vector = LLVMVectorType(e->i32, e->lanes);
    e->libm = libm;
    e->nounwind = enum_attribute(e->context, "nounwind", 0);
    e->noinline = enum_attribute(e->context, "noinline", 0);
    return e;
}

void emit_free(Emit *e) {
    LLVMDisposeBuilder(e->builder);
    LLVMDisposeModule(e->module);
    LLVMContextDispose(e->context);
}

/* ---- constants ---- */
Value emit_i64(Emit *e, uint64_t value) { return LLVMConstInt(e->i64, value, false); }
Value emit_i32(Emit *e, uint32_t value) { return LLVMConstInt(e->i32, value, false); }
Value emit_real(Emit *e, double value) { return LLVMConstReal(e->real, value); }

static Value splat_constant(Value scalar, uint32_t lanes) {
    Value all[64];
    for (uint32_t k = 0; k < lanes; k++) all[k] = scalar;
    return LLVMConstVector(all, lanes);
}

Value emit_splat_constant(Emit *e, double value) { return splat_constant(emit_real(e, value), e->lanes); }

Value emit_lane_indices(Emit *e) {
    Value all[64];
    for (uint32_t k = 0; k < e->lanes; k++) all[k] = emit_i32(e, k);
    return LLVMConstVector(all, e->lanes);
}

Value emit_lane_mask(Emit *e, uint32_t live) {
    Value all[64];
    for (uint32_t k = 0; k < e->lanes; k++) all[k] = LLVMConstInt(e->i1, k < live, false);
    return LLVMConstVector(all, e->lanes);
}

/* ---- arithmetic ---- */
/* Allows fusing into multiply-add; returns v. */
static Value emit_contract(Value v) {
    /* a folded constant is no instruction: setting its flags is undefined behaviour inside LLVM */
    if (LLVMIsAInstruction(v) && LLVMCanValueUseFastMathFlags(v)) LLVMSetFastMathFlags(v, LLVMFastMathAllowContract);
    return v;
}

Value emit_add(Emit *e, Value a, Value b) { return emit_contract(LLVMBuildFAdd(e->builder, a, b, "")); }
Value emit_sub(Emit *e, Value a, Value b) { return emit_contract(LLVMBuildFSub(e->builder, a, b, "")); }
Value emit_mul(Emit *e, Value a, Value b) { return emit_contract(LLVMBuildFMul(e->builder, a, b, "")); }
Value emit_div(Emit *e, Value a, Value b) { return emit_contract(LLVMBuildFDiv(e->builder, a, b, "")); }

Value emit_intrinsic(Emit *e, const char *name, LLVMTypeRef type, Value *args, uint32_t nargs) {
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    if (!id) ICE("LLVM knows no intrinsic '%s'", name);
    Value f = LLVMGetIntrinsicDeclaration(e->module, id, &type, 1);
    return LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(f), f, args, nargs, "");
}

Value emit_fma(Emit *e, Value a, Value b, Value c) {
    return emit_contract(emit_intrinsic(e, "llvm.fmuladd", LLVMTypeOf(a), (Value[]){a, b, c}, 3));
}

Value emit_splat(Emit *e, Value scalar) {
    if (LLVMIsConstant(scalar)) return splat_constant(scalar, e->lanes);
    LLVMTypeRef vector = LLVMVectorType(LLVMTypeOf(scalar), e->lanes);
    Value v = LLVMBuildInsertElement(e->builder, LLVMGetPoison(vector), scalar, emit_i32(e, 0), "");
    return LLVMBuildShuffleVector(e->builder, v, LLVMGetPoison(vector), LLVMConstNull(e->index_vector), "");
}

Value emit_compare(Emit *e, LLVMRealPredicate p, Value a, Value b) { return LLVMBuildFCmp(e->builder, p, a, b, ""); }

Value emit_truth(Emit *e, Value condition, LLVMTypeRef type) {
    return LLVMBuildUIToFP(e->builder, condition, type, "");
}

Value emit_select(Emit *e, Value condition, Value a, Value b) {
    return LLVMBuildSelect(e->builder, condition, a, b, "");
}

/* Indices and byte counts never come near 2^63. */
Value emit_index_add(Emit *e, Value a, Value b) { return LLVMBuildNSWAdd(e->builder, a, b, ""); }
Value emit_index_mul_value(Emit *e, Value a, Value b) { return LLVMBuildNSWMul(e->builder, a, b, ""); }
Value emit_index_mul(Emit *e, Value a, uint64_t b) { return emit_index_mul_value(e, a, emit_i64(e, b)); }
Value emit_index_min(Emit *e, Value a, Value b) {
    return LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, a, b, ""), a, b, "");
}

/* ---- memory ---- */
Value emit_offset(Emit *e, Value base, Value bytes) {
    return LLVMBuildInBoundsGEP2(e->builder, e->i8, base, &bytes, 1, "");
}

Value emit_offset_constant(Emit *e, Value base, uint64_t bytes) {
    return bytes ? emit_offset(e, base, emit_i64(e, bytes)) : base;
}

Value emit_element(Emit *e, Value base, Value index) {
    return LLVMBuildInBoundsGEP2(e->builder, e->real, base, &index, 1, "");
}

Value emit_load(Emit *e, Value address) { return LLVMBuildLoad2(e->builder, e->real, address, ""); }
void emit_store(Emit *e, Value v, Value address) { LLVMBuildStore(e->builder, v, address); }

Value emit_load_vector(Emit *e, Value address, uint32_t align) {
    Value v = LLVMBuildLoad2(e->builder, e->vector, address, "");
    LLVMSetAlignment(v, align);
    return v;
}

void emit_store_vector(Emit *e, Value v, Value address, uint32_t align) {
    LLVMSetAlignment(LLVMBuildStore(e->builder, v, address), align);
}

void emit_store_past(Emit *e, Value line, Value address) {
    Value store = LLVMBuildStore(e->builder, line, address);
    LLVMSetAlignment(store, LINE_BYTES);
    const unsigned kind = LLVMGetMDKindIDInContext(e->context, "nontemporal", 11);
    LLVMMetadataRef one = LLVMValueAsMetadata(emit_i32(e, 1));
    LLVMSetMetadata(store, kind, LLVMMetadataAsValue(e->context, LLVMMDNodeInContext2(e->context, &one, 1)));
}

void emit_past_end(Emit *e) { LLVMBuildFence(e->builder, LLVMAtomicOrderingSequentiallyConsistent, false, ""); }

static Value masked_intrinsic(Emit *e, const char *name) {
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    return LLVMGetIntrinsicDeclaration(e->module, id, (LLVMTypeRef[]){e->vector, e->ptr}, 2);
}

void emit_fetch(Emit *e, Value address) {
    Value args[4] = {address, emit_i32(e, 0), emit_i32(e, 2), emit_i32(e, 1)};
    emit_intrinsic(e, "llvm.prefetch", e->ptr, args, 4);
}

Value emit_load_masked(Emit *e, Value address, Value mask) {
    Value f = masked_intrinsic(e, "llvm.masked.load");
    return LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(f), f,
                          (Value[]){address, emit_i32(e, e->real_bytes), mask, LLVMConstNull(e->vector)}, 4, "");
}

void emit_store_masked(Emit *e, Value v, Value address, Value mask) {
    Value f = masked_intrinsic(e, "llvm.masked.store");
    LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(f), f, (Value[]){v, address, emit_i32(e, e->real_bytes), mask}, 4,
                   "");
}

void emit_store_single(Emit *e, Value scalar, Value address, bool add) {
    if (add) {
        emit_store(e, emit_add(e, emit_load(e, address), scalar), address);
        return;
    }
    Value v = LLVMBuildInsertElement(e->builder, LLVMConstNull(e->vector), scalar, emit_i32(e, 0), "");
    uint32_t bytes = e->lanes * e->real_bytes;
    emit_store_vector(e, v, address, bytes);
    for (uint32_t at = bytes; at < DEQ_ALIGN; at += bytes)
        emit_store_vector(e, LLVMConstNull(e->vector), emit_offset_constant(e, address, at), bytes);
}

void emit_zero_padding(Emit *e, Value address, uint64_t count) {
    uint64_t bytes = count * e->real_bytes;
    uint32_t step = e->lanes * e->real_bytes;
    if (bytes % DEQ_ALIGN == 0) return;
    for (uint64_t at = bytes / DEQ_ALIGN * DEQ_ALIGN, k = 0; k < DEQ_ALIGN; k += step)
        emit_store_vector(e, LLVMConstNull(e->vector), emit_offset_constant(e, address, at + k), step);
}

Value emit_alloca(Emit *e, LLVMTypeRef type, Value count, uint32_t align) {
    LLVMBasicBlockRef here = emit_here(e), entry = LLVMGetEntryBasicBlock(e->function);
    Value first = LLVMGetFirstInstruction(entry);
    if (first)
        LLVMPositionBuilderBefore(e->builder, first);
    else
        LLVMPositionBuilderAtEnd(e->builder, entry);
    Value v = LLVMBuildArrayAlloca(e->builder, type, count, "");
    LLVMSetAlignment(v, align);
    emit_at(e, here);
    return v;
}

/* ---- functions, blocks, loops ---- */
Value emit_function(Emit *e, const char *name, LLVMTypeRef result, LLVMTypeRef *params, uint32_t nparams) {
    if (LLVMGetNamedFunction(e->module, name)) ICE("function '%s' is emitted twice", name);
    e->function = LLVMAddFunction(e->module, name, LLVMFunctionType(result, params, nparams, false));
    LLVMSetLinkage(e->function, LLVMInternalLinkage);
    LLVMAddAttributeAtIndex(e->function, LLVMAttributeFunctionIndex, e->nounwind);
    emit_at(e, LLVMAppendBasicBlockInContext(e->context, e->function, "entry"));
    return e->function;
}

Value emit_aside(Emit *e, const char *name, LLVMTypeRef result, LLVMTypeRef *params, uint32_t nparams, Aside *a) {
    Value f = LLVMGetNamedFunction(e->module, name);
    *a = (Aside){.made = !f};
    if (f) return f;
    a->outer = e->function;
    a->here = emit_here(e);
    f = emit_function(e, name, result, params, nparams);
    LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, e->noinline);
    return f;
}

void emit_aside_end(Emit *e, const Aside *a) {
    e->function = a->outer;
    emit_at(e, a->here);
}

Value emit_declare(Emit *e, const char *name, LLVMTypeRef result, LLVMTypeRef *params, uint32_t nparams) {
    Value f = LLVMGetNamedFunction(e->module, name);
    if (f) return f;
    f = LLVMAddFunction(e->module, name, LLVMFunctionType(result, params, nparams, false));
    LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, e->nounwind);
    return f;
}

Value emit_call(Emit *e, Value function, Value *args, uint32_t nargs) {
    return LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(function), function, args, nargs, "");
}

LLVMBasicBlockRef emit_block(Emit *e, const char *name) {
    return LLVMAppendBasicBlockInContext(e->context, e->function, name);
}
void emit_at(Emit *e, LLVMBasicBlockRef block) { LLVMPositionBuilderAtEnd(e->builder, block); }
LLVMBasicBlockRef emit_here(Emit *e) { return LLVMGetInsertBlock(e->builder); }

void loop_begin(Loop *l, Emit *e, Value start, Value end, Value step, bool guarded) {
    *l = (Loop){.e = e, .end = end, .step = step};
    if (LLVMIsConstant(start) && LLVMIsConstant(end) && LLVMIsConstant(step)) {
        int64_t from = LLVMConstIntGetSExtValue(start), to = LLVMConstIntGetSExtValue(end);
        if (from < to && from + LLVMConstIntGetSExtValue(step) >= to) {
            l->once = true;
            l->index = start;
            return;
        }
        if (from < to) guarded = false;
    }
    l->before = emit_here(e);
    l->body = emit_block(e, "loop");
    if (guarded) {
        l->after = emit_block(e, "done");
        LLVMBuildCondBr(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, start, end, ""), l->body, l->after);
    } else {
        LLVMBuildBr(e->builder, l->body);
    }
    emit_at(e, l->body);
    l->index = LLVMBuildPhi(e->builder, e->i64, "i");
    LLVMAddIncoming(l->index, &start, &l->before, 1);
}

void loop_count(Loop *l, Emit *e, uint64_t count) {
    if (count == 0) ICE("a loop of no rounds");
    loop_begin(l, e, emit_i64(e, 0), emit_i64(e, count), emit_i64(e, 1), false);
}

Value loop_carry(Loop *l, Value initial) {
    if (l->nvalues == LOOP_VALUES) ICE("a loop carries more than %d values", LOOP_VALUES);
    if (l->once) return l->phi[l->nvalues++] = initial;
    Value phi = LLVMBuildPhi(l->e->builder, LLVMTypeOf(initial), "");
    LLVMAddIncoming(phi, &initial, &l->before, 1);
    return l->phi[l->nvalues++] = phi;
}

void loop_next(Loop *l, uint32_t k, Value v) { l->next[k] = v; }

void loop_end(Loop *l) {
    if (l->once) return;
    Emit *e = l->e;
    Value next = emit_index_add(e, l->index, l->step);
    LLVMBasicBlockRef latch = emit_here(e);
    if (!l->after) l->after = emit_block(e, "done");
    LLVMBuildCondBr(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, next, l->end, ""), l->body, l->after);
    LLVMAddIncoming(l->index, &next, &latch, 1);
    for (uint32_t k = 0; k < l->nvalues; k++) LLVMAddIncoming(l->phi[k], &l->next[k], &latch, 1);
    emit_at(e, l->after);
}

Value loop_result(const Loop *l, uint32_t k) { return l->next[k]; }
