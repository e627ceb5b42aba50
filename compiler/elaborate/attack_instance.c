/* attack_instance.c - what a script names: pgd(radius: 0.1) with { gradient: jfb() } as a routine and its scalars. */
#include "asked.h"
#include "attack.h"
#include <float.h>
#include <math.h>
#include <string.h>

static bool scalar_choice(Scope *s, struct Scalar *x, const Ast *list, Scope *settings, Range at, const char *callee) {
    double *choices = arena_alloc(s->elab->arena, list->nkids * sizeof *choices);
    const char *text = "";
    bool good = false;
    for (uint32_t i = 0; i < list->nkids; i++) {
        if (!eval_number(settings, list->kids[i], &choices[i])) return false;
        good = good || choices[i] == x->value;
        text = arena_printf(s->elab->arena, "%s%s %g", text, i ? "," : "", choices[i]);
    }
    x->choices = choices;
    x->nchoices = list->nkids;
    if (good) return true;
    return elab_error(s, DIAG_E0412, at, "'%s' of '%s' is one of%s, this is %g", x->name, callee, text, x->value),
           false;
}

bool scalar_bound(Scope *s, struct Scalar *x, const Ast *binding, Scope *settings, const Ast *list, Range at,
                  const char *callee) {
    const Ast *bounds = AST_SLOT(binding, BINDING, bounds);
    if (!bounds) return true;
    if (bounds->kind == AST_ARRAY) return scalar_choice(s, x, bounds, settings, at, callee);
    if (!eval_number(settings, AST_SLOT(bounds, BINARY, left), &x->low) ||
        !eval_number(settings, AST_SLOT(bounds, BINARY, right), &x->high))
        return false;
    if (isnan(x->low) || (isnan(x->high) && !x->unbounded))
        return elab_error(s, DIAG_E0314, at,
                          "no value lies in the bounds of '%s' of '%s': one of them is not a number%s", x->name, callee,
                          bound_where(settings, bounds, list, "")),
               false;
    if (!bound_text(settings, x->name, AST_SLOT(bounds, BINARY, left), list, &x->low_by) ||
        (!x->unbounded && !bound_text(settings, x->name, AST_SLOT(bounds, BINARY, right), list, &x->high_by)))
        return false;
    if (x->high_by && x->whole) x->high_by = arena_printf(s->elab->arena, "%s 1 -", x->high_by);
    if (x->unbounded) x->high = INFINITY;
    if (x->whole) x->high -= 1; /* ranges of whole numbers are half open */
    x->bounded = true;
    if (!ast_is_infinity(AST_SLOT(binding, BINDING, fallback))) {
        x->low = fmax(x->low, -DBL_MAX), x->high = fmin(x->high, DBL_MAX);
        if (x->low_by) x->low_by = arena_printf(s->elab->arena, "%s %.17g max", x->low_by, -DBL_MAX);
        if (x->high_by) x->high_by = arena_printf(s->elab->arena, "%s %.17g min", x->high_by, DBL_MAX);
    }
    if (x->value >= x->low && x->value <= x->high) return true;
    const char *where = bound_where(settings, bounds, list, "");
    if (isinf(x->value) && fabs(x->value > 0 ? x->high : x->low) == DBL_MAX)
        elab_error(s, DIAG_E0412, at, "'%s' of '%s' is a finite number%s, this is %g", x->name, callee, where,
                   x->value);
    else if (x->high >= DBL_MAX)
        elab_error(s, DIAG_E0412, at, "'%s' of '%s' is at least %g%s, this is %g", x->name, callee, x->low, where,
                   x->value);
    else
        elab_error(s, DIAG_E0412, at, "'%s' of '%s' lies between %g and %g%s, this is %g", x->name, callee, x->low,
                   x->high, where, x->value);
    return false;
}

static bool is_function(const Ast *binding) { return AST_SLOT(binding, BINDING, type)->kind == AST_FN_TYPE; }

