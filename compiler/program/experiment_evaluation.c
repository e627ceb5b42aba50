/* experiment_evaluation.c - the evaluations of an experiment, cell by cell, and what their settings were chosen on. */
#include "experiment_parts.h"
#include "labels.h"
#include "tables.h"
#include "type.h"
#include <string.h>

static Arena *arena_of(const Experiment *x) { return x->pipe->elab->arena; }

/* The training run in the cell that is read. */
const TrainUse *experiment_train(void *cell, const Ast *train, const char *name) {
    const Experiment *x = cell;
    for (uint32_t k = 0; k < x->nnodes; k++) {
        const ArrayNode *n = &x->nodes[k];
        if (n->uses && (train ? n->train == train : strcmp(n->name, name) == 0))
            return n->uses[experiment_cell(x, n->cells)];
    }
    return NULL;
}

/* As it is now, for what is made later. */
static Experiment *kept_cell(const Experiment *x) {
    Experiment *kept = arena_copy(arena_of(x), x, sizeof *x);
    kept->at = arena_copy(arena_of(x), x->at, (x->axes.n + 1) * sizeof *x->at);
    return kept;
}

/* ---- evaluations: accuracy(m with { .. }, d.test[0..1000] under a) ---- */
bool experiment_is_evaluation(Scope *s, const Ast *e) {
    GradientsCompared gradients;
    if (e->kind != AST_CALL) return false;
    if (gradients_compared(e, &gradients)) return true;
    const Ast *inputs = AST_SLOT(e, CALL, inputs), *callee = AST_SLOT(e, CALL, callee);
    char path[512];
    if (inputs->nkids == 0 || !ast_path(callee, path, sizeof path)) return false;
    const Ast *d = module_find(s->module, path, NULL);
    if (d ? d->kind != AST_FN : strcmp(path, "accuracy") != 0) return false;
    const Ast *model = AST_SLOT(inputs->kids[0], ARG, value);
    Scope from;
    model = resolve_ast(s, model, &from);
    if (model->kind == AST_WITH) model = AST_SLOT(model, WITH, base);
    return pipe_train_declaration(&from, model) != NULL || !d;
}

typedef struct Evaluation {
    const Ast *ast;
    const char *name, *metric;
    const Ast *train;
    bool plain;
} Evaluation;

static bool sets_gradient(const json_t *overrides) {
    for (size_t k = 0; k < json_array_size(overrides); k++)
        if (strstr(json_string_value(json_array_get(json_array_get(overrides, k), 0)), "gradient")) return true;
    return false;
}

/* The text of a gradient mode that serves every fixed point of the net; NULL after an error. */
static const char *compared_mode(Scope *s, Net *net, const Ast *mode) {
    const char *text = setting_text(s, "gradient", mode);
    for (uint32_t k = 0; text && k < net->model->nfixed; k++)
        if (!setting_fits(s, &net->model->fixed[k], "gradient", text, mode->range)) return NULL;
    return text;
}

static json_t *evaluation_cell(Experiment *x, void *context) {
    Evaluation *v = context;
    Scope scope = experiment_scope(x), *s = &scope;
    const Ast *e = v->ast, *inputs = AST_SLOT(e, CALL, inputs);
    GradientsCompared gradients;
    const bool compared = gradients_compared(e, &gradients);
    if (inputs->nkids != 2 && !compared) {
        elab_error(s, DIAG_E0303, e->range, "an evaluation takes a net and examples");
        return NULL;
    }
    Scope from;
    const Ast *model = resolve_ast(s, AST_SLOT(inputs->kids[0], ARG, value), &from), *with = NULL;
    if (model->kind == AST_WITH) with = AST_SLOT(model, WITH, settings), model = AST_SLOT(model, WITH, base);
    const TrainUse *train = pipe_find_train(x->pipe, &from, model);
    if (!train && pipe_train_declaration(&from, model)) {
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
    const char *metric = compared ? gradients.name : net_loss(s, train->net, AST_SLOT(e, CALL, callee), true);
    const char *of = compared ? compared_mode(s, train->net, gradients.of) : NULL,
               *to = compared ? compared_mode(s, train->net, gradients.to) : NULL;
    if (compared && (!of || !to)) return NULL;
    json_auto_t *data = slice.json, *overrides = json_array(), *attack = json_null();
    if (!metric || (with && !pipe_overrides(&from, with, train->net, overrides))) return NULL;
    const Ast *asked = sets_gradient(overrides) ? NULL : train->ast;
    if (slice.attack) {
        x->pipe->elab->asked_net = asked;
        attack = pipe_attacks(x->pipe, &slice.attack_scope, slice.attack, train->net, train->loss, false);
        x->pipe->elab->asked_net = NULL;
        if (!attack || !pipe_unmasked(x->pipe, s, train, overrides, attack, experiment_masks(x), slice.attack))
            return NULL;
    }
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:O, s:O, s:O}", "name", v->name, "metric", metric, "model",
                          train->name, "loss", train->loss, "data", data, "attack", attack, "overrides", overrides);
    if (slice.attack && (x->audit || x->pipe->audit)) pipe_audit_later(x->pipe, j, train, asked, &slice, kept_cell(x));
    if (compared) {
        json_object_set_new(j, "of", json_string(of));
        json_object_set_new(j, "to", json_string(to));
    }
    v->metric = metric;
    v->train = train->ast;
    v->plain = !slice.attack && !with;
    return j;
}

