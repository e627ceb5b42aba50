/* sync.c - texts that a client opens, changes and closes; what a request is about. */
#include "answers.h"

Document *document_asked(Server *s, const json_t *params, Refusal *why) {
    const char *uri = json_string_value(json_object_get(json_object_get(params, "textDocument"), "uri"));
    Document *d = uri ? documents_find(&s->documents, uri) : NULL;
    if (!uri)
        refuse(why, REFUSED_PARAMETERS, "the parameters name no textDocument");
    else if (!d)
        refuse(why, REFUSED_PARAMETERS, "'%.400s' is not open", uri);
    else
        document_now(&s->documents, d);
    return d;
}

Document *place_asked(Server *s, const json_t *params, Refusal *why, uint32_t *offset) {
    Document *d = document_asked(s, params, why);
    Spot spot;
    if (!d) return NULL;
    if (!spot_read(json_object_get(params, "position"), &spot)) {
        refuse(why, REFUSED_PARAMETERS, "the position is no line and character, both whole and not negative");
        return NULL;
    }
    *offset = spot_offset(d->now->source, spot);
    return d;
}

void notice_did_open(Server *s, const json_t *params) {
    const json_t *item = json_object_get(params, "textDocument"), *text = json_object_get(item, "text");
    const char *uri = json_string_value(json_object_get(item, "uri"));
    if (!uri || !json_is_string(text)) return;
    Document *d = documents_open(&s->documents, uri, json_string_value(text), json_string_length(text),
                                 json_integer_value(json_object_get(item, "version")));
    documents_imports_changed(&s->documents, d->path);
}

void notice_did_change(Server *s, const json_t *params) {
    const json_t *item = json_object_get(params, "textDocument");
    const char *uri = json_string_value(json_object_get(item, "uri"));
    Document *d = uri ? documents_find(&s->documents, uri) : NULL;
    size_t i;
    json_t *change;
    if (!d) return;
    json_array_foreach(json_object_get(params, "contentChanges"), i, change) {
        const json_t *text = json_object_get(change, "text"), *range = json_object_get(change, "range");
        Spot start, end;
        if (!json_is_string(text)) continue;
        if (!range || json_is_null(range))
            document_set(d, json_string_value(text), json_string_length(text));
        else if (spot_read(json_object_get(range, "start"), &start) && spot_read(json_object_get(range, "end"), &end))
            document_replace(d, start, end, json_string_value(text), json_string_length(text));
    }
    d->version = json_integer_value(json_object_get(item, "version"));
    d->told = false; /* diagnostics name the version that they are of, also where it is the text of before */
    documents_imports_changed(&s->documents, d->path);
}

void notice_did_save(Server *s, const json_t *params) {
    const char *uri = json_string_value(json_object_get(json_object_get(params, "textDocument"), "uri"));
    Document *d = uri ? documents_find(&s->documents, uri) : NULL;
    if (!d) return;
    d->due = true;
    documents_imports_changed(&s->documents, d->path);
}

void notice_watched(Server *s, const json_t *params) {
    (void)params;
    documents_imports_changed(&s->documents, NULL);
}

void notice_did_close(Server *s, const json_t *params) {
    Refusal why = {0};
    Document *d = document_asked(s, params, &why);
    if (!d) return;
    server_notify(s, "textDocument/publishDiagnostics", json_pack("{s:s, s:[]}", "uri", d->uri, "diagnostics"));
    documents_imports_changed(&s->documents, d->path);
    documents_close(&s->documents, d);
}
