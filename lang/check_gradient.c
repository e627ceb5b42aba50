/* check_gradient.c - gradients written by hand: complete, of the right shapes, nothing captured forgotten.
 *
 * The block must define d(p) once for every param and every differentiable input of its layer, at p's type.  A
 * cotangent that a captured variable should have got is thus an error ("d(U) is not defined"), never silently zero. */
#include "checker.h"
#include <string.h>

/* ---- what a layer's gradient consists of ---- */

typedef struct Wanted {
    const Ast *items[128]; /* PARAMs and BINDINGs */
    uint32_t n;
} Wanted;

static Wanted wanted_of(Checker *c, const Ast *layer) {
    Wanted w = {.n = 0};
    const Signature *s = checker_signature(c, layer);
    const Ast *body = SLOT(layer, LAYER, body);
    for (uint32_t i = 0; body && i < body->nkids && w.n < 128; i++)
        if (body->kids[i]->kind == AST_PARAM) w.items[w.n++] = body->kids[i];
    for (uint32_t i = 0; i < s->nparams && w.n < 128; i++)
        if (!SLOT(s->params[i], BINDING, fallback) && type_is_real(s->params[i]->type)) w.items[w.n++] = s->params[i];
    return w;
}

static bool is_wanted(const Wanted *w, const Ast *p) {
    for (uint32_t i = 0; i < w->n; i++)
        if (w->items[i] == p) return true;
    return false;
}

static bool is_fixed_state(const Ast *layer, const Ast *binding) {
    const Ast *body = SLOT(layer, LAYER, body);
    for (uint32_t i = 0; body && i < body->nkids; i++) {
        const Ast *state = body->kids[i]->kind == AST_FIXED ? SLOT(body->kids[i], FIXED, state) : NULL;
        for (uint32_t k = 0; state && k < state->nkids; k++)
            if (state->kids[k] == binding) return true;
    }
    return false;
}

bool gradient_by_hand(const Ast *mode) {
    return mode->kind == AST_NAME && mode->ref && mode->ref->kind == AST_GRADIENT;
}

bool gradient_is_of(const Ast *gradient, const Ast *fixed) {
    const Ast *target = SLOT(gradient, GRADIENT, target), *layer = target ? target->ref : NULL;
    const Ast *body = layer && layer->kind == AST_LAYER ? SLOT(layer, LAYER, body) : NULL;
    for (uint32_t i = 0; body && i < body->nkids; i++)
        if (body->kids[i] == fixed) return true;
    return false;
}

static const Ast *layer_of(Checker *c) {
    const Ast *target = c->decl && c->decl->kind == AST_GRADIENT ? SLOT(c->decl, GRADIENT, target) : NULL;
    return target && target->ref && target->ref->kind == AST_LAYER ? target->ref : NULL;
}

/* Does `node` mention `variable`, itself or through the local functions it calls?  Gives up with true after `left`
 * steps. */
static bool captures_within(const Ast *node, const Ast *variable, uint32_t *left) {
    if (!node) return false;
    if (*left == 0) return true;
    --*left;
    const Ast *r = node->kind == AST_NAME ? node->ref : NULL;
    if (r == variable && r) return true;
    if (r && r->kind == AST_FN && captures_within(SLOT(r, FN, body), variable, left)) return true;
    for (uint32_t i = 0; i < node->nkids; i++)
        if (captures_within(node->kids[i], variable, left)) return true;
    return false;
}

static bool captures(const Ast *node, const Ast *variable) {
    uint32_t left = 100000;
    return captures_within(node, variable, &left);
}

/* ---- d, transpose, vjp, solve on the right side ---- */

static const Ast *local_map(Checker *c, Ast *f, const char *what) {
    const Ast *r = f->kind == AST_NAME ? f->ref : NULL;
    if (r && r->kind == AST_FN) {
        checker_ensure(c, r);
        const Signature *s = checker_signature(c, r);
        if (s->broken) return NULL;
        if (s->nparams == 1 && s->params[0]->type->kind == TYPE_TENSOR && s->result->kind == TYPE_TENSOR) {
            Type *t = arena_alloc(c->arena, sizeof *t);
            t->kind = TYPE_FN, t->decl = r;
            f->type = t;
            return r;
        }
    } else if (f->kind == AST_NAME && !r) {
        return NULL;
    }
    diag_report(c->diags, DIAG_E0307, f->range, "'%s' needs a fn of one tensor", what);
    return NULL;
}

