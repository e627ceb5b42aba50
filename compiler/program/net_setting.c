/* net_setting.c - what is known of a trained net before it runs: its settings, net.gradient, net.forward.max,
 * net.body.forward.tol, and its size, net.parameters, net.state_bytes.
 *
 * A net has what its fixed points say, changed by the settings of its `with`.  Where its fixed points differ in the
 * setting, a path says which is meant. */
#include "declarations.h"
#include "items.h"
#include "settings.h"
#include <stdlib.h>
#include <string.h>

/* Splits net.body.forward.max into the net and "body.forward.max"; NULL: no trained net stands in front. */
static const TrainUse *split(Pipe *p, Scope *s, const Ast *e, const char **path, json_t *with) {
    Arena *a = s->elab->arena;
    *path = NULL;
    while (e->kind == AST_MEMBER && !item_experiment(e)) {
        *path = *path ? arena_printf(a, "%s.%s", e->name, *path) : e->name;
        e = AST_SLOT(e, MEMBER, base);
        Scope from;
        const Ast *model = resolve_ast(s, e, &from), *settings = NULL;
        if (model->kind == AST_WITH) settings = AST_SLOT(model, WITH, settings), model = AST_SLOT(model, WITH, base);
        const TrainUse *use = pipe_find_train(p, &from, model);
        if (!use) continue;
        return !settings || pipe_overrides(&from, settings, use->net, with) ? use : NULL;
    }
    return NULL;
}

/* What the list of [path, value] makes of the fixed point's setting; an argument of it, "max", where one is asked for. */
static const char *changed(Scope *s, const char *fixed, const char *key, const char *rest, const char *text,
                           json_t *const lists[2], Range at) {
    Arena *a = s->elab->arena;
    const size_t n = strlen(key);
    deq_fixed_settings settings = {0}; /* no gradient by hand */
    deq_error e = {0};
    deq_call call;
    bool parsed = false;
    char buffer[DEQ_SETTING_TEXT];
    if (!deq_fixed_defaults(&settings, &e)) return NULL;
    for (int l = 0; l < 2; l++)
        for (size_t k = 0; k < json_array_size(lists[l]); k++) {
            const json_t *pair = json_array_get(lists[l], k);
            const char *path = json_string_value(json_array_get(pair, 0)),
                       *value = json_string_value(json_array_get(pair, 1));
            const char *own = arena_printf(a, "%s%s%s", fixed, *fixed ? "." : "", key);
            if (strcmp(path, own) == 0) text = value, parsed = false;
            if (strncmp(path, own, strlen(own)) != 0 || path[strlen(own)] != '.') continue;
            if (!parsed && !setting_read(s, key, text, at, &settings)) return NULL;
            parsed = true;
            if (!setting_read(s, path + strlen(own) - n, value, at, &settings)) return NULL;
            deq_fixed_print(&settings, (deq_fixed_key)deq_fixed_key_find(key, &(const char *){NULL}), buffer,
                            sizeof buffer);
            text = arena_strdup(a, buffer);
        }
    if (!rest) return text;
    if (!parsed && !setting_read(s, key, text, at, &settings)) return NULL;
    if (strcmp(key, "forward") == 0) {
        deq_solver first = deq_solver_link(&settings.forward, 0);
        deq_solver_print(&first, buffer, sizeof buffer);
    } else {
        deq_fixed_print(&settings, (deq_fixed_key)deq_fixed_key_find(key, &(const char *){NULL}), buffer,
                        sizeof buffer);
    }
    if (!deq_call_parse(deq_part_of(buffer), &call, &e)) return NULL;
    for (int k = 0; k < call.count; k++)
        if (deq_part_is(call.arguments[k].name, rest))
            return arena_strndup(a, call.arguments[k].value.text, call.arguments[k].value.length);
    elab_error(s, DIAG_E0313, at, "'%s' has no '%s'", arena_strdup(a, buffer), rest);
    return NULL;
}

/* Its trained parameters; the bytes of one state of each of its fixed points. */
static double counted(const Elab *e, const Model *m, const char *what) {
    double n = 0;
    for (uint32_t k = 0; k < m->nparameters && strcmp(what, "parameters") == 0; k++)
        if (m->parameters[k].trained) n += (double)shape_count(m->parameters[k].shape);
    for (uint32_t k = 0; k < m->nfixed && strcmp(what, "state_bytes") == 0; k++)
        for (uint32_t i = 0; i < m->fixed[k].nstate; i++)
            n += e->real_bytes * (double)shape_count(graph_node(m->fixed[k].body, m->fixed[k].body->inputs[i])->shape);
    return n;
}

static const char *net_setting(Scope *s, const Ast *e, const Ast **train) {
    Pipe *p = s->elab->pipe;
    json_auto_t *with = json_array();
    const char *path, *rest, *found = NULL, *of = NULL;
    const TrainUse *use = split(p, s, e, &path, with);
    if (use && (strcmp(path, "parameters") == 0 || strcmp(path, "state_bytes") == 0))
        return number_text(s->elab->arena, counted(s->elab, use->net->model, path));
    const char *key = use ? pipe_setting_key(path) : NULL;
    if (!key) {
        if (!diags_errors(s->elab->diags)) elab_error(s, DIAG_E0313, e->range, "there is no member '%s' here", e->name);
        return NULL;
    }
    const size_t prefix = key > path ? (size_t)(key - path - 1) : 0;
    const deq_fixed_setting *row = &deq_fixed_table[deq_fixed_key_find(key, &rest)];
    if (train) *train = json_array_size(with) || prefix ? NULL : use->ast;
    const Model *m = use->net->model;
    for (uint32_t k = 0; k < m->nfixed; k++) {
        const FixedPoint *f = &m->fixed[k];
        const bool below =
            !prefix || (strncmp(f->path, path, prefix) == 0 && (f->path[prefix] == 0 || f->path[prefix] == '.'));
        const char *text = strcmp(row->key, "forward") == 0    ? f->forward
                           : strcmp(row->key, "gradient") == 0 ? f->gradient
                                                               : f->finish;
        if (!below) continue;
        text = changed(s, f->path, row->key, rest, text, (json_t *const[2]){(json_t *)(uintptr_t)use->settings, with},
                       e->range);
        if (!text) return NULL;
        if (found && strcmp(found, text) != 0) {
            elab_error(s, DIAG_E0504, e->range,
                       "'%s' is %s in the fixed point %s and %s in %s: a path says which is meant", path, found, of,
                       text, f->path);
            return NULL;
        }
        found = text;
        of = f->path;
    }
    if (!found) elab_error(s, DIAG_E0513, e->range, "'%s' leads to no fixed point of '%s'", path, m->name);
    return found;
}

void pipe_net_settings(Pipe *p) {
    p->elab->pipe = p;
    p->elab->net_setting = net_setting;
}
