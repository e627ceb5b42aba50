/* scope.c - tables of names, and what is said about a name that is in none of them. */
#include "foreign.h"
#include "labels.h"
#include "resolver.h"
#include "type.h"
#include <string.h>

/* ---- scopes ---- */

static uint32_t hash_name(const char *name) {
    uint32_t h = 2166136261u;
    for (; *name; name++) h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

Entry *scope_find(Scope *s, const char *name) {
    if (!s || !s->nslots) return NULL;
    for (uint32_t h = hash_name(name) & (s->nslots - 1); s->slots[h]; h = (h + 1) & (s->nslots - 1))
        if (strcmp(s->entries[s->slots[h] - 1].name, name) == 0) return &s->entries[s->slots[h] - 1];
    return NULL;
}

void scope_add(Arena *a, Scope *s, Entry entry) {
    *ARENA_PUSH(a, s->entries, s->n, s->cap) = entry;
    uint32_t from = s->n - 1;
    if (2 * s->n > s->nslots) {
        s->nslots = s->nslots ? 4 * s->nslots : 16;
        s->slots = arena_alloc(a, sizeof *s->slots * s->nslots);
        from = 0;
    }
    for (uint32_t i = from; i < s->n; i++) {
        uint32_t h = hash_name(s->entries[i].name) & (s->nslots - 1);
        while (s->slots[h]) h = (h + 1) & (s->nslots - 1);
        s->slots[h] = i + 1;
    }
}

Entry *find_local(Resolver *r, const char *name) {
    for (Scope *s = r->scope; s; s = s->up) {
        Entry *e = scope_find(s, name);
        if (e) return e;
    }
    return NULL;
}

/* A number or a tensor: nothing that a call could mean. */
static bool is_value(const Ast *decl) {
    switch (decl ? decl->kind : AST_ERROR) {
    case AST_NAME:
    case AST_PARAM:
    case AST_BUFFER:
    case AST_STATE:
    case AST_SIZE_PARAM:
    case AST_FOR: return true;
    case AST_BINDING: {
        const Ast *type = AST_SLOT(decl, BINDING, type);
        return type && type->kind == AST_TYPE && strcmp(type->name, "schedule") != 0;
    }
    default: return false;
    }
}

Entry *find_called(Resolver *r, const char *name) {
    for (Scope *s = r->scope; s; s = s->up) {
        Entry *e = scope_find(s, name);
        if (e && !is_value(e->decl)) return e;
    }
    return NULL;
}

Range name_place(const Ast *node) { return node->name_range.source ? node->name_range : node->range; }

/* ---- unknown names ---- */

/* "f32[H, H]" from the source of a declaration's type, "" if it has none. */
static const char *declared_type_text(Resolver *r, const Ast *decl) {
    const Ast *type = decl->kind == AST_PARAM     ? AST_SLOT(decl, PARAM, type)
                      : decl->kind == AST_BUFFER  ? AST_SLOT(decl, BUFFER, type)
                      : decl->kind == AST_BINDING ? AST_SLOT(decl, BINDING, type)
                                                  : NULL;
    if (!type || !type->range.source) return "";
    return arena_printf(r->arena, " (%.*s)", (int)(type->range.end - type->range.start),
                        type->range.source->text + type->range.start);
}

bool declares_later(const Scope *s, const char *name, Range *at) {
    for (; s; s = s->up)
        for (uint32_t i = 0; s->later && i < s->later->nkids; i++) {
            const Ast *k = s->later->kids[i];
            const Ast *pattern = k->kind == AST_LET ? AST_SLOT(k, LET, pattern) : NULL;
            bool hit = pattern && pattern->kind == AST_NAME && strcmp(pattern->name, name) == 0;
            for (uint32_t j = 0; pattern && pattern->kind == AST_LIST && j < pattern->nkids; j++)
                hit = hit || (pattern->kids[j]->name && strcmp(pattern->kids[j]->name, name) == 0);
            if (k->kind == AST_PARAM || k->kind == AST_BUFFER || k->kind == AST_USE || k->kind == AST_FN ||
                k->kind == AST_STATE || k->kind == AST_TRAIN || k->kind == AST_SWEEP)
                hit = k->name && strcmp(k->name, name) == 0;
            if (k->kind == AST_FIXED && AST_SLOT(k, FIXED, state))
                for (uint32_t j = 0; j < AST_SLOT(k, FIXED, state)->nkids; j++)
                    hit = hit || (AST_SLOT(k, FIXED, state)->kids[j]->name &&
                                  strcmp(AST_SLOT(k, FIXED, state)->kids[j]->name, name) == 0);
            if (hit) {
                *at = name_place(k);
                return true;
            }
        }
    return false;
}

/* What stands for an unknown name once that has been reported: it has no type, and nothing more is said about it. */
static const Ast *unknown_node(Resolver *r, Range at) {
    Ast *node = ast_new(r->arena, AST_ERROR, at, 0);
    node->type = &type_error;
    return node;
}

/* Reported: no more about it in this declaration. */
static void declare_unknown(Resolver *r, const Ast *name) {
    Scope *s = r->scope;
    while (s && s->up) s = s->up;
    if (!s || scope_find(s, name->name)) return;
    scope_add(r->arena, s, (Entry){name->name, unknown_node(r, name->range), name->range, true, false, false, NULL});
}

/* A row of foreign.def; where its code begins with a name of the standard library, the import too. */
static void help_foreign(Resolver *r, Diagnostic *d, const Foreign *row) {
    const char *found, *name = arena_strndup(r->arena, row->ours, strcspn(row->ours, "[(. "));
    const char *module =
        *name && !builtin_find(name, r->context) ? stdlib_module_of(r->arena, name, false, &found) : NULL;
    foreign_help(d, r->arena, row, NULL);
    if (module && !scope_find(r->top, name)) diag_import(d, module, name);
}

/* A name of the standard library, of another language, or the same in other capitals. */
static bool help_unknown(Resolver *r, Diagnostic *d, const char *name) {
    const char *found, *module = stdlib_module_of(r->arena, name, false, &found);
    const Foreign *row = module ? NULL : foreign_find(FOREIGN_NAME, name);
    if (row) {
        help_foreign(r, d, row);
        return true;
    }
    for (const Builtin *b = builtin_table; b->name && !module; b++)
        if (b->contexts & r->context && foreign_same(b->name, name)) {
            diag_meant(d, b->name, "");
            return true;
        }
    if (!module && (module = stdlib_module_of(r->arena, name, true, &found))) diag_meant(d, found, "");
    if (module && !scope_find(r->top, found)) diag_import(d, module, found);
    return module != NULL;
}

/* The name in scope that is spelled most like it. */
static void help_near(Resolver *r, Diagnostic *d, const char *name) {
    const char **names = NULL;
    uint32_t n = 0, cap = 0;
    for (Scope *s = r->scope; s; s = s->up)
        for (uint32_t i = 0; i < s->n; i++) *ARENA_PUSH(r->arena, names, n, cap) = s->entries[i].name;
    for (uint32_t i = 0; i < r->top->n; i++) *ARENA_PUSH(r->arena, names, n, cap) = r->top->entries[i].name;
    const char *near = diag_nearest(name, names, n);
    if (!near) {
        for (const Builtin *b = builtin_table; b->name; b++)
            if (b->contexts & r->context) *ARENA_PUSH(r->arena, names, n, cap) = b->name;
        near = diag_nearest(name, names, n);
    }
    const Entry *e = near ? find_local(r, near) : NULL;
    if (near) diag_meant(d, near, e && e->decl ? declared_type_text(r, e->decl) : "");
}

void report_unknown(Resolver *r, const Ast *name, const char *what) {
    Range later;
    if (declares_later(r->scope, name->name, &later)) {
        diag_note(diag_report(r->diags, DIAG_E0205, name->range, "'%s' is used before its declaration", name->name),
                  later, "declared here");
        return;
    }
    const Builtin *elsewhere = builtin_find(name->name, CTX_ANY);
    if (elsewhere) {
        Diagnostic *d = diag_report(r->diags, DIAG_E0208, name->range, "'%s' is not known in this place", name->name);
        diag_help(d, "%s: %s; known in %s", elsewhere->signature, elsewhere->doc,
                  elsewhere->contexts & CTX_ATTACK      ? "an attack"
                  : elsewhere->contexts & CTX_OPTIMISER ? "an optimiser"
                  : elsewhere->contexts & CTX_DEFENCE   ? "a defence"
                  : elsewhere->contexts & CTX_INIT      ? "the initialiser of a param"
                  : elsewhere->contexts & CTX_GRADIENT  ? "a gradient by hand"
                                                        : "experiments, tests and checks");
        return;
    }
    Diagnostic *d = diag_report(r->diags, DIAG_E0201, name->range, "unknown %s '%s'", what, name->name);
    if (diags_errors(r->diags) > 50) return; /* more than is ever printed: no search for what was meant */
    if (r->decl && r->decl->kind == AST_EXPERIMENT && verdict_place(name) >= 0)
        diag_help(d, "'%s' is a verdict's word: robust.verdict == %s", name->name, name->name);
    else if (!help_unknown(r, d, name->name))
        help_near(r, d, name->name);
    declare_unknown(r, name);
}

void report_sizes(Resolver *r, const Ast *layer, Ast *const *sizes, uint32_t n) {
    const Ast *list = AST_SLOT(layer, LAYER, sizes), *given = list ? AST_SLOT(list, SIZES, given) : NULL;
    const char *names = "", *declared = "";
    for (uint32_t i = 0; given && i < given->nkids; i++)
        declared = arena_printf(r->arena, "%s%s%s", declared, *declared ? ", " : "", given->kids[i]->name);
    for (uint32_t i = 0; i < n; i++) {
        const char *between = i == 0 ? "" : i + 1 == n ? " and " : ", ";
        names = arena_printf(r->arena, "%s%s'%s'", names, between, sizes[i]->name);
        declared = arena_printf(r->arena, "%s%s%s", declared, *declared ? ", " : "", sizes[i]->name);
        declare_unknown(r, sizes[i]);
    }
    Diagnostic *d = diag_report(r->diags, DIAG_E0201, sizes[0]->range, "size%s %s of '%s' %s not declared",
                                n > 1 ? "s" : "", names, layer->name, n > 1 ? "are" : "is");
    diag_help(d, "declare %s behind the layer's name: layer %s[%s](..)", n > 1 ? "them" : "it", layer->name, declared);
}

void report_foreign(Resolver *r, Ast *member, const Foreign *module) {
    Range at = member->range;
    Diagnostic *d = diag_report(r->diags, DIAG_E0201, at, "unknown name '%.*s'", (int)(at.end - at.start),
                                at.source->text + at.start);
    const Foreign *row = foreign_find(FOREIGN_NAME, member->name);
    if (*module->note)
        diag_help(d, "%s", module->note);
    else if (row)
        help_foreign(r, d, row);
    else if (!help_unknown(r, d, member->name))
        diag_help(d, "functions are called by their names alone, such as relu(x); `deq doc builtins` lists them");
    member->ref = unknown_node(r, at);
}

static bool is_unknown(const Entry *e) { return e->decl && e->decl->kind == AST_ERROR; }

static bool is_value_rule(BuiltinRule rule) {
    return rule == RULE_VALUE_NUMBER || rule == RULE_VALUE_SCALAR || rule == RULE_VALUE_W || rule == RULE_VALUE_STATES;
}

void declare(Resolver *r, const char *name, const Ast *decl, Range at) {
    if (!name) return;
    Entry *old = scope_find(r->scope, name);
    bool report = (decl->kind == AST_NAME || decl->kind == AST_PARAM || decl->kind == AST_USE) && name[0] != '_' &&
                  !(r->context & CTX_PIPELINE);
    if (old && is_unknown(old)) {
        *old = (Entry){name, decl, at, false, report, false, NULL};
        return;
    }
    if (old) {
        diag_note(diag_report(r->diags, DIAG_E0202, at, "'%s' is declared twice", name), old->at,
                  "first declared here");
        return;
    }
    if ((old = find_local(r, name)) && !is_unknown(old))
        diag_note(diag_report(r->diags, DIAG_E0203, at, "'%s' hides another '%s' that is known here", name, name),
                  old->at, "declared here");
    const Builtin *b = builtin_find(name, r->context);
    if (b && is_value_rule(b->rule))
        diag_report(r->diags, DIAG_E0203, at, "'%s' hides the '%s' of the language: %s", name, name, b->doc);
    scope_add(r->arena, r->scope, (Entry){name, decl, at, false, report, false, NULL});
}

void declare_equation(Resolver *r, const Ast *target) {
    if (r->scope) scope_add(r->arena, r->scope, (Entry){target->name, target, target->range, true, false, false, NULL});
}

void scope_push(Resolver *r, const Ast *later) {
    Scope *s = arena_alloc(r->arena, sizeof *s);
    s->up = r->scope, s->later = later;
    r->scope = s;
}

static const char *declared_word(const Ast *decl) { return decl->kind == AST_NAME ? "let" : ast_kind_name(decl->kind); }

void scope_pop(Resolver *r) {
    for (uint32_t i = 0; i < r->scope->n; i++) {
        const Entry *e = &r->scope->entries[i];
        if (!e->used && e->report_unused)
            diag_report(r->diags, DIAG_W0211, e->at, "%s '%s' is never used", declared_word(e->decl), e->name);
    }
    r->scope = r->scope->up;
}
