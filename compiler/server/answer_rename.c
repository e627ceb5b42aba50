/* answer_rename.c - another name for a declaration, everywhere.
 *
 * Some mentions are no names for the resolver, such as the path `body` in a setting's key.  So the script is checked as it
 * would be, and the name stays where that gives errors that were not there. */
#include "answers.h"
#include "check.h"
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

/* The module's text with the new name at the mentions of the declaration, in the arena. */
static const char *renamed_text(Arena *a, const Module *m, const Ast *decl, const char *name) {
    const Places places = places_of(a, m);
    char *text = NULL;
    size_t n = 0;
    uint32_t at = 0;
    FILE *out = open_memstream(&text, &n);
    if (!out) end_without_memory();
    for (uint32_t i = 0; i < places.n; i++) {
        const Mention *one = &places.mentions[i];
        if (!same_declaration(one->decl, decl)) continue;
        fwrite(m->source->text + at, 1, one->at.start - at, out);
        fputs(name, out);
        at = one->at.end;
    }
    fwrite(m->source->text + at, 1, m->source->length - at, out);
    fclose(out);
    const char *copy = arena_strndup(a, text, n);
    free(text);
    return copy;
}

/* The first error that the script would have and has not now; NULL: none. */
static const char *new_error(Server *s, const Document *d, const Ast *decl, const char *name) {
    Arena *a = s->arena;
    Diags *ds = diags_new(a);
    const Program *now = d->now->program;
    OpenText *texts = arena_alloc(a, now->nmodules * sizeof *texts);
    uint32_t n = 0;
    for (uint32_t i = 0; i < now->nmodules; i++) {
        const Module *m = now->modules[i];
        if (source_embedded(m->source)) continue;
        char *real = realpath(m->source->path, NULL);
        texts[n++] = (OpenText){m == now->main ? d->path : arena_strdup(a, real ? real : m->source->path),
                                renamed_text(a, m, decl, name)};
        free(real);
    }
    Program *p = program_load_open(a, ds, d->path, texts, n, s->documents.include, s->documents.ninclude);
    if (diags_errors(ds) == 0) {
        bool resolved = program_resolve(p);
        if (program_check(p) && resolved) return NULL;
    }
    if (diags_errors(ds) <= diags_errors(d->now->diags)) return NULL;
    uint32_t count;
    Diagnostic **items = diags_sorted(ds, a, &count);
    for (uint32_t i = 0; i < count; i++)
        if (!diag_code_is_warning(items[i]->code)) return items[i]->message;
    return NULL;
}

json_t *answer_rename(Server *s, const json_t *params, Refusal *why) {
    uint32_t offset;
    Found f;
    const char *name = json_string_value(json_object_get(params, "newName"));
    Document *d = place_asked(s, params, why, &offset);
    if (!d || !renamable(d, offset, &f, why)) return NULL;
    if (!name) return refuse(why, REFUSED_PARAMETERS, "there is no newName");
    if (!is_name(name, why)) return NULL;
    const char *error = new_error(s, d, f.mention->decl, name);
    if (error) return refuse(why, REFUSED_FAILED, "with this name the script would have an error: %.400s", error);
    json_t *places = references(s, d, &f, true), *changes = edits_of(places, name);
    json_decref(places);
    return json_pack("{s:o}", "changes", changes);
}
