/* check_figure.c - figures of an experiment, and the files that tables and figures are written to. */
#include "checker.h"
#include "labels.h"
#include "names.h"
#include <string.h>

typedef enum FigureKind {
#define FIGURE(kind, several, doc) FIGURE_##kind,
#include "figures.def"
    FIGURE_KINDS
} FigureKind;

static const struct {
    const char *key;
    bool several; /* it takes a list of values */
} kinds[] = {
#define FIGURE(kind, several, doc) {#kind, several},
#include "figures.def"
};

/* Words of `band:` that stand alone. */
static const struct {
    const char *word;
    bool samples; /* over seeds or examples */
} bands[] = {
#define BAND(word, samples, doc) {#word, samples},
#include "figures.def"
};

/* Exactly one of the kinds; FIGURE_KINDS: reported, or a misspelled one is. */
static FigureKind check_kind(Checker *c, const Ast *figure, bool misspelled) {
    const Ast *list = SLOT(figure, FIGURE, settings), *first = NULL;
    FigureKind kind = FIGURE_KINDS;
    for (int k = 0; k < FIGURE_KINDS; k++) {
        const Ast *s = ast_setting(list, kinds[k].key);
        if (!s) continue;
        if (first) {
            diag_note(
                diag_report(c->diags, DIAG_E0516, s->range, "a figure is one of 'lines', 'bars', 'heat' and 'scatter'"),
                first->range, "here is another");
            return FIGURE_KINDS;
        }
        first = s;
        kind = (FigureKind)k;
    }
    if (!first && !misspelled)
        diag_help(diag_report(c->diags, DIAG_E0502, place(figure),
                              "a figure needs one of 'lines', 'bars', 'heat' and 'scatter'"),
                  "lines: robust");
    return kind;
}

/* Values of a list may have names: [last: clean, best: max(state, over: n)]. */
static uint32_t values_of(Ast *list, Ast ***out, Ast **one) {
    *one = list;
    *out = list->kind == AST_ARRAY ? list->kids : one;
    return list->kind == AST_ARRAY ? list->nkids : 1;
}

static bool check_number(Checker *c, Ast *e) {
    const Type *t = check_expr(c, e);
    if (t->kind == TYPE_ERROR || type_is_number(t)) return t->kind != TYPE_ERROR;
    Diagnostic *d = diag_report(c->diags, DIAG_E0516, e->range, "a figure shows one number for each cell, this is %s",
                                type_text(c->arena, t));
    if (t->kind == TYPE_STATISTICS) diag_help(d, "its members are %s", members_text(c, t));
    return false;
}

static bool check_values(Checker *c, Ast *list, FigureKind kind) {
    Ast **items, *one;
    const uint32_t n = values_of(list, &items, &one);
    bool good = n > 0;
    if (!n) diag_report(c->diags, DIAG_E0516, list->range, "'%s' takes a value, or a list of them", kinds[kind].key);
    if (n > 1 && !kinds[kind].several) {
        diag_report(c->diags, DIAG_E0516, list->range, "'%s' takes one value", kinds[kind].key);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (items[i]->kind == AST_ARG) items[i]->type = &type_word;
        for (uint32_t k = 0; items[i]->kind == AST_ARG && k < i; k++)
            if (items[k]->kind == AST_ARG && same(items[k]->name, items[i]->name))
                diag_note(diag_report(c->diags, DIAG_E0202, place(items[i]),
                                      "two values of this figure are called '%s'", items[i]->name),
                          place(items[k]), "the first is here");
        good = check_number(c, (Ast *)element_value(items[i])) && good;
    }
    if (list->kind == AST_ARRAY) list->type = &type_word;
    return good;
}

/* Whether it names sweeps, s or [s, t.family], and not a value. */
static bool names_sweeps(Checker *c, const Ast *e) {
    if (e->kind != AST_ARRAY && e->kind != AST_TUPLE) return axes_named(c->axes, e) != 0;
    for (uint32_t i = 0; i < e->nkids; i++)
        if (!axes_named(c->axes, e->kids[i])) return false;
    return e->nkids > 0;
}

/* ---- settings with words ---- */
/* Whether it is a word of `band:` that stands alone; *samples: the band goes over seeds or examples. */
static bool is_band(const Ast *e, bool *samples) {
    for (size_t i = 0; e->kind == AST_NAME && i < sizeof bands / sizeof *bands; i++) {
        if (!same(bands[i].word, e->name) || same(e->name, "quantiles")) continue;
        *samples = bands[i].samples;
        return true;
    }
    return false;
}

