/* signals.h - SIGINT, SIGTERM and SIGUSR1 ask the run to stop at the next step; a second one ends the program at once.
 * Of several ranks all stop where one was asked to, after they have met (engine_ranks.c): until then it goes on. */
#ifndef DEQ_RUNTIME_SIGNALS_H
#define DEQ_RUNTIME_SIGNALS_H
#include "error.h"
#include <signal.h>
#include <stdbool.h>

/* Until a run installs its own: SIGTERM and SIGUSR1 end the program at once, with the code that asks a batch system to
 * queue it again. */
void deq_signals_before(void);
void deq_signals_install(void);
void deq_signals_restore(void); /* what was there before */
bool deq_interrupted(void);
bool deq_interrupted_here(void);      /* this rank was asked to, whether or not the others know */
void deq_interrupted_all(int number); /* a rank was asked to, by this signal: all know now */
int deq_interrupted_by(void);         /* 0: this rank was not asked to */
void deq_signals_alone(bool is);      /* this rank works, the others wait: its own signals decide */
void deq_signals_meet(void);          /* a signal that any rank has had is one of all */
/* What a run that stops ends with: DEQ_INTERRUPTED for Ctrl-C, DEQ_REQUEUE for what schedulers send. */
deq_failure deq_interruption(void);
/* Signals belong to the program's main thread: a worker that took one would run its handler in mid-solve.  Threads made
 * between these two calls take those of their own crashes only, which end a program without a word where they are
 * blocked (guard.h). */
void deq_signals_withhold(sigset_t *before);
void deq_signals_give_back(const sigset_t *before);
/* Called by main() of programs.  A write beyond the limit on the size of files (ulimit -f) fails and is reported as one
 * on a full disk is, in place of ending the program without a word; gradients in C are guarded (guard.h). */
void deq_signals_program(void);
#endif
