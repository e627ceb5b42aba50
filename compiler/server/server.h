/* server.h - `deq lsp`: the language server, which answers editors on standard input and output.
 *
 * Needs nothing of what a client sends.  Ensures: every request has one answer, in order; what cannot be answered is an
 * error with a reason; the end of the input ends the server.  Files: server.c, lifecycle.c. */
#ifndef DEQ_COMPILER_SERVER_H
#define DEQ_COMPILER_SERVER_H
#include "document.h"
#include "message.h"

typedef enum ServerState { SERVER_NEW, SERVER_READY, SERVER_SHUT, SERVER_ENDED } ServerState;

typedef struct Server {
    FILE *out;
    Arena *arena; /* of the message that is answered */
    ServerState state;
    bool gone;     /* the client does not read any more */
    bool in_order; /* `shutdown` came before `exit` */
    Documents documents;
    char **folders; /* those of -I, by their real paths: files are compared by them */
    bool watches;   /* the client tells of files that change if it is asked to */
    Messages messages;
} Server;

void server_begin(Server *s, FILE *out, const char *const *include, uint32_t ninclude);
/* Takes bytes of the client and answers the messages that are whole. */
void server_feed(Server *s, const char *bytes, size_t n);
/* The client is quiet: diagnostics of what has changed.  `longer`: what depends on sizes is looked at too.  False when
 * there is nothing more to do before the next message. */
bool server_idle(Server *s, bool longer);
void server_end(Server *s);
/* Serves until the input ends or `exit` comes; the exit code. */
int server_run(int in, FILE *out, const char *const *include, uint32_t ninclude);

/* One message to the client; takes the reference of the parameters. */
void server_notify(Server *s, const char *method, json_t *params);
/* A request to the client; its answer is passed over. */
void server_request(Server *s, const char *id, const char *method, json_t *params);
/* What `initialize` answers: members of lsp.def. */
json_t *server_capabilities(void);
#endif
