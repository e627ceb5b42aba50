/* check_builtin.c - type rules of the built-in functions; their names and arguments are in builtin.def. */
#include "checker.h"
#include <string.h>

static bool is_tensor(const Type *t) { return t->kind == TYPE_TENSOR; }

static const Type *wrong(Checker *c, const Ast *at, const Builtin *b, const char *needs, const Type *t) {
    diag_help(diag_report(c->diags, DIAG_E0307, at->range, "'%s' needs %s, this is %s", b->name, needs,
                          type_text(c->arena, t)),
              "it is %s", b->signature);
    return &type_error;
}

/* A real tensor that is no scalar, of known shape. */
static bool needs_tensor(Checker *c, Ast *e, const Builtin *b) {
    const Type *t = check_expr(c, e);
    if (t->kind == TYPE_ERROR) return false;
    if (t->kind == TYPE_FLEX) {
        diag_report(c->diags, DIAG_E0324, e->range, "the shape of this argument of '%s' is not determined", b->name);
        return false;
    }
    if (is_tensor(t) && type_is_real(t) && !type_is_scalar(t)) return true;
    wrong(c, e, b, "a tensor", t);
    return false;
}

static bool needs_vector(Checker *c, Ast *e, const Builtin *b) {
    if (!needs_tensor(c, e, b)) return false;
    if (type_has_rank(e->type, 1)) return true;
    wrong(c, e, b, "a vector", e->type);
    return false;
}

static bool needs_scalar(Checker *c, Ast *e, const Builtin *b) {
    const Type *t = check_expr(c, e);
    if (t->kind == TYPE_ERROR) return false;
    if (type_is_number(t)) return true;
    wrong(c, e, b, "a scalar", t);
    return false;
}

/* A list of sizes, [C, H / 2] or one size; NULL on error.  `pack` not NULL: it may hold a pack, as in check_dim. */
static const Size **size_list(Checker *c, Ast *e, const Builtin *b, uint32_t *n, bool positive, uint32_t *pack) {
    Ast *one[1] = {e}, **items = one;
    *n = 1;
    if (e->kind == AST_ARRAY || e->kind == AST_TUPLE) items = e->kids, *n = e->nkids;
    if (*n > 12 || *n == 0) {
        diag_report(c->diags, DIAG_E0314, e->range, "'%s' takes a list of sizes", b->name);
        return NULL;
    }
    const Size **sizes = arena_alloc(c->arena, sizeof *sizes * *n);
    bool good = true;
    for (uint32_t i = 0; i < *n; i++)
        if (items[i]->kind == AST_SPREAD && pack)
            good = (sizes[i] = check_dim(c, items[i], i, pack)) && good;
        else
            good =
                (sizes[i] = size_of(c, items[i], true)) && (!positive || check_positive(c, items[i], sizes[i])) && good;
    if (good) e->type = type_of_items(c->arena, TYPE_LIST, 1, (const Type *[]){&type_int});
    return good ? sizes : NULL;
}

static const Type *check_elementwise(Checker *c, Ast *e, const Builtin *b, Ast **args, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) check_expr(c, args[i]);
    if (same(b->name, "floor") && size_of(c, args[0], false)) return &type_int; /* of a quotient of sizes */
    const Type *t = join(c, e, b->name, args, n);
    if (t->kind == TYPE_NUMBER && n == 1) /* sqrt(2) is real, whatever the literal */
        return &type_number;
    if (is_tensor(t) && t->elem == ELEM_INT && b->rule == RULE_ELEMENTWISE && !same(b->name, "abs") &&
        !same(b->name, "clamp") && !same(b->name, "sign") && !same(b->name, "floor") && !same(b->name, "round"))
        return type_with_elem(c->arena, t, ELEM_REAL);
    return t;
}

