/* Diagnostics: wording and marks as printed, order, limits, JSON, suggestions. */
#include "lang_support.h"
#include "doc.h"

typedef struct Fixture {
    Arena *arena;
    Diags *diags;
    Source *source;
} Fixture;

static Fixture fixture(const char *text) {
    Fixture f = {.arena = arena_new()};
    f.diags = diags_new(f.arena);
    f.source = source_from_text(f.arena, "net.deq", text);
    return f;
}

static char *printed(const Fixture *f) { return CAPTURE(f->arena, out, diags_print(f->diags, out, false)); }

static void a_diagnostic_shows_line_marks_notes_and_help(void **state) {
    (void)state;
    Fixture f = fixture("layer L\n    z = tanh(z @ U + b)\n");
    Diagnostic *d = diag_report(f.diags, DIAG_E0101, (Range){f.source, 23, 24}, "shapes do not agree in '%c'", '@');
    diag_mark(d, (Range){f.source, 21, 26}, "f32[H] @ f32[I, H]: H and I must be equal");
    diag_note(d, (Range){f.source, 0, 5}, "H is %d", 128);
    diag_help(d, "did you mean '%s'?", "W");
    assert_string_equal(printed(&f), "net.deq:2:16: error[E0101]: shapes do not agree in '@'\n"
                                     "    2 |     z = tanh(z @ U + b)\n"
                                     "      |              ~ ^ ~  f32[H] @ f32[I, H]: H and I must be equal\n"
                                     "   note: line 1: H is 128\n"
                                     "   help: did you mean 'W'?\n"
                                     "   more: deq explain E0101\n");
    assert_int_equal(diags_errors(f.diags), 1);
    assert_int_equal(diags_exit_code(f.diags), STAGE_SYNTAX);
    arena_free(f.arena);
}

static void marks_follow_characters_and_tabs(void **state) {
    (void)state;
    Fixture f = fixture("\tlet \xc3\xa9 = abc");
    diag_report(f.diags, DIAG_E0102, (Range){f.source, 5, 7}, "one");
    diag_report(f.diags, DIAG_E0102, (Range){f.source, 10, 13}, "two");
    char *text = printed(&f);
    assert_contains(text, "      | \t    ^\n");
    assert_contains(text, "      | \t        ^~~\n");
    arena_free(f.arena);
}

static void places_at_the_edge_of_the_text(void **state) {
    (void)state;
    Fixture f = fixture("abc\n");
    diag_report(f.diags, DIAG_E0101, (Range){f.source, 3, 3}, "line end");
    diag_report(f.diags, DIAG_E0101, (Range){f.source, 4, 4}, "text end");
    diag_report(f.diags, DIAG_E0101, (Range){f.source, 1, 4000}, "past the end");
    diag_report(f.diags, DIAG_E0101, (Range){0}, "nowhere");
    char *text = printed(&f);
    assert_contains(text, "net.deq:1:4: error[E0101]: line end\n    1 | abc\n      |    ^\n");
    assert_contains(text, "net.deq:2:1: error[E0101]: text end\n    2 | \n      | ^\n");
    assert_contains(text, "      |  ^~\n");
    assert_true(!strncmp(text, "deq: error[E0101]: nowhere\n", 27)); /* without a place: first */
    arena_free(f.arena);
}

static void a_long_line_is_cut_around_the_mark(void **state) {
    (void)state;
    char line[3001];
    memset(line, 'x', 3000);
    line[3000] = 0;
    line[2000] = '!';
    Fixture f = fixture(line);
    diag_report(f.diags, DIAG_E0102, (Range){f.source, 2000, 2001}, "unknown");
    char *text = printed(&f);
    assert_true(strlen(text) < 600);
    char *shown = strstr(text, "    1 | "), *marks = strstr(text, "      | ");
    assert_non_null(shown);
    assert_non_null(marks);
    assert_int_equal(strchr(shown, '!') - shown, strchr(marks, '^') - marks);
    arena_free(f.arena);
}

static void at_most_twenty_sorted_without_repetition(void **state) {
    (void)state;
    Fixture f = fixture("0123456789012345678901234567890123456789");
    for (uint32_t i = 30; i > 0; i--) diag_report(f.diags, DIAG_E0101, (Range){f.source, i, i + 1}, "number %u", i);
    diag_report(f.diags, DIAG_E0101, (Range){f.source, 1, 2}, "number 1");
    char *text = printed(&f), *p = text;
    for (int i = 1; i <= 20; i++) {
        p = strstr(p, arena_printf(f.arena, "number %d\n", i));
        assert_non_null(p);
    }
    assert_null(strstr(text, "number 21"));
    assert_contains(text, "and 10 more\n");
    char *more = strstr(text, "more: deq explain");
    assert_non_null(more);
    assert_null(strstr(more + 1, "more: deq explain")); /* once */
    arena_free(f.arena);
}

