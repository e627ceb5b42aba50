/* row_index.c - see row_index.h: a hash table of ids with linear probing, at most half full. */
#include "row_index.h"
#include <stdlib.h>

/* Ids that follow each other spread over the table (Fibonacci hashing). */
static int64_t first_slot(int64_t id, int64_t slots) {
    return (int64_t)(((uint64_t)id * 0x9e3779b97f4a7c15u) >> 17) & (slots - 1);
}

/* The slot of the id, or the free one where it would stand. */
static int64_t slot_of(const deq_row_index *x, int64_t id) {
    int64_t s = first_slot(id, x->slots);
    while (x->ids[s] != -1 && x->ids[s] != id) s = (s + 1) & (x->slots - 1);
    return s;
}

int64_t deq_row_index_find(const deq_row_index *x, int64_t id) {
    if (id < 0 || !x->slots) return -1;
    const int64_t s = slot_of(x, id);
    return x->ids[s] == id ? x->places[s] : -1;
}

static bool grow(deq_row_index *x) {
    deq_row_index larger = {.slots = x->slots ? 2 * x->slots : 512, .n = x->n};
    larger.ids = malloc((size_t)larger.slots * sizeof *larger.ids);
    larger.places = malloc((size_t)larger.slots * sizeof *larger.places);
    if (!larger.ids || !larger.places) {
        deq_row_index_free(&larger);
        return false;
    }
    for (int64_t s = 0; s < larger.slots; s++) larger.ids[s] = -1;
    for (int64_t s = 0; s < x->slots; s++) {
        if (x->ids[s] == -1) continue;
        const int64_t to = slot_of(&larger, x->ids[s]);
        larger.ids[to] = x->ids[s], larger.places[to] = x->places[s];
    }
    deq_row_index_free(x);
    *x = larger;
    return true;
}

bool deq_row_index_put(deq_row_index *x, int64_t id, int64_t place) {
    if (2 * (x->n + 1) > x->slots && !grow(x)) return false;
    const int64_t s = slot_of(x, id);
    x->n += x->ids[s] == -1;
    x->ids[s] = id, x->places[s] = place;
    return true;
}

static int by_id(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int64_t deq_row_index_at(deq_row_index *x, int64_t i) {
    if (i < 0 || i >= x->n) return -1;
    if (x->nsorted != x->n) {
        int64_t *sorted = realloc(x->sorted, (size_t)x->n * sizeof *sorted), n = 0;
        if (!sorted) return -1;
        for (int64_t s = 0; s < x->slots; s++)
            if (x->ids[s] != -1) sorted[n++] = x->ids[s];
        qsort(sorted, (size_t)n, sizeof *sorted, by_id);
        x->sorted = sorted, x->nsorted = n;
    }
    return x->sorted[i];
}

void deq_row_index_free(deq_row_index *x) {
    free(x->ids);
    free(x->places);
    free(x->sorted);
    *x = (deq_row_index){0};
}
