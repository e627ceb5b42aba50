/* answer_symbols.c - the outline: declarations, and what is in them; and declarations of all scripts, by their names. */
#include "answers.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct { /* kinds of the protocol */
    AstKind kind;
    int symbol;
} kinds[] = {
    {AST_CONST, 14},        {AST_FN, 12},          {AST_LAYER, 5},       {AST_DATA, 18},          {AST_ATTACK_DEF, 12},
    {AST_ATTACK, 13},       {AST_DEFENCE_DEF, 12}, {AST_DEFENCE, 13},    {AST_OPTIMISER_DEF, 12}, {AST_OPTIMISER, 13},
    {AST_SCHEDULE_DEF, 12}, {AST_SCHEDULE, 13},    {AST_TRAIN, 19},      {AST_GRADIENT, 12},      {AST_CHECK, 2},
    {AST_TEST, 6},          {AST_EXPERIMENT, 2},   {AST_PARAM, 7},       {AST_BUFFER, 7},         {AST_USE, 8},
    {AST_NAME, 13},         {AST_BINDING, 13},     {AST_STATE, 13},      {AST_SWEEP, 10},         {AST_TABLE, 23},
    {AST_FIGURE, 23},       {AST_CLAIM, 17},       {AST_SIZE_PARAM, 26}, {AST_FOR, 13},           {AST_IMPORT, 3},
};

static int symbol_kind(AstKind kind) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].kind == kind) return kinds[i].symbol;
    return 0;
}

typedef struct Symbol Symbol;
struct Symbol {
    const char *name, *detail;
    int kind;
    uint32_t start, end, name_start, name_end; /* in the text as it is */
    Symbol *inside;
    uint32_t n, cap;
};

typedef struct Outline {
    Document *document;
    Arena *arena;
    const Source *source; /* of the tree that is walked */
    bool good;            /* it is that of the last text that parsed, and lies elsewhere now */
} Outline;

static uint32_t place_of(const Outline *o, uint32_t offset) {
    return o->good ? document_from_good(o->document, offset) : offset;
}

static Symbol *find(Symbol *list, const char *name, int kind) {
    for (uint32_t i = 0; i < list->n; i++)
        if (list->inside[i].kind == kind && strcmp(list->inside[i].name, name) == 0) return &list->inside[i];
    return NULL;
}

/* The symbol `whole` with the name of `named` in the list; of the last tree only where this one has none. */
static Symbol *add(const Outline *o, Symbol *list, const Ast *whole, const Ast *named) {
    const char *name = named->name && *named->name ? named->name : ast_kind_name(whole->kind);
    int kind = symbol_kind(named->kind);
    if (named->kind == AST_ERROR || !kind || whole->range.source != o->source) return NULL;
    Symbol *old = o->good ? find(list, name, kind) : NULL;
    if (old) return old;
    Range at = places_name(named);
    uint32_t start = place_of(o, whole->range.start), end = place_of(o, whole->range.end);
    uint32_t name_start = place_of(o, at.start), name_end = place_of(o, at.end);
    if (name_start < start) name_start = start;
    if (name_end < name_start) name_end = name_start;
    if (end < name_end) end = name_end;
    Symbol *s = ARENA_PUSH(o->arena, list->inside, list->n, list->cap);
    *s = (Symbol){.name = name,
                  .detail = ast_kind_name(whole->kind),
                  .kind = kind,
                  .start = start,
                  .end = end,
                  .name_start = name_start,
                  .name_end = name_end};
    return s;
}

static void add_items(const Outline *o, Symbol *list, const Ast *items);

static void add_node(const Outline *o, Symbol *list, const Ast *node) {
    const Ast *names = node->kind == AST_LET     ? AST_SLOT(node, LET, pattern)
                       : node->kind == AST_FIXED ? AST_SLOT(node, FIXED, state)
                                                 : NULL;
    if (names && names->kind == AST_LIST)
        for (uint32_t i = 0; i < names->nkids; i++) add(o, list, node, names->kids[i]);
    else if (names)
        add(o, list, node, names);
    if (node->kind == AST_LET || node->kind == AST_FIXED || node->kind == AST_IMPORT || !symbol_kind(node->kind))
        return;
    Symbol *s = add(o, list, node, node);
    const Ast *body = node->nkids ? node->kids[node->nkids - 1] : NULL;
    if (s && body && body->kind == AST_LIST &&
        (ast_declares(node) || node->kind == AST_TEST || node->kind == AST_CHECK))
        add_items(o, s, body);
}

