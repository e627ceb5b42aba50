/* solve.c - the running examples of a solve, why each ends, and the forward solve with what its gradient needs. */
#include "correct.h"
#include "ride.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SURE (1 - 64 * (double)REAL_EPSILON) /* lower by more than rounding */
#define GROWN 2                              /* times the first image: what a state near its start does not reach */
#define STAGNATED_STEPS 10

static solver_run *const runs[] = {
#define SOLVER(name, uses, doc) [DEQ_SOLVER_##name] = NAME(solve_##name),
#include "solvers.def"
};

/* Whether the gradients that ride along start from the linearisation of this evaluation. */
static bool state_is_linearised(const ride *r, int evaluation) {
    if (!r || evaluation < 1 || evaluation > r->last) return false;
    return r->kind == DEQ_MODE_simultaneous || (r->image && evaluation >= r->first);
}

void problem_apply(problem *p, const real *in, real *out, int evaluation) {
    deq_frame *f = &p->frame;
    f->arg0 = (void *)in;
    f->arg1 = out;
    f->rows = p->rows;
    f->example = p->ident ? p->example : NULL;
    if (p->adjoint) {
        if (evaluation == 0 && !p->start)
            memset(out, 0, (size_t)p->active * (size_t)p->vectors * sizeof(vec));
        else
            p->fixed->vjp_z(f, p->active);
    } else if (p->tapes) {
        deq_kept *kept = p->tapes;
        int every = kept->mode.checkpoint;
        memcpy(kept->rows + evaluation * p->worker->block, p->rows, (size_t)p->active * sizeof *p->rows);
        kept->active[evaluation] = p->active;
        kept->steps = evaluation + 1;
        if (every > 0) {
            if (evaluation % every == 0)
                memcpy(kept->states + evaluation / every * p->worker->block * p->fixed->state_bytes, in,
                       (size_t)(p->active * p->fixed->state_bytes));
            p->fixed->f(f, p->active);
            return;
        }
        f->tape = kept->tape + evaluation * kept->tape_stride;
        p->fixed->lin(f, p->active);
    } else if (state_is_linearised(p->ride, evaluation)) {
        f->tape = p->ride->kept->tape;
        p->fixed->lin(f, p->active);
    } else {
        p->fixed->f(f, p->active);
    }
}

/* Whether the state has grown while norm(h(z) - z) has not fallen.  Then a small relative residual says only that the
 * state is large (z = z + c, z = 3z + c). */
static bool has_grown(progress *q, double difference, double image) {
    if (q->first < 0) q->first = difference;
    if (q->first_image < 0) q->first_image = image;
    if (!(difference <= q->highest)) q->highest = difference;
    return image > GROWN * q->first_image && difference > q->highest / 2;
}

bool problem_judge(problem *p, int64_t i, int step, bool state, double difference, double image) {
    const deq_solver *o = p->options;
    progress *q = &p->progress[p->rows[i]];
    double scale = p->scale ? p->scale[p->rows[i]] : 1;
    const double tol = p->tolerance ? p->tolerance[p->rows[i]] : o->tol;
    double error = o->absolute ? difference * scale : difference / (image + 1e-9);
    bool finite = isfinite(error);
    const bool grown = has_grown(q, difference, image) && !o->absolute;
    bool lowest = state && finite &&
                  (q->lowest_step < 0 || (error < q->lowest && (!grown || difference < q->lowest_difference * SURE)));
    if (lowest) {
        q->lowest = error;
        q->lowest_difference = difference;
        q->lowest_step = step;
        q->saved = false;
    }
    q->residual = error;
    q->steps = step;
    p->error[i] = error;
    deq_reason reason = DEQ_RUNNING;
    bool may_stop = step >= p->least;
    if (!finite || (tol > 0 && difference > o->growth * fmax(q->first, 1e-3)))
        reason = DEQ_REASON_diverged;
    else if (tol > 0 && error <= tol && may_stop && !grown)
        reason = DEQ_REASON_converged;
    else if (step >= o->max)
        reason = DEQ_REASON_max_steps;
    else if (tol > 0 && may_stop && step - q->lowest_step >= STAGNATED_STEPS && q->lowest < 64 * REAL_EPSILON)
        reason = DEQ_REASON_stagnated;
    q->reason = p->ended[i] = reason;
    return lowest;
}

