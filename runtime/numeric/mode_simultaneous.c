/* mode_simultaneous.c - the adjoint iterate u_n goes along with Broyden's z_n and uses its B_n, transposed (Eq. 7-11). */
#include "mode.h"
#include <math.h>
#include <string.h>

/* Share of state `step` in the gradient. */
static double weight(const ride *r, int step) {
    if (step < r->first || step > r->last) return 0;
    return r->mode->combine == DEQ_MEAN ? 1.0 / (r->last - r->first + 1) : 1;
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

static void along(problem *p, int step, const real *z, const deq_history *h, int slot, int factors) {
    ride *r = p->ride;
    deq_frame f = NAME(ride_frame)(p, r);
    bool lead = r->mode->pair == DEQ_LEAD, wanted = step >= r->first;
    double share = weight(r, step);
    real scale = 1;
    NAME(ride_mark)(p, r);
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
    NAME(call_cotangent)(r->cotangent, &f, p->fixed, p->active, r->bad);
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

static deq_needs needs(const deq_fixed *fixed, const deq_fixed_settings *s, int64_t n) {
    (void)fixed, (void)s, (void)n;
    return (deq_needs){.drest = true};
}

/* The states whose gradients are joined, in the same shares; of a sum their mean. */
static void judge(problem *p, int step, const real *z) {
    const ride *r = p->ride;
    NAME(ride_judge)(p, step, z, 1.0 / (r->last - r->first + 1));
}

static void join(ride *r) {
    if (!r->looks) r->along = along;
    if (r->judges) r->at_state = judge;
    if (r->mode->combine == DEQ_LAST) r->first = r->last;
}

static void solve(forward *c) {
    NAME(forward_value)(c);
    if (c->surrogate) NAME(ride_value)(&c->ride, c->fixed, c->n, c->z);
}

const mode_routines NAME(mode_simultaneous) = {
    .needs = needs, .ride = join, .solve = solve, .look = solve, .gradient = NAME(ride_gathered)};
