/* random.c - Philox4x32-10, streams made of it, and many blocks side by side.  The ABI's rows of draws are in
 * numeric/draw.c.
 *
 * CMake compiles this file without contraction to fused operations: every body of the HOT functions gives the same bits,
 * and so do the functions of one element. */
#include "random.h"
#include "hot.h"
#include <math.h>
#include <string.h>

/* Product of two words: its high word. */
INLINE uint32_t high_word(uint32_t a, uint32_t b) { return (uint32_t)(((uint64_t)a * b) >> 32); }

/* Ten rounds on `lanes` counters side by side. */
INLINE void philox(uint32_t *restrict a, uint32_t *restrict b, uint32_t *restrict c, uint32_t *restrict d,
                   const int lanes, uint64_t key) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < lanes; i++) {
            const uint32_t low0 = 0xD2511F53u * a[i], high0 = high_word(0xD2511F53u, a[i]);
            const uint32_t low1 = 0xCD9E8D57u * c[i], high1 = high_word(0xCD9E8D57u, c[i]);
            a[i] = high1 ^ b[i] ^ k0, b[i] = low1, c[i] = high0 ^ d[i] ^ k1, d[i] = low0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

void deq_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    memcpy(out, counter, 4 * sizeof *out);
    philox(out, out + 1, out + 2, out + 3, 1, key[0] | (uint64_t)key[1] << 32);
}

