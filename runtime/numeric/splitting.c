/* splitting.c - operator splitting for z = prox(L z + c) (Winston and Kolter 2020), prox that of step 1.
 *
 *   forward-backward   z <- prox_a(z - a (z - L z - c))
 *   Peaceman-Rachford  y = V (x + a c),  v = 2 y - x,  x <- 2 prox_a(v) - v,   V = (I + a (I - L))^-1
 *   Douglas-Rachford   the mean of x and that
 *
 * The adjoint u = L'D u + g has the same form: with w = D u, w = D (L'w + g), and D is the prox of step 1 of a
 * quadratic; u = L'w + g.
 *
 * The prox of step a: prox = (I + g)^-1 gives v = y + a g(y), so with y = prox(t): v = a t + (1 - a) prox(t), which
 * rises in t.  A projection is its own prox for every a.
 *
 * What is judged is y - prox(L y + c), for which L y + c = y + (y - x) / a costs no product.  State n is y of the n-th
 * step (forward-backward: the z made from it).  The adjoint judges w, returns u, and reports u's own residual, for
 * which it makes one more product at the end. */
#include "resolvent.h"
#include "solve.h"
#include <math.h>
#include <string.h>

#define NEWTON_MOST 60

typedef struct splitting {
    problem *p;
    real step;
    bool dense, mean;
    const real *matrix;
    real *x, *a, *y, *t, *s, *v, *next, *state; /* by position */
    real *c, *d;                                /* by row: the constant; adjoint: the diagonal D */
    real *low, *high;                           /* prox of another step: brackets */
} splitting;

/* ---- rows times the matrix: every element is one sum in the order of the rows of the matrix, whatever rows there are
 * ---- */
#define TILE 4

HOT static void product(real *out, const real *in, const real *matrix, int64_t rows, int64_t vectors) {
    const int64_t order = vectors * LANES;
    vec spare; /* rows past the last compute the last once more */
    for (int64_t from = 0; from < rows; from += TILE) {
        const real *x[TILE];
        vec *y[TILE];
        for (int r = 0; r < TILE; r++) {
            int64_t row = from + r < rows ? from + r : rows - 1;
            x[r] = in + row * order;
            y[r] = from + r < rows ? (vec *)out + row * vectors : NULL;
        }
        for (int64_t j = 0; j < vectors; j += 2) {
            const int64_t second = j + 1 < vectors ? j + 1 : j;
            const vec *m = (const vec *)matrix;
            vec sum[TILE][2] = {{{0}}};
            for (int64_t k = 0; k < order; k++) {
                const vec m0 = m[k * vectors + j], m1 = m[k * vectors + second];
                for (int r = 0; r < TILE; r++) {
                    sum[r][0] += x[r][k] * m0;
                    sum[r][1] += x[r][k] * m1;
                }
            }
            for (int r = 0; r < TILE; r++) {
                *(y[r] ? y[r] + j : &spare) = sum[r][0];
                *(y[r] ? y[r] + second : &spare) = sum[r][1];
            }
        }
    }
}

/* ---- one row ---- */
HOT static void add_scaled(vec *out, const vec *x, const vec *c, real a, int64_t n) {
    ROW_LOOP(n, out[k] = x[k] + a * c[k];);
}

/* t = L y + c, v = 2 y - x */
HOT static void dense_step(vec *t, vec *v, const vec *y, const vec *x, real inverse, int64_t n) {
    ROW_LOOP(n, const vec d = y[k] - x[k]; t[k] = y[k] + inverse * d; v[k] = y[k] + d;);
}

/* t = a + c, v = (1 - step) x + step t */
HOT static void gradient_step(vec *t, vec *v, const vec *a, const vec *c, const vec *x, real step, int64_t n) {
    const real keep = 1 - step;
    ROW_LOOP(n, const vec u = a[k] + c[k]; t[k] = u; v[k] = keep * x[k] + step * u;);
}

