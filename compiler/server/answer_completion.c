/* answer_completion.c - what can stand at the place: from the scope, and from the tables of the language. */
#include "answers.h"
#include "doc.h"
#include "json_text.h"
#include "output.h"
#include "type.h"
#include "words.h"
#include <stdlib.h>
#include <string.h>

enum {
    ITEM_TEXT = 1,
    ITEM_FUNCTION = 3,
    ITEM_FIELD = 5,
    ITEM_MODULE = 9,
    ITEM_PROPERTY = 10,
    ITEM_VALUE = 12,
    ITEM_KEYWORD = 14
};

typedef struct Offers {
    Arena *arena;
    Document *document;
    json_t *items, *seen;
    uint32_t word; /* where the word begins that an item replaces */
    uint32_t offset;
} Offers;

/* An item; the group puts what is nearer first.  What is offered already is left out. */
static json_t *offer(Offers *o, const char *label, int kind, const char *detail, const char *insert, char group) {
    if (json_object_get(o->seen, label)) return NULL;
    json_object_set_new(o->seen, label, json_true());
    const Source *s = o->document->now->source;
    json_t *edit =
        json_pack("{s:o, s:s}", "range", range_json(s, o->word, o->offset), "newText", insert ? insert : label);
    json_t *item = json_pack("{s:s, s:i, s:s, s:o}", "label", label, "kind", kind, "sortText",
                             arena_printf(o->arena, "%c%s", group, label), "textEdit", edit);
    if (detail && *detail) json_object_set_new(item, "detail", deq_json_string(detail));
    json_array_append_new(o->items, item);
    return item;
}

static const char *detail_of(const Offers *o, const Ast *decl) {
    if (!decl) return "";
    if (decl->type && (decl->type->kind == TYPE_TENSOR || decl->type->kind == TYPE_TUPLE))
        return type_text(o->arena, decl->type);
    return decl->kind == AST_NAME ? "let" : ast_kind_name(decl->kind);
}

static int item_kind(const Ast *decl) {
    switch (decl ? decl->kind : AST_FN) {
    case AST_LAYER: return 7;
    case AST_IMPORT: return ITEM_MODULE;
    case AST_FN:
    case AST_ATTACK_DEF:
    case AST_DEFENCE_DEF:
    case AST_OPTIMISER_DEF:
    case AST_SCHEDULE_DEF: return ITEM_FUNCTION;
    case AST_PARAM:
    case AST_BUFFER: return ITEM_PROPERTY;
    case AST_SIZE_PARAM: return 25;
    case AST_CONST: return 21;
    default: return 6;
    }
}

static void offer_declaration(Offers *o, const Ast *decl, const char *name, char group) {
    json_t *item = offer(o, name, item_kind(decl), detail_of(o, decl), NULL, group);
    if (item && decl && decl->doc)
        json_object_set_new(item, "documentation",
                            json_pack("{s:s, s:o}", "kind", "markdown", "value", deq_json_string(decl->doc)));
}

/* Every word of "a, b, c" or "a|b". */
static void offer_words(Offers *o, const char *list, int kind, const char *detail) {
    while (*list) {
        size_t n = strcspn(list, ",| ");
        if (n) offer(o, arena_strndup(o->arena, list, n), kind, detail, NULL, 'a');
        list += n + strspn(list + n, ",| ");
    }
}

static void offer_rows(Offers *o, const deq_family *f) {
    for (int i = 0; i < f->nrows; i++) {
        const deq_row *row = &f->rows[i];
        json_t *item = offer(o, row->name, ITEM_VALUE, f->what, NULL, 'a');
        if (item)
            json_object_set_new(
                item, "documentation",
                json_pack("{s:s, s:o}", "kind", "markdown", "value", deq_json_string(row_help(o->arena, f, row))));
    }
}

static void offer_exports(Offers *o, const Module *m, const char *text, char group);

/* ---- behind a dot ---- */

