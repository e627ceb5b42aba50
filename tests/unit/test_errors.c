/* tests/errors/CODE-what.deq: a program with `//! error CODE: part of the message` (or `//! warning CODE: ..`) at the
 * end of each line on which the diagnostic must appear, several one after the other; `//! error CODE` alone on the
 * first line when it has no place there.  No other error may appear, in files named after a warning no other warning
 * either, and every expected one must.  E01 files are only loaded, all others resolved and checked.  Every code of
 * errors.def needs a file that gives it. */
#include "lang_support.h"
#include "pipeline.h"
#include "check.h"
#include <jansson.h>

static int files;
static bool seen[DIAG_COUNT];

typedef struct Expected {
    int line;
    char code[8], message[256];
    bool met;
} Expected;

static int expectations(const char *text, Expected *list, int capacity) {
    int n = 0, line = 1;
    for (const char *p = text; *p; p++) {
        if (!strncmp(p, "//! ", 4) && n < capacity) {
            Expected *e = &list[n];
            memset(e, 0, sizeof *e);
            e->line = line;
            if (sscanf(p, "//! %*[a-z] %7[A-Z0-9]%*[:] %255[^\n]", e->code, e->message) >= 1) n++;
            char *next = strstr(e->message, " //! "); /* another one on the same line */
            if (next) *next = '\0';
        }
        line += *p == '\n';
    }
    return n;
}

static void check_file(const char *path) {
    const char *name = strrchr(path, '/') + 1;
    Arena *a = arena_new();
    Diags *ds = diags_new(a);
    char *text = read_whole(a, path);
    Expected list[64];
    int n = text ? expectations(text, list, 64) : 0;
    if (!n) fail_msg("%s expects no error", path);
    Program *program = program_load(a, ds, path, NULL, 0);
    if (strncmp(name, "E01", 3) != 0) {
        bool good = program_resolve(program);
        if (program_check(program) && good && diags_errors(ds) == 0) pipeline_check(program);
    }
    char *json = CAPTURE(a, out, diags_print_json(ds, out));
    char *plain = CAPTURE(a, out, diags_print(ds, out, false));
    for (char *line = strtok(json, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *d = json_loads(line, 0, NULL);
        assert_non_null(d);
        const char *code = json_string_value(json_object_get(d, "code"));
        const char *message = json_string_value(json_object_get(d, "message"));
        int at = (int)json_integer_value(json_object_get(d, "line"));
        Expected *match = NULL;
        for (int i = 0; i < n && !match; i++)
            if (!list[i].met && list[i].line == at && !strcmp(list[i].code, code) && strstr(message, list[i].message))
                match = &list[i];
        if (!match && (code[0] == 'E' || name[0] == 'W' || !strncmp(name, "E01", 3)))
            fail_msg("%s:%d: unexpected %s: %s\n%s", path, at, code, message, plain);
        if (match) match->met = true;
        DiagCode c;
        if (match && diag_code_find(code, &c)) seen[c] = true;
        json_decref(d);
    }
    for (int i = 0; i < n; i++)
        if (!list[i].met)
            fail_msg("%s:%d: %s '%s' does not appear\n%s", path, list[i].line, list[i].code, list[i].message, plain);
    files++;
    arena_free(a);
}

static void error_files(void **state) {
    (void)state;
    each_deq(DEQ_SOURCE_DIR "/tests/errors", check_file);
    assert_true(files > 0);
    for (int i = 0; i < DIAG_COUNT; i++) {
        const char *code = diag_code_name((DiagCode)i);
        /* E0111 is about files that cannot be read (test_module, test_source). */
        if (strcmp(code, "E0111") != 0 && !seen[i]) fail_msg("no file under tests/errors gives %s", code);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(error_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
