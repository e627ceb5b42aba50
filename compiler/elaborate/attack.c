/* attack.c - an attack definition for one net and loss becomes a routine; its instances give the scalars.
 *
 * What it asks of the net: queries.c. */
#include "queries.h"
#include <float.h>
#include <math.h>
#include <string.h>
#include <xxhash.h>

typedef struct Attack { /* one definition for one net and loss */
    const Ast *definition;
    const Net *net;
    const char *loss;   /* of the net; NULL: another function, */
    const LossUse *use; /* whose settings are scalars after the parameters */
    Routine *routine;
    const char *hash;
    struct Count { /* a trip count that is no parameter: computed for each instance, a scalar after the parameters */
        const Ast *from, *to; /* from NULL: 0 */
        bool known;           /* in an attack that is a step of another: `number` turns */
        double number;
    } * counts;
    uint32_t ncounts, counts_cap, nparams;
    Env *sizes;      /* of the example's types */
    uint64_t direct; /* parameters that are trip counts themselves */
    const Module *module;
    Queries queries;
    Machine *machine;
    Value *result; /* takes what the attack that is a step of this one returns; NULL: this one returns */
    bool failed;
} Attack;

/* ---- draws and queries ---- */
static Value draw(Scope *s, Attack *k, const Ast *call, const char *name) {
    if (!s->flex) return value_flex(s, call);
    Args args = call_args(s, call, NULL, call->range);
    bool uniform = strcmp(name, "uniform") == 0;
    Arg *first = args_take(&args, uniform ? "low" : "std", true),
        *second = uniform ? args_take(&args, "high", true) : NULL;
    if (!args_all_used(s, &args, name)) return (Value){0};
    if (uniform && (!first || !second))
        return elab_error(s, DIAG_E0303, call->range, "uniform takes its low and high end");
    const char *key = arena_printf(s->elab->arena, "%s %u", k->definition->name, k->machine->draws++);
    int64_t site = (int64_t)(XXH3_64bits(key, strlen(key)) >> 1);
    Value r = value_node(s->build, graph_op_shaped(s->build->graph, OP_random, NULL, 0,
                                                   &(Attr){.random = {!uniform, site}}, *s->flex, true, call->range));
    if (!uniform) return first ? elementwise(s, OP_mul, (Value[]){first->value, r}, 2, call->range, NULL) : r;
    Value low = first->value, high = second->value, width;
    if (low.kind == VALUE_NUMBER && high.kind == VALUE_NUMBER)
        width = value_number(high.number - low.number);
    else
        width = elementwise(s, OP_sub, (Value[]){high, low}, 2, call->range, NULL);
    r = elementwise(s, OP_mul, (Value[]){width, r}, 2, call->range, NULL);
    return elementwise(s, OP_add, (Value[]){low, r}, 2, call->range, NULL);
}

static bool attack_host(Scope *s, const Ast *call, const char *name, Value *out) {
    Attack *k = s->host_data;
    if (call->kind != AST_CALL) return false;
    const Ast *inputs = AST_SLOT(call, CALL, inputs);
    if (strcmp(name, "uniform") == 0 || strcmp(name, "normal") == 0) return *out = draw(s, k, call, name), true;
    bool loss = strcmp(name, "loss") == 0, logits = strcmp(name, "logits") == 0;
    if (loss || logits || strcmp(name, "wrong") == 0) {
        if (inputs->nkids != 1) return *out = elab_error(s, DIAG_E0303, call->range, "'%s' takes a point", name), true;
        const Ast *point = AST_SLOT(inputs->kids[0], ARG, value);
        *out = (loss ? query_loss : logits ? query_logits : query_wrong)(s, &k->queries, point, call->range);
        return true;
    }
    if (strcmp(name, "gradient") != 0) return false;
    const Ast *f = NULL, *at = NULL;
    for (uint32_t i = 0; i < inputs->nkids; i++) {
        const Ast *arg = inputs->kids[i];
        if ((arg->name && strcmp(arg->name, "at") == 0) || (!arg->name && i == 1))
            at = AST_SLOT(arg, ARG, value);
        else
            f = AST_SLOT(arg, ARG, value);
    }
    if (!f || !at || inputs->nkids != 2)
        return *out = elab_error(s, DIAG_E0303, call->range,
                                 "gradient takes a function and the point: gradient(loss, at: a)"),
               true;
    return *out = query_gradient(s, &k->queries, f, at, call->range), true;
}

