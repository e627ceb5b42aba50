#include "array.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const struct {
    const char *name;
    int64_t bytes;
    bool whole;
} elements[] = {
#define ELEMENT(id, bytes, whole, safetensors, numpy, idx) {safetensors, bytes, whole},
#include "elements.def"
#undef ELEMENT
};

int64_t deq_element_bytes(deq_element type) { return elements[type].bytes; }
bool deq_element_whole(deq_element type) { return elements[type].whole; }
const char *deq_element_name(deq_element type) { return elements[type].name; }

/* IEEE binary16 and the upper half of binary32. */
static double half(uint16_t bits) {
    int sign = bits >> 15 ? -1 : 1, exponent = bits >> 10 & 31, fraction = bits & 1023;
    if (exponent == 31) return fraction ? NAN : sign * INFINITY;
    return exponent ? sign * ldexp(1024 + fraction, exponent - 25) : sign * ldexp(fraction, -24);
}

static double brain(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return (double)value;
}

double deq_array_plain(const deq_array *a, int64_t i) {
    switch (a->type) {
    case DEQ_U8:
    case DEQ_BOOL: return ((const uint8_t *)a->values)[i];
    case DEQ_I8: return ((const int8_t *)a->values)[i];
    case DEQ_U16: return ((const uint16_t *)a->values)[i];
    case DEQ_I16: return ((const int16_t *)a->values)[i];
    case DEQ_U32: return ((const uint32_t *)a->values)[i];
    case DEQ_I32: return ((const int32_t *)a->values)[i];
    case DEQ_U64: return (double)((const uint64_t *)a->values)[i];
    case DEQ_I64: return (double)((const int64_t *)a->values)[i];
    case DEQ_F16: return half(((const uint16_t *)a->values)[i]);
    case DEQ_BF16: return brain(((const uint16_t *)a->values)[i]);
    case DEQ_F32: return (double)((const float *)a->values)[i];
    case DEQ_F64: return ((const double *)a->values)[i];
    case DEQ_ELEMENTS: break;
    }
    return NAN;
}

double deq_array_value(const deq_array *a, int64_t i) {
    return a->type == DEQ_U8 ? ((const uint8_t *)a->values)[i] / 255.0 : deq_array_plain(a, i);
}

int64_t deq_array_offset(const deq_array *a, int64_t i) { return a->start + i * deq_element_bytes(a->type); }

bool deq_array_count(deq_array *a) {
    a->elements = 1;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] < 0 || __builtin_mul_overflow(a->elements, a->dim[i], &a->elements) ||
            a->elements > INT64_MAX / 16)
            return false;
    return true;
}

void deq_swap_bytes(void *values, int64_t count, int64_t size) {
    for (int64_t i = 0; i < count; i++) {
        uint8_t *b = (uint8_t *)values + i * size;
        for (int64_t lo = 0, hi = size - 1; lo < hi; lo++, hi--) {
            uint8_t t = b[lo];
            b[lo] = b[hi];
            b[hi] = t;
        }
    }
}

bool deq_array_allocate(deq_array *a, const char *path, deq_error *e) {
    int64_t bytes = a->elements * deq_element_bytes(a->type);
    a->values = malloc(bytes ? (size_t)bytes : 1);
    return a->values || deq_fail(e, DEQ_MEMORY, "out of memory for the %lld bytes of '%s'", (long long)bytes, path);
}

void deq_array_free(deq_array *a) {
    if (a->map)
        munmap(a->map, (size_t)a->map_bytes);
    else
        free(a->values);
    a->values = a->map = NULL;
}

void deq_dims_print(const int64_t *dim, int rank, char *out, size_t size) {
    size_t at = 0;
    for (int i = 0; i < rank && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%lld", i ? ", " : "[", (long long)dim[i]);
    if (at < size) snprintf(out + at, size - at, rank ? "]" : "[]");
}
