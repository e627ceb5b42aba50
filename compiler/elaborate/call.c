/* call.c - calling functions and layers: arguments, inferred sizes, inlining, layer bodies. */
#include "elaborate.h"
#include "type.h"
#include <math.h>
#include <string.h>

static bool is_reserved_type(const char *name) {
    static const char *const words[] = {"f32", "f64", "int", "bool", "label", "schedule"};
    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        if (strcmp(words[k], name) == 0) return true;
    return false;
}

/* ---- arguments ---- */
static void push_args(Scope *s, Args *args, const Ast *list, bool state) {
    for (uint32_t k = 0; list && k < list->nkids; k++) {
        const Ast *arg = list->kids[k], *e = arg->kind == AST_ARG ? AST_SLOT(arg, ARG, value) : arg;
        *ARENA_PUSH(s->elab->arena, args->items, args->n, args->cap) =
            (Arg){.name = arg->kind == AST_ARG ? arg->name : NULL, .ast = e, .at = arg->range, .state = state};
    }
}

Args call_args(Scope *s, const Ast *call, const Value *piped, Range piped_at) {
    Args args = {.at = call->range};
    const Ast *state = call->kind == AST_CALL ? AST_SLOT(call, CALL, state) : NULL;
    if (piped)
        *ARENA_PUSH(s->elab->arena, args.items, args.n, args.cap) =
            (Arg){.at = piped_at, .value = *piped, .state = state != NULL};
    push_args(s, &args, state, true);
    if (call->kind == AST_CALL) push_args(s, &args, AST_SLOT(call, CALL, inputs), false);
    for (uint32_t k = 0; k < args.n; k++)
        if (args.items[k].ast) args.items[k].value = eval(s, args.items[k].ast);
    return args;
}

Arg *args_take(Args *args, const char *name, bool state) {
    for (uint32_t k = 0; k < args->n; k++)
        if (args->items[k].name && strcmp(args->items[k].name, name) == 0)
            return args->items[k].used = true, &args->items[k];
    for (uint32_t k = 0; k < args->n; k++) {
        Arg *a = &args->items[k];
        if (a->name || a->used) continue;
        if (a->state && !state) return NULL; /* f(z; x): the state is still to come */
        return a->used = true, a;
    }
    return NULL;
}

bool args_all_used(Scope *s, const Args *args, const char *callee) {
    for (uint32_t k = 0; k < args->n; k++) {
        const Arg *a = &args->items[k];
        if (a->used) continue;
        if (a->name)
            elab_error(s, DIAG_E0304, a->at, "'%s' has no argument '%s'", callee, a->name);
        else
            elab_error(s, DIAG_E0303, a->at, "'%s' takes fewer arguments", callee);
        return false;
    }
    return true;
}

/* ---- types and inferred sizes ---- */
bool eval_type(Scope *s, const Ast *type, Shape *shape, uint32_t *classes) {
    *shape = shape_scalar();
    *classes = 0;
    if (type->kind != AST_TYPE) {
        elab_error(s, DIAG_E0490, type->range, "a tuple cannot be used here");
        return false;
    }
    const Ast *dims = AST_SLOT(type, TYPE, dims);
    if (strcmp(type->name, "label") == 0) return dims && dims->nkids == 1 && eval_size(s, dims->kids[0], classes);
    if (dims && dims->nkids > MAX_RANK) {
        elab_error(s, DIAG_E0601, type->range, "tensors have at most %d axes", MAX_RANK);
        return false;
    }
    for (uint32_t k = 0; dims && k < dims->nkids; k++) {
        if (dims->kids[k]->kind != AST_SPREAD) {
            if (!eval_size(s, dims->kids[k], &shape->dims[shape->rank++])) return false;
            continue;
        }
        Value axes = eval(s, AST_SLOT(dims->kids[k], SPREAD, value));
        if (axes.kind != VALUE_TUPLE || shape->rank + axes.nitems + dims->nkids - k - 1 > MAX_RANK) {
            if (axes.kind != VALUE_NONE)
                elab_error(s, DIAG_E0601, type->range, "tensors have at most %d axes", MAX_RANK);
            return false;
        }
        for (uint32_t i = 0; i < axes.nitems; i++) shape->dims[shape->rank++] = (uint32_t)axes.items[i].number;
    }
    double count = 1;
    for (uint32_t k = 0; k < shape->rank; k++) count *= shape->dims[k];
    if (count > 2147483647.0) {
        elab_error(s, DIAG_E0601, type->range, "a tensor of %s elements is too large",
                   number_text(s->elab->arena, count));
        return false;
    }
    return true;
}

