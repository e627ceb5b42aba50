/* gradient.c - cotangents through a fixed point: implicit (one adjoint solve) and unrolled steps (phantom,
 * Jacobian-free, plain backpropagation). */
#include "solve.h"
#include <math.h>
#include <string.h>

HOT static double row_norm(const vec *x, int64_t n) { return sqrt((double)row_dot(x, x, n)); }
HOT static void scaled(vec *out, const vec *x, real c, int64_t n) { row_scale(out, c, x, n); }

/* u <- (1 - damping) u + out, the cotangent of the state before; into = damping u enters the step that made it. */
HOT static void step_back(vec *u, vec *into, const vec *out, real damping, int64_t n) {
    const real keep = 1 - damping;
    ROW_LOOP(n, const vec t = keep * u[k] + out[k]; u[k] = t; into[k] = damping * t;);
}

typedef struct buffers {
    real *u, *v, *out, *result;
    double *scale;
} buffers;

static buffers take_buffers(const deq_fixed *fixed, deq_space *space, int64_t n) {
    size_t bytes = (size_t)n * (size_t)fixed->state_bytes;
    buffers b;
    b.u = deq_space_take(space, bytes);
    b.v = deq_space_take(space, bytes);
    b.out = deq_space_take(space, bytes);
    b.result = deq_space_take(space, bytes);
    b.scale = deq_space_take(space, (size_t)n * sizeof(double));
    return b;
}

size_t NAME(deq_gradient_bytes)(const deq_fixed *fixed, const deq_mode *mode, int64_t n) {
    deq_space space = {NULL, 0};
    take_buffers(fixed, &space, n);
    return space.used + (mode->kind == DEQ_MODE_implicit ? NAME(deq_solver_bytes)(fixed, &mode->adjoint, true, n) : 0);
}

/* Under on_fail: zero_gradient nothing flows through an example that did not converge. */
static bool is_cut(const deq_worker *worker, const deq_fixed *fixed, int64_t row) {
    return worker->settings[fixed->index].on_fail == DEQ_ZERO_GRADIENT && worker->kept[fixed->index].failed[row];
}

double NAME(scale_right)(vec *out, const vec *g, int64_t vectors) {
    double norm = row_norm(g, vectors);
    if (norm == 0) /* the squares may have vanished where g did not */
        for (int64_t k = 0; k < vectors * LANES; k++) norm = fmax(norm, fabs((double)((const real *)g)[k]));
    double scale = norm > 0 && isfinite(norm) ? ldexp(1, ilogb(norm) < -100 ? -100 : ilogb(norm)) : 1;
    if (norm == 0)
        memset(out, 0, (size_t)vectors * sizeof(vec));
    else
        scaled(out, g, (real)(1 / scale), vectors);
    return scale;
}

void NAME(deq_gradient_implicit)(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    deq_worker *worker = frame->host;
    deq_kept *kept = &worker->kept[fixed->index];
    deq_space space = {worker->solver, 0};
    buffers b = take_buffers(fixed, &space, n);
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    deq_frame inner = *frame;
    memset(frame->drest, 0, (size_t)n * (size_t)fixed->rest_bytes);
    for (int64_t row = 0; row < n; row++) { /* the problem is linear */
        vec *u = (vec *)b.u + row * vectors;
        b.scale[row] = 1;
        if (is_cut(worker, fixed, row))
            memset(u, 0, (size_t)fixed->state_bytes);
        else
            b.scale[row] = NAME(scale_right)(u, (const vec *)frame->arg1 + row * vectors, vectors);
    }
    NAME(solve_adjoint)(worker, frame, fixed, kept, n, b.u, b.scale, b.result, space);
    /* Tape records moved while examples were frozen; their cotangents follow. */
    for (int64_t i = 0; i < n; i++) {
        int64_t row = kept->rows[i];
        scaled((vec *)b.v + i * vectors, (vec *)b.result + row * vectors, (real)b.scale[row], vectors);
    }
    inner.rows = kept->rows;
    inner.tape = kept->tape;
    inner.example = NULL;
    inner.arg0 = b.v;
    inner.arg1 = b.out;
    (frame->accum ? fixed->vjp_rest : fixed->vjp_x)(&inner, n);
}

void NAME(deq_gradient_unrolled)(const deq_frame *frame, const deq_fixed *fixed, int64_t n, double damping) {
    deq_worker *worker = frame->host;
    deq_kept *kept = &worker->kept[fixed->index];
    deq_space space = {worker->solver, 0};
    buffers b = take_buffers(fixed, &space, n);
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    deq_frame inner = *frame;
    memset(frame->drest, 0, (size_t)n * (size_t)fixed->rest_bytes);
    for (int64_t row = 0; row < n; row++) {
        const vec *u = (const vec *)frame->arg1 + row * vectors;
        if (is_cut(worker, fixed, row))
            memset((vec *)b.u + row * vectors, 0, (size_t)fixed->state_bytes);
        else
            memcpy((vec *)b.u + row * vectors, u, (size_t)fixed->state_bytes);
    }
    inner.example = NULL;
    bool moved = kept->mode.kind == DEQ_MODE_backprop; /* its examples ended at different steps */
    for (int t = kept->steps - 1; t >= 0; t--) {
        const int32_t *rows = kept->rows + t * worker->block;
        int64_t active = kept->active[t];
        if (moved || t == kept->steps - 1)
            for (int64_t i = 0; i < active; i++)
                scaled((vec *)b.v + i * vectors, (vec *)b.u + rows[i] * vectors, (real)damping, vectors);
        inner.tape = kept->tape + t * kept->tape_stride;
        inner.rows = rows;
        inner.arg0 = b.v;
        inner.arg1 = b.out;
        if (t == 0) {
            (frame->accum ? fixed->vjp_rest : fixed->vjp_x)(&inner, active);
            break;
        }
        (frame->accum ? fixed->vjp_all : fixed->vjp_zx)(&inner, active);
        for (int64_t i = 0; i < active; i++) {
            vec *u = (vec *)b.u + rows[i] * vectors;
            step_back(u, (vec *)b.v + i * vectors, (vec *)b.out + i * vectors, (real)damping, vectors);
        }
    }
}

/* Elements from .. to of out = scale * (parts[0] + parts[1] + ...), added in this order. */
HOT void NAME(deq_sum)(void *out, void *const *parts, int count, int64_t from, int64_t to, double scale) {
    real *sum = out;
    for (int64_t i = from; i < to; i += 256) {
        int64_t end = i + 256 < to ? i + 256 : to;
        real piece[256];
        for (int64_t k = 0; k < end - i; k++) piece[k] = ((const real *)parts[0])[i + k];
        for (int s = 1; s < count; s++)
            for (int64_t k = 0; k < end - i; k++) piece[k] += ((const real *)parts[s])[i + k];
        for (int64_t k = 0; k < end - i; k++) sum[i + k] = (real)scale * piece[k];
    }
}
