/* constants.c - see constants.h.
 *
 * A copy of the value takes the place of the name.  The names in the value keep the declarations that they have where
 * the constant is written. */
#include "constants.h"
#include "tables.h"
#include <string.h>

enum { MOST_NESTED = 64, MOST_NODES = 1000000 }; /* constants of constants; nodes of all copies together */

typedef struct Writer {
    Arena *arena;
    Diags *diags;
    uint32_t nodes;               /* that were copied */
    const Ast *open[MOST_NESTED]; /* constants whose values are being written, outermost first */
    uint32_t nopen;
    Module *module; /* where names are replaced */
    const Program *program;
} Writer;

static bool is_constant(const Ast *e) {
    return (e->kind == AST_NAME || e->kind == AST_MEMBER) && e->ref && e->ref->kind == AST_CONST;
}

/* A function with its settings alone: nothing by place, and nothing for its first input. */
static bool only_settings(const Ast *call, const Ast *fn) {
    const Ast *given = AST_SLOT(call, CALL, inputs), *params = ast_params(fn);
    const Ast *inputs = params ? AST_SLOT(params, PARAMS, state) : NULL;
    if (params && !inputs) inputs = AST_SLOT(params, PARAMS, inputs);
    if (AST_SLOT(call, CALL, state) || !inputs || !inputs->nkids || !given || !given->nkids) return false;
    if (!inputs->kids[0]->name) return false;
    for (uint32_t i = 0; i < given->nkids; i++)
        if (!given->kids[i]->name || strcmp(given->kids[i]->name, inputs->kids[0]->name) == 0) return false;
    return true;
}

static bool call_of_another_kind(const Ast *call) {
    const Ast *callee = AST_SLOT(call, CALL, callee);
    while (callee && callee->kind == AST_INDEX) callee = AST_SLOT(callee, INDEX, base);
    if (!callee) return false;
    if (callee->ref) return callee->ref->kind == AST_FN ? only_settings(call, callee->ref) : true;
    if (callee->kind == AST_MEMBER) return true; /* phantom.unroll(..) */
    return callee->kind == AST_NAME && (solver_find(callee->name) || mode_find(callee->name) ||
                                        builtin_joins_attacks(builtin_find(callee->name, CTX_PIPELINE)));
}

/* The tree may have mistakes in it: parts that are missing are NULL. */
static bool of_another_kind(const Ast *e, uint32_t depth) {
    if (!e) return false;
    switch (e->kind) {
    case AST_ARRAY:
    case AST_EACH:
    case AST_STRING:
    case AST_BOOL:
    case AST_WITH: return true;
    case AST_CALL: return call_of_another_kind(e);
    case AST_INDEX: { /* a layer with its sizes */
        const Ast *base = AST_SLOT(e, INDEX, base);
        return base && base->ref && base->ref->kind == AST_LAYER;
    }
    case AST_NAME:
    case AST_MEMBER:
        if (!e->ref) return e->kind == AST_NAME && (mode_find(e->name) || !strcmp(e->name, "none"));
        if (e->ref->kind == AST_CONST)
            return depth < MOST_NESTED && of_another_kind(AST_SLOT(e->ref, CONST, value), depth + 1);
        return ast_declares(e->ref) && e->ref->kind != AST_SWEEP && e->ref->kind != AST_IMPORT;
    default: return false;
    }
}

bool constant_written_out(const Ast *constant) {
    const Ast *value = AST_SLOT(constant, CONST, value);
    return value && !AST_SLOT(constant, CONST, type) && of_another_kind(value, 0);
}

/* Variables of lists are copied with them: names refer to the copies. */
static void rename_variable(Ast *e, const Ast *from, const Ast *to) {
    if (!e) return;
    if (e->ref == from) e->ref = to;
    for (uint32_t i = 0; i < e->nkids; i++) rename_variable(e->kids[i], from, to);
}

