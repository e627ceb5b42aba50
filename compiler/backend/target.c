/* target.c - processor names to vector widths and target machines. */
#include "target.h"
#include <llvm-c/Core.h>
#include <llvm-c/Target.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void target_initialise(void) {
    static bool done;
    if (done) return;
    LLVMInitializeNativeTarget();
    LLVMInitializeNativeAsmPrinter();
    LLVMInitializeNativeAsmParser();
    done = true;
}

/* The last of `+name` and `-name` in the feature list decides. */
static bool has_feature(const char *features, const char *name) {
    bool on = false;
    size_t length = strlen(name);
    for (const char *p = features; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
        if (strncmp(p + 1, name, length) == 0 && (p[1 + length] == ',' || p[1 + length] == 0)) on = *p == '+';
    }
    return on;
}

static char *copy(const char *s) {
    char *p = malloc(strlen(s) + 1);
    return p ? strcpy(p, s) : NULL;
}

static bool host_is_x86(void) {
    char *triple = LLVMGetDefaultTargetTriple();
    bool x86 = strncmp(triple, "x86_64", 6) == 0;
    LLVMDisposeMessage(triple);
    return x86;
}

/* Vector features a named x86 CPU implies.  LLVM's C API does not tell, the
 * names used in practice are few, and a missing one costs speed, not correctness. */
static const char *named_features(const char *cpu) {
    static const struct {
        const char *prefix, *features;
    } table[] = {
        {"x86-64-v4", "+avx512f,+avx2,+fma"},
        {"x86-64-v3", "+avx2,+fma"},
        {"skylake-avx512", "+avx512f,+avx2,+fma"},
        {"cascadelake", "+avx512f,+avx2,+fma"},
        {"icelake", "+avx512f,+avx2,+fma"},
        {"sapphirerapids", "+avx512f,+avx2,+fma"},
        {"znver4", "+avx512f,+avx2,+fma"},
        {"znver5", "+avx512f,+avx2,+fma"},
        {"znver", "+avx2,+fma"},
        {"haswell", "+avx2,+fma"},
        {"broadwell", "+avx2,+fma"},
        {"skylake", "+avx2,+fma"},
        {"alderlake", "+avx2,+fma"},
    };
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        if (strncmp(cpu, table[k].prefix, strlen(table[k].prefix)) == 0) return table[k].features;
    }
    return "";
}

/* LLVM only warns about an unknown CPU, on stderr; the names it knows are in its subtarget tables, which the C API does
 * not show.  A CPU that is not in this list is refused with the list's text. */
static bool known_cpu(const char *cpu) {
    static const char *const names[] = {
        "x86-64",    "x86-64-v2",      "x86-64-v3",   "x86-64-v4",      "generic",
        "nehalem",   "sandybridge",    "ivybridge",   "haswell",        "broadwell",
        "skylake",   "skylake-avx512", "cascadelake", "icelake-client", "icelake-server",
        "alderlake", "sapphirerapids", "znver1",      "znver2",         "znver3",
        "znver4",    "apple-m1",       "neoverse-n1", "neoverse-v1",    "cortex-a72"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        if (strcmp(cpu, names[k]) == 0) return true;
    }
    return false;
}

bool target_shape(const char *cpu, TargetShape *out, char **error) {
    *out = (TargetShape){0};
    const char *features;
    if (!cpu || strcmp(cpu, "native") == 0) {
        char *name = LLVMGetHostCPUName(), *host = LLVMGetHostCPUFeatures();
        out->cpu = copy(name);
        out->features = copy(host);
        LLVMDisposeMessage(name);
        LLVMDisposeMessage(host);
        features = out->features;
    } else if (known_cpu(cpu)) {
        out->cpu = copy(cpu);
        out->features = copy("");
        features = named_features(cpu);
    } else {
        char text[256];
        snprintf(text, sizeof text,
                 "unknown target CPU '%s'; use native, x86-64, x86-64-v2, x86-64-v3, x86-64-v4 or a model such as "
                 "skylake or znver4",
                 cpu);
        *error = copy(text);
        return false;
    }
    if (!host_is_x86()) { /* NEON: 32 registers of 16 bytes */
        out->vector_bytes = 16;
        out->tile_rows = 12;
    } else if (has_feature(features, "avx512f")) { /* 32 registers: 28 accumulators, 2 of b, 1 of a */
        out->vector_bytes = 64;
        out->tile_rows = 14;
    } else if (has_feature(features, "avx2") && has_feature(features, "fma")) { /* 16 registers */
        out->vector_bytes = 32;
        out->tile_rows = 6;
    } else {
        out->vector_bytes = 16;
        out->tile_rows = 5;
    }
    return true;
}

void target_shape_free(TargetShape *shape) {
    free(shape->cpu);
    free(shape->features);
}

LLVMTargetMachineRef target_machine(const TargetShape *shape, int optimise, char **error) {
    target_initialise();
    char *triple = LLVMGetDefaultTargetTriple(), *message = NULL;
    LLVMTargetRef target;
    LLVMTargetMachineRef machine = NULL;
    if (LLVMGetTargetFromTriple(triple, &target, &message)) {
        *error = copy(message);
        LLVMDisposeMessage(message);
    } else {
        static const LLVMCodeGenOptLevel levels[] = {LLVMCodeGenLevelNone, LLVMCodeGenLevelLess,
                                                     LLVMCodeGenLevelDefault, LLVMCodeGenLevelAggressive};
        machine = LLVMCreateTargetMachine(target, triple, shape->cpu, shape->features, levels[optimise & 3],
                                          LLVMRelocPIC, LLVMCodeModelDefault);
        if (!machine) *error = copy("LLVM gives no target machine for this CPU");
    }
    LLVMDisposeMessage(triple);
    return machine;
}

bool target_layout(const char *cpu, uint32_t real_bytes, Layout *out, char **error) {
    TargetShape shape;
    if (!target_shape(cpu, &shape, error)) return false;
    out->real_bytes = real_bytes;
    out->panel = 2 * shape.vector_bytes / real_bytes;
    target_shape_free(&shape);
    return true;
}

const char *target_name(const char *cpu) {
    static char text[4096];
    TargetShape shape;
    char *error = NULL;
    if (!target_shape(cpu, &shape, &error)) {
        free(error);
        return "unknown";
    }
    snprintf(text, sizeof text, "%s%s%s, %u-bit vectors", shape.cpu, shape.features[0] ? " " : "", shape.features,
             shape.vector_bytes * 8);
    target_shape_free(&shape);
    return text;
}