static bool is_unknown(const Scope *s, const char *name) {
    return !env_find(s->env, name) && !module_find(s->module, name, NULL) && strcmp(name, "inf") && strcmp(name, "pi");
}

/* The names in a size expression that have no value yet; returns how many different ones, `one` is the first. */
static int unknown_names(const Scope *s, const Ast *e, const char **one) {
    if (!e) return 0;
    if (e->kind == AST_NAME) {
        if (!is_unknown(s, e->name)) return 0;
        if (*one && strcmp(*one, e->name) != 0) return 2;
        if (*one) return 0;
        *one = e->name;
        return 1;
    }
    int n = 0;
    uint32_t first = e->kind == AST_CALL ? 1 : 0; /* floor(H / 2): not the callee */
    for (uint32_t k = first; k < e->nkids; k++) n += unknown_names(s, e->kids[k], one);
    return n;
}

/* One dim of a declared type against the size it must have: 1 done, 0 not yet, -1 error.
 * With one unknown name the size is linear in it: two evaluations give its value. */
static int match_size(Scope *s, const Ast *dim, uint32_t actual, Range at) {
    const char *name = NULL;
    int unknown = unknown_names(s, dim, &name);
    if (unknown > 1) return 0;
    if (unknown == 1) {
        double f[2];
        Env *before = s->env;
        for (int k = 0; k < 2; k++) {
            scope_bind(s, name, value_number(k));
            bool ok = eval_number(s, dim, &f[k]);
            s->env = before;
            if (!ok) return -1;
        }
        double x = (actual - f[0]) / (f[1] - f[0]);
        if (!(x >= 1) || x != floor(x)) {
            elab_error(s, DIAG_E0310, at, "size %u fits no whole '%s' of the declared type", actual, name);
            return -1;
        }
        scope_bind(s, name, value_number(x));
        return 1;
    }
    uint32_t declared;
    if (!eval_size(s, dim, &declared)) return -1;
    if (declared == actual) return 1;
    elab_error(s, DIAG_E0312, at, "this size is %u, the declaration says %u", actual, declared);
    return -1;
}

/* The axes that a pack stands for. */
static int match_pack(Scope *s, const char *name, const uint32_t *axes, uint32_t n, Range at) {
    const Value *known = env_find(s->env, name);
    bool fits = !known || (known->kind == VALUE_TUPLE && known->nitems == n);
    for (uint32_t i = 0; known && fits && i < n; i++) fits = known->items[i].number == axes[i];
    if (!fits) return elab_error(s, DIAG_E0312, at, "this has not the shape that '..%s' has elsewhere", name), -1;
    Value items[MAX_RANK];
    for (uint32_t i = 0; i < n; i++) items[i] = value_number(axes[i]);
    if (!known) scope_bind(s, name, value_tuple(s->elab->arena, items, n));
    return 1;
}

