/* app.h - options of a run, and what is said of files without one.
 * Files: export.c, import.c, read_journals.c.  Runs: run.h.  Tests, comparisons and benchmarks: study.h. */
#ifndef DEQ_RUNTIME_APP_H
#define DEQ_RUNTIME_APP_H
#include "deq_runtime.h"
#include <stdbool.h>

typedef struct deq_preload deq_preload; /* preload.h */

typedef struct deq_app_options {
    int threads; /* 0: all cores */
    bool has_seed;
    uint64_t seed; /* --seed: replaces the seed of every training run */
    const char *const
        *set; /* "path=value", also train settings: "net.epochs=3", "net.batch=64", "net.body.forward.tol=1e-6" */
    int nset;
    const char *results; /* results folder; NULL: "results" */
    const char *cache;   /* cache folder for trained nets; NULL: $XDG_CACHE_HOME/deq or ~/.cache/deq */
    bool fresh;          /* ignore what the cache holds */
    bool json;           /* one JSON object a line on standard output instead of text */
    bool examples;       /* with json: an object for each example of each evaluation too */
    bool quiet;
    bool strict;      /* an accuracy under attack that is masked is a failure, after everything was written */
    const char *only; /* the experiment that is run, with its needs; deq bench: a net or training run.  NULL: all */
    bool plan;        /* say what would be done, and do nothing */
    bool audit;       /* every accuracy under attack is audited, whatever its experiment says */
    int batch;        /* deq bench: examples of a call; 0: 256 */
    const char *source_text; /* the script, copied beside the results; NULL: not known */
    double rank_limit;       /* seconds that a rank waits for another before the run ends; 0: as long as it takes */
    double budget;           /* deq bench: seconds for a row; 0: 0.4 */
    bool processor;          /* deq bench: times of processors, not the clock's */
    const char *predict;     /* deq bench: the network of several machines, as in predict.h; NULL: the usual rows */
    const char *nodes;       /* how many machines, "1,8,32"; NULL: these */
    int cores;               /* of a machine; 0: 16 */
    const char *rows;        /* deq bench: only rows whose names hold this, or one of several, "A|B"; NULL: all */
    bool scaling;            /* deq bench: cost against sizes, examples, steps and threads, instead of rows */
    bool profile;            /* the module was compiled with timers: say what they show */
    deq_preload *preload;    /* data that were read while the script was compiled; NULL */
} deq_app_options;

/* Parameters of a checkpoint (or any file of arrays) to `to`, .npz or .safetensors; `map`: a mapping file or NULL. */
int deq_app_export(const char *from, const char *map, const char *to);

typedef struct deq_import {
    const char *from, *map; /* a file of arrays; a mapping file or std.maps.NAME, NULL: none */
    const char *to;         /* the checkpoint; NULL: only told what fits */
    bool json, quiet;
} deq_import;
/* `deq import`: weights of others into the net of that name.  Of the module only the manifest is read. */
int deq_app_import(const deq_module *module, const char *net, const deq_import *what);

typedef enum deq_journals_form {
    DEQ_JOURNALS_SUMMARY,
    DEQ_JOURNALS_CSV,
    DEQ_JOURNALS_JSON,
    DEQ_JOURNALS_NPZ,
    DEQ_JOURNALS_MERGED
} deq_journals_form;
typedef struct deq_journals_options {
    deq_journals_form form;
    const char *filter; /* selection.h; NULL: every example */
    const char *output; /* NULL: standard output, which NPZ and merged journals do not take */
} deq_journals_options;
/* `deq journal`: what journals hold, each named by its path or by its key in the cache. */
int deq_app_journals(const char *const *names, int n, const deq_journals_options *options);
#endif
