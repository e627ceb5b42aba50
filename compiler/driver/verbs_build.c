/* verbs_build.c - verbs that leave files: build and header. */
#define _GNU_SOURCE
#include "compile.h"
#include "extern.h"
#include "header.h"
#include "linked.h"
#include "output.h"
#include "product.h"
#include "value.h"
#include "verbs.h"
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The gradients in C, opened here so that what does not fit is said now and not when the program runs. */
static int open_linked(const Cli *cli, const Compilation *c, Linked *linked, LinkExtras *extras) {
    deq_error e = {0};
    int bits = cli->precision && strcmp(cli->precision, "f64") == 0 ? 64 : 32;
    if (!linked_open(c->program, cli->link, cli->nlink, linked, &e)) return verb_failed(&e);
    *extras = (LinkExtras){linked->objects, linked->nobjects, linked_source(linked, bits)};
    static deq_module module; /* what checking reads of one; offered to, so it stays */
    module.abi_version = DEQ_ABI_VERSION;
    module.real_bits = bits;
    module.manifest = c->unit->manifest;
    module.manifest_length = (int64_t)strlen(c->unit->manifest);
    return linked_offer(linked, &module, &e) ? 0 : verb_failed(&e);
}

static void close_linked(Linked *linked, LinkExtras *extras) {
    free((char *)extras->source);
    linked_close(linked);
}

/* NET_gradients.h, where the script takes gradients from C: written even when they are still to be compiled. */
static int write_gradients_header(const Cli *cli, const Program *p, const char *id) {
    char *path, *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const char *folder = cli->output ? cli->output : ".";
    bool any = out && extern_header(p, out);
    if (!out || fclose(out) != 0 || asprintf(&path, "%s/%s_gradients.h", folder, id) < 0) abort();
    int code = any ? write_file(path, text, size) : 0;
    if (any && code == 0) printf("%s\n", path);
    free(path);
    free(text);
    return code;
}

static char *header_text(const char *manifest, const char *net, const char *id) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out || !header_write(manifest, net, id, out) || fclose(out) != 0) abort();
    return text;
}

/* One header stands for all processors: where parameters lie must not depend on them. */
static bool same_layout(const Compilation *all, const LinkTarget *targets, int n, const char *net, const char *id,
                        deq_error *e) {
    char *first = header_text(all[0].unit->manifest, net, id);
    for (int k = 1; k < n && !e->failure; k++) {
        char *other = header_text(all[k].unit->manifest, net, id);
        if (strcmp(first, other) != 0)
            deq_fail(e, DEQ_LINK, "the parameters of '%s' lie elsewhere for %s than for %s: make a library for each",
                     net, targets[k].cpu, targets[0].cpu);
        free(other);
    }
    free(first);
    return !e->failure;
}

/* In C and in Python setup.net, of an imported module, is setup_net; what begins as the runtime's functions do has net_
 * in front. */
static const char *name_in_c(Arena *a, const char *net) {
    const char *id = identifier(a, net);
    return strncmp(id, "deq", 3) == 0 && (!id[3] || id[3] == '_') ? arena_printf(a, "net_%s", id) : id;
}

/* Of one net, compiled for n processors. */
static int build_library(const Cli *cli, const Compilation *all, const LinkTarget *targets, int n) {
    const Compilation *c = &all[0];
    const char *manifest = c->unit->manifest, *folder = cli->python ? cli->python : cli->output ? cli->output : ".";
    char *net = header_net(manifest, cli->net), *apart = net ? header_trains_apart(manifest, net) : NULL;
    deq_error e = {0};
    if (!net) deq_fail(&e, DEQ_NET, "the script has no net to build; name a layer with --net");
    if (apart)
        deq_fail(&e, DEQ_NET, "%s is trained with different settings by %s; name one of them with --net", net, apart);
    free(apart);
    if (e.failure) {
        free(net);
        return verb_failed(&e);
    }
    Product p;
    const char *id = name_in_c(c->arena, net);
    (cli->python ? product_python : product_library)(&p, manifest, net, id, folder);
    char *definitions = header_definitions(manifest, net, id);
    int code = 0;
    Linked linked = {0};
    LinkExtras extras = {0};
    deq_temporaries_sweep(folder);
    if (!same_layout(all, targets, n, net, id, &e) || !product_ready(&p, &e)) {
        code = verb_failed(&e);
    } else if ((!cli->python && (code = write_gradients_header(cli, c->program, id)) != 0) ||
               (code = open_linked(cli, c, &linked, &extras)) != 0) {
        /* said */
    } else if (!link_library(targets, n, &extras, id, definitions, p.shared, p.archive, &e)) {
        code = verb_failed(&e);
    }
    for (int k = 0; code == 0 && k < p.nfiles; k++)
        code = write_file(p.files[k].path, p.files[k].text, strlen(p.files[k].text));
    if (code == 0) printf("%s\n", p.shared);
    if (code == 0 && p.archive) printf("%s\n", p.archive);
    for (int k = 0; code == 0 && k < p.nfiles; k++) printf("%s\n", p.files[k].path);
    close_linked(&linked, &extras);
    product_free(&p);
    free(definitions);
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
    char *out = program_path(cli), *folder = strdup(out);
    deq_error e = {0};
    Linked linked = {0};
    LinkExtras extras = {0};
    deq_temporaries_sweep(dirname(folder));
    int code = deq_output_replaceable(out, NULL, 0, &e) ? open_linked(cli, c, &linked, &extras) : verb_failed(&e);
    if (code == 0 && !link_program(object, &extras, out, &e)) code = verb_failed(&e);
    close_linked(&linked, &extras);
    free(folder);
    free(out);
    return code;
}

