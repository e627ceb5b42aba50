/* engine_block.c - one block of a call, run to its end by one worker: gathered, attacked, solved, differentiated. */
#include "engine_run.h"
#include <math.h>
#include <string.h>
#include <time.h>

/* Rows from .. to of block b.  All blocks have nearly the same size, whatever n is. */
static int64_t block_start(const run *r, int64_t b) { return r->n * b / r->blocks; }

static double value(const deq_engine *g, const char *base, int64_t row, int64_t stride, int64_t k) {
    return deq_real_get(g->real_bits, base + row * stride, k);
}

static bool is_number(const deq_engine *g, const char *output, int64_t row) {
    for (int64_t k = 0; k < g->output_count; k++)
        if (isnan(value(g, output, row, g->output_bytes, k))) return false;
    return true;
}

/* -1 where an output is NaN. */
static int32_t argmax(const deq_engine *g, const char *output, int64_t row) {
    int32_t best = is_number(g, output, row) ? 0 : -1;
    for (int64_t k = 1; best >= 0 && k < g->output_count; k++)
        if (value(g, output, row, g->output_bytes, k) > value(g, output, row, g->output_bytes, best)) best = (int32_t)k;
    return best;
}

static bool want_y(const run *r) { return r->loss || r->metric; }
static int64_t target_bytes(const run *r) { return r->loss ? r->loss->target_bytes : r->engine->target_bytes; }

/* The loss of gradient checks has a target of its own, the shape of the output. */
static int32_t label_of(const run *r, const engine_worker *w, int64_t row) {
    const bool given = r->engine->labels && want_y(r) && target_bytes(r) == r->engine->target_bytes;
    return given ? (int32_t)value(r->engine, w->y, row, target_bytes(r), 0) : -1;
}

static double margin_of(const deq_engine *g, const char *output, int64_t row, int32_t label) {
    double other = -INFINITY;
    if (label < 0 || label >= g->output_count || !is_number(g, output, row)) return NAN;
    for (int64_t k = 0; k < g->output_count; k++)
        if (k != label) other = fmax(other, value(g, output, row, g->output_bytes, k));
    return value(g, output, row, g->output_bytes, label) - other;
}

/* How far the input was moved: row i of `used` beside that of the data. */
static void store_distance(const run *r, const engine_worker *w, const char *used, int64_t from, int64_t i) {
    const deq_engine *g = r->engine;
    const deq_results *out = r->results;
    double largest = 0, square = 0, sum = 0;
    if (!out->distance[0]) return;
    for (int64_t k = 0; k < g->input_count; k++) {
        double d = fabs(value(g, used, i, g->input_bytes, k) - value(g, w->x, i, g->input_bytes, k));
        if (!(d <= largest)) largest = d;
        square += d * d;
        sum += d;
    }
    out->distance[0][from + i] = largest;
    out->distance[1][from + i] = sqrt(square);
    out->distance[2][from + i] = sum;
}

/* `used`: the inputs that the results are of. */
static void store_results(run *r, const engine_worker *w, const char *used, int64_t from, int64_t n) {
    const deq_engine *g = r->engine;
    deq_results *out = r->results;
    for (int64_t i = 0; out && i < n; i++) {
        if (out->loss && r->loss) out->loss[from + i] = value(g, w->loss, i, DEQ_ALIGN, 0);
        if (out->metric && r->metric) out->metric[from + i] = value(g, w->metric, i, DEQ_ALIGN, 0);
        if (out->penalty && w->solver->request.penalty) out->penalty[from + i] = w->penalty[i];
        if (out->correction && w->solver->request.corrections) out->correction[from + i] = w->corrected[i];
        if (out->prediction) out->prediction[from + i] = argmax(g, w->output, i);
        if (out->steps) out->steps[from + i] = w->solver->steps[i];
        if (out->residual) out->residual[from + i] = w->solver->residual[i];
        if (out->counts) out->counts[from + i] = w->solver->counts[i];
        const int32_t label = label_of(r, w, i);
        if (out->label) out->label[from + i] = label;
        if (out->margin) out->margin[from + i] = margin_of(g, w->output, i, label);
        if (!r->crafted) store_distance(r, w, used, from, i);
    }
    size_t output = (size_t)(g->output_count * g->real_bytes), input = (size_t)(g->input_count * g->real_bytes);
    for (int64_t i = 0; r->dense_output && i < n; i++)
        memcpy((char *)r->dense_output + (size_t)(from + i) * output, w->output + i * g->output_bytes, output);
    for (int64_t i = 0; out && out->inputs && i < n; i++)
        memcpy((char *)out->inputs + (size_t)(from + i) * input, used + i * g->input_bytes, input);
    for (int64_t i = 0; r->used && i < n; i++)
        memcpy(r->used + (size_t)(from + i) * input, used + i * g->input_bytes, input);
    for (int64_t i = 0; r->dense_dx && i < n; i++)
        memcpy((char *)r->dense_dx + (size_t)(from + i) * input, w->dx + i * g->input_bytes, input);
}

