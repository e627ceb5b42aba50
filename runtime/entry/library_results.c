/* library_results.c - results that wait until the call that computes them has succeeded. */
#include "library_internal.h"
#include <stdlib.h>
#include <string.h>

library_results library_results_of(const deq_library *l, bool parts) {
    return (library_results){.waits = parts || deq_engine_may_stop(l->engine)};
}

bool library_wait(deq_library *l, library_results *r, void **given, int64_t rows, size_t row_bytes) {
    const size_t bytes = (size_t)rows * row_bytes;
    if (!*given || !r->waits || bytes == 0) return true;
    void *own = malloc(bytes);
    if (!own) return deq_fail(&l->error, DEQ_MEMORY, "out of memory for the results of %lld examples", (long long)rows);
    memcpy(own, *given, bytes); /* what a call leaves as it is stays so */
    r->list[r->n++] = (struct library_result){own, *given, bytes};
    *given = own;
    return true;
}

bool library_hand_over(library_results *r, bool ok) {
    for (int k = 0; k < r->n; k++) {
        if (ok) memcpy(r->list[k].given, r->list[k].own, r->list[k].bytes);
        free(r->list[k].own);
    }
    r->n = 0;
    return ok;
}