static Ast *copied(Writer *w, const Ast *e) {
    if (!e) return NULL;
    w->nodes++;
    Ast *copy = arena_copy(w->arena, e, sizeof *e);
    copy->kids = arena_alloc(w->arena, (e->nkids + 1) * sizeof *copy->kids);
    for (uint32_t i = 0; i < e->nkids; i++) copy->kids[i] = copied(w, e->kids[i]);
    if (e->kind == AST_EACH) {
        const Ast *before = AST_SLOT(e, EACH, variables), *now = AST_SLOT(copy, EACH, variables);
        for (uint32_t i = 0; before && i < before->nkids; i++) rename_variable(copy, before->kids[i], now->kids[i]);
    }
    return copy;
}

/* The constant means itself, or what it means is too long: reported, and an ERROR stands for it. */
static bool refused(Writer *w, const Ast *name) {
    bool itself = false;
    for (uint32_t i = 0; i < w->nopen; i++) itself = itself || w->open[i] == name->ref;
    if (itself)
        diag_report(w->diags, DIAG_E0206, name->range, "the definition of '%s' uses '%s' itself", name->ref->name,
                    name->ref->name);
    else if (w->nopen == MOST_NESTED || w->nodes > MOST_NODES)
        diag_report(w->diags, DIAG_E0601, name->range, "what '%s' stands for is too long to be written out",
                    name->ref->name);
    return itself || w->nopen == MOST_NESTED || w->nodes > MOST_NODES;
}

/* Names of another module's declarations get names that mean the same here, and that nothing here can have. */
static void name_everywhere(Writer *w, Ast *e) {
    if (!e) return;
    const bool names = (e->kind == AST_NAME || e->kind == AST_MEMBER) && e->ref && ast_declares(e->ref);
    const Module *owner = names ? program_owner(w->program, e->ref) : NULL;
    if (owner && owner != w->module) {
        Module *m = w->module;
        const Written written = {arena_printf(w->arena, "%s.%s", owner->path, e->ref->name), e->ref, owner};
        if (module_find(m, written.name, NULL) != e->ref)
            *ARENA_PUSH(w->arena, m->written, m->nwritten, m->written_cap) = written;
        e->kind = AST_NAME, e->name = written.name, e->nkids = 0;
    }
    for (uint32_t i = 0; i < e->nkids; i++) name_everywhere(w, e->kids[i]);
}

static void write_out(Writer *w, Ast *node);

/* The value in place of the name, with its range, so that mistakes in its use are told there. */
static Ast *value_for(Writer *w, const Ast *name) {
    if (refused(w, name)) return ast_new(w->arena, AST_ERROR, name->range, 0);
    Ast *value = copied(w, AST_SLOT(name->ref, CONST, value));
    w->open[w->nopen++] = name->ref;
    Ast *holder = ast_new(w->arena, AST_LIST, name->range, 1);
    holder->kids[0] = value;
    write_out(w, holder);
    w->nopen--;
    value = holder->kids[0];
    if (program_owner(w->program, name->ref) != w->module) name_everywhere(w, value);
    value->range = name->range;
    value->stands_for = name;
    return value;
}

static bool may_be_called(const Ast *value) {
    return value->kind == AST_NAME || value->kind == AST_MEMBER || value->kind == AST_INDEX;
}

static void write_out(Writer *w, Ast *node) {
    if (node->kind == AST_IMPORT) return;
    for (uint32_t i = 0; i < node->nkids; i++) {
        Ast *kid = node->kids[i];
        if (!kid || (node->kind == AST_SETTING && i == AST_SETTING_key)) continue;
        if (!is_constant(kid) || !constant_written_out(kid->ref)) {
            write_out(w, kid);
            continue;
        }
        Ast *value = value_for(w, kid);
        if (node->kind == AST_CALL && i == AST_CALL_callee && !may_be_called(value)) continue;
        node->kids[i] = value;
    }
}

void constants_write_out(Program *p) {
    Writer w = {.arena = p->arena, .diags = p->diags, .program = p};
    for (uint32_t i = 0; i < p->nmodules; i++)
        for (uint32_t k = 0; k < p->modules[i]->unit->nkids; k++) {
            Ast *d = p->modules[i]->unit->kids[k];
            w.module = p->modules[i];
            if (d->kind == AST_CONST) w.open[w.nopen++] = d;
            write_out(&w, d);
            w.nopen = 0;
        }
}
