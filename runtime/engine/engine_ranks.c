/* engine_ranks.c - see engine_ranks.h: blocks dealt, rows gathered, shards exchanged. */
#include "engine_ranks.h"
#include "engine_shards.h"
#include "ranks.h"
#include "signals.h"
#include <stdlib.h>
#include <string.h>

bool engine_dealt(const run *r) { return r->dealt && deq_ranks_count() > 1; }

/* The first of `count` things that are the rank's; those of the last end at share_of(count, ranks). */
static int share(int count, int ranks, int rank) { return (int)((int64_t)count * rank / ranks); }
static int share_of(int count, int rank) { return share(count, deq_ranks_count(), rank); }

static bool makes(int shards, int rank, int s) { return s >= share_of(shards, rank) && s < share_of(shards, rank + 1); }

bool engine_makes(const run *r, int shards, int s) { return !engine_dealt(r) || makes(shards, deq_ranks_own(), s); }

/* ---- blocks ---- */
typedef struct deal {
    run *run;
    deq_task *task;
} deal;

static void take_blocks(void *context, int worker, int64_t unused) {
    const deal *d = context;
    (void)unused;
    for (int64_t b; (b = deq_ranks_take()) < d->run->blocks;) d->task(d->run, worker, b);
}

void engine_deal_blocks(run *r, deq_task *task) {
    deal d = {r, task};
    deq_pool_run(r->engine->pool, r->engine->threads, take_blocks, &d);
    if (atomic_load(&r->stop)) deq_ranks_take_rest();
}

/* ---- what a block leaves ---- */
typedef struct column { /* row i of the call: `bytes` from base + i * bytes */
    char *base;
    int64_t bytes;
} column;

#define MOST_COLUMNS 20

static int columns_of(const run *r, column *list) {
    const deq_engine *g = r->engine;
    const deq_results *out = r->results;
    const int64_t input = g->input_count * g->real_bytes;
    int n = 0;
    if (r->crafting) list[n++] = (column){r->crafted, g->input_bytes};
    if (r->carried) list[n++] = (column){r->carried->perturbation, input};
    if (r->dense_dx) list[n++] = (column){r->dense_dx, input};
    if (r->used) list[n++] = (column){r->used, input};
    if (!out) return n;
#define COLUMN(member)                                                                                                 \
    if (out->member) list[n++] = (column){(char *)out->member, sizeof *out->member};
    COLUMN(attack)
    if (r->crafting) return n; /* the rest has yet to be made */
    COLUMN(loss)
    COLUMN(metric)
    COLUMN(prediction)
    COLUMN(penalty)
    COLUMN(correction)
    COLUMN(steps)
    COLUMN(residual)
    COLUMN(margin)
    COLUMN(label)
    COLUMN(counts)
    COLUMN(distance[0])
    COLUMN(distance[1])
    COLUMN(distance[2])
#undef COLUMN
    if (out->inputs) list[n++] = (column){out->inputs, input};
    return n;
}

/* Where training remembers the state of an example at a fixed point; NULL: nowhere. */
static char *remembered(const run *r, int fixed, int64_t example, int64_t *bytes) {
    const deq_engine *g = r->engine;
    char *at = g->previous;
    *bytes = 0;
    if (r->purpose != PARAMETER_GRADIENT || r->crafting || !at || g->settings[fixed].start != DEQ_START_PREVIOUS)
        return NULL;
    for (int i = 0; i < fixed; i++)
        if (g->settings[i].start == DEQ_START_PREVIOUS) at += g->visited * g->descriptors[i]->state_bytes;
    const int64_t place = example - g->first_visited;
    if (place < 0 || place >= g->visited) return NULL;
    *bytes = g->descriptors[fixed]->state_bytes;
    return at + place * *bytes;
}

/* Bytes go one after the other between a message and the places that they are of. */
typedef struct message {
    char *bytes; /* NULL: only measured */
    int64_t at;
    bool reads; /* from the message to the places */
} message;

static void move(message *m, void *place, int64_t bytes) {
    if (m->bytes && m->reads) memcpy(place, m->bytes + m->at, (size_t)bytes);
    if (m->bytes && !m->reads) memcpy(m->bytes + m->at, place, (size_t)bytes);
    m->at += bytes;
}

