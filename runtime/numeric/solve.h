/* solve.h - what the solvers share: a block of examples of z = h(z), frozen one by one as they end.
 *
 * h is the cell f (the state), or J' u + g (the adjoint).  Examples that run stand at positions 0 .. active-1 of the
 * contiguous rows handed to routines; rows[i] is the row of the block, under which everything lasting is kept.
 * Files: solve.c, early.c, known.c, defended.c (problem_defend), measure.c (problem_measure). */
#ifndef DEQ_NUMERIC_SOLVE_H
#define DEQ_NUMERIC_SOLVE_H
#include "vector.h"
#include "memory.h"
#include "numeric.h"

typedef struct progress {     /* of one example */
    double first;             /* norm(h(z) - z) at the start; negative: not known */
    double first_image;       /* norm(h(z)) at the start; negative: not known */
    double highest;           /* norm(h(z) - z) so far */
    double lowest;            /* residual of the best state */
    double lowest_difference; /* its norm(h(z) - z) */
    double residual;          /* of the last state */
    int lowest_step;          /* its step; -1: no finite state yet */
    int steps;
    bool lowest_grown; /* the best state had grown: a lower relative residual alone does not make it better */
    bool saved;        /* the state of lowest_step stands in `best` */
    deq_reason reason;
    bool failed; /* it ended short of what was asked for */
    int solver;  /* of the chain, the one whose state is returned */
} progress;

struct correct;
struct ride;

/* f at the states that a forward solve returns, as far as the solver knows it. */
typedef struct images {
    real *of_result, *of_best; /* by row */
    /* By row: nobody knows it, of_result holds it, or it stands in the place of the result: its first step is made. */
    enum { IMAGE_UNKNOWN, IMAGE_KEPT, IMAGE_RESULT } * known;
    bool direct, always; /* the latter is wanted, of converged examples too: nobody reads the state itself */
    deq_kept *record;    /* whose first tape the solver's last evaluation fills; NULL: f alone is wanted */
    bool *linearised;    /* by row: there it is that of the state returned, and of_result holds f */
} images;

/* Where examples ended that go on for the sake of a gradient at later states: their value is independent of it. */
typedef struct early {
    real *result;       /* by row */
    progress *progress; /* by row */
    enum { EARLY_NOT, EARLY_NOW, EARLY_KEPT } * when;
} early;

typedef struct problem {
    deq_worker *worker;
    const deq_fixed *fixed;
    const deq_solver *options;
    bool adjoint, keep_last;
    int least;                  /* steps before an example may end as converged */
    deq_frame frame;            /* handed to the routines */
    deq_kept *tapes;            /* adjoint: the linearisation; forward: not NULL when every evaluation is to be kept */
    const deq_defence *defence; /* predictions are read off it; NULL: off the state returned */
    const int64_t *ident;       /* the caller's example identities by row; NULL */
    int64_t n, active;
    int64_t vectors;           /* of a state row */
    const real *rhs;           /* adjoint: g by row; NULL forward */
    const double *scale;       /* adjoint: what g was divided by */
    real *result;              /* by row */
    const real *start;         /* the first state, by row; NULL: zero */
    bool quiet;                /* reports nothing */
    images *images;            /* where a solver that evaluates its last state leaves f there; NULL: not wanted */
    early *early;              /* with `least`: where examples ended before; NULL: not wanted */
    struct correct *correct;   /* the loss at states on the way (correct.h); NULL */
    struct ride *ride;         /* what else happens at the states (ride.h); NULL */
    deq_history *history;      /* Broyden: where the directions are to stay; NULL */
    const deq_history *prior;  /* Broyden, adjoint: starts from this inverse estimate, transposed; NULL: -I */
    real prior_step;           /* step size of the solve that made it */
    deq_routine_fn *cotangent; /* dL/dz, where the solver may use it; NULL */
    deq_visits *visits;        /* where the states are to stay for the next visit; NULL */
    const double *tolerance;   /* by row, in place of options->tol; NULL */
    const progress *earlier;   /* by row: how solvers before this one ended, whose steps count; NULL */
    /* by position */
    int32_t *rows, *previous;
    int64_t *example;
    deq_reason *ended;
    double *error;
    /* by row */
    progress *progress;
    real *best;
    real *named, *sum; /* defence: the states so far, weighted, and all of them, added */
} problem;

typedef void solver_run(problem *p, deq_space *space);

/* Every solver takes its buffers from the space and, unless that only measures, solves the problem. */
#define SOLVER(name, uses, doc) solver_run NAME(solve_##name);
#include "solvers.def"

/* Readies the problem for its first n rows, or for `rows`; with a measuring space it only takes memory. */
void NAME(problem_open)(problem *p, deq_space *space, int64_t n, const int32_t *rows);

