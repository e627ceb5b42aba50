/* check_machine.c - attacks, optimisers, schedules and defences: definitions as state machines, and their instances.
 *
 * An attack sees one example: its input, of any shape that it declares, and its target.  An optimiser sees the
 * parameters w, and a defence the solver's states, as tensors whose axes it does not know. */
#include "checker.h"
#include <string.h>

/* What is known of shapes that nothing declares: that they are their own. */
static const Ast shape_of_w = {.kind = AST_SIZE_PARAM, .name = "w", .number = 1},
                 shape_of_z = {.kind = AST_SIZE_PARAM, .name = "z", .number = 1},
                 outputs = {.kind = AST_SIZE_PARAM, .name = "K"};

const Type *attack_input(Checker *c) {
    return c->attack && c->attack->nstate ? c->attack->params[0]->type : &type_error;
}

/* The classes of the target, or else a size of its own. */
const Size *attack_classes(Checker *c) {
    const Type *y = c->attack && c->attack->nstate > 1 ? c->attack->params[1]->type : NULL;
    return y && y->classes ? y->classes : size_variable(c->arena, &outputs);
}

const Type *machine_value(Checker *c, BuiltinRule rule) {
    switch (rule) {
    case RULE_VALUE_W: return type_pack(c->arena, &shape_of_w);
    case RULE_VALUE_FINAL: return type_pack(c->arena, &shape_of_z);
    case RULE_VALUE_STATES: {
        const Type *z = type_pack(c->arena, &shape_of_z);
        return type_of_items(c->arena, TYPE_STATES, 1, &z);
    }
    case RULE_VALUE_NUMBER: return &type_number;
    default: return &type_real;
    }
}

static const char *machine_word(const Ast *def) {
    return def->kind == AST_ATTACK_DEF      ? "an attack"
           : def->kind == AST_OPTIMISER_DEF ? "an optimiser"
           : def->kind == AST_SCHEDULE_DEF  ? "a schedule"
           : def->kind == AST_FN            ? "a function"
                                            : "a defence";
}

static void check_state(Checker *c, Ast *s) {
    Ast *value = SLOT(s, STATE, value);
    s->type = &type_error;
    if (!value) return;
    const Type *t = SLOT(s, STATE, type) ? check_type(c, SLOT(s, STATE, type)) : check_expr(c, value);
    if (t->kind == TYPE_ERROR) return;
    if (SLOT(s, STATE, type) && !check_against(c, value, t, DIAG_E0519, arena_printf(c->arena, "state '%s'", s->name)))
        return;
    if (t->kind == TYPE_FLEX && !c->shape_of) {
        diag_help(
            diag_report(c->diags, DIAG_E0324, value->range, "nothing here says which shape state '%s' has", s->name),
            "state %s: f32[..S] = zeros", s->name);
        return;
    }
    if (t->kind == TYPE_FLEX) settle(value, t = c->shape_of);
    if (t->kind == TYPE_NUMBER) t = &type_real;
    if (t->kind != TYPE_TENSOR || (t->elem == ELEM_LABEL && t->rank)) {
        diag_report(c->diags, DIAG_E0519, value->range, "state '%s' is a tensor, scalar or label, not %s", s->name,
                    type_text(c->arena, t));
        return;
    }
    s->type = t;
}

static void check_update(Checker *c, Ast *e) {
    Ast *target = SLOT(e, EQUATION, target), *value = SLOT(e, EQUATION, value);
    if (!target || !value || target->kind == AST_ERROR) return;
    const Ast *r = target->kind == AST_NAME ? target->ref : NULL;
    bool parameters = c->context == CTX_OPTIMISER && target->kind == AST_NAME && !r && same(target->name, "w");
    if (!parameters && (!r || r->kind != AST_STATE)) {
        target->type = check_expr(c, value);
        Diagnostic *d = diag_report(c->diags, DIAG_E0510, target->range, "this is not a state");
        if (target->kind == AST_NAME && !r && !builtin_find(target->name, c->context)) help_let(c, d, e);
        diag_help(d, c->context == CTX_OPTIMISER
                         ? "a state is declared with state name = zeros; an optimiser also updates w"
                         : "a state is declared before the loop that changes it: state name = value");
        return;
    }
    const Type *want = parameters ? type_pack(c->arena, &shape_of_w) : r->type ? r->type : &type_error;
    target->type = want;
    check_against(c, value, want, DIAG_E0519, arena_printf(c->arena, "'%s'", target->name));
}

