/* keep.h - `keep: best_robust`: the parameters of the epoch that did best on the validation examples, from epoch to epoch
 * and across interruptions.  A file of its own beside the partial checkpoint holds them while training goes on. */
#ifndef DEQ_RUNTIME_KEEP_H
#define DEQ_RUNTIME_KEEP_H
#include "checkpoint.h"
#include "manifest.h"
#include <jansson.h>

typedef struct deq_best { /* all zero: the last epoch's are kept, nothing is to be done */
    const deq_train_spec *train;
    const char *key;
    int real_bits;
    void *parameters;
    int64_t bytes, epoch; /* the best so far; 0: none yet */
} deq_best;

bool deq_best_begin(deq_best *k, const deq_train_spec *t, const char *key, int real_bits); /* false: out of memory */
/* The last row of the log is of an epoch that has just ended with these parameters. */
bool deq_best_epoch(deq_best *k, const json_t *log, const void *parameters, const char *partial, deq_error *e);
/* A run with that log goes on.  False: the parameters of its best epoch are gone, and it has to begin anew. */
bool deq_best_resume(deq_best *k, const json_t *log, const char *partial);
bool deq_best_take(const deq_best *k, void *parameters); /* false: there is nothing to be put in their place */
void deq_best_drop(deq_best *k, const char *partial);    /* partial NULL: its file stays, for another session */
#endif
