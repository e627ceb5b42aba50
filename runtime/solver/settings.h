/* settings.h - the settings of a fixed point from texts such as "implicit(gmres(tol: 1e-4, max: 30))", and back.
 *
 * Texts come from the manifest and from --set; solver_text.c and mode_text.c are their only readers.
 * Files: settings.c, solver_text.c, mode_text.c, finish_text.c,
 * settings_check.c, modes.c (their names). */
#ifndef DEQ_RUNTIME_SETTINGS_H
#define DEQ_RUNTIME_SETTINGS_H
#include "deq_runtime.h"
#include "families.h"
#include "penalty.h"
#include <stddef.h>

#define DEQ_SETTING_TEXT 2048 /* bytes that hold the canonical text of any solver or mode */

/* Solver `which` of the chain, 0 the first, as a solver of its own. */
deq_solver deq_solver_link(const deq_solver *chain, int which);
const char *deq_solver_name(deq_solver_kind kind);
/* Whether a mode whose row in modes.def says `forward` takes this solver (deq_mode_forward). */
bool deq_mode_takes(const char *forward, const deq_solver *solver);

/* As in the words of fixed_settings.def. */
typedef enum deq_on_fail { DEQ_WARN, DEQ_STOP, DEQ_KEEP_BEST, DEQ_ZERO_GRADIENT } deq_on_fail;
typedef enum deq_start { DEQ_START_ZEROS, DEQ_START_PREVIOUS, DEQ_START_GIVEN } deq_start;

typedef struct deq_fixed_settings {
    deq_solver forward;
    deq_mode gradient;
    deq_finish finish;
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
bool deq_chain_parse(deq_part text, bool adjoint, deq_solver *out, deq_error *e);
/* An argument of every solver of the chain that has it. */
bool deq_chain_set(deq_solver *chain, bool adjoint, deq_part name, deq_part value, deq_error *e);
size_t deq_chain_print(const deq_solver *chain, bool adjoint, bool brief, char *out, size_t size);
void deq_solver_defaults(deq_solver *s, deq_solver_kind kind);
bool deq_solver_parse(const char *text, bool adjoint, deq_solver *out, deq_error *e);
bool deq_mode_parse(const char *text, deq_mode *out, deq_error *e);
/* The same, or the name of one of `hands`, alone or with a solver: "paper(gmres())". */
bool deq_gradient_parse(const char *text, const struct deq_hands *hands, deq_mode *out, deq_error *e);
bool deq_mode_set(deq_mode *m, deq_part name, deq_part value, deq_error *e); /* one of its arguments */
/* ---- finish_text.c: which state is the value ---- */
bool deq_finish_parse(const char *text, deq_finish *out, deq_error *e);
/* An argument of the finish in force. */
bool deq_finish_set(deq_fixed_settings *s, const char *argument, const char *value, deq_error *e);
void deq_finish_print(const deq_finish *f, char *out, size_t size);
/* The finish in force; `trained` is that of the settings' own gradient mode.  Never `trained`. */
deq_finish deq_finish_of(const deq_fixed_settings *s);
int deq_finish_steps(const deq_finish *f);              /* applications of f */
double deq_finish_share(const deq_finish *f, int step); /* of f in step 0, 1, .. */
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
 * "finish", "finish.steps", "on_fail", "penalty", "penalty.weight", "penalty.jacobian.weight". */
bool deq_fixed_set(deq_fixed_settings *s, const char *key, const char *value, deq_error *e);
/* As fixed_settings.def says. */
bool deq_fixed_defaults(deq_fixed_settings *s, deq_error *e);
/* One of them as canonical text. */
void deq_fixed_print(const deq_fixed_settings *s, deq_fixed_key key, char *out, size_t size);
void deq_solver_print(const deq_solver *s, char *out, size_t size); /* canonical text, every argument */
void deq_mode_print(const deq_mode *m, char *out, size_t size);
/* For tables and logs: without what goes without saying (deq_arguments_print). */
void deq_mode_print_brief(const deq_mode *m, char *out, size_t size);
#endif
