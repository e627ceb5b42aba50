/* verbs_program.c - verbs that compile: check, run, test, bench, build; and version. */
#define _GNU_SOURCE
#include "compile.h"
#include "header.h"
#include "extern.h"
#include "linked.h"
#include "study.h"
#include "engine.h"
#include "penalty.h"
#include "preload.h"
#include "output.h"
#include "verbs.h"
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static Pass last_pass(const Cli *cli, Pass fallback) {
    static const char *const names[] = {"parse", "resolve", "check", "elaborate", "routines", "compile"};
    for (int i = 0; cli->stop_after && i < 6; i++)
        if (strcmp(cli->stop_after, names[i]) == 0) return (Pass)i;
    return fallback;
}

static CompileOptions compile_options(const Cli *cli, Pass last) {
    return (CompileOptions){.path = cli->files[0],
                            .include = cli->include,
                            .ninclude = (uint32_t)cli->ninclude,
                            .target_cpu = cli->target_cpu,
                            .math = cli->math,
                            .optimise = cli->optimise,
                            .f64 = cli->precision && strcmp(cli->precision, "f64") == 0,
                            .use_cache = !cli->no_cache && !cli->emit,
                            .only = cli->net,
                            .emit_ll = cli->emit && strcmp(cli->emit, "ll") == 0,
                            .emit_asm = cli->emit && strcmp(cli->emit, "asm") == 0,
                            .last = last};
}

/* Diagnostics to standard error, or as JSON to standard output. */
static void print_diagnostics(const Cli *cli, const Compilation *c) {
    if (cli->json)
        diags_print_json(c->diags, stdout);
    else
        diags_print(c->diags, stderr, isatty(2));
}

/* ---- files that the user names ---- */
static int refused(const deq_error *e) {
    fprintf(stderr, "deq: error[%s]: %s\n", deq_failure_code(e->failure), e->text);
    return deq_failure_exit(e->failure);
}

/* An emitted text has no place for a mark: it replaces one that begins as it does. */
#define BEGINNING 4
static int write_file(const char *path, const char *text, size_t size) {
    deq_error e = {0};
    size_t n = size < BEGINNING ? size : BEGINNING;
    return deq_output_replaceable(path, text, n, &e) && deq_output_write(path, text, size, &e) ? 0 : refused(&e);
}

/* ---- --emit ---- */
static bool emit_text(const Cli *cli, const Compilation *c, FILE *out) {
    if (strcmp(cli->emit, "ast") == 0)
        ast_print(c->program->main->unit, out);
    else if (strcmp(cli->emit, "ir") == 0)
        for (uint32_t i = 0; i < c->unit->nroutines; i++) routine_print(c->unit->routines[i], out);
    else if (strcmp(cli->emit, "ll") == 0)
        fputs(c->result.ll, out);
    else if (strcmp(cli->emit, "asm") == 0)
        fputs(c->result.assembly, out);
    else
        return fwrite(c->result.objects->bytes, 1, c->result.objects->size, out) == c->result.objects->size;
    return !ferror(out);
}

static Pass emit_pass(const char *what) {
    return strcmp(what, "ast") == 0 ? PASS_PARSE : strcmp(what, "ir") == 0 ? PASS_ROUTINES : PASS_COMPILE;
}

static int emit(const Cli *cli) {
    Compilation c;
    CompileOptions options = compile_options(cli, emit_pass(cli->emit));
    options.use_cache = false;
    options.single = options.foreign = true;
    int code = compile(&options, &c);
    print_diagnostics(cli, &c);
    char *text = NULL;
    size_t size = 0;
    FILE *out = code == 0 ? open_memstream(&text, &size) : NULL;
    if (code == 0 && (!out || !emit_text(cli, &c, out) || fclose(out) != 0)) abort();
    if (code == 0 && cli->output)
        code = write_file(cli->output, text, size);
    else if (code == 0 && fwrite(text, 1, size, stdout) != size)
        code = 3;
    free(text);
    compile_free(&c);
    return code;
}

