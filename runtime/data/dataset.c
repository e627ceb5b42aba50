#define _GNU_SOURCE
#include "dataset.h"
#include "data_idx.h"
#include "output.h"
#include "own.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

typedef struct Split {
    const struct deq_dataset *owner;
    bool checked, loaded;
    int64_t count;
    deq_array inputs, targets;
    char fingerprint[33];
} Split;

struct deq_dataset {
    const deq_data_spec *spec;
    deq_store *store;
    deq_data_files files;
    Split split[2];
};

static const char *split_name(bool test) { return test ? "test" : "train"; }

deq_dataset *deq_dataset_new(const deq_data_spec *spec, deq_store *store, deq_error *e) {
    deq_dataset *d = calloc(1, sizeof *d);
    if (!d) {
        deq_fail(e, DEQ_MEMORY, "out of memory opening data '%s'", spec->name);
        return NULL;
    }
    d->spec = spec;
    d->store = store;
    d->split[0].owner = d->split[1].owner = d;
    if (deq_data_find(spec, &d->files, e)) return d;
    deq_dataset_free(d);
    return NULL;
}

static void keep_unpacked(deq_dataset *d, const deq_data_part *part, const deq_array *idx);

void deq_dataset_free(deq_dataset *d) {
    if (!d) return;
    for (int i = 0; i < 2; i++) {
        if (d->split[i].loaded && d->files.inputs[i].npaths) keep_unpacked(d, &d->files.inputs[i], &d->split[i].inputs);
        deq_array_free(&d->split[i].inputs);
        deq_array_free(&d->split[i].targets);
        deq_part_free(&d->files.inputs[i]);
        deq_part_free(&d->files.targets[i]);
    }
    free(d);
}

void deq_dataset_rebind(deq_dataset *d, const deq_data_spec *spec, deq_store *store) {
    d->spec = spec;
    d->store = store;
}

int64_t deq_dataset_count(const deq_dataset *d, bool test) { return d->split[test].count; }

/* One example's shape in the file against the declared one; axes of size 1 are not compared (28 x 28 is [1, 28, 28]).
 */
static bool same_shape(const deq_array *file, const deq_shape *declared) {
    int i = 1, k = 0;
    for (;;) {
        while (i < file->rank && file->dim[i] == 1) i++;
        while (k < declared->rank && declared->dim[k] == 1) k++;
        if (i == file->rank || k == declared->rank) return i == file->rank && k == declared->rank;
        if (file->dim[i++] != declared->dim[k++]) return false;
    }
}

static void print_example_shape(const deq_array *file, char *out, size_t size) {
    deq_shape s = {.rank = file->rank - 1};
    memcpy(s.dim, file->dim + 1, (size_t)s.rank * sizeof s.dim[0]);
    deq_shape_print(&s, out, size);
}

/* " (bytes 4 to 15)": where an IDX file says its dimensions; other formats say them as text. */
static const char *dimensions_at(const deq_data_part *part, int rank, char out[40]) {
    out[0] = 0;
    if (part->format == DEQ_FORMAT_IDX) snprintf(out, 40, " (bytes 4 to %d)", 3 + 4 * rank);
    return out;
}

/* CIFAR's records are rows of bytes: [3, 32, 32] is how they are meant. */
static bool same_elements(const deq_data_part *part, const deq_array *file, const deq_shape *declared) {
    return part->format == DEQ_FORMAT_RECORDS ? file->elements == file->dim[0] * declared->elements
                                              : same_shape(file, declared);
}

static bool check_inputs(const deq_dataset *d, bool test, const deq_array *idx, deq_error *e) {
    const deq_data_part *part = &d->files.inputs[test];
    if (same_elements(part, idx, &d->spec->input)) return true;
    char have[128], want[128], place[600], at[40];
    print_example_shape(idx, have, sizeof have);
    deq_shape_print(&d->spec->input, want, sizeof want);
    deq_part_place(part, place, sizeof place);
    return deq_fail(e, DEQ_DATA_SHAPE, "data '%s' (line %d) declares inputs %s, but %s says %s in its header%s",
                    d->spec->name, d->spec->line, want, place, have, dimensions_at(part, idx->rank, at));
}

