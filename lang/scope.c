/* scope.c - tables of names, and what is said about a name that is in none of them. */
#include "resolver.h"
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

Range name_place(const Ast *node) { return node->name_range.source ? node->name_range : node->range; }

/* ---- unknown names ---- */

/* A module of the standard library whose text declares `name` at the start of a line, or NULL. */
static const char *std_module_of(Resolver *r, const char *name) {
    static const char *const modules[] = {"layers",     "activations", "losses",   "metrics",  "attacks",
                                          "optimisers", "schedules",   "defences", "trainers", "data"};
    static const char *const words[] = {"fn ", "layer ", "attack ", "optimiser ", "schedule ", "defence ", "const "};
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        const char *path = arena_printf(r->arena, "std.%s", modules[i]), *text = stdlib_text(path);
        for (size_t w = 0; text && w < sizeof words / sizeof *words; w++) {
            const char *wanted = arena_printf(r->arena, "\n%s%s", words[w], name), *p = text - 1;
            size_t n = strlen(wanted);
            if (strncmp(text, wanted + 1, n - 1) == 0 && strchr("[( =", text[n - 1])) return path;
            while ((p = strstr(p + 1, wanted)))
                if (p[n] && strchr("[( =", p[n])) return path;
        }
    }
    return NULL;
}

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

static bool declares_later(const Scope *s, const char *name, Range *at) {
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
    const char **names = NULL;
    uint32_t n = 0, cap = 0;
    for (Scope *s = r->scope; s; s = s->up)
        for (uint32_t i = 0; i < s->n; i++) *ARENA_PUSH(r->arena, names, n, cap) = s->entries[i].name;
    for (uint32_t i = 0; i < r->top->n; i++) *ARENA_PUSH(r->arena, names, n, cap) = r->top->entries[i].name;
    const char *module = std_module_of(r, name->name);
    const char *near = module ? NULL : diag_nearest(name->name, names, n);
    if (!near && !module) {
        for (const Builtin *b = builtin_table; b->name; b++)
            if (b->contexts & r->context) *ARENA_PUSH(r->arena, names, n, cap) = b->name;
        near = diag_nearest(name->name, names, n);
    }
    if (module) {
        diag_help(d, "import %s (%s)", module, name->name);
    } else if (near) {
        const Entry *e = find_local(r, near);
        diag_help(d, "did you mean '%s'%s?", near, e && e->decl ? declared_type_text(r, e->decl) : "");
    }
}

void declare(Resolver *r, const char *name, const Ast *decl, Range at) {
    if (!name) return;
    Entry *old = scope_find(r->scope, name);
    if (old) {
        diag_note(diag_report(r->diags, DIAG_E0202, at, "'%s' is declared twice", name), old->at,
                  "first declared here");
        return;
    }
    if ((old = find_local(r, name)))
        diag_note(diag_report(r->diags, DIAG_E0203, at, "'%s' hides the '%s' around it", name, name), old->at,
                  "declared here");
    bool report = (decl->kind == AST_NAME || decl->kind == AST_PARAM || decl->kind == AST_USE) && name[0] != '_' &&
                  !(r->context & CTX_PIPELINE);
    scope_add(r->arena, r->scope, (Entry){name, decl, at, false, report, NULL});
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