static bool label_fits(Scope *s, const Net *net, const Ast *fn, const char *setting, double x, Range at) {
    const uint32_t classes = net->target.classes;
    if (x >= 0 && x < classes && x == floor(x)) return true;
    return elab_error(s, DIAG_E0412, at, "'%s' of '%s' is a label below %u, this is %g", setting, fn->name, classes, x),
           false;
}

/* The labels among the settings of a function that is passed at `at`, and of functions among these, are some of the net's. */
static bool function_labels_fit(Scope *s, const Net *net, const Value *f, Range at) {
    const LossUse use = {.fn = f->ast};
    for (const Env *x = f->given; x; x = x->next)
        if (value_is_function(&x->value) ? !function_labels_fit(s, net, &x->value, at)
                                         : x->value.kind == VALUE_NUMBER && loss_setting_is_label(&use, x->name) &&
                                               !label_fits(s, net, f->ast, x->name, x->value.number, at))
            return false;
    return true;
}

/* The settings of a function that is passed are scalars as those of the attack are: objective.delta. */
static bool function_numbers(Scope *from, const Ast *binding, const Value *f, Range at, Scalars *out) {
    Arena *a = from->elab->arena;
    const LossUse use = {.fn = f->ast};
    for (const Env *x = f->given; x; x = x->next) {
        if (value_is_function(&x->value)) continue;
        const char *name = arena_printf(a, "%s.%s", binding->name, x->name);
        const bool label = loss_setting_is_label(&use, x->name);
        if (x->value.kind != VALUE_NUMBER)
            return elab_error(from, DIAG_E0321, at, "'%s' must be a number", name), false;
        *ARENA_PUSH(a, out->items, out->n, out->cap) =
            (struct Scalar){.name = name, .value = x->value.number, .whole = label, .label = label};
    }
    return true;
}

/* What the parameters of `params` that are functions are at `call`; false after an error. */
static bool instance_functions(Scope *from, const Ast *call, const Ast *params, const Module *owner, Env **functions) {
    Args args = {.at = call->range};
    const Ast *list = params ? AST_SLOT(params, PARAMS, inputs) : NULL;
    bool any = false;
    *functions = NULL;
    for (uint32_t k = 0; list && k < list->nkids; k++) any = any || is_function(list->kids[k]);
    if (!any) return true;
    if (call->kind == AST_CALL) args = call_args(from, call, NULL, call->range);
    Scope inner = scope_of_module(from->elab, owner);
    for (uint32_t k = 0; k < list->nkids; k++) {
        const Ast *b = list->kids[k];
        const Arg *arg = args_take(&args, b->name, true);
        if (!is_function(b)) continue;
        const Value v = arg ? arg->value : eval(&inner, AST_SLOT(b, BINDING, fallback));
        if (v.kind == VALUE_NONE) return false;
        if (!value_is_function(&v))
            return elab_error(from, DIAG_E0301, call->range, "'%s' is a function", b->name), false;
        *functions = env_bind(from->elab->arena, *functions, b->name, v);
    }
    return true;
}

