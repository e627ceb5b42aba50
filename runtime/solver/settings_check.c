/* settings_check.c - whether the settings of a fixed point fit it and each other. */
#include "hand.h"
#include "settings.h"
#include <string.h>

#define DENSE_MOST 1024 /* elements of a state whose Jacobian is factored */

static int uses_of(deq_solver_kind kind) { return deq_solver_family.rows[kind].uses; }

/* A splitting solver, of the state or the adjoint, fits the fixed point. */
static bool split_check(const deq_solver *s, const deq_fixed *fixed, deq_error *e) {
    int uses = uses_of(s->kind);
    const char *name = deq_solver_name(s->kind);
    if (!(uses & SOLVER_SPLIT)) return true;
    if (!fixed->linear)
        return deq_fail(e, DEQ_SETTING, "fixed point %s: %s needs z = prox(L z + c): %s", fixed->name, name,
                        fixed->unsplit ? fixed->unsplit : "it has no such parts");
    if (!(uses & SOLVER_DENSE)) return true;
    if (!fixed->shared_linear)
        return deq_fail(e, DEQ_SETTING,
                        "fixed point %s: %s inverts I + step (I - L), but L differs from example to example here: take "
                        "forward_backward",
                        fixed->name, name);
    if (fixed->dimension > DEQ_RESOLVENT_MOST)
        return deq_fail(e, DEQ_SETTING,
                        "fixed point %s: %s is for states of at most %d elements, this one has %lld: take "
                        "forward_backward",
                        fixed->name, name, DEQ_RESOLVENT_MOST, (long long)fixed->dimension);
    return true;
}

bool deq_fixed_check(const deq_fixed_settings *s, const deq_fixed *fixed, deq_error *e) {
    const deq_mode *m = &s->gradient;
    const bool adjoint = deq_mode_has_adjoint(m) && !m->hand;
    if (s->start == DEQ_START_GIVEN && fixed->start_offset < 0)
        return deq_fail(e, DEQ_SETTING, "fixed point %s: `start: given` needs an expression where it is declared",
                        fixed->name);
    for (int i = 0; i <= s->forward.links; i++) {
        const deq_solver one = deq_solver_link(&s->forward, i);
        if (!split_check(&one, fixed, e)) return false;
    }
    for (int i = 0; adjoint && i <= m->adjoint.links; i++) {
        const deq_solver one = deq_solver_link(&m->adjoint, i);
        if (!split_check(&one, fixed, e)) return false;
    }
    for (int i = 0; m->hand && i < m->hand->nsolves; i++) {
        const deq_solver *solver = deq_hand_solver(m, m->hand->solves[i].map);
        for (int k = 0; k <= solver->links; k++)
            if (uses_of(deq_solver_link(solver, k).kind) & SOLVER_SPLIT)
                return deq_fail(e, DEQ_SETTING,
                                "fixed point %s: the solves of gradient %s are of any linear map, not of z = prox(L z "
                                "+ c): take gmres",
                                fixed->name, m->hand->name);
    }
    if (m->hand) return true;
    const char *name = fixed->name, *downstream = fixed->downstream;
    const char *forward = deq_solver_name(s->forward.kind), *mode = deq_mode_name(m), *needs = deq_mode_forward(m);
    if (strcmp(needs, "any") && s->forward.links)
        return deq_fail(
            e, DEQ_SETTING,
            "fixed point %s: gradient %s needs the forward solver %s alone, and this is a chain that may end "
            "in %s",
            name, mode, needs, deq_solver_name(deq_solver_link(&s->forward, s->forward.links).kind));
    if (!deq_mode_takes(needs, &s->forward))
        return deq_fail(e, DEQ_SETTING, "fixed point %s: gradient %s needs the forward solver %s, which is %s here",
                        name, mode, needs, forward);
    for (int i = 0; adjoint && i <= m->adjoint.links; i++)
        if (deq_solver_link(&m->adjoint, i).kind == DEQ_SOLVER_lu && fixed->dimension > DENSE_MOST)
            return deq_fail(
                e, DEQ_SETTING,
                "fixed point %s: %s(lu()) is for states of at most %d elements, this one has %lld: take gmres", name,
                mode, DENSE_MOST, (long long)fixed->dimension);
    if (deq_mode_least(m) > s->forward.max)
        return deq_fail(
            e, DEQ_SETTING,
            "fixed point %s: gradient %s asks for state %d, but `forward: %s` makes at most %d steps: raise "
            "its `max` or ask for fewer states",
            name, mode, deq_mode_least(m), forward, s->forward.max);
    if (deq_mode_has(m, TRAIT_LOSS) && downstream)
        return deq_fail(
            e, DEQ_SETTING,
            "fixed point %s: gradient %s needs the gradient of the loss at states on the way, but the fixed "
            "point %s reads its state: take implicit, phantom, jfb or shine here",
            name, mode, downstream);
    return true;
}

bool deq_fixed_check_penalties(const deq_fixed_settings *s, const deq_fixed *fixed, deq_error *e) {
    const deq_mode *m = &s->gradient;
    if (!deq_penalties_given(&s->penalties)) return true;
    const int last = deq_penalties_least(&s->penalties);
    if (last > s->forward.max)
        return deq_fail(
            e, DEQ_SETTING,
            "fixed point %s: the correction reads state %d, but `forward: %s` makes at most %d steps: raise its "
            "`max` or name fewer states",
            fixed->name, last, deq_solver_name(s->forward.kind), s->forward.max);
    if (last && fixed->downstream)
        return deq_fail(
            e, DEQ_SETTING,
            "fixed point %s: a correction needs the loss at states on the way, but the fixed point %s reads its "
            "state: give the correction to that one",
            fixed->name, fixed->downstream);
    if (last && deq_mode_has(m, TRAIT_JOINT))
        return deq_fail(e, DEQ_SETTING,
                        "fixed point %s: gradient %s makes no states that a correction could read: take another mode",
                        fixed->name, deq_mode_name(m));
    if (deq_penalties_of_jacobian(&s->penalties) && (!fixed->vjp_jvp || !fixed->jvp))
        return deq_fail(
            e, DEQ_SETTING,
            "fixed point %s was compiled without the second derivative that its penalty needs: let the script "
            "say `penalty: jacobian(..)`, for this run or another of the same net",
            fixed->name);
    if (deq_mode_has(m, TRAIT_LOSS) && deq_penalties_reach_state(&s->penalties))
        return deq_fail(e, DEQ_SETTING,
                        "fixed point %s: gradient %s carries the cotangent of the loss only, so the state of a penalty "
                        "has to be held constant: `detach: true` among its arguments",
                        fixed->name, deq_mode_name(m));
    return true;
}
