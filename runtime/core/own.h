/* own.h - files and folders that nobody but this user can have made or changed: what the cache may load. */
#ifndef DEQ_RUNTIME_OWN_H
#define DEQ_RUNTIME_OWN_H
#include "error.h"
#include <stddef.h>
#include <sys/stat.h>

/* The folder, made for its owner alone (0700) where it is missing.  DEQ_OUTPUT when it cannot be made or written, when
 * another user owns it, or when others can write to it. */
bool deq_own_folder(const char *path, deq_error *e);

/* The whole file, NUL-terminated; free() it.  NULL without a failure when there is none; DEQ_OUTPUT when it is a link,
 * no regular file, larger than `limit`, or another user's. */
char *deq_own_read(const char *path, size_t limit, size_t *size, deq_error *e);

/* Whether it is a regular file of this user's and no link. */
bool deq_own_file(const char *path, struct stat *st);

/* Makes the place of an entry free where something else than a regular file stands in it: a link, a pipe. */
void deq_own_clear(const char *path);
#endif
