/* source.h - the text of a module, its line table and positions in it.
 *
 * A Range is a file and two byte offsets; lines and columns are computed only when something is printed. */
#ifndef DEQ_LANG_SOURCE_H
#define DEQ_LANG_SOURCE_H
#include "arena.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct Source {
    const char *path; /* as printed in messages: the path given, or "<std.layers>" for an embedded module */
    const char *text; /* NUL-terminated; may hold no other NUL (checked at load) */
    uint32_t length;
    uint32_t *lines; /* byte offset of each line's start; built on first use */
    uint32_t nlines;
    uint32_t asked; /* where a text of the command line begins, on a line of its own behind the file's; 0: nowhere */
} Source;

typedef struct Range {
    const Source *source; /* NULL: nowhere (generated) */
    uint32_t start, end;  /* byte offsets; end is exclusive */
} Range;

typedef struct Position {
    uint32_t line, column; /* both from 1; column counts bytes */
    const char *path;      /* that they count in: the source's, or "command line" */
} Position;

/* Reads a file of at most 16 MiB.  On failure returns NULL and sets *reason to a text in the arena
 * ("cannot open: ...", "is empty", "is not text: byte 0x00 at offset 12", "is larger than 16 MiB"). */
Source *source_read(Arena *a, const char *path, const char **reason);
/* Why `n` bytes cannot be a module's text, in the words above; NULL: they can. */
const char *source_refused(Arena *a, const char *text, size_t n);
/* A text that source_refused accepts. */
Source *source_from_text(Arena *a, const char *path, const char *text);
/* n bytes that stay where they are, for positions in them; they may be any, with a NUL behind them. */
Source *source_from_bytes(Arena *a, const char *path, const char *bytes, uint32_t n);
Position source_position(const Source *s, uint32_t offset);
/* Is it a module of the library that is part of the program?  Its users are told of their own line. */
bool source_embedded(const Source *s);
/* The text of a range as written, on one line. */
const char *range_text(Arena *a, Range r);
#endif
