/* check_loss.c - the value of `loss:`, in trainings, attacks and metrics: a fn of outputs and target. */
#include "checker.h"
#include <math.h>

static const Type *plain_fn(Checker *c, Ast *e, const Signature **s) {
    Ast *base = e->kind == AST_CALL ? SLOT(e, CALL, callee) : e;
    const bool named = (base->kind == AST_NAME || base->kind == AST_MEMBER) && base->ref;
    if (named && base == e && base->ref->kind == AST_SWEEP) { /* a loss that is swept over */
        const Type *t = check_expr(c, e);
        if (t->kind != TYPE_FN || t->transposed || t->decl->kind != AST_FN) return NULL;
        checker_ensure(c, t->decl);
        *s = checker_signature(c, t->decl);
        return t;
    }
    if (!named || base->ref->kind != AST_FN) return NULL;
    checker_ensure(c, base->ref);
    *s = checker_signature(c, base->ref);
    base->type = check_expr(c, base);
    return base->type;
}

/* How many of a loss's parameters the machine supplies: those before ';', else those without default that the script
 * does not give by name. */
static uint32_t supplied(const Signature *s, const Ast *e) {
    uint32_t n = 0;
    for (; !s->nstate && n < s->nparams && !SLOT(s->params[n], BINDING, fallback); n++)
        for (uint32_t k = 0; e->kind == AST_CALL && k < SLOT(e, CALL, inputs)->nkids; k++) {
            const char *name = SLOT(e, CALL, inputs)->kids[k]->name;
            if (name && same(name, s->params[n]->name)) return n;
        }
    return s->nstate ? s->nstate : n;
}

/* A setting of the loss: a value of the attack that calls another with it, or a number.  A label as a number is one of a
 * class. */
static bool check_loss_setting(Checker *c, const Signature *s, uint32_t i, Ast *value, SizeBinding *b, uint32_t nb) {
    const Ast *param = s->params[i];
    const char *what = arena_printf(c->arena, "'%s' of '%s'", param->name, s->decl->name);
    if (type_is_function(param->type))
        return check_function(c, value, type_substitute(c->arena, param->type, b, nb), DIAG_E0301, what);
    const Type *t = check_expr(c, value);
    if (t->kind == TYPE_ERROR) return false;
    if (!param->type->classes) {
        unify(c->arena, param->type, t, b, nb);
        return check_against(c, value, type_substitute(c->arena, param->type, b, nb), DIAG_E0301, what);
    }
    const Ast *example = c->attack && c->attack->nstate > 1 ? c->attack->params[1] : NULL;
    if (example && value->kind == AST_NAME && value->ref == example) {
        diag_help(diag_report(c->diags, DIAG_E0518, value->range, "the target of '%s' is the example's own label",
                              s->decl->name),
                  "another label: ranked(logits(%s))[1]", c->attack->params[0]->name);
        return false;
    }
    const Type *want = type_substitute(c->arena, param->type, b, nb);
    double number;
    int64_t classes;
    if (t->kind != TYPE_NUMBER && !(type_is_scalar(t) && t->elem == ELEM_INT)) {
        unify(c->arena, want, t, b, nb);
        return check_against(c, value, type_substitute(c->arena, want, b, nb), DIAG_E0301, what);
    }
    if (!constant_of(c, value, &number)) return true; /* a sweep: the compiler knows its values */
    if (number == floor(number) && number >= 0 && !(size_number(want->classes, &classes) && number >= (double)classes))
        return true;
    diag_report(c->diags, DIAG_E0412, value->range, "%s is a %s, not %g", what, type_text(c->arena, want), number);
    return false;
}

const Type *check_partial(Checker *c, Ast *e) {
    const Ast *callee = e->kind == AST_CALL ? SLOT(e, CALL, callee) : NULL, *fn = callee ? callee->ref : NULL;
    if (!fn || fn->kind != AST_FN || SLOT(e, CALL, state)) return NULL;
    const Ast *args = SLOT(e, CALL, inputs);
    for (uint32_t i = 0; i < args->nkids; i++)
        if (args->kids[i]->kind != AST_ARG || !args->kids[i]->name) return NULL;
    checker_ensure(c, fn);
    const Signature *s = checker_signature(c, fn);
    if (s->broken || supplied(s, e) < 2) return NULL;
    Type *t = arena_alloc(c->arena, sizeof *t);
    t->kind = TYPE_FN, t->decl = fn;
    return e->type = t;
}

