/* lifecycle.c - the beginning and the end of a session, and notices that change nothing. */
#include "answers.h"
#include <string.h>

json_t *answer_initialize(Server *s, const json_t *params, Refusal *why) {
    (void)params, (void)why;
    s->state = SERVER_READY;
    return json_pack("{s:o, s:{s:s, s:s}}", "capabilities", server_capabilities(), "serverInfo", "name", "deq",
                     "version", DEQ_VERSION + strcspn(DEQ_VERSION, "0123456789"));
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

void notice_initialized(Server *s, const json_t *params) { (void)s, (void)params; }
void notice_cancel(Server *s, const json_t *params) { (void)s, (void)params; }
void notice_set_trace(Server *s, const json_t *params) { (void)s, (void)params; }
void notice_configuration(Server *s, const json_t *params) { (void)s, (void)params; }
