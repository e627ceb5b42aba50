/* signals.h - SIGINT and SIGTERM ask the run to stop at the next step; a second one ends the program at once. */
#ifndef DEQ_RUNTIME_SIGNALS_H
#define DEQ_RUNTIME_SIGNALS_H
#include <stdbool.h>

void deq_signals_install(void);
void deq_signals_restore(void); /* what was there before */
bool deq_interrupted(void);
/* Called by main() of programs.  A write beyond the limit on the size of files (ulimit -f) fails and is reported as one
 * on a full disk is, in place of ending the program without a word; gradients in C are guarded (guard.h). */
void deq_signals_program(void);
#endif
