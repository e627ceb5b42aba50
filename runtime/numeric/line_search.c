/* line_search.c - backtracking on norm(f(z) - z): a step is halved until it lowers the residual by the part that
 * Armijo's rule asks for (as in the published code of Bai et al., whose merit is the same norm).
 *
 * Only the examples whose trial was refused are evaluated again; what an example does depends on itself alone. */
#include "solve.h"
#include <math.h>
#include <string.h>

#define ENOUGH 1e-4

HOT static double distance(const vec *f, const vec *z, int64_t n) {
    ACCUMULATORS(a);
    ROW_LOOP(n, const vec t = f[k] - z[k]; a[lane] += t * t;);
    return sqrt((double)total4(a));
}

HOT static void move(vec *z, real c, const vec *d, int64_t n) { row_axpy(z, c, d, n); }

void NAME(line_search_open)(line_search *s, problem *p, deq_space *space) {
    const size_t n = (size_t)p->n;
    s->before = deq_space_take(space, n * sizeof *s->before);
    s->taken = deq_space_take(space, n * sizeof *s->taken);
    s->stuck = deq_space_take(space, n * sizeof *s->stuck);
    s->in = take_rows(p, space, p->n);
    s->out = take_rows(p, space, p->n);
    s->least = deq_space_take(space, n * sizeof *s->least);
    s->at = deq_space_take(space, n * sizeof *s->at);
    s->rows = deq_space_take(space, n * sizeof *s->rows);
    s->position = deq_space_take(space, n * sizeof *s->position);
    s->example = deq_space_take(space, n * sizeof *s->example);
    if (space->base) memset(s->stuck, 0, n * sizeof *s->stuck);
}

/* Images of the states at the positions s->position[0 .. count). */
static void evaluate(line_search *s, problem *p, const real *z, real *f, int64_t count) {
    const size_t bytes = (size_t)p->vectors * sizeof(vec);
    for (int64_t k = 0; k < count; k++) {
        s->rows[k] = p->rows[s->position[k]];
        if (p->ident) s->example[k] = p->ident[s->rows[k]];
        memcpy(row_of(p, s->in, k), row_of(p, z, s->position[k]), bytes);
    }
    deq_frame frame = p->frame;
    frame.arg0 = s->in;
    frame.arg1 = s->out;
    frame.rows = s->rows;
    frame.example = p->ident ? s->example : NULL;
    deq_evaluate(p->fixed, &frame, count);
    for (int64_t k = 0; k < count; k++) memcpy(row_of(p, f, s->position[k]), row_of(p, s->out, k), bytes);
}

void NAME(line_search_run)(line_search *s, problem *p, real *z, real *f, const real *directions, int stride, int slot) {
    int64_t pending = 0;
    for (int64_t i = 0; i < p->active; i++) {
        const int32_t row = p->rows[i];
        const double now = distance(row_of(p, f, i), row_of(p, z, i), p->vectors);
        s->stuck[row] = false;
        if (now <= (1 - ENOUGH * (double)s->taken[row]) * s->before[row]) continue; /* NaN is not */
        s->least[row] = isfinite(now) ? now : INFINITY;
        s->at[row] = s->taken[row];
        s->position[pending++] = (int32_t)i;
    }
    for (int trial = 0; pending > 0 && trial < LINE_SEARCH_TRIALS; trial++) {
        for (int64_t k = 0; k < pending; k++) {
            const int32_t i = s->position[k], row = p->rows[i];
            const vec *d = row_of(p, directions, row * (int64_t)stride + slot);
            const real half = s->taken[row] / 2;
            move(row_of(p, z, i), half - s->taken[row], d, p->vectors);
            s->taken[row] = half;
        }
        evaluate(s, p, z, f, pending);
        int64_t left = 0;
        for (int64_t k = 0; k < pending; k++) {
            const int32_t i = s->position[k], row = p->rows[i];
            const double now = distance(row_of(p, f, i), row_of(p, z, i), p->vectors);
            if (now <= (1 - ENOUGH * (double)s->taken[row]) * s->before[row]) continue;
            if (now < s->least[row]) {
                s->least[row] = now;
                s->at[row] = s->taken[row];
            }
            s->position[left++] = i;
        }
        pending = left;
    }
    int64_t back = 0;
    for (int64_t k = 0; k < pending; k++) {
        const int32_t i = s->position[k], row = p->rows[i];
        s->stuck[row] = !(s->least[row] < s->before[row]);
        if (s->at[row] == s->taken[row]) continue;
        move(row_of(p, z, i), s->at[row] - s->taken[row], row_of(p, directions, row * (int64_t)stride + slot),
             p->vectors);
        s->taken[row] = s->at[row];
        s->position[back++] = i;
    }
    if (back > 0) evaluate(s, p, z, f, back);
}
