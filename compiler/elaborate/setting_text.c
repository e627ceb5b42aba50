/* setting_text.c - settings and initialisers as texts.
 *
 * A value is read by the type that its table gives it (runtime/arguments/families.h): numbers by the evaluator of every
 * other number of a script, words as words, solvers as calls.  The text says what the script gave, in the grammar that
 * the runtime reads. */
#include "elaborate.h"
#include "settings.h"
#include <math.h>
#include <string.h>

static const char *complain(const Scope *s, DiagCode code, Range at, const deq_complaint *why) {
    if (*why->help)
        elab_error_help(s, code, at, why->help, "%s", why->text);
    else
        elab_error(s, code, at, "%s", why->text);
    return NULL;
}

/* ---- values by type ---- */

static const char *number_value(Scope *s, const deq_argument *a, const char *what, const Ast *value) {
    double x;
    deq_complaint why;
    if (!eval_number(s, value, &x)) return NULL;
    if (!deq_number_fits(a, what, x, &why)) return complain(s, DIAG_E0412, value->range, &why);
    return number_text(s->elab->arena, x);
}

static const char *states_value(Scope *s, const char *what, const Ast *value) {
    Arena *a = s->elab->arena;
    const bool range = value->kind == AST_BINARY && strcmp(value->name, "..") == 0;
    double first, limit;
    deq_complaint why;
    if (!eval_number(s, range ? AST_SLOT(value, BINARY, left) : value, &first)) return NULL;
    if (!range)
        limit = first + 1;
    else if (!eval_number(s, AST_SLOT(value, BINARY, right), &limit))
        return NULL;
    if (!deq_states_fit(what, first, limit, &why)) return complain(s, DIAG_E0412, value->range, &why);
    return range ? arena_printf(a, "%s..%s", number_text(a, first), number_text(a, limit)) : number_text(a, first);
}

static const char *word_value(Scope *s, const char *words, const char *what, const Ast *value) {
    int place;
    deq_complaint why;
    deq_part word = value->kind == AST_NAME ? deq_part_of(value->name) : (deq_part){"", 0};
    if (!deq_word_fits(words, what, word, &place, &why)) return complain(s, DIAG_E0416, value->range, &why);
    return arena_strndup(s->elab->arena, word.text, word.length);
}

static const char *argument_value(Scope *s, const deq_argument *a, const char *what, const Ast *value) {
    Scope from;
    const Ast *e = a->type == DEQ_WORD ? value : resolve_ast(s, value, &from);
    switch (a->type) {
    case DEQ_NUMBER:
    case DEQ_WHOLE: return number_value(&from, a, what, e);
    case DEQ_STATES: return states_value(&from, what, e);
    case DEQ_WORD: return word_value(s, a->words, what, e);
    case DEQ_NESTED: return chain_text(s, value, SOLVER_ADJOINT);
    case DEQ_FLAG:
        if (e->kind == AST_BOOL) return e->number != 0 ? "true" : "false";
        return elab_error(s, DIAG_E0504, value->range, "'%s' is true or false", what), NULL;
    case DEQ_TEXT: break;
    }
    return elab_error(s, DIAG_E0504, value->range, "'%s' is not given here", what), NULL;
}

/* ---- calls ---- */

/* The first argument of a row may stand without its name. */
static deq_part argument_name(const deq_family *f, const deq_row *row, const Ast *arg, uint32_t place) {
    return deq_argument_named(f, row, arg->name ? deq_part_of(arg->name) : (deq_part){"", 0}, (int)place);
}

