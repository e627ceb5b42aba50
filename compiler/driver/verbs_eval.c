/* verbs_eval.c - deq eval: an expression of the language, whose form says what is asked.
 *
 *     NET(INPUTS)                        the net's output
 *     NET.PATH(INPUTS)                   the value of its fixed point at that path: net.body(..), net.z(..)
 *     states(NET.PATH(INPUTS), 1..9)     what its solver returns after 1, 2 .. 8 steps
 *     residuals(NET.PATH(INPUTS), 1..9)  of these states
 *     loss(LOSS, NET(INPUTS))            each example's loss
 *     gradient(LOSS, NET(INPUTS))        each example's gradient of its own loss in its input
 *     anything else                      a constant of numbers, consts and built-in functions of them
 *
 * NET is a training run, also of a module, setup.net, or a layer with its sizes; INPUTS is d.test[3], d.train[0..4],
 * random(4), a file, "x.npy", or a name that --array gives to one. */
#define _GNU_SOURCE
#include "ast.h"
#include "compile.h"
#include "constants.h"
#include "eval.h"
#include "header.h"
#include "pipeline.h"
#include "tables.h"
#include "verbs.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASKED "const asked =\n" /* what stands before the expression: it begins a line of its own */

/* The constant ASKED; NULL: the text went on behind it. */
static const Ast *constant_asked(const Program *p) {
    const Ast *unit = p->main->unit, *last = unit && unit->nkids ? unit->kids[unit->nkids - 1] : NULL;
    return last && last->kind == AST_CONST ? last : NULL;
}

static const Ast *value_asked(const Program *p) {
    const Ast *constant = constant_asked(p);
    return constant ? AST_SLOT(constant, CONST, value) : NULL;
}

static const Ast *only_input(const Ast *call) {
    const Ast *list =
        call && call->kind == AST_CALL && !AST_SLOT(call, CALL, state) ? AST_SLOT(call, CALL, inputs) : NULL;
    return list && list->nkids == 1 && !list->kids[0]->name ? AST_SLOT(list->kids[0], ARG, value) : NULL;
}

enum { MOST = 1000000000 };

