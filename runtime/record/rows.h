/* rows.h - rows of one size in a file: appended in chunks with checksums, found again by the id that each begins with.
 *
 * The file begins with a line of JSON that says what the rows are of: the format, the program's version, the key and
 * what the key is made from, the fields of a row.  Chunks of rows follow, each with a checksum that the key is part of,
 * so that a chunk of another file is no chunk of this one.  A process that is killed loses at most the chunk it was
 * writing.  A chunk that is damaged is noticed, counted and passed over: its rows are missing, and the caller makes them
 * again.  A later row of an id replaces an earlier one.  Files: rows.c, row_index.c. */
#ifndef DEQ_RUNTIME_ROWS_H
#define DEQ_RUNTIME_ROWS_H
#include "error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct deq_rows deq_rows;

typedef struct deq_rows_kind {
    const char *what;     /* "journal", for messages */
    size_t bytes;         /* of a row; it begins with its id, an int64_t from 0 on */
    const json_t *fields; /* what a row holds: a file of others is of another format */
    bool kept;            /* rows stay in memory; else they are read from the file one by one */
    bool waits;           /* for another process that holds the file; else it is refused */
} deq_rows_kind;

/* Opens the rows of `key` (32 hex digits) at `path`, made when they are not there or are of another format.  `about`: what
 * the key is made from, kept in the file for readers.  DEQ_JOURNAL names a file that is another key's, not ours or no
 * regular file; DEQ_OUTPUT when it cannot be written. */
deq_rows *deq_rows_open(const char *path, const deq_rows_kind *kind, const char *key, const json_t *about,
                        deq_error *e);
/* The same for reading only, whatever its key. */
deq_rows *deq_rows_read(const char *path, const deq_rows_kind *kind, deq_error *e);
/* The same of bytes in memory, of a kind that is kept; `name` is for messages. */
deq_rows *deq_rows_read_memory(const char *name, const deq_rows_kind *kind, const void *bytes, size_t size,
                               deq_error *e);
void deq_rows_close(deq_rows *r);

const json_t *deq_rows_header(const deq_rows *r);
int64_t deq_rows_count(const deq_rows *r);   /* ids with a row */
int64_t deq_rows_damaged(const deq_rows *r); /* chunks passed over when it was opened */
bool deq_rows_has(const deq_rows *r, int64_t id);
/* The row of `id`, of a kind that is kept; NULL: there is none.  Until the next append. */
const void *deq_rows_find(const deq_rows *r, int64_t id);
/* Copies the row of `id`; false: there is none, or it cannot be read. */
bool deq_rows_get(const deq_rows *r, int64_t id, void *out);
/* Id number i of deq_rows_count in their order; -1: there is none. */
int64_t deq_rows_id(deq_rows *r, int64_t i);
/* One chunk more.  On failure nothing of it stays in the file. */
bool deq_rows_append(deq_rows *r, const void *rows, int64_t n, deq_error *e);
#endif
