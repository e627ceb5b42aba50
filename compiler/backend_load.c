/* backend_load.c - finds and loads libdeq_backend.so, once; hands it the functions that generated code calls. */
#include "backend.h"
#include "link.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Every function of abi.def: one that is missing is a link error of the program, not a surprise at load. */
static const BackendSymbol symbols[] = {
#define DEQ_FN(name, result, count, parameters, doc) {#name, (void *)name},
#include "runtime/include/abi.def"
#undef DEQ_FN
};

const Backend *backend_get(char **error) {
    static const Backend *loaded;
    if (loaded) return loaded;
    char *folder = program_folder();
    char path[4200];
    const char *named = getenv("DEQ_BACKEND");
    if (named)
        snprintf(path, sizeof path, "%s", named);
    else {
        snprintf(path, sizeof path, "%s/libdeq_backend.so", folder);
        if (access(path, R_OK) != 0) snprintf(path, sizeof path, "%s/../lib/deq/libdeq_backend.so", folder);
    }
    free(folder);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const Backend *(*entry)(const BackendSymbol *, uint32_t) = NULL;
    if (handle) *(void **)&entry = dlsym(handle, "backend_entry");
    if (entry) return loaded = entry(symbols, sizeof symbols / sizeof *symbols);
    const char *why = dlerror();
    char text[5000];
    snprintf(text, sizeof text, "cannot load the code generator: %s", why ? why : "unknown reason");
    *error = strdup(text);
    return NULL;
}