static const Type *check_reduction(Checker *c, Ast *e, const Builtin *b, Ast *x, Ast *axes) {
    const Type *t = check_expr(c, x);
    if (t->kind == TYPE_ERROR) return t;
    if (t->kind == TYPE_STATES && same(b->name, "mean") && !axes) return t->items[0];
    if (t->kind == TYPE_FLEX && c->shape_of) {
        settle(x, c->shape_of);
        t = x->type;
    }
    if (is_tensor(t) && type_is_scalar(t) && type_is_real(t)) {
        diag_report(c->diags, DIAG_E0319, place(e), "'%s' of a scalar: there is no axis", b->name);
        return &type_error;
    }
    if (!needs_tensor(c, x, b)) return &type_error;
    t = x->type;
    const Type *scalar = t->elem == ELEM_F64 ? &type_f64 : &type_real;
    if (!axes) return scalar;
    Ast *one[1] = {axes}, **items = axes->kind == AST_ARRAY ? axes->kids : one;
    uint32_t n = axes->kind == AST_ARRAY ? axes->nkids : 1;
    bool gone[8] = {false};
    uint32_t known = t->pack ? t->pack - 1 : t->rank; /* what stands before a pack can be counted */
    if (known == 0) {
        diag_report(c->diags, DIAG_E0319, axes->range, "the axes of %s are not known here", type_text(c->arena, t));
        return &type_error;
    }
    for (uint32_t i = 0; i < n; i++) {
        const Size *s = size_of(c, items[i], true);
        int64_t axis;
        if (!s) return &type_error;
        if (!size_number(s, &axis) || axis < 0 || axis >= known || gone[axis]) {
            diag_report(c->diags, DIAG_E0319, items[i]->range,
                        "axis %s is not there, or stands twice: %s has the axes 0 to %u", size_text(c->arena, s),
                        type_text(c->arena, t), known - 1);
            return &type_error;
        }
        gone[axis] = true;
    }
    axes->type = type_of_items(c->arena, TYPE_LIST, 1, (const Type *[]){&type_int});
    const Size *dims[8];
    uint32_t rank = 0, pack = 0;
    for (uint32_t i = 0; i < t->rank; i++) {
        if (i < 8 && gone[i]) continue;
        dims[rank++] = t->dims[i];
        if (i + 1 == t->pack) pack = rank;
    }
    Type *left = rank ? (Type *)type_tensor(c->arena, t->elem, rank, dims) : NULL;
    if (left) left->pack = pack;
    return left ? left : scalar;
}

static const Size *elements_of(Checker *c, const Type *t) {
    const Size *s = size_constant(c->arena, 1);
    for (uint32_t i = 0; i < t->rank; i++) s = size_multiply(c->arena, s, t->dims[i]);
    return s;
}

static const Type *check_reshape(Checker *c, Ast *e, const Builtin *b, Ast *x, Ast *dims) {
    uint32_t n = 1;
    if (!needs_tensor(c, x, b)) return &type_error;
    if (x->type->pack) return wrong(c, x, b, "a tensor whose axes are known", x->type);
    const Size *count = elements_of(c, x->type), **sizes = &count;
    if (dims && !(sizes = size_list(c, dims, b, &n, true, NULL))) return &type_error;
    if (n > 6) {
        diag_report(c->diags, DIAG_E0314, e->range, "a tensor has at most 6 axes");
        return &type_error;
    }
    const Type *t = type_tensor(c->arena, x->type->elem, n, sizes);
    if (!size_equal(elements_of(c, t), count)) {
        diag_report(c->diags, DIAG_E0312, e->range, "reshape from %s to %s changes the number of elements: %s and %s",
                    type_text(c->arena, x->type), type_text(c->arena, t), size_text(c->arena, count),
                    size_text(c->arena, elements_of(c, t)));
        return &type_error;
    }
    return t;
}

