/* settings.h - solver and gradient-mode settings, from text such as "implicit(gmres(tol: 1e-4, max: 30))".
 *
 * Text comes from the manifest and from --set; names, defaults and ranges from solvers.def and modes.def. */
#ifndef DEQ_RUNTIME_SETTINGS_H
#define DEQ_RUNTIME_SETTINGS_H
#include "error.h"
#include <stddef.h>

typedef enum deq_solver_kind {
#define SOLVER(name, uses, doc) DEQ_SOLVER_##name,
#define OPTION(solver, name, fallback, low, high, doc)
#define COMMON(name, fallback, low, high, doc)
#define CHOICE(name, fallback, alternatives, doc)
#include "solvers.def"
#undef SOLVER
#undef OPTION
#undef COMMON
#undef CHOICE
} deq_solver_kind;

typedef enum deq_mode_kind {
#define MODE(id, spelling, exact, forward, doc) DEQ_MODE_##id,
#define MODE_OPTION(id, name, fallback, low, high, doc)
#include "modes.def"
#undef MODE
#undef MODE_OPTION
    DEQ_MODE_hand /* a gradient written by hand, known to its fixed point only */
} deq_mode_kind;

typedef struct deq_solver { /* members not used by a kind hold their defaults */
    deq_solver_kind kind;
    double tol, damping, ridge, step;
    int max, memory;
    bool absolute, last; /* stop: absolute; return: last */
} deq_solver;

typedef struct deq_mode {
    deq_mode_kind kind;
    deq_solver adjoint; /* implicit */
    int steps;          /* phantom */
    double damping;
    const struct deq_hand *hand; /* hand: which */
    bool replaced;               /* hand: `adjoint` is the solver of all its solves */
} deq_mode;

typedef enum deq_on_fail { DEQ_WARN, DEQ_STOP, DEQ_KEEP_BEST, DEQ_ZERO_GRADIENT } deq_on_fail;
typedef enum deq_start { DEQ_START_ZEROS } deq_start;

typedef struct deq_fixed_settings {
    deq_solver forward;
    deq_mode gradient;
    deq_on_fail on_fail;
    deq_start start;
    const struct deq_hands *hands; /* gradients by hand that `gradient` may name; NULL: none */
} deq_fixed_settings;

bool deq_solver_parse(const char *text, bool adjoint, deq_solver *out, deq_error *e);
bool deq_mode_parse(const char *text, deq_mode *out, deq_error *e);
/* True when the mode solves for an adjoint: `gradient.adjoint.tol` and its like are settings of it. */
bool deq_mode_has_adjoint(const deq_mode *m);
/* The gradient is meant to be the derivative of what is computed: modes.def says so, and gradients by hand claim it. */
bool deq_mode_is_exact(const deq_mode *m);
/* `key` relative to the fixed point: "forward", "forward.tol", "gradient", "gradient.steps", "gradient.adjoint.tol",
 * "on_fail". */
/* Refuses a gradient mode that the forward solver cannot serve; `name` is the fixed point's, for the message. */
bool deq_fixed_check(const deq_fixed_settings *s, const char *name, deq_error *e);
bool deq_fixed_set(deq_fixed_settings *s, const char *key, const char *value, deq_error *e);
void deq_solver_print(const deq_solver *s, char *out, size_t size); /* canonical text, every argument */
void deq_mode_print(const deq_mode *m, char *out, size_t size);
const char *deq_on_fail_name(deq_on_fail o); /* "keep_best" */
#endif
