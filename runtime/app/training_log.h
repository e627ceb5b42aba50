/* training_log.h - the training log: one row an epoch, as CSV beside the results and as JSON inside checkpoints. */
#ifndef DEQ_RUNTIME_TRAINING_LOG_H
#define DEQ_RUNTIME_TRAINING_LOG_H
#include "error.h"
#include <jansson.h>
#include <stdint.h>

/* X(column, doc): every column is a number; NaN (empty in CSV, null in JSON) when it was not measured. */
#define DEQ_LOG(X)                                                                                                     \
    X(epoch, "finished epochs")                                                                                        \
    X(step, "optimiser steps so far")                                                                                  \
    X(loss, "mean training loss of the epoch, at the attacked inputs when training is adversarial")                    \
    X(metric, "mean training metric, likewise; in CSV the column has the metric's name, such as accuracy")             \
    X(validation_loss, "mean loss on the validation examples, clean")                                                  \
    X(clean, "metric on the validation examples")                                                                      \
    X(robust, "metric on the validation examples under the training attack")                                           \
    X(robust_loss, "mean loss on the validation examples under the training attack")                                   \
    X(steps, "mean solver steps of a forward solve of a training step")                                                \
    X(residual, "mean residual of a forward solve")                                                                    \
    X(adjoint_steps, "mean solver steps of an adjoint solve of a training step")                                       \
    X(adjoint_residual, "mean residual of an adjoint solve")                                                           \
    X(unconverged, "share of forward solves that missed their tolerance")                                              \
    X(adjoint_unconverged, "share of adjoint solves that missed their tolerance")                                      \
    X(radius,                                                                                                          \
      "median over examples of the spectral radius of J at the equilibrium, the largest of the net's fixed points")    \
    X(radius_most, "its largest over the examples")                                                                    \
    X(norm2, "median of the largest singular value of J, likewise")                                                    \
    X(frobenius, "median of J's Frobenius norm, likewise")                                                             \
    X(penalty, "mean over the epoch's examples of the penalties on J, which come on top of the loss in what is "       \
               "minimised; empty without")                                                                             \
    X(correction, "the same of the losses at states on the way (penalty: correction)")                                 \
    X(lost_gradients, "share of the examples whose gradient was not finite, and left out")                             \
    X(gradient_norm, "mean Euclidean norm of a step's gradient before it is clipped; empty without `clip`")            \
    X(clipped, "share of the steps whose gradient was clipped; empty without")                                         \
    X(attack_unconverged, "share of the forward solves of the training's attack that missed their tolerance")          \
    X(attack_adjoint_unconverged, "the same of its adjoint solves")                                                    \
    X(attack_zero_gradients, "share of its gradients that were exactly zero")                                          \
    X(attack_lost_gradients, "share of its gradients that were not finite, or cut to zero by on_fail")                 \
    X(examples_per_second, "training examples a second, validation left out")                                          \
    X(seconds, "wall time since the run began, validation included; a resumed run counts on")

typedef struct deq_log_row {
#define X(name, doc) double name;
    DEQ_LOG(X)
#undef X
} deq_log_row;

deq_log_row deq_log_empty(void);              /* every column NaN */
json_t *deq_log_json(const deq_log_row *row); /* an object */
deq_log_row deq_log_row_of(const json_t *object);
/* All rows (a JSON array of objects) as CSV; `metric`: its name, NULL: there is none. */
bool deq_log_write(const char *path, const json_t *rows, const char *metric, deq_error *e);
/* What the metric's column is called in a row of such a CSV file. */
const char *deq_log_metric(const json_t *row);
const char *deq_log_title(const char *metric);                    /* and is to be called */
json_t *deq_json_number(double value);                            /* null when not finite */
double deq_json_double(const json_t *value);                      /* NaN when not a number */
const char *deq_json_text(const json_t *object, const char *key); /* "" when not a string */
#endif