/* Everything that block b has left, which is as long on every rank. */
static void move_block(message *m, const run *r, int64_t b, const column *list, int ncolumns) {
    const int64_t from = r->n * b / r->blocks, n = r->n * (b + 1) / r->blocks - from;
    struct outcome *o = &r->outcomes[b];
    move(m, &o->forward, sizeof o->forward);
    move(m, &o->adjoint, sizeof o->adjoint);
    move(m, &o->error.failure, sizeof o->error.failure);
    move(m, &o->ran, sizeof o->ran);
    for (int i = 0; i < ncolumns; i++) move(m, list[i].base + from * list[i].bytes, n * list[i].bytes);
    for (int i = 0; r->engine->previous && i < r->engine->nfixed; i++)
        for (int64_t row = from; row < from + n; row++) {
            int64_t bytes;
            char *state = remembered(r, i, r->index ? r->index[row] : row, &bytes);
            if (state) move(m, state, bytes);
        }
}

/* What it failed of.  Other ranks know only now that it did, and so how long this is. */
static void move_failure(message *m, struct outcome *o) {
    if (o->error.failure != DEQ_OK) move(m, &o->error, sizeof o->error);
}

/* The signal that this rank has had, and each of its blocks by its number. */
static void write_blocks(message *m, const run *r, int32_t signal, const column *list, int ncolumns) {
    move(m, &signal, sizeof signal);
    for (int64_t b = 0; b < r->blocks; b++) {
        if (!r->outcomes[b].ran) continue;
        move(m, &b, sizeof b);
        move_block(m, r, b, list, ncolumns);
        move_failure(m, &r->outcomes[b]);
    }
}

static void read_blocks(message *m, int64_t end, run *r, const column *list, int ncolumns) {
    const deq_engine *g = r->engine;
    int32_t signal;
    move(m, &signal, sizeof signal);
    if (signal) deq_interrupted_all(signal);
    while (m->at < end) {
        int64_t b = 0;
        move(m, &b, sizeof b);
        const int64_t from = r->n * b / r->blocks, n = r->n * (b + 1) / r->blocks - from;
        const int64_t input = g->input_count * g->real_bytes;
        move_block(m, r, b, list, ncolumns);
        move_failure(m, &r->outcomes[b]);
        atomic_fetch_add(&r->done, r->crafting ? 0 : n);
        if (!r->crafting && r->results && r->results->finished && r->outcomes[b].error.failure == DEQ_OK)
            r->results->finished(r->results->finished_context, from, n, r->used ? r->used + from * input : NULL,
                                 (size_t)input, false);
    }
}

/* Bytes of what ranks say, from what all of them know: exactly, where it is dealt before and nothing fails.  Of blocks that
 * go to whoever asks, every rank has room for all of them where these are few, else for a share. */
static int64_t *room_of(run *r, const column *list, int ncolumns) {
    const int ranks = deq_ranks_count();
    int64_t *room = calloc((size_t)ranks, sizeof *room);
    message whole = {0};
    const bool gradient = r->purpose == PARAMETER_GRADIENT && !r->crafting;
    for (int64_t b = 0; room && b < r->blocks; b++) {
        message m = {0};
        move(&m, &b, sizeof b);
        move_block(&m, r, b, list, ncolumns);
        whole.at += m.at;
        for (int p = 0; gradient && p < ranks; p++)
            if (makes(r->shards, p, (int)(b % r->shards))) room[p] += m.at;
    }
    const int64_t share_of_all = (r->blocks + ranks - 1) / ranks * (whole.at / r->blocks);
    for (int p = 0; room && p < ranks; p++)
        room[p] = (int64_t)sizeof(int32_t) + (gradient                                   ? room[p]
                                              : (ranks - 1) * whole.at <= DEQ_TOLD_WHOLE ? whole.at
                                                                                         : share_of_all);
    return room;
}

