/* journal.c - see journal.h: rows of records. */
#include "journal.h"
#include "rows.h"

static json_t *fields(void) {
    int count;
    const deq_record_field *f = deq_record_fields(&count);
    static const char *const types[] = {"i64", "i32", "f64", "f32"};
    json_t *list = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(list, json_pack("[s,s]", f[i].name, types[f[i].type]));
    return list;
}

static deq_rows_kind kind_of(const json_t *list) {
    return (deq_rows_kind){.what = "journal", .bytes = sizeof(deq_record), .fields = list, .kept = true, .waits = true};
}

deq_journal *deq_journal_open(const char *path, const char *key, const json_t *about, deq_error *e) {
    json_t *list = fields();
    const deq_rows_kind kind = kind_of(list);
    deq_journal *j = deq_rows_open(path, &kind, key, about, e);
    json_decref(list);
    return j;
}

deq_journal *deq_journal_read(const char *path, deq_error *e) {
    json_t *list = fields();
    const deq_rows_kind kind = kind_of(list);
    deq_journal *j = deq_rows_read(path, &kind, e);
    json_decref(list);
    return j;
}

deq_journal *deq_journal_read_memory(const char *name, const void *bytes, size_t size, deq_error *e) {
    json_t *list = fields();
    const deq_rows_kind kind = kind_of(list);
    deq_journal *j = deq_rows_read_memory(name, &kind, bytes, size, e);
    json_decref(list);
    return j;
}

void deq_journal_close(deq_journal *j) { deq_rows_close(j); }

static const char *text(const deq_journal *j, const char *member) {
    return json_string_value(json_object_get(deq_rows_header(j), member));
}

const json_t *deq_journal_about(const deq_journal *j) { return json_object_get(deq_rows_header(j), "about"); }
const char *deq_journal_key(const deq_journal *j) { return text(j, "key"); }
const char *deq_journal_version(const deq_journal *j) { return text(j, "version"); }
int64_t deq_journal_count(const deq_journal *j) { return deq_rows_count(j); }
int64_t deq_journal_damaged(const deq_journal *j) { return deq_rows_damaged(j); }
const deq_record *deq_journal_find(const deq_journal *j, int64_t id) { return deq_rows_find(j, id); }
const deq_record *deq_journal_at(deq_journal *j, int64_t i) { return deq_rows_find(j, deq_rows_id(j, i)); }

bool deq_journal_append(deq_journal *j, const deq_record *records, int64_t n, deq_error *e) {
    return deq_rows_append(j, records, n, e);
}
