/* experiment.c - experiments: the cartesian product of the sweeps, what each cell computes, and the table. */
#include "declarations.h"
#include "tables.h"
#include <math.h>
#include <string.h>

enum { MAX_CELLS = 100000 };

typedef struct CellValue {
    const char *name, *kind;
    const TrainUse *train; /* evaluate */
    bool plain;            /* evaluate without attack and overrides */
    bool percent;
} CellValue;

typedef struct Formula {
    const Ast *ast;
    const char *routine;
} Formula; /* expressions that are the same in every cell */

typedef struct Experiment {
    Pipe *pipe;
    const Ast *ast;
    const char **sweeps;
    const Ast ***values; /* of each sweep */
    uint32_t *nvalues, nsweeps;
    bool audit, allow_masking;
    Formula *formulas;
    uint32_t nformulas, formulas_cap;
    /* the cell being made */
    json_t *json;
    CellValue *cell;
    uint32_t ncell, cell_cap, hidden;
} Experiment;

static CellValue *cell_value(Experiment *x, const char *name) {
    for (uint32_t k = 0; k < x->ncell; k++)
        if (strcmp(x->cell[k].name, name) == 0) return &x->cell[k];
    return NULL;
}

static const char *add_value(Experiment *x, CellValue v, json_t *json) {
    json_array_append_new(x->json, json);
    *ARENA_PUSH(x->pipe->elab->arena, x->cell, x->ncell, x->cell_cap) = v;
    return v.name;
}

static const char *hidden_name(Experiment *x, const char *name) {
    return name ? name : arena_printf(x->pipe->elab->arena, "value %u", ++x->hidden);
}

static const Ast *train_declaration(Scope *s, const Ast *e) {
    Scope from;
    e = resolve_ast(s, e, &from);
    char path[512];
    const Ast *d = e->kind == AST_TRAIN             ? e
                   : ast_path(e, path, sizeof path) ? module_find(from.module, path, NULL)
                                                    : NULL;
    return d && d->kind == AST_TRAIN ? d : NULL;
}

static const TrainUse *find_train(Experiment *x, Scope *s, const Ast *e) {
    const Ast *d = train_declaration(s, e);
    for (uint32_t k = x->pipe->nuses; d && k-- > 0;)
        if (x->pipe->uses[k]->ast == d) return x->pipe->uses[k];
    return NULL;
}

/* ---- evaluations: accuracy(m with { .. }, d.test[0..1000] under a) ---- */
static bool is_metric_call(Scope *s, const Ast *e) {
    if (e->kind != AST_CALL) return false;
    const Ast *inputs = AST_SLOT(e, CALL, inputs), *callee = AST_SLOT(e, CALL, callee);
    char path[512];
    if (inputs->nkids == 0 || !ast_path(callee, path, sizeof path)) return false;
    const Ast *d = module_find(s->module, path, NULL);
    if (d ? d->kind != AST_FN : strcmp(path, "accuracy") != 0) return false;
    const Ast *model = AST_SLOT(inputs->kids[0], ARG, value);
    Scope from;
    model = resolve_ast(s, model, &from);
    if (model->kind == AST_WITH) model = AST_SLOT(model, WITH, base);
    return train_declaration(&from, model) != NULL || !d;
}

static const char *add_evaluation(Experiment *x, Scope *s, const Ast *e, const char *name) {
    const Ast *inputs = AST_SLOT(e, CALL, inputs);
    if (inputs->nkids != 2) return elab_error(s, DIAG_E0303, e->range, "an evaluation takes a net and examples"), NULL;
    Scope from;
    const Ast *model = resolve_ast(s, AST_SLOT(inputs->kids[0], ARG, value), &from), *with = NULL;
    if (model->kind == AST_WITH) with = AST_SLOT(model, WITH, settings), model = AST_SLOT(model, WITH, base);
    const TrainUse *train = find_train(x, &from, model);
    if (!train && train_declaration(&from, model)) {
        if (!diags_errors(s->elab->diags)) /* else its own error is told */
            elab_error(s, DIAG_E0205, inputs->kids[0]->range, "an experiment comes after the training runs it uses");
        return NULL;
    }
    if (!train) return elab_error(s, DIAG_E0504, inputs->kids[0]->range, "a trained net is needed here"), NULL;
    Slice slice;
    if (!pipe_slice(x->pipe, s, AST_SLOT(inputs->kids[1], ARG, value), &slice)) return NULL;
    if (!shape_equal(slice.data->input, train->net->input) || slice.data->target.classes != train->net->target.classes)
        return elab_error(s, DIAG_E0505, inputs->kids[1]->range, "these examples do not fit the net '%s'",
                          train->net->model->name),
               NULL;
    const char *metric = net_loss(s, train->net, AST_SLOT(e, CALL, callee), true);
    json_t *overrides = json_array(), *attack = json_null();
    if (!metric || (with && !pipe_overrides(&from, with, train->net, overrides))) return NULL;
    if (slice.attack) {
        attack = pipe_attacks(&slice.attack_scope, slice.attack, train->net, train->loss);
        if (!attack || !pipe_unmasked(s, train, overrides, attack, x->allow_masking, slice.attack)) return NULL;
    }
    name = hidden_name(x, name);
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "name", name, "kind", "evaluate", "metric",
                          metric, "model", train->name, "loss", train->loss, "data", slice.json, "attack", attack,
                          "overrides", overrides);
    if (slice.attack && (x->audit || x->pipe->audit)) pipe_audit_later(x->pipe, j, train, &slice);
    return add_value(x, (CellValue){name, "evaluate", train, !slice.attack && !with, strcmp(metric, "accuracy") == 0},
                     j);
}

