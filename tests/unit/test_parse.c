/* The grammar: precedence, line rules, forms of declarations, limits, recovery. */
#include "lang_support.h"

/* The expression as text with every operator in brackets. */
static void show(const Ast *e, FILE *out) {
    switch (e->kind) {
    case AST_BINARY:
        fputc('(', out);
        show(AST_SLOT(e, BINARY, left), out);
        fprintf(out, " %s ", e->name);
        show(AST_SLOT(e, BINARY, right), out);
        fputc(')', out);
        break;
    case AST_UNARY:
        fprintf(out, "(%s ", e->name);
        show(AST_SLOT(e, UNARY, operand), out);
        fputc(')', out);
        break;
    case AST_IF:
        fputs("(if ", out);
        for (int i = 0; i < 3; i++) {
            show(e->kids[i], out);
            fputs(i < 2 ? ", " : ")", out);
        }
        break;
    case AST_UNDER:
        fputc('(', out);
        show(AST_SLOT(e, UNDER, base), out);
        fputs(" under ", out);
        show(AST_SLOT(e, UNDER, attack), out);
        fputc(')', out);
        break;
    case AST_WITH:
        fputc('(', out);
        show(AST_SLOT(e, WITH, base), out);
        fprintf(out, " with %u)", AST_SLOT(e, WITH, settings)->nkids);
        break;
    case AST_TRANSPOSE:
        show(AST_SLOT(e, TRANSPOSE, base), out);
        fputc('\'', out);
        break;
    case AST_MEMBER:
        show(AST_SLOT(e, MEMBER, base), out);
        fprintf(out, ".%s", e->name);
        break;
    case AST_INDEX:
        show(AST_SLOT(e, INDEX, base), out);
        fprintf(out, "[%u]", AST_SLOT(e, INDEX, indices)->nkids);
        break;
    case AST_CALL: {
        const Ast *state = AST_SLOT(e, CALL, state);
        show(AST_SLOT(e, CALL, callee), out);
        if (state)
            fprintf(out, "(%u; %u)", state->nkids, AST_SLOT(e, CALL, inputs)->nkids);
        else
            fprintf(out, "(%u)", AST_SLOT(e, CALL, inputs)->nkids);
        break;
    }
    case AST_BOOL: fputs(e->number != 0 ? "true" : "false", out); break;
    default: fputs(e->name ? e->name : ast_kind_name(e->kind), out);
    }
}

static void expect_expression(const char *text, const char *shown) {
    char program[1024];
    snprintf(program, sizeof program, "const a = %s\n", text);
    Parsed p = parse_text(program);
    if (diags_errors(p.diags)) fail_msg("%s", messages(&p));
    assert_int_equal(p.unit->nkids, 1);
    assert_string_equal(CAPTURE(p.arena, out, show(AST_SLOT(p.unit->kids[0], CONST, value), out)), shown);
    parsed_free(&p);
}

static void precedence(void **state) {
    (void)state;
    expect_expression("a + b * c - d", "((a + (b * c)) - d)");
    expect_expression("-a ** 2", "(- (a ** 2))");
    expect_expression("2 ** -1", "(2 ** (- 1))");
    expect_expression("a ** b ** c", "(a ** (b ** c))");
    expect_expression("a / b / c", "((a / b) / c)");
    expect_expression("not a and b or c", "(((not a) and b) or c)");
    expect_expression("not a == b", "(not (a == b))");
    expect_expression("a < b and c >= d", "((a < b) and (c >= d))");
    expect_expression("0..n - 1", "(0 .. (n - 1))");
    expect_expression("x @ W' + b", "((x @ W') + b)");
    expect_expression("x |> f |> g", "((x |> f) |> g)");
    expect_expression("x |> if c then f else g |> h", "((x |> (if c, f, g)) |> h)");
    expect_expression("if a then b else if c then d else e + 1", "(if a, b, (if c, d, (e + 1)))");
    expect_expression("m with { a: 1; b: 2 } under q", "((m with 2) under q)");
    expect_expression("d under pgd with { a: 1 }", "(d under (pgd with 1))");
    expect_expression("d.test[0..9] under pgd(a, b: 1)", "(d.test[1] under pgd(2))");
    expect_expression("f(z1, z2; x)(y)", "f(2; 1)(1)");
    expect_expression("b1(z;)", "b1(1; 0)");
    expect_expression("- -a", "(- (- a))");
    expect_expression("m.fixed.if.let", "m.fixed.if.let"); /* after '.' every word is a name */
    expect_expression("broyden(return: best, data: train)", "broyden(2)");
    expect_expression("[a, b,]", "array");
    expect_expression("(a, b)", "tuple");
    expect_expression("true and false", "(true and false)");
}

