/* watch.h - deq run --watch: runs again what changed whenever the script, or a module of it, is saved. */
#ifndef DEQ_COMPILER_WATCH_H
#define DEQ_COMPILER_WATCH_H
#include "cli.h"

/* Calls `run`, each time in a process of its own, now and after each save that changes bytes; a run that is still going on
 * is interrupted first, as by Ctrl-C.  Mistakes in the script are told and waited out, modules that are missing too.  Ends
 * with SIGINT or SIGTERM: 0, or what the run that it interrupted ended with (130); a second one kills that run (137).
 * 3: a folder cannot be watched. */
int watch(const Cli *cli, int (*run)(const Cli *cli));
#endif
