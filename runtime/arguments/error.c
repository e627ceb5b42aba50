#include "error.h"
#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *code;
    int exit;
} failures[] = {
    [DEQ_OK] = {"", 0},
#define FAILURE(id, code, exit, title, explanation) [DEQ_##id] = {#code, exit},
#include "failures.def"
#undef FAILURE
};

bool deq_fail(deq_error *e, deq_failure failure, const char *format, ...) {
    if (!e || e->failure != DEQ_OK) return false;
    e->failure = failure;
    va_list ap;
    va_start(ap, format);
    vsnprintf(e->text, sizeof e->text, format, ap);
    va_end(ap);
    return false;
}

bool deq_fail_at(deq_error *e, const char *source, int line) {
    if (!e || e->failure == DEQ_OK || e->line || !source || line < 1) return false;
    snprintf(e->source, sizeof e->source, "%s", source);
    e->line = line;
    return false;
}

void deq_error_add(deq_error_list *list, const char *format, ...) {
    char one[600];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(one, sizeof one, format, ap);
    va_end(ap);
    size_t length = n < (int)sizeof one ? (size_t)n : sizeof one - 1, room = 40; /* for "; and N more" */
    list->count++;
    if (list->left_out || list->length + length + 2 + room > sizeof list->text) {
        list->left_out++;
        return;
    }
    list->length += (size_t)snprintf(list->text + list->length, sizeof list->text - list->length, "%s%s",
                                     list->length ? "; " : "", one);
}

const char *deq_error_text(deq_error_list *list) {
    if (list->left_out)
        snprintf(list->text + list->length, sizeof list->text - list->length, "; and %d more", list->left_out);
    return list->text;
}

const char *deq_failure_code(deq_failure f) { return failures[f].code; }
int deq_failure_exit(deq_failure f) { return failures[f].exit; }
