/* output.h - files written whole or not at all: written under a temporary name beside the target, synced, renamed.
 *
 * A failed write leaves the old file as it was and no temporary behind.  Targets that are not regular files (a pipe,
 * /dev/stdout) are written directly. */
#ifndef DEQ_RUNTIME_OUTPUT_H
#define DEQ_RUNTIME_OUTPUT_H
#include "error.h"
#include <stddef.h>
#include <stdio.h>

typedef struct deq_output {
    FILE *file; /* write here; check nothing: commit does */
    char *path, *temporary;
} deq_output;

/* Opens `path` for writing; folders above it are made.  DEQ_OUTPUT naming the file. */
bool deq_output_open(deq_output *out, const char *path, deq_error *e);
/* Flushes, syncs and renames.  On failure (full disk) the temporary is removed and the error names the file. */
bool deq_output_commit(deq_output *out, deq_error *e);
void deq_output_abandon(deq_output *out);
/* The three in one. */
bool deq_output_write(const char *path, const void *bytes, size_t size, deq_error *e);

/* mkdir -p. */
bool deq_make_folders(const char *path, deq_error *e);
/* "a/b" from parts; free() it.  NULL parts end the list. */
char *deq_path_join(const char *first, ...) __attribute__((sentinel));
/* A file name from any text: [A-Za-z0-9._-], runs of other bytes become one '-'; free() it. */
char *deq_path_component(const char *text);
/* Whole file into memory, NUL-terminated; NULL with errno when it cannot be read or is larger than `limit`. */
char *deq_read_whole(const char *path, size_t limit, size_t *size);
#endif
