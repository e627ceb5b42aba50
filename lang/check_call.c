/* check_call.c - calls: matching of arguments, layers made with sizes, application of functions and layers. */
#include "checker.h"
#include "foreign.h"
#include <ctype.h>
#include <string.h>

/* ---- arguments ---- */

static Diagnostic *report_arguments(Checker *c, DiagCode code, Range at, const char *takes, const char *message) {
    Diagnostic *d = diag_report(c->diags, code, at, "%s", message);
    if (takes) diag_help(d, "it is %s", takes);
    return d;
}

static bool place_named(Checker *c, const char *callee, const char *takes, const Ast *arg, const CallParameter *params,
                        uint32_t n, Ast **out, bool state) {
    const char *names[64];
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (same(params[i].name, arg->name)) {
            if (params[i].state != state) {
                report_arguments(c, DIAG_E0323, arg->range, takes,
                                 arena_printf(c->arena, "'%s' is %s of '%s': it stands %s ';'", arg->name,
                                              state ? "an input" : "a state", callee, state ? "behind" : "before"));
                return false;
            }
            if (out[i]) {
                report_arguments(c, DIAG_E0305, arg->range, takes,
                                 arena_printf(c->arena, "'%s' gets '%s' twice", callee, arg->name));
                return false;
            }
            out[i] = SLOT(arg, ARG, value);
            return true;
        }
        if (count < 64) names[count++] = params[i].name;
    }
    Diagnostic *d = report_arguments(c, DIAG_E0304, place(arg), NULL,
                                     arena_printf(c->arena, "'%s' has no argument '%s'", callee, arg->name));
    if (!foreign_help_key(d, arg->name, names, count) && takes) diag_help(d, "it is %s", takes);
    return false;
}

bool match_arguments(Checker *c, const char *callee, const char *takes, const Ast *call, Ast *piped, Range at,
                     const CallParameter *params, uint32_t n, Ast **out, Ast ***more, uint32_t *nmore) {
    uint32_t nstate = 0, cap = 0;
    bool good = true;
    memset(out, 0, sizeof *out * n);
    for (uint32_t i = 0; i < n; i++) nstate += params[i].state;
    const Ast *lists[2] = {call ? SLOT(call, CALL, state) : NULL, call ? SLOT(call, CALL, inputs) : NULL};
    if (nstate && !lists[0] && call && n > nstate && lists[1]->nkids) {
        Diagnostic *d =
            report_arguments(c, DIAG_E0323, at, takes,
                             arena_printf(c->arena, "'%s' takes a state: write ';' between state and inputs", callee));
        diag_help(d, "%s(z; x)", callee);
        good = false;
    } else if (!nstate && lists[0]) {
        report_arguments(c, DIAG_E0323, at, takes,
                         arena_printf(c->arena, "'%s' has no state: there is no ';' in its call", callee));
        good = false;
    }
    for (uint32_t part = 0; good && part < 2; part++) {
        bool state = part == 0;
        uint32_t next = 0;
        if (state && !lists[0] && !(piped && nstate)) continue;
        for (int64_t i = piped && state == (nstate > 0) ? -1 : 0; i < (lists[part] ? (int64_t)lists[part]->nkids : 0);
             i++) {
            const Ast *arg = i < 0 ? NULL : lists[part]->kids[i];
            if (arg && arg->kind != AST_ARG) return false;
            if (arg && arg->name) {
                good = place_named(c, callee, takes, arg, params, n, out, state) && good;
                continue;
            }
            Ast *value = arg ? SLOT(arg, ARG, value) : piped;
            while (next < n && (params[next].state != state || params[next].need == NEED_MANY || out[next])) next++;
            if (next < n && !(more && params[n - 1].need == NEED_MANY)) {
                out[next] = value;
            } else if (more) {
                *ARENA_PUSH(c->arena, *more, *nmore, cap) = value;
            } else {
                report_arguments(c, DIAG_E0303, value->range, takes,
                                 arena_printf(c->arena, "'%s' gets too many arguments", callee));
                return false;
            }
        }
    }
    const char *missing = "";
    for (uint32_t i = 0; good && i < n; i++)
        if (!out[i] && params[i].need == NEED_REQUIRED)
            missing = arena_printf(c->arena, "%s%s'%s'", missing, *missing ? ", " : "", params[i].name);
    if (good && *missing) {
        report_arguments(c, DIAG_E0303, at, takes, arena_printf(c->arena, "'%s' needs %s", callee, missing));
        return false;
    }
    return good;
}

