/* temporary.c - the one name of all temporaries, and the removal of those that killed processes left (output.h). */
#define _GNU_SOURCE
#include "output.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* Folders may be shared between machines, where a number of a process says nothing. */
static unsigned host(void) {
    char name[256] = "";
    (void)!gethostname(name, sizeof name - 1);
    return XXH32(name, strlen(name), 0);
}

char *deq_temporary_name(const char *path) {
    char *name = NULL;
    return asprintf(&name, "%s.%08x.%ld.tmp", path, host(), (long)getpid()) < 0 ? NULL : name;
}

/* The process of "ANY.HHHHHHHH.PID.tmp" made on this machine; 0 for any other name. */
static long owner_of(const char *name) {
    char mine[16], *end;
    snprintf(mine, sizeof mine, ".%08x.", host());
    const char *at = NULL;
    for (const char *p = name; (p = strstr(p, mine)); p++) at = p;
    if (!at || at == name || at[10] < '1' || at[10] > '9') return 0;
    long pid = strtol(at + 10, &end, 10);
    return strcmp(end, ".tmp") ? 0 : pid;
}

/* A file, or a folder that holds files only. */
static void discard(int folder, const char *name) {
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) || st.st_uid != geteuid()) return;
    if (!S_ISDIR(st.st_mode)) {
        if (S_ISREG(st.st_mode)) unlinkat(folder, name, 0);
        return;
    }
    int inner = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = inner < 0 ? NULL : fdopendir(inner);
    if (!d && inner >= 0) close(inner);
    for (struct dirent *entry; d && (entry = readdir(d));) unlinkat(dirfd(d), entry->d_name, 0);
    if (d) closedir(d);
    unlinkat(folder, name, AT_REMOVEDIR);
}

void deq_temporaries_sweep(const char *folder) {
    DIR *d = opendir(folder);
    if (!d) return;
    for (struct dirent *entry; (entry = readdir(d));) {
        long pid = owner_of(entry->d_name);
        if (pid > 0 && kill((pid_t)pid, 0) && errno == ESRCH) discard(dirfd(d), entry->d_name);
    }
    closedir(d);
}

char *deq_temporary_folder(const char *beside, deq_error *e) {
    char *name = deq_temporary_name(beside);
    if (!name) {
        deq_fail(e, DEQ_MEMORY, "out of memory for a path");
        return NULL;
    }
    if (mkdir(name, 0700) == 0) return name;
    deq_fail(e, DEQ_OUTPUT, "cannot make the folder '%s': %s", name, strerror(errno));
    free(name);
    return NULL;
}

void deq_temporary_folder_remove(const char *folder) { discard(AT_FDCWD, folder); }
