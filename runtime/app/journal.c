#include "journal.h"
#include "output.h"
#include <math.h>

json_t *deq_json_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }
double deq_json_double(const json_t *value) { return json_is_number(value) ? json_number_value(value) : NAN; }

deq_journal_row deq_journal_empty(void) {
    return (deq_journal_row){
#define X(name, doc) .name = NAN,
        DEQ_JOURNAL(X)
#undef X
    };
}

json_t *deq_journal_json(const deq_journal_row *row) {
    json_t *object = json_object();
#define X(name, doc) json_object_set_new(object, #name, deq_json_number(row->name));
    DEQ_JOURNAL(X)
#undef X
    return object;
}

deq_journal_row deq_journal_row_of(const json_t *object) {
    return (deq_journal_row){
#define X(name, doc) .name = deq_json_double(json_object_get(object, #name)),
        DEQ_JOURNAL(X)
#undef X
    };
}

bool deq_journal_write(const char *path, const json_t *rows, deq_error *e) {
    deq_output out;
    if (!deq_output_open(&out, path, e)) return false;
    const char *comma = "";
#define X(name, doc) fprintf(out.file, "%s" #name, comma), comma = ",";
    DEQ_JOURNAL(X)
#undef X
    fputc('\n', out.file);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        deq_journal_row row = deq_journal_row_of(json_array_get(rows, i));
        comma = "";
#define X(name, doc)                                                                                                   \
    fputs(comma, out.file), comma = ",";                                                                               \
    if (isfinite(row.name)) fprintf(out.file, "%.9g", row.name);
        DEQ_JOURNAL(X)
#undef X
        fputc('\n', out.file);
    }
    return deq_output_commit(&out, e);
}
