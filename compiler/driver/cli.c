/* cli.c - verbs and flags of cli_table.h, through argp. */
#include "cli.h"
#include "deq_types.h"
#include "diag.h"
#include "pass_list.h"
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const stage_names[STAGES] = {
#define STAGE(name) #name,
#define EMIT(name, stage, doc)
#include "stages.def"
#undef STAGE
#undef EMIT
};

#define STAGE(name)
static const char *const emit_names[EMITS] = {
#define EMIT(name, stage, doc) [EMIT_##name] = #name,
#include "stages.def"
#undef EMIT
};
static const char *const emit_docs[EMITS] = {
#define EMIT(name, stage, doc) [EMIT_##name] = doc,
#include "stages.def"
#undef EMIT
};
const Stage emit_stages[EMITS] = {
#define EMIT(name, stage, doc) [EMIT_##name] = STAGE_##stage,
#include "stages.def"
#undef EMIT
};
#undef STAGE

static void usage(FILE *out) {
    fprintf(out, "deq: a language and compiler for deep equilibrium models\n\nusage: deq VERB [FLAG...] [FILE...]\n\n");
    int width = 0;
    for (int v = 0; v < VERB_COUNT; v++)
        if ((int)strlen(cli_verbs[v].name) > width) width = (int)strlen(cli_verbs[v].name);
    for (int v = 0; v < VERB_COUNT; v++) fprintf(out, "  %-*s  %s\n", width, cli_verbs[v].name, cli_verbs[v].summary);
    fprintf(out, "\ndeq VERB --help tells a verb's flags, with examples.  First steps:\n\n"
                 "  deq run examples/quickstart.deq    train and attack a DEQ on Fashion-MNIST\n"
                 "  deq check examples/quickstart.deq  only report errors\n\n"
                 "Exit codes: " EXIT_CODES ".\n");
}

_Noreturn static void unknown_verb(const char *name) {
    const char *names[VERB_COUNT];
    for (int v = 0; v < VERB_COUNT; v++) names[v] = cli_verbs[v].name;
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

static uint64_t whole_number(struct argp_state *state, Flag flag, const char *text, uint64_t most) {
    char *end = NULL;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || *text == '-' || end == text || *end || v > most)
        argp_error(state, "--%s takes a whole number up to %llu, not '%s'", cli_flags[flag].name,
                   (unsigned long long)most, text);
    return v;
}

static double seconds(struct argp_state *state, Flag flag, const char *text, double most) {
    char *end = NULL;
    double v = strtod(text, &end);
    if (end == text || *end || !(v > 0 && v <= most))
        argp_error(state, "--%s takes seconds above 0 and up to %g, not '%s'", cli_flags[flag].name, most, text);
    return v;
}

/* The index of the text among the words, or a usage error that lists them.  A NULL word is none. */
static int one_of(struct argp_state *state, Flag flag, const char *text, const char *const *words, int n) {
    char list[128] = "";
    for (int w = 0; w < n; w++) {
        if (!words[w]) continue;
        if (strcmp(text, words[w]) == 0) return w;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s",
                 !*list       ? ""
                 : w + 1 == n ? " or "
                              : ", ",
                 words[w]);
    }
    argp_error(state, "--%s takes %s, not '%s'", cli_flags[flag].name, list, text);
    return 0;
}

/* --emit: what, and for ir:PASS after which pass. */
static void emitted(struct argp_state *state, const char *text, Cli *cli) {
    const char *pass = strncmp(text, "ir:", 3) == 0 ? text + 3 : NULL, *names[GRAPH_PASSES];
    cli->emit_after = GRAPH_PASSES;
    cli->emit = pass ? EMIT_ir : (Emit)one_of(state, FLAG_emit, text, emit_names, EMITS);
    for (int p = 0; p < GRAPH_PASSES; p++) {
        names[p] = graph_passes[p].name;
        if (pass && strcmp(names[p], pass) == 0) cli->emit_after = p;
    }
    if (!pass || cli->emit_after < GRAPH_PASSES) return;
    const char *near = diag_nearest(pass, names, GRAPH_PASSES);
    argp_error(state, "there is no pass '%s'%s%s%s; --emit=passes lists them", pass, near ? " (did you mean '" : "",
               near ? near : "", near ? "'?)" : "");
}