void NAME(problem_return_best)(problem *p, int64_t row) {
    progress *q = &p->progress[row];
    vec *to = row_of(p, p->result, row);
    size_t bytes = (size_t)p->vectors * sizeof(vec);
    if (q->lowest_step >= 0)
        memcpy(to, row_of(p, p->best, row), bytes);
    else if (p->rhs)
        memcpy(to, row_of(p, p->rhs, row), bytes); /* no adjoint state is finite: the Jacobian-free one */
    else
        memset(to, 0, bytes);
}

void problem_stream(problem *p, int step, const real *z) {
    if (p->adjoint || step < 1) return;
    if (p->defence) problem_defend(p, step, z);
    if (p->ride && p->ride->kind == DEQ_MODE_unrolled) NAME(ride_state)(p, step, z);
    if (p->correct) NAME(correct_state)(p, step, z);
    if (!p->worker->stream || p->quiet) return;
    deq_states states = {p->fixed, step, p->active, p->rows, p->ident ? p->example : NULL, p->error, z};
    if (!p->earlier) {
        p->worker->stream(p->worker->stream_context, &states);
        return;
    }
    for (int64_t i = 0; i < p->active; i++) { /* each counts on from where it was left */
        deq_states one = {p->fixed,       p->earlier[p->rows[i]].steps + step, 1,
                          p->rows + i,    p->ident ? p->example + i : NULL,    p->error + i,
                          row_of(p, z, i)};
        p->worker->stream(p->worker->stream_context, &one);
    }
}

void NAME(problem_start)(const problem *p, real *z) {
    size_t bytes = (size_t)p->vectors * sizeof(vec);
    if (!p->start) memset(z, 0, (size_t)p->active * bytes);
    for (int64_t i = 0; p->start && i < p->active; i++) memcpy(row_of(p, z, i), row_of(p, p->start, p->rows[i]), bytes);
}

static void swap_bytes(char *a, char *b, int64_t bytes) {
    char kept[1024];
    for (int64_t at = 0; at < bytes; at += (int64_t)sizeof kept) {
        size_t piece = (size_t)(bytes - at < (int64_t)sizeof kept ? bytes - at : (int64_t)sizeof kept);
        memcpy(kept, a + at, piece);
        memcpy(a + at, b + at, piece);
        memcpy(b + at, kept, piece);
    }
}

/* The last running example fills each gap; an ended one takes its place at the end, tape record included, so that tape
 * and rows still agree when the solve is over. */
void problem_compact(problem *p, real *z) {
    for (int64_t i = p->active - 1; i >= 0; i--) {
        if (p->ended[i] == DEQ_RUNNING) continue;
        int64_t last = --p->active;
        if (i == last) continue;
        int32_t row = p->rows[i];
        p->rows[i] = p->rows[last];
        p->rows[last] = row;
        p->previous[i] = p->previous[last];
        p->ended[i] = DEQ_RUNNING;
        if (p->ident) p->example[i] = p->ident[p->rows[i]];
        memcpy(row_of(p, z, i), row_of(p, z, last), (size_t)p->vectors * sizeof(vec));
        if (p->adjoint && p->fixed->tape_bytes)
            swap_bytes(p->tapes->tape + i * p->fixed->tape_bytes, p->tapes->tape + last * p->fixed->tape_bytes,
                       p->fixed->tape_bytes);
    }
}

