/* selection.c - see selection.h: the text of --filter, and whether a record is meant. */
#include "selection.h"
#include "nearest.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text; /* longer ones before their beginnings */
    deq_comparison comparison;
} comparisons[] = {{"!=", DEQ_IS_NOT}, {"<=", DEQ_AT_MOST}, {">=", DEQ_AT_LEAST}, {"==", DEQ_IS},
                   {"=", DEQ_IS},      {"<", DEQ_BELOW},    {">", DEQ_ABOVE}};
#define COMPARISONS ((int)(sizeof comparisons / sizeof *comparisons))
#define MOST_FIELDS 64

static bool unknown_field(const char *name, deq_error *e) {
    int count;
    const deq_record_field *fields = deq_record_fields(&count);
    const char *names[MOST_FIELDS];
    char list[1000] = "";
    for (int i = 0; i < count && i < MOST_FIELDS; i++) {
        names[i] = fields[i].name;
        if (i) strncat(list, ", ", sizeof list - strlen(list) - 1);
        strncat(list, names[i], sizeof list - strlen(list) - 1);
    }
    const char *near = deq_nearest(name, names, count < MOST_FIELDS ? count : MOST_FIELDS);
    if (near) return deq_fail(e, DEQ_SETTING, "--filter: a record has no field '%s'; did you mean '%s'?", name, near);
    return deq_fail(e, DEQ_SETTING, "--filter: a record has no field '%s'; its fields are %s", name, list);
}

/* The spaces around a part of the text do not count. */
static void trim(const char **from, const char **to) {
    while (*from < *to && **from == ' ') ++*from;
    while (*to > *from && (*to)[-1] == ' ') --*to;
}

static bool parse_field(const char *from, const char *to, const deq_record_field **out, deq_error *e) {
    char name[64];
    int count;
    trim(&from, &to);
    snprintf(name, sizeof name, "%.*s", (int)(to - from < 63 ? to - from : 63), from);
    int field = deq_record_field_named(name);
    if (field < 0) return unknown_field(name, e);
    *out = &deq_record_fields(&count)[field];
    return true;
}

static bool parse_number(const char *from, const char *to, double *out, deq_error *e) {
    char text[64], *end = text;
    trim(&from, &to);
    const int n = (int)(to - from < 63 ? to - from : 63);
    snprintf(text, sizeof text, "%.*s", n, from);
    if (n) *out = strtod(text, &end);
    if (n && !*end && to - from < 63) return true;
    return deq_fail(e, DEQ_SETTING, "--filter compares with a number or nan, not with '%s'", text);
}

static bool parse_condition(const char *from, const char *to, deq_condition *out, deq_error *e) {
    const char *at = from + strcspn(from, "=!<>");
    for (int i = 0; at < to && i < COMPARISONS; i++) {
        size_t n = strlen(comparisons[i].text);
        if ((size_t)(to - at) < n || memcmp(at, comparisons[i].text, n)) continue;
        out->comparison = comparisons[i].comparison;
        return parse_field(from, at, &out->field, e) && parse_number(at + n, to, &out->value, e);
    }
    return deq_fail(e, DEQ_SETTING, "--filter takes comparisons such as metric=0,steps>20; '%.*s' is none",
                    (int)(to - from < 80 ? to - from : 80), from);
}

bool deq_selection_parse(const char *text, deq_selection *out, deq_error *e) {
    out->n = 0;
    while (text && *text) {
        const char *end = text + strcspn(text, ",");
        if (out->n == DEQ_MOST_CONDITIONS)
            return deq_fail(e, DEQ_SETTING, "--filter takes at most %d comparisons", DEQ_MOST_CONDITIONS);
        if (!parse_condition(text, end, &out->conditions[out->n], e)) return false;
        out->n++;
        text = *end ? end + 1 : end;
    }
    return true;
}

static bool holds(const deq_condition *c, double v) {
    /* A field in single precision is compared with the number as it would be kept there. */
    const double w = c->field->type == DEQ_RECORD_F32 ? (double)(float)c->value : c->value;
    const bool same = isnan(w) ? isnan(v) : v == w;
    switch (c->comparison) {
    case DEQ_IS: return same;
    case DEQ_IS_NOT: return !same;
    case DEQ_BELOW: return v < w;
    case DEQ_AT_MOST: return v <= w;
    case DEQ_ABOVE: return v > w;
    case DEQ_AT_LEAST: return v >= w;
    }
    return false;
}

bool deq_selected(const deq_selection *s, const deq_record *r) {
    for (int i = 0; i < s->n; i++)
        if (!holds(&s->conditions[i], deq_record_value(r, s->conditions[i].field))) return false;
    return true;
}
