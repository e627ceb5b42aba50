/* anderson.h - the least-squares problem of Anderson acceleration by an orthogonal factorisation. */
#ifndef DEQ_NUMERIC_ANDERSON_H
#define DEQ_NUMERIC_ANDERSON_H
#include "solve.h"

#define ANDERSON_MOST 64 /* memory: solvers.def */

typedef struct factorisation { /* of one example: differences of consecutive residuals, the oldest first, are Q R */
    vec *q;                    /* columns, one state row each */
    double *r;                 /* column k from k * most */
    int most;                  /* columns there is room for */
    int *count;                /* columns now */
} factorisation;

/* Takes newer - older in as the newest column.  The oldest ones go where there is no room, and while the condition of R
 * is more than the working type can bear; a difference that rounding alone can make leaves no column. */
void NAME(factor_add)(factorisation *s, const vec *newer, const vec *older, int64_t n);

/* Weights w_0 .. w_count of the points behind the columns, the oldest first, that minimise
 *     norm(sum w_i g_i)^2 + ridge sum w_i^2 squares_i,   sum w_i = 1,   squares_i = norm(g_i)^2;
 * `newest` is the last g.  False when they are not finite. */
bool NAME(factor_weights)(const factorisation *s, const vec *newest, const double *squares, double ridge, int64_t n,
                          double *w);
#endif
