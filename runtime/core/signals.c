#include "signals.h"
#include "guard.h"
#include "ranks.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted; /* the signal */
static int by_all;                        /* the signal that all ranks know of */
static bool alone;                        /* what this rank does the others do not */
static struct sigaction before_int, before_term, before_usr1;

static void on_signal(int number) { interrupted = number; }

static void end_before(int number) {
    static const char text[] = "run: error[E0922]: stopped before the run had begun; run the same command again\n";
    (void)number;
    if (deq_ranks_first() && write(STDERR_FILENO, text, sizeof text - 1) < 0) {} /* there is nobody to tell */
    _exit(deq_failure_exit(DEQ_REQUEUE));
}

void deq_signals_before(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = end_before;
    sigfillset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

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

/* The signal that decides what comes next. */
static int decides(void) { return deq_ranks_count() > 1 && !alone ? by_all : interrupted; }

bool deq_interrupted(void) { return decides() != 0; }
bool deq_interrupted_here(void) { return interrupted != 0; }
int deq_interrupted_by(void) { return interrupted; }

void deq_interrupted_all(int number) {
    if (!by_all) by_all = number;
}

deq_failure deq_interruption(void) {
    const int number = decides();
    return number == SIGTERM || number == SIGUSR1 ? DEQ_REQUEUE : DEQ_INTERRUPTED;
}

void deq_signals_alone(bool is) { alone = is; }

void deq_signals_meet(void) {
    const int32_t mine = interrupted;
    int64_t *at = NULL;
    if (deq_ranks_count() < 2) return;
    char *all = deq_ranks_gather(&mine, sizeof mine, &at);
    for (int p = 0; all && p < deq_ranks_count(); p++) {
        int32_t theirs;
        memcpy(&theirs, all + at[p], sizeof theirs);
        if (theirs) deq_interrupted_all(theirs);
    }
    free(all);
    free(at);
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
