#include "signals.h"
#include "guard.h"
#include "ranks.h"
#include <signal.h>
#include <string.h>

static volatile sig_atomic_t interrupted; /* the signal */
static int by_all;                        /* the signal that all ranks know of */
static struct sigaction before_int, before_term, before_usr1;

static void on_signal(int number) { interrupted = number; }

void deq_signals_install(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART | SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    interrupted = by_all = 0;
    sigaction(SIGINT, &action, &before_int);
    sigaction(SIGTERM, &action, &before_term);
    sigaction(SIGUSR1, &action, &before_usr1);
}

void deq_signals_restore(void) {
    sigaction(SIGINT, &before_int, NULL);
    sigaction(SIGTERM, &before_term, NULL);
    sigaction(SIGUSR1, &before_usr1, NULL);
}

bool deq_interrupted(void) { return deq_ranks_count() > 1 ? by_all != 0 : interrupted != 0; }
bool deq_interrupted_here(void) { return interrupted != 0; }
int deq_interrupted_by(void) { return interrupted; }

void deq_interrupted_all(int number) {
    if (!by_all) by_all = number;
}

deq_failure deq_interruption(void) {
    const int number = deq_ranks_count() > 1 ? by_all : interrupted;
    return number == SIGTERM || number == SIGUSR1 ? DEQ_REQUEUE : DEQ_INTERRUPTED;
}

void deq_signals_program(void) {
    signal(SIGXFSZ, SIG_IGN);
    deq_guard_program();
}

void deq_signals_withhold(sigset_t *before) {
    sigset_t most;
    sigfillset(&most);
    deq_guard_spare(&most);
    pthread_sigmask(SIG_SETMASK, &most, before);
}

void deq_signals_give_back(const sigset_t *before) { pthread_sigmask(SIG_SETMASK, before, NULL); }
