/* gradient.c - cotangents through a fixed point by one linearisation at the returned state: implicit, the Neumann
 * series, SHINE. */
#include "solve.h"
#include <math.h>
#include <string.h>

HOT static double row_norm(const vec *x, int64_t n) { return sqrt((double)row_dot(x, x, n)); }
HOT static void scaled(vec *out, const vec *x, real c, int64_t n) { row_scale(out, c, x, n); }

/* t <- (1 - damping) t + damping out; sum += t */
HOT static void next_term(vec *sum, vec *t, const vec *out, real damping, int64_t n) {
    const real keep = 1 - damping;
    ROW_LOOP(n, const vec v = keep * t[k] + damping * out[k]; t[k] = v; sum[k] += v;);
}

/* norm(h + g - u) / norm(h + g), h = J'u */
HOT static double residual_of(const vec *h, const vec *g, const vec *u, int64_t n) {
    ACCUMULATORS(a);
    ACCUMULATORS(b);
    ROW_LOOP(n, const vec image = h[k] + g[k]; const vec t = image - u[k]; a[lane] += t * t; b[lane] += image * image;);
    return sqrt((double)total4(a)) / (sqrt((double)total4(b)) + 1e-9);
}

typedef struct buffers {
    real *u, *v, *out, *result;
    double *scale;
    bool *bad, *fell; /* bad: by position */
} buffers;

static buffers take_buffers(const deq_fixed *fixed, deq_space *space, int64_t n) {
    size_t bytes = (size_t)n * (size_t)fixed->state_bytes, count = (size_t)n;
    buffers b;
    b.u = deq_space_take(space, bytes);
    b.v = deq_space_take(space, bytes);
    b.out = deq_space_take(space, bytes);
    b.result = deq_space_take(space, bytes);
    b.scale = deq_space_take(space, count * sizeof *b.scale);
    b.bad = deq_space_take(space, count * sizeof *b.bad);
    b.fell = deq_space_take(space, count * sizeof *b.fell);
    return b;
}

/* SHINE's steps: Broyden's on the adjoint, all of them, the best kept. */
static deq_solver refinement(const deq_mode *mode) {
    deq_solver o = mode->adjoint;
    o.kind = DEQ_SOLVER_broyden;
    o.tol = 0;
    o.step = 1;
    o.max = mode->refine;
    o.memory = 0;
    o.absolute = o.last = false;
    return o;
}

size_t NAME(deq_gradient_bytes)(const deq_fixed *fixed, const deq_mode *mode, int64_t n) {
    deq_space space = {NULL, 0};
    take_buffers(fixed, &space, n);
    deq_solver refine = refinement(mode);
    if (mode->kind == DEQ_MODE_implicit) return space.used + NAME(solver_bytes)(fixed, &mode->adjoint, true, n);
    if (mode->kind == DEQ_MODE_shine && mode->refine) return space.used + NAME(solver_bytes)(fixed, &refine, true, n);
    return space.used;
}

/* Under on_fail: zero_gradient nothing flows through an example that did not converge. */
static bool is_cut(const deq_worker *worker, const deq_fixed *fixed, int64_t row) {
    const deq_kept *kept = &worker->kept[fixed->index];
    return kept->bad[row] || (worker->settings[fixed->index].on_fail == DEQ_ZERO_GRADIENT && kept->failed[row]);
}

/* u = g / scale.  The problem is linear: a power of two brings each g near norm 1, where tolerances and f32 squares are
 * at home. */
static void load(const deq_frame *frame, const deq_fixed *fixed, int64_t n, buffers *b) {
    deq_worker *worker = frame->host;
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    for (int64_t row = 0; row < n; row++) {
        const vec *u = (const vec *)frame->arg1 + row * vectors;
        double norm = is_cut(worker, fixed, row) ? 0 : row_norm(u, vectors);
        if (norm == 0 && !is_cut(worker, fixed, row)) /* the squares may have vanished where g did not */
            for (int64_t k = 0; k < vectors * LANES; k++) norm = fmax(norm, fabs((double)((const real *)u)[k]));
        b->scale[row] = norm > 0 && isfinite(norm) ? ldexp(1, ilogb(norm) < -100 ? -100 : ilogb(norm)) : 1;
        if (norm == 0)
            memset((vec *)b->u + row * vectors, 0, (size_t)fixed->state_bytes);
        else
            scaled((vec *)b->u + row * vectors, u, (real)(1 / b->scale[row]), vectors);
    }
    memset(frame->drest, 0, (size_t)n * (size_t)fixed->rest_bytes);
}