static void colour_only_when_asked(void **state) {
    (void)state;
    Fixture f = fixture("abc");
    diag_report(f.diags, DIAG_E0101, (Range){f.source, 0, 1}, "message");
    assert_null(strchr(printed(&f), '\033'));
    assert_contains(CAPTURE(f.arena, out, diags_print(f.diags, out, true)), "\033[");
    arena_free(f.arena);
}

static void json_is_one_object_a_line(void **state) {
    (void)state;
    Fixture f = fixture("a \"b\"\nc");
    Diagnostic *d = diag_report(f.diags, DIAG_E0103, (Range){f.source, 6, 7}, "quote \" and \\");
    diag_note(d, (Range){f.source, 0, 1}, "here");
    diag_help(d, "try");
    diag_report(f.diags, DIAG_E0111, (Range){0}, "bytes \xff");
    assert_string_equal(CAPTURE(f.arena, out, diags_print_json(f.diags, out)),
                        "{\"event\":\"error\",\"code\":\"E0111\",\"severity\":\"error\",\"message\":\"bytes "
                        "?\",\"notes\":[],\"help\":[]}\n"
                        "{\"event\":\"error\",\"code\":\"E0103\",\"severity\":\"error\",\"file\":\"net.deq\",\"line\":"
                        "2,\"column\":1,\"end_"
                        "line\":2,\"end_column\":2,"
                        "\"message\":\"quote \\\" and "
                        "\\\\\",\"notes\":[{\"message\":\"here\",\"file\":\"net.deq\",\"line\":1,\"column\":1,"
                        "\"end_line\":1,\"end_column\":2}],\"help\":[\"try\"]}\n");
    arena_free(f.arena);
}

static const char *nearest(const char *name) {
    static const char *const candidates[] = {"Dense", "Conv", "tanh", "x", "radius"};
    return diag_nearest(name, candidates, 5);
}

static void suggestions_are_near(void **state) {
    (void)state;
    assert_string_equal(nearest("Dens"), "Dense");
    assert_string_equal(nearest("Desne"), "Dense"); /* two letters exchanged: one edit */
    assert_string_equal(nearest("raduis"), "radius");
    assert_string_equal(nearest("tahn"), "tanh");
    assert_null(nearest("y"));     /* anything is near a single letter */
    assert_null(nearest("Dense")); /* the name itself */
    assert_null(nearest("something_else"));
}

static void every_code_is_explained(void **state) {
    (void)state;
    for (int i = 0; i < DIAG_COUNT; i++) {
        const char *name = diag_code_name((DiagCode)i), *text = diag_code_explanation((DiagCode)i);
        DiagCode found;
        assert_true(diag_code_find(name, &found));
        assert_int_equal(found, i);
        assert_true(strlen(name) == 5 && (name[0] == 'E' || name[0] == 'W'));
        assert_true(strlen(diag_code_title((DiagCode)i)) > 3);
        if (strlen(text) < 30) fail_msg("%s is not explained", name);
    }
    DiagCode code;
    assert_true(diag_code_find("e0101", &code));
    assert_false(diag_code_find("E9999", &code));
    Arena *a = arena_new();
    assert_contains(CAPTURE(a, out, explain_code("E0105", out)), "E0105: bracket without partner\n\n");
    assert_string_equal(CAPTURE(a, out, assert_false(explain_code("nonsense", out))), "");
    assert_contains(CAPTURE(a, out, explain_list(out)), "E0101  syntax error\n");
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_diagnostic_shows_line_marks_notes_and_help),
        cmocka_unit_test(marks_follow_characters_and_tabs),
        cmocka_unit_test(places_at_the_edge_of_the_text),
        cmocka_unit_test(a_long_line_is_cut_around_the_mark),
        cmocka_unit_test(at_most_twenty_sorted_without_repetition),
        cmocka_unit_test(colour_only_when_asked),
        cmocka_unit_test(json_is_one_object_a_line),
        cmocka_unit_test(suggestions_are_near),
        cmocka_unit_test(every_code_is_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
