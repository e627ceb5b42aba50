/* vector.h - loops over whole rows.  `n` counts 64 bytes, of which `vec` makes PIECES; sums go to four accumulators of 64
 * bytes, which are added in a fixed order.
 *
 * Here `vec` has 64 bytes.  Sums of vectors wider than the machine's stand in memory under GCC, so the functions that
 * solvers spend their time in are compiled for each width (each_width.h). */
#ifndef DEQ_NUMERIC_VECTOR_H
#define DEQ_NUMERIC_VECTOR_H
#include "real.h"

typedef real vec_half __attribute__((vector_size(32), may_alias));
typedef real vec_quarter __attribute__((vector_size(16), may_alias));

#define PIECES (64 / ROW_BYTES)
#define ROW_PIECES(at, sum, body)                                                                                      \
    for (int piece_ = 0; piece_ < PIECES; piece_++) {                                                                  \
        const int64_t k = (at)*PIECES + piece_;                                                                        \
        const int lane __attribute__((unused)) = (sum)*PIECES + piece_;                                                \
        body                                                                                                           \
    }
/* Runs `body` for k = 0 .. n PIECES - 1, where `lane` names the accumulator. */
#define ROW_LOOP(n, body)                                                                                              \
    do {                                                                                                               \
        int64_t k_ = 0;                                                                                                \
        for (; k_ + 4 <= (n); k_ += 4) {                                                                               \
            ROW_PIECES(k_, 0, body)                                                                                    \
            ROW_PIECES(k_ + 1, 1, body)                                                                                \
            ROW_PIECES(k_ + 2, 2, body)                                                                                \
            ROW_PIECES(k_ + 3, 3, body)                                                                                \
        }                                                                                                              \
        for (; k_ < (n); k_++) ROW_PIECES(k_, 0, body)                                                                 \
    } while (0)

#define ACCUMULATORS(name) vec name[4 * PIECES] = {{0}}

#define ROW(name) name
#define ROW_BYTES 64
#include "row_functions.h"
#undef ROW
#endif
