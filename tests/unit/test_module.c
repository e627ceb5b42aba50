/* Modules: where imports are found, what is reported when they are not, the hash of a program. */
#include "lang_support.h"
#include <unistd.h>

static char folder[64];

static int make_folder(void **state) {
    (void)state;
    unsetenv("DEQ_STDLIB");
    snprintf(folder, sizeof folder, "/tmp/deq-module-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void put(const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (char *slash = strchr(path + strlen(folder) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0777);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static Parsed load(const char *name, const char *include) {
    char path[256], dir[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(dir, sizeof dir, "%s/%s", folder, include ? include : "");
    const char *dirs[] = {dir};
    Parsed p = {.arena = arena_new()};
    p.diags = diags_new(p.arena);
    p.program = program_load(p.arena, p.diags, path, dirs, include != NULL);
    p.unit = p.program->main->unit;
    return p;
}

static void expect(const char *name, const char *include, const char *message) {
    Parsed p = load(name, include);
    char *found = messages(&p);
    if (!message)
        assert_string_equal(found, "");
    else
        assert_contains(found, message);
    assert_int_equal(diags_exit_code(p.diags), message ? STAGE_SYNTAX : 0);
    parsed_free(&p);
}

static void imports_are_found_beside_the_file_and_in_folders(void **state) {
    (void)state;
    put("main.deq", "import my.blocks (Res)\nimport my.blocks as blocks\nimport far\nimport std.losses "
                    "(cross_entropy)\nconst own = 1\n");
    put("my/blocks.deq", "import near (N)\nlayer Res(x: f32) -> f32 { return x }\n");
    put("my/near.deq", "const N = 1\n");
    put("include/far.deq", "const M = 2\n");
    expect("main.deq", NULL, "there is no module 'far'");
    expect("main.deq", "include", NULL);
    Parsed p = load("main.deq", "include");
    Program *program = p.program;
    const Module *main = program->main, *owner = NULL;
    assert_ptr_equal(program->modules[program->nmodules - 1], main);
    assert_int_equal(main->nimports, 4);
    assert_ptr_equal(main->imports[0], main->imports[1]); /* one module however often it is imported */
    for (uint32_t i = 0; i < program->nmodules; i++)
        for (uint32_t k = 0; k < program->modules[i]->nimports; k++) { /* imports before importers */
            uint32_t at = 0;
            while (at < i && program->modules[at] != program->modules[i]->imports[k]) at++;
            assert_true(at < i);
        }
    assert_int_equal(module_find(main, "Res", &owner)->kind, AST_LAYER);
    assert_string_equal(owner->path, "my.blocks");
    assert_int_equal(module_find(main, "blocks.Res", &owner)->kind, AST_LAYER);
    assert_int_equal(module_find(main, "far.M", &owner)->kind, AST_CONST);
    assert_int_equal(module_find(main, "own", &owner)->kind, AST_CONST);
    assert_ptr_equal(owner, main);
    assert_int_equal(module_find(main, "blocks", NULL)->kind, AST_IMPORT);
    assert_int_equal(module_find(main, "cross_entropy", &owner)->kind, AST_FN);
    assert_string_equal(owner->source->path, "<std.losses>");
    assert_null(module_find(main, "N", NULL)); /* imports of imports are not visible */
    assert_null(module_find(main, "blocks.N", NULL));
    assert_null(module_find(main, "Re", NULL));
    parsed_free(&p);
}

static void mistakes_in_imports_are_explained(void **state) {
    (void)state;
    put("a.deq", "import std.layer (Dense)\n");
    expect("a.deq", NULL, "E0112]: there is no module 'std.layer'");
    expect("a.deq", NULL, "help: did you mean 'std.layers'?");
    put("a.deq", "import layers (Dense)\n");
    expect("a.deq", NULL, "help: did you mean 'std.layers'?");
    put("a.deq", "import std.layers (Dens)\n");
    expect("a.deq", NULL, "1:20: error[E0114]: module 'std.layers' declares no 'Dens'");
    expect("a.deq", NULL, "help: did you mean 'Dense'?");
    put("a.deq", "import std.layers (dense)\n");
    expect("a.deq", NULL, "help: did you mean 'Dense'?");
    put("broken.deq", "const a = = 1\n");
    put("a.deq", "import broken (a)\n");
    expect("a.deq", NULL, "broken.deq:1:11: error[E0101]");
    Parsed p = load("a.deq", NULL);
    assert_int_equal(diags_errors(p.diags), 1); /* `a` may be in the part that was skipped */
    parsed_free(&p);
    put("zero.deq", "");
    put("a.deq", "import zero\n");
    expect("a.deq", NULL, "zero.deq' is empty");
    expect("absent.deq", NULL, "deq: error[E0111]: '");
    put("name.deq", "const a = 1\n");
    expect("name", NULL, "name.deq'?");
}

static void cycles_are_reported(void **state) {
    (void)state;
    put("x.deq", "import y (b)\nconst a = 1\n");
    put("y.deq", "import z\nconst b = 1\n");
    put("z.deq", "import x\n");
    expect("x.deq", NULL, "z.deq:1:8: error[E0113]: 'x' imports itself");
    expect("x.deq", NULL, "x.deq imports ");
    put("self.deq", "import self\n");
    expect("self.deq", NULL, "error[E0113]: 'self' imports itself");
}

static void another_standard_library_can_be_used(void **state) {
    (void)state;
    put("lib/layers.deq", "const Mine = 1\n");
    put("a.deq", "import std.layers (Mine)\n");
    char path[128];
    snprintf(path, sizeof path, "%s/lib", folder);
    setenv("DEQ_STDLIB", path, 1);
    expect("a.deq", NULL, NULL);
    put("a.deq", "import std.losses (Mine)\n");
    expect("a.deq", NULL, "there is no module 'std.losses'");
    unsetenv("DEQ_STDLIB");
}

static char *hash_of(Arena *a, const char *text) {
    Parsed p = parse_text(text);
    char *hash = arena_strdup(a, program_hash(p.program));
    parsed_free(&p);
    return hash;
}

static void the_hash_sees_tokens_only(void **state) {
    (void)state;
    Arena *a = arena_new();
    char *base = hash_of(a, "const a = f(1, 2)\nconst b = 3\n");
    assert_int_equal(strlen(base), 32);
    assert_int_equal(strspn(base, "0123456789abcdef"), 32);
    assert_string_equal(base, hash_of(a, "// c\n/// doc\nconst a=f(1,\n  2); const b = 3 // d"));
    static const char *const others[] = {"const a = f(1, 2)\nconst b = 4\n", "const a = f(1, 2)\n",
                                         "const a = f(12)\nconst b = 3\n", "const b = 3\nconst a = f(1, 2)\n",
                                         "const a = f(1, \"2\")\nconst b = 3\n"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) assert_string_not_equal(base, hash_of(a, others[i]));
    put("h.deq", "import part\n");
    put("part.deq", "const a = 1\n");
    Parsed p = load("h.deq", NULL);
    char *before = arena_strdup(a, program_hash(p.program));
    parsed_free(&p);
    put("part.deq", "const a = 2\n");
    p = load("h.deq", NULL);
    assert_string_not_equal(before, program_hash(p.program)); /* imported text counts */
    parsed_free(&p);
    arena_free(a);
}

static void the_standard_library_parses(void **state) {
    (void)state;
    static const char *const modules[] = {"std.layers", "std.losses", "std.attacks", "std.optimisers", "std.defences"};
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        assert_non_null(stdlib_text(modules[i]));
        Parsed p = parse_text(stdlib_text(modules[i]));
        if (diags_errors(p.diags)) fail_msg("%s", messages(&p));
        parsed_free(&p);
    }
    assert_null(stdlib_text("std.nothing"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(imports_are_found_beside_the_file_and_in_folders, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(mistakes_in_imports_are_explained, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(cycles_are_reported, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(another_standard_library_can_be_used, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(the_hash_sees_tokens_only, make_folder, remove_folder),
        cmocka_unit_test(the_standard_library_parses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