/* NAME(argument: value, ..) with the arguments that are given. */
static const char *call_text(Scope *s, const Ast *e, const deq_family *f, const deq_row *row, int uses) {
    Arena *a = s->elab->arena;
    const Ast *list = e->kind == AST_CALL ? AST_SLOT(e, CALL, inputs) : NULL;
    const char *text = "";
    for (uint32_t k = 0; list && k < list->nkids; k++) {
        const Ast *arg = list->kids[k];
        deq_part name = argument_name(f, row, arg, k);
        deq_complaint why;
        if (!deq_argument_known(f, row, uses, name, &why)) return complain(s, DIAG_E0411, arg->range, &why);
        const deq_argument *argument = deq_argument_find(f, row, name);
        const char *what = arena_printf(a, "%s' of '%s", argument->name, row->name),
                   *value = argument_value(s, argument, what, AST_SLOT(arg, ARG, value));
        if (!value) return NULL;
        text = arena_printf(a, "%s%s%s%s%s", text, k ? ", " : "", arg->name ? arg->name : "", arg->name ? ": " : "",
                            value);
    }
    return arena_printf(a, "%s(%s)", row->name, text);
}

/* The name that is called or stands alone, "" when it is neither; *row: of the family, NULL: not one of its. */
static const char *called(Scope *s, const Ast *e, const deq_family *f, const deq_row **row) {
    char path[512] = "";
    const Ast *callee = e->kind == AST_CALL ? AST_SLOT(e, CALL, callee) : e;
    if (!ast_path(callee, path, sizeof path)) *path = 0;
    *row = *path ? deq_row_find(f, deq_part_of(path)) : NULL;
    return arena_strdup(s->elab->arena, path);
}

/* net.gradient: a member that is no name of a module's. */
static bool is_net_setting(Scope *s, const Ast *e) {
    char path[512];
    return e->kind == AST_MEMBER && !(ast_path(e, path, sizeof path) && module_find(s->module, path, NULL));
}

bool setting_of_asked_net(Scope *s, const Ast *value) {
    Scope from;
    const Ast *e = resolve_ast(s, value, &from), *train = NULL;
    return s->elab->asked_net && is_net_setting(&from, e) && strcmp(e->name, "gradient") == 0 &&
           s->elab->net_setting(&from, e, &train) && train == s->elab->asked_net;
}

static const char *unknown(Scope *s, const Ast *at, const deq_family *f, int uses, const char *name, DiagCode code) {
    deq_complaint why;
    deq_row_known(f, deq_part_of(name), uses, &why);
    return complain(s, code, at->range, &why);
}

const char *chain_text(Scope *s, const Ast *value, int uses) {
    Scope from;
    const Ast *e = resolve_ast(s, value, &from);
    if (e->kind == AST_BINARY && strcmp(e->name, "else") == 0) {
        const char *first = chain_text(&from, AST_SLOT(e, BINARY, left), uses),
                   *then = chain_text(&from, AST_SLOT(e, BINARY, right), uses);
        return first && then ? arena_printf(s->elab->arena, "%s else %s", first, then) : NULL;
    }
    const deq_row *row;
    const char *name = called(&from, e, &deq_solver_family, &row);
    if (!row && is_net_setting(&from, e)) return s->elab->net_setting(&from, e, NULL);
    return row ? call_text(&from, e, &deq_solver_family, row, uses)
               : unknown(s, value, &deq_solver_family, uses, name, DIAG_E0410);
}

static bool takes_solver(const deq_row *mode) {
    const deq_argument *first = deq_argument_at(&deq_mode_family, mode, 0, 0);
    return first && first->type == DEQ_NESTED;
}

