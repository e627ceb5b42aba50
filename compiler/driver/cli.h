/* cli.h - the command line as a struct.  Tables in cli.def; parsing by glibc's argp. */
#ifndef DEQ_COMPILER_CLI_H
#define DEQ_COMPILER_CLI_H
#include "cli_table.h"
#include "stages.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { EXIT_USAGE = 64, EXIT_INTERNAL = 70 };

typedef struct Cli {
    Verb verb;
    const char **files;
    int nfiles;
    bool json, memory, summary, check, fresh, no_cache, quiet, examples, strict, plan, audit, watch, lib, has_seed;
    uint64_t seed;
    int threads, optimise, batch;
    const char **set, **include, **link, **array;
    int nset, ninclude, nlink, narray;
    const char *results, *checkpoint, *output, *net, *target_cpu, *precision, *math, *map;
    const char *adversarial;                      /* export */
    const char *into;                             /* import */
    const char *python;                           /* build */
    const char *rows, *compare, *predict, *nodes; /* bench */
    int cores;                                    /* bench */
    bool processor, scaling;                      /* bench */
    const char *filter, *npz;                     /* journal */
    bool csv, merge;
    bool html, card;           /* report */
    double budget, rank_limit; /* seconds */
    bool stops;
    Stage stop_after; /* when it stops */
    Emit emit;
    int emit_after; /* --emit=ir:PASS: the pass (pass_list.h); GRAPH_PASSES: after the last */
} Cli;

/* Fills *cli; exits with 0 after --help and with 64 after a usage error (the message names what to write instead). */
void cli_parse(int argc, char **argv, Cli *cli);
#endif