static bool is_quantiles(const Ast *e) {
    const Ast *callee = e->kind == AST_CALL ? SLOT(e, CALL, callee) : NULL,
              *args = callee ? SLOT(e, CALL, inputs) : NULL;
    if (!callee || callee->kind != AST_NAME || !same(callee->name, "quantiles") || args->nkids != 2) return false;
    for (uint32_t k = 0; k < 2; k++)
        if (args->kids[k]->kind != AST_ARG || args->kids[k]->name) return false;
    return true;
}

static void check_band(Checker *c, Ast *value) {
    bool samples;
    value->type = &type_word;
    if (is_band(value, &samples)) return;
    if (!is_quantiles(value)) {
        diag_report(c->diags, DIAG_E0416, value->range, "'band' is std, range, quantiles(0.1, 0.9), interval or none");
        return;
    }
    const Ast *args = SLOT(value, CALL, inputs);
    double ends[2] = {0, 1};
    for (int k = 0; k < 2; k++) {
        Ast *share = SLOT(args->kids[k], ARG, value);
        if (!check_range(c, share, "share' of 'quantiles", 0, 1, false) || !constant_of(c, share, &ends[k])) return;
    }
    if (ends[0] >= ends[1])
        diag_report(c->diags, DIAG_E0416, value->range, "the first share of 'quantiles' is below the second");
}

static void check_text(Checker *c, Ast *e) {
    const Type *t = check_expr(c, e);
    if (t->kind != TYPE_ERROR && t->kind != TYPE_STRING)
        diag_help(diag_report(c->diags, DIAG_E0504, e->range, "'label' is a text, not %s", type_text(c->arena, t)),
                  "label: \"robust accuracy\"");
}

/* One value, or one for each axis named: [x: .., y: ..]. */
static void check_axes_of(Checker *c, Ast *value, const char *key, const char *example,
                          void (*check)(Checker *, Ast *)) {
    if (value->kind != AST_ARRAY) {
        check(c, value);
        return;
    }
    value->type = &type_word;
    for (uint32_t i = 0; i < value->nkids; i++) {
        Ast *item = value->kids[i];
        bool twice = false;
        for (uint32_t k = 0; k < i; k++) twice = twice || same(value->kids[k]->name, item->name);
        if (item->kind != AST_ARG || twice || !(same(item->name, "x") || same(item->name, "y"))) {
            diag_help(diag_report(c->diags, DIAG_E0504, item->range, "'%s' names axes of the figure once: x, y", key),
                      "%s: %s", key, example);
            continue;
        }
        item->type = &type_word;
        check(c, SLOT(item, ARG, value));
    }
}

static void check_scale(Checker *c, Ast *e) { check_words(c, e, "linear|log", "scale"); }

/* ---- places of axes ---- */
typedef struct Places {
    FigureKind kind;
    bool band; /* over samples */
    AxisSet x, y, by, seeds;
    const Ast *x_value; /* NULL: sweeps */
} Places;

static void report_open(Checker *c, const Ast *value, AxisSet open, const Places *p) {
    const char *name = c->axes->axis[__builtin_ctz(open)].name;
    Diagnostic *d =
        diag_report(c->diags, DIAG_E0531, value->range, "%s changes with %s, which has no place in this figure",
                    text_of_value(c, value), axes_text(c->arena, c->axes, open));
    if (open & p->seeds && (p->kind == FIGURE_lines || p->kind == FIGURE_bars))
        diag_help(d,
                  "show its spread: 'band: std' (or range, quantiles(0.1, 0.9)), or take it away: mean(.., over: %s)",
                  name);
    else if (p->kind == FIGURE_heat)
        diag_help(d, "add it to 'x' or 'y', pick one: v[%s: ..], or take it away: mean(.., over: %s)", name, name);
    else
        diag_help(d, "add it to 'x' or 'by', pick one: v[%s: ..], or take it away: mean(.., over: %s)", name, name);
}

/* Two axes that are a family and its member are one. */
static int count_sweeps(Checker *c, AxisSet set) {
    int n = 0;
    for (uint32_t k = 0; k < c->axes->nsweeps; k++)
        if (set & AXIS(k)) n += !(c->axes->axis[k].part == AXIS_MEMBER && k && set & AXIS(k - 1));
    return n;
}

