/* forward.c - forward solves: for a prediction, and with what the gradient mode needs, in passes. */
#include "mode.h"
#include <string.h>

static const mode_routines *const modes[] = {
#define MODE(id, spelling, traits, forward, doc) [DEQ_MODE_##id] = &NAME(mode_##id),
#define MODE_NAMED(id, traits, forward, doc) [DEQ_MODE_##id] = &NAME(mode_##id),
#include "modes.def"
};

deq_needs NAME(deq_mode_needs)(const deq_fixed *fixed, const deq_fixed_settings *s, int64_t n) {
    deq_needs needs = modes[s->gradient.kind]->needs(fixed, s, n);
    if (needs.steps < 1) needs.steps = 1; /* z itself is one */
    if (needs.tapes < 1) needs.tapes = 1;
    return needs;
}

/* What rides along a solve with this mode. */
static bool rides(const deq_mode *m, ride *r) {
    if (!modes[m->kind]->ride) return false;
    r->mode = m;
    r->first = m->states.first;
    r->last = deq_mode_least(m);
    modes[m->kind]->ride(r);
    return true;
}

size_t NAME(deq_forward_bytes)(const deq_fixed *fixed, const deq_fixed_settings *s, int64_t n) {
    deq_space space = {NULL, 0};
    ride r = {0};
    problem p = {.fixed = fixed, .options = &s->forward};
    NAME(problem_open)(&p, &space, n, NULL);
    if (rides(&s->gradient, &r)) {
        p.ride = &r;
        NAME(ride_open)(&r, fixed, &space, n);
    }
    correct c = {.penalty = &s->penalties.kinds[DEQ_PENALTY_correction]};
    if (c.penalty->given) {
        p.correct = &c;
        NAME(correct_open)(&c, fixed, &space, n);
    }
    deq_space after = space;
    NAME(problem_run)(&p, &space);
    problem_measure(&p, &after);
    return space.used > after.used ? space.used : after.used;
}

/* ---- one solve ---- */

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
    const deq_start start = worker->request.settings[fixed->index].start;
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

/* `failed` (by row) may be NULL. */
static void run(problem *p, int64_t n, deq_solver *options, bool *failed) {
    deq_space space = {p->worker->solver, 0};
    p->options = options;
    NAME(problem_open)(p, &space, n, NULL);
    if (p->defence) defend(p, options);
    if (p->ride) NAME(ride_open)(p->ride, p->fixed, &space, n);
    if (p->correct) NAME(correct_open)(p->correct, p->fixed, &space, n);
    ride *r = p->ride;
    deq_space after = space; /* what the solver took is free again */
    NAME(problem_run)(p, &space);
    if (p->worker->request.measures && !p->quiet) problem_measure(p, &after);
    NAME(problem_report)(p, failed);
    p->ride = r;
    if (r) NAME(ride_report)(p);
    if (p->visits && !p->quiet && !p->defence) leave(p);
}

void NAME(forward_run)(forward *c, real *result) {
    c->problem.result = result;
    run(&c->problem, c->n, &c->options, c->kept->failed);
}

void NAME(forward_linearise)(forward *c, int count, double damping, bool undamped_first) {
    deq_kept *kept = c->kept;
    deq_frame f = c->frame;
    f.rows = c->worker->identity;
    kept->steps = count;
    for (int t = 0; t < count; t++) {
        kept->active[t] = c->n;
        memcpy(kept->rows + t * c->worker->block, c->worker->identity, (size_t)c->n * sizeof *kept->rows);
    }
    NAME(steps_forward)
    (&f, c->fixed, c->n, count, damping, undamped_first, kept->tape, kept->tape_stride, kept->z, c->z, kept->bad, NULL);
}

void NAME(forward_attach)(forward *c) {
    NAME(forward_run)(c, c->kept->z);
    NAME(forward_linearise)(c, 1, 1, false);
}

/* ---- the passes of a solve ---- */

/* ensures: a problem whose states go to z, with nothing beside it. */
static void ready(forward *c, deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, int64_t n, void *rest,
                  void *z) {
    const deq_fixed_settings *s = &worker->request.settings[fixed->index];
    *c = (forward){.worker = worker,
                   .fixed = fixed,
                   .settings = s,
                   .kept = &worker->kept[fixed->index],
                   .n = n,
                   .z = z,
                   .frame = *frame,
                   .options = s->forward};
    c->frame.rest = rest;
    c->frame.drest = c->frame.accum = NULL;
    c->frame.scratch = worker->scratch;
    c->problem = (problem){.worker = worker,
                           .fixed = fixed,
                           .keep_last = c->options.last && s->on_fail != DEQ_KEEP_BEST,
                           .frame = c->frame,
                           .ident = frame->example,
                           .start = first_states(worker, frame, fixed, n, rest),
                           .visits = s->start == DEQ_START_PREVIOUS ? &worker->visits[fixed->index] : NULL,
                           .result = z};
}

