/* runtime/MANIFEST.md against what the compiler writes for the examples and for the programs of the tests: every member
 * that is written is in the tables, with its kind; every member of the tables is written, and one that is always given is
 * never absent. */
#define _GNU_SOURCE
#include "compile.h"
#include <dirent.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef struct Row {
    char table[32], member[32], kind[64];
    bool always;
    int seen;
} Row;

static Row rows[400];
static int nrows;

/* ---- the page ---- */

/* Cuts the next cell of "| a | b |" off, without spaces and backquotes. */
static char *next_cell(char **at) {
    char *cell = *at + strspn(*at, "| `"), *end = strchr(cell, '|');
    if (!end) return NULL;
    *at = end;
    while (end > cell && strchr(" `", end[-1])) end--;
    if (*end == '|') (*at)++;
    *end = 0;
    return cell;
}

static void read_page(void) {
    FILE *f = fopen(DEQ_SOURCE_DIR "/runtime/MANIFEST.md", "r");
    char line[1024], table[32] = "";
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "## %31s", table) == 1 || strncmp(line, "| `", 3) != 0) continue;
        char *at = line, *member = next_cell(&at), *kind = next_cell(&at), *given = next_cell(&at);
        if (!given || (strcmp(given, "always") && strcmp(given, "some")))
            fail_msg("the row of %s in %s", member, table);
        assert_true(nrows < 400 && strlen(member) < 32 && strlen(kind) < 64);
        Row *r = &rows[nrows++];
        strcpy(r->table, table);
        strcpy(r->member, member);
        strcpy(r->kind, kind);
        r->always = strcmp(given, "always") == 0;
    }
    fclose(f);
    assert_true(nrows > 100);
}

static Row *row_of(const char *table, const char *member) {
    for (int k = 0; k < nrows; k++)
        if (!strcmp(rows[k].table, table) && (!member || !strcmp(rows[k].member, member))) return &rows[k];
    return NULL;
}

/* ---- a manifest ---- */
static void compare_object(const char *table, const json_t *o, const char *script);

static void compare_value(const char *kind, const json_t *v, const char *what, const char *script) {
    char inner[64];
    size_t n = strlen(kind), i;
    const json_t *item;
    if (n > 8 && !strcmp(kind + n - 8, " or null")) {
        if (json_is_null(v)) return;
        snprintf(inner, sizeof inner, "%.*s", (int)(n - 8), kind);
        compare_value(inner, v, what, script);
        return;
    }
    bool good = true;
    if (!strncmp(kind, "list of ", 8)) {
        good = json_is_array(v);
        json_array_foreach(v, i, item) /* null: there is no such cell */
            if (!json_is_null(item)) compare_value(kind + 8, item, what, script);
    } else if (!strcmp(kind, "shape")) {
        compare_value("list of integer", v, what, script);
    } else if (!strcmp(kind, "text")) {
        good = json_is_string(v);
    } else if (!strcmp(kind, "integer")) {
        good = json_is_integer(v);
    } else if (!strcmp(kind, "number")) {
        good = json_is_number(v);
    } else if (!strcmp(kind, "boolean")) {
        good = json_is_boolean(v);
    } else if (strcmp(kind, "any")) {
        if (!row_of(kind, NULL)) fail_msg("%s is of the kind '%s', which has no table", what, kind);
        good = json_is_object(v);
        if (good) compare_object(kind, v, script);
    }
    if (!good) fail_msg("%s: %s is not %s", script, what, kind);
}

static void compare_object(const char *table, const json_t *o, const char *script) {
    const char *member;
    json_t *v;
    char what[80];
    json_object_foreach((json_t *)o, member, v) {
        Row *r = row_of(table, member);
        if (!r) fail_msg("%s: the compiler writes '%s' of %s, which MANIFEST.md does not know", script, member, table);
        r->seen++;
        snprintf(what, sizeof what, "%s of %s", member, table);
        compare_value(r->kind, v, what, script);
    }
    for (int k = 0; k < nrows; k++)
        if (rows[k].always && !strcmp(rows[k].table, table) && !json_object_get(o, rows[k].member))
            fail_msg("%s: MANIFEST.md says that %s of %s is always given", script, rows[k].member, table);
}

static void compare_script(const char *path, bool tests) {
    Compilation c;
    static const char *const set[] = {"wide.radius=0.02"}; /* of sweeps.deq; elsewhere it is for the runtime */
    CompileOptions o = {
        .path = path, .tests = tests, .nets = tests, .checks = !tests, .last = STAGE_routines, .set = set, .nset = 1};
    int code = compile(&o, &c);
    if (code != 0) {
        diags_print(c.diags, stderr, false);
        fail_msg("%s does not compile", path);
    }
    {
        json_error_t error;
        json_t *manifest = json_loads(c.unit->manifest, JSON_REJECT_DUPLICATES, &error);
        if (!manifest) fail_msg("%s: %s", path, error.text);
        compare_object("manifest", manifest, path);
        json_decref(manifest);
    }
    compile_free(&c);
}

static void compare_folder(const char *folder) {
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        const char *ending = strrchr(e->d_name, '.');
        char path[512];
        if (!ending || strcmp(ending, ".deq")) continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        compare_script(path, false);
        compare_script(path, true);
    }
    closedir(d);
}

/* `..(o, "member")` of the reader: members of some table. */
static int compare_reader(const char *path) {
    FILE *f = fopen(path, "r");
    char line[1024], member[32];
    int n = 0;
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        for (const char *at = line; (at = strstr(at, ", \"")); at++) {
            int length = 0;
            if (sscanf(at, ", \"%31[a-z_]\")%n", member, &length) != 1 || length == 0) continue;
            bool known = memmem(line, (size_t)(at - line), "missing(", 8) || /* words of a message, values of a text */
                         memmem(line, (size_t)(at - line), "strcmp(", 7);
            for (int k = 0; k < nrows; k++) known = known || !strcmp(rows[k].member, member);
            if (!known) fail_msg("the runtime reads '%s', which MANIFEST.md does not know", member);
            n++;
        }
    fclose(f);
    return n;
}

static void tables_are_true(void **state) {
    (void)state;
    read_page();
    compare_folder(DEQ_SOURCE_DIR "/examples");
    compare_folder(DEQ_SOURCE_DIR "/examples/gradients_c");
    compare_folder(DEQ_SOURCE_DIR "/tests/programs");
    compare_script(DEQ_SOURCE_DIR "/tests/unit/penalty.deq", true);
    compare_script(DEQ_SOURCE_DIR "/tests/unit/manifest.deq", false);
    assert_true(compare_reader(DEQ_SOURCE_DIR "/runtime/core/manifest.c") +
                    compare_reader(DEQ_SOURCE_DIR "/runtime/core/manifest_experiment.c") >
                60);
    int unseen = 0;
    for (int k = 0; k < nrows; k++)
        if (!rows[k].seen) print_error("nothing writes %s of %s\n", rows[k].member, rows[k].table), unseen++;
    assert_int_equal(unseen, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(tables_are_true)};
    return cmocka_run_group_tests_name("manifest_tables", tests, NULL, NULL);
}