/* ---- layers as values ---- */

uint32_t signature_bindings(Checker *c, const Signature *s, SizeBinding *b) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->nsizes; i++) b[n++] = (SizeBinding){.var = s->sizes[i]};
    for (uint32_t i = 0; i < s->nparams; i++)
        if (s->params[i]->type && s->params[i]->type->kind == TYPE_TENSOR && s->params[i]->type->elem == ELEM_INT &&
            type_is_scalar(s->params[i]->type))
            b[n++] = (SizeBinding){.var = s->params[i]};
    (void)c;
    return n;
}

static bool bind_given_sizes(Checker *c, const Ast *e, const Signature *s, Ast *list, SizeBinding *b) {
    bool good = true;
    if (list && list->nkids > s->ngiven) {
        diag_help(diag_report(c->diags, DIAG_E0306, list->kids[s->ngiven]->range, "'%s' takes %u size%s, not %u",
                              s->decl->name, s->ngiven, s->ngiven == 1 ? "" : "s", list->nkids),
                  "it is %s", signature_text(c, s));
        return false;
    }
    for (uint32_t i = 0; i < s->ngiven; i++) {
        Ast *fallback = SLOT(s->sizes[i], SIZE_PARAM, fallback);
        if (list && i < list->nkids) {
            b[i].value = size_of(c, list->kids[i], true);
            good = b[i].value && check_positive(c, list->kids[i], b[i].value) && good;
        } else if (fallback) {
            const Size *v = size_of(c, fallback, true);
            b[i].value = v ? size_substitute(c->arena, v, b, i) : NULL;
            good = good && v;
        } else {
            diag_help(diag_report(c->diags, DIAG_E0306, e->range, "'%s' needs its size '%s'", s->decl->name,
                                  s->sizes[i]->name),
                      "it is %s", signature_text(c, s));
            return false;
        }
    }
    return good;
}

/* Settings at `use`: named values of the inputs that have a default. */
static bool bind_settings(Checker *c, const Ast *call, const Signature *s, SizeBinding *b, uint32_t n) {
    bool good = true;
    Ast *args = SLOT(call, CALL, inputs);
    if (SLOT(call, CALL, state)) {
        diag_report(c->diags, DIAG_E0323, call->range,
                    "a layer is made without a state: its state is given where it is called");
        return false;
    }
    for (uint32_t i = 0; i < args->nkids; i++) {
        Ast *arg = args->kids[i], *p = NULL;
        if (arg->kind != AST_ARG) return false;
        const char *names[64];
        uint32_t count = 0;
        for (uint32_t k = 0; k < s->nparams; k++) {
            if (!SLOT(s->params[k], BINDING, fallback)) continue;
            if (count < 64) names[count++] = s->params[k]->name;
            if (same(s->params[k]->name, arg->name)) p = s->params[k];
        }
        for (uint32_t k = 0; arg->name && k < i; k++)
            if (args->kids[k]->kind == AST_ARG && same(args->kids[k]->name, arg->name)) {
                diag_report(c->diags, DIAG_E0305, arg->range, "'%s' gets '%s' twice", s->decl->name, arg->name);
                good = false;
            }
        if (!p) {
            Diagnostic *d =
                arg->name ? diag_report(c->diags, DIAG_E0304, place(arg), "'%s' has no setting '%s'", s->decl->name,
                                        arg->name)
                          : diag_report(c->diags, DIAG_E0302, arg->range,
                                        "'%s' is a layer: its inputs are given where it is called", s->decl->name);
            if (!arg->name)
                diag_help(d, "use name = %s[..] makes it, name(x) calls it", s->decl->name);
            else if (!foreign_help_key(d, arg->name, names, count))
                diag_help(d, "it is %s", signature_text(c, s));
            good = false;
            continue;
        }
        Ast *value = SLOT(arg, ARG, value);
        good = check_against(c, value, type_substitute(c->arena, p->type, b, n), DIAG_E0301,
                             arena_printf(c->arena, "'%s' of '%s'", p->name, s->decl->name)) &&
               check_bounds(c, p, value, s->decl->name) && good;
        SizeBinding *slot = (SizeBinding *)binding_of(b, n, p);
        if (slot) slot->value = size_of(c, value, false);
    }
    return good;
}

