#include "labels.h"
#include "axes.h"
#include "tables.h"
#include <string.h>

const Ast *element_value(const Ast *element) {
    return element->kind == AST_ARG ? AST_SLOT(element, ARG, value) : element;
}

const char *label_of(const Ast *element) {
    if (element->stands_for && element->stands_for->kind == AST_NAME) return element->stands_for->name;
    return element->kind == AST_ARG || element->kind == AST_NAME || element->kind == AST_NUMBER ? element->name : NULL;
}

bool says_none(const Ast *e) { return e->kind == AST_NAME && !e->ref && strcmp(e->name, "none") == 0; }

bool names_none(const Ast *e) {
    const Ast *d = e->kind == AST_NAME || e->kind == AST_MEMBER ? e->ref : NULL;
    const Ast *values = d && d->kind == AST_SWEEP ? AST_SLOT(d, SWEEP, values) : NULL;
    bool all = values && values->kind == AST_ARRAY && values->nkids;
    for (uint32_t i = 0; all && i < values->nkids; i++) all = says_none(element_value(values->kids[i]));
    return all || says_none(e);
}

static bool is_penalty(const Ast *e) {
    const Ast *callee = e->kind == AST_CALL ? AST_SLOT(e, CALL, callee) : NULL;
    return callee && callee->kind == AST_NAME && penalty_find(callee->name);
}

bool is_family(const Ast *element) {
    const Ast *value = element_value(element);
    if (value->kind == AST_EACH) return true;
    return value->kind == AST_ARRAY && !(value->nkids && is_penalty(value->kids[0]));
}

bool sweep_has_families(const Ast *sweep) {
    const Ast *values = AST_SLOT(sweep, SWEEP, values);
    for (uint32_t k = 0; values && values->kind == AST_ARRAY && k < values->nkids; k++)
        if (is_family(values->kids[k])) return true;
    return false;
}

int label_place(const Ast *sweep, const Ast *label) {
    const Ast *values = AST_SLOT(sweep, SWEEP, values);
    if (!values || (label->kind != AST_NAME && label->kind != AST_NUMBER)) return -1;
    for (uint32_t k = 0; values->kind == AST_ARRAY && k < values->nkids; k++) {
        const Ast *e = values->kids[k];
        const char *own = label_of(e);
        if (label->kind == AST_NUMBER && e->kind == AST_NUMBER ? e->number == label->number
                                                               : own && strcmp(own, label->name) == 0)
            return (int)k;
    }
    const Ast *from = values->kind == AST_BINARY ? AST_SLOT(values, BINARY, left) : NULL;
    const Ast *limit = from ? AST_SLOT(values, BINARY, right) : NULL;
    if (!from || from->kind != AST_NUMBER || label->kind != AST_NUMBER) return -1;
    const double place = label->number - from->number;
    if (!(place >= 0) || place > 1e6 || place != (int)place) return -1;
    return limit->kind == AST_NUMBER && label->number >= limit->number ? -1 : (int)place;
}

bool gradients_compared(const Ast *e, GradientsCompared *out) {
    *out = (GradientsCompared){0};
    const Ast *callee = e && e->kind == AST_CALL ? AST_SLOT(e, CALL, callee) : NULL,
              *inputs = callee ? AST_SLOT(e, CALL, inputs) : NULL;
    if (!inputs || callee->kind != AST_NAME) return false;
    if (strcmp(callee->name, "cosine") != 0 && strcmp(callee->name, "relative_error") != 0) return false;
    out->name = callee->name;
    for (uint32_t k = 0; k < inputs->nkids; k++) {
        const Ast *arg = inputs->kids[k];
        Ast *value = arg->kind == AST_ARG ? AST_SLOT(arg, ARG, value) : NULL;
        if (value && arg->name && strcmp(arg->name, "of") == 0 && !out->of)
            out->of = value;
        else if (value && arg->name && strcmp(arg->name, "to") == 0 && !out->to)
            out->to = value;
        else if (value && !arg->name && !out->net)
            out->net = value;
        else if (value && !arg->name && !out->examples)
            out->examples = value;
        else
            out->more = arg;
    }
    return out->of; /* a schedule is called cosine too, and has a `to:` */
}

