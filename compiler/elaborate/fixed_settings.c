/* fixed_settings.c - what settings ask of a fixed point's equation. */
#include "elaborate.h"
#include "split.h"
#include "tables.h"
#include "deq_runtime.h"
#include <string.h>

/* The first splitting solver that a value of `forward` or `gradient` names, and the text after it:
 * "peaceman_rachford(..) else anderson(..)", "implicit(peaceman_rachford(..))". */
static const Solver *splitting_solver(const char **setting) {
    while (**setting) {
        const char *at = *setting;
        size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
        *setting += length ? length : 1;
        for (uint32_t i = 0; length && solver_at(i); i++) {
            const Solver *s = solver_at(i);
            if (s->splits && strlen(s->name) == length && strncmp(s->name, at, length) == 0) return s;
        }
    }
    return NULL;
}

static Split recognise(Arena *a, const FixedPoint *f) {
    return split_recognise(a, simplify(a, f->body, NULL, 0, true, NULL), f->nstate);
}

static bool splits(Scope *s, const FixedPoint *f, const Solver *solver, Range at) {
    Arena *a = s->elab->arena;
    Split split = recognise(a, f);
    if (split.why) {
        elab_error_note(s, DIAG_E0432, at, split.where, split.why,
                        "'%s' solves z = prox(L z + c), which the fixed point '%s' is not", solver->name,
                        f->state_names[0]);
        return false;
    }
    uint64_t count = 0;
    for (uint32_t k = 0; k < f->nstate; k++) count += shape_count(graph_node(f->body, f->body->inputs[k])->shape);
    if (solver->dense && !split.shared) {
        elab_error_help(s, DIAG_E0432, at, "forward_backward needs no inverse",
                        "'%s' inverts I + step (I - L), but L differs from example to example", solver->name);
        return false;
    }
    if (solver->dense && count > DEQ_RESOLVENT_MOST) {
        elab_error_help(s, DIAG_E0432, at, "forward_backward needs no inverse",
                        "'%s' inverts I + step (I - L) for states of at most %d elements, this one has %llu",
                        solver->name, DEQ_RESOLVENT_MOST, (unsigned long long)count);
        return false;
    }
    return true;
}

bool splits_as_asked(Scope *s, const FixedPoint *f, const char *setting, Range at) {
    const Solver *solver;
    while ((solver = splitting_solver(&setting)))
        if (!splits(s, f, solver, at)) return false;
    return true;
}
