/* engine_run.c - one call on a net: what it needs is found and planned, its blocks run, what they give is collected. */
#include "engine_partners.h"
#include "engine_ranks.h"
#include "engine_shards.h"
#include "ranks.h"
#include "signals.h"
#include <stdlib.h>
#include <string.h>

/* Blocks that threads can share: of images eight, else four, of at least `least` examples; of other rows that meet heavy
 * weights fewer. */
static int64_t shared_blocks(const deq_engine *g, int64_t n) {
    const bool few = g->heavy && !g->images;
    const int64_t each = few ? 2 * g->least : g->least, most = g->images ? 8 : few && n < 16 * g->least ? 2 : 4;
    return n / each < most ? n / each : most;
}

/* Enough blocks that each fits, and some for threads to share. */
int64_t deq_engine_blocks(const deq_engine *g, int64_t n) {
    int64_t blocks = (n + g->block - 1) / g->block, shared = shared_blocks(g, n);
    return blocks > shared ? blocks : shared;
}

/* Blocks in any order, on this rank's threads or on those of all. */
static void run_all(run *r, deq_task *task) {
    if (engine_dealt(r))
        engine_deal_blocks(r, task);
    else
        deq_pool_run(r->engine->pool, r->blocks, task, r);
}

static void evaluate_task(void *context, int worker, int64_t b) {
    run *r = context;
    if (!atomic_load(&r->stop) && b < atomic_load(&r->failed)) engine_block(r, worker, b, NULL);
}

const engine_loss *engine_find_loss(const deq_engine *g, const char *name, deq_error *e) {
    for (int i = 0; i < g->nlosses; i++)
        if (!strcmp(g->losses[i].name, name)) return &g->losses[i];
    deq_fail(e, DEQ_MODULE, "net %s was not compiled with the loss %s", g->name, name);
    return NULL;
}

static bool find_routines(run *r, const char *loss, const char *metric, const deq_attack *attack, deq_error *e) {
    deq_engine *g = r->engine;
    if (loss && !(r->loss = engine_find_loss(g, loss, e))) return false;
    r->carried = attack ? attack->carried : NULL;
    switch (r->purpose) {
    case PREDICT: r->main = g->predict; break;
    case LOSS: r->main = r->loss->attacked ? g->predict : r->loss->loss; break;
    case INPUT_GRADIENT: r->main = r->objective || r->loss->attacked ? g->objective_input : r->loss->input; break;
    case PARAMETER_GRADIENT:
        r->main = r->objective || r->loss->attacked ? g->objective_parameters
                  : r->carried                      ? r->loss->replay
                                                    : r->loss->parameters;
        break;
    case BOTH_GRADIENTS: r->main = g->objective_vjp; break;
    }
    if (!r->main) return deq_fail(e, DEQ_MODULE, "net %s was not compiled with what this call needs", g->name);
    for (int i = 0; metric && i < g->nmetrics; i++)
        if (!strcmp(g->metrics[i].name, metric)) r->metric = g->metrics[i].routine;
    if (metric && !r->metric)
        return deq_fail(e, DEQ_MODULE, "net %s was not compiled with the metric %s", g->name, metric);
    if (!attack || r->carried) return true;
    if ((r->known = attack->known)) return true;
    r->attack = engine_routine(g, attack->routine);
    if (!r->attack) return deq_fail(e, DEQ_MODULE, "the compiled object has no attack %s", attack->routine);
    r->scalars = attack->scalars;
    r->surrogate = attack->surrogate;
    r->in_batch = attack->in_batch;
    r->knows = attack->defended && g->defence.given;
    r->attacking = attack->gradient != NULL;
    if (attack->gradient && !engine_attacking(g, g->attacking, attack->gradient, e)) return false;
    for (int i = 0; r->in_batch && i < g->nfixed; i++)
        if (deq_mode_has(&(r->attacking ? g->attacking : g->settings)[i].gradient, TRAIT_LOSS))
            return deq_fail(
                e, DEQ_SETTING,
                "net %s: with `batch_statistics: train` the attack's gradient mode cannot be one that asks for "
                "the loss gradient at states on the solver's way (%s); let it be eval, or choose another mode",
                g->name, g->descriptors[i]->name);
    /* An attack's routine may stand outside the net's prefix. */
    return engine_scratch(g, r->attack->base_bytes + g->capacity * r->attack->row_bytes, e);
}