static void end_block(run *r, int worker, int64_t b, int64_t n, const char *used) {
    struct outcome *outcome = &r->outcomes[b];
    const deq_worker *solver = r->engine->workers[worker].solver;
    outcome->forward = solver->forward;
    outcome->adjoint = solver->adjoint;
    outcome->error = solver->error;
    outcome->ran = true;
    long long lowest = atomic_load(&r->failed);
    while (solver->error.failure != DEQ_OK && b < lowest && !atomic_compare_exchange_weak(&r->failed, &lowest, b)) {}
    if (r->results && r->results->finished && solver->error.failure == DEQ_OK)
        r->results->finished(r->results->finished_context, block_start(r, b), n, used, (size_t)r->engine->input_bytes,
                             true);
    int64_t done = atomic_fetch_add(&r->done, r->crafting ? 0 : n) + n;
    if (worker == 0 && r->progress && !r->progress(r->context, done, r->n)) atomic_store(&r->stop, true);
}

/* Takes the rows' states of `start: previous` from where training remembers them, or puts them back. */
static void exchange_visits(const run *r, deq_worker *solver, int64_t n, const int64_t *example, bool back) {
    const deq_engine *g = r->engine;
    char *at = g->previous;
    if (r->purpose != PARAMETER_GRADIENT || !at) return;
    for (int i = 0; i < g->nfixed; i++) {
        const int64_t bytes = g->descriptors[i]->state_bytes;
        deq_visits *v = &solver->visits[i];
        if (g->settings[i].start != DEQ_START_PREVIOUS) continue;
        for (int64_t row = 0; row < n; row++) {
            const int64_t place = example[row] - g->first_visited;
            if (place < 0 || place >= g->visited) continue;
            char *kept = at + place * bytes, *own = v->states + row * bytes;
            if (back && v->visitor[row] == example[row])
                memcpy(kept, own, (size_t)bytes);
            else if (back)
                memset(kept, 0xff, (size_t)bytes); /* NaN */
            else if (!isnan(value(g, kept, 0, 0, 0))) {
                memcpy(own, kept, (size_t)bytes);
                v->visitor[row] = example[row];
            }
        }
        at += g->visited * bytes;
    }
}

/* The block's examples, and the frame of routines on them. */
static deq_frame gather(const run *r, const engine_worker *w, int64_t from, int64_t n) {
    const deq_engine *g = r->engine;
    for (int64_t i = 0; i < n; i++) w->example[i] = r->index ? r->index[from + i] : from + i;
    r->source->gather(r->source->context, w->example, n, g->real_bits, w->x, g->input_bytes, want_y(r) ? w->y : NULL,
                      target_bytes(r));
    return (deq_frame){.shared = g->shared,
                       .scratch = w->scratch,
                       .example = w->example,
                       .host = w->solver,
                       .seed = r->seed,
                       .step = r->step,
                       .arg0 = w->x,
                       .arg1 = w->y};
}

