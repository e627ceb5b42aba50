/* backend_load.c - finds and loads libdeq_backend.so, once; hands it the functions that generated code calls. */
#include "backend_load.h"
#include "link.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Every function of abi.def: one that is missing is a link error of the program, not a surprise at load. */
static const BackendSymbol symbols[] = {
#define DEQ_FN(name, result, count, parameters, doc) {#name, (void *)name},
#include "abi.def"
#undef DEQ_FN
};

static void module_path(char *path, size_t size) {
    char *folder = program_folder();
    const char *named = getenv("DEQ_BACKEND");
    if (named)
        snprintf(path, size, "%s", named);
    else {
        snprintf(path, size, "%s/libdeq_backend.so", folder);
        if (access(path, R_OK) != 0) snprintf(path, size, "%s/../lib/deq/libdeq_backend.so", folder);
    }
    free(folder);
}

const char *backend_identity(void) {
    static char text[128];
    char path[4200];
    module_path(path, sizeof path);
    struct stat program = {0}, module = {0};
    if (stat("/proc/self/exe", &program) != 0 || stat(path, &module) != 0) return "";
    snprintf(text, sizeof text, "%lld.%lld.%lld.%lld", (long long)program.st_size, (long long)program.st_mtim.tv_sec,
             (long long)module.st_size, (long long)module.st_mtim.tv_sec);
    return text;
}

static bool out_of_memory;
bool backend_lacked_memory(void) { return out_of_memory; }

const Backend *backend_get(char **error) {
    static const Backend *loaded;
    if (loaded) return loaded;
    char path[4200];
    module_path(path, sizeof path);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    BackendEntry *entry = NULL;
    if (handle) *(void **)&entry = dlsym(handle, "backend_entry");
    if (entry) return loaded = entry(symbols, sizeof symbols / sizeof *symbols);
    const char *why = dlerror();
    char text[5000];
    out_of_memory = why && (strstr(why, "failed to map segment") || strstr(why, "cannot allocate memory"));
    snprintf(text, sizeof text, "%scannot load the code generator: %s",
             out_of_memory ? "error[E0931]: out of memory (is it limited by ulimit -v?): " : "",
             why ? why : "unknown reason");
    *error = strdup(text);
    return NULL;
}
