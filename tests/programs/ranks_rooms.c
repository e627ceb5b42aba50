/* ranks_rooms.c - what ranks tell each other (core/ranks.h), with room for all of it in a first meeting, for a part, for none:
 * run by mpirun with any number of ranks. */
#include "ranks.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int wrong;

static void check(bool good, const char *what) {
    if (good) return;
    fprintf(stderr, "rank %d of %d: %s\n", deq_ranks_own(), deq_ranks_count(), what);
    wrong = 1;
}

static int64_t size_of(int rank, int round) { return (rank * 5 + round * 3) % 7 * 433; }
static char byte_of(int rank, int64_t i) { return (char)(131 * rank + i * (i >> 7) + i); }

/* `hundredths` of what a rank has is the room for it. */
static void try_room(int round, int hundredths) {
    const int ranks = deq_ranks_count(), own = deq_ranks_own();
    const int64_t size = size_of(own, round);
    int64_t *room = calloc((size_t)ranks, sizeof *room), *at = NULL;
    char *bytes = malloc((size_t)size + 1);
    for (int p = 0; p < ranks; p++) room[p] = size_of(p, round) * hundredths / 100;
    for (int64_t i = 0; i < size; i++) bytes[i] = byte_of(own, i);
    char *all = deq_ranks_gather_about(bytes, size, hundredths < 0 ? NULL : room, &at);
    for (int p = 0; p < ranks; p++) {
        check(at[p + 1] - at[p] == size_of(p, round), "another size");
        for (int64_t i = at[p]; i < at[p + 1]; i++) check(all[i] == byte_of(p, i - at[p]), "another byte");
    }
    free(all);
    memset(bytes, 0, (size_t)size);
    all = calloc(1, (size_t)at[ranks] + 1);
    for (int64_t i = 0; i < size; i++) all[at[own] + i] = byte_of(own, i);
    deq_ranks_gather_known(all, at);
    for (int p = 0; p < ranks; p++)
        for (int64_t i = at[p]; i < at[p + 1]; i++)
            check(all[i] == byte_of(p, i - at[p]), "another byte of a known size");
    free(all);
    free(bytes);
    free(room);
    free(at);
}

int main(void) {
    static const int hundredths[] = {-1, 0, 33, 100, 250};
    deq_error e = {0};
    if (!deq_ranks_open(&e)) return fprintf(stderr, "%s\n", e.text), 1;
    for (int round = 0; round < 7; round++)
        for (size_t k = 0; k < sizeof hundredths / sizeof *hundredths; k++) try_room(round, hundredths[k]);
    if (!wrong && deq_ranks_first()) printf("what %d ranks say is whole\n", deq_ranks_count());
    deq_ranks_close();
    return wrong;
}
