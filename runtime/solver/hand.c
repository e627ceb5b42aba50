/* hand.c - gradients written by hand: from the manifest to what a fixed point calls. */
#include "hand.h"
#include "call.h"
#include <stdlib.h>
#include <string.h>

static const deq_routine *routine_of(const deq_module *m, const char *name) {
    for (int64_t k = 0; k < m->routine_count; k++)
        if (!strcmp(m->routines[k].name, name)) return &m->routines[k];
    return NULL;
}

static bool make_solves(const deq_module *m, const deq_hand_spec *spec, deq_hand *h, deq_error *e) {
    h->solves = calloc((size_t)spec->nsolves + 1, sizeof *h->solves);
    if (!h->solves) return deq_fail(e, DEQ_MEMORY, "the solves of gradient %s", h->name);
    for (int i = 0; i < spec->nsolves; i++) {
        deq_hand_solve *s = &h->solves[h->nsolves++];
        for (int64_t k = 0; k < m->fixed_count; k++)
            if (!strcmp(m->fixed[k]->name, spec->solves[i].name)) s->map = m->fixed[k];
        if (!s->map) return deq_fail(e, DEQ_MODULE, "gradient %s has no usable `solves`", h->name);
        if (!deq_solver_parse(spec->solves[i].solver, true, &s->solver, e)) return false;
    }
    return true;
}

bool deq_hands_new(const deq_module *m, const deq_fixed_spec *fixed, deq_hands *out, deq_error *e) {
    *out = (deq_hands){NULL, 0};
    if (fixed->nhands == 0) return true;
    out->items = calloc((size_t)fixed->nhands, sizeof *out->items);
    if (!out->items) return deq_fail(e, DEQ_MEMORY, "the gradients of %s", fixed->name);
    for (int i = 0; i < fixed->nhands; i++) {
        const deq_hand_spec *spec = &fixed->hands[i];
        deq_hand *h = &out->items[out->count++];
        h->name = spec->name;
        h->approximate = spec->approximate;
        if (spec->symbol) {
            if (!deq_extern_find(m, spec, &h->in_c, e)) return false;
            continue;
        }
        h->input = routine_of(m, spec->input);
        h->parameters = routine_of(m, spec->parameters);
        if (!h->input || !h->parameters)
            return deq_fail(e, DEQ_MODULE, "the compiled object has no routines of gradient %s", h->name);
        if (!make_solves(m, spec, h, e)) return false;
    }
    return true;
}

void deq_hands_free(deq_hands *hands) {
    for (int i = 0; i < hands->count; i++) free(hands->items[i].solves);
    free(hands->items);
    *hands = (deq_hands){NULL, 0};
}

const deq_hand *deq_hands_find(const deq_hands *hands, const char *text) {
    deq_error ignored = {0};
    deq_call call;
    if (!hands || !deq_call_parse(deq_part_of(text), &call, &ignored)) return NULL;
    for (int i = 0; i < hands->count; i++)
        if (deq_part_is(call.name, hands->items[i].name)) return &hands->items[i];
    return NULL;
}

const deq_solver *deq_hand_solver(const deq_mode *mode, const deq_fixed *map) {
    const deq_hand *h = mode->hand;
    for (int i = 0; !mode->replaced && i < h->nsolves; i++)
        if (h->solves[i].map == map) return &h->solves[i].solver;
    return &mode->adjoint;
}
