/* attacked.h - where attacks have led: the attacked inputs of examples, kept in the cache (rows.h) by what decides them.
 *
 * An attack works on the undefended net, so that one run of it serves every evaluation that differs only in the defence
 * or in the metric; one against another net serves every net that is evaluated under it.  Each of several joined attacks begins with the examples as they are and is kept on its own.  With
 * the inputs stand the counts of what the attack asked, so that records are the same whether it was run or found.
 * What is kept is bounded: the files that were not used for longest are given up. */
#ifndef DEQ_RUNTIME_ATTACKED_H
#define DEQ_RUNTIME_ATTACKED_H
#include "app_state.h"

typedef struct deq_attacked deq_attacked; /* of one attack on one split by one net */

/* NULL: nothing is kept, because the cache is not used, the inputs are too large or another process keeps them now.
 * The engine has the settings of the evaluation; `fingerprint`: of the split's files.  Of several joined attacks `a` is
 * meant without those after it. */
deq_attacked *deq_attacked_open(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *value,
                                const deq_attack_spec *a, const char *fingerprint);
/* Gives up what was not used for longest, where this run has added to the cache. */
void deq_attacked_close(deq_attacked *k);
/* Which of n examples are known: of these, one after the other, the inputs (dense rows of the module's reals) and what the
 * attack asked for them.  There is room for all n. */
void deq_attacked_get(const deq_attacked *k, const int64_t *ids, int64_t n, bool *there, void *inputs,
                      deq_row_counts *counts);
/* Those of n examples; inputs begin `apart` bytes after each other.  One that cannot be written is not kept. */
void deq_attacked_keep(deq_attacked *k, const int64_t *ids, const void *inputs, size_t apart,
                       const deq_row_counts *counts, int64_t n);
/* Removes files of the folder, those not used for longest first, until they have at most so many bytes together. */
void deq_attacked_trim(const char *folder, int64_t most);
#endif