/* Updates in one pair of braces are simultaneous: one a state. */
static void check_once(Checker *c, const Ast *list) {
    for (uint32_t i = 0; i < list->nkids; i++)
        for (uint32_t k = 0; k < i; k++) {
            const Ast *s = list->kids[i], *q = list->kids[k];
            if (s->kind != AST_EQUATION || q->kind != AST_EQUATION) continue;
            const Ast *a = SLOT(s, EQUATION, target), *b = SLOT(q, EQUATION, target);
            if (a->kind == AST_NAME && b->kind == AST_NAME && same(a->name, b->name)) {
                diag_note(diag_report(c->diags, DIAG_E0512, a->range, "'%s' is updated twice", a->name), b->range,
                          "first updated here");
                break;
            }
        }
}

static void check_items(Checker *c, const Ast *def, Ast *list, bool inside);

/* One truth value an example. */
static void check_until(Checker *c, Ast *until) {
    const Type *t = until ? check_expr(c, until) : &type_error;
    if (t->kind == TYPE_ERROR || (t->kind == TYPE_TENSOR && t->elem == ELEM_BOOL && t->rank == 0 && !t->pack)) return;
    Diagnostic *d = diag_report(c->diags, DIAG_E0308, until->range,
                                "the condition of 'until' is one truth value, not %s", type_text(c->arena, t));
    diag_help(d, "until wrong(a)");
}

static void check_repeat(Checker *c, const Ast *def, Ast *s) {
    Ast *count = SLOT(s, REPEAT, count), *body = SLOT(s, REPEAT, body);
    if (count && check_expr(c, count)->kind != TYPE_ERROR && !fits(c, count, &type_int))
        diag_report(c->diags, DIAG_E0301, count->range, "'repeat' counts in whole numbers, this is %s",
                    type_text(c->arena, count->type));
    check_until(c, SLOT(s, REPEAT, until));
    if (body) check_items(c, def, body, true);
}

static bool is_labels(const Type *t) { return t->kind == TYPE_TENSOR && t->elem == ELEM_LABEL && t->rank == 1; }

/* What a `for` of an attack runs over.  The ends of a part of a list of labels are numbers, and need not be sizes. */
static const Type *check_turns_of(Checker *c, Ast *e) {
    Ast *list = e->kind == AST_INDEX ? SLOT(e, INDEX, indices) : NULL, *part = list ? list->kids[0] : NULL;
    if (!list || list->nkids != 1 || part->kind != AST_BINARY || !same(part->name, "..")) return check_expr(c, e);
    const Type *t = check_expr(c, SLOT(e, INDEX, base));
    if (!is_labels(t)) return check_expr(c, e);
    if (check_expr(c, part)->kind == TYPE_ERROR) return &type_error;
    double from, to;
    int64_t n;
    const bool low = constant_of(c, SLOT(part, BINARY, left), &from),
               high = constant_of(c, SLOT(part, BINARY, right), &to);
    if ((low && from < 0) || (high && size_number(t->dims[0], &n) && to > (double)n) || (low && high && to < from)) {
        diag_report(c->diags, DIAG_E0314, part->range, "this is no part of a list of %s labels",
                    size_text(c->arena, t->dims[0]));
        return &type_error;
    }
    return e->type = t;
}

