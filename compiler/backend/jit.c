/* jit.c - LLJIT as a loader: the objects are those that would be written to files. */
#include "jit.h"
#include "target.h"
#include <llvm-c/Core.h>
#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const BackendSymbol *runtime;
static uint32_t nruntime;

void jit_set_symbols(const BackendSymbol *symbols, uint32_t nsymbols) {
    runtime = symbols;
    nruntime = nsymbols;
}

static char *copy(const char *s) {
    char *p = malloc(strlen(s) + 1);
    return p ? strcpy(p, s) : NULL;
}

/* The lookup's own error is only "failed to materialize": the missing name arrives here. */
static void on_error(void *user, LLVMErrorRef error) {
    char **text = user, *message = LLVMGetErrorMessage(error);
    if (!*text) *text = copy(message);
    LLVMDisposeErrorMessage(message);
}

static bool failed(LLVMErrorRef error, char **reported, char **out) {
    if (!error) return false;
    char *message = LLVMGetErrorMessage(error);
    *out = *reported ? *reported : copy(message);
    *reported = NULL;
    LLVMDisposeErrorMessage(message);
    return true;
}

const deq_module *jit_load(const Object *objects, uint32_t nobjects, char **error) {
    target_initialise();
    static char *reported; /* outlives the call: the session keeps its address */
    LLVMOrcLLJITRef jit;
    if (failed(LLVMOrcCreateLLJIT(&jit, NULL), &reported, error)) return NULL;
    LLVMOrcExecutionSessionSetErrorReporter(LLVMOrcLLJITGetExecutionSession(jit), on_error, &reported);
    LLVMOrcJITDylibRef library = LLVMOrcLLJITGetMainJITDylib(jit);
    LLVMOrcCSymbolMapPairs pairs = calloc(nruntime + 1, sizeof *pairs);
    for (uint32_t k = 0; pairs && k < nruntime; k++) {
        pairs[k].Name = LLVMOrcLLJITMangleAndIntern(jit, runtime[k].name);
        pairs[k].Sym.Address = (LLVMOrcExecutorAddress)(uintptr_t)runtime[k].address;
        pairs[k].Sym.Flags.GenericFlags = LLVMJITSymbolGenericFlagsExported | LLVMJITSymbolGenericFlagsCallable;
    }
    bool ok =
        pairs && !failed(LLVMOrcJITDylibDefine(library, LLVMOrcAbsoluteSymbols(pairs, nruntime)), &reported, error);
    free(pairs);
    LLVMOrcDefinitionGeneratorRef process; /* libm, memset */
    ok = ok && !failed(LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(&process, LLVMOrcLLJITGetGlobalPrefix(jit),
                                                                            NULL, NULL),
                       &reported, error);
    if (ok) LLVMOrcJITDylibAddGenerator(library, process);
    LLVMOrcExecutorAddress address = 0;
    for (uint32_t k = 0; ok && k < nobjects; k++) {
        char name[16];
        snprintf(name, sizeof name, "deq%u.o", k);
        LLVMMemoryBufferRef buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(objects[k].bytes, objects[k].size, name);
        ok = !failed(LLVMOrcLLJITAddObjectFile(jit, library, buffer), &reported, error); /* eats the buffer */
    }
    ok = ok && !failed(LLVMOrcLLJITLookup(jit, &address, "deq_module"), &reported, error);
    if (ok) return (const deq_module *)(uintptr_t)address; /* the session lives as long as its code may run */
    LLVMErrorRef disposal = LLVMOrcDisposeLLJIT(jit);
    if (disposal) LLVMConsumeError(disposal);
    return NULL;
}
