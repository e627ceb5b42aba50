/* resolve.c - names to declarations: the modules, their declarations, and the statements of bodies.
 *
 * needs: every module parsed.  ensures: `ref` of every NAME, MEMBER (behind a module's alias) and IMPORT name is its
 * declaration, or NULL for what the language itself provides (tables.h); anything else has been reported.
 * changes: `ref`; gives a `fn` without brackets the sizes its parameters' types mention (fn silu(x: f32[N])).
 *
 * A local name refers to: a SIZE_PARAM, BINDING (input, state of a fixed point), PARAM, BUFFER, USE, FN, FOR, STATE,
 * SWEEP or TRAIN node, or for `let` to the NAME node of its pattern.  A name at the top level to its declaration.
 * Words (`relative`, `keep_best`), solvers, gradient modes and settings are no names: the checker reads them. */
#include "constants.h"
#include "resolver.h"
#include <string.h>

static void resolve_items(Resolver *r, Ast *list, const char *block);
static void resolve_fn(Resolver *r, Ast *fn);

/* ---- statements and items ---- */

static void resolve_let(Resolver *r, Ast *let) {
    Ast *pattern = AST_SLOT(let, LET, pattern);
    resolve_type(r, AST_SLOT(let, LET, type));
    resolve_expr(r, AST_SLOT(let, LET, value));
    if (pattern && pattern->kind == AST_NAME) declare(r, pattern->name, pattern, pattern->range);
    for (uint32_t i = 0; pattern && pattern->kind == AST_LIST && i < pattern->nkids; i++)
        declare(r, pattern->kids[i]->name, pattern->kids[i], pattern->kids[i]->range);
}

static void resolve_fixed(Resolver *r, Ast *f) {
    Ast *state = AST_SLOT(f, FIXED, state);
    for (uint32_t i = 0; state && i < state->nkids; i++) {
        if (state->kids[i]->kind != AST_BINDING) continue;
        resolve_type(r, AST_SLOT(state->kids[i], BINDING, type));
        resolve_expr(r, AST_SLOT(state->kids[i], BINDING, fallback));
        resolve_expr(r, AST_SLOT(state->kids[i], BINDING, bounds));
        declare(r, state->kids[i]->name, state->kids[i], name_place(state->kids[i]));
    }
    scope_push(r, AST_SLOT(f, FIXED, items));
    resolve_items(r, AST_SLOT(f, FIXED, items), "fixed");
    scope_pop(r);
}

static void resolve_train(Resolver *r, Ast *t) {
    resolve_expr(r, AST_SLOT(t, TRAIN, model));
    resolve_expr(r, AST_SLOT(t, TRAIN, data));
    resolve_settings(r, AST_SLOT(t, TRAIN, settings), "train");
}

static void resolve_initialised(Resolver *r, Ast *type, Ast *value) {
    unsigned outer = r->context;
    resolve_type(r, type);
    r->context = CTX_INIT;
    resolve_expr(r, value);
    r->context = outer;
}

/* A left side that nobody declares is the checker's to report, with what the place needs; what follows knows it. */
static void resolve_equation(Resolver *r, Ast *e) {
    Ast *target = AST_SLOT(e, EQUATION, target);
    const Ast *decl;
    Range later;
    bool fresh = target && target->kind == AST_NAME && !lookup_name(r, target->name, &decl) &&
                 !declares_later(r->scope, target->name, &later);
    if (!fresh) resolve_expr(r, target);
    resolve_expr(r, AST_SLOT(e, EQUATION, value));
    if (fresh) declare_equation(r, target);
}

static void resolve_item(Resolver *r, Ast *s, const char *block) {
    switch (s->kind) {
    case AST_LET: resolve_let(r, s); break;
    case AST_EQUATION: resolve_equation(r, s); break;
    case AST_RETURN: resolve_expr(r, AST_SLOT(s, RETURN, value)); break;
    case AST_PARAM:
        resolve_initialised(r, AST_SLOT(s, PARAM, type), AST_SLOT(s, PARAM, value));
        declare(r, s->name, s, name_place(s));
        break;
    case AST_BUFFER:
        resolve_initialised(r, AST_SLOT(s, BUFFER, type), AST_SLOT(s, BUFFER, value));
        declare(r, s->name, s, name_place(s));
        break;
    case AST_USE:
        resolve_expr(r, AST_SLOT(s, USE, value));
        declare(r, s->name, s, name_place(s));
        break;
    case AST_FN:
        declare(r, s->name, s, name_place(s));
        resolve_fn(r, s);
        break;
    case AST_FOR:
        resolve_expr(r, AST_SLOT(s, FOR, range));
        resolve_expr(r, AST_SLOT(s, FOR, until));
        scope_push(r, AST_SLOT(s, FOR, body));
        declare(r, s->name, s, name_place(s));
        resolve_items(r, AST_SLOT(s, FOR, body), block);
        scope_pop(r);
        break;
    case AST_STATE:
        resolve_type(r, AST_SLOT(s, STATE, type));
        resolve_expr(r, AST_SLOT(s, STATE, value));
        declare(r, s->name, s, name_place(s));
        break;
    case AST_REPEAT:
        resolve_expr(r, AST_SLOT(s, REPEAT, count));
        resolve_expr(r, AST_SLOT(s, REPEAT, until));
        scope_push(r, AST_SLOT(s, REPEAT, body));
        resolve_items(r, AST_SLOT(s, REPEAT, body), block);
        scope_pop(r);
        break;
    case AST_FIXED: resolve_fixed(r, s); break;
    case AST_SETTING: resolve_setting(r, s, block); break;
    case AST_TRAIN:
        resolve_train(r, s);
        declare(r, s->name, s, name_place(s));
        break;
    case AST_SWEEP:
        resolve_expr(r, AST_SLOT(s, SWEEP, values));
        declare(r, s->name, s, name_place(s));
        break;
    case AST_TABLE: resolve_settings(r, AST_SLOT(s, TABLE, settings), "table"); break;
    case AST_FIGURE: resolve_settings(r, AST_SLOT(s, FIGURE, settings), "figure"); break;
    case AST_CLAIM: resolve_expr(r, AST_SLOT(s, CLAIM, condition)); break;
    default: break;
    }
}