/* Processor time of this thread, in seconds: what others do at the same time is no part of it. */
static double processor_seconds(void) {
    struct timespec t;
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) ? NAN : (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The time since `began` is shared out among the block's examples. */
static void share_out(const engine_worker *w, int64_t n, double began) {
    const double seconds = processor_seconds() - began;
    for (int64_t i = 0; i < n; i++) w->solver->counts[i].seconds = (float)(seconds / (double)n);
}

/* The attack differentiates, and judges its steps by, the undefended net, unless it knows the defence. */
static void attack(const run *r, const engine_worker *w, int64_t from, int64_t n, deq_frame *frame) {
    const double began = processor_seconds();
    deq_frame inner = *frame;
    deq_worker_begin(w->solver, &(deq_request){.settings = r->attacking ? r->engine->attacking : r->engine->settings,
                                               .defence = r->knows ? &r->engine->defence : NULL,
                                               .knows = r->knows,
                                               .surrogate = r->surrogate});
    inner.arg2 = w->adversarial;
    inner.scalars = r->scalars;
    const bool classes = r->engine->output_count == r->engine->net->target.labels; /* outputs that tell what is wrong */
    for (int64_t i = 0; classes && i < n; i++) w->solver->counts[i].label = label_of(r, w, i) + 1;
    r->attack->function(&inner, n);
    share_out(w, n, began);
    if (r->results && r->results->attack)
        memcpy(r->results->attack + from, w->solver->counts, (size_t)n * sizeof *w->solver->counts);
    frame->arg0 = w->adversarial;
}

/* What the attack led to when it was run before. */
static void take_known(const run *r, const engine_worker *w, int64_t from, int64_t n, deq_frame *frame) {
    const deq_engine *g = r->engine;
    const size_t input = (size_t)(g->input_count * g->real_bytes);
    memset(w->adversarial, 0, (size_t)(n * g->input_bytes));
    for (int64_t i = 0; i < n; i++)
        memcpy(w->adversarial + i * g->input_bytes, r->known + (size_t)(from + i) * input, input);
    frame->arg0 = w->adversarial;
}

/* What the main part asks of its solves. */
static deq_request request_of(const run *r, const engine_worker *w, int64_t from, int64_t n, bool gradient,
                              run_place *place) {
    const deq_engine *g = r->engine;
    const bool penalised = r->purpose == PARAMETER_GRADIENT && r->results && r->results->penalty;
    deq_request request = {.settings = g->settings,
                           .stream = r->stream,
                           .stream_context = place,
                           .solved = r->solved,
                           .solved_context = place,
                           .records_stride = r->n,
                           .defence = r->defended && g->defence.given ? &g->defence : NULL,
                           .measures = !gradient && ((r->results && r->results->residual) || r->records[0]),
                           .penalty = penalised ? w->penalty : NULL,
                           .corrected = w->corrected,
                           .corrections = penalised ? r->corrections : NULL,
                           .held = g->held,
                           .known = r->kept,
                           .known_from = from,
                           .keeps = r->purpose == PREDICT};
    for (int k = 0; k < 2; k++) request.records[k] = r->records[k] ? r->records[k] + from : NULL;
    if (request.penalty) memset(w->penalty, 0, (size_t)n * sizeof *w->penalty);
    if (request.corrections) memset(w->corrected, 0, (size_t)n * sizeof *w->corrected);
    return request;
}

static void compute(const run *r, const engine_worker *w, int64_t from, int64_t n, deq_frame *frame, char *accum) {
    run_place place = {r, from};
    const deq_request request = request_of(r, w, from, n, accum != NULL, &place);
    deq_worker_begin(w->solver, &request);
    frame->accum = accum;
    frame->scalars = r->loss ? r->loss->settings : NULL;
    frame->arg2 = w->output;
    frame->arg3 = w->loss;
    frame->arg4 = w->dx;
    engine_given given;
    if (r->objective) {
        given = engine_objective_ask(r->objective, r->engine, from, frame);
        if (!r->objective->function) frame->record = &given;
    }
    r->main->function(frame, n);
}

/* ---- losses of clean and attacked outputs ---- */

typedef struct pass { /* of one of the two inputs */
    const deq_routine *routine, *objective;
    char *x, *output, *dx, *accum;
    bool last; /* its solves are those of the results */
} pass;

/* The record of the function of the one output: the other output, the target, and the loss's settings. */
static void write_records(const run *r, const engine_worker *w, const char *other, int64_t n) {
    const engine_loss *l = r->loss;
    const int64_t output = r->engine->output_bytes, target = target_bytes(r),
                  stride = output + target + l->nsettings * DEQ_ALIGN;
    for (int64_t i = 0; i < n; i++) {
        char *to = w->record + i * stride;
        memcpy(to, other + i * output, (size_t)output);
        memcpy(to + output, w->y + i * target, (size_t)target);
        to += output + target;
        memset(to, 0, (size_t)(l->nsettings * DEQ_ALIGN));
        for (int k = 0; k < l->nsettings; k++)
            deq_real_put(r->engine->real_bits, to + k * DEQ_ALIGN, 0, l->settings[k]);
    }
}

static void make_pass(const run *r, const engine_worker *w, int64_t from, int64_t n, deq_frame frame, const pass *p) {
    run_place place = {r, from};
    deq_request request = request_of(r, w, from, n, p->accum != NULL, &place);
    if (!p->last) { /* penalties and listeners are of the attacked input */
        request.penalty = NULL;
        request.corrections = NULL;
        request.stream = NULL;
        request.solved = NULL;
        request.records[0] = request.records[1] = NULL;
    }
    deq_worker_begin(w->solver, &request);
    frame.accum = p->accum;
    frame.arg0 = p->x;
    frame.arg2 = p->output;
    frame.arg3 = w->loss;
    frame.arg4 = p->dx;
    if (p->objective) {
        frame.objective = p->objective->function;
        frame.record = w->record;
    }
    p->routine->function(&frame, n);
}

/* The attacked outputs before anything is differentiated: as in training, if the net is another there. */
static void foresee(const run *r, const engine_worker *w, int64_t from, int64_t n, const deq_frame *frame, char *x) {
    const deq_engine *g = r->engine;
    if (r->purpose != PARAMETER_GRADIENT || !g->net->training) {
        make_pass(r, w, from, n, *frame, &(pass){.routine = g->predict, .x = x, .output = w->output});
        return;
    }
    const engine_objective nothing = {NULL, w->record, g->output_bytes};
    deq_frame inner = *frame;
    memset(w->record, 0, (size_t)(n * g->output_bytes));
    engine_given given = engine_objective_ask(&nothing, g, 0, &inner);
    inner.record = &given;
    make_pass(r, w, from, n, inner, &(pass){.routine = r->main, .x = x, .output = w->output, .accum = w->spare});
}

static void add_rows(const deq_engine *g, char *to, const char *from, int64_t n) {
    for (int64_t k = 0; k < n * g->input_bytes / g->real_bytes;
         k++) /* a sum of two singles, rounded once, either way */
        deq_real_put(g->real_bits, to, k, deq_real_get(g->real_bits, to, k) + deq_real_get(g->real_bits, from, k));
}

/* The loss's derivative in the attacked output needs the clean one, and the other way round.  So the attacked output is
 * computed once more than it is differentiated; the gradients of the two passes add up. */
static void compute_pair(const run *r, const engine_worker *w, int64_t from, int64_t n, deq_frame *frame, char *accum) {
    const deq_engine *g = r->engine;
    const engine_loss *l = r->loss;
    char *attacked = frame->arg0;
    if (r->purpose == LOSS) {
        make_pass(r, w, from, n, *frame, &(pass){.routine = g->predict, .x = w->x, .output = w->clean});
        make_pass(r, w, from, n, *frame,
                  &(pass){.routine = g->predict, .x = attacked, .output = w->output, .last = true});
        write_records(r, w, w->clean, n);
        deq_frame inner = *frame;
        inner.arg0 = w->output;
        inner.arg1 = w->loss;
        inner.arg2 = w->clean; /* the derivative, which nobody wants */
        inner.rest = w->record;
        l->attacked->function(&inner, n);
        return;
    }
    foresee(r, w, from, n, frame, attacked);
    write_records(r, w, w->output, n);
    make_pass(r, w, from, n, *frame, &(pass){r->main, l->clean, w->x, w->clean, w->clean_dx, accum, false});
    write_records(r, w, w->clean, n);
    make_pass(r, w, from, n, *frame, &(pass){r->main, l->attacked, attacked, w->output, w->dx, accum, true});
    if (r->purpose == INPUT_GRADIENT) add_rows(g, w->dx, w->clean_dx, n); /* there is no attack: both are the input */
}

static void measure(const run *r, const engine_worker *w, int64_t n, deq_frame *frame) {
    frame->accum = NULL;
    frame->arg0 = w->output;
    frame->arg1 = w->y;
    frame->arg2 = w->metric;
    r->metric->function(frame, n);
}

/* ---- perturbations that are carried on ---- */

/* Inputs are moved by the perturbation, into the box. */
static void move_inputs(const run *r, const engine_worker *w, int64_t from, int64_t n, deq_frame *frame) {
    const deq_engine *g = r->engine;
    const int64_t dense = g->input_count * g->real_bytes;
    memset(w->adversarial, 0, (size_t)(n * g->input_bytes));
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < g->input_count; k++) {
            const double x =
                value(g, w->x, i, g->input_bytes, k) + value(g, r->carried->perturbation, from + i, dense, k);
            deq_real_put(g->real_bits, w->adversarial + i * g->input_bytes, k,
                         fmin(fmax(x, r->carried->how.low), r->carried->how.high));
        }
    frame->arg0 = w->adversarial;
}

