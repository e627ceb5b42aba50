/* memory.c - aligned memory, on huge pages where that pays. */
#include "memory.h"
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

void *deq_memory_new(size_t bytes) {
    void *at = NULL;
    bool large = bytes >= 2 * HUGE_PAGE;
    if (posix_memalign(&at, large ? HUGE_PAGE : DEQ_ALIGN, bytes ? bytes : DEQ_ALIGN)) return NULL;
#ifdef MADV_HUGEPAGE
    if (large) madvise(at, bytes, MADV_HUGEPAGE); /* a wish: nothing depends on it */
#endif
    return at;
}
