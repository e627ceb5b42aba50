/* answer_rename.c - another name for a declaration, everywhere.
 *
 * The program of every open script is read as it would be.  The name stays where that gives errors that were not there,
 * and where any name would refer to another declaration than now. */
#include "answers.h"
#include "words.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* The name at the place as one that can be renamed; false: refused. */
static bool renamable(Document *d, uint32_t offset, Found *out, Refusal *why) {
    if (!name_at(d, offset, out))
        refuse(why, REFUSED_FAILED, "there is no name here");
    else if (!d->now->parsed)
        refuse(why, REFUSED_FAILED, "the script does not parse: names are changed when it does");
    else if (!out->mention->decl)
        refuse(why, REFUSED_FAILED, "this is a word of the language");
    else if (out->mention->decl->kind == AST_IMPORT || out->mention->decl->kind == AST_ERROR)
        refuse(why, REFUSED_FAILED, "modules are renamed by their files");
    else if (source_embedded(places_name(out->mention->decl).source))
        refuse(why, REFUSED_FAILED, "it is declared in the library");
    return why->code == 0;
}

json_t *answer_prepare_rename(Server *s, const json_t *params, Refusal *why) {
    uint32_t offset;
    Found f;
    Document *d = place_asked(s, params, why, &offset);
    if (!d || !renamable(d, offset, &f, why)) return NULL;
    return document_range(d, f.from, f.mention->at);
}

static bool is_name(const char *name, Refusal *why) {
    bool good = isalpha((unsigned char)*name) || *name == '_', reserved;
    for (const char *p = name; *p; p++) good = good && (isalnum((unsigned char)*p) || *p == '_');
    const char *word;
    for (uint32_t i = 0; good && (word = language_word(i, &reserved)); i++)
        if (reserved && strcmp(word, name) == 0) refuse(why, REFUSED_PARAMETERS, "'%s' is a reserved word", name);
    if (!good) refuse(why, REFUSED_PARAMETERS, "a name is made of letters, digits and _, and begins with no digit");
    return why->code == 0;
}

/* The edits of one file, from its locations: {"uri": [..]}. */
static json_t *edits_of(json_t *places, const char *name) {
    json_t *changes = json_object(), *place;
    size_t i;
    json_array_foreach(places, i, place) {
        const char *uri = json_string_value(json_object_get(place, "uri"));
        json_t *list = json_object_get(changes, uri);
        if (!list) json_object_set_new(changes, uri, list = json_array());
        json_array_append_new(list, json_pack("{s:O, s:s}", "range", json_object_get(place, "range"), "newText", name));
    }
    return changes;
}

/* A module of a document's program, with the mentions that get the new name. */
typedef struct Renamed {
    const Module *module;
    Places places;
    const Ast *decl;
    int64_t longer; /* by so many bytes is the new name longer than the old one */
    uint32_t n;     /* how many they are */
} Renamed;

static Renamed renamed_of(Arena *a, const Module *m, const Ast *decl, const char *name) {
    const Range old = places_name(decl);
    Renamed r = {m, places_of(a, m), decl, (int64_t)strlen(name) - (int64_t)(old.end - old.start), 0};
    for (uint32_t i = 0; i < r.places.n; i++) r.n += same_declaration(r.places.mentions[i].decl, decl);
    return r;
}

/* The module's text with the new name, in the arena. */
static const char *renamed_text(Arena *a, const Renamed *r, const char *name) {
    const Source *s = r->module->source;
    char *text = NULL;
    size_t n = 0;
    uint32_t at = 0;
    FILE *out = open_memstream(&text, &n);
    if (!out) end_without_memory();
    for (uint32_t i = 0; i < r->places.n; i++) {
        const Mention *one = &r->places.mentions[i];
        if (!same_declaration(one->decl, r->decl)) continue;
        fwrite(s->text + at, 1, one->at.start - at, out);
        fputs(name, out);
        at = one->at.end;
    }
    fwrite(s->text + at, 1, s->length - at, out);
    fclose(out);
    const char *copy = arena_strndup(a, text, n);
    free(text);
    return copy;
}

/* Where the place is in the renamed text. */
static int64_t moved_place(const Renamed *r, uint32_t offset) {
    int64_t to = offset;
    for (uint32_t i = 0; i < r->places.n && r->places.mentions[i].at.end <= offset; i++)
        if (same_declaration(r->places.mentions[i].decl, r->decl)) to += r->longer;
    return to;
}