/* The perturbation follows the sign of the gradient at the moved inputs, which is 0 where the box cut them off. */
static void move_perturbation(const run *r, const engine_worker *w, int64_t from, int64_t n) {
    const deq_engine *g = r->engine;
    const deq_replay *how = &r->carried->how;
    const int64_t dense = g->input_count * g->real_bytes;
    for (int64_t i = 0; i < n; i++) {
        char *row = (char *)r->carried->perturbation + (from + i) * dense;
        for (int64_t k = 0; k < g->input_count; k++) {
            const double old = value(g, row, 0, 0, k), x = value(g, w->x, i, g->input_bytes, k) + old,
                         d = value(g, w->dx, i, g->input_bytes, k);
            const bool inside = x >= how->low && x <= how->high;
            const double moved = old + how->step * (inside ? (d > 0) - (d < 0) : 0);
            deq_real_put(g->real_bits, row, k, fmin(fmax(moved, -how->radius), how->radius));
        }
    }
}

void engine_block(run *r, int worker, int64_t b, char *accum) {
    const engine_worker *w = &r->engine->workers[worker];
    deq_worker *solver = w->solver;
    const int64_t from = block_start(r, b), n = block_start(r, b + 1) - from, bytes = r->engine->input_bytes;
    solver->error = (deq_error){0};
    deq_worker_forget(solver);
    deq_frame frame = gather(r, w, from, n);
    exchange_visits(r, solver, n, w->example, false);
    const bool crafted = r->crafted && !r->crafting;
    const bool pair = r->loss && r->loss->attacked;
    if (r->attack && crafted && pair) {
        memcpy(w->adversarial, r->crafted + from * bytes, (size_t)(n * bytes));
        frame.arg0 = w->adversarial;
    } else if (r->attack && crafted)
        memcpy(w->x, r->crafted + from * bytes, (size_t)(n * bytes));
    else if (r->attack)
        attack(r, w, from, n, &frame);
    else if (r->known)
        take_known(r, w, from, n, &frame);
    else if (r->carried)
        move_inputs(r, w, from, n, &frame);
    /* A prediction is of its input alone, whatever the attack has solved before (start: previous). */
    if (r->attack && r->purpose != PARAMETER_GRADIENT) deq_worker_forget(solver);
    const char *used = frame.arg0;
    if (r->crafting)
        memcpy(r->crafted + from * bytes, w->adversarial, (size_t)(n * bytes));
    else {
        const double began = processor_seconds();
        (pair ? compute_pair : compute)(r, w, from, n, &frame, accum);
        share_out(w, n, began);
    }
    if (r->carried) move_perturbation(r, w, from, n);
    exchange_visits(r, solver, n, w->example, true);
    if (!r->crafting && r->metric) measure(r, w, n, &frame);
    if (!r->crafting) store_results(r, w, used, from, n);
    end_block(r, worker, b, n, used);
}
