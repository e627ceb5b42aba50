/* engine_step.h - what engine_update.c needs of engine_step.c, and the other way round. */
#ifndef DEQ_RUNTIME_ENGINE_STEP_H
#define DEQ_RUNTIME_ENGINE_STEP_H
#include "engine_internal.h"

/* Around the optimiser's routine: parameters with a factor are put aside, and then led only that share of the way. */
void engine_rates_begin(const deq_engine *engine);
void engine_rates_end(const deq_engine *engine);
/* Buffers move towards the statistics of the batch whose gradient was made last; nothing where the net has none. */
void engine_statistics(deq_engine *engine);
#endif
