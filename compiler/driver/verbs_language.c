/* verbs_language.c - verbs about the text: fmt, doc, lsp, explain. */
#define _GNU_SOURCE
#include "doc.h"
#include "fmt.h"
#include "error.h"
#include "verbs.h"
#include "output.h"
#include "server.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Replaces the file by the text, whole or not at all; keeps the file's mode, and the link that leads to it. */
static bool replace_file(const char *path, const char *text, size_t size) {
    deq_error e = {0};
    deq_output out;
    struct stat st;
    char *target = realpath(path, NULL);
    bool ok = deq_output_open(&out, target ? target : path, &e);
    if (ok) {
        (void)!fwrite(text, 1, size, out.file);
        if (stat(out.path, &st) == 0) (void)!fchmod(fileno(out.file), st.st_mode & 07777);
        ok = deq_output_commit(&out, &e);
    }
    if (!ok) fprintf(stderr, "deq: error[%s]: %s\n", deq_failure_code(e.failure), e.text);
    free(target);
    return ok;
}

/* Formats one file; *differs tells whether its layout was another. */
static int format_file(const char *path, bool write, bool *differs) {
    Arena *a = arena_new();
    Diags *ds = diags_new(a);
    Module *m = module_parse(a, ds, path);
    char *text = NULL;
    size_t size = 0;
    int code = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) abort();
    bool ok = diags_errors(ds) == 0 && format_module(m->source, m->unit, out);
    fclose(out);
    *differs = false;
    if (!ok) {
        diags_print(ds, stderr, isatty(2));
        code = diags_exit_code(ds) ? diags_exit_code(ds) : 1;
    } else if (size != m->source->length || memcmp(text, m->source->text, size) != 0) {
        *differs = true;
        if (write && !replace_file(path, text, size)) code = 3;
    }
    free(text);
    arena_free(a);
    return code;
}

int verb_fmt(const Cli *cli) {
    int code = 0;
    for (int i = 0; i < cli->nfiles; i++) {
        bool differs = false;
        int one = format_file(cli->files[i], !cli->check, &differs);
        if (differs) printf("%s%s\n", cli->files[i], cli->check ? ": layout differs; run deq fmt" : "");
        if (one == 0 && differs && cli->check) one = 1;
        if (one > code) code = one;
    }
    return code;
}

int verb_doc(const Cli *cli) {
    Arena *a = arena_new();
    Diags *ds = diags_new(a);
    const char *name = cli->files[0], *text = stdlib_text(name);
    if (strcmp(name, "builtins") == 0) {
        document_builtins(stdout);
        arena_free(a);
        return 0;
    }
    Program *p =
        text ? program_load_text(a, ds, name, text) : program_load(a, ds, name, cli->include, (uint32_t)cli->ninclude);
    int code = diags_exit_code(ds);
    if (code)
        diags_print(ds, stderr, isatty(2));
    else
        document_module(p->main, stdout);
    arena_free(a);
    return code;
}

int verb_lsp(const Cli *cli) { return server_run(STDIN_FILENO, stdout, cli->include, (uint32_t)cli->ninclude); }

/* What the runtime reports; the compiler's diagnostics are lang's to explain. */
static const struct {
    const char *code, *title, *explanation;
} failures[] = {
#define FAILURE(id, code, exit, title, explanation) {#code, title, explanation},
#include "failures.def"
#undef FAILURE
#define WARNING(code, title, explanation) {#code, title, explanation},
#include "warnings.def"
#undef WARNING
};

int verb_explain(const Cli *cli) {
    size_t n = sizeof failures / sizeof failures[0];
    if (cli->nfiles == 0) {
        explain_list(stdout);
        for (size_t i = 0; i < n; i++) printf("%s  %s\n", failures[i].code, failures[i].title);
        return 0;
    }
    if (explain_code(cli->files[0], stdout)) return 0;
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(cli->files[0], failures[i].code) == 0) {
            printf("%s: %s\n\n%s\n", failures[i].code, failures[i].title, failures[i].explanation);
            return 0;
        }
    fprintf(stderr, "deq: no diagnostic has the code '%s'; `deq explain` lists them\n", cli->files[0]);
    return EXIT_USAGE;
}
