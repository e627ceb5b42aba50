/* check_fixed.c - fixed points: equations map the state into itself; solvers and gradient modes against their tables.
 */
#include "checker.h"
#include <math.h>
#include <string.h>

/* ---- solvers ---- */

static const char *called_path(const Ast *e, char *buffer, size_t size) {
    const Ast *callee = e->kind == AST_CALL ? SLOT(e, CALL, callee) : e;
    return ast_path(callee, buffer, size) ? buffer : NULL;
}

bool spells_solver(const Ast *e) {
    char buffer[256];
    const Ast *callee = e->kind == AST_CALL ? SLOT(e, CALL, callee) : e;
    const char *path = called_path(e, buffer, sizeof buffer);
    return path && callee->kind == AST_NAME && !callee->ref && solver_find(path);
}

bool spells_mode(const Ast *e) {
    char buffer[256];
    const Ast *callee = e->kind == AST_CALL ? SLOT(e, CALL, callee) : e;
    const char *path = called_path(e, buffer, sizeof buffer);
    if (!path || (callee->kind == AST_NAME && callee->ref)) return false;
    return mode_find(path);
}

bool names_net_setting(const Ast *e, const char *setting) {
    if (e->kind != AST_MEMBER || !same(e->name, setting)) return false;
    while (e->kind == AST_MEMBER && !item_experiment(e)) e = SLOT(e, MEMBER, base);
    return e->ref && (e->ref->kind == AST_TRAIN || e->ref->kind == AST_NAME);
}

static int uses_of(SolverUse use) { return use == ANY_USE ? 0 : use == FOR_STATE ? SOLVER_STATE : SOLVER_ADJOINT; }

bool check_solver(Checker *c, Ast *e, SolverUse use) {
    char buffer[256];
    if (e->kind == AST_ERROR) return false;
    if ((e->kind == AST_NAME && e->ref) || names_net_setting(e, "forward")) {
        if (check_expr(c, e)->kind == TYPE_SOLVER) return true;
        if (e->type->kind != TYPE_ERROR) unknown_row(c, e, &deq_solver_family, uses_of(use), e->name, DIAG_E0410);
        return false;
    }
    const char *path = called_path(e, buffer, sizeof buffer);
    const deq_row *s = solver_find(path);
    deq_complaint why;
    e->type = &type_solver;
    if (!s || e->kind != AST_CALL) {
        unknown_row(c, e, &deq_solver_family, uses_of(use), path, DIAG_E0410);
        return false;
    }
    if (use != ANY_USE && !deq_solver_serves(s, uses_of(use), &why)) {
        diag_help(diag_report(c->diags, DIAG_E0413, e->range, "%s", why.text), "%s", why.help);
        return false;
    }
    return check_arguments(c, e, &deq_solver_family, s, uses_of(use));
}

static bool is_else(const Ast *e) { return e && e->kind == AST_BINARY && same(e->name, "else"); }

static uint32_t chain_length(const Ast *e) {
    uint32_t n = 1;
    for (; is_else(e); e = SLOT(e, BINARY, left)) n++;
    return n;
}

const Ast *chain_link(const Ast *chain, uint32_t which) {
    uint32_t n = chain_length(chain);
    if (which >= n) return NULL;
    for (; is_else(chain); chain = SLOT(chain, BINARY, left))
        if (--n == which) return SLOT(chain, BINARY, right);
    return chain;
}

bool is_chain(const Ast *e) {
    if (!is_else(e)) return false;
    for (uint32_t i = 0; i < chain_length(e); i++)
        if (!spells_solver(chain_link(e, i)) && chain_link(e, i)->kind != AST_CALL) return false;
    return true;
}

