/* main.c - the program: a verb of the command line, run. */
#include "guard.h"
#include "signals.h"
#include "verbs.h"

/* A gradient in C that is loaded finds this one: it does not end a run without a word.  (Their headers need unistd.h.)
 */
_Noreturn void _exit(int status);
_Noreturn void _exit(int status) { deq_guard_exit(status); }
_Noreturn void _Exit(int status) { deq_guard_exit(status); }

int main(int argc, char **argv) {
    static Cli cli; /* what it points to lives as long as the program */
    deq_signals_program();
    cli_parse(argc, argv, &cli);
    return verb_do(&cli);
}
