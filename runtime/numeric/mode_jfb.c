/* mode_jfb.c - Jacobian-free: u = g, which is one plain step, differentiated, from where f was applied last. */
#include "unroll.h"

static deq_needs needs(const deq_fixed *fixed, const deq_fixed_settings *s, int64_t n) {
    (void)s;
    return (deq_needs){.solver = NAME(unroll_bytes)(fixed, n)};
}

static void gradient(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    NAME(gradient_after)(frame, fixed, n, 1, false);
}

const mode_routines NAME(mode_jfb) = {.needs = needs, .solve = NAME(forward_attach), .gradient = gradient};
