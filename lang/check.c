/* check.c - the driver of the checker: declarations once each, signatures, what is known about calls. */
#include "checker.h"
#include "constants.h"
#include <string.h>

/* ---- facts about nodes, by address ---- */

typedef enum Progress { UNSEEN, BUSY, DONE } Progress;
typedef struct Fact {
    const Ast *key;
    Progress progress;
    bool cyclic;           /* reported */
    const Module *module;  /* of a declaration at the top level */
    signed char has_fixed; /* LAYER: 0 not known, 1 yes, -1 no */
    bool couples;          /* LAYER: takes a statistic of the batch itself */
    bool constant;         /* CONST: its value, and as a size or NULL */
    double value;
    const Size *size;
    Signature *signature;
    const Ast *callee; /* a call: what it instantiates, with which sizes */
    const SizeBinding *bound;
    uint32_t nbound;
} Fact;
struct CheckerMap {
    Fact **slots;
    uint32_t n, cap;
};

static uint32_t hash_pointer(const void *p, uint32_t cap) {
    return (uint32_t)(((uintptr_t)p >> 4) * 0x9E3779B97F4A7C15ull >> 32) & (cap - 1);
}

static Fact *fact_of(Checker *c, const Ast *key) {
    struct CheckerMap *m = c->map;
    if (2 * (m->n + 1) > m->cap) {
        uint32_t cap = m->cap ? 2 * m->cap : 256;
        Fact **slots = arena_alloc(c->arena, sizeof *slots * cap);
        for (uint32_t i = 0; i < m->cap; i++)
            for (uint32_t h = m->slots[i] ? hash_pointer(m->slots[i]->key, cap) : 0; m->slots[i];
                 h = (h + 1) & (cap - 1))
                if (!slots[h]) {
                    slots[h] = m->slots[i];
                    break;
                }
        m->slots = slots, m->cap = cap;
    }
    uint32_t h = hash_pointer(key, m->cap);
    while (m->slots[h] && m->slots[h]->key != key) h = (h + 1) & (m->cap - 1);
    if (!m->slots[h]) {
        m->slots[h] = arena_alloc(c->arena, sizeof(Fact));
        m->slots[h]->key = key;
        m->n++;
    }
    return m->slots[h];
}

void checker_record_call(Checker *c, const Ast *at, const Ast *callee, const SizeBinding *b, uint32_t n) {
    Fact *f = fact_of(c, at);
    f->callee = callee, f->bound = b, f->nbound = n;
}

bool checker_recorded_call(Checker *c, const Ast *at, const Ast **callee, const SizeBinding **b, uint32_t *n) {
    const Fact *f = fact_of(c, at);
    *callee = f->callee, *b = f->bound, *n = f->nbound;
    return f->callee != NULL;
}

/* ---- small things ---- */

const Type *fail(Ast *e) { return e->type = &type_error; }

const Type *unavailable(Checker *c, Range at, const char *what) {
    diag_report(c->diags, DIAG_E0490, at, "%s is not available in this version", what);
    return &type_error;
}

Range place(const Ast *node) { return node->name_range.source ? node->name_range : node->range; }

const char *a_statement(Checker *c, AstKind kind) {
    const char *name = ast_kind_name(kind);
    return arena_printf(c->arena, "%s %s", strchr("aeio", *name) ? "an" : "a", name);
}

bool same(const char *a, const char *b) { return a && b && strcmp(a, b) == 0; }

/* ---- signatures ---- */

static void collect_params(Checker *c, Signature *s, Ast *params) {
    uint32_t n = 0;
    for (uint32_t part = 0; params && part < 2; part++) n += params->kids[part] ? params->kids[part]->nkids : 0;
    s->params = arena_alloc(c->arena, sizeof *s->params * (n + 1));
    for (uint32_t part = 0; params && part < 2; part++)
        for (uint32_t i = 0; params->kids[part] && i < params->kids[part]->nkids; i++) {
            Ast *b = params->kids[part]->kids[i];
            if (b->kind != AST_BINDING) {
                s->broken = true;
                continue;
            }
            s->params[s->nparams++] = b;
            s->nstate += part == 0;
        }
    if (n > 64) {
        diag_report(c->diags, DIAG_E0303, place(s->decl), "'%s' has more than 64 arguments", s->decl->name);
        s->nparams = 64, s->broken = true;
    }
}

