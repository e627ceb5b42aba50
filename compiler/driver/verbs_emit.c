/* verbs_emit.c - --emit: what a stage of the compiler has made, as text or as an object, instead of going on. */
#define _GNU_SOURCE
#include "compile.h"
#include "pass_list.h"
#include "verbs.h"
#include <stdlib.h>

static void print_passes(FILE *out) {
    for (int p = 0; p < GRAPH_PASSES; p++) fprintf(out, "%-15s%s\n", graph_passes[p].name, graph_passes[p].doc);
}

static void print_routines(const Compilation *c, FILE *out) {
    for (uint32_t i = 0; i < c->unit->nroutines; i++) routine_print(c->unit->routines[i], out);
}

/* `after`: the graphs after the pass that was asked for. */
static bool emit_text(const Cli *cli, const Compilation *c, const char *after, FILE *out) {
    switch (cli->emit) {
    case EMIT_ast: ast_print(c->program->main->unit, out); break;
    case EMIT_ir: cli->emit_after < GRAPH_PASSES ? (void)fputs(after, out) : print_routines(c, out); break;
    case EMIT_ll: fputs(c->result.ll, out); break;
    case EMIT_asm: fputs(c->result.assembly, out); break;
    case EMIT_obj: return fwrite(c->result.objects->bytes, 1, c->result.objects->size, out) == c->result.objects->size;
    case EMIT_passes: print_passes(out); break;
    case EMIT_NOTHING:
    case EMITS: break;
    }
    return !ferror(out);
}

int verb_emit(const Cli *cli) {
    if (cli->emit == EMIT_passes && !cli->nfiles) return print_passes(stdout), 0;
    Compilation c;
    CompileOptions options = verb_options(cli, emit_stages[cli->emit]);
    char *after = NULL;
    size_t size = 0;
    PassWatch watch = {(GraphPass)cli->emit_after, open_memstream(&after, &size)};
    if (!watch.out) abort();
    options.watch = &watch;
    options.use_cache = false;
    options.single = options.foreign = true;
    int code = compile(&options, &c);
    if (fclose(watch.out) != 0) abort();
    verb_diagnostics(cli, &c);
    char *text = NULL;
    FILE *out = code == 0 ? open_memstream(&text, &size) : NULL;
    if (code == 0 && (!out || !emit_text(cli, &c, after, out) || fclose(out) != 0)) abort();
    if (code == 0 && cli->output)
        code = write_file(cli->output, text, size);
    else if (code == 0 && fwrite(text, 1, size, stdout) != size)
        code = 3;
    free(text);
    free(after);
    compile_free(&c);
    return code;
}