/* w becomes -B'w (broyden.c), with the directions and inverses of one example, `newest` and `factors` as in
 * deq_history; `steps` NULL: all have the size `step`. */
void NAME(broyden_transposed)(vec *w, const vec *directions, const real *inverse, const real *steps, int capacity,
                              int newest, int factors, real step, int64_t n);

INLINE const real *NAME(history_steps)(const deq_history *h, int64_t row) {
    return h->varied ? (const real *)h->steps + row * h->capacity : (const real *)0;
}

/* w becomes -H'w by the `count` pairs of one example (adjoint_broyden.c). */
void NAME(pairs_transposed)(vec *w, vec *pairs, int count, int capacity, int64_t n);

/* w becomes -B'w, B the estimate of this row. */
INLINE void NAME(history_transposed)(vec *w, const deq_history *h, int64_t row, real step, int64_t n) {
    vec *rows = (vec *)h->directions + row * (int64_t)(h->capacity + 1) * n;
    if (h->pairs)
        NAME(pairs_transposed)(w, rows, h->factors[row], h->capacity, n);
    else
        NAME(broyden_transposed)
    (w, rows, (const real *)h->inverse + row * (int64_t)h->capacity, NAME(history_steps)(h, row), h->capacity,
     h->newest[row], h->factors[row], step, n);
}

/* ---- line_search.c ---- */
typedef struct line_search { /* by row of the block but for the buffers */
    double *before;          /* norm(f(z) - z) of the state from which the step is made */
    real *taken;             /* share of the direction in the step */
    bool *stuck;             /* no trial lowered the residual */
    real *in, *out;          /* trials, side by side */
    double *least;           /* lowest residual of a trial, and its share */
    real *at;
    int32_t *rows, *position;
    int64_t *example;
} line_search;
void NAME(line_search_open)(line_search *s, problem *p, deq_space *space);
/* On entry z = old z + taken d of the running examples, by position, and f their images, where d is row `slot` of the
 * `stride` rows of directions of each example.  Where norm(f - z) is not low enough, shortens the step by halves, at
 * most LINE_SEARCH_TRIALS times; z, f and `taken` become those of the first trial that is, else of the best one. */
#define LINE_SEARCH_TRIALS 10
void NAME(line_search_run)(line_search *s, problem *p, real *z, real *f, const real *directions, int stride, int slot);

/* Every solver of the chain in turn, each on the examples that those before it left short of their tolerance. */
void NAME(problem_run)(problem *p, deq_space *space);
/* Reports every example, in the order of the rows. */
void NAME(problem_report)(problem *p);

/* ---- early.c ---- */
/* Takes its buffers from the space. */
void NAME(early_open)(early *e, const deq_fixed *fixed, deq_space *space, int64_t n);
/* Position i would end for `reason` if nobody asked for more steps. */
void NAME(early_note)(problem *p, int64_t i, deq_reason reason);
/* Keeps what the examples noted in this step return; z: their states. */
void NAME(early_keep)(problem *p, int step, const real *z);
/* The solve is over: result and progress of the first `count` positions become what was kept. */
void NAME(early_restore)(problem *p, int64_t count);
/* ---- known.c ---- */
/* Puts away how the examples of a plain solve ended, where the request wants that. */
void NAME(known_keep)(const problem *p);
/* The ends that were put away become those of this problem; false: it has to be solved. */
bool NAME(known_take)(problem *p);

#define problem_apply NAME(problem_apply)
#define problem_judge NAME(problem_judge)
#define problem_stream NAME(problem_stream)
#define problem_compact NAME(problem_compact)
#define problem_defend NAME(problem_defend)
#define problem_defend_value NAME(problem_defend_value)
#define problem_measure NAME(problem_measure)

INLINE vec *row_of(const problem *p, const real *buffer, int64_t row) { return (vec *)buffer + row * p->vectors; }
INLINE const vec *rhs_of(const problem *p, int64_t i) {
    return p->rhs ? row_of(p, p->rhs, p->rows[i]) : (const vec *)0;
}
INLINE void *take_rows(problem *p, deq_space *space, int64_t count) {
    return deq_space_take(space, (size_t)count * (size_t)p->vectors * sizeof(vec));
}

/* out = f(in) of the running examples, or J' in (to which the solver adds g).  `evaluation` counts from 0; the
 * adjoint's evaluation 0 is at zero and costs nothing. */
void problem_apply(problem *p, const real *in, real *out, int evaluation);

/* Judges position i after `step` steps: difference = norm(h(z) - z), image = norm(h(z)).  Sets ended[i], error[i] and
 * the example's progress.  `state`: this residual belongs to a state (z_0 is none).  True when it is the lowest so far.
 */
bool problem_judge(problem *p, int64_t i, int step, bool state, double difference, double image);

/* Whether an example that ended at `step` returns the state of that step (else the best one, or zero if there is none).
 */
