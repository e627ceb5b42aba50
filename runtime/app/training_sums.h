/* training_sums.h - what the batches of an epoch have added up to: the log's row and the checkpoint's sums are made of it. */
#ifndef DEQ_RUNTIME_TRAINING_SUMS_H
#define DEQ_RUNTIME_TRAINING_SUMS_H
#include "engine.h"
#include "training_log.h"

/* All doubles, so that they go through JSON unchanged.  Those that begin with `attack` are of the queries of the
 * training's attack, over all its steps; the others are of the training step itself. */
#define DEQ_TRAINING_SUMS(X)                                                                                           \
    X(loss)                                                                                                            \
    X(penalty)                                                                                                         \
    X(correction)                                                                                                      \
    X(metric)                                                                                                          \
    X(examples)                                                                                                        \
    X(solves)                                                                                                          \
    X(steps)                                                                                                           \
    X(residual)                                                                                                        \
    X(unconverged)                                                                                                     \
    X(adjoint_solves)                                                                                                  \
    X(adjoint_steps)                                                                                                   \
    X(adjoint_residual)                                                                                                \
    X(adjoint_unconverged)                                                                                             \
    X(left_out)                                                                                                        \
    X(updates)                                                                                                         \
    X(clipped)                                                                                                         \
    X(norm)                                                                                                            \
    X(attack_solves)                                                                                                   \
    X(attack_unconverged)                                                                                              \
    X(attack_adjoints) X(attack_adjoints_unconverged) X(attack_gradients) X(attack_zero) X(attack_lost)

typedef struct deq_training_sums {
#define X(name) double name;
    DEQ_TRAINING_SUMS(X)
#undef X
    double working; /* seconds in this epoch, validation left out */
} deq_training_sums;

json_t *deq_training_sums_json(const deq_training_sums *sums);
deq_training_sums deq_training_sums_of(const json_t *object);
/* One batch of n examples. */
void deq_training_sums_add(deq_training_sums *sums, const deq_results *results, int64_t n);
/* Fills the row's columns of losses and solves with means over the epoch so far; NaN: there were none. */
void deq_training_sums_row(const deq_training_sums *sums, deq_log_row *row);
#endif
