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

/* What one run has to say: the shares of it, the largest first. */
#define DEQ_MOST_TOLD 8
typedef struct deq_told { /* all zero: nothing */
    double share[DEQ_MOST_TOLD];
    char *text[DEQ_MOST_TOLD];
    int n;
} deq_told;
/* 0.25 of "the attack's forward solves stopped short; ..".  A share of 0, or none, is nothing to tell. */
void deq_told_add(deq_told *t, double share, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A line for each share of a hundredth or more, then one for all others: they must not drown those that concern many.
 * Of one run, which is called `label`, of what is called `name`: "robust", "robust of net (seed = 0)", `when`: "" or "in
 * the last epoch ".  Runs share a line up to the first ';' or '(' of a text; small shares of later runs are not told.
 * Forgets what it was told. */
void deq_told_say(deq_told *t, deq_shortfalls *all, deq_reporter *r, const char *name, const char *label,
                  const char *when);
/* The lines of those that more than one run had; forgets all. */
void deq_shortfalls_end(deq_shortfalls *all, deq_reporter *r);
#endif
