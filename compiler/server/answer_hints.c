/* answer_hints.c - types of names that are declared without one. */
#include "answers.h"
#include "type.h"

enum { HINT_TYPE = 1 };

static bool is_told(const Type *t) {
    return t && (t->kind == TYPE_TENSOR || t->kind == TYPE_TUPLE || t->kind == TYPE_LIST || t->kind == TYPE_EXAMPLES);
}

static void hint(Arena *arena, const Analysis *a, const Ast *name, const Type *type, uint32_t start, uint32_t end,
                 json_t *all) {
    const Range at = places_name(name);
    if (!is_told(type) || at.source != a->source || at.end < start || at.end > end) return;
    const char *text = arena_printf(arena, ": %s", type_text(arena, type));
    json_array_append_new(all, json_pack("{s:o, s:s, s:i}", "position", spot_json(offset_spot(a->source, at.end)),
                                         "label", text, "kind", HINT_TYPE));
}

static void walk(Arena *arena, const Analysis *a, const Ast *node, uint32_t start, uint32_t end, json_t *all) {
    if (!node || node->range.source != a->source) return;
    if (node->kind == AST_LET && !AST_SLOT(node, LET, type) && AST_SLOT(node, LET, pattern)) {
        const Ast *pattern = AST_SLOT(node, LET, pattern), *value = AST_SLOT(node, LET, value);
        if (pattern->kind == AST_NAME) {
            hint(arena, a, pattern, pattern->type ? pattern->type : value ? value->type : NULL, start, end, all);
        } else {
            for (uint32_t i = 0; i < pattern->nkids; i++)
                hint(arena, a, pattern->kids[i], pattern->kids[i]->type, start, end, all);
        }
    } else if (node->kind == AST_STATE && !AST_SLOT(node, STATE, type)) {
        hint(arena, a, node, node->type, start, end, all);
    }
    for (uint32_t i = 0; i < node->nkids; i++) walk(arena, a, node->kids[i], start, end, all);
}

json_t *answer_hints(Server *s, const json_t *params, Refusal *why) {
    Document *d = document_asked(s, params, why);
    if (!d) return NULL;
    const json_t *range = json_object_get(params, "range");
    Spot start = {0, 0}, end = {UINT32_MAX, 0};
    if (range &&
        (!spot_read(json_object_get(range, "start"), &start) || !spot_read(json_object_get(range, "end"), &end)))
        return refuse(why, REFUSED_PARAMETERS, "the range has no start and end");
    json_t *all = json_array();
    walk(s->arena, d->now, d->now->module->unit, spot_offset(d->now->source, start), spot_offset(d->now->source, end),
         all);
    return all;
}
