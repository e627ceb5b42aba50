/* verbs_eval.c - deq eval: an expression of the language, whose form says what is asked.
 *
 *     NET(INPUTS)                  the net's output
 *     NET.PATH(INPUTS)             the value of its fixed point at that path: net.body(..), net.z(..)
 *     gradient(LOSS, NET(INPUTS))  each example's gradient of its own loss in its input
 *     anything else                a constant of numbers, consts and built-in functions of them
 *
 * NET is a training run, or a layer with its sizes; INPUTS is d.test[3], d.train[0..4], random(4) or a file, "x.npy". */
#define _GNU_SOURCE
#include "ast.h"
#include "compile.h"
#include "eval.h"
#include "header.h"
#include "pipeline.h"
#include "verbs.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASKED "const the_expression: f32 =\n" /* what stands before the expression: it begins a line of its own */

static const Ast *value_asked(const Program *p) {
    const Ast *unit = p->main->unit, *last = unit && unit->nkids ? unit->kids[unit->nkids - 1] : NULL;
    return last && last->kind == AST_CONST ? AST_SLOT(last, CONST, value) : NULL;
}

static const Ast *only_input(const Ast *call) {
    const Ast *list =
        call && call->kind == AST_CALL && !AST_SLOT(call, CALL, state) ? AST_SLOT(call, CALL, inputs) : NULL;
    return list && list->nkids == 1 && !list->kids[0]->name ? AST_SLOT(list->kids[0], ARG, value) : NULL;
}

static bool count_of(const Ast *e, int64_t *out) {
    if (!e || e->kind != AST_NUMBER || e->number != floor(e->number) || !(e->number >= 0 && e->number <= 1e9))
        return false;
    *out = (int64_t)e->number;
    return true;
}

/* d.test[3], d.train[0..4] */
static bool read_slice(const Ast *e, deq_eval *out) {
    const Ast *split = e->kind == AST_INDEX ? AST_SLOT(e, INDEX, base) : NULL;
    const Ast *list = split ? AST_SLOT(e, INDEX, indices) : NULL, *at = list && list->nkids == 1 ? list->kids[0] : NULL;
    const Ast *data = split && split->kind == AST_MEMBER ? AST_SLOT(split, MEMBER, base) : NULL;
    if (!at || !data || data->kind != AST_NAME) return false;
    if (strcmp(split->name, "test") != 0 && strcmp(split->name, "train") != 0) return false;
    out->data = data->name;
    out->test = strcmp(split->name, "test") == 0;
    out->to = -1;
    if (at->kind == AST_BINARY && strcmp(at->name, "..") == 0)
        return count_of(AST_SLOT(at, BINARY, left), &out->from) && count_of(AST_SLOT(at, BINARY, right), &out->to);
    return count_of(at, &out->from);
}

static bool read_inputs(const Ast *e, deq_eval *out) {
    const Ast *callee = e->kind == AST_CALL ? AST_SLOT(e, CALL, callee) : NULL;
    if (e->kind == AST_STRING) return out->file = e->name, true;
    if (callee && callee->kind == AST_NAME && strcmp(callee->name, "random") == 0)
        return count_of(only_input(e), &out->random);
    return read_slice(e, out);
}

static const char *text_of(Arena *a, const Ast *e) {
    return arena_strndup(a, e->range.source->text + e->range.start, e->range.end - e->range.start);
}

/* NET(INPUTS) or NET.PATH(INPUTS) */
static bool read_call(Arena *a, const Ast *e, deq_eval *out) {
    const Ast *input = only_input(e), *net = input ? AST_SLOT(e, CALL, callee) : NULL;
    if (!net || !read_inputs(input, out)) return false;
    const char *path = NULL;
    for (; net->kind == AST_MEMBER; net = AST_SLOT(net, MEMBER, base))
        path = path ? arena_printf(a, "%s.%s", net->name, path) : net->name;
    if (net->kind != AST_NAME && net->kind != AST_INDEX) return false;
    out->net = text_of(a, net);
    out->fixed = path;
    return true;
}

static bool read_gradient(Arena *a, const Ast *e, deq_eval *out) {
    const Ast *callee = e->kind == AST_CALL ? AST_SLOT(e, CALL, callee) : NULL;
    const Ast *list =
        callee && callee->kind == AST_NAME && strcmp(callee->name, "gradient") == 0 ? AST_SLOT(e, CALL, inputs) : NULL;
    if (!list || list->nkids != 2 || list->kids[0]->name || list->kids[1]->name) return false;
    out->loss = text_of(a, AST_SLOT(list->kids[0], ARG, value));
    return read_call(a, AST_SLOT(list->kids[1], ARG, value), out) && !out->fixed;
}

static int value_of_net(const Cli *cli, deq_eval *what) {
    Compilation c;
    CompileOptions options = verb_options(cli, STAGE_compile);
    options.only = trains_net(&options, what->net) ? NULL : what->net;
    int code = compile(&options, &c);
    diags_print(c.diags, stderr, isatty(2));
    if (code == 0) code = load_linked(cli, &c);
    if (code == 0) {
        char *net = header_net(c.module->manifest, what->net);
        what->net = net ? net : what->net;
        code = deq_app_eval(c.module, what);
        free(net);
    }
    compile_free(&c);
    return code;
}

static int value_of_constant(const Cli *cli, const char *text) {
    if (cli->output || cli->checkpoint) {
        fprintf(stderr, "deq eval: a constant takes no --%s\n", cli->output ? "output" : "checkpoint");
        return EXIT_USAGE;
    }
    Compilation c;
    CompileOptions options = verb_options(cli, STAGE_check);
    char *added;
    if (asprintf(&added, ASKED "%s", text) < 0) abort();
    options.added = added;
    options.use_cache = false;
    int code = compile(&options, &c);
    double value = 0;
    if (code == 0 && !pipeline_number(c.program, value_asked(c.program), &value)) code = diags_exit_code(c.diags);
    diags_print(c.diags, stderr, isatty(2));
    if (code == 0) code = deq_app_eval_number(text, value, cli->json);
    compile_free(&c);
    free(added);
    return code;
}

int verb_eval(const Cli *cli) {
    if (cli->nfiles < 2) {
        fputs("deq eval: EXPR is missing: 'net(d.test[0])', 'net.body(random(2))', 'gradient(cross_entropy, "
              "net(d.test[0]))', '8 / 255'\n",
              stderr);
        return EXIT_USAGE;
    }
    const char *text = cli->files[1];
    Arena *arena = arena_new();
    Diags *diags = diags_new(arena);
    const Program *p = program_load_text(arena, diags, "EXPR", arena_printf(arena, ASKED "%s\n", text));
    const Ast *asked = diags_errors(diags) || p->main->unit->nkids != 1 ? NULL : value_asked(p);
    deq_eval what = {.text = text,
                     .checkpoint = cli->checkpoint,
                     .seed = cli->seed,
                     .threads = cli->threads,
                     .output = cli->output,
                     .json = cli->json};
    int code;
    if (!asked) {
        diags_print(diags, stderr, isatty(2));
        code = diags_exit_code(diags);
        if (code == 0) fputs("deq eval: EXPR is one expression\n", stderr), code = 1;
    } else if (read_gradient(arena, asked, &what) || (what.loss = NULL, read_call(arena, asked, &what))) {
        code = value_of_net(cli, &what);
    } else {
        code = value_of_constant(cli, text);
    }
    arena_free(arena);
    return code;
}
