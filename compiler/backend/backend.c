/* backend.c - entry of the module: compiles units, loads objects. */
#include "lower.h"
#include "jit.h"
#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *copy(const char *s) {
    char *p = malloc(strlen(s) + 1);
    return p ? strcpy(p, s) : NULL;
}

/* Without a handler LLVM prints and exits on back-end errors. */
static void on_diagnostic(LLVMDiagnosticInfoRef info, void *user) {
    char **error = user;
    if (LLVMGetDiagInfoSeverity(info) != LLVMDSError || *error) return;
    char *message = LLVMGetDiagInfoDescription(info);
    *error = copy(message);
    LLVMDisposeMessage(message);
}

static bool verified(Emit *e, BackendResult *out) {
    char *message = NULL;
    bool broken = LLVMVerifyModule(e->module, LLVMReturnStatusAction, &message);
    if (broken) {
        size_t size = strlen(message) + 64;
        out->error = malloc(size);
        if (out->error) snprintf(out->error, size, "the back end made invalid LLVM code: %s", message);
    }
    LLVMDisposeMessage(message);
    return !broken;
}

/* The code is emitted in the form it shall have: vectors, register tiles, loops tested at their end.  What is left to
 * do is cleaning up, hoisting addresses, and vectorising the scalar nests of lower_layout.c; the standard pipeline does
 * the same in seven times the time. */
static const char *const pipelines[] = {
    "function(sroa)",
    "function(sroa,early-cse,simplifycfg,loop-mssa(licm),instcombine<no-verify-fixpoint>)",
    "function(sroa,early-cse,simplifycfg,instcombine<no-verify-fixpoint>,loop-mssa(licm),gvn,loop-vectorize,"
    "instcombine<no-verify-fixpoint>,simplifycfg),globaldce",
    "default<O3>",
};

static bool optimised(Emit *e, LLVMTargetMachineRef machine, int level, BackendResult *out) {
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMPassBuilderOptionsSetLoopUnrolling(options, false); /* register tiles are unrolled as emitted */
    LLVMPassBuilderOptionsSetLoopInterleaving(options, false);
    LLVMPassBuilderOptionsSetLoopVectorization(options, true);
    LLVMPassBuilderOptionsSetSLPVectorization(options, false);
    LLVMErrorRef failure = LLVMRunPasses(e->module, pipelines[level & 3], machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (!failure) return true;
    char *message = LLVMGetErrorMessage(failure); /* eats the error */
    out->error = copy(message);
    LLVMDisposeErrorMessage(message);
    return false;
}

static void *emitted(Emit *e, LLVMTargetMachineRef machine, LLVMCodeGenFileType kind, size_t *size, char **error) {
    LLVMMemoryBufferRef buffer = NULL;
    char *message = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(machine, e->module, kind, &message, &buffer)) {
        *error = copy(message);
        LLVMDisposeMessage(message);
        return NULL;
    }
    *size = LLVMGetBufferSize(buffer);
    char *bytes = malloc(*size + 1);
    if (bytes) {
        memcpy(bytes, LLVMGetBufferStart(buffer), *size);
        bytes[*size] = 0;
    }
    LLVMDisposeMemoryBuffer(buffer);
    return bytes;
}

/* Full-width vectors also where LLVM would prefer narrower ones. */
static void set_function_attributes(Emit *e, const TargetShape *shape) {
    char width[16];
    snprintf(width, sizeof width, "%u", shape->vector_bytes * 8);
    LLVMAttributeRef prefer =
        LLVMCreateStringAttribute(e->context, "prefer-vector-width", 19, width, (unsigned)strlen(width));
    LLVMAttributeRef legal =
        LLVMCreateStringAttribute(e->context, "min-legal-vector-width", 22, width, (unsigned)strlen(width));
    for (Value f = LLVMGetFirstFunction(e->module); f; f = LLVMGetNextFunction(f)) {
        if (LLVMIsDeclaration(f)) continue;
        LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, prefer);
        LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, legal);
    }
}

static bool compile(const Unit *unit, const BackendOptions *options, BackendResult *out) {
    *out = (BackendResult){0};
    TargetShape shape;
    target_initialise();
    if (!target_shape(options->cpu, &shape, &out->error)) return false;
    if (unit->layout.panel != 2 * shape.vector_bytes / unit->layout.real_bytes) {
        out->error = copy("the routines were laid out for another CPU");
        target_shape_free(&shape);
        return false;
    }
    LLVMTargetMachineRef machine = target_machine(&shape, options->optimise, &out->error);
    if (!machine) {
        target_shape_free(&shape);
        return false;
    }
    Arena *arena = arena_new();
    bool libm = options->math && strcmp(options->math, "libm") == 0;
    Emit *e = emit_new(arena, &shape, unit->layout.real_bytes, libm, "deq");
    e->profile = options->profile;
    char *diagnostic = NULL;
    LLVMContextSetDiagnosticHandler(e->context, on_diagnostic, &diagnostic);
    char *triple = LLVMGetTargetMachineTriple(machine);
    LLVMTargetDataRef data = LLVMCreateTargetDataLayout(machine);
    char *layout = LLVMCopyStringRepOfTargetData(data);
    LLVMSetTarget(e->module, triple);
    LLVMSetDataLayout(e->module, layout);
    LLVMDisposeMessage(triple);
    LLVMDisposeMessage(layout);
    LLVMDisposeTargetData(data);

    PlanUnit *plan = plan_unit(arena, unit, unit->layout.real_bytes, shape.tile_rows, unit->layout.panel);
    lower_unit(e, plan);
    lower_module(e, plan);
    set_function_attributes(e, &shape);
    bool ok = verified(e, out);
    if (options->emit_ll) {
        char *ll = LLVMPrintModuleToString(e->module);
        out->ll = copy(ll);
        LLVMDisposeMessage(ll);
    }
    ok = ok && optimised(e, machine, options->optimise, out);
    size_t size = 0;
    if (ok && options->emit_asm) { /* code generation may change the module: a clone for the text */
        LLVMModuleRef module = e->module;
        e->module = LLVMCloneModule(module);
        out->assembly = emitted(e, machine, LLVMAssemblyFile, &size, &out->error);
        LLVMDisposeModule(e->module);
        e->module = module;
    }
    if (ok) out->object = emitted(e, machine, LLVMObjectFile, &out->object_size, &out->error);
    if (diagnostic && !out->error)
        out->error = diagnostic;
    else
        free(diagnostic);
    ok = ok && out->object && !out->error;
    out->row_bytes = calloc(unit->nroutines + 1, sizeof *out->row_bytes);
    out->base_bytes = calloc(unit->nroutines + 1, sizeof *out->base_bytes);
    for (uint32_t k = 0; k < unit->nroutines && out->row_bytes && out->base_bytes; k++) {
        out->row_bytes[k] = plan_row_bytes(&plan->routines[k]);
        out->base_bytes[k] = plan_base_bytes(&plan->routines[k]);
    }
    emit_free(e);
    arena_free(arena);
    LLVMDisposeTargetMachine(machine);
    target_shape_free(&shape);
    return ok;
}

const Backend *backend_entry(const BackendSymbol *symbols, uint32_t nsymbols) {
    static const Backend backend = {target_layout, target_name, compile, jit_load};
    jit_set_symbols(symbols, nsymbols);
    return &backend;
}