/* A mode of the table, or a gradient by hand, which may have a solver of its own. */
static const char *mode_text(Scope *s, const Ast *value) {
    Scope from;
    const Ast *e = resolve_ast(s, value, &from), *decl;
    const deq_row *row;
    const char *name = called(&from, e, &deq_mode_family, &row);
    if (!row && is_net_setting(&from, e)) return s->elab->net_setting(&from, e, NULL);
    const Ast *list = e->kind == AST_CALL ? AST_SLOT(e, CALL, inputs) : NULL;
    const bool bare = !list || list->nkids == 0;
    if (row && bare && takes_solver(row)) return deq_fixed_table[DEQ_FIXED_KEY_gradient].fallback;
    if (row) return call_text(&from, e, &deq_mode_family, row, 0);
    decl = *name ? module_find(from.module, name, NULL) : NULL;
    if (!decl || decl->kind != AST_GRADIENT) return unknown(s, value, &deq_mode_family, 0, name, DIAG_E0415);
    if (bare) return list ? arena_printf(s->elab->arena, "%s()", name) : name;
    const char *solver = chain_text(&from, AST_SLOT(list->kids[0], ARG, value), SOLVER_ADJOINT);
    return solver ? arena_printf(s->elab->arena, "%s(%s)", name, solver) : NULL;
}

static const char *penalty_text(Scope *s, const Ast *value) {
    Scope from;
    const Ast *e = resolve_ast(s, value, &from);
    if (e->kind == AST_ARRAY) {
        const char *list = "";
        for (uint32_t k = 0; k < e->nkids; k++) {
            const char *item = penalty_text(&from, e->kids[k]);
            if (!item) return NULL;
            list = arena_printf(s->elab->arena, "%s%s%s", list, k ? ", " : "", item);
        }
        return arena_printf(s->elab->arena, "[%s]", list);
    }
    const deq_row *row;
    const char *name = called(&from, e, &deq_penalty_family, &row);
    if (strcmp(name, "none") == 0) return "none";
    return row ? call_text(&from, e, &deq_penalty_family, row, 0)
               : unknown(s, value, &deq_penalty_family, 0, name, DIAG_E0418);
}

const char *row_text(Scope *s, const deq_family *f, const Ast *value) {
    Scope from;
    const Ast *e = resolve_ast(s, value, &from);
    const deq_row *row;
    const char *name = called(&from, e, f, &row);
    if (!row && is_net_setting(&from, e)) return s->elab->net_setting(&from, e, NULL);
    if (!row) return unknown(s, value, f, 0, name, DIAG_E0416);
    return e->kind == AST_CALL ? call_text(&from, e, f, row, 0) : row->name;
}

/* ---- settings ---- */

/* An argument of a setting, by its path: "tol" of forward, "adjoint.tol" of gradient, "jacobian.weight" of penalty.
 * Which row it is of is known when the program runs. */
static const char *override_text(Scope *s, deq_fixed_kind kind, const char *path, const Ast *value) {
    const bool adjoint = kind == DEQ_FIXED_MODE && strncmp(path, "adjoint.", 8) == 0;
    const deq_family *f = kind == DEQ_FIXED_PENALTY            ? &deq_penalty_family
                          : kind == DEQ_FIXED_FINISH           ? &deq_finish_family
                          : kind == DEQ_FIXED_MODE && !adjoint ? &deq_mode_family
                                                               : &deq_solver_family;
    const char *dot = strrchr(path, '.'), *name = dot ? dot + 1 : path;
    deq_argument a;
    if (kind == DEQ_FIXED_MODE && strcmp(path, "adjoint") == 0) return chain_text(s, value, SOLVER_ADJOINT);
    if (deq_argument_widest(f, adjoint ? SOLVER_ADJOINT : 0, deq_part_of(name), &a))
        return argument_value(s, &a, name, value);
    return elab_error(s, DIAG_E0513, value->range, "there is no argument '%s'", name), NULL;
}

const char *setting_text(Scope *s, const char *key, const Ast *value) {
    const char *rest;
    int which = deq_fixed_key_find(key, &rest);
    if (which < 0) return elab_error(s, DIAG_E0405, value->range, "a fixed point has no setting '%s'", key), NULL;
    const deq_fixed_setting *setting = &deq_fixed_table[which];
    if (rest) return override_text(s, setting->kind, rest, value);
    switch (setting->kind) {
    case DEQ_FIXED_FORWARD: return chain_text(s, value, SOLVER_STATE);
    case DEQ_FIXED_MODE: return mode_text(s, value);
    case DEQ_FIXED_FINISH: return row_text(s, &deq_finish_family, value);
    case DEQ_FIXED_PENALTY: return penalty_text(s, value);
    case DEQ_FIXED_START:
    case DEQ_FIXED_WORD: return word_value(s, setting->words, setting->key, value);
    }
    return NULL;
}

