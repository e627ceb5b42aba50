/* serve.h - deq serve: requests on standard input, answers on standard output, each one line of JSON.
 * The protocol: ../README.md, "deq serve".  Files: serve.c (processes), serve_request.c (from bytes to a command line). */
#ifndef DEQ_COMPILER_SERVE_H
#define DEQ_COMPILER_SERVE_H
#include "error.h"
#include <jansson.h>

enum { SERVE_PROTOCOL = 1, SERVE_MOST_BYTES = 64 << 20 /* of a request */ };

typedef struct Request {
    json_t *message;    /* all of it */
    json_t *id;         /* what its answers begin with: a text or a number; null */
    const char *name;   /* of serve.def, or "cancel" */
    const json_t *of;   /* cancel: the id that is meant; NULL: it is no such request */
    const char *folder; /* that relative paths begin in; NULL: the server's */
    bool events;        /* every object of the verb is sent when it is there */
    char **argv;        /* the command line of the verb, ended by NULL */
    int argc;
    json_t *arrays; /* of `arrays`, those that are written out in the request: the server puts them into files; NULL */
} Request;

/* Reads a line.  False: it is no request that can be met (DEQ_REQUEST); its id is known as far as it has one.  Either way
 * request_free. */
bool request_read(const char *line, size_t size, Request *out, deq_error *e);
/* Writes the arrays into the folder, and adds them to the command line. */
bool request_write_arrays(Request *r, const char *folder, deq_error *e);
void request_free(Request *r);
json_t *serve_ready(void); /* the line that a server begins with */
/* Whether an object of a verb is told only while it happens. */
bool serve_passing(const json_t *object);
#endif
