/* solver_text.c - solvers and chains of them from text and back. */
#include "settings.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static int use_of(bool adjoint) { return adjoint ? SOLVER_ADJOINT : SOLVER_STATE; }

static const deq_row *row_of(deq_solver_kind kind) { return &deq_solver_family.rows[kind]; }

const char *deq_solver_name(deq_solver_kind kind) { return row_of(kind)->name; }

void deq_solver_defaults(deq_solver *s, deq_solver_kind kind) {
    memset(s, 0, sizeof *s); /* compared bytewise: padding too */
    s->kind = kind;
    s->damping = s->step = 1;
    deq_arguments_default(&deq_solver_family, row_of(kind), s);
}

deq_solver deq_solver_link(const deq_solver *chain, int which) {
    deq_solver one = *chain;
    if (which > 0) memcpy(&one, &chain->then[which - 1], offsetof(deq_link, forcing) + sizeof one.forcing);
    one.links = 0;
    return one;
}

static void link_store(deq_solver *chain, int which, const deq_solver *one) {
    memcpy(which ? (void *)&chain->then[which - 1] : (void *)chain, one,
           offsetof(deq_link, forcing) + sizeof one->forcing);
}

static bool link_parse(deq_part text, bool adjoint, deq_solver *out, deq_error *e) {
    deq_call call;
    deq_complaint why;
    const int use = use_of(adjoint);
    if (!deq_call_parse(text, &call, e)) return false;
    if (!deq_row_known(&deq_solver_family, call.name, use, &why)) return deq_complain(e, &why);
    const deq_row *row = deq_row_find(&deq_solver_family, call.name);
    if (!deq_solver_serves(row, use, &why)) return deq_complain(e, &why);
    deq_solver s;
    deq_solver_defaults(&s, (deq_solver_kind)(row - deq_solver_family.rows));
    for (int i = 0; i < call.count; i++)
        if (!deq_arguments_set(&deq_solver_family, row, use, call.arguments[i].name, call.arguments[i].value, &s, e))
            return false;
    *out = s;
    return true;
}

/* The text before the first `else` that stands outside brackets; *rest is what comes after it, empty when there is
 * none. */
static deq_part before_else(deq_part text, deq_part *rest) {
    int depth = 0;
    *rest = (deq_part){text.text + text.length, 0};
    for (size_t k = 0; k < text.length; k++) {
        const char *at = text.text + k;
        depth += (*at == '(') - (*at == ')');
        if (depth == 0 && k > 0 && k + 4 < text.length && !memcmp(at, "else", 4) && strchr(" )", at[-1]) &&
            isspace((unsigned char)at[4])) {
            *rest = (deq_part){at + 4, text.length - k - 4};
            return (deq_part){text.text, k};
        }
    }
    return text;
}

bool deq_chain_parse(deq_part text, bool adjoint, deq_solver *out, deq_error *e) {
    deq_solver chain;
    memset(&chain, 0, sizeof chain);
    for (int which = 0;; which++) {
        deq_part rest;
        deq_solver one;
        if (which == DEQ_CHAIN_MOST) return deq_fail(e, DEQ_SETTING, "a chain has at most %d solvers", DEQ_CHAIN_MOST);
        if (!link_parse(before_else(text, &rest), adjoint, &one, e)) return false;
        link_store(&chain, which, &one);
        chain.links = which;
        if (rest.length == 0) break;
        text = rest;
    }
    *out = chain;
    return true;
}

bool deq_chain_set(deq_solver *chain, bool adjoint, deq_part name, deq_part value, deq_error *e) {
    bool any = false;
    deq_error first = {0};
    deq_solver changed = *chain;
    for (int which = 0; which <= chain->links; which++) {
        deq_solver one = deq_solver_link(chain, which);
        deq_error own = {0};
        if (deq_arguments_set(&deq_solver_family, row_of(one.kind), use_of(adjoint), name, value, &one, &own)) {
            link_store(&changed, which, &one);
            any = true;
        } else if (which == 0 || !first.failure) {
            first = own;
        }
    }
    if (any)
        *chain = changed;
    else
        *e = first;
    return any;
}

bool deq_solver_parse(const char *text, bool adjoint, deq_solver *out, deq_error *e) {
    return deq_chain_parse(deq_part_of(text), adjoint, out, e);
}

size_t deq_chain_print(const deq_solver *chain, bool adjoint, bool brief, char *out, size_t size) {
    size_t at = 0;
    for (int which = 0; which <= chain->links && at < size; which++) {
        deq_solver one = deq_solver_link(chain, which);
        const deq_row *row = row_of(one.kind);
        at += (size_t)snprintf(out + at, size - at, "%s%s", which ? " else " : "", row->name);
        if (at < size)
            at += deq_arguments_print(&deq_solver_family, row, use_of(adjoint), brief, &one, out + at, size - at);
    }
    return at;
}

void deq_solver_print(const deq_solver *s, char *out, size_t size) { deq_chain_print(s, false, false, out, size); }
