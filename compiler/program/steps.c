/* steps.c - settings of a training run that say what a step of the optimiser is made of, and what becomes of it: accumulate,
 * clip, freeze, rates, average; and metric, what is logged beside the loss. */
#include "declarations.h"
#include "names.h"
#include "nearest.h"
#include <string.h>

/* The name of a row of a table, norm(most: 1); left out where it is none. */
static bool put_row(Scope *s, const Ast *value, const deq_family *f, const char *key, json_t *out) {
    const char *text = value ? row_text(s, f, value) : "none";
    if (text && strcmp(text, "none") != 0) json_object_set_new(out, key, json_string(text));
    return text != NULL;
}

/* The path as a text; NULL, and an error, where no trained parameter stands at it or below. */
static const char *parameter_path(Scope *s, const Net *net, const Ast *e) {
    enum { MOST = 64 };
    char path[512];
    const Model *m = net->model;
    const char *names[MOST];
    int n = 0;
    if (!ast_path(e, path, sizeof path)) return elab_error(s, DIAG_E0513, e->range, "this is no path"), NULL;
    for (uint32_t k = 0; k < m->nparameters; k++) {
        if (!m->parameters[k].trained) continue;
        if (deq_path_under(m->parameters[k].path, path)) return arena_strdup(s->elab->arena, path);
        if (n < MOST) names[n++] = m->parameters[k].path;
    }
    const char *near = deq_nearest(path, names, n);
    elab_error_help(s, DIAG_E0513, e->range,
                    near ? arena_printf(s->elab->arena, "did you mean '%s'?", near)
                    : n ? arena_printf(s->elab->arena, "a path of `use` names, or one with a parameter's: %s", names[0])
                        : "it has none",
                    "'%s' leads to no trained parameter of '%s'", path, m->name);
    return NULL;
}

static bool put_freeze(Scope *s, const Net *net, const Ast *value, json_t *out) {
    if (!value) return true;
    json_t *list = json_array();
    const bool many = value->kind == AST_ARRAY;
    for (uint32_t i = 0; i < (many ? value->nkids : 1); i++) {
        const char *path = parameter_path(s, net, many ? value->kids[i] : value);
        if (!path) return json_decref(list), false;
        json_array_append_new(list, json_string(path));
    }
    if (json_array_size(list)) json_object_set(out, "freeze", list);
    json_decref(list);
    return true;
}

static bool put_rates(Scope *s, const Net *net, const Ast *item, json_t *out) {
    const Ast *list = item ? AST_SLOT(item, SETTING, block) : NULL;
    json_t *rates = json_array();
    bool good = true;
    for (uint32_t i = 0; list && good && i < list->nkids; i++) {
        const Ast *rate = list->kids[i], *value = AST_SLOT(rate, SETTING, value);
        const char *path = parameter_path(s, net, AST_SLOT(rate, SETTING, key));
        double factor = 0;
        good = path && eval_number(s, value, &factor) && pipe_within(s, "rates", value->range, factor, false);
        if (good) json_array_append_new(rates, json_pack("[s, f]", path, factor));
    }
    if (good && json_array_size(rates)) json_object_set(out, "rates", rates);
    json_decref(rates);
    return good;
}

static bool put_metric(Scope *s, Net *net, const Ast *value, json_t *out) {
    if (!value) return true;
    Scope from;
    const char *routine = net_loss(s, net, value, true);
    if (!routine) return false;
    const Ast *e = resolve_ast(s, value, &from), *base = e->kind == AST_CALL ? AST_SLOT(e, CALL, callee) : e;
    json_object_set_new(out, "metric", json_pack("{s:s, s:s}", "routine", routine, "name", base->name));
    return true;
}

/* The loss gets the routine that a replay of batches takes. */
static bool put_replay(Scope *s, Net *net, const char *loss, const Ast *value, json_t *out) {
    if (!put_row(s, value, &deq_replay_family, "replay", out)) return false;
    if (!json_object_get(out, "replay")) return true;
    const LossOfNet *own = net_loss_called(net, loss);
    if (own) return net->model->losses[own->loss].replays = true;
    return elab_error(s, DIAG_E0506, value->range, "a loss of clean and attacked outputs cannot be replayed"), false;
}

bool pipe_steps(Scope *s, const Ast *settings, Net *net, const char *loss, json_t *out) {
    double accumulate;
    if (!pipe_whole(s, settings, "accumulate", &accumulate)) return false;
    if (accumulate > 1) json_object_set_new(out, "accumulate", json_integer((json_int_t)accumulate));
    return put_row(s, ast_setting_value(settings, "clip"), &deq_clip_family, "clip", out) &&
           put_row(s, ast_setting_value(settings, "average"), &deq_average_family, "average", out) &&
           put_replay(s, net, loss, ast_setting_value(settings, "replay"), out) &&
           put_row(s, ast_setting_value(settings, "intermediate"), &deq_intermediate_family, "intermediate", out) &&
           put_freeze(s, net, ast_setting_value(settings, "freeze"), out) &&
           put_rates(s, net, ast_setting(settings, "rates"), out) &&
           put_metric(s, net, ast_setting_value(settings, "metric"), out);
}