/* s = D t, next = prox_step(v) of D */
HOT static void diagonal_step(vec *s, vec *next, const vec *d, const vec *t, const vec *v, real step, int64_t n) {
    const real rest = 1 - step;
    ROW_LOOP(n, s[k] = d[k] * t[k]; next[k] = d[k] * v[k] / (step + rest * d[k]););
}

HOT static void differences(const vec *s, const vec *y, int64_t n, double sums[2]) { row_differences(s, y, n, sums); }

HOT static void reflect(vec *x, const vec *next, const vec *v, bool mean, int64_t n) {
    if (mean)
        ROW_LOOP(n, x[k] = (real)0.5 * (x[k] + (2 * next[k] - v[k])););
    else
        ROW_LOOP(n, x[k] = 2 * next[k] - v[k];);
}

/* ---- the prox of another step ---- */

/* The first bracket of the t with phi(t) = a t + (1 - a) prox(t) = v: phi has slopes between 1 and a. */
HOT static void bracket(real *t, real *low, real *high, const real *prox, const real *v, real step, int64_t count) {
    const real rest = 1 - step, least = step < 1 ? step : 1, most = step < 1 ? 1 : step;
    for (int64_t k = 0; k < count; k++) {
        const real e = step * t[k] + rest * prox[k] - v[k], far = t[k] - e / least, near = t[k] - e / most;
        low[k] = e > 0 ? far : near;
        high[k] = e > 0 ? near : far;
    }
}

/* One guarded Newton step of every element that rounding lets improve; how many those are. */
HOT static int64_t newton(real *t, real *low, real *high, const real *prox, const real *slope, const real *v, real step,
                          int64_t count) {
    const real rest = 1 - step;
    int64_t moved = 0;
    for (int64_t k = 0; k < count; k++) {
        const real at = step * t[k], more = rest * prox[k], e = at + more - v[k];
        const real size = (at < 0 ? -at : at) + (more < 0 ? -more : more) + (v[k] < 0 ? -v[k] : v[k]);
        const real off = e < 0 ? -e : e;
        if (!(off > 2 * (real)REAL_EPSILON * size)) continue;
        if (e > 0)
            high[k] = t[k] < high[k] ? t[k] : high[k];
        else
            low[k] = t[k] > low[k] ? t[k] : low[k];
        real to = t[k] - e / (step + rest * slope[k]);
        if (!(to >= low[k] && to <= high[k])) to = (low[k] + high[k]) / 2;
        moved += to != t[k];
        t[k] = to;
    }
    return moved;
}

static void call(problem *p, deq_routine_fn *routine, const real *in, real *out) {
    deq_frame *f = &p->frame;
    f->arg0 = (void *)in;
    f->arg1 = out;
    f->rows = p->rows;
    f->example = p->ident ? p->example : NULL;
    routine(f, p->active);
}

/* next = prox_step(v); t and s are free. */
static void prox_of_step(splitting *q) {
    problem *p = q->p;
    int64_t count = p->active * p->vectors * LANES;
    if (!p->fixed->slope || q->step == 1) {
        call(p, p->fixed->prox, q->v, q->next);
        return;
    }
    memcpy(q->t, q->v, (size_t)count * sizeof(real));
    call(p, p->fixed->prox, q->t, q->next);
    bracket(q->t, q->low, q->high, q->next, q->v, q->step, count);
    for (int i = 0; i < NEWTON_MOST; i++) {
        call(p, p->fixed->slope, q->t, q->s);
        if (newton(q->t, q->low, q->high, q->next, q->s, q->v, q->step, count) == 0) break;
        call(p, p->fixed->prox, q->t, q->next);
    }
}

/* ---- the solve ---- */

static void scatter(problem *p, real *to, const real *from) {
    for (int64_t i = 0; i < p->active; i++)
        memcpy(row_of(p, to, p->rows[i]), row_of(p, from, i), (size_t)p->vectors * sizeof(vec));
}

