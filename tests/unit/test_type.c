/* Types: printing, equality, the error type, substitution. */
#include "lang_support.h"
#include "type.h"

static Arena *a;
static Ast H = {.kind = AST_SIZE_PARAM, .name = "H"}, K = {.kind = AST_SIZE_PARAM, .name = "K"},
           X = {.kind = AST_SIZE_PARAM, .name = "x", .number = 1},
           W = {.kind = AST_SIZE_PARAM, .name = "w", .number = 1};

static const Type *tensor(uint32_t rank, const Size *x, const Size *y) {
    const Size *dims[2] = {x, y};
    return type_tensor(a, ELEM_REAL, rank, dims);
}

static void printing(void **state) {
    (void)state;
    const Size *h = size_variable(a, &H), *four = size_constant(a, 4);
    assert_string_equal(type_text(a, &type_real), "f32");
    assert_string_equal(type_text(a, &type_int), "int");
    assert_string_equal(type_text(a, tensor(2, h, size_divide(a, h, size_constant(a, 2)))), "f32[H, H / 2]");
    assert_string_equal(type_text(a, type_label(a, size_variable(a, &K))), "label[K]");
    assert_string_equal(type_text(a, type_pack(a, &X)), "f32[shape of x]");
    const Type *items[2] = {&type_f64, tensor(1, four, NULL)};
    assert_string_equal(type_text(a, type_of_items(a, TYPE_TUPLE, 2, items)), "(f64, f32[4])");
    assert_string_equal(type_text(a, type_of_items(a, TYPE_EXAMPLES, 2, items)), "examples of (f64, f32[4])");
    assert_string_equal(type_text(a, &type_attack), "an attack");
}

static void equality(void **state) {
    (void)state;
    const Size *h = size_variable(a, &H), *k = size_variable(a, &K), *four = size_constant(a, 4);
    assert_true(type_equal(tensor(2, h, k), tensor(2, h, k)));
    assert_false(type_equal(tensor(2, h, k), tensor(2, k, h)));
    assert_false(type_equal(tensor(1, h, NULL), tensor(2, h, h)));
    assert_false(type_equal(tensor(1, four, NULL), type_with_elem(a, tensor(1, four, NULL), ELEM_BOOL)));
    assert_true(type_same_shape(tensor(1, four, NULL), type_with_elem(a, tensor(1, four, NULL), ELEM_BOOL)));
    assert_false(type_equal(type_label(a, h), type_label(a, k)));
    assert_false(type_equal(type_pack(a, &X), type_pack(a, &W)));
    assert_false(type_equal(type_pack(a, &X), &type_real));
    /* the error type absorbs, also inside a tuple */
    assert_true(type_equal(&type_error, &type_attack));
    const Type *good[2] = {&type_real, &type_int}, *broken[2] = {&type_real, &type_error};
    assert_true(type_equal(type_of_items(a, TYPE_TUPLE, 2, good), type_of_items(a, TYPE_TUPLE, 2, broken)));
    assert_true(type_equal(&type_evaluation, &type_real));
    assert_true(type_is_scalar(&type_number) && type_is_scalar(&type_int) && !type_is_scalar(type_pack(a, &X)));
    assert_true(type_is_real(&type_flex) && !type_is_real(&type_int) && !type_is_real(type_label(a, h)));
}

static void substitution(void **state) {
    (void)state;
    const Size *h = size_variable(a, &H), *k = size_variable(a, &K);
    SizeBinding b[1] = {{.var = &H, .value = size_constant(a, 6)}};
    const Type *items[2] = {tensor(2, h, k), type_label(a, h)};
    const Type *t = type_substitute(a, type_of_items(a, TYPE_TUPLE, 2, items), b, 1);
    assert_string_equal(type_text(a, t), "(f32[6, K], label[6])");
    assert_ptr_equal(type_substitute(a, &type_attack, b, 1), &type_attack);
}

static int setup(void **state) {
    (void)state;
    a = arena_new();
    return 0;
}
static int teardown(void **state) {
    (void)state;
    arena_free(a);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(printing), cmocka_unit_test(equality),
                                       cmocka_unit_test(substitution)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
