/* experiment_table.c - what an experiment shows: tables. */
#include "experiment_parts.h"
#include "tables.h"
#include <string.h>

/* The items of a list, or the one that stands alone. */
static uint32_t items_of(const Ast *list, const Ast *const **out, const Ast **one) {
    *one = list;
    *out = (const Ast *const *)one;
    if (!list || (list->kind != AST_ARRAY && list->kind != AST_TUPLE)) return list ? 1 : 0;
    *out = (const Ast *const *)list->kids;
    return list->nkids;
}

static const Ast *joined_of(const Ast *cells) {
    if (!cells || cells->kind != AST_CALL || AST_SLOT(cells, CALL, inputs)->nkids != 1) return NULL;
    return AST_SLOT(AST_SLOT(cells, CALL, inputs)->kids[0], ARG, value);
}

/* The axes of the names in the order that they are written. */
static json_t *by_json(const Experiment *x, const Ast *names) {
    const Ast *one;
    const Ast *const *items;
    json_t *list = json_array();
    const uint32_t n = items_of(names, &items, &one);
    for (uint32_t k = 0; k < n; k++) {
        json_auto_t *axes = axes_json(axes_named(&x->axes, items[k]));
        json_array_extend(list, axes);
    }
    return list;
}

/* A column, and the axes that it needs a place for; NULL after an error. */
static json_t *column_json(Experiment *x, const Ast *column, AxisSet *open) {
    const bool spread = column->kind == AST_BINARY && strcmp(column->name, "by") == 0;
    const Ast *value = spread ? AST_SLOT(column, BINARY, left) : column;
    const AxisSet by = spread ? axes_named(&x->axes, AST_SLOT(column, BINARY, right)) : 0;
    const char *title = range_text(x->pipe->elab->arena, value->range), *name = experiment_value(x, value, NULL);
    if (!name) return NULL;
    const ArrayNode *node = experiment_array(x, name);
    json_t *j = json_pack("{s:s, s:s, s:s}", "title", title, "value", name, "format",
                          node->verdict   ? "verdict"
                          : node->percent ? "percent"
                                          : "number");
    if (node->chosen) json_object_set_new(j, "names", json_integer(node->chosen - 1));
    if (spread) json_object_set_new(j, "by", by_json(x, AST_SLOT(column, BINARY, right)));
    *open |= node->shown & ~by;
    return j;
}

/* Whether the reduction is of a value that one of the columns shows. */
static bool is_of_column(const Experiment *x, const char *reduction, const json_t *columns) {
    const char *of = json_string_value(json_object_get(experiment_array_json(x, reduction), "of"));
    for (size_t i = 0; i < json_array_size(columns); i++)
        if (strcmp(of, json_string_value(json_object_get(json_array_get(columns, i), "value"))) == 0) return true;
    return false;
}

/* Values whose equals are bold: reductions of columns. */
static json_t *bold_json(Experiment *x, const Ast *bold, const json_t *columns) {
    const Ast *one;
    const Ast *const *items;
    json_auto_t *list = json_array();
    const uint32_t n = items_of(bold, &items, &one);
    for (uint32_t k = 0; k < n; k++) {
        const char *name = experiment_value(x, items[k], NULL);
        if (!name) return NULL;
        if (strcmp(experiment_array(x, name)->kind, "reduce") != 0) {
            Scope s = experiment_scope(x);
            elab_error(&s, DIAG_E0516, items[k]->range,
                       "bold are the cells of a column that equal its min(v, over: s), or another");
            return NULL;
        }
        if (!is_of_column(x, name, columns)) {
            Scope s = experiment_scope(x);
            elab_error(&s, DIAG_E0516, items[k]->range,
                       "this is of no column here whose cells are numbers: nothing would be bold");
            return NULL;
        }
        json_array_append_new(list, json_string(name));
    }
    return json_incref(list);
}

json_t *experiment_table(Experiment *x, const Ast *table) {
    Arena *a = x->pipe->elab->arena;
    Scope s = experiment_scope(x);
    const Ast *settings = AST_SLOT(table, TABLE, settings), *columns = ast_setting_value(settings, "columns"),
              *rows = ast_setting_value(settings, "rows"), *cells = ast_setting_value(settings, "cells"),
              *bold = ast_setting_value(settings, "bold"), *one;
    const Ast *const *items;
    if (!columns) return elab_error(&s, DIAG_E0502, table->range, "a table needs `columns`"), NULL;
    json_auto_t *list = json_array(), *lines = json_array();
    AxisSet open = 0, joined = axes_named(&x->axes, joined_of(cells)), placed = 0;
    uint32_t n = items_of(columns, &items, &one);
    for (uint32_t k = 0; k < n; k++) {
        json_t *column = column_json(x, items[k], &open);
        if (!column) return NULL;
        json_array_append_new(list, column);
    }
    if (cells && !joined)
        return elab_error(&s, DIAG_E0516, cells->range, "cells: mean_std(v) joins the values of sweep v"), NULL;
    n = items_of(rows, &items, &one);
    for (uint32_t k = 0; k < n; k++) {
        const AxisSet row = axes_named(&x->axes, items[k]);
        if (!row)
            return elab_error(&s, DIAG_E0516, items[k]->range, "rows are sweep variables of the experiment"), NULL;
        json_array_append_new(lines, axes_json(row));
        placed |= row;
    }
    for (uint32_t k = 0; !rows && k < x->axes.nsweeps; k++) {
        AxisSet own = open & ~joined & AXIS(k);
        if (own && x->axes.axis[k].part == AXIS_FAMILY) own |= open & AXIS(k + 1); /* a family and its members */
        if (own & ~placed) json_array_append_new(lines, axes_json(own)), placed |= own;
    }
    if (open & ~placed & ~joined)
        return elab_error(&s, DIAG_E0531, columns->range, "%s has no place in this table",
                          axes_text(a, &x->axes, open & ~placed & ~joined)),
               NULL;
    char word[64];
    const bool has = cells && ast_path(AST_SLOT(cells, CALL, callee), word, sizeof word);
    json_auto_t *bolds = bold ? bold_json(x, bold, list) : NULL;
    if (bold && !bolds) return NULL;
    json_t *j = json_pack("{s:s, s:O, s:O, s:o, s:o}", "name", table->name, "rows", lines, "columns", list, "join",
                          axes_json(joined), "cells", has ? json_string(word) : json_null());
    if (bold) json_object_set(j, "bold", bolds);
    return j;
}
