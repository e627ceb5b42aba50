/* measure.h - evaluates examples of a slice, clean or attacked, and makes their records.  Files: measure.c,
 * measure_gradients.c (gradients beside each other). */
#ifndef DEQ_RUNTIME_MEASURE_H
#define DEQ_RUNTIME_MEASURE_H
#include "app_state.h"
#include "attacked.h"
#include "record.h"

typedef struct deq_measuring {
    deq_app *app; /* and the net: only where the attack, or a part of it, asks another net.  Else NULL */
    const deq_model *model;
    deq_engine *engine; /* with the settings of the evaluation and the parameters of its net */
    const deq_value_spec *value;
    deq_source source;
    uint64_t seed; /* of the attack's draws */
    deq_progress *progress;
    void *context;
    /* Settings that hold while an attack works, and not while what it made is judged; then `attacked` is NULL.  n 0: none. */
    const deq_override *crafting;
    int ncrafting;
    /* Of each joined attack: where its inputs are found and kept, NULL: nowhere.  NULL: nothing is. */
    deq_attacked *const *attacked;
    /* Told of records as soon as they are complete, one call at a time; NULL: nobody. */
    void (*finished)(void *context, const deq_record *records, int64_t n, bool here); /* here: made by this rank */
    int64_t *run,
        *found; /* attacks on an example that were run, and that were known, are added here; both NULL: nowhere */
} deq_measuring;

/* Records of examples index[0 .. n).  Of several joined attacks, each from the input as given, the worst outcome of an
 * example counts: wrong beats right, then the larger loss; every field but the counts, which are sums over all of them,
 * is then of that one, but how far any of them went.  Where the metric is the accuracy, attacks that are not for all examples
 * leave out those that are wrong already. */
bool deq_measure(const deq_measuring *m, const int64_t *index, int64_t n, deq_record *out, deq_error *e);
/* Of an evaluation that compares gradients in the inputs: the metric is their cosine, or their relative error.
 * (measure_gradients.c) */
bool deq_measure_gradients(const deq_measuring *m, const int64_t *index, int64_t n, deq_record *out, deq_error *e);
#endif