/* "I, O" */
static const char *size_names(Checker *c, const Signature *s) {
    const char *text = "";
    for (uint32_t i = 0; i < s->ngiven; i++)
        text = arena_printf(c->arena, "%s%s%s", text, i ? ", " : "", s->sizes[i]->name);
    return text;
}

/* A layer called where it stands, Dense[4, 2](x): it has no parameters until `use` makes them. */
static const Type *fail_without_use(Checker *c, Ast *e, const Ast *layer, const Ast *callee) {
    const Signature *s = checker_signature(c, layer);
    char *name = arena_strdup(c->arena, layer->name);
    *name = (char)tolower((unsigned char)*name);
    Range r = callee->range;
    const char *sizes = s->ngiven ? arena_printf(c->arena, "%s[%s]", layer->name, size_names(c, s)) : layer->name;
    if (callee->kind == AST_INDEX) sizes = arena_strndup(c->arena, r.source->text + r.start, r.end - r.start);
    Diagnostic *d = diag_report(c->diags, DIAG_E0302, callee->range,
                                "layer '%s' is called without 'use', which makes its parameters", layer->name);
    diag_help(d, "write 'use %s = %s' as a statement of its own, then %s(x)", name, sizes, name);
    return fail(e);
}

/* Dense(4, 2): numbers in ( ) where the sizes stand in [ ]. */
static bool sizes_in_parentheses(Checker *c, const Ast *call, const Signature *s) {
    const Ast *args = SLOT(call, CALL, inputs);
    const char *text = "";
    if (SLOT(call, CALL, callee)->kind == AST_INDEX || args->nkids == 0 || args->nkids > s->ngiven) return false;
    for (uint32_t i = 0; i < args->nkids; i++) {
        const Ast *value = args->kids[i]->kind == AST_ARG ? SLOT(args->kids[i], ARG, value) : NULL;
        bool whole =
            value && !args->kids[i]->name &&
            (value->kind == AST_NUMBER || (value->kind == AST_NAME && value->ref &&
                                           (value->ref->kind == AST_SIZE_PARAM || value->ref->kind == AST_CONST)));
        if (!whole) return false;
        text = arena_printf(c->arena, "%s%s%s", text, i ? ", " : "", value->name);
    }
    diag_help(diag_report(c->diags, DIAG_E0306, args->range.source ? args->range : call->range,
                          "the sizes of '%s' stand in [ ], not in ( )", s->decl->name),
              "%s[%s]", s->decl->name, text);
    return true;
}

const Type *check_instance(Checker *c, Ast *e) {
    Ast *call = e->kind == AST_CALL ? e : NULL;
    Ast *base = call ? SLOT(call, CALL, callee) : e;
    Ast *index = base->kind == AST_INDEX ? base : NULL;
    base = index ? SLOT(index, INDEX, base) : base;
    if (!base->ref || base->ref->kind != AST_LAYER) return check_expr(c, e);
    checker_ensure(c, base->ref);
    const Signature *s = checker_signature(c, base->ref);
    if (s->broken || (call && sizes_in_parentheses(c, call, s))) return fail(e);
    SizeBinding *b = arena_alloc(c->arena, sizeof *b * (s->nsizes + s->nparams + 1));
    uint32_t n = signature_bindings(c, s, b);
    if (!bind_given_sizes(c, e, s, index ? SLOT(index, INDEX, indices) : NULL, b)) return fail(e);
    if (call && !bind_settings(c, call, s, b, n)) return fail(e);
    for (uint32_t i = 0; i < s->nparams; i++) { /* int settings left at their defaults */
        SizeBinding *slot = (SizeBinding *)binding_of(b, n, s->params[i]);
        Ast *fallback = SLOT(s->params[i], BINDING, fallback);
        if (slot && !slot->value && fallback) {
            const Size *v = size_of(c, fallback, false);
            slot->value = v ? size_substitute(c->arena, v, b, n) : NULL;
        }
    }
    Type *t = arena_alloc(c->arena, sizeof *t);
    t->kind = TYPE_LAYER, t->decl = base->ref, t->bound = b, t->nbound = n, t->call = call;
    base->type = t;
    if (index) index->type = t;
    return e->type = t;
}

