/* compile.c - see compile.h.  This file is the map of the compiler: every stage is one call here. */
#define _GNU_SOURCE
#include "compile.h"
#include "asked.h"
#include "cli.h"
#include "check.h"
#include "error.h"
#include "pipeline.h"
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

/* Everything besides the text of the modules that decides the bytes of the object. */
static char *option_text(Arena *a, const CompileOptions *o) {
    const char *cpu = o->target_cpu ? o->target_cpu : "native";
    return arena_printf(a, "%s abi=%d cpu=%s%s O%d %s math=%s%s%s%s%s%s%s%s%s%s%s%s", DEQ_VERSION, DEQ_ABI_VERSION, cpu,
                        strcmp(cpu, "native") == 0 ? cache_processor() : "", o->optimise, o->f64 ? "f64" : "f32",
                        o->math ? o->math : "inline", o->tests ? " tests" : "", o->only ? " only=" : "",
                        o->only ? o->only : "", o->nets ? " nets" : "", o->checks ? " checks" : "",
                        o->only_test ? " only-test" : "", o->profile ? " profile" : "",
                        o->penalties ? " penalties" : "", o->corrections ? " corrections" : "",
                        o->audit ? " audit" : "", o->cotangents ? " cotangents" : "");
}

/* LLVM says a mapping that it did not get in the system's words. */
static int backend_failed(char *error) {
    const bool mapping = error && strcasestr(error, "cannot allocate memory"), said = backend_lacked_memory();
    fprintf(stderr, "deq: %s%s\n",
            mapping && !said
                ? "error[E0931]: out of memory while the script was compiled (is it limited by ulimit -v?): "
                : "",
            error ? error : "the code generator failed");
    free(error);
    return mapping || said ? deq_failure_exit(DEQ_MEMORY) : EXIT_INTERNAL;
}

/* "examples/quickstart.deq" -> "quickstart" */
static const char *stem(Arena *a, const char *path) {
    char *name = arena_strdup(a, basename(arena_strdup(a, path)));
    char *dot = strrchr(name, '.');
    if (dot && dot != name) *dot = 0;
    return name;
}

/* Lines of the main file's declarations: the manifest names them in messages, so moving text is another object. */
static const char *line_text(Arena *a, const Module *m) {
    char *text = arena_strdup(a, "");
    for (uint32_t i = 0; i < m->unit->nkids; i++) {
        Range at = m->unit->kids[i]->range;
        text = arena_printf(a, "%s %u", text, at.source ? source_position(at.source, at.start).line : 0);
    }
    return text;
}

/* -N 'L[3]': the layer in a check behind the script, so that the checker sees it (pipeline.h). */
#define BEFORE_NET "check {\n  compare: gradients(\n"
static const char *net_declared(Arena *a, const char *only) {
    return only ? arena_printf(a, BEFORE_NET "%s\n) { modes: [implicit()] }\n}", only) : NULL;
}

/* A constant that is added has a name that a script has not, and that says in messages what it is. */
static void name_added(const Ast *unit) {
    Ast *last = unit && unit->nkids ? unit->kids[unit->nkids - 1] : NULL;
    if (last && last->kind == AST_CONST) last->name = "the expression";
}

int compile(const CompileOptions *o, Compilation *c) {
    memset(c, 0, sizeof *c);
    c->arena = arena_new();
    c->diags = diags_new(c->arena);

    const char *added = o->added ? o->added : net_declared(c->arena, o->only);
    Program *p = c->program = program_load_with(c->arena, c->diags, o->path, o->include, o->ninclude, added);
    const size_t begins = o->added ? o->asked : strlen(BEFORE_NET);
    if (added) p->main->source->asked = p->main->source->length - 1 - (uint32_t)(strlen(added) - begins);
    if (o->added) name_added(p->main->unit);
    if (o->audit || program_audits(p)) program_require(p, "std.losses"), program_require(p, "std.attacks");
    program_replace(p, o->set, o->nset);
    if (diags_errors(c->diags) || o->last == STAGE_parse) return diags_exit_code(c->diags);
    bool resolved = program_resolve(p); /* unknown names and wrong types in one run */
    if (o->last == STAGE_resolve) return diags_exit_code(c->diags);
    if (!program_check(p) || !resolved || o->last == STAGE_check) return diags_exit_code(c->diags);

    if (o->last == STAGE_elaborate) return pipeline_check(p), diags_exit_code(c->diags);

    const char *const *asked = asked_settings(p, o->set, o->nset);
    const char *options = option_text(c->arena, o);
    for (const char *const *text = asked; *text; text++) options = arena_printf(c->arena, "%s set=%s", options, *text);
    if (o->last == STAGE_compile && o->use_cache) {
        const char *parts[] = {
            program_hash(p), options, backend_identity(), p->main->path, line_text(c->arena, p->main), NULL};
        cache_open(&c->cache, parts);
        if (!o->emit_ll && !o->emit_asm && (c->module = cache_load(&c->cache))) {
            c->warm = true;
            return 0;
        }
    }

    /* Errors of instantiation are found with any layout; only code generation needs the processor's own. */
    PipelineOptions pipeline = {.layout = {.real_bytes = o->f64 ? 8 : 4, .panel = o->f64 ? 16 : 32},
                                .name = stem(c->arena, o->path),
                                .target = o->target_cpu ? o->target_cpu : "native",
                                .options = options,
                                .tests = o->tests,
                                .nets = o->nets,
                                .checks = o->checks,
                                .only_test = o->only_test,
                                .only = o->only,
                                .watch = o->watch,
                                .penalties = o->penalties,
                                .corrections = o->corrections,
                                .audit = o->audit,
                                .asked = asked,
                                .cotangents = o->cotangents};
    const Backend *backend = NULL;
    char *error = NULL;
    if (o->last == STAGE_compile) {
        backend = backend_get(&error);
        if (!backend || !backend->layout(pipeline.target, pipeline.layout.real_bytes, &pipeline.layout, &error))
            return backend_failed(error);
        pipeline.target = arena_strdup(c->arena, backend->target(pipeline.target));
    }
    c->unit = pipeline_build(p, &pipeline);
    if (!c->unit || o->last == STAGE_routines) return diags_exit_code(c->diags);

    if (o->elaborated) o->elaborated(o->context, c->unit->manifest);

    BackendOptions back = {.cpu = o->target_cpu ? o->target_cpu : "native",
                           .optimise = o->optimise,
                           .math = o->math ? o->math : "inline",
                           .profile = o->profile,
                           .single = o->single,
                           .foreign = o->foreign,
                           .emit_ll = o->emit_ll,
                           .emit_asm = o->emit_asm};
    if (!backend->compile(c->unit, &back, &c->result)) return backend_failed(c->result.error);
    if (o->use_cache) cache_store(&c->cache, c->result.objects, c->result.nobjects);
    return 0;
}

int compile_load(Compilation *c) {
    if (c->module) return 0;
    char *error = NULL;
    const Backend *backend = backend_get(&error);
    if (backend) c->module = backend->load(c->result.objects, c->result.nobjects, &error);
    return c->module ? 0 : backend_failed(error);
}

void compile_free(Compilation *c) {
    cache_close(&c->cache);
    for (uint32_t k = 0; k < c->result.nobjects; k++) free(c->result.objects[k].bytes);
    free(c->result.ll);
    free(c->result.assembly);
    free(c->result.row_bytes);
    free(c->result.base_bytes);
    arena_free(c->arena);
    memset(c, 0, sizeof *c);
}
