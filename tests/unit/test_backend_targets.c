/* Code for processors that this machine need not be: the cells of the benchmark run on full vectors of AVX2, AVX-512
 * and NEON, and their register tiles fit the registers. */
#include "graph_numbers.h"
#include "compile.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Target {
    const char *cpu;
    int machine;              /* of ELF */
    const char *fma, *vector; /* a line of a multiply-add of full vectors has both */
    const char *stack;        /* address of a spilled register */
    int tile;                 /* sums in registers */
} Target;

static const Target targets[] = {
    {"x86-64-v3", 62, "vfmadd", "%ymm", "(%rsp)", 2 * 6},
    {"x86-64-v4", 62, "vfmadd", "%zmm", "(%rsp)", 2 * 14},
    {"neoverse-n1", 183, "\tfmla\t", ".4s", "[sp", 2 * 12},
};

/* Multiply-adds of full vectors in the loop that has most of them, among functions of that kind, and how often it reads
 * or writes the stack. */
static int largest_loop(const Target *t, const char *kind, char *assembly, int *spills) {
    int most = 0, here = 0, stack = 0;
    bool kernel = false;
    for (char *line = strtok(assembly, "\n"); line; line = strtok(NULL, "\n")) {
        if (*line != '\t' && strchr(line, ':')) { /* a label: another block */
            here = stack = 0;
            if (*line != '.') kernel = strncmp(line, kind, strlen(kind)) == 0;
        }
        if (!kernel) continue;
        here += strstr(line, t->fma) && strstr(line, t->vector);
        stack += strstr(line, t->stack) != NULL;
        if (here > most) most = here, *spills = stack;
    }
    return most;
}

static void check_cell(const char *cell, const char *kind) {
    for (size_t k = 0; k < sizeof targets / sizeof *targets; k++) {
        const Target *t = &targets[k];
        char path[512];
        snprintf(path, sizeof path, "%s/tests/bench/%s.deq", DEQ_SOURCE_DIR, cell);
        Compilation c;
        CompileOptions o = {.path = path,
                            .target_cpu = t->cpu,
                            .optimise = 2,
                            .emit_asm = true,
                            .single = true,
                            .foreign = true,
                            .last = STAGE_compile};
        int code = compile(&o, &c);
        if (code) diags_print(c.diags, stderr, false);
        assert_int_equal(code, 0);
        assert_int_equal(c.result.nobjects, 1);
        const unsigned char *elf = c.result.objects[0].bytes;
        assert_memory_equal(elf, "\177ELF", 4);
        assert_int_equal(elf[18] | elf[19] << 8, t->machine);
        int spills = 0, most = largest_loop(t, kind, c.result.assembly, &spills);
        print_message("%s for %s: %d multiply-adds of full vectors in a loop\n", cell, t->cpu, most);
        assert_true(most >= t->tile);
        assert_int_equal(spills, 0);
        compile_free(&c);
    }
}

static void test_mlp(void **state) {
    (void)state;
    check_cell("mlp128", "product_");
}

static void test_conv(void **state) {
    (void)state;
    check_cell("conv32", "conv_");
}

/* What cannot run here is refused before it is made. */
static void test_foreign(void **state) {
    (void)state;
    const char *foreign = targets[2].cpu;
#ifdef __aarch64__
    foreign = targets[0].cpu;
#endif
    CompileOptions o = {
        .path = DEQ_SOURCE_DIR "/tests/bench/mlp128.deq", .target_cpu = foreign, .optimise = 2, .last = STAGE_compile};
    Compilation c;
    assert_int_equal(compile(&o, &c), 70);
    compile_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mlp), cmocka_unit_test(test_conv),
                                       cmocka_unit_test(test_foreign)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