/* ---- application ---- */

static bool only_scalars(const Ast *e) {
    if (e->type && e->type->kind == TYPE_TENSOR && !type_is_scalar(e->type)) return false;
    for (uint32_t i = 0; i < e->nkids; i++)
        if (e->kids[i] && !only_scalars(e->kids[i])) return false;
    return true;
}

bool fn_is_elementwise(Checker *c, const Ast *fn) {
    const Signature *s = checker_signature(c, fn);
    if (s->broken || s->nstate || s->nsizes || fn_runs(fn) || !type_equal(s->result, &type_real)) return false;
    for (uint32_t i = 0; i < s->nparams; i++)
        if (!type_equal(s->params[i]->type, &type_real)) return false;
    return only_scalars(SLOT(fn, FN, body));
}

static const char *argument_text(Checker *c, const Signature *s, uint32_t i) {
    return arena_printf(c->arena, "'%s' of '%s'", s->params[i]->name, s->decl->name);
}

static bool check_argument(Checker *c, const Signature *s, uint32_t i, Ast *value, const SizeBinding *b, uint32_t nb) {
    const Type *want = type_substitute(c->arena, s->params[i]->type, b, nb);
    if (type_is_function(want)) return check_function(c, value, want, DIAG_E0301, argument_text(c, s, i));
    for (uint32_t k = 0; k < nb; k++) {
        bool open = false;
        for (uint32_t d = 0; !b[k].value && want->kind == TYPE_TENSOR && d < want->rank; d++)
            open = open || size_mentions(want->dims[d], b[k].var);
        if (open && value->type->kind == TYPE_FLEX) {
            diag_report(c->diags, DIAG_E0324, value->range, "the shape of %s is not determined: nothing gives '%s'",
                        argument_text(c, s, i), b[k].var->name);
            return false;
        }
        if (open && want->kind == TYPE_TENSOR && value->type->kind == TYPE_TENSOR && value->type->rank == want->rank &&
            value->type->elem == want->elem) {
            diag_report(c->diags, DIAG_E0311, value->range, "size '%s' of '%s' cannot be inferred from %s",
                        b[k].var->name, s->decl->name, type_text(c->arena, value->type));
            return false;
        }
    }
    if (fits(c, value, want)) return check_bounds(c, s->params[i], value, s->decl->name);
    bool shapes = want->kind == TYPE_TENSOR && value->type->kind == TYPE_TENSOR && want->elem == value->type->elem;
    Diagnostic *d = diag_report(c->diags, shapes ? DIAG_E0312 : DIAG_E0301, value->range, "%s is %s, not %s",
                                argument_text(c, s, i), type_text(c->arena, want), value_text(c, value));
    if (shapes && want->rank == 1 && value->type->rank > 1)
        diag_help(d, "flatten(x) puts all elements in one axis");
    else if (shapes)
        note_sizes(c, d, want, value->type);
    return false;
}