/* for i in a..b of an attack runs, so that i is a number but no size; for y in ranked(z) binds labels. */
static void check_turns(Checker *c, const Ast *def, Ast *loop) {
    Ast *range = SLOT(loop, FOR, range), *body = SLOT(loop, FOR, body);
    const Type *t = range ? check_turns_of(c, range) : &type_error;
    const bool labels = is_labels(t);
    loop->type = t->kind == TYPE_RANGE ? &type_counter : labels ? type_label(c->arena, t->classes) : &type_error;
    if (t->kind != TYPE_RANGE && t->kind != TYPE_ERROR && !labels)
        diag_help(diag_report(c->diags, DIAG_E0321, range->range,
                              "'for' of an attack runs over a range or a list of labels, this is %s",
                              type_text(c->arena, t)),
                  "for i in 0..iterations, for target in ranked(logits(x))[1..10]");
    check_until(c, SLOT(loop, FOR, until));
    if (body) check_items(c, def, body, true);
}

static void check_items(Checker *c, const Ast *def, Ast *list, bool inside) {
    bool attack = def->kind == AST_ATTACK_DEF || def->kind == AST_FN, optimiser = def->kind == AST_OPTIMISER_DEF;
    for (uint32_t i = 0; i < list->nkids; i++) {
        Ast *s = list->kids[i];
        bool allowed = true;
        switch (s->kind) {
        case AST_LET: check_let(c, s); break;
        case AST_FN: checker_ensure(c, s); break;
        case AST_ERROR: break;
        case AST_STATE:
            if ((allowed = attack || optimiser)) check_state(c, s);
            break;
        case AST_REPEAT:
            if ((allowed = attack)) check_repeat(c, def, s);
            break;
        case AST_FOR:
            if ((allowed = attack)) check_turns(c, def, s);
            break;
        case AST_EQUATION:
            if ((allowed = (attack && inside) || optimiser)) check_update(c, s);
            break;
        case AST_RETURN: allowed = !inside && !optimiser; break;
        default: allowed = false;
        }
        if (!allowed) {
            Diagnostic *d =
                diag_report(c->diags, DIAG_E0318, s->range, "%s is not allowed %s %s", a_statement(c, s->kind),
                            inside ? "in a loop of" : "in this place of", machine_word(def));
            if (s->kind == AST_EQUATION && attack) diag_help(d, "states change in 'repeat'; other values are 'let'");
        }
    }
    check_once(c, list);
}

/* ---- functions that run ---- */

static bool has_states(const Ast *list) {
    for (uint32_t i = 0; i < list->nkids; i++) {
        const Ast *s = list->kids[i];
        if (s->kind == AST_STATE || s->kind == AST_REPEAT) return true;
        if (s->kind == AST_FOR && SLOT(s, FOR, body) && has_states(SLOT(s, FOR, body))) return true;
    }
    return false;
}

static bool calls_running(Checker *c, const Ast *e) {
    if (!e) return false;
    const Ast *r = e->kind == AST_NAME || e->kind == AST_MEMBER ? e->ref : NULL;
    if (r && r->kind == AST_FN && r != c->fn) {
        if (r->number == 0) checker_ensure(c, r);
        if (fn_runs(r)) return true;
    }
    for (uint32_t k = 0; k < e->nkids; k++)
        if (calls_running(c, e->kids[k])) return true;
    return false;
}

bool fn_will_run(Checker *c, const Ast *fn) {
    const Ast *body = SLOT(fn, FN, body);
    if (!body || c->decl != fn) return false; /* a local function is a function of values */
    return (body->kind == AST_LIST && has_states(body)) || calls_running(c, body);
}

bool check_runs_here(Checker *c, Range at, const Ast *fn) {
    if (!c->fn && c->context == CTX_ATTACK) return true;
    if (c->fn && c->fn == c->decl && fn_runs(c->fn)) return true;
    diag_help(
        diag_report(c->diags, DIAG_E0318, at, "'%s' has states or loops that run: it cannot be called here", fn->name),
        "such functions are called in attacks, and in functions of modules that attacks call");
    return false;
}