static void add_items(const Outline *o, Symbol *list, const Ast *items) {
    for (uint32_t i = 0; i < items->nkids; i++)
        if (items->kids[i]) add_node(o, list, items->kids[i]);
}

static int compare(const void *left, const void *right) {
    const Symbol *a = left, *b = right;
    return a->start != b->start            ? (a->start < b->start ? -1 : 1)
           : a->name_start < b->name_start ? -1
                                           : a->name_start > b->name_start;
}

static json_t *symbols_json(Symbol *list, const Source *source) {
    json_t *all = json_array();
    if (list->n) qsort(list->inside, list->n, sizeof *list->inside, compare);
    for (uint32_t i = 0; i < list->n; i++) {
        Symbol *s = &list->inside[i];
        json_t *one = json_pack("{s:s, s:s, s:i, s:o, s:o}", "name", s->name, "detail", s->detail, "kind", s->kind,
                                "range", range_json(source, s->start, s->end), "selectionRange",
                                range_json(source, s->name_start, s->name_end));
        if (s->n) json_object_set_new(one, "children", symbols_json(s, source));
        json_array_append_new(all, one);
    }
    return all;
}

json_t *answer_symbols(Server *s, const json_t *params, Refusal *why) {
    Document *d = document_asked(s, params, why);
    if (!d) return NULL;
    Symbol all = {0};
    Arena *a = s->arena;
    Outline o = {.document = d, .arena = a, .source = d->now->source};
    add_items(&o, &all, d->now->module->unit);
    if (d->good && d->good != d->now) {
        o.source = d->good->source, o.good = true;
        add_items(&o, &all, d->good->module->unit);
    }
    json_t *result = symbols_json(&all, d->now->source);
    return result;
}

/* ---- of all scripts ---- */
/* Whether the letters of the query stand in the name in their order, large or small: editors order what is found. */
static bool matches(const char *name, const char *query) {
    for (; *name && *query; name++)
        if (tolower((unsigned char)*name) == tolower((unsigned char)*query)) query++;
    return !*query;
}

static void symbols_of(Server *s, json_t *all, const char *query, Document *d, const Analysis *from, const Module *m) {
    for (uint32_t i = 0; i < m->unit->nkids; i++) {
        const Ast *decl = m->unit->kids[i];
        if (!ast_declares(decl) || !decl->name || !symbol_kind(decl->kind) || !matches(decl->name, query)) continue;
        json_t *at = location(&s->documents, d, from, places_name(decl));
        if (!at) continue;
        json_t *one = json_pack("{s:s, s:i, s:o}", "name", decl->name, "kind", symbol_kind(decl->kind), "location", at);
        if (m != from->module) json_object_set_new(one, "containerName", json_string(m->path));
        json_array_append_new(all, one);
    }
}

json_t *answer_workspace_symbols(Server *s, const json_t *params, Refusal *why) {
    const char *query = json_string_value(json_object_get(params, "query"));
    if (!query) return refuse(why, REFUSED_PARAMETERS, "'query' is a text");
    json_t *all = json_array(), *seen = json_object(); /* files: each is told once, and first as it is open */
    for (Document *d = s->documents.first; d; d = d->next) {
        const Analysis *now = document_now(&s->documents, d), *from = now->parsed || !d->good ? now : d->good;
        if (!json_object_get(seen, d->path)) symbols_of(s, all, query, d, from, from->module);
        json_object_set_new(seen, d->path, json_true());
    }
    for (Document *d = s->documents.first; d; d = d->next) {
        const Program *p = d->now->program;
        for (uint32_t i = 0; i < p->nmodules; i++) {
            const char *path = p->modules[i]->source->path;
            if (p->modules[i] == d->now->module || json_object_get(seen, path)) continue;
            symbols_of(s, all, query, d, d->now, p->modules[i]);
            json_object_set_new(seen, path, json_true());
        }
    }
    json_decref(seen);
    return all;
}
