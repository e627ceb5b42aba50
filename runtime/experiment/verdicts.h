/* verdicts.h - the accuracies under attack of an experiment that stand in no table and no figure as they are: those that
 * others are computed from.
 *
 * needs: every array has been made.  Writes EXPERIMENT-verdicts.json, where something was attacked: {experiment, cells:
 * [{coordinates, values: [{title, value, low, high, attack, journal, slice, verdict, reasons, checks, audited}]}]},
 * sealed. */
#ifndef DEQ_RUNTIME_VERDICTS_H
#define DEQ_RUNTIME_VERDICTS_H
#include "arrays.h"

bool deq_verdicts_write(deq_arrays *g, deq_error *e);
#endif
