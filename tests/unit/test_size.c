/* Sizes: normal form, equality for all values, division with its obligation, substitution, solving. */
#include "lang_support.h"
#include "size.h"

static Arena *a;
static Ast H = {.kind = AST_SIZE_PARAM, .name = "H"}, W = {.kind = AST_SIZE_PARAM, .name = "W"},
           C = {.kind = AST_SIZE_PARAM, .name = "C"};
static const Size *h, *w, *c;

static const Size *n(int64_t value) { return size_constant(a, value); }
static const Size *add(const Size *x, const Size *y) { return size_add(a, x, y); }
static const Size *sub(const Size *x, const Size *y) { return size_subtract(a, x, y); }
static const Size *mul(const Size *x, const Size *y) { return size_multiply(a, x, y); }
static const Size *over(const Size *x, const Size *y) { return size_divide(a, x, y); }

static int setup(void **state) {
    (void)state;
    a = arena_new();
    h = size_variable(a, &H), w = size_variable(a, &W), c = size_variable(a, &C);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    arena_free(a);
    return 0;
}

static void normal_form(void **state) {
    (void)state;
    assert_true(size_equal(add(h, w), add(w, h)));
    assert_true(size_equal(mul(add(h, w), sub(h, w)), sub(mul(h, h), mul(w, w))));
    assert_true(size_equal(mul(over(h, n(2)), n(2)), h));
    assert_true(size_equal(add(over(h, n(2)), over(h, n(2))), h));
    assert_true(size_equal(over(mul(mul(c, h), w), mul(c, w)), h));
    assert_true(size_equal(over(add(mul(c, h), mul(n(2), c)), c), add(h, n(2))));
    assert_true(size_equal(sub(h, h), n(0)));
    assert_true(size_equal(over(h, h), n(1)));
    assert_false(size_equal(h, w));
    assert_false(size_equal(over(h, n(2)), over(h, n(3))));
    assert_false(size_equal(over(h, w), over(w, h)));
    assert_true(size_equal(over(h, w), over(h, w)));
}

static void texts(void **state) {
    (void)state;
    assert_string_equal(size_text(a, n(0)), "0");
    assert_string_equal(size_text(a, n(-3)), "-3");
    assert_string_equal(size_text(a, add(over(mul(n(2), h), n(3)), n(1))), "2 * H / 3 + 1");
    assert_string_equal(size_text(a, sub(mul(h, h), w)), "H * H - W");
    assert_string_equal(size_text(a, sub(n(4), h)), "-H + 4");
    assert_string_equal(size_text(a, size_floor(a, over(h, n(2)))), "floor(H / 2)");
    assert_string_equal(size_text(a, over(h, w)), "H / W");
    /* whole terms leave a floor */
    assert_true(size_equal(size_floor(a, over(sub(mul(n(8), h), n(1)), n(2))), sub(mul(n(4), h), n(1))));
    assert_true(
        size_equal(size_floor(a, over(add(h, n(5)), n(2))), add(size_floor(a, over(add(h, n(1)), n(2))), n(2))));
    assert_true(size_equal(mul(n(3), over(h, w)), mul(over(h, w), n(3))));
    assert_true(size_equal(mul(w, over(h, w)), h));
}

static void substitution(void **state) {
    (void)state;
    int64_t num, den, v;
    const Size *half = over(h, n(2));
    SizeBinding seven = {.var = &H, .value = n(7)}, eight = {.var = &H, .value = n(8)};
    assert_true(size_number(size_substitute(a, half, &eight, 1), &v) && v == 4);
    const Size *odd = size_substitute(a, half, &seven, 1);
    assert_false(size_number(odd, &v));
    assert_true(size_rational(odd, &num, &den) && num == 7 && den == 2);
    assert_true(size_number(size_substitute(a, size_floor(a, half), &seven, 1), &v) && v == 3);
    assert_true(size_number(size_floor(a, over(n(-7), n(2))), &v) && v == -4);
    assert_true(size_equal(size_floor(a, add(h, n(1))), add(h, n(1)))); /* whole whatever H is */
    /* all variables at once: H and W exchanged */
    SizeBinding exchange[2] = {{.var = &H, .value = w}, {.var = &W, .value = h}};
    assert_true(size_equal(size_substitute(a, sub(h, w), exchange, 2), sub(w, h)));
    SizeBinding both[2] = {{.var = &H, .value = n(6)}, {.var = &W, .value = n(3)}};
    assert_true(size_number(size_substitute(a, over(h, w), both, 2), &v) && v == 2);
    assert_false(size_rational(half, &num, &den));
}

