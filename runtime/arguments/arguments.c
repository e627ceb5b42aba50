/* arguments.c - typed arguments: lookup, complaints, records from texts and back. */
#include "arguments.h"
#include "nearest.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_NAMES = 64 };

/* ---- looking up ---- */

const deq_row *deq_row_find(const deq_family *f, deq_part name) {
    for (int i = 0; i < f->nrows; i++)
        if (deq_part_is(name, f->rows[i].name)) return &f->rows[i];
    return NULL;
}

static bool belongs(const deq_argument *a, const deq_row *row) {
    return !row || !a->owner || !strcmp(a->owner, row->id);
}

static bool serves(int own, int asked) { return !own || !asked || (own & asked); }

const deq_argument *deq_argument_at(const deq_family *f, const deq_row *row, int uses, int i) {
    for (int k = 0; k < f->narguments; k++)
        if (belongs(&f->arguments[k], row) && serves(f->arguments[k].uses, uses) && i-- == 0) return &f->arguments[k];
    return NULL;
}

const deq_argument *deq_argument_find(const deq_family *f, const deq_row *row, deq_part name) {
    const deq_argument *a;
    for (int i = 0; (a = deq_argument_at(f, row, 0, i)); i++)
        if (deq_part_is(name, a->name)) return a;
    return NULL;
}

bool deq_argument_widest(const deq_family *f, int uses, deq_part name, deq_argument *out) {
    const deq_argument *a;
    *out = (deq_argument){0};
    for (int i = 0; (a = deq_argument_at(f, NULL, uses, i)); i++) {
        if (!deq_part_is(name, a->name)) continue;
        if (!out->name) *out = *a;
        out->low = a->low < out->low ? a->low : out->low;
        out->high = a->high > out->high ? a->high : out->high;
    }
    return out->name != NULL;
}

deq_part deq_word_at(const char *words, int i) {
    for (const char *at = words;; at++) {
        size_t length = strcspn(at, "|");
        if (i-- == 0) return (deq_part){at, length};
        at += length;
        if (!*at) return (deq_part){at, 0};
    }
}

int deq_word_find(const char *words, deq_part word) {
    for (int i = 0; word.length && deq_word_at(words, i).length; i++) {
        deq_part one = deq_word_at(words, i);
        if (one.length == word.length && !memcmp(one.text, word.text, word.length)) return i;
    }
    return -1;
}

/* ---- complaints ---- */

bool deq_complain(deq_error *e, const deq_complaint *why) {
    return deq_fail(e, DEQ_SETTING, *why->help ? "%s; %s" : "%s", why->text, why->help);
}

static void add(char *out, size_t size, const char *text) {
    size_t at = strlen(out);
    snprintf(out + at, size - at, "%s", text);
}

static const char *copy_name(deq_part part, char *out, size_t size) {
    snprintf(out, size, "%.*s", (int)part.length, part.text);
    return out;
}

bool deq_row_known(const deq_family *f, deq_part name, int uses, deq_complaint *why) {
    char given[100];
    const char *names[MOST_NAMES];
    int n = 0;
    if (deq_row_find(f, name)) return true;
    for (int i = 0; i < f->nrows && n < MOST_NAMES; i++)
        if (serves(f->rows[i].uses, uses)) names[n++] = f->rows[i].name;
    const char *near = deq_nearest(copy_name(name, given, sizeof given), names, n);
    *why = (deq_complaint){0};
    if (name.length)
        snprintf(why->text, sizeof why->text, "'%s' is not %s", given, f->what);
    else
        snprintf(why->text, sizeof why->text, "this is not %s", f->what);
    if (near) {
        snprintf(why->help, sizeof why->help, "did you mean '%s%s'?", near, f->plain);
        return false;
    }
    add(why->help, sizeof why->help, f->list);
    for (int i = 0; i < n; i++) {
        add(why->help, sizeof why->help, i ? ", " : "");
        add(why->help, sizeof why->help, names[i]);
        add(why->help, sizeof why->help, f->plain);
    }
    add(why->help, sizeof why->help, f->more);
    return false;
}

deq_part deq_argument_named(const deq_family *f, const deq_row *row, deq_part given, int place) {
    const deq_argument *first = deq_argument_at(f, row, 0, 0);
    if (given.length || place || !first) return given;
    return f->unnamed || first->type == DEQ_NESTED ? deq_part_of(first->name) : given;
}

bool deq_argument_known(const deq_family *f, const deq_row *row, int uses, deq_part name, deq_complaint *why) {
    char given[100];
    const char *names[MOST_NAMES];
    const deq_argument *a = name.length ? deq_argument_find(f, row, name) : NULL;
    int n = 0;
    *why = (deq_complaint){0};
    if (a && serves(a->uses, uses)) return true;
    if (a) {
        snprintf(why->text, sizeof why->text, "'%s' of '%s' is for the state, not for the adjoint", a->name, row->name);
        return false;
    }
    while (n < MOST_NAMES && (a = deq_argument_at(f, row, uses, n))) names[n++] = a->name;
    const char *near = name.length ? deq_nearest(copy_name(name, given, sizeof given), names, n) : NULL;
    if (name.length)
        snprintf(why->text, sizeof why->text, "'%s' has no argument '%s'", row->name, given);
    else
        snprintf(why->text, sizeof why->text, "arguments of '%s' are named", row->name);
    if (near) {
        snprintf(why->help, sizeof why->help, "did you mean '%s'?", near);
        return false;
    }
    add(why->help, sizeof why->help, n ? "its arguments: " : "it has none");
    for (int i = 0; i < n; i++) {
        add(why->help, sizeof why->help, i ? ", " : "");
        add(why->help, sizeof why->help, names[i]);
    }
    return false;
}

