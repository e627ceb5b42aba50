/* check_pipeline.c - settings, data, nets and training: the declarations that say what is run. */
#include "checker.h"
#include "foreign.h"
#include "labels.h"
#include <string.h>

/* ---- settings ---- */

static void wrong_kind(Checker *c, Ast *value, const char *key, const char *what) {
    if (value->type->kind != TYPE_ERROR)
        diag_report(c->diags, DIAG_E0504, value->range, "'%s' is %s, not %s", key, what,
                    type_text(c->arena, value->type));
    fail(value);
}

static void check_kind(Checker *c, Ast *value, const char *key, TypeKind kind, const char *what) {
    if (check_expr(c, value)->kind != kind) wrong_kind(c, value, key, what);
}

/* The name of a training run: its parameters are what another begins with. */
static bool names_train(Checker *c, Ast *value) {
    return (value->kind == AST_NAME || value->kind == AST_MEMBER) && value->ref && value->ref->kind == AST_TRAIN &&
           check_expr(c, value)->kind == TYPE_NET;
}

/* monotone(margin), contraction(bound) */
static void check_certificate(Checker *c, Ast *value) {
    const Ast *callee = value->kind == AST_CALL ? SLOT(value, CALL, callee) : value;
    bool monotone = callee->kind == AST_NAME && same(callee->name, "monotone");
    const char *name = callee->kind == AST_NAME ? callee->name : "?", *argument = monotone ? "margin" : "bound";
    const Ast *list = value->kind == AST_CALL ? SLOT(value, CALL, inputs) : NULL;
    value->type = &type_word;
    if (!list || (!monotone && !same(name, "contraction"))) {
        diag_help(diag_report(c->diags, DIAG_E0504, value->range, "this is not a value of 'certify'"),
                  "certify: monotone(margin) or contraction(bound)");
        return;
    }
    if (list->nkids != 1 || list->kids[0]->kind != AST_ARG ||
        (list->kids[0]->name && !same(list->kids[0]->name, argument))) {
        diag_help(diag_report(c->diags, DIAG_E0411, value->range, "'%s' takes one number, its %s", name, argument),
                  "certify: %s(%s)", name, monotone ? "margin" : "0.9");
        return;
    }
    check_range(c, SLOT(list->kids[0], ARG, value), arena_printf(c->arena, "%s' of '%s", argument, name), 0,
                monotone ? 1e9 : 1, false);
}

