/* output.h - files written whole or not at all: written under a temporary name beside the target, synced, renamed.
 *
 * A failed write leaves the old file as it was and no temporary behind.  What stands in the target's place and is no
 * regular file (a pipe, a device, a folder) is refused, never replaced.  Files: output.c, temporary.c. */
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

/* Whether a file that a user names as an output may be written: nothing is there, or an empty file, or one that deq
 * made (it holds DEQ_MADE_BY, or begins with the n bytes of `begins`).  Otherwise DEQ_OUTPUT, with the remedy.  A checkpoint
 * holds no such words and is refused: whoever may replace one asks deq_checkpoint_intact first. */
#define DEQ_MADE_BY "made by deq"
bool deq_output_replaceable(const char *path, const char *begins, size_t n, deq_error *e);

/* PATH.HOST.PID.tmp, the one name of all temporaries: of this process on this machine; free() it. */
char *deq_temporary_name(const char *path);
/* Removes the temporaries in a folder that processes of this machine left which are gone; only files and folders of
 * files with that name, and only this user's. */
void deq_temporaries_sweep(const char *folder);
/* A folder of this process alone, called deq_temporary_name(beside); free() it.  The other removes it with its files.
 */
char *deq_temporary_folder(const char *beside, deq_error *e);
void deq_temporary_folder_remove(const char *folder);

/* At most four files that belong together, written whole: all of them, or none. */
typedef struct deq_output_text {
    const char *path, *bytes;
    size_t size;
} deq_output_text;
bool deq_output_write_all(const deq_output_text *list, int n, deq_error *e);

/* "a/b" from parts; free() it.  NULL parts end the list. */
char *deq_path_join(const char *first, ...) __attribute__((sentinel));
/* A file name from any text: [A-Za-z0-9._-], runs of other bytes become one '-'; free() it. */
char *deq_path_component(const char *text);
/* Names of the files in `folder` that end in `ending`, sorted; free each and the list. */
char **deq_files_ending(const char *folder, const char *ending, int *n);
/* Whole file into memory, NUL-terminated; NULL with errno when it cannot be read or is larger than `limit`. */
char *deq_read_whole(const char *path, size_t limit, size_t *size);
#endif