static bool count_of(const Ast *e, int64_t *out) {
    if (!e || e->kind != AST_NUMBER || e->number != floor(e->number) || !(e->number >= 0 && e->number <= MOST))
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

/* The file of --array NAME=FILE; of the last one of that name.  NULL: there is none. */
static const char *array_named(const Cli *cli, const char *name) {
    const size_t n = strlen(name);
    const char *file = NULL;
    for (int i = 0; i < cli->narray; i++)
        if (strncmp(cli->array[i], name, n) == 0 && cli->array[i][n] == '=') file = cli->array[i] + n + 1;
    return file;
}

/* A name that is no array, in a call of what is no function of numbers: it was meant as one. */
static void no_array(const Cli *cli, Diags *diags, const Ast *net, const Ast *input) {
    const char *names[64];
    uint32_t n = 0;
    if (net->kind == AST_NAME && builtin_find(net->name, ~0u)) return;
    for (int i = 0; i < cli->narray && n < sizeof names / sizeof *names; i++)
        names[n++] = strndup(cli->array[i], strcspn(cli->array[i], "="));
    Diagnostic *d = diag_report(diags, DIAG_E0201, input->range, "there is no array '%s'", input->name);
    const char *near = diag_nearest(input->name, names, n);
    if (near)
        diag_meant(d, near, "");
    else if (strcmp(input->name, "random") == 0)
        diag_help(d, "random(2) draws two inputs");
    else
        diag_help(d, "--array %s=FILE gives it", input->name);
    while (n) free((char *)names[--n]);
}

static bool read_inputs(const Cli *cli, Diags *diags, const Ast *net, const Ast *e, deq_eval *out) {
    const Ast *callee = e->kind == AST_CALL ? AST_SLOT(e, CALL, callee) : NULL;
    if (e->kind == AST_NAME) {
        out->file = array_named(cli, e->name);
        if (!out->file) no_array(cli, diags, net, e);
        return out->file;
    }
    if (e->kind == AST_STRING) return out->file = e->name, true;
    if (!callee || callee->kind != AST_NAME || strcmp(callee->name, "random") != 0) return read_slice(e, out);
    const bool good = count_of(only_input(e), &out->random);
    if (!good)
        diag_report(diags, DIAG_E0310, e->range, "random(N) draws N inputs: N is a whole number from 1 to %d", MOST);
    return good;
}

static const char *text_of(Arena *a, const Ast *e) {
    return arena_strndup(a, e->range.source->text + e->range.start, e->range.end - e->range.start);
}

static bool trained(const Cli *cli, const char *net) {
    const CompileOptions options = verb_options(cli, STAGE_compile);
    return trains_net(&options, net);
}

/* NET(INPUTS) or NET.PATH(INPUTS); of a name with points the longest beginning that is a training run is the net. */
static bool read_call(const Cli *cli, Arena *a, Diags *diags, const Ast *e, deq_eval *out) {
    const Ast *input = only_input(e), *net = input ? AST_SLOT(e, CALL, callee) : NULL;
    if (!net || !read_inputs(cli, diags, net, input, out)) return false;
    const char *path = NULL;
    for (; net->kind == AST_MEMBER; net = AST_SLOT(net, MEMBER, base)) {
        const char *whole = text_of(a, net);
        if (trained(cli, whole)) break;
        path = path ? arena_printf(a, "%s.%s", net->name, path) : net->name;
    }
    if (net->kind != AST_NAME && net->kind != AST_INDEX && net->kind != AST_MEMBER) return false;
    out->net = text_of(a, net);
    out->fixed = path;
    return true;
}

/* NAME(FIRST, SECOND): the two arguments. */
static bool read_pair(const Ast *e, const char *name, const Ast **first, const Ast **second) {
    const Ast *callee = e->kind == AST_CALL ? AST_SLOT(e, CALL, callee) : NULL;
    const Ast *list =
        callee && callee->kind == AST_NAME && strcmp(callee->name, name) == 0 ? AST_SLOT(e, CALL, inputs) : NULL;
    if (!list || list->nkids != 2 || list->kids[0]->name || list->kids[1]->name) return false;
    *first = AST_SLOT(list->kids[0], ARG, value);
    *second = AST_SLOT(list->kids[1], ARG, value);
    return true;
}

/* FROM..TO, TO exclusive, as in slices. */
static bool read_range(const Ast *e, deq_eval *out) {
    int64_t from, to;
    if (e->kind != AST_BINARY || strcmp(e->name, "..") != 0 || !count_of(AST_SLOT(e, BINARY, left), &from) ||
        !count_of(AST_SLOT(e, BINARY, right), &to) || from < 1 || to <= from)
        return false;
    out->first = (int)from;
    out->last = (int)to - 1;
    return true;
}

/* False: it is a constant, or the diagnostics say what is wrong. */
static bool read_eval(const Cli *cli, Arena *a, Diags *diags, const Ast *e, deq_eval *out) {
    const Ast *first, *second;
    if (read_pair(e, "gradient", &first, &second) || read_pair(e, "loss", &first, &second)) {
        out->what = strcmp(AST_SLOT(e, CALL, callee)->name, "loss") == 0 ? DEQ_EVAL_loss : DEQ_EVAL_gradient;
        out->loss = text_of(a, first);
        return read_call(cli, a, diags, second, out) && !out->fixed;
    }
    if (read_pair(e, "states", &first, &second) || read_pair(e, "residuals", &first, &second)) {
        out->what = strcmp(AST_SLOT(e, CALL, callee)->name, "states") == 0 ? DEQ_EVAL_states : DEQ_EVAL_residuals;
        return read_range(second, out) && read_call(cli, a, diags, first, out);
    }
    const bool is_call = read_call(cli, a, diags, e, out);
    out->what = out->fixed ? DEQ_EVAL_value : DEQ_EVAL_output;
    return is_call;
}

static int value_of_net(const Cli *cli, deq_eval *what) {
    Compilation c;
    CompileOptions options = verb_options(cli, STAGE_compile);
    options.only = trains_net(&options, what->net) ? NULL : what->net;
    int code = compile(&options, &c);
    verb_diagnostics(cli, &c);
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
    options.asked = strlen(ASKED);
    options.use_cache = false;
    int code = compile(&options, &c);
    double value = 0;
    const Ast *constant = code == 0 ? constant_asked(c.program) : NULL;
    if (constant && constant_written_out(constant))
        diag_help(diag_report(c.diags, DIAG_E0321, AST_SLOT(constant, CONST, value)->range, "this is no number"),
                  "deq eval shows numbers, and what nets and layers give: 'net(d.test[0])'");
    else if (constant)
        pipeline_number(c.program, AST_SLOT(constant, CONST, value), &value);
    if (constant) code = diags_exit_code(c.diags);
    verb_diagnostics(cli, &c);
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
    const Program *p = program_load_text(arena, diags, "command line", arena_printf(arena, ASKED "%s\n", text));
    p->main->source->asked = strlen(ASKED);
    const Ast *asked = diags_errors(diags) || p->main->unit->nkids != 1 ? NULL : value_asked(p);
    deq_eval what = {.text = text,
                     .checkpoint = cli->checkpoint,
                     .run = {.threads = cli->threads,
                             .has_seed = cli->has_seed,
                             .seed = cli->seed,
                             .set = cli->set,
                             .nset = cli->nset,
                             .fresh = cli->fresh,
                             .json = cli->json,
                             .quiet = true},
                     .output = cli->output};
    const Ast *unit = p->main->unit;
    if (!asked && !diags_errors(diags))
        diag_report(diags, DIAG_E0101, unit->kids[unit->nkids - 1]->range, "EXPR is one expression");
    const bool of_net = asked && read_eval(cli, arena, diags, asked, &what);
    int code = diags_exit_code(diags);
    if (code && cli->json)
        diags_print_json(diags, stdout);
    else if (code)
        diags_print(diags, stderr, isatty(2));
    else
        code = of_net ? value_of_net(cli, &what) : value_of_constant(cli, text);
    arena_free(arena);
    return code;
}
