/* nearest.c - distances between names. */
#include "nearest.h"
#include <stddef.h>
#include <string.h>

enum { LONGEST = 255 };

/* Optimal string alignment, given up above `limit`. */
int deq_edit_distance(const char *a, const char *b, int limit) {
    size_t na = strlen(a), nb = strlen(b);
    if (na > LONGEST || nb > LONGEST || (int)(na > nb ? na - nb : nb - na) > limit) return limit + 1;
    int before[LONGEST + 1], previous[LONGEST + 1], row[LONGEST + 1];
    for (size_t j = 0; j <= nb; j++) previous[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int best = previous[j - 1] + (a[i - 1] != b[j - 1]);
            if (previous[j] + 1 < best) best = previous[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        memcpy(before, previous, (nb + 1) * sizeof *before);
        memcpy(previous, row, (nb + 1) * sizeof *row);
    }
    return previous[nb];
}

const char *deq_nearest(const char *name, const char *const *candidates, int n) {
    size_t length = strlen(name);
    int limit = length <= 1 ? 0 : length <= 4 ? 1 : 2;
    const char *nearest = NULL;
    for (int i = 0; i < n && limit; i++) {
        int distance = candidates[i] ? deq_edit_distance(name, candidates[i], limit) : limit + 1;
        if (distance == 0 || distance > limit) continue; /* the name itself is no suggestion */
        nearest = candidates[i];
        if (distance == 1) break;
        limit = distance - 1;
    }
    return nearest;
}
