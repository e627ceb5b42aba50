/* claims.h - what a script claims of its results, judged on resamples.
 *
 * The condition is evaluated anew, with its minima, choices and worst cases, on 10,000 resamples of the examples and of
 * the seeds.  A claim holds where that is true in 97.5 % of them or more, fails at 2.5 % or less, and is undecided
 * between.  Where axes are left, it must hold in every cell. */
#ifndef DEQ_RUNTIME_CLAIMS_H
#define DEQ_RUNTIME_CLAIMS_H
#include "arrays.h"

/* needs: every array has been made.  Writes claims.md, claims.csv and claims.json; counts those that fail in app->failed. */
bool deq_claims_judge(deq_arrays *g, deq_error *e);
#endif
