#define _GNU_SOURCE
#include "output.h"
#include "names.h"
#include "ranks.h"
#include <dirent.h>
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
    char *name = malloc(DEQ_FILE_NAME + 1);
    if (name) deq_file_name(text, name);
    return name;
}

/* mkdir -p. */
static bool deq_make_folders(const char *path, deq_error *e) {
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

static const char *kind_of(mode_t mode) {
    return S_ISDIR(mode) ? "a folder" : S_ISFIFO(mode) ? "a pipe" : S_ISSOCK(mode) ? "a socket" : "a device";
}

static bool is_place_for_file(const char *path, deq_error *e) {
    struct stat st;
    if (stat(path, &st) || S_ISREG(st.st_mode)) return true;
    return deq_fail(e, DEQ_OUTPUT, "cannot write '%s': it is %s, and only files are replaced", path,
                    kind_of(st.st_mode));
}

static bool holds(const char *text, size_t size, const char *part) { return memmem(text, size, part, strlen(part)); }

bool deq_output_replaceable(const char *path, const char *begins, size_t n, deq_error *e) {
    struct stat st;
    if (!is_place_for_file(path, e)) return false;
    if (stat(path, &st) || !st.st_size) return true;
    size_t size = 0;
    char *text = deq_read_whole(path, SIZE_MAX / 2, &size);
    if (!text) return deq_fail(e, DEQ_OUTPUT, "cannot read '%s', which would be replaced: %s", path, strerror(errno));
    bool ours = holds(text, size, DEQ_MADE_BY) || holds(text, size, "\"compiler\":\"deq ") ||
                (n && size >= n && !memcmp(text, begins, n));
    free(text);
    if (ours) return true;
    return deq_fail(e, DEQ_OUTPUT,
                    "'%s' exists and was not made by deq, so it is not replaced; choose another name, or remove it",
                    path);
}

bool deq_output_open(deq_output *out, const char *path, deq_error *e) {
    *out = (deq_output){.path = strdup(path)};
    if (!out->path) return deq_fail(e, DEQ_MEMORY, "out of memory for a path");
    if (!deq_ranks_first()) { /* what it would write rank 0 does */
        out->file = fopen("/dev/null", "w");
        return out->file || deq_fail(e, DEQ_OUTPUT, "cannot write to /dev/null: %s", strerror(errno));
    }
    char *folder = folder_of(path);
    bool there = folder && is_place_for_file(path, e) && deq_make_folders(folder, e);
    free(folder);
    if (!there) {
        forget(out);
        return false;
    }
    out->temporary = deq_temporary_name(path);
    int fd = out->temporary ? open(out->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666) : -1;
    if (fd >= 0 && !(out->file = fdopen(fd, "w"))) close(fd);
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

/* All bytes to the disk, under the temporary name. */
static bool settle(deq_output *out, deq_error *e) {
    int reason = 0;
    errno = 0;
    if (!out->temporary) { /* nothing is to be kept */
        fclose(out->file);
        out->file = NULL;
        return true;
    }
    if (fflush(out->file))
        reason = errno;
    else if (ferror(out->file))
        reason = why_not(fileno(out->file)); /* an earlier write failed, its errno is gone */
    if (!reason && fsync(fileno(out->file)) && errno != EINVAL && errno != EROFS) reason = errno;
    if (fclose(out->file) && !reason) reason = errno;
    out->file = NULL;
    return reason ? deq_fail(e, DEQ_OUTPUT, "cannot write '%s': %s", out->path, strerror(reason)) : true;
}

/* deq_output_commit for files that belong together: none is renamed before all are on the disk. */
static bool deq_output_commit_all(deq_output *outs, int n, deq_error *e) {
    bool ok = true;
    for (int i = 0; ok && i < n; i++) ok = settle(&outs[i], e);
    for (int i = 0; i < n; i++) {
        if (ok && outs[i].temporary && rename(outs[i].temporary, outs[i].path))
            ok = deq_fail(e, DEQ_OUTPUT, "cannot write '%s': %s", outs[i].path, strerror(errno));
        if (ok) {
            if (outs[i].temporary) sync_folder(outs[i].path);
            forget(&outs[i]);
        } else {
            deq_output_abandon(&outs[i]);
        }
    }
    return ok;
}

bool deq_output_commit(deq_output *out, deq_error *e) { return deq_output_commit_all(out, 1, e); }

bool deq_output_write_all(const deq_output_text *list, int n, deq_error *e) {
    deq_output outs[4];
    int opened = 0;
    for (; opened < n && opened < 4; opened++) {
        if (!deq_output_open(&outs[opened], list[opened].path, e)) break;
        (void)!fwrite(list[opened].bytes, 1, list[opened].size, outs[opened].file);
    }
    if (opened == n) return deq_output_commit_all(outs, n, e);
    for (int i = 0; i < opened; i++) deq_output_abandon(&outs[i]);
    return false;
}

bool deq_output_write(const char *path, const void *bytes, size_t size, deq_error *e) {
    return deq_output_write_all(&(deq_output_text){path, bytes, size}, 1, e);
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

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

char **deq_files_ending(const char *folder, const char *ending, int *n) {
    DIR *d = opendir(folder);
    char **list = NULL;
    *n = 0;
    for (struct dirent *entry; d && (entry = readdir(d));) {
        size_t length = strlen(entry->d_name), tail = strlen(ending);
        if (length < tail || strcmp(entry->d_name + length - tail, ending)) continue;
        char **grown = realloc(list, (size_t)(*n + 1) * sizeof *grown);
        if (!grown) break;
        list = grown;
        if ((list[*n] = strdup(entry->d_name))) (*n)++;
    }
    if (d) closedir(d);
    if (list) qsort(list, (size_t)*n, sizeof *list, by_name);
    return list;
}