static const Type *call_signature(Checker *c, Ast *e, const Signature *s, SizeBinding *b, uint32_t nb, Ast *call,
                                  Ast *piped, const char *name, bool required_only) {
    CallParameter params[64];
    uint32_t index[64], n = 0;
    Ast *values[64];
    for (uint32_t i = 0; i < s->nparams && n < 64; i++) {
        bool required = !SLOT(s->params[i], BINDING, fallback);
        if (required_only && !required) continue;
        params[n] = (CallParameter){s->params[i]->name, required ? NEED_REQUIRED : NEED_OPTIONAL, i < s->nstate};
        index[n++] = i;
    }
    bool matched = match_arguments(c, name, signature_text(c, s), call, piped,
                                   call ? place(SLOT(call, CALL, callee)) : e->range, params, n, values, NULL, NULL);
    bool good = matched;
    for (uint32_t i = 0; matched && i < n; i++)
        if (values[i] && !type_is_function(s->params[index[i]]->type))
            good = check_expr(c, values[i])->kind != TYPE_ERROR && good;
    if (!good) return &type_error;
    bool lift = !required_only && s->decl->kind == AST_FN && fn_is_elementwise(c, s->decl);
    Ast *operands[64];
    uint32_t noperands = 0;
    for (uint32_t i = 0; i < n; i++) {
        const Type *p = s->params[index[i]]->type;
        if (!values[i] || type_is_function(p)) continue;
        operands[noperands++] = values[i];
        if (values[i]->type->kind != TYPE_NUMBER) unify(c->arena, p, values[i]->type, b, nb);
        SizeBinding *slot = (SizeBinding *)binding_of(b, nb, s->params[index[i]]);
        if (slot) slot->value = size_of(c, values[i], false);
    }
    for (uint32_t i = 0; i < n; i++) /* a number is as many axes as nothing else says: none */
        if (values[i] && !type_is_function(s->params[index[i]]->type) && values[i]->type->kind == TYPE_NUMBER)
            unify(c->arena, s->params[index[i]]->type, values[i]->type, b, nb);
    for (uint32_t i = 0; i < n; i++) { /* int arguments left out */
        SizeBinding *slot = (SizeBinding *)binding_of(b, nb, s->params[index[i]]);
        Ast *fallback = SLOT(s->params[index[i]], BINDING, fallback);
        if (slot && !slot->value && !values[i] && fallback) {
            const Size *v = size_of(c, fallback, false);
            slot->value = v ? size_substitute(c->arena, v, b, nb) : NULL;
        }
    }
    checker_record_call(c, e, s->decl, b, nb);
    if (lift) { /* a function of scalars maps over tensors */
        for (uint32_t i = 0; i < n; i++)
            if (values[i] && values[i]->type->kind == TYPE_NUMBER)
                good = check_argument(c, s, index[i], values[i], b, nb) && good;
        if (!good) return &type_error;
        const Type *t = join(c, e, s->decl->name, operands, noperands);
        return t->kind == TYPE_NUMBER   ? &type_real
               : t->kind == TYPE_TENSOR ? type_with_elem(c->arena, t, ELEM_REAL)
                                        : t;
    }
    for (uint32_t i = 0; i < n; i++)
        if (values[i]) good = check_argument(c, s, index[i], values[i], b, nb) && good;
    if (!good) return &type_error;
    const Type *result = type_substitute(c->arena, s->result, b, nb);
    if (result->kind == TYPE_TENSOR && result->rank > 6) {
        diag_report(c->diags, DIAG_E0312, e->range, "the result of '%s' has %u axes, at most 6 can be", s->decl->name,
                    result->rank);
        return &type_error;
    }
    for (uint32_t k = 0; k < nb; k++)
        for (uint32_t d = 0; !b[k].value && result->kind == TYPE_TENSOR && d < result->rank; d++)
            if (size_mentions(result->dims[d], b[k].var)) {
                if (b[k].var->kind == AST_BINDING)
                    diag_report(c->diags, DIAG_E0321, e->range,
                                "'%s' of '%s' decides a size: it must be known at compile time", b[k].var->name,
                                s->decl->name);
                else
                    diag_report(c->diags, DIAG_E0311, e->range,
                                "size '%s' of '%s' cannot be inferred from the arguments", b[k].var->name,
                                s->decl->name);
                return &type_error;
            }
    return result;
}

