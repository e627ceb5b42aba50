/* experiment_value.c - the values of an experiment: evaluations, their statistics, reductions over sweeps, and what is
 * computed from them. */
#include "experiment_parts.h"
#include "labels.h"
#include "tables.h"
#include "type.h"
#include <math.h>
#include <string.h>

static Arena *arena_of(const Experiment *x) { return x->pipe->elab->arena; }

/* The place of the let that `name` names; -1: none that stands above. */
static int let_at(const Experiment *x, const Ast *name) {
    for (uint32_t k = 0; name->ref && k < x->item; k++)
        if (x->items->kids[k]->kind == AST_LET && AST_SLOT(x->items->kids[k], LET, pattern) == name->ref) return (int)k;
    return -1;
}

static const Ast *let_of(const Experiment *x, const Ast *name) {
    const int at = let_at(x, name);
    return at < 0 ? NULL : AST_SLOT(x->items->kids[at], LET, value);
}

static const char *add_statistic(Experiment *x, Scope *s, const Ast *e, const char *name);

/* ---- statistics: m.fixed.steps, clean.steps, robust.attack.converged ---- */
/* `attack`: of what the attack of the evaluation asked.  NULL: e is no statistic. */
static const char *statistic_of(const Ast *e, bool *attack) {
    if (e->kind != AST_MEMBER || item_experiment(e)) return NULL; /* other.steps may be an item called so */
    const Ast *base = AST_SLOT(e, MEMBER, base);
    if (base->type == &type_log) return NULL;
    *attack = base->kind == AST_MEMBER && strcmp(base->name, "attack") == 0;
    return statistic_find(*attack, e->name) ? e->name : NULL;
}

static const char *add_pick(Experiment *x, const Ast *e, const char *of, Range at, const char *name);

/* robust[mode: jfb].steps is robust.steps[mode: jfb]. */
static const char *add_statistic_of_pick(Experiment *x, Scope *s, const Ast *e, const Ast *pick, bool attack,
                                         const char *name) {
    Arena *a = arena_of(x);
    const Ast *base = AST_SLOT(pick, INDEX, base);
    Ast *member = arena_copy(a, e, sizeof *e), *inner = member;
    member->kids = arena_copy(a, e->kids, e->nkids * sizeof *e->kids);
    if (attack) {
        inner = arena_copy(a, AST_SLOT(e, MEMBER, base), sizeof *inner);
        inner->kids = arena_copy(a, inner->kids, inner->nkids * sizeof *inner->kids);
        AST_SLOT(member, MEMBER, base) = inner;
    }
    AST_SLOT(inner, MEMBER, base) = (Ast *)base;
    const char *of = add_statistic(
        x, s, member, arena_printf(a, "%s.%s%s", experiment_text(x, base->range), attack ? "attack." : "", e->name));
    return of ? add_pick(x, pick, of, e->range, name) : NULL;
}

