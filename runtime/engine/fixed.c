/* fixed.c - the ABI's solving functions: finds the worker in the frame and goes to the working precision. */
#include "hand_gradient.h"
#include "numeric.h"
#include <string.h>

void deq_fixed_solve(void *frame, void *fixed, int64_t n, void *rest, void *z, int64_t want_gradient, void *cotangent) {
    deq_worker *worker = ((deq_frame *)frame)->host;
    deq_routine_fn *routine;
    memcpy(&routine, &cotangent, sizeof routine); /* POSIX: a pointer to a function may travel as any other */
    if (want_gradient) worker->kept[((deq_fixed *)fixed)->index].added = false;
    (worker->real_bits == 32 ? deq_solve_f32 : deq_solve_f64)(worker, frame, fixed, n, rest, z, want_gradient != 0,
                                                              routine);
    if (want_gradient && worker->penalty && ((deq_frame *)frame)->accum)
        (worker->real_bits == 32 ? deq_penalise_f32 : deq_penalise_f64)(worker, frame, fixed, n, rest, z);
    if (worker->solved && !want_gradient) worker->solved(worker->solved_context, frame, fixed, n, rest, z);
}

void deq_fixed_gradient(void *frame, void *fixed, int64_t n, void *rest, void *drest, void *u,
                        int64_t want_parameters) {
    const deq_fixed *f = fixed;
    deq_frame inner = *(deq_frame *)frame;
    deq_worker *worker = inner.host;
    deq_kept *kept = &worker->kept[f->index];
    bool single = worker->real_bits == 32;
    if (kept->added) u = (single ? deq_penalty_cotangent_f32 : deq_penalty_cotangent_f64)(f, kept, n, u);
    inner.rest = rest;
    inner.drest = drest;
    inner.rows = kept->rows;
    inner.tape = kept->tape;
    inner.scratch = worker->scratch;
    inner.arg0 = kept->z;
    inner.arg1 = u;
    if (!want_parameters) inner.accum = NULL;
    switch (kept->mode.kind) {
#define MODE(id, spelling, exact, forward, doc)                                                                        \
    case DEQ_MODE_##id:                                                                                                \
        f->id(&inner, n);                                                                                              \
        break;
#include "modes.def"
    case DEQ_MODE_hand: deq_gradient_hand(&inner, f, n); break;
    }
    if (kept->added) (single ? deq_penalty_rest_f32 : deq_penalty_rest_f64)(f, kept, n, drest);
}

typedef void gradient_fn(const deq_frame *frame, const deq_fixed *fixed, int64_t n);

static void go(void *frame, void *fixed, int64_t n, gradient_fn *f32, gradient_fn *f64) {
    const deq_worker *worker = ((deq_frame *)frame)->host;
    (worker->real_bits == 32 ? f32 : f64)(frame, fixed, n);
}

#define GRADIENT(mode, function)                                                                                       \
    void deq_gradient_##mode(void *frame, void *fixed, int64_t n) {                                                    \
        go(frame, fixed, n, deq_gradient_##function##_f32, deq_gradient_##function##_f64);                             \
    }
GRADIENT(implicit, implicit)
GRADIENT(neumann, neumann)
GRADIENT(shine, shine)
GRADIENT(phantom, steps)
GRADIENT(jfb, steps)
GRADIENT(backprop, backprop)
GRADIENT(augmented, augmented)
#undef GRADIENT

/* What was gathered while the state was solved for. */
static void gathered(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    const deq_kept *kept = &((deq_worker *)frame->host)->kept[fixed->index];
    memcpy(frame->drest, kept->drest, (size_t)(n * fixed->rest_bytes));
}

void deq_gradient_simultaneous(void *frame, void *fixed, int64_t n) { gathered(frame, fixed, n); }
void deq_gradient_unrolled(void *frame, void *fixed, int64_t n) { gathered(frame, fixed, n); }
