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
static AxisSet of_name(const Axes *x, const Ast *e, bool hidden) {
    AxisSet set = hidden ? 0 : axes_named(x, e);
    for (uint32_t k = 0; e->ref && k < x->items->nkids; k++) {
        const Ast *item = x->items->kids[k];
        if (!item_declares(item, e->ref)) continue;
        AxisSet choice = 0;
        for (uint32_t c = x->nsweeps; hidden && c < x->n; c++)
            if (x->axis[c].choice == item) choice |= AXIS(c);
        set |= !hidden ? x->shown[k] : choice ? choice : x->hidden[k];
    }
    return set;
}

static AxisSet walk(const Axes *x, const Ast *e, bool hidden);

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

static AxisSet of_picks(const Axes *x, const Ast *e, bool hidden) {
    const Ast *list = AST_SLOT(e, INDEX, indices);
    AxisSet set = walk(x, AST_SLOT(e, INDEX, base), hidden), more = 0;
    for (uint32_t i = 0; i < list->nkids; i++) {
        if (list->kids[i]->kind != AST_ARG) continue;
        if (!hidden) set &= ~axes_picked(x, list->kids[i]);
        more |= walk(x, AST_SLOT(list->kids[i], ARG, value), hidden);
    }
    return set | more;
}

static AxisSet walk(const Axes *x, const Ast *e, bool hidden) {
    ReductionCall call;
    AxisSet set = 0;
    if (!e) return 0;
    if (e->kind == AST_NAME || item_experiment(e)) return of_name(x, e, hidden);
    if (reduction_of(e, &call)) {
        set = walk(x, call.value, hidden) | walk(x, call.number, hidden);
        return hidden ? set : set & ~axes_named(x, call.over);
    }
    if (is_pick(e)) return of_picks(x, e, hidden);
    for (uint32_t k = 0; k < e->nkids; k++) set |= walk(x, e->kids[k], hidden);
    return set;
}

AxisSet axes_shown(const Axes *x, const Ast *e) { return walk(x, e, false); }
AxisSet axes_hidden(const Axes *x, const Ast *e) { return walk(x, e, true); }

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
    *out = (Axes){.items = items, .owners = all.owners, .shown = arena_alloc(a, size), .hidden = arena_alloc(a, size)};
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
        out->shown[k] = walk(out, item, false);
        out->hidden[k] = walk(out, item, true);
        const int chosen = chosen_by(out, value);
        const Ast *pattern = chosen >= 0 ? AST_SLOT(item, LET, pattern) : NULL;
        if (pattern && pattern->kind == AST_NAME)
            add(out,
                all.owners[k] == experiment ? pattern->name
                                            : arena_printf(a, "%s.%s", all.owners[k]->name, pattern->name),
                out->axis[chosen].sweep, out->axis[chosen].part, item);
    }
}

AxisSet axes_of_seeds(const Axes *x) {
    AxisSet set = 0;
    for (uint32_t k = 0; k < x->items->nkids; k++)
        if (x->items->kids[k]->kind == AST_TRAIN)
            set |= axes_shown(x, ast_setting_value(AST_SLOT(x->items->kids[k], TRAIN, settings), "seed"));
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
