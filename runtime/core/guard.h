/* guard.h - what a gradient in C does to the whole program is said, with the gradient's name: it exits, it crashes.
 *
 * Only in programs (deq, and what deq build makes): in a library the process belongs to somebody else. */
#ifndef DEQ_RUNTIME_GUARD_H
#define DEQ_RUNTIME_GUARD_H
#include <signal.h>

/* Says that this is a program; nothing is installed before a gradient in C is called. */
void deq_guard_program(void);
/* Takes the signals of crashes out of the set. */
void deq_guard_spare(sigset_t *signals);
/* Around each call, on the calling thread.  The texts must live until deq_guard_leave. */
void deq_guard_enter(const char *gradient, const char *symbol);
void deq_guard_leave(void);
/* _exit of a program: from inside a gradient it says so and ends with the code of E0942. */
_Noreturn void deq_guard_exit(int status);
#endif
