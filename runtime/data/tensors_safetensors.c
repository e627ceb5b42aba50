/* tensors_safetensors.c - the safetensors format: u64 length, a JSON header of that many bytes, data.
 *
 * Every entry is {"dtype": "F32", "shape": [..], "data_offsets": [from, to]}, offsets from the end of the header; the
 * data follow each other without overlap and without holes. */
#include "output.h"
#include "tensors.h"
#include <stdlib.h>
#include <string.h>

#define HEADER_LIMIT 100000000

static deq_element element_of(const char *name) {
    for (int i = 0; i < DEQ_ELEMENTS; i++)
        if (!strcmp(deq_element_name((deq_element)i), name)) return (deq_element)i;
    return DEQ_ELEMENTS;
}

static bool refuse(const deq_tensors *file, const char *name, const char *why, deq_error *e) {
    return deq_fail(e, DEQ_DATA_FORMAT, "'%s': the header's entry '%s' %s", file->path, name, why);
}

/* A whole number that is not negative, or -1. */
static int64_t count_of(const json_t *v) { return json_is_integer(v) ? json_integer_value(v) : -1; }

static bool read_shape(const json_t *dims, deq_array *a) {
    if (!json_is_array(dims) || json_array_size(dims) > DEQ_ARRAY_RANK) return false;
    a->rank = (int)json_array_size(dims);
    for (int i = 0; i < a->rank; i++)
        if ((a->dim[i] = count_of(json_array_get(dims, (size_t)i))) < 0) return false;
    return true;
}

static bool add_tensor(deq_tensors *file, const char *name, const json_t *entry, int64_t data, deq_error *e) {
    const json_t *offsets = json_object_get(entry, "data_offsets"), *dims = json_object_get(entry, "shape");
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!dtype || !json_is_array(offsets) || json_array_size(offsets) != 2 || !json_is_array(dims))
        return refuse(file, name, "has not the members dtype, shape and data_offsets", e);
    int64_t from = count_of(json_array_get(offsets, 0)), to = count_of(json_array_get(offsets, 1));
    if (from < 0 || to < from) return refuse(file, name, "has data_offsets that are no range of bytes", e);
    if (to > file->size - data)
        return deq_fail(e, DEQ_DATA_FORMAT,
                        "'%s': the header's entry '%s' claims bytes %lld to %lld of the data, which are %lld bytes "
                        "long (from byte %lld of the file)",
                        file->path, name, (long long)from, (long long)to, (long long)(file->size - data),
                        (long long)data);
    deq_tensor *t = deq_tensors_add(file, name);
    if (!t) return deq_fail(e, DEQ_MEMORY, "out of memory opening '%s'", file->path);
    t->array.start = data + from;
    t->big_endian = false;
    if (!read_shape(dims, &t->array)) return refuse(file, name, "has a shape that is no list of at most 8 sizes", e);
    t->array.type = element_of(dtype);
    if (t->array.type == DEQ_ELEMENTS) { /* F8 and the like: known by their bytes only */
        size_t size = strlen(dtype) + 80;
        t->array.type = DEQ_U8;
        t->array.elements = to - from;
        if ((t->problem = malloc(size)))
            snprintf(t->problem, size, "has dtype '%.40s', which this version does not read", dtype);
        return t->problem || deq_fail(e, DEQ_MEMORY, "out of memory opening '%s'", file->path);
    }
    if (!deq_array_count(&t->array)) return refuse(file, name, "claims more elements than memory can address", e);
    int64_t bytes = t->array.elements * deq_element_bytes(t->array.type);
    if (bytes != to - from)
        return deq_fail(e, DEQ_DATA_FORMAT,
                        "'%s': the header's entry '%s' claims %lld elements of %s, which are %lld bytes, but its "
                        "data_offsets span %lld",
                        file->path, name, (long long)t->array.elements, dtype, (long long)bytes,
                        (long long)(to - from));
    return true;
}

static int by_start(const void *a, const void *b) {
    const deq_tensor *const *x = a, *const *y = b;
    if ((*x)->array.start != (*y)->array.start) return (*x)->array.start < (*y)->array.start ? -1 : 1;
    return ((*x)->array.elements > 0) - ((*y)->array.elements > 0); /* empty ones first */
}

