/* mode_unrolled.c - k damped steps from each requested state of the solver, and back (Eq. 13-16). */
#include "mode.h"
#include <string.h>

/* Share of state `step`, which is one of those requested, in the gradient. */
static double weight(const ride *r, int step) {
    int count = r->last - r->first + 1, place = step - r->first;
    if (r->mode->weights == DEQ_UNIFORM) return 1.0 / count;
    return 2.0 * (count - place) / ((double)count * (count + 1));
}

HOT static void weigh(vec *out, const vec *u, real c, int64_t n) { row_scale(out, c, u, n); }

static void at_state(problem *p, int step, const real *z) {
    ride *r = p->ride;
    if (step < r->first || step > r->last) return;
    const deq_mode *m = r->mode;
    const int steps = m->steps + m->undamped_first;
    deq_frame f = NAME(ride_frame)(p, r);
    NAME(ride_mark)(p, r);
    memcpy(r->a, z, (size_t)p->active * (size_t)p->vectors * sizeof(vec));
    NAME(steps_forward)
    (&f, p->fixed, p->active, steps, m->damping, m->undamped_first, r->kept->tape, r->kept->tape_stride, r->a, r->b,
     r->bad, r->image, NULL);
    if (r->judges) NAME(ride_judge)(p, step, r->b, weight(r, step));
    if (r->looks) return;
    f.arg0 = r->b;
    f.arg1 = r->c;
    NAME(call_cotangent)(r->cotangent, &f, p->fixed, p->active, r->bad);
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

static deq_needs needs(const deq_fixed *fixed, const deq_fixed_settings *s, int64_t n) {
    const int steps = s->gradient.steps + s->gradient.undamped_first;
    (void)fixed, (void)n;
    return (deq_needs){.steps = steps, .tapes = steps, .drest = true};
}

static void join(ride *r) { r->at_state = at_state; }

static void solve(forward *c) {
    NAME(forward_value)(c);
    if (c->surrogate) NAME(ride_value)(&c->ride, c->fixed, c->n, c->z);
}

const mode_routines NAME(mode_unrolled) = {
    .needs = needs, .ride = join, .solve = solve, .look = solve, .gradient = NAME(ride_gathered)};