/* ---- statistics: m.fixed.steps, clean.steps, robust.attack.converged ---- */
/* `attack`: of what the attack of the evaluation asked.  NULL: e is no statistic. */
static const char *statistic_of(const Ast *e, bool *attack) {
    if (e->kind != AST_MEMBER) return NULL;
    const Ast *base = AST_SLOT(e, MEMBER, base);
    *attack = base->kind == AST_MEMBER && strcmp(base->name, "attack") == 0;
    return statistic_find(*attack, e->name) ? e->name : NULL;
}

static const char *add_statistic(Experiment *x, Scope *s, const Ast *e, const char *name) {
    bool attack = false;
    const char *what = statistic_of(e, &attack), *of = NULL;
    const Ast *base = AST_SLOT(e, MEMBER, base);
    if (attack) base = AST_SLOT(base, MEMBER, base);
    if (base->kind == AST_MEMBER && strcmp(base->name, "fixed") == 0) base = AST_SLOT(base, MEMBER, base);
    if (base->kind == AST_NAME && cell_value(x, base->name)) of = base->name;
    const TrainUse *train = of ? NULL : find_train(x, s, base);
    for (int pass = 0; pass < 2 && train && !of; pass++) /* of the first plain evaluation, else of the first */
        for (uint32_t k = 0; k < x->ncell && !of; k++)
            if (x->cell[k].train == train && (x->cell[k].plain || pass)) of = x->cell[k].name;
    if (!of)
        return elab_error(s, DIAG_E0516, e->range, "'%s' belongs to an evaluation: there is none here", what), NULL;
    name = name ? name : range_text(s->elab->arena, e->range);
    if (cell_value(x, name)) return name;
    json_t *j = json_pack("{s:s, s:s, s:s, s:s}", "name", name, "kind", "statistic", "of", of, "what",
                          attack ? arena_printf(s->elab->arena, "attack.%s", what) : what);
    return add_value(x, (CellValue){name, "statistic", NULL, false, statistic_is_share(attack, what)}, j);
}

/* ---- expressions ---- */
static const char *add_any(Experiment *x, Scope *s, const Ast *e, const char *name);

typedef struct Names {
    const char **items;
    uint32_t n, cap;
    bool percent, failed;
} Names;

/* A copy of the expression in which evaluations and statistics are names of values; those are collected. */
static Ast *name_values(Experiment *x, Scope *s, const Ast *e, Names *names) {
    Arena *a = s->elab->arena;
    const char *value = NULL;
    if (e->kind == AST_NAME && cell_value(x, e->name))
        value = e->name;
    else if (is_metric_call(s, e) || statistic_of(e, &(bool){0})) {
        value = add_any(x, s, e, NULL);
        if (!value) names->failed = true;
    }
    Ast *copy = arena_copy(a, e, sizeof *e);
    if (value) {
        bool known = false;
        for (uint32_t k = 0; k < names->n; k++) known |= strcmp(names->items[k], value) == 0;
        if (!known) *ARENA_PUSH(a, names->items, names->n, names->cap) = value;
        names->percent &= cell_value(x, value)->percent;
        *copy = (Ast){.kind = AST_NAME, .name = value, .range = e->range, .name_range = e->name_range};
        return copy;
    }
    if (e->kind != AST_BINARY || (strcmp(e->name, "+") != 0 && strcmp(e->name, "-") != 0)) names->percent = false;
    copy->kids = e->nkids ? arena_copy(a, e->kids, e->nkids * sizeof *e->kids) : NULL;
    uint32_t first = e->kind == AST_CALL ? 1 : 0;
    for (uint32_t k = first; k < e->nkids; k++)
        if (e->kids[k]) copy->kids[k] = name_values(x, s, e->kids[k], names);
    return copy;
}

