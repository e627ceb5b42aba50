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

/* ---- processors by name ---- */
typedef struct Cpu {
    const char *name, *architecture; /* as in triples */
    const char *features;            /* of vectors, that the name implies */
} Cpu;

/* LLVM only warns about an unknown CPU, on stderr, and its C interface tells neither the names it knows nor the
 * features that they imply.  A missing feature costs speed, not correctness. */
static const Cpu cpus[] = {
    {"x86-64", "x86_64", ""},
    {"x86-64-v2", "x86_64", ""},
    {"x86-64-v3", "x86_64", "+avx2,+fma"},
    {"x86-64-v4", "x86_64", "+avx512f,+avx2,+fma"},
    {"nehalem", "x86_64", ""},
    {"sandybridge", "x86_64", ""},
    {"ivybridge", "x86_64", ""},
    {"haswell", "x86_64", "+avx2,+fma"},
    {"broadwell", "x86_64", "+avx2,+fma"},
    {"skylake", "x86_64", "+avx2,+fma"},
    {"skylake-avx512", "x86_64", "+avx512f,+avx2,+fma"},
    {"cascadelake", "x86_64", "+avx512f,+avx2,+fma"},
    {"icelake-client", "x86_64", "+avx512f,+avx2,+fma"},
    {"icelake-server", "x86_64", "+avx512f,+avx2,+fma"},
    {"alderlake", "x86_64", "+avx2,+fma"},
    {"sapphirerapids", "x86_64", "+avx512f,+avx2,+fma"},
    {"znver1", "x86_64", "+avx2,+fma"},
    {"znver2", "x86_64", "+avx2,+fma"},
    {"znver3", "x86_64", "+avx2,+fma"},
    {"znver4", "x86_64", "+avx512f,+avx2,+fma"},
    {"znver5", "x86_64", "+avx512f,+avx2,+fma"},
    {"apple-m1", "aarch64", ""},
    {"neoverse-n1", "aarch64", ""},
    {"neoverse-v1", "aarch64", ""},
    {"cortex-a72", "aarch64", ""},
};

static const Cpu *find_cpu(const char *name) {
    for (size_t k = 0; k < sizeof cpus / sizeof *cpus; k++)
        if (strcmp(cpus[k].name, name) == 0) return &cpus[k];
    return NULL;
}

static bool starts_with(const char *text, const char *prefix) { return strncmp(text, prefix, strlen(prefix)) == 0; }

/* LLVM has all its targets built in; they are registered when code for them is wanted. */
void target_initialise_foreign(void) {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
}

static bool unknown_cpu(const char *cpu, char **error) {
    char text[256];
    snprintf(text, sizeof text,
             "unknown target CPU '%s'; use native, x86-64, x86-64-v2, x86-64-v3, x86-64-v4 or a model such as "
             "skylake or znver4",
             cpu);
    *error = copy(text);
    return false;
}

static bool is_host(const char *cpu) {
    char *name = LLVMGetHostCPUName();
    bool same = strcmp(name, cpu) == 0;
    LLVMDisposeMessage(name);
    return same;
}

/* Triple, name and features. */
static bool resolve(const char *cpu, TargetShape *out, char **error) {
    char *host = LLVMGetDefaultTargetTriple();
    out->triple = copy(host);
    LLVMDisposeMessage(host);
    if (!cpu || strcmp(cpu, "native") == 0) {
        char *name = LLVMGetHostCPUName(), *features = LLVMGetHostCPUFeatures();
        out->cpu = copy(name);
        out->features = copy(features);
        LLVMDisposeMessage(name);
        LLVMDisposeMessage(features);
        return true;
    }
    const Cpu *known = find_cpu(cpu);
    if (!known && is_host(cpu)) { /* what `deq version` prints is understood */
        free(out->triple);
        return resolve("native", out, error);
    }
    if (!known && strcmp(cpu, "generic") != 0) return unknown_cpu(cpu, error);
    out->cpu = copy(cpu);
    out->features = copy(known ? known->features : "");
    if (!known || starts_with(out->triple, known->architecture)) return true;
    out->foreign = true;
    char triple[64];
    snprintf(triple, sizeof triple, "%s-linux-gnu", known->architecture);
    free(out->triple);
    out->triple = copy(triple);
    return true;
}

bool target_shape(const char *cpu, TargetShape *out, char **error) {
    *out = (TargetShape){0};
    if (!resolve(cpu, out, error)) {
        target_shape_free(out);
        return false;
    }
    const char *features = out->features;
    if (!starts_with(out->triple, "x86_64")) { /* NEON: 32 registers of 16 bytes */
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
    free(shape->triple);
}

LLVMTargetMachineRef target_machine(const TargetShape *shape, int optimise, char **error) {
    char *message = NULL;
    LLVMTargetRef target;
    LLVMTargetMachineRef machine = NULL;
    if (LLVMGetTargetFromTriple(shape->triple, &target, &message)) {
        *error = copy(message);
        LLVMDisposeMessage(message);
    } else {
        static const LLVMCodeGenOptLevel levels[] = {LLVMCodeGenLevelNone, LLVMCodeGenLevelLess,
                                                     LLVMCodeGenLevelDefault, LLVMCodeGenLevelAggressive};
        machine = LLVMCreateTargetMachine(target, shape->triple, shape->cpu, shape->features, levels[optimise & 3],
                                          LLVMRelocPIC, LLVMCodeModelDefault);
        if (!machine) *error = copy("LLVM gives no target machine for this CPU");
    }
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
