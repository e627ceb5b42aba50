/* measure.h - evaluates examples of a slice, clean or attacked, and makes their records. */
#ifndef DEQ_RUNTIME_MEASURE_H
#define DEQ_RUNTIME_MEASURE_H
#include "app_state.h"
#include "record.h"

typedef struct deq_measuring {
    deq_engine *engine; /* with the settings of the evaluation and the parameters of its net */
    const deq_value_spec *value;
    deq_source source;
    uint64_t seed; /* of the attack's draws */
    deq_progress *progress;
    void *context;
} deq_measuring;

/* Records of examples index[0 .. n).  Of several joined attacks, each from the input as given, the worst outcome of an
 * example counts: wrong beats right, then the larger loss; every field but the counts, which are sums over all of them,
 * is then of that one. */
bool deq_measure(const deq_measuring *m, const int64_t *index, int64_t n, deq_record *out, deq_error *e);
#endif
