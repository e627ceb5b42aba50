/* fuzz_server.c - bytes of a client, and a script that it types: the server neither crashes nor hangs, and whatever it
 * says is a message. */
#include "fuzz.h"
#include "server.h"
#include <unistd.h>

static const char *const asked[] = {
#define REQUEST(id, method, capability, doc) method,
#define NOTICE(id, method, doc)
#define TOKEN(id, name)
#include "lsp.def"
#undef REQUEST
#undef NOTICE
#undef TOKEN
};

static char *said;
static size_t length;

static void begin(Server *s, FILE **out) {
    *out = open_memstream(&said, &length);
    FUZZ_REQUIRE(*out != NULL);
    server_begin(s, *out, NULL, 0);
}

/* Ends the session; how many messages came, all of them whole and of JSON. */
static int end(Server *s, FILE *out) {
    server_end(s);
    fclose(out);
    Messages m = {0};
    const char *body;
    size_t n;
    int count = 0;
    messages_add(&m, said, length);
    while (message_next(&m, &body, &n) == MESSAGE_WHOLE) {
        json_t *message = json_loadb(body, n, 0, NULL);
        FUZZ_REQUIRE(json_is_object(message));
        json_decref(message);
        count++;
    }
    FUZZ_REQUIRE(m.taken == m.n);
    messages_free(&m);
    free(said);
    return count;
}

static void send_json(Server *s, json_t *message) {
    FUZZ_REQUIRE(message != NULL);
    char *text = json_dumps(message, JSON_COMPACT), header[64];
    FUZZ_REQUIRE(text != NULL);
    snprintf(header, sizeof header, "Content-Length: %zu\r\n\r\n", strlen(text));
    server_feed(s, header, strlen(header));
    server_feed(s, text, strlen(text));
    free(text);
    json_decref(message);
}

/* The input as it comes, in two pieces. */
static void feed(const uint8_t *data, size_t size) {
    Server s;
    FILE *out;
    begin(&s, &out);
    s.state = size % 2 ? SERVER_READY : SERVER_NEW;
    server_feed(&s, (const char *)data, size / 3);
    server_feed(&s, (const char *)data + size / 3, size - size / 3);
    if (s.state == SERVER_READY) server_idle(&s, true);
    end(&s, out);
}

static void ask_all(Server *s, const char *uri, uint32_t line, uint32_t character) {
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        json_int_t last = line + 3, l = line, c = character;
        if (strncmp(asked[i], "textDocument/", 13) != 0) continue;
        send_json(s, json_pack("{s:I, s:s, s:{s:{s:s}, s:{s:I, s:I}, s:{s:{s:I, s:I}, s:{s:I, s:I}}, s:s}}", "id",
                               (json_int_t)i, "method", asked[i], "params", "textDocument", "uri", uri, "position",
                               "line", l, "character", c, "range", "start", "line", l, "character", c, "end", "line",
                               last, "character", c, "newName", "other"));
    }
}

/* The input as a script, then with its middle cut out, asked about at places that its bytes choose. */
static void type(const uint8_t *data, size_t size) {
    static const char uri[] = "untitled:fuzz";
    json_t *text = json_stringn((const char *)data, size);
    if (!text) return; /* not UTF-8: no client can send it */
    Server s;
    FILE *out;
    begin(&s, &out);
    s.state = SERVER_READY;
    send_json(&s, json_pack("{s:s, s:{s:{s:s, s:i, s:o}}}", "method", "textDocument/didOpen", "params", "textDocument",
                            "uri", uri, "version", 1, "text", text));
    uint32_t line = size ? data[size / 2] % 64 : 0, character = size ? data[size / 3] % 64 : 0;
    ask_all(&s, uri, line, character);
    server_idle(&s, false);
    send_json(&s, json_pack("{s:s, s:{s:{s:s, s:i}, s:[{s:s, s:{s:{s:I, s:I}, s:{s:I, s:I}}}]}}", "method",
                            "textDocument/didChange", "params", "textDocument", "uri", uri, "version", 2,
                            "contentChanges", "text", "x.", "range", "start", "line", (json_int_t)line, "character",
                            (json_int_t)character, "end", "line", (json_int_t)line + 1, "character", (json_int_t)0));
    ask_all(&s, uri, line, character + 2);
    server_idle(&s, false);
    FUZZ_REQUIRE(end(&s, out) >= (int)(sizeof asked / sizeof *asked));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 64 << 10) feed(data, size);
    if (size < 8 << 10) type(data, size);
    return 0;
}
