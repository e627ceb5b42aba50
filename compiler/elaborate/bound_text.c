/* bound_text.c - a bound that depends on other settings, radius: f32 in 0..(if p == inf then 1 else inf), as a text that
 * the runtime reads again when `--set` changes them: operations behind what they work on, $p inf == 1 inf if.  Functions
 * in it are written out, with what their own modules know.  What cannot be written so is an error. */
#include "elaborate.h"
#include "constant.h"
#include <string.h>

/* Whether the runtime computes it. */
static bool is_computed(const char *name, uint32_t operands) {
    double ignored;
    return deq_constant(name, (int)operands, 1, 1, &ignored);
}

/* A function that is passed to another, and what knows its names; fn NULL: a number is passed. */
typedef struct Passed {
    const Ast *fn;
    const Module *owner;
} Passed;

typedef struct Names { /* what a bound may depend on: settings, or the parameters of a function that it calls */
    const Ast *list;
    const char *const *texts; /* of the parameters' arguments; NULL: settings */
    const Passed *passed;     /* those that are functions */
    Scope *scope;             /* where everything else has its meaning: of the settings, or the function's module */
} Names;

typedef struct Writer { /* the first thing that the runtime does not compute */
    Range failed;       /* without source: nothing yet, or an error told where it was found */
    const char *why;    /* NULL: all is well so far */
    bool large;         /* that is that it becomes too long */
    uint32_t calls;
} Writer;

enum { MOST_BYTES = 10000, MOST_CALLS = 1000 }; /* of a bound: an argument is written out wherever it is mentioned */

static const char *fail(Writer *w, Range at, const char *why) {
    if (!w->why) w->failed = at, w->why = why;
    return NULL;
}

static const char *too_large(Writer *w, Range at) {
    w->large = w->large || !w->why;
    return fail(w, at, "here");
}

static const Ast *name_in(const Ast *e, const Names *names, uint32_t *at) {
    for (uint32_t k = 0; e->kind == AST_NAME && k < names->list->nkids; k++)
        if (e->ref == names->list->kids[k]) return *at = k, e;
    return NULL;
}

static bool mentions(const Ast *e, const Names *names) {
    uint32_t at;
    if (!e) return false;
    if (name_in(e, names, &at)) return true;
    for (uint32_t k = 0; k < e->nkids; k++)
        if (mentions(e->kids[k], names)) return true;
    return false;
}

static const char *text_of(Writer *w, const Ast *e, const Names *names);

/* v |> f and v |> f(a), as f(v) and f(v, a). */
static const Ast *piped(Arena *a, const Ast *e) {
    const Ast *left = AST_SLOT(e, BINARY, left), *right = AST_SLOT(e, BINARY, right);
    const Ast *more = right->kind == AST_CALL ? AST_SLOT(right, CALL, inputs) : NULL;
    Ast *call = ast_new(a, AST_CALL, e->range, 3), *first = ast_new(a, AST_ARG, left->range, 1);
    Ast *inputs = ast_new(a, AST_LIST, e->range, 1 + (more ? more->nkids : 0));
    AST_SLOT(first, ARG, value) = (Ast *)left;
    inputs->kids[0] = first;
    for (uint32_t k = 1; k < inputs->nkids; k++) inputs->kids[k] = more->kids[k - 1];
    AST_SLOT(call, CALL, callee) = more ? AST_SLOT(right, CALL, callee) : (Ast *)right;
    AST_SLOT(call, CALL, state) = more ? AST_SLOT(right, CALL, state) : NULL;
    AST_SLOT(call, CALL, inputs) = inputs;
    return call;
}

/* The function that an expression names: of the module, or one that is passed itself. */
static Passed function_named(const Ast *e, const Names *names) {
    uint32_t at;
    char path[512];
    Passed f = {0};
    if (name_in(e, names, &at)) return names->passed ? names->passed[at] : f;
    f.fn = ast_path(e, path, sizeof path) ? module_find(names->scope->module, path, &f.owner) : NULL;
    return f;
}

/* A function whose body is an expression is written out; what it names besides its parameters, its module knows. */
static const char *function_text_of(Writer *w, const Ast *call, const Ast *fn, const Module *owner,
                                    const Names *names) {
    Arena *a = names->scope->elab->arena;
    const Ast *inputs = AST_SLOT(fn, FN, inputs), *params = AST_SLOT(inputs, PARAMS, inputs);
    const Ast *body = AST_SLOT(fn, FN, body);
    if (++w->calls > MOST_CALLS) return too_large(w, call->range);
    const Frame frame = {arena_printf(a, "in '%s', used here", fn->name), call->range, names->scope->frame};
    Scope inside = scope_of_module(names->scope->elab, owner);
    inside.frame = &frame;
    if (body->kind == AST_LIST)
        return fail(w, fn->name_range,
                    arena_printf(a, "the body of '%s' is statements; write one expression, fn %s(..) -> f32 = ..",
                                 fn->name, fn->name));
    if (AST_SLOT(inputs, PARAMS, state) || AST_SLOT(fn, FN, sizes) || !params)
        return fail(w, fn->name_range, arena_printf(a, "'%s' is no function of numbers alone", fn->name));
    const char **texts = arena_alloc(a, (params->nkids + 1) * sizeof *texts);
    Passed *passed = arena_alloc(a, (params->nkids + 1) * sizeof *passed);
    memset(texts, 0, (params->nkids + 1) * sizeof *texts);
    memset(passed, 0, (params->nkids + 1) * sizeof *passed);
    const Names inner = {params, texts, passed, &inside};
    for (uint32_t k = 0; k < params->nkids; k++) {
        const Ast *arg = ast_argument(AST_SLOT(call, CALL, inputs), params, k);
        if (AST_SLOT(params->kids[k], BINDING, type)->kind == AST_FN_TYPE) {
            const Ast *value = arg ? AST_SLOT(arg, ARG, value) : AST_SLOT(params->kids[k], BINDING, fallback);
            passed[k] = function_named(value, arg ? names : &inner);
            if (!passed[k].fn || passed[k].fn->kind != AST_FN)
                return fail(w, value->range, "a function that is passed here is one of a script, without settings");
            continue;
        }
        texts[k] = arg ? text_of(w, AST_SLOT(arg, ARG, value), names)
                       : text_of(w, AST_SLOT(params->kids[k], BINDING, fallback), &inner);
        if (!texts[k]) return NULL;
    }
    return text_of(w, body, &inner);
}

