/* source.c - reading files, checking that they are text, line tables. */
#include "source.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_SOURCE = 16 << 20 };

typedef struct OwnedSource { /* Source has no room for its arena; the line table needs it later */
    Source source;
    Arena *arena;
} OwnedSource;

static Source *source_new(Arena *a, const char *path, const char *text, size_t length) {
    OwnedSource *o = arena_alloc(a, sizeof *o);
    o->arena = a;
    o->source = (Source){.path = arena_strdup(a, path), .text = text, .length = (uint32_t)length};
    return &o->source;
}

/* Offset of the first byte that is not text (a control character, or not UTF-8), or `n`. */
static size_t first_binary_byte(const unsigned char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        unsigned char c = s[i];
        if (c < 0x80) {
            if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f') || c == 0x7f) return i;
            i++;
            continue;
        }
        size_t more = c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 0;
        if (!more || n - i <= more) return i;
        for (size_t k = 1; k <= more; k++)
            if ((s[i + k] & 0xc0) != 0x80) return i;
        i += more + 1;
    }
    return n;
}

const char *source_refused(Arena *a, const char *text, size_t n) {
    if (n > MAX_SOURCE) return "is larger than 16 MiB";
    size_t bad = first_binary_byte((const unsigned char *)text, n);
    return bad < n ? arena_printf(a, "is not text: byte 0x%02x at offset %zu", (unsigned char)text[bad], bad) : NULL;
}

Source *source_read(Arena *a, const char *path, const char **reason) {
    FILE *f = fopen(path, "rb");
    if (!f) {
        *reason = arena_printf(a, "cannot open: %s", strerror(errno));
        return NULL;
    }
    struct stat st;
    Source *result = NULL;
    if (fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode)) {
        *reason = "cannot read: is a directory";
        goto done;
    }
    /* The size is only a hint: a pipe has none, and a file may grow while it is read. */
    size_t capacity = st.st_size > 0 && st.st_size <= MAX_SOURCE ? (size_t)st.st_size + 1 : 64 << 10, n = 0;
    char *text = arena_alloc(a, capacity + 1);
    for (;;) {
        n += fread(text + n, 1, capacity - n, f);
        if (n < capacity || n > MAX_SOURCE) break;
        char *grown = arena_alloc(a, capacity * 2 + 1);
        memcpy(grown, text, n);
        text = grown;
        capacity *= 2;
    }
    if (ferror(f)) {
        *reason = arena_printf(a, "cannot read: %s", strerror(errno));
    } else if (n == 0) {
        *reason = "is empty";
    } else if (!(*reason = source_refused(a, text, n))) {
        text[n] = 0;
        result = source_new(a, path, text, n);
    }
done:
    fclose(f);
    return result;
}

Source *source_from_text(Arena *a, const char *path, const char *text) {
    size_t n = strlen(text);
    return source_new(a, path, arena_strndup(a, text, n), n);
}

Source *source_from_bytes(Arena *a, const char *path, const char *bytes, uint32_t n) {
    return source_new(a, path, bytes, n);
}

static void find_lines(OwnedSource *o) {
    Source *s = &o->source;
    uint32_t cap = 0;
    *ARENA_PUSH(o->arena, s->lines, s->nlines, cap) = 0;
    for (const char *p = s->text; (p = memchr(p, '\n', (size_t)(s->text + s->length - p)));)
        *ARENA_PUSH(o->arena, s->lines, s->nlines, cap) = (uint32_t)(++p - s->text);
}

/* Of the line of an offset; from 0. */
static uint32_t line_index(const Source *s, uint32_t offset) {
    uint32_t low = 0, high = s->nlines; /* lines[low] <= offset < lines[high] */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (s->lines[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

Position source_position(const Source *s, uint32_t offset) {
    if (!s->nlines) find_lines((OwnedSource *)(uintptr_t)s); /* a cache: the text itself does not change */
    if (offset > s->length) offset = s->length;
    const uint32_t line = line_index(s, offset), column = offset - s->lines[line] + 1;
    if (!s->asked || offset < s->asked) return (Position){line + 1, column, s->path};
    return (Position){line - line_index(s, s->asked) + 1, column, "command line"};
}

bool source_embedded(const Source *s) { return s && s->path[0] == '<' && strncmp(s->path, "<std.", 5) == 0; }

const char *range_text(Arena *a, Range r) {
    if (!r.source) return "";
    char *text = arena_strndup(a, r.source->text + r.start, r.end - r.start), *to = text;
    bool gap = false;
    for (const char *c = text; *c; c++) {
        if (strchr(" \t\r\n", *c)) {
            gap = to > text;
            continue;
        }
        if (gap) *to++ = ' ';
        gap = false;
        *to++ = *c;
    }
    *to = 0;
    return text;
}
