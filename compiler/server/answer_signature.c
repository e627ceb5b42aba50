/* answer_signature.c - the call around the place: what is called, and which of its arguments is being written. */
#include "answers.h"
#include "doc.h"
#include "json_text.h"
#include "type.h"
#include <stdlib.h>
#include <string.h>

typedef struct Shown {
    json_t *parameters;
    int active; /* -1: none */
} Shown;

static void parameter(Shown *s, const char *name, const char *doc, const Context *c) {
    const int place = (int)json_array_size(s->parameters);
    json_t *one = json_pack("{s:s}", "label", name);
    if (doc) json_object_set_new(one, "documentation", json_string(doc));
    json_array_append_new(s->parameters, one);
    if (c->named ? strcmp(c->named, name) == 0 : s->active < 0 && place == (int)c->argument) s->active = place;
}

static json_t *help(const char *label, const char *doc, Shown *shown) {
    json_t *one = json_pack("{s:s, s:o}", "label", label, "parameters", shown->parameters);
    if (doc && *doc)
        json_object_set_new(one, "documentation",
                            json_pack("{s:s, s:o}", "kind", "markdown", "value", deq_json_string(doc)));
    json_t *all = json_pack("{s:[o], s:i}", "signatures", one, "activeSignature", 0);
    if (shown->active >= 0) json_object_set_new(all, "activeParameter", json_integer(shown->active));
    return all;
}

const char *shown_signature(Arena *a, const Ast *decl) {
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (!out) end_without_memory();
    document_signature(decl, out);
    fclose(out);
    const char *copy = arena_strndup(a, text, n);
    free(text);
    return copy;
}

static json_t *help_declaration(Arena *a, const Ast *decl, const Context *c) {
    const bool used = decl->kind == AST_USE && decl->type && decl->type->kind == TYPE_LAYER;
    if (used) decl = decl->type->decl;
    const Ast *params = ast_params(decl);
    if (!params) return NULL;
    Shown shown = {json_array(), -1};
    /* the example of an attack is not given by its caller */
    const bool settings = decl->kind == AST_ATTACK_DEF;
    for (uint32_t part = settings; part < 2; part++)
        for (uint32_t i = 0; params->kids[part] && i < params->kids[part]->nkids; i++) {
            const Ast *b = params->kids[part]->kids[i];
            if (b->kind == AST_BINDING) parameter(&shown, range_text(a, places_name(b)), b->doc, c);
        }
    return help(shown_signature(a, decl), decl->doc, &shown);
}

json_t *answer_signature(Server *s, const json_t *params, Refusal *why) {
    uint32_t offset;
    Document *d = place_asked(s, params, why, &offset);
    if (!d) return NULL;
    Arena *a = s->arena;
    const Context c = context_at(a, d->now->source, offset);
    json_t *result = NULL;
    const Analysis *from;
    if (c.callee && !c.silent) {
        const Ast *decl = declaration_at(a, d, offset, c.callee, &from);
        const Builtin *b = builtin_find(c.callee, places_context(d->now->module, offset));
        const deq_family *family;
        const deq_row *row = language_row(c.callee, &family);
        Shown shown = {NULL, -1};
        if (decl) {
            result = help_declaration(a, decl, &c);
        } else if (b) {
            shown.parameters = json_array();
            for (uint32_t i = 0; i < b->nargs; i++) parameter(&shown, b->args[i].name, NULL, &c);
            result = help(b->signature, b->doc, &shown);
        } else if (row) {
            const deq_argument *one;
            const char *label = arena_printf(a, "%s(", row->name);
            shown.parameters = json_array();
            for (int i = 0; (one = deq_argument_at(family, row, 0, i)); i++) {
                label = arena_printf(a, "%s%s%s", label, i ? ", " : "", one->name);
                parameter(&shown, one->name, one->doc, &c);
            }
            result = help(arena_printf(a, "%s)", label), NULL, &shown);
        }
    }
    return result;
}
