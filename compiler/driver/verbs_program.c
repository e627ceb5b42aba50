/* verbs_program.c - verbs that compile and run: check, run, profile, export, test, bench; and version. */
#define _GNU_SOURCE
#include "compile.h"
#include "deq_types.h"
#include "run.h"
#include "study.h"
#include "engine.h"
#include "penalty.h"
#include "preload.h"
#include "ranks.h"
#include "signals.h"
#include "verbs.h"
#include "watch.h"
#include <stdlib.h>
#include <string.h>

/* ---- check ---- */
/* What the runtime will hold, planned from the same numbers it allocates from. */
static int print_engines(const deq_module *module) {
    char buffer[64];
    deq_error error = {0};
    deq_manifest *manifest = deq_manifest_read(module, &error);
    for (int i = 0; manifest && i < manifest->nnets; i++) {
        deq_engine *engine = deq_engine_new(module, &manifest->nets[i], &(deq_engine_options){0}, &error);
        if (!engine) break;
        printf("\nnet %s: peak %s (parameters, gradients, workspaces), blocks of %lld examples\n",
               manifest->nets[i].name, bytes_text(buffer, sizeof buffer, (double)deq_engine_memory(engine)),
               (long long)deq_engine_block(engine));
        deq_engine_free(engine);
    }
    deq_manifest_free(manifest);
    return error.failure ? verb_failed(&error) : 0;
}

static void print_routines(const Compilation *c) {
    char buffer[64];
    printf("routine                                    fixed    per example\n");
    for (uint32_t i = 0; i < c->unit->nroutines; i++) {
        printf("%-36s %11s", c->unit->routines[i]->name,
               bytes_text(buffer, sizeof buffer, (double)c->result.base_bytes[i]));
        printf("    %11s\n", bytes_text(buffer, sizeof buffer, (double)c->result.row_bytes[i]));
    }
    for (uint32_t i = 0; i < c->unit->nfixed; i++) {
        const FixedLayout *f = c->unit->fixed[i];
        printf("\nfixed point %s: state %s", f->name, bytes_text(buffer, sizeof buffer, (double)f->state_bytes));
        printf(", inputs %s", bytes_text(buffer, sizeof buffer, (double)f->rest_bytes));
        printf(", tape %s per example\n", bytes_text(buffer, sizeof buffer, (double)f->tape_bytes));
    }
}

int verb_check(const Cli *cli) {
    if (cli->emit) return verb_emit(cli);
    Compilation c;
    CompileOptions options = verb_options(cli, verb_last_stage(cli, cli->memory ? STAGE_compile : STAGE_elaborate));
    options.use_cache = false;
    if (cli->summary && !cli->memory) options.last = STAGE_routines;
    if (cli->summary) options.tests = options.nets = true;
    int code = compile(&options, &c);
    verb_diagnostics(cli, &c);
    if (code == 0 && cli->summary) print_summary(&c);
    if (code == 0 && cli->memory && options.last == STAGE_compile) {
        print_routines(&c);
        code = load_linked(cli, &c);
        if (code == 0) code = print_engines(c.module);
    }
    compile_free(&c);
    return code;
}

/* ---- run, test, bench ---- */
/* The data are read while the code is generated. */
static void on_manifest(void *context, const char *manifest) {
    deq_app_options *run = context;
    run->preload = deq_preload_start(manifest, run);
}

typedef enum Execution { RUN, PROFILE, EXPORT, TEST, BENCH } Execution;

static int adversarial(const Cli *cli, const deq_module *module, const deq_app_options *run) {
    return deq_app_export_adversarial(module, run, cli->adversarial, cli->output);
}

/* `--set` may ask for a penalty that the script does not name: its routines are compiled too. */
static void penalty_asked(const char *assignment, CompileOptions *options) {
    const char *value = strchr(assignment, '=');
    deq_penalties penalties;
    deq_error e = {0};
    if (!value || !deq_penalties_parse(value + 1, &penalties, &e))
        return; /* other settings; the run reports bad ones */
    options->penalties = options->penalties || deq_penalties_of_jacobian(&penalties);
    options->corrections = options->corrections || deq_penalties_least(&penalties);
}

/* --set EXPERIMENT.audit=true, or =whole: what audits attack with is compiled too. */
static bool audit_asked(const char *assignment) {
    const char *value = strstr(assignment, ".audit=");
    return value && (!strcmp(value, ".audit=true") || !strcmp(value, ".audit=whole"));
}

