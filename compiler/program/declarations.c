/* declarations.c - data, training runs and tests: declarations to members of the manifest (runtime/MANIFEST.md). */
#include "asked.h"
#include "declarations.h"
#include "tables.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int json_line(const Ast *node) {
    return node->range.source ? (int)source_position(node->range.source, node->range.start).line : 0;
}

static json_t *json_number(double x) {
    if (x == floor(x) && fabs(x) < 1e15) return json_integer((json_int_t)x);
    return json_real(isinf(x) ? copysign(DBL_MAX, x) : x);
}

static json_t *json_shape(Shape s) {
    json_t *list = json_array();
    for (uint32_t k = 0; k < s.rank; k++) json_array_append_new(list, json_integer(s.dims[k]));
    return list;
}

/* ---- data ---- */
static DataUse *use_data(Pipe *p, Scope *s, const Ast *decl, const Module *owner) {
    Elab *e = p->elab;
    for (uint32_t k = 0; k < p->ndatasets; k++)
        if (p->datasets[k]->decl == decl) return p->datasets[k];
    const Ast *type = AST_SLOT(decl, DATA, type), *value = AST_SLOT(decl, DATA, value);
    Scope inner = scope_of_module(e, owner);
    inner.frame = s->frame;
    if (type->kind != AST_TUPLE_TYPE || type->nkids != 2)
        return elab_error(s, DIAG_E0509, type->range, "the type of a dataset is (type of an input, type of a target)"),
               NULL;
    DataUse *d = arena_alloc(e->arena, sizeof *d);
    d->decl = decl;
    d->name = decl->name;
    for (uint32_t k = 0, n = 2; k < p->ndatasets; k++) /* another module's may be called the same */
        if (strcmp(p->datasets[k]->name, d->name) == 0)
            d->name = arena_printf(e->arena, "%s_%u", decl->name, n++), k = UINT32_MAX;
    uint32_t classes;
    if (!eval_type(&inner, type->kids[0], &d->input, &classes)) return NULL;
    if (!eval_type(&inner, type->kids[1], &d->target.shape, &d->target.classes)) return NULL;
    char path[512];
    if (value->kind != AST_CALL || !ast_path(AST_SLOT(value, CALL, callee), path, sizeof path))
        return elab_error(s, DIAG_E0508, value->range, "a reader is needed here, such as fashion_mnist()"), NULL;
    const char *reader = strrchr(path, '.') ? strrchr(path, '.') + 1 : path;
    const deq_row *row = reader_find(reader);
    d->delivery = row ? reader_delivery(row) : NULL;
    json_t *arguments = json_object();
    const Ast *list = AST_SLOT(value, CALL, inputs);
    for (uint32_t k = 0; k < list->nkids; k++) {
        const Ast *arg = list->kids[k];
        Scope from;
        const Ast *v = resolve_ast(&inner, AST_SLOT(arg, ARG, value), &from);
        const deq_argument *nth = row ? deq_argument_at(&deq_reader_family, row, 0, (int)k) : NULL;
        const char *name = arg->name ? arg->name : nth ? nth->name : NULL;
        if (!name) return elab_error(s, DIAG_E0303, arg->range, "'%s' takes fewer arguments", reader), NULL;
        double x;
        if (v->kind == AST_STRING)
            json_object_set_new(arguments, name, json_string(v->name));
        else if (eval_number(&from, v, &x))
            json_object_set_new(arguments, name, json_number(x));
        else
            return NULL;
    }
    json_t *target = d->target.classes ? json_pack("{s:i}", "label", (int)d->target.classes)
                                       : json_pack("{s:o}", "shape", json_shape(d->target.shape));
    json_array_append_new(p->data, json_pack("{s:s, s:s*, s:o, s:o, s:o, s:i}", "name", d->name, "reader",
                                             arena_strdup(e->arena, reader), "arguments", arguments, "input",
                                             json_shape(d->input), "target", target, "line", json_line(decl)));
    *ARENA_PUSH(e->arena, p->datasets, p->ndatasets, p->datasets_cap) = d;
    return d;
}

