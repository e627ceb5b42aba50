/* ride.c - see ride.h.  Contributions go to kept->drest and, when parameters are wanted, to frame.accum. */
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
    if (!space->base) return;
    memset(r->u, 0, rows);
    for (int64_t i = 0; i < n; i++) {
        r->residual[i] = 0;
        r->lost[i] = false;
        r->steps[i] = 0;
    }
    memset(r->frame.drest, 0, (size_t)(n * fixed->rest_bytes));
}

/* Share of state `step` in the gradient. */
static double weight(const ride *r, int step) {
    int count = r->last - r->first + 1, place = step - r->first;
    if (place < 0 || step > r->last) return 0;
    if (r->kind == DEQ_MODE_simultaneous) return r->mode->combine == DEQ_MEAN ? 1.0 / count : 1;
    if (r->mode->weights == DEQ_UNIFORM) return 1.0 / count;
    return 2.0 * (count - place) / ((double)count * (count + 1));
}

static deq_frame frame_at(const problem *p, const ride *r) {
    deq_frame f = r->frame;
    f.rows = p->rows;
    f.example = p->ident ? p->example : NULL;
    f.tape = r->kept->tape;
    return f;
}

static void mark_bad(const problem *p, ride *r) {
    for (int64_t i = 0; i < p->active; i++) {
        int32_t row = p->rows[i];
        r->bad[i] = p->ended[i] == DEQ_REASON_diverged || r->lost[row] || (r->cut && r->cut[row]);
    }
}

HOT static void weigh(vec *out, const vec *u, real c, int64_t n) { row_scale(out, c, u, n); }

/* v = J'u + g - u, where out holds J'u times 1 / scale; sums as for residuals of solves. */
HOT static void adjoint_residual(vec *v, const vec *out, const vec *g, const vec *u, real scale, int64_t n,
                                 double sums[2]) {
    ACCUMULATORS(a);
    ACCUMULATORS(b);
    ROW_LOOP(n, const vec h = scale * out[k] + g[k]; const vec t = h - u[k]; v[k] = t; a[lane] += t * t;
             b[lane] += h * h;);
    sums[0] = (double)total4(a);
    sums[1] = (double)total4(b);
}

HOT static void advance(vec *u, const vec *w, real beta, int64_t n) { ROW_LOOP(n, u[k] += beta * w[k];); }

/* Adds what the cotangents in `a` give at this state's linearisation; with_product: b = J'a as well. */
static void contribute(problem *p, ride *r, deq_frame *f, bool with_product) {
    const deq_fixed *fixed = p->fixed;
    f->arg0 = r->a;
    f->arg1 = r->b;
    NAME(call_good)
    (with_product ? f->accum ? fixed->vjp_all : fixed->vjp_zx
     : f->accum   ? fixed->vjp_rest
                  : fixed->vjp_x,
     f, fixed, p->active, r->bad);
}

void NAME(ride_along)(problem *p, int step, const real *z, const deq_history *h, int slot, int factors) {
    ride *r = p->ride;
    deq_frame f = frame_at(p, r);
    bool lead = r->mode->pair == DEQ_LEAD, wanted = step >= r->first;
    double share = weight(r, step);
    real scale = 1;
    mark_bad(p, r);
    if (step == 0) { /* u_0 = 0 */
        memset(r->b, 0, (size_t)p->active * (size_t)p->vectors * sizeof(vec));
    } else {
        bool now = wanted && !lead;
        if (now) scale = (real)(1 / share);
        for (int64_t i = 0; i < p->active; i++)
            if (!r->bad[i]) weigh(row_of(p, r->a, i), row_of(p, r->u, p->rows[i]), now ? (real)share : 1, p->vectors);
        f.arg0 = r->a;
        f.arg1 = r->b;
        if (now)
            contribute(p, r, &f, true);
        else
            NAME(call_good)(p->fixed->vjp_z, &f, p->fixed, p->active, r->bad);
    }
    f.arg0 = (void *)z;
    f.arg1 = r->c;
    NAME(call_good)(r->cotangent, &f, p->fixed, p->active, r->bad);
    for (int64_t i = 0; i < p->active; i++) {
        int32_t row = p->rows[i];
        double sums[2];
        vec *w = row_of(p, r->a, i), *u = row_of(p, r->u, row);
        if (r->bad[i]) {
            r->lost[row] = r->lost[row] || p->ended[i] == DEQ_REASON_diverged;
            continue;
        }
        adjoint_residual(w, row_of(p, r->b, i), row_of(p, r->c, i), u, scale, p->vectors, sums);
        r->residual[row] = sqrt(sums[0]) / (sqrt(sums[1]) + 1e-9);
        r->steps[row] = step;
        if (!isfinite(r->residual[row])) r->lost[row] = r->bad[i] = true;
        if (r->bad[i] || (step == r->last && !lead)) continue;
        const int64_t at = row * (int64_t)(h->capacity + 1);
        NAME(broyden_transposed)
        (w, row_of(p, h->directions, at), (const real *)h->inverse + row * (int64_t)h->capacity,
         NAME(history_steps)(h, row), h->capacity, slot, factors, (real)p->options->step, p->vectors);
        advance(u, w, (real)r->mode->beta, p->vectors);
        if (!NAME(row_finite)(u, p->vectors)) r->lost[row] = r->bad[i] = true;
    }
    if (!lead || !wanted) return;
    for (int64_t i = 0; i < p->active; i++)
        if (!r->bad[i]) weigh(row_of(p, r->a, i), row_of(p, r->u, p->rows[i]), (real)share, p->vectors);
    contribute(p, r, &f, false);
}

void NAME(ride_state)(problem *p, int step, const real *z) {
    ride *r = p->ride;
    if (step < r->first || step > r->last) return;
    const deq_mode *m = r->mode;
    const int steps = m->steps + m->undamped_first;
    deq_frame f = frame_at(p, r);
    mark_bad(p, r);
    memcpy(r->a, z, (size_t)p->active * (size_t)p->vectors * sizeof(vec));
    NAME(steps_forward)
    (&f, p->fixed, p->active, steps, m->damping, m->undamped_first, r->kept->tape, r->kept->tape_stride, r->a, r->b,
     r->bad, r->image);
    f.arg0 = r->b;
    f.arg1 = r->c;
    NAME(call_good)(r->cotangent, &f, p->fixed, p->active, r->bad);
    for (int64_t i = 0; i < p->active; i++) {
        int32_t row = p->rows[i];
        vec *u = row_of(p, r->c, i);
        if (!r->bad[i]) weigh(u, u, (real)weight(r, step), p->vectors);
        if (!r->bad[i]) r->bad[i] = !NAME(row_finite)(u, p->vectors);
        if (!r->bad[i])
            r->steps[row] = step;
        else
            r->lost[row] = r->lost[row] || !(r->cut && r->cut[row]);
    }
    NAME(steps_back)
    (&f, p->fixed, p->active, steps, m->damping, m->undamped_first, r->kept->tape, r->kept->tape_stride, r->c, r->a,
     r->b, r->bad);
}

void NAME(ride_report)(const problem *p) {
    const ride *r = p->ride;
    for (int64_t row = 0; row < p->n; row++) {
        if (r->lost[row] || r->steps[row] < r->last) {
            if (!(r->cut && r->cut[row])) NAME(record_lost)(p->worker, p->fixed, row, p->ident, r->steps[row]);
        } else if (r->kind == DEQ_MODE_simultaneous) {
            deq_worker_record(p->worker, p->fixed, true, row, p->ident ? p->ident[row] : row, r->steps[row],
                              r->residual[row], DEQ_REASON_max_steps, false);
        }
    }
}