uint64_t deq_key_mix(uint64_t key, uint64_t value) {
    uint64_t x = key + 0x9E3779B97F4A7C15u * (value + 1);
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

uint64_t deq_key_text(uint64_t key, const char *text) {
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a */
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001B3u;
    return deq_key_mix(key, hash);
}

/* ---- words to numbers, without branches, so that loops of them become vectors ---- */
INLINE double as_double(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
INLINE uint64_t as_bits(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
#define BITS_OF_2_52 0x4330000000000000u /* a word in its lowest bits: 2^52 + the word */

INLINE double of_word(uint32_t word) { return as_double(BITS_OF_2_52 | word) - 0x1p52; }
INLINE double unit24(uint32_t word) { return (double)(int32_t)(word >> 8) * 0x1p-24; }
INLINE double unit53(uint32_t high, uint32_t low) {
    return (of_word(high) * 0x1p21 + of_word(low >> 11)) * 0x1p-53; /* 32 + 21 bits */
}

#define ROOT_HALF 0x3fe6a09e667f3bcdu /* bits of sqrt(1/2) */
#define ONE 0x3ff0000000000000u

/* log x of a normal x in (0, 1], by fdlibm's method: x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt 2). */
INLINE double logarithm(double x) {
    const uint64_t moved = as_bits(x) + (ONE - ROOT_HALF);
    const double k = as_double(BITS_OF_2_52 | moved >> 52) - (0x1p52 + 1023);
    const double f = as_double((moved & 0x000fffffffffffffu) + ROOT_HALF) - 1;
    const double s = f / (2 + f), z = s * s, w = z * z, h = 0.5 * f * f;
    const double even = w * (0x1.999999997fa04p-2 + w * (0x1.c71c51d8e78afp-3 + w * 0x1.39a09d078c69fp-3));
    const double odd =
        z * (0x1.5555555555593p-1 + w * (0x1.2492494229359p-2 + w * (0x1.7466496cb03dep-3 + w * 0x1.2f112df3e5244p-3)));
    return k * 0x1.62e42feep-1 - ((h - (s * (h + (even + odd)) + k * 0x1.a39ef35793c76p-33)) - f);
}

/* cos and sin of 2 pi t, t in [0, 1): the nearest quarter of a turn is taken away exactly; fdlibm's polynomials. */
INLINE void turn(double t, double *cosine, double *sine) {
    const double moved = 4 * t + 0x1.8p52; /* rounds to a whole number, which stands in the lowest bits */
    const uint64_t quarter = as_bits(moved), odd = -(quarter & 1);
    const double y = (t - 0.25 * (moved - 0x1.8p52)) * 0x1.921fb54442d18p+2, z = y * y;
    const double of_sine =
        -0x1.5555555555549p-3 +
        z * (0x1.111111110f8a6p-7 +
             z * (-0x1.a01a019c161d5p-13 +
                  z * (0x1.71de357b1fe7dp-19 + z * (-0x1.ae5e68a2b9cebp-26 + z * 0x1.5d93a5acfd57cp-33))));
    const double of_cosine =
        0x1.555555555554cp-5 +
        z * (-0x1.6c16c16c15177p-10 +
             z * (0x1.a01a019cb159p-16 +
                  z * (-0x1.27e4f809c52adp-22 + z * (0x1.1ee9ebdb4b1c4p-29 + z * -0x1.8fae9be8838d4p-37))));
    const uint64_t s = as_bits(y + y * z * of_sine), c = as_bits(1 - (0.5 * z - z * z * of_cosine));
    *cosine = as_double(((c & ~odd) | (s & odd)) ^ ((quarter + 1) & 2) << 62);
    *sine = as_double(((s & ~odd) | (c & odd)) ^ (quarter & 2) << 62);
}

INLINE void box_muller(double u, double t, double *first, double *second) {
    const double radius = sqrt(-2 * logarithm(1 - u)); /* 1 - u in (0, 1]: the logarithm is finite */
    turn(t, first, second);
    *first *= radius;
    *second *= radius;
}

/* ---- many blocks ---- */
typedef uint32_t quad __attribute__((vector_size(16), may_alias));
typedef int32_t signed_quad __attribute__((vector_size(16)));
typedef float float_quad __attribute__((vector_size(16), may_alias));

/* Four lanes' words become four numbers for each of them. */
INLINE void uniform_quads(const deq_lanes *l, int i, float *out) {
    const quad a = *(const quad *)&l->word[0][i], b = *(const quad *)&l->word[1][i];
    const quad c = *(const quad *)&l->word[2][i], d = *(const quad *)&l->word[3][i];
    const quad ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), more_ab = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const quad cd = __builtin_shufflevector(c, d, 0, 4, 1, 5), more_cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    const quad lanes[4] = {__builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
                           __builtin_shufflevector(more_ab, more_cd, 0, 1, 4, 5),
                           __builtin_shufflevector(more_ab, more_cd, 2, 3, 6, 7)};
    for (int k = 0; k < 4; k++)
        *(float_quad *)&out[4 * (i + k)] = __builtin_convertvector((signed_quad)(lanes[k] >> 8), float_quad) * 0x1p-24f;
}

HOT static void uniform_f32(deq_lanes *l, uint64_t key, float *out) {
    philox(l->word[0], l->word[1], l->word[2], l->word[3], DEQ_LANES, key);
    for (int i = 0; i < DEQ_LANES; i += 4) uniform_quads(l, i, out);
}

HOT static void normal_f32(deq_lanes *l, uint64_t key, float *out) {
    _Alignas(64) double number[4][DEQ_LANES];
    philox(l->word[0], l->word[1], l->word[2], l->word[3], DEQ_LANES, key);
    for (int w = 0; w < 4; w += 2)
        for (int i = 0; i < DEQ_LANES; i++)
            box_muller(unit24(l->word[w][i]), unit24(l->word[w + 1][i]), &number[w][i], &number[w + 1][i]);
    for (int i = 0; i < DEQ_LANES; i++)
        for (int w = 0; w < 4; w++) out[4 * i + w] = (float)number[w][i];
}

HOT static void uniform_f64(deq_lanes *l, uint64_t key, double *out) {
    philox(l->word[0], l->word[1], l->word[2], l->word[3], DEQ_LANES, key);
    for (int i = 0; i < DEQ_LANES; i++)
        for (int w = 0; w < 2; w++) out[2 * i + w] = unit53(l->word[2 * w][i], l->word[2 * w + 1][i]);
}

HOT static void normal_f64(deq_lanes *l, uint64_t key, double *out) {
    _Alignas(64) double number[2][DEQ_LANES];
    philox(l->word[0], l->word[1], l->word[2], l->word[3], DEQ_LANES, key);
    for (int i = 0; i < DEQ_LANES; i++)
        box_muller(unit53(l->word[0][i], l->word[1][i]), unit53(l->word[2][i], l->word[3][i]), &number[0][i],
                   &number[1][i]);
    for (int i = 0; i < DEQ_LANES; i++)
        for (int w = 0; w < 2; w++) out[2 * i + w] = number[w][i];
}

void deq_draw_f32(deq_lanes *lanes, uint64_t key, bool normal, float out[4 * DEQ_LANES]) {
    (normal ? normal_f32 : uniform_f32)(lanes, key, out);
}

void deq_draw_f64(deq_lanes *lanes, uint64_t key, bool normal, double out[2 * DEQ_LANES]) {
    (normal ? normal_f64 : uniform_f64)(lanes, key, out);
}

/* ---- streams: a block an element ---- */
static void stream_block(uint64_t key, uint64_t index, uint32_t word[4]) {
    word[0] = (uint32_t)index, word[1] = (uint32_t)(index >> 32), word[2] = word[3] = 0;
    philox(word, word + 1, word + 2, word + 3, 1, key);
}

double deq_uniform(uint64_t key, uint64_t index) {
    uint32_t word[4];
    stream_block(key, index, word);
    return unit53(word[0], word[1]);
}

double deq_normal(uint64_t key, uint64_t index) {
    uint32_t word[4];
    double first, second;
    stream_block(key, index, word);
    box_muller(unit53(word[0], word[1]), unit53(word[2], word[3]), &first, &second);
    return first;
}

void deq_stream(uint64_t key, uint64_t first, int64_t count, bool normal, double *out) {
    deq_lanes lanes;
    double drawn[2 * DEQ_LANES];
    for (int64_t at = 0; at < count; at += DEQ_LANES) {
        for (int i = 0; i < DEQ_LANES; i++) {
            const uint64_t index = first + (uint64_t)at + (uint64_t)i;
            lanes.word[0][i] = (uint32_t)index, lanes.word[1][i] = (uint32_t)(index >> 32);
            lanes.word[2][i] = lanes.word[3][i] = 0;
        }
        deq_draw_f64(&lanes, key, normal, drawn);
        for (int64_t i = 0; i < DEQ_LANES && at + i < count; i++) out[at + i] = drawn[2 * i];
    }
}

void deq_permutation(uint64_t key, int64_t n, int64_t *out) {
    for (int64_t i = 0; i < n; i++) out[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)(deq_uniform(key, (uint64_t)i) * (double)(i + 1));
        int64_t kept = out[i];
        out[i] = out[j];
        out[j] = kept;
    }
}