/* "./-name": no program that deq starts takes it for an option. */
static const char *beside(const char *name) {
    char *path = malloc(strlen(name) + 3);
    if (path) return strcat(strcpy(path, "./"), name);
    fprintf(stderr, "deq: out of memory\n");
    exit(EXIT_INTERNAL);
}

/* Every flag of the table has its case here: a forgotten one does not build. */
static void take_flag(struct argp_state *state, Flag flag, char *text) {
    static const char *const precisions[] = {"f32", "f64"}, *const maths[] = {"inline", "libm"};
    Cli *cli = state->input;
    switch (flag) {
    case FLAG_json: cli->json = true; break;
    case FLAG_memory: cli->memory = true; break;
    case FLAG_summary: cli->summary = true; break;
    case FLAG_check: cli->check = true; break;
    case FLAG_fresh: cli->fresh = true; break;
    case FLAG_no_cache: cli->no_cache = true; break;
    case FLAG_examples: cli->examples = true; break;
    case FLAG_quiet: cli->quiet = true; break;
    case FLAG_audit: cli->audit = true; break;
    case FLAG_strict: cli->strict = true; break;
    case FLAG_plan: cli->plan = true; break;
    case FLAG_watch: cli->watch = true; break;
    case FLAG_lib: cli->lib = true; break;
    case FLAG_set:
        if (!strchr(text, '=')) argp_error(state, "--set takes PATH=VALUE, not '%s'", text);
        cli->set = append(cli->set, &cli->nset, text);
        break;
    case FLAG_include: cli->include = append(cli->include, &cli->ninclude, text); break;
    case FLAG_array:
        if (!strchr(text, '=')) argp_error(state, "--array takes NAME=FILE, not '%s'", text);
        cli->array = append(cli->array, &cli->narray, text);
        break;
    case FLAG_link: cli->link = append(cli->link, &cli->nlink, text); break;
    case FLAG_seed:
        cli->has_seed = true;
        cli->seed = whole_number(state, flag, text, UINT64_MAX);
        break;
    case FLAG_batch: cli->batch = (int)whole_number(state, flag, text, 1 << 20); break;
    case FLAG_threads: cli->threads = (int)whole_number(state, flag, text, DEQ_MOST_THREADS); break;
    case FLAG_optimise: cli->optimise = (int)whole_number(state, flag, text, 3); break;
    case FLAG_results: cli->results = text; break;
    case FLAG_rows: cli->rows = text; break;
    case FLAG_compare: cli->compare = text; break;
    case FLAG_processor: cli->processor = true; break;
    case FLAG_scaling: cli->scaling = true; break;
    case FLAG_predict: cli->predict = text; break;
    case FLAG_nodes: cli->nodes = text; break;
    case FLAG_cores: cli->cores = (int)whole_number(state, flag, text, 4096); break;
    case FLAG_budget: cli->budget = seconds(state, FLAG_budget, text, 3600); break;
    case FLAG_rank_limit: cli->rank_limit = seconds(state, FLAG_rank_limit, text, 1e6); break;
    case FLAG_checkpoint: cli->checkpoint = text; break;
    case FLAG_map: cli->map = text; break;
    case FLAG_into: cli->into = text; break;
    case FLAG_adversarial: cli->adversarial = text; break;
    case FLAG_filter: cli->filter = text; break;
    case FLAG_csv: cli->csv = true; break;
    case FLAG_npz: cli->npz = *text == '-' ? beside(text) : text; break;
    case FLAG_merge: cli->merge = true; break;
    case FLAG_html: cli->html = true; break;
    case FLAG_card: cli->card = true; break;
    case FLAG_output: cli->output = *text == '-' ? beside(text) : text; break;
    case FLAG_python: cli->python = text; break;
    case FLAG_net: cli->net = text; break;
    case FLAG_target_cpu: cli->target_cpu = text; break;
    case FLAG_emit: emitted(state, text, cli); break;
    case FLAG_stop_after:
        cli->stop_after = (Stage)one_of(state, flag, text, stage_names, STAGES);
        cli->stops = true;
        break;
    case FLAG_precision: cli->precision = precisions[one_of(state, flag, text, precisions, 2)]; break;
    case FLAG_math: cli->math = maths[one_of(state, flag, text, maths, 2)]; break;
    case FLAG_COUNT: break;
    }
}

