/* places.c - see places.h. */
#include "places.h"
#include "tables.h"
#include "type.h"
#include <stdlib.h>
#include <string.h>

/* ---- the names ---- */

typedef struct Collector {
    Arena *arena;
    const Source *source;
    Mention *items;
    uint32_t n, cap;
} Collector;

Range places_name(const Ast *node) {
    Range r = node->name_range.source ? node->name_range : node->range;
    while (r.source && r.start < r.end && strchr(". \t\n", r.source->text[r.start])) r.start++; /* ..S */
    return r;
}

static void mention(Collector *c, Range at, const Ast *node, const Ast *decl, bool declares) {
    if (at.source != c->source || at.start >= at.end || at.end > c->source->length) return;
    *ARENA_PUSH(c->arena, c->items, c->n, c->cap) = (Mention){at, node, decl, declares};
}

/* What a call names: the FN, LAYER or definition, if it is one of a module. */
static const Ast *callee_of(const Ast *call) {
    const Ast *callee = AST_SLOT(call, CALL, callee);
    while (callee && (callee->kind == AST_INDEX || callee->kind == AST_CALL)) callee = callee->kids[0];
    const Ast *decl = callee && (callee->kind == AST_NAME || callee->kind == AST_MEMBER) ? callee->ref : NULL;
    if (decl && decl->kind == AST_USE) return NULL;
    return decl && decl->kind != AST_BINDING ? decl : NULL;
}

static const Ast *parameter_of(const Ast *decl, const char *name) {
    const Ast *params = decl ? ast_params(decl) : NULL;
    for (uint32_t part = 0; params && part < 2; part++)
        for (uint32_t i = 0; params->kids[part] && i < params->kids[part]->nkids; i++) {
            const Ast *b = params->kids[part]->kids[i];
            if (b->kind == AST_BINDING && b->name && strcmp(b->name, name) == 0) return b;
        }
    return NULL;
}

/* The layer that a net or an instance is made of; NULL: the type is another. */
static const Ast *layer_of(const Type *t) {
    if (t && t->kind == TYPE_NET && t->nitems) t = t->items[0];
    return t && t->kind == TYPE_LAYER && t->decl && t->decl->kind == AST_LAYER ? t->decl : NULL;
}

/* What is called so in the layer and has a path: a `use`, a param or a buffer. */
static const Ast *part_of(const Ast *layer, const char *name) {
    const Ast *body = layer ? AST_SLOT(layer, LAYER, body) : NULL;
    for (uint32_t i = 0; body && name && i < body->nkids; i++) {
        const Ast *item = body->kids[i];
        bool has_path = item->kind == AST_USE || item->kind == AST_PARAM || item->kind == AST_BUFFER;
        if (has_path && item->name && strcmp(item->name, name) == 0) return item;
    }
    return NULL;
}

/* body.forward.tol, head.b: a path into a layer, as far as it names parts of it.  The layer that it leads to, or NULL. */
static const Ast *walk_path(Collector *c, const Ast *path, const Ast *layer) {
    if (path->kind == AST_MEMBER)
        layer = walk_path(c, AST_SLOT(path, MEMBER, base), layer);
    else if (path->kind != AST_NAME)
        return NULL;
    const Ast *part = part_of(layer, path->name);
    mention(c, places_name(path), path, part ? part : path->ref, false);
    return part && part->kind == AST_USE ? layer_of(part->type) : NULL;
}

static void walk(Collector *c, const Ast *node, const Ast *callee);

/* Settings of a net of the layer: keys, and the values of some, are paths into it. */
static void walk_settings(Collector *c, const Ast *list, const Ast *layer) {
    for (uint32_t i = 0; list && i < list->nkids; i++) {
        const Ast *s = list->kids[i], *key = s->kind == AST_SETTING ? AST_SLOT(s, SETTING, key) : NULL;
        if (!key) {
            walk(c, s, NULL);
            continue;
        }
        const Ast *value = AST_SLOT(s, SETTING, value), *block = AST_SLOT(s, SETTING, block);
        bool paths = key->name && strcmp(key->name, "freeze") == 0,
             rates = key->name && strcmp(key->name, "rates") == 0;
        walk_path(c, key, layer);
        if (paths && value && value->kind == AST_ARRAY)
            for (uint32_t k = 0; k < value->nkids; k++) walk_path(c, value->kids[k], layer);
        else if (paths && value)
            walk_path(c, value, layer);
        else
            walk(c, value, NULL);
        if (rates)
            walk_settings(c, block, layer);
        else
            walk(c, block, NULL);
    }
}

