/* check_layer.c - functions and layers: statements, parameters, results. */
#include "checker.h"
#include <string.h>

/* "u = x + 1" from the source, or "u = .." where that is long. */
static const char *let_text(Checker *c, const Ast *name, const Ast *value) {
    Range r = value->range;
    uint32_t n = r.end - r.start;
    bool short_enough = r.source && n <= 60 && !memchr(r.source->text + r.start, '\n', n);
    return short_enough ? arena_printf(c->arena, "%s = %.*s", name->name, (int)n, r.source->text + r.start)
                        : arena_printf(c->arena, "%s = ..", name->name);
}

void help_let(Checker *c, Diagnostic *d, const Ast *equation) {
    diag_help(d, "a new name begins with 'let': let %s",
              let_text(c, SLOT(equation, EQUATION, target), SLOT(equation, EQUATION, value)));
}

/* u = u + 1 where nothing changes: in a layer or a function. */
static void check_assignment(Checker *c, Ast *e, const char *where) {
    Ast *target = SLOT(e, EQUATION, target), *value = SLOT(e, EQUATION, value);
    if (!target || !value || target->kind == AST_ERROR) return;
    if (target->kind != AST_NAME) {
        diag_help(diag_report(c->diags, DIAG_E0403, target->range, "%s has no equation like this", where),
                  "'let' gives a value a name; d(..) = .. stands in a gradient by hand");
        return;
    }
    target->type = check_expr(c, value);
    if (!target->ref && !builtin_find(target->name, c->context)) {
        help_let(c, diag_report(c->diags, DIAG_E0403, target->range, "'%s' is not declared", target->name), e);
        return;
    }
    Ast renamed = {.name = arena_printf(c->arena, "%s2", target->name)};
    Diagnostic *d =
        diag_report(c->diags, DIAG_E0403, target->range, "'%s' has its value: names are not reassigned", target->name);
    if (target->ref && place(target->ref).source == target->range.source)
        diag_note(d, place(target->ref), "'%s' gets its value here", target->name);
    diag_help(d, "give the new value a name of its own: let %s", let_text(c, &renamed, value));
}

static void report_statement(Checker *c, const Ast *s, const char *where) {
    diag_report(c->diags, DIAG_E0318, s->range, "%s is not allowed in %s", a_statement(c, s->kind), where);
}

/* ---- let ---- */

static void set_pattern(Ast *pattern, const Type *t) {
    pattern->type = t;
    for (uint32_t i = 0; pattern->kind == AST_LIST && i < pattern->nkids; i++) pattern->kids[i]->type = t;
}

/* What a name bound to `value` has as its type: nothing that still waits for a shape. */
static const Type *bound_type(Checker *c, const Ast *pattern, Ast *value) {
    if (value->type->kind == TYPE_FLEX) {
        if (!c->shape_of) {
            diag_help(diag_report(c->diags, DIAG_E0324, value->range, "the shape of this value is not determined"),
                      "declare it: let name: f32[4] = zeros");
            return &type_error;
        }
        settle(value, c->shape_of);
    }
    if (value->type->kind == TYPE_FN || value->type->kind == TYPE_MODULE ||
        (value->type->kind == TYPE_LAYER && !(c->context & CTX_PIPELINE))) {
        Diagnostic *d = diag_report(c->diags, DIAG_E0301, value->range, "%s cannot be bound with 'let'",
                                    type_text(c->arena, value->type));
        if (value->type->kind == TYPE_LAYER)
            diag_help(d, "a layer is made with 'use': use %s", let_text(c, pattern, value));
        return &type_error;
    }
    return value->type;
}

void check_let(Checker *c, Ast *let) {
    Ast *pattern = SLOT(let, LET, pattern), *value = SLOT(let, LET, value), *declared = SLOT(let, LET, type);
    if (!pattern || !value) return;
    if (declared) {
        const Type *want = check_type(c, declared);
        set_pattern(pattern, want);
        check_against(c, value, want, DIAG_E0301,
                      arena_printf(c->arena, "'%s'", pattern->name ? pattern->name : "let"));
        return;
    }
    check_expr(c, value);
    if (pattern->kind == AST_NAME) {
        pattern->type = bound_type(c, pattern, value);
        return;
    }
    const Type *t = value->type;
    set_pattern(pattern, &type_error);
    if (t->kind == TYPE_ERROR) return;
    if (t->kind != TYPE_TUPLE || t->nitems != pattern->nkids) {
        diag_report(c->diags, DIAG_E0315, pattern->range.source ? pattern->range : let->range,
                    "%u names stand on the left side, the right side is %s", pattern->nkids,
                    t->kind == TYPE_TUPLE ? arena_printf(c->arena, "a tuple of %u", t->nitems)
                                          : type_text(c->arena, t));
        return;
    }
    for (uint32_t i = 0; i < pattern->nkids; i++) pattern->kids[i]->type = t->items[i];
}

