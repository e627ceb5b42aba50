/* engine_run.c - evaluation, gradients and traces: a call is cut into blocks, each run to its end by one worker. */
#include "engine_internal.h"
#include "spectral.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef enum purpose { PREDICT, LOSS, INPUT_GRADIENT, PARAMETER_GRADIENT } purpose;

typedef struct run {
    deq_engine *engine;
    purpose purpose;
    const deq_source *source;
    const int64_t *index; /* NULL: 0 .. n-1 */
    int64_t n, blocks;
    const engine_loss *loss;
    const deq_routine *main, *metric, *attack;
    const double *scalars;
    bool attacking; /* the attack has its own settings */
    char *crafted;  /* rows that the attack makes before anything else runs, or NULL: each block makes its own */
    bool crafting;  /* this is that part */
    bool defended;  /* the outputs are predictions: read off the net's defence, if it has one */
    uint64_t seed, step;
    deq_results *results;
    void *dense_output, *dense_dx;
    float *trace;
    int trace_steps;
    deq_solve_record *records[2]; /* forward, adjoint: by fixed point, then example */
    deq_spectrum *spectra;
    deq_routine_fn *const *corrections; /* by fixed point; NULL: none */

    deq_progress *progress;
    void *context;
    atomic_llong done;
    atomic_llong
        failed;       /* lowest block that failed: those below it still run, so that it is the same for any threads */
    atomic_bool stop; /* the progress listener's wish */
    struct outcome {  /* of one block: summed in order afterwards */
        deq_solve_statistics forward, adjoint;
        deq_error error;
        bool ran;
    } * outcomes;
} run;

/* Rows from .. to of block b.  All blocks have nearly the same size, whatever n is. */
static int64_t block_start(const run *r, int64_t b) { return r->n * b / r->blocks; }

/* Enough blocks that each fits, and at least four for larger batches, which four threads share. */
int64_t deq_engine_blocks(const deq_engine *g, int64_t n) {
    int64_t blocks = (n + g->block - 1) / g->block, shared = n / 32 < 4 ? n / 32 : 4;
    return blocks > shared ? blocks : shared;
}

static double value(const deq_engine *g, const char *base, int64_t row, int64_t stride, int64_t k) {
    const char *at = base + row * stride;
    return g->real_bits == 32 ? (double)((const float *)at)[k] : ((const double *)at)[k];
}

static int32_t argmax(const deq_engine *g, const char *output, int64_t row) {
    int32_t best = 0;
    for (int64_t k = 1; k < g->output_count; k++)
        if (value(g, output, row, g->output_bytes, k) > value(g, output, row, g->output_bytes, best)) best = (int32_t)k;
    return best;
}

static void store_results(run *r, const engine_worker *w, int64_t from, int64_t n) {
    const deq_engine *g = r->engine;
    deq_results *out = r->results;
    for (int64_t i = 0; out && i < n; i++) {
        if (out->loss && r->loss) out->loss[from + i] = value(g, w->loss, i, DEQ_ALIGN, 0);
        if (out->metric && r->metric) out->metric[from + i] = value(g, w->metric, i, DEQ_ALIGN, 0);
        if (out->penalty && w->solver->penalty) out->penalty[from + i] = w->penalty[i];
        if (out->correction && w->solver->corrections) out->correction[from + i] = w->corrected[i];
        if (out->prediction) out->prediction[from + i] = argmax(g, w->output, i);
        if (out->steps) out->steps[from + i] = w->solver->steps[i];
        if (out->residual) out->residual[from + i] = w->solver->residual[i];
    }
    size_t output = (size_t)(g->output_count * g->real_bytes), input = (size_t)(g->input_count * g->real_bytes);
    for (int64_t i = 0; r->dense_output && i < n; i++)
        memcpy((char *)r->dense_output + (size_t)(from + i) * output, w->output + i * g->output_bytes, output);
    for (int64_t i = 0; r->dense_dx && i < n; i++)
        memcpy((char *)r->dense_dx + (size_t)(from + i) * input, w->dx + i * g->input_bytes, input);
}

typedef struct trace_context {
    const run *run;
    int64_t from;
} trace_context;

