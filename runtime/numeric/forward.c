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
    r->along = NULL;
    r->at_state = NULL;
    modes[m->kind]->ride(r);
    return true;
}

/* A finish can use f at the last state. */
static bool leaves_images(const deq_fixed_settings *s) {
    const deq_finish finish = deq_finish_of(s);
    return s->forward.kind == DEQ_SOLVER_broyden && deq_finish_steps(&finish) > 0;
}

/* The solver's last evaluation is one at the state it returns, and can leave the linearisation there. */
static bool leaves_records(const deq_solver *s) {
    return s->kind == DEQ_SOLVER_broyden && s->line_search != DEQ_ARMIJO && !s->links;
}

/* What a problem takes beside its solver's own memory. */
static void take_parts(problem *p, deq_space *space) {
    if (p->images) NAME(images_open)(p->images, p->fixed, space, p->n);
    if (p->ride) NAME(ride_open)(p->ride, p->fixed, space, p->n);
    if (p->correct) NAME(correct_open)(p->correct, p->fixed, space, p->n);
    if (p->early) NAME(early_open)(p->early, p->fixed, space, p->n);
}

size_t NAME(deq_forward_bytes)(const deq_fixed *fixed, const deq_fixed_settings *s, int64_t n, bool defended) {
    deq_space space = {NULL, 0};
    ride r = {0};
    images m;
    early e;
    correct c = {.penalty = &s->penalties.kinds[DEQ_PENALTY_correction]};
    problem p = {.fixed = fixed, .options = &s->forward};
    NAME(problem_open)(&p, &space, n, NULL);
    if (leaves_images(s) || leaves_records(&s->forward)) p.images = &m;
    if (rides(&s->gradient, &r)) p.ride = &r;
    if (c.penalty->given) p.correct = &c;
    if (p.ride || p.correct || defended) p.early = &e;
    take_parts(&p, &space);
    deq_space steps = space;
    take_rows(&p, &steps, n); /* phantom: the value */
    deq_space after = steps;
    NAME(problem_run)(&p, &space);
    problem_measure(&p, &after, NULL, NULL);
    const size_t finish = steps.used + NAME(finish_bytes)(fixed, n);
    const size_t most = space.used > after.used ? space.used : after.used;
    return finish > most ? finish : most;
}

/* ---- one solve ---- */

/* A defence reads its named states, so the solve makes them all, and none after them unless it reads the mean of all or
 * the value.  The value is what it would be without the defence. */