/* Fills what does not depend on the direction of the problem; with a measuring space only that. */
void NAME(problem_open)(problem *p, deq_space *space, int64_t n, const int32_t *rows) {
    p->n = p->active = n;
    p->vectors = p->fixed->state_bytes / (int64_t)sizeof(vec);
    size_t count = (size_t)n;
    p->rows = deq_space_take(space, count * sizeof *p->rows);
    p->previous = deq_space_take(space, count * sizeof *p->previous);
    p->example = deq_space_take(space, count * sizeof *p->example);
    p->ended = deq_space_take(space, count * sizeof *p->ended);
    p->error = deq_space_take(space, count * sizeof *p->error);
    p->progress = deq_space_take(space, count * sizeof *p->progress);
    p->best = take_rows(p, space, n);
    if (!space->base) return;
    for (int64_t i = 0; i < n; i++) {
        p->rows[i] = rows ? rows[i] : (int32_t)i;
        p->previous[i] = (int32_t)i;
        if (p->ident) p->example[i] = p->ident[p->rows[i]];
        p->ended[i] = DEQ_RUNNING;
        p->progress[i] = (progress){.first = -1, .first_image = -1, .lowest = INFINITY, .lowest_step = -1};
    }
}

/* ---- chains ---- */

static bool ended_short(const deq_solver *o, deq_reason reason) {
    static const bool fails[] = {
        false,
#define REASON(id, failed, doc) failed,
#include "reasons.def"
#undef REASON
    };
    return fails[reason] && !(reason == DEQ_REASON_max_steps && o->tol == 0);
}

/* Brings the examples among the first `count` positions that did not converge to the front, tape records included, and
 * readies them for another solver; returns how many there are. */
static int64_t go_on(problem *p, int64_t count, progress *earlier, real *kept) {
    int64_t front = 0;
    for (int64_t i = 0; i < count; i++) {
        const int32_t row = p->rows[i];
        progress *q = &p->progress[row];
        if (!q->failed) continue;
        p->rows[i] = p->rows[front];
        p->rows[front] = row;
        if (p->adjoint && p->tapes && p->fixed->tape_bytes && i != front)
            swap_bytes(p->tapes->tape + i * p->fixed->tape_bytes, p->tapes->tape + front * p->fixed->tape_bytes,
                       p->fixed->tape_bytes);
        memcpy(row_of(p, kept, row), row_of(p, p->result, row), (size_t)p->vectors * sizeof(vec));
        earlier[row] = *q;
        if (!returns_last(p, q, q->steps) && q->lowest_step >= 0) earlier[row].residual = q->lowest;
        *q = (progress){.first = -1, .first_image = -1, .lowest = INFINITY, .lowest_step = -1};
        p->previous[front] = (int32_t)front;
        p->ended[front] = DEQ_RUNNING;
        if (p->ident) p->example[front] = p->ident[row];
        front++;
    }
    return front;
}

/* The state that an example returns after solver `which` has gone on with it, and what is reported of it. */
static void settle(problem *p, int32_t row, int which, const progress *before, const real *kept) {
    progress *q = &p->progress[row];
    const bool better = before->lowest_step >= 0 && !(q->lowest_step >= 0 && q->lowest < before->residual);
    q->steps += before->steps;
    q->solver = which;
    if (q->lowest_step >= 0) q->lowest_step += before->steps;
    if (!q->failed || !better || (p->keep_last && q->reason != DEQ_REASON_diverged)) return;
    memcpy(row_of(p, p->result, row), row_of(p, kept, row), (size_t)p->vectors * sizeof(vec));
    q->solver = before->solver;
    q->lowest_step = before->lowest_step;
    q->residual = q->lowest = before->residual;
}

/* Every solver of the chain in turn, each on the examples that those before it left short of their tolerance, from the
 * states they returned (solvers of linear equations begin anew).  A defence and what rides along see the first one. */