void check_setting(Checker *c, Ast *s, const Setting *row) {
    Ast *value = SLOT(s, SETTING, value);
    if (row->kind == KIND_RATES) {
        check_rates(c, s, row);
        return;
    }
    if (!value || value->kind == AST_ERROR) {
        if (!value) diag_report(c->diags, DIAG_E0504, s->range, "'%s' has no value", row->key);
        return;
    }
    if (SLOT(s, SETTING, block) && row->kind != KIND_COMPARE)
        diag_report(c->diags, DIAG_E0501, SLOT(s, SETTING, block)->range, "'%s' has no settings of its own", row->key);
    switch (row->kind) {
    case KIND_FORWARD: check_chain(c, value, FOR_STATE); break;
    case KIND_MODE:
        if (!same(row->block, "fixed")) /* there its solver decides too: check_fixed.c */
            check_mode(c, value, NULL);
        break;
    case KIND_PENALTY: check_penalty(c, value); break;
    case KIND_FINISH: check_finish(c, value); break;
    case KIND_CERTIFY: check_certificate(c, value); break;
    case KIND_CLIP: check_row(c, value, &deq_clip_family, &type_word, row->key); break;
    case KIND_AVERAGE: check_row(c, value, &deq_average_family, &type_word, row->key); break;
    case KIND_REPLAY: check_row(c, value, &deq_replay_family, &type_word, row->key); break;
    case KIND_INTERMEDIATE: check_row(c, value, &deq_intermediate_family, &type_word, row->key); break;
    case KIND_PATHS: check_freeze(c, value); break;
    case KIND_WORD: check_words(c, value, row->fallback, row->key); break;
    case KIND_BOOL:
        if (value->kind == AST_BOOL)
            check_expr(c, value);
        else if (check_expr(c, value))
            wrong_kind(c, value, row->key, "true or false");
        break;
    case KIND_INT: check_range(c, value, row->key, row->low, row->high, true); break;
    case KIND_REAL: check_range(c, value, row->key, row->low, row->high, false); break;
    case KIND_OPTIMISER:
        check_kind(c, value, row->key, TYPE_OPTIMISER, "an optimiser with its rate, adam(rate: 1e-3)");
        break;
    case KIND_ATTACK: check_kind(c, value, row->key, TYPE_ATTACK, "an attack"); break;
    case KIND_DEFENCE: check_kind(c, value, row->key, TYPE_DEFENCE, "a defence"); break;
    case KIND_NET: check_kind(c, value, row->key, TYPE_NET, "a trained net"); break;
    case KIND_EXAMPLES: check_kind(c, value, row->key, TYPE_EXAMPLES, "a set of examples, d.test[0..500]"); break;
    case KIND_WEIGHTS:
        if (!names_train(c, value))
            check_kind(c, value, row->key, TYPE_WEIGHTS,
                       "weights of a file, weights(\"net.safetensors\"), or a net trained above");
        break;
    case KIND_CHECK: check_kind(c, value, row->key, TYPE_CHECK, "gradcheck(..)"); break;
    case KIND_COMPARE:
        check_kind(c, value, row->key, TYPE_CHECK, "gradients(Layer[..])");
        if (SLOT(s, SETTING, block))
            check_settings(c, SLOT(s, SETTING, block), "compare", "a comparison", s->range, DIAG_E0501, NULL);
        else
            diag_report(c->diags, DIAG_E0502, s->range, "'compare' needs { modes: [..] }");
        break;
    case KIND_MODES:
        if (value->kind != AST_ARRAY) {
            check_expr(c, value);
            wrong_kind(c, value, row->key, "a list of gradient modes");
            break;
        }
        for (uint32_t i = 0; i < value->nkids; i++)
            if (!(value->kids[i]->kind == AST_NAME && value->kids[i]->ref && value->kids[i]->ref->kind == AST_GRADIENT))
                check_mode(c, value->kids[i], NULL);
            else
                check_expr(c, value->kids[i]);
        break;
    case KIND_REFERENCE:
        if (spells_mode(value))
            check_mode(c, value, NULL);
        else
            check_kind(c, value, row->key, TYPE_CHECK, "finite_difference(..) or a gradient mode");
        break;
    default: break; /* START, LOSS and those of a table: where the block is checked */
    }
}

static void unknown_setting(Checker *c, const Ast *key, const char *name, const char *block, const char *what,
                            DiagCode code) {
    const char *names[32], *list = "";
    uint32_t n = 0;
    for (const Setting *s = setting_table; s->key; s++)
        if (same(s->block, block) && n < 32) {
            list = arena_printf(c->arena, "%s%s%s", list, n ? ", " : "", s->key);
            names[n++] = s->key;
        }
    Diagnostic *d = diag_report(c->diags, code, key->range, "%s has no setting '%s'", what, name ? name : "?");
    if (!name || !foreign_help_key(d, name, names, n)) diag_help(d, "its settings: %s", list);
}

