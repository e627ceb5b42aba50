/* predict.h - how long a training step takes on several machines: arithmetic alone, from the cost of an example on one
 * core, a network, and what the ranks send each other (engine/engine_ranks.c). */
#ifndef DEQ_RUNTIME_PREDICT_H
#define DEQ_RUNTIME_PREDICT_H
#include "error.h"
#include <stdint.h>

typedef struct deq_network {
    double latency, bandwidth; /* seconds of a message; bytes a second of one machine, in each direction */
} deq_network;

/* A name of networks.def, or "SECONDS,BYTES".  False: *e says what there is. */
bool deq_network_of(const char *text, deq_network *out, deq_error *e);

/* One step of the optimiser, measured on one core and counted. */
typedef struct deq_step_cost {
    int64_t batch, accumulate; /* examples of a batch, batches of a step */
    double attack, gradient;   /* seconds of an example, */
    double paired;             /* the gradient's, where a thread has several parts of a coupled batch; 0: the same */
    double attack_block;       /* and of the attack for each block besides */
    double update;             /* seconds of the step, on every rank */
    int64_t blocks;            /* into which a batch is cut; of a coupled one its attacks, on one core */
    int shards;                /* that its gradient is the sum of */
    int64_t gradient_bytes;    /* as it is summed over ranks */
    int64_t told_bytes;        /* of a batch, by all ranks to all, before the sum */
    /* A net with statistics of the batch: its attacks are dealt block by block before, its gradient in parts that meet. */
    bool coupled;
    bool small_blocks;      /* where there are more cores than blocks, a block is an example's attack at least */
    double meetings;        /* of the parts, in a batch */
    double meeting_bytes;   /* that a part brings to all of them together */
    int64_t attacked_bytes; /* inputs and counts, by all ranks to all */
} deq_step_cost;

typedef struct deq_step_prediction {
    double compute, update, reduction, meetings; /* seconds of a step */
    double step;                                 /* their sum */
    double ideal;                                /* the same if the batch were cut into a part for every core */
    int busy;                                    /* cores that have a part of the batch */
    int64_t reduced;                             /* bytes that a rank sends in reductions, the one that sends most */
} deq_step_prediction;

/* One rank a machine, with so many threads. */
deq_step_prediction deq_predict_step(const deq_step_cost *cost, const deq_network *network, int ranks, int threads);
#endif