bool instance_numbers(Scope *from, const Ast *call, const Ast *params, const Module *owner, const char *callee,
                      bool unbounded, Env **numbers, Scalars *out) {
    Elab *e = from->elab;
    Args args = {.at = call->range};
    Scope plain = *from;
    if (call->kind == AST_CALL) args = call_args(&plain, call, NULL, call->range);
    Scope inner = scope_of_module(e, owner);
    inner.env = *numbers;
    const Ast *list = params ? AST_SLOT(params, PARAMS, inputs) : NULL;
    Env *functions;
    uint32_t *scalars = arena_alloc(e->arena, (list ? list->nkids + 1 : 1) * sizeof *scalars);
    if (!instance_functions(from, call, params, owner, &functions)) return false;
    Range *places = arena_alloc(e->arena, (list ? list->nkids + 1 : 1) * sizeof *places);
    for (uint32_t k = 0; list && k < list->nkids; k++) {
        const Ast *b = list->kids[k], *fallback = AST_SLOT(b, BINDING, fallback);
        Arg *arg = args_take(&args, b->name, true);
        double x;
        if (is_function(b)) {
            scope_bind(&inner, b->name, *env_find(functions, b->name));
            scalars[k] = UINT32_MAX;
            if (!function_numbers(from, b, env_find(functions, b->name), arg ? arg->at : call->range, out))
                return false;
            continue;
        }
        const bool asked = asked_value(e, call, b->name, &x);
        if (asked) {
            /* --set has the last word */
        } else if (arg) {
            if (arg->value.kind == VALUE_NONE) return false;
            if (arg->value.kind != VALUE_NUMBER)
                return elab_error(from, DIAG_E0321, arg->at, "'%s' must be a number", b->name), false;
            x = arg->value.number;
        } else if (fallback) {
            if (!eval_number(&inner, fallback, &x)) return false;
        } else
            return elab_error(from, DIAG_E0303, call->range, "'%s' needs its argument '%s'", callee, b->name), false;
        const Ast *type = AST_SLOT(b, BINDING, type);
        bool whole = type && type->kind == AST_TYPE && strcmp(type->name, "int") == 0;
        if (whole && x != floor(x))
            return elab_error(from, DIAG_E0301, arg ? arg->at : call->range, "'%s' is a whole number", b->name), false;
        if (isnan(x))
            return elab_error(from, DIAG_E0412, arg ? arg->at : call->range,
                              "'%s' of '%s' is not a number: this is NaN", b->name, callee),
                   false;
        scope_bind(&inner, b->name, value_number(x));
        scalars[k] = out->n;
        *ARENA_PUSH(e->arena, out->items, out->n, out->cap) =
            (struct Scalar){.name = b->name, .value = x, .whole = whole, .unbounded = unbounded};
        places[k] = arg ? arg->at : call->range;
    }
    for (uint32_t k = 0; list && k < list->nkids; k++) /* bounds may depend on all settings */
        if (scalars[k] != UINT32_MAX &&
            !scalar_bound(from, &out->items[scalars[k]], list->kids[k], &inner, list, places[k], callee))
            return false;
    *numbers = inner.env;
    return args_all_used(from, &args, callee);
}

const Ast *instance_definition(Scope *s, const Ast *e, AstKind declaration, AstKind definition, Scope *from,
                               const Module **owner, const char **name, const Ast **call) {
    *from = *s;
    for (int k = 0; k < 64; k++) {
        e = resolve_ast(from, e, from);
        const Ast *callee = e->kind == AST_CALL ? AST_SLOT(e, CALL, callee) : e;
        callee = resolve_ast(from, callee, from);
        char path[512];
        const Ast *d = ast_path(callee, path, sizeof path) ? module_find(from->module, path, owner) : NULL;
        if (!d) return NULL;
        if (d->kind == definition) {
            *call = e;
            return d;
        }
        if (d->kind != declaration) return NULL;
        if (!*name) *name = d->name;
        Scope next = scope_of_module(s->elab, *owner);
        next.frame = s->frame;
        *from = next;
        e = d->kids[0];
        if (e->kind == AST_WITH) {
            *call = e;
            return d;
        }
    }
    return NULL;
}

/* A loss of the net that is this function, without settings; NULL. */
static const char *own_loss(const Net *net, const LossUse *use) {
    for (uint32_t k = 0; k < net->nuses && use->settings.n == 0; k++) {
        const LossUse *own = &net->uses[k].use;
        if (own->fn == use->fn && own->owner == use->owner && own->settings.n == 0) return net->uses[k].name;
    }
    return NULL;
}

bool turns_fit(Scope *s, const struct Count *count, double low, Range at) {
    if (!count->most || (low >= 0 && count->number <= count->most)) return true;
    return elab_error(s, DIAG_E0314, at, "'%s' goes from %g to %g, and there are %u labels",
                      range_text(s->elab->arena, count->at), low, count->number, count->most),
           false;
}

static bool valid_rounds(Scope *s, const char *attack, Range at, const char *what, double x) {
    if (x >= 0 && x <= 1e9 && x == floor(x)) return true;
    elab_error(s, DIAG_E0412, at,
               "'%s' counts the rounds of a 'repeat' in '%s': it lies between 0 and 1e+09, not at %g", what, attack, x);
    return false;
}