static const Type *check_concat(Checker *c, Ast *e, const Builtin *b, Ast *axis, Ast **parts, uint32_t n) {
    int64_t along = 0;
    bool good = n > 0;
    if (!n)
        diag_help(diag_report(c->diags, DIAG_E0303, e->range, "'concat' needs something to join"), "it is %s",
                  b->signature);
    const Size *s = axis ? size_of(c, axis, true) : size_constant(c->arena, 0);
    good = s && good;
    for (uint32_t i = 0; i < n && good; i++)
        if (parts[i]->kind == AST_ARRAY) {
            diag_help(diag_report(c->diags, DIAG_E0307, parts[i]->range, "the parts of 'concat' stand in no list"),
                      "write concat(a, b, axis: 0)");
            good = false;
        }
    for (uint32_t i = 0; i < n && good; i++) good = needs_tensor(c, parts[i], b);
    if (!good) return &type_error;
    const Type *first = parts[0]->type;
    if (first->pack) return wrong(c, parts[0], b, "tensors whose axes are known", first);
    if (!size_number(s, &along) || along < 0 || along >= first->rank) {
        diag_report(c->diags, DIAG_E0319, axis ? axis->range : e->range,
                    "axis %s is not there: %s has the axes 0 to %u", size_text(c->arena, s), type_text(c->arena, first),
                    first->rank - 1);
        return &type_error;
    }
    const Size *dims[8];
    for (uint32_t d = 0; d < first->rank; d++) dims[d] = first->dims[d];
    for (uint32_t i = 1; i < n; i++) {
        const Type *t = parts[i]->type;
        bool same_others = t->rank == first->rank && !t->pack && t->elem == first->elem;
        for (uint32_t d = 0; same_others && d < t->rank; d++)
            same_others = d == along || size_equal(t->dims[d], first->dims[d]);
        if (!same_others) {
            diag_report(c->diags, DIAG_E0312, parts[i]->range,
                        "'concat' along axis %lld joins tensors that agree in all other axes: %s and %s do not",
                        (long long)along, type_text(c->arena, t), type_text(c->arena, first));
            return &type_error;
        }
        dims[along] = size_add(c->arena, dims[along], t->dims[along]);
    }
    return type_tensor(c->arena, first->elem, first->rank, dims);
}

static const Type *check_pad(Checker *c, const Builtin *b, Ast *x, Ast *widths) {
    uint32_t n;
    if (!needs_tensor(c, x, b)) return &type_error;
    const Size **w = size_list(c, widths, b, &n, false, NULL), *dims[8];
    if (!w) return &type_error;
    if (x->type->pack || n != 2 * x->type->rank) {
        diag_report(c->diags, DIAG_E0314, widths->range,
                    "'pad' of %s needs %u widths: one before and one after every axis", type_text(c->arena, x->type),
                    2 * x->type->rank);
        return &type_error;
    }
    for (uint32_t i = 0; i < x->type->rank; i++)
        dims[i] = size_add(c->arena, x->type->dims[i], size_add(c->arena, w[2 * i], w[2 * i + 1]));
    return type_tensor(c->arena, x->type->elem, x->type->rank, dims);
}

/* Sizes are compared as far as they are known: the rest is looked at again with the numbers of each use. */
static const Type *check_conv(Checker *c, Ast *e, const Builtin *b, Ast **args) {
    bool good = needs_tensor(c, args[0], b);
    if (!needs_tensor(c, args[1], b) || !good) return &type_error;
    const Type *x = args[0]->type, *w = args[1]->type;
    if (!type_has_rank(x, 3)) return wrong(c, args[0], b, "an image f32[C, H, W]", x);
    if (!type_has_rank(w, 4)) return wrong(c, args[1], b, "weights f32[O, C / groups, KH, KW]", w);
    Arena *a = c->arena;
    const Size *one = size_constant(a, 1),
               *how[4] = {one, size_constant(a, 0), one, one}; /* stride, padding, groups, dilation */
    for (uint32_t k = 0; k < 4; k++)
        if (args[2 + k] && !(how[k] = size_of(c, args[2 + k], true))) return &type_error;
    for (uint32_t k = 0; k < 4; k++) {
        int64_t n;
        if (!size_number(how[k], &n) || n >= (k != 1)) continue;
        diag_report(c->diags, DIAG_E0326, args[2 + k]->range, "'%s' of a convolution is at least %d",
                    b->args[2 + k].name, k != 1);
        return &type_error;
    }
    const Size *channels = size_multiply(a, w->dims[1], how[2]);
    int64_t image, groups;
    if (size_number(x->dims[0], &image) && size_number(how[2], &groups) && image % groups) {
        diag_report(c->diags, DIAG_E0326, e->range, "%lld groups do not divide %lld channels", (long long)groups,
                    (long long)image);
        return &type_error;
    }
    if (!size_equal(channels, x->dims[0]) && !size_equal(w->dims[1], size_divide(a, x->dims[0], how[2]))) {
        diag_report(c->diags, DIAG_E0312, e->range, "weights %s with groups: %s are for %s channels, the image has %s",
                    type_text(a, w), size_text(a, how[2]), size_text(a, channels), size_text(a, x->dims[0]));
        return &type_error;
    }
    const Size *dims[3] = {w->dims[0]};
    for (uint32_t k = 1; k < 3; k++) { /* floor((H + 2 padding - dilation (KH - 1) - 1) / stride) + 1 */
        const Size *reach = size_multiply(a, how[3], size_subtract(a, w->dims[1 + k], one));
        const Size *padded = size_add(a, x->dims[k], size_multiply(a, size_constant(a, 2), how[1]));
        const Size *left = size_subtract(a, size_subtract(a, padded, reach), one);
        int64_t n;
        if (size_number(left, &n) && n < 0) {
            diag_report(c->diags, DIAG_E0326, e->range,
                        "the kernel %s needs %s rows or columns, the image with its padding has %s", type_text(a, w),
                        size_text(a, size_add(a, reach, one)), size_text(a, padded));
            return &type_error;
        }
        dims[k] = size_add(a, size_floor(a, size_divide(a, left, how[0])), one);
    }
    return type_tensor(a, x->elem, 3, dims);
}