static const char *add_statistic(Experiment *x, Scope *s, const Ast *e, const char *name) {
    bool attack = false;
    const char *what = statistic_of(e, &attack);
    const Ast *base = AST_SLOT(e, MEMBER, base), *given = attack ? AST_SLOT(base, MEMBER, base) : base,
              *let = given->kind == AST_NAME ? let_of(x, given) : NULL;
    if (is_pick(given) || (let && is_pick(let)))
        return add_statistic_of_pick(x, s, e, is_pick(given) ? given : let, attack, name);
    const ArrayNode *of = NULL;
    if (attack) base = AST_SLOT(base, MEMBER, base);
    if (base->kind == AST_MEMBER && strcmp(base->name, "fixed") == 0) base = AST_SLOT(base, MEMBER, base);
    of = experiment_item(x, base);
    if (experiment_is_evaluation(s, base)) {
        const char *made = experiment_evaluation(x, base, NULL);
        if (!made) return NULL;
        of = experiment_array(x, made);
    }
    const TrainUse *train = of && !of->uses ? NULL : pipe_find_train(x->pipe, s, base);
    if (of && of->uses) of = NULL; /* of the first plain evaluation of the net, else of the first */
    for (int pass = 0; pass < 2 && train && !of; pass++)
        for (uint32_t k = 0; k < x->nnodes && !of; k++)
            if (!x->nodes[k].uses && x->nodes[k].train == train->ast && (x->nodes[k].plain || pass)) of = &x->nodes[k];
    if (!of || strcmp(of->kind, "evaluate") != 0)
        return elab_error(s, DIAG_E0516, e->range, "'%s' belongs to an evaluation: there is none here", what), NULL;
    name = name ? name : experiment_text(x, e->range);
    if (experiment_array(x, name)) return name;
    json_t *members =
        json_pack("{s:s, s:s}", "of", of->name, "what", attack ? arena_printf(arena_of(x), "attack.%s", what) : what);
    return experiment_add(x,
                          (ArrayNode){.name = name,
                                      .kind = "statistic",
                                      .shown = of->shown,
                                      .cells = of->shown,
                                      .percent = statistic_is_share(attack, what)},
                          members);
}

/* ---- verdicts: robust.verdict ---- */
static bool is_verdict_member(const Ast *e) {
    return e->kind == AST_MEMBER && !item_experiment(e) && e->type && e->type->kind == TYPE_VERDICT;
}

static const char *add_verdict(Experiment *x, Scope *s, const Ast *e, const char *name) {
    const Ast *base = AST_SLOT(e, MEMBER, base);
    const char *of = experiment_value(x, base, NULL);
    if (!of) return NULL;
    if (!experiment_attacked(x, of))
        return elab_error(s, DIAG_E0516, e->range, "'%s' has no verdict: it rests on no accuracy under attack",
                          range_text(arena_of(x), base->range)),
               NULL;
    name = name ? name : experiment_text(x, e->range);
    if (experiment_array(x, name)) return name;
    const AxisSet shown = experiment_array(x, of)->shown;
    return experiment_add(x,
                          (ArrayNode){.name = name, .kind = "verdict", .shown = shown, .cells = shown, .verdict = true},
                          json_pack("{s:s}", "of", of));
}

/* The numbers that a sweep goes over; NULL after an error. */
static json_t *axis_numbers(Experiment *x, uint32_t axis) {
    const AxisValues *values = &x->values[axis];
    json_auto_t *numbers = json_array();
    Scope s = experiment_scope(x);
    if (x->axes.axis[axis].part != AXIS_WHOLE)
        return elab_error(&s, DIAG_E0516, x->axes.axis[axis].sweep->range,
                          "a choice among families is no number: '%s' has some", x->axes.axis[axis].sweep->name),
               NULL;
    for (uint32_t k = 0; k < values->all.n; k++) {
        const Element *element = &values->all.items[k];
        Scope own = element->scope ? *element->scope : s;
        double number;
        if (!element->ast || !eval_number(&own, element->ast, &number)) return NULL;
        json_array_append_new(numbers, json_real(number));
    }
    return json_incref(numbers);
}

/* ---- logs of training: net.log.seconds, net.log[epoch].norm2 ---- */
static bool is_log_number(const Ast *e) {
    return e->kind == AST_MEMBER && AST_SLOT(e, MEMBER, base)->type == &type_log;
}

/* The epochs of the training run in the cell that is read. */
static double epochs_of(const Experiment *x, const TrainUse *train) {
    const ArrayNode *node = experiment_array(x, train->name);
    if (node)
        return json_number_value(
            json_object_get(json_array_get(json_object_get(experiment_array_json(x, train->name), "trains"),
                                           experiment_cell(x, node->cells)),
                            "epochs"));
    for (size_t k = 0; k < json_array_size(x->pipe->trains); k++) {
        const json_t *of = json_array_get(x->pipe->trains, k);
        if (!strcmp(json_string_value(json_object_get(of, "name")), train->name))
            return json_number_value(json_object_get(of, "epochs"));
    }
    return INFINITY;
}

