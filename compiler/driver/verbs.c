/* verbs.c - what several verbs need: the command line as options of a compilation, diagnostics, files. */
#define _GNU_SOURCE
#include "compile.h"
#include "linked.h"
#include "output.h"
#include "verbs.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int verb_do(const Cli *cli) {
    static int (*const verbs[])(const Cli *) = {
#define VERB(id, name, arguments, summary, help) verb_##id,
#define FLAG(id, name, key, argument, verbs, doc)
#include "cli.def"
#undef VERB
#undef FLAG
    };
    int code = verbs[cli->verb](cli);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("deq: standard output");
        if (code == 0) code = 3;
    }
    return code;
}

Stage verb_last_stage(const Cli *cli, Stage fallback) { return cli->stops ? cli->stop_after : fallback; }

CompileOptions verb_options(const Cli *cli, Stage last) {
    return (CompileOptions){.path = cli->files[0],
                            .include = cli->include,
                            .ninclude = (uint32_t)cli->ninclude,
                            .target_cpu = cli->target_cpu,
                            .math = cli->math,
                            .optimise = cli->optimise,
                            .f64 = cli->precision && strcmp(cli->precision, "f64") == 0,
                            .use_cache = !cli->no_cache && !cli->emit,
                            .only = cli->net,
                            .set = cli->set,
                            .nset = cli->nset,
                            .emit_ll = cli->emit == EMIT_ll,
                            .emit_asm = cli->emit == EMIT_asm,
                            .last = last};
}

void verb_diagnostics(const Cli *cli, const Compilation *c) {
    if (cli->json)
        diags_print_json(c->diags, stdout);
    else
        diags_print(c->diags, stderr, isatty(2));
}

int load_linked(const Cli *cli, Compilation *c) {
    Linked linked;
    deq_error e = {0};
    const bool opened = linked_open(c->program, cli->link, cli->nlink, &linked, &e);
    int code = opened ? compile_load(c) : 0;
    if (opened && code == 0) linked_offer(&linked, c->module, &e);
    linked_close(&linked);
    return e.failure ? verb_failed(&e) : code;
}

int verb_failed(const deq_error *e) {
    fprintf(stderr, "deq: error[%s]: %s\n", deq_failure_code(e->failure), e->text);
    return deq_failure_exit(e->failure);
}

/* An emitted text has no place for a mark: it replaces one that begins as it does. */
#define BEGINNING 4
int write_file(const char *path, const char *text, size_t size) {
    deq_error e = {0};
    size_t n = size < BEGINNING ? size : BEGINNING;
    return deq_output_replaceable(path, text, n, &e) && deq_output_write(path, text, size, &e) ? 0 : verb_failed(&e);
}
