/* make_idx - writes a small synthetic classification problem as a pair of IDX files.
 *
 * usage: make_idx IMAGES LABELS COUNT SEED [WHAT]
 * Images are u8[COUNT, 8, 8]: class k of 4 lights one quadrant, over noise that overlaps it; labels are u8[COUNT].
 * WHAT: truncated (the image file ends early), magic (wrong magic number), count (labels promise one more than there
 * are), label (one label is 7), shape (9 columns), nan (f32 images, one of them NaN). */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

static uint32_t draw(void) { /* splitmix64 */
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

static void put32(FILE *f, uint32_t v) {
    for (int shift = 24; shift >= 0; shift -= 8) fputc((int)(v >> shift & 255), f);
}

static void put_real(FILE *f, float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    put32(f, bits);
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fputs("usage: make_idx IMAGES LABELS COUNT SEED [WHAT]\n", stderr);
        return 64;
    }
    const char *what = argc > 5 ? argv[5] : "";
    uint32_t count = (uint32_t)strtoul(argv[3], NULL, 10), columns = strcmp(what, "shape") == 0 ? 9 : 8;
    bool real = strcmp(what, "nan") == 0;
    state = strtoull(argv[4], NULL, 10);
    FILE *images = fopen(argv[1], "wb"), *labels = fopen(argv[2], "wb");
    if (!images || !labels) {
        perror("make_idx");
        return 1;
    }
    put32(images, strcmp(what, "magic") == 0 ? 0x00000777 : real ? 0x00000d03 : 0x00000803);
    put32(images, count);
    put32(images, 8);
    put32(images, columns);
    put32(labels, 0x00000801);
    put32(labels, strcmp(what, "count") == 0 ? count + 1 : count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t label = draw() % 4;
        if (strcmp(what, "truncated") == 0 && i + 1 == count) break;
        for (uint32_t p = 0; p < 8 * columns; p++) {
            uint32_t quadrant = p / columns / 4 * 2 + p % columns / 4 % 2;
            uint32_t value = draw() % 220 + (quadrant == label ? 35 : 0);
            if (real)
                put_real(images, i == count / 2 && p == 5 ? __builtin_nanf("") : (float)value / 255);
            else
                fputc((int)value, images);
        }
        fputc(strcmp(what, "label") == 0 && i == count / 2 ? 7 : (int)label, labels);
    }
    bool failed = ferror(images) || ferror(labels);
    failed |= fclose(images) != 0;
    failed |= fclose(labels) != 0;
    return failed;
}
