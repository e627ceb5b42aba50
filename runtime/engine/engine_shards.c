/* engine_shards.c - see engine_shards.h. */
#include "engine_shards.h"
#include <stdlib.h>
#include <string.h>

/* Clearing a vector and adding it should be little beside the examples that it is of: a solve writes more than it. */
int engine_shards_of(const deq_engine *g, int64_t n, int64_t blocks) {
    const int64_t worth = g->accum_bytes ? n * g->solve_bytes / g->accum_bytes : DEQ_SHARDS_APART;
    const int64_t most = worth > DEQ_SHARDS ? DEQ_SHARDS : worth < DEQ_SHARDS_APART ? DEQ_SHARDS_APART : worth;
    return (int)(blocks < most ? blocks : most);
}

static int middle(int from, int to) { return from + (to - from) / 2; }

static int left_of(engine_node at, int from, int to, engine_node *out, int n) {
    if (at.to <= from || at.from >= to) return n;
    if (at.from >= from && at.to <= to) {
        if (out) out[n] = at;
        return n + 1;
    }
    const int half = middle(at.from, at.to);
    n = left_of((engine_node){at.from, half}, from, to, out, n);
    return left_of((engine_node){half, at.to}, from, to, out, n);
}

int engine_shards_left(int shards, int from, int to, engine_node *out) {
    if (shards > DEQ_SHARDS_APART) return left_of((engine_node){0, shards}, from, to, out, 0);
    for (int s = from; out && s < to; s++) out[s - from] = (engine_node){s, s + 1};
    return to - from;
}

/* ---- vectors ---- */

bool engine_shards_begin(deq_engine *g, int count, deq_error *e) {
    for (int s = 0; s < DEQ_SHARDS; s++) {
        if (g->shards[s]) g->vectors[g->nvectors++] = g->shards[s];
        g->shards[s] = NULL;
    }
    while (g->nvectors < count) {
        char *vector = deq_memory_new((size_t)g->accum_bytes);
        if (!vector)
            return deq_fail(e, DEQ_MEMORY, "%lld bytes for a gradient of net %s", (long long)g->accum_bytes, g->name);
        g->vectors[g->nvectors++] = vector;
        g->vectors_made++;
    }
    return true;
}

char *engine_shards_take(deq_engine *g) {
    pthread_mutex_lock(&g->shards_lock);
    const bool new = g->nvectors == 0;
    char *vector = new ? deq_memory_new((size_t)g->accum_bytes) : g->vectors[--g->nvectors];
    g->vectors_made += new &&vector;
    pthread_mutex_unlock(&g->shards_lock);
    if (vector) memset(vector, 0, (size_t)g->accum_bytes);
    return vector;
}

void engine_shards_give(deq_engine *g, char *vector) {
    pthread_mutex_lock(&g->shards_lock);
    g->vectors[g->nvectors++] = vector;
    pthread_mutex_unlock(&g->shards_lock);
}

/* ---- sums ---- */

static void add(const deq_engine *g, void *to, void *other, int64_t count) {
    (g->real_bits == 32 ? deq_sum_f32 : deq_sum_f64)(to, (void *[]){to, other}, 2, 0, count, 1);
}

/* What the node is half of. */
static engine_node parent_of(engine_node node, int shards) {
    engine_node at = {0, shards};
    for (;;) {
        const int half = middle(at.from, at.to);
        const engine_node next = node.from < half ? (engine_node){at.from, half} : (engine_node){half, at.to};
        if (next.from == node.from && next.to == node.to) return at;
        at = next;
    }
}

void engine_shards_done(deq_engine *g, int shards, int s, char *vector) {
    engine_node node = {s, s + 1};
    pthread_mutex_lock(&g->shards_lock);
    while (shards > DEQ_SHARDS_APART && node.to - node.from < shards) {
        const engine_node all = parent_of(node, shards);
        const int half = middle(all.from, all.to), other = node.from == all.from ? half : all.from;
        const int end = other == half ? all.to : half;
        if (!g->shards[other] || g->shard_ends[other] != end) break;
        char *first = other == half ? vector : g->shards[other], *second = other == half ? g->shards[other] : vector;
        g->shards[other] = NULL;
        pthread_mutex_unlock(&g->shards_lock);
        add(g, first, second, g->accum_bytes / g->real_bytes);
        pthread_mutex_lock(&g->shards_lock);
        g->vectors[g->nvectors++] = second;
        vector = first;
        node = all;
    }
    g->shards[node.from] = vector;
    g->shard_ends[node.from] = node.to;
    pthread_mutex_unlock(&g->shards_lock);
}

typedef struct fold {
    const deq_engine *engine;
    void **rows;
    const engine_node *nodes;
    int64_t count;
    int next;
} fold;

static void *fold_node(fold *f, engine_node at) {
    if (f->nodes[f->next].from == at.from && f->nodes[f->next].to == at.to) return f->rows[f->next++];
    const int half = middle(at.from, at.to);
    void *first = fold_node(f, (engine_node){at.from, half}), *second = fold_node(f, (engine_node){half, at.to});
    add(f->engine, first, second, f->count);
    return first;
}

int engine_shards_fold(const deq_engine *g, void **rows, const engine_node *nodes, int shards, int64_t count) {
    if (shards <= DEQ_SHARDS_APART) return shards;
    fold f = {g, rows, nodes, count, 0};
    rows[0] = fold_node(&f, (engine_node){0, shards});
    return 1;
}
