/* record.h - one example of one evaluation, as it is kept in the journal (record.def). */
#ifndef DEQ_RUNTIME_RECORD_H
#define DEQ_RUNTIME_RECORD_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Part of the key of everything that the cache keeps of trained nets and their examples.  It is raised when a field of a
 * record, a column of a log, or another kept number means something else than before, or is counted in another way: the
 * version and the binary interface stay the same then, and old numbers would be found beside new ones. */
#define DEQ_RECORDS_REVISION 5

/* Libraries for C hand records over as they are: with another row DEQ_LIBRARY_ABI is another number too. */
typedef int64_t deq_record_I64;
typedef int32_t deq_record_I32;
typedef double deq_record_F64;
typedef float deq_record_F32;
typedef enum deq_record_type { DEQ_RECORD_I64, DEQ_RECORD_I32, DEQ_RECORD_F64, DEQ_RECORD_F32 } deq_record_type;

typedef struct deq_record {
#define FIELD(name, type, empty, doc) deq_record_##type name;
#include "record.def"
#undef FIELD
} deq_record;

typedef struct deq_record_field {
    const char *name, *doc;
    deq_record_type type;
    size_t offset;
} deq_record_field;

/* Every field in the table's order, `count` of them. */
const deq_record_field *deq_record_fields(int *count);
/* Index of a field by name; -1: there is none. */
int deq_record_field_named(const char *name);
/* The field's value as a number. */
double deq_record_value(const deq_record *r, const deq_record_field *field);
/* Nothing measured yet of example `id`. */
deq_record deq_record_empty(int64_t id);
/* Predictions that are no class: an output is NaN; outputs are not one for each class, and a metric that is a share says
 * that the answer is not the label (where it is, the prediction is the label), or no such metric is there to say it. */
enum { DEQ_PREDICTION_NAN = -1, DEQ_PREDICTION_OTHER = -2, DEQ_PREDICTION_NONE = -3 };
/* The net has no prediction there, or another one than the label.  False where the target is no label, or nothing says
 * what is predicted. */
bool deq_record_wrong(const deq_record *r);
/* "right", "wrong", "undefined" (an output is NaN, which counts as wrong), "unlabelled". */
const char *deq_record_outcome(const deq_record *r);
json_t *deq_record_json(const deq_record *r); /* an object; NaN is null */
#endif
