/* manifest_reader.c - see manifest_reader.h. */
#include "manifest_reader.h"
#include <float.h>
#include <math.h>

void *manifest_make(manifest_reader *r, size_t count, size_t size) {
    void *p = deq_manifest_alloc(r->m, count * size);
    if (!p) deq_fail(r->e, DEQ_MEMORY, "out of memory reading the manifest");
    return p;
}

void manifest_missing(manifest_reader *r, const char *key, const char *kind) {
    deq_fail(r->e, DEQ_MODULE, "manifest: %s has no %s '%s'", r->where, kind, key);
}

const char *manifest_text(manifest_reader *r, const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    if (!s) manifest_missing(r, key, "text");
    return s ? s : "";
}

const char *manifest_text_or_null(const json_t *o, const char *key) {
    return json_string_value(json_object_get(o, key));
}

int64_t manifest_integer(manifest_reader *r, const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    if (!json_is_integer(v)) manifest_missing(r, key, "integer");
    return json_integer_value(v);
}

int64_t manifest_integer_or(const json_t *o, const char *key, int64_t other) {
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? json_integer_value(v) : other;
}

const json_t *manifest_list(manifest_reader *r, const json_t *o, const char *key, int *count) {
    const json_t *v = json_object_get(o, key);
    if (!json_is_array(v)) manifest_missing(r, key, "list");
    *count = (int)json_array_size(v);
    return v;
}

const json_t *manifest_optional_list(const json_t *o, const char *key, int *count) {
    const json_t *v = json_object_get(o, key);
    *count = json_is_array(v) ? (int)json_array_size(v) : 0;
    return v;
}

const char **manifest_texts(manifest_reader *r, const json_t *o, const char *key, int *count) {
    const json_t *v = manifest_list(r, o, key, count);
    const char **out = manifest_make(r, (size_t)*count, sizeof *out);
    for (int i = 0; out && i < *count; i++)
        if (!(out[i] = json_string_value(json_array_get(v, (size_t)i)))) {
            manifest_missing(r, key, "list of texts");
            out[i] = "";
        }
    return out;
}

deq_shape manifest_shape(manifest_reader *r, const json_t *v, const char *key) {
    deq_shape s = {.elements = 1};
    if (!json_is_array(v) || json_array_size(v) > DEQ_RANK) {
        manifest_missing(r, key, "shape");
        return s;
    }
    s.rank = (int)json_array_size(v);
    for (int i = 0; i < s.rank; i++) {
        s.dim[i] = json_integer_value(json_array_get(v, (size_t)i));
        if (s.dim[i] < 1 || __builtin_mul_overflow(s.elements, s.dim[i], &s.elements)) {
            manifest_missing(r, key, "positive shape");
            s.elements = 1;
            break;
        }
    }
    return s;
}

deq_target manifest_target(manifest_reader *r, const json_t *o) {
    const json_t *v = json_object_get(o, "target"), *label = json_object_get(v, "label");
    if (json_is_integer(label) && json_integer_value(label) > 0)
        return (deq_target){.labels = json_integer_value(label), .shape = {.elements = 1}};
    return (deq_target){.shape = manifest_shape(r, json_object_get(v, "shape"), "target")};
}

/* JSON has no infinity: the largest number stands for it. */
static double number(const json_t *v) {
    const double x = json_number_value(v);
    return fabs(x) == DBL_MAX ? 2 * x : x;
}

static const double *choices(manifest_reader *r, const json_t *o, int *count) {
    const json_t *v = manifest_optional_list(o, "choices", count);
    double *out = manifest_make(r, (size_t)*count, sizeof *out);
    for (int i = 0; out && i < *count; i++) {
        if (!json_is_number(json_array_get(v, (size_t)i))) manifest_missing(r, "choices", "list of numbers");
        out[i] = number(json_array_get(v, (size_t)i));
    }
    return out;
}

deq_named *manifest_scalars(manifest_reader *r, const json_t *o, int *count) {
    const json_t *v = manifest_optional_list(o, "scalars", count);
    if (*count > DEQ_MOST_SCALARS) {
        deq_fail(r->e, DEQ_MODULE, "manifest: %s has more than %d settings", r->where, DEQ_MOST_SCALARS);
        *count = 0;
    }
    deq_named *out = manifest_make(r, (size_t)*count, sizeof *out);
    for (int i = 0; out && i < *count; i++) {
        const json_t *s = json_array_get(v, (size_t)i), *value = json_object_get(s, "value");
        out[i] = (deq_named){.name = manifest_text(r, s, "name"),
                             .value = number(value),
                             .whole = json_is_true(json_object_get(s, "whole")),
                             .count = json_is_true(json_object_get(s, "count")),
                             .computed = json_is_true(json_object_get(s, "computed")),
                             .low = -INFINITY,
                             .high = INFINITY};
        const json_t *low = json_object_get(s, "low"), *high = json_object_get(s, "high");
        if (json_is_number(low)) out[i].low = json_number_value(low);
        if (json_is_number(high)) out[i].high = json_number_value(high);
        out[i].low_by = json_string_value(json_object_get(s, "low_by"));
        out[i].high_by = json_string_value(json_object_get(s, "high_by"));
        if (!json_is_number(value)) manifest_missing(r, "value", "number");
        out[i].choices = choices(r, s, &out[i].nchoices);
    }
    return out;
}

deq_override *manifest_overrides(manifest_reader *r, const json_t *o, const char *key, int *count) {
    const json_t *v = manifest_optional_list(o, key, count);
    deq_override *out = manifest_make(r, (size_t)*count, sizeof *out);
    for (int i = 0; out && i < *count; i++) {
        const json_t *pair = json_array_get(v, (size_t)i);
        out[i].path = json_string_value(json_array_get(pair, 0));
        out[i].value = json_string_value(json_array_get(pair, 1));
        if (!out[i].path || !out[i].value) manifest_missing(r, key, "list of pairs");
    }
    return out;
}

bool manifest_flag(const json_t *o, const char *key) { return json_is_true(json_object_get(o, key)); }
