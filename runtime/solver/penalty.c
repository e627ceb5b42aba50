/* penalty.c - penalties from text, their schedule, and the keys of their draws. */
#include "penalty.h"
#include "call.h"
#include "random.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ANY_KIND (-1)
#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))
#define IS_INT(member) _Generic(((deq_penalty *)0)->member, int : true, double : false)

static const struct option {
    int kind;
    const char *name;
    size_t offset;
    bool integer;
    double fallback, low, high;
} options[] = {
#define PENALTY_OPTION(id, name, fallback, low, high, doc)                                                             \
    {DEQ_PENALTY_##id, #name, offsetof(deq_penalty, name), IS_INT(name), fallback, low, high},
#define PENALTY_COMMON(name, fallback, low, high, doc)                                                                 \
    {ANY_KIND, #name, offsetof(deq_penalty, name), IS_INT(name), fallback, low, high},
#include "penalties.def"
};

/* Arguments that are no numbers. */
static const struct other {
    int kind;
    const char *name;
    enum { FLAG, WORD, STATES } type;
    size_t offset;
    const char *words;
    int first, limit; /* the default */
} others[] = {
#define PENALTY_FLAG(id, name_, fallback, doc)                                                                         \
    {.kind = DEQ_PENALTY_##id, .name = #name_, .type = FLAG, .offset = offsetof(deq_penalty, name_), .first = fallback},
#define PENALTY_WORD(id, name_, fallback, words_, doc)                                                                 \
    {.kind = DEQ_PENALTY_##id,                                                                                         \
     .name = #name_,                                                                                                   \
     .type = WORD,                                                                                                     \
     .offset = offsetof(deq_penalty, name_),                                                                           \
     .words = words_,                                                                                                  \
     .first = fallback},
#define PENALTY_STATES(id, name_, first_, limit_, doc)                                                                 \
    {.kind = DEQ_PENALTY_##id,                                                                                         \
     .name = #name_,                                                                                                   \
     .type = STATES,                                                                                                   \
     .offset = offsetof(deq_penalty, name_),                                                                           \
     .first = first_,                                                                                                  \
     .limit = limit_},
#include "penalties.def"
};

static const char *const kinds[] = {
#define PENALTY(id, doc) #id,
#include "penalties.def"
};

static void store(deq_penalty *p, const struct option *o, double value) {
    char *member = (char *)p + o->offset;
    if (o->integer)
        *(int *)member = (int)value;
    else
        *(double *)member = value;
}

static double load(const deq_penalty *p, const struct option *o) {
    const char *member = (const char *)p + o->offset;
    return o->integer ? *(const int *)member : *(const double *)member;
}

static bool is_of(const struct option *o, int kind) { return o->kind == kind || o->kind == ANY_KIND; }

/* Word `which` of "a|b" as a part; empty when there are fewer. */
static deq_part word_at(const char *words, int which) {
    for (const char *at = words;; at++) {
        size_t length = strcspn(at, "|");
        if (which-- == 0) return (deq_part){at, length};
        at += length;
        if (!*at) return (deq_part){at, 0};
    }
}

static bool set_other(deq_penalty *p, const struct other *o, deq_part value, deq_error *e) {
    char *member = (char *)p + o->offset;
    if (o->type == STATES) return deq_range_parse(o->name, value, (deq_range *)member, e);
    for (int which = 0; o->type == WORD && word_at(o->words, which).length; which++) {
        deq_part word = word_at(o->words, which);
        if (word.length != value.length || memcmp(word.text, value.text, word.length)) continue;
        *(int *)member = which;
        return true;
    }
    if (o->type == WORD)
        return deq_fail(e, DEQ_SETTING, "`%s` is one of %s, not `%.*s`", o->name, o->words, (int)value.length,
                        value.text);
    if (!deq_part_is(value, "true") && !deq_part_is(value, "false"))
        return deq_fail(e, DEQ_SETTING, "`%s` is true or false, not `%.*s`", o->name, (int)value.length, value.text);
    *(bool *)member = deq_part_is(value, "true");
    return true;
}

static bool set_argument(deq_penalty *p, int kind, deq_part name, deq_part value, deq_error *e) {
    for (int i = 0; i < COUNT(others); i++)
        if (others[i].kind == kind && deq_part_is(name, others[i].name)) return set_other(p, &others[i], value, e);
    for (int i = 0; i < COUNT(options); i++) {
        const struct option *o = &options[i];
        double number;
        if (!is_of(o, kind) || !deq_part_is(name, o->name)) continue;
        if (!deq_part_number(value, &number) || (o->integer && number != floor(number)))
            return deq_fail(e, DEQ_SETTING, "`%s` needs a %snumber, not `%.*s`", o->name, o->integer ? "whole " : "",
                            (int)value.length, value.text);
        if (number < o->low || number > o->high)
            return deq_fail(e, DEQ_SETTING, "`%s` must lie between %g and %g, not `%.*s`", o->name, o->low, o->high,
                            (int)value.length, value.text);
        store(p, o, number);
        return true;
    }
    if (name.length == 0)
        return deq_fail(e, DEQ_SETTING, "arguments of the penalty `%s` are named, as in `weight: 0.4`", kinds[kind]);
    return deq_fail(e, DEQ_SETTING, "the penalty `%s` has no argument `%.*s`", kinds[kind], (int)name.length,
                    name.text);
}

static bool parse_one(deq_part text, deq_penalties *out, deq_error *e) {
    deq_call call;
    if (!deq_call_parse(text, &call, e)) return false;
    for (int kind = 0; kind < DEQ_PENALTIES; kind++) {
        deq_penalty *p = &out->kinds[kind];
        if (!deq_part_is(call.name, kinds[kind])) continue;
        if (p->given) return deq_fail(e, DEQ_SETTING, "the penalty `%s` is given twice", kinds[kind]);
        p->given = true;
        for (int i = 0; i < COUNT(options); i++)
            if (is_of(&options[i], kind)) store(p, &options[i], options[i].fallback);
        for (int i = 0; i < COUNT(others); i++) {
            char *member = (char *)p + others[i].offset;
            if (others[i].kind != kind) continue;
            if (others[i].type == FLAG) *(bool *)member = others[i].first != 0;
            if (others[i].type == WORD) *(int *)member = others[i].first;
            if (others[i].type == STATES) *(deq_range *)member = (deq_range){others[i].first, others[i].limit};
        }
        for (int i = 0; i < call.count; i++)
            if (!set_argument(p, kind, call.arguments[i].name, call.arguments[i].value, e)) return false;
        return true;
    }
    return deq_fail(e, DEQ_SETTING, "there is no penalty `%.*s`", (int)call.name.length, call.name.text);
}

bool deq_penalties_parse(const char *text, deq_penalties *out, deq_error *e) {
    deq_penalties made;
    size_t length = strlen(text);
    memset(&made, 0, sizeof made); /* compared and hashed bytewise: padding too */
    if (strcmp(text, "none")) {
        bool list = length > 1 && text[0] == '[' && text[length - 1] == ']';
        const char *at = list ? text + 1 : text, *end = list ? text + length - 1 : text + length;
        while (at < end) {
            const char *stop = at;
            for (int depth = 0; stop < end && (depth > 0 || *stop != ','); stop++)
                depth += (*stop == '(') - (*stop == ')');
            if (!parse_one((deq_part){at, (size_t)(stop - at)}, &made, e)) return false;
            at = stop < end ? stop + 1 : end;
        }
    }
    *out = made;
    return true;
}

bool deq_penalties_set(deq_penalties *p, const char *key, const char *value, deq_error *e) {
    int chosen = -1, given = 0;
    for (int kind = 0; kind < DEQ_PENALTIES; kind++) {
        size_t length = strlen(kinds[kind]);
        bool named = !strncmp(key, kinds[kind], length) && key[length] == '.';
        if (named && !p->kinds[kind].given)
            return deq_fail(e, DEQ_SETTING, "the fixed point has no penalty `%s` whose `%s` could be set", kinds[kind],
                            key + length + 1);
        if (named) return set_argument(&p->kinds[kind], kind, deq_part_of(key + length + 1), deq_part_of(value), e);
        if (p->kinds[kind].given) chosen = kind, given++;
    }
    if (given == 1) return set_argument(&p->kinds[chosen], chosen, deq_part_of(key), deq_part_of(value), e);
    return deq_fail(e, DEQ_SETTING,
                    given ? "of which penalty is `%s`? Say `penalty.%s.%s`"
                          : "the fixed point has no penalty whose `%s` could be set (penalty.%s.%s)",
                    key, kinds[0], key);
}

static size_t append(char *out, size_t size, size_t at, const char *a, const char *b, const char *c) {
    if (at >= size) return at;
    int n = snprintf(out + at, size - at, "%s%s%s", a, b, c);
    return at + (n > 0 ? (size_t)n : 0);
}

void deq_penalties_print(const deq_penalties *p, char *out, size_t size) {
    int given = 0;
    for (int kind = 0; kind < DEQ_PENALTIES; kind++) given += p->kinds[kind].given;
    if (!given) {
        snprintf(out, size, "none");
        return;
    }
    size_t at = append(out, size, 0, given > 1 ? "[" : "", "", "");
    const char *between = "";
    for (int kind = 0; kind < DEQ_PENALTIES; kind++) {
        if (!p->kinds[kind].given) continue;
        at = append(out, size, at, between, kinds[kind], "(");
        const char *comma = "";
        for (int i = 0; i < COUNT(options); i++) {
            char number[40];
            double back, value = load(&p->kinds[kind], &options[i]);
            if (!is_of(&options[i], kind)) continue;
            for (int digits = 6; digits <= 17; digits++) { /* the shortest that reads back the same */
                snprintf(number, sizeof number, "%.*g", digits, value);
                if (deq_part_number(deq_part_of(number), &back) && back == value) break;
            }
            at = append(out, size, at, comma, options[i].name, ": ");
            at = append(out, size, at, number, "", "");
            comma = ", ";
        }
        for (int i = 0; i < COUNT(others); i++) {
            const char *member = (const char *)&p->kinds[kind] + others[i].offset;
            char value[48];
            if (others[i].kind != kind) continue;
            if (others[i].type == STATES) {
                deq_range_print((const deq_range *)member, value, sizeof value);
            } else {
                deq_part word = others[i].type == FLAG ? deq_part_of(*(const bool *)member ? "true" : "false")
                                                       : word_at(others[i].words, *(const int *)member);
                snprintf(value, sizeof value, "%.*s", (int)word.length, word.text);
            }
            at = append(out, size, at, comma, others[i].name, ": ");
            at = append(out, size, at, value, "", "");
        }
        at = append(out, size, at, ")", "", "");
        between = ", ";
    }
    if (given > 1) append(out, size, at, "]", "", "");
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
    return deq_key_text(deq_key_text(0x9e4a17, kinds[kind]), name);
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