/* The call f(at), or f(a, b) of at: (a, b); not part of the tree. */
static Ast *call_at(Checker *c, Ast *f, Ast *at) {
    const bool tuple = at->kind == AST_TUPLE;
    const uint32_t n = tuple ? at->nkids : 1;
    Ast *call = ast_new(c->arena, AST_CALL, at->range, 3), *list = ast_new(c->arena, AST_LIST, at->range, n);
    SLOT(call, CALL, callee) = f;
    SLOT(call, CALL, inputs) = list;
    for (uint32_t k = 0; k < n; k++) {
        list->kids[k] = ast_new(c->arena, AST_ARG, at->range, 1);
        SLOT(list->kids[k], ARG, value) = tuple ? at->kids[k] : at;
    }
    return call;
}

/* Objectives are differentiated in real tensors. */
static bool check_places(Checker *c, const Ast *at) {
    const bool tuple = at->kind == AST_TUPLE;
    for (uint32_t k = 0; k < (tuple ? at->nkids : 1); k++) {
        const Ast *place = tuple ? at->kids[k] : at;
        const Type *t = place->type;
        const bool number = t->kind == TYPE_NUMBER, tensor = t->kind == TYPE_TENSOR && type_is_real(t);
        if (t->kind == TYPE_ERROR || number || tensor) continue;
        diag_report(c->diags, DIAG_E0518, place->range, "a gradient is taken in real tensors, this is %s",
                    type_text(c->arena, t));
        return false;
    }
    return true;
}

/* gradient(f, at: e): f is `loss`, or a fn to one number whose arguments fit e.  Of the type of e. */
static const Type *check_objective(Checker *c, Ast *e, Ast *f, Ast *at, const Type *x) {
    if (f->kind == AST_NAME && !f->ref && same(f->name, "loss")) {
        f->type = &type_real;
        return check_against(c, at, x, DIAG_E0518, "the place 'at:' of a gradient") ? x : &type_error;
    }
    if (f->kind != AST_NAME || !f->ref || f->ref->kind != AST_FN) {
        check_expr(c, at);
        Diagnostic *d =
            diag_report(c->diags, DIAG_E0518, f->range, "the first argument of 'gradient' is 'loss' or a fn to f32");
        diag_help(d, "gradient(loss, at: a)");
        return &type_error;
    }
    checker_ensure(c, f->ref);
    if (fn_runs(f->ref)) {
        check_expr(c, at);
        diag_report(c->diags, DIAG_E0518, f->range, "'%s' has states or loops that run: it is not differentiated",
                    f->name);
        return &type_error;
    }
    const Type *result = check_call(c, e, f, call_at(c, f, at), NULL);
    if (result->kind == TYPE_ERROR) return &type_error;
    if (!type_equal(result, &type_real)) {
        diag_report(c->diags, DIAG_E0518, f->range, "an objective gives one number, f32; '%s' gives %s", f->name,
                    type_text(c->arena, result));
        return &type_error;
    }
    if (!check_places(c, at)) return &type_error;
    return check_expr(c, at);
}

