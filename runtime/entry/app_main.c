/* app_main.c - main() of a program made by `deq build`. */
#include "app_main.h"
#include "ranks.h"
#include "run.h"
#include "study.h"
#include "signals.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 64

static const char help[] =
    "usage: %s [options]\n"
    "Trains and evaluates what its script says; results go to a folder, finished work is found again.\n\n"
    "  --set PATH=VALUE   a setting: net.epochs=3, net.batch=64, net.body.forward.tol=1e-6, fashion.path=DIR "
    "(repeatable)\n"
    "  --seed N           seed of every training run\n"
    "  --threads N        worker threads (default: all cores; results do not depend on it)\n"
    "  --results DIR      where results go (default: results)\n"
    "  --cache DIR        where trained nets are kept (default: $XDG_CACHE_HOME/deq or ~/.cache/deq)\n"
    "  -f, --fresh        ignore what the cache holds\n"
    "  -j, --json         one JSON object a line on standard output\n"
    "  -q, --quiet        errors and warnings only\n"
    "  --rank-limit S     under mpirun or srun: a rank that another has waited for so many seconds ends the run\n"
    "  --audit            attack a sample of every accuracy under attack again, in other ways\n"
    "  --strict           exit code 5 when an accuracy under attack is masked, 4 when a claim fails\n"
    "  --test             run the script's tests instead\n"
    "  --bench            time the nets instead\n"
    "  --help             this text\n\n"
    "exit codes: 0 ok, 2 data disagrees with its type, 3 run time, 4 failed test or claim (--strict), 5 masked\n"
    "(--strict), 64 usage, 70 internal, 75 stopped by SIGTERM or SIGUSR1, 130 interrupted\n";

/* The value of an option given as "--name value" or "--name=value"; NULL: another option, or no value (*bad). */
static const char *value_of(const char *name, int argc, char **argv, int *i, bool *bad) {
    size_t length = strlen(name);
    if (strncmp(argv[*i], name, length)) return NULL;
    if (argv[*i][length] == '=') return argv[*i] + length + 1;
    if (argv[*i][length]) return NULL;
    if (*i + 1 < argc) return argv[++*i];
    fprintf(stderr, "%s: %s needs a value\n", argv[0], name);
    *bad = true;
    return NULL;
}

static bool to_number(const char *program, const char *name, const char *text, unsigned long long most,
                      unsigned long long *out) {
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && !errno && *out <= most) return true;
    fprintf(stderr, "%s: %s %s: expected an integer from 0 to %llu\n", program, name, text, most);
    return false;
}

/* The one-letter options of `deq run` that take no value; others must be written out. */
static const char *long_name(const char *option) {
    static const char *const names[][2] = {
        {"-f", "--fresh"}, {"-j", "--json"}, {"-q", "--quiet"}, {"-h", "--help"}, {"-?", "--help"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(option, names[i][0])) return names[i][1];
    return option;
}

static int parse(int argc, char **argv, deq_app_options *o, const char **set, int *verb) {
    for (int i = 1; i < argc; i++) {
        bool bad = false;
        unsigned long long number;
        const char *v;
        const char *option = long_name(argv[i]);
        if (!strcmp(option, "--help")) {
            printf(help, argv[0]);
            return 0;
        }
        if (!strcmp(option, "--fresh"))
            o->fresh = true;
        else if (!strcmp(option, "--json"))
            o->json = true;
        else if (!strcmp(option, "--quiet"))
            o->quiet = true;
        else if (!strcmp(argv[i], "--audit"))
            o->audit = true;
        else if (!strcmp(argv[i], "--strict"))
            o->strict = true;
        else if (!strcmp(argv[i], "--test"))
            *verb = 1;
        else if (!strcmp(argv[i], "--bench"))
            *verb = 2;
        else if ((v = value_of("--set", argc, argv, &i, &bad)))
            set[o->nset++] = v;
        else if (!bad && (v = value_of("--results", argc, argv, &i, &bad)))
            o->results = v;
        else if (!bad && (v = value_of("--cache", argc, argv, &i, &bad)))
            o->cache = v;
        else if (!bad && (v = value_of("--seed", argc, argv, &i, &bad))) {
            if (!to_number(argv[0], "--seed", v, INT64_MAX, &number)) return EXIT_USAGE;
            o->has_seed = true;
            o->seed = number;
        } else if (!bad && (v = value_of("--threads", argc, argv, &i, &bad))) {
            if (!to_number(argv[0], "--threads", v, 4096, &number)) return EXIT_USAGE;
            o->threads = (int)number;
        } else if (!bad && (v = value_of("--rank-limit", argc, argv, &i, &bad))) {
            if (!to_number(argv[0], "--rank-limit", v, 1000000, &number)) return EXIT_USAGE;
            o->rank_limit = (double)number;
        } else {
            if (!bad) fprintf(stderr, "%s: unknown option '%s'; see --help\n", argv[0], argv[i]);
            return EXIT_USAGE;
        }
    }
    return -1;
}

int deq_main(const deq_module *module, int argc, char **argv) {
    deq_app_options options = {0};
    int verb = 0;
    deq_signals_program();
    const char **set = calloc((size_t)argc + 1, sizeof *set);
    if (!set) return 3;
    options.set = set;
    int code = parse(argc, argv, &options, set, &verb);
    if (code < 0 && verb && deq_ranks_launched() > 1) {
        fprintf(stderr, "%s: tests and timings are work for one process: start them without mpirun or srun\n", argv[0]);
        code = EXIT_USAGE;
    }
    if (code < 0)
        code = verb == 1   ? deq_app_test(module, &options)
               : verb == 2 ? deq_app_bench(module, &options)
                           : deq_app_run_launched(module, &options);
    free(set);
    return code;
}
