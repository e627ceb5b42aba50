/* page_html.c - text, numbers, pictures and drawings inside HTML. */
#include "number.h"
#include "output.h"
#include "page.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MOST_PICTURE ((size_t)64 << 20)
#define MOST_DRAWING ((size_t)16 << 20)
#define LARGER 1.7 /* than in a column of a paper */

void page_text(FILE *out, const char *text) {
    for (const char *c = text; *c; c++) {
        switch (*c) {
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '&': fputs("&amp;", out); break;
        case '"': fputs("&quot;", out); break;
        default: fputc(*c, out);
        }
    }
}

void page_number(FILE *out, double value, double low, double high) {
    char text[DEQ_NUMBER_TEXT], other[DEQ_NUMBER_TEXT];
    if (isfinite(value)) fputs(deq_number_text(value, 4, text), out);
    if (isfinite(low)) fprintf(out, " [%s, %s]", deq_number_text(low, 4, text), deq_number_text(high, 4, other));
}

/* Base64 of RFC 4648, section 4. */
static void base64(FILE *out, const void *of, size_t n) {
    const unsigned char *bytes = of;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        const size_t left = n - i;
        const uint32_t three = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                               (left > 2 ? (uint32_t)bytes[i + 2] : 0);
        fputc(digits[three >> 18], out);
        fputc(digits[three >> 12 & 63], out);
        fputc(left > 1 ? digits[three >> 6 & 63] : '=', out);
        fputc(left > 2 ? digits[three & 63] : '=', out);
    }
}

/* An image in the page itself; `width` in pixels, 0: its own. */
static void put_image(FILE *out, const char *type, const char *alternative, double width, const char *bytes,
                      size_t size) {
    fputs("<img alt=\"", out);
    page_text(out, alternative);
    if (width > 0) fprintf(out, "\" width=\"%.0f", width);
    fprintf(out, "\" src=\"data:image/%s;base64,", type);
    base64(out, bytes, size);
    fputs("\">", out);
}

void page_picture(FILE *out, const char *path, const char *caption) {
    size_t size;
    char *bytes = deq_read_whole(path, MOST_PICTURE, &size);
    if (!bytes) return;
    fputs("<figure>", out);
    put_image(out, "png", caption, 0, bytes, size);
    fputs("<figcaption>", out);
    page_text(out, caption);
    fputs("</figcaption></figure>\n", out);
    free(bytes);
}

/* The width that the SVG gives itself, in pixels; 0: none. */
static double width_of(const char *svg) {
    const char *head = strstr(svg, "<svg"), *end = head ? strchr(head, '>') : NULL,
               *width = head ? strstr(head, "width=\"") : NULL;
    return width && end && width < end ? strtod(width + 7, NULL) : 0;
}

void page_drawing(FILE *out, const char *path, const char *alternative) {
    size_t size;
    char *svg = deq_read_whole(path, MOST_DRAWING, &size);
    if (!svg) return;
    put_image(out, "svg+xml", alternative, LARGER * width_of(svg), svg, size);
    free(svg);
}