/* examples |> crop(pad: 4): appended to the list as ["crop", {"pad": 4}]. */
static bool add_transform(Scope *s, const Ast *right, json_t *list) {
    const Ast *callee = right->kind == AST_CALL ? AST_SLOT(right, CALL, callee) : right;
    const deq_row *t = callee->kind == AST_NAME ? transform_find(callee->name) : NULL;
    if (!t) return elab_error(s, DIAG_E0530, right->range, "this is no transformation of examples"), false;
    json_t *arguments = json_object();
    const Ast *given = right->kind == AST_CALL ? AST_SLOT(right, CALL, inputs) : NULL;
    for (uint32_t k = 0; given && k < given->nkids; k++) {
        const Ast *arg = given->kids[k];
        const deq_argument *a = arg->name ? deq_argument_find(&deq_transform_family, t, deq_part_of(arg->name))
                                          : deq_argument_at(&deq_transform_family, t, 0, (int)k);
        double x;
        deq_complaint why;
        if (!a || !eval_number(s, AST_SLOT(arg, ARG, value), &x)) return false;
        if (!deq_number_fits(a, arena_printf(s->elab->arena, "%s' of '%s", a->name, t->name), x, &why))
            return elab_error(s, DIAG_E0412, arg->range, "%s", why.text), false;
        json_object_set_new(arguments, a->name, json_number(x));
    }
    json_array_insert_new(list, 0, json_pack("[s, o]", t->name, arguments));
    return true;
}

/* A slice beyond what its reader can have is refused here; where the files decide, when they are opened. */
static bool within(Scope *s, const Ast *given, const DataUse *d, const char *split, double low, double high,
                   double *most) {
    const double count = d->delivery ? (double)d->delivery->most[strcmp(split, "test") == 0] : 0;
    *most = high >= 0 ? high - low : count - low;
    if (!count || high <= count) return true;
    return elab_error(s, DIAG_E0507, given->range,
                      "%s.%s[%.0f..%.0f] reaches past the end: the reader of %s has %.0f examples there", d->name,
                      split, low, high, d->name, count),
           false;
}

bool pipe_slice(Pipe *p, Scope *s, const Ast *given, Slice *out) {
    *out = (Slice){0};
    Scope from;
    const Ast *e = resolve_ast(s, given, &from);
    if (e->kind == AST_UNDER) {
        out->attack = is_none(&from, AST_SLOT(e, UNDER, attack)) ? NULL : AST_SLOT(e, UNDER, attack);
        out->attack_scope = from;
        e = resolve_ast(&from, AST_SLOT(e, UNDER, base), &from);
    }
    double low = 0, high = -1;
    json_t *transforms = NULL; /* the last one is met first */
    while (e->kind == AST_BINARY && strcmp(e->name, "|>") == 0) {
        if (!transforms) transforms = json_array();
        if (!add_transform(&from, AST_SLOT(e, BINARY, right), transforms)) return false;
        e = resolve_ast(&from, AST_SLOT(e, BINARY, left), &from);
    }
    while (e->kind == AST_INDEX) { /* a slice of a slice counts from where that begins */
        const Ast *indices = AST_SLOT(e, INDEX, indices);
        Value r = indices->nkids == 1 ? eval(&from, indices->kids[0]) : (Value){0};
        if (r.kind != VALUE_RANGE || r.number < 0 || r.limit <= r.number)
            return elab_error(s, DIAG_E0507, indices->range, "a slice of examples is a range such as [0..1000]"), false;
        if (high >= 0 && r.number + high > r.limit)
            return elab_error(s, DIAG_E0507, given->range, "[%.0f..%.0f] reaches past the end of these %.0f examples",
                              low, high, r.limit - r.number),
                   false;
        high = high >= 0 ? r.number + high : r.limit;
        low += r.number;
        e = resolve_ast(&from, AST_SLOT(e, INDEX, base), &from);
    }
    const Module *owner = NULL;
    char path[512];
    bool split = e->kind == AST_MEMBER && (strcmp(e->name, "train") == 0 || strcmp(e->name, "test") == 0);
    const Ast *base = split ? resolve_ast(&from, AST_SLOT(e, MEMBER, base), &from) : NULL;
    const Ast *decl = base && ast_path(base, path, sizeof path) ? module_find(from.module, path, &owner) : NULL;
    if (!decl || decl->kind != AST_DATA)
        return elab_error(s, DIAG_E0507, given->range, "examples are needed here, such as d.train or d.test[0..1000]"),
               false;
    out->data = use_data(p, s, decl, owner);
    if (!out->data || !within(s, given, out->data, e->name, low, high, &out->most)) return false;
    out->json = json_pack("{s:s, s:s, s:o, s:o, s:i}", "data", out->data->name, "split", e->name, "from",
                          json_integer((json_int_t)low), "to", high < 0 ? json_null() : json_integer((json_int_t)high),
                          "line", json_line(given));
    if (transforms) json_object_set_new(out->json, "transforms", transforms);
    return true;
}