/* ---- for ---- */

void check_for(Checker *c, Ast *loop, void (*item)(Checker *, Ast *)) {
    Ast *range = SLOT(loop, FOR, range), *body = SLOT(loop, FOR, body);
    loop->type = &type_error;
    if (SLOT(loop, FOR, until))
        diag_help(diag_report(c->diags, DIAG_E0318, SLOT(loop, FOR, until)->range, "'until' is not allowed here"),
                  "a 'for' is unrolled, so that it cannot end early; in an attack it runs");
    if (range && range->kind == AST_BINARY && same(range->name, "..")) {
        const Size *from = size_of(c, SLOT(range, BINARY, left), true),
                   *to = size_of(c, SLOT(range, BINARY, right), true);
        int64_t n;
        range->type = &type_range;
        loop->type = &type_int;
        if (from && to && size_number(size_subtract(c->arena, to, from), &n) && (n < 0 || n > 10000))
            diag_report(c->diags, DIAG_E0314, range->range,
                        n < 0 ? "this range runs backwards" : "a 'for' is unrolled: at most 10000 turns");
    } else if (range && range->kind != AST_ERROR) {
        const Type *t = check_expr(c, range), *item_type = t->kind == TYPE_LIST && t->nitems ? t->items[0] : NULL;
        if (item_type && item_type->kind == TYPE_NUMBER)
            loop->type = &type_real;
        else if (t->kind != TYPE_ERROR)
            diag_help(diag_report(c->diags, DIAG_E0321, range->range,
                                  "'for' runs over a range or a list of numbers, this is %s", type_text(c->arena, t)),
                      "for i in 0..4, for a in [0.5, 0.25]");
    }
    for (uint32_t i = 0; body && i < body->nkids; i++) item(c, body->kids[i]);
}

/* In a `for`, `h = f(h)` carries the value of an outer `let` from turn to turn. */
void check_carried(Checker *c, Ast *e) {
    Ast *target = SLOT(e, EQUATION, target), *value = SLOT(e, EQUATION, value);
    const Ast *r = target->kind == AST_NAME ? target->ref : NULL;
    if (!r || r->kind != AST_NAME) {
        target->type = check_expr(c, value);
        Diagnostic *d = target->kind == AST_ERROR
                            ? NULL
                            : diag_report(c->diags, DIAG_E0403, target->range,
                                          "the left side of an equation in 'for' is a 'let' outside of it");
        if (d && target->kind == AST_NAME && !r) help_let(c, d, e);
        return;
    }
    const Type *want = r->type ? r->type : &type_error;
    target->type = want->kind == TYPE_NUMBER ? (want = ((Ast *)r)->type = &type_real) : want;
    check_against(c, value, want, DIAG_E0404, arena_printf(c->arena, "'%s', carried from turn to turn,", r->name));
}

static void check_loop_item(Checker *c, Ast *s) {
    switch (s->kind) {
    case AST_LET: check_let(c, s); break;
    case AST_EQUATION: check_carried(c, s); break;
    case AST_FOR: check_for(c, s, check_loop_item); break;
    case AST_ERROR: break;
    default: report_statement(c, s, "a 'for'");
    }
}

/* ---- results ---- */

static void check_result(Checker *c, Ast *value, const Type *want, const char *name) {
    if (!value || want->kind == TYPE_ERROR) { /* reported; the name of a function, no value, would be once more */
        if (value && value->kind != AST_NAME) check_expr(c, value);
        return;
    }
    check_against(c, value, want, DIAG_E0316, arena_printf(c->arena, "the result of '%s'", name));
}

/* Statements and the `return` at the end, which the parser has made sure of; `item` checks the others. */
static void check_statements(Checker *c, Ast *body, const Type *result, const Ast *decl,
                             void (*item)(Checker *, Ast *)) {
    for (uint32_t i = 0; i < body->nkids; i++) {
        if (body->kids[i]->kind == AST_RETURN)
            check_result(c, SLOT(body->kids[i], RETURN, value), result, decl->name);
        else
            item(c, body->kids[i]);
    }
}

/* ---- functions ---- */

static void check_defaults(Checker *c, const Signature *s) {
    for (uint32_t i = 0; i < s->nparams; i++) {
        Ast *fallback = SLOT(s->params[i], BINDING, fallback);
        if (fallback && check_against(c, fallback, s->params[i]->type, DIAG_E0301,
                                      arena_printf(c->arena, "'%s'", s->params[i]->name)))
            check_bounds(c, s->params[i], fallback, s->decl->name);
    }
}

