/* attack.c - an attack definition for one net and loss becomes a routine.
 *
 * What it asks of the net: queries.c. */
#include "attack.h"
#include <string.h>
#include <xxhash.h>

/* ---- draws and queries ---- */
static bool gives_dims(const Ast *call, uint32_t before) {
    const Ast *list = AST_SLOT(call, CALL, inputs);
    for (uint32_t i = 0; i < list->nkids; i++)
        if (list->kids[i]->name ? strcmp(list->kids[i]->name, "dims") == 0 : i >= before) return true;
    return false;
}

static Value draw(Scope *s, Attack *k, const Ast *call, const char *name) {
    bool uniform = strcmp(name, "uniform") == 0;
    if (!s->flex && !gives_dims(call, uniform ? 2 : 1)) return value_flex(s, call);
    Args args = call_args(s, call, NULL, call->range);
    Arg *first = args_take(&args, uniform ? "low" : "std", true),
        *second = uniform ? args_take(&args, "high", true) : NULL, *dims = args_take(&args, "dims", true);
    Shape shape = shape_scalar();
    if (!args_all_used(s, &args, name)) return (Value){0};
    if (uniform && (!first || !second))
        return elab_error(s, DIAG_E0303, call->range, "uniform takes its low and high end");
    for (uint32_t i = 0; dims && i < dims->value.nitems; i++) {
        double n = dims->value.items[i].number;
        if (dims->value.kind != VALUE_TUPLE || dims->value.items[i].kind != VALUE_NUMBER || i == MAX_RANK || !(n >= 1))
            return elab_error(s, DIAG_E0309, dims->at, "dims are a list of sizes such as [8, 4]");
        shape.dims[shape.rank++] = (uint32_t)n;
    }
    if (!dims) shape = *s->flex;
    const char *key = arena_printf(s->elab->arena, "%s %u", k->definition->name, k->machine->draws++);
    int64_t site = (int64_t)(XXH3_64bits(key, strlen(key)) >> 1);
    Value r = value_node(s->build, graph_op_shaped(s->build->graph, OP_random, NULL, 0,
                                                   &(Attr){.random = {!uniform, site}}, shape, true, call->range));
    if (!uniform) return first ? elementwise(s, OP_mul, (Value[]){first->value, r}, 2, call->range, NULL) : r;
    Value low = first->value, high = second->value, width;
    if (low.kind == VALUE_NUMBER && high.kind == VALUE_NUMBER)
        width = value_number(high.number - low.number);
    else
        width = elementwise(s, OP_sub, (Value[]){high, low}, 2, call->range, NULL);
    r = elementwise(s, OP_mul, (Value[]){width, r}, 2, call->range, NULL);
    return elementwise(s, OP_add, (Value[]){low, r}, 2, call->range, NULL);
}

