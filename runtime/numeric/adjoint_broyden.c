/* adjoint_broyden.c - adjoint Broyden (Schlenkrich, Griewank and Walther 2010) with the extra updates in the outer
 * problem's direction, OPA, of Ramzi et al. 2022 (SHINE).
 *
 * H approximates the inverse of J_g = J - I.  An update in direction s makes the estimate agree with J_g on the left,
 * s'H^-1 = s'J_g:
 *     p = H'J_g's,   H <- H - (H s) (p - s)' / p's,
 * and is kept as the pair u = -H s / p's, v = p - s:  H = -I + sum u_i v_i'.  It costs a product with J'.  s = g_n at
 * every state z_n = z_{n-1} - alpha H g_{n-1}; with OPA, every `opa` states and at the last one, also s = H'dL/dz,
 * which brings SHINE's -H'dL/dz to the exact adjoint as the states converge.  dL/dz is known where a gradient is wanted
 * through `shine`, and only there.
 *
 * A vanishing p's skips the update.  When `memory` pairs are kept and full, all are forgotten.  State n is z_n, whose
 * own residual is known: N steps cost N + 1 linearisations and N products, and as many more for the extra updates. */
#include "solve.h"
#include <math.h>
#include <string.h>

HOT static void residual(vec *g, vec *f, const vec *z, int64_t n, double sums[2]) {
    row_residual(g, f, (const vec *)0, z, n, sums);
}

HOT static double dot(const vec *x, const vec *y, int64_t n) { return (double)row_dot(x, y, n); }
HOT static void subtract(vec *x, const vec *y, int64_t n) { ROW_LOOP(n, x[k] -= y[k];); }
HOT static void scale(vec *out, real c, const vec *x, int64_t n) { row_scale(out, c, x, n); }
HOT static void move(vec *z, real c, const vec *d, int64_t n) { row_axpy(z, c, d, n); }

/* out = H x, or H'x; pairs stand as u_0, v_0, u_1, v_1, .. */
HOT static void apply(vec *out, const vec *x, const vec *pairs, int count, bool transposed, int64_t n) {
    row_scale(out, -1, x, n);
    for (int i = 0; i < count; i++) {
        const vec *u = pairs + 2 * i * n, *v = u + n;
        row_axpy(out, row_dot(transposed ? u : v, x, n), transposed ? v : u, n);
    }
}

HOT void NAME(pairs_transposed)(vec *w, vec *pairs, int count, int capacity, int64_t n) {
    vec *kept = pairs + capacity * n; /* the row to spare */
    row_copy(kept, w, n);
    apply(w, kept, pairs, count, true, n);
    row_scale(w, -1, w, n);
}

typedef struct estimate { /* by row of the block */
    real *pairs;
    int32_t *count;
    int most, capacity; /* pairs; rows before the one to spare */
} estimate;

static vec *pairs_of(const problem *p, const estimate *h, int32_t row) {
    return row_of(p, h->pairs, row * (int64_t)(h->capacity + 1));
}

/* Updates the estimates of the examples that are not `bad` in the directions s, by position; q, w: space for rows. */
static void update(problem *p, estimate *h, deq_frame *f, real *s, real *q, real *w, const bool *bad) {
    const int64_t n = p->vectors;
    f->arg0 = s;
    f->arg1 = q;
    NAME(call_good)(p->fixed->vjp_z, f, p->fixed, p->active, bad);
    for (int64_t i = 0; i < p->active; i++) {
        const int32_t row = p->rows[i];
        vec *x = row_of(p, s, i), *y = row_of(p, q, i), *t = row_of(p, w, i), *pairs = pairs_of(p, h, row);
        if (bad[i]) continue;
        subtract(y, x, n); /* J_g's */
        if (h->count[row] == h->most) h->count[row] = 0;
        apply(t, y, pairs, h->count[row], true, n); /* p */
        const double product = dot(t, x, n), size = sqrt(dot(t, t, n)) * sqrt(dot(x, x, n)), inverse = -1 / product;
        if (!(fabs(product) > 64 * (double)REAL_EPSILON * size) || !isfinite((real)inverse)) continue;
        vec *u = pairs + 2 * h->count[row] * n, *v = u + n;
        apply(y, x, pairs, h->count[row], false, n);
        scale(u, (real)inverse, y, n);
        subtract(t, x, n);
        row_copy(v, t, n);
        if (NAME(row_finite)(u, n) && NAME(row_finite)(v, n)) h->count[row]++;
    }
}