/* ---- overrides ---- */
static bool is_fixed_setting(const char *key) {
    const char *rest;
    return deq_fixed_key_find(key, &rest) >= 0;
}

const char *pipe_setting_key(const char *path) {
    while (path && !is_fixed_setting(path)) path = strchr(path, '.') ? strchr(path, '.') + 1 : NULL;
    return path;
}

/* Its value as text; NULL after an error. */
static const char *override_text(Scope *s, const Ast *at, const char *path, const Ast *value) {
    const char *key = pipe_setting_key(path);
    if (key) return setting_text(s, key, value);
    return elab_error(s, DIAG_E0513, at->range, "'%s' leads to no setting of a fixed point", path), NULL;
}

static bool pipe_override(Scope *s, const Ast *at, const char *path, const char *value, const Net *net, json_t *out) {
    Arena *a = s->elab->arena;
    const Model *m = net->model;
    const char *key = pipe_setting_key(path);
    size_t prefix = key && key > path ? (size_t)(key - path - 1) : 0;
    bool any = false;
    for (uint32_t k = 0; key && k < m->nfixed; k++) {
        const char *fixed = m->fixed[k].path;
        bool below = prefix == 0 || (strncmp(fixed, path, prefix) == 0 && (fixed[prefix] == 0 || fixed[prefix] == '.'));
        bool seen = false;
        for (uint32_t i = 0; i < k; i++) seen |= strcmp(m->fixed[i].path, fixed) == 0;
        if (!below) continue;
        any = true;
        if (!setting_fits(s, &m->fixed[k], key, value, at->range)) return false;
        if (strcmp(key, "penalty") == 0 && !model_penalty(s, net->model, value, at->range)) return false;
        if (seen) continue;
        json_array_append_new(out,
                              json_pack("[s, s]", arena_printf(a, "%s%s%s", fixed, *fixed ? "." : "", key), value));
    }
    if (!any) elab_error(s, DIAG_E0513, at->range, "'%s' leads to no fixed point of '%s'", path, m->name);
    return any;
}

bool pipe_overrides(Scope *s, const Ast *given, const Net *net, json_t *out) {
    const Ast *settings = scope_settings(s, given);
    for (uint32_t k = 0; k < settings->nkids; k++) {
        const Ast *item = settings->kids[k];
        if (item->kind != AST_SETTING) continue;
        const Ast *key = AST_SLOT(item, SETTING, key), *value = AST_SLOT(item, SETTING, value);
        char path[512];
        if (!ast_path(key, path, sizeof path) || !value)
            return elab_error(s, DIAG_E0513, item->range, "an override is a path and a value"), false;
        bool defence = strcmp(path, "defence") == 0;
        const char *text = defence ? defence_text(s, value) : override_text(s, key, path, value);
        if (defence && text) {
            json_array_append_new(out, json_pack("[s, s]", path, text));
            continue;
        }
        if (!text || !pipe_override(s, key, path, text, net, out)) return false;
    }
    return true;
}

