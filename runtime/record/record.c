/* record.c - the fields of a record by name, and records as JSON. */
#include "record.h"
#include <math.h>
#include <string.h>

static const deq_record_field fields[] = {
#define FIELD(name, type, empty, doc) {#name, doc, DEQ_RECORD_##type, offsetof(deq_record, name)},
#include "record.def"
#undef FIELD
};
#define FIELDS ((int)(sizeof fields / sizeof *fields))

const deq_record_field *deq_record_fields(int *count) {
    *count = FIELDS;
    return fields;
}

int deq_record_field_named(const char *name) {
    for (int i = 0; i < FIELDS; i++)
        if (!strcmp(fields[i].name, name)) return i;
    return -1;
}

double deq_record_value(const deq_record *r, const deq_record_field *field) {
    const char *at = (const char *)r + field->offset;
    switch (field->type) {
    case DEQ_RECORD_I64: return (double)*(const int64_t *)at;
    case DEQ_RECORD_I32: return (double)*(const int32_t *)at;
    case DEQ_RECORD_F64: return *(const double *)at;
    case DEQ_RECORD_F32: return (double)*(const float *)at;
    }
    return NAN;
}

deq_record deq_record_empty(int64_t id) {
    deq_record r;
    memset(&r, 0, sizeof r); /* padding too: records are compared and hashed as bytes */
    const int64_t number = id;
#define FIELD(name, type, empty, doc) r.name = (deq_record_##type)(empty);
#include "record.def"
#undef FIELD
    r.id = number;
    return r;
}

bool deq_record_wrong(const deq_record *r) {
    return r->label >= 0 && r->prediction != r->label && r->prediction != DEQ_PREDICTION_NONE;
}

const char *deq_record_outcome(const deq_record *r) {
    if (r->label < 0 || r->prediction == DEQ_PREDICTION_NONE) return "unlabelled";
    return r->prediction == DEQ_PREDICTION_NAN ? "undefined" : r->prediction == r->label ? "right" : "wrong";
}

json_t *deq_record_json(const deq_record *r) {
    json_t *o = json_object();
    for (int i = 0; i < FIELDS; i++) {
        double v = deq_record_value(r, &fields[i]);
        bool whole = fields[i].type == DEQ_RECORD_I64 || fields[i].type == DEQ_RECORD_I32;
        json_object_set_new(o, fields[i].name,
                            whole         ? json_integer((json_int_t)v)
                            : isfinite(v) ? json_real(v)
                                          : json_null());
    }
    return o;
}
