/* fixed_settings.c - what settings ask of a fixed point's equation and of the net's routines. */
#include "elaborate.h"
#include "split.h"
#include "settings.h"
#include <string.h>

static Split recognise(Arena *a, const FixedPoint *f) {
    return split_recognise(a, simplify(a, f->body, NULL, 0, true, NULL), f->nstate);
}

static bool splits(Scope *s, const FixedPoint *f, const deq_row *solver, Range at) {
    Arena *a = s->elab->arena;
    Split split = recognise(a, f);
    if (split.why) {
        elab_error_note(s, DIAG_E0432, at, split.where, split.why,
                        "'%s' solves z = prox(L z + c), which the fixed point '%s' is not", solver->name,
                        f->state_names[0]);
        return false;
    }
    const bool dense = solver->uses & SOLVER_DENSE;
    uint64_t count = 0;
    for (uint32_t k = 0; k < f->nstate; k++) count += shape_count(graph_node(f->body, f->body->inputs[k])->shape);
    if (dense && !split.shared) {
        elab_error_help(s, DIAG_E0432, at, "forward_backward needs no inverse",
                        "'%s' inverts I + step (I - L), but L differs from example to example", solver->name);
        return false;
    }
    if (dense && count > DEQ_RESOLVENT_MOST) {
        elab_error_help(s, DIAG_E0432, at, "forward_backward needs no inverse",
                        "'%s' inverts I + step (I - L) for states of at most %d elements, this one has %llu",
                        solver->name, DEQ_RESOLVENT_MOST, (unsigned long long)count);
        return false;
    }
    return true;
}

static bool chain_splits(Scope *s, const FixedPoint *f, const deq_solver *chain, Range at) {
    for (int i = 0; i <= chain->links; i++) {
        const deq_row *solver = &deq_solver_family.rows[deq_solver_link(chain, i).kind];
        if ((solver->uses & SOLVER_SPLIT) && !splits(s, f, solver, at)) return false;
    }
    return true;
}

/* Gradients by hand are no modes of the table: their solves are of any linear map. */
static bool is_by_hand(const char *gradient) {
    deq_call call;
    deq_error e = {0};
    return deq_call_parse(deq_part_of(gradient), &call, &e) && !deq_row_find(&deq_mode_family, call.name);
}

static bool adjoint_fits(Scope *s, const FixedPoint *f, const char *text, Range at) {
    deq_solver chain;
    deq_error e = {0};
    if (deq_solver_parse(text, true, &chain, &e)) return chain_splits(s, f, &chain, at);
    return elab_error(s, DIAG_E0412, at, "%s", e.text), false;
}

bool setting_fits(Scope *s, const FixedPoint *f, const char *key, const char *text, Range at) {
    deq_fixed_settings read = {0};
    const char *rest;
    switch (deq_fixed_key_find(key, &rest)) {
    case DEQ_FIXED_KEY_forward:
        if (rest) return true;
        return setting_read(s, key, text, at, &read) && chain_splits(s, f, &read.forward, at);
    case DEQ_FIXED_KEY_gradient:
        if (rest) return strcmp(rest, "adjoint") != 0 || adjoint_fits(s, f, text, at);
        if (is_by_hand(text)) return true;
        if (!setting_read(s, key, text, at, &read)) return false;
        return !deq_mode_has_adjoint(&read.gradient) || chain_splits(s, f, &read.gradient.adjoint, at);
    case DEQ_FIXED_KEY_finish: return rest || setting_read(s, key, text, at, &read);
    default: return true;
    }
}

bool setting_asks_on_the_way(const char *gradient) {
    deq_mode mode;
    deq_error e = {0};
    return !is_by_hand(gradient) && deq_mode_parse(gradient, &mode, &e) && deq_mode_has(&mode, TRAIT_LOSS);
}

bool model_penalty(Scope *s, Model *m, const char *text, Range at) {
    deq_fixed_settings read = {0};
    if (!setting_read(s, deq_fixed_table[DEQ_FIXED_KEY_penalty].key, text, at, &read)) return false;
    if (deq_penalties_least(&read.penalties)) m->corrections = true;
    if (deq_penalties_of_jacobian(&read.penalties)) m->penalised = true;
    return true;
}
