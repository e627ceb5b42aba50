/* answer_definition.c - where a name is declared, and where it is mentioned. */
#define _GNU_SOURCE
#include "answers.h"
#include "output.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool same_text(Range a, Range b) {
    const uint32_t n = a.end - a.start;
    return n == b.end - b.start && memcmp(a.source->text + a.start, b.source->text + b.start, n) == 0;
}

bool name_at(Document *d, uint32_t offset, Found *out) {
    const Mention *m = places_at(&d->now->places, offset);
    *out = (Found){d->now, m};
    if ((m && m->decl) || !d->good || d->good == d->now) return m != NULL;
    const Mention *old = places_at(&d->good->places, document_to_good(d, offset));
    if (old && (!m || (old->decl && same_text(old->at, m->at)))) *out = (Found){d->good, old};
    return out->mention != NULL;
}

json_t *document_range(Document *d, const Analysis *from, Range r) {
    if (from == d->now) return range_json(r.source, r.start, r.end);
    uint32_t start = document_from_good(d, r.start), end = document_from_good(d, r.end);
    return range_json(d->now->source, start, end < start ? start : end);
}

/* A module of the library as a file that an editor can open: written once for each version of deq; free() it. */
static char *library_file(const Source *s) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    const char *version = &DEQ_VERSION[strcspn(DEQ_VERSION, "0123456789")]; /* "deq 0.2.0" */
    char *path = NULL, name[256];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(s->path + 1, ">"), s->path + 1); /* "<std.maps.x>" */
    if (strncmp(name, "std.", 4) != 0 || strchr(name, '/')) return NULL;
    for (char *c = name + 4; *c; c++)
        if (*c == '.') *c = '/';
    const bool given = cache && *cache == '/';
    if (!given && !(home && *home == '/')) return NULL;
    if (asprintf(&path, "%s%s/deq/stdlib/%s/%s.deq", given ? cache : home, given ? "" : "/.cache", version, name + 4) <
        0)
        return NULL;
    size_t size = 0;
    char *there = deq_read_whole(path, 16 << 20, &size);
    deq_error e = {0};
    bool good = (there && size == s->length && memcmp(there, s->text, size) == 0) ||
                (deq_output_write(path, s->text, s->length, &e) && chmod(path, 0444) == 0);
    free(there);
    if (good) return path;
    free(path);
    return NULL;
}

json_t *location(const Documents *all, Document *d, const Analysis *from, Range r) {
    if (r.source == from->source) return json_pack("{s:s, s:o}", "uri", d->uri, "range", document_range(d, from, r));
    char *file = source_embedded(r.source) ? library_file(r.source) : strdup(r.source->path);
    if (!file) return NULL;
    char *uri = path_uri(all, file);
    json_t *one = json_pack("{s:s, s:o}", "uri", uri, "range", range_json(r.source, r.start, r.end));
    free(uri);
    free(file);
    return one;
}

const Module *imported_by(const Module *m, const Ast *import) {
    for (uint32_t i = 0, k = 0; i < m->unit->nkids; i++) {
        if (m->unit->kids[i]->kind != AST_IMPORT) continue;
        if (m->unit->kids[i] == import) return k < m->nimports ? m->imports[k] : NULL;
        k++;
    }
    return NULL;
}

/* The name at the place that the parameters name, which has a declaration; NULL: there is none, or refused. */
static Document *name_asked(Server *s, const json_t *params, Refusal *why, Found *out) {
    uint32_t offset;
    Document *d = place_asked(s, params, why, &offset);
    return d && name_at(d, offset, out) && out->mention->decl ? d : NULL;
}

json_t *answer_definition(Server *s, const json_t *params, Refusal *why) {
    Found found;
    Document *d = name_asked(s, params, why, &found);
    if (!d) return NULL;
    const Ast *decl = found.mention->decl;
    if (decl->kind == AST_ERROR) return NULL;
    if (decl->kind == AST_IMPORT) {
        const Module *m = imported_by(found.from->module, decl);
        return m ? location(&s->documents, d, found.from, (Range){m->source, 0, 0}) : NULL;
    }
    return location(&s->documents, d, found.from, places_name(decl));
}

bool same_declaration(const Ast *x, const Ast *y) {
    if (x == y) return true;
    if (!x || !y || x->kind != y->kind || !x->range.source || !y->range.source) return false;
    const Range a = places_name(x), b = places_name(y);
    return a.start == b.start && strcmp(a.source->path, b.source->path) == 0;
}

json_t *answer_highlight(Server *s, const json_t *params, Refusal *why) {
    Found found;
    Document *d = name_asked(s, params, why, &found);
    if (!d) return NULL;
    json_t *all = json_array();
    for (uint32_t i = 0; i < found.from->places.n; i++) {
        const Mention *m = &found.from->places.mentions[i];
        if (m->decl == found.mention->decl)
            json_array_append_new(all, json_pack("{s:o, s:i}", "range", document_range(d, found.from, m->at), "kind",
                                                 m->declares ? 3 : 2));
    }
    return all;
}

/* Adds the mentions in the module, once for each file: a client can have one open under two addresses. */
static void mentions_in(Server *s, json_t *all, json_t *seen, Document *d, const Analysis *from, const Module *m,
                        const Ast *decl, bool declaration) {
    char *real = m->source == from->source ? NULL : realpath(m->source->path, NULL);
    const char *path = m->source == from->source ? d->path : real ? real : m->source->path;
    bool again = json_object_get(seen, path) != NULL;
    json_object_set_new(seen, path, json_true());
    free(real);
    const Places places = again ? (Places){0} : m == from->module ? from->places : places_of(s->arena, m);
    for (uint32_t i = 0; i < places.n; i++) {
        const Mention *one = &places.mentions[i];
        if (!same_declaration(one->decl, decl) || (one->declares && !declaration)) continue;
        json_t *at = location(&s->documents, d, from, one->at);
        if (at) json_array_append_new(all, at);
    }
}

json_t *references(Server *s, Document *d, const Found *found, bool declaration) {
    json_t *all = json_array(), *seen = json_object();
    const Ast *decl = found->mention->decl;
    mentions_in(s, all, seen, d, found->from, found->from->module, decl, declaration);
    for (uint32_t i = 0; i < found->from->program->nmodules; i++) {
        const Module *m = found->from->program->modules[i];
        if (!source_embedded(m->source)) mentions_in(s, all, seen, d, found->from, m, decl, declaration);
    }
    for (Document *o = s->documents.first; o; o = o->next) {
        const Analysis *a = document_now(&s->documents, o);
        if (o == d) continue;
        mentions_in(s, all, seen, o, a, a->module, decl, declaration);
    }
    json_decref(seen);
    return all;
}

json_t *answer_references(Server *s, const json_t *params, Refusal *why) {
    Found found;
    Document *d = name_asked(s, params, why, &found);
    if (!d) return NULL;
    return references(s, d, &found,
                      json_is_true(json_object_get(json_object_get(params, "context"), "includeDeclaration")));
}
