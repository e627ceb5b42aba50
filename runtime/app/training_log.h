/* training_log.h - the training log: one row an epoch, as CSV beside the results and as JSON inside checkpoints. */
#ifndef DEQ_RUNTIME_TRAINING_LOG_H
#define DEQ_RUNTIME_TRAINING_LOG_H
#include "error.h"
#include "log_columns.h"
#include <jansson.h>
#include <stdint.h>

typedef struct deq_log_row {
#define X(name, doc) double name;
    DEQ_LOG(X)
#undef X
} deq_log_row;

deq_log_row deq_log_empty(void);              /* every column NaN */
json_t *deq_log_json(const deq_log_row *row); /* an object */
deq_log_row deq_log_row_of(const json_t *object);
/* All rows (a JSON array of objects) as CSV; `metric`: its name, NULL: there is none. */
bool deq_log_write(const char *path, const json_t *rows, const char *metric, deq_error *e);
/* What the metric's column is called in a row of such a CSV file. */
const char *deq_log_metric(const json_t *row);
const char *deq_log_title(const char *metric);                    /* and is to be called */
json_t *deq_json_number(double value);                            /* null when not finite */
double deq_json_double(const json_t *value);                      /* NaN when not a number */
const char *deq_json_text(const json_t *object, const char *key); /* "" when not a string */
#endif
