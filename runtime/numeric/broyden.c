/* broyden.c - good Broyden from B_0 = -I (Yang et al. 2022, Eq. 7-8), in Kelley's form, which keeps one vector a step.
 *
 * With g = h(z) - z, directions d_n = -B_n g_n and steps s_n = alpha d_n, the update of Eq. 8 is
 *     B_{n+1} = (I + p_n d_n') B_n,   p_n = (d_{n+1} - (1 - alpha) d_n) / d_n'd_n
 * (alpha is the step size, or what the line search left of it, then another for each n), so that w = -B_n g comes from
 * w = g by running once through the directions, w <- w + (d_{k+1} - (1 - alpha) d_k) (d_k'w / d_k'd_k),   k = 0 .. n-1,
 * and with c = d_n'w / d_n'd_n the next direction is d_{n+1} = (w - (1 - alpha) c d_n) / (1 - c).
 * 1 - c is the denominator of Eq. 8 over d_n'd_n; where it vanishes the update is skipped: its factor becomes I.
 *
 * The transposed estimate runs through them backwards: -B_n'v comes from w = v by
 *     w <- w + d_k ((d_{k+1}'w - (1 - alpha) d_k'w) / d_k'd_k),   k = n-1 .. 0.
 *
 * N steps cost N + 1 evaluations: the last gives the residual of z_N.  When `memory` directions are kept and full, the
 * oldest factor is dropped. */
#include "ride.h"
#include <math.h>
#include <string.h>

typedef struct history { /* of one example */
    const void *rows;    /* directions */
    const real *inverse; /* 1 / d'd of each; 0: its factor is left out */
    const real *steps;   /* alpha of each; NULL: all the same */
    int oldest, count, capacity;
} history;

typedef struct example { /* whose step is to be made */
    history old;
    void *w; /* h(z) - z on entry, the next direction on return */
    const void *z;
    void *next;    /* z + alpha d */
    real squared;  /* d'd */
    real rounding; /* d'd of a direction that may be all rounding: B learns nothing from it */
    bool skip;     /* leave the last factor out */
} example;

#define MOST_LANES 4
/* Of z'z: solves that go on after they have converged, for what rides along, would fill B with noise otherwise.  Half a
 * unit of rounding, and no more: the public monotone net's solves to 1e-6 in f32 learn from steps of a few units; with 8
 * units none of 20 converged, with 1 unit 19, with this one all (`programs.weights`). */
#define ROUNDING (0.25f * REAL_EPSILON * REAL_EPSILON)

#define ROWS "broyden_rows.h"
#include "each_width.h"

#define SIDE_BY_SIDE 64 /* vectors: longer rows hide the waiting by themselves and want the cache for one history */

static void advance(example *e, int lanes, real alpha, int64_t n) {
    for (int x = 0; x < lanes;) {
        const int left = n <= SIDE_BY_SIDE ? lanes - x : 1, some = left >= 4 ? 4 : left >= 2 ? 2 : 1;
        if (some == 4)
            FOR_WIDTH(advance_four)(e + x, alpha, n);
        else if (some == 2)
            FOR_WIDTH(advance_two)(e + x, alpha, n);
        else
            FOR_WIDTH(advance_one)(e + x, alpha, n);
        x += some;
    }
}

/* Makes the steps of one to four examples and notes the factors they leave. */
static void make_steps(example *e, real *const *inverses, int lanes, int slot, int capacity, real alpha, int64_t n) {
    advance(e, lanes, alpha, n);
    for (int x = 0; x < lanes; x++) {
        real one_over = 1 / e[x].squared;
        if (e[x].skip) inverses[x][(slot + capacity - 1) % capacity] = 0;
        inverses[x][slot] = e[x].squared > e[x].rounding && isfinite(one_over) ? one_over : 0;
    }
}

void NAME(broyden_transposed)(vec *w, const vec *directions, const real *inverse, const real *steps, int capacity,
                              int newest, int factors, real step, int64_t n) {
    FOR_WIDTH(transposed)(w, directions, inverse, steps, capacity, newest, factors, step, n);
}

/* The line search on the step that led to z; where it shortened one, what the ride keeps of z is made again. */
static void shorten(problem *p, line_search *search, real *z, real *f, const real *directions, real *steps,
                    int capacity, int step) {
    const int newest = (step - 1) % capacity;
    bool shortened = false;
    NAME(line_search_run)(search, p, z, f, directions, capacity + 1, newest);
    for (int64_t i = 0; i < p->active; i++) {
        const int32_t row = p->rows[i];
        real *taken = &steps[row * (int64_t)capacity + newest];
        shortened = shortened || *taken != search->taken[row];
        *taken = search->taken[row];
    }
    if (shortened && p->ride) problem_apply(p, z, f, step);
}

/* The result of a row that has ended: its last state, or the best one, if there is any; and f there, or f alone. */
static void leave(problem *p, int32_t row, const vec *state, const vec *image, bool last) {
    images *m = p->images;
    const progress *q = &p->progress[row];
    const bool known = m && (last || (q->lowest_step > 0 && !p->keep_last));
    if (known && !last) image = row_of(p, m->of_best, row);
    if (known && m->direct && (m->always || q->reason != DEQ_REASON_converged) &&
        NAME(damped_step)(row_of(p, p->result, row), image, image, 1, p->vectors)) {
        m->known[row] = IMAGE_RESULT;
        return;
    }
    if (last)
        row_copy(row_of(p, p->result, row), state, p->vectors);
    else
        NAME(problem_return_best)(p, row);
    if (m) m->known[row] = known ? IMAGE_KEPT : IMAGE_UNKNOWN;
    if (known) row_copy(row_of(p, m->of_result, row), image, p->vectors);
}