bool engine_ranks_meet(run *r, deq_error *e) {
    column list[MOST_COLUMNS];
    const int ncolumns = columns_of(r, list);
    const int32_t signal = deq_interrupted_by(); /* one that comes later is told at the next meeting */
    message m = {0};
    write_blocks(&m, r, signal, list, ncolumns);
    const int64_t size = m.at;
    m = (message){.bytes = malloc((size_t)size)};
    int64_t *at = NULL, *room = room_of(r, list, ncolumns);
    const bool good =
        (m.bytes && room) || deq_fail(e, DEQ_MEMORY, "%lld bytes for what other ranks are told", (long long)size);
    char *all = NULL;
    if (good) {
        write_blocks(&m, r, signal, list, ncolumns);
        all = deq_ranks_gather_about(m.bytes, size, room, &at);
    }
    free(room);
    free(m.bytes);
    if (!good) return false;
    if (signal) deq_interrupted_all(signal);
    for (int p = 0; all && p < deq_ranks_count(); p++) {
        message theirs = {.bytes = all, .at = at[p], .reads = true};
        if (p != deq_ranks_own()) read_blocks(&theirs, at[p + 1], r, list, ncolumns);
    }
    free(all);
    free(at);
    return all || deq_fail(e, DEQ_MEMORY, "what other ranks have made of %lld examples", (long long)r->n);
}

/* ---- parts of a coupled batch ---- */
#define SUM(type)                                                                                                      \
    for (int64_t i = 0; i < count; i++) {                                                                              \
        type sum = ((const type *)all)[i];                                                                             \
        for (int m = 1; m < members; m++) sum += ((const type *)all)[m * count + i];                                   \
        for (int m = 0; m < here; m++) ((type *)values[m])[i] = sum;                                                   \
    }

/* Ranks without a part know nothing of a meeting before it. */
static bool some_idle(const run *r) { return r->blocks < deq_ranks_count(); }

/* Sums over the members of all ranks, added in their order. */
static void meet(void *context, void *const *values, int here, int64_t count, int real_bits) {
    const run *r = context;
    const int members = (int)r->blocks, ranks = deq_ranks_count(), own = deq_ranks_own();
    const int64_t bytes = count * real_bits / 8;
    int64_t *at = calloc((size_t)ranks + 1, sizeof *at);
    char *all = malloc((size_t)(members * bytes) + 1);
    if (!at || !all) deq_ranks_stop(deq_failure_exit(DEQ_MEMORY));
    for (int p = 0; p < ranks; p++) at[p + 1] = share_of(members, p + 1) * bytes;
    for (int m = 0; m < here; m++) memcpy(all + at[own] + m * bytes, values[m], (size_t)bytes);
    if (some_idle(r)) {
        int64_t *same = NULL;
        char *mine = all;
        all = deq_ranks_gather(mine + at[own], here * bytes, &same);
        free(mine);
        free(same);
    } else
        deq_ranks_gather_known(all, at);
    if (real_bits == 32)
        SUM(float)
    else
        SUM(double)
    free(all);
    free(at);
}

void engine_team_deal(run *r) {
    const int members = (int)r->blocks, first = share_of(members, deq_ranks_own());
    deq_team_deal(r->engine->team, first, share_of(members, deq_ranks_own() + 1) - first, meet, r);
}

/* A rank without a part comes to every meeting of the others; nobody brings anything to the last. */
void engine_team_met(run *r) {
    const int members = (int)r->blocks;
    const bool idle = share_of(members, deq_ranks_own()) == share_of(members, deq_ranks_own() + 1);
    for (bool last = !some_idle(r); !last;) {
        int64_t *at = NULL;
        free(deq_ranks_gather(NULL, 0, &at));
        last = !idle || at[deq_ranks_count()] == 0;
        free(at);
    }
    deq_team_deal(r->engine->team, 0, members, NULL, NULL);
}

/* ---- sums of shards ---- */
#define PIECE 64 /* bytes: vectors of sums begin at these */

/* Where the piece of a gradient begins that rank p adds up. */
static int64_t piece_begins(int64_t bytes, int ranks, int p) {
    const int64_t pieces = (bytes + PIECE - 1) / PIECE, at = pieces * p / ranks * PIECE;
    return at < bytes ? at : bytes;
}
static int64_t piece_at(const deq_engine *g, int p) { return piece_begins(g->accum_bytes, deq_ranks_count(), p); }

/* Sums that rank p has of its shards. */
static int64_t left_of(int shards, int ranks, int p) {
    return engine_shards_left(shards, share(shards, ranks, p), share(shards, ranks, p + 1), NULL);
}

