/* cli.c - verbs and flags from cli.def, through argp. */
#include "cli.h"
#include "diag.h"
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *arguments, *summary, *help;
} verbs[] = {
#define VERB(id, name, arguments, summary, help) {name, arguments, summary, help},
#define FLAG(id, name, key, argument, verbs, doc)
#include "cli.def"
#undef VERB
#undef FLAG
};

#define V(id) (1u << VERB_##id)
static const struct {
    const char *name;
    int key;
    const char *argument;
    unsigned verbs;
    const char *doc;
} flags[] = {
#define VERB(id, name, arguments, summary, help)
#define FLAG(id, name, key, argument, verbs, doc) {name, key, argument, verbs, doc},
#include "cli.def"
#undef VERB
#undef FLAG
};
#undef V
enum { NFLAGS = sizeof flags / sizeof flags[0] };

static void usage(FILE *out) {
    fprintf(out, "deq: a language and compiler for deep equilibrium models\n\nusage: deq VERB [FLAG...] [FILE...]\n\n");
    for (int v = 0; v < VERB_COUNT; v++) fprintf(out, "  %-8s  %s\n", verbs[v].name, verbs[v].summary);
    fprintf(out, "\ndeq VERB --help tells a verb's flags, with examples.  First steps:\n\n"
                 "  deq run examples/quickstart.deq    train and attack a DEQ on Fashion-MNIST\n"
                 "  deq check examples/quickstart.deq  only report errors\n\n"
                 "Exit codes: 0 ok, 1 syntax, 2 type or shape, 3 run time, 4 failed test, 64 usage, 70 internal.\n");
}

_Noreturn static void unknown_verb(const char *name) {
    const char *names[VERB_COUNT];
    for (int v = 0; v < VERB_COUNT; v++) names[v] = verbs[v].name;
    const char *near = diag_nearest(name, names, VERB_COUNT);
    fprintf(stderr, "deq: unknown verb '%s'", name);
    if (near) fprintf(stderr, "; did you mean '%s'?", near);
    fprintf(stderr, "\ndeq --help lists the verbs\n");
    exit(EXIT_USAGE);
}

static const char **append(const char **list, int *n, const char *item) {
    const char **grown = realloc(list, (size_t)(*n + 1) * sizeof *list);
    if (!grown) {
        fprintf(stderr, "deq: out of memory\n");
        exit(EXIT_INTERNAL);
    }
    grown[(*n)++] = item;
    return grown;
}

static uint64_t whole_number(struct argp_state *state, const char *flag, const char *text, uint64_t most) {
    char *end = NULL;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || *text == '-' || end == text || *end || v > most)
        argp_error(state, "--%s takes a whole number up to %llu, not '%s'", flag, (unsigned long long)most, text);
    return v;
}

static void one_of(struct argp_state *state, const char *flag, const char *text, const char *const *words) {
    for (const char *const *w = words; *w; w++)
        if (strcmp(text, *w) == 0) return;
    char list[128] = "";
    for (const char *const *w = words; *w; w++) {
        strcat(list, *w);
        if (w[1]) strcat(list, w[2] ? ", " : " or ");
    }
    argp_error(state, "--%s takes %s, not '%s'", flag, list, text);
}

/* "./-name": no program that deq starts takes it for an option. */
static const char *beside(const char *name) {
    char *path = malloc(strlen(name) + 3);
    if (path) return strcat(strcpy(path, "./"), name);
    fprintf(stderr, "deq: out of memory\n");
    exit(EXIT_INTERNAL);
}

