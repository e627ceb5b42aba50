/* defence.c - a defence's text, and the weights it gives to the states. */
#include "defence.h"
#include "call.h"
#include <stdio.h>
#include <string.h>

#define LAST_STATE 100000 /* as many steps as a solver may be given */

static bool refuse(const char *text, deq_error *e) {
    return deq_fail(
        e, DEQ_SETTING,
        "`defence` is a sum of terms like 0.5 * states[5], mean(states), mean(states[1..9]), final, or none; not "
        "`%s`",
        text);
}

/* A term without its weight. */
static bool parse_states(deq_defence *d, deq_part part, double weight) {
    char text[64];
    int from = 0, to = 0, end = 0;
    if (part.length >= sizeof text) return false;
    memcpy(text, part.text, part.length);
    text[part.length] = 0;
    if (!strcmp(text, "final")) {
        d->value += weight;
        return true;
    }
    if (!strcmp(text, "mean(states)")) {
        d->all += weight;
        return true;
    }
    if (sscanf(text, "states[%6d]%n", &from, &end) == 1 && end == (int)part.length)
        to = from + 1;
    else if (!(sscanf(text, "mean(states[%6d..%6d])%n", &from, &to, &end) == 2 && end == (int)part.length))
        return false;
    if (from < 1 || to <= from || to > LAST_STATE + 1 || d->nterms == DEQ_DEFENCE_TERMS) return false;
    d->terms[d->nterms++] = (struct deq_defence_term){from, to, weight};
    return true;
}

bool deq_defence_parse(const char *text, deq_defence *out, deq_error *e) {
    deq_defence d = {.given = true};
    if (!strcmp(text, "none")) {
        *out = (deq_defence){0};
        return true;
    }
    for (const char *at = text;;) {
        const char *plus = strstr(at, " + ");
        deq_part term = {at, plus ? (size_t)(plus - at) : strlen(at)};
        double weight = 1;
        const char *times = memchr(at, '*', term.length);
        if (times) {
            size_t length = (size_t)(times - at);
            while (length && at[length - 1] == ' ') length--;
            if (!deq_part_number((deq_part){at, length}, &weight)) return refuse(text, e);
            times += strspn(times, "* ");
            term = (deq_part){times, term.length - (size_t)(times - at)};
        }
        if (!parse_states(&d, term, weight)) return refuse(text, e);
        if (!plus) break;
        at = plus + 3;
    }
    if (d.value == 1 && d.all == 0 && d.nterms == 0) d = (deq_defence){0}; /* the value alone: no defence */
    *out = d;
    return true;
}

static size_t print_term(char *out, size_t size, size_t at, double weight, const char *states) {
    char number[40] = "";
    for (int digits = 6; weight != 1 && digits <= 17; digits++) { /* the shortest that reads back */
        double back;
        snprintf(number, sizeof number, "%.*g", digits, weight);
        if (deq_part_number(deq_part_of(number), &back) && back == weight) break;
    }
    if (at >= size) return at;
    return at +
           (size_t)snprintf(out + at, size - at, "%s%s%s%s", at ? " + " : "", number, *number ? " * " : "", states);
}

void deq_defence_print(const deq_defence *d, char *out, size_t size) {
    char states[64];
    size_t at = 0;
    if (d->value != 0) at = print_term(out, size, at, d->value, "final");
    if (d->all != 0) at = print_term(out, size, at, d->all, "mean(states)");
    for (int i = 0; i < d->nterms; i++) {
        const struct deq_defence_term *t = &d->terms[i];
        if (t->to == t->from + 1)
            snprintf(states, sizeof states, "states[%d]", t->from);
        else
            snprintf(states, sizeof states, "mean(states[%d..%d])", t->from, t->to);
        at = print_term(out, size, at, t->weight, states);
    }
    if (at == 0) snprintf(out, size, "none");
}

int deq_defence_last(const deq_defence *d) {
    int last = 0;
    for (int i = 0; i < d->nterms; i++)
        if (d->terms[i].to - 1 > last) last = d->terms[i].to - 1;
    return last;
}

double deq_defence_weight(const deq_defence *d, int step) {
    double sum = 0;
    for (int i = 0; i < d->nterms; i++) {
        const struct deq_defence_term *t = &d->terms[i];
        if (step >= t->from && step < t->to) sum += t->weight / (t->to - t->from);
    }
    return sum;
}

double deq_defence_weight_after(const deq_defence *d, int step) {
    double sum = 0;
    for (int i = 0; i < d->nterms; i++) {
        const struct deq_defence_term *t = &d->terms[i];
        int left = t->to - 1 - (step >= t->from ? step : t->from - 1);
        if (left > 0) sum += t->weight * left / (t->to - t->from);
    }
    return sum;
}