/* ---- the body ---- */
static bool mentions(const Ast *e, const char *name) {
    if (!e) return false;
    if (e->kind == AST_NAME && strcmp(e->name, name) == 0) return true;
    for (uint32_t k = 0; k < e->nkids; k++)
        if (mentions(e->kids[k], name)) return true;
    return false;
}

static bool run_block(Scope *s, Attack *k, const Ast *list, bool *returned);

/* The scalar that holds the turns of a loop from `from` (NULL: 0) to `to`. */
static uint32_t trip_scalar(Scope *s, Attack *k, const Ast *from, const Ast *to) {
    Machine *m = k->machine;
    const Value *v = to->kind == AST_NAME ? env_find(s->env, to->name) : NULL;
    if (from && from->kind == AST_NUMBER && from->number == 0) from = NULL;
    if (!from && v && v->kind == VALUE_NODE && v->build == m->leaf && m->slots[v->node].place == PLACE_SCALAR) {
        k->direct |= (uint64_t)1 << m->slots[v->node].index;
        return m->slots[v->node].index;
    }
    struct Count count = {.from = from, .to = to};
    if (k->result) { /* its names are not those of the instance */
        double low = 0;
        count.known = true;
        if ((from && !eval_number(s, from, &low)) || !eval_number(s, to, &count.number)) return UINT32_MAX;
        count.number -= low;
    }
    *ARENA_PUSH(m->elab->arena, k->counts, k->ncounts, k->counts_cap) = count;
    return k->nparams + k->ncounts - 1;
}

static bool run_repeat(Scope *s, Attack *k, const Ast *repeat) {
    const uint32_t trip = trip_scalar(s, k, NULL, AST_SLOT(repeat, REPEAT, count));
    if (trip == UINT32_MAX) return false;
    LoopMark mark = machine_loop_begin(k->machine, s, trip);
    bool returned = false, ok = run_block(s, k, AST_SLOT(repeat, REPEAT, body), &returned);
    machine_loop_end(k->machine, s, mark);
    return ok;
}

/* for i in a..b: the turns are counted in a variable that no script can spell, and i is what it holds. */
static bool run_turns(Scope *s, Attack *k, const Ast *loop) {
    Machine *m = k->machine;
    const Ast *range = AST_SLOT(loop, FOR, range), *body = AST_SLOT(loop, FOR, body);
    if (range->kind != AST_BINARY || strcmp(range->name, "..") != 0)
        return elab_error(s, DIAG_E0321, range->range, "'for' of an attack runs over a range a..b"), false;
    const Ast *from = AST_SLOT(range, BINARY, left);
    const char *counter = arena_printf(m->elab->arena, "turn %u", m->ncells);
    uint32_t cells = m->ncells;
    if (!machine_declare(m, s, counter, eval(s, from), loop->range)) return false;
    const uint32_t trip = trip_scalar(s, k, from, AST_SLOT(range, BINARY, right));
    if (trip == UINT32_MAX) return false;
    LoopMark mark = machine_loop_begin(m, s, trip);
    scope_bind(s, loop->name, *env_find(s->env, counter));
    bool returned = false, ok = run_block(s, k, body, &returned);
    if (ok) {
        Value turn = value_node(m->leaf, m->cells[cells].leaf);
        m->cells[cells].pending = elementwise(s, OP_add, (Value[]){turn, value_number(1)}, 2, loop->range, NULL);
        machine_settle(m, s);
    }
    machine_loop_end(m, s, mark);
    m->ncells = cells;
    return ok;
}

static bool declare_state(Scope *s, Machine *m, const Ast *state) {
    const Ast *type = AST_SLOT(state, STATE, type), *value = AST_SLOT(state, STATE, value);
    Value v = eval(s, value);
    Shape shape;
    uint32_t classes;
    if (type && !eval_type(s, type, &shape, &classes)) return false;
    if (type) v = value_fit(s, v, shape, value->range, "the state");
    return machine_declare(m, s, state->name, v, state->range);
}

/* ---- an attack as a step of another ---- */
typedef struct AttackStep {                      /* a(x, y; ..) with { loss: .. } */
    const Ast *definition, *call, *loss, *extra; /* extra: a setting that a step does not take */
    const Module *owner;
} AttackStep;

