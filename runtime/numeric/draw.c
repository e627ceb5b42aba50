/* draw.c - random rows for generated code: draws keyed by (seed, site, example, step, iteration, element). */
#include "real.h"
#include "deq_runtime.h"
#include "random.h"
#include <string.h>

#define EACH (DEQ_REAL == 32 ? 4 : 2) /* numbers of a block */

/* Blocks stand side by side whatever row they belong to, so that short rows leave no lane empty. */
void NAME(deq_random)(void *frame, void *out, int64_t stride, int64_t count, int64_t n, int64_t kind, int64_t site,
                      int64_t iteration) {
    const deq_frame *f = frame;
    const uint64_t key = deq_key_mix(deq_key_mix(f->seed, (uint64_t)site), f->step);
    const int64_t blocks = (count + EACH - 1) / EACH, padded = (count + LANES - 1) / LANES * LANES;
    deq_lanes lanes;
    _Alignas(64) real values[EACH * DEQ_LANES];
    if (count == 0) return;
    for (int64_t row = 0, block = 0; row < n;) {
        const int64_t first_row = row, first_block = block;
        int filled = 0;
        for (; row < n && filled < DEQ_LANES; row++, block = 0) {
            const uint64_t example = f->example ? (uint64_t)f->example[row] : (uint64_t)row;
            const int64_t left = blocks - block, most = DEQ_LANES - filled, take = left < most ? left : most;
            for (int64_t i = 0; i < take; i++) {
                lanes.word[0][filled + i] = (uint32_t)(block + i), lanes.word[1][filled + i] = (uint32_t)iteration;
                lanes.word[2][filled + i] = (uint32_t)example;
                lanes.word[3][filled + i] = (uint32_t)(example >> 32);
            }
            filled += (int)take;
            if (take < left) {
                block += take;
                break;
            }
        }
        for (int w = 0; w < 4; w++) memset(&lanes.word[w][filled], 0, (size_t)(DEQ_LANES - filled) * sizeof(uint32_t));
        NAME(deq_draw)(&lanes, key, kind == 1, values);
        const real *from = values;
        for (int64_t r = first_row, b = first_block; filled > 0; r++, b = 0) {
            real *to = (real *)((char *)out + r * stride);
            const int64_t take = blocks - b < filled ? blocks - b : filled, at = b * EACH;
            const int64_t numbers = count - at < take * EACH ? count - at : take * EACH;
            memcpy(to + at, from, (size_t)numbers * sizeof(real));
            if (at + numbers == count) memset(to + count, 0, (size_t)(padded - count) * sizeof(real));
            from += take * EACH;
            filled -= (int)take;
        }
    }
}
