#include "axes.h"
#include "labels.h"
#include <string.h>

static const Reduction reduction_table[] = {
#define REDUCTION(id, kind, text) {#id, REDUCE_##kind, text},
#include "reductions.def"
#undef REDUCTION
    {0}};

static const Reduction *find(const char *name) {
    for (const Reduction *r = reduction_table; r->name; r++)
        if (name && strcmp(r->name, name) == 0) return r;
    return NULL;
}

bool reduction_of(const Ast *call, ReductionCall *out) {
    *out = (ReductionCall){0};
    if (!call || call->kind != AST_CALL) return false;
    const Ast *callee = AST_SLOT(call, CALL, callee), *inputs = AST_SLOT(call, CALL, inputs);
    out->row = callee && callee->kind == AST_NAME ? find(callee->name) : NULL;
    for (uint32_t i = 0; out->row && inputs && i < inputs->nkids; i++) {
        const Ast *arg = inputs->kids[i];
        if (arg->kind != AST_ARG) continue;
        if (arg->name && strcmp(arg->name, "over") == 0 && !out->over)
            out->over = AST_SLOT(arg, ARG, value);
        else if (!arg->name && !out->value)
            out->value = AST_SLOT(arg, ARG, value);
        else if (!arg->name && !out->number)
            out->number = AST_SLOT(arg, ARG, value);
        else
            out->more = arg;
    }
    return out->over;
}

/* ---- names of axes ---- */
static const Ast *part_of(const Ast *e, AxisPart *part) {
    const bool whole = e->kind == AST_NAME || item_experiment(e);
    const Ast *base = whole ? e : AST_SLOT(e, MEMBER, base);
    *part = base == e ? AXIS_WHOLE : strcmp(e->name, "family") == 0 ? AXIS_FAMILY : AXIS_MEMBER;
    if (base != e && *part == AXIS_MEMBER && strcmp(e->name, "member") != 0) return NULL;
    return base->kind == AST_NAME || item_experiment(base) ? base->ref : NULL;
}

AxisSet axes_named(const Axes *x, const Ast *e) {
    AxisSet set = 0;
    AxisPart part;
    if (!e) return 0;
    if (e->kind == AST_ARRAY || e->kind == AST_TUPLE) {
        for (uint32_t i = 0; i < e->nkids; i++) set |= axes_named(x, e->kids[i]);
        return set;
    }
    const Ast *sweep = e->kind == AST_NAME || e->kind == AST_MEMBER ? part_of(e, &part) : NULL;
    if (e->kind == AST_ARG) sweep = e->ref, part = AXIS_WHOLE; /* s: label, of a pick */
    for (uint32_t k = 0; sweep && k < x->nsweeps; k++)
        if (x->axis[k].sweep == sweep && (part == AXIS_WHOLE || x->axis[k].part == part)) set |= AXIS(k);
    return set;
}

/* The axis that the expression chooses on, argmax(v, over: s); -1: it is no choice. */
static int chosen_by(const Axes *x, const Ast *e) {
    ReductionCall call;
    if (!reduction_of(e, &call) || call.row->kind != REDUCE_CHOICE) return -1;
    AxisSet over = axes_named(x, call.over);
    return __builtin_popcount(over) == 1 ? __builtin_ctz(over) : -1;
}

/* ---- axes of expressions ---- */
/* named: without what the lists of its sweeps mention. */
typedef enum Look { SHOWN, HIDDEN, NAMED } Look;

static AxisSet of_name(const Axes *x, const Ast *e, Look look) {
    const bool hidden = look == HIDDEN;
    AxisSet set = hidden ? 0 : axes_named(x, e);
    for (uint32_t k = 0; e->ref && k < x->items->nkids; k++) {
        const Ast *item = x->items->kids[k];
        if (!item_declares(item, e->ref)) continue;
        if (look == NAMED) {
            set |= x->named[k];
            continue;
        }
        AxisSet choice = 0;
        for (uint32_t c = x->nsweeps; hidden && c < x->n; c++)
            if (x->axis[c].choice == item) choice |= AXIS(c);
        set |= !hidden ? x->shown[k] : choice ? choice : x->hidden[k];
    }
    return set;
}

static AxisSet walk(const Axes *x, const Ast *e, Look look);