static const Type *call_fn(Checker *c, Ast *e, const Ast *fn, Ast *index, Ast *call, Ast *piped) {
    checker_ensure(c, fn);
    const Signature *s = checker_signature(c, fn);
    if (s->broken || (fn_runs(fn) && !check_runs_here(c, e->range, fn))) return &type_error;
    SizeBinding *b = arena_alloc(c->arena, sizeof *b * (s->nsizes + s->nparams + 1));
    uint32_t n = signature_bindings(c, s, b);
    Ast *list = index ? SLOT(index, INDEX, indices) : NULL;
    for (uint32_t i = 0; list && i < list->nkids; i++) {
        if (i >= s->nsizes) {
            diag_report(c->diags, DIAG_E0306, list->kids[i]->range, "'%s' takes %u sizes, not %u", fn->name, s->nsizes,
                        list->nkids);
            return &type_error;
        }
        if (!(b[i].value = size_of(c, list->kids[i], true))) return &type_error;
    }
    return call_signature(c, e, s, b, n, call, piped, fn->name, false);
}

static const Type *call_layer(Checker *c, Ast *e, const char *name, const Type *layer, Ast *call, Ast *piped) {
    const Signature *s = checker_signature(c, layer->decl);
    if (s->broken) return &type_error;
    if (c->fixed && layer_has_fixed(c, layer->decl)) {
        diag_report(c->diags, DIAG_E0441, e->range, "'%s' has a fixed point of its own and is called inside another",
                    layer->decl->name);
        return &type_error;
    }
    if (c->fixed && layer_couples(c, layer->decl)) {
        diag_help(diag_report(c->diags, DIAG_E0440, e->range,
                              "'%s' normalises over the batch and couples examples inside a fixed point: each example "
                              "would converge to an answer that depends on its neighbours",
                              layer->decl->name),
                  "GroupNorm and LayerNorm keep examples independent; or normalise outside the fixed point");
        return &type_error;
    }
    SizeBinding *b = arena_copy(c->arena, layer->bound, sizeof *b * (layer->nbound + 1));
    return call_signature(c, e, s, b, layer->nbound, call, piped, name, true);
}

/* An evaluation: a metric (fn of output and target) of a net on examples. */
static bool is_evaluation(Checker *c, const Ast *fn, const Ast *call) {
    const Ast *args = call ? SLOT(call, CALL, inputs) : NULL;
    (void)fn;
    if (!(c->context & CTX_PIPELINE) || !args || args->nkids != 2 || SLOT(call, CALL, state)) return false;
    return args->kids[0]->kind == AST_ARG && args->kids[1]->kind == AST_ARG && !args->kids[0]->name &&
           !args->kids[1]->name;
}

static const Type *not_callable(Checker *c, Ast *e, const Ast *callee, const Type *t) {
    if (t->kind == TYPE_ERROR) return t;
    Diagnostic *d = diag_report(c->diags, DIAG_E0302, callee->range, "%s cannot be called", type_text(c->arena, t));
    if (callee->kind == AST_NAME && callee->ref && builtin_find(callee->name, c->context))
        diag_note(d, place(callee->ref), "this '%s' hides the function of the language; rename it", callee->name);
    (void)e;
    return &type_error;
}

/* An attack as a step of another: a value of the type of its example. */
static const Type *check_step(Checker *c, Ast *e, const Ast *def, Ast *call) {
    checker_ensure(c, def);
    const Signature *s = checker_signature(c, def);
    if (ast_attack_of_others(def)) {
        diag_help(
            diag_report(c->diags, DIAG_E0504, e->range, "'%s' is made of other attacks: it is no step", def->name),
            "its parts, one after the other");
        return &type_error;
    }
    if (s->broken || !s->nstate || !s->params[0]->type) return &type_error;
    Signature own = *s;
    own.result = s->params[0]->type;
    SizeBinding *b = arena_alloc(c->arena, sizeof *b * (s->nsizes + 1));
    for (uint32_t i = 0; i < s->nsizes; i++) b[i] = (SizeBinding){.var = s->sizes[i]};
    SLOT(call, CALL, callee)->type = &type_attack;
    return call_signature(c, e, &own, b, s->nsizes, call, NULL, def->name, false);
}

