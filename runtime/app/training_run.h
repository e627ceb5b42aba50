/* training_run.h - one training run while it lasts: what its files share.
 *
 * train.c: the run from its settings to its results; training_step.c: one step of the optimiser; training_position.c: where it
 * stands, in checkpoints; moving_average.c: the average of its parameters. */
#ifndef DEQ_RUNTIME_TRAINING_RUN_H
#define DEQ_RUNTIME_TRAINING_RUN_H
#include "app_state.h"
#include "checkpoint.h"
#include "keep.h"
#include "moving_average.h"
#include "training_sums.h"

/* All that a run goes on with, beside its position; a member is NULL where the run has no such thing. */
typedef struct training_vectors {
    void *parameters, *states; /* states: of the optimiser */
    void *more[DEQ_VECTORS];
} training_vectors;

typedef struct training_run {
    deq_app *app;
    const deq_train_spec *t;
    const deq_model *first; /* whose parameters the run begins with; NULL: none */
    deq_model *model;
    deq_engine *engine;
    deq_dataset *data, *validate;
    int64_t from, to, validate_from, validate_to;
    int64_t epoch_examples, epoch_steps; /* of one epoch */
    int64_t epoch, step;                 /* position: finished epochs, finished steps of the next */
    double attack_scalars[DEQ_MOST_SCALARS], update_scalars[2 + DEQ_MOST_SCALARS];
    deq_attack attack, trained; /* of `validate`; of the training steps */
    int64_t *order, *index;
    double *loss, *value;
    double *penalty, *correction; /* NULL: the net has none */
    deq_training_sums sums;
    json_t *settings;        /* of the net as it is trained; goes with its parameters */
    deq_row_counts *counts;  /* of the attack's queries, a row an example; NULL: no attack */
    double began, before;    /* this session's start; seconds of earlier sessions */
    double written;          /* when the last checkpoint of this session was */
    char *partial;           /* path of the checkpoint while training goes on */
    bool in_cache;           /* it is in the cache, not among the results */
    bool stepped;            /* at least once in this session */
    deq_moving_average mean; /* of the parameters */
    deq_carried carried;     /* `replay:`: the perturbation, a row for each place of a batch; NULL: none */
    training_vectors good;   /* as they were at the last epoch's end */
    deq_best kept;           /* `keep:` */
    int64_t vector_bytes, state_bytes, more_bytes[DEQ_VECTORS];
    int64_t good_epoch;
    /* Of several ranks, this session's steps: of the epoch, of all; and the examples of all. */
    deq_ranks_cost cost, whole_cost;
    double made;
} training_run;

/* ---- training_step.c ---- */
/* The next step of the optimiser: its batches, their gradient, the step, the average.  False: *e says why. */
bool training_step(training_run *r, deq_error *e);
/* Whether the net's solvers and modes serve solves that end early, where the run asks for such. */
bool training_check_intermediate(training_run *r, deq_error *e);
int64_t training_times(const deq_train_spec *t); /* steps on the same batches */

/* ---- training_position.c ---- */
double training_elapsed(const training_run *r); /* seconds, of earlier sessions too */
/* Room for `good`, of what the run has; false: out of memory. */
bool training_room(training_run *r);
void training_keep_good(training_run *r); /* what there is now is what a run that diverges leaves */
bool training_write(training_run *r, deq_error *e);
/* Goes on where an earlier run of the same key stopped, if one did. */
void training_resume(training_run *r);
/* A finished run of the same key, from the cache: parameters and log. */
bool training_found(training_run *r, const char *path);
void training_write_finished(training_run *r, const char *path);
/* Both write what there is to go on with, and fail with a sentence that says where. */
bool training_diverged(training_run *r, const char *what, deq_error *e);
bool training_interrupted(training_run *r, deq_error *e);
void training_drop(training_run *r); /* lets go of `good` */
#endif