static void offer_layer_members(Offers *o, const Ast *layer) {
    const Ast *body = layer && layer->kind == AST_LAYER ? AST_SLOT(layer, LAYER, body) : NULL;
    for (uint32_t i = 0; body && i < body->nkids; i++)
        if (body->kids[i]->kind == AST_USE) offer_declaration(o, body->kids[i], body->kids[i]->name, 'a');
}

static void offer_members(Offers *o, const char *path) {
    Document *d = o->document;
    const Analysis *from;
    const char *last = strrchr(path, '.'), *base = arena_strndup(o->arena, path, last ? (size_t)(last - path) : 0);
    const Ast *decl = declaration_at(o->arena, d, o->offset, last ? base : path, &from);
    const Type *t = decl ? decl->type : NULL;
    if (last && decl && t && t->kind == TYPE_NET) { /* net.fixed., net.log. */
        if (strcmp(last, ".fixed") == 0) offer_words(o, statistic_names(o->arena, false), ITEM_FIELD, "of the solves");
        if (strcmp(last, ".log") == 0) offer_words(o, log_column_names(o->arena), ITEM_FIELD, "of the training log");
        return;
    }
    if (last && decl && strcmp(last, ".attack") == 0) {
        offer_words(o, statistic_names(o->arena, true), ITEM_FIELD, "of the attack");
        return;
    }
    if (last || !decl) {
        for (int i = 0; i < deq_mode_family.nrows; i++) { /* phantom. */
            const char *name = deq_mode_family.rows[i].name;
            size_t n = strlen(path);
            if (strncmp(name, path, n) == 0 && name[n] == '.')
                offer(o, name + n + 1, ITEM_VALUE, "a gradient mode", NULL, 'a');
        }
        return;
    }
    if (decl->kind == AST_IMPORT) {
        const Module *m = imported_by(from->module, decl);
        if (m) offer_exports(o, m, NULL, 'a');
    } else if (decl->kind == AST_EXPERIMENT) {
        const Ast *items = AST_SLOT(decl, EXPERIMENT, items);
        for (uint32_t i = 0; items && i < items->nkids; i++) {
            const Ast *item = items->kids[i], *pattern = item->kind == AST_LET ? AST_SLOT(item, LET, pattern) : NULL;
            if (pattern && pattern->kind == AST_NAME) offer_declaration(o, pattern, pattern->name, 'a');
            if (item->kind == AST_TRAIN || item->kind == AST_SWEEP) offer_declaration(o, item, item->name, 'a');
        }
    } else if (t && t->kind == TYPE_DATASET) {
        offer_words(o, "train, test", ITEM_FIELD, "examples");
    } else if (t && t->kind == TYPE_NET) {
        offer_words(o, "fixed, log, parameters, state_bytes, forward, gradient, finish", ITEM_FIELD, "of the net");
        if (t->nitems) offer_layer_members(o, t->items[0]->decl);
    } else if (t && (t == &type_evaluation || type_is_number(t))) {
        offer_words(o, "verdict, attack", ITEM_FIELD, "of the evaluation");
        offer_words(o, statistic_names(o->arena, false), ITEM_FIELD, "of its solves");
    }
}

/* ---- imports ---- */

static void offer_modules(Offers *o, const char *path) {
    const char *name;
    size_t n = path && *path ? strlen(path) : 0;
    for (uint32_t i = 0; (name = stdlib_path(i)); i++) {
        if (!n)
            offer(o, name, ITEM_MODULE, "", NULL, 'a');
        else if (strncmp(name, path, n) == 0 && name[n] == '.')
            offer(o, name + n + 1, ITEM_MODULE, "", NULL, 'a');
    }
}