INLINE bool returns_last(const problem *p, const progress *q, int step) {
    return q->lowest_step == step || (p->keep_last && q->reason != DEQ_REASON_diverged);
}
/* The records that the last evaluation left, by position, become those of their rows, and positions those too. */
void NAME(problem_order)(problem *p, char *tape);
/* The best state was not the last: copies what was saved, or the fallback when no state was finite. */
void NAME(problem_return_best)(problem *p, int64_t row);

/* Whether somebody wants to see the states. */
INLINE bool problem_streams(const problem *p) {
    return p->worker->request.stream || p->defence || p->ride || p->correct || p->early;
}
/* Adds the states of this step to what the defence reads; an example that ends gets its result. */
void problem_defend(problem *p, int step, const real *z);
/* The same of the value, where the defence reads it: `value` becomes the sum. */
void problem_defend_value(const problem *p, const deq_defence *d, real *value);

/* When the solve is over: the residual of each example becomes that of its row of `value`, which is the result, or where
 * `moved` (by row) comes from it.  With a measuring space it only takes memory. */
void problem_measure(problem *p, deq_space *space, const real *value, const bool *moved);

/* Hands the states of this step to the worker's listener and the defence. */
void problem_stream(problem *p, int step, const real *z);

/* Closes the gaps left by examples that ended; `z` are the running examples' rows for the next evaluation. */
void problem_compact(problem *p, real *z);

/* z = the first states of the running examples. */
void NAME(problem_start)(const problem *p, real *z);

/* One adjoint solve on kept linearisations: u = J'u + rhs, rows of `result`.  kept->rows is permuted as tapes are.
 * `start` and `prior` as in problem, NULL: none. */
void NAME(solve_adjoint)(deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, const deq_solver *options,
                         deq_kept *kept, int64_t n, const real *rhs, const double *scale, const real *start,
                         const deq_history *prior, real *result, deq_space space);
size_t NAME(solver_bytes)(const deq_fixed *fixed, const deq_solver *options, bool adjoint, int64_t n);

/* ---- runs.c: routines on the rows that may be used ---- */
/* Whether every element is finite. */
bool NAME(row_finite)(const vec *x, int64_t n);
/* out = (1 - damping) z + damping f; out may be z or f.  False where f is not finite: out is of no use then. */
bool NAME(damped_step)(vec *out, const vec *z, const vec *f, real damping, int64_t n);
/* A product with J' on records 0 .. n-1 (position i of arg0, arg1, tape, rows, example), without those that are bad. */
void NAME(call_good)(deq_routine_fn *routine, const deq_frame *frame, const deq_fixed *fixed, int64_t n,
                     const bool *bad);
/* The same for the cotangent of the loss at states, which is no product with J' and not counted as one. */
void NAME(call_cotangent)(deq_routine_fn *cotangent, const deq_frame *frame, const deq_fixed *fixed, int64_t n,
                          const bool *bad);
/* `count` damped steps from the states z, which are overwritten; the last one comes in `out`, linearisation t in
 * tapes + t * stride.  A state after which f is not finite stays what it is, and its record is marked as bad.
 * `image`: f(z), where its linearisation stands in the first tape already, of the rows that are `here` (NULL: of all);
 * NULL: of none. */
void NAME(steps_forward)(const deq_frame *frame, const deq_fixed *fixed, int64_t n, int count, double damping,
                         bool undamped_first, char *tapes, int64_t stride, real *z, real *out, bool *bad,
                         const real *image, const bool *here);
/* f of the states arg0 and its linearisation, of the rows whose `image` and record are not `here` (as above). */
void NAME(linearise_others)(const deq_frame *frame, const deq_fixed *fixed, int64_t n, const real *image,
                            const bool *here);
/* The way back: u is the cotangent of the last state (overwritten); adds to drest, and to accum unless NULL.  v, out:
 * space for n rows. */
void NAME(steps_back)(const deq_frame *frame, const deq_fixed *fixed, int64_t n, int count, double damping,
                      bool undamped_first, char *tapes, int64_t stride, real *u, real *v, real *out, const bool *bad);
/* The same for a linear map without linearisation: u = map->vjp_z(u) + rhs, reported as an adjoint solve. */
void NAME(solve_map)(deq_worker *worker, const deq_frame *frame, const deq_fixed *map, const deq_solver *options,
                     int64_t n, const real *rhs, const double *scale, real *result, deq_space space);
/* Of deq_solve_linear with this solver. */
size_t NAME(linear_bytes)(const deq_fixed *map, const deq_solver *solver, int64_t n);
/* out = g / c with c a power of two that brings it near norm 1, where tolerances and f32 squares are at home; returns
 * c, and 1 for a zero row. */
double NAME(scale_right)(vec *out, const vec *g, int64_t vectors);
#endif
