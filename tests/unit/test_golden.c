/* tests/golden/NAME.deq and NAME.ast: the printed tree, or, with NAME.err, the printed diagnostics.  Files under
 * newcomer/, what somebody writes who comes from Python, are resolved and checked too.
 * DEQ_BLESS=1 rewrites the expected files; the difference is then reviewed like code. */
#include "lang_support.h"
#include "check.h"

static int compared;

static void compare(Arena *a, const char *deq, const char *extension, const char *found) {
    char *path = arena_printf(a, "%.*s%s", (int)strlen(deq) - 4, deq, extension);
    if (getenv("DEQ_BLESS")) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        fputs(found, f);
        fclose(f);
    }
    char *expected = read_whole(a, path);
    if (!expected) fail_msg("%s is missing; DEQ_BLESS=1 writes it", path);
    if (strcmp(expected, found) == 0) {
        compared++;
        return;
    }
    int line = 1;
    const char *e = expected, *f = found;
    while (*e && *e == *f) {
        line += *e == '\n';
        e++, f++;
    }
    fail_msg("%s:%d differs (DEQ_BLESS=1 rewrites it):\nexpected %.200s\nfound    %.200s", path, line, e, f);
}

static void check_file(const char *path) {
    Arena *a = arena_new();
    Diags *ds = diags_new(a);
    const char *slash = strrchr(path, '/');
    Program *p = program_load_text(a, ds, slash ? slash + 1 : path, read_whole(a, path));
    if (!diags_errors(ds) && strstr(path, "/newcomer/")) {
        program_resolve(p);
        program_check(p);
    }
    if (diags_errors(ds))
        compare(a, path, ".err", CAPTURE(a, out, diags_print(ds, out, false)));
    else
        compare(a, path, ".ast", CAPTURE(a, out, ast_print(p->main->unit, out)));
    arena_free(a);
}

static void golden_files(void **state) {
    (void)state;
    each_deq(DEQ_SOURCE_DIR "/tests/golden", check_file);
    assert_true(compared >= 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
