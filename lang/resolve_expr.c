/* resolve_expr.c - names in expressions and types: what is called, members, labels of sweeps. */
#include "resolver.h"
#include "axes.h"
#include "labels.h"
#include <string.h>

/* Finds `name` given its local entry `e`; true with *decl (NULL: built in) when it is known. */
static bool lookup_beyond(Resolver *r, Entry *e, const char *name, const Ast **decl) {
    const Builtin *b = builtin_find(name, r->context);
    if (!e && b && b->contexts != CTX_ANY) {
        /* x, loss, states ... of this kind of declaration come before the module's names; elsewhere a module may
         * import what is also built in, such as std.metrics' accuracy */
        if (!(b->contexts & CTX_PIPELINE)) {
            *decl = NULL;
            return true;
        }
    }
    if (!e) e = scope_find(r->top, name);
    if (e && b && e->decl && e->decl->kind == AST_EXPERIMENT) e = NULL; /* nothing uses an experiment's name */
    if (e) {
        e->used = true;
        *decl = e->decl;
        return true;
    }
    *decl = NULL;
    return b != NULL;
}

bool lookup_name(Resolver *r, const char *name, const Ast **decl) {
    return lookup_beyond(r, find_local(r, name), name, decl);
}

/* As the callee of a call; a value of that name where there is nothing to call. */
static bool lookup_called(Resolver *r, const char *name, const Ast **decl) {
    return lookup_beyond(r, find_called(r, name), name, decl) || lookup_name(r, name, decl);
}

/* The dotted name of a mode or solver an expression spells, or NULL. */
static const char *spelled(const Ast *e, char *buffer, size_t size) {
    return ast_path(e, buffer, size) ? buffer : NULL;
}

bool resolve_chain(Resolver *r, Ast *value) {
    if (!value || value->kind != AST_BINARY || strcmp(value->name, "else") != 0) return false;
    for (uint32_t i = 0; i < value->nkids; i++) {
        Ast *one = value->kids[i];
        const Ast *callee = one->kind == AST_CALL ? AST_SLOT(one, CALL, callee) : one, *decl;
        if (resolve_chain(r, one)) continue;
        if (callee->kind != AST_NAME || (!solver_find(callee->name) && lookup_name(r, callee->name, &decl)))
            resolve_expr(r, one);
        else if (one->kind == AST_CALL)
            resolve_args(r, AST_SLOT(one, CALL, inputs), true);
    }
    return true;
}

void resolve_args(Resolver *r, Ast *list, bool words) {
    for (uint32_t i = 0; list && i < list->nkids; i++) {
        Ast *arg = list->kids[i];
        if (arg->kind != AST_ARG) continue;
        Ast *value = AST_SLOT(arg, ARG, value);
        if (words && value && value->kind == AST_NAME && arg->name && (!find_local(r, value->name)) &&
            !scope_find(r->top, value->name))
            continue; /* stop: relative; the checker knows the words */
        if (words && resolve_chain(r, value)) continue;
        const Ast *callee = words && value && value->kind == AST_CALL ? AST_SLOT(value, CALL, callee) : NULL, *decl;
        if (callee && callee->kind == AST_NAME && !lookup_name(r, callee->name, &decl)) {
            resolve_args(r, AST_SLOT(value, CALL, inputs),
                         true); /* implicit(newton()): the checker lists the solvers */
            continue;
        }
        resolve_expr(r, value);
    }
}

static void resolve_call(Resolver *r, Ast *e) {
    Ast *callee = AST_SLOT(e, CALL, callee);
    char buffer[256];
    const char *path = spelled(callee, buffer, sizeof buffer);
    bool called = path && find_called(r, path), top = path && scope_find(r->top, path);
    bool pipeline = r->context & CTX_PIPELINE; /* where no function of the module is called but with a net */
    bool table = path && ((mode_find(path) && (strchr(path, '.') || (!called && (pipeline || !top)))) ||
                          ((solver_find(path) || penalty_find(path) || finish_find(path)) && !called && !top));
    ReductionCall reduction;
    if (table) say_which(r, e);
    GradientsCompared gradients;
    if (pipeline && !called && (reduction_of(e, &reduction) || gradients_compared(e, &gradients))) {
        /* a word of the language */
    } else if (!table && callee->kind == AST_NAME) {
        const Ast *decl;
        if (lookup_called(r, callee->name, &decl))
            callee->ref = decl;
        else if (!data_provides(callee->name))
            report_unknown(r, callee, "function");
    } else if (!table) {
        resolve_expr(r, callee);
    }
    resolve_args(r, AST_SLOT(e, CALL, state), table);
    resolve_args(r, AST_SLOT(e, CALL, inputs), table);
}

