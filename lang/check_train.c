/* check_train.c - training runs: the net, its examples, and what settings ask of these and of each other. */
#include "checker.h"
#include "labels.h"
#include "nearest.h"
#include <string.h>

typedef struct Trained {
    const Type *layer, *examples, *output; /* as far as they are known: TYPE_ERROR, or NULL */
} Trained;

static void check_keep(Checker *c, const Ast *keep, const Ast *validate, const Ast *attack) {
    const bool robust = same(keep->name, "best_robust"), needs = robust || same(keep->name, "best_clean");
    const char *missing = !validate ? "validate" : robust && !attack ? "attack" : NULL;
    if (needs && missing)
        diag_report(c->diags, DIAG_E0502, keep->range, "'keep: %s' needs '%s' (%s)", keep->name, missing,
                    setting_find("train", missing)->doc);
}

static void check_validate(Checker *c, const Ast *validate, const Type *d) {
    const bool known = validate->type && validate->type->kind == TYPE_EXAMPLES && d->kind == TYPE_EXAMPLES;
    if (known &&
        !(type_equal(validate->type->items[0], d->items[0]) && type_equal(validate->type->items[1], d->items[1])))
        diag_report(c->diags, DIAG_E0505, validate->range, "'validate' is %s, the training data %s",
                    type_text(c->arena, validate->type), type_text(c->arena, d));
    check_unchanged(c, validate, "'validate'");
}

/* A path leads down the `use` names of the net, and there perhaps to a parameter. */
static void check_leads(Checker *c, const Ast *e, const Ast *layer) {
    char path[512];
    const Ast *at = layer, *next;
    if (e->type == &type_error || !ast_path(e, path, sizeof path)) return;
    char *rest = path;
    for (char *dot; rest && (dot = strchr(rest, '.'), true);) {
        const char *name = dot ? arena_strndup(c->arena, rest, (size_t)(dot - rest)) : rest;
        if (!(next = used_layer(at, name))) break;
        at = next;
        rest = dot ? dot + 1 : NULL;
    }
    const Ast *body = SLOT(at, LAYER, body);
    const char *names[64];
    int n = 0;
    for (uint32_t i = 0; rest && body && i < body->nkids && n < 64; i++) {
        const Ast *item = body->kids[i];
        if (item->kind != AST_PARAM && item->kind != AST_USE) continue;
        if (same(item->name, rest)) return;
        names[n++] = item->name;
    }
    if (!rest) return;
    const char *near = deq_nearest(rest, names, n);
    ast_path(e, path, sizeof path);
    Diagnostic *d = diag_report(c->diags, DIAG_E0513, e->range, "'%s' leads to no parameter of '%s'", path, at->name);
    if (near)
        diag_help(d, "did you mean '%s'?", near);
    else if (n)
        diag_help(d, "there is '%s', for instance", names[0]);
}

/* Paths of `freeze` and of `rates`. */
static void check_paths(Checker *c, const Ast *list, const Ast *layer) {
    const Ast *freeze = ast_setting_value(list, "freeze"), *item = ast_setting(list, "rates"),
              *rates = item ? SLOT(item, SETTING, block) : NULL;
    for (uint32_t i = 0; freeze && freeze->kind == AST_ARRAY && i < freeze->nkids; i++)
        check_leads(c, freeze->kids[i], layer);
    if (freeze && freeze->kind != AST_ARRAY) check_leads(c, freeze, layer);
    for (uint32_t i = 0; rates && i < rates->nkids; i++)
        if (rates->kids[i]->kind == AST_SETTING) check_leads(c, SLOT(rates->kids[i], SETTING, key), layer);
}

static bool replays(const Ast *list) {
    const Ast *replay = ast_setting_value(list, "replay");
    return replay && replay->kind == AST_CALL;
}

/* What settings of a train ask of the net, its data and each other. */
static void check_train_settings(Checker *c, Ast *t, Ast *list, Trained of) {
    static const char *const keys[] = {"attack", "validate", "loss", "metric", "keep", "gradient"};
    const Type *m = of.layer, *d = of.examples;
    Ast *attack = ast_setting_value(list, "attack"), *validate = ast_setting_value(list, "validate");
    check_settings(c, list, "train", "train", place(t), DIAG_E0501, NULL);
    if (m->kind == TYPE_LAYER) check_paths(c, list, m->decl);
    const Ast *intermediate = ast_setting_value(list, "intermediate");
    if (intermediate && intermediate->kind == AST_CALL && intermediate->type != &type_error && m->kind == TYPE_LAYER &&
        !layer_has_fixed(c, m->decl))
        diag_report(c->diags, DIAG_E0513, intermediate->range, "'%s' has no fixed point whose solves could end early",
                    m->decl->name);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const Ast *item = ast_setting(list, keys[i]);
        Ast *value = item ? SLOT(item, SETTING, value) : NULL;
        const uint32_t before = diags_count(c->diags);
        if (!value || value->kind == AST_ERROR) continue;
        if (same(keys[i], "attack") && value->type && value->type->kind == TYPE_ATTACK && m->kind == TYPE_LAYER)
            check_attack_mode(c, value, m);
        else if (same(keys[i], "validate"))
            check_validate(c, value, d);
        else if (same(keys[i], "loss"))
            check_loss(c, value, of.output, of.output && d->kind == TYPE_EXAMPLES ? d->items[1] : NULL, true,
                       attack != NULL && !replays(list));
        else if (same(keys[i], "metric"))
            check_loss(c, value, of.output, of.output && d->kind == TYPE_EXAMPLES ? d->items[1] : NULL, false, false);
        else if (same(keys[i], "keep"))
            check_keep(c, value, validate, attack);
        else if (same(keys[i], "gradient") && m->kind == TYPE_LAYER && value->type && value->type->kind != TYPE_ERROR)
            check_mode_for(c, value, m, NULL, NULL);
        note_record(c, before, item);
    }
}

