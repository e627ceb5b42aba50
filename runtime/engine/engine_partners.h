/* engine_partners.h - parts of a coupled batch as members of a team.  Those that share a thread make their calls of a fixed
 * point's routines in pairs (partners.h), so that heavy weights are read once for two of them; parts with a thread each
 * share the calls of both where the routines are in halves.  No bit depends on it. */
#ifndef DEQ_RUNTIME_ENGINE_PARTNERS_H
#define DEQ_RUNTIME_ENGINE_PARTNERS_H
#include "engine_run.h"

/* task(r, member, member) as every member of the engine's team, which has one for each of the run's blocks.
 * needs: their workers are planned. */
void engine_run_team(run *r, deq_task *task);
void engine_partners_free(deq_engine *engine);
int64_t engine_partners_bytes(const deq_engine *engine); /* of memory, for deq_engine_memory */
#endif