/* Whether the range of the renamed program begins where the old one's beginning has moved to. */
static bool same_place(const Renamed *all, uint32_t n, Range old, Range new) {
    if (!old.source || !new.source) return old.source == new.source;
    if (strcmp(old.source->path, new.source->path) != 0) return false;
    for (uint32_t i = 0; i < n; i++)
        if (all[i].module->source == old.source) return moved_place(&all[i], old.start) == new.start;
    return old.start == new.start; /* in the library nothing moves */
}

static bool had_error(const Diags *ds, Arena *a, const Renamed *all, uint32_t n, const Diagnostic *error) {
    uint32_t count;
    Diagnostic **items = diags_sorted(ds, a, &count);
    for (uint32_t i = 0; i < count; i++)
        if (items[i]->code == error->code && same_place(all, n, items[i]->at, error->at)) return true;
    return false;
}

/* The first mention of the module that refers to something else in the renamed one; NULL: none. */
static const Mention *other_meaning(const Renamed *all, uint32_t n, const Renamed *old, const Places *new) {
    for (uint32_t i = 0; i < old->places.n; i++) {
        const Mention *x = &old->places.mentions[i], *y = i < new->n ? &new->mentions[i] : NULL;
        if (!y || !x->decl != !y->decl) return x;
        if (x->decl &&
            (x->decl->kind != y->decl->kind || !same_place(all, n, places_name(x->decl), places_name(y->decl))))
            return x;
    }
    return NULL;
}

/* Why the declaration cannot have the name, as the document's program shows it; NULL: it can. */
static const char *objection(Server *s, const Document *d, const Ast *decl, const char *name) {
    Arena *a = s->arena;
    const Program *now = d->now->program;
    Renamed *all = arena_alloc(a, now->nmodules * sizeof *all);
    OpenText *texts = arena_alloc(a, now->nmodules * sizeof *texts);
    uint32_t n = 0, mentions = 0;
    for (uint32_t i = 0; i < now->nmodules; i++) {
        const Module *m = now->modules[i];
        if (source_embedded(m->source)) continue;
        all[n] = renamed_of(a, m, decl, name);
        mentions += all[n].n;
        char *real = m == now->main ? NULL : realpath(m->source->path, NULL);
        texts[n].path = m == now->main ? d->path : arena_strdup(a, real ? real : m->source->path);
        texts[n].text = renamed_text(a, &all[n], name);
        n++;
        free(real);
    }
    if (!mentions) return NULL;
    Diags *loading = diags_new(a);
    bool clean;
    const Program *new = program_read_open(&s->documents, a, loading, d->path, texts, n, &clean);
    const Diags *found[] = {loading, new->diags};
    for (uint32_t k = 0; k < 2; k++) {
        uint32_t count;
        Diagnostic **items = diags_sorted(found[k], a, &count);
        for (uint32_t i = 0; i < count; i++)
            if (!diag_code_is_warning(items[i]->code) && !had_error(d->now->diags, a, all, n, items[i]) &&
                !had_error(now->diags, a, all, n, items[i]))
                return arena_printf(a, "with this name the script would have an error: %s", items[i]->message);
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < new->nmodules; k++) {
            if (strcmp(new->modules[k]->source->path, all[i].module->source->path) != 0) continue;
            const Places places = places_of(a, new->modules[k]);
            const Mention *other = other_meaning(all, n, &all[i], &places);
            if (other)
                return arena_printf(
                    a, "with this name '%s' in line %u of '%s' would mean something else", range_text(a, other->at),
                    offset_spot(all[i].module->source, other->at.start).line + 1, all[i].module->source->path);
        }
    return NULL;
}

json_t *answer_rename(Server *s, const json_t *params, Refusal *why) {
    uint32_t offset;
    Found f;
    const char *name = json_string_value(json_object_get(params, "newName"));
    documents_imports_changed(&s->documents, NULL); /* the edits are of the files as they are */
    Document *d = place_asked(s, params, why, &offset);
    if (!d || !renamable(d, offset, &f, why)) return NULL;
    if (!name) return refuse(why, REFUSED_PARAMETERS, "there is no newName");
    if (!is_name(name, why)) return NULL;
    const char *reason = objection(s, d, f.mention->decl, name);
    for (Document *o = s->documents.first; o && !reason; o = o->next) {
        document_now(&s->documents, o);
        if (o != d) reason = objection(s, o, f.mention->decl, name);
    }
    if (reason) return refuse(why, REFUSED_FAILED, "%.480s", reason);
    json_t *places = references(s, d, &f, true), *changes = edits_of(places, name);
    json_decref(places);
    return json_pack("{s:o}", "changes", changes);
}