static void defend(problem *p, deq_solver *options) {
    const deq_defence *d = p->defence;
    int last = deq_defence_last(d) < options->max ? deq_defence_last(d) : options->max;
    size_t bytes = (size_t)p->n * (size_t)p->fixed->state_bytes;
    p->named = (real *)p->worker->defended;
    p->sum = (real *)(p->worker->defended + bytes);
    memset(p->named, 0, bytes);
    if (d->all != 0) memset(p->sum, 0, bytes);
    p->least = last > 1 ? last : 1; /* at least one state; nothing rides along */
    if (d->value != 0) return;
    p->keep_last = true;
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

/* ensures: every example of the problem has ended; space: behind what is needed to report that. */
static void solve(problem *p, int64_t n, deq_solver *options, deq_space *space) {
    p->options = options;
    NAME(problem_open)(p, space, n, NULL);
    if (p->defence) defend(p, options);
    take_parts(p, space);
    ride *r = p->ride;
    early *e = p->early;
    deq_space own = *space;
    NAME(problem_run)(p, &own);
    p->ride = r;
    p->early = e;
}

static void note_failed(const problem *p, bool *failed) {
    for (int64_t row = 0; row < p->n; row++) failed[row] = p->progress[row].failed;
}

static void order_records(problem *p) {
    bool any = false;
    for (int64_t row = 0; p->images && p->images->record && row < p->n; row++) any = any || p->images->linearised[row];
    if (any) NAME(problem_order)(p, p->images->record->tape);
}

void NAME(forward_run)(forward *c, real *result) {
    problem *p = &c->problem;
    early kept;
    p->result = result;
    if (((p->ride || p->correct) && p->least > 1) || (p->defence && p->defence->value != 0)) p->early = &kept;
    c->space = (deq_space){c->worker->solver, 0};
    solve(p, c->n, &c->options, &c->space);
    p->early = NULL;
    order_records(p);
    if (p->visits && !p->named) leave(p);
    note_failed(p, c->kept->failed);
    NAME(finish_begin)(&c->finish, p, false);
    c->open = true;
}

void NAME(forward_finish)(forward *c, real *z) {
    NAME(finish_run)
    (&c->finish, &c->frame, c->fixed, c->n, 0, deq_finish_steps(&c->finish.settings), z, c->problem.images, c->space);
}

/* Reports how the solves ended; c->z is the value. */
static void settle(forward *c) {
    problem *p = &c->problem;
    deq_space space = c->space;
    if (c->worker->request.measures) problem_measure(p, &space, c->z, c->finish.due);
    NAME(problem_report)(p);
    if (p->ride) NAME(ride_report)(p);
    c->open = false;
}

void NAME(forward_value)(forward *c) {
    NAME(forward_run)(c, c->z);
    NAME(forward_finish)(c, c->z);
    settle(c);
}

/* The state is the solver's own, and nothing else happens on its way: so its record can be left there. */
void NAME(forward_record)(forward *c) {
    const problem *p = &c->problem;
    if (!leaves_records(&c->options) || p->ride || p->correct || p->defence) return;
    c->images.record = c->kept;
    c->problem.images = &c->images;
}

/* f at the solver's states, where their records have been left: by row, as `linearised` says. */
static const real *recorded(const forward *c) {
    const images *m = c->problem.images;
    return m && m->record ? m->of_result : NULL;
}

void NAME(forward_linearise)(forward *c, int first, int count, double damping, bool undamped_first) {
    deq_kept *kept = c->kept;
    deq_frame f = c->frame;
    f.rows = c->worker->identity;
    kept->steps = first + count;
    for (int t = first; t < first + count; t++) {
        kept->active[t] = c->n;
        memcpy(kept->rows + t * c->worker->block, c->worker->identity, (size_t)c->n * sizeof *kept->rows);
    }
    NAME(steps_forward)
    (&f, c->fixed, c->n, count, damping, undamped_first && first == 0, kept->tape + first * kept->tape_stride,
     kept->tape_stride, kept->z, c->z, kept->bad, first == 0 ? recorded(c) : NULL, c->images.linearised);
}

void NAME(forward_attach)(forward *c) {
    deq_kept *kept = c->kept;
    const int last = deq_finish_steps(&c->finish.settings) - 1;
    const int64_t vectors = c->fixed->state_bytes / (int64_t)sizeof(vec);
    if (last < 1) {
        c->problem.images = NULL;
        NAME(forward_record)(c);
    }
    NAME(forward_start)(c, kept->z);
    if (last > 0) NAME(finish_run)
    (&c->finish, &c->frame, c->fixed, c->n, 0, last, kept->z, c->problem.images, c->space);
    deq_frame f = c->frame;
    f.rows = c->worker->identity;
    f.tape = kept->tape;
    f.arg0 = kept->z;
    f.arg1 = c->z;
    kept->steps = 1;
    kept->active[0] = c->n;
    memcpy(kept->rows, c->worker->identity, (size_t)c->n * sizeof *kept->rows);
    NAME(linearise_others)(&f, c->fixed, c->n, last < 1 ? recorded(c) : NULL, c->images.linearised);
    for (int64_t row = 0; row < c->n; row++) {
        const vec *at = (const vec *)kept->z + row * vectors;
        vec *value = (vec *)c->z + row * vectors;
        const real share = c->finish.due[row] ? (real)deq_finish_share(&c->finish.settings, last) : 1;
        kept->bad[row] = !NAME(damped_step)(value, at, value, share, vectors);
        if (kept->bad[row] || !c->finish.due[row]) memcpy(value, at, (size_t)c->fixed->state_bytes);
    }
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
                   .surrogate = worker->request.surrogate,
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
    c->finish = (finish){deq_finish_of(s), c->kept->due};
    if (leaves_images(s)) c->problem.images = &c->images;
}

void NAME(forward_defended)(forward *c, real *z) {
    const deq_defence *d = c->problem.defence;
    if (d->value != 0) c->finish.settings = c->given; /* else nobody reads the value */
    NAME(forward_run)(c, z);
    NAME(forward_finish)(c, z);
    if (d->value != 0) problem_defend_value(&c->problem, d, z);
    c->finish.settings = (deq_finish){.kind = DEQ_FINISH_none};
    memset(c->finish.due, 0, (size_t)c->n * sizeof *c->finish.due);
}

/* ensures: the state that the net goes on with is what the defence reads, and no steps are made after it. */
static void know_defence(forward *c) {
    c->problem.defence = c->worker->request.defence;
    c->given = c->finish.settings;
    c->finish.settings = (deq_finish){.kind = DEQ_FINISH_none};
}

static void predict(forward *c) {
    if (c->worker->request.defence) {
        know_defence(c);
        NAME(forward_defended)(c, c->z);
    } else { /* f goes straight into the result where nobody reads the solver's state after it */
        c->images.direct = !c->problem.visits && !c->options.links && deq_finish_share(&c->finish.settings, 0) == 1;
        c->images.always = c->finish.settings.always;
        NAME(forward_run)(c, c->z);
        NAME(forward_finish)(c, c->z);
    }
    settle(c);
}

/* The prediction of the defence, in the worker's rows for it, which the mode's own solve leaves as they are. */
static void foresee(const forward *c) {
    forward first = *c;
    first.problem.quiet = true;
    know_defence(&first);
    NAME(forward_defended)(&first, first.z);
    memcpy(c->worker->defended, first.z, (size_t)(c->n * c->fixed->state_bytes));
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
    r->judges = c->surrogate;
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
    deq_space space = {c->worker->solver, 0};
    first.ride = NULL;
    first.correct = NULL;
    first.images = NULL;
    first.least = 0;
    first.quiet = true;
    solve(&first, c->n, &c->options, &space);
    note_failed(&first, c->kept->failed);
}

/* The state at which the mode takes its gradient, without one. */
static void look(forward *c) {
    ride *r = &c->ride;
    r->looks = r->judges = true;
    if (rides(&c->kept->mode, r)) {
        r->frame = c->frame;
        r->kept = c->kept;
        c->problem.ride = r;
        c->problem.least = r->last;
    }
    modes[c->kept->mode.kind]->look(c);
    if (c->open) settle(c);
}

void NAME(deq_solve)(deq_worker *worker, const deq_frame *frame, const deq_fixed *fixed, int64_t n, void *rest, void *z,
                     bool want_gradient, deq_routine_fn *cotangent) {
    forward c;
    ready(&c, worker, frame, fixed, n, rest, z);
    if (!want_gradient && !(c.surrogate && modes[c.settings->gradient.kind]->look)) {
        predict(&c);
        return;
    }
    keep(&c);
    if (!want_gradient) {
        look(&c);
        return;
    }
    if (!has_loss(&c, cotangent)) return;
    /* An attack that knows the defence: modes that take gradients at states of their own go on with its prediction, the
     * others take theirs there. */
    const bool knows = worker->request.defence && worker->request.knows,
               own_states = deq_mode_has(&c.kept->mode, TRAIT_LOSS);
    if (knows && own_states) foresee(&c);
    if (knows && !own_states) know_defence(&c);
    add_correction(&c, frame);
    add_ride(&c, frame);
    find_failed(&c);
    modes[c.kept->mode.kind]->solve(&c);
    if (c.open) settle(&c);
    if (knows && own_states) memcpy(z, worker->defended, (size_t)(n * fixed->state_bytes));
}

void NAME(deq_gradient)(const deq_frame *frame, const deq_fixed *fixed, int64_t n) {
    const deq_worker *worker = frame->host;
    modes[worker->kept[fixed->index].mode.kind]->gradient(frame, fixed, n);
}
