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

const char *deq_failure_code(deq_failure f) { return failures[f].code; }
int deq_failure_exit(deq_failure f) { return failures[f].exit; }