bool check_chain(Checker *c, Ast *e, SolverUse use) {
    if (!is_else(e)) return check_solver(c, e, use);
    bool good = true;
    const uint32_t n = chain_length(e);
    e->type = &type_solver;
    for (uint32_t i = 0; i < n; i++) {
        Ast *one = (Ast *)chain_link(e, i);
        if (one->kind == AST_NAME && one->ref) { /* a sweep's value may be a chain itself */
            diag_help(diag_report(c->diags, DIAG_E0417, one->range,
                                  "a solver of a chain is written out, not given by a name"),
                      "sweep over whole chains: [(anderson() else broyden()), picard()]");
            good = false;
        } else {
            good = check_solver(c, one, use) && good;
        }
    }
    if (n > DEQ_CHAIN_MOST) {
        diag_report(c->diags, DIAG_E0417, e->range, "a chain has at most %d solvers, this one %u", DEQ_CHAIN_MOST, n);
        good = false;
    }
    return good;
}

/* ---- gradient modes ---- */

static bool unknown_mode(Checker *c, Ast *e, const char *path) {
    unknown_row(c, e, &deq_mode_family, 0, path, DIAG_E0415);
    return false;
}

static bool mode_needs(Checker *c, const Ast *e, const char *path, const char *needs, const char *forward) {
    if (!forward || !needs || !*needs || same(needs, "any") || words_contain(needs, forward)) return true;
    const Mode *m = mode_find(path);
    const char *why = m && mode_why(m) ? mode_why(m) : "needs another forward solver"; /* a planned mode */
    diag_help(diag_report(c->diags, DIAG_E0431, e->range,
                          strchr(forward, ' ') ? "'%s()' %s; this fixed point uses %s"
                                               : "'%s()' %s; this fixed point uses '%s'",
                          path, why, forward),
              "forward: %.*s()", (int)strcspn(needs, "|"), needs);
    return false;
}

static const Ast *argument_of(const Ast *call, const char *name) {
    const Ast *args = call && call->kind == AST_CALL ? SLOT(call, CALL, inputs) : NULL;
    for (uint32_t i = 0; args && i < args->nkids; i++)
        if (args->kids[i]->kind == AST_ARG && same(args->kids[i]->name, name)) return SLOT(args->kids[i], ARG, value);
    return NULL;
}

bool check_states_reached(Checker *c, const Ast *mode, const Ast *forward) {
    char buffer[256];
    const char *path = mode->kind == AST_CALL ? called_path(mode, buffer, sizeof buffer) : NULL;
    const Mode *m = path ? mode_find(path) : NULL;
    const deq_argument *a;
    if (forward) forward = chain_link(forward, 0); /* states are those of the first */
    for (int i = 0; m && (a = mode_argument_at(m, i)); i++) {
        if (a->type != DEQ_STATES) continue;
        const Ast *value = argument_of(mode, a->name), *most = argument_of(forward, "max");
        double last = a->limit - 1, max = solver_argument("broyden", "max")->fallback;
        if (value && value->kind == AST_BINARY && same(value->name, "..")) {
            if (!constant_of(c, SLOT(value, BINARY, right), &last)) return true;
            last--;
        } else if (value && !constant_of(c, value, &last)) {
            return true;
        }
        if ((forward && forward->kind != AST_CALL) || (most && !constant_of(c, most, &max)) || last <= max) return true;
        Diagnostic *d =
            diag_report(c->diags, DIAG_E0412, value ? value->range : mode->range,
                        "state %g is not reached: this fixed point's solver makes at most %g steps", last, max);
        diag_help(d, "ask for fewer states, or raise its 'max'");
        return false;
    }
    return true;
}

bool check_mode(Checker *c, Ast *e, const char *forward) {
    char buffer[256];
    if (e->kind == AST_ERROR) return false;
    bool spelled = spells_mode(e);
    if (!spelled && ((e->kind == AST_NAME && e->ref) || names_net_setting(e, "gradient"))) {
        if (check_expr(c, e)->kind == TYPE_ERROR) return false;
        if (e->type->kind != TYPE_MODE) return unknown_mode(c, e, e->name);
        return true;
    }
    const char *path = called_path(e, buffer, sizeof buffer);
    if (!spelled) return unknown_mode(c, e, path);
    const Mode *m = mode_find(path);
    e->type = &type_mode;
    if (e->kind != AST_CALL) {
        diag_help(diag_report(c->diags, DIAG_E0415, e->range, "'%s' is written with its arguments, or none", path),
                  "%s()", path);
        return false;
    }
    bool good = check_arguments(c, e, &deq_mode_family, deq_row_find(&deq_mode_family, deq_part_of(path)), 0);
    return mode_needs(c, e, path, m->forward, forward) && good;
}