/* Whether the log has the epoch in one cell at least, as far as the script says: that of a sweep is told by what it shows.
 * False: reported. */
static bool has_epoch(Experiment *x, Scope *s, const Ast *epoch, const TrainUse *train, AxisSet axes) {
    double number, most = 0;
    const uint32_t n = experiment_count(x, axes);
    if (n > MOST_CELLS || experiment_runs(x, s, epoch)) return true;
    if (!eval_number(s, epoch, &number)) return false;
    for (uint32_t c = 0; c < n; c++) {
        experiment_place(x, axes, c);
        if (!experiment_absent(x, axes)) most = fmax(most, epochs_of(x, train));
    }
    experiment_place(x, 0, 0);
    if (number >= 1 && number <= most) return true;
    elab_error(s, DIAG_E0314, epoch->range, "the log of '%s' has no epoch %s: they count from 1 to %s", train->name,
               number_text(arena_of(x), number), number_text(arena_of(x), most));
    return false;
}

static const char *add_log_number(Experiment *x, Scope *s, const Ast *e, const char *name) {
    const Ast *log = AST_SLOT(e, MEMBER, base), *epoch = NULL;
    if (log->kind == AST_INDEX) {
        epoch = AST_SLOT(log, INDEX, indices)->kids[0];
        log = AST_SLOT(log, INDEX, base);
    }
    const Ast *net = log->kind == AST_MEMBER ? AST_SLOT(log, MEMBER, base) : log;
    Scope from;
    const Ast *model = resolve_ast(s, net, &from);
    if (model->kind == AST_WITH) model = AST_SLOT(model, WITH, base);
    const TrainUse *train = pipe_find_train(x->pipe, &from, model);
    if (!train) return elab_error(s, DIAG_E0504, net->range, "a trained net is needed here"), NULL;
    name = name ? name : experiment_text(x, e->range);
    if (experiment_array(x, name)) return name;
    AxisSet axes = axes_shown(&x->axes, net);
    const char *at = epoch ? experiment_value(x, epoch, NULL) : NULL;
    if (epoch && !at) return NULL;
    if (at) axes |= experiment_array(x, at)->shown;
    if (epoch && !has_epoch(x, s, epoch, train, axes)) return NULL;
    json_t *members = json_pack("{s:s, s:s}", "train", train->name, "what", e->name);
    if (at) json_object_set_new(members, "epoch", json_string(at));
    return experiment_add(x, (ArrayNode){.name = name, .kind = "log", .shown = axes, .cells = axes}, members);
}

/* ---- reductions: min(v, over: s) ---- */
static const char *add_reduction(Experiment *x, const ReductionCall *call, const Ast *e, const char *name) {
    const char *of = experiment_number(x, call->value); /* not the place of a choice: of places there is no mean */
    const ArrayNode *node = of ? experiment_array(x, of) : NULL;
    if (!node) return NULL;
    const AxisSet over = axes_named(&x->axes, call->over);
    Scope s = experiment_scope(x);
    if (over & ~node->shown)
        return elab_error(&s, DIAG_E0532, call->over->range, "%s is no axis of this value",
                          axes_text(arena_of(x), &x->axes, over & ~node->shown)),
               NULL;
    if (call->row->kind == REDUCE_RECORDS && strcmp(node->kind, "evaluate") != 0)
        return elab_error(&s, DIAG_E0536, call->value->range, "worst_of goes over an evaluation, example by example"),
               NULL;
    if (call->row->kind == REDUCE_RECORDS && !experiment_one_set(x, of, over, call->value->range)) return NULL;
    name = name ? name : experiment_text(x, e->range);
    if (experiment_array(x, name)) return name;
    double share = 0;
    if (call->number && !eval_number(&s, call->number, &share)) return NULL;
    json_t *members = json_pack("{s:s, s:s, s:o}", "of", of, "what", call->row->name, "over", axes_json(over));
    if (call->row->kind == REDUCE_SHARE) json_object_set_new(members, "share", json_real(share));
    if (call->row->kind == REDUCE_RANKS) {
        json_t *numbers = axis_numbers(x, (uint32_t)__builtin_ctz(over));
        if (!numbers) return NULL;
        json_object_set_new(members, "numbers", numbers);
    }
    const bool percent = node->percent && (call->row->kind == REDUCE_NUMBER || call->row->kind == REDUCE_SHARE ||
                                           call->row->kind == REDUCE_RECORDS);
    const AxisSet shown = node->shown & ~over;
    const int chosen = call->row->kind == REDUCE_CHOICE ? 1 + __builtin_ctz(over) : 0;
    return experiment_add(
        x,
        (ArrayNode){
            .name = name, .kind = "reduce", .shown = shown, .cells = shown, .percent = percent, .chosen = chosen},
        members);
}

