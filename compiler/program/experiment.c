/* experiment.c - experiments: which axes there are, and the items one after the other. */
#include "asked.h"
#include "experiment_parts.h"
#include "labels.h"
#include "tables.h"
#include "type.h"
#include <math.h>
#include <string.h>

/* ---- cells ---- */
uint32_t experiment_count(const Experiment *x, AxisSet axes) {
    double n = 1;
    for (uint32_t k = 0; k < x->axes.n; k++)
        if (axes & AXIS(k)) n *= x->values[k].all.n;
    return n > MOST_CELLS ? MOST_CELLS + 1 : (uint32_t)n;
}

void experiment_place(Experiment *x, AxisSet axes, uint32_t cell) {
    for (uint32_t k = x->axes.n; k-- > 0;) { /* the last one turns fastest */
        x->at[k] = axes & AXIS(k) ? cell % x->values[k].all.n : 0;
        if (axes & AXIS(k)) cell /= x->values[k].all.n;
    }
}

uint32_t experiment_cell(const Experiment *x, AxisSet axes) {
    uint32_t cell = 0;
    for (uint32_t k = 0; k < x->axes.n; k++)
        if (axes & AXIS(k)) cell = cell * x->values[k].all.n + x->at[k];
    return cell;
}

json_t *experiment_cells(Experiment *x, AxisSet axes, json_t *(*each)(Experiment *x, void *context), void *context,
                         Range at) {
    const uint32_t n = experiment_count(x, axes);
    json_auto_t *list = json_array();
    bool ok = true;
    if (n > MOST_CELLS) {
        Scope s = experiment_scope(x);
        elab_error(&s, DIAG_E0601, at, "the sweeps make more than %d cells of this", MOST_CELLS);
        return NULL;
    }
    for (uint32_t cell = 0; cell < n && ok; cell++) {
        experiment_place(x, axes, cell);
        eval_anew(x->pipe->elab);
        json_t *j = experiment_absent(x, axes) ? json_null() : each(x, context);
        ok = j != NULL;
        if (ok) json_array_append_new(list, j);
    }
    memset(x->at, 0, x->axes.n * sizeof *x->at);
    return ok ? json_incref(list) : NULL;
}

static void bind(Scope *s, const char *name, const Ast *value) {
    Scope *copy = arena_copy(s->elab->arena, s, sizeof *s);
    Known *known = arena_alloc(s->elab->arena, sizeof *known);
    *known = (Known){0};
    scope_bind(s, name, (Value){.kind = VALUE_AST, .ast = value, .scope = copy, .known = known});
}

/* The experiment that declares the item being written out: this one, whose tables come after all items, or another. */
static const Ast *owner_of(const Experiment *x) { return x->item < x->items->nkids ? x->axes.owners[x->item] : x->ast; }

static bool chooses(const Experiment *x, uint32_t axis, const Ast *item) {
    const Axis *a = &x->axes.axis[axis];
    return a->choice ? a->choice == item : a->sweep == item && a->part != AXIS_MEMBER;
}

/* Binds what the item's name means in the cell `at`; names of another experiment's sweeps are paths, table2.n. */
static void bind_item(const Experiment *x, Scope *s, const Ast *item, const Ast *other) {
    Arena *a = x->pipe->elab->arena;
    const char *name = item->kind == AST_LET ? AST_SLOT(item, LET, pattern)->name : item->name;
    const Element *element = NULL;
    for (uint32_t k = 0; k < x->axes.n; k++)
        if (chooses(x, k, item)) element = experiment_element(x, k);
    if (other && element) {
        Scope *own = arena_alloc(a, sizeof *own);
        *own = scope_of_module(x->pipe->elab, program_owner(x->pipe->elab->program, other));
        scope_bind(s, arena_printf(a, "%s.%s", other->name, name),
                   (Value){.kind = VALUE_AST, .ast = element->ast, .scope = element->scope ? element->scope : own});
    }
    if (other) return;
    if (element && element->scope)
        scope_bind(s, name, (Value){.kind = VALUE_AST, .ast = element->ast, .scope = element->scope});
    else if (element)
        bind(s, name, element->ast);
    else if (item->kind == AST_TRAIN)
        scope_bind(s, name, (Value){.kind = VALUE_AST, .ast = item});
    else if (item->kind == AST_LET)
        bind(s, name, AST_SLOT(item, LET, value));
    else if (item->kind == AST_FN)
        statement(s, item);
}

