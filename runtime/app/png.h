/* png.h - a picture as a PNG file: 8 bits a channel, compressed by zlib, which reads data anyway.  gnuplot draws curves;
 * pictures of pixels need neither axes nor a process of their own. */
#ifndef DEQ_RUNTIME_PNG_H
#define DEQ_RUNTIME_PNG_H
#include "error.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct deq_picture {
    int64_t width, height;
    int channels;    /* 1: grey, 3: red, green, blue */
    uint8_t *pixels; /* row by row, the channels of a pixel side by side */
} deq_picture;

/* Written whole or not at all; `about`: a text that stands in the file (keyword Description).  DEQ_OUTPUT, DEQ_MEMORY. */
bool deq_png_write(const char *path, const deq_picture *p, const char *about, deq_error *e);
/* Whether the file is a picture with this text. */
bool deq_png_is(const char *path, const char *about);
#endif
