/* shortfalls.h - solves and gradients that fell short, said once for all runs of a value.
 *
 * A grid makes the same value many times.  The first run in which a share of its solves fell short is told in full; the
 * others are counted, and one line at the end of the experiment says in how many runs, and how large the share was.  In
 * JSON mode every run has its own event. */
#ifndef DEQ_RUNTIME_SHORTFALLS_H
#define DEQ_RUNTIME_SHORTFALLS_H
#include "progress.h"

typedef struct deq_shortfall {
    char *name, *what; /* of the value or training run; what fell short, as far as runs do not differ in it */
    const char *when;
    int runs;
    double most; /* largest share; 0: small shares, of which nothing more is said */
} deq_shortfall;

typedef struct deq_shortfalls {
    deq_shortfall *list;
    int n, capacity;
} deq_shortfalls;

/* `share` of `what` in one run, which is called `label`, of what is called `name`: "robust", "robust of net (seed = 0)",
 * "" or "in the last epoch ", 0.25, "the attack's forward solves stopped short; ..".  Runs share a line up to the first
 * ';' or '(' of `what`. */
void deq_shortfall_tell(deq_shortfalls *all, deq_reporter *r, const char *name, const char *label, const char *when,
                        double share, const char *what);
/* Whether this is the first run of `name` in which small shares fell short: those of the others are not told. */
bool deq_shortfall_first(deq_shortfalls *all, deq_reporter *r, const char *name);
/* The lines of those that more than one run had; forgets all. */
void deq_shortfalls_end(deq_shortfalls *all, deq_reporter *r);
#endif
