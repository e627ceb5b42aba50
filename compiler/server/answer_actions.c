/* answer_actions.c - what a diagnostic says was meant, and an import that it misses, as edits. */
#include "answers.h"
#include <ctype.h>
#include <string.h>

static uint32_t line_start(const Source *s, uint32_t at) {
    while (at > 0 && s->text[at - 1] != '\n') at--;
    return at;
}

static bool is_doc_line(const char *line) { return strncmp(line + strspn(line, " \t"), "///", 3) == 0; }

/* Where the lines of the declaration begin, with its documentation. */
static uint32_t before_doc(const Source *s, const Ast *decl) {
    uint32_t at = line_start(s, decl->range.start);
    if (!decl->doc) return at;
    do at = at ? line_start(s, at - 1) : 0;
    while (at && !is_doc_line(s->text + at));
    for (uint32_t above; at && is_doc_line(s->text + (above = line_start(s, at - 1)));) at = above;
    return at;
}

/* An edit that makes the name of the library known: in the brackets of an import of the module, else on a line of its own
 * behind the last import. */
json_t *import_edit(Arena *arena, const Analysis *a, const char *module, const char *name) {
    const Ast *unit = a->module->unit;
    uint32_t at = 0;
    for (uint32_t i = 0; i < unit->nkids; i++) {
        const Ast *import = unit->kids[i], *names = import->kind == AST_IMPORT ? AST_SLOT(import, IMPORT, names) : NULL;
        if (import->kind != AST_IMPORT) continue;
        at = import->range.end;
        while (at < a->source->length && a->source->text[at] != '\n') at++;
        at += at < a->source->length;
        if (!names || !names->nkids || strcmp(import->name, module) != 0) continue;
        const uint32_t end = names->kids[names->nkids - 1]->range.end;
        return json_pack("{s:o, s:s}", "range", range_json(a->source, end, end), "newText",
                         arena_printf(arena, ", %s", name));
    }
    const bool line = at && a->source->text[at - 1] != '\n'; /* the import ends the text */
    if (!at && unit->doc && unit->nkids) at = before_doc(a->source, unit->kids[0]);
    return json_pack("{s:o, s:s}", "range", range_json(a->source, at, at), "newText",
                     arena_printf(arena, "%simport %s (%s)\n", line ? "\n" : "", module, name));
}

static json_t *action(Document *d, const char *title, json_t *edit, bool preferred) {
    return json_pack("{s:s, s:s, s:b, s:{s:{s:[o]}}}", "title", title, "kind", "quickfix", "isPreferred", preferred,
                     "edit", "changes", d->uri, edit);
}

/* One word or path: what a name can stand for. */
static bool is_word(Range r) {
    for (uint32_t i = r.start; i < r.end; i++)
        if (!isalnum((unsigned char)r.source->text[i]) && !strchr("_.", r.source->text[i])) return false;
    return r.start < r.end;
}

json_t *answer_actions(Server *s, const json_t *params, Refusal *why) {
    Document *d = document_asked(s, params, why);
    Spot first, last;
    if (!d) return NULL;
    const json_t *range = json_object_get(params, "range");
    if (!spot_read(json_object_get(range, "start"), &first) || !spot_read(json_object_get(range, "end"), &last))
        return refuse(why, REFUSED_PARAMETERS, "the range has no start and end");
    const Analysis *a = d->now;
    const uint32_t start = spot_offset(a->source, first), end = spot_offset(a->source, last);
    json_t *all = json_array();
    uint32_t n;
    Diagnostic **items = diags_sorted(a->diags, s->arena, &n);
    for (uint32_t i = 0; i < n; i++) {
        const Diagnostic *one = items[i];
        if (one->at.source != a->source || one->at.end < start || one->at.start > end) continue;
        if (one->meant && is_word(one->at))
            json_array_append_new(
                all, action(d, arena_printf(s->arena, "Write '%s'", one->meant),
                            json_pack("{s:o, s:s}", "range", range_json(a->source, one->at.start, one->at.end),
                                      "newText", one->meant),
                            true));
        if (one->import)
            json_array_append_new(all,
                                  action(d, arena_printf(s->arena, "Import '%s' from %s", one->imported, one->import),
                                         import_edit(s->arena, a, one->import, one->imported), !one->meant));
    }
    return all;
}
