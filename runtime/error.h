/* error.h - failures as data: the first one wins, with a text for the user.  Nothing in the runtime exits. */
#ifndef DEQ_RUNTIME_ERROR_H
#define DEQ_RUNTIME_ERROR_H
#include <stdbool.h>

typedef enum deq_failure {
    DEQ_OK = 0,
#define FAILURE(id, code, exit, title, explanation) DEQ_##id,
#include "failures.def"
#undef FAILURE
} deq_failure;

typedef struct deq_error {
    deq_failure failure;
    char text[1024];      /* one sentence, naming file, example, step or setting */
} deq_error;

/* Records the failure unless one is recorded already; always returns false, so that `return deq_fail(...)` reads well. */
bool deq_fail(deq_error *e, deq_failure failure, const char *format, ...) __attribute__((format(printf, 3, 4)));
const char *deq_failure_code(deq_failure f);   /* "E0802" */
int deq_failure_exit(deq_failure f);
#endif
