/* lower_module.c - what an object holds beside routines: the runtime's functions, descriptors of fixed points,
 * deq_module. */
#include "lower.h"
#include <stdio.h>
#include <string.h>

Value lower_runtime(Emit *e, const char *name) {
#define P(name) , e->ptr
#define I(name) , e->i64
#define LIST(...) __VA_ARGS__
#define TAIL_(first, ...) __VA_ARGS__
#define TAIL(...) TAIL_(__VA_ARGS__)
#define DEQ_FN(function, result, count, parameters, doc)                                                               \
    if (strcmp(name, #function) == 0)                                                                                  \
        return emit_declare(e, name, e->none, (LLVMTypeRef[]){TAIL(0 LIST parameters)}, count);
#include "abi.def"
#undef DEQ_FN
#undef TAIL
#undef TAIL_
#undef LIST
#undef P
#undef I
    ICE("abi.def has no function '%s'", name);
}

static Value constant_global(Emit *e, const char *name, Value initializer) {
    Value g = LLVMAddGlobal(e->module, LLVMTypeOf(initializer), name);
    LLVMSetInitializer(g, initializer);
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(g, true);
    LLVMSetUnnamedAddress(g, LLVMGlobalUnnamedAddr);
    return g;
}

static Value text(Emit *e, const char *s, size_t length) {
    return constant_global(e, "text", LLVMConstStringInContext2(e->context, s, length, false));
}

enum {
#define FIXED(field, type, doc) FIXED_##field,
#include "fixed.def"
#undef FIXED
    FIXED_COUNT
};

static char *joined(Emit *e, const char *name, const char *suffix) {
    return arena_printf(e->arena, "%s_%s", name, suffix);
}

static LLVMTypeRef descriptor_type(Emit *e) {
    LLVMTypeRef words[FIXED_COUNT];
    for (uint32_t k = 0; k < FIXED_COUNT; k++) words[k] = e->i64;
    words[FIXED_name] = words[FIXED_counts] = e->ptr;
    for (uint32_t k = FIXED_f; k <= FIXED_downstream; k++) words[k] = e->ptr;
    for (uint32_t k = FIXED_linear; k <= FIXED_unsplit; k++) words[k] = e->ptr;
    return LLVMStructTypeInContext(e->context, words, FIXED_COUNT, false);
}

Value lower_fixed_descriptor(Emit *e, const char *name) {
    const char *symbol = joined(e, name, "fixed");
    Value g = LLVMGetNamedGlobal(e->module, symbol);
    if (g) return g;
    g = LLVMAddGlobal(e->module, descriptor_type(e), symbol);
    LLVMSetVisibility(g, LLVMHiddenVisibility);
    return g;
}

static Value define_descriptor(Emit *e, const PlanUnit *unit, const FixedLayout *f) {
    Value words[FIXED_COUNT];
    uint64_t row_bytes = 0, base_bytes = 0;
    bool halves = true; /* whether every routine that two threads may be asked to share can be */
    for (uint32_t k = 0; k < FIXED_COUNT; k++) words[k] = LLVMConstNull(e->ptr);
    static const struct {
        uint32_t field;
        const char *suffix;
    } routines[] = {{FIXED_f, "f"},
                    {FIXED_lin, "lin"},
                    {FIXED_jvp, "jvp"},
                    {FIXED_vjp_z, "vjp_z"},
                    {FIXED_vjp_x, "vjp_x"},
                    {FIXED_vjp_rest, "vjp_rest"},
                    {FIXED_vjp_zx, "vjp_zx"},
                    {FIXED_vjp_all, "vjp_all"},
                    {FIXED_vjp_jvp, "vjp_jvp"},
                    {FIXED_linear, "linear"},
                    {FIXED_transposed, "transposed"},
                    {FIXED_constant, "constant"},
                    {FIXED_prox, "prox"},
                    {FIXED_slope, "slope"},
                    {FIXED_diagonal, "diagonal"}};
    for (size_t k = 0; k < sizeof routines / sizeof *routines; k++) {
        const RoutinePlan *p = plan_find(unit, joined(e, f->name, routines[k].suffix));
        if (!p) continue; /* left out when nothing uses it */
        words[routines[k].field] = lower_routine(e, p);
        halves = halves && (p->halves || !p->routine->halves);
        if (plan_row_bytes(p) > row_bytes) row_bytes = plan_row_bytes(p);
        if (plan_base_bytes(p) > base_bytes) base_bytes = plan_base_bytes(p);
    }
    for (uint32_t k = 0; k < f->ncotangents; k++) {
        const char *const names[] = {f->cotangents[k].routine, f->cotangents[k].correction, f->cotangents[k].training};
        for (int j = 0; j < 3; j++) {
            if (!names[j]) continue;
            const RoutinePlan *p = plan_find(unit, names[j]);
            if (plan_row_bytes(p) > row_bytes) row_bytes = plan_row_bytes(p);
            if (plan_base_bytes(p) > base_bytes) base_bytes = plan_base_bytes(p);
        }
    }
    words[FIXED_name] = text(e, f->name, strlen(f->name));
    words[FIXED_index] = emit_i64(e, f->index);
    words[FIXED_state_bytes] = emit_i64(e, f->state_bytes);
    words[FIXED_dimension] = emit_i64(e, f->dimension);
    words[FIXED_rest_bytes] = emit_i64(e, f->rest_bytes);
    words[FIXED_tape_bytes] = emit_i64(e, f->tape_bytes);
    if (f->downstream) words[FIXED_downstream] = text(e, f->downstream, strlen(f->downstream));
    if (f->unsplit) words[FIXED_unsplit] = text(e, f->unsplit, strlen(f->unsplit));
    words[FIXED_shared_linear] = emit_i64(e, f->shared_linear);
    Value *counts = arena_alloc(e->arena, (f->nstate + 1) * sizeof *counts);
    for (uint32_t k = 0; k < f->nstate; k++) {
        uint64_t count = f->state_shapes ? 1 : f->dimension;
        for (uint32_t d = 0; f->state_shapes && d < f->state_shapes[k].rank; d++) count *= f->state_shapes[k].dims[d];
        counts[k] = emit_i64(e, count);
    }
    words[FIXED_components] = emit_i64(e, f->nstate);
    words[FIXED_counts] = constant_global(e, "counts", LLVMConstArray2(e->i64, counts, f->nstate));
    words[FIXED_f_row_bytes] = emit_i64(e, row_bytes);
    words[FIXED_f_base_bytes] = emit_i64(e, base_bytes);
    words[FIXED_halves] = emit_i64(e, halves);
    words[FIXED_start_offset] = emit_i64(e, f->given ? f->start_offset : UINT64_MAX);
    Value g = lower_fixed_descriptor(e, f->name);
    LLVMSetInitializer(g, LLVMConstStructInContext(e->context, words, FIXED_COUNT, false));
    LLVMSetGlobalConstant(g, true);
    if (unit->nmodules > 1) return g; /* others solve it too */
    LLVMSetVisibility(g, LLVMDefaultVisibility);
    LLVMSetLinkage(g, LLVMInternalLinkage);
    return g;
}

static Value pointer_table(Emit *e, const char *name, LLVMTypeRef type, Value *items, uint32_t n) {
    return n ? constant_global(e, name, LLVMConstArray2(type, items, n)) : LLVMConstNull(e->ptr);
}

void lower_module(Emit *e, const PlanUnit *unit) {
    const Unit *u = unit->unit;
    Value *fixed = arena_alloc(e->arena, (u->nfixed + 1) * sizeof *fixed);
    Value *routines = arena_alloc(e->arena, (u->nroutines + 1) * sizeof *routines);
    for (uint32_t k = 0; k < u->nfixed; k++) fixed[k] = define_descriptor(e, unit, u->fixed[k]);
    LLVMTypeRef routine_type =
        LLVMStructTypeInContext(e->context, (LLVMTypeRef[]){e->ptr, e->ptr, e->i64, e->i64}, 4, false);
    for (uint32_t k = 0; k < u->nroutines; k++) {
        const RoutinePlan *p = &unit->routines[k];
        Value words[4] = {text(e, p->routine->name, strlen(p->routine->name)), lower_routine(e, p),
                          emit_i64(e, plan_row_bytes(p)), emit_i64(e, plan_base_bytes(p))};
        routines[k] = LLVMConstStructInContext(e->context, words, 4, false);
    }
    const char *manifest = u->manifest ? u->manifest : "{}";
    Value words[8] = {emit_i64(e, DEQ_ABI_VERSION),
                      emit_i64(e, e->real_bytes * 8),
                      text(e, manifest, strlen(manifest)),
                      emit_i64(e, strlen(manifest)),
                      pointer_table(e, "routine_table", routine_type, routines, u->nroutines),
                      emit_i64(e, u->nroutines),
                      pointer_table(e, "fixed_table", e->ptr, fixed, u->nfixed),
                      emit_i64(e, u->nfixed)};
    Value initializer = LLVMConstStructInContext(e->context, words, 8, false);
    Value g = LLVMAddGlobal(e->module, LLVMTypeOf(initializer), "deq_module");
    LLVMSetInitializer(g, initializer);
    LLVMSetGlobalConstant(g, true);
}
_Static_assert(sizeof(deq_module) == 64 && sizeof(deq_routine) == 32, "lower_module writes these fields");
_Static_assert(sizeof(deq_frame) == 8 * FRAME_COUNT && sizeof(deq_fixed) == 8 * FIXED_COUNT, "8 bytes a field");
