/* mode_phantom.c - damped steps after the state, differentiated. */
#include "unroll.h"

static deq_needs needs(const deq_fixed *fixed, const deq_fixed_settings *s, int64_t n) {
    const int steps = s->gradient.steps + s->gradient.undamped_first;
    return (deq_needs){.steps = steps, .tapes = steps, .solver = NAME(unroll_bytes)(fixed, n)};
}

static void solve(forward *c) {
    const deq_mode *m = &c->kept->mode;
    NAME(solve_after)(c, m->steps + m->undamped_first, m->damping, m->undamped_first);
}

/* The state after its own steps. */
static void look(forward *c) {
    const deq_mode *m = &c->kept->mode;
    c->finish.settings = (deq_finish){DEQ_FINISH_apply, m->steps, m->damping, m->undamped_first, true};
    NAME(forward_value)(c);
}

static void gradient(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    const deq_mode *m = &((deq_worker *)frame->host)->kept[fixed->index].mode;
    NAME(gradient_after)(frame, fixed, n, m->damping, m->undamped_first);
}

const mode_routines NAME(mode_phantom) = {.needs = needs, .solve = solve, .look = look, .gradient = gradient};
