/* engine_internal.h - the engine's parts, for the files engine*.c. */
#ifndef DEQ_RUNTIME_ENGINE_INTERNAL_H
#define DEQ_RUNTIME_ENGINE_INTERNAL_H
#include "engine.h"
#include "hand.h"
#include "memory.h"
#include "numeric.h"
#include "parallel.h"
#include "reals.h"
#include "resolvents.h"
#include "team.h"
#include "worker_plan.h"
#include <pthread.h>

typedef struct engine_loss {
    const char *name, *routines; /* the latter in the names of its routines */
    const deq_routine *loss, *input, *parameters, *replay;
    /* Of a loss of clean and attacked outputs, which has none of those: functions of the one output, on records of the
     * other, the target and the settings, which are scalars of the routines above. */
    const deq_routine *clean, *attacked;
    const double *settings;
    int nsettings;
    int64_t target_count, target_bytes; /* of its y rows */
} engine_loss;

typedef struct engine_metric {
    const char *name;
    const deq_routine *routine;
} engine_metric;

typedef struct engine_fixed {
    const char *path;
    const deq_fixed *descriptor;
    deq_hands hands;
} engine_fixed;

/* One thread's buffers: `block` rows of every argument. */
typedef struct engine_worker {
    deq_worker *solver;
    char *x, *y, *adversarial, *output, *loss, *metric, *dx, *scratch;
    char *clean, *clean_dx, *record, *spare; /* of losses of two outputs; spare: a gradient nobody wants */
    int64_t *example;
    double *penalty, *corrected;
    char *memory;
    size_t memory_bytes;
} engine_worker;

/* Settings put aside. */
typedef struct engine_saved {
    deq_defence defence;
    deq_fixed_settings fixed[];
} engine_saved;

struct deq_engine {
    const deq_module *module;
    const deq_net_spec *net;
    const char *name;
    int real_bits;
    int64_t real_bytes;
    int64_t input_count, output_count;
    int64_t input_bytes, output_bytes, target_bytes; /* row strides */
    int64_t widest_target_bytes;                     /* of the net's target and its losses' */
    int64_t parameter_bytes, shared_bytes, accum_bytes;
    const deq_routine *prepare, *finish, *predict;
    const deq_routine *statistics; /* statistics of the batch couple the examples of a training batch; else NULL */
    /* Of any function of the output; NULL: not compiled. */
    const deq_routine *objective_input, *objective_parameters, *objective_vjp;
    bool pairs;        /* some loss is of clean and attacked outputs, */
    int most_settings; /* with at most so many settings */
    bool labels;       /* the target is a label */
    bool dealt;        /* deq_engine_options */
    engine_loss *losses;
    engine_metric *metrics;
    engine_fixed *fixed;
    const deq_fixed **descriptors;
    int nlosses, nmetrics, nfixed;

    deq_routine_fn **corrections;             /* by fixed point, of the running call */
    deq_fixed_settings *settings, *attacking; /* by fixed point; `attacking`: of an attack's own mode */
    deq_defence defence;                      /* of predictions */
    struct engine_saved **saved;
    uint32_t saves;

    deq_pool *pool;
    int threads, nworkers; /* workers: one a thread, and of a coupled batch one a part */
    engine_worker *workers;
    deq_team *team;                            /* of the last coupled batch; NULL: none yet */
    deq_partners *partners[DEQ_TEAM_MOST / 2]; /* of its members (engine_partners.h) */
    bool apart;                                /* deq_engine_apart */

    bool images;             /* it has convolutions: rows come one at a time, */
    bool heavy;              /* or a few: its weights leave the caches, and reading them must be worth while */
    int64_t least;           /* examples that are worth a block of their own */
    int64_t block, capacity; /* examples of a block; rows that workers have room for */
    int64_t scratch_bytes;   /* of one worker */
    int64_t solve_bytes;     /* of one example, about */

    char *previous; /* start: previous.  For each such fixed point one state row for each of the `visited` examples from
                       `first_visited` on, as training left them; NaN: never.  NULL: nobody remembers */
    int64_t first_visited, visited, previous_bytes;
    deq_engine *owner;          /* whose `shared` it is; itself */
    _Atomic(uint64_t) prepared; /* of the owner: how often */
    uint64_t resolved;          /* the owner's `prepared` that the resolvents are of */
    char *shared, *gradients, *states;
    /* engine_shards.h: sums that begin with shard s and end before shard_ends[s], NULL: none; vectors that nobody has */
    char *shards[DEQ_SHARDS], *vectors[3 * DEQ_SHARDS];
    int shard_ends[DEQ_SHARDS], nvectors, vectors_made;
    pthread_mutex_t shards_lock;
    int state_count;
    double *gathered; /* the gradients of a step's batches, summed; NULL: never yet */
    double *rates;    /* factors of steps by parameter, and the parameters before the step; NULL: all are 1 */
    char *before;
    deq_resolvents resolvents; /* of the parameters as last prepared */
    deq_held *held;            /* deq_engine_hold: by fixed point; NULL: no states are held */
};

/* NULL when the module has no such routine. */
const deq_routine *engine_routine(const deq_engine *engine, const char *name);
/* The settings in force under an attack's gradient mode: of every fixed point into `out`. */
bool engine_attacking(const deq_engine *engine, deq_fixed_settings *out, const char *gradient, deq_error *e);
/* Room for blocks of `rows` examples. */
bool engine_capacity(deq_engine *engine, int64_t rows, deq_error *e);
/* A team of `members`, which have a worker each.  ensures: g->team. */
bool engine_team(deq_engine *engine, int members, deq_error *e);
/* NET_prepare or NET_finish, NULL: nothing, on all threads; `bytes` of values.  No bit depends on the pieces. */
void engine_in_pieces(deq_engine *engine, const deq_routine *routine, int64_t bytes);
/* Gives every worker at least this much scratch. */
bool engine_scratch(deq_engine *engine, int64_t bytes, deq_error *e);
#endif