static void collect_sizes(Checker *c, Signature *s, Ast *sizes) {
    uint32_t n = 0;
    for (uint32_t part = 0; sizes && part < 2; part++) n += sizes->kids[part] ? sizes->kids[part]->nkids : 0;
    s->sizes = arena_alloc(c->arena, sizeof *s->sizes * (n + 1));
    for (uint32_t part = 0; sizes && part < 2; part++)
        for (uint32_t i = 0; sizes->kids[part] && i < sizes->kids[part]->nkids; i++) {
            Ast *p = sizes->kids[part]->kids[i];
            if (p->kind != AST_SIZE_PARAM) {
                s->broken = true;
                continue;
            }
            p->type = &type_int;
            s->sizes[s->nsizes++] = p;
            s->ngiven += part == 0;
            if (SLOT(p, SIZE_PARAM, fallback))
                s->broken = !size_of(c, SLOT(p, SIZE_PARAM, fallback), true) || s->broken;
        }
}

static const Module *module_of(Checker *c, const Ast *decl) { return fact_of(c, decl)->module; }

bool checker_constant(Checker *c, const Ast *decl, double *value, const Size **size) {
    checker_ensure(c, decl);
    const Fact *f = fact_of(c, decl);
    *value = f->value, *size = f->size;
    return f->constant;
}

const Signature *checker_signature(Checker *c, const Ast *decl) {
    Fact *f = fact_of(c, decl);
    if (f->signature) return f->signature;
    Signature *s = f->signature = arena_alloc(c->arena, sizeof *s);
    Checker outer = *c;
    s->decl = decl;
    bool layer = decl->kind == AST_LAYER, fn = decl->kind == AST_FN;
    if (module_of(c, decl)) c->decl = decl;
    Ast *sizes = layer                          ? SLOT(decl, LAYER, sizes)
                 : fn                           ? SLOT(decl, FN, sizes)
                 : decl->kind == AST_ATTACK_DEF ? SLOT(decl, ATTACK_DEF, sizes)
                                                : NULL;
    collect_sizes(c, s, sizes);
    collect_params(c, s, ast_params(decl));
    /* int arguments may stand in the types of others: theirs come first */
    for (uint32_t i = 0; i < s->nparams; i++) {
        Ast *type = SLOT(s->params[i], BINDING, type);
        if (type && type->kind == AST_TYPE && same(type->name, "int") && !SLOT(type, TYPE, dims))
            s->params[i]->type = check_type(c, type);
    }
    for (uint32_t i = 0; i < s->nparams; i++) {
        Ast *type = SLOT(s->params[i], BINDING, type);
        const bool function = type && type->kind == AST_FN_TYPE;
        s->params[i]->type = function ? check_function_type(c, type, i < s->nstate) : check_type(c, type);
        s->broken = s->broken || s->params[i]->type->kind == TYPE_ERROR;
    }
    for (uint32_t i = 0; i < s->nparams; i++) check_bounds_declared(c, s->params[i]);
    Ast *result = layer ? SLOT(decl, LAYER, result) : fn ? SLOT(decl, FN, result) : NULL;
    s->result = result ? check_type(c, result) : &type_error;
    s->broken = s->broken || ((fn || layer) && s->result->kind == TYPE_ERROR);
    for (uint32_t i = 0; i < s->nstate; i++)
        if (SLOT(s->params[i], BINDING, fallback))
            diag_report(c->diags, DIAG_E0323, SLOT(s->params[i], BINDING, fallback)->range, "a state has no default");
    *c = outer;
    return s;
}