const Type *check_hand(Checker *c, Ast *e, const Builtin *b, Ast **args) {
    const Ast *layer = layer_of(c);
    if (b->rule == RULE_D_HAND) {
        const Ast *r = args[0]->kind == AST_NAME ? args[0]->ref : NULL;
        if (r && layer && is_fixed_state(layer, r)) {
            args[0]->type = r->type;
            return r->type ? r->type : &type_error;
        }
        if (args[0]->kind != AST_NAME || r)
            diag_help(diag_report(c->diags, DIAG_E0453, args[0]->range,
                                  "only the state of a fixed point has an incoming cotangent"),
                      "d(z) with fixed point z: ...");
        return &type_error;
    }
    const Ast *f = local_map(c, args[0], b->name);
    if (b->rule == RULE_TRANSPOSE_FN) {
        if (!f) return &type_error;
        Type *t = arena_alloc(c->arena, sizeof *t);
        t->kind = TYPE_FN, t->decl = f, t->transposed = true;
        return t;
    }
    const Signature *s = f ? checker_signature(c, f) : NULL;
    if (b->rule == RULE_SOLVE) {
        bool solver = check_chain(c, args[2], FOR_ADJOINT);
        for (uint32_t i = 0; chain_link(args[2], i) && solver; i++) {
            const Ast *one = chain_link(args[2], i), *callee = one->kind == AST_CALL ? SLOT(one, CALL, callee) : NULL;
            const deq_row *given = callee && callee->kind == AST_NAME ? solver_find(callee->name) : NULL;
            if (!given || !(given->uses & SOLVER_SPLIT)) continue;
            diag_help(diag_report(c->diags, DIAG_E0413, one->range,
                                  "'%s' solves fixed points z = prox(L z + c), not linear equations of any map",
                                  given->name),
                      "solve(K, b, gmres())");
            solver = false;
        }
        if (!s) {
            check_expr(c, args[1]);
            return &type_error;
        }
        bool good = check_against(c, args[1], s->result, DIAG_E0312, "the right side of 'solve'") && solver;
        return good ? s->params[0]->type : &type_error;
    }
    if (!s) {
        check_expr(c, args[1]), check_expr(c, args[2]);
        return &type_error;
    }
    bool good = check_against(c, args[1], s->params[0]->type, DIAG_E0312, "the place of 'vjp'");
    good = check_against(c, args[2], s->result, DIAG_E0312, "the cotangent of 'vjp'") && good;
    (void)e;
    return good ? s->params[0]->type : &type_error;
}

/* ---- definitions ---- */

/* The p of a target d(p), or NULL after reporting. */
static const Ast *cotangent_target(Checker *c, Ast *target, const Wanted *w) {
    if (target->kind == AST_ERROR) return NULL;
    if (target->kind == AST_CALL && SLOT(target, CALL, callee)->kind == AST_NAME && !SLOT(target, CALL, callee)->ref &&
        same(SLOT(target, CALL, callee)->name, "d") && SLOT(target, CALL, inputs)->nkids == 1 &&
        !SLOT(target, CALL, state)) {
        const Ast *arg = SLOT(target, CALL, inputs)->kids[0];
        Ast *p = arg->kind == AST_ARG ? SLOT(arg, ARG, value) : NULL;
        if (p && p->kind == AST_NAME && !p->ref) return NULL; /* unknown name, reported */
        if (p && p->kind == AST_NAME && is_wanted(w, p->ref)) {
            p->type = target->type = p->ref->type ? p->ref->type : &type_error;
            return p->ref;
        }
    }
    diag_help(diag_report(c->diags, DIAG_E0453, target->range, "this is no cotangent that a gradient defines"),
              "d(p) for every param and differentiable input p");
    return NULL;
}

static bool is_vjp(const Ast *value) {
    return value->kind == AST_CALL && SLOT(value, CALL, callee)->kind == AST_NAME && !SLOT(value, CALL, callee)->ref &&
           same(SLOT(value, CALL, callee)->name, "vjp");
}

static void define(Checker *c, const Ast *p, const Ast *at, const Wanted *w, const Ast **defined) {
    for (uint32_t i = 0; p && i < w->n; i++) {
        if (w->items[i] != p) continue;
        if (defined[i])
            diag_note(diag_report(c->diags, DIAG_E0451, at->range, "d(%s) is defined twice", p->name),
                      defined[i]->range, "first defined here");
        else
            defined[i] = at;
    }
}