static void lines_end_statements(void **state) {
    (void)state;
    expect_expression("a\n  + b", "(a + b)");
    expect_expression("a +\n  b", "(a + b)");
    expect_expression("x\n  // the next step\n\n  |> f", "(x |> f)");
    expect_expression("if a\n  then b\n  else c", "(if a, b, c)");
    expect_expression("f(a,\n\n  b\n)", "f(2)");
    expect_expression("a // |> f", "a");
    static const char *const two[] = {"const a = b\nconst c = d",
                                      "const a = b; const c = d",
                                      "\n\n;const a = b;;\n;const c = d\n\n",
                                      "const a = b // +\n// +\nconst c = d",
                                      "const a = b\r\nconst c = d\r\n",
                                      "\xef\xbb\xbf\nconst a = b\nconst c = d"};
    for (size_t i = 0; i < sizeof two / sizeof *two; i++) {
        Parsed p = parse_text(two[i]);
        if (diags_errors(p.diags)) fail_msg("%s", messages(&p));
        assert_int_equal(p.unit->nkids, 2);
        parsed_free(&p);
    }
}

static void numbers_and_strings_have_values(void **state) {
    (void)state;
    Parsed p = parse_text("const a = 1.5e-3\nconst b = \"a\\n\\\"b\\\\\"\nconst c = 0\n");
    const Ast *a = AST_SLOT(p.unit->kids[0], CONST, value), *b = AST_SLOT(p.unit->kids[1], CONST, value);
    assert_true(a->kind == AST_NUMBER && a->number == 1.5e-3);
    assert_string_equal(a->name, "1.5e-3");
    assert_int_equal(b->kind, AST_STRING);
    assert_string_equal(b->name, "a\n\"b\\");
    parsed_free(&p);
}

static void docs_belong_to_what_follows(void **state) {
    (void)state;
    Parsed p =
        parse_text("/// The module.\n\n/// One,\n///   two.\n// no doc\nlayer L(x: f32) -> f32 {\n  /// The weight.\n"
                   "  param W: f32 = zeros() /// not a doc\n  return x\n}\nconst c = 1\n");
    assert_int_equal(diags_errors(p.diags), 0);
    assert_string_equal(p.unit->doc, "The module.");
    const Ast *layer = p.unit->kids[0];
    assert_string_equal(layer->doc, "One,\n  two.");
    assert_string_equal(AST_SLOT(layer, LAYER, body)->kids[0]->doc, "The weight.");
    assert_null(AST_SLOT(layer, LAYER, body)->kids[1]->doc);
    assert_null(p.unit->kids[1]->doc);
    parsed_free(&p);
}

static void words_are_names_where_they_can_be(void **state) {
    (void)state;
    Parsed p = parse_text(
        "experiment table {\n  let data = train(state)\n  repeat: data\n  state: test\n  table \"t\" { rows: sweep }\n"
        "  train: 1\n  let repeat = repeat + 1\n}\n"
        "attack attack(state: f32) {\n  state state = state\n  repeat state { state = state + 1 }\n"
        "  repeat (2) { state = repeat(state) }\n  return state\n}\n");
    if (diags_errors(p.diags)) fail_msg("%s", messages(&p));
    const Ast *body = AST_SLOT(p.unit->kids[0], EXPERIMENT, items);
    static const AstKind kinds[] = {AST_LET, AST_SETTING, AST_SETTING, AST_TABLE, AST_SETTING, AST_LET};
    assert_int_equal(body->nkids, 6);
    for (int i = 0; i < 6; i++) assert_int_equal(body->kids[i]->kind, kinds[i]);
    body = AST_SLOT(p.unit->kids[1], ATTACK_DEF, body);
    assert_int_equal(body->kids[1]->kind, AST_REPEAT);
    assert_int_equal(body->kids[2]->kind, AST_REPEAT);
    parsed_free(&p);
}