void check_running_fn(Checker *c, Ast *fn) {
    Ast *body = SLOT(fn, FN, body);
    const Type *result = checker_signature(c, fn)->result;
    const char *what = arena_printf(c->arena, "the result of '%s'", fn->name);
    fn->number = 1;
    if (body->kind != AST_LIST) {
        check_against(c, body, result, DIAG_E0316, what);
        return;
    }
    check_items(c, fn, body, false);
    for (uint32_t i = 0; i < body->nkids; i++)
        if (body->kids[i]->kind == AST_RETURN && SLOT(body->kids[i], RETURN, value))
            check_against(c, SLOT(body->kids[i], RETURN, value), result, DIAG_E0316, what);
}

/* The parser has made sure of the `return` at the end. */
static void check_return(Checker *c, const Ast *def, Ast *body) {
    for (uint32_t i = 0; i < body->nkids; i++) {
        Ast *s = body->kids[i];
        if (s->kind != AST_RETURN || !SLOT(s, RETURN, value)) continue;
        const Type *want = def->kind == AST_SCHEDULE_DEF ? &type_real
                           : def->kind == AST_ATTACK_DEF ? attack_input(c)
                                                         : type_pack(c->arena, &shape_of_z);
        check_against(c, SLOT(s, RETURN, value), want, DIAG_E0519,
                      arena_printf(c->arena, "the result of '%s'", def->name));
    }
}

static void check_updates_w(Checker *c, const Ast *def, const Ast *body) {
    for (uint32_t i = 0; i < body->nkids; i++) {
        const Ast *s = body->kids[i], *target = s->kind == AST_EQUATION ? SLOT(s, EQUATION, target) : NULL;
        if (s->kind == AST_ERROR || (target && target->kind == AST_NAME && !target->ref && same(target->name, "w")))
            return;
    }
    diag_help(diag_report(c->diags, DIAG_E0511, place(def), "'%s' does not update w", def->name),
              "w = w - rate(t) * d(w)");
}

/* What stands before ';': the input that moves, and the target. */
static bool check_example(Checker *c, const Signature *s) {
    if (s->broken || !s->nstate) return false; /* the resolver has reported an example that is not declared */
    const Type *x = s->params[0]->type, *y = s->nstate > 1 ? s->params[1]->type : NULL;
    if (x->kind != TYPE_TENSOR || x->elem != ELEM_REAL)
        diag_report(c->diags, DIAG_E0519, place(s->params[0]), "the input '%s' of an attack is f32, not %s",
                    s->params[0]->name, type_text(c->arena, x));
    else if (y && (y->kind != TYPE_TENSOR || (y->elem != ELEM_LABEL && y->elem != ELEM_REAL)))
        diag_report(c->diags, DIAG_E0519, place(s->params[1]), "the target '%s' of an attack is a label or f32, not %s",
                    s->params[1]->name, type_text(c->arena, y));
    else if (s->nstate > 2)
        unavailable(c, place(s->params[2]), "an example of more than an input and a target");
    else
        return true;
    return false;
}

/* attack auto(radius: f32) = sequence(apgd(radius: radius, ..), ..): the example is that of its parts. */
static void check_others(Checker *c, const Signature *s, Ast *body) {
    if (s->nstate)
        diag_help(diag_report(c->diags, DIAG_E0323, place(s->params[0]),
                              "an attack made of others declares no example: that is theirs"),
                  "attack %s(radius: f32) = ..", s->decl->name);
    if (check_expr(c, body)->kind != TYPE_ERROR && body->type->kind != TYPE_ATTACK)
        diag_report(c->diags, DIAG_E0504, body->range, "'%s' is declared as an attack, this is %s", s->decl->name,
                    type_text(c->arena, body->type));
}