static const Ast *value_of_item(const Ast *item) {
    switch (item->kind) {
    case AST_LET: return AST_SLOT(item, LET, value);
    case AST_STATE: return AST_SLOT(item, STATE, value);
    case AST_EQUATION: return AST_SLOT(item, EQUATION, value);
    case AST_RETURN: return AST_SLOT(item, RETURN, value);
    default: return NULL;
    }
}

static bool step_of(const Scope *s, const Ast *item, AttackStep *out) {
    const Ast *e = value_of_item(item);
    *out = (AttackStep){0};
    for (; e && e->kind == AST_WITH; e = AST_SLOT(e, WITH, base)) {
        const Ast *settings = AST_SLOT(e, WITH, settings);
        for (uint32_t k = 0; k < settings->nkids; k++) {
            const Ast *set = settings->kids[k], *key = set->kind == AST_SETTING ? AST_SLOT(set, SETTING, key) : NULL;
            if (key && key->kind == AST_NAME && strcmp(key->name, "loss") == 0)
                out->loss = out->loss ? out->loss : AST_SLOT(set, SETTING, value); /* the outermost `with` wins */
            else
                out->extra = set;
        }
    }
    char path[512];
    if (!e || e->kind != AST_CALL || !AST_SLOT(e, CALL, state)) return false;
    out->call = e;
    out->definition =
        ast_path(AST_SLOT(e, CALL, callee), path, sizeof path) ? module_find(s->module, path, &out->owner) : NULL;
    return out->definition && out->definition->kind == AST_ATTACK_DEF;
}

/* The example and the settings of the step, bound in its scope. */
static bool bind_step(Scope *s, Scope *inner, Attack *k, const AttackStep *step) {
    const Ast *params = AST_SLOT(step->definition, ATTACK_DEF, inputs);
    const Ast *lists[2] = {AST_SLOT(params, PARAMS, state), AST_SLOT(params, PARAMS, inputs)};
    Args args = call_args(s, step->call, NULL, step->call->range);
    for (int part = 0; part < 2; part++)
        for (uint32_t i = 0; lists[part] && i < lists[part]->nkids; i++) {
            const Ast *b = lists[part]->kids[i], *fallback = AST_SLOT(b, BINDING, fallback);
            Arg *arg = args_take(&args, b->name, part == 0);
            Value v = arg ? arg->value : fallback ? eval(inner, fallback) : (Value){0};
            if (!arg && !fallback)
                return elab_error(s, DIAG_E0303, step->call->range, "'%s' needs its argument '%s'",
                                  step->definition->name, b->name),
                       false;
            if (v.kind == VALUE_NONE || match_type(inner, AST_SLOT(b, BINDING, type), &v, arg ? arg->at : b->range) < 0)
                return false;
            if (part == 0 && i == 1) k->queries.y = v;
            scope_bind(inner, b->name, v);
        }
    return args_all_used(s, &args, step->definition->name);
}

/* Writes the step out where it stands, and gives its result to the item. */
static bool run_step(Scope *s, Attack *k, const Ast *item, const AttackStep *step) {
    Machine *m = k->machine;
    if (step->extra)
        return elab_error(s, DIAG_E0501, step->extra->range, "an attack that is a step takes the setting 'loss'"),
               false;
    const Attack outer = *k;
    const uint32_t base = m->base;
    LossUse use;
    Value result = {0};
    Frame frame = {arena_printf(s->elab->arena, "in attack '%s', used here", step->definition->name), step->call->range,
                   s->frame};
    Scope inner = scope_of_module(s->elab, step->owner);
    inner.build = s->build;
    inner.host = attack_host;
    inner.host_data = k;
    inner.live = &inner;
    inner.frame = &frame;
    if (!bind_step(s, &inner, k, step)) return false;
    if (step->loss) {
        if (!loss_read(s, step->loss, &use)) return false;
        k->queries.loss = NULL;
        k->queries.use = &use;
    }
    k->result = &result;
    m->base = m->ncells;
    bool returned = false, ok = run_block(&inner, k, AST_SLOT(step->definition, ATTACK_DEF, body), &returned);
    m->ncells = m->base;
    m->base = base;
    s->build = inner.build;
    k->result = outer.result;
    k->queries.y = outer.queries.y;
    k->queries.loss = outer.queries.loss;
    k->queries.use = outer.queries.use;
    if (!ok || !returned || result.kind == VALUE_NONE) return false;
    switch (item->kind) {
    case AST_LET: scope_bind(s, AST_SLOT(item, LET, pattern)->name, result); return true;
    case AST_STATE: return machine_declare(m, s, item->name, result, item->range);
    case AST_EQUATION: return machine_assign_value(m, s, AST_SLOT(item, EQUATION, target), result, item->range);
    default:
        machine_settle(m, s);
        if (k->result) return *k->result = result, true;
        return machine_store(m, s, result, PLACE_ARG, 2, item->range);
    }
}

