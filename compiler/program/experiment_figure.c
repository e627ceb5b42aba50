/* experiment_figure.c - figures: which arrays are drawn, and what their axes go over. */
#include "experiment_parts.h"
#include "labels.h"
#include "tables.h"
#include "type.h"
#include <string.h>

static const char *const kinds[] = {
#define FIGURE(kind, several, doc) #kind,
#include "figures.def"
};

/* Whether the band goes over seeds or examples. */
static bool takes_samples(const char *word) {
#define BAND(band, samples, doc)                                                                                       \
    if (strcmp(word, #band) == 0) return samples;
#include "figures.def"
    return false;
}

static const char *text_or_null(const Ast *e) { return e && e->kind == AST_STRING ? e->name : NULL; }

/* What `label:` says of an axis. */
static const char *label_for(const Ast *label, const char *axis) {
    if (!label || label->kind != AST_ARRAY) return strcmp(axis, "y") == 0 ? text_or_null(label) : NULL;
    for (uint32_t k = 0; k < label->nkids; k++)
        if (label->kids[k]->kind == AST_ARG && strcmp(label->kids[k]->name, axis) == 0)
            return text_or_null(AST_SLOT(label->kids[k], ARG, value));
    return NULL;
}

/* Whether `scale:` says so of an axis. */
static bool is_logarithmic(const Ast *scale, const char *axis) {
    if (!scale || scale->kind != AST_ARRAY) return scale && strcmp(axis, "y") == 0 && strcmp(scale->name, "log") == 0;
    for (uint32_t k = 0; k < scale->nkids; k++)
        if (scale->kids[k]->kind == AST_ARG && strcmp(scale->kids[k]->name, axis) == 0)
            return strcmp(AST_SLOT(scale->kids[k], ARG, value)->name, "log") == 0;
    return false;
}

static json_t *optional_text(const char *text) { return text ? json_string(text) : json_null(); }

/* ---- values ---- */
/* Whether the statistic is a mean of numbers of the examples. */
static bool is_mean(const char *what) {
#define MEAN(name)                                                                                                     \
    if (strcmp(what, #name) == 0) return true;
#include "means.def"
#undef MEAN
    return false;
}

/* Whether a number for each example is behind the value, as deq_arrays_examples finds them. */
static bool has_examples(const Experiment *x, const char *name) {
    const json_t *a = experiment_array_json(x, name), *input;
    const char *kind = json_string_value(json_object_get(a, "kind")), *of = json_string_value(json_object_get(a, "of")),
               *what = json_string_value(json_object_get(a, "what"));
    size_t i;
    bool some = false;
    if (strcmp(kind, "evaluate") == 0) return true;
    if (strcmp(kind, "statistic") == 0) return is_mean(what);
    if (strcmp(kind, "pick") == 0) return has_examples(x, of);
    if (strcmp(kind, "reduce") == 0) return strncmp(what, "arg", 3) != 0 && has_examples(x, of);
    if (strcmp(kind, "expression") != 0) return false;
    json_array_foreach(json_object_get(a, "inputs"), i, input) {
        const char *own = json_string_value(input);
        const bool fixed =
            strcmp(json_string_value(json_object_get(experiment_array_json(x, own), "kind")), "coordinate") == 0;
        if (!fixed && !has_examples(x, own)) return false;
        some = some || !fixed;
    }
    return some;
}

/* The value's array, where a choice is the number that it stands for; NULL after an error. */
static const ArrayNode *number_of(Experiment *x, const Ast *e) {
    const char *name = experiment_number(x, e);
    return name ? experiment_array(x, name) : NULL;
}

static json_t *value_json(const char *title, const ArrayNode *node) {
    return json_pack("{s:s, s:s, s:s}", "title", title, "value", node->name, "format",
                     node->percent ? "percent" : "number");
}

/* ---- axes ---- */
/* The axes of the names at a setting, in the order in which they are written. */
static json_t *axes_at(const Experiment *x, const Ast *names) {
    const bool many = names && (names->kind == AST_ARRAY || names->kind == AST_TUPLE);
    json_t *list = json_array();
    for (uint32_t k = 0; names && k < (many ? names->nkids : 1); k++) {
        json_auto_t *axes = axes_json(axes_named(&x->axes, many ? names->kids[k] : names));
        json_array_extend(list, axes);
    }
    return list;
}

/* A sweep of numbers has its place on an axis of numbers, unless its values have names. */
static bool is_numeric(const Experiment *x, const Ast *name) {
    const AxisSet axes = axes_named(&x->axes, name);
    if (__builtin_popcount(axes) != 1) return false;
    const Axis *axis = &x->axes.axis[__builtin_ctz(axes)];
    const Ast *list = AST_SLOT(axis->sweep, SWEEP, values);
    const Type *t = axis->sweep->type;
    for (uint32_t k = 0; list->kind == AST_ARRAY && k < list->nkids; k++)
        if (label_of(list->kids[k]) && list->kids[k]->kind != AST_NUMBER) return false;
    return axis->part == AXIS_WHOLE && t && type_is_number(t);
}

/* ---- bands ---- */
/* {band, low, high} of the figure; false after an error. */
static bool add_band(Experiment *x, const Ast *band, json_t *figure) {
    const char *word = !band ? "interval" : band->kind == AST_NAME ? band->name : "quantiles";
    json_object_set_new(figure, "band", json_string(word));
    if (!band || band->kind != AST_CALL) return true;
    const Ast *args = AST_SLOT(band, CALL, inputs);
    Scope s = experiment_scope(x);
    double ends[2];
    for (uint32_t k = 0; k < 2; k++)
        if (!eval_number(&s, AST_SLOT(args->kids[k], ARG, value), &ends[k])) return false;
    json_object_set_new(figure, "low", json_real(ends[0]));
    json_object_set_new(figure, "high", json_real(ends[1]));
    return true;
}

/* A band over examples needs them, and has nothing to say where each is right or wrong. */
static bool band_fits(Experiment *x, const Ast *value, const ArrayNode *node) {
    Scope s = experiment_scope(x);
    if (has_examples(x, node->name) && !node->percent) return true;
    elab_error(&s, DIAG_E0516, value->range,
               node->percent
                   ? "its examples are right or wrong: a band shows the spread of seeds, or of numbers; without "
                     "'band' the interval is shown"
                   : "there is no number for each example behind this, and no seed is left open: it has no band");
    return false;
}

json_t *experiment_figure(Experiment *x, const Ast *figure) {
    const Ast *settings = AST_SLOT(figure, FIGURE, settings), *values = NULL, *along = ast_setting_value(settings, "x"),
              *by = ast_setting_value(settings, "by"), *y = ast_setting_value(settings, "y"),
              *band = ast_setting_value(settings, "band"), *label = ast_setting_value(settings, "label"),
              *scale = ast_setting_value(settings, "scale");
    const char *kind = NULL;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds && !values; k++)
        values = ast_setting_value(settings, kind = kinds[k]);
    if (!values || !along) return NULL; /* reported */
    const bool many = values->kind == AST_ARRAY, sweeps = axes_named(&x->axes, along) != 0;
    const AxisSet series = axes_named(&x->axes, by) | axes_named(&x->axes, y);
    const AxisSet placed = series | axes_named(&x->axes, along);
    json_auto_t *list = json_array(), *j = json_object();
    if (!add_band(x, band, j)) return NULL;
    const char *word = json_string_value(json_object_get(j, "band"));
    const bool spread = takes_samples(word);
    AxisSet samples = 0, open = 0;
    for (uint32_t k = 0; k < (many ? values->nkids : 1); k++) {
        const Ast *item = many ? values->kids[k] : values, *value = element_value(item);
        const ArrayNode *node = number_of(x, value);
        if (!node) return NULL;
        const AxisSet seeds = spread ? node->shown & axes_of_seeds(&x->axes) & ~placed : 0;
        if (spread && !seeds && !band_fits(x, value, node)) return NULL;
        samples |= seeds;
        open |= node->shown;
        json_array_append_new(
            list,
            value_json(item->kind == AST_ARG ? item->name : range_text(x->pipe->elab->arena, value->range), node));
    }
    if (!sweeps) {
        const ArrayNode *node = number_of(x, along);
        if (!node) return NULL;
        open |= node->shown;
        json_object_set_new(j, "x", value_json(range_text(x->pipe->elab->arena, along->range), node));
    } else if (strcmp(kind, "lines") == 0 && is_numeric(x, along)) {
        const ArrayNode *node = number_of(x, along);
        if (!node) return NULL;
        json_object_set_new(j, "x", value_json(x->axes.axis[__builtin_ctz(axes_named(&x->axes, along))].name, node));
    }
    json_object_set_new(j, "name", json_string(figure->name));
    json_object_set_new(j, "kind", json_string(kind));
    json_object_set(j, "values", list);
    json_object_set_new(j, "along", sweeps ? axes_at(x, along) : axes_json(open & ~series & ~samples));
    json_object_set_new(j, "by", axes_at(x, y ? y : by));
    json_object_set_new(j, "samples", axes_json(samples));
    json_object_set_new(j, "logarithmic", json_boolean(is_logarithmic(scale, "y")));
    json_object_set_new(j, "x_logarithmic", json_boolean(is_logarithmic(scale, "x")));
    json_object_set_new(j, "label", optional_text(label_for(label, "y")));
    json_object_set_new(j, "x_label", optional_text(label_for(label, "x")));
    return json_incref(j);
}