/* Modules beside the script, as they are imported. */
static void offer_files(Offers *o) {
    const char *path = o->document->path, *slash = strrchr(path, '/');
    const char *folder = slash ? arena_strndup(o->arena, path, (size_t)(slash - path)) : NULL;
    int n = 0;
    char **files = folder ? deq_files_ending(*folder ? folder : "/", ".deq", &n) : NULL;
    for (int i = 0; i < n; i++) {
        const char *name = arena_strndup(o->arena, files[i], strlen(files[i]) - strlen(".deq"));
        const bool word = name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
        if (word && *name && strcmp(files[i], slash + 1) != 0)
            offer(o, name, ITEM_MODULE, "beside this script", NULL, 'a');
        free(files[i]);
    }
    free(files);
}

/* What a module declares: of one that is loaded its tree, else what its text says. */
static void offer_exports(Offers *o, const Module *m, const char *text, char group) {
    if (m) {
        for (uint32_t i = 0; i < m->unit->nkids; i++)
            if (ast_declares(m->unit->kids[i])) offer_declaration(o, m->unit->kids[i], m->unit->kids[i]->name, group);
        return;
    }
    Arena *a = o->arena;
    const Program *p = program_load_text(a, diags_new(a), "", text);
    offer_exports(o, p->main, NULL, group);
}

static void offer_imported(Offers *o, const char *path) {
    const Module *m = o->document->now->module;
    for (uint32_t i = 0; i < m->unit->nkids; i++) {
        const Module *imported = imported_by(m, m->unit->kids[i]);
        if (imported && strcmp(m->unit->kids[i]->name, path) == 0) {
            offer_exports(o, imported, NULL, 'a');
            break;
        }
    }
    const char *text = stdlib_text(path);
    if (text) offer_exports(o, NULL, text, 'a');
    if (strcmp(path, "std.data") != 0) return;
    offer_rows(o, &deq_reader_family);
    offer_rows(o, &deq_transform_family);
}

/* ---- settings, arguments, names ---- */

static void offer_settings(Offers *o, const char *block) {
    for (const Setting *s = setting_table; s->key; s++)
        if (strcmp(s->block, block) == 0)
            offer(o, s->key, ITEM_PROPERTY, s->doc, arena_printf(o->arena, "%s: ", s->key), 'b');
}

static bool offer_value(Offers *o, const char *block, const char *key) {
    const char *dot = strrchr(key, '.'), *last = dot ? dot + 1 : key;
    const Setting *row = block ? setting_find(block, last) : NULL;
    if (!row) row = setting_find("fixed", last);
    if (!row) return false;
    if (row->kind == KIND_WORD) offer_words(o, row->fallback, ITEM_VALUE, row->doc);
    if (row->kind == KIND_START && strcmp(row->block, "fixed") == 0)
        offer_words(o, row->fallback, ITEM_VALUE, row->doc);
    if (row->kind == KIND_BOOL) offer_words(o, "true, false", ITEM_KEYWORD, row->doc);
    const deq_family *f = family_of(row->kind);
    if (f) offer_rows(o, f);
    if (row->kind == KIND_PENALTY) offer_words(o, "none", ITEM_VALUE, row->doc);
    return row->kind == KIND_WORD || row->kind == KIND_BOOL;
}

static void offer_argument(Offers *o, const char *name, const char *doc) {
    offer(o, arena_printf(o->arena, "%s:", name), ITEM_PROPERTY, doc, arena_printf(o->arena, "%s: ", name), 'a');
}

static void offer_arguments(Offers *o, const char *callee) {
    const Analysis *from;
    const Ast *decl = declaration_at(o->arena, o->document, o->offset, callee, &from);
    const Ast *params = decl ? ast_params(decl) : NULL;
    for (uint32_t part = 0; params && part < 2; part++)
        for (uint32_t i = 0; params->kids[part] && i < params->kids[part]->nkids; i++) {
            const Ast *b = params->kids[part]->kids[i];
            if (b->kind == AST_BINDING) offer_argument(o, b->name, range_text(o->arena, b->range));
        }
    if (decl) return;
    const Builtin *b = builtin_find(callee, places_context(o->document->now->module, o->offset));
    for (uint32_t i = 0; b && i < b->nargs; i++) offer_argument(o, b->args[i].name, b->signature);
    const deq_family *f;
    const deq_row *row = b ? NULL : language_row(callee, &f);
    const deq_argument *one;
    for (int i = 0; row && (one = deq_argument_at(f, row, 0, i)); i++) offer_argument(o, one->name, one->doc);
}

