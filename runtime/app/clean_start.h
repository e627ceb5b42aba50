/* clean_start.h - where attacks started: the metric and the loss of each example as it was given. */
#ifndef DEQ_RUNTIME_CLEAN_START_H
#define DEQ_RUNTIME_CLEAN_START_H
#include "journal.h"

/* Fills clean_metric and clean_loss of n records, where they have none, from the clean evaluation with the same settings.
 * `about`: of the records' own journal, which stands at `path`; the clean one is looked for beside it, then in the cache.
 * Where there is none, or no record of an example, the fields stay as they are: nothing is computed. */
void deq_clean_start(const json_t *about, const char *path, deq_record *records, int64_t n);
#endif