/* ---- expressions ---- */
typedef struct Names {
    const char **items;
    uint32_t n, cap;
    ScalarLet *lets; /* the lets above it that are mentioned, each once, in their order */
    uint32_t nlets, lets_cap;
    bool percent, failed;
} Names;

/* The number that a sweep takes. */
static json_t *coordinate_cell(Experiment *x, void *context) {
    Scope s = experiment_scope(x);
    double number;
    return eval_number(&s, context, &number) ? json_real(number) : NULL;
}

static const char *add_coordinate(Experiment *x, const Ast *name, AxisSet axis) {
    const char *array = x->axes.axis[__builtin_ctz(axis)].name;
    axis |= axes_shown(&x->axes, name); /* and the sweeps that its list mentions */
    json_t *numbers = experiment_cells(x, axis, coordinate_cell, (void *)(uintptr_t)name, name->range);
    if (!numbers) return NULL;
    return experiment_add(
        x, (ArrayNode){.name = array, .kind = "coordinate", .item = name->ref, .shown = axis, .cells = axis},
        json_pack("{s:o}", "numbers", numbers));
}

/* The number of the sweep that a choice is, where its values are numbers. */
static const char *add_chosen(Experiment *x, const ArrayNode *of) {
    const char *name = arena_printf(arena_of(x), "%s, a number", of->name);
    const AxisSet shown = of->shown;
    if (experiment_array(x, name)) return name;
    json_auto_t *numbers = axis_numbers(x, (uint32_t)of->chosen - 1);
    if (!numbers) return NULL;
    return experiment_add(x, (ArrayNode){.name = name, .kind = "chosen", .shown = shown, .cells = shown},
                          json_pack("{s:s, s:O}", "of", of->name, "numbers", numbers));
}

/* A number of a trained net that is known now: net.parameters, net.forward.max. */
static bool is_net_number(Scope *s, const Ast *e) {
    if (e->kind != AST_MEMBER || item_experiment(e) || !e->type || !type_is_scalar(e->type)) return false;
    while (e->kind == AST_MEMBER && !item_experiment(e)) {
        e = AST_SLOT(e, MEMBER, base);
        Scope from;
        const Ast *model = resolve_ast(s, e, &from);
        if (model->kind == AST_WITH) model = AST_SLOT(model, WITH, base);
        if (pipe_train_declaration(&from, model)) return true;
    }
    return false;
}

static const char *add_net_number(Experiment *x, const Ast *e, const char *name) {
    const AxisSet axes = axes_shown(&x->axes, e);
    name = name ? name : experiment_text(x, e->range);
    if (experiment_array(x, name)) return name;
    json_t *numbers = experiment_cells(x, axes, coordinate_cell, (void *)(uintptr_t)e, e->range);
    if (!numbers) return NULL;
    return experiment_add(x, (ArrayNode){.name = name, .kind = "coordinate", .shown = axes, .cells = axes},
                          json_pack("{s:o}", "numbers", numbers));
}

