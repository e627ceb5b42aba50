/* verbs_gradient.c - verbs about gradients: gradcheck, compare, report. */
#define _GNU_SOURCE
#include "compile.h"
#include "page.h"
#include "study.h"
#include "verbs.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static deq_app_options app_options(const Cli *cli, const Compilation *c) {
    return (deq_app_options){.threads = cli->threads,
                             .has_seed = cli->has_seed,
                             .seed = cli->seed,
                             .set = cli->set,
                             .nset = cli->nset,
                             .results = cli->results,
                             .fresh = cli->fresh,
                             .json = cli->json,
                             .quiet = cli->quiet,
                             .source_text = c->program->main->source->text};
}

/* A test of the layer, appended to the script: what the checker says about it, it says about the command line. */
static char *test_of(const char *layer, const char *name, size_t *asked) {
    char *text;
    const int before = asprintf(&text, "test \"%s\" {\n  check: gradcheck(\n", name);
    if (before < 0) abort();
    free(text);
    *asked = (size_t)before;
    if (asprintf(&text, "test \"%s\" {\n  check: gradcheck(\n%s\n, directions: 8, tol: 1e-4)\n}", name, layer) < 0)
        abort();
    return text;
}

/* The layer as the name of a test: no quotes, no backslashes, no line ends. */
static char *name_of(const char *layer) {
    char *name = strdup(layer);
    if (!name) abort();
    for (char *c = name; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ') *c = ' ';
    return name;
}

int verb_gradcheck(const Cli *cli) {
    Compilation c;
    CompileOptions options = verb_options(cli, STAGE_compile);
    options.f64 = true;
    const char *layer = cli->nfiles > 1 ? cli->files[1] : NULL;
    char *name = layer ? name_of(layer) : NULL, *added = layer ? test_of(layer, name, &options.asked) : NULL;
    options.tests = true;
    options.nets = !layer;
    options.only_test = name;
    options.added = added;
    int code = compile(&options, &c);
    diags_print(c.diags, stderr, isatty(2));
    if (code == 0) code = load_linked(cli, &c);
    if (code == 0) {
        deq_app_options run = app_options(cli, &c);
        code = deq_app_test(c.module, &run);
    }
    compile_free(&c);
    free(added);
    free(name);
    return code;
}

static int load(const Cli *cli, const CompileOptions *options, Compilation *c, bool report) {
    int code = compile(options, c);
    if (report) diags_print(c->diags, stderr, isatty(2));
    return code ? code : load_linked(cli, c);
}

/* Two modules of one script: the one that `deq run` trains with, whose nets are in the cache, and one for comparing, in
 * double precision unless told otherwise. */
int verb_compare(const Cli *cli) {
    bool single = cli->precision && strcmp(cli->precision, "f32") == 0;
    Compilation training, comparing;
    CompileOptions options = verb_options(cli, STAGE_compile);
    int code = load(cli, &options, &training, true);
    if (code == 0) {
        options.f64 = !single;
        options.checks = true;
        code = load(cli, &options, &comparing, false);
        if (code == 0) {
            deq_app_options run = app_options(cli, &training);
            code = deq_app_compare(training.module, comparing.module, cli->checkpoint, &run);
        } else
            diags_print(comparing.diags, stderr, isatty(2));
        compile_free(&comparing);
    }
    compile_free(&training);
    return code;
}

int verb_journal(const Cli *cli) {
    deq_journals_form form = cli->csv     ? DEQ_JOURNALS_CSV
                             : cli->json  ? DEQ_JOURNALS_JSON
                             : cli->npz   ? DEQ_JOURNALS_NPZ
                             : cli->merge ? DEQ_JOURNALS_MERGED
                                          : DEQ_JOURNALS_SUMMARY;
    const char *problem = cli->csv + cli->json + (cli->npz != NULL) + cli->merge > 1
                              ? "only one of --csv, --json, --npz and --merge at a time"
                          : cli->merge && !cli->output ? "--merge writes a journal: -o OUT.journal says where"
                          : cli->npz && cli->output    ? "--npz OUT says where the arrays go; -o is of no use there"
                          : cli->output && form == DEQ_JOURNALS_SUMMARY ? "-o goes with --csv, --json or --merge"
                                                                        : NULL;
    if (problem) {
        fprintf(stderr, "deq journal: %s\n", problem);
        return EXIT_USAGE;
    }
    return deq_app_journals(cli->files, cli->nfiles,
                            &(deq_journals_options){form, cli->filter, cli->npz ? cli->npz : cli->output});
}

int verb_report(const Cli *cli) {
    if (cli->html && cli->card) {
        fprintf(stderr, "deq report: --html or --card, not both\n");
        return EXIT_USAGE;
    }
    if (cli->card) return deq_app_cards(cli->files[0], cli->output, cli->json);
    if (cli->html) return deq_app_page(cli->files[0], cli->output, cli->json);
    if (cli->output) {
        fprintf(stderr, "deq report: -o goes with --html and --card\n");
        return EXIT_USAGE;
    }
    return deq_app_report(cli->files[0], &(deq_app_options){.json = cli->json});
}
