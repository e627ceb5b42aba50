/* resolvent.c - the inverses of an engine, by fixed point and step. */
#include "resolvent.h"
#include <stdlib.h>

const deq_resolvent *deq_resolvents_find(const deq_resolvents *r, const deq_fixed *fixed, double step,
                                         bool transposed) {
    for (int i = 0; r && i < r->count; i++)
        if (r->items[i].fixed == fixed && r->items[i].step == step && r->items[i].transposed == transposed)
            return &r->items[i];
    return NULL;
}

void deq_resolvents_clear(deq_resolvents *r) {
    for (int i = 0; i < r->count; i++) free(r->items[i].matrix);
    free(r->items);
    *r = (deq_resolvents){NULL, 0};
}