static void check_definition(Checker *c, Ast *e, const Wanted *w, const Ast **defined) {
    Ast *target = SLOT(e, EQUATION, target), *value = SLOT(e, EQUATION, value), *one[1] = {target}, **targets = one;
    uint32_t n = 1;
    if (!target || !value) return;
    if (target->kind == AST_TUPLE || target->kind == AST_LIST) targets = target->kids, n = target->nkids;
    const Ast **p = arena_alloc(c->arena, sizeof *p * n);
    for (uint32_t i = 0; i < n; i++) {
        p[i] = cotangent_target(c, targets[i], w);
        define(c, p[i], targets[i], w, defined);
    }
    check_expr(c, value);
    if (value->type->kind == TYPE_ERROR) return;
    if (is_vjp(value)) { /* cotangents of what the fn captures */
        Ast *f = SLOT(SLOT(value, CALL, inputs)->kids[0], ARG, value);
        for (uint32_t i = 0; i < n; i++)
            if (p[i] && f->ref && !captures(SLOT(f->ref, FN, body), p[i]))
                diag_report(c->diags, DIAG_E0453, targets[i]->range, "'%s' does not use '%s', so vjp gives no d(%s)",
                            f->name, p[i]->name, p[i]->name);
        return;
    }
    if (n > 1 && (value->type->kind != TYPE_TUPLE || value->type->nitems != n)) {
        diag_report(c->diags, DIAG_E0315, target->range, "%u cotangents stand on the left side, the right side is %s",
                    n, type_text(c->arena, value->type));
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        const Type *have = n > 1 ? value->type->items[i] : value->type, *want = p[i] ? p[i]->type : NULL;
        bool good = !want || (n == 1 ? fits(c, value, want) : type_equal(have, want));
        if (!good)
            diag_report(c->diags, DIAG_E0452, targets[i]->range, "d(%s) is %s, not %s", p[i]->name,
                        type_text(c->arena, want), type_text(c->arena, have));
    }
}

/* The symbol is a name of C, and the header that `deq header` writes declares it for one layer. */
static void check_extern(Checker *c, const Ast *g, const Ast *symbol) {
    const char *name = symbol->name;
    size_t n = name ? strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") : 0;
    if (!name) return; /* a broken string, reported */
    if (n == 0 || name[n] || (*name >= '0' && *name <= '9')) {
        diag_help(diag_report(c->diags, DIAG_E0458, symbol->range, "\"%s\" is not a name of C", name),
                  "letters, digits and _, as in extern \"tanh_gradient\"");
        return;
    }
    for (uint32_t m = 0; m < c->program->nmodules; m++) {
        const Ast *unit = c->program->modules[m]->unit;
        for (uint32_t k = 0; k < unit->nkids; k++) {
            const Ast *other = unit->kids[k];
            if (other == g) return; /* each pair is reported once, at the later one */
            const Ast *taken = other->kind == AST_GRADIENT ? SLOT(other, GRADIENT, symbol) : NULL;
            if (!taken || !same(taken->name, name)) continue;
            Diagnostic *d = diag_report(c->diags, DIAG_E0458, symbol->range, "\"%s\" is the gradient '%s' already",
                                        name, other->name);
            diag_note(d, taken->range, "declared here");
            return;
        }
    }
}

void check_gradient(Checker *c, Ast *g) {
    Ast *target = SLOT(g, GRADIENT, target), *body = SLOT(g, GRADIENT, body);
    const Ast *layer = layer_of(c);
    Ast *symbol = SLOT(g, GRADIENT, symbol);
    g->type = &type_mode;
    if (mode_find(g->name))
        diag_report(c->diags, DIAG_E0203, place(g), "the gradient '%s' hides the gradient mode %s() of the language",
                    g->name, g->name);
    if (!target || (!body && !symbol) || (!target->ref && target->kind == AST_NAME)) return;
    if (!layer) {
        diag_report(c->diags, DIAG_E0454, target->range, "'gradient .. %s' belongs to a layer",
                    symbol ? "= extern" : "by hand");
        return;
    }
    checker_ensure(c, layer);
    bool has_fixed = false;
    const Ast *items = SLOT(layer, LAYER, body);
    for (uint32_t i = 0; items && i < items->nkids; i++) has_fixed = has_fixed || items->kids[i]->kind == AST_FIXED;
    if (!has_fixed) {
        diag_report(c->diags, DIAG_E0454, target->range, "'%s' has no fixed point to differentiate by hand",
                    layer->name);
        return;
    }
    if (symbol) {
        check_extern(c, g, symbol);
        return;
    }
    Wanted w = wanted_of(c, layer);
    const Ast **defined = arena_alloc(c->arena, sizeof *defined * (w.n + 1));
    bool broken = false;
    for (uint32_t i = 0; i < body->nkids; i++) {
        Ast *s = body->kids[i];
        switch (s->kind) {
        case AST_LET: check_let(c, s); break;
        case AST_FN: checker_ensure(c, s); break;
        case AST_EQUATION: check_definition(c, s, &w, defined); break;
        case AST_ERROR: broken = true; break;
        default:
            diag_report(c->diags, DIAG_E0318, s->range, "%s is not allowed in a gradient by hand",
                        a_statement(c, s->kind));
        }
    }
    for (uint32_t i = 0; i < w.n && !broken; i++)
        if (!defined[i])
            diag_note(diag_report(c->diags, DIAG_E0450, place(g), "d(%s) is not defined", w.items[i]->name),
                      place(w.items[i]), "%s '%s' (%s)", w.items[i]->kind == AST_PARAM ? "param" : "input",
                      w.items[i]->name, w.items[i]->type ? type_text(c->arena, w.items[i]->type) : "?");
}
