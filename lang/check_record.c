/* check_record.c - settings as a value, and blocks of settings that take them in.
 *
 * Names in a record are resolved; its keys mean nothing yet.  A block with `..r` is checked with the settings of r in
 * its place, once for each value where r is the variable of a sweep. */
#include "checker.h"
#include "labels.h"

enum { MAX_TAKEN = 10000 }; /* records in one block */

typedef struct Choice {
    uint32_t which;   /* of a sweep's values */
    uint32_t largest; /* number of values of any sweep that was met */
} Choice;

Ast *sweep_element(const Ast *list, uint32_t which, uint32_t *n) {
    Ast *found = NULL;
    for (uint32_t i = 0; list && list->kind == AST_ARRAY && i < list->nkids; i++) {
        Ast *value = (Ast *)element_value(list->kids[i]);
        if (value->kind == AST_ARRAY) { /* a family */
            uint32_t members = 0;
            Ast *member = sweep_element(value, which - *n, &members);
            if (which >= *n && which < *n + members) found = member;
            *n += members;
            continue;
        }
        if (value->kind == AST_EACH) value = SLOT(value, EACH, item);
        if (which == (*n)++) found = value;
    }
    return found;
}

static const Ast *sweep_value(void *data, const Ast *name) {
    Choice *choice = data;
    const Ast *list = SLOT(name->ref, SWEEP, values);
    uint32_t n = 0;
    sweep_element(list, 0, &n);
    if (!n) return NULL;
    if (n > choice->largest) choice->largest = n;
    const uint32_t which = choice->which % n;
    return sweep_element(list, which, &(uint32_t){0});
}

static RecordReader reader_of(Checker *c, Choice *choice) {
    return (RecordReader){.arena = c->arena, .meaning = sweep_value, .data = choice, .left = MAX_TAKEN};
}

/* `..x`, `with x`: x is a record. */
static void check_taken(Checker *c, Ast *spread) {
    Ast *value = SLOT(spread, SPREAD, value);
    const Type *t = check_expr(c, value);
    Choice choice = {0};
    const RecordReader reader = reader_of(c, &choice);
    const Ast *from;
    if (t->kind == TYPE_ERROR || (t->kind == TYPE_RECORD && record_of(&reader, value, &from))) return;
    const bool unknown = t->kind == TYPE_RECORD; /* a let of an experiment */
    diag_help(diag_report(c->diags, DIAG_E0504, value->range, "%s, not %s",
                          unknown ? "the settings taken in here are those of a 'const' or of a sweep's values"
                                  : "a record of settings is taken in here",
                          unknown ? "of a 'let'" : type_text(c->arena, t)),
              "const r = { epochs: 3; batch: 64 } is one");
    fail(value);
}

static void check_taken_all(Checker *c, Ast *list) {
    for (uint32_t i = 0; i < list->nkids; i++)
        if (list->kids[i]->kind == AST_SPREAD) check_taken(c, list->kids[i]);
}

bool check_set_once(Checker *c, const Ast *list, uint32_t i) {
    char key[512];
    for (uint32_t k = 0; k < i; k++) {
        if (!settings_same_key(list->kids[k], list->kids[i])) continue;
        const Ast *again = SLOT(list->kids[i], SETTING, key);
        ast_path(again, key, sizeof key);
        diag_note(diag_report(c->diags, DIAG_E0406, again->range, "'%s' is set twice", key), list->kids[k]->range,
                  "first set here");
        return false;
    }
    return true;
}

const Type *check_record(Checker *c, Ast *e) {
    Ast *list = SLOT(e, RECORD, settings);
    const uint32_t before = diags_errors(c->diags);
    check_taken_all(c, list);
    for (uint32_t i = 0; i < list->nkids; i++) {
        const Ast *s = list->kids[i];
        if (s->kind == AST_ERROR) return &type_error;
        if (s->kind != AST_SETTING && s->kind != AST_SPREAD)
            diag_report(c->diags, DIAG_E0514, s->range, "%s is not allowed in a record of settings",
                        a_statement(c, s->kind));
        check_set_once(c, list, i);
    }
    return diags_errors(c->diags) == before ? &type_record : &type_error;
}

uint32_t settings_variants(Checker *c, Ast *list) {
    if (!settings_spread(list)) return 1;
    Choice choice = {0, 1};
    RecordReader reader = reader_of(c, &choice);
    const uint32_t before = diags_errors(c->diags);
    check_taken_all(c, list);
    if (diags_errors(c->diags) != before) return 0;
    settings_flatten(&reader, list);
    if (!reader.left)
        diag_help(
            diag_report(c->diags, DIAG_E0104, list->range, "these are more than %d records in one another", MAX_TAKEN),
            "write their settings into one");
    return reader.left ? choice.largest : 0;
}

Ast *settings_variant(Checker *c, Ast *list, uint32_t which) {
    Choice choice = {.which = which};
    RecordReader reader = reader_of(c, &choice);
    return settings_flatten(&reader, list);
}

void note_record(Checker *c, uint32_t from, const Ast *setting) {
    if (setting->kind == AST_SETTING && setting->ref)
        diags_note(c->diags, from, place(setting->ref), "among the settings that are taken in here");
}