static const Type *check_attack_query(Checker *c, Ast *e, const Builtin *b, Ast **args) {
    const Type *x = attack_input(c);
    if (b->rule == RULE_LOSS || b->rule == RULE_LOGITS || b->rule == RULE_WRONG) {
        if (!check_against(c, args[0], x, DIAG_E0519, arena_printf(c->arena, "the argument of '%s'", b->name)))
            return &type_error;
        const Size *k = attack_classes(c);
        return b->rule == RULE_LOSS    ? &type_real
               : b->rule == RULE_WRONG ? &type_bool
                                       : type_tensor(c->arena, ELEM_REAL, 1, &k);
    }
    return check_objective(c, e, args[0], args[1], x);
}

static const Type *check_initialiser(Checker *c, Ast *e, const Builtin *b, Ast **args) {
    bool good = true;
    for (uint32_t i = 0; i < b->nargs; i++)
        if (args[i]) good = needs_scalar(c, args[i], b) && good;
    if (good && b->rule == RULE_INIT_UNIFORM && !(args[2] ? !args[0] && !args[1] : args[0] && args[1])) {
        diag_help(diag_report(c->diags, DIAG_E0303, e->range, "'uniform' needs 'bound', or 'low' and 'high'"),
                  "it is %s", b->signature);
        return &type_error;
    }
    return good ? &type_flex : &type_error;
}

static const Type *check_fill(Checker *c, Ast *e, const Builtin *b, Ast *dims) {
    uint32_t n, pack = 0;
    (void)e;
    if (!dims) return &type_flex;
    const Size **sizes = size_list(c, dims, b, &n, true, &pack);
    if (!sizes) return &type_error;
    Type *t = (Type *)type_tensor(c->arena, ELEM_REAL, n, sizes);
    t->pack = pack;
    return t;
}

static const Type *coupled(Checker *c, Ast *e, const char *what) {
    diag_help(diag_report(c->diags, DIAG_E0440, e->range,
                          "'%s' couples examples inside a fixed point: each example would converge to an answer that "
                          "depends on its neighbours",
                          what),
              "GroupNorm and LayerNorm keep examples independent; or normalise outside the fixed point");
    return &type_error;
}

static const Type *across_batch(Checker *c, Ast *e, const Builtin *b, Ast *x) {
    check_expr(c, x);
    if (c->fixed) return coupled(c, e, b->name);
    diag_report(c->diags, DIAG_E0490, e->range, "'%s' is not available in this version", b->name);
    return &type_error;
}

/* x and the buffer of this layer that keeps its running mean have one shape. */
static const Type *check_statistic(Checker *c, Ast *e, const Builtin *b, Ast **args) {
    bool good = !args[2] || needs_scalar(c, args[2], b);
    const Type *x = check_expr(c, args[0]), *buffer = check_expr(c, args[1]);
    checker_couples(c);
    if (x->kind == TYPE_ERROR || buffer->kind == TYPE_ERROR || !good) return &type_error;
    if (c->fixed) return coupled(c, e, b->name);
    if (args[1]->kind != AST_NAME || !args[1]->ref || args[1]->ref->kind != AST_BUFFER) {
        diag_help(diag_report(c->diags, DIAG_E0325, args[1]->range, "a statistic is kept in a buffer of the layer"),
                  "buffer running_mean: f32[C] = zeros()");
        return &type_error;
    }
    if (type_equal(x, buffer)) return x;
    diag_report(c->diags, DIAG_E0312, e->range, "the statistic is %s, its buffer %s", type_text(c->arena, x),
                type_text(c->arena, buffer));
    return &type_error;
}