static bool run_block(Scope *s, Attack *k, const Ast *list, bool *returned) {
    Machine *m = k->machine;
    for (uint32_t i = 0; i < list->nkids; i++) {
        const Ast *item = list->kids[i];
        bool ok = true;
        AttackStep step;
        if (step_of(s, item, &step)) {
            ok = run_step(s, k, item, &step);
            if (item->kind == AST_RETURN) *returned = ok;
            if (!ok || *returned) return ok;
            continue;
        }
        if (statement(s, item)) {
            if (item->kind == AST_LET) machine_hold(m, s, item);
            continue;
        }
        switch (item->kind) {
        case AST_STATE: ok = declare_state(s, m, item); break;
        case AST_EQUATION: ok = machine_assign(m, s, item); break;
        case AST_REPEAT:
            machine_settle(m, s);
            ok = run_repeat(s, k, item);
            break;
        case AST_FOR:
            machine_settle(m, s);
            ok = run_turns(s, k, item);
            break;
        case AST_RETURN: {
            machine_settle(m, s);
            Value v = value_fit(s, eval(s, AST_SLOT(item, RETURN, value)), k->net->input, item->range, "the result");
            ok = v.kind != VALUE_NONE && (!k->result || (*k->result = v, true)) &&
                 (k->result || machine_store(m, s, v, PLACE_ARG, 2, item->range));
            *returned = true;
            if (ok) return true;
            break;
        }
        default:
            elab_error(s, DIAG_E0318, item->range, "a %s cannot stand in an attack", ast_kind_name(item->kind));
            ok = false;
        }
        if (!ok) return false;
    }
    machine_settle(m, s);
    return true;
}

/* The same function, with settings of the same names. */
static bool same_loss(const LossUse *a, const LossUse *b) {
    if (!a || !b || a->fn != b->fn || a->owner != b->owner || a->settings.n != b->settings.n) return a == b;
    for (uint32_t k = 0; k < a->settings.n; k++)
        if (strcmp(a->settings.items[k].name, b->settings.items[k].name) != 0) return false;
    return true;
}

/* A loss of the net that is this function, without settings; NULL. */
static const char *own_loss(const Net *net, const LossUse *use) {
    for (uint32_t k = 0; k < net->model->nlosses && use->settings.n == 0; k++) {
        const LossUse *own = &net->loss_uses[k];
        if (own->fn == use->fn && own->owner == use->owner && own->settings.n == 0) return net->model->losses[k].name;
    }
    return NULL;
}

/* Labels among the settings know how many classes there are. */
static bool is_label(const LossUse *use, const char *setting) {
    const Ast *params = AST_SLOT(use->fn, FN, inputs);
    for (int part = 0; params && part < 2; part++) {
        const Ast *list = part ? AST_SLOT(params, PARAMS, inputs) : AST_SLOT(params, PARAMS, state);
        for (uint32_t k = 0; list && k < list->nkids; k++) {
            const Ast *type = AST_SLOT(list->kids[k], BINDING, type);
            if (strcmp(list->kids[k]->name, setting) == 0)
                return type && type->kind == AST_TYPE && strcmp(type->name, "label") == 0;
        }
    }
    return false;
}

/* The function with its settings as scalars of the routine. */
static const LossUse *loss_of_scalars(Attack *k, const LossUse *given) {
    Arena *a = k->machine->elab->arena;
    LossUse *own = arena_copy(a, given, sizeof *own);
    own->settings.items = NULL;
    own->settings.n = own->settings.cap = 0;
    for (uint32_t i = 0; i < given->settings.n; i++) {
        Arg arg = given->settings.items[i];
        arg.value = machine_leaf(k->machine, PLACE_SCALAR, k->nparams++, shape_scalar(), false, arg.name);
        if (is_label(given, arg.name)) arg.value.classes = k->net->target.classes;
        *ARENA_PUSH(a, own->settings.items, own->settings.n, own->settings.cap) = arg;
    }
    return own;
}