static void check_places(Checker *c, Ast *list, const Places *p) {
    Ast **items, *one;
    const AxisSet twice = (p->x & p->y) | (p->x & p->by) | (p->y & p->by);
    const uint32_t n = values_of(list, &items, &one);
    AxisSet has = p->x_value ? axes_shown(c->axes, p->x_value) : 0, placed = p->x | p->y | p->by | has;
    for (uint32_t i = 0; i < n; i++) {
        const Ast *value = element_value(items[i]);
        const AxisSet own = axes_shown(c->axes, value), open = own & ~placed & ~(p->band ? p->seeds : 0);
        has |= own;
        if (open && p->kind != FIGURE_scatter) report_open(c, value, open, p);
    }
    if (twice)
        diag_report(c->diags, DIAG_E0516, list->range, "%s has two places in this figure",
                    axes_text(c->arena, c->axes, twice));
    if ((p->x | p->y | p->by) & ~has)
        diag_report(c->diags, DIAG_E0532, list->range, "nothing here changes with %s",
                    axes_text(c->arena, c->axes, (p->x | p->y | p->by) & ~has));
    const AxisSet along = p->x_value ? axes_shown(c->axes, p->x_value) & ~p->by : p->x;
    if (p->x_value && p->kind == FIGURE_lines && count_sweeps(c, along) != 1)
        diag_help(diag_report(c->diags, DIAG_E0531, p->x_value->range, "a line goes along one sweep, here along %s",
                              along ? axes_text(c->arena, c->axes, along) : "none"),
                  "name the others at 'by', or draw points: scatter");
    if (!p->x_value && p->kind == FIGURE_lines && p->band && p->seeds & p->x)
        diag_report(c->diags, DIAG_E0516, list->range, "the band goes over %s, which is along the x axis",
                    axes_text(c->arena, c->axes, p->seeds & p->x));
}

void check_figure(Checker *c, Ast *figure) {
    Ast *list = SLOT(figure, FIGURE, settings);
    if (!list) return;
    const uint32_t before = diags_errors(c->diags);
    check_settings(c, list, "figure", "a figure", place(figure), DIAG_E0501, NULL);
    const FigureKind kind = check_kind(c, figure, diags_errors(c->diags) > before);
    Ast *values = kind < FIGURE_KINDS ? ast_setting_value(list, kinds[kind].key) : NULL,
        *x = ast_setting_value(list, "x"), *y = ast_setting_value(list, "y"), *by = ast_setting_value(list, "by"),
        *band = ast_setting_value(list, "band"), *label = ast_setting_value(list, "label"),
        *scale = ast_setting_value(list, "scale");
    if (label && label->kind != AST_ERROR)
        check_axes_of(c, label, "label", "[x: \"steps\", y: \"residual\"]", check_text);
    if (scale && scale->kind != AST_ERROR) check_axes_of(c, scale, "scale", "[x: log, y: log]", check_scale);
    if (band && band->kind != AST_ERROR) check_band(c, band);
    const bool sweeps = x && names_sweeps(c, x), valued = kind == FIGURE_lines || kind == FIGURE_scatter;
    if (!values || values->kind == AST_ERROR || !check_values(c, values, kind)) return;
    if (!x || (kind == FIGURE_heat && !y)) {
        diag_report(c->diags, DIAG_E0502, place(figure), "'%s' needs '%s'", kinds[kind].key, x ? "y" : "x");
        return;
    }
    if (kind == FIGURE_scatter && sweeps) {
        diag_help(diag_report(c->diags, DIAG_E0516, x->range, "the 'x' of a scatter is a value, this names a sweep"),
                  "lines: v; x: s");
        return;
    }
    if (sweeps || !valued)
        check_sweep_names(c, x, "x");
    else if (x->kind == AST_ERROR || !check_number(c, x))
        return;
    if (y) check_sweep_names(c, y, "y");
    if (by) check_sweep_names(c, by, "by");
    const Ast *wrong = y && kind != FIGURE_heat                                  ? ast_setting(list, "y")
                       : by && kind == FIGURE_heat                               ? ast_setting(list, "by")
                       : band && (kind == FIGURE_heat || kind == FIGURE_scatter) ? ast_setting(list, "band")
                                                                                 : NULL;
    if (wrong)
        diag_help(diag_report(c->diags, DIAG_E0516, wrong->range, "'%s' has no meaning with '%s'",
                              SLOT(wrong, SETTING, key)->name, kinds[kind].key),
                  wrong == ast_setting(list, "y") ? "the values' axis is called by 'label'"
                                                  : "'heat' has 'x' and 'y'; 'lines' and 'bars' have 'band'");
    if (diags_errors(c->diags) > before) return;
    bool spread = band && band->kind == AST_CALL;
    if (band && !spread) is_band(band, &spread);
    const Places places = {.kind = kind,
                           .band = spread,
                           .x = sweeps ? axes_named(c->axes, x) : 0,
                           .y = axes_named(c->axes, y),
                           .by = axes_named(c->axes, by),
                           .seeds = axes_of_seeds(c->axes),
                           .x_value = sweeps ? NULL : x};
    check_places(c, values, &places);
}

