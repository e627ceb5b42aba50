/* settings.c - the settings of a fixed point by their keys (fixed_settings.def). */
#include "settings.h"
#include <stdio.h>
#include <string.h>

static const char *words_of(deq_fixed_key key) { return deq_fixed_table[key].words; }

static bool word_set(deq_fixed_key key, const char *value, int *out, deq_error *e) {
    deq_complaint why;
    int place;
    if (!deq_word_fits(words_of(key), deq_fixed_table[key].key, deq_part_of(value), &place, &why))
        return deq_complain(e, &why);
    *out = place;
    return true;
}

static bool adjoint_set(deq_mode *m, const char *argument, const char *value, deq_error *e) {
    if (!deq_mode_has_adjoint(m))
        return deq_fail(e, DEQ_SETTING, "the gradient mode `%s` has no adjoint solver", deq_mode_name(m));
    bool good = argument ? deq_chain_set(&m->adjoint, true, deq_part_of(argument), deq_part_of(value), e)
                         : deq_solver_parse(value, true, &m->adjoint, e);
    m->replaced = good;
    return good;
}

/* An argument of the gradient mode, or of its solver: "steps", "adjoint", "adjoint.tol". */
static bool argument_set(deq_mode *m, const char *key, const char *value, deq_error *e) {
    if (!strcmp(key, "adjoint")) return adjoint_set(m, NULL, value, e);
    if (!strncmp(key, "adjoint.", 8)) return adjoint_set(m, key + 8, value, e);
    return deq_mode_set(m, deq_part_of(key), deq_part_of(value), e);
}

static bool unknown_key(const char *key, deq_error *e) {
    char known[200] = "";
    for (int i = 0; i < DEQ_FIXED_KEYS; i++) {
        size_t at = strlen(known);
        snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", deq_fixed_table[i].key);
    }
    return deq_fail(e, DEQ_SETTING, "a fixed point has no setting `%s` (there are %s)", key, known);
}

bool deq_fixed_set(deq_fixed_settings *s, const char *key, const char *value, deq_error *e) {
    const char *rest;
    int start, on_fail;
    switch (deq_fixed_key_find(key, &rest)) {
    case DEQ_FIXED_KEY_forward:
        return rest ? deq_chain_set(&s->forward, false, deq_part_of(rest), deq_part_of(value), e)
                    : deq_solver_parse(value, false, &s->forward, e);
    case DEQ_FIXED_KEY_gradient:
        return rest ? argument_set(&s->gradient, rest, value, e) : deq_gradient_parse(value, s->hands, &s->gradient, e);
    case DEQ_FIXED_KEY_finish: return rest ? deq_finish_set(s, rest, value, e) : deq_finish_parse(value, &s->finish, e);
    case DEQ_FIXED_KEY_penalty:
        return rest ? deq_penalties_set(&s->penalties, rest, value, e) : deq_penalties_parse(value, &s->penalties, e);
    case DEQ_FIXED_KEY_start:
        if (rest) break;
        if (!word_set(DEQ_FIXED_KEY_start, value, &start, e)) return false;
        s->start = (deq_start)start;
        return true;
    case DEQ_FIXED_KEY_on_fail:
        if (rest) break;
        if (!word_set(DEQ_FIXED_KEY_on_fail, value, &on_fail, e)) return false;
        s->on_fail = (deq_on_fail)on_fail;
        return true;
    }
    return unknown_key(key, e);
}

bool deq_fixed_defaults(deq_fixed_settings *s, deq_error *e) {
    bool good = true;
    for (int i = 0; good && i < DEQ_FIXED_KEYS; i++)
        good = deq_fixed_set(s, deq_fixed_table[i].key, deq_fixed_table[i].fallback, e);
    return good;
}

void deq_fixed_print(const deq_fixed_settings *s, deq_fixed_key key, char *out, size_t size) {
    deq_part word = {"", 0};
    switch (key) {
    case DEQ_FIXED_KEY_forward: deq_solver_print(&s->forward, out, size); return;
    case DEQ_FIXED_KEY_gradient: deq_mode_print(&s->gradient, out, size); return;
    case DEQ_FIXED_KEY_finish: deq_finish_print(&s->finish, out, size); return;
    case DEQ_FIXED_KEY_penalty: deq_penalties_print(&s->penalties, out, size); return;
    case DEQ_FIXED_KEY_start: word = deq_word_at(words_of(key), s->start); break;
    case DEQ_FIXED_KEY_on_fail: word = deq_word_at(words_of(key), s->on_fail); break;
    case DEQ_FIXED_KEYS: break;
    }
    snprintf(out, size, "%.*s", (int)word.length, word.text);
}
