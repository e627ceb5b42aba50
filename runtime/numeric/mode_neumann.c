/* mode_neumann.c - terms of the damped Neumann series at the returned state. */
#include "cotangents.h"
#include "mode.h"
#include <string.h>

/* t <- (1 - damping) t + damping out; sum += t */
HOT static void next_term(vec *sum, vec *t, const vec *out, real damping, int64_t n) {
    const real keep = 1 - damping;
    ROW_LOOP(n, const vec v = keep * t[k] + damping * out[k]; t[k] = v; sum[k] += v;);
}

static deq_needs needs(const deq_fixed *fixed, const deq_fixed_settings *s, int64_t n) {
    (void)s;
    return (deq_needs){.solver = NAME(cotangents_bytes)(fixed, n)};
}

static void gradient(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    deq_worker *worker = frame->host;
    deq_kept *kept = &worker->kept[fixed->index];
    deq_space space = {worker->solver, 0};
    cotangents b = NAME(cotangents_take)(fixed, &space, n);
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    NAME(cotangents_load)(frame, fixed, n, &b);
    memcpy(b.result, b.u, (size_t)(n * fixed->state_bytes));
    memcpy(b.bad, kept->bad, (size_t)n * sizeof *b.bad); /* records stand in the order of the rows */
    deq_frame inner = NAME(cotangents_frame)(frame, fixed, b.u, b.out);
    for (int t = 1; t < kept->mode.steps; t++) {
        NAME(call_good)(fixed->vjp_z, &inner, fixed, n, b.bad);
        for (int64_t i = 0; i < n; i++)
            if (!b.bad[i])
                next_term((vec *)b.result + i * vectors, (vec *)b.u + i * vectors, (vec *)b.out + i * vectors,
                          (real)kept->mode.damping, vectors);
    }
    for (int64_t row = 0; row < n; row++) b.scale[row] *= kept->mode.damping;
    NAME(cotangents_unload)(frame, fixed, n, &b, b.result);
    inner.arg0 = b.v;
    NAME(call_good)(frame->accum ? fixed->vjp_rest : fixed->vjp_x, &inner, fixed, n, b.bad);
}

const mode_routines NAME(mode_neumann) = {.needs = needs, .solve = NAME(forward_attach), .gradient = gradient};
