/* hand_gradient.c - gradients written by hand, run. */
#include "hand_gradient.h"
#include "hand.h"
#include "numeric.h"
#include <string.h>

void deq_gradient_hand(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    deq_worker *worker = frame->host;
    const deq_kept *kept = &worker->kept[fixed->index];
    deq_frame inner = *frame;
    memset(inner.drest, 0, (size_t)n * (size_t)fixed->rest_bytes);
    if (kept->mode.hand->in_c.symbol) {
        (worker->real_bits == 32 ? deq_gradient_extern_f32 : deq_gradient_extern_f64)(&inner, fixed, n);
        return;
    }
    if (worker->settings[fixed->index].on_fail == DEQ_ZERO_GRADIENT) /* nothing flows through what did not converge */
        for (int64_t row = 0; row < n; row++)
            if (kept->failed[row]) memset((char *)inner.arg1 + row * fixed->state_bytes, 0, (size_t)fixed->state_bytes);
    inner.rows = worker->identity;
    inner.tape = NULL;
    inner.scratch = worker->hand;
    const deq_hand *h = kept->mode.hand;
    (inner.accum ? h->parameters : h->input)->function(&inner, n);
}

void deq_linear_solve(void *frame, void *fixed, int64_t n, void *rest, void *u) {
    deq_worker *worker = ((deq_frame *)frame)->host;
    (worker->real_bits == 32 ? deq_solve_linear_f32 : deq_solve_linear_f64)(worker, frame, fixed, n, rest, u);
}
