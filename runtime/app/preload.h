/* preload.h - reads the data of a script's training runs on a thread of its own while the script is compiled.
 *
 * Unpacking a data set takes about as long as compiling a script that has not been compiled before.  Nothing depends on
 * it: what it did not read, or could not, is read when it is needed, and that reading reports what is wrong. */
#ifndef DEQ_RUNTIME_PRELOAD_H
#define DEQ_RUNTIME_PRELOAD_H
#include "app.h"
#include "dataset.h"

/* Starts reading; NULL when there is nothing to read or no thread for it. */
deq_preload *deq_preload_start(const char *manifest, const deq_app_options *options);
/* The data set of this declaration, given to the caller with `spec` and `store` in place of its own; waits for the
 * thread. NULL: it was not read. */
deq_dataset *deq_preload_take(deq_preload *p, const deq_data_spec *spec, deq_store *store);
void deq_preload_free(deq_preload *p);
#endif