/* ---- training runs ---- */
json_t *pipe_scalars(const Scalars *s) {
    json_t *list = json_array();
    for (uint32_t k = 0; k < s->n; k++) {
        json_t *j = json_pack("{s:s, s:o}", "name", s->items[k].name, "value", json_number(s->items[k].value));
        if (s->items[k].whole) json_object_set_new(j, "whole", json_true());
        if (s->items[k].count) json_object_set_new(j, "count", json_true());
        if (s->items[k].computed) json_object_set_new(j, "computed", json_true());
        if (s->items[k].bounded && isfinite(s->items[k].low))
            json_object_set_new(j, "low", json_number(s->items[k].low));
        if (s->items[k].bounded && isfinite(s->items[k].high))
            json_object_set_new(j, "high", json_number(s->items[k].high));
        if (s->items[k].low_by) json_object_set_new(j, "low_by", json_string(s->items[k].low_by));
        if (s->items[k].high_by) json_object_set_new(j, "high_by", json_string(s->items[k].high_by));
        for (uint32_t i = 0; i < s->items[k].nchoices; i++) {
            if (i == 0) json_object_set_new(j, "choices", json_array());
            json_array_append_new(json_object_get(j, "choices"), json_number(s->items[k].choices[i]));
        }
        json_array_append_new(list, j);
    }
    return list;
}

/* The metric `accuracy`, where the net has a vector of outputs and a label. */
static void net_accuracy(Elab *e, Net *net) {
    const Shape out = value_shape(net->output);
    if (!net->target.classes || out.rank != 1 || out.dims[0] != net->target.classes) return; /* several heads, say */
    Ast name = {.kind = AST_NAME, .name = "accuracy"};
    Scope s = scope_of_module(e, e->program->main);
    net_loss(&s, net, arena_copy(e->arena, &name, sizeof name), true);
}

bool pipe_within(Scope *s, const char *key, Range at, double x, bool whole) {
    const Setting *row = setting_find("train", key);
    const deq_argument a = {.name = key, .type = whole ? DEQ_WHOLE : DEQ_NUMBER, .low = row->low, .high = row->high};
    deq_complaint why;
    return deq_number_fits(&a, key, x, &why) || (elab_error(s, DIAG_E0412, at, "%s", why.text), false);
}

static bool number(Scope *s, const Ast *list, const char *key, bool whole, double *out) {
    const Ast *value = ast_setting_value(list, key);
    *out = strtod(setting_find("train", key)->fallback, NULL);
    return !value || (eval_number(s, value, out) && pipe_within(s, key, value->range, *out, whole));
}

bool pipe_whole(Scope *s, const Ast *list, const char *key, double *out) { return number(s, list, key, true, out); }

/* The first thing in which the parameters of the one net are not those of the other: paths and shapes, in one order.
 * NULL: there is none. */
static const char *other_parameter(Arena *arena, const Model *there, const Model *here) {
    for (uint32_t k = 0; k < there->nparameters || k < here->nparameters; k++) {
        const Parameter *p = k < there->nparameters ? &there->parameters[k] : NULL,
                        *q = k < here->nparameters ? &here->parameters[k] : NULL;
        if (!p || !q) return arena_printf(arena, "%s is only %s", p ? p->path : q->path, p ? "there" : "here");
        if (strcmp(p->path, q->path) != 0)
            return arena_printf(arena, "parameter %u is %s there and %s here", k + 1, p->path, q->path);
        if (!shape_equal(p->shape, q->shape))
            return arena_printf(arena, "%s is %s there and %s here", p->path, shape_text(arena, p->shape),
                                shape_text(arena, q->shape));
        if (p->trained != q->trained)
            return arena_printf(arena, "%s is a %s there and a %s here", p->path,
                                p->trained ? "parameter" : "statistic", q->trained ? "parameter" : "statistic");
    }
    return NULL;
}

/* A net trained above, in the cell that is read or in the file: the run begins with its parameters. */
static json_t *pipe_trained(Pipe *p, Scope *s, const Ast *name, const Net *net, Range at) {
    Arena *a = p->elab->arena;
    const TrainUse *use = pipe_find_train(p, s, name);
    if (!use)
        return elab_error(s, DIAG_E0504, at, "'%s' is not trained yet: 'start' names a train that stands above",
                          range_text(a, at)),
               NULL;
    const char *other = other_parameter(a, use->net->model, net->model);
    if (other)
        return elab_error(s, DIAG_E0504, at, "'%s' has the parameters of %s, this net is %s: %s", range_text(a, at),
                          use->net->model->name, net->model->name, other),
               NULL;
    return use->in_cell ? json_pack("{s:s, s:i}", "train", use->name, "cell", (int)use->cell)
                        : json_pack("{s:s}", "train", use->name);
}