deq_traffic deq_reduction_traffic(int64_t bytes, int shards, int ranks, int rank) {
    const int64_t mine = piece_begins(bytes, ranks, rank + 1) - piece_begins(bytes, ranks, rank),
                  here = left_of(shards, ranks, rank);
    int64_t all = 0;
    if (ranks < 2) return (deq_traffic){0};
    for (int p = 0; p < ranks; p++) all += left_of(shards, ranks, p);
    return (deq_traffic){
        .exchanged = here * (bytes - mine), .fetched = (all - here) * mine, .gathered = (ranks - 1) * mine};
}

int64_t deq_engine_gradient_bytes(const deq_engine *g) { return g->accum_bytes; }

/* As write_blocks writes it, of a step of training. */
int64_t deq_engine_told_bytes(const deq_engine *g, int64_t n, int64_t blocks, bool attacked) {
    const struct outcome *o = NULL;
    int64_t row = 2 * (int64_t)sizeof(double) + (attacked ? (int64_t)sizeof(deq_row_counts) : 0);
    for (int i = 0; i < g->nfixed; i++)
        if (g->settings[i].start == DEQ_START_PREVIOUS) row += g->descriptors[i]->state_bytes;
    return n * row + blocks * (int64_t)(sizeof(int64_t) + sizeof o->forward + sizeof o->adjoint +
                                        sizeof o->error.failure + sizeof o->ran);
}

/* This rank's shards to the ranks of their pieces: `out` is written, `in` taken. */
static void exchange(const run *r, int shards, char *out, int64_t *out_at, char *in, int64_t *in_at) {
    const deq_engine *g = r->engine;
    const int ranks = deq_ranks_count(), own = deq_ranks_own();
    const int64_t mine = piece_at(g, own + 1) - piece_at(g, own);
    engine_node nodes[DEQ_SHARDS];
    const int here = engine_shards_left(shards, share_of(shards, own), share_of(shards, own + 1), nodes);
    for (int p = 0; p < ranks; p++) {
        const int64_t from = piece_at(g, p), bytes = piece_at(g, p + 1) - from;
        out_at[p + 1] = out_at[p];
        for (int k = 0; k < here; k++) {
            memcpy(out + out_at[p + 1], g->shards[nodes[k].from] + from, (size_t)bytes);
            out_at[p + 1] += bytes;
        }
        in_at[p + 1] = in_at[p] + mine * left_of(shards, ranks, p);
    }
    deq_ranks_exchange(out, out_at, in, in_at);
}

bool engine_ranks_reduce(run *r, int shards, double scale, deq_error *e) {
    deq_engine *g = r->engine;
    const int ranks = deq_ranks_count(), own = deq_ranks_own();
    const int64_t from = piece_at(g, own), mine = piece_at(g, own + 1) - from, here = left_of(shards, ranks, own);
    engine_node nodes[DEQ_SHARDS];
    int all = 0;
    for (int p = 0; p < ranks; p++)
        all += engine_shards_left(shards, share_of(shards, p), share_of(shards, p + 1), nodes + all);
    int64_t *at = calloc(3 * ((size_t)ranks + 1), sizeof *at);
    char *out = deq_memory_new((size_t)(here * g->accum_bytes + PIECE)),
         *in = deq_memory_new((size_t)(all * mine + PIECE));
    void *rows[DEQ_SHARDS];
    const bool good = (at && out && in) || deq_fail(e, DEQ_MEMORY, "the sums of %d shards of net %s", shards, g->name);
    if (good) {
        exchange(r, shards, out, at, in, at + ranks + 1);
        for (int k = 0; k < all; k++) rows[k] = in + k * mine;
        const int last = engine_shards_fold(g, rows, nodes, shards, mine / g->real_bytes);
        (g->real_bits == 32 ? deq_sum_f32 : deq_sum_f64)(g->gradients + from, rows, last, 0, mine / g->real_bytes,
                                                         scale);
        int64_t *pieces = at + 2 * (ranks + 1);
        for (int p = 0; p <= ranks; p++) pieces[p] = piece_at(g, p);
        deq_ranks_gather_parts(g->gradients, pieces);
    }
    free(at);
    free(out);
    free(in);
    return good;
}
