/* The rows of foreign.def name what exists in this language, and their help lines read well. */
#include "lang_support.h"
#include "foreign.h"
#include "tables.h"
#include <ctype.h>

static const char *const modules[] = {"std.layers",     "std.activations", "std.losses",   "std.metrics", "std.attacks",
                                      "std.optimisers", "std.schedules",   "std.defences", "std.data"};

static bool in_library(const char *before, const char *name, const char *behind) {
    char wanted[128];
    snprintf(wanted, sizeof wanted, "%s%s", before, name);
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        for (const char *p = stdlib_text(modules[i]); p && (p = strstr(p, wanted)); p++)
            if (strchr(behind, p[strlen(wanted)])) return true;
    return false;
}

static bool is_declared(const char *name) {
    static const char *const words[] = {"fn ", "layer ", "attack ", "optimiser ", "schedule ", "defence "};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (in_library(words[i], name, "[(=")) return true;
    return false;
}

/* relu(x), Dense[I, O], cross_entropy: a name that is called, indexed or stands alone is built in or in the library. */
static void names_exist(void **state) {
    (void)state;
    for (const Foreign *row = foreign_table; row->spelling; row++) {
        if (row->place != FOREIGN_NAME && row->place != FOREIGN_MEMBER) continue;
        const char *p = row->ours;
        size_t n = 0;
        while (isalnum((unsigned char)p[n]) || p[n] == '_') n++;
        if (n < 2 || (p[n] && p[n] != '(' && p[n] != '[')) continue;
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)n, p);
        bool word = !strcmp(name, "true") || !strcmp(name, "false");
        if (!word && !builtin_find(name, CTX_ANY) && !is_declared(name))
            fail_msg("foreign.def: '%s' suggests '%s', which does not exist", row->spelling, name);
    }
}

static bool is_key(const char *key) {
    for (const Setting *s = setting_table; s->key; s++)
        if (!strcmp(s->key, key)) return true;
    for (const Builtin *b = builtin_table; b->name; b++)
        for (uint32_t i = 0; i < b->nargs; i++)
            if (!strcmp(b->args[i].name, key)) return true;
    if (solver_argument(NULL, key) || mode_argument(NULL, key)) return true;
    return in_library("", key, ":");
}

static void keys_exist(void **state) {
    (void)state;
    for (const Foreign *row = foreign_table; row->spelling; row++)
        if (row->place == FOREIGN_KEY && !is_key(row->ours))
            fail_msg("foreign.def: '%s' suggests '%s', which is no setting and no argument", row->spelling, row->ours);
}

static void rows_say_something_once(void **state) {
    (void)state;
    for (const Foreign *row = foreign_table; row->spelling; row++) {
        if (row->place != FOREIGN_MODULE && !*row->ours && !*row->note) fail_msg("'%s' says nothing", row->spelling);
        for (const Foreign *other = foreign_table; other < row; other++)
            if (other->place == row->place && !strcmp(other->spelling, row->spelling) &&
                (row->place != FOREIGN_KEY || !strcmp(other->ours, row->ours)))
                fail_msg("'%s' stands twice in foreign.def", row->spelling);
    }
}

static void value_stands_for_the_underscore(void **state) {
    (void)state;
    Parsed p = parse_text("const a = 1");
    Diagnostic *d = diag_report(p.diags, DIAG_E0313, (Range){0}, "message");
    foreign_help(d, p.arena, foreign_find(FOREIGN_MEMBER, "detach"), "x");
    foreign_help(d, p.arena, foreign_find(FOREIGN_MEMBER, "T"), "W");
    char *text = messages(&p);
    assert_contains(text, "write stop_gradient(x)\n");
    assert_contains(text, "write W'\n");
    parsed_free(&p);
}

static void capitals_and_underscores(void **state) {
    (void)state;
    assert_true(foreign_same("LogSoftmax", "log_softmax"));
    assert_true(foreign_same("relu_", "ReLU"));
    assert_false(foreign_same("tanh", "tan"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_exist),
        cmocka_unit_test(keys_exist),
        cmocka_unit_test(rows_say_something_once),
        cmocka_unit_test(value_stands_for_the_underscore),
        cmocka_unit_test(capitals_and_underscores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
