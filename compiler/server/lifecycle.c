/* lifecycle.c - the beginning and the end of a session, and notices that change no text. */
#include "answers.h"
#include <string.h>

json_t *answer_initialize(Server *s, const json_t *params, Refusal *why) {
    (void)why;
    s->state = SERVER_READY;
    const json_t *workspace = json_object_get(json_object_get(params, "capabilities"), "workspace");
    s->watches =
        json_is_true(json_object_get(json_object_get(workspace, "didChangeWatchedFiles"), "dynamicRegistration"));
    return json_pack("{s:o, s:{s:s, s:s}}", "capabilities", server_capabilities(), "serverInfo", "name", "deq",
                     "version", &DEQ_VERSION[strcspn(DEQ_VERSION, "0123456789")]);
}

json_t *answer_shutdown(Server *s, const json_t *params, Refusal *why) {
    (void)params, (void)why;
    s->state = SERVER_SHUT;
    return NULL;
}

void notice_exit(Server *s, const json_t *params) {
    (void)params;
    s->in_order = s->state == SERVER_SHUT;
    s->state = SERVER_ENDED;
}

void notice_initialized(Server *s, const json_t *params) {
    (void)params;
    if (!s->watches) return;
    s->watches = false; /* asked once */
    server_request(s, "watch", "client/registerCapability",
                   json_pack("{s:[{s:s, s:s, s:{s:[{s:s}]}}]}", "registrations", "id", "watch", "method",
                             "workspace/didChangeWatchedFiles", "registerOptions", "watchers", "globPattern",
                             "**/*.deq"));
}

void notice_cancel(Server *s, const json_t *params) { (void)s, (void)params; }
void notice_set_trace(Server *s, const json_t *params) { (void)s, (void)params; }
void notice_configuration(Server *s, const json_t *params) { (void)s, (void)params; }