const Type *check_call(Checker *c, Ast *e, Ast *callee, Ast *call, Ast *piped) {
    Ast *index = callee->kind == AST_INDEX ? callee : NULL;
    Ast *base = index ? SLOT(index, INDEX, base) : callee;
    const Ast *r = base->ref;
    bool named = base->kind == AST_NAME || base->kind == AST_MEMBER;
    ReductionCall reduction;
    if (!piped && !r && c->context == CTX_PIPELINE && reduction_of(call, &reduction))
        return check_over(c, &reduction, e);
    if (named && r && r->kind == AST_FN) {
        const Ast *args = call ? SLOT(call, CALL, inputs) : NULL;
        if (!piped && !index && is_evaluation(c, r, call))
            return check_evaluation(c, e, r, SLOT(args->kids[0], ARG, value), SLOT(args->kids[1], ARG, value));
        callee->type = base->type = check_expr(c, base);
        return call_fn(c, e, r, index, call, piped);
    }
    if (named && r && r->kind == AST_ATTACK_DEF && !index && call && !piped && c->context == CTX_ATTACK &&
        SLOT(call, CALL, state))
        return check_step(c, e, r, call);
    if (named && r && !index && call && !piped &&
        (r->kind == AST_ATTACK_DEF || r->kind == AST_DEFENCE_DEF || r->kind == AST_OPTIMISER_DEF ||
         r->kind == AST_SCHEDULE_DEF))
        return check_instance_call(c, e, r, call);
    if (named && r && r->kind == AST_LAYER) {
        bool only_names = call && !piped && !SLOT(call, CALL, state);
        for (uint32_t i = 0; only_names && i < SLOT(call, CALL, inputs)->nkids; i++)
            only_names = SLOT(call, CALL, inputs)->kids[i]->name != NULL;
        if (only_names) return check_instance(c, call);
        checker_ensure(c, r);
        const Signature *s = checker_signature(c, r);
        if (call && !s->broken && sizes_in_parentheses(c, call, s)) return fail(e);
        return fail_without_use(c, e, r, callee);
    }
    if (callee->kind == AST_NAME && !r) {
        const Builtin *b = builtin_find(callee->name, c->context);
        if (b && !builtin_is_value(b)) return check_builtin(c, e, b, call, piped);
        if (!b && reader_find(callee->name) && call && !piped)
            return check_reader(c, e, reader_find(callee->name), call);
        if (!b) return &type_error;
    }
    const Type *t = check_expr(c, callee);
    if (t->kind == TYPE_LAYER && named && r && (r->kind == AST_USE))
        return call_layer(c, e, base->name, t, call, piped);
    if (t->kind == TYPE_SCHEDULE && r && r->kind == AST_BINDING) {
        static const CallParameter params[] = {{"t", NEED_REQUIRED, false}};
        Ast *value;
        if (!match_arguments(c, base->name, "a schedule: rate(t)", call, piped, callee->range, params, 1, &value, NULL,
                             NULL))
            return &type_error;
        return check_against(c, value, &type_real, DIAG_E0301, "the step of a schedule") ? &type_real : &type_error;
    }
    if (type_is_function(t)) return call_function(c, e, t, base->name, call, piped);
    if (t->kind == TYPE_FN && t->transposed) { /* transpose(fn)(v): from fn's result back to its argument */
        const Signature *s = checker_signature(c, t->decl);
        static const CallParameter params[] = {{"v", NEED_REQUIRED, false}};
        Ast *value;
        if (s->broken ||
            !match_arguments(c, "transpose", NULL, call, piped, callee->range, params, 1, &value, NULL, NULL))
            return &type_error;
        return check_against(c, value, s->result, DIAG_E0312, "the argument of a transposed map") ? s->params[0]->type
                                                                                                  : &type_error;
    }
    if (t->kind == TYPE_EXAMPLES || t->kind == TYPE_DATASET) return not_callable(c, e, callee, t);
    return not_callable(c, e, callee, t);
}
