/* answer_hover.c - what an editor shows of the name under the pointer. */
#include "answers.h"
#include "doc.h"
#include "elaborate.h"
#include "json_text.h"
#include "type.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *shapes_text(Arena *a, const LayerUse *u) {
    const char *text = "";
    for (uint32_t i = 0; i < u->nshapes; i++)
        text = arena_printf(a, "%s%s%s", text, i ? ", " : "", shape_text(a, u->shapes[i]));
    return u->nshapes == 1 ? text : arena_printf(a, "(%s)", text);
}

/* "Dense_784_128 at body.inject: 100480 parameters, gives f32[128]", a line for each use of the layer in the nets. */
static const char *uses_text(Document *d, Arena *a, const Ast *layer, const char *name) {
    enum { MOST = 6 };
    const char *text = "";
    uint32_t lines = 0;
    if (!d->now->elaborated) return text;
    const Elab *e = d->now->look.elab;
    for (uint32_t k = 0; k < e->nnets; k++)
        for (uint32_t i = 0; i < e->nets[k]->nlayers && lines < MOST; i++) {
            const LayerUse *u = &e->nets[k]->layers[i];
            const char *last = strrchr(u->path, '.');
            if (layer && u->declaration != layer) continue;
            if (!layer && strcmp(last ? last + 1 : u->path, name) != 0) continue;
            const char *line =
                arena_printf(a, "- `%s`%s%s%s: %.0f parameters, gives `%s`\n", u->layer, *u->path ? " at `" : "",
                             u->path, *u->path ? "`" : "", u->parameters, shapes_text(a, u));
            if (strstr(text, line)) continue;
            text = arena_printf(a, "%s%s", text, line);
            lines++;
        }
    return text;
}

/* What is shown of a declaration, as Markdown. */
static const char *declaration_text(Arena *a, Document *d, const Analysis *from, const Ast *decl) {
    const char *code, *doc = decl->doc, *more = "";
    switch (decl->kind) {
    case AST_ERROR: return "";
    case AST_IMPORT: {
        const Module *m = imported_by(from->module, decl);
        code = arena_printf(a, "import %s", decl->name);
        doc = m ? m->unit->doc : NULL;
        break;
    }
    case AST_NAME: code = arena_printf(a, "let %s: %s", decl->name, decl->type ? type_text(a, decl->type) : "?"); break;
    case AST_SIZE_PARAM: code = arena_printf(a, "%s: a size", decl->name); break;
    case AST_FOR:
        code = arena_printf(a, "for %s in %s", decl->name, range_text(a, AST_SLOT(decl, FOR, range)->range));
        break;
    default: code = shown_signature(a, decl); break;
    }
    if (decl->type && (decl->kind == AST_STATE || decl->kind == AST_CONST) && decl->type->kind != TYPE_ERROR)
        more = arena_printf(a, "Type: `%s`\n", type_text(a, decl->type));
    document_elaborate(d);
    if (decl->kind == AST_LAYER)
        more = uses_text(d, a, decl, NULL);
    else if (decl->kind == AST_USE)
        more = uses_text(d, a, NULL, decl->name);
    else if (decl->kind == AST_TRAIN) {
        const Ast *model = AST_SLOT(decl, TRAIN, model);
        while (model && (model->kind == AST_INDEX || model->kind == AST_CALL || model->kind == AST_WITH))
            model = model->kids[0];
        if (model && model->ref && model->ref->kind == AST_LAYER) more = uses_text(d, a, model->ref, NULL);
    }
    const char *parts[] = {arena_printf(a, "```deq\n%s\n```", code), doc, more};
    const char *text = "";
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i] && *parts[i]) text = arena_printf(a, "%s%s%s", text, *text ? "\n\n" : "", parts[i]);
    return text;
}