static void run_chain(problem *p, deq_space *space) {
    const deq_solver *chain = p->options;
    progress *earlier = chain->links ? deq_space_take(space, (size_t)p->n * sizeof *earlier) : NULL;
    real *kept = chain->links ? take_rows(p, space, p->n) : NULL;
    const deq_space from = *space;
    int64_t count = p->n;
    for (int which = 0; which <= chain->links && count > 0; which++) {
        const deq_solver one = deq_solver_link(chain, which);
        deq_space own = from;
        p->options = &one;
        runs[one.kind](p, &own);
        if (own.used > space->used) space->used = own.used;
        p->options = chain;
        if (!space->base) continue;
        for (int64_t i = 0; i < count; i++) {
            const int32_t row = p->rows[i];
            p->progress[row].failed = ended_short(&one, p->progress[row].reason);
            if (which > 0) settle(p, row, which, &earlier[row], kept);
        }
        if (which == chain->links || p->defence) break;
        count = p->active = go_on(p, count, earlier, kept);
        p->start = kept;
        p->earlier = earlier;
        p->least = 0;
        p->ride = NULL;
        p->correct = NULL;
    }
}

size_t NAME(solver_bytes)(const deq_fixed *fixed, const deq_solver *options, bool adjoint, int64_t n) {
    deq_space space = {NULL, 0};
    problem p = {.fixed = fixed, .options = options, .adjoint = adjoint};
    NAME(problem_open)(&p, &space, n, NULL);
    run_chain(&p, &space);
    return space.used;
}

static bool mode_rides(const deq_mode *m) { return m->kind == DEQ_MODE_simultaneous || m->kind == DEQ_MODE_unrolled; }

size_t NAME(deq_forward_bytes)(const deq_fixed *fixed, const deq_fixed_settings *s, int64_t n) {
    deq_space space = {NULL, 0};
    ride r = {.kind = s->gradient.kind};
    problem p = {.fixed = fixed, .options = &s->forward};
    NAME(problem_open)(&p, &space, n, NULL);
    if (mode_rides(&s->gradient)) {
        p.ride = &r;
        NAME(ride_open)(&r, fixed, &space, n);
    }
    correct c = {.penalty = &s->penalties.kinds[DEQ_PENALTY_correction]};
    if (c.penalty->given) {
        p.correct = &c;
        NAME(correct_open)(&c, fixed, &space, n);
    }
    deq_space after = space;
    run_chain(&p, &space);
    problem_measure(&p, &after);
    if (after.used > space.used) space.used = after.used;
    size_t augmented = s->gradient.kind == DEQ_MODE_augmented ? NAME(augmented_bytes)(fixed, n) : 0;
    return space.used > augmented ? space.used : augmented;
}

/* Reports every example, in the order of the rows; `failed` (by row) may be NULL. */
static void problem_report(problem *p, bool *failed) {
    int64_t worst = -1;
    double largest = -1;
    for (int64_t row = 0; row < p->n; row++) {
        progress *q = &p->progress[row];
        const bool bad = q->failed;
        if (!returns_last(p, q, q->steps) && q->lowest_step >= 0) q->residual = q->lowest;
        if (failed) failed[row] = bad;
        if (p->quiet) continue;
        deq_worker_record(p->worker, p->fixed, p->adjoint, row, p->ident ? p->ident[row] : row, q->steps, q->residual,
                          q->reason, bad);
        if (p->options->links) deq_worker_answered(p->worker, p->fixed, p->adjoint, row, q->solver);
        if (bad && !(q->residual <= largest)) { /* NaN is the worst */
            worst = row;
            largest = q->residual;
        }
    }
    if (worst < 0) return;
    const progress *q = &p->progress[worst];
    deq_worker_stop(p->worker, p->fixed, p->adjoint, p->ident ? p->ident[worst] : worst, q->steps, q->residual,
                    q->reason);
}

/* A defence reads its named states, so the solve makes them all, and none after them unless it reads the mean of all.
 */
