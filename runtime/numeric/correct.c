/* correct.c - see correct.h.  Values go where the request says, gradients to kept->added_drest and to accum. */
#include "correct.h"
#include <math.h>
#include <string.h>

void NAME(correct_open)(correct *c, const deq_fixed *fixed, deq_space *space, int64_t n) {
    size_t rows = (size_t)(n * fixed->state_bytes);
    c->stride = n * fixed->tape_bytes + DEQ_ALIGN;
    c->a = deq_space_take(space, rows);
    c->b = deq_space_take(space, rows);
    c->c = deq_space_take(space, rows);
    c->v = deq_space_take(space, rows);
    c->loss = deq_space_take(space, (size_t)n * DEQ_ALIGN);
    c->tapes = deq_space_take(space, (size_t)c->penalty->steps * (size_t)c->stride);
    c->bad = deq_space_take(space, (size_t)n * sizeof *c->bad);
}

/* NAME_LOSS_correction on the runs of good rows: c = w dloss/dstate of b, and loss = w loss. */
static void call_runs(const problem *p, const correct *c, const deq_frame *frame, double w) {
    for (int64_t from = 0, to; from < p->active; from = to + 1) {
        for (to = from; to < p->active && !c->bad[to];) to++;
        if (to == from) continue;
        deq_frame f = *frame;
        f.scalars = &w;
        f.rows += from;
        if (f.example) f.example += from;
        f.arg0 = row_of(p, c->b, from);
        f.arg1 = row_of(p, c->c, from);
        f.arg2 = c->loss + from * DEQ_ALIGN;
        c->routine(&f, to - from);
    }
}

void NAME(correct_state)(problem *p, int step, const real *z) {
    correct *c = p->correct;
    const deq_penalty *o = c->penalty;
    double w = c->weight * deq_correction_weight(o, step);
    if (w == 0) return;
    deq_frame f = c->frame;
    f.rows = p->rows;
    f.example = p->ident ? p->example : NULL;
    for (int64_t i = 0; i < p->active; i++)
        c->bad[i] = p->ended[i] == DEQ_REASON_diverged || (c->cut && c->cut[p->rows[i]]);
    memcpy(c->a, z, (size_t)p->active * (size_t)p->vectors * sizeof(vec));
    NAME(steps_forward)
    (&f, p->fixed, p->active, o->steps, o->damping, false, c->tapes, c->stride, c->a, c->b, c->bad, NULL, NULL);
    call_runs(p, c, &f, w);
    for (int64_t i = 0; i < p->active; i++) {
        int32_t row = p->rows[i];
        double value = (double)*(const real *)(c->loss + i * DEQ_ALIGN);
        if (c->bad[i]) continue;
        c->bad[i] = !isfinite(value) || !NAME(row_finite)(row_of(p, c->c, i), p->vectors);
        if (c->bad[i])
            deq_worker_left_out(p->worker, p->fixed, row, p->ident ? p->ident[row] : row);
        else
            p->worker->request.corrected[row] += value;
    }
    NAME(steps_back)
    (&f, p->fixed, p->active, o->steps, o->damping, false, c->tapes, c->stride, c->c, c->v, c->a, c->bad);
}
