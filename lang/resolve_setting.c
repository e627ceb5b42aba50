/* resolve_setting.c - settings of blocks: their words and callees are the checker's, their arguments are names. */
#include "resolver.h"
#include <string.h>

void say_which(Resolver *r, const Ast *value) {
    const Ast *callee = value->kind == AST_CALL ? AST_SLOT(value, CALL, callee) : value;
    Entry *e = callee->kind == AST_NAME ? scope_find(r->top, callee->name) : NULL;
    bool row = e && (mode_find(e->name) || solver_find(e->name) || penalty_find(e->name) || finish_find(e->name));
    if (!row || e->told || !e->decl || (e->decl->kind != AST_FN && e->decl->kind != AST_LAYER)) return;
    e->told = true;
    diag_note(diag_report(r->diags, DIAG_W0212, callee->range, "'%s' is the one of the language here, not this %s",
                          e->name, ast_kind_name(e->decl->kind)),
              e->at, "declared here");
}

static const char *last_key(const Ast *key) {
    return key && (key->kind == AST_NAME || key->kind == AST_MEMBER) ? key->name : NULL;
}

/* Names of penalties come before those of the module: what stands here is a penalty or a mistake. */
static void resolve_penalty(Resolver *r, Ast *value) {
    if (value->kind == AST_CALL) {
        say_which(r, value);
        resolve_args(r, AST_SLOT(value, CALL, inputs), true);
    } else if (value->kind == AST_ARRAY) {
        for (uint32_t i = 0; i < value->nkids; i++) resolve_penalty(r, value->kids[i]);
    } else if (value->kind != AST_NAME || (strcmp(value->name, "none") != 0 && !penalty_find(value->name))) {
        resolve_expr(r, value);
    }
}

/* The same of finishes. */
static void resolve_finish(Resolver *r, Ast *value) {
    const Ast *callee = value->kind == AST_CALL ? AST_SLOT(value, CALL, callee) : value, *decl;
    if (value->kind == AST_CALL && callee->kind == AST_NAME) {
        say_which(r, value);
        resolve_args(r, AST_SLOT(value, CALL, inputs), true);
    } else if (callee->kind != AST_NAME || (!finish_find(callee->name) && lookup_name(r, callee->name, &decl))) {
        resolve_expr(r, value); /* of another name the checker lists the finishes */
    }
}

/* The argument of a solver, mode or penalty that a path ends in: body.gradient.combine. */
static bool takes_word(const char *key) {
    const deq_family *const families[] = {&deq_solver_family, &deq_mode_family, &deq_penalty_family};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        const deq_argument *a = deq_argument_find(families[i], NULL, deq_part_of(key));
        if (a && a->type == DEQ_WORD) return true;
    }
    return false;
}

/* Its value is a row of a table, which no sweep goes over. */
static bool is_row(Kind kind) {
    return kind == KIND_CLIP || kind == KIND_AVERAGE || kind == KIND_REPLAY || kind == KIND_INTERMEDIATE;
}

static bool names_constant(Resolver *r, const char *name) {
    const Entry *e = scope_find(r->top, name);
    return e && e->decl && e->decl->kind == AST_CONST;
}

void resolve_setting(Resolver *r, Ast *s, const char *block) {
    Ast *value = AST_SLOT(s, SETTING, value);
    const char *key = last_key(AST_SLOT(s, SETTING, key));
    const Setting *row = key ? setting_find(block, key) : NULL;
    bool is_name = value && value->kind == AST_NAME;
    char buffer[256];
    bool record = strcmp(block, "record") == 0, paths = record || strcmp(block, "net_with") == 0; /* body.forward.tol */
    if (record && key) row = setting_find("train", key); /* whose settings these are, is known where they are used */
    if (record && key && !row) row = setting_find("net_with", key);
    if (paths && key && !row) row = setting_find("attack_with", key);
    if (!key || (!row && !paths && *block) || (row && (row->kind == KIND_WORD || row->kind == KIND_BAND) && is_name) ||
        (row && row->kind == KIND_SCALE) ||
        (row && row->kind == KIND_START && is_name && strcmp(value->name, "previous") == 0) ||
        (is_name && takes_word(key)) || resolve_chain(r, value)) {
        /* a word */
    } else if (row && value && row->kind == KIND_PENALTY) {
        resolve_penalty(r, value);
    } else if (row && value && row->kind == KIND_FINISH) {
        resolve_finish(r, value);
    } else if (row && value && value->kind == AST_CALL &&
               (row->kind == KIND_CERTIFY || row->kind == KIND_CELLS || row->kind == KIND_BAND || is_row(row->kind))) {
        resolve_args(r, AST_SLOT(value, CALL, inputs), false);
    } else if (row && row->kind == KIND_PATHS) {
        /* names of a net's layers and parameters: the compiler looks for them */
    } else if (is_name && row && is_row(row->kind) && !find_local(r, value->name) && !scope_find(r->top, value->name)) {
        /* the checker lists what there is */
    } else if (is_name && row && row->kind == KIND_FORWARD && !find_local(r, value->name) &&
               !names_constant(r, value->name)) {
        /* a solver without parentheses: the checker says so */
    } else if (is_name && row && row->kind == KIND_MODE && !find_local(r, value->name) &&
               !scope_find(r->top, value->name)) {
        /* an unknown mode: the checker lists the modes */
    } else if (value && value->kind == AST_CALL && row && (row->kind == KIND_MODE || row->kind == KIND_FORWARD) &&
               ast_path(AST_SLOT(value, CALL, callee), buffer, sizeof buffer) && !find_called(r, buffer)) {
        say_which(r, value);
        resolve_args(r, AST_SLOT(value, CALL, state), true);
        resolve_args(r, AST_SLOT(value, CALL, inputs), true);
    } else {
        resolve_expr(r, value);
    }
    Ast *inner = AST_SLOT(s, SETTING, block);
    if (inner) resolve_settings(r, inner, row && row->kind == KIND_COMPARE ? "compare" : "");
}

void resolve_settings(Resolver *r, Ast *list, const char *block) {
    for (uint32_t i = 0; list && i < list->nkids; i++)
        if (list->kids[i]->kind == AST_SETTING)
            resolve_setting(r, list->kids[i], block);
        else if (list->kids[i]->kind == AST_SPREAD)
            resolve_expr(r, AST_SLOT(list->kids[i], SPREAD, value));
}
