/* items.c - see items.h. */
#include "items.h"
#include <string.h>

const Ast *item_experiment(const Ast *e) {
    const Ast *base = e && e->kind == AST_MEMBER ? AST_SLOT(e, MEMBER, base) : NULL;
    return base && base->ref && base->ref->kind == AST_EXPERIMENT ? base->ref : NULL;
}

bool item_declares(const Ast *item, const Ast *ref) {
    return item == ref || (item->kind == AST_LET && AST_SLOT(item, LET, pattern) == ref);
}

const char *item_path(Arena *a, const Ast *e) { return arena_printf(a, "%s.%s", item_experiment(e)->name, e->name); }

/* ---- which items are named ---- */
typedef struct Named { /* an experiment of which something is named */
    const Ast *experiment;
    bool *items, listed;
} Named;

typedef struct Search {
    Arena *arena;
    Named *all;
    uint32_t n, cap;
    Ast *list;
    const Ast **owners;
} Search;

static uint32_t entry_of(Search *s, const Ast *experiment) {
    const Ast *items = AST_SLOT(experiment, EXPERIMENT, items);
    for (uint32_t k = 0; k < s->n; k++)
        if (s->all[k].experiment == experiment) return k;
    bool *named = arena_alloc(s->arena, (items->nkids + 1) * sizeof *named);
    *ARENA_PUSH(s->arena, s->all, s->n, s->cap) = (Named){experiment, named, false};
    return s->n - 1;
}

static void name_all(Search *s, uint32_t in, const Ast *e);

static void name_item(Search *s, uint32_t in, const Ast *ref) {
    const Ast *items = AST_SLOT(s->all[in].experiment, EXPERIMENT, items);
    for (uint32_t k = 0; ref && k < items->nkids; k++) {
        if (!item_declares(items->kids[k], ref) || s->all[in].items[k]) continue;
        s->all[in].items[k] = true;
        name_all(s, in, items->kids[k]);
    }
}

/* What the expression, which stands in that experiment, names. */
static void name_all(Search *s, uint32_t in, const Ast *e) {
    if (!e) return;
    const Ast *other = item_experiment(e);
    if (other && AST_SLOT(other, EXPERIMENT, items)) name_item(s, entry_of(s, other), e->ref);
    if (e->kind == AST_NAME || e->kind == AST_ARG) name_item(s, in, e->ref);
    for (uint32_t k = 0; k < e->nkids; k++) name_all(s, in, e->kids[k]);
}

/* ---- their order ---- */
static void list_items(Search *s, uint32_t which);

/* The experiments whose items are named in it come before it. */
static void list_named(Search *s, const Ast *e) {
    const Ast *other = e ? item_experiment(e) : NULL;
    if (other && AST_SLOT(other, EXPERIMENT, items)) list_items(s, entry_of(s, other));
    for (uint32_t k = 0; e && k < e->nkids; k++) list_named(s, e->kids[k]);
}

static void list_items(Search *s, uint32_t which) {
    const Ast *experiment = s->all[which].experiment, *items = AST_SLOT(experiment, EXPERIMENT, items);
    const bool *named = s->all[which].items;
    if (s->all[which].listed) return;
    s->all[which].listed = true;
    for (uint32_t k = 0; k < items->nkids; k++)
        if (named[k]) list_named(s, items->kids[k]);
    for (uint32_t k = 0; k < items->nkids; k++)
        if (named[k]) {
            s->owners[s->list->nkids] = experiment;
            s->list->kids[s->list->nkids++] = items->kids[k];
        }
}

void items_of_experiment(Arena *a, const Ast *experiment, Items *out) {
    const Ast *items = AST_SLOT(experiment, EXPERIMENT, items);
    Search s = {.arena = a};
    const uint32_t own = entry_of(&s, experiment);
    for (uint32_t k = 0; k < items->nkids; k++) {
        s.all[own].items[k] = true;
        name_all(&s, own, items->kids[k]);
    }
    uint32_t n = 0;
    for (uint32_t k = 0; k < s.n; k++) n += AST_SLOT(s.all[k].experiment, EXPERIMENT, items)->nkids;
    s.list = arena_copy(a, items, sizeof *items);
    s.list->kids = arena_alloc(a, (n + 1) * sizeof *s.list->kids);
    s.list->nkids = 0;
    s.owners = arena_alloc(a, (n + 1) * sizeof *s.owners);
    list_items(&s, own);
    *out = (Items){s.list, s.owners};
}

/* ---- sweeps behind an expression ---- */
const Ast *sweep_mentioned(Arena *a, const Ast *experiment, const Ast *e, const char *name) {
    Search s = {.arena = a};
    const uint32_t own = entry_of(&s, experiment);
    name_all(&s, own, e);
    for (uint32_t k = 0; k < s.n; k++) {
        const Ast *items = AST_SLOT(s.all[k].experiment, EXPERIMENT, items);
        for (uint32_t i = 0; i < items->nkids; i++)
            if (s.all[k].items[i] && items->kids[i]->kind == AST_SWEEP && strcmp(items->kids[i]->name, name) == 0)
                return items->kids[i];
    }
    return NULL;
}
