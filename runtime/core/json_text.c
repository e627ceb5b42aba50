#define _GNU_SOURCE
#include "json_text.h"
#include <stdlib.h>
#include <string.h>

/* Bytes of the letter that begins there; 0: it is none of UTF-8. */
static size_t letter(const char *at) {
    const unsigned char first = (unsigned char)*at;
    const size_t n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (strnlen(at, n) < n) return 0;
    json_t *one = json_stringn(at, n); /* which checks it */
    json_decref(one);
    return one ? n : 0;
}

json_t *deq_json_string(const char *text) {
    json_t *out = text ? json_string(text) : NULL;
    char *clean = NULL;
    size_t size;
    FILE *f = text && !out ? open_memstream(&clean, &size) : NULL;
    while (f && *text) {
        const size_t n = letter(text);
        if (n)
            fwrite(text, 1, n, f);
        else
            fprintf(f, "\\x%02x", (unsigned char)*text);
        text += n ? n : 1;
    }
    if (f) fclose(f), out = json_string(clean);
    free(clean);
    return out ? out : json_null();
}