bool setting_read(Scope *s, const char *key, const char *text, Range at, deq_fixed_settings *out) {
    deq_error e = {0};
    if (deq_fixed_set(out, key, text, &e)) return true;
    return elab_error(s, DIAG_E0412, at, "%s", e.text), false;
}

/* ---- initialisers ---- */

/* One argument, by name or place: evaluated into *x. */
static const deq_argument *initialiser_argument(Scope *s, const deq_row *row, const Ast *arg, uint32_t place,
                                                double *x) {
    const deq_family *f = &deq_initialiser_family;
    const deq_argument *a = arg->name ? deq_argument_find(f, row, deq_part_of(arg->name))
                                      : deq_argument_at(f, row, INIT_IN_SCRIPT, (int)place);
    const Ast *value = AST_SLOT(arg, ARG, value);
    deq_complaint why;
    Scope from;
    if (!a) {
        deq_argument_known(f, row, INIT_IN_SCRIPT, deq_part_of(arg->name ? arg->name : ""), &why);
        return complain(s, DIAG_E0304, arg->range, &why), NULL;
    }
    const Ast *e = resolve_ast(s, value, &from);
    if (!eval_number(&from, e, x)) return NULL;
    const char *what = arena_printf(s->elab->arena, "%s' of '%s", a->name, row->name);
    return deq_number_fits(a, what, *x, &why) ? a : (complain(s, DIAG_E0412, value->range, &why), NULL);
}

static const char *initialiser_call(Scope *s, const Ast *e, const deq_row *row) {
    Arena *arena = s->elab->arena;
    const Ast *list = e->kind == AST_CALL ? AST_SLOT(e, CALL, inputs) : NULL;
    deq_initialiser made = {.std = NAN, .low = NAN, .high = NAN, .bound = NAN, .scale = NAN, .value = NAN};
    const deq_argument *a;
    for (uint32_t k = 0; list && k < list->nkids; k++) {
        double x;
        if (!(a = initialiser_argument(s, row, list->kids[k], k, &x))) return NULL;
        *(double *)((char *)&made + a->offset) = x;
    }
    if (!isnan(made.bound)) made.low = -made.bound, made.high = made.bound;
    if (made.low > made.high)
        return elab_error(s, DIAG_E0412, e->range, "'low' of '%s' is above 'high': %g and %g", row->name, made.low,
                          made.high),
               NULL;
    const char *text = "";
    for (int i = 0; (a = deq_argument_at(&deq_initialiser_family, row, INIT_IN_TEXT, i)); i++) {
        double x = *(const double *)((const char *)&made + a->offset);
        if (!isnan(x))
            text = arena_printf(arena, "%s%s%s: %s", text, *text ? ", " : "", a->name, number_text(arena, x));
    }
    return arena_printf(arena, "%s(%s)", row->name, text);
}

const char *initialiser_text(Scope *s, const Ast *e) {
    const deq_row *constant = &deq_initialiser_family.rows[DEQ_INIT_constant], *row;
    double x;
    called(s, e, &deq_initialiser_family, &row);
    if (row) return initialiser_call(s, e, row);
    const Ast value = {.kind = AST_ARG, .range = e->range, .nkids = 1, .kids = (Ast *[]){(Ast *)e}};
    if (!initialiser_argument(s, constant, &value, 0, &x)) return NULL;
    return arena_printf(s->elab->arena, "%s(value: %s)", constant->name, number_text(s->elab->arena, x));
}