static bool needs_attack(Checker *c, Ast *e, const Builtin *b) {
    const Type *t = check_expr(c, e);
    if (t->kind == TYPE_ATTACK) return true;
    if (t->kind != TYPE_ERROR) wrong(c, e, b, "an attack", t);
    return false;
}

static const Type *check_attacks(Checker *c, const Ast *e, const Builtin *b, Ast **attacks, uint32_t n) {
    bool good = true;
    for (uint32_t i = 0; i < n; i++) good = needs_attack(c, attacks[i], b) && good;
    if (n) return good ? &type_attack : &type_error;
    diag_help(diag_report(c->diags, DIAG_E0303, e->range, "'%s' needs the attacks it joins", b->name), "it is %s",
              b->signature);
    return &type_error;
}

static const Type *apply_rule(Checker *c, Ast *e, const Builtin *b, Ast **args, Ast **more, uint32_t nmore) {
    switch (b->rule) {
    case RULE_LOSS:
    case RULE_LOGITS:
    case RULE_WRONG:
    case RULE_GRADIENT: return check_attack_query(c, e, b, args);
    case RULE_D_PARAMETER:
        if (args[0]->kind == AST_NAME && !args[0]->ref && same(args[0]->name, "w")) return check_expr(c, args[0]);
        diag_report(c->diags, DIAG_E0307, args[0]->range, "an optimiser knows one gradient: d(w)");
        return &type_error;
    case RULE_D_HAND:
    case RULE_TRANSPOSE_FN:
    case RULE_VJP:
    case RULE_SOLVE: return check_hand(c, e, b, args);
    case RULE_DRAW: {
        bool good = true;
        for (uint32_t i = 0; i + 1 < b->nargs; i++)
            if (args[i]) good = needs_scalar(c, args[i], b) && good;
        const Type *t = check_fill(c, e, b, args[b->nargs - 1]);
        return good ? t : &type_error;
    }
    case RULE_INIT:
    case RULE_INIT_UNIFORM:
    case RULE_INIT_MATRIX:
    case RULE_INIT_SQUARE: return check_initialiser(c, e, b, args);
    case RULE_ELEMENTWISE: return check_elementwise(c, e, b, args, b->nargs);
    case RULE_EXTREMUM:
        if (args[1] && args[2]) {
            diag_report(c->diags, DIAG_E0303, e->range, "'%s' of two values takes no 'axes'", b->name);
            return &type_error;
        }
        return args[1] ? check_elementwise(c, e, b, args, 2) : check_reduction(c, e, b, args[0], args[2]);
    case RULE_REDUCE: return check_reduction(c, e, b, args[0], args[1]);
    case RULE_ALONG_LAST: return needs_tensor(c, args[0], b) ? args[0]->type : &type_error;
    case RULE_ARGMAX: return needs_vector(c, args[0], b) ? type_label(c->arena, args[0]->type->dims[0]) : &type_error;
    case RULE_RANKED: {
        if (!needs_vector(c, args[0], b)) return &type_error;
        Type *t = arena_copy(c->arena, args[0]->type, sizeof *t);
        t->elem = ELEM_LABEL, t->classes = t->dims[0];
        return t;
    }
    case RULE_INDICES: {
        const Size *axis = needs_tensor(c, args[0], b) ? size_of(c, args[1], true) : NULL;
        int64_t n;
        if (!axis) return &type_error;
        uint32_t known = args[0]->type->pack ? args[0]->type->pack - 1 : args[0]->type->rank;
        if (size_number(axis, &n) && n >= 0 && n < known) return args[0]->type;
        diag_report(
            c->diags, DIAG_E0319, args[1]->range, "axis %s is not there: %s", size_text(c->arena, axis),
            known ? arena_printf(c->arena, "%s has the axes 0 to %u", type_text(c->arena, args[0]->type), known - 1)
                  : arena_printf(c->arena, "the axes of %s are not known here", type_text(c->arena, args[0]->type)));
        return &type_error;
    }
    case RULE_ONE_HOT: {
        const Type *t = check_expr(c, args[0]);
        if (t->kind == TYPE_ERROR) return t;
        return is_tensor(t) && t->elem == ELEM_LABEL && t->rank == 0 ? type_tensor(c->arena, ELEM_REAL, 1, &t->classes)
                                                                     : wrong(c, args[0], b, "a label", t);
    }
    case RULE_DOT: {
        bool good = needs_tensor(c, args[0], b);
        if (!needs_tensor(c, args[1], b) || !good) return &type_error;
        if (!type_same_shape(args[0]->type, args[1]->type)) {
            Diagnostic *d = diag_report(c->diags, DIAG_E0312, place(e), "shapes do not agree in 'dot': %s and %s",
                                        type_text(c->arena, args[0]->type), type_text(c->arena, args[1]->type));
            note_sizes(c, d, args[0]->type, args[1]->type);
            return &type_error;
        }
        return join(c, e, b->name, args, 2)->kind == TYPE_ERROR ? &type_error
               : args[0]->type->elem == ELEM_F64                ? &type_f64
                                                                : &type_real;
    }
    case RULE_OUTER: {
        bool good = needs_vector(c, args[0], b);
        if (!needs_vector(c, args[1], b) || !good) return &type_error;
        const Size *dims[2] = {args[0]->type->dims[0], args[1]->type->dims[0]};
        return type_tensor(c->arena, args[0]->type->elem, 2, dims);
    }
    case RULE_FLATTEN: return check_reshape(c, e, b, args[0], NULL);
    case RULE_RESHAPE: return check_reshape(c, e, b, args[0], args[1]);
    case RULE_CONCAT: return check_concat(c, e, b, args[0], more, nmore);
    case RULE_PAD: return check_pad(c, b, args[0], args[1]);
    case RULE_POOL:
    case RULE_UPSAMPLE:
    case RULE_BILINEAR: return check_image(c, b, args);
    case RULE_CONV: return check_conv(c, e, b, args);
    case RULE_FILL: return check_fill(c, e, b, args[0]);
    case RULE_STATISTIC: return check_statistic(c, e, b, args);
    case RULE_DROPOUT: {
        bool good = needs_scalar(c, args[1], b);
        const Type *t = check_fill(c, e, b, args[0]);
        return good ? t : &type_error;
    }
    case RULE_ACROSS_BATCH: return across_batch(c, e, b, args[0]);
    case RULE_METRIC: return check_evaluation(c, e, NULL, args[0], args[1]);
    case RULE_GRADCHECK:
    case RULE_GRADIENTS:
    case RULE_FINITE_DIFFERENCE: return check_gradcheck(c, e, b, args);
    case RULE_ATTACKS: return check_attacks(c, e, b, more, nmore);
    case RULE_RESTARTS: {
        bool good = needs_attack(c, args[0], b);
        return check_range(c, args[1], "count", 1, 1000, true) && good ? &type_attack : &type_error;
    }
    case RULE_WEIGHTS: {
        bool good = true;
        for (uint32_t i = 0; i < b->nargs; i++)
            if (args[i])
                good = check_against(c, args[i], &type_string, DIAG_E0301,
                                     arena_printf(c->arena, "'%s' of 'weights'", b->args[i].name)) &&
                       good;
        return good ? &type_weights : &type_error;
    }
    default: return &type_error;
    }
}

const Type *check_builtin(Checker *c, Ast *e, const Builtin *b, Ast *call, Ast *piped) {
    CallParameter params[6];
    Ast *args[6] = {NULL}, **more = NULL;
    uint32_t nmore = 0, n = b->nargs;
    bool many = n && b->args[n - 1].need == NEED_MANY;
    for (uint32_t i = 0; i < n; i++) params[i] = (CallParameter){b->args[i].name, b->args[i].need, false};
    Range at = call ? place(SLOT(call, CALL, callee)) : e->range;
    if (!match_arguments(c, b->name, b->signature, call, piped, at, params, n, args, many ? &more : NULL,
                         many ? &nmore : NULL)) {
        const Ast *lists[1] = {call ? SLOT(call, CALL, inputs) : NULL};
        for (uint32_t i = 0; lists[0] && i < lists[0]->nkids; i++) fail(lists[0]->kids[i]);
        return &type_error;
    }
    return apply_rule(c, e, b, args, more, nmore);
}
