#include "signals.h"
#include "guard.h"
#include <signal.h>
#include <string.h>

static volatile sig_atomic_t interrupted;
static struct sigaction before_int, before_term;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

void deq_signals_install(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART | SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    interrupted = 0;
    sigaction(SIGINT, &action, &before_int);
    sigaction(SIGTERM, &action, &before_term);
}

void deq_signals_restore(void) {
    sigaction(SIGINT, &before_int, NULL);
    sigaction(SIGTERM, &before_term, NULL);
}

bool deq_interrupted(void) { return interrupted != 0; }

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