bool deq_number_fits(const deq_argument *a, const char *what, double value, deq_complaint *why) {
    const bool whole = a->type == DEQ_WHOLE;
    *why = (deq_complaint){0};
    if (whole && value != floor(value))
        snprintf(why->text, sizeof why->text, "'%s' is a whole number, this is %g", what, value);
    else if (isnan(value))
        snprintf(why->text, sizeof why->text, "'%s' is not a number", what);
    else if (a->high == DBL_MAX && !isfinite(value))
        snprintf(why->text, sizeof why->text, "'%s' is a finite number, not %g", what, value);
    else if (a->high == DBL_MAX && value < a->low)
        snprintf(why->text, sizeof why->text, "'%s' is not below %g, this is %g", what, a->low, value);
    else if (!(value >= a->low && value <= a->high))
        snprintf(why->text, sizeof why->text, "'%s' lies between %g and %g, this is %g", what, a->low, a->high, value);
    return !*why->text;
}

bool deq_word_fits(const char *words, const char *what, deq_part value, int *place, deq_complaint *why) {
    char given[100], known[MOST_NAMES][40];
    const char *names[MOST_NAMES];
    int n = 0;
    *why = (deq_complaint){0};
    if ((*place = deq_word_find(words, value)) >= 0) return true;
    for (; n < MOST_NAMES && deq_word_at(words, n).length; n++)
        names[n] = copy_name(deq_word_at(words, n), known[n], sizeof known[n]);
    snprintf(why->text, sizeof why->text, "'%s' is ", what);
    for (int i = 0; i < n; i++) {
        add(why->text, sizeof why->text, i == 0 ? "" : i + 1 == n ? " or " : ", ");
        add(why->text, sizeof why->text, names[i]);
    }
    const char *near = value.length ? deq_nearest(copy_name(value, given, sizeof given), names, n) : NULL;
    if (near) snprintf(why->help, sizeof why->help, "did you mean '%s'?", near);
    return false;
}

bool deq_states_fit(const char *what, double first, double limit, deq_complaint *why) {
    *why = (deq_complaint){0};
    if (first < 1) {
        snprintf(why->text, sizeof why->text, "'%s' counts from 1, not from %g", what, first);
        snprintf(why->help, sizeof why->help, "state 0 is the start, not one that the solver made");
    } else if (!(limit > first) || limit > 1e6) {
        snprintf(why->text, sizeof why->text, "'%s' is an empty range of states", what);
        snprintf(why->help, sizeof why->help, "ranges are half open: 1..9 is 1 to 8");
    } else if (first != floor(first) || limit != floor(limit)) {
        snprintf(why->text, sizeof why->text, "'%s' is a state or a range of states, such as 3 or 1..9", what);
    }
    return !*why->text;
}

/* ---- records ---- */

void deq_arguments_default(const deq_family *f, const deq_row *row, void *record) {
    const deq_argument *a;
    for (int i = 0; (a = deq_argument_at(f, row, 0, i)); i++) {
        char *member = (char *)record + a->offset;
        switch (a->type) {
        case DEQ_NUMBER: *(double *)member = a->fallback; break;
        case DEQ_WHOLE:
        case DEQ_WORD: *(int *)member = (int)a->fallback; break;
        case DEQ_FLAG: *(bool *)member = a->fallback != 0; break;
        case DEQ_STATES: *(deq_range *)member = (deq_range){a->first, a->limit}; break;
        case DEQ_TEXT:
        case DEQ_NESTED: break;
        }
    }
}

static bool set_number(const deq_argument *a, const char *what, deq_part value, char *member, deq_error *e) {
    double number;
    deq_complaint why;
    if (!deq_part_number(value, &number))
        return deq_fail(e, DEQ_SETTING, "'%s' is a %s, not %.*s", what,
                        a->type == DEQ_WHOLE ? "whole number" : "number", (int)value.length, value.text);
    if (!deq_number_fits(a, what, number, &why)) return deq_complain(e, &why);
    if (a->type == DEQ_WHOLE)
        *(int *)member = (int)number;
    else
        *(double *)member = number;
    return true;
}

static bool set_states(const char *what, deq_part value, deq_range *out, deq_error *e) {
    double first, limit;
    deq_complaint why;
    if (!deq_range_read(value, &first, &limit))
        return deq_fail(e, DEQ_SETTING, "'%s' is a state or a range of states, such as 3 or 1..9, not %.*s", what,
                        (int)value.length, value.text);
    if (!deq_states_fit(what, first, limit, &why)) return deq_complain(e, &why);
    *out = (deq_range){(int)first, (int)limit};
    return true;
}

