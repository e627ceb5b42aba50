/* engine_shards.h - the shards of a gradient in the parameters: how many there are, what each is added to, and where
 * their sums stand meanwhile.
 *
 * Up to DEQ_SHARDS_APART shards are added in their order, all at once when they are there.  More are added as a balanced
 * tree: shards from .. to - 1 are the sum of their first half and of their second.  Whoever makes the later half adds
 * the two.  So the order is that of the number of shards alone, and of 64 vectors a few exist at a time. */
#ifndef DEQ_RUNTIME_ENGINE_SHARDS_H
#define DEQ_RUNTIME_ENGINE_SHARDS_H
#include "engine_run.h"

#define DEQ_SHARDS_APART 8

typedef struct engine_node { /* the sum of shards from .. to - 1 */
    int from, to;
} engine_node;

/* Of a batch of n examples that nothing couples, in so many blocks: from the model and the batch alone. */
int engine_shards_of(const deq_engine *engine, int64_t n, int64_t blocks);
/* Sums that are left of shards from .. to - 1 when all that can be added has been: in order.  `out` NULL: only counted. */
int engine_shards_left(int shards, int from, int to, engine_node *out);
/* Nothing is held of a run before; there are `count` vectors at least. */
bool engine_shards_begin(deq_engine *engine, int count, deq_error *e);
/* A vector of zeros, for one thread; NULL: no memory. */
char *engine_shards_take(deq_engine *engine);
void engine_shards_give(deq_engine *engine, char *vector);
/* Shard s is this vector, which is taken away; it is added to what it belongs to. */
void engine_shards_done(deq_engine *engine, int shards, int s, char *vector);
/* The sum of rows that begin with shards nodes[k].from, of `count` elements, which cover all shards: in the rows
 * themselves.  Returns how many of the first rows remain to be added, in their order. */
int engine_shards_fold(const deq_engine *engine, void **rows, const engine_node *nodes, int shards, int64_t count);
#endif
