/* cache.c - see cache.h. */
#define _GNU_SOURCE
#include "cache.h"
#include "deq_runtime.h"
#include "output.h"
#include "own.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#define LIBRARY_MOST ((size_t)1 << 30) /* bytes; more is no library of ours */

static char *path_of(const Cache *c, const char *suffix) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s%s", c->folder, c->key, suffix) < 0) abort();
    return path;
}

static void hex(XXH128_hash_t h, char out[33]) {
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
}

void cache_open(Cache *c, const char *const *parts) {
    memset(c, 0, sizeof *c);
    XXH3_state_t *state = XXH3_createState();
    if (!state) abort();
    XXH3_128bits_reset(state);
    for (; *parts; parts++) XXH3_128bits_update(state, *parts, strlen(*parts) + 1);
    hex(XXH3_128bits_digest(state), c->key);
    XXH3_freeState(state);
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && *xdg) {
        if (asprintf(&c->folder, "%s/deq/objects", xdg) < 0) abort();
    } else if (home && *home) {
        if (asprintf(&c->folder, "%s/.cache/deq/objects", home) < 0) abort();
    }
    deq_error e = {0};
    if (c->folder && !deq_own_folder(c->folder, &e)) { /* the run says so of its own part of the cache */
        free(c->folder);
        c->folder = NULL;
    }
    if (c->folder) deq_temporaries_sweep(c->folder);
}

/* What stands behind the bytes of a library: whose entry it is, and a checksum of the bytes and of what the seal says.
 * Linkers and loaders do not read so far. */
typedef struct Seal {
    char format[16], key[40], version[40], sum[40];
} Seal;

static Seal seal_of(const void *bytes, size_t size, const char *key) {
    Seal seal = {.format = "deq object 1"};
    snprintf(seal.key, sizeof seal.key, "%s", key);
    snprintf(seal.version, sizeof seal.version, "%s", DEQ_VERSION);
    XXH3_state_t *state = XXH3_createState();
    if (!state) abort();
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, bytes, size);
    XXH3_128bits_update(state, &seal, sizeof seal);
    hex(XXH3_128bits_digest(state), seal.sum);
    XXH3_freeState(state);
    return seal;
}

/* NULL: the bytes are what was stored under this key.  The seal that must be there is made again and compared. */
static const char *fault_of(const char *bytes, size_t size, const char *key) {
    Seal have;
    if (size < sizeof have) return "it is damaged";
    memcpy(&have, bytes + size - sizeof have, sizeof have);
    have.key[sizeof have.key - 1] = 0;
    Seal want = seal_of(bytes, size - sizeof have, key);
    if (memcmp(&have, &want, sizeof have) == 0) return NULL;
    Seal other = seal_of(bytes, size - sizeof have, have.key);
    return memcmp(&have, &other, sizeof have) ? "it is damaged" : "it is another entry under this name";
}

static bool write_all(int fd, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t put = write(fd, bytes, size);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        bytes += put;
        size -= (size_t)put;
    }
    return true;
}

/* Loads the very bytes that were checked, from a file of this process's own.  Its descriptor stays open: a later one of
 * the same number would be taken for the same library. */
static const deq_module *load(const char *bytes, size_t size) {
    char path[40];
    int fd = memfd_create("deq-object", MFD_CLOEXEC);
    if (fd < 0) return NULL;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    void *handle = write_all(fd, bytes, size) ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    const deq_module *module = handle ? dlsym(handle, "deq_module") : NULL;
    if (!handle) close(fd);
    return module && module->abi_version == DEQ_ABI_VERSION ? module : NULL;
}

const deq_module *cache_load(const Cache *c) {
    if (!c->folder) return NULL;
    char *library = path_of(c, ".so");
    size_t size = 0;
    deq_error e = {0};
    char *bytes = deq_own_read(library, LIBRARY_MOST, &size, &e);
    const char *why = e.failure ? e.text : bytes ? fault_of(bytes, size, c->key) : NULL;
    const deq_module *module = bytes && !why ? load(bytes, size) : NULL;
    if (why)
        fprintf(stderr, "deq: warning[W0822]: entry of the cache refused: '%s': %s; it is compiled again\n", library,
                why);
    free(bytes);
    free(library);
    return module;
}

/* KEY.0.o.PID.tmp, KEY.1.o.PID.tmp, ..: processes that compile the same do not meet. */
static char *object_path(const Cache *c, uint32_t k) {
    char suffix[32];
    snprintf(suffix, sizeof suffix, ".%u.o", k);
    char *path = path_of(c, suffix), *temporary = deq_temporary_name(path);
    free(path);
    return temporary;
}

static void remove_objects(const Cache *c) {
    for (uint32_t k = 0; k < c->nobjects; k++) {
        char *path = object_path(c, k);
        unlink(path);
        free(path);
    }
}

void cache_store(Cache *c, const Object *objects, uint32_t nobjects) {
    if (!c->folder || c->job.pid > 0) return;
    char *paths[BACKEND_MODULES + 1] = {NULL}, *library = path_of(c, ".so");
    bool ok = true;
    c->linked = deq_temporary_name(library);
    c->nobjects = nobjects;
    for (uint32_t k = 0; k < nobjects; k++) {
        paths[k] = object_path(c, k);
        FILE *f = ok ? fopen(paths[k], "wb") : NULL;
        ok = f && fwrite(objects[k].bytes, 1, objects[k].size, f) == objects[k].size;
        if (f && fclose(f) != 0) ok = false;
    }
    if (!ok || !link_start(paths, c->linked, &c->job)) remove_objects(c);
    for (uint32_t k = 0; k < nobjects; k++) free(paths[k]);
    free(library);
}

/* Seals the library that was linked and gives it its name; a half-written one never has it. */
static void seal(const Cache *c) {
    char *library = path_of(c, ".so");
    size_t size = 0;
    deq_error e = {0};
    char *bytes = deq_own_read(c->linked, LIBRARY_MOST, &size, &e);
    FILE *f = bytes ? fopen(c->linked, "ab") : NULL;
    Seal mark = seal_of(bytes ? bytes : "", size, c->key);
    bool ok = f && fwrite(&mark, sizeof mark, 1, f) == 1;
    if (f && fclose(f) != 0) ok = false;
    if (!ok || rename(c->linked, library) != 0) unlink(c->linked);
    free(bytes);
    free(library);
}

void cache_close(Cache *c) {
    if (c->job.pid > 0) {
        if (link_finish(&c->job))
            seal(c);
        else
            unlink(c->linked);
        remove_objects(c);
    }
    free(c->linked);
    free(c->folder);
    c->linked = c->folder = NULL;
}

const char *cache_processor(void) {
    static char name[17];
    if (*name) return name;
    XXH64_state_t *state = XXH64_createState();
    if (!state) abort();
    XXH64_reset(state, 0);
    FILE *f = fopen("/proc/cpuinfo", "r");
    char *line = NULL;
    size_t cap = 0;
    /* the first processor's block; names of the lines differ between architectures */
    while (f && getline(&line, &cap, f) > 0 && *line != '\n')
        if (!strncmp(line, "model", 5) || !strncmp(line, "cpu family", 10) || !strncmp(line, "flags", 5) ||
            !strncmp(line, "Features", 8) || !strncmp(line, "CPU ", 4))
            XXH64_update(state, line, strlen(line));
    free(line);
    if (f) fclose(f);
    snprintf(name, sizeof name, "%016llx", (unsigned long long)XXH64_digest(state));
    XXH64_freeState(state);
    return name;
}
