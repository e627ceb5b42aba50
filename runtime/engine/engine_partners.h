/* engine_partners.h - parts of a coupled batch that share a thread make their calls of a fixed point's routines in pairs
 * (partners.h), so that heavy weights are read once for two of them; parts with a thread each share the calls of both
 * where the routines are in halves.  No bit depends on it. */
#ifndef DEQ_RUNTIME_ENGINE_PARTNERS_H
#define DEQ_RUNTIME_ENGINE_PARTNERS_H
#include "engine_run.h"

/* needs: the workers of the team's members are planned.  Until engine_partners_end the tapes of every second member stand
 * behind those of the one before it. */
void engine_partners_begin(run *r);
void engine_partners_end(run *r);
void engine_partners_free(deq_engine *engine);
int64_t engine_partners_bytes(const deq_engine *engine); /* of memory, for deq_engine_memory */
#endif
