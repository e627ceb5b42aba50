/* ride.c - what the gradients share that are gathered while a solve runs.  Contributions go to kept->drest and, when
 * parameters are wanted, to frame.accum. */
#include "ride.h"
#include <math.h>
#include <string.h>

void NAME(ride_open)(ride *r, const deq_fixed *fixed, deq_space *space, int64_t n) {
    size_t rows = (size_t)(n * fixed->state_bytes), count = (size_t)n;
    r->u = deq_space_take(space, rows);
    r->a = deq_space_take(space, rows);
    r->b = deq_space_take(space, rows);
    r->c = deq_space_take(space, rows);
    r->residual = deq_space_take(space, count * sizeof *r->residual);
    r->lost = deq_space_take(space, count * sizeof *r->lost);
    r->bad = deq_space_take(space, count * sizeof *r->bad);
    r->steps = deq_space_take(space, count * sizeof *r->steps);
    r->judged = deq_space_take(space, rows);
    r->seen = deq_space_take(space, count * sizeof *r->seen);
    if (!space->base) return;
    memset(r->u, 0, rows);
    memset(r->judged, 0, rows);
    memset(r->seen, 0, count * sizeof *r->seen);
    for (int64_t i = 0; i < n; i++) {
        r->residual[i] = 0;
        r->lost[i] = false;
        r->steps[i] = 0;
    }
    if (!r->looks) memset(r->frame.drest, 0, (size_t)(n * fixed->rest_bytes));
}

deq_frame NAME(ride_frame)(const problem *p, const ride *r) {
    deq_frame f = r->frame;
    f.rows = p->rows;
    f.example = p->ident ? p->example : NULL;
    f.tape = r->kept->tape;
    return f;
}

void NAME(ride_mark)(const problem *p, ride *r) {
    for (int64_t i = 0; i < p->active; i++) {
        int32_t row = p->rows[i];
        r->bad[i] = p->ended[i] == DEQ_REASON_diverged || r->lost[row] || (r->cut && r->cut[row]);
    }
}

HOT static void add(vec *sum, real share, const vec *z, int64_t n) { row_axpy(sum, share, z, n); }

void NAME(ride_judge)(const problem *p, int step, const real *z, double share) {
    ride *r = p->ride;
    if (step < r->first || step > r->last) return;
    for (int64_t i = 0; i < p->active; i++) {
        const int32_t row = p->rows[i];
        if (!NAME(row_finite)(row_of(p, z, i), p->vectors)) continue;
        add(row_of(p, r->judged, row), (real)share, row_of(p, z, i), p->vectors);
        r->seen[row] = step;
    }
}

void NAME(ride_value)(const ride *r, const deq_fixed *fixed, int64_t n, real *z) {
    const size_t bytes = (size_t)fixed->state_bytes;
    for (int64_t row = 0; row < n; row++)
        if (r->seen[row] == r->last)
            memcpy((char *)z + (size_t)row * bytes, (const char *)r->judged + (size_t)row * bytes, bytes);
}

void NAME(ride_gathered)(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    const deq_kept *kept = &((deq_worker *)frame->host)->kept[fixed->index];
    memcpy(frame->drest, kept->drest, (size_t)(n * fixed->rest_bytes));
}

void NAME(ride_report)(const problem *p) {
    const ride *r = p->ride;
    for (int64_t row = 0; row < p->n && !r->looks; row++) {
        const int64_t example = p->ident ? p->ident[row] : row;
        if (r->lost[row] || r->steps[row] < r->last) {
            if (!(r->cut && r->cut[row])) deq_worker_left_out(p->worker, p->fixed, row, example);
        } else if (r->along) { /* an adjoint with a residual of its own */
            deq_worker_record(p->worker, p->fixed, true, row, example, r->steps[row], r->residual[row],
                              DEQ_REASON_max_steps, false);
        }
    }
}