bool is_pick(const Ast *e) {
    const Ast *list = e && e->kind == AST_INDEX ? AST_SLOT(e, INDEX, indices) : NULL;
    return list && list->nkids && list->kids[0]->kind == AST_ARG;
}

const Ast *sweep_of_value(const Ast *items, const Ast *e) {
    ReductionCall call;
    if (!e || !items) return NULL;
    if (is_pick(e)) return sweep_of_value(items, AST_SLOT(e, INDEX, base));
    if (reduction_of(e, &call)) {
        const Ast *over = call.over;
        if (over->kind == AST_MEMBER && !item_experiment(over)) over = AST_SLOT(over, MEMBER, base);
        return call.row->kind == REDUCE_CHOICE && over->ref && over->ref->kind == AST_SWEEP ? over->ref : NULL;
    }
    const Ast *other = item_experiment(e);
    if ((e->kind != AST_NAME && !other) || !e->ref) return NULL;
    if (other) items = AST_SLOT(other, EXPERIMENT, items);
    if (e->ref->kind == AST_SWEEP) return e->ref;
    for (uint32_t k = 0; k < items->nkids; k++)
        if (items->kids[k]->kind == AST_LET && AST_SLOT(items->kids[k], LET, pattern) == e->ref)
            return sweep_of_value(items, AST_SLOT(items->kids[k], LET, value));
    return NULL;
}

bool is_verdict(const Ast *items, const Ast *e) {
    const Ast *other = item_experiment(e);
    ReductionCall call;
    if (!e || !items) return false;
    if (reduction_of(e, &call)) return is_verdict(items, call.value); /* which is an error of its own */
    if (is_pick(e)) return is_verdict(items, AST_SLOT(e, INDEX, base));
    if (e->kind == AST_MEMBER && !other) {
        const Ast *base = AST_SLOT(e, MEMBER, base);
        return strcmp(e->name, "verdict") == 0 &&
               !(base->ref && base->ref->kind == AST_IMPORT); /* m.verdict: its own */
    }
    if ((e->kind != AST_NAME && !other) || !e->ref) return false;
    if (other) items = AST_SLOT(other, EXPERIMENT, items);
    for (uint32_t k = 0; k < items->nkids; k++)
        if (items->kids[k]->kind == AST_LET && AST_SLOT(items->kids[k], LET, pattern) == e->ref)
            return is_verdict(items, AST_SLOT(items->kids[k], LET, value));
    return false;
}

int verdict_place(const Ast *e) {
    static const char *const words[] = {
#define VERDICT(word, doc) #word,
#include "verdicts.def"
#undef VERDICT
    };
    for (int k = 0; e->kind == AST_NAME && k < (int)(sizeof words / sizeof *words); k++)
        if (strcmp(e->name, words[k]) == 0) return k;
    return -1;
}

const Ast *verdict_compared(const Ast *items, const Ast *e, const Ast **word, int *place) {
    if (e->kind != AST_BINARY || !strchr("=!<>", e->name[0])) return NULL;
    for (int side = 0; side < 2; side++) {
        *word = e->kids[1 - side];
        if (!is_verdict(items, e->kids[side])) continue;
        *place = verdict_place(*word);
        return e->kids[side];
    }
    return NULL;
}

const Ast *sweep_of_both(const Ast *items, const Ast *e) {
    if (e->kind != AST_BINARY || (strcmp(e->name, "==") != 0 && strcmp(e->name, "!=") != 0)) return NULL;
    const Ast *left = sweep_of_value(items, e->kids[0]);
    return left && left == sweep_of_value(items, e->kids[1]) ? left : NULL;
}

const Ast *label_compared(const Ast *items, const Ast *e, const Ast **sweep, int *place) {
    if (e->kind != AST_BINARY || (strcmp(e->name, "==") != 0 && strcmp(e->name, "!=") != 0)) return NULL;
    for (int side = 0; side < 2; side++) {
        const Ast *value = e->kids[side], *label = e->kids[1 - side];
        *sweep = sweep_of_value(items, value);
        *place = *sweep ? label_place(*sweep, label) : -1;
        if (*place >= 0) return value;
        if (*sweep && label->kind == AST_NAME && !label->ref) return value; /* a label that the sweep does not have */
    }
    return NULL;
}