/* The first fixed point's residuals. */
static void record_trace(void *context, const deq_states *s) {
    const trace_context *t = context;
    if (s->fixed->index != 0 || s->step > t->run->trace_steps) return;
    for (int64_t i = 0; i < s->n; i++)
        t->run->trace[(t->from + s->rows[i]) * t->run->trace_steps + s->step - 1] = (float)s->residual[i];
}

/* The examples of a solve are those of its block, in order. */
static void record_spectrum(void *context, const deq_frame *frame, const deq_fixed *fixed, int64_t n, void *rest,
                            const void *z) {
    const trace_context *t = context;
    deq_worker *worker = frame->host;
    deq_spectrum *out = t->run->spectra + fixed->index * t->run->n + t->from;
    if (!(worker->real_bits == 32 ? deq_spectrum_f32 : deq_spectrum_f64)(worker, frame, fixed, n, rest, z, NULL, out))
        deq_fail(&worker->error, DEQ_MEMORY, "the vectors of a spectrum of fixed point %s", fixed->name);
}

static void end_block(run *r, int worker, int64_t b, int64_t n) {
    struct outcome *outcome = &r->outcomes[b];
    const deq_worker *solver = r->engine->workers[worker].solver;
    outcome->forward = solver->forward;
    outcome->adjoint = solver->adjoint;
    outcome->error = solver->error;
    outcome->ran = true;
    long long lowest = atomic_load(&r->failed);
    while (solver->error.failure != DEQ_OK && b < lowest && !atomic_compare_exchange_weak(&r->failed, &lowest, b)) {}
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

static void run_block(run *r, int worker, int64_t b, char *accum) {
    deq_engine *g = r->engine;
    engine_worker *w = &g->workers[worker];
    deq_worker *solver = w->solver;
    int64_t from = block_start(r, b), n = block_start(r, b + 1) - from;
    int64_t target_bytes = r->loss ? r->loss->target_bytes : g->target_bytes;
    bool want_y = r->loss || r->metric;

    solver->error = (deq_error){0};
    deq_statistics_clear(&solver->forward);
    deq_statistics_clear(&solver->adjoint);
    deq_worker_forget(solver);
    for (int64_t i = 0; i < n; i++) w->example[i] = r->index ? r->index[from + i] : from + i;
    r->source->gather(r->source->context, w->example, n, g->real_bits, w->x, g->input_bytes, want_y ? w->y : NULL,
                      target_bytes);

    exchange_visits(r, solver, n, w->example, false);
    deq_frame frame = {.shared = g->shared,
                       .scratch = w->scratch,
                       .example = w->example,
                       .host = solver,
                       .seed = r->seed,
                       .step = r->step};
    frame.arg0 = w->x;
    frame.arg1 = w->y;
    if (r->attack && r->crafted && !r->crafting) {
        memcpy(w->x, r->crafted + from * g->input_bytes, (size_t)(n * g->input_bytes));
    } else if (r->attack) {
        frame.arg2 = w->adversarial;
        frame.scalars = r->scalars;
        solver->settings = r->attacking ? g->attacking : g->settings;
        solver->defence = NULL; /* it differentiates, and judges its steps by, the undefended net */
        r->attack->function(&frame, n);
        frame.arg0 = w->adversarial;
        frame.scalars = NULL;
        deq_statistics_clear(
            &solver->forward); /* forward statistics are those of the result, not of the search for it */
    }
    if (r->crafting) {
        memcpy(r->crafted + from * g->input_bytes, w->adversarial, (size_t)(n * g->input_bytes));
        exchange_visits(r, solver, n, w->example, true);
        end_block(r, worker, b, n);
        return;
    }
    solver->settings = g->settings;
    solver->held = g->held;
    solver->defence = r->defended && g->defence.given ? &g->defence : NULL;
    trace_context trace = {r, from};
    solver->stream = r->trace ? record_trace : NULL;
    solver->stream_context = solver->solved_context = &trace;
    solver->solved = r->spectra ? record_spectrum : NULL;
    for (int k = 0; k < 2; k++) solver->records[k] = r->records[k] ? r->records[k] + from : NULL;
    solver->records_stride = r->n;
    memset(solver->steps, 0, (size_t)n * sizeof *solver->steps);
    memset(solver->residual, 0, (size_t)n * sizeof *solver->residual);
    solver->penalty = r->purpose == PARAMETER_GRADIENT && r->results && r->results->penalty ? w->penalty : NULL;
    solver->corrections = solver->penalty ? r->corrections : NULL;
    solver->corrected = w->corrected;
    if (solver->penalty) memset(w->penalty, 0, (size_t)n * sizeof *w->penalty);
    if (solver->corrections) memset(w->corrected, 0, (size_t)n * sizeof *w->corrected);
    frame.accum = accum;
    frame.arg2 = w->output;
    frame.arg3 = w->loss;
    frame.arg4 = w->dx;
    solver->measures = !accum && ((r->results && r->results->residual) || r->records[0]);
    r->main->function(&frame, n);
    solver->measures = false;
    exchange_visits(r, solver, n, w->example, true);
    solver->stream = NULL;
    solver->solved = NULL;
    solver->records[0] = solver->records[1] = NULL;
    if (r->metric) {
        frame.accum = NULL;
        frame.arg0 = w->output;
        frame.arg1 = w->y;
        frame.arg2 = w->metric;
        r->metric->function(&frame, n);
    }
    store_results(r, w, from, n);
    solver->penalty = NULL;
    solver->corrections = NULL;
    end_block(r, worker, b, n);
}

static void evaluate_task(void *context, int worker, int64_t b) {
    run *r = context;
    if (!atomic_load(&r->stop) && b < atomic_load(&r->failed)) run_block(r, worker, b, NULL);
}

/* Blocks of shard s, in order.  A block that fails ends its shard; the others go on, so that the failure reported is
 * the same whatever the number of threads. */
static void shard_task(void *context, int worker, int64_t s) {
    run *r = context;
    memset(r->engine->shards[s], 0, (size_t)r->engine->accum_bytes);
    for (int64_t b = s; b < r->blocks; b += DEQ_SHARDS) {
        run_block(r, worker, b, r->engine->shards[s]);
        if (r->outcomes[b].error.failure != DEQ_OK) return;
    }
}

typedef struct reduction {
    deq_engine *engine;
    int shards;
    double scale;
} reduction;

#define REDUCE_PIECE 16384 /* elements */

static void reduce_task(void *context, int worker, int64_t piece) {
    (void)worker;
    const reduction *d = context;
    int64_t from = piece * REDUCE_PIECE, count = d->engine->accum_bytes / d->engine->real_bytes;
    int64_t to = from + REDUCE_PIECE < count ? from + REDUCE_PIECE : count;
    (d->engine->real_bits == 32 ? deq_sum_f32 : deq_sum_f64)(d->engine->gradients, (void *const *)d->engine->shards,
                                                             d->shards, from, to, d->scale);
}

/* ---- one call ---- */

static const engine_loss *find_loss(const deq_engine *g, const char *name, deq_error *e) {
    for (int i = 0; i < g->nlosses; i++)
        if (!strcmp(g->losses[i].name, name)) return &g->losses[i];
    deq_fail(e, DEQ_MODULE, "net %s was not compiled with the loss %s", g->name, name);
    return NULL;
}

static bool find_routines(run *r, const char *loss, const char *metric, const deq_attack *attack, deq_error *e) {
    deq_engine *g = r->engine;
    if (loss && !(r->loss = find_loss(g, loss, e))) return false;
    switch (r->purpose) {
    case PREDICT: r->main = g->predict; break;
    case LOSS: r->main = r->loss->loss; break;
    case INPUT_GRADIENT: r->main = r->loss->input; break;
    case PARAMETER_GRADIENT: r->main = r->loss->parameters; break;
    }
    if (!r->main) return deq_fail(e, DEQ_MODULE, "net %s was not compiled with what this call needs", g->name);
    for (int i = 0; metric && i < g->nmetrics; i++)
        if (!strcmp(g->metrics[i].name, metric)) r->metric = g->metrics[i].routine;
    if (metric && !r->metric)
        return deq_fail(e, DEQ_MODULE, "net %s was not compiled with the metric %s", g->name, metric);
    if (!attack) return true;
    r->attack = engine_routine(g, attack->routine);
    if (!r->attack) return deq_fail(e, DEQ_MODULE, "the compiled object has no attack %s", attack->routine);
    r->scalars = attack->scalars;
    r->attacking = attack->gradient != NULL;
    memcpy(g->attacking, g->settings, (size_t)g->nfixed * sizeof *g->attacking);
    if (attack->gradient && !engine_set_all(g, g->attacking, "gradient", attack->gradient, e)) return false;
    /* An attack's routine may stand outside the net's prefix. */
    return engine_scratch(g, r->attack->base_bytes + g->capacity * r->attack->row_bytes, e);
}

static bool make_shards(deq_engine *g, int count, deq_error *e) {
    for (int s = 0; s < count; s++) {
        if (!g->shards[s]) g->shards[s] = deq_memory_new((size_t)g->accum_bytes);
        if (!g->shards[s])
            return deq_fail(e, DEQ_MEMORY, "%lld bytes for a gradient of net %s", (long long)g->accum_bytes, g->name);
    }
    return true;
}

/* The lowest block's error, or an interruption; statistics of the blocks that ran. */
static bool collect(run *r, deq_error *e) {
    deq_solve_statistics forward, adjoint;
    bool complete = true;
    deq_statistics_clear(&forward);
    deq_statistics_clear(&adjoint);
    for (int64_t b = 0; b < r->blocks; b++) {
        struct outcome *o = &r->outcomes[b];
        complete = complete && o->ran;
        if (!o->ran) continue;
        deq_statistics_add(&forward, &o->forward);
        deq_statistics_add(&adjoint, &o->adjoint);
        if (o->error.failure != DEQ_OK) deq_fail(e, o->error.failure, "%s", o->error.text);
    }
    if (r->results) {
        r->results->forward = forward;
        r->results->adjoint = adjoint;
    }
    if (!complete)
        deq_fail(e, DEQ_INTERRUPTED, "stopped after %lld of %lld examples", (long long)r->done, (long long)r->n);
    for (int64_t b = 0; b < r->blocks; b++)
        if (!r->outcomes[b].ran || r->outcomes[b].error.failure != DEQ_OK) return false;
    return true;
}

/* The attack's part of a run whose main part takes the whole batch at once. */
static bool craft(run *r, deq_solve_statistics *adjoint, deq_error *e) {
    deq_engine *g = r->engine;
    deq_results *results = r->results, only = {0};
    r->crafted = deq_memory_new((size_t)(r->n * g->input_bytes));
    if (!r->crafted) return deq_fail(e, DEQ_MEMORY, "the adversarial inputs of a batch of net %s", g->name);
    r->crafting = true;
    r->blocks = deq_engine_blocks(g, r->n);
    atomic_store(&r->failed, r->blocks);
    r->outcomes = calloc((size_t)r->blocks, sizeof *r->outcomes);
    if (!r->outcomes) return deq_fail(e, DEQ_MEMORY, "the statistics of a call");
    r->results = &only;
    deq_pool_run(g->pool, r->blocks, evaluate_task, r);
    bool good = collect(r, e);
    free(r->outcomes);
    r->results = results;
    r->crafting = false;
    *adjoint = only.adjoint;
    return good;
}

/* One block of everything, on the first worker. */
static bool whole_batch(const run *r) { return r->purpose == PARAMETER_GRADIENT && r->engine->statistics; }

/* Penalties fit their fixed points, and the routines of corrections are there. */
static bool find_corrections(run *r, deq_error *e) {
    deq_engine *g = r->engine;
    bool any = false;
    for (int i = 0; i < g->nfixed; i++) {
        char name[512];
        if (!deq_fixed_check_penalties(&g->settings[i], g->descriptors[i], e)) return false;
        g->corrections[i] = NULL;
        if (!deq_penalties_least(&g->settings[i].penalties)) continue;
        snprintf(name, sizeof name, "%s_%s_correction", g->descriptors[i]->name, r->loss ? r->loss->name : "");
        const deq_routine *routine = engine_routine(g, name);
        if (!routine)
            return deq_fail(
                e, DEQ_SETTING,
                "fixed point %s was compiled without the routine of a correction: let the script say `penalty: "
                "correction(..)`, for this run or another of the same net",
                g->descriptors[i]->name);
        g->corrections[i] = routine->function;
        any = true;
    }
    r->corrections = any ? g->corrections : NULL;
    return true;
}

static bool execute(run *r, const char *loss, const char *metric, const deq_attack *attack, deq_error *e) {
    deq_engine *g = r->engine;
    if (r->results) {
        deq_statistics_clear(&r->results->forward);
        deq_statistics_clear(&r->results->adjoint);
    }
    if (r->n < 1) return deq_fail(e, DEQ_SETTING, "net %s was called with no examples", g->name);
    if (whole_batch(r) && !engine_capacity(g, r->n, e)) return false;
    if (!find_routines(r, loss, metric, attack, e)) return false;
    const deq_fixed_settings *settings[2] = {g->settings, g->attacking};
    if (r->results && r->results->penalty && !find_corrections(r, e)) return false;
    for (int i = 0; i < g->threads; i++) {
        g->workers[i].solver->defence = r->defended && g->defence.given ? &g->defence : NULL;
        if (!deq_worker_plan(g->workers[i].solver, settings, r->attacking ? 2 : 1, e)) return false;
    }
    deq_frame prepared = {.shared = g->shared, .host = g->workers[0].solver};
    if (!deq_resolvents_update(&g->resolvents, g->workers[0].solver, &prepared, settings, r->attacking ? 2 : 1, e))
        return false;
    deq_solve_statistics crafted;
    deq_statistics_clear(&crafted);
    if (whole_batch(r) && r->attack && !craft(r, &crafted, e)) {
        free(r->crafted);
        return false;
    }
    r->blocks = whole_batch(r) ? 1 : deq_engine_blocks(g, r->n);
    atomic_store(&r->failed, r->blocks);
    bool sums = r->purpose == PARAMETER_GRADIENT;
    int shards = r->blocks < DEQ_SHARDS ? (int)r->blocks : DEQ_SHARDS;
    r->outcomes = NULL;
    if (!sums || make_shards(g, shards, e)) r->outcomes = calloc((size_t)r->blocks, sizeof *r->outcomes);
    if (!r->outcomes) {
        free(r->crafted);
        return deq_fail(e, DEQ_MEMORY, "the statistics of a call");
    }
    if (sums)
        deq_pool_run(g->pool, shards, shard_task, r);
    else
        deq_pool_run(g->pool, r->blocks, evaluate_task, r);
    bool good = collect(r, e);
    if (r->crafted && r->results) deq_statistics_add(&r->results->adjoint, &crafted);
    free(r->outcomes);
    free(r->crafted);
    if (!good || !sums) return good;
    reduction d = {g, shards, 1.0 / (double)r->n};
    int64_t count = g->accum_bytes / g->real_bytes;
    deq_pool_run(g->pool, (count + REDUCE_PIECE - 1) / REDUCE_PIECE, reduce_task, &d);
    if (g->finish) {
        deq_frame frame = {
            .shared = g->shared, .accum = g->gradients, .scratch = g->workers[0].scratch, .host = g->workers[0].solver};
        g->finish->function(&frame, 1);
    }
    return true;
}

bool deq_engine_evaluate(deq_engine *g, const deq_source *source, const int64_t *index, int64_t n, const char *loss,
                         const char *metric, const deq_attack *attack, uint64_t seed, deq_progress *progress,
                         void *context, deq_results *results, deq_error *e) {
    run r = {.engine = g,
             .purpose = loss ? LOSS : PREDICT,
             .source = source,
             .index = index,
             .n = n,
             .defended = true,
             .seed = seed,
             .progress = progress,
             .context = context,
             .results = results};
    return execute(&r, loss, metric, attack, e);
}

bool deq_engine_gradient(deq_engine *g, const deq_source *source, const int64_t *index, int64_t n, const char *loss,
                         const char *metric, const deq_attack *attack, uint64_t seed, uint64_t step,
                         deq_results *results, deq_error *e) {
    run r = {.engine = g,
             .purpose = PARAMETER_GRADIENT,
             .source = source,
             .index = index,
             .n = n,
             .seed = seed,
             .step = step,
             .results = results};
    return execute(&r, loss, metric, attack, e);
}

bool deq_engine_residual_trace(deq_engine *g, const deq_source *source, const int64_t *index, int64_t n, int max,
                               float *out, deq_error *e) {
    run r = {
        .engine = g, .purpose = PREDICT, .source = source, .index = index, .n = n, .trace = out, .trace_steps = max};
    for (int64_t i = 0; i < n * max; i++) out[i] = NAN;
    return execute(&r, NULL, NULL, NULL, e);
}

bool deq_engine_solves(deq_engine *g, const deq_source *source, const int64_t *index, int64_t n, const char *loss,
                       deq_solve_record *forward, deq_solve_record *adjoint, deq_error *e) {
    run r = {.engine = g, .purpose = INPUT_GRADIENT, .source = source, .index = index, .n = n};
    r.records[0] = forward;
    r.records[1] = adjoint;
    memset(forward, 0, (size_t)(g->nfixed * n) * sizeof *forward);
    memset(adjoint, 0, (size_t)(g->nfixed * n) * sizeof *adjoint);
    return execute(&r, loss, NULL, NULL, e);
}

bool deq_engine_spectrum(deq_engine *g, const deq_source *source, const int64_t *index, int64_t n, deq_spectrum *out,
                         deq_error *e) {
    run r = {.engine = g, .purpose = PREDICT, .source = source, .index = index, .n = n, .spectra = out};
    for (int64_t i = 0; i < g->nfixed * n; i++) out[i] = (deq_spectrum){NAN, NAN, NAN, NAN, NAN};
    return execute(&r, NULL, NULL, NULL, e);
}

bool deq_engine_margin(deq_engine *g, int fixed, double *margin, deq_error *e) {
    const deq_fixed *f = g->descriptors[fixed];
    const deq_fixed_settings *settings[1] = {g->settings};
    deq_worker *worker = g->workers[0].solver;
    deq_frame frame = {.shared = g->shared, .host = worker};
    *margin = NAN;
    if (!f->linear || !f->shared_linear || f->dimension > DEQ_RESOLVENT_MOST) return true;
    return deq_worker_plan(worker, settings, 1, e) && deq_resolvent_margin(worker, &frame, f, margin, e);
}

/* ---- dense rows as a source ---- */

typedef struct dense {
    const char *x, *y;
    int64_t input, target; /* bytes of a row */
} dense;

static void copy_rows(char *to, int64_t stride, const char *from, int64_t bytes, const int64_t *index, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        memcpy(to + i * stride, from + index[i] * bytes, (size_t)bytes);
        memset(to + i * stride + bytes, 0, (size_t)((bytes + DEQ_ALIGN - 1) / DEQ_ALIGN * DEQ_ALIGN - bytes));
    }
}