/* The setting whose key is at the place; NULL: there is none. */
static const Setting *setting_at(const Document *d, uint32_t offset, const char *name) {
    static const char *const others[] = {"fixed", "train", "net_with", "attack_with", "experiment", "table", "figure"};
    const char *block = block_at(d, offset);
    const Setting *row = block ? setting_find(block, name) : NULL;
    for (size_t i = 0; i < sizeof others / sizeof *others && !row; i++) row = setting_find(others[i], name);
    return row;
}

static bool is_key(const Analysis *a, const Mention *m) {
    const char *p = a->source->text + m->at.end;
    while (*p == ' ') p++;
    return *p == ':';
}

/* The name with what is joined to it by dots, phantom.unroll. */
static const char *dotted_name(Arena *a, const Found *f) {
    const char *text = f->from->source->text, *start = text + f->mention->at.start, *end = text + f->mention->at.end;
    while (start > text && (isalnum((unsigned char)start[-1]) || strchr("_.", start[-1]))) start--;
    while (isalnum((unsigned char)*end) || *end == '_' || (*end == '.' && end[1] != '.')) end++;
    return arena_strndup(a, start, (size_t)(end - start));
}

/* Of a word of the language. */
static const char *word_text(Arena *a, Document *d, const Found *f, uint32_t offset) {
    const char *name = range_text(a, f->mention->at);
    const Ast *node = f->mention->node;
    const deq_family *family;
    const deq_row *row = language_row(dotted_name(a, f), &family);
    const Setting *setting = is_key(f->from, f->mention) ? setting_at(d, offset, name) : NULL;
    if (setting)
        return arena_printf(a, "`%s`, a setting of `%s`: %s%s%s%s", setting->key, setting->block, setting->doc,
                            *setting->fallback ? "\n\nDefault: `" : "", setting->fallback,
                            *setting->fallback ? "`" : "");
    const Builtin *b = builtin_find(name, places_context(f->from->module, f->mention->at.start));
    if (b && !(row && node->kind == AST_MEMBER)) return arena_printf(a, "```deq\n%s\n```\n%s", b->signature, b->doc);
    return row ? row_help(a, family, row) : NULL;
}

/* Of an operator: what it gives. */
static json_t *operator_hover(Arena *a, Document *d, uint32_t offset) {
    const Ast *around[512];
    const uint32_t n = places_around(d->now->module, offset, around, 512);
    const Ast *node = n ? around[n - 1] : NULL;
    const bool tensor = node && node->type && (node->type->kind == TYPE_TENSOR || node->type->kind == TYPE_TUPLE);
    if (!tensor || node->kind != AST_BINARY || offset < node->name_range.start || offset > node->name_range.end)
        return NULL;
    const char *text = arena_printf(a, "`%s`: `%s`", range_text(a, node->range), type_text(a, node->type));
    return json_pack("{s:{s:s, s:o}, s:o}", "contents", "kind", "markdown", "value", deq_json_string(text), "range",
                     document_range(d, d->now, node->name_range));
}

json_t *answer_hover(Server *s, const json_t *params, Refusal *why) {
    uint32_t offset;
    Found f;
    Document *d = place_asked(s, params, why, &offset);
    if (!d) return NULL;
    if (!name_at(d, offset, &f)) return operator_hover(s->arena, d, offset);
    const Ast *decl = f.mention->decl, *node = f.mention->node;
    Arena *a = s->arena;
    const char *text = decl ? declaration_text(a, d, f.from, decl) : word_text(a, d, &f, offset);
    const Type *t = node->type;
    if (t && t->kind != TYPE_ERROR && node != decl &&
        (t->kind == TYPE_TENSOR || t->kind == TYPE_TUPLE || !text || !*text))
        text = arena_printf(a, "%s%sHere: `%s`", text ? text : "", text && *text ? "\n\n" : "", type_text(a, t));
    if (!text || !*text) return NULL;
    return json_pack("{s:{s:s, s:o}, s:o}", "contents", "kind", "markdown", "value", deq_json_string(text), "range",
                     document_range(d, f.from, f.mention->at));
}
