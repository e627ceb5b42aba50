/* message.c and position.c: bytes in any pieces give the same messages; UTF-16 places and bytes. */
#include "lang_support.h"
#include "message.h"
#include "position.h"

/* The states and bodies of the bytes given in pieces of so many. */
static const char *states_of(Arena *a, const char *bytes, size_t n, size_t piece) {
    Messages m = {0};
    const char *all = "";
    for (size_t i = 0; i < n; i += piece) {
        messages_add(&m, bytes + i, i + piece < n ? piece : n - i);
        const char *body = NULL;
        size_t length = 0;
        for (MessageState s; (s = message_next(&m, &body, &length)) != MESSAGE_NONE;)
            all = arena_printf(a, "%s%d%.*s ", all, (int)s, s == MESSAGE_WHOLE ? (int)length : 0, body ? body : "");
    }
    messages_free(&m);
    return all;
}

static void pieces(void **state) {
    (void)state;
    static const char bytes[] =
        "Content-Length: 2\r\n\r\n{}content-length:3\r\nContent-Type: x\r\n\r\nabcNo-Length: 2\r\n\r\n"
        "Content-Length: 0\n\nContent-Length: 67108865\r\n\r\n";
    Arena *a = arena_new();
    const char *whole = states_of(a, bytes, sizeof bytes - 1, sizeof bytes);
    assert_string_equal(whole, "1{} 1abc 2 1 3 ");
    Messages empty = {0}; /* a session that ends before its first byte */
    messages_add(&empty, bytes, 0);
    const char *body;
    size_t length;
    assert_int_equal(message_next(&empty, &body, &length), MESSAGE_NONE);
    messages_free(&empty);
    for (size_t piece = 1; piece < sizeof bytes; piece++)
        assert_string_equal(states_of(a, bytes, sizeof bytes - 1, piece), whole);
    arena_free(a);
}

static void places(void **state) {
    (void)state;
    static const char text[] = "a\xc3\xa9\xf0\x9f\x99\x82z\r\nb\n\nlast";
    Arena *a = arena_new();
    const Source *s = source_from_bytes(a, "", text, sizeof text - 1);
    const struct {
        uint32_t line, character, offset, back;
    } rows[] = {{0, 0, 0, 0},  {0, 1, 1, 1},  {0, 2, 3, 2},  {0, 3, 3, 2},
                {0, 4, 7, 4},  {0, 5, 8, 5},  {0, 99, 8, 5}, {1, 0, 10, 0},
                {1, 1, 11, 1}, {1, 2, 11, 1}, {2, 0, 12, 0}, {2, 9, 12, 0},
                {3, 4, 17, 4}, {3, 5, 17, 4}, {4, 0, 17, 4}, {UINT32_MAX, UINT32_MAX, 17, 4}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const uint32_t offset = spot_offset(s, (Spot){rows[i].line, rows[i].character});
        assert_int_equal(offset, rows[i].offset);
        assert_int_equal(offset_spot(s, offset).character, rows[i].back);
    }
    assert_int_equal(offset_spot(s, 9).character, 5); /* between \r and \n: the end of the line */
    assert_int_equal(offset_spot(s, 1000).line, 3);
    /* a text that is cut in a character */
    s = source_from_bytes(a, "", text, 5);
    assert_int_equal(offset_spot(s, 5).character, 4);
    assert_int_equal(spot_offset(s, (Spot){0, 9}), 5);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces), cmocka_unit_test(places)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