/* Each text gives exactly these messages, in order; a message is a code and a part of its line. */
static void expect_errors(const char *text, int n, const char *const *expected) {
    Parsed p = parse_text(text);
    char *found = messages(&p), *at = found;
    if (diags_errors(p.diags) != (uint32_t)n) fail_msg("%d errors expected for\n%s\nfound\n%s", n, text, found);
    for (int i = 0; i < n; i++) {
        at = strstr(at, expected[i]);
        if (!at) fail_msg("'%s' is missing for\n%s\nin\n%s", expected[i], text, found);
        at++;
    }
    parsed_free(&p);
}
#define EXPECT_ERRORS(text, ...)                                                                                       \
    expect_errors(text, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

static void errors_say_what_was_expected(void **state) {
    (void)state;
    EXPECT_ERRORS("const a 1", "1:9: error[E0101]: expected '=' or ':', found number 1");
    EXPECT_ERRORS("const a =\n", "1:10: error[E0101]: expected an expression, found end of file");
    EXPECT_ERRORS("const a = b c\n", "1:13: error[E0101]: expected end of line, found name 'c'");
    EXPECT_ERRORS("fn f(x: f32) -> f32 = if x then 1\n", "1:34: error[E0101]: expected 'else'");
    EXPECT_ERRORS("const a = f(b = 1)\n", "found '='");
    EXPECT_ERRORS("foo\n", "1:1: error[E0101]: expected a declaration, found name 'foo'");
    EXPECT_ERRORS("layer L(x: ) -> f32 { return x }\n", "1:12: error[E0101]: expected a type, found ')'");
    EXPECT_ERRORS("layer in(x: f32) -> f32 { return x }\n",
                  "1:7: error[E0116]: 'in' is a reserved word and cannot be a name");
    EXPECT_ERRORS("fn f(x: f32) -> f32 {\n  let a = 1 +\n  return a\n}\n",
                  "2:13: error[E0101]: nothing follows '+': expected an expression, found end of line");
    EXPECT_ERRORS("fn f(x: f32) -> f32 {\n  tanh(x)\n  return x\n}\n",
                  "2:10: error[E0101]: expected '=' or ':', found end of line");
    EXPECT_ERRORS("const a = 1\n  $ 2\n", "2:3: error[E0102]: unknown character '$'");
    EXPECT_ERRORS("const a = x \xe2\x88\x92 1\n", "1:13: error[E0102]: unknown character '\xe2\x88\x92'");
    EXPECT_ERRORS("const a = \"abc\nconst b = 1\n", "1:11: error[E0103]");
    EXPECT_ERRORS("const a = \"a\\qb\"\n", "1:13: error[E0109]");
    EXPECT_ERRORS("const a = .5 + 2x + 1e999\n", "1:11: error[E0108]", "1:16: error[E0108]", "1:21: error[E0108]");
    EXPECT_ERRORS("gradient p of L by foot { }\n", "1:20: error[E0101]: expected 'hand', found name 'foot'");
    EXPECT_ERRORS("test \"t\" {\n  x + 1: 2\n  3: 4\n}\nattack a(b: f32) {\n  y() = 3\n  return x\n}\n",
                  "2:5: error[E0101]", "3:3: error[E0110]: a setting", "6:3: error[E0110]: an equation");
}

static void brackets_are_closed_where_the_next_thing_begins(void **state) {
    (void)state;
    EXPECT_ERRORS("const a = f(1, (2\nlayer L(x: f32) -> f32 { return x }\nconst b = = 1\n",
                  "1:16: error[E0105]: '(' is never closed", "3:11: error[E0101]");
    EXPECT_ERRORS("fn f(x: f32) -> f32 {\n  let a = g(x\n  let b = a a\n  return b\n}\n", "2:12: error[E0105]",
                  "3:13: error[E0101]");
    EXPECT_ERRORS("experiment e {\n  a: f(x\n  b: 2 2\n}\n", "2:7: error[E0105]", "3:8: error[E0101]");
    EXPECT_ERRORS("const a = [1, 2)\nconst b = 1\n", "1:16: error[E0105]: expected ']', found ')'");
    EXPECT_ERRORS("const a = f([1, 2)\nconst b = = 1\n", "1:13: error[E0105]: '[' is never closed",
                  "2:11: error[E0101]");
    EXPECT_ERRORS("const a = 1)\nconst b = 2\n}\n", "1:12: error[E0105]: ')' closes nothing",
                  "3:1: error[E0105]: '}' closes nothing");
    EXPECT_ERRORS("layer A(x: f32) -> f32 {\n  fixed point z: f32 {\n    z = x\n  return z\n}\nlayer B(x: f32) -> f32 "
                  "{ return x }\n",
                  "2:22: error[E0105]: '{' is never closed");
    EXPECT_ERRORS("layer A(x: f32) -> f32 {\n  return f(x\n", "2:11: error[E0105]");
}

static void a_broken_head_takes_its_block_with_it(void **state) {
    (void)state;
    EXPECT_ERRORS("layer A(x f32) -> f32 {\n  param W: f32 = zeros()\n  return x\n}\nconst a = = 1\n",
                  "1:11: error[E0101]", "5:11: error[E0101]");
    EXPECT_ERRORS(
        "layer A(x: f32) -> f32 {\n  fixed point z f32 {\n    z = x\n    a: 1\n  }\n  let b b\n  return z\n}\n",
        "2:17: error[E0101]", "6:9: error[E0101]");
    EXPECT_ERRORS("fn f(x: f32) -> f32 {\n  let y = g(a b,\n    c, d)\n  let z = = 1\n  return y\n}\n",
                  "2:15: error[E0101]", "4:11: error[E0101]");
}

static void statements_have_their_places(void **state) {
    (void)state;
    EXPECT_ERRORS("fn f(x: f32) -> f32 {\n  param w: f32 = zeros()\n  return x\n}\n",
                  "2:9: error[E0106]: a param cannot stand in a function");
    EXPECT_ERRORS("layer L(x: f32) -> f32 {\n  a: 1\n  return x\n}\n",
                  "2:3: error[E0106]: a setting cannot stand in a layer");
    EXPECT_ERRORS("train m = N on d {\n  z = 1\n}\n",
                  "2:3: error[E0106]: an equation cannot stand in a block of settings");
    EXPECT_ERRORS("layer L(x: f32) -> f32 {\n  fixed point z: f32 {\n    z = z\n    return z\n  }\n  return z\n}\n",
                  "4:5: error[E0106]");
    EXPECT_ERRORS("fn f(x: f32) -> f32 {\n  let y = x\n}\n", "3:1: error[E0107]: a function must end with 'return'");
    EXPECT_ERRORS("fn f(x: f32) -> f32 {\n  return x\n  let y = x\n}\n", "3:7: error[E0107]");
    EXPECT_ERRORS("schedule s(a: f32) { let b = a }\n", "1:32: error[E0107]: a schedule must end with 'return'");
}

static char *repeated(const char *head, const char *part, int n, const char *tail) {
    size_t length = strlen(part);
    char *text = malloc(strlen(head) + length * (size_t)n + strlen(tail) + 1), *p = text;
    assert_non_null(text);
    p = stpcpy(p, head);
    for (int i = 0; i < n; i++) p = stpcpy(p, part);
    strcpy(p, tail);
    return text;
}

static void deep_input_is_refused(void **state) {
    (void)state;
    static const char *const deep[][3] = {
        {"const a = ", "(", ""},          {"const a = ", "[", "1"},
        {"const a = ", "-", "1"},         {"const a = ", "not ", "1"},
        {"const a = 1", " ** 1", ""},     {"const a = 1", " + 1", ""},
        {"const a = x", "'", ""},         {"const a = x", ".y", ""},
        {"const a = x", "(1)", ""},       {"const a = x", " |> f", ""},
        {"const a = ", "if x then ", ""}, {"const a = ", "if x then y else ", "z"},
        {"test \"t\" { ", "a: { ", ""},   {"const a = x", " with { a: 1 }", ""},
        {"data a: ", "(", "f32"},         {"const a = ", "f(a: ", ""},
        {"import a", ".b", ""},           {"fn f(x: f32) -> f32 { ", "fn f(x: f32) -> f32 { ", ""},
        {"test \"t\" { ", "a.b(", ": 1"}, {"layer a(z: f32) -> f32 { ", "for i in x { ", ""},
    };
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
        char *text = repeated(deep[i][0], deep[i][1], 100000, deep[i][2]);
        Parsed p = parse_text(text);
        char *found = messages(&p);
        if (!strstr(found, "E0104")) fail_msg("%s...: %.400s", deep[i][1], found);
        assert_true(strlen(found) < 2000);
        assert_true(p.unit->depth <= AST_MAX_DEPTH);
        CAPTURE(p.arena, out, ast_print(p.unit, out)); /* recursion over what was built is safe */
        program_hash(p.program);
        parsed_free(&p);
        free(text);
    }
}