static bool check_targets(const deq_dataset *d, bool test, const deq_array *idx, deq_error *e) {
    const deq_data_part *part = &d->files.targets[test];
    char have[128], want[128], place[600], at[40];
    print_example_shape(idx, have, sizeof have);
    deq_part_place(part, place, sizeof place);
    if (d->spec->target.labels) {
        deq_shape none = {.elements = 1};
        if (!same_elements(part, idx, &none) || !deq_element_whole(idx->type))
            return deq_fail(
                e, DEQ_DATA_SHAPE,
                "data '%s' (line %d) declares label[%lld], but %s holds %s of %s (%s) an example, not one integer",
                d->spec->name, d->spec->line, (long long)d->spec->target.labels, place,
                deq_element_whole(idx->type) ? "integers" : "reals", have, deq_element_name(idx->type));
        return true;
    }
    if (same_elements(part, idx, &d->spec->target.shape)) return true;
    deq_shape_print(&d->spec->target.shape, want, sizeof want);
    return deq_fail(e, DEQ_DATA_SHAPE, "data '%s' (line %d) declares targets %s, but %s says %s in its header%s",
                    d->spec->name, d->spec->line, want, place, have, dimensions_at(part, idx->rank, at));
}

bool deq_dataset_check(deq_dataset *d, bool test, deq_error *e) {
    Split *s = &d->split[test];
    if (s->checked) return true;
    const deq_data_part *x = &d->files.inputs[test], *y = &d->files.targets[test];
    if (!x->npaths || !y->npaths)
        return deq_fail(e, DEQ_DATA_MISSING, "data '%s' has no %s split: its %s%s%s missing", d->spec->name,
                        split_name(test), x->npaths ? "" : "inputs", x->npaths || y->npaths ? "" : " and ",
                        y->npaths ? (x->npaths ? "" : " are") : "targets are");
    deq_array inputs, targets;
    char x_place[600], y_place[600];
    deq_part_place(x, x_place, sizeof x_place);
    deq_part_place(y, y_place, sizeof y_place);
    if (!deq_part_header(x, &inputs, e) || !deq_part_header(y, &targets, e)) return false;
    if (!check_inputs(d, test, &inputs, e) || !check_targets(d, test, &targets, e)) return false;
    const char *at = x->format == DEQ_FORMAT_IDX ? " (byte 4)" : "";
    if (inputs.dim[0] != targets.dim[0])
        return deq_fail(e, DEQ_DATA_FORMAT, "data '%s': %s holds %lld examples%s but %s holds %lld targets%s",
                        d->spec->name, x_place, (long long)inputs.dim[0], at, y_place, (long long)targets.dim[0], at);
    if (!inputs.dim[0])
        return deq_fail(e, DEQ_DATA_EMPTY, "data '%s': %s holds no examples%s", d->spec->name, x_place, at);
    s->count = inputs.dim[0];
    s->checked = true;
    return true;
}

bool deq_dataset_slice(deq_dataset *d, const deq_slice *slice, int64_t *from, int64_t *to, deq_error *e) {
    if (!deq_dataset_check(d, slice->test, e)) return false;
    int64_t count = d->split[slice->test].count;
    *from = slice->from;
    *to = slice->to < 0 ? count : slice->to;
    if (*from < 0 || *to > count)
        return deq_fail(e, DEQ_DATA_EMPTY, "%s.%s[%lld..%lld] reaches past the end: there are %lld examples",
                        d->spec->name, split_name(slice->test), (long long)*from, (long long)*to, (long long)count);
    if (*from >= *to)
        return deq_fail(e, DEQ_DATA_EMPTY, "%s.%s[%lld..%lld] holds no examples", d->spec->name,
                        split_name(slice->test), (long long)*from, (long long)*to);
    return true;
}

/* --- what the store knows of a file --- */

#define UNPACKED_LEAST (1 << 20) /* bytes: smaller files are unpacked again each time */

