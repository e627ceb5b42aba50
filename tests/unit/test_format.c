/* The formatter: chosen layouts, and over every program of the repository: idempotent, same tokens, comments kept. */
#include "lang_support.h"
#include "doc.h"
#include "fmt.h"

static char *formatted(Arena *a, const char *text) {
    Parsed p = parse_text(text);
    if (diags_errors(p.diags)) fail_msg("%s", messages(&p));
    bool done = false;
    char *result = CAPTURE(a, out, done = format_module(p.program->main->source, p.unit, out));
    assert_true(done);
    parsed_free(&p);
    return result;
}

static void expect_layout(const char *text, const char *layout) {
    Arena *a = arena_new();
    assert_string_equal(formatted(a, text), layout);
    assert_string_equal(formatted(a, layout), layout);
    arena_free(a);
}

static void spaces(void **state) {
    (void)state;
    expect_layout("const a=-b+- c*( d-1 )**2", "const a = -b + -c * (d - 1) ** 2\n");
    expect_layout("const a = f ( z ;x , n:3 ) [ 1,2 ] . y '", "const a = f(z; x, n: 3)[1, 2].y'\n");
    expect_layout("const a = if not(b)then[1]else(2)", "const a = if not (b) then [1] else (2)\n");
    expect_layout("const a = 0 .. 7 |>f", "const a = 0..7 |> f\n");
    expect_layout("import  std.layers(Dense,LayerNorm)", "import std.layers (Dense, LayerNorm)\n");
    expect_layout("layer L [C;H,W](z:f32[C]; x:f32[H]=1)->f32[C]{ return z }",
                  "layer L[C; H, W](z: f32[C]; x: f32[H] = 1) -> f32[C] { return z }\n");
    expect_layout("const a = m with{a:1;b.c:x{ d:2 } } under q",
                  "const a = m with { a: 1; b.c: x { d: 2 } } under q\n");
    expect_layout("defence none { return mean(states) }", "defence none { return mean(states) }\n");
    expect_layout("train m = N on d { }", "train m = N on d {}\n");
}

static void lines(void **state) {
    (void)state;
    expect_layout("\n\n\nconst a = 1\n\n\n\nconst b = 2; const c = 3\n\n", "const a = 1\n\nconst b = 2\nconst c = 3\n");
    expect_layout("fn f(x: f32) -> f32\n{\n\n    let y = x\n      |> g\n  return y }",
                  "fn f(x: f32) -> f32 {\n  let y = x\n    |> g\n  return y\n}\n");
    expect_layout("const a = f(\n1,\n  g(2,\n3),\n)\n", "const a = f(\n  1,\n  g(2,\n    3),\n)\n");
    expect_layout("test \"t\" { check: f(x) {\na: 1; b: 2 } }",
                  "test \"t\" {\n  check: f(x) {\n    a: 1\n    b: 2\n  }\n}\n");
}

static void columns(void **state) {
    (void)state;
    expect_layout("train m = N on d {\nloss: x\n  optimise: adam(rate: 1)\n\nseed: 1\n}",
                  "train m = N on d {\n  loss:     x\n  optimise: adam(rate: 1)\n\n  seed: 1\n}\n");
    expect_layout("layer L(x: f32) -> f32 {\nparam W: f32[H, H] = a()\nparam b: f32 = c()\nuse a = B\nuse long = "
                  "C[1]\nreturn x\n}",
                  "layer L(x: f32) -> f32 {\n  param W: f32[H, H] = a()\n  param b: f32       = c()\n  use a    = B\n  "
                  "use long = C[1]\n"
                  "  return x\n}\n");
    expect_layout("train m = N on d {\na: f(\n1)\nlonger: 2\nb: 3\n}",
                  "train m = N on d {\n  a: f(\n    1)\n  longer: 2\n  b:      3\n}\n");
}

static void comments(void **state) {
    (void)state;
    expect_layout("//a\n\n\n///  doc\nconst a = 1 // one\nconst bcd = 2     // two\n// end",
                  "//a\n\n///  doc\nconst a = 1    // one\nconst bcd = 2  // two\n// end\n");
    expect_layout("fn f(x: f32) -> f32 { // opens\n// inside\n\nreturn x // value\n// before the end\n}",
                  "fn f(x: f32) -> f32 {  // opens\n  // inside\n\n  return x  // value\n  // before the end\n}\n");
    expect_layout("const a = f(1, // first\n// alone\n2)", "const a = f(1,  // first\n  // alone\n  2)\n");
    expect_layout("train m = N on d\n// why\n{ a: 1 }", "train m = N on d\n  // why\n  { a: 1 }\n");
    expect_layout("const a = x // \xc3\xa9\n\n  |> f", "const a = x  // \xc3\xa9\n\n  |> f\n");
}

static void programs_with_errors_are_left_alone(void **state) {
    (void)state;
    Parsed p = parse_text("const a = = 1\n");
    assert_string_equal(CAPTURE(p.arena, out, assert_false(format_module(p.program->main->source, p.unit, out))), "");
    parsed_free(&p);
}