static void reasonable_depth_is_accepted(void **state) {
    (void)state;
    char *close = repeated("1", ")", 199, "\n"), *text = repeated("const a = ", "(", 199, close);
    Parsed p = parse_text(text);
    assert_int_equal(diags_errors(p.diags), 0);
    parsed_free(&p);
    free(close);
    free(text);
    text = repeated("const a = 1", " + 1", 900, "\n");
    p = parse_text(text);
    assert_int_equal(diags_errors(p.diags), 0);
    parsed_free(&p);
    free(text);
    text = repeated("const a = [", "1,\n", 200000, "]\n"); /* long is not deep */
    p = parse_text(text);
    assert_int_equal(diags_errors(p.diags), 0);
    assert_int_equal(AST_SLOT(p.unit->kids[0], CONST, value)->nkids, 200000);
    parsed_free(&p);
    free(text);
}

static void errors_are_limited(void **state) {
    (void)state;
    char *text = repeated("", "const a = = 1\n", 50000, "");
    Parsed p = parse_text(text);
    assert_int_equal(diags_errors(p.diags), 100);
    assert_contains(messages(&p), "and 80 more");
    parsed_free(&p);
    free(text);
    text = repeated("const a = b\n", "// nothing\n\n", 200000,
                    "+ c\n"); /* a line rule must not rescan the gap for every line */
    p = parse_text(text);
    assert_int_equal(diags_errors(p.diags), 0);
    parsed_free(&p);
    free(text);
}