/* One after the other from the first byte of the data to the last of the file. */
static bool check_layout(deq_tensors *file, int64_t data, deq_error *e) {
    const deq_tensor **order = malloc((size_t)(file->count + 1) * sizeof *order);
    if (!order) return deq_fail(e, DEQ_MEMORY, "out of memory opening '%s'", file->path);
    for (int i = 0; i < file->count; i++) order[i] = &file->list[i];
    qsort(order, (size_t)file->count, sizeof *order, by_start);
    int64_t at = data;
    bool ok = true;
    for (int i = 0; ok && i < file->count; i++) {
        const deq_tensor *t = order[i];
        if (t->array.start < at)
            ok = deq_fail(e, DEQ_DATA_FORMAT, "'%s': the data of '%s' (from byte %lld) overlap those of '%s'",
                          file->path, t->name, (long long)t->array.start, order[i - 1]->name);
        else if (t->array.start > at)
            ok = deq_fail(e, DEQ_DATA_FORMAT, "'%s': bytes %lld to %lld belong to no entry of the header", file->path,
                          (long long)at, (long long)t->array.start);
        at = t->array.start + t->array.elements * deq_element_bytes(t->array.type);
    }
    if (ok && at != file->size)
        ok = deq_fail(e, DEQ_DATA_FORMAT, "'%s': the data end at byte %lld by the header, the file at byte %lld",
                      file->path, (long long)at, (long long)file->size);
    free(order);
    return ok;
}

bool deq_safetensors_open(deq_tensors *file, deq_error *e) {
    uint64_t length = 0;
    for (int i = 0; i < 8; i++) length |= (uint64_t)file->bytes[i] << 8 * i;
    if (length > HEADER_LIMIT)
        return deq_fail(e, DEQ_DATA_FORMAT, "'%s': bytes 0 to 7 claim a header of %llu bytes; at most %d are read",
                        file->path, (unsigned long long)length, HEADER_LIMIT);
    if ((int64_t)length > file->size - 8)
        return deq_fail(e, DEQ_DATA_FORMAT,
                        "'%s' is truncated: bytes 0 to 7 claim a header of %llu bytes, %lld are there", file->path,
                        (unsigned long long)length, (long long)file->size - 8);
    json_error_t error;
    json_t *header = json_loadb((const char *)file->bytes + 8, length, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(header)) {
        deq_fail(e, DEQ_DATA_FORMAT, "'%s': the header is not the JSON object it should be (byte %d: %s)", file->path,
                 8 + error.position, error.text);
        json_decref(header);
        return false;
    }
    const char *name;
    json_t *entry;
    bool ok = true;
    json_object_foreach(header, name, entry) {
        if (strcmp(name, "__metadata__")) {
            if (!(ok = add_tensor(file, name, entry, 8 + (int64_t)length, e))) break;
        } else {
            file->metadata = json_incref(entry);
        }
    }
    json_decref(header);
    return ok && check_layout(file, 8 + (int64_t)length, e);
}

bool deq_safetensors_write(const char *path, const deq_tensor_out *list, int n, const char *settings, deq_error *e) {
    json_t *header = json_object();
    int64_t at = 0;
    for (int i = 0; i < n; i++) {
        const deq_array *a = &list[i].array;
        int64_t end = at + a->elements * deq_element_bytes(a->type);
        json_t *dims = json_array();
        for (int k = 0; k < a->rank; k++) json_array_append_new(dims, json_integer(a->dim[k]));
        json_object_set_new(header, list[i].name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", deq_element_name(a->type), "shape", dims,
                                      "data_offsets", (json_int_t)at, (json_int_t)end));
        at = end;
    }
    json_object_set_new(header, "__metadata__", json_pack("{s:s, s:s*}", "writer", DEQ_MADE_BY, "settings", settings));
    char *text = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    if (!text) return deq_fail(e, DEQ_MEMORY, "out of memory writing '%s'", path);
    deq_output out;
    uint64_t length = strlen(text), padded = (length + 7) & ~(uint64_t)7;
    bool ok = deq_output_open(&out, path, e);
    if (ok) {
        for (int i = 0; i < 8; i++) fputc((int)(padded >> 8 * i & 255), out.file);
        (void)!fwrite(text, 1, length, out.file);
        (void)!fwrite("        ", 1, padded - length, out.file);
        for (int i = 0; i < n; i++)
            (void)!fwrite(list[i].array.values, (size_t)deq_element_bytes(list[i].array.type),
                          (size_t)list[i].array.elements, out.file);
        ok = deq_output_commit(&out, e);
    }
    free(text);
    return ok;
}
