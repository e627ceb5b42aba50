/* cache.c - see cache.h. */
#define _GNU_SOURCE
#include "cache.h"
#include "deq_runtime.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static char *path_of(const Cache *c, const char *suffix) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s%s", c->folder, c->key, suffix) < 0) abort();
    return path;
}

static void hex(XXH128_hash_t h, char out[33]) {
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
}

static bool make_folders(char *path) {
    for (char *p = path + 1; *p; p++)
        if (*p == '/') {
            *p = 0;
            int rc = mkdir(path, 0777);
            *p = '/';
            if (rc != 0 && errno != EEXIST) return false;
        }
    return (mkdir(path, 0777) == 0 || errno == EEXIST) && access(path, W_OK) == 0;
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
    if (c->folder && !make_folders(c->folder)) {
        free(c->folder);
        c->folder = NULL;
    }
}

/* Checksum of a file's bytes; false when it cannot be read. */
static bool checksum(const char *path, char out[33]) {
    FILE *f = fopen(path, "rb");
    XXH3_state_t *state = XXH3_createState();
    if (!f || !state) {
        if (f) fclose(f);
        XXH3_freeState(state);
        return false;
    }
    XXH3_128bits_reset(state);
    static char buffer[1 << 16];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0;) XXH3_128bits_update(state, buffer, n);
    bool ok = !ferror(f);
    fclose(f);
    hex(XXH3_128bits_digest(state), out);
    XXH3_freeState(state);
    return ok;
}

const deq_module *cache_load(const Cache *c) {
    if (!c->folder) return NULL;
    char *library = path_of(c, ".so"), *sum = path_of(c, ".sum"), expected[33] = "", actual[33];
    const deq_module *module = NULL;
    FILE *f = fopen(sum, "r");
    if (f) {
        if (!fgets(expected, sizeof expected, f)) expected[0] = 0;
        fclose(f);
    }
    if (*expected && checksum(library, actual) && strcmp(expected, actual) == 0) {
        void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
        if (handle) module = dlsym(handle, "deq_module");
        if (module && module->abi_version != DEQ_ABI_VERSION) module = NULL;
    }
    free(library);
    free(sum);
    return module;
}

/* KEY.0.o, KEY.1.o, .. */
static char *object_path(const Cache *c, uint32_t k) {
    char suffix[16];
    snprintf(suffix, sizeof suffix, ".%u.o", k);
    return path_of(c, suffix);
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
    c->nobjects = nobjects;
    for (uint32_t k = 0; k < nobjects; k++) {
        paths[k] = object_path(c, k);
        FILE *f = ok ? fopen(paths[k], "wb") : NULL;
        ok = f && fwrite(objects[k].bytes, 1, objects[k].size, f) == objects[k].size;
        if (f && fclose(f) != 0) ok = false;
    }
    if (!ok || !link_start(paths, library, &c->job)) remove_objects(c);
    for (uint32_t k = 0; k < nobjects; k++) free(paths[k]);
    free(library);
}

void cache_close(Cache *c) {
    if (c->job.pid > 0) {
        char *library = path_of(c, ".so"), *sum = path_of(c, ".sum"), value[33];
        if (link_finish(&c->job) && checksum(library, value)) {
            char *temporary = NULL;
            if (asprintf(&temporary, "%s.%d.tmp", sum, (int)getpid()) < 0) abort();
            FILE *f = fopen(temporary, "w");
            bool ok = f && fputs(value, f) >= 0;
            if (f && fclose(f) != 0) ok = false;
            if (!ok || rename(temporary, sum) != 0) unlink(temporary);
            free(temporary);
        }
        remove_objects(c);
        free(library);
        free(sum);
    }
    free(c->folder);
    c->folder = NULL;
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