/* The constant (adjoint: g), D, and the first x, which belongs to the state zero or to `start`. */
static void open(splitting *q) {
    problem *p = q->p;
    int64_t count = p->active * p->vectors * LANES;
    if (p->adjoint) {
        q->c = (real *)p->rhs;
        for (int64_t k = 0; k < count; k++) q->a[k] = 1;
        call(p, p->fixed->diagonal, q->a, q->s);
        scatter(p, q->d, q->s);
    } else {
        call(p, p->fixed->constant, q->a, q->s);
        scatter(p, q->c, q->s);
    }
    NAME(problem_start)(p, q->x);
    if (!p->start) return;
    for (int64_t i = 0; p->adjoint && i < p->active; i++) {
        vec *x = row_of(p, q->x, i);
        diagonal_step(x, row_of(p, q->next, i), row_of(p, q->d, p->rows[i]), x, x, q->step, p->vectors);
    }
    if (!q->dense) return;
    call(p, p->adjoint ? p->fixed->transposed : p->fixed->linear, q->x, q->a);
    for (int64_t i = 0; i < p->active; i++) { /* x = z + step (z - L z - c) */
        vec *x = row_of(p, q->x, i), *t = row_of(p, q->t, i);
        const vec *a = row_of(p, q->a, i), *c = row_of(p, q->c, p->rows[i]);
        for (int64_t k = 0; k < p->vectors; k++) t[k] = x[k] + q->step * (x[k] - a[k] - c[k]);
        memcpy(x, t, (size_t)p->vectors * sizeof(vec));
    }
}

/* t = L y + c at the point y, and v, of which prox is taken. */
static void linear_half(splitting *q) {
    problem *p = q->p;
    if (!q->dense) call(p, p->adjoint ? p->fixed->transposed : p->fixed->linear, q->x, q->a);
    for (int64_t i = 0; i < p->active; i++) {
        const vec *x = row_of(p, q->x, i), *c = row_of(p, q->c, p->rows[i]);
        vec *a = row_of(p, q->a, i);
        if (q->dense)
            add_scaled(a, x, c, q->step, p->vectors);
        else
            gradient_step(row_of(p, q->t, i), row_of(p, q->v, i), a, c, x, q->step, p->vectors);
    }
    if (!q->dense) return;
    product(q->y, q->a, q->matrix, p->active, p->vectors);
    for (int64_t i = 0; i < p->active; i++)
        dense_step(row_of(p, q->t, i), row_of(p, q->v, i), row_of(p, q->y, i), row_of(p, q->x, i), 1 / q->step,
                   p->vectors);
}

/* The adjoint's own residual, of the examples that were to be solved: u - J'u - g. */
static void adjoint_residuals(splitting *q, int64_t count) {
    problem *p = q->p;
    p->active = count;
    for (int64_t i = 0; i < count; i++) {
        if (p->ident) p->example[i] = p->ident[p->rows[i]];
        memcpy(row_of(p, q->x, i), row_of(p, p->result, p->rows[i]), (size_t)p->vectors * sizeof(vec));
    }
    problem_apply(p, q->x, q->a, 1);
    for (int64_t i = 0; i < count; i++) {
        progress *r = &p->progress[p->rows[i]];
        double sums[2], scale = p->scale ? p->scale[p->rows[i]] : 1;
        vec *h = row_of(p, q->a, i);
        add_scaled(h, h, rhs_of(p, i), 1, p->vectors);
        differences(h, row_of(p, q->x, i), p->vectors, sums);
        double error = p->options->absolute ? sqrt(sums[0]) * scale : sqrt(sums[0]) / (sqrt(sums[1]) + 1e-9);
        r->residual = r->lowest = error;
    }
    p->active = 0;
}

