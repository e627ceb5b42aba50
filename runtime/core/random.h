/* random.h - counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011).
 *
 * A draw is a function of its key and counter only, so it does not depend on order, threads or batches.  Normal numbers
 * come by Box and Muller's transform in double, from functions of our own without fused operations: so they do not
 * depend on the processor's instructions or on the C library. */
#ifndef DEQ_RUNTIME_RANDOM_H
#define DEQ_RUNTIME_RANDOM_H
#include <stdbool.h>
#include <stdint.h>

/* One block: four words from a 128-bit counter and a 64-bit key. */
void deq_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
/* Mixes a value into a 64-bit key (the finaliser of SplitMix64). */
uint64_t deq_key_mix(uint64_t key, uint64_t value);
/* Key of a stream named by a text, such as a parameter's path. */
uint64_t deq_key_text(uint64_t key, const char *text);

/* Blocks made side by side: word w of lane i is word[w][i].  The counters go in, the blocks come out. */
#define DEQ_LANES 64
typedef struct deq_lanes {
    _Alignas(64) uint32_t word[4][DEQ_LANES];
} deq_lanes;

/* The draws of every lane's block under one key, lane after lane, in [0, 1) or standard normal: four floats of 24 bits a
 * lane, or two doubles of 53.  The lanes hold the blocks afterwards. */
void deq_draw_f32(deq_lanes *lanes, uint64_t key, bool normal, float out[4 * DEQ_LANES]);
void deq_draw_f64(deq_lanes *lanes, uint64_t key, bool normal, double out[2 * DEQ_LANES]);

/* Element `index` of a stream, in [0, 1) with 53 bits, or standard normal. */
double deq_uniform(uint64_t key, uint64_t index);
double deq_normal(uint64_t key, uint64_t index);
/* Elements first .. first + count - 1, the same numbers at a tenth of the time. */
void deq_stream(uint64_t key, uint64_t first, int64_t count, bool normal, double *out);

/* A permutation of 0 .. n-1 (Fisher-Yates), for shuffling epochs. */
void deq_permutation(uint64_t key, int64_t n, int64_t *out);
#endif