static void check_fn_item(Checker *c, Ast *s) {
    switch (s->kind) {
    case AST_LET: check_let(c, s); break;
    case AST_FN: checker_ensure(c, s); break;
    case AST_FOR: check_for(c, s, check_loop_item); break;
    case AST_EQUATION: check_assignment(c, s, "a function"); break;
    case AST_ERROR: break;
    default: report_statement(c, s, "a function");
    }
}

void check_fn(Checker *c, Ast *fn) {
    const Signature *s = checker_signature(c, fn);
    Ast *body = SLOT(fn, FN, body);
    check_defaults(c, s);
    c->fn = fn;
    if (fn_will_run(c, fn))
        check_running_fn(c, fn);
    else if (body && body->kind == AST_LIST)
        check_statements(c, body, s->result, fn, check_fn_item);
    else
        check_result(c, body, s->result, fn->name);
}

/* ---- layers ---- */

static const char *initialiser_list(Checker *c) {
    const char *list = "";
    for (const Builtin *b = builtin_table; b->name; b++)
        if (b->contexts == CTX_INIT) list = arena_printf(c->arena, "%s%s%s", list, *list ? ", " : "", b->signature);
    return list;
}

static void check_param(Checker *c, Ast *p, Ast *type, Ast *value) {
    const Type *t = p->type = check_type(c, type);
    if (t->kind != TYPE_ERROR && (t->kind != TYPE_TENSOR || t->elem != ELEM_REAL)) {
        diag_report(c->diags, DIAG_E0325, type->range, "%s '%s' is a real tensor or scalar, not %s",
                    ast_kind_name(p->kind), p->name, type_text(c->arena, t));
        t = p->type = &type_error;
    }
    if (!value) return;
    const Builtin *b = NULL;
    if (value->kind == AST_CALL && SLOT(value, CALL, callee)->kind == AST_NAME && !SLOT(value, CALL, callee)->ref)
        b = builtin_find(SLOT(value, CALL, callee)->name, CTX_INIT);
    bool init = b && b->rule >= RULE_INIT && b->rule <= RULE_INIT_SQUARE;
    unsigned outer = c->context;
    c->context = CTX_INIT;
    if (init) {
        check_expr(c, value);
        settle(value, t);
    } else if (check_expr(c, value)->kind != TYPE_ERROR) {
        Diagnostic *d =
            diag_report(c->diags, DIAG_E0320, value->range, "'%s' starts from an initialiser, this is none", p->name);
        if (type_is_scalar(value->type))
            diag_help(d, "constant(value)");
        else
            diag_help(d, "%s", initialiser_list(c));
    }
    c->context = outer;
    if (!init || t->kind == TYPE_ERROR) return;
    bool square = t->rank == 2 && size_equal(t->dims[0], t->dims[1]);
    if ((b->rule == RULE_INIT_MATRIX && t->rank < 2) || (b->rule == RULE_INIT_SQUARE && !square))
        diag_report(c->diags, DIAG_E0320, value->range, "'%s' needs a %smatrix, '%s' is %s", b->name,
                    b->rule == RULE_INIT_SQUARE ? "square " : "", p->name, type_text(c->arena, t));
}

static void check_use(Checker *c, Ast *use) {
    Ast *value = SLOT(use, USE, value);
    use->type = &type_error;
    if (!value) return;
    if (value->kind == AST_WITH) {
        diag_help(
            diag_report(c->diags, DIAG_E0504, value->range, "'with' overrides settings of a net, not of a part of one"),
            "train m = Net with { %s.forward.tol: 1e-6 } on d.train", use->name);
        return;
    }
    const Type *t = check_instance(c, value);
    if (t->kind != TYPE_ERROR && t->kind != TYPE_LAYER) {
        diag_help(
            diag_report(c->diags, DIAG_E0301, value->range, "'use' makes a layer, this is %s", type_text(c->arena, t)),
            "use head = Dense[128, 10]");
        return;
    }
    use->type = t;
}

static void check_layer_item(Checker *c, Ast *s) {
    switch (s->kind) {
    case AST_PARAM: check_param(c, s, SLOT(s, PARAM, type), SLOT(s, PARAM, value)); break;
    case AST_BUFFER: check_param(c, s, SLOT(s, BUFFER, type), SLOT(s, BUFFER, value)); break;
    case AST_USE: check_use(c, s); break;
    case AST_LET: check_let(c, s); break;
    case AST_FN: checker_ensure(c, s); break;
    case AST_FOR: check_for(c, s, check_loop_item); break;
    case AST_FIXED: check_fixed(c, s); break;
    case AST_EQUATION: check_assignment(c, s, "a layer"); break;
    case AST_ERROR: break;
    default: report_statement(c, s, "a layer");
    }
}

void check_layer(Checker *c, Ast *layer) {
    const Signature *s = checker_signature(c, layer);
    Ast *body = SLOT(layer, LAYER, body);
    check_defaults(c, s);
    if (body) check_statements(c, body, s->result, layer, check_layer_item);
}