/* The settings of the attack's loss, as the routine's scalars. */
static bool loss_numbers(Scope *s, const Net *net, const LossUse *use, Scalars *out) {
    Arena *a = s->elab->arena;
    for (uint32_t k = 0; k < use->settings.n; k++) {
        const Arg *arg = &use->settings.items[k];
        const double x = arg->value.number;
        const bool label = loss_setting_is_label(use, arg->name);
        if (value_is_function(&arg->value)) continue;
        if (arg->value.kind != VALUE_NUMBER)
            return elab_error(s, DIAG_E0321, arg->at, "'%s' must be a number", arg->name), false;
        if (!label && !loss_setting_is_data(use, arg)) continue;
        if (label && !label_fits(s, net, use->fn, arg->name, x, arg->at)) return false;
        *ARENA_PUSH(a, out->items, out->n, out->cap) =
            (struct Scalar){.name = arena_printf(a, "loss.%s", arg->name), .value = x, .whole = label, .label = label};
    }
    return true;
}

const Ast *attack_chosen(Scope *from, const Ast *e) {
    double c;
    if (!eval_number(from, AST_SLOT(e, IF, condition), &c)) return NULL;
    return c != 0 ? AST_SLOT(e, IF, yes) : AST_SLOT(e, IF, no);
}

const Ast *attack_with(Scope *from, const Ast *e, AttackSettings *with) {
    *ARENA_PUSH(from->elab->arena, with->items, with->n, with->cap) =
        (struct AttackWith){scope_settings(from, AST_SLOT(e, WITH, settings)), *from, with->level};
    return AST_SLOT(e, WITH, base);
}

/* The value of a setting whose name is one word; NULL. */
static const Ast *setting_value(const Ast *item, const char **name) {
    const Ast *key = AST_SLOT(item, SETTING, key), *value = AST_SLOT(item, SETTING, value);
    *name = key->kind == AST_NAME && value ? key->name : "";
    return value;
}

static bool lifts_bounds(const AttackSettings *with) {
    const char *name;
    for (uint32_t k = 0; k < with->n; k++)
        for (uint32_t i = 0; i < with->items[k].settings->nkids; i++) {
            const Ast *value = setting_value(with->items[k].settings->kids[i], &name);
            if (strcmp(name, "unbounded") == 0 && value->number != 0) return true;
        }
    return false;
}

const Ast *attack_others(Scope *from, const Ast *e, const char **name, AttackSettings *with, bool *ok) {
    Arena *a = from->elab->arena;
    const Module *owner = NULL;
    char path[512];
    *ok = true;
    const Ast *callee = e->kind == AST_CALL ? AST_SLOT(e, CALL, callee) : e;
    const Ast *d = ast_path(callee, path, sizeof path) ? module_find(from->module, path, &owner) : NULL;
    if (!d || !ast_attack_of_others(d)) return NULL;
    Env *numbers = NULL;
    Scalars scalars = {0};
    *ok = instance_numbers(from, e, AST_SLOT(d, ATTACK_DEF, inputs), owner, d->name, lifts_bounds(with), &numbers,
                           &scalars);
    if (!*ok) return NULL;
    if (!*name) *name = d->name;
    with->level++;
    Scope next = scope_of_module(from->elab, owner);
    Frame *frame = arena_alloc(a, sizeof *frame);
    *frame = (Frame){arena_printf(a, "in attack '%s', used here", d->name), e->range, from->frame};
    next.frame = frame;
    next.env = numbers;
    *from = next;
    return AST_SLOT(d, ATTACK_DEF, body);
}

typedef struct Reading { /* what a script names, before it is made for a net */
    Scope from;          /* where `call` stands */
    const Ast *d, *call; /* the definition and what gives its settings */
    const Module *owner; /* of the definition */
    LossUse *use;        /* with { loss: .. }; NULL: that of the net */
    const Ast *against;  /* with { against: .. }, and where it stands; NULL: the net that is evaluated */
    Scope against_from;
} Reading;