AxisSet axes_picked(const Axes *x, const Ast *pick) {
    AxisSet axes = axes_named(x, pick);
    const Ast *value = AST_SLOT(pick, ARG, value), *values = pick->ref ? AST_SLOT(pick->ref, SWEEP, values) : NULL;
    const int place = pick->ref ? label_place(pick->ref, value) : -1;
    if (value->kind == AST_ARRAY) return 0;
    if (place < 0 || !sweep_has_families(pick->ref) || !is_family(values->kids[place])) return axes;
    for (uint32_t k = 0; k < x->nsweeps; k++) /* the members of a family stay */
        if (x->axis[k].part == AXIS_MEMBER) axes &= ~AXIS(k);
    return axes;
}

static AxisSet of_picks(const Axes *x, const Ast *e, Look look) {
    const Ast *list = AST_SLOT(e, INDEX, indices);
    AxisSet set = walk(x, AST_SLOT(e, INDEX, base), look), more = 0;
    for (uint32_t i = 0; i < list->nkids; i++) {
        if (list->kids[i]->kind != AST_ARG) continue;
        if (look != HIDDEN) set &= ~axes_picked(x, list->kids[i]);
        more |= walk(x, AST_SLOT(list->kids[i], ARG, value), look);
    }
    return set | more;
}

static AxisSet walk(const Axes *x, const Ast *e, Look look) {
    ReductionCall call;
    AxisSet set = 0;
    if (!e) return 0;
    if (e->kind == AST_NAME || item_experiment(e)) return of_name(x, e, look);
    if (reduction_of(e, &call)) {
        set = walk(x, call.value, look) | walk(x, call.number, look);
        return look == HIDDEN ? set : set & ~axes_named(x, call.over);
    }
    if (is_pick(e)) return of_picks(x, e, look);
    for (uint32_t k = 0; k < e->nkids; k++) set |= walk(x, e->kids[k], look);
    return set;
}

AxisSet axes_shown(const Axes *x, const Ast *e) { return walk(x, e, SHOWN); }
AxisSet axes_hidden(const Axes *x, const Ast *e) { return walk(x, e, HIDDEN); }

/* ---- all of an experiment ---- */
static void add(Axes *x, const char *name, const Ast *sweep, AxisPart part, const Ast *choice) {
    if (x->n == MOST_AXES)
        x->full = true;
    else
        x->axis[x->n++] = (Axis){name, sweep, part, choice};
}

static bool is_show(const Ast *item) {
    return item->kind == AST_TABLE || item->kind == AST_FIGURE || item->kind == AST_SETTING || item->kind == AST_CLAIM;
}

void axes_find(Arena *a, const Ast *experiment, Axes *out) {
    Items all;
    items_of_experiment(a, experiment, &all);
    const Ast *items = all.list;
    const size_t size = (items->nkids + 1) * sizeof(AxisSet);
    *out = (Axes){.items = items,
                  .owners = all.owners,
                  .shown = arena_alloc(a, size),
                  .hidden = arena_alloc(a, size),
                  .named = arena_alloc(a, size)};
    for (uint32_t k = 0; k < items->nkids; k++) {
        const Ast *sweep = items->kids[k];
        if (sweep->kind != AST_SWEEP) continue;
        const bool families = sweep_has_families(sweep);
        const char *name =
            all.owners[k] == experiment ? sweep->name : arena_printf(a, "%s.%s", all.owners[k]->name, sweep->name);
        add(out, families ? arena_printf(a, "%s.family", name) : name, sweep, families ? AXIS_FAMILY : AXIS_WHOLE,
            NULL);
        if (families) add(out, arena_printf(a, "%s.member", name), sweep, AXIS_MEMBER, NULL);
    }
    out->nsweeps = out->n;
    for (uint32_t k = 0; k < items->nkids; k++) {
        const Ast *item = items->kids[k], *value = item->kind == AST_LET ? AST_SLOT(item, LET, value) : NULL;
        if (is_show(item)) continue;
        out->shown[k] = walk(out, item, SHOWN);
        out->hidden[k] = walk(out, item, HIDDEN);
        out->named[k] = item->kind == AST_SWEEP ? 0 : walk(out, item, NAMED);
        const int chosen = chosen_by(out, value);
        const Ast *pattern = chosen >= 0 ? AST_SLOT(item, LET, pattern) : NULL;
        if (pattern && pattern->kind == AST_NAME)
            add(out,
                all.owners[k] == experiment ? pattern->name
                                            : arena_printf(a, "%s.%s", all.owners[k]->name, pattern->name),
                out->axis[chosen].sweep, out->axis[chosen].part, item);
    }
}

