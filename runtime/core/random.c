/* random.c - Philox4x32-10 and streams made of it.  The ABI's block draws are in numeric/draw.c. */
#include "random.h"
#include <math.h>

void deq_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0, c1 = (uint32_t)p1, c2 = n2, c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
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

static void stream_block(uint64_t key, uint64_t index, uint32_t out[4]) {
    uint32_t words[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), 0, 0};
    deq_philox(counter, words, out);
}

static double unit(uint32_t high, uint32_t low) {
    return (double)(((uint64_t)high << 21) ^ (low >> 11)) * 0x1p-53; /* 32 + 21 bits */
}

double deq_uniform(uint64_t key, uint64_t index) {
    uint32_t words[4];
    stream_block(key, index, words);
    return unit(words[0], words[1]);
}

double deq_normal(uint64_t key, uint64_t index) {
    uint32_t words[4];
    stream_block(key, index, words);
    double u = 1 - unit(words[0], words[1]); /* (0, 1]: the logarithm is finite */
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * unit(words[2], words[3]));
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