/* The example that the attack declares against the net's: its input, and its target where the attack reads it. */
static bool bind_example(Scope *s, Attack *k, Range at) {
    const Ast *d = k->definition, *example = AST_SLOT(AST_SLOT(d, ATTACK_DEF, inputs), PARAMS, state);
    Arena *a = s->elab->arena;
    Value have[2] = {machine_leaf(k->machine, PLACE_ARG, 0, k->net->input, true, "x"), k->queries.y};
    for (uint32_t turn = 0; turn < 2; turn++) /* sizes of one may be known by the other */
        for (uint32_t i = 0; example && i < example->nkids && i < 2; i++) {
            const Ast *b = example->kids[i], *type = AST_SLOT(b, BINDING, type), *dims = AST_SLOT(type, TYPE, dims);
            bool label = strcmp(type->name, "label") == 0, open = false;
            for (uint32_t j = 0; dims && j < dims->nkids; j++) open |= dims->kids[j]->kind == AST_SPREAD;
            uint32_t rank = value_shape(have[i]).rank, axes = label || !dims ? 0 : dims->nkids;
            scope_bind(s, b->name, have[i]);
            if (label != (have[i].classes > 0) || (open ? rank + 1 < axes : rank != axes)) {
                if (i == 1 && !mentions(AST_SLOT(d, ATTACK_DEF, body), b->name)) continue;
                const char *what = have[i].classes ? arena_printf(a, "label[%u]", have[i].classes)
                                                   : shape_text(a, value_shape(have[i]));
                Range written = type->range;
                return elab_error(s, DIAG_E0505, at, "'%s' takes %s: %.*s, the %s of '%s' is %s", d->name, b->name,
                                  (int)(written.end - written.start), written.source->text + written.start,
                                  i ? "target" : "input", k->net->model->name, what),
                       false;
            }
            int matched = match_type(s, type, &have[i], at);
            if (matched < 0) return false;
            if (matched == 0 && turn == 1)
                return elab_error(s, DIAG_E0311, at, "the sizes of '%s' cannot be inferred from '%s'", d->name,
                                  k->net->model->name),
                       false;
        }
    return true;
}

/* loss NULL: `use` is what the attack's loss is. */
static Attack *attack_compile(Scope *s, const Ast *d, const Module *owner, Net *net, const char *loss,
                              const LossUse *use, Range at) {
    Elab *e = s->elab;
    Arena *a = e->arena;
    for (uint32_t i = 0; i < e->nattacks; i++) {
        Attack *k = e->attacks[i];
        const bool same = loss && k->loss ? strcmp(k->loss, loss) == 0 : !loss && !k->loss && same_loss(k->use, use);
        if (k->definition == d && k->net == net && same) return k->failed ? NULL : k;
    }
    Attack *k = arena_alloc(a, sizeof *k);
    *k = (Attack){.definition = d, .net = net, .loss = loss, .use = use, .module = owner, .failed = true};
    *ARENA_PUSH(a, e->attacks, e->nattacks, e->attacks_cap) = k;
    const char *symbol =
        elab_name(e, arena_printf(a, "%s_%s_%s", net->model->name, loss ? loss : use->fn->name, d->name));
    Machine *m = k->machine = machine_new(e, symbol, net->input);
    k->queries = (Queries){.machine = m, .net = net, .use = loss ? net_loss_use(net, loss) : use};
    if (loss && k->queries.use) k->queries.loss = loss;
    Scope inner = scope_of_module(e, owner);
    inner.build = machine_build(m);
    inner.host = attack_host;
    inner.host_data = k;
    inner.live = &inner;
    Shape y_shape = net->target.classes ? shape_scalar() : net->target.shape;
    k->queries.y = machine_leaf(m, PLACE_ARG, 1, y_shape, true, "y");
    k->queries.y.classes = net->target.classes;
    const Ast *params = AST_SLOT(d, ATTACK_DEF, inputs), *list = AST_SLOT(params, PARAMS, inputs);
    if (!bind_example(&inner, k, at)) return NULL;
    k->sizes = inner.env;
    for (uint32_t i = 0; list && i < list->nkids; i++)
        scope_bind(&inner, list->kids[i]->name,
                   machine_leaf(m, PLACE_SCALAR, k->nparams++, shape_scalar(), false, list->kids[i]->name));
    if (!loss) k->queries.use = loss_of_scalars(k, use);
    bool returned = false;
    if (!run_block(&inner, k, AST_SLOT(d, ATTACK_DEF, body), &returned)) return NULL;
    if (!returned) return elab_error(&inner, DIAG_E0511, d->name_range, "attack '%s' does not return", d->name), NULL;
    Routine *r = k->routine = machine_finish(m, symbol, true);
    r->arg_bytes[0] = r->arg_bytes[2] = machine_row_bytes(m, net->input);
    r->arg_bytes[1] = machine_row_bytes(m, y_shape);
    r->objectives = k->queries.objectives;
    r->nobjectives = k->queries.nobjectives;
    k->hash = routine_hash(e, r);
    if (k->queries.hash) {
        const char *text = arena_printf(a, "%s %s", k->hash, k->queries.hash);
        k->hash = text_hash(a, text, strlen(text));
    }
    k->failed = false;
    return k;
}