static void resolve_items(Resolver *r, Ast *list, const char *block) {
    for (uint32_t i = 0; list && i < list->nkids; i++) resolve_item(r, list->kids[i], block);
}

/* ---- declarations ---- */

static void resolve_sizes(Resolver *r, Ast *sizes) {
    for (uint32_t part = 0; sizes && part < 2; part++) {
        Ast *list = sizes->kids[part];
        for (uint32_t i = 0; list && i < list->nkids; i++) {
            Ast *p = list->kids[i];
            if (p->kind != AST_SIZE_PARAM) continue;
            resolve_expr(r, AST_SLOT(p, SIZE_PARAM, fallback));
            declare(r, p->name, p, name_place(p));
        }
    }
}

static void resolve_params(Resolver *r, Ast *params) {
    for (uint32_t part = 0; params && part < 2; part++) {
        Ast *list = params->kids[part];
        for (uint32_t i = 0; list && i < list->nkids; i++) {
            Ast *b = list->kids[i];
            if (b->kind != AST_BINDING) continue;
            resolve_type(r, AST_SLOT(b, BINDING, type));
            resolve_expr(r, AST_SLOT(b, BINDING, fallback));
            declare(r, b->name, b, name_place(b));
        }
    }
    for (uint32_t part = 0; params && part < 2; part++) /* bounds may mention all of them */
        for (uint32_t i = 0; params->kids[part] && i < params->kids[part]->nkids; i++)
            if (params->kids[part]->kids[i]->kind == AST_BINDING)
                resolve_expr(r, AST_SLOT(params->kids[part]->kids[i], BINDING, bounds));
}

static void resolve_body(Resolver *r, Ast *body) {
    if (body && body->kind == AST_LIST)
        resolve_items(r, body, "");
    else
        resolve_expr(r, body);
}

static void resolve_fn(Resolver *r, Ast *fn) {
    AST_SLOT(fn, FN, sizes) = resolve_implied_sizes(r, fn, AST_SLOT(fn, FN, sizes));
    Ast *body = AST_SLOT(fn, FN, body);
    scope_push(r, body && body->kind == AST_LIST ? body : NULL);
    resolve_sizes(r, AST_SLOT(fn, FN, sizes));
    resolve_params(r, AST_SLOT(fn, FN, inputs));
    resolve_type(r, AST_SLOT(fn, FN, result));
    resolve_body(r, body);
    scope_pop(r);
}

static void resolve_layer(Resolver *r, Ast *layer) {
    scope_push(r, AST_SLOT(layer, LAYER, body));
    resolve_sizes(r, AST_SLOT(layer, LAYER, sizes));
    resolve_layer_sizes(r, layer);
    resolve_params(r, AST_SLOT(layer, LAYER, inputs));
    resolve_type(r, AST_SLOT(layer, LAYER, result));
    resolve_body(r, AST_SLOT(layer, LAYER, body));
    scope_pop(r);
}

/* A hand-written gradient sees everything its layer declares outside the fixed point's braces. */
static void resolve_gradient(Resolver *r, Ast *g) {
    Ast *target = AST_SLOT(g, GRADIENT, target);
    resolve_expr(r, target);
    scope_push(r, NULL);
    const Ast *layer = target ? target->ref : NULL;
    if (layer && layer->kind == AST_LAYER) {
        const Ast *sizes = AST_SLOT(layer, LAYER, sizes), *params = AST_SLOT(layer, LAYER, inputs);
        const Ast *lists[5] = {sizes ? sizes->kids[0] : NULL, sizes ? sizes->kids[1] : NULL,
                               params ? params->kids[0] : NULL, params ? params->kids[1] : NULL,
                               AST_SLOT(layer, LAYER, body)};
        for (uint32_t l = 0; l < 5; l++)
            for (uint32_t i = 0; lists[l] && i < lists[l]->nkids; i++) {
                const Ast *k = lists[l]->kids[i];
                const Ast *pattern = k->kind == AST_LET ? AST_SLOT(k, LET, pattern) : NULL;
                const Ast *inner = k->kind == AST_FIXED ? AST_SLOT(k, FIXED, state) : pattern;
                if (inner && inner->kind == AST_NAME) declare(r, inner->name, inner, inner->range);
                for (uint32_t j = 0; inner && inner->kind == AST_LIST && j < inner->nkids; j++)
                    declare(r, inner->kids[j]->name, inner->kids[j], name_place(inner->kids[j]));
                if (!inner && k->name) declare(r, k->name, k, name_place(k));
            }
        for (uint32_t i = 0; i < r->scope->n; i++) r->scope->entries[i].report_unused = false;
    }
    if (AST_SLOT(g, GRADIENT, body)) {
        scope_push(r, AST_SLOT(g, GRADIENT, body));
        resolve_items(r, AST_SLOT(g, GRADIENT, body), "");
        scope_pop(r);
    }
    scope_pop(r);
}