int match_type(Scope *s, const Ast *type, Value *v, Range at) {
    if (!type || v->kind == VALUE_NONE) return v->kind == VALUE_NONE ? -1 : 1;
    if (type->kind == AST_TUPLE_TYPE) {
        if (v->kind != VALUE_TUPLE || v->nitems != type->nkids)
            return elab_error(s, DIAG_E0301, at, "a tuple of %u is needed", type->nkids), -1;
        Value *items = arena_copy(s->elab->arena, v->items, v->nitems * sizeof *items);
        int all = 1;
        for (uint32_t k = 0; k < type->nkids; k++) {
            int r = match_type(s, type->kids[k], &items[k], at);
            if (r < all) all = r;
        }
        v->items = items;
        return all;
    }
    if (type->kind != AST_TYPE || !is_reserved_type(type->name)) return 1;
    const Ast *dims = AST_SLOT(type, TYPE, dims);
    if (strcmp(type->name, "label") == 0) {
        if (v->classes == 0 || !dims || dims->nkids != 1) return 1;
        return match_size(s, dims->kids[0], v->classes, at);
    }
    uint32_t rank = dims ? dims->nkids : 0;
    if (v->kind == VALUE_FLEX) {
        const char *one = NULL;
        for (uint32_t k = 0; k < rank; k++)
            if (unknown_names(s, dims->kids[k], &one) || one) return 0;
        Shape shape;
        uint32_t classes;
        if (!eval_type(s, type, &shape, &classes)) return -1;
        *v = value_fit(s, *v, shape, at, "the argument");
        return v->kind == VALUE_NONE ? -1 : 1;
    }
    if (v->kind != VALUE_NODE && v->kind != VALUE_NUMBER) return 1;
    Shape have = value_shape(*v);
    if (rank == 0) return 1; /* a function of scalars maps over tensors: the checker lets no other tensor through */
    uint32_t pack = 0;
    while (pack < rank && dims->kids[pack]->kind != AST_SPREAD) pack++;
    if (pack < rank ? have.rank + 1 < rank : have.rank != rank) {
        elab_error(s, DIAG_E0312, at, "%s given where %u axes are declared", shape_text(s->elab->arena, have), rank);
        return -1;
    }
    int all = 1;
    for (uint32_t k = 0; k < rank; k++) {
        int r = k == pack ? match_pack(s, AST_SLOT(dims->kids[k], SPREAD, value)->name, have.dims + k,
                                       have.rank + 1 - rank, at)
                          : match_size(s, dims->kids[k], have.dims[k < pack ? k : have.rank - (rank - k)], at);
        if (r < all) all = r;
    }
    return all;
}

typedef struct Bound {
    const Ast *binding;
    Value value;
    Range at;
    bool done;
} Bound;

/* Binds inputs (PARAMS) to arguments in `s`, the scope of the callee's body; sizes are inferred on the way. */
static bool bind_params(Scope *s, const Ast *params, Args *args, const Env *preset, const char *callee) {
    if (!params) return args_all_used(s, args, callee);
    const Ast *lists[2] = {AST_SLOT(params, PARAMS, state), AST_SLOT(params, PARAMS, inputs)};
    uint32_t n = (lists[0] ? lists[0]->nkids : 0) + (lists[1] ? lists[1]->nkids : 0), i = 0;
    Bound *bound = arena_alloc(s->elab->arena, (n + 1) * sizeof *bound);
    for (int part = 0; part < 2; part++)
        for (uint32_t k = 0; lists[part] && k < lists[part]->nkids; k++, i++) {
            const Ast *b = lists[part]->kids[k];
            bound[i] = (Bound){.binding = b, .at = args->at};
            const Value *given = env_find(preset, b->name);
            Arg *arg = given ? NULL : args_take(args, b->name, part == 0);
            if (given)
                bound[i].value = *given;
            else if (arg)
                bound[i].value = arg->value, bound[i].at = arg->at;
            else if (!AST_SLOT(b, BINDING, fallback)) {
                elab_error(s, DIAG_E0303, args->at, "'%s' needs its argument '%s'", callee, b->name);
                return false;
            } else
                bound[i].done = true; /* evaluated below, when the sizes are known */
            if (!bound[i].done && bound[i].value.kind == VALUE_NONE) return false;
        }
    if (!args_all_used(s, args, callee)) return false;
    for (bool again = true; again;) {
        again = false;
        for (i = 0; i < n; i++) {
            if (bound[i].done) continue;
            int r = match_type(s, AST_SLOT(bound[i].binding, BINDING, type), &bound[i].value, bound[i].at);
            if (r < 0) return false;
            if (r > 0) bound[i].done = again = true;
        }
    }
    for (i = 0; i < n; i++) {
        if (!bound[i].done) {
            elab_error(s, DIAG_E0311, bound[i].at, "the sizes of '%s' cannot be inferred from its arguments", callee);
            return false;
        }
        Value v = bound[i].value;
        const Ast *fallback = AST_SLOT(bound[i].binding, BINDING, fallback);
        if (v.kind == VALUE_NONE) {
            v = eval(s, fallback);
            if (match_type(s, AST_SLOT(bound[i].binding, BINDING, type), &v, fallback->range) <= 0) return false;
        }
        scope_bind(s, bound[i].binding->name, v);
    }
    return true;
}