/* The lowest block's error, or an interruption; statistics of the blocks that ran. */
static bool collect(run *r, deq_error *e) {
    if (engine_dealt(r)) {
        const bool met = engine_ranks_meet(r, e);
        deq_ranks_dealt();
        if (!met) return false;
    }
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
        deq_fail(e, deq_interruption(), "stopped after %lld of %lld examples", (long long)r->done, (long long)r->n);
    for (int64_t b = 0; b < r->blocks; b++)
        if (!r->outcomes[b].ran || r->outcomes[b].error.failure != DEQ_OK) return false;
    return true;
}

/* The batch's parts, where the attack's blocks are as many: members of a team share calls (engine_partners.h). */
static bool as_parts(const run *r) {
    return r->teamed && !engine_dealt(r) && r->blocks == deq_team_members(r->engine->team);
}

/* The attack's part of a run whose main part couples the batch. */
static bool craft(run *r, deq_error *e) {
    deq_engine *g = r->engine;
    deq_results *results = r->results, only = {.attack = results ? results->attack : NULL};
    r->crafted = deq_memory_new((size_t)(r->n * g->input_bytes));
    if (!r->crafted) return deq_fail(e, DEQ_MEMORY, "the adversarial inputs of a batch of net %s", g->name);
    r->crafting = true;
    r->blocks = deq_engine_attack_blocks(g, r->n, (int64_t)g->threads * (engine_dealt(r) ? deq_ranks_count() : 1));
    atomic_store(&r->failed, r->blocks);
    r->outcomes = calloc((size_t)r->blocks, sizeof *r->outcomes);
    if (!r->outcomes) return deq_fail(e, DEQ_MEMORY, "the statistics of a call");
    r->results = &only;
    if (as_parts(r))
        engine_run_team(r, evaluate_task);
    else
        run_all(r, evaluate_task);
    bool good = collect(r, e);
    free(r->outcomes);
    r->results = results;
    r->crafting = false;
    return good;
}

/* Statistics of the batch couple its examples: what comes before the main part is made for all of them first. */
static bool coupled(const run *r) { return r->purpose == PARAMETER_GRADIENT && r->engine->statistics; }

#define PARTS_MOST 8    /* each holds a gradient and its scratch while it waits for the others: */
#define PARTS_IMAGES 16 /* more only of images with heavy weights, as many in each as share their reading, */
#define PARTS_LEAST 4   /* where these are parts enough for a few threads */

/* Parts of a coupled batch, which sum its statistics together; from the model and the batch alone.  Modes that ask for
 * the loss gradient at states on the way couple the examples within a solve: there the batch is one part, one block on
 * the first worker. */
static int parts_of(const deq_engine *g, int64_t n) {
    for (int i = 0; i < g->nfixed; i++)
        if (deq_mode_has(&g->settings[i].gradient, TRAIT_LOSS)) return 1;
    const int64_t together = 2 * g->least, large = g->images && g->heavy ? (n + together - 1) / together : 0;
    if (large >= PARTS_LEAST) return large > PARTS_IMAGES ? PARTS_IMAGES : (int)large;
    const int64_t parts = n / g->least;
    return parts < 1 ? 1 : parts > PARTS_MOST ? PARTS_MOST : (int)parts;
}

int deq_engine_shards(const deq_engine *g, int64_t n) {
    return g->statistics ? parts_of(g, n) : engine_shards_of(g, n, deq_engine_blocks(g, n));
}

/* Of images as many for each thread as for any other, and where weights are heavy as few as that takes: images of a
 * block share their reading.  A small block of heavy weights costs more of each thread, but less time. */
int64_t deq_engine_attack_blocks(const deq_engine *g, int64_t n, int64_t threads) {
    const bool few = g->images && g->heavy;
    const int64_t blocks = few ? (n + g->block - 1) / g->block : deq_engine_blocks(g, n);
    const int64_t dealt = (blocks + threads - 1) / threads * threads;
    return !g->images ? blocks : dealt < n ? dealt : n;
}