const char *signature_text(Checker *c, const Signature *s) {
    Arena *a = c->arena;
    const char *t = s->decl->name ? s->decl->name : "?";
    for (uint32_t i = 0; s->decl->kind != AST_ATTACK_DEF && i < s->nsizes; i++)
        t = arena_printf(a, "%s%s%s%s", t,
                         i == s->ngiven ? (i ? "; " : "[; ")
                         : i            ? ", "
                                        : "[",
                         s->sizes[i]->name, i + 1 == s->nsizes ? "]" : "");
    t = arena_printf(a, "%s(", t);
    for (uint32_t i = 0; i < s->nparams; i++)
        t = arena_printf(a, "%s%s%s: %s%s", t,
                         i == 0           ? ""
                         : i == s->nstate ? "; "
                                          : ", ",
                         s->params[i]->name, s->params[i]->type ? type_text(a, s->params[i]->type) : "?",
                         SLOT(s->params[i], BINDING, fallback) ? " = .." : "");
    bool typed = s->decl->kind == AST_FN || s->decl->kind == AST_LAYER;
    return typed ? arena_printf(a, "%s) -> %s", t, type_text(a, s->result)) : arena_printf(a, "%s)", t);
}

/* ---- declarations ---- */

bool layer_has_fixed(Checker *c, const Ast *layer) {
    const Ast *body = SLOT(layer, LAYER, body);
    signed char found = fact_of(c, layer)->has_fixed;
    for (uint32_t i = 0; body && !found && i < body->nkids; i++) {
        const Ast *s = body->kids[i];
        bool used = s->kind == AST_USE && s->type && s->type->kind == TYPE_LAYER && s->type->decl != layer;
        if (s->kind == AST_FIXED || (used && layer_has_fixed(c, s->type->decl))) found = 1;
    }
    /* remembered only when the layer has been checked to its end */
    if (fact_of(c, layer)->progress == DONE) fact_of(c, layer)->has_fixed = found ? found : -1;
    return found > 0;
}

void checker_couples(Checker *c) {
    if (c->decl) fact_of(c, c->decl)->couples = true;
}

bool layer_couples(Checker *c, const Ast *layer) {
    checker_ensure(c, layer);
    const Ast *body = SLOT(layer, LAYER, body);
    bool found = fact_of(c, layer)->couples;
    for (uint32_t i = 0; body && !found && i < body->nkids; i++) {
        const Ast *s = body->kids[i];
        if (s->kind == AST_USE && s->type && s->type->kind == TYPE_LAYER && s->type->decl != layer)
            found = layer_couples(c, s->type->decl);
    }
    return found;
}

/* A record of settings or a set of examples: what is no number; NULL: the value may be one. */
static const Type *constant_of_another_kind(Checker *c, Ast *value) {
    bool may = value->kind == AST_RECORD || value->kind == AST_MEMBER || value->kind == AST_INDEX ||
               (value->kind == AST_NAME && value->ref && value->ref->kind == AST_CONST);
    if (!may) return NULL;
    c->context = CTX_PIPELINE;
    const Type *t = check_expr(c, value);
    return t->kind == TYPE_RECORD || t->kind == TYPE_EXAMPLES || t->kind == TYPE_ERROR ? t : NULL;
}

/* A list is one that a sweep could go over.  A name is checked where it is used. */
static void check_constant_written_out(Checker *c, Ast *d, Ast *value) {
    if (value->kind == AST_NAME || value->kind == AST_MEMBER) return;
    if (value->kind != AST_ARRAY && value->kind != AST_EACH) {
        d->type = check_expr(c, value);
        return;
    }
    Ast *sweep = ast_new(c->arena, AST_SWEEP, d->range, 1);
    sweep->name = d->name;
    SLOT(sweep, SWEEP, values) = value;
    check_sweep(c, sweep);
    d->type = value->type ? value->type : &type_error;
}

static void check_const(Checker *c, Ast *d) {
    Ast *value = SLOT(d, CONST, value), *type = SLOT(d, CONST, type);
    d->type = &type_error;
    if (!value) return;
    if (constant_written_out(d)) {
        c->context = CTX_PIPELINE;
        check_constant_written_out(c, d, value);
        return;
    }
    const Type *other = type ? NULL : constant_of_another_kind(c, value);
    if (other) {
        d->type = other;
        return;
    }
    c->context = CTX_CONST;
    const Type *want = type ? check_type(c, type) : &type_number;
    if (!check_against(c, value, want, DIAG_E0301, arena_printf(c->arena, "'%s'", d->name))) return;
    Fact *f = fact_of(c, d);
    double v = 0;
    const Size *size = size_of(c, value, false);
    bool known = constant_of(c, value, &v), truth = want->kind == TYPE_TENSOR && want->elem == ELEM_BOOL;
    if (!known && !size && !truth) {
        diag_report(c->diags, DIAG_E0321, value->range, "'%s' is not a number known at compile time", d->name);
        return;
    }
    f->constant = known, f->value = v, f->size = size;
    d->type = want;
}

