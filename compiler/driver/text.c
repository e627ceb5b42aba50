#define _GNU_SOURCE
#include "text.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

char *text_of(const char *format, ...) {
    va_list args;
    char *s = NULL;
    va_start(args, format);
    if (vasprintf(&s, format, args) < 0) abort();
    va_end(args);
    return s;
}