int deq_engine_parts(const deq_engine *g, int64_t n, int64_t *meetings, int64_t *bytes) {
    *meetings = *bytes = 0;
    if (g->team) deq_team_meetings(g->team, meetings, bytes);
    return g->statistics ? parts_of(g, n) : 0;
}

/* ensures: there is a worker for each part of a coupled batch, with room for its examples. */
static bool ready_parts(run *r, deq_error *e) {
    const int parts = parts_of(r->engine, r->n);
    r->teamed = parts > 1;
    if (r->teamed && !engine_team(r->engine, parts, e)) return false;
    return engine_capacity(r->engine, (r->n + parts - 1) / parts, e);
}

/* ensures: no solve of this call allocates anything, and dense solvers find their inverses. */
static bool plan(const run *r, deq_error *e) {
    deq_engine *g = r->engine;
    const deq_fixed_settings *settings[2] = {g->settings, g->attacking};
    const int count = r->attacking ? 2 : 1;
    for (int i = 0; i < g->nworkers; i++)
        if (!deq_worker_plan(g->workers[i].solver, settings, count, (r->defended || r->knows) && g->defence.given, e))
            return false;
    if (g->resolved != g->owner->prepared) deq_resolvents_clear(&g->resolvents);
    g->resolved = g->owner->prepared;
    deq_frame prepared = {.shared = g->shared, .host = g->workers[0].solver};
    return deq_resolvents_update(&g->resolvents, g->workers[0].solver, &prepared, settings, count, e);
}

/* ensures: every block has run, or `e` says why not. */
static bool run_blocks(run *r, deq_error *e) {
    deq_engine *g = r->engine;
    const bool sums = r->purpose == PARAMETER_GRADIENT || r->purpose == BOTH_GRADIENTS;
    r->blocks = r->teamed ? deq_team_members(g->team) : coupled(r) ? 1 : deq_engine_blocks(g, r->n);
    r->shards = r->teamed ? (int)r->blocks : engine_shards_of(g, r->n, r->blocks);
    atomic_store(&r->failed, r->blocks);
    if (sums && !engine_shards_ready(r, e)) return false;
    r->outcomes = calloc((size_t)r->blocks, sizeof *r->outcomes);
    if (!r->outcomes) return deq_fail(e, DEQ_MEMORY, "the statistics of a call");
    if (sums)
        engine_shards_run(r);
    else
        run_all(r, evaluate_task);
    const bool good = collect(r, e);
    free(r->outcomes);
    return good && (!sums || engine_shards_add(r, e));
}

bool engine_execute(run *r, const char *loss, const char *metric, const deq_attack *attack, deq_error *e) {
    deq_engine *g = r->engine;
    if (r->results) {
        deq_statistics_clear(&r->results->forward);
        deq_statistics_clear(&r->results->adjoint);
    }
    if (r->n < 1) return deq_fail(e, DEQ_SETTING, "net %s was called with no examples", g->name);
    if (coupled(r) && !ready_parts(r, e)) return false;
    if (!find_routines(r, loss, metric, attack, e)) return false;
    if (r->results && r->results->penalty && !engine_find_corrections(r, e)) return false;
    if (!plan(r, e)) return false;
    if (engine_dealt(r) && r->attack && r->results && r->results->finished) {
        r->used = malloc((size_t)(r->n * r->engine->input_count * r->engine->real_bytes));
        if (!r->used) return deq_fail(e, DEQ_MEMORY, "the attacked inputs of %lld examples", (long long)r->n);
    }
    const bool good = (!coupled(r) || !r->attack || r->in_batch || craft(r, e)) && run_blocks(r, e);
    free(r->used);
    free(r->crafted);
    return good;
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
             .dealt = g->dealt,
             .progress = progress,
             .context = context,
             .results = results};
    return engine_execute(&r, loss, metric, attack, e);
}

bool engine_predict(deq_engine *g, int64_t n, const void *x, void *output, const deq_known *kept, deq_results *results,
                    deq_error *e) {
    engine_dense rows = {x, NULL, g->input_count * g->real_bytes, 0};
    deq_source source = {&rows, engine_gather_dense};
    run r = {.engine = g,
             .purpose = PREDICT,
             .source = &source,
             .n = n,
             .defended = true,
             .kept = kept,
             .results = results,
             .dense_output = output};
    return engine_execute(&r, NULL, NULL, NULL, e);
}