static bool depends_on_sweep(const Experiment *x, Scope *s, const Ast *e) {
    if (!e) return false;
    if (e->kind == AST_NAME) {
        for (uint32_t k = 0; k < x->nsweeps; k++)
            if (strcmp(x->sweeps[k], e->name) == 0) return true;
        const Value *v = env_find(s->env, e->name);
        return v && v->kind == VALUE_NUMBER; /* a let that is a number may come from a sweep */
    }
    for (uint32_t k = 0; k < e->nkids; k++)
        if (depends_on_sweep(x, s, e->kids[k])) return true;
    return false;
}

static const char *add_expression(Experiment *x, Scope *s, const Ast *e, const char *name) {
    Elab *el = s->elab;
    Names names = {.percent = true};
    const Ast *copy = name_values(x, s, e, &names);
    if (names.failed) return NULL;
    if (names.n == 1 && copy->kind == AST_NAME && !name) return names.items[0];
    name = name ? name : range_text(el->arena, e->range);
    if (cell_value(x, name)) return name;
    const char *routine = NULL;
    bool shared = !depends_on_sweep(x, s, e);
    for (uint32_t k = 0; shared && k < x->nformulas && !routine; k++)
        if (x->formulas[k].ast == e) routine = x->formulas[k].routine;
    if (!routine) {
        routine = scalar_function(s, arena_printf(el->arena, "%s_%s", x->ast->name, name), copy, names.items, names.n);
        if (!routine) return NULL;
        *ARENA_PUSH(el->arena, x->formulas, x->nformulas, x->formulas_cap) = (Formula){e, routine};
    }
    json_t *inputs = json_array();
    for (uint32_t k = 0; k < names.n; k++) json_array_append_new(inputs, json_string(names.items[k]));
    json_t *j =
        json_pack("{s:s, s:s, s:s, s:o}", "name", name, "kind", "expression", "routine", routine, "inputs", inputs);
    return add_value(x, (CellValue){name, "expression", NULL, false, names.percent && names.n > 0}, j);
}

static const char *add_any(Experiment *x, Scope *s, const Ast *e, const char *name) {
    if (is_metric_call(s, e)) return add_evaluation(x, s, e, name);
    if (statistic_of(e, &(bool){0})) return add_statistic(x, s, e, name);
    return add_expression(x, s, e, name);
}

/* ---- cells ---- */
static bool run_let(Experiment *x, Scope *s, const Ast *let) {
    const Ast *pattern = AST_SLOT(let, LET, pattern), *value = AST_SLOT(let, LET, value);
    if (pattern->kind != AST_NAME)
        return elab_error(s, DIAG_E0315, pattern->range, "an experiment's let has one name"), false;
    Names names = {.percent = true};
    bool number = !is_metric_call(s, value) && !statistic_of(value, &(bool){0});
    if (number) {
        uint32_t before = x->ncell;
        name_values(x, s, value, &names);
        number = !names.failed && names.n == 0 && x->ncell == before;
        if (names.failed) return false;
    }
    if (number && value->kind != AST_CALL) { /* known now: a plain number, or something for a setting */
        Scope *copy = arena_copy(s->elab->arena, s, sizeof *s);
        scope_bind(s, pattern->name, (Value){.kind = VALUE_AST, .ast = value, .scope = copy});
        return true;
    }
    if (number) {
        Scope *copy = arena_copy(s->elab->arena, s, sizeof *s);
        scope_bind(s, pattern->name, (Value){.kind = VALUE_AST, .ast = value, .scope = copy});
        return true;
    }
    if (!add_any(x, s, value, pattern->name)) return false;
    scope_bind(s, pattern->name, (Value){.kind = VALUE_AST, .ast = let});
    return true;
}

static const Ast *setting_of(const Ast *list, const char *key) {
    for (uint32_t k = 0; k < list->nkids; k++) {
        const Ast *item = list->kids[k], *name = item->kind == AST_SETTING ? AST_SLOT(item, SETTING, key) : NULL;
        if (name && name->kind == AST_NAME && strcmp(name->name, key) == 0) return AST_SLOT(item, SETTING, value);
    }
    return NULL;
}

