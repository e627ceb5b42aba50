/* fuzz.h - what the fuzz targets share.  Each defines LLVMFuzzerTestOneInput; libFuzzer drives it where clang has it,
 * replay.c everywhere. */
#ifndef DEQ_TESTS_FUZZ_H
#define DEQ_TESTS_FUZZ_H
#include "module.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_REQUIRE(condition)                                                                                        \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                             \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* The input as a text, up to its first NUL. */
static inline char *fuzz_text(const uint8_t *data, size_t size) {
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t n = end ? (size_t)(end - data) : size;
    char *text = malloc(n + 1);
    if (!text) abort();
    if (n) memcpy(text, data, n);
    text[n] = 0;
    return text;
}
#endif
