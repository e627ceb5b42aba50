/* test_arena.c - every allocation of an arena is zeroed, aligned, and apart from every other. */
#include "lang_support.h"

/* 15 MB of small ones, so that chunks grow to the largest, and ten of up to 11 MB: most of these get a chunk of their own.
 * Nothing is zero once it has been written. */
enum { COUNT = 20000, LARGE_EACH = 2000 };

static size_t size_of(int i) { return i % LARGE_EACH == 7 ? (size_t)(i + 1) * 601 : (size_t)i * 37 % 1500; }

static bool all_are(const unsigned char *bytes, size_t n, int value) {
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != value) return false;
    return true;
}

static int fill_of(int i) { return 1 + i % 255; }

static void zeroed_aligned_and_apart(void **state) {
    static unsigned char *taken[COUNT];
    (void)state;
    for (int round = 0; round < 2; round++) { /* the second gets what the first has written and freed */
        Arena *a = arena_new();
        for (int i = 0; i < COUNT; i++) {
            taken[i] = arena_alloc(a, size_of(i));
            assert_int_equal((uintptr_t)taken[i] % 16, 0);
            assert_true(all_are(taken[i], size_of(i), 0));
            memset(taken[i], fill_of(i), size_of(i));
        }
        for (int i = 0; i < COUNT; i++) assert_true(all_are(taken[i], size_of(i), fill_of(i)));
        arena_free(a);
    }
}

static void arrays_keep_their_items(void **state) {
    Arena *a = arena_new();
    int *items = NULL;
    uint32_t n = 0, cap = 0;
    (void)state;
    for (int i = 0; i < 300000; i++) *ARENA_PUSH(a, items, n, cap) = i;
    for (int i = 0; i < 300000; i++) assert_int_equal(items[i], i);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_aligned_and_apart),
        cmocka_unit_test(arrays_keep_their_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
