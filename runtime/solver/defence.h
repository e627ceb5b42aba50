/* defence.h - which states of a solve predictions are read off: a weighted sum of z_1, z_2, .. (Yang et al. 2022, Sec.
 * 5).
 *
 * As text, a sum of terms WEIGHT * final, WEIGHT * mean(states), WEIGHT * mean(states[FROM..TO]) (TO excluded) and WEIGHT *
 * states[N], each weight with its * left out when it is 1; "none", or "final" alone, is the value. */
#ifndef DEQ_RUNTIME_DEFENCE_H
#define DEQ_RUNTIME_DEFENCE_H
#include "error.h"
#include <stddef.h>

#define DEQ_DEFENCE_TERMS 32
#define DEQ_DEFENCE_TEXT 4096 /* bytes that hold any defence's text */

typedef struct deq_defence {
    bool given;   /* false: none */
    double value; /* weight of the value: the state that predictions are read off without a defence */
    double all;   /* weight of the mean over all states an example makes, however many */
    int nterms;
    struct deq_defence_term {
        int from, to;  /* states from .. to-1, counted from 1 */
        double weight; /* of their mean */
    } terms[DEQ_DEFENCE_TERMS];
} deq_defence;

/* Fails with DEQ_SETTING. */
bool deq_defence_parse(const char *text, deq_defence *out, deq_error *e);
void deq_defence_print(const deq_defence *d, char *out, size_t size);
/* The last state that a term names; 0 when none does. */
int deq_defence_last(const deq_defence *d);
/* Weight of state `step` among the named ones. */
double deq_defence_weight(const deq_defence *d, int step);
/* Weights of the named states after `step`, added up. */
double deq_defence_weight_after(const deq_defence *d, int step);
#endif