/* The words of the value of an argument: anderson(stop: */
static void offer_argument_value(Offers *o, const char *callee, const char *name) {
    const deq_family *f;
    const deq_row *row = language_row(callee, &f);
    const deq_argument *one = row ? deq_argument_find(f, row, deq_part_of(name)) : NULL;
    if (one && one->type == DEQ_WORD) offer_words(o, one->words, ITEM_VALUE, one->doc);
    if (one && one->type == DEQ_FLAG) offer_words(o, "true, false", ITEM_KEYWORD, one->doc);
    if (one && one->type == DEQ_NESTED) offer_rows(o, &deq_solver_family);
}

static void offer_names(Offers *o) {
    Document *d = o->document;
    uint32_t n;
    const Visible *all = places_visible(o->arena, d->now->module, o->offset, &n);
    for (uint32_t i = 0; i < n; i++) offer_declaration(o, all[i].decl, all[i].name, 'c');
    if (d->good && d->good != d->now) {
        all = places_visible(o->arena, d->good->module, document_to_good(d, o->offset), &n);
        for (uint32_t i = 0; i < n; i++) offer_declaration(o, all[i].decl, all[i].name, 'c');
    }
    const unsigned context = places_context(d->now->module, o->offset);
    for (const Builtin *b = builtin_table; b->name; b++)
        if (b->contexts & context) {
            json_t *item = offer(o, b->name, builtin_is_value(b) ? 21 : ITEM_FUNCTION, b->signature, NULL, 'd');
            if (item) json_object_set_new(item, "documentation", deq_json_string(b->doc));
        }
}

static void offer_exported(void *data, const char *path, const char *name) {
    Offers *o = data;
    json_t *item = offer(o, name, ITEM_FUNCTION, arena_printf(o->arena, "import %s", path), NULL, 'f');
    if (item)
        json_object_set_new(item, "additionalTextEdits",
                            json_pack("[o]", import_edit(o->arena, o->document->now, path, name)));
}

static void offer_library(Offers *o) { stdlib_each(o->arena, offer_exported, o); }

static void offer_keywords(Offers *o) {
    bool reserved;
    const char *word;
    for (uint32_t i = 0; (word = language_word(i, &reserved)); i++) offer(o, word, ITEM_KEYWORD, "", NULL, 'e');
}

json_t *answer_completion(Server *s, const json_t *params, Refusal *why) {
    uint32_t offset;
    Document *d = place_asked(s, params, why, &offset);
    if (!d) return NULL;
    Arena *a = s->arena;
    const Context c = context_at(a, d->now->source, offset);
    Offers o = {a, d, json_array(), json_object(), c.word, offset};
    const char *block = c.silent ? NULL : block_at(d, offset);
    if (c.silent) {
        /* nothing */
    } else if (c.import) {
        if (*c.import)
            offer_imported(&o, c.import);
        else
            offer_modules(&o, c.path);
        if (!*c.import && !c.path) offer_files(&o);
    } else if (c.path) {
        offer_members(&o, c.path);
    } else if (c.type) {
        offer_words(&o, "f32, f64, int, bool, label, schedule", 22, "a type");
    } else {
        bool words = c.key && offer_value(&o, block, c.key);
        if (c.callee && c.named) offer_argument_value(&o, c.callee, c.named);
        if (c.callee && !c.named) offer_arguments(&o, c.callee);
        if (c.begins && block) offer_settings(&o, block);
        if (!words) {
            offer_names(&o);
            offer_keywords(&o);
            offer_library(&o);
        }
    }
    json_decref(o.seen);
    return json_pack("{s:b, s:o}", "isIncomplete", 0, "items", o.items);
}