void check_settings(Checker *c, Ast *list, const char *block, const char *what, Range at, DiagCode unknown,
                    void (*other)(Checker *, Ast *)) {
    bool broken = false;
    for (uint32_t i = 0; i < list->nkids; i++) {
        Ast *s = list->kids[i], *key = s->kind == AST_SETTING ? SLOT(s, SETTING, key) : NULL;
        broken = broken || s->kind == AST_ERROR;
        if (s->kind == AST_ERROR) continue;
        if (!key) {
            if (other)
                other(c, s);
            else
                diag_report(c->diags, DIAG_E0514, s->range, "%s is not allowed in %s", a_statement(c, s->kind), what);
            continue;
        }
        char buffer[256];
        const char *name = ast_path(key, buffer, sizeof buffer) ? arena_strdup(c->arena, buffer) : NULL;
        const Setting *row = name ? setting_find(block, name) : NULL;
        const uint32_t before = diags_count(c->diags);
        if (!row)
            unknown_setting(c, key, name, block, what, unknown), broken = true; /* perhaps the one that is missing */
        else if (check_set_once(c, list, i))
            check_setting(c, s, row);
        note_record(c, before, s);
    }
    const char *missing = "";
    bool loaded = same(block, "train") && ast_setting_value(list, "start");
    for (const Setting *row = setting_table; row->key && loaded; row++)
        if (same(row->block, block) && row->required == 2 && ast_setting_value(list, row->key)) loaded = false;
    for (const Setting *row = setting_table; row->key && !broken; row++) {
        if (loaded && row->required == 2) continue;
        if (same(row->block, block) && row->required && !ast_setting(list, row->key))
            missing = arena_printf(c->arena, "%s%s'%s' (%s)", missing, *missing ? ", " : "", row->key, row->doc);
    }
    if (*missing) diag_report(c->diags, DIAG_E0502, at, "%s needs %s", what, missing);
}

/* ---- data ---- */

const Type *check_reader(Checker *c, Ast *e, const deq_row *r, Ast *call) {
    CallParameter params[8];
    Ast *values[8], **more = NULL;
    uint32_t n = 0;
    bool good = true;
    const deq_argument *a;
    const char *takes = r->name;
    (void)more;
    for (; n < 8 && (a = deq_argument_at(&deq_reader_family, r, 0, (int)n)); n++)
        params[n] = (CallParameter){a->name, a->required ? NEED_REQUIRED : NEED_OPTIONAL, false};
    for (uint32_t i = 0; i < n; i++)
        takes = arena_printf(c->arena, "%s%s%s:%s", takes, i ? ", " : "(", params[i].name,
                             params[i].need == NEED_REQUIRED ? "" : " ..");
    takes = arena_printf(c->arena, n ? "%s)" : "%s()", takes);
    if (!match_arguments(c, r->name, takes, call, NULL, e->range, params, n, values, NULL, NULL)) return &type_error;
    for (uint32_t i = 0; i < n; i++)
        if (values[i])
            good = check_against(c, values[i], &type_string, DIAG_E0301,
                                 arena_printf(c->arena, "'%s' of '%s'", params[i].name, r->name)) &&
                   good;
    Type *t = arena_alloc(c->arena, sizeof *t);
    t->kind = TYPE_DATASET;
    return good ? t : &type_error;
}

static const deq_row *reader_of(const Ast *value) {
    const Ast *callee = value->kind == AST_CALL ? SLOT(value, CALL, callee) : NULL;
    return callee && callee->kind == AST_NAME && !callee->ref ? reader_find(callee->name) : NULL;
}

static void check_delivery(Checker *c, const Ast *d, const deq_row *r, const Type *input, const Type *target) {
    const deq_delivery *delivery = reader_delivery(r);
    int64_t elements = 1, n;
    if (!delivery) return;
    for (uint32_t i = 0; i < input->rank; i++)
        if (size_number(input->dims[i], &n)) elements *= n;
    Ast *type = SLOT(d, DATA, type);
    if (elements != delivery->elements || type_is_scalar(input))
        diag_report(c->diags, DIAG_E0509, type->kids[0]->range, "'%s' delivers inputs of %lld elements, %s has %lld",
                    r->name, (long long)delivery->elements, type_text(c->arena, input), (long long)elements);
    if (target->elem != ELEM_LABEL || (size_number(target->classes, &n) && n != delivery->classes))
        diag_report(c->diags, DIAG_E0509, type->kids[1]->range, "'%s' delivers targets label[%lld], not %s", r->name,
                    (long long)delivery->classes, type_text(c->arena, target));
}