static void check_declaration(Checker *c, Ast *d) {
    switch (d->kind) {
    case AST_CONST: check_const(c, d); break;
    case AST_FN: check_fn(c, d); break;
    case AST_LAYER: c->context = CTX_LAYER, check_layer(c, d); break;
    case AST_GRADIENT: c->context = CTX_GRADIENT, check_gradient(c, d); break;
    case AST_ATTACK_DEF:
    case AST_DEFENCE_DEF:
    case AST_OPTIMISER_DEF:
    case AST_SCHEDULE_DEF: check_machine(c, d); break;
    case AST_DATA:
    case AST_ATTACK:
    case AST_DEFENCE:
    case AST_OPTIMISER:
    case AST_SCHEDULE:
    case AST_TRAIN:
    case AST_CHECK:
    case AST_TEST:
    case AST_EXPERIMENT: c->context = CTX_PIPELINE, check_pipeline(c, d); break;
    default: break;
    }
}

void checker_ensure(Checker *c, const Ast *decl) {
    Fact *f = fact_of(c, decl);
    if (f->progress == DONE) return;
    if (f->progress == BUSY) {
        Diagnostic *d = f->cyclic ? NULL
                                  : diag_report(c->diags, DIAG_E0206, place(decl),
                                                "the definition of '%s' uses '%s' itself", decl->name, decl->name);
        if (d && c->decl && c->decl != decl)
            diag_note(d, place(c->decl),
                      builtin_find(c->decl->name, CTX_ANY)
                          ? "by way of this '%s', which hides the function of the language"
                          : "by way of '%s'",
                      c->decl->name);
        f->cyclic = true;
        ((Ast *)decl)->type = &type_error;
        if (f->signature) f->signature->broken = true;
        return;
    }
    f->progress = BUSY;
    Checker outer = *c;
    const Module *m = module_of(c, decl);
    if (m) { /* local functions keep the place they stand in */
        c->module = m, c->decl = decl, c->fixed = NULL, c->shape_of = NULL, c->attack = NULL, c->fn = NULL;
        c->context = CTX_FN;
    }
    check_declaration(c, (Ast *)decl);
    *c = outer;
    f->progress = DONE;
}

bool program_check(Program *p) {
    uint32_t before = diags_errors(p->diags);
    struct CheckerMap map = {NULL, 0, 0};
    struct Visit *visits = NULL;
    Checker c = {.program = p, .arena = p->arena, .diags = p->diags, .map = &map, .visits = &visits};
    for (uint32_t i = 0; i < p->nmodules; i++)
        for (uint32_t k = 0; k < p->modules[i]->unit->nkids; k++)
            fact_of(&c, p->modules[i]->unit->kids[k])->module = p->modules[i];
    for (uint32_t i = 0; i < p->nmodules; i++)
        for (uint32_t k = 0; k < p->modules[i]->unit->nkids; k++) checker_ensure(&c, p->modules[i]->unit->kids[k]);
    /* sizes that only numbers decide, once nothing else is wrong */
    if (diags_errors(p->diags) == before)
        for (uint32_t i = 0; i < p->main->unit->nkids; i++) {
            const Ast *d = p->main->unit->kids[i];
            const Signature *s = d->kind == AST_LAYER ? checker_signature(&c, d) : NULL;
            if (!s || s->nsizes) continue;
            Type *t = arena_alloc(p->arena, sizeof *t);
            t->kind = TYPE_LAYER, t->decl = d;
            check_concrete(&c, t, place(d));
        }
    return diags_errors(p->diags) == before;
}