bool deq_argument_set(const deq_argument *a, const deq_row *row, deq_part value, void *record, deq_error *e) {
    char what[160], *member = (char *)record + a->offset;
    int place;
    deq_complaint why;
    snprintf(what, sizeof what, "%s' of '%s", a->name, row->name);
    switch (a->type) {
    case DEQ_NUMBER:
    case DEQ_WHOLE: return set_number(a, what, value, member, e);
    case DEQ_STATES: return set_states(what, value, (deq_range *)member, e);
    case DEQ_WORD:
        if (!deq_word_fits(a->words, what, value, &place, &why)) return deq_complain(e, &why);
        *(int *)member = place;
        return true;
    case DEQ_FLAG:
        if (!deq_part_is(value, "true") && !deq_part_is(value, "false"))
            return deq_fail(e, DEQ_SETTING, "'%s' is true or false", what);
        *(bool *)member = deq_part_is(value, "true");
        return true;
    case DEQ_TEXT:
    case DEQ_NESTED: break;
    }
    return deq_fail(e, DEQ_SETTING, "'%s' is not set by a text", what);
}

bool deq_arguments_set(const deq_family *f, const deq_row *row, int uses, deq_part name, deq_part value, void *record,
                       deq_error *e) {
    deq_complaint why;
    if (!deq_argument_known(f, row, uses, name, &why)) return deq_complain(e, &why);
    return deq_argument_set(deq_argument_find(f, row, name), row, value, record, e);
}

void deq_number_print(double value, char *out, size_t size) {
    for (int digits = 6; digits <= 17; digits++) {
        double back;
        snprintf(out, size, "%.*g", digits, value);
        if (deq_part_number(deq_part_of(out), &back) && back == value) return;
    }
}

/* "tol: 0.0001": the text reads back as the same value.  Returns the length. */
static size_t deq_argument_print(const deq_argument *a, const void *record, char *out, size_t size) {
    const char *member = (const char *)record + a->offset;
    char value[64] = "";
    switch (a->type) {
    case DEQ_NUMBER: deq_number_print(*(const double *)member, value, sizeof value); break;
    case DEQ_WHOLE: deq_number_print(*(const int *)member, value, sizeof value); break;
    case DEQ_FLAG: snprintf(value, sizeof value, "%s", *(const bool *)member ? "true" : "false"); break;
    case DEQ_WORD: copy_name(deq_word_at(a->words, *(const int *)member), value, sizeof value); break;
    case DEQ_STATES: deq_range_print((const deq_range *)member, value, sizeof value); break;
    case DEQ_TEXT:
    case DEQ_NESTED: break;
    }
    int n = snprintf(out, size, "%s: %s", a->name, value);
    return n > 0 ? (size_t)n : 0;
}

/* A default that says nothing new to a reader. */
static bool goes_without_saying(const deq_argument *a, const void *record) {
    const char *member = (const char *)record + a->offset;
    switch (a->type) {
    case DEQ_NUMBER: return a->rare && *(const double *)member == a->fallback;
    case DEQ_WHOLE: return a->rare && *(const int *)member == (int)a->fallback;
    case DEQ_FLAG: return *(const bool *)member == (a->fallback != 0);
    case DEQ_WORD: return *(const int *)member == (int)a->fallback;
    default: return false;
    }
}

size_t deq_arguments_print(const deq_family *f, const deq_row *row, int uses, bool brief, const void *record, char *out,
                           size_t size) {
    const deq_argument *a;
    size_t at = 0;
    if (size) *out = 0;
    for (int i = 0; at < size && (a = deq_argument_at(f, row, uses, i)); i++) {
        if (brief && goes_without_saying(a, record)) continue;
        at += (size_t)snprintf(out + at, size - at, "%s", at ? ", " : "(");
        if (at < size) at += deq_argument_print(a, record, out + at, size - at);
    }
    if (at < size) at += (size_t)snprintf(out + at, size - at, at ? ")" : "()");
    return at;
}

bool deq_record_parse(const deq_family *f, const char *text, void *record, size_t size, const deq_row **row,
                      deq_error *e) {
    deq_call call;
    deq_complaint why;
    if (!deq_call_parse(deq_part_of(text), &call, e)) return false;
    if (!deq_row_known(f, call.name, 0, &why)) return deq_complain(e, &why);
    *row = deq_row_find(f, call.name);
    memset(record, 0, size);
    deq_arguments_default(f, *row, record);
    for (int i = 0; i < call.count; i++)
        if (!deq_arguments_set(f, *row, 0, deq_argument_named(f, *row, call.arguments[i].name, i),
                               call.arguments[i].value, record, e))
            return false;
    return true;
}

size_t deq_record_print(const deq_family *f, const deq_row *row, const void *record, char *out, size_t size) {
    const int n = snprintf(out, size, "%s", row->name);
    const size_t at = n > 0 ? (size_t)n : 0;
    if (!deq_argument_at(f, row, 0, 0) || at >= size) return at;
    return at + deq_arguments_print(f, row, 0, false, record, out + at, size - at);
}