/* A parameter that is a function, of an attack made of others. */
static bool check_loss_parameter(Checker *c, Ast *e, const Type *f, bool pairs) {
    const uint32_t n = f->nitems - 1;
    e->type = f;
    if ((n == 2 || (n == 3 && pairs)) && type_equal(f->items[n], &type_real)) return true;
    diag_help(diag_report(c->diags, DIAG_E0506, e->range, "a loss is a fn of output and target with a scalar result"),
              "'%s' is %s", e->name, type_text(c->arena, f));
    return false;
}

bool check_loss(Checker *c, Ast *e, const Type *output, const Type *target, bool pairs, bool attacked) {
    const Signature *s = NULL;
    const Ast *sweep = e->kind == AST_NAME && e->ref && e->ref->kind == AST_SWEEP ? e->ref : NULL;
    Ast *list = sweep ? SLOT(sweep, SWEEP, values) : NULL;
    if (list && list->kind == AST_ARRAY && sweep->type && sweep->type->kind == TYPE_FN) { /* whichever it is */
        bool good = true;
        uint32_t n = 0;
        sweep_element(list, 0, &n);
        for (uint32_t i = 0; i < n; i++)
            good = check_loss(c, sweep_element(list, i, &(uint32_t){0}), output, target, pairs, attacked) && good;
        e->type = sweep->type;
        return good;
    }
    if (e->kind == AST_NAME && e->ref && e->ref->type && type_is_function(e->ref->type))
        return check_loss_parameter(c, e, e->ref->type, pairs);
    const Type *fn = plain_fn(c, e, &s);
    if (!fn) {
        if (check_expr(c, e)->kind != TYPE_ERROR)
            diag_report(c->diags, DIAG_E0504, e->range, "'loss' is a fn of output and target, not %s",
                        type_text(c->arena, e->type));
        fail(e);
        return false;
    }
    e->type = fn;
    if (s->broken) return false;
    checker_ensure(c, s->decl);
    if (fn_runs(s->decl)) {
        diag_report(c->diags, DIAG_E0506, e->range, "'%s' has states or loops that run: it is no loss", s->decl->name);
        return false;
    }
    const uint32_t first = supplied(s, e);
    const bool pair = first == 3 && pairs;
    if ((first != 2 && !pair) || !type_equal(s->result, &type_real)) {
        Diagnostic *d = diag_report(c->diags, DIAG_E0506, e->range,
                                    pairs ? "a loss is a fn of output and target, or of clean output, attacked output "
                                            "and target, with a scalar result"
                                          : "a loss is a fn of output and target with a scalar result");
        diag_help(d, "'%s' is %s", s->decl->name, signature_text(c, s));
        return false;
    }
    if (pair && !attacked) {
        diag_help(diag_report(c->diags, DIAG_E0506, e->range,
                              "'%s' compares clean and attacked outputs, but nothing attacks this training",
                              s->decl->name),
                  "attack: pgd(..)");
        return false;
    }
    CallParameter params[64];
    Ast *values[64];
    for (uint32_t i = first; i < s->nparams; i++)
        params[i - first] = (CallParameter){
            s->params[i]->name, SLOT(s->params[i], BINDING, fallback) ? NEED_OPTIONAL : NEED_REQUIRED, false};
    if (!match_arguments(c, s->decl->name, signature_text(c, s), e->kind == AST_CALL ? e : NULL, NULL, e->range, params,
                         s->nparams - first, values, NULL, NULL))
        return false;
    SizeBinding b[64];
    uint32_t nb = 0;
    for (uint32_t i = 0; i < s->nsizes && nb < 64; i++) b[nb++] = (SizeBinding){.var = s->sizes[i]};
    const Type *have[3] = {output, pair ? output : target, target};
    const bool known = output && target;
    for (uint32_t i = 0; i < first && known; i++) unify(c->arena, s->params[i]->type, have[i], b, nb);
    bool good = true;
    for (uint32_t i = first; i < s->nparams; i++)
        good = (!values[i - first] || check_loss_setting(c, s, i, values[i - first], b, nb)) && good;
    if (!known) return good;
    for (uint32_t i = 0; i < first; i++) {
        const Type *want = type_substitute(c->arena, s->params[i]->type, b, nb);
        if (type_equal(want, have[i])) continue;
        Diagnostic *d =
            diag_report(c->diags, DIAG_E0506, e->range, "'%s' of '%s' is %s, but %s is %s", s->params[i]->name,
                        s->decl->name, type_text(c->arena, want),
                        i + 1 == first ? "the data's target" : "the net's output", type_text(c->arena, have[i]));
        if (output->kind == TYPE_TENSOR && output->rank == 1 && target->elem == ELEM_LABEL)
            diag_note(d, (Range){NULL, 0, 0}, "the net gives %s, the data %s", type_text(c->arena, output),
                      type_text(c->arena, target));
        return false;
    }
    return good;
}