static json_t *make_table(Experiment *x, Scope *s, const Ast *table) {
    Arena *a = s->elab->arena;
    const Ast *settings = AST_SLOT(table, TABLE, settings), *columns = setting_of(settings, "columns"),
              *rows = setting_of(settings, "rows"), *cells = setting_of(settings, "cells");
    if (!columns) return elab_error(s, DIAG_E0502, table->range, "a table needs `columns`"), NULL;
    json_t *list = json_array(), *names = json_array();
    uint32_t n = columns->kind == AST_ARRAY ? columns->nkids : 1;
    for (uint32_t k = 0; k < n; k++) {
        const Ast *c = columns->kind == AST_ARRAY ? columns->kids[k] : columns;
        const char *title = range_text(a, c->range), *value = add_any(x, s, c, NULL);
        if (!value) return NULL;
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "title", title, "value", value, "format",
                                              cell_value(x, value)->percent ? "percent" : "number"));
    }
    const Ast *over = cells && cells->kind == AST_CALL && AST_SLOT(cells, CALL, inputs)->nkids == 1
                          ? AST_SLOT(AST_SLOT(cells, CALL, inputs)->kids[0], ARG, value)
                          : NULL;
    if (cells && (!over || over->kind != AST_NAME))
        return elab_error(s, DIAG_E0516, cells->range, "cells: mean_std(v) joins the values of sweep v"), NULL;
    uint32_t nrows = rows ? rows->kind == AST_ARRAY ? rows->nkids : 1 : 0;
    for (uint32_t k = 0; k < nrows; k++) {
        const Ast *r = rows->kind == AST_ARRAY ? rows->kids[k] : rows;
        bool known = false;
        for (uint32_t i = 0; i < x->nsweeps; i++) known |= r->kind == AST_NAME && strcmp(r->name, x->sweeps[i]) == 0;
        if (!known) return elab_error(s, DIAG_E0516, r->range, "rows are sweep variables of the experiment"), NULL;
        json_array_append_new(names, json_string(r->name));
    }
    for (uint32_t i = 0; !rows && i < x->nsweeps; i++)
        if (!over || strcmp(over->name, x->sweeps[i]) != 0) json_array_append_new(names, json_string(x->sweeps[i]));
    char joined[64];
    bool has = cells && ast_path(AST_SLOT(cells, CALL, callee), joined, sizeof joined);
    json_t *j = json_pack("{s:s, s:o, s:o, s:o}", "name", table->name, "rows", names, "columns", list, "cells",
                          has ? json_string(joined) : json_null());
    return j;
}

static json_t *make_cell(Experiment *x, Scope s, const uint32_t *at, json_t **table) {
    Arena *a = s.elab->arena;
    const Ast *items = AST_SLOT(x->ast, EXPERIMENT, items);
    json_t *coordinates = json_array(), *trains = json_array();
    x->json = json_array();
    x->ncell = x->hidden = 0;
    uint32_t uses = x->pipe->nuses, sweep = 0;
    bool ok = true;
    for (uint32_t k = 0; k < items->nkids && ok; k++) {
        const Ast *item = items->kids[k];
        switch (item->kind) {
        case AST_SWEEP: {
            const Ast *value = x->values[sweep][at[sweep]];
            Scope *copy = arena_copy(a, &s, sizeof s);
            scope_bind(&s, item->name, (Value){.kind = VALUE_AST, .ast = value, .scope = copy});
            json_array_append_new(coordinates,
                                  json_string(value->kind == AST_NUMBER ? value->name : range_text(a, value->range)));
            sweep++;
            break;
        }
        case AST_TRAIN: {
            json_t *j = pipe_train(x->pipe, &s, item, true);
            ok = j != NULL;
            if (j) json_object_set_new(j, "sweeps", json_integer(sweep)); /* declared after it: they cannot change it */
            if (j) json_array_append_new(trains, j);
            scope_bind(&s, item->name, (Value){.kind = VALUE_AST, .ast = item});
            break;
        }
        case AST_LET: ok = run_let(x, &s, item); break;
        case AST_TABLE: {
            json_t *j = make_table(x, &s, item);
            ok = j != NULL;
            if (*table)
                json_decref(j);
            else
                *table = j;
            break;
        }
        case AST_FN: statement(&s, item); break;
        case AST_SETTING: /* read before the cells */
        case AST_ERROR: break;
        default:
            elab_error(&s, DIAG_E0514, item->range, "a %s cannot stand in an experiment", ast_kind_name(item->kind));
            ok = false;
        }
    }
    x->pipe->nuses = uses; /* the cell's own nets are not seen by the next one */
    if (!ok) return NULL;
    return json_pack("{s:o, s:o, s:o}", "coordinates", coordinates, "trains", trains, "values", x->json);
}