static void defend(problem *p, deq_solver *options) {
    const deq_defence *d = p->defence;
    int last = deq_defence_last(d) < options->max ? deq_defence_last(d) : options->max;
    size_t bytes = (size_t)p->n * (size_t)p->fixed->state_bytes;
    p->named = (real *)p->worker->defended;
    p->sum = (real *)(p->worker->defended + bytes);
    memset(p->named, 0, bytes);
    if (d->all != 0) memset(p->sum, 0, bytes);
    p->keep_last = true;
    p->least = last > 1 ? last : 1; /* at least one state */
    if (d->all != 0) return;
    options->max = p->least;
    options->tol = 0;
}

/* Notes the states for the next visit of their examples. */
static void leave(const problem *p) {
    const size_t bytes = (size_t)p->vectors * sizeof(vec);
    for (int64_t row = 0; row < p->n; row++) {
        const vec *z = row_of(p, p->result, row);
        const bool good = p->progress[row].reason != DEQ_REASON_diverged && NAME(row_finite)(z, p->vectors);
        p->visits->visitor[row] = !good ? -1 : p->ident ? p->ident[row] : row;
        if (good) memcpy(p->visits->states + (size_t)row * bytes, z, bytes);
    }
}

/* The first states by `start`; NULL: zero. */
static const real *first_states(const deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, int64_t n,
                                const void *rest) {
    const deq_start start = worker->settings[fixed->index].start;
    const deq_visits *v = &worker->visits[fixed->index];
    const size_t bytes = (size_t)fixed->state_bytes;
    if (start == DEQ_START_ZEROS) return NULL;
    for (int64_t row = 0; row < n; row++) {
        char *to = worker->started + (size_t)row * bytes;
        if (start == DEQ_START_GIVEN)
            memcpy(to, (const char *)rest + row * fixed->rest_bytes + fixed->start_offset, bytes);
        else if (v->visitor[row] == (frame->example ? frame->example[row] : row))
            memcpy(to, v->states + (size_t)row * bytes, bytes);
        else
            memset(to, 0, bytes);
    }
    return (const real *)worker->started;
}

static void solve_forward(problem *p, int64_t n, deq_solver *options, bool *failed) {
    deq_space space = {p->worker->solver, 0};
    p->options = options;
    NAME(problem_open)(p, &space, n, NULL);
    if (p->defence) defend(p, options);
    if (p->ride) NAME(ride_open)(p->ride, p->fixed, &space, n);
    if (p->correct) NAME(correct_open)(p->correct, p->fixed, &space, n);
    ride *r = p->ride;
    deq_space after = space; /* what the solver took is free again */
    run_chain(p, &space);
    if (p->worker->measures && !p->quiet) problem_measure(p, &after);
    problem_report(p, failed);
    p->ride = r;
    if (r) NAME(ride_report)(p);
    if (p->visits && !p->quiet && !p->defence) leave(p);
}

void NAME(solve_adjoint)(deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, const deq_solver *options,
                         deq_kept *kept, int64_t n, const real *rhs, const double *scale, const real *start,
                         const deq_history *prior, real *result, deq_space space) {
    problem p = {.worker = worker,
                 .fixed = fixed,
                 .options = options,
                 .adjoint = true,
                 .keep_last = options->last,
                 .frame = *frame,
                 .tapes = kept,
                 .ident = frame->example,
                 .rhs = rhs,
                 .scale = scale,
                 .start = start,
                 .prior = prior,
                 .prior_step = (real)kept->damping,
                 .result = result};
    p.frame.tape = kept->tape;
    NAME(problem_open)(&p, &space, n, kept->rows);
    run_chain(&p, &space);
    memcpy(kept->rows, p.rows, (size_t)n * sizeof *p.rows); /* tape records moved with their examples */
    problem_report(&p, NULL);
}

