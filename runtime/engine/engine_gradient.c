/* engine_gradient.c - gradients in the parameters: of what, and their sums over blocks in fixed shards, which are added
 * in a fixed order, so that no thread count changes a bit. */
#include "engine_ranks.h"
#include <stdio.h>
#include <string.h>

/* The loss in the name of NAME_LOSS_correction. */
static const char *correction_of(const run *r) {
    if (!r->loss) return "";
    return r->loss->attacked ? r->engine->net->objective + strlen(r->engine->name) + 1 : r->loss->routines;
}

bool engine_find_corrections(run *r, deq_error *e) {
    deq_engine *g = r->engine;
    bool any = false;
    for (int i = 0; i < g->nfixed; i++) {
        char name[512];
        if (!deq_fixed_check_penalties(&g->settings[i], g->descriptors[i], e)) return false;
        g->corrections[i] = NULL;
        if (!deq_penalties_least(&g->settings[i].penalties)) continue;
        snprintf(name, sizeof name, "%s_%s_correction", g->descriptors[i]->name, correction_of(r));
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

static int shards_of(const run *r) { return r->blocks < DEQ_SHARDS ? (int)r->blocks : DEQ_SHARDS; }

#define PART_BLOCKS 16 /* of a shard */
static bool in_parts(const run *r) { return r->blocks > DEQ_SHARDS * 2 * PART_BLOCKS; }

bool engine_shards_ready(run *r, deq_error *e) {
    deq_engine *g = r->engine;
    for (int s = 0; s < shards_of(r); s++) {
        if (!engine_makes(r, shards_of(r), s)) continue;
        if (!g->shards[s]) g->shards[s] = deq_memory_new((size_t)g->accum_bytes);
        if (in_parts(r) && !g->parts[s]) g->parts[s] = deq_memory_new((size_t)g->accum_bytes);
        if (!g->shards[s] || (in_parts(r) && !g->parts[s]))
            return deq_fail(e, DEQ_MEMORY, "%lld bytes for a gradient of net %s", (long long)g->accum_bytes, g->name);
    }
    return true;
}

static void lift_part(deq_engine *g, int64_t s) {
    (g->real_bits == 32 ? deq_sum_f32 : deq_sum_f64)(g->shards[s], (void *[]){g->shards[s], g->parts[s]}, 2, 0,
                                                     g->accum_bytes / g->real_bytes, 1);
    memset(g->parts[s], 0, (size_t)g->accum_bytes);
}

/* Blocks of shard s, in order; of very many every PART_BLOCKS make a sum of their own, so that its rounding errors do
 * not grow with the number of examples.  A block that fails ends its shard; the others go on, so that the failure reported is
 * the same whatever the number of threads. */
static void shard_task(void *context, int worker, int64_t s) {
    run *r = context;
    deq_engine *g = r->engine;
    const bool parts = in_parts(r);
    if (!engine_makes(r, shards_of(r), (int)s)) return;
    memset(g->shards[s], 0, (size_t)g->accum_bytes);
    if (parts) memset(g->parts[s], 0, (size_t)g->accum_bytes);
    int64_t done = 0;
    for (int64_t b = s; b < r->blocks; b += DEQ_SHARDS) {
        engine_block(r, worker, b, parts ? g->parts[s] : g->shards[s]);
        if (r->outcomes[b].error.failure != DEQ_OK) return;
        if (parts && (++done % PART_BLOCKS == 0 || b + DEQ_SHARDS >= r->blocks)) lift_part(g, s);
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

/* Parts of a coupled batch run side by side, a shard each. */
static void run_team(run *r) {
    deq_engine *g = r->engine;
    for (int s = 0; s < shards_of(r); s++) g->workers[s].solver->team = g->team, g->workers[s].solver->member = s;
    if (engine_dealt(r)) engine_team_deal(r);
    deq_team_run(g->team, shard_task, r);
    if (engine_dealt(r)) engine_team_met(r);
    for (int s = 0; s < shards_of(r); s++) g->workers[s].solver->team = NULL;
}

void engine_shards_run(run *r) {
    if (r->teamed)
        run_team(r);
    else
        deq_pool_run(r->engine->pool, shards_of(r), shard_task, r);
}

bool engine_shards_add(run *r, deq_error *e) {
    deq_engine *g = r->engine;
    reduction d = {g, shards_of(r), r->summed ? 1.0 : 1.0 / (double)r->n};
    const int64_t count = g->accum_bytes / g->real_bytes;
    if (!engine_dealt(r))
        deq_pool_run(g->pool, (count + REDUCE_PIECE - 1) / REDUCE_PIECE, reduce_task, &d);
    else if (!engine_ranks_reduce(r, d.shards, d.scale, e))
        return false;
    if (!g->finish) return true;
    deq_frame frame = {
        .shared = g->shared, .accum = g->gradients, .scratch = g->workers[0].scratch, .host = g->workers[0].solver};
    g->finish->function(&frame, 1);
    return true;
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
             .dealt = g->dealt,
             .results = results};
    return engine_execute(&r, loss, metric, attack, e);
}
