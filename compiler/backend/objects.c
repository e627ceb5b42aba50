/* objects.c - see objects.h. */
#define _GNU_SOURCE
#include "objects.h"
#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* ---- emission ---- */
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

static bool verified(Module *m) {
    char *message = NULL;
    bool broken = LLVMVerifyModule(m->e->module, LLVMReturnStatusAction, &message);
    if (broken) {
        size_t size = strlen(message) + 64;
        m->error = malloc(size);
        if (m->error) snprintf(m->error, size, "the back end made invalid LLVM code: %s", message);
    }
    LLVMDisposeMessage(message);
    return !broken;
}

static void emit_module(Module *m) {
    const BackendOptions *o = m->options;
    m->machine = target_machine(m->shape, o->optimise, &m->error);
    if (!m->machine) return;
    m->arena = arena_new();
    Emit *e = m->e = emit_new(m->arena, m->shape, m->plan->real_bytes, o->math && strcmp(o->math, "libm") == 0, "deq");
    e->profile = o->profile;
    LLVMContextSetDiagnosticHandler(e->context, on_diagnostic, &m->diagnostic);
    char *triple = LLVMGetTargetMachineTriple(m->machine);
    LLVMTargetDataRef data = LLVMCreateTargetDataLayout(m->machine);
    char *layout = LLVMCopyStringRepOfTargetData(data);
    LLVMSetTarget(e->module, triple);
    LLVMSetDataLayout(e->module, layout);
    LLVMDisposeMessage(triple);
    LLVMDisposeMessage(layout);
    LLVMDisposeTargetData(data);
    lower_unit(e, m->plan, m->index);
    if (m->index == 0) lower_module(e, m->plan);
    set_function_attributes(e, m->shape);
    verified(m);
}

/* ---- functions that several modules have made ---- */
typedef struct Made {
    const char *name;
    uint32_t size, order, where; /* instructions; where: a bit for each module */
} Made;

static uint32_t instructions(Value f) {
    uint32_t n = 0;
    for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(f); b; b = LLVMGetNextBasicBlock(b))
        for (Value i = LLVMGetFirstInstruction(b); i; i = LLVMGetNextInstruction(i)) n++;
    return n;
}

static Value defined_in(const Module *m, const char *name) {
    Value f = LLVMGetNamedFunction(m->e->module, name);
    return f && !LLVMIsDeclaration(f) ? f : NULL;
}

static int larger_first(const void *a, const void *b) {
    const Made *x = a, *y = b;
    if (x->size != y->size) return x->size < y->size ? 1 : -1;
    return x->order < y->order ? -1 : 1;
}

/* The body goes: calls find the function in the module that keeps it. */
static void declare_only(const Module *m, const char *name) {
    Value f = LLVMGetNamedFunction(m->e->module, name);
    Value declared = LLVMAddFunction(m->e->module, "", LLVMGlobalGetValueType(f));
    char *own = arena_strdup(m->arena, name);
    LLVMAddAttributeAtIndex(declared, LLVMAttributeFunctionIndex, m->e->nounwind);
    LLVMReplaceAllUsesWith(f, declared);
    LLVMDeleteFunction(f);
    LLVMSetValueName2(declared, own, strlen(own));
    LLVMSetVisibility(declared, LLVMHiddenVisibility);
}

static void keep_one_of_each(Module *modules, uint32_t count) {
    uint64_t load[BACKEND_MODULES] = {0};
    Arena *arena = modules[0].arena;
    Made *made = NULL;
    uint32_t n = 0, cap = 0;
    for (uint32_t k = 0; k < count; k++)
        for (Value f = LLVMGetFirstFunction(modules[k].e->module); f; f = LLVMGetNextFunction(f)) {
            if (LLVMIsDeclaration(f)) continue;
            size_t length;
            Made x = {.name = LLVMGetValueName2(f, &length), .order = n, .where = 1u << k};
            bool seen = false;
            for (uint32_t j = 0; j < count; j++) {
                if (j == k || !defined_in(&modules[j], x.name)) continue;
                seen = seen || j < k;
                x.where |= 1u << j;
            }
            if (seen) continue;
            x.size = instructions(f);
            x.name = arena_strdup(arena, x.name);
            if (x.where == 1u << k)
                load[k] += x.size;
            else
                *ARENA_PUSH(arena, made, n, cap) = x;
        }
    if (n) qsort(made, n, sizeof *made, larger_first);
    for (uint32_t k = 0; k < n; k++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t j = 0; j < count; j++)
            if (made[k].where >> j & 1 && (best == UINT32_MAX || load[j] < load[best])) best = j;
        load[best] += made[k].size;
        for (uint32_t j = 0; j < count; j++)
            if (made[k].where >> j & 1 && j != best) declare_only(&modules[j], made[k].name);
    }
    for (uint32_t k = 0; k < count; k++) /* each may be called from another module, none from outside the unit */
        for (Value f = LLVMGetFirstFunction(modules[k].e->module); f; f = LLVMGetNextFunction(f))
            if (!LLVMIsDeclaration(f)) {
                LLVMSetLinkage(f, LLVMExternalLinkage);
                LLVMSetVisibility(f, LLVMHiddenVisibility);
            }
}