/* ---- the fixed points of a layer ---- */

const Ast *forward_value(const Ast *fixed) { return ast_setting_value(SLOT(fixed, FIXED, items), "forward"); }

const char *forward_of(const Ast *fixed, const char *unset) {
    const Ast *value = forward_value(fixed);
    if (!value) return unset;
    if (is_else(value)) return "a chain of solvers";
    const Ast *callee = value->kind == AST_CALL ? SLOT(value, CALL, callee) : value;
    return callee->kind == AST_NAME ? callee->name : NULL;
}

static void visit_fixed(Checker *c, const Ast *layer, const char *path, uint32_t *left,
                        void (*visit)(Checker *, const Ast *, const char *, void *), void *data) {
    const Ast *body = SLOT(layer, LAYER, body);
    for (uint32_t i = 0; body && *left && i < body->nkids; i++) {
        const Ast *s = body->kids[i];
        bool used = s->kind == AST_USE && s->type && s->type->kind == TYPE_LAYER;
        if (s->kind == AST_FIXED) {
            --*left;
            visit(c, s, path, data);
        } else if (used && layer_has_fixed(c, s->type->decl)) {
            visit_fixed(c, s->type->decl, arena_printf(c->arena, "%s%s.", path, s->name), left, visit, data);
        }
    }
}

void each_fixed(Checker *c, const Ast *layer, const char *path,
                void (*visit)(Checker *, const Ast *, const char *, void *), void *data) {
    uint32_t left = 1000; /* layers that use each other twice have exponentially many */
    visit_fixed(c, layer, path, &left, visit, data);
}

/* ---- one fixed point ---- */

static int state_index(const Ast *fixed, const Ast *target) {
    const Ast *state = SLOT(fixed, FIXED, state);
    for (uint32_t i = 0; target->kind == AST_NAME && state && i < state->nkids; i++)
        if (state->kids[i] == target->ref) return (int)i;
    return -1;
}

static void check_equation(Checker *c, Ast *e) {
    Ast *target = SLOT(e, EQUATION, target), *value = SLOT(e, EQUATION, value);
    if (!target || !value || target->kind == AST_ERROR) return;
    int i = state_index(c->fixed, target);
    if (i < 0) {
        target->type = check_expr(c, value);
        const Ast *state = SLOT(c->fixed, FIXED, state);
        Diagnostic *d = diag_report(c->diags, DIAG_E0403, target->range, "this is not a state of the fixed point");
        if (target->kind == AST_NAME && !target->ref)
            help_let(c, d, e);
        else
            diag_help(d, "its state is '%s'; other values are 'let'", state->nkids ? state->kids[0]->name : "?");
        return;
    }
    const Type *want = target->ref->type ? target->ref->type : &type_error;
    target->type = want;
    check_expr(c, value);
    if (fits(c, value, want)) return;
    Diagnostic *d = diag_report(c->diags, DIAG_E0404, value->range, "the equation of '%s' maps %s to %s", target->name,
                                type_text(c->arena, want), type_text(c->arena, value->type));
    if (value->type->kind == TYPE_TENSOR && want->kind == TYPE_TENSOR) note_sizes(c, d, want, value->type);
}

static void check_loop_item(Checker *c, Ast *s) {
    if (s->kind == AST_LET)
        check_let(c, s);
    else if (s->kind == AST_EQUATION)
        check_carried(c, s);
    else if (s->kind == AST_FOR)
        check_for(c, s, check_loop_item);
    else if (s->kind != AST_ERROR)
        diag_report(c->diags, DIAG_E0318, s->range, "%s is not allowed in a 'for'", a_statement(c, s->kind));
}

static void check_item(Checker *c, Ast *s) {
    switch (s->kind) {
    case AST_LET: check_let(c, s); break;
    case AST_FN: checker_ensure(c, s); break;
    case AST_FOR: check_for(c, s, check_loop_item); break;
    case AST_EQUATION: check_equation(c, s); break;
    case AST_ERROR: break;
    default: diag_report(c->diags, DIAG_E0318, s->range, "%s is not allowed in a fixed point", a_statement(c, s->kind));
    }
}

