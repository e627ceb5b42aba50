/* profile.h - what the timers of an object compiled for `deq profile` show. */
#ifndef DEQ_RUNTIME_PROFILE_H
#define DEQ_RUNTIME_PROFILE_H
#include "progress.h"

/* Prints where the time of this process's compiled code and solvers went: fixed points, routines, operations, lines.
 * `main` is the path of the script and `text` its text (or NULL), for the lines that are shown.  Needs: no routine
 * runs. */
void deq_profile_report(deq_reporter *r, const char *main, const char *text);
#endif