static void check_files(struct argp_state *state, const Cli *cli) {
    const char *wanted = cli_verbs[cli->verb].arguments;
    bool listed = cli->emit == EMIT_passes; /* of the compiler, not of a file */
    bool optional = listed || !*wanted || *wanted == '[', many = strstr(wanted, "...") != NULL;
    if (!cli->nfiles && !optional) argp_error(state, "%.*s is missing", (int)strcspn(wanted, " "), wanted);
    int most = *wanted != 0; /* a word each */
    for (const char *c = wanted; *c; c++) most += *c == ' ';
    if (cli->nfiles > most && !many) argp_error(state, "one argument too many: '%s'", cli->files[cli->nfiles - 1]);
}

static error_t parse_option(int key, char *text, struct argp_state *state) {
    Cli *cli = state->input;
    if (key == ARGP_KEY_ARG) return cli->files = append(cli->files, &cli->nfiles, text), 0;
    if (key == ARGP_KEY_END) return check_files(state, cli), 0;
    for (int f = 0; f < FLAG_COUNT; f++)
        if (cli_flags[f].key == key) return take_flag(state, (Flag)f, text), 0;
    return ARGP_ERR_UNKNOWN;
}

static void add(char *text, size_t size, const char *before, const char *word, const char *between, const char *more) {
    size_t n = strlen(text);
    snprintf(text + n, size - n, "%s%s%s%s", before, word, between, more);
}

/* A flag's line in --help; of those that take one of several words, with the words. */
static const char *flag_doc(Flag flag) {
    static char emits[512], stages[256];
    if (flag == FLAG_emit && !*emits) {
        add(emits, sizeof emits, cli_flags[flag].doc, "", "", "");
        for (int e = 0; e < EMITS; e++)
            if (emit_names[e]) add(emits, sizeof emits, e > 1 ? "), " : " ", emit_names[e], " (", emit_docs[e]);
        add(emits, sizeof emits, ")", "", "", "");
    }
    if (flag == FLAG_stop_after && !*stages) {
        add(stages, sizeof stages, cli_flags[flag].doc, "", "", "");
        for (int s = 0; s < STAGES; s++)
            add(stages, sizeof stages, !s ? " " : s + 1 < STAGES ? ", " : " or ", stage_names[s], "", "");
    }
    return flag == FLAG_emit ? emits : flag == FLAG_stop_after ? stages : cli_flags[flag].doc;
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
        if (strcmp(word, cli_verbs[cli->verb].name) == 0) break;
    if (cli->verb == VERB_COUNT) unknown_verb(word);

    struct argp_option options[FLAG_COUNT + 1];
    memset(options, 0, sizeof options);
    int n = 0;
    for (int i = 0; i < FLAG_COUNT; i++)
        if (cli_flags[i].verbs & (1u << cli->verb))
            options[n++] = (struct argp_option){.name = cli_flags[i].name,
                                                .key = cli_flags[i].key,
                                                .arg = cli_flags[i].argument,
                                                .doc = flag_doc((Flag)i)};
    static char doc[2048], name[32];
    snprintf(doc, sizeof doc, "%s\v%s", cli_verbs[cli->verb].summary, cli_verbs[cli->verb].help);
    snprintf(name, sizeof name, "deq %s", cli_verbs[cli->verb].name);
    const struct argp argp = {
        .options = options, .parser = parse_option, .args_doc = cli_verbs[cli->verb].arguments, .doc = doc};
    setenv("ARGP_HELP_FMT", "rmargin=120,opt-doc-col=30,no-dup-args-note", 0); /* examples keep their lines */
    argp_err_exit_status = EXIT_USAGE;
    argv[1] = name; /* argp prints it as the program's name */
    argp_parse(&argp, argc - 1, argv + 1, 0, NULL, cli);
}
