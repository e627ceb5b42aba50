/* runs.c - routines on the rows that may be used: those whose values are finite. */
#include "solve.h"
#include <math.h>
#include <string.h>

HOT bool NAME(row_finite)(const vec *x, int64_t n) {
    ACCUMULATORS(a);
    ROW_LOOP(n, a[lane] += x[k] - x[k];); /* 0, or NaN */
    return total4(a) == 0;
}

bool NAME(deq_finite)(const void *values, int64_t bytes) { return NAME(row_finite)(values, bytes / DEQ_ALIGN); }

typedef enum counted { AS_NOTHING, AS_PRODUCT, AS_EVALUATION } counted;

static void on_others(deq_routine_fn *routine, const deq_frame *frame, const deq_fixed *fixed, int64_t n,
                      const bool *without, counted as) {
    for (int64_t from = 0; from < n;) {
        int64_t to = from;
        while (to < n && !without[to]) to++;
        if (to > from) {
            deq_frame f = *frame;
            f.arg0 = (char *)f.arg0 + from * fixed->state_bytes;
            if (f.arg1) f.arg1 = (char *)f.arg1 + from * fixed->state_bytes;
            if (f.tape) f.tape = (char *)f.tape + from * fixed->tape_bytes;
            f.rows += from;
            if (f.example) f.example += from;
            if (as == AS_PRODUCT) deq_count_products(&f, to - from);
            if (as == AS_EVALUATION) deq_count_evaluations(&f, to - from);
            deq_partners_call(routine, fixed, &f, to - from);
        }
        from = to + 1;
    }
}

void NAME(call_good)(deq_routine_fn *routine, const deq_frame *frame, const deq_fixed *fixed, int64_t n,
                     const bool *bad) {
    on_others(routine, frame, fixed, n, bad, AS_PRODUCT);
}

void NAME(call_cotangent)(deq_routine_fn *cotangent, const deq_frame *frame, const deq_fixed *fixed, int64_t n,
                          const bool *bad) {
    on_others(cotangent, frame, fixed, n, bad, AS_NOTHING);
}

void NAME(linearise_others)(const deq_frame *frame, const deq_fixed *fixed, int64_t n, const real *image,
                            const bool *here) {
    const size_t bytes = (size_t)fixed->state_bytes;
    if (!image)
        deq_linearise(fixed, frame, n);
    else if (!here)
        memcpy(frame->arg1, image, (size_t)n * bytes);
    else
        on_others(fixed->lin, frame, fixed, n, here, AS_EVALUATION);
    for (int64_t row = 0; image && here && row < n; row++)
        if (here[row])
            memcpy((char *)frame->arg1 + (size_t)row * bytes, (const char *)image + (size_t)row * bytes, bytes);
}

HOT bool NAME(damped_step)(vec *out, const vec *z, const vec *f, real damping, int64_t n) {
    ACCUMULATORS(a);
    const real keep = 1 - damping;
    if (damping == 1)
        ROW_LOOP(n, const vec t = f[k]; out[k] = t; a[lane] += t - t;);
    else
        ROW_LOOP(n, const vec t = f[k]; out[k] = keep * z[k] + damping * t; a[lane] += t - t;);
    return total4(a) == 0;
}

void NAME(steps_forward)(const deq_frame *frame, const deq_fixed *fixed, int64_t n, int count, double damping,
                         bool undamped_first, char *tapes, int64_t stride, real *z, real *out, bool *bad,
                         const real *image, const bool *here) {
    deq_frame f = *frame;
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    real *from = z, *to = out;
    for (int t = 0; t < count; t++) {
        real share = t == 0 && undamped_first ? 1 : (real)damping;
        f.tape = tapes + t * stride;
        f.arg0 = from;
        f.arg1 = to;
        NAME(linearise_others)(&f, fixed, n, t == 0 ? image : NULL, here);
        for (int64_t i = 0; i < n; i++) {
            vec *next = (vec *)to + i * vectors;
            const vec *state = (const vec *)from + i * vectors;
            if (!bad[i] && NAME(damped_step)(next, state, next, share, vectors)) continue;
            bad[i] = true;
            memcpy(next, state, (size_t)fixed->state_bytes);
        }
        real *swap = from;
        from = to;
        to = swap;
    }
    if (from != out) memcpy(out, from, (size_t)(n * fixed->state_bytes));
}

HOT static void scaled(vec *out, const vec *x, real c, int64_t n) { row_scale(out, c, x, n); }

/* u <- (1 - share) u + out, the cotangent of the state before; into = next u enters the step that made it. */
HOT static void step_back(vec *u, vec *into, const vec *out, real share, real next, int64_t n) {
    const real keep = 1 - share;
    ROW_LOOP(n, const vec t = keep * u[k] + out[k]; u[k] = t; into[k] = next * t;);
}

void NAME(steps_back)(const deq_frame *frame, const deq_fixed *fixed, int64_t n, int count, double damping,
                      bool undamped_first, char *tapes, int64_t stride, real *u, real *v, real *out, const bool *bad) {
    deq_frame f = *frame;
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    real share = count == 1 && undamped_first ? 1 : (real)damping;
    for (int64_t i = 0; i < n; i++)
        if (!bad[i]) scaled((vec *)v + i * vectors, (vec *)u + i * vectors, share, vectors);
    f.arg0 = v;
    f.arg1 = out;
    for (int t = count - 1; t > 0; t--) {
        real next = t == 1 && undamped_first ? 1 : (real)damping;
        f.tape = tapes + t * stride;
        NAME(call_good)(f.accum ? fixed->vjp_all : fixed->vjp_zx, &f, fixed, n, bad);
        for (int64_t i = 0; i < n; i++)
            if (!bad[i])
                step_back((vec *)u + i * vectors, (vec *)v + i * vectors, (vec *)out + i * vectors, share, next,
                          vectors);
        share = next;
    }
    f.tape = tapes;
    NAME(call_good)(f.accum ? fixed->vjp_rest : fixed->vjp_x, &f, fixed, n, bad);
}
