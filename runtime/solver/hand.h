/* hand.h - gradients written by hand: the modes of one fixed point that its net's file adds to modes.def.
 *
 * Such a mode is a routine of the compiled object: from the equilibrium and its cotangent it makes the cotangents of
 * the layer's inputs (into drest) and parameters (added to accum), and may call deq_linear_solve on the way. */
#ifndef DEQ_RUNTIME_HAND_H
#define DEQ_RUNTIME_HAND_H
#include "deq_runtime.h"
#include "extern_gradient.h"
#include "settings.h"

typedef struct deq_hand_solve { /* one solve(K, b, SOLVER) of the block */
    const deq_fixed *map;       /* vjp_z: u - K u */
    deq_solver solver;          /* as written */
} deq_hand_solve;

typedef struct deq_hand {
    const char *name; /* "paper" */
    bool approximate; /* as the script says: not the derivative, on purpose */
    const deq_routine *input, *parameters;
    deq_hand_solve *solves;
    int nsolves;
    deq_extern in_c; /* written in C when it has a symbol: then there are no routines */
} deq_hand;

typedef struct deq_hands {
    deq_hand *items;
    int count;
} deq_hands;

/* The gradients by hand of a fixed point.  Texts and fields are those of `fixed`.  Freed by deq_hands_free, also after a
 * failure. */
bool deq_hands_new(const deq_module *module, const deq_fixed_spec *fixed, deq_hands *out, deq_error *e);
void deq_hands_free(deq_hands *hands);
/* The gradient that a setting's text calls: "paper", "paper()", "paper(gmres(tol: 1e-12))".  NULL when it is none. */
const deq_hand *deq_hands_find(const deq_hands *hands, const char *text);
/* The solver of one of the mode's solves: its own, or the one a setting put in the place of all. */
const deq_solver *deq_hand_solver(const deq_mode *mode, const deq_fixed *map);
#endif
