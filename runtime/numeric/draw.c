/* draw.c - random rows for generated code: draws keyed by (seed, site, example, step, iteration, element). */
#include "real.h"
#include "deq_runtime.h"
#include "random.h"
#include <math.h>
#include <string.h>

#define BATCH 16 /* Philox blocks made together, in loops the compiler vectorises */

/* Blocks `block` .. block + BATCH of the stream (key; iteration, example): words[w][i] is word w of block i. */
HOT static void philox_batch(uint64_t key, uint32_t block, uint32_t iteration, uint64_t example,
                             uint32_t words[4][BATCH]) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int i = 0; i < BATCH; i++) {
        words[0][i] = block + (uint32_t)i;
        words[1][i] = iteration;
        words[2][i] = (uint32_t)example;
        words[3][i] = (uint32_t)(example >> 32);
    }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < BATCH; i++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * words[0][i], p1 = (uint64_t)0xCD9E8D57u * words[2][i];
            uint32_t n0 = (uint32_t)(p1 >> 32) ^ words[1][i] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ words[3][i] ^ k1;
            words[0][i] = n0, words[1][i] = (uint32_t)p1, words[2][i] = n2, words[3][i] = (uint32_t)p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* The draws of one batch, in order; returns how many. */
static int batch_values(const uint32_t words[4][BATCH], int64_t kind, real *out) {
    int count = 0;
#if DEQ_REAL == 32
    for (int i = 0; i < BATCH; i++)
        for (int w = 0; w < 4; w++) out[count++] = (real)(words[w][i] >> 8) * 0x1p-24f;
#else
    for (int i = 0; i < BATCH; i++)
        for (int w = 0; w < 4; w += 2)
            out[count++] = (real)(((uint64_t)words[w][i] << 21) ^ (words[w + 1][i] >> 11)) * 0x1p-53;
#endif
    if (kind == 1)
        for (int i = 0; i < count; i += 2) { /* Box-Muller, in double for both precisions */
            double radius = sqrt(-2 * log(1 - (double)out[i]));
            double angle = 6.283185307179586 * (double)out[i + 1];
            out[i] = (real)(radius * cos(angle));
            out[i + 1] = (real)(radius * sin(angle));
        }
    return count;
}

void NAME(deq_random)(void *frame, void *out, int64_t stride, int64_t count, int64_t n, int64_t kind, int64_t site,
                      int64_t iteration) {
    const deq_frame *f = frame;
    uint64_t key = deq_key_mix(deq_key_mix(f->seed, (uint64_t)site), f->step);
    uint32_t words[4][BATCH];
    real values[4 * BATCH];
    int64_t padded = (count + LANES - 1) / LANES * LANES;
    for (int64_t row = 0; row < n; row++) {
        real *to = (real *)((char *)out + row * stride);
        uint64_t example = f->example ? (uint64_t)f->example[row] : (uint64_t)row;
        int64_t at = 0;
        for (uint32_t block = 0; at < count; block += BATCH) {
            philox_batch(key, block, (uint32_t)iteration, example, words);
            int made = batch_values((const uint32_t(*)[BATCH])words, kind, values);
            int64_t take = count - at < made ? count - at : made;
            memcpy(to + at, values, (size_t)take * sizeof(real));
            at += take;
        }
        memset(to + count, 0, (size_t)(padded - count) * sizeof(real));
    }
}