/* ---- instances ---- */
bool scalar_bound(Scope *s, Scalars *list, const Ast *binding, const Module *owner, Range at, const char *callee) {
    const Ast *bounds = AST_SLOT(binding, BINDING, bounds);
    struct Scalar *x = &list->items[list->n - 1];
    Scope plain = scope_of_module(s->elab, owner);
    if (!bounds) return true;
    if (!eval_number(&plain, AST_SLOT(bounds, BINARY, left), &x->low) ||
        !eval_number(&plain, AST_SLOT(bounds, BINARY, right), &x->high))
        return false;
    if (x->whole) x->high -= 1; /* ranges of whole numbers are half open */
    x->bounded = true;
    if (!ast_is_infinity(AST_SLOT(binding, BINDING, fallback)))
        x->low = fmax(x->low, -DBL_MAX), x->high = fmin(x->high, DBL_MAX);
    if (isinf(x->value) && fabs(x->value > 0 ? x->high : x->low) == DBL_MAX)
        return elab_error(s, DIAG_E0412, at, "'%s' of '%s' is a finite number, this is %g", x->name, callee, x->value),
               false;
    if (x->value >= x->low && x->value <= x->high) return true;
    if (x->high >= DBL_MAX)
        return elab_error(s, DIAG_E0412, at, "'%s' of '%s' is at least %g, this is %g", x->name, callee, x->low,
                          x->value),
               false;
    return elab_error(s, DIAG_E0412, at, "'%s' of '%s' lies between %g and %g, this is %g", x->name, callee, x->low,
                      x->high, x->value),
           false;
}

bool instance_numbers(Scope *from, const Ast *call, const Ast *params, const Module *owner, const char *callee,
                      Env **numbers, Scalars *out) {
    Elab *e = from->elab;
    Args args = {.at = call->range};
    Scope plain = *from;
    if (call->kind == AST_CALL) args = call_args(&plain, call, NULL, call->range);
    Scope inner = scope_of_module(e, owner);
    inner.env = *numbers;
    const Ast *list = params ? AST_SLOT(params, PARAMS, inputs) : NULL;
    for (uint32_t k = 0; list && k < list->nkids; k++) {
        const Ast *b = list->kids[k], *fallback = AST_SLOT(b, BINDING, fallback);
        Arg *arg = args_take(&args, b->name, true);
        double x;
        if (arg) {
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
        *ARENA_PUSH(e->arena, out->items, out->n, out->cap) =
            (struct Scalar){.name = b->name, .value = x, .whole = whole};
        if (!scalar_bound(from, out, b, owner, arg ? arg->at : call->range, callee)) return false;
    }
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
        const bool label = is_label(use, arg->name);
        if (arg->value.kind != VALUE_NUMBER)
            return elab_error(s, DIAG_E0321, arg->at, "'%s' must be a number", arg->name), false;
        if (label && !(x >= 0 && x < net->target.classes && x == floor(x)))
            return elab_error(s, DIAG_E0412, arg->at, "'%s' of '%s' is a label below %u, this is %g", arg->name,
                              use->fn->name, net->target.classes, x),
                   false;
        *ARENA_PUSH(a, out->items, out->n, out->cap) =
            (struct Scalar){.name = arena_printf(a, "loss.%s", arg->name), .value = x, .whole = label};
    }
    return true;
}

