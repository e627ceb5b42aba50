/* fixed.c - the ABI's solving functions: finds the worker in the frame and goes to the working precision. */
#include "worker.h"

void deq_fixed_solve(void *frame, void *fixed, int64_t n, void *rest, void *z, int64_t want_gradient, void *cotangent) {
    (void)cotangent;
    deq_worker *worker = ((deq_frame *)frame)->host;
    (worker->real_bits == 32 ? deq_solve_f32 : deq_solve_f64)(worker, frame, fixed, n, rest, z, want_gradient != 0);
    if (worker->solved && !want_gradient) worker->solved(worker->solved_context, frame, fixed, n, rest, z);
}

void deq_fixed_gradient(void *frame, void *fixed, int64_t n, void *rest, void *drest, void *u,
                        int64_t want_parameters) {
    const deq_fixed *f = fixed;
    deq_frame inner = *(deq_frame *)frame;
    deq_worker *worker = inner.host;
    const deq_kept *kept = &worker->kept[f->index];
    inner.rest = rest;
    inner.drest = drest;
    inner.rows = kept->rows;
    inner.tape = kept->tape;
    inner.scratch = worker->scratch;
    inner.arg0 = kept->z;
    inner.arg1 = u;
    if (!want_parameters) inner.accum = NULL;
    switch (kept->mode.kind) {
    case DEQ_MODE_implicit: f->implicit(&inner, n); break;
    case DEQ_MODE_phantom: f->phantom(&inner, n); break;
    case DEQ_MODE_jfb: f->jfb(&inner, n); break;
    case DEQ_MODE_backprop: f->backprop(&inner, n); break;
    case DEQ_MODE_hand: deq_gradient_hand(&inner, f, n); break;
    }
}

void deq_gradient_implicit(void *frame, void *fixed, int64_t n) {
    deq_worker *worker = ((deq_frame *)frame)->host;
    (worker->real_bits == 32 ? deq_gradient_implicit_f32 : deq_gradient_implicit_f64)(frame, fixed, n);
}

static void unrolled(deq_frame *frame, const deq_fixed *fixed, int64_t n, double damping) {
    deq_worker *worker = frame->host;
    (worker->real_bits == 32 ? deq_gradient_unrolled_f32 : deq_gradient_unrolled_f64)(frame, fixed, n, damping);
}

static const deq_kept *kept_of(const deq_frame *frame, const deq_fixed *fixed) {
    return &((deq_worker *)frame->host)->kept[fixed->index];
}

void deq_gradient_phantom(void *frame, void *fixed, int64_t n) {
    unrolled(frame, fixed, n, kept_of(frame, fixed)->mode.damping);
}

void deq_gradient_jfb(void *frame, void *fixed, int64_t n) { unrolled(frame, fixed, n, 1); }

void deq_gradient_backprop(void *frame, void *fixed, int64_t n) {
    unrolled(frame, fixed, n, kept_of(frame, fixed)->damping);
}
