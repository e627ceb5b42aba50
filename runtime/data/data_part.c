#include "data_part.h"
#include "data_idx.h"
#include "tensors.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void deq_part_place(const deq_data_part *part, char *out, size_t size) {
    const char *first = part->npaths ? part->paths[0] : "";
    if (part->format == DEQ_FORMAT_ARRAY && part->array)
        snprintf(out, size, "'%s' (array '%s')", first, part->array);
    else if (part->npaths > 1)
        snprintf(out, size, "'%s' and %d more file%s", first, part->npaths - 1, part->npaths > 2 ? "s" : "");
    else
        snprintf(out, size, "'%s'", first);
}

void deq_part_free(deq_data_part *part) {
    for (int i = 0; i < part->npaths; i++) free(part->paths[i]);
    free(part->array);
    *part = (deq_data_part){0};
}

/* --- arrays --- */

static bool no_array(const deq_tensors *file, const char *wanted, deq_error *e) {
    deq_error_list names = {0};
    for (int i = 0; i < file->count; i++) deq_error_add(&names, "'%s'", file->list[i].name);
    const char *have = file->count ? deq_error_text(&names) : "none";
    if (wanted)
        return deq_fail(e, DEQ_DATA_MISSING, "'%s' holds no array '%s'; its arrays: %.2000s", file->path, wanted, have);
    return deq_fail(e, DEQ_DATA_MISSING, "'%s' holds several arrays, or none; which is meant? its arrays: %.2000s",
                    file->path, have);
}

static bool read_array(const deq_data_part *part, bool values, deq_array *out, deq_error *e) {
    deq_tensors file;
    if (!deq_tensors_open(part->paths[0], &file, e)) return false;
    const deq_tensor *t = part->array ? deq_tensors_find(&file, part->array) : file.count == 1 ? &file.list[0] : NULL;
    bool ok = t != NULL || no_array(&file, part->array, e);
    if (ok && (values || t->problem)) {
        ok = deq_tensors_read(&file, t, out, e);
    } else if (ok) {
        *out = t->array;
    }
    char place[600];
    deq_part_place(part, place, sizeof place);
    if (ok && !out->rank) {
        deq_array_free(out);
        ok = deq_fail(e, DEQ_DATA_FORMAT, "%s is a single number: the first axis of data counts examples", place);
    }
    deq_tensors_close(&file);
    return ok;
}

/* --- records --- */

/* Examples in one file; -1 with the error. */
static int64_t count_records(const deq_data_part *part, const char *path, deq_error *e) {
    struct stat st;
    if (stat(path, &st) || !S_ISREG(st.st_mode)) {
        deq_fail(e, DEQ_DATA_MISSING, "cannot read '%s': %s", path, S_ISREG(st.st_mode) ? strerror(errno) : "no file");
        return -1;
    }
    int64_t over = st.st_size % part->record;
    if (!over) return st.st_size / part->record;
    deq_fail(e, DEQ_DATA_FORMAT,
             "'%s' is cut short or no file of records of %d bytes: record %lld begins at byte %lld and ends after %lld "
             "bytes",
             path, part->record, (long long)(st.st_size / part->record), (long long)(st.st_size - over),
             (long long)over);
    return -1;
}

static bool records_header(const deq_data_part *part, deq_array *out, deq_error *e) {
    *out = (deq_array){.type = DEQ_U8, .rank = part->length > 1 ? 2 : 1, .start = part->offset};
    for (int i = 0; i < part->npaths; i++) {
        int64_t n = count_records(part, part->paths[i], e);
        if (n < 0) return false;
        out->dim[0] += n;
    }
    out->dim[1] = part->length;
    out->elements = out->dim[0] * part->length;
    return true;
}

/* Copies this part of a file's records to `to`; the records read, or -1. */
static int64_t read_records(const deq_data_part *part, const char *path, uint8_t *to, int64_t room, deq_error *e) {
    uint8_t record[8192];
    FILE *f = fopen(path, "rb");
    if (!f) return deq_fail(e, DEQ_DATA_MISSING, "cannot read '%s': %s", path, strerror(errno)), -1;
    int64_t n = 0;
    while (n < room && fread(record, 1, (size_t)part->record, f) == (size_t)part->record) {
        const uint8_t *from = record + part->offset;
        if (part->classes && *from >= part->classes) {
            deq_fail(e, DEQ_DATA_VALUE, "'%s': record %lld has label %d (byte %lld), labels are 0 to %d", path,
                     (long long)n, *from, (long long)(n * part->record + part->offset), part->classes - 1);
            n = -1;
            break;
        }
        memcpy(to + n++ * part->length, from, (size_t)part->length);
    }
    fclose(f);
    return n;
}

static bool records_read(const deq_data_part *part, deq_array *out, deq_error *e) {
    char place[600];
    deq_part_place(part, place, sizeof place);
    if (!records_header(part, out, e) || !deq_array_allocate(out, place, e)) return false;
    int64_t at = 0;
    bool ok = true;
    for (int i = 0; ok && i < part->npaths; i++) {
        int64_t n = read_records(part, part->paths[i], (uint8_t *)out->values + at * part->length, out->dim[0] - at, e);
        ok = n >= 0;
        at += n;
    }
    if (ok && at != out->dim[0]) ok = deq_fail(e, DEQ_DATA_FORMAT, "%s changed while it was read", place);
    if (!ok) deq_array_free(out);
    return ok;
}

bool deq_part_header(const deq_data_part *part, deq_array *out, deq_error *e) {
    *out = (deq_array){0};
    switch (part->format) {
    case DEQ_FORMAT_IDX: return deq_idx_header(part->paths[0], out, e);
    case DEQ_FORMAT_ARRAY: return read_array(part, false, out, e);
    case DEQ_FORMAT_RECORDS: return records_header(part, out, e);
    }
    return false;
}

bool deq_part_read(const deq_data_part *part, deq_array *out, deq_error *e) {
    *out = (deq_array){0};
    switch (part->format) {
    case DEQ_FORMAT_IDX: return deq_idx_read(part->paths[0], out, e);
    case DEQ_FORMAT_ARRAY: return read_array(part, true, out, e);
    case DEQ_FORMAT_RECORDS: return records_read(part, out, e);
    }
    return false;
}