Scope experiment_scope(const Experiment *x) {
    const Ast *owner = owner_of(x);
    Scope s = scope_of_module(x->pipe->elab, program_owner(x->pipe->elab->program, owner));
    for (uint32_t i = 0; i < x->item && i < x->items->nkids; i++) {
        const Ast *item = x->items->kids[i];
        const bool own = x->axes.owners[i] == owner;
        if (own || item->kind == AST_SWEEP) bind_item(x, &s, item, own ? NULL : x->axes.owners[i]);
    }
    return s;
}

bool experiment_masks(const Experiment *x) {
    const Ast *owner = owner_of(x), *value = ast_setting_value(AST_SLOT(owner, EXPERIMENT, items), "allow_masking");
    return asked_masking(x->pipe->elab, owner->name, value && value->number != 0);
}

/* ---- arrays ---- */
const ArrayNode *experiment_array(const Experiment *x, const char *name) {
    for (uint32_t k = 0; k < x->nnodes; k++)
        if (strcmp(x->nodes[k].name, name) == 0) return &x->nodes[k];
    return NULL;
}

const json_t *experiment_array_json(const Experiment *x, const char *name) {
    size_t k;
    const json_t *j;
    json_array_foreach(x->arrays, k, j) {
        if (strcmp(json_string_value(json_object_get(j, "name")), name) == 0) return j;
    }
    return NULL;
}

const ArrayNode *experiment_item(const Experiment *x, const Ast *e) {
    if (!e->ref || (e->kind != AST_NAME && !item_experiment(e))) return NULL;
    for (uint32_t k = 0; k < x->nnodes; k++)
        if (x->nodes[k].item && item_declares(x->nodes[k].item, e->ref)) return &x->nodes[k];
    return NULL;
}

const char *experiment_name(const Experiment *x, const char *name) {
    const Ast *owner = owner_of(x);
    return owner == x->ast ? name : arena_printf(x->pipe->elab->arena, "%s.%s", owner->name, name);
}

const char *experiment_text(const Experiment *x, Range at) {
    const char *text = range_text(x->pipe->elab->arena, at);
    const Ast *owner = owner_of(x);
    return owner == x->ast ? text : arena_printf(x->pipe->elab->arena, "%s: %s", owner->name, text);
}

bool experiment_takes(Experiment *x, AxisSet axes, Range at) {
    for (uint32_t k = x->axes.nsweeps; k < x->axes.n; k++) {
        if (!(axes & AXIS(k)) || x->axes.axis[k].part == AXIS_WHOLE) continue;
        Scope s = experiment_scope(x);
        elab_error(&s, DIAG_E0504, at,
                   "'%s' chooses among families or their members, which are no values by themselves: a setting takes a "
                   "choice among the values of a plain list",
                   x->axes.axis[k].name);
        return false;
    }
    return true;
}

json_t *axes_json(AxisSet set) {
    json_t *list = json_array();
    for (int k = 0; k < MOST_AXES; k++)
        if (set & AXIS(k)) json_array_append_new(list, json_integer(k));
    return list;
}

const char *experiment_add(Experiment *x, ArrayNode node, json_t *members) {
    json_t *j = json_pack("{s:s, s:s, s:o}", "name", node.name, "kind", node.kind, "axes", axes_json(node.shown));
    if (node.cells & ~node.shown) json_object_set_new(j, "waits", axes_json(node.cells & ~node.shown));
    json_object_update(j, members);
    json_decref(members);
    json_array_append_new(x->arrays, j);
    *ARENA_PUSH(x->pipe->elab->arena, x->nodes, x->nnodes, x->nodes_cap) = node;
    return node.name;
}

/* ---- items ---- */
typedef struct Training {
    const Ast *ast;
    const char *name;
    AxisSet axes;
    const TrainUse **uses;
} Training;

static json_t *train_cell(Experiment *x, void *context) {
    Training *t = context;
    Scope s = experiment_scope(x);
    TrainUse *use;
    json_t *j = pipe_train(x->pipe, &s, t->ast, true, &use);
    if (!j) return NULL;
    use->name = t->name;
    use->cell = experiment_cell(x, t->axes);
    json_object_set_new(j, "name", json_string(t->name));
    t->uses[use->cell] = use;
    return j;
}

static bool run_train(Experiment *x, const Ast *item) {
    const AxisSet shown = x->axes.shown[x->item], cells = shown | x->axes.hidden[x->item];
    Training t = {item, experiment_name(x, item->name), cells, NULL};
    if (!experiment_takes(x, cells & ~shown, item->range)) return false;
    t.uses = arena_alloc(x->pipe->elab->arena, (experiment_count(x, cells) + 1) * sizeof *t.uses);
    json_t *list = experiment_cells(x, cells, train_cell, &t, item->range);
    if (!list) return false;
    experiment_add(x,
                   (ArrayNode){.name = t.name,
                               .kind = "train",
                               .item = item,
                               .shown = shown,
                               .cells = cells,
                               .train = item,
                               .uses = t.uses},
                   json_pack("{s:o, s:o}", "trains", list, "alone", experiment_alone(x, cells, item)));
    return true;
}

