/* settings_value.c - settings as a value: which record a name stands for, and the settings of a block with those of its
 * records in their place. */
#include "settings_value.h"
#include <string.h>

enum { MAX_RECORDS = 64 }; /* names of names; the checker has reported those that mean themselves */

const Ast *record_of(const RecordReader *r, const Ast *e, const Ast **from) {
    *from = NULL;
    for (int k = 0; k < MAX_RECORDS && e; k++) {
        const Ast *d = e->kind == AST_NAME || e->kind == AST_MEMBER ? e->ref : NULL;
        if (e->kind == AST_RECORD) return e;
        if (d && d->kind == AST_CONST)
            *from = d, e = AST_SLOT(d, CONST, value);
        else if (d && d->kind == AST_SWEEP && r->meaning)
            e = r->meaning(r->data, e);
        else
            return NULL;
    }
    return NULL;
}

bool settings_spread(const Ast *list) {
    for (uint32_t i = 0; list && i < list->nkids; i++)
        if (list->kids[i]->kind == AST_SPREAD) return true;
    return false;
}

/* Facts about nodes are kept by address, and depend on where a record is used: every use has nodes of its own. */
static Ast *clone(Arena *a, const Ast *e) {
    if (!e) return NULL;
    Ast *copy = arena_copy(a, e, sizeof *e);
    copy->kids = arena_alloc(a, (e->nkids + 1) * sizeof *copy->kids);
    for (uint32_t i = 0; i < e->nkids; i++) copy->kids[i] = clone(a, e->kids[i]);
    return copy;
}

/* Names without a declaration are words and what the language itself has: the same everywhere. */
static bool means_the_same(const Ast *e) {
    if (!e) return true;
    if (e->ref) return false;
    for (uint32_t i = 0; i < e->nkids; i++)
        if (!means_the_same(e->kids[i])) return false;
    return true;
}

bool settings_same_key(const Ast *a, const Ast *b) {
    char one[512], other[512];
    return a->kind == AST_SETTING && b->kind == AST_SETTING && ast_path(AST_SLOT(a, SETTING, key), one, sizeof one) &&
           ast_path(AST_SLOT(b, SETTING, key), other, sizeof other) && !strcmp(one, other);
}

typedef struct Flat {
    RecordReader *reader;
    Ast **items;
    uint32_t n, cap;
} Flat;

/* Values of the setting, and of a block of its own, whose names the record's place decides. */
static void mark_written(Arena *a, Ast *s, const Ast *from) {
    Ast *value = s->kind == AST_SETTING ? AST_SLOT(s, SETTING, value) : NULL,
        *block = s->kind == AST_SETTING ? AST_SLOT(s, SETTING, block) : NULL;
    for (uint32_t i = 0; block && i < block->nkids; i++) mark_written(a, block->kids[i], from);
    if (!value || means_the_same(value)) return;
    Ast *written = ast_new(a, AST_WRITTEN, value->range, 1);
    written->ref = from;
    AST_SLOT(written, WRITTEN, value) = value;
    AST_SLOT(s, SETTING, value) = written;
}

static void add(Flat *f, const Ast *s, const Ast *by, const Ast *from) {
    Arena *a = f->reader->arena;
    Ast *copy = by ? clone(a, s) : (Ast *)s;
    if (by) copy->ref = by;
    if (by && from && f->reader->written) mark_written(a, copy, from);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < f->n; i++) /* the same key twice in one literal is the checker's to report */
        if (!settings_same_key(f->items[i], copy) || (!by && !f->items[i]->ref)) f->items[kept++] = f->items[i];
    f->n = kept;
    *ARENA_PUSH(a, f->items, f->n, f->cap) = copy;
}

typedef struct Taken { /* the records that one is being taken in from, innermost first */
    const Ast *record;
    const struct Taken *outer;
} Taken;

static bool is_taken(const Taken *t, const Ast *record) {
    while (t && t->record != record) t = t->outer;
    return t != NULL;
}

/* Of a record only settings are taken in.  Other items, and records that take themselves in, are the checker's to report.
 */
static void add_all(Flat *f, const Ast *list, const Ast *by, const Ast *from, const Taken *outer) {
    for (uint32_t i = 0; i < list->nkids; i++) {
        const Ast *s = list->kids[i];
        if (s->kind != AST_SPREAD) {
            if (!by || s->kind == AST_SETTING) add(f, s, by, from);
            continue;
        }
        const Ast *where, *record = record_of(f->reader, AST_SLOT(s, SPREAD, value), &where);
        if (!record || is_taken(outer, record) || !f->reader->left) continue;
        const Taken here = {record, outer};
        if (--f->reader->left) add_all(f, AST_SLOT(record, RECORD, settings), by ? by : s, where ? where : from, &here);
    }
}

Ast *settings_flatten(RecordReader *r, Ast *list) {
    if (!settings_spread(list)) return list;
    Flat f = {.reader = r};
    add_all(&f, list, NULL, NULL, NULL);
    Ast *flat = arena_copy(r->arena, list, sizeof *list);
    flat->nkids = f.n;
    flat->kids = f.items;
    return flat;
}