/* weights("file", map: "names.map") */
static json_t *pipe_weights(Pipe *p, Scope *s, const Ast *given, const Net *net) {
    Scope from;
    const Ast *e = resolve_ast(s, given, &from);
    if (e->kind == AST_NAME || e->kind == AST_MEMBER || e->kind == AST_TRAIN)
        return pipe_trained(p, &from, e, net, given->range);
    if (e->kind != AST_CALL) return elab_error(s, DIAG_E0504, given->range, "'start' is weights(\"file\")"), NULL;
    static const char *const names[] = {"file", "map"};
    const Ast *list = AST_SLOT(e, CALL, inputs);
    json_t *j = json_object();
    for (uint32_t k = 0; k < list->nkids; k++) {
        const Ast *arg = list->kids[k];
        Scope inner;
        const Ast *v = resolve_ast(&from, AST_SLOT(arg, ARG, value), &inner);
        if (v->kind != AST_STRING || (!arg->name && k > 1))
            return elab_error(s, DIAG_E0504, arg->range, "a file's name is needed here"), NULL;
        json_object_set_new(j, arg->name ? arg->name : names[k], json_string(v->name));
    }
    return j;
}

/* Not always the last of p->uses: settings that are read behind it may have asked for runs of other modules. */
static json_t *pipe_train_named(Pipe *p, Scope *s, const Ast *train, const char *called, bool in_cell,
                                TrainUse **made) {
    Elab *e = p->elab;
    const Ast *settings = scope_settings(s, AST_SLOT(train, TRAIN, settings));
    Slice data, validate = {0};
    if (!pipe_slice(p, s, AST_SLOT(train, TRAIN, data), &data)) return NULL;
    if (data.attack)
        return elab_error(s, DIAG_E0507, train->range, "adversarial training is spelled `attack:` among the settings"),
               NULL;
    Scope from;
    const Ast *model = resolve_ast(s, AST_SLOT(train, TRAIN, model), &from), *with = NULL;
    if (model->kind == AST_WITH) with = AST_SLOT(model, WITH, settings), model = AST_SLOT(model, WITH, base);
    const Instance *instance = layer_instance(&from, model, "");
    if (!instance) return NULL;
    Net *net = net_find(s, instance, data.data->input, data.data->target, AST_SLOT(train, TRAIN, model)->range);
    if (!net) return NULL;
    const Ast *loss_ast = ast_setting_value(settings, "loss"), *optimiser_ast = ast_setting_value(settings, "optimise"),
              *start_ast = ast_setting_value(settings, "start");
    if (!loss_ast || (!optimiser_ast && !start_ast))
        return elab_error(s, DIAG_E0502, train->range, "training needs `loss` and `optimise`"), NULL;
    const char *loss = net_loss(s, net, loss_ast, false);
    OptimiserUse optimiser;
    if (!loss || (optimiser_ast && !optimiser_use(s, optimiser_ast, &optimiser))) return NULL;
    net_accuracy(e, net);
    json_t *start = json_null();
    if (start_ast && !(start = pipe_weights(p, s, start_ast, net))) return NULL;
    double batch, epochs, seed, examples, spectrum, checkpoint;
    if (!pipe_whole(s, settings, "batch", &batch) || !pipe_whole(s, settings, "epochs", &epochs) ||
        !pipe_whole(s, settings, "seed", &seed) || !pipe_whole(s, settings, "examples", &examples) ||
        !pipe_whole(s, settings, "spectrum", &spectrum) || !number(s, settings, "checkpoint", false, &checkpoint))
        return NULL;
    if (data.most > 0 && examples > data.most)
        return elab_error(s, DIAG_E0507, ast_setting_value(settings, "examples")->range,
                          "an epoch of %.0f examples, of %.0f that there are", examples, data.most),
               NULL;
    if (optimiser_ast && !ast_setting_value(settings, "epochs")) epochs = 1;
    const Ast *statistics = ast_setting_value(settings, "batch_statistics");
    const bool in_batch =
        asked_in_batch(e, called, statistics && strcmp(statistics->name, "train") == 0) && net->model->coupled;
    json_t *kept = json_array(), *overrides = json_array(), *attack = json_null();
    if (with && !pipe_overrides(&from, with, net, kept)) return NULL;
    for (uint32_t k = 0; k < settings->nkids; k++) {
        const Ast *item = settings->kids[k], *key = item->kind == AST_SETTING ? AST_SLOT(item, SETTING, key) : NULL;
        char path[512];
        if (!key || !ast_path(key, path, sizeof path)) continue;
        const Ast *value = AST_SLOT(item, SETTING, value);
        if (strcmp(path, "attack") == 0 && is_none(s, value)) {
            continue;
        } else if (strcmp(path, "attack") == 0) {
            AttackUse use, batch_use;
            Scope inner;
            const Ast *against = NULL;
            const char *word = NULL, *name = NULL;
            AttackSettings with = {0};
            if (pipe_combination(s, value, &inner, &word, &name, &with))
                return elab_error(s, DIAG_E0504, value->range,
                                  "a net trains against one attack; '%s' is for evaluations", word),
                       NULL;
            asked_train(e, train, called);
            const bool reads = attack_against(s, value, NULL, &against, &inner) &&
                               (against || attack_use(s, value, NULL, net, loss, false, &use)) &&
                               (against || !in_batch || attack_use(s, value, NULL, net, loss, true, &batch_use));
            asked_train(e, NULL, NULL);
            if (!reads) return NULL;
            if (against)
                return elab_error(s, DIAG_E0504, value->range,
                                  "a net trains against attacks on itself; 'against' is for evaluations"),
                       NULL;
            if (in_batch && use.judge && strcmp(use.judge, "surrogate") == 0)
                return elab_error(s, DIAG_E0504, value->range,
                                  "'judge: surrogate' takes losses within a solve, where 'batch_statistics: train' has "
                                  "no batch"),
                       NULL;
            attack = pipe_attack(&use);
            if (in_batch) {
                json_object_set_new(attack, "in_batch", json_string(batch_use.routine));
                json_object_set_new(attack, "in_batch_hash", json_string(batch_use.hash));
            }
        } else if (strcmp(path, "validate") == 0) {
            if (!pipe_slice(p, s, value, &validate)) return NULL;
        } else if (key->kind == AST_MEMBER || (is_fixed_setting(path) && value != start_ast)) {
            const char *text = override_text(s, key, path, value);
            if (!text || !pipe_override(s, key, path, text, net, overrides)) return NULL;
        }
    }
    const Ast *keep = ast_setting_value(settings, "keep");
    if (keep && strcmp(keep->name, "best_robust") == 0 && json_is_null(attack)) /* `none`, perhaps of a sweep */
        return elab_error(s, DIAG_E0502, keep->range, "'keep: best_robust' needs 'attack' (%s), here it is none",
                          setting_find("train", "attack")->doc),
               NULL;
    TrainUse *use = arena_alloc(e->arena, sizeof *use);
    *use = (TrainUse){train, called, net, loss, in_cell, 0, kept};
    *ARENA_PUSH(e->arena, p->uses, p->nuses, p->uses_cap) = *made = use;
    json_t *j =
        json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i}", "name", called, "net",
                  net->model->name, "data", data.json, "loss", loss, "batch", json_number(batch), "epochs",
                  json_number(epochs), "seed", json_number(seed), "examples",
                  examples > 0 ? json_number(examples) : json_null(), "attack", attack, "settings", kept, "overrides",
                  overrides, "validate", validate.json ? validate.json : json_null(), "line", json_line(train));
    if (keep && strcmp(keep->name, "last") != 0) json_object_set_new(j, "keep", json_string(keep->name));
    if (checkpoint > 0) json_object_set_new(j, "checkpoint", json_real(checkpoint));
    if (spectrum > 0) json_object_set_new(j, "spectrum", json_number(spectrum));
    if (start_ast) json_object_set_new(j, "start", start);
    if (optimiser_ast)
        json_object_set_new(j, "optimiser",
                            json_pack("{s:s, s:s, s:i, s:o, s:s}", "name", optimiser.name, "routine", optimiser.routine,
                                      "states", (int)optimiser.states, "scalars", pipe_scalars(&optimiser.scalars),
                                      "hash", optimiser.hash));
    if (pipe_steps(s, settings, net, loss, j)) return j;
    json_decref(j);
    return NULL;
}