void NAME(solve_map)(deq_worker *worker, const deq_frame *frame, const deq_fixed *map, const deq_solver *options,
                     int64_t n, const real *rhs, const double *scale, real *result, deq_space space) {
    problem p = {.worker = worker,
                 .fixed = map,
                 .options = options,
                 .adjoint = true,
                 .keep_last = options->last,
                 .frame = *frame,
                 .ident = frame->example,
                 .rhs = rhs,
                 .scale = scale,
                 .result = result};
    NAME(problem_open)(&p, &space, n, NULL);
    run_chain(&p, &space);
    problem_report(&p, NULL);
}

/* deq_engine_hold: the states of all n examples, if each was left somewhere before. */
static bool take_held(const deq_worker *worker, const deq_fixed *fixed, const int64_t *example, int64_t n, char *z) {
    const deq_held *h = worker->held ? &worker->held[fixed->index] : NULL;
    const size_t bytes = (size_t)fixed->state_bytes;
    for (int64_t row = 0; row < n; row++) {
        const int64_t at = example ? example[row] : row;
        if (!h || at < 0 || at >= h->count || !h->taken[at]) return false;
        memcpy(z + (size_t)row * bytes, h->states + (size_t)at * bytes, bytes);
    }
    return true;
}

static void hold(const deq_worker *worker, const deq_fixed *fixed, const int64_t *example, int64_t n, const char *z) {
    deq_held *h = worker->held ? &worker->held[fixed->index] : NULL;
    const size_t bytes = (size_t)fixed->state_bytes;
    for (int64_t row = 0; h && row < n; row++) {
        const int64_t at = example ? example[row] : row;
        if (at < 0 || at >= h->count) continue;
        memcpy(h->states + (size_t)at * bytes, z + (size_t)row * bytes, bytes);
        h->taken[at] = true;
    }
}

/* The linearisation(s) at the solver's state; z becomes the state the mode attaches to. */
static void linearise(deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, deq_kept *kept, int64_t n,
                      real *z) {
    const deq_mode *m = &kept->mode;
    bool phantom = m->kind == DEQ_MODE_phantom;
    deq_frame f = *frame;
    f.rows = worker->identity;
    kept->steps = phantom ? m->steps + m->undamped_first : 1;
    for (int t = 0; t < kept->steps; t++) {
        kept->active[t] = n;
        memcpy(kept->rows + t * worker->block, worker->identity, (size_t)n * sizeof *kept->rows);
    }
    NAME(steps_forward)
    (&f, fixed, n, kept->steps, phantom ? m->damping : 1, phantom && m->undamped_first, kept->tape, kept->tape_stride,
     kept->z, z, kept->bad, NULL);
}

