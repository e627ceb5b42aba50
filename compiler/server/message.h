/* message.h - the bytes of a client as messages: a header with Content-Length, an empty line, that many bytes.
 *
 * Needs nothing of the bytes.  Ensures: whatever they are, every call of message_next takes some of them or says that
 * more are needed, and what is kept is bounded by MESSAGE_MOST. */
#ifndef DEQ_COMPILER_MESSAGE_H
#define DEQ_COMPILER_MESSAGE_H
#include <stddef.h>
#include <stdio.h>

enum { MESSAGE_MOST = 64 << 20 }; /* bytes of one message: longer ones are passed over */

typedef struct Messages {
    char *bytes;
    size_t n, cap;
    size_t taken; /* of the bytes: what the last call gave */
    size_t pass;  /* bytes still to come of a message that is too long */
} Messages;

typedef enum MessageState {
    MESSAGE_NONE,    /* more bytes are needed */
    MESSAGE_WHOLE,   /* *body has *n bytes, until the next call of this file */
    MESSAGE_HEADER,  /* a header without a length, or with one that is none: passed over */
    MESSAGE_TOO_LONG /* passed over */
} MessageState;

void messages_add(Messages *m, const char *bytes, size_t n);
MessageState message_next(Messages *m, const char **body, size_t *n);
void messages_free(Messages *m);
/* Writes one message; false when the client is gone. */
int message_write(FILE *out, const char *body, size_t n);
#endif