static bool run_let(Experiment *x, const Ast *let) {
    const Ast *pattern = AST_SLOT(let, LET, pattern), *value = AST_SLOT(let, LET, value);
    Scope s = experiment_scope(x);
    ReductionCall call;
    if (pattern->kind != AST_NAME)
        return elab_error(&s, DIAG_E0315, pattern->range, "an experiment's let has one name"), false;
    const bool number = pattern->type && (type_is_scalar(pattern->type) || pattern->type->kind == TYPE_VERDICT);
    if (!reduction_of(value, &call) && !is_pick(value) && !(number && experiment_runs(x, &s, value)))
        return true; /* known now */
    const char *name = experiment_value(x, value, experiment_name(x, pattern->name));
    for (uint32_t k = 0; name && k < x->nnodes; k++)
        if (strcmp(x->nodes[k].name, name) == 0) x->nodes[k].item = let;
    return name != NULL;
}

static void find_axes(Experiment *x) {
    Arena *a = x->pipe->elab->arena;
    axes_find(a, x->ast, &x->axes);
    x->items = x->axes.items;
    x->runs = arena_alloc(a, (x->items->nkids + 1) * sizeof *x->runs);
    memset(x->runs, 0, (x->items->nkids + 1) * sizeof *x->runs);
    x->values = arena_alloc(a, (x->axes.n + 1) * sizeof *x->values);
    x->at = arena_alloc(a, (x->axes.n + 1) * sizeof *x->at);
}

typedef struct Shown {
    json_t *tables, *figures, *claims;
} Shown;

static bool show(json_t *list, json_t *one) {
    if (one) json_array_append_new(list, one);
    return one != NULL;
}

static bool run_item(Experiment *x, const Ast *item, const Shown *to) {
    switch (item->kind) {
    case AST_TRAIN: return run_train(x, item);
    case AST_LET: return run_let(x, item);
    case AST_TABLE: return show(to->tables, experiment_table(x, item));
    case AST_FIGURE: return show(to->figures, experiment_figure(x, item));
    case AST_CLAIM: return show(to->claims, experiment_claim(x, item));
    case AST_SWEEP: return experiment_expand(x, item);
    case AST_FN:
    case AST_SETTING:
    case AST_ERROR: return true; /* read before the others, or where they are used */
    default: {
        Scope s = experiment_scope(x);
        elab_error(&s, DIAG_E0514, item->range, "a %s cannot stand in an experiment", ast_kind_name(item->kind));
        return false;
    }
    }
}

json_t *pipe_experiment(Pipe *p, const Ast *experiment) {
    Experiment *x = arena_alloc(p->elab->arena, sizeof *x);
    x->pipe = p;
    x->ast = experiment;
    const Ast *audit = ast_setting_value(AST_SLOT(experiment, EXPERIMENT, items), "audit");
    x->audit = audit && audit->number != 0;
    x->arrays = json_array();
    json_auto_t *axes = json_array();
    const Shown to = {json_array(), json_array(), json_array()};
    const uint32_t uses = p->nuses;
    bool ok = true;
    p->in_cell = experiment_train;
    p->cell = x;
    find_axes(x);
    for (x->item = 0; ok && x->item < x->items->nkids; x->item++) ok = run_item(x, x->items->kids[x->item], &to);
    for (uint32_t k = 0; ok && k < x->axes.n; k++) json_array_append_new(axes, experiment_axis_json(x, k));
    const uint32_t own = p->nuses; /* its nets are not seen by what stands after it; those of modules are */
    p->nuses = uses;
    for (uint32_t k = uses; k < own; k++)
        if (!p->uses[k]->in_cell) p->uses[p->nuses++] = p->uses[k];
    json_t *j = ok ? json_pack("{s:s, s:i, s:O, s:O, s:O}", "name", experiment->name, "line", json_line(experiment),
                               "axes", axes, "arrays", x->arrays, "tables", to.tables)
                   : NULL;
    if (j && json_array_size(to.figures)) json_object_set(j, "figures", to.figures);
    if (j && json_array_size(to.claims)) json_object_set(j, "claims", to.claims);
    if (j && x->audit) json_object_set_new(j, "audit", json_true());
    json_decref(x->arrays);
    json_decref(to.tables);
    json_decref(to.figures);
    json_decref(to.claims);
    return j;
}