/* Given sizes [a, b] of a declaration's SIZES, evaluated in `from`, bound in `s`; defaults for those left out. */
static bool bind_sizes(Scope *from, Scope *s, const Ast *sizes, const Ast *given, bool fallbacks, const char *callee) {
    const Ast *list = sizes ? AST_SLOT(sizes, SIZES, given) : NULL;
    uint32_t n = list ? list->nkids : 0;
    if (given && given->nkids > n) {
        elab_error(from, DIAG_E0306, given->range, "'%s' takes %u sizes", callee, n);
        return false;
    }
    for (uint32_t k = 0; k < n; k++) {
        uint32_t x;
        const Ast *fallback = AST_SLOT(list->kids[k], SIZE_PARAM, fallback);
        if (given && k < given->nkids) {
            if (!eval_size(from, given->kids[k], &x)) return false;
        } else if (fallback && fallbacks) {
            if (!eval_size(s, fallback, &x)) return false;
        } else
            continue; /* inferred, or found missing later */
        scope_bind(s, list->kids[k]->name, value_number(x));
    }
    return true;
}

/* ---- bodies ---- */
static bool run_body(Scope *s, const Ast *body, Value *result);

/* What a turn gave to names of outside, `h = f(h)`, is what the next turn and the statements behind the loop see. */
static void carry(Scope *s, const Ast *body, const Env *inside) {
    for (uint32_t k = 0; k < body->nkids; k++) {
        const Ast *item = body->kids[k];
        const Ast *target = item->kind == AST_EQUATION ? AST_SLOT(item, EQUATION, target) : NULL;
        if (item->kind == AST_FOR) carry(s, AST_SLOT(item, FOR, body), inside);
        if (target && env_find(s->env, target->name)) scope_bind(s, target->name, *env_find(inside, target->name));
    }
}

bool run_for(Scope *s, const Ast *loop, Value *result) {
    Value range = eval(s, AST_SLOT(loop, FOR, range));
    if (range.kind == VALUE_NONE) return true;
    bool counts = range.kind == VALUE_RANGE;
    if (!counts && range.kind != VALUE_TUPLE) {
        elab_error(s, DIAG_E0321, AST_SLOT(loop, FOR, range)->range,
                   "'for' needs a range a..b or a list known at compile time");
        return true;
    }
    uint32_t n = counts ? (range.limit > range.number ? (uint32_t)(range.limit - range.number) : 0) : range.nitems;
    if (n > 10000) {
        elab_error(s, DIAG_E0601, loop->range, "%u rounds of 'for' are too many to unroll", n);
        return true;
    }
    const Ast *body = AST_SLOT(loop, FOR, body);
    Env *outside = s->env, *inside;
    for (uint32_t k = 0; k < n; k++) {
        if (!eval_allowed(s, loop->range)) return true;
        scope_bind(s, loop->name, counts ? value_number(range.number + k) : range.items[k]);
        bool returned = run_body(s, body, result);
        inside = s->env, s->env = outside; /* what earlier turns bound is not searched again */
        if (returned) return true;
        carry(s, body, inside);
    }
    return false;
}

/* Is `name` read in e?  *unread: it is, but only on the side of an `if` that a setting of the layer rules out. */
static bool reads_name(const Scope *s, const Ast *e, const char *name, bool *unread) {
    if (!e) return false;
    if (e->kind == AST_NAME && strcmp(e->name, name) == 0) return true;
    const Ast *test = e->kind == AST_IF ? AST_SLOT(e, IF, condition) : NULL;
    const Value *known = test && test->kind == AST_NAME ? env_find(s->env, test->name) : NULL;
    bool read = false;
    for (uint32_t k = 0; k < e->nkids; k++) {
        bool ruled_out = known && known->kind == VALUE_NUMBER && e->kids[k] != test &&
                         e->kids[k] == (known->number != 0 ? AST_SLOT(e, IF, no) : AST_SLOT(e, IF, yes));
        bool here = reads_name(s, e->kids[k], name, unread);
        if (here && ruled_out)
            *unread = true;
        else
            read = read || here;
    }
    return read;
}

/* A parameter that a setting switches off, as `bias: false` does, is not made. */
static bool switched_off(const Scope *s, const Ast *body, const char *name) {
    bool unread = false;
    return !reads_name(s, body, name, &unread) && unread;
}

