/* results.h - the folder of a run's results: one script's, with one set of settings.
 *
 * ROOT/NAME holds origin.json: the script (absolute path), what --set and --seed said, and the precision.  A run of
 * another origin does not write there; it gets a folder beside it with a suffix that one can read: its settings, or the
 * folder that its script is in. */
#ifndef DEQ_RUNTIME_RESULTS_H
#define DEQ_RUNTIME_RESULTS_H
#include "app_state.h"

/* Sets app->results to the folder of this origin, made and marked as its own.  Where that is not ROOT/NAME the run says
 * so.  DEQ_OUTPUT when it cannot be written. */
bool deq_results_claim(deq_app *app, deq_error *e);
#endif
