/* nearest.h - the name that somebody may have meant. */
#ifndef DEQ_RUNTIME_NEAREST_H
#define DEQ_RUNTIME_NEAREST_H

/* Single letters left out, put in, changed or exchanged that lead from one text to the other; at most `limit` + 1. */
int deq_edit_distance(const char *a, const char *b, int limit);
/* The candidate nearest to `name`, NULL when none is near or the name itself is one.  Candidates may be NULL. */
const char *deq_nearest(const char *name, const char *const *candidates, int n);
#endif