static void resolve_machine(Resolver *r, unsigned context, Ast *def) {
    Ast *body = def->kids[def->nkids - 1];
    bool attack = def->kind == AST_ATTACK_DEF;
    if (attack) AST_SLOT(def, ATTACK_DEF, sizes) = resolve_implied_sizes(r, def, NULL);
    scope_push(r, body && body->kind == AST_LIST ? body : NULL);
    if (attack) resolve_sizes(r, AST_SLOT(def, ATTACK_DEF, sizes));
    resolve_params(r, ast_params(def));
    if (attack && body && body->kind == AST_LIST) resolve_example(r, def);
    r->context = body && body->kind == AST_LIST ? context : r->context;
    resolve_body(r, body);
    scope_pop(r);
}

static void resolve_block(Resolver *r, Ast *items, const char *block) {
    scope_push(r, items);
    resolve_items(r, items, block);
    scope_pop(r);
}

static void resolve_declaration(Resolver *r, Ast *d) {
    r->decl = d, r->scope = NULL, r->context = CTX_PIPELINE;
    switch (d->kind) {
    case AST_CONST:
        r->context = CTX_CONST;
        resolve_type(r, AST_SLOT(d, CONST, type));
        if (AST_SLOT(d, CONST, value)->kind == AST_RECORD) r->context = CTX_PIPELINE;
        resolve_expr(r, AST_SLOT(d, CONST, value));
        break;
    case AST_FN: r->context = CTX_FN, resolve_fn(r, d); break;
    case AST_LAYER: r->context = CTX_LAYER, resolve_layer(r, d); break;
    case AST_GRADIENT: r->context = CTX_GRADIENT, resolve_gradient(r, d); break;
    case AST_DATA:
        resolve_type(r, AST_SLOT(d, DATA, type));
        resolve_expr(r, AST_SLOT(d, DATA, value));
        break;
    case AST_ATTACK_DEF: resolve_machine(r, CTX_ATTACK, d); break;
    case AST_DEFENCE_DEF: resolve_machine(r, CTX_DEFENCE, d); break;
    case AST_OPTIMISER_DEF: resolve_machine(r, CTX_OPTIMISER, d); break;
    case AST_SCHEDULE_DEF: resolve_machine(r, CTX_SCHEDULE, d); break;
    case AST_ATTACK:
    case AST_DEFENCE:
    case AST_OPTIMISER:
    case AST_SCHEDULE: resolve_expr(r, d->kids[0]); break;
    case AST_TRAIN: resolve_train(r, d); break;
    case AST_CHECK: resolve_block(r, AST_SLOT(d, CHECK, items), "check"); break;
    case AST_TEST: resolve_block(r, AST_SLOT(d, TEST, items), "test"); break;
    case AST_EXPERIMENT: resolve_block(r, AST_SLOT(d, EXPERIMENT, items), "experiment"); break;
    default: break;
    }
}

static void resolve_module(Program *p, const Module *m) {
    Resolver r = {.program = p, .arena = p->arena, .diags = p->diags, .module = m};
    r.top = arena_alloc(p->arena, sizeof *r.top);
    for (uint32_t i = 0, k = 0; i < m->unit->nkids; i++) {
        Ast *d = m->unit->kids[i];
        if (d->kind == AST_IMPORT) {
            declare_import(&r, k < m->nimports ? m->imports[k] : NULL, d);
            k++;
        } else if (ast_declares(d)) {
            declare_top(&r, d->name, d, name_place(d), NULL);
        }
    }
    for (uint32_t i = 0; i < m->unit->nkids; i++) resolve_declaration(&r, m->unit->kids[i]);
    for (uint32_t i = 0; i < r.top->n; i++)
        if (!r.top->entries[i].used && r.top->entries[i].report_unused && m == p->main)
            diag_report(p->diags, DIAG_W0210, r.top->entries[i].at, "'%s' is imported and never used",
                        r.top->entries[i].name);
}

bool program_resolve(Program *p) {
    uint32_t before = diags_errors(p->diags);
    for (uint32_t i = 0; i < p->nmodules; i++) resolve_module(p, p->modules[i]);
    constants_write_out(p);
    return diags_errors(p->diags) == before;
}
