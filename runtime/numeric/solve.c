/* solve.c - the running examples of a solve, why each ends, and solves of adjoints. */
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

/* Whose first tape this evaluation fills, since a gradient starts from its linearisation: of what rides along, or after
 * the solve; NULL: f alone is wanted. */
static const deq_kept *record_of(const problem *p, int evaluation) {
    const ride *r = p->ride;
    if (r && evaluation >= 1 && evaluation <= r->last && (r->along || (r->image && evaluation >= r->first)))
        return r->kept;
    return p->images && evaluation == p->options->max ? p->images->record : NULL;
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
        else {
            deq_count_products(f, p->active);
            deq_partners_call(p->fixed->vjp_z, p->fixed, f, p->active);
        }
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
            deq_evaluate(p->fixed, f, p->active);
            return;
        }
        f->tape = kept->tape + evaluation * kept->tape_stride;
        deq_linearise(p->fixed, f, p->active);
    } else {
        const deq_kept *record = record_of(p, evaluation);
        if (record) f->tape = record->tape;
        (record ? deq_linearise : deq_evaluate)(p->fixed, f, p->active);
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
    const bool finite = isfinite(difference) && isfinite(image); /* else a residual of 0 says nothing */
    const bool grown = has_grown(q, difference, image) && !o->absolute;
    bool lowest = state && finite &&
                  (q->lowest_step < 0 || (error < q->lowest && (!grown || difference < q->lowest_difference * SURE)));
    if (lowest) {
        q->lowest = error;
        q->lowest_difference = difference;
        q->lowest_grown = grown;
        q->lowest_step = step;
        q->saved = false;
    }
    q->residual = error;
    q->steps = step;
    p->error[i] = error;
    deq_reason reason = DEQ_RUNNING, early = DEQ_RUNNING;
    bool may_stop = step >= p->least;
    if (tol > 0 && error <= tol && !grown)
        early = DEQ_REASON_converged;
    else if (tol > 0 && step - q->lowest_step >= STAGNATED_STEPS && q->lowest < 64 * REAL_EPSILON)
        early = DEQ_REASON_stagnated;
    if (!finite || (tol > 0 && difference > o->growth * fmax(q->first, 1e-3)))
        reason = DEQ_REASON_diverged;
    else if (may_stop && early == DEQ_REASON_converged)
        reason = early;
    else if (step >= o->max)
        reason = DEQ_REASON_max_steps;
    else if (may_stop)
        reason = early;
    else if (early != DEQ_RUNNING && p->early)
        NAME(early_note)(p, i, early);
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
    if (p->adjoint) return;
    if (p->early) NAME(early_keep)(p, step, z);
    if (step < 1) return;
    if (p->defence) problem_defend(p, step, z);
    if (p->ride && p->ride->at_state) p->ride->at_state(p, step, z);
    if (p->correct) NAME(correct_state)(p, step, z);
    if (!p->worker->request.stream || p->quiet) return;
    deq_states states = {p->fixed, step, p->active, p->rows, p->ident ? p->example : NULL, p->error, z};
    if (!p->earlier) {
        p->worker->request.stream(p->worker->request.stream_context, &states);
        return;
    }
    for (int64_t i = 0; i < p->active; i++) { /* each counts on from where it was left */
        deq_states one = {p->fixed,       p->earlier[p->rows[i]].steps + step, 1,
                          p->rows + i,    p->ident ? p->example + i : NULL,    p->error + i,
                          row_of(p, z, i)};
        p->worker->request.stream(p->worker->request.stream_context, &one);
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

void NAME(problem_order)(problem *p, char *tape) {
    for (int32_t i = 0; i < p->n; i++)
        while (p->rows[i] != i) {
            const int32_t row = p->rows[i];
            swap_bytes(tape + i * p->fixed->tape_bytes, tape + row * p->fixed->tape_bytes, p->fixed->tape_bytes);
            p->rows[i] = p->rows[row];
            p->rows[row] = row;
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
        /* another solver's start is no new measure of growth */
        const double image = p->adjoint ? -1 : q->first_image, highest = p->adjoint ? 0 : q->highest;
        *q = (progress){.first = -1, .first_image = image, .highest = highest, .lowest = INFINITY, .lowest_step = -1};
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
    const bool lower = q->lowest_step >= 0 && q->lowest < before->residual &&
                       (!q->lowest_grown || q->lowest_difference < before->lowest_difference * SURE);
    const bool better = before->lowest_step >= 0 && !lower;
    q->steps += before->steps;
    q->solver = which;
    if (q->lowest_step >= 0) q->lowest_step += before->steps;
    if (!q->failed || !better || (p->keep_last && q->reason != DEQ_REASON_diverged)) return;
    memcpy(row_of(p, p->result, row), row_of(p, kept, row), (size_t)p->vectors * sizeof(vec));
    if (p->images) p->images->known[row] = IMAGE_UNKNOWN;
    q->solver = before->solver;
    q->lowest_step = before->lowest_step;
    q->residual = q->lowest = before->residual;
}

/* Every solver of the chain in turn, each on the examples that those before it left short of their tolerance, from the
 * states they returned (solvers of linear equations begin anew).  A defence and what rides along see the first one. */
void NAME(problem_run)(problem *p, deq_space *space) {
    const deq_solver *chain = p->options;
    if (space->base && NAME(known_take)(p)) return;
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
        if (p->early) NAME(early_restore)(p, count);
        for (int64_t i = 0; i < count; i++) {
            const int32_t row = p->rows[i];
            p->progress[row].failed = ended_short(&one, p->progress[row].reason);
            if (which > 0) settle(p, row, which, &earlier[row], kept);
        }
        if (which == chain->links || (p->defence && p->defence->value == 0)) break;
        count = p->active = go_on(p, count, earlier, kept);
        p->start = kept;
        p->earlier = earlier;
        p->least = 0;
        p->ride = NULL;
        p->correct = NULL;
        p->early = NULL;
        p->defence = NULL;
    }
    if (space->base) NAME(known_keep)(p);
}

size_t NAME(solver_bytes)(const deq_fixed *fixed, const deq_solver *options, bool adjoint, int64_t n) {
    deq_space space = {NULL, 0};
    problem p = {.fixed = fixed, .options = options, .adjoint = adjoint};
    NAME(problem_open)(&p, &space, n, NULL);
    NAME(problem_run)(&p, &space);
    return space.used;
}

void NAME(problem_report)(problem *p) {
    int64_t worst = -1;
    double largest = -1;
    for (int64_t row = 0; row < p->n; row++) {
        progress *q = &p->progress[row];
        const bool bad = q->failed;
        if (!returns_last(p, q, q->steps) && q->lowest_step >= 0) q->residual = q->lowest;
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
    NAME(problem_run)(&p, &space);
    memcpy(kept->rows, p.rows, (size_t)n * sizeof *p.rows); /* tape records moved with their examples */
    NAME(problem_report)(&p);
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
    NAME(problem_run)(&p, &space);
    NAME(problem_report)(&p);
}