/* Comments of a text in order, trailing white space aside. */
static char *comments_of(Arena *a, const char *text) {
    return CAPTURE(a, out, {
        for (const char *line = text; *line;) {
            const char *end = line + strcspn(line, "\n");
            bool string = false;
            for (const char *p = line; p < end; p++) {
                if (*p == '"' && (p == line || p[-1] != '\\')) string = !string;
                if (string || p[0] != '/' || p[1] != '/') continue;
                while (end > p && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r')) end--;
                fprintf(out, "%.*s\n", (int)(end - p), p);
                break;
            }
            line += strcspn(line, "\n");
            line += *line == '\n';
        }
    });
}

static int formatted_files;

static void check_file(const char *path) {
    Arena *a = arena_new();
    char *text = read_whole(a, path);
    Parsed before = {0}, after = {0};
    if (text && *text && strlen(text) < 1 << 20 && !source_refused(a, text, strlen(text))) {
        before = parse_text(text);
        bool broken = false; /* imports may be missing: the file is parsed as a text */
        char *once = CAPTURE(a, out, broken = !format_module(before.program->main->source, before.unit, out));
        if (!broken) {
            after = parse_text(once);
            if (strcmp(program_hash(before.program), program_hash(after.program)) != 0)
                fail_msg("%s: tokens change", path);
            char *twice = CAPTURE(a, out, assert_true(format_module(after.program->main->source, after.unit, out)));
            if (strcmp(once, twice) != 0) fail_msg("%s: formatting is not idempotent:\n%s\n---\n%s", path, once, twice);
            if (strcmp(comments_of(a, text), comments_of(a, once)) != 0) fail_msg("%s: comments change", path);
            formatted_files++;
        }
    }
    if (before.arena) parsed_free(&before);
    if (after.arena) parsed_free(&after);
    arena_free(a);
}

static void every_program_of_the_repository(void **state) {
    (void)state;
    each_deq(DEQ_SOURCE_DIR, check_file);
    assert_true(formatted_files >= 10);
}

/* Random layout of a valid program: the tokens stay, line breaks and spaces change where they may. */
static void any_layout_formats_to_the_same_tokens(void **state) {
    (void)state;
    static const char *const tokens[] = {
        "fn", "f", "(", "x",    ":", "f32", "[",    "N", "]", ")", "->", "f32", "{", "let", "y", "=",      "x",
        "|>", "g", "(", "a",    ":", "-",   "1",    ",", "[", "2", ",",  "3",   "]", ")",   ";", "return", "if",
        "y",  ">", "0", "then", "y", "'",   "else", "-", "y", "@", "(",  "z",   ".", "in",  ")", "}"};
    unsigned seed = 1;
    for (int round = 0; round < 300; round++) {
        char text[2000] = "";
        for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
            strcat(text, tokens[i]);
            seed = seed * 1664525 + 1013904223;
            bool breakable = strchr("(,[{=|:>+@-;", tokens[i][0]) || (i + 1 < 49 && strchr("{|>@", tokens[i + 1][0]));
            unsigned choice = (seed >> 16) % 8;
            strcat(text, !breakable || choice < 3 ? " " : choice < 5 ? "\n\n\n" : choice < 7 ? " // c\n" : "\n  ");
        }
        Arena *a = arena_new();
        Parsed p = parse_text(text);
        if (diags_errors(p.diags)) fail_msg("%s\n%s", messages(&p), text);
        char *once = formatted(a, text), *twice = formatted(a, once);
        assert_string_equal(once, twice);
        assert_string_equal(comments_of(a, text), comments_of(a, once));
        parsed_free(&p);
        arena_free(a);
    }
}

static void documentation_has_signatures_and_text(void **state) {
    (void)state;
    Parsed p = parse_text(
        "/// A module.\n\n/// Fully\n/// connected.\nlayer Dense[I, O](\n  x: f32[I], // input\n  s: f32 = 1\n) -> "
        "f32[O] {\n"
        "  /// The weight.\n  param W: f32[I, O] = glorot()\n  return x @ W\n}\nfn f(x: f32) -> f32 = x\nconst C = 3\n"
        "test \"t\" { }\n");
    assert_string_equal(
        CAPTURE(p.arena, out, document_module(p.program->main, out)),
        "# test.deq\n\nA module.\n\n## Dense\n\n```\nlayer Dense[I, O](x: f32[I], s: f32 = 1) -> f32[O]\n```\n\n"
        "Fully\nconnected.\n\n- `param W: f32[I, O] = glorot()`: The weight.\n\n## f\n\n```\nfn f(x: f32) -> "
        "f32\n```\n\n"
        "## C\n\n```\nconst C = 3\n```\n");
    parsed_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spaces),
        cmocka_unit_test(lines),
        cmocka_unit_test(columns),
        cmocka_unit_test(comments),
        cmocka_unit_test(programs_with_errors_are_left_alone),
        cmocka_unit_test(every_program_of_the_repository),
        cmocka_unit_test(any_layout_formats_to_the_same_tokens),
        cmocka_unit_test(documentation_has_signatures_and_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
