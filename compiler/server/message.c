/* message.c - see message.h. */
#define _GNU_SOURCE
#include "message.h"
#include "arena.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LONGEST_HEADER = 4096 };

void messages_add(Messages *m, const char *bytes, size_t n) {
    if (m->pass) { /* of a message that is too long: never kept */
        size_t passed = n < m->pass ? n : m->pass;
        m->pass -= passed, bytes += passed, n -= passed;
    }
    if (m->taken) {
        memmove(m->bytes, m->bytes + m->taken, m->n - m->taken);
        m->n -= m->taken, m->taken = 0;
    }
    if (m->n + n > m->cap) {
        m->cap = 2 * (m->n + n);
        m->bytes = realloc(m->bytes, m->cap);
        if (!m->bytes) end_without_memory();
    }
    if (n) memcpy(m->bytes + m->n, bytes, n);
    m->n += n;
}

/* The end of the header: behind an empty line; NULL: it is not there yet. */
static const char *header_end(const char *p, const char *end) {
    for (const char *line = p; (line = memchr(line, '\n', (size_t)(end - line)));) {
        line++;
        if (line < end && *line == '\n') return line + 1;
        if (line + 1 < end && line[0] == '\r' && line[1] == '\n') return line + 2;
    }
    return NULL;
}

/* The number behind "Content-Length:"; false when there is none, or something else beside it. */
static int content_length(const char *p, const char *end, size_t *length) {
    static const char key[] = "content-length:";
    int found = 0;
    while (p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        if ((size_t)(stop - p) > strlen(key) && strncasecmp(p, key, strlen(key)) == 0) {
            size_t value = 0, digits = 0;
            for (p += strlen(key); p < stop && (*p == ' ' || *p == '\t'); p++) continue;
            for (; p < stop && isdigit((unsigned char)*p); p++, digits++)
                value = value > MESSAGE_MOST * (size_t)1000 ? value : 10 * value + (size_t)(*p - '0');
            while (p < stop && (*p == ' ' || *p == '\r')) p++;
            if (!digits || p != stop || found) return 0;
            *length = value, found = 1;
        }
        p = stop + 1;
    }
    return found;
}

MessageState message_next(Messages *m, const char **body, size_t *n) {
    if (m->pass || m->taken == m->n) return MESSAGE_NONE;
    const char *start = m->bytes + m->taken, *end = m->bytes + m->n;
    const char *text = header_end(start, end);
    if (!text) {
        if (end - start <= LONGEST_HEADER) return MESSAGE_NONE;
        m->taken = m->n;
        return MESSAGE_HEADER;
    }
    size_t length;
    if (!content_length(start, text, &length)) {
        m->taken = (size_t)(text - m->bytes);
        return MESSAGE_HEADER;
    }
    size_t there = (size_t)(end - text);
    if (length > MESSAGE_MOST) {
        size_t passed = there < length ? there : length;
        m->taken = (size_t)(text - m->bytes) + passed;
        m->pass = length - passed;
        return MESSAGE_TOO_LONG;
    }
    if (there < length) return MESSAGE_NONE;
    *body = text, *n = length;
    m->taken = (size_t)(text - m->bytes) + length;
    return MESSAGE_WHOLE;
}

void messages_free(Messages *m) {
    free(m->bytes);
    *m = (Messages){0};
}

int message_write(FILE *out, const char *body, size_t n) {
    fprintf(out, "Content-Length: %zu\r\n\r\n", n);
    fwrite(body, 1, n, out);
    return fflush(out) == 0 && !ferror(out);
}
