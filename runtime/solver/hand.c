/* hand.c - gradients written by hand: read from the manifest. */
#include "hand.h"
#include "call.h"
#include <stdlib.h>
#include <string.h>

static const deq_routine *routine_of(const deq_module *m, const json_t *in, const char *member) {
    const char *name = json_string_value(json_object_get(in, member));
    for (int64_t k = 0; name && k < m->routine_count; k++)
        if (!strcmp(m->routines[k].name, name)) return &m->routines[k];
    return NULL;
}

static bool read_solves(const deq_module *m, const json_t *list, deq_hand *h, deq_error *e) {
    h->solves = calloc(json_array_size(list) + 1, sizeof *h->solves);
    if (!h->solves) return deq_fail(e, DEQ_MEMORY, "the solves of gradient %s", h->name);
    const json_t *item;
    size_t i;
    json_array_foreach(list, i, item) {
        deq_hand_solve *s = &h->solves[h->nsolves++];
        const char *name = json_string_value(json_object_get(item, "name")),
                   *solver = json_string_value(json_object_get(item, "solver"));
        for (int64_t k = 0; name && k < m->fixed_count; k++)
            if (!strcmp(m->fixed[k]->name, name)) s->map = m->fixed[k];
        if (!s->map || !solver) return deq_fail(e, DEQ_MODULE, "gradient %s has no usable `solves`", h->name);
        if (!deq_solver_parse(solver, true, &s->solver, e)) return false;
    }
    return true;
}

bool deq_hands_read(const deq_module *m, const json_t *list, const char *net, deq_hands *out, deq_error *e) {
    *out = (deq_hands){NULL, 0};
    if (json_array_size(list) == 0) return true;
    out->items = calloc(json_array_size(list), sizeof *out->items);
    if (!out->items) return deq_fail(e, DEQ_MEMORY, "the gradients of net %s", net);
    const json_t *item;
    size_t i;
    json_array_foreach(list, i, item) {
        deq_hand *h = &out->items[out->count++];
        h->name = json_string_value(json_object_get(item, "name"));
        h->approximate = json_is_true(json_object_get(item, "approximate"));
        if (json_object_get(item, "symbol")) {
            if (!deq_extern_read(m, item, &h->in_c, e)) return false;
            continue;
        }
        h->input = routine_of(m, item, "input");
        h->parameters = routine_of(m, item, "parameters");
        if (!h->name || !h->input || !h->parameters)
            return deq_fail(e, DEQ_MODULE, "the manifest of net %s has no usable `gradients`", net);
        if (!read_solves(m, json_object_get(item, "solves"), h, e)) return false;
    }
    return true;
}

void deq_hands_free(deq_hands *hands) {
    for (int i = 0; i < hands->count; i++) {
        free(hands->items[i].solves);
        deq_extern_free(&hands->items[i].in_c);
    }
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
