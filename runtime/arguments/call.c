/* call.c - reader of NAME(argument: value, ...). */
#include "call.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

deq_part deq_part_of(const char *text) { return (deq_part){text, strlen(text)}; }

bool deq_part_is(deq_part part, const char *word) {
    return part.length == strlen(word) && !memcmp(part.text, word, part.length);
}

bool deq_part_number(deq_part part, double *out) {
    char buffer[64], *end;
    if (part.length == 0 || part.length >= sizeof buffer) return false;
    memcpy(buffer, part.text, part.length);
    buffer[part.length] = 0;
    if (isalpha((unsigned char)buffer[0])) return false; /* "inf" and "nan" are words here */
    *out = strtod(buffer, &end);
    return *end == 0 && isfinite(*out);
}

static void skip_space(const char **at, const char *end) {
    while (*at < end && isspace((unsigned char)**at)) ++*at;
}

static deq_part trim(const char *from, const char *to) {
    while (from < to && isspace((unsigned char)*from)) from++;
    while (to > from && isspace((unsigned char)to[-1])) to--;
    return (deq_part){from, (size_t)(to - from)};
}

static bool is_word(int c) { return isalnum(c) || c == '_' || c == '.'; }

bool deq_call_parse(deq_part text, deq_call *out, deq_error *e) {
    const char *at = text.text, *end = text.text + text.length;
    memset(out, 0, sizeof *out);
    skip_space(&at, end);
    const char *name = at;
    while (at < end && is_word((unsigned char)*at)) at++;
    out->name = (deq_part){name, (size_t)(at - name)};
    if (out->name.length == 0)
        return deq_fail(e, DEQ_SETTING, "a name is missing in `%.*s`", (int)text.length, text.text);
    skip_space(&at, end);
    if (at == end) return true;
    if (*at++ != '(')
        return deq_fail(e, DEQ_SETTING, "`(` expected after the name in `%.*s`", (int)text.length, text.text);
    for (;;) {
        skip_space(&at, end);
        if (at < end && *at == ')' && out->count == 0) break;
        const char *start = at, *colon = NULL;
        int depth = 0;
        for (; at < end && (depth > 0 || (*at != ',' && *at != ')')); at++) {
            depth += (*at == '(') - (*at == ')');
            if (*at == ':' && depth == 0 && !colon) colon = at;
        }
        if (at == end) return deq_fail(e, DEQ_SETTING, "`)` is missing in `%.*s`", (int)text.length, text.text);
        if (out->count == DEQ_CALL_ARGUMENTS)
            return deq_fail(e, DEQ_SETTING, "too many arguments in `%.*s`", (int)text.length, text.text);
        deq_part argument = colon ? trim(start, colon) : (deq_part){start, 0};
        deq_part value = trim(colon ? colon + 1 : start, at);
        if (value.length == 0 || (colon && argument.length == 0))
            return deq_fail(e, DEQ_SETTING, "an argument is empty in `%.*s`", (int)text.length, text.text);
        out->arguments[out->count].name = argument;
        out->arguments[out->count++].value = value;
        if (*at == ')') break;
        at++;
    }
    at++;
    skip_space(&at, end);
    if (at != end)
        return deq_fail(e, DEQ_SETTING, "`%.*s` is left over in `%.*s`", (int)(end - at), at, (int)text.length,
                        text.text);
    return true;
}

bool deq_range_read(deq_part value, double *first, double *limit) {
    deq_part from = value, to = {0};
    for (size_t k = 0; k + 1 < value.length; k++)
        if (value.text[k] == '.' && value.text[k + 1] == '.') {
            from = trim(value.text, value.text + k);
            to = trim(value.text + k + 2, value.text + value.length);
            break;
        }
    if (!deq_part_number(from, first)) return false;
    *limit = *first + 1;
    return !to.text || deq_part_number(to, limit);
}

void deq_range_print(const deq_range *r, char *out, size_t size) {
    if (r->limit == r->first + 1)
        snprintf(out, size, "%d", r->first);
    else
        snprintf(out, size, "%d..%d", r->first, r->limit);
}