/* ---- seeds ---- */
/* The seed that a list of settings gives, the last one: which sweeps decide it. */
typedef struct Seed {
    bool given;
    AxisSet axes;
    const Ast *value; /* as it is written, where all records have this one; NULL */
} Seed;

enum { MOST_RECORDS = 64 }; /* in one another: the checker has reported those that mean themselves */

static Seed seed_in(const Axes *x, const Ast *list, Seed before, int depth);
static Seed seed_of_record(const Axes *x, const Ast *e, Seed before, int depth);

static bool same_seed(Seed a, Seed b) {
    if (!a.given || !b.given) return a.given == b.given;
    if (!a.value || !b.value) return false;
    if (a.value == b.value) return true;
    if (a.value->kind != b.value->kind) return false;
    return a.value->kind == AST_NUMBER ? a.value->number == b.value->number
                                       : a.value->kind == AST_NAME && a.value->ref && a.value->ref == b.value->ref;
}

/* Of the values of a sweep, records: the sweep decides where they differ, and so does what is in them. */
static Seed seed_of_elements(const Axes *x, const Ast *list, AxisSet sweep, Seed before, int depth) {
    Seed all = before, first = before;
    const bool many = list->kind == AST_ARRAY;
    for (uint32_t k = 0; k < (many ? list->nkids : 1); k++) {
        const Ast *element = many ? element_value(list->kids[k]) : list;
        Seed own;
        if (many && is_family(list->kids[k]))
            own = seed_of_elements(x, element, sweep, before, depth + 1);
        else if (element->kind == AST_EACH)
            own = seed_of_record(x, AST_SLOT(element, EACH, item), before, depth + 1);
        else
            own = seed_of_record(x, element, before, depth + 1);
        const bool each = element->kind == AST_EACH && own.given && own.value != before.value &&
                          !(own.value && own.value->kind == AST_NUMBER); /* perhaps one of its variables */
        all.axes |= own.axes;
        all.given = all.given || own.given;
        if (k == 0) first = own, all.value = own.value;
        if (each || !same_seed(first, own)) all.axes |= sweep, all.value = NULL;
    }
    return all;
}

static Seed seed_of_record(const Axes *x, const Ast *e, Seed before, int depth) {
    const Ast *d = e->kind == AST_NAME || e->kind == AST_MEMBER ? e->ref : NULL;
    if (depth > MOST_RECORDS) return before;
    if (e->kind == AST_RECORD) return seed_in(x, AST_SLOT(e, RECORD, settings), before, depth + 1);
    if (d && d->kind == AST_CONST) return seed_of_record(x, AST_SLOT(d, CONST, value), before, depth + 1);
    if (d && d->kind == AST_SWEEP && AST_SLOT(d, SWEEP, values))
        return seed_of_elements(x, AST_SLOT(d, SWEEP, values), axes_named(x, e), before, depth + 1);
    return before;
}

static Seed seed_in(const Axes *x, const Ast *list, Seed before, int depth) {
    Seed seed = before;
    for (uint32_t i = 0; list && i < list->nkids; i++) {
        const Ast *s = list->kids[i], *key = s->kind == AST_SETTING ? AST_SLOT(s, SETTING, key) : NULL;
        if (s->kind == AST_SPREAD) seed = seed_of_record(x, AST_SLOT(s, SPREAD, value), seed, depth + 1);
        if (!key || key->kind != AST_NAME || strcmp(key->name, "seed") != 0) continue;
        seed = (Seed){.given = true, .value = AST_SLOT(s, SETTING, value)};
        seed.axes = seed.value ? walk(x, seed.value, NAMED) : 0;
    }
    return seed;
}

AxisSet axes_of_seeds(const Axes *x) {
    AxisSet set = 0;
    for (uint32_t k = 0; k < x->items->nkids; k++)
        if (x->items->kids[k]->kind == AST_TRAIN)
            set |= seed_in(x, AST_SLOT(x->items->kids[k], TRAIN, settings), (Seed){0}, 0).axes;
    return set;
}

const char *axes_text(Arena *a, const Axes *x, AxisSet set) {
    const char *text = "";
    const int all = __builtin_popcount(set);
    for (int k = 0, n = 0; k < (int)x->n; k++) {
        if (!(set & AXIS(k))) continue;
        text = arena_printf(a, "%s%s'%s'", text, n == 0 ? "" : n + 1 == all ? " and " : ", ", x->axis[k].name);
        n++;
    }
    return text;
}
