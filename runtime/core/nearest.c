#include "nearest.h"
#include <string.h>

enum { MOST = 255 };

size_t deq_edit_distance(const char *a, const char *b) {
    size_t m = strlen(a), n = strlen(b), row[MOST + 1];
    if (n >= MOST || m >= MOST) return MOST;
    for (size_t k = 0; k <= n; k++) row[k] = k;
    for (size_t i = 1; i <= m; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= n; k++) {
            size_t above = row[k], best = diagonal + (a[i - 1] != b[k - 1]);
            if (above + 1 < best) best = above + 1;
            if (row[k - 1] + 1 < best) best = row[k - 1] + 1;
            diagonal = above;
            row[k] = best;
        }
    }
    return row[n];
}

const char *deq_nearest(const char *name, size_t length, const char *const *candidates, int count) {
    char copy[MOST];
    const char *nearest = NULL;
    size_t limit = length / 3 + 1;
    if (length >= sizeof copy) return NULL;
    memcpy(copy, name, length);
    copy[length] = 0;
    for (int i = 0; i < count; i++) {
        size_t distance = deq_edit_distance(copy, candidates[i]);
        if (distance >= limit) continue;
        nearest = candidates[i];
        limit = distance;
    }
    return nearest;
}
