/* engine_gradient.c - gradients in the parameters: of what, and their sums over blocks in fixed shards, which are added
 * in a fixed order, so that no thread count changes a bit. */
#include "engine_partners.h"
#include "engine_ranks.h"
#include "engine_shards.h"
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

#define PART_BLOCKS 16 /* of a shard */
static bool in_parts(const run *r) { return r->blocks > (int64_t)r->shards * 2 * PART_BLOCKS; }

/* Parts of a coupled batch have their vectors all at once. */
bool engine_shards_ready(run *r, deq_error *e) {
    int here = 0;
    for (int s = 0; s < r->shards; s++) here += engine_makes(r, r->shards, s);
    if (!r->teamed && here > r->engine->threads) here = r->engine->threads;
    return engine_shards_begin(r->engine, in_parts(r) ? 2 * here : here, e);
}

static void lift_part(const deq_engine *g, char *sum, char *part) {
    (g->real_bits == 32 ? deq_sum_f32 : deq_sum_f64)(sum, (void *[]){sum, part}, 2, 0, g->accum_bytes / g->real_bytes,
                                                     1);
    memset(part, 0, (size_t)g->accum_bytes);
}

static void no_memory(run *r, int64_t b) {
    struct outcome *o = &r->outcomes[b];
    deq_statistics_clear(&o->forward);
    deq_statistics_clear(&o->adjoint);
    deq_fail(&o->error, DEQ_MEMORY, "%lld bytes for a gradient of net %s", (long long)r->engine->accum_bytes,
             r->engine->name);
    o->ran = true;
}

/* Blocks of shard s, in order; of very many every PART_BLOCKS make a sum of their own, so that its rounding errors do
 * not grow with the number of examples.  A block that fails ends its shard; the others go on, so that the failure reported is
 * the same whatever the number of threads. */
static void shard_task(void *context, int worker, int64_t s) {
    run *r = context;
    deq_engine *g = r->engine;
    if (!engine_makes(r, r->shards, (int)s)) return;
    char *sum = engine_shards_take(g), *part = in_parts(r) ? engine_shards_take(g) : NULL;
    if (!sum || (in_parts(r) && !part)) no_memory(r, s);
    int64_t done = 0;
    for (int64_t b = s; b < r->blocks && r->outcomes[s].error.failure == DEQ_OK; b += r->shards) {
        engine_block(r, worker, b, part ? part : sum);
        if (r->outcomes[b].error.failure != DEQ_OK) break;
        if (part && (++done % PART_BLOCKS == 0 || b + r->shards >= r->blocks)) lift_part(g, sum, part);
    }
    if (part) engine_shards_give(g, part);
    if (sum) engine_shards_done(g, r->shards, (int)s, sum);
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
void engine_shards_run(run *r) {
    if (r->teamed)
        engine_run_team(r, shard_task);
    else
        deq_pool_run(r->engine->pool, r->shards, shard_task, r);
}

bool engine_shards_add(run *r, deq_error *e) {
    deq_engine *g = r->engine;
    const double scale = r->summed ? 1.0 : 1.0 / (double)r->n;
    reduction d = {g, engine_shards_left(r->shards, 0, r->shards, NULL), scale};
    const int64_t count = g->accum_bytes / g->real_bytes;
    if (!engine_dealt(r))
        deq_pool_run(g->pool, (count + REDUCE_PIECE - 1) / REDUCE_PIECE, reduce_task, &d);
    else if (!engine_ranks_reduce(r, r->shards, scale, e))
        return false;
    engine_in_pieces(g, g->finish, g->accum_bytes);
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