/* One setting of `with { .. }`: the first that is read wins. */
static bool read_setting(Scope *s, const Ast *item, Reading *r, AttackUse *out) {
    const char *name;
    const Ast *value = setting_value(item, &name);
    if (strcmp(name, "allow_masking") == 0)
        out->allow_masking = out->allow_masking || value->number != 0;
    else if (strcmp(name, "unbounded") == 0)
        out->unbounded = out->unbounded || value->number != 0;
    else if (strcmp(name, "loss") == 0) {
        if (r->use) return true;
        r->use = arena_alloc(s->elab->arena, sizeof *r->use);
        return loss_read(s, value, r->use);
    } else if (strcmp(name, "against") == 0) {
        if (!r->against) r->against = value, r->against_from = *s;
    } else if (strcmp(name, "judge") == 0) {
        if (!out->judge) out->judge = value->name; /* one of its words: the checker's matter */
    } else if (strcmp(name, "gradient") == 0 && !out->gradient && setting_of_asked_net(s, value))
        out->gradient = "";
    else if (strcmp(name, "gradient") == 0)
        return out->gradient || (out->gradient = setting_text(s, "gradient", value));
    else
        return elab_error(s, DIAG_E0501, item->range,
                          "an attack takes 'gradient', 'loss', 'against', 'judge', 'allow_masking' and 'unbounded'"),
               false;
    return true;
}

/* A part keeps what it says itself: settings of an attack made of others are for those that say nothing.  Of several
 * behind one attack the outermost wins. */
static bool read_settings(AttackSettings *with, Reading *r, AttackUse *out) {
    for (uint32_t level = with->level + 1; level-- > 0;)
        for (uint32_t k = 0; k < with->n; k++) {
            struct AttackWith *w = &with->items[k];
            for (uint32_t i = 0; w->level == level && i < w->settings->nkids; i++)
                if (!read_setting(&w->from, w->settings->kids[i], r, out)) return false;
        }
    return true;
}

static bool read_attack(Scope *s, const Ast *given, const AttackSettings *around, Reading *r, AttackUse *out) {
    *r = (Reading){.from = *s};
    *out = (AttackUse){0};
    AttackSettings with = {0};
    for (uint32_t k = 0; around && k < around->n; k++)
        *ARENA_PUSH(s->elab->arena, with.items, with.n, with.cap) = around->items[k];
    with.level = around ? around->level + 1 : 0;
    const Ast *e = given;
    for (int k = 0; k < 64; k++) {
        e = resolve_ast(&r->from, e, &r->from);
        if (e->kind == AST_IF) {
            if (!(e = attack_chosen(&r->from, e))) return false;
            continue;
        }
        if (e->kind == AST_WITH) {
            e = attack_with(&r->from, e, &with);
            continue;
        }
        bool ok;
        const Ast *others = attack_others(&r->from, e, &out->name, &with, &ok);
        if (!ok) return false;
        if (others) {
            e = others;
            continue;
        }
        r->d = instance_definition(&r->from, e, AST_ATTACK, AST_ATTACK_DEF, &r->from, &r->owner, &out->name, &r->call);
        if (!r->d || (r->d->kind == AST_ATTACK_DEF && !ast_attack_of_others(r->d))) break;
        e = r->call;
    }
    if (!r->d || r->d->kind != AST_ATTACK_DEF)
        return elab_error(s, DIAG_E0504, given->range, "an attack is needed here"), false;
    return read_settings(&with, r, out);
}

bool attack_against(Scope *s, const Ast *given, const AttackSettings *around, const Ast **net, Scope *from) {
    Reading r;
    AttackUse use;
    if (!read_attack(s, given, around, &r, &use)) return false;
    *net = r.against;
    *from = r.against_from;
    return true;
}

/* Where a call says it; the call where it leaves it to its default. */
static Range place_of_setting(const Ast *call, const char *name) {
    const Ast *inputs = call->kind == AST_CALL ? AST_SLOT(call, CALL, inputs) : NULL;
    for (uint32_t k = 0; inputs && k < inputs->nkids; k++)
        if (inputs->kids[k]->name && strcmp(inputs->kids[k]->name, name) == 0) return inputs->kids[k]->range;
    return call->range;
}