/* Where a sweep stands: of families, which of them. */
static json_t *place_cell(Experiment *x, void *context) { return json_integer(x->at[*(const uint32_t *)context]); }

static const char *add_place(Experiment *x, const Ast *name) {
    const AxisSet axes = axes_named(&x->axes, name);
    uint32_t first = (uint32_t)__builtin_ctz(axes);
    const char *array = arena_printf(arena_of(x), "place of %s", x->axes.axis[first].name);
    if (experiment_array(x, array)) return array;
    json_t *numbers = experiment_cells(x, AXIS(first), place_cell, &first, name->range);
    return experiment_add(x,
                          (ArrayNode){.name = array, .kind = "coordinate", .shown = AXIS(first), .cells = AXIS(first)},
                          json_pack("{s:o}", "numbers", numbers));
}

/* ---- picks: v[s: label] ---- */
static json_t *pick_json(Experiment *x, const Ast *pick, AxisSet *taken, AxisSet *more) {
    const Ast *value = AST_SLOT(pick, ARG, value);
    const AxisSet axes = axes_named(&x->axes, pick);
    const uint32_t first = (uint32_t)__builtin_ctz(axes);
    json_auto_t *list = json_array(), *keep = json_array();
    if (value->kind == AST_ARRAY) {
        for (uint32_t k = 0; k < value->nkids; k++)
            json_array_append_new(keep, json_integer(label_place(pick->ref, value->kids[k])));
        json_array_append_new(list, json_pack("{s:i, s:O}", "axis", first, "keep", keep));
        return json_incref(list);
    }
    const int place = label_place(pick->ref, value);
    *taken |= axes_picked(&x->axes, pick);
    if (place >= 0) {
        json_array_append_new(list, json_pack("{s:i, s:i}", "axis", first, "at", place));
        if (axes_picked(&x->axes, pick) != AXIS(first)) /* a family of one */
            json_array_append_new(list, json_pack("{s:i, s:i}", "axis", first + 1, "at", 0));
        return json_incref(list);
    }
    const char *choice = experiment_value(x, value, NULL);
    if (!choice) return NULL;
    *more |= experiment_array(x, choice)->shown;
    json_array_append_new(list, json_pack("{s:i, s:s}", "axis", first, "choice", choice));
    return json_incref(list);
}

/* A list that is shorter for the other labels of the pick has no such value. */
static bool picks_exist(Experiment *x, const Ast *list) {
    AxisSet labelled = 0;
    memset(x->at, 0, x->axes.n * sizeof *x->at);
    for (uint32_t i = 0; i < list->nkids; i++) {
        const Ast *pick = list->kids[i];
        const int place = label_place(pick->ref, AST_SLOT(pick, ARG, value));
        const uint32_t axis = (uint32_t)__builtin_ctz(axes_named(&x->axes, pick));
        if (place < 0) continue;
        x->at[axis] = (uint32_t)place;
        labelled |= AXIS(axis);
    }
    for (uint32_t i = 0; i < list->nkids; i++) {
        const Ast *pick = list->kids[i];
        const uint32_t axis = (uint32_t)__builtin_ctz(axes_named(&x->axes, pick));
        const AxisValues *v = &x->values[axis];
        const bool beyond = labelled & AXIS(axis) && x->at[axis] >= v->all.n;
        if (!beyond && !(labelled & AXIS(axis) && x->axes.axis[axis].part == AXIS_WHOLE && !(v->given & ~labelled) &&
                         !experiment_element(x, axis)))
            continue;
        Scope s = experiment_scope(x);
        elab_error(&s, DIAG_E0533, pick->range, "'%s' has no value %s%s", pick->name,
                   range_text(arena_of(x), AST_SLOT(pick, ARG, value)->range),
                   beyond ? "" : " with the other labels of this pick");
        return false;
    }
    memset(x->at, 0, x->axes.n * sizeof *x->at);
    return true;
}

