/* Arena and source files: alignment, zeroing, limits, positions. */
#include "lang_support.h"
#include <unistd.h>

static void arena_is_zeroed_and_aligned(void **state) {
    (void)state;
    Arena *a = arena_new();
    for (size_t n = 0; n < 3000; n += 7) {
        unsigned char *p = arena_alloc(a, n);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(p[i], 0);
            p[i] = 0xff; /* a later allocation must not see this */
        }
    }
    unsigned char *large = arena_alloc(a, 5 << 20), *small = arena_alloc(a, 16);
    large[(5 << 20) - 1] = 1;
    assert_int_equal(small[0], 0);
    arena_free(a);
    arena_free(NULL);
}

static void arena_arrays_grow(void **state) {
    (void)state;
    Arena *a = arena_new();
    int *items = NULL;
    uint32_t n = 0, cap = 0;
    for (int i = 0; i < 10000; i++) *ARENA_PUSH(a, items, n, cap) = i;
    assert_int_equal(n, 10000);
    for (int i = 0; i < 10000; i++) assert_int_equal(items[i], i);
    assert_string_equal(arena_printf(a, "%s-%d", "x", 42), "x-42");
    assert_string_equal(arena_strndup(a, "abcdef", 3), "abc");
    arena_free(a);
}

static const char *temporary(const char *bytes, size_t n) {
    static char path[64];
    snprintf(path, sizeof path, "/tmp/deq-source-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "wb");
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    return path;
}

static void expect_refused(const char *bytes, size_t n, const char *reason) {
    Arena *a = arena_new();
    const char *path = temporary(bytes, n), *why = NULL;
    assert_null(source_read(a, path, &why));
    assert_non_null(why);
    assert_string_equal(why, reason);
    unlink(path);
    arena_free(a);
}

static void bad_files_are_refused(void **state) {
    (void)state;
    expect_refused("", 0, "is empty");
    expect_refused("const a =\0 1", 12, "is not text: byte 0x00 at offset 9");
    expect_refused("\x7f"
                   "ELF",
                   4, "is not text: byte 0x7f at offset 0");
    expect_refused("// \xff\n", 5, "is not text: byte 0xff at offset 3");
    expect_refused("// \xc3", 4, "is not text: byte 0xc3 at offset 3"); /* a character cut off by the end */
    size_t n = (16 << 20) + 1;
    char *large = malloc(n);
    assert_non_null(large);
    memset(large, ' ', n);
    expect_refused(large, n, "is larger than 16 MiB");
    Arena *a = arena_new();
    const char *path = temporary(large, n - 1), *why = NULL;
    Source *s = source_read(a, path, &why);
    assert_non_null(s);
    assert_int_equal(s->length, n - 1);
    unlink(path);
    assert_null(source_read(a, path, &why));
    assert_string_equal(why, "cannot open: No such file or directory");
    assert_null(source_read(a, "/tmp", &why));
    assert_string_equal(why, "cannot read: is a directory");
    arena_free(a);
    free(large);
}

static void positions_count_from_one(void **state) {
    (void)state;
    Arena *a = arena_new();
    Source *s = source_from_text(a, "x", "ab\n\ncd");
    const uint32_t expected[][3] = {{0, 1, 1}, {2, 1, 3}, {3, 2, 1}, {4, 3, 1}, {6, 3, 3}, {99, 3, 3}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        Position p = source_position(s, expected[i][0]);
        assert_int_equal(p.line, expected[i][1]);
        assert_int_equal(p.column, expected[i][2]);
    }
    assert_int_equal(source_position(source_from_text(a, "y", ""), 0).line, 1);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_is_zeroed_and_aligned),
        cmocka_unit_test(arena_arrays_grow),
        cmocka_unit_test(bad_files_are_refused),
        cmocka_unit_test(positions_count_from_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