static void check_path(Checker *c, Ast *e) {
    char path[512];
    e->type = &type_word;
    if (ast_path(e, path, sizeof path)) return;
    diag_help(diag_report(c->diags, DIAG_E0513, e->range, "this is not a path to parameters"),
              "freeze: [body, head.b]");
    fail(e);
}

void check_freeze(Checker *c, Ast *value) {
    value->type = &type_word;
    for (uint32_t i = 0; value->kind == AST_ARRAY && i < value->nkids; i++) check_path(c, value->kids[i]);
    if (value->kind != AST_ARRAY) check_path(c, value);
}

void check_rates(Checker *c, Ast *s, const Setting *row) {
    Ast *list = SLOT(s, SETTING, block), *value = SLOT(s, SETTING, value);
    if (value || !list) {
        if (!value || check_expr(c, value)->kind != TYPE_ERROR)
            diag_help(diag_report(c->diags, DIAG_E0504, s->range, "'rates' are factors by path, in braces"),
                      "rates: { body: 0.1; head.b: 2 }");
        return;
    }
    for (uint32_t i = 0; i < list->nkids; i++) {
        Ast *rate = list->kids[i];
        if (rate->kind != AST_SETTING || !SLOT(rate, SETTING, value)) continue; /* reported by the parser */
        check_path(c, SLOT(rate, SETTING, key));
        check_range(c, SLOT(rate, SETTING, value), "rates", row->low, row->high, false);
        check_set_once(c, list, i);
    }
}

/* A layer that is to be trained on the examples, `type_error` if they are not known: its output, or NULL. */
static const Type *check_trained(Checker *c, Range at, const Type *layer, const Type *examples) {
    const Type *input = NULL, *output = NULL, *given = examples->kind == TYPE_EXAMPLES ? examples->items[0] : NULL;
    if (!net_types(c, at, layer, given, &input, &output)) return NULL;
    if (given && !type_equal(input, given))
        diag_report(c->diags, DIAG_E0505, at, "the input of '%s' is %s, the data's is %s", layer->decl->name,
                    type_text(c->arena, input), type_text(c->arena, given));
    check_concrete(c, layer, at);
    return output;
}

/* Where the model is a sweep over layers, all but the first element, which stands for the sweep's type. */
static void check_other_layers(Checker *c, const Ast *model, const Type *examples) {
    if (model->kind == AST_WITH) model = AST_SLOT(model, WITH, base);
    const Ast *sweep = model->kind == AST_NAME && model->ref && model->ref->kind == AST_SWEEP ? model->ref : NULL;
    const Ast *list = sweep ? AST_SLOT(sweep, SWEEP, values) : NULL;
    for (uint32_t i = 1; list && list->kind == AST_ARRAY && i < list->nkids; i++) {
        const Ast *element = element_value(list->kids[i]);
        if (element->type && element->type->kind == TYPE_LAYER)
            check_trained(c, element->range, element->type, examples);
    }
}

void check_train(Checker *c, Ast *t) {
    Ast *model = SLOT(t, TRAIN, model), *data = SLOT(t, TRAIN, data), *list = SLOT(t, TRAIN, settings);
    t->type = &type_error;
    if (!model || !data || !list) return;
    const Type *m = check_expr(c, model), *d = check_expr(c, data), *output = NULL;
    if (m->kind != TYPE_ERROR && m->kind != TYPE_LAYER) {
        diag_report(c->diags, DIAG_E0517, model->range, "'train' needs a layer, this is %s", type_text(c->arena, m));
        m = &type_error;
    }
    if (d->kind != TYPE_ERROR && d->kind != TYPE_EXAMPLES) {
        Diagnostic *diag = diag_report(c->diags, DIAG_E0507, data->range, "'train' needs examples, this is %s",
                                       type_text(c->arena, d));
        diag_help(diag, d->kind == TYPE_DATASET ? "its training split: %s.train" : "d.train",
                  data->name ? data->name : "d");
        d = &type_error;
    }
    if (data->kind == AST_UNDER)
        diag_help(diag_report(c->diags, DIAG_E0504, data->range, "'under' cannot stand in the data of a train"),
                  "write 'attack: ..' among the settings of the train");
    if (m->kind == TYPE_LAYER) {
        output = check_trained(c, model->range, m, d);
        check_other_layers(c, model, d);
    }
    for (uint32_t k = 0, n = settings_variants(c, list); k < n; k++)
        check_train_settings(c, t, settings_variant(c, list, k), (Trained){m, d, output});
    if (m->kind != TYPE_LAYER) return;
    Type *net = (Type *)type_of_items(c->arena, TYPE_NET, 1, &m);
    net->decl = t;
    t->type = net;
}
