/* own.c - see own.h.  What is checked is what is read: a file is opened once, without following links, and then asked.
 */
#define _GNU_SOURCE
#include "own.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool make_private(const char *path, deq_error *e) {
    char *copy = strdup(path);
    if (!copy) return deq_fail(e, DEQ_MEMORY, "out of memory for a path");
    bool ok = true;
    for (char *c = copy + 1; ok; c++) {
        if (*c != '/' && *c) continue;
        char kept = *c;
        *c = 0;
        if (mkdir(copy, 0700) && errno != EEXIST)
            ok = deq_fail(e, DEQ_OUTPUT, "cannot make the folder '%s': %s", copy, strerror(errno));
        *c = kept;
        if (!kept) break;
    }
    free(copy);
    return ok;
}

bool deq_own_folder(const char *path, deq_error *e) {
    struct stat st;
    if (!make_private(path, e)) return false;
    if (stat(path, &st)) return deq_fail(e, DEQ_OUTPUT, "cannot open the folder '%s': %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode)) return deq_fail(e, DEQ_OUTPUT, "'%s' is not a folder", path);
    if (st.st_uid != geteuid()) return deq_fail(e, DEQ_OUTPUT, "the folder '%s' belongs to another user", path);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return deq_fail(e, DEQ_OUTPUT, "others can write to the folder '%s' (chmod go-w '%s')", path, path);
    if (access(path, W_OK | X_OK)) return deq_fail(e, DEQ_OUTPUT, "the folder '%s' is not writable", path);
    return true;
}

static const char *fault(const struct stat *st) {
    if (!S_ISREG(st->st_mode)) return "it is no regular file";
    if (st->st_uid != geteuid()) return "it belongs to another user";
    if (st->st_mode & S_IWOTH) return "others can write to it";
    return NULL;
}

bool deq_own_file(const char *path, struct stat *st) { return !lstat(path, st) && !fault(st); }

static char *read_all(int fd, size_t have, size_t *size) {
    char *bytes = malloc(have + 1);
    for (*size = 0; bytes && *size < have;) {
        ssize_t got = read(fd, bytes + *size, have - *size);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        *size += (size_t)got;
    }
    if (bytes) bytes[*size] = 0;
    return bytes;
}

char *deq_own_read(const char *path, size_t limit, size_t *size, deq_error *e) {
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC); /* a pipe must not make it wait */
    if (fd < 0) {
        if (errno == ELOOP)
            deq_fail(e, DEQ_OUTPUT, "it is a link");
        else if (errno != ENOENT)
            deq_fail(e, DEQ_OUTPUT, "%s", strerror(errno));
        return NULL;
    }
    struct stat st;
    char *bytes = NULL;
    const char *why = fstat(fd, &st) ? strerror(errno) : fault(&st);
    if (why)
        deq_fail(e, DEQ_OUTPUT, "%s", why);
    else if ((uint64_t)st.st_size > limit)
        deq_fail(e, DEQ_OUTPUT, "it is larger than any entry");
    else if (!(bytes = read_all(fd, (size_t)st.st_size, size)))
        deq_fail(e, DEQ_MEMORY, "out of memory for its %lld bytes", (long long)st.st_size);
    close(fd);
    return bytes;
}

void deq_own_clear(const char *path) {
    struct stat st;
    if (!lstat(path, &st) && !S_ISREG(st.st_mode)) unlink(path);
}