bool trains_net(const CompileOptions *of, const char *net) {
    if (header_alone(net)) return false;
    Compilation c;
    CompileOptions options = *of;
    options.only = NULL;
    options.use_cache = false;
    options.last = STAGE_routines;
    char *name = compile(&options, &c) == 0 ? header_net(c.unit->manifest, net) : NULL;
    bool found = name != NULL;
    free(name);
    compile_free(&c);
    return found;
}

/* A library travels: it is made for a processor that others have, unless the command says which. */
static const char *library_cpu(const Cli *cli) {
#ifdef __x86_64__
    static const char *const usual = "x86-64-v3";
#else
    static const char *const usual = NULL;
#endif
    if (!cli->target_cpu) return usual;
    if (strcmp(cli->target_cpu, "native") == 0)
        fprintf(
            stderr,
            "deq: warning[%s]: the library is made for the processor of this machine; on another one it may end with "
            "an illegal instruction\n",
            "W0831");
    return cli->target_cpu;
}

static bool is_level(const char *cpu) {
    for (const char *const *level = link_levels; *level; level++)
        if (!strcmp(*level, cpu)) return true;
    return false;
}

/* --target-cpu x86-64-v2,x86-64-v4: compiled for each. */
static int compile_library(const Cli *cli, CompileOptions options) {
    const char *given = library_cpu(cli);
    char *list = given ? strdup(given) : NULL, *rest = list;
    Compilation all[LINK_MOST_TARGETS];
    LinkTarget targets[LINK_MOST_TARGETS];
    int n = 0, code = 0;
    deq_error e = {0};
    do {
        options.target_cpu = strsep(&rest, ",");
        if ((n || rest) && (n == LINK_MOST_TARGETS || !is_level(options.target_cpu))) {
            deq_fail(&e, DEQ_SETTING,
                     "--target-cpu %s: several processors are at most four of x86-64, x86-64-v2, x86-64-v3, x86-64-v4",
                     given);
            break;
        }
        code = compile(&options, &all[n]);
        if (n == 0) verb_diagnostics(cli, &all[n]);
        targets[n] = (LinkTarget){options.target_cpu, all[n].result.objects};
        n++;
    } while (code == 0 && rest && options.last == STAGE_compile);
    if (code == 0 && !e.failure && options.last == STAGE_compile) code = build_library(cli, all, targets, n);
    while (n) compile_free(&all[--n]);
    free(list);
    return e.failure ? verb_failed(&e) : code;
}

int verb_build(const Cli *cli) {
    if (cli->emit) return verb_emit(cli);
    Compilation c;
    CompileOptions options = verb_options(cli, verb_last_stage(cli, STAGE_compile));
    const bool lib = cli->lib || cli->python;
    options.use_cache = false; /* the object itself is wanted */
    options.single = true;
    if (lib) options.target_cpu = NULL; /* see compile_library */
    if (lib && cli->net && trains_net(&options, cli->net)) options.only = NULL;
    options.cotangents = lib;
    if (lib) return compile_library(cli, options);
    int code = compile(&options, &c);
    verb_diagnostics(cli, &c);
    if (code == 0 && options.last == STAGE_compile) code = build_program(cli, &c, c.result.objects);
    compile_free(&c);
    return code;
}

int verb_header(const Cli *cli) {
    Compilation c;
    CompileOptions options = verb_options(cli, STAGE_check);
    int code = compile(&options, &c);
    verb_diagnostics(cli, &c);
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
