/* worker.h - what one thread needs to solve fixed points and differentiate through them on a block of examples.
 *
 * A worker is frame->host of every routine that runs on its thread.  Its memory is laid out by deq_worker_plan
 * (worker_plan.h) from the descriptors and the settings; solving allocates nothing. */
#ifndef DEQ_RUNTIME_WORKER_H
#define DEQ_RUNTIME_WORKER_H
#include "deq_runtime.h"
#include "defence.h"
#include "partners.h"
#include "settings.h"
#include "statistics.h"

/* One step of a forward solve on the examples that are still running, as streamed.  z_0 is not a state: steps count
 * from 1, and state n is what the solver would return if it were stopped after n steps. */
typedef struct deq_states {
    const deq_fixed *fixed;
    int step;
    int64_t n;
    const int32_t *rows;    /* row of the block of each */
    const int64_t *example; /* identity of each; NULL if the frame has none */
    const double *residual; /* last known residual of each, as the solver's `stop` measures it */
    const void *z;          /* rows of fixed->state_bytes */
} deq_states;

/* Directions of a Broyden solve, from which its inverse estimate B is applied (numeric/broyden.c). */
typedef struct deq_history {
    void *directions; /* `capacity` state rows, and one to spare, for each row of the block */
    void *inverse;    /* 1 / d'd of each direction; 0: its factor is left out */
    int capacity;
    int32_t *newest, *factors; /* by row: slot of the newest direction; factors of B */
    void *steps;               /* step size of each direction, */
    bool varied;               /* when the line search changed them */
    bool pairs;                /* adjoint_broyden.c's: two rows for each of `factors` updates, and no inverse */
} deq_history;

/* What a solve leaves for the gradient: one for each fixed point. */
typedef struct deq_kept {
    deq_mode mode;
    int64_t n;
    double damping; /* of the forward iteration: backprop; shine: its step size */
    void *z;        /* n state rows: where the mode attaches; augmented: the adjoint */
    char *tape;     /* one block of records for each linearisation */
    int64_t tape_stride;
    int32_t *rows;       /* `block` for each step: record i of its tape belongs to row rows[i] of the block */
    int64_t *active;     /* records of each step */
    int steps;           /* steps kept */
    bool *failed;        /* by row: the solve did not converge */
    bool *due;           /* by row: the steps of `finish` were made */
    int32_t *made;       /* backprop: by row, the steps that made the solver's state */
    bool *bad;           /* by row: the linearisation is not finite; nothing flows through this example */
    char *drest;         /* simultaneous, unrolled: cotangents of the rest records, gathered while solving; else NULL */
    char *states;        /* backprop with checkpoints: `block` state rows for each; else NULL */
    deq_history history; /* shine; else without directions */
    bool added;          /* this solve has penalties; their cotangents, where `penalty` is set: */
    void *added_u;       /* of the state */
    void *added_drest;   /* of the rest records */
} deq_kept;

/* start: previous.  Where the last forward solve of each row left it; of one fixed point. */
typedef struct deq_visits {
    char *states;     /* one row an example; NULL: no settings ask for it */
    int64_t *visitor; /* by row: the identity of the example whose state it is; -1: nobody's */
    char *joint;      /* augmented(carry: true): a state row and an adjoint row an example; NULL */
    int64_t *carrier; /* by row: whose they are; -1: nobody's */
} deq_visits;

/* deq_engine_hold: where forward solves left the examples below `count`, of one fixed point. */
typedef struct deq_held {
    char *states; /* one row an example; NULL: none */
    bool *taken;  /* by example: its state is there */
    int64_t count;
} deq_held;

/* Where the forward solves of one fixed point have left the examples of a call, for a later call on the same examples. */
typedef struct deq_known_end {
    double residual;
    int steps, solver, times; /* times: solves that left it; only after one is the state known */
    deq_reason reason;
    bool failed;
} deq_known_end;
typedef struct deq_known {
    char *states;        /* a row an example */
    deq_known_end *ends; /* by example */
} deq_known;

/* What a call of routines asks of the solves inside it.  It is handed over whole (deq_worker_begin), so that nothing
 * stays from the call before; what it points to lives as long as the call. */
typedef struct deq_request {
    const deq_fixed_settings *settings; /* by index: one of those that were planned */
    /* Every state of forward solves; NULL: nobody listens. */
    void (*stream)(void *context, const deq_states *states);
    void *stream_context;
    /* After each forward solve: its n states z (of the module's reals; where want_gradient was 0).  NULL: nobody. */
    void (*solved)(void *context, const deq_frame *frame, const deq_fixed *fixed, int64_t n, void *rest, const void *z);
    void *solved_context;
    deq_solve_record *records[2]; /* how each forward [0] and adjoint [1] solve ended: by fixed index, then row; NULL */
    int64_t records_stride;       /* between fixed points */
    /* What predictions (solves without gradient) are read off; NULL: the state returned.  Needs a plan for defences. */
    const deq_defence *defence;
    /* Solves with gradient go on with what the defence reads, too: an attack knows it.  Not with `surrogate`. */
    bool knows;
    /* The net goes on with the states at which gradients are taken, where those are not the value (judge: surrogate). */
    bool surrogate;
    /* The residual of a forward solve is that of the state it hands on, if need be for an evaluation more. */
    bool measures;
    /* By row of the block: penalties are added here; NULL: none are wanted.  They are taken at the states that the net
     * goes on with, in solves that keep a gradient in the parameters. */
    double *penalty;
    double *corrected; /* the same for corrections; and NAME_LOSS_correction by fixed index, NULL: none: */
    deq_routine_fn *const *corrections;
    deq_held *held; /* by index; NULL: every solve is made */
    /* By index; NULL: nothing is known.  Plain solves (nothing happens at their states) are kept there, or taken. */
    const deq_known *known;
    int64_t known_from; /* example of the block's first row */
    bool keeps;         /* kept */
} deq_request;

