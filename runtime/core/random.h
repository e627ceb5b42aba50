/* random.h - counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011).
 *
 * A draw is a function of its key and counter only, so it does not depend on order, threads or batches. */
#ifndef DEQ_RUNTIME_RANDOM_H
#define DEQ_RUNTIME_RANDOM_H
#include <stdint.h>

/* One block: four words from a 128-bit counter and a 64-bit key. */
void deq_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
/* Mixes a value into a 64-bit key (the finaliser of SplitMix64). */
uint64_t deq_key_mix(uint64_t key, uint64_t value);
/* Key of a stream named by a text, such as a parameter's path. */
uint64_t deq_key_text(uint64_t key, const char *text);

/* Element `index` of a stream, in [0, 1) with 53 bits, or standard normal (Box-Muller). */
double deq_uniform(uint64_t key, uint64_t index);
double deq_normal(uint64_t key, uint64_t index);

/* A permutation of 0 .. n-1 (Fisher-Yates), for shuffling epochs. */
void deq_permutation(uint64_t key, int64_t n, int64_t *out);
#endif