/* The values of a sweep: the items of a list, or the numbers of a range. */
static bool sweep_values(Experiment *x, Scope *s, const Ast *sweep, const Ast ***out, uint32_t *n) {
    Arena *a = x->pipe->elab->arena;
    const Ast *list = AST_SLOT(sweep, SWEEP, values);
    *n = 0;
    if (list->kind == AST_ARRAY) {
        *n = list->nkids;
        *out = arena_alloc(a, (*n + 1) * sizeof **out);
        for (uint32_t k = 0; k < *n; k++) (*out)[k] = list->kids[k];
    } else {
        Value r = eval(s, list);
        if (r.kind == VALUE_RANGE && r.limit - r.number <= MAX_CELLS && r.limit > r.number)
            *n = (uint32_t)(r.limit - r.number);
        *out = arena_alloc(a, (*n + 1) * sizeof **out);
        for (uint32_t k = 0; k < *n; k++) {
            Ast number = {
                .kind = AST_NUMBER, .number = r.number + k, .name = number_text(a, r.number + k), .range = list->range};
            (*out)[k] = arena_copy(a, &number, sizeof number);
        }
    }
    return *n > 0 ||
           (elab_error(s, DIAG_E0515, list->range, "a sweep goes over a list or a range that is not empty"), false);
}

static bool flag(const Ast *list, const char *key) {
    const Ast *value = setting_of(list, key);
    return value && value->number != 0;
}

json_t *pipe_experiment(Pipe *p, Scope *s, const Ast *experiment) {
    Elab *e = p->elab;
    const Ast *items = AST_SLOT(experiment, EXPERIMENT, items);
    Experiment *x = arena_alloc(e->arena, sizeof *x);
    x->pipe = p;
    x->ast = experiment;
    x->audit = flag(items, "audit");
    x->allow_masking = flag(items, "allow_masking");
    x->sweeps = arena_alloc(e->arena, (items->nkids + 1) * sizeof *x->sweeps);
    x->values = arena_alloc(e->arena, (items->nkids + 1) * sizeof *x->values);
    x->nvalues = arena_alloc(e->arena, (items->nkids + 1) * sizeof *x->nvalues);
    json_t *sweeps = json_array(), *cells = json_array(), *table = NULL;
    double ncells = 1;
    for (uint32_t k = 0; k < items->nkids; k++) {
        const Ast *item = items->kids[k];
        if (item->kind != AST_SWEEP) continue;
        uint32_t i = x->nsweeps++;
        x->sweeps[i] = item->name;
        if (!sweep_values(x, s, item, &x->values[i], &x->nvalues[i])) return NULL;
        ncells *= x->nvalues[i];
        json_t *texts = json_array();
        for (uint32_t v = 0; v < x->nvalues[i]; v++) {
            const Ast *value = x->values[i][v];
            json_array_append_new(
                texts, json_string(value->kind == AST_NUMBER ? value->name : range_text(e->arena, value->range)));
        }
        json_array_append_new(sweeps, json_pack("{s:s, s:o}", "name", item->name, "values", texts));
    }
    if (ncells > MAX_CELLS)
        return elab_error(s, DIAG_E0601, experiment->name_range, "%s cells are too many",
                          number_text(e->arena, ncells)),
               NULL;
    uint32_t *at = arena_alloc(e->arena, (x->nsweeps + 1) * sizeof *at);
    for (bool more = true; more;) {
        json_t *cell = make_cell(x, *s, at, &table);
        if (!cell) return NULL;
        json_array_append_new(cells, cell);
        more = false;
        for (uint32_t k = x->nsweeps; k-- > 0 && !more;) { /* the last sweep turns fastest */
            more = ++at[k] < x->nvalues[k];
            if (!more) at[k] = 0;
        }
    }
    json_t *j = json_pack("{s:s, s:i, s:o, s:o, s:o}", "name", experiment->name, "line", json_line(experiment),
                          "sweeps", sweeps, "cells", cells, "table", table ? table : json_null());
    if (x->audit) json_object_set_new(j, "audit", json_true());
    return j;
}
