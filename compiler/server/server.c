/* server.c - messages to answers: the loop, and JSON-RPC. */
#define _GNU_SOURCE
#include "server.h"
#include "answers.h"
#include "json_text.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { QUIET_MS = 200 }; /* so long without a message, and nets are made too */

static const struct Method {
    const char *name;
    json_t *(*answer)(Server *, const json_t *, Refusal *); /* of a request */
    void (*notice)(Server *, const json_t *);
    const char *capability;
} methods[] = {
#define REQUEST(id, method, capability, doc) {method, answer_##id, NULL, capability},
#define NOTICE(id, method, doc) {method, NULL, notice_##id, ""},
#define TOKEN(id, name)
#include "lsp.def"
#undef REQUEST
#undef NOTICE
#undef TOKEN
};
enum { METHODS = sizeof methods / sizeof *methods };

json_t *refuse(Refusal *why, int code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    why->code = code;
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    return NULL;
}

json_t *server_capabilities(void) {
    json_t *all = json_object(), *legend = json_array();
    for (size_t i = 0; i < METHODS; i++) {
        if (!*methods[i].capability) continue;
        char *text;
        if (asprintf(&text, "{%s}", methods[i].capability) < 0) end_without_memory();
        json_t *one = json_loads(text, 0, NULL);
        if (!one) ICE("the capability of %s is not JSON", methods[i].name);
        json_object_update(all, one);
        json_decref(one);
        free(text);
    }
#define REQUEST(id, method, capability, doc)
#define NOTICE(id, method, doc)
#define TOKEN(id, name) json_array_append_new(legend, json_string(name));
#include "lsp.def"
#undef REQUEST
#undef NOTICE
#undef TOKEN
    json_object_set_new(all, "positionEncoding", json_string("utf-16"));
    json_object_set_new(all, "textDocumentSync", json_pack("{s:b, s:i, s:b}", "openClose", 1, "change", 2, "save", 1));
    json_object_set_new(all, "semanticTokensProvider",
                        json_pack("{s:b, s:{s:o, s:[]}}", "full", 1, "legend", "tokenTypes", legend, "tokenModifiers"));
    return all;
}

/* ---- out ---- */

/* One message; takes the reference. */
static void server_send(Server *s, json_t *message) {
    if (!message) end_without_memory();
    json_object_set_new(message, "jsonrpc", json_string("2.0"));
    char *text = json_dumps(message, JSON_COMPACT);
    if (!text) end_without_memory();
    if (!s->gone && !message_write(s->out, text, strlen(text))) s->gone = true;
    free(text);
    json_decref(message);
}

void server_notify(Server *s, const char *method, json_t *params) {
    server_send(s, json_pack("{s:s, s:o}", "method", method, "params", params));
}

void server_request(Server *s, const char *id, const char *method, json_t *params) {
    server_send(s, json_pack("{s:s, s:s, s:o}", "id", id, "method", method, "params", params));
}

static void answer(Server *s, const json_t *id, json_t *result, const Refusal *why) {
    json_t *message = json_object();
    json_object_set_new(message, "id", id ? json_deep_copy(id) : json_null());
    if (why->code)
        json_object_set_new(message, "error",
                            json_pack("{s:i, s:o}", "code", why->code, "message", deq_json_string(why->text)));
    else
        json_object_set_new(message, "result", result ? result : json_null());
    server_send(s, message);
}

static void refuse_message(Server *s, const json_t *id, int code, const char *text) {
    Refusal why;
    refuse(&why, code, "%s", text);
    answer(s, id, NULL, &why);
}

/* ---- in ---- */

static const struct Method *method_find(const char *name) {
    for (size_t i = 0; i < METHODS; i++)
        if (strcmp(methods[i].name, name) == 0) return &methods[i];
    return NULL;
}

static void take_notice(Server *s, const char *name, const json_t *params) {
    const struct Method *m = method_find(name);
    bool exits = strcmp(name, "exit") == 0; /* taken at any time */
    if (m && m->notice && (exits || s->state == SERVER_READY)) m->notice(s, params);
}