static void count_equations(Checker *c, const Ast *fixed) {
    const Ast *state = SLOT(fixed, FIXED, state), *items = SLOT(fixed, FIXED, items);
    for (uint32_t k = 0; state && k < state->nkids; k++) {
        const Ast *first = NULL;
        bool broken = false;
        for (uint32_t i = 0; items && i < items->nkids; i++) {
            const Ast *s = items->kids[i];
            broken = broken || s->kind == AST_ERROR;
            if (s->kind != AST_EQUATION || state_index(fixed, SLOT(s, EQUATION, target)) != (int)k) continue;
            if (first)
                diag_note(diag_report(c->diags, DIAG_E0402, SLOT(s, EQUATION, target)->range,
                                      "'%s' has a second equation", state->kids[k]->name),
                          first->range, "the first is here");
            else
                first = s;
        }
        if (!first && !broken && state->kids[k]->kind == AST_BINDING)
            diag_report(c->diags, DIAG_E0401, place(state->kids[k]), "state '%s' has no equation",
                        state->kids[k]->name);
    }
}

/* The item of the fixed point that gives the name its value: let h = .., let (a, b) = ... */
static const Ast *let_of(const Ast *fixed, const Ast *name) {
    const Ast *items = SLOT(fixed, FIXED, items);
    for (uint32_t i = 0; items && i < items->nkids; i++) {
        const Ast *pattern = items->kids[i]->kind == AST_LET ? SLOT(items->kids[i], LET, pattern) : NULL;
        if (pattern == name && pattern) return items->kids[i];
        for (uint32_t k = 0; pattern && pattern->kind == AST_LIST && k < pattern->nkids; k++)
            if (pattern->kids[k] == name) return items->kids[i];
    }
    return NULL;
}

static bool is_inside(const Ast *node, const Ast *fixed) {
    return node->range.source == fixed->range.source && node->range.start >= fixed->range.start &&
           node->range.end <= fixed->range.end;
}

/* Does the expression read a state, itself or through lets and local functions?  Gives up with true after `left`. */
static bool reads_state(const Ast *e, const Ast *fixed, uint32_t *left) {
    if (!e) return false;
    if (*left == 0 || e->kind == AST_ERROR) return true;
    --*left;
    const Ast *r = e->kind == AST_NAME ? e->ref : NULL;
    if (r && state_index(fixed, e) >= 0) return true;
    if (r && r->kind == AST_FN && reads_state(SLOT(r, FN, body), fixed, left)) return true;
    const Ast *let = r && r->kind == AST_NAME ? let_of(fixed, r) : NULL;
    if (let ? reads_state(SLOT(let, LET, value), fixed, left) : r && r->kind == AST_NAME && is_inside(r, fixed))
        return true;
    for (uint32_t i = 0; i < e->nkids; i++)
        if (reads_state(e->kids[i], fixed, left)) return true;
    return false;
}

/* z = tanh(x): there is nothing to solve.  What a `for` carries is not followed. */
static void warn_without_state(Checker *c, const Ast *fixed) {
    const Ast *items = SLOT(fixed, FIXED, items);
    for (uint32_t i = 0; i < items->nkids; i++)
        if (items->kids[i]->kind == AST_FOR || items->kids[i]->kind == AST_ERROR) return;
    for (uint32_t i = 0; i < items->nkids; i++) {
        const Ast *e = items->kids[i];
        uint32_t left = 100000;
        if (e->kind != AST_EQUATION || state_index(fixed, SLOT(e, EQUATION, target)) < 0) continue;
        if (reads_state(SLOT(e, EQUATION, value), fixed, &left)) continue;
        Diagnostic *d = diag_report(c->diags, DIAG_W0423, SLOT(e, EQUATION, target)->range,
                                    "the equation of '%s' reads no state: there is nothing to solve for",
                                    SLOT(e, EQUATION, target)->name);
        diag_help(d, "a 'let' outside of the fixed point gives the same value without a solver");
    }
}

