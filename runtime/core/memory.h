/* memory.h - large aligned blocks, and buffers laid out one after the other in them. */
#ifndef DEQ_RUNTIME_MEMORY_H
#define DEQ_RUNTIME_MEMORY_H
#include "deq_runtime.h"
#include <stddef.h>

/* Memory handed out in order; with base NULL it only measures. */
typedef struct deq_space {
    char *base;
    size_t used;
} deq_space;

static inline void *deq_space_take(deq_space *space, size_t bytes) {
    /* The odd distance keeps buffers of equal size from sharing their addresses' low bits, hence cache sets. */
    void *at = space->base ? space->base + space->used : (void *)0;
    space->used += (bytes + DEQ_ALIGN - 1) / DEQ_ALIGN * DEQ_ALIGN + 5 * DEQ_ALIGN;
    return at;
}

/* Aligned to DEQ_ALIGN, on huge pages where that pays, not cleared; NULL when memory is short.  Freed by free(). */
void *deq_memory_new(size_t bytes);
#endif