json_t *pipe_train(Pipe *p, Scope *s, const Ast *train, bool in_cell, TrainUse **made) {
    return pipe_train_named(p, s, train, train->name, in_cell, made);
}

/* setup.net; a number behind it where two modules have one path, beside different files. */
static const char *name_in_module(const Pipe *p, const Module *m, const Ast *train) {
    Arena *a = p->elab->arena;
    const char *plain = arena_printf(a, "%s.%s", module_called(p->elab->program, m), train->name), *name = plain;
    for (uint32_t k = 0, n = 2; k < p->nuses; k++)
        if (strcmp(p->uses[k]->name, name) == 0) name = arena_printf(a, "%s_%u", plain, n++), k = UINT32_MAX;
    return name;
}

const TrainUse *pipe_train_of_module(Pipe *p, const Ast *train) {
    Elab *e = p->elab;
    const Module *owner = program_owner(e->program, train);
    if (!owner || owner == e->program->main) return NULL;
    Scope s = scope_of_module(e, owner);
    const Pipe before = *p; /* whatever is read now, this run is of no cell */
    const Ast *asked = e->asked_net, *trained_against = e->trained_against;
    const char *training = e->training;
    TrainUse *made;
    p->in_cell = NULL;
    p->cell = NULL;
    e->asked_net = NULL;
    const char *name = name_in_module(p, owner, train);
    json_t *j = pipe_train_named(p, &s, train, name, false, &made);
    p->in_cell = before.in_cell;
    p->cell = before.cell;
    e->asked_net = asked;
    e->training = training;
    e->trained_against = trained_against;
    if (!j) return NULL;
    json_array_append_new(p->trains, j);
    json_array_append_new(p->run, json_pack("{s:s}", "train", name));
    return made;
}