bool attack_use(Scope *s, const Ast *given, Net *net, const char *loss, AttackUse *out) {
    *out = (AttackUse){0};
    Scope from = *s;
    const Ast *e = given, *d = NULL, *call = NULL;
    const Module *owner = NULL;
    LossUse *use = NULL;
    for (int k = 0; k < 64; k++) {
        e = resolve_ast(&from, e, &from);
        if (e->kind == AST_WITH) {
            const Ast *settings = AST_SLOT(e, WITH, settings);
            for (uint32_t i = 0; i < settings->nkids; i++) {
                const Ast *item = settings->kids[i], *key = AST_SLOT(item, SETTING, key);
                if (key->kind == AST_NAME && strcmp(key->name, "allow_masking") == 0) {
                    out->allow_masking = out->allow_masking || AST_SLOT(item, SETTING, value)->number != 0;
                    continue;
                }
                const bool asked = key->kind == AST_NAME && strcmp(key->name, "loss") == 0;
                if (asked && use) continue; /* the outermost `with` wins */
                if (asked) {
                    use = arena_alloc(s->elab->arena, sizeof *use);
                    if (!loss_read(&from, AST_SLOT(item, SETTING, value), use)) return false;
                    continue;
                }
                const char *const name = key->kind == AST_NAME ? key->name : "";
                const bool judge = strcmp(name, "judge") == 0;
                if ((!judge && strcmp(name, "gradient") != 0) || !AST_SLOT(item, SETTING, value))
                    return elab_error(&from, DIAG_E0501, item->range,
                                      "an attack takes the settings 'gradient', 'loss', 'judge' and 'allow_masking'"),
                           false;
                if (judge ? out->judge : out->gradient) continue; /* the outermost `with` wins */
                if (judge) {
                    out->judge = AST_SLOT(item, SETTING, value)->name; /* one of its words: the checker's matter */
                    continue;
                }
                out->gradient = setting_text(&from, "gradient", AST_SLOT(item, SETTING, value));
                if (!out->gradient) return false;
            }
            e = AST_SLOT(e, WITH, base);
            continue;
        }
        d = instance_definition(&from, e, AST_ATTACK, AST_ATTACK_DEF, &from, &owner, &out->name, &call);
        if (!d || d->kind == AST_ATTACK_DEF) break;
        e = call;
    }
    if (!d || d->kind != AST_ATTACK_DEF)
        return elab_error(s, DIAG_E0504, given->range, "an attack is needed here"), false;
    if (use && own_loss(net, use)) {
        loss = own_loss(net, use);
        use = NULL;
    }
    Attack *k = attack_compile(s, d, owner, net, use ? NULL : loss, use, given->range);
    if (!k) return false;
    for (uint32_t i = 0; out->gradient && i < net->model->nfixed; i++)
        if (!setting_fits(s, &net->model->fixed[i], "gradient", out->gradient, given->range)) return false;
    if (!out->name) out->name = d->name;
    out->definition = d->name;
    out->routine = k->routine->name;
    out->hash = k->hash;
    out->differentiates = k->queries.differentiates;
    Env *numbers = k->sizes;
    if (!instance_numbers(&from, call, AST_SLOT(d, ATTACK_DEF, inputs), owner, d->name, &numbers, &out->scalars) ||
        (use && !loss_numbers(&from, net, use, &out->scalars)))
        return false;
    for (uint32_t i = 0; i < k->nparams; i++) {
        bool direct = (k->direct >> i & 1) != 0;
        out->scalars.items[i].count = direct;
        for (uint32_t c = 0; c < k->ncounts; c++)
            out->scalars.items[i].computed |=
                !k->counts[c].known && (mentions(k->counts[c].to, out->scalars.items[i].name) ||
                                        mentions(k->counts[c].from, out->scalars.items[i].name));
        if (direct &&
            !valid_rounds(&from, d->name, call->range, out->scalars.items[i].name, out->scalars.items[i].value))
            return false;
    }
    for (uint32_t i = 0; i < k->ncounts; i++) {
        Scope inner = scope_of_module(s->elab, owner);
        inner.env = numbers;
        double x = k->counts[i].number, low = 0;
        if ((!k->counts[i].known && !eval_number(&inner, k->counts[i].to, &x)) ||
            (!k->counts[i].known && k->counts[i].from && !eval_number(&inner, k->counts[i].from, &low)) ||
            !valid_rounds(&from, d->name, call->range, range_text(s->elab->arena, k->counts[i].to->range), x - low))
            return false;
        x -= low;
        *ARENA_PUSH(s->elab->arena, out->scalars.items, out->scalars.n, out->scalars.cap) =
            (struct Scalar){.name = arena_printf(s->elab->arena, "rounds %u", i + 1), .value = x, .computed = true};
    }
    return true;
}