static error_t parse_option(int key, char *text, struct argp_state *state) {
    Cli *cli = state->input;
    switch (key) {
    case 'j': cli->json = true; return 0;
    case 'M': cli->memory = true; return 0;
    case 'u': cli->summary = true; return 0;
    case 'c': cli->check = true; return 0;
    case 'f': cli->fresh = true; return 0;
    case 'n': cli->no_cache = true; return 0;
    case 'q': cli->quiet = true; return 0;
    case 'l': cli->lib = true; return 0;
    case 's':
        if (!strchr(text, '=')) argp_error(state, "--set takes PATH=VALUE, not '%s'", text);
        cli->set = append(cli->set, &cli->nset, text);
        return 0;
    case 'I': cli->include = append(cli->include, &cli->ninclude, text); return 0;
    case 'L': cli->link = append(cli->link, &cli->nlink, text); return 0;
    case 'S':
        cli->has_seed = true;
        cli->seed = whole_number(state, "seed", text, UINT64_MAX);
        return 0;
    case 'b': cli->batch = (int)whole_number(state, "batch", text, 1 << 20); return 0;
    case 't': cli->threads = (int)whole_number(state, "threads", text, 1024); return 0;
    case 'O': cli->optimise = (int)whole_number(state, "optimise", text, 3); return 0;
    case 'r': cli->results = text; return 0;
    case 'R': cli->rows = text; return 0;
    case 'C': cli->compare = text; return 0;
    case 'B': {
        char *end = NULL;
        cli->budget = strtod(text, &end);
        if (end == text || *end || !(cli->budget > 0 && cli->budget <= 3600))
            argp_error(state, "--budget takes seconds above 0, not '%s'", text);
        return 0;
    }
    case 'k': cli->checkpoint = text; return 0;
    case 'w': cli->map = text; return 0;
    case 'F': cli->filter = text; return 0;
    case 'v': cli->csv = true; return 0;
    case 'z': cli->npz = *text == '-' ? beside(text) : text; return 0;
    case 'g': cli->merge = true; return 0;
    case 'o': cli->output = *text == '-' ? beside(text) : text; return 0;
    case 'N': cli->net = text; return 0;
    case 'm': cli->target_cpu = text; return 0;
    case 'e':
        one_of(state, "emit", text, (const char *const[]){"ast", "ir", "ll", "asm", "obj", NULL});
        cli->emit = text;
        return 0;
    case 'p':
        one_of(state, "stop-after", text,
               (const char *const[]){"parse", "resolve", "check", "elaborate", "routines", "compile", NULL});
        cli->stop_after = text;
        return 0;
    case 'P':
        one_of(state, "precision", text, (const char *const[]){"f32", "f64", NULL});
        cli->precision = text;
        return 0;
    case 'a':
        one_of(state, "math", text, (const char *const[]){"inline", "libm", NULL});
        cli->math = text;
        return 0;
    case ARGP_KEY_ARG: cli->files = append(cli->files, &cli->nfiles, text); return 0;
    case ARGP_KEY_END: {
        const char *wanted = verbs[cli->verb].arguments;
        bool optional = !*wanted || *wanted == '[', many = strstr(wanted, "...") != NULL;
        if (!cli->nfiles && !optional) argp_error(state, "%s is missing", wanted);
        int most = *wanted != 0; /* a word each */
        for (const char *c = wanted; *c; c++) most += *c == ' ';
        if (cli->nfiles > most && !many) argp_error(state, "one argument too many: '%s'", cli->files[cli->nfiles - 1]);
        return 0;
    }
    default: return ARGP_ERR_UNKNOWN;
    }
}

void cli_parse(int argc, char **argv, Cli *cli) {
    memset(cli, 0, sizeof *cli);
    cli->optimise = 2;
    if (argc < 2) {
        usage(stderr);
        exit(EXIT_USAGE);
    }
    const char *word = argv[1];
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help") || !strcmp(word, "-?")) {
        usage(stdout);
        exit(0);
    }
    if (!strcmp(word, "--version") || !strcmp(word, "-V")) word = "version";
    for (cli->verb = 0; cli->verb < VERB_COUNT; cli->verb++)
        if (strcmp(word, verbs[cli->verb].name) == 0) break;
    if (cli->verb == VERB_COUNT) unknown_verb(word);

    struct argp_option options[NFLAGS + 1];
    memset(options, 0, sizeof options);
    int n = 0;
    for (int i = 0; i < NFLAGS; i++)
        if (flags[i].verbs & (1u << cli->verb))
            options[n++] = (struct argp_option){
                .name = flags[i].name, .key = flags[i].key, .arg = flags[i].argument, .doc = flags[i].doc};
    static char doc[2048], name[32];
    snprintf(doc, sizeof doc, "%s\v%s", verbs[cli->verb].summary, verbs[cli->verb].help);
    snprintf(name, sizeof name, "deq %s", verbs[cli->verb].name);
    const struct argp argp = {
        .options = options, .parser = parse_option, .args_doc = verbs[cli->verb].arguments, .doc = doc};
    argp_err_exit_status = EXIT_USAGE;
    argv[1] = name; /* argp prints it as the program's name */
    argp_parse(&argp, argc - 1, argv + 1, 0, NULL, cli);
}
