/* png.c - see png.h: the chunks IHDR, tEXt, IDAT, IEND (PNG specification, third edition). */
#define _GNU_SOURCE
#include "png.h"
#include "output.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
static const char keyword[] = "Description"; /* with its NUL before the text */

static void put_number(FILE *out, uint32_t v) {
    const uint32_t big = htonl(v);
    fwrite(&big, 1, sizeof big, out);
}

/* The checksum is of the type and what follows it. */
static void put_chunk(FILE *out, const char *type, const void *bytes, size_t size) {
    uLong sum = crc32(crc32(0, NULL, 0), (const Bytef *)type, 4);
    if (size) sum = crc32(sum, bytes, (uInt)size);
    put_number(out, (uint32_t)size);
    fwrite(type, 1, 4, out);
    fwrite(bytes, 1, size, out);
    put_number(out, (uint32_t)sum);
}

static void put_header(FILE *out, const deq_picture *p) {
    const uint32_t size[2] = {htonl((uint32_t)p->width), htonl((uint32_t)p->height)};
    uint8_t header[13] = {0};
    memcpy(header, size, sizeof size);
    header[8] = 8;                        /* bits of a channel */
    header[9] = p->channels == 3 ? 2 : 0; /* colour or grey; the rest: the one compression, filter, no interlace */
    put_chunk(out, "IHDR", header, sizeof header);
}

static void put_text(FILE *out, const char *about) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (f) {
        fwrite(keyword, 1, sizeof keyword, f);
        fputs(about, f);
        fclose(f);
        put_chunk(out, "tEXt", text, size);
    }
    free(text);
}

/* Each row with filter 0 before it, compressed; NULL: out of memory. */
static uint8_t *packed(const deq_picture *p, uLongf *size) {
    const size_t row = (size_t)p->width * (size_t)p->channels, rows = (size_t)p->height;
    uint8_t *plain = malloc(rows * (row + 1)), *out = malloc(*size = compressBound(rows * (row + 1)));
    for (size_t y = 0; plain && y < rows; y++) {
        plain[y * (row + 1)] = 0;
        memcpy(plain + y * (row + 1) + 1, p->pixels + y * row, row);
    }
    bool ok = plain && out && compress2(out, size, plain, rows * (row + 1), Z_DEFAULT_COMPRESSION) == Z_OK;
    free(plain);
    if (ok) return out;
    free(out);
    return NULL;
}

bool deq_png_write(const char *path, const deq_picture *p, const char *about, deq_error *e) {
    uLongf size = 0;
    char *bytes = NULL;
    size_t length = 0;
    uint8_t *data = packed(p, &size);
    FILE *f = data ? open_memstream(&bytes, &length) : NULL;
    if (f) {
        fwrite(signature, 1, sizeof signature, f);
        put_header(f, p);
        put_text(f, about);
        put_chunk(f, "IDAT", data, size);
        put_chunk(f, "IEND", "", 0);
        fclose(f);
    }
    bool ok = bytes ? deq_output_write(path, bytes, length, e)
                    : deq_fail(e, DEQ_MEMORY, "out of memory for the picture %s", path);
    free(bytes);
    free(data);
    return ok;
}

bool deq_png_is(const char *path, const char *about) {
    const size_t begins = sizeof signature + 25 + 8; /* IHDR, length and type of tEXt */
    size_t size = 0, n = strlen(about);
    char *bytes = deq_read_whole(path, 64 << 20, &size);
    bool same = bytes && size > begins + sizeof keyword + n && !memcmp(bytes + begins, keyword, sizeof keyword) &&
                !memcmp(bytes + begins + sizeof keyword, about, n) && !memcmp(bytes + size - 8, "IEND", 4);
    free(bytes);
    return same;
}
