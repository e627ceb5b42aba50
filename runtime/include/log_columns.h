/* log_columns.h - the columns of a training log, one row an epoch: of files, checkpoints, and net.log.NAME in a script. */
#ifndef DEQ_RUNTIME_LOG_COLUMNS_H
#define DEQ_RUNTIME_LOG_COLUMNS_H

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
    X(attack_zero_gradients, "share of its gradients that were exactly zero, though the input was not wrong yet")      \
    X(attack_lost_gradients, "share of its gradients that were not finite, or cut to zero by on_fail")                 \
    X(examples_per_second, "training examples a second, validation left out")                                          \
    X(seconds, "wall time since the run began, validation included; a resumed run counts on")
#endif
