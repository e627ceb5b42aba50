/* page_html.c - text and pictures inside HTML. */
#include "output.h"
#include "page.h"
#include <stdint.h>
#include <stdlib.h>

#define MOST_PICTURE ((size_t)64 << 20)

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

/* Base64 of RFC 4648, section 4. */
void page_base64(FILE *out, const void *of, size_t n) {
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

void page_picture(FILE *out, const char *path, const char *caption) {
    size_t size;
    char *bytes = deq_read_whole(path, MOST_PICTURE, &size);
    if (!bytes) return;
    fputs("<figure><img alt=\"", out);
    page_text(out, caption);
    fputs("\" src=\"data:image/png;base64,", out);
    page_base64(out, bytes, size);
    fputs("\"><figcaption>", out);
    page_text(out, caption);
    fputs("</figcaption></figure>\n", out);
    free(bytes);
}