static void refuse(problem *p) {
    for (int64_t i = 0; i < p->active; i++) {
        int32_t row = p->rows[i];
        progress *q = &p->progress[row];
        q->reason = DEQ_REASON_singular;
        q->residual = INFINITY;
        NAME(problem_return_best)(p, row);
    }
    p->active = 0;
}

static void solve(problem *p, deq_space *space, bool dense, bool mean) {
    const int64_t n = p->n, count = p->active; /* of a chain, those left */
    splitting q = {.p = p, .step = (real)p->options->step, .dense = dense, .mean = mean};
    real **buffers[] = {&q.x, &q.a, &q.t, &q.s, &q.v, &q.next, &q.state};
    for (size_t b = 0; b < sizeof buffers / sizeof *buffers; b++) *buffers[b] = take_rows(p, space, n);
    q.y = dense ? take_rows(p, space, n) : q.x;
    *(p->adjoint ? &q.d : &q.c) = take_rows(p, space, n);
    if (!p->adjoint) q.low = take_rows(p, space, n), q.high = take_rows(p, space, n);
    if (!space->base) return;
    size_t row_bytes = (size_t)p->vectors * sizeof(vec);
    if (dense) {
        const deq_resolvent *r = deq_resolvents_find(p->worker->resolvents, p->fixed, p->options->step, p->adjoint);
        if (!r || r->singular) {
            refuse(p);
            return;
        }
        q.matrix = r->matrix;
    }
    open(&q);
    for (int step = 1; p->active > 0; step++) {
        linear_half(&q);
        if (p->adjoint) {
            for (int64_t i = 0; i < p->active; i++)
                diagonal_step(row_of(p, q.s, i), row_of(p, q.next, i), row_of(p, q.d, p->rows[i]), row_of(p, q.t, i),
                              row_of(p, q.v, i), q.step, p->vectors);
        } else {
            call(p, p->fixed->prox, q.t, q.s);
        }
        for (int64_t i = 0; i < p->active; i++) {
            double sums[2];
            differences(row_of(p, q.s, i), row_of(p, q.y, i), p->vectors, sums);
            problem_judge(p, i, step, true, sqrt(sums[0]), sqrt(sums[1]));
            if (dense || p->adjoint) memcpy(row_of(p, q.state, i), row_of(p, p->adjoint ? q.t : q.y, i), row_bytes);
        }
        if (!p->adjoint) { /* at step 1, v = t: dense because 2 y - x = y + (y - x) */
            if (q.step == 1)
                memcpy(q.next, q.s, (size_t)p->active * row_bytes);
            else
                prox_of_step(&q);
        }
        for (int64_t i = 0; i < p->active; i++) {
            int32_t row = p->rows[i];
            progress *r = &p->progress[row];
            const vec *next = row_of(p, q.next, i), *state = row_of(p, dense || p->adjoint ? q.state : q.next, i);
            if (r->lowest_step == step) {
                memcpy(row_of(p, p->best, row), state, row_bytes);
                r->saved = true;
            }
            if (p->ended[i] != DEQ_RUNNING) {
                if (returns_last(p, r, step))
                    memcpy(row_of(p, p->result, row), state, row_bytes);
                else
                    NAME(problem_return_best)(p, row);
            }
            if (dense)
                reflect(row_of(p, q.x, i), next, row_of(p, q.v, i), mean, p->vectors);
            else
                memcpy(row_of(p, q.x, i), next, row_bytes);
        }
        problem_stream(p, step, dense ? q.state : q.x);
        problem_compact(p, q.x);
    }
    if (p->adjoint) adjoint_residuals(&q, count);
}

void NAME(solve_forward_backward)(problem *p, deq_space *space) { solve(p, space, false, false); }
void NAME(solve_peaceman_rachford)(problem *p, deq_space *space) { solve(p, space, true, false); }
void NAME(solve_douglas_rachford)(problem *p, deq_space *space) { solve(p, space, true, true); }