/* ---- evaluations on what their settings were chosen on ---- */
static bool overlap(const json_t *a, const json_t *b) {
    static const char *const same[] = {"data", "split"};
    for (int k = 0; k < 2; k++)
        if (!json_equal(json_object_get(a, same[k]), json_object_get(b, same[k]))) return false;
    const json_t *a_to = json_object_get(a, "to"), *b_to = json_object_get(b, "to");
    const json_int_t a_from = json_integer_value(json_object_get(a, "from")),
                     b_from = json_integer_value(json_object_get(b, "from"));
    return (json_is_null(b_to) || a_from < json_integer_value(b_to)) &&
           (json_is_null(a_to) || b_from < json_integer_value(a_to));
}

static bool is_on(const json_t *cell, const json_t *examples) {
    const json_t *data = json_object_get(cell, "data");
    return data && overlap(data, examples);
}

static bool is_attacked(const json_t *cell, const json_t *unused) {
    (void)unused;
    return json_is_object(json_object_get(cell, "attack"));
}

/* Whether the array rests on a cell that is such a one. */
static bool rests_on(const Experiment *x, const char *name, bool (*is)(const json_t *cell, const json_t *examples),
                     const json_t *examples) {
    const json_t *j = experiment_array_json(x, name), *inputs = json_object_get(j, "inputs"),
                 *cells = json_object_get(j, "cells");
    const char *of = json_string_value(json_object_get(j, "of"));
    for (size_t k = 0; k < json_array_size(cells); k++)
        if (is(json_array_get(cells, k), examples)) return true;
    for (size_t k = 0; k < json_array_size(inputs); k++)
        if (rests_on(x, json_string_value(json_array_get(inputs, k)), is, examples)) return true;
    return of && rests_on(x, of, is, examples);
}

static bool same_examples(const json_t *a, const json_t *b) {
    static const char *const same[] = {"data", "split", "from", "to"};
    for (int k = 0; k < 4; k++)
        if (!json_equal(json_object_get(a, same[k]), json_object_get(b, same[k]))) return false;
    return true;
}

static const char *examples_text(Arena *a, const json_t *data) {
    const json_t *to = json_object_get(data, "to");
    return arena_printf(a, "%s.%s[%lld..%s]", json_string_value(json_object_get(data, "data")),
                        json_string_value(json_object_get(data, "split")),
                        (long long)json_integer_value(json_object_get(data, "from")),
                        json_is_null(to) ? "" : number_text(a, (double)json_integer_value(to)));
}

bool experiment_one_set(Experiment *x, const char *name, AxisSet over, Range at) {
    const AxisSet axes = experiment_array(x, name)->cells;
    const json_t *cells = json_object_get(experiment_array_json(x, name), "cells");
    const uint32_t n = experiment_count(x, axes), groups = experiment_count(x, axes & ~over);
    const json_t **first = arena_alloc(arena_of(x), (groups + 1) * sizeof *first);
    const json_t *other = NULL, *own = NULL;
    memset(first, 0, (groups + 1) * sizeof *first);
    for (uint32_t c = 0; c < n && !other; c++) {
        experiment_place(x, axes, c);
        const uint32_t group = experiment_cell(x, axes & ~over);
        own = json_object_get(json_array_get(cells, c), "data");
        if (own && !first[group]) first[group] = own;
        if (own && !same_examples(own, first[group])) other = first[group];
    }
    memset(x->at, 0, x->axes.n * sizeof *x->at);
    if (!other) return true;
    Scope s = experiment_scope(x);
    elab_error(&s, DIAG_E0536, at, "worst_of goes over the same examples: these are evaluations of %s and of %s",
               examples_text(arena_of(x), other), examples_text(arena_of(x), own));
    return false;
}

bool experiment_attacked(const Experiment *x, const char *name) { return rests_on(x, name, is_attacked, NULL); }

static void warn_chosen(Experiment *x, const Ast *e, AxisSet choices, const json_t *cells) {
    const json_t *examples = NULL;
    for (size_t k = 0; k < json_array_size(cells) && !examples; k++)
        examples = json_object_get(json_array_get(cells, k), "data");
    for (uint32_t k = x->axes.nsweeps; examples && k < x->axes.n; k++) {
        const Ast *let = x->axes.axis[k].choice;
        if (!(choices & AXIS(k)) || !rests_on(x, x->axes.axis[k].name, is_on, examples)) continue;
        Diagnostic *d = diag_report(x->pipe->elab->diags, DIAG_W0539, e->range,
                                    "'%s' was chosen on some of these examples: what it does on them is too good",
                                    x->axes.axis[k].name);
        diag_note(d, let->range, "chosen here");
    }
}

const char *experiment_evaluation(Experiment *x, const Ast *e, const char *name) {
    const AxisSet shown = axes_shown(&x->axes, e), cells = shown | axes_hidden(&x->axes, e);
    Evaluation v = {.ast = e, .name = name ? name : experiment_text(x, e->range)};
    if (experiment_array(x, v.name)) return v.name;
    if (!experiment_takes(x, cells & ~shown, e->range)) return NULL;
    json_t *list = experiment_cells(x, cells, evaluation_cell, &v, e->range);
    if (!list) return NULL;
    warn_chosen(x, e, cells & ~shown, list);
    return experiment_add(x,
                          (ArrayNode){.name = v.name,
                                      .kind = "evaluate",
                                      .shown = shown,
                                      .cells = cells,
                                      .train = v.train,
                                      .plain = v.plain,
                                      .percent = strcmp(v.metric, "accuracy") == 0},
                          json_pack("{s:o, s:o}", "cells", list, "alone", experiment_alone(x, cells, e)));
}