static void check_data(Checker *c, Ast *d) {
    Ast *type = SLOT(d, DATA, type), *value = SLOT(d, DATA, value);
    d->type = &type_error;
    if (!type || !value) return;
    const Type *t = check_type(c, type);
    bool pair = t->kind == TYPE_TUPLE && t->nitems == 2 && t->items[0]->kind == TYPE_TENSOR &&
                t->items[0]->elem == ELEM_REAL && t->items[1]->kind == TYPE_TENSOR &&
                (t->items[1]->elem == ELEM_REAL || t->items[1]->elem == ELEM_LABEL);
    if (t->kind != TYPE_ERROR && !pair)
        diag_help(diag_report(c->diags, DIAG_E0509, type->range, "a dataset is of pairs of input and target, not %s",
                              type_text(c->arena, t)),
                  "data d: (f32[1, 28, 28], label[10]) = ...");
    if (pair) d->type = type_of_items(c->arena, TYPE_DATASET, 2, t->items); /* usable whatever its reader gets */
    const Type *v = check_expr(c, value);
    if (v->kind == TYPE_ERROR) return;
    const deq_row *r = reader_of(value);
    if (!r || v->kind != TYPE_DATASET) {
        const char *list = "";
        for (int i = 0; i < deq_reader_family.nrows; i++)
            list = arena_printf(c->arena, "%s%s%s()", list, i ? ", " : "", deq_reader_family.rows[i].name);
        diag_help(
            diag_report(c->diags, DIAG_E0508, value->range, "'data' gets its examples from a reader, this is none"),
            "readers: %s", list);
        return;
    }
    if (!pair) return;
    check_delivery(c, d, r, t->items[0], t->items[1]);
    value->type = d->type;
}

/* ---- nets ---- */

bool input_of_numbers(Checker *c, Range at, const Signature *s) {
    for (uint32_t i = 0; i < s->nparams; i++) {
        const Type *t = s->params[i]->type;
        if (SLOT(s->params[i], BINDING, fallback) || t->kind != TYPE_TENSOR || t->elem != ELEM_LABEL) continue;
        Diagnostic *d = diag_report(c->diags, DIAG_E0517, at, "the input of a net is numbers, '%s' of '%s' is %s",
                                    s->params[i]->name, s->decl->name, type_text(c->arena, t));
        diag_help(d, "declare '%s: f32[%s]', which holds 1 at the label and 0 elsewhere", s->params[i]->name,
                  size_text(c->arena, t->classes));
        return false;
    }
    return true;
}

bool net_types(Checker *c, Range at, const Type *layer, const Type *given, const Type **input, const Type **output) {
    const Signature *s = checker_signature(c, layer->decl);
    const Ast *x = NULL;
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->nparams; i++)
        if (!SLOT(s->params[i], BINDING, fallback)) x = s->params[i], n++;
    if (s->broken) return false;
    if (n != 1 || s->nstate) {
        diag_report(c->diags, DIAG_E0517, at, "a net has one input without default, '%s' has %u", layer->decl->name, n);
        return false;
    }
    if (!input_of_numbers(c, at, s)) return false;
    SizeBinding *b = arena_copy(c->arena, layer->bound ? layer->bound : &(const SizeBinding){.var = NULL},
                                sizeof *b * (layer->nbound ? layer->nbound : 1));
    if (given) unify(c->arena, x->type, given, b, layer->nbound);
    *input = type_substitute(c->arena, x->type, b, layer->nbound);
    *output = type_substitute(c->arena, s->result, b, layer->nbound);
    return true;
}

/* ---- examples ---- */

const Type *check_under(Checker *c, Ast *e) {
    Ast *base = SLOT(e, UNDER, base), *attack = SLOT(e, UNDER, attack);
    const Type *t = check_expr(c, base), *a = check_expr(c, attack);
    if (a->kind != TYPE_ERROR && a->kind != TYPE_ATTACK)
        diag_report(c->diags, DIAG_E0504, attack->range, "'under' needs an attack, not %s", type_text(c->arena, a));
    if (t->kind != TYPE_ERROR && t->kind != TYPE_EXAMPLES)
        diag_help(diag_report(c->diags, DIAG_E0507, base->range, "an attack works on examples, not on %s",
                              type_text(c->arena, t)),
                  "d.test under pgd(..)");
    return t->kind == TYPE_EXAMPLES && (a->kind == TYPE_ATTACK || names_none(attack)) ? t : &type_error;
}

const deq_row *transform_of(const Ast *right) {
    const Ast *name = right->kind == AST_CALL ? SLOT(right, CALL, callee) : right;
    return name->kind == AST_NAME && !name->ref ? transform_find(name->name) : NULL;
}