static const char *call_text(Writer *w, const Ast *e, const Names *names) {
    const Ast *callee = AST_SLOT(e, CALL, callee), *args = AST_SLOT(e, CALL, inputs);
    const Passed f = function_named(callee, names);
    if (f.fn && f.fn->kind == AST_FN && !AST_SLOT(e, CALL, state)) return function_text_of(w, e, f.fn, f.owner, names);
    if (f.fn || callee->kind != AST_NAME || callee->ref || AST_SLOT(e, CALL, state) ||
        !is_computed(callee->name, args->nkids))
        return fail(w, e->range, "this call is none of these");
    const char *out = "";
    for (uint32_t k = 0; k < args->nkids; k++) {
        const char *arg = args->kids[k]->kind == AST_ARG
                              ? text_of(w, AST_SLOT(args->kids[k], ARG, value), names)
                              : fail(w, args->kids[k]->range, "this argument is none of these");
        if (!arg) return NULL;
        out = arena_printf(names->scope->elab->arena, "%s%s ", out, arg);
    }
    return arena_printf(names->scope->elab->arena, "%s%s", out, callee->name);
}

static const char *plain_text(Writer *w, const Ast *e, const Names *names) {
    Arena *a = names->scope->elab->arena;
    uint32_t at;
    if (name_in(e, names, &at)) {
        const char *text = names->texts ? names->texts[at] : arena_printf(a, "$%s", e->name);
        return text ? text : fail(w, e->range, "this parameter has no value yet");
    }
    if (!mentions(e, names)) {
        double x;
        return eval_number(names->scope, e, &x) ? arena_printf(a, "%.17g", x) : fail(w, (Range){0}, "");
    }
    const char *x, *y, *z;
    switch (e->kind) {
    case AST_IF:
        x = text_of(w, AST_SLOT(e, IF, condition), names);
        y = text_of(w, AST_SLOT(e, IF, yes), names);
        z = text_of(w, AST_SLOT(e, IF, no), names);
        return x && y && z ? arena_printf(a, "%s %s %s if", x, y, z) : NULL;
    case AST_UNARY:
        x = text_of(w, AST_SLOT(e, UNARY, operand), names);
        return !x                            ? NULL
               : strcmp(e->name, "-") == 0   ? arena_printf(a, "0 %s -", x)
               : strcmp(e->name, "not") == 0 ? arena_printf(a, "%s 0 ==", x)
                                             : fail(w, e->range, "this operator is none of these");
    case AST_BINARY:
        if (strcmp(e->name, "|>") == 0) return call_text(w, piped(a, e), names);
        if (!is_computed(e->name, 2)) return fail(w, e->range, "this operator is none of these");
        x = text_of(w, AST_SLOT(e, BINARY, left), names);
        y = text_of(w, AST_SLOT(e, BINARY, right), names);
        return x && y ? arena_printf(a, "%s %s %s", x, y, e->name) : NULL;
    case AST_CALL: return call_text(w, e, names);
    default: return fail(w, e->range, "this is none of these");
    }
}

/* NULL: something in it that the runtime does not compute, or it is too long. */
static const char *text_of(Writer *w, const Ast *e, const Names *names) {
    const char *text = w->why ? NULL : plain_text(w, e, names);
    return text && strlen(text) > MOST_BYTES ? too_large(w, e->range) : text;
}

bool bound_text(Scope *settings, const char *of, const Ast *bound, const Ast *list, const char **text) {
    const Names names = {list, NULL, NULL, settings};
    Writer w = {0};
    *text = list && mentions(bound, &names) ? text_of(&w, bound, &names) : NULL;
    if (w.large)
        elab_error_note(settings, DIAG_E0601, bound->range, w.failed, w.why,
                        "this bound of '%s' is too long, with the functions in it written out", of);
    else if (w.why && w.failed.source)
        elab_error_note(
            settings, DIAG_E0321, bound->range, w.failed, w.why,
            "this bound of '%s' depends on other settings, which --set may change: numbers, operators, 'if' "
            "and functions of one expression can be computed again",
            of);
    return !w.why;
}

const char *bound_where(Scope *settings, const Ast *bound, const Ast *list, const char *text) {
    double x;
    uint32_t at;
    if (!bound || !list) return text;
    if (name_in(bound, &(Names){list, NULL, NULL, settings}, &at)) {
        const char *this = eval_number(settings, bound, &x)
                               ? arena_printf(settings->elab->arena, "%s is %g", bound->name, x)
                               : bound->name;
        return strstr(text, this)
                   ? text
                   : arena_printf(settings->elab->arena, "%s%s%s", text, *text ? " and " : ", where ", this);
    }
    for (uint32_t k = 0; k < bound->nkids; k++) text = bound_where(settings, bound->kids[k], list, text);
    return text;
}