bool attack_use(Scope *s, const Ast *given, const AttackSettings *around, Net *net, const char *loss, bool in_batch,
                AttackUse *out) {
    Reading r;
    if (!read_attack(s, given, around, &r, out)) return false;
    if (out->gradient && !*out->gradient) out->gradient = NULL;
    Scope from = r.from;
    const Ast *d = r.d, *call = r.call;
    const Module *owner = r.owner;
    const LossUse *use = r.use;
    const LossOfNet *trained = use ? NULL : net_loss_called(net, loss);
    if (trained && trained->nsettings) use = &trained->use; /* whose numbers are then scalars of the attack */
    if (use && own_loss(net, use)) {
        loss = own_loss(net, use);
        use = NULL;
    }
    Env *functions;
    if (!instance_functions(&from, call, AST_SLOT(d, ATTACK_DEF, inputs), owner, &functions)) return false;
    for (const Env *f = net->target.classes ? functions : NULL; f; f = f->next)
        if (!function_labels_fit(&from, net, &f->value, place_of_setting(call, f->name))) return false;
    Attack *k = attack_compile(s, d, owner, net, use ? NULL : loss, use, functions, in_batch, given->range);
    if (!k) return false;
    for (uint32_t i = 0; in_batch && i < net->model->nfixed; i++) {
        const char *mode = out->gradient ? out->gradient : net->model->fixed[i].gradient;
        if (!mode || !setting_asks_on_the_way(mode)) continue;
        return elab_error_help(s, DIAG_E0504, given->range, "implicit(), phantom.unroll(..) and jfb() ask at its end",
                               "'batch_statistics: train' has no batch at the states on the solver's way where this "
                               "gradient asks for the loss"),
               false;
    }
    for (uint32_t i = 0; out->gradient && i < net->model->nfixed; i++)
        if (!setting_fits(s, &net->model->fixed[i], "gradient", out->gradient, given->range)) return false;
    if (!out->name) out->name = d->name;
    out->definition = d->name;
    out->routine = k->routine->name;
    out->hash = k->hash;
    out->differentiates = k->queries.differentiates;
    Env *numbers = k->sizes;
    if (!instance_numbers(&from, call, AST_SLOT(d, ATTACK_DEF, inputs), owner, d->name, out->unbounded, &numbers,
                          &out->scalars) ||
        (use && !loss_numbers(&from, net, use, &out->scalars)))
        return false;
    for (uint32_t i = 0; i < out->scalars.n; i++) {
        struct Scalar *x = &out->scalars.items[i];
        if (x->label) x->bounded = true, x->low = 0, x->high = net->target.classes - 1.0;
    }
    for (uint32_t i = 0; i < k->nparams; i++) {
        bool direct = (k->direct >> i & 1) != 0;
        out->scalars.items[i].count = direct;
        for (uint32_t c = 0; c < k->ncounts; c++)
            out->scalars.items[i].computed |=
                !k->counts[c].known && (attack_mentions(k->counts[c].to, out->scalars.items[i].name) ||
                                        attack_mentions(k->counts[c].from, out->scalars.items[i].name));
        if (direct &&
            !valid_rounds(&from, d->name, call->range, out->scalars.items[i].name, out->scalars.items[i].value))
            return false;
    }
    for (uint32_t i = 0; i < k->ncounts; i++) {
        struct Count count = k->counts[i];
        Scope inner = scope_of_module(s->elab, owner);
        inner.env = numbers;
        double low = 0;
        if (!count.known &&
            (!eval_number(&inner, count.to, &count.number) || (count.from && !eval_number(&inner, count.from, &low)) ||
             !turns_fit(&from, &count, low, call->range)))
            return false;
        const double x = count.number - low;
        if (!valid_rounds(&from, d->name, call->range, range_text(s->elab->arena, count.at), x)) return false;
        *ARENA_PUSH(s->elab->arena, out->scalars.items, out->scalars.n, out->scalars.cap) =
            (struct Scalar){.name = arena_printf(s->elab->arena, "rounds %u", i + 1), .value = x, .computed = true};
    }
    return true;
}
