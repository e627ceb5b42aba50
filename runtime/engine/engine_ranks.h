/* engine_ranks.h - a call of a net's engine dealt to several ranks (core/ranks.h): the blocks of an evaluation to whoever
 * is free, the shards of a gradient and the parts of a coupled batch in equal shares.  What a rank has made goes to all
 * others when the call ends, so that every rank has every result, every state that training remembers, and the same
 * gradient: shards are added in their order, by the rank that has that piece of the vector, whatever ranks there are. */
#ifndef DEQ_RUNTIME_ENGINE_RANKS_H
#define DEQ_RUNTIME_ENGINE_RANKS_H
#include "engine_run.h"

/* Whether this call is dealt. */
bool engine_dealt(const run *r);
/* Shards or parts s of r that this rank makes. */
bool engine_makes(const run *r, int shards, int s);
/* Blocks for this rank's threads until there are none; in the place of a run of the pool. */
void engine_deal_blocks(run *r, deq_task *task);
/* needs: this rank's blocks have run.  ensures: all have, everywhere.  False: *e says why not. */
bool engine_ranks_meet(run *r, deq_error *e);
/* The team's parts that other ranks make; afterwards engine_team_met. */
void engine_team_deal(run *r);
void engine_team_met(run *r);
/* Sums of all shards, scaled, in the gradient's place. */
bool engine_ranks_reduce(run *r, int shards, double scale, deq_error *e);
#endif
