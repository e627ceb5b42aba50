#define _GNU_SOURCE
#include "output.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *deq_path_join(const char *first, ...) {
    size_t size = strlen(first) + 1;
    va_list ap;
    va_start(ap, first);
    for (const char *part; (part = va_arg(ap, const char *));) size += strlen(part) + 1;
    va_end(ap);
    char *path = malloc(size);
    if (!path) return NULL;
    char *end = stpcpy(path, first);
    va_start(ap, first);
    for (const char *part; (part = va_arg(ap, const char *));) {
        if (end > path && end[-1] != '/') *end++ = '/';
        end = stpcpy(end, part);
    }
    va_end(ap);
    return path;
}

char *deq_path_component(const char *text) {
    char *name = malloc(strlen(text) + 2);
    if (!name) return NULL;
    char *to = name;
    bool replaced = false;
    for (const char *c = text; *c && to - name < 120; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '_' ||
                     *c == '-' || (*c == '.' && c != text);
        if (plain)
            *to++ = *c;
        else if (!replaced)
            *to++ = '-';
        replaced = !plain;
    }
    if (replaced && to - name > 1) to--;
    if (to == name) *to++ = '-';
    *to = 0;
    return name;
}

bool deq_make_folders(const char *path, deq_error *e) {
    char *copy = strdup(path);
    if (!copy) return deq_fail(e, DEQ_MEMORY, "out of memory for a path");
    for (char *c = copy + 1;; c++) {
        if (*c != '/' && *c) continue;
        char kept = *c;
        *c = 0;
        if (mkdir(copy, 0777) && errno != EEXIST) {
            deq_fail(e, DEQ_OUTPUT, "cannot make the folder '%s': %s", copy, strerror(errno));
            free(copy);
            return false;
        }
        if (!kept) break;
        *c = kept;
    }
    struct stat st;
    bool ok = !stat(copy, &st) && S_ISDIR(st.st_mode);
    free(copy);
    return ok ? true : deq_fail(e, DEQ_OUTPUT, "'%s' is not a folder", path);
}

static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static void forget(deq_output *out) {
    free(out->path);
    free(out->temporary);
    *out = (deq_output){0};
}

bool deq_output_open(deq_output *out, const char *path, deq_error *e) {
    *out = (deq_output){.path = strdup(path)};
    if (!out->path) return deq_fail(e, DEQ_MEMORY, "out of memory for a path");
    struct stat st;
    if (!stat(path, &st) && !S_ISREG(st.st_mode)) {
        if (!S_ISDIR(st.st_mode))
            out->file = fopen(path, "w");
        else
            errno = EISDIR;
    } else {
        char *folder = folder_of(path);
        bool there = folder && deq_make_folders(folder, e);
        free(folder);
        if (!there) {
            forget(out);
            return false;
        }
        if (asprintf(&out->temporary, "%s.%ld.tmp", path, (long)getpid()) < 0) out->temporary = NULL;
        int fd = out->temporary ? open(out->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
        if (fd >= 0 && !(out->file = fdopen(fd, "w"))) close(fd);
    }
    if (out->file) return true;
    deq_fail(e, DEQ_OUTPUT, "cannot write '%s': %s", path, strerror(errno));
    forget(out);
    return false;
}

void deq_output_abandon(deq_output *out) {
    if (out->file) fclose(out->file);
    if (out->temporary) unlink(out->temporary);
    forget(out);
}

/* The rename itself lasts through a crash only once the folder is synced; file systems that cannot are let off. */
static void sync_folder(const char *path) {
    char *folder = folder_of(path);
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)!fsync(fd);
        close(fd);
    }
    free(folder);
}

static int why_not(int fd) {
    errno = 0;
    return write(fd, "", 1) < 0 ? errno : EIO;
}

bool deq_output_commit(deq_output *out, deq_error *e) {
    int reason = 0;
    errno = 0;
    if (fflush(out->file))
        reason = errno;
    else if (ferror(out->file))
        reason = why_not(fileno(out->file)); /* an earlier write failed, its errno is gone */
    if (!reason && out->temporary && fsync(fileno(out->file)) && errno != EINVAL && errno != EROFS) reason = errno;
    if (fclose(out->file) && !reason) reason = errno;
    out->file = NULL;
    if (!reason && out->temporary && rename(out->temporary, out->path)) reason = errno;
    if (reason) {
        deq_fail(e, DEQ_OUTPUT, "cannot write '%s': %s", out->path, strerror(reason));
        deq_output_abandon(out);
        return false;
    }
    if (out->temporary) sync_folder(out->path);
    forget(out);
    return true;
}

bool deq_output_write(const char *path, const void *bytes, size_t size, deq_error *e) {
    deq_output out;
    if (!deq_output_open(&out, path, e)) return false;
    (void)!fwrite(bytes, 1, size, out.file);
    return deq_output_commit(&out, e);
}

char *deq_read_whole(const char *path, size_t limit, size_t *size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return NULL;
    struct stat st;
    char *bytes = NULL;
    if (fstat(fd, &st)) goto end;
    if (!S_ISREG(st.st_mode)) {
        errno = EINVAL;
        goto end;
    }
    if ((uint64_t)st.st_size > limit) {
        errno = EFBIG;
        goto end;
    }
    bytes = malloc((size_t)st.st_size + 1);
    if (!bytes) goto end;
    size_t have = 0;
    while (have < (size_t)st.st_size) {
        ssize_t got = read(fd, bytes + have, (size_t)st.st_size - have);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        have += (size_t)got;
    }
    bytes[have] = 0;
    *size = have;
end:
    close(fd);
    return bytes;
}
