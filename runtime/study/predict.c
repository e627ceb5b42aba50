#include "predict.h"
#include "engine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    deq_network network;
} networks[] = {
#define NETWORK(name, seconds, bytes, doc) {#name, {seconds, bytes}},
#include "networks.def"
#undef NETWORK
};

bool deq_network_of(const char *text, deq_network *out, deq_error *e) {
    char names[200] = "", *end = NULL, *after = NULL;
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        const size_t at = strlen(names);
        if (!strcmp(text, networks[i].name)) {
            *out = networks[i].network;
            return true;
        }
        snprintf(names + at, sizeof names - at, "%s%s", at ? ", " : "", networks[i].name);
    }
    out->latency = strtod(text, &end);
    if (end != text && *end == ',') {
        out->bandwidth = strtod(end + 1, &after);
        if (after != end + 1 && !*after && out->latency >= 0 && out->bandwidth > 0) return true;
    }
    return deq_fail(
        e, DEQ_SETTING,
        "--predict %s: a network is one of %s, or its latency in seconds and its bytes a second, as 50e-6,1.2e9", text,
        names);
}

static int64_t over(int64_t n, int64_t parts) { return (n + parts - 1) / parts; }
static int64_t least_of(int64_t a, int64_t b) { return a < b ? a : b; }

/* All ranks tell all others `bytes` each, of sizes that are known before but for what fails. */
static double told(const deq_network *w, int ranks, double bytes) {
    return w->latency + (ranks - 1) * ((double)sizeof(int64_t) + bytes) / w->bandwidth;
}

/* The same of blocks that went to whoever asked first: few bytes have room for all of them, else the rest comes after. */
static double told_of_blocks(const deq_network *w, int ranks, double bytes) {
    return (ranks - 1) * bytes <= DEQ_TOLD_WHOLE ? told(w, ranks, bytes) : told(w, ranks, bytes / ranks) + w->latency;
}

/* Parts meet: each rank brings what its parts have; ranks without one must learn of it first. */
static double met(const deq_step_cost *c, const deq_network *w, int ranks) {
    const double here = (double)over(c->shards, ranks);
    const double seconds = c->meetings * w->latency + (ranks - 1) * here * c->meeting_bytes / w->bandwidth;
    return ranks <= c->shards ? seconds : seconds + c->meetings * told(w, ranks, 0) + w->latency; /* and the last */
}

/* Each step of a meeting lasts as long as its slowest rank. */
static double reduction(const deq_step_cost *c, const deq_network *w, int shards, int ranks, int64_t *bytes) {
    int64_t exchanged = 0, gathered = 0;
    *bytes = 0;
    for (int r = 0; r < ranks; r++) {
        const deq_traffic t = deq_reduction_traffic(c->gradient_bytes, shards, ranks, r);
        const int64_t moved = t.exchanged > t.fetched ? t.exchanged : t.fetched, sent = t.exchanged + t.gathered;
        if (moved > exchanged) exchanged = moved;
        if (t.gathered > gathered) gathered = t.gathered;
        if (sent > *bytes) *bytes = sent;
    }
    return 2 * w->latency + (double)(exchanged + gathered) / w->bandwidth;
}

/* Shards or parts are dealt in equal shares, and the threads of a rank take them one after the other. */
static double dealt(int64_t count, int ranks, int threads, double each) {
    return (double)over(over(count, ranks), threads) * each;
}

deq_step_prediction deq_predict_step(const deq_step_cost *c, const deq_network *w, int ranks, int threads) {
    deq_step_prediction p = {.update = c->update};
    const int64_t cores = (int64_t)ranks * threads;
    const int shards = c->shards;
    const int64_t blocks = c->small_blocks ? least_of(over(c->blocks, cores) * cores, c->batch) : c->blocks;
    const double n = (double)c->batch, block = n / (double)c->blocks;
    if (c->coupled) {
        const bool pairs = c->paired > 0 && over(shards, ranks) >= 2 * (int64_t)threads;
        p.compute = (double)over(blocks, cores) * ((double)over(c->batch, blocks) * c->attack + c->attack_block) +
                    dealt(shards, ranks, threads, (double)over(c->batch, shards) * (pairs ? c->paired : c->gradient));
    } else
        p.compute = dealt(shards, ranks, threads,
                          (double)over(c->blocks, shards) * (block * (c->attack + c->gradient) + c->attack_block));
    if (ranks > 1) {
        p.reduction = reduction(c, w, shards, ranks, &p.reduced);
        p.meetings = told(w, ranks, (double)c->told_bytes / ranks) + (c->coupled ? met(c, w, ranks) : 0);
        /* of attacks a number for each block, asked for and answered, one thread of a rank at a time */
        if (c->coupled && c->attack > 0)
            p.meetings += told_of_blocks(w, ranks, (double)c->attacked_bytes) + 2 * w->latency * (threads + 1);
    }
    const double many = (double)c->accumulate;
    p.compute *= many, p.reduction *= many, p.meetings *= many, p.reduced *= c->accumulate;
    p.step = p.compute + p.update + p.reduction + p.meetings;
    p.ideal = many * (n * (c->attack + c->gradient) + (double)c->blocks * c->attack_block) / (double)cores + p.update +
              p.reduction + p.meetings;
    p.busy = (int)least_of(c->coupled && c->attack > 0 && blocks > shards ? blocks : shards, cores);
    return p;
}