const Type *check_transform(Checker *c, Ast *e, const deq_row *t) {
    Ast *base = SLOT(e, BINARY, left), *right = SLOT(e, BINARY, right), *values[4];
    const Type *examples = check_expr(c, base);
    CallParameter params[4];
    uint32_t n = 0;
    const deq_argument *a;
    const char *takes = t->name;
    for (; n < 4 && (a = deq_argument_at(&deq_transform_family, t, 0, (int)n)); n++) {
        params[n] = (CallParameter){a->name, NEED_OPTIONAL, false};
        takes = arena_printf(c->arena, "%s%s%s: %g", takes, n ? ", " : "(", a->name, a->fallback);
    }
    if (n) takes = arena_printf(c->arena, "%s)", takes);
    right->type = &type_word;
    if (right->kind == AST_CALL) {
        if (!match_arguments(c, t->name, takes, right, NULL, right->range, params, n, values, NULL, NULL))
            return &type_error;
        for (uint32_t i = 0; i < n; i++)
            if (values[i] && (a = deq_argument_at(&deq_transform_family, t, 0, (int)i)) &&
                !check_argument_value(c, values[i], a, arena_printf(c->arena, "%s' of '%s", a->name, t->name)))
                return &type_error;
    }
    if (examples->kind == TYPE_ERROR) return examples;
    if (examples->kind != TYPE_EXAMPLES) {
        diag_help(diag_report(c->diags, DIAG_E0530, base->range, "'%s' changes examples, this is %s", t->name,
                              type_text(c->arena, examples)),
                  "d.train |> %s", t->name);
        return &type_error;
    }
    if (examples->items[0]->rank < 2) {
        diag_report(c->diags, DIAG_E0530, e->range,
                    "'%s' works on rows and columns, the last two axes; these examples are %s", t->name,
                    type_text(c->arena, examples->items[0]));
        return &type_error;
    }
    Type *changed = arena_copy(c->arena, examples, sizeof *changed);
    changed->augmented = true;
    return changed;
}

/* Accuracy is measured on the examples as they are. */
bool check_unchanged(Checker *c, const Ast *examples, const char *what) {
    if (!examples->type || examples->type->kind != TYPE_EXAMPLES || !examples->type->augmented) return true;
    diag_help(
        diag_report(c->diags, DIAG_E0530, examples->range, "%s is on examples as they are, not on changed ones", what),
        "transformations belong to the data of a train");
    return false;
}

const Type *check_evaluation(Checker *c, Ast *e, const Ast *metric, Ast *net, Ast *examples) {
    const Type *n = check_expr(c, net), *d = check_expr(c, examples), *input, *output;
    const char *name = metric ? metric->name : "accuracy";
    if (n->kind != TYPE_ERROR && n->kind != TYPE_NET)
        diag_help(diag_report(c->diags, DIAG_E0301, net->range, "'%s' evaluates a trained net, this is %s", name,
                              type_text(c->arena, n)),
                  "train m = Net on d.train { .. }, then %s(m, d.test)", name);
    if (d->kind != TYPE_ERROR && d->kind != TYPE_EXAMPLES)
        diag_help(diag_report(c->diags, DIAG_E0507, examples->range, "'%s' needs examples, this is %s", name,
                              type_text(c->arena, d)),
                  "d.test, d.test[0..1000], d.test under attack");
    if (n->kind != TYPE_NET || d->kind != TYPE_EXAMPLES ||
        !net_types(c, net->range, n->items[0], d->items[0], &input, &output))
        return &type_error;
    if (!type_equal(input, d->items[0])) {
        diag_report(c->diags, DIAG_E0505, examples->range, "the net's input is %s, the examples' is %s",
                    type_text(c->arena, input), type_text(c->arena, d->items[0]));
        return &type_error;
    }
    if (!check_unchanged(c, examples, arena_printf(c->arena, "'%s'", name))) return &type_error;
    if (examples->kind == AST_UNDER && !overrides_forward(c, net))
        check_attack_mode(c, SLOT(examples, UNDER, attack), n->items[0]);
    if (metric) {
        Ast fake = {.kind = AST_NAME, .range = e->range, .name_range = e->range, .name = metric->name, .ref = metric};
        return check_loss(c, &fake, output, d->items[1], false, false) ? &type_evaluation : &type_error;
    }
    const Type *want = output->kind == TYPE_TENSOR && output->rank == 1 ? type_label(c->arena, output->dims[0]) : NULL;
    if (want && type_equal(want, d->items[1])) return &type_evaluation;
    diag_report(c->diags, DIAG_E0506, e->range, "accuracy of outputs %s against targets %s",
                type_text(c->arena, output), type_text(c->arena, d->items[1]));
    return &type_error;
}