/* ---- tests ---- */
json_t *pipe_test(Pipe *p, Scope *s, const Ast *test) {
    Elab *e = p->elab;
    const Ast *items = AST_SLOT(test, TEST, items), *check = ast_setting_value(items, "check");
    for (uint32_t k = 0; k < items->nkids; k++) statement(s, items->kids[k]);
    if (!check || check->kind != AST_CALL || AST_SLOT(check, CALL, callee)->kind != AST_NAME ||
        strcmp(AST_SLOT(check, CALL, callee)->name, "gradcheck") != 0)
        return elab_error(s, DIAG_E0504, test->range, "a test has `check: gradcheck(Layer[..])`"), NULL;
    const Ast *list = AST_SLOT(check, CALL, inputs), *layer = NULL;
    double directions = 8, tol = 1e-3;
    static const char *const names[] = {"layer", "directions", "tol"};
    for (uint32_t k = 0; k < list->nkids; k++) {
        const Ast *arg = list->kids[k], *value = AST_SLOT(arg, ARG, value);
        const char *name = arg->name ? arg->name : k < 3 ? names[k] : "";
        if (strcmp(name, "layer") == 0)
            layer = value;
        else if (strcmp(name, "directions") == 0) {
            if (!eval_number(s, value, &directions)) return NULL;
        } else if (strcmp(name, "tol") == 0) {
            if (!eval_number(s, value, &tol)) return NULL;
        } else
            return elab_error(s, DIAG_E0304, arg->range, "gradcheck has no argument '%s'", name), NULL;
    }
    if (!layer) return elab_error(s, DIAG_E0303, check->range, "gradcheck needs a layer"), NULL;
    Scope from;
    const Ast *model = resolve_ast(s, layer, &from), *with = NULL;
    if (model->kind == AST_WITH) with = AST_SLOT(model, WITH, settings), model = AST_SLOT(model, WITH, base);
    const Instance *instance = layer_instance(&from, model, "");
    if (!instance) return NULL;
    Net *net =
        net_find(s, instance, (Shape){.rank = UINT32_MAX}, (Target){.shape = {.rank = UINT32_MAX}}, layer->range);
    if (!net) return NULL;
    json_t *overrides = json_array();
    if (with && !pipe_overrides(&from, with, net, overrides)) return NULL;
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:i}", "name", test->name, "check", "gradcheck", "net",
                     net->model->name, "loss", net_projection_loss(net, e), "directions", json_number(directions),
                     "tol", json_number(tol), "overrides", overrides, "line", json_line(test));
}
