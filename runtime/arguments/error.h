/* error.h - failures as data: the first one wins, with a text for the user.  Nothing in the runtime exits. */
#ifndef DEQ_RUNTIME_ERROR_H
#define DEQ_RUNTIME_ERROR_H
#include <stdbool.h>
#include <stddef.h>

typedef enum deq_failure {
    DEQ_OK = 0,
#define FAILURE(id, code, exit, title, explanation) DEQ_##id,
#include "failures.def"
#undef FAILURE
} deq_failure;

typedef struct deq_error {
    deq_failure failure;
    char text[4096];  /* one sentence, naming file, example, step or setting */
    char source[300]; /* the script and its line that the failure belongs to; "" when it belongs to none */
    int line;
} deq_error;

/* Everything that is wrong with one thing, gathered so that it can be told at once: "a; b; c; and 12 more". */
typedef struct deq_error_list {
    char text[3600];
    size_t length;
    int count, left_out;
} deq_error_list;
void deq_error_add(deq_error_list *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *deq_error_text(deq_error_list *list); /* of all of them */

/* Records the failure unless one is recorded already; always returns false, so that `return deq_fail(...)` reads well.
 */
bool deq_fail(deq_error *e, deq_failure failure, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Notes the place in the script, unless there is no failure or its place is known.  Always returns false. */
bool deq_fail_at(deq_error *e, const char *source, int line);
const char *deq_failure_code(deq_failure f); /* "E0802" */
int deq_failure_exit(deq_failure f);
#endif
