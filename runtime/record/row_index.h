/* row_index.h - a place for each of many ids, found in constant time; its memory depends on how many ids there are, not
 * on how large they are. */
#ifndef DEQ_RUNTIME_ROW_INDEX_H
#define DEQ_RUNTIME_ROW_INDEX_H
#include <stdbool.h>
#include <stdint.h>

typedef struct deq_row_index {
    int64_t *ids, *places; /* open addressing; an id of -1: the slot is free */
    int64_t n, slots;      /* slots: a power of two, or 0 */
    int64_t *sorted;       /* ids in order, made when asked for */
    int64_t nsorted;
} deq_row_index;

/* The place of an id; -1: it has none. */
int64_t deq_row_index_find(const deq_row_index *x, int64_t id);
/* Gives an id >= 0 this place.  false: memory is short, and nothing has changed. */
bool deq_row_index_put(deq_row_index *x, int64_t id, int64_t place);
/* Id number i in their order; -1: there is none, or memory is short. */
int64_t deq_row_index_at(deq_row_index *x, int64_t i);
void deq_row_index_free(deq_row_index *x);
#endif