static const char *add_pick(Experiment *x, const Ast *e, const char *of, Range at, const char *name) {
    const Ast *list = AST_SLOT(e, INDEX, indices);
    json_auto_t *picks = json_array();
    AxisSet taken = 0, more = 0;
    if (!of || !picks_exist(x, list)) return NULL;
    for (uint32_t i = 0; i < list->nkids; i++) {
        json_auto_t *own = pick_json(x, list->kids[i], &taken, &more);
        if (!own) return NULL;
        json_array_extend(picks, own);
    }
    const ArrayNode node = *experiment_array(x, of);
    name = name ? name : experiment_text(x, at);
    if (experiment_array(x, name)) return name;
    const AxisSet shown = (node.shown & ~taken) | more;
    return experiment_add(x,
                          (ArrayNode){.name = name,
                                      .kind = "pick",
                                      .shown = shown,
                                      .cells = shown,
                                      .percent = node.percent,
                                      .verdict = node.verdict,
                                      .chosen = node.chosen},
                          json_pack("{s:s, s:O}", "of", of, "picks", picks));
}

/* A number of another experiment that is known now: an array all the same, of its one cell. */
static const ArrayNode *other_number(Experiment *x, const Ast *e) {
    const uint32_t item = x->item;
    const char *name = NULL;
    for (x->item = 0; x->item < item && !item_declares(x->items->kids[x->item], e->ref);) x->item++;
    const Ast *let = x->item < item ? x->items->kids[x->item] : NULL;
    if (let && let->kind == AST_LET) name = experiment_value(x, AST_SLOT(let, LET, value), experiment_name(x, e->name));
    x->item = item;
    return name ? experiment_array(x, name) : NULL;
}

/* An expression for the value of which an array of its own is made: *value is its name, NULL after an error. */
static bool is_array(Experiment *x, Scope *s, const Ast *e, const char **value) {
    ReductionCall call;
    if (e->kind == AST_NAME || item_experiment(e)) {
        const AxisSet axis = axes_named(&x->axes, e);
        const ArrayNode *node = experiment_item(x, e);
        if (!node && !axis && item_experiment(e))
            return (node = other_number(x, e)), *value = node ? node->name : NULL, true;
        if (node)
            *value = node->name;
        else if (axis)
            *value = add_coordinate(x, e, axis);
        return node || axis;
    }
    if (!experiment_is_evaluation(s, e) && !statistic_of(e, &(bool){false}) && !reduction_of(e, &call) && !is_pick(e) &&
        !is_log_number(e) && !is_net_number(s, e) && !is_verdict_member(e))
        return false;
    *value = experiment_value(x, e, NULL);
    return true;
}

/* The same in a computation, where a choice stands for its number. */
static bool is_operand(Experiment *x, Scope *s, const Ast *e, const char **value) {
    if (!is_array(x, s, e, value)) return false;
    const ArrayNode *node = *value ? experiment_array(x, *value) : NULL;
    if (node && node->chosen) *value = add_chosen(x, node);
    return true;
}

/* The array's name where `e` stands; it is collected. */
static Ast *named(Experiment *x, const Ast *e, const char *value, Names *names) {
    bool known = !value;
    names->failed |= !value;
    for (uint32_t k = 0; k < names->n && !known; k++) known = strcmp(names->items[k], value) == 0;
    if (!known) *ARENA_PUSH(arena_of(x), names->items, names->n, names->cap) = value;
    if (value) names->percent &= experiment_array(x, value)->percent;
    Ast name = {.kind = AST_NAME, .name = value, .range = e->range, .name_range = e->name_range};
    return arena_copy(arena_of(x), &name, sizeof name);
}

