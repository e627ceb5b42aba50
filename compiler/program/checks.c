/* checks.c - `check` blocks and the gradchecks of trained nets, as members of the manifest. */
#include "declarations.h"
#include "tables.h"
#include <string.h>

/* finite_difference(directions: n), or a gradient mode. */
static const char *reference_text(Scope *s, const Ast *given) {
    Arena *a = s->elab->arena;
    Scope from;
    if (!given) return setting_find("compare", "reference")->fallback;
    const Ast *e = resolve_ast(s, given, &from), *callee = e->kind == AST_CALL ? AST_SLOT(e, CALL, callee) : e;
    if (callee->kind != AST_NAME || strcmp(callee->name, "finite_difference") != 0)
        return setting_text(s, "gradient", given);
    const Ast *list = e->kind == AST_CALL ? AST_SLOT(e, CALL, inputs) : NULL;
    double directions;
    if (!list || list->nkids == 0) return arena_printf(a, "%s()", callee->name);
    if (!eval_number(&from, AST_SLOT(list->kids[0], ARG, value), &directions)) return NULL;
    return arena_printf(a, "%s(directions: %s)", callee->name, number_text(a, directions));
}

json_t *pipe_check(Pipe *p, Scope *s, const Ast *check) {
    Elab *e = p->elab;
    const Ast *items = AST_SLOT(check, CHECK, items), *setting = ast_setting(items, "compare"),
              *compared = ast_setting_value(items, "compare"),
              *block = setting ? AST_SLOT(setting, SETTING, block) : NULL;
    for (uint32_t k = 0; k < items->nkids; k++) statement(s, items->kids[k]);
    const Ast *list = compared && compared->kind == AST_CALL ? AST_SLOT(compared, CALL, inputs) : NULL;
    const Ast *modes = ast_setting_value(block, "modes"), *reference = ast_setting_value(block, "reference");
    if (!list || list->nkids != 1 || !modes || modes->kind != AST_ARRAY)
        return elab_error(s, DIAG_E0504, check->range, "a check has `compare: gradients(Layer[..]) { modes: [..] }`"),
               NULL;
    const Ast *given = AST_SLOT(list->kids[0], ARG, value), *with = NULL;
    Scope from;
    const Ast *model = resolve_ast(s, given, &from);
    if (model->kind == AST_WITH) with = AST_SLOT(model, WITH, settings), model = AST_SLOT(model, WITH, base);
    const TrainUse *train = pipe_find_train(p, &from, model);
    Net *net = train ? train->net : NULL;
    const char *loss = train ? train->loss : NULL;
    if (!train) {
        const Instance *instance = layer_instance(&from, model, "");
        if (!instance) return NULL;
        net = net_find(s, instance, (Shape){.rank = UINT32_MAX}, (Target){.shape = {.rank = UINT32_MAX}}, given->range);
        if (!net) return NULL;
        loss = net_projection_loss(net, e);
    }
    json_t *overrides = json_array(), *texts = json_array();
    if (with && !pipe_overrides(&from, with, net, overrides)) return NULL;
    for (uint32_t k = 0; k < modes->nkids; k++) {
        const char *text = setting_text(s, "gradient", modes->kids[k]);
        if (!text) return NULL;
        for (uint32_t i = 0; i < net->model->nfixed; i++)
            if (!setting_fits(s, &net->model->fixed[i], "gradient", text, modes->kids[k]->range)) return NULL;
        json_array_append_new(texts, json_string(text));
    }
    const char *text = reference_text(s, reference);
    if (!text) return NULL;
    return json_pack("{s:s, s:s, s:o, s:s, s:o, s:s, s:o, s:i}", "name", check->name ? check->name : "", "net",
                     net->model->name, "train", train ? json_string(train->name) : json_null(), "loss", loss, "modes",
                     texts, "reference", text, "overrides", overrides, "line", json_line(check));
}

/* The training run `train` (JSON) as a gradcheck of its net with its loss and settings, once for each net. */
static void net_test(Pipe *p, json_t *train) {
    Arena *a = p->elab->arena;
    json_t *settings = json_copy(json_object_get(train, "settings")); /* of the net, then those of its training */
    json_array_extend(settings, json_object_get(train, "overrides"));
    const char *net = json_string_value(json_object_get(train, "net")),
               *loss = json_string_value(json_object_get(train, "loss"));
    size_t i;
    json_t *other;
    json_array_foreach(p->tests, i, other) {
        bool same = strcmp(json_string_value(json_object_get(other, "net")), net) == 0 &&
                    strcmp(json_string_value(json_object_get(other, "loss")), loss) == 0 &&
                    json_equal(json_object_get(other, "overrides"), settings);
        if (same) {
            json_decref(settings);
            return;
        }
    }
    const char *name =
        arena_printf(a, "net %s: %s under %s", json_string_value(json_object_get(train, "name")), net, loss);
    json_array_foreach(settings, i, other) name =
        arena_printf(a, "%s%s%s: %s", name, i ? ", " : " with ", json_string_value(json_array_get(other, 0)),
                     json_string_value(json_array_get(other, 1)));
    json_array_append_new(p->tests, json_pack("{s:s, s:s, s:s, s:s, s:i, s:f, s:o, s:O}", "name", name, "check",
                                              "gradcheck", "net", net, "loss", loss, "directions", 4, "tol", 1e-3,
                                              "overrides", settings, "line", json_object_get(train, "line")));
}

bool pipe_net_tests(Pipe *p, const Module *main) {
    bool ok = true;
    for (uint32_t k = 0; k < main->unit->nkids; k++) {
        const Ast *d = main->unit->kids[k];
        Scope s = scope_of_module(p->elab, main);
        json_t *j = NULL;
        if (d->kind == AST_TRAIN && (j = pipe_train(p, &s, d, false, &(TrainUse *){NULL}))) net_test(p, j);
        if (d->kind == AST_EXPERIMENT && (j = pipe_experiment(p, d))) {
            size_t array, train;
            json_t *a, *t;
            json_array_foreach(json_object_get(j, "arrays"), array, a)
                json_array_foreach(json_object_get(a, "trains"), train, t) net_test(p, t);
        }
        ok &= j || (d->kind != AST_TRAIN && d->kind != AST_EXPERIMENT);
    }
    return ok;
}