/* Runs statements until a return; true when there was one (or an error made going on pointless). */
static bool run_body(Scope *s, const Ast *body, Value *result) {
    for (uint32_t k = 0; k < body->nkids; k++) {
        const Ast *item = body->kids[k];
        if (statement(s, item)) continue;
        switch (item->kind) {
        case AST_RETURN: *result = eval(s, AST_SLOT(item, RETURN, value)); return true;
        case AST_FOR:
            if (run_for(s, item, result)) return true;
            break;
        case AST_EQUATION: { /* in a `for`; the checker has seen to that */
            Value v = eval(s, AST_SLOT(item, EQUATION, value));
            if (v.kind == VALUE_NONE) return *result = v, true;
            const Value *old = env_find(s->env, AST_SLOT(item, EQUATION, target)->name);
            if (old && old->kind == VALUE_NODE) v = value_fit(s, v, value_shape(*old), item->range, "the value");
            scope_bind(s, AST_SLOT(item, EQUATION, target)->name, v);
            break;
        }
        case AST_PARAM:
        case AST_BUFFER:
            if (switched_off(s, body, item->name)) break;
            scope_bind(s, item->name, net_parameter(s, item, item->kind == AST_PARAM));
            break;
        case AST_USE: {
            const char *path = *s->path ? arena_printf(s->elab->arena, "%s.%s", s->path, item->name) : item->name;
            const Instance *i = layer_instance(s, AST_SLOT(item, USE, value), path);
            scope_bind(s, item->name, i ? (Value){.kind = VALUE_LAYER, .instance = i} : (Value){0});
            break;
        }
        case AST_FIXED:
            if (!fixed_point(s, item)) return *result = (Value){0}, true;
            break;
        default: elab_error(s, DIAG_E0318, item->range, "a %s does not belong here", ast_kind_name(item->kind));
        }
    }
    return false;
}

/* Fits the result to the declared type, whose sizes are all known by now. */
static Value check_result(Scope *s, const Ast *type, Value v, Range at) {
    if (!type || type->kind != AST_TYPE || v.kind == VALUE_NONE || !is_reserved_type(type->name)) return v;
    if (v.kind != VALUE_NODE && v.kind != VALUE_FLEX && v.kind != VALUE_NUMBER) return v;
    const Ast *dims = AST_SLOT(type, TYPE, dims);
    const char *one = NULL;
    for (uint32_t k = 0; dims && k < dims->nkids; k++)
        if (unknown_names(s, dims->kids[k], &one) || one) {
            return elab_error(s, DIAG_E0311, dims->kids[k]->range, "size '%s' of the result cannot be inferred", one);
        }
    Shape shape;
    uint32_t classes;
    if (!eval_type(s, type, &shape, &classes)) return (Value){0};
    if (v.kind == VALUE_NUMBER && shape.rank > 0) return value_fit(s, v, shape, at, "the result");
    if (classes || v.kind == VALUE_NUMBER) return v;
    if (shape.rank == 0 && v.kind == VALUE_NODE) return v; /* of a function of scalars, mapped over tensors */
    return value_fit(s, v, shape, at, "the result");
}

bool fn_begin(Scope *s, const Value *f, const Ast *explicit_sizes, Args *args, Frame *frame, Scope *inner) {
    const Ast *fn = f->ast;
    *frame = (Frame){arena_printf(s->elab->arena, "in '%s', used here", fn->name), args->at, s->frame};
    *inner = f->scope ? *f->scope : scope_of_module(s->elab, f->module);
    inner->build = s->build;
    inner->net = s->net;
    inner->flex = s->flex;
    inner->in_fixed = s->in_fixed;
    inner->frame = frame;
    return bind_sizes(s, inner, AST_SLOT(fn, FN, sizes), explicit_sizes, false, fn->name) &&
           bind_params(inner, AST_SLOT(fn, FN, inputs), args, f->given, fn->name);
}

Value fn_result(Scope *inner, const Ast *fn, Value v) {
    return check_result(inner, AST_SLOT(fn, FN, result), v, AST_SLOT(fn, FN, body)->range);
}

