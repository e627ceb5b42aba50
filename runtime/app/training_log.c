#include "training_log.h"
#include "output.h"
#include "seal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

json_t *deq_json_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }
const char *deq_json_text(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

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

static bool is_column(const char *name) {
#define X(column, doc)                                                                                                 \
    if (!strcmp(name, #column)) return true;
    DEQ_LOG(X)
#undef X
    return false;
}

const char *deq_log_title(const char *metric) { return metric && !is_column(metric) ? metric : "metric"; }

const char *deq_log_metric(const json_t *row) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)row, name,
                        value) if (!is_column(name) && !json_is_string(value)) return name;
    return "metric";
}

deq_log_row deq_log_row_of(const json_t *object) {
    deq_log_row row = {
#define X(name, doc) .name = deq_json_double(json_object_get(object, #name)),
        DEQ_LOG(X)
#undef X
    };
    if (!json_object_get(object, "metric")) /* a row of a CSV file */
        row.metric = deq_json_double(json_object_get(object, deq_log_metric(object)));
    return row;
}

bool deq_log_write(const char *path, const json_t *rows, const char *metric, deq_error *e) {
    char *text = NULL, *sealed;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return deq_fail(e, DEQ_MEMORY, "out of memory for %s", path);
    const char *comma = "";
    const char *title = deq_log_title(metric);
#define X(name, doc) fprintf(out, "%s%s", comma, strcmp(#name, "metric") ? #name : title), comma = ",";
    DEQ_LOG(X)
#undef X
    fputc('\n', out);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        deq_log_row row = deq_log_row_of(json_array_get(rows, i));
        comma = "";
#define X(name, doc)                                                                                                   \
    fputs(comma, out), comma = ",";                                                                                    \
    if (isfinite(row.name)) fprintf(out, "%.9g", row.name);
        DEQ_LOG(X)
#undef X
        fputc('\n', out);
    }
    fclose(out);
    sealed = deq_seal_csv(text, path, &size);
    const bool ok =
        sealed ? deq_output_write(path, sealed, size, e) : deq_fail(e, DEQ_MEMORY, "out of memory for %s", path);
    free(sealed);
    free(text);
    return ok;
}