/* A name in the expression that is declared inside the fixed point, or NULL. */
static const Ast *reads_inside(const Ast *e, const Ast *fixed) {
    if (!e) return NULL;
    if (e->kind == AST_NAME && e->ref && is_inside(e->ref, fixed)) return e;
    for (uint32_t i = 0; i < e->nkids; i++) {
        const Ast *found = reads_inside(e->kids[i], fixed);
        if (found) return found;
    }
    return NULL;
}

/* Of the state's shape, or one number for all of its elements. */
static void check_start_value(Checker *c, Ast *value, const Type *want, const char *what) {
    const Type *t = check_expr(c, value);
    if (t->kind == TYPE_NUMBER || (type_is_scalar(t) && t->elem == ELEM_REAL)) return;
    if (t->kind != TYPE_ERROR) check_against(c, value, want, DIAG_E0404, what);
}

static void check_start(Checker *c, const Ast *fixed, Ast *value) {
    const Ast *state = SLOT(fixed, FIXED, state);
    if (value->kind == AST_NAME && !value->ref && same(value->name, "previous")) {
        value->type = &type_word;
        return;
    }
    if (value->kind == AST_NAME && !value->ref && same(value->name, "zeros")) {
        value->type = &type_word;
        return;
    }
    const Ast *inner = reads_inside(value, fixed);
    if (inner) {
        diag_help(diag_report(c->diags, DIAG_E0408, inner->range,
                              "the start is made before the iteration: '%s' is not known there", inner->name),
                  "it may read what stands before the fixed point");
        return;
    }
    if (state->nkids == 1) {
        check_start_value(c, value, state->kids[0]->type, "the start");
        return;
    }
    if (value->kind != AST_TUPLE || value->nkids != state->nkids) {
        diag_help(diag_report(c->diags, DIAG_E0404, value->range,
                              "there are %u states: 'start' gives one value for each", state->nkids),
                  "start: (%s, ..)", state->kids[0]->name);
        return;
    }
    for (uint32_t i = 0; i < value->nkids; i++)
        check_start_value(c, value->kids[i], state->kids[i]->type,
                          arena_printf(c->arena, "the start of '%s'", state->kids[i]->name));
    value->type = &type_word;
}

void check_fixed(Checker *c, Ast *fixed) {
    Ast *state = SLOT(fixed, FIXED, state), *items = SLOT(fixed, FIXED, items);
    for (uint32_t i = 0; state && i < state->nkids; i++) {
        Ast *b = state->kids[i];
        if (b->kind != AST_BINDING) continue;
        b->type = check_type(c, SLOT(b, BINDING, type));
        if (b->type->kind != TYPE_ERROR && (b->type->kind != TYPE_TENSOR || b->type->elem != ELEM_REAL)) {
            diag_report(c->diags, DIAG_E0325, place(b), "state '%s' is a real tensor or scalar, not %s", b->name,
                        type_text(c->arena, b->type));
            b->type = &type_error;
        }
        if (SLOT(b, BINDING, fallback))
            diag_help(diag_report(c->diags, DIAG_E0318, SLOT(b, BINDING, fallback)->range, "a state has no default"),
                      "start: says where the solver starts");
        if (SLOT(b, BINDING, bounds))
            diag_report(c->diags, DIAG_E0318, SLOT(b, BINDING, bounds)->range, "a state has no bounds");
    }
    if (!state || !items) return;
    const Ast *outer = c->fixed;
    c->fixed = fixed;
    check_settings(c, items, "fixed", "a fixed point", fixed->range, DIAG_E0405, check_item);
    c->fixed = outer;
    count_equations(c, fixed);
    warn_without_state(c, fixed);
    Ast *start = ast_setting_value(items, "start"), *mode = ast_setting_value(items, "gradient");
    if (start) check_start(c, fixed, start);
    if (!mode || !check_mode(c, mode, forward_of(fixed, "anderson"))) return;
    if (!gradient_by_hand(mode))
        check_states_reached(c, mode, forward_value(fixed));
    else if (!gradient_is_of(mode->ref, fixed))
        diag_note(diag_report(c->diags, DIAG_E0457, mode->range, "'%s' is a gradient of another layer", mode->name),
                  place(mode->ref), "declared here");
}