/* v = scale * from, in the order of the tape records; marks as bad, and records, what is not finite. */
static void unload(const deq_frame *frame, const deq_fixed *fixed, int64_t n, buffers *b, const real *from,
                   bool record) {
    deq_worker *worker = frame->host;
    deq_kept *kept = &worker->kept[fixed->index];
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    for (int64_t i = 0; i < n; i++) {
        int64_t row = kept->rows[i];
        vec *v = (vec *)b->v + i * vectors;
        scaled(v, (const vec *)from + row * vectors, (real)b->scale[row], vectors);
        b->bad[i] = kept->bad[row] || !NAME(row_finite)(v, vectors);
        if (b->bad[i] && (record || kept->bad[row])) NAME(record_lost)(worker, fixed, row, frame->example, 0);
    }
}

static deq_frame frame_of(const deq_frame *frame, const deq_fixed *fixed, void *in, void *out) {
    const deq_kept *kept = &((deq_worker *)frame->host)->kept[fixed->index];
    deq_frame inner = *frame;
    inner.rows = kept->rows;
    inner.tape = kept->tape;
    inner.example = NULL;
    inner.arg0 = in;
    inner.arg1 = out;
    return inner;
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
    load(frame, fixed, n, &b);
    NAME(solve_adjoint)
    (worker, frame, fixed, &kept->mode.adjoint, kept, n, b.u, b.scale, NULL, NULL, b.result, space);
    /* Tape records moved while examples were frozen; their cotangents follow. */
    unload(frame, fixed, n, &b, b.result, false);
    deq_frame inner = frame_of(frame, fixed, b.v, b.out);
    NAME(call_good)(frame->accum ? fixed->vjp_rest : fixed->vjp_x, &inner, fixed, n, b.bad);
}

void NAME(deq_gradient_neumann)(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    deq_worker *worker = frame->host;
    deq_kept *kept = &worker->kept[fixed->index];
    deq_space space = {worker->solver, 0};
    buffers b = take_buffers(fixed, &space, n);
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    load(frame, fixed, n, &b);
    memcpy(b.result, b.u, (size_t)(n * fixed->state_bytes));
    memcpy(b.bad, kept->bad, (size_t)n * sizeof *b.bad); /* records stand in the order of the rows */
    deq_frame inner = frame_of(frame, fixed, b.u, b.out);
    for (int t = 1; t < kept->mode.steps; t++) {
        NAME(call_good)(fixed->vjp_z, &inner, fixed, n, b.bad);
        for (int64_t i = 0; i < n; i++)
            if (!b.bad[i])
                next_term((vec *)b.result + i * vectors, (vec *)b.u + i * vectors, (vec *)b.out + i * vectors,
                          (real)kept->mode.damping, vectors);
    }
    for (int64_t row = 0; row < n; row++) b.scale[row] *= kept->mode.damping;
    unload(frame, fixed, n, &b, b.result, true);
    inner.arg0 = b.v;
    NAME(call_good)(frame->accum ? fixed->vjp_rest : fixed->vjp_x, &inner, fixed, n, b.bad);
}