/* ---- names of files ---- */
static bool same_file(const char *a, const char *b) {
    char first[DEQ_FILE_NAME + 1], second[DEQ_FILE_NAME + 1]; /* as the runtime calls its files */
    deq_file_name(a, first);
    deq_file_name(b, second);
    return strcmp(first, second) == 0;
}

static bool ends_in(const char *name, const char *ending) {
    const size_t n = strlen(name), m = strlen(ending);
    return n >= m && strcmp(name + n - m, ending) == 0;
}

/* Files of this name are written of something else: of training runs, attacked examples, claims, `deq compare`. */
static const char *taken_by(const char *name) {
    static const struct {
        const char *ending, *by;
    } endings[] = {{"-training", "a training run"},    {"-log", "a training run"}, {"-residual", "a training run"},
                   {"-attacked", "attacked examples"}, {"claims", "claims"},       {"compare", "'deq compare'"}};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_in(name, endings[i].ending)) return endings[i].by;
    return NULL;
}

/* Two claims of one text could not be told apart in any file. */
static void check_claim_text(Checker *c, const Ast *items, uint32_t i) {
    const Ast *claim = items->kids[i];
    for (uint32_t k = 0; k < i; k++) {
        if (items->kids[k]->kind != AST_CLAIM || !same(items->kids[k]->name, claim->name)) continue;
        diag_note(diag_report(c->diags, DIAG_E0202, place(claim), "two claims are called '%s'", claim->name),
                  place(items->kids[k]), "the first is here");
        return;
    }
}

static bool has_name(Checker *c, const Ast *item) {
    if (item->name[strspn(item->name, " \t\n")]) return true;
    diag_report(c->diags, DIAG_E0516, place(item), "a %s has a name: what it is called in files and on pages",
                item->kind == AST_CLAIM   ? "claim"
                : item->kind == AST_TABLE ? "table"
                                          : "figure");
    return false;
}

void check_files(Checker *c, const Ast *items) {
    for (uint32_t i = 0; i < items->nkids; i++) {
        const Ast *item = items->kids[i];
        const bool named = item->kind == AST_CLAIM || item->kind == AST_TABLE || item->kind == AST_FIGURE;
        if (named && item->name && !has_name(c, item)) continue;
        if (item->kind == AST_CLAIM && item->name) check_claim_text(c, items, i);
        const bool figure = item->kind == AST_FIGURE;
        if ((!figure && item->kind != AST_TABLE) || !item->name) continue;
        if (figure && taken_by(item->name))
            diag_help(diag_report(c->diags, DIAG_E0202, place(item), "'%s' is a name for files of %s", item->name,
                                  taken_by(item->name)),
                      "call the figure otherwise");
        for (uint32_t k = 0; k < i; k++) {
            const Ast *first = items->kids[k];
            if ((first->kind != AST_TABLE && first->kind != AST_FIGURE) || !first->name ||
                !same_file(first->name, item->name))
                continue;
            const char *what = first->kind != item->kind ? "a table and a figure"
                               : figure                  ? "two figures"
                                                         : "two tables";
            Diagnostic *d = same(first->name, item->name)
                                ? diag_report(c->diags, DIAG_E0202, place(item), "%s are called '%s'", what, item->name)
                                : diag_report(c->diags, DIAG_E0202, place(item),
                                              "%s, '%s' and '%s', have the same files", what, first->name, item->name);
            diag_note(d, place(first), "the first is here");
            if (first->kind != item->kind) diag_help(d, "both would write the CSV file of that name");
            break;
        }
    }
}