void NAME(deq_solve)(deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, int64_t n, void *rest, void *z,
                     bool want_gradient, deq_routine_fn *cotangent) {
    const deq_fixed_settings *s = &worker->settings[fixed->index];
    deq_kept *kept = &worker->kept[fixed->index];
    deq_solver options = s->forward;
    deq_frame inner = *frame;
    inner.rest = rest;
    inner.drest = inner.accum = NULL;
    inner.scratch = worker->scratch;
    problem p = {.worker = worker,
                 .fixed = fixed,
                 .keep_last = options.last && s->on_fail != DEQ_KEEP_BEST,
                 .frame = inner,
                 .ident = frame->example,
                 .start = first_states(worker, frame, fixed, n, rest),
                 .visits = s->start == DEQ_START_PREVIOUS ? &worker->visits[fixed->index] : NULL,
                 .result = z};
    if (!want_gradient) {
        p.defence = worker->defence;
        solve_forward(&p, n, &options, NULL);
        return;
    }
    kept->mode = s->gradient;
    kept->n = n;
    kept->damping = options.kind == DEQ_SOLVER_broyden ? options.step : options.damping;
    memset(kept->bad, 0, (size_t)n * sizeof *kept->bad);
    bool rides = mode_rides(&s->gradient);
    if ((rides || s->gradient.kind == DEQ_MODE_augmented) && !cotangent) {
        deq_fail(&worker->error, DEQ_MODULE, "fixed point %s: there is no routine for the loss gradient at its states",
                 fixed->name);
        memset(z, 0, (size_t)(n * fixed->state_bytes));
        if (rides) memset(kept->drest, 0, (size_t)(n * fixed->rest_bytes));
        memset(kept->z, 0, (size_t)(n * fixed->state_bytes));
        memset(kept->bad, true, (size_t)n * sizeof *kept->bad);
        return;
    }
    correct c = {.penalty = &s->penalties.kinds[DEQ_PENALTY_correction], .frame = inner, .kept = kept};
    if (worker->corrections && frame->accum)
        c.weight = deq_penalty_weight(&s->penalties, DEQ_PENALTY_correction, frame->seed, frame->step, fixed->name);
    if (c.weight > 0) {
        c.routine = worker->corrections[fixed->index];
        c.frame.drest = kept->added_drest;
        c.frame.accum = frame->accum;
        if (s->on_fail == DEQ_ZERO_GRADIENT) c.cut = kept->failed; /* known after a first solve */
        NAME(deq_added_open)(fixed, kept, n);
        p.least = deq_penalties_least(&s->penalties);
    }
    if (rides) {
        ride r = {.kind = s->gradient.kind,
                  .mode = &kept->mode,
                  .first = kept->mode.states.first,
                  .last = deq_mode_least(&kept->mode),
                  .cotangent = cotangent,
                  .frame = inner,
                  .kept = kept};
        r.frame.drest = kept->drest;
        r.frame.accum = frame->accum;
        if (r.kind == DEQ_MODE_simultaneous && kept->mode.combine == DEQ_LAST) r.first = r.last;
        if (p.least < r.last) p.least = r.last;
        if (s->on_fail == DEQ_ZERO_GRADIENT) { /* who fails is known only afterwards */
            problem first = p;
            first.quiet = true;
            solve_forward(&first, n, &options, kept->failed);
            r.cut = kept->failed;
        }
        p.ride = &r;
        p.correct = c.routine ? &c : NULL;
        solve_forward(&p, n, &options, kept->failed);
        return;
    }
    if (c.routine && c.cut) {
        problem first = p;
        first.quiet = true;
        solve_forward(&first, n, &options, kept->failed);
    }
    p.correct = c.routine ? &c : NULL;
    switch (s->gradient.kind) {
    case DEQ_MODE_augmented: NAME(solve_augmented)(worker, &inner, fixed, n, z, cotangent); return;
    case DEQ_MODE_backprop: /* the derivative of the last state is what it computes */
        p.keep_last = options.last = true;
        p.tapes = kept;
        solve_forward(&p, n, &options, kept->failed);
        for (int64_t row = 0; row < n; row++) kept->bad[row] = p.progress[row].reason == DEQ_REASON_diverged;
        return;
    case DEQ_MODE_hand: /* what the block calls z is the value that went on through the net */
        p.result = kept->z;
        solve_forward(&p, n, &options, kept->failed);
        inner.rows = worker->identity;
        inner.arg0 = kept->z;
        inner.arg1 = z;
        fixed->f(&inner, n);
        memcpy(kept->z, z, (size_t)(n * fixed->state_bytes));
        return;
    case DEQ_MODE_phantom:
    case DEQ_MODE_jfb: /* differentiate steps from a state that is a constant */
        p.result = kept->z;
        if (take_held(worker, fixed, frame->example, n, (char *)kept->z)) {
            memset(kept->failed, 0, (size_t)n * sizeof *kept->failed);
        } else {
            solve_forward(&p, n, &options, kept->failed);
            hold(worker, fixed, frame->example, n, (const char *)kept->z);
        }
        linearise(worker, &inner, fixed, kept, n, z);
        return;
    case DEQ_MODE_shine: p.history = &kept->history; p.cotangent = cotangent; /* fall through */
    default:
        p.result = kept->z;
        solve_forward(&p, n, &options, kept->failed);
        linearise(worker, &inner, fixed, kept, n, z);
    }
}