/* choice == label: a comparison of places. */
static Ast *name_compared(Experiment *x, const Ast *e, const Ast *value, int place, Names *names) {
    Arena *a = arena_of(x);
    const bool is_sweep = (value->kind == AST_NAME || item_experiment(value)) && axes_named(&x->axes, value);
    const char *array = is_sweep ? add_place(x, value) : experiment_value(x, value, NULL);
    Ast number = {.kind = AST_NUMBER, .number = place, .name = number_text(a, place), .range = e->range};
    Ast *copy = arena_copy(a, e, sizeof *e);
    copy->kids = arena_copy(a, e->kids, 2 * sizeof *e->kids);
    copy->kids[0] = named(x, value, array, names);
    copy->kids[1] = arena_copy(a, &number, sizeof number);
    return copy;
}

/* a == b, values of one sweep: a comparison of places as well. */
static Ast *name_both(Experiment *x, const Ast *e, Names *names) {
    Ast *copy = arena_copy(arena_of(x), e, sizeof *e);
    copy->kids = arena_copy(arena_of(x), e->kids, 2 * sizeof *e->kids);
    for (int side = 0; side < 2; side++) {
        const Ast *value = e->kids[side];
        const bool is_sweep = (value->kind == AST_NAME || item_experiment(value)) && axes_named(&x->axes, value);
        copy->kids[side] = named(x, value, is_sweep ? add_place(x, value) : experiment_value(x, value, NULL), names);
    }
    return copy;
}

static Ast *name_values(Experiment *x, Scope *s, const Ast *e, Names *names);

/* A let that is no array: written out once, and named wherever it is mentioned. */
static Ast *name_let(Experiment *x, Scope *s, const Ast *e, const Ast *let, Names *names) {
    const char *name = arena_printf(arena_of(x), "%s, above", e->name); /* no array is called so */
    Ast mention = {.kind = AST_NAME, .name = name, .range = e->range, .name_range = e->name_range};
    for (uint32_t k = 0; k < names->nlets; k++)
        if (names->lets[k].let == let) return arena_copy(arena_of(x), &mention, sizeof mention);
    Ast *copy = name_values(x, s, let, names);
    if (copy->kind == AST_NAME || copy->kind == AST_NUMBER) return copy;
    *ARENA_PUSH(arena_of(x), names->lets, names->nlets, names->lets_cap) = (ScalarLet){name, let, copy};
    return arena_copy(arena_of(x), &mention, sizeof mention);
}

/* A copy of the expression in which arrays are names; those are collected. */
static Ast *name_values(Experiment *x, Scope *s, const Ast *e, Names *names) {
    Arena *a = arena_of(x);
    const char *value = NULL;
    const Ast *sweep, *compared, *word;
    int place;
    if (is_operand(x, s, e, &value)) return named(x, e, value, names);
    if ((compared = label_compared(x->items, e, &sweep, &place))) return name_compared(x, e, compared, place, names);
    if (sweep_of_both(x->items, e)) return name_both(x, e, names);
    if ((compared = verdict_compared(x->items, e, &word, &place)) && place >= 0)
        return name_compared(x, e, compared, place, names);
    const Ast *let = e->kind == AST_NAME ? let_of(x, e) : NULL;
    if (let) return name_let(x, s, e, let, names);
    Ast *copy = arena_copy(a, e, sizeof *e);
    if (e->kind != AST_BINARY || (strcmp(e->name, "+") != 0 && strcmp(e->name, "-") != 0)) names->percent = false;
    copy->kids = e->nkids ? arena_copy(a, e->kids, e->nkids * sizeof *e->kids) : NULL;
    for (uint32_t k = e->kind == AST_CALL ? 1 : 0; k < e->nkids; k++)
        if (e->kids[k]) copy->kids[k] = name_values(x, s, e->kids[k], names);
    return copy;
}