/* ---- check ---- */
const char *bytes_text(char *buffer, size_t size, double n) {
    static const char *const units[] = {"B", "kB", "MB", "GB"};
    int u = 0;
    while (n >= 10000 && u < 3) n /= 1024, u++;
    snprintf(buffer, size, "%.0f %s", n, units[u]);
    return buffer;
}

/* What the runtime will hold, planned from the same numbers it allocates from. */
static int print_engines(const deq_module *module) {
    char buffer[64];
    json_t *manifest = json_loads(module->manifest, 0, NULL), *net;
    size_t i;
    json_array_foreach(json_object_get(manifest, "nets"), i, net) {
        deq_error error = {0};
        deq_engine *engine = deq_engine_new(module, net, &(deq_engine_options){0}, &error);
        if (!engine) {
            fprintf(stderr, "deq: %s\n", error.text);
            json_decref(manifest);
            return deq_failure_exit(error.failure);
        }
        printf("\nnet %s: peak %s (parameters, gradients, workspaces), blocks of %lld examples\n",
               json_string_value(json_object_get(net, "name")),
               bytes_text(buffer, sizeof buffer, (double)deq_engine_memory(engine)),
               (long long)deq_engine_block(engine));
        deq_engine_free(engine);
    }
    json_decref(manifest);
    return 0;
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
    if (cli->emit) return emit(cli);
    Compilation c;
    CompileOptions options = compile_options(cli, last_pass(cli, cli->memory ? PASS_COMPILE : PASS_ELABORATE));
    options.use_cache = false;
    if (cli->summary && !cli->memory) options.last = PASS_ROUTINES;
    if (cli->summary) options.tests = options.nets = true;
    int code = compile(&options, &c);
    print_diagnostics(cli, &c);
    if (code == 0 && cli->summary) print_summary(&c);
    if (code == 0 && cli->memory && options.last == PASS_COMPILE) {
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

typedef enum Execution { RUN, PROFILE, TEST, BENCH } Execution;

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

static int execute(const Cli *cli, Execution what) {
    static int (*const apps[])(const deq_module *, const deq_app_options *) = {deq_app_run, deq_app_run, deq_app_test,
                                                                               deq_app_bench};
    if (cli->emit) return emit(cli);
    Compilation c;
    CompileOptions options = compile_options(cli, last_pass(cli, PASS_COMPILE));
    deq_app_options run = {.threads = cli->threads,
                           .has_seed = cli->has_seed,
                           .seed = cli->seed,
                           .set = cli->set,
                           .nset = cli->nset,
                           .results = cli->results,
                           .fresh = cli->fresh || what == PROFILE,
                           .json = cli->json,
                           .quiet = cli->quiet,
                           .batch = cli->batch,
                           .rows = cli->rows,
                           .budget = cli->budget,
                           .profile = what == PROFILE};
    for (int k = 0; k < cli->nset; k++) penalty_asked(cli->set[k], &options);
    options.tests = what == TEST;
    options.profile = what == PROFILE;
    if (what == TEST && !cli->precision) options.f64 = true;
    if (what <= PROFILE && !cli->stop_after) options.elaborated = on_manifest, options.context = &run;
    int code = compile(&options, &c);
    print_diagnostics(cli, &c);
    if (code == 0 && !cli->stop_after) code = load_linked(cli, &c);
    if (code == 0 && !cli->stop_after) {
        run.source_text = c.program->main->source->text;
        code = apps[what](c.module, &run);
    }
    deq_preload_free(run.preload);
    compile_free(&c);
    return code;
}

int verb_run(const Cli *cli) { return execute(cli, RUN); }
int verb_profile(const Cli *cli) { return execute(cli, PROFILE); }
int verb_test(const Cli *cli) { return execute(cli, TEST); }
int verb_bench(const Cli *cli) {
    if (!cli->compare) return execute(cli, BENCH);
    return deq_app_bench_compare(cli->compare, cli->files[0], &(deq_app_options){.json = cli->json});
}

/* ---- build ---- */
/* The gradients in C, opened here so that what does not fit is said now and not when the program runs. */
static int open_linked(const Cli *cli, const Compilation *c, Linked *linked, LinkExtras *extras) {
    char *error = NULL;
    int bits = cli->precision && strcmp(cli->precision, "f64") == 0 ? 64 : 32;
    if (!linked_open(c->program, cli->link, cli->nlink, linked, &error)) {
        fprintf(stderr, "deq: %s\n", error);
        free(error);
        return 3;
    }
    *extras = (LinkExtras){linked->objects, linked->nobjects, linked_source(linked, bits)};
    static deq_module module; /* what checking reads of one; offered to, so it stays */
    module.real_bits = bits;
    module.manifest = c->unit->manifest;
    module.manifest_length = (int64_t)strlen(c->unit->manifest);
    return linked_offer(linked, &module);
}

static void close_linked(Linked *linked, LinkExtras *extras) {
    free((char *)extras->source);
    linked_close(linked);
}

/* NET_gradients.h, where the script takes gradients from C: written even when they are still to be compiled. */
static int write_gradients_header(const Cli *cli, const Program *p, const char *net) {
    char *path, *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const char *folder = cli->output ? cli->output : ".";
    bool any = out && extern_header(p, out);
    if (!out || fclose(out) != 0 || asprintf(&path, "%s/%s_gradients.h", folder, net) < 0) abort();
    int code = any ? write_file(path, text, size) : 0;
    if (any && code == 0) printf("%s\n", path);
    free(path);
    free(text);
    return code;
}

static int build_library(const Cli *cli, const Compilation *c, const Object *object) {
    const char *manifest = c->unit->manifest, *folder = cli->output ? cli->output : ".";
    bool sizes = cli->net && strpbrk(cli->net, "[("); /* L[3]: built alone, under the name L_3 */
    char *net = header_net(manifest, sizes ? NULL : cli->net), *error = NULL;
    if (!net) {
        fputs("deq: the script has no net to build; name a layer with --net\n", stderr);
        return 2;
    }
    char *apart = header_trains_apart(manifest, net);
    if (apart) {
        fprintf(stderr, "deq: %s is trained with different settings by %s; name one of them with --net\n", net, apart);
        free(apart);
        free(net);
        return 2;
    }
    char *shared, *archive, *header, *json, *text = NULL;
    size_t size = 0;
    if (asprintf(&shared, "%s/lib%s.so", folder, net) < 0 || asprintf(&archive, "%s/%s.a", folder, net) < 0 ||
        asprintf(&header, "%s/%s.h", folder, net) < 0 || asprintf(&json, "%s/%s.json", folder, net) < 0)
        abort();
    FILE *out = open_memstream(&text, &size);
    if (!out || !header_write(manifest, net, net, out) || fclose(out) != 0) abort();
    int code = 0;
    Linked linked = {0};
    LinkExtras extras = {0};
    deq_error e = {0};
    deq_temporaries_sweep(folder);
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) /* not those above it: that would be a slip of the pen */
        deq_fail(&e, DEQ_OUTPUT, "cannot make the folder '%s': %s", folder, strerror(errno));
    if (e.failure || !deq_output_replaceable(shared, NULL, 0, &e) || !deq_output_replaceable(archive, NULL, 0, &e) ||
        !deq_output_replaceable(header, NULL, 0, &e) || !deq_output_replaceable(json, NULL, 0, &e)) {
        code = refused(&e);
    } else if ((code = write_gradients_header(cli, c->program, net)) != 0 ||
               (code = open_linked(cli, c, &linked, &extras)) != 0) {
        /* said */
    } else if (!link_library(object, &extras, net, shared, archive, &error)) {
        fprintf(stderr, "deq: %s\n", error);
        code = 3;
    } else if ((code = write_file(header, text, size)) == 0 &&
               (code = write_file(json, manifest, strlen(manifest))) == 0)
        printf("%s\n%s\n%s\n%s\n", shared, archive, header, json);
    close_linked(&linked, &extras);
    free(error);
    free(text);
    free(shared);
    free(archive);
    free(header);
    free(json);
    free(net);
    return code;
}

/* "examples/quickstart.deq" -> "./quickstart" */
static char *program_path(const Cli *cli) {
    const char *slash = strrchr(cli->files[0], '/');
    char *out = NULL;
    if (cli->output) return strdup(cli->output);
    if (asprintf(&out, "./%s", slash ? slash + 1 : cli->files[0]) < 0) abort();
    char *dot = strrchr(out, '.');
    if (dot && dot > out + 2) *dot = 0;
    return out;
}

static int build_program(const Cli *cli, const Compilation *c, const Object *object) {
    char *out = program_path(cli), *error = NULL, *folder = strdup(out);
    deq_error e = {0};
    Linked linked = {0};
    LinkExtras extras = {0};
    deq_temporaries_sweep(dirname(folder));
    int code = deq_output_replaceable(out, NULL, 0, &e) ? open_linked(cli, c, &linked, &extras) : refused(&e);
    if (code == 0 && !link_program(object, &extras, out, &error)) {
        fprintf(stderr, "deq: %s\n", error);
        code = 3;
    }
    close_linked(&linked, &extras);
    free(error);
    free(folder);
    free(out);
    return code;
}

/* Whether the script trains --net: its library then has the script's losses.  Otherwise the layer is built alone. */
static bool trains_net(const Cli *cli) {
    Compilation c;
    CompileOptions options = compile_options(cli, PASS_ROUTINES);
    options.only = NULL;
    options.use_cache = false;
    char *net = compile(&options, &c) == 0 ? header_net(c.unit->manifest, cli->net) : NULL;
    bool found = net != NULL;
    free(net);
    compile_free(&c);
    return found;
}

int verb_build(const Cli *cli) {
    if (cli->emit) return emit(cli);
    Compilation c;
    CompileOptions options = compile_options(cli, last_pass(cli, PASS_COMPILE));
    options.use_cache = false; /* the object itself is wanted */
    options.single = true;
    if (cli->lib && cli->net && trains_net(cli)) options.only = NULL;
    int code = compile(&options, &c);
    print_diagnostics(cli, &c);
    if (code == 0 && options.last == PASS_COMPILE)
        code = (cli->lib ? build_library : build_program)(cli, &c, c.result.objects);
    compile_free(&c);
    return code;
}

int verb_header(const Cli *cli) {
    Compilation c;
    CompileOptions options = compile_options(cli, PASS_CHECK);
    int code = compile(&options, &c);
    print_diagnostics(cli, &c);
    if (code == 0) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        bool any = out && extern_header(c.program, out);
        if (!out || fclose(out) != 0) abort();
        if (!any) {
            fprintf(stderr, "deq: '%s' takes no gradient from C: gradient NAME of LAYER = extern \"symbol\"\n",
                    cli->files[0]);
            code = 2;
        } else if (cli->output) {
            code = write_file(cli->output, text, size);
        } else {
            fputs(text, stdout);
        }
        free(text);
    }
    compile_free(&c);
    return code;
}

int verb_version(const Cli *cli) {
    (void)cli;
    char *error = NULL;
    const Backend *backend = backend_get(&error);
    printf("%s\nbinary interface %d\n", DEQ_VERSION, DEQ_ABI_VERSION);
    if (backend)
        printf("target %.*s\n", (int)strcspn(backend->target("native"), " "), backend->target("native"));
    else
        printf("%s\n", error);
    free(error);
    return backend ? 0 : EXIT_INTERNAL;
}