static void walk(Collector *c, const Ast *node, const Ast *callee) {
    if (!node) return;
    if (node->stands_for) node = node->stands_for;
    switch (node->kind) {
    case AST_NAME: mention(c, places_name(node), node, node->ref, false); break;
    case AST_MEMBER:
        mention(c, places_name(node), node,
                node->ref ? node->ref : part_of(layer_of(AST_SLOT(node, MEMBER, base)->type), node->name), false);
        break;
    case AST_ARG:
        if (node->name)
            mention(c, places_name(node), node, node->ref ? node->ref : parameter_of(callee, node->name), false);
        callee = NULL;
        break;
    case AST_IMPORT: {
        const Ast *names = AST_SLOT(node, IMPORT, names), *alias = AST_SLOT(node, IMPORT, alias);
        mention(c, places_name(node), node, node, !alias && !names);
        for (uint32_t i = 0; names && i < names->nkids; i++) walk(c, names->kids[i], NULL);
        if (alias) mention(c, places_name(alias), alias, node, true);
        return;
    }
    case AST_LET: {
        const Ast *pattern = AST_SLOT(node, LET, pattern);
        uint32_t n = pattern && pattern->kind == AST_LIST ? pattern->nkids : pattern != NULL;
        for (uint32_t i = 0; i < n; i++) {
            const Ast *name = pattern->kind == AST_LIST ? pattern->kids[i] : pattern;
            if (name->kind == AST_NAME) mention(c, places_name(name), name, name, true);
        }
        walk(c, AST_SLOT(node, LET, type), NULL);
        walk(c, AST_SLOT(node, LET, value), NULL);
        return;
    }
    case AST_SIZE_PARAM:
    case AST_BINDING:
    case AST_PARAM:
    case AST_BUFFER:
    case AST_USE:
    case AST_FOR:
    case AST_STATE:
    case AST_SWEEP:
    case AST_CHECK:
        if (node->name) mention(c, places_name(node), node, node, true);
        break;
    case AST_WITH:
        walk(c, AST_SLOT(node, WITH, base), NULL);
        walk_settings(c, AST_SLOT(node, WITH, settings), layer_of(AST_SLOT(node, WITH, base)->type));
        return;
    default:
        if (ast_declares(node)) mention(c, places_name(node), node, node, true);
        break;
    }
    if (node->kind == AST_TRAIN) {
        const Ast *model = AST_SLOT(node, TRAIN, model);
        walk(c, model, NULL);
        walk(c, AST_SLOT(node, TRAIN, data), NULL);
        walk_settings(c, AST_SLOT(node, TRAIN, settings), model ? layer_of(model->type) : NULL);
        return;
    }
    const Ast *inner = node->kind == AST_CALL ? callee_of(node) : node->kind == AST_LIST ? callee : NULL;
    for (uint32_t i = 0; i < node->nkids; i++) walk(c, node->kids[i], inner);
}

/* By place; of two names at one place a declaration comes first, then what is known. */
static int compare(const void *left, const void *right) {
    const Mention *a = left, *b = right;
    if (a->at.start != b->at.start) return a->at.start < b->at.start ? -1 : 1;
    if (a->declares != b->declares) return a->declares ? -1 : 1;
    return (a->decl == NULL) - (b->decl == NULL);
}

Places places_of(Arena *a, const Module *m) {
    Collector c = {.arena = a, .source = m->source};
    walk(&c, m->unit, NULL);
    if (c.n) qsort(c.items, c.n, sizeof *c.items, compare);
    uint32_t n = 0;
    for (uint32_t i = 0; i < c.n; i++)
        if (!n || c.items[n - 1].at.start != c.items[i].at.start) c.items[n++] = c.items[i];
    return (Places){c.items, n};
}