bool attack_host(Scope *s, const Ast *call, const char *name, Value *out) {
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
bool attack_mentions(const Ast *e, const char *name) {
    if (!e) return false;
    if (e->kind == AST_NAME && strcmp(e->name, name) == 0) return true;
    for (uint32_t k = 0; k < e->nkids; k++)
        if (attack_mentions(e->kids[k], name)) return true;
    return false;
}

typedef struct Turns {
    const Ast *from, *to; /* from NULL: 0; to NULL: as many as the list has labels */
    uint32_t most;        /* labels of the list that it runs over; 0: a range */
    Range at;
} Turns;

/* The scalar that holds the number of turns; UINT32_MAX after an error. */
static uint32_t trip_scalar(Scope *s, Attack *k, const Turns *t) {
    Machine *m = k->machine;
    const Value *v = t->to && t->to->kind == AST_NAME ? env_find(s->env, t->to->name) : NULL;
    const Ast *from = t->from && t->from->kind == AST_NUMBER && t->from->number == 0 ? NULL : t->from;
    if (!from && !t->most && v && v->kind == VALUE_NODE && v->build == m->leaf &&
        m->slots[v->node].place == PLACE_SCALAR) {
        k->direct |= (uint64_t)1 << m->slots[v->node].index;
        return m->slots[v->node].index;
    }
    struct Count count = {.from = from, .to = t->to, .most = t->most, .at = t->at, .number = t->most};
    if (k->result || !t->to) { /* a step's names are not those of the instance */
        double low = 0;
        count.known = true;
        if ((from && !eval_number(s, from, &low)) || (t->to && !eval_number(s, t->to, &count.number)))
            return UINT32_MAX;
        if (!turns_fit(s, &count, low, t->at)) return UINT32_MAX;
        count.number -= low;
    }
    *ARENA_PUSH(m->elab->arena, k->counts, k->ncounts, k->counts_cap) = count;
    return k->nparams + k->ncounts - 1;
}

/* until c: examples for which c holds before a turn have had their turns. */
static bool leave(Scope *s, Attack *k, const Ast *until) {
    if (!until) return true;
    s->ready = NULL;
    if (!attack_functions(s, k, until)) return false;
    const Value done = eval(s, until);
    return done.kind != VALUE_NONE && machine_drop(k->machine, s, done, until->range);
}

/* Statistics of the batch are asked for of all its examples, the same number of times. */
static bool asks_together(Scope *s, const Attack *k, const Ast *until, uint32_t before) {
    if (!until || !k->queries.in_batch || k->queries.n == before) return true;
    elab_error_help(s, DIAG_E0504, until->range, "leave 'batch_statistics' at 'eval', or train against another attack",
                    "an example that leaves this loop would no longer be part of the statistics of the batch, which "
                    "'batch_statistics: train' takes");
    return false;
}

static bool run_repeat(Scope *s, Attack *k, const Ast *repeat) {
    const uint32_t before = k->queries.n;
    const Ast *count = AST_SLOT(repeat, REPEAT, count);
    const uint32_t trip = trip_scalar(s, k, &(Turns){.to = count, .at = count->range});
    if (trip == UINT32_MAX) return false;
    LoopMark mark = machine_loop_begin(k->machine, s, trip);
    bool returned = false, ok = leave(s, k, AST_SLOT(repeat, REPEAT, until)) &&
                                attack_block(s, k, AST_SLOT(repeat, REPEAT, body), &returned) &&
                                asks_together(s, k, AST_SLOT(repeat, REPEAT, until), before);
    machine_loop_end(k->machine, s, mark);
    return ok;
}

/* The label of a list that stands at a place. */
static Value label_at(Scope *s, Value list, Value place, Range at) {
    const Shape line = value_shape(list);
    NodeId iota = graph_op_shaped(s->build->graph, OP_iota, NULL, 0, NULL, line, false, at);
    Value here = elementwise(s, OP_eq, (Value[]){value_node(s->build, iota), place}, 2, at, NULL);
    Value only = elementwise(s, OP_select, (Value[]){here, list, value_number(0)}, 3, at, NULL);
    NodeId node = node_of(s, only, at);
    if (node == NODE_NONE) return (Value){0};
    Value label = value_node(s->build, graph_reduce(s->build->graph, OP_reduce_sum, node, 1, at));
    label.classes = list.classes;
    return label;
}

static bool is_range(const Ast *e) { return e->kind == AST_BINARY && strcmp(e->name, "..") == 0; }

/* What stands behind `in`: a..b, a list of labels, or list[a..b]. */
static bool turns_of(Scope *s, const Ast *in, Turns *out, Value *list) {
    const Ast *indices = in->kind == AST_INDEX ? AST_SLOT(in, INDEX, indices) : NULL, *range = in;
    *out = (Turns){.at = in->range};
    *list = (Value){0};
    if (!is_range(in)) {
        const bool part = indices && indices->nkids == 1 && is_range(indices->kids[0]);
        *list = eval(s, part ? AST_SLOT(in, INDEX, base) : in);
        if (list->kind != VALUE_NODE) return false;
        out->most = value_shape(*list).dims[0];
        range = part ? indices->kids[0] : NULL;
    }
    if (!range) return true;
    out->from = AST_SLOT(range, BINARY, left);
    out->to = AST_SLOT(range, BINARY, right);
    return true;
}

/* The turns are counted in a variable that no script can spell: i is what it holds, a label what stands there. */
static bool run_turns(Scope *s, Attack *k, const Ast *loop) {
    Machine *m = k->machine;
    const Ast *body = AST_SLOT(loop, FOR, body);
    const char *counter = arena_printf(m->elab->arena, "turn %u", m->ncells);
    const uint32_t cells = m->ncells, before = k->queries.n;
    Turns turns;
    Value list;
    if (!turns_of(s, AST_SLOT(loop, FOR, range), &turns, &list)) return false;
    if (!machine_declare(m, s, counter, turns.from ? eval(s, turns.from) : value_number(0), loop->range)) return false;
    const uint32_t trip = trip_scalar(s, k, &turns);
    if (trip == UINT32_MAX) return false;
    LoopMark mark = machine_loop_begin(m, s, trip);
    bool returned = false, ok = leave(s, k, AST_SLOT(loop, FOR, until));
    const Value place = *env_find(s->env, counter);
    scope_bind(s, loop->name, turns.most ? label_at(s, list, place, loop->range) : place);
    ok = ok && attack_block(s, k, body, &returned) && asks_together(s, k, AST_SLOT(loop, FOR, until), before);
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
    if (type && classes && v.kind != VALUE_NONE && v.classes != classes)
        return elab_error(s, DIAG_E0519, value->range, "state '%s' is label[%u], not label[%u]", state->name, classes,
                          v.classes),
               false;
    return machine_declare(m, s, state->name, v, state->range);
}

const Ast *attack_value(const Ast *item) {
    switch (item->kind) {
    case AST_LET: return AST_SLOT(item, LET, value);
    case AST_STATE: return AST_SLOT(item, STATE, value);
    case AST_EQUATION: return AST_SLOT(item, EQUATION, value);
    case AST_RETURN: return AST_SLOT(item, RETURN, value);
    default: return NULL;
    }
}

bool attack_return(Scope *s, Attack *k, Value result, Range at) {
    if (k->result) return *k->result = result, true;
    return machine_store(k->machine, s, result, PLACE_ARG, 2, at);
}

bool attack_block(Scope *s, Attack *k, const Ast *list, bool *returned) {
    Machine *m = k->machine;
    for (uint32_t i = 0; i < list->nkids; i++) {
        const Ast *item = list->kids[i];
        bool ok = true;
        AttackStep step;
        s->ready = NULL;
        if (!attack_functions(s, k, attack_value(item))) return false;
        if (attack_step_of(s, item, &step)) {
            ok = attack_step_run(s, k, item, &step);
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
            Value v = eval(s, AST_SLOT(item, RETURN, value));
            if (!k->fn) v = value_fit(s, v, k->net->input, item->range, "the result");
            ok = v.kind != VALUE_NONE && attack_return(s, k, v, item->range);
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

/* A number that decides what the loss is, such as an int. */
static bool is_written_out(const LossUse *use, const Arg *setting) {
    return setting->value.kind == VALUE_NUMBER && !loss_setting_is_data(use, setting) &&
           !loss_setting_is_label(use, setting->name);
}

/* The same function, with settings of the same names. */
static bool same_loss(const LossUse *a, const LossUse *b) {
    if (!a || !b || a->fn != b->fn || a->owner != b->owner || a->settings.n != b->settings.n) return a == b;
    for (uint32_t k = 0; k < a->settings.n; k++) {
        const Arg *x = &a->settings.items[k], *y = &b->settings.items[k];
        if (strcmp(x->name, y->name) != 0 || value_is_function(&x->value) != value_is_function(&y->value) ||
            (value_is_function(&x->value) && !same_function(&x->value, &y->value, true)) ||
            (is_written_out(a, x) && x->value.number != y->value.number))
            return false;
    }
    return true;
}

/* Labels among the settings know how many classes there are. */
bool loss_setting_is_label(const LossUse *use, const char *setting) {
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
        if (value_is_function(&arg.value) || is_written_out(given, &arg)) {
            *ARENA_PUSH(a, own->settings.items, own->settings.n, own->settings.cap) = arg;
            continue;
        }
        arg.value = machine_leaf(k->machine, PLACE_SCALAR, k->nparams++, shape_scalar(), false, arg.name);
        if (loss_setting_is_label(given, arg.name)) arg.value.classes = k->net->target.classes;
        *ARENA_PUSH(a, own->settings.items, own->settings.n, own->settings.cap) = arg;
    }
    return own;
}

static bool same_functions(const Env *a, const Env *b) {
    for (; a && b; a = a->next, b = b->next)
        if (!same_function(&a->value, &b->value, false)) return false;
    return !a && !b;
}

/* The function with its settings as scalars of the routine, those that are labels as labels of the net. */
static Value function_of_scalars(Attack *k, const Value *f) {
    Value own = *f;
    const LossUse use = {.fn = f->ast};
    Env *numbers = NULL, *turned = NULL;
    Arena *a = k->machine->elab->arena;
    for (const Env *x = f->given; x; x = x->next) {
        Value v = x->value;
        if (!value_is_function(&v)) {
            v = machine_leaf(k->machine, PLACE_SCALAR, k->nparams++, shape_scalar(), false, x->name);
            if (loss_setting_is_label(&use, x->name)) v.classes = k->net->target.classes;
        }
        numbers = env_bind(a, numbers, x->name, v);
    }
    for (; numbers; numbers = numbers->next) turned = env_bind(a, turned, numbers->name, numbers->value);
    own.given = turned;
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
                if (i == 1 && !attack_mentions(AST_SLOT(d, ATTACK_DEF, body), b->name)) continue;
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

Attack *attack_compile(Scope *s, const Ast *d, const Module *owner, Net *net, const char *loss, const LossUse *use,
                       const Env *functions, bool in_batch, Range at) {
    Elab *e = s->elab;
    Arena *a = e->arena;
    for (uint32_t i = 0; i < e->nattacks; i++) {
        Attack *k = e->attacks[i];
        const bool same = loss && k->loss ? strcmp(k->loss, loss) == 0 : !loss && !k->loss && same_loss(k->use, use);
        if (k->definition == d && k->net == net && same && same_functions(k->functions, functions) &&
            k->queries.in_batch == in_batch)
            return k->failed ? NULL : k;
    }
    Attack *k = arena_alloc(a, sizeof *k);
    *k = (Attack){
        .definition = d, .net = net, .loss = loss, .use = use, .functions = functions, .module = owner, .failed = true};
    *ARENA_PUSH(a, e->attacks, e->nattacks, e->attacks_cap) = k;
    const char *symbol = elab_name(e, arena_printf(a, "%s_%s_%s%s", net->model->name, loss ? loss : use->fn->name,
                                                   d->name, in_batch ? IN_BATCH : ""));
    Machine *m = k->machine = machine_new(e, symbol, net->input);
    const LossOfNet *own = loss ? net_loss_called(net, loss) : NULL;
    k->queries = (Queries){
        .machine = m, .net = net, .use = own ? &own->use : use, .loss = own ? own->name : NULL, .in_batch = in_batch};
    net->model->in_batch = net->model->in_batch || in_batch;
    Scope inner = scope_of_module(e, owner);
    inner.build = machine_build(m);
    inner.host = attack_host;
    inner.host_data = k;
    inner.live = &inner;
    inner.frame = s->frame;
    Shape y_shape = net->target.classes ? shape_scalar() : net->target.shape;
    k->queries.y = machine_leaf(m, PLACE_ARG, 1, y_shape, true, "y");
    k->queries.y.classes = net->target.classes;
    const Ast *params = AST_SLOT(d, ATTACK_DEF, inputs), *list = AST_SLOT(params, PARAMS, inputs);
    if (!bind_example(&inner, k, at)) return NULL;
    k->sizes = inner.env;
    for (uint32_t i = 0; list && i < list->nkids; i++) {
        const char *name = list->kids[i]->name;
        const Value *f = env_find(functions, name);
        scope_bind(&inner, name,
                   f ? function_of_scalars(k, f)
                     : machine_leaf(m, PLACE_SCALAR, k->nparams++, shape_scalar(), false, name));
    }
    if (!loss) k->queries.use = loss_of_scalars(k, use);
    bool returned = false;
    Frame *frame = arena_alloc(a, sizeof *frame); /* what goes wrong in the body is told where the attack is used */
    *frame = (Frame){arena_printf(a, "in attack '%s', used here", d->name), at, s->frame};
    inner.frame = frame;
    if (!attack_block(&inner, k, AST_SLOT(d, ATTACK_DEF, body), &returned)) return NULL;
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
