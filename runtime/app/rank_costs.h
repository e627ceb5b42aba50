/* rank_costs.h - what working together has cost several ranks: a training of a net, or a whole run. */
#ifndef DEQ_RUNTIME_RANK_COSTS_H
#define DEQ_RUNTIME_RANK_COSTS_H
#include "progress.h"

/* Says it in a line, and as the event "ranks".  All ranks call it, each with its own cost; one rank alone says nothing.
 * name: the training; NULL: the run.  examples: that all ranks together have trained on meanwhile; 0: nobody counted. */
void deq_report_ranks(deq_reporter *r, const char *name, const deq_ranks_cost *own, double examples);
#endif