void check_machine(Checker *c, Ast *def) {
    Ast *body = def->kids[def->nkids - 1];
    const Signature *s = checker_signature(c, def);
    const bool others = ast_attack_of_others(def);
    if (def->kind == AST_ATTACK_DEF && !others && !check_example(c, s)) return;
    c->context = others                           ? CTX_PIPELINE
                 : def->kind == AST_ATTACK_DEF    ? CTX_ATTACK
                 : def->kind == AST_OPTIMISER_DEF ? CTX_OPTIMISER
                 : def->kind == AST_SCHEDULE_DEF  ? CTX_SCHEDULE
                                                  : CTX_DEFENCE;
    c->attack = c->context == CTX_ATTACK ? s : NULL;
    c->shape_of = c->context == CTX_ATTACK      ? attack_input(c)
                  : c->context == CTX_OPTIMISER ? type_pack(c->arena, &shape_of_w)
                                                : NULL;
    for (uint32_t i = s->nstate; i < s->nparams; i++) {
        const Type *t = s->params[i]->type;
        Ast *fallback = SLOT(s->params[i], BINDING, fallback);
        bool schedule = t->kind == TYPE_SCHEDULE && c->context == CTX_OPTIMISER;
        const bool function = type_is_function(t) && def->kind == AST_ATTACK_DEF;
        if (t->kind != TYPE_ERROR && !schedule && !function && (!type_is_scalar(t) || t->elem == ELEM_F64))
            diag_report(c->diags, DIAG_E0301, place(s->params[i]), "a parameter of %s is f32, int%s, not %s",
                        machine_word(def),
                        c->context == CTX_OPTIMISER   ? ", bool or schedule"
                        : def->kind == AST_ATTACK_DEF ? ", bool or a function"
                                                      : " or bool",
                        type_text(c->arena, t));
        else if (fallback &&
                 check_against(c, fallback, t, DIAG_E0301, arena_printf(c->arena, "'%s'", s->params[i]->name)))
            check_bounds(c, s->params[i], fallback, def->name);
    }
    if (!body) return;
    if (others) {
        check_others(c, s, body);
        return;
    }
    check_items(c, def, body, false);
    if (c->context == CTX_OPTIMISER)
        check_updates_w(c, def, body);
    else
        check_return(c, def, body);
}

/* ---- instances ---- */

const Type *check_instance_call(Checker *c, Ast *e, const Ast *def, Ast *call) {
    const Type *made = def->kind == AST_ATTACK_DEF      ? &type_attack
                       : def->kind == AST_OPTIMISER_DEF ? &type_optimiser
                       : def->kind == AST_SCHEDULE_DEF  ? &type_schedule
                                                        : &type_defence;
    checker_ensure(c, def);
    const Signature *s = checker_signature(c, def);
    const bool undeclared = def->kind == AST_ATTACK_DEF && !s->nstate && !ast_attack_of_others(def);
    if (s->broken || undeclared) return &type_error; /* the resolver has reported an example that is not declared */
    CallParameter params[64];
    Ast *values[64];
    Ast **settings = s->params + s->nstate; /* the example is the evaluation's to give */
    uint32_t n = s->nparams - s->nstate;
    for (uint32_t i = 0; i < n; i++)
        params[i] = (CallParameter){settings[i]->name,
                                    SLOT(settings[i], BINDING, fallback) ? NEED_OPTIONAL : NEED_REQUIRED, false};
    if (!match_arguments(c, def->name, signature_text(c, s), call, NULL,
                         call ? place(SLOT(call, CALL, callee)) : e->range, params, n, values, NULL, NULL))
        return &type_error;
    bool good = true;
    GivenNumber numbers[64] = {0};
    uint32_t calls = 0;
    const Given given = {settings, values, n, NULL, numbers, &calls}, *outer = c->given;
    c->given = &given;
    for (uint32_t i = 0; i < n; i++)
        if (values[i])
            good = check_against(c, values[i], settings[i]->type, DIAG_E0301,
                                 arena_printf(c->arena, "'%s' of '%s'", settings[i]->name, def->name)) &&
                   (calls = 0, check_bounds(c, settings[i], values[i], def->name)) && good;
    c->given = outer;
    if (call) SLOT(call, CALL, callee)->type = made;
    return good ? made : &type_error;
}
