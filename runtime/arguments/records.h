/* records.h - settings as values: a solver or a chain of them, a gradient mode, a finish, penalties, what a training
 * does to gradients and parameters, an initialiser, a transformation.  A member that an argument sets has the argument's name, or the one that families.c gives. */
#ifndef DEQ_RUNTIME_RECORDS_H
#define DEQ_RUNTIME_RECORDS_H
#include "call.h"
#include <stdbool.h>
#include <stddef.h>

typedef enum deq_solver_kind {
#define SOLVER(name, uses, doc) DEQ_SOLVER_##name,
#include "solvers.def"
    DEQ_SOLVERS
} deq_solver_kind;

typedef enum deq_mode_kind {
#define MODE(id, ...) DEQ_MODE_##id,
#define MODE_NAMED(id, ...) DEQ_MODE_##id,
#include "modes.def"
} deq_mode_kind;

typedef enum deq_penalty_kind {
#define PENALTY(id, doc) DEQ_PENALTY_##id,
#include "penalties.def"
    DEQ_PENALTIES
} deq_penalty_kind;

#define DEQ_CHAIN_MOST 4
/* The arguments of one solver; members not used by a kind hold their defaults. */
#define DEQ_SOLVER_ARGUMENTS                                                                                           \
    deq_solver_kind kind;                                                                                              \
    double tol, growth, damping, ridge, step;                                                                          \
    int max, memory;                                                                                                   \
    int absolute, last;                       /* stop: absolute; return: last */                                       \
    int least_squares, delay, restart, every; /* anderson; deq_least_squares */                                        \
    int line_search;                          /* broyden, newton_krylov: deq_line_search */                            \
    int krylov;                               /* newton_krylov */                                                      \
    int opa;                                  /* adjoint_broyden */                                                    \
    double forcing;

typedef struct deq_link {
    DEQ_SOLVER_ARGUMENTS
} deq_link;
typedef struct deq_solver { /* A else B else C: what A does not solve goes on with B, then with C */
    DEQ_SOLVER_ARGUMENTS
    int links; /* solvers after the first */
    deq_link then[DEQ_CHAIN_MOST - 1];
} deq_solver;
_Static_assert(offsetof(deq_link, forcing) == offsetof(deq_solver, forcing), "links begin alike");

typedef enum deq_least_squares { DEQ_GRAM, DEQ_QR } deq_least_squares;
typedef enum deq_line_search { DEQ_FULL_STEP, DEQ_ARMIJO } deq_line_search;

typedef enum deq_pair { DEQ_LAG, DEQ_LEAD } deq_pair;
typedef enum deq_combine { DEQ_MEAN, DEQ_LAST, DEQ_SUM } deq_combine;
typedef enum deq_weights { DEQ_UNIFORM, DEQ_CUMULATIVE } deq_weights;

typedef struct deq_mode { /* arguments as in modes.def; those not used by a kind hold their defaults */
    deq_mode_kind kind;
    deq_solver adjoint; /* implicit */
    int steps;          /* phantom, neumann, unrolled, augmented; else 1 */
    double damping;
    const struct deq_hand *hand; /* of a gradient that a script declares: which; else NULL */
    bool replaced;               /* hand: `adjoint` is the solver of all its solves */
    bool undamped_first;         /* phantom, unrolled */
    deq_range states;            /* simultaneous, unrolled (its argument `from`); else first == limit */
    double beta;                 /* simultaneous */
    int pair, combine;           /* deq_pair, deq_combine */
    int weights;                 /* unrolled: deq_weights */
    int refine, fallback;        /* shine; fallback 0: jfb, 1: none */
    double ratio;
    double adjoint_damping; /* augmented */
    int checkpoint;         /* backprop */
    bool carry;             /* augmented */
} deq_mode;

typedef struct deq_penalty { /* arguments as in penalties.def; those of other kinds hold 0 */
    bool given, detach;
    double weight, frequency, increment, gamma, damping;
    int samples, iterations, every, until, steps;
    int weights; /* deq_correction_weights */
    deq_range states;
} deq_penalty;

typedef enum deq_correction_weights { DEQ_EXPONENTIAL, DEQ_LINEAR, DEQ_CONSTANT } deq_correction_weights;

typedef struct deq_penalties {
    deq_penalty kinds[DEQ_PENALTIES]; /* at most one of each */
} deq_penalties;

typedef enum deq_finish_kind {
#define FINISH(id, doc) DEQ_FINISH_##id,
#include "finishes.def"
} deq_finish_kind;

typedef struct deq_finish { /* arguments as in finishes.def; those of other kinds hold 0 */
    deq_finish_kind kind;
    int steps;
    double damping;
    bool undamped_first, always;
} deq_finish;

typedef enum deq_clip_kind {
#define CLIP(id, doc) DEQ_CLIP_##id,
#include "training.def"
} deq_clip_kind;

typedef struct deq_clip { /* arguments as in training.def */
    deq_clip_kind kind;
    double most;
} deq_clip;

typedef enum deq_average_kind {
#define AVERAGE(id, doc) DEQ_AVERAGE_##id,
#include "training.def"
} deq_average_kind;

typedef struct deq_average {
    deq_average_kind kind;
    double decay;
    bool warmup;
} deq_average;

typedef enum deq_intermediate_kind {
#define INTERMEDIATE(id, doc) DEQ_INTERMEDIATE_##id,
#include "training.def"
} deq_intermediate_kind;

typedef struct deq_intermediate {
    deq_intermediate_kind kind;
    deq_range states;
} deq_intermediate;

typedef enum deq_replay_kind {
#define REPLAY(id, doc) DEQ_REPLAY_##id,
#include "training.def"
} deq_replay_kind;

typedef struct deq_replay {
    deq_replay_kind kind;
    int times;
    double radius, step, low, high;
} deq_replay;

typedef enum deq_initialiser_kind {
#define INIT(name, rule, signature, doc) DEQ_INIT_##name,
#include "initialisers.def"
    DEQ_INITIALISERS
} deq_initialiser_kind;

typedef struct deq_initialiser {
    deq_initialiser_kind kind;
    double std, low, high, bound, scale, value;
} deq_initialiser;

typedef struct deq_transform { /* transforms.def */
    const char *name;
    int kind; /* row of the table */
    int pad, size;
} deq_transform;
#endif
