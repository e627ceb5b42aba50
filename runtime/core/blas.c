/* blas.c - see blas.h. */
#define _GNU_SOURCE
#include "blas.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *library;

/* Without threads of its own from the start: where memory is limited (ulimit -v) OpenBLAS sends the program SIGINT when it
 * cannot start them, and spins for ever when it ends them.  It reads the variable as it is loaded. */
static void load(void) {
    static const char variable[] = "OPENBLAS_NUM_THREADS";
    const char *set = getenv(variable);
    char *before = set ? strdup(set) : NULL;
    setenv(variable, "1", 1);
    library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (before)
        setenv(variable, before, 1);
    else
        unsetenv(variable);
    free(before);
    void (*set_threads)(int) = NULL;
    if (library) *(void **)&set_threads = dlsym(library, "openblas_set_num_threads");
    if (set_threads) set_threads(1);
}

bool deq_blas_ready(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return library != NULL;
}

void *deq_blas_symbol(const char *name) {
    void *symbol = deq_blas_ready() ? dlsym(library, name) : NULL;
    if (!symbol) {
        fprintf(stderr, "deq: internal error: OpenBLAS has no %s\n", name);
        abort();
    }
    return symbol;
}
