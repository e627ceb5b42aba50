/* engine_run.h - one call on a net, for the files that cut it into blocks, run these and add up what they give:
 * engine_run.c, engine_block.c, engine_objective.c, engine_gradient.c. */
#ifndef DEQ_RUNTIME_ENGINE_RUN_H
#define DEQ_RUNTIME_ENGINE_RUN_H
#include "engine_internal.h"
#include <stdatomic.h>

/* BOTH_GRADIENTS: in inputs and parameters, of the net as it predicts; PARAMETER_GRADIENT is of the net in training. */
typedef enum purpose { PREDICT, LOSS, INPUT_GRADIENT, PARAMETER_GRADIENT, BOTH_GRADIENTS } purpose;

/* A function of the output, by the derivative that it has at each example. */
typedef struct engine_objective {
    deq_routine_fn *function; /* as frame->objective; NULL: dot(record, output), whose derivative is the record */
    char *records;            /* of the call's examples, in order */
    int64_t stride;           /* bytes of one */
} engine_objective;

typedef struct run {
    deq_engine *engine;
    purpose purpose;
    const deq_source *source;
    const int64_t *index; /* NULL: 0 .. n-1 */
    int64_t n, blocks;
    int shards; /* of a gradient */
    const engine_loss *loss;
    const deq_routine *main, *metric, *attack;
    const double *scalars;
    const char *known; /* dense rows in the place of the attack's run; NULL */
    bool surrogate;    /* deq_attack */
    bool knows;        /* deq_attack.defended, of a net with a defence */
    bool teamed;       /* the batch is coupled, and its blocks are the parts of a team */
    bool attacking;    /* the attack has its own settings */
    bool in_batch;     /* deq_attack: it is run in the parts of the coupled batch */
    char *crafted;     /* rows that the attack makes before anything else runs, or NULL: each block makes its own */
    bool crafting;     /* this is that part */
    const engine_objective *objective; /* `main` differentiates this function of the output; NULL: the loss */
    const deq_carried *carried;        /* a perturbation of the inputs, which moves along; NULL: none */
    bool summed;                       /* gradients in the parameters are the sum over the examples, not the mean */
    bool dealt;                        /* to all ranks (engine_ranks.h) */
    char *used;                        /* dealt: attacked inputs that others are told; NULL: none */
    bool defended;                     /* the outputs are predictions: read off the net's defence, if it has one */
    uint64_t seed, step;
    deq_results *results;
    void *dense_output, *dense_dx;
    /* Listeners of the solves of the main part (deq_request); their context is a run_place. */
    void (*stream)(void *context, const deq_states *states);
    void (*solved)(void *context, const deq_frame *frame, const deq_fixed *fixed, int64_t n, void *rest, const void *z);
    void *listener;                     /* what they fill */
    deq_solve_record *records[2];       /* forward, adjoint: by fixed point, then example */
    deq_routine_fn *const *corrections; /* by fixed point; NULL: none */

    deq_progress *progress;
    void *context;
    atomic_llong done;
    atomic_llong
        failed;       /* lowest block that failed: those below it still run, so that it is the same for any threads */
    atomic_bool stop; /* the progress listener's wish */
    const deq_known *kept; /* where its solves are kept (a prediction), or taken from; NULL */
    struct outcome {       /* of one block: summed in order afterwards */
        deq_solve_statistics forward, adjoint;
        deq_error error;
        bool ran;
    } * outcomes;
} run;

typedef struct run_place { /* the block that a listener hears of */
    const run *run;
    int64_t from; /* its first example */
} run_place;

struct deq_kept_states {
    int count; /* fixed points */
    deq_known known[];
};

/* ---- engine_run.c ---- */
/* The whole call.  `loss` and `metric` by name, NULL: not wanted; `attack` NULL: none. */
bool engine_execute(run *r, const char *loss, const char *metric, const deq_attack *attack, deq_error *e);
/* Predictions of dense rows; `kept`: where their solves are kept, or NULL. */
bool engine_predict(deq_engine *engine, int64_t n, const void *x, void *output, const deq_known *kept,
                    deq_results *results, deq_error *e);
const engine_loss *engine_find_loss(const deq_engine *engine, const char *name, deq_error *e);

/* ---- engine_block.c ---- */
/* Block b on this worker, to its end; gradients in the parameters are added to accum, NULL: there are none.
 * ensures: r->outcomes[b]. */
void engine_block(run *r, int worker, int64_t b, char *accum);

/* ---- engine_objective.c ---- */
typedef struct engine_dense { /* rows without padding as a source, of which engine_gather_dense gathers */
    const char *x, *y;
    int64_t input, target; /* bytes of a row */
} engine_dense;
typedef struct engine_given { /* what the function without a routine reads */
    const char *records;
    int64_t stride, real_bytes;
} engine_given;
/* Asks, in the frame of the block that begins at example `from`, for the objective.  Without a function of its own
 * frame->record is to be the result, which lives as long as the call. */
engine_given engine_objective_ask(const engine_objective *o, const deq_engine *engine, int64_t from, deq_frame *frame);
void engine_gather_dense(void *context, const int64_t *index, int64_t n, int real_bits, void *x, int64_t input_bytes,
                         void *y, int64_t target_bytes);

/* ---- engine_gradient.c ---- */
/* ensures: penalties fit their fixed points; r->corrections, the routines of those that are corrections. */
bool engine_find_corrections(run *r, deq_error *e);
/* Runs all blocks, for their mean gradient in the parameters, through shards.  needs: engine_shards_ready. */
void engine_shards_run(run *r);
/* Memory for the first shards of r->blocks blocks. */
bool engine_shards_ready(run *r, deq_error *e);
/* The gradient vector becomes the mean over the shards' sums. */
bool engine_shards_add(run *r, deq_error *e);
#endif
