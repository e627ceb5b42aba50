#include "training_log.h"
#include "output.h"
#include <math.h>

json_t *deq_json_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }
double deq_json_double(const json_t *value) { return json_is_number(value) ? json_number_value(value) : NAN; }

deq_log_row deq_log_empty(void) {
    return (deq_log_row){
#define X(name, doc) .name = NAN,
        DEQ_LOG(X)
#undef X
    };
}

json_t *deq_log_json(const deq_log_row *row) {
    json_t *object = json_object();
#define X(name, doc) json_object_set_new(object, #name, deq_json_number(row->name));
    DEQ_LOG(X)
#undef X
    return object;
}

deq_log_row deq_log_row_of(const json_t *object) {
    return (deq_log_row){
#define X(name, doc) .name = deq_json_double(json_object_get(object, #name)),
        DEQ_LOG(X)
#undef X
    };
}

bool deq_log_write(const char *path, const json_t *rows, deq_error *e) {
    deq_output out;
    if (!deq_output_open(&out, path, e)) return false;
    const char *comma = "";
#define X(name, doc) fprintf(out.file, "%s" #name, comma), comma = ",";
    DEQ_LOG(X)
#undef X
    fputc('\n', out.file);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        deq_log_row row = deq_log_row_of(json_array_get(rows, i));
        comma = "";
#define X(name, doc)                                                                                                   \
    fputs(comma, out.file), comma = ",";                                                                               \
    if (isfinite(row.name)) fprintf(out.file, "%.9g", row.name);
        DEQ_LOG(X)
#undef X
        fputc('\n', out.file);
    }
    return deq_output_commit(&out, e);
}