Value call_fn(Scope *s, const Value *f, const Ast *explicit_sizes, Args args) {
    Frame frame;
    Scope inner;
    const Ast *fn = f->ast, *body = AST_SLOT(fn, FN, body);
    Value v = {0};
    if (fn->number != 0)
        return elab_error(s, DIAG_E0318, args.at, "'%s' has states or loops that run: it cannot be called here",
                          fn->name);
    if (!fn_begin(s, f, explicit_sizes, &args, &frame, &inner)) return (Value){0};
    if (body->kind != AST_LIST)
        v = eval(&inner, body);
    else if (!run_body(&inner, body, &v))
        return elab_error(&inner, DIAG_E0511, fn->name_range, "'%s' does not return", fn->name);
    return fn_result(&inner, fn, v);
}

Value call_layer(Scope *s, const Instance *instance, Args args) {
    const Ast *layer = instance->layer;
    Frame frame = {arena_printf(s->elab->arena, "in layer '%s', used here", layer->name), args.at, s->frame};
    Scope inner = scope_of_module(s->elab, instance->module);
    inner.build = s->build;
    inner.net = s->net;
    inner.in_fixed = s->in_fixed;
    inner.path = instance->path;
    const Ast *body = AST_SLOT(layer, LAYER, body);
    for (uint32_t k = 0; k < body->nkids; k++) inner.fixed_points += body->kids[k]->kind == AST_FIXED;
    inner.env = instance->sizes;
    inner.frame = &frame;
    if (!bind_params(&inner, AST_SLOT(layer, LAYER, inputs), &args, instance->settings, layer->name)) return (Value){0};
    Value v = {0};
    const Env *inputs = inner.env;
    uint32_t first = s->net ? s->net->model->nfixed : 0, row = summary_begin(s, instance);
    if (!run_body(&inner, body, &v))
        return elab_error(&inner, DIAG_E0511, layer->name_range, "'%s' does not return", layer->name);
    if (inner.fixed_points && v.kind != VALUE_NONE && !hand_gradients(&inner, layer, inputs, first)) return (Value){0};
    summary_end(s, row, v);
    return check_result(&inner, AST_SLOT(layer, LAYER, result), v, layer->name_range);
}

const Instance *layer_instance(Scope *s, const Ast *given, const char *path) {
    Scope from;
    const Ast *e = resolve_ast(s, given, &from);
    const Ast *settings = e->kind == AST_CALL ? e : NULL, *base = settings ? AST_SLOT(e, CALL, callee) : e;
    const Ast *sizes = base->kind == AST_INDEX ? AST_SLOT(base, INDEX, indices) : NULL;
    if (sizes) base = AST_SLOT(base, INDEX, base);
    base = resolve_ast(&from, base, &from);
    char name[512];
    const Module *owner = NULL;
    const Ast *layer = ast_path(base, name, sizeof name) ? module_find(from.module, name, &owner) : NULL;
    if (!layer || layer->kind != AST_LAYER) {
        elab_error(s, DIAG_E0302, e->range, "a layer is needed here");
        return NULL;
    }
    Arena *a = s->elab->arena;
    Instance *i = arena_alloc(a, sizeof *i);
    *i = (Instance){.layer = layer, .module = owner, .path = path, .name = layer->name};
    Scope inner = scope_of_module(s->elab, owner);
    if (!bind_sizes(&from, &inner, AST_SLOT(layer, LAYER, sizes), sizes, true, layer->name)) return NULL;
    i->sizes = inner.env;
    for (uint32_t k = 0; sizes && k < sizes->nkids; k++) {
        uint32_t x;
        if (!eval_size(&from, sizes->kids[k], &x)) return NULL;
        i->name = arena_printf(a, "%s_%u", i->name, x);
    }
    if (settings) { /* inputs with a default, given at `use`: by name, or by position among them */
        Args args = call_args(&from, settings, NULL, e->range);
        const Ast *params = AST_SLOT(layer, LAYER, inputs), *list = params ? AST_SLOT(params, PARAMS, inputs) : NULL;
        for (uint32_t k = 0; list && k < list->nkids; k++) {
            if (!AST_SLOT(list->kids[k], BINDING, fallback)) continue;
            Arg *arg = args_take(&args, list->kids[k]->name, false);
            if (!arg) continue;
            if (arg->value.kind == VALUE_NONE) return NULL;
            i->settings = env_bind(a, i->settings, list->kids[k]->name, arg->value);
        }
        if (!args_all_used(s, &args, layer->name)) return NULL;
    }
    return i;
}