void NAME(solve_broyden)(problem *p, deq_space *space) {
    const deq_solver *o = p->options;
    const ride *r = p->ride;
    bool rides = r && r->along, keeps = p->history != NULL;
    int last = rides ? r->last : 0;
    int capacity = deq_history_capacity(o, rides || keeps); /* with memory, one more: the direction in the making */
    real *z = take_rows(p, space, p->n), *next = take_rows(p, space, p->n), *f = take_rows(p, space, p->n);
    images *m = p->keep_last ? NULL : p->images;      /* which needs them of the best states as well */
    real *before = take_rows(p, space, m ? p->n : 0); /* f at the states of the step before */
    real *directions, *inverse, *steps = NULL;
    line_search search;
    const bool searches = o->line_search == DEQ_ARMIJO;
    if (keeps) {
        p->history->capacity = capacity;
        directions = p->history->directions;
        inverse = p->history->inverse;
        steps = p->history->steps;
        p->history->varied = searches;
        p->history->pairs = false;
    } else {
        directions = take_rows(p, space, p->n * (capacity + 1)); /* and one row for the last residual */
        inverse = deq_space_take(space, (size_t)p->n * (size_t)capacity * sizeof(real));
        if (searches) steps = deq_space_take(space, (size_t)p->n * (size_t)capacity * sizeof(real));
    }
    if (searches) NAME(line_search_open)(&search, p, space);
    if (!space->base) return;
    size_t row_bytes = (size_t)p->vectors * sizeof(vec);
    NAME(problem_start)(p, z);
    for (int step = 0; p->active > 0; step++) {
        if (p->ride && !rides && !searches) p->ride->image = f; /* each state is evaluated as it is handed on */
        int slot = step % capacity, count = step < capacity ? step : capacity - 1;
        problem_apply(p, z, f, step);
        if (searches && step > 0) shorten(p, &search, z, f, directions, steps, capacity, step);
        bool end = step >= o->max && !rides && !keeps;
        example pending[MOST_LANES];
        real *targets[MOST_LANES];
        int waiting = 0;
        for (int64_t i = 0; i < p->active; i++) {
            double sums[2];
            int32_t row = p->rows[i];
            progress *q = &p->progress[row];
            vec *mine = row_of(p, directions, row * (int64_t)(capacity + 1));
            real *inverses = inverse + row * (int64_t)capacity;
            vec *w = mine + (end ? capacity : slot) * p->vectors;
            const vec *state = row_of(p, z, i);
            FOR_WIDTH(residual)(w, row_of(p, f, i), rhs_of(p, i), state, p->vectors, sums);
            if (!problem_judge(p, i, step, step > 0, sqrt(sums[0]), sqrt(sums[1])) && step > 1 &&
                q->lowest_step == step - 1 && !q->saved) {
                memcpy(row_of(p, p->best, row), row_of(p, next, p->previous[i]), row_bytes);
                if (m) memcpy(row_of(p, m->of_best, row), row_of(p, before, p->previous[i]), row_bytes);
                q->saved = true;
            }
            if (p->ended[i] != DEQ_RUNNING) {
                const bool newest = returns_last(p, q, step) || (step == 0 && q->reason == DEQ_REASON_converged);
                leave(p, row, state, row_of(p, f, i), newest);
                if (p->images && p->images->record) p->images->linearised[row] = newest && step == o->max;
                /* Some want B at the last state as well: it takes one more direction. */
                bool more = q->reason != DEQ_REASON_diverged && (keeps || (rides && step == last));
                if (keeps) {
                    int back = more ? 0 : 1; /* after a state that is not finite B stays what it was */
                    p->history->newest[row] = (slot + (step ? capacity - back : 0)) % capacity;
                    p->history->factors[row] = step && count > back ? count - back : 0;
                    if (!step && !more) memset(w, 0, row_bytes);
                }
                if (!more) continue;
            }
            p->previous[i] = (int32_t)i;
            if (p->prior) NAME(history_transposed)(w, p->prior, row, p->prior_step, p->vectors);
            if (searches) {
                search.before[row] = sqrt(sums[0]);
                steps[row * (int64_t)capacity + slot] = search.taken[row] = (real)o->step;
            }
            const real rounding = ROUNDING * (real)sums[1];
            pending[waiting] = (example){.old = {mine, inverses, searches ? steps + row * (int64_t)capacity : NULL,
                                                 (slot + capacity - count) % capacity, count, capacity},
                                         .w = w,
                                         .z = state,
                                         .next = row_of(p, next, i),
                                         .rounding = rounding};
            targets[waiting++] = inverses;
            if (waiting == MOST_LANES) {
                make_steps(pending, targets, waiting, slot, capacity, (real)o->step, p->vectors);
                waiting = 0;
            }
        }
        if (waiting) make_steps(pending, targets, waiting, slot, capacity, (real)o->step, p->vectors);
        if (rides && step <= last) {
            deq_history h = {directions, inverse, capacity, NULL, NULL, steps, searches, false};
            r->along(p, step, z, &h, slot, count);
        }
        problem_stream(p, step, z);
        problem_compact(p, next);
        real *swap = z;
        z = next;
        next = swap;
        if (!m) continue;
        swap = f;
        f = before;
        before = swap;
    }
}
