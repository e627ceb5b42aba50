/* replaced.c - constants that the command line gives another value: --set images=2000, --set setup.size=full.
 *
 * The value is parsed in place of the one that the file gives, in the module that declares the constant: names in it
 * mean what they mean there.  Everything after the parser sees one program, as if it had been written so. */
#include "module.h"
#include "syntax.h"
#include <string.h>

/* The constant of the module, or NULL. */
static Ast *constant_of(const Module *m, const char *name) {
    for (uint32_t i = 0; i < m->unit->nkids; i++) {
        Ast *d = m->unit->kids[i];
        if (d->kind == AST_CONST && strcmp(d->name, name) == 0) return d;
    }
    return NULL;
}

static bool embedded(const Module *m) { return strncmp(m->path, "std.", 4) == 0; }

/* The constant that the path names; a declaration of the main module comes before a module of its name. */
static Ast *constant_at(const Program *p, const char *path) {
    const char *dot = strchr(path, '.');
    if (!dot) return constant_of(p->main, path);
    const char *first = arena_strndup(p->arena, path, (size_t)(dot - path)), *last = strrchr(path, '.');
    const char *module = arena_strndup(p->arena, path, (size_t)(last - path));
    for (uint32_t i = 0; i < p->main->unit->nkids; i++) {
        const Ast *d = p->main->unit->kids[i];
        if (ast_declares(d) && d->kind != AST_IMPORT && strcmp(d->name, first) == 0) return NULL;
    }
    for (uint32_t i = 0; i < p->nmodules; i++) {
        const Module *m = p->modules[i];
        const bool meant = m != p->main && !embedded(m) && strcmp(module_called(p, m), module) == 0;
        Ast *found = meant ? constant_of(m, last + 1) : NULL;
        if (found) return found;
    }
    return NULL;
}

/* The CONST that the assignment writes; errors stand in a text of its own, which is named as it was typed. */
static const Ast *parsed(Program *p, const Ast *constant, const char *assignment) {
    const char *value = strchr(assignment, '=') + 1;
    const char *text = arena_printf(p->arena, "const %s = %s\n", constant->name, value);
    const Source *s = source_from_text(p->arena, arena_printf(p->arena, "--set %s", assignment), text);
    const uint32_t errors = diags_errors(p->diags);
    const Ast *unit = parse_source(p->arena, p->diags, s);
    if (diags_errors(p->diags) != errors) return NULL;
    if (unit->nkids == 1 && unit->kids[0]->kind == AST_CONST) return unit->kids[0];
    diag_report(p->diags, DIAG_E0101, (Range){s, 0, (uint32_t)strlen(text)}, "--set gives a constant one value");
    return NULL;
}

void program_replace(Program *p, const char *const *set, int n) {
    const char **replaced = arena_alloc(p->arena, ((size_t)n + 1) * sizeof *replaced);
    for (int k = 0, count = 0; k < n; k++) {
        const char *equals = strchr(set[k], '=');
        Ast *constant = equals ? constant_at(p, arena_strndup(p->arena, set[k], (size_t)(equals - set[k]))) : NULL;
        const Ast *given = constant ? parsed(p, constant, set[k]) : NULL;
        if (!given) continue;
        AST_SLOT(constant, CONST, value) = AST_SLOT(given, CONST, value);
        if (constant->depth < given->depth) constant->depth = given->depth;
        replaced[count++] = set[k];
    }
    p->replaced = replaced;
}

const char *const *program_constants(const Program *p) {
    const char **list = NULL;
    uint32_t n = 0, cap = 0;
    for (uint32_t i = 0; i < p->nmodules; i++) {
        const Module *m = p->modules[i];
        for (uint32_t k = 0; k < m->unit->nkids && !embedded(m); k++) {
            const Ast *d = m->unit->kids[k];
            if (d->kind != AST_CONST) continue;
            *ARENA_PUSH(p->arena, list, n, cap) =
                m == p->main ? d->name : arena_printf(p->arena, "%s.%s", module_called(p, m), d->name);
        }
    }
    *ARENA_PUSH(p->arena, list, n, cap) = NULL;
    return list;
}