static void the_tree_keeps_ranges(void **state) {
    (void)state;
    Parsed p = parse_text("layer Net[I](x: f32[I]) -> f32[I] {\n  let y = x  |> relu\n  return y\n}\n");
    const Ast *layer = p.unit->kids[0], *let = AST_SLOT(layer, LAYER, body)->kids[0], *pipe = AST_SLOT(let, LET, value);
    assert_int_equal(layer->name_range.start, 6);
    assert_int_equal(layer->name_range.end, 9);
    assert_int_equal(pipe->range.end - pipe->range.start, strlen("x  |> relu"));
    assert_int_equal(pipe->name_range.end - pipe->name_range.start, 2);
    char path[16];
    assert_false(ast_path(pipe, path, sizeof path));
    assert_true(ast_path(AST_SLOT(pipe, BINARY, right), path, sizeof path));
    assert_string_equal(path, "relu");
    parsed_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(precedence),
        cmocka_unit_test(lines_end_statements),
        cmocka_unit_test(numbers_and_strings_have_values),
        cmocka_unit_test(docs_belong_to_what_follows),
        cmocka_unit_test(words_are_names_where_they_can_be),
        cmocka_unit_test(errors_say_what_was_expected),
        cmocka_unit_test(brackets_are_closed_where_the_next_thing_begins),
        cmocka_unit_test(a_broken_head_takes_its_block_with_it),
        cmocka_unit_test(statements_have_their_places),
        cmocka_unit_test(deep_input_is_refused),
        cmocka_unit_test(reasonable_depth_is_accepted),
        cmocka_unit_test(errors_are_limited),
        cmocka_unit_test(the_tree_keeps_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