static void solving(void **state) {
    (void)state;
    const Size *s = size_solve(a, add(mul(n(2), h), n(1)), n(9), &H);
    int64_t v;
    assert_true(s && size_number(s, &v) && v == 4);
    assert_true(size_equal(size_solve(a, sub(h, w), c, &H), add(c, w)));
    assert_null(size_solve(a, mul(h, h), n(9), &H));
    assert_null(size_solve(a, w, n(9), &H));
    assert_ptr_equal(size_as_variable(h), &H);
    assert_null(size_as_variable(mul(n(2), h)));
    assert_null(size_as_variable(add(h, n(1))));
    assert_true(size_mentions(over(n(1), add(h, w)), &W));
    assert_false(size_mentions(h, &W));
    assert_ptr_equal(size_variable_at(mul(c, h), 0), &C);
    assert_ptr_equal(size_variable_at(mul(c, h), 1), &H);
    assert_null(size_variable_at(mul(c, h), 2));
}

static void overflow_is_invalid(void **state) {
    (void)state;
    const Size *large = n(INT64_MAX);
    int64_t v;
    assert_false(size_valid(add(large, n(1))));
    assert_false(size_valid(mul(large, n(2))));
    assert_false(size_valid(over(h, n(0))));
    assert_false(size_valid(over(h, sub(h, h))));
    assert_false(size_valid(add(mul(large, n(2)), n(1)))); /* and stays so */
    assert_false(size_number(mul(large, n(2)), &v));
    const Size *power = h;
    for (int i = 0; i < 200; i++) power = mul(power, h);
    assert_false(size_valid(power));
    /* a product of many sums grows past every use: refused, not slow */
    const Size *many = add(h, w);
    for (int i = 0; i < 400 && size_valid(many); i++) many = mul(many, add(add(h, n(i)), c));
    assert_false(size_valid(many));
    assert_string_equal(size_text(a, many), "?");
    const Size *nested = h;
    for (int i = 0; i < 64; i++) nested = over(nested, add(nested, n(1)));
    assert_false(size_valid(nested));
}

/* Random polynomials: the value of the normal form is the value of what was built. */
static void values_agree(void **state) {
    (void)state;
    uint32_t seed = 12345;
    for (int round = 0; round < 300; round++) {
        const Size *s = n(1);
        int64_t value = 1, x = 1 + round % 7, y = 1 + round % 5;
        SizeBinding b[2] = {{.var = &H, .value = n(x)}, {.var = &W, .value = n(y)}};
        for (int i = 0; i < 8; i++) {
            seed = seed * 1664525u + 1013904223u;
            uint32_t op = seed >> 29;
            const Size *term = op & 1 ? h : w;
            int64_t t = op & 1 ? x : y;
            if (op < 3)
                s = add(s, term), value += t;
            else if (op < 5)
                s = sub(s, term), value -= t;
            else
                s = mul(s, add(term, n(1))), value *= t + 1;
        }
        int64_t v;
        assert_true(size_number(size_substitute(a, s, b, 2), &v));
        assert_int_equal(v, value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(normal_form),         cmocka_unit_test(texts),
                                       cmocka_unit_test(substitution),        cmocka_unit_test(solving),
                                       cmocka_unit_test(overflow_is_invalid), cmocka_unit_test(values_agree)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
