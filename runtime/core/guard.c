/* guard.c - see guard.h.  Handlers use only what is safe in a signal: write, sigaction, raise, _exit. */
#define _GNU_SOURCE
#include "guard.h"
#include "error.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_BYTES (1 << 16)

static _Thread_local const char *inside, *inside_symbol; /* NULL: in no gradient in C */
static _Thread_local bool prepared;
static bool program;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t stacks; /* of threads that end */
static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

static void say(const char *text) { (void)!write(STDERR_FILENO, text, strlen(text)); }

/* Several threads may be in the function: the first one speaks and ends the program, which the others wait for. */
static void say_what(const char *what) {
    static atomic_flag said = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&said)) pause();
    say("run: error[E0942]: gradient '");
    say(inside);
    say("': its C function (");
    say(inside_symbol);
    say(") ");
    say(what);
    say("\n");
}

static const char *crash_text(int number) {
    switch (number) {
    case SIGSEGV: return "crashed: it read or wrote memory that is not its own (SIGSEGV)";
    case SIGBUS: return "crashed: it read or wrote memory that is not there (SIGBUS)";
    case SIGFPE: return "crashed: an integer was divided by zero (SIGFPE)";
    case SIGILL: return "crashed: it ran an instruction that this processor does not have (SIGILL)";
    default: return "called abort()";
    }
}

/* The signal's own end follows: a core file, and the code that shells know. */
static void on_crash(int number) {
    if (inside) say_what(crash_text(number));
    signal(number, SIG_DFL);
    raise(number);
}

/* What was printed so far is kept, unless another thread is printing. */
static void end_if_inside(void) {
    if (!inside) return;
    if (ftrylockfile(stdout) == 0) {
        fflush_unlocked(stdout);
        funlockfile(stdout);
    }
    say_what("ended the program: it must return, and return 1 when it fails");
    syscall(SYS_exit_group, deq_failure_exit(DEQ_EXTERN));
}

static void give_back(void *at) {
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    munmap(at, STACK_BYTES);
}

static void install(void) {
    struct sigaction action;
    pthread_key_create(&stacks, give_back);
    memset(&action, 0, sizeof action);
    action.sa_handler = on_crash;
    action.sa_flags = SA_ONSTACK | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++) sigaction(crashes[i], &action, NULL);
}

void deq_guard_spare(sigset_t *signals) {
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++) sigdelset(signals, crashes[i]);
}

void deq_guard_program(void) { program = true; }

/* A handler of its own for the end of the program, since threads that call exit() at the same time take one each and go
 * on to the end when none is left.  A stack of its own, for the crash of a function that has used up the thread's. */
static void prepare(void) {
    atexit(end_if_inside);
    at_quick_exit(end_if_inside);
    void *at = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack = {.ss_sp = at, .ss_size = STACK_BYTES};
    prepared = true;
    if (at == MAP_FAILED) return;
    if (sigaltstack(&stack, NULL))
        munmap(at, STACK_BYTES);
    else
        pthread_setspecific(stacks, at);
}

void deq_guard_enter(const char *gradient, const char *symbol) {
    if (!program) return;
    pthread_once(&once, install);
    if (!prepared) prepare();
    inside_symbol = symbol;
    inside = gradient;
}

void deq_guard_leave(void) { inside = NULL; }

void deq_guard_exit(int status) {
    end_if_inside();
    for (;;) syscall(SYS_exit_group, status);
}