/* ---- machine code ---- */
/* The code is emitted in the form it shall have: vectors, register tiles, loops tested at their end.  What is left to
 * do is cleaning up, hoisting addresses, and vectorising the scalar nests of lower_layout.c; the standard pipeline does
 * the same in seven times the time. */
static const char *const pipelines[] = {
    "function(sroa)",
    "function(sroa,early-cse,simplifycfg,loop-mssa(licm),instcombine<no-verify-fixpoint>)",
    ("function(sroa,early-cse,simplifycfg,instcombine<no-verify-fixpoint>,loop-mssa(licm),gvn,loop-vectorize,"
     "instcombine<no-verify-fixpoint>,simplifycfg),globaldce"),
    "default<O3>",
};

static bool optimised(Module *m) {
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMPassBuilderOptionsSetLoopUnrolling(options, false); /* register tiles are unrolled as emitted */
    LLVMPassBuilderOptionsSetLoopInterleaving(options, false);
    LLVMPassBuilderOptionsSetLoopVectorization(options, true);
    LLVMPassBuilderOptionsSetSLPVectorization(options, false);
    LLVMErrorRef failure = LLVMRunPasses(m->e->module, pipelines[m->options->optimise & 3], m->machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (!failure) return true;
    char *message = LLVMGetErrorMessage(failure); /* eats the error */
    m->error = copy(message);
    LLVMDisposeErrorMessage(message);
    return false;
}

static void *emitted(Module *m, LLVMModuleRef module, LLVMCodeGenFileType kind, size_t *size) {
    LLVMMemoryBufferRef buffer = NULL;
    char *message = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(m->machine, module, kind, &message, &buffer)) {
        m->error = copy(message);
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

static void generate(Module *m) {
    if (m->error) return;
    if (m->options->emit_ll) {
        char *ll = LLVMPrintModuleToString(m->e->module);
        m->ll = copy(ll);
        LLVMDisposeMessage(ll);
    }
    bool ok = optimised(m);
    size_t size;
    if (ok && m->options->emit_asm) { /* code generation may change the module: a clone for the text */
        LLVMModuleRef clone = LLVMCloneModule(m->e->module);
        m->assembly = emitted(m, clone, LLVMAssemblyFile, &size);
        LLVMDisposeModule(clone);
    }
    if (ok && !m->error) m->object.bytes = emitted(m, m->e->module, LLVMObjectFile, &m->object.size);
    if (m->diagnostic && !m->error)
        m->error = m->diagnostic;
    else
        free(m->diagnostic);
    m->diagnostic = NULL;
}

/* ---- side by side ---- */
typedef struct Work {
    Module *modules;
    uint32_t count;
    void (*part)(Module *);
    atomic_uint next;
} Work;

static void *work(void *context) {
    Work *w = context;
    for (uint32_t k; (k = atomic_fetch_add(&w->next, 1)) < w->count;) w->part(&w->modules[k]);
    return NULL;
}

static void each(Module *modules, uint32_t count, void (*part)(Module *)) {
    Work w = {.modules = modules, .count = count, .part = part};
    pthread_t threads[BACKEND_MODULES];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t n = 0;
    while (n + 1 < count && n + 1 < processors && pthread_create(&threads[n], NULL, work, &w) == 0) n++;
    work(&w); /* this thread too; alone, when there are no others */
    for (uint32_t k = 0; k < n; k++) pthread_join(threads[k], NULL);
}

void modules_compile(Module *modules, uint32_t count) {
    each(modules, count, emit_module);
    for (uint32_t k = 0; k < count; k++)
        if (modules[k].error) return;
    if (count > 1) keep_one_of_each(modules, count);
    each(modules, count, generate);
}

void module_free(Module *m) {
    if (m->e) emit_free(m->e);
    if (m->arena) arena_free(m->arena);
    if (m->machine) LLVMDisposeTargetMachine(m->machine);
    free(m->diagnostic);
}