/* A number or a tensor is nothing that a call could mean: let d = .. leaves d(z) what it is, as in the checker. */
static bool is_called(const Value *v) {
    return value_is_function(v) || v->kind == VALUE_LAYER || v->kind == VALUE_RATE || v->kind == VALUE_AST;
}

/* leaky_relu(slope: 0.2) where a function is needed: the checker knows. */
static bool is_partial(const Ast *e) {
    return e->kind == AST_CALL && e->type && e->type->kind == TYPE_FN && !e->type->transposed;
}

static Value with_settings(Scope *s, Value f, const Ast *e) {
    const Args args = call_args(s, e, NULL, e->range);
    for (uint32_t k = 0; k < args.n; k++) {
        if (args.items[k].value.kind == VALUE_NONE) return (Value){0};
        f.given = env_bind(s->elab->arena, (Env *)f.given, args.items[k].name, args.items[k].value);
    }
    return f;
}

/* `e` is a CALL, or (after a pipe) the bare name of what is called. */
Value call(Scope *s, const Ast *e, const Value *piped, Range piped_at) {
    const Ast *callee = e->kind == AST_CALL ? AST_SLOT(e, CALL, callee) : e;
    const Ast *sizes = callee->kind == AST_INDEX ? AST_SLOT(callee, INDEX, indices) : NULL;
    for (const struct Ready *r = s->ready; r; r = r->next)
        if (r->call == e) return r->value;
    if (sizes) callee = AST_SLOT(callee, INDEX, base);
    const Value *local = callee->kind == AST_NAME ? env_find(s->env, callee->name) : NULL;
    Scope named = *s; /* where the callee's name is looked up */
    if (local && !is_called(local)) named.env = NULL, local = NULL;
    if (callee->kind == AST_NAME && !local) {
        Value out;
        if (s->host && s->host(s, e, callee->name, &out)) return out;
        if (!module_find(s->module, callee->name, NULL) && builtin_call(s, callee->name, e, piped, piped_at, &out))
            return out;
    }
    Value f = eval(&named, callee);
    if (f.kind == VALUE_NONE) return f;
    if (f.kind == VALUE_FN && f.transposed) return hand_transposed(s, &f, e);
    if (f.kind == VALUE_FN && is_partial(e)) return with_settings(s, f, e);
    if (f.kind == VALUE_FN) return call_fn(s, &f, sizes, call_args(s, e, piped, piped_at));
    if (f.kind == VALUE_BUILTIN) {
        Value out;
        if (builtin_call(s, f.ast->name, e, piped, piped_at, &out)) return out;
        ICE("'%s' is no function of the language", f.ast->name);
    }
    if (f.kind == VALUE_LAYER) {
        if (!s->net) return elab_error(s, DIAG_E0302, e->range, "a layer cannot be called outside a net");
        return call_layer(s, f.instance, call_args(s, e, piped, piped_at));
    }
    if (f.kind == VALUE_RATE) { /* schedule(t): its definition with the arguments it was instantiated with */
        Args args = call_args(s, e, piped, piped_at);
        if (args.n != 1) return elab_error(s, DIAG_E0303, e->range, "a schedule takes the step: rate(t)");
        if (!f.ast) return f.items[0];
        Frame frame = {arena_printf(s->elab->arena, "in schedule '%s', used here", f.ast->name), e->range, s->frame};
        Scope inner = scope_of_module(s->elab, f.module);
        inner.build = s->build;
        inner.frame = &frame;
        const Value *steps = env_find(s->env, "steps");
        scope_bind(&inner, "t", args.items[0].value);
        if (steps) scope_bind(&inner, "steps", *steps);
        const Ast *params = AST_SLOT(f.ast, SCHEDULE_DEF, inputs),
                  *list = params ? AST_SLOT(params, PARAMS, inputs) : NULL;
        for (uint32_t k = 0; list && k < list->nkids; k++) scope_bind(&inner, list->kids[k]->name, f.items[k]);
        Value v = {0};
        if (!run_body(&inner, AST_SLOT(f.ast, SCHEDULE_DEF, body), &v))
            return elab_error(s, DIAG_E0511, f.ast->name_range, "schedule '%s' does not return", f.ast->name);
        return v;
    }
    return elab_error(s, DIAG_E0302, callee->range, "this is not something to call");
}
