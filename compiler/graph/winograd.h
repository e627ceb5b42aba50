/* winograd.h - the weights of Winograd's convolution F(4 x 4, 3 x 3).
 *
 * A tile of 4 x 4 results of a 3 x 3 convolution comes from 6 x 6 pixels, as A'[(G g G') .* (B' d B)]A: 36
 * multiplications instead of 144.  The polynomials behind it are evaluated at 0, two pairs of opposite points and
 * infinity.  The points 5/8 and 3/2 round three times less than the usual 1 and 2, and their powers are exact.
 * U = G g G' is made when the weights are packed; B' and A' are in winograd_transform.c.  The points 0, 5/8, -5/8 and
 * infinity by themselves give F(2, 3): the last tile along an axis uses them when no more than two results are left. */
#ifndef DEQ_COMPILER_WINOGRAD_H
#define DEQ_COMPILER_WINOGRAD_H
#include <stdint.h>

#define WINOGRAD_TILE 4  /* results along a side of a tile; 2 along that of a short one */
#define WINOGRAD_TAPS 6  /* transformed taps along an axis */
#define WINOGRAD_SHORT 4 /* the first of them, which short tiles use */
#define WINOGRAD_FIRST 0.625
#define WINOGRAD_SECOND 1.5

/* G, for points in the order 0, 5/8, -5/8, infinity, 3/2, -3/2. */
static inline void winograd_weights(double g[WINOGRAD_TAPS][3]) {
    const double a = WINOGRAD_FIRST * WINOGRAD_FIRST, b = WINOGRAD_SECOND * WINOGRAD_SECOND;
    for (uint32_t k = 0; k < WINOGRAD_TAPS; k++) {
        double p = k < 3 ? WINOGRAD_FIRST : WINOGRAD_SECOND, norm = k < 3 ? 2 * a * (a - b) : 2 * b * (b - a);
        if (k == 2 || k == 5) p = -p;
        g[k][0] = 1 / norm, g[k][1] = p / norm, g[k][2] = p * p / norm;
    }
    g[0][0] = 1 / (a * b), g[0][1] = g[0][2] = 0;
    g[3][0] = g[3][1] = 0, g[3][2] = 1;
}

/* Tiles along an axis of `size` results, and whether the last one is short. */
static inline uint32_t winograd_tiles(uint32_t size) { return (size + WINOGRAD_TILE - 1) / WINOGRAD_TILE; }
static inline uint32_t winograd_short(uint32_t size) { return size % WINOGRAD_TILE == 1 || size % WINOGRAD_TILE == 2; }
/* Products along an axis. */
static inline double winograd_axis(uint32_t size) {
    return winograd_tiles(size) * WINOGRAD_TAPS - winograd_short(size) * (WINOGRAD_TAPS - WINOGRAD_SHORT);
}
#endif
