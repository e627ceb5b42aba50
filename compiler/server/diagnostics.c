/* diagnostics.c - what `deq check --json` prints, to the client. */
#include "answers.h"
#include "json_text.h"
#include <stdlib.h>
#include <string.h>

enum { SEVERITY_ERROR = 1, SEVERITY_WARNING = 2, TAG_UNNECESSARY = 1 };

/* The import by which the module with the source is reached. */
static const Ast *import_of(const Analysis *a, const Source *source) {
    const Module *m = a->module;
    const Ast *any = NULL;
    for (uint32_t i = 0; i < m->unit->nkids; i++) {
        const Module *imported = imported_by(m, m->unit->kids[i]);
        if (imported && imported->source == source) return m->unit->kids[i];
        if (imported && !source_embedded(imported->source)) any = m->unit->kids[i];
    }
    return any;
}

/* Where an editor shows it: its place; of another file, the import that leads there, or the first line. */
static Range diagnostic_place(const Analysis *a, const Diagnostic *d) {
    if (d->at.source == a->source) return d->at;
    const Ast *import = d->at.source ? import_of(a, d->at.source) : NULL;
    return import ? import->name_range : (Range){a->source, 0, 0};
}

static json_t *related(const Documents *all, Document *d, const Analysis *a, Range at, const char *text) {
    char *uri = at.source == a->source ? NULL : path_uri(all, at.source->path);
    json_t *one = json_pack("{s:{s:s, s:o}, s:o}", "location", "uri", uri ? uri : d->uri, "range",
                            range_json(at.source, at.start, at.end), "message", deq_json_string(text));
    free(uri);
    return one;
}

static json_t *diagnostic_json(const Documents *all, Document *d, Arena *arena, const Diagnostic *item) {
    const Analysis *a = d->now;
    Range at = diagnostic_place(a, item);
    const char *text = item->message;
    json_t *places = json_array();
    if (item->at.source && item->at.source != a->source && !source_embedded(item->at.source))
        json_array_append_new(places, related(all, d, a, item->at, item->message));
    for (const Remark *r = item->remarks; r; r = r->next) {
        if (!r->help && r->at.source && !source_embedded(r->at.source))
            json_array_append_new(places, related(all, d, a, r->at, r->text));
        else
            text = arena_printf(arena, "%s\n%s: %s", text, r->help ? "help" : "note", r->text);
    }
    json_t *one = json_pack("{s:o, s:i, s:s, s:s, s:o}", "range", range_json(a->source, at.start, at.end), "severity",
                            diag_code_is_warning(item->code) ? SEVERITY_WARNING : SEVERITY_ERROR, "code",
                            diag_code_name(item->code), "source", "deq", "message", deq_json_string(text));
    if (item->code == DIAG_W0210 || item->code == DIAG_W0211)
        json_object_set_new(one, "tags", json_pack("[i]", TAG_UNNECESSARY));
    if (json_array_size(places)) json_object_set(one, "relatedInformation", places);
    json_decref(places);
    return one;
}

void publish(Server *s, Document *d) {
    const Analysis *a = document_now(&s->documents, d);
    json_t *list = json_array();
    uint32_t n;
    Diagnostic **items = diags_sorted(a->diags, s->arena, &n);
    for (uint32_t i = 0; i < n; i++)
        if (diag_is_told(a->diags, items[i]))
            json_array_append_new(list, diagnostic_json(&s->documents, d, s->arena, items[i]));
    d->told = true;
    server_notify(s, "textDocument/publishDiagnostics",
                  json_pack("{s:s, s:I, s:o}", "uri", d->uri, "version", d->version, "diagnostics", list));
}