const Mention *places_at(const Places *p, uint32_t offset) {
    uint32_t low = 0, high = p->n; /* the last that begins at the offset or before it */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (p->mentions[middle].at.start <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    for (uint32_t back = 1; back <= 2 && back <= low; back++) {
        const Mention *m = &p->mentions[low - back];
        if (m->at.start <= offset && offset <= m->at.end) return m;
    }
    return NULL;
}

/* ---- what is around a place ---- */

enum { MOST_BRACES = 256, MOST_AROUND = 512 };

typedef struct Braces { /* the '{' that are open at a place, outermost first */
    uint32_t at[MOST_BRACES];
    uint32_t n;
} Braces;

static Braces braces_at(const Source *s, uint32_t offset) {
    Braces b = {.n = 0};
    uint32_t deep = 0; /* beyond what fits */
    for (uint32_t i = 0; i < offset && i < s->length; i++) {
        char c = s->text[i];
        if (c == '/' && s->text[i + 1] == '/') {
            while (i < offset && i < s->length && s->text[i] != '\n') i++;
        } else if (c == '"') {
            for (i++; i < offset && i < s->length && s->text[i] != '"' && s->text[i] != '\n'; i++)
                if (s->text[i] == '\\') i++;
        } else if (c == '{') {
            if (b.n < MOST_BRACES)
                b.at[b.n++] = i;
            else
                deep++;
        } else if (c == '}') {
            if (deep)
                deep--;
            else if (b.n)
                b.n--;
        }
    }
    return b;
}

static bool is_open(const Braces *b, uint32_t at) {
    for (uint32_t i = 0; i < b->n; i++)
        if (b->at[i] == at) return true;
    return false;
}

/* Whether the offset lies in the node, or in a block of it that is still open there. */
static bool encloses(const Ast *node, const Braces *b, uint32_t offset) {
    if (!node->range.source || node->range.start > offset || node->kind == AST_ERROR) return false;
    if (node->kind == AST_LIST && node->range.source->text[node->range.start] == '{')
        return is_open(b, node->range.start);
    if (offset <= node->range.end) return true;
    for (uint32_t i = 0; i < node->nkids; i++)
        if (node->kids[i] && encloses(node->kids[i], b, offset)) return true;
    return false;
}

uint32_t places_around(const Module *m, uint32_t offset, const Ast **nodes, uint32_t most) {
    const Braces braces = braces_at(m->source, offset);
    uint32_t n = 0;
    for (const Ast *node = m->unit; node && n < most;) {
        nodes[n++] = node;
        const Ast *next = NULL;
        for (uint32_t i = 0; i < node->nkids; i++) /* the last: what begins later is further in */
            if (node->kids[i] && node->kids[i]->range.source == m->source && encloses(node->kids[i], &braces, offset))
                next = node->kids[i];
        node = next;
    }
    return n;
}

/* ---- the names that are known ---- */

typedef struct Names {
    Arena *arena;
    Visible *items;
    uint32_t n, cap;
} Names;

static void know(Names *s, const char *name, const Ast *decl) {
    if (!name) return;
    for (uint32_t i = 0; i < s->n; i++)
        if (strcmp(s->items[i].name, name) == 0) return;
    *ARENA_PUSH(s->arena, s->items, s->n, s->cap) = (Visible){name, decl};
}

static void know_list(Names *s, const Ast *list) {
    for (uint32_t i = 0; list && i < list->nkids; i++)
        if (list->kids[i]->kind != AST_ERROR) know(s, list->kids[i]->name, list->kids[i]);
}

/* The names that an item gives to what follows it. */
static void know_item(Names *s, const Ast *item) {
    switch (item->kind) {
    case AST_LET: {
        const Ast *pattern = AST_SLOT(item, LET, pattern);
        if (pattern && pattern->kind == AST_LIST)
            know_list(s, pattern);
        else if (pattern)
            know(s, pattern->name, pattern);
        return;
    }
    case AST_FIXED: know_list(s, AST_SLOT(item, FIXED, state)); return;
    case AST_PARAM:
    case AST_BUFFER:
    case AST_USE:
    case AST_FN:
    case AST_STATE:
    case AST_TRAIN:
    case AST_SWEEP: know(s, item->name, item); return;
    default: return;
    }
}

static void know_parts(Names *s, const Ast *both) {
    for (uint32_t part = 0; both && part < both->nkids; part++) know_list(s, both->kids[part]);
}

/* What the node itself gives to what is inside it. */
static void know_inside(Names *s, const Ast *node) {
    switch (node->kind) {
    case AST_FN: know_parts(s, AST_SLOT(node, FN, sizes)); break;
    case AST_LAYER: know_parts(s, AST_SLOT(node, LAYER, sizes)); break;
    case AST_ATTACK_DEF: know_parts(s, AST_SLOT(node, ATTACK_DEF, sizes)); break;
    case AST_FOR: know(s, node->name, node); return;
    case AST_FIXED: know_list(s, AST_SLOT(node, FIXED, state)); return;
    case AST_EACH: know_list(s, AST_SLOT(node, EACH, variables)); return;
    case AST_GRADIENT: {
        const Ast *target = AST_SLOT(node, GRADIENT, target), *layer = target ? target->ref : NULL;
        if (!layer || layer->kind != AST_LAYER) return;
        const Ast *body = AST_SLOT(layer, LAYER, body);
        for (uint32_t i = 0; body && i < body->nkids; i++) know_item(s, body->kids[i]);
        know_parts(s, ast_params(layer));
        know_parts(s, AST_SLOT(layer, LAYER, sizes));
        return;
    }
    default: break;
    }
    know_parts(s, ast_params(node));
}

static void know_module(Names *s, const Module *m) {
    for (uint32_t i = 0, k = 0; i < m->unit->nkids; i++) {
        const Ast *d = m->unit->kids[i];
        if (d->kind != AST_IMPORT) {
            if (ast_declares(d)) know(s, d->name, d);
            continue;
        }
        const Module *imported = k < m->nimports ? m->imports[k] : NULL;
        const Ast *names = AST_SLOT(d, IMPORT, names), *alias = AST_SLOT(d, IMPORT, alias);
        k++;
        for (uint32_t n = 0; names && n < names->nkids; n++)
            know(s, names->kids[n]->name, imported ? module_find(imported, names->kids[n]->name, NULL) : NULL);
        if (!names) know(s, alias ? alias->name : module_word(d->name), d);
    }
}

const Visible *places_visible(Arena *a, const Module *m, uint32_t offset, uint32_t *n) {
    const Ast *around[MOST_AROUND];
    uint32_t depth = places_around(m, offset, around, MOST_AROUND);
    Names s = {.arena = a};
    for (uint32_t k = depth; k-- > 1;) { /* the unit's names come from know_module */
        const Ast *node = around[k];
        for (uint32_t i = 0; node->kind == AST_LIST && i < node->nkids; i++)
            if (node->kids[i]->range.end <= offset) know_item(&s, node->kids[i]);
        know_inside(&s, node);
    }
    know_module(&s, m);
    *n = s.n;
    return s.items;
}

unsigned places_context(const Module *m, uint32_t offset) {
    const Ast *around[MOST_AROUND];
    uint32_t depth = places_around(m, offset, around, MOST_AROUND);
    for (uint32_t k = depth; k-- > 1;)
        if (around[k]->kind == AST_PARAM || around[k]->kind == AST_BUFFER) return CTX_INIT;
    switch (depth > 1 ? around[1]->kind : AST_UNIT) {
    case AST_FN: return CTX_FN;
    case AST_LAYER: return CTX_LAYER;
    case AST_ATTACK_DEF: return CTX_ATTACK;
    case AST_DEFENCE_DEF: return CTX_DEFENCE;
    case AST_OPTIMISER_DEF: return CTX_OPTIMISER;
    case AST_SCHEDULE_DEF: return CTX_SCHEDULE;
    case AST_GRADIENT: return CTX_GRADIENT;
    case AST_CONST: return CTX_CONST;
    default: return CTX_PIPELINE;
    }
}