void NAME(solve_adjoint_broyden)(problem *p, deq_space *space) {
    const deq_solver *o = p->options;
    const int64_t n = p->vectors;
    const bool keeps = p->history != NULL;
    estimate h = {.capacity = deq_history_capacity(o, true)};
    real *z = take_rows(p, space, p->n), *f = take_rows(p, space, p->n), *g = take_rows(p, space, p->n);
    real *s = take_rows(p, space, p->n), *q = take_rows(p, space, p->n), *w = take_rows(p, space, p->n);
    char *tape = deq_space_take(space, (size_t)(p->n * p->fixed->tape_bytes) + DEQ_ALIGN);
    bool *bad = deq_space_take(space, (size_t)p->n * sizeof *bad);
    h.most = h.capacity / 2;
    if (keeps) {
        p->history->capacity = h.capacity;
        p->history->pairs = true;
        p->history->varied = false;
        h.pairs = p->history->directions;
        h.count = p->history->factors;
    } else {
        h.pairs = take_rows(p, space, p->n * (h.capacity + 1));
        h.count = deq_space_take(space, (size_t)p->n * sizeof *h.count);
    }
    if (!space->base) return;
    for (int64_t i = 0; i < p->active; i++) h.count[p->rows[i]] = 0;
    NAME(problem_start)(p, z);
    for (int step = 0; p->active > 0; step++) {
        deq_frame frame = p->frame;
        frame.arg0 = z;
        frame.arg1 = f;
        frame.rows = p->rows;
        frame.example = p->ident ? p->example : NULL;
        frame.tape = tape;
        deq_linearise(p->fixed, &frame, p->active);
        bool ends = false;
        for (int64_t i = 0; i < p->active; i++) {
            double sums[2];
            const int32_t row = p->rows[i];
            progress *progress = &p->progress[row];
            const vec *state = row_of(p, z, i);
            residual(row_of(p, g, i), row_of(p, f, i), state, n, sums);
            if (problem_judge(p, i, step, step > 0, sqrt(sums[0]), sqrt(sums[1]))) {
                row_copy(row_of(p, p->best, row), state, n);
                progress->saved = true;
            }
            row_copy(row_of(p, s, i), row_of(p, g, i), n);
            const bool ended = p->ended[i] != DEQ_RUNNING;
            bad[i] = step == 0 || sums[0] == 0 || progress->reason == DEQ_REASON_diverged || (ended && !keeps);
            ends = ends || ended;
            if (!ended) continue;
            if (returns_last(p, progress, step) || (step == 0 && progress->reason == DEQ_REASON_converged))
                row_copy(row_of(p, p->result, row), state, n);
            else
                NAME(problem_return_best)(p, row);
        }
        update(p, &h, &frame, s, q, w, bad);
        const bool turn = o->opa > 0 && step > 0 && step % o->opa == 0;
        if (p->cotangent && o->opa > 0 && (turn || ends)) {
            for (int64_t i = 0; i < p->active; i++)
                bad[i] = p->progress[p->rows[i]].reason == DEQ_REASON_diverged || !(turn || p->ended[i] != DEQ_RUNNING);
            frame.arg0 = z;
            frame.arg1 = q;
            NAME(call_cotangent)(p->cotangent, &frame, p->fixed, p->active, bad);
            for (int64_t i = 0; i < p->active; i++) {
                if (bad[i]) continue;
                const int32_t row = p->rows[i];
                apply(row_of(p, s, i), row_of(p, q, i), pairs_of(p, &h, row), h.count[row], true, n);
                bad[i] = !NAME(row_finite)(row_of(p, s, i), n) || dot(row_of(p, s, i), row_of(p, s, i), n) == 0;
            }
            update(p, &h, &frame, s, q, w, bad);
        }
        problem_stream(p, step, z);
        for (int64_t i = 0; i < p->active; i++) {
            if (p->ended[i] != DEQ_RUNNING) continue;
            const int32_t row = p->rows[i];
            apply(row_of(p, w, i), row_of(p, g, i), pairs_of(p, &h, row), h.count[row], false, n);
            move(row_of(p, z, i), -(real)o->step, row_of(p, w, i), n);
        }
        problem_compact(p, z);
    }
}
