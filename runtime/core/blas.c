/* blas.c - see blas.h. */
#include "blas.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

static void *library;

static void load(void) {
    library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
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
