/* nearest.h - which of several names was probably meant.
 *
 * Needs nothing.  Ensures: names of 255 bytes and more are near to nothing. */
#ifndef DEQ_RUNTIME_NEAREST_H
#define DEQ_RUNTIME_NEAREST_H
#include <stddef.h>

/* Insertions, deletions and replacements that lead from one name to the other. */
size_t deq_edit_distance(const char *a, const char *b);
/* The candidate nearest to `name` (`length` bytes), or NULL when none is near. */
const char *deq_nearest(const char *name, size_t length, const char *const *candidates, int count);
#endif
