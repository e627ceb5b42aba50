/* module_names.c - the names at the top level of a module: its own declarations, what it imports, and what stands behind
 * the name of an experiment. */
#include "resolver.h"
#include <string.h>

const Ast *module_names_find(const Module *m, const char *name) {
    for (uint32_t i = 0; m && i < m->unit->nkids; i++)
        if (ast_declares(m->unit->kids[i]) && strcmp(m->unit->kids[i]->name, name) == 0) return m->unit->kids[i];
    return NULL;
}

const char *module_names_nearest(Arena *a, const Module *m, const char *name) {
    const char **names = NULL;
    uint32_t n = 0, cap = 0;
    for (uint32_t i = 0; i < m->unit->nkids; i++)
        if (ast_declares(m->unit->kids[i])) *ARENA_PUSH(a, names, n, cap) = m->unit->kids[i]->name;
    return diag_nearest(name, names, n);
}

void declare_top(Resolver *r, const char *name, const Ast *decl, Range at, const Ast *import) {
    Entry *old = scope_find(r->top, name);
    if (old) {
        diag_note(diag_report(r->diags, DIAG_E0202, at, "'%s' is %s twice", name, import ? "imported" : "declared"),
                  old->at, "first declared here");
        return;
    }
    scope_add(r->arena, r->top, (Entry){name, decl, at, false, import != NULL, false, import});
}

void declare_import(Resolver *r, const Module *m, Ast *import) {
    Ast *names = AST_SLOT(import, IMPORT, names), *alias = AST_SLOT(import, IMPORT, alias);
    if (!names) {
        const char *name = alias ? alias->name : module_word(import->name);
        declare_top(r, name, import, alias ? alias->range : name_place(import), import);
        return;
    }
    for (uint32_t i = 0; i < names->nkids; i++) {
        Ast *n = names->kids[i];
        if (n->kind != AST_NAME) continue;
        const Ast *decl = module_names_find(m, n->name);
        bool reader = !decl && strcmp(import->name, "std.data") == 0 && data_provides(n->name);
        if (!decl && !reader && m) {
            Diagnostic *d = diag_report(r->diags, DIAG_E0204, n->range, "'%s' declares no '%s'", import->name, n->name);
            const char *near = module_names_nearest(r->arena, m, n->name);
            if (near) diag_meant(d, near, "");
        }
        n->ref = decl;
        /* a name whose module is missing stays known, so that one mistake is reported once */
        declare_top(r, n->name, decl ? decl : reader ? NULL : n, n->range, import);
    }
}

/* table2.robust: a value, a net or a sweep of another experiment. */
void resolve_item_of(Resolver *r, const Ast *experiment, Ast *e) {
    const Ast *items = AST_SLOT(experiment, EXPERIMENT, items);
    const char *names = "";
    bool above = false; /* of this module, the experiments so far are resolved */
    for (uint32_t i = 0; i < r->module->unit->nkids && r->module->unit->kids[i] != r->decl; i++)
        above = above || r->module->unit->kids[i] == experiment;
    if (!above && program_owner(r->program, experiment) == r->module) {
        diag_note(
            diag_report(r->diags, DIAG_E0205, name_place(e), "the experiment '%s' is not above this", experiment->name),
            name_place(experiment), "declared here");
        return;
    }
    for (uint32_t i = 0; items && i < items->nkids && !e->ref; i++) {
        const Ast *item = items->kids[i], *pattern = item->kind == AST_LET ? AST_SLOT(item, LET, pattern) : NULL;
        if (item->kind != AST_SWEEP && item->kind != AST_TRAIN && !(pattern && pattern->kind == AST_NAME)) continue;
        const Ast *named = pattern ? pattern : item;
        if (!named->name) continue;
        if (strcmp(named->name, e->name) == 0) e->ref = named;
        names = arena_printf(r->arena, "%s%s%s", names, *names ? ", " : "", named->name);
    }
    if (e->ref) return;
    Diagnostic *d =
        diag_report(r->diags, DIAG_E0537, name_place(e), "the experiment '%s' has no '%s'", experiment->name, e->name);
    if (*names) diag_help(d, "its values, nets and sweeps: %s", names);
}