static void predict(forward *c) {
    c->problem.defence = c->worker->request.defence;
    run(&c->problem, c->n, &c->options, NULL);
}

/* ensures: what is kept belongs to this solve, and nothing of it is bad. */
static void keep(forward *c) {
    deq_kept *kept = c->kept;
    kept->mode = c->settings->gradient;
    kept->n = c->n;
    kept->damping = c->options.kind == DEQ_SOLVER_broyden ? c->options.step : c->options.damping;
    memset(kept->bad, 0, (size_t)c->n * sizeof *kept->bad);
}

/* ensures: the loss gradient at states is there if the mode needs it; else every example is bad and all values zero. */
static bool has_loss(forward *c, deq_routine_fn *cotangent) {
    deq_kept *kept = c->kept;
    c->cotangent = cotangent;
    if (cotangent || !deq_mode_has(&kept->mode, TRAIT_LOSS)) return true;
    deq_fail(&c->worker->error, DEQ_MODULE, "fixed point %s: there is no routine for the loss gradient at its states",
             c->fixed->name);
    memset(c->z, 0, (size_t)(c->n * c->fixed->state_bytes));
    if (kept->drest) memset(kept->drest, 0, (size_t)(c->n * c->fixed->rest_bytes));
    memset(kept->z, 0, (size_t)(c->n * c->fixed->state_bytes));
    memset(kept->bad, true, (size_t)c->n * sizeof *kept->bad);
    return false;
}

/* ensures: problem.correct where the settings have a correction and this is a training step; problem.least. */
static void add_correction(forward *c, const deq_frame *frame) {
    const deq_fixed_settings *s = c->settings;
    if (!c->worker->request.corrections || !frame->accum) return;
    const double weight =
        deq_penalty_weight(&s->penalties, DEQ_PENALTY_correction, frame->seed, frame->step, c->fixed->name);
    if (!(weight > 0)) return;
    c->correct = (correct){.penalty = &s->penalties.kinds[DEQ_PENALTY_correction],
                           .weight = weight,
                           .routine = c->worker->request.corrections[c->fixed->index],
                           .frame = c->frame,
                           .kept = c->kept,
                           .cut = s->on_fail == DEQ_ZERO_GRADIENT ? c->kept->failed : NULL};
    c->correct.frame.drest = c->kept->added_drest;
    c->correct.frame.accum = frame->accum;
    NAME(deq_added_open)(c->fixed, c->kept, c->n);
    c->problem.correct = c->correct.routine ? &c->correct : NULL;
    c->problem.least = deq_penalties_least(&s->penalties);
}

/* ensures: problem.ride where the mode has one; problem.least. */
static void add_ride(forward *c, const deq_frame *frame) {
    ride *r = &c->ride;
    if (!rides(&c->kept->mode, r)) return;
    r->cotangent = c->cotangent;
    r->frame = c->frame;
    r->frame.drest = c->kept->drest;
    r->frame.accum = frame->accum;
    r->kept = c->kept;
    r->cut = c->settings->on_fail == DEQ_ZERO_GRADIENT ? c->kept->failed : NULL;
    c->problem.ride = r;
    if (c->problem.least < r->last) c->problem.least = r->last;
}

/* ensures: kept->failed, where nothing may flow through those that fail and what flows is gathered while the solver
 * runs.  Who fails is known only afterwards, so these are solved twice. */
static void find_failed(forward *c) {
    if (c->settings->on_fail != DEQ_ZERO_GRADIENT || !(c->problem.ride || c->problem.correct)) return;
    problem first = c->problem;
    first.ride = NULL;
    first.correct = NULL;
    first.quiet = true;
    run(&first, c->n, &c->options, c->kept->failed);
}

void NAME(deq_solve)(deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, int64_t n, void *rest, void *z,
                     bool want_gradient, deq_routine_fn *cotangent) {
    forward c;
    ready(&c, worker, frame, fixed, n, rest, z);
    if (!want_gradient) {
        predict(&c);
        return;
    }
    keep(&c);
    if (!has_loss(&c, cotangent)) return;
    add_correction(&c, frame);
    add_ride(&c, frame);
    find_failed(&c);
    modes[c.kept->mode.kind]->solve(&c);
}

void NAME(deq_gradient)(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    const deq_worker *worker = frame->host;
    modes[worker->kept[fixed->index].mode.kind]->gradient(frame, fixed, n);
}