static void take_request(Server *s, const json_t *id, const char *name, const json_t *params) {
    const struct Method *m = method_find(name);
    bool begins = strcmp(name, "initialize") == 0;
    Refusal why = {0};
    json_t *result = NULL;
    if (s->state == SERVER_NEW && !begins)
        refuse(&why, REFUSED_EARLY, "'%s' before 'initialize'", name);
    else if (s->state == SERVER_READY && begins)
        refuse(&why, REFUSED_REQUEST, "'initialize' a second time");
    else if (s->state == SERVER_SHUT)
        refuse(&why, REFUSED_REQUEST, "'%s' after 'shutdown'", name);
    else if (!m)
        refuse(&why, REFUSED_METHOD, "there is no method '%.400s'", name);
    else if (!m->answer)
        refuse(&why, REFUSED_REQUEST, "'%s' is a notification: it has no id", name);
    else
        result = m->answer(s, params, &why);
    answer(s, id, result, &why);
}

static void take_message(Server *s, const char *text, size_t n) {
    json_error_t error;
    arena_free(s->arena);
    s->arena = arena_new();
    json_t *message = json_loadb(text, n, JSON_ALLOW_NUL, &error);
    if (!message) {
        refuse_message(s, NULL, REFUSED_PARSE, error.text);
        return;
    }
    const json_t *id = json_object_get(message, "id"), *params = json_object_get(message, "params");
    const char *name = json_string_value(json_object_get(message, "method"));
    bool named = json_is_string(id) || json_is_integer(id);
    if (!json_is_object(message) || (id && !named && !json_is_null(id)))
        refuse_message(s, NULL, REFUSED_REQUEST, "a message is an object, and its id a string or a whole number");
    else if (!name) { /* an answer to server_request, or nothing at all */
        if (!json_object_get(message, "result") && !json_object_get(message, "error"))
            refuse_message(s, id, REFUSED_REQUEST, "a message has a method");
    } else if (id)
        take_request(s, id, name, params);
    else
        take_notice(s, name, params);
    json_decref(message);
}

void server_begin(Server *s, FILE *out, const char *const *include, uint32_t ninclude) {
    char **folders = calloc(ninclude + 1, sizeof *folders);
    if (!folders) end_without_memory();
    for (uint32_t i = 0; i < ninclude; i++) {
        folders[i] = realpath(include[i], NULL);
        if (!folders[i] && !(folders[i] = strdup(include[i]))) end_without_memory();
    }
    *s = (Server){.out = out, .arena = arena_new(), .folders = folders};
    s->documents = (Documents){.include = (const char *const *)folders, .ninclude = ninclude};
}

void server_feed(Server *s, const char *bytes, size_t n) {
    const char *body;
    size_t length;
    messages_add(&s->messages, bytes, n);
    while (s->state != SERVER_ENDED && !s->gone) {
        switch (message_next(&s->messages, &body, &length)) {
        case MESSAGE_NONE: return;
        case MESSAGE_WHOLE: take_message(s, body, length); break;
        case MESSAGE_HEADER:
            refuse_message(s, NULL, REFUSED_PARSE, "a message begins with Content-Length: and its number of bytes");
            break;
        case MESSAGE_TOO_LONG: refuse_message(s, NULL, REFUSED_REQUEST, "the message is too long"); break;
        }
    }
}

bool server_idle(Server *s, bool longer) {
    bool more = false;
    for (Document *d = s->documents.first; d; d = d->next) {
        document_now(&s->documents, d);
        if (longer) document_elaborate(d);
        if (!d->told) publish(s, d);
        more = more || document_may_elaborate(d);
    }
    return more;
}

void server_end(Server *s) {
    documents_free(&s->documents);
    for (uint32_t i = 0; i < s->documents.ninclude; i++) free(s->folders[i]);
    free(s->folders);
    arena_free(s->arena);
    messages_free(&s->messages);
}

int server_run(int in, FILE *out, const char *const *include, uint32_t ninclude) {
    Server s;
    signal(SIGPIPE, SIG_IGN); /* a client that is gone is seen by the write */
    server_begin(&s, out, include, ninclude);
    static char bytes[64 << 10];
    for (bool more = false; s.state != SERVER_ENDED && !s.gone;) {
        struct pollfd input = {.fd = in, .events = POLLIN};
        if (more && poll(&input, 1, QUIET_MS) == 0) {
            more = server_idle(&s, true);
            continue;
        }
        ssize_t n = read(in, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        server_feed(&s, bytes, (size_t)n);
        if (s.state == SERVER_READY && poll(&input, 1, 0) == 0) more = server_idle(&s, false);
    }
    bool in_order = s.in_order || s.state == SERVER_SHUT;
    server_end(&s);
    return in_order ? 0 : 1;
}
