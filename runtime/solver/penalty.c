/* penalty.c - penalties from text, their schedule, and the keys of their draws. */
#include "penalty.h"
#include "families.h"
#include "random.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const deq_row *row_of(int kind) { return &deq_penalty_family.rows[kind]; }

static bool parse_one(deq_part text, deq_penalties *out, deq_error *e) {
    deq_call call;
    deq_complaint why;
    if (!deq_call_parse(text, &call, e)) return false;
    if (!deq_row_known(&deq_penalty_family, call.name, 0, &why)) return deq_complain(e, &why);
    const deq_row *row = deq_row_find(&deq_penalty_family, call.name);
    deq_penalty *p = &out->kinds[row - deq_penalty_family.rows];
    if (p->given) return deq_fail(e, DEQ_SETTING, "the penalty '%s' is given twice", row->name);
    p->given = true;
    deq_arguments_default(&deq_penalty_family, row, p);
    for (int i = 0; i < call.count; i++)
        if (!deq_arguments_set(&deq_penalty_family, row, 0, call.arguments[i].name, call.arguments[i].value, p, e))
            return false;
    return true;
}

/* Up to the next comma outside of brackets. */
static const char *item_end(const char *at, const char *end) {
    for (int depth = 0; at < end && (depth > 0 || *at != ','); at++) depth += (*at == '(') - (*at == ')');
    return at;
}

bool deq_penalties_parse(const char *text, deq_penalties *out, deq_error *e) {
    deq_penalties made;
    size_t length = strlen(text);
    memset(&made, 0, sizeof made); /* compared and hashed bytewise: padding too */
    if (strcmp(text, "none")) {
        bool list = length > 1 && text[0] == '[' && text[length - 1] == ']';
        const char *at = list ? text + 1 : text, *end = list ? text + length - 1 : text + length;
        while (at < end) {
            const char *stop = item_end(at, end);
            if (!parse_one((deq_part){at, (size_t)(stop - at)}, &made, e)) return false;
            at = stop < end ? stop + 1 : end;
        }
    }
    *out = made;
    return true;
}

static bool set_argument(deq_penalties *p, int kind, const char *name, const char *value, deq_error *e) {
    return deq_arguments_set(&deq_penalty_family, row_of(kind), 0, deq_part_of(name), deq_part_of(value),
                             &p->kinds[kind], e);
}

bool deq_penalties_set(deq_penalties *p, const char *key, const char *value, deq_error *e) {
    int chosen = -1, given = 0;
    for (int kind = 0; kind < DEQ_PENALTIES; kind++) {
        const char *name = row_of(kind)->name;
        size_t length = strlen(name);
        bool named = !strncmp(key, name, length) && key[length] == '.';
        if (named && !p->kinds[kind].given)
            return deq_fail(e, DEQ_SETTING, "the fixed point has no penalty `%s` whose `%s` could be set", name,
                            key + length + 1);
        if (named) return set_argument(p, kind, key + length + 1, value, e);
        if (p->kinds[kind].given) chosen = kind, given++;
    }
    if (given == 1) return set_argument(p, chosen, key, value, e);
    return deq_fail(e, DEQ_SETTING,
                    given ? "of which penalty is `%s`? Say `penalty.%s.%s`"
                          : "the fixed point has no penalty whose `%s` could be set (penalty.%s.%s)",
                    key, row_of(0)->name, key);
}

void deq_penalties_print(const deq_penalties *p, char *out, size_t size) {
    int given = 0;
    size_t at = 0;
    for (int kind = 0; kind < DEQ_PENALTIES; kind++) given += p->kinds[kind].given;
    if (!given) {
        snprintf(out, size, "none");
        return;
    }
    const char *before = given > 1 ? "[" : "";
    for (int kind = 0; kind < DEQ_PENALTIES && at < size; kind++) {
        if (!p->kinds[kind].given) continue;
        at += (size_t)snprintf(out + at, size - at, "%s%s", before, row_of(kind)->name);
        if (at < size)
            at +=
                deq_arguments_print(&deq_penalty_family, row_of(kind), 0, false, &p->kinds[kind], out + at, size - at);
        before = ", ";
    }
    if (given > 1 && at < size) snprintf(out + at, size - at, "]");
}

bool deq_penalties_given(const deq_penalties *p) {
    bool given = false;
    for (int kind = 0; kind < DEQ_PENALTIES; kind++) given = given || p->kinds[kind].given;
    return given;
}

bool deq_penalties_of_jacobian(const deq_penalties *p) {
    return p->kinds[DEQ_PENALTY_jacobian].given || p->kinds[DEQ_PENALTY_spectral].given;
}

bool deq_penalties_reach_state(const deq_penalties *p) {
    bool reach = false;
    for (int kind = 0; kind < DEQ_PENALTIES; kind++)
        reach = reach || (kind != DEQ_PENALTY_correction && p->kinds[kind].given && !p->kinds[kind].detach);
    return reach;
}

int deq_penalties_least(const deq_penalties *p) {
    const deq_penalty *c = &p->kinds[DEQ_PENALTY_correction];
    return c->given ? c->states.limit - 1 : 0;
}

double deq_correction_weight(const deq_penalty *p, int step) {
    int n = p->states.limit - p->states.first, k = step - p->states.first + 1;
    if (k < 1 || k > n) return 0;
    if (p->weights == DEQ_EXPONENTIAL) return pow(p->gamma, n - k + 1);
    return p->weights == DEQ_LINEAR ? (double)k / (n + 1) : 1;
}

static uint64_t key_of(deq_penalty_kind kind, const char *name) {
    return deq_key_text(deq_key_text(0x9e4a17, row_of((int)kind)->name), name);
}

double deq_penalty_weight(const deq_penalties *p, deq_penalty_kind kind, uint64_t seed, uint64_t step,
                          const char *name) {
    const deq_penalty *q = &p->kinds[kind];
    if (!q->given || (q->until > 0 && step > (uint64_t)q->until)) return 0;
    if (deq_uniform(deq_key_mix(key_of(kind, name), seed), step) >= q->frequency) return 0;
    uint64_t raised = q->every > 0 && step > 0 ? (step - 1) / (uint64_t)q->every : 0;
    return q->weight + q->increment * (double)raised;
}

int64_t deq_penalty_site(deq_penalty_kind kind, const char *name) {
    return (int64_t)(deq_key_mix(key_of(kind, name), 1) >> 1);
}