/* The row of `torch` for torch, torch.nn and so on, unless the program declares the name. */
static const Foreign *foreign_module(Resolver *r, const Ast *base) {
    const Ast *decl;
    while (base->kind == AST_MEMBER) base = AST_SLOT(base, MEMBER, base);
    const Foreign *row = base->kind == AST_NAME ? foreign_find(FOREIGN_MODULE, base->name) : NULL;
    return row && !lookup_name(r, base->name, &decl) ? row : NULL;
}

static void resolve_member(Resolver *r, Ast *e) {
    char buffer[256];
    const char *path = spelled(e, buffer, sizeof buffer);
    if (path && mode_find(path)) return;
    Ast *base = AST_SLOT(e, MEMBER, base);
    const Foreign *foreign = foreign_module(r, base);
    if (foreign) {
        report_foreign(r, e, foreign);
        return;
    }
    resolve_expr(r, base);
    if (base->ref && base->ref->kind == AST_EXPERIMENT) {
        resolve_item_of(r, base->ref, e);
        return;
    }
    if (base->kind != AST_NAME || !base->ref || base->ref->kind != AST_IMPORT) return;
    for (uint32_t i = 0, k = 0; i < r->module->unit->nkids; i++) {
        if (r->module->unit->kids[i]->kind != AST_IMPORT) continue;
        if (r->module->unit->kids[i] == base->ref && k < r->module->nimports && r->module->imports[k]) {
            const Module *m = r->module->imports[k];
            e->ref = module_names_find(m, e->name);
            if (!e->ref) {
                Diagnostic *d =
                    diag_report(r->diags, DIAG_E0204, name_place(e), "'%s' declares no '%s'", base->ref->name, e->name);
                const char *near = module_names_nearest(r->arena, m, e->name);
                if (near) diag_meant(d, near, "");
            }
        }
        k++;
    }
}

/* The items of the experiment that is resolved, or NULL. */
static const Ast *items_of(const Resolver *r) {
    return r->decl && r->decl->kind == AST_EXPERIMENT ? AST_SLOT(r->decl, EXPERIMENT, items) : NULL;
}

/* Labels come before names. */
static void resolve_labels(Resolver *r, const Ast *sweep, Ast *value) {
    if (value->kind == AST_ARRAY)
        for (uint32_t i = 0; i < value->nkids; i++) resolve_labels(r, sweep, value->kids[i]);
    else if (label_place(sweep, value) < 0 && (value->kind != AST_NAME || find_local(r, value->name)))
        resolve_expr(r, value); /* another name is a label that the sweep does not have: the checker lists them */
}

/* v[mode: jfb, seed: 0] */
static void resolve_picks(Resolver *r, Ast *e) {
    Ast *list = AST_SLOT(e, INDEX, indices);
    resolve_expr(r, AST_SLOT(e, INDEX, base));
    for (uint32_t i = 0; i < list->nkids; i++) {
        Ast *pick = list->kids[i];
        const Ast *decl = NULL;
        if (pick->kind != AST_ARG) {
            resolve_expr(r, pick);
            continue;
        }
        if (lookup_name(r, pick->name, &decl) && decl && decl->kind == AST_SWEEP) pick->ref = decl;
        const Ast *mentioned =
            items_of(r) ? sweep_mentioned(r->arena, r->decl, AST_SLOT(e, INDEX, base), pick->name) : NULL;
        if (mentioned) pick->ref = mentioned; /* perhaps of another experiment */
        if (pick->ref) resolve_labels(r, pick->ref, AST_SLOT(pick, ARG, value));
    }
}