/* A condition is 1 or 0. */
static const Ast *as_number(Arena *a, const Ast *of, Ast *copy) {
    if (!of->type || !type_is_condition(of->type)) return copy;
    Ast yes = {.kind = AST_NUMBER, .number = 1, .name = "1", .range = of->range}, no = yes;
    no.number = 0;
    no.name = "0";
    Ast choice = {.kind = AST_IF, .range = of->range, .name_range = of->range, .nkids = 3};
    choice.kids = arena_alloc(a, 3 * sizeof *choice.kids);
    AST_SLOT(&choice, IF, condition) = copy;
    AST_SLOT(&choice, IF, yes) = arena_copy(a, &yes, sizeof yes);
    AST_SLOT(&choice, IF, no) = arena_copy(a, &no, sizeof no);
    return arena_copy(a, &choice, sizeof choice);
}

static const char *add_expression(Experiment *x, Scope *s, const Ast *e, const char *name) {
    Arena *a = arena_of(x);
    Names names = {.percent = true};
    if (experiment_item(x, e) && !name) return experiment_item(x, e)->name;
    Ast *copy = name_values(x, s, e, &names);
    if (names.failed) return NULL;
    if (names.n == 1 && copy->kind == AST_NAME && !name) return names.items[0];
    name = name ? name : experiment_text(x, e->range);
    if (experiment_array(x, name)) return name;
    const char *routine = scalar_function(s, arena_printf(a, "%s_%s", x->ast->name, name), as_number(a, e, copy),
                                          names.items, names.n, names.lets, names.nlets);
    if (!routine) return NULL;
    json_t *inputs = json_array();
    AxisSet axes = 0;
    for (uint32_t k = 0; k < names.n; k++) {
        json_array_append_new(inputs, json_string(names.items[k]));
        axes |= experiment_array(x, names.items[k])->shown;
    }
    return experiment_add(
        x,
        (ArrayNode){
            .name = name, .kind = "expression", .shown = axes, .cells = axes, .percent = names.percent && names.n > 0},
        json_pack("{s:s, s:o}", "routine", routine, "inputs", inputs));
}

const char *experiment_value(Experiment *x, const Ast *e, const char *name) {
    Scope s = experiment_scope(x);
    ReductionCall call;
    if (reduction_of(e, &call)) return add_reduction(x, &call, e, name);
    if (is_pick(e)) return add_pick(x, e, experiment_value(x, AST_SLOT(e, INDEX, base), NULL), e->range, name);
    if (experiment_is_evaluation(&s, e)) return experiment_evaluation(x, e, name);
    if (statistic_of(e, &(bool){false})) return add_statistic(x, &s, e, name);
    if (is_log_number(e)) return add_log_number(x, &s, e, name);
    if (is_net_number(&s, e)) return add_net_number(x, e, name);
    if (is_verdict_member(e)) return add_verdict(x, &s, e, name);
    return add_expression(x, &s, e, name);
}

const char *experiment_number(Experiment *x, const Ast *e) {
    const char *name = experiment_value(x, e, NULL);
    const ArrayNode *node = name ? experiment_array(x, name) : NULL;
    return node && node->chosen ? add_chosen(x, node) : name;
}

bool experiment_runs(Experiment *x, Scope *s, const Ast *e) {
    ReductionCall call;
    if (!e) return false;
    if (experiment_item(x, e)) return true;
    const Ast *sweep;
    int place;
    if (experiment_is_evaluation(s, e) || is_log_number(e) || statistic_of(e, &(bool){false}) ||
        reduction_of(e, &call) || is_pick(e) || is_verdict_member(e) || label_compared(x->items, e, &sweep, &place) ||
        sweep_of_both(x->items, e))
        return true;
    const int let = e->kind == AST_NAME ? let_at(x, e) : -1;
    if (let >= 0 && !x->runs[let]) /* what a let mentions stands above it: later looks find the same */
        x->runs[let] = experiment_runs(x, s, AST_SLOT(x->items->kids[let], LET, value)) ? 1 : -1;
    if (let >= 0 && x->runs[let] > 0) return true;
    for (uint32_t k = e->kind == AST_CALL ? 1 : 0; k < e->nkids; k++)
        if (experiment_runs(x, s, e->kids[k])) return true;
    return false;
}