/* ---- gradients beside each other ---- */
const Type *check_gradients(Checker *c, Ast *e, const GradientsCompared *g) {
    if (!g->net || !g->examples || !g->of || !g->to || g->more) {
        diag_help(diag_report(c->diags, DIAG_E0303, e->range,
                              "'%s' takes a net, examples, and the gradient modes 'of:' and 'to:'", g->name),
                  "%s(net, d.test[0..64], of: jfb(), to: implicit())", g->name);
        return &type_error;
    }
    const Type *n = check_expr(c, g->net), *d = check_expr(c, g->examples), *input, *output;
    if (n->kind != TYPE_ERROR && n->kind != TYPE_NET)
        diag_report(c->diags, DIAG_E0301, g->net->range, "'%s' is of a trained net, this is %s", g->name,
                    type_text(c->arena, n));
    if (d->kind != TYPE_ERROR && d->kind != TYPE_EXAMPLES)
        diag_report(c->diags, DIAG_E0507, g->examples->range, "'%s' needs examples, this is %s", g->name,
                    type_text(c->arena, d));
    if (g->examples->kind == AST_UNDER)
        diag_report(c->diags, DIAG_E0504, g->examples->range, "'%s' is on examples as they are", g->name);
    if (n->kind != TYPE_NET || d->kind != TYPE_EXAMPLES || g->examples->kind == AST_UNDER ||
        !net_types(c, g->net->range, n->items[0], d->items[0], &input, &output))
        return &type_error;
    if (!type_equal(input, d->items[0])) {
        diag_report(c->diags, DIAG_E0505, g->examples->range, "the net's input is %s, the examples' is %s",
                    type_text(c->arena, input), type_text(c->arena, d->items[0]));
        return &type_error;
    }
    Ast *modes[2] = {g->of, g->to};
    for (int k = 0; k < 2; k++) {
        if (!check_mode(c, modes[k], NULL)) return &type_error;
        if (!overrides_forward(c, g->net)) check_mode_for(c, modes[k], n->items[0], NULL, NULL);
    }
    return check_unchanged(c, g->examples, arena_printf(c->arena, "'%s'", g->name)) ? &type_evaluation : &type_error;
}

/* ---- declarations ---- */

static void check_made(Checker *c, Ast *d, TypeKind kind, const char *what) {
    Ast *value = d->kids[0];
    d->type = &type_error;
    if (!value) return;
    const Type *t = check_expr(c, value);
    if (t->kind == kind)
        d->type = t;
    else if (t->kind != TYPE_ERROR)
        diag_report(c->diags, DIAG_E0504, value->range, "'%s' is declared as %s, this is %s", d->name, what,
                    type_text(c->arena, t));
}

void check_pipeline(Checker *c, Ast *d) {
    switch (d->kind) {
    case AST_DATA: check_data(c, d); break;
    case AST_ATTACK: check_made(c, d, TYPE_ATTACK, "an attack"); break;
    case AST_DEFENCE: check_made(c, d, TYPE_DEFENCE, "a defence"); break;
    case AST_OPTIMISER: check_made(c, d, TYPE_OPTIMISER, "an optimiser"); break;
    case AST_SCHEDULE: check_made(c, d, TYPE_SCHEDULE, "a schedule"); break;
    case AST_TRAIN: check_train(c, d); break;
    case AST_EXPERIMENT: check_experiment(c, d); break;
    case AST_TEST:
    case AST_CHECK: check_test(c, d); break;
    default: break;
    }
}