/* v == masked: a word, or a name that may have been meant for one. */
static bool calls_verdict(Resolver *r, const Ast *comparison, const Ast *value) {
    const Ast *word;
    int place;
    return verdict_compared(items_of(r), comparison, &word, &place) == value &&
           (place >= 0 || (word->kind == AST_NAME && !find_local(r, word->name)));
}

/* choice == label */
static bool resolve_comparison(Resolver *r, Ast *e) {
    if (!items_of(r) || !strchr("=!<>", e->name[0])) return false;
    for (int side = 0; side < 2; side++) {
        const AstKind kind = e->kids[side]->kind;
        if (kind == AST_NUMBER || (kind == AST_NAME && !find_local(r, e->kids[side]->name))) continue;
        resolve_expr(r, e->kids[side]);
        const Ast *sweep = strchr("=!", e->name[0]) ? sweep_of_value(items_of(r), e->kids[side]) : NULL;
        if (sweep && e->kids[1 - side]->kind == AST_NAME && !find_local(r, e->kids[1 - side]->name)) return true;
        if (sweep && label_place(sweep, e->kids[1 - side]) >= 0) return true;
        if (calls_verdict(r, e, e->kids[side])) return true;
        resolve_expr(r, e->kids[1 - side]);
        return true;
    }
    return false;
}

/* [f(n) for n in A for m in B]: a variable is known in what stands behind it, and in f. */
static void resolve_each(Resolver *r, Ast *e) {
    Ast *variables = AST_SLOT(e, EACH, variables);
    scope_push(r, NULL);
    for (uint32_t i = 0; i < variables->nkids; i++) {
        resolve_expr(r, AST_SLOT(variables->kids[i], SWEEP, values));
        declare(r, variables->kids[i]->name, variables->kids[i], name_place(variables->kids[i]));
    }
    resolve_expr(r, AST_SLOT(e, EACH, item));
    scope_pop(r);
}

void resolve_expr(Resolver *r, Ast *e) {
    const Ast *decl;
    if (!e) return;
    switch (e->kind) {
    case AST_NAME:
        if (lookup_name(r, e->name, &decl))
            e->ref = decl;
        else if (!solver_find(e->name) && !mode_find(e->name) && !data_provides(e->name) &&
                 strcmp(e->name, "none") != 0)
            report_unknown(r, e, "name");
        return;
    case AST_CALL: resolve_call(r, e); return;
    case AST_BINARY:
        if (resolve_chain(r, e) || resolve_comparison(r, e)) return;
        for (uint32_t i = 0; i < e->nkids; i++) resolve_expr(r, e->kids[i]);
        return;
    case AST_MEMBER: resolve_member(r, e); return;
    case AST_EACH: resolve_each(r, e); return;
    case AST_INDEX:
        if (is_pick(e))
            resolve_picks(r, e);
        else
            for (uint32_t i = 0; i < e->nkids; i++) resolve_expr(r, e->kids[i]);
        return;
    case AST_WITH:
        resolve_expr(r, AST_SLOT(e, WITH, base));
        resolve_settings(r, AST_SLOT(e, WITH, settings), "net_with");
        return;
    case AST_RECORD: resolve_settings(r, AST_SLOT(e, RECORD, settings), "record"); return;
    case AST_NUMBER:
    case AST_STRING:
    case AST_BOOL:
    case AST_ERROR: return;
    default:
        for (uint32_t i = 0; i < e->nkids; i++) resolve_expr(r, e->kids[i]);
    }
}

void resolve_type(Resolver *r, Ast *type) {
    if (!type) return;
    if (type->kind == AST_TYPE)
        resolve_expr(r, AST_SLOT(type, TYPE, dims));
    else if (type->kind == AST_FN_TYPE) {
        Ast *inputs = AST_SLOT(type, FN_TYPE, inputs);
        scope_push(r, NULL);
        resolve_function_sizes(r, type);
        for (uint32_t i = 0; i < inputs->nkids; i++) resolve_type(r, inputs->kids[i]);
        resolve_type(r, AST_SLOT(type, FN_TYPE, result));
        scope_pop(r);
    } else
        for (uint32_t i = 0; i < type->nkids; i++) resolve_type(r, type->kids[i]);
}
