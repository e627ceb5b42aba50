/* statistics.h - how solves ended: of one example, and summed over many. */
#ifndef DEQ_RUNTIME_STATISTICS_H
#define DEQ_RUNTIME_STATISTICS_H
#include <stdbool.h>
#include <stdint.h>

typedef enum deq_reason {
    DEQ_RUNNING,
#define REASON(id, failed, doc) DEQ_REASON_##id,
#include "reasons.def"
#undef REASON
} deq_reason;

const char *deq_reason_name(deq_reason reason); /* "max_steps" */

/* Statistics of the solves of one call, forward and adjoint apart, over all fixed points. */
typedef struct deq_solve_statistics {
    int64_t solves, unconverged; /* per example; unconverged: stopped by max, or diverged */
    int64_t diverged;            /* NaN, infinity or a residual above `growth` times the first */
    double steps, residual;      /* sums over examples: mean = / solves */
    int64_t evaluations;         /* forward: of f, those with a tape too, over examples */
    double worst_residual;
    int64_t worst_example; /* identity; -1 none */
    int worst_fixed;       /* index of the fixed point */
    int64_t later;         /* answered by a later solver of a chain */
    int64_t left_out;      /* adjoint: examples whose gradient was not finite somewhere, and which it left out there */
} deq_solve_statistics;

void deq_statistics_clear(deq_solve_statistics *s);
void deq_statistics_add(deq_solve_statistics *sum, const deq_solve_statistics *s);

/* How one example's solve of one fixed point ended. */
typedef struct deq_solve_record {
    float steps, residual;
    uint8_t reason; /* deq_reason */
    bool solved;    /* false: there was no such solve */
    bool failed;    /* stopped short of its tolerance */
    uint8_t solver; /* of a chain: the one whose state was returned, 0 the first */
    bool left_out;  /* adjoint, also without a solve: the gradient was not finite, and nothing flows through */
} deq_solve_record;

/* What one example has cost and what became of it, since the engine cleared it. */
typedef struct deq_row_counts {
    int32_t solves, unconverged, diverged; /* forward */
    int32_t adjoints, adjoints_unconverged;
    int32_t queries, gradients; /* of an attack: evaluations of the net, gradients */
    int32_t undefined;          /* losses, objectives, outputs that it asked for and that are not finite */
    /* Gradients exactly zero, though the output was not wrong yet or a solve fell short and cut them; not finite, or cut. */
    int32_t zero, lost;
    int32_t label;                 /* of an attack on labels: the example's class + 1; 0: there is none */
    int32_t evaluations, products; /* of f; with its Jacobian or the transpose */
    float seconds;                 /* of a processor: this example's share of its block's (engine_block.c) */
    int32_t reason;                /* deq_reason of the worst forward solve: one that failed, else the last */
    bool failed;
    bool left_out; /* a gradient was not finite at a fixed point, and nothing went through it */
    /* Nothing flows through a solve of the gradient that is being made; the query that ends it counts it once. */
    bool cut;
    bool told; /* the gradient made last is counted as lost */
} deq_row_counts;
#endif