typedef struct deq_worker {
    int real_bits;
    int64_t block; /* most rows of a call */
    int fixed_count;
    const deq_fixed *const *fixed; /* of the net, by index */
    deq_request request;

    float *steps, *residual;               /* by row of the block: forward solves since the request (sum, worst) */
    deq_row_counts *counts;                /* by row of the block, since the request */
    deq_solve_statistics forward, adjoint; /* since the request */
    deq_error error;                       /* on_fail: stop */

    deq_kept *kept;     /* by index */
    deq_visits *visits; /* by index */
    char *started;      /* first states of the running solve that are not zero */
    char *scratch;      /* of the fixed points' routines */
    char *hand;         /* of gradients written by hand */
    char *solver;       /* of the running solver */
    char *defended;     /* two state rows an example, when a defence was planned */
    int32_t *identity;  /* 0, 1, 2, ... */
    char *memory;
    size_t memory_bytes;
    struct deq_team *team;  /* of the parts of a coupled batch; NULL: the batch is one part, or not coupled */
    int member;             /* which part is this worker's */
    deq_partners *partners; /* with its partner in the team; NULL: it makes its calls alone */
    const struct deq_resolvents *resolvents; /* what splitting solvers multiply with (resolvent.h); NULL: none */
} deq_worker;

/* n evaluations of f are made, with or without its tape, of the rows that the frame names: counted in all, and by row. */
static inline void deq_count_evaluations(const deq_frame *frame, int64_t n) {
    deq_worker *w = frame->host;
    w->forward.evaluations += n;
    for (int64_t i = 0; i < n; i++) w->counts[frame->rows[i]].evaluations++;
}
/* f of n states, and f with its tape, as the frame says; counted. */
static inline void deq_evaluate(const deq_fixed *fixed, const deq_frame *frame, int64_t n) {
    deq_count_evaluations(frame, n);
    deq_partners_call(fixed->f, fixed, frame, n);
}
static inline void deq_linearise(const deq_fixed *fixed, const deq_frame *frame, int64_t n) {
    deq_count_evaluations(frame, n);
    deq_partners_call(fixed->lin, fixed, frame, n);
}
/* n products with the Jacobian of f or its transpose are made, in the inputs of f too; counted by row. */
static inline void deq_count_products(const deq_frame *frame, int64_t n) {
    deq_worker *w = frame->host;
    for (int64_t i = 0; i < n; i++) w->counts[frame->rows[i]].products++;
}

/* A worker for the fixed points of a net; nothing is planned yet.  NULL when memory is short. */
deq_worker *deq_worker_new(int real_bits, int64_t block, const deq_fixed *const *fixed, int fixed_count);
void deq_worker_free(deq_worker *worker);
/* The solves from now on are of this request. */
void deq_worker_begin(deq_worker *worker, const deq_request *request);
/* No row has been visited. */
void deq_worker_forget(deq_worker *worker);

/* Steps of Broyden's method whose updates are all kept unless `memory` says otherwise: from there on a step costs the
 * same.  Harder problems than most need more: runtime/README.md. */
#define DEQ_HISTORY_MOST 512

/* Directions a Broyden solve of these options keeps; `last`: also the one after the last step. */
static inline int deq_history_capacity(const deq_solver *o, bool last) {
    if (o->kind == DEQ_SOLVER_adjoint_broyden) {
        const int most = o->max + (o->opa > 0 ? o->max / o->opa + 1 : 0);
        return 2 * (o->memory > 0 && o->memory < most ? o->memory : most);
    }
    const int kept = o->memory > 0 ? o->memory : DEQ_HISTORY_MOST;
    return kept < o->max ? kept + 1 : o->max + last;
}

/* Takes note of the end of one example's solve. */
void deq_worker_record(deq_worker *worker, const deq_fixed *fixed, bool adjoint, int64_t row, int64_t example,
                       int steps, double residual, deq_reason reason, bool failed);
/* Which solver of a chain made the state or adjoint that was recorded last for this row. */
void deq_worker_answered(deq_worker *worker, const deq_fixed *fixed, bool adjoint, int64_t row, int solver);
/* The gradient of an example is not finite at this fixed point, hence left out: nothing flows through it. */
void deq_worker_left_out(deq_worker *worker, const deq_fixed *fixed, int64_t row, int64_t example);
/* The worst example that did not converge: an error under on_fail: stop. */
void deq_worker_stop(deq_worker *worker, const deq_fixed *fixed, bool adjoint, int64_t example, int steps,
                     double residual, deq_reason reason);
#endif