static void gather_dense(void *context, const int64_t *index, int64_t n, int real_bits, void *x, int64_t input_bytes,
                         void *y, int64_t target_bytes) {
    (void)real_bits;
    const dense *d = context;
    copy_rows(x, input_bytes, d->x, d->input, index, n);
    if (y && d->y) copy_rows(y, target_bytes, d->y, d->target, index, n);
}

bool deq_engine_forward(deq_engine *g, int64_t n, const void *x, void *output, deq_results *results, deq_error *e) {
    dense rows = {x, NULL, g->input_count * g->real_bytes, 0};
    deq_source source = {&rows, gather_dense};
    run r = {.engine = g,
             .purpose = PREDICT,
             .source = &source,
             .n = n,
             .defended = true,
             .results = results,
             .dense_output = output};
    return execute(&r, NULL, NULL, NULL, e);
}

bool deq_engine_input_gradient(deq_engine *g, int64_t n, const void *x, const void *y, const char *loss, void *dx,
                               deq_results *results, deq_error *e) {
    if (!loss || !y) return deq_fail(e, DEQ_MODULE, "an input gradient needs a loss and its targets");
    const engine_loss *l = find_loss(g, loss, e);
    if (!l) return false;
    dense rows = {x, y, g->input_count * g->real_bytes, l->target_count * g->real_bytes};
    deq_source source = {&rows, gather_dense};
    run r = {.engine = g,
             .purpose = dx ? INPUT_GRADIENT : LOSS,
             .source = &source,
             .n = n,
             .results = results,
             .dense_dx = dx};
    return execute(&r, loss, NULL, NULL, e);
}