static int execute(const Cli *cli, Execution what) {
    static int (*const apps[])(const deq_module *, const deq_app_options *) = {deq_app_run, deq_app_run, NULL,
                                                                               deq_app_test, deq_app_bench};
    if (cli->emit) return verb_emit(cli);
    Compilation c;
    CompileOptions options = verb_options(cli, verb_last_stage(cli, STAGE_compile));
    deq_app_options run = {.threads = cli->threads,
                           .has_seed = cli->has_seed,
                           .seed = cli->seed,
                           .set = cli->set,
                           .nset = cli->nset,
                           .results = cli->results,
                           .fresh = cli->fresh || what == PROFILE,
                           .json = cli->json,
                           .quiet = cli->quiet,
                           .examples = cli->examples,
                           .strict = cli->strict,
                           .only = what == RUN && cli->nfiles > 1 ? cli->files[1] : NULL,
                           .plan = cli->plan,
                           .audit = cli->audit,
                           .batch = cli->batch,
                           .rows = cli->rows,
                           .budget = cli->budget,
                           .processor = cli->processor,
                           .scaling = cli->scaling,
                           .predict = cli->predict,
                           .nodes = cli->nodes,
                           .cores = cli->cores,
                           .profile = what == PROFILE};
    options.audit = cli->audit;
    for (int k = 0; k < cli->nset; k++) {
        penalty_asked(cli->set[k], &options);
        options.audit = options.audit || audit_asked(cli->set[k]);
    }
    if (what == BENCH && cli->net && trains_net(&options, cli->net)) options.only = NULL, run.only = cli->net;
    options.tests = what == TEST;
    options.profile = what == PROFILE;
    if (what == TEST && !cli->precision) options.f64 = true;
    if (what <= EXPORT && !cli->stops) options.elaborated = on_manifest, options.context = &run;
    bool tells = true;
    if (!deq_ranks_first()) deq_ranks_wait(); /* rank 0 compiles, and the others find it in the cache */
    int code = compile(&options, &c);
    if (deq_ranks_first()) deq_ranks_wait();
    deq_ranks_worst(code, &tells);
    if (tells) verb_diagnostics(cli, &c);
    if (code == 0 && !cli->stops) code = load_linked(cli, &c);
    code = deq_ranks_worst(code, &tells);
    if (code == 0 && !cli->stops) {
        run.source_text = c.program->main->source->text;
        code = apps[what] ? apps[what](c.module, &run) : adversarial(cli, c.module, &run);
    }
    deq_preload_free(run.preload);
    compile_free(&c);
    return code;
}

/* One process, or all that mpirun or srun has started, of which rank 0 prints. */
static int together(const Cli *cli, Execution what) {
    deq_error e = {0};
    deq_signals_before();
    if (!deq_ranks_open(&e)) {
        fprintf(stderr, "deq: error[%s]: %s\n", deq_failure_code(e.failure), e.text);
        return deq_failure_exit(e.failure);
    }
    if (!deq_ranks_first() && !freopen("/dev/null", "w", stdout)) deq_ranks_stop(EXIT_INTERNAL);
    deq_ranks_limit(cli->rank_limit);
    const int code = execute(cli, what);
    deq_ranks_close();
    return code;
}

static int run_once(const Cli *cli) { return together(cli, RUN); }

/* Those that would all do the same, and write it to the same files. */
static int alone(const Cli *cli, Execution what) {
    if (deq_ranks_launched() < 2) return execute(cli, what);
    fputs("deq: this is work for one process: start it without mpirun or srun\n", stderr);
    return EXIT_USAGE;
}

int verb_run(const Cli *cli) {
    if (cli->watch && deq_ranks_launched() > 1) {
        fputs("deq run: --watch is for one process: start it without mpirun or srun\n", stderr);
        return EXIT_USAGE;
    }
    if (!cli->examples || cli->json) return cli->watch ? watch(cli, run_once) : run_once(cli);
    fputs("deq run: --examples goes with --json\n", stderr);
    return EXIT_USAGE;
}
int verb_profile(const Cli *cli) { return together(cli, PROFILE); }
int verb_test(const Cli *cli) { return alone(cli, TEST); }
int verb_bench(const Cli *cli) {
    if (cli->predict ? cli->scaling : cli->nodes || cli->cores) {
        fputs("deq bench: --nodes and --cores go with --predict, and --scaling does not\n", stderr);
        return EXIT_USAGE;
    }
    if (!cli->compare) return alone(cli, BENCH);
    return deq_app_bench_compare(cli->compare, cli->files[0], &(deq_app_options){.json = cli->json});
}

/* Of a checkpoint: its parameters; of a script: attacked inputs, and only then do options of a run mean something. */
int verb_export(const Cli *cli) {
    const bool runs = cli->nset || cli->has_seed || cli->threads || cli->results || cli->nlink || cli->precision ||
                      cli->ninclude || cli->json;
    const char *problem = !cli->output && cli->adversarial ? "-o FILE.npz says where the attacked inputs go"
                          : !cli->output ? "-o FILE.npz or -o FILE.safetensors says where the parameters go"
                          : cli->adversarial && cli->map ? "--map names parameters; it is of no use with --adversarial"
                          : !cli->adversarial && runs    ? "options of a run go with --adversarial, which runs a script"
                                                         : NULL;
    if (problem) {
        fprintf(stderr, "deq export: %s\n", problem);
        return EXIT_USAGE;
    }
    return cli->adversarial ? alone(cli, EXPORT) : deq_app_export(cli->files[0], cli->map, cli->output);
}

int verb_version(const Cli *cli) {
    char *error = NULL, ranks[1000];
    const Backend *backend = backend_get(&error);
    const bool several = deq_ranks_plugin_found(ranks, sizeof ranks);
    if (cli->json) {
        const char *target = backend ? backend->target("native") : "";
        printf("{\"version\": \"%s\", \"abi\": %d, \"library_abi\": %d, \"target\": \"%.*s\", "
               "\"ranks\": %s%s%s}\n",
               strchr(DEQ_VERSION, ' ') + 1, DEQ_ABI_VERSION, DEQ_LIBRARY_ABI, (int)strcspn(target, " "), target,
               several ? "\"" : "", several ? ranks : "null", several ? "\"" : "");
        free(error);
        return backend ? 0 : EXIT_INTERNAL;
    }
    printf("%s\nbinary interface %d\n", DEQ_VERSION, DEQ_ABI_VERSION);
    if (backend)
        printf("target %.*s\n", (int)strcspn(backend->target("native"), " "), backend->target("native"));
    else
        printf("%s\n", error);
    printf("several processes: %s%s\n", several ? "by " : "not possible, ", ranks);
    free(error);
    return backend ? 0 : EXIT_INTERNAL;
}
