/* fixed.c - the ABI's solving functions: finds the worker in the frame and goes to the working precision. */
#include "meeting.h"
#include "numeric.h"
#include "team.h"
#include <string.h>

void deq_fixed_solve(void *frame, void *fixed, int64_t n, void *rest, void *z, int64_t want_gradient, void *cotangent) {
    deq_worker *worker = ((deq_frame *)frame)->host;
    deq_routine_fn *routine;
    memcpy(&routine, &cotangent, sizeof routine); /* POSIX: a pointer to a function may travel as any other */
    if (worker->partners) deq_partners_forget(worker->partners, worker->member & 1);
    if (want_gradient) worker->kept[((deq_fixed *)fixed)->index].added = false;
    (worker->real_bits == 32 ? deq_solve_f32 : deq_solve_f64)(worker, frame, fixed, n, rest, z, want_gradient != 0,
                                                              routine);
    if (want_gradient && worker->request.settings[((deq_fixed *)fixed)->index].on_fail == DEQ_ZERO_GRADIENT)
        for (int64_t row = 0; row < n; row++)
            worker->counts[row].cut |= worker->kept[((deq_fixed *)fixed)->index].failed[row];
    if (want_gradient && worker->request.penalty && ((deq_frame *)frame)->accum)
        (worker->real_bits == 32 ? deq_penalise_f32 : deq_penalise_f64)(worker, frame, fixed, n, rest, z);
    const deq_request *asked = &worker->request;
    if (asked->solved && !want_gradient) asked->solved(asked->solved_context, frame, fixed, n, rest, z);
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
    (single ? deq_gradient_f32 : deq_gradient_f64)(&inner, f, n);
    if (kept->added) (single ? deq_penalty_rest_f32 : deq_penalty_rest_f64)(f, kept, n, drest);
}

void deq_batch_sum(void *frame, void *sum, int64_t count) {
    const deq_worker *worker = ((deq_frame *)frame)->host;
    if (worker && worker->team) deq_team_sum(worker->team, worker->member, sum, count, worker->real_bits);
}

void deq_meet(void *frame) {
    const deq_frame *f = frame;
    if (f->meeting) deq_meeting_wait(f->meeting);
}

void deq_linear_solve(void *frame, void *fixed, int64_t n, void *rest, void *u) {
    deq_worker *worker = ((deq_frame *)frame)->host;
    if (worker->partners) deq_partners_forget(worker->partners, worker->member & 1);
    (worker->real_bits == 32 ? deq_solve_linear_f32 : deq_solve_linear_f64)(worker, frame, fixed, n, rest, u);
}