static int64_t changed_at(const struct stat *st) {
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* Key of a file as it stands on the disk, without reading it. */
static bool file_key(const char *path, deq_key key) {
    struct stat st;
    char *full = realpath(path, NULL);
    bool ok = full && !stat(full, &st);
    if (ok) {
        json_t *what = json_pack("{s:s, s:I, s:I, s:I}", "path", full, "size", (json_int_t)st.st_size, "changed",
                                 (json_int_t)changed_at(&st), "inode", (json_int_t)st.st_ino);
        deq_store_key(what, key);
        json_decref(what);
    }
    free(full);
    return ok;
}

/* XXH3-128 of the file's bytes, from the store when it has been taken before. */
static bool file_sum(deq_dataset *d, const char *path, deq_key sum, deq_error *e) {
    deq_key key;
    bool keyed = d->store && file_key(path, key);
    json_t *known = keyed ? deq_store_get(d->store, "files", key) : NULL;
    const char *text = json_string_value(json_object_get(known, "sum"));
    bool ok = text && strlen(text) == 32;
    if (ok) memcpy(sum, text, 33);
    json_decref(known);
    if (ok) return true;
    size_t size = 0;
    char *bytes = deq_read_whole(path, SIZE_MAX / 2, &size);
    if (!bytes)
        return deq_fail(e, DEQ_DATA_MISSING, "data '%s': cannot read '%s': %s", d->spec->name, path, strerror(errno));
    XXH128_hash_t h = XXH3_128bits(bytes, size);
    snprintf(sum, sizeof(deq_key), "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
    free(bytes);
    if (keyed) {
        json_t *entry = json_pack("{s:s, s:s}", "path", path, "sum", sum);
        deq_store_put(d->store, "files", key, entry);
        json_decref(entry);
    }
    return true;
}

static bool add_sums(deq_dataset *d, const deq_data_part *part, json_t *list, deq_error *e) {
    for (int i = 0; i < part->npaths; i++) {
        deq_key sum;
        if (!file_sum(d, part->paths[i], sum, e)) return false;
        json_array_append_new(list, json_string(sum));
    }
    if (part->array) json_array_append_new(list, json_string(part->array));
    return true;
}

bool deq_dataset_fingerprint(deq_dataset *d, bool test, char out[33], deq_error *e) {
    Split *s = &d->split[test];
    if (!s->fingerprint[0]) {
        json_t *sums = json_array();
        bool ok =
            add_sums(d, &d->files.inputs[test], sums, e) &&
            (d->files.targets[test].format == DEQ_FORMAT_RECORDS || add_sums(d, &d->files.targets[test], sums, e));
        if (ok) deq_store_key(sums, s->fingerprint);
        json_decref(sums);
        if (!ok) return false;
    }
    memcpy(out, s->fingerprint, 33);
    return true;
}

static bool is_packed(const char *path) {
    size_t length = strlen(path);
    return length > 3 && !strcmp(path + length - 3, ".gz");
}

/* Where the unpacked copy of a packed file of bytes is or would be; NULL: there is none to be. */
static char *unpacked_path(deq_dataset *d, const char *path, deq_key sum, deq_error *e) {
    if (!d->store || !is_packed(path) || !file_sum(d, path, sum, e)) return NULL;
    return deq_store_path(d->store, "data", sum, "idx");
}

/* Of the values of bytes and of their shape. */
static void checksum_of(const deq_array *a, deq_key sum) {
    XXH64_hash_t shape = XXH3_64bits(a->dim, (size_t)a->rank * sizeof a->dim[0]);
    XXH128_hash_t h = XXH3_128bits_withSeed(a->values, (size_t)a->elements, shape);
    snprintf(sum, sizeof(deq_key), "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
}

/* The copy is used when its bytes are those that were written (their checksum is on record). */
static bool map_unpacked(deq_dataset *d, const char *path, deq_array *out) {
    deq_key sum, have;
    deq_error e = {0};
    struct stat st;
    char *copy = unpacked_path(d, path, sum, &e);
    json_t *record = copy ? deq_store_get(d->store, "data", sum) : NULL;
    const char *want = json_string_value(json_object_get(record, "checksum"));
    bool ok = want && deq_own_file(copy, &st) && deq_idx_map(copy, out, &e);
    if (ok) checksum_of(out, have);
    if (ok && strcmp(have, want)) {
        deq_array_free(out);
        ok = false;
    }
    if (want && !ok && !access(copy, F_OK)) deq_store_refuse(d->store, copy, "it is damaged or another user's");
    json_decref(record);
    free(copy);
    return ok;
}

/* Done when the data are let go, not when they are read: nobody waits for it then. */
static void keep_unpacked(deq_dataset *d, const deq_data_part *part, const deq_array *idx) {
    const char *path = part->paths[0];
    deq_key sum;
    deq_error e = {0};
    if (part->format != DEQ_FORMAT_IDX || !idx->values || idx->map || deq_element_bytes(idx->type) != 1 ||
        idx->elements < UNPACKED_LEAST)
        return;
    char *copy = unpacked_path(d, path, sum, &e);
    deq_output out;
    if (copy && deq_output_open(&out, copy, &e)) {
        uint8_t header[4 + 4 * DEQ_ARRAY_RANK] = {0, 0, deq_idx_code(idx->type), (uint8_t)idx->rank};
        for (int i = 0; i < idx->rank; i++)
            for (int b = 0; b < 4; b++) header[4 + 4 * i + b] = (uint8_t)(idx->dim[i] >> (24 - 8 * b));
        (void)!fwrite(header, 1, (size_t)(4 + 4 * idx->rank), out.file);
        (void)!fwrite(idx->values, 1, (size_t)idx->elements, out.file);
        if (deq_output_commit(&out, &e)) {
            deq_key values;
            checksum_of(idx, values);
            json_t *record = json_pack("{s:s}", "checksum", values);
            deq_store_put(d->store, "data", sum, record);
            json_decref(record);
        }
    }
    free(copy);
}

static bool read_part(deq_dataset *d, const deq_data_part *part, deq_array *out, deq_error *e) {
    return (part->format == DEQ_FORMAT_IDX && map_unpacked(d, part->paths[0], out)) || deq_part_read(part, out, e);
}

static bool check_finite(const deq_dataset *d, const deq_array *a, const deq_data_part *part, deq_error *e) {
    int64_t each = a->elements / a->dim[0];
    for (int64_t i = 0; !deq_element_whole(a->type) && i < a->elements; i++) {
        double v = deq_array_plain(a, i);
        if (isfinite(v)) continue;
        char place[600];
        deq_part_place(part, place, sizeof place);
        return deq_fail(e, DEQ_DATA_VALUE, "data '%s': example %lld of %s is %s at element %lld (byte %lld)",
                        d->spec->name, (long long)(i / each), place, isnan(v) ? "NaN" : "infinite",
                        (long long)(i % each), (long long)deq_array_offset(a, i));
    }
    return true;
}

static bool check_labels(const deq_dataset *d, const deq_array *a, const deq_data_part *part, deq_error *e) {
    int64_t bound = d->spec->target.labels;
    for (int64_t i = 0; bound && i < a->elements; i++) {
        double v = deq_array_plain(a, i);
        if (v >= 0 && v < (double)bound) continue;
        char place[600];
        deq_part_place(part, place, sizeof place);
        return deq_fail(
            e, DEQ_DATA_VALUE,
            "data '%s': example %lld of %s has label %.0f (byte %lld), declared label[%lld] allows 0 to %lld",
            d->spec->name, (long long)i, place, v, (long long)deq_array_offset(a, i), (long long)bound,
            (long long)(bound - 1));
    }
    return true;
}

bool deq_dataset_load(deq_dataset *d, bool test, deq_error *e) {
    Split *s = &d->split[test];
    if (s->loaded) return true;
    if (!deq_dataset_check(d, test, e)) return false;
    const deq_data_part *x = &d->files.inputs[test], *y = &d->files.targets[test];
    deq_array_free(&s->inputs); /* of a load that failed */
    deq_array_free(&s->targets);
    if (!read_part(d, x, &s->inputs, e) || !read_part(d, y, &s->targets, e)) return false;
    if (s->inputs.dim[0] != s->count || s->targets.dim[0] != s->count) {
        char place[600];
        deq_part_place(x, place, sizeof place);
        return deq_fail(e, DEQ_DATA_FORMAT, "data '%s': %s or its targets changed while they were read", d->spec->name,
                        place);
    }
    s->loaded =
        check_finite(d, &s->inputs, x, e) && check_finite(d, &s->targets, y, e) && check_labels(d, &s->targets, y, e);
    return s->loaded;
}

/* One row: n elements from `first`, then zeros up to the row's padded size. */
static void write_row(const deq_array *a, int64_t first, int64_t n, bool label, int bits, void *row,
                      int64_t row_bytes) {
    bool bytes = a->type == DEQ_U8 && !label;
    if (bits == 32) {
        float *out = row;
        if (bytes) {
            const uint8_t *in = (const uint8_t *)a->values + first;
            for (int64_t i = 0; i < n; i++) out[i] = (float)in[i] / 255.0f;
        } else if (a->type == DEQ_F32) {
            memcpy(out, (const float *)a->values + first, (size_t)n * sizeof *out);
        } else {
            for (int64_t i = 0; i < n; i++) out[i] = (float)deq_array_plain(a, first + i);
        }
    } else {
        double *out = row;
        for (int64_t i = 0; i < n; i++) out[i] = bytes ? deq_array_value(a, first + i) : deq_array_plain(a, first + i);
    }
    int64_t used = n * (bits / 8);
    if (row_bytes > used) memset((char *)row + used, 0, (size_t)(row_bytes - used));
}

static void gather(void *context, const int64_t *index, int64_t n, int real_bits, void *x, int64_t input_bytes, void *y,
                   int64_t target_bytes) {
    const Split *s = context;
    const deq_data_spec *spec = s->owner->spec;
    bool label = spec->target.labels > 0;
    int64_t inputs = spec->input.elements, targets = label ? 1 : spec->target.shape.elements;
    for (int64_t i = 0; i < n; i++) {
        write_row(&s->inputs, index[i] * inputs, inputs, false, real_bits, (char *)x + i * input_bytes, input_bytes);
        if (y)
            write_row(&s->targets, index[i] * targets, targets, label, real_bits, (char *)y + i * target_bytes,
                      target_bytes);
    }
}

deq_source deq_dataset_source(deq_dataset *d, bool test) { return (deq_source){&d->split[test], gather}; }
