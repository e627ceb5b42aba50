/* tensors_npy.c - headers of the NPY format: \x93NUMPY, version, header length, a Python dict as text, data.
 *
 * The dict has exactly three keys: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }. */
#define _GNU_SOURCE
#include "tensors.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LIMIT (1 << 20) /* of version 2 and 3; 1 has 16 bits for it */

static char *__attribute__((format(printf, 1, 2))) because(const char *format, ...) {
    va_list ap;
    char *text = NULL;
    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0) text = strdup("is damaged");
    va_end(ap);
    return text;
}

int64_t deq_npy_header_bytes(const uint8_t *b, int64_t size) {
    if (size < 10 || memcmp(b, "\x93NUMPY", 6)) return -1;
    if (b[6] == 1) return 10 + (b[8] | b[9] << 8);
    if ((b[6] != 2 && b[6] != 3) || size < 12) return -1;
    int64_t length = (int64_t)b[8] | (int64_t)b[9] << 8 | (int64_t)b[10] << 16 | (int64_t)b[11] << 24;
    return length > HEADER_LIMIT ? -1 : 12 + length;
}

/* What is left of the dict's text. */
typedef struct Text {
    const char *at, *end;
} Text;

static void skip_space(Text *t) {
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t')) t->at++;
}

static bool take(Text *t, const char *word) {
    size_t n = strlen(word);
    skip_space(t);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n)) return false;
    t->at += n;
    return true;
}

/* A string in either kind of quotes, without escapes. */
static bool take_string(Text *t, char *out, size_t size) {
    skip_space(t);
    if (t->at == t->end || (*t->at != '\'' && *t->at != '"')) return false;
    char quote = *t->at++;
    size_t n = 0;
    while (t->at < t->end && *t->at != quote && n + 1 < size && *t->at != '\\') out[n++] = *t->at++;
    out[n] = 0;
    return t->at < t->end && *t->at++ == quote;
}

static bool take_shape(Text *t, deq_array *a) {
    if (!take(t, "(")) return false;
    a->rank = 0;
    while (!take(t, ")")) {
        int64_t dim = 0;
        const char *digits = (skip_space(t), t->at);
        while (t->at < t->end && *t->at >= '0' && *t->at <= '9')
            if (__builtin_mul_overflow(dim, 10, &dim) || __builtin_add_overflow(dim, *t->at++ - '0', &dim))
                return false;
        if (t->at == digits || a->rank == DEQ_ARRAY_RANK) return false;
        (void)take(t, "L"); /* as Python 2 wrote it */
        a->dim[a->rank++] = dim;
        if (!take(t, ",")) return take(t, ")");
    }
    return true;
}

static const char *const kinds[] = {
#define ELEMENT(id, bytes, whole, safetensors, numpy, idx) numpy,
#include "elements.def"
#undef ELEMENT
};

static deq_element element_of(const char *kind) {
    for (int i = 0; i < DEQ_ELEMENTS; i++)
        if (*kinds[i] && !strcmp(kinds[i], kind)) return (deq_element)i;
    return DEQ_ELEMENTS;
}

static char *set_dtype(const char *descr, deq_tensor *t) {
    const char *kind = strchr("<>|=", descr[0]) && descr[0] ? descr + 1 : descr;
    if (kind[0] == 'O')
        return because("holds Python objects (dtype '%s'): they are a pickle, and reading one can run code in it, so "
                       "it is refused",
                       descr);
    t->array.type = element_of(kind);
    t->big_endian = descr[0] == '>' || (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ && descr[0] != '<');
    if (t->array.type == DEQ_ELEMENTS)
        return because("has dtype '%s', which is none of the integers and floating-point numbers that are read", descr);
    return NULL;
}

char *deq_npy_header(const uint8_t *bytes, int64_t size, int64_t total, deq_tensor *t) {
    int64_t header = deq_npy_header_bytes(bytes, size);
    if (header < 0)
        return size >= 8 && !memcmp(bytes, "\x93NUMPY", 6)
                   ? because("has a NPY header of version %d.%d, or one too long to be meant (byte 6)", bytes[6],
                             bytes[7])
                   : because("does not begin with a NPY header (byte 0)");
    if (header > size)
        return because("is truncated: its header ends at byte %lld, the file at byte %lld", (long long)header,
                       (long long)size);
    int prefix = bytes[6] == 1 ? 10 : 12;
    Text text = {(const char *)bytes + prefix, (const char *)bytes + header};
    char descr[64] = "", key[32];
    int seen = 0;
    bool good = take(&text, "{");
    while (good && !take(&text, "}")) {
        good = take_string(&text, key, sizeof key) && take(&text, ":");
        if (good && !strcmp(key, "descr")) {
            if (take(&text, "["))
                return because("has a structured dtype (byte %d of its header): one number an element is read", prefix);
            good = take_string(&text, descr, sizeof descr);
            seen |= 1;
        } else if (good && !strcmp(key, "fortran_order")) {
            t->fortran = take(&text, "True");
            good = t->fortran || take(&text, "False");
            seen |= 2;
        } else if (good && !strcmp(key, "shape")) {
            good = take_shape(&text, &t->array);
            seen |= 4;
        } else {
            good = false;
        }
        if (good && !take(&text, ",")) {
            good = take(&text, "}");
            break;
        }
    }
    if (!good || seen != 7)
        return because("has a damaged NPY header: byte %lld is not what {'descr', 'fortran_order', 'shape'} needs",
                       (long long)(text.at - (const char *)bytes));
    char *problem = set_dtype(descr, t);
    if (problem) return problem;
    t->array.start = header;
    if (!deq_array_count(&t->array)) return because("claims more elements than memory can address");
    int64_t want = t->array.elements * deq_element_bytes(t->array.type);
    if (want > total - header)
        return because("is truncated: its header promises %lld bytes of data from byte %lld, there are %lld",
                       (long long)want, (long long)header, (long long)(total - header));
    if (want < total - header)
        return because("is longer than its header says: data should end at byte %lld", (long long)(header + want));
    return NULL;
}

char *deq_npy_header_text(const deq_array *a, size_t *size) {
    char shape[200];
    size_t at = 0;
    for (int i = 0; i < a->rank; i++)
        at += (size_t)snprintf(shape + at, sizeof shape - at, "%s%lld", i ? ", " : "", (long long)a->dim[i]);
    shape[at] = 0;
    char *text = NULL;
    int n = asprintf(&text, "{'descr': '<%s', 'fortran_order': False, 'shape': (%s%s), }", kinds[a->type], shape,
                     a->rank == 1 ? "," : "");
    if (n < 0) return NULL;
    size_t total = (10 + (size_t)n + 1 + 63) / 64 * 64;
    char *out = malloc(total);
    if (out) {
        memset(out, ' ', total);
        memcpy(out, "\x93NUMPY\1\0", 8);
        out[8] = (char)((total - 10) & 255);
        out[9] = (char)((total - 10) >> 8);
        memcpy(out + 10, text, (size_t)n);
        out[total - 1] = '\n';
    }
    free(text);
    *size = total;
    return out;
}
