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

json_t *experiment_table(Experiment *x, const Ast *table) {
    Arena *a = x->pipe->elab->arena;
    Scope s = experiment_scope(x);
    const Ast *settings = AST_SLOT(table, TABLE, settings), *columns = experiment_setting(settings, "columns"),
              *rows = experiment_setting(settings, "rows"), *cells = experiment_setting(settings, "cells"), *one;
    const Ast *const *items;
    if (!columns) return elab_error(&s, DIAG_E0502, table->range, "a table needs `columns`"), NULL;
    json_t *list = json_array(), *lines = json_array();
    AxisSet all = 0, joined = axes_named(&x->axes, joined_of(cells)), placed = 0;
    uint32_t n = items_of(columns, &items, &one);
    for (uint32_t k = 0; k < n; k++) {
        const char *title = range_text(a, items[k]->range), *value = experiment_value(x, items[k], NULL);
        if (!value) return NULL;
        const ArrayNode *node = experiment_array(x, value);
        all |= node->shown;
        json_t *column = json_pack("{s:s, s:s, s:s}", "title", title, "value", value, "format",
                                   node->percent ? "percent" : "number");
        if (node->chosen) json_object_set_new(column, "names", json_integer(node->chosen - 1));
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
    for (uint32_t k = 0; !rows && k < x->axes.nsweeps; k++)
        if (all & ~joined & AXIS(k)) json_array_append_new(lines, axes_json(AXIS(k))), placed |= AXIS(k);
    if (all & ~placed & ~joined)
        return elab_error(&s, DIAG_E0531, columns->range, "%s has no place in this table",
                          axes_text(a, &x->axes, all & ~placed & ~joined)),
               NULL;
    char word[64];
    const bool has = cells && ast_path(AST_SLOT(cells, CALL, callee), word, sizeof word);
    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "name", table->name, "rows", lines, "columns", list, "join",
                     axes_json(joined), "cells", has ? json_string(word) : json_null());
}
