/* mode_text.c - gradient modes from text and back, those written by hand too. */
#include "hand.h"
#include "settings.h"
#include <stdio.h>
#include <string.h>

static const deq_row *row_of(deq_mode_kind kind) { return &deq_mode_family.rows[kind]; }

bool deq_mode_takes(const char *forward, const deq_solver *solver) {
    if (!strcmp(forward, "any")) return true;
    return !solver->links && deq_word_find(forward, deq_part_of(deq_solver_name(solver->kind))) >= 0;
}

static void mode_defaults(deq_mode *m, deq_mode_kind kind) {
    memset(m, 0, sizeof *m); /* compared bytewise: padding too */
    m->kind = kind;
    m->steps = 1;
    m->damping = 1;
    deq_solver_defaults(&m->adjoint, DEQ_SOLVER_gmres);
}

bool deq_mode_set(deq_mode *m, deq_part name, deq_part value, deq_error *e) {
    if (m->hand)
        return deq_fail(e, DEQ_SETTING, "'%s' has no argument '%.*s'", m->hand->name, (int)name.length, name.text);
    const deq_row *row = row_of(m->kind);
    deq_complaint why;
    if (!deq_argument_known(&deq_mode_family, row, 0, name, &why)) return deq_complain(e, &why);
    const deq_argument *a = deq_argument_find(&deq_mode_family, row, name);
    if (a->type == DEQ_NESTED) return deq_chain_parse(value, true, (deq_solver *)((char *)m + a->offset), e);
    return deq_argument_set(a, row, value, m, e);
}

/* The argument that may stand without its name: a solver, the first of its row. */
static deq_part name_of(const deq_row *row, deq_part given) {
    const deq_argument *first = deq_argument_at(&deq_mode_family, row, 0, 0);
    return !given.length && first && first->type == DEQ_NESTED ? deq_part_of(first->name) : given;
}

bool deq_mode_parse(const char *text, deq_mode *out, deq_error *e) {
    deq_call call;
    deq_complaint why;
    if (!deq_call_parse(deq_part_of(text), &call, e)) return false;
    if (!deq_row_known(&deq_mode_family, call.name, 0, &why)) return deq_complain(e, &why);
    const deq_row *row = deq_row_find(&deq_mode_family, call.name);
    deq_mode m;
    mode_defaults(&m, (deq_mode_kind)(row - deq_mode_family.rows));
    if (deq_mode_has_adjoint(&m) && !call.count)
        return deq_mode_parse(deq_fixed_table[DEQ_FIXED_KEY_gradient].fallback, out, e);
    deq_arguments_default(&deq_mode_family, row, &m);
    for (int i = 0; i < call.count; i++)
        if (!deq_mode_set(&m, name_of(row, call.arguments[i].name), call.arguments[i].value, e)) return false;
    *out = m;
    return true;
}

/* "paper", or "paper(SOLVER)" with a solver for all its solves. */
static bool hand_parse(const deq_hand *h, deq_part text, deq_mode *out, deq_error *e) {
    deq_call call;
    deq_mode m;
    mode_defaults(&m, DEQ_MODE_hand);
    m.hand = h;
    if (h->nsolves) m.adjoint = h->solves[0].solver;
    if (!deq_call_parse(text, &call, e)) return false;
    if (call.count > (h->nsolves > 0))
        return deq_fail(e, DEQ_SETTING, "the gradient `%s` takes %s", h->name,
                        h->nsolves ? "one argument, the solver of its solves" : "no arguments");
    if (call.count && !deq_chain_parse(call.arguments[0].value, true, &m.adjoint, e)) return false;
    m.replaced = call.count > 0;
    *out = m;
    return true;
}

bool deq_gradient_parse(const char *text, const struct deq_hands *hands, deq_mode *out, deq_error *e) {
    const deq_hand *h = deq_hands_find(hands, text);
    return h ? hand_parse(h, deq_part_of(text), out, e) : deq_mode_parse(text, out, e);
}

static void mode_print(const deq_mode *m, bool brief, char *out, size_t size) {
    size_t at = (size_t)snprintf(out, size, "%s", deq_mode_name(m));
    if (at >= size) return;
    if (m->hand ? m->replaced : deq_mode_has_adjoint(m)) {
        char solver[DEQ_SETTING_TEXT];
        deq_chain_print(&m->adjoint, true, brief, solver, sizeof solver);
        snprintf(out + at, size - at, "(%s)", solver);
        return;
    }
    if (m->hand)
        snprintf(out + at, size - at, "()");
    else
        deq_arguments_print(&deq_mode_family, row_of(m->kind), 0, brief, m, out + at, size - at);
}

void deq_mode_print(const deq_mode *m, char *out, size_t size) { mode_print(m, false, out, size); }
void deq_mode_print_brief(const deq_mode *m, char *out, size_t size) { mode_print(m, true, out, size); }