/* result = -B'g, or g where that is implausible. */
static void apply_inverse(const deq_frame *frame, const deq_fixed *fixed, int64_t n, buffers *b) {
    const deq_kept *kept = &((deq_worker *)frame->host)->kept[fixed->index];
    const deq_history *h = &kept->history;
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    memcpy(b->result, b->u, (size_t)(n * fixed->state_bytes));
    for (int64_t row = 0; row < n; row++) {
        vec *u = (vec *)b->result + row * vectors;
        const vec *g = (const vec *)b->u + row * vectors;
        NAME(history_transposed)(u, h, row, (real)kept->damping, vectors);
        double norm = row_norm(u, vectors);
        b->fell[row] = !isfinite(norm) || (kept->mode.fallback == 0 && norm > kept->mode.ratio * row_norm(g, vectors));
        if (b->fell[row]) memcpy(u, g, (size_t)fixed->state_bytes);
    }
}

void NAME(deq_gradient_shine)(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    deq_worker *worker = frame->host;
    deq_kept *kept = &worker->kept[fixed->index];
    deq_space space = {worker->solver, 0};
    buffers b = take_buffers(fixed, &space, n);
    int64_t vectors = fixed->state_bytes / (int64_t)sizeof(vec);
    load(frame, fixed, n, &b);
    apply_inverse(frame, fixed, n, &b);
    deq_frame inner = frame_of(frame, fixed, b.v, b.out);
    if (kept->mode.refine > 0) {
        deq_solver options = refinement(&kept->mode);
        memcpy(b.v, b.result, (size_t)(n * fixed->state_bytes));
        NAME(solve_adjoint)
        (worker, frame, fixed, &options, kept, n, b.u, b.scale, b.v, &kept->history, b.result, space);
        unload(frame, fixed, n, &b, b.result, false);
        NAME(call_good)(frame->accum ? fixed->vjp_rest : fixed->vjp_x, &inner, fixed, n, b.bad);
        return;
    }
    unload(frame, fixed, n, &b, b.result, true);
    NAME(call_good)(frame->accum ? fixed->vjp_all : fixed->vjp_zx, &inner, fixed, n, b.bad);
    for (int64_t row = 0; row < n; row++) { /* records stand in the order of the rows */
        if (b.bad[row]) continue;
        const vec *g = (const vec *)frame->arg1 + row * vectors, *u = (const vec *)b.v + row * vectors;
        double residual = residual_of((const vec *)b.out + row * vectors, g, u, vectors);
        deq_reason reason = b.fell[row] ? DEQ_REASON_fallback : DEQ_REASON_max_steps;
        int64_t example = frame->example ? frame->example[row] : row;
        if (is_cut(worker, fixed, row)) residual = 0; /* g = 0 */
        deq_worker_record(worker, fixed, true, row, example, 0, residual, reason, b.fell[row]);
        if (b.fell[row]) deq_worker_stop(worker, fixed, true, example, 0, residual, reason);
    }
}

void NAME(deq_gradient_augmented)(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    deq_worker *worker = frame->host;
    deq_kept *kept = &worker->kept[fixed->index];
    deq_space space = {worker->solver, 0};
    buffers b = take_buffers(fixed, &space, n);
    memset(frame->drest, 0, (size_t)n * (size_t)fixed->rest_bytes);
    for (int64_t row = 0; row < n; row++) b.bad[row] = is_cut(worker, fixed, row);
    deq_frame inner = frame_of(frame, fixed, kept->z, b.out);
    NAME(call_good)(frame->accum ? fixed->vjp_rest : fixed->vjp_x, &inner, fixed, n, b.bad);
}

/* Elements from .. to of out = scale * (parts[0] + parts[1] + ...), added in this order. */
HOT void NAME(deq_sum)(void *out, void *const *parts, int count, int64_t from, int64_t to, double scale) {
    const int64_t whole = from + (to - from) / LANES * LANES;
    for (int64_t i = from; i < whole; i += LANES) { /* `from` is a multiple of whole vectors */
        vec sum = *(const vec *)((const real *)parts[0] + i);
        for (int s = 1; s < count; s++) sum += *(const vec *)((const real *)parts[s] + i);
        *(vec *)((real *)out + i) = (real)scale * sum;
    }
    for (int64_t i = whole; i < to; i++) {
        real sum = ((const real *)parts[0])[i];
        for (int s = 1; s < count; s++) sum += ((const real *)parts[s])[i];
        ((real *)out)[i] = (real)scale * sum;
    }
}
