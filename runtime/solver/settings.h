/* settings.h - solver and gradient-mode settings, from text such as "implicit(gmres(tol: 1e-4, max: 30))".
 *
 * Text comes from the manifest and from --set; names, defaults and ranges from solvers.def and modes.def.
 * Files: settings.c, settings_check.c, modes.c (their names). */
#ifndef DEQ_RUNTIME_SETTINGS_H
#define DEQ_RUNTIME_SETTINGS_H
#include "call.h"
#include "deq_runtime.h"
#include "error.h"
#include "penalty.h"
#include <stddef.h>

#define DEQ_SETTING_TEXT 2048 /* bytes that hold the canonical text of any solver or mode */

typedef enum deq_solver_kind {
#define SOLVER(name, uses, doc) DEQ_SOLVER_##name,
#include "solvers.def"
} deq_solver_kind;

typedef enum deq_mode_kind {
#define MODE(id, spelling, traits, forward, doc) DEQ_MODE_##id,
#define MODE_NAMED(id, traits, forward, doc) DEQ_MODE_##id,
#include "modes.def"
} deq_mode_kind;

#define DEQ_CHAIN_MOST 4
/* The arguments of one solver; members not used by a kind hold their defaults. */
#define DEQ_SOLVER_ARGUMENTS                                                                                           \
    deq_solver_kind kind;                                                                                              \
    double tol, growth, damping, ridge, step;                                                                          \
    int max, memory;                                                                                                   \
    bool absolute, last;                      /* stop: absolute; return: last */                                       \
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
/* Solver `which` of the chain, 0 the first, as a solver of its own. */
deq_solver deq_solver_link(const deq_solver *chain, int which);
const char *deq_solver_name(deq_solver_kind kind);
/* Whether a mode whose row in modes.def says `forward` takes this solver (deq_mode_forward). */
bool deq_mode_takes(const char *forward, const deq_solver *solver);

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

typedef enum deq_on_fail { DEQ_WARN, DEQ_STOP, DEQ_KEEP_BEST, DEQ_ZERO_GRADIENT } deq_on_fail;
typedef enum deq_start { DEQ_START_ZEROS, DEQ_START_PREVIOUS, DEQ_START_GIVEN } deq_start;

typedef struct deq_fixed_settings {
    deq_solver forward;
    deq_mode gradient;
    deq_on_fail on_fail;
    deq_start start;
    const struct deq_hands *hands; /* gradients by hand that `gradient` may name; NULL: none */
    deq_penalties penalties;       /* of training */
} deq_fixed_settings;

/* Whether mode, solver and fixed point go together: DEQ_SETTING names what does not and the remedy. */
bool deq_fixed_check(const deq_fixed_settings *s, const deq_fixed *fixed, deq_error *e);
/* Whether its penalties can be had in training with this mode; the same. */
bool deq_fixed_check_penalties(const deq_fixed_settings *s, const deq_fixed *fixed, deq_error *e);
/* The largest state that the mode asks of the solver; 0: none in particular. */
static inline int deq_mode_least(const deq_mode *m) {
    return m->states.limit > m->states.first ? m->states.limit - 1 : 0;
}
/* "anderson(memory: 5)", "anderson() else broyden()". */
bool deq_solver_parse(const char *text, bool adjoint, deq_solver *out, deq_error *e);
bool deq_mode_parse(const char *text, deq_mode *out, deq_error *e);
/* ---- modes.c: what modes.def says of a mode ---- */
const char *deq_mode_name(const deq_mode *m); /* as a script spells it; a gradient that it declares: its own */
/* Whether it has one of the traits (TRAIT_..). */
bool deq_mode_has(const deq_mode *m, int traits);
/* It solves for an adjoint: `gradient.adjoint.tol` and its like are settings of it. */
bool deq_mode_has_adjoint(const deq_mode *m);
const char *deq_mode_forward(const deq_mode *m); /* "any", "broyden|adjoint_broyden" */
/* The argument that says at which state, counted from 1, the mode takes its gradient; NULL: that is the forward
 * solver's matter. */
const char *deq_mode_state_argument(const deq_mode *m);
/* `key` relative to the fixed point: "forward", "forward.tol", "gradient", "gradient.steps", "gradient.adjoint.tol",
 * "on_fail", "penalty", "penalty.weight", "penalty.jacobian.weight". */
bool deq_fixed_set(deq_fixed_settings *s, const char *key, const char *value, deq_error *e);
void deq_solver_print(const deq_solver *s, char *out, size_t size); /* canonical text, every argument */
void deq_mode_print(const deq_mode *m, char *out, size_t size);
const char *deq_start_name(deq_start s);     /* "previous" */
const char *deq_on_fail_name(deq_on_fail o); /* "keep_best" */
#endif
