/* profile.h - what the timers of an object compiled for `deq profile` show. */
#ifndef DEQ_RUNTIME_PROFILE_H
#define DEQ_RUNTIME_PROFILE_H
#include "progress.h"

/* Prints where the time of the compiled code and the solvers went, of all ranks together: fixed points, routines,
 * operations, lines; and the slowest rank where they differ.  All ranks call it.  `main` is the path of the script and
 * `text` its text (or NULL), for the lines that are shown.  Needs: no routine runs. */
void deq_profile_report(deq_reporter *r, const char *main, const char *text);
#endif
