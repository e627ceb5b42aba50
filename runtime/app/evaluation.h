/* evaluation.h - an evaluation once its records are there.  Files: evaluation_sums.c, evaluation_warnings.c; evaluate.c
 * makes the records. */
#ifndef DEQ_RUNTIME_EVALUATION_H
#define DEQ_RUNTIME_EVALUATION_H
#include "app_state.h"
#include <math.h>

static inline double deq_share_of(int64_t part, int64_t whole) { return whole ? (double)part / (double)whole : NAN; }

/* Everything of v that follows from its records.  key: of the draws of its interval. */
void deq_evaluation_sum(deq_evaluation *v, uint64_t key);

/* Silence about a failed solve would be the worst: what fell short is said, with what was done about it.  Needs: summed. */
void deq_evaluation_warn(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v,
                         const deq_evaluation *x);
/* A defence may name a state that the solver never makes. */
void deq_evaluation_warn_unmade(deq_app *app, deq_engine *engine, const deq_model *model, const deq_value_spec *v);
#endif
